"""Library files are looked at in the background; what looks alike is found, and told by `Duplicates`."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mediad.analysing import analyser, opening
from mediad.errors import CatalogueBroken
from mediad.files import Tree
from mediad.ingest.pulse import Hung
from mediad.media.prints import likeness
from mediad.media.prints.likeness import NO_FFMPEG, Print
from mediad.media.reading import File
from mediad.store import fingerprints
from mediad.store.fingerprints import ToDo
from tests import samples
from tests.printing import Made, picture
from tests.steering import House, Steering

pytestmark = pytest.mark.anyio

TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
ONE, TWO, THREE = (samples.jpeg(TAKEN, seed=seed, size=(32, 24)) for seed in (1, 2, 3))
NEAR = 0b111  # three bits from 0


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.prints = Made(
        {ONE: picture(0), TWO: picture(NEAR, size=(1280, 960)), THREE: picture((1 << 64) - 1)}
    )
    return house


async def looked_at(steering: Steering) -> None:
    """Wait until nothing is left to be looked at."""
    await steering.rest()
    await steering.until(lambda: steering.pipeline.analyser.to_analyse == 0)


async def to_analyse(steering: Steering) -> int:
    return int((await steering.call("Status"))["queue"]["to_analyse"])


async def groups(steering: Steering, kind: str = "similar") -> list[tuple[int, str, list[str]]]:
    """Distance, the best, and all; names without their folders."""
    answer = await steering.call("Duplicates", similar=True)
    return [
        (group["distance"], _name(group["best"]), [_name(file["path"]) for file in group["files"]])
        for group in answer["groups"]
        if group["kind"] == kind
    ]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


async def test_a_stop_waits_for_no_comparisons() -> None:
    one = picture(0)
    others, looks = [(number, likeness.encode(one)) for number in range(4)], iter((False, False, True))
    assert len(analyser.judged(one, others, lambda: next(looks))) == 2


async def test_look_alikes_are_found_and_only_reported(house: House) -> None:
    async with house.life() as steering:
        for name, content in (("a.jpg", ONE), ("b.jpg", TWO), ("c.jpg", THREE)):
            house.put(f"inbox/{name}", content)
        await looked_at(steering)
        assert await groups(steering) == [(3, "b.jpg", ["b.jpg", "a.jpg"])]
        assert (await steering.call("Duplicates"))["groups"] == []
        assert (await steering.totals())["filed"] == 3
        (group,) = (await steering.call("Duplicates", similar=True))["groups"]
        assert [(file["width"], file["height"]) for file in group["files"]] == [(1280, 960), (640, 480)]
        house.settings["duplicates"] = {"similar_distance": 2}
        await steering.call("Reload")
        assert await groups(steering) == []


async def test_what_is_still_to_be_looked_at_is_counted_and_outlasts_a_stop(house: House) -> None:
    made, house.prints = house.prints, None
    house.put("photos/old.jpg", ONE)
    async with house.life() as steering:
        house.put("inbox/b.jpg", TWO)
        assert await steering.rest() == "idle"
        assert await steering.queue() == {}
        assert await to_analyse(steering) == 2
        assert (await steering.call("Duplicates", similar=True))["to_analyse"] == 2
    house.prints = made
    async with house.life() as steering:
        await looked_at(steering)
        assert await groups(steering) == [(3, "b.jpg", ["b.jpg", "old.jpg"])]
        assert (await steering.call("Duplicates"))["unread"] == 0


async def test_companions_sidecars_and_copies_are_not_looked_at(house: House) -> None:
    made = house.prints
    assert isinstance(made, Made)
    house.put("photos/notes.txt", b"no media")
    house.put("photos/copy.jpg", ONE)
    still, moving = samples.live_photo(TAKEN, seed=2)
    async with house.life() as steering:
        for name, content in (("a.jpg", ONE), ("live.jpg", still), ("live.mov", moving)):
            house.put(f"inbox/{name}", content)
        await looked_at(steering)
    assert sorted(made.seen) == [(b"copy.jpg", "jpeg"), (b"live.jpg", "jpeg")]


async def test_switched_off_nothing_is_looked_at_and_switched_on_it_is(house: House) -> None:
    house.settings["duplicates"] = {"similar": "off"}
    made = house.prints
    assert isinstance(made, Made)
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await steering.rest()
        assert await to_analyse(steering) == 0
        assert (await steering.call("Duplicates", similar=True))["to_analyse"] is None
        assert made.seen == []
        house.settings["duplicates"] = {"similar": "report"}
        await steering.call("Reload")
        await looked_at(steering)
        assert len(await groups(steering)) == 1


async def test_same_payload(house: House) -> None:
    made = house.prints
    assert isinstance(made, Made)
    for content in (ONE, TWO):
        made.says[content] = picture(0, payload=b"p" * 32)
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await looked_at(steering)
        assert await groups(steering) == []
        assert [sorted(files) for *_, files in await groups(steering, "payload")] == [["a.jpg", "b.jpg"]]


async def test_pausing_holds_it_up(house: House) -> None:
    made = house.prints
    house.prints = None
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        await steering.rest()
        await steering.call("Pause")
    assert isinstance(made, Made)
    house.prints = made
    async with house.life() as steering:
        await steering.rest()
        assert await to_analyse(steering) == 1
        assert made.seen == []
        await steering.call("Resume")
        await looked_at(steering)
        assert len(made.seen) == 1


async def test_a_file_that_cannot_be_read_is_put_off_and_costs_nobody_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = house.prints
    assert isinstance(made, Made)
    made.says[ONE] = Print("", failed="reading failed: the disk is ill")
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await looked_at(steering)
        assert sorted(made.seen) == [(b"a.jpg", "jpeg"), (b"b.jpg", "jpeg")]
        (story,) = (await steering.call("Why", path="a.jpg"))["stories"]
        assert story["not_compared"] == "reading failed: the disk is ill"
        made.says[ONE] = picture(0)
        house.clock.ahead += 700.0
        steering.pipeline.stages.nudge()
        await steering.until(lambda: len(made.seen) == 3)
        await looked_at(steering)
        assert len(await groups(steering)) == 1
        (story,) = (await steering.call("Why", path="a.jpg"))["stories"]
        assert story["not_compared"] is None


async def test_a_library_that_hangs_is_left_alone_for_a_while(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = house.prints
    assert isinstance(made, Made)
    open_it = opening.open_it
    asked: list[bytes] = []

    def hang(tree: Tree, todo: ToDo) -> int:
        asked.append(todo.path)
        raise Hung

    monkeypatch.setattr(analyser, "open_it", hang)
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await steering.rest()
        await steering.until(lambda: asked)
        await steering.until(lambda: not steering.pipeline.tracker.flying)
        assert (await to_analyse(steering), made.seen) == (2, []), "nothing is held against its files"
        monkeypatch.setattr(analyser, "open_it", open_it)
        monkeypatch.setattr(analyser, "_RECOVERY", 0.0)
        steering.pipeline.stages.nudge()
        await looked_at(steering)
        assert len(await groups(steering)) == 1


async def test_what_is_gone_is_put_off_and_a_catalogue_that_fails_is_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = house.prints
    assert isinstance(made, Made)
    page = fingerprints.page
    failing = [True]

    def fail(*arguments: Any, **more: Any) -> Any:
        if failing and failing.pop():
            raise CatalogueBroken("the disk is full")
        return page(*arguments, **more)

    monkeypatch.setattr(fingerprints, "page", fail)
    monkeypatch.setattr(analyser, "_RECOVERY", 0.01)
    house.prints = None
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        await steering.rest()
    (house.root / "photos/2021/2021-07-10/a.jpg").rename(house.root / "elsewhere.jpg")
    house.prints = made
    async with house.life() as steering:
        house.put("inbox/b.jpg", TWO)
        await looked_at(steering)
        assert [name for name, _ in made.seen] == [b"b.jpg"]
        (story,) = (await steering.call("Why", path="a.jpg"))["stories"]
        assert story["not_compared"] == "No such file or directory"


async def test_a_file_that_changes_meanwhile_is_not_believed(house: House) -> None:
    made = house.prints
    assert isinstance(made, Made)

    def edit(file: File) -> None:
        if file.name == b"a.jpg":
            house.put("photos/2021/2021-07-10/a.jpg", b"edited")

    made.before = edit
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await looked_at(steering)
        assert await groups(steering) == []


async def test_without_ffmpeg_films_wait_for_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = house.prints
    assert isinstance(made, Made)
    made.says[ONE] = Print("film", b"p" * 32, failed=NO_FFMPEG)
    there: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda name: next(iter(there), None))
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        await looked_at(steering)
        (matter,) = (await steering.call("Status"))["attention"]
        assert (matter["code"], matter["command"]) == ("no-ffmpeg", "sudo apt-get install ffmpeg")
    async with house.life() as steering:
        await steering.until(lambda: steering.pipeline.analyser.lacking == 1)
        there.append("/usr/bin/ffmpeg")
        made.says[ONE] = picture(0)
        await steering.call("Reload")
        await steering.until(lambda: len(made.seen) == 2)
        await looked_at(steering)
        assert (await steering.call("Status"))["attention"] == []


async def test_prints_of_other_versions_are_made_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = house.prints
    assert isinstance(made, Made)
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await looked_at(steering)
    monkeypatch.setattr(analyser, "VERSION", likeness.VERSION + 1)
    async with house.life() as steering:
        await steering.until(lambda: len(made.seen) == 4)
        await looked_at(steering)
        assert len(await groups(steering)) == 1


async def test_trash_takes_a_file_from_its_group_and_undo_brings_it_back(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        house.put("inbox/b.jpg", TWO)
        await looked_at(steering)
        place = str(house.root / "photos/2021/2021-07-10/a.jpg")
        await steering.call("Trash", paths=[place])
        assert await groups(steering) == []
        await steering.call("Undo")
        await looked_at(steering)
        assert len(await groups(steering)) == 1


async def test_who_follows_is_told(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", ONE)
        await looked_at(steering)
        with steering.pipeline.events.following() as follower:
            house.put("inbox/b.jpg", TWO)
            await looked_at(steering)
            told: list[Any] = []
            while not any(event.kind == "alike" for event in told):
                told += (await follower.take())[0]
        (event,) = [event for event in told if event.kind == "alike"]
        assert (event.state, event.reason) == ("similar", "distance 3")
        assert [_name(str(path)) for path in (event.path, event.destination)] == ["b.jpg'", "a.jpg'"]
