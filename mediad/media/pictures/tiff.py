"""TIFF structures that may lie about anything: their directories, and the wanted values in them. PURE.

Sources: TIFF 6.0, section 2; BigTIFF; TIFF Technical Note 1 for directories inside others. Every read is
bounded: a directory has at most some thousand entries, a value at most `_LONGEST` bytes, and no directory is
followed twice. What does not fit is left out, and the rest is read all the same.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

Fetch = Callable[[int, int], bytes]
"""`fetch(offset, length)`: those bytes, fewer at the end."""

Value = bytes | tuple[int, ...] | tuple[float, ...]

_MOST_ENTRIES = 2000
_LONGEST = 1 << 20

# TIFF 6.0, section 2 and BigTIFF: a type's size and how struct reads it ("" for bytes as they are).
_TYPES = {
    1: (1, ""),
    2: (1, ""),
    3: (2, "H"),
    4: (4, "I"),
    5: (8, "II"),
    7: (1, ""),
    13: (4, "I"),
    16: (8, "Q"),
    18: (8, "Q"),
}
_RATIONAL = 5
_UNDEFINED = 7


@dataclass(frozen=True, slots=True)
class Layout:
    """How a structure is laid out.

    Attributes:
        order: "<" or ">". first: where the first directory lies.
        count, entry: formats of the number of entries, and of an entry's tag, type and number of values.
        word: bytes of a value that stands in the entry itself, and of an offset.
    """

    order: str
    first: int
    count: str
    entry: str
    word: int

    @classmethod
    def of(cls, header: bytes) -> Layout | None:
        """The layout that a header tells, of which 16 bytes are wanted, or None."""
        if len(header) < 8 or header[:2] not in (b"II", b"MM"):
            return None
        order = "<" if header[:2] == b"II" else ">"
        (magic,) = struct.unpack_from(order + "H", header, 2)
        if magic == 43 and len(header) == 16:  # BigTIFF
            (first,) = struct.unpack_from(order + "Q", header, 8)
            return cls(order, first, "Q", "HHQ", 8)
        if magic in (42, 0x4F52, 0x5352, 0x55):  # TIFF, and what Olympus and Panasonic made of it
            (first,) = struct.unpack_from(order + "I", header, 4)
            return cls(order, first, "H", "HHI", 4)
        return None


class Directories:
    """Reads directories, each once.

    Attributes:
        sound: False once something in the structure was impossible.
    """

    def __init__(self, fetch: Fetch, start: int, layout: Layout) -> None:
        """Nothing is read yet.

        Args:
            fetch: gives bytes.
            start: where the structure begins; all offsets count from there.
        """
        self.sound = True
        self._fetch = fetch
        self._start = start
        self._order = layout.order
        self._word = layout.word
        self._count = struct.Struct(layout.order + layout.count)
        self._head = struct.Struct(layout.order + layout.entry)
        self._pointer = struct.Struct(layout.order + ("Q" if layout.word == 8 else "I"))
        self._seen: set[int] = set()

    def read(self, offset: int, wanted: frozenset[int]) -> dict[int, Value]:
        """One directory's wanted values; the first of several equal tags counts."""
        found: dict[int, Value] = {}
        table = self._table(offset)
        size = self._head.size + self._word
        unpack = self._head.unpack_from
        for at in range(0, len(table) - size + 1, size):
            tag, kind, number = unpack(table, at)
            if tag in wanted and tag not in found:
                value = self._value(kind, number, table[at + self._head.size : at + size])
                if value is not None:
                    found[tag] = value
        return found

    def following(self, offset: int) -> int:
        """Where the directory lies that comes behind the one at `offset` in its chain, or 0."""
        counted = self._fetch(self._start + offset, self._count.size)
        if len(counted) < self._count.size:
            return 0
        (count,) = self._count.unpack(counted)
        if count > _MOST_ENTRIES:
            return 0
        at = offset + self._count.size + count * (self._head.size + self._word)
        pointer = self._fetch(self._start + at, self._word)
        return int(self._pointer.unpack(pointer)[0]) if len(pointer) == self._word else 0

    def place(self, offset: int, wanted: int) -> tuple[int, int]:
        """Where a long value of a directory lies in the file, and its length in bytes; else zeros."""
        self._seen.discard(offset)
        table, size = self._table(offset), self._head.size + self._word
        for at in range(0, len(table) - size + 1, size):
            tag, kind, number = self._head.unpack_from(table, at)
            length = _TYPES.get(kind, (0, ""))[0] * number
            if tag == wanted and length > self._word:
                return self._start + self._pointer.unpack_from(table, at + self._head.size)[0], length
        return 0, 0

    def _table(self, offset: int) -> bytes:
        """The entries of a directory, as far as they are there."""
        if offset in self._seen or not 0 < offset < 1 << 48:
            self.sound = False
            return b""
        self._seen.add(offset)
        counted = self._fetch(self._start + offset, self._count.size)
        if len(counted) < self._count.size:
            self.sound = False
            return b""
        (count,) = self._count.unpack(counted)
        size = self._head.size + self._word
        table = self._fetch(self._start + offset + self._count.size, min(count, _MOST_ENTRIES) * size)
        if len(table) < count * size:
            self.sound = False
        return table

    def _value(self, kind: int, number: int, inline: bytes) -> Value | None:
        unit, code = _TYPES.get(kind, (0, ""))
        length = unit * number
        if not unit or length > _LONGEST:
            # What is of no type may be long: Phase One keeps the picture itself in its maker note.
            self.sound = self.sound and (length <= _LONGEST or kind == _UNDEFINED)
            return None
        if length > self._word:
            (offset,) = self._pointer.unpack(inline)
            data = self._fetch(self._start + offset, length) if offset < 1 << 48 else b""
            if len(data) < length:
                self.sound = False
        else:
            data = inline[:length]
        return self._decode(kind, unit, code, data) if code else data

    def _decode(self, kind: int, unit: int, code: str, data: bytes) -> Value | None:
        many = min(len(data) // unit, 16)
        numbers = struct.unpack_from(self._order + code * many, data)
        if kind != _RATIONAL:
            return numbers or None
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return tuple(top / bottom if bottom else 0.0 for top, bottom in pairs) or None
