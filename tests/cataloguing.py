"""Catalogues with a past, made by the functions that the daemon writes with, for questions about them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio

from mediad.control.protocol import decode, encode
from mediad.layout import key_of
from mediad.model import Confidence, Facts, Identity, Kept, Sighting, Stat, Taken
from mediad.store import catalogue, journal, places
from mediad.store.database import open_database
from mediad.store.reading import Reader, open_reader
from tests.answering import DEFINITION

SECOND = 1_000_000
TAKEN = Taken(datetime(2021, 7, 10, 20, 39, 25, 770_000), 120, "exif", "DateTimeOriginal", "high")  # noqa: DTZ001


def doubtful(taken: Taken = TAKEN) -> Taken:
    """A date that nobody would swear to."""
    confidence: Confidence = "low"
    return Taken(taken.local, taken.offset_minutes, taken.source, taken.tag, confidence)


class Past:
    """A catalogue in a file, the library "photos" at /l, and the watch "inbox" at /w.

    What is done first is done at one second after 1970, what is done next a second later, and so on.
    """

    def __init__(self, folder: Path, library: bytes = b"/l", watch: bytes = b"/w") -> None:
        self.path = folder / "catalogue.db"
        self.connection = open_database(self.path)
        self.now = 0
        self.next = 0
        self.remember("photos", library)
        self.watch("inbox", watch)

    def close(self) -> None:
        self.connection.close()

    def remember(self, name: str, path: bytes, marker: str = "") -> int:
        """A library; returns its row."""
        return catalogue.remember_library(self.connection, name, marker or name, path).id

    def watch(self, name: str, path: bytes) -> None:
        places.settle_watches(self.connection, {name: path})

    def batch(self, watch: str = "inbox", root: bytes = b"/w", label: str = "") -> int:
        return journal.open_batch(self.connection, watch, root, label, self._tick())

    def begin(
        self,
        path: bytes,
        destination: bytes | None,
        *,
        action: str = "move",
        watch: str = "inbox",
        batch: int | None = None,
        item: int | None = None,
        witness: int | None = None,
        library: int = 1,
        digest: bytes = b"",
        kind: str = "photo",
        taken: Taken | None = TAKEN,
        evidence: Mapping[str, object] | str = "{}",
        source: bytes | None = None,
        stat: Stat | None = None,
    ) -> int:
        """An intent; returns the id of the step and its arrival."""
        self.next += 1
        kept = Kept("photos", source, item or self.next, self._put(path)) if source else None
        sighting = Sighting(watch, path, stat or a_stat(self.next), kept=kept)
        facts = Facts("jpeg", kind, taken=taken)  # type: ignore[arg-type]
        entry = journal.Entry(
            self.next,
            item or self.next,
            batch or self.batch(watch),
            Identity(sighting, digest or bytes([self.next]) * 32, facts),
            action,
            library,
            destination,
            witness,
            evidence if isinstance(evidence, str) else json.dumps(evidence),
            source,
        )
        journal.begin(self.connection, [entry], self._tick())
        return self.next

    def finish(
        self,
        step: int,
        outcome: str = "filed",
        *,
        code: str = "",
        reason: str = "",
        stays: bool = False,
        item: int | None = None,
        role: str = "principal",
    ) -> int:
        """What was begun is done; returns the step again."""
        row = self.connection.execute(
            "SELECT step.item, action, library, destination, size, mtime_ns, digest FROM step"
            " JOIN arrival ON arrival.id = step.arrival WHERE step.id = ?",
            (step,),
        ).fetchone()
        assert row is not None
        own, action, library, destination, size, mtime_ns, digest = row
        stat = Stat(1, step, size, mtime_ns, 0)
        ending = journal.Ending(
            id=step,
            item=item or own,
            action=action,
            outcome=outcome,
            code=code,
            reason=reason,
            source=stat if stays else None,
            library=library,
            destination=destination,
            key=key_of(destination or b""),
            stat=stat if destination and outcome == "filed" else None,
            digest=digest,
            role=role,
        )
        journal.finish(self.connection, [ending], [], self._tick())
        return step

    def filed(self, path: bytes, destination: bytes, **begun: Any) -> int:
        """A file that was moved into the library; returns its step."""
        return self.finish(self.begin(path, destination, **begun))

    def _put(self, path: bytes) -> int:
        """The step that brought the file of this path into quarantine."""
        row = self.connection.execute(
            "SELECT max(step.id) FROM step JOIN arrival ON arrival.id = step.arrival"
            " WHERE path = ? AND action = 'quarantine'",
            (path,),
        ).fetchone()
        assert row is not None
        return int(row[0] or 0)

    def unplanned(self, path: bytes, outcome: str, code: str = "code", reason: str = "because") -> int:
        """A file that needed no plan; returns its arrival."""
        self.next += 1
        sighting = Sighting("inbox", path, a_stat(self.next))
        catalogue.record_unplanned(
            self.connection, self.next, sighting, self._tick(), outcome, code, reason, {"settled": "quiet"}
        )
        return self.next

    def found(self, path: bytes, library: int = 1, digest: bytes | None = None) -> int:
        """A file that a look at the library showed; returns its row."""
        stat = a_stat(len(path))
        catalogue.remember_found(self.connection, library, [(path, key_of(path), stat)])
        file = self.file(path, library)
        if digest is not None:
            catalogue.set_digest(self.connection, file, digest, stat)
        return file

    def file(self, path: bytes, library: int = 1) -> int:
        """The row of a library file."""
        row = self.connection.execute(
            "SELECT id FROM file WHERE library = ? AND path = ? ORDER BY id DESC", (library, path)
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _tick(self) -> int:
        self.now += SECOND
        return self.now

    def ask(self, method: str, question: Callable[[Reader], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The answer to a question, as it would arrive at the other end of the socket."""
        connection = open_reader(self.path)
        try:
            answer = anyio.run(lambda: question(Reader(connection)))
        finally:
            connection.close()
        assert DEFINITION.check_reply(method, answer) == answer
        arrived: dict[str, Any] = decode(encode(answer)[:-1])
        return arrived


def a_stat(number: int) -> Stat:
    """One that differs from those of other numbers."""
    return Stat(1, number, 1000 + number, number * 1_000_000_000, number)
