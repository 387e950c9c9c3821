"""Reading on behalf of somebody else: what they could not read themselves is not read for them.

All is decided on descriptors, so that it holds for the very file that is read, whatever a path leads to
meanwhile. A file or folder is found by a descriptor that only names it (O_PATH), and opened if it may be: a
device that is merely opened does things.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from stat import S_ISLNK, S_ISREG

from mediad.control.access import READ, SEARCH, may_read
from mediad.control.peer import Peer
from mediad.files import Files

Inode = tuple[int, int]
See = Callable[[int, int], None]
"""Raises `Barred` unless what a descriptor names may be read or searched (`access.READ`, `SEARCH`)."""

BARRED = "barred"
"""The code of a file that was left out because whoever asked may not read it."""

_FIND = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FIND_FOLDER = _FIND | os.O_DIRECTORY
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ACL = "system.posix_acl_access"
_NO_ACL = (errno.ENODATA, errno.EOPNOTSUPP)
_MOST_LINKS = 40  # as path_resolution(7)
_DEEPEST = 256  # folders, each of which holds a descriptor; thin air


class Barred(PermissionError):
    """Somebody could not read this themselves."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "may not be read by you")


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to.

    Attributes:
        path: absolute, without links. status: of what lies there.
        trail: the inodes of "/" and of each component.
    """

    path: bytes
    status: os.stat_result
    trail: tuple[Inode, ...]


def open_to(_fd: int, _want: int) -> None:
    """For those who may have read whatever the daemon can."""


def eyes_of(peer: Peer) -> See:
    """What this peer may read."""
    return open_to if peer.trusted else lambda fd, want: _see(peer, fd, want)


def _see(peer: Peer, fd: int, want: int) -> None:
    try:
        acl = os.getxattr(_by_number(fd), _ACL)
    except OSError as error:
        if error.errno not in _NO_ACL:
            raise Barred from error
        acl = None
    if not may_read(peer.uid, peer.gids, os.fstat(fd), acl, want):
        raise Barred


def find(path: bytes, see: See, want: Callable[[os.stat_result], int]) -> Found:
    """Follow an absolute path and its links, and see that what lies there can be opened. Blocks.

    Whoever may not search a folder does not learn what is in it.

    Args:
        want: what has to be permitted on what lies there; it may raise, and then that is not opened.

    Raises:
        Barred: a folder on the way may not be searched, or the end not be read. OSError.
    """
    todo = path.split(b"/")[::-1]
    names: list[bytes] = []
    fds = [os.open("/", _FIND_FOLDER)]
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name == b"..":
                if names:
                    names.pop()
                    os.close(fds.pop())
            elif name not in (b"", b"."):
                see(fds[-1], SEARCH)
                fd = _named(name, fds[-1])
                if not S_ISLNK(os.fstat(fd).st_mode):
                    fds.append(fd)
                    names.append(name)
                else:
                    links += 1
                    target = _target(fd)
                    while target.startswith(b"/") and names:
                        names.pop()
                        os.close(fds.pop())
                    todo += target.split(b"/")[::-1]
            if links > _MOST_LINKS or len(fds) > _DEEPEST:
                code = errno.ELOOP if links > _MOST_LINKS else errno.ENAMETOOLONG
                raise OSError(code, os.strerror(code))
        status = os.fstat(fds[-1])
        see(fds[-1], want(status))
        os.close(os.open(_by_number(fds[-1]), _OPEN))
        return Found(b"/" + b"/".join(names), status, tuple(_inode(os.fstat(fd)) for fd in fds))
    finally:
        for fd in fds:
            os.close(fd)


def _named(name: bytes, dir_fd: int) -> int:
    try:
        return os.open(name, _FIND_FOLDER, dir_fd=dir_fd)  # with O_DIRECTORY an automount is mounted
    except NotADirectoryError:
        return os.open(name, _FIND, dir_fd=dir_fd)


def _target(link: int) -> bytes:
    """What a symbolic link says; closes its descriptor."""
    try:
        return os.readlink(b"", dir_fd=link)
    finally:
        os.close(link)


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino


def _by_number(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


class FilesFor(Files):
    """Reads below one root for a peer; every other call is as ever.

    Args:
        root: the inode that the root has to be.
    """

    def __init__(self, peer: Peer, root: Inode) -> None:
        self._see = eyes_of(peer)
        self._root = root

    def open_root(self, path: bytes) -> int:
        """Open the root, which has no links on its way, if it is the one that was permitted."""
        fd = os.open("/", _FIND_FOLDER)
        try:
            for name in filter(None, path.split(b"/")):
                self._see(fd, SEARCH)
                fd, above = os.open(name, _FIND_FOLDER, dir_fd=fd), fd
                os.close(above)
            if _inode(os.fstat(fd)) != self._root:
                raise OSError(errno.ESTALE, "another folder has taken its place")
            return os.open(".", _OPEN | os.O_DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)

    def open_dir(self, name: bytes, dir_fd: int) -> int:
        self._see(dir_fd, SEARCH)
        return super().open_dir(name, dir_fd)

    def open_file(self, name: bytes, dir_fd: int) -> int:
        """Open a regular file that may be read; nothing else is opened at all."""
        self._see(dir_fd, SEARCH)
        fd = os.open(name, _FIND, dir_fd=dir_fd)
        try:
            if not S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.ELOOP, "is no regular file")
            self._see(fd, READ)
            return os.open(_by_number(fd), _OPEN)
        finally:
            os.close(fd)

    def list_dir(self, fd: int) -> list[bytes]:
        self._see(fd, READ)
        return super().list_dir(fd)

    def stat_at(self, name: bytes, dir_fd: int) -> os.stat_result:
        self._see(dir_fd, SEARCH)
        return super().stat_at(name, dir_fd)
