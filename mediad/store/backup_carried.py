"""What a library carries is looked at when it comes: is the catalogue older, or does it lack rows of that?"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import apsw

from mediad import config
from mediad.clock import Clock
from mediad.errors import CatalogueBroken, CatalogueOlder, LibraryOffline, SchemaTooNew
from mediad.files import Files, library_error
from mediad.ingest.pulse import Pulse
from mediad.library import OpenLibrary, open_library
from mediad.store import backup, backup_library
from mediad.store.backup import DAMAGE, Stamp, stamp
from mediad.store.backup_foreign import NONSENSE, open_foreign
from mediad.store.database import Database
from mediad.store.salvage import Taken, take_rows

_NOT_NOW = "what it carries of an earlier catalogue cannot be taken in now"

log = logging.getLogger("mediad")


def said(library: OpenLibrary) -> Mapping[str, str]:
    """What the rows that a library carries say of themselves; {} where there are none of use. Blocks.

    Raises:
        LibraryOffline, InputOutput, ...: that cannot be read now, or is for a newer mediad.
    """
    try:
        return backup_library.carried(library.tree)
    except SchemaTooNew as error:
        raise LibraryOffline(
            error.message, path=library.tree.absolute(backup_library.CARRIED), remedy="run the newer mediad"
        ) from error
    except OSError as error:
        raise library_error(error, library.tree.absolute(backup_library.CARRIED)) from error


def open_said(
    settings: config.Library, files: Files, known: str | None, swapped: str | None = None
) -> tuple[OpenLibrary, Mapping[str, str]]:
    """Take a library, if only for reading, see `library.open_library`, and read what the rows that it carries
    say.
    """
    library = open_library(settings, files, known, swapped, only_read=True)
    try:
        return library, said(library)
    except BaseException:
        library.close()
        raise


class Carried:
    """Compares what libraries carry with the catalogue, and takes in what that never knew.

    Args:
        catalogue: its path.
        reserve: keeps numbers for the rows of another catalogue, given how many; returns how much higher
            these are than there.
    """

    def __init__(
        self,
        catalogue: Path,
        database: Database,
        clock: Clock,
        reserve: Callable[[int], int],
        stopping: Callable[[], bool],
    ) -> None:
        self._catalogue = catalogue
        self._database = database
        self._clock = clock
        self._reserve = reserve
        self._above: dict[Stamp, int] = {}  # so that what is tried again takes no further numbers
        self._stopping = stopping

    async def check(self, name: str, said: Mapping[str, str]) -> None:
        """See that the catalogue is no older than what a library carries of it.

        Args:
            name: the library's. said: see `said`.

        Raises:
            CatalogueOlder: it is.
        """
        if not said:
            return
        ours = await self._database.run(stamp)
        same = said["catalogue"] == ours.catalogue and int(said["newest"]) > ours.newest
        if same or ours.catalogue in said["ancestors"].split():
            raise CatalogueOlder(
                f"the catalogue is older than what library {name} carries of it",
                path=str(self._catalogue),
                remedy="stop mediad and run `mediad rebuild`, which brings it up to date",
            )

    async def take_in(self, library: OpenLibrary, pulse: Pulse) -> None:
        """Take in what a library carries from another catalogue, and this one does not have yet.

        Args:
            pulse: asks the library.

        Raises:
            Hung: it does not answer. LibraryOffline, InputOutput, ...: it cannot be done now.
            CatalogueBroken: this catalogue is damaged.
        """
        told = await pulse.ask(functools.partial(said, library))
        if told and (
            told["library"] != library.uuid
            or await self._database.run(functools.partial(_has_taken, marker=library.uuid, said=told))
        ):
            return
        if not told and not await pulse.ask(functools.partial(backup_library.is_there, library.tree)):
            return
        try:
            if not told:
                raise _OfNoUse("it is damaged, or no catalogue")
            taken = await self._fetch_and_take(library, pulse)
        except _OfNoUse as error:
            await self._set_aside(library, pulse, str(error))
        else:
            what = f"took in what it carries of an earlier catalogue: {taken.files} files"
            log.info("library %s: %s", library.name, what)

    async def _set_aside(self, library: OpenLibrary, pulse: Pulse, why: str) -> None:
        log.warning("library %s: what it carries of an earlier catalogue is of no use: %s", library.name, why)
        try:
            await pulse.ask(functools.partial(backup_library.set_aside, library.tree, self._clock.now()))
        except OSError as error:
            raise library_error(error, library.tree.absolute(backup_library.CARRIED)) from error

    async def _fetch_and_take(self, library: OpenLibrary, pulse: Pulse) -> Taken:
        local = self._catalogue.parent / backup.FOLDER / f"{library.uuid}.new"
        try:
            await self._fetch(library, pulse, local)
            return await anyio.to_thread.run_sync(self._take, local)
        except OSError as error:
            raise LibraryOffline(f"{_NOT_NOW}: {error.strerror or error}", path=str(local.parent)) from error
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(backup.remove, local)

    async def _fetch(self, library: OpenLibrary, pulse: Pulse, local: Path) -> None:
        """Copy it, piece by piece: the library may hang, and what hangs is left behind."""

        def begin() -> backup_library.Fetching:
            local.parent.mkdir(mode=0o700, exist_ok=True)
            return backup_library.Fetching(library.tree, local)

        fetching = await anyio.to_thread.run_sync(begin)
        while True:
            try:
                data = await pulse.ask(fetching.read)
            except OSError as error:
                raise library_error(error, library.tree.absolute(backup_library.CARRIED)) from error
            except CatalogueBroken as error:
                raise _OfNoUse(error.message) from error
            if not data:
                return
            await anyio.to_thread.run_sync(fetching.write, data)

    def _take(self, local: Path) -> Taken:
        try:
            source = open_foreign(local, self._stopping)
        except CatalogueBroken as error:
            raise _OfNoUse(error.message) from error
        except apsw.Error as error:
            raise LibraryOffline(f"{_NOT_NOW}: {error}", path=str(local.parent)) from error
        try:
            of = stamp(source)
            if of not in self._above:
                self._above[of] = anyio.from_thread.run_sync(self._reserve, of.newest)
            above = self._above[of]
            return take_rows(source, self._catalogue, self._write, above=above, foreign=True)
        except apsw.Error as error:
            raise _meant(error, local) from error
        except CatalogueBroken as error:
            if isinstance(error.__cause__, DAMAGE) or not isinstance(error.__cause__, apsw.Error):
                raise
            raise _meant(error.__cause__, local) from error
        finally:
            source.close()

    def _write(self, work: Callable[[apsw.Connection], None]) -> None:
        if self._stopping():
            raise InterruptedError
        anyio.from_thread.run(self._database.run, work)


class _OfNoUse(Exception):
    """What a library carries can never be taken in."""


def _meant(error: apsw.Error, local: Path) -> Exception:
    """What it means that SQLite failed while rows were taken in: mostly that it may work later."""
    if isinstance(error, NONSENSE):
        return _OfNoUse(f"no mediad wrote this: {error}")
    return LibraryOffline(f"{_NOT_NOW}: {error}", path=str(local.parent))


def _has_taken(connection: apsw.Connection, marker: str, said: Mapping[str, str]) -> bool:
    ours: Stamp = stamp(connection)
    if said["catalogue"] == ours.catalogue:
        return True
    row = connection.execute(
        "SELECT 1 FROM taken_in JOIN library ON library.id = taken_in.library"
        " WHERE marker = ? AND catalogue = ? AND newest >= ?",
        (marker, said["catalogue"], int(said["newest"])),
    ).fetchone()
    return row is not None
