"""Pauses end by themselves or when they are resumed, and are remembered; clocks may jump meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import apsw
import pytest

from mediad.clock import Clock
from mediad.ingest.pauses import EVERYTHING, Pauses
from mediad.store import pauses as stored
from mediad.store.database import Database, open_database
from mediad.store.pauses import Pause

pytestmark = pytest.mark.anyio

START = 1_700_000_000_000_000
HOUR = 3_600_000_000


class Given(Clock):
    """A wall clock that a test sets, and time that goes by."""

    def __init__(self) -> None:
        self.time = START
        self.gone = 0.0

    def monotonic(self) -> float:
        return self.gone

    def micros(self) -> int:
        return self.time


class Life:
    """A daemon's pauses from one start to the next."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._database = Database(connection)
        self.clock = Given()
        self.ended: list[str] = []
        self.pauses = self.begin()

    def begin(self) -> Pauses:
        """What another start would have, before it has loaded anything."""
        self.pauses = Pauses(self._database, self.clock, self.ended.append)
        return self.pauses

    def names(self) -> list[str]:
        return [pause.name for pause in self.pauses.all()]


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    connection = open_database(tmp_path / "catalogue.db")
    yield Life(connection)
    connection.close()


async def test_nothing_is_paused_at_first(life: Life) -> None:
    await life.pauses.load()
    assert not life.pauses.any()
    assert life.pauses.all() == []
    assert life.pauses.of(EVERYTHING, "inbox") is None


async def test_everything_and_by_name(life: Life) -> None:
    await life.pauses.pause(["inbox", "photos"], None)
    await life.pauses.pause([EVERYTHING], 3600.0)
    everything = Pause(EVERYTHING, START, START + HOUR)
    assert life.pauses.all() == [
        everything,
        Pause("inbox", START, None),
        Pause("photos", START, None),
    ]
    assert life.pauses.of(EVERYTHING) == everything
    assert life.pauses.of("inbox", EVERYTHING) == Pause("inbox", START, None), "the one that lasts longest"
    assert life.pauses.of("other") is None


async def test_it_is_over_at_its_deadline_whoever_looks(life: Life) -> None:
    await life.pauses.pause(["inbox"], 3600.0)
    life.clock.time += HOUR - 1
    assert life.names() == ["inbox"]
    life.clock.time += 1
    assert life.names() == []
    assert life.pauses.of("inbox") is None
    assert life.ended == [], "only `keep` tells that it is over"


async def test_a_later_pause_replaces_an_earlier_one(life: Life) -> None:
    await life.pauses.pause(["inbox"], None)
    life.clock.time += HOUR
    await life.pauses.pause(["inbox"], 60.0)
    assert life.pauses.all() == [Pause("inbox", START + HOUR, START + HOUR + 60_000_000)]


async def test_resume_all_and_by_name(life: Life) -> None:
    await life.pauses.pause([EVERYTHING, "inbox", "photos"], None)
    assert await life.pauses.resume(["photos", "nobody"]) == ["photos"]
    assert life.names() == [EVERYTHING, "inbox"]
    assert await life.pauses.resume(None) == [EVERYTHING, "inbox"]
    assert life.names() == []
    assert life.ended == ["photos", EVERYTHING, "inbox"]
    assert await life.pauses.resume(None) == []


async def test_another_start_knows_them(life: Life) -> None:
    await life.pauses.pause([EVERYTHING], None)
    await life.pauses.pause(["inbox"], 3600.0)
    await life.pauses.pause(["photos"], 60.0)
    life.clock.time += HOUR // 2
    await life.begin().load()
    assert life.pauses.all() == [Pause(EVERYTHING, START, None), Pause("inbox", START, START + HOUR)]
    await life.pauses.resume(None)
    await life.begin().load()
    assert not life.pauses.any()


async def test_a_renamed_watch_keeps_its_pause_and_what_is_gone_is_forgotten(life: Life) -> None:
    await life.pauses.pause([EVERYTHING, "inbox", "photos"], None)
    await life.pauses.reconfigured(["phone", "films"], [("inbox", "phone")])
    assert life.names() == [EVERYTHING, "phone"]
    await life.begin().load()
    assert life.names() == [EVERYTHING, "phone"]


async def test_swapped_names_swap_pauses(life: Life) -> None:
    await life.pauses.pause(["a"], None)
    await life.pauses.reconfigured(["a", "b"], [("a", "b"), ("b", "a")])
    assert life.names() == ["b"]


async def test_two_changes_at_once_both_hold(life: Life) -> None:
    await life.pauses.pause(["films"], None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.pauses.pause, ["inbox"], None)
        tasks.start_soon(life.pauses.pause, ["photos"], None)
        tasks.start_soon(life.pauses.resume, ["films"])
    assert life.names() == ["inbox", "photos"]
    await life.begin().load()
    assert life.names() == ["inbox", "photos"]


async def test_keep_ends_what_is_over(life: Life) -> None:
    await life.pauses.pause(["inbox"], 3600.0)
    await life.pauses.pause(["photos"], None)
    life.clock.time += HOUR  # while the daemon was off, too
    await life.begin().load()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.pauses.keep)
        with anyio.fail_after(60):
            while not life.ended:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert life.ended == ["inbox"]
    await life.begin().load()
    assert life.names() == ["photos"]


async def test_keep_notices_a_pause_that_comes_later(life: Life) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.pauses.keep)
        await anyio.wait_all_tasks_blocked()
        await life.pauses.pause(["inbox"], 0.02)
        await anyio.wait_all_tasks_blocked()
        assert life.ended == []
        life.clock.time += 20_000
        with anyio.fail_after(60):
            while not life.ended:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert life.ended == ["inbox"]


async def test_a_clock_that_is_set_back_prolongs_nothing_but_the_rest(life: Life) -> None:
    """The deadline is wall time: it is what the user was told. No pause lasts longer than was asked for."""
    await life.pauses.pause(["inbox"], 3600.0)
    life.clock.time -= 5 * HOUR
    life.clock.gone += 3599
    assert life.names() == ["inbox"]
    life.clock.time += 7 * HOUR
    assert life.names() == []
    life.clock.time -= 7 * HOUR
    assert life.names() == ["inbox"]
    life.clock.gone += 1
    assert life.names() == []
    assert life.pauses.of("inbox") is None


async def test_a_machine_that_starts_in_1970_keeps_its_pauses(life: Life) -> None:
    await life.pauses.pause(["inbox"], 3600.0)
    life.clock.time = 0
    await life.begin().load()
    life.clock.gone += 60
    assert life.names() == ["inbox"]
    life.clock.time = START + HOUR // 2
    assert life.names() == ["inbox"]
    life.clock.time = START + HOUR
    assert life.names() == []


async def test_keep_ends_what_a_clock_set_back_would_prolong(life: Life) -> None:
    await life.pauses.pause(["inbox"], 3600.0)
    life.clock.time -= 5 * HOUR
    life.clock.gone += 3600
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(life.pauses.keep)
        with anyio.fail_after(60):
            while not life.ended:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert life.ended == ["inbox"]


async def test_very_long_and_very_short(life: Life) -> None:
    await life.pauses.pause(["inbox"], 1e-9)
    assert life.names() == []
    await life.pauses.pause(["inbox"], 1e12)
    assert life.names() == ["inbox"]


def test_an_end_beyond_all_times_is_none(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "catalogue.db")
    stored.save(connection, [Pause("a", START, 253_402_300_799_999_999), Pause("b", START, 1 << 60)])
    assert [pause.until for pause in stored.load(connection)] == [253_402_300_799_999_999, None]
    connection.close()
