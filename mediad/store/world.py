"""What the planner asks the catalogue. Part of a unit of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import apsw

from mediad.keeping.refiling import evidence_in
from mediad.layout import key_of
from mediad.media import companions
from mediad.media.siblings import Shot
from mediad.model import BY_HAND, Earlier, Facts, Holder, Identity, MediaSet, Sighting, Stat, Taken
from mediad.store.changes import was_deleted
from mediad.store.places import IMPORT
from mediad.store.redated import first_date
from mediad.store.shots import shots_near

_HOLDERS = """
SELECT id, library, path, item, role = 'companion' FROM file WHERE digest = ? AND NOT missing ORDER BY id"""
_MEDIA = """
SELECT arrival.kind <> 'sidecar' FROM file JOIN step ON step.id = file.step
JOIN arrival ON arrival.id = step.arrival WHERE file.id = ?"""
_MANY = 32  # files of one name, as cameras give it again and again, of which the newest are looked at

# Of what was found to be a duplicate, the file is the witness: a library file that somebody else brought.
_EARLIER = """
SELECT arrival.id, arrival.path, arrival.size, arrival.mtime_ns, arrival.seen, arrival.stays, arrival.watch,
    arrival.kind, arrival.content_id, arrival.evidence,
    arrival.taken, arrival.offset_min, arrival.source, arrival.confidence,
    file.id, file.library, file.path, file.item, file.role, file.digest
FROM arrival JOIN step ON step.arrival = arrival.id AND step.state = 'done'
JOIN file ON {} AND NOT file.missing AND file.digest NOT NULL
WHERE {}"""
_ANY = {
    column: f"SELECT 1 FROM arrival WHERE watch = ? AND {column} = ? LIMIT 1"  # noqa: S608
    for column in ("kin", "content_id")
}
_BROUGHT = "file.step = step.id"
_WITNESSED = "file.id = step.witness AND arrival.outcome = 'duplicate' AND file.digest = arrival.digest"
_QUESTIONS = {
    column: " UNION ALL ".join(
        _EARLIER.format(which, f"arrival.watch = ?1 AND arrival.{column} = ?2")
        for which in (_BROUGHT, _WITNESSED)
    )
    + f" ORDER BY 1 DESC LIMIT {_MANY}"
    for column in ("kin", "content_id")
}
_AGAIN = _EARLIER.format(
    _BROUGHT, f"file.digest = ? AND file.role = 'principal' ORDER BY 1 DESC LIMIT {_MANY}"
)


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
        principals: list[Holder] = []
        others: list[Holder] = []
        rows: list[Any] = self._connection.execute(_HOLDERS, (digest,)).fetchall()
        for id_, at, path, item, belongs in rows:
            if (name := self._names.get(at)) is not None and library in (None, name):
                (others if belongs else principals).append(Holder(id_, name, path, item))
        return principals or [one for one in others if self._is_media(one)]

    def _is_media(self, holder: Holder) -> bool:
        row = self._connection.execute(_MEDIA, (holder.id,)).fetchone()
        return row is not None and bool(row[0])

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
        brought = {one.digest for one in media.companions if one.facts.kind != "sidecar"}
        found = {one.holder.id: one for column, value in asked for one in self._came(column, watch, value)}
        for digest in brought:
            for one in self._told(_AGAIN, (digest,)):
                found.setdefault(one.holder.id, one)
        return list(found.values())

    def _came(self, column: str, watch: str, value: bytes | str) -> Iterator[Earlier]:
        if self._connection.execute(_ANY[column], (watch, value)).fetchone() is None:  # as of nearly all
            return
        yield from self._told(_QUESTIONS[column], (watch, value))

    def _told(self, question: str, values: tuple[str | bytes, ...]) -> Iterator[Earlier]:
        rows: list[Any] = self._connection.execute(question, values).fetchall()
        for row in rows:
            arrival, path, size, mtime_ns, seen, stays, watch, *told, id_, library, at, item, role, digest = (
                row
            )
            if library not in self._names:
                continue
            near = bool(stays) or seen >= self._since or watch.startswith(IMPORT)
            sighting = Sighting(watch, path, Stat(0, 0, size, mtime_ns, 0))
            facts = _facts(*told)
            # one that a late principal took over from the file that was dated has no step of its own
            by_hand = facts.taken is not None and facts.taken.source == BY_HAND
            filed, stated = first_date(self._connection, arrival), facts.taken if by_hand else None
            if filed is not None:
                first = _taken(filed.taken, filed.offset_min, filed.source, filed.confidence, filed.tag)
                stated = facts.taken if facts.taken != first else None
                facts = replace(facts, taken=first)
            holder = Holder(id_, self._names[library], at, item)
            yield Earlier(Identity(sighting, digest, facts), holder, role, near, stated)


def _facts(
    kind: str | None,
    content_id: str | None,
    evidence: str | None,
    taken: str | None,
    offset: int | None,
    source: str | None,
    confidence: str | None,
) -> Facts:
    """What the catalogue has kept of what a file told."""
    found = evidence_in(evidence or "{}")
    text = {key: value for key, value in found.items() if isinstance(value, str)}
    return Facts(
        format=text.get("format", ""),
        kind=kind or "photo",  # type: ignore[arg-type]
        make=text.get("make", ""),
        model=text.get("model", ""),
        content_id=content_id or "",
        artist=text.get("artist", ""),
        album=text.get("album", ""),
        title=text.get("title", ""),
        origin=text.get("origin", ""),
        taken=_taken(taken, offset, source, confidence, text.get("tag", "")),
        evidence=evidence or "{}",
    )


def _taken(
    local: str | None, offset: int | None, source: str | None, confidence: str | None, tag: str
) -> Taken | None:
    if local is None:
        return None
    moment = datetime.fromisoformat(local).replace(tzinfo=None)
    return Taken(moment, offset, source or "", tag, confidence or "low")  # type: ignore[arg-type]
