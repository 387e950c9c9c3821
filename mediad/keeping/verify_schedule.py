"""When libraries are verified: now and then by themselves, and when somebody asks for it.

A pass that is broken off, by a stop, a pause or a library that goes away, goes on where it was. When it is
time is wall time, kept in the catalogue; a clock that is set back starts none anew, and one that cannot be
right is waited for.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from mediad.clock import Clock
from mediad.errors import Busy, LibraryOffline, MediadError, printable
from mediad.ingest.pauses import EVERYTHING
from mediad.ingest.shelf import Shelf
from mediad.keeping.verify import Inspection
from mediad.keeping.verify_look import BAD, STATES, Checked, Look, Spend, Tell
from mediad.keeping.verify_pace import Bucket, due
from mediad.store import verifying
from mediad.store.verifying import Pass, Trouble

if TYPE_CHECKING:
    from mediad.ingest.pipeline import Pipeline

_OFTEN = 10.0  # seconds between two notes of how far a pass is
_LONGEST_SLEEP = 3600.0  # seconds; wall time may jump meanwhile
_AGAIN = 60.0  # seconds until a pass that failed is tried again, or a clock that was wrong may be right
_NAP = 0.5  # seconds; a stop is seen that late
_GIVE_WAY = 2.0  # seconds that a piece of reading waits at most while something is being filed; thin air

log = logging.getLogger("mediad")


def summary(counts: dict[str, int]) -> str:
    """ "12 ok, 1 changed"; what there is none of is left out, but for ok."""
    return ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts.get(state) or state == "ok")


def _at_once(_count: int, _stopping: Callable[[], bool]) -> None:
    """Holds nothing back."""


class Verifier:
    """Verifies a pipeline's libraries.

    Attributes:
        troubles: what is reported of each library, by its row.
    """

    def __init__(
        self, pipeline: Pipeline, stopping: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.troubles: dict[int, Trouble] = {}
        self._pipeline = pipeline
        self._stopping = stopping
        self._sleep = sleep
        self._passes: dict[int, Pass] = {}
        self._scheduled: dict[int, anyio.CancelScope] = {}
        self._asked: set[int] = set()
        self._failed: dict[int, float] = {}
        self._woken = anyio.Event()

    @property
    def _clock(self) -> Clock:
        return self._pipeline.clock

    def last(self, row: int) -> int | None:
        """When the last pass over all of a library ended, microseconds since the epoch."""
        return self._passes.get(row, Pass()).ended

    async def load(self) -> None:
        """Learn how far all is; again after something else has changed what there is."""
        self._passes = await self._pipeline.database.run(verifying.passes)
        await self.recount()

    async def recount(self) -> None:
        """Learn what is reported, after somebody else has found something."""
        self.troubles = await self._pipeline.database.run(verifying.troubles)

    def wake(self) -> None:
        """Something has changed: a library came online, a pause ended, there is another configuration."""
        self._woken.set()
        self._woken = anyio.Event()

    # -- by itself ------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Verify each library when it is time, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                woken, sleep = self._woken, math.inf
                for shelf in self._pipeline.shelves:
                    left = await self._until_due(shelf)
                    if left <= 0 and shelf.id not in self._scheduled:
                        self._scheduled[shelf.id] = anyio.CancelScope()
                        tasks.start_soon(self._run_scheduled, shelf)
                    elif left > 0:
                        sleep = min(sleep, left)
                with anyio.move_on_after(min(sleep, _LONGEST_SLEEP) if sleep < math.inf else math.inf):
                    await woken.wait()

    async def _until_due(self, shelf: Shelf) -> float:
        """Seconds until a library's next pass begins or goes on; endless where something else comes first."""
        if not self._may(shelf) or shelf.id in self._asked:
            return math.inf
        failed = self._failed.get(shelf.id, -math.inf) + _AGAIN - self._clock.monotonic()
        if failed > 0:
            return failed
        if self._clock.is_behind:  # nobody knows what time it is
            return _AGAIN
        now, known = self._clock.micros(), self._passes.get(shelf.id, Pass())
        if known.ended is not None and known.ended > now:  # the clock was ahead then: it counts from now
            known = known._replace(ended=now)
            await self._save(shelf.id, known)
        if known.started is not None:
            return 0.0
        left = due(known.ended, self._pipeline.config.verify.every, now)
        return math.inf if left is None else left

    def _may(self, shelf: Shelf) -> bool:
        """Can a library be verified by itself now?"""
        paused = self._pipeline.pauses.of(EVERYTHING, shelf.settings.name) is not None
        usable = shelf.readable and shelf.admitted and not shelf.leaving
        return usable and not paused and self._pipeline.config.verify.every is not None

    async def _run_scheduled(self, shelf: Shelf) -> None:
        row, name = shelf.id, shelf.settings.name
        bucket = Bucket(lambda: self._pipeline.config.verify.rate)
        try:
            with self._scheduled[row]:
                await self._pass(
                    shelf, functools.partial(self._hold_back, bucket), self._silent, lambda: self._may(shelf)
                )
        except (OSError, MediadError) as error:
            if not self._stopping():
                log.warning("library %s: verifying was broken off: %s", name, error)
                self._failed[row] = self._clock.monotonic()
        finally:
            del self._scheduled[row]
            self.wake()

    def _hold_back(self, bucket: Bucket, count: int, stopping: Callable[[], bool]) -> None:
        """In the thread that reads: keep to the rate, and give way to what is being filed."""
        self._nap(bucket.take(count, self._clock.monotonic()), stopping)
        self._nap(_GIVE_WAY, lambda: stopping() or not self._pipeline.tracker.flying)

    def _nap(self, seconds: float, over: Callable[[], bool]) -> None:
        while seconds > 0 and not over():
            self._sleep(min(seconds, _NAP))
            seconds -= _NAP

    async def _silent(self, found: Checked) -> None:
        return

    # -- asked for ------------------------------------------------------------------------------------

    @contextmanager
    def _mine(self, row: int, what: str) -> Iterator[None]:
        """A library is being verified for somebody who asked."""
        if row in self._asked:
            raise Busy(f"library {what} is being verified already")
        self._asked.add(row)
        try:
            yield
        finally:
            self._asked.discard(row)
            self.wake()

    async def verify_all(
        self, shelf: Shelf, tell: Tell, began: Callable[[Inspection], None], *, resume: bool, accept: bool
    ) -> None:
        """A pass over a library, as fast as can be.

        Args:
            tell: told of each file. began: gets what says how far it is.
            resume: go on with a pass that was broken off, if there is one.
            accept: what is found is taken as the truth.

        Raises:
            Busy: somebody else has it verified. LibraryOffline. OSError.
        """
        row = shelf.id
        with self._mine(row, shelf.settings.name):
            while row in self._scheduled:
                self._scheduled[row].cancel()
                await self._pipeline.changed(0.05)
            if not resume:
                await self._save(row, self._passes.get(row, Pass())._replace(started=None))
            await self._pass(shelf, _at_once, tell, lambda: True, began, accept=accept)

    async def verify_below(
        self, shelf: Shelf, scope: bytes, tell: Tell, began: Callable[[Inspection], None], *, accept: bool
    ) -> None:
        """Look at a file or folder of a library.

        Raises:
            LibraryOffline. OSError.
        """
        until = await self._pipeline.database.run(verifying.newest_file)
        inspection = self._inspection(shelf, scope, _at_once, tell, accept=accept)
        began(inspection)

        async def came_to(_: int) -> bool:
            return True

        try:
            await inspection.run(0, until, came_to)
        finally:
            await self._ended()

    # -- both -----------------------------------------------------------------------------------------

    async def _pass(
        self,
        shelf: Shelf,
        spend: Spend,
        tell: Tell,
        goes_on: Callable[[], bool],
        began: Callable[[Inspection], None] = lambda _: None,
        *,
        accept: bool = False,
    ) -> None:
        """Go over all of a library, from where a pass is that has not ended."""
        row, name = shelf.id, shelf.settings.name
        known = self._passes.get(row, Pass())
        if known.started is None:
            until = await self._pipeline.database.run(verifying.newest_file)
            known = Pass(self._clock.micros(), 0, until, known.ended)
            await self._save(row, known)
        inspection = self._inspection(shelf, b"", spend, self._heard(shelf, tell), accept=accept)
        began(inspection)
        saved = self._clock.monotonic()

        async def came_to(file: int) -> bool:
            nonlocal saved
            if not goes_on() or self._clock.monotonic() - saved >= _OFTEN:
                saved = self._clock.monotonic()
                await self._save(row, known._replace(cursor=file))
                await self.recount()
            return goes_on()

        try:
            whole = await inspection.run(known.cursor, known.until, came_to)
        finally:
            await self._ended()
        if whole:
            ended = known.ended if self._clock.is_behind else self._clock.micros()
            await self._save(row, known._replace(started=None, cursor=0, ended=ended))
            text = summary(inspection.progress.counts)
            level = (
                logging.WARNING if any(inspection.progress.counts[state] for state in BAD) else logging.INFO
            )
            log.log(level, "library %s is verified: %s", name, text)
            self._pipeline.events.publish("verify", name=name, state="done", reason=text)

    async def _ended(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.recount()

    def _heard(self, shelf: Shelf, tell: Tell) -> Tell:
        async def heard(found: Checked) -> None:
            if found.state in BAD and not found.accepted and shelf.library is not None:
                path = shelf.library.tree.absolute(found.path)
                self._pipeline.events.publish(
                    "verify", name=shelf.settings.name, path=path, state=found.state, reason=found.error
                )
                log.warning("%s is %s %s", printable(path), found.state, found.error)
            await tell(found)

        return heard

    def _inspection(
        self, shelf: Shelf, scope: bytes, spend: Spend, tell: Tell, *, accept: bool
    ) -> Inspection:
        if shelf.library is None:
            raise LibraryOffline(shelf.error or "is offline")
        pipeline = self._pipeline
        wait: Callable[[], Awaitable[None]] = functools.partial(pipeline.changed, 1.0)
        look = Look(
            shelf.library,
            shelf.id,
            scope,
            pipeline.database,
            self._clock,
            spend,
            self._stopping,
            wait,
            tell,
            accept=accept,
        )
        return Inspection(look)

    async def _save(self, row: int, one: Pass) -> None:
        self._passes[row] = one
        await self._pipeline.database.run(functools.partial(verifying.save_pass, library=row, one=one))
