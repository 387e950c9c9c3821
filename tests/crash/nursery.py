"""A process that has imported all of the daemon, and forks daemons that die when they are told.

What it forks runs `service.run` as the program does: real sockets, threads, signals and files. Only a few
names that `service` has imported are others there: `Files` and `Database` count what is done (and die of it),
`Clock` has a wall that can be set, and the pool of parsers may be one that reads in the process itself.
Product code knows nothing of that. See `tests.crash.killing` for the other side.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import logging
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from mediad import service
from mediad.cli import settings
from mediad.clock import Clock
from mediad.errors import MediadError
from mediad.exclude import Excluder
from mediad.files import Files
from mediad.media.reading import File
from mediad.store.backup_foreign import schema
from mediad.store.database import Database, newest_schema
from tests.crash.faulty import CHANGES, Faults, FaultyFiles
from tests.crash.scene import Reader

T = TypeVar("T")

_KIND = 40  # bytes for an operation's name
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LATE = ("anyio._backends._asyncio", "importlib.resources.readers", "encodings.utf_8_sig")
"""What a daemon imports only when it runs."""


class Board:
    """What parent and daemon tell each other.

    Attributes, kept in a file that both have mapped:
        done: operations so far. deadly: the number of the one that kills, 0 for none.
        ahead: nanoseconds that the wall clock is put forward. kind: the newest operation.
    """

    SIZE = 3 * 8 + _KIND

    def __init__(self, path: Path) -> None:
        with open(path, "a+b") as stream:
            stream.truncate(self.SIZE)
            self._page = mmap.mmap(stream.fileno(), self.SIZE)

    def close(self) -> None:
        self._page.close()

    def _number(self, index: int) -> int:
        return int(struct.unpack_from("q", self._page, index * 8)[0])

    def _put(self, index: int, value: int) -> None:
        struct.pack_into("q", self._page, index * 8, value)

    @property
    def done(self) -> int:
        return self._number(0)

    @property
    def kind(self) -> str:
        return bytes(self._page[24:]).rstrip(b"\0").decode()

    @property
    def ahead(self) -> int:
        return self._number(2)

    @ahead.setter
    def ahead(self, nanoseconds: int) -> None:
        self._put(2, nanoseconds)

    def arm(self, operations: int) -> None:
        """The operation that is so many after the newest kills; 0: none does."""
        self._put(1, self.done + operations if operations else 0)

    def begin(self) -> None:
        """Count anew."""
        self._put(0, 0)

    def step(self, kind: str) -> bool:
        """Another operation is about to be done; is it the last?"""
        number = self.done + 1
        self._put(0, number)
        self._page[24:] = kind.encode().ljust(_KIND, b"\0")
        return number == self._number(1)


class Deadly(Faults):
    """Counts what changes something, and dies instead of the one that the board says."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board

    def before(self, kind: str) -> None:
        if kind in CHANGES:
            self.point(kind)

    def point(self, kind: str, last: Callable[[], object] | None = None) -> None:
        """A moment at which the process may die, having done something last."""
        with self._lock:
            if self._board.step(kind):
                try:
                    if last is not None:
                        last()
                finally:  # whether the filesystem let it be done or not
                    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyFiles(FaultyFiles):
    """Real files; a write can also be torn in its midst."""

    def __init__(self, deadly: Deadly, far: Sequence[bytes]) -> None:
        super().__init__(deadly, far)
        self._deadly = deadly

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        half = data[: len(data) // 2]
        self._deadly.point("torn write", lambda: Files.write(self, fd, half, offset))
        return super().write(fd, data, offset)

    def copy_range(self, source: int, target: int, offset: int, count: int) -> int:
        half = functools.partial(Files.copy_range, self, source, target, offset, count // 2)
        self._deadly.point("torn copy_range", half)
        return super().copy_range(source, target, offset, count)


class DeadlyDatabase(Database):
    """The real database; the process can die right before a commit and right after it."""

    def __init__(self, connection: apsw.Connection, deadly: Deadly) -> None:
        super().__init__(connection)
        self._deadly = deadly

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """See `Database.run`."""
        changed = False

        def counted(connection: apsw.Connection) -> T:
            nonlocal changed
            before = connection.total_changes()
            result = work(connection)
            changed = connection.total_changes() != before
            if changed:
                self._deadly.point("commit")
            return result

        result = await super().run(counted)
        if changed:
            self._deadly.point("commit that is done")
        return result


class InstantPool(Reader):
    """A pool that reads in this process, and what the nursery has learned not even once."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def prestart(self) -> None:
        """There is nothing to start."""

    def learn(self, file: File) -> None:
        """Read a file and remember what it told."""
        self._read(file)


class BoardClock(Clock):
    """This machine's clocks, the wall's as the board says."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def wall_ns(self) -> int:
        return super().wall_ns() + self._board.ahead


def _be_a_daemon(config: str, board: Board, far: Sequence[bytes], *, instant: bool) -> int:
    """What a forked process does; returns its exit code."""
    deadly = Deadly(board)
    replaced: dict[str, object] = {
        "Files": functools.partial(DeadlyFiles, deadly, far),
        "Database": lambda connection: DeadlyDatabase(connection, deadly),
        "Clock": functools.partial(BoardClock, board),
    }
    if instant:
        replaced["WorkerPool"] = InstantPool
    vars(service).update(replaced)
    try:
        return service.run(functools.partial(settings.load, config, overrides={}), once=False)
    except MediadError as error:
        print(f"ended with {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _nurse() -> None:
    """Do what each line of standard input says, and answer with a number."""
    for name in _LATE:
        importlib.import_module(name)
    Excluder(["*"], [])  # what each daemon would make anew and keep: its patterns, and the schema
    schema(newest_schema())
    gc.freeze()
    for line in sys.stdin:
        (word, value), *_ = json.loads(line).items()
        print(_ORDERS[word](value), flush=True)


def _fork(order: dict[str, Any]) -> int:
    """A new daemon; returns its pid."""
    if pid := os.fork():
        return pid
    code = 70
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, order["log"], _LOG),
            (2, order["log"], _LOG),
        ):
            os.dup2(os.open(path, flags, 0o600), number)
        far = [os.fsencode(root) for root in order["far"]]
        code = _be_a_daemon(order["config"], Board(Path(order["board"])), far, instant=order["instant"])
    except BaseException:
        logging.getLogger("mediad").exception("the daemon failed")
        raise
    finally:
        os._exit(code)


def _wait(pid: int) -> int:
    """Wait for a daemon's end; returns its exit code, that of a signal being negative."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _learn(folder: str) -> int:
    """Read what is in a folder, so that no `InstantPool` has to; returns the number of files."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    for path in paths:
        with path.open("rb") as stream:
            InstantPool().learn(File(stream.fileno(), os.fsencode(path.name), path.stat().st_size, 0, False))
    return len(paths)


_LOG = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_ORDERS: dict[str, Callable[[Any], int]] = {"fork": _fork, "wait": _wait, "learn": _learn}


if __name__ == "__main__":
    _nurse()
