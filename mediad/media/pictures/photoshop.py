"""Photoshop's image resources, and the dates of IPTC in one of them. Runs in workers.

Sources: Adobe Photoshop File Formats Specification, "Image resources section"; IPTC-NAA Information
Interchange Model 4.2, 1.6 and 6.
"""

from __future__ import annotations

from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.exif import clean
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate
from mediad.media.stamps import iso_candidate

_IPTC, _EXIF, _XMP = 1028, 1058, 1060
_MOST_RESOURCES = 500
_MOST_RECORDS = 2000
_LONGEST = 1 << 20

_DATES = ((55, 60, "iptc:DateCreated"), (62, 63, "iptc:DigitalCreationDate"))


def read_psd(fetch: Fetch, size: int) -> Found:
    """PSD and PSB: the header's size, and Exif, XMP and IPTC among the resources."""
    head = fetch(0, 34)
    if len(head) < 34:
        return Found(problem="no header in it")
    found = Found(True, height=int.from_bytes(head[14:18], "big"), width=int.from_bytes(head[18:22], "big"))
    start = 30 + int.from_bytes(head[26:30], "big")  # behind the palette
    length = int.from_bytes(fetch(start, 4), "big")
    resources(fetch, start + 4, min(start + 4 + length, size), found)
    return found


def resources(fetch: Fetch, start: int, end: int, found: Found) -> None:
    """Adds what the resources in a range of the file tell."""
    for _ in range(_MOST_RESOURCES):
        head = fetch(start, 8)
        if len(head) < 8 or head[:4] not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR") or start >= end:
            return
        kind = int.from_bytes(head[4:6], "big")
        start += 6 + (head[6] + 2) // 2 * 2  # a name, padded together with its length to an even number
        length = int.from_bytes(fetch(start, 4), "big")
        if kind in (_IPTC, _EXIF, _XMP) and start + 4 + length <= end and length <= _LONGEST:
            data = fetch(start + 4, length)
            if kind == _IPTC:
                found.candidates += iptc_candidates(data)
            elif kind == _EXIF:
                found.tags = found.tags or exif.parse_block(data)
            else:
                found.xmp = found.xmp or data
        start += 4 + length + (length & 1)


def iptc_candidates(data: bytes) -> list[Candidate]:
    """The dates of creation that IPTC records state; many programs copy them, so they are low."""
    texts: dict[int, str] = {}
    at = 0
    for _ in range(_MOST_RECORDS):
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at : at + 1] != b"\x1c" or length >= 0x8000 or at + 5 > len(data):
            break
        if data[at + 1] == 2:
            texts.setdefault(data[at + 2], clean(data[at + 5 : at + 5 + length]))
        at += 5 + length
    return [
        iso_candidate("exif", tag, _moment(texts[day], texts.get(time, "")))
        for day, time, tag in _DATES
        if texts.get(day)
    ]


def _moment(day: str, time: str) -> str:
    """CCYYMMDD and HHMMSS±HHMM as ISO 8601 writes them; other spellings stay as they are."""
    if len(day) == 8 and day.isdigit():
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    if len(time) >= 6 and time[:6].isdigit():
        time = f"{time[:2]}:{time[2:4]}:{time[4:]}"
    return f"{day}T{time}" if time else day
