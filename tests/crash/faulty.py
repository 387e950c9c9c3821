"""A filesystem and a database whose every operation can be the last one, or fail.

`Faults` counts what goes through it. With `crash_at` it raises `Crash` instead of that operation, and of
every one after it, as if the process had been killed there: no undo and no `finally` can touch anything
any more. With `error_at` one operation, or with `lasting` that one and each later one of its kind, raises
an OSError instead.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import apsw

from mediad.files import Files
from mediad.store.database import Database

T = TypeVar("T")

# What changes something on disk. A crash before anything else is a crash before the next of these.
CHANGES = frozenset(
    {
        *("create", "link", "rename", "unlink", "mkdir", "rmdir", "clone", "copy_range", "write", "truncate"),
        *("sync_file", "sync_dir", "sync_filesystem", "chmod", "chown", "set_times", "set_attribute"),
        "commit",
    }
)
_STORM = 12
OPENS = frozenset({"open_root", "open_dir", "open_file", "create"})


class Crash(BaseException):
    """The process is dead; only the test lives on."""


class Faults:
    """What is to go wrong, and when.

    Args:
        crash_at: the number, from 1, of the changing operation before which the process dies.
        error_at: the number, from 1, of the operation of one of `kinds` that fails with `error`.
        lasting: every later operation of that kind fails, too.
        storm: seeds failures of one operation in `_STORM` of `kinds`, from the first on.
        meddle_at: the number, from 1, of the operation of one of `kinds` before which `meddle` is called.

    Attributes:
        seen: the operations of `kinds` that were about to be done, in their order.
    """

    def __init__(
        self,
        *,
        crash_at: int = 0,
        error_at: int = 0,
        error: int = errno.EIO,
        kinds: Collection[str] | None = None,
        lasting: bool = False,
        storm: int | None = None,
        meddle_at: int = 0,
        meddle: Callable[[], None] | None = None,
    ) -> None:
        self.crash_at = crash_at
        self.error_at = error_at
        self.error = error
        self.kinds = kinds
        self.lasting = lasting
        self.storm = random.Random(storm) if storm is not None else None
        self.meddle_at = meddle_at
        self.meddle = meddle
        self.changes = 0
        self.counted = 0
        self.seen: list[str] = []
        self.hit = ""
        self.dead = False
        self._lock = threading.Lock()

    def before(self, kind: str) -> None:
        """An operation is about to be done.

        Raises:
            Crash, OSError: it is not.
        """
        with self._lock:
            if self.dead:
                raise Crash
            self.changes += kind in CHANGES
            if kind in CHANGES and self.changes == self.crash_at:
                self.dead, self.hit = True, kind
                raise Crash
            if self.kinds is not None and kind not in self.kinds:
                return
            self.counted += 1
            self.seen.append(kind)
            if self.counted == self.meddle_at and self.meddle is not None:
                self.hit = kind
                self.meddle()
            first = self.counted == self.error_at
            if first:
                self.hit = kind
            struck = self.storm is not None and self.storm.random() * _STORM < 1
            if first or struck or (self.lasting and self.hit == kind):
                raise OSError(self.error, os.strerror(self.error))


class FaultyFiles(Files):
    """Real files, and the faults.

    Args:
        far: roots that count as another filesystem: nothing is linked or renamed out of them.
        unlinkable: roots whose files cannot be linked.
    """

    def __init__(
        self, faults: Faults, far: Collection[bytes] = (), unlinkable: Collection[bytes] = ()
    ) -> None:
        self._faults = faults
        self._far = tuple(far)
        self._unlinkable = tuple(unlinkable)
        self._open: set[int] = set()

    def close_all(self) -> None:
        """What the kernel does for a process that died."""
        while self._open:
            os.close(self._open.pop())

    def close(self, fd: int) -> None:
        self._open.discard(fd)
        super().close(fd)

    def link(self, fd: int, name: bytes, dir_fd: int) -> None:
        self._faults.before("link")
        source = os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
        there = os.readlink(os.fsencode(f"/proc/self/fd/{dir_fd}"))
        if any(source.startswith(root) != there.startswith(root) for root in self._far):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        if source.startswith(self._unlinkable):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        super().link(fd, name, dir_fd)

    def rename(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        self._faults.before("rename")
        here, there = (os.readlink(os.fsencode(f"/proc/self/fd/{fd}")) for fd in (dir_fd, new_dir_fd))
        if any(here.startswith(root) != there.startswith(root) for root in self._far):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(name, dir_fd, new, new_dir_fd)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        try:
            self._faults.before("write")
        except Crash:
            if self._faults.hit == "write":  # torn: half of it reached the disk
                self._faults.hit = "torn write"
                super().write(fd, data[: len(data) // 2], offset)
            raise
        return super().write(fd, data, offset)

    def copy_range(self, source: int, target: int, offset: int, count: int) -> int:
        try:
            self._faults.before("copy_range")
        except Crash:
            if self._faults.hit == "copy_range":
                self._faults.hit = "torn copy_range"
                super().copy_range(source, target, offset, count // 2)
            raise
        return super().copy_range(source, target, offset, count)

    def _noted(self, fd: int) -> int:
        self._open.add(fd)
        return fd


def _counted(name: str) -> Callable[..., Any]:
    real = getattr(Files, name)

    def call(self: FaultyFiles, *args: Any) -> Any:
        self._faults.before(name)
        result = real(self, *args)
        return self._noted(result) if name in OPENS else result

    return call


for _name in vars(Files):
    if not _name.startswith("_") and _name not in vars(FaultyFiles):
        setattr(FaultyFiles, _name, _counted(_name))


class FaultyDatabase(Database):
    """The real database, and the faults: a unit of work is one operation, which may die before its commit."""

    def __init__(self, connection: apsw.Connection, faults: Faults) -> None:
        super().__init__(connection)
        self._faults = faults

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """See `Database.run`."""

        def counted(connection: apsw.Connection) -> T:
            before = connection.total_changes()
            result = work(connection)
            if connection.total_changes() != before:
                try:
                    self._faults.before("commit")
                except OSError as error:
                    raise apsw.IOError("disk I/O error") from error
            elif self._faults.dead:
                raise Crash
            return result

        return await super().run(counted)
