"""A library that is read-only since the start can be read, and is taken anew once it can be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import mounting
from tests.mounting import Factory
from tests.steering import House, Steering
from tests.system.once import picture

pytestmark = pytest.mark.anyio


def remount(root: Path, how: str) -> None:
    assert mounting.run("mount", "-o", f"remount,{how}", str(root)).returncode == 0


async def state(steering: Steering) -> str:
    (library,) = (await steering.call("Status"))["libraries"]
    return str(library["state"])


async def test_a_library_that_is_read_only_since_the_start(tmp_path: Path, tmpfs: Factory) -> None:
    house, root = House(tmp_path), tmpfs("8m")
    house.settings["library"]["photos"]["path"] = os.fspath(root)
    card = os.fsdecode(os.path.dirname(house.put("card/a.jpg", picture(1))))
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        assert await steering.rest() == "idle"
    left = root / ".mediad/tmp/7.copy"
    left.touch()
    remount(root, "ro")
    async with house.life() as steering:
        assert await state(steering) == "readonly"
        assert (await steering.call("Verify", more=True))["counts"]["ok"] == 1
        assert (await steering.call("SafeToWipe", paths=[card], more=True))["safe"]
        house.put("inbox/b.jpg", picture(2))
        assert await steering.rest() == "held"
        assert await state(steering) == "readonly"
        remount(root, "rw")
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert await state(steering) == "online"
        assert (await steering.totals())["filed"] == 2
        assert not left.exists()
