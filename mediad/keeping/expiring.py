"""Expiring: what has lain in trash for long enough is removed, if the clocks can be believed.

Two looks decide, see `keeping.expiry_clock`. What is removed is the very file that was put there: it is read
first, and what was changed since stays. What nobody asked to have removed, a duplicate above all, goes only
while another file is read and has the same content: the last copy stays for ever.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import apsw

from mediad.clock import Clock
from mediad.config import Config
from mediad.ingest.shelves import Shelves
from mediad.keeping.change import Change, Proof, Shift
from mediad.keeping.expiry_clock import Look, Verdict, judge
from mediad.keeping.relocate import Command, Relocator, grouped
from mediad.store import trashed
from mediad.store.database import Database
from mediad.store.trashed import Trashed

# Seconds between looks, and before the first: libraries are online by then, and a machine that has just been
# switched on has set its clock (`keeping.expiry_clock`), also one that runs for half an hour a day.
_EVERY = 960.0
_AGAIN = 86_400.0  # seconds until a file that had to stay is tried again
_PAGE = 200

log = logging.getLogger("mediad")


class Expirer:
    """Empties trash of what is old.

    Args:
        config: the one in force, asked each time. look: the moment, by all clocks.

    Attributes:
        kept: how many files of each library, by its row, outstay their time: they are the last of their
            content, or were changed.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        shelves: Shelves,
        database: Database,
        relocator: Relocator,
        clock: Clock,
        look: Callable[[], Look] | None = None,
    ) -> None:
        self._config = config
        self._shelves = shelves
        self._database = database
        self._relocator = relocator
        self._clock = clock
        self._look = look or functools.partial(moment, clock)
        self.kept: dict[int, int] = {}
        self._refused: dict[int, float] = {}  # steps whose file stayed, and when that was found, monotonic

    async def keep(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await anyio.sleep(_EVERY)
            await self.once()

    async def once(self) -> int:
        """Look at all trash now; returns how many files were removed."""
        keep = self._config().trash.keep
        if keep is None or self._clock.is_behind:
            return 0
        return sum([await self._library(shelf.id, keep) for shelf in self._shelves if shelf.online])

    async def _library(self, library: int, keep: float) -> int:
        command = Command("expire", f"after {keep / 86_400:g} days in trash")
        removed = kept = after = 0
        now = await anyio.to_thread.run_sync(self._look)
        until = now.wall_us - int(keep * 1e6)
        while True:
            ask = functools.partial(_judged, library=library, after=after, until=until, keep=keep, now=now)
            over, after = await self._database.run(ask)
            moment = self._clock.monotonic()
            tried = [one for one in over if moment - self._refused.get(one.step, -_AGAIN) >= _AGAIN]
            kept += len(over) - len(tried)
            for group in grouped([_removal(one) for one in tried]):
                for one in await self._relocator.carry_out(command, group):
                    removed += one.step is not None
                    kept += one.step is None
                    if one.step is None:  # to read it all again each hour would be for nothing
                        self._refused[one.item] = moment
            if not after:
                break
        self.kept[library] = kept
        if removed:
            log.info("trash, batch %d: %d files removed %s", command.batch, removed, command.label)
        return removed


def _judged(
    connection: apsw.Connection, library: int, after: int, until: int, keep: float, now: Look
) -> tuple[list[Trashed], int]:
    """Some of what may be over: what is, and where to go on, 0 at the end."""
    page = trashed.trashed(connection, library, after, until, _PAGE)
    over: list[Trashed] = []
    for one in page:
        first = trashed.first_look(connection, one.step)
        verdict = judge(first, now, keep, trashed.placed_at(connection, one.step))
        if verdict is Verdict.EXPIRE:
            over.append(one)
        elif verdict is Verdict.FIRST or (verdict is Verdict.KEEP and first is not None):
            trashed.set_looks(connection, [one.step], now if verdict is Verdict.FIRST else None)
    return over, page[-1].step if len(page) == _PAGE else 0


def _removal(one: Trashed) -> Change:
    shift = Shift(
        action="expire",
        arrival=one.arrival,
        size=one.size,
        digest=one.digest,
        source=one.spot,
        target=None,
        was=one.state,
        will_be=one.state,
        proof=Proof(one.others) if one.others is not None else None,
        reason="its time in trash is over",
    )
    return Change(one.step, (shift,))


def moment(clock: Clock) -> Look:
    """Now, by all the clocks there are."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return Look(boot, int(time.clock_gettime(time.CLOCK_BOOTTIME)), clock.micros())
