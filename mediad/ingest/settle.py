"""Settle: wait until files have really come to rest. PURE; time is an argument.

A file is quiet when size, mtime, ctime and inode have stood still for the watch's settle time. Rest from
before it was first seen counts. Files of one directory and stem settle together, with the last of them,
because they may turn out to be one set. What is released is in flight until it lands or returns.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mediad.model import FileType, Settled, Sighting

_Name = tuple[str, bytes]  # watch, path or key


@dataclass(slots=True)
class _Member:
    sighting: Sighting
    quiet_since: float
    seen: float


@dataclass(slots=True)
class _Group:
    members: dict[bytes, _Member] = field(default_factory=dict)
    due: float = 0.0
    not_before: float = 0.0
    note: str = ""


class Tracker:
    """The files that are settling, held or in flight.

    Args:
        key: maps a path to the directory and stem under which its set may gather.
        settle: maps a watch's name to its settle time in seconds.
    """

    def __init__(self, key: Callable[[bytes], bytes], settle: Callable[[str], float]) -> None:
        self._key = key
        self._settle = settle
        self._groups: dict[_Name, _Group] = {}
        self._queues: dict[str, list[tuple[float, int, bytes]]] = {}
        self._serial = itertools.count()
        self._waiting: dict[str, int] = {}
        self._flying: dict[_Name, Sighting] = {}
        self._aloft: dict[str, int] = {}
        self._newer: dict[_Name, tuple[Sighting, float]] = {}

    @property
    def settling(self) -> int:
        """Files that wait for quiet or to be released."""
        return sum(self._waiting.values())

    @property
    def flying(self) -> int:
        """Files that were released and have not landed."""
        return len(self._flying)

    def waiting(self, watch: str) -> int:
        """Files of a watch that wait for quiet or to be released."""
        return self._waiting.get(watch, 0)

    def quiet(self, watch: str, now: float) -> int:
        """Files of a watch that have come to rest and wait to be released; looks at all that wait."""
        groups = (group for name, group in self._groups.items() if name[0] == watch and group.due <= now)
        return sum(len(group.members) for group in groups)

    def busy(self) -> frozenset[str]:
        """The watches with files that are settling or in flight."""
        return frozenset(name for counts in (self._waiting, self._aloft) for name, n in counts.items() if n)

    def knows(self, sighting: Sighting) -> bool:
        """Is this path settling, held or in flight?"""
        if (sighting.watch, sighting.path) in self._flying:
            return True
        group = self._groups.get((sighting.watch, self._group_key(sighting)))
        return group is not None and sighting.path in group.members

    def observe(self, sightings: Iterable[Sighting], now: float) -> None:
        """Take in what a look at the folder showed.

        Args:
            now: seconds on the monotonic clock.
        """
        for sighting in sightings:
            name = (sighting.watch, sighting.path)
            flying = self._flying.get(name)
            if flying is None:
                self._settle_down(sighting, now)
            elif flying.stat != sighting.stat:
                self._newer[name] = (sighting, now)

    def _settle_down(self, sighting: Sighting, now: float) -> None:
        group_name = (sighting.watch, self._group_key(sighting))
        self._leave(sighting, b"\0" + sighting.path, group_name)
        self._leave(sighting, self._key(sighting.path), group_name)
        group = self._groups.get(group_name)
        if group is None:
            group = self._groups[group_name] = _Group()
        member = group.members.get(sighting.path)
        if member is not None and member.sighting.stat == sighting.stat:
            return
        if member is None:
            self._waiting[sighting.watch] = self.waiting(sighting.watch) + 1
        group.members[sighting.path] = _Member(sighting, now - sighting.rest, now)
        self._schedule(group_name, group)

    def _leave(self, sighting: Sighting, key: bytes, unless: _Name) -> None:
        """A file that became another kind of file no longer settles with what it was."""
        name = (sighting.watch, key)
        group = self._groups.get(name) if name != unless else None
        if group is not None and group.members.pop(sighting.path, None) is not None:
            self._waiting[sighting.watch] -= 1
            if group.members:
                self._schedule(name, group)
            else:
                del self._groups[name]

    def _group_key(self, sighting: Sighting) -> bytes:
        lone = sighting.excluded or sighting.type is not FileType.REGULAR
        return b"\0" + sighting.path if lone else self._key(sighting.path)

    def _schedule(self, name: _Name, group: _Group) -> None:
        quiet = max(member.quiet_since for member in group.members.values())
        group.due = max(quiet + self._settle(name[0]), group.not_before)
        queue = self._queues.setdefault(name[0], [])
        heapq.heappush(queue, (group.due, next(self._serial), name[1]))

    def release(self, now: float, closed: Callable[[str], bool], limit: int) -> list[Settled]:
        """Groups that have come to rest, oldest first; they are in flight from now on.

        Args:
            closed: says of a watch that what has settled there must wait (paused, library offline or full).
            limit: the most groups of each watch.
        """
        released: list[Settled] = []
        for watch, queue in self._queues.items():
            if not queue or queue[0][0] > now or closed(watch):
                continue
            room = limit
            while room and (name := self._pop_due(watch, queue, now)) is not None:
                room -= 1
                group = self._groups.pop(name)
                self._waiting[watch] -= len(group.members)
                released.append(self._launch(name, group, now))
        return released

    def _pop_due(self, watch: str, queue: list[tuple[float, int, bytes]], now: float) -> _Name | None:
        while queue and queue[0][0] <= now:
            due, _, key = heapq.heappop(queue)
            group = self._groups.get((watch, key))
            if group is not None and group.due == due:  # else it was rescheduled
                return watch, key
        return None

    def _launch(self, name: _Name, group: _Group, now: float) -> Settled:
        members = tuple(member.sighting for member in group.members.values())
        for sighting in members:
            self._flying[sighting.watch, sighting.path] = sighting
        self._aloft[name[0]] = self._aloft.get(name[0], 0) + len(members)
        last = max(group.members.values(), key=lambda member: member.quiet_since)
        rest = last.seen - last.quiet_since
        settle = self._settle(name[0])
        evidence = (
            f"unchanged for {_span(rest)} before it was first looked at"
            if rest >= settle
            else f"unchanged for {_span(now - last.quiet_since)} (settle {_span(settle)})"
        )
        return Settled(members, f"{evidence}; {group.note}" if group.note else evidence)

    def landed(self, sighting: Sighting, now: float, *, left: bool) -> None:
        """The story of a file in flight has ended.

        Args:
            left: the file is no longer where it was seen, because we moved it. A newer sighting that shows
                the same inode with the same content was made on the way and is forgotten.
        """
        name = (sighting.watch, sighting.path)
        self._alight(name)
        newer = self._newer.pop(name, None)
        if newer is not None and not (left and newer[0].stat.same_content(sighting.stat)):
            self._settle_down(newer[0], now)

    def returned(self, members: Sequence[Sighting], now: float, wait: float, note: str) -> None:
        """Files in flight could not be taken yet: they settle again, for `wait` seconds at the least.

        Args:
            members: the newest look at each of them.
            note: why, for the record of what decided.
        """
        for sighting in members:
            self._alight((sighting.watch, sighting.path))
            newer = self._newer.pop((sighting.watch, sighting.path), None)
            newest = newer[0] if newer else sighting
            self._settle_down(newest, now)
            group_name = (newest.watch, self._group_key(newest))  # a link that took its place is no set's
            group = self._groups[group_name]
            group.not_before = max(group.not_before, now + wait)
            group.note = note
            self._schedule(group_name, group)

    def _alight(self, name: _Name) -> None:
        if self._flying.pop(name, None) is not None:
            self._aloft[name[0]] -= 1

    def forget(self, watch: str) -> None:
        """A watch is gone: what was settling there is no longer awaited."""
        self._queues.pop(watch, None)
        self._waiting.pop(watch, None)
        for name in [name for name in self._groups if name[0] == watch]:
            del self._groups[name]

    def next_due(self, closed: Callable[[str], bool]) -> float | None:
        """When `release` may have something next; None while nothing is settling in an open watch."""
        times = (queue[0][0] for watch, queue in self._queues.items() if queue and not closed(watch))
        return min(times, default=None)


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
