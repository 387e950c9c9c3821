"""`Verify`: many files under other names are found in few steps, each in its own place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mediad.keeping import verify_around
from mediad.keeping.verify_look import Look
from tests.steering import House, Steering
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    return found


async def places(steering: Steering, **parameters: Any) -> dict[str, tuple[str, str | None]]:
    """The state of each file, and where it is now, by its path below the library."""
    answer = await steering.call("Verify", more=True, **parameters)
    root = f"{steering.pipeline.config.libraries['photos'].path}/"
    found: dict[str, tuple[str, str | None]] = {}
    for file in (file for one in (*steering.told, answer) for file in one["checked"]):
        place = file["place"] and file["place"].removeprefix(root)
        found[file["path"].removeprefix(root)] = file["state"], place
    return found


async def test_files_of_one_content_are_each_found(house: House) -> None:
    for name in ("a.jpg", "b.jpg"):
        house.put(f"photos/x/{name}", picture(1))
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        (house.root / "photos" / "x").rename(house.root / "photos" / "y")
        for _ in range(2):
            found = await places(steering)
            assert set(found) == {"x/a.jpg", "x/b.jpg"}
            assert {place for _, place in found.values()} == {"y/a.jpg", "y/b.jpg"}
        (house.root / "photos" / "y" / "a.jpg").unlink()
        found = await places(steering)
        assert Counter(state for state, _ in found.values()) == {"moved": 1, "missing": 1}


async def test_a_renamed_folder_takes_few_units_of_work(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        house.put(f"photos/x/{number}.jpg", picture(number))
    units: list[int] = []
    uphold_all = Look.uphold_all

    async def counted(look: Look, found: Any) -> Any:
        units.append(len(found))
        return await uphold_all(look, found)

    monkeypatch.setattr(Look, "uphold_all", counted)
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        (house.root / "photos" / "x").rename(house.root / "photos" / "y")
        found = await places(steering)
        assert found == {f"x/{number}.jpg": ("moved", f"y/{number}.jpg") for number in range(30)}
        assert units == [30, 30]


async def test_more_than_is_looked_for_is_told_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_around, "_MOST_LOST", 4)
    monkeypatch.setattr(verify_around, "_PAGE", 2)
    for number in range(7):
        house.put(f"photos/x/{number}.jpg", picture(number))
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        (house.root / "photos" / "x").rename(house.root / "photos" / "y")
        found = await places(steering)
        gone = {path: one for path, one in found.items() if path.startswith("x/")}
        assert Counter(state for state, _ in gone.values()) == {"moved": 4, "missing": 3}
        part = str(house.root / "photos" / "x")
        for left in (3, 0):  # what was not looked for is not accepted as missing
            await places(steering, paths=[part], accept=True)
            assert Counter(state for state, _ in (await places(steering)).values())["moved"] == left
        states = {path: state for path, (state, _) in (await places(steering)).items()}
        assert states == {f"y/{number}.jpg": "ok" for number in range(7)}
