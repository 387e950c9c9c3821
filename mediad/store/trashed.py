"""What lies in trash, and when it was first seen that its time is over. Each is part of a unit of work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import apsw

from mediad.keeping.change import Spot
from mediad.keeping.expiry_clock import Look

_BEFORE = 200  # steps before one among which the clock of then is looked for


class Trashed(NamedTuple):
    """A file in trash.

    Attributes:
        step: that brought it there. time: when, as that says; microseconds since the epoch.
        state: of its arrival.
    """

    step: int
    arrival: int
    spot: Spot
    size: int
    digest: bytes
    time: int
    state: dict[str, object]


def trashed(connection: apsw.Connection, library: int, after: int, until: int, limit: int) -> list[Trashed]:
    """Files in a library's trash, the oldest first.

    Args:
        after: only those of a higher step. until: only those put there by then, microseconds, and those whose
            time seemed to be over at an earlier look.
    """
    rows = connection.execute(
        "SELECT step.id, step.arrival, step.library, library.path, step.destination,"
        " coalesce(step.moved_size, arrival.size), coalesce(step.moved_digest, arrival.digest), step.time,"
        " arrival.outcome, arrival.code, arrival.reason, arrival.stays"
        " FROM step JOIN library ON library.id = step.library JOIN arrival ON arrival.id = step.arrival"
        " WHERE step.library = ? AND step.id > ? AND step.state = 'done'"
        " AND substr(step.destination, 1, 14) = X'2E6D65646961642F74726173682F'"  # .mediad/trash/
        " AND (step.time <= ? OR step.id IN (SELECT step FROM expiring)) AND NOT EXISTS ("
        "  SELECT 1 FROM step AS later WHERE later.arrival = step.arrival AND later.id > step.id"
        "  AND later.state = 'done' AND later.action <> 'leave')"
        " ORDER BY step.id LIMIT ?",
        (library, after, until, limit),
    )
    return [
        Trashed(
            *(row[0], row[1], Spot(*row[2:5]), row[5], row[6], row[7]),
            dict(zip(("outcome", "code", "reason", "stays"), row[8:], strict=True)),
        )
        for row in rows
    ]


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
