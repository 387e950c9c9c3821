"""The two clocks: durations come from the monotonic one, dates from the wall. Tests give their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """This machine's clocks."""

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
