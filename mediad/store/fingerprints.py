"""Prints of contents, and the library files that have none yet: their rows are the queue of the analysis.

A print belongs to a content, by its digest, wherever that lies. Each function is part of a unit of work, of a
reader where it only asks.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import apsw

from mediad.layout import key_of
from mediad.media.prints.likeness import Print, encode, indexed
from mediad.store import alike

NEVER = -1
"""`put_off` until: not in this life of the daemon."""

_SOME = 200  # prints that one unit of work removes; a film has a hundred rows in `look`


class ToDo(NamedTuple):
    """A library file whose content may have no print.

    Attributes:
        id, library: rows. path: below its library.
        digest: None where it was never read.
        form: the name of its format, as it was read when it was filed; "" where nobody did.
        printed: its content has a print.
    """

    id: int
    library: int
    path: bytes
    size: int
    mtime_ns: int
    digest: bytes | None
    form: str
    printed: bool


def page(connection: apsw.Connection, libraries: Collection[int], limit: int) -> list[ToDo]:
    """What is to be done next in these libraries: the newest come first."""
    found: list[int] = []
    for library in libraries:
        rows = connection.execute(
            "SELECT file FROM unprinted WHERE library = ? AND due = 0 ORDER BY file DESC LIMIT ?",
            (library, limit),
        )
        found += [row[0] for row in rows]
    newest = sorted(found, reverse=True)[:limit]
    todo = [at(connection, file) for file in newest]
    return [one for one in todo if one is not None]


def at(connection: apsw.Connection, file: int) -> ToDo | None:
    """How a file that is in the queue stands in the catalogue; None where it is no longer in it."""
    row = connection.execute(
        "SELECT file.id, file.library, file.path, file.size, file.mtime_ns, file.digest,"
        " coalesce((SELECT iif(json_valid(evidence), evidence ->> '$.format', '')"
        "  FROM step JOIN arrival ON arrival.id = step.arrival WHERE step.id = file.step), ''),"
        " EXISTS (SELECT 1 FROM print WHERE print.digest = file.digest)"
        " FROM unprinted JOIN file ON file.id = unprinted.file WHERE unprinted.file = ?",
        (file,),
    ).fetchone()
    if row is None:
        return None
    id_, library, path, size, mtime_ns, digest, form, printed = row
    return ToDo(id_, library, path, size, mtime_ns, digest, str(form), bool(printed))


def done_with(connection: apsw.Connection, files: Iterable[int]) -> None:
    """Nothing is to be done with these files."""
    connection.executemany("DELETE FROM unprinted WHERE file = ?", [(file,) for file in files])


def put_off(connection: apsw.Connection, todo: ToDo, until: int, reason: str) -> bool:
    """A file could not be looked at; it is tried again later.

    Args:
        until: microseconds since the epoch, or `NEVER`.

    Returns:
        False where its row has changed meanwhile, so that nothing is held against it.
    """
    now = at(connection, todo.id)
    if now is None or now != todo:
        return False
    connection.execute(
        "UPDATE unprinted SET due = ?, tries = tries + 1, reason = ? WHERE file = ?",
        (until, reason, todo.id),
    )
    return True


def tries(connection: apsw.Connection, file: int) -> int:
    """How often a file could not be looked at."""
    row = connection.execute("SELECT tries FROM unprinted WHERE file = ?", (file,)).fetchone()
    return 0 if row is None else int(row[0])


def begin(connection: apsw.Connection) -> None:
    """A new life: what was given up in the last one is tried again."""
    connection.execute("UPDATE unprinted SET due = 0, tries = 0 WHERE due <> 0")


def bring_back(connection: apsw.Connection, now: int, longest: int) -> int | None:
    """What was put off until now is due.

    Args:
        now: microseconds. longest: what lies farther ahead was put off by a clock that was.

    Returns:
        When the next is due; None where nothing is.
    """
    connection.execute(
        "UPDATE unprinted SET due = 0 WHERE due > 0 AND NOT due BETWEEN ? AND ?", (now + 1, now + longest)
    )
    row = connection.execute("SELECT min(due) FROM unprinted WHERE due > 0").fetchone()
    return None if row is None or row[0] is None else int(row[0])


# --- Prints ------------------------------------------------------------------------------------------


def keep(
    connection: apsw.Connection,
    todo: ToDo,
    made: Print,
    version: int,
    pairs: Sequence[alike.Pair],
) -> int | None:
    """Record the print of a file's content, and what it looks like.

    Args:
        pairs: the other prints, and how far they are.

    Returns:
        its number; None where the file's row has changed meanwhile, or its content has a print.
    """
    now = at(connection, todo.id)
    if now is None or now != todo or now.printed:
        return None
    hashes = indexed(made)
    connection.execute(
        "INSERT INTO print (digest, version, kind, payload, width, height, failed, hashes, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            todo.digest,
            version,
            made.kind,
            made.payload,
            made.width,
            made.height,
            made.failed,
            struct.pack(f">{len(hashes)}Q", *hashes),
            encode(made),
        ),
    )
    number = connection.last_insert_rowid()
    alike.index(connection, number, hashes)
    alike.join(connection, number, pairs)
    done_with(connection, [todo.id])
    return number


def forget_other_versions(connection: apsw.Connection, version: int) -> int:
    """Forget some prints that were not made by this version; their files are due again. Returns how many."""
    rows = connection.execute(
        "SELECT id FROM print WHERE version < ? UNION ALL SELECT id FROM print WHERE version > ? LIMIT ?",
        (version, version, _SOME),
    )
    return forget(connection, [row[0] for row in rows])


def forget_failed(connection: apsw.Connection, failed: str) -> int:
    """Forget some prints that failed for this reason, which is no more. Returns how many."""
    rows = connection.execute("SELECT id FROM print WHERE failed = ? LIMIT ?", (failed, _SOME))
    return forget(connection, [row[0] for row in rows])


def failed_for(connection: apsw.Connection, failed: str) -> int:
    """How many contents have no whole print for this reason."""
    row = connection.execute(
        "SELECT count(*) FROM print WHERE failed = ? AND failed <> ''", (failed,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def unused(connection: apsw.Connection, after: int, limit: int) -> tuple[list[int], int | None]:
    """Prints of contents that no library file has.

    Args:
        after: look at those with higher numbers. limit: at so many.

    Returns:
        Them, and the number after which to go on; None at the end.
    """
    rows = connection.execute(
        "SELECT id, EXISTS (SELECT 1 FROM file WHERE file.digest = print.digest) FROM print"
        " WHERE id > ? ORDER BY id LIMIT ?",
        (after, limit),
    ).fetchall()
    numbers = [int(str(row[0])) for row in rows]
    spare = [number for number, (_, needed) in zip(numbers, rows, strict=True) if not needed]
    return spare, numbers[-1] if len(rows) == limit else None


def forget(connection: apsw.Connection, prints: Sequence[int]) -> int:
    """Forget prints; the files that have their contents are due again. Returns how many."""
    for number in prints:
        row = connection.execute("SELECT digest, hashes FROM print WHERE id = ?", (number,)).fetchone()
        if row is None:
            continue
        digest, hashes = row
        alike.forget(connection, number, [one for (one,) in struct.iter_unpack(">Q", hashes)])
        connection.execute("DELETE FROM print WHERE id = ?", (number,))
        files = "SELECT id FROM file WHERE digest = ? AND role <> 'companion' AND NOT missing"
        connection.execute(f"UPDATE unprinted SET due = 0 WHERE file IN ({files})", (digest,))  # noqa: S608
        connection.execute(
            "INSERT OR IGNORE INTO unprinted (file, library) SELECT id, library FROM file"
            " WHERE digest = ? AND role <> 'companion' AND NOT missing",
            (digest,),
        )
    return len(prints)


def why_not(connection: apsw.Connection, digest: bytes | None, path: bytes | None) -> str:
    """Why a content is not compared with others, "" where it is, or will be.

    Args:
        path: absolute, of a library file that has it, where one is known.
    """
    if digest is not None:
        row = connection.execute("SELECT failed FROM print WHERE digest = ?", (digest,)).fetchone()
        if row is not None:
            return str(row[0])
    libraries: list[tuple[int, bytes]] = [
        (row[0], row[1]) for row in connection.execute("SELECT id, path FROM library WHERE name <> ''")
    ]
    for library, root in libraries:
        start = root.rstrip(b"/") + b"/"
        if path is None or not path.startswith(start):
            continue
        within = path[len(start) :]
        row = connection.execute(
            "SELECT reason FROM file JOIN unprinted ON unprinted.file = file.id"
            " WHERE file.library = ? AND name_key = ? AND path = ?",
            (library, key_of(within), within),
        ).fetchone()
        if row is not None:
            return str(row[0])
    return ""
