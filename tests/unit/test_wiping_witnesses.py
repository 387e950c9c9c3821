"""`SafeToWipe`: a library file that somebody writes to, or that goes with the card, keeps nothing."""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mediad.files import Files
from mediad.keeping.wiping_tree import Notes
from mediad.model import Stat
from tests import mounting
from tests.steering import House, Steering
from tests.system.once import picture

pytestmark = pytest.mark.anyio


class Disk(Files):
    """Things happen `meanwhile`, once each, when something but the begin of a library file is read."""

    def __init__(self) -> None:
        self.meanwhile: list[Callable[[], None]] = []

    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        path = os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
        if self.meanwhile and b"/photos/" in path and offset > 2_000_000:
            self.meanwhile.pop()()
        return super().read_into(fd, buffer, offset)


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{name}"
    return found


async def why_not(steering: Steering, card: Path) -> list[str]:
    """Why files are not kept; none if the card may be wiped."""
    answer = await steering.call("SafeToWipe", paths=[str(card)])
    assert answer["safe"] is (not answer["not_kept"])
    return [one["reason"] for one in answer["not_kept"]]


async def test_what_was_read_is_changed_and_its_time_set_back(house: House) -> None:
    """What rsync --inplace --times does: only ctime tells."""
    disk = house.files = Disk()
    content = picture(1) + bytes(8_000_000)
    for path in ("card/a.jpg", "inbox/a.jpg"):
        house.put(path, content)
    file = house.root / "photos" / "a.jpg"

    def rewrite() -> None:
        before = file.stat()
        with file.open("r+b") as stream:
            stream.seek(700)
            stream.write(b"\0\0\0\0")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    async with house.life() as steering:
        await steering.rest()
        disk.meanwhile.append(rewrite)
        (reason,) = await why_not(steering, house.root / "card")
        assert disk.meanwhile == []
        assert "being written to" in reason


@pytest.mark.parametrize("path", ["card/a.jpg", "photos/a.jpg"])
async def test_what_is_open_for_writing_is_not_kept(house: House, path: str) -> None:
    """What is written through a mapping, and when, need not show in its times."""
    for put in ("card/a.jpg", "inbox/a.jpg"):
        house.put(put, picture(1))
    async with house.life() as steering:
        await steering.rest()
        with (house.root / path).open("r+b") as stream:
            mapping = mmap.mmap(stream.fileno(), 0)
        (reason,) = await why_not(steering, house.root / "card")
        assert "open for" in reason
        mapping.close()
        assert await why_not(steering, house.root / "card") == []


async def test_a_subvolume_in_the_library_that_goes_with_the_card(house: House, tmp_path: Path) -> None:
    """Each subvolume of a Btrfs has an st_dev of its own."""
    with mounting.Mounts(tmp_path) as mounts:
        top = mounts.image("btrfs")
        for name in ("card", "part"):
            made = mounting.run(mounting.need_tool("btrfs"), "subvolume", "create", str(top / name))
            assert made.returncode == 0, made.stderr
        card, part = tmp_path / "card", tmp_path / "photos" / "part"
        device = mounting.run("findmnt", "-no", "SOURCE", str(top)).stdout.strip()
        for point in (card, part):
            point.mkdir()
            mounted = mounting.run("mount", "-o", f"subvol={point.name}", device, str(point))
            assert mounted.returncode == 0, mounted.stderr
            mounts.mounted.append(point)
            (point / "a.jpg").write_bytes(picture(1))
        other = tmp_path / "other"
        shutil.copytree(card, other)
        async with house.life() as steering:
            await steering.rest()
            (reason,) = await why_not(steering, card)
            assert "lies on the filesystem that is to be wiped" in reason
            assert await why_not(steering, other) == []


class Fat(Files):
    """Of vfat and exFAT: ctime is mtime, in steps."""

    def fstat(self, fd: int) -> os.stat_result:
        return coarse(super().fstat(fd))

    def stat_at(self, name: bytes, dir_fd: int) -> os.stat_result:
        return coarse(super().stat_at(name, dir_fd))


def coarse(stat: os.stat_result) -> os.stat_result:
    """With whole seconds, and ctime as mtime."""
    second = int(stat.st_mtime)
    times = {"st_atime_ns": stat.st_atime_ns, "st_mtime_ns": second * 10**9, "st_ctime_ns": second * 10**9}
    return os.stat_result((*stat[:8], second, second), times)


async def test_copies_on_fat_share_their_times(house: House) -> None:
    house.files = Fat()
    for path in ("card/a.jpg", "inbox/a.jpg"):
        os.utime(house.put(path, picture(1)), (1_700_000_000, 1_700_000_000))
    async with house.life() as steering:
        await steering.rest()
        assert await why_not(steering, house.root / "card") == []


def test_a_disk_that_is_seen_twice_shares_the_times_too() -> None:
    notes = Notes()
    try:
        for number, times in enumerate(((1_000_000_000, 1_000_000_000), (1_234, 1_234), (5, 6)), 1):
            notes.saw(b"%d" % number, Stat(1, number, 10, *times))
            notes.read(b"%d" % number, b"d")
        assert not notes.is_wiped(b"d", Stat(2, 77, 10, 1_000_000_000, 1_000_000_000))
        assert notes.is_wiped(b"d", Stat(2, 1, 10, 1_000_000_000, 1_000_000_000))
        assert notes.is_wiped(b"d", Stat(2, 77, 10, 1_234, 1_234))
        assert notes.is_wiped(b"d", Stat(2, 77, 10, 5, 6))
        assert not notes.is_wiped(b"d", Stat(2, 77, 10, 6, 6))
    finally:
        notes.close()
