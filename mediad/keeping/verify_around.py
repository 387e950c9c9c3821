"""What lies in a library besides what is where it should be: files under other names, and unknown ones."""

from __future__ import annotations

import errno
import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
import anyio.from_thread
import anyio.to_thread
import apsw

from mediad.ingest.roster import library_folder
from mediad.keeping.verify_look import MISSING, MOVED, UNREADABLE, UNTRACKED, Checked, Content, Look
from mediad.keeping.verify_reading import is_there, see_online
from mediad.model import FileType, Sighting, Stat
from mediad.store import verifying
from mediad.store.verifying import Known

_PAGE = 200  # rows
_MOST_LOST = 100_000  # missing files that are looked for under other names

_Moved = tuple[bytes, bytes, Stat]
"""Where a file is now, its digest, and how it stands."""


class Around:
    """Looks at all of a library after its known files were looked at.

    Args:
        check: looks at a known file once more.
    """

    def __init__(self, look: Look, check: Callable[[Known], Awaitable[None]]) -> None:
        self._look = look
        self._check = check
        self._walk = anyio.CapacityLimiter(1)

    async def run(self) -> None:
        """Find what is missing under other names, and what nobody knows of."""
        lost = await self._lost()
        moved: dict[int, _Moved] = {}
        for known in lost:
            await self._seek_known(known, moved)
        wanted = {known.size for known in lost if known.digest is not None}
        by_digest = {known.digest: known for known in reversed(lost) if known.id not in moved}

        async def look(chunk: Sequence[Sighting]) -> None:
            await self._untracked(chunk, wanted, by_digest, moved)

        def emit(chunk: Sequence[Sighting]) -> None:
            anyio.from_thread.run(look, chunk)

        folder = library_folder(self._look.library.tree, self._look.clock)
        start: bytes | None = b"" if wanted else self._look.scope
        if start:
            scope = start
            seen, folders = await self._look.in_thread(lambda: folder.look([scope]))
            await look(seen)
            start = folders[0] if folders else None
        if start is not None:
            scan = functools.partial(folder.scan, start, emit, self._look.stopping)
            report = await anyio.to_thread.run_sync(scan, limiter=self._walk, abandon_on_cancel=True)
            for path, why in report.errors:
                if self._look.within(path):
                    await self._look.say(Checked(path, UNREADABLE, why))
        if self._look.stopping():
            raise InterruptedError(errno.EINTR, "stopping")
        await self._look.in_thread(functools.partial(see_online, self._look.library))
        for known in lost:
            await self._end_lost(known, moved.get(known.id))

    async def _lost(self) -> list[Known]:
        found: list[Known] = []
        after = 0
        while len(found) < _MOST_LOST:
            page = functools.partial(verifying.lost, library=self._look.row, after=after, limit=_PAGE)
            more = await self._look.database.run(page)
            if not more:
                break
            after = more[-1].id
            found += [known for known in more if self._look.within(known.path)]
        return found

    async def _seek_known(self, known: Known, moved: dict[int, _Moved]) -> None:
        """Is it where a look at the library showed a file since, which was read then?"""
        if known.digest is None:
            return
        taken = {path for path, _, _ in moved.values()}
        appeared = functools.partial(verifying.appeared, library=self._look.row, file=known)
        for path in await self._look.database.run(appeared):
            if path not in taken and await self._has(path, known.digest, known.id, moved):
                return

    async def _has(self, path: bytes, digest: bytes, file: int, moved: dict[int, _Moved]) -> bool:
        try:
            seen = await self._look.content(path)
        except InterruptedError:
            raise
        except OSError:  # then nothing is known of it, and the file is missing still
            return False
        if seen is None or seen[0] != digest:
            return False
        moved[file] = (path, *seen)
        return True

    async def _untracked(
        self,
        chunk: Sequence[Sighting],
        wanted: set[int],
        lost: dict[bytes | None, Known],
        moved: dict[int, _Moved],
    ) -> None:
        taken = {path for path, _, _ in moved.values()}
        for path, size in await self._new(chunk):
            if path in taken:
                continue
            seen = None
            if size in wanted or (self._look.accept and self._look.within(path)):
                try:
                    seen = await self._look.content(path)
                except InterruptedError:
                    raise
                except OSError as error:
                    if self._look.within(path):
                        await self._look.say(Checked(path, UNREADABLE, error.strerror or str(error)))
                    continue
            known = lost.pop(seen[0], None) if seen is not None else None
            if known is not None and seen is not None:
                moved[known.id] = (path, *seen)
            elif self._look.within(path):
                await self._tell_untracked(path, seen)

    async def _new(self, chunk: Iterable[Sighting]) -> list[tuple[bytes, int]]:
        """Those of which nobody knows the content, and that are still there: path and size."""
        files = [seen for seen in chunk if not seen.excluded and seen.type is FileType.REGULAR]

        def unknown(connection: apsw.Connection) -> list[Sighting]:
            return [seen for seen in files if not verifying.is_tracked(connection, self._look.row, seen.path)]

        new = await self._look.database.run(unknown)

        def still_there() -> list[tuple[bytes, int]]:
            stats = [(seen.path, is_there(self._look.library.tree, seen.path)) for seen in new]
            return [(path, stat.size) for path, stat in stats if stat is not None]

        return await self._look.in_thread(still_there)

    async def _tell_untracked(self, path: bytes, seen: Content | None) -> None:
        if self._look.accept and seen is not None:
            digest, stat = seen
            accept = functools.partial(
                verifying.accept_untracked, library=self._look.row, path=path, digest=digest, stat=stat
            )
            await self._look.database.run(accept)
        await self._look.say(Checked(path, UNTRACKED, accepted=self._look.accept and seen is not None))

    async def _end_lost(self, known: Known, now: _Moved | None) -> None:
        """Tell of a missing file, if it still is."""
        look = self._look
        there = await look.in_thread(functools.partial(is_there, look.library.tree, known.path))
        if there is None or known.displaced:
            state = MISSING if now is None else MOVED
            fresh, is_so = await look.uphold(known, self._note(known, now))
            if is_so:
                place = None if now is None else now[0]
                await look.say(Checked(known.path, state, place=place, accepted=look.accept))
        else:
            at = functools.partial(verifying.at, file=known.id, library=look.row)
            fresh, is_so = await look.database.run(at), False
        if fresh is not None and not is_so:
            await self._check(fresh)

    def _note(self, known: Known, now: _Moved | None) -> Callable[[apsw.Connection], None]:
        """What is written of a missing file."""
        look = self._look

        def note(connection: apsw.Connection) -> None:
            if look.accept and now is not None:
                verifying.accept_moved(connection, look.row, known, *now)
            elif look.accept:
                verifying.accept_missing(connection, known)
            else:
                state, place = (MISSING, None) if now is None else (MOVED, now[0])
                verifying.report(connection, known.id, state, look.clock.micros(), place)

        return note
