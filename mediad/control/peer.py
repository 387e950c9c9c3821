"""Who is at the other end of a socket, by the word of the kernel, and whether they may use it."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS = 59
_MOST_GROUPS = 1 << 16  # NGROUPS_MAX

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Peer:
    """A process as it was when it connected.

    Attributes:
        gids: its primary group and its supplementary ones.
        trusted: it is root's or the daemon's own user's, who may name any path.
    """

    pid: int
    uid: int
    gids: frozenset[int]
    trusted: bool


def peer_of(connection: socket.socket) -> Peer:
    """Who connected.

    Raises:
        OSError: the kernel does not say.
    """
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    gids = frozenset((gid, *_groups(connection.fileno())))
    return Peer(pid, uid, gids, trusted=uid in (0, os.geteuid()))


def admits(peer: Peer, gid: int | None) -> bool:
    """Whether a peer may use a socket that is for a group, too; None: for those who are trusted alone."""
    return peer.trusted or (gid is not None and gid in peer.gids)


def _groups(fd: int) -> tuple[int, ...]:
    """The supplementary groups. `socket.getsockopt` does not do: its buffer ends at 256 of them."""
    room = 64
    while True:
        groups = (ctypes.c_uint32 * room)()
        length = ctypes.c_uint32(ctypes.sizeof(groups))
        if not _libc.getsockopt(fd, socket.SOL_SOCKET, _SO_PEERGROUPS, groups, ctypes.byref(length)):
            return tuple(groups[: length.value // ctypes.sizeof(ctypes.c_uint32)])
        code = ctypes.get_errno()
        if code != errno.ERANGE or room >= _MOST_GROUPS:
            raise OSError(code, os.strerror(code))
        room = _MOST_GROUPS
