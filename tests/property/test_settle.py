"""Settling as a state machine against a model that remembers everything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mediad.ingest.settle import Tracker
from mediad.media import companions
from mediad.model import FileType, Sighting, Stat

SETTLE = {"inbox": 2.0, "card": 10.0}
PATHS = [b"a.jpg", b"a.xmp", b"a.jpg.xmp", b"b/a.jpg", b"B.mov", b"b.JPG", b"c", b"d.jpg"]
watches = st.sampled_from(sorted(SETTLE))
paths = st.sampled_from(PATHS)
times = st.sampled_from([0.0, 0.1, 1.0, 1.9, 2.0, 3.0, 9.9, 10.0, 60.0])

Name = tuple[str, bytes]


@dataclass
class Known:
    """What the model knows of a path that waits.

    Attributes:
        since: unchanged since then, as far as anybody can tell. hold: not to be released before.
    """

    sighting: Sighting
    since: float
    hold: float = 0.0


class Settling(RuleBasedStateMachine):
    """Files appear, change, are released, land and come back, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.serial = 0
        self.disk: dict[Name, Stat] = {}
        self.waiting: dict[Name, Known] = {}
        self.flying: dict[Name, Sighting] = {}
        self.newer: dict[Name, tuple[Sighting, float]] = {}
        self.closed: set[str] = set()
        self.tracker = Tracker(companions.key, lambda watch: SETTLE[watch])

    def seen(self, watch: str, path: bytes, rest: float, kind: FileType = FileType.REGULAR) -> Sighting:
        return Sighting(watch, path, self.disk[watch, path], rest, kind)

    @rule(seconds=times)
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(watch=watches, path=paths, rest=times)
    def a_file_is_written(self, watch: str, path: bytes, rest: float) -> None:
        self.serial += 1
        self.disk[watch, path] = Stat(1, self.serial, self.serial, self.serial, self.serial)
        self.observe(watch, path, rest)

    @precondition(lambda self: self.disk)
    @rule(data=st.data(), rest=times)
    def it_is_looked_at_again(self, data: st.DataObject, rest: float) -> None:
        self.observe(*data.draw(st.sampled_from(sorted(self.disk))), rest)

    def observe(self, watch: str, path: bytes, rest: float) -> None:
        sighting = self.seen(watch, path, rest)
        self.tracker.observe([sighting], self.now)
        name = (watch, path)
        if name not in self.flying:
            self.settle_down(name, sighting)
        elif self.flying[name].stat != sighting.stat:
            self.newer[name] = (sighting, self.now)

    def settle_down(self, name: Name, sighting: Sighting) -> None:
        known = self.waiting.get(name)
        if known is None or known.sighting.stat != sighting.stat:
            self.waiting[name] = Known(sighting, self.now - sighting.rest)

    @rule(watch=watches)
    def a_watch_closes_or_opens(self, watch: str) -> None:
        self.closed ^= {watch}

    @rule(limit=st.integers(1, 4))
    def release(self, limit: int) -> None:
        released = self.tracker.release(self.now, lambda watch: watch in self.closed, limit)
        per_watch: dict[str, int] = {}
        for settled in released:
            watch = settled.members[0].watch
            per_watch[watch] = per_watch.get(watch, 0) + 1
            assert watch not in self.closed
            keys = {companions.key(sighting.path) for sighting in settled.members}
            assert len(keys) == 1
            together = {name for name in self.waiting if name[0] == watch and companions.key(name[1]) in keys}
            assert {(sighting.watch, sighting.path) for sighting in settled.members} == together
            for sighting in settled.members:
                known = self.waiting.pop((sighting.watch, sighting.path))
                assert known.sighting == sighting
                assert self.now - known.since >= SETTLE[watch] - 1e-6, "released before it was quiet"
                assert self.now >= known.hold
                self.flying[sighting.watch, sighting.path] = sighting
        assert all(count <= limit for count in per_watch.values())

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), left=st.booleans())
    def one_lands(self, data: st.DataObject, left: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.flying)))
        sighting = self.flying.pop(name)
        self.tracker.landed(sighting, self.now, left=left)
        newer = self.newer.pop(name, None)
        if newer is not None:  # a file of its own, since its inode is another
            self.settle_down(name, newer[0])

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), wait=times)
    def a_set_comes_back(self, data: st.DataObject, wait: float) -> None:
        watch, path = data.draw(st.sampled_from(sorted(self.flying)))
        key = companions.key(path)
        names = [name for name in self.flying if name[0] == watch and companions.key(name[1]) == key]
        members = [replace(self.flying.pop(name), rest=0.0) for name in names]
        self.tracker.returned(members, self.now, wait, "it was busy")
        for name, sighting in zip(names, members, strict=True):
            newer = self.newer.pop(name, None)
            self.settle_down(name, newer[0] if newer else sighting)
        for name, known in self.waiting.items():
            if name[0] == watch and companions.key(name[1]) == key:
                known.hold = self.now + wait

    @invariant()
    def counts_add_up(self) -> None:
        assert self.tracker.settling == len(self.waiting)
        assert self.tracker.flying == len(self.flying)
        for watch in SETTLE:
            assert self.tracker.waiting(watch) == sum(name[0] == watch for name in self.waiting)
        busy = {watch for watch, _ in (*self.waiting, *self.flying)}
        assert self.tracker.busy() == busy

    @invariant()
    def everything_is_known(self) -> None:
        for name in self.disk:
            expected = name in self.waiting or name in self.flying
            assert self.tracker.knows(self.seen(*name, 0.0)) == expected

    def teardown(self) -> None:
        """Nothing is lost: in the end all that waits is released, by its own due times."""
        for _ in range(len(PATHS) * len(SETTLE) * 2):
            due = self.tracker.next_due(lambda _: False)
            if due is None:
                break
            self.now = max(self.now, due)
            self.closed = set()
            self.release(100)
        assert not self.waiting
        assert self.tracker.settling == 0


Settling.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSettling = Settling.TestCase
