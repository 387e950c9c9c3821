"""What `Status` says, and what it asks the user to do about it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.steering import House, stall
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def codes(status: dict[str, Any]) -> list[str]:
    return [one["code"] for one in status["attention"]]


async def test_all_is_well(house: House) -> None:
    async with house.life() as steering:
        await steering.rest()
        status = await steering.call("Status")
        assert (status["state"], status["attention"], status["config"]) == ("running", [], "/c.toml")
        assert (status["pid"], status["uptime_s"]) == (os.getpid(), 1)
        (watch,), (library,) = status["watches"], status["libraries"]
        assert (watch["name"], watch["library"], watch["action"]) == ("inbox", "photos", "copy")
        assert (library["state"], library["files"], library["bytes"]) == ("online", 0, 0)
        assert library["free_bytes"] > 0


async def test_it_is_stopping(house: House) -> None:
    async with house.life() as steering:
        steering.life.stopping = True
        assert (await steering.call("Status"))["state"] == "stopping"


async def test_files_in_trouble(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/1.jpg", samples.broken_jpeg(1))
        await steering.rest()
        (one,) = (await steering.call("Status"))["attention"]
        assert one == {
            "code": "quarantined",
            "message": "1 file could not be read and is not filed",
            "command": "mediactl failures",
        }
        house.put("inbox/2.jpg", samples.broken_jpeg(2))
        await steering.rest()
        (one,) = (await steering.call("Status"))["attention"]
        assert one["message"] == "2 files could not be read and are not filed"


async def test_pauses_until_resumed_are_told_while_something_waits(house: House) -> None:
    async with house.life() as steering:
        await steering.rest()
        await steering.call("Pause", names=["inbox"])
        assert codes(await steering.call("Status")) == []
        house.put("inbox/1.jpg", picture(1))
        await steering.rest()
        (one,) = (await steering.call("Status"))["attention"]
        assert one["message"] == "inbox is paused until it is resumed; 1 file waits"
        assert one["command"] == "mediactl resume inbox"


async def test_a_pause_has_only_its_own_files(house: House) -> None:
    house.settings["watch"]["other"] = house.watched("other")
    (house.root / "other").mkdir()
    async with house.life() as steering:
        await steering.rest()
        await steering.call("Pause", names=["inbox"])
        await steering.call("Pause", names=["other"])
        house.put("inbox/1.jpg", picture(1))
        house.put("other/2.jpg", picture(2))
        house.put("other/3.jpg", picture(3))
        await steering.rest()
        told = [one["message"] for one in (await steering.call("Status"))["attention"]]
        assert told == [
            "inbox is paused until it is resumed; 1 file waits",
            "other is paused until it is resumed; 2 files wait",
        ]
        await steering.call("Pause", names=["photos"])
        status = await steering.call("Status")
        assert "photos is paused until it is resumed; 3 files wait" in [
            one["message"] for one in status["attention"]
        ]


async def test_what_does_not_fit_is_told_until_it_does(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.settings["library"]["photos"]["min_free"] = "3MB"
    house.settings["watch"]["inbox"]["action"] = "copy"
    free = 3_000_018
    found = os.statvfs(house.root)
    little = [*found]

    def statvfs(path: Any) -> os.statvfs_result:
        little[1], little[4] = 1, free  # f_frsize, f_bavail
        return os.statvfs_result(little)

    monkeypatch.setattr("mediad.library.os.statvfs", statvfs)
    async with house.life() as steering:
        house.put("inbox/1.jpg", picture(1))
        assert await steering.rest() == "held"
        (queued,) = (await steering.call("Queue"))["files"]
        assert re.search(r"needs \d+ (k?B); 18 B are free above min_free \(3.0 MB\)", queued["why"])
        (one,) = (await steering.call("Status"))["attention"]
        assert one == {
            "code": "held-full",
            "message": "1 file does not fit into library photos: 18 B are free above min_free (3.0 MB)",
            "command": f"df -h {house.root}/photos",
        }
        await steering.call("Pause", names=["inbox"])
        assert "held-full" not in codes(await steering.call("Status")), "it is the pause that holds them now"
        await steering.call("Resume")
        free = 10**9
        await steering.call("Scan", names=["photos"])
        assert codes(await steering.call("Status")) == []


async def test_a_refused_configuration(house: House) -> None:
    async with house.life() as steering:
        steering.life.refused = 1
        (one,) = (await steering.call("Status"))["attention"]
        assert (one["code"], one["command"]) == ("configuration", "mediad check-config --config /c.toml")
        assert "has 1 problem;" in one["message"]
        steering.life.refused = 3
        steering.life.config_file = "/my files/it's.toml"
        (one,) = (await steering.call("Status"))["attention"]
        assert "has 3 problems;" in one["message"]
        assert one["command"] == """mediad check-config --config '/my files/it'"'"'s.toml'"""


async def test_a_full_and_an_offline_library(house: House) -> None:
    house.settings["library"]["photos"]["min_free"] = "1000TB"
    house.settings["library"]["gone"] = house.table("gone")
    async with house.life() as steering:
        await steering.rest()
        status = await steering.call("Status")
        assert sorted(codes(status)) == ["library-full", "library-offline"]
        told = {one["code"]: one for one in status["attention"]}
        assert told["library-full"]["command"] == f"df -h {house.root / 'photos'}"
        assert told["library-offline"]["command"] == "mediactl scan gone"
        free = {one["name"]: one["free_bytes"] for one in status["libraries"]}
        assert free["gone"] is None
        assert free["photos"] > 0


async def test_a_folder_that_cannot_be_looked_into(house: House) -> None:
    path = house.root / "inbox"
    path.rmdir()
    async with house.life() as steering:
        await steering.until(lambda: steering.pipeline.serving["inbox"].away)
        (one,) = (await steering.call("Status"))["attention"]
        assert (one["code"], one["command"]) == ("watch-offline", "mediactl scan inbox")


async def test_the_largest_that_are_worked_on_are_shown(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        gate = stall(steering, monkeypatch)
        for number in range(40):
            house.put(f"inbox/{number}.jpg", picture(number) + b"\0" * number)
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.tracker.flying == 40)
        status = await steering.call("Status")
        sizes = [one["bytes"] for one in status["in_flight"]]
        assert status["queue"]["in_flight"] == 40
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) == 20
        gate.set()
        await steering.rest()
        assert (await steering.call("Status"))["in_flight"] == []


async def test_a_path_that_is_no_text(house: House) -> None:
    name = os.fsdecode(b"caf\xe9")
    house.settings["watch"] = {"inbox": house.watched("inbox")}
    async with house.life() as steering:
        await steering.call("Pause")
        house.put(f"inbox/{name}.jpg", picture(1))
        await steering.rest()
        (queued,) = (await steering.call("Queue"))["files"]
        assert queued["path"].endswith("caf\N{REPLACEMENT CHARACTER}.jpg")
        assert queued["path_b64"] is not None


async def test_a_watch_that_hangs(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        await steering.rest()
        monkeypatch.setattr(steering.life.health, "hung", lambda name: "hung: no progress for 99 s")
        status = await steering.call("Status")
        (watch,) = status["watches"]
        assert (watch["state"], watch["error"]) == ("error", "hung: no progress for 99 s")
        assert codes(status) == ["watch-error"]
