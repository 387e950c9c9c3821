"""Adopting: what lies in a library is catalogued as if it had been filed, where it lies.

It moves and writes nothing in the library. Files go through the same identifying as those of a watch:
content, kind, capture date, sets. What was catalogued before and is as it was then is passed over, so that an
adoption that was cut off goes on where it was. Filing goes on meanwhile; what the journal is about to move is
left for another time.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.from_thread
import anyio.to_thread
import apsw
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from mediad.errors import LibraryOffline, printable
from mediad.files import Tree
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.roster import library_folder
from mediad.media import companions
from mediad.media.wire import MOST_FILES
from mediad.model import Held, MediaSet, Result, Settled, Sighting
from mediad.roots import filesystem
from mediad.sizes import size_text
from mediad.store import adopted, catalogue, journal
from mediad.store.adopted import Counts, Known, Member, Taking
from mediad.store.database import Database

_AT_ONCE = 3  # batches that are read at a time: while one is hashed, others are parsed
_MOST_TROUBLES = 1000  # that are told one by one
_SETTLED = "it lay in the library"

log = logging.getLogger("mediad")


@dataclass(slots=True)
class Progress:
    """How far an adoption is.

    Attributes:
        files, size: what is known to lie in the library; `done` and `done_size` of it have been dealt with.
        counts: what was adopted.
        not_media: files that are left alone: no media, empty, excluded, or companions of nothing.
        unreadable: media that cannot be read, which is left alone. failed: files that could not be looked at.
        troubles: the first of these two: path, outcome and reason.
    """

    files: int
    size: int
    done: int = 0
    done_size: int = 0
    counts: Counts = field(default_factory=Counts)
    not_media: int = 0
    unreadable: int = 0
    failed: int = 0
    troubles: list[tuple[bytes, str, str]] = field(default_factory=list)

    def ended(self, sighting: Sighting) -> None:
        """A file was dealt with."""
        self.done += 1
        self.done_size += sighting.stat.size

    def trouble(self, path: bytes, outcome: str, reason: str) -> None:
        """A file was not adopted though it should have been."""
        if len(self.troubles) < _MOST_TROUBLES:
            self.troubles.append((path, outcome, reason))


@dataclass(frozen=True, slots=True)
class _Batch:
    groups: list[Settled]
    rows: dict[bytes, Known | None]

    @property
    def sightings(self) -> Iterator[Sighting]:
        return (sighting for settled in self.groups for sighting in settled.members)


@dataclass(slots=True)
class _Sifted:
    """What has to be read of what was seen, and how many files and bytes need not be: they are catalogued."""

    batches: list[_Batch]
    already: int = 0
    size: int = 0


class Adoption:
    """One adoption of a library.

    Args:
        tree: the library's folder.
        database: where it is written: the catalogue, or a copy of it to see what would be.
        present: raises LibraryOffline or Refused once the library is not there any more.
        progress: what is known to lie there.

    Attributes:
        batch: the journal's; None while nothing was adopted.
        flying: what is being read.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        tree: Tree,
        taking: Taking,
        database: Database,
        present: Callable[[], None],
        progress: Progress,
    ) -> None:
        self.progress = progress
        self.batch: int | None = None
        self.flying: set[Sighting] = set()
        self._pipeline = pipeline
        self._tree = tree
        self._taking = taking
        self._database = database
        self._present = present
        self._thread = anyio.CapacityLimiter(1)  # it may be held for hours
        self._reading = anyio.CapacityLimiter(_AT_ONCE)
        self._stopped = False
        self._send: MemoryObjectSendStream[_Batch]
        self._receive: MemoryObjectReceiveStream[_Batch]
        self._send, self._receive = anyio.create_memory_object_stream[_Batch](_AT_ONCE)

    async def run(self) -> None:
        """Adopt all of it; cancelled, it can be gone on with.

        Raises:
            LibraryOffline, Refused: the library went away. InputOutput: no file can be looked into.
        """
        look = functools.partial(filesystem, self._tree.root.decode("utf-8", "surrogateescape"))
        system = await anyio.to_thread.run_sync(look, limiter=self._thread, abandon_on_cancel=True)
        self._pipeline.roster.add_library(self._taking.key, self._tree, system)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_when_cancelled)
                await self._read_all()
                tasks.cancel_scope.cancel()
        except ExceptionGroup as group:  # several readers may have come upon the same
            raise _first(group) from None
        finally:
            self._pipeline.roster.remove(self._taking.key)
            with anyio.CancelScope(shield=True):
                await self._end()

    async def _stop_when_cancelled(self) -> None:
        """Threads that are at work when nobody wants to know any more stop, too."""
        try:
            await anyio.sleep_forever()
        finally:
            self._stopped = True

    async def _read_all(self) -> None:
        async with anyio.create_task_group() as readers:
            with self._receive:
                for _ in range(_AT_ONCE):
                    readers.start_soon(self._work, self._receive.clone())
            with self._send:
                errors = await self._scan()
        self._present()
        for path, why in errors:
            self.progress.failed += 1
            self.progress.trouble(path, "failed", f"cannot be looked into: {why}")

    async def _end(self) -> None:
        if (batch := self.batch) is not None:
            now = self._pipeline.clock.micros()
            await self._database.run(lambda connection: journal.close_batch(connection, batch, now))

    # -- looking --------------------------------------------------------------------------------------

    async def _scan(self) -> list[tuple[bytes, str]]:
        """Look at all of it, handing on what is to be read; returns what could not be looked into."""
        folder = library_folder(self._tree, self._pipeline.clock, self._taking.key)

        def emit(chunk: Sequence[Sighting]) -> None:
            groups: dict[bytes, list[Sighting]] = {}
            for seen in chunk:
                if not seen.excluded:
                    groups.setdefault(_stem(seen), []).append(seen)
            anyio.from_thread.run(self._arrived, list(groups.values()), len(chunk))

        look = functools.partial(folder.scan, b"", emit, lambda: self._stopped)
        try:
            report = await anyio.to_thread.run_sync(look, limiter=self._thread, abandon_on_cancel=True)
        except OSError as error:
            raise LibraryOffline(f"cannot be reached: {error.strerror}", path=self._tree.root) from error
        return report.errors

    async def _arrived(self, groups: Sequence[Sequence[Sighting]], seen: int) -> None:
        if self._stopped:  # the thread was left behind
            return
        self._present()
        sifted = await self._database.run(functools.partial(self._sift, groups=groups))
        self.progress.not_media += seen - sum(len(members) for members in groups)
        self.progress.counts.already += sifted.already
        self.progress.done += sifted.already
        self.progress.done_size += sifted.size
        for batch in sifted.batches:
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._send.send(batch)

    def _sift(self, connection: apsw.Connection, groups: Sequence[Sequence[Sighting]]) -> _Sifted:
        """What has to be read; part of a unit of work. A new file is read with what it may belong to."""
        sifted = _Sifted([])
        batch = _Batch([], {})
        for members in groups:
            paths = [seen.path for seen in members]
            rows = dict(zip(paths, adopted.known(connection, self._taking.row, paths), strict=True))
            if all((row := rows[seen.path]) is not None and row.ours(seen.stat) for seen in members):
                sifted.already += len(members)
                sifted.size += sum(seen.stat.size for seen in members)
                continue
            batch.groups.append(Settled(tuple(members), _SETTLED))
            batch.rows.update(rows)
            if len(batch.rows) >= MOST_FILES:
                sifted.batches.append(batch)
                batch = _Batch([], {})
        if batch.groups:
            sifted.batches.append(batch)
        return sifted

    # -- reading --------------------------------------------------------------------------------------

    async def _work(self, batches: MemoryObjectReceiveStream[_Batch]) -> None:
        with batches:
            async for batch in batches:
                sightings = set(batch.sightings)
                self.flying |= sightings
                try:
                    await self._take(batch)
                finally:
                    self.flying -= sightings
                    for sighting in sightings:
                        self._pipeline.tracker.progress.pop((sighting.root, sighting.place), None)

    async def _take(self, batch: _Batch) -> None:
        stages = self._pipeline.stages
        found = await stages.identifier.identify(batch.groups, self._reading, lambda: self._stopped)
        _close(found.sets, stages.files.close)
        if found.lost is not None:
            await self._look_again()
            raise LibraryOffline(f"cannot be reached: {found.lost.strerror}", path=self._tree.root)
        doubted = False
        for file in found.unplanned:
            self.progress.ended(file.sighting)
            self.progress.not_media += file.outcome is Result.IGNORED
            if file.outcome is Result.FAILED:
                self._fail(file.sighting.path, file.reason)
            doubted |= file.outcome in (Result.FAILED, Result.GONE)
        for back in found.back:
            for sighting in back.members:
                self.progress.ended(sighting)
                self._fail(sighting.path, back.note)
        if doubted:  # it may be the library that has failed
            await self._look_again()
        await self._record([held.set for held in found.sets], batch.rows)

    async def _look_again(self) -> None:
        shelf = self._pipeline.shelves.find(self._taking.name)
        if shelf is not None:
            await self._pipeline.shelves.look(shelf)
        self._present()

    def _fail(self, path: bytes, reason: str) -> None:
        self.progress.failed += 1
        self.progress.trouble(path, "failed", reason)

    # -- writing --------------------------------------------------------------------------------------

    async def _record(self, sets: Sequence[MediaSet], rows: dict[bytes, Known | None]) -> None:
        if not sets:
            return
        whole = [media for media in sets if _is_whole(media)]
        left = [media for media in sets if not _is_whole(media)]
        now = self._pipeline.clock.micros()
        write = functools.partial(self._write, whole=whole, left=left, rows=rows, now=now)
        counts = await self._database.run(write)
        self.progress.counts.add(counts)
        for path in counts.left:
            self._fail(path, "something else is being done with it; adopt again for it")
        for media in sets:
            for member in media.members:
                self.progress.ended(member.sighting)
        for media in left:
            self._leave(media)

    def _write(
        self,
        connection: apsw.Connection,
        whole: Sequence[MediaSet],
        left: Sequence[MediaSet],
        rows: dict[bytes, Known | None],
        now: int,
    ) -> Counts:
        """One unit of work."""
        for member in (member for media in left for member in media.members):
            row = rows[member.sighting.path]
            if row is not None and row.item is None:
                adopted.note_content(connection, row.id, member, now)
        sets = [[Member(one, _id(rows[one.sighting.path])) for one in media.members] for media in whole]

        def batch() -> int:
            if self.batch is None:
                self.batch = adopted.open_batch(connection, self._taking, now)
            return self.batch

        counts = adopted.take_over(connection, self._taking, batch, sets, now)
        if self._database is self._pipeline.database:
            self._pipeline.recorder.counted((catalogue.tally(connection), catalogue.holdings(connection)))
        return counts

    def _leave(self, media: MediaSet) -> None:
        if not media.principal.facts.unreadable:
            self.progress.not_media += len(media.members)
            return
        for member in media.members:
            self.progress.unreadable += 1
            own = member.facts.unreadable
            reason = own or f"belongs to {printable(media.principal.name)}, which cannot be read"
            self.progress.trouble(member.sighting.path, "unreadable", reason)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_whole(media: MediaSet) -> bool:
    """Is it media that can be read, with what belongs to it?"""
    principal = media.principal
    return principal.facts.kind != "sidecar" and not principal.facts.unreadable


def _stem(sighting: Sighting) -> bytes:
    """What a file shares with those that may belong to it; chunks hold whole stems."""
    return companions.gathering(sighting.path)


def _id(row: Known | None) -> int | None:
    return None if row is None else row.id


def _close(sets: Sequence[Held], close: Callable[[int], None]) -> None:
    for held in sets:
        for fd in held.fds.values():
            close(fd)


def summary(progress: Progress) -> str:
    """ "1,234 adopted with 56 companions, 3 not readable (1.2 GB)"."""
    counts = progress.counts
    parts = [f"{counts.adopted:,} adopted"]
    parts += [f"{counts.companions:,} companions"] if counts.companions else []
    parts += [f"{counts.already:,} there before"] if counts.already else []
    parts += [f"{progress.not_media:,} not media"] if progress.not_media else []
    parts += [f"{progress.unreadable:,} not readable"] if progress.unreadable else []
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    return f"{', '.join(parts)} ({size_text(progress.done_size)})"
