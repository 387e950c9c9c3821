"""AVI and WAV by their chunks: what libmediainfo leaves out or mixes up. Runs in workers.

Sources: Microsoft RIFF MCI; OpenDML AVI 1.02; EBU Tech 3285 (bext); Exif 2.32, chapter 5 (sound); for what
makers keep in strd, JUNK and lists of their own, ExifTool's RIFF tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mediad.media.films.makers import bare_exif, join, nikon_avi_records
from mediad.media.films.mediainfo import LONGEST_TAG, first_number
from mediad.media.found import Found, Window
from mediad.media.pictures.exif import clean
from mediad.media.reading import Candidate
from mediad.media.stamps import exif_candidate, iso_candidate

_MOST_CHUNKS = 512
_LONGEST = 65536
_LISTS = {b"hdrl", b"strl", b"INFO", b"exif", b"ncdt", b"hydt", b"pntx", b"Tdat"}

_INFO = {
    b"IART": "artist",
    b"INAM": "title",
    b"IPRD": "album",
    b"ISFT": "software",
    b"ecor": "make",
    b"emdl": "model",
}
_TRACKS = {b"ITRK", b"IPRT", b"TRCK"}
_KEPT = {*_INFO, *_TRACKS, b"ICRD", b"IDIT", b"DTIM", b"etim", b"bext", b"strd", b"JUNK", b"nctg", b"hymn"}
_FIXED = {b"OLYMDigital Camera": "Olympus", b"PENTDigital Camera": "Pentax"}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WORDS = re.compile(
    r"(?:\w{3,9},? +)?(\w{3})\w* +(\d{1,2}),? +(\d\d?):(\d\d):(\d\d)(?:\.\d+)? +(\d{4})",
    re.ASCII | re.IGNORECASE,
)
_NUMBERS = re.compile(
    r"(\d{4})[:/.\-] ?(\d\d?)[:/.\-] ?(\d\d?)/?[T ]+(\d\d?): ?(\d\d)(?::(\d\d))? *([AP])?",
    re.ASCII | re.IGNORECASE,
)


_FILETIME = re.compile(r"(\d{1,10}) (\d{1,10})", re.ASCII)  # its upper and its lower half
_FILETIME_ZERO = datetime(1601, 1, 1)  # noqa: DTZ001 - UTC by definition
UNKNOWN_CLOCK = "nobody says whether it is local time or UTC"


@dataclass(slots=True)
class _Kept:
    """What is put together once all chunks were seen: the first of each."""

    chunks: dict[bytes, bytes] = field(default_factory=dict)

    def text(self, name: bytes, limit: int = 64) -> str:
        return clean(self.chunks.get(name, b""), limit)


def read_chunks(window: Window, size: int, found: Found) -> None:
    """Adds to `found` what the chunks of a RIFF file tell; tags that stand in it win over what was there."""
    kept = _Kept()
    for name, data in _chunks(window, size):
        if name in _KEPT:
            kept.chunks.setdefault(name, data)
        if name == b"strd" and data[:4] == b"AVIF":
            found.tags = join(found.tags, bare_exif(data, 8, "<"))
        elif name == b"JUNK":
            _junk(data, found)
        elif name == b"nctg":
            nikon_avi_records(data, found)
            found.make = found.make or "Nikon"
    _tags(kept, found)
    found.candidates += _dates(kept)


def _chunks(window: Window, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Name and beginning of the chunks that matter, those inside lists, too."""
    ranges = [(12, size)]
    for _ in range(_MOST_CHUNKS):
        while ranges and ranges[-1][0] + 8 > ranges[-1][1]:
            ranges.pop()
        if not ranges:
            return
        offset, end = ranges[-1]
        head = window(offset, 12)
        if len(head) < 8:
            return
        name, length = head[:4], int.from_bytes(head[4:8], "little")
        ranges[-1] = (offset + 8 + length + length % 2, end)
        if name == b"LIST" and head[8:12] in _LISTS:
            ranges.append((offset + 12, min(offset + 8 + length, end)))
        elif name in _KEPT:
            yield name, window(offset + 8, min(length, _LONGEST))


def _junk(data: bytes, found: Found) -> None:
    """Some cameras keep what they tell where nothing should be."""
    if data[:4] == b"QVMI":
        found.tags = join(found.tags, bare_exif(data, 10, ">"))
        found.make = found.make or "Casio"
    elif data[:4] == b"ucmt":
        found.make = found.make or "Ricoh"
    elif maker := _FIXED.get(data[:18]):
        found.make = found.make or clean(data[0x12:0x2A]) or maker
        found.model = found.model or clean(data[0x2C:0x44])
        for place in (0x83, 0x9D):
            if text := clean(data[place : place + 24]):
                found.candidates.append(_camera_date("JUNK DateTime", text))


def _tags(kept: _Kept, found: Found) -> None:
    for name, attribute in _INFO.items():
        value = kept.text(name, LONGEST_TAG)
        if value and (name not in (b"ecor", b"emdl") or not getattr(found, attribute)):
            setattr(found, attribute, value)
    numbers = (first_number(kept.text(name)) for name in sorted(_TRACKS))
    found.track = next((number for number in numbers if number is not None), found.track)
    found.software = found.software or clean(kept.chunks.get(b"bext", b"")[256:288])  # Originator
    if not found.make and found.software.startswith("CanonMVI"):
        found.make = "Canon"


def _dates(kept: _Kept) -> Iterator[Candidate]:
    if text := kept.text(b"IDIT"):
        yield _camera_date("IDIT", text)
    if text := kept.text(b"DTIM"):
        yield _filetime(text) or _camera_date("DTIM", text)
    bext = kept.chunks.get(b"bext", b"")
    if day := clean(bext[320:330]):
        # Separators are free: "2021-07-10", "2021:07:10", "2021_07_10".
        parts = re.sub(r"\D", "-", day), re.sub(r"\D", ":", clean(bext[330:338]))
        yield iso_candidate("quicktime", "bext OriginationDate", " ".join(parts).strip())
    if day := kept.text(b"ICRD"):
        time = kept.text(b"etim")  # Exif keeps the day in ICRD and the time of day in a chunk of its own
        yield iso_candidate("quicktime", "ICRD", f"{day[:10]} {time[:8]}" if time and len(day) <= 10 else day)


def _camera_date(tag: str, text: str) -> Candidate:
    """A local date, however the camera writes it."""
    plain, moment = exif_candidate(tag, text), camera_moment(text)
    if moment is None:
        return replace(plain, source="quicktime")
    return Candidate("quicktime", tag, plain.raw, moment)


def _filetime(text: str) -> Candidate | None:
    """Windows' time in two numbers (ExifTool's RIFF tables, DTIM), or None if it is written as others are."""
    match = _FILETIME.fullmatch(text)
    if match is None:
        return None
    ticks = int(match[1]) << 32 | int(match[2])
    try:
        moment = _FILETIME_ZERO + timedelta(microseconds=ticks // 10) if ticks else None
    except OverflowError:
        moment = None
    return Candidate("quicktime", "DTIM", text, moment, utc=True, doubt=UNKNOWN_CLOCK)


def camera_moment(text: str) -> datetime | None:
    """The date in an IDIT chunk, for which every camera has its own way.

    "Fri Mar 26 21:19:07 2021", "MON MAR 10 15:04:43 2003", "2001/ 1/27  1:42PM", "2005/11/28/ 09:19",
    "2002-12-16  15:35:01", "2021:03:26 21:19:07".
    """
    words, numbers = _WORDS.match(text.strip()), _NUMBERS.match(text.strip())
    if words is not None and words[1].lower() in _MONTHS:
        year, month = int(words[6]), _MONTHS.index(words[1].lower()) + 1
        day, hour, minute, second = (int(words[group]) for group in (2, 3, 4, 5))
    elif numbers is not None:
        year, month, day, hour, minute, second = (int(numbers[group] or 0) for group in range(1, 7))
        half = (numbers[7] or "").upper()
        hour = hour % 12 + (12 if half == "P" else 0) if half and hour <= 12 else hour
    else:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    try:
        return datetime(year, month, day) + timedelta(hours=hour, minutes=minute, seconds=second)  # noqa: DTZ001
    except (ValueError, OverflowError):
        return None
