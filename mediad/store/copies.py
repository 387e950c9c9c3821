"""Library files that have the same content. Each question is part of a unit of work of a reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw

from mediad.layout import key_of
from mediad.store.paths import under
from mediad.store.reading import WINDOW

_UNDATED = b"Undated/"  # where the default layout puts what has no date
_LAST = b"\xff" * 33  # no digest is higher


class Copy(NamedTuple):
    """A library file that is there as far as is known.

    Attributes:
        path: absolute. within: the path below its library.
        found: mediad did not bring it.
        dated: it was filed by a date; None where that is not known.
        library: its library's row. item: the set that it belongs to, None where it was found.
        camera: it is known which camera made it.
    """

    id: int
    path: bytes
    within: bytes
    size: int
    found: bool
    dated: bool | None
    library: int = 0
    mtime_ns: int = 0
    item: int | None = None
    camera: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The best comes first: what mediad filed, then what lies under its date, then what is oldest."""
        undated = self.dated is False or self.within.startswith(_UNDATED)
        return self.found, undated, self.id


class Group(NamedTuple):
    """Files of one content, the oldest first."""

    digest: bytes
    files: Sequence[Copy]


# Companions are never copies on their own.
_FILES = """
SELECT file.id, library.path, file.path, file.size, file.role = 'found', step.id, arrival.taken IS NOT NULL,
    file.library, file.mtime_ns, file.item,
    coalesce(json_valid(arrival.evidence) AND arrival.evidence ->> '$.model' <> '', 0)
FROM file
JOIN library ON library.id = file.library AND library.name <> ''
LEFT JOIN step ON step.id = file.step
LEFT JOIN arrival ON arrival.id = step.arrival
WHERE file.digest = ? AND file.role <> 'companion' AND NOT file.missing
ORDER BY file.id"""

_COLUMNS = "SELECT id, path, size, mtime_ns, digest, role, item FROM file WHERE NOT missing"
_BESIDE = f"""
{_COLUMNS} AND library = ?1 AND id <> ?2 AND item = ?3 UNION
{_COLUMNS} AND library = ?1 AND id <> ?2 AND name_key > ?4 AND name_key < ?5
ORDER BY id"""


def groups(connection: apsw.Connection, after: bytes, limit: int) -> tuple[list[Group], bytes | None]:
    """The next groups in the order of their digests, as far as one window shows them.

    Returns:
        The groups, and the digest after which to go on; None at the end.
    """
    end = connection.execute(
        "SELECT digest FROM file INDEXED BY file_digest WHERE digest > ? ORDER BY digest LIMIT 1 OFFSET ?",
        (after, WINDOW),
    ).fetchone()
    several = connection.execute(
        "SELECT digest FROM file INDEXED BY file_digest WHERE digest > ? AND digest <= ?"
        " GROUP BY digest HAVING count(*) > 1",
        (after, end[0] if end else _LAST),
    )
    found: list[Group] = []
    for (digest,) in several:
        files = copies_of(connection, digest)
        if len(files) > 1:
            found.append(Group(digest, files))
        if len(found) == limit:
            return found, digest
    return found, end[0] if end else None


def copies_of(connection: apsw.Connection, digest: bytes) -> list[Copy]:
    """The library files that have a content, companions left out; the oldest first."""
    found: list[Copy] = []
    for row in connection.execute(_FILES, (digest,)):
        id_, root, path, size, by_hand, step, dated, library, mtime_ns, item, camera = row
        known = None if step is None else bool(dated)
        whole = under(root, path)
        found.append(
            Copy(id_, whole, path, size, bool(by_hand), known, library, mtime_ns, item, bool(camera))
        )
    return found


class Beside(NamedTuple):
    """A file that lies beside another one, or is of its set; the attributes are those of the table."""

    id: int
    within: bytes
    size: int
    mtime_ns: int
    digest: bytes | None
    role: str
    item: int | None


def beside(connection: apsw.Connection, file: Copy) -> list[Beside]:
    """What is of a library file's set, or shares its folder and stem's begin, whoever put it there."""
    stem = key_of(file.within.rpartition(b".")[0] or file.within)
    rows = connection.execute(_BESIDE, (file.library, file.id, file.item, stem + b".", stem + b"/"))
    return [Beside(*row) for row in rows]


def unread(connection: apsw.Connection) -> int:
    """How many library files were never read, so that their copies are not known."""
    row = connection.execute(
        "SELECT count(*) FROM file INDEXED BY file_unread WHERE digest IS NULL AND NOT missing"
        " AND library IN (SELECT id FROM library WHERE name <> '')"
    ).fetchone()
    assert row is not None
    return int(row[0])
