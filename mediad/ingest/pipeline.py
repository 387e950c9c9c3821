"""The pipeline: `Pipeline.run` lists the whole way a file takes, in order.

Watchers deliver what they see, settle releases what has come to rest into the lanes, and each lane takes its
files through identify, plan, place and record. All queues are bounded; when one is full, what is before it
waits, back to the scan. A file that was released is in flight until it lands (an outcome is recorded) or
returns (it settles again).
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread
import apsw

from mediad.clock import Clock
from mediad.config import Config
from mediad.files import Files
from mediad.ingest import witnesses
from mediad.ingest.folder import Folder
from mediad.ingest.identify import Identifier
from mediad.ingest.lane import Lane, Stages
from mediad.ingest.place import Placer
from mediad.ingest.plan import Planner
from mediad.ingest.record import Recorder
from mediad.ingest.roster import Roster, library_folder
from mediad.ingest.settle import Tracker
from mediad.ingest.shelves import Shelves
from mediad.ingest.watch import State, Watcher
from mediad.library import OpenLibrary
from mediad.media import companions
from mediad.media.formats import claimed
from mediad.model import Settled, Sighting
from mediad.store import catalogue
from mediad.store.database import Database
from mediad.workers import WorkerPool

_BATCH = 32  # settled groups that are identified together
_LARGE = 16 << 20  # bytes from which a file takes the lane for large ones, alone
_SETTLING = 20_000  # files of one watch that may wait for quiet before its scan waits
_BACK_OFF = 300.0  # seconds before a file that failed is tried again

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
        watches: Roster,
        files: Files,
        clock: Clock,
        database: Database,
        pool: WorkerPool,
        last_id: int,
        stopping: Callable[[], bool],
    ) -> None:
        self.config = config
        self.shelves = Shelves(
            config, files, database, clock, self._index, self._nudge, self._in_hand, stopping
        )
        self.tracker = Tracker(_gathering, lambda name: watches[name].place.settle)
        roots = {name: entry.tree.root for name, entry in watches.items()}
        self.recorder = Recorder(database, clock, roots, self.shelves.rows, last_id)
        self.watchers = {name: self._watcher(name, watches, clock) for name in watches}
        self._watches = watches
        self._clock = clock
        self._database = database
        self._stopping = stopping
        self._started = clock.micros()
        trees = {name: entry.tree for name, entry in watches.items()}
        self._stages = Stages(
            files,
            clock,
            database,
            self.tracker,
            Identifier(files, watches.places, pool, clock, stopping),
            Planner(config),
            Placer(files, trees, watches.syncfs, stopping),
            self.recorder,
            self.shelves,
            stopping,
            self._wake_settle,
            lambda watch, error: self.watchers[watch].lost(error),
            self._closed,
        )
        self._small = {name: Lane(self._stages, readers=2) for name in watches}
        self._large = {name: Lane(self._stages, readers=1) for name in watches}
        self._arriving = 0  # chunks of sightings on their way to the tracker
        self._to_settle, self._sighted = anyio.create_memory_object_stream[Sequence[Sighting]](4)

    def _watcher(self, name: str, watches: Roster, clock: Clock) -> Watcher:
        def arrived() -> tuple[Folder, bool]:
            entry = watches.refresh(name)
            return entry.folder, entry.poll

        return Watcher(
            watches[name].folder,
            functools.partial(self._deliver, name),
            functools.partial(_say_state, name),
            clock,
            poll=watches[name].poll,
            rescan=watches[name].settings.rescan,
            arrived=arrived,
        )

    async def run(self, *, once: bool, ready: Callable[[], None]) -> None:
        """Watch, settle, and let the lanes work, until cancelled; with `once`, until all is done.

        Raises:
            AlreadyHeld, InvalidConfig: a library does not let us start.
        """
        try:
            self._stages.once = once
            await self.shelves.open_all()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._settle)
                for lane in (*self._small.values(), *self._large.values()):
                    tasks.start_soon(lane.run)
                ready()
                if once:
                    await self._everything_once()
                    tasks.cancel_scope.cancel()
                else:
                    tasks.start_soon(self.shelves.keep)
                    for watcher in self.watchers.values():
                        tasks.start_soon(watcher.follow)
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await self.recorder.end_all()
            finally:
                self._close()

    def _close(self) -> None:
        self.shelves.close()
        for lane in (*self._small.values(), *self._large.values()):
            lane.close()
        self._to_settle.close()
        self._sighted.close()

    async def _everything_once(self) -> None:
        async with anyio.create_task_group() as looks:
            for name, watcher in self.watchers.items():
                if not self._closed(name):
                    looks.start_soon(watcher.once)
        while self._arriving or self.tracker.flying or any(self._waits(name) for name in self.watchers):
            await self._wait_for_change(0.5)

    def _waits(self, watch: str) -> bool:
        """Has it files that will be taken in time?"""
        return self.tracker.waiting(watch) > 0 and not self._closed(watch)

    def held(self) -> bool:
        """After `once`: is something left that could not be done, or a folder that could not be read?"""
        unseen = (State.OFFLINE, State.ERROR, State.DEGRADED)
        away = any(watcher.state in unseen for watcher in self.watchers.values())
        return away or any(self._closed(name) for name in self.config.watches)

    def _closed(self, watch: str) -> bool:
        return self.watchers[watch].away or not self.shelves[self.config.watches[watch].library].online

    def _in_hand(self, step: int) -> bool:
        return self.recorder.in_hand(step)

    def _nudge(self) -> None:
        self._stages.nudge()
        self._wake_settle()

    async def _wait_for_change(self, at_most: float) -> None:
        with anyio.move_on_after(at_most):
            await self._stages.changed.wait()

    # -- from sighting to settled ---------------------------------------------------------------------

    async def _deliver(self, watch: str, chunk: Sequence[Sighting]) -> None:
        while self.tracker.waiting(watch) > _SETTLING:
            if self._stages.once and self._closed(watch):
                return  # more than is held already would be held; the next run sees it
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
            while released := self.tracker.release(now, self._must_wait, _BATCH):
                for large, batch in _batches(released):
                    lanes = self._large if large else self._small
                    lanes[batch[0].members[0].watch].put(batch)
            await self.recorder.rest(now, self.tracker.busy())
            self._stages.nudge()

    def _wake_settle(self) -> None:
        """A lane has room again, or a library is back: release what had to wait."""
        if not self._arriving and self.tracker.settling:
            self._arriving += 1
            self._to_settle.send_nowait([])

    def _must_wait(self, watch: str) -> bool:
        room = self._small[watch].has_room(_BATCH) and self._large[watch].has_room(_BATCH)
        return self._closed(watch) or not room

    def _patience(self) -> float:
        """Seconds until something is due though nothing is sighted."""
        now = self._clock.monotonic()
        times = (self.tracker.next_due(self._must_wait), self.recorder.next_rest())
        return max(0.0, min((time for time in times if time is not None), default=math.inf) - now)

    async def _unknown(self, chunk: Sequence[Sighting]) -> list[Sighting]:
        """Leave out what the catalogue tells the end of already; add companions that waited for these."""
        fresh = [sighting for sighting in chunk if self.tracker.knows(sighting)]
        asked = [sighting for sighting in chunk if not self.tracker.knows(sighting)]
        if not asked:
            return fresh
        unknown, orphans = await self._database.run(functools.partial(self._ask_about, asked))
        for watch, paths in orphans.items():
            try:
                seen, _ = await anyio.to_thread.run_sync(self._watches[watch].folder.look, paths)
            except OSError:  # the root went away just now; its watcher says so, and a scan brings them back
                continue
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
            local = self._watches[sighting.watch].local
            told = row is not None and not row.outdated(sighting, self._started)
            if told and row and row.settles(sighting.stat, local=local, retry_since=retry_since):
                continue
            unknown.append(sighting)
            if not companions.is_companion_name(sighting.path):
                waiting = catalogue.orphans_beside(connection, sighting.watch, sighting.path)
                orphans.setdefault(sighting.watch, set()).update(waiting)
        return unknown, {watch: paths for watch, paths in orphans.items() if paths}

    # -- first look at a library ----------------------------------------------------------------------

    async def _index(self, library: OpenLibrary, row: int) -> None:
        folder = library_folder(library.tree, self._clock)
        await witnesses.index(folder, row, self._database, self._clock, self._stopping)


def _gathering(path: bytes) -> bytes:
    """The stem under which a file may belong to others; what is no media by its name settles alone."""
    return companions.key(path) if claimed(path) else b"\0" + path


def _say_state(watch: str, state: State, error: str) -> None:
    if error:
        log.warning("watch %s is %s: %s", watch, state, error)
    else:
        log.debug("watch %s is %s", watch, state)


def _batches(released: Sequence[Settled]) -> list[tuple[bool, list[Settled]]]:
    """Batches of one watch each, and whether they are for the large lane, where each group goes alone."""
    batches: list[tuple[bool, list[Settled]]] = []
    small: dict[str, list[Settled]] = {}
    for settled in released:
        watch = settled.members[0].watch
        if sum(sighting.stat.size for sighting in settled.members) >= _LARGE:
            batches.append((True, [settled]))
        else:
            small.setdefault(watch, []).append(settled)
    return [*((False, batch) for batch in small.values()), *batches]
