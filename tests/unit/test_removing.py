"""A source that cannot be removed is filed all the same, and goes once it can."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from mediad.files import Files
from tests import samples
from tests.steering import House, Steering
from tests.trees import files

pytestmark = pytest.mark.anyio

PICTURE = samples.jpeg(seed=1)


class Closed(Files):
    """Files of which none may leave a folder while that is shut."""

    def __init__(self, folder: Path) -> None:
        self.shut = True
        self._inode = folder.stat().st_ino

    def _is_shut(self, directory: int) -> bool:
        return self.shut and os.fstat(directory).st_ino == self._inode

    def may_remove(self, fd: int, dir_fd: int) -> bool:
        return not self._is_shut(dir_fd) and super().may_remove(fd, dir_fd)

    def rename(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        if self._is_shut(dir_fd):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        super().rename(name, dir_fd, new, new_dir_fd)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    house.files = Closed(tmp_path / "inbox")
    return house


def unlock(house: House) -> None:
    assert isinstance(house.files, Closed)
    house.files.shut = False


async def attention(steering: Steering) -> list[str]:
    return [one["code"] for one in (await steering.call("Status"))["attention"]]


async def filed(steering: Steering, house: House) -> None:
    """A picture and its sidecar are filed and stay."""
    house.put("inbox/a.jpg", PICTURE)
    house.put("inbox/a.xmp", samples.xmp_sidecar(rating=3))
    assert await steering.rest() == "idle"
    assert (await steering.totals())["filed"] == 2
    assert len(files(house.root / "inbox")) == 2
    assert await attention(steering) == ["not-removed"]


async def test_it_goes_with_a_look_once_it_can(house: House) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        await steering.rest()
        assert len(files(house.root / "inbox")) == 2
        unlock(house)
        await steering.rest()
        await steering.until(lambda: not steering.pipeline.recorder.lingering)
        assert files(house.root / "inbox") == {}
        assert await attention(steering) == []
        story = await steering.call("Why", path=str(house.root / "inbox/a.jpg"))
        assert "; it was removed later" in str(story)
        assert (await steering.totals())["filed"] == 2
        await steering.call("Undo")
        assert set(files(house.root / "inbox")) == {b"a.jpg", b"a.xmp"}


async def test_a_restart_does_not_forget_it(house: House) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        ask = "SELECT step.id FROM step JOIN arrival ON arrival.id = step.arrival WHERE path = ?"
        ((step,),) = await steering.database.run(
            lambda connection: connection.execute(ask, (b"a.xmp",)).fetchall()
        )
    os.rename(house.root / "inbox/a.xmp", house.root / f"inbox/.mediad-{step}")  # as a crash leaves it
    unlock(house)
    async with house.life() as steering:
        await steering.rest()
        await steering.until(lambda: not steering.pipeline.recorder.lingering)
        assert files(house.root / "inbox") == {}


async def test_it_stays_where_the_library_has_it_no_more(house: House) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        for folder in (house.root / "photos").iterdir():
            if folder.name != ".mediad":
                shutil.rmtree(folder)
        unlock(house)
        await steering.rest()
        await steering.pipeline.remover.once("inbox")
        assert set(files(house.root / "inbox")) == {b"a.jpg", b"a.xmp"}


async def test_what_was_written_to_since_is_another_file(house: House) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        unlock(house)
        house.put("inbox/a.jpg", samples.jpeg(seed=2))
        await steering.rest()
        await steering.until(lambda: not steering.pipeline.recorder.lingering)
        held = files(house.root / "photos", without={b".mediad"}).values()
        assert {PICTURE, samples.jpeg(seed=2)} <= set(held)


async def test_what_somebody_removes_by_hand_is_done_with(house: House) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        for name in ("a.jpg", "a.xmp"):
            os.unlink(house.root / "inbox" / name)
        await steering.rest()
        await steering.until(lambda: not steering.pipeline.recorder.lingering)
        assert await attention(steering) == []
