"""Whether somebody else could read a file: the kernel's rules (acl(5), "access check algorithm"). PURE.

A daemon that runs as root can read everything, and must not read for somebody what they could not read
themselves. Known here are mode bits and POSIX ACLs; a filesystem with rules of its own (NFSv4 ACLs, FUSE
without default_permissions), security modules and capabilities are not.

Where the kernel and acl(5) differ, the stricter counts: the kernel passes over an ACL whose mask is empty,
and then gives users whom the ACL names what everybody else has.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Protocol

READ = 4
SEARCH = 1

_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")  # tag, permissions, whom it names

_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


class Owned(Protocol):
    """What is needed of an `os.stat_result`."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_uid(self) -> int: ...
    @property
    def st_gid(self) -> int: ...


def may_read(uid: int, gids: Collection[int], stat: Owned, acl: bytes | None, want: int = READ) -> bool:
    """Whether a user has permissions on one file or folder; those on the way to it are not looked at.

    Args:
        uid: not root, to whom this does not apply.
        gids: the user's primary and supplementary groups.
        acl: the extended attribute `system.posix_acl_access`, None if there is none. What cannot be
            understood permits nothing.
        want: `READ` for a file, `READ | SEARCH` for a folder; all of it is needed.
    """
    if uid == stat.st_uid:
        return _has(stat.st_mode >> 6, want)
    if acl is not None:
        return _by_acl(uid, gids, stat.st_gid, acl, want)
    return _has(stat.st_mode >> 3 if stat.st_gid in gids else stat.st_mode, want)


def _by_acl(uid: int, gids: Collection[int], owning_gid: int, acl: bytes, want: int) -> bool:
    """For who is not the owner: as a named user, else by their groups, else as everybody else."""
    try:
        entries = list(_entries(acl))
    except ValueError:
        return False
    mask = next((allowed for tag, allowed, _ in entries if tag == _MASK), 7)
    for tag, allowed, whom in entries:
        if tag == _USER and whom == uid:
            return _has(allowed & mask, want)
    of_groups = [
        allowed
        for tag, allowed, whom in entries
        if (tag == _GROUP_OBJ and owning_gid in gids) or (tag == _GROUP and whom in gids)
    ]
    if of_groups:  # one entry has to have it all
        return any(_has(allowed & mask, want) for allowed in of_groups)
    return any(_has(allowed, want) for tag, allowed, _ in entries if tag == _OTHER)


def _entries(acl: bytes) -> Iterator[tuple[int, int, int]]:
    body = acl[_HEADER.size :]
    if len(acl) < _HEADER.size or _HEADER.unpack_from(acl) != (_VERSION,) or len(body) % _ENTRY.size:
        raise ValueError("not an ACL of the kind we know")
    return _ENTRY.iter_unpack(body)


def _has(allowed: int, want: int) -> bool:
    return allowed & want == want
