"""The backup that a library carries: its own rows, in `.mediad/catalogue.db`. Everything here blocks.

It is taken from a backup in the state directory, so that the catalogue itself is not read for long, and put
together there: on the library's filesystem, which may know no locks, no database is ever written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import apsw

from mediad.errors import CatalogueBroken, SchemaTooNew
from mediad.files import Dirs, Tree
from mediad.library import PRIVATE, TMP, OpenLibrary
from mediad.store.backup import SPARE, attach, open_as_it_lies, remove, stamp, sync
from mediad.store.backup_foreign import (
    guard,
    has_our_tables,
    is_number,
    is_too_new,
    open_foreign,
    schema,
)
from mediad.store.database import newest_schema

CARRIED = b".mediad/catalogue.db"
_NAME = b"catalogue.db"
_FRESH = b"0.copy"  # as the copies of step 0, which there is not: what a crash leaves is swept like theirs
_CHUNK = 1 << 20
_LONG = 5.0  # seconds for what a backup says of itself: a few rows

# What belongs to a library: the library itself and those that its steps name, its steps, and all that these
# rest on. Order matters: each looks at what came before it.
_ROWS = (
    ("step", "library = :row OR origin = :row"),
    (
        "library",
        "id = :row OR id IN (SELECT library FROM main.step) OR id IN (SELECT origin FROM main.step)",
    ),
    ("batch", "id IN (SELECT batch FROM main.step)"),
    ("arrival", "id IN (SELECT arrival FROM main.step)"),
    ("place", "key IN (SELECT watch FROM main.arrival) OR key IN (SELECT watch FROM main.batch)"),
    ("file", "library = :row"),
    ("folder", "library = :row"),
    ("deleted", "step IN (SELECT id FROM main.step)"),
    ("taken_in", "library = :row"),
    ("ancestor", "TRUE"),
)

# What triggers would have counted.
_TALLY = """
INSERT INTO main.tally SELECT watch, outcome, dismissed, count(*), sum(size) FROM main.arrival
WHERE outcome IS NOT NULL AND (outcome, code) IS NOT ('failed', 'reverted')
GROUP BY watch, outcome, dismissed"""


def extract(backup: Path, marker: str, target: Path) -> bool:
    """Make a file with a library's rows.

    Args:
        backup: of the whole catalogue. marker: the library's.
        target: a path for the new file.

    Returns:
        False if the backup knows nothing of that library; there is no file then.

    Raises:
        OSError, CatalogueBroken: it cannot be read or written.
    """
    remove(target)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    made = apsw.Connection(os.fspath(target), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
    try:
        made.pragma("synchronous", "off")  # it is synced once, at the end
        made.pragma("cache_size", -32768)
        attach(made, backup, "whole")
        row = made.execute("SELECT id FROM whole.library WHERE marker = ?", (marker,)).fetchone()
        if row is not None:
            with made:
                _copy_rows(made, int(row[0]))
                _describe(made, backup, marker)
            made.execute("DETACH whole")
    except apsw.Error as error:
        raise CatalogueBroken(f"the rows cannot be copied: {error}", path=os.fspath(backup)) from error
    finally:
        made.close()
    if row is None:
        remove(target)
        return False
    sync(target)
    return True


def _copy_rows(made: apsw.Connection, row: int) -> None:
    """Make the tables, copy the rows, and make what depends on them at once, which is many times faster."""
    version = newest_schema()
    ours = [(kind, sql) for kind, name, _, sql in schema(version) if sql and not name.startswith("sqlite_")]
    for kind, sql in ours:
        if kind == "table":
            made.execute(sql)
    for table, condition in _ROWS:
        names = ", ".join(shared_columns(made, "main", "whole", table))
        made.execute(
            f"INSERT INTO main.{table} ({names}) SELECT {names} FROM whole.{table} WHERE {condition}",  # noqa: S608
            {"row": row},
        )
    made.execute("UPDATE main.library SET files = 0, bytes = 0 WHERE id <> ?", (row,))
    made.execute(_TALLY)
    for kind, sql in ours:
        if kind != "table":
            made.execute(sql)
    made.pragma("user_version", version)


def shared_columns(connection: apsw.Connection, one: str, other: str, table: str) -> list[str]:
    """The columns that a table has in both of two attached catalogues."""
    sql = "SELECT name FROM pragma_table_info(?, ?)"
    theirs = {row[0] for row in connection.execute(sql, (table, other))}
    return [row[0] for row in connection.execute(sql, (table, one)) if row[0] in theirs]


def _describe(made: apsw.Connection, backup: Path, marker: str) -> None:
    whole = apsw.Connection(os.fspath(backup), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        of = stamp(whole)
    finally:
        whole.close()
    said = {
        "catalogue": of.catalogue,
        "newest": str(of.newest),
        "activity": str(of.activity),
        "library": marker,
        "backup": version_of(backup),
    }
    made.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", said.items())


def version_of(backup: Path) -> str:
    """What tells one backup in the state directory from those that have or had its name."""
    stat = backup.stat()
    return f"{backup.name} {stat.st_mtime_ns}"


def covers(backup: Path, marker: str, said: Mapping[str, str]) -> bool:
    """Does a backup of the whole catalogue have all that a library carries?

    Args:
        said: what that says of itself, see `carried`.

    Raises:
        CatalogueBroken: the backup cannot be read.
    """
    newest = int(said["newest"])
    try:
        with contextlib.closing(open_as_it_lies(backup)) as whole:
            of = stamp(whole)
            taken = whole.execute(
                "SELECT 1 FROM taken_in JOIN library ON library.id = taken_in.library"
                " WHERE marker = ? AND catalogue = ? AND newest >= ?",
                (marker, said["catalogue"], newest),
            ).fetchone()
    except apsw.Error as error:
        raise CatalogueBroken(f"it cannot be read: {error}", path=os.fspath(backup)) from error
    return taken is not None or (of.catalogue == said["catalogue"] and of.newest >= newest)


def put(library: OpenLibrary, local: Path) -> bool:
    """Give a library its rows to carry, durably, in place of those that it had.

    Args:
        local: the file that `extract` made.

    Returns:
        False if there is not room enough in the library.

    Raises:
        OSError: it failed; the library has what it had.
    """
    files = library.tree.files
    with library.tree.dirs() as dirs, local.open("rb") as source:
        tmp, private = dirs.fd(TMP), dirs.fd(PRIVATE)
        if files.free_bytes(tmp) - library.settings.min_free < local.stat().st_size:
            return False
        with contextlib.suppress(FileNotFoundError):
            files.unlink(_FRESH, tmp)
        try:
            fd = files.create(_FRESH, tmp)
            try:
                offset = 0
                while data := source.read(_CHUNK):
                    written = 0
                    while written < len(data):
                        written += files.write(fd, data[written:], offset + written)
                    offset += written
                files.sync_file(fd)
            finally:
                files.close(fd)
            files.replace(_FRESH, tmp, _NAME, private)
        except OSError:
            with contextlib.suppress(OSError):
                files.unlink(_FRESH, tmp)
            raise
        files.sync_dir(private)
        files.sync_dir(tmp)
    return True


def carried(tree: Tree) -> dict[str, str]:
    """What the backup that a library carries says of itself, see `_describe`; {} where there is none, or one
    that is of no use.

    Raises:
        OSError: it cannot be read now. SchemaTooNew: a newer mediad wrote it.
    """
    with tree.dirs() as dirs:
        fd = _open(dirs)
        if fd is None:
            return {}
        try:
            return _said(fd)
        finally:
            tree.files.close(fd)


def _said(fd: int) -> dict[str, str]:
    deadline = time.monotonic() + _LONG
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        # immutable: no lock is taken, and nothing is made beside it
        connection = apsw.Connection(f"file:/proc/self/fd/{fd}?mode=ro&immutable=1", flags=flags)
    except apsw.Error:
        return {}
    try:
        guard(connection, lambda: time.monotonic() > deadline)
        if is_too_new(connection):
            raise SchemaTooNew("a newer mediad wrote what it carries", path=CARRIED, remedy="run that")
        if not has_our_tables(connection, "meta", "ancestor"):
            return {}
        said = {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta")}
        ancestors = (str(row[0]) for row in connection.execute("SELECT catalogue FROM ancestor"))
        if not is_number(said.get("newest")) or not {"catalogue", "library"} <= said.keys():
            return {}
        return {**said, "ancestors": " ".join(ancestors)}
    except apsw.IOError as error:
        raise OSError(errno.EIO, str(error)) from error
    except apsw.Error:
        return {}
    finally:
        connection.close()


def _open(dirs: Dirs) -> int | None:
    try:
        return dirs.files.open_file(_NAME, dirs.fd(PRIVATE))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return None
        raise


def is_there(tree: Tree) -> bool:
    """Does a library carry rows, sound or not?

    Raises:
        OSError: it cannot be read now.
    """
    with tree.dirs() as dirs:
        fd = _open(dirs)
        if fd is not None:
            tree.files.close(fd)
        return fd is not None


def set_aside(tree: Tree, moment: datetime) -> None:
    """Keep what a library carries under another name, since it is no use and another has to take its place.

    Raises:
        OSError: it cannot be renamed.
    """
    with tree.dirs() as dirs:
        private = dirs.fd(PRIVATE)
        with contextlib.suppress(FileNotFoundError):
            tree.files.rename(
                _NAME, private, b"%s.damaged-%s" % (_NAME, f"{moment:%Y%m%dT%H%M%SZ}".encode()), private
            )
        tree.files.sync_dir(private)


def piece(tree: Tree, offset: int) -> bytes | None:
    """A part of what a library carries, b"" at its end; None where there is none.

    Raises:
        OSError: it cannot be read now.
    """
    with tree.dirs() as dirs:
        fd = _open(dirs)
        if fd is None:
            return None
        try:
            buffer = bytearray(_CHUNK)
            return bytes(buffer[: tree.files.read_into(fd, memoryview(buffer), offset)])
        finally:
            tree.files.close(fd)


class Fetching:
    """A copy of what a library carries, in the making; whoever closes the connection removes the file.

    Args:
        local: a path for the copy.
    """

    def __init__(self, tree: Tree, local: Path) -> None:
        self._tree = tree
        self._local = local
        self._offset = 0
        remove(local)
        os.close(os.open(local, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def read(self) -> bytes:
        """Read the next part of it; only this asks the library. b"" at the end.

        Raises:
            OSError: it cannot be read now. CatalogueBroken: there is none.
        """
        data = piece(self._tree, self._offset)
        if data is None:
            raise CatalogueBroken("the library carries no rows", path=self._tree.absolute(CARRIED))
        self._offset += len(data)
        return data

    def write(self, data: bytes) -> None:
        """Add a part to the copy.

        Raises:
            OSError: the state directory has no room.
        """
        if shutil.disk_usage(self._local.parent).free < SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(self._local.parent))
        with self._local.open("ab") as target:
            target.write(data)


def fetch(tree: Tree, local: Path, stopping: Callable[[], bool]) -> apsw.Connection:
    """Open a copy of the backup that a library carries, see `Fetching`.

    Raises:
        OSError: it cannot be read now, or no room is left. CatalogueBroken: there is none, or one of no use.
        SchemaTooNew. InterruptedError: `stopping()` turned true. apsw.Error: see `open_foreign`.
    """
    fetching = Fetching(tree, local)
    while data := fetching.read():
        if stopping():
            raise InterruptedError(errno.EINTR, "stopping")
        fetching.write(data)
    return open_foreign(local, stopping)
