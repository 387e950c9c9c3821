"""Imports: what a card holds is copied in once, whatever it is; the card stays as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from mediad.control.protocol import InvalidParameter
from mediad.errors import Misused, Refused, SourceGone
from mediad.ingest import importing
from tests import mounting, samples
from tests.crash.faulty import Faults, FaultyFiles
from tests.steering import House, other, stall
from tests.system.once import picture
from tests.trees import files, tree

pytestmark = pytest.mark.anyio

COUNTS = ("filed", "duplicate", "quarantined", "failed", "ignored", "gone", "already")
MTIME_NS = 1_600_000_000_123_456_789


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house in which everything has been at rest for an hour."""
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{label|none}/{name}"
    return found


def card(house: House, *numbers: int, name: str = "card") -> str:
    """A card with a picture for each number; returns its path."""
    for number in numbers:
        path = house.put(f"{name}/DCIM/IMG_{number}.jpg", picture(number))
        os.utime(path, ns=(MTIME_NS, MTIME_NS))
        os.chmod(path, 0o640)
    return str(house.root / name)


def library(house: House, name: str = "photos") -> dict[bytes, bytes]:
    return files(house.root / name, without={b".mediad"})


def counts(reply: Mapping[str, Any]) -> dict[str, int]:
    return {word: reply[word] for word in COUNTS if reply[word]}


def states(root: Path | str) -> dict[str, tuple[int, ...]]:
    """All that must not change, but for what reading changes."""
    found: dict[str, tuple[int, ...]] = {}
    for path in (Path(root), *Path(root).rglob("*")):
        stat = path.lstat()
        found[str(path)] = (stat.st_mode, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return found


async def test_a_card(house: House) -> None:
    path = card(house, 1, 2)
    house.put("card/DCIM/IMG_1.xmp", samples.xmp_sidecar(rating=1))
    house.put("card/MISC/INDEX.BDM", b"junk")
    house.put("card/.Trashes/501/x.jpg", picture(7))
    house.put("card/DCIM/empty.jpg", b"")
    broken = house.put("card/DCIM/broken.jpg", samples.broken_jpeg(1))
    os.symlink("/etc/passwd", f"{path}/link.jpg")
    os.mkfifo(f"{path}/fifo.jpg")
    before, content = states(path), tree(path)
    async with house.life() as steering:
        reply = await steering.call("Import", paths=[path], label="Trip")
        assert reply["state"] == "done"
        assert reply["complete"] is False
        (missing,) = reply["not_taken"]
        assert (missing["path"], missing["outcome"]) == (os.fsdecode(broken), "quarantined")
        found = counts(reply)
        assert found == {"filed": 3, "quarantined": 1, "ignored": reply["files"] - 4}
        shown = sum(map(len, files(path, without={b".Trashes"}).values()))
        assert (reply["files_done"], reply["bytes"]) == (reply["files"], shown)
        assert library(house) == {
            b"Trip/IMG_1.jpg": picture(1),
            b"Trip/IMG_1.xmp": samples.xmp_sidecar(rating=1),
            b"Trip/IMG_2.jpg": picture(2),
        }
        assert files(house.root / "photos/.mediad/quarantine") == {}
        filed = (house.root / "photos/Trip/IMG_2.jpg").stat()
        assert (filed.st_mtime_ns, filed.st_mode & 0o777) == (MTIME_NS, 0o640)
        assert (await steering.call("Queue"))["files"] == []
        rows = (await steering.call("History", batch=reply["batch"]))["rows"]
        assert {(row["action"], row["batch"]) for row in rows} == {
            ("copy", reply["batch"]),
            ("leave", reply["batch"]),
        }
        (story,) = (await steering.call("Why", path=f"{path}/DCIM/IMG_2.jpg"))["stories"]
        assert (story["label"], story["outcome"]) == ("Trip", "filed")
    assert states(path) == before
    assert tree(path) == content


async def test_it_is_passed_over_when_it_comes_again(house: House) -> None:
    path = card(house, 1, 2)
    async with house.life() as steering:
        first = await steering.call("Import", paths=[path])
        assert (counts(first), first["complete"]) == ({"filed": 2}, True)
        card(house, 3)
        again = await steering.call("Import", paths=[path])
        assert (counts(again), again["complete"]) == ({"filed": 1, "already": 2}, True)
        assert again["batch"] > first["batch"]
        assert again["bytes_done"] == again["bytes"]
    async with house.life() as steering:
        assert counts(await steering.call("Import", paths=[path + "/"])) == {"already": 3}
    assert len(library(house)) == 3


async def test_what_the_library_lost_is_filed_again(house: House) -> None:
    path = card(house, 1, 2)
    async with house.life() as steering:
        await steering.call("Import", paths=[path])
        (house.root / "photos/none/IMG_1.jpg").unlink()
        (house.root / "photos/none/IMG_2.jpg").write_bytes(b"edited")
        again = await steering.call("Import", paths=[path])
        assert (counts(again), again["complete"]) == ({"filed": 2}, True)
        assert {picture(1), picture(2)} <= set(library(house).values())
        assert counts(await steering.call("Import", paths=[path])) == {"already": 2}


async def test_another_card_of_the_same_names(house: House) -> None:
    path = card(house, 1, 2)
    async with house.life() as steering:
        await steering.call("Import", paths=[path])
        shutil.rmtree(path)
        for number in (1, 2):  # of the same size and time
            content = picture(number).replace(b"Canon", b"Nikon")
            assert len(content) == len(picture(number))
            assert content != picture(number)
            os.utime(house.put(f"card/DCIM/IMG_{number}.jpg", content), ns=(MTIME_NS, MTIME_NS))
        again = await steering.call("Import", paths=[path])
        assert counts(again) == {"filed": 2}
    assert len(library(house)) == 4


async def test_a_copy_of_the_card_elsewhere_is_all_duplicates(house: House) -> None:
    path = card(house, 1, 2)
    async with house.life() as steering:
        first = await steering.call("Import", paths=[path])
        other_path = card(house, 1, 2, 3, name="backup")
        reply = await steering.call("Import", paths=[other_path])
        assert (counts(reply), reply["complete"]) == ({"filed": 1, "duplicate": 2}, True)
        assert reply["batch"] != first["batch"]
        assert await steering.totals() == {
            "filed": 3,
            "duplicate": 2,
            "bytes_filed": sum(len(picture(number)) for number in (1, 2, 3)),
        }


async def test_one_file_and_several_folders(house: House) -> None:
    path = card(house, 1, 2, 3)
    house.put("card/AVCHD/clip.jpg", picture(4))
    house.put("card/other/5.jpg", picture(5))
    async with house.life() as steering:
        one = await steering.call("Import", paths=[f"{path}/DCIM/IMG_1.jpg"])
        assert (one["files"], counts(one)) == (1, {"filed": 1})
        some = await steering.call(
            "Import", paths=[f"{path}/AVCHD", f"{path}/DCIM/IMG_1.jpg", f"{path}/DCIM/IMG_2.jpg"]
        )
        assert some["files"] == 3
        assert set(library(house).values()) == {picture(1), picture(2), picture(4)}
        rest = await steering.call("Import", paths=[path])
        assert rest["complete"]
    assert len(library(house)) == 5, "nothing twice, though it was another folder each time"


async def test_into_another_library(house: House) -> None:
    house.settings["library"]["films"] = house.table("films", min_free="1MB", layout="F/{name}")
    (house.root / "films").mkdir()
    path = card(house, 1)
    async with house.life() as steering:
        with pytest.raises(Misused, match="there are several libraries"):
            await steering.call("Import", paths=[path])
        with pytest.raises(Misused, match='there is no library "film"'):
            await steering.call("Import", paths=[path], library="film")
        reply = await steering.call("Import", paths=[path], library="films")
        assert reply["library"] == "films"
    assert library(house, "films") == {b"F/IMG_1.jpg": picture(1)}


async def test_what_cannot_be_imported_is_refused(house: House) -> None:
    card(house, 1)
    (house.root / "link").symlink_to(house.root / "inbox")
    os.mkfifo(house.root / "fifo")
    inside = house.put("photos/mine/a.jpg", picture(1))
    house.put("inbox/a.jpg", picture(1))
    async with house.life() as steering:
        for path, error, message in (
            (house.root / "nowhere", SourceGone, "is not there"),
            (house.root / "inbox", Refused, "lies in watch inbox, which takes it by itself"),
            (house.root / "inbox" / "a.jpg", Refused, "lies in watch inbox"),
            (house.root / "link", Refused, "lies in watch inbox"),
            (house.root, Refused, "has in it"),
            (Path("/"), Refused, "has in it"),
            (Path(os.fsdecode(inside)).parent, Refused, "lies in library photos"),
            (house.root / "photos", Refused, "lies in library photos"),
            (house.root / "fifo", Refused, "is neither a folder nor a file"),
        ):
            with pytest.raises(error, match=message):
                await steering.call("Import", paths=[str(path)])
        for paths in (None, [], ["relative"]):
            with pytest.raises(InvalidParameter):
                await steering.call("Import", paths=paths)
        assert steering.pipeline.serving.keys() == {"inbox"}
        assert await steering.rest() == "idle"


async def test_nothing_begins_while_it_is_paused(house: House) -> None:
    path = card(house, 1)
    async with house.life() as steering:
        for names in (None, ["photos"]):
            await steering.call("Pause", names=names)
            with pytest.raises(Refused, match="is paused"):
                await steering.call("Import", paths=[path])
            await steering.call("Resume")
        await steering.call("Pause", names=["inbox"])
        assert (await steering.call("Import", paths=[path]))["complete"]


async def test_an_offline_library(house: House) -> None:
    path = card(house, 1)
    async with house.life() as steering:
        marker = house.root / "photos/.mediad/library.toml"
        marker.rename(house.root / "marker")
        await steering.call("Scan", names=["photos"])
        reply = await steering.call("Import", paths=[path])
        assert (reply["state"], reply["complete"]) == ("done", False)
        (missing,) = reply["not_taken"]
        assert missing["outcome"] == "held"
        assert "library photos is offline" in missing["reason"]
        (house.root / "marker").rename(marker)
        await steering.call("Scan", names=["photos"])
        assert counts(await steering.call("Import", paths=[path])) == {"filed": 1}


async def test_a_full_library(house: House) -> None:
    house.settings["library"]["photos"]["min_free"] = "1000TB"
    path = card(house, 1)
    async with house.life() as steering:
        reply = await steering.call("Import", paths=[path])
        assert reply["complete"] is False
        assert "is full" in reply["not_taken"][0]["reason"]
        house.settings["library"]["photos"]["min_free"] = "1MB"
        await steering.call("Reload")
        await steering.call("Scan")
        assert (await steering.call("Import", paths=[path]))["complete"]


async def test_paused_in_its_midst(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause ends it: it can be gone on with."""
    path = card(house, *range(200))
    async with house.life() as steering:
        replies: list[Mapping[str, Any]] = []
        gate = stall(steering, monkeypatch)
        async with anyio.create_task_group() as tasks:

            async def bring_in() -> None:
                replies.append(await other(steering).call("Import", paths=[path]))

            tasks.start_soon(bring_in)
            await steering.until(lambda: steering.pipeline.tracker.flying == 200)
            await steering.call("Pause")
            gate.set()
        (reply,) = replies
        assert reply["complete"] is False
        assert {one["outcome"] for one in reply["not_taken"]} == {"held"}
        assert reply["filed"] + len(reply["not_taken"]) == 200
        await steering.call("Resume")
        again = await steering.call("Import", paths=[path])
        assert again["already"] == reply["filed"]
        assert again["complete"]
    assert len(library(house)) == 200


async def test_the_client_goes_away_and_comes_again(house: House) -> None:
    path = card(house, *range(100))
    async with house.life() as steering:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: other(steering).call("Import", paths=[path]))
            await steering.until(lambda: steering.pipeline.recorder.tally.files.get("filed", 0) > 10)
            tasks.cancel_scope.cancel()
        reply = await steering.call("Import", paths=[path])
        assert reply["complete"]
        assert reply["filed"] + reply["already"] == 100
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 100
    assert len(library(house)) == 100


async def test_twice_at_the_same_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    path = card(house, *range(50))
    async with house.life() as steering:
        results: list[object] = []
        gate = stall(steering, monkeypatch)
        async with anyio.create_task_group() as tasks:

            async def bring_in() -> None:
                results.append(await other(steering).call("Import", paths=[path]))

            tasks.start_soon(bring_in)
            await steering.until(lambda: steering.pipeline.tracker.flying)
            with pytest.raises(Refused, match="is being imported already"):
                await steering.call("Import", paths=[path])
            gate.set()
        assert len(results) == 1
    assert len(library(house)) == 50


async def test_a_file_that_is_being_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_PATIENCE", 0.0)
    path = card(house, 1)
    grows = os.open(house.put("card/DCIM/grows.jpg", picture(2)), os.O_WRONLY)
    try:
        async with house.life() as steering:
            reply = await steering.call("Import", paths=[path])
            assert (counts(reply), reply["complete"]) == ({"filed": 1}, False)
            (missing,) = reply["not_taken"]
            assert (missing["path"], missing["outcome"]) == (f"{path}/DCIM/grows.jpg", "held")
            assert missing["reason"] == "somebody had it open for writing"
    finally:
        os.close(grows)


async def test_what_fails_is_told(house: House) -> None:
    path = card(house, 1, 2)
    faults = Faults()
    house.files = FaultyFiles(faults)
    async with house.life() as steering:
        faults.kinds, faults.error_at, faults.lasting = frozenset({"open_file"}), faults.counted + 1, True
        reply = await steering.call("Import", paths=[path])
        faults.kinds = frozenset()
        assert (counts(reply), reply["complete"]) == ({"failed": 2}, False)
        assert {one["outcome"] for one in reply["not_taken"]} == {"failed"}
        again = await steering.call("Import", paths=[path])
        assert (counts(again), again["complete"]) == ({"filed": 2}, True)


async def test_a_forecast_touches_nothing(house: House) -> None:
    path = card(house, 1, 2)
    house.put("card/notes.txt", b"note")
    house.put("card/broken.jpg", samples.broken_jpeg(1))
    async with house.life() as steering:
        await steering.call("Import", paths=[f"{path}/DCIM/IMG_1.jpg"])
        before, ours = states(path), states(house.root / "photos")
        reply = await steering.call("Import", paths=[path], dry_run=True)
        assert (reply["state"], reply["complete"], reply["batch"]) == ("planned", False, None)
        assert reply["filed"] == 1
        assert reply["duplicate"] + reply["already"] == 1
        assert (reply["ignored"], reply["quarantined"]) == (1, 1)
        assert (states(path), states(house.root / "photos")) == (before, ours)
        assert (await steering.totals())["filed"] == 1
        assert len((await steering.call("History"))["rows"]) == 1


async def test_progress_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediad.steering.importing._EVERY", 0.001)
    path = card(house, *range(60))
    async with house.life() as steering:
        reply = await steering.call("Import", more=True, paths=[path])
        told = [*steering.told, reply]
        done = [int(str(one["files_done"])) for one in told]
        assert done == sorted(done)
        assert done[-1] == reply["files"] == 60
        assert all(int(str(one["bytes_done"])) <= reply["bytes"] for one in told)
        assert {one["state"] for one in told} <= {"counting", "importing", "done"}
        assert len(told) > 2


async def test_a_folder_that_shows_the_library_at_another_place(
    house: House, bind_mount: mounting.Factory
) -> None:
    card(house, 1)
    everything = bind_mount(house.root)
    async with house.life() as steering:
        for path, message in (
            (everything, "has in it"),
            (everything / "photos" / "x", "lies in library photos"),
            (everything / "inbox", "lies in watch inbox"),
        ):
            path.mkdir(exist_ok=True)
            with pytest.raises(Refused, match=message):
                await steering.call("Import", paths=[str(path)])
        house.put("photos/x/a.jpg", picture(1))
        with pytest.raises(Refused, match="lies in library photos"):
            await steering.call("Import", paths=[str(everything / "photos/x/a.jpg")])
        assert (await steering.call("Import", paths=[str(everything / "card")]))["filed"] == 1
