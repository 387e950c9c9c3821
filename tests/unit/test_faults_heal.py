"""An error of the system is seen in `status` and `failures`, and is over once its cause is, by itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mediad.files import Files
from tests import samples
from tests.steering import House, Steering
from tests.trees import files

pytestmark = pytest.mark.anyio


class Failing(Files):
    """Files of which one call fails with an error while one is set; folders of one name are shut."""

    def __init__(self, method: str) -> None:
        self.error = 0
        self.shut = b""
        self.failed = 0
        real = getattr(Files, method)

        def call(*args: object) -> object:
            if self.error:
                self.failed += 1
                raise OSError(self.error, os.strerror(self.error))
            return real(self, *args)

        setattr(self, method, call)

    def open_dir(self, name: bytes, dir_fd: int) -> int:
        if name == self.shut:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return super().open_dir(name, dir_fd)


async def attention(steering: Steering) -> dict[str, str]:
    status = await steering.call("Status")
    return {one["code"]: one["command"] for one in status["attention"]}


async def heals(steering: Steering, failing: Failing, house: House) -> None:
    """The cause goes; it is tried again, as it would be by itself after a while."""
    failing.error = 0
    await steering.call("Retry")
    await steering.until(lambda: files(house.root / "photos", without={b".mediad"}))
    assert await steering.rest() == "idle"
    assert (await steering.totals())["filed"] == 1
    assert await steering.queue() == {}
    assert await attention(steering) == {}


@pytest.mark.parametrize("method", ["Scan", "Retry"])
async def test_what_failed_and_left_is_gone(tmp_path: Path, method: str) -> None:
    house = House(tmp_path)
    house.files = failing = Failing("open_file")
    async with house.life() as steering:
        failing.error = errno.EACCES
        path = house.put("inbox/a.jpg", samples.jpeg(seed=1))
        await steering.rest()
        assert await steering.totals() == {"failed": 1}
        os.unlink(path)
        failing.error = 0
        await steering.call(method)
        await steering.until(lambda: not steering.pipeline.recorder.tally.troubled.get("failed"))
        assert await steering.totals() == {"gone": 1}
        assert await steering.queue() == {}
        assert await attention(steering) == {}
        house.put("inbox/a.jpg", samples.jpeg(seed=1))
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 1


async def test_what_failed_and_is_excluded_by_now_or_cannot_be_looked_at(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    house.files = failing = Failing("open_file")
    async with house.life() as steering:
        failing.error = errno.EACCES
        house.put("inbox/shut/a.jpg", samples.jpeg(seed=1))
        house.put("inbox/secret/b.jpg", samples.jpeg(seed=2))
        await steering.rest()
        assert await steering.totals() == {"failed": 2}
        failing.error = 0
        failing.shut = b"shut"
        house.settings["watch"]["inbox"]["exclude"] = ["secret/"]
        await steering.call("Reload")
        last = steering.pipeline.recorder.next_id()
        assert await steering.rest() == "idle"
        assert await steering.totals() == {"failed": 1, "ignored": 1}  # the other stays what it was
        assert steering.pipeline.recorder.next_id() == last + 2


class SidecarsFail(Files):
    """Files of which no sidecar can be read while an error is set."""

    error = 0

    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        if self.error and os.readlink(f"/proc/self/fd/{fd}").endswith(".xmp"):
            raise OSError(self.error, os.strerror(self.error))
        return super().read_into(fd, buffer, offset)


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.EROFS, errno.EXDEV])
async def test_a_set_waits_for_what_may_be_read_later(tmp_path: Path, error: int) -> None:
    house = House(tmp_path)
    house.files = failing = SidecarsFail()
    async with house.life() as steering:
        failing.error = error
        house.put("inbox/a.jpg", samples.jpeg(seed=1))
        house.put("inbox/a.xmp", samples.xmp_sidecar(rating=1))
        await steering.rest()
        assert await steering.totals() == {"failed": 2}
        failing.error = 0
        await steering.call("Retry")
        assert await steering.rest() == "idle"
        assert (await steering.totals())["filed"] == 2
        rows = (await steering.call("History"))["rows"]
        assert len({row["item"] for row in rows if row["outcome"] == "filed"}) == 1


# the call, the error, and the code under which `failures` has the file
FAILED = [
    ("link", errno.ENAMETOOLONG, "not-storable"),
    ("link", errno.EMFILE, "exhausted"),
    ("link", errno.EIO, "input-output"),
    ("open_file", errno.EMFILE, "exhausted"),
    ("open_file", errno.ENFILE, "exhausted"),
    ("read_into", errno.EIO, "input-output"),
    ("open_file", errno.EACCES, "not-permitted"),
    ("sync_file", errno.EIO, "input-output"),
    ("mkdir", errno.EACCES, "not-permitted"),
]


@pytest.mark.parametrize(("method", "error", "code"), FAILED)
async def test_a_file_that_fails(tmp_path: Path, method: str, error: int, code: str) -> None:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    house.files = failing = Failing(method)
    async with house.life() as steering:
        failing.error = error
        path = house.put("inbox/a.jpg", samples.jpeg(seed=1))
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.recorder.tally.troubled.get("failed"))
        assert files(house.root / "inbox") == {b"a.jpg": samples.jpeg(seed=1)}
        (failure,) = (await steering.call("Failures"))["files"]
        assert (failure["code"], failure["path"]) == (code, os.fsdecode(path))
        assert failure["command"]
        assert await attention(steering) == {"failed": "mediactl failures"}
        assert steering.pipeline.shelves["photos"].online  # nothing was concluded of the library
        await heals(steering, failing, house)


# the error, and what `status` says of the library
HELD = [
    (errno.ENOSPC, "library-full"),
    (errno.EDQUOT, "library-full"),
    (errno.EROFS, "library-readonly"),
    (errno.ESTALE, "library-offline"),
]


@pytest.mark.parametrize(("error", "code"), HELD)
async def test_a_library_that_takes_nothing(tmp_path: Path, error: int, code: str) -> None:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["action"] = "move"
    house.files = failing = Failing("link")
    async with house.life() as steering:
        failing.error = error
        house.put("inbox/a.jpg", samples.jpeg(seed=1))
        await steering.call("Scan")
        shelf = steering.pipeline.shelves["photos"]
        await steering.until(lambda: not shelf.online and shelf.error)
        assert set(await attention(steering)) == {code}
        assert (await steering.call("Failures"))["files"] == []  # it is no fault of the file's
        assert files(house.root / "inbox") == {b"a.jpg": samples.jpeg(seed=1)}
        failing.error = 0
        await steering.call("Scan")
        await steering.until(lambda: shelf.online)
        await steering.until(lambda: files(house.root / "photos", without={b".mediad"}))
        assert await steering.rest() == "idle"
        assert await attention(steering) == {}


async def test_the_next_rescan_tries_again_and_is_quiet_about_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    house.settings["watch"]["inbox"]["rescan"] = "20s"
    house.files = failing = Failing("open_file")
    async with house.life() as steering:
        failing.error = errno.EACCES
        house.put("inbox/a.jpg", samples.jpeg(seed=1))
        await steering.call("Scan")
        await steering.until(lambda: steering.pipeline.recorder.tally.troubled.get("failed"))
        tries = failing.failed
        house.clock.ahead = 15
        await steering.call("Scan")
        await steering.until(lambda: failing.failed > tries)
        assert await steering.rest() == "idle"
        told = [record for record in caplog.records if "a.jpg failed" in record.getMessage()]
        assert sum(record.levelname == "WARNING" for record in told) == 1
        failing.error = 0
        house.clock.ahead = 30
        await steering.call("Scan")
        assert await steering.rest() == "idle"
        assert await steering.totals() == {"filed": 1, "bytes_filed": len(samples.jpeg(seed=1))}
