"""Keeps what clients ask for from taking the event loop away from the pipeline.

Work for clients is measured in processor time of the loop's thread, and four times as long must pass before
more is begun: whatever clients do, a fifth of the loop is all they get. Who wants to begin something, be it
to read a request or to send one of several replies, queues for a turn, first come, first served, so that a
flood on one connection waits behind every other client.

Measured is what runs inside of `measured`: every stretch between two points where it waits. What the loop
itself does to wake it for a stretch cannot be told from what it does for others, and is a fixed sum instead.
Not counted is what the work has others do: threads, the database, tasks that it starts.
"""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import anyio

_T = TypeVar("_T")

_SHARE = 5  # clients get one part of so many
_WAKING = 50e-6  # seconds that the loop itself takes for each stretch; 15 to 100 us were seen
_CREDIT = 0.1  # seconds that nobody has to wait: 25 ms of work, more than one command takes
_LONGEST = 1.0  # seconds that anybody has to wait for what was done before, whatever that was


class Turns:
    """The turns of one server.

    Args:
        used: processor seconds of the calling thread. now: a clock that never goes back; both for tests.
    """

    def __init__(
        self, used: Callable[[], float] = time.thread_time, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._used = used
        self._now = now
        self._lock = anyio.Lock(fast_acquire=True)
        self._paid_at = 0.0

    async def take(self) -> None:
        """Waits for a turn, which lasts until the caller waits for anything."""
        async with self._lock:
            while (left := self.due_in()) > 0:  # noqa: ASYNC110 - calls at work put it off, and tell nobody
                await anyio.sleep(left)

    def due_in(self) -> float:
        """Seconds until the next turn may begin."""
        return max(0.0, self._paid_at - self._now() - _CREDIT)

    async def measured(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Awaits `work`, and counts what the loop spends in it."""
        return await self._in_slices(work)

    @types.coroutine
    def _in_slices(self, work: Coroutine[Any, Any, _T]) -> Generator[Any, Any, _T]:
        """What `yield from work` does, with a stopwatch."""
        step: Callable[[Any], Any] = work.send
        argument: object = None
        while True:
            before = self._used()
            try:
                awaited = step(argument)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                self._spend(self._used() - before)
                argument = None  # an exception would keep this frame alive
            try:
                argument = yield awaited
                step = work.send
            except BaseException as error:  # noqa: BLE001 - handed on to where it belongs
                argument = error
                step = work.throw

    def _spend(self, seconds: float) -> None:
        now = self._now()
        paid_at = max(self._paid_at, now) + (seconds + _WAKING) * (_SHARE - 1)
        self._paid_at = min(paid_at, now + _CREDIT + _LONGEST)
