"""Watches and libraries come, go, move and change names while a copy is under way: it ends as it began."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from mediad.files import Files
from tests import samples
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

pytestmark = pytest.mark.anyio


class Gated(Files):
    """Copies come to a gate and wait there, while it is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = 0

    def create(self, name: bytes, dir_fd: int) -> int:
        self.waiting += not self.gate.is_set()
        assert self.gate.wait(30)
        return super().create(name, dir_fd)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    found.settings["library"]["photos"]["layout"] = "old/{watch}/{name}"
    gated = found.files = Gated()
    yield found
    gated.gate.set()


def gate(house: House) -> Gated:
    assert isinstance(house.files, Gated)
    return house.files


def library(house: House, name: str = "photos") -> dict[bytes, bytes]:
    return files(house.root / name, without={b".mediad"})


async def begin(house: House, steering: Steering) -> None:
    """From now on a.jpg is being copied, and b.jpg waits behind it."""
    await steering.rest()
    gate(house).gate.clear()
    house.put("inbox/a.jpg", picture(1))
    await steering.call("Scan")
    await steering.until(lambda: gate(house).waiting)
    house.put("inbox/b.jpg", picture(2))


async def reload(house: House, steering: Steering) -> list[str]:
    """Reload while the copy waits; it does so afterwards, too."""
    changes: list[str] = (await steering.call("Reload"))["changes"]
    assert (await steering.call("Status"))["queue"]["in_flight"] >= 1
    return changes


async def test_a_watch_is_removed(house: House) -> None:
    async with house.life() as steering:
        await begin(house, steering)
        del house.settings["watch"]["inbox"]
        await reload(house, steering)
        assert (await steering.call("Status"))["watches"] == []
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        await steering.until(lambda: not steering.pipeline.serving.keys())
        assert library(house) == {b"old/inbox/a.jpg": picture(1)}
        assert await steering.queue() == {}
    assert (house.root / "inbox/b.jpg").exists()


async def test_a_watch_is_renamed_and_the_layout_changes(house: House) -> None:
    async with house.life() as steering:
        await begin(house, steering)
        house.settings["watch"] = {"phone": house.watched("inbox")}
        house.settings["library"]["photos"]["layout"] = "new/{watch}/{name}"
        await reload(house, steering)
        assert "phone" not in steering.pipeline.serving, "its successor waits for what is under way"
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1), b"new/phone/b.jpg": picture(2)}
        assert (await steering.totals())["filed"] == 2
        rows = (await steering.call("History"))["rows"]
        assert len(rows) == 2
        (story,) = (await steering.call("Why", path=str(house.root / "inbox/a.jpg")))["stories"]
        assert (story["origin"], story["outcome"]) == ("phone", "filed")


async def test_a_watch_gets_another_folder(house: House) -> None:
    (house.root / "other").mkdir()
    house.put("other/c.jpg", picture(3))
    async with house.life() as steering:
        await begin(house, steering)
        house.settings["watch"]["inbox"] = house.watched("other")
        await reload(house, steering)
        assert steering.pipeline.serving["inbox"].retiring
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1), b"old/inbox/c.jpg": picture(3)}
        (watch,) = (await steering.call("Status"))["watches"]
        assert watch["path"] == str(house.root / "other")
        told = (await steering.call("Why", path=str(house.root / "inbox/a.jpg")))["stories"]
        assert told[0]["outcome"] == "filed"
        house.settings["watch"]["inbox"] = house.watched("inbox")
        await steering.call("Reload")
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 3, "b.jpg alone is new in the folder of old"


async def test_two_watches_swap_their_names(house: House) -> None:
    house.settings["watch"]["other"] = house.watched("other")
    (house.root / "other").mkdir()
    async with house.life() as steering:
        await begin(house, steering)
        house.put("other/c.jpg", picture(3))
        house.settings["watch"] = {"inbox": house.watched("other"), "other": house.watched("inbox")}
        await reload(house, steering)
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        found = {path.rpartition(b"/")[2]: content for path, content in library(house).items()}
        assert found == {b"a.jpg": picture(1), b"b.jpg": picture(2), b"c.jpg": picture(3)}
        assert (await steering.totals())["filed"] == 3
        for name, origin in (("inbox/a.jpg", "other"), ("inbox/b.jpg", "other"), ("other/c.jpg", "inbox")):
            story = (await steering.call("Why", path=str(house.root / name)))["stories"][0]
            assert (name, story["origin"]) == (name, origin)


async def test_a_watch_inside_the_folder_of_one_that_leaves(house: House) -> None:
    async with house.life() as steering:
        await begin(house, steering)
        house.put("inbox/sub/c.jpg", picture(3))
        house.settings["watch"] = {"sub": house.watched("inbox/sub")}
        await reload(house, steering)
        assert "sub" not in steering.pipeline.serving
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1), b"old/sub/c.jpg": picture(3)}


async def test_a_library_is_removed(house: House) -> None:
    house.settings["library"]["films"] = house.table("films", min_free="1MB", layout="{name}")
    (house.root / "films").mkdir()
    async with house.life() as steering:
        await begin(house, steering)
        del house.settings["library"]["photos"]
        house.settings["watch"]["inbox"]["library"] = "films"
        await reload(house, steering)
        assert [one["name"] for one in (await steering.call("Status"))["libraries"]] == ["films"]
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1)}
        assert library(house, "films") == {b"b.jpg": picture(2)}
        await steering.until(lambda: steering.pipeline.shelves.find("photos") is None)
        assert files(house.root / "photos/.mediad/tmp") == {}


async def test_a_library_and_its_watch_are_removed(house: House) -> None:
    house.settings["library"]["films"] = house.table("films", min_free="1MB")
    (house.root / "films").mkdir()
    async with house.life() as steering:
        await begin(house, steering)
        del house.settings["library"]["photos"]
        house.settings["watch"] = {}
        await reload(house, steering)
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1)}


async def test_a_library_moves_while_it_is_filed_into(house: House) -> None:
    """What has no name in the old place yet goes to the new one: whoever moved it may delete the old."""
    async with house.life() as steering:
        await begin(house, steering)
        (house.root / "new").mkdir()
        await anyio.to_thread.run_sync(
            shutil.copytree, house.root / "photos/.mediad", house.root / "new/.mediad"
        )
        house.settings["library"]["photos"]["path"] = str(house.root / "new")
        await reload(house, steering)
        gate(house).gate.set()
        await steering.until(lambda: steering.pipeline.shelves["photos"].online)
        assert await steering.rest() == "idle"
        assert library(house) == {}
        assert library(house, "new") == {b"old/inbox/a.jpg": picture(1), b"old/inbox/b.jpg": picture(2)}
        assert list((house.root / "photos/.mediad/tmp").iterdir()) == []


async def test_it_is_taken_up_again_before_it_had_gone(house: House) -> None:
    async with house.life() as steering:
        await begin(house, steering)
        table = house.settings["watch"].pop("inbox")
        await reload(house, steering)
        house.settings["watch"]["inbox"] = table
        await reload(house, steering)
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1), b"old/inbox/b.jpg": picture(2)}


async def test_only_rules_change_and_the_copy_is_not_touched(house: House) -> None:
    async with house.life() as steering:
        await begin(house, steering)
        house.settings["rule"] = [{"match": {"name": "*.jpg"}, "ignore": True}]
        assert await reload(house, steering) == ["rules: 1, were 0"]
        gate(house).gate.set()
        assert await steering.rest() == "idle"
        assert library(house) == {b"old/inbox/a.jpg": picture(1)}
        assert (await steering.totals())["ignored"] == 1


@pytest.mark.parametrize("what", ["removed", "elsewhere"])
async def test_what_waits_to_be_taken_from_quarantine_goes_with_its_library(house: House, what: str) -> None:
    house.settings["watch"]["inbox"]["action"] = "move"
    async with house.life() as steering:
        house.put("inbox/broken.jpg", samples.broken_jpeg(1))
        await steering.rest()
        await steering.call("Pause")
        assert (await steering.call("Retry", unparsed=True))["files"][0]["retried"]
        assert (await steering.queue()) == {"held": 1}
        (house.root / "new").mkdir()
        if what == "removed":
            house.settings["library"] = {"films": house.table("new", min_free="1MB")}
            house.settings["watch"]["inbox"]["library"] = "films"
        else:
            await anyio.to_thread.run_sync(move_library, house.root)
            house.settings["library"]["photos"]["path"] = str(house.root / "new")
        await steering.call("Reload")
        await steering.call("Resume")
        assert await steering.rest() == "idle"
        assert await steering.queue() == {}
        if what == "elsewhere":
            await steering.until(lambda: steering.pipeline.shelves["photos"].online)
            (file,) = (await steering.call("Retry", unparsed=True))["files"]
            assert file["retried"], file
            assert await steering.rest() == "idle"
            assert list(library(house, "new").values()) == [samples.broken_jpeg(1)]


def move_library(root: Path) -> None:
    os.rmdir(root / "new")
    shutil.copytree(root / "photos", root / "new")
    shutil.rmtree(root / "photos")


async def test_time_zones_and_settings_of_a_watch(house: House) -> None:
    """What a watch goes by is the configuration of the moment at which its files are identified."""
    async with house.life() as steering:
        await steering.rest()
        changes: list[tuple[dict[str, object], Callable[[], bool]]] = [
            (
                {"timezone": "Asia/Tokyo"},
                lambda: steering.pipeline.roster.places["inbox"].dates.zone == "Asia/Tokyo",
            ),
            ({"settle": "7s"}, lambda: steering.pipeline.roster.places["inbox"].settle == 7.0),
            ({"polling": "off"}, lambda: not steering.pipeline.roster["inbox"].poll),
            ({"action": "move"}, lambda: steering.pipeline.roster.settings["inbox"].action == "move"),
        ]
        for keys, applied in changes:
            watcher = steering.pipeline.serving["inbox"].watcher
            house.settings["watch"]["inbox"].update(keys)
            await steering.call("Reload")
            assert applied(), keys
            anew = steering.pipeline.serving["inbox"].watcher is not watcher
            assert anew == ("settle" in keys or "polling" in keys)
