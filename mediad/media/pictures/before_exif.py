"""The date in JPEGs of cameras that are older than Exif, in a segment of their maker's. Runs in workers.

Sources: ExifTool's Casio.pm ("QVCI"), APP12.pm ("PictureInfo") and CanonRaw.pm (CIFF, as in a CRW).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mediad.media.found import Found, part
from mediad.media.pictures.exif import clean
from mediad.media.pictures.raw_canon import read_crw
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate
from mediad.media.stamps import parse_exif

CASIO = b"QVCI\x00"
"""Begins Casio's segment."""

_CANON = b"HEAPJPGM"
_CASIO_DATE = slice(0x4D, 0x4D + 19)
# In the text of Agfa, Olympus, Epson, Polaroid and others.
_PICTURE_INFO = re.compile(rb"\bTimeDate=([0-9:/. -]{9,24})")


def look(fetch: Fetch, start: int, length: int, found: Found) -> None:
    """Adds the date that a segment holds, and the camera that goes with it where none is known."""
    data = fetch(start, min(length, 4096))
    if data.startswith(CASIO):
        raw = clean(data[_CASIO_DATE])
        day, time = raw[:10], raw[11:].replace(".", ":")
        found.candidates.append(Candidate("exif", "Casio:DateTimeOriginal", raw, parse_exif(f"{day} {time}")))
    elif data[6:14] == _CANON:
        heaps = read_crw(part(fetch, start, length), length)
        found.candidates += heaps.candidates
        found.make, found.model = found.make or heaps.make, found.model or heaps.model
    elif (match := _PICTURE_INFO.search(data)) is not None:
        raw = clean(match[1])
        found.candidates.append(Candidate("exif", "PictureInfo:DateTimeOriginal", raw, _stamp(raw)))


def _stamp(raw: str) -> datetime | None:
    """A date in words, or in seconds from 1970; of local time, since these clocks know no zone."""
    if not raw.isdigit() or len(raw) > 10:
        return parse_exif(raw)
    return datetime(1970, 1, 1) + timedelta(seconds=int(raw))  # noqa: DTZ001
