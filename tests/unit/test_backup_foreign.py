"""What a library carries was written by who knows whom: what is believed of it, and what is done with it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from mediad.errors import CatalogueBroken, SchemaTooNew
from mediad.files import Files, Tree
from mediad.ingest.pulse import Pulse
from mediad.store import backup, backup_foreign, backup_library, undoable
from mediad.store.backup_foreign import open_foreign
from mediad.store.changes import DATE
from mediad.store.salvage import take_rows
from tests.cataloguing import Past
from tests.rebuilding import Lost
from tests.steering import House
from tests.system.once import picture
from tests.unit.test_backup import DAY, never, past, rows

__all__ = ["past"]

# sdnotify drops its socket where nobody wants to be told
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def edit(path: Path, *sql: str) -> None:
    """Write into a catalogue what no mediad would."""
    with contextlib.closing(apsw.Connection(os.fspath(path))) as connection:
        for one in sql:
            connection.execute(one)


@pytest.fixture
def carried(past: Past, tmp_path: Path) -> Path:
    """What the library "photos" carries of a past."""
    assert backup_library.extract(backup.back_up(past.path, DAY, never), "photos", tmp_path / "rows.db")
    return tmp_path / "rows.db"


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS key, x AS value FROM c"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE meta SET value = 'nan' WHERE key = 'newest'",
        "UPDATE meta SET value = '9223372036854775806' WHERE key = 'newest'",
        "UPDATE meta SET value = '-5' WHERE key = 'newest'",
        "UPDATE meta SET value = '1' WHERE key = 'newest'",
        "DELETE FROM meta WHERE key = 'library'",
        f"DROP TABLE meta; CREATE VIEW meta AS {ENDLESS}",
        f"CREATE VIEW more AS {ENDLESS}",
        "CREATE TRIGGER more AFTER INSERT ON step BEGIN DELETE FROM file; END",
        "DROP INDEX file_digest",
        "DROP TABLE deleted; CREATE TABLE deleted (step, library, digest)",
        "UPDATE file SET path = CAST('../a.jpg' AS BLOB)",
        "UPDATE file SET path = CAST('x/../../a.jpg' AS BLOB)",
        "UPDATE file SET path = CAST('/etc/a.jpg' AS BLOB)",
        "UPDATE file SET path = CAST('.mediad/lock' AS BLOB)",
        "UPDATE file SET path = X'6100'",
        "UPDATE file SET size = -1",
        "UPDATE file SET digest = X'00'",
        "UPDATE arrival SET path = CAST('../a.jpg' AS BLOB)",
        "UPDATE arrival SET path = X''",
        "UPDATE arrival SET digest = X'00'",
        "UPDATE arrival SET watch = 'nowhere'",
        "UPDATE arrival SET evidence = '{'",
        "UPDATE arrival SET seen = -1",
        "UPDATE arrival SET size = 1 << 60",
        "UPDATE step SET destination = CAST('.mediad/trash/../../x' AS BLOB)",
        "UPDATE step SET destination = CAST('.mediad/tmp/x' AS BLOB)",
        "UPDATE step SET source = CAST('../x' AS BLOB)",
        "UPDATE step SET action = 'format'",
        "UPDATE step SET change = '[]'",
        """UPDATE step SET change = '{"was": {"code": 1}, "will_be": {}, "bond": null, "remembered": 0}'""",
        """UPDATE step SET change = '{"was": {}, "will_be": {}, "bond": ["king", 1, 1], "remembered": 0}'""",
        """UPDATE step SET change = '{"was": {}, "will_be": {"taken": ""}, "bond": null, "remembered": 0}'""",
        """UPDATE step SET change = '{"was": {"outcome": "filed"}, "will_be": {"outcome": "filed"},
        "bond": null, "becomes": ["king", 1, 1], "remembered": 0}'""",
        "UPDATE arrival SET taken = 'yesterday'",
        "UPDATE arrival SET offset_min = 1440",
        "UPDATE arrival SET confidence = 'king'",
        "UPDATE arrival SET kind = 'ufo'",
        "UPDATE arrival SET source = hex(zeroblob(101))",
        "UPDATE arrival SET stays = 2",
        "UPDATE step SET undoes = id, action = 'undo'",
        "UPDATE step SET time = 9e18",
        "UPDATE step SET batch = 1 << 30",
        "UPDATE place SET root = CAST('etc' AS BLOB)",
        "UPDATE batch SET started = 9223372036854775807",
        "PRAGMA ignore_check_constraints = on; UPDATE step SET state = 'perhaps'",
    ],
)
def test_what_no_mediad_wrote_is_of_no_use(sql: str, carried: Path) -> None:
    edit(carried, "PRAGMA foreign_keys = off", sql)
    with pytest.raises(CatalogueBroken):
        open_foreign(carried, never)


FILED = {"outcome": "filed", "code": "", "reason": "", "stays": 0}
DATED = {**dict.fromkeys(("taken", "offset_min", "source", "confidence")), **dict.fromkeys(DATE[4:], "")}


@pytest.mark.parametrize(
    ("lie", "believed"),
    [
        ({"was": FILED}, True),
        ({"was": {}}, True),
        ({"was": {**FILED, **DATED, "confidence": "low", "offset_min": 60}}, True),
        ({"was": {**FILED, "outcome": None}}, True),
        ({"was": {**FILED, "outcome": []}}, False),
        ({"was": {"outcome": "filed"}}, False),
        ({"was": {**FILED, "stays": 10**30}}, False),
        ({"was": {**FILED, "stays": 2}}, False),
        ({"was": {**FILED, **DATED, "offset_min": True}}, False),
        ({"was": {**FILED, **DATED, "confidence": []}}, False),
        ({"was": {**FILED, **DATED, "source": "x" * 201}}, False),
        ({"bond": [[], 1, 1]}, False),
        ({"bond": ["found", True, 1]}, False),
    ],
)
def test_a_change_is_one_that_can_be_taken_back(lie: dict[str, Any], believed: bool, carried: Path) -> None:
    told = {"was": FILED, "will_be": FILED, "bond": None, "remembered": False, **lie}
    edit(carried, f"UPDATE step SET change = '{json.dumps(told)}'")
    with contextlib.nullcontext() if believed else pytest.raises(CatalogueBroken):
        open_foreign(carried, never).close()


def test_a_check_that_breaks_is_a_broken_catalogue(carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_value: object) -> bool:
        raise TypeError

    monkeypatch.setitem(backup_foreign._CALLS, "is_moment", breaks)
    with pytest.raises(CatalogueBroken):
        open_foreign(carried, never)


def test_an_index_that_lies_is_made_anew(carried: Path) -> None:
    content = bytearray(carried.read_bytes())
    with contextlib.closing(apsw.Connection(os.fspath(carried))) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'file_digest'")
        (digest,) = connection.execute("SELECT digest FROM file LIMIT 1")
    at = content.index(bytes(digest[0]), (int(root[0]) - 1) * 4096)
    content[at + 10] ^= 0xFF
    carried.write_bytes(content)
    with contextlib.closing(open_foreign(carried, never)) as connection:
        assert rows(connection, "PRAGMA integrity_check") == [("ok",)]


def test_a_newer_schema_is_told_apart(carried: Path, tmp_path: Path) -> None:
    edit(carried, "PRAGMA user_version = 99")
    (tmp_path / "l" / ".mediad").mkdir(parents=True)
    shutil.copy(carried, tmp_path / "l" / ".mediad" / "catalogue.db")
    with pytest.raises(SchemaTooNew):
        backup_library.carried(Tree(Files(), os.fsencode(tmp_path / "l")))


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Past]:
    """Another catalogue, which knows nothing of it."""
    (tmp_path / "there").mkdir()
    there = Past(tmp_path / "there", library=b"/other")
    there.connection.execute("UPDATE library SET marker = 'theirs'")
    yield there
    there.close()


def take(there: Past, carried: Path) -> None:
    """Take in what is carried."""

    def write(work: Any) -> None:
        with there.connection:
            work(there.connection)

    with contextlib.closing(open_foreign(carried, never)) as source:
        take_rows(source, there.path, write, above=1000, foreign=True)


def test_nothing_that_was_under_way_elsewhere_is_ended_here(past: Past, carried: Path, there: Past) -> None:
    step = past.begin(b"d.jpg", b"2021/d.jpg")
    past.begin(b"q.jpg", b"2021/q.jpg", source=b".mediad/quarantine/q.jpg")
    backup_library.extract(backup.back_up(past.path, DAY, never), "photos", carried)
    take(there, carried)
    assert rows(there.connection, "SELECT 1 FROM step WHERE state = 'intent'") == []
    assert rows(
        there.connection,
        f"SELECT state, outcome, code FROM step JOIN arrival ON arrival.id = arrival"
        f" WHERE step.id >= {1000 + step} ORDER BY step.id",
    ) == [("reverted", "failed", "reverted"), ("reverted", "quarantined", "reverted")]


def test_what_a_library_brought_is_not_the_latest_batch(carried: Path, there: Past) -> None:
    take(there, carried)
    assert undoable.latest_batch(there.connection) is None
    there.filed(b"own.jpg", b"own.jpg")
    own = undoable.latest_batch(there.connection)
    assert rows(there.connection, f"SELECT carried FROM batch WHERE id = {own}") == [(0,)]


def test_files_are_there_once_they_are_seen(carried: Path, there: Past) -> None:
    take(there, carried)
    found = "SELECT missing, count(*) FROM file WHERE digest IS NOT NULL GROUP BY 1"
    assert rows(there.connection, found) == [(1, 2)]
    assert rows(there.connection, "SELECT files FROM library WHERE marker = 'photos'") == [(0,)]


@pytest.mark.parametrize(("identity", "expected"), [("x-1", "x-1"), ("", "?")])
def test_a_folder_of_that_name_here_is_another_one(
    identity: str, expected: str, past: Past, carried: Path, there: Past
) -> None:
    past.connection.execute("UPDATE place SET identity = ?", (identity,))
    backup_library.extract(backup.back_up(past.path, DAY, never), "photos", carried)
    there.connection.execute("UPDATE place SET identity = 'x-2'")
    for _ in range(2):
        take(there, carried)
        assert rows(there.connection, "SELECT key, kind, identity FROM place ORDER BY key") == [
            ("inbox", "watch", "x-2"),
            ("inbox@1", "former", expected),
        ]
    assert rows(there.connection, "SELECT DISTINCT watch FROM arrival") == [("inbox@1",)]


def test_the_same_folder_is_known_again(past: Past, carried: Path, there: Past) -> None:
    past.connection.execute("UPDATE place SET identity = 'x-1'")
    backup_library.extract(backup.back_up(past.path, DAY, never), "photos", carried)
    there.connection.execute("UPDATE place SET identity = 'x-1'")
    take(there, carried)
    assert rows(there.connection, "SELECT key FROM place") == [("inbox",)]


def test_who_did_something_last_with_a_file_tells_what_became_of_it(
    past: Past, carried: Path, there: Past
) -> None:
    take(there, carried)
    late = "UPDATE arrival SET outcome = 'ignored', code = 'trashed' WHERE path = {}"
    step = (
        "INSERT INTO step (id, item, batch, arrival, action, state, library, time)"
        " SELECT 5000, 5000, batch, arrival, 'trash', 'done', library, {} FROM step"
        " WHERE arrival = (SELECT id FROM arrival WHERE path = CAST('{}' AS BLOB))"
    )
    there.connection.execute(late.format("CAST('a.jpg' AS BLOB)"))
    there.connection.execute(
        step.format(10**9, "a.jpg")
    )  # here it was trashed; elsewhere the other one was, later
    past.connection.execute(late.format("CAST('a.xmp' AS BLOB)"))
    past.connection.execute(step.format(2 * 10**9, "a.xmp"))
    backup_library.extract(backup.back_up(past.path, DAY, never), "photos", carried)
    take(there, carried)
    assert rows(
        there.connection, "SELECT path, code FROM arrival WHERE path <> X'622e6a7067' ORDER BY path"
    ) == [
        (b"a.jpg", "trashed"),
        (b"a.xmp", "trashed"),
    ]


def test_what_made_way_does_not_come_back(past: Past, tmp_path: Path) -> None:
    put = past.finish(
        past.begin(b"bad.jpg", b".mediad/quarantine/bad.jpg", action="quarantine"), "quarantined"
    )
    before = backup.back_up(past.path, DAY, never)
    past.filed(b"bad.jpg", b"2021/bad.jpg", source=b".mediad/quarantine/bad.jpg", item=None)
    assert rows(past.connection, f"SELECT 1 FROM arrival WHERE id = {put}") == []
    known = rows(past.connection, "SELECT id, outcome FROM arrival ORDER BY id")

    def write(work: Any) -> None:
        with past.connection:
            work(past.connection)

    with contextlib.closing(backup.open_private(before)) as source:
        take_rows(source, past.path, write)
    assert rows(past.connection, "SELECT id, outcome FROM arrival ORDER BY id") == known


# --- in the daemon -------------------------------------------------------------------------------------


@pytest.fixture
def lost(tmp_path: Path) -> Lost:
    """A house whose state directory is gone, but what its library carries is there."""
    house = Lost(tmp_path)
    house.fill()
    assert house.once() == 0
    shutil.rmtree(tmp_path / "state")
    return house


def test_what_is_of_no_use_is_kept_aside(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    edit(lost.carried(), "UPDATE file SET path = CAST('../a.jpg' AS BLOB) WHERE id = 1")
    content = lost.carried().read_bytes()
    lost.fill(first=1000)
    assert lost.once() == 0
    assert "is of no use: no mediad wrote this: file" in capsys.readouterr().err
    (aside,) = lost.carried().parent.glob("catalogue.db.damaged-*Z")
    assert aside.read_bytes() == content
    assert lost.query("SELECT 1 FROM file WHERE path LIKE '..%'") == []
    assert lost.query("SELECT value FROM meta WHERE key = 'library'", path=lost.carried())


def test_what_may_pass_is_tried_again(
    lost: Lost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise apsw.FullError("database or disk is full")

    before = lost.carried().read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("mediad.store.backup_carried.take_rows", full)
        assert lost.once() == 3
    assert "library photos is offline" in capsys.readouterr().err
    assert lost.carried().read_bytes() == before
    assert lost.once() == 0
    assert len(lost.query("SELECT 1 FROM step")) == len(lost.query("SELECT 1 FROM step", path=lost.carried()))


def test_an_intent_of_another_machine_moves_nothing(lost: Lost) -> None:
    one = "path = CAST('inbox1.jpg' AS BLOB)"
    edit(
        lost.carried(),
        f"UPDATE step SET state = 'intent' WHERE arrival = (SELECT id FROM arrival WHERE {one})",
        f"UPDATE arrival SET outcome = NULL, stays = 1 WHERE {one}",
    )
    lost.watches["inbox"] = "copy"
    lost.configure()
    (lost.root / "inbox" / "inbox1.jpg").write_bytes(picture(1))
    assert lost.once() == 0
    assert (lost.root / "inbox" / "inbox1.jpg").read_bytes() == picture(1)


def test_a_rebuild_passes_over_what_cannot_be(
    lost: Lost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise apsw.ConstraintError("UNIQUE constraint failed")

    monkeypatch.setattr("mediad.store.rebuilding.take_rows", refuse)
    assert lost.rebuild() == 0
    assert "damaged, and of no use" in capsys.readouterr().out


def test_a_rebuild_without_room_changes_nothing(
    lost: Lost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("mediad.store.backup_library.shutil.disk_usage", lambda path: usage)
    assert lost.rebuild() == 74
    assert "no space is left" in capsys.readouterr().err
    assert not lost.catalogue.exists()


def test_a_rebuild_reverts_what_was_under_way(lost: Lost) -> None:
    edit(lost.carried(), "UPDATE step SET state = 'intent'", "UPDATE arrival SET outcome = NULL")
    assert lost.rebuild() == 0
    assert lost.query("SELECT DISTINCT state FROM step") == [("reverted",)]
    assert lost.query("SELECT 1 FROM ancestor") == []  # who knows whose that was


class Silent(Files):
    """Files that do not answer when it comes to what the library "photos" carries."""

    def __init__(self, gate: threading.Event) -> None:
        self.gate = gate

    def open_file(self, name: bytes, dir_fd: int) -> int:
        if name == b"catalogue.db" and b"/photos/" in os.readlink(b"/proc/self/fd/%d" % dir_fd):
            self.gate.wait()
        return super().open_file(name, dir_fd)


@pytest.mark.anyio
async def test_a_library_that_hangs_holds_up_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, gate = House(tmp_path), threading.Event()
    for name in ("other", "in2"):
        (tmp_path / name).mkdir()
    house.settings["library"]["other"] = house.table("other", min_free="1MB")
    house.settings["watch"]["in2"] = house.watched("in2", library="other")
    house.put("in2/ok.jpg", picture(3))
    house.files = Silent(gate)
    monkeypatch.setattr(Pulse.__init__, "__defaults__", (0.3,))
    try:
        async with house.life() as steering:
            await steering.rest()
            assert (await steering.totals())["filed"] == 1
            assert "hung" in steering.pipeline.shelves["photos"].error
    finally:
        gate.set()
