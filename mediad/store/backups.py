"""When backups are made: of the catalogue once a day, of each library's rows once that is newer."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path

import anyio
import anyio.to_thread

from mediad.clock import Clock
from mediad.errors import MediadError, Retry, printable
from mediad.files import library_error
from mediad.ingest.pulse import Pulse
from mediad.library import OpenLibrary
from mediad.store import backup, backup_library
from mediad.store.database import Database

_LOOK_AGAIN = 600.0  # seconds between two looks at whether something is due; thin air
_GIVEN_UP = 600.0  # seconds after which a library that is given its rows counts as hung; thin air

log = logging.getLogger("mediad")


class Backups:
    """Makes them while the daemon runs.

    Args:
        catalogue: its path.
        libraries: those that can be written now.
        failing: told there what could not be backed up and why, by name: a library's, or "" for the whole
            catalogue.
        stopping: once true, what takes long ends early.
    """

    def __init__(
        self,
        catalogue: Path,
        database: Database,
        clock: Clock,
        libraries: Callable[[], Iterable[OpenLibrary]],
        failing: MutableMapping[str, str],
        stopping: Callable[[], bool],
    ) -> None:
        self._catalogue = catalogue
        self._database = database
        self._clock = clock
        self._libraries = libraries
        self._failing = failing
        self._stopping = stopping
        self._backed_up: int | None = None  # database.changes then; None: not by us
        self._carried: dict[str, str] = {}  # by marker, the backup that a library's rows were taken from
        self._pulses: dict[str, Pulse] = {}  # by marker

    async def keep(self, changed: Callable[[float], Awaitable[None]]) -> None:
        """Make what is due, until cancelled; at once for a library that comes.

        Args:
            changed: waits until something has changed, or so many seconds.
        """
        while True:
            there = self._online()
            await self.round()
            with anyio.move_on_after(_LOOK_AGAIN):
                while self._online() <= there:
                    await changed(_LOOK_AGAIN)

    def _online(self) -> set[str]:
        return {library.uuid for library in self._libraries()}

    async def round(self) -> None:
        """Make what is due."""
        await self.of_catalogue()
        await self.of_libraries()

    async def of_catalogue(self, stopping: Callable[[], bool] | None = None) -> None:
        """Back up the catalogue, if today's backup is missing and something has changed.

        Args:
            stopping: as `stopping` of the whole, instead of that.
        """
        today, changes = self._clock.now().date(), self._database.changes
        make = functools.partial(backup.back_up, self._catalogue, today, stopping or self._stopping)
        try:
            if not await anyio.to_thread.run_sync(self._is_due, f"catalogue-{today:%Y%m%d}.db", changes):
                return
            if not await self._database.run(backup.newest_id):  # nothing to be lost yet, and a day is long
                return
            made = await anyio.to_thread.run_sync(make)
        except InterruptedError:
            return
        except OSError as error:
            self._failed("", f"{printable(str(self._catalogue.parent))}: {error.strerror}")
        except MediadError as error:
            self._failed("", str(error))
        else:
            self._backed_up = changes
            self._failing.pop("", None)
            log.debug("the catalogue is backed up as %s", made)

    def _is_due(self, name: str, changes: int) -> bool:
        there = backup.backups(self._catalogue)
        if any(path.name == name for path in there):
            return False
        if self._backed_up is not None or not there:
            return changes != (self._backed_up or 0)
        newest = max(path.stat().st_mtime_ns for path in there)
        return changes > 0 or self._changed_at() > newest

    def _changed_at(self) -> int:
        """When the catalogue was last written, by its files, nanoseconds."""
        log_file = self._catalogue.with_name(self._catalogue.name + "-wal")
        return max(path.stat().st_mtime_ns for path in (self._catalogue, log_file) if path.exists())

    async def of_libraries(self) -> None:
        """Give each library that can be written the rows that the newest backup has of it."""
        if "" in self._failing:  # there is no newer one
            return
        for library in self._libraries():
            pulse = self._pulses.setdefault(library.uuid, Pulse(_GIVEN_UP))
            try:
                await pulse.ask(functools.partial(self._give, library))
            except OSError as error:
                self._failed(
                    library.name, str(library_error(error, library.tree.absolute(backup_library.CARRIED)))
                )
            except MediadError as error:
                if error.retry is not Retry.HOLD:
                    self._failed(library.name, str(error))
            else:
                self._failing.pop(library.name, None)

    def _give(self, library: OpenLibrary) -> None:
        newest = backup.latest(self._catalogue)
        if newest is None:
            return
        version = backup_library.version_of(newest)
        if library.uuid not in self._carried:
            self._carried[library.uuid] = backup_library.carried(library.tree).get("backup", "")
        if self._carried[library.uuid] == version:
            return
        library.check()
        there = backup_library.carried(library.tree)
        if there and not backup_library.covers(newest, library.uuid, there):  # which a later backup will
            return
        if not there and backup_library.is_there(library.tree):
            backup_library.set_aside(library.tree, self._clock.now())
        local = newest.with_name(f"{library.uuid}.new")
        try:
            if not backup_library.extract(newest, library.uuid, local) or backup_library.put(library, local):
                self._carried[library.uuid] = version
        finally:
            backup.remove(local)

    def _failed(self, name: str, why: str) -> None:
        if self._failing.get(name) != why:
            what = f"the rows of library {name}" if name else "the catalogue"
            log.warning("%s could not be backed up: %s", what, why)
        self._failing[name] = why
