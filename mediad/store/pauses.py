"""Pauses, as they are remembered across restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apsw

_YEAR_10000 = 253_402_300_800_000_000  # microseconds since the epoch; no time from then on can be told


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause.

    Attributes:
        name: a watch or a library, "" for everything.
        since, until: microseconds since the epoch; `until` None: until it is resumed.
    """

    name: str
    since: int
    until: int | None


def load(connection: apsw.Connection) -> list[Pause]:
    """All of them; one that outlasts all times that can be told has no end."""
    rows = connection.execute("SELECT name, since, until FROM pause ORDER BY name")
    return [
        Pause(name, since, None if until is not None and until >= _YEAR_10000 else until)
        for name, since, until in rows
    ]


def save(connection: apsw.Connection, pauses: Iterable[Pause]) -> None:
    """From now on there are these and no others."""
    connection.execute("DELETE FROM pause")
    connection.executemany(
        "INSERT INTO pause (name, since, until) VALUES (?, ?, ?)",
        [(pause.name, pause.since, pause.until) for pause in pauses],
    )
