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
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.record import MOST_TROUBLES, Batch
from mediad.ingest.roster import Entry
from mediad.ingest.serving import Served
from mediad.model import FileType, Sighting
from mediad.roots import filesystem
from mediad.store import catalogue
from mediad.store.catalogue import LibraryFile
from mediad.store.places import import_place

_PATIENCE = 60.0  # seconds for which files that do not come to rest are waited for at the end
_DONE = ("filed", "duplicate")

Allowed = Callable[[Sighting], bool]
"""May this file be read for whoever asked? Blocks."""


@dataclass(slots=True)
class Progress:
    """How far an import is.

    Attributes:
        files, size: all there are, None until that was counted; `done` and `done_size` of them have ended.
        already: taken by an earlier import. barred: whoever asked may not read them.
        troubles: what was not taken besides what the batch tells: path, outcome, reason.
        held: why nothing goes on.
    """

    files: int | None = None
    size: int | None = None
    done: int = 0
    done_size: int = 0
    already: int = 0
    barred: int = 0
    held: str = ""
    troubles: list[tuple[bytes, str, str]] = field(default_factory=list)

    def trouble(self, path: bytes, outcome: str, reason: str) -> None:
        """Something was not taken."""
        if len(self.troubles) < MOST_TROUBLES:
            self.troubles.append((path, outcome, reason))


class Import:
    """One import.

    Args:
        root: absolute, without links. starts: what of it to take: folders and files below it, b"" for all.
        label: what `{label}` says.
        allowed: who asked may not read everything; None if that is root or the daemon's own user.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        root: bytes,
        starts: Sequence[bytes],
        library: str,
        label: str,
        allowed: Allowed | None,
    ) -> None:
        self.progress = Progress()
        self.library = library
        self.root = root
        self.key = ""
        self.batch: Batch | None = None
        self._pipeline = pipeline
        self._starts = starts
        self._label = label
        self._allowed = allowed
        self._stopped = threading.Event()
        self._stable = False

    async def run(self) -> None:
        """Take it in, until all has ended or nothing can go on; cancelled, what is in flight is finished.

        Raises:
            Refused: it is being imported already.
        """
        pipeline = self._pipeline
        self.key = await pipeline.database.run(functools.partial(import_place, root=self.root))
        while (other := pipeline.serving.get(self.key)) is not None:
            if not other.retiring:
                raise Refused("is being imported already", path=self.root)
            await pipeline.changed(1.0)
        watch = Watch.elsewhere(
            "import", self.root.decode("utf-8", "surrogateescape"), self.library, self._label
        )
        entry = await anyio.to_thread.run_sync(pipeline.roster.add, self.key, watch)
        self._stable = await anyio.to_thread.run_sync(self._inodes_last)
        self.batch = pipeline.recorder.start_batch(self.key, self._label)
        pipeline.serving.begin(Served(self.key, pipeline.stages))
        pipeline.events.publish("import", name=self.key, path=self.root, state="started")
        try:
            await self._count(entry)
            await self._take(entry)
            await self._come_to_rest()
        finally:
            self._stopped.set()
            pipeline.serving.retire(self.key)
            pipeline.events.publish("import", name=self.key, path=self.root, state="ended")
        while self.key in pipeline.serving:
            await pipeline.changed(1.0)

    def _inodes_last(self) -> bool:
        return filesystem(self.root.decode("utf-8", "surrogateescape")).leases

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
            allowed = [seen for seen in chunk if self._allowed is None or self._allowed(seen)]
            anyio.from_thread.run(self._arrived, allowed, len(chunk) - len(allowed))

        errors = await self._scan(entry, emit)
        for path, why in errors:
            self.progress.trouble(path, "failed", f"cannot be looked into: {why}")

    async def _scan(
        self, entry: Entry, emit: Callable[[Sequence[Sighting]], None]
    ) -> list[tuple[bytes, str]]:
        """Look at all of it, handing on what there is; returns what could not be read."""
        look = functools.partial(self._look, entry, emit)
        return await anyio.to_thread.run_sync(look, abandon_on_cancel=True)

    def _look(self, entry: Entry, emit: Callable[[Sequence[Sighting]], None]) -> list[tuple[bytes, str]]:
        errors: list[tuple[bytes, str]] = []
        seen, folders = ([], [b""]) if b"" in self._starts else entry.folder.look(self._starts)
        if seen:
            emit(seen)
        for start in folders:
            try:
                errors += entry.folder.scan(start, emit, self._stopped.is_set).errors
            except OSError as error:
                errors.append((start, error.strerror or str(error)))
        return errors

    async def _arrived(self, chunk: Sequence[Sighting], barred: int) -> None:
        self.progress.barred += barred
        rows = await self._pipeline.database.run(functools.partial(self._known, chunk))
        there = await anyio.to_thread.run_sync(self._still_there, rows)
        fresh = []
        for sighting, kept in zip(chunk, there, strict=True):
            if kept:
                self.progress.already += 1
                self._ended(sighting)
            else:
                fresh.append(replace(sighting, again=True))
        if fresh:
            await self._pipeline.intake.deliver(self.key, fresh, False)

    def _known(self, chunk: Sequence[Sighting], connection: apsw.Connection) -> list[LibraryFile | None]:
        """The library file that each very file became, as the catalogue has it."""
        found: list[LibraryFile | None] = []
        for sighting in chunk:
            row = catalogue.newest_arrival(connection, self.key, sighting.path) if self._stable else None
            known = row is not None and row.outcome in _DONE and row.is_same(sighting.stat)
            found.append(catalogue.became_of(connection, row.id) if row is not None and known else None)
        return found

    def _still_there(self, rows: Sequence[LibraryFile | None]) -> list[bool]:
        """Is each library file as it was recorded? Blocks."""
        libraries = self._pipeline.shelves.open()
        found = []
        for row in rows:
            library = libraries.get(row.library) if row is not None else None
            found.append(
                row is not None and library is not None and _is_there(library.tree.absolute(row.path), row)
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
            self.progress.held = pipeline.why_closed(self.key)
            now = pipeline.clock.monotonic()
            stuck = counts.in_flight == 0 and (counts.waiting == 0 or bool(self.progress.held))
            impatient = min(impatient, now + _PATIENCE) if stuck else math.inf
            library = pipeline.shelves.find(self.library)
            adopting = library is not None and library.looking.locked()
            if stuck and not adopting and (self.progress.held or counts.settling == 0 or now >= impatient):
                self._leave()
                return
            await pipeline.changed(0.5)

    def _leave(self) -> None:
        """What is left cannot be taken now: say of each why."""
        for waiting in self._pipeline.tracker.listing(self._pipeline.clock.monotonic()):
            if waiting.sighting.root == self.key:
                reason = self.progress.held or waiting.note or "did not come to rest"
                self.progress.trouble(waiting.sighting.path, "held", reason)


def _is_there(path: bytes, row: LibraryFile) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (row.size, row.mtime_ns)
