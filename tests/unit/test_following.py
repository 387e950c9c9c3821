"""Library files that somebody renamed are the same files for whoever names them where they are now."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from mediad.errors import LibraryOffline, NotKnown
from mediad.keeping import verify_look
from tests import samples
from tests.steering import LIMIT, House, Steering
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def filed(house: House, steering: Steering, *names: str) -> list[Path]:
    """Where these are after they were filed."""
    for number, name in enumerate(names):
        house.put(f"inbox/{name}", picture(number))
    await steering.call("Scan")
    await steering.rest()
    return [next((house.root / "photos").rglob(name)) for name in names]


def named(*paths: Path) -> list[str]:
    return [os.fspath(path) for path in paths]


async def done(steering: Steering, method: str, *paths: Path, **parameters: Any) -> tuple[int, int]:
    """How many files a command changed, and how many it refused."""
    answer = await steering.call(method, paths=named(*paths), **parameters)
    return answer["done"], answer["refused"]


@pytest.mark.parametrize("seen", [False, True])
async def test_a_renamed_file_is_refiled_only_if_it_is_named(house: House, seen: bool) -> None:
    async with house.life() as steering:
        (path,) = await filed(house, steering, "a.jpg")
        mine = house.root / "photos" / "mine" / "b.jpg"
        mine.parent.mkdir()
        path.rename(mine)
        if seen:
            await steering.call("Verify", more=True)
            assert (await steering.call("Status"))["attention"] == []
        assert (await steering.call("Refile", paths=None, library="photos"))["done"] == 0
        assert mine.exists()
        assert await done(steering, "Refile", mine, dry_run=True) == (1, 0)
        assert mine.exists()
        assert await done(steering, "Refile", mine) == (1, 0)
        assert path.exists()
        assert not mine.exists()


async def test_a_renamed_file_is_known_after_a_restart(house: House) -> None:
    async with house.life() as steering:
        (path,) = await filed(house, steering, "a.jpg")
        path.rename(path.with_name("b.jpg"))
    async with house.life() as steering:
        assert await done(steering, "Date", path.with_name("b.jpg"), set="1999-05-05T00:00:00") == (1, 0)
        assert len(list((house.root / "photos").glob("1999/1999-05-05/*.jpg"))) == 1


@pytest.mark.parametrize("noticed", [False, True])
async def test_why_of_a_renamed_file_tells_its_story(house: House, noticed: bool) -> None:
    async with house.life() as steering:
        (path,) = await filed(house, steering, "a.jpg")
        mine = path.with_name("b.jpg")
        path.rename(mine)
        if noticed:
            await steering.call("Scan")
        (story,) = (await steering.call("Why", path=os.fspath(mine)))["stories"]
        assert story["source"] == os.fspath(house.root / "inbox" / "a.jpg")
        assert (story["place"], story["place_state"]) == (os.fspath(mine), "there")
        house.put("inbox/a.xmp", samples.xmp_sidecar(rating=1))
        await steering.rest()
        assert mine.with_suffix(".xmp").exists()
        with pytest.raises(NotKnown):
            await steering.call("Why", path=os.fspath(path.parent))


async def test_why_waits_for_no_library_that_does_not_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang(*_args: object) -> None:
        asked.set()
        answer.wait()

    monkeypatch.setattr(verify_look, "read_again", hang)
    async with house.life() as steering:
        (path,) = await filed(house, steering, "a.jpg")
        path.rename(path.with_name("b.jpg"))

        async def go_offline() -> None:
            await steering.until(asked.is_set)
            shelves = steering.pipeline.shelves
            shelves.fault(shelves["photos"], LibraryOffline("hung"))

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(go_offline)
                with pytest.raises(NotKnown), anyio.fail_after(LIMIT):
                    await steering.call("Why", path=os.fspath(path.with_name("b.jpg")))
        finally:
            answer.set()


async def test_all_in_a_renamed_folder_goes_into_trash_and_comes_back(house: House) -> None:
    async with house.life() as steering:
        paths = await filed(house, steering, "a.jpg", "b.jpg")
        folder = paths[0].parent
        folder.rename(folder.with_name("beach"))
        beach = [folder.with_name("beach") / path.name for path in paths]
        assert await done(steering, "Trash", folder.with_name("beach")) == (2, 0)
        assert not any(path.exists() for path in beach)
        assert (await steering.call("Undo"))["done"] == 2
        assert all(path.exists() for path in beach)


async def test_a_renamed_file_that_is_accepted_is_no_new_one(house: House) -> None:
    async with house.life() as steering:
        (path,) = await filed(house, steering, "a.jpg")
        path.rename(path.with_name("b.jpg"))
        answer = await steering.call("Verify", paths=named(path.with_name("b.jpg")), accept=True, more=True)
        assert answer["counts"]["ok"] == 1
        whole = await steering.call("Verify", more=True)
        assert (whole["counts"]["ok"], whole["counts"]["moved"]) == (1, 0)


@pytest.mark.parametrize("other", ["copy", "content", "time"])
async def test_what_only_resembles_a_file_is_not_it(house: House, other: str) -> None:
    async with house.life() as steering:
        (path,) = await filed(house, steering, "a.jpg")
        times = path.stat()
        content = path.read_bytes()
        stray = path.with_name("b.jpg")
        stray.write_bytes(bytes(len(content)) if other == "content" else content)
        os.utime(stray, ns=(0, 0 if other == "time" else times.st_mtime_ns))
        if other != "copy":
            path.unlink()
        with pytest.raises(NotKnown):
            await done(steering, "Refile", stray)
