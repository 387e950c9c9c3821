"""The date that FLIR's thermal cameras keep in a record of their own, and often nowhere else. PURE.

Source: ExifTool's FLIR.pm, "FLIR FFF tag table" and "CameraInfo".
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from mediad.media.reading import Candidate

MARK = b"FLIR\x00"
"""Begins an APP1 segment that holds a part of the FFF data, behind eight bytes of its own."""

_CAMERA_INFO = 0x20
_DATE = 0x384
_MOST_RECORDS = 256
_ENTRY = 32
_WIDEST_OFFSET = 14 * 60


def candidate(data: bytes) -> Candidate | None:
    """The date of capture in FFF data, with its offset, or None."""
    if data[:4] not in (b"FFF\x00", b"AFF\x00") or len(data) < 64:
        return None
    order = ">" if 100 <= int.from_bytes(data[0x14:0x18], "big") < 200 else "<"
    at, count = struct.unpack_from(order + "II", data, 0x18)
    for number in range(min(count, _MOST_RECORDS)):
        entry = data[at + _ENTRY * number : at + _ENTRY * (number + 1)]
        if len(entry) < _ENTRY:
            return None
        if struct.unpack_from(order + "H", entry)[0] == _CAMERA_INFO:
            start, length = struct.unpack_from(order + "II", entry, 12)
            return _date(data[start : start + length])
    return None


def _date(record: bytes) -> Candidate | None:
    if len(record) < _DATE + 10:
        return None
    order = "<" if record[:2] == b"\x02\x00" else ">"
    seconds, fraction, west = struct.unpack_from(order + "IIh", record, _DATE)
    if not seconds:
        return None
    # Seconds of UTC, milliseconds, and the minutes by which local time is behind UTC.
    moment = datetime(1970, 1, 1) + timedelta(  # noqa: DTZ001
        seconds=seconds, minutes=-west, milliseconds=min(fraction & 0xFFFF, 999)
    )
    offset = -west if abs(west) <= _WIDEST_OFFSET else None
    raw = f"{moment:%Y:%m:%d %H:%M:%S}.{moment.microsecond // 1000:03}"
    return Candidate("exif", "FLIR:DateTimeOriginal", raw, moment, offset)
