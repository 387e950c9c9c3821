"""`Verify`: which libraries or parts of them are meant, and what the look at each file told."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import anyio

from mediad.control.calls import Call, Reply
from mediad.control.protocol import InvalidParameter, path_fields
from mediad.errors import Misused, NotKnown, Refused
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.shelf import Shelf
from mediad.keeping.following import follow
from mediad.keeping.verify import Inspection
from mediad.keeping.verify_look import STATES, Checked
from mediad.steering.looking import is_below, other_names, within_limit
from mediad.store import verifying
from mediad.store.verifying import OK

_EVERY = 1.0  # seconds between two replies that tell the progress
_CHUNK = 500  # files of one reply
_MOST_TOLD = 1000  # files, to who wants one reply


class _Part(NamedTuple):
    """A library, and what of it; b"" for all."""

    shelf: Shelf
    scope: bytes


class Verification:
    """One call.

    Args:
        paths: absolute, without dots; none for all libraries.
    """

    def __init__(self, pipeline: Pipeline, call: Call, reply: Reply, paths: Sequence[bytes]) -> None:
        self._pipeline = pipeline
        self._reply = reply
        self._more = call.more
        self._paths = paths
        self._accept = bool(call.parameters["accept"])
        self._resume = bool(call.parameters["resume"])
        self._told: list[dict[str, object]] = []
        self._looks: list[Inspection] = []
        self._skipped: list[str] = []
        self._files = self._bytes = self._omitted = 0

    async def run(self) -> Mapping[str, object]:
        """Verify; the last reply.

        Raises:
            InvalidParameter, Misused, NotKnown, Refused: nothing was looked at.
            Busy, LibraryOffline, OSError.
        """
        if (self._accept and not self._paths) or (self._resume and self._paths):
            raise InvalidParameter("accept" if self._accept else "resume")
        if self._accept:
            await follow(self._pipeline, self._paths)
        parts = [await self._part(path) for path in self._paths] if self._paths else self._all()
        if self._accept and (whole := next((part for part in parts if not part.scope), None)):
            raise Misused(
                "is a whole library",
                path=self._absolute(whole, b""),
                remedy="name the files or folders that you have looked at",
            )
        for part in parts:
            below = functools.partial(verifying.size_below, library=part.shelf.id, scope=part.scope)
            files, size = await self._pipeline.database.run(below)
            self._files, self._bytes = self._files + files, self._bytes + size
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_progress)
            for part in parts:
                await self._verify(part)
            tasks.cancel_scope.cancel()
        return self._document("done")

    def _all(self) -> list[_Part]:
        shelves = [shelf for shelf in self._pipeline.shelves if not shelf.leaving]
        self._skipped = [shelf.settings.name for shelf in shelves if not shelf.readable]
        parts = [_Part(shelf, b"") for shelf in shelves if shelf.readable]
        if not parts:
            raise Refused("no library is online", remedy="mediactl status")
        return parts

    async def _part(self, path: bytes) -> _Part:
        """The library that a path lies in, and where in it."""
        roots = {os.fsencode(shelf.settings.path): shelf for shelf in self._pipeline.shelves}
        others: list[bytes] = await within_limit(lambda: other_names(path, list(roots)), [])
        for name in (path, *others):
            for root, shelf in roots.items():
                if not is_below(name, root):
                    continue
                if not shelf.readable:
                    why = f"library {shelf.settings.name} is {shelf.state}"
                    raise Refused(why, path=path, remedy=f"mediactl scan {shelf.settings.name}")
                return _Part(shelf, name[len(root) :].lstrip(b"/"))
        raise NotKnown("lies in no library", path=path, remedy="mediactl status tells the libraries")

    async def _verify(self, part: _Part) -> None:
        verifier, before = self._pipeline.verifier, self._looked_at()
        tell = functools.partial(self._take, part)
        if part.scope:
            await verifier.verify_below(part.shelf, part.scope, tell, self._began, accept=self._accept)
            if self._looked_at() == before:
                path = self._absolute(part, part.scope)
                raise NotKnown("nothing is known of this path, and no file is there", path=path)
        else:
            await verifier.verify_all(part.shelf, tell, self._began, resume=self._resume, accept=self._accept)

    def _looked_at(self) -> int:
        return sum(inspection.progress.files for inspection in self._looks)

    def _began(self, inspection: Inspection) -> None:
        self._looks.append(inspection)

    @staticmethod
    def _absolute(part: _Part, path: bytes) -> bytes:
        return os.path.join(os.fsencode(part.shelf.settings.path), path)

    async def _take(self, part: _Part, found: Checked) -> None:
        if not self._more and (found.state == OK or len(self._told) >= _MOST_TOLD):
            self._omitted += found.state != OK
            return
        self._told.append(
            {
                **path_fields("path", self._absolute(part, found.path)),
                "state": found.state,
                "error": found.error or None,
                **path_fields("place", None if found.place is None else self._absolute(part, found.place)),
                "accepted": found.accepted,
            }
        )
        if self._more and len(self._told) >= _CHUNK:
            await self._send()

    async def _tell_progress(self) -> None:
        while self._more:
            await anyio.sleep(_EVERY)
            await self._send()

    async def _send(self) -> None:
        document = self._document("working")
        self._told = []
        await self._reply(document)

    def _document(self, state: str) -> dict[str, object]:
        counts: Counter[str] = Counter()
        for inspection in self._looks:
            counts += inspection.progress.counts
        return {
            "state": state,
            "files": self._files,
            "bytes": self._bytes,
            "files_done": counts.total(),
            "bytes_done": sum(inspection.progress.bytes for inspection in self._looks),
            "counts": {name: counts[name] for name in STATES},
            "skipped": self._skipped,
            "checked": self._told,
            "omitted": self._omitted,
        }
