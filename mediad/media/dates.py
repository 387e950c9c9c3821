"""Capture dates: reading their texts, and choosing the one to believe. PURE.

A capture date is local wall-clock time. Formats that keep UTC (QuickTime headers, GPS, some file names) are
brought to the configured zone; an offset counts only where the same field, or the tag made for it, states
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

from mediad.media.names import ONLY_DAY, from_filename
from mediad.media.reading import Candidate
from mediad.model import Confidence, Taken

__all__ = [
    "ONLY_DAY",
    "SOURCES",
    "DateRules",
    "DateSettings",
    "choose",
    "exif_candidate",
    "from_filename",
    "gps_candidate",
    "iso_candidate",
    "mtime_candidate",
    "parse_exif",
    "parse_iso",
    "parse_offset",
    "parse_subsec",
    "utc_candidate",
]

SOURCES = ("exif", "quicktime", "xmp", "takeout", "filename", "mtime")
"""Where dates come from."""

RAW_LENGTH = 64
"""How much of a field's text a candidate keeps, in characters."""

NOT_CARD = "a file time, and the file is not on a camera's card"
_CHANGED = "the time of the last change, not of capture"

_EXIF = re.compile(
    r"\s*(\d{4})[:/.\-](\d\d?)[:/.\-](\d\d?)[\sT]+(\d\d?):(\d\d?):(\d\d?)(?:[.,](\d{1,9}))?", re.ASCII
)
_EXIF_DAY = re.compile(r"\s*(\d{4})[:/.\-](\d\d?)[:/.\-](\d\d?)", re.ASCII)
_OFFSET = re.compile(r"\s*([+\-])(\d\d?):?(\d\d)", re.ASCII)
_ISO = re.compile(
    r"\s*(\d{4})[:\-](\d\d)[:\-](\d\d)"
    r"(?:[T\s](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|UTC|[+\-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_WIDEST_OFFSET = 14 * 60  # Kiribati; the west ends at -12:00


# --- Reading -------------------------------------------------------------------------------------


def parse_exif(text: str) -> datetime | None:
    """A date and time as Exif writes it ("2021:07:10 20:39:25", Exif 2.32, 4.6.5), naive, or None.

    Other separators that cameras use are tolerated; zeros, blanks and impossible values give None.
    """
    match = _EXIF.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    return _moment(year, month, day, hour, minute, second, parse_subsec(match[7] or ""))


def parse_subsec(text: str) -> int:
    """Microseconds from a SubSecTime tag, whose digits are those behind the decimal point; else 0."""
    digits = text.strip()[:6]
    return int(digits.ljust(6, "0")) if digits.isascii() and digits.isdigit() else 0


def parse_offset(text: str) -> int | None:
    """Minutes east of UTC from "+01:00", "-0730" or "Z", or None."""
    if text.strip() == "Z":
        return 0
    match = _OFFSET.match(text)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    if minutes > _WIDEST_OFFSET or int(match[3]) > 59:
        return None
    return -minutes if match[1] == "-" else minutes


def parse_iso(text: str) -> tuple[datetime | None, int | None, bool, bool]:
    """An ISO 8601 date as XMP and QuickTime keys write it.

    Returns:
        The naive moment or None; the offset in minutes or None; True if it is UTC ("Z"); True if there was
        only a day.
    """
    match = _ISO.match(text)
    if match is None:
        return None, None, False, False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    hour, minute, second = (int(part or 0) for part in match.group(4, 5, 6))
    moment = _moment(year, month, day, hour, minute, second, parse_subsec(match[7] or ""))
    zone = match[8] or ""
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
    """The candidate that an Exif date makes with its own sub-second and offset tags."""
    moment, doubt = parse_exif(text), ""
    if moment is not None and not moment.microsecond:
        moment = moment.replace(microsecond=parse_subsec(subsec))
    if moment is None and (match := _EXIF_DAY.match(text)):
        moment = _moment(int(match[1]), int(match[2]), int(match[3]), 0, 0, 0, 0)
        doubt = ONLY_DAY if moment is not None else ""
    if tag == "ModifyDate":
        doubt = _CHANGED
    return Candidate("exif", tag, text[:RAW_LENGTH], moment, parse_offset(offset), doubt=doubt)


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


# --- Choosing ------------------------------------------------------------------------------------


_BELIEVED = SOURCES[:-1]  # file times have a rule of their own


@dataclass(frozen=True, slots=True)
class DateRules:
    """What the configuration says about dates; it can be sent to another process.

    Attributes:
        zone: where things without a zone of their own were taken: an IANA name or "system".
        sources: those that are believed, the most trusted first.
        mtime: whether file times are believed: never, on camera cards, always.
        earliest: the first day that is believed.
    """

    zone: str = "system"
    sources: tuple[str, ...] = _BELIEVED
    mtime: Literal["never", "card", "always"] = "card"
    earliest: date = date(1990, 1, 1)


@dataclass(frozen=True, slots=True)
class DateSettings:
    """`DateRules` with the time zone itself."""

    timezone: tzinfo
    sources: tuple[str, ...] = _BELIEVED
    mtime: Literal["never", "card", "always"] = "card"
    earliest: date = date(1990, 1, 1)


# Within a source, the order of belief and what each field deserves. What is not listed comes after, low.
_FIELDS: dict[tuple[str, str], tuple[int, Confidence]] = {
    ("exif", "DateTimeOriginal"): (0, "high"),
    ("exif", "CreateDate"): (1, "medium"),
    ("exif", "png:Creation Time"): (2, "low"),
    ("exif", "png:tIME"): (3, "low"),
    ("quicktime", "com.apple.quicktime.creationdate"): (0, "high"),
    ("quicktime", "CreationDateValue"): (1, "high"),
    ("quicktime", "content create date"): (2, "medium"),
    ("quicktime", "movie header"): (3, "medium"),
    ("quicktime", "track header"): (4, "medium"),
    ("xmp", "exif:DateTimeOriginal"): (0, "medium"),
    ("xmp", "photoshop:DateCreated"): (1, "medium"),
    ("xmp", "exif:DateTimeDigitized"): (2, "low"),
    ("xmp", "xmp:CreateDate"): (3, "low"),
    ("takeout", "photoTakenTime"): (0, "medium"),
    ("filename", "filename"): (0, "medium"),
    ("mtime", "mtime"): (0, "low"),
}
_UNLISTED: tuple[int, Confidence] = (9, "low")
_NEVER = {("exif", "ModifyDate")}
_LAST_RESORT = {("exif", "GPSDateTime")}
_HEADERS = ("movie header", "track header")

# Cameras that know no time zone, or do not use it here, write local time into the headers that are UTC by
# specification. The first word of the maker's name.
_LOCAL_HEADERS = frozenset(
    (
        *("casio", "eastman", "fujifilm", "gopro", "jvc", "kodak", "nikon"),
        *("olympus", "om", "panasonic", "pentax", "ricoh", "sanyo"),
    )
)
# Zeros of the clocks that files use: QuickTime's and Unix's. A day's slack, since zones shift them.
_ZEROS = frozenset(
    zero + timedelta(days=shift) for zero in (date(1904, 1, 1), date(1970, 1, 1)) for shift in (-1, 0, 1)
)
_AHEAD = timedelta(days=1)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_LONGEST_CLIP = timedelta(hours=6)  # between the start in a name and the end in a header; thin air
_SHORT_CLIP = timedelta(minutes=10)
_JITTER = timedelta(seconds=5)
_QUARTER = timedelta(minutes=15)


def choose(
    candidates: Iterable[Candidate],
    settings: DateSettings,
    now_utc: datetime,
    *,
    make: str = "",
    model: str = "",
) -> Taken | None:
    """The capture date to believe, or None if no candidate deserves it.

    Whatever is more than weak comes first, in the order of `settings.sources` and of the fields within a
    source; then what is weak, in the same order; GPS time last.

    Args:
        candidates: all that was found.
        settings: see there.
        now_utc: the present, aware.
        make, model: the camera, since some makers break the rules in known ways.
    """
    ahead = now_utc.astimezone(UTC).replace(tzinfo=None) + _AHEAD
    ranked: list[tuple[tuple[bool, bool, int, int], int, Candidate, Taken]] = []
    for number, candidate in enumerate(candidates):
        reading = _as_local_header(candidate, make, model)
        taken = _believe(reading, settings, ahead)
        if taken is not None:
            ranked.append((_rank(reading, taken, settings), number, reading, taken))
    if not ranked:
        return None
    ranked.sort(key=lambda entry: entry[:2])
    _, _, best, taken = ranked[0]
    if best.utc and best.source == "quicktime" and best.tag in _HEADERS:
        names = (entry[2:] for entry in ranked if entry[2].source == "filename")
        return _start_by_name(best, taken, names)
    return taken


def _as_local_header(candidate: Candidate, make: str, model: str) -> Candidate:
    if not candidate.utc or candidate.tag not in _HEADERS:
        return candidate
    maker = (make or model).split()[:1]
    if not maker or maker[0].casefold().strip(",.") not in _LOCAL_HEADERS:
        return candidate
    return Candidate(candidate.source, candidate.tag, candidate.raw, candidate.moment, doubt=candidate.doubt)


def _believe(candidate: Candidate, settings: DateSettings, ahead: datetime) -> Taken | None:
    """The candidate as a capture date, or None if it is not to be believed at all.

    Args:
        ahead: the last moment that is believed, in UTC, naive.
    """
    moment, source = candidate.moment, candidate.source
    if moment is None or (source, candidate.tag) in _NEVER or not _is_source(candidate, settings):
        return None
    if not 1826 <= moment.year <= 9000 or moment.tzinfo is not None:  # before photography; overflow
        return None
    if moment.date() in _ZEROS:
        return None
    offset = candidate.offset_minutes
    if candidate.utc:
        if moment > ahead:
            return None
        aware = moment.replace(tzinfo=UTC).astimezone(settings.timezone)
        offset = _minutes(aware.utcoffset())
        moment = aware.replace(tzinfo=None)
    elif _is_after(moment, offset, settings.timezone, ahead):
        return None
    if moment.date() < settings.earliest:
        return None
    return Taken(moment, offset, source, candidate.tag, _confidence(candidate))


def _is_source(candidate: Candidate, settings: DateSettings) -> bool:
    if candidate.source != "mtime":
        return candidate.source in settings.sources
    return settings.mtime == "always" or (settings.mtime == "card" and not candidate.doubt)


def _is_after(moment: datetime, offset: int | None, zone: tzinfo, ahead: datetime) -> bool:
    """Is a local time, of this offset or else in this zone, later than that moment in UTC?"""
    if offset is not None:
        return moment - timedelta(minutes=offset) > ahead
    if moment <= ahead - _DAY:  # no zone is a whole day away, and looking it up takes long
        return False
    return moment.replace(tzinfo=zone) > ahead.replace(tzinfo=UTC)


def _minutes(offset: timedelta | None) -> int | None:
    return None if offset is None else round(offset / _MINUTE)


def _confidence(candidate: Candidate) -> Confidence:
    field = (candidate.source, candidate.tag)
    if candidate.doubt or field in _LAST_RESORT or _is_reset_clock(candidate.moment):
        return "low"
    return _FIELDS.get(field, _UNLISTED)[1]


def _is_reset_clock(moment: datetime | None) -> bool:
    """Midnight that begins a year: where a camera's clock starts when its battery was out."""
    if moment is None or moment.month != 1 or moment.day != 1:
        return False
    return moment.hour == moment.minute == moment.second == 0


def _rank(candidate: Candidate, taken: Taken, settings: DateSettings) -> tuple[bool, bool, int, int]:
    source, tag = candidate.source, candidate.tag
    place = settings.sources.index(source) if source in settings.sources else len(settings.sources)
    order, _ = _FIELDS.get((source, tag), _UNLISTED)
    return (source, tag) in _LAST_RESORT, taken.confidence == "low", place, order


def _start_by_name(header: Candidate, taken: Taken, names: Iterable[tuple[Candidate, Taken]]) -> Taken:
    """The start that the file's name tells, where it fits a header that may hold the end and knows no zone.

    Phones name a film by its start, in local time or (Pixel) in UTC, and write the header in UTC when they
    close it. A local name that lies a time zone away from the header, give or take the length of a clip, is
    the better witness of local time; its offset is only known where it is the configured zone's.
    """
    for name, named in names:
        if name.doubt or name.moment is None or header.moment is None:
            continue
        if name.utc:
            if -_JITTER <= header.moment - name.moment <= _LONGEST_CLIP:
                return named
            continue
        lag = taken.local - name.moment
        if -_JITTER <= lag <= _SHORT_CLIP:
            return Taken(named.local, taken.offset_minutes, named.source, named.tag, named.confidence)
        zones_away = (header.moment - name.moment + _JITTER) % _QUARTER - _JITTER
        if (
            abs(header.moment - name.moment) <= timedelta(minutes=_WIDEST_OFFSET)
            and zones_away <= _SHORT_CLIP
        ):
            return named
        if _SHORT_CLIP < lag <= _LONGEST_CLIP:
            return Taken(named.local, taken.offset_minutes, named.source, named.tag, named.confidence)
    return taken
