"""What a crash cut off is ended, whenever that is, and then taken anew."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from mediad.ingest import shelves
from mediad.ingest.intake import Intake
from mediad.ingest.recover import Recovered, recover
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
