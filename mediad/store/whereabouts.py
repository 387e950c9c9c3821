"""Which rows tell of a path, or of a bare name. Each question is part of a unit of work of a reader."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Literal, NamedTuple

import apsw

from mediad.layout import key_of, split_name
from mediad.library import PRIVATE, QUARANTINE, TRASH
from mediad.store.paths import under
from mediad.store.reading import WINDOW

_MOST = 100  # rows of one path; a camera may use a name again and again


class Subject(NamedTuple):
    """A row that tells of a path: an arrival, or a library file that was only found there."""

    kind: Literal["arrival", "found"]
    id: int


def roots(connection: apsw.Connection) -> list[bytes]:
    """The folders of libraries and watches, in use or not; those of imports are left out."""
    rows = connection.execute(
        "SELECT path FROM library UNION SELECT root FROM place WHERE kind <> 'import' ORDER BY 1"
    )
    return [row[0] for row in rows]


def about_path(connection: apsw.Connection, path: bytes) -> list[Subject]:
    """What is known of an absolute path; the library's word first, then the newest."""
    found: dict[Subject, None] = {}
    for root, rest in splits(path):
        for row in list(connection.execute("SELECT id FROM library WHERE path = ?", (root,))):
            found |= dict.fromkeys(_in_library(connection, row[0], rest))
        for row in list(connection.execute("SELECT key FROM place WHERE root = ?", (root,))):
            found |= dict.fromkeys(_in_watch(connection, row[0], rest))
    return list(found)


def splits(path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every folder above an absolute path, with what follows it."""
    at = path.find(b"/")
    while at >= 0:
        yield path[:at] or b"/", path[at + 1 :]
        at = path.find(b"/", at + 1)


def _in_watch(connection: apsw.Connection, watch: str, path: bytes) -> list[Subject]:
    rows = connection.execute(
        "SELECT id FROM arrival WHERE watch = ? AND path = ? ORDER BY id DESC LIMIT ?", (watch, path, _MOST)
    )
    return [Subject("arrival", row[0]) for row in rows]


def _in_library(connection: apsw.Connection, library: int, path: bytes) -> list[Subject]:
    if path.startswith((TRASH + b"/", QUARANTINE + b"/")):
        return _put_away(connection, path.rpartition(b"/")[2], (library, path))
    if path.startswith(PRIVATE + b"/"):
        return []
    rows = connection.execute(
        "SELECT id, step, item FROM file WHERE library = ? AND name_key = ? AND path = ?"
        " ORDER BY missing, id DESC LIMIT ?",
        (library, key_of(path), path, _MOST),
    )
    found = [_brought_by(connection, library, path, *row) for row in list(rows)]
    left = connection.execute(  # what was trashed, put elsewhere or taken back
        "SELECT arrival FROM step WHERE origin = ? AND source = ? AND state = 'done' AND NOT keeps"
        " ORDER BY id DESC LIMIT ?",
        (library, path, _MOST),
    )
    return [*found, *(Subject("arrival", row[0]) for row in left)]


def _put_away(
    connection: apsw.Connection, name: bytes, where: tuple[int, bytes] | None = None
) -> list[Subject]:
    """A file in trash or quarantine has its step's id at the end of its stem.

    Args:
        where: its library and path in it, None for any.
    """
    number = split_name(name)[0].rpartition(b"-")[2]
    if not number.isdigit() or len(number) > 18:  # digits of an id
        return []
    rows = connection.execute(
        "SELECT arrival, library, destination FROM step"
        " WHERE id = ? AND substr(destination, 1, 8) = X'2E6D65646961642F'",  # .mediad/
        (int(number),),
    )
    return [
        Subject("arrival", arrival)
        for arrival, library, path in rows
        if path.rpartition(b"/")[2] == name and where in (None, (library, path))
    ]


def _brought_by(
    connection: apsw.Connection, library: int, path: bytes, file: int, step: int | None, item: int | None
) -> Subject:
    if step is not None:
        row = connection.execute("SELECT arrival FROM step WHERE id = ?", (step,)).fetchone()
    else:
        row = connection.execute(
            "SELECT arrival FROM step WHERE item = ? AND library = ? AND destination = ?"
            " ORDER BY id DESC LIMIT 1",
            (item, library, path),
        ).fetchone()
    return Subject("found", file) if row is None else Subject("arrival", row[0])


# --- Bare names --------------------------------------------------------------------------------------


Table = Literal["arrival", "file"]


class Named(NamedTuple):
    """What has the name that was looked for.

    Attributes:
        subject: of several arrivals of one path the newest.
        path: absolute: where it came from; where it lies, if it was only found in a library.
    """

    subject: Subject
    path: bytes


class At(NamedTuple):
    """How far a walk has come: the watch or library, and the last path or name key there."""

    first: str | int
    second: bytes


BEGINNING: dict[Table, At] = {"arrival": At("", b""), "file": At(0, b"")}
"""Where the walks over all rows of the tables begin."""

# Both walk an index, which is far smaller than its table; only what matches is looked up there.
_WALKS = {
    "arrival": ("max(id)", "arrival INDEXED BY arrival_path", "watch", "path", "GROUP BY path"),
    "file": ("id", "file INDEXED BY file_name", "library", "name_key", ""),
}


def named(connection: apsw.Connection, table: Table, name: bytes, at: At) -> tuple[list[Named], At | None]:
    """What has this name, as far as one window shows it, and where to go on; None at the end."""
    row, source, first, second, grouped = _WALKS[table]
    end = connection.execute(
        f"SELECT {second} FROM {source} WHERE {first} = ? AND {second} > ?"  # noqa: S608
        f" ORDER BY {second} LIMIT 1 OFFSET ?",
        (*at, WINDOW),
    ).fetchone()
    sought = name if table == "arrival" else key_of(name)
    rows = connection.execute(
        f"SELECT {row} FROM {source} WHERE {first} = ?1 AND {second} > ?2"  # noqa: S608
        + (f" AND {second} <= ?6" if end else "")
        + f" AND ({second} = ?3 OR substr({second}, ?4) = ?5) {grouped} LIMIT {_MOST}",
        (*at, sought, -len(sought) - 1, b"/" + sought, *(end or ())),
    )
    tell = _arrival if table == "arrival" else functools.partial(_file, name=name)
    found = [one for (id_,) in list(rows) if (one := tell(connection, id_)) is not None]
    if end is not None:
        return found, At(at.first, end[0])
    following = connection.execute(
        f"SELECT min({first}) FROM {source} WHERE {first} > ?",  # noqa: S608
        (at.first,),
    ).fetchone()
    return found, At(following[0], b"") if following and following[0] is not None else None


def put_away(connection: apsw.Connection, name: bytes) -> list[Named]:
    """What has this name in trash or quarantine."""
    return [_arrival(connection, subject.id) for subject in _put_away(connection, name)]


def same_path(connection: apsw.Connection, subject: Subject) -> list[Subject]:
    """All that is known of the path that an arrival came from, the newest first."""
    if subject.kind == "found":
        return [subject]
    watch, path = _source(connection, subject.id)[:2]
    return _in_watch(connection, watch, path)


def _arrival(connection: apsw.Connection, arrival: int) -> Named:
    watch, path, root = _source(connection, arrival)
    return Named(_in_watch(connection, watch, path)[0], path if root is None else under(root, path))


def _source(connection: apsw.Connection, arrival: int) -> tuple[str, bytes, bytes | None]:
    row = connection.execute(
        "SELECT arrival.watch, arrival.path, place.root FROM arrival"
        " LEFT JOIN place ON place.key = arrival.watch WHERE arrival.id = ?",
        (arrival,),
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def _file(connection: apsw.Connection, file: int, name: bytes) -> Named | None:
    row = connection.execute(
        "SELECT file.library, file.path, file.step, file.item, library.path, file.missing"
        " FROM file JOIN library ON library.id = file.library WHERE file.id = ?",
        (file,),
    ).fetchone()
    assert row is not None
    library, path, step, item, root, missing = row
    if path.rpartition(b"/")[2] != name:  # it only compares equal
        return None
    subject = _brought_by(connection, library, path, file, step, item)
    if subject.kind == "arrival":
        return _arrival(connection, subject.id)
    return None if missing else Named(subject, under(root, path))
