"""A lane: identify, plan, place and record for one watch's files, so that a hung mount holds only itself.

Small and large files of a watch have lanes of their own: a film that is hashed or copied for minutes does
not keep photos waiting. What all lanes share is in `ingest.stages`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import anyio
import anyio.to_thread
import apsw

from mediad.errors import (
    InputOutput,
    LibraryFull,
    MediadError,
    NameTaken,
    Retry,
    Stranded,
    WitnessFailed,
    printable,
)
from mediad.ingest import witnesses
from mediad.ingest.group import Group, Job
from mediad.ingest.identify import Back, Identified
from mediad.ingest.jobs import plan_group
from mediad.ingest.readiness import leave_behind, libraries_ready
from mediad.ingest.record import Counted
from mediad.ingest.stages import Stages
from mediad.layout import key_of
from mediad.model import Held, Result, Settled, Sighting, Unplanned
from mediad.store import verifying

_GROUP = 64  # sets that share their syncs and commits
_OPEN_FILES = 512  # with which no more are identified; a thousand copies of one file all wait for the first
_BACKLOG = 64  # batches that may wait to be identified
_HOLD = 60.0  # seconds before files are tried again whose library or workers could not take them
_ATTEMPTS = 25  # names or witnesses that may fail one set before it is given up

log = logging.getLogger("mediad")


class Lane:
    """Takes batches of settled files to their end.

    Args:
        readers: how many batches are identified at a time; their hashing takes turns, parsing overlaps.

    Attributes:
        retired: its watch is gone: what is on its way into the library is finished, all else is dropped.
        progressed: when it last began or ended anything, on the monotonic clock.
    """

    def __init__(self, stages: Stages, readers: int) -> None:
        self.retired = False
        self.progressed = stages.clock.monotonic()
        self._stages = stages
        self._readers = readers
        self._reading = readers
        self._at_work = 0
        self._hashing = anyio.CapacityLimiter(1)  # on few cores more threads only contend for the interpreter
        self._filing = anyio.CapacityLimiter(1)
        self._comparing = anyio.CapacityLimiter(1)
        self._placing = anyio.Semaphore(1)
        self._replan: deque[Held] = deque()
        self._to_identify, self._settled = anyio.create_memory_object_stream[list[Settled]](_BACKLOG)
        self._to_plan, self._identified = anyio.create_memory_object_stream[list[Held]](2)

    def has_room(self, batches: int) -> bool:
        """Can it take so many batches without anybody having to wait?"""
        return self._to_identify.statistics().current_buffer_used + batches <= _BACKLOG

    @property
    def busy(self) -> bool:
        """Has it anything to do?"""
        return bool(
            self._at_work
            or self._replan
            or self._to_identify.statistics().current_buffer_used
            or self._to_plan.statistics().current_buffer_used
        )

    @property
    def in_thread(self) -> bool:
        """Does a thread read or write files for it?"""
        limiters = (self._hashing, self._filing, self._comparing)
        return any(limiter.borrowed_tokens for limiter in limiters)

    def _got_on(self, _bytes: int = 0) -> None:
        """Something moves, in whatever thread."""
        self.progressed = self._stages.clock.monotonic()

    def put(self, batch: list[Settled]) -> None:
        """Take in a batch; there must be room."""
        if not self.busy:
            self._got_on()
        self._to_identify.send_nowait(batch)

    def recall(self) -> list[Settled]:
        """Give back the batches that nobody has begun with."""
        found: list[Settled] = []
        with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
            while True:
                found += self._settled.receive_nowait()
        return found

    def retire(self) -> None:
        """Its watch is gone: `run` ends as soon as what is on its way into the library is there."""
        self.retired = True
        self._drop(settled.members for settled in self.recall())
        self._to_identify.close()
        self._stages.nudge()
        self._take_back_deferred()

    def _take_back_deferred(self) -> None:
        """Once it has retired, its sets wait no longer for what is in flight in another lane."""
        if not self.retired:
            return
        for digest, waiting in list(self._stages.deferred.items()):
            self._replan.extend(held for lane, held in waiting if lane is self)
            self._stages.deferred[digest] = [pair for pair in waiting if pair[0] is not self]

    def _drop(self, members: Iterable[Sequence[Sighting]]) -> None:
        for group in members:
            self._stages.tracker.dropped(group)

    def _drop_held(self, helds: Iterable[Held]) -> None:
        for held in helds:
            self._close(held)
            self._stages.tracker.dropped([member.sighting for member in held.set.members])

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Something is done here meanwhile."""
        self._at_work += 1
        self._got_on()
        try:
            yield
        finally:
            self._at_work -= 1
            self._got_on()

    async def run(self) -> None:
        """Work until retired or cancelled; what is being placed then is finished first."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._readers):
                tasks.start_soon(self._identify)
            tasks.start_soon(self._plan)

    def close(self) -> None:
        """No lane works any more: close the streams."""
        for stream in (self._to_identify, self._settled, self._to_plan, self._identified):
            stream.close()

    # -- identify -------------------------------------------------------------------------------------

    async def _identify(self) -> None:
        async for batch in self._settled:
            while self._stages.open_files > _OPEN_FILES and not self.retired:
                await self._stages.changed.wait()
            with self._working():
                result = await self._identified_of(batch)
                self._stages.open_files += sum(len(held.fds) for held in result.sets)
                if self.retired:
                    self._drop_held(result.sets)
                    self._drop(settled.members for settled in batch)  # some were not even opened
                    continue
                await self._take_note(result)
            if result.sets:
                await self._to_plan.send(result.sets)
        self._reading -= 1
        if not self._reading:
            self._to_plan.close()

    async def _identified_of(self, batch: list[Settled]) -> Identified:
        try:
            return await self._stages.identifier.identify(batch, self._hashing, lambda: self.retired)
        except InputOutput as error:  # no worker can be had: nothing is concluded from that
            if self._stages.once:
                raise
            log.warning("files wait, since they cannot be looked into: %s", error)
            members = tuple(sighting for settled in batch for sighting in settled.members)
            return Identified(back=[Back(members, _HOLD, error.message)])

    async def _take_note(self, result: Identified) -> None:
        """Record what needs no plan, and let settle again what is not at rest."""
        if result.unplanned:
            await self._stages.recorder.unplanned(result.unplanned)
        now = self._stages.clock.monotonic()
        for file in result.unplanned:
            left = file.outcome is Result.GONE
            self._stages.tracker.landed(file.sighting, now, left=left, outcome=file.outcome, alone=True)
        if result.lost is not None:
            self._stages.lost(result.back[0].members[0].watch, result.lost)
        for back in result.back:
            self._return(back, now)
        self._stages.nudge()
        self._stages.wake()

    def _return(self, back: Back, now: float, *, held: bool = False) -> None:
        if self.retired:
            self._drop([back.members])
            return
        if log.isEnabledFor(logging.DEBUG):
            for sighting in back.members:
                log.debug("%s/%s settles again: %s", sighting.watch, printable(sighting.path), back.note)
        self._stages.tracker.returned(back.members, now, back.wait, back.note, held=held)

    # -- plan -----------------------------------------------------------------------------------------

    async def _plan(self) -> None:
        stages = self._stages
        async with anyio.create_task_group() as placing:
            while helds := await self._next_to_plan():
                if self.retired:
                    self._drop_held(helds)
                    continue
                with self._working():
                    sizes = {member.sighting.stat.size for held in helds for member in held.set.members}
                    await witnesses.read_unread(
                        stages.database,
                        stages.shelves.open(),
                        sizes,
                        stages.stopping,
                        self._comparing,
                        self._got_on,
                        clock=stages.clock,
                    )
                    jobs = await stages.database.run(functools.partial(plan_group, stages, self, helds))
                self._take_back_deferred()
                if jobs:
                    await self._placing.acquire()
                    placing.start_soon(self._place, Group(jobs))

    async def _next_to_plan(self) -> list[Held]:
        """Sets to plan together: what has to be planned anew first, then what has arrived by now.

        Returns:
            none only once all is over.
        """
        helds: list[Held] = []
        while not helds:
            while self._replan and len(helds) < _GROUP:
                helds.append(self._replan.popleft())
            if not helds:
                try:
                    helds.extend(await self._identified.receive())
                except anyio.EndOfStream:
                    return await self._last_to_plan()
        while len(helds) < _GROUP:
            try:
                helds.extend(self._identified.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        return helds

    async def _last_to_plan(self) -> list[Held]:
        """What a retired lane that still places something may get back to plan anew."""
        async with self._placing:
            helds = list(self._replan)
            self._replan.clear()
        return helds

    def plan_again(self, held: Held) -> None:
        """Plan a set that could not be placed, or waited for another, anew."""
        self._replan.append(held)
        # with others it has work to wake up for; a retired lane looks by itself
        with contextlib.suppress(anyio.WouldBlock, anyio.ClosedResourceError):
            self._to_plan.send_nowait([])

    # -- place and record -----------------------------------------------------------------------------

    async def _place(self, group: Group) -> None:
        """Carry out a group of plans. Once begun it is finished, whatever is cancelled meanwhile."""
        libraries = {task.library.name for job in group.jobs for task in job.tasks}
        try:
            with (
                anyio.CancelScope(shield=True),
                self._stages.shelves.borrowed(libraries),
                self._working(),
            ):
                if await libraries_ready(self._stages.shelves, group):
                    placer = self._stages.placer
                    await anyio.to_thread.run_sync(placer.prepare, group, limiter=self._filing)
                    if leave_behind(self._stages.shelves, group):
                        await anyio.to_thread.run_sync(placer.discard, group, limiter=self._filing)
                    await self._stages.recorder.begin(group.going)
                    self._stages.tracker.begun(one for job in group.going for one in job.sightings)
                    await anyio.to_thread.run_sync(placer.publish, group, limiter=self._filing)
                await self._land(group)
        finally:
            group.close()
            self._placing.release()
            self._stages.nudge()
            self._stages.wake()

    async def _land(self, group: Group) -> None:
        """Commit the outcomes; plan anew, return or give up what came to nothing."""
        stages = self._stages

        def commit(connection: apsw.Connection) -> Counted:
            counts = stages.recorder.finish(group, connection)
            for job in group.jobs:
                stages.planner.landed(job.plan)
                if job.failed_witness is not None:
                    holder, now = job.failed_witness, stages.clock.micros()
                    verifying.doubt(connection, holder.id, holder.path, job.witness_stood, now)
            return counts

        stages.recorder.counted(await stages.database.run(commit))
        stages.recorder.tell(group)
        if any(job.plan.followers for job in group.going):
            stages.gather()
        for job in group.jobs:
            if job.error is not None and not isinstance(job.error, Stranded):
                stages.tracker.reverted(job.sightings)
        failures: list[Unplanned] = []
        now = stages.clock.monotonic()
        for job in group.jobs:
            for lane, held in stages.deferred.pop(job.held.set.principal.digest, ()):
                lane.plan_again(held)
            if job.error is None:
                self._landed(job, now)
        for job in group.jobs:
            if job.error is not None:
                failures.extend(await self._not_placed(job, job.error, now))
        if failures:
            await stages.recorder.unplanned(failures)
            for file in failures:
                stages.tracker.landed(file.sighting, now, left=False, outcome=file.outcome)

    def _landed(self, job: Job, now: float) -> None:
        self._close(job.held)
        tasks = {task.source.path: task for task in job.tasks}
        for member in job.held.set.members:
            task = tasks.get(member.sighting.place)
            left, outcome = (task.source_left, task.outcome) if task else (False, None)
            self._stages.tracker.landed(member.sighting, now, left=left, outcome=outcome)

    async def _not_placed(self, job: Job, error: MediadError, now: float) -> list[Unplanned]:
        held = job.held
        again = isinstance(error, NameTaken | WitnessFailed)
        if again and held.attempts < _ATTEMPTS:
            avoid = held.avoid
            if isinstance(error, NameTaken) and isinstance(error.path, bytes):
                avoid |= {key_of(error.path)}
            self.plan_again(replace(held, attempts=held.attempts + 1, avoid=avoid))
            return []
        self._close(held)
        members = tuple(member.sighting for member in held.set.members)
        if error.retry is Retry.HOLD:
            await self._hold(job, error)
            if not self._stages.once or isinstance(error, Stranded):
                holds = self._still_holds(job, error)
                waits = holds and not isinstance(error, Stranded)
                self._return(Back(members, _HOLD if holds else 1.0, str(error)), now, held=waits)
                return []
        elif error.retry is Retry.AGAIN and not again:
            self._return(Back(members, 1.0, str(error)), now)
            return []
        return [_given_up(sighting, error) for sighting in members]

    def _still_holds(self, job: Job, error: MediadError) -> bool:
        """Is there something to wait for beside the watch, which is closed if its own library is away?

        That is a library of a rule's, room for one large file, or recovery.
        """
        if isinstance(error, LibraryFull | Stranded):
            return not self._stages.closed(job.held.set.principal.sighting.root)
        shelves = (self._stages.shelves.find(step.library) for step in job.plan.steps)
        away = any(shelf is None or not shelf.online for shelf in shelves)
        return away and not self._stages.closed(job.held.set.principal.sighting.root)

    async def _hold(self, job: Job, error: MediadError) -> None:
        """See which of the job's libraries it is that can take nothing now."""
        shelves = self._stages.shelves
        for shelf in filter(None, map(shelves.find, {task.library.name for task in job.tasks})):
            if not isinstance(error, Stranded):
                await shelves.look(shelf, doubted=True)
            elif any(shelf.library is task.library for task in job.tasks):  # else it was opened anew since
                shelves.fault(shelf, error)

    def _close(self, held: Held) -> None:
        self._stages.open_files -= len(held.fds)
        for fd in held.fds.values():
            self._stages.files.close(fd)


def _given_up(sighting: Sighting, error: MediadError) -> Unplanned:
    """What lies in quarantine stays there, and quarantined."""
    outcome = Result.FAILED if sighting.kept is None else Result.QUARANTINED
    return Unplanned(sighting, outcome, error.code, str(error))
