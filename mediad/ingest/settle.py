"""Settle: wait until files have really come to rest. PURE; time is an argument.

A file is quiet when size, mtime, ctime and inode have stood still for the watch's settle time. Rest from
before it was first seen counts. Files of one directory and stem settle together, with the last of them,
because they may turn out to be one set. What is released is in flight until it lands or returns.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mediad.ingest.meter import Meter
from mediad.media.companions import is_companion_name
from mediad.model import PASSING, Counts, FileType, Result, Settled, Sighting, Waiting

_Name = tuple[str, bytes]  # watch, path or key


@dataclass(slots=True)
class _Member:
    sighting: Sighting
    quiet_since: float
    seen: float


@dataclass(slots=True)
class _Group:
    """Files that settle together; `held`: a library, not they, is what is waited for."""

    members: dict[bytes, _Member] = field(default_factory=dict)
    due: float = 0.0
    not_before: float = 0.0
    note: str = ""
    held: bool = False


class Tracker:
    """The files that are settling, held or in flight.

    Args:
        key: maps a path to the directory and stem under which its set may gather.
        settle: maps a watch's name to its settle time in seconds.

    Attributes:
        progress: how far the work on files in flight is; whoever works on one enters it here.
    """

    def __init__(self, key: Callable[[bytes], bytes], settle: Callable[[str], float]) -> None:
        self._key = key
        self._settle = settle
        self.progress: dict[_Name, Meter] = {}
        self._groups: dict[_Name, _Group] = {}
        self._queues: dict[str, list[tuple[float, int, bytes]]] = {}
        self._serial = itertools.count()
        self._waiting: dict[str, int] = {}
        self._flying: dict[_Name, Sighting] = {}
        self._aloft: dict[str, int] = {}
        self._launches: dict[_Name, int] = {}  # of what is in flight
        self._leading: dict[_Name, list[int]] = {}  # of what is in flight and is no companion, by set
        self._newer: dict[_Name, tuple[Sighting, float]] = {}
        self._stories: dict[_Name, str] = {}

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

    def counts(self, now: float, closed: Callable[[str], bool]) -> dict[str, Counts]:
        """How many files wait for what, by watch; looks at all that wait.

        Args:
            closed: as in `release`.
        """
        settling: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        held: Counter[str] = Counter()
        shut = {watch: closed(watch) for watch in self._waiting}
        for (watch, _), group in self._groups.items():
            rests = group.due <= now
            kind = held if group.held or shut[watch] else waiting if rests else settling
            kind[watch] += len(group.members)
        return {
            watch: Counts(settling[watch], waiting[watch], self._aloft.get(watch, 0), held[watch])
            for watch in {*self._waiting, *self._aloft}
        }

    def told_before(self) -> Counter[str]:
        """How many files here have an outcome from before that is recorded until they have another one."""
        return Counter(self._stories.values())

    def may_land(self, watch: str) -> bool:
        """Has an open watch files that will be taken without anything else having to happen?"""
        if not self.waiting(watch):
            return False
        return any(name[0] == watch and not group.held for name, group in self._groups.items())

    def flights(self) -> Iterable[Sighting]:
        """The files that were released and have not landed."""
        return self._flying.values()

    def listing(self, now: float) -> Iterator[Waiting]:
        """All files that have no outcome yet, those in flight first; nothing may change meanwhile."""
        for sighting in self._flying.values():
            yield Waiting(sighting)
        for group in self._groups.values():
            for member in group.members.values():
                yield Waiting(member.sighting, max(0.0, group.due - now), group.held, group.note)

    def busy(self) -> frozenset[str]:
        """The watches with files that are settling or in flight."""
        return frozenset(name for counts in (self._waiting, self._aloft) for name, n in counts.items() if n)

    def knows(self, sighting: Sighting) -> bool:
        """Is this path settling, held or in flight?"""
        if _name(sighting) in self._flying:
            return True
        group = self._groups.get((sighting.root, self._group_key(sighting)))
        return group is not None and sighting.place in group.members

    def expects(self, sighting: Sighting) -> bool:
        """May a file that it belongs to by its name still come: does one settle, or fly that was released
        at another time?
        """
        if not is_companion_name(sighting.path):
            return False
        name = (sighting.root, self._group_key(sighting))
        launch = self._launches.get(_name(sighting))
        group = self._groups.get(name)
        settling = list(group.members.values()) if group is not None else []
        return any(other != launch for other in list(self._leading.get(name, ()))) or any(
            not is_companion_name(one.sighting.path) for one in settling
        )

    def observe(self, sightings: Iterable[Sighting], now: float) -> None:
        """Take in what a look at the folder showed.

        Args:
            now: seconds on the monotonic clock.
        """
        for sighting in sightings:
            name = _name(sighting)
            flying = self._flying.get(name)
            if flying is None:
                if sighting.was:
                    self._stories[name] = sighting.was
                self._settle_down(sighting, now)
            elif flying.stat != sighting.stat:
                self._newer[name] = (sighting, now)

    def _settle_down(self, sighting: Sighting, now: float) -> None:
        group_name = (sighting.root, self._group_key(sighting))
        self._leave(sighting, b"\0" + sighting.path, group_name)
        if sighting.kept is None:
            self._leave(sighting, self._key(sighting.path), group_name)
        group = self._groups.get(group_name)
        if group is None:
            group = self._groups[group_name] = _Group()
        member = group.members.get(sighting.place)
        if member is not None and member.sighting.stat == sighting.stat and not sighting.again:
            return
        if member is None:
            self._waiting[sighting.root] = self.waiting(sighting.root) + 1
        group.members[sighting.place] = _Member(sighting, now - sighting.rest, now)
        group.held = False
        self._schedule(group_name, group)

    def _leave(self, sighting: Sighting, key: bytes, unless: _Name) -> None:
        """A file that became another kind of file no longer settles with what it was."""
        name = (sighting.root, key)
        group = self._groups.get(name) if name != unless else None
        if group is not None and group.members.pop(sighting.place, None) is not None:
            self._waiting[sighting.root] -= 1
            if group.members:
                self._schedule(name, group)
            else:
                del self._groups[name]

    def _group_key(self, sighting: Sighting) -> bytes:
        if sighting.kept is not None:  # of two sets of one name, neither is a part of the other
            return self._key(sighting.path) + b"\0%d" % sighting.kept.item
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
        launch = next(self._serial)
        for sighting in members:
            self._flying[_name(sighting)] = sighting
            self._launches[_name(sighting)] = launch
            if not is_companion_name(sighting.path):
                self._leading.setdefault(name, []).append(launch)
        self._aloft[name[0]] = self._aloft.get(name[0], 0) + len(members)
        last = max(group.members.values(), key=lambda member: member.quiet_since)
        rest = last.seen - last.quiet_since
        settle = self._settle(name[0])
        evidence = (
            f"unchanged for {_span(rest)} before it was first looked at"
            if rest >= settle
            else f"unchanged for {_span(now - last.quiet_since)} (settle {_span(settle)})"
        )
        if last.sighting.kept is not None:
            evidence = "it lay in quarantine, where nobody writes"
        return Settled(members, f"{evidence}; {group.note}" if group.note else evidence)

    def begun(self, sightings: Iterable[Sighting]) -> None:
        """The journal has steps of these files in flight: what was recorded of them before has made way."""
        for sighting in sightings:
            self._stories.pop(_name(sighting), None)

    def reverted(self, sightings: Iterable[Sighting]) -> None:
        """Nothing came of these files in flight: what lies in quarantine is recorded as being there."""
        for sighting in sightings:
            if sighting.kept is not None:
                self._stories[_name(sighting)] = Result.QUARANTINED

    def landed(
        self,
        sighting: Sighting,
        now: float,
        *,
        left: bool,
        outcome: Result | None = None,
        alone: bool = False,
    ) -> None:
        """The story of a file in flight has ended.

        Args:
            left: the file is no longer where it was seen, because we moved it. A newer sighting that shows
                the same inode with the same content was made on the way and is forgotten.
            outcome: what was recorded of it, None if nothing was.
            alone: whatever else comes, that will not be another.
        """
        name = _name(sighting)
        too_early = outcome is Result.IGNORED and not alone and self.expects(sighting)
        self._alight(name)
        newer = self._newer.pop(name, None)
        story = self._stories.pop(name, "")
        if newer is not None and not (left and newer[0].stat.same_content(sighting.stat)):
            if outcome is not None:
                story = outcome if outcome in PASSING and not left else ""
            if story:
                self._stories[name] = story
            self._settle_down(newer[0], now)
        elif too_early:  # what it belongs to was first seen while that was decided
            self._stories[name] = Result.IGNORED
            self._settle_down(sighting, now)

    def returned(
        self, members: Sequence[Sighting], now: float, wait: float, note: str, *, held: bool = False
    ) -> None:
        """Files in flight could not be taken yet: they settle again, for `wait` seconds at the least.

        Args:
            members: the newest look at each of them.
            note: why, for the record of what decided.
            held: a library is what they wait for.
        """
        for sighting in members:
            self._alight(_name(sighting))
            newer = self._newer.pop(_name(sighting), None)
            newest = newer[0] if newer else sighting
            self._settle_down(newest, now)
            group_name = (newest.root, self._group_key(newest))  # a link that took its place is no set's
            group = self._groups[group_name]
            group.not_before = max(group.not_before, now + wait)
            group.note = note
            group.held = held
            self._schedule(group_name, group)

    def hasten(self, now: float) -> None:
        """What waits for a library is tried now: one can take something again."""
        for name, group in self._groups.items():
            if group.held:
                group.not_before = min(group.not_before, now)
                self._schedule(name, group)

    def dropped(self, members: Iterable[Sighting]) -> None:
        """Files in flight are no longer anybody's business: their watch is gone."""
        for sighting in members:
            name = _name(sighting)
            self._alight(name)
            self._newer.pop(name, None)
            self._stories.pop(name, None)

    def _alight(self, name: _Name) -> None:
        self.progress.pop(name, None)
        sighting = self._flying.pop(name, None)
        if sighting is None:
            return
        self._aloft[name[0]] -= 1
        launch = self._launches.pop(name)
        if not is_companion_name(sighting.path):
            group_name = (sighting.root, self._group_key(sighting))
            self._leading[group_name].remove(launch)
            if not self._leading[group_name]:
                del self._leading[group_name]

    def forget(self, watch: str) -> None:
        """A watch is gone: what was settling there is no longer awaited."""
        self._queues.pop(watch, None)
        self._waiting.pop(watch, None)
        for name in [name for name in self._groups if name[0] == watch]:
            del self._groups[name]
        for name in [name for name in self._newer if name[0] == watch]:
            del self._newer[name]
        for name in [name for name in self._stories if name[0] == watch and name not in self._flying]:
            del self._stories[name]

    def rescheduled(self, watch: str) -> None:
        """A watch has another settle time."""
        self._queues.pop(watch, None)
        for name, group in self._groups.items():
            if name[0] == watch:
                self._schedule(name, group)

    def next_due(self, closed: Callable[[str], bool]) -> float | None:
        """When `release` may have something next; None while nothing is settling in an open watch."""
        times = (queue[0][0] for watch, queue in self._queues.items() if queue and not closed(watch))
        return min(times, default=None)


def _name(sighting: Sighting) -> _Name:
    return sighting.root, sighting.place


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
