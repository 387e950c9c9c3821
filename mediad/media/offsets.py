"""How far a local time is from UTC, where another clock tells the same moment in UTC. PURE.

A film's name against its header, a picture's time against that of its GPS fix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from mediad.media.reading import Candidate
from mediad.media.stamps import WIDEST_OFFSET
from mediad.model import Taken

_LONGEST_CLIP = timedelta(hours=6)  # between the start in a name and the end in a header; thin air
_SHORT_CLIP = timedelta(minutes=10)
_SLOW = timedelta(seconds=30)  # what lasts this long may play for minutes
_JITTER = timedelta(seconds=5)
_FRESH = timedelta(minutes=3)  # between a fix and the picture; older ones may be any number of hours old
_LONGEST = 86400  # seconds
OFFSETS = frozenset(
    (
        *range(-12 * 60, WIDEST_OFFSET + 1, 60),
        *(-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825),
    )
)
"""What zones have, in minutes east of UTC, since 1990."""


def start_by_name(
    header: Candidate, taken: Taken, names: Iterable[tuple[Candidate, Taken]], duration: float | None
) -> Taken:
    """The start that the file's name tells, where it fits a header that may hold the end and knows no zone.

    Phones name a film by its start, in local time or (Pixel) in UTC, and write the header in UTC when they
    close it. A local name that lies a time zone away from the header, give or take the length of the film, is
    the better witness of local time; its offset is only known where it is the configured zone's. A name that
    tells when a film was sent fits no zone but by chance, and the less the shorter the film.

    Args:
        header, taken: what the header says, and as a date.
        duration: how long the film plays, in seconds, or None; then no name is believed that needs it.
    """
    length = timedelta(seconds=min(duration, _LONGEST)) if duration and duration > 0 else timedelta()
    for name, named in names:
        if name.doubt or name.moment is None or header.moment is None:
            continue
        offset = 0 if name.utc else name.offset_minutes
        if offset is not None:
            lag = header.moment - name.moment + timedelta(minutes=offset)
            if -_JITTER <= lag <= _LONGEST_CLIP:
                return named
            continue
        lag = taken.local - name.moment
        if -_JITTER <= lag <= max(_SHORT_CLIP, length + _JITTER):
            return replace(named, offset_minutes=taken.offset_minutes)
        if length and _is_zones_away(name.moment, header.moment, length):
            return named
    return taken


def _is_zones_away(start: datetime, utc: datetime, length: timedelta) -> bool:
    """Is it the local start, in any zone, of a film whose header has its start or end in UTC?"""
    for offset in OFFSETS:
        lag = utc - start + timedelta(minutes=offset)
        if -_JITTER <= lag <= min(length, _SLOW) + _JITTER or abs(lag - length) <= _JITTER:
            return True
    return False


def offset_by_fix(taken: Taken, fixes: Iterable[Candidate]) -> Taken:
    """A local time with the offset that the GPS time of the same moment gives away; the time stays as it is.

    The difference has to be one that zones have, but for what a fix may be old or a clock wrong.
    """
    for fix in fixes:
        if fix.moment is None:
            continue
        offset = zone_between(taken.local, fix.moment, _FRESH)
        if offset is not None:
            return replace(taken, offset_minutes=offset)
    return taken


def zone_between(local: datetime, utc: datetime, slack: timedelta) -> int | None:
    """The offset, in minutes east of UTC, by which a local time differs from UTC, or None if no zone does.

    Args:
        slack: how far the two clocks may be apart.
    """
    seconds = round((local - utc).total_seconds())
    offset = (seconds + 450) // 900 * 15
    return offset if offset in OFFSETS and abs(seconds - offset * 60) <= slack.seconds else None
