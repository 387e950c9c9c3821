"""Serving: which watches are taken from, brought in line with each configuration.

A watch that leaves, or lies elsewhere now, retires: nothing more is taken from it, what is on its way into
the library is finished under the configuration that it was planned with, and only then does a successor of
its name or place begin.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mediad.config import Config
from mediad.config.checks import contains
from mediad.errors import InvalidConfig
from mediad.ingest.folder import Folder
from mediad.ingest.lane import Lane
from mediad.ingest.pulse import Hung, Pulse
from mediad.ingest.roster import Entry, Roster
from mediad.ingest.stages import Stages
from mediad.ingest.watch import Watcher
from mediad.model import quarantine_of
from mediad.roots import UNKNOWN, filesystem, overlaps
from mediad.store.places import settle_watches

Renamed = list[tuple[str, str]]

_LOOK_LIMIT = 3.0  # seconds in which a watch says what it lies on; one that is slower is looked at again


class Served:
    """What is taken from: a watch, an import or a quarantine, with its lanes for small and large files.

    Attributes:
        watcher: None for what is not watched.
        retiring: it only finishes what is on its way.
        entry: what its watcher goes by, None for what is not watched.
    """

    def __init__(self, name: str, stages: Stages, watcher: Watcher | None = None) -> None:
        self.name = name
        self.watcher = watcher
        self.retiring = False
        self.entry: Entry | None = None
        self.small = Lane(stages, readers=2)
        self.large = Lane(stages, readers=1)
        self._watching = anyio.CancelScope()
        self._retired = anyio.Event()

    @property
    def lanes(self) -> tuple[Lane, Lane]:
        return self.small, self.large

    @property
    def away(self) -> bool:
        """Its files cannot be reached now."""
        return self.watcher is not None and self.watcher.away

    async def run(self, *, follow: bool) -> None:
        """Take files until retired or cancelled.

        Args:
            follow: watch the folder, too.
        """
        async with anyio.create_task_group() as tasks:
            for lane in self.lanes:
                tasks.start_soon(lane.run)
            while not self.retiring:
                with anyio.CancelScope() as self._watching:
                    if follow and self.watcher is not None:
                        await self.watcher.follow()
                    else:
                        await self._retired.wait()

    def watch_anew(self, watcher: Watcher) -> None:
        """Go on with another watcher."""
        self.watcher = watcher
        self._watching.cancel()

    def retire(self) -> None:
        """Take nothing more; `run` ends when what is on its way has arrived."""
        self.retiring = True
        for lane in self.lanes:
            lane.retire()
        self._retired.set()
        self._watching.cancel()

    def close(self) -> None:
        """It runs no more."""
        for lane in self.lanes:
            lane.close()


class Serving(Mapping[str, Served]):
    """All that is taken from, by name.

    Args:
        stages: what the lanes share.
        watcher: makes the watcher of a watch that the roster knows.
        ended: told of each that has retired.
        renamed: told which watches go on under another name.
    """

    def __init__(
        self,
        roster: Roster,
        stages: Stages,
        watcher: Callable[[str], Watcher],
        ended: Callable[[str], Awaitable[None]],
        renamed: Callable[[Renamed], Awaitable[None]],
    ) -> None:
        self._roster = roster
        self._stages = stages
        self._watcher = watcher
        self._ended = ended
        self._renamed = renamed
        self._served: dict[str, Served] = {}
        self._wanted: Config = roster.config
        self._tasks: TaskGroup | None = None
        self._follow = True
        self._starting = anyio.Lock()
        self._pulses: dict[str, Pulse] = {}  # by path: a reload sends no second thread to a dead mount
        self._apart = Pulse(_LOOK_LIMIT)

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._served))

    def __len__(self) -> int:
        return len(self._served)

    @property
    def watches(self) -> dict[str, Served]:
        """The watches among them."""
        return {name: served for name, served in self._served.items() if served.watcher is not None}

    async def start(self, tasks: TaskGroup, *, follow: bool) -> None:
        """Begin with the configured watches; each runs in the task group, which ends them all.

        Args:
            follow: watch the folders, too.
        """
        self._tasks = tasks
        self._follow = follow
        await self._start_wanted()

    def adopt(self, config: Config) -> None:
        """Take over another configuration, at once: from now on nothing is planned for what it no longer has.
        `refresh` does what takes longer.
        """
        moved = self._moved(self._wanted, config)
        self._wanted = self._roster.config = config
        for name in moved:
            self.retire(name)
        for name, served in self.watches.items():
            if served.retiring:
                continue
            new = config.watches.get(name)
            if new is None or new.path != self._roster.settings[name].path:
                self.retire(name)
            else:
                self._roster.settings[name] = new

    async def refresh(self) -> None:
        """Bring the watches in line with the configuration that was adopted."""
        for name, served in self.watches.items():
            if served.retiring or name not in self._wanted.watches:
                continue
            entry = await self._add(name)  # always: the date rules may be others, too
            if not served.retiring and not (served.entry and served.entry.watched_like(entry)):
                self._stages.tracker.rescheduled(name)
                served.entry = entry
                served.watch_anew(self._watcher(name))
        await self._start_wanted()

    def _moved(self, old: Config, new: Config) -> list[str]:
        """Quarantines that are taken from, whose library leaves or lies elsewhere now."""
        kept = {
            quarantine_of(name)
            for name, library in new.libraries.items()
            if name in old.libraries and old.libraries[name].path == library.path
        }
        ours = [name for name in self._served if name.startswith(quarantine_of(""))]
        return [name for name in ours if name not in kept and not self._served[name].retiring]

    def retire(self, name: str) -> None:
        """Take nothing more from it, and forget what has not been begun with."""
        self._stages.tracker.forget(name)
        self._served[name].retire()

    async def _start_wanted(self) -> None:
        async with self._starting:
            leaving = [self._roster.settings[name].path for name, one in self.watches.items() if one.retiring]
            new = [
                name
                for name, watch in self._wanted.watches.items()
                if name not in self._served
                and not any(contains(path, watch.path) or contains(watch.path, path) for path in leaving)
            ]
            if not new:
                return
            staying = (name for name, one in self.watches.items() if not one.retiring)
            watches = {
                name: self._wanted.watches[name] for name in (*staying, *new) if name in self._wanted.watches
            }
            roots = {name: os.fsencode(watch.path) for name, watch in watches.items()}
            renamed = await self._stages.database.run(functools.partial(settle_watches, watches=roots))
            if renamed:
                await self._renamed(renamed)
            for name in new:
                watch = self._wanted.watches.get(name)
                if watch is None:  # another configuration has come meanwhile
                    continue
                entry = await self._add(name)
                now = self._wanted.watches.get(name)
                if now is None or now.path != watch.path:  # whoever brought that starts what is wanted
                    self._roster.remove(name)
                    continue
                served = Served(name, self._stages, self._watcher(name))
                served.entry = entry
                self.begin(served, follow=self._follow)

    async def _add(self, name: str) -> Entry:
        """Bring the roster up to date."""
        watch = self._wanted.watches[name]
        try:  # nothing but the look is done in the thread, which may come back long after
            pulse = self._pulses.setdefault(watch.path, Pulse(_LOOK_LIMIT))
            system = await pulse.ask(functools.partial(filesystem, watch.path))
        except Hung:  # it is looked at again when it answers
            system = UNKNOWN
        return self._roster.add(name, watch, system)

    async def arrived(self, name: str) -> tuple[Folder, bool]:
        """What is to be looked at now that the root of a watch has appeared, and whether to poll it.

        Raises:
            InvalidConfig: it lies in another root, or another in it.
        """
        with contextlib.suppress(Hung):  # a root that hangs says nothing of where it lies
            look = functools.partial(overlaps, self._wanted, f"watch.{name}.path")
            if problems := await self._apart.ask(look):
                raise InvalidConfig(problems)
        path = self._roster.settings[name].path
        system = await anyio.to_thread.run_sync(functools.partial(filesystem, path), abandon_on_cancel=True)
        entry = self._roster.refresh(name, system)
        return entry.folder, entry.poll

    async def up(self) -> None:
        """Wait until all watches listen, but for those that did not answer."""
        for served in self.watches.values():
            if served.watcher is not None and served.entry is not None and served.entry.answers:
                await served.watcher.up.wait()

    def close(self) -> None:
        """Nothing runs any more, and nobody puts anything into the lanes."""
        for served in self._served.values():
            served.close()

    def begin(self, served: Served, *, follow: bool = False) -> None:
        """Take from it from now on."""
        assert self._tasks is not None, "it was not started"
        self._served[served.name] = served
        self._tasks.start_soon(self._run, served, follow)

    async def _run(self, served: Served, follow: bool) -> None:
        await served.run(follow=follow)
        served.close()
        del self._served[served.name]
        self._roster.remove(served.name)
        await self._ended(served.name)
        await self._start_wanted()


def renamed(old: Config, new: Config) -> Renamed:
    """Watches and libraries that go on under another name: old and new names."""
    names = {(root.kind, root.path): root.name for root in old.roots()}
    pairs = [(names.get((root.kind, root.path), root.name), root.name) for root in new.roots()]
    return [(before, after) for before, after in pairs if before != after]
