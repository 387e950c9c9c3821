"""Clocks jump, machines start anew, and nothing expires before its time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediad.keeping.expiry_clock import DAY, Look, Verdict, judge, may_expire, trusted
from mediad.wall import EARLIEST

KEEP = 30 * DAY
START = EARLIEST // 1_000_000 + 300 * DAY  # seconds since the epoch, really
HOUR = 3600


@dataclass
class Machine:
    """A machine, what happens to its clocks, and something in its trash.

    Attributes:
        real: seconds since the epoch, really. ahead: how far the wall clock is.
        newest: what the catalogue recorded last, microseconds.
    """

    real: float = START
    ahead: float = 0.0
    boot: int = 0
    booted: float = START - DAY
    newest: int = 0
    row: Look | None = None
    row_real: float = 0.0
    placed: int = 0
    placed_real: float = 0.0
    placed_ahead: float = 0.0
    row_ahead: float = 0.0
    log: list[str] = field(default_factory=list)

    def look(self) -> Look:
        wall = round((self.real + self.ahead) * 1e6)
        return Look(str(self.boot), int(self.real - self.booted), wall)

    def reboot(self, off: float, ahead: float) -> None:
        self.real += off
        self.booted, self.ahead, self.boot = self.real, ahead, self.boot + 1

    def place(self) -> None:
        self.placed = max(self.newest, self.look().wall_us)
        self.newest = max(self.newest, self.placed)
        self.placed_real, self.placed_ahead = self.real, self.placed / 1e6 - self.real

    def judge(self) -> Verdict | None:
        """What a look says, with what the daemon does then; None while the clock is not trusted."""
        now = self.look()
        if not trusted(now.wall_us, self.newest):
            return None
        verdict = judge(self.row, now, KEEP, self.placed)
        assert (verdict is Verdict.EXPIRE) == (
            self.row is not None and may_expire(self.row, now, KEEP, self.placed)
        )
        if verdict is Verdict.FIRST:
            self.row, self.row_real, self.row_ahead = now, self.real, self.ahead
        elif verdict is Verdict.KEEP:
            self.row = None
        return verdict


SPANS = st.floats(0, 3 * DAY) | st.floats(0, 40 * DAY) | st.sampled_from([1.0, HOUR, DAY, DAY + 1, KEEP])
BACK = st.floats(-60 * DAY, 0) | st.sampled_from([-HOUR, -DAY, -50 * 365 * DAY, 0])
ANY = BACK | st.floats(0, 400 * DAY) | st.sampled_from([HOUR, DAY, KEEP, 73 * 365 * DAY])


def lives(aheads: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[str, float, float]]]:
    """What happens to a machine: time goes by, its clock jumps, it starts anew, things are recorded."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("goes"), SPANS, st.just(0.0)),
            st.tuples(st.just("jumps"), st.just(0.0), aheads),
            st.tuples(st.just("reboots"), SPANS, aheads),
            st.tuples(st.just("records"), st.just(0.0), st.just(0.0)),
        ),
        max_size=30,
    )


def live(machine: Machine, life: list[tuple[str, float, float]]) -> bool:
    """Look after whatever happens; true as soon as it expires."""
    for what, span, ahead in life:
        if what == "goes":
            machine.real += span
        elif what == "jumps":
            machine.ahead = ahead
        elif what == "reboots":
            machine.reboot(span, ahead)
        else:
            machine.newest = max(machine.newest, machine.look().wall_us)
        if machine.judge() is Verdict.EXPIRE:
            return True
    return False


@given(ANY, lives(ANY))
@settings(max_examples=400, deadline=None)
def test_nothing_expires_within_a_day_of_one_boot(ahead: float, life: list[tuple[str, float, float]]) -> None:
    machine = Machine(ahead=ahead)
    machine.place()
    if live(machine, life):
        assert machine.row is not None
        if machine.row.boot_id == machine.look().boot_id:
            assert machine.real - machine.row_real >= DAY
        known = machine.placed >= EARLIEST
        early = machine.real - machine.placed_real < KEEP
        assert not early or not known or machine.row_ahead > machine.placed_ahead


@given(st.floats(-60 * DAY, 400 * DAY), st.lists(BACK, min_size=1, max_size=8), st.data())
@settings(max_examples=400, deadline=None)
def test_a_clock_that_gains_nothing_never_cuts_it_short(
    ahead: float, backs: list[float], data: st.DataObject
) -> None:
    machine = Machine(ahead=ahead)
    machine.place()
    if live(machine, data.draw(lives(st.sampled_from(backs).map(lambda back: ahead + back)))):
        assert machine.real - machine.placed_real >= KEEP


@given(st.integers(-60 * 365 * DAY, -365 * DAY), lives(st.just(0.0)))
@settings(max_examples=200, deadline=None)
def test_placed_before_the_clock_was_set(ahead: int, life: list[tuple[str, float, float]]) -> None:
    """A machine that starts in 1970 puts something in trash; then its clock is set."""
    machine = Machine(ahead=float(ahead))
    machine.place()
    machine.ahead = 0.0
    if live(machine, life):
        assert machine.real - machine.placed_real >= KEEP


@given(st.floats(HOUR, 400 * DAY), st.floats(0, DAY - 1), st.integers(1, 30))
def test_ahead_for_less_than_a_day(ahead: float, span: float, looks: int) -> None:
    """Whatever such a clock showed is forgotten with the first look after it was put right."""
    machine = Machine()
    machine.place()
    machine.ahead = ahead
    for _ in range(looks):
        assert machine.judge() is not Verdict.EXPIRE
        machine.real += span / looks
    assert machine.judge() is not Verdict.EXPIRE
    machine.ahead = 0.0
    assert machine.judge() is Verdict.KEEP
    assert machine.row is None


@given(st.lists(st.tuples(st.floats(HOUR, 20 * HOUR), st.floats(0, 20 * HOUR)), min_size=80, max_size=80))
def test_where_clocks_are_right_it_expires_in_the_end(days: list[tuple[float, float]]) -> None:
    """A machine that is switched off each day, never up for a whole one."""
    machine = Machine()
    machine.place()
    for up, off in days:
        machine.reboot(off, 0.0)
        for _ in range(2):
            machine.real += up / 2
            if machine.judge() is Verdict.EXPIRE:
                late = machine.real - machine.placed_real - KEEP
                assert 0 <= late <= 4 * DAY
                return
    assert machine.real - machine.placed_real < KEEP + 4 * DAY


def test_one_that_is_never_switched_off() -> None:
    machine = Machine()
    machine.place()
    verdicts = []
    for _ in range(32):
        machine.real += DAY
        verdicts.append(machine.judge())
    assert verdicts[28:] == [Verdict.KEEP, Verdict.FIRST, Verdict.WAIT, Verdict.EXPIRE]


@pytest.mark.parametrize("jump", [-2 * HOUR, 2 * HOUR])
def test_a_jump_between_the_looks_begins_anew(jump: float) -> None:
    machine = Machine()
    machine.place()
    machine.real += KEEP + 3 * HOUR
    assert machine.judge() is Verdict.FIRST
    machine.real += DAY + 1
    machine.ahead += jump
    assert machine.judge() is Verdict.FIRST
    machine.real += DAY + 1
    assert machine.judge() is Verdict.EXPIRE


def test_a_clock_that_cannot_be_right() -> None:
    assert not trusted(0, 0)
    assert not trusted(EARLIEST - 1, 0)
    assert trusted(EARLIEST, 0)
    assert not trusted(EARLIEST + 5, EARLIEST + 6)
    assert trusted(EARLIEST + 6, EARLIEST + 6)


def test_both_looks_have_to_say_so() -> None:
    placed = START * 1_000_000
    first = Look("a", DAY, placed + (KEEP - 1) * 1_000_000)
    now = Look("a", 3 * DAY, placed + (KEEP + 2 * DAY - 1) * 1_000_000)
    assert not may_expire(first, now, KEEP, placed)
    assert may_expire(Look("a", DAY + 1, first.wall_us + 1_000_000), now, KEEP, placed)


def test_a_clock_that_is_behind_after_a_start_begins_anew() -> None:
    machine = Machine()
    machine.place()
    machine.real += KEEP + 20 * DAY
    assert machine.judge() is Verdict.FIRST
    machine.reboot(HOUR, -DAY)
    machine.real += HOUR
    assert machine.judge() is Verdict.FIRST
