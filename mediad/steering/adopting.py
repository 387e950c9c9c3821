"""`Adopt`: follows an adoption, and writes the marker of a library again that has provably lost it."""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import anyio
import anyio.to_thread

from mediad.control.calls import Call, Reply
from mediad.control.protocol import InvalidParameter, path_fields, path_from
from mediad.errors import MediadError, NoSuchName, Refused, printable
from mediad.files import Tree
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.pulse import Hung
from mediad.ingest.shelf import Shelf
from mediad.keeping.adopting import Adoption, Progress, summary
from mediad.keeping.adopting_proof import Proof, prove
from mediad.library import OpenLibrary, bless_again, marker_of, root_id
from mediad.steering.looking import within_limit
from mediad.steering.status import flights
from mediad.store import adopted
from mediad.store.adopted import Lost, Taking
from mediad.store.database import Database, open_copy
from mediad.store.reading import Reader

_EVERY = 1.0  # seconds between two replies that tell the progress
_NEVER_USED = 1 << 60  # where ids begin that a dry run gives

log = logging.getLogger("mediad")


class Adopter:
    """Answers calls of `Adopt`.

    Args:
        catalogue: the database file, of which a dry run has a copy.
    """

    def __init__(self, pipeline: Pipeline, reader: Reader, catalogue: Path) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._catalogue = catalogue
        self._busy: set[str] = set()

    async def call(self, call: Call, reply: Reply) -> Mapping[str, object]:
        """Adopt the library that a call names; cancelled, it ends and can be gone on with.

        Raises:
            InvalidParameter, NoSuchName, Refused: nothing was begun. LibraryOffline, Refused: it went away.
        """
        shelf = await self._named(call)
        name = shelf.settings.name
        if name in self._busy:
            raise Refused("is being adopted already", path=shelf.settings.path)
        self._busy.add(name)
        try:
            while shelf.arriving:  # it is looked at for the first time
                await self._pipeline.changed(0.5)
            adopt = self._forecast if call.parameters["dry_run"] else self._adopt
            return await adopt(shelf, reply)
        finally:
            self._busy.discard(name)

    async def _named(self, call: Call) -> Shelf:
        name, path = call.parameters["library"], path_from(call.parameters, "path")
        if (name is None) == (path is None):
            raise InvalidParameter("library")
        shelf = self._pipeline.shelves.find(name) if name is not None else await self._at(path or b"")
        libraries = list(self._pipeline.config.libraries)
        if shelf is not None and not shelf.leaving:
            return shelf
        if name is None:
            raise Refused(
                "is no library of the configuration",
                path=path,
                remedy="write a [library.NAME] with this path into it, then mediactl reload",
            )
        close = get_close_matches(name, libraries, n=1)
        raise NoSuchName(
            name, f'did you mean "{close[0]}"?' if close else f"there are {', '.join(libraries) or 'none'}"
        )

    async def _at(self, path: bytes) -> Shelf | None:
        """The library at this path, by whatever links it goes there."""
        roots = {os.fsencode(shelf.settings.path): shelf for shelf in self._pipeline.shelves}
        if path in roots:
            return roots[path]
        root = await within_limit(lambda: _same_folder(path, list(roots)), None)
        return None if root is None else roots[root]

    # -- adopting -------------------------------------------------------------------------------------

    async def _adopt(self, shelf: Shelf, reply: Reply) -> dict[str, object]:
        blessed = await self._bless(shelf) if not shelf.readable else False
        library = shelf.library
        if library is None or not shelf.readable:
            raise self._away(shelf)
        taking = Taking(
            shelf.id,
            shelf.settings.name,
            library.uuid,
            library.tree.root,
            self._pipeline.recorder.next_id,
        )
        present = functools.partial(self._present, shelf, library)
        database = self._pipeline.database
        job = Adoption(self._pipeline, library.tree, taking, database, present, self._progress(shelf))
        shelf.adopting = True
        self._publish(shelf)
        try:
            with self._pipeline.shelves.borrowed([shelf.settings.name]):
                await self._follow(shelf, job, reply, blessed=blessed)
        finally:
            with anyio.CancelScope(shield=True):
                await self._pipeline.verifier.recount()  # what was read may not be what was brought
            shelf.adopting = False
            self._publish(shelf)
            if job.batch is not None:
                self._say(shelf, job)
        return self._document(shelf, job, "done", blessed=blessed)

    async def _follow(self, shelf: Shelf, job: Adoption, reply: Reply, *, blessed: bool) -> None:
        async def tell() -> None:
            while True:
                await anyio.sleep(_EVERY)
                await reply(self._document(shelf, job, "adopting", blessed=blessed))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            await job.run()
            tasks.cancel_scope.cancel()

    def _present(self, shelf: Shelf, library: OpenLibrary) -> None:
        if shelf.leaving:
            raise Refused("is no longer in the configuration, or elsewhere", path=shelf.settings.path)
        if shelf.library is not library or not shelf.readable:
            raise self._away(shelf)

    def _away(self, shelf: Shelf) -> MediadError:
        return self._pipeline.shelves.reason(shelf.settings.name)

    def _progress(self, shelf: Shelf) -> Progress:
        return Progress(*self._pipeline.recorder.holdings.get(shelf.id, (0, 0)))

    def _publish(self, shelf: Shelf) -> None:
        self._pipeline.events.publish(
            "library", name=shelf.settings.name, state=str(shelf.told), reason=shelf.error
        )

    def _say(self, shelf: Shelf, job: Adoption) -> None:
        name, told = shelf.settings.name, summary(job.progress)
        log.info("library %s, batch %s: %s", name, job.batch, told)
        self._pipeline.events.publish("batch", name=name, batch=job.batch, reason=told)

    async def _forecast(self, shelf: Shelf, reply: Reply) -> dict[str, object]:
        """What would be adopted: the same, on a copy of the catalogue."""
        root = os.fsencode(shelf.settings.path)
        lost = await self._last_known(shelf)
        blessed = not shelf.readable
        if lost is None or (blessed and await self._proven(shelf, lost) is None):
            raise self._away(shelf)
        library = shelf.library
        present = functools.partial(self._present, shelf, library) if library is not None else _nothing
        ids = itertools.count(_NEVER_USED).__next__
        taking = Taking(lost.row, shelf.settings.name, lost.marker, root, ids)
        tree = Tree(self._pipeline.stages.files, root)
        database = Database(await anyio.to_thread.run_sync(open_copy, self._catalogue))
        try:
            job = Adoption(self._pipeline, tree, taking, database, present, self._progress(shelf))
            await self._follow(shelf, job, reply, blessed=blessed)
        finally:
            database.close()
        return self._document(shelf, job, "planned", blessed=blessed)

    # -- the marker -----------------------------------------------------------------------------------

    async def _last_known(self, shelf: Shelf) -> Lost | None:
        return await self._reader.run(functools.partial(adopted.last_known, name=shelf.settings.name))

    async def _bless(self, shelf: Shelf) -> bool:
        """Write the marker again, where that is what a library lacks; returns whether it was."""
        lost = await self._last_known(shelf)
        proven = await self._proven(shelf, lost) if lost is not None else None
        if lost is not None and proven is not None:
            root = os.fsencode(shelf.settings.path)
            try:
                await shelf.pulse.ask(functools.partial(bless_again, root, lost.marker, proven))
            except OSError as error:
                raise Refused(f"cannot be reached: {error.strerror}", path=root) from error
            log.warning("library %s: its lost marker was written again", shelf.settings.name)
        await self._pipeline.shelves.look(shelf)
        return proven is not None

    async def _proven(self, shelf: Shelf, lost: Lost) -> tuple[int, int] | None:
        """The folder that is provably the library without its marker, by its `root_id`.

        Returns:
            None where a missing marker is not what it lacks.

        Raises:
            Refused: it has no marker, and may be another folder.
        """
        root = os.fsencode(shelf.settings.path)
        try:
            here = await shelf.pulse.ask(functools.partial(_unmarked, root))
            if here is None:
                return None
            if lost.path != root and await shelf.pulse.ask(lambda: marker_of(lost.path)) == lost.marker:
                raise Refused(
                    f"its marker is missing, and the library is still at {printable(lost.path)}",
                    path=root,
                    remedy="copy .mediad with the library, and do not keep both",
                )
            proof = await prove(self._reader, Tree(self._pipeline.stages.files, root), lost)
        except Hung as error:
            raise Refused(error.what, path=root) from error
        except OSError as error:
            raise Refused(f"cannot be looked into: {error.strerror}", path=root) from error
        if not proof.holds:
            raise Refused(
                _unproven(proof),
                path=root,
                remedy="mount the right one; if it is another library, give it another name",
            )
        return here

    # -- telling --------------------------------------------------------------------------------------

    def _document(self, shelf: Shelf, job: Adoption, state: str, *, blessed: bool) -> dict[str, object]:
        progress, counts = job.progress, job.progress.counts
        root = os.fsencode(shelf.settings.path).rstrip(b"/")
        return {
            "state": state,
            "library": shelf.settings.name,
            "blessed": blessed,
            "files": max(progress.files, progress.done),
            "bytes": max(progress.size, progress.done_size),
            "files_done": progress.done,
            "bytes_done": progress.done_size,
            "adopted": counts.adopted,
            "companions": counts.companions,
            "undated": counts.undated,
            "doubtful": counts.doubtful,
            "duplicates": counts.duplicates,
            "already": counts.already,
            "not_media": progress.not_media,
            "unreadable": progress.unreadable,
            "failed": progress.failed,
            "batch": job.batch if state != "planned" else None,
            "in_flight": flights(self._pipeline, job.flying) if state == "adopting" else [],
            "left": [
                {**path_fields("path", root + b"/" + path), "outcome": outcome, "reason": reason}
                for path, outcome, reason in progress.troubles
            ],
            "message": summary(progress) if state != "adopting" else None,
        }


def _same_folder(path: bytes, roots: Sequence[bytes]) -> bytes | None:
    real = os.path.realpath(path)
    return next((root for root in roots if os.path.realpath(root) == real), None)


def _nothing() -> None:
    """Stands for `present` where the library is not online anyway."""


def _unmarked(root: bytes) -> tuple[int, int] | None:
    """A folder that has no marker; None where there is no folder, or a marker."""
    return root_id(root) if os.path.isdir(root) and marker_of(root) is None else None


def _unproven(proof: Proof) -> str:
    if not proof.looked:
        return (
            "its marker is missing, and no file of it is catalogued that could prove that it is the library"
        )
    if proof.differs is not None:
        return (
            f"its marker is missing, it is another folder than before, and {printable(proof.differs)} has"
            " other content than the library's: that may be a copy"
        )
    there = f"{proof.there:,}" if proof.there else "none"
    return (
        f"its marker is missing, and of {proof.looked:,} catalogued files {there} are there as recorded:"
        " that does not prove that it is the library"
    )
