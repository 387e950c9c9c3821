"""Where a picture or film came from: a camera, a screenshot, a messenger, a scanner. PURE."""

from __future__ import annotations

import re

from mediad.model import Facts

# By name, in this order. German, French, Spanish, Italian, Dutch, Portuguese, the Nordic languages, Polish,
# Russian, Japanese, Chinese and Korean for what operating systems name in the user's language.
_NAMES: tuple[tuple[str, str], ...] = (
    (
        "screenrecording",
        r"screen[ _-]?rec(?:ord|\b|_)|^screencast|^rpreplay|bildschirmaufn|bildschirmvideo"
        r"|enregistrement (?:de l.|d.).?cran|grabaci.n de pantalla|registrazione schermo|schermopname"
        r"|grava..o de tela|sk.rminspelning|画面収録|屏幕录制|화면 기록|^screen-\d{8}-\d{6}",
    ),
    (
        "screenshot",
        r"screen[ _-]?shots?(?![a-z])|bildschirmfoto|capture[ _]d?.{0,3}cran|captura de (?:pantalla|tela|ecr)"
        r"|schermafbeelding|schermata|sk.rmavbild|skjermbilde|sk.rmbillede|n.ytt.kuva|zrzut ekranu"
        r"|снимок экрана|スクリーンショット|屏幕快照|屏幕截图|截屏|截图|스크린샷|^screenclip",
    ),
    ("whatsapp", r"^whatsapp|^(?:img|vid|aud|ptt|stk)-\d{8}-wa\d+"),
    ("signal", r"^signal[-_]\d{4}-\d{2}-\d{2}"),
    (
        "telegram",
        r"^telegram[-_ ]|^(?:photo|video)_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}|^\d+@\d{2}-\d{2}-\d{4}_",
    ),
    ("instagram", r"instagram|_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}_utc"),
    ("scan", r"^(?:scan(?:ned)?|numérisation|escaneo|scansione)(?![a-z])|camscanner|photoscan|adobe ?scan"),
)
_BY_NAME = tuple((origin, re.compile(pattern, re.IGNORECASE)) for origin, pattern in _NAMES)

_SCREENSHOT_SOFTWARE = re.compile(
    r"screen ?shot|screencapture|spectacle|greenshot|sharex|flameshot|ksnapshot|snipping", re.IGNORECASE
)
_SCAN_SOFTWARE = re.compile(
    r"vuescan|silverfast|scansnap|xsane|camscanner|photoscan|naps2|\bscan", re.IGNORECASE
)
_SCANNER = re.compile(r"canoscan|perfection|scanjet|scansnap|coolscan|opticfilm|\bscan", re.IGNORECASE)

# Names that cameras and phones give, for films that do not name their maker.
_CAMERA_NAME = re.compile(
    r"^(?:pxl_\d{8}_|mvimg_\d{8}_|(?:img|vid)_?\d{8}_?\d{6}|\d{8}_\d{6}|(?:img|mvi|dsc|mov|vid)_\d{4}"
    r"|dscn?f?\d{4}|p\d{7}|g[hxop]\w{2}\d{4}|dji_\d+|c\d{4}|mah\d{5}|s\d{7}|win_\d{8}_)",
    re.IGNORECASE,
)
_NOT_BY_CAMERAS = {"png", "gif", "bmp", "webp", "psd"}


def origin(name: bytes, facts: Facts) -> str:
    """Where a file came from.

    Args:
        name: its name without its folder; any bytes.
        facts: what its content told.

    Returns:
        "camera", "screenshot", "whatsapp", "telegram", "signal", "instagram", "scan" or "screenrecording",
        else "".
    """
    if facts.kind not in ("photo", "raw", "video"):
        return ""
    text = name.decode("utf-8", "replace")
    for found, pattern in _BY_NAME:
        if pattern.search(text):
            return "screenrecording" if found == "screenshot" and facts.kind == "video" else found
    return _by_metadata(facts) or _by_camera(text, facts)


def _by_metadata(facts: Facts) -> str:
    if facts.comment.strip().casefold() == "screenshot" or _SCREENSHOT_SOFTWARE.search(facts.software):
        return "screenshot"
    if "instagram" in facts.software.casefold():
        return "instagram"
    if _SCAN_SOFTWARE.search(facts.software) or _SCANNER.search(facts.model):
        return "scan"
    return ""


def _by_camera(name: str, facts: Facts) -> str:
    if facts.make or facts.model or facts.kind == "raw":
        return "camera"
    return "camera" if facts.format not in _NOT_BY_CAMERAS and _CAMERA_NAME.match(name) else ""
