"""The pipeline: `Pipeline.run` lists the whole way a file takes, in order.

Watchers deliver what they see, settle releases what has come to rest into the lanes, and each lane takes its
files through identify, plan, place and record. All queues are bounded; when one is full, what is before it
waits, back to the scan. A file that was released is in flight until it lands (an outcome is recorded) or
returns (it settles again).
"""

from __future__ import annotations

import functools
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from mediad.analysing.analyser import Analyser
from mediad.clock import Clock
from mediad.config import Config
from mediad.events import Events
from mediad.files import Files
from mediad.ingest import witnesses
from mediad.ingest.gates import Gates
from mediad.ingest.identify import Identifier
from mediad.ingest.intake import Intake
from mediad.ingest.pauses import Pauses
from mediad.ingest.place import Placer
from mediad.ingest.plan import Planner
from mediad.ingest.pulse import Hung, Pulse
from mediad.ingest.record import Recorder
from mediad.ingest.recover import Recovered
from mediad.ingest.roster import Roster, library_folder
from mediad.ingest.serving import Renamed, Served, Serving, renamed
from mediad.ingest.settle import Tracker
from mediad.ingest.shelf import Shelf
from mediad.ingest.shelves import Shelves
from mediad.ingest.stages import Stages
from mediad.ingest.watch import State, Watcher
from mediad.keeping.expiring import Expirer
from mediad.keeping.gatherer import Gatherer
from mediad.keeping.relocate import Relocator
from mediad.keeping.removing import Remover
from mediad.keeping.verify_schedule import Verifier
from mediad.library import OpenLibrary
from mediad.media import companions
from mediad.model import Counts, Sighting
from mediad.roots import filesystem
from mediad.store import times
from mediad.store.backup_carried import Carried
from mediad.store.database import Database
from mediad.workers import WorkerPool

_UP_LIMIT = 10.0  # seconds for all watches to be up; a hundred thousand folders take three

log = logging.getLogger("mediad")


class Pipeline:
    """All stages.

    Args:
        last_id: the highest id that the journal has used.
        stopping: true once the daemon was asked to stop; long reads and copies end early then.

    Attributes:
        unsaved: what could not be backed up and why, see `store.backups.Backups`.
        at_rest: with `once`, called when all is done and the libraries are still ours.
    """

    def __init__(
        self,
        config: Config,
        files: Files,
        clock: Clock,
        database: Database,
        pool: WorkerPool,
        last_id: int,
        stopping: Callable[[], bool],
    ) -> None:
        self.config = config
        self.clock = clock
        self.database = database
        self.pool = pool
        self.events = Events(clock)
        self.roster = Roster(config, files, clock)
        self.pauses = Pauses(database, clock, self._resumed)
        self.shelves = Shelves(
            config,
            files,
            database,
            clock,
            self._index,
            self._recovered,
            self._library_changed,
            lambda step: self.recorder.in_hand(step),
            stopping,
        )
        self.tracker = Tracker(companions.gathering, lambda name: self.roster.places[name].settle)
        self.recorder = Recorder(
            database, clock, self._root, self.shelves.rows, last_id, self.events, self._identity
        )
        self.shelves.carried = Carried(
            Path(config.daemon.state_dir, "catalogue.db"),
            database,
            clock,
            self.recorder.reserve,
            stopping,
        )
        self.unsaved: dict[str, str] = {}
        self.at_rest: Callable[[], Awaitable[None]] | None = None
        self.planner = Planner(config, self.roster.settings)
        self._stopping = stopping
        self.stages = Stages(
            files,
            clock,
            database,
            self.tracker,
            Identifier(files, self.roster.places, pool, clock, stopping, self.tracker.progress),
            self.planner,
            Placer(files, self.roster.trees, self.roster.syncfs, stopping),
            self.recorder,
            self.shelves,
            stopping,
            lambda: self.intake.wake(),
            self._lost,
            lambda name: self.gates.closed(name),
            lambda: self.gatherer.wake(),
        )
        self.serving = Serving(self.roster, self.stages, self._watcher, self._ended, self._renamed)
        self.gates = Gates(lambda: self.config, self.roster, self.pauses, self.serving, self.shelves)
        self.relocator = Relocator(self.stages, self.events)
        self.gatherer = Gatherer(self.stages, self.relocator)
        self.remover = Remover(self.stages, self.roster, self.relocator, self.gates.closed)
        self.expirer = Expirer(lambda: self.config, self.shelves, database, self.relocator, clock)
        self.imports: set[str] = set()  # the keys of those that are running
        self._ill: set[str] = set()  # watches that the log has an error of
        self.intake = Intake(self.serving, self.roster, self.stages, clock.micros())
        self.verifier = Verifier(self, stopping)
        self.analyser = Analyser(self, stopping)

    def _root(self, name: str) -> bytes:
        return self.roster.trees[name].root

    def _identity(self, name: str) -> str:
        return self.roster[name].identity if name in self.roster else ""

    def _watcher(self, name: str) -> Watcher:
        entry = self.roster[name]
        return Watcher(
            entry.folder,
            functools.partial(self.intake.deliver, name),
            functools.partial(self._watch_changed, name),
            self.clock,
            poll=entry.poll,
            rescan=entry.settings.rescan,
            settle=entry.place.settle,
            arrived=functools.partial(self.serving.arrived, name),
            looked=functools.partial(self._looked, name),
        )

    async def _looked(self, name: str) -> None:
        await self.intake.miss(name)
        self.remover.wake(name)

    async def run(self, *, once: bool, ready: Callable[[], None]) -> None:
        """Watch, settle, and let the lanes work, until cancelled; with `once`, until all is done.

        Raises:
            AlreadyHeld, InvalidConfig: a library does not let us start.
        """
        try:
            self.stages.once = once
            await self.pauses.load()
            await self.recorder.load()
            await self.verifier.load()
            self.clock.recorded(await self.database.run(times.newest))
            await self.shelves.open_all(admit=once)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.intake.settle)
                tasks.start_soon(self.gatherer.keep)
                await self.serving.start(tasks, follow=not once)
                if once:
                    ready()
                    await self._everything_once()
                    if self.at_rest is not None:
                        await self.at_rest()
                    tasks.cancel_scope.cancel()
                else:
                    tasks.start_soon(self.shelves.keep)
                    tasks.start_soon(self.pauses.keep)
                    tasks.start_soon(self.verifier.keep)
                    tasks.start_soon(self.expirer.keep)
                    tasks.start_soon(self.remover.keep)
                    await self._watches_up()
                    ready()
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await self.recorder.end_all()
            finally:
                self.shelves.close()
                self.intake.close()
                self.serving.close()

    async def _watches_up(self) -> None:
        """Wait until what can be watched is; a folder that hangs, or is very large, is not waited for."""
        with anyio.move_on_after(_UP_LIMIT):
            await self.serving.up()

    async def _everything_once(self) -> None:
        async with anyio.create_task_group() as looks:
            for name, served in self.serving.watches.items():
                if served.watcher is not None and not self.gates.closed(name):
                    looks.start_soon(served.watcher.once)
        await self.rest()
        await self.remover.now()

    async def rest(self) -> None:
        """Wait until nothing is settling, waiting or in flight, but for what is held."""
        while self._at_work or any(self._waits(name) for name in self.serving):
            await self.changed(0.5)

    @property
    def _at_work(self) -> bool:
        return bool(self.intake.arriving or self.tracker.flying or self.gatherer.busy)

    async def all_served(self) -> None:
        """Wait until every configured watch is served: a successor begins when what retires has ended."""
        while any(name not in self.serving or self.serving[name].retiring for name in self.config.watches):
            await self.changed(0.5)

    async def recovered(self) -> None:
        """Wait until what a crash cut off has been seen to, where its library is still being looked at."""
        while self.recorder.left_open and any(shelf.arriving for shelf in self.shelves):
            await self.changed(0.5)

    async def noted(self) -> None:
        """Wait until what was shown so far has been taken note of."""
        while self.intake.arriving:
            await self.changed(0.5)

    def _waits(self, watch: str) -> bool:
        """Has it files that will be taken in time?"""
        return self.tracker.may_land(watch) and (not self.gates.closed(watch) or self.gates.opens(watch))

    def held(self) -> bool:
        """After `once`: is something left that could not be done, or a folder that could not be read?"""
        unseen = (State.OFFLINE, State.ERROR, State.DEGRADED)
        watches = self.serving.watches
        away = any(one.watcher is not None and one.watcher.state in unseen for one in watches.values())
        return away or any(self.gates.closed(name) for name in watches)

    def absolute(self, sighting: Sighting) -> bytes:
        """Where a file lies."""
        return self.roster.trees[sighting.root].absolute(sighting.place)

    def counts(self) -> dict[str, Counts]:
        """How many files wait for what, by what they are taken from."""
        now = self.clock.monotonic()
        counts = self.tracker.counts(now, self.gates.closed)
        if left := self.recorder.left_open:  # held, too, until recovery has ended their steps
            here = {(one.sighting.root, one.sighting.place) for one in self.tracker.listing(now)}
            for name, files in Counter(root for root, _ in left - here).items():
                counts[name] = counts.get(name, Counts()) + Counts(held=files)
        return counts

    # -- control --------------------------------------------------------------------------------------

    async def configure(self, config: Config) -> None:
        """Go on under another configuration; what was planned under the old one is finished under it.

        Once begun it is not cancelled.
        """
        with anyio.CancelScope(shield=True):
            names = [*config.watches, *config.libraries]
            await self.pauses.reconfigured(names, renamed(self.config, config))
            self.config = self.planner.config = config  # from here to the next await all changes at once
            self.shelves.adopt(config)
            self.serving.adopt(config)
            self.intake.configured = self.clock.micros()
            await self.shelves.refresh()
            await self.serving.refresh()
            for shelf in self.shelves:
                if shelf.readable and shelf.library is not None:  # with the date rules of today
                    await self._add_quarantine(shelf.library)
        for served in self.serving.watches.values():
            if served.watcher is not None:
                served.watcher.mark_everything()
        self.verifier.wake()
        self._nudge()

    async def pause(self, names: Collection[str], seconds: float | None) -> None:
        """Take nothing new from these; what is in flight finishes."""
        await self.pauses.pause(names, seconds)
        for name, served in self.serving.items():
            if self.gates.paused(name):
                self._recall(served)
        for name in names:
            self.events.publish("pause", name=name)
            log.info("%s is paused", name or "everything")
        self._nudge()

    def _recall(self, served: Served) -> None:
        """Batches that nobody has begun with wait again."""
        now = self.clock.monotonic()
        for lane in served.lanes:
            for settled in lane.recall():
                self.tracker.returned(settled.members, now, 0.0, "")

    def take_again(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Take files whatever is recorded of them (`Sighting.again`).

        Returns:
            those that lie where nothing is taken from any more.
        """
        for sighting in sightings:
            if sighting.kept is not None and sighting.root not in self.serving:
                self.serving.begin(Served(sighting.root, self.stages))
        served = {name for name, one in self.serving.items() if not one.retiring}
        self.tracker.observe([one for one in sightings if one.root in served], self.clock.monotonic())
        self._nudge()
        return [one for one in sightings if one.root not in served]

    def _resumed(self, name: str) -> None:
        self.events.publish("resume", name=name)
        log.info("%s resumed", f"{name} is" if name else "everything is")
        self.verifier.wake()
        self._nudge()

    async def _ended(self, name: str) -> None:
        """Something that was taken from has retired."""
        await self.recorder.end_batch(name)
        self.shelves.wake()
        self._nudge()

    async def _renamed(self, names: Renamed) -> None:
        await self.pauses.reconfigured([*self.config.watches, *self.config.libraries], names)
        await self.recorder.load()

    def _lost(self, name: str, error: OSError) -> None:
        served = self.serving.get(name)
        if served is not None and served.watcher is not None:
            served.watcher.lost(error)

    def _watch_changed(self, watch: str, state: State, error: str) -> None:
        if error:
            log.warning("watch %s is %s: %s", watch, state, error)
            self._ill.add(watch)
        elif state == "watching" and watch in self._ill:
            log.info("watch %s is watching again", watch)
            self._ill.remove(watch)
        else:
            log.debug("watch %s is %s", watch, state)
        self.events.publish("watch", name=watch, state=state, reason=error)
        self.intake.wake()  # a folder that can be read again lets go of what has settled

    def _library_changed(self, shelf: Shelf) -> None:
        self.events.publish("library", name=shelf.settings.name, state=shelf.state, reason=shelf.error)
        self.verifier.wake()
        self.gatherer.retry()
        if shelf.online and not shelf.cramped:
            self.tracker.hasten(self.clock.monotonic())
        self._nudge()

    def _nudge(self) -> None:
        self.intake.look_again()
        self.stages.nudge()
        self.intake.wake()

    async def changed(self, at_most: float) -> None:
        """Wait until something has landed, returned or otherwise changed, or so many seconds."""
        await self.stages.wait(at_most)

    # -- first look at a library ----------------------------------------------------------------------

    async def _recovered(self, ended: Sequence[Recovered]) -> None:
        await self.recorder.load()
        for step in (result.step for result in ended):  # its watch was passed over while it was open
            served = self.serving.get(step.watch)
            if served is not None and served.watcher is not None:
                served.watcher.mark(step.path)

    async def _index(self, library: OpenLibrary, row: int) -> None:
        folder = library_folder(library.tree, self.clock)
        await witnesses.index(folder, row, self.database, self.clock, self._stopping)
        await self._add_quarantine(library)
        await self.recorder.load()

    async def _add_quarantine(self, library: OpenLibrary) -> None:
        """Files may be taken from its quarantine again."""
        look = functools.partial(filesystem, os.fsdecode(library.tree.root))
        try:
            self.roster.add_quarantine(library.name, library.tree.root, await Pulse().ask(look))
        except Hung:  # it is admitted anew when it answers
            log.debug("library %s hangs", library.name)
