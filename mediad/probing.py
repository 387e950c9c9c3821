"""What a library's filesystem can do, found by trying."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from mediad.errors import LibraryReadOnly
from mediad.files import UNSUPPORTED, Tree
from mediad.lock import refusal
from mediad.roots import filesystem


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the library's filesystem can do, found by trying; `syncfs` and `journaled` as in `roots`."""

    links: bool
    rename_noreplace: bool
    syncfs: bool
    journaled: bool = False


def probe(tree: Tree, folder: bytes) -> Capabilities:
    """Try link and rename in this folder of a library (no table of filesystem names is ever right).

    Raises:
        LibraryReadOnly: it cannot be written.
    """
    files = tree.files
    root = tree.root
    name, other = b"probe", b"probe-2"
    try:
        with tree.dirs() as dirs:
            tmp = dirs.fd(folder)
            for left in (name, other):
                with contextlib.suppress(FileNotFoundError):
                    files.unlink(left, tmp)
            fd = files.create(name, tmp)
            try:
                links = _works(lambda: files.link(fd, other, tmp))
            finally:
                files.close(fd)
            if links:
                files.unlink(other, tmp)
            noreplace = _works(lambda: files.rename(name, tmp, other, tmp))
            files.unlink(other if noreplace else name, tmp)
    except OSError as error:
        raise refusal(LibraryReadOnly, "cannot be written", error, root) from error
    found = filesystem(os.fsdecode(root))
    return Capabilities(links, noreplace, found.syncfs, found.journaled)


def probed(tree: Tree, folder: bytes) -> Capabilities | None:
    """The same, None where the library can only be read."""
    try:
        return probe(tree, folder)
    except LibraryReadOnly:
        return None


def _works(call: Callable[[], None]) -> bool:
    try:
        call()
    except OSError as error:
        if error.errno in UNSUPPORTED | {errno.EMLINK, errno.EXDEV}:
            return False
        raise
    return True
