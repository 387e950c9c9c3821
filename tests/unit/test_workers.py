"""The pool of worker processes: what it answers, and what it survives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from mediad import workers
from mediad.errors import InputOutput
from mediad.media import wire
from mediad.model import Facts
from mediad.workers import File, WorkerPool
from tests import samples

pytestmark = pytest.mark.anyio

# A worker that does as the name of a file says, and answers like a real one otherwise.
UNRULY = """
import os, signal, socket, sys
from mediad.media import __main__ as worker, wire
from mediad.model import Facts

def answer(descriptor, name, size):
    if name == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == b"hang":
        signal.pause()
    return Facts("jpeg", "photo", model=name.decode())

def answers(files, descriptors):
    names = [name for name, _ in files]
    if b"nonsense" in names:
        return [{"format": "exe"}] * len(files)
    if b"fewer" in names:
        return []
    if b"endless" in names:
        connection.sendall((1 << 31).to_bytes(4, "big"))
        signal.pause()
    if b"silent" in names:
        sys.exit()
    return real(files, descriptors)

real, worker._answers, worker._answer = worker._answers, answers, answer
worker.confine(int(sys.argv[1]))
connection = socket.socket(fileno=0)
worker.serve(connection)
"""


@pytest.fixture
def unruly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "unruly.py"
    program.write_text(UNRULY, encoding="utf-8")
    monkeypatch.setattr(workers, "COMMAND", (sys.executable, "-I", str(program)))


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """A JPEG picture, open for reading."""
    path = tmp_path / "x.jpg"
    path.write_bytes(samples.jpeg(size=(16, 16)))
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def named(descriptor: int, *names: bytes) -> list[File]:
    return [(descriptor, name, 700) for name in names]


def good(name: bytes) -> Facts:
    return Facts("jpeg", "photo", model=name.decode())


def bad(why: str) -> Facts:
    return Facts("", "photo", unreadable=why)


async def test_real_files(tmp_path: Path) -> None:
    contents = [samples.jpeg(seed=number, model=f"Model {number}", size=(16, 16)) for number in range(70)]
    contents[3], contents[4] = b"not a picture", samples.mov(model="iPhone")
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.jpg"
        await anyio.Path(path).write_bytes(content)
        files.append((os.open(path, os.O_RDONLY), b"\xff%d.jpg" % number, len(content)))
    async with WorkerPool(2) as pool:
        found = await pool.parse(files)
        assert await pool.parse([]) == []
    for descriptor, _, _ in files:
        os.close(descriptor)
    assert [one.model for one in found[5:]] == [f"Model {number}" for number in range(5, 70)]
    assert found[3].unreadable
    assert (found[4].format, found[4].model) == ("mov", "iPhone")
    assert pool.statistics() == workers.PoolStatistics(0, 0, 1, 0, 0, 70)


async def test_workers_are_confined(descriptor: int) -> None:
    async with WorkerPool(1, nice=3) as pool:
        await pool.parse(named(descriptor, b"x.jpg"))
        (worker,) = pool._workers
        pid = worker.process.pid
        status = await anyio.Path(f"/proc/{pid}/status").read_text()
        limits = await anyio.Path(f"/proc/{pid}/limits").read_text()
        assert "NoNewPrivs:\t1" in status
        assert [line.split()[4] for line in limits.splitlines() if "core file" in line] == ["0"]
        assert [line.split()[3] for line in limits.splitlines() if "address space" in line] == [str(2 << 30)]
        assert os.getpgid(pid) == pid
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3
        assert await anyio.Path(f"/proc/{pid}/cwd").readlink() == anyio.Path("/")
        left = [await one.readlink() async for one in anyio.Path(f"/proc/{pid}/fd").iterdir()]
        assert not [path for path in left if path.name == "x.jpg"]
    assert not await anyio.Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"crash", workers.CRASHED),
        (b"nonsense", workers.CRASHED),
        (b"fewer", workers.CRASHED),
        (b"endless", workers.CRASHED),
        (b"silent", workers.CRASHED),
        (b"hang", "took longer than 1 s"),
    ],
)
@pytest.mark.usefixtures("unruly")
async def test_a_bad_file_costs_itself_only(descriptor: int, name: bytes, why: str) -> None:
    async with WorkerPool(1, time_limit=0.3) as pool:
        found = await pool.parse(named(descriptor, b"a", name, b"b"))
        assert found == [good(b"a"), bad(why), good(b"b")]
        assert await pool.parse(named(descriptor, b"c")) == [good(b"c")]
        counted = pool.statistics()
    assert (counted.workers, counted.files) == (1, 3)
    assert counted.crashed + counted.timed_out == 2


@pytest.mark.usefixtures("unruly")
async def test_a_crash_beside_it_is_no_verdict(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        assert await pool.parse(named(descriptor, b"crash")) == [bad(workers.CRASHED)]
        assert pool.statistics().crashed == 2
        assert await pool.parse(named(descriptor, b"x.xmp")) == [good(b"x.xmp")]


async def test_a_worker_that_died_while_idle_is_replaced(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        await pool.parse(named(descriptor, b"a.jpg"))
        (worker,) = pool._workers
        worker.process.kill()
        await worker.process.wait()
        (found,) = await pool.parse(named(descriptor, b"a.jpg"))
        assert not found.unreadable
        assert (pool.statistics().crashed, pool.statistics().started) == (0, 2)


@pytest.mark.usefixtures("unruly")
async def test_cancelling_ends_the_worker(descriptor: int) -> None:
    async with WorkerPool(1) as pool:
        await pool.parse(named(descriptor, b"a"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.parse, named(descriptor, b"hang"))
            await anyio.wait_all_tasks_blocked()
            assert pool.statistics().idle == 0
            tasks.cancel_scope.cancel()
        assert pool.statistics().workers == 0
        assert await pool.parse(named(descriptor, b"b")) == [good(b"b")]
        assert pool.statistics().crashed == 0


@pytest.mark.usefixtures("unruly")
async def test_no_more_workers_than_the_size(descriptor: int) -> None:
    async with WorkerPool(2) as pool:
        pool.prestart()
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                name = b"crash" if number == 3 else b"a"
                tasks.start_soon(pool.parse, named(descriptor, name))
            while pool.statistics().files < 5:
                assert pool.statistics().workers <= 2
                await anyio.lowlevel.checkpoint()
        assert pool.statistics().workers <= 2


async def test_starting_ahead(descriptor: int) -> None:
    async with WorkerPool(2) as pool:
        pool.prestart()
        pool.prestart()
        found = await pool.parse(named(descriptor, b"a.jpg"))
        assert not found[0].unreadable
        assert pool.statistics().started <= 2


async def test_idle_workers_are_ended(descriptor: int) -> None:
    async with WorkerPool(1, idle_after=0.0) as pool:
        await pool.parse(named(descriptor, b"a.jpg"))
        with anyio.fail_after(10):
            while pool.statistics().workers:
                await anyio.lowlevel.checkpoint()
        await pool.parse(named(descriptor, b"a.jpg"))
        assert pool.statistics().started == 2


async def test_no_worker_can_be_started(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with WorkerPool(1) as pool:
        for command in (("/nowhere/python",), (sys.executable, "-c", "pass")):
            monkeypatch.setattr(workers, "COMMAND", command)
            with pytest.raises(InputOutput):
                await pool.parse(named(descriptor, b"a.jpg"))
            assert pool.statistics().workers == 0


async def test_a_closed_pool_starts_nothing(descriptor: int) -> None:
    pool = WorkerPool(1)
    with pytest.raises(RuntimeError):
        await pool.parse(named(descriptor, b"a.jpg"))
    with pytest.raises(RuntimeError):
        pool.prestart()


async def test_an_error_of_the_system_is_told_as_such() -> None:
    reading, writing = os.pipe()  # pread fails there
    async with WorkerPool(1) as pool:
        (found,) = await pool.parse([(reading, b"x.jpg", 5)])
    os.close(reading)
    os.close(writing)
    assert found.unreadable.startswith(wire.READING_FAILED)
