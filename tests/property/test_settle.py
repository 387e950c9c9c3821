"""Whatever is seen in whatever order: nothing is let go too early, torn apart, doubled or forgotten."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from mediad.ingest.settle import Tracker
from mediad.media import companions
from mediad.model import PASSING, Counts, Result, Settled, Sighting, Stat

SETTLE = {"inbox": 4.0, "card": 9.0}
WAIT = 7.0
NAMES = (b"x.jpg", b"x.mov", b"X.xmp", b"d/x.jpg", b"y.jpg", b"y.tmp")
EXCLUDED = {b"y.tmp": "*.tmp"}

WATCH = st.sampled_from(sorted(SETTLE))
NAME = st.sampled_from(NAMES)
SPAN = st.integers(0, 12).map(float)


@dataclass
class Shown:
    """The state in which a file was last shown to the tracker.

    Attributes:
        since: since when it has stood still; no release may come earlier than `since` and the settle time.
        counted: from when its rest counts at the latest: what changed in flight may be counted from the end
            of that flight.
    """

    sighting: Sighting
    since: float
    counted: float
    not_before: float = 0.0


def together(path: bytes) -> bytes:
    return path if path in EXCLUDED else companions.key(path)


class Settling(RuleBasedStateMachine):
    """The tracker beside a model that only knows what each file looked like when."""

    flying = Bundle("flying")

    @initialize()
    def start(self) -> None:
        self.now = 100.0
        self.serial = 0
        self.settle = dict(SETTLE)
        self.tracker = Tracker(companions.key, self.settle.__getitem__)
        self.waiting: dict[tuple[str, bytes], Shown] = {}
        self.held: set[tuple[str, bytes]] = set()  # sets, by the name under which they gather
        self.aloft: dict[tuple[str, bytes], Sighting] = {}
        self.newer: dict[tuple[str, bytes], Shown] = {}
        self.counted: dict[tuple[str, bytes], Result] = {}  # as the catalogue has it

    @rule(span=SPAN)
    def time_passes(self, span: float) -> None:
        self.now += span

    @rule(watch=WATCH, path=NAME, rest=SPAN)
    def a_file_is_seen_in_a_new_state(self, watch: str, path: bytes, rest: float) -> None:
        self.serial += 1
        stat = Stat(1, self.serial, 1, self.serial, self.serial)
        self._see(Sighting(watch, path, stat, rest, excluded=EXCLUDED.get(path, "")))

    @rule(watch=WATCH, path=NAME)
    def a_file_is_seen_unchanged(self, watch: str, path: bytes) -> None:
        shown = self.newer.get((watch, path)) or self.waiting.get((watch, path))
        if shown is not None:
            self.tracker.observe([shown.sighting], self.now)
        elif (watch, path) in self.aloft:
            self.tracker.observe([self.aloft[watch, path]], self.now)

    @rule(watch=WATCH, path=NAME)
    def our_own_work_is_seen(self, watch: str, path: bytes) -> None:
        if before := self.aloft.get((watch, path)):
            stat = before.stat._replace(ctime_ns=before.stat.ctime_ns + 1_000_000)
            self._see(Sighting(watch, path, stat, excluded=before.excluded))

    def _see(self, sighting: Sighting) -> None:
        name = (sighting.watch, sighting.path)
        sighting = replace(sighting, was=self.counted.get(name, ""))
        self.tracker.observe([sighting], self.now)
        if name in self.aloft:
            self.newer[name] = self._shown(sighting)
        else:
            before = self.waiting.get(name)
            self.waiting[name] = self._shown(sighting, before.not_before if before else 0.0)
            self.held.discard((sighting.watch, together(sighting.path)))

    def _shown(self, sighting: Sighting, not_before: float = 0.0) -> Shown:
        since = self.now - sighting.rest
        return Shown(sighting, since, since, not_before)

    @rule(target=flying, closed=st.sets(WATCH), limit=st.integers(1, 3))
    def what_is_due_is_released(self, closed: set[str], limit: int) -> object:
        may = {watch: self._due(watch, late=False) for watch in SETTLE}
        must = {watch: self._due(watch, late=True) for watch in SETTLE}
        released = self.tracker.release(self.now, closed.__contains__, limit)
        for watch in SETTLE:
            mine = [settled for settled in released if settled.members[0].watch == watch]
            assert len(mine) <= (0 if watch in closed else limit)
            assert len(mine) >= (0 if watch in closed else min(limit, len(must[watch])))
            for settled in mine:
                self._take_off(watch, settled, may[watch])
        return multiple(*released)

    def _due(self, watch: str, *, late: bool) -> dict[bytes, set[bytes]]:
        """The files that may (`late`: must) be released, by the name under which they gather."""
        groups: dict[bytes, set[bytes]] = {}
        for name, path in self.waiting:
            if name == watch:
                groups.setdefault(together(path), set()).add(path)
        return {
            key: members
            for key, members in groups.items()
            if all(self._rested(self.waiting[watch, path], late=late) for path in members)
        }

    def _rested(self, shown: Shown, *, late: bool) -> bool:
        quiet = (shown.counted if late else shown.since) + self.settle[shown.sighting.watch]
        return self.now >= max(quiet, shown.not_before)

    def _take_off(self, watch: str, settled: Settled, due: dict[bytes, set[bytes]]) -> None:
        members = {sighting.path: sighting for sighting in settled.members}
        [key] = {together(path) for path in members}
        assert key in due, "released too early"
        assert set(members) == due[key], "released without the others of its set"
        self.held.discard((watch, key))
        for path, sighting in members.items():
            assert sighting == self.waiting.pop((watch, path)).sighting, "not the newest look"
            self.aloft[watch, path] = sighting

    @rule(settled=flying, rest=SPAN)
    def it_changes_in_flight(self, settled: Settled, rest: float) -> None:
        for sighting in settled.members:
            self.a_file_is_seen_in_a_new_state(sighting.watch, sighting.path, rest)

    @rule(settled=flying)
    def its_steps_are_begun(self, settled: Settled) -> None:
        members = self._still_aloft(settled)
        self.tracker.begun(members)
        for sighting in members:
            self.counted.pop((sighting.watch, sighting.path), None)

    @rule(settled=flying)
    def nothing_comes_of_it(self, settled: Settled) -> None:
        self.tracker.reverted(self._still_aloft(settled))  # counted again only where it lies in quarantine

    @rule(settled=consumes(flying), left=st.booleans(), outcome=st.none() | st.sampled_from(Result))
    def it_lands(self, settled: Settled, left: bool, outcome: Result | None) -> None:
        for sighting in settled.members:
            name = (sighting.watch, sighting.path)
            if self.aloft.get(name) is not sighting:
                continue  # it landed before
            self.tracker.landed(sighting, self.now, left=left, outcome=outcome)
            del self.aloft[name]
            if outcome is not None:
                self.counted.pop(name, None)
            if outcome in PASSING and not left:
                self.counted[name] = outcome
            newer = self.newer.pop(name, None)
            if newer and not (left and newer.sighting.stat.same_content(sighting.stat)):
                newer.counted = self.now - newer.sighting.rest
                self.waiting[name] = newer
                self.held.discard((sighting.watch, together(sighting.path)))

    def _still_aloft(self, settled: Settled) -> list[Sighting]:
        return [s for s in settled.members if self.aloft.get((s.watch, s.path)) is s]

    @rule(settled=consumes(flying), held=st.booleans())
    def it_returns(self, settled: Settled, held: bool) -> None:
        members = self._still_aloft(settled)
        if not members:
            return
        self.tracker.returned(members, self.now, WAIT, "it was open", held=held)
        for sighting in members:
            (self.held.add if held else self.held.discard)((sighting.watch, together(sighting.path)))
            name = (sighting.watch, sighting.path)
            del self.aloft[name]
            shown = self.newer.pop(name, None) or self._shown(sighting)
            shown.counted = self.now - shown.sighting.rest
            shown.not_before = self.now + WAIT
            self.waiting[name] = shown

    @rule(settled=consumes(flying))
    def it_is_dropped(self, settled: Settled) -> None:
        members = self._still_aloft(settled)
        self.tracker.dropped(members)
        for sighting in members:
            del self.aloft[sighting.watch, sighting.path]
            self.newer.pop((sighting.watch, sighting.path), None)

    @rule(watch=WATCH)
    def what_has_not_been_released_is_forgotten(self, watch: str) -> None:
        self.tracker.forget(watch)
        self.waiting = {name: shown for name, shown in self.waiting.items() if name[0] != watch}
        self.newer = {name: shown for name, shown in self.newer.items() if name[0] != watch}
        self.held = {name for name in self.held if name[0] != watch}

    @rule(watch=WATCH, seconds=SPAN)
    def a_watch_gets_another_settle_time(self, watch: str, seconds: float) -> None:
        self.settle[watch] = seconds
        self.tracker.rescheduled(watch)

    @invariant()
    def the_counts_add_up(self) -> None:
        watches = [name for name, _ in (*self.waiting, *self.aloft)]
        assert self.tracker.settling == len(self.waiting)
        assert self.tracker.flying == len(self.aloft)
        assert self.tracker.busy() == set(watches)
        for watch in SETTLE:
            assert self.tracker.waiting(watch) == sum(name == watch for name, _ in self.waiting)
        for watch in SETTLE:
            for path in NAMES:
                expected = (watch, path) in self.waiting or (watch, path) in self.aloft
                probe = Sighting(watch, path, Stat(0, 0, 0, 0, 0), excluded=EXCLUDED.get(path, ""))
                assert self.tracker.knows(probe) is expected

    @invariant()
    def what_is_counted_elsewhere_is_known(self) -> None:
        here = {*self.waiting, *self.aloft}
        assert self.tracker.told_before() == Counter(self.counted[name] for name in here & {*self.counted})

    def _held(self, name: tuple[str, bytes]) -> bool:
        return (name[0], together(name[1])) in self.held

    @invariant()
    def every_file_is_in_one_count(self) -> None:
        for closed in ((), *((watch,) for watch in SETTLE), tuple(SETTLE)):
            counts = self.tracker.counts(self.now, closed.__contains__)
            for watch in SETTLE:
                mine = counts.pop(watch, Counts())
                waiting = [name for name in self.waiting if name[0] == watch]
                held = waiting if watch in closed else list(filter(self._held, waiting))
                assert mine.in_flight == sum(name == watch for name, _ in self.aloft)
                assert mine.held == len(held)
                assert mine.settling + mine.waiting + mine.held == len(waiting)
                if watch not in closed:
                    assert self._count_due(watch, late=True) <= mine.waiting
                    assert mine.waiting <= self._count_due(watch, late=False)
            assert counts == {}

    def _count_due(self, watch: str, *, late: bool) -> int:
        due = self._due(watch, late=late)
        return sum(len(paths) for key, paths in due.items() if (watch, key) not in self.held)

    @invariant()
    def every_file_is_listed_once_with_what_it_waits_for(self) -> None:
        assert {(s.watch, s.path): s for s in self.tracker.flights()} == self.aloft
        listed = list(self.tracker.listing(self.now))
        names = [(one.sighting.watch, one.sighting.path) for one in listed]
        assert sorted(names) == sorted((*self.waiting, *self.aloft))
        for name, one in zip(names, listed, strict=True):
            assert (one.due is None) is (name in self.aloft)
            assert one.held is (name in self.waiting and self._held(name))
        for watch in SETTLE:
            mine = [name for name in self.waiting if name[0] == watch]
            assert self.tracker.may_land(watch) is not all(map(self._held, mine))

    @invariant()
    def nobody_sleeps_through_what_is_due(self) -> None:
        for watch in SETTLE:
            wakes = self.tracker.next_due(lambda name, watch=watch: name != watch)  # type: ignore[misc]
            assert not self._due(watch, late=True) or (wakes is not None and wakes <= self.now)
            assert not any(name == watch for name, _ in self.waiting) or wakes is not None

    def teardown(self) -> None:
        """In the end everything that still waits comes out, once."""
        end = self.now + 1000
        released = self.tracker.release(end, lambda _: False, 1000)
        out = [(member.watch, member.path) for settled in released for member in settled.members]
        assert sorted(out) == sorted(self.waiting)
        assert self.tracker.settling == 0


TestSettling = Settling.TestCase
TestSettling.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
