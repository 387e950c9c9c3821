"""Events reach who follows, in order; who lags behind is told how much was left out, and costs no more."""

from __future__ import annotations

import anyio
import pytest

from mediad.clock import Clock
from mediad.events import MOST, Event, Events

pytestmark = pytest.mark.anyio


class Still(Clock):
    """A clock that stands still."""

    def micros(self) -> int:
        return 5


@pytest.fixture
def events() -> Events:
    return Events(Still())


async def test_all_followers_get_all_events_in_order(events: Events) -> None:
    with events.following() as first, events.following() as second:
        events.publish("filed", name="inbox", path=b"/w/a.jpg", bytes=7)
        events.publish("batch", name="inbox", batch=1)
        told = [Event(5, "filed", "inbox", b"/w/a.jpg", bytes=7), Event(5, "batch", "inbox", batch=1)]
        assert await first.take() == (told, 0)
        assert await second.take() == (told, 0)


async def test_nobody_follows(events: Events) -> None:
    assert [events.followed] == [False]
    with events.following() as follower:
        assert [events.followed] == [True]
    assert [events.followed] == [False]
    events.publish("filed")
    with anyio.move_on_after(0) as nothing_comes:
        await follower.take()
    assert nothing_comes.cancelled_caught


async def test_who_lags_behind_is_told_how_much_was_left_out(events: Events) -> None:
    with events.following() as slow, events.following() as quick:
        for number in range(MOST + 3):
            events.publish("filed", batch=number)
            assert [event.batch for event in (await quick.take())[0]] == [number]
        told, lost = await slow.take()
        assert [event.batch for event in told] == list(range(MOST))
        assert lost == 3
        events.publish("filed", batch=MOST + 3)
        told, lost = await slow.take()
        assert ([event.batch for event in told], lost) == ([MOST + 3], 0)


async def test_take_waits_for_the_next(events: Events) -> None:
    found: list[str] = []

    async def follow() -> None:
        with events.following() as follower:
            ready.set()
            told, _ = await follower.take()
            found.extend(event.kind for event in told)

    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await ready.wait()
        events.publish("pause")
    assert found == ["pause"]
