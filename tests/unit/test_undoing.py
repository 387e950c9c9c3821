"""What was done is taken back, and that again."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from mediad.errors import CatalogueBroken
from mediad.files import Files
from mediad.ingest import moves
from mediad.keeping import relocate
from mediad.keeping.mover import Mover
from mediad.keeping.trip import Trip
from mediad.store import undoable
from tests import samples
from tests.crash.faulty import Faults, FaultyFiles
from tests.steering import LIMIT, House, Steering
from tests.system.once import TAKEN, picture
from tests.trees import files
from tests.undoing import at, inbox, library, moving, trash

pytestmark = pytest.mark.anyio
SIDECAR = samples.xmp_sidecar(rating=1)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return moving(tmp_path)


async def taken(house: House, steering: Steering, **named: bytes) -> None:
    """Have files taken in."""
    for name, content in named.items():
        house.put(f"inbox/{name.replace('_', '.')}", content)
    assert await steering.rest() == "idle"


async def undo(steering: Steering, **asked: Any) -> dict[str, Any]:
    answer = await steering.call("Undo", **asked)
    assert answer["state"] == ("planned" if asked.get("dry_run") else "done")
    return answer


async def test_a_set_goes_back_and_comes_again(house: House) -> None:
    before = {b"a.jpg": picture(1), b"a.xmp": SIDECAR}
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        filed = library(house)
        assert inbox(house) == {}
        planned = await undo(steering, dry_run=True)
        assert (planned["done"], planned["refused"], planned["batch"]) == (2, 0, None)
        assert inbox(house) == {}
        answer = await undo(steering)
        assert (answer["done"], answer["refused"]) == (2, 0)
        assert (inbox(house), library(house)) == (before, {})
        assert list((house.root / "photos").iterdir()) == [house.root / "photos/.mediad"]
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert inbox(house) == before
        assert await steering.totals() == {"ignored": 2}
        again = await undo(steering, ids=[answer["batch"]])
        assert (again["done"], again["refused"]) == (2, 0)
        assert (inbox(house), library(house)) == ({}, filed)
        assert (await steering.totals())["filed"] == 2
        rows = (await steering.call("History"))["rows"]
        assert [row["undone"] for row in rows] == [False, False, True, True, False, False]
        assert [row["outcome"] for row in rows] == ["filed", "filed", "ignored", "ignored", "filed", "filed"]
        assert [row["destination"] for row in rows[2:4]] == [row["source"] for row in rows[:2]]


async def test_it_stays_until_it_is_asked_for(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        await undo(steering)
    async with house.life() as steering:
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert list(inbox(house)) == [b"a.jpg"]
        path = os.fspath(house.root / "inbox/a.jpg")
        assert (await steering.call("Why", path=path))["stories"][0]["code"] == "undone"
        await steering.call("Retry", paths=[path])
        assert await steering.rest() == "idle"
        assert list(library(house)) == [b"2021/a.jpg"]


async def test_a_duplicate_comes_out_of_trash(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        await taken(house, steering, b_jpg=picture(1))
        assert trash(house) == [picture(1)]
        answer = await undo(steering, paths=[os.fspath(house.root / "inbox/b.jpg")])
        assert answer["done"] == 1
        assert inbox(house) == {b"b.jpg": picture(1)}
        assert files(house.root / "photos/.mediad/trash") == {}
        assert list(library(house)) == [b"2021/a.jpg"]
        await undo(steering, ids=[answer["batch"]])
        assert inbox(house) == {}
        assert trash(house) == [picture(1)]


async def test_what_was_copied_goes_to_trash_while_its_source_is_there(house: House) -> None:
    house.settings["watch"]["inbox"]["action"] = "copy"
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), b_jpg=picture(2))
        (house.root / "inbox/b.jpg").unlink()
        answer = await undo(steering)
        assert (answer["done"], answer["refused"]) == (1, 1)
        (refused,) = (change for change in answer["changes"] if not change["done"])
        assert "only copy" in refused["reason"]
        assert list(library(house).values()) == [picture(2)]
        assert trash(house) == [picture(1)]
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert list(library(house).values()) == [picture(2)]


async def test_what_is_in_the_way_or_was_changed_stays(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), b_jpg=picture(2), c_jpg=picture(3))
        await steering.call("Pause")
        house.put("inbox/a.jpg", b"another")
        house.put("photos/2021/b.jpg", picture(2) + b"edited")
        answer = await undo(steering)
        assert (answer["done"], answer["refused"]) == (1, 2)
        told = {change["source"].rpartition("/")[2]: change["reason"] for change in answer["changes"]}
        assert "taken" in told["a.jpg"]
        assert "changed" in told["b.jpg"]
        assert library(house) == {b"2021/a.jpg": picture(1), b"2021/b.jpg": picture(2) + b"edited"}
        assert inbox(house) == {b"a.jpg": b"another", b"c.jpg": picture(3)}


async def test_trash_remembers_companions_that_are_pictures(house: House) -> None:
    raw, jpeg = samples.tiff(TAKEN, seed=1, size=(16, 12)), picture(1)
    async with house.life() as steering:
        house.put("inbox/a.dng", raw)
        house.put("inbox/a.jpg", jpeg)
        assert await steering.rest() == "idle"
        paths = sorted(library(house))
        assert len(paths) == 2
        asked = [str(house.root / "photos" / path.decode()) for path in paths]
        await steering.call("Trash", paths=asked[:1])
        house.put("inbox/alone.jpg", jpeg)
        assert await steering.rest() == "idle"
        assert (library(house), inbox(house)) == ({}, {b"alone.jpg": jpeg})
        assert (await steering.call("Undo"))["done"] == 2
        assert sorted(library(house)) == paths
        await steering.call("Trash", paths=asked[1:])
        house.put("inbox/again.jpg", jpeg + b"\0")
        house.put("inbox/alone too.jpg", jpeg)
        assert await steering.rest() == "idle"
        assert inbox(house).keys() == {b"alone.jpg", b"alone too.jpg"}


async def test_trash_is_remembered_and_taken_back(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        path = os.fspath(house.root / "photos/2021/a.jpg")
        answer = await steering.call("Trash", paths=[path])
        assert (answer["done"], answer["refused"]) == (2, 0)
        assert library(house) == {}
        assert trash(house) == sorted([picture(1), SIDECAR])
        await taken(house, steering, again_jpg=picture(1))
        assert inbox(house) == {b"again.jpg": picture(1)}
        assert await steering.totals() == {"ignored": 3}
        await undo(steering, ids=[answer["batch"]])
        assert library(house) == {b"2021/a.jpg": picture(1), b"2021/a.xmp": SIDECAR}
        await taken(house, steering, third_jpg=picture(1))
        assert (await steering.totals())["duplicate"] == 1
        assert await undo(steering, since="2020-01-01T00:00:00Z")
        assert inbox(house)[b"a.jpg"] == picture(1)


async def test_refiled_and_back(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        house.settings["library"]["photos"]["layout"] = "{taken:%Y}/{taken:%m}/{name}"
        await steering.call("Reload")
        planned = await steering.call("Refile", library="photos", dry_run=True)
        assert planned["done"] == 2
        answer = await steering.call("Refile", library="photos")
        assert (answer["done"], answer["refused"]) == (2, 0)
        assert library(house) == {b"2021/03/a.jpg": picture(1), b"2021/03/a.xmp": SIDECAR}
        assert (await steering.call("Refile", library="photos"))["done"] == 0
        await taken(house, steering, b_jpg=picture(1))
        assert (await steering.totals())["duplicate"] == 1
        await undo(steering, ids=[answer["batch"]])
        assert library(house) == {b"2021/a.jpg": picture(1), b"2021/a.xmp": SIDECAR}
        assert not (house.root / "photos/2021/03").exists()
        path = os.fspath(house.root / "photos/2021/a.jpg")
        (story,) = (await steering.call("Why", path=path))["stories"]
        assert (story["place"], story["place_state"]) == (path, "there")


async def test_a_file_that_nobody_brought_is_trashed_and_comes_back(house: House) -> None:
    house.put("photos/old/mine.jpg", picture(7))
    async with house.life() as steering:
        await steering.rest()
        path = os.fspath(house.root / "photos/old/mine.jpg")
        answer = await steering.call("Trash", paths=[path])
        assert (answer["done"], answer["refused"]) == (1, 0)
        assert trash(house) == [picture(7)]
        assert (house.root / "photos/old").is_dir()  # we did not make it
        assert await steering.totals() == {}
        (story,) = (await steering.call("Why", path="mine.jpg"))["stories"]
        assert story["place_state"] == "there"
        await undo(steering, paths=[path])
        assert library(house) == {b"old/mine.jpg": picture(7)}
        for story in (await steering.call("Why", path="mine.jpg"))["stories"]:
            assert (story["place"], story["place_state"]) == (path, "there")


async def test_why_tells_of_what_was_taken_back(house: House) -> None:
    card = house.root / "card"
    card.mkdir()
    source = card / "a.jpg"
    source.write_bytes(picture(1))
    async with house.life() as steering:
        await steering.call("Import", paths=[os.fspath(card)], label="Norway")
        await undo(steering)
        (story,) = (await steering.call("Why", path=os.fspath(source)))["stories"]
        assert story["steps"][-1]["destination"] == story["place"]
        assert "/photos/.mediad/trash/" in story["place"]
        assert (story["place_state"], story["companions"], story["label"]) == ("there", [], "Norway")


async def test_a_set_that_was_taken_back_is_one_where_it_is(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        await undo(steering)
        (story,) = (await steering.call("Why", path=os.fspath(house.root / "inbox/a.jpg")))["stories"]
        assert story["steps"][-1]["destination"] == story["source"] == story["place"]
        assert story["companions"] == [os.fspath(house.root / "inbox/a.xmp")]


async def test_what_goes_back_into_quarantine_has_its_reason(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=samples.broken_jpeg(1))
        assert await steering.totals() == {"quarantined": 1}
        path = os.fspath(house.root / "inbox/a.jpg")
        (story,) = (await steering.call("Why", path=path))["stories"]
        answer = await undo(steering)
        await undo(steering, ids=[answer["batch"]])
        kept = files(house.root / "photos/.mediad/quarantine")
        (text,) = (content for name, content in kept.items() if name.endswith(b".reason.txt"))
        assert story["reason"]
        assert f"\nreason: {story['reason']}\n" in text.decode()


async def test_an_import_that_was_taken_back_stays_so(house: House) -> None:
    card = house.root / "card"
    card.mkdir()
    (card / "a.jpg").write_bytes(picture(1))
    (card / "b.jpg").write_bytes(picture(2))
    async with house.life() as steering:
        first = await steering.call("Import", paths=[os.fspath(card)])
        assert first["complete"]
        await undo(steering, ids=[first["batch"]])
        again = await steering.call("Import", paths=[os.fspath(card)])
        assert (again["filed"], again["complete"]) == (0, False)
        assert all("taken back" in one["reason"] for one in again["not_taken"])
        assert library(house) == {}
        named = await steering.call("Import", paths=[os.fspath(card / "a.jpg")])
        assert named["filed"] == 1
        assert list(library(house).values()) == [picture(1)]


async def test_a_folder_that_an_undo_removes_does_not_hold_up_filing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a new folder and the first name in it, somebody removes it."""
    removed: list[str] = []
    link = Files.link

    def late(files: Files, fd: int, name: bytes, dir_fd: int) -> None:
        year = house.root / "photos/2021"
        if name == b"a.jpg" and not removed:
            removed.append(os.fspath(year))
            year.rmdir()
        link(files, fd, name, dir_fd)

    monkeypatch.setattr(Files, "link", late)
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        assert removed
        assert (await steering.call("Status"))["libraries"][0]["state"] == "online"
        assert library(house) == {b"2021/a.jpg": picture(1)}


async def test_what_is_being_moved_is_no_witness(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer that comes while its only twin is on its way out of the library is filed."""
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        relocator = steering.pipeline.relocator
        move, begun, gate = relocator._mover.move, threading.Event(), threading.Event()

        def slow(trip: Trip) -> None:
            begun.set()
            assert gate.wait(LIMIT)
            move(trip)

        monkeypatch.setattr(relocator._mover, "move", slow)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: steering.call("Undo"))
            await steering.until(begun.is_set)
            house.put("inbox/b.jpg", picture(1))
            await steering.call("Scan")
            await steering.until(lambda: steering.pipeline.stages.deferred)
            gate.set()
        assert await steering.rest() == "idle"
        assert inbox(house) == {b"a.jpg": picture(1)}
        assert library(house) == {b"2021/b.jpg": picture(1)}
        assert trash(house) == []


async def test_taken_back_again_and_again(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        await taken(house, steering, b_jpg=picture(1))
        await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021/a.jpg")])
        batch = (await steering.call("History"))["rows"][-1]["batch"]
        first = batch
        for _ in range(5):
            answer = await undo(steering, ids=[batch])
            assert (answer["done"], answer["refused"]) == (1, 0), answer
            batch = answer["batch"]
        assert library(house) == {b"2021/a.jpg": picture(1)}
        again = await undo(steering, ids=[batch])
        assert trash(house) == [picture(1), picture(1)]
        assert (await undo(steering, ids=[first]))["done"] == 1
        assert library(house) == {b"2021/a.jpg": picture(1)}
        assert (await undo(steering, ids=[again["batch"]]))["refused"] == 1


async def test_nothing_goes_back_into_another_folder(house: House) -> None:
    """Such as the one that the watch is mounted on while it is not."""
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        (house.root / "inbox").rename(house.root / "unplugged")
        (house.root / "inbox").mkdir()
        answer = await undo(steering)
        assert (answer["done"], answer["refused"]) == (0, 1)
        assert "another folder" in answer["changes"][0]["reason"]
        assert library(house) == {b"2021/a.jpg": picture(1)}
        (house.root / "inbox").rmdir()
        (house.root / "unplugged").rename(house.root / "inbox")
        assert (await undo(steering))["done"] == 1
        assert inbox(house) == {b"a.jpg": picture(1)}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_all_since_then_is_taken_back_step_by_step(house: House, dry_run: bool) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), b_jpg=picture(2))
        await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021/a.jpg")])
        answer = await undo(steering, since="2020-01-01T00:00:00Z", dry_run=dry_run)
        assert (answer["done"], answer["refused"]) == (3, 0), answer["changes"]
        assert (inbox(house) == {}) is dry_run


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_set_that_was_named_twice_is_taken_back_once(house: House, dry_run: bool) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        (row,) = (await steering.call("History", limit=1))["rows"]
        ids = [row["id"], row["batch"]]
        answer = await undo(steering, since="2020-01-01T00:00:00Z", ids=ids, dry_run=dry_run)
        assert (answer["done"], answer["refused"]) == (1, 0), answer["changes"]


@pytest.mark.parametrize("folder", ["inbox/x", "inbox", "photos/2021", "photos", ""])
async def test_all_below_a_folder_is_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setattr(undoable, "_BELOW", 2)
    for number in range(5):
        house.put(f"inbox/x/{number}.jpg", picture(number))
    house.put("inbox/x/4.xmp", SIDECAR)
    before = inbox(house)
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        assert inbox(house) == {}
        answer = await undo(steering, paths=[os.fspath(house.root / folder)])
        assert (answer["done"], answer["refused"]) == (6, 0), answer["changes"]
        assert inbox(house) == before


async def test_what_was_trashed_with_its_folder_comes_back_with_it(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), b_jpg=picture(2))
        folder = os.fspath(house.root / "photos/2021")
        filed = library(house)
        assert (await steering.call("Trash", paths=[folder]))["done"] == 2
        assert (await undo(steering, paths=[folder]))["done"] == 2
        assert library(house) == filed


async def test_a_plan_sees_that_a_copy_is_the_last_one(house: House) -> None:
    house.settings["watch"]["inbox"]["action"] = "copy"
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        (house.root / "inbox/a.jpg").unlink()
        for dry_run in (True, False):
            answer = await undo(steering, dry_run=dry_run)
            assert (answer["done"], answer["refused"]) == (0, 1)
            assert "only copy" in answer["changes"][0]["reason"]


async def test_what_was_never_looked_into_is_not_filed_anew(house: House) -> None:
    house.put("photos/old/mine.jpg", picture(7))
    async with house.life() as steering:
        await steering.rest()
        path = os.fspath(house.root / "photos/old/mine.jpg")
        await steering.call("Trash", paths=[path])
        await undo(steering)
        answer = await steering.call("Refile", paths=[path])
        assert (answer["done"], answer["refused"]) == (0, 1)
        assert "mediactl adopt" in answer["changes"][0]["reason"]
        assert (await steering.call("Refile", library="photos"))["changes"] == []


async def test_a_hard_link_is_taken_from_the_library_and_not_made_again(house: House) -> None:
    house.settings["watch"]["inbox"]["action"] = "hardlink"
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        assert (house.root / "photos/2021/a.jpg").stat().st_nlink == 2
        assert (await undo(steering))["done"] == 1
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert library(house) == {}
        assert inbox(house) == {b"a.jpg": picture(1)}
        assert (await undo(steering, since="2020-01-01T00:00:00Z"))["done"] == 0


async def test_two_of_one_name_are_put_into_one_folder(house: House) -> None:
    house.settings["library"]["photos"]["layout"] = "{subdir}/{name}"
    house.put("inbox/x/a.jpg", picture(1))
    house.put("inbox/y/a.jpg", picture(2))
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        house.settings["library"]["photos"]["layout"] = "All/{name}"
        await steering.call("Reload")
        planned = await steering.call("Refile", library="photos", dry_run=True)
        answer = await steering.call("Refile", library="photos")
        assert (answer["done"], answer["refused"]) == (planned["done"], planned["refused"]) == (2, 0)
        assert [one["destination"] for one in answer["changes"]] == [
            one["destination"] for one in planned["changes"]
        ]
        assert set(library(house)) == {b"All/a.jpg", b"All/a-1.jpg"}


async def test_what_was_taken_out_of_quarantine_and_back_is_done_with(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, broken_jpg=samples.broken_jpeg(1))
        await steering.call("Retry", unparsed=True)
        assert await steering.rest() == "idle"
        assert (await undo(steering))["done"] == 1
        assert inbox(house) == {b"broken.jpg": samples.broken_jpeg(1)}
        assert (await undo(steering))["refused"] == 0
        assert (await undo(steering))["changes"] == []


async def test_companions_whose_principal_is_elsewhere_are_trashed_with_their_folder(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        await taken(house, steering, a_xmp=SIDECAR)
        await undo(steering, paths=[os.fspath(house.root / "photos/2021/a.jpg")])
        assert list(library(house)) == [b"2021/a.xmp"]
        answer = await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021")])
        assert answer["done"] == 1
        assert library(house) == {}


async def test_what_somebody_writes_at_once_is_not_all_that_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copy and the removal of what was copied."""
    house.files = FaultyFiles(Faults(), far=[os.fsencode(house.root / "inbox")])
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        sync, once = Mover._sync_targets, []

        def between(mover: Mover, trip: Trip) -> None:
            sync(mover, trip)
            once.append((house.root / "inbox/a.jpg").write_bytes(b"somebody's"))

        monkeypatch.setattr(Mover, "_sync_targets", between)
        answer = await undo(steering)
        assert (answer["done"], answer["refused"]) == (0, 1)
        assert once
        assert library(house) == {b"2021/a.jpg": picture(1)}
        assert inbox(house) == {b"a.jpg": b"somebody's"}


async def test_a_copy_that_was_given_up_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.files = FaultyFiles(Faults(), far=[os.fsencode(house.root / "inbox")])
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))

        def stop(*arguments: Any) -> Any:
            raise InterruptedError

        monkeypatch.setattr(moves, "verify_file", stop)
        assert (await undo(steering))["refused"] == 1
        assert list((house.root / "inbox").iterdir()) == []
        assert library(house) == {b"2021/a.jpg": picture(1)}


async def test_what_could_not_be_written_down_is_ended_without_a_restart(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))

        async def fail(*arguments: Any) -> None:
            monkeypatch.undo()
            raise CatalogueBroken("disk full")

        monkeypatch.setattr(steering.pipeline.relocator, "_end", fail)
        with pytest.raises(CatalogueBroken):
            await undo(steering)
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.shelves["photos"].online)
        assert inbox(house) == {b"a.jpg": picture(1)}
        assert await steering.totals() == {"ignored": 1}


async def test_the_last_copy_never_expires(house: House) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        await taken(house, steering, b_jpg=picture(1))
        (house.root / "photos/2021/a.jpg").write_bytes(bytes(len(picture(1))))
        for days in (31, 33):
            at(steering, days)
            assert await steering.pipeline.expirer.once() == 0
        assert trash(house) == [picture(1)]
        (problem,) = (await steering.call("Status"))["attention"]
        assert problem["code"] == "trash-kept"


async def test_a_folder_that_hangs_holds_up_nobody_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1))
        gate = threading.Event()
        look = relocate._look_at

        def hangs(root: bytes) -> None:
            if root.endswith(b"/inbox"):
                assert gate.wait(LIMIT)
            look(root)

        monkeypatch.setattr(relocate, "_look_at", hangs)
        monkeypatch.setattr(relocate, "_LOOK_LIMIT", 0.05)
        answer = await undo(steering)
        assert answer["refused"] == 1
        assert "hung" in answer["changes"][0]["reason"]
        path = os.fspath(house.root / "photos/2021/a.jpg")
        assert (await steering.call("Trash", paths=[path]))["done"] == 1
        gate.set()


async def test_the_story_of_what_trash_has_no_longer_does_not_call_it_its_own_companion(house: House) -> None:
    """And not of the file itself."""
    async with house.life() as steering:
        await taken(house, steering, a_jpg=picture(1), a_xmp=SIDECAR)
        path = os.fspath(house.root / "photos/2021/a.jpg")
        trashed = (await steering.call("Trash", paths=[path]))["changes"]
        for days in (31, 33):
            at(steering, days)
            await steering.pipeline.expirer.once()
        assert trash(house) == []
        (story,) = (await steering.call("Why", path=path))["stories"]
        assert (story["place"], story["steps"][-1]["action"]) == (None, "expire")
        assert trashed[0]["destination"] not in story["companions"]


async def test_the_story_of_an_adoption_that_was_taken_back_names_what_lies_in_the_library(
    house: House,
) -> None:
    house.put("photos/old/a.jpg", picture(1))
    house.put("photos/old/a.xmp", SIDECAR)
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        await undo(steering)
        path = os.fspath(house.root / "photos/old/a.jpg")
        (story,) = (one for one in (await steering.call("Why", path=path))["stories"] if one["steps"])
        assert story["companions"] == [os.fspath(house.root / "photos/old/a.xmp")]
