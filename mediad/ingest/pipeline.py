"""The pipeline: `Pipeline.run` lists the whole way a file takes, in order.

Stages are joined by bounded streams; when one is slow, those before it wait, back to the scan. A file that
was released by settle is in flight until it lands (an outcome is recorded) or returns (it settles again).
"""

from __future__ import annotations

import functools
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import anyio
import anyio.to_thread
import apsw

from mediad.clock import Clock
from mediad.config import Config
from mediad.errors import MediadError, NameTaken, Retry, WitnessFailed, printable
from mediad.files import Files
from mediad.ingest import moves, witnesses
from mediad.ingest.group import Group, Job, Task, private_name
from mediad.ingest.identify import Back, Identified, Identifier
from mediad.ingest.place import Placer
from mediad.ingest.plan import Planner, Waits
from mediad.ingest.record import Recorder
from mediad.ingest.roster import Entry, library_folder
from mediad.ingest.settle import Tracker
from mediad.ingest.shelves import Shelves
from mediad.ingest.watch import State, Watcher
from mediad.layout import key_of
from mediad.library import OpenLibrary
from mediad.media import companions
from mediad.model import Held, Plan, Result, Settled, Sighting, Unplanned
from mediad.store import catalogue
from mediad.store.database import Database
from mediad.workers import WorkerPool

_GROUP = 64  # sets that share their syncs and commits
_BATCH = 32  # settled files that are identified together
_LARGE = 16 << 20  # bytes; a larger file is identified alone, so that small ones do not wait for it
_SETTLING = 20_000  # files of one watch that may wait for quiet before its scan waits
_BACK_OFF = 300.0  # seconds before a file that failed is tried again
_COMPANION_WINDOW = 86_400_000_000  # microseconds within which a late companion belongs to a principal
_ATTEMPTS = 25  # names or witnesses that may fail one set before it is given up

log = logging.getLogger("mediad")


class Pipeline:
    """All stages of one configuration.

    Args:
        watches: the roster of the configuration's watches.
        last_id: the highest id that the journal has used.
        stopping: true once the daemon was asked to stop; long reads and copies end early then.
    """

    def __init__(
        self,
        config: Config,
        watches: Mapping[str, Entry],
        files: Files,
        clock: Clock,
        database: Database,
        pool: WorkerPool,
        last_id: int,
        stopping: Callable[[], bool],
    ) -> None:
        self.config = config
        self.shelves = Shelves(config, files, database, clock, self._index, self._nudge, stopping)
        self.tracker = Tracker(companions.key, lambda name: watches[name].place.settle)
        self._entries = watches
        self._files = files
        self._clock = clock
        self._database = database
        self._stopping = stopping
        self._started = clock.micros()
        roots = {name: entry.tree.root for name, entry in watches.items()}
        self.recorder = Recorder(database, clock, roots, self.shelves.rows, last_id)
        self.watchers = {name: self._watcher(entry) for name, entry in watches.items()}
        places = {name: entry.place for name, entry in watches.items()}
        self._identifier = Identifier(files, places, pool, clock, stopping)
        self._limiters = {name: anyio.CapacityLimiter(2) for name in watches}  # a hung mount keeps to itself
        self._planner = Planner(config)
        trees = {name: entry.tree for name, entry in watches.items()}
        syncfs = frozenset(name for name, entry in watches.items() if entry.syncfs)
        self._placer = Placer(files, trees, syncfs, stopping)
        self._slots = anyio.Semaphore(2)
        self._replan: deque[Held] = deque()
        self._deferred: dict[bytes, list[Held]] = {}
        self._changed = anyio.Event()
        self._arriving = 0  # chunks of sightings on their way to the tracker
        self._to_settle, self._sighted = anyio.create_memory_object_stream[Sequence[Sighting]](4)
        self._to_identify, self._settled = anyio.create_memory_object_stream[list[Settled]](2)
        self._to_plan, self._identified = anyio.create_memory_object_stream[list[Held]](2)

    def _watcher(self, entry: Entry) -> Watcher:
        name = entry.settings.name
        return Watcher(
            entry.folder,
            functools.partial(self._deliver, name),
            functools.partial(_say_state, name),
            self._clock,
            poll=entry.poll,
            rescan=entry.settings.rescan,
        )

    # -- the way a file takes -------------------------------------------------------------------------

    async def run(self, *, once: bool, ready: Callable[[], None]) -> None:
        """Watch, settle, identify, plan, place and record, until cancelled; with `once`, until all is done.

        Raises:
            AlreadyHeld, InvalidConfig: a library does not let us start.
        """
        try:
            await self.shelves.open_all()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._settle)
                for _ in range(3):
                    tasks.start_soon(self._identify)
                tasks.start_soon(self._plan)
                ready()
                if once:
                    await self._everything_once()
                    tasks.cancel_scope.cancel()
                else:
                    tasks.start_soon(self.shelves.keep)
                    for watcher in self.watchers.values():
                        tasks.start_soon(watcher.follow)
        finally:
            with anyio.CancelScope(shield=True):
                await self.recorder.end_all()
            self.shelves.close()

    async def _everything_once(self) -> None:
        async with anyio.create_task_group() as looks:
            for name, watcher in self.watchers.items():
                if not self._closed(name):
                    looks.start_soon(watcher.once)
        while self._arriving or self.tracker.settling or self.tracker.flying:
            await self._wait_for_change(0.5)

    def held(self) -> bool:
        """Is there work that cannot be done now: a library or a watch is away, full or read-only?"""
        away = any(watcher.state in (State.OFFLINE, State.ERROR) for watcher in self.watchers.values())
        return away or self.tracker.held > 0 or any(self._closed(name) for name in self.config.watches)

    def _closed(self, watch: str) -> bool:
        return not self.shelves[self.config.watches[watch].library].online

    def _nudge(self) -> None:
        """Something that somebody may wait for has changed."""
        self._changed.set()
        self._changed = anyio.Event()

    async def _wait_for_change(self, at_most: float) -> None:
        with anyio.move_on_after(at_most):
            await self._changed.wait()

    # -- settle ---------------------------------------------------------------------------------------

    async def _deliver(self, watch: str, chunk: Sequence[Sighting]) -> None:
        while self.tracker.waiting(watch) > _SETTLING:
            await self._wait_for_change(1.0)
        self._arriving += 1
        await self._to_settle.send(chunk)

    async def _settle(self) -> None:
        while True:
            with anyio.move_on_after(self._patience()):
                chunk = await self._sighted.receive()
                with anyio.CancelScope(shield=True):
                    unknown = await self._unknown(chunk)
                self.tracker.observe(unknown, self._clock.monotonic())
                self._arriving -= 1
            now = self._clock.monotonic()
            while released := self.tracker.release(now, self._closed, 4 * _BATCH):
                for batch in _batches(released):
                    await self._to_identify.send(batch)
            await self.recorder.rest(now, self.tracker.busy())
            self._nudge()

    def _patience(self) -> float:
        """Seconds until something is due though nothing is sighted."""
        now = self._clock.monotonic()
        times = [self.tracker.next_due(), self.recorder.next_rest(), now + 1.0 if self.tracker.held else None]
        return max(0.0, min((time for time in times if time is not None), default=math.inf) - now)

    async def _unknown(self, chunk: Sequence[Sighting]) -> list[Sighting]:
        """Leave out what the catalogue tells the end of already; add companions that waited for these."""
        fresh = [sighting for sighting in chunk if self.tracker.knows(sighting)]
        asked = [sighting for sighting in chunk if not self.tracker.knows(sighting)]
        if not asked:
            return fresh
        unknown, orphans = await self._database.run(functools.partial(self._ask_about, asked))
        for watch, paths in orphans.items():
            seen, _ = await anyio.to_thread.run_sync(self._entries[watch].folder.look, paths)
            fresh.extend(seen)
        return [*unknown, *fresh]

    def _ask_about(
        self, asked: Sequence[Sighting], connection: apsw.Connection
    ) -> tuple[list[Sighting], dict[str, set[bytes]]]:
        retry_since = max(self._started, self._clock.micros() - int(_BACK_OFF * 1e6))
        unknown: list[Sighting] = []
        orphans: dict[str, set[bytes]] = {}
        for sighting in asked:
            row = catalogue.newest_arrival(connection, sighting.watch, sighting.path)
            local = self._entries[sighting.watch].local
            if row is not None and row.settles(sighting.stat, local=local, retry_since=retry_since):
                continue
            unknown.append(sighting)
            if not companions.is_companion_name(sighting.path):
                waiting = catalogue.orphans_beside(connection, sighting.watch, sighting.path)
                orphans.setdefault(sighting.watch, set()).update(waiting)
        return unknown, {watch: paths for watch, paths in orphans.items() if paths}

    # -- identify -------------------------------------------------------------------------------------

    async def _identify(self) -> None:
        async for batch in self._settled:
            limiter = self._limiters[batch[0].members[0].watch]
            result = await self._identifier.identify(batch, limiter)
            await self._take_note(result)
            if result.sets:
                await self._to_plan.send(result.sets)

    async def _take_note(self, result: Identified) -> None:
        """Record what needs no plan, and let settle again what is not at rest."""
        if result.unplanned:
            await self.recorder.unplanned(result.unplanned)
        now = self._clock.monotonic()
        for file in result.unplanned:
            self.tracker.landed(file.sighting, now, left=file.outcome is Result.GONE)
        for back in result.back:
            self._return(back, now)
        self._nudge()

    def _return(self, back: Back, now: float) -> None:
        for sighting in back.members:
            log.debug("%s/%s settles again: %s", sighting.watch, printable(sighting.path), back.note)
        self.tracker.returned(back.members, now, back.wait, back.note)

    # -- plan -----------------------------------------------------------------------------------------

    async def _plan(self) -> None:
        async with anyio.create_task_group() as placing:
            while True:
                helds = await self._next_to_plan()
                await witnesses.read_unread(
                    self._database, self.shelves.open(), {_size(held) for held in helds}, self._stopping
                )
                jobs = await self._database.run(functools.partial(self._plan_group, helds))
                if jobs:
                    await self._slots.acquire()
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

    def _plan_group(self, helds: Sequence[Held], connection: apsw.Connection) -> list[Job]:
        """One unit of work, so that what the catalogue says and what is in flight fit together."""
        since = self._clock.micros() - _COMPANION_WINDOW
        world = catalogue.CatalogueWorld(connection, self.shelves.online(), since)
        jobs: list[Job] = []
        for held in helds:
            if all(catalogue.touched(connection, member) for member in held.set.members):
                jobs.append(Job(held, Plan(held.set, ()), []))  # dealt with before, under other times
                continue
            if companions.is_companion_name(held.set.principal.sighting.path):
                plan: Plan | Waits = self._planner.plan_companion(held.set.principal, world, held.avoid)
            else:
                plan = self._planner.plan(held.set, world, held.avoid)
            if isinstance(plan, Waits):
                self._deferred.setdefault(plan.digest, []).append(held)
            else:
                jobs.append(self._job(held, plan))
        return jobs

    def _job(self, held: Held, plan: Plan) -> Job:
        tasks: list[Task] = []
        for step in plan.steps:
            id_ = self.recorder.next_id()
            sighting = step.identity.sighting
            library = self.shelves[step.library].library
            if library is None:  # it went away just now
                return Job(held, plan, [], error=self.shelves.reason(step.library))
            name = step.destination
            if name is not None and step.action in ("trash", "quarantine"):
                name = private_name(name, id_)
            source = moves.Source(
                held.fds[sighting.path], sighting.path, sighting.stat, step.identity.digest, held.lease
            )
            item = tasks[0].item if tasks else id_
            tasks.append(Task(id_, item, step, source, sighting.watch, library, name))
        witness = self.shelves[plan.witness.library].library if plan.witness else None
        return Job(held, plan, tasks, witness)

    # -- place and record -----------------------------------------------------------------------------

    async def _place(self, group: Group) -> None:
        """Carry out a group of plans. Once begun it is finished, whatever is cancelled meanwhile."""
        try:
            with anyio.CancelScope(shield=True):
                try:
                    if await self._libraries_ready(group):
                        await anyio.to_thread.run_sync(self._placer.prepare, group)
                        await self.recorder.begin(group.going)
                        await anyio.to_thread.run_sync(self._placer.publish, group)
                finally:
                    await anyio.to_thread.run_sync(group.close)
                await self._land(group)
        finally:
            self._slots.release()
            self._nudge()

    async def _libraries_ready(self, group: Group) -> bool:
        """Look at the libraries first: the cheapest moment to find one gone or full."""
        for name in {task.library.name for job in group.jobs for task in job.tasks}:
            need = sum(task.source.stat.size for job in group.jobs for task in job.tasks if task.name)
            await self.shelves.look(self.shelves[name], need)
            if not self.shelves[name].online:
                for job in group.jobs:
                    job.error = job.error or self.shelves.reason(name)
        return any(job.error is None for job in group.jobs)

    async def _land(self, group: Group) -> None:
        """Commit the outcomes; plan anew, return or give up what came to nothing."""

        def commit(connection: apsw.Connection) -> None:
            self.recorder.finish(group, connection)
            for job in group.jobs:
                self._planner.landed(job.plan)
                if isinstance(job.error, WitnessFailed) and job.plan.witness is not None:
                    catalogue.set_unread(connection, job.plan.witness.id)

        await self._database.run(commit)
        self.recorder.tell(group)
        failures: list[Unplanned] = []
        now = self._clock.monotonic()
        for job in group.jobs:
            self._replan.extend(self._deferred.pop(job.held.set.principal.digest, ()))
            if job.error is None:
                self._landed(job, now)
            else:
                failures.extend(await self._not_placed(job, job.error, now))
        if failures:
            await self.recorder.unplanned(failures)
            for file in failures:
                self.tracker.landed(file.sighting, now, left=False)
        if self._replan:
            self._wake_planner()

    def _landed(self, job: Job, now: float) -> None:
        self._close(job.held)
        left = {task.source.path: task.source_left for task in job.tasks}
        for member in job.held.set.members:
            self.tracker.landed(member.sighting, now, left=left.get(member.sighting.path, False))

    async def _not_placed(self, job: Job, error: MediadError, now: float) -> list[Unplanned]:
        held = job.held
        again = isinstance(error, NameTaken | WitnessFailed)
        if again and held.attempts < _ATTEMPTS:
            avoid = held.avoid
            if isinstance(error, NameTaken) and isinstance(error.path, bytes):
                avoid |= {key_of(error.path)}
            self._replan.append(replace(held, attempts=held.attempts + 1, avoid=avoid))
            return []
        self._close(held)
        members = tuple(member.sighting for member in held.set.members)
        if error.retry is Retry.HOLD:
            for task in job.tasks:
                self.shelves.fault(self.shelves[task.library.name], error)
        if error.retry in (Retry.HOLD, Retry.AGAIN) and not again:
            self._return(Back(members, 1.0, str(error)), now)
            return []
        return [Unplanned(sighting, Result.FAILED, error.code, str(error)) for sighting in members]

    def _close(self, held: Held) -> None:
        for fd in held.fds.values():
            self._files.close(fd)

    def _wake_planner(self) -> None:
        try:
            self._to_plan.send_nowait([])
        except anyio.WouldBlock:  # it has work to wake up for
            return

    async def _index(self, library: OpenLibrary, row: int) -> None:
        folder = library_folder(library.tree, self._clock)
        await witnesses.index(folder, row, self._database, self._clock, self._stopping)


def _say_state(watch: str, state: State, error: str) -> None:
    if error:
        log.warning("watch %s is %s: %s", watch, state, error)
    else:
        log.debug("watch %s is %s", watch, state)


def _size(held: Held) -> int:
    return held.set.principal.sighting.stat.size


def _batches(released: Sequence[Settled]) -> list[list[Settled]]:
    """Batches of one watch each; a large file goes alone."""
    batches: list[list[Settled]] = []
    size = 0
    for settled in released:
        here = sum(sighting.stat.size for sighting in settled.members)
        full = not batches or len(batches[-1]) >= _BATCH or size + here > _LARGE
        if full or batches[-1][0].members[0].watch != settled.members[0].watch:
            batches.append([])
            size = 0
        batches[-1].append(settled)
        size += here
    return batches
