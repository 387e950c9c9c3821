"""Verify: library files are read again and held against the catalogue. It changes no file, and no digest.

What differs is looked at again in the catalogue before anything is said of it: a file that mediad is moving
at that moment is no finding.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import apsw

from mediad.keeping.verify_around import Around
from mediad.keeping.verify_look import (
    MISSING,
    MOVED,
    TRIES,
    UNREADABLE,
    UNTRACKED,
    Checked,
    Content,
    Look,
    Progress,
)
from mediad.keeping.verify_reading import is_there, see_online
from mediad.model import Stat
from mediad.store import verifying
from mediad.store.verifying import OK, Known, judge

_PAGE = 200  # rows


class Inspection:
    """Looks at one library, or at a part of it."""

    def __init__(self, look: Look) -> None:
        self._look = look

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._look.progress

    async def run(self, after: int, until: int, came_to: Callable[[int], Awaitable[bool]]) -> bool:
        """Look at the files with these ids, then at what lies there besides; false if that was broken off.

        Args:
            after, until: ids.
            came_to: told the id up to which all is done, after each file; false to break off.

        Raises:
            LibraryOffline: it went away. OSError, InterruptedError.
        """
        try:
            while after < until:
                files, end = await self._page(after, until)
                lost: list[Known] = []
                for known in files:
                    if not await self._check_or_lost(known):
                        lost.append(known)
                    if not await came_to(lost[0].id - 1 if lost else known.id):
                        return False
                await self._report_lost(lost)
                after = end
            await Around(self._look, self._check).run()
        finally:
            self._look.give_up()
        return True

    async def _page(self, after: int, until: int) -> tuple[list[Known], int]:
        look = self._look
        if not look.scope:
            window = functools.partial(
                verifying.page, library=look.row, after=after, until=until, limit=_PAGE
            )
            return await look.database.run(window)
        below = functools.partial(
            verifying.page_below, library=look.row, scope=look.scope, after=after, limit=_PAGE
        )
        files = await look.database.run(below)
        return [known for known in files if look.within(known.path)], files[-1].id if files else until

    async def _check_or_lost(self, known: Known) -> bool:
        """See how a file is; false if it is missing, which is noted for many at once: folders are renamed."""
        read = await self._read(known, for_sure=False)
        if read[0].state == MISSING:
            return False
        await self._check(known, read)
        return True

    async def _report_lost(self, lost: Sequence[Known]) -> None:
        if not lost:
            return
        await self._look.in_thread(functools.partial(see_online, self._look.library))
        gone = [(known, self._note(known, Checked(known.path, MISSING), None)) for known in lost]
        for fresh, is_so in await self._look.uphold_all(gone):
            if fresh is not None and not is_so:
                await self._check(fresh)

    async def _check(self, known: Known, read: tuple[Checked, Content | None] | None = None) -> None:
        """See how a file is, until its row and its file fit together or something is wrong with it.

        Args:
            read: what a look at it just told.
        """
        look = self._look
        for _ in range(TRIES):
            (found, seen), read = read or await self._read(known), None
            if known.digest is None and found.state != MISSING:
                return  # nobody ever read it: whoever looks around tells of it
            if found.state == OK:
                assert seen is not None
                await self._right(known, seen[1])
                await look.say(found)
                return
            fresh, is_so = await look.uphold(known, self._note(known, found, seen))
            if is_so:
                await self._tell_wrong(known, found, seen)
                return
            if fresh is None:  # it was taken away meanwhile
                return
            if fresh.same_row(known):
                await look.wait()
            known = fresh

    async def _read(self, known: Known, *, for_sure: bool = True) -> tuple[Checked, Content | None]:
        """How a file is now.

        Args:
            for_sure: a file that is missing is so only while its library is there.
        """
        look = self._look
        if known.displaced:
            return Checked(known.path, MISSING), None
        try:
            if known.digest is None:  # only whether it is there
                stat = await look.in_thread(functools.partial(is_there, look.library.tree, known.path))
                return Checked(known.path, MISSING if stat is None else UNTRACKED), None
            seen = await look.content(known.path)
        except InterruptedError:
            raise
        except OSError as error:
            await look.in_thread(functools.partial(see_online, look.library))
            return Checked(known.path, UNREADABLE, error.strerror or str(error)), None
        if seen is None:
            if for_sure:
                await look.in_thread(functools.partial(see_online, look.library))
            return Checked(known.path, MISSING), None
        return Checked(known.path, judge(known, *seen)), seen

    async def _right(self, known: Known, stat: Stat) -> None:
        as_known = known.recorded and (known.size, known.mtime_ns) == (stat.size, stat.mtime_ns)
        if not as_known or known.state or known.forgiven:
            await self._look.database.run(functools.partial(verifying.is_right, known=known, stat=stat))

    def _note(self, known: Known, found: Checked, seen: Content | None) -> Callable[[apsw.Connection], None]:
        """What is written of a file that is not ok."""

        def note(connection: apsw.Connection) -> None:
            if self._look.accept and seen is not None:
                verifying.accept_content(connection, known.id, *seen)
            elif found.state != MISSING or not (known.forgiven or known.state in (MISSING, MOVED)):
                now = self._look.clock.micros()
                verifying.report(connection, known.id, found.state, now, error=found.error)

        return note

    async def _tell_wrong(self, known: Known, found: Checked, seen: Content | None) -> None:
        if found.state != MISSING:  # what is missing is looked for elsewhere first
            await self._look.say(replace(found, accepted=self._look.accept and seen is not None))
