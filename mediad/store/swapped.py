"""Which marker a library must have. Libraries may swap their names: the folders stay, the names go round."""

from __future__ import annotations

import os
from collections.abc import Iterable

import apsw

from mediad import config
from mediad.store import catalogue


def expected(
    connection: apsw.Connection, library: config.Library, configured: Iterable[config.Library]
) -> tuple[int, str | None, str | None]:
    """The row and the marker of the library known by this name, 0 and None where there is none; and the
    marker of another one that has swapped names with it.

    Args:
        configured: all libraries.
    """
    known = catalogue.known_library(connection, library.name)
    places, path = {one.name: os.fsencode(one.path) for one in configured}, os.fsencode(library.path)
    row, marker = (known.id, known.marker) if known else _nameless(connection, path)
    return row, marker, _swapped(connection, library.name, path, places)


def _nameless(connection: apsw.Connection, path: bytes) -> tuple[int, str | None]:
    """The library that lay here, and has lost its name to the other one before it could take that one's."""
    row = connection.execute(
        "SELECT id, marker FROM library WHERE path = ? AND name = ''"
        " AND NOT EXISTS (SELECT 1 FROM library AS other WHERE other.path = ?1 AND other.name <> '')"
        " ORDER BY id DESC LIMIT 1",
        (path,),
    ).fetchone()
    return row or (0, None)


def _swapped(connection: apsw.Connection, name: str, path: bytes, places: dict[str, bytes]) -> str | None:
    """The marker of the library that lay at `path` under another name, if `name` now stands for that.

    Only where the folder that `name` had before is configured under another name, too: whatever else is found
    in a library's place is another disk.
    """
    rows = connection.execute("SELECT name, path, marker FROM library ORDER BY id")
    last = {known: (place, marker) for known, place, marker in rows if known in places}
    before = last.get(name, (path, ""))[0]
    if before == path or before not in places.values():
        return None
    return next((marker for place, marker in last.values() if place == path), None)
