"""Library files that somebody renamed are known again where they are, once they are named there.

A rename leaves size and time as they were: only what agrees in both is read. It is the same file if it has
the content, too, and nothing lies any more where the file should be.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import anyio
import apsw

from mediad.ingest.pipeline import Pipeline
from mediad.ingest.roster import library_folder
from mediad.ingest.shelf import Shelf
from mediad.keeping.verify_look import Checked, Look
from mediad.keeping.verify_reading import NOT_THERE, is_there, see_online
from mediad.library import OpenLibrary
from mediad.model import FileType, Sighting
from mediad.store import strayed, verifying
from mediad.store.verifying import Known

_Kind = tuple[int, int]
"""Size and mtime."""


async def follow(pipeline: Pipeline, paths: Sequence[bytes], *, below: bool = True) -> None:
    """Have the catalogue follow what was renamed, and now is at these absolute paths, or below them.

    A library that does not answer any more is not waited for.

    Args:
        below: if not, folders are passed over.
    """
    followed = False
    for path in paths:
        for shelf in pipeline.shelves:
            root = os.fsencode(shelf.settings.path).rstrip(b"/") + b"/"
            if path.startswith(root) and shelf.readable and not shelf.leaving and shelf.library is not None:
                trail = _Trail(pipeline, shelf, shelf.library, below=below)
                followed |= await _while_readable(pipeline, shelf, trail, path[len(root) :].rstrip(b"/"))
    if followed:  # they may have been reported as missing
        await pipeline.verifier.load()


async def _while_readable(pipeline: Pipeline, shelf: Shelf, trail: _Trail, path: bytes) -> bool:
    followed = False

    async def run() -> None:
        nonlocal followed
        followed = await trail.run(path)
        tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            while shelf.readable:
                await pipeline.changed(1.0)
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:  # of the one
        raise group.exceptions[0] from None
    return followed


class _Trail:
    """One library's part of that."""

    def __init__(self, pipeline: Pipeline, shelf: Shelf, library: OpenLibrary, *, below: bool) -> None:
        self._pipeline = pipeline
        self._below = below
        self._row = shelf.id
        self._look = Look(
            library,
            shelf.id,
            b"",
            pipeline.database,
            pipeline.clock,
            lambda _count, _ends: None,
            pipeline.stages.stopping,
            functools.partial(pipeline.changed, 1.0),
            _unheard,
        )

    async def run(self, path: bytes) -> bool:
        """Follow what is there; was there any?"""
        try:
            strays = await self._strays(path)
            wanted: dict[_Kind, list[bytes]] = {}
            for seen in strays:
                wanted.setdefault((seen.stat.size, seen.stat.mtime_ns), []).append(seen.path)
            followed, after = False, 0
            while after >= 0 and any(wanted.values()):
                page = functools.partial(
                    strayed.like, library=self._row, sizes={size for size, _ in wanted}, after=after
                )
                rows, more = await self._pipeline.database.run(page)
                for file, *kind in rows:
                    for stray in list(wanted.get((kind[0], kind[1]), ())):
                        if await self._is(file, stray):
                            wanted[kind[0], kind[1]].remove(stray)
                            followed = True
                            break
                after = more or -1
            return followed
        finally:
            self._look.give_up()

    async def _strays(self, path: bytes) -> list[Sighting]:
        """The files there of which only their being there is known, if that."""

        def look() -> list[Sighting]:
            folder = library_folder(self._look.library.tree, self._pipeline.clock)
            try:
                seen, folders = folder.look([path])
                for start in folders if self._below else ():
                    folder.scan(start, seen.extend, self._look.stopping)
            except OSError as error:
                if error.errno in NOT_THERE:
                    return []
                raise
            return [one for one in seen if one.type is FileType.REGULAR and not one.excluded]

        def unknown(connection: apsw.Connection) -> list[Sighting]:
            return [one for one in files if not strayed.is_ours(connection, self._row, one.path)]

        files = await self._look.in_thread(look)
        return await self._pipeline.database.run(unknown)

    async def _is(self, file: int, path: bytes) -> bool:
        """Is this file at this path now? If so, its row follows it."""
        known = await self._pipeline.database.run(
            functools.partial(verifying.at, file=file, library=self._row)
        )
        if known is None or not await self._is_away(known):
            return False
        try:
            seen = await self._look.content(path)
        except OSError:  # whoever needs it tells why it cannot be read
            return False
        if seen is None or seen[0] != known.digest:
            return False

        def moved(connection: apsw.Connection) -> None:
            verifying.accept_moved(connection, self._row, known, path, *seen)

        return (await self._look.uphold(known, moved))[1]

    async def _is_away(self, known: Known) -> bool:
        def look() -> bool:
            gone = known.displaced or is_there(self._look.library.tree, known.path) is None
            see_online(self._look.library)
            return gone

        return await self._look.in_thread(look)


async def _unheard(_found: Checked) -> None:
    """Nobody asks what was looked at."""
