"""May a catalogue that came with a library be believed? Somebody else can have written it, or broken it.

It is of use only as a whole: with the very tables that its schema number stands for, sound, and with nothing
in it that no mediad writes: paths that lead out of their folder, numbers beyond all measure. Everything here
blocks.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw

from mediad.errors import CatalogueBroken
from mediad.library import PRIVATE, QUARANTINE, TRASH
from mediad.store.backup import DAMAGE
from mediad.store.changes import DATE
from mediad.store.database import migrate, newest_schema

MOST = 1 << 40
"""The highest number of a row that is believed: so far nobody ever counts."""

NONSENSE = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)
"""What SQLite says of rows that cannot be where they are to go."""

_LONGEST = 64 << 20  # bytes of a value
_LONGEST_PATH = 1 << 16
_OFTEN = 100_000  # SQLite's operations between two looks at whether to stop: a few milliseconds
_TIMES = 253_402_300_800_000_000  # microseconds: the year 10000
_BYTES = 1 << 60  # of all files together

_OUTCOMES = {None, "filed", "duplicate", "quarantined", "failed", "ignored", "gone"}
_ROLES = {"principal", "companion", "found"}
_CONFIDENCES = ("high", "medium", "low")
_KINDS = ("photo", "raw", "video", "audio", "sidecar")
_WIDEST_OFFSET = 24 * 60  # minutes
_LONGEST_SOURCE = 200  # characters
_ACTIONS = (
    "'move', 'copy', 'hardlink', 'leave', 'trash', 'quarantine', 'refile', 'date', 'undo', 'expire', 'adopt'"
)
_ID = "id BETWEEN 1 AND :newest"
_PLACED = "watch IN (SELECT key FROM place)"
_STAT = f"size BETWEEN 0 AND {_BYTES}"
_SEEN = f"BETWEEN 0 AND {_TIMES}"

# What is true of each row of each table.
_TRUE = {
    "library": "is_root(path)",
    "place": "is_root(root)",
    "batch": (f"{_ID} AND started {_SEEN} AND coalesce(ended, 0) {_SEEN} AND (root = X'' OR is_root(root))"),
    "arrival": (
        f"{_ID} AND is_path(path) AND {_STAT} AND seen {_SEEN} AND is_digest(digest) AND {_PLACED}"
        " AND (evidence IS NULL OR json_valid(evidence)) AND is_moment(taken) AND is_offset(offset_min)"
        f" AND coalesce(confidence IN {_CONFIDENCES}, TRUE) AND coalesce(kind IN {_KINDS}, TRUE)"
        f" AND coalesce(length(source) <= {_LONGEST_SOURCE}, TRUE) AND stays IN (0, 1)"
    ),
    "step": (
        f"{_ID} AND item BETWEEN 1 AND :newest AND time {_SEEN} AND action IN ({_ACTIONS})"
        " AND (destination IS NULL OR is_kept(destination)) AND (source IS NULL OR is_kept(source))"
        " AND is_digest(moved_digest) AND coalesce(moved_size, 0) >= 0 AND is_change(change)"
        " AND coalesce(undoes BETWEEN 1 AND id - 1, TRUE)"
    ),
    "file": f"is_kept(path) AND NOT is_private(path) AND {_STAT} AND is_digest(digest)",
    "folder": "is_kept(path)",
    "deleted": "is_digest(digest)",
    "taken_in": f"newest BETWEEN 0 AND {MOST}",
}


def guard(connection: apsw.Connection, stopping: Callable[[], bool]) -> None:
    """Have a connection to a file that is not ours run nothing that stands in it, nor for ever.

    Args:
        stopping: what is under way ends once it turns true.
    """
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, _LONGEST)
    connection.set_progress_handler(stopping, _OFTEN)


def is_too_new(connection: apsw.Connection) -> bool:
    """Has a newer mediad written it?"""
    version = connection.pragma("user_version")
    return isinstance(version, int) and version > newest_schema()


def has_our_tables(connection: apsw.Connection, *names: str) -> bool:
    """Does it have just the schema that its number stands for? Looks at nothing but that.

    Args:
        names: of the tables that matter; all, where there are none.
    """
    version = connection.pragma("user_version")
    if not isinstance(version, int) or not 0 < version <= newest_schema():
        return False
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
    theirs, ours = set(connection.execute(sql)), set(schema(version))
    if names:
        theirs, ours = ({row for row in rows if row[2] in names} for rows in (theirs, ours))
    return theirs == ours


@functools.cache
def schema(version: int) -> tuple[tuple[str, str, str, str | None], ...]:
    """What the schema of this number has, as it was made: type, name, table and SQL of each."""
    made = apsw.Connection(":memory:")
    try:
        migrate(made, Path(":memory:"), upto=version)
        rows: Any = made.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid")
        return tuple(rows)
    finally:
        made.close()


def open_foreign(path: Path, stopping: Callable[[], bool]) -> apsw.Connection:
    """Open a copy of what a library carries, which is ours alone, with today's schema.

    Raises:
        CatalogueBroken: it is of no use. SchemaTooNew. InterruptedError: `stopping()` turned true.
        apsw.Error: something else failed, as when no room is left.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(os.fspath(path), flags=flags)
    try:
        guard(connection, stopping)
        if not has_our_tables(connection):
            raise CatalogueBroken("it is damaged, or no catalogue", path=os.fspath(path))
        if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            raise CatalogueBroken("it is damaged", path=os.fspath(path))
        connection.execute("REINDEX")
        migrate(connection, path)
        if wrong := _wrong(connection):
            raise CatalogueBroken(f"no mediad wrote this: {wrong}", path=os.fspath(path))
    except apsw.InterruptError as error:
        connection.close()
        raise InterruptedError from error
    except DAMAGE as error:
        connection.close()
        raise CatalogueBroken(f"it is damaged: {error}", path=os.fspath(path)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _wrong(connection: apsw.Connection) -> str:
    """What cannot be, "" where all can."""
    for name, call in _CALLS.items():
        connection.create_scalar_function(name, _checked(call), 1, deterministic=True)  # type: ignore[arg-type]
    said = dict(connection.execute("SELECT key, value FROM meta"))
    if not is_number(said.get("newest")) or not all(said.get(key) for key in ("catalogue", "library")):
        return "meta"
    newest = {"newest": int(str(said["newest"]))}
    for table, condition in _TRUE.items():
        values = newest if ":newest" in condition else None
        question = f"SELECT 1 FROM {table} WHERE NOT coalesce({condition}, FALSE) LIMIT 1"  # noqa: S608
        if connection.execute(question, values).fetchone():
            return table
    for table in ("arrival", "file"):
        (size,) = connection.execute(f"SELECT total(size) FROM {table}")  # noqa: S608
        if float(size[0]) > _BYTES:
            return table
    return "foreign keys" if connection.execute("PRAGMA foreign_key_check").fetchone() else ""


def _checked(call: Callable[[apsw.SQLiteValue], bool]) -> Callable[[apsw.SQLiteValue], bool]:
    """The same; what it breaks at is wrong."""

    def check(value: apsw.SQLiteValue) -> bool:
        try:
            return call(value)
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            return False

    return check


def is_number(value: object) -> bool:
    """Is this text a number that a row can have?"""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) < 20
        and int(value) <= MOST
    )


def _is_path(value: object) -> bool:
    if not isinstance(value, bytes) or len(value) > _LONGEST_PATH or b"\0" in value:
        return False
    return not {b"", b".", b".."}.intersection(value.split(b"/"))


def _is_private(value: object) -> bool:
    return isinstance(value, bytes) and value.split(b"/")[0] == PRIVATE


def _is_kept(value: object) -> bool:
    """A path in a library, outside of what is nobody's business there."""
    if not _is_path(value) or not isinstance(value, bytes):
        return False
    return not _is_private(value) or value.rpartition(b"/")[0] in (TRASH, QUARANTINE)


def _is_root(value: object) -> bool:
    return isinstance(value, bytes) and value.startswith(b"/") and b"\0" not in value


def _is_digest(value: object) -> bool:
    return value is None or (isinstance(value, bytes) and len(value) == 32)


def _is_change(value: object) -> bool:
    """As `store.changes` writes it."""
    if value is None:
        return True
    try:
        told = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(told, dict)
        and {"was", "will_be", "bond", "remembered"} <= told.keys()
        and all(_is_state(told[name]) for name in ("was", "will_be"))
        and all(told.get(name) is None or _is_bond(told[name]) for name in ("bond", "becomes"))
    )


def _is_state(value: object) -> bool:
    """Empty, or with all columns that `store.changes` writes."""
    if not isinstance(value, dict):
        return False
    return not value or (
        value.keys() >= {"outcome", "code", "reason", "stays"}
        and all(isinstance(value[name], str) for name in ("code", "reason"))
        and (value["outcome"] is None or isinstance(value["outcome"], str))
        and value["outcome"] in _OUTCOMES
        and type(value["stays"]) in (int, bool)
        and value["stays"] in (0, 1)
        and (value.get("bond") is None or _is_bond(value["bond"]))
        and ("taken" not in value or _is_dated(value))
    )


def _is_dated(value: dict[str, object]) -> bool:
    """With all that `store.changes` writes of a date?"""
    return (
        value.keys() >= set(DATE)
        and _is_moment(value["taken"])
        and _is_offset(value["offset_min"])
        and (value["source"] is None or _is_source(value["source"]))
        and (value["confidence"] is None or value["confidence"] in _CONFIDENCES)
        and all(isinstance(value[name], str) for name in ("tag", "note", "sidecar"))
    )


def _is_offset(value: object) -> bool:
    """Minutes east of UTC, or none."""
    return value is None or (type(value) is int and abs(value) < _WIDEST_OFFSET)


def _is_source(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_SOURCE


def _is_moment(value: object) -> bool:
    """A local time as the catalogue has it, or none."""
    if value is None:
        return True
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False


def _is_bond(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    if not isinstance(value[0], str) or value[0] not in _ROLES:
        return False
    return all(one is None or (type(one) is int and 0 < one <= MOST) for one in value[1:])


_CALLS: dict[str, Callable[[apsw.SQLiteValue], bool]] = {
    "is_path": _is_path,
    "is_private": _is_private,
    "is_kept": _is_kept,
    "is_root": _is_root,
    "is_digest": _is_digest,
    "is_change": _is_change,
    "is_moment": _is_moment,
    "is_offset": _is_offset,
}
