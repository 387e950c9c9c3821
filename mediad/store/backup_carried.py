"""What a library carries is looked at when it comes: is the catalogue older, or does it lack rows of that?"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import apsw

from mediad.errors import CatalogueBroken, CatalogueOlder, printable
from mediad.files import library_error
from mediad.library import OpenLibrary
from mediad.store import backup, backup_library
from mediad.store.backup import Stamp, stamp
from mediad.store.database import Database
from mediad.store.salvage import Taken, take_rows

log = logging.getLogger("mediad")


class Carried:
    """Compares what libraries carry with the catalogue, and takes in what that never knew.

    Args:
        catalogue: its path.
        reserve: keeps numbers for the rows of another catalogue, given how many; returns how much higher
            these are than there.
        left_open: told which steps came that a crash has left open.
    """

    def __init__(
        self,
        catalogue: Path,
        database: Database,
        reserve: Callable[[int], int],
        left_open: Callable[[list[int]], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._catalogue = catalogue
        self._database = database
        self._reserve = reserve
        self._left_open = left_open
        self._stopping = stopping

    async def check(self, library: OpenLibrary) -> None:
        """See that the catalogue is no older than what a library carries of it.

        Raises:
            CatalogueOlder: it is. LibraryOffline, InputOutput, ...: that cannot be read now.
        """
        said = await self._said(library)
        if not said:
            return
        ours = await self._database.run(stamp)
        same = said["catalogue"] == ours.catalogue and int(said["newest"]) > ours.newest
        if same or ours.catalogue in said["ancestors"].split():
            raise CatalogueOlder(
                f"the catalogue is older than what library {library.name} carries of it",
                path=str(self._catalogue),
                remedy="stop mediad and run `mediad rebuild`, which brings it up to date",
            )

    async def _said(self, library: OpenLibrary) -> dict[str, str]:
        try:
            said = await anyio.to_thread.run_sync(backup_library.carried, library.tree)
        except OSError as error:
            raise library_error(error, library.tree.absolute(backup_library.CARRIED)) from error
        return said if {"catalogue", "newest", "library"} <= said.keys() else {}

    async def take_in(self, library: OpenLibrary) -> None:
        """Take in what a library carries from another catalogue, and this one does not have yet.

        Raises:
            SchemaTooNew: a newer mediad wrote it. LibraryOffline, InputOutput, ...: it cannot be read now.
        """
        said = await self._said(library)
        if not said or said["library"] != library.uuid:
            return
        if await self._database.run(functools.partial(_has_taken, marker=library.uuid, said=said)):
            return
        above = self._reserve(int(said["newest"]))
        try:
            taken = await anyio.to_thread.run_sync(self._take, library, above)
        except CatalogueBroken as error:
            log.warning(
                "library %s: what it carries of an earlier catalogue is of no use: %s", library.name, error
            )
            return
        except OSError as error:
            raise library_error(error, library.tree.absolute(backup_library.CARRIED)) from error
        log.info(
            "library %s: took in what it carries of an earlier catalogue: %d files", library.name, taken.files
        )

    def _take(self, library: OpenLibrary, above: int) -> Taken:
        folder = self._catalogue.parent / backup.FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        local = folder / f"{library.uuid}.new"
        try:
            source = backup_library.fetch(library.tree, local, self._stopping)
            try:
                taken = take_rows(source, self._catalogue, self._write, above=above)
            except apsw.Error as error:
                raise CatalogueBroken(f"it cannot be read: {error}", path=printable(str(local))) from error
            finally:
                source.close()
        finally:
            backup.remove(local)
        self._left_open(taken.open)
        return taken

    def _write(self, work: Callable[[apsw.Connection], None]) -> None:
        if self._stopping():
            raise InterruptedError
        anyio.from_thread.run(self._database.run, work)


def _has_taken(connection: apsw.Connection, marker: str, said: dict[str, str]) -> bool:
    ours: Stamp = stamp(connection)
    if said["catalogue"] == ours.catalogue:
        return True
    row = connection.execute(
        "SELECT 1 FROM taken_in JOIN library ON library.id = taken_in.library"
        " WHERE marker = ? AND catalogue = ? AND newest >= ?",
        (marker, said["catalogue"], int(said["newest"])),
    ).fetchone()
    return row is not None
