"""The database file: its schema, its backups, copies of it, and units of work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import apsw
import pytest

from mediad.errors import CatalogueBroken, MediadError, SchemaTooNew
from mediad.store import catalogue, database, versions
from mediad.store.database import Database, open_copy, open_database

NEWEST = len(database._migrations())
ADDED = "CREATE TABLE added (x INTEGER) STRICT"

States = dict[str, tuple[bytes, int, int]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "catalogue.db"


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    connection = open_database(path)
    yield connection
    connection.close()


@pytest.fixture
def one(connection: apsw.Connection) -> Database:
    return Database(connection)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds migrations, as a newer mediad would bring them."""
    known = database._migrations()

    def add(*sql: str) -> None:
        monkeypatch.setattr(database, "_migrations", lambda: [*known, *sql])

    return add


def test_nobody_else_may_read_it(path: Path, connection: apsw.Connection) -> None:
    add_library(connection)
    names = {"catalogue.db", "catalogue.db-wal", "catalogue.db-shm"}
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(names, 0o600)


def test_what_others_could_read_they_can_read_no_more(path: Path, newer: Callable[..., None]) -> None:
    open_database(path).close()
    (path.parent / "catalogue.db.schema-1").write_bytes(b"")
    (path.parent / "notes").write_bytes(b"")
    for file in path.parent.iterdir():
        file.chmod(0o644)
    newer(ADDED)
    open_database(path).close()
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    ours = ("catalogue.db", "catalogue.db.schema-1", f"catalogue.db.schema-{NEWEST}")
    assert modes == {**dict.fromkeys(ours, 0o600), "notes": 0o644}


def add_library(connection: apsw.Connection, name: str = "photos") -> None:
    connection.execute("INSERT INTO library (marker, name, path) VALUES (?1, ?1, x'2f6c')", (name,))


def libraries(connection: apsw.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM library ORDER BY id")]


def tables(connection: apsw.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def made(path: Path) -> None:
    """A catalogue that knows one library, closed cleanly."""
    connection = open_database(path)
    add_library(connection)
    connection.close()


def states(folder: Path) -> States:
    """All files in a folder: content, inode and mtime; and the folder's own mtime."""
    found = {
        file.name: (file.read_bytes(), file.stat().st_ino, file.stat().st_mtime_ns)
        for file in sorted(folder.iterdir())
    }
    return {**found, ".": (b"", 0, folder.stat().st_mtime_ns)}


def contents(folder: Path) -> States:
    """Like `states`, without the log's index, which every reader of a log makes or writes."""
    return {name: state for name, state in states(folder).items() if not name.endswith(("-shm", "."))}


def look_inside(path: Path) -> tuple[object, list[str], set[str]]:
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.pragma("user_version"), libraries(connection), tables(connection)
    finally:
        connection.close()


def test_a_new_catalogue_has_the_newest_schema_and_no_backup(path: Path) -> None:
    connection = open_database(path)
    assert connection.pragma("user_version") == NEWEST
    assert {"library", "batch", "arrival", "step", "file", "folder"} <= tables(connection)
    connection.close()
    assert [file.name for file in path.parent.iterdir()] == ["catalogue.db"]


def test_what_is_committed_is_durable_and_checked(connection: apsw.Connection) -> None:
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2  # FULL
    assert connection.pragma("foreign_keys") == 1


def test_opening_again_keeps_all_and_needs_no_backup(path: Path) -> None:
    made(path)
    connection = open_database(path)
    assert libraries(connection) == ["photos"]
    connection.close()
    assert [file.name for file in path.parent.iterdir()] == ["catalogue.db"]


def test_a_migration_keeps_a_backup_of_what_was(path: Path, newer: Callable[..., None]) -> None:
    made(path)
    newer(ADDED, "DELETE FROM library")
    connection = open_database(path)
    assert (connection.pragma("user_version"), libraries(connection)) == (NEWEST + 2, [])
    assert "added" in tables(connection)
    connection.close()
    version, kept, there = look_inside(path.with_name(f"catalogue.db.schema-{NEWEST}"))
    assert (version, kept) == (NEWEST, ["photos"])
    assert "added" not in there


def test_a_migration_that_fails_leaves_the_schema_before_it(path: Path, newer: Callable[..., None]) -> None:
    made(path)
    newer(ADDED, "DELETE FROM library; CREATE TABLE added (x INTEGER)")
    with pytest.raises(CatalogueBroken, match="added"):
        open_database(path)
    version, kept, there = look_inside(path)
    assert (version, kept) == (NEWEST + 1, ["photos"])
    assert "added" in there
    assert look_inside(path.with_name(f"catalogue.db.schema-{NEWEST}"))[:2] == (NEWEST, ["photos"])


FIRST = """
INSERT INTO library VALUES (1, 'm', 'photos', x'2f6c', 1), (2, 'n', 'empty', x'2f6e', NULL);
INSERT INTO batch VALUES (1, 'inbox', x'2f6f6c64', 1, 2), (2, 'card', x'2f63', 3, 4),
 (3, 'inbox', x'2f77', 5, NULL);
INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome) VALUES
 (1, 'inbox', x'61', 10, 0, 0, 1, 0, 0, 'filed'), (2, 'inbox', x'62', 20, 0, 0, 2, 0, 1, 'filed'),
 (3, 'card', x'63', 40, 0, 0, 3, 0, 1, 'failed'), (4, 'card', x'64', 80, 0, 0, 4, 0, 1, NULL);
INSERT INTO step (id, item, batch, arrival, action, state, library, destination, time) VALUES
 (1, 1, 1, 1, 'move', 'reverted', 1, x'41', 0), (2, 1, 1, 1, 'move', 'done', 1, x'41', 0),
 (3, 3, 3, 2, 'copy', 'done', 1, x'42', 0), (4, 4, 2, 4, 'copy', 'intent', 1, x'44', 0);
INSERT INTO file (id, library, path, name_key, size, mtime_ns, role, item, missing) VALUES
 (1, 1, x'41', x'41', 10, 0, 'principal', 1, 0), (2, 1, x'42', x'42', 20, 0, 'principal', 3, 0),
 (3, 1, x'45', x'45', 30, 0, 'found', NULL, 0), (4, 1, x'46', x'46', 50, 0, 'found', NULL, 1);
"""


def test_a_catalogue_of_the_first_schema_is_counted_when_it_is_brought_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        first = database._migrations()[:1]
        earlier.setattr(database, "_migrations", lambda: first)
        earlier.setattr(versions, "taken_up", lambda _: None)  # versions were not known then
        connection = open_database(path)
        connection.execute(FIRST)
        connection.close()
    connection = open_database(path)
    assert connection.pragma("user_version") == NEWEST
    places = connection.execute("SELECT key, kind, root FROM place ORDER BY key").fetchall()
    assert places == [("card", "watch", b"/c"), ("inbox", "watch", b"/w")]
    assert catalogue.tally(connection) == catalogue.Tally({"filed": 2, "failed": 1}, 30, {"failed": 1})
    assert catalogue.holdings(connection) == {1: (3, 60), 2: (0, 0)}
    steps = connection.execute("SELECT id, step FROM file ORDER BY id").fetchall()
    assert steps == [(1, 2), (2, 3), (3, None), (4, None)]
    connection.close()
    assert look_inside(path.with_name("catalogue.db.schema-1"))[:2] == (1, ["photos", "empty"])


@pytest.mark.parametrize("opener", [open_database, open_copy])
def test_a_newer_schema_is_refused_by_name(
    path: Path, opener: Callable[[Path], apsw.Connection], newer: Callable[..., None]
) -> None:
    newer(ADDED)
    made(path)
    newer()
    with pytest.raises(SchemaTooNew) as raised:
        opener(path)
    assert (raised.value.code, raised.value.exit_code) == ("schema-too-new", 78)
    assert str(raised.value) == (
        f"{path}: the catalogue has schema {NEWEST + 1}, this mediad knows {NEWEST}"
        " (run the newer mediad that wrote it)"
    )
    assert look_inside(path)[:2] == (NEWEST + 1, ["photos"])


@pytest.mark.parametrize("opener", [open_database, open_copy])
@pytest.mark.parametrize("what", ["no database", "a folder"])
def test_what_is_no_database_is_broken(
    path: Path, opener: Callable[[Path], apsw.Connection], what: str
) -> None:
    if what == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"This is no SQLite database at all." * 100)
    with pytest.raises(CatalogueBroken) as raised:
        opener(path)
    assert raised.value.exit_code == 74
    assert raised.value.path == os.fspath(path)
    if what == "no database":
        assert path.read_bytes() == b"This is no SQLite database at all." * 100


def test_a_missing_folder_is_broken(path: Path) -> None:
    with pytest.raises(CatalogueBroken):
        open_database(path.parent / "none" / "catalogue.db")


def test_a_copy_has_everything_and_leaves_the_original_alone(path: Path) -> None:
    made(path)
    before = states(path.parent)
    copy = open_copy(path)
    assert libraries(copy) == ["photos"]
    add_library(copy, "other")
    copy.execute("DELETE FROM library WHERE name = 'photos'")
    assert libraries(copy) == ["other"]
    copy.close()
    assert states(path.parent) == before


def test_a_copy_beside_a_running_daemon_has_what_is_only_in_its_log(path: Path) -> None:
    daemon = open_database(path)
    daemon.wal_autocheckpoint(0)
    add_library(daemon)
    assert path.with_name("catalogue.db-wal").stat().st_size > 0
    before = contents(path.parent)
    copy = open_copy(path)
    assert libraries(copy) == ["photos"]
    copy.close()
    assert contents(path.parent) == before
    add_library(daemon, "later")  # no lock was left behind
    daemon.close()


@pytest.mark.parametrize("index", [True, False])
def test_a_copy_after_a_crash_leaves_the_log_alone(path: Path, tmp_path: Path, index: bool) -> None:
    daemon = open_database(path)
    daemon.wal_autocheckpoint(0)
    add_library(daemon)
    shutil.copytree(path.parent, tmp_path / "crashed")
    daemon.close()
    crashed = tmp_path / "crashed" / "catalogue.db"
    if not index:
        crashed.with_name("catalogue.db-shm").unlink()
    before = contents(crashed.parent)
    copy = open_copy(crashed)
    assert libraries(copy) == ["photos"]
    copy.close()
    assert contents(crashed.parent) == before


def test_a_copy_of_an_older_schema_is_brought_up_to_date_alone(
    path: Path, newer: Callable[..., None]
) -> None:
    made(path)
    before = states(path.parent)
    newer(ADDED)
    copy = open_copy(path)
    assert (copy.pragma("user_version"), libraries(copy)) == (NEWEST + 1, ["photos"])
    copy.close()
    assert states(path.parent) == before


def test_a_copy_of_nothing_is_empty(tmp_path: Path) -> None:
    copy = open_copy(tmp_path / "none" / "catalogue.db")
    assert (copy.pragma("user_version"), libraries(copy)) == (NEWEST, [])
    copy.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["100%41", "what?mode=rw", "a#b", "a b"])
def test_a_copy_from_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "catalogue.db"
    path.parent.mkdir()
    made(path)
    copy = open_copy(path)
    assert libraries(copy) == ["photos"]
    copy.close()


@pytest.mark.anyio
async def test_a_unit_of_work_returns_and_stays(one: Database, path: Path) -> None:
    def work(connection: apsw.Connection) -> int:
        add_library(connection)
        return connection.last_insert_rowid()

    assert await one.run(work) == 1
    assert look_inside(path)[1] == ["photos"]  # for everybody, at once


class Wrong(Exception):
    """What a unit of work raises by itself."""


@pytest.mark.anyio
@pytest.mark.parametrize("error", [Wrong(), MediadError("no"), KeyboardInterrupt()])
async def test_a_unit_of_work_that_fails_leaves_nothing(one: Database, error: BaseException) -> None:
    def work(connection: apsw.Connection) -> None:
        add_library(connection)
        raise error

    with pytest.raises(type(error)) as raised:
        await one.run(work)
    assert raised.value is error
    assert await one.run(libraries) == []
    await one.run(add_library)
    assert await one.run(libraries) == ["photos"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM nowhere",
        "INSERT INTO library (marker, name, path) VALUES ('photos', '', x'')",
        "INSERT INTO folder (library, path) VALUES (99, x'')",
        "INSERT INTO library (marker, name, path) VALUES ('other', '', zeroblob(1000000))",
    ],
    ids=["syntax", "unique", "foreign key", "full"],
)
async def test_what_sqlite_refuses_is_a_broken_catalogue(one: Database, sql: str) -> None:
    def set_up(connection: apsw.Connection) -> None:
        add_library(connection)
        pages = connection.pragma("page_count")
        assert isinstance(pages, int)
        connection.pragma("max_page_count", pages + 10)

    def work(connection: apsw.Connection) -> None:
        connection.execute("UPDATE library SET name = 'changed'")
        connection.execute(sql)

    await one.run(set_up)
    with pytest.raises(CatalogueBroken) as raised:
        await one.run(work)
    assert raised.value.remedy
    assert isinstance(raised.value.__cause__, apsw.Error)
    assert await one.run(libraries) == ["photos"]


@pytest.mark.anyio
async def test_a_transaction_that_sqlite_ended_itself_hides_nothing(one: Database) -> None:
    def work(connection: apsw.Connection) -> None:
        add_library(connection)
        connection.execute("ROLLBACK")  # as SQLite does on some I/O errors
        raise apsw.IOError("disk I/O error")

    with pytest.raises(CatalogueBroken, match="disk I/O error"):
        await one.run(work)
    await one.run(add_library)
    assert await one.run(libraries) == ["photos"]


@pytest.mark.anyio
async def test_units_of_work_run_one_at_a_time(one: Database) -> None:
    before: list[int] = []

    def work(connection: apsw.Connection) -> None:
        before.append(len(libraries(connection)))
        add_library(connection, f"library {before[-1]}")

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one.run, work)
    assert before == list(range(20))
    assert len(await one.run(libraries)) == 20


@pytest.mark.anyio
async def test_work_waits_while_its_disk_is_full(
    one: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PAUSE", 0.0)
    looks: list[bool] = []

    def writable() -> bool:
        looks.append(one.starved)
        return len(looks) > 2

    one.writable = writable
    assert await one.run(lambda connection: connection.execute("SELECT 1").get) == 1
    assert looks == [False, True, True]
    assert not one.starved


def test_what_is_room_enough(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.has_room(path)
    assert database.has_room(path / "gone" / "catalogue.db")
    monkeypatch.setattr(database, "_LEAST", 2**80)
    assert not database.has_room(path)
