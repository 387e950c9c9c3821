"""What was undone or has trashed content lies in the watch until it is named to `retry`."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from mediad.errors import NotKnown
from mediad.store import left
from mediad.store.left import Scope, left_at, left_below, scopes
from tests import samples
from tests.cataloguing import Past
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

SIDECAR = samples.xmp_sidecar(rating=1)


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.settings["library"]["photos"]["layout"] = "{subdir}/{name}"
    return found


async def undone(house: House, steering: Steering, code: str = "undone") -> None:
    """All that was filed until now is in the watch only, as after an undo."""
    assert await steering.rest() == "idle"

    def forget(connection: apsw.Connection) -> None:
        connection.execute(
            "UPDATE arrival SET outcome = 'ignored', code = ? WHERE outcome = 'filed'", (code,)
        )
        connection.execute("DELETE FROM file")

    await steering.database.run(forget)
    await steering.pipeline.recorder.load()
    for name in library(house):
        (house.root / "photos" / name).unlink()


def library(house: House) -> set[str]:
    return {os.fsdecode(name) for name in files(house.root / "photos", without={b".mediad"})}


@pytest.mark.anyio
@pytest.mark.parametrize("code", ["undone", "trashed", "deleted"])
async def test_it_is_taken_again_if_it_is_named(house: House, code: str) -> None:
    async with house.life() as steering:
        path = os.fsdecode(house.put("inbox/d/IMG.jpg", picture(1)))
        house.put("inbox/d/IMG.xmp", SIDECAR)
        house.put("inbox/d/other.jpg", picture(2))
        await undone(house, steering, code)
        await steering.call("Scan")
        assert (await steering.call("Retry"))["files"] == []
        assert await steering.rest() == "idle"
        assert library(house) == set()
        planned = (await steering.call("Retry", paths=[path], dry_run=True))["files"]
        assert {(Path(one["path"]).name, one["retried"]) for one in planned} == {
            ("IMG.jpg", True),
            ("IMG.xmp", True),
        }
        assert (await steering.call("Retry", paths=[path]))["files"] == planned
        assert await steering.rest() == "idle"
        assert library(house) == {"d/IMG.jpg", "d/IMG.xmp"}
        totals = await steering.totals()
        assert (totals["filed"], totals["ignored"]) == (2, 1)
        with pytest.raises(NotKnown):
            await steering.call("Retry", paths=[path])


@pytest.mark.anyio
async def test_a_folder_names_all_in_it(house: House) -> None:
    async with house.life() as steering:
        for number, name in enumerate(("d/a.jpg", "d/e/b.jpg", "d.jpg", "d0/c.jpg"), 1):
            house.put(f"inbox/{name}", picture(number))
        await undone(house, steering)
        (house.root / "inbox/d/e/b.jpg").unlink()
        told = (await steering.call("Retry", paths=[str(house.root / "inbox/d")]))["files"]
        assert {(Path(one["path"]).name, one["reason"]) for one in told} == {
            ("a.jpg", "is taken again"),
            ("b.jpg", "is no longer there"),
        }
        assert await steering.rest() == "idle"
        assert library(house) == {"d/a.jpg"}
        told = (await steering.call("Retry", paths=[str(house.root)]))["files"]
        assert {Path(one["path"]).name for one in told if one["retried"]} == {"d.jpg", "c.jpg"}
        assert await steering.rest() == "idle"
        assert library(house) == {"d/a.jpg", "d.jpg", "d0/c.jpg"}


@pytest.mark.anyio
async def test_of_a_watch_that_is_gone(house: House) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        await undone(house, steering)
        house.settings["watch"] = {"card": house.watched("card")}
        (house.root / "card").mkdir()
        await steering.call("Reload")
        await steering.until(lambda: "inbox" not in steering.pipeline.serving.watches)
        (told,) = (await steering.call("Retry", paths=[str(house.root / "inbox/a.jpg")]))["files"]
        assert (told["retried"], told["reason"]) == (False, "it came from what is no watch now")


@pytest.mark.anyio
async def test_a_duplicate_is_taken_again_if_it_is_named_itself(house: House) -> None:
    house.settings["watch"]["inbox"]["action"] = "copy"
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        assert await steering.rest() == "idle"
        path = os.fsdecode(house.put("inbox/b.jpg", picture(1)))
        assert await steering.rest() == "idle"
        assert (await steering.totals())["duplicate"] == 1
        with pytest.raises(NotKnown):
            await steering.call("Retry", paths=[os.path.dirname(path)])
        (told,) = (await steering.call("Retry", paths=[path]))["files"]
        assert told["retried"]
        assert await steering.rest() == "idle"
        assert library(house) == {"a.jpg"}, "its witness is there"
        (house.root / "photos/a.jpg").unlink()
        await steering.call("Retry", paths=[path])
        assert await steering.rest() == "idle"
        assert library(house) == {"b.jpg"}


@pytest.mark.anyio
async def test_what_an_import_brought_is_imported_again_once_it_was_named(house: House) -> None:
    house.clock.ahead = 3600.0
    house.put("card/a.jpg", picture(1))
    house.put("card/b.jpg", picture(2))
    card = os.fspath(house.root / "card")
    async with house.life() as steering:
        await steering.call("Import", paths=[card])
        batch = (await steering.call("Undo"))["batch"]
        refused = (await steering.call("Import", paths=[card]))["not_taken"]
        assert len(refused) == 2
        assert "mediactl retry lets the next import take it" in refused[0]["reason"]
        for dry_run, known in ((True, 2), (False, 2), (False, 2)):
            told = (await steering.call("Retry", paths=[card], dry_run=dry_run))["files"]
            assert len(told) == known
            assert {(one["retried"], one["reason"]) for one in told} == {
                (True, "by the next mediactl import of it")
            }
            if dry_run:
                assert (await steering.call("Import", paths=[card]))["filed"] == 0
        assert (await steering.totals()) == {"ignored": 2}
        redone = (await steering.call("Undo", ids=[batch]))["batch"]
        assert library(house) == {"a.jpg", "b.jpg"}
        await steering.call("Undo", ids=[redone])
        assert (await steering.call("Import", paths=[card]))["filed"] == 0, "it was taken back once more"
        await steering.call("Retry", paths=[f"{card}/a.jpg"])
        assert (await steering.call("Import", paths=[card]))["filed"] == 1
        assert library(house) == {"a.jpg"}
        totals = await steering.totals()
        assert (totals["filed"], totals["ignored"]) == (1, 1)


@pytest.mark.anyio
async def test_what_was_trashed_and_came_from_an_import(house: House) -> None:
    house.clock.ahead = 3600.0
    house.put("card/a.jpg", picture(1))
    card = os.fspath(house.root / "card")
    async with house.life() as steering:
        await steering.call("Import", paths=[card])
        await undone(house, steering, "deleted")
        (told,) = (await steering.call("Retry", paths=[card]))["files"]
        assert (told["retried"], "duplicates.deleted" in told["reason"]) == (False, True)


# --- The questions -----------------------------------------------------------------------------------


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def test_what_a_path_names(past: Past) -> None:
    past.watch("inbox", b"/w")
    past.connection.execute(
        "INSERT INTO place (key, kind, root) VALUES ('library:x', 'former', CAST('/w' AS BLOB))"
    )
    past.connection.execute(
        "INSERT INTO place (key, kind, root) VALUES ('old', 'former', CAST('/wide/w' AS BLOB))"
    )
    for path, watch, rest in (
        (b"/w/a/b.jpg", "inbox", b"a/b.jpg"),
        (b"/w/a/", "inbox", b"a"),
        (b"/w", "inbox", b""),
        (b"/wide", "old", b""),
        (b"/wide/w/x", "old", b"x"),
    ):
        assert [(one.watch, one.path) for one in scopes(past.connection, path)] == [(watch, rest)], path
    assert [one.watch for one in scopes(past.connection, b"/")] == ["inbox", "old"]
    assert scopes(past.connection, b"/other") == []
    past.close()


def test_only_the_newest_of_a_path_counts(past: Past) -> None:
    past.unplanned(b"a.jpg", "ignored", "undone")
    past.connection.execute("UPDATE arrival SET stays = 0")  # as if it had been moved since
    past.unplanned(b"a.jpg", "gone", "gone")
    past.unplanned(b"b.jpg", "ignored", "not-media")
    newest = past.unplanned(b"c.jpg", "ignored", "deleted")
    scope = Scope("inbox", "watch", b"/w", b"")
    found, on = left_below(past.connection, scope)
    assert ([one.id for one in found], on) == ([newest], None)
    assert left_at(past.connection, scope._replace(path=b"a.jpg")) == []
    (one,) = left_at(past.connection, scope._replace(path=b"c.jpg"))
    assert (one.place, one.code, one.outcome) == (b"/w/c.jpg", "deleted", "ignored")
    past.close()


def test_window_by_window(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left, "WINDOW", 2)
    names = [b"%d.jpg" % number for number in range(7)]
    for name in names:
        past.unplanned(name, "ignored", "undone")
    for path in (b"x/1.jpg", b"x.jpg", b"x0.jpg"):
        past.unplanned(path, "ignored", "undone")
    scope = Scope("inbox", "watch", b"/w", b"")
    found: list[bytes] = []
    after: bytes | None = b""
    windows = 0
    while after is not None:
        page, after = left_below(past.connection, scope, after)
        found += [one.path for one in page]
        windows += 1
    assert found == sorted([*names, b"x/1.jpg", b"x.jpg", b"x0.jpg"])
    assert windows > 3
    assert [one.path for one in left_below(past.connection, scope._replace(path=b"x"))[0]] == [b"x/1.jpg"]
    past.close()
