"""Where a picture or film came from: a camera, a screenshot, a messenger, a scanner. PURE."""

from __future__ import annotations

import re

from mediad.media.reading import Reading

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

ORIGINS = frozenset(("", "camera", *(origin for origin, _ in _NAMES)))
"""All that `origin` may say."""

# Names that cameras and phones give, for films that do not name their maker.
_CAMERA_NAME = re.compile(
    r"^(?:pxl_\d{8}_|mvimg_\d{8}_|(?:img|vid)_?\d{8}_?\d{6}|\d{8}_\d{6}|(?:img|mvi|dsc|mov|vid)_\d{4}"
    r"|dscn?f?\d{4}|p\d{7}|g[hxop]\w{2}\d{4}|dji_\d+|c\d{4}|mah\d{5}|s\d{7}|win_\d{8}_)",
    re.IGNORECASE,
)
_NOT_BY_CAMERAS = {"png", "gif", "bmp", "webp", "psd"}


def origin(name: bytes, reading: Reading) -> str:
    """Where a file came from.

    Args:
        name: its name without its folder; any bytes.
        reading: what its content told.

    Returns:
        "camera", "screenshot", "whatsapp", "telegram", "signal", "instagram", "scan" or "screenrecording",
        else "".
    """
    if reading.kind not in ("photo", "raw", "video"):
        return ""
    text = name.decode("utf-8", "replace")
    for found, pattern in _BY_NAME:
        if pattern.search(text):
            return "screenrecording" if found == "screenshot" and reading.kind == "video" else found
    return _by_metadata(reading) or _by_camera(text, reading)


def _by_metadata(reading: Reading) -> str:
    if reading.comment.strip().casefold() == "screenshot" or _SCREENSHOT_SOFTWARE.search(reading.software):
        return "screenshot"
    if "instagram" in reading.software.casefold():
        return "instagram"
    if _SCAN_SOFTWARE.search(reading.software) or _SCANNER.search(reading.model):
        return "scan"
    return ""


def _by_camera(name: str, reading: Reading) -> str:
    if reading.make or reading.model or reading.kind == "raw":
        return "camera"
    return "camera" if reading.format not in _NOT_BY_CAMERAS and _CAMERA_NAME.match(name) else ""
