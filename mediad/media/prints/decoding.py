"""Decodes pictures, bounded in memory, as small as they are wanted. Runs in workers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO, BinaryIO

from PIL import Image, ImageOps

from mediad.media.pictures.tiff import Fetch
from mediad.media.prints.ffmpeg import Failed
from mediad.media.prints.looks import flat

_PILLOW = {
    "jpeg": ("JPEG", "MPO"),
    "png": ("PNG",),
    "gif": ("GIF",),
    "webp": ("WEBP",),
    "tiff": ("TIFF",),
    "avif": ("AVIF",),
    "jp2": ("JPEG2000",),
    "bmp": ("BMP",),
    "psd": ("PSD",),
}
_HEIF = frozenset({"heic", "heif"})

_ENOUGH = 256  # pixels of a side that are wanted
_MOST_PIXELS = 100_000_000  # decoded to the full; JPEG is decoded to an eighth
_LARGEST_HEIF = 256 << 20  # libheif wants the whole file in memory
_LARGEST_PREVIEW = 64 << 20
_BLOCK = 4 << 20
_MOST_PREVIEWS = 64
_MOST_SEGMENTS = 100
_ORIENTATION = 0x0112

# SOI, and a marker with which a JPEG goes on (T.81, B.1.1.3): tables, comments, application data, frames.
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0\xc4\xdb\xdd\xe0-\xef\xfe]")
_DECODABLE = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; RAW pixels themselves are lossless, 0xC3
_OTHER_FRAMES = frozenset({*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC})


def decodable(form: str) -> bool:
    """Whether `decode` knows a format."""
    return form in _PILLOW or form in _HEIF


def decode(file: BinaryIO, form: str, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture the right way up, in RGB, perhaps smaller, and its width and height as shown.

    Its values stand as they are; `info` has its "icc_profile".

    Args:
        file: open for reading and seekable. form: one that is `decodable`. size: bytes.

    Raises:
        Failed: it is too large. What Pillow and libheif raise over broken files passes through.
    """
    file.seek(0)
    if form in _HEIF:
        return _shown(_open_heif(file, size), turned=True)
    return _shown(_open(file, _PILLOW[form]), turned=False)


def _open(file: IO[bytes], formats: tuple[str, ...]) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None  # Pillow looks before a JPEG is reduced; `_shown` looks behind
    return Image.open(file, formats=formats)


def _open_heif(file: BinaryIO, size: int) -> Image.Image:
    if size > _LARGEST_HEIF:
        raise Failed("it is too large to be decoded")
    import pi_heif  # loaded only where such a file comes: it costs memory and start-up time

    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    pi_heif.options.DECODE_THREADS = 1
    heif = pi_heif.open_heif(io.BytesIO(file.read(size)), convert_hdr_to_8bit=True)
    if heif.size[0] * heif.size[1] > _MOST_PIXELS:
        raise Failed("it is too large to be decoded")
    picture = Image.frombytes(heif.mode, heif.size, bytes(heif.data), "raw", heif.mode, heif.stride)
    picture.info["icc_profile"] = heif.info.get("icc_profile")
    return picture


def _shown(
    picture: Image.Image, *, turned: bool, orientation: int = 1
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture turned as it is to be shown.

    Args:
        turned: its decoder has turned it.
        orientation: the Exif orientation to go by where the picture states none.
    """
    width, height = picture.size
    picture.draft("RGB", (_ENOUGH, _ENOUGH))
    if picture.size[0] * picture.size[1] > _MOST_PIXELS:
        raise Failed("it is too large to be decoded")
    picture.load()
    tags = picture.getexif()
    small = flat(_reduced(picture))
    if not turned:
        value = tags.get(_ORIENTATION, orientation)
        small.getexif()[_ORIENTATION] = value if value in range(1, 9) else 1
        small = ImageOps.exif_transpose(small)
        width, height = (height, width) if value in (5, 6, 7, 8) else (width, height)
    small.info["icc_profile"] = picture.info.get("icc_profile")
    return small, (width, height)


def _reduced(picture: Image.Image) -> Image.Image:
    """A large picture made smaller before anything else: each copy of it costs memory."""
    times = min(picture.size) // (2 * _ENOUGH)
    return picture.reduce(times) if times > 1 and picture.mode in ("L", "RGB", "RGBA", "CMYK") else picture


def decode_raw(fetch: Fetch, size: int, orientation: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """The largest JPEG in a RAW file, as shown, and its width and height as shown.

    Every maker has a place of its own for it, and all of them write plain JPEG: it is searched for.

    Args:
        orientation: that of the RAW file, for previews that state none.

    Raises:
        Failed: there is none.
    """
    previews = [
        (width * height, offset) for offset in _starts(fetch, size) for width, height in _frame(fetch, offset)
    ]
    if not previews:
        raise Failed("there is no preview in it")
    _, offset = max(previews)
    data = fetch(offset, min(size - offset, _LARGEST_PREVIEW))
    return _shown(_open(io.BytesIO(data), _PILLOW["jpeg"]), turned=False, orientation=orientation or 1)


def _starts(fetch: Fetch, size: int) -> Iterator[int]:
    """Where something in the file begins as a JPEG does."""
    found = 0
    for start in range(0, size, _BLOCK):
        for match in _JPEG.finditer(fetch(start, _BLOCK + 3)):
            found += 1
            if found > _MOST_PREVIEWS:
                return
            yield start + match.start()


def _frame(fetch: Fetch, offset: int) -> Iterator[tuple[int, int]]:
    """Width and height of the JPEG there, once; nothing if it is none that can be decoded."""
    offset += 2
    for _ in range(_MOST_SEGMENTS):
        head = fetch(offset, 9)
        if len(head) < 9 or head[0] != 0xFF or head[1] == 0xDA or head[1] in _OTHER_FRAMES:
            return
        if head[1] in _DECODABLE:
            height, width = int.from_bytes(head[5:7], "big"), int.from_bytes(head[7:9], "big")
            if head[4] == 8 and width and height:
                yield width, height
            return
        offset += 2 + int.from_bytes(head[2:4], "big")
