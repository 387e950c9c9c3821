"""The listening socket: where it is, who may open it, and that there is one daemon behind it."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from mediad.control.peer import peer_of
from mediad.errors import AlreadyHeld, InvalidConfig, LibraryReadOnly
from mediad.lock import lock_file

_LAST_PLACE = "/run/mediad/control"  # of the default ones
_LONGEST_PATH = 107  # bytes that the kernel takes as a socket's path
_BACKLOG = 1024  # clients that may wait to be accepted; more get EAGAIN


class Listener:
    """A socket that listens under its path until it is closed.

    Attributes:
        socket: non-blocking.
        path: where it is.
        gid: members of this group may use it, too. group: that group's name, for messages.
        regrouped: an eventfd(2), readable after the group has changed.
    """

    def __init__(self, path: Path, gid: int | None) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._name = os.fsencode(path.name)
        with contextlib.ExitStack() as undo:
            undo.callback(self.socket.close)
            # Everything goes by this descriptor, so that it concerns one folder, whatever the path becomes.
            self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(os.close, self._folder)
            self._lock = lock_file(os.fsencode(path) + b".lock", "the control socket")
            undo.callback(os.close, self._lock)
            self.regrouped = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            undo.callback(os.close, self.regrouped)
            self._refuse_what_is_there()
            self._belongs_to(gid)
            self._inode = self._appear(gid)
            undo.pop_all()

    def regroup(self, gid: int | None) -> None:
        """Lets the members of another group use it, or nobody but root and the daemon's user. Blocks.

        Who lost the right is refused from now on, whatever the filesystem says to it.

        Raises:
            InvalidConfig: the daemon may not give it to that group.
        """
        self._belongs_to(gid)
        os.eventfd_write(self.regrouped, 1)
        try:
            self._permit(self._name, gid, self._inode)
        except OSError as error:
            raise InvalidConfig([f"daemon.group: {_group_name(gid)}: {_why(error)}"]) from error

    def close(self) -> None:
        """Stops listening. The path goes with it, unless there is something else by now."""
        with contextlib.suppress(FileNotFoundError):
            if _inode(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)) == self._inode:
                os.unlink(self._name, dir_fd=self._folder)
        self.socket.close()
        os.close(self._folder)
        os.close(self._lock)
        os.close(self.regrouped)

    def _refuse_what_is_there(self) -> None:
        try:
            found = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(errno.EEXIST, "there is something that is no socket")
        if (holder := _who_answers(self._reach(self._name))) is not None:
            raise AlreadyHeld(
                f"a running program answers at the control socket (pid {holder or 'unknown'})",
                path=str(self.path),
                remedy="stop that one first",
            )

    def _appear(self, gid: int | None) -> tuple[int, int]:
        """Listens, with the right owners and mode, before the socket gets its name."""
        new = self._name + b".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=self._folder)
        self.socket.bind(self._reach(new))
        try:
            inode = self._permit(new, gid, None)
            self.socket.listen(_BACKLOG)
            os.rename(new, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            os.unlink(new, dir_fd=self._folder)
            raise
        return inode

    def _permit(self, name: bytes, gid: int | None, expected: tuple[int, int] | None) -> tuple[int, int]:
        """Gives a socket its owners and mode; whatever else may have got its name is not touched.

        Args:
            expected: which inode it is, None if that is not known yet.

        Returns:
            The inode.
        """
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            found = os.fstat(fd)
            ours = stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
            if not ours or expected not in (None, _inode(found)):
                raise OSError(errno.ESTALE, "there is something else in the socket's place")
            place = b"/proc/self/fd/%d" % fd
            os.chown(place, -1, os.getegid() if gid is None else gid)
            os.chmod(place, 0o600 if gid is None else 0o660)
            return _inode(found)
        finally:
            os.close(fd)

    def _belongs_to(self, gid: int | None) -> None:
        self.gid = gid
        self.group = _group_name(gid)

    def _reach(self, name: bytes) -> bytes:
        """A path for calls that take no folder's descriptor."""
        return b"/proc/self/fd/%d/%s" % (self._folder, name)


def open_listener(places: Sequence[str], gid: int | None) -> Listener:
    """Listens at the first place that can be used; its folder is made if need be. Blocks.

    Args:
        places: absolute paths.
        gid: the group whose members may use the socket, or None.

    Raises:
        AlreadyHeld: a program listens at that place; named with its pid. InvalidConfig: no place can be used;
            says of each why.
    """
    problems = []
    for place in places:
        if (length := len(os.fsencode(place))) > _LONGEST_PATH:
            problems.append(f"daemon.socket: {place}: is {length} bytes long; {_LONGEST_PATH} are possible")
            continue
        try:
            _make_folder(Path(place).parent)
            return Listener(Path(place), gid)
        except OSError as error:
            problems.append(f"daemon.socket: {place}: {_why(error)}")
        except LibraryReadOnly as error:
            problems.append(f"daemon.socket: {place}.lock: {error.message}")
    if places[-1] == _LAST_PLACE:  # neither the configuration nor a session names another
        problems[-1] += "; set daemon.socket, or XDG_RUNTIME_DIR"
    raise InvalidConfig(problems)


def _make_folder(folder: Path) -> None:
    """With mode 0755, and its parents too, so that a group can reach the socket whatever the umask is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another daemon starts, too
            path.mkdir()
            path.chmod(0o755)


def _who_answers(path: bytes) -> int | None:
    """The pid of the program that listens there, 0 if it is too busy to be asked; None if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except BlockingIOError:
            return 0
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        return peer_of(probe).pid


def _group_name(gid: int | None) -> str:
    if gid is None:
        return ""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _why(error: OSError) -> str:
    return error.strerror or str(error)
