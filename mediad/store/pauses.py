"""Pauses, as they are remembered across restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apsw


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
    """All of them."""
    return [Pause(*row) for row in connection.execute("SELECT name, since, until FROM pause ORDER BY name")]


def save(connection: apsw.Connection, pauses: Iterable[Pause]) -> None:
    """From now on there are these and no others."""
    connection.execute("DELETE FROM pause")
    connection.executemany(
        "INSERT INTO pause (name, since, until) VALUES (?, ?, ?)",
        [(pause.name, pause.since, pause.until) for pause in pauses],
    )
