"""Opens library files to be looked into, and sees that they are what the catalogue says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from stat import S_ISREG

from mediad.files import Files, Tree, stat_of
from mediad.ingest.moves import digest_of
from mediad.model import Stat
from mediad.store.fingerprints import ToDo


class OtherFile(Exception):
    """What lies there is not what the catalogue has: somebody changes it, or has."""


def open_it(tree: Tree, todo: ToDo) -> int:
    """A descriptor of a library file. Blocks.

    Raises:
        OSError: it cannot be opened. OtherFile.
    """
    with tree.dirs() as dirs:
        directory, name = dirs.parent(todo.path)
        fd = tree.files.open_file(name, directory)
    with _closed_on_error(tree.files, fd):
        see(tree.files, fd, todo)
    return fd


def see(files: Files, fd: int, todo: ToDo) -> Stat:
    """How an open file stands: as the catalogue has it. Blocks.

    Raises:
        OSError. OtherFile: it has another size or time.
    """
    found = files.fstat(fd)
    if not S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (todo.size, todo.mtime_ns):
        raise OtherFile("it has changed since it was catalogued")
    return stat_of(found)


def read(tree: Tree, todo: ToDo, stopping: Callable[[], bool]) -> tuple[bytes, Stat]:
    """The digest of a file that was never read, and how it stood. Blocks.

    Raises:
        OSError, InterruptedError. OtherFile, SourceChanged: somebody writes to it.
    """
    fd = open_it(tree, todo)
    try:
        before = see(tree.files, fd, todo)
        digest = digest_of(tree.files, fd, todo.size, stopping)
        if see(tree.files, fd, todo) != before:
            raise OtherFile("it changes while it is read")
    finally:
        tree.files.close(fd)
    return digest, before


@contextlib.contextmanager
def _closed_on_error(files: Files, fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        files.close(fd)
        raise
