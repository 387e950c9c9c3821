"""Intake: from what a look at a folder showed to what has settled and is released into the lanes.

A chunk of sightings is held against the catalogue, which knows the end of most; the rest settles. What has
come to rest is released while its lane has room and its watch is open.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import anyio
import anyio.to_thread
import apsw

from mediad.ingest.pulse import Pulse
from mediad.ingest.roster import Entry, Roster
from mediad.ingest.serving import Served, Serving
from mediad.ingest.stages import Stages
from mediad.media import companions
from mediad.model import Settled, Sighting
from mediad.store import catalogue

_BATCH = 32  # settled groups that are identified together
_LARGE = 16 << 20  # bytes from which a file takes the lane for large ones, alone
_SETTLING = 20_000  # files of one watch that may wait for quiet before its scan waits
_LOOK_LIMIT = 60.0  # seconds for a look at ten thousand files, one by one
_BACK_OFF = 1.0, 300.0  # seconds at the least and at the most before a file that failed is tried again


class _Chunk(NamedTuple):
    """Sightings on their way to the tracker; `by_scan`: no event announced them."""

    watch: str
    sightings: Sequence[Sighting]
    by_scan: bool


class Intake:
    """The stage before the lanes, one for all watches.

    Args:
        configured: when the configuration in force was read, microseconds; set it at each reload.

    Attributes:
        arriving: chunks of sightings on their way to the tracker.
    """

    def __init__(self, serving: Serving, roster: Roster, stages: Stages, configured: int) -> None:
        self.configured = configured
        self.arriving = 0
        self._serving = serving
        self._roster = roster
        self._stages = stages
        self._overflowed: set[str] = set()
        self._pulses: dict[str, Pulse] = {}
        self._to_settle, self._sighted = anyio.create_memory_object_stream[_Chunk](4)

    def close(self) -> None:
        """Nobody delivers any more."""
        self._to_settle.close()
        self._sighted.close()

    def look_again(self) -> None:
        """Watches that held more than they may have everything looked at once they are open."""
        for name in [name for name in self._overflowed if not self._stages.closed(name)]:
            self._overflowed.discard(name)
            if (watcher := self._serving[name].watcher) is not None:
                watcher.mark_everything()

    def full(self, watch: str) -> bool:
        """Do so many files wait that no more are taken in?"""
        return self._stages.tracker.waiting(watch) > _SETTLING

    async def deliver(self, watch: str, chunk: Sequence[Sighting], by_scan: bool) -> None:
        """Take in what a look at a folder showed; waits while too much waits already."""
        while self.full(watch):
            served = self._serving.get(watch)
            looks = served is not None and served.watcher is not None
            if looks and self._stages.closed(watch):  # it is looked at anew once it is open
                self._overflowed.add(watch)
                return
            await self._stages.wait(1.0)
        self.arriving += 1
        try:
            await self._to_settle.send(_Chunk(watch, chunk, by_scan))
        except BaseException:
            self.arriving -= 1
            raise

    async def miss(self, watch: str) -> None:
        """Files that failed, and that a look at the whole folder does not show, are looked for once more."""
        failed = await self._stages.database.run(functools.partial(catalogue.failed_in, watch=watch))
        served = self._serving.get(watch)
        if not failed or served is None or served.retiring:
            return
        folder, pulse = self._roster[watch].folder, self._pulses.setdefault(watch, Pulse(_LOOK_LIMIT))
        try:
            lost = await pulse.ask(lambda: list(folder.lost(failed)))
        except OSError:  # the root went away just now, or hangs; its watcher tells
            return
        if not served.retiring:
            now = self._stages.clock.monotonic()
            self._stages.tracker.observe((one for one in lost if not self._stages.tracker.knows(one)), now)
            self.wake()

    async def settle(self) -> None:
        while True:
            with anyio.move_on_after(self._patience()):
                chunk = await self._sighted.receive()
                with anyio.CancelScope(shield=True):
                    await self._observe(chunk)
                self.arriving -= 1
            now = self._stages.clock.monotonic()
            while released := self._stages.tracker.release(now, self._must_wait, _BATCH):
                for large, batch in _batches(released):
                    served = self._serving[batch[0].members[0].root]
                    (served.large if large else served.small).put(batch)
            await self._stages.recorder.rest(now, self._stages.tracker.busy())
            self._stages.nudge()

    async def _observe(self, chunk: _Chunk) -> None:
        served = self._serving.get(chunk.watch)
        if not chunk.sightings or served is None or served.retiring:
            return
        unknown = await self._unknown(chunk, served)
        if not served.retiring:
            self._stages.tracker.observe(unknown, self._stages.clock.monotonic())

    def wake(self) -> None:
        """A lane has room again, or a library is back: release what had to wait."""
        if not self.arriving and self._stages.tracker.settling:
            self.arriving += 1
            self._to_settle.send_nowait(_Chunk("", (), by_scan=False))

    def _must_wait(self, name: str) -> bool:
        if self._stages.closed(name):
            return True
        return not all(lane.has_room(_BATCH) for lane in self._serving[name].lanes)

    def _patience(self) -> float:
        """Seconds until something is due though nothing is sighted."""
        now = self._stages.clock.monotonic()
        times = (self._stages.tracker.next_due(self._must_wait), self._stages.recorder.next_rest())
        return max(0.0, min((time for time in times if time is not None), default=math.inf) - now)

    async def _unknown(self, chunk: _Chunk, served: Served) -> list[Sighting]:
        """Leave out what the catalogue tells the end of already; add companions that waited for these."""
        entry = self._roster[chunk.watch]  # it may leave the configuration meanwhile
        fresh: list[Sighting] = []
        rest = list(chunk.sightings)
        if any(one.again for one in rest):
            rest = await self._stages.database.run(functools.partial(_with_stories, rest))
        while asked := [one for one in rest if not (one.again or self._stages.tracker.knows(one))]:
            rest = [
                one for one in rest if one.again or self._stages.tracker.knows(one)
            ]  # they may land meanwhile
            ask = functools.partial(self._ask_about, asked, entry)
            unknown, again = await self._stages.database.run(ask)
            if chunk.by_scan and served.watcher is not None:
                served.watcher.found_by_scan += len(unknown)
            fresh += unknown
            if again:
                try:
                    seen = (await anyio.to_thread.run_sync(entry.folder.look, again))[0]
                    fresh += await self._stages.database.run(functools.partial(_with_stories, seen))
                except OSError:  # the root went away just now; its watcher tells, and a scan brings them
                    continue
        return [*fresh, *rest]

    def _ask_about(
        self, asked: Sequence[Sighting], entry: Entry, connection: apsw.Connection
    ) -> tuple[list[Sighting], set[bytes]]:
        """What is not known, and the paths that have to be looked at again."""
        now = self._stages.clock.micros()
        since = self.configured if self.configured <= now else 0  # else the clock has been set back
        retry_since = max(since, now - int(_back_off(entry.settings.rescan) * 1e6))
        local = entry.local
        unknown: list[Sighting] = []
        again: set[bytes] = set()
        for sighting in asked:
            row = catalogue.newest_arrival(connection, sighting.watch, sighting.path)
            told = row is not None and not row.outdated(sighting, self.configured, now)
            if told and row and row.settles(sighting.stat, local=local, retry_since=retry_since, now=now):
                continue
            if row is not None and row.was_moved(sighting.stat):  # and seen on the way
                again.add(sighting.path)
            else:
                unknown.append(_with_story(sighting, connection) if row else sighting)
            if not companions.is_companion_name(sighting.path):
                again.update(catalogue.orphans_beside(connection, sighting.watch, sighting.path))
        return unknown, again


def _back_off(rescan: float) -> float:
    """Seconds before a file that failed is tried again: the next rescan tries it, however short it is."""
    least, most = _BACK_OFF
    return min(most, max(least, rescan / 2))


def _with_stories(sightings: Sequence[Sighting], connection: apsw.Connection) -> list[Sighting]:
    return [_with_story(one, connection) for one in sightings]


def _with_story(sighting: Sighting, connection: apsw.Connection) -> Sighting:
    """The same, with what is recorded of it."""
    was = catalogue.passing_outcome(connection, sighting)
    return replace(sighting, was=was) if was else sighting


def _batches(released: Sequence[Settled]) -> list[tuple[bool, list[Settled]]]:
    """Batches of one watch each, and whether they are for the large lane, where each group goes alone."""
    batches: list[tuple[bool, list[Settled]]] = []
    small: dict[str, list[Settled]] = {}
    for settled in released:
        root = settled.members[0].root
        if sum(sighting.stat.size for sighting in settled.members) >= _LARGE:
            batches.append((True, [settled]))
        else:
            small.setdefault(root, []).append(settled)
    return [*((False, batch) for batch in small.values()), *batches]
