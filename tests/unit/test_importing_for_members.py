"""Imports by members of the group: they get what they could read themselves, whatever they swap meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from mediad.control.peer import Peer
from mediad.errors import NotPermitted, Refused, SourceGone
from mediad.ingest.identify import Identifier
from mediad.ingest.importing import Import
from mediad.ingest.preview import Preview
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

pytestmark = pytest.mark.anyio

MEMBER = Peer(2, 54321, frozenset({54321}), trusted=False)
SECRET = picture(99)
NOT_YOURS = "may not be read by you"


@pytest.fixture
def house() -> Iterator[House]:
    """A house whose folders everybody may go through, a card for all, and somebody's private pictures."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        found = House(Path(root))
        found.clock.ahead = 3600.0
        found.settings["library"]["photos"]["layout"] = "{name}"
        found.settings["library"]["photos"]["undated"] = "{name}"
        for number in (1, 2):
            os.chmod(found.put(f"card/DCIM/{number}.jpg", picture(number)), 0o644)
            os.chmod(found.put(f"private/DCIM/{number}.jpg", SECRET), 0o644)
        for folder, mode in (
            ("card", 0o755),
            ("card/DCIM", 0o755),
            ("private/DCIM", 0o755),
            ("private", 0o700),
        ):
            os.chmod(found.root / folder, mode)
        yield found


def library(house: House) -> dict[bytes, bytes]:
    return files(house.root / "photos", without={b".mediad"})


async def bring_in(steering: Steering, *paths: Path, **more: Any) -> dict[str, Any]:
    return await steering.call("Import", peer=MEMBER, paths=list(map(str, paths)), **more)


@pytest.mark.parametrize("dry_run", [True, False])
async def test_only_what_they_may_read(house: House, dry_run: bool) -> None:
    card = house.root / "card"
    os.chmod(card / "DCIM/2.jpg", 0o600)
    (card / "closed").mkdir(mode=0o700)
    house.put("card/closed/3.jpg", picture(3))
    async with house.life() as steering:
        reply = await bring_in(steering, card, dry_run=dry_run)
        assert reply["complete"] is False
        assert (reply["filed"], reply["files"], reply["ignored"]) == (1, 3 if dry_run else 2, 0)
        reasons = {one["path"]: one["reason"] for one in reply["not_taken"]}
        assert NOT_YOURS in reasons[f"{card}/closed"]
        if dry_run:
            assert NOT_YOURS in reasons[f"{card}/DCIM/2.jpg"]
            return
        assert reply["files_done"] == 2
        assert "1 that you may not read" in reply["message"]
        assert (await steering.call("Import", paths=[str(card)]))["filed"] == 2  # root may
    assert sorted(library(house).values()) == sorted([picture(1), picture(2), picture(3)])


async def test_who_may_not_search_learns_nothing(house: House) -> None:
    private = house.root / "private"
    (house.root / "link").symlink_to(private)
    async with house.life() as steering:
        told = set()
        for path in (private / "DCIM", private / "nowhere", private / "DCIM/1.jpg", private / "DCIM/nowhere"):
            for named in (path, house.root / "link" / path.relative_to(private)):
                with pytest.raises(NotPermitted, match=NOT_YOURS) as caught:
                    await bring_in(steering, named)
                told.add(str(caught.value).replace(str(named), "PATH"))
        assert len(told) == 1
        with pytest.raises(SourceGone):
            await bring_in(steering, house.root / "card/nowhere")


async def test_one_file_of_a_folder_that_may_not_be_listed(house: House) -> None:
    os.chmod(house.root / "card/DCIM", 0o711)
    async with house.life() as steering:
        with pytest.raises(NotPermitted, match=NOT_YOURS):
            await bring_in(steering, house.root / "card/DCIM")
        reply = await bring_in(steering, house.root / "card/DCIM/1.jpg")
        assert (reply["filed"], reply["complete"]) == (1, True)


async def test_nothing_is_opened_that_is_no_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(house.root / "card/fifo", 0o644)
    os.chmod(house.root / "card/DCIM/2.jpg", 0o600)
    opened: list[object] = []
    inner = os.open

    def spy(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if not flags & os.O_PATH:
            opened.append(os.readlink(path) if str(path).startswith("/proc/self/fd/") else path)
        return inner(path, flags, *arguments, **options)

    async with house.life() as steering:
        monkeypatch.setattr(os, "open", spy)
        with pytest.raises(Refused, match="is neither a folder nor a file"):
            await bring_in(steering, house.root / "card/fifo")
        with pytest.raises(NotPermitted):
            await bring_in(steering, house.root / "card/DCIM/2.jpg")
        assert not [path for path in opened if str(path).endswith(("fifo", "2.jpg"))]


def swap(house: House, name: str) -> None:
    """Another's folder takes the place of one's own."""
    os.rename(house.root / name, house.root / "mine")
    os.symlink(house.root / "private" / name.partition("/")[2], house.root / name)


def move_in(house: House, name: str) -> None:
    """The very folder of another comes there, as a member who may rename it could have it."""
    os.rename(house.root / name, house.root / "mine")
    os.rename(house.root / "private" / name.partition("/")[2], house.root / name)


@pytest.mark.parametrize("change", [swap, move_in])
@pytest.mark.parametrize(
    ("named", "name"), [("card", "card"), ("card", "card/DCIM"), ("card/DCIM/1.jpg", "card/DCIM")]
)
async def test_a_folder_that_is_swapped_before_it_is_taken(
    house: House, monkeypatch: pytest.MonkeyPatch, change: Callable[[House, str], None], named: str, name: str
) -> None:
    os.chmod(house.root / "private/DCIM", 0o700)
    monkeypatch.setattr("mediad.ingest.importing._PATIENCE", 0.0)
    monkeypatch.setattr(Import, "_take", _once_changed(Import._take, lambda: change(house, name)))
    async with house.life() as steering:
        reply = await bring_in(steering, house.root / named)
        assert (reply["filed"], reply["complete"]) == (0, False)
    assert library(house) == {}


@pytest.mark.parametrize("name", ["card", "card/DCIM"])
async def test_a_folder_that_is_swapped_before_it_is_read(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("mediad.ingest.importing._PATIENCE", 0.0)
    monkeypatch.setattr(Identifier, "_open_batch", _before(Identifier._open_batch, lambda: swap(house, name)))
    async with house.life() as steering:
        reply = await bring_in(steering, house.root / "card")
        assert (reply["filed"], reply["complete"]) == (0, False)
    assert library(house) == {}


async def test_a_file_that_is_swapped_before_it_is_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It settles anew as what it is now, and is not permitted then either."""
    here = house.root / "card/DCIM/1.jpg"

    def swap_file() -> None:
        os.chmod(house.put("card/other.part", SECRET), 0o600)
        os.rename(house.root / "card/other.part", here)

    monkeypatch.setattr(Identifier, "_open_batch", _before(Identifier._open_batch, swap_file))
    async with house.life() as steering:
        reply = await bring_in(steering, house.root / "card")
        assert (reply["filed"], reply["complete"]) == (1, False)
        assert "1 that you may not read" in reply["message"]
    assert library(house) == {b"2.jpg": picture(2)}


async def test_a_forecast_of_a_folder_that_is_swapped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Preview, "_look", _before(Preview._look, lambda: swap(house, "card")))
    async with house.life() as steering:
        with pytest.raises((SourceGone, NotPermitted)):
            await bring_in(steering, house.root / "card", dry_run=True)


def _before(call: Callable[..., Any], change: Callable[[], None]) -> Callable[..., Any]:
    """The call, before whose first run something changes."""
    done: list[bool] = []

    def changed(*arguments: Any, **options: Any) -> Any:
        if not done:
            done.append(True)
            change()
        return call(*arguments, **options)

    return changed


def _once_changed(
    call: Callable[..., Awaitable[Any]], change: Callable[[], None]
) -> Callable[..., Awaitable[Any]]:
    async def changed(*arguments: Any) -> Any:
        await anyio.to_thread.run_sync(change)
        return await call(*arguments)

    return changed
