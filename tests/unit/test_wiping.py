"""`SafeToWipe`: yes only where every file is kept, by another file that stays; everything else is a no."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mediad.control.peer import Peer
from mediad.errors import MediadError, Refused, SourceGone
from mediad.files import Files
from mediad.store import catalogue
from tests import mounting
from tests.somebody import needs_root
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import tree

pytestmark = pytest.mark.anyio

NAMES = ("IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg")


class Disk(Files):
    """Something happens when a file has been read: `after` is called with its path, once for each file."""

    after: Callable[[bytes], None] | None = None
    failing = b"\0"

    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        path = os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
        if path.endswith(self.failing):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        got = super().read_into(fd, buffer, offset)
        if self.after is not None:
            self.after(path)
        return got


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def house(tmp_path: Path, disk: Disk) -> House:
    """A house with a card whose three pictures are in its inbox, too."""
    found = House(tmp_path)
    found.files = disk
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{name}"
    for number, name in enumerate(NAMES):
        found.put(f"card/DCIM/{name}", picture(number))
        found.put(f"inbox/{name}", picture(number))
    return found


@pytest.fixture
async def steering(house: House) -> AsyncIterator[Steering]:
    async with house.life() as found:
        await found.rest()
        yield found


async def ask(steering: Steering, *paths: Path, **parameters: Any) -> dict[str, Any]:
    answer = await steering.call("SafeToWipe", paths=[str(path) for path in paths], **parameters)
    assert answer["state"] == "done"
    assert answer["safe"] == (answer["kept"] == answer["files"] > 0 and not answer["not_kept"])
    assert answer["files"] - answer["kept"] == len(answer["not_kept"]) + answer["omitted"]
    return answer


async def reasons(steering: Steering, *paths: Path, **parameters: Any) -> dict[str, str]:
    """Why each file is not kept, by its name; there is one at least."""
    answer = await ask(steering, *paths, **parameters)
    assert not answer["safe"]
    return {os.path.basename(one["path"]): one["reason"] for one in answer["not_kept"]}


async def test_all_is_kept(house: House, steering: Steering) -> None:
    before = tree(house.root / "card"), tree(house.root / "photos")
    answer = await ask(steering, house.root / "card", house.root / "card" / "DCIM", more=True)
    assert answer["safe"] is True
    assert (answer["files"], answer["kept"], answer["libraries"]) == (3, 3, ["photos"])
    assert answer["bytes"] == sum(path.stat().st_size for path in (house.root / "card" / "DCIM").iterdir())
    assert (tree(house.root / "card"), tree(house.root / "photos")) == before
    assert (await ask(steering, house.root / "card" / "DCIM" / NAMES[0]))["files"] == 1


async def test_by_content_not_by_name(house: House, steering: Steering) -> None:
    folder = house.root / "card" / "DCIM"
    os.rename(os.fsencode(folder / NAMES[0]), os.fsencode(folder) + b"/na\xffme")
    (folder / NAMES[1]).rename(folder / "e\u0301.png")
    assert (await ask(steering, house.root / "card"))["safe"]
    (folder / NAMES[2]).write_bytes(picture(77))
    assert set(await reasons(steering, house.root / "card")) == {NAMES[2]}


async def test_every_file_counts(house: House, steering: Steering) -> None:
    card = house.root / "card"
    house.put("card/notes.txt", b"note")
    house.put("card/.hidden", b"hidden")
    house.put("card/.Trashes/x.jpg", picture(50))
    house.put("card/empty.jpg", b"")
    (card / "link.jpg").symlink_to(card / "DCIM" / NAMES[0])
    (card / "folder").symlink_to(card / "DCIM")
    os.mkfifo(card / "fifo")
    found = await reasons(steering, card)
    assert set(found) == {"notes.txt", ".hidden", "x.jpg", "empty.jpg", "link.jpg", "folder", "fifo"}
    assert found["notes.txt"] == "is in no library"


async def test_no_files_are_no_card(house: House, steering: Steering) -> None:
    (house.root / "mount" / "point").mkdir(parents=True)
    answer = await ask(steering, house.root / "mount")
    assert answer["safe"] is False
    assert "is the card mounted?" in answer["message"]
    with pytest.raises(SourceGone):
        await ask(steering, house.root / "nowhere")


@pytest.mark.parametrize("path", ["photos", "photos/IMG_1.jpg", ".", "state", "link"])
async def test_what_has_a_library_in_it_or_is_in_one(house: House, steering: Steering, path: str) -> None:
    (house.root / "link").symlink_to(house.root / "photos")
    with pytest.raises(Refused):
        await ask(steering, house.root / path)


async def test_a_watch_may_be_wiped(house: House, steering: Steering) -> None:
    assert (await ask(steering, house.root / "inbox"))["safe"]


async def test_a_hard_link_is_the_same_file(house: House, steering: Steering) -> None:
    file = house.root / "card" / "DCIM" / NAMES[0]
    file.unlink()
    os.link(house.root / "photos" / NAMES[0], file)
    assert "this very file" in (await reasons(steering, house.root / "card"))[NAMES[0]]
    shutil.copy(file, house.root / "card" / "again.jpg")
    assert len(await reasons(steering, house.root / "card")) == 2
    assert (await ask(steering, house.root / "card" / "again.jpg"))["safe"]


async def test_rot_in_the_library_is_seen(house: House, steering: Steering) -> None:
    file = house.root / "photos" / NAMES[0]
    before = file.stat()
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "other content" in (await reasons(steering, house.root / "card"))[NAMES[0]]
    file.unlink()
    assert "missing" in (await reasons(steering, house.root / "card"))[NAMES[0]]


async def test_what_the_library_never_read_counts(house: House) -> None:
    shutil.rmtree(house.root / "inbox")
    (house.root / "inbox").mkdir()
    for number, name in enumerate(NAMES):
        house.put(f"photos/old/{name}", picture(number))
    async with house.life() as steering:
        await steering.rest()
        assert (await ask(steering, house.root / "card"))["safe"]


async def test_trash_and_quarantine_keep_nothing(house: House, steering: Steering) -> None:
    house.put("card/DCIM/other.jpg", picture(60))
    house.put("photos/.mediad/trash/other.jpg", picture(60))
    house.put("photos/.mediad/quarantine/other.jpg", picture(60))
    assert set(await reasons(steering, house.root / "card")) == {"other.jpg"}


async def test_a_library_that_is_away_keeps_nothing(house: House, steering: Steering) -> None:
    (house.root / "photos").rename(house.root / "gone")
    answer = await ask(steering, house.root / "card")
    assert not answer["safe"]
    await steering.call("Scan")
    assert all("offline" in one for one in (await reasons(steering, house.root / "card")).values())


async def test_the_same_to_mediad_as_to_who_asks(house: House, steering: Steering) -> None:
    status = (house.root / "card").stat()
    right = f"{status.st_dev}:{status.st_ino}"
    assert (await ask(steering, house.root / "card", inodes=[right]))["safe"]
    with pytest.raises(Refused):
        await ask(steering, house.root / "card", inodes=[f"{status.st_dev}:{status.st_ino + 1}"])


# --- While it is looked at ---------------------------------------------------------------------------

Deed = Callable[[Path], None]


def _add(root: Path) -> None:
    (root / "card" / "DCIM" / "new.jpg").write_bytes(picture(0))


def _move_library(root: Path) -> None:
    (root / "photos").rename(root / "away")


def _append(root: Path) -> None:
    with (root / "card" / "DCIM" / NAMES[0]).open("ab") as file:
        file.write(b"more")


def _replace_quietly(root: Path) -> None:
    file = root / "card" / "DCIM" / NAMES[0]
    before = file.stat()
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _swap(root: Path) -> None:
    folder = root / "card" / "DCIM"
    folder.rename(root / "card" / "old")
    shutil.copytree(root / "card" / "old", folder)


def _library_changes(root: Path) -> None:
    (root / "photos" / NAMES[0]).write_bytes(b"else")


DEEDS: dict[str, Deed] = {
    "a new file": _add,
    "a file that goes": lambda root: (root / "card" / "DCIM" / NAMES[0]).unlink(),
    "a file that grows": _append,
    "other content, no other time": _replace_quietly,
    "another folder": _swap,
    "the card goes": lambda root: shutil.rmtree(root / "card"),
    "the library's file goes": lambda root: (root / "photos" / NAMES[0]).unlink(),
    "the library's file changes": _library_changes,
    "the library goes": _move_library,
}


@pytest.mark.parametrize("where", ["card/DCIM/IMG_1.jpg", "card/DCIM/IMG_3.jpg", "photos/IMG_3.jpg"])
@pytest.mark.parametrize("deed", DEEDS)
async def test_nothing_may_change_meanwhile(
    house: House, steering: Steering, disk: Disk, deed: str, where: str
) -> None:
    """After the first or last file of the card was read, or the last one of the library."""

    def change(path: bytes) -> None:
        if path == os.fsencode(house.root / where):
            disk.after = None
            DEEDS[deed](house.root)

    disk.after = change
    try:
        answer = await ask(steering, house.root / "card")
    except MediadError:
        pass
    else:
        assert answer["safe"] is False
    assert disk.after is None


@pytest.mark.parametrize("path", ["card/DCIM/IMG_2.jpg", "photos/IMG_2.jpg"])
async def test_what_cannot_be_read_is_not_kept(
    house: House, steering: Steering, disk: Disk, path: str
) -> None:
    disk.failing = os.fsencode(path)
    assert "cannot be read" in (await reasons(steering, house.root / "card"))["IMG_2.jpg"]


async def test_what_is_not_on_disk_yet_is_not_kept(
    house: House, steering: Steering, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's disk takes nothing any more, and only memory has what was written last."""

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(disk, "sync_filesystem", fail)
    monkeypatch.setattr(disk, "sync_file", fail)
    assert set(await reasons(steering, house.root / "card")) == set(NAMES)


async def test_what_is_being_moved_is_not_kept(house: House, steering: Steering, disk: Disk) -> None:
    """A row that goes while the file is still there: the journal knows what is about to be done."""

    def forget(connection: Any) -> None:
        row = connection.execute("SELECT id FROM file WHERE path = ?", (b"IMG_2.jpg",)).fetchone()
        catalogue.set_missing(connection, row[0])

    asked = steering.database.run
    work = {"done": False}

    async def run(unit: Any) -> Any:
        if getattr(unit, "func", None) is not None and unit.func.__name__ == "_stand" and not work["done"]:
            work["done"] = True
            await asked(forget)
        return await asked(unit)

    steering.pipeline.database.run = run  # type: ignore[method-assign,assignment]
    assert "moved or removed" in (await reasons(steering, house.root / "card"))["IMG_2.jpg"]
    assert work["done"]


async def test_what_waits_to_be_taken_in_is_told(house: House, steering: Steering) -> None:
    await steering.call("Pause")
    house.put("inbox/late.jpg", picture(70))
    await steering.call("Scan")
    assert "waits to be taken in" in (await reasons(steering, house.root / "inbox"))["late.jpg"]


# --- Whose rights, and which filesystem --------------------------------------------------------------


@needs_root
async def test_members_ask_with_their_own_rights(house: House, steering: Steering) -> None:
    member = Peer(2, 54321, frozenset({54321}), trusted=False)
    folder = house.root
    while folder != Path("/"):
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    assert (await ask(steering, house.root / "card", peer=member))["safe"]
    (house.root / "card" / "DCIM" / NAMES[0]).chmod(0)
    house.put("card/secret/x.jpg", picture(1))
    (house.root / "card" / "secret").chmod(0)
    found = await reasons(steering, house.root / "card", peer=member)
    assert set(found) == {NAMES[0], "secret"}
    assert all("may not be read by you" in reason for reason in found.values())
    assert (await ask(steering, house.root / "card"))["safe"]


async def test_a_mount_below_is_looked_at_by_itself(house: House, steering: Steering) -> None:
    with mounting.Mounts(house.root / "card") as mounts:
        point = mounts.bind(house.root / "inbox")
        assert "mounted here" in (await reasons(steering, house.root / "card"))[point.name]
        assert (await ask(steering, house.root / "card" / "DCIM"))["safe"]


async def test_a_library_that_goes_with_the_card(
    house: House, tmpfs: mounting.Factory, bind_mount: mounting.Factory
) -> None:
    """It lies on the card's filesystem, and is reached through another mount."""
    filesystem = tmpfs("64m")
    for name in ("library", "card"):
        (filesystem / name).mkdir()
    shutil.copytree(house.root / "card" / "DCIM", filesystem / "card" / "DCIM")
    library, card = bind_mount(filesystem / "library"), bind_mount(filesystem / "card")
    house.settings["library"]["photos"]["path"] = str(library)
    async with house.life() as steering:
        await steering.rest()
        assert all("to be wiped" in one for one in (await reasons(steering, card)).values())
        assert (await ask(steering, card / "DCIM"))["safe"]
        for around in (filesystem, library):
            with pytest.raises(Refused):
                await ask(steering, around)


async def test_a_part_of_a_library_that_goes_with_the_card(
    house: House, tmpfs: mounting.Factory, bind_mount: mounting.Factory
) -> None:
    filesystem = tmpfs("64m")
    shutil.copytree(house.root / "card" / "DCIM", filesystem / "card" / "DCIM")
    shutil.copytree(house.root / "card" / "DCIM", filesystem / "part")
    shutil.rmtree(house.root / "inbox")
    (house.root / "inbox").mkdir()
    card = bind_mount(filesystem / "card")
    with mounting.Mounts(house.root / "photos") as mounts:
        mounts.bind(filesystem / "part")
        async with house.life() as steering:
            await steering.rest()
            assert all("to be wiped" in one for one in (await reasons(steering, card)).values())
            assert (await ask(steering, house.root / "card"))["safe"]


async def test_a_card_of_its_own(house: House, steering: Steering, tmpfs: mounting.Factory) -> None:
    card = tmpfs("64m")
    shutil.copytree(house.root / "card" / "DCIM", card / "DCIM")
    assert (await ask(steering, card))["safe"]
    mounting.run("umount", str(card))
    assert "is the card mounted?" in (await ask(steering, card))["message"]


@pytest.mark.parametrize("path", ["photos", "."])
async def test_the_library_seen_through_a_bind_mount(
    house: House, steering: Steering, bind_mount: mounting.Factory, path: str
) -> None:
    seen = bind_mount(house.root / path)
    with pytest.raises(Refused):
        await ask(steering, seen)
