"""Capture dates are overridden: sets are filed anew, and all of it is taken back."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import tomli_w

from mediad.cli.main import main
from mediad.control.protocol import InvalidParameter
from tests import rebuilding, samples
from tests.steering import House, Steering
from tests.system.once import TAKEN, picture
from tests.undoing import inbox, library, moving, trash

pytestmark = pytest.mark.anyio
SIDECAR = samples.xmp_sidecar(rating=1)
DAY = 86_400.0
FILED, EARLIER = "2021/2021-03-01", "2021/2021-02-28"  # picture() was taken on the first, at eight


@pytest.fixture
def house(tmp_path: Path) -> House:
    return moving(tmp_path, "{taken:%Y}/{taken:%Y-%m-%d}/{name}")


async def fill(house: House, steering: Steering) -> None:
    """A set, and another picture."""
    for name, content in {"a.jpg": picture(1), "a.xmp": SIDECAR, "b.jpg": picture(2)}.items():
        house.put(f"inbox/{name}", content)
    assert await steering.rest() == "idle"
    assert names(house) >= {f"{FILED}/a.jpg", f"{FILED}/a.xmp", f"{FILED}/b.jpg"}


def names(house: House) -> set[str]:
    return {name.decode() for name in library(house)}


async def date(house: House, steering: Steering, *paths: str, **asked: Any) -> dict[str, Any]:
    """Paths are below the house."""
    return await steering.call("Date", paths=[os.fspath(house.root / path) for path in paths], **asked)


async def story(house: House, steering: Steering, path: str) -> dict[str, Any]:
    found = await steering.call("Why", path=os.fspath(house.root / "photos" / path))
    return dict(found["stories"][0])


def dated(told: dict[str, Any]) -> tuple[Any, ...]:
    return told["taken"], told["offset"], told["taken_source"], told["confidence"]


async def test_a_card_is_shifted_and_back(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        before = library(house)
        planned = await date(house, steering, "photos", shift_s=-DAY, dry_run=True)
        assert (planned["state"], planned["done"], planned["batch"]) == ("planned", 3, None)
        assert library(house) == before
        answer = await date(house, steering, "photos", shift_s=-DAY)
        assert (answer["done"], answer["refused"]) == (3, 0)
        assert [one["destination"] for one in answer["changes"]] == [
            one["destination"] for one in planned["changes"]
        ]
        reason = "2021-02-28 08:00:00 (user) instead of 2021-03-01 08:00:00 (exif), by uid 0"
        assert [one["reason"] for one in answer["changes"]] == [reason, "", reason]
        assert names(house) == {f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp", f"{EARLIER}/b.jpg"}
        assert sorted(library(house).values()) == sorted(before.values())
        rows = [row for row in (await steering.call("History"))["rows"] if row["action"] == "date"]
        assert [dated(row) for row in rows] == [("2021-02-28T08:00:00", None, "user", "high")] * 3
        assert len({row["item"] for row in rows}) == 2
        told = await story(house, steering, f"{EARLIER}/a.xmp")
        assert dated(told) == ("2021-02-28T08:00:00", None, "user", "high")
        told = await story(house, steering, f"{EARLIER}/a.jpg")
        assert told["steps"][-1]["note"] == reason
        assert not any(one["won"] for one in told["candidates"])
        undo = await steering.call("Undo")
        assert (undo["done"], undo["refused"]) == (3, 0)
        assert library(house) == before
        told = await story(house, steering, f"{FILED}/a.jpg")
        assert dated(told) == ("2021-03-01T08:00:00", None, "exif", "high")
        assert [one["tag"] for one in told["candidates"] if one["won"]] == ["DateTimeOriginal"]
        assert (await steering.call("Undo", ids=[undo["batch"]]))["done"] == 3
        assert names(house) == {f"{EARLIER}/a.jpg", f"{EARLIER}/a.xmp", f"{EARLIER}/b.jpg"}
        told = await story(house, steering, f"{EARLIER}/b.jpg")
        assert dated(told) == ("2021-02-28T08:00:00", None, "user", "high")


async def test_what_stays_in_its_place_is_dated_and_back(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        before = library(house)
        answer = await date(house, steering, f"photos/{FILED}/a.xmp", set="2021-03-01T09:30:00.25+01:00")
        assert [one["destination"] for one in answer["changes"]] == [None, None]
        assert library(house) == before
        mine = ("2021-03-01T09:30:00.25", "+01:00", "user", "high")
        assert dated(await story(house, steering, f"{FILED}/a.jpg")) == mine
        assert dated(await story(house, steering, f"{FILED}/a.xmp")) == mine
        undo = await steering.call("Undo")
        assert undo["done"] == 2
        original = ("2021-03-01T08:00:00", None, "exif", "high")
        assert dated(await story(house, steering, f"{FILED}/a.jpg")) == original
        redo = await steering.call("Undo", ids=[undo["batch"]])
        assert redo["done"] == 2
        assert dated(await story(house, steering, f"{FILED}/a.xmp")) == mine
        assert (await steering.call("Undo", ids=[redo["batch"]]))["done"] == 2
        assert dated(await story(house, steering, f"{FILED}/a.xmp")) == original
        assert library(house) == before
        answer = await steering.call("Trash", paths=[os.fspath(house.root / "photos" / FILED / "a.jpg")])
        assert answer["done"] == 2  # it still is one set


async def test_what_came_later_is_taken_back_first(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        first = await date(house, steering, f"photos/{FILED}/b.jpg", set="2021-03-01T10:00:00")
        await date(house, steering, f"photos/{FILED}/b.jpg", set="2020-01-01T10:00:00")
        answer = await steering.call("Undo", ids=[first["batch"]])
        assert (answer["done"], answer["refused"]) == (0, 1)
        reason = answer["changes"][0]["reason"]
        assert reason.startswith("it was dated anew since: take that back first (mediactl undo ")
        later = int(reason.rpartition(" ")[2].rstrip(")"))
        assert (await steering.call("Undo", ids=[later], dry_run=True))["done"] == 1
        answer = await steering.call("Undo", since="2020-01-01T00:00:00Z")
        assert (answer["refused"], library(house)) == (0, {})
        assert set(inbox(house)) == {b"a.jpg", b"a.xmp", b"b.jpg"}


async def test_it_outlasts_duplicates_and_refiling(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        await date(house, steering, f"photos/{FILED}/a.jpg", set="1987-06-21T00:00:00")
        assert "1987/1987-06-21/a.xmp" in names(house)
        house.put("inbox/again.jpg", picture(1))
        assert await steering.rest() == "idle"
        assert trash(house) == [picture(1)]
        house.settings["library"]["photos"]["layout"] = "{taken:%Y-%m}/{name}"
        await steering.call("Reload")
        await steering.call("Refile", library="photos")
        assert names(house) == {"1987-06/a.jpg", "1987-06/a.xmp", "2021-03/b.jpg"}


@pytest.mark.usefixtures("may_block")
def test_it_outlasts_the_catalogue(house: House) -> None:
    async def before() -> None:
        async with house.life() as steering:
            await fill(house, steering)
            await date(house, steering, f"photos/{FILED}/a.jpg", set="1987-06-21T00:00:00")

    async def after() -> None:
        async with house.life() as steering:
            mine = ("1987-06-21T00:00:00", None, "user", "high")
            assert dated(await story(house, steering, "1987/1987-06-21/a.xmp")) == mine
            answer = await date(house, steering, "photos/1987", reset=True)
            assert (answer["done"], names(house)) == (
                2,
                {f"{FILED}/a.jpg", f"{FILED}/a.xmp", f"{FILED}/b.jpg"},
            )
            own = ("2021-03-01T08:00:00", None, "exif", "high")
            assert dated(await story(house, steering, f"{FILED}/a.jpg")) == own
            assert (await date(house, steering, "photos", reset=True))["changes"] == []

    anyio.run(before)
    configuration = house.root / "c.toml"
    configuration.write_text(tomli_w.dumps(house.settings), encoding="utf-8")
    with rebuilding._this_process_as_before():
        assert main(["rebuild", "--config", os.fspath(configuration)]) == 0
    anyio.run(after)


async def test_another_of_its_dates_is_believed(house: House) -> None:
    house.settings["dates"] = {"timezone": "Asia/Tokyo"}
    path = os.fsdecode(house.put("inbox/IMG_20200102_030405.jpg", picture(1)))
    os.utime(path, (1_600_000_000, 1_600_000_000))  # 2020-09-13T12:26:40Z
    async with house.life() as steering:
        house.put("inbox/none.jpg", picture(2))
        assert await steering.rest() == "idle"
        answer = await date(house, steering, "photos", use="FileName")
        assert (answer["done"], answer["refused"]) == (1, 1)
        refused = next(one for one in answer["changes"] if not one["done"])
        assert refused["reason"].startswith('has no date from "FileName", only from CreateDate, DateTime')
        assert names(house) == {"2020/2020-01-02/IMG_20200102_030405.jpg", f"{FILED}/none.jpg"}
        told = await story(house, steering, "2020/2020-01-02/IMG_20200102_030405.jpg")
        assert dated(told) == ("2020-01-02T03:04:05", None, "filename", "high")
        for source, moment in {
            "mtime": ("2020-09-13T21:26:40", "+09:00", "mtime", "high"),
            "modifydate": ("2021-03-01T08:00:00", None, "exif", "high"),
        }.items():
            await date(house, steering, "photos/2020", "photos/2021/2021-03-01", use=source)
            place = f"{moment[0][:4]}/{moment[0][:10]}/IMG_20200102_030405.jpg"
            assert dated(await story(house, steering, place)) == moment


async def test_what_is_undated_gets_a_date(house: House) -> None:
    house.put("inbox/scan.png", samples.png())
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        assert names(house) == {"Undated/scan.png"}
        answer = await date(house, steering, "photos/Undated", shift_s=60.0)
        assert "no date that could be shifted" in answer["changes"][0]["reason"]
        answer = await date(house, steering, "photos/Undated", set="2091-06-21T00:00:00")
        assert answer["changes"][0]["reason"].endswith("by uid 0; beware: that lies in the future")
        assert names(house) == {"2091/2091-06-21/scan.png"}
        assert (await date(house, steering, "photos/2091", shift_s=3e11))["refused"] == 1
        answer = await date(house, steering, "photos/2091", set="1950-06-21T00:00:00")
        assert "beware: that lies before 1990-01-01" in answer["changes"][0]["reason"]
        await date(house, steering, "photos/1950", reset=True)
        assert names(house) == {"Undated/scan.png"}


async def test_each_refusal_has_its_reason(house: House) -> None:
    house.put("inbox/broken.jpg", samples.broken_jpeg(1))
    house.put("photos/mine.jpg", picture(9))
    async with house.life() as steering:
        await fill(house, steering)
        house.put("inbox/c.jpg", picture(3))
        assert await steering.rest() == "idle"
        await steering.call("Undo", paths=[os.fspath(house.root / "inbox/c.jpg")])
        (house.root / "photos" / FILED / "b.jpg").write_bytes(b"edited")
        quarantined = next((house.root / "photos/.mediad/quarantine").glob("*.jpg"))
        reasons = {
            f"photos/{FILED}/b.jpg": "was changed since (if that is right: mediactl verify --accept /",
            "photos/mine.jpg": "never looked into: mediactl adopt",
            os.fspath(quarantined.relative_to(house.root)): "not in the library: quarantined",
            "inbox/c.jpg": "not in the library: ignored (taken back with mediactl undo)",
            "inbox/a.jpg": f"lies in the library as {house.root}/photos/2021/2021-03-02/a.jpg",
            "photos/nothing.jpg": "if it was moved by hand, mediactl verify --accept with its old path",
        }
        answer = await date(house, steering, *reasons, f"photos/{FILED}/a.jpg", shift_s=DAY)
        assert (answer["done"], answer["refused"]) == (2, 6)
        told = {one["source"]: one["reason"] for one in answer["changes"]}
        for path, reason in reasons.items():
            assert reason in told[os.fspath(house.root / path)]
        assert told[os.fspath(house.root / f"photos/{FILED}/b.jpg")].startswith("was changed since")
        await steering.call("Trash", paths=[os.fspath(house.root / "photos/2021/2021-03-02/a.jpg")])
        answer = await date(house, steering, "photos/2021/2021-03-02/a.xmp", shift_s=DAY)
        assert answer["refused"] == 1


async def test_a_source_that_nothing_has_is_refused_once(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        answer = await date(house, steering, "photos", use="nothing")
        (refused,) = answer["changes"]
        assert refused["reason"] == (
            'has no date from "nothing", nor has any other of these: --use takes exif, quicktime, xmp,'
            " takeout, filename, mtime, or a field that mediactl why names, such as CreateDate"
        )
        (refused,) = (await date(house, steering, f"photos/{FILED}/b.jpg", use="takeout"))["changes"]
        assert refused["reason"].startswith('has no date from "takeout", only from CreateDate')


async def test_nonsense_is_no_order(house: House) -> None:
    async with house.life() as steering:
        for asked in (
            {},
            {"set": "2021-07-10"},
            {"set": "yesterday"},
            {"set": "2021-07-10T00:00:00+01:00:01"},
            {"shift_s": 1e300},
            {"shift_s": 0.0},
            {"use": ""},
            {"set": "2021-07-10T00:00:00", "reset": True},
        ):
            with pytest.raises(InvalidParameter):
                await date(house, steering, "photos", **asked)
        with pytest.raises(InvalidParameter):
            await date(house, steering, reset=True)


async def test_tags_name_a_file_when_it_is_filed_anew(house: House) -> None:
    house.put("inbox/x.jpg", picture(1))
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        told = '{"format":"jpeg","artist":"Ann","album":"Live","title":"Song","track":7,"make":"Canon"}'
        await steering.database.run(
            lambda connection: connection.execute("UPDATE arrival SET evidence = ?", (told,)).fetchall()
        )
        layout = "{artist}/{album}/{track:02} {title} {make}{model|?} {stem}{ext}"
        house.settings["library"]["photos"]["layout"] = layout
        await steering.call("Reload")
        assert (await steering.call("Refile", library="photos"))["done"] == 1
        assert names(house) == {"Ann/Live/07 Song Canon? x.jpg"}


async def test_a_companion_stands_for_its_set_and_never_goes_alone(house: House) -> None:
    async with house.life() as steering:
        await fill(house, steering)
        house.settings["library"]["photos"]["layout"] = "{taken:%Y}/{name}"
        await steering.call("Reload")
        sidecar = os.fspath(house.root / "photos" / FILED / "a.xmp")
        assert (await steering.call("Refile", paths=[sidecar]))["done"] == 2
        assert names(house) == {"2021/a.jpg", "2021/a.xmp", f"{FILED}/b.jpg"}
        house.put("inbox/late.jpg", picture(7))
        assert await steering.rest() == "idle"
        house.put("inbox/late.xmp", SIDECAR)
        assert await steering.rest() == "idle"
        assert names(house) >= {"2021/late.jpg", "2021/late.xmp"}
        await steering.call("Undo", paths=[os.fspath(house.root / "photos/2021/late.jpg")])
        for answer in (
            await date(house, steering, "photos/2021/late.xmp", shift_s=DAY),
            await steering.call("Refile", paths=[os.fspath(house.root / "photos/2021/late.xmp")]),
        ):
            assert (answer["done"], answer["refused"]) == (0, 1)
            assert "belongs to a file that is not in the library" in answer["changes"][0]["reason"]


async def test_what_a_sidecar_tells_is_gone_back_to(house: House) -> None:
    house.put("inbox/scan.png", samples.png())
    house.put("inbox/scan.xmp", samples.xmp_sidecar(taken=datetime(2003, 4, 5, 6, 7, 8)))  # noqa: DTZ001
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        assert names(house) == {"2003/2003-04-05/scan.png", "2003/2003-04-05/scan.xmp"}
        filed = await story(house, steering, "2003/2003-04-05/scan.png")
        assert [one["sidecar"] for one in filed["candidates"] if one["won"]] == ["scan.xmp"]
        await date(house, steering, "photos/2003", set="2004-01-01T00:00:00")
        told = await story(house, steering, "2004/2004-01-01/scan.png")
        assert not any(one["won"] for one in told["candidates"])
        await date(house, steering, "photos/2004", reset=True)
        told = await story(house, steering, "2003/2003-04-05/scan.png")
        assert (dated(told), told["candidates"]) == (dated(filed), filed["candidates"])
        await date(house, steering, "photos/2003", set="2004-01-01T00:00:00")
        await date(house, steering, "photos/2004", use="xmp")
        told = await story(house, steering, "2003/2003-04-05/scan.png")
        assert (told["taken_source"], told["candidates"]) == ("xmp", filed["candidates"])


async def test_what_comes_late_is_asked_for_a_date(house: House) -> None:
    """Nothing that is filed moves by itself, but whoever asks gets the date."""
    house.put("inbox/x.jpg", samples.plain_jpeg(size=(32, 24)))
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        house.put("inbox/x.jpg.json", samples.takeout_sidecar("x.jpg", TAKEN))
        assert await steering.rest() == "idle"
        assert names(house) == {"Undated/x.jpg", "Undated/x.jpg.json"}
        for asked in ({"use": "takeout"}, {"use": "phototakentime"}, {"reset": True}):
            answer = await date(house, steering, "photos/Undated", **asked)
            assert (answer["done"], answer["refused"]) == (2, 0)
            assert names(house) == {f"{FILED}/x.jpg", f"{FILED}/x.jpg.json"}
            told = await story(house, steering, f"{FILED}/x.jpg")
            assert (told["taken"][:10], told["taken_source"]) == ("2021-03-01", "takeout")
            assert (await steering.call("Undo"))["done"] == 2
            assert names(house) == {"Undated/x.jpg", "Undated/x.jpg.json"}


async def test_an_adopted_set_has_its_sidecars_date_and_may_get_another(house: House) -> None:
    house.put("photos/old/scan.png", samples.png())
    house.put("photos/old/scan.xmp", samples.xmp_sidecar(taken=datetime(2003, 4, 5, 6, 7, 8)))  # noqa: DTZ001
    async with house.life() as steering:
        await steering.call("Adopt", library="photos")
        told = await story(house, steering, "old/scan.xmp")
        assert told["taken"] == "2003-04-05T06:07:08"
        answer = await date(house, steering, "photos/old/scan.xmp", shift_s=DAY)
        assert (answer["done"], answer["refused"]) == (2, 0)
        assert names(house) == {"2003/2003-04-06/scan.png", "2003/2003-04-06/scan.xmp"}
        assert (await steering.call("Undo"))["done"] == 2
        assert names(house) == {"old/scan.png", "old/scan.xmp"}


async def test_a_raw_that_comes_late_takes_the_date_that_was_set(house: House) -> None:
    house.put("inbox/a.jpg", picture(1))
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        await date(house, steering, "photos", set="2021-03-03T08:00:00")
        house.put("inbox/a.dng", samples.tiff(TAKEN, seed=1, size=(16, 12)))
        assert await steering.rest() == "idle"
        assert names(house) == {"2021/2021-03-03/a.dng", "2021/2021-03-03/a.jpg"}
        for name in names(house):
            told = dated(await story(house, steering, name))
            assert told == ("2021-03-03T08:00:00", None, "user", "high")
        await date(house, steering, "photos/2021/2021-03-03/a.jpg", shift_s=DAY)
        assert names(house) == {"2021/2021-03-04/a.dng", "2021/2021-03-04/a.jpg"}
        assert (await steering.call("Undo"))["done"] == 2
        assert names(house) == {"2021/2021-03-03/a.dng", "2021/2021-03-03/a.jpg"}
