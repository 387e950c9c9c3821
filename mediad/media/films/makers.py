"""What makers of cameras hide in films: Exif without its frame, records, names in clear. Runs in workers."""

from __future__ import annotations

import re

from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.exif import Tags, clean
from mediad.media.pictures.tiff import Directories, Layout
from mediad.media.stamps import exif_candidate

_MAKER = re.compile(
    rb"(?<![a-z])(?:panasonic|nikon|olympus|fujifilm|pentax|casio|kodak|sanyo|gopro|ricoh|jvc|canon|sony"
    rb"|samsung|leica|konica|minolta|garmin|insta360)(?![a-z])",
    re.IGNORECASE,
)
_SEARCHED = 65536
_DATED = frozenset({exif.DATE_TIME_ORIGINAL, exif.CREATE_DATE})
_MOST_TRIES = 8
_MOST_RECORDS = 512
_FAR = 1 << 40  # beyond every offset that a directory of 32 bits can name

_NIKON_TEXTS = {1: "make", 2: "model", 3: "software"}
_NIKON_DATES = {0x11: "CreateDate", 0x12: "DateTimeOriginal"}
_NIKON_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_NIKON_AVI_TEXTS = {3: "make", 4: "model", 5: "software"}
_NIKON_AVI_DATES = {0x13: "DateTimeOriginal", 0x14: "CreateDate"}


def maker_in(data: bytes) -> str:
    """The first maker of cameras who is named in it, as written there, or ""."""
    match = _MAKER.search(data[:_SEARCHED])
    return clean(match[0]) if match is not None else ""


def embedded_exif(data: bytes) -> Tags | None:
    """The first dated Exif block anywhere in it, as in a thumbnail, or None."""
    at = -1
    for _ in range(_MOST_TRIES):
        at = data.find(b"Exif\0\0", at + 1)
        if at < 0:
            break
        tags = exif.parse(lambda offset, length: data[offset : offset + length], at + 6)
        if tags is not None and (tags.main.keys() & _DATED or tags.text(exif.MAKE)):
            return tags
    return None


def bare_exif(data: bytes, at: int, order: str) -> Tags | None:
    """Exif tags of a directory that has no TIFF header in front of it, or None.

    Makers do not agree on where its offsets count from: from the directory or from what it stands in. What
    makes dates of what should be dates is right.

    Args:
        at: where the directory lies. order: "<" or ">".
    """
    best = None
    for base in (at, 0, at - 8):
        # The directory gets a place of its own, since one at offset zero counts as none.
        def fetch(offset: int, length: int, base: int = base) -> bytes:
            start = at + offset - _FAR if offset >= _FAR else base + offset
            return data[start : start + length] if start >= 0 else b""

        layout = Layout(order, _FAR, "H", "HHI", 4)
        tags = exif.parse_directories(Directories(fetch, 0, layout), _FAR)
        if any(candidate.moment is not None for candidate in exif.candidates(tags)):
            return tags
        best = best or (tags if tags.main else None)
    return best


def join(first: Tags | None, second: Tags | None) -> Tags | None:
    """The tags of both, the first's where both have one."""
    if first is None or second is None:
        return first or second
    return Tags({**second.main, **first.main}, {**second.gps, **first.gps}, first.sound and second.sound)


def nikon_records(content: bytes, found: Found) -> None:
    """Maker, model and local dates of Nikon's NCTG, which stands in an NCDT box of films.

    Its records are a tag of four bytes, a type and a count of two bytes each, and so many values.
    """
    at = content.find(b"NCTG") + 4
    for _ in range(_MOST_RECORDS if at >= 4 else 0):
        if at + 8 > len(content):
            return
        tag = int.from_bytes(content[at : at + 4], "big")
        kind, count = (int.from_bytes(content[at + place : at + place + 2], "big") for place in (4, 6))
        size = _NIKON_SIZES.get(kind, 0) * count
        if not _NIKON_SIZES.get(kind):
            return
        _nikon(content[at + 8 : at + 8 + size], _NIKON_TEXTS.get(tag, ""), _NIKON_DATES.get(tag, ""), found)
        at += 8 + size


def nikon_avi_records(content: bytes, found: Found) -> None:
    """The same of `nctg` in an AVI: a tag and a length of two bytes each, the low byte first."""
    at = 0
    for _ in range(_MOST_RECORDS):
        if at + 4 > len(content):
            return
        tag, size = (int.from_bytes(content[at + place : at + place + 2], "little") for place in (0, 2))
        texts, dates = _NIKON_AVI_TEXTS.get(tag, ""), _NIKON_AVI_DATES.get(tag, "")
        _nikon(content[at + 4 : at + 4 + size], texts, dates, found)
        at += 4 + size


def _nikon(value: bytes, name: str, date: str, found: Found) -> None:
    if date:
        found.candidates.append(exif_candidate(date, clean(value)))
    elif name and not getattr(found, name):
        setattr(found, name, clean(value))
