"""Time zones by name, as this machine knows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mediad.media.dates import DateRules, DateSettings


def date_settings(rules: DateRules) -> DateSettings:
    """The rules with their time zone looked up.

    Raises:
        ZoneInfoNotFoundError, ValueError, OSError: there is no such zone here.
    """
    zone = system_zone() if rules.zone == "system" else ZoneInfo(rules.zone)
    return DateSettings(zone, rules.sources, rules.mtime, rules.earliest)


def system_zone() -> tzinfo:
    """This machine's time zone with its history of offsets (tzset(3): $TZ, then /etc/localtime)."""
    for name in _zone_names():
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    try:
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return ZoneInfo("UTC")


def _zone_names() -> Iterator[str]:
    if zone := os.environ.get("TZ", "").removeprefix(":"):
        yield zone
    real = os.path.realpath("/etc/localtime")
    if "/zoneinfo/" in real:
        yield real.partition("/zoneinfo/")[2]
