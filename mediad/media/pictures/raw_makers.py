"""Reads RAW formats with containers of their own: RAF, MRW and X3F. Runs in workers.

Source: the tables of ExifTool (FujiFilm RAF, MinoltaRaw, SigmaRaw); the makers publish nothing.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from mediad.media.found import Found, part
from mediad.media.pictures import exif
from mediad.media.pictures.exif import clean
from mediad.media.pictures.jpeg import read_jpeg
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate

_MOST_ENTRIES = 500
_LONGEST = 1 << 20
_NO_TAGS = "no metadata in it"

# --- RAF -----------------------------------------------------------------------------------------

# Height and width of the picture: without its margins, as stored, with all that the sensor has.
_RAF_SIZES = (0x111, 0x121, 0x100)


def read_raf(fetch: Fetch, _size: int) -> Found:
    """Fujifilm's RAF: the Exif tags of the JPEG picture inside, and the size in its own directory."""
    head = fetch(0x54, 16)
    if len(head) < 16:
        return Found(problem="no header in it")
    start, length, directory, _ = struct.unpack(">4I", head)
    inner = read_jpeg(part(fetch, start, length))
    found = Found(
        sound=inner.sound or inner.tags is not None,
        problem="" if inner.tags is not None else _NO_TAGS,
        tags=inner.tags,
        xmp=inner.xmp,
        candidates=inner.candidates,
        width=inner.width,
        height=inner.height,
    )
    _raf_size(fetch, directory, found)
    return found


def _raf_size(fetch: Fetch, start: int, found: Found) -> None:
    count = int.from_bytes(fetch(start, 4), "big")
    sizes: dict[int, tuple[int, int]] = {}
    at = start + 4
    for _ in range(min(count, _MOST_ENTRIES)):
        head = fetch(at, 8)
        if len(head) < 8:
            break
        tag, length, height, width = struct.unpack(">4H", head)
        if tag in _RAF_SIZES and length >= 4 and height and width:
            sizes[tag] = width, height
        at += 4 + length
    for tag in _RAF_SIZES:
        if tag in sizes:
            found.width, found.height = sizes[tag]
            found.sound = True
            return


# --- MRW -----------------------------------------------------------------------------------------


def read_mrw(fetch: Fetch, _size: int) -> Found:
    """Minolta's MRW: blocks in front of the picture, of which one is a TIFF and one tells the size."""
    end = 8 + int.from_bytes(fetch(4, 4), "big")
    found = Found(problem=_NO_TAGS)
    at = 8
    for _ in range(_MOST_ENTRIES):
        head = fetch(at, 8)
        if len(head) < 8 or at >= end:
            break
        name, length = head[:4], int.from_bytes(head[4:], "big")
        if name == b"\x00PRD" and len(data := fetch(at + 8, 16)) == 16:
            found.height, found.width = struct.unpack_from(">HH", data, 12)
            found.sound = True
        elif name == b"\x00TTW":
            found.tags = exif.parse(part(fetch, at + 8, length))
            if found.tags is not None:
                found.sound, found.problem = True, "" if found.tags.sound else "broken directory"
        at += 8 + length
    return found


# --- X3F -----------------------------------------------------------------------------------------

_IMAGE_DATA = 28  # bytes of a picture section's header
_JPEG = 0x12
_PROPERTIES_DATA = 24


def read_x3f(fetch: Fetch, size: int) -> Found:
    """Sigma's X3F: the size in its header, properties, and the Exif tags of the JPEG picture inside."""
    head = fetch(0, 48)
    if len(head) < 48:
        return Found(problem="no header in it")
    at = 28 if head[6] < 4 else 40  # the version, of which the greater part stands behind
    width, height = struct.unpack_from("<II", head, at)
    found = Found(True, "no directory at its end", width=width, height=height)
    start = int.from_bytes(fetch(max(0, size - 4), 4), "little")
    section = fetch(start, 12)
    if section[:4] != b"SECd" or len(section) < 12:
        return found
    found.problem = ""
    for number in range(min(int.from_bytes(section[8:], "little"), _MOST_ENTRIES)):
        entry = fetch(start + 12 + 12 * number, 12)
        if len(entry) < 12:
            break
        offset, length = struct.unpack_from("<II", entry)
        _x3f_section(fetch, entry[8:], offset, length, found)
    return found


def _x3f_section(fetch: Fetch, name: bytes, offset: int, length: int, found: Found) -> None:
    if name == b"IMA2" and found.tags is None:
        head = fetch(offset, 16)
        if head[:4] == b"SECi" and int.from_bytes(head[12:16], "little") == _JPEG:
            inner = read_jpeg(part(fetch, offset + _IMAGE_DATA, max(0, length - _IMAGE_DATA)))
            found.tags, found.xmp = inner.tags, found.xmp or inner.xmp
    elif name == b"PROP" and length <= _LONGEST:
        _x3f_properties(fetch(offset, length), found)


def _x3f_properties(data: bytes, found: Found) -> None:
    """Names and values in UTF-16; their places are counted in characters."""
    if data[:4] != b"SECp" or len(data) < _PROPERTIES_DATA:
        return
    count, form = struct.unpack_from("<II", data, 8)
    count = min(count, _MOST_ENTRIES)
    texts = data[_PROPERTIES_DATA + 8 * count :]
    if form != 0 or len(data) < _PROPERTIES_DATA + 8 * count:
        return
    for name, value in struct.iter_unpack("<II", data[_PROPERTIES_DATA : _PROPERTIES_DATA + 8 * count]):
        _x3f_property(_x3f_text(texts, name), _x3f_text(texts, value), found)


def _x3f_text(texts: bytes, at: int) -> str:
    text = texts[2 * at : 2 * at + 128].decode("utf-16-le", "replace").partition("\x00")[0]
    return clean(text.encode())


def _x3f_property(name: str, value: str, found: Found) -> None:
    if name == "CAMMANUF":
        found.make = value
    elif name == "CAMMODEL":
        found.model = value
    elif name == "TIME" and value.isascii() and value.isdigit() and 0 < int(value[:12]) < 1 << 34:
        # Local time, counted in seconds from 1970.
        moment = datetime(1970, 1, 1) + timedelta(seconds=int(value[:12]))  # noqa: DTZ001
        tag, raw = "SigmaRaw:DateTimeOriginal", f"{moment:%Y:%m:%d %H:%M:%S}"
        found.candidates.append(Candidate("exif", tag, raw, moment))
