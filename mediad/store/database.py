"""The one SQLite database: opening, migrating, and its one-at-a-time units of work.

Each unit runs whole, in a thread, inside one transaction; no transaction ever spans an await. WAL with
`synchronous=FULL`: a commit is durable when it returns (sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import apsw

from mediad.errors import CatalogueBroken, SchemaTooNew
from mediad.store import versions

T = TypeVar("T")

_LEAST = 2_000_000  # bytes free on the catalogue's disk; some times what one unit of work writes
_PAUSE = 1.0  # seconds between looks whether there is room again

log = logging.getLogger("mediad")

REBUILD = "stop mediad and run `mediad rebuild`, which makes it anew from its backups and the libraries"
"""What helps where the catalogue is damaged."""


def _migrations() -> list[str]:
    folder = resources.files("mediad.store") / "sql"
    names = sorted(entry.name for entry in folder.iterdir() if re.fullmatch(r"\d{4}\.sql", entry.name))
    return [(folder / name).read_text("utf-8") for name in names]


def open_database(path: Path) -> apsw.Connection:
    """Open the catalogue for writing and bring its schema up to date, after a backup.

    Raises:
        SchemaTooNew: a newer mediad wrote it. CatalogueBroken: it is no SQLite database, or unwritable.
    """
    try:
        _make_private(path)
        connection = apsw.Connection(os.fspath(path))
        connection.set_busy_timeout(5000)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", True)
        connection.pragma("cache_size", -16384)
        _migrate(connection, path)
        with connection:
            versions.taken_up(connection)
    except (OSError, apsw.Error) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise CatalogueBroken(
            f"the catalogue cannot be used: {what}", path=os.fspath(path), remedy=remedy(error, "")
        ) from error
    return connection


def remedy(error: Exception, otherwise: str) -> str:
    """What helps against an error of the database.

    Args:
        otherwise: where the database itself is not damaged.
    """
    damaged = isinstance(error, apsw.CorruptError | apsw.NotADBError)
    return REBUILD if damaged else otherwise


def _make_private(path: Path) -> None:
    """It tells of everybody's files: nobody else may read it, what belongs to it, or its backups.

    SQLite gives what it makes beside a database that one's mode.
    """
    _create(path)
    ours = re.compile(re.escape(path.name) + r"(-wal|-shm|\.schema-\d+)?")
    for file in path.parent.iterdir():
        if ours.fullmatch(file.name) and file.stat().st_mode & 0o077:
            file.chmod(0o600)


def _create(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def open_copy(path: Path) -> apsw.Connection:
    """A private copy of the catalogue to try things on, gone when closed; an empty one where there is none.

    Raises:
        SchemaTooNew, CatalogueBroken.
    """
    copy = apsw.Connection("")
    try:
        if path.exists():
            original = _open_for_reading(path)
            with contextlib.closing(original), copy.backup("main", original, "main") as backup:
                backup.step()
        _migrate(copy, path, keep=False)
        versions.taken_up(copy)
    except (OSError, apsw.Error) as error:  # OSError: who may not enter its folder cannot even ask for it
        copy.close()
        what = error.strerror if isinstance(error, OSError) else error
        raise CatalogueBroken(f"the catalogue cannot be read: {what}", path=os.fspath(path)) from error
    return copy


def migrate(connection: apsw.Connection, path: Path, *, upto: int | None = None) -> None:
    """Bring the schema of a copy, or of a new file, up to date; nothing of it is kept.

    Args:
        upto: as it was with this number; None: as it is today.

    Raises:
        SchemaTooNew.
    """
    _migrate(connection, path, keep=False, upto=upto)


def newest_schema() -> int:
    """The number of today's schema."""
    return len(_migrations())


def _open_for_reading(path: Path) -> apsw.Connection:
    """Open the catalogue without touching anything.

    A database that was closed cleanly has no -wal file and cannot change under a reader that no daemon
    knows of, so it is opened immutable, which writes nothing at all.
    """
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        quoted = os.fspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        connection = apsw.Connection(
            f"file:{quoted}?{mode}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        connection.set_busy_timeout(5000)
        _known_version(connection, path)
    except apsw.Error as error:
        raise CatalogueBroken(f"the catalogue cannot be read: {error}", path=os.fspath(path)) from error
    return connection


def _known_version(connection: apsw.Connection, path: Path) -> int:
    version = connection.pragma("user_version")
    assert isinstance(version, int)
    newest = len(_migrations())
    if version > newest:
        raise SchemaTooNew(
            f"the catalogue has schema {version}, this mediad knows {newest}",
            path=os.fspath(path),
            remedy="run the newer mediad that wrote it",
        )
    return version


def _migrate(connection: apsw.Connection, path: Path, *, keep: bool = True, upto: int | None = None) -> None:
    version = _known_version(connection, path)
    todo = _migrations()[version:upto]
    if todo and version and keep:
        _back_up(connection, path.with_name(f"{path.name}.schema-{version}"))
    for number, sql in enumerate(todo, version + 1):
        with connection:
            connection.execute(sql)
            connection.pragma("user_version", number)


def _back_up(connection: apsw.Connection, target: Path) -> None:
    _create(target)
    copy = apsw.Connection(os.fspath(target))
    with copy.backup("main", connection, "main") as backup:
        backup.step()
    copy.close()


def has_room(path: Path) -> bool:
    """Is there room for some units of work on the disk of the catalogue? Blocks."""
    try:
        found = os.statvfs(path.parent)
    except OSError:  # SQLite says better what is wrong
        return True
    return not found.f_blocks or found.f_bavail * found.f_frsize >= _LEAST


class _NoRoom(Exception):
    pass


class Database:
    """The daemon's one connection. Units of work queue up and run one at a time.

    Attributes:
        changes: counts rows that were changed.
        writable: may it be written to now? Blocks. As long as it may not, units of work wait.
        starved: they do.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._one = anyio.CapacityLimiter(1)
        self.changes = 0
        self.writable: Callable[[], bool] = lambda: True
        self.starved = False

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a thread within one transaction; durable when this returns.

        `work` must be quick and must not keep the connection. If it raises, nothing of it stays.

        Raises:
            CatalogueBroken: SQLite failed (disk full, I/O error, corruption).
        """

        def unit() -> T:
            if not self.writable():
                raise _NoRoom
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
                self.changes = self._connection.total_changes()
            except BaseException:
                if self._connection.in_transaction:  # some errors have rolled it back already
                    self._connection.execute("ROLLBACK")
                raise
            return result

        while True:
            try:
                result = await anyio.to_thread.run_sync(unit, limiter=self._one)
            except _NoRoom:
                self._starves(True)
                await anyio.sleep(_PAUSE)
            except apsw.Error as error:
                raise CatalogueBroken(
                    f"the catalogue cannot be used: {error}",
                    remedy=remedy(error, "see that its disk is whole and has room"),
                ) from error
            else:
                self._starves(False)
                return result

    def _starves(self, starved: bool) -> None:
        if starved and not self.starved:
            log.warning("the disk of the catalogue is full: everything waits until there is room")
        elif self.starved and not starved:
            log.info("the catalogue is written again")
        self.starved = starved

    def close(self) -> None:
        self._connection.close()
