"""Imports that come again, two at once, or larger than what may wait: the verdict is true each time."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from mediad.errors import NotPermitted, Refused
from mediad.ingest import importing, intake, lane, scan
from mediad.steering import sources
from tests import samples
from tests.steering import House, Steering, other, stall
from tests.system.once import picture
from tests.trees import files

pytestmark = pytest.mark.anyio

SIDECAR = samples.xmp_sidecar(rating=1)
COUNTS = ("filed", "duplicate", "quarantined", "failed", "ignored", "gone", "already")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house in which everything has been at rest for an hour."""
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{name}"
    return found


def library(house: House, name: str = "photos") -> dict[bytes, bytes]:
    return files(house.root / name, without={b".mediad"})


def counts(reply: Mapping[str, Any]) -> dict[str, int]:
    return {word: reply[word] for word in COUNTS if reply[word]}


async def bring_in(steering: Steering, house: House, name: str = "card", **more: Any) -> dict[str, Any]:
    return await steering.call("Import", paths=[str(house.root / name)], **more)


@pytest.mark.parametrize(
    ("start", "source"), [("card/DCIM", "mtime"), ("card/DCIM/100", "mtime"), ("elsewhere", None)]
)
async def test_file_times_count_in_a_cards_folder_however_it_is_named(
    house: House, start: str, source: str | None
) -> None:
    for folder in ("card/DCIM/100", "elsewhere"):
        house.put(f"{folder}/a.jpg", samples.plain_jpeg(size=(32, 24)))
    async with house.life() as steering:
        await steering.call("Import", paths=[str(house.root / start)])
        [row] = (await steering.call("History"))["rows"]
    assert row["taken_source"] == source


async def test_a_sidecar_that_was_added_later(house: House) -> None:
    house.put("card/IMG.jpg", picture(1))
    async with house.life() as steering:
        await bring_in(steering, house)
        house.put("card/IMG.xmp", SIDECAR)
        reply = await bring_in(steering, house)
        assert (counts(reply), reply["complete"]) == ({"filed": 1, "duplicate": 1}, True)
        assert library(house) == {b"IMG.jpg": picture(1), b"IMG.xmp": SIDECAR}
        assert counts(await bring_in(steering, house)) == {"already": 2}


async def test_a_sidecar_that_was_named_alone_weeks_later(house: House) -> None:
    house.put("card/IMG.jpg", picture(1))
    async with house.life() as steering:
        await bring_in(steering, house)
        house.put("card/IMG.xmp", SIDECAR)
        house.clock.ahead += 30 * 86_400
        reply = await bring_in(steering, house, "card/IMG.xmp")
        assert counts(reply) == {"filed": 1}
    assert library(house)[b"IMG.xmp"] == SIDECAR


async def test_a_sidecar_that_the_library_lost(house: House) -> None:
    for card in ("card", "copy"):
        house.put(f"{card}/IMG.jpg", picture(1))
        house.put(f"{card}/IMG.xmp", SIDECAR)
    async with house.life() as steering:
        await bring_in(steering, house)
        assert counts(await bring_in(steering, house, "copy")) == {"duplicate": 2}
        for card in ("card", "copy"):
            (house.root / "photos/IMG.xmp").unlink()
            reply = await bring_in(steering, house, card)
            assert reply["complete"]
            assert library(house) == {b"IMG.jpg": picture(1), b"IMG.xmp": SIDECAR}


async def test_what_was_overwritten_in_the_library_is_not_there_already(house: House) -> None:
    house.put("card/IMG.jpg", picture(1))
    async with house.life() as steering:
        await bring_in(steering, house)
    (house.root / "photos/IMG.jpg").write_bytes(b"ruined, and of another size")
    async with house.life() as steering:  # which looks at the library anew
        reply = await bring_in(steering, house)
        assert (counts(reply), reply["complete"]) == ({"filed": 1}, True)
    assert picture(1) in library(house).values()


async def test_what_is_in_another_library_is_not_there_already(house: House) -> None:
    house.settings["library"]["films"] = house.table("films", min_free="1MB", layout="{name}")
    (house.root / "films").mkdir()
    house.put("card/IMG.jpg", picture(1))
    async with house.life() as steering:
        await bring_in(steering, house, library="photos")
        assert counts(await bring_in(steering, house, library="films")) == {"filed": 1}
    assert library(house, "films") == {b"IMG.jpg": picture(1)}


async def test_what_an_open_step_has_is_not_taken(house: House) -> None:
    def reopen(connection: apsw.Connection) -> None:
        connection.execute("UPDATE arrival SET outcome = NULL")

    house.put("card/IMG.jpg", picture(1))
    async with house.life() as steering:
        await bring_in(steering, house)
        await steering.database.run(reopen)
        reply = await bring_in(steering, house)
        assert (counts(reply), reply["complete"]) == ({}, False)
        (missing,) = reply["not_taken"]
        assert "an earlier step with it has not ended" in missing["reason"]


async def test_two_that_begin_in_the_same_moment(house: House) -> None:
    house.put("card/IMG.jpg", picture(1))
    async with house.life() as steering:
        ends: list[object] = []

        async def one(mine: Steering) -> None:
            try:
                ends.append(counts(await bring_in(mine, house)))
            except Refused as error:
                ends.append(error.message)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one, other(steering))
        assert sorted(map(str, ends)) == sorted([*["is being imported already"] * 2, str({"filed": 1})])
        assert counts(await bring_in(steering, house)) == {"already": 1}
        assert steering.pipeline.imports == set()


def crowd(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than may wait, in small chunks."""
    for module, name, value in (
        (intake, "_SETTLING", 20),
        (intake, "_BATCH", 2),
        (lane, "_BACKLOG", 4),
        (scan, "CHUNK", 10),
    ):
        monkeypatch.setattr(module, name, value)
    for number in range(120):
        house.put(f"card/{number // 10}/{number}.jpg", picture(number))


@pytest.mark.parametrize("resumed", [True, False])
async def test_paused_while_more_comes_than_may_wait(
    house: House, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    crowd(house, monkeypatch)
    replies: list[dict[str, Any]] = []
    async with house.life() as steering:
        gate = stall(steering, monkeypatch)

        async def take() -> None:
            replies.append(await bring_in(other(steering), house))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            pipeline = steering.pipeline
            await steering.until(lambda: pipeline.tracker.flying and pipeline.tracker.settling > 20)
            await steering.call("Pause")
            if resumed:
                await steering.call("Resume")
            gate.set()
        (reply,) = replies
        assert reply["complete"] is resumed
        if resumed:
            assert counts(reply) == {"filed": 120}
            return
        assert "not accounted for: everything is paused" in reply["not_taken"][-1]["reason"]
        await steering.call("Resume")
        again = await bring_in(steering, house)
        assert again["complete"]
        assert again["filed"] + again["already"] == 120


async def test_what_left_before_it_was_looked_at_again_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        house.put(f"card/{number}.jpg", picture(number))
    take = importing.Import._take

    async def later(job: importing.Import, *arguments: Any) -> None:
        await anyio.Path(house.root / "card/2.jpg").unlink()
        await take(job, *arguments)

    monkeypatch.setattr(importing.Import, "_take", later)
    async with house.life() as steering:
        reply = await bring_in(steering, house)
        assert (counts(reply), reply["complete"]) == ({"filed": 1}, False)
        assert reply["not_taken"][0]["reason"] == "1 files are not accounted for"


async def test_its_library_leaves_the_configuration(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        house.put(f"card/{number}.jpg", picture(number))
    replies: list[dict[str, Any]] = []
    async with house.life() as steering:
        gate = stall(steering, monkeypatch)

        async def take() -> None:
            replies.append(await bring_in(other(steering), house))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await steering.until(lambda: steering.pipeline.tracker.flying)
            house.settings["library"] = {"pics": house.table("photos", min_free="1MB")}
            house.settings["watch"]["inbox"]["library"] = "pics"
            await steering.call("Reload")
            gate.set()
        (reply,) = replies
        assert reply["complete"] is False
        assert {one["reason"] for one in reply["not_taken"]} == {"library photos is not configured"}
        assert (await bring_in(steering, house))["complete"]


async def test_troubles_are_counted_though_not_all_are_listed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediad.ingest.record.MOST_TROUBLES", 2)
    monkeypatch.setattr("mediad.ingest.importing.MOST_TROUBLES", 2)
    for number in range(5):
        house.put(f"card/{number}.jpg", samples.broken_jpeg(number))
    async with house.life() as steering:
        reply = await bring_in(steering, house)
        assert (len(reply["not_taken"]), counts(reply)) == (2, {"quarantined": 5})
        assert "5 not taken" in reply["message"]


async def test_a_watch_that_hangs_keeps_no_card_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_LOOK_LIMIT", 0.05)
    house.put("card/IMG.jpg", picture(1))
    answers, real = threading.Event(), os.path.realpath

    def hang(path: Any, **options: Any) -> Any:
        if path == str(house.root / "inbox"):
            answers.wait(30)
        return real(path, **options)

    async with house.life() as steering:
        monkeypatch.setattr(os.path, "realpath", hang)
        try:
            for already in ({"filed": 1}, {"already": 1}):
                assert counts(await bring_in(steering, house)) == already
            house.put("inbox/sub/a.jpg", picture(2))
            with pytest.raises(Refused, match="lies in watch inbox"):  # by its name
                await bring_in(steering, house, "inbox/sub")
        finally:
            answers.set()


async def test_what_is_wrong_with_a_path_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.life() as steering:
        with pytest.raises(Refused, match="cannot be read: File name too long"):
            await bring_in(steering, house, "x" * 300)
        with pytest.raises(Refused, match="more than 1000 paths"):
            await steering.call("Import", paths=[f"/{number}" for number in range(1001)])
        refusal = PermissionError(errno.EACCES, "Permission denied")
        monkeypatch.setattr("mediad.behalf.find", lambda *_: (_ for _ in ()).throw(refusal))
        for user, remedy in ((0, "copy it to a local disk first"), (1000, "setfacl")):
            monkeypatch.setattr(os, "geteuid", lambda user=user: user)
            with pytest.raises(NotPermitted) as caught:
                await bring_in(steering, house)
            assert remedy in caught.value.remedy
