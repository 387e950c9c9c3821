"""What a configuration's folders really are: filesystems, overlaps.

The pure half of the configuration compares paths as written. Here they are compared as they are: symlinks
are followed, and a place is known by device and inode of every ancestor and by its position inside its
filesystem, which is the same through every bind mount. Whatever does not exist, or cannot be looked at, is
offline and says nothing.
"""

from __future__ import annotations

import grp
import os
import re
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from mediad.config import Config, Root, Watch
from mediad.config.checks import contains
from mediad.errors import printable
from mediad.files import Files
from mediad.synced import synchronised_below, synchroniser

LEASES = frozenset({"ext4", "xfs", "btrfs", "f2fs", "tmpfs"})
SYNCFS = frozenset({"ext4", "xfs", "btrfs", "f2fs"})
# POSIX lets a power cut keep the removal of the old name and lose the new one. On tmpfs nothing outlasts it.
JOURNALED = SYNCFS | {"bcachefs", "ext3", "jfs", "tmpfs", "zfs"}
# Where others write without our kernel knowing, or where one look can take long.
_NETWORK = frozenset(
    {
        *(
            "9p",
            "acfs",
            "afs",
            "autofs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "drvfs",
            "fuse",
            "gfs2",
            "glusterfs",
        ),
        *("gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "shfs", "smb2"),
        *("smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
    }
)
_OCTAL = re.compile(rb"\\([0-7]{3})")
_LIMIT = 4.0  # seconds for a look at the configured folders, of which one may hang


@dataclass(frozen=True, slots=True)
class Filesystem:
    """What a path lies on.

    Attributes:
        type: as in mountinfo ("ext4", "nfs4", "fuse.sshfs"); "" if unknown.
        network: others may write to it unseen (network filesystems, and FUSE but for local disks).
        leases: F_SETLEASE tells truly whether somebody has a file open for writing.
        syncfs: syncfs(2) makes it durable.
        identity: of the folder itself, as `Files.identity` has it; "" where it is not there.
        journaled: after a power cut a renamed file has its old name or its new one, never none.
    """

    type: str
    network: bool
    leases: bool
    syncfs: bool
    journaled: bool
    identity: str = field(default="", compare=False)


UNKNOWN = Filesystem("", network=True, leases=False, syncfs=False, journaled=False)
"""What must be assumed of a place that does not answer."""


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of mountinfo. `root` is the part of the filesystem that shows at `point`."""

    device: bytes
    root: bytes
    point: bytes
    type: str


@dataclass(frozen=True, slots=True)
class Location:
    """A folder, whatever path leads to it.

    Attributes:
        ancestors: (st_dev, st_ino) of itself and every folder above it.
        position: its filesystem's device and its components inside it, or None if unknown.
    """

    inode: tuple[int, int]
    ancestors: frozenset[tuple[int, int]]
    position: tuple[bytes, tuple[bytes, ...]] | None

    def lies_in(self, other: Location) -> bool:
        """True if this is `other` or below it."""
        if other.inode in self.ancestors:
            return True
        if self.position is None or other.position is None:
            return False
        (device, parts), (other_device, other_parts) = self.position, other.position
        return device == other_device and parts[: len(other_parts)] == other_parts


def filesystem(path: str) -> Filesystem:
    """What `path` lies on, or, where it does not exist, its nearest ancestor that does.

    Can block on a network mount that hangs.
    """
    mount = _mount_of(_existing(path))
    kind = mount.type if mount else ""
    network = kind in _NETWORK or kind.startswith("fuse.")
    return Filesystem(
        kind, network, kind in LEASES, kind in SYNCFS, kind in JOURNALED, _identity(os.fsencode(path))
    )


def _identity(path: bytes) -> str:
    files = Files()
    try:
        fd = files.open_root(path)
    except OSError:
        return ""
    try:
        return files.identity(fd)
    except OSError:
        return ""
    finally:
        files.close(fd)


@dataclass(slots=True)
class Findings:
    """What the system says to a configuration: refusals and warnings."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look_over(config: Config) -> Findings:
    """`check_system` and `system_warnings`, and what these raise. Blocks, for a few seconds at most."""
    found = Findings()
    failed: list[Exception] = []

    def look() -> None:
        try:
            found.problems = check_system(config)
            found.warnings = system_warnings(config)
        except Exception as error:  # noqa: BLE001 - else the configuration would pass unchecked
            failed.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(_LIMIT)
    if failed:
        raise failed[0]
    if not thread.is_alive():
        return found
    silent = "a folder does not answer (a dead mount?), so the folders could not be checked"
    return Findings(found.problems, [silent])


def check_system(config: Config) -> list[str]:
    """Every refusal that needs a look at the system, as `FILE:LINE: KEY: what is wrong; what is allowed`.

    Can block on a network mount that hangs. What has no path, as that was wrong, is passed over.
    """
    return [*_no_folders(config), *overlaps(config), *_state(config), *_groups(config)]


def overlaps(config: Config, of: str = "") -> list[str]:
    """Watches, libraries and state directory that lie in one another on disk, of those that exist.

    What shows in their names already is not told again.

    Args:
        of: the key of the only watch or library that is asked for, such as "watch.inbox.path".
    """
    places = {root: place for root in _placed(config) if (place := locate(root.path))}
    found = []
    for first, second in combinations(places, 2):
        if of and of not in (first.key, second.key):
            continue
        if contains(first.path, second.path) or contains(second.path, first.path):
            continue
        if places[second].lies_in(places[first]):
            inner, outer = second, first
        elif places[first].lies_in(places[second]):
            inner, outer = first, second
        else:
            continue
        where = f'{outer.kind} "{outer.name}" ({config.origins.get(outer.key, "default")})'
        found.append(
            _problem(
                config, inner.key, f"on disk it lies inside {where}; watches and libraries have to be apart"
            )
        )
    state_dir = config.daemon.state_dir
    state = locate(_existing(state_dir)) if state_dir else None
    for root, place in places.items():
        if of not in ("", root.key):
            continue
        if state and state.lies_in(place) and not contains(root.path, state_dir):
            what = f'on disk it lies inside {root.kind} "{root.name}"; it has to be outside'
            found.append(_problem(config, "daemon.state_dir", what))
    return found


def system_warnings(config: Config) -> list[str]:
    """What is allowed and still unwise: `move` on a folder that a synchroniser keeps, `hardlink` between
    filesystems.
    """
    return [
        _problem(config, f"watch.{watch.name}.action", what)
        for watch in config.watches.values()
        if watch.path
        for what in _unwise(config, watch)
    ]


def _unwise(config: Config, watch: Watch) -> Iterator[str]:
    if watch.action == "move":
        yield from _moved_from_keeper(watch)
    elif watch.action == "hardlink":
        yield from _linked_across(config, watch)


def _moved_from_keeper(watch: Watch) -> Iterator[str]:
    harm = 'so that "move" deletes on the other devices too; "copy" does not'
    if keeper := synchroniser(watch.path):
        yield f"{keeper} keeps this folder, {harm}"
    elif found := synchronised_below(watch.path):
        yield f'{found[0]} keeps "{found[1]}" in it, {harm}'


def _linked_across(config: Config, watch: Watch) -> Iterator[str]:
    here = _stat(watch.path)
    for name in sorted(config.libraries_of(watch)):
        library = config.libraries.get(name)
        there = _stat(library.path) if library and library.path else None
        if here and there and here.st_dev != there.st_dev:
            what = f'library "{name}" lies on another filesystem'
            yield f'{what}, so that "hardlink" fails for every file; "copy" or "move" is allowed'


def _placed(config: Config) -> list[Root]:
    return [root for root in config.roots() if root.path]


def _no_folders(config: Config) -> Iterator[str]:
    for root in _placed(config):
        yield from _no_folder(config, root.key, root.path, root.kind)
    yield from _no_folder(config, "daemon.state_dir", config.daemon.state_dir, "state directory")


def _no_folder(config: Config, key: str, path: str, kind: str) -> Iterator[str]:
    """What stands in the way at or above `path`, and is no folder."""
    for place in _upwards(path):
        if (status := _stat(place)) is not None:
            if not stat.S_ISDIR(status.st_mode):
                what = "is" if place == path else "lies in"
                yield _problem(config, key, f'"{place}" is no folder; a {kind} {what} one')
            return


def _state(config: Config) -> Iterator[str]:
    path = config.daemon.state_dir
    lies_on = filesystem(path) if path else UNKNOWN
    if path and (lies_on.network or lies_on.type.startswith("fuse")):
        what = f'"{path}" lies on {lies_on.type}; the catalogue needs a local filesystem'
        yield _problem(config, "daemon.state_dir", what)


def _groups(config: Config) -> Iterator[str]:
    wanted = [(f"library.{library.name}.group", library.group) for library in config.libraries.values()]
    for key, group in (*wanted, ("daemon.group", config.daemon.group)):
        if group is None:
            continue
        try:
            gid = grp.getgrnam(group).gr_gid
        except KeyError:
            yield _problem(config, key, f'there is no group "{group}"; create it, or name another')
            continue
        if os.geteuid() != 0 and gid not in (os.getegid(), *os.getgroups()):
            yield _problem(
                config, key, f'the daemon is not in group "{group}"; add its user, or name another'
            )


def _problem(config: Config, key: str, what: str) -> str:
    return printable(f"{config.origins.get(key, 'default')}: {key}: {what}")


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _upwards(path: str) -> Iterator[str]:
    """`path` and every folder above it."""
    yield path
    while path != (path := os.path.dirname(path)):
        yield path


def _existing(path: str) -> str:
    """The nearest folder at or above `path` that exists."""
    return next((folder for folder in _upwards(path) if os.path.isdir(folder)), "/")


def locate(path: str) -> Location | None:
    """Where `path` really is; None if it does not exist or is no folder."""
    real = os.path.realpath(path)
    statuses = [_stat(folder) for folder in _upwards(real)]
    if statuses[0] is None or not stat.S_ISDIR(statuses[0].st_mode):
        return None
    inodes = [(status.st_dev, status.st_ino) for status in statuses if status]
    return Location(inodes[0], frozenset(inodes), _position(real))


def mounted_at_or_below(path: bytes) -> list[tuple[bytes, bytes]]:
    """What is mounted at an absolute path without links, or below it: mount points, and their devices as
    `Location.position` has them.

    Raises:
        OSError, ValueError: the kernel does not tell.
    """
    with open("/proc/self/mountinfo", "rb") as table:
        mounts = [_parsed(line) for line in table]
    prefix = path.rstrip(b"/") + b"/"
    return [(one.point, one.device) for one in mounts if one.point == path or one.point.startswith(prefix)]


def _position(real: str) -> tuple[bytes, tuple[bytes, ...]] | None:
    mount = _mount_of(real)
    if mount is None:
        return None
    below = os.path.relpath(os.fsencode(real), mount.point)
    parts = [part for part in (mount.root + b"/" + below).split(b"/") if part not in (b"", b".")]
    return None if b".." in parts else (mount.device, tuple(parts))


def _mount_of(folder: str) -> _Mount | None:
    """The mount that shows at an existing folder, by the kernel's own word (proc_pid_fdinfo(5))."""
    try:
        fd = os.open(
            os.path.join(folder, "."), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        )  # "." mounts automounts
        try:
            with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
                ids = [line.split()[1] for line in info if line.startswith(b"mnt_id:")]
        finally:
            os.close(fd)
        with open("/proc/self/mountinfo", "rb") as table:
            return next((_parsed(line) for line in table if line.split(b" ", 1)[0] in ids), None)
    except (OSError, ValueError):
        return None


def _parsed(line: bytes) -> _Mount:
    """One line of mountinfo (proc_pid_mountinfo(5)): any number of optional fields ends with a hyphen."""
    fields = line.split()
    kind = fields[fields.index(b"-", 6) + 1]
    root, point = (_OCTAL.sub(lambda code: bytes([int(code[1], 8)]), field) for field in fields[3:5])
    return _Mount(fields[2], root, point, kind.decode("ascii", "replace"))
