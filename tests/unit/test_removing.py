"""A source that cannot be removed is filed all the same, and goes once it can."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import anyio
import pytest

from mediad.files import Files
from mediad.ingest.pulse import Pulse
from mediad.keeping import removing
from tests import samples
from tests.steering import House, Steering
from tests.trees import files

pytestmark = pytest.mark.anyio

PICTURE = samples.jpeg(seed=1)


class Closed(Files):
    """Files of which none may leave a folder while that is shut.

    Attributes:
        reads: how often they were read. synced: which were.
    """

    def __init__(self, folder: Path) -> None:
        self.shut = True
        self.reads = 0
        self.synced: set[int] = set()
        self._inode = folder.stat().st_ino

    def _is_shut(self, directory: int) -> bool:
        return self.shut and os.fstat(directory).st_ino == self._inode

    def may_remove(self, fd: int, dir_fd: int) -> bool:
        return not self._is_shut(dir_fd) and super().may_remove(fd, dir_fd)

    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        self.reads += 1
        return super().read_into(fd, buffer, offset)

    def sync_file(self, fd: int) -> None:
        self.synced.add(os.fstat(fd).st_ino)
        super().sync_file(fd)

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
    assert isinstance(house.files, Closed)
    async with house.life() as steering:
        await filed(steering, house)
        await steering.rest()
        assert len(files(house.root / "inbox")) == 2
        house.files.synced.clear()
        unlock(house)
        await steering.rest()
        await steering.until(lambda: not steering.pipeline.recorder.lingering)
        assert files(house.root / "inbox") == {}
        assert {one.stat().st_ino for one in (house.root / "photos").rglob("a.*")} <= house.files.synced
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


async def test_a_run_that_ends_by_itself_removes_it_too(house: House) -> None:
    async with house.life() as steering:
        await filed(steering, house)
    unlock(house)
    async with house.life(once=True):
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
        story = await steering.call("Why", path=str(house.root / "inbox/a.jpg"))
        assert "; it is gone since" in str(story)
        ask = "SELECT count(*) FROM arrival WHERE stays"
        assert await steering.database.run(lambda connection: connection.execute(ask).fetchall()) == [(0,)]


@pytest.mark.parametrize("change", ["copy", "none"])
async def test_what_a_reload_says_meanwhile_holds(house: House, change: str) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        unlock(house)
        async with anyio.create_task_group() as tasks, steering.pipeline.relocator.holding(set()):
            tasks.start_soon(steering.pipeline.remover.once, "inbox")
            await steering.until(lambda: steering.pipeline.relocator._one.statistics().tasks_waiting)
            house.settings["watch"]["inbox"]["action"] = "copy"
            if change == "none":
                house.settings["watch"] = {}
            await steering.call("Reload")
            await steering.until(lambda: len(steering.pipeline.serving) == (change == "copy"))
        assert len(files(house.root / "inbox")) == 2


async def test_one_that_cannot_go_does_not_keep_others_from_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "_MOST", 1)
    async with house.life() as steering:
        await filed(steering, house)
        unlock(house)
        for photo in (house.root / "photos").rglob("a.jpg"):
            photo.unlink()
        for _ in range(3):
            await steering.pipeline.remover.once("inbox")
        assert set(files(house.root / "inbox")) == {b"a.jpg"}


async def test_what_stays_though_it_was_read_is_not_read_with_each_look(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        await filed(steering, house)
        monkeypatch.setattr(Closed, "may_remove", Files.may_remove)  # as a server may have it that refuses
        assert isinstance(house.files, Closed)
        house.files.reads = 0
        await steering.pipeline.remover.once("inbox")
        assert (count := house.files.reads) > 0
        await steering.pipeline.remover.once("inbox")
        assert house.files.reads == count
        monkeypatch.setattr(removing, "_IN_VAIN", 0.0)
        unlock(house)
        await steering.pipeline.remover.once("inbox")
        assert files(house.root / "inbox") == {}


async def test_a_library_that_hangs_holds_up_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, answers = os.fsencode(house.root / "photos"), threading.Event()
    monkeypatch.setattr(removing, "Pulse", lambda: Pulse(0.02))
    monkeypatch.setattr(os.path, "ismount", lambda path: path == photos and answers.wait(10.0))
    async with house.life() as steering:
        await filed(steering, house)
        unlock(house)
        await steering.pipeline.remover.once("inbox")
        assert len(files(house.root / "inbox")) == 2
        told = await steering.call("Trash", paths=[os.fspath(house.root / "photos")])
        assert told["done"] == 2
        answers.set()


async def test_what_is_filed_as_another_name_of_the_same_file_goes_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "_IN_VAIN", 0.0)
    monkeypatch.setattr(Closed, "may_remove", Files.may_remove)
    async with house.life() as steering:
        await filed(steering, house)
        assert (house.root / "inbox/a.jpg").samefile(house.root / "photos/Undated/a.jpg")
        unlock(house)
        await steering.pipeline.remover.once("inbox")
        assert files(house.root / "inbox") == {}
        assert len(files(house.root / "photos", without={b".mediad"})) == 2


async def test_trash_alone_keeps_no_duplicate(house: House) -> None:
    async with house.life() as steering:
        unlock(house)
        house.put("inbox/first.jpg", PICTURE)
        await steering.rest()
        assert isinstance(house.files, Closed)
        house.files.shut = True
        house.put("inbox/again.jpg", PICTURE)
        await steering.rest()
        assert (await steering.totals())["duplicate"] == 1
        unlock(house)
        (house.root / "photos/Undated/first.jpg").unlink()
        await steering.pipeline.remover.once("inbox")
        assert files(house.root / "inbox") == {b"again.jpg": PICTURE}
        house.put("photos/Undated/first.jpg", PICTURE)
        await steering.call("Verify")
        await steering.pipeline.remover.once("inbox")
        assert files(house.root / "inbox") == {}
