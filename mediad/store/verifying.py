"""What is known of library files that are read again, and what was found. Each is part of a unit of work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import apsw

from mediad.layout import key_of
from mediad.model import Stat
from mediad.store import catalogue
from mediad.store.reading import WINDOW


class Known(NamedTuple):
    """A library file's row, and what its file should be.

    Attributes:
        digest: what somebody accepted, else what was brought, else what was read first; None where nobody
            ever read it.
        size, mtime_ns: as they were when it had that digest.
        recorded: the row has its digest, size and mtime as here; else a look at the library, or whoever read
            it since, found another content in its place.
        displaced: another row has its name now.
        forgiven: somebody accepted that it is missing.
        state: what is reported of it, "" for nothing.
        brought: by mediad, or adopted.
    """

    id: int
    path: bytes
    size: int
    mtime_ns: int
    digest: bytes | None
    recorded: bool
    displaced: bool
    forgiven: bool
    state: str
    brought: bool

    def same_row(self, other: Known) -> bool:
        """Is the row what it was, whatever is reported of it?"""
        return self._replace(state="") == other._replace(state="")


OK, EDITED, CHANGED = "ok", "edited", "changed"

_FAT_NS = 2_000_000_000


def judge(known: Known, digest: bytes, stat: Stat) -> str:
    """What a file's content says: ok, edited or changed.

    Whoever edits a file leaves another size or time; what a failing disk changes has neither. FAT tells times
    in whole seconds only, so that one which was finer before may come back as another.
    """
    if digest == known.digest:
        return OK
    rounded = stat.mtime_ns % 1_000_000_000 == 0 and abs(stat.mtime_ns - known.mtime_ns) <= _FAT_NS
    as_recorded = stat.size == known.size and (stat.mtime_ns == known.mtime_ns or rounded)
    return CHANGED if as_recorded else EDITED


_KNOWN = """
SELECT file.id, file.path,
    CASE WHEN file.digest = coalesce(accepted.digest, arrival.digest, file.digest) THEN file.size
        ELSE coalesce(iif(accepted.digest IS NULL, NULL, accepted.size), arrival.size, file.size) END,
    CASE WHEN file.digest = coalesce(accepted.digest, arrival.digest, file.digest) THEN file.mtime_ns
        ELSE coalesce(iif(accepted.digest IS NULL, NULL, accepted.mtime_ns), arrival.mtime_ns, file.mtime_ns)
    END,
    coalesce(accepted.digest, arrival.digest, file.digest),
    file.digest IS coalesce(accepted.digest, arrival.digest, file.digest) AND file.digest NOT NULL
        AND NOT file.missing,
    file.missing AND EXISTS (
        SELECT 1 FROM file AS other WHERE other.library = file.library AND other.name_key = file.name_key
            AND other.path = file.path AND other.id <> file.id AND NOT other.missing),
    accepted.file NOT NULL AND accepted.digest IS NULL,
    coalesce(finding.state, ''), file.item NOT NULL
FROM file
LEFT JOIN finding ON finding.file = file.id
LEFT JOIN accepted ON accepted.file = file.id
LEFT JOIN step ON step.id = file.step
LEFT JOIN arrival ON arrival.id = step.arrival AND arrival.digest NOT NULL
"""


def _known(row: Sequence[object]) -> Known:
    *values, recorded, displaced, forgiven, state, brought = row
    flags = bool(recorded), bool(displaced), bool(forgiven)
    return Known(*values, *flags, state, bool(brought))  # type: ignore[call-arg,arg-type]


def page(
    connection: apsw.Connection, library: int, after: int, until: int, limit: int
) -> tuple[list[Known], int]:
    """The next files of a library by their ids, and the id after which to go on; `until` at the end."""
    end = min(until, after + WINDOW)
    rows = connection.execute(
        f"{_KNOWN} WHERE file.library = ? AND file.id > ? AND file.id <= ? ORDER BY file.id LIMIT ?",
        (library, after, end, limit),
    )
    found = [_known(row) for row in rows]
    return found, found[-1].id if len(found) == limit else end


def page_below(
    connection: apsw.Connection, library: int, scope: bytes, after: int, limit: int
) -> list[Known]:
    """The next files at or below a path of a library, by their ids.

    Args:
        scope: not b"".
    """
    rows = connection.execute(
        f"{_KNOWN} WHERE file.id > ? AND file.library = ?"
        " AND (file.name_key = ? OR (file.name_key > ? AND file.name_key < ?)) ORDER BY file.id LIMIT ?",
        (after, library, *_span(scope), limit),
    )
    return [_known(row) for row in rows]


def _span(scope: bytes) -> tuple[bytes, bytes, bytes]:
    """The name key of a path, and what those of all that lies below it are between."""
    key = key_of(scope)
    return key, key + b"/", key + b"0"


def at(connection: apsw.Connection, file: int, library: int) -> Known | None:
    """The row as it is now; None where it is gone, or another library's."""
    row = connection.execute(f"{_KNOWN} WHERE file.id = ? AND file.library = ?", (file, library)).fetchone()
    return None if row is None else _known(row)


def _by_id(connection: apsw.Connection, file: int) -> Known | None:
    row = connection.execute(f"{_KNOWN} WHERE file.id = ?", (file,)).fetchone()
    return None if row is None else _known(row)


def in_hand(connection: apsw.Connection, library: int, path: bytes) -> bool:
    """Is something being done with what lies at this path, or comes there?"""
    row = connection.execute(
        "SELECT 1 FROM step WHERE state = 'intent'"
        " AND ((library = ?1 AND destination = ?2) OR (origin = ?1 AND source = ?2)) LIMIT 1",
        (library, path),
    ).fetchone()
    return row is not None


def in_hand_since(connection: apsw.Connection, library: int, path: bytes, since: int) -> bool:
    """Is something being done with what lies at this path, or was it taken away from there since then?"""
    row = connection.execute(
        "SELECT 1 FROM step WHERE origin = ? AND source = ? AND time >= ? LIMIT 1", (library, path, since)
    ).fetchone()
    return row is not None or in_hand(connection, library, path)


def is_tracked(connection: apsw.Connection, library: int, path: bytes) -> bool:
    """Is the content at this path known, or about to be?"""
    rows = connection.execute(
        "SELECT file.digest NOT NULL OR file.item NOT NULL OR accepted.digest NOT NULL FROM file"
        " LEFT JOIN accepted ON accepted.file = file.id"
        " WHERE library = ? AND name_key = ? AND path = ? AND (NOT missing OR accepted.file IS NULL)",
        (library, key_of(path), path),
    ).fetchall()
    return any(row[0] for row in rows) or in_hand(connection, library, path)


def lost(connection: apsw.Connection, library: int, after: int, limit: int) -> list[Known]:
    """Files that are reported as missing or moved, by their ids."""
    rows = connection.execute(
        f"{_KNOWN} WHERE finding.state IN ('missing', 'moved') AND file.library = ? AND file.id > ?"
        " ORDER BY file.id LIMIT ?",
        (library, after, limit),
    )
    return [_known(row) for row in rows]


def appeared(connection: apsw.Connection, library: int, file: Known) -> list[bytes]:
    """Where files were found, after this one was known, that were read and have its content."""
    rows = connection.execute(
        "SELECT path FROM file WHERE digest = ? AND library = ? AND id > ? AND role = 'found'"
        " AND item IS NULL AND NOT missing ORDER BY id",
        (file.digest, library, file.id),
    )
    return [row[0] for row in rows]


# --- Findings ----------------------------------------------------------------------------------------


def report(
    connection: apsw.Connection, file: int, state: str, now: int, place: bytes | None = None, error: str = ""
) -> None:
    """A file is not as it should be."""
    connection.execute(
        "INSERT INTO finding (file, state, found, place, error) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET state = excluded.state, place = excluded.place, error = excluded.error,"
        " found = iif(state = excluded.state, found, excluded.found)",
        (file, state, now, place, error),
    )


def doubt(connection: apsw.Connection, file: int, path: bytes, stat: Stat | None, now: int) -> None:
    """A library file has other content than recorded, and witnesses nothing until it is read again.

    Args:
        path: where it was looked for. stat: how it stood there, None where it was not there.
    """
    known = _by_id(connection, file)
    if known is None or known.path != path:  # it was moved meanwhile
        return
    if stat is not None and known.digest is not None:
        report(connection, file, judge(known, b"", stat), now)
    _keep_known(connection, known)
    catalogue.set_unread(connection, file)


def was_read(connection: apsw.Connection, file: int, digest: bytes, stat: Stat, now: int) -> None:
    """A library file was read. What it has now it witnesses; what it should have stays known, and if that is
    something else, it is reported.
    """
    known = _by_id(connection, file)
    if known is None:
        return
    if digest == known.digest:
        is_right(connection, known, stat)
        return
    if known.digest is not None:
        report(connection, file, judge(known, digest, stat), now)
        _keep_known(connection, known)
    catalogue.set_digest(connection, file, digest, stat)


def _keep_known(connection: apsw.Connection, known: Known) -> None:
    """What a file should be outlasts that its row gets another digest, or none."""
    if known.digest is not None:
        connection.execute(
            "INSERT INTO accepted VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest,"
            " size = excluded.size, mtime_ns = excluded.mtime_ns WHERE digest IS NULL",
            (known.id, known.digest, known.size, known.mtime_ns),
        )


def is_right(connection: apsw.Connection, known: Known, stat: Stat) -> None:
    """A file has the content that it should have: what had doubted that is over."""
    assert known.digest is not None
    connection.execute("DELETE FROM finding WHERE file = ?", (known.id,))
    connection.execute("DELETE FROM accepted WHERE file = ? AND digest IS NULL", (known.id,))
    catalogue.set_digest(connection, known.id, known.digest, stat)


class Trouble(NamedTuple):
    """What is reported of a library.

    Attributes:
        files: by state. path: of the one that is meant, where there is one only.
    """

    files: Counter[str]
    path: bytes | None


def troubles(connection: apsw.Connection) -> dict[int, Trouble]:
    """What is reported, by the library's row."""
    rows = connection.execute(
        "SELECT file.library, finding.state, count(*), min(file.path) FROM finding"
        " JOIN file ON file.id = finding.file GROUP BY file.library, finding.state"
    )
    found: dict[int, Trouble] = {}
    for library, state, count, path in rows:
        before = found.get(library)
        files = Counter({state: count}) if before is None else before.files + Counter({state: count})
        found[library] = Trouble(files, path if files.total() == 1 else None)
    return found


# --- Accepting ---------------------------------------------------------------------------------------


def accept_content(connection: apsw.Connection, file: int, digest: bytes, stat: Stat) -> None:
    """What is there now is right."""
    catalogue.set_digest(connection, file, digest, stat)
    _accepted(connection, file, digest, stat.size, stat.mtime_ns)


def accept_missing(connection: apsw.Connection, known: Known) -> None:
    """It is right that it is missing."""
    catalogue.set_missing(connection, known.id)
    _accepted(connection, known.id, None, known.size, known.mtime_ns)


def accept_moved(
    connection: apsw.Connection, library: int, known: Known, path: bytes, digest: bytes, stat: Stat
) -> None:
    """It is right that it is elsewhere: its row follows it."""
    key = key_of(path)
    connection.execute(
        "DELETE FROM file WHERE library = ? AND name_key = ? AND path = ? AND item IS NULL AND id <> ?",
        (library, key, path, known.id),
    )
    connection.execute("UPDATE file SET path = ?, name_key = ? WHERE id = ?", (path, key, known.id))
    accept_content(connection, known.id, digest, stat)


def accept_untracked(
    connection: apsw.Connection, library: int, path: bytes, digest: bytes, stat: Stat
) -> None:
    """It is right that it is there."""
    catalogue.remember_found(connection, library, [(path, key_of(path), stat)])
    row = connection.execute(
        "SELECT id FROM file WHERE library = ? AND name_key = ? AND path = ? ORDER BY missing, id DESC",
        (library, key_of(path), path),
    ).fetchone()
    assert row is not None
    accept_content(connection, row[0], digest, stat)


def _accepted(connection: apsw.Connection, file: int, digest: bytes | None, size: int, mtime_ns: int) -> None:
    connection.execute("DELETE FROM finding WHERE file = ?", (file,))
    connection.execute("INSERT OR REPLACE INTO accepted VALUES (?, ?, ?, ?)", (file, digest, size, mtime_ns))


# --- Passes ------------------------------------------------------------------------------------------


class Pass(NamedTuple):
    """A look at all of a library; see the table.

    Attributes:
        started, ended: microseconds since the epoch.
    """

    started: int | None = None
    cursor: int = 0
    until: int = 0
    ended: int | None = None


def passes(connection: apsw.Connection) -> dict[int, Pass]:
    """All of them, by the library's row."""
    rows = connection.execute("SELECT library, started, cursor, until, ended FROM pass")
    return {library: Pass(*values) for library, *values in rows}


def save_pass(connection: apsw.Connection, library: int, one: Pass) -> None:
    """How far it is."""
    connection.execute("INSERT OR REPLACE INTO pass VALUES (?, ?, ?, ?, ?)", (library, *one))


def newest_file(connection: apsw.Connection) -> int:
    """The highest id that a library file has."""
    row = connection.execute("SELECT coalesce(max(id), 0) FROM file").fetchone()
    assert row is not None
    return int(row[0])


def size_below(connection: apsw.Connection, library: int, scope: bytes) -> tuple[int, int]:
    """How many files and bytes there are at or below a path of a library, b"" for all of it."""
    if not scope:
        query, values = "SELECT files, bytes FROM library WHERE id = ?", (library,)
        row = connection.execute(query, values).fetchone()
    else:
        row = connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM file WHERE library = ? AND NOT missing"
            " AND (name_key = ? OR (name_key > ? AND name_key < ?))",
            (library, *_span(scope)),
        ).fetchone()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))
