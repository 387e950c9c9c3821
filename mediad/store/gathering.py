"""Principals that came late, until their earlier members are with them. Part of a unit of work.

The rows are written with the principal's intent, so that no crash after that forgets them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import apsw

from mediad.keeping.change import Kept
from mediad.store import kept


class Due(NamedTuple):
    """Sets to gather.

    Attributes:
        lead: the principal. batch: in which it came.
        sets: those that came earlier, each with its principal first.
    """

    item: int
    batch: int
    lead: Kept
    sets: list[list[Kept]]


def remember(connection: apsw.Connection, rows: Iterable[tuple[int, int]]) -> None:
    """Note principals, by their steps, and the library files that belong beside them."""
    connection.executemany("INSERT OR IGNORE INTO gathering (item, file) VALUES (?, ?)", rows)


def due(connection: apsw.Connection, only: Collection[int] = ()) -> list[Due]:
    """What can be gathered now, batch by batch; what cannot ever is forgotten.

    Args:
        only: the principals' steps that are asked for; () for all.
    """
    connection.execute(
        "DELETE FROM gathering WHERE NOT EXISTS (SELECT 1 FROM step WHERE step.id = gathering.item"
        " AND step.state <> 'reverted' AND step.undone IS NULL)"
    )
    items: list[tuple[int, int, int | None]] = connection.execute(  # type: ignore[assignment]
        "SELECT DISTINCT step.id, step.batch, file.id FROM gathering JOIN step ON step.id = gathering.item"
        " LEFT JOIN file ON file.item = step.id AND file.role = 'principal' AND NOT file.missing"
        " WHERE step.state = 'done' ORDER BY step.batch, step.id"
    ).fetchall()
    found: list[Due] = []
    for item, batch, file in items:
        if only and item not in only:
            continue
        lead = kept.by_id(connection, file) if file is not None else None
        sets = _sets(connection, item)
        if lead is None or not sets:
            forget(connection, item)
        else:
            found.append(Due(item, batch, lead, sets))
    return found


def _sets(connection: apsw.Connection, item: int) -> list[list[Kept]]:
    """Those that are there and in sets of their own."""
    rows = connection.execute("SELECT file FROM gathering WHERE item = ?", (item,)).fetchall()
    files = [one for row in rows if (one := kept.by_id(connection, int(str(row[0])))) is not None]
    return [kept.set_of(connection, one) for one in files if one.bond.role == "principal"]


def forget(connection: apsw.Connection, item: int) -> None:
    """It is done, or nothing can be done."""
    connection.execute("DELETE FROM gathering WHERE item = ?", (item,))


def tell(connection: apsw.Connection, item: int, notes: Iterable[str]) -> None:
    """Say with the principal's step what stayed where it was."""
    for note in notes:
        connection.execute(
            "UPDATE step SET note = iif(note = '', ?1, note || '; ' || ?1) WHERE id = ?2", (note, item)
        )
