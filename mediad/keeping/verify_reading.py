"""Reads library files again, from the device they lie on."""

from __future__ import annotations

import errno
from collections.abc import Callable, Container
from stat import S_ISREG

from mediad.errors import LibraryFull, LibraryReadOnly
from mediad.files import UNSUPPORTED, Files, Tree, stat_of, unwatched
from mediad.ingest.moves import digest_of
from mediad.library import OpenLibrary
from mediad.model import Stat

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""What is answered where no regular file is: nothing, or a link, a socket, a file in place of a folder."""


class Unsteady(Exception):
    """A file changed while it was read."""


def read_again(
    tree: Tree,
    path: bytes,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
    *,
    durable: bool = False,
    leases: Container[int] = (),
) -> tuple[bytes, Stat] | None:
    """Digest and state of a file below a root, None where no regular file is there. Blocks.

    Pages that somebody holds in memory (a mapping, what is not written yet) are not read from the device.

    Args:
        durable: have what is not written yet written first.
        leases: devices where leases tell of writers, of whom there may be none.

    Raises:
        OSError: it cannot be read; InterruptedError: `stopping()` turned true. Unsteady.
        SourceChanged: it became shorter meanwhile.
    """
    files = tree.files
    try:
        with tree.dirs() as dirs:
            directory, name = dirs.parent(path)
            fd = files.open_file(name, directory)
            try:
                return _read(files, fd, stopping, progress, durable=durable, leases=leases)
            finally:
                files.close(fd)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise


def _read(
    files: Files,
    fd: int,
    stopping: Callable[[], bool],
    progress: Callable[[int], None],
    *,
    durable: bool,
    leases: Container[int],
) -> tuple[bytes, Stat] | None:
    found = files.fstat(fd)
    if not S_ISREG(found.st_mode):
        return None
    alone = found.st_dev in leases
    if alone and is_held(files, fd):  # what is written through a mapping need not show in its times
        raise Unsteady
    if durable:
        try:
            files.sync_file(fd)
        except OSError as error:  # a filesystem that is read-only, or has nothing to sync
            if error.errno not in UNSUPPORTED | {errno.EROFS}:
                raise
    before = stat_of(files.fstat(fd))  # with ctime, which whoever sets mtime back cannot set
    files.drop_cache(fd)
    digest = digest_of(files, fd, before.size, stopping, progress)
    if stat_of(files.fstat(fd)) != before or (alone and is_held(files, fd)):
        raise Unsteady
    return digest, before


def is_held(files: Files, fd: int) -> bool:
    """Does somebody have a file open for writing, as far as can be told?"""
    try:
        return files.held_open(fd)
    except OSError:  # our rights allow no lease
        return False


def is_there(tree: Tree, path: bytes) -> Stat | None:
    """How a file stands, None where no regular file is. Blocks.

    Raises:
        OSError: that cannot be told.
    """
    try:
        with tree.dirs() as dirs:
            directory, name = dirs.parent(path)
            found = tree.files.stat_at(name, directory)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise
    return stat_of(found) if S_ISREG(found.st_mode) else None


def see_online(library: OpenLibrary) -> None:
    """See that a library is still there, so that what is missing in it is missing. Blocks.

    Raises:
        LibraryOffline: it is not.
    """
    try:
        library.check()
    except (LibraryReadOnly, LibraryFull):  # it can be read
        return
