"""Reads JPEG: dimensions, Exif, XMP, IPTC, FLIR's date, and those from before Exif. Runs in workers.

The file is walked by its own segments and no pixel is ever decoded. What is read is what it holds as far as
it is sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mediad.media.found import Found
from mediad.media.pictures import before_exif, exif, flir, photoshop
from mediad.media.pictures.tiff import Fetch

_MOST_SEGMENTS = 2000
_MOST_OLDER = 8
_JFIF = 14  # bytes of the segment that nearly all have
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\x00"
_PHOTOSHOP_NAME = b"Photoshop 3.0\x00"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})


@dataclass(slots=True)
class _Kept:
    """What is looked at when all segments are known: data of Exif and FLIR, places of the others."""

    exif: list[bytes] = field(default_factory=list)
    thermal: list[bytes] = field(default_factory=list)
    resources: list[tuple[int, int]] = field(default_factory=list)
    older: list[tuple[int, int]] = field(default_factory=list)


def read_jpeg(window: Fetch) -> Found:
    """JPEG by its segments up to the first scan (ITU-T T.81, B.1; Exif 2.32, 4.5.4)."""
    found = Found(problem="no picture in it")
    kept = _Kept()
    offset = 2
    for _ in range(_MOST_SEGMENTS):
        head = window(offset, 4)
        if len(head) < 4 or head[1] in (0xD9, 0xDA):
            found.problem = "" if head[1:2] == b"\xda" and found.width is not None else found.problem
            break
        if head[0] != 0xFF or head[1] == 0xFF:
            offset = _next_marker(window, offset + (head[0] == 0xFF))
            continue
        if head[1] in _BARE:
            offset += 2
            continue
        length = head[2] << 8 | head[3]
        _segment(window, offset + 4, length - 2, head[1], found, kept)
        offset += 2 + max(length, 2)
    _exif(found, kept.exif)
    taken = found.tags.main.get(exif.DATE_TIME_ORIGINAL) if found.tags is not None else None
    if not isinstance(taken, bytes) or not taken.strip(b"0: \x00"):  # so where a clock was never set
        _elsewhere(window, kept, found)
    return found


def _elsewhere(window: Fetch, kept: _Kept, found: Found) -> None:
    """The dates to go by where Exif has none; looked for only there, since most files have one."""
    if kept.thermal and (date := flir.candidate(b"".join(kept.thermal))) is not None:
        found.candidates.append(date)
    for start, length in kept.older[:_MOST_OLDER]:
        before_exif.look(window, start, length, found)
    for start, end in kept.resources:
        photoshop.resources(window, start, end, found)


def _next_marker(window: Fetch, offset: int) -> int:
    """Where the next 0xFF lies: fill bytes are allowed, and some writers leave junk between segments."""
    near = window(offset, 4096)
    at = near.find(b"\xff")
    return offset + (at if at >= 0 else len(near) or 1)


def _segment(window: Fetch, offset: int, length: int, marker: int, found: Found, kept: _Kept) -> None:
    if marker in _FRAMES:
        frame = window(offset, 6)
        # Precision, height, width, number of components (T.81, B.2.2): enough to tell it from noise.
        if (
            len(frame) == 6
            and frame[0] in (2, 8, 12, 16)
            and length == 6 + 3 * frame[5]
            and frame[5] in (1, 3, 4)
        ):
            found.height, found.width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            found.sound = True
    elif marker == 0xE1 and length > 6:
        data = window(offset, length)
        if data.startswith(b"Exif\x00"):
            kept.exif.append(data)
        elif data.startswith(_XMP_NAME) and not found.xmp:
            found.xmp = data[len(_XMP_NAME) :]
            found.sound = True
        elif data.startswith(flir.MARK):
            kept.thermal.append(data[8:])
        elif data.startswith(before_exif.CASIO):
            kept.older.append((offset, length))
    elif marker == 0xED and window(offset, len(_PHOTOSHOP_NAME)) == _PHOTOSHOP_NAME:
        kept.resources.append((offset + len(_PHOTOSHOP_NAME), offset + length))
    elif marker in (0xE0, 0xEC) and length > _JFIF:
        kept.older.append((offset, length))


def _exif(found: Found, blocks: list[bytes]) -> None:
    """The first Exif block that makes sense. One over 64 KB goes on in the segments that follow."""
    if not blocks:
        return
    whole = blocks[0]
    for block in blocks[1:]:
        if block[6:8] not in (b"II", b"MM"):
            whole += block[6:]
    for block in (whole, *blocks[1:]):
        found.tags = exif.parse_block(block)
        if found.tags is not None:
            return
