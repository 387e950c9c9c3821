"""Scan: look at a folder and say what is there. Streams, with one stat a file; decides nothing.

The walk goes by directory descriptor and follows no symbolic link. Errors of one folder cost that folder
alone and are reported.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from stat import S_ISDIR

from mediad.exclude import Excluder
from mediad.files import Dirs, Tree, file_type, stat_of
from mediad.model import Sighting

CHUNK = 512
_DEEPEST = 200  # thin air: nobody nests photos deeper, and each level holds a descriptor
_OURS = re.compile(rb"\.mediad-[0-9]+")
"""A source that is being removed (`moves.aside_name`): it has gone, or gets its own name back."""
_AWAY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(slots=True)
class Report:
    """What a scan saw besides files: folders by device and inode, and what could not be read."""

    folders: dict[tuple[int, int], bytes] = field(default_factory=dict)
    errors: list[tuple[bytes, str]] = field(default_factory=list)
    files: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """A watched folder, as far as looking at it goes.

    Attributes:
        clocks_agree: file times are made by this machine's clock, so that rest before the first look counts.
        wall_ns: the wall clock, nanoseconds since the epoch.
    """

    watch: str
    tree: Tree
    excluder: Excluder
    clocks_agree: bool
    wall_ns: Callable[[], int]

    def scan(
        self, start: bytes, emit: Callable[[Sequence[Sighting]], None], stopping: Callable[[], bool]
    ) -> Report:
        """Look at everything below `start`, handing on sightings in chunks. Blocks; run it in a thread.

        Args:
            start: a folder, relative to the watch, b"" for all of it.
            emit: takes a chunk; may block to hold the scan back.
            stopping: once true, the scan ends early.

        Raises:
            OSError: the root or `start` cannot be read.
        """
        walk = _Walk(self, emit, stopping)
        with self.tree.dirs() as dirs, contextlib.suppress(_Stopped):
            walk.directory(start, dirs.fd(start), start.count(b"/"))
            walk.flush(1)
        return walk.report

    def look(self, paths: Iterable[bytes]) -> tuple[list[Sighting], list[bytes]]:
        """Look at single paths that an event named. Blocks; run it in a thread.

        Returns:
            What was seen of files, and which of the paths are folders (to be scanned). What is gone or
            excluded by one of its parents is in neither.

        Raises:
            OSError: the root cannot be read.
        """
        folders: list[bytes] = []
        seen: list[Sighting] = []
        walk = _Walk(self, seen.extend, lambda: False)
        with self.tree.dirs() as dirs:
            for path in sorted(paths):
                directory, _, name = path.rpartition(b"/")
                if directory and self.excluder.reason(directory, True):
                    continue
                fd = _open(dirs, directory)
                if fd is not None and walk.is_folder(directory, name, fd):
                    folders.append(path)
        walk.flush(1)
        return seen, folders

    def lost(self, sightings: Sequence[Sighting]) -> Iterator[Sighting]:
        """Those that are there no more, or in a folder that is excluded by now, which they tell then. Of what
        cannot be looked at nobody knows. Blocks; run it in a thread.

        Raises:
            OSError: the root cannot be read.
        """
        for start in range(0, len(sightings), CHUNK):  # each folder holds a descriptor
            with self.tree.dirs() as dirs:
                for one in sightings[start : start + CHUNK]:
                    directory = one.path.rpartition(b"/")[0]
                    if _is_away(dirs, one.path):
                        yield one
                    elif directory and (pattern := self.excluder.reason(directory, True)):
                        yield replace(one, excluded=pattern)


class _Stopped(Exception):  # no error: the caller asked for it
    pass


class _Walk:
    def __init__(
        self,
        folder: Folder,
        emit: Callable[[Sequence[Sighting]], None],
        stopping: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self.emit = emit
        self.stopping = stopping
        self.report = Report()
        self.chunk: list[Sighting] = []

    def directory(self, path: bytes, fd: int, depth: int) -> None:
        if self.stopping():
            raise _Stopped
        files = self.folder.tree.files
        here = files.fstat(fd)
        self.report.folders[here.st_dev, here.st_ino] = path
        names = files.list_dir(fd)
        if len(names) > CHUNK:
            names.sort(key=bytes.lower)  # a set's files stand together and share a chunk
        subfolders = []
        for name in names:
            if self.is_folder(path, name, fd):
                subfolders.append(name)
            elif len(self.chunk) >= 4 * CHUNK:
                self.cut()
        self.flush(CHUNK)
        if subfolders and depth >= _DEEPEST:
            self.report.errors.append((path, f"nested deeper than {_DEEPEST} folders"))
            return
        for name in subfolders:
            self.subfolder(path + b"/" + name if path else name, name, fd, depth)

    def subfolder(self, path: bytes, name: bytes, parent: int, depth: int) -> None:
        files = self.folder.tree.files
        try:
            fd = files.open_dir(name, parent)
        except FileNotFoundError:
            return
        except OSError as error:
            self.report.errors.append((path, error.strerror or str(error)))
            return
        try:
            self.directory(path, fd, depth + 1)
        except OSError as error:
            self.report.errors.append((path, error.strerror or str(error)))
        finally:
            files.close(fd)

    def is_folder(self, directory: bytes, name: bytes, fd: int) -> bool:
        """Look at one entry: a file goes into the chunk, a folder that is not excluded is for the caller."""
        path = directory + b"/" + name if directory else name
        try:
            result = self.folder.tree.files.stat_at(name, fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            self.report.errors.append((path, error.strerror or str(error)))
            return False
        if S_ISDIR(result.st_mode):
            return not self.folder.excluder.reason(path, True)
        if _OURS.fullmatch(name):
            return False
        self.report.files += 1
        stat = stat_of(result)
        rest = 0.0
        if self.folder.clocks_agree:
            rest = max(0.0, (self.folder.wall_ns() - max(stat.mtime_ns, stat.ctime_ns)) / 1e9)
        self.chunk.append(
            Sighting(
                self.folder.watch,
                path,
                stat,
                rest,
                file_type(result),
                self.folder.excluder.reason(path, False),
            )
        )
        return False

    def cut(self) -> None:
        """Hand on all but the last stem's files, so that no set is cut in two."""
        last = _stem(self.chunk[-1].path)
        keep = len(self.chunk)
        while keep and _stem(self.chunk[keep - 1].path) == last:
            keep -= 1
        whole, self.chunk = self.chunk[:keep], self.chunk[keep:]
        if whole:
            self.emit(whole)

    def flush(self, size: int) -> None:
        if len(self.chunk) >= size:
            chunk, self.chunk = self.chunk, []
            self.emit(chunk)


def _stem(path: bytes) -> bytes:
    directory, _, name = path.rpartition(b"/")
    return directory + b"/" + name.lower().partition(b".")[0]


def _is_away(dirs: Dirs, path: bytes) -> bool:
    try:
        directory, name = dirs.parent(path)
        return S_ISDIR(dirs.files.stat_at(name, directory).st_mode)
    except OSError as error:
        return error.errno in _AWAY


def _open(dirs: Dirs, path: bytes) -> int | None:
    try:
        return dirs.fd(path)
    except OSError:  # gone, or unreadable: then a scan reports it
        return None
