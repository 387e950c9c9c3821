"""Counts, times and durations as people read and write them."""

from __future__ import annotations

import re
import time
from datetime import datetime

from mediad.control.protocol import time_text

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)"
_LONGEST = 100 * 366 * 86_400.0  # what the configuration allows, too


def count(number: int, thing: str, things: str = "") -> str:
    """A number of things: "1 file", "12,345 files"."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def span_text(seconds: float) -> str:
    """A duration by its two largest units: "1h 20m"."""
    whole = max(0, round(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, whole = divmod(whole, length)
        if amount or parts:
            parts.append(f"{amount}{unit}" if amount else "")
    return " ".join(filter(None, parts[:2])) or "0s"


def moment_text(rfc3339: str, now: float | None = None) -> str:
    """A moment in local time, to the second if it is of today: "10:00:05", "2026-11-25 10:00".

    Args:
        now: seconds since 1970; default: the clock's.
    """
    moment = _local(rfc3339)
    today = time.localtime(now)
    is_today = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M", moment)


def until_text(rfc3339: str | None, now: float | None = None) -> str:
    """When a pause ends: "until 18:00:00", or "until it is resumed"."""
    return f"until {moment_text(rfc3339, now)}" if rfc3339 else "until it is resumed"


def full_text(rfc3339: str) -> str:
    """A moment in local time with its day, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", _local(rfc3339))


def _local(rfc3339: str) -> time.struct_time:
    return time.localtime(datetime.fromisoformat(rfc3339).replace(microsecond=0).timestamp())


def duration(text: str) -> float:
    """Seconds, from "500ms", "2s", "15m", "36h" or "30d", as the configuration has durations.

    Raises:
        ValueError: what is wrong; what is allowed.
    """
    match = re.fullmatch(_DURATION, text)
    if match is None or float(match[1]) * _SECONDS[match[2]] > _LONGEST:
        raise ValueError(f'"{text}" is no duration; a number with ms, s, m, h or d is allowed, such as "15m"')
    return float(match[1]) * _SECONDS[match[2]]


def since(text: str, now: float | None = None) -> str:
    """The moment, by RFC 3339, that lies a duration ago, or that is given as a time or a day (local).

    Raises:
        ValueError: what is wrong; what is allowed.
    """
    if re.fullmatch(_DURATION, text):
        moment = (time.time() if now is None else now) - duration(text)
        return str(time_text(round(moment * 1_000_000)))
    try:
        moment = datetime.fromisoformat(text).astimezone().timestamp()
        return str(time_text(round(moment * 1_000_000)))
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f'"{text}" is no time; "2h", "2026-11-25" or "2026-11-25T10:00:00+01:00" are allowed'
        ) from None
