"""Whether the wall clock can be right. PURE."""

from __future__ import annotations

EARLIEST = 1_704_067_200_000_000
"""Microseconds since the epoch: 2024-01-01T00:00Z. No clock that says less can be right: this program is
younger. Machines without a battery start in 1970, 2000 or whenever their firmware was made."""


def trusted(now_wall: int, newest_recorded: int) -> bool:
    """Can the wall clock be right? Not if it lies behind a time that was recorded before, or this program.

    Args:
        now_wall, newest_recorded: microseconds since the epoch.
    """
    return now_wall >= max(newest_recorded, EARLIEST)
