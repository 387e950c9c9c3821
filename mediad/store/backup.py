"""Backups of the catalogue in the state directory: whole copies, of which some are kept.

A copy is made of one state of the catalogue, through a connection of its own: writers go on meanwhile, and
only the write-ahead log cannot start anew until the copy is done. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import apsw

from mediad.errors import CatalogueBroken
from mediad.store.database import REBUILD, migrate, open_database, remedy
from mediad.store.reading import open_reader

FOLDER = "backups"
_NAME = re.compile(r"catalogue-(\d{4})(\d{2})(\d{2})\.db")
_FRESH = ".new"
_DAILY = 7
_WEEKLY = 4  # beyond those: the newest of a week each
_PAGES = 2048  # copied between two looks at whether to stop: 8 MB
SPARE = 64 << 20
"""Bytes that a backup leaves free."""

DAMAGE = (apsw.CorruptError, apsw.NotADBError)
"""What SQLite says of a file that is damaged, or no database; all else may pass."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which catalogue something is a state of, and how new that is.

    Attributes:
        catalogue: its id, "" where the schema is too old to have one.
        newest: the highest id that batches, arrivals and steps have used.
        activity: when something was last recorded, microseconds.
        ancestors: the catalogues that it was rebuilt from.
    """

    catalogue: str
    newest: int
    activity: int
    ancestors: frozenset[str]


def stamp(connection: apsw.Connection) -> Stamp:
    """The stamp of an open catalogue, or of a backup of a library's rows, which has it written down."""
    found = dict(connection.execute("SELECT key, value FROM meta")) if _has(connection, "meta") else {}
    ancestors = connection.execute("SELECT catalogue FROM ancestor") if found else ()
    newest = int(found["newest"]) if "newest" in found else newest_id(connection)
    activity = int(found["activity"]) if "activity" in found else _activity(connection)
    return Stamp(str(found.get("catalogue", "")), newest, activity, frozenset(row[0] for row in ancestors))


def _has(connection: apsw.Connection, table: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchall())


def newest_id(connection: apsw.Connection) -> int:
    """The highest id that batches, arrivals and steps, which share one sequence, have used."""
    tables = ("arrival", "step", "batch")
    (found,) = connection.execute(
        f"SELECT max({', '.join(f'(SELECT coalesce(max(id), 0) FROM {table})' for table in tables)})"  # noqa: S608
    )
    return int(found[0])


def _activity(connection: apsw.Connection) -> int:
    (found,) = connection.execute(
        "SELECT max((SELECT coalesce(max(time), 0) FROM step), (SELECT coalesce(max(seen), 0) FROM arrival))"
    )
    return int(found[0])


def copy(source: apsw.Connection, target: Path, stopping: Callable[[], bool]) -> None:
    """Copy one state of a catalogue into a new file, durably. What a copy before it left behind is removed.

    Raises:
        OSError, apsw.Error: it could not be read or written, or is damaged. InterruptedError: `stopping()`
            turned true.
    """
    remove(target)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    made = apsw.Connection(os.fspath(target))
    try:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # from here on it is this one state
        with made.backup("main", source, "main") as backup:
            while not backup.done:
                if stopping():
                    raise InterruptedError(errno.EINTR, "stopping")
                backup.step(_PAGES)
        made.pragma("journal_mode", "delete")  # so that it is this one file, and can be read as it lies
        if not is_sound(made):
            raise apsw.CorruptError("it is damaged")
    except apsw.FullError as error:  # whose text is "not an error"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(target)) from error
    finally:
        if source.in_transaction:
            source.execute("ROLLBACK")
        made.close()
    sync(target)


def remove(path: Path) -> None:
    """Remove a database that is no use, and what belongs to it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file or folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def back_up(catalogue: Path, day: date, stopping: Callable[[], bool]) -> Path:
    """Make this day's backup, in place of an earlier one of that day, and remove those that are not kept.

    Raises:
        OSError, CatalogueBroken: there is no room, or something failed. InterruptedError: `stopping()` turned
            true. Earlier backups are as they were then.
    """
    folder = catalogue.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"catalogue-{day:%Y%m%d}.db"
    fresh = folder / (target.name + _FRESH)
    _make_room(catalogue, folder)
    source = open_reader(catalogue)
    try:
        copy(source, fresh, stopping)
        os.rename(fresh, target)
        sync(folder)
    except apsw.Error as error:
        raise CatalogueBroken(
            f"the catalogue cannot be copied: {error}", path=os.fspath(target), remedy=remedy(error, "")
        ) from error
    finally:
        source.close()
        remove(fresh)
    for old in superfluous([path for path in backups(catalogue) if path != target]):
        old.unlink()
    return target


def _make_room(catalogue: Path, folder: Path) -> None:
    """Give up old backups where there is no room for another and that makes it, but never the newest."""
    need = catalogue.stat().st_size + SPARE - shutil.disk_usage(folder).free
    newest = latest(catalogue)
    old = [path for path in backups(catalogue) if path != newest]
    if need > sum(path.stat().st_size for path in old):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))
    while need > 0:
        gone = old.pop()
        need -= gone.stat().st_size
        gone.unlink()


def latest(catalogue: Path) -> Path | None:
    """The backup with the newest state of this catalogue: a name says only what the clock said then."""
    ours, _ = _state(catalogue)

    def newness(path: Path) -> tuple[bool, int, Path]:
        of, newest = _state(path)
        return of == ours, newest, path

    return max(backups(catalogue), key=newness, default=None)


def _state(path: Path) -> tuple[str, int]:
    """Which catalogue lies there, and the highest id in it; ("", -1) where that cannot be told."""
    try:
        with contextlib.closing(open_as_it_lies(path)) as connection:
            (row,) = connection.execute("SELECT value FROM meta WHERE key = 'catalogue'")
            return str(row[0]), newest_id(connection)
    except (apsw.Error, ValueError):
        return "", -1


def open_as_it_lies(path: Path) -> apsw.Connection:
    """Open a catalogue for reading; what was closed cleanly gets no new files beside it."""
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quoted(path)}?{mode}", flags=flags)


def backups(catalogue: Path) -> list[Path]:
    """The backups of a catalogue, newest first by their names."""
    with contextlib.suppress(FileNotFoundError):
        found = [path for path in (catalogue.parent / FOLDER).iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, reverse=True)
    return []


def superfluous(others: Sequence[Path]) -> list[Path]:
    """Which backups need not be kept beside the newest one.

    Args:
        others: the others, newest first.
    """
    daily, rest = others[: _DAILY - 1], others[_DAILY - 1 :]
    covered, weeks = {_week(path) for path in daily}, dict[object, Path]()
    for path in rest:
        if _week(path) not in covered:
            weeks.setdefault(_week(path), path)
    kept = list(weeks.values())[:_WEEKLY]
    return [path for path in rest if path not in kept]


def _week(path: Path) -> object:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    try:
        return date(*map(int, match.groups())).isocalendar()[:2]
    except ValueError:  # somebody else's file of such a name
        return path.name


def is_sound(connection: apsw.Connection, *, check: str = "quick_check") -> bool:
    """Is a database whole? Reads all of it.

    Args:
        check: "integrity_check" compares the indexes with their tables, too.

    Raises:
        apsw.Error: that cannot be told now.
    """
    try:
        return connection.execute(f"PRAGMA {check}(1)").fetchall() == [("ok",)]
    except DAMAGE:
        return False


def open_at_start(path: Path) -> apsw.Connection:
    """Open the catalogue for the daemon: after a stop that was not clean, it is read whole first.

    Raises:
        CatalogueBroken: it is damaged, or a rebuild was cut off while it put the new one in its place.
            SchemaTooNew.
    """
    if not path.exists() and rebuilt(path).exists():
        raise CatalogueBroken("a rebuild of the catalogue was cut off", path=os.fspath(path), remedy=REBUILD)
    log_file = path.with_name(path.name + "-wal")
    unclean = log_file.exists() and log_file.stat().st_size > 0
    connection = open_database(path)
    try:
        if unclean and not is_sound(connection):
            raise CatalogueBroken("the catalogue is damaged", path=os.fspath(path), remedy=REBUILD)
    except apsw.Error as error:
        connection.close()
        raise CatalogueBroken(f"the catalogue cannot be read: {error}", path=os.fspath(path)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def rebuilt(catalogue: Path) -> Path:
    """Where a rebuild makes the new catalogue."""
    return catalogue.with_name(catalogue.name + ".rebuilt")


def open_private(path: Path) -> apsw.Connection:
    """Open a copy that is ours alone, with today's schema; other catalogues can be attached to it.

    Raises:
        CatalogueBroken: it is damaged, or no catalogue. SchemaTooNew.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(os.fspath(path), flags=flags)
    except apsw.Error as error:
        raise CatalogueBroken(f"it cannot be opened: {error}", path=os.fspath(path)) from error
    try:
        if not is_sound(connection) or not _has(connection, "library"):
            raise CatalogueBroken("it is damaged, or no catalogue", path=os.fspath(path))
        connection.execute("REINDEX")  # a look for damage does not compare indexes with their tables
        migrate(connection, path)
    except apsw.Error as error:
        connection.close()
        raise CatalogueBroken(f"it cannot be read: {error}", path=os.fspath(path)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def attach(connection: apsw.Connection, path: Path, name: str) -> None:
    """Make another catalogue readable through this connection, and not writable."""
    connection.execute(f"ATTACH ? AS {name}", (f"file:{quoted(path)}?mode=ro",))


def quoted(path: Path) -> str:
    """A path as a part of a URI."""
    return os.fspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
