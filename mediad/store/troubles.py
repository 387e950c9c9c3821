"""What failed or is quarantined and was not dismissed. Each function is part of a unit of work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import apsw

from mediad.store.paths import below
from mediad.store.stories import origin_name


class Troubled(NamedTuple):
    """A file that was not taken, and where it is.

    Attributes:
        id: the arrival's. watch, path: what it is called in the catalogue.
        kind: of its place: watch, import or former; None where that is not known.
        since: microseconds since the epoch.
        stays: it still is where it was seen.
        root: the folder that `path` is below, None where that is not known.
        library, kept: the row of the library that has it in quarantine, and the path in it; both None
            where it stays. item: the set that it went there with; else its own id. step: the one that
            brought it there, None where it stays.
        place: the absolute path at which it is now.
    """

    id: int
    watch: str
    path: bytes
    kind: str | None
    outcome: str
    code: str
    reason: str
    since: int
    size: int
    stays: bool
    root: bytes | None
    library: int | None
    kept: bytes | None
    item: int
    step: int | None
    place: bytes | None

    @property
    def source(self) -> bytes | None:
        """The absolute path at which it was seen."""
        return below(self.root, self.path)

    @property
    def origin(self) -> str:
        """Where it came from, for people."""
        return origin_name(self.watch, self.kind, self.root)


# A step of the row's own that failed was taken back; what it took over from an earlier row stands.
_TROUBLED = """
SELECT arrival.id, arrival.watch, arrival.path, place.kind, arrival.outcome, arrival.code, arrival.reason,
    arrival.seen, arrival.size, arrival.stays,
    coalesce(place.root, (
        SELECT batch.root FROM step JOIN batch ON batch.id = step.batch
        WHERE step.arrival = arrival.id ORDER BY step.id DESC LIMIT 1
    )),
    put.library, put.destination, coalesce(put.item, arrival.id), put.id, library.path
FROM arrival
LEFT JOIN place ON place.key = arrival.watch
LEFT JOIN step AS put ON put.id = (
    SELECT max(step.id) FROM step
    WHERE step.arrival = arrival.id AND step.action = 'quarantine' AND step.state = 'done'
        AND step.destination IS NOT NULL AND (arrival.outcome <> 'failed' OR step.id < arrival.id)
)
LEFT JOIN library ON library.id = put.library
WHERE arrival.outcome IN ('failed', 'quarantined') AND NOT arrival.dismissed AND arrival.id > ?
    AND (arrival.outcome, arrival.code) IS NOT ('failed', 'reverted') -- which waits in the queue again
ORDER BY arrival.id LIMIT ?"""


def troubles(connection: apsw.Connection, after: int, limit: int) -> list[Troubled]:
    """The next files in trouble, oldest first."""
    rows = connection.execute(_TROUBLED, (after, limit))
    return [_troubled(row) for row in rows]


def _troubled(row: Sequence[object]) -> Troubled:
    *values, stays, root, library, kept, item, step, home = row
    told = Troubled(*values, bool(stays), root, library, kept, item, step, None)  # type: ignore[arg-type, call-arg]
    place = below(home, kept) or told.source  # type: ignore[arg-type]
    return told._replace(place=place)


def named_among(found: Collection[Troubled], paths: Collection[bytes]) -> list[Troubled]:
    """Those of the files in trouble that are named.

    Args:
        paths: absolute, of where a file was seen or is now; a folder means all below it.
    """
    wanted = {path.rstrip(b"/") for path in paths if path.startswith(b"/")}
    return [one for one in found if _is_named(one.source, wanted) or _is_named(one.place, wanted)]


def _is_named(path: bytes | None, wanted: Collection[bytes]) -> bool:
    """Is it, or a folder above it, among these?"""
    if path is None:
        return False
    while path:
        if path in wanted:
            return True
        path = path.rpartition(b"/")[0]
    return b"" in wanted


def dismiss(connection: apsw.Connection, ids: Collection[int]) -> int:
    """Report these no more; a unit of work for the writer.

    Args:
        ids: of arrivals.

    Returns:
        how many were reported until now.
    """
    count = 0
    for id_ in ids:
        connection.execute(
            "UPDATE arrival SET dismissed = 1"
            " WHERE id = ? AND outcome IN ('failed', 'quarantined') AND NOT dismissed",
            (id_,),
        )
        count += connection.changes()
    return count
