"""Who reads a library file learns what it has now; what it should have stays known until it is accepted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.steering import House, Steering
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{name}"
    return found


def rot(path: Path) -> None:
    """Change content as a failing disk does: neither size nor time tell."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def states(steering: Steering, **parameters: Any) -> dict[str, str]:
    """The state of each file, by its name."""
    answer = await steering.call("Verify", more=True, **parameters)
    files = [file for one in (*steering.told, answer) for file in one["checked"]]
    return {os.path.basename(file["path"]): file["state"] for file in files}


async def findings(steering: Steering) -> list[tuple[Any, ...]]:
    query = "SELECT file.path, finding.state FROM finding JOIN file ON file.id = finding.file ORDER BY 1"
    return await steering.database.run(lambda connection: connection.execute(query).fetchall())


async def test_a_witness_that_has_rotted_is_told_and_stays_so(house: House) -> None:
    house.put("inbox/IMG_1.jpg", picture(1))
    async with house.life() as steering:
        await steering.rest()
        rot(house.root / "photos" / "IMG_1.jpg")
        house.put("inbox/a/IMG_1.jpg", picture(1))
        await steering.rest()
        assert await findings(steering) == [(b"IMG_1.jpg", "changed")]
        assert (house.root / "photos" / "IMG_1-1.jpg").read_bytes() == picture(1)
        house.put("inbox/b/IMG_1.jpg", picture(1)[:-1] + b"Z")  # of its size, so that it is read
        await steering.rest()
        expected = {"IMG_1.jpg": "changed", "IMG_1-1.jpg": "ok", "IMG_1-2.jpg": "ok"}
        assert await states(steering) == expected
        (house.root / "photos" / "IMG_1.jpg").write_bytes(picture(1))
        assert (await states(steering))["IMG_1.jpg"] == "ok"
        assert await findings(steering) == []


async def test_a_witness_that_was_only_found_is_no_other(house: House) -> None:
    house.put("photos/old.jpg", picture(1))
    house.put("inbox/IMG_1.jpg", picture(1))
    async with house.life() as steering:
        await steering.rest()
        rot(house.root / "photos" / "old.jpg")
        house.put("inbox/a/IMG_1.jpg", picture(1))
        await steering.rest()
        house.put("inbox/a/other.jpg", picture(1)[:-1] + b"Z")
        await steering.rest()
        assert (await states(steering))["old.jpg"] == "changed"
        await steering.call("Adopt", library="photos")
        assert (await states(steering))["old.jpg"] == "changed"
        await steering.call("Verify", paths=[str(house.root / "photos" / "old.jpg")], accept=True)
        assert set((await states(steering)).values()) == {"ok"}


@pytest.mark.parametrize("state", ["changed", "edited"])
async def test_to_adopt_is_not_to_accept(house: House, state: str) -> None:
    house.put("inbox/IMG_1.jpg", picture(1))
    file = house.root / "photos" / "IMG_1.jpg"
    async with house.life() as steering:
        await steering.rest()
        if state == "changed":
            rot(file)
        else:
            file.write_bytes(picture(99))
        house.put("photos/IMG_1.xmp", samples.xmp_sidecar(rating=1))
        for _ in range(2):
            await steering.call("Adopt", library="photos")
            assert await findings(steering) == [(b"IMG_1.jpg", state)]
            needs = {one["code"] for one in (await steering.call("Status"))["attention"]}
            assert ("changed" in needs) is (state == "changed")
        assert await states(steering) == {"IMG_1.jpg": state, "IMG_1.xmp": "ok"}
        await steering.call("Verify", paths=[str(file)], accept=True)
        assert await states(steering) == {"IMG_1.jpg": "ok", "IMG_1.xmp": "ok"}
