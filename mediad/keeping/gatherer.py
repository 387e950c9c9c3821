"""Gatherer: brings earlier members of a set beside their principal once that was filed.

It follows the filing as an operation of its own, in the principal's set and batch, so that it is taken back
with that. It is no part of the filing: that must not fail for a file of the library that was changed, and
moving library files is `keeping.relocate`'s alone, which waits for whoever rests a plan on them. What is to
be done is remembered with the principal's intent, see `store.gathering`.
"""

from __future__ import annotations

import functools
import logging
import math

import anyio
import apsw

from mediad.errors import printable
from mediad.ingest.stages import Stages
from mediad.keeping import gathering as planning
from mediad.keeping.change import Change, Spot
from mediad.keeping.relocate import Command, Relocator
from mediad.layout import key_of
from mediad.store import gathering
from mediad.store.gathering import Due

_AGAIN = 60.0  # seconds until what was in use, or had no room, is tried again

log = logging.getLogger("mediad")


class Gatherer:
    """Gathers what is due whenever it is woken.

    Attributes:
        busy: it has been woken and is not done.
    """

    def __init__(self, stages: Stages, relocator: Relocator) -> None:
        self._stages = stages
        self._relocator = relocator
        self._woken = anyio.Event()
        self.busy = True
        self._woken.set()  # what a stop or a crash left undone
        self._waits = False

    def wake(self) -> None:
        """A principal came late, or a library is online again."""
        self.busy = True
        self._woken.set()

    async def keep(self) -> None:
        """Gather, until cancelled."""
        while True:
            with anyio.move_on_after(_AGAIN if self._waits else math.inf):
                await self._woken.wait()
            self._woken = anyio.Event()
            self._waits = False
            await self.once()
            self.busy = self._woken.is_set()
            self._stages.nudge()

    async def once(self) -> None:
        """Gather what is due, where its library is online."""
        online = {shelf.id for shelf in self._stages.shelves if shelf.online}
        for one in await self._stages.database.run(gathering.due):
            if one.lead.spot.library in online:
                await self._gather(one)

    async def _gather(self, due: Due) -> None:
        changes = await self._stages.database.run(functools.partial(_planned, due=due))
        done = await self._relocator.carry_out(Command("refile", batch=due.batch), changes)
        later = self._stages.stopping() or any(one.later for one in done)
        self._waits |= later
        left = [one for one in done if one.step is None]
        for one in left:
            log.info("%s stays where it is: %s", printable(one.shift.source.absolute), one.reason)
        if not later:
            notes = [f"{printable(one.shift.source.path)} stays: {one.reason}" for one in left]

            def end(connection: apsw.Connection) -> None:
                gathering.tell(connection, due.item, notes)
                gathering.forget(connection, due.item)

            await self._stages.database.run(end)


def _planned(connection: apsw.Connection, due: Due) -> list[Change]:
    def taken(spot: Spot) -> bool:
        row = connection.execute(
            "SELECT 1 FROM file WHERE library = ? AND name_key = ? AND NOT missing LIMIT 1",
            (spot.library, key_of(spot.path)),
        )
        return row.fetchone() is not None

    return planning.plan(due.lead, due.sets, taken)
