"""What of a TIFF or RAW file is the picture. Runs in workers.

Where makers keep it: ExifTool's tables and documentation of each format.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mediad.media.pictures.tiff import Layout
from mediad.media.prints.content import Content

_MOST_DIRECTORIES = 64
_MOST_ENTRIES = 2000
_MOST_NUMBERS = 1_000_000  # in all directories together

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS = 0xFE, 0x100, 0x101, 0x102, 0x103, 0x106
_STRIPS, _STRIP_COUNTS, _TILES, _TILE_COUNTS = 0x111, 0x117, 0x144, 0x145
_JPEG, _JPEG_LENGTH = 0x201, 0x202
_SUBDIRECTORIES = 0x14A
_RW2_STRIPS = 0x118
_X3F_HEADER, _X3F_JPEG = 28, b"\x12\0\0\0"
_SHAPE = (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS)
_UNITS = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 13: (4, "I"), 16: (8, "Q"), 18: (8, "Q")}

_Directory = dict[int, tuple[int, ...]]


def tiff(content: Content) -> None:
    """Strips and tiles of all directories (TIFF 6.0; BigTIFF), but those that only hold a smaller copy."""
    layout = Layout.of(content.window(0, 16))
    if layout is None:
        return
    found = _Structure(content, layout).directories()
    whole = [directory for directory in found if not directory.get(_SUBFILE, (0,))[0] & 1]
    for directory in whole if any(map(_has_pixels, whole)) else found:
        _pixels(content, directory)
    if not content.digest():
        for directory in found:
            for offset, length in _pairs(directory, _JPEG, _JPEG_LENGTH):
                content.copy(offset, length)


def _has_pixels(directory: _Directory) -> bool:
    return not directory.keys().isdisjoint((_STRIPS, _TILES, _RW2_STRIPS))


def _pixels(content: Content, directory: _Directory) -> None:
    if not _has_pixels(directory):
        return
    content.frame(*(number for tag in _SHAPE for number in directory.get(tag, ())[:4]))
    if _RW2_STRIPS in directory:  # Panasonic: the strip's own offset is unused, its length often wrong
        content.copy(directory[_RW2_STRIPS][0], content.size)
        return
    for offsets, counts in ((_STRIPS, _STRIP_COUNTS), (_TILES, _TILE_COUNTS)):
        for offset, length in _pairs(directory, offsets, counts):
            content.copy(offset, length)


def _pairs(directory: _Directory, offsets: int, counts: int) -> list[tuple[int, int]]:
    return list(zip(directory.get(offsets, ()), directory.get(counts, ()), strict=False))


@dataclass(slots=True)
class _Structure:
    content: Content
    layout: Layout
    left: int = _MOST_NUMBERS

    def directories(self) -> list[_Directory]:
        """All directories of the chain and below it, in the order in which they are named."""
        found: list[_Directory] = []
        seen: set[int] = set()
        ahead = [self.layout.first]
        while ahead and len(seen) < _MOST_DIRECTORIES:
            offset = ahead.pop(0)
            if offset in seen or not 0 < offset < self.content.size:
                continue
            seen.add(offset)
            directory, following = self._read(offset)
            found.append(directory)
            ahead = [*directory.get(_SUBDIRECTORIES, ())[:_MOST_DIRECTORIES], following, *ahead]
        return found

    def _read(self, offset: int) -> tuple[_Directory, int]:
        """One directory's numbers, and where the next one lies."""
        order, word = self.layout.order, self.layout.word
        window = self.content.window
        of_count, head = struct.calcsize(order + self.layout.count), struct.Struct(order + self.layout.entry)
        count = min(self._number(window(offset, of_count)), _MOST_ENTRIES)
        size = head.size + word
        table = window(offset + of_count, count * size + word)
        found: _Directory = {}
        for at in range(0, min(count * size, len(table) - size + 1), size):
            tag, kind, many = head.unpack_from(table, at)
            if tag in _WANTED and tag not in found:
                found[tag] = self._values(kind, many, table[at + head.size : at + size])
        return {tag: values for tag, values in found.items() if values}, self._number(table[count * size :])

    def _values(self, kind: int, many: int, inline: bytes) -> tuple[int, ...]:
        unit, code = _UNITS.get(kind, (0, ""))
        many = min(many, self.left)
        length = unit * many
        if not unit:
            return ()
        self.left -= many
        data = inline if length <= len(inline) else self.content.window(self._number(inline), length)
        return struct.unpack_from(f"{self.layout.order}{min(length, len(data)) // unit}{code}", data)

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.layout.order == "<" else "big")


_WANTED = frozenset(
    {_SUBFILE, *_SHAPE, _STRIPS, _STRIP_COUNTS, _TILES, _TILE_COUNTS, _JPEG, _JPEG_LENGTH}
    | {_SUBDIRECTORIES, _RW2_STRIPS}
)


def raf(content: Content) -> None:
    """Fujifilm: the header says where the sensor's data lie."""
    offset, length = struct.unpack(">II", content.window(100, 8).ljust(8, b"\0"))
    content.copy(offset, length)


def mrw(content: Content) -> None:
    """Minolta: the sensor's data follow the first block, whose length stands behind its name."""
    start = 8 + int.from_bytes(content.window(4, 4), "big")
    content.copy(start, content.size - start)


def x3f(content: Content) -> None:
    """Sigma: the image sections of the directory, which lies where the last four bytes say.

    A section has a header of 28 bytes, whose third number says how it is packed: the JPEG among them is the
    preview, which has the metadata in it.
    """
    start = int.from_bytes(content.window(max(0, content.size - 4), 4), "little")
    if content.window(start, 4) != b"SECd":
        return
    count = int.from_bytes(content.window(start + 8, 4), "little")
    for number in range(min(count, _MOST_ENTRIES)):
        entry = content.window(start + 12 + 12 * number, 12)
        at, length = int.from_bytes(entry[:4], "little"), int.from_bytes(entry[4:8], "little")
        if entry[8:] in (b"IMAG", b"IMA2") and content.window(at + 12, 4) != _X3F_JPEG:
            content.describe(at, _X3F_HEADER)
            content.copy(at + _X3F_HEADER, length - _X3F_HEADER)


def crw(content: Content) -> None:
    """Canon: the record of the sensor's data (0x2005) in the directory at the end (CIFF 1.0, 4)."""
    order = "<" if content.window(0, 2) == b"II" else ">"
    (heap,) = struct.unpack(order + "I", content.window(2, 4).ljust(4, b"\0"))
    (directory,) = struct.unpack(order + "I", content.window(max(0, content.size - 4), 4).ljust(4, b"\0"))
    (count,) = struct.unpack(order + "H", content.window(heap + directory, 2).ljust(2, b"\0"))
    table = content.window(heap + directory + 2, 10 * min(count, _MOST_ENTRIES))
    for tag, length, offset in struct.iter_unpack(order + "HII", table[: len(table) // 10 * 10]):
        if tag & 0x3FFF == 0x2005:
            content.copy(heap + offset, length)
