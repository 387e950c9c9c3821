"""What names tell of which files belong together: stems, and the names that sidecars give. PURE.

Cameras, phones and exporters write one shot under several names. What these share is the core; files of one
folder with one core settle together, and `media.companions` decides which of them are a set.

Sources: Design rule for Camera File system (JEITA CP-3461); Apple's DCF names (IMG_E1234 is the edited
IMG_1234, IMG_O1234.AAE describes what it was made from); GoPro's file naming convention (GL010001.LRV is the
small copy of GX010001.MP4 or GH010001.MP4); Canon's sound memos (SND_1234.WAV); Pixel's parts of one shot
(PXL_..., .MP, .RAW-01.COVER, .PORTRAIT-02.ORIGINAL); Google Takeout, which is not documented, as those found
it who wrote importers for it (immich-go, Google Photos Takeout Helper).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import NamedTuple

from mediad.media.formats import FORMATS

_SIDECARS = frozenset(end for form in FORMATS.values() if form.kind == "sidecar" for end in form.extensions)
_MEDIA = frozenset(
    (".mp", *(end for form in FORMATS.values() if form.kind != "sidecar" for end in form.extensions))
)
_TAKEOUT = ".json"
_SUPPLEMENTAL = ".supplemental-metadata"
_LONGEST = (
    46  # UTF-16 units of a name that Takeout keeps in that of its description; of a file's own stem, 47
)

_COUNTER = re.compile(r"\([0-9]{1,5}\)$")
# As the languages of Europe and Asia say it; nobody has a list, and some of these are only likely.
_WORDS = (
    "edited|bearbeitet|bewerkt|editado|editada|ha editado|editat|editată|edytowane|edytowany|modificato"
    "|modificata|modifié|modifiée|muokattu|redigerad|redigerat|redigeret|redigert|breytt|upravené|upraveno"
    "|upravený|szerkesztett|szerkesztve|uređeno|urejeno|muudetud|redaguota|rediģēts|düzenlendi|diedit"
    "|đã chỉnh sửa|изменено|измененный|отредактировано|редактирано|змінено|відредаговано|επεξεργασμένο"
    "|επεξεργασμένη|編集済み|编辑|已编辑|修改|已修改|已編輯|編輯|편집됨|수정됨"
    "|แก้ไขแล้ว|แก้ไข|संपादित|تم التعديل|معدل|נערך|ערוך"
)
_EDITED = re.compile(
    "-(?:{})$".format("|".join({unicodedata.normalize(form, _WORDS) for form in ("NFC", "NFD")})),
    re.IGNORECASE,
)
_PIXEL = re.compile(r"(PXL_[0-9]{8}_[0-9]{9})((?:\.(?!BURST)[A-Z_]+(?:-[0-9]{2})?)+)$", re.IGNORECASE)
_CAMERA = re.compile(
    r"(?P<apple>IMG_(?P<part>[EO]))(?=[0-9]{4})"
    r"|(?P<canon>SND_|_MG_)(?=[0-9]{4}(?![0-9]))"
    r"|(?P<gopro>G[HLX])(?=[0-9]{6}(?![0-9]))",
    re.IGNORECASE,
)
_INITIALS = frozenset(
    "iIsS_gG"
)  # with what the above begin: a look at one character spares most names the rest


class Name(NamedTuple):
    """A file's name, taken apart; all in its own case and form.

    Attributes:
        core: the stem that it shares with files of one shot, see `key`.
        part: what sets it apart from others of that core ("E", "-edited", ".RAW-01.COVER"), else "".
        extension: with its dot; "" for none.
        base: of media its name, of a sidecar the full name of the file that it tells of, else ""; without
            counter.
        counter: "(1)" of "x(1).jpg" and "x.jpg(1).json", else "".
        cut: `base` is only the beginning of that name.
    """

    core: str
    part: str
    extension: str
    base: str
    counter: str
    cut: bool = False

    def names(self, media: Name) -> bool:
        """Does this sidecar give this file's full name?"""
        mine, other = fold(self.base), fold(media.base)
        same = other.startswith(mine) if self.cut else mine == other
        return bool(mine) and same and self.counter == media.counter

    def owner(self, extension: str) -> str:
        """What the file is called that this one belongs to.

        Args:
            extension: that file's, as far as this name does not tell.
        """
        stem, dot, end = self.base.rpartition(".")
        if self.extension.lower() in _SIDECARS and self.base and not self.cut:
            return f"{stem}{self.counter}{dot}{end}"
        return self.core + extension


@functools.lru_cache(1024)  # each path is asked about some times in a row
def key(path: bytes) -> bytes:
    """Folder and case-folded core: what files of one folder share that may belong together.

    "a/X.jpg", "a/x.JPG.xmp", "a/x.xmp", "a/x-edited.jpg", "a/x.jpg.supplemental-me.json" give the same key.
    Cheap: called for every file seen.

    Args:
        path: any bytes, "/"-separated.
    """
    at = path.rfind(b"/") + 1
    core = parse(path[at:]).core
    folded = core.lower() if core.isascii() else fold(core)
    return path[:at] + folded.encode("utf-8", "surrogateescape")


def fold(text: str) -> str:
    """Case-folded and composed (NFC), as names are compared everywhere; invalid UTF-8 is kept."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def parse(name: bytes) -> Name:
    """Takes a name apart.

    Args:
        name: without its folder.
    """
    text = name.decode("utf-8", "surrogateescape")
    dot = text.rfind(".")
    if dot <= 0:
        return Name(text, "", "", text, "")
    stem, extension = text[:dot], text[dot:]
    lower = extension.lower()
    if lower in _SIDECARS:
        return _takeout(stem, extension) if lower == _TAKEOUT else _sidecar(stem, extension)
    stem, counter = _counted(stem)
    core, part = _core(stem)
    return Name(core + counter, part, extension, stem + extension, counter)


def _sidecar(stem: str, extension: str) -> Name:
    """x.xmp, or x.jpg.xmp; but "x.2.xmp" has no other extension than the last."""
    inner = stem.rfind(".")
    named = inner > 0 and stem[inner:].lower() in _MEDIA
    bare, counter = _counted(stem[:inner] if named else stem)
    core, part = _core(bare)
    return Name(core + counter, part, extension, bare + stem[inner:] if named else "", counter)


def _takeout(stem: str, extension: str) -> Name:
    """x.jpg.json, x.jpg(1).json, x.jpg.supplemental-metadata.json, cut anywhere, or x.json."""
    base, counter = _counted(stem)
    dot = base.rfind(".")
    if dot > 0 and _SUPPLEMENTAL.startswith(base[dot:].lower()) and _ends_as_media(base[:dot]):
        base = base[:dot]
    if _ends_as_media(base):
        bare, _, end = base.rpartition(".")
        bare, own = _counted(bare)  # x(1).jpg.json
        core, part = _core(bare)
        counter = own or counter
        return Name(core + counter, part, extension, f"{bare}.{end}", counter)
    cut = _LONGEST - 1 <= _units(base) <= _LONGEST
    bare = base
    if cut and dot > 0 and any(end.startswith(base[dot:].lower()) for end in _MEDIA):
        bare = base[:dot]
    core, part = _core(bare)
    return Name(core + counter, part, extension, base if cut else "", counter, cut)


def _ends_as_media(name: str) -> bool:
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in _MEDIA


def _counted(stem: str) -> tuple[str, str]:
    if stem[-1:] != ")" or (match := _COUNTER.search(stem)) is None or not match.start():
        return stem, ""
    return stem[: match.start()], match[0]


def _core(stem: str) -> tuple[str, str]:
    """What a stem shares with others of its shot, and what sets it apart from them."""
    part = ""
    if "-" in stem and (edited := _EDITED.search(stem)) is not None and edited.start():
        stem, part = stem[: edited.start()], edited[0]
    if len(stem) > _LONGEST // 2:
        stem = _shortened(stem)
    if "." in stem and (pixel := _PIXEL.match(stem)) is not None:
        return pixel[1], part or pixel[2]
    if stem[:1] in _INITIALS and (camera := _CAMERA.match(stem)) is not None:
        rest = stem[camera.end() :]
        if camera["apple"]:
            return stem[:4] + rest, part or camera["part"]
        return ("IMG_" if camera["canon"] else "GX") + rest, part
    return stem, part


def _shortened(stem: str) -> str:
    """A stem as long as Takeout makes them, without what its description's name has no room for."""
    units = _units(stem)
    if not _LONGEST < units <= _LONGEST + (1 if stem.isascii() else 2):
        return stem
    while _units(stem) > _LONGEST:
        stem = stem[:-1]
    return stem


def _units(text: str) -> int:
    """Its length in UTF-16 units, in which Takeout counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
