"""Threads that are none: what the daemon sends into a thread runs at once, in the event loop.

A run is then the same each time, operation by operation, and takes half as long. What hands its findings to
the loop while it runs (a scan, a watcher) keeps its thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")

_HANDS_ON = frozenset({"scan", "_notify"})  # they call `anyio.from_thread`
_in_thread = anyio.to_thread.run_sync


async def _inline(
    call: Callable[..., T],
    *args: Any,
    limiter: anyio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
) -> T:
    if getattr(getattr(call, "func", call), "__name__", "") in _HANDS_ON:
        return await _in_thread(call, *args, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
    await anyio.lowlevel.checkpoint()
    async with limiter or contextlib.nullcontext():
        return call(*args)


@contextlib.contextmanager
def inline() -> Iterator[None]:
    """Meanwhile there are (nearly) no threads."""
    anyio.to_thread.run_sync = _inline  # type: ignore[assignment]
    try:
        yield
    finally:
        anyio.to_thread.run_sync = _in_thread
