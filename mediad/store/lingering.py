"""Sources that a move was to remove and could not. Each function is part of a unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from mediad.library import TRASH
from mediad.store.paths import under

# A source that was written to since, or put back by an undo, is another matter.
_STILL = (
    "FROM lingering JOIN step ON step.id = lingering.step JOIN arrival ON arrival.id = step.arrival"
    " WHERE arrival.stays AND arrival.outcome IN ('filed', 'duplicate', 'quarantined')"
)


class Lingering(NamedTuple):
    """A source that the library has and that could not be removed.

    Attributes:
        path: below what it was taken from. size, mtime_ns, ino: as it was filed; bytes, nanoseconds.
        keepers: where its content is, as far as is known: rows of libraries, and paths there.
    """

    step: int
    path: bytes
    size: int
    mtime_ns: int
    ino: int
    digest: bytes
    keepers: tuple[tuple[int, bytes], ...]


def add(connection: apsw.Connection, steps: Iterable[int]) -> None:
    """The sources of these steps could not be removed."""
    connection.executemany("INSERT OR IGNORE INTO lingering (step) VALUES (?)", [(step,) for step in steps])


def counts(connection: apsw.Connection) -> dict[str, tuple[int, bytes]]:
    """How many there are, and the last of them, by what they were taken from."""
    rows = connection.execute(
        f"SELECT arrival.watch, count(*), max(step.id),"  # noqa: S608
        f" (SELECT root FROM batch WHERE id = step.batch), coalesce(step.source, arrival.path)"
        f" {_STILL} GROUP BY arrival.watch"
    )
    return {watch: (count, under(root, path)) for watch, count, _, root, path in rows}


def of(connection: apsw.Connection, watch: str, after: int, limit: int) -> list[Lingering]:
    """Some of those that were taken from a watch, by their steps, which come after this one; what is so no
    more is forgotten.
    """
    connection.execute(f"DELETE FROM lingering WHERE step NOT IN (SELECT step.id {_STILL})")  # noqa: S608
    rows = connection.execute(
        "SELECT step.id, arrival.path, arrival.size, arrival.mtime_ns, arrival.ino, arrival.digest,"
        f" step.library, step.destination {_STILL} AND arrival.watch = ? AND step.id > ?"
        " ORDER BY step.id LIMIT ?",
        (watch, after, limit),
    )
    return [Lingering._make((*row[:6], _keepers(connection, row))) for row in list(rows)]


def _keepers(connection: apsw.Connection, row: Sequence[Any]) -> tuple[tuple[int, bytes], ...]:
    _, _, size, _, _, digest, library, destination = row
    rows = connection.execute(
        "SELECT library, path FROM file WHERE digest = ? AND size = ? AND NOT missing ORDER BY id LIMIT 3",
        (digest, size),
    )
    found = [(home, path) for home, path in rows]
    if destination and not destination.startswith(TRASH + b"/"):  # what is there may go
        found.append((library, destination))
    return tuple(found)


def removed(connection: apsw.Connection, step: int, *, by_us: bool) -> None:
    """The source of this step is no longer there.

    Args:
        by_us: we have removed it now; else somebody has, or we before a crash.
    """
    connection.execute("DELETE FROM lingering WHERE step = ?", (step,))
    connection.execute(
        "UPDATE arrival SET stays = 0, reason = reason || ?"
        " WHERE id = (SELECT arrival FROM step WHERE id = ?)",
        ("; it was removed later" if by_us else "; it is gone since", step),
    )
