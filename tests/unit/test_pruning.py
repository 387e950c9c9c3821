"""Pruning: all but one of each group of exact copies go into trash, and never the last one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mediad.errors import NotKnown
from mediad.keeping.pruning import Companion, Exemplar, Going, plan
from mediad.store.copies import Beside, Copy
from tests import samples
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

DIGEST, OTHER = b"\x01" * 32, b"\x02" * 32
STILL = picture(1)


# --- The decision ------------------------------------------------------------------------------------


def copy(number: int, within: str, *, item: int | None = None, mtime: int = 0) -> Copy:
    """A file of the library at /l; found, if it has no item."""
    path = within.encode()
    dated = None if item is None else True
    return Copy(number, b"/l/" + path, path, 10, item is None, dated, 1, mtime or number, item)


def beside(
    number: int, within: str, *, item: int | None = None, digest: bytes | None = OTHER, inode: int = 0
) -> Companion:
    """A companion of this set; found, if it has no item."""
    role = "found" if item is None else "companion"
    return Companion(Beside(number, within.encode(), 5, number, digest, role, item), (1, inode or number))


def exemplar(file: Copy, *others: Companion, inode: int = 0, missing: bool = False) -> Exemplar:
    return Exemplar(file, None if missing else (1, inode or file.id), others)


def gone(*group: Exemplar, keep: Any = "best", under: bytes | None = None) -> list[list[int]] | None:
    """The rows of the sets that go."""
    found = plan(DIGEST, group, keep, under)
    return None if found is None else [[one.file for one in going] for going in found.going]


def spared(*group: Exemplar) -> str:
    """Why the one copy of a pair that might go is spared."""
    found = plan(DIGEST, group, "best", None)
    assert found is not None
    assert found.going == ()
    (one,) = found.spared
    assert one.file != found.kept
    return one.reason


def test_the_best_or_the_oldest_stays() -> None:
    found, filed = copy(1, "a.jpg", mtime=50), copy(2, "b.jpg", item=20, mtime=70)
    undated = copy(3, "Undated/c.jpg", item=30, mtime=60)
    group = [exemplar(one) for one in (found, filed, undated)]
    assert gone(*group) == [[3], [1]]
    assert gone(*group, keep="oldest") == [[3], [2]]
    pruned = plan(DIGEST, group, "best", None)
    assert pruned is not None
    assert (pruned.kept, pruned.kept_path) == (2, b"/l/b.jpg")
    assert pruned.going[0] == (Going(3, 1, b"Undated/c.jpg", 10, 2),)


def test_only_what_lies_below_a_folder_goes() -> None:
    group = [exemplar(copy(1, "x/a.jpg")), exemplar(copy(2, "x/b.jpg")), exemplar(copy(3, "xy/a.jpg"))]
    assert gone(*group, under=b"/l/x") == [[2]]
    assert gone(*group, under=b"/l/xy/") == [[3]]
    assert gone(*group, under=b"/l") == [[2], [3]]
    assert gone(*group, under=b"/elsewhere") == []


def test_the_last_one_stays() -> None:
    assert gone() is None
    assert gone(exemplar(copy(1, "a.jpg"))) is None
    assert gone(exemplar(copy(1, "a.jpg"), missing=True), exemplar(copy(2, "b.jpg"))) is None
    three = [exemplar(copy(1, "a.jpg"), missing=True), exemplar(copy(2, "b.jpg")), exemplar(copy(3, "c.jpg"))]
    assert gone(*three) == [[3]]


def test_two_names_of_one_file_are_no_copies() -> None:
    one, two = exemplar(copy(1, "a.jpg"), inode=7), exemplar(copy(2, "b.jpg"), inode=7)
    assert "very same file" in spared(one, two)
    assert gone(one, two, exemplar(copy(3, "c.jpg"))) == [[3]]


def test_companions_go_along_where_they_are_kept_too() -> None:
    kept = exemplar(copy(1, "a.jpg", item=10), beside(11, "a.xmp", item=10))
    other = exemplar(copy(2, "b.jpg", item=20), beside(21, "b.xmp", item=20))
    pruned = plan(DIGEST, [kept, other], "best", None)
    assert pruned is not None
    assert pruned.going == ((Going(2, 1, b"b.jpg", 10, 1), Going(21, 1, b"b.xmp", 5, 11)),)


@pytest.mark.parametrize(
    ("mine", "kept", "why"),
    [
        (beside(21, "b.xmp", item=20), None, "is not kept beside"),
        (beside(21, "b.xmp", item=20), beside(11, "a.xmp", item=10, digest=DIGEST), "is not kept beside"),
        (beside(21, "b.xmp", item=20), beside(11, "else.xmp"), "is not kept beside"),
        (beside(21, "b.xmp", item=20, digest=None), beside(11, "a.xmp", item=10), "not as it was recorded"),
        (
            beside(21, "b.xmp", item=20, inode=5),
            beside(11, "a.xmp", item=10, inode=5),
            "the very same file as that",
        ),
        (beside(21, "b.xmp"), beside(11, "a.xmp", item=10), "may belong to b.xmp, which is not catalogued"),
    ],
)
def test_a_set_that_is_not_kept_whole_stays(mine: Companion, kept: Companion | None, why: str) -> None:
    others = (kept,) if kept is not None else ()
    best = exemplar(copy(1, "a.jpg", item=10), *others)
    assert why in spared(best, exemplar(copy(2, "b.jpg", item=20), mine))


def test_what_is_not_catalogued_and_may_belong_to_something_stays() -> None:
    kept = exemplar(copy(1, "a.jpg", item=10))
    assert "may belong to b.cr2" in spared(kept, exemplar(copy(2, "b.jpg"), beside(3, "b.cr2", item=30)))
    assert "may belong to b.mov" in spared(kept, exemplar(copy(2, "b.jpg"), beside(3, "b.mov")))
    assert gone(kept, exemplar(copy(2, "b.jpg"), beside(3, "b.2.jpg"))) == [[2]]
    for name in ("b.xmp", "notes.txt", "b"):
        assert spared(exemplar(copy(1, "a.xmp")), exemplar(copy(2, name))) == "is no media by its name"


# --- All of it ---------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house in which everything has been at rest for an hour."""
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    return found


def library(house: House, name: str = "photos") -> set[str]:
    return {os.fsdecode(path) for path in files(house.root / name, without={b".mediad"})}


async def adopted(house: House, steering: Steering) -> None:
    for name in house.settings["library"]:
        await steering.call("Adopt", library=name)


@pytest.mark.anyio
async def test_copies_go_to_trash_and_come_back(house: House) -> None:
    for number, (folder, rating) in enumerate((("a", 1), ("b", 1), ("c", 5)), 1):
        os.utime(house.put(f"photos/{folder}/x.jpg", STILL), (number, number))
        house.put(f"photos/{folder}/x.xmp", samples.xmp_sidecar(rating=rating))
    os.link(house.root / "photos/a/x.jpg", house.root / "photos/linked.jpg")
    house.put("photos/other.jpg", picture(2))
    before = library(house)
    async with house.life() as steering:
        await adopted(house, steering)
        forecast = await steering.call("Prune", keep="oldest", dry_run=True)
        assert library(house) == before
        reply = await steering.call("Prune", keep="oldest")
        assert (forecast["done"], forecast["refused"]) == (reply["done"], reply["refused"]) == (2, 2)
        assert library(house) == before - {"b/x.jpg", "b/x.xmp"}
        reasons = {
            change["source"][-9:]: change["reason"] for change in reply["changes"] if not change["done"]
        }
        assert "its companion c/x.xmp is not kept beside" in reasons["s/c/x.jpg"]
        assert "very same file" in reasons["inked.jpg"]
        assert (await steering.call("Undo"))["done"] == 2
        assert library(house) == before


@pytest.mark.anyio
async def test_libraries_are_apart_unless_duplicates_are_sought_in_all(house: House) -> None:
    (house.root / "family").mkdir()
    house.settings["library"]["family"] = house.table("family", min_free="1MB")
    os.utime(house.put("photos/a.jpg", STILL), (1, 1))
    house.put("family/b.jpg", STILL)
    async with house.life() as steering:
        await adopted(house, steering)
        assert (await steering.call("Prune"))["done"] == 0
        house.settings["duplicates"] = {"scope": "all"}
        await steering.call("Reload")
        reply = await steering.call("Prune", keep="oldest", under=str(house.root / "family"))
        assert reply["done"] == 1
        assert (library(house), library(house, "family")) == ({"a.jpg"}, set())


@pytest.mark.anyio
async def test_what_was_changed_since_is_no_witness(house: House) -> None:
    house.put("photos/a.jpg", STILL)
    house.put("photos/b.jpg", STILL)
    async with house.life() as steering:
        await adopted(house, steering)
        kept = house.root / "photos" / "a.jpg"
        stat = kept.stat()
        kept.write_bytes(STILL[:-1] + b"x")
        os.utime(kept, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # rot, which only a look inside shows
        reply = await steering.call("Prune")
        assert (reply["done"], reply["refused"]) == (0, 1)
        assert library(house) == {"a.jpg", "b.jpg"}


@pytest.mark.anyio
async def test_a_sidecar_that_was_put_there_since_is_not_left_alone(house: House) -> None:
    for folder in ("a", "b"):
        house.put(f"photos/{folder}/x.jpg", STILL)
    async with house.life() as steering:
        await adopted(house, steering)
        for rating, folder in enumerate(("a", "b")):
            house.put(f"photos/{folder}/x.xmp", samples.xmp_sidecar(rating=rating))
        before = library(house)
        reply = await steering.call("Prune")
        assert (reply["done"], reply["refused"]) == (0, 1)
        assert "x.xmp, which is not catalogued" in reply["changes"][0]["reason"]
        assert library(house) == before
        for folder in ("a", "b"):
            (house.root / "photos" / folder / "x.xmp").unlink()
        (house.root / "photos" / "b" / "x.more").mkdir()
        assert (await steering.call("Prune"))["done"] == 1


@pytest.mark.anyio
async def test_a_folder_by_another_name_and_none(house: House) -> None:
    house.put("photos/old/a.jpg", STILL)
    house.put("photos/a.jpg", STILL)
    os.symlink(house.root / "photos", house.root / "link")
    async with house.life() as steering:
        await adopted(house, steering)
        reply = await steering.call("Prune", under=str(house.root / "link" / "old"), dry_run=True)
        assert [change["source"] for change in reply["changes"]] == [str(house.root / "photos/old/a.jpg")]
        assert reply["done"] == 1
        with pytest.raises(NotKnown):
            await steering.call("Prune", under=str(house.root / "inbox"), dry_run=True)
