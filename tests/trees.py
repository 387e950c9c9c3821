"""Whole directory trees as dictionaries, so that one comparison shows every difference."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

Entry = bytes | str | None


def tree(path: Path | bytes | str, *, without: Collection[bytes] = ()) -> dict[bytes, Entry]:
    """Everything below `path`, by its relative path.

    A regular file maps to its content, a directory (its key ends in a slash) to None, a symbolic link to
    "-> target", anything else to the name of its type. `without` leaves out entries of these names,
    wherever they are, with all that is below them.
    """
    found: dict[bytes, Entry] = {}
    _collect(os.fsencode(path), b"", frozenset(without), found)
    return found


def files(path: Path | bytes | str, *, without: Collection[bytes] = ()) -> dict[bytes, bytes]:
    """Only the regular files of `tree`."""
    return {name: entry for name, entry in tree(path, without=without).items() if isinstance(entry, bytes)}


def _collect(root: bytes, prefix: bytes, without: frozenset[bytes], found: dict[bytes, Entry]) -> None:
    with os.scandir(os.path.join(root, prefix)) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name in without:
                continue
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                found[name + b"/"] = None
                _collect(root, name + b"/", without, found)
            else:
                found[name] = _content(entry)


def _content(entry: os.DirEntry[bytes]) -> bytes | str:
    if entry.is_symlink():
        return "-> " + os.fsdecode(os.readlink(entry.path))
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISREG(mode):
        with open(entry.path, "rb") as stream:
            return stream.read()
    return {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(mode), "a device")
