"""What a library carries is looked at when it comes: is the catalogue older, or does it lack rows of that?"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import apsw

from mediad.clock import Clock
from mediad.errors import CatalogueBroken, CatalogueOlder, LibraryOffline, SchemaTooNew
from mediad.files import library_error
from mediad.ingest.pulse import Pulse
from mediad.library import OpenLibrary
from mediad.store import backup, backup_library
from mediad.store.backup import DAMAGE, Stamp, stamp
from mediad.store.backup_foreign import open_foreign
from mediad.store.database import Database
from mediad.store.salvage import Taken, take_rows

_NONSENSE = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)
"""What SQLite says of rows that cannot be."""

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
                raise CatalogueBroken("it is damaged, or no catalogue")
            taken = await self._fetch_and_take(library, pulse)
        except CatalogueBroken as error:
            await self._set_aside(library, pulse, error)
            return
        log.info(
            "library %s: took in what it carries of an earlier catalogue: %d files", library.name, taken.files
        )

    async def _set_aside(self, library: OpenLibrary, pulse: Pulse, error: CatalogueBroken) -> None:
        log.warning(
            "library %s: what it carries of an earlier catalogue is of no use: %s", library.name, error.message
        )
        try:
            await pulse.ask(functools.partial(backup_library.set_aside, library.tree, self._clock.now()))
        except OSError as failed:
            raise library_error(failed, library.tree.absolute(backup_library.CARRIED)) from failed

    async def _fetch_and_take(self, library: OpenLibrary, pulse: Pulse) -> Taken:
        folder = self._catalogue.parent / backup.FOLDER
        local = folder / f"{library.uuid}.new"
        try:
            await self._fetch(library, pulse, folder, local)
            return await anyio.to_thread.run_sync(self._take, local)
        except OSError as error:
            if error.filename is not None:  # one of ours
                raise LibraryOffline(
                    f"what it carries cannot be taken in now: {error.strerror}", path=str(error.filename)
                ) from error
            raise library_error(error, library.tree.absolute(backup_library.CARRIED)) from error
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(backup.remove, local)

    async def _fetch(self, library: OpenLibrary, pulse: Pulse, folder: Path, local: Path) -> None:
        """Copy it, piece by piece: only the library may hang."""

        def begin() -> backup_library.Fetching:
            folder.mkdir(mode=0o700, exist_ok=True)
            return backup_library.Fetching(library.tree, local)

        fetching = await anyio.to_thread.run_sync(begin)
        while data := await pulse.ask(fetching.read):
            await anyio.to_thread.run_sync(fetching.write, data)

    def _take(self, local: Path) -> Taken:
        try:
            source = open_foreign(local, self._stopping)
            try:
                (newest,) = source.execute("SELECT value FROM meta WHERE key = 'newest'")
                above = anyio.from_thread.run_sync(self._reserve, int(str(newest[0])))
                return take_rows(source, self._catalogue, self._write, above=above, foreign=True)
            finally:
                source.close()
        except (apsw.Error, _Unwritten) as error:
            why = error.__cause__ if isinstance(error, _Unwritten) else error
            if isinstance(why, _NONSENSE):
                raise CatalogueBroken(f"no mediad wrote this: {why}") from error
            raise LibraryOffline(f"what it carries cannot be taken in now: {why}") from error

    def _write(self, work: Callable[[apsw.Connection], None]) -> None:
        if self._stopping():
            raise InterruptedError
        try:
            anyio.from_thread.run(self._database.run, work)
        except CatalogueBroken as error:
            if isinstance(error.__cause__, DAMAGE):  # of this catalogue
                raise _Damaged from error
            raise _Unwritten from error.__cause__


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
