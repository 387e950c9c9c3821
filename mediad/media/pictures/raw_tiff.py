"""Reads RAW formats that are built on TIFF: Exif, XMP, and the size of the full picture. Runs in workers.

These are CR2, NEF, NRW, ARW, SRF, DNG, ORF, RW2, PEF, IIQ and KDC. They keep several pictures, in the chain
of directories and in directories inside these; what each is, its NewSubfileType tells. Source where makers
publish nothing: the tables of ExifTool (PanasonicRaw, PhaseOne, Exif).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from mediad.media.found import Found, part
from mediad.media.pictures import exif
from mediad.media.pictures.exif import Tags
from mediad.media.pictures.jpeg import read_jpeg
from mediad.media.pictures.tiff import Directories, Fetch, Layout, Value

PHASE_ONE: Final = (b"IIII", b"MMMM")
"""Begin Phase One's own directory, right behind the header."""

_PICTURE = frozenset({exif.WIDTH, exif.HEIGHT, exif.SUBFILE, exif.SUB_IFDS})
_EXIF_SIZE = frozenset({exif.EXIF_WIDTH, exif.EXIF_HEIGHT})
_MOST_DIRECTORIES = 24
_FULL = (None, 0)  # NewSubfileType of the picture itself; old files leave it out
_REDUCED = 1
_LARGEST = 1 << 20  # pixels along a side; more is a lie

# Panasonic's own tags in the first directory: where on the sensor the picture ends.
_TOP, _LEFT, _BOTTOM, _RIGHT, _JPEG = 4, 5, 6, 7, 0x2E
_BORDERS = frozenset({_TOP, _LEFT, _BOTTOM, _RIGHT})
_PHASE_ONE_WIDTH, _PHASE_ONE_HEIGHT = 0x10C, 0x10D
_MOST_ENTRIES = 300

Size = tuple[int, int]


def read_raw_tiff(fetch: Fetch, _size: int) -> Found:
    """A RAW file that begins with a TIFF header, or with what Olympus and Panasonic made of it."""
    head = fetch(0, 16)
    layout = Layout.of(head)
    if layout is None:
        return Found(problem="no directory in it")
    directories = Directories(fetch, 0, layout)
    more = _PICTURE | _EXIF_SIZE | (_BORDERS if head[2:3] == b"U" else frozenset())
    tags = exif.parse_directories(directories, layout.first, more)
    if not tags.main:
        return Found(problem="no directory in it")
    packet = tags.main.get(exif.XMP)
    found = Found(
        sound=True,
        problem="" if tags.sound else "broken directory",
        tags=tags,
        xmp=packet if isinstance(packet, bytes) else b"",
    )
    if head[2:3] == b"U":
        _embedded(fetch, directories, layout.first, found)
    found.width, found.height = _full_size(fetch, head, directories, layout.first, tags) or (None, None)
    return found


def _full_size(fetch: Fetch, head: bytes, directories: Directories, first: int, tags: Tags) -> Size | None:
    """The size of the picture, not of a preview."""
    stated = _size(tags.main, exif.EXIF_WIDTH, exif.EXIF_HEIGHT)
    if head[8:12] in PHASE_ONE:
        return _phase_one(fetch, head[8:10]) or stated
    if head[2:3] == b"U" and (borders := _borders(tags)) is not None:
        return borders
    if head[8:10] == b"CR" and stated is not None:  # its full picture is raw data without a size
        return stated
    pictures = list(_pictures(directories, first, tags))
    full = [size for size, kind in pictures if kind in _FULL] or [size for size, _ in pictures]
    return max(full, key=lambda size: size[0] * size[1], default=stated)


def _pictures(directories: Directories, first: int, tags: Tags) -> Iterator[tuple[Size, int | None]]:
    """Size and NewSubfileType of each picture, the first directory's before those of the others."""
    # Of those that follow in the chain and do not say what they are, none is the picture itself.
    todo: list[tuple[int, int | None]] = [(directories.following(first), _REDUCED)]
    seen = {first, 0}
    values: dict[int, Value] = tags.main
    unsaid: int | None = None
    for _ in range(_MOST_DIRECTORIES):
        size, kind = _size(values, exif.WIDTH, exif.HEIGHT), _number(values, exif.SUBFILE)
        if size is not None:
            yield size, unsaid if kind is None else kind
        inner = values.get(exif.SUB_IFDS)
        todo += [(int(offset), None) for offset in inner] if isinstance(inner, tuple) else []
        todo = [entry for entry in todo if entry[0] not in seen]
        if not todo:
            return
        offset, unsaid = todo.pop(0)
        seen.add(offset)
        values = directories.read(offset, _PICTURE)
        todo.append((directories.following(offset), unsaid))


def _number(values: dict[int, Value], tag: int) -> int | None:
    value = values.get(tag)
    return int(value[0]) if isinstance(value, tuple) and value else None


def _size(values: dict[int, Value], width: int, height: int) -> Size | None:
    wide, high = _number(values, width), _number(values, height)
    return (wide, high) if wide and high and max(wide, high) <= _LARGEST else None


def _borders(tags: Tags) -> Size | None:
    top, left, bottom, right = (tags.number(tag) for tag in (_TOP, _LEFT, _BOTTOM, _RIGHT))
    if top is None or left is None or bottom is None or right is None:
        return None
    return (right - left, bottom - top) if right > left and bottom > top else None


def _embedded(fetch: Fetch, directories: Directories, first: int, found: Found) -> None:
    """Panasonic's older cameras keep the Exif tags in the JPEG picture inside; the file's own tags win."""
    start, length = directories.place(first, _JPEG)
    if not length:
        return
    inner = read_jpeg(part(fetch, start, length))
    found.xmp = found.xmp or inner.xmp
    if inner.tags is not None and found.tags is not None:
        found.tags.main = {**inner.tags.main, **found.tags.main}
        found.tags.gps = found.tags.gps or inner.tags.gps


def _phase_one(fetch: Fetch, order: bytes) -> Size | None:
    """The size in Phase One's directory, which begins at byte 8 and whose offsets count from there."""
    endian = "<" if order == b"II" else ">"
    pointer = fetch(16, 4)
    if len(pointer) < 4:
        return None
    start = 8 + struct.unpack(endian + "I", pointer)[0]
    head = fetch(start, 8)
    count = struct.unpack_from(endian + "I", head)[0] if len(head) == 8 else 0
    values: dict[int, Value] = {}
    table = fetch(start + 8, 16 * min(count, _MOST_ENTRIES))
    for tag, _, _, value in struct.iter_unpack(endian + "4I", table[: len(table) // 16 * 16]):
        values.setdefault(tag, (value,))
    return _size(values, _PHASE_ONE_WIDTH, _PHASE_ONE_HEIGHT)
