"""Calls into a filesystem that may hang: a thread that a dead mount holds is left behind."""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

LIMIT = 10.0  # seconds for a look at a folder; a disk that spins up takes up to that


class Hung(OSError):
    """A filesystem did not answer in time."""

    what = "hung: it does not answer (a dead mount?)"

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, self.what)


class Pulse:
    """Asks one place. While a thread hangs there, no other is sent after it."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._threads = anyio.CapacityLimiter(math.inf)
        self._out: dict[threading.Event, float] = {}  # threads that have not come back, and since when

    async def ask(self, call: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
        """What `call`, which runs in a thread, returns or raises.

        Args:
            discard: gets what `call` returns after all when nobody waits for it any more.

        Raises:
            Hung: it did not end in time, or an earlier one still has not.
        """
        started = anyio.current_time()
        waited = started - min(self._out.values(), default=started)
        if waited >= self._limit:
            raise Hung
        given_up = threading.Event()

        def run() -> T:
            self._out[given_up] = started
            try:
                result = call()
                if given_up.is_set() and discard is not None:
                    discard(result)
                return result
            finally:
                del self._out[given_up]

        with anyio.move_on_after(self._limit):
            try:
                return await anyio.to_thread.run_sync(run, limiter=self._threads, abandon_on_cancel=True)
            except anyio.get_cancelled_exc_class():
                given_up.set()
                raise
        raise Hung
