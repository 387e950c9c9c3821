"""Takes the rows of one catalogue into another: of a backup, or of a catalogue that was put aside.

What only the source knows is added, under its own numbers or under higher ones; what both know is found by
`salvage_maps`. Taking the same in again changes nothing. What a library carries is foreign, whatever it says:
nothing that was under way there is ended here, and its files count once they are seen. Everything here
blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
_CHANGE = "s.change"
for _name in ("bond", "becomes"):
    _set, _bringer = (_STEP.format(f"json_extract(s.change, '$.{_name}[{place}]')") for place in (1, 2))
    _CHANGE = (
        f"CASE WHEN json_extract(s.change, '$.{_name}') IS NULL THEN {_CHANGE}"
        f" ELSE json_set({_CHANGE}, '$.{_name}[1]', {_set}, '$.{_name}[2]', {_bringer}) END"
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


_ELSEWHERE = "was under way where this came from"
_CUT_OFF = "s.outcome IS NULL"
_WAS_KEPT = """EXISTS (SELECT 1 FROM main.step WHERE step.arrival = s.id AND step.state = 'intent'
AND step.source IS NOT NULL)"""

# What of that is different where a library brought it: what was under way has come to nothing, see
# `journal.revert`, and no file is there before it is seen.
_FOREIGN: dict[str, dict[str, str]] = {
    "batch": {"carried": "1"},
    "arrival": {
        "outcome": f"iif({_CUT_OFF}, iif({_WAS_KEPT}, 'quarantined', 'failed'), s.outcome)",
        "code": f"iif({_CUT_OFF}, 'reverted', s.code)",
        "reason": f"iif({_CUT_OFF}, '{_ELSEWHERE}', s.reason)",
    },
    "step": {
        "state": "iif(s.state = 'intent', 'reverted', s.state)",
        "note": f"iif(s.state = 'intent', '{_ELSEWHERE}', s.note)",
    },
    "file": {"missing": "1"},
}


@dataclass(frozen=True, slots=True)
class Taken:
    """How much was taken.

    Attributes:
        files: library files that were not known. digests: contents of library files that were not known.
    """

    files: int
    digests: int


def take_rows(
    source: apsw.Connection, into: Path, write: Write, *, above: int | None = None, foreign: bool = False
) -> Taken:
    """Take in what a catalogue, or a backup of a library's rows, knows and another one does not.

    Args:
        source: has today's schema, see `backup.open_private` and `backup_foreign.open_foreign`.
        into: the catalogue that takes the rows, which only `write` writes to.
        above: what is added gets numbers that are so much higher, which must be free; None: its own where
            they are free, else higher ones than all.
        foreign: it is what a library carries, not of this state directory.

    Raises:
        apsw.Error: one of the two could not be read; what `write` raises.
    """
    attach(source, into, "here")
    source.pragma("cache_size", -32768)
    try:
        salvage_maps.join(source, write, above, foreign=foreign)
        taken = Taken(_count(source, "fresh"), _count(source, "s.digest IS NOT NULL AND h.digest IS NULL"))
        said = {table: {**_SAID[table], **(_FOREIGN.get(table, {}) if foreign else {})} for table in _SAID}
        for table in ("batch", "arrival"):
            _add(source, write, table, said[table])
        _add(source, write, "file", said["file"], skip=("id",))
        for newer in (True, False):
            _better(source, write, newer, foreign)
        _add(source, write, "step", said["step"])
        for table in ("arrival", "step"):
            _renew(source, write, table, said[table])
        _rest(source, write)
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


def _columns(
    source: apsw.Connection, table: str, said: Mapping[str, str], skip: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """The columns of a table, and what is to stand in them."""
    names = [name for name in shared_columns(source, "main", "here", table) if name not in skip]
    return names, [said.get(name, f"s.{name}") for name in names]


def _windows(source: apsw.Connection, table: str, sql: str) -> Iterator[list[tuple[apsw.SQLiteValue, ...]]]:
    """Rows of a question, some thousand at a time; the question begins with `s.id`, which is left out."""
    last = 0
    while rows := source.execute(f"{sql} AND s.id > ? ORDER BY s.id LIMIT {_WINDOW}", (last,)).fetchall():
        last = int(str(rows[-1][0]))
        yield [row[1:] for row in rows]


def _add(
    source: apsw.Connection, write: Write, table: str, said: Mapping[str, str], skip: Sequence[str] = ()
) -> None:
    """Add what only the source has."""
    names, values = _columns(source, table, said, skip)
    insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    question = (
        f"SELECT s.id, {', '.join(values)} FROM main.{table} s"  # noqa: S608
        f" JOIN temp.to_{table} t ON t.old = s.id WHERE t.fresh"
    )
    for rows in _windows(source, table, question):
        write(lambda connection, rows=rows: _run(connection, insert, rows))  # type: ignore[misc]


def _run(connection: apsw.Connection, sql: str, rows: Sequence[tuple[apsw.SQLiteValue, ...]]) -> None:
    connection.executemany(sql, rows)


def _renew(source: apsw.Connection, write: Write, table: str, said: Mapping[str, str]) -> None:
    """Bring what both have to what the source says of it, where that is newer."""
    names, values = _columns(source, table, said, ("id",))
    theirs = ", ".join(f"h.{name}" for name in names)
    question = (
        f"SELECT s.id, {', '.join(values)}, t.new FROM main.{table} s"  # noqa: S608
        f" JOIN temp.to_{table} t ON t.old = s.id JOIN here.{table} h ON h.id = t.new"
        f" WHERE NOT t.fresh AND s.{'id' if table == 'arrival' else 'arrival'} IN temp.newer"
        f" AND ({', '.join(values)}) IS NOT ({theirs})"
    )
    update = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?"  # noqa: S608
    for rows in _windows(source, table, question):
        write(lambda connection, rows=rows: _run(connection, update, rows))  # type: ignore[misc]


def _better(source: apsw.Connection, write: Write, newer: bool, foreign: bool) -> None:
    """Bring library files that both have to what the source knows better: no digest is ever forgotten.

    Args:
        newer: those whose last story the source tells; else the others.
    """
    said = _SAID["file"]
    same = "h.size = s.size AND h.mtime_ns = s.mtime_ns"
    told = "coalesce((SELECT arrival IN temp.newer FROM main.step WHERE step.id = s.step), FALSE)"
    digest = f"coalesce(s.digest, iif({same} OR s.missing, h.digest, NULL))"
    missing = f"iif({same}, h.missing, 1)" if foreign else "s.missing"
    values = f"s.size, s.mtime_ns, {digest}, {missing}, s.role, {said['item']}, {said['step']}"
    theirs = "h.size, h.mtime_ns, h.digest, h.missing, h.role, h.item, h.step"
    if newer:
        condition = f"{told} AND ({values}) IS NOT ({theirs})"
    else:
        bond = (
            f"iif(h.role = 'found', {said.get(name, f's.{name}')}, h.{name})"
            for name in ("role", "item", "step")
        )
        values = f"h.size, h.mtime_ns, coalesce(h.digest, s.digest), h.missing, {', '.join(bond)}"
        better = "(h.digest IS NULL AND s.digest IS NOT NULL) OR (h.role = 'found' AND s.role <> 'found')"
        condition = f"NOT {told} AND {same} AND (h.digest IS NULL OR h.digest IS s.digest) AND ({better})"
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


def _rest(source: apsw.Connection, write: Write) -> None:
    """Folders that were made, content that was removed, and what has been taken in hereby."""
    folders = source.execute(
        "SELECT l.new, s.path FROM main.folder s JOIN temp.to_library l ON l.old = s.library"
    ).fetchall()
    removed = source.execute(
        f"SELECT t.new, {_LIBRARY.format('s.library')}, s.digest FROM main.deleted s"  # noqa: S608
        " JOIN temp.to_step t ON t.old = s.step JOIN main.step ON step.id = s.step"
        " WHERE t.fresh OR step.arrival IN temp.newer"
    ).fetchall()
    back = source.execute(
        "SELECT t.new FROM here.deleted h JOIN temp.to_step t ON t.new = h.step"
        " JOIN main.step ON step.id = t.old WHERE NOT t.fresh AND step.arrival IN temp.newer"
        " AND t.old NOT IN (SELECT step FROM main.deleted)"
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
