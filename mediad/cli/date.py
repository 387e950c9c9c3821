"""`mediactl date`: gives files another capture date, and reads the dates and spans that people type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date as day_of
from datetime import datetime, time

from mediad.cli.deeds import Deed, How, Parameters, carry_out
from mediad.cli.paths import absolute
from mediad.control.client import Client
from mediad.control.protocol import paths_parameters

# The year comes first: of 10/7/2021 nobody knows which is the month.
_WHEN = re.compile(
    r"(\d{4})([-:/.])(\d\d?)\2(\d\d?)"
    r"(?:(?:[T_]| +)(\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?"
    r"(?: *(?:(Z|UTC)|([+-])(\d\d?)(?::?(\d\d))?))?)?",
    re.ASCII | re.IGNORECASE,
)
_WIDEST_OFFSET = 14 * 60  # minutes; Kiribati
_FIRST_YEAR = 1000
_CLOCK = re.compile(r"(\d{1,6}):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_AMOUNT = re.compile(r"(\d{1,7}) ?(w|d|h|min|m|s)(?![a-z])", re.ASCII | re.IGNORECASE)
_SECONDS = {"w": 7 * 86_400, "d": 86_400, "h": 3600, "min": 60, "m": 60, "s": 1}


def date(
    client: Client,
    arguments: Sequence[str],
    *,
    when: str | None,
    shift: float | None,
    use: str | None,
    reset: bool,
    how: How,
) -> int:
    """Give files, each with its set, another capture date, and file them anew by it.

    Args:
        when: as `when` returns it. shift: seconds. use: a source, or a field's own name.
        reset: the date that the files themselves tell.
        Just one of these four is asked for.

    Returns:
        as `deeds.carry_out`.
    """
    parameters: Parameters = {
        **paths_parameters([absolute(path) for path in arguments]),
        "set": when,
        "shift_s": shift,
        "use": use,
        "reset": reset or None,
    }
    deed = Deed(
        "Date",
        parameters,
        question="Date {} anew?",
        done="dated anew",
        nothing="they have that date already",
    )
    return carry_out(client, deed, how)


def when(text: str) -> str:
    """A local time in ISO 8601, with its offset from UTC where that is given; of a day alone its midnight.

    Raises:
        ValueError: what is wrong; what is allowed.
    """
    match = _WHEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f'"{text}" is no date; "2021-07-10", "2021-07-10 20:39" or "2021-07-10T20:39:25.77+01:00" is'
            " allowed, the year first"
        )
    year, _, month, day, hour, minute, second, fraction, utc, *offset = match.groups()
    try:
        clock = time(int(hour or 0), int(minute or 0), int(second or 0), int((fraction or "").ljust(6, "0")))
        moment = datetime.combine(day_of(int(year), int(month), int(day)), clock)
    except ValueError:
        raise ValueError(f'"{text}" is not in the calendar, or no time of day') from None
    if moment.year < _FIRST_YEAR:
        raise ValueError(f'"{text}" lies before the year {_FIRST_YEAR}')
    return moment.isoformat() + ("+00:00" if utc else _offset(text, *offset) if offset[0] else "")


def _offset(text: str, sign: str, hours: str, minutes: str | None) -> str:
    east = int(hours) * 60 + int(minutes or 0)
    if int(minutes or 0) > 59 or east > _WIDEST_OFFSET:
        raise ValueError(f'"{text}" has no possible offset from UTC; such as "+01:00" or "Z" is allowed')
    return f"{sign}{int(hours):02}:{int(minutes or 0):02}"


def shift(text: str) -> float:
    """Seconds, negative for earlier, from "-1:00" (hours:minutes), "+0:02:30", "2d", "-1d 3:30" or "90min".

    Raises:
        ValueError: what is wrong; what is allowed.
    """
    rest = text.strip()
    sign = -1 if rest[:1] in ("-", "\u2212") else 1
    rest = rest[rest[:1] in ("-", "+", "\u2212") :].strip()
    total, seen = 0, False
    while match := _AMOUNT.match(rest):
        total += int(match[1]) * _SECONDS[match[2].lower()]
        rest, seen = rest[match.end() :].strip(), True
    if match := _CLOCK.fullmatch(rest):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        total, rest, seen = total + hours * 3600 + minutes * 60 + seconds, "", True
    if rest or not seen:
        raise ValueError(
            f'"{text}" is no shift; "-1:00" (hours:minutes), "+0:02:30" and numbers with w, d, h, m or s,'
            ' such as "2d" and "-1d 3:30", are allowed; years and months differ in length: see --set'
        )
    if not total:
        raise ValueError(f'"{text}" shifts nothing')
    return float(sign * total)
