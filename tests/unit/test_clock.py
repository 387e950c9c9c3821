"""What the wall clock is worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from mediad.clock import Clock
from mediad.store import times
from mediad.store.database import open_database
from mediad.wall import EARLIEST


class Set(Clock):
    """A wall clock that is set."""

    def __init__(self, micros: int) -> None:
        self.time = micros

    def wall_ns(self) -> int:
        return self.time * 1000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_database(tmp_path / "catalogue.db")
    yield connection
    connection.close()


def test_the_present_is_what_the_clock_says() -> None:
    clock = Set(EARLIEST + 5)
    assert not clock.is_behind
    assert clock.present() == clock.now() == datetime(2024, 1, 1, tzinfo=UTC) + timedelta(microseconds=5)


def test_a_machine_that_starts_in_1970() -> None:
    clock = Set(0)
    assert clock.is_behind
    assert clock.present() == datetime(2024, 1, 1, tzinfo=UTC)
    assert Set(0).newest == EARLIEST, "what one clock learns is its own"


def test_a_clock_that_falls_back() -> None:
    clock = Set(EARLIEST + 7_000_000)
    clock.recorded(clock.time)
    clock.recorded(EARLIEST)
    behind = []
    for change in (-1, 1, 1):
        clock.time += change
        behind.append((clock.is_behind, clock.present() == clock.now()))
        assert clock.present() >= datetime(2024, 1, 1, 0, 0, 7, tzinfo=UTC)
    assert behind == [(True, False), (False, True), (False, True)]


def test_an_empty_catalogue_knows_no_time(connection: apsw.Connection) -> None:
    assert times.newest(connection) == 0


def test_the_latest_time_counts_not_the_last(connection: apsw.Connection) -> None:
    insert = (
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays)"
        " VALUES (?, 'inbox', ?, 1, 1, 1, 1, ?, 1)"
    )
    for number, seen in ((10, 50), (11, 70), (12, 60)):
        connection.execute(insert, (number, b"%d" % number, seen))
    assert times.newest(connection) == 70
    connection.execute(
        "INSERT INTO batch (id, watch, root, started, ended) VALUES (13, 'inbox', x'', 65, 90)"
    )
    assert times.newest(connection) == 90
    connection.execute("UPDATE batch SET ended = NULL")
    assert times.newest(connection) == 70
    connection.execute(
        "INSERT INTO step (id, item, batch, arrival, action, state, time)"
        " VALUES (14, 14, 13, 10, 'move', 'done', 99)"
    )
    assert times.newest(connection) == 99
