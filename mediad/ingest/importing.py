"""Importing: a folder is taken in once, as a batch of its own, by the stages that watches use.

What an earlier import of the same folder took is passed over, where the file is the very same in a
filesystem whose inodes last, and the library still has it; everything else is read, and found to be new or
a duplicate.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from stat import S_ISREG

import anyio
import anyio.from_thread
import anyio.to_thread
import apsw

from mediad.config import Watch
from mediad.errors import Refused
from mediad.files import Files
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.record import MOST_TROUBLES, Batch
from mediad.ingest.roster import Entry
from mediad.ingest.serving import Served
from mediad.media import companions
from mediad.model import FileType, Result, Sighting
from mediad.roots import filesystem
from mediad.store import catalogue
from mediad.store.catalogue import LibraryFile
from mediad.store.places import import_place

_PATIENCE = 60.0  # seconds for which files that do not come to rest are waited for at the end
_DONE = ("filed", "duplicate")
_OPEN = "an earlier step with it has not ended; that is seen to when its library comes online again"
_UNDONE = (
    "was taken back with mediactl undo; mediactl retry lets the next import take it, and so does naming the "
    "file itself"
)


@dataclass(slots=True)
class Progress:
    """How far an import is.

    Attributes:
        files, size: all there are, None until that was counted; `done` and `done_size` of them have ended.
        already: taken by an earlier import.
        troubled: how many were not taken besides what the batch tells; troubles: the first of them, path,
            outcome and reason.
        left: files among these that have no outcome.
        held: why nothing goes on.
    """

    files: int | None = None
    size: int | None = None
    done: int = 0
    done_size: int = 0
    already: int = 0
    held: str = ""
    troubled: int = 0
    left: int = 0
    troubles: list[tuple[bytes, str, str]] = field(default_factory=list)

    def trouble(self, path: bytes, outcome: str, reason: str) -> None:
        """Something was not taken."""
        self.troubled += 1
        if len(self.troubles) < MOST_TROUBLES:
            self.troubles.append((path, outcome, reason))


class Import:
    """One import.

    Args:
        root: absolute, without links. starts: what of it to take: folders and files below it, b"" for all.
        label: what `{label}` says.
        files: by which all of it is read; None: by the daemon's own.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        root: bytes,
        starts: Sequence[bytes],
        library: str,
        label: str,
        files: Files | None,
    ) -> None:
        self.progress = Progress()
        self.library = library
        self.root = root
        self.key = ""
        self.batch: Batch | None = None
        self._pipeline = pipeline
        self._starts = starts
        self._label = label
        self._files = files
        self._thread = anyio.CapacityLimiter(1)  # it may be held for hours
        self._stopped = threading.Event()
        self._stable = False

    async def run(self) -> None:
        """Take it in, until all has ended or nothing can go on; cancelled, what is in flight is finished.

        Raises:
            Refused: it is being imported already.
        """
        pipeline = self._pipeline
        self.key = await pipeline.database.run(functools.partial(import_place, root=self.root))
        if self.key in pipeline.imports:
            raise Refused("is being imported already", path=self.root)
        pipeline.imports.add(self.key)
        try:
            while self.key in pipeline.serving:  # one that was given up finishes what is in flight
                await pipeline.changed(1.0)
            await self._run()
        finally:
            pipeline.imports.discard(self.key)

    async def _run(self) -> None:
        pipeline = self._pipeline
        look = functools.partial(filesystem, os.fsdecode(self.root))
        system = await anyio.to_thread.run_sync(look, limiter=self._thread, abandon_on_cancel=True)
        self._stable = system.leases
        watch = Watch.elsewhere("import", os.fsdecode(self.root), self.library, self._label)
        entry = pipeline.roster.add(self.key, watch, system, self._files)
        self.batch = pipeline.recorder.start_batch(self.key, self._label)
        pipeline.serving.begin(Served(self.key, pipeline.stages))
        pipeline.events.publish("import", name=self.key, path=self.root, state="started")
        try:
            await self._count(entry)
            await self._take(entry)
            await self._come_to_rest()
            self._account()
        finally:
            self._stopped.set()
            pipeline.serving.retire(self.key)
            pipeline.events.publish("import", name=self.key, path=self.root, state="ended")
        while self.key in pipeline.serving:
            await pipeline.changed(1.0)

    # -- looking --------------------------------------------------------------------------------------

    async def _count(self, entry: Entry) -> None:
        """Learn how much there is, so that progress means something."""
        found = [0, 0]

        def emit(chunk: Sequence[Sighting]) -> None:
            found[0] += len(chunk)
            found[1] += sum(seen.stat.size for seen in chunk if seen.type is FileType.REGULAR)

        await self._scan(entry, emit)
        self.progress.files, self.progress.size = found

    async def _take(self, entry: Entry) -> None:
        def emit(chunk: Sequence[Sighting]) -> None:
            anyio.from_thread.run(self._arrived, chunk)

        errors = await self._scan(entry, emit)
        for path, why in errors:
            self.progress.trouble(path, "failed", f"cannot be looked into: {why}")

    async def _scan(
        self, entry: Entry, emit: Callable[[Sequence[Sighting]], None]
    ) -> list[tuple[bytes, str]]:
        """Look at all of it, handing on what there is; returns what could not be read."""
        look = functools.partial(self._look, entry, emit)
        return await anyio.to_thread.run_sync(look, limiter=self._thread, abandon_on_cancel=True)

    def _look(self, entry: Entry, emit: Callable[[Sequence[Sighting]], None]) -> list[tuple[bytes, str]]:
        errors: list[tuple[bytes, str]] = []
        try:
            seen, folders = ([], [b""]) if b"" in self._starts else entry.folder.look(self._starts)
        except OSError as error:  # the root itself
            return [(b"", error.strerror or str(error))]
        if seen:
            emit(seen)
        shown = {*(sighting.path for sighting in seen), *folders}
        errors += [(start, "is excluded, or no longer there") for start in self._starts if start not in shown]
        for start in folders:
            try:
                errors += entry.folder.scan(start, emit, self._stopped.is_set).errors
            except OSError as error:
                errors.append((start, error.strerror or str(error)))
        return errors

    async def _arrived(self, chunk: Sequence[Sighting]) -> None:
        rows, under_way, undone = await self._pipeline.database.run(functools.partial(self._known, chunk))
        there = await anyio.to_thread.run_sync(self._still_there, rows)
        fresh_stems = {_stem(sighting) for sighting, kept in zip(chunk, there, strict=True) if not kept}
        fresh = []
        for sighting, kept in zip(chunk, there, strict=True):
            stem = _stem(sighting)
            if stem in under_way:
                self._left(sighting.path, _OPEN)
            elif sighting.path in undone and sighting.path not in self._starts:
                self.progress.trouble(sighting.path, Result.IGNORED, _UNDONE)
                self._ended(sighting)
            elif kept and stem not in fresh_stems:  # else it is read again with what it belongs to
                self.progress.already += 1
                self._ended(sighting)
            else:
                fresh.append(replace(sighting, again=True))
        if fresh and await self._room():  # nothing may come between
            await self._pipeline.intake.deliver(self.key, fresh, False)

    async def _room(self) -> bool:
        """Wait until more may be delivered; false, and looking ends, if nothing goes on."""
        pipeline = self._pipeline
        while pipeline.intake.full(self.key):
            self.progress.held = pipeline.gates.why_closed(self.key)
            if self.progress.held and not self._in_flight() and not self._adopting():
                self._stopped.set()
                break
            await pipeline.changed(0.5)
        else:
            self.progress.held = ""
        return not self._stopped.is_set()

    def _in_flight(self) -> int:
        counts = self._pipeline.counts().get(self.key)
        return counts.in_flight if counts is not None else 0

    def _adopting(self) -> bool:
        library = self._pipeline.shelves.find(self.library)
        return library is not None and library.looking.locked()

    def _known(
        self, chunk: Sequence[Sighting], connection: apsw.Connection
    ) -> tuple[list[LibraryFile | None], set[bytes], set[bytes]]:
        """The library file that each very file became, as the catalogue has it; the stems of which something
        is under way; and the paths of what was taken, and taken back.
        """
        found: list[LibraryFile | None] = []
        under_way: set[bytes] = set()
        undone: set[bytes] = set()
        for sighting in chunk:
            row = catalogue.newest_arrival(connection, self.key, sighting.path)
            if row is not None and (row.outcome is None or row.moving):
                under_way.add(_stem(sighting))
            if row is not None and row.code == "undone" and row.is_same(sighting.stat):
                undone.add(sighting.path)
            known = self._stable and row is not None and row.outcome in _DONE and row.is_same(sighting.stat)
            found.append(catalogue.became_of(connection, row.id) if row is not None and known else None)
        return found, under_way, undone

    def _still_there(self, rows: Sequence[LibraryFile | None]) -> list[bool]:
        """Is each library file as it was recorded? Blocks."""
        libraries = self._pipeline.shelves.open()
        mine = self._pipeline.shelves.rows.get(self.library)
        elsewhere = self._pipeline.config.duplicates.scope == "all"
        found = []
        for row in rows:
            library = libraries.get(row.library) if row is not None else None
            found.append(
                row is not None
                and library is not None
                and (elsewhere or row.library == mine)
                and _is_there(library.tree.absolute(row.path), row)
            )
        return found

    def _ended(self, sighting: Sighting) -> None:
        self.progress.done += 1
        self.progress.done_size += sighting.stat.size

    # -- the end --------------------------------------------------------------------------------------

    async def _come_to_rest(self) -> None:
        """Wait until nothing of it is in flight or will be; say what is left."""
        pipeline, impatient = self._pipeline, math.inf
        while True:
            await pipeline.noted()
            counts = pipeline.counts().get(self.key)
            if counts is None or counts.settling + counts.waiting + counts.in_flight + counts.held == 0:
                return
            self.progress.held = pipeline.gates.why_closed(self.key)
            now = pipeline.clock.monotonic()
            stuck = counts.in_flight == 0 and (counts.waiting == 0 or bool(self.progress.held))
            impatient = min(impatient, now + _PATIENCE) if stuck else math.inf
            if (
                stuck
                and not self._adopting()
                and (self.progress.held or counts.settling == 0 or now >= impatient)
            ):
                self._leave()
                return
            await pipeline.changed(0.5)

    def _leave(self) -> None:
        """What is left cannot be taken now: say of each why."""
        for waiting in self._pipeline.tracker.listing(self._pipeline.clock.monotonic()):
            if waiting.sighting.root == self.key:
                reason = self.progress.held or waiting.note or "did not come to rest"
                self._left(waiting.sighting.path, reason)

    def _left(self, path: bytes, reason: str) -> None:
        self.progress.left += 1
        self.progress.trouble(path, "held", reason)

    def _account(self) -> None:
        """Every file that was counted has an outcome, or is told."""
        ended = self.progress.done + (sum(self.batch.counts.values()) if self.batch is not None else 0)
        missing = (self.progress.files or 0) - ended - self.progress.left
        if missing > 0:
            why = f": {self.progress.held}" if self.progress.held else ""
            self.progress.trouble(b"", "held", f"{missing} files are not accounted for{why}")


def _stem(sighting: Sighting) -> bytes:
    """What a file shares with those that may belong to it; chunks hold whole stems."""
    return b"\0" + sighting.path if sighting.excluded else companions.gathering(sighting.path)


def _is_there(path: bytes, row: LibraryFile) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (row.size, row.mtime_ns)
