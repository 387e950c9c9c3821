"""Files whose steps wait for recovery are in no other count than what is held."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import apsw
import pytest

from mediad.model import Facts, Identity, Sighting, Stat
from mediad.store import journal
from tests.steering import House
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_what_a_crash_left_open_is_held_while_its_library_is_away(house: House) -> None:
    content = picture(1)
    digest = hashlib.sha256(content).digest()
    path = house.put("inbox/x.jpg", content)
    async with house.life() as steering:
        await steering.call("Pause")
        seen = os.stat(path)
        stat = Stat(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        identity = Identity(Sighting("inbox", b"x.jpg", stat), digest, Facts("jpeg", "photo"))

        def begin(connection: apsw.Connection) -> None:
            batch = journal.open_batch(connection, "inbox", os.fsencode(house.root / "inbox"), "", 1)
            row = steering.pipeline.shelves.rows["photos"]
            entry = journal.Entry(90, 90, batch, identity, "move", row, b"x.jpg", None, "{}")
            journal.begin(connection, [entry], 1)

        await steering.database.run(begin)
    (house.root / "photos").rename(house.root / "away")
    async with house.life() as steering:
        await steering.call("Resume")
        await steering.call("Scan")
        assert await steering.queue() == {"held": 1}
        assert await steering.totals() == {}
        (house.root / "away").rename(house.root / "photos")
        steering.pipeline.shelves.wake()
        await steering.until(lambda: steering.pipeline.shelves["photos"].online)
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert await steering.queue() == {}
        assert await steering.totals() == {"filed": 1, "bytes_filed": len(content)}
