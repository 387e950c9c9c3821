"""Locks that keep a second daemon out: of a state directory, a library, a socket."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os

from mediad.errors import AlreadyHeld, LibraryReadOnly, MediadError
from mediad.files import EXHAUSTED, library_error

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # it may be a FIFO of somebody's
_TELLING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENODEV})


def lock_file(path: bytes, what: str) -> int:
    """Take an exclusive lock for this process's life (flock(2)); returns the descriptor that holds it.

    It is open for reading only where that is enough for a lock (NFS wants to write): a filesystem with a
    file that is open for writing cannot be made read-only.

    Raises:
        AlreadyHeld: names the process that has it. LibraryReadOnly: the file cannot be made or locked.
    """
    try:
        return _locked(path, what, os.O_RDONLY)
    except _NotForReaders:
        return _locked(path, what, os.O_RDWR)


class _NotForReaders(Exception):
    """This filesystem locks only what is open for writing."""


def _locked(path: bytes, what: str, mode: int) -> int:
    try:
        fd = os.open(path, mode | os.O_CREAT | _FLAGS, 0o600)
    except OSError as error:
        raise refusal(LibraryReadOnly, "cannot be written", error, path) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(fd)
        os.close(fd)
        raise AlreadyHeld(
            f"{what} is held by another mediad (pid {holder or 'unknown'})", remedy="stop that one first"
        ) from error
    except OSError as error:  # ENOLCK, EOPNOTSUPP: its filesystem has no locks to give
        os.close(fd)
        if error.errno == errno.EBADF and mode == os.O_RDONLY:
            raise _NotForReaders from error
        raise LibraryReadOnly(f"cannot be locked: {error.strerror}", path=path) from error
    with contextlib.suppress(OSError):  # the pid is for people; a full disk must not cost the lock
        _sign(path)
    return fd


def _sign(path: bytes) -> None:
    """Write who we are into the lock that we hold."""
    fd = os.open(path, os.O_WRONLY | _FLAGS)
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    finally:
        os.close(fd)


def _holder(fd: int) -> str:
    try:
        return os.pread(fd, 64, 0).decode("ascii", "replace").strip()
    except OSError:
        return ""


def refusal(kind: type[MediadError], what: str, error: OSError, path: bytes) -> MediadError:
    """An error of this kind, unless the system says better what is wrong: that it is full, that its server
    has lost sight of it, or that it is we who have nothing left to ask with.
    """
    if error.errno in EXHAUSTED | _TELLING:
        return library_error(error, path)
    return kind(f"{what}: {error.strerror}", path=path)
