"""What has lain in trash for long enough goes, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import apsw
import pytest

from mediad.keeping import expiring
from tests.steering import LIMIT, House, Steering
from tests.system.once import picture
from tests.trees import files
from tests.undoing import DAY, at, moving

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return moving(tmp_path, "{name}")


def trash(house: House) -> dict[bytes, bytes]:
    return files(house.root / "photos/.mediad/trash")


async def fill(house: House, steering: Steering) -> str:
    """Two files in trash: a duplicate, and one that was removed; returns where the latter was."""
    for name in ("a", "b"):
        house.put(f"inbox/{name}.jpg", picture(1))
        assert await steering.rest() == "idle"
    house.put("inbox/c.jpg", picture(2))
    assert await steering.rest() == "idle"
    path = os.fspath(house.root / "photos/c.jpg")
    await steering.call("Trash", paths=[path])
    assert len(trash(house)) == 4
    return path


async def test_two_looks_a_day_apart_end_it(house: House) -> None:
    async with house.life() as steering:
        path = await fill(house, steering)
        expirer = steering.pipeline.expirer
        for days, removed in ((29, 0), (30.1, 0), (30.2, 0), (31.2, 2), (40, 0)):
            at(steering, days)
            assert await expirer.once() == removed, days
        assert trash(house) == {}
        rows = (await steering.call("History"))["rows"]
        assert [row["action"] for row in rows] == ["move", "trash", "move", "trash", "expire", "expire"]
        (story, *_) = (await steering.call("Why", path=path))["stories"] or [None]
        assert story["place"] is None
        answer = await steering.call("Undo", ids=[rows[1]["id"]])
        assert answer["done"] == 1  # made anew from the one that the library has
        assert files(house.root / "inbox") == {b"b.jpg": picture(1)}
        answer = await steering.call("Undo", ids=[rows[3]["id"]])
        assert answer["refused"] == 1
        assert "no library has its content" in answer["changes"][0]["reason"]
        house.put("inbox/again.jpg", picture(2))
        assert await steering.rest() == "idle"
        assert (house.root / "inbox/again.jpg").exists()  # it is remembered all the same
        rows = (await steering.call("History"))["rows"]
        again = await steering.call("Undo", ids=[row["id"] for row in rows if row["action"] == "undo"])
        assert again["done"] == 1, again
        assert (house.root / "inbox/b.jpg").exists() is False


async def test_the_daemon_looks_by_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiring, "_EVERY", 0.01)
    async with house.life() as steering:
        await fill(house, steering)
        at(steering, 31)

        def looked(connection: apsw.Connection) -> bool:
            return connection.execute("SELECT count(*) FROM expiring").fetchone() == (2,)

        with anyio.fail_after(LIMIT):
            while not await steering.database.run(looked):
                await steering.pipeline.changed(0.01)
        at(steering, 33)
        await steering.until(lambda: trash(house) == {})


async def test_what_is_kept_for_ever_stays(house: House) -> None:
    house.settings["trash"] = {"keep": "forever"}
    async with house.life() as steering:
        await fill(house, steering)
        for days in (100, 200, 300):
            at(steering, days)
            assert await steering.pipeline.expirer.once() == 0


async def test_a_clock_that_was_ahead_ends_nothing(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        for days in (400, 0, 1, 29, 30.5):
            at(steering, days)
            assert await steering.pipeline.expirer.once() == 0
        at(steering, 31.6)
        assert await steering.pipeline.expirer.once() == 2


async def test_a_clock_that_was_put_right_counts_anew(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        for days, removed in ((31, 0), (20, 0), (31.5, 0), (32.4, 0), (32.6, 2)):
            at(steering, days)
            assert await steering.pipeline.expirer.once() == removed, days


async def test_what_was_changed_in_trash_stays(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        for name in trash(house):
            if not name.endswith(b".reason.txt"):
                path = house.root / "photos/.mediad/trash" / os.fsdecode(name)
                path.chmod(0o600)
                path.write_bytes(b"edited")
        for days in (31, 33):
            at(steering, days)
            assert await steering.pipeline.expirer.once() == 0
        assert len(trash(house)) == 4


async def test_what_was_taken_back_and_trashed_again_starts_anew(house: House) -> None:
    async with house.life() as steering:
        path = await fill(house, steering)
        at(steering, 31)
        assert await steering.pipeline.expirer.once() == 0
        await steering.call("Undo", paths=[path])
        house.clock.ahead = 31 * DAY
        await steering.call("Trash", paths=[path])
        at(steering, 33)
        assert await steering.pipeline.expirer.once() == 1  # the duplicate
        assert any(content == picture(2) for content in trash(house).values())
