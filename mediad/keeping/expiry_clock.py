"""When the time of something in trash is really over, on a machine whose wall clock may be wrong. PURE.

CLOCK_BOOTTIME never lies, also over suspends, but only within one boot; the wall clock goes on over reboots,
and may jump. So something expires when two looks say that its time is over, and between the two

- within one boot a day has gone by on CLOCK_BOOTTIME, and the wall clock has gone with it;
- over a reboot a day has gone by on the wall clock, and the machine is up long enough to have set it.

What this promises, whatever the clocks do:

1. Within one boot nothing expires before a whole day of real time has gone by since its time first seemed
   to be over, and no look in between said otherwise: a clock that is ahead and is put right within that day
   makes nothing expire.
2. Nothing expires before `keep` of real time as long as the wall clock is no further ahead at the first of
   the two looks than it was when the file was placed, however it jumps meanwhile; what was placed while
   the clock cannot have been right is kept from the first look on.
3. A wall clock that is behind, or set back, only delays.

What no clock can tell, it does not promise: a wall clock that is ahead, and stays ahead for a day of running
without anybody putting it right, or over two starts, makes things expire as early as it is ahead.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mediad.wall import EARLIEST, trusted

__all__ = ["Look", "Verdict", "judge", "may_expire", "trusted"]

DAY = 86_400
"""Seconds between the two looks."""

_DRIFT = 600  # seconds a day by which the clocks may part without a jump; adjtime slews by 43 s; thin air
_TO_BE_SET = 900  # seconds after which a machine with a network has set its clock; thin air


@dataclass(frozen=True, slots=True)
class Look:
    """A moment, by all the clocks there are.

    Attributes:
        boot_id: /proc/sys/kernel/random/boot_id.
        uptime_s: CLOCK_BOOTTIME in whole seconds.
        wall_us: microseconds since the epoch, as the system believes.
    """

    boot_id: str
    uptime_s: int
    wall_us: int


class Verdict(enum.Enum):
    """What a look at something in trash says, and what becomes of its row in `expiring`."""

    KEEP = "keep"  # its time is not over: no row
    FIRST = "first"  # this look becomes its row, also in place of an earlier one
    WAIT = "wait"  # its row stands
    EXPIRE = "expire"


def judge(first_look: Look | None, now: Look, keep_s: float, placed_at: int) -> Verdict:
    """What is to be done after a look. While the wall clock is not `trusted`, take none.

    Args:
        first_look: the row in `expiring`, None if there is none.
        keep_s: how long it is kept, in seconds.
        placed_at: microseconds since the epoch: the latest time that was recorded up to when it was placed,
            so that a clock that had fallen back then does not make it older than it is.
    """
    if placed_at >= EARLIEST and not _over(now, keep_s, placed_at):
        return Verdict.KEEP
    if first_look is None or not _stands(first_look, now):
        return Verdict.FIRST
    return Verdict.EXPIRE if may_expire(first_look, now, keep_s, placed_at) else Verdict.WAIT


def may_expire(first_look: Look, now: Look, keep_s: float, placed_at: int) -> bool:
    """Is its time over, for sure?

    Args:
        first_look: the first of the looks that said so without a break; where nobody knows when it was
            placed, the first look of all.
        now: a later look.
        keep_s, placed_at: see `judge`.
    """
    known = placed_at >= EARLIEST
    if known and not _over(first_look, keep_s, placed_at):
        return False
    if not _over(now, keep_s, placed_at if known else first_look.wall_us):
        return False
    return _stands(first_look, now) and _a_day_apart(first_look, now)


def _over(look: Look, keep_s: float, since: int) -> bool:
    return look.wall_us - since >= keep_s * 1e6


def _a_day_apart(first: Look, now: Look) -> bool:
    if first.boot_id == now.boot_id:
        return now.uptime_s - first.uptime_s > DAY  # they are whole seconds: only more than a day is a day
    return now.uptime_s >= _TO_BE_SET and now.wall_us - first.wall_us >= DAY * 1_000_000


def _stands(first: Look, now: Look) -> bool:
    """Has the wall clock not jumped since, as far as can be told?"""
    gained = (now.wall_us - first.wall_us) / 1e6
    if first.boot_id != now.boot_id:
        return gained >= 0
    gone = now.uptime_s - first.uptime_s
    return gone >= 0 and abs(gained - gone) <= _DRIFT * (1 + gone / DAY)
