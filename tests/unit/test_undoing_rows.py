"""What the catalogue has of files that were taken back stays true, whatever comes after them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from mediad.model import Stat
from mediad.store import catalogue
from mediad.store.database import open_database
from tests import samples
from tests.steering import House, Steering
from tests.system.once import picture
from tests.undoing import at, inbox, library, moving, trash

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return moving(tmp_path)


def copying(house: House) -> House:
    house.settings["watch"]["inbox"]["action"] = "copy"
    return house


async def taken(house: House, steering: Steering, name: str, content: bytes) -> str:
    """Have a file taken in; returns its path."""
    path = os.fsdecode(house.put(f"inbox/{name}", content))
    await steering.call("Scan")
    assert await steering.rest() == "idle"
    return path


async def rows(steering: Steering) -> list[dict[str, Any]]:
    return list((await steering.call("History"))["rows"])


async def test_an_edited_source_leaves_the_story_of_what_lies_in_trash(house: House) -> None:
    async with copying(house).life() as steering:
        path = await taken(house, steering, "a.jpg", picture(1))
        await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021/a.jpg")])
        assert await steering.totals() == {"ignored": 1}
        await taken(house, steering, "a.jpg", picture(2))
        assert (library(house), trash(house)) == ({b"2021/a.jpg": picture(2)}, [picture(1)])
        totals = await steering.totals()
        assert (totals["filed"], totals["ignored"]) == (1, 1)
        first, trashed, second = await rows(steering)
        assert first["digest"] == trashed["digest"] != second["digest"]
        assert (trashed["outcome"], second["outcome"]) == ("ignored", "filed")
        stories = (await steering.call("Why", path=path))["stories"]
        assert {one["place"] for one in stories} == {
            trashed["destination"],
            os.fspath(house.root / "photos/2021/a.jpg"),
        }
        refused = await steering.call("Undo", ids=[trashed["id"]])
        assert (refused["done"], refused["refused"]) == (0, 1)
        await steering.call("Undo", ids=[second["id"]])
        assert (await steering.call("Undo", ids=[trashed["id"]]))["done"] == 1
        assert library(house) == {b"2021/a.jpg": picture(1)}
        totals = await steering.totals()
        assert (totals["filed"], totals["ignored"]) == (1, 1)


@pytest.mark.parametrize("action", ["move", "copy"])
async def test_what_is_taken_again_counts_once(house: House, action: str) -> None:
    house.settings["watch"]["inbox"]["action"] = action
    async with house.life() as steering:
        path = await taken(house, steering, "a.jpg", picture(1))
        for _ in range(2):
            await steering.call("Undo")
            assert await steering.totals() == {"ignored": 1}
            assert (await steering.call("Retry", paths=[path]))["files"][0]["retried"]
            assert await steering.rest() == "idle"
            assert library(house) == {b"2021/a.jpg": picture(1)}
            totals = await steering.totals()
            assert (totals["filed"], totals.get("ignored")) == (1, None)
        now, *before = (await steering.call("Why", path=path))["stories"]
        assert now["outcome"] == "filed"
        assert [one["reason"] for one in before] == ["taken back with mediactl undo; taken again since"] * 2


async def test_a_copy_that_was_taken_back_expires_though_it_was_taken_again(house: House) -> None:
    async with copying(house).life() as steering:
        path = await taken(house, steering, "a.jpg", picture(1))
        await steering.call("Undo")
        await steering.call("Retry", paths=[path])
        assert await steering.rest() == "idle"
        assert trash(house) == [picture(1)]
        for days in (31, 33):
            at(steering, days)
            await steering.pipeline.expirer.once()
        assert (trash(house), library(house)) == ([], {b"2021/a.jpg": picture(1)})


async def test_what_came_back_stays_though_another_of_its_name_came_since(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, "a.jpg", picture(1))
        path = await taken(house, steering, "a.jpg", picture(2))
        await steering.call("Undo", ids=[(await rows(steering))[0]["id"]])
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert inbox(house) == {b"a.jpg": picture(1)}
        assert library(house) == {b"2021/a-1.jpg": picture(2)}
        assert len((await steering.call("Retry", paths=[path]))["files"]) == 1
        assert await steering.rest() == "idle"
        assert library(house) == {b"2021/a.jpg": picture(1), b"2021/a-1.jpg": picture(2)}


async def test_what_came_back_to_where_another_had_been_left_is_known_there(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, "unwanted.jpg", picture(2))
        await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021/unwanted.jpg")])
        await taken(house, steering, "a.jpg", picture(1))
        filed = (await rows(steering))[-1]
        await taken(house, steering, "a.jpg", picture(2))
        assert inbox(house) == {b"a.jpg": picture(2)}, "it was moved to trash before"
        (house.root / "inbox/a.jpg").unlink()
        assert (await steering.call("Undo", ids=[filed["id"]]))["done"] == 1
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert (inbox(house), library(house)) == ({b"a.jpg": picture(1)}, {})


async def test_what_came_back_stays_when_it_is_touched(house: House) -> None:
    async with house.life() as steering:
        path = await taken(house, steering, "a.jpg", picture(1))
        await steering.call("Undo")
        os.utime(path, (1, 1))
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert (inbox(house), library(house)) == ({b"a.jpg": picture(1)}, {})
        assert await steering.totals() == {"ignored": 1}


async def test_a_late_sidecar_goes_beside_no_stranger(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, "a.jpg", picture(1))
        await taken(house, steering, "dup.jpg", picture(1))
        await steering.call("Undo", ids=[(await rows(steering))[0]["id"]])
        await taken(house, steering, "other.jpg", picture(5))
        await taken(house, steering, "dup.xmp", samples.xmp_sidecar(rating=1))
        assert library(house) == {b"2021/other.jpg": picture(5)}
        assert inbox(house).keys() == {b"a.jpg", b"dup.xmp"}


def test_no_number_of_a_library_file_is_given_out_twice(tmp_path: Path) -> None:
    for _ in range(2):
        connection = open_database(tmp_path / "catalogue.db")
        before = _ids(connection)
        row = catalogue.remember_library(connection, "photos", "m", b"/l").id
        catalogue.remember_found(connection, row, [(b"a", b"a", Stat(1, 2, 3, 4, 5))])
        (made,) = _ids(connection)
        assert made > max(before, default=0)
        connection.execute("DELETE FROM file")
        catalogue.remember_found(connection, row, [(b"b", b"b", Stat(1, 2, 3, 4, 5))])
        (other,) = _ids(connection)
        assert other > made
        connection.execute("UPDATE file SET path = x'63', name_key = x'63'")
        connection.execute("DELETE FROM file")
        assert catalogue.holdings(connection) == {row: (0, 0)}
        connection.close()


def _ids(connection: apsw.Connection) -> list[int]:
    return [int(row[0]) for row in connection.execute("SELECT id FROM file")]
