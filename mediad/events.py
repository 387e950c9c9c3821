"""What happens, told to whoever follows it: bounded, and free of cost while nobody does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from mediad.clock import Clock

MOST = 1000  # events that wait for one follower; what comes then is counted instead


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        time: microseconds since the epoch.
        kind: an outcome, or "watch", "library", "batch", "pause", "resume", "reload", "import", "verify",
            "alike".
        name: the watch, library or import concerned.
    """

    time: int
    kind: str
    name: str = ""
    path: bytes | None = None
    destination: bytes | None = None
    state: str = ""
    reason: str = ""
    batch: int | None = None
    bytes: int | None = None


@dataclass(slots=True)
class Follower:
    """One who follows; `lost` counts what was left out since the last `take`."""

    lost: int = 0
    _waiting: deque[Event] = field(default_factory=deque)
    _arrived: anyio.Event = field(default_factory=anyio.Event)

    def put(self, event: Event) -> None:
        """Hand on an event, or count it as lost."""
        if len(self._waiting) >= MOST:
            self.lost += 1
            return
        self._waiting.append(event)
        self._arrived.set()

    async def take(self) -> tuple[list[Event], int]:
        """Wait for events: those that have come, oldest first, and how many were lost after them."""
        await self._arrived.wait()
        events, lost = list(self._waiting), self.lost
        self._waiting.clear()
        self.lost = 0
        self._arrived = anyio.Event()
        return events, lost


class Events:
    """Where what happens is told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._followers: list[Follower] = []

    @property
    def followed(self) -> bool:
        """Does anybody listen? Only then is an event worth its making."""
        return bool(self._followers)

    def publish(
        self,
        kind: str,
        *,
        name: str = "",
        path: bytes | None = None,
        destination: bytes | None = None,
        state: str = "",
        reason: str = "",
        batch: int | None = None,
        bytes: int | None = None,  # noqa: A002 - the word of the interface
    ) -> None:
        """Tell all followers; see `Event`."""
        if not self._followers:
            return
        event = Event(self._clock.micros(), kind, name, path, destination, state, reason, batch, bytes)
        for follower in self._followers:
            follower.put(event)

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """Follow until the context is left."""
        follower = Follower()
        self._followers.append(follower)
        try:
            yield follower
        finally:
            self._followers.remove(follower)
