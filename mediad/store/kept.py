"""Library files and their sets, for commands that change them. Each question is part of a unit of work."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import apsw

from mediad.keeping.change import Bond, Kept, Spot
from mediad.layout import key_of
from mediad.store.reading import WINDOW
from mediad.store.whereabouts import splits

_PAGE = 200


_KEPT = """
SELECT file.id, file.library, library.path, file.path, file.size, file.mtime_ns, file.digest,
    file.role, file.item, file.step,
    arrival.id, coalesce(arrival.outcome, 'filed'), coalesce(arrival.code, 'found'),
    coalesce(arrival.reason, ''), coalesce(arrival.stays, 0), coalesce(arrival.watch, ''),
    coalesce(arrival.path, file.path), coalesce(arrival.kind, ''), arrival.taken, arrival.offset_min,
    arrival.source, arrival.confidence, arrival.evidence,
    coalesce((SELECT batch.label FROM step AS came JOIN batch ON batch.id = came.batch
        WHERE came.arrival = arrival.id AND came.state = 'done' AND came.change IS NULL
        ORDER BY came.id DESC LIMIT 1), ''), step.destination
FROM file
JOIN library ON library.id = file.library
LEFT JOIN step ON step.id = file.step
LEFT JOIN arrival ON arrival.id = step.arrival
WHERE NOT file.missing AND {}"""


def _kept(row: Sequence[object]) -> Kept:
    id_, library, root, path, size, mtime_ns, digest, role, item, step, arrival, *rest = row
    outcome, code, reason, stays, *told = rest
    state = {"outcome": outcome, "code": code, "reason": reason, "stays": stays}
    spot, bond = Spot(library, root, path), Bond(role, item, step)  # type: ignore[arg-type]
    return Kept(id_, spot, size, mtime_ns, digest, bond, arrival, state, *told)  # type: ignore[arg-type]


def by_id(connection: apsw.Connection, file: int) -> Kept | None:
    """The library file of this row, if it is there."""
    row = connection.execute(_KEPT.format("file.id = ?"), (file,)).fetchone()
    return _kept(row) if row else None


def set_of(connection: apsw.Connection, kept: Kept) -> list[Kept]:
    """A file with its companions; a companion alone, and so one that nobody brought."""
    return whole_set(connection, kept) if kept.leads else [kept]


def whole_set(connection: apsw.Connection, kept: Kept) -> list[Kept]:
    """The set that a file is of, its principal first if the library has it, whichever of it that file is."""
    return [kept] if kept.bond.item is None else of_item(connection, kept.bond.item)


def of_item(connection: apsw.Connection, item: int) -> list[Kept]:
    """The files of the set that this step brought, its principal first if the library has it."""
    rows = connection.execute(_KEPT.format("file.item = ? ORDER BY file.id"), (item,))
    return sorted((_kept(row) for row in rows), key=lambda one: not one.leads)


def unchanged(connection: apsw.Connection, files: Sequence[Kept], known: Collection[int]) -> bool:
    """Are these of a set still as they were, its principal first, and is no other file of it but those known?

    Args:
        known: rows.
    """
    if any(by_id(connection, one.id) != one for one in files):
        return False
    return not files[0].leads or all(one.id in known for one in whole_set(connection, files[0]))


def at(connection: apsw.Connection, path: bytes) -> list[Kept]:
    """The library file of this absolute path."""
    found: list[Kept] = []
    for library, rest in _libraries(connection, path):
        rows = connection.execute(
            _KEPT.format("file.library = ? AND file.name_key = ? AND file.path = ?"),
            (library, key_of(rest), rest),
        )
        found += [_kept(row) for row in rows]
    return found


Place = tuple[int, bytes, int]
"""How far a walk below a folder has come: a library, a name key and a row."""

BEGINNING: Place = (0, b"", 0)


def below(connection: apsw.Connection, path: bytes, after: Place) -> tuple[list[Kept], Place | None]:
    """Library files below an absolute folder, by name.

    Returns:
        some of them; where to go on, None at the end.
    """
    for library, rest in sorted(_libraries(connection, path.rstrip(b"/") + b"/x")):
        folder = rest[:-1]  # with its slash; empty for the library itself
        key = key_of(folder)
        start = max(after, (library, key, 0))
        if start[0] != library:
            continue
        rows = connection.execute(
            _KEPT.format(
                "file.library = ? AND (file.name_key, file.id) > (?, ?) AND (? OR file.name_key < ?)"
                " AND substr(file.path, 1, ?) = ? ORDER BY file.name_key, file.id LIMIT ?"
            ),
            (library, *start[1:], not key, key[:-1] + b"0", len(folder), folder, _PAGE),
        )
        page = [_kept(row) for row in rows]
        if page:
            return page, (library, key_of(page[-1].spot.path), page[-1].id)
    return [], None


def _libraries(connection: apsw.Connection, path: bytes) -> list[tuple[int, bytes]]:
    """The libraries that a path lies in, with its rest below."""
    return [
        (row[0], rest)
        for root, rest in splits(path)
        for row in list(connection.execute("SELECT id FROM library WHERE path = ?", (root,)))
    ]


def of_library(connection: apsw.Connection, library: int, after: int) -> tuple[list[Kept], int]:
    """Files of a library that lead their sets, as far as one window shows them.

    Args:
        after: only those of a higher id.

    Returns:
        some of them; the id to go on after, 0 at the end.
    """
    upto = after + WINDOW
    rows = connection.execute(
        _KEPT.format(
            "+file.library = ? AND file.id > ? AND file.id <= ? AND file.role <> 'companion'"
            " ORDER BY file.id LIMIT ?"
        ),
        (library, after, upto, _PAGE),
    )
    page = [_kept(row) for row in rows]
    if len(page) == _PAGE:
        return page, page[-1].id
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM file").fetchone()
    assert newest is not None
    return page, upto if upto < newest[0] else 0
