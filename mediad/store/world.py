"""What the planner asks the catalogue. Part of a unit of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from mediad.layout import key_of
from mediad.model import Holder
from mediad.store.catalogue import stem_of
from mediad.store.changes import was_deleted
from mediad.store.places import IMPORT


class CatalogueWorld:
    """The planner's questions, answered by the catalogue within one unit of work.

    Args:
        libraries: the ids of the libraries that are online, by name.
        since: arrivals before this time (microseconds) are too old for a late companion to belong to, but for
            an import: a card is the same after weeks.
    """

    def __init__(self, connection: apsw.Connection, libraries: Mapping[str, int], since: int) -> None:
        self._connection = connection
        self._libraries = libraries
        self._names = {number: name for name, number in libraries.items()}
        self._since = since

    def holders(self, digest: bytes, library: str | None) -> Sequence[Holder]:
        """See `ingest.plan.World`."""
        rows = self._connection.execute(
            "SELECT id, library, path, item FROM file"
            " WHERE digest = ? AND role <> 'companion' AND NOT missing ORDER BY id",
            (digest,),
        )
        holders = [
            Holder(row[0], self._names[row[1]], row[2], row[3]) for row in rows if row[1] in self._names
        ]
        return [holder for holder in holders if library is None or holder.library == library]

    def deleted(self, digest: bytes) -> bool:
        """See `ingest.plan.World`."""
        return was_deleted(self._connection, digest)

    def taken(self, library: str, key: bytes) -> bool:
        """See `ingest.plan.World`."""
        found = self._connection.execute(
            "SELECT 1 FROM file WHERE library = ? AND name_key = ? AND NOT missing LIMIT 1",
            (self._libraries.get(library, -1), key),
        )
        return found.fetchone() is not None

    def set_members(self, principal: Holder) -> Mapping[bytes, Holder]:
        """See `ingest.plan.World`. What shares its folder and stem counts, whoever put it there."""
        stem = key_of(principal.path.rpartition(b".")[0] or principal.path)
        library = self._libraries[principal.library]
        rows = self._connection.execute(
            "SELECT id, path, item, digest FROM file WHERE item = ?1 AND digest NOT NULL AND NOT missing"
            " UNION SELECT id, path, item, digest FROM file"
            " WHERE library = ?2 AND name_key > ?3 AND name_key < ?4 AND digest NOT NULL AND NOT missing"
            " ORDER BY id DESC",
            (principal.item, library, stem + b".", stem + b"/"),
        )
        found = {row[3]: Holder(row[0], principal.library, row[1], row[2]) for row in rows}
        return {digest: holder for digest, holder in found.items() if holder.id != principal.id}

    def former_principal(self, watch: str, path: bytes) -> Holder | None:
        """See `ingest.plan.World`."""
        stem = stem_of(path)
        rows = self._connection.execute(
            "SELECT file.id, file.library, file.path, file.item FROM arrival"
            " JOIN step ON step.arrival = arrival.id AND step.state = 'done'"
            " JOIN file ON NOT file.missing AND"
            " (file.id = step.witness OR (file.item = step.item AND file.role = 'principal'))"
            " WHERE arrival.watch = ? AND arrival.path > ? AND arrival.path < ? AND arrival.path <> ?"
            " AND arrival.seen >= ? AND step.id = step.item AND file.digest NOT NULL"
            " ORDER BY arrival.id DESC LIMIT 1",
            (watch, stem + b".", stem + b"/", path, 0 if watch.startswith(IMPORT) else self._since),
        )
        row = rows.fetchone()
        if row is None or row[1] not in self._names:
            return None
        return Holder(row[0], self._names[row[1]], row[2], row[3])
