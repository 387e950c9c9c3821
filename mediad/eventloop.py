"""Running the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import anyio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run(call: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """`anyio.run`; what failed alone in its task group is raised as itself, not as a group of one."""
    try:
        return anyio.run(call, *args)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from None
