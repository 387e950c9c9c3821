"""Sets of all kinds on a real pipeline: what goes together, under which names, and what stays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from mediad.ingest.identify import Identified
from mediad.model import Settled
from tests import samples
from tests.steering import House
from tests.system.once import DAY, TAKEN, picture, xmp
from tests.trees import files

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    return house


def put_all(house: House, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        house.put(f"inbox/{name}", data)


def filed(house: House) -> dict[bytes, bytes]:
    found = files(house.root / "photos")
    return {name: data for name, data in found.items() if not name.startswith(b".mediad") and data}


async def outcomes(steering: Any, house: House, name: str) -> tuple[str, str]:
    told = await steering.call("Why", path=str(house.root / "inbox" / name))
    story = told["stories"][-1]
    return story["outcome"], story["reason"]


async def test_what_belongs_together_goes_together(house: House) -> None:
    plain = samples.plain_jpeg(size=(32, 24), seed=5)
    takeout = samples.takeout_sidecar("x", TAKEN)
    principals = {
        "IMG_1234.JPG": picture(1),
        "DSC_1.JPG": picture(2),
        "DSC_1(1).JPG": picture(3),
        "GX010001.MP4": samples.mp4(TAKEN, size=(32, 24)),
    }
    sets = [
        ["IMG_1234.JPG", "IMG_1234.txt", "IMG_E1234.JPG", "IMG_O1234.AAE", "SND_1234.WAV"],
        ["DSC_1-edited.JPG", "DSC_1.JPG", "DSC_1.JPG.supplemental-me.json"],
        ["DSC_1(1).JPG", "DSC_1.JPG(1).json"],
        ["GL010001.LRV", "GX010001.MP4", "GX010001.THM"],
    ]
    contents = {
        "IMG_E1234.JPG": picture(4),
        "IMG_O1234.AAE": samples.aae(),
        "IMG_1234.txt": b"a note",
        "SND_1234.WAV": samples.wav(),
        "DSC_1.JPG.supplemental-me.json": takeout,
        "DSC_1-edited.JPG": picture(6),
        "DSC_1.JPG(1).json": takeout + b"\n",
        "GL010001.LRV": b"a small film",
        "GX010001.THM": plain,
    }
    names = {
        "SND_1234.WAV": "IMG_1234.WAV",
        "DSC_1.JPG(1).json": "DSC_1(1).JPG.json",
        "GL010001.LRV": "GX010001.LRV",
    }
    async with house.life() as steering:
        put_all(house, principals | contents)
        assert await steering.rest() == "idle"
        rows = (await steering.call("History"))["rows"]
        assert files(house.root / "inbox") == {}
    everything = (principals | contents).items()
    assert filed(house) == {DAY + names.get(name, name).encode(): data for name, data in everything}
    items: dict[int, list[str]] = {}
    for row in rows:
        items.setdefault(row["item"], []).append(Path(row["source"]).name)
    assert sorted(sorted(names) for names in items.values()) == sorted(sets)


async def test_an_extension_that_lies_is_set_right(house: House) -> None:
    async with house.life() as steering:
        put_all(house, {"a.png": picture(1), "a.png.xmp": xmp(1), "b.jpg": picture(2)})
        assert await steering.rest() == "idle"
        told = await steering.call("Why", path=str(house.root / "photos/2021/2021-03-01/a.jpg"))
        assert "named .png, is JPEG: filed as .jpg" in str(told)
        assert str(house.root / "inbox/a.png") in str(told)
    assert filed(house).keys() == {DAY + b"a.jpg", DAY + b"a.jpg.xmp", DAY + b"b.jpg"}


async def test_nothing_good_is_quarantined(house: House) -> None:
    async with house.life() as steering:
        put_all(house, {"a.dng": samples.broken_jpeg(1), "a.jpg": picture(1), "a.xmp": xmp(1)})
        put_all(
            house, {"b.jpg": picture(2), "b.mov": samples.broken_jpeg(2)[:9], "c.jpg": samples.broken_jpeg(3)}
        )
        assert await steering.rest() == "idle"
        assert await steering.totals() == {
            "filed": 5,
            "quarantined": 1,
            "bytes_filed": sum(map(len, filed(house).values())),
        }
    assert {name.rpartition(b"/")[2].partition(b".")[0] for name in filed(house)} == {b"a", b"b"}


async def test_notes_without_a_picture_are_no_media_until_it_comes(house: House) -> None:
    async with house.life() as steering:
        lonely = {"package.json": b"{}", "notes.txt": b"a note", "IMG_1.HEIC.json": b"{}", "a.xmp": xmp(1)}
        put_all(house, lonely)
        assert await steering.rest() == "idle"
        for name in lonely:
            reason = (
                "a companion without its principal" if name == "a.xmp" else "is not media, by content or name"
            )
            assert await outcomes(steering, house, name) == ("ignored", reason)
        put_all(house, {"Notes.jpg": picture(1)})
        assert await steering.rest() == "idle"
        assert filed(house) == {DAY + b"Notes.jpg": picture(1), DAY + b"Notes.txt": b"a note"}
        assert files(house.root / "inbox").keys() == {b"package.json", b"IMG_1.HEIC.json", b"a.xmp"}


async def test_what_other_programs_keep_beside_pictures_stays(house: House) -> None:
    stays = {"logo.json": b'{"name": "logo"}', "x.jpg.json": b"[1,2,3]", "requirements.txt": b"pillow"}
    late = {"x.json": b"{}", "logo.txt": b"a text"}
    pictures = {"logo.png": samples.png(seed=1), "x.jpg": picture(1), "requirements.png": samples.png(seed=2)}
    async with house.life() as steering:
        put_all(house, stays | pictures)
        assert await steering.rest() == "idle"
        put_all(house, late | {"x.txt": b"a note"})
        assert await steering.rest() == "idle"
        for name in stays | late:
            assert await outcomes(steering, house, name) == (
                "ignored",
                "is not media, by content or name",
            )
        assert files(house.root / "inbox") == {name.encode(): data for name, data in (stays | late).items()}
        known = len((await steering.call("History"))["rows"])
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert len((await steering.call("History"))["rows"]) == known
    assert filed(house).keys() == {
        DAY + b"x.jpg",
        DAY + b"x.txt",
        b"Undated/logo.png",
        b"Undated/requirements.png",
    }


async def test_a_picture_under_a_texts_name_is_a_picture(house: House) -> None:
    async with house.life() as steering:
        put_all(house, {"a.txt": picture(1)})
        assert await steering.rest() == "idle"
    assert filed(house) == {DAY + b"a.txt": picture(1)}


async def test_a_live_photo_under_two_names_meets_by_its_identifier(house: House) -> None:
    still, film = samples.live_photo(TAKEN, seed=7)
    async with house.life() as steering:
        put_all(house, {"IMG_1.JPG": still, "renamed.MOV": film})
        assert await steering.rest() == "idle"
    assert filed(house) == {DAY + b"IMG_1.JPG": still, DAY + b"IMG_1.MOV": film}


async def test_late_companions_of_other_names(house: House) -> None:
    async with house.life() as steering:
        put_all(house, {"D(1).JPG": picture(1), "IMG_1234.JPG": picture(2), "a.png": picture(3)})
        assert await steering.rest() == "idle"
        takeout = samples.takeout_sidecar("D.JPG", TAKEN)
        late = {"D.JPG(1).json": takeout, "IMG_E1234.JPG": picture(4), "a.png.xmp": xmp(1)}
        put_all(house, late)
        assert await steering.rest() == "idle"
    added = {b"D(1).JPG.json": takeout, b"IMG_E1234.JPG": picture(4), b"a.jpg.xmp": xmp(1)}
    before = {b"D(1).JPG": picture(1), b"IMG_1234.JPG": picture(2), b"a.jpg": picture(3)}
    assert filed(house) == {DAY + name: data for name, data in (before | added).items()}


async def test_a_long_text_is_no_note(house: House) -> None:
    async with house.life() as steering:
        put_all(house, {"a.jpg": picture(1), "a.txt": b"log"})
        os.truncate(house.root / "inbox/a.txt", (16 << 20) + 1)
        assert await steering.rest() == "idle"
        assert (await outcomes(steering, house, "a.txt"))[0] == "ignored"
    assert filed(house) == {DAY + b"a.jpg": picture(1)}


async def test_what_comes_late_with_what_it_brings_is_told_as_one_set(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/IMG_1.HEIC", samples.heic(TAKEN, subsec="50"))
        assert await steering.rest() == "idle"
        put_all(house, {"IMG_1.JPG": picture(1), "IMG_1.JPG.xmp": xmp(1)})
        assert await steering.rest() == "idle"
        rows = (await steering.call("History"))["rows"]
    assert len(rows) == 3
    assert {(row["item"], row["taken"]) for row in rows} == {(rows[0]["id"], rows[0]["taken"])}


async def test_a_sidecar_that_comes_while_its_picture_is_read_waits_for_that(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "what it belongs to is not filed yet"
    async with house.life() as steering:
        tracker, identifier = steering.pipeline.tracker, steering.pipeline.stages.identifier
        gate, identify = anyio.Event(), identifier.identify

        async def slowly(batch: Sequence[Settled], *arguments: Any) -> Identified:
            if any(one.path == b"IMG_1.JPG" for settled in batch for one in settled.members):
                await gate.wait()
            return await identify(batch, *arguments)

        monkeypatch.setattr(identifier, "identify", slowly)
        house.put("inbox/IMG_1.JPG", picture(1))
        await steering.call("Scan")
        await steering.until(lambda: tracker.flying)
        house.put("inbox/IMG_1.xmp", xmp(1))
        await steering.call("Scan")
        await steering.until(lambda: any(note in one.note for one in tracker.listing(0.0)))
        gate.set()
        assert await steering.rest() == "idle"
        assert {name.rpartition(b"/")[2] for name in filed(house)} == {b"IMG_1.JPG", b"IMG_1.xmp"}
        assert await steering.totals() == {"filed": 2, "bytes_filed": len(picture(1)) + len(xmp(1))}
        picture_row, sidecar_row = (await steering.call("History"))["rows"]
        assert picture_row["item"] == sidecar_row["item"] == picture_row["id"]


async def test_an_empty_sidecar_beside_a_file_on_its_way_is_looked_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        gate, identifier = anyio.Event(), steering.pipeline.stages.identifier
        identify, looks = identifier.identify, []

        async def later(batch: Sequence[Settled], *more: Any) -> Identified:
            if batch[0].members[0].path == b"a.jpg":
                await gate.wait()
            else:
                looks.append(batch)
            return await identify(batch, *more)

        monkeypatch.setattr(identifier, "identify", later)
        house.put("inbox/a.jpg", picture(1))
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.tracker.flying)
        house.put("inbox/a.xmp", b"")
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.recorder.tally.files.get("ignored"))
        for _ in range(3):
            await steering.call("Scan")
        assert len(looks) == 1
        gate.set()
        await steering.rest()
        assert await steering.totals() | {"bytes_filed": 0} == {"filed": 1, "ignored": 1, "bytes_filed": 0}
