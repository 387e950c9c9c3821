"""Paths between people and the socket: what arguments mean, and how a reply's paths are shown."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mediad.control.protocol import path_from
from mediad.errors import SourceGone, printable


def absolute(argument: str) -> bytes:
    """The exact path that an argument names. Symbolic links stay as they are, except before a "..".

    Raises:
        SourceGone: it is relative to a folder that is no more.
    """
    path = os.fsencode(argument)
    if not path.startswith(b"/"):
        path = os.path.join(_folder(), path)
    head, dots, tail = f"{os.fsdecode(path)}/".rpartition("/../")
    if dots:  # its folder is where the kernel says that it is, which a look at the text does not tell
        path = os.path.join(os.path.realpath(os.fsencode(f"{head}/..")), os.fsencode(tail))
    return b"/" + os.path.normpath(path).lstrip(b"/")


def story_of(argument: str) -> bytes:
    """What `why` asks for: a path, or a bare name that is no file here."""
    bare = os.fsencode(argument)
    here = b"/" in bare or bare in (b".", b"..") or os.path.lexists(bare)
    return absolute(argument) if here else bare


def shown(value: Mapping[str, object], name: str) -> str:
    """The path that a reply has in the two fields of this name, as one printable line; "" if it has none."""
    path = path_from(value, name)
    return "" if path is None else printable(path)


def _folder() -> bytes:
    """The current folder, by the name under which the shell came here."""
    named = os.environb.get(b"PWD", b"")
    if named.startswith(b"/") and _is_here(named):
        return named
    try:
        return os.getcwdb()
    except OSError:
        raise SourceGone("the current folder is no more", remedy="cd to one that is there") from None


def _is_here(named: bytes) -> bool:
    try:
        return os.path.samefile(named, b".")
    except OSError:  # the shell's name for it is out of date
        return False
