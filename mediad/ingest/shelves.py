"""Which libraries are online, and bringing them there: marker, lock, recovery, first look."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

import anyio
import anyio.to_thread

from mediad import config
from mediad.clock import Clock
from mediad.errors import (
    Exhausted,
    InvalidConfig,
    LibraryFull,
    LibraryMoved,
    LibraryOffline,
    LibraryReadOnly,
    MediadError,
    Retry,
)
from mediad.files import Files, library_error
from mediad.ingest import recovered
from mediad.ingest.pulse import Hung, Pulse
from mediad.ingest.recover import Recovered, recover, sweep, sweep_reasons
from mediad.ingest.shelf import Shelf, State, enter
from mediad.library import OpenLibrary
from mediad.roots import overlaps
from mediad.store import catalogue, journal
from mediad.store.backup_carried import Carried, open_said
from mediad.store.database import Database
from mediad.store.swapped import expected

_LOOK_AGAIN = 10.0  # seconds between looks at libraries; thin air

log = logging.getLogger("mediad")


class Shelves:
    """All configured libraries.

    Args:
        index: looks at a whole library for the first time, given the library and its row.
        recovered: called when open steps have been ended, or at least looked at, with what became of them.
        changed: called when a library's state changed.
        in_hand: says of a step that somebody is working on it, so that recovery keeps away.

    Attributes:
        carried: looks at what a library carries of a catalogue, before it is filed into.
    """

    def __init__(
        self,
        settings: config.Config,
        files: Files,
        database: Database,
        clock: Clock,
        index: Callable[[OpenLibrary, int], Awaitable[None]],
        recovered: Callable[[Sequence[Recovered]], Awaitable[None]],
        changed: Callable[[Shelf], None],
        in_hand: Callable[[int], bool],
        stopping: Callable[[], bool],
    ) -> None:
        self._config = settings
        self._files = files
        self._database = database
        self._clock = clock
        self._index = index
        self._recovered = recovered
        self._changed = changed
        self._in_hand = in_hand
        self._stopping = stopping
        self.shelves = {name: Shelf(library) for name, library in settings.libraries.items()}
        self.rows: dict[str, int] = {}
        self._woken = anyio.Event()
        self.carried: Carried | None = None
        self._apart = Pulse()

    def __getitem__(self, name: str) -> Shelf:
        return self.shelves[name]

    def __iter__(self) -> Iterator[Shelf]:
        return iter(list(self.shelves.values()))

    def find(self, name: str) -> Shelf | None:
        """A library of this name, None where there is none (any more)."""
        return self.shelves.get(name)

    def readable(self) -> dict[str, int]:
        """Rows by name of the libraries that can be read now."""
        return {
            name: shelf.id for name, shelf in self.shelves.items() if shelf.readable and not shelf.leaving
        }

    def open(self) -> dict[int, OpenLibrary]:
        """The libraries that can be read now, by row."""
        open_now = (shelf for shelf in self.shelves.values() if shelf.readable)
        return {shelf.id: shelf.library for shelf in open_now if shelf.library}

    def reason(self, name: str) -> MediadError:
        """Why a library cannot be filed into."""
        shelf = self.find(name)
        if shelf is None:
            return LibraryMoved(f"library {name} is not configured any more")
        if shelf.leaving:
            return LibraryMoved("is being put elsewhere by the new configuration")
        kinds = {State.FULL: LibraryFull, State.READONLY: LibraryReadOnly}
        return kinds.get(shelf.state, LibraryOffline)(shelf.error or f"is {shelf.state}")

    @contextlib.contextmanager
    def borrowed(self, names: Collection[str]) -> Iterator[None]:
        """These libraries are needed meanwhile, even if they leave the configuration."""
        shelves = [self.shelves[name] for name in names if name in self.shelves]
        for shelf in shelves:
            shelf.users += 1
        try:
            yield
        finally:
            for shelf in shelves:
                shelf.users -= 1
                if shelf.leaving and not shelf.users:  # its successor waits for that
                    self.wake()

    def adopt(self, settings: config.Config) -> None:
        """Take over another configuration, at once; `keep` brings online what came, closes what left once
        nobody needs it, and puts elsewhere what moved. `refresh` does what takes longer.
        """
        self._config = settings
        for name, shelf in self.shelves.items():
            new = settings.libraries.get(name)
            shelf.moved = new is not None and new.path != shelf.settings.path
            shelf.leaving = new is None or shelf.moved
            if new is not None and not shelf.moved:
                shelf.settings = new
        self._add_new()
        self.wake()

    async def refresh(self) -> None:
        """Give the libraries their new settings."""
        for shelf in self:
            if shelf.library is not None and not shelf.leaving:
                await anyio.to_thread.run_sync(shelf.library.configure, shelf.settings)

    def _add_new(self) -> None:
        for name in self._config.libraries.keys() - self.shelves.keys():
            self.shelves[name] = Shelf(self._config.libraries[name])

    async def try_out(self, settings: config.Config) -> list[str]:
        """What keeps what this configuration brings from being used, a line each; nothing of what is away."""
        problems: list[str] = []
        ours = {shelf.settings.path for shelf in self}
        for library in settings.libraries.values():
            if library.path in ours:
                continue
            try:
                (await self._lock(Shelf(library))).close()
            except InvalidConfig as error:
                problems += error.problems
            except MediadError as error:
                if error.retry is not Retry.HOLD:
                    problems.append(str(error))
            except Hung:
                continue
        return problems

    async def open_all(self, *, admit: bool = True) -> None:
        """Bring online what can be.

        Args:
            admit: if not, they are only locked; `keep` does the rest.

        Raises:
            AlreadyHeld, InvalidConfig: the daemon must not run like this.
        """
        for shelf in self:
            async with shelf.looking:
                shelf.library = await self._open(shelf)
                if admit:
                    await self._admit_or_close(shelf)
            await self._free(*(other for other in self if other is not shelf))

    def wake(self) -> None:
        """Have `keep` look at all libraries now."""
        self._woken.set()

    async def keep(self) -> None:
        """Go on looking: what went offline, full or read-only comes back by itself."""
        async with anyio.create_task_group() as visits:
            while True:
                self._woken = anyio.Event()
                for shelf in list(self.shelves.values()):
                    if not shelf.looking.locked():
                        visits.start_soon(self._visit, shelf)
                with anyio.move_on_after(_LOOK_AGAIN):
                    await self._woken.wait()

    async def _visit(self, shelf: Shelf) -> None:
        if shelf.leaving and not shelf.users:
            self._remove(shelf)
            return
        came = not shelf.admitted
        await self.look(shelf)
        await self._free(*(self if came and shelf.admitted else (shelf,)))

    def _remove(self, shelf: Shelf) -> None:
        """Nobody needs it any more; its successor of the same name takes its place."""
        del self.shelves[shelf.settings.name]
        self.rows.pop(shelf.settings.name, None)
        if shelf.library is not None:
            shelf.library.close()
        self._add_new()
        self._changed(shelf)
        self.wake()

    async def _free(self, *shelves: Shelf) -> None:
        """Try again what recovery could not end, which may have needed a library that has come since."""
        for shelf in shelves:
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
            if shelf.library is not None and shelf.admitted:
                await self._check(shelf, shelf.library, doubted=doubted)
            if not (shelf.admitted or shelf.leaving) and not self._still_anothers(shelf):
                try:
                    await self._see_apart(shelf)
                    shelf.library = shelf.library or await self._open(shelf)
                    await self._admit_or_close(shelf)
                except MediadError as error:
                    self._become(shelf, State.OFFLINE, str(error))

    async def _see_apart(self, shelf: Shelf) -> None:
        look = functools.partial(overlaps, self._config, f"library.{shelf.settings.name}.path")
        with contextlib.suppress(Hung):  # a root that hangs says nothing of where it lies
            if problems := await self._apart.ask(look):
                raise LibraryOffline(problems[0])

    def _still_anothers(self, shelf: Shelf) -> bool:
        """Is its folder still another one's, which had it under another name?"""
        path = shelf.settings.path
        return any(
            other.library is not None and other.settings.path == path for other in self if other is not shelf
        )

    async def _check(self, shelf: Shelf, library: OpenLibrary, *, doubted: bool = False) -> None:
        by_writing = doubted or shelf.state is State.READONLY
        was_cramped = shelf.cramped
        try:
            shelf.room = await shelf.pulse.ask(functools.partial(library.check, by_writing=by_writing))
        except Hung as error:  # it may answer again: nothing is given up, and closing it would hang too
            self._become(shelf, State.OFFLINE, error.what)
        except Exhausted as error:  # we could not ask: nothing is known, and it is asked again soon
            log.warning("library %s cannot be looked at: %s", shelf.settings.name, error)
        except MediadError as error:
            self.fault(shelf, error)
        else:
            self._become(shelf, State.ONLINE, "")
            if was_cramped and not shelf.cramped:
                self._changed(shelf)

    def fault(self, shelf: Shelf, error: MediadError) -> None:
        """The library cannot take anything now; its files are held."""
        if isinstance(error, LibraryFull):
            self._become(shelf, State.FULL, str(error))
        elif isinstance(error, LibraryReadOnly):
            self._become(shelf, State.READONLY, str(error))
        else:
            if shelf.library is not None:
                shelf.library.close()
                shelf.library, shelf.admitted, shelf.entered = None, False, False
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
        self._changed(shelf)

    async def _open(self, shelf: Shelf) -> OpenLibrary | None:
        """Have it locked; None where it is away, which `state` tells."""
        try:
            return await self._lock(shelf)
        except Hung as error:
            self._become(shelf, State.OFFLINE, error.what)
        except MediadError as error:
            if error.retry is Retry.NEVER:
                raise
            self.fault(shelf, error)
        return None

    async def _lock(self, shelf: Shelf) -> OpenLibrary:
        name = shelf.settings.name
        asked = functools.partial(
            expected, library=shelf.settings, configured=self._config.libraries.values()
        )
        shelf.id, known, swapped = await self._database.run(asked)
        call = functools.partial(open_said, shelf.settings, self._files, known, swapped)
        library, told = await shelf.pulse.ask(call, lambda opened: opened[0].close())
        try:
            if self.carried is not None:
                await self.carried.check(name, told)
        except BaseException:
            library.close()
            raise
        return library

    async def _admit_or_close(self, shelf: Shelf) -> None:
        library = shelf.library
        if library is None:
            return
        try:
            await self._admit(shelf, library)
        except OSError as error:
            self.fault(shelf, library_error(error, library.tree.root))
        except MediadError as error:
            self.fault(shelf, error)
            if error.retry is Retry.NEVER:
                raise
        except BaseException:
            shelf.library = None
            library.close()
            raise

    async def _admit(self, shelf: Shelf, library: OpenLibrary) -> None:
        """Everything between having the lock and filing."""
        name = shelf.settings.name
        elsewhere = functools.partial(catalogue.known_elsewhere, marker=library.uuid, path=library.tree.root)
        enter(shelf, library, await self._database.run(elsewhere), self)

        if self.carried is not None:
            await self.carried.take_in(library, shelf.pulse)

        place = library.tree.root, await anyio.to_thread.run_sync(library.identity)
        known = await self._database.run(
            lambda connection: catalogue.remember_library(connection, name, library.uuid, *place)
        )
        shelf.id = known.id
        self.rows[name] = known.id
        await self._recover(shelf, library)
        if not shelf.stuck:
            await anyio.to_thread.run_sync(sweep_reasons, library)
        self._become(shelf, State.ADOPTING, shelf.error)
        await self._index(library, known.id)  # also what other hands brought since it was last seen
        shelf.admitted = True
        await self._check(shelf, library)

    async def _recover(self, shelf: Shelf, library: OpenLibrary) -> None:
        sets: dict[int, list[journal.OpenStep]] = {}
        for step in await self._database.run(journal.open_steps):
            if step.keeper == shelf.id and not self._in_hand(step.id):
                sets.setdefault(step.item, []).append(step)
        ended: list[Recovered] = []
        still_open: dict[int, str] = {}
        for steps in sets.values():
            waits = any(other.arriving for other in self if other is not shelf)
            try:
                results = await anyio.to_thread.run_sync(recover, steps, library, self._stopping, self.open())
            except (OSError, MediadError) as error:
                still_open |= recovered.stays_open(shelf, steps, error, waits=waits)
                continue
            await self._database.run(
                functools.partial(recovered.record, results=results, now=self._clock.micros())
            )
            ended += results
        shelf.stuck = still_open
        if sets:
            await self._recovered(ended)
        left = await anyio.to_thread.run_sync(
            sweep, library, lambda step: step in still_open or self._in_hand(step)
        )
        recovered.tell(library, ended)
        for name in left:
            log.warning("library %s: .mediad/tmp/%s is not ours and was left alone", library.name, name)
