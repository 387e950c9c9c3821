"""The connection for questions: it reads only, one unit at a time, and leaves nothing open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import anyio
import apsw
import pytest

from mediad.errors import CatalogueBroken
from mediad.store.reading import Reader, open_reader
from tests.cataloguing import Past

T = TypeVar("T")


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


@pytest.fixture
def connection(past: Past) -> Iterator[apsw.Connection]:
    connection = open_reader(past.path)
    yield connection
    connection.close()


def run(connection: apsw.Connection, question: Callable[[Reader], Awaitable[T]]) -> T:
    return anyio.run(lambda: question(Reader(connection)))


def count(connection: apsw.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM file").fetchone()
    assert row is not None
    return int(row[0])


def test_a_unit_sees_what_was_committed(past: Past, connection: apsw.Connection) -> None:
    assert run(connection, lambda reader: reader.run(count)) == 0
    past.found(b"a.jpg")
    assert run(connection, lambda reader: reader.run(count)) == 1


def test_a_unit_sees_one_state_and_does_not_hold_up_writing(past: Past, connection: apsw.Connection) -> None:
    def work(connection: apsw.Connection) -> tuple[int, int]:
        before = count(connection)
        past.found(b"a.jpg")
        return before, count(connection)

    assert run(connection, lambda reader: reader.run(work)) == (0, 0)


def fails(_connection: apsw.Connection) -> None:
    raise RuntimeError("a bug")


def asks_nonsense(connection: apsw.Connection) -> None:
    connection.execute("SELECT * FROM nothing")


def writes(connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM library")


@pytest.mark.parametrize(
    ("work", "error"), [(count, None), (fails, RuntimeError), (asks_nonsense, CatalogueBroken)]
)
def test_no_transaction_outlives_its_unit(
    past: Past,
    connection: apsw.Connection,
    work: Callable[[apsw.Connection], None],
    error: type[Exception] | None,
) -> None:
    if error is None:
        run(connection, lambda reader: reader.run(work))
    else:
        with pytest.raises(error):
            run(connection, lambda reader: reader.run(work))
    assert not connection.in_transaction
    past.found(b"a.jpg")
    busy, _, _ = past.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1, 0, 0)
    assert busy == 0  # no reader is in the way
    assert run(connection, lambda reader: reader.run(count)) == 1


def test_nothing_can_be_written(past: Past, connection: apsw.Connection) -> None:
    with pytest.raises(CatalogueBroken, match="readonly"):
        run(connection, lambda reader: reader.run(writes))
    assert not connection.in_transaction


def test_units_take_turns(connection: apsw.Connection) -> None:
    inside: list[int] = []

    def work(_connection: apsw.Connection) -> int:
        inside.append(1)
        together = len(inside)
        inside.pop()
        return together

    async def many(reader: Reader) -> list[int]:
        together: list[int] = []

        async def one() -> None:
            together.append(await reader.run(work))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        return together

    assert run(connection, many) == [1] * 20


def test_a_reader_needs_a_catalogue(tmp_path: Path) -> None:
    with pytest.raises(CatalogueBroken, match="cannot be read"):
        open_reader(tmp_path / "none")
    (tmp_path / "other").write_bytes(b"no database at all" * 100)
    with pytest.raises(CatalogueBroken, match="cannot be read"):
        open_reader(tmp_path / "other")


def test_a_reader_can_be_closed(connection: apsw.Connection) -> None:
    Reader(connection).close()
    with pytest.raises(apsw.ConnectionClosedError):
        connection.execute("SELECT 1")
