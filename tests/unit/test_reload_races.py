"""Reloads at bad moments: while a look hangs, while sets are planned, from a caller who leaves."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mediad.ingest import lane, serving, witnesses
from mediad.ingest.jobs import plan_group
from mediad.ingest.roster import Entry
from mediad.roots import Filesystem, filesystem
from tests.steering import House
from tests.system.once import picture
from tests.trees import files
from tests.unit.test_serving import Gated

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
LIMIT = 60.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{name}"
    return found


def folder(house: House, name: str) -> str:
    """A folder that is there."""
    (house.root / name).mkdir()
    return str(house.root / name)


def library(house: House, name: str = "photos") -> dict[bytes, bytes]:
    return files(house.root / name, without={b".mediad"})


async def test_a_look_that_comes_back_late_changes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    back = threading.Event()

    def hanging(path: str) -> Filesystem:
        if path.endswith("inbox"):
            gate.wait(LIMIT)
            back.set()
        return filesystem(path)

    async with house.life() as steering:
        await steering.rest()
        monkeypatch.setattr(serving, "_LOOK_LIMIT", 0.1)
        monkeypatch.setattr(serving, "filesystem", hanging)
        house.settings["watch"]["inbox"]["rescan"] = "20m"
        await steering.call("Reload")  # it hangs, and is given up
        house.settings["watch"]["inbox"]["path"] = folder(house, "there")
        await steering.call("Reload")
        serving_now = steering.pipeline.serving
        await steering.until(lambda: "inbox" in serving_now and not serving_now["inbox"].retiring)
        gate.set()
        await steering.until(back.is_set)
        house.put("there/a.jpg", picture(1))
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert library(house) == {b"a.jpg": picture(1)}


async def test_what_is_in_flight_keeps_its_place_while_another_watch_comes(house: House) -> None:
    gated = Gated()
    house.files = gated
    async with house.life() as steering:
        await steering.rest()
        gated.gate.clear()
        path = house.put("inbox/a.jpg", picture(1))
        await steering.call("Scan")
        await steering.until(lambda: gated.waiting)
        house.settings["watch"]["inbox"]["path"] = folder(house, "there")
        house.settings["watch"]["more"] = house.watched("more")
        folder(house, "more")
        await steering.call("Reload")
        await steering.until(lambda: "more" in steering.pipeline.serving)
        gated.gate.set()
        assert await steering.rest() == "idle"
        [row] = (await steering.call("History"))["rows"]
        assert row["source"] == path.decode()
        assert (await steering.call("Why", path=path.decode()))["stories"][0]["outcome"] == "filed"


async def test_a_watch_retires_while_its_set_learns_that_it_has_to_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = Gated()
    house.files = gated
    folder(house, "more")
    house.settings["watch"]["more"] = house.watched("more")
    inside, go = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        inside.set()
        go.wait(LIMIT)
        return plan_group(*arguments)

    async with house.life() as steering:
        await steering.rest()
        gated.gate.clear()
        house.put("inbox/a.jpg", picture(1))
        await steering.call("Scan")
        await steering.until(lambda: gated.waiting)
        monkeypatch.setattr(lane, "plan_group", slow)
        house.put("more/a.jpg", picture(1))  # the same content, which is in flight
        watcher = steering.pipeline.serving["more"].watcher
        assert watcher is not None
        watcher.mark_everything()
        await steering.until(inside.is_set)
        steering.pipeline.serving.retire("more")
        go.set()
        gated.gate.set()
        await steering.until(lambda: steering.pipeline.stages.open_files == 0)
        await steering.until(lambda: steering.pipeline.tracker.flying == 0)


async def test_a_watch_and_its_library_leave_while_a_set_is_planned(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(house, "films")
    folder(house, "other")
    house.settings["library"]["films"] = house.table("films", min_free="1MB")
    house.settings["watch"]["other"] = house.watched("other", library="films")
    gate, reached = anyio.Event(), anyio.Event()
    read_unread: Callable[..., Awaitable[None]] = witnesses.read_unread

    async def slow(*arguments: Any, **options: Any) -> None:
        reached.set()
        await gate.wait()
        await read_unread(*arguments, **options)

    async with house.life() as steering:
        await steering.rest()
        monkeypatch.setattr(witnesses, "read_unread", slow)
        house.put("other/a.jpg", picture(1))
        await steering.call("Scan")
        with anyio.fail_after(LIMIT):
            await reached.wait()
        del house.settings["library"]["films"], house.settings["watch"]["other"]
        await steering.call("Reload")
        gate.set()
        assert await steering.rest() == "idle"
        house.put("inbox/b.jpg", picture(2))
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert library(house) == {b"b.jpg": picture(2)}
    assert (house.root / "other/a.jpg").exists()


async def test_a_library_is_renamed_while_its_watch_files(house: House) -> None:
    async with house.life() as steering:
        await steering.rest()
        for number in range(60):
            house.put(f"inbox/{number}.jpg", picture(number))
        watcher = steering.pipeline.serving["inbox"].watcher
        assert watcher is not None
        watcher.mark_everything()
        await steering.until(lambda: steering.pipeline.tracker.flying > 0)
        house.settings["library"]["pictures"] = house.settings["library"].pop("photos")
        house.settings["watch"]["inbox"]["library"] = "pictures"
        await steering.call("Reload")
        await steering.until(lambda: steering.pipeline.shelves["pictures"].online)
        house.clock.ahead += 120.0
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert len(library(house)) == 60
        assert (await steering.totals())["filed"] == 60


async def test_two_libraries_swap_their_names(house: House) -> None:
    house.settings["library"]["films"] = {"path": folder(house, "films"), "min_free": "0", "layout": "{name}"}
    house.settings["watch"]["inbox"]["library"] = "photos"
    house.put("inbox/a.jpg", picture(1))
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        libraries = house.settings["library"]
        libraries["films"], libraries["photos"] = libraries["photos"], libraries["films"]
        await steering.call("Reload")
        shelves = steering.pipeline.shelves
        await steering.until(lambda: all(shelves[name].online for name in ("films", "photos")))
        house.settings["watch"]["inbox"]["library"] = "films"
        await steering.call("Reload")
        house.put("inbox/b.jpg", picture(2))
        house.put("inbox/again.jpg", picture(1))
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert library(house) == {b"a.jpg": picture(1), b"b.jpg": picture(2)}
        assert library(house, "films") == {}


async def test_one_whose_disk_is_away_swaps_its_name_once_that_is_there(house: House) -> None:
    house.settings["library"]["films"] = {"path": folder(house, "films"), "min_free": "0"}
    house.settings["watch"]["inbox"]["library"] = "photos"
    async with house.life() as steering:
        assert await steering.rest() == "idle"
    (house.root / "films").rename(house.root / "away")
    folder(house, "films")  # what it is mounted on
    libraries = house.settings["library"]
    libraries["films"], libraries["photos"] = libraries["photos"], libraries["films"]
    async with house.life() as steering:
        shelves = steering.pipeline.shelves
        await steering.until(lambda: shelves["films"].online)
        await shelves.look(shelves["photos"])
        assert "its marker .mediad/library.toml is missing" in shelves["photos"].error
        (house.root / "films").rmdir()
        (house.root / "away").rename(house.root / "films")
        await shelves.look(shelves["photos"])
        assert shelves["photos"].online


async def test_another_disk_in_a_librarys_place_is_no_swap(house: House) -> None:
    house.settings["library"]["films"] = {"path": folder(house, "films"), "min_free": "0"}
    house.settings["watch"]["inbox"]["library"] = "photos"
    async with house.life() as steering:
        assert await steering.rest() == "idle"
    libraries = house.settings["library"]
    libraries["photos"]["path"], libraries["films"]["path"] = libraries["films"]["path"], folder(house, "new")
    async with house.life() as steering:
        shelf = steering.pipeline.shelves["photos"]
        await steering.until(lambda: "another library is there" in shelf.error)


async def test_a_caller_who_leaves_does_not_cut_a_reload_in_two(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(path: str) -> Filesystem:
        inside.set()
        go.wait(LIMIT)
        return filesystem(path)

    async with house.life() as steering:
        await steering.rest()
        monkeypatch.setattr(serving, "filesystem", slow)
        house.settings["watch"]["more"] = house.watched("more")
        folder(house, "more")
        async with anyio.create_task_group() as calls:
            calls.start_soon(steering.call, "Reload")
            await steering.until(inside.is_set)
            calls.cancel_scope.cancel()
            go.set()
        await steering.until(lambda: "more" in steering.pipeline.serving)
        house.put("more/a.jpg", picture(1))
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert library(house) == {b"a.jpg": picture(1)}


async def test_a_watch_leaves_again_before_it_has_begun(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves while it is looked at what it lies on, and another one while that one waits for its turn."""
    async with house.life() as steering:
        await steering.rest()
        serving_now = steering.pipeline.serving
        before = steering.pipeline.config
        add = serving_now._add

        async def late(name: str) -> Entry:
            entry = await add(name)
            serving_now.adopt(before)
            return entry

        monkeypatch.setattr(serving_now, "_add", late)
        for name in ("card", "phone"):
            house.settings["watch"][name] = house.watched(name)
            folder(house, name)
        wanted = await anyio.to_thread.run_sync(house.config)
        serving_now.adopt(wanted)
        await serving_now._start_wanted()
        assert set(serving_now) == {"inbox"}
