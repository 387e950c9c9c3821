"""Which folders inotify really covers, read from the kernel itself.

watchfiles says nothing when the watch limit is reached at run time, when an unreadable folder stops its
walk, or when something is mounted below it. /proc/self/fdinfo lists every inotify watch of this process by
inode and device (proc_pid_fdinfo(5)), so the truth can be had.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Mapping

_WATCH = re.compile(rb"^inotify wd:[0-9a-f]+ ino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)


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
