"""Removing: sources that a move watch was to lose and could not be removed, once they can be.

Where a folder may not be written, its file is filed all the same, and its source stays. The catalogue has it
as lingering from then on. After each look at the watch it is tried again: source and library file are read
anew, and only that very file goes. What a crash leaves aside gets its name back first.
"""

from __future__ import annotations

import enum
import functools
import logging
import os
from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread

from mediad.errors import MediadError, Stranded, printable
from mediad.files import Dirs, Files, stat_of
from mediad.ingest import moves
from mediad.ingest.pulse import Hung, Pulse
from mediad.ingest.roster import Roster
from mediad.ingest.stages import Stages
from mediad.keeping.relocate import Relocator
from mediad.library import OpenLibrary
from mediad.store import lingering
from mediad.store.lingering import Lingering

_MOST = 1000  # sources that one look tries again

log = logging.getLogger("mediad")


class Fate(enum.Enum):
    """What became of such a source."""

    STAYS = enum.auto()
    REMOVED = enum.auto()
    GONE = enum.auto()


class Remover:
    """Tries again whenever it is woken.

    Args:
        closed: says of a watch that nothing is taken from it now.
    """

    def __init__(
        self, stages: Stages, roster: Roster, relocator: Relocator, closed: Callable[[str], bool]
    ) -> None:
        self._stages = stages
        self._roster = roster
        self._relocator = relocator
        self._closed = closed
        self._watches: set[str] = set()
        self._woken = anyio.Event()
        self._pulses: dict[str, Pulse] = {}

    def wake(self, watch: str) -> None:
        """A watch was looked at."""
        if watch in self._stages.recorder.lingering:
            self._watches.add(watch)
            self._woken.set()

    async def keep(self) -> None:
        """Try again whenever woken, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken = anyio.Event()
            while self._watches:
                await self.once(self._watches.pop())

    async def once(self, watch: str) -> None:
        """Remove what can be by now."""
        settings = self._roster.settings.get(watch)
        if settings is None or settings.action != "move" or self._closed(watch):
            return
        database = self._stages.database
        pulse = self._pulses.setdefault(watch, Pulse())
        removed = 0
        for one in await database.run(functools.partial(lingering.of, watch=watch, limit=_MOST)):
            try:
                await pulse.ask(functools.partial(os.path.ismount, settings.path))
            except Hung:
                break
            fate = await self._try(watch, one)
            removed += fate is Fate.REMOVED
        self._stages.recorder.lingering = await database.run(lingering.counts)
        if removed:
            log.info("watch %s: removed now what could not be removed before: %d files", watch, removed)

    async def _try(self, watch: str, one: Lingering) -> Fate:
        async with self._relocator.holding({one.digest}):
            libraries = self._stages.shelves.open()
            with (
                anyio.CancelScope(shield=True),  # what was done is written down
                self._stages.shelves.borrowed([library.name for library in libraries.values()]),
            ):
                fate = await anyio.to_thread.run_sync(self._look, watch, one, libraries)
                if fate is not Fate.STAYS:
                    by_us = fate is Fate.REMOVED
                    await self._stages.database.run(
                        functools.partial(lingering.removed, step=one.step, by_us=by_us)
                    )
        return fate

    def _look(self, watch: str, one: Lingering, libraries: Mapping[int, OpenLibrary]) -> Fate:
        """Runs in a thread."""
        path = printable(self._roster.trees[watch].absolute(one.path))
        try:
            with self._roster.trees[watch].dirs() as dirs:
                if self._stages.files.identity(dirs.root) != self._roster[watch].identity:
                    return Fate.STAYS  # what it is mounted on
                return self._remove(watch, one, libraries, dirs)
        except Stranded as error:  # the next look brings it back
            log.warning("%s: %s", path, error)
        except (OSError, MediadError) as error:
            log.debug("%s still cannot be removed: %s", path, error)
        return Fate.STAYS

    def _remove(self, watch: str, one: Lingering, libraries: Mapping[int, OpenLibrary], dirs: Dirs) -> Fate:
        files = self._stages.files
        try:
            directory, name = dirs.parent(one.path)
            _bring_back(files, directory, name, one.step)
            fd = files.open_file(name, directory)
        except (FileNotFoundError, NotADirectoryError):
            return Fate.GONE
        try:
            stat = stat_of(files.fstat(fd))
            source = moves.Source(fd, one.path, stat, one.digest, self._roster.places[watch].lease)
            if (stat.size, stat.mtime_ns, stat.ino) != (one.size, one.mtime_ns, one.ino):
                return Fate.STAYS
            if not files.may_remove(fd, directory) or not self._is_kept(one, source, libraries):
                return Fate.STAYS
            if not moves.remove_source(source, one.step, dirs):
                return Fate.STAYS
            files.sync_dir(directory)
        finally:
            files.close(fd)
        return Fate.REMOVED

    def _is_kept(self, one: Lingering, source: moves.Source, libraries: Mapping[int, OpenLibrary]) -> bool:
        """Is the source what was filed, and has a library the same content in another file, both read now?"""
        files, stopping = self._stages.files, self._stages.stopping
        if moves.digest_of(files, source.fd, one.size, stopping) != one.digest:
            return False
        return any(
            _holds(files, libraries[row], path, source, stopping)
            for row, path in one.keepers
            if row in libraries
        )


def _bring_back(files: Files, directory: int, name: bytes, step: int) -> None:
    """What a crash left between its name and nowhere."""
    aside = moves.aside_name(step)
    try:
        files.stat_at(aside, directory)
    except FileNotFoundError:
        return
    moves.put_back(files, aside, directory, directory, name)


def _holds(
    files: Files, library: OpenLibrary, path: bytes, source: moves.Source, stopping: Callable[[], bool]
) -> bool:
    """Has the library, in a file of its own, what the source has?"""
    with library.tree.dirs() as dirs:
        try:
            directory, name = dirs.parent(path)
            fd = files.open_file(name, directory)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            there = stat_of(files.fstat(fd))
            if (there.dev, there.ino) == (source.stat.dev, source.stat.ino) or there.size != source.stat.size:
                return False
            return moves.digest_of(files, fd, there.size, stopping) == source.digest
        finally:
            files.close(fd)
