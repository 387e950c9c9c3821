"""How fast library files may be read again. PURE."""

from __future__ import annotations

from collections.abc import Callable

_BURST = 1.0  # seconds whose bytes may be read at once after a rest


class Bucket:
    """So many bytes a second.

    Args:
        rate: bytes a second, asked each time since a reload may change it; 0 for as fast as can be.
    """

    def __init__(self, rate: Callable[[], int]) -> None:
        self._rate = rate
        self._free = 0.0  # when all that was taken will have been paid for

    def take(self, count: int, now: float) -> float:
        """Take so many bytes; returns the seconds to wait before more are read.

        Args:
            now: seconds on the monotonic clock.
        """
        rate = self._rate()
        if not rate:
            return 0.0
        self._free = max(self._free, now - _BURST) + count / rate
        return max(0.0, self._free - now)


def due(ended: int | None, every: float | None, now: int) -> float | None:
    """Seconds until the next pass over a library, 0.0 or less where it is time; None: never.

    Args:
        ended: when the last whole one ended. now: both in microseconds of the wall clock.
        every: seconds.
    """
    if every is None:
        return None
    return 0.0 if ended is None else every - (now - ended) / 1e6
