"""Where a picture or film came from: a camera, a screenshot, a messenger, a scanner. PURE."""

from __future__ import annotations

import re
import unicodedata

from mediad.media.reading import Reading

# By name, in this order. German, French, Spanish, Italian, Dutch, Portuguese, the Nordic languages, Polish,
# Czech, Hungarian, Turkish, Greek, Russian, Ukrainian, Japanese, Chinese and Korean for what operating
# systems name in the user's language.
_NAMES: tuple[tuple[str, str], ...] = (
    (
        "screenrecording",
        r"screen[ _-]?rec(?:ord|\b|_)|^screencast|^rpreplay|bildschirmaufn|bildschirmvideo"
        r"|enregistrement (?:de l.|d.).?cran|grabaci.n de pantalla|registrazione schermo|schermopname"
        r"|grava..o de tela|sk.rminspelning|запись экрана|画面収録|屏幕录制|螢幕錄影|화면 기록"
        r"|^screen-\d{8}-\d{6}|^xrecorder_|^kazam_|^simplescreenrecorder|^svid_\d{8}_\d{6}"
        r"|^record_\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}",
    ),
    (
        "screenshot",
        r"screen[ _-]?shots?(?![a-z])|bildschirmfoto|capture[ _]d?.{0,3}cran|captura de (?:pantalla|tela|ecr)"
        r"|^captura desde|captur. de ecran|schermafbeelding|schermafdruk|schermata|sk.rmavbild"
        r"|skjermbilde|sk.rmbillede|n.ytt.kuva|zrzut ekranu|sn.mek obrazovky|sn.mka obrazovky|k.perny.fot"
        r"|ekran (?:resmi|g.r.nt)|στιγμιότυπο|снимок экрана|знімок екрана|スクリーンショット"
        r"|屏幕快照|屏幕截图|螢幕快照|螢幕截圖|截屏|截图|스크린샷"
        r"|^screen ?(?:clip|cap)|^cleanshot |^scr-\d{8}|^snip\d{8}|^ksnip_|^xnip\d|^flameshot|_scrot(?:\b|_)",
    ),
    (
        "whatsapp",
        r"^whatsapp|whatsapp[ -].{0,16}\d{4}-\d{2}-\d{2}.{1,12}\d[.:-]\d{2}"
        r"|^(?:img|vid|aud|ptt|stk|gif|doc)-\d{8}-wa\d+"
        # other programs write these words small
        r"|^(?:\d{8}-)?(?-i:PHOTO|VIDEO|AUDIO|GIF|STICKER)-\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}(?!\d)",
    ),
    ("signal", r"^signal[-_](?:attachment[-_])?\d{4}-\d{2}-\d{2}"),
    (
        "telegram",
        r"^telegram[-_ ]|^(?:photo|video)_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}|\d@\d{2}-\d{2}-\d{4}_"
        r"|^audio_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}.*\.og[ga]$",
    ),
    ("instagram", r"instagram|(?:^|_)\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}_utc"),
    (
        "scan",
        r"^(?-i:img)\d{8}_\d{8}(?!\d)"  # Epson's; cameras write it large
        r"|^(?:scan(?:ned)?|scn|numérisation|escaneo|scansione|digitalização)(?![a-z])|camscanner|photoscan"
        r"|^(?:adobe|genius|turbo|tap|fast|swift)[ _]?scan|^(?:office|microsoft) lens",
    ),
)
_BY_NAME = tuple((origin, re.compile(pattern, re.IGNORECASE)) for origin, pattern in _NAMES)

_SCREENSHOT_SOFTWARE = re.compile(
    r"screen ?shot|screencapture|spectacle|greenshot|sharex|flameshot|ksnapshot|ksnip|snipping|lightshot"
    r"|snagit|cleanshot|monosnap|shottr|scrot\b|\bmaim\b",
    re.IGNORECASE,
)
_RECORDER_SOFTWARE = re.compile(
    r"screen ?record|screencast|replaykit|kazam|simplescreenrecorder|wf-recorder|screenflow|camtasia"
    r"|bandicam|\bobs\b",
    re.IGNORECASE,
)
_SCAN_SOFTWARE = re.compile(
    r"vuescan|silverfast|scansnap|xsane|simple-scan|camscanner|photoscan|naps2|epson scan"
    r"|mp navigator|paperport|\bscan",
    re.IGNORECASE,
)
# Flatbeds, film scanners and the machines of photo shops.
_SCANNER = re.compile(
    r"canoscan|perfection|scanjet|scansnap|coolscan|opticfilm|dimage scan|flextight|expression \d{4,5}xl"
    r"|\b(?:mg|mp|mx|ts)\d{3,4} series|\bfi-\d{4}|brother (?:mfc|dcp)-|officejet|laserjet|deskjet|frontier"
    r"|\bsp-?[1235]\d{3}\b|noritsu|\bqss-\d\d|\bgt-[xf]\d{3}|\bscan",
    re.IGNORECASE,
)

_MESSENGERS = frozenset(("whatsapp", "signal", "telegram"))  # that carry spoken messages, too

ORIGINS = frozenset(("", "camera", *(origin for origin, _ in _NAMES)))
"""All that `origin` may say."""

# Names that cameras and phones give, for films that do not name their maker.
_CAMERA_NAME = re.compile(
    r"^(?:(?:pxl|mvimg|pano|wp|p|v|win)_\d{8}_|(?:img|vid)_?\d{8}_?\d{6}|\d{8}_\d{6}"
    r"|(?:img|mvi|dsc|mov|vid|sam|sdc|kif|hpim|_mg|_dsc)_?\d{4}|img_e\d{4}|(?:dsc[nf]?|cimg|imgp|pict|dcp_)\d{4}"
    r"|[pr]\d{7}|g[hxopls]\w{2}\d{4}|dji_\d+|c\d{4}|m[ah]h\d{5}|s\d{7}|\d{3}_\d{4}\."
    r"|\d{4}_\d{4}_\d{6}|file\d{6}-\d{6}|\d{5}(?:img|portrait)_\d{5}_burst\d)",
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
    if reading.kind not in ("photo", "raw", "video", "audio"):
        return ""
    text = unicodedata.normalize("NFC", name.decode("utf-8", "replace"))  # macOS takes letters apart
    named = next((found for found, pattern in _BY_NAME if pattern.search(text)), "")
    if reading.kind == "audio":
        return named if named in _MESSENGERS else ""
    if named:
        return "screenrecording" if named == "screenshot" and reading.kind == "video" else named
    return _by_metadata(reading) or _by_camera(text, reading)


def _by_metadata(reading: Reading) -> str:
    if reading.kind == "video" and _RECORDER_SOFTWARE.search(reading.software):
        return "screenrecording"
    if reading.comment.strip().casefold() == "screenshot" or _SCREENSHOT_SOFTWARE.search(reading.software):
        return "screenrecording" if reading.kind == "video" else "screenshot"
    if "instagram" in reading.software.casefold():
        return "instagram"
    if _SCAN_SOFTWARE.search(reading.software) or _SCANNER.search(f"{reading.make} {reading.model}"):
        return "scan"
    return ""


def _by_camera(name: str, reading: Reading) -> str:
    if reading.make or reading.model or reading.kind == "raw":
        return "camera"
    return "camera" if reading.format not in _NOT_BY_CAMERAS and _CAMERA_NAME.match(name) else ""
