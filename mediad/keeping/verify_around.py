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
from mediad.keeping.verify_look import MISSING, MOVED, UNREADABLE, UNTRACKED, Act, Checked, Content, Look
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
        self._moved: dict[int, _Moved] = {}
        self._taken: set[bytes] = set()  # where these are

    async def run(self) -> None:
        """Find what is missing under other names, and what nobody knows of."""
        lost, rest = await self._lost()
        for start_at in range(0, len(lost), _PAGE):
            await self._seek_known(lost[start_at : start_at + _PAGE])
        wanted = {known.size for known in lost if known.digest is not None}
        by_digest: dict[bytes | None, list[Known]] = {}
        for known in reversed(lost):
            if known.id not in self._moved:
                by_digest.setdefault(known.digest, []).append(known)

        async def look(chunk: Sequence[Sighting]) -> None:
            await self._untracked(chunk, wanted, by_digest)

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
        for start_at in range(0, len(lost), _PAGE):
            await self._end_lost(lost[start_at : start_at + _PAGE], sought=True)
        while rest is not None:
            more, rest = await self._lost_page(rest)
            await self._end_lost(more, sought=False)

    async def _lost(self) -> tuple[list[Known], int | None]:
        """Missing files that are looked for, and the id after which there are others; None for none."""
        found: list[Known] = []
        after: int | None = 0
        while after is not None and len(found) < _MOST_LOST:
            more, after = await self._lost_page(after)
            found += more
        return found, after

    async def _lost_page(self, after: int) -> tuple[list[Known], int | None]:
        page = functools.partial(verifying.lost, library=self._look.row, after=after, limit=_PAGE)
        more = await self._look.database.run(page)
        return [known for known in more if self._look.within(known.path)], more[-1].id if more else None

    async def _seek_known(self, lost: Sequence[Known]) -> None:
        """Are they where a look at the library showed files since, which were read then?"""
        row = self._look.row

        def appeared(connection: apsw.Connection) -> list[list[bytes]]:
            return [verifying.appeared(connection, row, known) for known in lost]

        for known, paths in zip(lost, await self._look.database.run(appeared), strict=True):
            for path in paths:
                if known.digest is None or path in self._taken:
                    continue
                if await self._has(path, known.digest, known.id):
                    break

    async def _has(self, path: bytes, digest: bytes, file: int) -> bool:
        try:
            seen = await self._look.content(path)
        except InterruptedError:
            raise
        except OSError:  # then nothing is known of it, and the file is missing still
            return False
        if seen is None or seen[0] != digest:
            return False
        self._moves(file, path, seen)
        return True

    def _moves(self, file: int, path: bytes, seen: Content) -> None:
        self._moved[file] = (path, *seen)
        self._taken.add(path)

    async def _untracked(
        self, chunk: Sequence[Sighting], wanted: set[int], lost: dict[bytes | None, list[Known]]
    ) -> None:
        for path, size in await self._new(chunk):
            if path in self._taken:
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
            same = lost.get(seen[0]) if seen is not None else None
            if same and seen is not None:
                self._moves(same.pop().id, path, seen)
            elif self._look.within(path):
                await self._tell_untracked(path, seen)

    async def _new(self, chunk: Iterable[Sighting]) -> list[tuple[bytes, int]]:
        """Those of which nobody knows the content, and that are still there: path and size."""
        files = [seen for seen in chunk if not seen.excluded and seen.type is FileType.REGULAR]

        def unknown(connection: apsw.Connection) -> list[Sighting]:
            return [seen for seen in files if not verifying.is_tracked(connection, self._look.row, seen.path)]

        new = await self._look.database.run(unknown)

        def still_there() -> list[tuple[bytes, Stat | OSError | None]]:
            return [(seen.path, self._stands(seen.path)) for seen in new]

        found: list[tuple[bytes, int]] = []
        for path, stat in await self._look.in_thread(still_there):
            if isinstance(stat, Stat):
                found.append((path, stat.size))
            elif stat is not None and self._look.within(path):
                await self._look.say(Checked(path, UNREADABLE, stat.strerror or str(stat)))
        return found

    def _stands(self, path: bytes) -> Stat | OSError | None:
        """How a file stands, or why that cannot be told; None where there is none. Blocks."""
        try:
            return is_there(self._look.library.tree, path)
        except OSError as error:
            return error

    async def _tell_untracked(self, path: bytes, seen: Content | None) -> None:
        if self._look.accept and seen is not None:
            digest, stat = seen
            accept = functools.partial(
                verifying.accept_untracked, library=self._look.row, path=path, digest=digest, stat=stat
            )
            await self._look.database.run(accept)
        await self._look.say(Checked(path, UNTRACKED, accepted=self._look.accept and seen is not None))

    async def _end_lost(self, lost: Sequence[Known], *, sought: bool) -> None:
        """Tell of missing files, if they still are.

        Args:
            sought: they were looked for under other names.
        """
        look = self._look

        def stand() -> list[Stat | OSError | None]:
            return [None if known.displaced else self._stands(known.path) for known in lost]

        stands = await look.in_thread(stand)
        gone = [known for known, stat in zip(lost, stands, strict=True) if stat is None]
        notes = [self._note(known, sought=sought) for known in gone]
        upheld = await look.uphold_all(list(zip(gone, notes, strict=True)))
        again = [fresh for fresh, is_so in upheld if not is_so]
        for known, (_, is_so) in zip(gone, upheld, strict=True):
            if is_so:
                now = self._moved.get(known.id)
                place = None if now is None else now[0]
                state = known.state if not sought else MISSING if now is None else MOVED
                await look.say(Checked(known.path, state, place=place, accepted=look.accept and sought))
        for known, stat in zip(lost, stands, strict=True):
            if stat is not None:  # it is there, or that cannot be told
                at = functools.partial(verifying.at, file=known.id, library=look.row)
                again.append(await look.database.run(at))
        for fresh in again:
            if fresh is not None:
                await self._check(fresh)

    def _note(self, known: Known, *, sought: bool) -> Act:
        """What is written of a missing file."""
        look, now = self._look, self._moved.get(known.id)

        def note(connection: apsw.Connection) -> None:
            if not sought:
                return
            if look.accept and now is not None:
                verifying.accept_moved(connection, look.row, known, *now)
            elif look.accept:
                verifying.accept_missing(connection, known)
            else:
                state, place = (MISSING, None) if now is None else (MOVED, now[0])
                verifying.report(connection, known.id, state, look.clock.micros(), place)

        return note
