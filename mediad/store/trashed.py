"""What lies in trash, and when it was first seen that its time is over. Each is part of a unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from mediad.keeping.change import Spot
from mediad.keeping.expiry_clock import Look

_BEFORE = 200  # steps before one among which the clock of then is looked for


class Trashed(NamedTuple):
    """A file in trash.

    Attributes:
        step: that brought it there. time: when, as that says; microseconds since the epoch.
        state: of its arrival.
        others: where else its content is, as far as is known; None where somebody wanted it gone anyway.
    """

    step: int
    arrival: int
    spot: Spot
    size: int
    digest: bytes
    time: int
    state: dict[str, object]
    others: tuple[Spot, ...] | None


def trashed(connection: apsw.Connection, library: int, after: int, until: int, limit: int) -> list[Trashed]:
    """Files in a library's trash, the oldest first.

    Args:
        after: only those of a higher step. until: only those put there by then, microseconds, and those whose
            time seemed to be over at an earlier look.
    """
    rows = connection.execute(
        "SELECT step.id, step.arrival, step.library, library.path, step.destination,"
        " coalesce(step.moved_size, arrival.size), coalesce(step.moved_digest, arrival.digest), step.time,"
        " arrival.outcome, arrival.code, arrival.reason, arrival.stays,"
        " arrival.path, place.root, coalesce(place.identity, '')"
        " FROM step JOIN library ON library.id = step.library JOIN arrival ON arrival.id = step.arrival"
        " LEFT JOIN place ON place.key = arrival.watch"
        " WHERE step.library = ? AND step.id > ? AND step.state = 'done'"
        " AND substr(step.destination, 1, 14) = X'2E6D65646961642F74726173682F'"  # .mediad/trash/
        " AND (step.time <= ? OR step.id IN (SELECT step FROM expiring)) AND NOT EXISTS ("
        "  SELECT 1 FROM step AS later WHERE later.arrival = step.arrival AND later.id > step.id"
        "  AND later.state = 'done' AND later.action <> 'leave')"
        " ORDER BY step.id LIMIT ?",
        (library, after, until, limit),
    )
    return [_trashed(connection, row) for row in list(rows)]


def _trashed(connection: apsw.Connection, row: Sequence[Any]) -> Trashed:
    step, arrival, library, root, destination, size, digest, time, outcome, code, *rest = row
    reason, stays, path, own_root, identity = rest
    others: tuple[Spot, ...] | None = None
    if code != "trashed":
        own = [Spot(None, own_root, path, identity)] if own_root is not None else []
        others = (*_holders(connection, digest, size), *own)
    state = {"outcome": outcome, "code": code, "reason": reason, "stays": stays}
    return Trashed(step, arrival, Spot(library, root, destination), size, digest, time, state, others)


def _holders(connection: apsw.Connection, digest: bytes, size: int) -> list[Spot]:
    rows = connection.execute(
        "SELECT file.library, library.path, file.path FROM file JOIN library ON library.id = file.library"
        " WHERE digest = ? AND size = ? AND NOT missing ORDER BY file.id LIMIT 3",
        (digest, size),
    )
    return [Spot(*row) for row in rows]


def placed_at(connection: apsw.Connection, step: int) -> int:
    """The latest time that was recorded up to this step: its own, unless the clock had fallen back then."""
    row = connection.execute(
        "SELECT max(time) FROM step WHERE id <= ? AND id > ?", (step, step - _BEFORE)
    ).fetchone()
    assert row is not None
    return int(row[0])


def first_look(connection: apsw.Connection, step: int) -> Look | None:
    """The look at which the time of this step's file first seemed to be over."""
    row = connection.execute("SELECT boot, uptime, wall FROM expiring WHERE step = ?", (step,)).fetchone()
    return Look(*row) if row else None


def set_looks(connection: apsw.Connection, steps: Iterable[int], look: Look | None) -> None:
    """Note the first look at these, or that their time is not over after all."""
    for step in steps:
        connection.execute("DELETE FROM expiring WHERE step = ?", (step,))
        if look is not None:
            connection.execute(
                "INSERT INTO expiring (step, boot, uptime, wall) VALUES (?, ?, ?, ?)",
                (step, look.boot_id, look.uptime_s, look.wall_us),
            )
