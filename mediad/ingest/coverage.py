"""Which folders inotify really covers, read from the kernel itself.

watchfiles says nothing when the watch limit is reached at run time, when an unreadable folder stops its
walk, or when something is mounted below it. /proc/self/fdinfo lists every inotify watch of this process by
inode and device (proc_pid_fdinfo(5)), so the truth can be had.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import select
from collections.abc import Mapping

_WATCH = re.compile(rb"^inotify wd:[0-9a-f]+ ino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)


_IN_DELETE_SELF = 0x400

_libc = ctypes.CDLL(None, use_errno=True)


class Gaps:
    """What inotify turned out not to cover.

    Attributes:
        folders: those, which have to be polled.
        by_name: those of them for which the watcher was started anew, since an unreadable neighbour may have
            hidden them.
        late: some were seen for the first time: the watcher may still be on its way there.
    """

    def __init__(self) -> None:
        self.folders: set[bytes] = set()
        self.by_name: set[bytes] = set()
        self.late = False
        self._hopeful = False
        self._limited = False

    def told(self, every: float) -> str:
        """What is wrong, in words; "" while nothing is, or that may pass.

        Args:
            every: seconds between two looks at what is not covered.
        """
        if not self.folders or self._hopeful:
            return ""
        limit = " (fs.inotify.max_user_watches is reached)" if self._limited else ""
        many = f"{len(self.folders)} folder{'s' * (len(self.folders) != 1)}"
        return f"inotify does not cover {many}{limit}; looked at every {every:.0f} s"

    def broke(self) -> None:
        """The watcher is no more."""
        self.folders.add(b"")
        self.by_name = set()
        self._hopeful = False

    def all_seen(self, found: Mapping[tuple[int, int], bytes]) -> bool:
        """All folders were looked at; should the watcher be started anew? Blocks."""
        self.folders = missing(found)
        return self._worth_a_start()

    def some_seen(self, found: Mapping[tuple[int, int], bytes]) -> bool:
        """Some were; should the watcher be started anew? Blocks."""
        gaps = missing(found)
        new = gaps - self.folders
        known = bool(self.folders) and not self._hopeful
        self.folders = (self.folders - set(found.values())) | gaps
        if known:
            self.by_name |= new
            return False
        self.late = bool(new)
        if self.late:
            self._hopeful = True
            return False
        return self._worth_a_start()

    def _worth_a_start(self) -> bool:
        self.late = False
        self._hopeful = bool(self.folders - self.by_name)
        if self._hopeful:
            self.by_name = set(self.folders)
        else:
            self._limited = bool(self.folders) and at_limit()
        return self._hopeful


def at_limit() -> bool:
    """May this user have no more inotify watches? The kernel counts those of all his processes."""
    fd = _libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        return False
    try:
        refused = _libc.inotify_add_watch(fd, b"/", _IN_DELETE_SELF) < 0
        return refused and ctypes.get_errno() == errno.ENOSPC
    finally:
        os.close(fd)


def missing(folders: Mapping[tuple[int, int], bytes]) -> set[bytes]:
    """The folders that no inotify watch of this process covers.

    Args:
        folders: paths by (st_dev, st_ino).
    """
    watched = _watched()
    devices = {device for device, _ in watched}
    inodes = {inode for _, inode in watched}
    return {
        path
        for (device, inode), path in folders.items()
        if (_kernel_device(device), inode) not in watched
        # btrfs gives each subvolume a st_dev of its own that the kernel's watch does not show
        and (_kernel_device(device) in devices or inode not in inodes)
    }


def _kernel_device(st_dev: int) -> int:
    return os.major(st_dev) << 20 | os.minor(st_dev)


def _watched() -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") != "anon_inode:inotify":
                continue
            with open(f"/proc/self/fdinfo/{name}", "rb") as file:
                content = file.read()
        except FileNotFoundError:  # closed meanwhile
            continue
        found.update((int(device, 16), int(inode, 16)) for inode, device in _WATCH.findall(content))
    return found


class MountTable:
    """Tells whether anything was mounted or unmounted lately (proc_pid_mounts(5)).

    An unmounted filesystem takes its inotify watches with it, and comes back with the same device and
    inode numbers.
    """

    def __init__(self) -> None:
        self._file = open("/proc/self/mounts", "rb")  # noqa: SIM115 - open as long as this object
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)

    def changed(self) -> bool:
        """Has it changed since this was last asked?"""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        self._file.close()
