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
from mediad.ingest.roster import Entry, Roster
from mediad.ingest.stages import Stages
from mediad.keeping.relocate import Relocator
from mediad.library import OpenLibrary
from mediad.store import lingering
from mediad.store.lingering import Lingering

_MOST = 1000  # sources that one look tries again
_IN_VAIN = 3600.0  # seconds before one is read again that stayed though it was read

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
        self._pulses: dict[bytes, Pulse] = {}  # by root
        self._after: dict[str, int] = {}  # the step after which a watch's next look goes on
        self._read: dict[int, float] = {}  # steps whose sources were read not long ago, and when

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
            await self.now()

    async def now(self) -> None:
        """Try all for which it was woken."""
        while self._watches:
            await self.once(self._watches.pop())

    async def once(self, watch: str) -> None:
        """Remove what can be by now."""
        database, removed = self._stages.database, 0
        for one in await self._some(watch):
            entry = self._entry(watch)
            if entry is None or not await self._answers(entry.tree.root):
                break
            removed += await self._try(watch, one) is Fate.REMOVED
        self._stages.recorder.lingering = await database.run(lingering.counts)
        if removed:
            log.info("watch %s: removed now what could not be removed before: %d files", watch, removed)

    async def _some(self, watch: str) -> list[Lingering]:
        """Those whose turn it is, all of them in the end; none that was read in vain a while ago."""
        if self._entry(watch) is None:
            return []
        after = self._after.get(watch, 0)
        found = await self._stages.database.run(
            functools.partial(lingering.of, watch=watch, after=after, limit=_MOST)
        )
        self._after[watch] = found[-1].step if len(found) == _MOST else 0
        recent = self._stages.clock.monotonic() - _IN_VAIN
        self._read = {step: then for step, then in self._read.items() if then > recent}
        return [one for one in found if one.step not in self._read]

    def _entry(self, watch: str) -> Entry | None:
        """The watch, while its sources may be removed."""
        settings = self._roster.settings.get(watch)
        if settings is None or settings.action != "move" or self._closed(watch):
            return None
        return self._roster.get(watch)

    async def _answers(self, root: bytes) -> bool:
        try:
            await self._pulses.setdefault(root, Pulse()).ask(functools.partial(os.path.ismount, root))
        except Hung:
            return False
        return True

    async def _try(self, watch: str, one: Lingering) -> Fate:
        async with self._relocator.holding({one.digest}):
            rows = {row for row, _ in one.keepers}
            open_now = self._stages.shelves.open()
            libraries = {
                row: library
                for row, library in open_now.items()
                if row in rows and await self._answers(library.tree.root)
            }
            entry = self._entry(watch)  # another configuration may have come while that was waited for
            if entry is None:
                return Fate.STAYS
            with (
                anyio.CancelScope(shield=True),  # what was done is written down
                self._stages.shelves.borrowed([library.name for library in libraries.values()]),
            ):
                fate = await anyio.to_thread.run_sync(self._look, entry, one, libraries)
                if fate is not Fate.STAYS:
                    by_us = fate is Fate.REMOVED
                    await self._stages.database.run(
                        functools.partial(lingering.removed, step=one.step, by_us=by_us)
                    )
        return fate

    def _look(self, entry: Entry, one: Lingering, libraries: Mapping[int, OpenLibrary]) -> Fate:
        """Runs in a thread."""
        path = printable(entry.tree.absolute(one.path))
        try:
            with entry.tree.dirs() as dirs:
                if self._stages.files.identity(dirs.root) != entry.identity:
                    return Fate.STAYS  # what it is mounted on
                return self._remove(entry, one, libraries, dirs)
        except Stranded as error:  # the next look brings it back
            log.warning("%s: %s", path, error)
        except (OSError, MediadError) as error:
            log.debug("%s still cannot be removed: %s", path, error)
        return Fate.STAYS

    def _remove(self, entry: Entry, one: Lingering, libraries: Mapping[int, OpenLibrary], dirs: Dirs) -> Fate:
        files = self._stages.files
        try:
            directory, name = dirs.parent(one.path)
            _bring_back(files, directory, name, one.step)
            fd = files.open_file(name, directory)
        except (FileNotFoundError, NotADirectoryError):
            return Fate.GONE
        try:
            stat = stat_of(files.fstat(fd))
            source = moves.Source(fd, one.path, stat, one.digest, entry.place.lease)
            if (stat.size, stat.mtime_ns, stat.ino) != (one.size, one.mtime_ns, one.ino):
                return Fate.STAYS
            if not files.may_remove(fd, directory) or not self._is_kept(one, source, directory, libraries):
                return Fate.STAYS
            if not moves.remove_source(source, one.step, dirs):
                return Fate.STAYS
            files.sync_dir(directory)
        finally:
            files.close(fd)
        return Fate.REMOVED

    def _is_kept(
        self, one: Lingering, source: moves.Source, folder: int, libraries: Mapping[int, OpenLibrary]
    ) -> bool:
        """Is the source what was filed, and has a library the same content under another name, all read now?

        Args:
            folder: of the source.
        """
        files, stopping = self._stages.files, self._stages.stopping
        keepers = [(libraries[row], path) for row, path in one.keepers if row in libraries]
        if not any(self._holds(one, source, folder, *keeper) for keeper in keepers):
            return False
        return moves.digest_of(files, source.fd, one.size, stopping) == one.digest

    def _holds(
        self, one: Lingering, source: moves.Source, folder: int, library: OpenLibrary, path: bytes
    ) -> bool:
        """Has the library, in a folder of its own, what the source has?"""
        files = self._stages.files
        with library.tree.dirs() as dirs:
            try:
                directory, name = dirs.parent(path)
                fd = files.open_file(name, directory)
            except (FileNotFoundError, NotADirectoryError):
                return False
            try:
                there = stat_of(files.fstat(fd))
                if _inode(files, directory) == _inode(files, folder) or there.size != source.stat.size:
                    return False
                self._read[one.step] = self._stages.clock.monotonic()
                files.sync_file(fd)  # nobody knows whether who brought it has
                files.sync_dir(directory)
                files.drop_cache(fd)
                return moves.digest_of(files, fd, there.size, self._stages.stopping) == source.digest
            finally:
                files.close(fd)


def _inode(files: Files, fd: int) -> tuple[int, int]:
    found = files.fstat(fd)
    return found.st_dev, found.st_ino


def _bring_back(files: Files, directory: int, name: bytes, step: int) -> None:
    """What a crash left between its name and nowhere."""
    aside = moves.aside_name(step)
    try:
        files.stat_at(aside, directory)
    except FileNotFoundError:
        return
    moves.put_back(files, aside, directory, directory, name)
