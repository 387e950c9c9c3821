"""`Verify`: what differs is told apart, nothing is changed, and what is accepted is reported no more."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from mediad.control.protocol import InvalidParameter, time_text
from mediad.errors import Misused, NotKnown
from mediad.files import Files
from mediad.keeping.verify_pace import Bucket, due
from mediad.model import Stat
from mediad.store.verifying import Known, Pass, judge, passes, save_pass
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import tree

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    found.clock.ahead = 3600.0
    found.settings["library"]["photos"]["layout"] = "{name}"
    return found


@pytest.fixture
async def filled(house: House) -> AsyncIterator[Steering]:
    """A library with three pictures."""
    for number in (1, 2, 3):
        house.put(f"inbox/IMG_{number}.jpg", picture(number))
    async with house.life() as steering:
        await steering.rest()
        yield steering


async def states(steering: Steering, **parameters: Any) -> dict[str, str]:
    """The state of each file that is looked at, by its name below the library."""
    answer = await steering.call("Verify", more=True, **parameters)
    told = [*steering.told, answer]
    root = f"{steering.pipeline.config.libraries['photos'].path}/"
    files = {file["path"].removeprefix(root): file["state"] for one in told for file in one["checked"]}
    assert answer["files_done"] == sum(answer["counts"].values()) == len(files)
    return files


async def attention(steering: Steering) -> dict[str, str]:
    """The commands by the codes of what needs attention."""
    return {one["code"]: one["command"] for one in (await steering.call("Status"))["attention"]}


def rot(path: Path) -> None:
    """Change content as a failing disk does: neither size nor time tell."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_what_is_as_it_was_is_ok_and_when_it_was_is_told(house: House, filled: Steering) -> None:
    before = tree(house.root / "photos")
    assert (await filled.call("Status"))["libraries"][0]["last_verify"] is None
    assert await states(filled) == {f"IMG_{number}.jpg": "ok" for number in (1, 2, 3)}
    library = (await filled.call("Status"))["libraries"][0]
    assert library["last_verify"] is not None
    assert await attention(filled) == {}
    assert tree(house.root / "photos") == before


async def test_each_way_to_differ_has_its_name(house: House, filled: Steering) -> None:
    library = house.root / "photos"
    (library / "IMG_1.jpg").write_bytes(picture(1) + b"more")
    rot(library / "IMG_2.jpg")
    (library / "IMG_3.jpg").unlink()
    house.put("photos/new/by hand.txt", b"text")
    expected = {
        "IMG_1.jpg": "edited",
        "IMG_2.jpg": "changed",
        "IMG_3.jpg": "missing",
        "new/by hand.txt": "untracked",
    }
    before = tree(library)
    assert await states(filled) == expected
    assert await states(filled) == expected
    assert tree(library) == before
    found = await attention(filled)
    assert set(found) == {"changed", "missing"}
    assert found["missing"] == f"mediactl verify {library}"
    once = await filled.call("Verify")
    assert {file["state"] for file in once["checked"]} == set(expected.values())


async def test_what_was_moved_by_hand_is_found_again(house: House, filled: Steering) -> None:
    library = house.root / "photos"
    (library / "kept").mkdir()
    (library / "IMG_1.jpg").rename(library / "kept" / "one.jpg")
    answer = await filled.call("Verify")
    (moved,) = answer["checked"]
    assert (moved["state"], moved["place"]) == ("moved", str(library / "kept" / "one.jpg"))
    assert answer["counts"]["untracked"] == 0
    assert await attention(filled) == {}
    below = await filled.call("Verify", paths=[str(library / "IMG_1.jpg")])
    assert below["counts"]["moved"] == below["files_done"] == 1
    await filled.call("Verify", paths=[str(library / "IMG_1.jpg")], accept=True)
    assert await states(filled) == dict.fromkeys(("kept/one.jpg", "IMG_2.jpg", "IMG_3.jpg"), "ok")


async def test_a_restart_changes_no_finding(house: House) -> None:
    library = house.root / "photos"
    for number in (1, 2, 3, 4):
        house.put(f"inbox/IMG_{number}.jpg", picture(number))
    async with house.life() as steering:
        await steering.rest()
    (library / "IMG_1.jpg").write_bytes(picture(1) + b"more")
    rot(library / "IMG_2.jpg")
    (library / "IMG_3.jpg").rename(library / "else.jpg")
    (library / "IMG_4.jpg").unlink()
    house.put("photos/new.txt", b"text")
    expected = {
        "IMG_1.jpg": "edited",
        "IMG_2.jpg": "changed",
        "IMG_3.jpg": "moved",
        "IMG_4.jpg": "missing",
        "new.txt": "untracked",
    }
    for _ in range(2):
        async with house.life() as steering:
            assert await states(steering) == expected
    async with house.life() as steering:
        assert set(await attention(steering)) == {"changed", "missing"}


async def test_what_is_accepted_is_the_truth_from_now_on(house: House, filled: Steering) -> None:
    library = house.root / "photos"
    (library / "IMG_1.jpg").write_bytes(picture(1) + b"more")
    rot(library / "IMG_2.jpg")
    (library / "IMG_3.jpg").unlink()
    house.put("photos/new.txt", b"text")
    await filled.call("Verify")
    with pytest.raises(Misused, match="is a whole library"):
        await filled.call("Verify", paths=[str(library / "IMG_1.jpg"), str(library)], accept=True)
    names = ("IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg", "new.txt")
    answer = await filled.call("Verify", paths=[str(library / name) for name in names], accept=True)
    assert all(file["accepted"] for file in answer["checked"])
    assert answer["counts"]["missing"] == 1
    assert await attention(filled) == {}
    assert await states(filled) == dict.fromkeys(("IMG_1.jpg", "IMG_2.jpg", "new.txt"), "ok")
    house.put("photos/IMG_3.jpg", picture(3))
    rot(library / "new.txt")
    assert await states(filled) == {
        "IMG_1.jpg": "ok",
        "IMG_2.jpg": "ok",
        "IMG_3.jpg": "ok",
        "new.txt": "changed",
    }


async def test_what_is_right_again_is_reported_no_more(house: House, filled: Steering) -> None:
    picture_file = house.root / "photos" / "IMG_1.jpg"
    content = picture_file.read_bytes()
    rot(picture_file)
    await filled.call("Verify")
    assert (await attention(filled))["changed"] == f"mediactl verify {picture_file}"
    picture_file.write_bytes(content)
    assert await states(filled, paths=[str(picture_file)]) == {"IMG_1.jpg": "ok"}
    assert await attention(filled) == {}


async def test_a_path_that_is_nowhere(house: House, filled: Steering) -> None:
    for path in (house.root / "inbox", house.root / "photos" / "no.jpg"):
        with pytest.raises(NotKnown):
            await filled.call("Verify", paths=[str(path)])
    with pytest.raises(InvalidParameter):
        await filled.call("Verify", accept=True)


async def test_what_mediad_moves_meanwhile_is_no_finding(house: House, filled: Steering) -> None:
    """Its step is in the journal before the file is moved, and its row follows after."""
    library = house.root / "photos"
    await states(filled)
    (library / "kept").mkdir()
    (library / "IMG_1.jpg").rename(library / "kept" / "IMG_1.jpg")

    def begin(connection: Any) -> None:
        connection.execute(
            "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, origin, source,"
            " time) SELECT 1000, 1000, batch, arrival, 'refile', 'intent', library,"
            " CAST('kept/' || destination AS BLOB),"
            " library, destination, time FROM step WHERE destination = CAST('IMG_1.jpg' AS BLOB)"
        )

    def end(connection: Any) -> None:
        connection.execute("UPDATE step SET state = 'done' WHERE id = 1000")
        connection.execute(
            "UPDATE file SET path = ?1, name_key = ?2 WHERE path = ?3",
            (b"kept/IMG_1.jpg", b"kept/img_1.jpg", b"IMG_1.jpg"),
        )

    await filled.database.run(begin)
    nudges = 0
    changed = filled.pipeline.changed

    async def soon(at_most: float) -> None:
        nonlocal nudges
        nudges += 1
        await changed(0.0)

    filled.pipeline.changed = soon  # type: ignore[method-assign]
    assert await states(filled) == {"IMG_2.jpg": "ok", "IMG_3.jpg": "ok"}
    assert nudges
    assert await attention(filled) == {}
    await filled.database.run(end)
    assert await states(filled) == dict.fromkeys(("kept/IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg"), "ok")


class Unreadable(Files):
    """A disk that does not give back what lies at one place."""

    inode = 0

    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        if os.fstat(fd).st_ino == self.inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read_into(fd, buffer, offset)


async def test_what_cannot_be_read_is_neither_changed_nor_missing(house: House) -> None:
    house.files = disk = Unreadable()
    house.put("inbox/IMG_1.jpg", picture(1))
    async with house.life() as steering:
        await steering.rest()
        disk.inode = (house.root / "photos" / "IMG_1.jpg").stat().st_ino
        (file,) = (await steering.call("Verify"))["checked"]
        assert (file["state"], file["error"]) == ("unreadable", os.strerror(errno.EIO))
        assert set(await attention(steering)) == {"unreadable"}
        accepted = await steering.call("Verify", paths=[file["path"]], accept=True)
        assert not accepted["checked"][0]["accepted"]
        disk.inode = 0
        assert await states(steering) == {"IMG_1.jpg": "ok"}
        assert await attention(steering) == {}


class Bad(Files):
    """A folder of this name cannot be looked into while `on`."""

    on = False

    def open_dir(self, name: bytes, dir_fd: int) -> int:
        if self.on and name == b"bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().open_dir(name, dir_fd)


async def test_one_bad_folder_does_not_end_it(house: House) -> None:
    house.files = disk = Bad()
    house.put("inbox/IMG_1.jpg", picture(1))
    house.put("photos/bad/never read.jpg", picture(2))
    house.settings["library"]["photos"]["layout"] = "{name}"
    async with house.life() as steering:
        await steering.rest()
        (house.root / "photos" / "IMG_1.jpg").rename(house.root / "photos" / "bad" / "IMG_1.jpg")
        assert (await states(steering))["IMG_1.jpg"] == "moved"
        disk.on = True
        assert await states(steering) == {"IMG_1.jpg": "missing", "bad": "unreadable"}
        assert (await steering.call("Status"))["libraries"][0]["last_verify"] is not None
        disk.on = False
        assert (await states(steering))["IMG_1.jpg"] == "moved"


async def test_a_library_is_verified_by_itself_when_it_is_time(house: House) -> None:
    house.settings["verify"] = {"every": "1d", "rate": "1GB/s"}
    house.put("inbox/IMG_1.jpg", picture(1))
    async with house.life() as steering:
        await steering.rest()
        verifier, row = steering.pipeline.verifier, steering.pipeline.shelves["photos"].id
        first = await steering.until(lambda: verifier.last(row))
        assert first is not None
        rot(house.root / "photos" / "IMG_1.jpg")
        save = functools.partial(save_pass, library=row, one=Pass(ended=first + 60_000_000))
        await steering.database.run(save)  # by a clock that was ahead
        await verifier.load()
        verifier.wake()
        await steering.until(lambda: (verifier.last(row) or 0) < first + 60_000_000)
        house.clock.ahead -= 30 * 365 * 86_400.0  # it has no battery: nothing begins anew
        verifier.wake()
        await anyio.wait_all_tasks_blocked()
        assert (verifier.last(row) or 0) >= first
        assert "changed" not in await attention(steering)
        before = verifier.last(row)
        assert (await states(steering))["IMG_1.jpg"] == "changed"
        assert verifier.last(row) == before  # who asks gets it done, and nobody knows when that was
        house.clock.ahead += 30 * 365 * 86_400.0 + 2 * 86_400.0
        verifier.wake()
        await steering.until(lambda: (verifier.last(row) or 0) > first)
        assert "changed" in await attention(steering)


async def test_a_pass_goes_on_where_it_was(house: House) -> None:
    for number in (1, 2, 3):
        house.put(f"inbox/IMG_{number}.jpg", picture(number))
    async with house.life() as steering:
        await steering.rest()
        row = steering.pipeline.shelves["photos"].id

        def half(connection: Any) -> None:
            ids = [found[0] for found in connection.execute("SELECT id FROM file ORDER BY id")]
            begun = passes(connection)[row]._replace(started=1, cursor=ids[1], until=ids[2])
            save_pass(connection, row, begun)

        await steering.call("Verify")
        await steering.database.run(half)
        await steering.pipeline.verifier.load()
        assert len(await states(steering, resume=True)) == 1
        assert len(await states(steering)) == 3


async def test_who_asks_does_not_wait_for_what_is_done_by_itself(house: House) -> None:
    """At this rate the pass would take an hour."""
    house.settings["verify"] = {"every": "1d", "rate": "10B/s"}
    for number in (1, 2):
        house.put(f"inbox/IMG_{number}.jpg", picture(number) + b"\0" * 30_000)
    async with house.life() as steering:
        await steering.rest()
        verifier, row = steering.pipeline.verifier, steering.pipeline.shelves["photos"].id
        house.clock.ahead += 2 * 86_400.0
        verifier.wake()
        await steering.until(lambda: row in verifier._scheduled)
        assert len(await states(steering)) == 2
        assert row not in verifier._scheduled
        assert verifier.last(row) is not None


async def test_a_pause_holds_what_is_verified_by_itself(house: House) -> None:
    house.put("inbox/IMG_1.jpg", picture(1))
    async with house.life() as steering:
        await steering.rest()
        await steering.call("Pause", names=["photos"])
        house.settings["verify"] = {"every": "1d"}
        await steering.call("Reload")
        await anyio.wait_all_tasks_blocked()
        verifier, row = steering.pipeline.verifier, steering.pipeline.shelves["photos"].id
        assert verifier.last(row) is None
        await steering.call("Resume")
        ended = await steering.until(lambda: verifier.last(row))
        assert (await steering.call("Status"))["libraries"][0]["last_verify"] == time_text(ended)


# --- The pure parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digest", "size", "mtime", "state"),
    [
        (b"a", 5, 7_300, "ok"),
        (b"a", 5, 9_999, "ok"),
        (b"b", 5, 7_300, "changed"),
        (b"b", 6, 7_300, "edited"),
        (b"b", 5, 7_301, "edited"),
        (b"b", 5, 2_000_000_000, "changed"),  # as FAT tells it
        (b"b", 5, 4_000_000_000, "edited"),
    ],
)
async def test_rot_is_told_from_edits(digest: bytes, size: int, mtime: int, state: str) -> None:
    known = Known(1, b"x", 5, 7_300, b"a", True, False, False, "", True)
    assert judge(known, digest, Stat(1, 1, size, mtime, 0)) == state


async def test_a_bucket_keeps_to_its_rate() -> None:
    now, read = 100.0, 0
    bucket = Bucket(lambda: 1000)
    for _ in range(50):
        read += 100
        now += bucket.take(100, now)
    assert read / (now - 100.0) == pytest.approx(1000, rel=0.3)
    assert Bucket(lambda: 0).take(1 << 40, now) == 0.0


async def test_when_it_is_due() -> None:
    assert due(None, None, 0) is None
    assert due(None, 60.0, 0) == 0.0
    assert due(1_000_000, 60.0, 31_000_000) == 30.0
    assert due(1_000_000, 60.0, 71_000_000) == -10.0
