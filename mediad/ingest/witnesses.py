"""What lies in the libraries already: indexed by name and size at first sight, read when a newcomer of the
same size makes it matter.
"""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Callable, Mapping, Sequence

import anyio
import anyio.from_thread
import anyio.to_thread
import apsw

from mediad.clock import Clock
from mediad.errors import MediadError, printable
from mediad.files import stat_of, unwatched
from mediad.ingest.folder import Folder
from mediad.ingest.moves import digest_of
from mediad.layout import key_of
from mediad.library import OpenLibrary
from mediad.model import FileType, Sighting, Stat
from mediad.store import catalogue, verifying
from mediad.store.database import Database

log = logging.getLogger("mediad")

_CLOCK = Clock()


async def index(
    folder: Folder,
    row: int,
    database: Database,
    clock: Clock,
    stopping: Callable[[], bool],
    *,
    passed_over: Callable[[apsw.Connection, int, bytes], bool] = lambda _connection, _row, _path: False,
) -> None:
    """Learn the names and sizes of all that lies in a library.

    Args:
        folder: the library. row: its row in the catalogue.
        passed_over: is what lies at this path somebody's who tells of it himself?
    """

    async def remember(chunk: Sequence[Sighting]) -> None:
        files = [seen for seen in chunk if seen.type is FileType.REGULAR and not seen.excluded]

        def write(connection: apsw.Connection) -> None:
            found = [
                (seen.path, key_of(seen.path), seen.stat)
                for seen in files
                if not passed_over(connection, row, seen.path)
            ]
            catalogue.remember_found(connection, row, found)

        await database.run(write)

    def emit(chunk: Sequence[Sighting]) -> None:
        anyio.from_thread.run(remember, chunk)

    report = await anyio.to_thread.run_sync(folder.scan, b"", emit, stopping)
    for path, why in report.errors:
        log.warning(
            "library at %s: cannot look into %s: %s", printable(folder.tree.root), printable(path), why
        )
    await database.run(lambda connection: catalogue.library_indexed(connection, row, clock.micros()))


async def read_unread(
    database: Database,
    libraries: Mapping[int, OpenLibrary],
    sizes: set[int],
    stopping: Callable[[], bool],
    limiter: anyio.CapacityLimiter | None = None,
    progress: Callable[[int], None] = unwatched,
    *,
    clock: Clock = _CLOCK,
) -> None:
    """Hash every unread file of these sizes, so that the planner can compare contents.

    What cannot be read now stays unread, and witnesses nothing.

    Args:
        libraries: those that are online, by their row in the catalogue.
        sizes: in bytes.
        limiter: of the threads that read. progress: told there how many more bytes were read.
        clock: tells when a file was found to have other content than it should have.
    """
    unread = await database.run(lambda connection: catalogue.unread_of_sizes(connection, libraries, sizes))
    read = functools.partial(_read, stopping=stopping, progress=progress)
    for file, row, path in unread:
        try:
            found = await anyio.to_thread.run_sync(read, libraries[row], path, limiter=limiter)
        except (OSError, MediadError) as error:
            log.debug("library at %s: %s: %s", printable(libraries[row].tree.root), printable(path), error)
            continue
        await database.run(_note(file, found, clock.micros()))


def _note(file: int, found: tuple[bytes, Stat] | None, now: int) -> Callable[[apsw.Connection], None]:
    def note(connection: apsw.Connection) -> None:
        if found is None:
            catalogue.set_missing(connection, file)
        else:
            verifying.was_read(connection, file, *found, now)

    return note


def _read(
    library: OpenLibrary, path: bytes, stopping: Callable[[], bool], progress: Callable[[int], None]
) -> tuple[bytes, Stat] | None:
    """Digest and state of a library file, None where it is missing.

    Raises:
        OSError, MediadError: it cannot be read now, or the library is away, so that nothing is concluded.
    """
    files = library.tree.files
    try:
        with library.tree.dirs() as dirs:
            directory, name = dirs.parent(path)
            fd = files.open_file(name, directory)
            try:
                stat = stat_of(files.fstat(fd))
                return digest_of(files, fd, stat.size, stopping, progress), stat
            finally:
                files.close(fd)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        library.check()
        return None
