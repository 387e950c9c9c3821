"""The texts and numbers in which files state dates, read into candidates. PURE.

Whether one is believed is decided in `dates`. Here only that counts what a field says, with the sub-second
and offset of its own or of the tag made for it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mediad.media.names import ONLY_DAY, of_half
from mediad.media.reading import Candidate

RAW_LENGTH = 64
"""How much of a field's text a candidate keeps, in characters."""

NOT_CARD = "a file time, and the file is not on a camera's card"
WIDEST_OFFSET = 14 * 60
"""Minutes east of UTC of Kiribati; none is further."""

_WIDEST_WEST = 12 * 60

_CHANGED = "the time of the last change, not of capture"

UNREAD = "something that is not understood follows the time"

# Some cameras write blanks for zeros, some no seconds; AM or PM and an offset may follow.
_EXIF = re.compile(
    r"\s*(\d{4})[:/.\-] ?(\d\d?)[:/.\-] ?(\d\d?)[\sT]+(\d\d?): ?(\d\d?)(?:: ?(\d\d?)(?:[.,](\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AP])\.?M\b\.?)?\s*(?P<zone>[+\-]\d\d(?::?\d\d)?(?!\d)|(?:Z|UTC)\b)?",
    re.ASCII | re.IGNORECASE,
)
_EXIF_DAY = re.compile(r"\s*(\d{4})[:/.\-] ?(\d\d?)[:/.\-] ?(\d\d?)", re.ASCII)
_OFFSET = re.compile(r"\s*([+\-])(?:(\d\d?):?(\d\d)|(\d\d?))(?!\d)", re.ASCII)
_ISO = re.compile(
    r"\s*(\d{4})[:\-](\d\d)[:\-](\d\d)"
    r"(?:[T\s](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\b\.?)?\s*(?:GMT(?=[+\-]))?"
    r"(?P<zone>Z|UTC|[+\-]\d\d(?::?\d\d)?(?!\d))?)?",
    re.ASCII,
)
_ISO_BASIC = re.compile(
    r"\s*(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(?P<half>)(?P<zone>Z|UTC|[+\-]\d\d(?::?\d\d)?(?!\d))?",
    re.ASCII,
)


def parse_exif(text: str) -> datetime | None:
    """A date and time as Exif writes it ("2021:07:10 20:39:25", Exif 2.32, 4.6.5), naive, or None.

    Other separators that cameras use are tolerated; zeros, blanks and impossible values give None.
    """
    match = _EXIF.match(text)
    return None if match is None else _of_exif(match)


def _of_exif(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3, 4, 5, 6))
    hour = of_half(hour, match["half"] or "")
    return _moment(year, month, day, hour, minute, second, parse_subsec(match[7] or ""))


def parse_subsec(text: str) -> int:
    """Microseconds from a SubSecTime tag, whose digits are those behind the decimal point; else 0."""
    digits = text.strip()[:6]
    return int(digits.ljust(6, "0")) if digits.isascii() and digits.isdigit() else 0


def parse_offset(text: str) -> int | None:
    """Minutes east of UTC from "+01:00", "-0730", "+09" or "Z", or None."""
    if text.strip() == "Z":
        return 0
    match = _OFFSET.match(text)
    if match is None:
        return None
    past = int(match[3] or 0)
    minutes = int(match[2] or match[4]) * 60 + past
    if past > 59 or minutes > (_WIDEST_WEST if match[1] == "-" else WIDEST_OFFSET):
        return None
    return -minutes if match[1] == "-" else minutes


def parse_iso(text: str) -> tuple[datetime | None, int | None, bool, bool]:
    """An ISO 8601 date as XMP and QuickTime keys write it.

    Returns:
        The naive moment or None; the offset in minutes or None; True if it is UTC ("Z"); True if there was
        only a day.
    """
    match = _ISO.match(text) or _ISO_BASIC.match(text)
    if match is None:
        return None, None, False, False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    hour, minute, second = (int(part or 0) for part in match.group(4, 5, 6))
    hour = of_half(hour, match["half"] or "")
    moment = _moment(year, month, day, hour, minute, second, parse_subsec(match[7] or ""))
    zone = match["zone"] or ""
    is_utc = zone in ("Z", "UTC")
    return moment, None if is_utc or not zone else parse_offset(zone), is_utc, match[4] is None


def _moment(
    year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int
) -> datetime | None:
    try:
        # A leap second is written as :60; no datetime can hold it.
        return datetime(year, month, day, hour, minute, min(second, 59 if second == 60 else second), micro)  # noqa: DTZ001
    except ValueError:
        return None


def exif_candidate(tag: str, text: str, subsec: str = "", offset: str = "") -> Candidate:
    """The candidate that an Exif date makes with its own sub-second and offset tags.

    Some programs write the offset behind the time itself, as ISO 8601 has it.
    """
    match, doubt = _EXIF.match(text), ""
    moment = None if match is None else _of_exif(match)
    if moment is not None and not moment.microsecond:
        moment = moment.replace(microsecond=parse_subsec(subsec))
    if moment is None and (day := _EXIF_DAY.match(text)):
        moment = _moment(int(day[1]), int(day[2]), int(day[3]), 0, 0, 0, 0)
        doubt = ONLY_DAY if moment is not None else ""
    elif moment is not None and match is not None:
        doubt = UNREAD if any(map(str.isalnum, text[match.end() :])) else ""
        offset = offset if offset.strip() else _offset_behind(match)
    if tag == "ModifyDate":
        doubt = _CHANGED
    return Candidate("exif", tag, text[:RAW_LENGTH], moment, parse_offset(offset), doubt=doubt)


def _offset_behind(match: re.Match[str]) -> str:
    zone = (match["zone"] or "").upper()
    return "Z" if zone == "UTC" else zone


def iso_candidate(source: str, tag: str, text: str) -> Candidate:
    """The candidate that an ISO 8601 date makes."""
    moment, offset, is_utc, is_day = parse_iso(text)
    doubt = ONLY_DAY if is_day and moment is not None else ""
    return Candidate(source, tag, text[:RAW_LENGTH], moment, offset, is_utc, doubt)


def utc_candidate(source: str, tag: str, text: str) -> Candidate:
    """The candidate that a date makes whose field is UTC by definition."""
    moment, _, _, _ = parse_iso(text)
    return Candidate(source, tag, text[:RAW_LENGTH], moment, utc=True)


def gps_candidate(day: str, hour: float, minute: float, second: float) -> Candidate:
    """The candidate of GPSDateStamp and GPSTimeStamp, which are UTC (Exif 2.32, 4.6.6)."""
    raw = f"{day} {hour:g}:{minute:g}:{second:g}"
    match = _EXIF_DAY.match(day)
    moment = None
    if match is not None and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61:
        start = _moment(int(match[1]), int(match[2]), int(match[3]), 0, 0, 0, 0)
        past_midnight = timedelta(hours=hour, minutes=minute, seconds=second)
        moment = start + past_midnight if start is not None and start.year < 9999 else None
    return Candidate("exif", "GPSDateTime", raw[:RAW_LENGTH], moment, utc=True)


def mtime_candidate(mtime_ns: int, *, on_card: bool) -> Candidate:
    """The candidate that a file's modification time makes.

    Args:
        mtime_ns: nanoseconds since the epoch.
        on_card: True if the file lies in a camera's own folders (DCIM).
    """
    start = datetime(1970, 1, 1)  # noqa: DTZ001
    try:
        moment: datetime | None = start + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        moment = None
    raw = moment.isoformat(" ") + " UTC" if moment is not None else str(mtime_ns)[:RAW_LENGTH]
    return Candidate("mtime", "mtime", raw, moment, utc=True, doubt="" if on_card else NOT_CARD)
