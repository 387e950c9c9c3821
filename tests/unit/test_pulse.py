"""Questions to a filesystem that may never answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import anyio
import anyio.lowlevel
import pytest

from mediad.ingest.pulse import Hung, Pulse
from tests.watching import until

pytestmark = pytest.mark.anyio

SHORT = 0.02


class Mount:
    """Answers with how often it was asked, once it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self.answers = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        mine = self.asked
        self.answers.wait(10)
        self.answered += 1
        return mine


@pytest.fixture
def mount() -> Iterator[Mount]:
    mount = Mount()
    yield mount
    mount.answers.set()


def broken() -> None:
    raise FileNotFoundError("nothing there")


async def test_it_hands_on_what_is_answered(mount: Mount) -> None:
    pulse = Pulse()
    mount.answers.set()
    assert [await pulse.ask(mount), await pulse.ask(mount)] == [1, 2]
    with pytest.raises(FileNotFoundError, match="nothing there"):
        await pulse.ask(broken)
    assert await pulse.ask(mount) == 3


async def test_what_does_not_answer_hangs_and_is_asked_no_more_until_it_does(mount: Mount) -> None:
    pulse = Pulse(SHORT)
    for _ in range(3):
        with pytest.raises(Hung, match="hung: it does not answer"):
            await pulse.ask(mount)
    assert mount.asked == 1
    mount.answers.set()
    assert await answered(pulse, mount) == 2


async def answered(pulse: Pulse, call: Callable[[], int]) -> int:
    """Ask until there is an answer."""
    with anyio.fail_after(60):
        while True:
            try:
                return await pulse.ask(call)
            except Hung:
                await anyio.lowlevel.checkpoint()


async def test_what_is_answered_too_late_is_put_away(mount: Mount) -> None:
    pulse = Pulse(SHORT)
    late: list[int] = []
    with pytest.raises(Hung):
        await pulse.ask(mount, late.append)
    assert late == []
    mount.answers.set()
    await until(lambda: late)
    assert late == [1]


async def test_who_no_longer_waits_leaves_nothing_that_looks_hung(mount: Mount) -> None:
    pulse = Pulse()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pulse.ask, mount)
        await until(lambda: mount.asked)
        tasks.cancel_scope.cancel()
    assert mount.answered == 0
    assert await pulse.ask(lambda: "there") == "there"


async def test_who_is_cancelled_before_asking_leaves_nothing_that_looks_hung() -> None:
    pulse = Pulse(SHORT)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pulse.ask(lambda: "never asked")
    assert scope.cancelled_caught
    late = anyio.current_time() + SHORT
    await until(lambda: anyio.current_time() > late)
    assert await pulse.ask(lambda: "there") == "there"
