"""Takes the rows of one catalogue into another: of a backup, or of a catalogue that was put aside.

What only the source knows is added, under its own numbers or under higher ones; what both know is found by
`salvage_maps`. Taking the same in again changes nothing. Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from mediad.store import salvage_maps
from mediad.store.backup import attach, stamp
from mediad.store.backup_library import shared_columns
from mediad.store.salvage_maps import Write

_WINDOW = 1000  # rows of one unit of work: some hundredths of a second

_KEY = "coalesce((SELECT new FROM temp.to_place WHERE old = s.watch), s.watch)"
_STEP = "(SELECT new FROM temp.to_step WHERE old = {})"
_LIBRARY = "(SELECT new FROM temp.to_library WHERE old = {})"
_WITNESS = """(SELECT max(h.id) FROM main.file f JOIN temp.to_library l ON l.old = f.library
JOIN here.file h ON h.library = l.new AND h.name_key = f.name_key AND h.path = f.path
WHERE f.id = s.witness)"""
_SET, _BRINGER = (_STEP.format(f"json_extract(s.change, '$.bond[{place}]')") for place in (1, 2))
_CHANGE = (
    "CASE WHEN json_extract(s.change, '$.bond') IS NULL THEN s.change"
    f" ELSE json_set(s.change, '$.bond[1]', {_SET}, '$.bond[2]', {_BRINGER}) END"
)

# How what a row names is said in the other catalogue; other columns say the same in both.
_SAID: dict[str, dict[str, str]] = {
    "batch": {"id": "t.new", "watch": _KEY},
    "arrival": {"id": "t.new", "watch": _KEY},
    "step": {
        "id": "t.new",
        "item": f"coalesce({_STEP.format('s.item')}, t.new)",
        "batch": "(SELECT new FROM temp.to_batch WHERE old = s.batch)",
        "arrival": "(SELECT new FROM temp.to_arrival WHERE old = s.arrival)",
        "library": _LIBRARY.format("s.library"),
        "origin": _LIBRARY.format("s.origin"),
        "witness": _WITNESS,
        "undoes": _STEP.format("s.undoes"),
        "undone": _STEP.format("s.undone"),
        "change": _CHANGE,
    },
    "file": {
        "library": _LIBRARY.format("s.library"),
        "item": _STEP.format("s.item"),
        "step": _STEP.format("s.step"),
    },
}


@dataclass(frozen=True, slots=True)
class Taken:
    """How much was taken.

    Attributes:
        files: library files that were not known. digests: contents of library files that were not known.
        open: steps that are open, and now in the other catalogue's journal.
    """

    files: int
    digests: int
    open: list[int]


def take_rows(source: apsw.Connection, into: Path, write: Write, *, above: int | None = None) -> Taken:
    """Take in what a catalogue, or a backup of a library's rows, knows and another one does not.

    Args:
        source: has today's schema, see `backup.open_private`.
        into: the catalogue that takes the rows, which only `write` writes to.
        above: what is added gets numbers that are so much higher, which must be free; None: its own where
            they are free, else higher ones than all.

    Raises:
        apsw.Error: one of the two could not be read; what `write` raises.
    """
    attach(source, into, "here")
    source.pragma("cache_size", -32768)
    try:
        salvage_maps.join(source, write, above)
        newer = _is_newer(source)
        taken = Taken(
            _count(source, "fresh"),
            _count(source, "s.digest IS NOT NULL AND h.digest IS NULL"),
            _open(source),
        )
        for table in ("batch", "arrival"):
            _add(source, write, table)
        _add(source, write, "file", skip=("id",))
        _better(source, write, newer)
        _add(source, write, "step")
        if newer:
            for table in ("arrival", "step"):
                _renew(source, write, table)
        _rest(source, write, newer)
        return taken
    finally:
        salvage_maps.part(source)
        source.execute("DETACH here")


def _count(source: apsw.Connection, condition: str) -> int:
    (found,) = source.execute(
        f"SELECT count(*) FROM temp.to_file t JOIN main.file s ON s.id = t.old"  # noqa: S608
        f" LEFT JOIN here.file h ON h.id = t.new WHERE {condition}"
    )
    return int(found[0])


def _open(source: apsw.Connection) -> list[int]:
    rows = source.execute(
        "SELECT t.new FROM main.step s JOIN temp.to_step t ON t.old = s.id"
        " WHERE s.state = 'intent' AND t.fresh"
    )
    return [int(row[0]) for row in rows]


def _is_newer(source: apsw.Connection) -> bool:
    """Was something done in these libraries after all that the other catalogue knows of them?"""
    (found,) = source.execute(
        "SELECT (SELECT coalesce(max(time), 0) FROM main.step) >"
        " (SELECT coalesce(max(time), 0) FROM here.step WHERE library IN (SELECT new FROM temp.to_library)"
        " OR origin IN (SELECT new FROM temp.to_library))"
    )
    return bool(found[0])


def _columns(source: apsw.Connection, table: str, skip: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """The columns of a table, and what is to stand in them."""
    names = [name for name in shared_columns(source, "main", "here", table) if name not in skip]
    return names, [_SAID[table].get(name, f"s.{name}") for name in names]


def _windows(source: apsw.Connection, table: str, sql: str) -> Iterator[list[tuple[apsw.SQLiteValue, ...]]]:
    """Rows of a question, some thousand at a time; the question begins with `s.id`, which is left out."""
    last = 0
    while rows := source.execute(f"{sql} AND s.id > ? ORDER BY s.id LIMIT {_WINDOW}", (last,)).fetchall():
        last = int(str(rows[-1][0]))
        yield [row[1:] for row in rows]


def _add(source: apsw.Connection, write: Write, table: str, skip: Sequence[str] = ()) -> None:
    """Add what only the source has."""
    names, said = _columns(source, table, skip)
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    question = (
        f"SELECT s.id, {', '.join(said)} FROM main.{table} s"  # noqa: S608
        f" JOIN temp.to_{table} t ON t.old = s.id WHERE t.fresh"
    )
    for rows in _windows(source, table, question):
        write(lambda connection, rows=rows: _run(connection, insert, rows))  # type: ignore[misc]


def _run(connection: apsw.Connection, sql: str, rows: Sequence[tuple[apsw.SQLiteValue, ...]]) -> None:
    connection.executemany(sql, rows)


def _renew(source: apsw.Connection, write: Write, table: str) -> None:
    """Bring what both have to what the source says of it."""
    names, said = _columns(source, table, ("id",))
    theirs = ", ".join(f"h.{name}" for name in names)
    question = (
        f"SELECT s.id, {', '.join(said)}, t.new FROM main.{table} s"  # noqa: S608
        f" JOIN temp.to_{table} t ON t.old = s.id JOIN here.{table} h ON h.id = t.new"
        f" WHERE NOT t.fresh AND ({', '.join(said)}) IS NOT ({theirs})"
    )
    update = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?"  # noqa: S608
    for rows in _windows(source, table, question):
        write(lambda connection, rows=rows: _run(connection, update, rows))  # type: ignore[misc]


def _better(source: apsw.Connection, write: Write, newer: bool) -> None:
    """Bring library files that both have to what the source knows better: no digest is ever forgotten."""
    said = _SAID["file"]
    same = "h.size = s.size AND h.mtime_ns = s.mtime_ns"
    digest = f"coalesce(s.digest, iif({same} OR s.missing, h.digest, NULL))"
    values = f"s.size, s.mtime_ns, {digest}, s.missing, s.role, {said['item']}, {said['step']}"
    theirs = "h.size, h.mtime_ns, h.digest, h.missing, h.role, h.item, h.step"
    if newer:
        condition = f"({values}) IS NOT ({theirs})"
    else:
        bond = (
            f"iif(h.role = 'found', {said.get(name, f's.{name}')}, h.{name})"
            for name in ("role", "item", "step")
        )
        values = f"h.size, h.mtime_ns, coalesce(h.digest, s.digest), h.missing, {', '.join(bond)}"
        better = "(h.digest IS NULL AND s.digest IS NOT NULL) OR (h.role = 'found' AND s.role <> 'found')"
        condition = f"{same} AND (h.digest IS NULL OR h.digest IS s.digest) AND ({better})"
    question = (
        f"SELECT s.id, {values}, t.new FROM main.file s JOIN temp.to_file t ON t.old = s.id"  # noqa: S608
        f" JOIN here.file h ON h.id = t.new WHERE NOT t.fresh AND {condition}"
    )
    update = (
        "UPDATE file SET size = ?, mtime_ns = ?, digest = ?, missing = ?, role = ?, item = ?, step = ?"
        " WHERE id = ?"
    )
    for rows in _windows(source, "file", question):
        write(lambda connection, rows=rows: _run(connection, update, rows))  # type: ignore[misc]


def _rest(source: apsw.Connection, write: Write, newer: bool) -> None:
    """Folders that were made, content that was removed, and what has been taken in hereby."""
    folders = source.execute(
        "SELECT l.new, s.path FROM main.folder s JOIN temp.to_library l ON l.old = s.library"
    ).fetchall()
    removed = source.execute(
        f"SELECT t.new, {_LIBRARY.format('s.library')}, s.digest FROM main.deleted s"  # noqa: S608
        " JOIN temp.to_step t ON t.old = s.step WHERE t.fresh OR ?",
        (newer,),
    ).fetchall()
    back = source.execute(
        "SELECT t.new FROM here.deleted h JOIN temp.to_step t ON t.new = h.step"
        " WHERE ? AND NOT t.fresh AND t.old NOT IN (SELECT step FROM main.deleted)",
        (newer,),
    ).fetchall()
    of = stamp(source)
    only = source.execute("SELECT value FROM meta WHERE key = 'library'").fetchone()
    taken = source.execute(
        "SELECT l.new, ?, ? FROM main.library s JOIN temp.to_library l ON l.old = s.id"
        " WHERE ?3 IS NULL OR marker = ?3"
        " UNION ALL SELECT l.new, s.catalogue, s.newest FROM main.taken_in s"
        " JOIN temp.to_library l ON l.old = s.library",
        (of.catalogue, of.newest, only[0] if only else None),
    ).fetchall()

    def add(connection: apsw.Connection) -> None:
        connection.executemany("INSERT OR IGNORE INTO folder (library, path) VALUES (?, ?)", folders)
        connection.executemany(
            "INSERT OR IGNORE INTO deleted (step, library, digest) VALUES (?, ?, ?)", removed
        )
        connection.executemany("DELETE FROM deleted WHERE step = ?", back)
        connection.executemany(
            "INSERT INTO taken_in VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET newest = max(newest, excluded.newest)",
            taken,
        )

    write(add)
