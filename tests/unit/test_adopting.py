"""Adopting: what lies in a library is catalogued where it lies, and nothing else happens to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import apsw
import pytest

from mediad.control.protocol import InvalidParameter
from mediad.errors import LibraryOffline, NoSuchName, Refused
from mediad.media.wire import MOST_FILES
from mediad.store import adopted
from tests import samples
from tests.steering import House, Steering, other
from tests.system.once import TAKEN, picture
from tests.trees import files

pytestmark = pytest.mark.anyio

NUMBERS = (
    *("adopted", "companions", "undated", "doubtful", "duplicates", "already"),
    *("not_media", "unreadable", "failed"),
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house in which everything has been at rest for an hour."""
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    return found


def numbers(reply: Mapping[str, Any]) -> dict[str, int]:
    return {word: reply[word] for word in NUMBERS if reply[word]}


def states(root: Path) -> dict[str, tuple[int, ...]]:
    """All that must not change in a library, but for what reading changes."""
    found: dict[str, tuple[int, ...]] = {}
    for path in root.rglob("*"):
        if ".mediad" not in path.parts:
            stat = path.lstat()
            found[str(path)] = (stat.st_mode, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return found


def fill(house: House, count: int, folder: str = "photos") -> None:
    """Pictures of so many kinds, each in a folder of its own."""
    for number in range(count):
        house.put(f"{folder}/{number}/IMG_{number}.jpg", picture(number))


async def rows(steering: Steering, sql: str, *values: object) -> list[tuple[Any, ...]]:
    return await steering.database.run(lambda connection: connection.execute(sql, values).fetchall())


async def roles(steering: Steering) -> dict[str, tuple[str, int | None]]:
    found = await rows(steering, "SELECT path, role, item FROM file WHERE NOT missing ORDER BY path")
    return {os.fsdecode(path): (role, item) for path, role, item in found}


async def test_a_library_with_everything_in_it(house: House) -> None:
    house.put("photos/old/a.jpg", picture(1))
    house.put("photos/old/a.xmp", samples.xmp_sidecar(rating=1))
    still, film = samples.live_photo(TAKEN, seed=2)
    house.put("photos/live.jpg", still)
    house.put("photos/live.mov", film)
    house.put("photos/twin one.jpg", picture(3))
    house.put("photos/twin two.jpg", picture(3))
    house.put("photos/undated \udcff.png", samples.png(seed=4, size=(16, 16)))
    house.put("photos/IMG_20190102_030405.png", samples.png(seed=5, size=(16, 16)))
    broken = house.put("photos/broken.jpg", samples.broken_jpeg())
    house.put("photos/broken.xmp", samples.xmp_sidecar(rating=2))
    house.put("photos/lonely.xmp", samples.xmp_sidecar(rating=3))
    house.put("photos/notes.txt", b"no media")
    house.put("photos/empty.jpg", b"")
    house.put("photos/.hidden/x.jpg", picture(6))
    os.symlink("/etc/passwd", house.root / "photos" / "link.jpg")
    os.mkfifo(house.root / "photos" / "fifo.jpg")
    before, content = states(house.root / "photos"), files(house.root / "photos")
    async with house.life() as steering:
        forecast = await steering.call("Adopt", library="photos", dry_run=True)
        assert (await steering.call("History"))["rows"] == []
        assert {role for role, _ in (await roles(steering)).values()} == {"found"}
        reply = await steering.call("Adopt", library="photos")
        assert (forecast["state"], reply["state"], forecast["batch"]) == ("planned", "done", None)
        found = numbers(reply)
        not_media = found.pop("not_media")
        assert not_media >= 5
        assert found == {"adopted": 7, "companions": 2, "undated": 1, "duplicates": 1, "unreadable": 2}
        assert numbers(forecast) == {**found, "not_media": not_media}
        assert {(one["path"], one["outcome"]) for one in reply["left"]} == {
            (os.fsdecode(broken), "unreadable"),
            (os.fsdecode(broken).replace(".jpg", ".xmp"), "unreadable"),
        }
        assert reply["files_done"] == reply["files"]
        lies = await roles(steering)
        assert lies["old/a.jpg"] == ("principal", lies["old/a.xmp"][1])
        assert lies["old/a.xmp"][0] == lies["live.mov"][0] == "companion"
        assert lies["live.jpg"] == ("principal", lies["live.mov"][1])
        assert lies["broken.jpg"] == lies["lonely.xmp"] == lies["notes.txt"] == ("found", None)
        assert await steering.totals() == {}
        assert await steering.queue() == {}
        assert (await steering.call("Status"))["libraries"][0]["state"] == "online"
    assert states(house.root / "photos") == before
    assert files(house.root / "photos", without={b".mediad"}) == content
    assert files(house.root / "photos" / ".mediad").keys() == {b"library.toml", b"lock"}


async def test_history_and_why_tell_of_it(house: House) -> None:
    path = os.fsdecode(house.put("photos/a.jpg", picture(1)))
    house.put("photos/a.xmp", samples.xmp_sidecar(rating=1))
    house.put("photos/20190102.png", samples.png(seed=2, size=(16, 16)))
    async with house.life() as steering:
        reply = await steering.call("Adopt", library="photos")
        history = (await steering.call("History"))["rows"]
        row = next(row for row in history if row["destination"] == path)
        assert {row["action"] for row in history} == {"adopt"}
        assert {row["batch"] for row in history} == {reply["batch"]}
        assert (row["outcome"], row["kind"], row["taken"]) == ("filed", "photo", TAKEN.isoformat())
        assert row["item"] == next(row for row in history if row["destination"].endswith(".xmp"))["item"]
        (story,) = (await steering.call("Why", path=path))["stories"]
        assert (story["source"], story["origin"], story["code"]) == (None, "", "adopted")
        assert (story["taken_source"], story["place"], story["place_state"]) == ("exif", path, "there")
        assert [step["action"] for step in story["steps"]] == ["adopt"]
        assert "nobody had it open" in story["settled"] or "cannot be told" in story["settled"]
        doubtful = (await steering.call("History", doubtful=True))["rows"]
        assert len(doubtful) == reply["doubtful"]


async def test_again_and_what_has_come_since(house: House) -> None:
    fill(house, 2)
    async with house.life() as steering:
        first = await steering.call("Adopt", library="photos")
        again = await steering.call("Adopt", library="photos")
        assert (numbers(again), again["batch"]) == ({"already": 2}, None)
        item = (await roles(steering))["1/IMG_1.jpg"][1]
        house.put("photos/1/IMG_1.xmp", samples.xmp_sidecar(rating=1))
        house.put("photos/new.jpg", picture(7))
        house.put("photos/0/IMG_0.jpg", picture(8))
        third = await steering.call("Adopt", library="photos")
        assert numbers(third) == {"adopted": 1, "companions": 1, "already": 2}
        assert third["batch"] > first["batch"]
        assert (await roles(steering))["1/IMG_1.xmp"] == ("companion", item)
        ((digest,),) = await rows(steering, "SELECT digest FROM file WHERE path = ?", b"0/IMG_0.jpg")
        seen = await rows(steering, "SELECT digest FROM arrival WHERE path = ?", b"0/IMG_0.jpg")
        assert [(digest,)] != seen, "what was edited is known, and its story is the old one"


async def test_a_caller_who_goes_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(house, 3 * MOST_FILES)
    scope, take_over = anyio.CancelScope(), adopted.take_over

    def and_away(*arguments: Any) -> adopted.Counts:
        counts = take_over(*arguments)
        anyio.from_thread.run_sync(scope.cancel)
        return counts

    async with house.life() as steering:
        monkeypatch.setattr(adopted, "take_over", and_away)
        with scope:
            await steering.call("Adopt", library="photos")
        assert scope.cancelled_caught
        monkeypatch.undo()
        done = sum(item is not None for _, item in (await roles(steering)).values())
        assert 0 < done < 3 * MOST_FILES
        reply = await steering.call("Adopt", library="photos")
        assert numbers(reply) == {"adopted": 3 * MOST_FILES - done, "already": done}
        ((count,),) = await rows(steering, "SELECT count(*) FROM step WHERE action = 'adopt'")
        assert count == 3 * MOST_FILES
        assert (await rows(steering, "SELECT count(*) FROM batch WHERE ended IS NULL")) == [(0,)]


async def test_filing_goes_on_and_what_is_moved_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("photos/a.jpg", picture(1))
    house.put("photos/b.jpg", picture(2))
    reading, go_on = anyio.Event(), anyio.Event()
    async with house.life() as steering:
        identifier = steering.pipeline.stages.identifier
        identify = identifier.identify

        async def later(batch: Sequence[Any], *rest: Any) -> Any:
            found = await identify(batch, *rest)
            if batch[0].members[0].watch.startswith("library:"):
                reading.set()
                await go_on.wait()
            return found

        monkeypatch.setattr(identifier, "identify", later)
        async with anyio.create_task_group() as tasks:
            replies: list[dict[str, Any]] = []

            async def adopt() -> None:
                replies.append(await other(steering).call("Adopt", library="photos"))

            tasks.start_soon(adopt)
            await reading.wait()
            status = await steering.call("Status")
            assert status["libraries"][0]["state"] == "adopting"
            assert status["in_flight"] == []
            with pytest.raises(Refused, match="being adopted already"):
                await steering.call("Adopt", library="photos", dry_run=True)
            house.put("inbox/new.jpg", picture(3))
            assert await steering.rest() == "idle"
            assert (await steering.totals())["filed"] == 1
            await steering.database.run(_intent(b"b.jpg"))
            go_on.set()
        (reply,) = replies
        assert numbers(reply) == {"adopted": 1, "failed": 1}
        assert reply["left"][0]["path"].endswith("/b.jpg")


def _intent(path: bytes) -> Callable[[apsw.Connection], None]:
    """Something is about to be done with a library file."""

    def write(connection: apsw.Connection) -> None:
        connection.execute(
            "INSERT INTO step (id, item, batch, arrival, action, state, origin, source, time)"
            " SELECT 1000, 1000, batch, arrival, 'trash', 'intent', library, ?, 0 FROM step LIMIT 1",
            (path,),
        )

    return write


async def test_adopted_files_are_witnesses(house: House) -> None:
    house.put("photos/a.jpg", picture(1))
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        house.put("inbox/again.jpg", picture(1))
        assert await steering.rest() == "idle"
        assert await steering.totals() == {"duplicate": 1}
        (story,) = (await steering.call("Why", path=str(house.root / "inbox/again.jpg")))["stories"]
        assert story["steps"][0]["witness"] == str(house.root / "photos/a.jpg")


async def test_equal_files_that_were_read_before_are_counted_once(house: House) -> None:
    house.put("photos/twin one.jpg", picture(1))
    house.put("photos/twin two.jpg", picture(1))
    house.put("inbox/a.jpg", picture(1))
    async with house.life() as steering:
        await steering.call("Scan")
        await steering.rest()
        assert await steering.totals() == {"duplicate": 1}
        assert await rows(steering, "SELECT count(digest) FROM file") == [(2,)]
        assert (await steering.call("Adopt", library="photos"))["duplicates"] == 1


async def test_an_adoption_is_undone_and_done_again(house: House) -> None:
    house.put("photos/a.jpg", picture(1))
    house.put("photos/a.xmp", samples.xmp_sidecar(rating=1))
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        before = files(house.root / "photos", without={b".mediad"})
        reply = await steering.call("Undo")
        assert (reply["done"], reply["refused"]) == (2, 0)
        assert set((await roles(steering)).values()) == {("found", None)}
        assert numbers(await steering.call("Adopt", library="photos")) == {"adopted": 1, "companions": 1}
        assert files(house.root / "photos", without={b".mediad"}) == before
        assert await steering.totals() == {}


async def test_the_library_goes_away_meanwhile(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(house, 9 * MOST_FILES)
    photos, away = house.root / "photos", house.root / "away"
    take_over = adopted.take_over

    def and_unplugged(*arguments: Any) -> adopted.Counts:
        counts = take_over(*arguments)
        if photos.exists():
            photos.rename(away)
        return counts

    async with house.life() as steering:
        monkeypatch.setattr(adopted, "take_over", and_unplugged)
        with pytest.raises(LibraryOffline):
            await steering.call("Adopt", library="photos")
        assert (await steering.call("Status"))["libraries"][0]["state"] == "offline"
        monkeypatch.undo()
        away.rename(photos)
        await steering.call("Scan")
        reply = await steering.call("Adopt", library="photos")
        assert reply["adopted"] + reply["already"] == 9 * MOST_FILES
        assert set(numbers(reply)) == {"adopted", "already"}


async def test_what_cannot_be_read_now_is_tried_again(house: House) -> None:
    path = house.put("photos/a.jpg", picture(1))
    house.put("photos/b.jpg", picture(2))
    async with house.life() as steering:
        descriptor = os.open(path, os.O_WRONLY)  # somebody writes to it
        try:
            reply = await steering.call("Adopt", library="photos")
        finally:
            os.close(descriptor)
        assert numbers(reply) == {"adopted": 1, "failed": 1}
        assert "open for writing" in reply["left"][0]["reason"]
        assert numbers(await steering.call("Adopt", library="photos")) == {"adopted": 1, "already": 1}


async def test_how_a_library_is_named(house: House) -> None:
    house.put("photos/a.jpg", picture(1))
    os.symlink(house.root / "photos", house.root / "link")
    async with house.life() as steering:
        for path in (house.root / "photos", house.root / "link"):
            assert (await steering.call("Adopt", path=str(path), dry_run=True))["library"] == "photos"
        with pytest.raises(NoSuchName, match='did you mean "photos"'):
            await steering.call("Adopt", library="photo")
        with pytest.raises(Refused, match=r"no library of the configuration.*library.NAME"):
            await steering.call("Adopt", path=str(house.root / "inbox"))
        with pytest.raises(InvalidParameter):
            await steering.call("Adopt")
        with pytest.raises(InvalidParameter):
            await steering.call("Adopt", library="photos", path=str(house.root / "photos"))


async def test_a_paused_or_full_library_is_adopted_too(house: House) -> None:
    house.put("photos/a.jpg", picture(1))
    house.settings["library"]["photos"]["min_free"] = "9000TB"
    async with house.life() as steering:
        await steering.call("Pause", names=["photos"])
        assert (await steering.call("Status"))["libraries"][0]["state"] == "full"
        assert numbers(await steering.call("Adopt", library="photos")) == {"adopted": 1}


# --- The marker --------------------------------------------------------------------------------------


def marker(house: House, folder: str = "photos") -> Path:
    return house.root / folder / ".mediad" / "library.toml"


async def lose_marker(house: House, steering: Steering, content: bytes | None = None) -> None:
    """The library is offline for want of its marker."""
    marker(house).unlink()
    if content is not None:
        marker(house).write_bytes(content)
    await steering.call("Scan")
    await steering.call("Scan")
    assert (await steering.call("Status"))["libraries"][0]["state"] == "offline"


@pytest.mark.parametrize("content", [None, b"", b"id ="])
async def test_a_lost_marker_is_written_again(house: House, content: bytes | None) -> None:
    fill(house, 3)
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        text = marker(house).read_bytes()
        await lose_marker(house, steering, content)
        (needs,) = (await steering.call("Status"))["attention"]
        assert needs["command"] == "mediactl adopt photos"
        forecast = await steering.call("Adopt", library="photos", dry_run=True)
        assert (forecast["blessed"], numbers(forecast)) == (True, {"already": 3})
        assert marker(house).exists() == (content is not None)
        reply = await steering.call("Adopt", library="photos")
        assert (reply["blessed"], numbers(reply)) == (True, {"already": 3})
        assert marker(house).read_bytes().splitlines()[0] == text.splitlines()[0]
        assert (await steering.call("Status"))["libraries"][0]["state"] == "online"
        assert not (await steering.call("Adopt", library="photos"))["blessed"]


@pytest.mark.parametrize(
    ("lost", "refusal"),
    [
        (20, "of 20 catalogued files none are there"),
        (3, "of 20 catalogued files 17 are there"),
    ],
)
async def test_another_folder_is_not_taken_for_it(house: House, lost: int, refusal: str) -> None:
    fill(house, 20)
    photos = house.root / "photos"
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        shutil.rmtree(photos / ".mediad")
        for number in range(lost):
            shutil.rmtree(photos / str(number))
        await steering.call("Scan")
        await steering.call("Scan")
        for dry_run in (True, False):
            with pytest.raises(Refused, match=refusal):
                await steering.call("Adopt", library="photos", dry_run=dry_run)
        assert not (photos / ".mediad").exists()


async def test_a_library_that_has_lost_little_is_the_same(house: House) -> None:
    fill(house, 20)
    async with house.life() as steering:
        shutil.rmtree(house.root / "photos" / ".mediad")
        shutil.rmtree(house.root / "photos" / "7")
        os.truncate(house.root / "photos" / "8" / "IMG_8.jpg", 3)
        await steering.call("Scan")
        await steering.call("Scan")
        reply = await steering.call("Adopt", library="photos")
        assert (reply["blessed"], reply["adopted"]) == (True, 18)


async def test_a_copy_that_has_other_content_is_not_the_library(house: House) -> None:
    """A backup at the library's path, by size and time as recorded."""
    fill(house, 3)
    photos, file = house.root / "photos", house.root / "photos" / "1" / "IMG_1.jpg"
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        photos.rename(house.root / "real")
        shutil.copytree(house.root / "real", photos, ignore=shutil.ignore_patterns(".mediad"))
        await steering.call("Scan")
        right, stat = file.read_bytes(), file.stat()
        file.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        with pytest.raises(Refused, match="may be a copy"):
            await steering.call("Adopt", library="photos")
        assert not (photos / ".mediad").exists()
        file.write_bytes(right)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert (await steering.call("Adopt", library="photos"))["blessed"]


async def test_a_library_without_files_proves_nothing(house: House) -> None:
    async with house.life() as steering:
        await lose_marker(house, steering)
        house.put("photos/a.jpg", picture(1))
        with pytest.raises(Refused, match="no file of it is catalogued"):
            await steering.call("Adopt", library="photos")


async def test_the_marker_of_another_library_stays(house: House) -> None:
    fill(house, 3)
    foreign = b'id = "another"\n'
    async with house.life() as steering:
        await lose_marker(house, steering, foreign)
        for dry_run in (True, False):
            with pytest.raises(LibraryOffline, match="another library is there"):
                await steering.call("Adopt", library="photos", dry_run=dry_run)
        assert marker(house).read_bytes() == foreign


async def test_a_copy_of_a_library_that_is_still_there(house: House) -> None:
    fill(house, 3)
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        shutil.copytree(house.root / "photos", house.root / "copy", ignore=shutil.ignore_patterns(".mediad"))
        house.settings["library"]["photos"]["path"] = str(house.root / "copy")
        await steering.call("Reload")
        await steering.until(lambda: steering.pipeline.shelves["photos"].settings.path.endswith("copy"))
        await steering.call("Scan")
        with pytest.raises(Refused, match="is still at"):
            await steering.call("Adopt", library="photos")
        shutil.rmtree(house.root / "photos")
        reply = await steering.call("Adopt", library="photos")
        assert (reply["blessed"], numbers(reply)) == (True, {"already": 3})
        assert marker(house, "copy").exists()
