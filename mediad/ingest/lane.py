"""A lane: identify, plan, place and record for one watch's files, so that a hung mount holds only itself.

Small and large files of a watch have lanes of their own: a film that is hashed or copied for minutes does
not keep photos waiting. What all lanes share is in `Stages`.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import anyio
import anyio.to_thread
import apsw

from mediad.clock import Clock
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
from mediad.files import Files
from mediad.ingest import moves, witnesses
from mediad.ingest.group import Group, Job, Task, private_name
from mediad.ingest.identify import Back, Identified, Identifier
from mediad.ingest.place import Placer
from mediad.ingest.plan import Planner, Waits
from mediad.ingest.record import Recorder
from mediad.ingest.settle import Tracker
from mediad.ingest.shelves import Shelves
from mediad.layout import key_of
from mediad.media import companions
from mediad.model import Held, Plan, Result, Settled, Unplanned
from mediad.store import catalogue
from mediad.store.database import Database

_GROUP = 64  # sets that share their syncs and commits
_OPEN_FILES = 512  # with which no more are identified; a thousand copies of one file all wait for the first
_BACKLOG = 64  # batches that may wait to be identified
_COMPANION_WINDOW = 86_400_000_000  # microseconds within which a late companion belongs to a principal
_HOLD = 60.0  # seconds before files are tried again whose library or workers could not take them
_ATTEMPTS = 25  # names or witnesses that may fail one set before it is given up

log = logging.getLogger("mediad")


@dataclass(slots=True)
class Stages:
    """What all lanes share.

    Attributes:
        stopping: true once the daemon was asked to stop; long reads and copies end early then.
        wake: tells the settle stage that there may be room again.
        lost: told of a watch whose folder could not be opened.
        closed: says of a watch that what has settled there is held.
        once: nothing is waited for that may not come by itself (`run --once`).
        deferred: sets whose content is in flight in some lane, by digest, with the lane that has them.
        open_files: files that are held open until they are placed, those of deferred sets included.
        changed: called when something has landed or returned.
    """

    files: Files
    clock: Clock
    database: Database
    tracker: Tracker
    identifier: Identifier
    planner: Planner
    placer: Placer
    recorder: Recorder
    shelves: Shelves
    stopping: Callable[[], bool]
    wake: Callable[[], None]
    lost: Callable[[str, OSError], None]
    closed: Callable[[str], bool]
    once: bool = False
    deferred: dict[bytes, list[tuple[Lane, Held]]] = field(default_factory=dict)
    open_files: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    def nudge(self) -> None:
        """Something that somebody may wait for has changed."""
        self.changed.set()
        self.changed = anyio.Event()


class Lane:
    """Takes batches of settled files to their end.

    Args:
        readers: how many batches are identified at a time; their hashing takes turns, parsing overlaps.
    """

    def __init__(self, stages: Stages, readers: int) -> None:
        self._stages = stages
        self._readers = readers
        self._hashing = anyio.CapacityLimiter(1)  # on few cores more threads only contend for the interpreter
        self._placing = anyio.Semaphore(1)
        self._replan: deque[Held] = deque()
        self._to_identify, self._settled = anyio.create_memory_object_stream[list[Settled]](_BACKLOG)
        self._to_plan, self._identified = anyio.create_memory_object_stream[list[Held]](2)

    def has_room(self, batches: int) -> bool:
        """Can it take so many batches without anybody having to wait?"""
        return self._to_identify.statistics().current_buffer_used + batches <= _BACKLOG

    def put(self, batch: list[Settled]) -> None:
        """Take in a batch; there must be room."""
        self._to_identify.send_nowait(batch)

    async def run(self) -> None:
        """Work until cancelled; what is being placed then is finished first."""
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
            while self._stages.open_files > _OPEN_FILES:
                await self._stages.changed.wait()
            try:
                result = await self._stages.identifier.identify(batch, self._hashing)
            except InputOutput as error:  # no worker can be had: nothing is concluded from that
                if self._stages.once:
                    raise
                log.warning("files wait, since they cannot be looked into: %s", error)
                members = tuple(sighting for settled in batch for sighting in settled.members)
                result = Identified(back=[Back(members, _HOLD, error.message)])
            self._stages.open_files += sum(len(held.fds) for held in result.sets)
            await self._take_note(result)
            if result.sets:
                await self._to_plan.send(result.sets)

    async def _take_note(self, result: Identified) -> None:
        """Record what needs no plan, and let settle again what is not at rest."""
        if result.unplanned:
            await self._stages.recorder.unplanned(result.unplanned)
        now = self._stages.clock.monotonic()
        for file in result.unplanned:
            self._stages.tracker.landed(file.sighting, now, left=file.outcome is Result.GONE)
        if result.lost is not None:
            self._stages.lost(result.back[0].members[0].watch, result.lost)
        for back in result.back:
            self._return(back, now)
        self._stages.nudge()
        self._stages.wake()

    def _return(self, back: Back, now: float) -> None:
        if log.isEnabledFor(logging.DEBUG):
            for sighting in back.members:
                log.debug("%s/%s settles again: %s", sighting.watch, printable(sighting.path), back.note)
        self._stages.tracker.returned(back.members, now, back.wait, back.note)

    # -- plan -----------------------------------------------------------------------------------------

    async def _plan(self) -> None:
        stages = self._stages
        async with anyio.create_task_group() as placing:
            while True:
                helds = await self._next_to_plan()
                sizes = {member.sighting.stat.size for held in helds for member in held.set.members}
                await witnesses.read_unread(stages.database, stages.shelves.open(), sizes, stages.stopping)
                jobs = await stages.database.run(functools.partial(self._plan_group, helds))
                if jobs:
                    await self._placing.acquire()
                    placing.start_soon(self._place, Group(jobs))

    async def _next_to_plan(self) -> list[Held]:
        """Sets to plan together: what has to be planned anew first, then what has arrived by now."""
        helds: list[Held] = []
        while not helds:
            while self._replan and len(helds) < _GROUP:
                helds.append(self._replan.popleft())
            if not helds:
                helds.extend(await self._identified.receive())
        while len(helds) < _GROUP:
            try:
                helds.extend(self._identified.receive_nowait())
            except anyio.WouldBlock:
                break
        return helds

    def plan_again(self, held: Held) -> None:
        """Plan a set that could not be placed, or waited for another, anew."""
        self._replan.append(held)
        try:
            self._to_plan.send_nowait([])
        except anyio.WouldBlock:  # it has work to wake up for
            return

    def _plan_group(self, helds: Sequence[Held], connection: apsw.Connection) -> list[Job]:
        """One unit of work, so that what the catalogue says and what is in flight fit together."""
        stages = self._stages
        since = stages.clock.micros() - _COMPANION_WINDOW
        world = catalogue.CatalogueWorld(connection, stages.shelves.readable(), since)
        jobs: list[Job] = []
        for held in helds:
            if any(catalogue.under_way(connection, member.sighting) for member in held.set.members):
                jobs.append(Job(held, Plan(held.set, ()), []))  # stranded: recovery has its story
                continue
            if all(catalogue.touched(connection, member) for member in held.set.members):
                jobs.append(Job(held, Plan(held.set, ()), []))  # dealt with before, under other times
                continue
            if companions.is_companion_name(held.set.principal.sighting.path):
                plan: Plan | Waits = stages.planner.plan_companion(held.set.principal, world, held.avoid)
            else:
                plan = stages.planner.plan(held.set, world, held.avoid)
            if isinstance(plan, Waits):
                stages.deferred.setdefault(plan.digest, []).append((self, held))
            else:
                jobs.append(self._job(held, plan))
        return jobs

    def _job(self, held: Held, plan: Plan) -> Job:
        shelves = self._stages.shelves
        tasks: list[Task] = []
        for step in plan.steps:
            library = shelves[step.library].library
            if library is None or not shelves[step.library].readable:  # it went away just now
                return Job(held, plan, [], error=shelves.reason(step.library))
            id_ = self._stages.recorder.next_id()
            name = step.destination
            if name is not None and step.action in ("trash", "quarantine"):
                name = private_name(name, id_)
            sighting = step.identity.sighting
            source = moves.Source(
                held.fds[sighting.path], sighting.path, sighting.stat, step.identity.digest, held.lease
            )
            item = tasks[0].item if tasks else id_
            tasks.append(Task(id_, item, step, source, sighting.watch, library, name))
        witness = shelves[plan.witness.library].library if plan.witness else None
        if plan.witness is not None and witness is None:
            return Job(held, plan, [], error=shelves.reason(plan.witness.library))
        return Job(held, plan, tasks, witness)

    # -- place and record -----------------------------------------------------------------------------

    async def _place(self, group: Group) -> None:
        """Carry out a group of plans. Once begun it is finished, whatever is cancelled meanwhile."""
        try:
            with anyio.CancelScope(shield=True):
                if await self._libraries_ready(group):
                    await anyio.to_thread.run_sync(self._stages.placer.prepare, group)
                    await self._stages.recorder.begin(group.going)
                    await anyio.to_thread.run_sync(self._stages.placer.publish, group)
                await self._land(group)
        finally:
            group.close()
            self._placing.release()
            self._stages.nudge()
            self._stages.wake()

    async def _libraries_ready(self, group: Group) -> bool:
        """Look at the libraries first: the cheapest moment to find one gone or full."""
        shelves = self._stages.shelves
        for name in {task.library.name for job in group.jobs for task in job.tasks}:
            await shelves.look(shelves[name])
            room = shelves[name].room
            for job in group.jobs:
                need = sum(task.copy_size for task in job.tasks if task.library.name == name)
                if not any(task.library.name == name for task in job.tasks):
                    continue
                if not shelves[name].online:
                    job.error = job.error or shelves.reason(name)
                elif need > room:
                    path = job.held.set.principal.sighting.path
                    job.error = job.error or LibraryFull("is larger than what is free", path=path)
                else:
                    room -= need
        return any(job.error is None and job.tasks for job in group.jobs)

    async def _land(self, group: Group) -> None:
        """Commit the outcomes; plan anew, return or give up what came to nothing."""
        stages = self._stages

        def commit(connection: apsw.Connection) -> None:
            stages.recorder.finish(group, connection)
            for job in group.jobs:
                stages.planner.landed(job.plan)
                if job.failed_witness is not None:
                    catalogue.set_unread(connection, job.failed_witness.id)

        await stages.database.run(commit)
        stages.recorder.tell(group)
        failures: list[Unplanned] = []
        now = stages.clock.monotonic()
        for job in group.jobs:
            for lane, held in stages.deferred.pop(job.held.set.principal.digest, ()):
                lane.plan_again(held)
            if job.error is None:
                self._landed(job, now)
            else:
                failures.extend(await self._not_placed(job, job.error, now))
        if failures:
            await stages.recorder.unplanned(failures)
            for file in failures:
                stages.tracker.landed(file.sighting, now, left=False)

    def _landed(self, job: Job, now: float) -> None:
        self._close(job.held)
        left = {task.source.path: task.source_left for task in job.tasks}
        for member in job.held.set.members:
            gone = left.get(member.sighting.path, False)
            self._stages.tracker.landed(member.sighting, now, left=gone)

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
                # A library of a rule's, or room for one large file: its watch stays open meanwhile.
                wait = 1.0 if self._stages.closed(members[0].watch) else _HOLD
                self._return(Back(members, wait, str(error)), now)
                return []
        elif error.retry is Retry.AGAIN and not again:
            self._return(Back(members, 1.0, str(error)), now)
            return []
        return [Unplanned(sighting, Result.FAILED, error.code, str(error)) for sighting in members]

    async def _hold(self, job: Job, error: MediadError) -> None:
        """See which of the job's libraries it is that can take nothing now."""
        shelves = self._stages.shelves
        for name in {task.library.name for task in job.tasks}:
            shelf = shelves[name]
            if not isinstance(error, Stranded):
                await shelves.look(shelf, doubted=True)
            elif any(shelf.library is task.library for task in job.tasks):  # else it was opened anew since
                shelves.fault(shelf, error)

    def _close(self, held: Held) -> None:
        self._stages.open_files -= len(held.fds)
        for fd in held.fds.values():
            self._stages.files.close(fd)
