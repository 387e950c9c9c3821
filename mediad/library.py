"""A library on disk: its marker, its lock, its private folder, and what its filesystem can do.

`.mediad/` (0700) holds `library.toml` (the marker), `lock`, `tmp/`, `trash/` and `quarantine/`. The marker
is the only proof that a folder is the library and not the empty mount point it hides behind.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path

import tomli_w

from mediad import __version__, config
from mediad.errors import (
    InvalidConfig,
    LibraryFull,
    LibraryOffline,
    LibraryReadOnly,
)
from mediad.files import Files, Tree
from mediad.lock import lock_file, refusal
from mediad.probing import Capabilities, probe, probed
from mediad.roots import filesystem
from mediad.sizes import size_text

PRIVATE = b".mediad"
TMP = b".mediad/tmp"
TRASH = b".mediad/trash"
QUARANTINE = b".mediad/quarantine"

_NO_MARKER = "its marker .mediad/library.toml is missing"


class OpenLibrary:
    """A library that is online and locked by this process.

    Attributes:
        uuid: what the marker says.
        gid, file_mode, dir_mode: what new files and folders get, None to leave them alone.
        free: bytes that were free when it was last looked at.
        only_read: it could not be written when it was taken. What it can do is not known then, nor was it
            tidied up: it has to be taken anew before it is filed into.
    """

    def __init__(
        self,
        settings: config.Library,
        tree: Tree,
        marker: str,
        lock: int,
        can: Capabilities | None,
        gid: int | None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.tree = tree
        self.uuid = marker
        self.can = can or Capabilities(links=False, rename_noreplace=False, syncfs=False)
        self.only_read = can is None
        self.gid = gid
        self.free = 0
        self._lock = lock
        self._root = root_id(tree.root)

    @property
    def file_mode(self) -> int | None:
        return self.settings.file_mode

    @property
    def dir_mode(self) -> int | None:
        return self.settings.dir_mode

    @property
    def device(self) -> int:
        """st_dev of its root."""
        return self._root[0]

    def identity(self) -> str:
        """What tells its root from another folder in its place, after a restart, too; "" where that cannot be
        told. Blocks.
        """
        return filesystem(os.fsdecode(self.tree.root)).identity

    def configure(self, settings: config.Library) -> None:
        """Take over other settings for the same folder."""
        self.gid = _gid(settings)
        self.settings = settings

    def check(self, *, by_writing: bool = False) -> int:
        """See that it is still there, still the same, writable, and has more free than `min_free`.

        Args:
            by_writing: write something too. A filesystem that an error has made read-only need not say so,
                but to write at every look would keep disks from sleeping.

        Returns:
            bytes that can be written before `min_free` is reached.

        Raises:
            LibraryOffline, LibraryReadOnly, LibraryFull.
        """
        root = self.tree.root
        try:
            same = root_id(root) == self._root
            marker = _read_marker(root, self.name) if same else None
            flags = os.statvfs(root)
        except OSError as error:
            raise refusal(LibraryOffline, "cannot be reached", error, root) from error
        if not same:
            raise LibraryOffline("is no longer the same folder", path=root, remedy="mount it again")
        if marker is None:
            raise LibraryOffline(
                _NO_MARKER, path=root, remedy=f"if it is this library: mediactl adopt {self.name}"
            )
        if marker != self.uuid:
            raise LibraryOffline("another library is there", path=root, remedy="mount the right one")
        _see_writable(root, flags)
        if not os.path.isdir(root + b"/" + TMP):  # somebody has tidied up
            _private_folders(root)
        if not os.access(root + b"/" + TMP, os.W_OK | os.X_OK, effective_ids=True):
            raise LibraryReadOnly("its .mediad folder may not be written", path=root)
        if self.only_read:
            probe(self.tree, TMP)
            raise LibraryOffline("can be written now, and is taken anew", path=root)
        self.free = flags.f_bavail * flags.f_frsize
        _see_room(root, flags, self.settings.min_free)
        if by_writing:
            probe(self.tree, TMP)
        return self.free - self.settings.min_free

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def open_library(
    settings: config.Library,
    files: Files,
    known: str | None,
    swapped: str | None = None,
    *,
    only_read: bool = False,
) -> OpenLibrary:
    """Take a library: see that it is the right one, lock it, make its private folders.

    Args:
        known: the marker that the catalogue has for this library, None if it never knew it.
        swapped: the marker of another one, which has swapped names with it.
        only_read: take it also where it can only be read.

    Raises:
        LibraryOffline: no folder, no marker where one is known, another marker.
        LibraryReadOnly: it cannot be written, or lacks what would have to be. AlreadyHeld: another daemon
            has it.
        InvalidConfig: its filesystem can neither link nor rename without replacing, or `group` is wrong.
    """
    root = os.fsencode(settings.path)
    marker = marker_there(settings, known, swapped) or bless(settings.path)
    _private_folders(root)
    lock = lock_file(root + b"/.mediad/lock", f"library {settings.name}")
    try:
        tree = Tree(files, root)
        can = probed(tree, TMP) if only_read else probe(tree, TMP)
        if can and not (can.links or can.rename_noreplace):
            raise InvalidConfig(
                [f"library {settings.name}: its filesystem can neither link nor rename without replacing"]
            )
        return OpenLibrary(settings, tree, marker, lock, can, _gid(settings))
    except BaseException:
        os.close(lock)
        raise


def marker_there(settings: config.Library, known: str | None, swapped: str | None = None) -> str | None:
    """The marker of a library, by looking alone; None where there is none yet.

    Args:
        known, swapped: as for `open_library`.

    Raises:
        LibraryOffline: no folder, no marker where one is known, another marker.
    """
    name, root = settings.name, os.fsencode(settings.path)
    if not os.path.isdir(root):
        remedy = "mount it, or make the folder" if known is None else "mount it"
        raise LibraryOffline("the folder is missing", path=root, remedy=remedy)
    try:
        marker = _read_marker(root, name)
    except OSError as error:
        raise refusal(LibraryOffline, "the marker cannot be read", error, root) from error
    if marker is None:
        if known is not None:
            raise LibraryOffline(
                _NO_MARKER,
                path=root,
                remedy=f"mount it; if it is there and only the marker was lost: mediactl adopt {name}",
            )
        return None
    if known is not None and marker not in (known, swapped):
        raise LibraryOffline("another library is there", path=root, remedy="mount the right one")
    return marker


def see_room(settings: config.Library) -> None:
    """See, by looking alone, that a library which is there could be filed into.

    Raises:
        LibraryReadOnly, LibraryFull. LibraryOffline: it cannot be reached.
    """
    root = os.fsencode(settings.path)
    try:
        flags = os.statvfs(root)
    except OSError as error:
        raise refusal(LibraryOffline, "cannot be reached", error, root) from error
    _see_writable(root, flags)
    _see_room(root, flags, settings.min_free)


def _see_writable(root: bytes, flags: os.statvfs_result) -> None:
    if flags.f_flag & os.ST_RDONLY:
        raise LibraryReadOnly("the filesystem is read-only", path=root)


def _see_room(root: bytes, flags: os.statvfs_result, min_free: int) -> None:
    free = flags.f_bavail * flags.f_frsize
    # some filesystems on a network tell no sizes at all
    if free < min_free or (flags.f_blocks and not free):
        raise LibraryFull(
            f"{size_text(free)} free, min_free is {size_text(min_free)}",
            path=root,
            remedy="make room or lower min_free",
        )


def bless(path: str) -> str:
    """Make a folder a library by writing its marker; returns the marker's id. A marker there is kept.

    Raises:
        LibraryReadOnly: it cannot be written.
    """
    root = os.fsencode(path)
    _private_folders(root)
    there = _read_marker(root)
    if there is not None:
        return there
    marker = str(uuid.uuid4())
    _write_marker(root, marker)
    return marker


def bless_again(root: bytes, marker: str, proven: tuple[int, int]) -> None:
    """Write the marker of a library that has lost it, once it is proven that this is that library.

    Args:
        proven: the `root_id` of the folder that was looked at.

    Raises:
        LibraryOffline: another folder or library is there. LibraryReadOnly: it cannot be written.
        OSError: it is not there any more.
    """
    if root_id(root) != proven:
        raise LibraryOffline("is no longer the same folder", path=root, remedy="mount it again")
    _private_folders(root)
    if marker_of(root) not in (None, marker):
        raise LibraryOffline("another library is there", path=root, remedy="mount the right one")
    _write_marker(root, marker)


def marker_of(root: bytes) -> str | None:
    """The id that a folder's marker has; None where there is no marker, or a damaged one.

    Raises:
        OSError: it cannot be read now.
    """
    try:
        return _read_marker(root)
    except LibraryOffline:
        return None


def _write_marker(root: bytes, marker: str) -> None:
    content = {"id": marker, "created": datetime.now(UTC).replace(microsecond=0), "mediad": __version__}
    target = Path(os.fsdecode(root), ".mediad", "library.toml")
    fresh = target.with_suffix(".new")
    try:
        with open(fresh, "wb") as file:
            tomli_w.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(fresh, target)
        _sync_path(os.path.dirname(os.fsencode(target)))
        _sync_path(root)
    except OSError as error:
        raise refusal(LibraryReadOnly, "cannot be written", error, root) from error


def _read_marker(root: bytes, name: str = "") -> str | None:
    remedy = f"if it is this library: mediactl adopt {name}" if name else ""
    try:
        with open(root + b"/.mediad/library.toml", "rb") as file:
            found = tomllib.load(file).get("id")
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LibraryOffline(f"its marker is damaged: {error}", path=root, remedy=remedy) from error
    if not isinstance(found, str):
        raise LibraryOffline("its marker has no id", path=root, remedy=remedy)
    return found


def _private_folders(root: bytes) -> None:
    try:
        for name in (PRIVATE, TMP, TRASH, QUARANTINE):
            with contextlib.suppress(FileExistsError):
                os.mkdir(root + b"/" + name, 0o700)
            os.stat(root + b"/" + name + b"/.")
    except OSError as error:
        raise refusal(LibraryReadOnly, "cannot be written", error, root) from error


def _gid(settings: config.Library) -> int | None:
    if not settings.group:
        return None
    import grp

    try:
        return grp.getgrnam(settings.group).gr_gid
    except KeyError:
        raise InvalidConfig([f"library {settings.name}: there is no group {settings.group!r}"]) from None


def root_id(root: bytes) -> tuple[int, int]:
    """What tells a folder from another one that is mounted in its place; OSError where there is none."""
    result = os.stat(root)
    return result.st_dev, result.st_ino


def _sync_path(path: bytes) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
