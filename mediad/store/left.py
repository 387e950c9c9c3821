"""What lies in a watch and is not taken by itself: undone, a duplicate, or its content was moved to trash.

Each question is part of a unit of work of a reader.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import apsw

from mediad.store.paths import under
from mediad.store.reading import WINDOW
from mediad.store.troubles import Troubled

RETRIED = "retried"
"""The code of what was undone and may be imported again."""

_LEFT = """
SELECT arrival.id, arrival.watch, arrival.path, arrival.outcome, arrival.code, arrival.reason, arrival.seen,
    arrival.size
FROM arrival
WHERE {chosen} AND (
        arrival.outcome = 'ignored' AND arrival.code IN ('undone', 'retried', 'trashed', 'deleted')
        OR arrival.outcome = 'duplicate' AND :duplicates
    ) AND arrival.stays AND NOT EXISTS (
        SELECT 1 FROM arrival AS later
        WHERE later.watch = arrival.watch AND later.path = arrival.path AND later.id > arrival.id
            AND later.stays
    )
ORDER BY arrival.path"""

_SET = """arrival.id IN (
    SELECT other.arrival FROM step JOIN step AS other ON other.item = step.item
    WHERE step.id = (SELECT max(id) FROM step WHERE arrival = :arrival)
)"""


class Scope(NamedTuple):
    """What a path names in a folder that files came from.

    Attributes:
        watch, kind, root: of the folder. path: below it; b"" for all of it.
    """

    watch: str
    kind: str
    root: bytes
    path: bytes


def scopes(connection: apsw.Connection, path: bytes) -> list[Scope]:
    """What an absolute path names, which may be a file, a folder, or one above several watches."""
    path = path.rstrip(b"/") + b"/"
    found = []
    for watch, kind, root in connection.execute(
        "SELECT key, kind, root FROM place WHERE key NOT LIKE 'library:%' ORDER BY key"
    ):
        home = root.rstrip(b"/") + b"/"
        if home.startswith(path):
            found.append(Scope(watch, kind, root, b""))
        elif path.startswith(home):
            found.append(Scope(watch, kind, root, path.removeprefix(home).rstrip(b"/")))
    return found


def left_at(connection: apsw.Connection, scope: Scope) -> list[Troubled]:
    """The file of this path, and what else belongs to its set; duplicates, too."""
    ask = functools.partial(_ask, connection, scope, duplicates=True)
    named = ask("arrival.watch = :watch AND arrival.path = :path")
    others = [other for one in named for other in ask(_SET, arrival=one.id)]
    return list({one.id: one for one in (*named, *others)}.values())


def left_below(
    connection: apsw.Connection, scope: Scope, after: bytes = b""
) -> tuple[list[Troubled], bytes | None]:
    """What lies below the folder of this path and is no duplicate, as far as one window shows it.

    Args:
        after: where to go on.

    Returns:
        The files, and where to go on; None at the end.
    """
    below = "arrival.watch = :watch AND arrival.path > :after"
    start, end = b"", b""
    if scope.path:
        start, end = scope.path + b"/", scope.path + b"0"  # which comes next after a slash
        below += " AND arrival.path < :end"
    bounds = {"after": max(after, start), "end": end}
    row = connection.execute(
        f"SELECT path FROM arrival WHERE {below} ORDER BY path LIMIT 1 OFFSET :window",  # noqa: S608
        {"watch": scope.watch, **bounds, "window": WINDOW},
    ).fetchone()
    if row is None:
        return _ask(connection, scope, below, **bounds), None
    return _ask(connection, scope, f"{below} AND arrival.path <= :last", **bounds, last=row[0]), row[0]


def allow(connection: apsw.Connection, ids: Iterable[int]) -> None:
    """The next import of these takes them, though they were undone; a unit of work for the writer.

    Args:
        ids: of arrivals.
    """
    connection.executemany(
        "UPDATE arrival SET code = ? WHERE id = ? AND (outcome, code) = ('ignored', 'undone')",
        [(RETRIED, id_) for id_ in ids],
    )


def _ask(connection: apsw.Connection, scope: Scope, chosen: str, **bounds: object) -> list[Troubled]:
    rows = connection.execute(
        _LEFT.format(chosen=chosen),
        {"watch": scope.watch, "path": scope.path, "duplicates": False, **bounds},
    )
    return [
        Troubled(
            id=id_,
            watch=watch,
            path=path,
            kind=scope.kind,
            outcome=outcome,
            code=code,
            reason=reason,
            since=seen,
            size=size,
            stays=True,
            root=scope.root,
            library=None,
            kept=None,
            item=id_,
            step=None,
            place=under(scope.root, path),
        )
        for id_, watch, path, outcome, code, reason, seen, size in rows
    ]
