"""Sets stay whole, whatever comes, is edited or is asked for between a plan and its deed, or since."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mediad.keeping import undoing
from mediad.store import changes
from tests import samples
from tests.cataloguing import Past
from tests.steering import House, Steering, other
from tests.system.once import TAKEN, picture
from tests.undoing import inbox, library, moving

pytestmark = pytest.mark.anyio
SIDECAR = samples.xmp_sidecar(rating=1)
FILED, EARLIER = "2021/2021-03-01", "2020/2020-01-01"  # picture() was taken on the first, at eight


@pytest.fixture
def house(tmp_path: Path) -> House:
    return moving(tmp_path, "{taken:%Y}/{taken:%Y-%m-%d}/{name}")


def names(house: House) -> list[str]:
    return sorted(name.decode() for name in library(house))


def below(house: House, *paths: str) -> list[str]:
    return [os.fspath(house.root / path) for path in paths]


async def put(house: House, steering: Steering, **contents: bytes) -> None:
    """Have files taken in; their names have "." for "_"."""
    for name, content in contents.items():
        path = f"inbox/{name.replace('_', '.')}"
        await anyio.to_thread.run_sync(house.put, path, content)
    await steering.call("Scan")
    assert await steering.rest() == "idle"


async def date(house: House, steering: Steering, **asked: Any) -> dict[str, Any]:
    return await steering.call("Date", paths=below(house, "photos"), **asked)


async def to_earlier(house: House, steering: Steering) -> int:
    """Date all of it; returns the batch."""
    return int((await date(house, steering, set="2020-01-01T00:00:00"))["batch"])


async def dated(house: House, steering: Steering, name: str) -> str:
    (path,) = below(house, f"photos/{name}")
    return str((await steering.call("Why", path=path))["stories"][0]["taken"])


def reason(answer: dict[str, Any]) -> str:
    """The one reason of all that was refused, without the path that may stand before it."""
    refused = [one for one in answer["changes"] if not one["done"]]
    paths = sorted((one["source"] for one in refused), key=len)
    (found,) = {re.sub(f"^({'|'.join(map(re.escape, paths))}): ", "", one["reason"]) for one in refused}
    return str(found)


@asynccontextmanager
async def held(
    steering: Steering, word: str, *asked: Callable[[], Awaitable[dict[str, Any]]]
) -> AsyncIterator[list[dict[str, Any]]]:
    """All this has been planned, and is carried out after the block; then the answers are there."""
    relocator, gate = steering.pipeline.relocator, anyio.Event()
    carry_out, waiting = relocator.carry_out, 0

    async def later(command: Any, *group: Any, **more: Any) -> Any:
        nonlocal waiting
        if command.word == word:
            waiting += 1
            await gate.wait()
        return await carry_out(command, *group, **more)

    answers: list[dict[str, Any]] = []

    async def ask(one: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        answers.append(await one())

    relocator.carry_out = later  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        for one in asked:
            tasks.start_soon(ask, one)
        await steering.until(lambda: waiting == len(asked))
        yield answers
        gate.set()
    relocator.carry_out = carry_out  # type: ignore[method-assign]


# --- Between a plan and its deed -----------------------------------------------------------------------


@pytest.mark.parametrize("day", ["2021-03-01", "2020-01-01"])
@pytest.mark.parametrize(
    "late", [{"a_dng": samples.tiff(TAKEN, seed=1, size=(16, 12))}, {"a_xmp": SIDECAR}], ids=["raw", "xmp"]
)
async def test_what_joins_a_set_meanwhile_stops_its_dating(
    house: House, late: dict[str, bytes], day: str
) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        async with held(steering, "date", lambda: date(house, steering, set=f"{day}T09:00:00")) as answers:
            await put(house, steering, **late)
        assert reason(answers[0]) == "was changed meanwhile (try again)"
        assert (answers[0]["done"], answers[0]["batch"]) == (0, None)
        assert len(names(house)) == 2
        assert {name.rpartition("/")[0] for name in names(house)} == {FILED}
        assert (await date(house, steering, set=f"{day}T09:00:00"))["done"] == 2
        assert {await dated(house, steering, name) for name in names(house)} == {f"{day}T09:00:00"}


async def test_two_shifts_at_once_are_one(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        mine, another = (partial(date, house, one, shift_s=3600.0) for one in (steering, other(steering)))
        async with held(steering, "date", mine, another) as answers:
            pass
        assert sorted(answer["done"] for answer in answers) == [0, 1]
        assert await dated(house, steering, f"{FILED}/a.jpg") == "2021-03-01T09:00:00"


async def test_what_joins_a_set_meanwhile_stops_its_way_into_trash(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        paths = below(house, "photos")
        async with held(steering, "trash", lambda: steering.call("Trash", paths=paths)) as answers:
            await put(house, steering, a_xmp=SIDECAR)
        assert reason(answers[0]) == "was changed meanwhile (try again)"
        await steering.call("Trash", paths=paths)
        assert names(house) == []


async def test_what_is_taken_back_twice_at_once_is_taken_back_once(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        batch = (await date(house, steering, shift_s=3600.0))["batch"]
        mine, another = (partial(one.call, "Undo", ids=[batch]) for one in (steering, other(steering)))
        async with held(steering, "undo", mine, another) as answers:
            pass
        assert sorted(answer["done"] for answer in answers) == [0, 1]
        rows = (await steering.call("History"))["rows"]
        assert [row["action"] for row in rows] == ["move", "date", "undo"]


async def test_a_folder_is_walked_while_its_sets_grow(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediad.store.kept._PAGE", 1)
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        real = steering.pipeline.relocator.carry_out

        async def grows(*given: Any, **more: Any) -> Any:
            done = await real(*given, **more)
            if given[0].word == "date":
                await put(house, steering, a_xmp=SIDECAR)
            return done

        monkeypatch.setattr(steering.pipeline.relocator, "carry_out", grows)
        answer = await date(house, steering, set="2021-03-01T09:00:00")
        assert (answer["done"], answer["refused"]) == (1, 0)
        assert names(house) == [f"{FILED}/a.jpg", f"{FILED}/a.xmp"]


# --- Since -------------------------------------------------------------------------------------------


async def test_a_set_keeps_the_label_that_it_came_with(house: House) -> None:
    house.settings["library"]["photos"]["layout"] = "{label|none}/{taken:%Y-%m-%d}/{name}"
    house.put("card/a.jpg", picture(1))
    async with house.life() as steering:
        await steering.call("Import", paths=below(house, "card"), label="Holiday", more=True)
        await put(house, steering, b_jpg=picture(2))
        batch = await to_earlier(house, steering)
        assert names(house) == ["Holiday/2020-01-01/a.jpg", "none/2020-01-01/b.jpg"]
        await steering.call("Undo", ids=[batch])
        await date(house, steering, shift_s=86_400.0)
        assert names(house) == ["Holiday/2021-03-02/a.jpg", "none/2021-03-02/b.jpg"]
        assert (await steering.call("Refile", library="photos"))["changes"] == []


async def test_what_joined_a_set_since_goes_back_with_it(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        batch = await to_earlier(house, steering)
        await put(house, steering, a_xmp=SIDECAR)
        late = names(house)
        assert late == [f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp"]
        planned = await steering.call("Undo", ids=[batch], dry_run=True)
        undo = await steering.call("Undo", ids=[batch])
        assert (undo["done"], planned["done"]) == (2, 2)
        assert names(house) == [f"{FILED}/a.jpg", f"{FILED}/a.xmp"]
        redo = await steering.call("Undo", ids=[undo["batch"]])
        assert (redo["done"], names(house)) == (2, late)
        await steering.call("Undo", ids=[redo["batch"]])
        planned = await steering.call("Undo", since="2020-01-01T00:00:00Z", dry_run=True)
        everything = await steering.call("Undo", since="2020-01-01T00:00:00Z")
        assert (everything["refused"], planned["refused"]) == (0, 0)
        assert inbox(house).keys() == {b"a.jpg", b"a.xmp"}


async def test_all_is_taken_back_though_a_set_grew(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        await to_earlier(house, steering)
        await put(house, steering, a_xmp=SIDECAR)
        planned = await steering.call("Undo", since="2020-01-01T00:00:00Z", dry_run=True)
        everything = await steering.call("Undo", since="2020-01-01T00:00:00Z")
        assert (planned["refused"], everything["refused"]) == (0, 0)
        assert (planned["done"], everything["done"]) == (3, 3)
        assert names(house) == []
        assert inbox(house).keys() == {b"a.jpg", b"a.xmp"}


async def test_a_refiled_set_comes_back_with_what_joined_it(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        house.settings["library"]["photos"]["layout"] = "{taken:%Y-%m}/x-{name}"
        await steering.call("Reload")
        batch = (await steering.call("Refile", library="photos"))["batch"]
        await put(house, steering, a_xmp=SIDECAR)
        assert names(house) == ["2021-03/x-a.jpg", "2021-03/x-a.xmp"]
        await steering.call("Undo", ids=[batch])
        assert names(house) == [f"{FILED}/a.jpg", f"{FILED}/a.xmp"]


async def test_refiling_brings_a_torn_set_together(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1))
        batch = await to_earlier(house, steering)
        await put(house, steering, a_xmp=SIDECAR)
        with monkeypatch.context() as patch:
            patch.setattr(undoing, "_along", lambda *_: [])
            await steering.call("Undo", ids=[batch])
        assert names(house) == [f"{EARLIER}/a.xmp", f"{FILED}/a.jpg"]
        answer = await steering.call("Refile", library="photos")
        assert (answer["done"], answer["refused"]) == (1, 0)
        assert names(house) == [f"{FILED}/a.jpg", f"{FILED}/a.xmp"]
        assert (await steering.call("Refile", library="photos"))["changes"] == []
        await steering.call("Undo", ids=[answer["batch"]])
        assert names(house) == [f"{EARLIER}/a.xmp", f"{FILED}/a.jpg"]


async def test_a_companion_comes_out_of_trash_to_its_principal(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        trashed = await steering.call("Trash", paths=below(house, f"photos/{FILED}/a.xmp"))
        undo = await steering.call("Undo")
        assert await dated(house, steering, f"{FILED}/a.xmp") == "2021-03-01T08:00:00"
        rows = (await steering.call("History"))["rows"]
        assert {row["taken"] for row in rows} == {"2021-03-01T08:00:00"}
        await steering.call("Undo", ids=[undo["batch"]])
        await to_earlier(house, steering)
        assert names(house) == [f"{EARLIER}/a.jpg"]
        assert trashed["done"] == 1
        again = (await steering.call("History"))["rows"][-2]
        assert again["action"] == "undo"
        back = await steering.call("Undo", ids=[again["id"]])
        assert (back["done"], names(house)) == (1, [f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp"])
        assert await dated(house, steering, f"{EARLIER}/a.xmp") == "2020-01-01T00:00:00"


async def test_two_sidecars_of_one_name_go_back_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        batch = await to_earlier(house, steering)
        await put(house, steering, a_xmp=samples.xmp_sidecar(rating=2))
        late = names(house)
        assert late == [f"{EARLIER}/a-1.xmp", f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp"]
        with monkeypatch.context() as patch:  # a dry run tells of what cannot be
            patch.setattr(undoing, "_apart", lambda shifts, *_: tuple(shifts))
            planned = await steering.call("Undo", ids=[batch], dry_run=True)
            assert reason(planned) == "its place is taken by another one of these"
        planned = await steering.call("Undo", ids=[batch], dry_run=True)
        undo = await steering.call("Undo", ids=[batch])
        assert (undo["done"], planned["done"]) == (3, 3)
        assert names(house) == [f"{FILED}/a-1.xmp", f"{FILED}/a.jpg", f"{FILED}/a.xmp"]
        assert library(house)[f"{FILED}/a.xmp".encode()] == SIDECAR
        redo = await steering.call("Undo", ids=[undo["batch"]])
        assert (redo["done"], names(house)) == (3, late)


@pytest.mark.parametrize("kept", [0, 1], ids=["both trashed", "one beside"])
async def test_two_sidecars_of_one_name_come_out_of_trash(house: House, kept: int) -> None:
    trashed = [f"{FILED}/a.xmp", f"{FILED}/a-1.xmp"]
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        await put(house, steering, a_xmp=samples.xmp_sidecar(rating=2))
        paths = below(house, *(f"photos/{name}" for name in trashed[kept:]))
        batch = (await steering.call("Trash", paths=paths))["batch"]
        await to_earlier(house, steering)
        planned = await steering.call("Undo", ids=[batch], dry_run=True)
        undo = await steering.call("Undo", ids=[batch])
        assert (undo["done"], planned["done"]) == (2 - kept, 2 - kept)
        assert names(house) == [f"{EARLIER}/a-1.xmp", f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp"]


# --- Files that are not as they were -------------------------------------------------------------------


async def test_an_edited_sidecar_stops_only_what_moves(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        (sidecar,) = below(house, f"photos/{FILED}/a.xmp")
        house.put(f"photos/{FILED}/a.xmp", SIDECAR + b"<!-- edited -->")
        assert (await date(house, steering, shift_s=3600.0))["done"] == 2
        assert (await steering.call("Undo"))["done"] == 2
        answer = await date(house, steering, set="2020-01-01T00:00:00")
        assert reason(answer) == f"was changed since (if that is right: mediactl verify --accept {sidecar})"
        await steering.call("Verify", paths=[sidecar], accept=True)
        await to_earlier(house, steering)
        assert names(house) == [f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp"]


async def test_a_deleted_sidecar_is_let_go(house: House) -> None:
    async with house.life() as steering:
        await put(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        (sidecar,) = below(house, f"photos/{FILED}/a.xmp")
        os.unlink(sidecar)
        answer = await date(house, steering, set="2020-01-01T00:00:00")
        assert reason(answer) == (
            f"is not there any more (if that is right: mediactl verify --accept {sidecar})"
        )
        await steering.call("Verify", paths=[sidecar], accept=True)
        await to_earlier(house, steering)
        assert names(house) == [f"{EARLIER}/a.jpg"]


def test_a_step_that_takes_itself_back_ends(tmp_path: Path) -> None:
    past = Past(tmp_path)
    step = past.filed(b"a.jpg", b"a.jpg")
    past.connection.execute("UPDATE step SET undoes = id")
    found = changes._Step(step + 1, step, "undo", None, None, None, None, False, step, "{}")
    changes._take_back(past.connection, found)
    assert past.connection.execute("SELECT undone FROM step").fetchall() == [(step + 1,)]
    past.close()
