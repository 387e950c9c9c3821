"""Gatherer: brings earlier members of a set beside their principal once that was filed.

It follows the filing as an operation of its own, in the principal's set and batch, so that it is taken back
with that. It is no part of the filing: that must not fail for a file of the library that was changed, and
moving library files is `keeping.relocate`'s alone, which waits for whoever rests a plan on them. What is to
be done is remembered with the principal's intent, see `store.gathering`.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import anyio
import apsw

from mediad.errors import NameTaken, Retry, SourceBusy, printable
from mediad.ingest.stages import Stages
from mediad.keeping import gathering as planning
from mediad.keeping.change import Change, Spot
from mediad.keeping.relocate import Command, Done, Relocator
from mediad.layout import key_of
from mediad.store import gathering
from mediad.store.gathering import Due

_PAUSES = (60.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 86_400.0, 86_400.0)
"""Seconds until what failed is tried again. After the last it stays, unless its library can take nothing."""

_TOLD = 3  # failures after which it is worth somebody's attention
_GROUP = 64  # files that share their commits
_NAMES = 25  # names found taken on disk, one after the other, before a set is left where it is

log = logging.getLogger("mediad")


@dataclass(slots=True)
class Failing:
    """What could not be gathered yet.

    Attributes:
        due: when it is tried again, on the monotonic clock. path: of a file that stays for now, absolute.
    """

    failures: int
    due: float
    path: bytes
    reason: str

    @property
    def worth_telling(self) -> bool:
        return self.failures >= _TOLD


class Gatherer:
    """Gathers what is due whenever it is woken.

    Attributes:
        busy: it has been woken and is not done.
        failing: by the principal's step.
    """

    def __init__(self, stages: Stages, relocator: Relocator) -> None:
        self._stages = stages
        self._relocator = relocator
        self._woken = anyio.Event()
        self.busy = True
        self.failing: dict[int, Failing] = {}
        self._woken.set()  # what a stop or a crash left undone

    def wake(self) -> None:
        """A principal came late."""
        self.busy = True
        self._woken.set()

    def retry(self) -> None:
        """A library is online again, or has room: what failed is tried again at once."""
        for one in self.failing.values():
            one.due = 0.0
        self.wake()

    async def keep(self) -> None:
        """Gather, until cancelled."""
        while True:
            with anyio.move_on_after(self._pause()):
                await self._woken.wait()
            self._woken = anyio.Event()
            await self.once()
            self.busy = self._woken.is_set()
            self._stages.nudge()

    def _pause(self) -> float:
        if self._stages.stopping():
            return math.inf
        return max(0.0, min((one.due for one in self.failing.values()), default=math.inf) - self._now())

    def _now(self) -> float:
        return self._stages.clock.monotonic()

    async def once(self) -> None:
        """Gather what is due, where its library is online."""
        online = {shelf.id for shelf in self._stages.shelves if shelf.online}
        found = await self._stages.database.run(gathering.due)
        there = {one.item for one in found}
        self.failing = {item: one for item, one in self.failing.items() if item in there}
        now = self._now()
        ready = [one for one in found if one.lead.spot.library in online and self._is_time(one.item, now)]
        for offline in there - {one.item for one in ready}:
            if (failing := self.failing.get(offline)) is not None and failing.due <= now:
                failing.due = math.inf  # its library will tell
        for group in _grouped(ready):
            await self._gather(group)

    def _is_time(self, item: int, now: float) -> bool:
        failing = self.failing.get(item)
        return failing is None or failing.due <= now

    async def _gather(self, group: Sequence[Due]) -> None:
        """Sets of one batch."""
        avoid: set[bytes] = set()
        items = [one.item for one in group]
        for attempt in range(_NAMES):
            if self._stages.stopping():
                return
            plan = functools.partial(_planned, items=items, avoid=frozenset(avoid))
            changes = await self._stages.database.run(plan)
            command = Command("refile", batch=group[0].batch)
            done = await self._relocator.carry_out(command, changes, anew=plan)
            taken = {path for one in done if (path := _taken(one)) is not None}
            again = taken - avoid if attempt < _NAMES - 1 else set()
            avoid |= taken
            items = await self._end(items, done, again)
            if not items:
                return

    async def _end(self, items: Sequence[int], done: Sequence[Done], again: Collection[bytes]) -> list[int]:
        """See what became of these.

        Returns:
            those that another name may help.
        """
        if self._stages.stopping():
            return []
        ended: dict[int, list[str]] = {}
        renamed: list[int] = []
        for item in items:
            left = [one for one in done if _item(one) == item and one.step is None]
            if any(_taken(one) in again for one in left):
                renamed.append(item)
            elif not self._fails(item, left):
                for one in left:
                    log.info("%s stays where it is: %s", printable(one.shift.source.absolute), one.reason)
                notes = [f"{printable(one.shift.source.path)} stays: {one.reason}" for one in left]
                ended[item] = notes

        def end(connection: apsw.Connection) -> None:
            for item, notes in ended.items():
                gathering.tell(connection, item, notes)
                gathering.forget(connection, item)

        if ended:
            await self._stages.database.run(end)
        return renamed

    def _fails(self, item: int, left: Sequence[Done]) -> bool:
        """Is it tried again, some time later?"""
        before = self.failing.pop(item, None)
        failed = next((one for one in left if _may_pass(one)), None)
        if failed is None:
            return False
        failures = before.failures if before is not None else 0
        lasts = any(one.error is not None and one.error.retry is Retry.HOLD for one in left)
        if failures == len(_PAUSES) and not lasts:
            return False
        pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
        told = min(failures + 1, len(_PAUSES))
        self.failing[item] = Failing(told, self._now() + pause, failed.shift.source.absolute, failed.reason)
        return True


def _item(done: Done) -> int | None:
    """The principal's step."""
    return done.shift.becomes.item if done.shift.becomes is not None else None


def _taken(done: Done) -> bytes | None:
    """The absolute path that proved taken on disk though the catalogue knows of nothing there."""
    path = done.error.path if isinstance(done.error, NameTaken) else None
    return path if isinstance(path, bytes) else None


def _may_pass(done: Done) -> bool:
    return done.later or isinstance(done.error, SourceBusy)


def _grouped(found: Sequence[Due]) -> Iterator[list[Due]]:
    """What shares its commits: sets of one batch, together of about so many files."""
    for _, batch in itertools.groupby(found, lambda one: one.batch):
        group: list[Due] = []
        count = 0
        for one in batch:
            group.append(one)
            count += sum(map(len, one.sets))
            if count >= _GROUP:
                yield group
                group, count = [], 0
        if group:
            yield group


def _planned(connection: apsw.Connection, items: Collection[int], avoid: Collection[bytes]) -> list[Change]:
    given: dict[bytes, set[bytes]] = {}

    def taken(spot: Spot) -> bool:
        if spot.absolute in avoid:
            return True
        row = connection.execute(
            "SELECT 1 FROM file WHERE library = ? AND name_key = ? AND NOT missing LIMIT 1",
            (spot.library, key_of(spot.path)),
        )
        return row.fetchone() is not None

    changes: list[Change] = []
    for one in gathering.due(connection, items):
        names = given.setdefault(one.lead.spot.root, set())
        changes += planning.plan(one.lead, one.sets, taken, names)
    return changes
