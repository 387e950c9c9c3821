"""The only door to the media filesystem.

`Files` is one small interface whose every call a test can make fail. `Tree` and `Dirs` walk below a root
by directory descriptor and never follow a symbolic link there: who can write to an inbox must not steer
the daemon elsewhere. Names are bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat as stat_module
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from mediad.errors import SourceChanged
from mediad.faults import EXHAUSTED as EXHAUSTED
from mediad.faults import library_error as library_error
from mediad.faults import reading_error as reading_error
from mediad.faults import source_error as source_error
from mediad.faults import system_error as system_error
from mediad.model import FileType, Stat

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1  # renameat2(2)
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_CHUNK = 8 << 20
_NOT_OURS = (
    "trusted.SGI_",
    "xfsroot.",
    "afs.",
    "security.evm",
)  # a filesystem's own: xattr.conf(5) skips them

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY, errno.EPERM})
"""What filesystems answer to a link, rename flag, clone or attribute that they do not have."""

_TYPES = {
    stat_module.S_IFREG: FileType.REGULAR,
    stat_module.S_IFLNK: FileType.SYMLINK,
    stat_module.S_IFIFO: FileType.FIFO,
    stat_module.S_IFCHR: FileType.DEVICE,
    stat_module.S_IFBLK: FileType.DEVICE,
    stat_module.S_IFSOCK: FileType.SOCKET,
}


def stat_of(result: os.stat_result) -> Stat:
    """The part of stat(2) by which files are compared."""
    return Stat(result.st_dev, result.st_ino, result.st_size, result.st_mtime_ns, result.st_ctime_ns)


def file_type(result: os.stat_result) -> FileType:
    """The kind of a directory entry that is not a directory."""
    return _TYPES.get(stat_module.S_IFMT(result.st_mode), FileType.DEVICE)


def unwatched(_count: int) -> None:
    """Stands for `progress` where nobody looks on."""


def _check(result: int, name: bytes) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


class Files:
    """System calls on media files. Every method raises OSError and nothing else."""

    def open_root(self, path: bytes) -> int:
        """Open a configured root; the root itself may be a symbolic link."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open_dir(self, name: bytes, dir_fd: int) -> int:
        return os.open(name, _OPEN_DIR, dir_fd=dir_fd)

    def open_file(self, name: bytes, dir_fd: int) -> int:
        """Open for reading; never blocks on a FIFO, never follows a link."""
        return os.open(name, _OPEN_FILE, dir_fd=dir_fd)

    def create(self, name: bytes, dir_fd: int) -> int:
        """Make a new file, 0600, for reading and writing; EEXIST if the name is taken."""
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def list_dir(self, fd: int) -> list[bytes]:
        """The names in a directory, in no order."""
        return [os.fsencode(name) for name in os.listdir(fd)]

    def stat_at(self, name: bytes, dir_fd: int) -> os.stat_result:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def identity(self, fd: int) -> str:
        """What tells a folder from another one in its place, also after the next start: its filesystem's id
        (statvfs(3), f_fsid) and its inode. st_dev would change.
        """
        return f"{os.fstatvfs(fd).f_fsid:x}-{os.fstat(fd).st_ino}"

    def free_bytes(self, fd: int) -> int:
        """What the filesystem lets this user still write."""
        result = os.fstatvfs(fd)
        return result.f_bavail * result.f_frsize

    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        """pread(2); the descriptor's own offset is never moved."""
        return os.preadv(fd, [buffer], offset)

    def held_open(self, fd: int) -> bool:
        """Does anybody, a writable mmap included, have this file open for writing?

        A read lease cannot be had while so (fcntl(2), "Leases"); it is released at once.

        Raises:
            OSError: the filesystem or our rights allow no lease, so nothing is known.
        """
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return True
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    def link(self, fd: int, name: bytes, dir_fd: int) -> None:
        """Give the very file behind `fd` a new name; EEXIST if the name is taken (linkat(2))."""
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=dir_fd, follow_symlinks=True)

    def may_remove(self, fd: int, dir_fd: int) -> bool:
        """May we take this file's name from this folder? Not on a read-only mount, nor where sticky."""
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=dir_fd, effective_ids=True):
            return False
        folder = os.fstat(dir_fd)
        ours = (0, folder.st_uid, os.fstat(fd).st_uid)
        return not folder.st_mode & stat_module.S_ISVTX or os.geteuid() in ours

    def rename(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        """renameat2(2) with RENAME_NOREPLACE: EEXIST if the new name is taken."""
        _check(_libc.renameat2(dir_fd, name, new_dir_fd, new, _RENAME_NOREPLACE), new)

    def replace(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        """Rename over what has the name: only ever for files that we made ourselves, never for media."""
        os.replace(name, new, src_dir_fd=dir_fd, dst_dir_fd=new_dir_fd)

    def unlink(self, name: bytes, dir_fd: int) -> None:
        os.unlink(name, dir_fd=dir_fd)

    def mkdir(self, name: bytes, dir_fd: int, mode: int) -> None:
        os.mkdir(name, mode, dir_fd=dir_fd)

    def rmdir(self, name: bytes, dir_fd: int) -> None:
        os.rmdir(name, dir_fd=dir_fd)

    def clone(self, source: int, target: int) -> None:
        """Share the blocks, where the filesystem can (ioctl_ficlone(2))."""
        fcntl.ioctl(target, _FICLONE, source)

    def copy_range(self, source: int, target: int, offset: int, count: int) -> int:
        """copy_file_range(2) at the same offset in both; returns how many bytes went over."""
        return os.copy_file_range(source, target, count, offset, offset)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync_file(self, fd: int) -> None:
        """fsync(2). After an error the pages count as clean: never call it again on the same ones."""
        os.fsync(fd)

    def sync_dir(self, fd: int) -> None:
        os.fsync(fd)

    def sync_filesystem(self, fd: int) -> None:
        """syncfs(2). It promises nothing on FUSE, and waits for everybody's pages."""
        _check(_libc.syncfs(fd), b"")

    def drop_cache(self, fd: int) -> None:
        """Let the next read come from the device; only clean pages go (posix_fadvise(2))."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def chmod(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def chown(self, fd: int, uid: int, gid: int) -> None:
        os.fchown(fd, uid, gid)

    def set_times(self, fd: int, atime_ns: int, mtime_ns: int) -> None:
        os.utime(fd, ns=(atime_ns, mtime_ns))

    def list_attributes(self, fd: int) -> list[str]:
        return os.listxattr(fd)

    def get_attribute(self, fd: int, name: str) -> bytes:
        return os.getxattr(fd, name)

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        os.setxattr(fd, name, value)


def copy_content(
    files: Files,
    source: int,
    target: int,
    size: int,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
) -> None:
    """Copy `size` bytes by the cheapest way there is: clone, copy_file_range, then read and write.

    It does not promise durability, nor that the source stood still: sync and compare afterwards.

    Raises:
        OSError: the medium. InterruptedError when `stopping()` turned true.
        SourceChanged: the source ended early.
    """
    try:
        files.clone(source, target)
    except OSError as error:
        if error.errno not in UNSUPPORTED | {errno.EXDEV, errno.EBADF}:
            raise
    else:
        return
    offset, by_kernel, by_hand = 0, True, _read_and_write(files)
    while offset < size:
        if stopping():
            raise InterruptedError(errno.EINTR, "stopping")
        try:
            copy = files.copy_range if by_kernel else by_hand
            count = copy(source, target, offset, min(_COPY_CHUNK, size - offset))
        except OSError as error:
            if not by_kernel or error.errno not in UNSUPPORTED | {errno.EXDEV, errno.EBADF}:
                raise
            count = 0
        if count == 0 and not by_kernel:
            raise SourceChanged("became shorter while it was copied")
        by_kernel = by_kernel and count > 0  # some filesystems say 0 where they mean "cannot"
        offset += count
        progress(count)


def _read_and_write(files: Files) -> Callable[[int, int, int, int], int]:
    buffer = memoryview(bytearray(1 << 20))

    def copy(source: int, target: int, offset: int, count: int) -> int:
        got = files.read_into(source, buffer[: min(count, len(buffer))], offset)
        written = 0
        while written < got:
            written += files.write(target, buffer[written:got], offset + written)
        return got

    return copy


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})  # for an attribute; a full disk shows when data is written


def copy_metadata(files: Files, source: int, target: int) -> None:
    """Bring mode, times, ACLs and extended attributes over, and the owner where permitted.

    What the target filesystem cannot hold (owners and ACLs on FAT, foreign namespaces) is left out: a
    picture without its ACL is better than no picture.
    """
    result = files.fstat(source)
    with contextlib.suppress(OSError):
        files.chown(target, result.st_uid, result.st_gid)
    for name in _attributes(files, source):
        try:
            files.set_attribute(target, name, files.get_attribute(source, name))
        except OSError as error:
            if (
                error.errno
                not in UNSUPPORTED | {errno.EACCES, errno.ENODATA, errno.ERANGE, errno.E2BIG} | _NO_ROOM
            ):
                raise
    try:
        files.chmod(target, stat_module.S_IMODE(result.st_mode))
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    files.set_times(target, result.st_atime_ns, result.st_mtime_ns)


def _attributes(files: Files, fd: int) -> list[str]:
    try:
        return [name for name in files.list_attributes(fd) if not name.startswith(_NOT_OURS)]
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return []
        raise


class Dirs:
    """Directory descriptors below one root, opened without following links, closed together."""

    def __init__(self, files: Files, root: bytes) -> None:
        self.files = files
        self._fds: dict[bytes, int] = {b"": files.open_root(root)}
        self.made: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close them all; calling it twice is harmless."""
        while self._fds:
            self.files.close(self._fds.popitem()[1])

    @property
    def root(self) -> int:
        return self._fds[b""]

    def fd(self, path: bytes) -> int:
        """The descriptor of a directory; OSError where it is missing or a link stands in the way."""
        known = self._fds.get(path)
        if known is not None:
            return known
        parent, name = split(path)
        opened = self.files.open_dir(name, self.fd(parent))
        self._fds[path] = opened
        return opened

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """The descriptor of a path's directory, and the path's last component; OSError as of `fd`."""
        directory, name = split(path)
        return self.fd(directory), name

    def make(self, path: bytes, mode: int | None = None, gid: int | None = None) -> int:
        """Like `fd`, making what is missing; `made` lists what was made, parents first."""
        try:
            return self.fd(path)
        except FileNotFoundError:
            parent, name = split(path)
            parent_fd = self.make(parent, mode, gid)
            self._make_one(path, name, parent_fd, mode, gid)
            return self.fd(path)

    def _make_one(self, path: bytes, name: bytes, parent: int, mode: int | None, gid: int | None) -> None:
        try:
            self.files.mkdir(name, parent, 0o777)
        except FileExistsError:  # somebody else was faster; `fd` sees whether it is a directory
            return
        self.made.append(path)
        fd = self.fd(path)
        if gid is not None:
            self.files.chown(fd, -1, gid)
        if mode is not None:
            self.files.chmod(fd, mode)


class Tree:
    """A root of ours: a watch or a library."""

    def __init__(self, files: Files, root: bytes) -> None:
        self.files = files
        self.root = root

    def dirs(self) -> Dirs:
        """Open the root; the caller closes it. OSError where the root is missing."""
        return Dirs(self.files, self.root)

    def absolute(self, path: bytes) -> bytes:
        return self.root + b"/" + path if path else self.root


def split(path: bytes) -> tuple[bytes, bytes]:
    """A relative path's directory and its last component.

    Raises:
        OSError: that component leads out of the directory or nowhere, as ".." and "." do. A path is not
            always ours: a catalogue may have come with a disk that somebody else wrote.
    """
    directory, slash, name = path.rpartition(b"/")
    if name in (b"", b".", b"..") or (slash and not directory):
        raise OSError(errno.ELOOP, "names nothing below its folder")
    return directory, name


def walk_up(path: bytes) -> Iterator[bytes]:
    """A relative directory path and all its parents, deepest first, the root (b"") left out."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]
