"""Files are taken again from where they lie, and whatever happens then, they are in one place in the end."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mediad.model import Sighting, Stat
from mediad.steering import retrying
from mediad.steering.status import status
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


def home(house: House) -> Path:
    return Path(house.settings["library"]["photos"]["path"])


def quarantine(house: House) -> dict[bytes, bytes]:
    return files(home(house) / ".mediad/quarantine")


def library(house: House) -> dict[bytes, bytes]:
    return files(home(house), without={b".mediad"})


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
async def test_two_of_one_name_have_a_story_each(house: House) -> None:
    async with house.life() as steering:
        for seed in (1, 2):
            house.put("inbox/IMG.jpg", samples.broken_jpeg(seed))
            assert await steering.rest() == "idle"
        first, second = (one["place"] for one in (await steering.call("Failures"))["files"])
        await steering.call("Retry", paths=[first], unparsed=True)
        assert await steering.rest() == "idle"
        assert library(house) == {b"IMG.jpg": samples.broken_jpeg(1)}
        assert await steering.totals() == {
            "filed": 1,
            "quarantined": 1,
            "bytes_filed": len(samples.broken_jpeg(1)),
        }
        assert [one["place"] for one in (await steering.call("Failures"))["files"]] == [second]
        await steering.call("Retry", unparsed=True)
        assert await steering.rest() == "idle"
        assert sorted(library(house).values()) == sorted(map(samples.broken_jpeg, (1, 2)))


@pytest.mark.anyio
@pytest.mark.parametrize("error", [0, errno.ENOSPC, errno.EIO])
async def test_at_each_moment_every_file_is_in_one_count(house: House, error: int) -> None:
    """What is tried again is in the queue, not in the totals; whatever comes of it."""
    faults = Faults(error=error)
    house.files = FaultyFiles(faults)
    counted: set[int] = set()
    house.settings["library"]["photos"]["undated"] = "late/{name}"
    async with house.life() as steering, anyio.create_task_group() as tasks:
        path = await put_aside(house, steering)
        house.put("inbox/lonely.xmp", SIDECAR)
        house.put("inbox/stays.jpg", samples.broken_jpeg(2))
        house.put("inbox/stays.xmp", samples.xmp_sidecar(rating=2))
        assert await steering.rest() == "idle"
        assert await steering.totals() == {"quarantined": 4, "ignored": 1}

        async def count() -> None:
            while True:
                told = status(steering.life)
                totals, queue = told["totals"], told["queue"]
                assert isinstance(totals, dict)
                assert isinstance(queue, dict)
                waiting = sum(queue.values()) - queue["to_analyse"]
                counted.add(sum(totals.values()) - totals["bytes_filed"] + waiting)
                await anyio.lowlevel.checkpoint()

        tasks.start_soon(count)
        if error:
            faults.kinds, faults.error_at, faults.lasting = frozenset({"mkdir"}), faults.counted + 1, True
        await steering.call("Retry", paths=[path], unparsed=True)
        if error:
            await steering.until(lambda: faults.hit and not steering.pipeline.tracker.flying)
        else:
            await steering.rest()
        assert counted == {5}
        house.put("inbox/lonely.jpg", picture(1))
        await steering.call("Scan")
        await steering.until(lambda: max(counted) == 6 and not steering.pipeline.tracker.flying)
        assert counted == {5, 6}
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_they_are_handed_over_bit_by_bit_and_those_refused_are_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        await put_aside(house, steering)
        handed: list[int] = []

        def take_again(sightings: Sequence[Sighting]) -> list[Sighting]:
            handed.append(len(sightings))
            return [] if len(handed) == 1 else list(sightings)

        monkeypatch.setattr(retrying, "_CHUNK", 1)
        monkeypatch.setattr(steering.pipeline, "take_again", take_again)
        told = (await steering.call("Retry"))["files"]
        assert handed == [1, 1]
        assert [file["retried"] for file in told] == [True, False]
        assert "being closed" in told[1]["reason"]
        monkeypatch.undo()
        nobodys = Sighting("nobody", b"a.jpg", Stat(1, 2, 3, 4, 5), again=True)
        assert steering.pipeline.take_again([nobodys]) == [nobodys]


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
        waiting = sum(status["queue"].values()) - status["queue"]["to_analyse"]
        counted = sum(status["totals"].values()) + waiting
        assert counted == 1, status
        assert (await steering.call("Failures"))["files"] == [] or status["totals"]["failed"] == 1


@pytest.mark.parametrize("way", ["linked", "taken", "moved"])
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
            assert files(house.root / "inbox") == files(home(house) / ".mediad/tmp") == {}
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
        old = home(house)
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
        if way == "moved":  # copied, that is, so that its old place still looks like it
            house.settings["library"]["photos"]["path"] = str(shutil.copytree(old, house.root / "elsewhere"))
        before = files(old)
        anyio.run(look)
        assert home(house) == old or files(old) == before
        if not faults.dead:
            break
        anyio.run(retry, Faults(), 0)
        assert library(house) == {b"IMG.jpg": BROKEN, b"IMG.xmp": SIDECAR}
        assert quarantine(house) == {}
        shutil.rmtree(house.root)
        house.settings["library"]["photos"]["path"] = str(old)
    print(f"killed {number - 1} times")
    assert number > 8
