"""What a disk may hold after the power went, as POSIX has it.

`Recorded` files do what they are told and remember each effect: directory entries, each on its own; sizes
and contents; modes and times. Only fsync of that very file or folder, or syncfs, makes an effect durable.
Units of work of the database are durable once committed, in order (WAL, synchronous=FULL). `Disk.losses`
tells for the moment after each operation which states of the folders a power cut can leave: any choice of
the effects that nobody synced may be gone. What is there at the beginning counts as durable.

A rename takes one entry away and adds another, and POSIX lets either be lost alone. Filesystems with a
journal keep the two together, in order with what was done to the same file before; `journaled` says so.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from mediad.files import Files
from mediad.store.database import Database
from tests.crash.faulty import Faults, FaultyFiles

LEFT_OUT = ("state", "control")  # beside the media: the database is told of by its commits


@dataclass(eq=False, slots=True)
class Inode:
    """A file or folder, whatever names it has.

    Attributes:
        filesystem: which one it lies on. number: st_dev and st_ino while it was recorded.
    """

    filesystem: str
    is_dir: bool
    number: tuple[int, int]


Key = tuple[Inode, bytes]  # a folder, and a name in it
Entry = tuple[Inode, bytes, Inode | None]
Meta = tuple[int, int]  # mode and mtime


@dataclass(frozen=True, slots=True)
class Effect:
    """What one operation did: entries that can only be lost together (with what the inode was born with), or
    content, or mode and times.
    """

    entries: tuple[Entry, ...] = ()
    inode: Inode | None = None
    content: bytes | None = None
    meta: Meta | None = None


@dataclass(frozen=True, slots=True)
class Sync:
    """What is durable from now on: a file, a folder's entries, or a whole filesystem."""

    inode: Inode | None = None
    filesystem: str = ""


@dataclass(slots=True)
class Image:
    """What is on the disk for good."""

    entries: dict[Key, Inode | None] = field(default_factory=dict)
    contents: dict[Inode, bytes] = field(default_factory=dict)
    metas: dict[Inode, Meta] = field(default_factory=dict)
    commits: int = 0

    def copy(self) -> Image:
        return Image(dict(self.entries), dict(self.contents), dict(self.metas), self.commits)

    def quick_key(self) -> object:
        """Equal for equal images; states of which nobody can tell the difference may have others."""
        parts = (self.entries, self.contents, self.metas)
        return self.commits, *(frozenset(part.items()) for part in parts)

    def take(self, effect: Effect) -> None:
        """An effect reaches the disk."""
        for folder, name, inode in effect.entries:
            self.entries[folder, name] = inode
        if effect.inode is not None and effect.content is not None:
            self.contents[effect.inode] = effect.content
        if effect.inode is not None and effect.meta is not None:
            if effect.entries:  # what it was born with is no news where its later state is durable
                self.metas.setdefault(effect.inode, effect.meta)
            else:
                self.metas[effect.inode] = effect.meta


@dataclass(frozen=True, slots=True)
class Loss:
    """The power goes after `operation`; `image` is what is left, `lost` how many effects are not."""

    operation: int
    what: str
    image: Image
    lost: int


class Disk:
    """The folders below `root`, as they are now, and all that happens to them from now on.

    Args:
        far: folders below it that count as a filesystem of their own.
        journaled: a rename is lost whole or not at all.
        unheard: names of syncs that do nothing.

    Attributes:
        tried: states that `losses` has come by, those included that were the same as another.
    """

    def __init__(
        self,
        root: Path,
        *,
        far: Collection[bytes] = (),
        journaled: bool = False,
        unheard: Collection[str] = (),
    ) -> None:
        self.root = root
        self._unheard = unheard
        self.journaled = journaled
        self.commits: list[bytes] = []
        self.log: list[tuple[str, Effect | Sync | int]] = []
        self.tried = 0
        self._far = tuple(far)
        self._first = Image()
        self._inodes: dict[tuple[int, int], Inode] = {}
        self._top = self._found(os.fsencode(root))
        for name in sorted(set(os.listdir(root)) - set(LEFT_OUT)):
            self._scan(self._top, os.fsencode(name), os.fsencode(root / name))

    def _scan(self, folder: Inode, name: bytes, path: bytes) -> None:
        inode = self._found(path)
        self._first.entries[folder, name] = inode
        if inode.is_dir:
            for entry in sorted(os.listdir(path)):
                self._scan(inode, entry, path + b"/" + entry)
        else:
            self._first.contents[inode] = Path(os.fsdecode(path)).read_bytes()

    def _found(self, path: bytes) -> Inode:
        result = os.stat(path)
        inode = self._inodes.get((result.st_dev, result.st_ino)) or self.born(result, path)
        self._first.metas[inode] = _meta(result)
        return inode

    # -- what happens ---------------------------------------------------------------------------------

    def born(self, result: os.stat_result, path: bytes) -> Inode:
        """A new file or folder."""
        number = result.st_dev, result.st_ino
        far = next((root for root in self._far if (path + b"/").startswith(root + b"/")), b"")
        inode = self._inodes[number] = Inode(os.fsdecode(far), stat.S_ISDIR(result.st_mode), number)
        return inode

    def inode(self, of: int | os.stat_result) -> Inode:
        """What a descriptor is of."""
        result = os.fstat(of) if isinstance(of, int) else of
        return self._inodes[result.st_dev, result.st_ino]

    def note(self, what: str, *events: Effect | Sync) -> None:
        """An operation was done."""
        if what not in self._unheard:
            self.log += [(what, event) for event in events]

    def committed(self, connection: apsw.Connection) -> None:
        """A unit of work is durable."""
        self.commits.append(connection.serialize("main"))
        self.log.append(("commit", len(self.commits) - 1))

    # -- what may be left of it -----------------------------------------------------------------------

    def losses(self, *, at_most: int, seed: int) -> Iterator[Loss]:
        """What a power cut can leave, for the moment after each operation.

        Args:
            at_most: states of one moment; where there are more, all lost, all kept, and of those with one
                effect alone lost or kept and of all others as many as fit, by `seed`.
        """
        rng = random.Random(seed)
        image, pending = self._first.copy(), list[Effect]()
        seen: set[object] = set()
        for number, (what, event) in enumerate(self.log, 1):
            if isinstance(event, Effect):
                pending.append(event)
            elif isinstance(event, Sync):
                image, pending = self._synced(image, pending, event)
            else:
                image.commits = event
            for state, lost in self._states(image, pending, at_most, rng):
                self.tried += 1
                if (quick := state.quick_key()) not in seen and (key := self.key(state)) not in seen:
                    yield Loss(number, what, state, lost)
                    seen.add(key)
                seen.add(quick)

    def _synced(self, image: Image, pending: list[Effect], sync: Sync) -> tuple[Image, list[Effect]]:
        image = image.copy()
        wanted = {index for index, effect in enumerate(pending) if _covers(sync, effect)}
        if self.journaled:
            wanted = _with_earlier(wanted, _earlier(pending))
        for index in sorted(wanted):
            image.take(pending[index])
        return image, [effect for index, effect in enumerate(pending) if index not in wanted]

    def _states(
        self, image: Image, pending: Sequence[Effect], at_most: int, rng: random.Random
    ) -> Iterator[tuple[Image, int]]:
        variants = [_variants(effect, image) for effect in pending]
        earlier = _earlier(pending) if self.journaled else []
        for choice in _choices([len(options) for options in variants], at_most, rng):
            kept = {index for index, option in enumerate(choice) if option}
            if self.journaled:
                kept = _with_earlier(kept, earlier)
            state = tuple(max(option, 1) if index in kept else 0 for index, option in enumerate(choice))
            left = image.copy()
            for options, option in zip(variants, state, strict=True):
                if option:
                    left.take(options[option])
            yield left, state.count(0)

    # -- and then -------------------------------------------------------------------------------------

    def key(self, image: Image) -> bytes:
        """Equal for states between which nobody can tell."""
        sha = hashlib.sha256(b"%d" % image.commits)
        order: dict[Inode, int] = {}
        for path, inode in self._walk(image):
            sha.update(b"\0%b\0%d\0" % (path, order.setdefault(inode, len(order))))
            sha.update(repr(image.metas.get(inode)).encode())
            sha.update(hashlib.sha256(image.contents.get(inode, b"")).digest())
        return sha.digest()

    def _walk(self, image: Image) -> Iterator[tuple[bytes, Inode]]:
        children: dict[Inode, list[tuple[bytes, Inode]]] = {}
        for (folder, name), inode in image.entries.items():
            if inode is not None:
                children.setdefault(folder, []).append((name, inode))

        def below(folder: Inode, path: bytes) -> Iterator[tuple[bytes, Inode]]:
            for name, inode in sorted(children.get(folder, ()), key=lambda pair: pair[0]):
                yield path + name, inode
                yield from below(inode, path + name + b"/")

        return below(self._top, b"")

    def restore(self, image: Image, catalogue: Path) -> None:
        """Make the folders and the catalogue what is left of them; the roots stay the folders they are."""
        for entry in self.root.glob("*/*"):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        root, first = os.fsencode(self.root), dict[Inode, bytes]()
        for relative, inode in self._walk(image):
            path = root + b"/" + relative
            if inode.is_dir:
                os.makedirs(path, 0o755, exist_ok=True)
            elif inode in first:
                os.link(first[inode], path, follow_symlinks=False)
            else:
                Path(os.fsdecode(path)).write_bytes(image.contents.get(inode, b""))
                first[inode] = path
        for relative, inode in self._walk(image):
            mode, mtime = image.metas.get(inode, (0o755 if inode.is_dir else 0o600, 0))
            os.chmod(root + b"/" + relative, mode)
            if not inode.is_dir and mtime:
                os.utime(root + b"/" + relative, ns=(mtime, mtime))
        catalogue.write_bytes(self.commits[image.commits])
        self._renumber(catalogue, {inode.number: path for inode, path in first.items()})

    @staticmethod
    def _renumber(catalogue: Path, paths: Mapping[tuple[int, int], bytes]) -> None:
        """A disk keeps its inodes and their times of change; ours are made anew, so the rows are told."""
        with sqlite3.connect(catalogue) as connection:
            for (_, number), path in paths.items():
                there = os.stat(path)
                connection.execute(
                    "UPDATE arrival SET ino = ?, ctime_ns = ? WHERE ino = ? AND stays",
                    (-there.st_ino, there.st_ctime_ns, number),  # negative: not to be changed twice
                )
            connection.execute("UPDATE arrival SET ino = -ino WHERE ino < 0")
        connection.close()


def _meta(result: os.stat_result) -> Meta:
    return stat.S_IMODE(result.st_mode), result.st_mtime_ns


def _covers(sync: Sync, effect: Effect) -> bool:
    of = [folder for folder, _, _ in effect.entries]
    if not of and effect.inode is not None:
        of = [effect.inode]
    if sync.inode is None:
        return any(inode.filesystem == sync.filesystem for inode in of)
    return sync.inode in of


def _earlier(pending: Sequence[Effect]) -> list[set[int]]:
    """For each effect on entries those before it that a journal has written too: of the same file or name."""
    found: list[set[int]] = []
    for index, effect in enumerate(pending):
        direct = [at for at in range(index) if _touch_the_same(pending[at], effect)]
        found.append(set(direct).union(*(found[at] for at in direct)))
    return found


def _with_earlier(wanted: set[int], earlier: Sequence[set[int]]) -> set[int]:
    return wanted.union(*(earlier[index] for index in wanted))


def _touch_the_same(one: Effect, other: Effect) -> bool:
    inodes = {inode for _, _, inode in one.entries if inode}
    names = {(folder, name) for folder, name, _ in one.entries}
    return any(inode in inodes or (folder, name) in names for folder, name, inode in other.entries)


def _variants(effect: Effect, image: Image) -> list[Effect]:
    """What may be left of an effect, beginning with nothing and ending with all of it."""
    if effect.inode is None or effect.content is None or not effect.content:
        return [Effect(), effect]
    content = effect.content
    base = image.contents.get(effect.inode, b"")
    holes = base[: len(content)] + bytes(max(0, len(content) - len(base)))  # only the size was written
    short = content[: len(content) // 2]
    return [Effect(), *(Effect(inode=effect.inode, content=part) for part in (holes, short, content))]


def _choices(sizes: Sequence[int], at_most: int, rng: random.Random) -> Iterator[tuple[int, ...]]:
    """One option of each; all combinations, or telling ones and a sample."""
    if math.prod(sizes) <= at_most:
        yield from itertools.product(*map(range, sizes))
        return
    none, whole = [0] * len(sizes), [size - 1 for size in sizes]
    told = 2
    yield tuple(none)
    yield tuple(whole)
    for index in rng.sample(range(len(sizes)), min(len(sizes), at_most // 4)):
        yield (*whole[:index], 0, *whole[index + 1 :])
        yield (*none[:index], whole[index], *none[index + 1 :])
        told += 2
    for _ in range(at_most - told):
        yield tuple(rng.randrange(size) for size in sizes)


class Recorded(FaultyFiles):
    """Files whose every effect is noted on a disk; see `FaultyFiles` for `far` and `unlinkable`."""

    def __init__(self, disk: Disk, far: Collection[bytes] = (), unlinkable: Collection[bytes] = ()) -> None:
        super().__init__(Faults(), far, unlinkable)
        self._disk = disk

    def create(self, name: bytes, dir_fd: int) -> int:
        fd = super().create(name, dir_fd)
        self._named("create", name, dir_fd, os.fstat(fd))
        return fd

    def mkdir(self, name: bytes, dir_fd: int, mode: int) -> None:
        super().mkdir(name, dir_fd, mode)
        self._named("mkdir", name, dir_fd, os.stat(name, dir_fd=dir_fd))

    def _named(self, what: str, name: bytes, dir_fd: int, result: os.stat_result) -> None:
        folder = self._disk.inode(dir_fd)
        inode = self._disk.born(result, os.readlink(os.fsencode(f"/proc/self/fd/{dir_fd}")) + b"/" + name)
        self._disk.note(what, Effect(((folder, name, inode),), inode, meta=_meta(result)))

    def link(self, fd: int, name: bytes, dir_fd: int) -> None:
        super().link(fd, name, dir_fd)
        self._disk.note("link", Effect(((self._disk.inode(dir_fd), name, self._disk.inode(fd)),)))

    def rename(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        super().rename(name, dir_fd, new, new_dir_fd)
        self._renamed(name, dir_fd, new, new_dir_fd)

    def replace(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        super().replace(name, dir_fd, new, new_dir_fd)
        self._renamed(name, dir_fd, new, new_dir_fd)

    def _renamed(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        inode = self._disk.inode(os.stat(new, dir_fd=new_dir_fd, follow_symlinks=False))
        gone = (self._disk.inode(dir_fd), name, None)
        there = (self._disk.inode(new_dir_fd), new, inode)
        if self._disk.journaled:
            self._disk.note("rename", Effect((gone, there)))
        else:
            self._disk.note("rename", Effect((gone,)), Effect((there,)))

    def unlink(self, name: bytes, dir_fd: int) -> None:
        super().unlink(name, dir_fd)
        self._disk.note("unlink", Effect(((self._disk.inode(dir_fd), name, None),)))

    def rmdir(self, name: bytes, dir_fd: int) -> None:
        super().rmdir(name, dir_fd)
        self._disk.note("rmdir", Effect(((self._disk.inode(dir_fd), name, None),)))

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        count = super().write(fd, data, offset)
        self._written("write", fd)
        return count

    def copy_range(self, source: int, target: int, offset: int, count: int) -> int:
        got = super().copy_range(source, target, offset, count)
        self._written("copy_range", target)
        return got

    def clone(self, source: int, target: int) -> None:
        super().clone(source, target)
        self._written("clone", target)

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        self._written("truncate", fd)

    def _written(self, what: str, fd: int) -> None:
        content = os.pread(fd, os.fstat(fd).st_size, 0)
        self._disk.note(what, Effect(inode=self._disk.inode(fd), content=content))

    def chmod(self, fd: int, mode: int) -> None:
        super().chmod(fd, mode)
        self._changed("chmod", fd)

    def set_times(self, fd: int, atime_ns: int, mtime_ns: int) -> None:
        super().set_times(fd, atime_ns, mtime_ns)
        self._changed("set_times", fd)

    def _changed(self, what: str, fd: int) -> None:
        self._disk.note(what, Effect(inode=self._disk.inode(fd), meta=_meta(os.fstat(fd))))

    def sync_file(self, fd: int) -> None:
        super().sync_file(fd)
        self._disk.note("sync_file", Sync(self._disk.inode(fd)))

    def sync_dir(self, fd: int) -> None:
        super().sync_dir(fd)
        self._disk.note("sync_dir", Sync(self._disk.inode(fd)))

    def sync_filesystem(self, fd: int) -> None:
        super().sync_filesystem(fd)
        self._disk.note("sync_filesystem", Sync(filesystem=self._disk.inode(fd).filesystem))


def recorded_database(disk: Disk) -> Callable[[apsw.Connection], Database]:
    """What makes a database whose commits are noted."""

    def make(connection: apsw.Connection) -> Database:
        disk.committed(connection)

        def committed(connection: apsw.Connection, _name: str, _pages: int) -> int:
            disk.committed(connection)
            return apsw.SQLITE_OK

        connection.set_wal_hook(committed)
        return Database(connection)

    return make


EFFECTS = {name for name in vars(Recorded) if name in vars(Files)}
"""The calls of `Files` whose effects are noted."""
