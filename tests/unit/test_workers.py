"""The pool of worker processes: what it answers, and what it survives."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mediad import worker, workers
from mediad.errors import InputOutput
from mediad.media import wire
from mediad.media.dates import DateRules
from mediad.media.reading import File
from mediad.model import Taken
from mediad.workers import WorkerPool
from tests import samples

pytestmark = pytest.mark.anyio

RULES = DateRules("Asia/Tokyo")
NOW = datetime(2024, 6, 1, tzinfo=UTC)
MTIME_NS = 1_600_000_000_123_456_789

# A worker that does as the name of a file says, and answers like a real one otherwise.
UNRULY = """
import os, signal, socket, sys
from mediad.media import __main__ as worker, wire
from mediad.media.reading import Reading
from mediad.model import Facts

def read(file, missing):
    if file.name == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if file.name.startswith(b"SIG"):
        os.kill(os.getpid(), getattr(signal, file.name.decode()))
    if file.name == b"once" and os.fstat(file.fd).st_nlink:
        os.unlink(os.readlink(f"/proc/self/fd/{file.fd}"))
        os.abort()
    if file.name == b"busy":
        worker._PROCESSOR = 0
        worker.limit_time()
        while True:
            pass
    if file.name == b"greedy":
        try:
            bytearray(worker._MEMORY)
        except MemoryError:
            return Reading("jpeg", "photo", unreadable="no more than it may")
    if file.name == b"hang":
        signal.pause()
    return Reading("jpeg", "photo", model=file.name.decode())

def answers(body, descriptors):
    names = [file.name for file in wire.request_from_json(body, descriptors)[0]]
    if b"nonsense" in names:
        return [Facts("exe", "photo")] * len(names)
    if b"fewer" in names:
        return []
    if b"endless" in names:
        connection.sendall((1 << 31).to_bytes(4, "big"))
        signal.pause()
    if b"more" in names:
        connection.sendall(wire.reply(real(body, descriptors)) + b"}")
        signal.pause()
    if b"slow" in names:
        for byte in wire.reply(real(body, descriptors)):
            connection.sendall(bytes((byte,)))
        signal.pause()
    if b"silent" in names:
        sys.exit()
    return real(body, descriptors)

real, worker._answers, worker._read = worker._answers, answers, read
worker.confine(int(sys.argv[1]))
connection = socket.socket(fileno=0)
worker.serve(connection)
"""


@pytest.fixture
def unruly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "unruly.py"
    program.write_text(UNRULY, encoding="utf-8")
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-I", str(program)))


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """A JPEG picture, open for reading."""
    path = tmp_path / "x.jpg"
    path.write_bytes(samples.jpeg(size=(16, 16)))
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def named(descriptor: int, *names: bytes) -> list[File]:
    return [File(descriptor, name, 700, MTIME_NS, on_card=True) for name in names]


async def told(pool: WorkerPool, files: list[File], rules: DateRules = RULES) -> list[tuple[str, str]]:
    """The model of each file, and why it is unreadable."""
    return [(one.model, one.unreadable) for one in await pool.parse(files, rules, NOW)]


def good(name: bytes) -> tuple[str, str]:
    return name.decode(), ""


def bad(why: str) -> tuple[str, str]:
    return "", why


async def test_real_files(tmp_path: Path) -> None:
    contents = [samples.jpeg(seed=number, model=f"Model {number}", size=(16, 16)) for number in range(70)]
    contents[3], contents[4] = b"not a picture", samples.mov(model="iPhone")
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.jpg"
        await anyio.Path(path).write_bytes(content)
        fd = os.open(path, os.O_RDONLY)
        files.append(File(fd, b"\xff%d.jpg" % number, len(content), MTIME_NS, on_card=False))
    async with WorkerPool(2) as pool:
        found = await pool.parse(files, RULES, NOW)
        assert await pool.parse([], RULES, NOW) == []
    for file in files:
        os.close(file.fd)
    assert [one.model for one in found[5:]] == [f"Model {number}" for number in range(5, 70)]
    assert found[3].unreadable
    assert (found[4].format, found[4].model) == ("mov", "iPhone")
    assert pool.statistics() == workers.PoolStatistics(0, 0, 1, 0, 0, 0, 70)


async def test_workers_are_confined(descriptor: int) -> None:
    async with WorkerPool(1, nice=3) as pool:
        await pool.parse(named(descriptor, b"x.jpg"), RULES, NOW)
        (worker,) = pool._workers
        pid = worker.process.pid
        status = await anyio.Path(f"/proc/{pid}/status").read_text()
        limits = await anyio.Path(f"/proc/{pid}/limits").read_text()
        assert "NoNewPrivs:\t1" in status
        assert [line.split()[4] for line in limits.splitlines() if "core file" in line] == ["0"]
        assert [line.split()[3] for line in limits.splitlines() if "address space" in line] == [str(2 << 30)]
        assert os.getpgid(pid) == pid
        assert os.getsid(pid) == os.getsid(0)  # between sessions niceness may not count
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3
        assert await anyio.Path(f"/proc/{pid}/cwd").readlink() == anyio.Path("/")
        left = [await one.readlink() async for one in anyio.Path(f"/proc/{pid}/fd").iterdir()]
        assert not [path for path in left if path.name == "x.jpg"]
    assert not await anyio.Path(f"/proc/{pid}").exists()


async def test_a_worker_that_is_not_up_yet_is_ended() -> None:
    one = await worker.Worker.start(0)
    await one.end()  # before it has a group of its own
    assert one.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"crash", worker.CRASHED),
        (b"nonsense", worker.CRASHED),
        (b"fewer", worker.CRASHED),
        (b"endless", worker.CRASHED),
        (b"more", worker.CRASHED),
        (b"silent", worker.CRASHED),
        (b"hang", "reading failed: took longer than 1 s"),
    ],
)
@pytest.mark.usefixtures("unruly")
async def test_a_bad_file_costs_itself_only(descriptor: int, name: bytes, why: str) -> None:
    async with WorkerPool(1, time_limit=0.3) as pool:
        found = await told(pool, named(descriptor, b"a", name, b"b"))
        assert found == [good(b"a"), bad(why), good(b"b")]
        assert await told(pool, named(descriptor, b"c")) == [good(b"c")]
        counted = pool.statistics()
    assert (counted.workers, counted.files) == (1, 3)
    assert (counted.crashed, counted.timed_out) == ((0, 2) if name == b"hang" else (3, 0))


@pytest.mark.usefixtures("unruly")
async def test_a_crash_beside_it_is_no_verdict(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        assert await told(pool, named(descriptor, b"crash")) == [bad(worker.CRASHED)]
        assert pool.statistics().crashed == 3
        assert await told(pool, named(descriptor, b"x.xmp")) == [good(b"x.xmp")]


@pytest.mark.parametrize("name", [b"SIGSEGV", b"SIGABRT", b"SIGFPE", b"SIGILL", b"busy", b"greedy"])
@pytest.mark.usefixtures("unruly")
async def test_what_a_file_does_by_itself_is_held_against_it(descriptor: int, name: bytes) -> None:
    async with WorkerPool(1) as pool:
        (found,) = await told(pool, named(descriptor, name))
        assert found == bad(worker.CRASHED if name != b"greedy" else "no more than it may")
        assert pool.statistics().crashed == (3 if name != b"greedy" else 0)
        assert await told(pool, named(descriptor, b"a")) == [good(b"a")]


@pytest.mark.parametrize("name", [b"SIGKILL", b"SIGTERM", b"SIGHUP", b"SIGBUS"])
@pytest.mark.usefixtures("unruly")
async def test_what_others_do_to_a_worker_is_no_verdict(descriptor: int, name: bytes) -> None:
    """A file over which the system runs out of memory is not called unreadable."""
    async with WorkerPool(1) as pool:
        why = f"{wire.READING_FAILED}: the parser was killed ({name.decode()})"
        assert await told(pool, named(descriptor, b"a", name)) == [good(b"a"), bad(why)]
        counted = pool.statistics()
    assert (counted.crashed, counted.timed_out, counted.killed) == (0, 0, 2)


@pytest.mark.usefixtures("unruly")
async def test_one_crash_is_no_verdict(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "once", os.O_RDWR | os.O_CREAT)
    async with WorkerPool(1) as pool:
        assert await told(pool, named(descriptor, b"once")) == [good(b"once")]
        assert pool.statistics().crashed == 1
    os.close(descriptor)


@pytest.mark.usefixtures("unruly")
async def test_a_lost_file_still_has_its_name_and_time(descriptor: int) -> None:
    crash = File(descriptor, b"crash", 700, MTIME_NS, on_card=True)
    async with WorkerPool(1) as pool:
        (found,) = await pool.parse([crash], RULES, NOW)
    assert found.unreadable == worker.CRASHED
    assert found.taken is not None
    assert (found.taken.source, found.taken.local.hour) == ("mtime", 21)  # in Tokyo
    assert json.loads(found.evidence)["tag"] == "mtime"


@pytest.mark.usefixtures("unruly")
async def test_a_reply_may_come_in_pieces(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        assert await told(pool, named(descriptor, b"slow")) == [good(b"slow")]
        assert pool.statistics().crashed == 0


async def test_dates_are_chosen_by_the_rules_of_each_request(descriptor: int) -> None:
    files = named(descriptor, b"VID_20200102_030405.jpg")
    tokyo, berlin = (DateRules(zone, mtime="always") for zone in ("Asia/Tokyo", "Europe/Berlin"))
    only_mtime = DateRules("Asia/Tokyo", (), "card")
    async with WorkerPool(1) as pool:
        for rules, hour, offset, source in (
            (tokyo, 3, None, "filename"),
            (berlin, 3, None, "filename"),
            (only_mtime, 21, 540, "mtime"),
            (replace(only_mtime, zone="Europe/Berlin"), 14, 120, "mtime"),
        ):
            (found,) = await pool.parse(files, rules, NOW)
            assert found.taken is not None
            assert (found.taken.local.hour, found.taken.offset_minutes) == (hour, offset)
            assert (found.taken.source, found.origin) == (source, "camera")
        early = await pool.parse(files, RULES, NOW.replace(year=2019))
        late = await pool.parse(files, replace(RULES, earliest=date(2021, 1, 1)), NOW)
        never = await pool.parse(files, replace(only_mtime, mtime="never"), NOW)
    assert [one.taken for one in (*early, *late, *never)] == [None] * 3


async def test_workers_share_the_systems_time_zone(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Kathmandu")
    async with WorkerPool(1) as pool:
        (found,) = await pool.parse(named(descriptor, b"a"), DateRules("system"), NOW)
    local = datetime(2020, 9, 13, 18, 11, 40, 123456)  # noqa: DTZ001
    assert found.taken == Taken(local, 345, "mtime", "mtime", "low")


async def test_a_time_zone_that_is_gone_is_no_fault_of_the_file(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        (found,) = await pool.parse(named(descriptor, b"a.jpg"), DateRules("Europe/Atlantis"), NOW)
        assert found.unreadable == f"{wire.READING_FAILED}: there is no time zone Europe/Atlantis"
        assert pool.statistics().crashed == 0


async def test_a_worker_that_died_while_idle_is_replaced(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
        (one,) = pool._workers
        one.process.kill()
        await one.process.wait()
        (found,) = await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
        assert not found.unreadable
        assert (pool.statistics().crashed, pool.statistics().started) == (0, 2)


@pytest.mark.usefixtures("unruly")
async def test_cancelling_ends_the_worker(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        await pool.parse(named(descriptor, b"a"), RULES, NOW)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told, pool, named(descriptor, b"hang"))
            await anyio.wait_all_tasks_blocked()
            assert pool.statistics().idle == 0
            tasks.cancel_scope.cancel()
        assert pool.statistics().workers == 0
        assert await told(pool, named(descriptor, b"b")) == [good(b"b")]
        assert pool.statistics().crashed == 0


@pytest.mark.usefixtures("unruly")
async def test_no_more_workers_than_the_size(descriptor: int) -> None:
    async with WorkerPool(2) as pool:
        pool.prestart()
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                name = b"crash" if number == 3 else b"a"
                tasks.start_soon(told, pool, named(descriptor, name))
            while pool.statistics().files < 5:
                assert pool.statistics().workers <= 2
                await anyio.lowlevel.checkpoint()
        assert pool.statistics().workers <= 2


async def test_starting_ahead(descriptor: int) -> None:
    async with WorkerPool(2) as pool:
        pool.prestart()
        pool.prestart()
        (found,) = await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
        assert not found.unreadable
        assert pool.statistics().started <= 2


async def test_idle_workers_are_ended(descriptor: int) -> None:
    async with WorkerPool(1, idle_after=0.0) as pool:
        await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
        with anyio.fail_after(60):
            while pool.statistics().workers:
                await anyio.lowlevel.checkpoint()
        await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
        assert pool.statistics().started == 2


async def test_no_worker_can_be_started(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with WorkerPool(1) as pool:
        for command in (("/nowhere/python",), (sys.executable, "-c", "pass")):
            monkeypatch.setattr(worker, "COMMAND", command)
            with pytest.raises(InputOutput):
                await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
            assert pool.statistics().workers == 0
            assert pool.failing
        monkeypatch.undo()
        await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
        assert pool.failing == ""


async def test_a_closed_pool_starts_nothing(descriptor: int) -> None:
    pool = WorkerPool(1)
    with pytest.raises(RuntimeError):
        await pool.parse(named(descriptor, b"a.jpg"), RULES, NOW)
    with pytest.raises(RuntimeError):
        pool.prestart()


async def test_an_error_of_the_system_is_told_as_such() -> None:
    reading, writing = os.pipe()  # pread fails there
    async with WorkerPool(1) as pool:
        (found,) = await pool.parse([File(reading, b"x.jpg", 5, 0, on_card=False)], RULES, NOW)
    os.close(reading)
    os.close(writing)
    assert found.unreadable.startswith(wire.READING_FAILED)


@pytest.mark.anyio
async def test_a_worker_of_another_version_is_no_reason_to_quarantine(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HELLO", '["mediad", "0.0.0"]')
    async with WorkerPool(1) as pool:
        with pytest.raises(InputOutput, match="upgraded while it ran"):
            await pool.parse([File(descriptor, b"x.jpg", 1, 0, False)], RULES, NOW)
        assert "upgraded while it ran" in pool.failing
