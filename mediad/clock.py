"""The two clocks: durations come from the monotonic one, dates from the wall. Tests give their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from mediad.wall import EARLIEST, trusted


class Clock:
    """This machine's clocks.

    Attributes:
        newest: the latest time that the catalogue knows, microseconds; the wall clock is wrong if it says
            less. See `recorded`.
    """

    newest = EARLIEST

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never jumps."""
        return time.monotonic()

    def wall_ns(self) -> int:
        """Nanoseconds since the epoch, as the system believes."""
        return time.time_ns()

    def now(self) -> datetime:
        """The wall clock as an aware UTC datetime."""
        return datetime.fromtimestamp(self.wall_ns() / 1e9, UTC)

    def micros(self) -> int:
        """Microseconds since the epoch, the catalogue's unit."""
        return self.wall_ns() // 1000

    def recorded(self, micros: int) -> None:
        """The catalogue has a time, or gets it now."""
        self.newest = max(self.newest, micros)

    @property
    def is_behind(self) -> bool:
        """Can the wall clock not be right?"""
        return not trusted(self.micros(), self.newest)

    def present(self) -> datetime:
        """The earliest moment that it can be now: by the wall clock, unless that is behind."""
        return datetime.fromtimestamp(max(self.micros(), self.newest) / 1e6, UTC)
