"""Running the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import anyio

from mediad.errors import MediadError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run(call: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """`anyio.run`; what failed alone in its task group is raised as itself, not as a group of one.

    So is the first of several errors that are all told to the user: a broken catalogue fails many at once.
    """
    try:
        return anyio.run(call, *args)
    except BaseExceptionGroup as group:
        told, others = group.split(MediadError)
        if told is not None and others is None:
            raise _first(told) from None
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from None


def _first(group: BaseExceptionGroup[MediadError]) -> MediadError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
