"""A lane that stands still: a filesystem that hangs is told apart from a fault of ours."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping

import pytest

from mediad.clock import Clock
from mediad.ingest.health import Health
from mediad.ingest.meter import Meter

HUNG, STALLED = 60.0, 300.0


class Given(Clock):
    def __init__(self) -> None:
        self.now_ = 1000.0

    def monotonic(self) -> float:
        return self.now_


class Lane:
    """What is looked at of a lane."""

    def __init__(self) -> None:
        self.busy = False
        self.in_thread = False
        self.progressed = 1000.0


class Served:
    def __init__(self) -> None:
        self.small, self.large = Lane(), Lane()
        self.lanes = (self.small, self.large)


class Serving(Mapping[str, Served]):
    def __init__(self) -> None:
        self.all = {"inbox": Served(), "card": Served()}

    def __getitem__(self, name: str) -> Served:
        return self.all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


class Tracker:
    def __init__(self) -> None:
        self.progress: dict[tuple[str, bytes], Meter] = {}


class Ward:
    """What is looked after, and what was told of it."""

    def __init__(self) -> None:
        self.serving = Serving()
        self.tracker = Tracker()
        self.clock = Given()
        self.excused = False
        self.told: list[tuple[str, bool]] = []
        self.health = Health(
            self.serving,  # type: ignore[arg-type]
            self.tracker,  # type: ignore[arg-type]
            self.clock,
            lambda: self.excused,
            lambda name, error: self.told.append((name, bool(error))),
        )

    def works(self, *, in_thread: bool) -> Lane:
        lane = self.serving["inbox"].small
        lane.busy, lane.in_thread = True, in_thread
        self.health.look()
        return lane

    def after(self, seconds: float) -> None:
        self.clock.now_ += seconds
        self.health.look()


@pytest.fixture
def ward() -> Ward:
    return Ward()


def test_idle_lanes_are_well(ward: Ward) -> None:
    ward.after(10 * STALLED)
    ward.after(10 * STALLED)
    assert (ward.health.stalled, ward.told) == ("", [])


def test_a_thread_that_moves_nothing_hangs(ward: Ward) -> None:
    lane = ward.works(in_thread=True)
    ward.after(HUNG - 1)
    assert ward.health.hung("inbox") == ""
    ward.after(1)
    assert ward.health.hung("inbox").startswith("hung: no progress for 60 s")
    assert ward.health.hung("card") == ""
    ward.after(10 * STALLED)
    assert ward.health.stalled == "", "nothing that a new start would help"
    assert ward.told == [("inbox", True)], "it is told once"
    lane.busy = False
    assert ward.health.hung("inbox") == "", "nothing hangs where nothing is done"
    lane.busy = True
    lane.progressed += 1
    ward.after(1)
    assert ward.health.hung("inbox") == ""
    assert ward.told == [("inbox", True), ("inbox", False)]


def test_bytes_that_move_are_progress(ward: Ward) -> None:
    ward.works(in_thread=True)
    meter = ward.tracker.progress["inbox", b"film.mp4"] = Meter("hashing", 1 << 40)
    for _ in range(100):
        meter.add(1)
        ward.after(HUNG - 1)
    assert ward.told == []
    ward.tracker.progress["card", b"other.mp4"] = Meter("hashing", 1)
    ward.tracker.progress["card", b"other.mp4"].add(1)
    ward.after(HUNG)
    assert ward.told == [("inbox", True)], "what another watch does is no progress of this one"


def test_work_without_a_thread_that_stands_still_is_our_fault(ward: Ward) -> None:
    lane = ward.works(in_thread=False)
    ward.after(STALLED - 1)
    assert ward.health.stalled == ""
    ward.after(1)
    assert ward.health.stalled == "watch inbox has not got on for 300 s"
    assert ward.told == []
    lane.progressed += 1
    ward.after(1)
    assert ward.health.stalled == ""


def test_it_may_wait_for_a_library_that_is_being_looked_at(ward: Ward) -> None:
    ward.works(in_thread=False)
    ward.excused = True
    ward.after(2 * STALLED)
    assert ward.health.stalled == ""


def test_it_may_wait_for_another_that_hangs(ward: Ward) -> None:
    ward.works(in_thread=False)
    lane = ward.serving["card"].large
    lane.busy = lane.in_thread = True
    ward.health.look()
    ward.after(STALLED)
    assert ward.told == [("card", True)]
    assert ward.health.stalled == ""


def test_a_watch_that_leaves_is_forgotten(ward: Ward) -> None:
    ward.works(in_thread=True)
    ward.after(HUNG)
    del ward.serving.all["inbox"]
    ward.after(1)
    assert ward.health.hung("inbox") == ""


def test_lanes_that_are_gone_are_forgotten(ward: Ward) -> None:
    """Each import has two of its own."""
    for number in range(5):
        ward.serving.all = {f"import:{number}": Served()}
        ward.health.look()
    assert len(ward.health._seen) == 2


def test_work_that_ends_and_begins_counts_from_its_beginning(ward: Ward) -> None:
    lane = ward.works(in_thread=True)
    ward.after(HUNG - 1)
    lane.busy = False
    ward.after(1)
    lane.busy = True
    ward.after(HUNG - 1)
    assert ward.told == []


def test_files_come_while_it_looks() -> None:
    """As other threads enter them, which may run whenever the garbage collector does."""
    ward = Ward()
    progress = ward.tracker.progress

    def come(*_: object) -> None:
        progress["inbox", b"%d" % len(progress)] = Meter("hashing", 1)

    before = gc.get_threshold()
    gc.callbacks.append(come)
    try:
        gc.set_threshold(1)
        for _ in range(100):
            come()
        ward.health.look()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(come)
    assert len(progress) > 100
