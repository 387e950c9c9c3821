"""Looks at the filesystem that may hang: each in a thread that is left behind when its time is over."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio
import anyio.to_thread

from mediad.store.whereabouts import splits

T = TypeVar("T")

Look = Callable[[bytes], os.stat_result]
"""os.lstat, or what stands for it."""

_LIMIT = 2.0  # seconds; a dead NFS server answers after minutes or never
_HUNG = threading.BoundedSemaphore(8)  # threads that may hang at a time; each keeps its stack


async def within_limit(work: Callable[[], T], otherwise: T) -> T:
    """What `work` returns; `otherwise`, where that takes too long or too many such threads hang already."""

    def unless_crowded() -> T:
        if not _HUNG.acquire(blocking=False):
            return otherwise
        try:
            return work()
        finally:
            _HUNG.release()

    with anyio.move_on_after(_LIMIT):
        return await anyio.to_thread.run_sync(unless_crowded, abandon_on_cancel=True)
    return otherwise


def how_it_stands(look: Look, path: bytes, size: int, mtime_ns: int) -> str:
    """Is a file where it was recorded, as it was recorded: there, changed, missing, unknown; blocks.

    Args:
        mtime_ns: FAT keeps it to 2 s.
    """
    try:
        found = look(path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unknown"
    same = found.st_size == size and abs(found.st_mtime_ns - mtime_ns) <= 2_000_000_000
    return "there" if same else "changed"


def other_names(path: bytes, roots: Sequence[bytes]) -> list[bytes]:
    """Other absolute paths of the same file: without links, and through roots by another way; blocks.

    Args:
        roots: folders below which names are known. They may be links or mounted at two places.
    """
    folder, _, name = path.rpartition(b"/")
    real = os.path.join(os.path.realpath(folder or b"/"), name)
    found = {real: None}
    known: dict[tuple[int, int], list[bytes]] = {}
    for root in roots:
        if identity := _identity(root):
            known.setdefault(identity, []).append(root)
    for above, rest in (*splits(real), (real, b"")):
        if identity := _identity(above):
            names = (os.path.join(root, rest) if rest else root for root in known.get(identity, ()))
            found |= dict.fromkeys(names)
    found.pop(path, None)
    return list(found)


def known_name(path: bytes, roots: Sequence[bytes]) -> bytes:
    """A plain path by its name below one of the roots; the path, where it does not lead there; blocks."""

    def is_known(name: bytes) -> bool:
        return any(is_below(name, root) for root in roots)

    return path if is_known(path) else next(filter(is_known, other_names(path, roots)), path)


def plain_name(path: bytes) -> bytes:
    """An absolute path without dots and doubled slashes; links are not looked at."""
    # Two slashes at its beginning are kept by normpath.
    return b"/" + os.path.normpath(path).lstrip(b"/")


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether a path is this folder, or lies in it by its name."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
