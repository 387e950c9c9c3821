"""Pauses: nothing new is taken from what is paused, for a time or until it is resumed, restarts or not."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence

import anyio

from mediad.clock import Clock
from mediad.store import pauses
from mediad.store.database import Database
from mediad.store.pauses import Pause

EVERYTHING = ""
_LONGEST_SLEEP = 60.0  # seconds; the deadline is wall time, which may jump meanwhile


class Pauses:
    """The pauses in force.

    A deadline is wall time. A clock that is set back does not put it off for ever: within one life no pause
    lasts longer than it was to last.

    Args:
        ended: told when a pause has ended, by its name.
    """

    def __init__(self, database: Database, clock: Clock, ended: Callable[[str], None]) -> None:
        self._database = database
        self._clock = clock
        self._ended = ended
        self._pauses: dict[str, Pause] = {}
        self._latest: dict[Pause, float] = {}  # when it is over at the latest, on the monotonic clock
        self._changed = anyio.Event()
        self._one = anyio.Lock()  # a change begins with what the one before it has saved

    async def load(self) -> None:
        """Take up those of the last life."""
        self._take({pause.name: pause for pause in await self._database.run(pauses.load)})

    def any(self) -> bool:
        """May anything be paused?"""
        return bool(self._pauses)

    def all(self) -> list[Pause]:
        """Those in force now, by name; everything's first."""
        now = self._clock.micros()
        return [pause for _, pause in sorted(self._pauses.items()) if self._holds(pause, now)]

    def of(self, *names: str) -> Pause | None:
        """The pause of one of these names that lasts longest; None where none of them is paused."""
        now = self._clock.micros()
        found = [self._pauses[name] for name in names if name in self._pauses]
        holding = [pause for pause in found if self._holds(pause, now)]
        return max(holding, key=lambda pause: (pause.until is None, pause.until or 0), default=None)

    async def pause(self, names: Collection[str], seconds: float | None) -> None:
        """Pause these, for a time or until they are resumed.

        Args:
            names: `EVERYTHING`, or watches and libraries.
        """
        now = self._clock.micros()
        until = None if seconds is None else now + round(seconds * 1e6)
        async with self._one:
            await self._save({**self._pauses, **{name: Pause(name, now, until) for name in names}})

    async def resume(self, names: Collection[str] | None) -> list[str]:
        """End the pauses of these names, None for all; returns those that were paused."""
        return await self._resume(lambda pause: names is None or pause.name in names)

    async def _resume(self, over: Callable[[Pause], bool]) -> list[str]:
        async with self._one:
            ended = [name for name, pause in sorted(self._pauses.items()) if over(pause)]
            await self._save({name: pause for name, pause in self._pauses.items() if name not in ended})
        for name in ended:
            self._ended(name)
        return ended

    async def reconfigured(self, names: Collection[str], renamed: Sequence[tuple[str, str]]) -> None:
        """Forget pauses of what there is no longer, and let a renamed watch keep its own.

        Args:
            names: of all watches and libraries. renamed: old and new names.
        """
        new = dict(renamed)
        async with self._one:
            kept = {new.get(name, name): pause for name, pause in self._pauses.items()}
            kept = {
                name: Pause(name, pause.since, pause.until)
                for name, pause in kept.items()
                if name == EVERYTHING or name in names
            }
            if kept != self._pauses:
                await self._save(kept)

    async def keep(self) -> None:
        """End pauses whose time is over; no wake-up while there is none with a deadline."""
        while True:
            now = self._clock.micros()
            if not all(self._holds(pause, now) for pause in self._pauses.values()):
                await self._resume(lambda pause, now=now: not self._holds(pause, now))  # type: ignore[misc]
                continue
            changed = self._changed
            ends = (pause.until for pause in self._pauses.values() if pause.until is not None)
            if (end := min(ends, default=None)) is None:
                await changed.wait()
                continue
            last = min(self._latest.values()) - self._clock.monotonic()
            with anyio.move_on_after(min(_LONGEST_SLEEP, (end - now) / 1e6, last)):
                await changed.wait()

    async def _save(self, new: dict[str, Pause]) -> None:
        await self._database.run(functools.partial(pauses.save, pauses=list(new.values())))
        self._take(new)
        self._changed.set()
        self._changed = anyio.Event()

    def _take(self, new: dict[str, Pause]) -> None:
        now = self._clock.monotonic()
        self._latest = {
            pause: self._latest.get(pause, now + (pause.until - pause.since) / 1e6)
            for pause in new.values()
            if pause.until is not None
        }
        self._pauses = new

    def _holds(self, pause: Pause, now: int) -> bool:
        if pause.until is None:
            return True
        return now < pause.until and self._clock.monotonic() < self._latest[pause]
