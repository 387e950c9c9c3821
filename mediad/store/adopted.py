"""The catalogue's part of adopting: library files that are taken over where they lie.

An adopted file gets an arrival and a step of its own, as if it had been filed, and its row changes from one
that was only found to one of a set. Each function is part of a unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import apsw

from mediad.ingest.evidence import evidence_of
from mediad.layout import key_of
from mediad.model import Identity, Stat
from mediad.store import journal, verifying
from mediad.store.changes import FOUND
from mediad.store.reading import WINDOW

ADOPT = "adopt:"
"""With what the names of the batches of adoptions begin; the library's name follows."""

_WHY = "lay in the library already, and stays where it is"


class Known(NamedTuple):
    """What the catalogue has of a library file.

    Attributes:
        item: the set that it belongs to, None where it was only found. read: its content is known, and it
            is not missing.
    """

    id: int
    size: int
    mtime_ns: int
    item: int | None
    read: int

    def ours(self, stat: Stat) -> bool:
        """Is it catalogued, and as it was then?"""
        same = (self.size, self.mtime_ns) == (stat.size, stat.mtime_ns)
        return self.item is not None and bool(self.read) and same


@dataclass(frozen=True, slots=True)
class Taking:
    """The library that is adopted.

    Attributes:
        row: its row. key: what its arrivals have in place of a watch's name.
        next_id: gives ids for arrivals, steps and batches.
    """

    row: int
    name: str
    marker: str
    root: bytes
    next_id: Callable[[], int]

    @property
    def key(self) -> str:
        return FOUND + self.marker


@dataclass(frozen=True, slots=True)
class Member:
    """A file to adopt, and the row that it had when it was seen; None for one that has none yet."""

    identity: Identity
    row: int | None


@dataclass(slots=True)
class Counts:
    """What came of an adoption.

    Attributes:
        adopted, companions: files that were taken over: principals, and what belongs to them.
        undated, doubtful: of the principals. duplicates: of them, those whose content lies elsewhere, too;
            of equal files that are adopted together, all but the first.
        already: catalogued before. left: passed over just now, since something else is done with them.
    """

    adopted: int = 0
    companions: int = 0
    undated: int = 0
    doubtful: int = 0
    duplicates: int = 0
    already: int = 0
    left: list[bytes] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Take over the numbers of a part."""
        self.adopted += other.adopted
        self.companions += other.companions
        self.undated += other.undated
        self.doubtful += other.doubtful
        self.duplicates += other.duplicates
        self.already += other.already


def known(connection: apsw.Connection, library: int, paths: Iterable[bytes]) -> list[Known | None]:
    """What the catalogue has of these files of a library."""
    found: list[Known | None] = []
    for path in paths:
        row = connection.execute(
            "SELECT id, size, mtime_ns, item, digest IS NOT NULL AND NOT missing FROM file"
            " WHERE library = ? AND name_key = ? AND path = ? ORDER BY missing, id DESC LIMIT 1",
            (library, key_of(path), path),
        ).fetchone()
        found.append(None if row is None else Known(*row))
    return found


def open_batch(connection: apsw.Connection, taking: Taking, now: int) -> int:
    """Start a batch; returns its id."""
    batch = taking.next_id()
    connection.execute(
        "INSERT INTO place (key, kind, root) VALUES (?, 'former', ?)"
        " ON CONFLICT (key) DO UPDATE SET root = excluded.root",
        (taking.key, taking.root),
    )
    journal.open_batch(connection, ADOPT + taking.name, b"", "", now, batch)
    return batch


def take_over(
    connection: apsw.Connection,
    taking: Taking,
    batch: Callable[[], int],
    sets: Iterable[Sequence[Member]],
    now: int,
) -> Counts:
    """Adopt sets, each with its principal first. What was moved since it was seen is passed over.

    Args:
        batch: the batch that the steps are of; called when there is one.
    """
    counts = Counts()
    busy = _under_way(connection, taking.row)
    for members in sets:
        paths = [member.identity.sighting.path for member in members]
        rows = known(connection, taking.row, paths)
        gone = any(row is None and member.row is not None for row, member in zip(rows, members, strict=True))
        if gone or not busy.isdisjoint(paths):
            counts.left += paths
            continue
        lead = rows[0]
        item = lead.item if lead is not None and lead.item is not None else taking.next_id()
        for number, (member, row) in enumerate(zip(members, rows, strict=True)):
            if row is not None and row.item is not None:
                note_content(connection, row.id, member.identity, now)
                counts.already += 1
                continue
            step = item if number == 0 else taking.next_id()
            _write(connection, taking, batch(), member.identity, _Place(step, item, number == 0, row), now)
            counts.companions += number > 0
            if number == 0:
                _count(connection, counts, member.identity, item, taking.row)
    return counts


def _under_way(connection: apsw.Connection, library: int) -> set[bytes]:
    """Files of the library that the journal is about to bring or to move."""
    rows = connection.execute(
        "SELECT destination FROM step WHERE state = 'intent' AND library = ?1"
        " UNION SELECT source FROM step WHERE state = 'intent' AND origin = ?1",
        (library,),
    )
    return {row[0] for row in rows}


class _Place(NamedTuple):
    """Where a file stands in the catalogue from now on."""

    step: int
    item: int
    leads: bool
    row: Known | None


def _write(
    connection: apsw.Connection, taking: Taking, batch: int, identity: Identity, place: _Place, now: int
) -> None:
    path, stat, taken = identity.sighting.path, identity.sighting.stat, identity.taken
    dated = (taken.local.isoformat(), taken.offset_minutes, taken.source, taken.confidence) if taken else ()
    connection.execute(
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome, code,"
        " reason, digest, kind, evidence, taken, offset_min, source, confidence)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 'filed', 'adopted', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(place.step, taking.key, path, stat.size, stat.mtime_ns, stat.ctime_ns, stat.ino, now, _WHY),
            *(identity.digest, identity.facts.kind, evidence_of(identity, "")),
            *(dated or (None,) * 4),
        ),
    )
    connection.execute(
        "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, source, origin,"
        " keeps, time) VALUES (?1, ?2, ?3, ?1, 'adopt', 'done', ?4, ?5, ?5, ?4, 1, ?6)",
        (place.step, place.item, batch, taking.row, path, now),
    )
    role = "principal" if place.leads else "companion"
    values = (stat.size, stat.mtime_ns, identity.digest, role, place.item, place.step)
    if place.row is not None:
        if place.row.read:  # somebody compared with it before
            note_content(connection, place.row.id, identity, now)
        connection.execute(
            "UPDATE file SET size = ?, mtime_ns = ?, digest = ?, role = ?, item = ?, step = ?, missing = 0"
            " WHERE id = ?",
            (*values, place.row.id),
        )
    else:
        connection.execute(
            "INSERT INTO file (library, path, name_key, size, mtime_ns, digest, role, item, step)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (taking.row, path, key_of(path), *values),
        )


def _count(connection: apsw.Connection, counts: Counts, identity: Identity, item: int, library: int) -> None:
    counts.adopted += 1
    counts.undated += identity.taken is None
    counts.doubtful += identity.taken is not None and identity.taken.confidence == "low"
    other = connection.execute(  # what is still to be adopted here, read or not, is counted in its turn
        "SELECT 1 FROM file WHERE digest = ? AND item IS NOT ? AND role <> 'companion' AND NOT missing"
        " AND (item NOT NULL OR library <> ?) LIMIT 1",
        (identity.digest, item, library),
    ).fetchone()
    counts.duplicates += other is not None


def note_content(connection: apsw.Connection, row: int, identity: Identity, now: int) -> None:
    """A library file was read, and nothing else is done with it: its content is known from now on.

    What it should be stays known: to adopt is not to accept what was edited, or has rotted.
    """
    verifying.was_read(connection, row, identity.digest, identity.sighting.stat, now)


# --- Is it the library whose marker was lost? --------------------------------------------------------


class Recorded(NamedTuple):
    """A library file as it was recorded; `digest` None where it was never read."""

    path: bytes
    size: int
    mtime_ns: int
    digest: bytes | None


class Lost(NamedTuple):
    """A library of the catalogue.

    Attributes:
        path: where it lay when it was last seen. identity: of that folder, "" where it is not known.
    """

    row: int
    marker: str
    path: bytes
    files: int
    identity: str


def last_known(connection: apsw.Connection, name: str) -> Lost | None:
    """The library that the catalogue knows under this name."""
    row = connection.execute(
        "SELECT id, marker, path, files, identity FROM library WHERE name = ? ORDER BY id DESC LIMIT 1",
        (name,),
    ).fetchone()
    return None if row is None else Lost(*row)


def recorded(connection: apsw.Connection, library: int, after: bytes) -> tuple[list[Recorded], bytes | None]:
    """The next files that should be in a library, as far as one window shows them.

    Args:
        after: the key after which to begin.

    Returns:
        the files, and the key after which to go on; None at the end.
    """
    rows = connection.execute(
        "SELECT name_key, path, size, mtime_ns, digest, missing FROM file WHERE library = ? AND name_key > ?"
        " ORDER BY name_key LIMIT ?",
        (library, after, WINDOW),
    )
    found: list[Recorded] = []
    seen, on = 0, b""
    for key, *values, missing in rows:
        seen, on = seen + 1, key
        if not missing:
            found.append(Recorded(*values))
    return found, on if seen == WINDOW else None
