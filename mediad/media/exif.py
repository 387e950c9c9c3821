"""Exif: the tags we want out of a TIFF structure that may lie about anything. PURE.

Sources: TIFF 6.0, section 2; BigTIFF; CIPA DC-008 (Exif 2.32), 4.6. Every read is bounded: a directory has
at most some thousand entries, a value at most `_LONGEST` bytes, and no directory is followed twice. What
does not fit is left out, and the rest is read all the same.

Written here because this is the hot path of every import: reading only what is wanted, it is several times
faster than a general reader, and it survives what makes those give up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mediad.media.dates import exif_candidate, gps_candidate
from mediad.media.reading import Candidate

Fetch = Callable[[int, int], bytes]
"""`fetch(offset, length)`: those bytes, fewer at the end."""

Value = bytes | tuple[int, ...] | tuple[float, ...]

MAKE: Final = 0x010F
MODEL: Final = 0x0110
SOFTWARE: Final = 0x0131
ORIENTATION: Final = 0x0112
WIDTH: Final = 0x0100
HEIGHT: Final = 0x0101
MODIFY_DATE: Final = 0x0132
XMP: Final = 0x02BC
EXIF_IFD: Final = 0x8769
GPS_IFD: Final = 0x8825
DATE_TIME_ORIGINAL: Final = 0x9003
CREATE_DATE: Final = 0x9004
OFFSET_TIME: Final = 0x9010
OFFSET_ORIGINAL: Final = 0x9011
OFFSET_DIGITIZED: Final = 0x9012
MAKER_NOTE: Final = 0x927C
USER_COMMENT: Final = 0x9286
SUBSEC: Final = 0x9290
SUBSEC_ORIGINAL: Final = 0x9291
SUBSEC_DIGITIZED: Final = 0x9292
GPS_TIME: Final = 7
GPS_DATE: Final = 29

_DATES = {
    DATE_TIME_ORIGINAL: ("DateTimeOriginal", SUBSEC_ORIGINAL, OFFSET_ORIGINAL),
    CREATE_DATE: ("CreateDate", SUBSEC_DIGITIZED, OFFSET_DIGITIZED),
    MODIFY_DATE: ("ModifyDate", SUBSEC, OFFSET_TIME),
}
_MAIN = frozenset(
    {MAKE, MODEL, SOFTWARE, ORIENTATION, WIDTH, HEIGHT, XMP, EXIF_IFD, GPS_IFD, USER_COMMENT, MAKER_NOTE}
    | {SUBSEC, SUBSEC_ORIGINAL, SUBSEC_DIGITIZED, OFFSET_TIME, OFFSET_ORIGINAL, OFFSET_DIGITIZED}
    | _DATES.keys()
)
_GPS = frozenset({GPS_TIME, GPS_DATE})
_APPLE_CONTENT_ID = 0x0011

_MOST_ENTRIES = 2000
_LONGEST = 1 << 20
_LONGEST_NOTE = 1 << 16

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


@dataclass(slots=True)
class Tags:
    """What was found.

    Attributes:
        main: tags of the first directory and of the Exif one, whose values win.
        gps: tags of the GPS directory.
        sound: False if something in the structure was impossible.
    """

    main: dict[int, Value] = field(default_factory=dict)
    gps: dict[int, Value] = field(default_factory=dict)
    sound: bool = True

    def text(self, tag: int, limit: int = 64) -> str:
        """A tag's text without the NUL that ends it, printable, at most `limit` characters; else ""."""
        value = self.main.get(tag)
        return clean(value, limit) if isinstance(value, bytes) else ""

    def number(self, tag: int) -> int | None:
        """A tag's first number, or None."""
        value = self.main.get(tag)
        return int(value[0]) if isinstance(value, tuple) and value else None


def clean(value: bytes, limit: int = 64) -> str:
    """Text up to the first NUL: UTF-8 or else Latin-1, printable, without blanks around it, bounded."""
    value = value[: 4 * limit].split(b"\x00", 1)[0]
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    text = text.strip()
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text).strip()
    return text[:limit]


def parse(fetch: Fetch, start: int = 0) -> Tags | None:
    """The wanted tags of a TIFF structure, or None if there is none.

    Args:
        fetch: gives bytes.
        start: where its header lies; all offsets count from there.
    """
    layout = _Layout.of(fetch(start, 16))
    if layout is None:
        return None
    tags = Tags()
    reader = _Reader(fetch, start, layout, tags)
    reader.directory(layout.first, _MAIN, tags.main)
    for pointer, wanted, into in ((EXIF_IFD, _MAIN, tags.main), (GPS_IFD, _GPS, tags.gps)):
        offset = tags.number(pointer)
        if offset is not None:
            reader.directory(offset, wanted, into)
    return tags


def parse_block(block: bytes) -> Tags | None:
    """The wanted tags of an Exif block as it stands in JPEG, WebP and others, with or without "Exif"."""
    start = 6 if block[:6] in (b"Exif\x00\x00", b"Exif\x00\xff") else 0
    return parse(lambda offset, length: block[offset : offset + length], start)


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    first: int
    count: str  # of entries
    entry: str  # tag, type, number of values
    word: int  # bytes of a value that stands in the entry itself, and of an offset

    @classmethod
    def of(cls, header: bytes) -> _Layout | None:
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


class _Reader:
    def __init__(self, fetch: Fetch, start: int, layout: _Layout, tags: Tags) -> None:
        self._fetch = fetch
        self._start = start
        self._tags = tags
        self._order = layout.order
        self._word = layout.word
        self._count = struct.Struct(layout.order + layout.count)
        self._head = struct.Struct(layout.order + layout.entry)
        self._pointer = struct.Struct(layout.order + ("Q" if layout.word == 8 else "I"))
        self._seen: set[int] = set()

    def directory(self, offset: int, wanted: frozenset[int], into: dict[int, Value]) -> None:
        """Reads one directory's wanted tags; the first of several equal ones counts."""
        if offset in self._seen or not 0 < offset < 1 << 48:
            self._tags.sound = False
            return
        self._seen.add(offset)
        counted = self._fetch(self._start + offset, self._count.size)
        if len(counted) < self._count.size:
            self._tags.sound = False
            return
        (count,) = self._count.unpack(counted)
        size = self._head.size + self._word
        table = self._fetch(self._start + offset + self._count.size, min(count, _MOST_ENTRIES) * size)
        if len(table) < count * size:
            self._tags.sound = False
        found: dict[int, Value] = {}
        unpack = self._head.unpack_from
        for at in range(0, len(table) - size + 1, size):
            tag, kind, number = unpack(table, at)
            if tag in wanted and tag not in found:
                value = self._value(kind, number, table[at + self._head.size : at + size])
                if value is not None:
                    found[tag] = value
        into.update(found)

    def _value(self, kind: int, number: int, inline: bytes) -> Value | None:
        unit, code = _TYPES.get(kind, (0, ""))
        length = unit * number
        if not unit or length > _LONGEST:
            self._tags.sound = self._tags.sound and length <= _LONGEST
            return None
        if length > self._word:
            (offset,) = self._pointer.unpack(inline)
            data = self._fetch(self._start + offset, length) if offset < 1 << 48 else b""
            if len(data) < length:
                self._tags.sound = False
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


def candidates(tags: Tags) -> list[Candidate]:
    """Every date that the tags state, each with the sub-seconds and offset of its own tags."""
    found = []
    for tag, (name, subsec, offset) in _DATES.items():
        text = tags.text(tag)
        if text:
            found.append(exif_candidate(name, text, tags.text(subsec), tags.text(offset)))
    day, time = tags.gps.get(GPS_DATE), tags.gps.get(GPS_TIME)
    if isinstance(day, bytes) and isinstance(time, tuple) and len(time) == 3:
        found.append(gps_candidate(clean(day), *(float(part) for part in time)))
    return found


def user_comment(tags: Tags) -> str:
    """UserComment without the eight bytes that name its character code (Exif 2.32, 4.6.5)."""
    value = tags.main.get(USER_COMMENT)
    if not isinstance(value, bytes):
        return ""
    return clean(value[8:] if value[:5] in (b"ASCII", b"UNICO", b"\x00\x00\x00\x00\x00") else value)


def apple_content_id(tags: Tags) -> str:
    """The ContentIdentifier in Apple's maker note, whose offsets count from the note's own start."""
    note = tags.main.get(MAKER_NOTE)
    if not isinstance(note, bytes) or not note.startswith(b"Apple iOS\x00") or len(note) < 16:
        return ""
    note = note[:_LONGEST_NOTE]
    layout = _Layout("<" if note[12:14] == b"II" else ">", 14, "H", "HHI", 4)
    found = Tags()
    reader = _Reader(lambda offset, length: note[offset : offset + length], 0, layout, found)
    reader.directory(14, frozenset({_APPLE_CONTENT_ID}), found.main)
    return found.text(_APPLE_CONTENT_ID)
