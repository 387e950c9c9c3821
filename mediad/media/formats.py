"""The formats that there are, and which one a name claims. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from mediad.model import Kind


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        name: its short name, the key in `FORMATS`.
        extensions: lower case, with the dot; the first is the canonical one.
    """

    name: str
    kind: Kind
    extensions: tuple[str, ...]
    mime: str


_TABLE: tuple[tuple[str, Kind, str, str], ...] = (
    ("jpeg", "photo", ".jpg .jpeg .jpe .jfif .mpo", "image/jpeg"),
    ("png", "photo", ".png .apng", "image/png"),
    ("gif", "photo", ".gif", "image/gif"),
    ("webp", "photo", ".webp", "image/webp"),
    ("tiff", "photo", ".tif .tiff", "image/tiff"),
    ("heic", "photo", ".heic .heics", "image/heic"),
    ("heif", "photo", ".heif .hif .heifs", "image/heif"),
    ("avif", "photo", ".avif .avifs", "image/avif"),
    ("jxl", "photo", ".jxl", "image/jxl"),
    ("jp2", "photo", ".jp2 .jpx .j2k .jpf", "image/jp2"),
    ("bmp", "photo", ".bmp .dib", "image/bmp"),
    ("psd", "photo", ".psd .psb", "image/vnd.adobe.photoshop"),
    ("cr2", "raw", ".cr2", "image/x-canon-cr2"),
    ("cr3", "raw", ".cr3", "image/x-canon-cr3"),
    ("crw", "raw", ".crw", "image/x-canon-crw"),
    ("nef", "raw", ".nef", "image/x-nikon-nef"),
    ("nrw", "raw", ".nrw", "image/x-nikon-nrw"),
    ("arw", "raw", ".arw", "image/x-sony-arw"),
    ("srf", "raw", ".srf", "image/x-sony-srf"),
    ("dng", "raw", ".dng", "image/x-adobe-dng"),
    ("raf", "raw", ".raf", "image/x-fuji-raf"),
    ("orf", "raw", ".orf", "image/x-olympus-orf"),
    ("rw2", "raw", ".rw2", "image/x-panasonic-rw2"),
    ("pef", "raw", ".pef", "image/x-pentax-pef"),
    ("mrw", "raw", ".mrw", "image/x-minolta-mrw"),
    ("iiq", "raw", ".iiq", "image/x-phaseone-iiq"),
    ("x3f", "raw", ".x3f", "image/x-sigma-x3f"),
    ("kdc", "raw", ".kdc", "image/x-kodak-kdc"),
    ("mp4", "video", ".mp4", "video/mp4"),
    ("mov", "video", ".mov .qt", "video/quicktime"),
    ("m4v", "video", ".m4v", "video/x-m4v"),
    ("3gp", "video", ".3gp .3g2 .3gpp", "video/3gpp"),
    ("mkv", "video", ".mkv", "video/x-matroska"),
    ("webm", "video", ".webm", "video/webm"),
    ("avi", "video", ".avi", "video/x-msvideo"),
    ("mts", "video", ".mts .m2ts .m2t", "video/mp2t"),
    ("mpg", "video", ".mpg .mpeg .vob", "video/mpeg"),
    ("wmv", "video", ".wmv .asf", "video/x-ms-wmv"),
    ("ogv", "video", ".ogv", "video/ogg"),
    ("mp3", "audio", ".mp3", "audio/mpeg"),
    ("m4a", "audio", ".m4a .m4b", "audio/mp4"),
    ("flac", "audio", ".flac", "audio/flac"),
    ("ogg", "audio", ".ogg .oga", "audio/ogg"),
    ("opus", "audio", ".opus", "audio/opus"),
    ("wav", "audio", ".wav", "audio/wav"),
    ("aiff", "audio", ".aiff .aif .aifc", "audio/aiff"),
    ("wma", "audio", ".wma", "audio/x-ms-wma"),
    ("xmp", "sidecar", ".xmp", "application/rdf+xml"),
    ("aae", "sidecar", ".aae", "application/xml"),
    ("thm", "sidecar", ".thm", "image/jpeg"),
    ("lrv", "sidecar", ".lrv .lrf", "video/mp4"),
    ("develop", "sidecar", ".pp3 .arp .dop .cos .on1 .nksc .vrd .acr", "application/octet-stream"),
    ("takeout", "sidecar", ".json", "application/json"),
    ("text", "sidecar", ".txt", "text/plain"),
    ("srt", "sidecar", ".srt", "application/x-subrip"),
)

_COMMON = frozenset({"takeout", "text", "srt"})

FORMATS: dict[str, Format] = {
    name: Format(name, kind, tuple(extensions.split()), mime) for name, kind, extensions, mime in _TABLE
}

# Formats under whose extensions each other's content is no lie: one container, or one told from another by
# its name only. What stands in none is a family of its own.
_FAMILIES: tuple[str, ...] = (
    "heic heif",
    "tiff cr2 cr3 crw nef nrw arw srf dng raf orf rw2 pef mrw iiq x3f kdc",
    "mp4 mov m4v 3gp m4a",
    "mkv webm",
    "mts mpg",
    "wmv wma",
    "ogg opus ogv",
)
_FAMILY = {name: names for names in _FAMILIES for name in names.split()}

_CLAIMS = {extension.encode(): form for form in FORMATS.values() for extension in form.extensions}


def claimed(name: bytes) -> Format | None:
    """The format that a file's name claims by its extension, or None.

    Args:
        name: a file name or path.
    """
    base = name[name.rfind(b"/") + 1 :]
    dot = base.rfind(b".")
    return _CLAIMS.get(base[dot:].lower()) if dot >= 0 else None


def is_common(form: Format) -> bool:
    """Is its extension used for much else, so that without the file it would belong to it is no media?"""
    return form.name in _COMMON


def true_name(name: bytes, found: str) -> bytes:
    """The name with the extension of what is inside, where its own claims another family of formats.

    "a.png" with a JPEG inside is "a.jpg". Relatives are left alone (HEIC and HEIF, MP4 and MOV, TIFF, RAW),
    and so is what claims nothing, or to be a sidecar.

    Args:
        name: a file name or path.
        found: what is inside, a name in `FORMATS`, or "" where it is not known.
    """
    claim, form = claimed(name), FORMATS.get(found)
    if claim is form or claim is None or form is None or "sidecar" in (claim.kind, form.kind):
        return name
    if _FAMILY.get(claim.name, claim.name) == _FAMILY.get(form.name, form.name):
        return name
    return name[: name.rfind(b".")] + form.extensions[0].encode()
