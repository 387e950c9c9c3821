"""How one file travels: the only ways in which media files are given names, copied and removed.

A file appears under its final name complete or not at all, and no name is ever replaced:

- `link`: the very file that was hashed gets its final name (linkat on the descriptor); its old name goes
  later, after the new one is durable. The fastest way, and safe under any order of lost directory entries.
- `take`: where the filesystem or its owner allows no link: the source is renamed into `.mediad/tmp`,
  compared with the descriptor that was hashed, and renamed to its final name. On filesystems with a journal
  only: elsewhere (FAT, exFAT) a power cut can keep the removal of a name and lose what it became.
- `copy`: across filesystems, where neither of these is safe, and for `copy` watches: to `.mediad/tmp`, made
  durable, read back and compared, then renamed to its final name.

Which one works is found by trying: st_dev cannot tell (bind mounts of one filesystem give EXDEV).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from mediad.errors import MediadError, SourceChanged, SourceGone, Stranded, VerifyFailed
from mediad.files import (
    UNSUPPORTED,
    Dirs,
    Files,
    copy_content,
    copy_metadata,
    library_error,
    stat_of,
    unwatched,
)
from mediad.layout import with_suffix
from mediad.library import TMP, OpenLibrary
from mediad.model import Stat

NO_LINK = UNSUPPORTED | {errno.EMLINK, errno.EACCES}
"""Why link(2) refuses one file though both names are on one filesystem (protected_hardlinks, FAT, ...)."""

REASON = b".reason.txt"
"""What the name of a file in trash or quarantine is followed by in the name of its reason."""

_NO_FLAG = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})  # of renameat2(2); EPERM is a refusal
_BUFFER = 1 << 20
_LOOK_AFTER = 64 << 20  # bytes, which take a moment


def aside_name(step: int) -> bytes:
    """The name a source has between leaving its own and being removed."""
    return b".mediad-%d" % step


def copy_name(step: int) -> bytes:
    """A copy that is not published yet: only ever a second exemplar, safe to remove."""
    return b"%d.copy" % step


def take_name(step: int) -> bytes:
    """A source on its way: the only exemplar."""
    return b"%d.take" % step


def digest_of(
    files: Files,
    fd: int,
    size: int,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
) -> bytes:
    """SHA-256 of the first `size` bytes, read without moving the descriptor's offset.

    Args:
        progress: told how many more bytes were read.

    Raises:
        OSError: the medium. InterruptedError: `stopping()` turned true. SourceChanged: it ended early.
    """
    sha = hashlib.sha256()
    buffer = memoryview(bytearray(min(_BUFFER, max(size, 1))))
    offset = 0
    while offset < size:
        if stopping():
            raise InterruptedError(errno.EINTR, "stopping")
        got = files.read_into(fd, buffer[: min(len(buffer), size - offset)], offset)
        if got == 0:
            raise SourceChanged("became shorter while it was read")
        sha.update(buffer[:got])
        offset += got
        progress(got)
    return sha.digest()


def while_named(files: Files, fd: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    """A `progress` that also looks now and then whether an open file still has a name, and raises
    SourceGone if not: nobody wants to know the rest of what was deleted.
    """
    some = _LOOK_AFTER
    named = files.fstat(fd).st_nlink > 0  # some filesystems count none, ever

    def add(count: int) -> None:
        nonlocal some
        progress(count)
        some -= count
        if some <= 0:
            some = _LOOK_AFTER
            if named and files.fstat(fd).st_nlink == 0:
                raise SourceGone("was deleted while it was read")

    return add


@dataclass(frozen=True, slots=True)
class Source:
    """A file in a watch, held open since it was hashed.

    Attributes:
        lease: whether a read lease tells if somebody writes to it.
    """

    fd: int
    path: bytes
    stat: Stat
    digest: bytes
    lease: bool


def make_copy(
    source: Source,
    step: int,
    library: OpenLibrary,
    dirs: Dirs,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
) -> None:
    """Copy content and metadata into the library's `tmp`. It is not durable and not verified yet.

    Raises:
        OSError: of the medium. SourceChanged: the source moved on while it was copied.
    """
    files, tmp = library.tree.files, dirs.fd(TMP)
    copy_file(
        files, source, copy_name(step), tmp, stopping, progress, finish=lambda fd: set_modes(library, fd)
    )


def copy_file(
    files: Files,
    source: Source,
    name: bytes,
    directory: int,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
    finish: Callable[[int], None] = lambda fd: None,
) -> None:
    """`make_copy` under any new name in an open directory.

    Args:
        finish: called with the new file at the end.
    """
    fd = files.create(name, directory)
    try:
        copy_content(files, source.fd, fd, source.stat.size, stopping, progress)
        copy_metadata(files, source.fd, fd)
        finish(fd)
        if not stat_of(files.fstat(source.fd)).same_content(source.stat):
            raise SourceChanged("changed while it was copied", path=source.path)
    except BaseException:
        with contextlib.suppress(OSError):
            files.unlink(name, directory)
        raise
    finally:
        files.close(fd)


def set_modes(library: OpenLibrary, fd: int) -> None:
    """Give a file the group and mode that the library is configured to have."""
    files = library.tree.files
    if library.gid is not None:
        files.chown(fd, -1, library.gid)
    if library.file_mode is not None:
        files.chmod(fd, library.file_mode)


def verify_copy(
    source: Source,
    step: int,
    library: OpenLibrary,
    dirs: Dirs,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
) -> Stat:
    """Read a synced copy back, from the device where the kernel lets go of its pages, and compare.

    Returns:
        the copy as it stands.

    Raises:
        VerifyFailed: what came back is not what was hashed; the copy is removed.
        InterruptedError: `stopping()` turned true.
    """
    return verify_file(library.tree.files, source, copy_name(step), dirs.fd(TMP), stopping, progress)


def verify_file(
    files: Files,
    source: Source,
    name: bytes,
    directory: int,
    stopping: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
) -> Stat:
    """`verify_copy` for any name in an open directory."""
    fd = files.open_file(name, directory)
    try:
        files.drop_cache(fd)
        copy = stat_of(files.fstat(fd))
        alike = copy.size == source.stat.size
        if alike and digest_of(files, fd, copy.size, stopping, progress) == source.digest:
            return copy
    finally:
        files.close(fd)
    files.unlink(name, directory)
    raise VerifyFailed("what was written and read back differs; the copy was discarded", path=source.path)


def never() -> bool:
    """Stands for `stopping` where nothing is to be cut short."""
    return False


def publish_copy(step: int, library: OpenLibrary, dirs: Dirs, directory: int, name: bytes) -> None:
    """Give a verified copy its final name; OSError EEXIST if that is taken."""
    files = library.tree.files
    tmp = dirs.fd(TMP)
    if library.can.rename_noreplace:
        files.rename(copy_name(step), tmp, name, directory)
        return
    fd = files.open_file(copy_name(step), tmp)
    try:
        files.link(fd, name, directory)
    finally:
        files.close(fd)
    with contextlib.suppress(OSError):  # the next start sweeps it
        files.unlink(copy_name(step), tmp)


def take(source: Source, step: int, library: OpenLibrary, watch: Dirs, dirs: Dirs) -> None:
    """Rename a source into the library's `tmp`, and back if it is not the very file that was hashed.

    Raises:
        OSError: EXDEV where it lies on another filesystem. SourceChanged: it was another file, and is back.
        Stranded: it could not be given back.
    """
    files = library.tree.files
    tmp = dirs.fd(TMP)
    directory, name = watch.parent(source.path)
    files.rename(name, directory, take_name(step), tmp)
    try:
        unchanged = _unchanged(files, source, take_name(step), tmp)
    except OSError:
        put_back(files, take_name(step), tmp, directory, name)
        raise
    if unchanged:
        return
    put_back(files, take_name(step), tmp, directory, name)
    raise SourceChanged("was replaced or changed while it was filed", path=source.path)


def _unchanged(files: Files, source: Source, name: bytes, directory: int) -> bool:
    """Is this name the very file that was hashed, still in that state, with nobody writing to it?"""
    if not stat_of(files.stat_at(name, directory)).same_content(source.stat):
        return False
    if not source.lease:
        return True
    try:
        return not files.held_open(source.fd)
    except OSError:  # no lease to be had here after all: size and times have to do
        return True


def put_back(files: Files, name: bytes, directory: int, target: int, wanted: bytes) -> bytes:
    """Give a file of the watch its own name again; where that is taken, the next free `name-1.ext`.

    Returns:
        the name that it got.

    Raises:
        Stranded: it can be given none.
    """
    number = 0
    while True:
        chosen = with_suffix(wanted, number) if number else wanted
        try:
            rename_new(files, name, directory, chosen, target)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise Stranded(f"could not be given back: {error.strerror}", path=wanted) from error
        else:
            return chosen


def rename_new(files: Files, name: bytes, directory: int, new: bytes, target: int) -> None:
    """Rename without replacing, also where the filesystem has no flag for it (then link and unlink)."""
    try:
        files.rename(name, directory, new, target)
    except OSError as error:
        if error.errno not in _NO_FLAG:
            raise
        fd = files.open_file(name, directory)
        try:
            files.link(fd, new, target)
        finally:
            files.close(fd)
        try:
            files.unlink(name, directory)
        except OSError:
            files.unlink(new, target)
            raise


def remove_source(source: Source, step: int, watch: Dirs) -> bool:
    """Remove a source whose content is durable in the library: that very file and no other.

    It is renamed aside in its own folder, compared with the descriptor that was hashed, and only then
    unlinked. The removal is not durable until the folder is synced.

    Returns:
        False if another file stands under its name now, which was left alone; or if it is gone already.

    Raises:
        OSError: it may not be removed. SourceChanged: its content changed since. Either way it is back under
            its name. Stranded: it could not be brought back there.
    """
    try:
        directory, name = watch.parent(source.path)
        return remove_named(watch.files, source, step, name, directory)
    except FileNotFoundError:
        return False


def remove_named(files: Files, source: Source, step: int, name: bytes, directory: int) -> bool:
    """`remove_source` for a name in an open directory; recovery uses it for files already aside, too."""
    aside = aside_name(step)
    if name != aside:
        rename_new(files, name, directory, aside, directory)
    wanted = source.path.rpartition(b"/")[2] if name == aside else name
    try:
        there = stat_of(files.stat_at(aside, directory))
        if _unchanged(files, source, aside, directory):
            files.unlink(aside, directory)
            return True
    except OSError:
        put_back(files, aside, directory, directory, wanted)
        raise
    put_back(files, aside, directory, directory, wanted)
    if (there.dev, there.ino) != (source.stat.dev, source.stat.ino):
        return False
    raise SourceChanged("was written to while it was filed", path=source.path)


def not_linked(files: Files, source: Source, error: OSError, path: bytes) -> MediadError:
    """Why a link into a library failed. A file whose last name went cannot be linked: ENOENT then says
    nothing of the library.
    """
    if error.errno == errno.ENOENT and files.fstat(source.fd).st_nlink == 0:
        return SourceGone("was deleted or replaced while it was filed", path=source.path)
    return library_error(error, path)


def write_reason(files: Files, name: bytes, directory: int, text: str) -> None:
    """Say beside a file in trash or quarantine why it is there."""
    fd = files.create(name + REASON, directory)
    try:
        files.write(fd, text.encode("utf-8", "backslashreplace"), 0)
        files.sync_file(fd)
    finally:
        files.close(fd)


def withdraw(files: Files, directory: int, name: bytes, placed: Stat) -> None:
    """Take back a final name that we gave, if it still is that file; its source must still be there."""
    try:
        there = files.stat_at(name, directory)
    except FileNotFoundError:
        return
    if (there.st_dev, there.st_ino) == (placed.dev, placed.ino):
        files.unlink(name, directory)
