"""Questions to the catalogue, and its changes outside the journal. Each is part of a unit of work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from mediad.layout import key_of
from mediad.media import companions
from mediad.model import Identity, Sighting, Stat
from mediad.store.journal import replace_earlier
from mediad.store.tally import Tally as Tally
from mediad.store.tally import holdings as holdings
from mediad.store.tally import tally as tally

FOR_EVER = 2**62
"""A time that never comes, in microseconds."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The row that tells of a source path: of the file that is there, else the newest.

    Attributes:
        seen: microseconds since the epoch.
        outcome: None while an intent is under way.
        stays: the file was left where it is.
        older: an older version of mediad wrote it, which may have known fewer formats.
    """

    id: int
    seen: int
    outcome: str | None
    code: str
    size: int
    mtime_ns: int
    ctime_ns: int
    ino: int
    stays: bool
    digest: bytes | None
    moving: bool = False
    older: bool = False

    def is_same(self, stat: Stat) -> bool:
        """Exactly this state of this file."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.ino) == (
            stat.size,
            stat.mtime_ns,
            stat.ctime_ns,
            stat.ino,
        )

    def was_moved(self, stat: Stat) -> bool:
        """Is this what we moved, seen before it had gone?"""
        same = (self.size, self.mtime_ns, self.ino) == (stat.size, stat.mtime_ns, stat.ino)
        return same and not self.stays

    def outdated(self, sighting: Sighting, started: int, now: int = FOR_EVER) -> bool:
        """Was it ignored by what an earlier configuration said, or an earlier version knew?

        Args:
            started: when the one in force was read, microseconds.
            now: what is later was recorded by a clock that was ahead, and nobody knows when.
        """
        if self.code == "excluded":
            return not sighting.excluded
        if self.code == "not-media":
            return self.older
        return self.code == "rule" and not started <= self.seen <= now

    def settles(self, stat: Stat, *, local: bool, retry_since: int, now: int = FOR_EVER) -> bool:
        """Does this row tell the end of the file that is seen now, so that nothing needs to be done?

        Args:
            local: inodes are stable; elsewhere size and mtime have to do (FAT keeps times to 2 s).
            retry_since: a failure before this time (microseconds) is tried again.
            now: so is one after it, which was recorded by a clock that was ahead.
        """
        if self.outcome is None or self.moving:  # its step is open, and whoever took it will end it
            return True
        if self.outcome == "gone":
            return False
        if self.outcome == "failed":
            # not by ctime, which our own attempts change
            same = (self.size, self.mtime_ns, self.ino) == (stat.size, stat.mtime_ns, stat.ino)
            return same and self.code != "reverted" and retry_since < self.seen <= now
        if self.is_same(stat):
            return self.stays  # else it came back, as after a power cut, or is on its way still
        if self.code in ("undone", "trashed") and self.stays:  # what was its other name has gone since
            return (self.size, self.mtime_ns, self.ino) == (stat.size, stat.mtime_ns, stat.ino)
        near = abs(self.mtime_ns - stat.mtime_ns) <= 2_000_000_000
        return self.stays and not local and self.size == stat.size and near


_MOST_FAILED = 10_000  # files of one watch that are looked for at a time

# Asked of every file, which has no row or one, as a rule: sorting in SQLite would cost ten times as much.
_ARRIVALS = """
SELECT id, seen, outcome, code, size, mtime_ns, ctime_ns, ino, stays,
 EXISTS (SELECT 1 FROM step WHERE step.arrival = arrival.id AND step.state = 'intent') AS moving, digest,
 id <= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'judged by older') AS older
FROM arrival WHERE watch = ? AND path = ?"""


def newest_arrival(connection: apsw.Connection, watch: str, path: bytes) -> Arrival | None:
    """What was last recorded of this source path; what was put back there tells, though others came since."""
    rows: list[Any] = connection.execute(_ARRIVALS, (watch, path)).fetchall()
    if not rows:
        return None
    *values, stays, moving, digest, older = max(rows, key=_here_and_newest)
    return Arrival(*values, bool(stays), digest, bool(moving), bool(older))  # type: ignore[call-arg]  # mypy counts the star as one


def _here_and_newest(row: Sequence[Any]) -> tuple[bool, int]:
    stays, moving = row[8:10]
    return bool(stays or moving), row[0]


def passing_outcome(connection: apsw.Connection, sighting: Sighting) -> str:
    """What is counted of the file at this source path and will make way for its next outcome, else "".

    See `journal.replace_earlier`.
    """
    stat = sighting.stat
    row = connection.execute(
        "SELECT outcome FROM arrival WHERE watch = ? AND path = ? AND stays"
        " AND outcome IN ('failed', 'ignored', 'quarantined')"
        " AND (outcome, code) IS NOT ('failed', 'reverted')"
        " AND ((outcome, size, mtime_ns, ino) = ('ignored', ?, ?, ?) OR NOT EXISTS ("
        "  SELECT 1 FROM step WHERE step.arrival = arrival.id AND step.change NOT NULL"
        "  AND step.state <> 'reverted'))",
        (sighting.watch, sighting.path, stat.size, stat.mtime_ns, stat.ino),
    ).fetchone()
    return "" if row is None else str(row[0])


def orphans_beside(connection: apsw.Connection, watch: str, path: bytes) -> list[bytes]:
    """Companions without a principal that may belong to this path, by its folder and name."""
    rows = connection.execute(
        "SELECT path FROM arrival"
        " WHERE watch = ?1 AND kin = ?2 AND path <> ?3 AND code IN ('orphan', 'not-media')",
        (watch, companions.key(path), path),
    )
    return list({row[0] for row in rows})


@dataclass(frozen=True, slots=True)
class KnownLibrary:
    """A library's row."""

    id: int
    marker: str
    indexed: bool


def known_library(connection: apsw.Connection, name: str) -> KnownLibrary | None:
    """The library last known under this name."""
    row = connection.execute(
        "SELECT id, marker, indexed IS NOT NULL FROM library WHERE name = ? ORDER BY id DESC LIMIT 1", (name,)
    ).fetchone()
    return None if row is None else KnownLibrary(row[0], row[1], bool(row[2]))


def known_elsewhere(connection: apsw.Connection, marker: str, path: bytes) -> str:
    """The name under which this marker was last known in another folder, "" where it was not."""
    row = connection.execute(
        "SELECT name FROM library WHERE marker = ? AND path <> ?", (marker, path)
    ).fetchone()
    return "" if row is None else str(row[0])


def remember_library(
    connection: apsw.Connection, name: str, marker: str, path: bytes, identity: str = ""
) -> KnownLibrary:
    """Record where a marker was found, under which name; `identity` as `Files.identity` has it, or ""."""
    connection.execute(
        "INSERT INTO library (marker, name, path, identity) VALUES (?, ?, ?, ?) ON CONFLICT (marker)"
        " DO UPDATE SET name = excluded.name, path = excluded.path, identity = excluded.identity",
        (marker, name, path, identity),
    )
    connection.execute("UPDATE library SET name = '' WHERE name = ? AND marker <> ?", (name, marker))
    connection.execute("UPDATE place SET root = ? WHERE key = 'library:' || ?", (path, marker))
    known = known_library(connection, name)
    assert known is not None
    return known


def remember_found(
    connection: apsw.Connection, library: int, found: Sequence[tuple[bytes, bytes, Stat]]
) -> None:
    """Record what a look at a library showed: path, name key and stat of each file.

    A file whose size or mtime is not what was recorded loses its digest: it is no witness until read again.
    Where one went missing and another took its name, the one that went stays missing.
    """
    for path, key, stat in found:
        row = connection.execute(
            "SELECT id, size, mtime_ns, missing FROM file WHERE library = ? AND name_key = ? AND path = ?"
            " ORDER BY missing, id DESC",
            (library, key, path),
        ).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO file (library, path, name_key, size, mtime_ns, role)"
                " VALUES (?, ?, ?, ?, ?, 'found')",
                (library, path, key, stat.size, stat.mtime_ns),
            )
        elif row[1] != stat.size or row[2] != stat.mtime_ns:
            connection.execute(
                "UPDATE file SET size = ?, mtime_ns = ?, digest = NULL, missing = 0 WHERE id = ?",
                (stat.size, stat.mtime_ns, row[0]),
            )
        elif row[3]:
            connection.execute("UPDATE file SET missing = 0 WHERE id = ?", (row[0],))


def forget_found(connection: apsw.Connection, library: int, path: bytes) -> None:
    """A file that a look at the library showed turns out to be ours."""
    connection.execute(
        "DELETE FROM file WHERE library = ? AND name_key = ? AND path = ? AND role = 'found'",
        (library, key_of(path), path),
    )


def library_indexed(connection: apsw.Connection, library: int, now: int) -> None:
    """All that lies in the library is known by name and size."""
    connection.execute("UPDATE library SET indexed = ? WHERE id = ?", (now, library))


def unread_of_sizes(
    connection: apsw.Connection, libraries: Iterable[int], sizes: Iterable[int]
) -> list[tuple[int, int, bytes]]:
    """Library files of these sizes that were never read: id, library and path."""
    ours = set(libraries)
    found: list[tuple[int, int, bytes]] = []
    for size in set(sizes):
        rows = connection.execute(
            "SELECT id, library, path FROM file WHERE digest IS NULL AND size = ? AND NOT missing", (size,)
        )
        found.extend(row for row in rows if row[1] in ours)
    return found


def set_digest(connection: apsw.Connection, file: int, digest: bytes, stat: Stat) -> None:
    """A library file was read."""
    connection.execute(
        "UPDATE file SET digest = ?, size = ?, mtime_ns = ?, missing = 0 WHERE id = ?",
        (digest, stat.size, stat.mtime_ns, file),
    )


def set_missing(connection: apsw.Connection, file: int) -> None:
    """A library file is not where it was, or cannot be read."""
    connection.execute("UPDATE file SET missing = 1, digest = NULL WHERE id = ?", (file,))


def record_unplanned(
    connection: apsw.Connection,
    id_: int,
    sighting: Sighting,
    seen: int,
    outcome: str,
    code: str,
    reason: str,
    evidence: Mapping[str, object],
) -> bool:
    """Record a file that needed no plan: ignored, gone or failed. It replaces an earlier such row.

    Returns:
        False if nothing was recorded: the file is gone because it was taken.
    """
    before = newest_arrival(connection, sighting.watch, sighting.path)
    if outcome == "gone" and before is not None and before.was_moved(sighting.stat):
        return False
    stat = sighting.stat
    connection.execute(
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome, code,"
        " reason, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_,
            sighting.watch,
            sighting.path,
            stat.size,
            stat.mtime_ns,
            stat.ctime_ns,
            stat.ino,
            seen,
            outcome != "gone" and sighting.kept is None,
            outcome,
            code,
            reason,
            json.dumps(evidence),
        ),
    )
    replace_earlier(connection, id_, sighting)
    return True


def failed_in(connection: apsw.Connection, watch: str) -> list[Sighting]:
    """What failed in a watch and waits to be tried again there, as it was seen; some of very many."""
    rows = connection.execute(
        "SELECT path, size, mtime_ns, ctime_ns, ino FROM arrival"
        " WHERE outcome IN ('failed', 'quarantined') AND NOT dismissed AND outcome = 'failed'"
        " AND +watch = ? AND stays AND code <> 'reverted' ORDER BY id LIMIT ?",  # by what is in trouble
        (watch, _MOST_FAILED),
    )
    return [
        Sighting(watch, path, Stat(0, ino, size, mtime_ns, ctime_ns), again=True, was="failed")
        for path, size, mtime_ns, ctime_ns, ino in rows
    ]


def touched(connection: apsw.Connection, identity: Identity) -> bool:
    """True if this content was dealt with under this path and stayed there; its new times are noted then."""
    sighting = identity.sighting
    row = newest_arrival(connection, sighting.watch, sighting.path)
    if row is None or not row.stays or row.digest != identity.digest:
        return False
    taken_back = row.outcome == "ignored" and row.code in ("undone", "trashed")
    if row.outcome not in ("filed", "duplicate", "quarantined") and not taken_back:
        return False
    stat = sighting.stat
    connection.execute(
        "UPDATE arrival SET mtime_ns = ?, ctime_ns = ?, ino = ? WHERE id = ?",
        (stat.mtime_ns, stat.ctime_ns, stat.ino, row.id),
    )
    return True


def under_way(connection: apsw.Connection, sighting: Sighting) -> bool:
    """True while the journal has an open step for this file; what lies in quarantine is another one."""
    if sighting.kept is not None:
        row = connection.execute(
            "SELECT 1 FROM step JOIN arrival ON arrival.id = step.arrival"
            " WHERE step.id = ? AND arrival.outcome IS NULL",
            (sighting.kept.step,),
        ).fetchone()
    else:
        row = connection.execute(
            "SELECT 1 FROM arrival JOIN step ON step.arrival = arrival.id"
            " WHERE arrival.watch = ? AND path = ? AND step.state = 'intent'"
            " AND (step.change NOT NULL OR (step.id = arrival.id AND step.source IS NULL))",
            (sighting.watch, sighting.path),
        ).fetchone()
    return row is not None


def set_unread(connection: apsw.Connection, file: int) -> None:
    """A library file has other content than recorded; it is read again before it witnesses anything."""
    connection.execute("UPDATE file SET digest = NULL WHERE id = ?", (file,))


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """A library file as the catalogue has it; `library` is the library's row."""

    id: int
    library: int
    path: bytes
    size: int
    mtime_ns: int


def became_of(connection: apsw.Connection, arrival: int) -> LibraryFile | None:
    """The library file that has an arrival's content: what it became, or what it was a duplicate of.

    Returns:
        None where the catalogue knows of none, or where that one was changed since.
    """
    step = connection.execute(
        "SELECT step.action, step.library, step.destination, step.witness, arrival.digest"
        " FROM step JOIN arrival ON arrival.id = step.arrival"
        " WHERE arrival.id = ? AND step.state = 'done' ORDER BY step.id DESC LIMIT 1",
        (arrival,),
    ).fetchone()
    if step is None:
        return None
    action, library, destination, witness, digest = step
    columns = "SELECT id, library, path, size, mtime_ns FROM file WHERE NOT missing AND digest = ? AND "
    if action in ("leave", "trash"):  # the witness is the set's: a companion has the bytes of another file
        where = "library = (SELECT library FROM file WHERE id = ?) ORDER BY id = ? DESC, id LIMIT 1"
        row = connection.execute(columns + where, (digest, witness, witness)).fetchone()
    else:
        where = "library = ? AND name_key = ? AND path = ?"
        values = (digest, library, key_of(destination), destination)
        row = connection.execute(columns + where, values).fetchone()
    return None if row is None else LibraryFile(*row)
