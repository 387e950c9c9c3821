"""A watcher's world for tests: a folder, inotify, mounts and a clock that do as they are told."""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from mediad.clock import Clock
from mediad.files import Files, Tree
from mediad.ingest.scan import Report
from mediad.ingest.watch import State, Watcher
from mediad.model import Sighting, Stat

RESCAN = 900.0


class Time(Clock):
    """Stands still until told; counts how often it was read."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.read = 0

    def monotonic(self) -> float:
        self.read += 1
        return self.at


class Watched:
    """A folder that notes what it is asked, and answers what a test wants."""

    def __init__(self, root: Path, clock: Time) -> None:
        self.tree = Tree(Files(), os.fsencode(root))
        self.clock = clock
        self.scanned: list[bytes] = []
        self.looked: list[set[bytes]] = []
        self.errors: list[tuple[bytes, str]] = []
        self.subfolders: set[bytes] = set()
        self.chunks = 1
        self.takes = 0.0
        self.fails: list[OSError] = []
        self.vanished: set[bytes] = set()

    def scan(
        self, start: bytes, emit: Callable[[Sequence[Sighting]], None], stopping: Callable[[], bool]
    ) -> Report:
        self.scanned.append(start)
        self.clock.at += self.takes
        self._fail()
        if start in self.vanished:
            raise FileNotFoundError
        for number in range(self.chunks):
            emit([sighting(start + b"/%d.jpg" % number)])
        folders = {(1, number): path for number, path in enumerate([start, *sorted(self.subfolders)])}
        return Report(folders, list(self.errors))

    def look(self, paths: Iterable[bytes]) -> tuple[list[Sighting], list[bytes]]:
        asked = set(paths)
        self.looked.append(asked)
        self._fail()
        return [sighting(path) for path in asked - self.subfolders], sorted(asked & self.subfolders)

    def _fail(self) -> None:
        if self.fails:
            raise self.fails.pop(0)


def sighting(path: bytes) -> Sighting:
    return Sighting("inbox", path, Stat(1, 1, 1, 1, 1))


class Ears:
    """Stands in for inotify: tells what a test says, and breaks when told to."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[set[tuple[int, str]] | Exception] = queue.SimpleQueue()
        self.paths: list[list[str]] = []
        self.steps: list[int] = []
        self.refuses = 0
        self.open = 0
        self.listening = False

    def __call__(self, paths: list[str], *_options: Any) -> Ears:
        self.paths.append(paths)
        if self.refuses:
            self.refuses -= 1
            raise OSError(errno.ENOSPC, "the limit is reached")
        self.open += 1
        return self

    def watch(self, _group: int, step: int, _timeout: int, stop: threading.Event) -> object:
        self.steps.append(step)
        self.listening = True  # the watcher knows by now that it was started
        while not stop.is_set():
            try:
                told = self.heard.get(timeout=0.005)
            except queue.Empty:
                continue
            if isinstance(told, Exception):
                raise told
            return told
        return "stop"

    def close(self) -> None:
        self.open -= 1
        self.listening = False


class Mounts:
    """Stands in for the kernel's table of mounts, which changes when a test says so."""

    def __init__(self) -> None:
        self.did_change = False

    def changed(self) -> bool:
        changed, self.did_change = self.did_change, False
        return changed

    def close(self) -> None:
        """Nothing is open."""


class Disk:
    """Stands in for os.stat; of what lies below `root` it tells nothing while it hangs."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        self.answers = threading.Event()
        self.answers.set()
        self._stat = os.stat

    def stat(self, path: Any, *more: Any, **options: Any) -> os.stat_result:
        if path == self.root:
            self.answers.wait(10)
        return self._stat(path, *more, **options)


class Scene:
    """A watcher with all that surrounds it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ears = Ears()
        self.mounts = Mounts()
        self.uncovered: set[bytes] = set()
        self.clock = Time()
        self.folder = Watched(root, self.clock)
        self.states: list[tuple[State, str]] = []
        self.delivered: list[bytes] = []
        self.by_scan: list[bool] = []
        self.gate = anyio.Event()
        self.gate.set()

    async def deliver(self, chunk: Sequence[Sighting], by_scan: bool) -> None:
        await self.gate.wait()
        self.by_scan.append(by_scan)
        self.delivered.extend(sighting.path for sighting in chunk)

    def watcher(
        self,
        *,
        poll: bool = False,
        settle: float = 0.0,
        arrived: Callable[[], Awaitable[tuple[Watched, bool]]] | None = None,
    ) -> Watcher:
        def changed(state: State, error: str) -> None:
            self.states.append((state, error))

        return Watcher(
            self.folder,
            self.deliver,
            changed,
            self.clock,
            poll=poll,
            rescan=RESCAN,
            settle=settle,
            arrived=arrived,
        )

    def tell(self, *changes: tuple[int, str]) -> None:
        self.ears.heard.put({(change, str(self.root / name)) for change, name in changes})

    async def settled(self) -> None:
        """Wait until the watcher has gone round a few times and found nothing more to do."""
        before = self.clock.read
        await until(lambda: self.clock.read > before + 8)


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads
            await anyio.sleep(0.002)


@asynccontextmanager
async def following(watcher: Watcher) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.follow)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def up(scene: Scene, watcher: Watcher) -> None:
    """Wait until all was scanned and the watcher listens; forget what was asked until then."""
    await until(lambda: watcher.state in (State.WATCHING, State.DEGRADED))
    await scene.settled()
    scene.folder.scanned.clear()
    scene.folder.looked.clear()
    scene.delivered.clear()
    scene.by_scan.clear()
