"""All that the catalogue knows of one file's way. Each question is part of a unit of work of a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apsw

from mediad.layout import key_of
from mediad.store import verifying
from mediad.store.changes import FOUND
from mediad.store.paths import below, under
from mediad.store.whereabouts import Subject

_MOST_STEPS = 100  # the newest; a file may be tried in vain again and again
_MOST_COMPANIONS = 100


class Told(NamedTuple):
    """A step of the story.

    Attributes:
        time: microseconds since the epoch.
        root: the batch's, and `label` its label, "" for none.
        library: the row of the library, and `path` what the step names in it.
        destination, witness: absolute.
        shifted: it moved what mediad had taken before; see `store.changes`.
    """

    id: int
    item: int
    batch: int
    time: int
    action: str
    state: str
    note: str
    root: bytes
    label: str
    library: int | None
    path: bytes | None
    destination: bytes | None
    witness_file: int | None
    witness: bytes | None
    shifted: bool


class Place(NamedTuple):
    """Where a file should be now, None for nowhere any more, and what it should be there.

    Attributes:
        file: its row in the catalogue of what the libraries have, if it has one, and `role` what it is there.
    """

    path: bytes | None
    size: int
    mtime_ns: int
    digest: bytes | None
    file: int | None = None
    role: str = ""


class Finding(NamedTuple):
    """What `mediactl verify` found of a library file that is not as it should be, and when."""

    state: str
    found: int


class Dated(NamedTuple):
    """The date that a file was filed by, and what it was chosen from: its principal's.

    Attributes:
        path: what the principal came as, below what it came from; None where that is the file itself.
    """

    taken: str | None = None
    offset_min: int | None = None
    source: str | None = None
    confidence: str | None = None
    evidence: str | None = None
    path: bytes | None = None


class Seen(NamedTuple):
    """The arrival of the story; the attributes are those of the table."""

    id: int
    watch: str
    path: bytes
    size: int
    mtime_ns: int
    seen: int
    outcome: str | None
    code: str
    reason: str
    digest: bytes | None
    kind: str | None
    evidence: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """A file's story. Paths are absolute.

    Attributes:
        origin: the name of the watch that it came from, or the folder of an import; "" if it was found.
        source: None if it was found in a library.
        label: of the batch that brought it, "" for none.
        steps: oldest first.
        companions: the other files of its set.
    """

    origin: str
    source: bytes | None
    seen: Seen | None
    dated: Dated
    label: str
    steps: Sequence[Told]
    place: Place
    finding: Finding | None
    companions: Sequence[bytes]


def accounts(connection: apsw.Connection, subjects: Sequence[Subject]) -> list[Account]:
    """The stories of these rows."""
    return [
        _found(connection, subject.id) if subject.kind == "found" else _arrived(connection, subject.id)
        for subject in subjects
    ]


def _found(connection: apsw.Connection, file: int) -> Account:
    row = connection.execute("SELECT id, library FROM file WHERE id = ?", (file,)).fetchone()
    assert row is not None
    place = _in_library(connection, *row)
    return Account("", None, None, Dated(), "", (), place, _finding(connection, place), ())


def _arrived(connection: apsw.Connection, arrival: int) -> Account:
    row = connection.execute(
        "SELECT id, watch, path, size, mtime_ns, seen, outcome, code, reason, digest, kind, evidence"
        " FROM arrival WHERE id = ?",
        (arrival,),
    ).fetchone()
    assert row is not None
    seen = Seen(*row)
    steps = _steps(connection, arrival)
    origin, root = origin_of(connection, seen.watch)
    brought = next((step for step in reversed(steps) if not step.shifted), None)
    if root is None and brought is not None:
        root = brought.root
    source = below(root, seen.path)
    place = _place(connection, seen, steps, source)
    return Account(
        origin=origin,
        source=None if seen.watch.startswith(FOUND) else source,
        seen=seen,
        dated=_dated(connection, seen, steps),
        label=brought.label if brought is not None else "",
        steps=steps,
        place=place,
        finding=_finding(connection, place),
        companions=_companions(connection, seen, steps, place.path),
    )


def origin_of(connection: apsw.Connection, watch: str) -> tuple[str, bytes | None]:
    """Where arrivals of this key came from, for people: the watch's name or the import's folder; its root."""
    row = connection.execute("SELECT kind, root FROM place WHERE key = ?", (watch,)).fetchone()
    if row is None:
        return watch, None
    return origin_name(watch, row[0], row[1]), row[1]


def origin_name(watch: str, kind: str | None, root: bytes | None) -> str:
    """What people call the place of this key and kind; see `origin_of`."""
    if kind == "import" and root is not None:
        return root.decode("utf-8", "replace")
    return watch.rpartition("@")[0] if kind == "former" else watch


def _steps(connection: apsw.Connection, arrival: int) -> list[Told]:
    rows = connection.execute(
        "SELECT step.id, step.item, step.batch, step.time, step.action, step.state, step.note, batch.root,"
        " batch.label, step.library, step.destination, iif(step.library IS NULL, place.root, library.path),"
        " witness.id, witness.path, home.path, step.change IS NOT NULL"
        " FROM step JOIN batch ON batch.id = step.batch JOIN arrival ON arrival.id = step.arrival"
        " LEFT JOIN place ON place.key = arrival.watch"
        " LEFT JOIN library ON library.id = step.library"
        " LEFT JOIN file AS witness ON witness.id = step.witness"
        " LEFT JOIN library AS home ON home.id = witness.library"
        " WHERE step.arrival = ? ORDER BY step.id DESC LIMIT ?",
        (arrival, _MOST_STEPS),
    )
    return [_told(row) for row in rows][::-1]


def _told(row: Sequence[Any]) -> Told:
    *own, path, root, witness, name, home, shifted = row
    return Told(*own, path, below(root, path), witness, below(home, name), bool(shifted))  # type: ignore[call-arg]


def _dated(connection: apsw.Connection, seen: Seen, steps: Sequence[Told]) -> Dated:
    """A companion has its principal's date; that of a late one is in the set beside which it went. What the
    library had already is in no set.
    """
    head: int | None = None
    if steps and seen.outcome != "duplicate":
        newest = steps[-1]
        late = newest.witness_file is not None and (seen.outcome == "filed" or seen.kind == "sidecar")
        alone = newest.shifted and newest.id == newest.item
        if newest.id != newest.item:
            head = newest.item
        elif alone and (item := _set_of_companion(connection, newest.id)) is not None:
            head = item
        elif late:
            row = connection.execute("SELECT item FROM file WHERE id = ?", (newest.witness_file,)).fetchone()
            if row is None or row[0] is None:
                return Dated()
            head = row[0]
    row = connection.execute(
        "SELECT taken, offset_min, source, confidence, evidence, iif(id = ?2, NULL, path) FROM arrival"
        " WHERE id = coalesce((SELECT arrival FROM step WHERE id = ?1), iif(?1 IS NULL, ?2, NULL))",
        (head, seen.id),
    ).fetchone()
    return Dated() if row is None else Dated(*row)


def _set_of_companion(connection: apsw.Connection, step: int) -> int | None:
    """The set of a companion that this step moved by itself."""
    row = connection.execute(
        "SELECT json_extract(change, '$.bond[1]') FROM step"
        " WHERE id = ? AND json_extract(change, '$.bond[0]') = 'companion'",
        (step,),
    ).fetchone()
    return None if row is None else row[0]


def _place(connection: apsw.Connection, seen: Seen, steps: Sequence[Told], source: bytes | None) -> Place:
    """Where the file should be. Of a library file its row has the last word."""
    for step in reversed(steps):
        if step.state == "done" and step.action == "expire":
            return Place(None, seen.size, seen.mtime_ns, seen.digest)
        if step.state == "done" and step.library is None and step.path is not None:  # back where it was
            break
        if step.state == "done" and step.destination is not None and _stands(step, seen):
            row = _row_of(connection, step)
            if row is not None:
                return _in_library(connection, *row)
            return Place(step.destination, seen.size, seen.mtime_ns, seen.digest)
    return Place(source, seen.size, seen.mtime_ns, seen.digest)


def _row_of(connection: apsw.Connection, step: Told) -> tuple[int, int] | None:
    """The library file that a step put there, and its library. One that nobody brought names no step."""
    assert step.path is not None
    row = connection.execute(
        "SELECT id, library FROM file WHERE step = ?1 UNION ALL"
        " SELECT id, library FROM file WHERE library = ?2"
        " AND name_key = ?3 AND path = ?4 AND step IS NULL AND (role = 'found' OR item = ?5) LIMIT 1",
        (step.id, step.library, key_of(step.path), step.path, step.item),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def _in_library(connection: apsw.Connection, file: int, library: int) -> Place:
    """What a library file should be: somebody may have edited or moved it, and said so."""
    row = connection.execute(
        "SELECT library.path, file.role FROM file JOIN library ON library.id = ?2 WHERE file.id = ?1",
        (file, library),
    ).fetchone()
    known = verifying.at(connection, file, library)
    assert row is not None
    assert known is not None
    root, role = row
    return Place(under(root, known.path), known.size, known.mtime_ns, known.digest, file, role)


def _finding(connection: apsw.Connection, place: Place) -> Finding | None:
    row = connection.execute("SELECT state, found FROM finding WHERE file = ?", (place.file,)).fetchone()
    return None if row is None else Finding(*row)


def _stands(step: Told, seen: Seen) -> bool:
    """Did it put this file there, and was that not taken back?

    What a row took over from an earlier one of its path came to nothing, unless it went into quarantine.
    """
    return seen.outcome != "failed" if step.id >= seen.id else step.action == "quarantine"


def _companions(
    connection: apsw.Connection, seen: Seen, steps: Sequence[Told], place: bytes | None
) -> list[bytes]:
    """The other files of the set, those that came later and those that stayed where they were among them."""
    if not steps:
        return []
    own = steps[-1]
    filed = connection.execute(
        "SELECT library.path, file.path FROM file JOIN library ON library.id = file.library WHERE item IN"
        " (SELECT ?1 UNION SELECT item FROM file WHERE step = ?2 AND library = ?3 AND name_key = ?4)"
        " AND NOT missing ORDER BY file.id LIMIT ?5",
        (own.item, own.id, own.library, key_of(own.path or b""), _MOST_COMPANIONS),
    )
    found = dict.fromkeys(under(*row) for row in filed)
    others = connection.execute(
        "SELECT coalesce(origin.path, iif(step.change IS NULL, batch.root, place.root), batch.root),"
        " coalesce(step.source, arrival.path), iif(step.library IS NULL, place.root, library.path),"
        " iif(arrival.outcome = 'failed', NULL, step.destination)"
        " FROM step JOIN arrival ON arrival.id = step.arrival JOIN batch ON batch.id = step.batch"
        " LEFT JOIN library ON library.id = step.library"
        " LEFT JOIN library AS origin ON origin.id = step.origin"
        " LEFT JOIN place ON place.key = arrival.watch"
        " WHERE step.item = ? AND step.state = 'done' AND step.arrival <> ?"
        " ORDER BY step.id LIMIT ?",
        (own.item, seen.id, _MOST_COMPANIONS),
    )
    for root, path, library, destination in others:
        found[below(library, destination) or under(root, path)] = None
    return [path for path in found if path != place]
