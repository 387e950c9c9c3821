"""The journal: what is about to be done with each file is durable here before it is done.

A step is an `intent` until it is `done` or `reverted`. What a start finds as an intent was cut off, and
`ingest.recover` finishes or reverts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apsw

from mediad.media import companions
from mediad.model import Identity, Sighting, Stat

_MAKES_WAY = ("failed", "ignored", "quarantined")
_EARLIER = (
    "SELECT id, outcome, code, dismissed, (size, mtime_ns, ino) = (?, ?, ?),"
    " EXISTS (SELECT 1 FROM step WHERE step.arrival = arrival.id AND step.change NOT NULL"
    "  AND step.state <> 'reverted')"
    " FROM arrival WHERE id < ? AND outcome NOT NULL AND"
)
_IN_WATCH = f"{_EARLIER} watch = ? AND path = ? AND stays"
_IN_QUARANTINE = f"{_EARLIER} id = (SELECT arrival FROM step WHERE step.id = ?)"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Entry:
    """One step, as the journal has it.

    Attributes:
        id: also names its temporary files. item: the set, which is its principal's step.
        library: the library's row, and `destination` the path in it.
        source: where it lies below its batch's root, None where the sighting's path says so.
    """

    id: int
    item: int
    batch: int
    identity: Identity
    action: str
    library: int
    destination: bytes | None
    witness: int | None
    evidence: str
    source: bytes | None = None


def begin(connection: apsw.Connection, entries: Sequence[Entry], now: int) -> None:
    """Record intents; durable when the unit of work ends."""
    connection.executemany(
        "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, digest, kind,"
        " taken, offset_min, source, confidence, evidence, content_id, kin)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [_arrival_row(entry, now) for entry in entries],
    )
    connection.executemany(
        "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, witness,"
        " source, time) VALUES (?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?, ?)",
        [
            (e.id, e.item, e.batch, e.id, e.action, e.library, e.destination, e.witness, e.source, now)
            for e in entries
        ],
    )
    for entry in entries:
        replace_earlier(connection, entry.id, entry.identity.sighting)


def replace_earlier(connection: apsw.Connection, arrival: int, sighting: Sighting) -> None:
    """A file tells a new story: rows that only said why it had not been taken make way.

    Of a file in a watch its path tells which; of one in quarantine the step that brought it there, since
    several there may have come from one path. Who has dismissed a file is not told the same of it again.

    A row that has a story of its own keeps it, and only stays there no more: that of a file that a library
    had and that was taken back lies in trash, perhaps, and has nothing to do with a newcomer. Where that is
    the very same file, taken again, it counts once.

    Args:
        arrival: the new row.
    """
    stat = sighting.stat
    values = (stat.size, stat.mtime_ns, stat.ino, arrival)
    if sighting.kept is None:
        found = connection.execute(_IN_WATCH, (*values, sighting.watch, sighting.path))
    else:
        found = connection.execute(_IN_QUARANTINE, (*values, sighting.kept.step))
    for earlier, outcome, code, dismissed, same, shifted in found.fetchall():
        if sighting.kept is None and (shifted or outcome not in _MAKES_WAY):
            connection.execute(
                "UPDATE arrival SET stays = 0, dismissed = dismissed OR ?1,"
                " reason = iif(?1, reason || '; taken again since', reason) WHERE id = ?2",
                (same and outcome == "ignored", earlier),
            )
            continue
        connection.execute("UPDATE step SET arrival = ? WHERE arrival = ?", (arrival, earlier))
        connection.execute("DELETE FROM arrival WHERE id = ?", (earlier,))
        if dismissed:  # while its outcome is not known, its code says what was dismissed
            connection.execute(
                "UPDATE arrival SET dismissed = 1, code = ?1 WHERE id = ?2"
                " AND (outcome IS NULL OR (outcome, code) = (?3, ?1))",
                (code, arrival, outcome),
            )


def _arrival_row(entry: Entry, now: int) -> tuple[object, ...]:
    identity = entry.identity
    stat = identity.sighting.stat
    taken = identity.taken
    return (
        entry.id,
        identity.sighting.watch,
        identity.sighting.path,
        stat.size,
        stat.mtime_ns,
        stat.ctime_ns,
        stat.ino,
        now,
        identity.digest,
        identity.facts.kind,
        taken.local.isoformat() if taken else None,
        taken.offset_minutes if taken else None,
        taken.source if taken else None,
        taken.confidence if taken else None,
        entry.evidence,
        identity.facts.content_id or None,
        companions.key(identity.sighting.path),
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a step ended.

    Attributes:
        stat: the library file, where there is one now; `key` its name key, `role` its part in the set.
        source: the source as it stands now, None if it is no longer there.
        action: what was really done (a duplicate that is the very same inode is left, not trashed).
        item: the set that the library file belongs to, None beside a file that nobody brought.
    """

    id: int
    item: int | None
    action: str
    outcome: str
    code: str
    reason: str
    source: Stat | None
    library: int
    destination: bytes | None
    key: bytes
    stat: Stat | None
    digest: bytes
    role: str


def finish(
    connection: apsw.Connection, endings: Sequence[Ending], folders: Iterable[tuple[int, bytes]], now: int
) -> None:
    """Record what was done.

    Args:
        folders: the folders made on the way, by library.
    """
    connection.executemany(
        "UPDATE arrival SET outcome = ?1, code = ?2, reason = ?3, stays = ?4,"
        " ctime_ns = coalesce(?5, ctime_ns),"
        " dismissed = dismissed AND code = ?2 AND ?1 IN ('failed', 'quarantined')"
        " WHERE id = (SELECT arrival FROM step WHERE id = ?6)",
        [
            (e.outcome, e.code, e.reason, e.source is not None, e.source and e.source.ctime_ns, e.id)
            for e in endings
        ],
    )
    connection.executemany(
        "UPDATE step SET state = 'done', action = ?, destination = ?, time = ? WHERE id = ?",
        [(e.action, e.destination, now, e.id) for e in endings],
    )
    connection.executemany(
        "INSERT INTO file (library, path, name_key, size, mtime_ns, digest, role, item, step)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (e.library, e.destination, e.key, e.stat.size, e.stat.mtime_ns, e.digest, e.role, e.item, e.id)
            for e in endings
            if e.stat is not None and e.outcome == "filed"
        ],
    )
    connection.executemany("INSERT OR IGNORE INTO folder (library, path) VALUES (?, ?)", folders)


def revert(connection: apsw.Connection, steps: Sequence[int], note: str, now: int) -> None:
    """Record that nothing came of these steps; their arrivals never happened.

    What was taken from quarantine is there again.
    """
    connection.executemany(
        "UPDATE step SET state = 'reverted', note = ?, time = ? WHERE id = ?",
        [(note, now, id_) for id_ in steps],
    )
    connection.executemany(
        "UPDATE arrival SET code = 'reverted', reason = ?1, stays = step.source IS NULL,"
        " outcome = iif(step.source IS NULL, 'failed', 'quarantined')"
        " FROM step WHERE step.id = ?2 AND arrival.id = step.arrival",
        [(note, id_) for id_ in steps],
    )


@dataclass(frozen=True, slots=True)
class OpenStep:
    """An intent that a crash left behind.

    Attributes:
        destination: in the library; without one, below `root`; None where nothing moves.
        root: the folder that `path` is below, as it was then.
        home: the root, as it is now, of the library in whose quarantine the file lies; None: in a watch.
        origin: the row of the library in which `path` is, and `origin_root` its root; None: below `root`.
        identity: of the folder `root`, "" where that is not known.
        keeps: the file there stays. shifts: it is of those that `store.changes` keeps.
    """

    id: int
    item: int
    action: str
    library: int | None
    destination: bytes | None
    watch: str
    root: bytes
    path: bytes
    size: int
    mtime_ns: int
    digest: bytes
    home: bytes | None = None
    origin: int | None = None
    origin_root: bytes | None = None
    identity: str = ""
    keeps: bool = False
    shifts: bool = False

    @property
    def keeper(self) -> int | None:
        """The row of the library whose recovery has to end it."""
        return self.origin if self.library is None else self.library

    @property
    def lies_still(self) -> bool:
        """Does its file go nowhere, since it is removed, or only what is said of it changes?"""
        here = self.library is not None and (self.library, self.destination) == (self.origin, self.path)
        return self.destination is None or here


def open_steps(connection: apsw.Connection) -> list[OpenStep]:
    """All intents, oldest first."""
    rows = connection.execute(
        "SELECT step.id, step.item, step.action, step.library, step.destination, arrival.watch,"
        " iif(step.change IS NULL, batch.root, coalesce(place.root, batch.root)),"
        " coalesce(step.source, arrival.path), coalesce(step.moved_size, arrival.size), arrival.mtime_ns,"
        " coalesce(step.moved_digest, arrival.digest),"
        " home.path, step.origin, origin.path, coalesce(place.identity, ''), step.keeps <> 0,"
        " step.change IS NOT NULL"
        " FROM step JOIN arrival ON arrival.id = step.arrival JOIN batch ON batch.id = step.batch"
        " LEFT JOIN place ON place.key = arrival.watch"
        " LEFT JOIN library AS origin ON origin.id = step.origin"
        " LEFT JOIN library AS home ON step.source IS NOT NULL AND step.origin IS NULL AND home.id = ("
        "  SELECT put.library FROM step AS put WHERE put.arrival = step.arrival AND put.action = 'quarantine'"
        "  AND put.state = 'done' ORDER BY put.id DESC LIMIT 1)"
        " WHERE step.state = 'intent' ORDER BY step.id"
    )
    return [OpenStep(*row[:15], *map(bool, row[15:])) for row in rows]


def open_names(connection: apsw.Connection) -> list[tuple[int, str, bytes]]:
    """All intents: their ids, what their files are taken from, and the paths there."""
    rows = connection.execute(
        "SELECT step.id, batch.watch, coalesce(step.source, arrival.path)"
        " FROM step JOIN arrival ON arrival.id = step.arrival JOIN batch ON batch.id = step.batch"
        " WHERE step.state = 'intent' AND step.change IS NULL"
    )
    return [(int(id_), str(root), bytes(place)) for id_, root, place in rows]


def set_of(connection: apsw.Connection, step: OpenStep) -> int | None:
    """The library's set that an open step's file belongs to: a companion may join one that came earlier."""
    row = connection.execute(
        "SELECT file.item FROM step JOIN file ON file.id = step.witness WHERE step.id = ?", (step.id,)
    ).fetchone()
    return step.item if row is None else row[0]


def joins(connection: apsw.Connection, step: OpenStep) -> bool:
    """Does a file that is filed belong to a principal that the library has? Only its step has a witness."""
    row = connection.execute("SELECT witness FROM step WHERE id = ?", (step.id,)).fetchone()
    return row is not None and row[0] is not None


def last_id(connection: apsw.Connection) -> int:
    """The highest id that arrivals, steps and batches, which share one sequence, have used."""
    row = connection.execute(
        "SELECT max((SELECT coalesce(max(id), 0) FROM arrival), (SELECT coalesce(max(id), 0) FROM step),"
        " (SELECT coalesce(max(id), 0) FROM batch))"
    ).fetchone()
    assert row is not None
    return int(row[0])


def open_batch(
    connection: apsw.Connection, watch: str, root: bytes, label: str, now: int, id_: int | None = None
) -> int:
    """Start a batch; returns its id.

    Args:
        id_: from the sequence of arrivals and steps, so that a number names one thing; None for any.
    """
    connection.execute(
        "INSERT INTO batch (id, watch, root, label, started) VALUES (?, ?, ?, ?, ?)",
        (id_, watch, root, label, now),
    )
    return connection.last_insert_rowid()


def taken_from(connection: apsw.Connection, watch: str, identity: str) -> None:
    """Files are taken from this very folder: what goes back there has to find it.

    Args:
        identity: see `Files.identity`; "" where it is not known.
    """
    if identity:
        connection.execute("UPDATE place SET identity = ? WHERE key = ?", (identity, watch))


def close_batch(connection: apsw.Connection, batch: int, now: int) -> None:
    """The watch has come to rest."""
    connection.execute("UPDATE batch SET ended = ? WHERE id = ?", (now, batch))
