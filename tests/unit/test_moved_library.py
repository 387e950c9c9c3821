"""A library is copied to another disk with all that is in `.mediad`, and the configuration follows it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.steering import House, Steering
from tests.system.once import DAY, picture
from tests.trees import files

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house in which everything has been at rest for an hour; what is filed is moved."""
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["watch"]["inbox"] = found.watched("inbox", action="move")
    return found


def copied(house: House) -> Path:
    """The library as rsync -a would copy it to another disk."""
    return Path(shutil.copytree(house.root / "photos", house.root / "disk", copy_function=shutil.copy2))


async def follow(house: House, steering: Steering) -> None:
    """The configuration names the new place from now on."""
    house.settings["library"]["photos"]["path"] = str(house.root / "disk")
    await steering.call("Reload")
    shelves = steering.pipeline.shelves
    await steering.until(
        lambda: shelves["photos"].readable and shelves["photos"].settings.path.endswith("disk")
    )


async def shelf(steering: Steering, name: str = "photos") -> dict[str, Any]:
    return next(dict(one) for one in (await steering.call("Status"))["libraries"] if one["name"] == name)


async def test_what_was_filed_into_the_old_place_meanwhile_is_missed(house: House) -> None:
    house.put("photos/old/found.jpg", picture(1))
    house.put("inbox/early.jpg", picture(2))
    late = DAY + b"late.jpg"
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        await steering.call("Adopt", library="photos")
        disk = copied(house)
        house.put("inbox/late.jpg", picture(3))
        assert await steering.rest() == "idle"
        await follow(house, steering)
        told = await shelf(steering)
        assert (told["state"], told["path"]) == ("online", str(disk))
        reply = await steering.call("Verify")
        assert (reply["counts"]["ok"], reply["counts"]["missing"]) == (2, 1)
        (missing,) = (one for one in reply["checked"] if one["state"] == "missing")
        assert missing["path"] == os.fsdecode(os.path.join(os.fsencode(disk), late))
        assert files(house.root / "photos")[late] == picture(3), "it is where it was filed"
        again = house.put("inbox/again.jpg", picture(3))
        assert await steering.rest() == "idle"
        (story,) = (await steering.call("Why", path=os.fsdecode(again)))["stories"]
        assert story["outcome"] == "filed", "a file that is missing is no witness"
        assert picture(3) in files(disk).values()


async def test_a_second_copy_brings_what_was_missed(house: House) -> None:
    async with house.life() as steering:
        disk = copied(house)
        house.put("inbox/late.jpg", picture(3))
        assert await steering.rest() == "idle"
        await follow(house, steering)
        target = disk / os.fsdecode(DAY) / "late.jpg"
        target.parent.mkdir(parents=True)
        shutil.copy2(house.root / "photos" / os.fsdecode(DAY) / "late.jpg", target)
        reply = await steering.call("Verify")
        assert (reply["counts"]["ok"], reply["counts"]["missing"]) == (1, 0)
        (story,) = (await steering.call("Why", path=str(target)))["stories"]
        assert story["place_state"] == "there"


async def test_the_old_place_is_no_second_library(house: House) -> None:
    house.put("photos/a.jpg", picture(1))
    async with house.life() as steering:
        copied(house)
        await follow(house, steering)
        house.settings["library"]["old"] = house.table("photos", min_free="1MB")
        await steering.call("Reload")
        await steering.until(lambda: steering.pipeline.shelves["old"].error)
        old = await shelf(steering, "old")
        assert old["state"] == "offline"
        assert "same marker as library photos" in old["error"]
        assert (await shelf(steering))["state"] == "online"
