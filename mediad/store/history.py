"""Questions about what was done, step by step. Each is part of a unit of work of a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import apsw

from mediad.store.reading import WINDOW

_LAST = 1 << 62  # no id is higher


class Done(NamedTuple):
    """A step that was carried out, and the file that it was about.

    Attributes:
        position: where the walk that found it was.
        item: the step of its set's principal, of one that came at another time, too.
        time: microseconds since the epoch.
        root: the folder that it came from, and `source` the path below it.
        library: the folder that it went to, and `destination` the path below it.
        taken: local time as the catalogue has it; like what follows it the principal's, since that decided.
        undone: it was taken back, and that stands. moved: the file was moved again since, and its outcome and
            reason are of that.
        overtaken: the file's path tells a later story, and all that is not of the step is of that one.
    """

    position: int
    id: int
    item: int
    batch: int
    time: int
    action: str
    root: bytes
    source: bytes
    library: bytes | None
    destination: bytes | None
    outcome: str | None
    reason: str
    size: int
    digest: bytes | None
    kind: str | None
    overtaken: int
    taken: str | None
    offset_min: int | None
    taken_source: str | None
    confidence: str | None
    undone: int
    moved: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which steps.

    Attributes:
        since: carried out then or later, microseconds; None for all.
        batch: of this batch; None for all.
        doubtful: only files that were filed by a date of low confidence.
    """

    since: int | None = None
    batch: int | None = None
    doubtful: bool = False


class Place(NamedTuple):
    """How far a walk has come: what lies at `position` was seen up to the step `step`."""

    position: int
    step: int


_COLUMNS = """
    step.id, coalesce(head.id, step.item), step.batch, step.time, step.action,
    coalesce(origin.path, iif(step.change IS NULL, batch.root, coalesce(place.root, batch.root))),
    coalesce(step.source, arrival.path),
    iif(step.library IS NULL, place.root, library.path), step.destination,
    coalesce(json_extract(step.change, '$.will_be.outcome'), arrival.outcome),
    iif(step.change IS NULL, arrival.reason, step.note),
    coalesce(step.moved_size, arrival.size), coalesce(step.moved_digest, arrival.digest),
    arrival.kind, arrival.id > step.id, lead.taken, lead.offset_min, lead.source, lead.confidence,
    step.undone IS NOT NULL, step.change IS NULL AND EXISTS (
        SELECT 1 FROM step AS later
        WHERE later.arrival = step.arrival AND later.id > step.id AND later.change NOT NULL)"""

# The principal of a companion that came later is in the set of the file beside which it went; that of a
# companion that was moved by itself is in the set that it was of.
_ALL = f"""
SELECT step.id, {_COLUMNS}
FROM step
JOIN arrival ON arrival.id = step.arrival
JOIN batch ON batch.id = step.batch
LEFT JOIN library ON library.id = step.library
LEFT JOIN library AS origin ON origin.id = step.origin
LEFT JOIN place ON place.key = arrival.watch
LEFT JOIN step AS first ON first.id = step.item
LEFT JOIN arrival AS came ON came.id = first.arrival
LEFT JOIN file AS witness ON witness.id = first.witness
LEFT JOIN step AS head ON head.id = CASE
    WHEN json_extract(first.change, '$.bond[0]') = 'companion' THEN json_extract(first.change, '$.bond[1]')
    WHEN witness.id IS NOT NULL AND (came.outcome = 'filed' OR came.kind = 'sidecar') THEN witness.item
    ELSE step.item END
LEFT JOIN arrival AS lead ON lead.id = head.arrival
WHERE step.id > :position AND step.id <= :upto AND step.state = 'done' AND step.time >= :since {{batch}}
ORDER BY step.id LIMIT :limit"""  # noqa: S608

# In this order (CROSS), so that a window holds few rows.
# What has a witness and was filed all the same is a companion that came later: its own date counts nothing.
_DOUBTFUL = f"""
SELECT lead.id, {_COLUMNS}
FROM arrival AS lead INDEXED BY arrival_doubtful
CROSS JOIN step AS head ON head.arrival = lead.id AND head.id = head.item
    AND (head.witness IS NULL OR lead.outcome <> 'filed')
CROSS JOIN step ON step.item = head.id AND step.state = 'done'
CROSS JOIN arrival ON arrival.id = step.arrival AND arrival.outcome = 'filed' AND arrival.id <= step.id
CROSS JOIN batch ON batch.id = step.batch
LEFT JOIN library ON library.id = step.library
LEFT JOIN library AS origin ON origin.id = step.origin
LEFT JOIN place ON place.key = arrival.watch
WHERE lead.confidence = 'low' AND lead.id >= :position AND lead.id <= :upto
    AND (lead.id, step.id) > (:position, :step) AND step.time >= :since {{batch}}
ORDER BY lead.id, head.id, step.id LIMIT :limit"""  # noqa: S608


def place_after(connection: apsw.Connection, wanted: Wanted, step: int) -> Place:
    """Where a walk goes on whose last step is known."""
    step = min(max(step, 0), _LAST)
    if not wanted.doubtful:
        return Place(step, step)
    row = connection.execute(
        "SELECT head.arrival FROM step JOIN step AS head ON head.id = step.item WHERE step.id = ?", (step,)
    ).fetchone()
    return Place(step if row is None else row[0], step)


def done_steps(
    connection: apsw.Connection, wanted: Wanted, place: Place, limit: int
) -> tuple[list[Done], Place | None]:
    """The next steps, oldest first, as far as one window shows them.

    Returns:
        The steps, and where to go on; None at the end.
    """
    table = "arrival" if wanted.doubtful else "step"
    newest = connection.execute(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608
    upto = place.position + WINDOW
    sql = _DOUBTFUL if wanted.doubtful else _ALL
    rows = connection.execute(
        sql.format(batch="" if wanted.batch is None else "AND step.batch = :batch"),
        {
            **place._asdict(),
            "upto": upto,
            "since": -(1 << 63) if wanted.since is None else wanted.since,
            "batch": wanted.batch,
            "limit": limit,
        },
    )
    found = [Done(*row) for row in rows]
    if len(found) == limit:
        return found, Place(found[-1].position, found[-1].id)
    assert newest is not None
    return found, None if upto >= (newest[0] or 0) else Place(upto, _LAST)
