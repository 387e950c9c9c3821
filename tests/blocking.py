"""Detects calls that block the event loop from within mediad.

blockbuster replaces blocking functions of the standard library with ones that raise BlockingError when an
event loop runs in their thread and a frame of mediad is on the stack. What is not its default is added
here: opening and syncing files, waiting for programs, and SQLite.
"""

from __future__ import annotations

import builtins
import io
import os
import subprocess
from types import ModuleType
from typing import Any

import apsw
from blockbuster import BlockBuster, BlockBusterFunction, BlockingError

import mediad

__all__ = ["BlockingError", "Detector"]

# Python reads source and byte code when it imports, warns or prints a traceback.
READING_SOURCE = [
    ("<frozen importlib._bootstrap>", {"_find_and_load"}),
    ("linecache.py", {"updatecache", "checkcache"}),
    ("_pytest/assertion/rewrite.py", {"exec_module"}),
]
# asyncio and anyio do these in the loop themselves: starting a program, opening a socket's path.
UNAVOIDABLE = [
    ("subprocess.py", {"__init__", "_get_devnull"}),
    ("anyio/_core/_sockets.py", {"setup_unix_local_socket"}),
    ("asyncio/base_events.py", {"subprocess_exec"}),
]

OS_CALLS = (
    "chmod",
    "chown",
    "copy_file_range",
    "fdatasync",
    "fsync",
    "getxattr",
    "lstat",
    "open",
    "pread",
    "preadv",
    "pwrite",
    "pwritev",
    "scandir",
    "setxattr",
    "sync",
    "truncate",
    "utime",
    "waitpid",
)


class Detector:
    """All the functions that are watched; switched on and off together."""

    def __init__(self) -> None:
        self._watched = [*BlockBuster("mediad").functions.values(), *_more()]
        for function in self._watched:
            function.can_block_functions += READING_SOURCE + UNAVOIDABLE

    def activate(self) -> None:
        """From now on, what blocks the loop raises BlockingError there."""
        for function in self._watched:
            function.activate()

    def deactivate(self) -> None:
        """From now on, everything may block."""
        for function in self._watched:
            function.deactivate()


def _more() -> list[BlockBusterFunction]:
    watched = [_function(os, name) for name in OS_CALLS if hasattr(os, name)]
    watched += [_function(module, "open", opens_nothing) for module in (builtins, io)]
    watched += [_function(io.FileIO, "read"), _function(io.FileIO, "readall"), _function(io.FileIO, "write")]
    watched += [_function(subprocess.Popen, name) for name in ("wait", "communicate")]
    watched += [_function(apsw.Connection, name) for name in ("execute", "executemany")]
    watched += [_function(apsw.Cursor, name) for name in ("execute", "executemany")]
    return watched


def opens_nothing(file: Any, *_arguments: Any, **_options: Any) -> bool:
    """True where a descriptor is only wrapped, which cannot block."""
    return isinstance(file, int)


def _function(owner: ModuleType | type, name: str, may_block: Any = lambda *_a, **_o: False) -> Any:
    return BlockBusterFunction(
        owner,
        name,
        scanned_modules=mediad,
        can_block_predicate=may_block,
    )
