"""Files that mediad brought into a library, by what a rename leaves as it was. Part of a unit of work."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

import apsw

from mediad.layout import key_of
from mediad.store.reading import WINDOW
from mediad.store.verifying import in_hand


def is_ours(connection: apsw.Connection, library: int, path: bytes) -> bool:
    """Is what lies at this path known as one that was brought or adopted, or about to be?"""
    row = connection.execute(
        "SELECT 1 FROM file"
        " WHERE library = ? AND name_key = ? AND path = ? AND item NOT NULL AND NOT missing",
        (library, key_of(path), path),
    ).fetchone()
    return row is not None or in_hand(connection, library, path)


def like(
    connection: apsw.Connection, library: int, sizes: Collection[int], after: int
) -> tuple[list[tuple[int, int, int]], int]:
    """Files of these sizes that were brought or adopted, whether they are missing or not, in one window.

    Returns:
        row, size and mtime of each; the row to go on after, 0 at the end.
    """
    upto = after + WINDOW
    rows: Iterable[tuple[int, int, int]] = connection.execute(
        "SELECT id, size, mtime_ns FROM file WHERE +library = ? AND id > ? AND id <= ? AND item NOT NULL"
        " AND size IN (SELECT value FROM json_each(?)) ORDER BY id",
        (library, after, upto, json.dumps(sorted(sizes))),
    )
    found = list(rows)
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM file").fetchone()
    assert newest is not None
    return found, upto if upto < newest[0] else 0
