"""What all looks at a library's files share: what they tell, and how they read."""

from __future__ import annotations

import errno
import functools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.to_thread
import apsw

from mediad.clock import Clock
from mediad.errors import SourceChanged
from mediad.keeping.verify_reading import Unsteady, read_again
from mediad.library import OpenLibrary
from mediad.model import Stat
from mediad.store import verifying
from mediad.store.database import Database
from mediad.store.verifying import CHANGED, EDITED, OK, Known

T = TypeVar("T")

MOVED, MISSING, UNTRACKED, UNREADABLE = "moved", "missing", "untracked", "unreadable"
STATES = (OK, EDITED, CHANGED, MOVED, MISSING, UNTRACKED, UNREADABLE)
BAD = (CHANGED, MISSING, UNREADABLE)
"""Something is wrong with these; the others are what people do."""

TRIES = 5
"""Looks at a file that something is being done with; thin air."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at one file told.

    Attributes:
        path: below its library. place: where it is now, if it was moved there.
        error: why it could not be read.
        accepted: it was taken as the truth.
    """

    path: bytes
    state: str
    error: str = ""
    place: bytes | None = None
    accepted: bool = False


@dataclass(slots=True)
class Progress:
    """How far it is; `bytes` are written by the thread that reads.

    Attributes:
        counts: files by state.
    """

    files: int = 0
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)


Content = tuple[bytes, Stat]
"""A digest, and how the file stood."""

Act = Callable[[apsw.Connection], None]
"""Part of a unit of work."""

Tell = Callable[[Checked], Awaitable[None]]


Spend = Callable[[int, Callable[[], bool]], None]
"""Holds a reading thread back: gets how many more bytes were read, and what says that it should end."""


class Look:
    """A look at one library, or at a part of it.

    Args:
        row: the library's, in the catalogue.
        scope: a path below the library, b"" for all of it.
        spend: told in the reading thread how many more bytes were read.
        wait: returns when something has changed, or after a second or so.
        accept: what is found is taken as the truth.
        tell: told of each file.
    """

    def __init__(
        self,
        library: OpenLibrary,
        row: int,
        scope: bytes,
        database: Database,
        clock: Clock,
        spend: Spend,
        stopping: Callable[[], bool],
        wait: Callable[[], Awaitable[None]],
        tell: Tell,
        *,
        accept: bool = False,
    ) -> None:
        self.progress = Progress()
        self.library = library
        self.row = row
        self.scope = scope
        self.database = database
        self.clock = clock
        self.wait = wait
        self.accept = accept
        self._spend = spend
        self._stop = stopping
        self._tell = tell
        self._given_up = threading.Event()
        self._thread = anyio.CapacityLimiter(1)

    def give_up(self) -> None:
        """Nobody waits any more: a thread that still reads ends."""
        self._given_up.set()

    def stopping(self) -> bool:
        """Should reading end early?"""
        return self._stop() or self._given_up.is_set()

    def within(self, path: bytes) -> bool:
        """Does it belong to what is looked at?"""
        scope = self.scope
        return not scope or path == scope or path.startswith(scope + b"/")

    async def say(self, found: Checked) -> None:
        """Tell of a file, and count it."""
        self.progress.files += 1
        self.progress.counts[found.state] += 1
        await self._tell(found)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Call what may block, one at a time."""
        return await anyio.to_thread.run_sync(call, limiter=self._thread, abandon_on_cancel=True)

    async def uphold(self, known: Known, act: Act) -> tuple[Known | None, bool]:
        """Act on what was found of a file, if its row is as it was and nothing is being done with it.

        Returns:
            The row as it is now, and whether `act` was called.
        """
        return (await self.uphold_all([(known, act)]))[0]

    async def uphold_all(self, found: Sequence[tuple[Known, Act]]) -> list[tuple[Known | None, bool]]:
        """The same for several files, in one unit of work."""

        def upheld(connection: apsw.Connection, known: Known, act: Act) -> tuple[Known | None, bool]:
            fresh = verifying.at(connection, known.id, self.row)
            if fresh is None or not fresh.same_row(known):
                return fresh, False
            if verifying.in_hand(connection, self.row, fresh.path):
                return fresh, False
            act(connection)
            return fresh, True

        return await self.database.run(lambda connection: [upheld(connection, *one) for one in found])

    async def content(self, path: bytes) -> Content | None:
        """What lies at a path, None where no regular file does.

        Raises:
            OSError: it cannot be read; InterruptedError: it should end.
        """
        read = functools.partial(read_again, self.library.tree, path, self.stopping, self._got)
        for _ in range(TRIES):
            try:
                return await self.in_thread(read)
            except (Unsteady, SourceChanged):  # somebody writes to it
                await self.wait()
        raise OSError(errno.EBUSY, "changes while it is read")

    def _got(self, count: int) -> None:
        self.progress.bytes += count
        self._spend(count, self.stopping)
