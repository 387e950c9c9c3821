"""Reads JPEG 2000 and JPEG XL: size, and Exif, XMP and IPTC in their boxes. Runs in workers.

Sources: ISO/IEC 15444-1, A.5.1 and annex I; ISO/IEC 18181-1, annex D (the image header), and 18181-2
(boxes). A Brotli-compressed box of JPEG XL is not unpacked: nothing of ours can.
"""

from __future__ import annotations

from mediad.media.boxes import XMP_UUID, steps, walk
from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.photoshop import iptc_candidates
from mediad.media.pictures.tiff import Fetch

_EXIF_UUID = b"JpgTiffExif->JP2"
_IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_LONGEST = 1 << 20
_NOT_FOUND = "no picture in it"


def read_jp2(fetch: Fetch, size: int) -> Found:
    """JPEG 2000, as a file of boxes or as a bare codestream."""
    if fetch(0, 2) == b"\xff\x4f":
        found = Found(problem=_NOT_FOUND)
        _siz(fetch(4, 22), found)
        return found
    return _boxed(fetch, size)


def read_jxl(fetch: Fetch, size: int) -> Found:
    """JPEG XL, as a file of boxes or as a bare codestream."""
    if fetch(0, 2) == b"\xff\x0a":
        found = Found(problem=_NOT_FOUND)
        _codestream(fetch(0, 24), found)
        return found
    return _boxed(fetch, size)


def _boxed(fetch: Fetch, size: int) -> Found:
    found = Found(problem=_NOT_FOUND)
    left = steps()
    for name, start, length in walk(fetch, 0, size, left):
        if name == b"jp2h":
            for inner, at, _ in walk(fetch, start, start + length, left):
                if inner == b"ihdr":
                    _sized(found, fetch(at + 4, 4), fetch(at, 4))
        elif name == b"jxlc":
            _codestream(fetch(start, 24), found)
        elif name == b"jxlp" and found.width is None:
            _codestream(fetch(start + 4, 24), found)
        elif length <= _LONGEST:
            _metadata(name, start, length, fetch, found)
    return found


def _metadata(name: bytes, start: int, length: int, fetch: Fetch, found: Found) -> None:
    if name == b"uuid":
        kind = fetch(start, 16)
        data = fetch(start + 16, max(0, length - 16)) if kind in (_EXIF_UUID, XMP_UUID, _IPTC_UUID) else b""
        if kind == _EXIF_UUID:
            found.tags = found.tags or exif.parse_block(data)
        elif kind == XMP_UUID:
            found.xmp = data
        elif kind == _IPTC_UUID:
            found.candidates += iptc_candidates(data)
    elif name == b"Exif":
        data = fetch(start, length)
        found.tags = found.tags or exif.parse_block(data[4 + int.from_bytes(data[:4], "big") :])
    elif name == b"xml ":
        data = fetch(start, length)
        found.xmp = found.xmp or (data if b"ns.adobe.com" in data or b"rdf:RDF" in data else b"")
    elif name == b"brob" and fetch(start, 4) in (b"Exif", b"xml "):
        found.sealed = True


def _siz(data: bytes, found: Found) -> None:
    """The SIZ segment from its length on: the reference grid, and where on it the picture begins."""
    if len(data) == 22:
        right, bottom, left, top = (int.from_bytes(data[at : at + 4], "big") for at in (4, 8, 12, 16))
        if left < right and top < bottom:
            found.width, found.height, found.sound, found.problem = right - left, bottom - top, True, ""


def _sized(found: Found, width: bytes, height: bytes) -> None:
    if len(width) == len(height) == 4:
        found.width, found.height = int.from_bytes(width, "big"), int.from_bytes(height, "big")
        found.sound, found.problem = True, ""


class _Bits:
    """Bits of a JPEG XL codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._bits & (1 << count) - 1
        self._bits >>= count
        return value

    def length(self, *, small: bool) -> int:
        if small:
            return (self.take(5) + 1) * 8
        return self.take((9, 13, 18, 30)[self.take(2)]) + 1


_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def _codestream(data: bytes, found: Found) -> None:
    """SizeHeader, and what of ImageMetadata comes before anything long: the orientation."""
    if len(data) < 5 or data[:2] != b"\xff\x0a":
        return
    bits = _Bits(data[2:])
    small = bool(bits.take(1))
    height = bits.length(small=small)
    over, under = _RATIOS[bits.take(3)]
    width = height * over // under if over else bits.length(small=small)
    found.width, found.height, found.sound, found.problem = width, height, True, ""
    is_default = bits.take(1)
    found.orientation = 1 + bits.take(3) if not is_default and bits.take(1) else 1
