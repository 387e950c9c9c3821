"""What of a file made of boxes is the picture: HEIC, HEIF, AVIF, JPEG XL, JPEG 2000, CR3. Runs in workers."""

from __future__ import annotations

from collections.abc import Iterator

from mediad.media.boxes import walk
from mediad.media.found import Window
from mediad.media.prints.content import Content
from mediad.media.prints.ffmpeg import Failed

_MOST_ITEMS = 65536
_MOST_EXTENTS = 1 << 18  # of all items together
_MOST_TIMES = 4  # items may share bytes, but not many the whole file
_LONGEST_META = 16 << 20
_METADATA = frozenset((b"Exif", b"mime", b"uri "))
_DERIVED = frozenset((b"grid", b"iovl", b"iden", b"tmap"))  # how the others make a picture
_JXL_HEADER = 64  # bytes that may be the same in all pictures of a size; thin air
_MOST_SEGMENTS = 1000


def boxes(content: Content, *wanted: bytes) -> None:
    """The content of the wanted boxes at the top; a bare codestream is all content.

    A part of a JPEG XL codestream begins with its number (ISO/IEC 18181-2, 9), which is left out.
    """
    window, size = content.window, content.size
    header = 0 if b"mdat" in wanted else _JXL_HEADER
    if window(4, 4) not in (b"ftyp", b"JXL ", b"jP  "):
        _picture(content, 0, size, header)
        return
    for name, start, length in walk(window, 0, size):
        if name in wanted:
            skipped = 4 if name == b"jxlp" else 0
            _picture(content, start + skipped, length - skipped, header)
            header = 0


def _picture(content: Content, start: int, length: int, header: int) -> None:
    """A codestream, of which the header alone is no picture."""
    if content.window(start, 2) == b"\xff\x4f":
        header = _jp2_header(content, start)
    content.describe(start, min(header, length))
    content.copy(start + header, length - header)


def _jp2_header(content: Content, start: int) -> int:
    """How long it is before the first data (ISO/IEC 15444-1, A.2): SOC, segments, SOD."""
    offset = start + 2
    for _ in range(_MOST_SEGMENTS):
        head = content.window(offset, 4)
        if head[:2] == b"\xff\x93":
            return offset + 2 - start
        if len(head) < 4 or head[0] != 0xFF:
            break
        offset += 2 + int.from_bytes(head[2:], "big")
    return content.size


def heif(content: Content) -> None:
    """The items of a picture but Exif and XMP, by their numbers (ISO/IEC 14496-12, 8.11).

    Raises:
        Failed: its items have more parts, or are longer together, than any honest file's.
    """
    seen = set()  # a file has one of each
    for name, start, length in walk(content.window, 0, content.size):
        if name == b"meta" and name not in seen:
            _items(content, start + 4, min(length - 4, _LONGEST_META))
        elif name == b"moov" and name not in seen:
            _movie(content)
        seen.add(name)


def _movie(content: Content) -> None:
    """A sequence of pictures keeps its samples in mdat."""
    for name, start, length in walk(content.window, 0, content.size):
        if name == b"mdat":
            content.copy(start, length)


def _items(content: Content, start: int, length: int) -> None:
    types: dict[int, bytes] = {}
    places: dict[int, list[tuple[int, int]]] = {}
    in_meta = {name: (at, size) for name, at, size in walk(content.window, start, start + length)}
    if b"iinf" in in_meta:
        types = dict(_types(content.window, *in_meta[b"iinf"]))
    if b"iloc" in in_meta:
        at, size = in_meta[b"iloc"]
        idat = in_meta.get(b"idat", (0, 0))[0]
        places = dict(_places(content.window(at, size), idat))
    left = _MOST_TIMES * content.size
    for item in sorted(places):
        if types.get(item, b"mime") not in _METADATA:
            content.frame(item)
            add = content.describe if types.get(item) in _DERIVED else content.copy
            for offset, many in places[item]:
                length = min(many or content.size, max(0, content.size - offset))
                left -= length
                if left < 0:
                    raise Failed("its items lie over each other")
                add(offset, length)


def _types(window: Window, start: int, length: int) -> Iterator[tuple[int, bytes]]:
    """Number and type of each item (8.11.6)."""
    skipped = 6 if window(start, 1) == b"\0" else 8
    for name, at, size in _children(window, start + skipped, start + length):
        version = window(at, 1)
        if name == b"infe" and version in (b"\2", b"\3") and size >= 12:
            wide = 2 if version == b"\2" else 4
            data = window(at + 4, wide + 6)
            yield int.from_bytes(data[:wide], "big"), data[wide + 2 : wide + 6]


def _children(window: Window, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MOST_ITEMS):
        head = window(start, 8)
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or length < 8 or start + length > end:
            return
        yield head[4:], start + 8, length - 8
        start += length


def _places(data: bytes, idat: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Number and extents of each item that lies in this file (8.11.3)."""
    if len(data) < 8:
        return
    version, reader = data[0], _Numbers(data, 4)
    widths = reader.take(2)
    of_offset, of_length, of_base, of_index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    count = reader.take(4 if version == 2 else 2)
    left = _MOST_EXTENTS
    for _ in range(min(count, _MOST_ITEMS)):
        item = reader.take(4 if version == 2 else 2)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)  # data reference: files elsewhere are never opened
        base = reader.take(of_base) + (idat if method == 1 else 0)
        extents = []
        many = reader.take(2)
        left -= many
        if left < 0:
            raise Failed("it has too many parts")
        for _ in range(many):
            reader.take(of_index if version else 0)
            offset, length = reader.take(of_offset), reader.take(of_length)
            extents.append((base + offset, length))
        if reader.is_over:
            return
        if method < 2:
            yield item, extents


class _Numbers:
    """Reads numbers one after the other; zeros behind the end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    @property
    def is_over(self) -> bool:
        return self._at > len(self._data)

    def take(self, width: int) -> int:
        self._at += width
        return int.from_bytes(self._data[self._at - width : self._at], "big")
