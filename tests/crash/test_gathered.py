"""The process dies at every change while a RAW is filed and its JPEG, which came before, goes beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import samples
from tests.crash.faulty import Faults
from tests.crash.test_relocated import everywhere, run
from tests.steering import House, Steering
from tests.system.once import TAKEN, picture

pytestmark = pytest.mark.usefixtures("may_block")  # since nothing runs in threads

JPEG, SIDECAR = picture(1), samples.xmp_sidecar(rating=1)
RAW = samples.tiff(TAKEN, seed=1, size=(16, 12))
APART = "{kind}/{taken:%Y}/{name}"
TOGETHER = "{taken:%Y}/{name}"


@pytest.fixture
def house() -> Iterator[House]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="mediad-gather-", dir=memory))
    try:
        (root / "house").mkdir()
        found = House(root / "house")
        found.settings["watch"]["inbox"]["action"] = "move"
        yield found
    finally:
        shutil.rmtree(root)


async def jpeg_comes(house: House, steering: Steering) -> None:
    house.put("inbox/a.jpg", JPEG)
    house.put("inbox/a.jpg.xmp", SIDECAR)
    assert await steering.rest() == "idle"


async def raw_comes(house: House, steering: Steering) -> None:
    house.put("inbox/a.dng", RAW)
    assert await steering.rest() == "idle"


def prepare(house: House) -> None:
    shutil.rmtree(house.root)
    for name in ("photos", "inbox", "state"):
        (house.root / name).mkdir(parents=True)
    run(house, jpeg_comes, Faults(), "linked")


def rows(house: House) -> set[tuple[bytes, str, bool]]:
    """The library files and whether they belong to the RAW's set; nothing is under way or left to gather."""
    with contextlib.closing(sqlite3.connect(house.root / "state/catalogue.db")) as connection:
        assert connection.execute("SELECT * FROM gathering").fetchall() == []
        assert connection.execute("SELECT * FROM step WHERE state = 'intent'").fetchall() == []
        assert connection.execute("SELECT outcome, files FROM tally WHERE files").fetchall() == [("filed", 3)]
        return set(
            connection.execute(
                "SELECT path, role, item = (SELECT item FROM file WHERE role = 'principal') FROM file"
            )
        )


@pytest.mark.parametrize(
    ("layout", "folder", "every"), [(APART, b"raw/2021/", 2), (TOGETHER, b"2021/", 3)], ids=["moved", "stays"]
)
def test_killed_at_every_change(house: House, layout: str, folder: bytes, every: int) -> None:
    house.settings["library"]["photos"]["layout"] = layout
    expected = {b"photos/" + folder + name for name in (b"a.jpg", b"a.jpg.xmp", b"a.dng")}
    number = 1
    while True:
        prepare(house)
        faults = Faults()
        run(house, raw_comes, faults, "linked", number)
        run(house, None, Faults(), "linked")
        there = everywhere(house)
        at = f"killed before operation {number} ({faults.hit})"
        assert set(there) == expected, at
        assert {there[path] for path in expected} == {JPEG, SIDECAR, RAW}, at
        assert rows(house) == {
            (folder + b"a.dng", "principal", 1),
            (folder + b"a.jpg", "companion", 1),
            (folder + b"a.jpg.xmp", "companion", 1),
        }, at
        if not faults.dead:
            break
        number += every
    assert number > 10


async def both_come(house: House, steering: Steering) -> None:
    house.put("inbox/a.jpg", JPEG)
    await raw_comes(house, steering)


def test_killed_while_a_raw_brings_its_jpeg_again(house: House) -> None:
    house.settings["library"]["photos"]["layout"] = APART
    names = (b"a.dng", b"a.jpg", b"a.jpg.xmp")
    number = 1
    while True:
        prepare(house)
        faults = Faults()
        run(house, both_come, faults, "linked", number)
        run(house, None, Faults(), "linked")
        there = everywhere(house)
        at = f"killed before operation {number} ({faults.hit})"
        assert {path for path in there if b"/." not in path} == {
            b"photos/raw/2021/" + name for name in names
        }, at
        media = [content for content in there.values() if not content.startswith(b"duplicate: ")]
        assert sorted(media) == sorted((RAW, JPEG, JPEG, SIDECAR)), at
        if not faults.dead:
            break
        number += 4
    assert number > 10
