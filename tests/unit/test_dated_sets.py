"""Where the dates of whole sets come from, on a real pipeline, and what is told of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import samples
from tests.steering import House
from tests.trees import files

pytestmark = pytest.mark.anyio

NOON = datetime.fromisoformat("2021-07-10T12:00:00")
SMALL = (32, 24)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    house.settings["dates"] = {"timezone": "Europe/Berlin"}
    return house


def blank(seed: int) -> bytes:
    return samples.plain_jpeg(size=SMALL, seed=seed)


def filed(house: House) -> set[str]:
    found = files(house.root / "photos")
    return {name.decode() for name, data in found.items() if not name.startswith(b".mediad") and data}


async def test_sidecars_date_what_has_no_date(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", blank(1))
        house.put("inbox/a.jpg.xmp", samples.xmp_sidecar(NOON))
        house.put("inbox/b.jpg", blank(2))
        house.put("inbox/b.jpg.supplemental-metadata.json", samples.takeout_sidecar("b.jpg", NOON))
        house.put("inbox/c.jpg", samples.jpeg(NOON, size=SMALL, seed=3))
        house.put("inbox/c.jpg.json", samples.takeout_sidecar("c.jpg", NOON + timedelta(days=99)))
        house.put("inbox/d.jpg", blank(4))
        house.put("inbox/d.jpg.json", b'{"photoTakenTime": {"timestamp": "0"}}')
        assert await steering.rest() == "idle"
        rows = (await steering.call("History"))["rows"]
        stories = {
            name: (await steering.call("Why", path=str(house.root / "inbox" / name)))["stories"][0]
            for name in ("a.jpg", "b.jpg", "b.jpg.supplemental-metadata.json", "c.jpg", "d.jpg")
        }
    assert {name.partition("/")[0] for name in filed(house)} == {"2021", "Undated"}
    dates = {row["source"].rpartition("/")[2]: (row["taken"], row["taken_source"]) for row in rows}
    assert dates["a.jpg"] == dates["a.jpg.xmp"] == ("2021-07-10T12:00:00", "xmp")
    assert dates["b.jpg"] == dates["b.jpg.supplemental-metadata.json"] == ("2021-07-10T14:00:00", "takeout")
    assert dates["c.jpg"] == dates["c.jpg.json"] == ("2021-07-10T12:00:00", "exif")
    assert dates["d.jpg"] == dates["d.jpg.json"] == (None, None)
    won = {
        name: [one["sidecar"] for one in story["candidates"] if one["won"]] for name, story in stories.items()
    }
    assert won == {
        "a.jpg": ["a.jpg.xmp"],
        "b.jpg": ["b.jpg.supplemental-metadata.json"],
        "b.jpg.supplemental-metadata.json": ["b.jpg.supplemental-metadata.json"],
        "c.jpg": [None],
        "d.jpg": [],
    }


async def test_what_is_doubtful_is_listed(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/IMG-20210710-WA0001.jpg", blank(1))
        house.put("inbox/cut.jpg", samples.jpeg(NOON, seed=2)[:-2000])
        house.put("inbox/reset.jpg", samples.jpeg(datetime.fromisoformat("2000-01-01"), size=SMALL, seed=3))
        house.put("inbox/fine.jpg", samples.jpeg(NOON, size=SMALL, seed=4))
        house.put("inbox/fix.jpg", samples.jpeg(raw_date="", gps=(1, 1), gps_time=NOON, size=SMALL, seed=5))
        assert await steering.rest() == "idle"
        rows = (await steering.call("History", doubtful=True))["rows"]
    assert sorted(row["source"].rpartition("/")[2] for row in rows) == [
        *("IMG-20210710-WA0001.jpg", "cut.jpg", "fix.jpg"),
    ]
    assert "Undated/reset.jpg" in filed(house)


async def test_a_film_among_its_pictures(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/MVI_1234.MP4", samples.mp4(NOON, size=SMALL))
        house.put("inbox/IMG_1233.JPG", samples.jpeg(NOON - timedelta(minutes=5), size=SMALL, seed=1))
        house.put("inbox/IMG_1235.JPG", samples.jpeg(NOON + timedelta(minutes=5), size=SMALL, seed=2))
        assert await steering.rest() == "idle"
        house.put("inbox/MVI_1236.MP4", samples.mp4(NOON + timedelta(minutes=6), size=SMALL, seed=3))
        house.put("inbox/IMG_1237.JPG", samples.jpeg(NOON + timedelta(minutes=9), size=SMALL, seed=4))
        assert await steering.rest() == "idle"
    async with house.life() as steering:  # now only the catalogue knows the pictures
        house.put("inbox/MVI_1232.MP4", samples.mp4(NOON - timedelta(minutes=6), size=SMALL, seed=5))
        assert await steering.rest() == "idle"
        rows = (await steering.call("History"))["rows"]
        path = str(house.root / "inbox" / "MVI_1234.MP4")
        (story,) = (await steering.call("Why", path=path))["stories"]
    films = {row["source"][-8:]: (row["taken"], row["offset"]) for row in rows if row["kind"] == "video"}
    assert films == {
        "1234.MP4": ("2021-07-10T12:00:00", None),
        "1236.MP4": ("2021-07-10T12:06:00", None),
        "1232.MP4": ("2021-07-10T11:54:00", None),
    }
    assert story["date_note"] == ("IMG_1233.JPG and IMG_1235.JPG of the same card show that it is local time")


async def test_a_late_sidecar_dates_its_picture_on_demand(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/b.jpg", blank(1))
        assert await steering.rest() == "idle"
        house.put("inbox/b.jpg.json", samples.takeout_sidecar("b.jpg", NOON))
        assert await steering.rest() == "idle"
        path = str(house.root / "photos/Undated/b.jpg")
        (story,) = (await steering.call("Why", path=path))["stories"]
        (late,) = (one for one in story["candidates"] if one["command"])
        assert (story["taken"], late["sidecar"]) == (None, "b.jpg.json")
        assert late["command"] == f"mediactl date {path} --use takeout"
        answer = await steering.call("Date", paths=[path], use="takeout")
        assert answer["done"] == 2
        (story,) = (await steering.call("Why", path=answer["changes"][0]["destination"]))["stories"]
    assert [(one["sidecar"], one["command"]) for one in story["candidates"] if one["won"]] == [
        ("b.jpg.json", None)
    ]
    assert not any(one["command"] for one in story["candidates"] if one["source"] == "mtime")


async def test_the_refusal_names_what_has_to_be_taken_back_first(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", samples.jpeg(NOON, size=SMALL))
        assert await steering.rest() == "idle"
        (row,) = (await steering.call("History"))["rows"]
        moment = f"{NOON + timedelta(seconds=9):%Y-%m-%dT%H:%M:%S}"
        dated = await steering.call("Date", paths=[row["destination"]], set=moment)
        house.put("inbox/a.dng", samples.tiff(NOON, size=SMALL))
        assert await steering.rest() == "idle"
        (refused,) = (await steering.call("Undo", ids=[dated["batch"]]))["changes"]
        said, _, command = refused["reason"].partition(" (mediactl undo ")
        assert said == "it was filed anew since: take that back first"
        later = await steering.call("Undo", ids=[int(command.rstrip(")"))])
        assert (later["done"], later["refused"]) == (2, 0)
        assert (await steering.call("Undo", ids=[dated["batch"]]))["done"] == 1
