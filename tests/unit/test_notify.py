"""What systemd is told over its socket, and when it is told nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from mediad import notify
from mediad.notify import Manager, status_line
from tests import samples
from tests.steering import House, Steering
from tests.system.once import picture

pytestmark = pytest.mark.anyio


class Listening:
    """systemd's end."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.setblocking(False)
        self.told: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def has(self, word: str) -> int:
        """How often it was told so by now."""
        try:
            while True:
                self.told.append(self._socket.recv(4096).decode("ascii"))
        except BlockingIOError:
            return sum(word in line.split("\n") for line in self.told)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    found = Listening(tmp_path / "notify")
    yield found
    found.close()


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "house").mkdir()
    return House(tmp_path / "house")


@pytest.fixture
def managing() -> Iterator[Callable[[], Manager]]:
    """Makes managers, which are closed in the end."""
    made: list[Manager] = []

    def make() -> Manager:
        made.append(Manager())
        return made[-1]

    yield make
    for manager in made:
        manager.close()


async def until(systemd: Listening, word: str, count: int = 1) -> None:
    with anyio.fail_after(60):
        while systemd.has(word) < count:
            await anyio.wait_all_tasks_blocked()


def test_the_stages_of_a_life(systemd: Listening, managing: Callable[[], Manager]) -> None:
    manager = managing()
    manager.ready()
    manager.reloading()
    manager.ready()
    manager.stopping()
    assert systemd.has("READY=1") == 2
    assert systemd.told[0] == "READY=1"
    assert systemd.told[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert systemd.told[-1] == "STOPPING=1\nSTATUS=stopping"


async def test_without_systemd_nothing_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch, managing: Callable[[], Manager]
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    async with house.life() as steering:
        with anyio.fail_after(60):
            await (await anyio.to_thread.run_sync(managing)).keep(steering.life)


async def test_signs_of_life_and_a_status(
    house: House, systemd: Listening, monkeypatch: pytest.MonkeyPatch, managing: Callable[[], Manager]
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setattr(notify, "_EVERY", 0.0)
    async with house.life() as steering, anyio.create_task_group() as tasks:
        await steering.rest()
        tasks.start_soon((await anyio.to_thread.run_sync(managing)).keep, steering.life)
        await until(systemd, "WATCHDOG=1", 3)
        await until(systemd, "STATUS=watching 1; 0 filed")
        house.put("inbox/a.jpg", picture(1))
        await steering.rest()
        await until(systemd, "STATUS=watching 1; 1 filed")
        steering.life.health.stalled = "watch inbox has not got on for 300 s"
        await anyio.wait_all_tasks_blocked()
        before = systemd.has("WATCHDOG=1")
        with anyio.move_on_after(0.2):
            await anyio.sleep_forever()
        assert systemd.has("WATCHDOG=1") == before, "who stands still gives no sign of life"
        steering.life.health.stalled = ""
        await until(systemd, "WATCHDOG=1", before + 1)
        tasks.cancel_scope.cancel()


async def test_a_database_that_does_not_answer_is_no_life(
    house: House, systemd: Listening, monkeypatch: pytest.MonkeyPatch, managing: Callable[[], Manager]
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setattr(notify, "_ANSWER", 0.0)
    async with house.life() as steering, anyio.create_task_group() as tasks:
        await steering.rest()
        tasks.start_soon((await anyio.to_thread.run_sync(managing)).keep, steering.life)
        await until(systemd, "WATCHDOG=1", 2)
        goes_on = anyio.Event()

        async def hangs(work: object) -> None:
            await goes_on.wait()

        monkeypatch.setattr(steering.pipeline.database, "run", hangs)
        with anyio.move_on_after(0.1):
            await anyio.sleep_forever()
        before = systemd.has("WATCHDOG=1")
        with anyio.move_on_after(0.2):
            await anyio.sleep_forever()
        assert systemd.has("WATCHDOG=1") == before
        goes_on.set()
        await until(systemd, "WATCHDOG=1", before + 1)
        monkeypatch.undo()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("value", "pid"), [("", ""), ("soon", ""), ("20000", "1"), ("-5", "")])
def test_no_watchdog(monkeypatch: pytest.MonkeyPatch, value: str, pid: str) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", value)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert notify._watchdog_seconds() == 0.0


async def lines(house: House, steering: Steering) -> str:
    await steering.rest()
    line = status_line(steering.pipeline)
    assert line.isascii()
    assert line.isprintable()
    return line


async def test_the_line_of_status(house: House) -> None:
    async with house.life() as steering:
        assert await lines(house, steering) == "watching 1; 0 filed"
        house.put("inbox/a.jpg", picture(1))
        house.put("inbox/b.jpg", samples.broken_jpeg(1))
        assert await lines(house, steering) == "watching 1; 1 filed; 1 failed or quarantined"
        await steering.call("Pause", names=["inbox"])
        house.put("inbox/c.jpg", picture(2))
        assert await lines(house, steering) == (
            "watching 1; paused: inbox; 1 held; 1 filed; 1 failed or quarantined"
        )
        await steering.call("Pause")
        assert (await lines(house, steering)).startswith("paused; paused: inbox; 1 held")
        await steering.call("Resume")
        (house.root / "photos/.mediad/library.toml").rename(house.root / "marker")
        await steering.call("Scan", names=["photos"])
        assert (await lines(house, steering)).startswith("watching 1; library photos away")
