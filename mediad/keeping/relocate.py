"""Relocate: carry out changes to what the libraries have, beside the pipeline and in step with it.

contents claimed -> everything read -> intents committed -> files moved -> outcomes committed. While contents
are claimed, the planner decides nothing that rests on them: no newcomer is called the duplicate of a file
that is just leaving.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import anyio
import anyio.to_thread
import apsw

from mediad.errors import LibraryOffline, MediadError, Retry, SourceChanged, Stranded, printable
from mediad.events import Events
from mediad.ingest.group import private_name
from mediad.ingest.pulse import Hung, Pulse
from mediad.ingest.record import Counted
from mediad.ingest.shelf import Shelf
from mediad.ingest.stages import Stages
from mediad.keeping.change import Change, Shift, Spot
from mediad.keeping.examine import Examiner
from mediad.keeping.mover import Mover
from mediad.keeping.trip import Load, Trip, Work
from mediad.library import TRASH
from mediad.store import catalogue, changes, journal

_GROUP = 64  # files that share their commits
_LOOK_LIMIT = 10.0  # seconds in which a folder says that it is there; a disk that spins up takes up to that


@dataclass(slots=True)
class Command:
    """What somebody asked for; its batch begins with the first thing that is done.

    Attributes:
        word: what the batch is called by: undo, trash, refile, prune, expire. label: of what.
    """

    word: str
    label: str = ""
    batch: int | None = None


class Done(NamedTuple):
    """What became of one shift: the step that did it, or why nothing was done.

    Attributes:
        later: it may be possible when the library, or the daemon, is well again.
        error: what went wrong, None where it was refused beforehand.
    """

    item: int
    shift: Shift
    target: Spot | None
    step: int | None
    reason: str
    later: bool = False
    error: MediadError | None = None


Plan = Callable[[apsw.Connection], Sequence[Change]]
"""What plans changes, in one unit of work."""


class Relocator:
    """Carries out changes, one group at a time whoever asks."""

    def __init__(self, stages: Stages, events: Events) -> None:
        self._stages = stages
        self._events = events
        self._one = anyio.Lock()
        self._examiner = Examiner(stages.files, stages.shelves.open, stages.stopping)
        self._mover = Mover(stages.files, stages.shelves.open, stages.stopping)
        self._thread = anyio.CapacityLimiter(1)
        self._pulses: dict[bytes, Pulse] = {}  # by root

    async def carry_out(
        self, command: Command, group: Sequence[Change], anew: Plan | None = None
    ) -> list[Done]:
        """Do it, and tell what became of it. Nothing is raised for what cannot be done.

        Args:
            group: sets that share their commits, see `grouped`.
            anew: plans them once more when nobody else changes the libraries: what had been decided on may
                have been undone meanwhile.
        """
        told = [refusal for change in group if change.refused for refusal in refusals(change)]
        possible = [change for change in group if not change.refused]
        if not possible:
            return told
        digests = {shift.digest for change in possible for shift in change.shifts}
        async with self.holding(digests):
            with anyio.CancelScope(shield=True):  # what was begun is finished
                if anew is not None:
                    told, possible = _within(digests, await self._stages.database.run(anew))
                told += await self._relocate(command, possible)
        return told

    @contextlib.asynccontextmanager
    async def holding(self, digests: set[bytes]) -> AsyncIterator[None]:
        """Nobody else changes the libraries meanwhile, and no plan rests on these contents."""
        async with self._one:
            while not await self._claimed(digests):
                await self._stages.wait(0.5)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._release(digests)

    async def forecast(self, group: Sequence[Change]) -> list[Done]:
        """What would become of it, as far as can be told without reading the files."""
        trip = Trip(self._stages.files, [self._load(change) for change in group if not change.refused])
        try:
            await self._in_thread(functools.partial(self._examiner.examine, trip, read=False))
        finally:
            await self._in_thread(trip.close)
        told = [refusal for change in group if change.refused for refusal in refusals(change)]
        return [*told, *(_done(load, work) for load in trip.loads for work in load.works)]

    async def _claimed(self, digests: set[bytes]) -> bool:
        """Try to get hold of these contents; not while a plan rests on one of them."""
        planner = self._stages.planner
        with anyio.CancelScope(shield=True):  # else it might be claimed, and nobody knew
            return await self._stages.database.run(lambda connection: planner.claim(digests))
        return False

    async def _release(self, digests: set[bytes]) -> None:
        planner = self._stages.planner
        await self._stages.database.run(lambda connection: planner.release(digests))
        for digest in digests:
            for lane, held in self._stages.deferred.pop(digest, ()):
                lane.plan_again(held)
        self._stages.nudge()
        self._stages.wake()

    async def _relocate(self, command: Command, group: Sequence[Change]) -> list[Done]:
        trip = Trip(self._stages.files, [self._load(change) for change in group])
        try:
            with self._stages.shelves.borrowed([shelf.settings.name for shelf in self._shelves(trip)]):
                await self._see_answering(trip)
                await self._in_thread(self._examiner.examine, trip)
                if trip.going:
                    await self._begin(command, trip)
                if begun := trip.going:
                    try:
                        await self._in_thread(self._mover.move, trip)
                        await self._end(trip, begun)
                    except BaseException as error:
                        self._strand(trip, begun, Stranded(f"its outcome could not be written down: {error}"))
                        raise
                    await self._clear_folders(trip)
                await self._tell_shelves(trip)
        finally:
            await self._in_thread(trip.close)
        self._publish(command, trip)
        return [_done(load, work) for load in trip.loads for work in load.works]

    async def _see_answering(self, trip: Trip) -> None:
        """A filesystem that hangs holds up nobody else: nothing is asked of it."""
        hung: dict[bytes, str] = {}
        asked = [spot for load in trip.going for spot in (*spots(load.change), *proofs(load.change))]
        for root in {spot.root for spot in asked}:
            pulse = self._pulses.setdefault(root, Pulse(_LOOK_LIMIT))
            try:
                await pulse.ask(functools.partial(_look_at, root))
            except Hung as error:
                hung[root] = error.what
        for load in trip.going if hung else ():
            with load.ending():
                for spot in (*spots(load.change), *proofs(load.change)):
                    if spot.root in hung:
                        raise LibraryOffline(hung[spot.root], path=spot.root)

    async def _in_thread(self, call: object, *arguments: object) -> None:
        await anyio.to_thread.run_sync(call, *arguments, limiter=self._thread)  # type: ignore[arg-type]

    def _load(self, change: Change) -> Load:
        load = Load(change, [])
        for shift in change.shifts:
            id_ = self._stages.recorder.next_id()
            target = shift.target
            if target is not None and target.path.startswith(TRASH + b"/"):
                target = target._replace(path=private_name(target.path, id_))
            load.works.append(Work(id_, replace(shift, target=target), target if shift.moves else None))
        with load.ending():
            for spot in spots(change):
                self._see_online(spot)
        return load

    def _see_online(self, spot: Spot) -> None:
        shelf = self._shelf(spot)
        if spot.library is not None and (shelf is None or not shelf.readable or shelf.moved):
            raise self._stages.shelves.reason(shelf.settings.name if shelf else "that it lies in")

    def _shelf(self, spot: Spot) -> Shelf | None:
        return next((one for one in self._stages.shelves if spot.library and one.id == spot.library), None)

    def _shelves(self, trip: Trip) -> Iterator[Shelf]:
        seen: set[int] = set()
        for load in trip.loads:
            for spot in spots(load.change):
                shelf = self._shelf(spot)
                if shelf is not None and shelf.id not in seen:
                    seen.add(shelf.id)
                    yield shelf

    async def _begin(self, command: Command, trip: Trip) -> None:
        """Commit the intents; sets that others have changed since that was decided come to nothing."""
        stages = self._stages
        now = stages.clock.micros()
        batch = command.batch or stages.recorder.next_id()

        def write(connection: apsw.Connection) -> None:
            for load in trip.going:
                with load.ending():
                    _see_holding(load.change, connection)
            intents = [
                changes.Intent(work.id, load.change.joins or load.works[0].id, work.shift)
                for load in trip.going
                for work in load.works
            ]
            if intents and command.batch is None:
                journal.open_batch(connection, command.word, b"", command.label, now, batch)
            changes.begin(connection, batch, intents, now)

        await stages.database.run(write)
        if trip.going:
            command.batch = batch

    async def _end(self, trip: Trip, begun: Sequence[Load]) -> None:
        stages = self._stages
        now = stages.clock.micros()

        def write(connection: apsw.Connection) -> Counted:
            done = [(work.id, work.placed, work.note) for load in trip.going for work in load.works]
            changes.finish(connection, done, trip.made, now)
            for load in begun:
                if load.error is not None and not isinstance(load.error, Stranded):
                    changes.revert(connection, [work.id for work in load.works], str(load.error), now)
            return catalogue.tally(connection), catalogue.holdings(connection)

        stages.recorder.counted(await stages.database.run(write))
        stages.clock.recorded(now)
        for load in begun:
            if isinstance(load.error, Stranded):
                stages.recorder.strand(work.id for work in load.works)

    def _strand(self, trip: Trip, begun: Sequence[Load], error: Stranded) -> None:
        """Nobody knows what the catalogue says: recovery has to see."""
        for load in begun:
            self._stages.recorder.strand(work.id for work in load.works)
        for shelf in self._shelves(trip):
            self._stages.shelves.fault(shelf, error)

    async def _clear_folders(self, trip: Trip) -> None:
        """Remove the folders that we made, and that something has now left empty."""
        asked = sorted(trip.emptied, key=lambda one: one[2].count(b"/"), reverse=True)
        if not asked:
            return

        def ours(connection: apsw.Connection) -> list[tuple[int, bytes, bytes]]:
            return [one for one in asked if changes.made_folders(connection, one[0], [one[2]])]

        found = await self._stages.database.run(ours)
        gone: list[tuple[int, bytes]] = []
        await self._in_thread(functools.partial(self._remove_folders, trip, found, gone))
        if gone:
            await self._stages.database.run(lambda connection: changes.forget_folders(connection, gone))

    def _remove_folders(
        self, trip: Trip, folders: Sequence[tuple[int, bytes, bytes]], gone: list[tuple[int, bytes]]
    ) -> None:
        for library, root, path in folders:
            with contextlib.suppress(OSError):  # not empty, or gone already: it is nobody's loss
                directory, name = trip.dirs[root].parent(path)
                self._stages.files.rmdir(name, directory)
                gone.append((library, path))

    async def _tell_shelves(self, trip: Trip) -> None:
        """A library that failed to take or give something is looked at; a stranded set waits for recovery."""
        for load in trip.loads:
            if load.error is None or load.error.retry is not Retry.HOLD:
                continue
            for spot in spots(load.change):
                shelf = self._shelf(spot)
                if shelf is not None and isinstance(load.error, Stranded):
                    self._stages.shelves.fault(shelf, load.error)
                elif shelf is not None:
                    await self._stages.shelves.look(shelf, doubted=True)

    def _publish(self, command: Command, trip: Trip) -> None:
        if not self._events.followed:
            return
        for load in trip.going:
            for work in load.works:
                self._events.publish(
                    work.shift.action,
                    path=work.shift.source.absolute,
                    destination=work.target.absolute if work.target else None,
                    reason=work.shift.reason,
                    batch=command.batch,
                    bytes=work.shift.size,
                )


def _look_at(root: bytes) -> None:
    with contextlib.suppress(OSError):  # whether it is there is seen later
        os.stat(root)


def _see_holding(change: Change, connection: apsw.Connection) -> None:
    if change.holds is not None and not change.holds(connection):
        raise SourceChanged(
            "was changed meanwhile", path=change.shifts[0].source.absolute, remedy="try again"
        )


def grouped(asked: Iterable[Change]) -> Iterator[list[Change]]:
    """Whole sets, together about as many files as share their commits."""
    group: list[Change] = []
    count = 0
    for change in asked:
        group.append(change)
        count += len(change.shifts)
        if count >= _GROUP:
            yield group
            group, count = [], 0
    if group:
        yield group


def spots(change: Change) -> Iterator[Spot]:
    """Where files of a set lie and go."""
    for shift in change.shifts:
        yield shift.source
        if shift.target is not None:
            yield shift.target


def proofs(change: Change) -> Iterator[Spot]:
    """The other files that a change rests on."""
    for shift in change.shifts:
        if shift.proof is not None:
            yield from shift.proof.spots


def refusals(change: Change) -> Iterator[Done]:
    """What is told of a set that cannot be changed."""
    for shift in change.shifts:
        yield Done(change.item, shift, shift.target, None, change.refused)


def _done(load: Load, work: Work) -> Done:
    if load.error is None:
        return Done(load.change.item, work.shift, work.target, work.id, work.note)
    error: MediadError = load.error
    later = error.retry in (Retry.HOLD, Retry.LATER)
    told = str(error).removeprefix(f"{printable(work.shift.source.absolute)}: ")  # whose path is told anyway
    return Done(load.change.item, work.shift, work.target, None, told, later, error)


def _within(digests: set[bytes], group: Sequence[Change]) -> tuple[list[Done], list[Change]]:
    """Refusals, and what can be done now: what has other contents than those claimed waits."""
    told: list[Done] = []
    possible: list[Change] = []
    for change in group:
        if change.refused:
            told += refusals(change)
        elif digests.issuperset(shift.digest for shift in change.shifts):
            possible.append(change)
        else:
            told += [
                refusal._replace(reason="it changed just now", later=True) for refusal in refusals(change)
            ]
    return told, possible
