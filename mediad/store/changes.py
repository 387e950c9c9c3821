"""The journal's part of shifts: steps that move files which the libraries have.

A step's `change` is a JSON object: `was` and `will_be`, columns of its arrival, those of its date only where
that changes; `bond`, what the catalogue has of the library file, and `becomes`, what it has from then on,
where that is another set's; `remembered`, whether its content counts as removed by the user. So a step can be
finished after a crash, and taken back years later, by what it says itself. Without a library its destination
is below the folder that its arrival came from. Each function is part of a unit of work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apsw

from mediad.keeping.change import Bond, Shift
from mediad.layout import key_of
from mediad.model import Stat

FOUND = "library:"
"""With what the keys of library files begin that nobody brought, in place of a watch's name."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A step that is about to be taken."""

    id: int
    item: int
    shift: Shift


def begin(connection: apsw.Connection, batch: int, intents: Sequence[Intent], now: int) -> None:
    """Record intents; durable when the unit of work ends."""
    for intent in intents:
        shift = intent.shift
        arrival = shift.arrival or _arrive(connection, intent, now)
        target, source = shift.target, shift.source
        connection.execute(
            "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, source, origin,"
            " keeps, undoes, change, note, time, moved_size, moved_digest)"
            " VALUES (?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(intent.id, intent.item, batch, arrival, shift.action),
                target.library if target else None,
                target.path if target is not None else None,
                source.path if source.library is not None else None,
                *(source.library, shift.keeps, shift.undoes, _told(shift), shift.reason, now),
                *(shift.size, shift.digest),
            ),
        )


def _told(shift: Shift) -> str:
    return json.dumps(
        {
            "was": dict(shift.was),
            "will_be": dict(shift.will_be),
            "bond": shift.bond,
            "remembered": shift.remembered,
            **({"becomes": shift.becomes} if shift.becomes is not None else {}),
        }
    )


def _arrive(connection: apsw.Connection, intent: Intent, now: int) -> int:
    """Give a library file that nobody brought a row that its story can hang on."""
    spot = intent.shift.source
    row = connection.execute("SELECT marker FROM library WHERE id = ?", (spot.library,)).fetchone()
    assert row is not None
    key = FOUND + row[0]
    connection.execute(
        "INSERT OR IGNORE INTO place (key, kind, root) VALUES (?, 'former', ?)", (key, spot.root)
    )
    connection.execute(
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome, code,"
        " digest) VALUES (?1, ?2, ?3, ?4, coalesce((SELECT mtime_ns FROM file WHERE library = ?5"
        " AND name_key = ?6 AND path = ?3), 0), 0, 0, ?7, 0, 'filed', 'found', ?8)",
        (
            *(intent.id, key, spot.path, intent.shift.size, spot.library, key_of(spot.path)),
            *(now, intent.shift.digest),
        ),
    )
    return intent.id


@dataclass(frozen=True, slots=True)
class _Step:
    id: int
    arrival: int
    action: str
    library: int | None
    destination: bytes | None
    origin: int | None
    source: bytes | None
    keeps: bool
    undoes: int | None
    change: str

    @property
    def leaves(self) -> tuple[int, bytes] | None:
        """The library file that goes from its place."""
        if self.origin is None or self.source is None or self.keeps or self.source.startswith(b".mediad/"):
            return None
        return self.origin, self.source

    @property
    def comes(self) -> tuple[int, bytes] | None:
        """The library file that comes to its place."""
        if self.library is None or self.destination is None or self.destination.startswith(b".mediad/"):
            return None
        return self.library, self.destination


def finish(
    connection: apsw.Connection,
    done: Iterable[tuple[int, Stat | None, str]],
    folders: Iterable[tuple[int, bytes]],
    now: int,
) -> None:
    """Record what was done.

    Args:
        done: steps, with the file as it stands at its target, None where there is none, and what has to be
            told of it.
        folders: the folders made on the way, by library.
    """
    for id_, placed, note in done:
        row = connection.execute(
            "SELECT id, arrival, action, library, destination, origin, source, keeps, undoes, change"
            " FROM step WHERE id = ?",
            (id_,),
        ).fetchone()
        assert row is not None
        _finish(connection, _Step(*row), placed, now)
        if note:
            connection.execute(
                "UPDATE step SET note = iif(note = '', ?1, note || '; ' || ?1) WHERE id = ?2", (note, id_)
            )
    connection.executemany("INSERT OR IGNORE INTO folder (library, path) VALUES (?, ?)", folders)


def _finish(connection: apsw.Connection, step: _Step, placed: Stat | None, now: int) -> None:
    change = json.loads(step.change)
    connection.execute("UPDATE step SET state = 'done', time = ? WHERE id = ?", (now, step.id))
    _set_arrival(connection, step, change["will_be"], placed)
    _move_row(connection, step, Bond(*change["bond"]) if change["bond"] else None, placed)
    if change.get("becomes"):
        _rejoin(connection, step, Bond(*change["becomes"]))
    if change["remembered"]:
        _remember(connection, step.id)
    if step.undoes is not None:
        _take_back(connection, step)


DATE = ("taken", "offset_min", "source", "confidence", "tag", "note", "sidecar")
"""What a change has of a date: columns of an arrival, and from the tag on what its evidence has."""

# It is this very file, in another of its stories: it counts once.
_SAME = "outcome = 'ignored' AND (size, mtime_ns, ino) = (?3, ?4, ?5)"


def _set_arrival(
    connection: apsw.Connection, step: _Step, will_be: dict[str, object], placed: Stat | None
) -> None:
    connection.execute(
        "UPDATE arrival SET outcome = ?, code = ?, reason = ?, stays = ?, dismissed = 0 WHERE id = ?",
        (*(will_be[name] for name in ("outcome", "code", "reason", "stays")), step.arrival),
    )
    if "taken" in will_be:
        connection.execute(
            "UPDATE arrival SET taken = ?, offset_min = ?, source = ?, confidence = ?,"
            " evidence = json_set(iif(json_valid(evidence), evidence, '{}'), '$.tag', ?,"
            " '$.date_note', ?, '$.sidecar', ?) WHERE id = ?",
            (*(will_be[name] for name in DATE), step.arrival),
        )
    if (
        placed is not None and step.library is None and step.destination is not None
    ):  # it is where it came from, and known there
        connection.execute(
            "UPDATE arrival SET size = ?, mtime_ns = ?, ctime_ns = ?, ino = ? WHERE id = ?",
            (placed.size, placed.mtime_ns, placed.ctime_ns, placed.ino, step.arrival),
        )
        connection.execute(  # others that were seen there have left
            "UPDATE arrival SET stays = 0, dismissed = dismissed OR (" + _SAME + ")"  # noqa: S608
            " WHERE id <> ?1 AND stays AND outcome NOT NULL"
            " AND path = ?2 AND watch = (SELECT watch FROM arrival WHERE id = ?1)",
            (step.arrival, step.destination, placed.size, placed.mtime_ns, placed.ino),
        )


def _move_row(connection: apsw.Connection, step: _Step, bond: Bond | None, placed: Stat | None) -> None:
    """The row of a library file goes with it."""
    comes, leaves = step.comes, step.leaves
    row = None
    if leaves is not None:
        library, path = leaves
        row = connection.execute(
            "SELECT id FROM file WHERE library = ? AND name_key = ? AND path = ?",
            (library, key_of(path), path),
        ).fetchone()
    if comes is None or placed is None:
        if row is not None and step.destination is None:  # it stays, and is another's now
            bond = bond or Bond("found", None, None)
            connection.execute("UPDATE file SET role = ?, item = ?, step = ? WHERE id = ?", (*bond, *row))
        elif row is not None and comes != leaves:
            connection.execute("DELETE FROM file WHERE id = ?", row)
        return
    library, path = comes
    connection.execute(  # a look at the library may have shown it already
        "DELETE FROM file WHERE library = ? AND name_key = ? AND path = ? AND id IS NOT ?",
        (library, key_of(path), path, row[0] if row else None),
    )
    values = (library, path, key_of(path), placed.size, placed.mtime_ns)
    if row is not None:
        connection.execute(
            "UPDATE file SET library = ?, path = ?, name_key = ?, size = ?, mtime_ns = ?, missing = 0,"
            " step = iif(role = 'found', NULL, ?) WHERE id = ?",
            (*values, step.id, row[0]),
        )
        return
    bond = bond or Bond("found", None, None)
    connection.execute(
        "INSERT INTO file (library, path, name_key, size, mtime_ns, digest, role, item, step)"
        " SELECT ?, ?, ?, ?, ?, moved_digest, ?, ?, ? FROM step WHERE id = ?",
        (*values, bond.role, bond.item, None if bond.role == "found" else step.id, step.id),
    )


def _rejoin(connection: apsw.Connection, step: _Step, bond: Bond) -> None:
    """The library file, wherever it is now, belongs to another set."""
    if step.comes is not None:
        library, path = step.comes
        connection.execute(
            "UPDATE file SET role = ?1, item = ?2, step = iif(?1 = 'found', NULL, ?3)"
            " WHERE library = ?4 AND name_key = ?5 AND path = ?6",
            (bond.role, bond.item, step.id, library, key_of(path), path),
        )


def _remember(connection: apsw.Connection, step: int) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO deleted (step, library, digest)"
        " SELECT id, coalesce(origin, library), moved_digest FROM step WHERE id = ?1"
        " UNION SELECT step.id, coalesce(step.origin, step.library), arrival.digest FROM step"
        " JOIN arrival ON arrival.id = step.arrival WHERE step.id = ?1 AND arrival.digest IS NOT NULL",
        (step,),
    )


def _take_back(connection: apsw.Connection, step: _Step) -> None:
    """What is undone does not stand; what that had undone itself stands again, and so on down."""
    connection.execute("DELETE FROM expiring WHERE step = ?", (step.undoes,))
    by: int | None = step.id
    under = step.undoes
    while under is not None:
        row = connection.execute("SELECT undoes, change FROM step WHERE id = ?", (under,)).fetchone()
        assert row is not None
        connection.execute("UPDATE step SET undone = ? WHERE id = ?", (by, under))
        if row[1] and json.loads(row[1])["remembered"]:
            if by is None:
                _remember(connection, under)
            else:
                connection.execute("DELETE FROM deleted WHERE step = ?", (under,))
        older = row[0] if row[0] is not None and row[0] < under else None  # as whoever writes it has it
        by, under = (under if by is None else None), older


def revert(connection: apsw.Connection, steps: Iterable[int], note: str, now: int) -> None:
    """Record that nothing came of these steps; their files are where they were."""
    connection.executemany(
        "UPDATE step SET state = 'reverted', note = ?, time = ? WHERE id = ?",
        [(note, now, id_) for id_ in steps],
    )


def was_deleted(connection: apsw.Connection, digest: bytes) -> bool:
    """Did the user remove this content from a library?"""
    found = connection.execute("SELECT 1 FROM deleted WHERE digest = ? LIMIT 1", (digest,)).fetchone()
    return found is not None


def made_folders(connection: apsw.Connection, library: int, paths: Iterable[bytes]) -> set[bytes]:
    """Those of a library's folders that we made, and may remove when they are empty."""
    return {
        path
        for path in paths
        if connection.execute(
            "SELECT 1 FROM folder WHERE library = ? AND path = ?", (library, path)
        ).fetchone()
    }


def forget_folders(connection: apsw.Connection, folders: Iterable[tuple[int, bytes]]) -> None:
    """These folders, by library, were removed."""
    connection.executemany("DELETE FROM folder WHERE library = ? AND path = ?", folders)
