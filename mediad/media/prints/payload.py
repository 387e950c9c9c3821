"""The payload of a file: a digest of its content without its metadata. Runs in workers.

Two files have the same payload if only their metadata differs: Exif, XMP, tags, cover art, colour profiles,
orientation, the order and padding of their containers. A picture that was compressed anew has another one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from mediad.media.formats import FORMATS
from mediad.media.pictures.tiff import Fetch
from mediad.media.prints import payload_pictures, payload_raw, payload_sound
from mediad.media.prints.content import Content
from mediad.media.prints.ffmpeg import Failed, Source
from mediad.media.prints.payload_heif import boxes, heif

_WALKERS: dict[str, Callable[[Content], None]] = {
    "jpeg": payload_pictures.jpeg,
    "png": payload_pictures.png,
    "gif": payload_pictures.gif,
    "webp": payload_pictures.webp,
    "psd": payload_pictures.psd,
    "bmp": payload_pictures.bmp,
    "jxl": lambda content: boxes(content, b"jxlc", b"jxlp"),
    "jp2": lambda content: boxes(content, b"jp2c"),
    "cr3": lambda content: boxes(content, b"mdat"),
    **dict.fromkeys(("heic", "heif", "avif"), heif),
    **dict.fromkeys(
        ("tiff", "dng", "cr2", "nef", "nrw", "arw", "srf", "orf", "rw2", "pef", "iiq", "kdc"),
        payload_raw.tiff,
    ),
    "raf": payload_raw.raf,
    "mrw": payload_raw.mrw,
    "x3f": payload_raw.x3f,
    "crw": payload_raw.crw,
    "mp3": payload_sound.mp3,
    "flac": payload_sound.flac,
    **dict.fromkeys(("ogg", "opus"), payload_sound.ogg),
    "wav": payload_sound.wav,
    "aiff": payload_sound.aiff,
}
_BY_FFMPEG = frozenset({"m4a", "wma"} | {name for name, form in FORMATS.items() if form.kind == "video"})
_NOTHING = hashlib.sha256().hexdigest().encode()
_STREAM = re.compile(rb"^\d+,([va]),SHA256=([0-9a-f]{64})$", re.MULTILINE)


def payload(fetch: Fetch, size: int, form: str, source: Source, deadline: float) -> bytes:
    """SHA-256 of a file's content without its metadata, b"" where it has none that we know.

    Args:
        fetch: gives bytes of the file. size: its length.
        form: the name of its format. source: the same file, for ffmpeg.
        deadline: `time.monotonic()` after which reading is given up.

    Raises:
        Failed: it took too long, or ffmpeg could not read it.
    """
    if form in _BY_FFMPEG:
        return _streams(source)
    walk = _WALKERS.get(form)
    if walk is None:
        return b""
    content = Content(fetch, size, deadline)
    walk(content)
    return content.digest()


def _streams(source: Source) -> bytes:
    """Of pictures and sound as they are packed: one copied into another container has the same.

    Not into every one: MTS, AVI and MPG pack some streams differently. Subtitles, chapters, cover art and
    positions are metadata here. A recording that was broken off may have streams with nothing in them.
    """
    told = source.convert(source.copied("streamhash", hash="sha256"))
    streams = _STREAM.findall(told)
    if not streams:
        raise Failed("there are no streams in it that ffmpeg knows")
    kinds = {kind for kind, _ in streams}
    streams = [(kind, digest) for kind, digest in streams if digest != _NOTHING]
    if not streams or (b"v" in kinds and b"v" not in {kind for kind, _ in streams}):
        raise Failed("there is nothing in its streams")
    return hashlib.sha256(b",".join(kind + digest for kind, digest in streams)).digest()
