"""Boxes of films that libmediainfo does not tell: dates and cameras by each maker's rules. Runs in workers.

Sources: ISO/IEC 14496-12, 4.2; QuickTime File Format, "User Data Atoms"; for what the makers keep, the tables
of ExifTool (QuickTime UserData, Canon CNTH, Nikon NCTG, FujiFilm MVTG, Casio QVMI, Samsung sec, GoPro GPMF).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta

from mediad.media import xmp
from mediad.media.boxes import XMP_UUID, Steps, steps, walk
from mediad.media.films.makers import bare_exif, embedded_exif, join, maker_in, nikon_records
from mediad.media.films.mediainfo import LONGEST_RECORDING, header_date
from mediad.media.found import Found, Window
from mediad.media.pictures.exif import clean
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate
from mediad.media.stamps import iso_candidate

_MOST_LEAVES = 4096
_LONGEST = 1 << 20
_ZERO = datetime(1904, 1, 1)  # noqa: DTZ001 - UTC by definition
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
# Sony XAVC keeps a NonRealTimeMeta document with the local time and its offset in a box of its own.
_SONY_DATE = re.compile(rb"<CreationDate\s+value=\"([0-9T:+\-]{19,25})\"")
_SONY_DEVICE = re.compile(rb"<Device\s+manufacturer=\"([^\"]{1,64})\"\s+modelName=\"([^\"]{1,64})\"")

# Boxes of one maker's, in the user data of its cameras' films.
_MAKERS = {
    **dict.fromkeys((b"CNCV", b"CNTH", b"CNMN", b"CNFV", b"CNOP"), "Canon"),
    **dict.fromkeys((b"NCDT", b"NCTG", b"NCHD"), "Nikon"),
    **dict.fromkeys((b"FFMV", b"MVTG"), "Fujifilm"),
    **dict.fromkeys((b"PENT", b"PXTH", b"PXMN"), "Pentax"),
    **dict.fromkeys((b"GoPr", b"GPMF", b"HMMT", b"CAME"), "GoPro"),
    **dict.fromkeys((b"\xa9dji", b"\xa9xsp"), "DJI"),
    **dict.fromkeys((b"MMA0", b"MMA1"), "Minolta"),
    **dict.fromkeys((b"@sec", b"smta", b"samn"), "Samsung"),
    b"PANA": "Panasonic",
    b"LEIC": "Leica",
    b"QVMI": "Casio",
    b"DcMD": "Kodak",
    b"pmcc": "Garmin",
    b"htcb": "HTC",
}
# Tables of an index, and the length of their entries in bytes (ISO/IEC 14496-12, 8.6 and 8.7).
_TABLES = {b"stts": 8, b"ctts": 8, b"stss": 4, b"stsc": 12, b"stco": 4, b"co64": 8}
_PARENTS = {b"traf", b"trak", b"mdia", b"minf", b"stbl"}

_MAKE_TEXTS = {b"manu", b"\xa9mak"}
_MODEL_TEXTS = {b"modl", b"\xa9mod", b"\xa9mdl", b"CNMN", b"cmnm"}
_GOPRO_MODEL = re.compile(rb"MINFc([\x01-\x40])\x00([\x01-\x40])")
_CANON_LEAD = re.compile(rb"\x00{4}..", re.DOTALL)


def read_boxes(window: Window, size: int, found: Found) -> None:
    """Adds to `found` what the boxes of a film tell."""
    left = steps()
    for name, start, length in walk(window, 0, size, left):
        if name == b"uuid" and window(start, 16) == XMP_UUID:
            found.xmp = window(start + 16, min(length - 16, xmp.LONGEST))
        elif name == b"meta":
            _sony(window(start, min(length, _LONGEST)), found)
        elif name == b"moov":
            _movie(window, start, length, found, left)


def true_counts(window: Window, size: int) -> dict[int, bytes]:
    """Where tables of samples lie about their length, and what is true; libmediainfo believes them for hours.

    Args:
        size: the file's length in bytes.
    """
    found = {}
    for name, start, length in _leaves(window, size):
        if name in _TABLES:
            entry, room = _TABLES[name], max(0, length - 8)
        elif name == b"trun":  # each of four flags adds a field to its entries
            flags = int.from_bytes(window(start + 2, 1), "big") & 15
            entry, room = 4 * flags.bit_count(), max(0, length - 8)
        else:
            continue
        if int.from_bytes(window(start + 4, 4), "big") * entry > room:
            found[start + 4] = struct.pack(">I", room // entry)
    return found


def _leaves(window: Window, size: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in an index and in the indices of fragments, without those that hold only others."""
    left = _MOST_LEAVES
    for top, top_start, top_length in walk(window, 0, size):
        ranges = [(top_start, top_start + top_length)] if top in (b"moov", b"moof") else []
        while ranges:
            for name, start, length in walk(window, *ranges.pop()):
                left -= 1
                if left < 0:
                    return
                if name in _PARENTS:
                    ranges.append((start, start + length))
                else:
                    yield name, start, length


def _movie(window: Window, start: int, length: int, found: Found, left: Steps) -> None:
    for name, inner, size in walk(window, start, start + length, left):
        if name == b"udta":
            _user_data(window(inner, min(size, _LONGEST)), found, left)
        elif name == b"uuid" and window(inner, 16) == _CANON_UUID:
            _user_data(window(inner + 16, min(size - 16, _LONGEST)), found, left)
        elif name == b"meta":
            _sony(window(inner, min(size, _LONGEST)), found)
        elif name == b"mvhd" and found.duration is None:
            header = window(inner, 32).ljust(32, b"\0")
            found.duration = _duration(header)
            date = None if any(one.tag == "movie header" for one in found.candidates) else created(header)
            found.candidates += [date] if date is not None else []


def _duration(header: bytes) -> float | None:
    """Seconds, from the movie header (ISO/IEC 14496-12, 8.2.2)."""
    wide = header[:1] == b"\1"
    scale, ticks = struct.unpack_from(">IQ", header, 20) if wide else struct.unpack_from(">II", header, 12)
    unknown = ticks in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
    return ticks / scale if scale and not unknown and ticks / scale < LONGEST_RECORDING else None


def created(header: bytes) -> Candidate | None:
    """The date in a movie header, for where libmediainfo does not get that far."""
    seconds = int.from_bytes(header[4:12] if header[:1] == b"\1" else header[4:8], "big")
    if not 0 < seconds < 1 << 33:
        return None
    moment = _ZERO + timedelta(seconds=seconds)
    return header_date({"Encoded_Date": f"{moment:%Y-%m-%d %H:%M:%S} UTC"}, "movie header")


def _user_data(data: bytes, found: Found, left: Steps) -> None:
    """The children of `udta`, most of them by the rules of one maker."""
    boxes = [
        (name, data[start : start + length])
        for name, start, length in walk(Window(_bytes(data)), 0, len(data), left)
    ]
    for name, content in boxes:
        _one(name, content, found)
    # A film's own thumbnail, which carries the Exif of a picture: the best date that such a film has.
    found.tags = join(found.tags, embedded_exif(data))
    found.make = found.make or next((_MAKERS[name] for name, _ in boxes if name in _MAKERS), "")
    found.make = found.make or maker_in(data)


def _bytes(data: bytes) -> Fetch:
    return lambda offset, length: data[offset : offset + length]


def _one(name: bytes, content: bytes, found: Found) -> None:
    if name == b"XMP_":
        found.xmp = found.xmp or content[: xmp.LONGEST]
    elif name == b"date":
        found.candidates.append(iso_candidate("quicktime", "content create date", clean(content)))
    elif name in _MAKE_TEXTS:
        found.make = found.make or _words(content)
    elif name in _MODEL_TEXTS:
        found.model = found.model or _words(content)
    elif name == b"TAGS":
        found.make, found.model = found.make or maker_in(content[:32]), found.model or _tags_model(content)
    elif name == b"@sec":
        found.make, found.model = found.make or clean(content[:32]), found.model or clean(content[32:64])
    elif name == b"MVTG":
        found.tags = join(found.tags, bare_exif(content, 16, "<"))
    elif name == b"QVMI":
        found.tags = join(found.tags, bare_exif(content, 10, ">"))
    elif name == b"NCDT":
        nikon_records(content, found)
    elif name in (b"CMT1", b"CMT2"):
        found.tags = join(found.tags, embedded_exif(b"Exif\0\0" + content))
    elif name == b"GPMF" and (match := _GOPRO_MODEL.search(content)):
        found.model = found.model or clean(content[match.end() : match.end() + match[1][0] * match[2][0]])
    elif name == b"FIRM" and content[:1] == b"H":
        found.make = found.make or "GoPro"


def _words(content: bytes) -> str:
    """A text, also behind the length and language of QuickTime's, or the six bytes that Canon puts there."""
    if content[:2] == (len(content) - 4).to_bytes(2, "big", signed=True):
        content = content[4:]
    lead = _CANON_LEAD.match(content)
    return clean(content[lead.end() :] if lead is not None else content)


def _tags_model(content: bytes) -> str:
    """The model behind the maker's name in `TAGS`, where it is a name and not a number in disguise."""
    at = 22 if content.startswith(b"EASTMAN") else 24
    model = content[at : at + 24].split(b"\0", 1)[0]
    return clean(model) if len(model) > 1 and re.fullmatch(rb"[A-Za-z0-9][\w ,.()/+\-]*", model) else ""


def _sony(data: bytes, found: Found) -> None:
    match = _SONY_DATE.search(data)
    if match is not None:
        found.candidates.append(iso_candidate("quicktime", "CreationDateValue", clean(match[1])))
    device = _SONY_DEVICE.search(data)
    if device is not None and not found.make:
        found.make, found.model = clean(device[1]), clean(device[2])
