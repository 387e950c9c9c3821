"""Which rows of two catalogues are the same, and under which numbers the others are to be added.

What both know is found by what it says (when, from where, where to) and not by its number, so that catalogues
that went separate ways can be joined, and a join that was cut off is simply done again. The source is `main`,
the other one is attached as `here`, and the maps are temporary tables. Everything here blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

import apsw

from mediad.roots import filesystem
from mediad.store.backup import newest_id, stamp
from mediad.store.changes import FOUND
from mediad.store.places import IMPORT, import_place

NO_FOLDER = "?"
"""The identity of a folder that is known by its path alone, on who knows which machine: no folder has it."""

Write = Callable[[Callable[[apsw.Connection], None]], None]
"""Runs a unit of work on the catalogue that takes the rows, and returns when that is durable."""

_MAPS = """
CREATE TEMP TABLE to_library (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
CREATE TEMP TABLE to_place (old TEXT PRIMARY KEY, new TEXT NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE to_batch (old INTEGER PRIMARY KEY, new INTEGER, fresh INTEGER NOT NULL);
CREATE TEMP TABLE to_arrival (old INTEGER PRIMARY KEY, new INTEGER, fresh INTEGER NOT NULL);
CREATE TEMP TABLE to_step (old INTEGER PRIMARY KEY, new INTEGER, fresh INTEGER NOT NULL);
CREATE TEMP TABLE to_file (old INTEGER PRIMARY KEY, new INTEGER, fresh INTEGER NOT NULL);
CREATE TEMP TABLE newer (old INTEGER PRIMARY KEY);
"""

# What both know. CROSS JOIN keeps the order: each row of the source is looked up by an index of the other.
_SAME = {
    "batch": """
INSERT INTO temp.to_batch SELECT s.id, min(h.id), 0 FROM main.batch s
JOIN here.batch h ON h.started = s.started AND h.root = s.root GROUP BY s.id""",
    "arrival": """
INSERT INTO temp.to_arrival SELECT s.id, min(h.id), 0 FROM main.arrival s
JOIN temp.to_place p ON p.old = s.watch
CROSS JOIN here.arrival h ON h.watch = p.new AND h.path = s.path AND h.seen = s.seen GROUP BY s.id""",
    "step": """
INSERT INTO temp.to_step SELECT s.id, min(h.id), 0 FROM main.step s
JOIN temp.to_arrival a ON a.old = s.arrival AND NOT a.fresh
CROSS JOIN here.step h ON h.arrival = a.new AND (
    h.id = s.id OR (h.time = s.time AND h.action = s.action AND h.destination IS s.destination)
) GROUP BY s.id""",
    "file": """
INSERT INTO temp.to_file SELECT s.id, max(h.id), 0 FROM main.file s
JOIN temp.to_library l ON l.old = s.library
CROSS JOIN here.file h ON h.library = l.new AND h.name_key = s.name_key AND h.path = s.path GROUP BY s.id""",
}

# A row that made way for a later one has left its steps to that: see `journal.replace_earlier`.
_REPLACED = """
INSERT OR IGNORE INTO temp.to_arrival SELECT s.arrival, max(h.arrival), 0 FROM main.step s
CROSS JOIN here.step h ON h.id = s.id AND h.time = s.time AND h.action = s.action
    AND h.destination IS s.destination
GROUP BY s.arrival"""

# Arrivals of which the source tells the latest: something was done after all that is known here.
_NEWER = """
INSERT INTO temp.newer SELECT a.old FROM temp.to_arrival a WHERE NOT a.fresh
AND (SELECT max(time) FROM main.step WHERE step.arrival = a.old)
    > coalesce((SELECT max(time) FROM here.step h WHERE h.arrival = a.new), 0)
AND NOT EXISTS (SELECT 1 FROM here.step h WHERE h.arrival = a.new AND h.state = 'intent')"""

# A row that only says why a file was not taken makes way for a later one.
_OVERTAKEN = """
INSERT OR IGNORE INTO temp.to_arrival SELECT s.id, max(h.id), 0 FROM main.arrival s
JOIN temp.to_place p ON p.old = s.watch
CROSS JOIN here.arrival h ON h.watch = p.new AND h.path = s.path
    AND (h.seen > s.seen OR h.outcome IN ('failed', 'ignored'))
WHERE s.outcome IN ('failed', 'ignored') AND s.stays AND NOT EXISTS ( -- else it has a story
    SELECT 1 FROM main.step WHERE step.arrival = s.id AND step.change NOT NULL AND step.state <> 'reverted')
GROUP BY s.id"""

_OTHERS = """
INSERT OR IGNORE INTO temp.to_{table} SELECT s.id, s.id + iif({clash}, :offset, 0), 1 FROM main.{table} s"""

_CLASH = """EXISTS (SELECT 1 FROM here.arrival h WHERE h.id = s.id)
OR EXISTS (SELECT 1 FROM here.step h WHERE h.id = s.id)
OR EXISTS (SELECT 1 FROM here.batch h WHERE h.id = s.id)"""

_HIGHEST = """
SELECT max((SELECT coalesce(max(id), 0) FROM here.arrival), (SELECT coalesce(max(id), 0) FROM here.step),
    (SELECT coalesce(max(id), 0) FROM here.batch))"""


def join(source: apsw.Connection, write: Write, above: int | None, *, foreign: bool) -> None:
    """Make the maps; libraries and places that only the source has are added on the way.

    Args:
        above, foreign: see `salvage.take_rows`.
    """
    source.execute(_MAPS)
    _join_libraries(source, write)
    _join_places(source, write, foreign)
    _number(source, above)


def part(source: apsw.Connection) -> None:
    """Remove the maps."""
    for name in ("library", "place", "batch", "arrival", "step", "file"):
        source.execute(f"DROP TABLE IF EXISTS temp.to_{name}")
    source.execute("DROP TABLE IF EXISTS temp.newer")


def _join_libraries(source: apsw.Connection, write: Write) -> None:
    """A library is known by its marker. That of a backup of one library gets its name when it is seen."""
    whole = not source.execute("SELECT 1 FROM meta WHERE key = 'library'").fetchall()
    rows = source.execute("SELECT marker, name, path FROM main.library ORDER BY id").fetchall()

    def add(connection: apsw.Connection) -> None:
        for marker, name, path in rows:
            used = connection.execute("SELECT 1 FROM library WHERE name = ?", (name,)).fetchone()
            connection.execute(
                "INSERT OR IGNORE INTO library (marker, name, path) VALUES (?, ?, ?)",
                (marker, name if whole and not used else "", path),
            )

    write(add)
    source.execute(
        "INSERT INTO temp.to_library SELECT s.id, h.id FROM main.library s JOIN here.library h USING (marker)"
    )


def _join_places(source: apsw.Connection, write: Write, foreign: bool) -> None:
    """A folder is known by where it is; a name that stands for another folder here is given way to."""
    rows = source.execute("SELECT key, kind, root, identity FROM main.place ORDER BY key").fetchall()
    places = [_Place(*row) for row in rows]  # type: ignore[arg-type]
    now = _identities(source) if foreign else None
    found: list[tuple[str, str]] = []

    def join(connection: apsw.Connection) -> None:
        found[:] = [(place.key, _settle(connection, place, now)) for place in places]

    write(join)
    source.executemany("INSERT INTO temp.to_place VALUES (?, ?)", found)


def _identities(source: apsw.Connection) -> dict[bytes, str]:
    """What the folders are now that are known here and nothing was taken from yet."""
    roots = source.execute(
        "SELECT DISTINCT root FROM here.place JOIN main.place s USING (root) WHERE place.identity = ''"
    ).fetchall()
    return {root: filesystem(os.fsdecode(root)).identity for (root,) in roots if isinstance(root, bytes)}


class _Place(NamedTuple):
    """A row of `place`."""

    key: str
    kind: str
    root: bytes
    identity: str


def _settle(connection: apsw.Connection, place: _Place, now: Mapping[bytes, str] | None) -> str:
    """The key that a place has here, where it is made if it has to be.

    Args:
        now: what folders are; None: the place is one of this machine. Else it is so only if it is the very
            same folder, since another machine may have one of that name, too.
    """
    key, kind, root, identity = place
    same = connection.execute("SELECT root FROM place WHERE key = ?", (key,)).fetchone()
    if key.startswith(FOUND):
        if same is None:
            connection.execute("INSERT INTO place (key, kind, root) VALUES (?, 'former', ?)", (key, root))
        return key
    if now is None and kind == "import":
        return import_place(connection, root)
    if now is not None:
        identity = identity or NO_FOLDER
    there = connection.execute(
        "SELECT key, identity FROM place WHERE root = ? AND key LIKE ? = ? AND key NOT LIKE ?"
        " ORDER BY key = ? DESC, kind = ? DESC, key",
        (root, IMPORT + "%", key.startswith(IMPORT), FOUND + "%", key, kind),
    ).fetchall()
    for ours, known in there:
        if now is None or (known or now.get(root)) == identity:
            connection.execute(
                "UPDATE place SET identity = ? WHERE key = ? AND identity = ''", (identity, ours)
            )
            return str(ours)
    if key.startswith(IMPORT):  # such a key is made from how many there are
        same = (root,)
    free, number = key, 0
    while same is not None:
        number += 1
        free, kind = f"{key.partition('@')[0]}@{number}", "former"
        same = connection.execute("SELECT 1 FROM place WHERE key = ?", (free,)).fetchone()
    connection.execute(
        "INSERT INTO place (key, kind, root, identity) VALUES (?, ?, ?, ?)", (free, kind, root, identity)
    )
    return free


def _number(source: apsw.Connection, above: int | None) -> None:
    """Find out what both know, and number what is to be added."""
    (highest,) = source.execute(_HIGHEST)
    offset = max(int(highest[0]), stamp(source).newest, newest_id(source)) if above is None else above
    clash = _CLASH if above is None else "TRUE"
    for table in ("batch", "arrival", "step"):
        source.execute(_SAME[table])
        if table == "arrival":
            source.execute(_REPLACED)
            source.execute(_OVERTAKEN)
        source.execute(_OTHERS.format(table=table, clash=clash), {"offset": offset})
    source.execute(_SAME["file"])
    source.execute("INSERT OR IGNORE INTO temp.to_file SELECT id, NULL, 1 FROM main.file")
    source.execute(_NEWER)
