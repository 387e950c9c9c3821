"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.01


def wait_until(condition: Callable[[], T], timeout: float = 30.0, *, what: str = "") -> T:
    """Look at `condition` until it is true, and return what it returned.

    Raises:
        AssertionError: it was still false after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what or 'the condition'} did not come true within {timeout} s: {value!r}")
        pause.wait(INTERVAL)
    return value
