"""Has library files looked at, one after another, in the background: what they look like, and what is alike.

What is to be done stands in the catalogue (`store.fingerprints`), so a stop or a crash costs the files that
were in hand, which are taken up again. Filing does not wait for any of this: while files are on their way,
each look waits for a while. It is nobody's task to wait for: neither `wait` nor `run --once` does.
"""

from __future__ import annotations

import functools
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import anyio.to_thread
import apsw

from mediad.analysing.opening import OtherFile, open_it, read, see
from mediad.errors import MediadError, SourceChanged, printable
from mediad.files import Tree
from mediad.ingest.pauses import EVERYTHING
from mediad.ingest.pulse import LIMIT, Hung, Pulse
from mediad.ingest.shelf import Shelf
from mediad.keeping.verify_reading import see_online
from mediad.media import wire
from mediad.media.formats import FORMATS, claimed
from mediad.media.prints.likeness import NO_FFMPEG, VERSION, Print, decode, distance, indexed
from mediad.media.reading import File
from mediad.store import alike, catalogue, fingerprints, verifying
from mediad.store.alike import Pair
from mediad.store.fingerprints import NEVER, ToDo
from mediad.store.reading import Reader

if TYPE_CHECKING:
    from mediad.ingest.pipeline import Pipeline

_PAGE = 64  # files
_MOST_FILMS = 200  # that one film is held against: each takes some milliseconds of the interpreter
_GIVE_WAY = 30.0  # seconds that one look waits at most while something is being filed; thin air
_AGAIN = (600.0, 3600.0)  # seconds until a file that could not be read is tried again; then not in this life
_RECOVERY = 60.0  # seconds until a library that hung, or a catalogue that failed, is asked again
_SLOWEST = 1 << 20  # bytes a second that a disk reads at least, or it hangs
_SWEEP = 86_400.0  # seconds between two looks for prints that nobody needs
_SWEPT = 5_000  # of them, in one unit of work
_MICRO = 1_000_000

log = logging.getLogger("mediad")

T = TypeVar("T")


class Prints(Protocol):
    """Makes prints; see `workers.WorkerPool`."""

    async def fingerprint(self, file: File, form: str, /) -> Print: ...


class Analyser:
    """Looks at a pipeline's libraries.

    Args:
        stopping: true once the daemon was asked to stop.

    Attributes:
        lacking: contents that wait for the ffmpeg program.
    """

    def __init__(self, pipeline: Pipeline, stopping: Callable[[], bool]) -> None:
        self.lacking = 0
        self._pipeline = pipeline
        self._stopping = stopping
        self._recording = anyio.Lock()  # two prints that are alike must not miss each other
        self._pulses: dict[int, Pulse] = {}
        self._away: dict[int, float] = {}
        self._failed: MediadError | None = None
        self._next: int | None = None
        self._swept = -math.inf
        self._looked_for_ffmpeg = False

    @property
    def is_on(self) -> bool:
        """Are look-alikes to be found?"""
        return self._pipeline.config.duplicates.similar != "off"

    @property
    def to_analyse(self) -> int:
        """How many files of the libraries that can be read, or soon can, are still to be looked at."""
        waiting = self._pipeline.recorder.tally.unprinted
        shelves = (shelf for shelf in self._pipeline.shelves if not shelf.leaving)
        here = (shelf for shelf in shelves if shelf.readable or shelf.arriving)
        return sum(waiting.get(shelf.id, 0) for shelf in here) if self.is_on else 0

    async def keep(self, reader: Reader, pool: Prints, width: int = 1) -> None:
        """Look at whatever is to be looked at, until cancelled.

        Args:
            width: the most files at a time.
        """
        begun = False
        while True:
            changed, nap = self._pipeline.stages.changed, math.inf
            try:
                if self.is_on and not begun:
                    await self._begin()
                    begun = True
                if self.is_on and await self._round(reader, pool, width):
                    continue
                nap = self._nap()
            except MediadError as error:
                log.warning("library files cannot be compared now: %s", error)
                nap = _RECOVERY
            with anyio.move_on_after(nap):
                await changed.wait()

    def _nap(self) -> float:
        """Seconds until there may be something to do again though nothing has changed."""
        now = self._pipeline.clock.monotonic()
        naps = [since + _RECOVERY - now for since in self._away.values()]
        if self.is_on and self._next is not None:
            naps.append((self._next - self._pipeline.clock.micros()) / _MICRO)
        return max(1.0, min(naps)) if naps else math.inf

    async def _begin(self) -> None:
        """Take up what earlier lives gave up or did by other rules."""
        database = self._pipeline.database
        await self._write(fingerprints.begin)
        while await database.run(functools.partial(fingerprints.forget_other_versions, version=VERSION)):
            continue
        self.lacking = await database.run(functools.partial(fingerprints.failed_for, failed=NO_FFMPEG))
        await self._write(lambda connection: None)

    async def _write(self, work: Callable[[apsw.Connection], T]) -> T:
        """A unit of work, after which it is known how much is still to be done."""

        def unit(connection: apsw.Connection) -> tuple[T, catalogue.Tally, dict[int, tuple[int, int]]]:
            result = work(connection)
            return result, catalogue.tally(connection), catalogue.holdings(connection)

        result, tally, holdings = await self._pipeline.database.run(unit)
        self._pipeline.recorder.counted((tally, holdings))
        return result

    # -- what is to be done ----------------------------------------------------------------------------

    async def _round(self, reader: Reader, pool: Prints, width: int) -> bool:
        """Look at the next files; false if there was nothing to do."""
        shelves = {shelf.id: shelf for shelf in self._pipeline.shelves if self._may(shelf)}
        todo = await reader.run(functools.partial(fingerprints.page, libraries=shelves, limit=_PAGE))
        if not todo or self._stopping():
            return not self._stopping() and await self._rest(reader)
        needless = [one.id for one in todo if one.printed or not _form(one)]
        if needless:
            await self._write(functools.partial(fingerprints.done_with, files=needless))
        each: dict[bytes | int, ToDo] = {}
        for one in todo:  # each content once
            if one.id not in needless:
                each.setdefault(one.digest or one.id, one)
        slots = anyio.Semaphore(width, fast_acquire=True)
        async with anyio.create_task_group() as tasks:
            for one in each.values():
                await slots.acquire()
                if self._failed is None:
                    tasks.start_soon(self._one, one, shelves[one.library], reader, pool, slots)
        if (failed := self._failed) is not None:
            self._failed = None
            raise failed
        return True

    def _may(self, shelf: Shelf) -> bool:
        """Can a library's files be looked at now?"""
        since = self._away.get(shelf.id)
        if since is not None and self._pipeline.clock.monotonic() - since < _RECOVERY:
            return False
        self._away.pop(shelf.id, None)
        paused = self._pipeline.pauses.of(EVERYTHING, shelf.settings.name) is not None
        return shelf.readable and shelf.admitted and not shelf.leaving and not paused

    async def _rest(self, reader: Reader) -> bool:
        """Nothing is due: see to what was put off, and to what is needed no more."""
        now, longest = self._pipeline.clock.micros(), round(2 * max(_AGAIN) * _MICRO)
        if self._next is not None and not now < self._next <= now + longest:
            bring_back = functools.partial(fingerprints.bring_back, now=now, longest=longest)
            self._next = await self._write(bring_back)
            return True
        if self.lacking and not self._looked_for_ffmpeg and await _has_ffmpeg():
            self._looked_for_ffmpeg = True  # once: it may be one that the workers cannot use
            while await self._write(functools.partial(fingerprints.forget_failed, failed=NO_FFMPEG)):
                continue
            self.lacking = 0
            return True
        if self._pipeline.clock.monotonic() - self._swept >= _SWEEP:
            self._swept = self._pipeline.clock.monotonic()
            await self._sweep(reader)
        return False

    async def _sweep(self, reader: Reader) -> None:
        """Forget the prints of contents that no library has any more."""
        after: int | None = 0
        while after is not None:
            look = functools.partial(fingerprints.unused, after=after, limit=_SWEPT)
            spare, after = await reader.run(look)
            for start in range(0, len(spare), _PAGE):
                part = spare[start : start + _PAGE]
                await self._write(functools.partial(fingerprints.forget, prints=part))

    # -- one file --------------------------------------------------------------------------------------

    async def _one(
        self, todo: ToDo, shelf: Shelf, reader: Reader, pool: Prints, slots: anyio.Semaphore
    ) -> None:
        library = shelf.library
        try:
            if library is not None and self._may(shelf):
                await self._give_way()
                await self._look(todo, library.tree, reader, pool)
        except InterruptedError:
            return
        except (OtherFile, SourceChanged) as error:
            await self._put_off(todo, str(error))
        except OSError as error:
            await self._not_read(todo, shelf, error)
        except MediadError as error:  # not for this file alone
            self._failed = error
        finally:
            slots.release()

    async def _not_read(self, todo: ToDo, shelf: Shelf, error: OSError) -> None:
        """Put a file off that cannot be read; or its library, where that is what is ill."""
        try:
            if isinstance(error, Hung):
                raise error
            if shelf.library is not None:
                await self._pulses[todo.library].ask(functools.partial(see_online, shelf.library))
        except (Hung, MediadError) as ill:
            self._away[todo.library] = self._pipeline.clock.monotonic()
            log.warning("library %s: nothing is compared for a while: %s", shelf.settings.name, ill)
        else:
            await self._put_off(todo, error.strerror or str(error))

    async def _give_way(self) -> None:
        """Let what is being filed go first, for a while."""
        with anyio.move_on_after(_GIVE_WAY):
            while self._pipeline.tracker.flying or self._pipeline.intake.arriving:
                await self._pipeline.changed(1.0)

    async def _look(self, todo: ToDo, tree: Tree, reader: Reader, pool: Prints) -> None:
        pulse = self._pulses.setdefault(todo.library, Pulse())
        if todo.digest is None:
            await self._read(todo, tree)  # which makes it due again, with its digest
            return
        fd = await pulse.ask(functools.partial(open_it, tree, todo), tree.files.close)
        try:
            name = todo.path.rpartition(b"/")[2]
            file = File(fd, name, todo.size, todo.mtime_ns, on_card=False)
            made = await pool.fingerprint(file, _form(todo))
            await pulse.ask(functools.partial(see, tree.files, fd, todo))
        finally:
            tree.files.close(fd)
        if made.failed.startswith(wire.READING_FAILED):
            await self._put_off(todo, made.failed)
        else:
            await self._record(todo, made, tree, reader)

    async def _read(self, todo: ToDo, tree: Tree) -> None:
        """Learn the content of a file that was never read, in a thread that is given up where that hangs."""
        ended = False
        try:
            call = functools.partial(read, tree, todo, lambda: ended or self._stopping())
            digest, stat = await Pulse(LIMIT + todo.size / _SLOWEST).ask(call)
        finally:
            ended = True
        now = self._pipeline.clock.micros()

        def note(connection: apsw.Connection) -> None:
            if fingerprints.at(connection, todo.id) == todo:
                verifying.was_read(connection, todo.id, digest, stat, now)

        await self._write(note)

    async def _put_off(self, todo: ToDo, reason: str) -> None:
        """It cannot be looked at: not its fault for good, and it costs nobody else."""
        now = self._pipeline.clock.micros()

        def note(connection: apsw.Connection) -> int | None:
            tries = fingerprints.tries(connection, todo.id)
            until = now + round(_AGAIN[tries] * _MICRO) if tries < len(_AGAIN) else NEVER
            return until if fingerprints.put_off(connection, todo, until, reason) else None

        until = await self._write(note)
        if until is not None and until != NEVER:
            self._next = min(until, self._next or until)
        log.debug("library file %s cannot be compared: %s", printable(todo.path), reason)

    # -- what it looks like ----------------------------------------------------------------------------

    async def _record(self, todo: ToDo, made: Print, tree: Tree, reader: Reader) -> None:
        async with self._recording:
            near: dict[int, int] = {}
            for one in indexed(made):  # each in a window of its own
                for number, bits in (await reader.run(functools.partial(alike.near, hashes=[one]))).items():
                    near[number] = min(bits, near.get(number, bits))
            prints = alike.nearest(near)[: _MOST_FILMS if made.kind == "film" else None]
            look = functools.partial(alike.data, kind=made.kind, prints=prints)
            found = await reader.run(look) if near else []
            pairs = await anyio.to_thread.run_sync(judged, made, found, self._stopping) if found else []
            if self._stopping():  # perhaps not all were judged: it is done again
                return
            keep = functools.partial(fingerprints.keep, todo=todo, made=made, version=VERSION, pairs=pairs)
            kept = await self._write(keep)
        if kept is not None:
            self.lacking += made.failed == NO_FFMPEG
            await self._tell(todo, kept, pairs, tree, reader)

    async def _tell(self, todo: ToDo, number: int, pairs: Sequence[Pair], tree: Tree, reader: Reader) -> None:
        """Whoever follows is told of the nearest look-alike, or of the same content with other metadata."""
        events = self._pipeline.events
        if not events.followed:
            return
        farthest = self._pipeline.config.duplicates.similar_distance
        twins = await reader.run(functools.partial(alike.twins, number=number, limit=1))
        near = [pair for pair in pairs if pair.distance <= farthest]
        other = twins[0] if twins else near[0].print if near else None
        if other is None:
            return
        (*_, member) = [None, *await reader.run(functools.partial(alike.members, prints=[other]))]
        if member is not None:
            events.publish(
                "alike",
                path=tree.absolute(todo.path),
                destination=member.files[0].path,
                state="payload" if twins else "similar",
                reason="same content, other metadata" if twins else f"distance {near[0].distance}",
            )


def judged(made: Print, found: Sequence[tuple[int, bytes]], stopping: Callable[[], bool]) -> list[Pair]:
    """Those of these prints that look like a new one, the nearest first, `MOST_PAIRS` at most. Blocks.

    Args:
        stopping: once true, nobody wants to know any more.
        found: numbers and prints, as `likeness.encode` made them.
    """
    pairs = []
    for number, data in found:
        if stopping():
            break
        try:
            far = distance(made, decode(data))
        except ValueError:  # of another version, and soon made anew
            continue
        if far is not None:
            pairs.append(Pair(number, far))
    return sorted(pairs, key=lambda pair: (pair.distance, -pair.print))[: alike.MOST_PAIRS]


async def _has_ffmpeg() -> bool:
    return await anyio.to_thread.run_sync(shutil.which, "ffmpeg") is not None


def _form(todo: ToDo) -> str:
    """The name of a file's format; "" where it is nothing to compare."""
    form = FORMATS.get(todo.form) or claimed(todo.path)
    return "" if form is None or form.kind == "sidecar" else form.name
