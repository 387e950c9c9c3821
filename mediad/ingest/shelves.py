"""Which libraries are online, and bringing them there: marker, lock, recovery, first look."""

from __future__ import annotations

import enum
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import apsw

from mediad import config
from mediad.clock import Clock
from mediad.errors import LibraryFull, LibraryOffline, LibraryReadOnly, MediadError, Retry
from mediad.files import Files, library_error
from mediad.ingest.recover import Recovered, Verdict, recover, sweep
from mediad.layout import key_of
from mediad.library import OpenLibrary, open_library
from mediad.media import companions
from mediad.roots import overlaps
from mediad.store import catalogue, journal
from mediad.store.database import Database

_LOOK_AGAIN = 10.0  # seconds between looks at libraries; thin air

log = logging.getLogger("mediad")


class State(enum.StrEnum):
    """What a library is doing, as `status` names it."""

    ONLINE = "online"
    ADOPTING = "adopting"
    OFFLINE = "offline"
    FULL = "full"
    READONLY = "readonly"


@dataclass(slots=True)
class Shelf:
    """A configured library and its state.

    Attributes:
        id: its row in the catalogue once it was online.
        room: bytes that could be written when it was last looked at.
        stuck: steps that recovery could neither finish nor revert; it is tried again.
    """

    settings: config.Library
    library: OpenLibrary | None = None
    id: int = 0
    state: State = State.OFFLINE
    error: str = ""
    stuck: int = 0
    room: int = 0
    looking: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def online(self) -> bool:
        """Can be filed into."""
        return self.state is State.ONLINE

    @property
    def readable(self) -> bool:
        """Its rows in the catalogue hold, though it may take nothing now."""
        return self.library is not None and self.state in (State.ONLINE, State.FULL, State.READONLY)


class Shelves:
    """All configured libraries.

    Args:
        index: looks at a whole library for the first time, given the library and its row.
        changed: called when a state changed.
        in_hand: says of a step that somebody is working on it, so that recovery keeps away.
    """

    def __init__(
        self,
        settings: config.Config,
        files: Files,
        database: Database,
        clock: Clock,
        index: Callable[[OpenLibrary, int], Awaitable[None]],
        changed: Callable[[], None],
        in_hand: Callable[[int], bool],
        stopping: Callable[[], bool],
    ) -> None:
        self._config = settings
        self._files = files
        self._database = database
        self._clock = clock
        self._index = index
        self._changed = changed
        self._in_hand = in_hand
        self._stopping = stopping
        self.shelves = {name: Shelf(library) for name, library in settings.libraries.items()}
        self.rows: dict[str, int] = {}

    def __getitem__(self, name: str) -> Shelf:
        return self.shelves[name]

    def readable(self) -> dict[str, int]:
        """Rows by name of the libraries that can be read now."""
        return {name: shelf.id for name, shelf in self.shelves.items() if shelf.readable}

    def open(self) -> dict[int, OpenLibrary]:
        """The libraries that can be read now, by row."""
        open_now = (shelf for shelf in self.shelves.values() if shelf.readable)
        return {shelf.id: shelf.library for shelf in open_now if shelf.library}

    def reason(self, name: str) -> MediadError:
        """Why a library cannot be filed into."""
        shelf = self.shelves[name]
        kinds = {State.FULL: LibraryFull, State.READONLY: LibraryReadOnly}
        return kinds.get(shelf.state, LibraryOffline)(shelf.error or f"is {shelf.state}")

    async def open_all(self) -> None:
        """Bring online what can be.

        Raises:
            AlreadyHeld, InvalidConfig: the daemon must not run like this.
        """
        for shelf in self.shelves.values():
            async with shelf.looking:
                await self._bring_online(shelf)

    async def keep(self) -> None:
        """Go on looking: what went offline, full or read-only comes back by itself."""
        while True:
            await anyio.sleep(_LOOK_AGAIN)
            for shelf in self.shelves.values():
                await self.look(shelf)
                await self._free(shelf)

    async def _free(self, shelf: Shelf) -> None:
        """Try again what recovery could not end."""
        async with shelf.looking:
            if shelf.stuck and shelf.library is not None:
                try:
                    await self._recover(shelf, shelf.library)
                except OSError as error:
                    self.fault(shelf, library_error(error, shelf.library.tree.root))

    async def look(self, shelf: Shelf, *, doubted: bool = False) -> None:
        """See how a library is now.

        Args:
            doubted: it has just failed to take something.
        """
        async with shelf.looking:
            if shelf.library is None:
                try:
                    await self._bring_online(shelf)
                except MediadError as error:
                    self._become(shelf, State.OFFLINE, str(error))
            else:
                await self._check(shelf, shelf.library, doubted=doubted)

    async def _check(self, shelf: Shelf, library: OpenLibrary, *, doubted: bool = False) -> None:
        by_writing = doubted or shelf.state is State.READONLY
        try:
            shelf.room = await anyio.to_thread.run_sync(
                functools.partial(library.check, by_writing=by_writing)
            )
        except MediadError as error:
            self.fault(shelf, error)
        else:
            self._become(shelf, State.ONLINE, "")

    def fault(self, shelf: Shelf, error: MediadError) -> None:
        """The library cannot take anything now; its files are held."""
        if isinstance(error, LibraryFull):
            self._become(shelf, State.FULL, str(error))
        elif isinstance(error, LibraryReadOnly):
            self._become(shelf, State.READONLY, str(error))
        else:
            if shelf.library is not None:
                shelf.library.close()
                shelf.library = None
            self._become(shelf, State.OFFLINE, str(error))

    def close(self) -> None:
        """Give all locks back."""
        for shelf in self.shelves.values():
            if shelf.library is not None:
                shelf.library.close()

    def _become(self, shelf: Shelf, state: State, error: str) -> None:
        if (shelf.state, shelf.error) == (state, error):
            return
        if state is shelf.state and shelf.error:  # a repeat in other words
            shelf.error = error
            return
        if state in (State.OFFLINE, State.FULL, State.READONLY):
            log.warning("library %s is %s: %s", shelf.settings.name, state, error)
        elif shelf.error and state is State.ONLINE:
            log.info("library %s is %s again", shelf.settings.name, state)
        shelf.state, shelf.error = state, error
        self._changed()

    async def _bring_online(self, shelf: Shelf) -> None:
        name = shelf.settings.name
        known = await self._database.run(functools.partial(catalogue.known_library, name=name))
        try:
            library = await anyio.to_thread.run_sync(
                functools.partial(open_library, shelf.settings, self._files, known.marker if known else None)
            )
        except MediadError as error:
            if error.retry is not Retry.HOLD:
                raise
            self.fault(shelf, error)
            return
        try:
            await self._admit(shelf, library)
        except OSError as error:
            library.close()
            self.fault(shelf, library_error(error, library.tree.root))
        except BaseException:
            library.close()
            raise

    async def _admit(self, shelf: Shelf, library: OpenLibrary) -> None:
        """Everything between having the lock and filing."""
        name = shelf.settings.name
        for other in self.shelves.values():
            if other is not shelf and other.library is not None and other.library.uuid == library.uuid:
                raise LibraryOffline(
                    f"it has the same marker as library {other.settings.name}: one is a copy of the other",
                    path=library.tree.root,
                    remedy="remove .mediad/library.toml from the copy",
                )
        problems = await anyio.to_thread.run_sync(overlaps, self._config)
        if problems:
            raise LibraryOffline(problems[0])

        def remember(connection: apsw.Connection) -> catalogue.KnownLibrary:
            return catalogue.remember_library(connection, name, library.uuid, library.tree.root)

        known = await self._database.run(remember)
        shelf.id, shelf.library = known.id, library
        self.rows[name] = known.id
        try:
            await self._recover(shelf, library)
            self._become(shelf, State.ADOPTING, shelf.error)
            # also what other hands brought since it was last seen
            await self._index(library, known.id)
        except BaseException:
            shelf.library = None
            raise
        await self._check(shelf, library)

    async def _recover(self, shelf: Shelf, library: OpenLibrary) -> None:
        sets: dict[int, list[journal.OpenStep]] = {}
        for step in await self._database.run(journal.open_steps):
            if step.library == shelf.id and not self._in_hand(step.id):
                sets.setdefault(step.item, []).append(step)
        tally = dict.fromkeys(Verdict, 0)
        still_open: set[int] = set()
        for steps in sets.values():
            try:
                results = await anyio.to_thread.run_sync(recover, steps, library, self._stopping)
            except (OSError, MediadError) as error:
                still_open.update(step.id for step in steps)
                level = logging.DEBUG if shelf.stuck else logging.ERROR  # it is told once
                log.log(level, "library %s: step %d stays open: %s", library.name, steps[0].id, error)
                continue
            await self._database.run(functools.partial(_record, results=results, now=self._clock.micros()))
            for result in results:
                tally[result.verdict] += 1
        shelf.stuck = len(still_open)
        left = await anyio.to_thread.run_sync(
            sweep, library, lambda step: step in still_open or self._in_hand(step)
        )
        if count := sum(tally.values()):
            told = ", ".join(f"{count} {verdict}" for verdict, count in tally.items() if count)
            log.info("library %s: recovered %d files after a crash: %s", library.name, count, told)
        for name in left:
            log.warning("library %s: .mediad/tmp/%s is not ours and was left alone", library.name, name)


def _record(connection: apsw.Connection, results: Sequence[Recovered], now: int) -> None:
    """Write down what recovery did with a set."""
    for result in results:
        _record_one(connection, result, now)


def _record_one(connection: apsw.Connection, result: Recovered, now: int) -> None:
    step = result.step
    if step.destination is not None:  # an earlier look at the library may have shown what was half done
        catalogue.forget_found(connection, step.library, step.destination)
    if result.verdict is Verdict.FINISHED:
        outcome = {"trash": "duplicate", "quarantine": "quarantined"}.get(step.action, "filed")
        destination = step.destination or b""
        late = companions.is_companion_name(step.path)  # it came alone, after its principal
        ending = journal.Ending(
            id=step.id,
            item=journal.set_of(connection, step),
            action=step.action,
            outcome=outcome,
            code="recovered",
            reason="finished after a crash",
            source=result.source,
            library=step.library,
            destination=step.destination,
            key=key_of(destination),
            stat=result.placed,
            digest=step.digest,
            role="principal" if step.id == step.item and not late else "companion",
        )
        journal.finish(connection, [ending], [], now)
        return
    journal.revert(connection, [step.id], "reverted after a crash", now)
    if result.verdict is Verdict.LOST_SIGHT:
        connection.execute(
            "UPDATE arrival SET outcome = 'gone', stays = 0, reason = 'left the watch during a crash'"
            " WHERE id = (SELECT arrival FROM step WHERE id = ?)",
            (step.id,),
        )
