"""What the planner asks the catalogue. Part of a unit of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import apsw

from mediad.layout import key_of
from mediad.media import companions
from mediad.media.siblings import Shot
from mediad.model import Earlier, Facts, Holder, Identity, MediaSet, Sighting, Stat, Taken
from mediad.store.changes import was_deleted
from mediad.store.places import IMPORT
from mediad.store.shots import shots_near

_HOLDERS = (
    "SELECT id, library, path, item FROM file"
    " WHERE digest = ? AND role <> 'companion' AND NOT missing ORDER BY id",
    "SELECT file.id, file.library, file.path, file.item FROM file JOIN step ON step.id = file.step"
    " JOIN arrival ON arrival.id = step.arrival WHERE file.digest = ? AND file.role = 'companion'"
    " AND NOT file.missing AND arrival.kind <> 'sidecar' ORDER BY file.id",
)
_MANY = 32  # files of one name, as cameras give it again and again, of which the newest are looked at

# Of what was found to be a duplicate, the file is the witness: a library file that somebody else brought.
_EARLIER = """
SELECT arrival.id, arrival.path, arrival.size, arrival.mtime_ns, arrival.seen, arrival.stays,
    arrival.kind, arrival.taken, arrival.offset_min, arrival.source, arrival.confidence, arrival.content_id,
    coalesce(json_extract(iif(json_valid(arrival.evidence), arrival.evidence, '{{}}'), '$.format'), ''),
    json_extract(
        iif(json_valid(arrival.evidence), arrival.evidence, '{{}}'), '$.artist', '$.album', '$.title'
    ),
    file.id, file.library, file.path, file.item, file.role, file.digest
FROM arrival JOIN step ON step.arrival = arrival.id AND step.state = 'done'
JOIN file ON {} AND NOT file.missing AND file.digest NOT NULL
WHERE arrival.watch = ?1 AND arrival.{} = ?2"""
_NO_TAGS = "[null,null,null]"
_ANY = {
    column: f"SELECT 1 FROM arrival WHERE watch = ? AND {column} = ? LIMIT 1"  # noqa: S608
    for column in ("kin", "content_id")
}
_BROUGHT = "file.step = step.id"
_WITNESSED = "file.id = step.witness AND arrival.outcome = 'duplicate' AND file.digest = arrival.digest"
_QUESTIONS = {
    column: f"{_EARLIER.format(_BROUGHT, column)} UNION ALL {_EARLIER.format(_WITNESSED, column)}"
    f" ORDER BY 1 DESC LIMIT {_MANY}"
    for column in ("kin", "content_id")
}


class CatalogueWorld:
    """The planner's questions, answered by the catalogue within one unit of work.

    Args:
        libraries: the ids of the libraries that are online, by name.
        since: what came before this time (microseconds) is not near any more, but for an import: a card is
            the same after weeks. See `ingest.kin`.
    """

    def __init__(self, connection: apsw.Connection, libraries: Mapping[str, int], since: int) -> None:
        self._connection = connection
        self._libraries = libraries
        self._names = {number: name for name, number in libraries.items()}
        self._since = since

    def shots(self, watch: str, path: bytes) -> Sequence[Shot]:
        """See `media.siblings.Ask`."""
        return shots_near(self._connection, watch, path)

    def holders(self, digest: bytes, library: str | None) -> Sequence[Holder]:
        """See `ingest.plan.World`."""
        for question in _HOLDERS:
            rows = self._connection.execute(question, (digest,))
            found = [
                Holder(id_, self._names[at], path, item) for id_, at, path, item in rows if at in self._names
            ]
            if holders := [one for one in found if library in (None, one.library)]:
                return holders
        return []

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

    def earlier(self, media: MediaSet) -> Sequence[Earlier]:
        """See `ingest.plan.World`."""
        watch = media.principal.sighting.watch
        asked: set[tuple[str, bytes | str]] = {
            ("kin", companions.key(member.sighting.path)) for member in media.members
        }
        asked |= {("content_id", one.facts.content_id) for one in media.members if one.facts.content_id}
        found = {one.holder.id: one for column, value in asked for one in self._came(column, watch, value)}
        return list(found.values())

    def _came(self, column: str, watch: str, value: bytes | str) -> Iterator[Earlier]:
        if self._connection.execute(_ANY[column], (watch, value)).fetchone() is None:  # as of nearly all
            return
        for row in self._connection.execute(_QUESTIONS[column], (watch, value)):
            _, path, size, mtime_ns, seen, stays, *told, id_, library, at, item, role, digest = row
            if library not in self._names:
                continue
            near = bool(stays) or seen >= self._since or watch.startswith(IMPORT)
            sighting = Sighting(watch, path, Stat(0, 0, size, mtime_ns, 0))
            identity = Identity(sighting, digest, _facts(*told))
            yield Earlier(identity, Holder(id_, self._names[library], at, item), role, near)


def _facts(
    kind: str | None,
    taken: str | None,
    offset: int | None,
    source: str | None,
    confidence: str | None,
    content_id: str | None,
    form: str,
    tags: str,
) -> Facts:
    """What the catalogue has kept of what a file told."""
    date = None
    if taken is not None:
        local = datetime.fromisoformat(taken).replace(tzinfo=None)
        date = Taken(local, offset, source or "", "", confidence or "low")  # type: ignore[arg-type]
    song = "" if tags == _NO_TAGS else tags  # what sets it apart from a spoken note
    return Facts(form, kind or "photo", content_id=content_id or "", artist=song, taken=date)  # type: ignore[arg-type]
