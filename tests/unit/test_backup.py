"""Backups: what is copied and kept, when it is due, and what is said where that fails."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import apsw
import pytest

from mediad import config as configuration
from mediad.errors import CatalogueBroken
from mediad.files import Files, Tree
from mediad.library import OpenLibrary, open_library
from mediad.store import backup_library
from mediad.store.backup import (
    SPARE,
    back_up,
    backups,
    latest,
    open_at_start,
    open_private,
    stamp,
    superfluous,
)
from mediad.store.backup_foreign import open_foreign
from mediad.store.backups import Backups
from mediad.store.database import Database
from mediad.store.salvage import take_rows
from tests.cataloguing import Past, doubtful
from tests.crash.faulty import Faults, FaultyFiles
from tests.steering import House, SetClock

T = TypeVar("T")
DAY = date(2026, 3, 1)


def never() -> bool:
    """Stopping."""
    return False


def open_photos(root: Path, files: Files | None = None) -> OpenLibrary:
    """A library in the folder "photos"."""
    (root / "photos").mkdir()
    text = f'[library.photos]\npath = "{root}/photos"\nmin_free = "0"\n'
    text += f'[watch.inbox]\npath = "{root}/inbox"\n[daemon]\nstate_dir = "{root}/state"\n'
    settings = configuration.parse(text, file="c.toml", env={}, home="").libraries["photos"]
    return open_library(settings, files or Files(), None)


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    """Two libraries; a set of two, and a duplicate of it, in the first, one file in the other."""
    (tmp_path / "state").mkdir()
    past = Past(tmp_path / "state")
    other = past.remember("other", b"/o")
    lead = past.filed(b"a.jpg", b"2021/a.jpg", taken=doubtful())
    past.finish(past.begin(b"a.xmp", b"2021/a.xmp", item=lead, kind="sidecar"), role="companion", item=lead)
    past.finish(
        past.begin(b"b.jpg", b".mediad/trash/b-5.jpg", action="trash", witness=past.file(b"2021/a.jpg")),
        "duplicate",
    )
    past.filed(b"c.jpg", b"2021/c.jpg", library=other)
    past.unplanned(b"notes.txt", "ignored")
    yield past
    past.close()


def rows(connection: apsw.Connection, sql: str) -> Sequence[object]:
    return connection.execute(sql).fetchall()


def test_a_backup_is_the_whole_and_one_file(past: Past) -> None:
    made = back_up(past.path, DAY, never)
    assert made == past.path.parent / "backups" / "catalogue-20260301.db"
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    assert made.stat().st_mode & 0o777 == 0o600
    copy = apsw.Connection(os.fspath(made))
    for table in ("library", "batch", "arrival", "step", "file", "tally", "meta"):
        assert rows(copy, f"SELECT * FROM {table}") == rows(past.connection, f"SELECT * FROM {table}")
    assert stamp(copy) == stamp(past.connection)
    copy.close()


def test_a_backup_that_is_broken_off_leaves_the_one_before(past: Past) -> None:
    made = back_up(past.path, DAY, never)
    before = made.read_bytes()
    past.filed(b"d.jpg", b"2021/d.jpg")
    with pytest.raises(InterruptedError):
        back_up(past.path, DAY, lambda: True)
    assert made.read_bytes() == before
    assert backups(past.path) == [made]
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_a_week_of_days_and_a_month_of_weeks_are_kept(past: Past) -> None:
    for day in range(60):
        back_up(past.path, DAY + timedelta(days=day), never)
    days = [date.fromisoformat(path.name[10:18]) for path in backups(past.path)]
    last = DAY + timedelta(days=59)
    assert days[:7] == [last - timedelta(days=number) for number in range(7)]
    assert len(days) == 11
    assert len({day.isocalendar()[:2] for day in days[7:]}) == 4
    assert timedelta(days=28) < last - days[-1] <= timedelta(days=7 + 28)


def test_a_name_that_is_no_date_is_kept_out_of_the_way() -> None:
    names = [f"catalogue-2026{month:02}01.db" for month in range(12, 1, -1)]
    odd = Path("catalogue-20269999.db")
    assert odd not in superfluous([odd, *map(Path, names)])


def test_old_backups_make_room_where_that_is_enough(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [back_up(past.path, DAY + timedelta(days=day), never) for day in range(3)]
    size = past.path.stat().st_size
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("mediad.store.backup.shutil.disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        back_up(past.path, DAY + timedelta(days=9), never)
    assert sorted(backups(past.path)) == made
    usage.free = SPARE + size - 1  # type: ignore[attr-defined]
    made += [back_up(past.path, DAY + timedelta(days=9), never)]
    assert sorted(backups(past.path)) == made[1:]


def test_damage_does_not_replace_what_is_sound(past: Past) -> None:
    made = back_up(past.path, DAY, never)
    past.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    (root,) = past.connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'arrival'")
    past.close()
    content = bytearray(past.path.read_bytes())
    start = (int(root[0]) - 1) * 4096
    content[start : start + 200] = b"\xff" * 200
    past.path.write_bytes(content)
    before = made.read_bytes()
    for day in (DAY, DAY + timedelta(days=1)):
        with pytest.raises(CatalogueBroken, match="mediad rebuild"):
            back_up(past.path, day, never)
    assert backups(past.path) == [made]
    assert made.read_bytes() == before


def test_the_newest_backup_is_known_by_what_it_has(past: Past) -> None:
    made = back_up(past.path, DAY, never)
    made = made.rename(made.with_name("catalogue-20990101.db"))  # the clock was wrong then
    past.filed(b"d.jpg", b"2021/d.jpg")
    newer = back_up(past.path, DAY, never)
    assert backups(past.path) == [made, newer]
    assert latest(past.path) == newer


def test_a_library_carries_its_own_rows_only(past: Past, tmp_path: Path) -> None:
    made = back_up(past.path, DAY, never)
    assert backup_library.extract(made, "photos", tmp_path / "rows.db")
    carried = open_private(tmp_path / "rows.db")
    assert rows(carried, "SELECT path FROM file ORDER BY id") == [(b"2021/a.jpg",), (b"2021/a.xmp",)]
    assert rows(carried, "SELECT path FROM arrival ORDER BY id") == [(b"a.jpg",), (b"a.xmp",), (b"b.jpg",)]
    assert rows(carried, "SELECT name, files FROM library") == [("photos", 2)]
    assert rows(carried, "SELECT outcome, files FROM tally ORDER BY 1") == [("duplicate", 1), ("filed", 2)]
    schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2"
    assert rows(carried, schema) == rows(past.connection, schema)
    assert stamp(carried) == stamp(past.connection)
    carried.close()
    assert not backup_library.extract(made, "nobody's", tmp_path / "rows.db")
    assert not (tmp_path / "rows.db").exists()


@pytest.mark.parametrize(
    "made_by_others",
    ["ANALYZE", "CREATE INDEX mine ON arrival (path)", "CREATE TABLE _seq (n)", "CREATE VIEW v AS SELECT 1"],
)
def test_what_others_made_in_the_catalogue_is_carried_nowhere(
    past: Past, tmp_path: Path, made_by_others: str
) -> None:
    past.connection.execute(made_by_others)
    made = back_up(past.path, DAY, never)
    assert backup_library.extract(made, "photos", tmp_path / "rows.db")
    carried = open_foreign(tmp_path / "rows.db", never)  # which takes no other tables than ours
    assert rows(carried, "SELECT path FROM file ORDER BY id") == [(b"2021/a.jpg",), (b"2021/a.xmp",)]
    carried.close()


def test_a_backup_of_an_older_schema_is_carried_with_todays(past: Past, tmp_path: Path) -> None:
    past.connection.execute(
        "DROP TABLE lingering; ALTER TABLE step DROP COLUMN keeps; PRAGMA user_version = 7"
    )
    made = back_up(past.path, DAY, never)
    assert backup_library.extract(made, "photos", tmp_path / "rows.db")
    carried = open_foreign(tmp_path / "rows.db", never)
    assert rows(carried, "SELECT DISTINCT keeps FROM step") == [(0,)]
    carried.close()


def test_what_is_taken_in_beside_other_things_is_numbered_anew(past: Past, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    there = Past(tmp_path / "there")
    there.connection.execute("UPDATE library SET marker = 'theirs'")
    there.connection.execute("UPDATE place SET root = x'2f7832'")
    for number in range(9):
        there.filed(b"%d.jpg" % number, b"x/%d.jpg" % number)
    backup_library.extract(back_up(past.path, DAY, never), "photos", tmp_path / "rows.db")
    source = open_private(tmp_path / "rows.db")

    def write(work: object) -> None:
        with there.connection:
            work(there.connection)  # type: ignore[operator]

    for expected in (2, 0):
        assert take_rows(source, there.path, write).files == expected
    found = rows(
        there.connection,
        "SELECT arrival.watch, arrival.path, step.id = arrival.id, lead.destination, file.path,"
        " file.item = step.item FROM step JOIN arrival ON arrival.id = step.arrival"
        " JOIN library ON library.id = step.library"
        " JOIN step AS lead ON lead.id = step.item LEFT JOIN file ON file.step = step.id"
        " WHERE marker = 'photos' ORDER BY step.id",
    )
    lead = b"2021/a.jpg"
    assert found == [
        ("inbox@1", b"a.jpg", 1, lead, lead, 1),
        ("inbox@1", b"a.xmp", 1, lead, b"2021/a.xmp", 1),
        ("inbox@1", b"b.jpg", 1, b".mediad/trash/b-5.jpg", None, None),
    ]
    witness = "SELECT file.path FROM step JOIN file ON file.id = witness WHERE action = 'trash'"
    assert rows(there.connection, witness) == [(lead,)]
    assert rows(there.connection, "PRAGMA foreign_key_check") == []
    source.close()
    there.close()


@pytest.mark.parametrize("content", [b"", b"rubbish" * 999, None])
def test_a_library_that_carries_nothing_of_use(content: bytes | None, tmp_path: Path) -> None:
    (tmp_path / ".mediad").mkdir()
    if content is not None:
        (tmp_path / ".mediad/catalogue.db").write_bytes(content)
    tree = Tree(FaultyFiles(Faults()), os.fsencode(tmp_path))
    assert backup_library.carried(tree) == {}
    with pytest.raises(CatalogueBroken):
        backup_library.fetch(tree, tmp_path / "copy", never)


@pytest.mark.parametrize("kind", ["create", "write", "sync_file", "replace"])
def test_what_fails_leaves_what_was_carried_before(kind: str, tmp_path: Path) -> None:
    faults = Faults()
    library = open_photos(tmp_path, FaultyFiles(faults))
    (tmp_path / "new").write_bytes(b"new")
    carried = Path(os.fsdecode(library.tree.root), ".mediad/catalogue.db")
    carried.write_bytes(b"old")
    faults.error_at, faults.kinds, faults.counted = 1, {kind}, 0
    with pytest.raises(OSError, match="Input/output"):
        backup_library.put(library, tmp_path / "new")
    assert carried.read_bytes() == b"old"
    assert list((carried.parent / "tmp").iterdir()) == []
    assert backup_library.put(library, tmp_path / "new")
    assert carried.read_bytes() == b"new"
    library.close()


def test_an_unclean_stop_has_all_of_it_read(past: Past) -> None:
    past.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    past.close()
    content = bytearray(past.path.read_bytes())
    for page in range(4096, len(content), 8192):
        content[page : page + 900] = os.urandom(900)
    past.path.write_bytes(content)
    past.path.with_name("catalogue.db-wal").write_bytes(b"\0" * 32)
    with pytest.raises(CatalogueBroken, match="mediad rebuild"):
        open_at_start(past.path)


async def looked(call: Callable[..., T], *arguments: object) -> T:
    """What a call says that may block."""
    return await anyio.to_thread.run_sync(call, *arguments)


class Keeping:
    """Backups of a past, with one library."""

    def __init__(self, past: Past, library: OpenLibrary) -> None:
        self.clock = SetClock()
        self.database = Database(past.connection)
        self.failing: dict[str, str] = {}
        self.libraries = [library]
        self.backups = Backups(
            past.path, self.database, self.clock, lambda: self.libraries, self.failing, never
        )

    async def change(self) -> None:
        await self.database.run(
            lambda connection: connection.execute("UPDATE batch SET ended = started").fetchall()
        )


@pytest.mark.anyio
async def test_one_a_day_and_only_of_what_changed(past: Past, tmp_path: Path) -> None:
    library = await anyio.to_thread.run_sync(open_photos, tmp_path)
    past.connection.execute("UPDATE library SET marker = ? WHERE name = 'photos'", (library.uuid,))
    keeping = Keeping(past, library)
    carried = tmp_path / "photos/.mediad/catalogue.db"
    await keeping.backups.round()
    assert not await looked(carried.exists)  # nothing was done in this life, and there was no backup before
    await keeping.change()
    await keeping.backups.round()
    assert len(await looked(backups, past.path)) == 1
    assert (await looked(backup_library.carried, library.tree))["library"] == library.uuid
    first = carried.stat().st_ino
    await keeping.change()
    await keeping.backups.round()
    assert (len(await looked(backups, past.path)), carried.stat().st_ino) == (1, first)
    keeping.clock.ahead = 86_400.0
    await keeping.backups.round()
    assert len(await looked(backups, past.path)) == 2
    assert carried.stat().st_ino != first
    keeping.clock.ahead *= 2
    await keeping.backups.round()
    assert len(await looked(backups, past.path)) == 2
    library.close()


@pytest.mark.anyio
async def test_what_fails_is_said_and_tried_again(past: Past, tmp_path: Path) -> None:
    faults = Faults()
    library = await anyio.to_thread.run_sync(open_photos, tmp_path, FaultyFiles(faults))
    past.connection.execute("UPDATE library SET marker = ? WHERE name = 'photos'", (library.uuid,))
    keeping = Keeping(past, library)
    await keeping.change()
    (past.path.parent / "backups").write_bytes(b"in the way")
    await keeping.backups.round()
    assert keeping.failing.keys() == {""}
    (past.path.parent / "backups").unlink()
    faults.error_at, faults.kinds, faults.counted, faults.lasting = 1, {"replace"}, 0, True
    await keeping.backups.round()
    assert "input/output" in keeping.failing["photos"]
    faults.kinds = set()
    await keeping.backups.round()
    assert keeping.failing == {}
    library.close()


@pytest.mark.anyio
async def test_a_full_library_is_left_alone(past: Past, tmp_path: Path) -> None:
    library = await anyio.to_thread.run_sync(open_photos, tmp_path)
    past.connection.execute("UPDATE library SET marker = ? WHERE name = 'photos'", (library.uuid,))
    keeping = Keeping(past, library)
    await keeping.change()
    object.__setattr__(library.settings, "min_free", 1 << 62)
    await keeping.backups.round()
    assert not (tmp_path / "photos/.mediad/catalogue.db").exists()
    assert keeping.failing == {}
    library.close()


@pytest.mark.anyio
async def test_a_library_that_hangs_keeps_nothing_from_the_others(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    class Silent(Files):
        def open_file(self, name: bytes, dir_fd: int) -> int:
            gate.wait()
            return super().open_file(name, dir_fd)

    library = await anyio.to_thread.run_sync(open_photos, tmp_path, Silent())
    monkeypatch.setattr("mediad.store.backups._GIVEN_UP", 0.1)
    past.connection.execute("UPDATE library SET marker = ? WHERE name = 'photos'", (library.uuid,))
    keeping = Keeping(past, library)
    await keeping.change()
    try:
        await keeping.backups.round()
        assert "hung" in keeping.failing["photos"]
    finally:
        gate.set()
        library.close()


def carrying_theirs(past: Past, folder: Path) -> OpenLibrary:
    """A library with rows of another catalogue."""
    library, local = open_photos(folder), folder / "rows.db"
    past.connection.execute("UPDATE library SET marker = ? WHERE name = 'photos'", (library.uuid,))
    made = back_up(past.path, DAY, never)
    assert backup_library.extract(made, library.uuid, local)
    made.unlink()
    with contextlib.closing(apsw.Connection(os.fspath(local))) as theirs:
        theirs.execute("UPDATE meta SET value = 'theirs' WHERE key = 'catalogue'")
    assert backup_library.put(library, local)
    return library


@pytest.mark.anyio
@pytest.mark.parametrize("known", [False, True])
async def test_rows_of_another_catalogue_stay_until_they_are_here(
    known: bool, past: Past, tmp_path: Path
) -> None:
    library = await looked(carrying_theirs, past, tmp_path)
    if known:
        past.connection.execute("INSERT INTO taken_in SELECT id, 'theirs', 1000 FROM library")
    keeping = Keeping(past, library)
    await keeping.change()
    await keeping.backups.round()
    said = await looked(backup_library.carried, library.tree)
    assert (said["catalogue"] == "theirs") is not known
    library.close()


@pytest.mark.anyio
async def test_status_tells_of_a_backup_that_fails(tmp_path: Path) -> None:
    async with House(tmp_path).life() as steering:
        steering.pipeline.unsaved["photos"] = "no space is left"
        (one,) = (await steering.call("Status"))["attention"]
    assert one["code"] == "backup-failed"
    assert one["message"].startswith(
        "what library photos should carry of it could not be backed up: no space"
    )
    assert one["command"] == f"df -h {tmp_path / 'photos'}"
