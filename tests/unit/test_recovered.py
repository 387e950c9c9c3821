"""What a crash cut off is ended, whenever that is, and then taken anew."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from mediad.ingest import recovered, shelves
from mediad.ingest.intake import Intake
from mediad.ingest.recover import Recovered, Verdict, recover
from mediad.model import Stat
from mediad.store import catalogue, journal
from mediad.store.database import open_database
from tests.steering import LIMIT, House
from tests.system.once import picture
from tests.trees import files


def cut_off(connection: apsw.Connection, root: Path) -> None:
    """A journal whose last word is that inbox/a.jpg is about to be moved."""
    stat = (root / "inbox/a.jpg").stat()
    connection.execute(
        "INSERT INTO batch (id, watch, root, started) VALUES (9, 'inbox', ?, 0)",
        (os.fsencode(root / "inbox"),),
    )
    connection.execute(
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, digest)"
        " VALUES (9, 'inbox', ?, ?, ?, ?, ?, 0, 1, ?)",
        (
            *(b"a.jpg", stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino),
            hashlib.sha256((root / "inbox/a.jpg").read_bytes()).digest(),
        ),
    )
    connection.execute(
        "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, time)"
        " VALUES (9, 9, 9, 9, 'move', 'intent', 1, ?, 0)",
        (b"somewhere/a.jpg",),
    )


@pytest.mark.anyio
async def test_what_its_watch_showed_before_is_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    async with house.life() as steering:
        await steering.call("Pause")
        house.put("inbox/a.jpg", picture(1))
        await steering.database.run(lambda connection: cut_off(connection, tmp_path))
        await steering.call("Resume")
    shown = threading.Event()
    observe = Intake._observe

    async def observed(intake: Intake, chunk: Any) -> None:
        await observe(intake, chunk)
        shown.set()

    def late(*arguments: Any) -> list[Recovered]:
        assert shown.wait(LIMIT)
        return recover(*arguments)

    monkeypatch.setattr(Intake, "_observe", observed)
    monkeypatch.setattr(shelves, "recover", late)
    async with house.life() as steering:
        await steering.until(lambda: files(tmp_path / "inbox") == {})
        assert await steering.rest() == "idle"
        assert list(files(tmp_path / "photos", without={b".mediad"}).values()) == [picture(1)]
        assert (await steering.totals())["filed"] == 1


@pytest.mark.parametrize("verdict", [Verdict.FINISHED, Verdict.REVERTED])
def test_what_was_half_moved_is_no_other_file(tmp_path: Path, verdict: Verdict) -> None:
    connection = open_database(tmp_path / "catalogue.db")
    photos = catalogue.remember_library(connection, "photos", "p", b"/p").id
    other = catalogue.remember_library(connection, "other", "o", b"/o").id
    cut_off_between(connection, photos, other)
    (step,) = journal.open_steps(connection)
    stat = Stat(1, 2, 3, 4, 5)
    catalogue.remember_found(connection, photos, [(b"a.jpg", b"a.jpg", stat)])  # both names are there now
    catalogue.remember_found(connection, other, [(b"a.jpg", b"a.jpg", stat)])
    recovered.record(connection, [Recovered(step, verdict, stat)], 0)
    left = connection.execute("SELECT library, role FROM file").fetchall()
    assert left == [(other if verdict is Verdict.FINISHED else photos, "principal")]
    connection.close()


def cut_off_between(connection: apsw.Connection, photos: int, other: int) -> None:
    """A journal whose last word is that a.jpg is about to be moved from one library to another."""
    state = {"outcome": "filed", "code": "", "reason": "", "stays": 0}
    change = {"was": state, "will_be": state, "bond": ["principal", 1, 1], "remembered": False}
    connection.execute(
        "INSERT INTO batch (id, watch, root, started) VALUES (3, 'refile', X'', 0);"
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome, digest)"
        " VALUES (1, 'inbox', CAST('a.jpg' AS BLOB), 3, 4, 5, 2, 0, 0, 'filed', X'AA')"
    )
    connection.execute(
        "INSERT INTO file (library, path, name_key, size, mtime_ns, digest, role, item, step)"
        " VALUES (?1, ?2, ?2, 3, 4, X'AA', 'principal', 1, 1)",
        (photos, b"a.jpg"),
    )
    connection.execute(
        "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, origin, source,"
        " change, time) VALUES (2, 2, 3, 1, 'refile', 'intent', ?1, ?2, ?3, ?2, ?4, 0)",
        (other, b"a.jpg", photos, json.dumps(change)),
    )
