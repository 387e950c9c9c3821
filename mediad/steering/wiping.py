"""`SafeToWipe`: what may be asked, what goes with a wipe, and the answer."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from mediad.control.calls import Call, Reply
from mediad.control.protocol import path_fields, paths_from
from mediad.errors import Refused, printable
from mediad.files import Files, stat_of
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.pulse import Hung, Pulse
from mediad.keeping.wiping import MOST_TOLD, Verdict, Wipe
from mediad.keeping.wiping_tree import Wiped, inode_text
from mediad.library import PRIVATE
from mediad.roots import locate, mounted_at_or_below
from mediad.sizes import size_text
from mediad.steering.sources import Finder, Sources

T = TypeVar("T")

_EVERY = 1.0  # seconds between two replies that tell the progress


@dataclass(frozen=True, slots=True)
class _Ground:
    """What paths are, as far as wiping them goes.

    Attributes:
        inode: of the folder that everything lies in. inodes: of each path, as text.
        mounts: what is mounted below the paths, from that folder on.
        doomed: devices of the filesystems that go with them: by stat(2), and as mountinfo has them.
    """

    inode: tuple[int, int]
    inodes: frozenset[str]
    mounts: frozenset[bytes]
    doomed: frozenset[int]
    doomed_mounts: frozenset[bytes]


class Wiper:
    """Answers calls of `SafeToWipe`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._finder = Finder()
        self._pulses: dict[int, Pulse] = {}

    async def call(self, call: Call, reply: Reply) -> Mapping[str, object]:
        """Find out whether what a call names may be wiped.

        Raises:
            InvalidParameter, Refused, NotPermitted, SourceGone, LibraryOffline: that is a no. OSError.
        """
        asked = call.parameters
        paths = paths_from(asked)
        sources, ground = await self._survey(call, paths)
        if asked["inodes"] is not None and ground.inodes != set(asked["inodes"]):
            raise Refused(
                "is something else to mediad than to you (another mount, or another disk since)",
                path=paths[0],
                remedy="mount it where mediad sees it, too",
            )
        pulse = self._pulses[call.peer.uid]
        barred = await _within(pulse, functools.partial(self._barred, ground), sources.root)
        pipeline = self._pipeline
        wipe = Wipe(
            Wiped(
                sources.files or pipeline.stages.files,
                sources.root,
                ground.inode,
                sources.starts,
                ground.mounts,
            ),
            pipeline.database,
            pipeline.shelves.open,
            self._name,
            lambda row: barred.get(row, "its library came online meanwhile; ask again"),
            ground.doomed,
            pipeline.stages.stopping,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell, wipe, reply)
            try:
                verdict = await wipe.run()
            except OSError as error:
                raise Refused(f"cannot be read: {error.strerror or error}", path=sources.root) from error
            tasks.cancel_scope.cancel()
        if (sources.root, sources.starts, ground) != await self._again(call, paths):
            raise Refused("was mounted or put elsewhere while it was looked at", path=paths[0])
        return self._document(wipe, sources.root, verdict)

    async def _survey(self, call: Call, paths: Sequence[bytes]) -> tuple[Sources, _Ground]:
        sources = await self._finder.find(self._pipeline.config, paths, call.peer, watched=True)
        pulse = self._pulses.setdefault(call.peer.uid, Pulse())
        return sources, await _within(pulse, functools.partial(_ground, sources), sources.root)

    async def _again(self, call: Call, paths: Sequence[bytes]) -> tuple[bytes, list[bytes], _Ground]:
        sources, ground = await self._survey(call, paths)
        return sources.root, sources.starts, ground

    def _name(self, row: int) -> str:
        names = (name for name, known in self._pipeline.shelves.rows.items() if known == row)
        return next(names, "that is not configured any more")

    def _barred(self, ground: _Ground) -> dict[int, str]:
        """Of each library that can be read: why it cannot be a witness, "" where it can. Blocks.

        Raises:
            OSError, ValueError: it is not known what is mounted where.
        """
        found: dict[int, str] = {}
        for row, library in self._pipeline.shelves.open().items():
            place = locate(os.fsdecode(library.tree.root))
            below = mounted_at_or_below(os.path.realpath(library.tree.root))
            if place is None:
                found[row] = f"library {library.name} cannot be looked at"
            elif place.position is None and ground.doomed:
                found[row] = f"it is not known what filesystem library {library.name} lies on"
            elif place.position is not None and place.position[0] in ground.doomed_mounts:
                found[row] = f"library {library.name} lies on the filesystem that is to be wiped"
            elif any(device in ground.doomed_mounts for _, device in below):  # a subvolume has its own st_dev
                found[row] = f"a part of library {library.name} lies on the filesystem that is to be wiped"
            else:
                found[row] = ""
        return found

    async def _tell(self, wipe: Wipe, reply: Reply) -> None:
        while True:
            await anyio.sleep(_EVERY)
            await reply(self._document(wipe, b"", None))

    def _document(self, wipe: Wipe, root: bytes, verdict: Verdict | None) -> dict[str, object]:
        progress = wipe.progress
        told: dict[str, object] = {
            "state": progress.state,
            "safe": None,
            "files": progress.files,
            "bytes": progress.bytes,
            "files_done": progress.files_done,
            "bytes_done": progress.bytes_done,
            "kept": 0,
            "not_kept": [],
            "omitted": 0,
            "libraries": [],
            "message": None,
        }
        if verdict is None:
            return told
        waits = self._waiting() if verdict.not_kept else {}
        not_kept = [
            (path, waits.get(path, reason))
            for path, reason in ((os.path.join(root, one), why) for one, why in verdict.not_kept)
        ]
        return told | {
            "state": "done",
            "safe": verdict.safe,
            "files": verdict.files,
            "bytes": verdict.size,
            "files_done": verdict.files,
            "bytes_done": verdict.size,
            "kept": verdict.kept,
            "not_kept": [{**path_fields("path", path), "reason": reason} for path, reason in not_kept],
            "omitted": max(0, verdict.files - verdict.kept - len(not_kept)),
            "libraries": sorted(map(self._name, verdict.libraries)),
            "message": _message(verdict),
        }

    def _waiting(self) -> dict[bytes, str]:
        """What mediad is about to take in, with what to do."""
        pipeline = self._pipeline
        listing = pipeline.tracker.listing(pipeline.clock.monotonic())
        told = "is not in the library yet, and waits to be taken in; see mediactl queue, and ask again"
        return {
            pipeline.absolute(one.sighting): told for one, _ in zip(listing, range(MOST_TOLD), strict=False)
        }


def _message(verdict: Verdict) -> str:
    if not verdict.files:
        return "holds no files: is the card mounted?"
    size = f"{verdict.files:,} file{'s' * (verdict.files != 1)} with {size_text(verdict.size)}"
    if verdict.safe:
        return f"all {size} are kept, read again just now"
    return f"{verdict.files - verdict.kept:,} of {size} are not kept"


async def _within(pulse: Pulse, call: Callable[[], T], path: bytes) -> T:
    try:
        return await pulse.ask(call)
    except Hung:
        raise Refused("cannot be looked at: a filesystem does not answer", path=path) from None
    except (OSError, ValueError) as error:
        raise Refused(f"cannot be looked at: {error}", path=path) from error


def _ground(sources: Sources) -> _Ground:
    """Look at what is asked for. Blocks.

    Raises:
        OSError, ValueError: it cannot be told. Refused: it belongs to a library.
    """
    files = sources.files or Files()
    mounts: set[bytes] = set()
    doomed: set[int] = set()
    doomed_mounts: set[bytes] = set()
    inodes: set[str] = set()
    prefix = len(sources.root.rstrip(b"/")) + 1
    for start in sources.starts:
        path = os.path.join(sources.root, start) if start else sources.root
        _in_no_library(path)
        stat = os.lstat(path)
        inodes.add(inode_text(stat_of(stat)))
        for point, device in mounted_at_or_below(path):
            doomed_mounts.add(device)
            if point == path:
                doomed.add(stat.st_dev)
            else:
                mounts.add(point[prefix:])
    fd = files.open_root(sources.root)
    try:
        root = files.fstat(fd)
    finally:
        files.close(fd)
    return _Ground(
        (root.st_dev, root.st_ino),
        frozenset(inodes),
        frozenset(mounts),
        frozenset(doomed),
        frozenset(doomed_mounts),
    )


def _in_no_library(path: bytes) -> None:
    """A library is known by its marker, through whatever mount it is seen."""
    above = path
    while True:
        if os.path.lexists(os.path.join(above, PRIVATE, b"library.toml")):
            raise Refused(f"belongs to the library at {printable(above)}", path=path)
        if above in (b"/", b""):
            return
        above = os.path.dirname(above)
