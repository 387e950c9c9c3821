"""Files are taken again from where they lie, and whatever happens then, they are in one place in the end."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import anyio
import pytest

from mediad.store.database import Database
from tests import samples
from tests.crash.faulty import Crash, Faults, FaultyDatabase, FaultyFiles
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

BROKEN = samples.broken_jpeg(1)
SIDECAR = samples.xmp_sidecar(rating=1)
REASON = b".reason.txt"


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "house").mkdir()
    found = House(tmp_path / "house")
    found.settings["watch"]["inbox"]["action"] = "move"
    found.settings["library"]["photos"]["undated"] = "{name}"
    return found


def quarantine(house: House) -> dict[bytes, bytes]:
    return files(house.root / "photos/.mediad/quarantine")


def library(house: House) -> dict[bytes, bytes]:
    return files(house.root / "photos", without={b".mediad"})


async def put_aside(house: House, steering: Steering) -> str:
    """A set of two goes into quarantine; returns the path of its principal."""
    path = house.put("inbox/IMG.jpg", BROKEN)
    house.put("inbox/IMG.xmp", SIDECAR)
    assert await steering.rest() == "idle"
    assert await steering.totals() == {"quarantined": 2}
    return os.fsdecode(path)


@pytest.mark.anyio
async def test_a_set_is_taken_out_together(house: House) -> None:
    async with house.life() as steering:
        path = await put_aside(house, steering)
        planned = (await steering.call("Retry", paths=[path], dry_run=True))["files"]
        assert [file["retried"] for file in planned] == [True, True]
        assert await steering.queue() == {}
        retried = (await steering.call("Retry", paths=[path], unparsed=True))["files"]
        assert retried == planned
        assert await steering.rest() == "idle"
        assert library(house) == {b"IMG.jpg": BROKEN, b"IMG.xmp": SIDECAR}
        assert quarantine(house) == {}
        assert await steering.totals() == {"filed": 2, "bytes_filed": len(BROKEN) + len(SIDECAR)}
        assert (await steering.call("Status"))["attention"] == []
        assert (await steering.call("Retry"))["files"] == []
        (story,) = (await steering.call("Why", path=path))["stories"]
        assert [step["action"] for step in story["steps"]] == ["quarantine", "move"]


@pytest.mark.anyio
async def test_its_place_in_quarantine_names_it_too(house: House) -> None:
    async with house.life() as steering:
        await put_aside(house, steering)
        (place,) = (
            one["place"] for one in (await steering.call("Failures"))["files"] if ".jpg" in one["place"]
        )
        await steering.call("Retry", paths=[place], unparsed=True)
        assert await steering.rest() == "idle"
        assert quarantine(house) == {}


@pytest.mark.anyio
async def test_read_again_it_is_no_better_and_stays_once(house: House) -> None:
    async with house.life() as steering:
        await put_aside(house, steering)
        for _ in range(2):
            await steering.call("Retry")
            assert await steering.rest() == "idle"
            assert sorted(
                content for name, content in quarantine(house).items() if not name.endswith(REASON)
            ) == (sorted([BROKEN, SIDECAR]))
            assert len(quarantine(house)) == 4
            assert await steering.totals() == {"quarantined": 2}
        assert len((await steering.call("Failures"))["files"]) == 2


@pytest.mark.anyio
async def test_what_was_mended_by_hand_is_dated(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/IMG.jpg", BROKEN)
        await steering.rest()
        (name,) = (name for name in quarantine(house) if not name.endswith(REASON))
        (house.root / "photos/.mediad/quarantine" / os.fsdecode(name)).write_bytes(picture(1))
        await steering.call("Retry")
        assert await steering.rest() == "idle"
        assert library(house) == {b"2021/2021-03-01/IMG.jpg": picture(1)}
        assert quarantine(house) == {}


@pytest.mark.anyio
async def test_what_left_quarantine_is_told(house: House) -> None:
    async with house.life() as steering:
        path = await put_aside(house, steering)
        shutil.rmtree(house.root / "photos/.mediad/quarantine")
        (house.root / "photos/.mediad/quarantine").mkdir()
        told = (await steering.call("Retry", paths=[path]))["files"]
        assert [file["retried"] for file in told] == [False, False]
        assert all("cannot be found in quarantine" in file["reason"] for file in told)


@pytest.mark.anyio
async def test_a_new_file_of_the_same_name_is_another(house: House) -> None:
    async with house.life() as steering:
        path = await put_aside(house, steering)
        house.put("inbox/IMG.jpg", picture(1))
        assert await steering.rest() == "idle"
        await steering.call("Retry", paths=[path], unparsed=True)
        assert await steering.rest() == "idle"
        contents = sorted(library(house).values())
        assert contents == sorted([picture(1), BROKEN, SIDECAR])
        assert (await steering.totals())["filed"] == 3


@pytest.mark.anyio
async def test_it_waits_while_paused_and_goes_on_after_a_start(house: House) -> None:
    async with house.life() as steering:
        await put_aside(house, steering)
        await steering.call("Pause", names=["photos"])
        await steering.call("Retry", unparsed=True)
        assert await steering.rest() == "held"
        assert await steering.queue() == {"held": 2}
    async with house.life() as steering:
        assert await steering.totals() == {"quarantined": 2}
        await steering.call("Resume")
        await steering.call("Retry", unparsed=True)
        assert await steering.rest() == "idle"
        assert quarantine(house) == {}


@pytest.mark.anyio
async def test_a_watch_that_is_gone(house: House) -> None:
    """What lies in quarantine needs no watch; what stayed in one does."""
    house.settings["watch"]["card"] = house.watched("card")
    (house.root / "card").mkdir()
    async with house.life() as steering:
        await put_aside(house, steering)
        house.put("card/other.jpg", samples.broken_jpeg(2))
        await steering.rest()
        house.settings["watch"] = {}
        await steering.call("Reload")
        await steering.until(lambda: not steering.pipeline.serving.watches)
        told = {file["reason"] for file in (await steering.call("Retry", unparsed=True))["files"]}
        assert told == {"is taken out of quarantine", "it came from what is no watch now"}
        assert await steering.rest() == "idle"
        assert library(house) == {b"IMG.jpg": BROKEN, b"IMG.xmp": SIDECAR}


@pytest.mark.anyio
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
async def test_what_could_not_be_placed_is_counted_once(house: House, error: int) -> None:
    """What is given back waits, and has no outcome meanwhile."""
    faults = Faults(error=error)
    house.files = FaultyFiles(faults)
    async with house.life() as steering:
        await steering.rest()
        faults.kinds, faults.error_at, faults.lasting = frozenset({"mkdir"}), faults.counted + 1, True
        house.put("inbox/a.jpg", picture(1))
        await steering.call("Scan")
        await steering.until(lambda: faults.hit and not steering.pipeline.tracker.flying)
        status = await steering.call("Status")
        counted = sum(status["totals"].values()) + sum(status["queue"].values())
        assert counted == 1, status
        assert (await steering.call("Failures"))["files"] == [] or status["totals"]["failed"] == 1


@pytest.mark.parametrize("way", ["linked", "taken"])
def test_killed_at_every_change(house: House, tmp_path: Path, way: str) -> None:
    template = tmp_path / "template"

    async def prepare() -> None:
        async with house.life() as steering:
            await put_aside(house, steering)

    async def retry(faults: Faults, crash_at: int) -> None:
        async with house.life() as steering:
            faults.crash_at = faults.changes + crash_at if crash_at else 0
            await steering.call("Retry", unparsed=True)
            assert await steering.rest() == "idle"

    async def look() -> None:
        async with house.life() as steering:
            assert await steering.rest() == "idle"
            kept = [content for name, content in quarantine(house).items() if not name.endswith(REASON)]
            assert sorted([*kept, *library(house).values()]) == sorted([BROKEN, SIDECAR]), "one place each"
            assert files(house.root / "inbox") == files(house.root / "photos/.mediad/tmp") == {}
            totals = await steering.totals()
            assert (totals.get("quarantined", 0), totals.get("filed", 0)) == (len(kept), len(library(house)))
            assert len(quarantine(house)) == 2 * len(kept), "each has its reason, and no reason stays"

    anyio.run(prepare)
    house.root.rename(template)
    unlinkable = [os.fsencode(house.root / "photos/.mediad/quarantine")] if way == "taken" else []
    number = 0
    while True:
        number += 1
        shutil.copytree(template, house.root)
        faults = Faults()
        dying = house.files = FaultyFiles(faults, unlinkable=unlinkable)
        house.database = lambda connection, faults=faults: FaultyDatabase(connection, faults)  # type: ignore[misc]
        try:
            anyio.run(retry, faults, number)
        except BaseExceptionGroup as group:
            if group.split(Crash)[1] is not None:
                raise
        except Crash:
            pass
        finally:
            dying.close_all()
        house.files, house.database = FaultyFiles(Faults(), unlinkable=unlinkable), Database
        anyio.run(look)
        if not faults.dead:
            break
        anyio.run(retry, Faults(), 0)
        assert library(house) == {b"IMG.jpg": BROKEN, b"IMG.xmp": SIDECAR}
        assert quarantine(house) == {}
        shutil.rmtree(house.root)
    print(f"killed {number - 1} times")
    assert number > 8
