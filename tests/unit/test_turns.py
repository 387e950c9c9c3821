"""The share of the event loop that clients get."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from mediad.control.turns import Turns

pytestmark = pytest.mark.anyio


class Clocks:
    """Processor time and time of day, which pass when a test says so."""

    def __init__(self) -> None:
        self.used = self.now = 100.0

    def turns(self) -> Turns:
        return Turns(lambda: self.used, lambda: self.now)

    def work(self, seconds: float) -> None:
        self.used += seconds
        self.now += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


async def test_little_work_makes_nobody_wait(clocks: Clocks) -> None:
    turns = clocks.turns()

    async def call() -> None:
        clocks.work(0.02)

    await turns.measured(call())
    assert turns.due_in() == 0


async def test_much_work_is_followed_by_four_times_as_much_of_nothing(clocks: Clocks) -> None:
    turns = clocks.turns()

    async def call() -> None:
        clocks.work(0.2)

    await turns.measured(call())
    assert turns.due_in() == pytest.approx(0.8 - 0.1, abs=0.001)
    clocks.now += 0.6
    assert turns.due_in() == pytest.approx(0.2 - 0.1, abs=0.001)
    await turns.measured(call())  # who had a turn already
    assert turns.due_in() == pytest.approx(0.8 - 0.1, abs=0.001)
    clocks.now += 10.0
    assert turns.due_in() == 0


async def test_being_woken_counts_too(clocks: Clocks) -> None:
    turns = clocks.turns()

    async def call() -> None:
        for _ in range(10_000):
            await anyio.lowlevel.checkpoint()

    await turns.measured(call())
    assert turns.due_in() == pytest.approx(1.0)


async def test_nobody_waits_longer_than_a_second(clocks: Clocks) -> None:
    turns = clocks.turns()

    async def call() -> None:
        clocks.work(60.0)

    await turns.measured(call())
    assert turns.due_in() == pytest.approx(1.0)


async def test_an_hour_of_silence_saves_nothing_up(clocks: Clocks) -> None:
    turns = clocks.turns()
    clocks.now += 3600.0

    async def call() -> None:
        clocks.work(0.2)

    await turns.measured(call())
    assert turns.due_in() == pytest.approx(0.7, abs=0.001)


async def test_what_others_do_meanwhile_does_not_count(clocks: Clocks) -> None:
    turns = clocks.turns()
    others_are_done = anyio.Event()

    async def call() -> str:
        clocks.work(0.1)
        await others_are_done.wait()
        clocks.work(0.1)
        return "done"

    async def others() -> None:
        clocks.used += 7.0
        others_are_done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        assert await turns.measured(call()) == "done"
    # half of the work is a tenth of a second ago
    assert turns.due_in() == pytest.approx(0.8 - 0.1 - 0.1, abs=0.001)


async def test_errors_and_cancellation_pass_through(clocks: Clocks) -> None:
    turns = clocks.turns()
    seen = []

    async def failing() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("inner")

    async def cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("cleaned up")

    with pytest.raises(KeyError, match="inner"):
        await turns.measured(failing())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turns.measured, cancelled())
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert seen == ["cleaned up"]


async def test_an_error_that_is_caught_inside_does_not_end_it(clocks: Clocks) -> None:
    async def call() -> str:
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        return "went on"

    assert await clocks.turns().measured(call()) == "went on"


async def test_turns_go_round() -> None:
    turns = Turns(lambda: 0.0)
    taken: list[str] = []

    async def take(name: str) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            await turns.take()
            taken.append(name)

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(take, name)
    assert sorted(taken[:3]) == sorted(taken[3:6]) == sorted(taken[6:]) == ["a", "b", "c"]
