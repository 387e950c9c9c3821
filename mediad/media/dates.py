"""Capture dates: choosing the one to believe. PURE.

A capture date is local wall-clock time. What states UTC (QuickTime headers, GPS, some file names, Google
Takeout) is brought to the configured zone; an offset counts only where the same field, or the tag made for
it, states it, or where the GPS time of the same moment gives it away. The texts themselves are read in
`stamps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

from mediad.media.names import ONLY_DAY, from_filename
from mediad.media.reading import Candidate
from mediad.media.stamps import (
    NOT_CARD,
    WIDEST_OFFSET,
    exif_candidate,
    gps_candidate,
    iso_candidate,
    mtime_candidate,
    parse_exif,
    parse_iso,
    parse_offset,
    parse_subsec,
    utc_candidate,
)
from mediad.model import Confidence, Taken

__all__ = [
    "HEADERS",
    "NOT_CARD",
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
    "rank_of",
    "sure",
    "utc_candidate",
    "zone_between",
]

SOURCES = ("exif", "quicktime", "xmp", "takeout", "filename", "mtime")
"""Where dates come from."""

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
    ("exif", "CanonRaw:DateTimeOriginal"): (0, "high"),
    ("exif", "SigmaRaw:DateTimeOriginal"): (0, "high"),
    ("exif", "FLIR:DateTimeOriginal"): (0, "high"),
    ("exif", "ExifIFD:DateTimeOriginal"): (0, "high"),  # as ExifTool names it
    ("exif", "CreateDate"): (1, "medium"),
    ("exif", "png:Creation Time"): (2, "low"),
    ("exif", "png:tIME"): (3, "low"),
    ("quicktime", "com.apple.quicktime.creationdate"): (0, "high"),
    ("quicktime", "CreationDateValue"): (1, "high"),
    ("quicktime", "MDPM"): (2, "high"),
    ("quicktime", "content create date"): (3, "medium"),
    ("quicktime", "IDIT"): (4, "medium"),
    ("quicktime", "DTIM"): (4, "medium"),
    ("quicktime", "JUNK DateTime"): (4, "medium"),
    ("quicktime", "bext OriginationDate"): (4, "medium"),
    ("quicktime", "movie header"): (5, "medium"),
    ("quicktime", "DateUTC"): (5, "medium"),
    ("quicktime", "ASF creation date"): (5, "medium"),
    ("quicktime", "track header"): (6, "medium"),
    ("quicktime", "ICRD"): (7, "low"),
    ("xmp", "exif:DateTimeOriginal"): (0, "medium"),
    ("xmp", "photoshop:DateCreated"): (1, "medium"),
    ("xmp", "exif:DateTimeDigitized"): (2, "low"),
    ("xmp", "xmp:CreateDate"): (3, "low"),
    ("takeout", "photoTakenTime"): (0, "medium"),
    ("filename", "filename"): (0, "medium"),
    ("mtime", "mtime"): (0, "low"),
}
_UNLISTED: tuple[int, Confidence] = (9, "low")
_NEVER = {("exif", "ModifyDate"), ("quicktime", "release date")}
_LAST_RESORT = {("exif", "GPSDateTime")}
_BY_PEOPLE = {("exif", "png:Creation Time"), ("quicktime", "content create date"), ("quicktime", "ICRD")}
HEADERS = ("movie header", "track header")
"""Fields of films that are UTC by specification (ISO/IEC 14496-12, 8.2.2), and with many cameras are not."""

# Cameras that know no time zone, or do not use it here, write local time into the headers that are UTC by
# specification. The first word of the maker's name.
_LOCAL_MAKERS = frozenset(
    (
        *("casio", "eastman", "fujifilm", "gopro", "jvc", "kodak", "nikon"),
        *("olympus", "om", "panasonic", "pentax", "ricoh", "sanyo"),
    )
)
# Zeros of the clocks that files use: OLE's, NTP's, QuickTime's, Unix's and DOS's. A day's slack, since zones
# shift them.
_ZEROS = frozenset(
    zero + timedelta(days=shift)
    for zero in (
        *(date(1899, 12, 30), date(1900, 1, 1), date(1904, 1, 1), date(1970, 1, 1), date(1980, 1, 1)),
    )
    for shift in (-1, 0, 1)
)
# What cameras and programs without a date write: the default of a chip that many cheap cameras have, the zero
# of GPS and its rollovers, "0000-00-00" taken literally, and where 31 and 32 bits of seconds end.
_DEFAULTS = frozenset(
    datetime.fromisoformat(moment)
    for moment in (
        *("2002-12-08T12:00:00", "1980-01-06", "1999-08-22", "2019-04-07", "1999-11-30", "2002-11-30"),
        *("2036-02-07T06:28:15", "2036-02-07T06:28:16", "2038-01-19T03:14:07", "2040-02-06T06:28:15"),
        *("2040-02-06T06:28:16", "2106-02-07T06:28:15"),
    )
)
_DIGITAL = 1998  # years of which there are more clocks that start with them than prints dated by the year
_AHEAD = timedelta(days=1)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_LONGEST_CLIP = timedelta(hours=6)  # between the start in a name and the end in a header; thin air
_SHORT_CLIP = timedelta(minutes=10)
_JITTER = timedelta(seconds=5)
_QUARTER = timedelta(minutes=15)
_FRESH = timedelta(minutes=3)  # between a fix and the picture; older ones may be any number of hours old
# What zones have, in minutes east of UTC, since 1990.
_OFFSETS = frozenset(
    (
        *range(-12 * 60, WIDEST_OFFSET + 1, 60),
        *(-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825),
    )
)


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
    by_camera = bool(make or model)
    ranked: list[tuple[_Rank, int, Candidate, Taken]] = []
    for number, candidate in enumerate(candidates):
        reading = _as_local_header(candidate, make, model)
        taken = _believe(reading, settings, ahead, by_camera=by_camera)
        if taken is not None:
            ranked.append((rank_of(taken, settings.sources), number, reading, taken))
    if not ranked:
        return None
    _, _, best, taken = min(ranked, key=lambda entry: entry[:2])
    if best.utc and best.source == "quicktime" and best.tag in HEADERS:
        names = (entry[2:] for entry in ranked if entry[2].source == "filename")
        return _start_by_name(best, taken, names)
    if taken.offset_minutes is None and _is_by_machine(best):
        fixes = (entry[2] for entry in ranked if (entry[2].source, entry[2].tag) in _LAST_RESORT)
        return _offset_by_fix(taken, fixes)
    return taken


def _as_local_header(candidate: Candidate, make: str, model: str) -> Candidate:
    if not candidate.utc or candidate.tag not in HEADERS:
        return candidate
    maker = (make or model).split()[:1]
    if not maker or maker[0].casefold().strip(",.") not in _LOCAL_MAKERS:
        return candidate
    return Candidate(candidate.source, candidate.tag, candidate.raw, candidate.moment, doubt=candidate.doubt)


def _believe(
    candidate: Candidate, settings: DateSettings, ahead: datetime, *, by_camera: bool
) -> Taken | None:
    """The candidate as a capture date, or None if it is not to be believed at all.

    Args:
        ahead: the last moment that is believed, in UTC, naive.
        by_camera: the file names the camera that made it.
    """
    moment, source = candidate.moment, candidate.source
    if moment is None or (source, candidate.tag) in _NEVER or not _is_source(candidate, settings):
        return None
    if not 1826 <= moment.year <= 9000 or moment.tzinfo is not None:  # before photography; overflow
        return None
    if moment.date() in _ZEROS or (_is_by_machine(candidate) and _is_unset(moment, candidate, by_camera)):
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


def _is_by_machine(candidate: Candidate) -> bool:
    """Nobody types such a field in, so that what stands there by default is no date."""
    source = candidate.source
    return (
        source in ("exif", "quicktime") and not candidate.doubt and (source, candidate.tag) not in _BY_PEOPLE
    )


def _is_unset(moment: datetime, candidate: Candidate, by_camera: bool) -> bool:
    """Is it what stands in such a field while nobody has set the clock?"""
    if moment in _DEFAULTS:
        return True
    sure = by_camera or candidate.source == "quicktime" or moment.year >= _DIGITAL
    return sure and _is_reset_clock(moment)


def _is_reset_clock(moment: datetime | None) -> bool:
    """Midnight that begins a year: where a camera's clock starts when its battery was out.

    People who date old prints by the year write it, too, so it counts for little where no camera wrote it.
    """
    if moment is None or moment.month != 1 or moment.day != 1:
        return False
    return moment.hour == moment.minute == moment.second == 0


_Rank = tuple[bool, bool, int, int]


def rank_of(taken: Taken, sources: Sequence[str]) -> _Rank:
    """Where a date stands in the order of belief; less is better.

    Args:
        sources: those that are believed, the most trusted first.
    """
    field = (taken.source, taken.tag)
    place = sources.index(taken.source) if taken.source in sources else len(sources)
    return field in _LAST_RESORT, taken.confidence == "low", place, _FIELDS.get(field, _UNLISTED)[0]


def sure(taken: Taken) -> Taken:
    """The date as its field alone would deserve it, whatever else speaks against its file."""
    confidence = _FIELDS.get((taken.source, taken.tag), _UNLISTED)[1]
    return taken if _is_reset_clock(taken.local) else replace(taken, confidence=confidence)


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
        if abs(header.moment - name.moment) <= timedelta(minutes=WIDEST_OFFSET) and zones_away <= _SHORT_CLIP:
            return named
        if _SHORT_CLIP < lag <= _LONGEST_CLIP:
            return Taken(named.local, taken.offset_minutes, named.source, named.tag, named.confidence)
    return taken


def _offset_by_fix(taken: Taken, fixes: Iterable[Candidate]) -> Taken:
    """A local time with the offset that the GPS time of the same moment gives away; the time stays as it is.

    The difference has to be one that zones have, but for what a fix may be old or a clock wrong.
    """
    for fix in fixes:
        if fix.moment is None:
            continue
        offset = zone_between(taken.local, fix.moment, _FRESH)
        if offset is not None:
            return Taken(taken.local, offset, taken.source, taken.tag, taken.confidence)
    return taken


def zone_between(local: datetime, utc: datetime, slack: timedelta) -> int | None:
    """The offset, in minutes east of UTC, by which a local time differs from UTC, or None if no zone does.

    Args:
        slack: how far the two clocks may be apart.
    """
    seconds = round((local - utc).total_seconds())
    offset = (seconds + 450) // 900 * 15
    return offset if offset in _OFFSETS and abs(seconds - offset * 60) <= slack.seconds else None
