"""Members of a set that come at different times, filed, told, taken back and brought again."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import anyio.to_thread
import apsw
import pytest

from mediad.ingest.preview import Preview
from mediad.keeping import gatherer
from mediad.store.database import Database, open_copy
from tests import samples
from tests.crash.faulty import Faults, FaultyFiles
from tests.crash.scene import Reader as ReadingPool
from tests.steering import House, Steering
from tests.system.once import TAKEN, picture
from tests.trees import files

pytestmark = pytest.mark.anyio

JPEG, SIDECAR = picture(1), samples.xmp_sidecar(rating=1)
RAW = samples.tiff(TAKEN, seed=1, size=(16, 12))
APART = "{kind}/{taken:%Y}/{name}"
TOGETHER = "{taken:%Y}/{name}"


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    house.settings["library"]["photos"]["layout"] = APART
    return house


async def comes(house: House, steering: Steering, **contents: bytes) -> None:
    """Files of the name `a` come, by their extensions, and what can be done has been."""
    for extension, content in contents.items():
        house.put(f"inbox/a.{extension.replace('_', '.')}", content)
    assert await steering.rest() == "idle"


def library(house: House) -> set[bytes]:
    return {path for path in files(house.root / "photos") if not path.startswith(b".mediad/")}


def inbox(house: House) -> set[bytes]:
    return set(files(house.root / "inbox"))


async def roles(steering: Steering) -> dict[bytes, tuple[str, int]]:
    def ask(connection: apsw.Connection) -> dict[bytes, tuple[str, int]]:
        assert connection.execute("SELECT * FROM gathering").fetchall() == []
        return {
            path: (role, item) for path, role, item in connection.execute("SELECT path, role, item FROM file")
        }

    return await steering.database.run(ask)


async def rows(steering: Steering, action: str) -> list[dict[str, Any]]:
    return [row for row in (await steering.call("History"))["rows"] if row["action"] == action]


async def test_a_raw_brings_its_jpeg_beside_it_and_undo_takes_both_back(house: House) -> None:
    alone = {b"photo/2021/a.jpg", b"photo/2021/a.jpg.xmp"}
    whole = {b"raw/2021/a.dng", b"raw/2021/a.jpg", b"raw/2021/a.jpg.xmp"}
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG, jpg_xmp=SIDECAR)
        assert library(house) == alone
        before = await roles(steering)
        await comes(house, steering, dng=RAW)
        assert library(house) == whole
        raw = (await rows(steering, "move"))[-1]
        assert [(row["item"], row["batch"]) for row in await rows(steering, "refile")] == [
            (raw["item"], raw["batch"])
        ] * 2
        after = await roles(steering)
        assert set(after.values()) == {("principal", raw["item"]), ("companion", raw["item"])}
        undone = await steering.call("Undo", ids=[raw["item"]])
        assert (undone["done"], undone["refused"]) == (3, 0)
        assert (library(house), inbox(house)) == (alone, {b"a.dng"})
        assert await roles(steering) == before
        redone = await steering.call("Undo", ids=[undone["batch"]])
        assert (redone["done"], redone["refused"]) == (3, 0)
        assert (library(house), inbox(house)) == (whole, set())
        assert await roles(steering) == after
        assert (await steering.call("Undo", since="2020-01-01T00:00:00Z"))["refused"] == 0
        assert (library(house), inbox(house)) == (set(), {b"a.dng", b"a.jpg", b"a.jpg.xmp"})


async def test_what_lies_beside_it_already_stays_and_is_of_its_set(house: House) -> None:
    house.settings["library"]["photos"]["layout"] = TOGETHER
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        before = await roles(steering)
        await comes(house, steering, dng=RAW)
        assert library(house) == {b"2021/a.jpg", b"2021/a.dng"}
        after = await roles(steering)
        assert after[b"2021/a.jpg"] == ("companion", after[b"2021/a.dng"][1])
        (joined,) = await rows(steering, "refile")
        assert joined["destination"] == os.fspath(house.root / "photos/2021/a.jpg")
        undone = await steering.call("Undo", paths=[os.fspath(house.root / "photos/2021/a.jpg")])
        assert (undone["done"], undone["refused"]) == (2, 0)
        assert (library(house), inbox(house)) == ({b"2021/a.jpg"}, {b"a.dng"})
        assert await roles(steering) == before
        assert (await steering.call("Undo", ids=[undone["batch"]]))["done"] == 2
        assert await roles(steering) == after
        refiled = await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021/a.dng")])
        assert refiled["done"] == 2
        assert library(house) == set()


@pytest.mark.parametrize("meddling", ["edited", "touched", "moved", "gone"])
async def test_what_is_not_as_it_was_filed_is_left_alone(house: House, meddling: str) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        place = house.root / "photos/photo/2021/a.jpg"
        if meddling == "edited":
            place.write_bytes(picture(2))
        elif meddling == "touched":
            os.utime(place, ns=(1, 1))
        elif meddling == "moved":
            place.rename(place.with_name("mine.jpg"))
        else:
            place.unlink()
        there = {path: (house.root / "photos" / os.fsdecode(path)).stat() for path in library(house)}
        await comes(house, steering, dng=RAW)
        assert library(house) == {b"raw/2021/a.dng", *there}
        raw = await roles(steering)
        assert raw[b"raw/2021/a.dng"][0] == "principal"
        told = await steering.call("Why", path=os.fspath(house.root / "photos/raw/2021/a.dng"))
        notes = [step["note"] for story in told["stories"] for step in story["steps"]]
        assert any("photo/2021/a.jpg stays: " in note for note in notes)


async def test_a_late_film_goes_beside_its_still_under_whatever_name(house: House) -> None:
    still, film = samples.live_photo(TAKEN, seed=3)
    async with house.life() as steering:
        await comes(house, steering, jpg=still)
        house.clock.ahead += 90 * 86_400
        house.put("inbox/sub/IMG_9.MOV", film)
        assert await steering.rest() == "idle"
        assert library(house) == {b"photo/2021/a.jpg", b"photo/2021/a.MOV"}
        assert len({item for _, item in (await roles(steering)).values()}) == 1


async def test_new_companions_of_a_duplicate_go_beside_the_librarys_copy(house: House) -> None:
    still, film = samples.live_photo(TAKEN, seed=3)
    async with house.life() as steering:
        await comes(house, steering, dng=RAW)
        house.put("inbox/b/other.dng", RAW)
        house.put("inbox/b/other.jpg", JPEG)
        house.put("inbox/live.jpg", still)
        assert await steering.rest() == "idle"
        house.put("inbox/c/more.jpg", still)
        house.put("inbox/c/more.mov", film)
        assert await steering.rest() == "idle"
        expected = {b"raw/2021/a.dng", b"raw/2021/a.jpg", b"photo/2021/live.jpg", b"photo/2021/live.mov"}
        assert library(house) == expected
        assert (await steering.totals())["duplicate"] == 2


async def test_a_companion_that_comes_again_alone_is_a_duplicate(house: House) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG, dng=RAW)
        await comes(house, steering, jpg=JPEG)  # from the same card
        house.put("inbox/elsewhere/b.jpg", JPEG)
        assert await steering.rest() == "idle"
        assert library(house) == {b"raw/2021/a.dng", b"raw/2021/a.jpg"}
        assert (await steering.totals())["duplicate"] == 2


@pytest.mark.usefixtures("may_block")  # `mediad plan` is a process of its own
async def test_the_plan_says_the_same(house: House) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG, jpg_xmp=SIDECAR)
        await steering.call("Pause")
        house.put("inbox/a.dng", RAW)
        house.put("inbox/a.aae", samples.aae())
        copy = await anyio.to_thread.run_sync(open_copy, house.root / "state/catalogue.db")
        try:
            preview = Preview(house.config(), house.files, house.clock, Database(copy), ReadingPool())
            told = {os.path.basename(one.path): one async for one in preview.forecast([])}
        finally:
            copy.close()
        raw, edits = told[b"a.dng"], told[b"a.aae"]
        assert raw.destination == os.fsencode(house.root / "photos/raw/2021/a.dng")
        assert raw.reason.endswith("what came of its set before will join it")
        assert edits.destination == os.fsencode(house.root / "photos/raw/2021/a.aae")


async def notes(steering: Steering) -> list[str]:
    def ask(connection: apsw.Connection) -> list[str]:
        return [
            str(row[0]) for row in connection.execute("SELECT note FROM step WHERE note <> '' ORDER BY id")
        ]

    return await steering.database.run(ask)


@pytest.mark.parametrize("again", ["inbox/a.jpg", "inbox/card/a.jpg"])
@pytest.mark.parametrize("layout", [APART, TOGETHER])
async def test_a_raw_that_brings_its_jpeg_again_doubles_nothing(
    house: House, again: str, layout: str
) -> None:
    house.settings["library"]["photos"]["layout"] = layout
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        house.put(again, JPEG)
        house.put(again.replace(".jpg", ".dng"), RAW)
        assert await steering.rest() == "idle"
        folder = b"2021/" if layout == TOGETHER else b"raw/2021/"
        assert library(house) == {folder + b"a.dng", folder + b"a.jpg"}
        assert len({item for _, item in (await roles(steering)).values()}) == 1
        assert (await steering.totals())["duplicate"] == 1
        lead = (await roles(steering))[folder + b"a.dng"][1]
        undone = await steering.call("Undo", ids=[lead])
        assert (undone["done"], undone["refused"]) == (3, 0)
        assert library(house) == {b"2021/a.jpg" if layout == TOGETHER else b"photo/2021/a.jpg"}
        jpeg = again.removeprefix("inbox/").encode()
        assert inbox(house) == {jpeg, jpeg.replace(b".jpg", b".dng")}


async def test_a_copy_is_no_duplicate_of_what_somebody_changed(house: House) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        (house.root / "photos/photo/2021/a.jpg").write_bytes(picture(2))
        await comes(house, steering, jpg=JPEG, dng=RAW)
        there = {(house.root / "photos" / os.fsdecode(path)).read_bytes() for path in library(house)}
        assert there == {JPEG, RAW, picture(2)}


async def test_a_date_set_by_hand_goes_from_one_late_principal_to_the_next(house: House) -> None:
    house.settings["watch"]["inbox"]["action"] = "copy"
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        (path,) = (house.root / "photos" / os.fsdecode(one) for one in library(house))
        assert (await steering.call("Date", paths=[str(path)], set="1999-12-31T12:00:00"))["done"] == 1
        await comes(house, steering, heic=samples.heic(TAKEN))
        await comes(house, steering, dng=RAW)
        told = (await steering.call("History"))["rows"]
    assert {row["taken"] for row in told if row["source"].endswith(".dng")} == {"1999-12-31T12:00:00"}
    assert {path.split(b"/")[1] for path in library(house)} == {b"1999"}


async def test_a_date_set_by_hand_goes_to_its_own_raw_only(house: House) -> None:
    house.settings["library"]["photos"]["layout"] = TOGETHER
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        path = os.fspath(house.root / "photos/2021/a.jpg")
        assert (await steering.call("Date", paths=[path], set="1999-12-31T12:00:00"))["done"] == 1
        house.clock.ahead += 9 * 86_400
        stranger = samples.tiff(TAKEN.replace(year=2024), seed=2, size=(16, 12))
        await comes(house, steering, dng=stranger)
        assert library(house) == {b"1999/a.jpg", b"2024/a.dng"}
        await comes(house, steering, dng=RAW)
        assert library(house) == {b"1999/a.jpg", b"2024/a.dng", b"1999/a.dng"}


async def test_an_extension_that_was_set_right_stays_so(house: House) -> None:
    async with house.life() as steering:
        await comes(house, steering, png=JPEG, png_xmp=SIDECAR)
        assert library(house) == {b"photo/2021/a.jpg", b"photo/2021/a.jpg.xmp"}
        await comes(house, steering, dng=RAW)
        assert library(house) == {b"raw/2021/a.dng", b"raw/2021/a.jpg", b"raw/2021/a.jpg.xmp"}


async def test_what_was_undone_meanwhile_is_not_gathered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        relocator = steering.pipeline.relocator
        carry_out = relocator.carry_out

        async def undone_first(*arguments: Any, **more: Any) -> Any:
            monkeypatch.setattr(relocator, "carry_out", carry_out)
            raw = (await rows(steering, "move"))[-1]
            assert (await steering.call("Undo", ids=[raw["item"]]))["done"] == 1
            return await carry_out(*arguments, **more)

        monkeypatch.setattr(relocator, "carry_out", undone_first)
        await comes(house, steering, dng=RAW)
        assert (library(house), inbox(house)) == ({b"photo/2021/a.jpg"}, {b"a.dng"})
        assert [role for role, _ in (await roles(steering)).values()] == ["principal"]


async def test_a_name_that_an_unknown_file_has_is_avoided(house: House) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        house.put("photos/raw/2021/a.jpg", b"a stranger")
        await comes(house, steering, dng=RAW)
        assert {b"raw/2021/a.dng", b"raw/2021/a-1.jpg"} <= library(house)
        assert (await roles(steering))[b"raw/2021/a-1.jpg"][0] == "companion"


class Sick(FaultyFiles):
    """A disk on which a JPEG gets no name beside a RAW while it is `broken`."""

    broken = True

    def link(self, fd: int, name: bytes, dir_fd: int) -> None:
        there = os.readlink(os.fsencode(f"/proc/self/fd/{dir_fd}"))
        if self.broken and b"/raw/" in there and name == b"a.jpg":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().link(fd, name, dir_fd)


def reverted(connection: apsw.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM step WHERE state = 'reverted'").fetchone()
    assert row is not None
    return int(str(row[0]))


async def test_what_fails_for_good_is_told_and_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherer, "_PAUSES", (0.0, 0.0, 1e9))
    house.files = Sick(Faults())
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        await comes(house, steering, dng=RAW)
        mine = steering.pipeline.gatherer
        await steering.until(lambda: any(one.worth_telling for one in mine.failing.values()))
        (told,) = (await steering.call("Status"))["attention"]
        assert (told["code"], "photo/2021/a.jpg" in told["message"]) == ("apart", True)
        assert told["command"].endswith("photo/2021/a.jpg")
        steps = await steering.database.run(reverted)
        mine.wake()  # for another set: this one is let alone
        assert await steering.rest() == "idle"
        assert await steering.database.run(reverted) == steps == 3
        mine.retry()
        assert await steering.rest() == "idle"
        assert set(await roles(steering)) == {b"photo/2021/a.jpg", b"raw/2021/a.dng"}
        assert (await steering.call("Status"))["attention"] == []
        assert any(note.startswith("photo/2021/a.jpg stays: ") for note in await notes(steering))


async def test_what_is_in_use_waits_until_it_is_not(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        await comes(house, steering, jpg=JPEG)
        with (house.root / "photos/photo/2021/a.jpg").open("r+b"):
            await comes(house, steering, dng=RAW)
            assert library(house) == {b"photo/2021/a.jpg", b"raw/2021/a.dng"}
        steering.pipeline.gatherer.retry()
        assert await steering.rest() == "idle"
        assert library(house) == {b"raw/2021/a.jpg", b"raw/2021/a.dng"}
        assert set(await roles(steering)) == library(house)


async def test_sets_of_one_batch_share_their_commits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        for name in "abc":
            house.put(f"inbox/{name}.jpg", picture(ord(name)))
        assert await steering.rest() == "idle"
        relocator = steering.pipeline.relocator
        carry_out, groups = relocator.carry_out, []

        async def counted(command: Any, group: Any, **more: Any) -> Any:
            groups.append(len(group))
            return await carry_out(command, group, **more)

        monkeypatch.setattr(relocator, "carry_out", counted)
        gathering = steering.pipeline.gatherer
        monkeypatch.setattr(gathering, "wake", lambda: None)
        for name in "abc":
            house.put(f"inbox/{name}.dng", samples.tiff(TAKEN, seed=ord(name), size=(16, 12)))
        assert await steering.rest() == "idle"
        monkeypatch.undo()
        monkeypatch.setattr(relocator, "carry_out", counted)
        gathering.wake()
        assert await steering.rest() == "idle"
        assert groups == [3]
        assert all(path.startswith(b"raw/") for path in library(house))
