"""Roots that come online inside one another are not taken up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.steering import House
from tests.system.once import picture
from tests.trees import files

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["watch"]["inbox"].update(action="move", library="photos")
    return found


async def test_a_watch_inside_a_library(house: House) -> None:
    house.settings["watch"]["late"] = {
        "path": str(house.root / "late"),
        "library": "photos",
        "action": "move",
        "settle": "0s",
    }
    house.put("inbox/a.jpg", picture(1))
    async with house.life() as steering:
        await steering.call("Wait", timeout_s=60.0)
        before = files(house.root / "photos", without={b".mediad"})
        (house.root / "late").symlink_to(house.root / "photos/2021")
        late = steering.pipeline.serving["late"].watcher
        assert late is not None
        await steering.call("Scan")
        await steering.until(lambda: "lies inside library" in late.error)
        assert late.away
        assert files(house.root / "photos", without={b".mediad"}) == before
        assert (await steering.totals())["filed"] == 1
        (house.root / "late").unlink()
        house.put("late/b.jpg", picture(2))
        await steering.call("Scan")
        await steering.until(lambda: not late.away)
        await steering.rest()
        assert (await steering.totals())["filed"] == 2


async def test_a_library_inside_a_watch_gets_no_marker(house: House) -> None:
    house.settings["library"]["late"] = {"path": str(house.root / "late"), "min_free": "0"}
    (house.root / "inbox/sub").mkdir()
    async with house.life() as steering:
        await steering.rest()
        (house.root / "late").symlink_to(house.root / "inbox/sub")
        await steering.call("Scan")
        late = steering.pipeline.shelves["late"]
        await steering.until(lambda: "lies inside watch" in late.error)
        assert list((house.root / "inbox/sub").iterdir()) == []
