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
from typing import Literal, NamedTuple

from mediad.media.names import ONLY_DAY, from_filename
from mediad.media.offsets import offset_by_fix, start_by_name, zone_between
from mediad.media.reading import Candidate
from mediad.media.stamps import (
    NOT_CARD,
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
    "is_digitised_after",
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
    ("exif", "Casio:DateTimeOriginal"): (0, "high"),
    ("exif", "PictureInfo:DateTimeOriginal"): (0, "high"),
    ("exif", "ExifIFD:DateTimeOriginal"): (0, "high"),  # as ExifTool names it
    ("exif", "CreateDate"): (1, "medium"),
    ("exif", "png:Creation Time"): (2, "low"),
    ("exif", "png:tIME"): (10, "low"),
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
_FIXES = {("exif", "GPSDateTime")}
_LAST_RESORT = _FIXES | {("exif", "png:tIME")}  # the latter tells of the last change
# What tells when a picture was taken, not when a print of it was scanned or a copy of it was made.
_ORIGINALS = frozenset(
    field
    for field, (_, confidence) in _FIELDS.items()
    if confidence != "low" and field[1] not in ("CreateDate", "movie header", "track header")
) | {("exif", "iptc:DateCreated")}
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
_LAST_BEGINNING = 2001  # the latest year with which the clocks of many cameras begin
_AHEAD = timedelta(days=1)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def choose(
    candidates: Iterable[Candidate],
    settings: DateSettings,
    now_utc: datetime,
    *,
    make: str = "",
    model: str = "",
    duration: float | None = None,
    scanned: bool = False,
) -> Taken | None:
    """The capture date to believe, or None if no candidate deserves it.

    Whatever is more than weak comes first, in the order of `settings.sources` and of the fields within a
    source; then what is weak, in the same order; GPS time and the time of the last change come last.

    Args:
        candidates: all that was found.
        settings: see there.
        now_utc: the present, aware.
        make, model: the camera, since some makers break the rules in known ways.
        duration: how long the film plays, in seconds.
        scanned: a scanner made it, whose dates are those of the scan.
    """
    ahead = now_utc.astimezone(UTC).replace(tzinfo=None) + _AHEAD
    by_camera = bool(make or model) and not scanned
    ranked: list[_Ranked] = []
    early: list[Taken] = []
    for number, candidate in enumerate(candidates):
        reading = _as_local_header(candidate, make, model)
        taken = _believe(reading, settings, ahead, by_camera=by_camera)
        if taken is None:
            continue
        if scanned:
            taken = _of_scan(taken)
        if taken.local.date() >= settings.earliest:
            ranked.append(_Ranked(rank_of(taken, settings.sources), number, reading, taken))
        elif (taken.source, taken.tag) in _ORIGINALS and reading.doubt in ("", ONLY_DAY):
            early.append(taken)
    if not ranked:
        return None
    ranked = _doubted(ranked, early, settings.sources)
    _, _, best, taken = min(ranked, key=lambda entry: entry[:2])
    if best.utc and best.source == "quicktime" and best.tag in HEADERS:
        names = ((entry.candidate, entry.taken) for entry in ranked if entry.candidate.source == "filename")
        return start_by_name(best, taken, names, duration)
    if taken.offset_minutes is None and _is_by_machine(best):
        fixes = (one.candidate for one in ranked if (one.taken.source, one.taken.tag) in _FIXES)
        return offset_by_fix(taken, fixes)
    return taken


def _of_scan(taken: Taken) -> Taken:
    lower: dict[str, Confidence] = {"DateTimeOriginal": "medium", "CreateDate": "low"}
    confidence = lower.get(taken.tag) if taken.confidence != "low" else None
    return taken if confidence is None else replace(taken, confidence=confidence)


def _doubted(ranked: list[_Ranked], early: Sequence[Taken], sources: Sequence[str]) -> list[_Ranked]:
    """What an older date of the picture itself refutes is doubtful: a print's scan, or the making of a copy.

    Args:
        early: originals' dates that are before the first day that is believed.
    """
    first = min((rank_of(taken, sources) for taken in early), default=None)
    originals = [*early, *(one.taken for one in ranked if one.candidate.doubt in ("", ONLY_DAY))]

    def judged(one: _Ranked) -> _Ranked:
        taken = one.taken
        refuted = any(is_digitised_after(taken, original) for original in originals)
        if not refuted and (first is None or one.rank < first):
            return one
        taken = replace(taken, confidence="low")
        return one._replace(taken=taken, rank=rank_of(taken, sources))

    return list(map(judged, ranked))


def is_digitised_after(taken: Taken, original: Taken) -> bool:
    """Is the first the date of a scan or copy of what another field says was taken at least a day before?"""
    return (
        (taken.source, taken.tag) == ("exif", "CreateDate")
        and (original.source, original.tag) in _ORIGINALS
        and original.local.date() < (taken.local - _DAY).date()
    )


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
    """The candidate as a capture date, or None if it is not to be believed, whatever day is the first.

    Args:
        ahead: the last moment that is believed, in UTC, naive.
        by_camera: the file names the camera that made it.
    """
    moment, source = candidate.moment, candidate.source
    if moment is None or (source, candidate.tag) in _NEVER or not _is_source(candidate, settings):
        return None
    if not 1826 <= moment.year <= 9000 or moment.tzinfo is not None:  # before photography; overflow
        return None
    may_be_unset = _is_by_machine(candidate) or (source == "filename" and not candidate.doubt)
    if moment.date() in _ZEROS or (may_be_unset and _is_unset(moment, candidate, by_camera)):
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
    if candidate.doubt or field in _LAST_RESORT or _may_be_reset(candidate.moment):
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
    """Midnight that begins a year up to 2001: where a camera's clock starts when its battery was out.

    People who date old prints by the year write it, too, so it counts for little where no camera wrote it.
    Later years have midnights that somebody may have photographed, see `_may_be_reset`.
    """
    if moment is None or moment.month != 1 or moment.day != 1 or moment.year > _LAST_BEGINNING:
        return False
    return moment.hour == moment.minute == moment.second == 0


def _may_be_reset(moment: datetime | None) -> bool:
    """The day on which a clock begins that was reset, and on which it may have gone on since.

    Nearly all begin with a year up to 2001. Of later years only the very beginning or noon is suspect.
    """
    if moment is None or moment.month != 1 or moment.day != 1:
        return False
    return moment.year <= _LAST_BEGINNING or (moment.hour in (0, 12) and moment.minute == moment.second == 0)


_Rank = tuple[bool, bool, int, int]


class _Ranked(NamedTuple):
    """A candidate that is believed. `number` is its place among all."""

    rank: _Rank
    number: int
    candidate: Candidate
    taken: Taken


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
    return taken if _may_be_reset(taken.local) else replace(taken, confidence=confidence)
