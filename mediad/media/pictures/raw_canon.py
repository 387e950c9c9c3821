"""Reads Canon's RAW formats that are no TIFF: CRW and CR3. Runs in workers.

Sources: "The CIFF Image File Format" 1.0; for CR3, Laurent Clévy's description
(github.com/lclevy/canon_cr3) and the tables of ExifTool (CanonRaw, Canon uuid).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from mediad.media.boxes import XMP_UUID, Steps, steps, walk
from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.exif import Tags, clean
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate

_LONGEST = 1 << 20

# --- CRW -----------------------------------------------------------------------------------------

_MAKE_MODEL, _IMAGE_INFO, _CAPTURED = 0x080A, 0x1810, 0x180E
_IN_ENTRY, _HEAPS = 0x4000, (0x2800, 0x3000)
_MOST_HEAPS, _MOST_ENTRIES = 16, 500  # real files have eight and a few dozen
_ZONE_KNOWN = 0x80000000
_WIDEST_OFFSET = 14 * 60
_ORIENTATIONS = {0: 1, 90: 6, 180: 3, 270: 8}


def read_crw(fetch: Fetch, size: int) -> Found:
    """CRW by its heaps: a heap's directory stands at its end, and it may hold heaps itself."""
    head = fetch(0, 6)
    order = "<" if head[:2] == b"II" else ">"
    found = Found(problem="no directory in it")
    start = struct.unpack(order + "I", head[2:6])[0] if len(head) == 6 else size
    heaps = [(start, size - start)]
    for _ in range(_MOST_HEAPS):
        if not heaps:
            break
        start, length = heaps.pop()
        heaps += _heap(fetch, order, start, length, found)
    return found


def _heap(fetch: Fetch, order: str, start: int, length: int, found: Found) -> list[tuple[int, int]]:
    """Reads one heap's records; those that are heaps are returned, as start and length in the file."""
    pointer = fetch(start + length - 4, 4) if length >= 6 else b""
    at = struct.unpack(order + "I", pointer)[0] if len(pointer) == 4 else length
    counted = fetch(start + at, 2) if at < length else b""
    if len(counted) < 2:
        return []
    count = min(struct.unpack(order + "H", counted)[0], _MOST_ENTRIES)
    table = fetch(start + at + 2, 10 * count)
    heaps = []
    for entry in range(0, len(table) - 9, 10):
        tag, size, offset = struct.unpack_from(order + "HII", table, entry)
        kind = tag & 0x3FFF
        if tag & _IN_ENTRY:
            _record(order, kind, table[entry + 2 : entry + 10], found)
        elif offset + size <= length:
            if kind & 0x3800 in _HEAPS:
                heaps.append((start + offset, size))
            elif kind in (_MAKE_MODEL, _IMAGE_INFO, _CAPTURED):
                _record(order, kind, fetch(start + offset, min(size, 256)), found)
    found.sound = found.sound or bool(heaps)
    return heaps


def _record(order: str, kind: int, data: bytes, found: Found) -> None:
    if kind == _MAKE_MODEL:
        make, _, rest = data.partition(b"\x00")
        found.make, found.model = clean(make), clean(rest)
    elif kind == _IMAGE_INFO and len(data) >= 16:
        found.width, found.height, _, turned = struct.unpack_from(order + "IIIi", data)
        found.orientation = _ORIENTATIONS.get(turned % 360)
    elif kind == _CAPTURED and len(data) >= 12 and not found.candidates:
        found.candidates.append(_captured(*struct.unpack_from(order + "IiI", data)))
    else:
        return
    found.sound, found.problem = True, ""


def _captured(seconds: int, zone: int, flags: int) -> Candidate:
    """Local time, counted in seconds from 1970; the zone's seconds count where a flag says so."""
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001
    is_known = flags & _ZONE_KNOWN and abs(zone) <= _WIDEST_OFFSET * 60
    offset = zone // 60 if is_known else None
    tag, raw = "CanonRaw:DateTimeOriginal", f"{moment:%Y:%m:%d %H:%M:%S}"
    return Candidate("exif", tag, raw, moment if seconds else None, offset)


# --- CR3 -----------------------------------------------------------------------------------------

_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def read_cr3(fetch: Fetch, size: int) -> Found:
    """CR3 by its boxes: the tags of the first, the Exif and the GPS directory have each a TIFF of its own."""
    found = Found(problem="no metadata in it")
    left = steps()
    for name, start, length in walk(fetch, 0, size, left):
        if name == b"moov":
            found.sound = True
            for inner, at, room in walk(fetch, start, start + length, left):
                if inner == b"uuid" and fetch(at, 16) == _CANON_UUID:
                    _canon(fetch, at + 16, at + room, found, left)
                elif inner == b"trak" and not found.width:
                    _track(fetch, at, at + room, found, left)
        elif name == b"uuid" and fetch(start, 16) == XMP_UUID and length <= _LONGEST:
            found.xmp = fetch(start + 16, length - 16)
    return found


def _canon(fetch: Fetch, start: int, end: int, found: Found, left: Steps) -> None:
    tags = found.tags or Tags()
    for name, at, length in walk(fetch, start, end, left):
        if name not in (b"CMT1", b"CMT2", b"CMT4") or length > _LONGEST:
            continue
        data = fetch(at, length)
        if name == b"CMT4":
            tags.gps = exif.parse_gps(data)
            continue
        block = exif.parse_block(data)
        if block is None:
            continue
        found.sound, found.problem = True, found.problem if block.sound else "broken directory"
        tags.main.update(block.main)
        if name == b"CMT1" and block.sound:
            found.problem = ""
    found.tags = tags
    if found.width is None:
        found.width, found.height = tags.number(exif.WIDTH), tags.number(exif.HEIGHT)


def _track(fetch: Fetch, start: int, end: int, found: Found, left: Steps) -> None:
    """The size that the first picture's sample description tells."""
    for path in (b"mdia", b"minf", b"stbl", b"stsd"):
        for name, at, length in walk(fetch, start, end, left):
            if name == path:
                start, end = at, at + length
                break
        else:
            return
    entry = fetch(start + 8, 36)  # behind version, flags and the number of entries
    if entry[4:8] == b"CRAW" and len(entry) == 36:
        found.width, found.height = struct.unpack_from(">HH", entry, 32)
