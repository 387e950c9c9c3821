"""What may be imported: paths are followed, permitted, and held against the configured folders."""

from __future__ import annotations

import errno
import functools
import getpass
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from mediad import behalf
from mediad.behalf import Barred, FilesFor, Found
from mediad.config import Config
from mediad.config.checks import contains
from mediad.control.access import READ, SEARCH
from mediad.control.peer import Peer
from mediad.control.protocol import InvalidParameter
from mediad.errors import MediadError, NotPermitted, Refused, SourceGone, printable
from mediad.files import Files
from mediad.ingest.pulse import Hung, Pulse
from mediad.roots import Location, locate

MOST_PATHS = 1000
_LOOK_LIMIT = 3.0  # seconds in which a configured folder says where it is
_AT_A_TIME = 2  # paths of one user that are followed


@dataclass(frozen=True, slots=True)
class Sources:
    """What is to be imported.

    Attributes:
        root: the folder that everything lies in, absolute and without links.
        starts: what of it: folders and files below it, b"" for all.
        files: by which it is read; None: by the daemon's own.
    """

    root: bytes
    starts: list[bytes]
    files: Files | None


@dataclass(frozen=True, slots=True)
class _Source:
    asked: bytes
    found: Found
    location: Location | None

    @property
    def folder(self) -> bool:
        return stat.S_ISDIR(self.found.status.st_mode)


@dataclass(frozen=True, slots=True)
class _Configured:
    """A folder of the configuration; one that does not answer is known by its name only."""

    kind: str
    name: str
    path: str
    location: Location | None


class Finder:
    """Finds sources; a filesystem that hangs costs whoever named something there, and nobody else."""

    def __init__(self) -> None:
        self._users: dict[int, tuple[Pulse, anyio.CapacityLimiter]] = {}
        self._roots: dict[str, Pulse] = {}

    async def find(
        self, config: Config, paths: Sequence[bytes], peer: Peer, *, watched: bool = False
    ) -> Sources:
        """What these paths mean.

        Args:
            watched: they may lie in watches, or have them in them.

        Raises:
            InvalidParameter, SourceGone, NotPermitted, Refused: this cannot be imported.
        """
        asked = list(dict.fromkeys(paths))
        if not asked or not all(path.startswith(b"/") for path in asked):
            raise InvalidParameter("paths")
        if len(asked) > MOST_PATHS:
            raise Refused(
                f"more than {MOST_PATHS} paths at a time",
                remedy=f"name the folder that they lie in, or fewer (xargs -n {MOST_PATHS})",
            )
        pulse, limiter = self._users.setdefault(peer.uid, (Pulse(), anyio.CapacityLimiter(_AT_A_TIME)))
        async with limiter:
            sources = [await self._source(pulse, path, peer) for path in asked]
        configured = await self._configured(config)
        for source in sources:
            _see_apart(source, [root for root in configured if not (watched and root.kind == "watch")])
        return _together(sources, peer)

    async def _source(self, pulse: Pulse, path: bytes, peer: Peer) -> _Source:
        try:
            return await pulse.ask(functools.partial(_look, path, behalf.eyes_of(peer)))
        except Hung:
            raise Refused("cannot be read: its filesystem does not answer", path=path) from None

    async def _configured(self, config: Config) -> list[_Configured]:
        ours = [_Configured(root.kind, root.name, root.path, None) for root in config.roots()]
        ours.append(_Configured("the state", "directory", config.daemon.state_dir, None))
        found: list[_Configured] = []

        async def look(root: _Configured) -> None:
            pulse = self._roots.setdefault(root.path, Pulse(_LOOK_LIMIT))
            try:
                path, location = await pulse.ask(functools.partial(_where, root.path))
            except Hung:  # it is known by its name
                found.append(root)
            else:
                found.append(replace(root, path=path, location=location))

        async with anyio.create_task_group() as looks:
            for root in ours:
                looks.start_soon(look, root)
        return found


# --- In a thread -------------------------------------------------------------------------------------


def _where(path: str) -> tuple[str, Location | None]:
    return os.path.realpath(path), locate(path)


def _look(path: bytes, see: behalf.See) -> _Source:
    """Follow one path, and see that it can be read."""
    try:
        found = behalf.find(path, see, functools.partial(_wanted, path))
    except Barred:
        raise NotPermitted(
            "may not be read by you", path=path, remedy="have its owner let you read it"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    folder = found.path if stat.S_ISDIR(found.status.st_mode) else os.path.dirname(found.path)
    return _Source(path, found, locate(os.fsdecode(folder)))


def _wanted(path: bytes, found: os.stat_result) -> int:
    if stat.S_ISDIR(found.st_mode):
        return READ | SEARCH
    if not stat.S_ISREG(found.st_mode):
        raise Refused("is neither a folder nor a file", path=path)
    return READ


def _unreadable(path: bytes, error: OSError) -> MediadError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceGone("is not there", path=path)
    if error.errno not in (errno.EACCES, errno.EPERM):
        return Refused(f"cannot be read: {error.strerror}", path=path)
    user = _user_name()
    told = f"cannot be read by mediad, which runs as {user}: {error.strerror}"
    if os.geteuid() == 0:  # no permission that it lacks could be given: the filesystem itself keeps it out
        return NotPermitted(told, path=path, remedy="copy it to a local disk first")
    allow = f"setfacl -R -m u:{user}:rX {printable(path)}, and u:{user}:x for the folders above it"
    return NotPermitted(told, path=path, remedy=allow)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.geteuid())


# --- What it is to the daemon ------------------------------------------------------------------------


def _see_apart(source: _Source, configured: Sequence[_Configured]) -> None:
    """A folder of ours is imported neither as a part nor as the whole."""
    real = os.fsdecode(source.found.path)
    for root in configured:
        inside = contains(root.path, real) or _lies_in(source.location, root.location)
        around = source.folder and (contains(real, root.path) or _lies_in(root.location, source.location))
        if inside and root.kind == "watch":
            raise Refused(
                f"lies in watch {root.name}, which takes it by itself",
                path=source.asked,
                remedy=f"mediactl scan {root.name}",
            )
        if inside or around:
            relation = "lies in" if inside else "has in it"
            raise Refused(
                f"{relation} {root.kind} {root.name}", path=source.asked, remedy="name another folder"
            )


def _lies_in(one: Location | None, other: Location | None) -> bool:
    return one is not None and other is not None and one.lies_in(other)


def _together(sources: Sequence[_Source], peer: Peer) -> Sources:
    """The folder that everything lies in, and what of it was named."""
    paths = [source.found.path for source in sources]
    root = os.path.commonpath(paths)
    if any(source.found.path == root and not source.folder for source in sources):
        root = os.path.dirname(root)
    names = [name for name in root.split(b"/") if name]
    inodes = {source.found.trail[len(names)] for source in sources}
    if len(inodes) > 1:
        raise Refused("changes while it is looked at", path=root)
    prefix = len(root.rstrip(b"/")) + 1
    files = None if peer.trusted else FilesFor(peer, inodes.pop())
    return Sources(root, sorted({path[prefix:] for path in paths}), files)
