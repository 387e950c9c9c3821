"""The date in the pictures of AVCHD films (MDPM), where libmediainfo does not tell it. Runs in workers.

Sources: ISO/IEC 13818-1, 2.4.3 (packets); ITU-T H.264, D.1.6 (SEI); ExifTool's H264 tables (MDPM).
"""

from __future__ import annotations

from datetime import datetime

from mediad.media.found import Window
from mediad.media.kind import packets
from mediad.media.reading import Candidate

_SEARCHED = 1 << 19
_MDPM = bytes.fromhex("17ee8c60f84d11d98cd60800200c9a66") + b"MDPM"
_MOST_ENTRIES = 64
_WIDEST_ZONE = 14 * 60
_DAY, _TIME, _MAKE = 0x18, 0x19, 0xE0
_MAKES = {0x0103: "Panasonic", 0x0108: "Sony", 0x1011: "Canon", 0x1104: "JVC"}


def recorded(window: Window) -> tuple[Candidate | None, str]:
    """The date in the first picture that has one, and the camera's maker, or None and "".

    The time is local. A zone byte that no clock can show means that the camera did not know its zone.
    """
    for stream in _streams(window(0, _SEARCHED)):
        at = stream.find(_MDPM)
        if at >= 0:
            entries = _entries(stream[at + len(_MDPM) : at + len(_MDPM) + 5 * _MOST_ENTRIES])
            make = _MAKES.get(int.from_bytes(entries.get(_MAKE, b"")[:2], "big"), "")
            return _candidate(entries.get(_DAY, b"") + entries.get(_TIME, b"")), make
    return None, ""


def _streams(data: bytes) -> list[bytes]:
    """What the packets of each stream carry, without what H.264 puts in to avoid start codes."""
    offset, stride = packets(data)
    streams: dict[int, bytearray] = {}
    for at in range(offset, len(data) - 187, stride or len(data)):
        packet = data[at : at + 188]
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if packet[0] == 0x47 and packet[3] & 0x10:
            streams.setdefault((packet[1] & 0x1F) << 8 | packet[2], bytearray()).extend(packet[start:])
    return [bytes(stream).replace(b"\0\0\3", b"\0\0") for stream in streams.values()]


def _entries(data: bytes) -> dict[int, bytes]:
    """Entries of a tag and four bytes, behind their number."""
    count = min(data[0], _MOST_ENTRIES) if data else 0
    places = range(1, 1 + 5 * count, 5)
    return {data[at]: data[at + 1 : at + 5] for at in places if at + 5 <= len(data)}


def _candidate(data: bytes) -> Candidate | None:
    """Zone, year in two bytes, month; day, hour, minute, second; all but the zone in decimal digits."""
    if len(data) != 8:
        return None
    digits = data[1:].hex()
    raw = f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}"
    minutes = (data[0] >> 1 & 15) * 60 + (data[0] & 1) * 30
    minutes = -minutes if data[0] & 0x20 else minutes
    is_known = not data[0] & 0x80 and abs(minutes) <= _WIDEST_ZONE
    try:
        moment = datetime.fromisoformat(raw)
    except ValueError:
        return Candidate("quicktime", "MDPM", raw, None)
    return Candidate("quicktime", "MDPM", raw, moment, minutes if is_known else None)
