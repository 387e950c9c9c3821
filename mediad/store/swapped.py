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
    places = {one.name: os.fsencode(one.path) for one in configured}
    row, marker = (known.id, known.marker) if known else (0, None)
    return row, marker, _swapped(connection, library.name, os.fsencode(library.path), places)


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
