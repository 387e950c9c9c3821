"""Is a folder without a marker the library that has lost it?

The marker is what tells a library from the mount point that it hides behind, so it is written again only
where the catalogue's own files are: of a thousand of them, spread over the library, nine tenths as recorded.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from stat import S_ISREG

import anyio.to_thread

from mediad.files import Dirs, Tree
from mediad.store import adopted
from mediad.store.adopted import Lost, Recorded
from mediad.store.reading import Reader

_SAMPLE = 1000
_ENOUGH = 0.9  # a library that was in use has lost some to other hands; a copy of a part has lost more
_FOLDERS = 100  # files after which folders are closed again
_NEAR_NS = 2_000_000_000  # FAT keeps times to 2 s


@dataclass(frozen=True, slots=True)
class Proof:
    """How many of the catalogued files that were looked for are there as recorded."""

    looked: int
    there: int

    @property
    def holds(self) -> bool:
        """Is it the same library?"""
        return self.there > 0 and self.there >= _ENOUGH * self.looked


async def prove(reader: Reader, tree: Tree, lost: Lost) -> Proof:
    """Look for a sample of a library's files in a folder."""
    sample = await _sample(reader, lost)
    there = await anyio.to_thread.run_sync(_count, tree, sample, abandon_on_cancel=True)
    return Proof(len(sample), there)


async def _sample(reader: Reader, lost: Lost) -> list[Recorded]:
    """Every so many files of the library, in the order of their names."""
    step, seen = max(1, -(-lost.files // _SAMPLE)), 0
    sample: list[Recorded] = []
    on: bytes | None = b""
    while on is not None:
        files, on = await reader.run(functools.partial(adopted.recorded, library=lost.row, after=on))
        sample += files[-seen % step :: step]
        seen += len(files)
    return sample


def _count(tree: Tree, sample: Sequence[Recorded]) -> int:
    """How many of these are there as recorded; blocks."""
    there = 0
    for start in range(0, len(sample), _FOLDERS):
        with tree.dirs() as dirs:
            there += sum(_is_there(dirs, file) for file in sample[start : start + _FOLDERS])
    return there


def _is_there(dirs: Dirs, file: Recorded) -> bool:
    try:
        directory, name = dirs.parent(file.path)
        found = dirs.files.stat_at(name, directory)
    except OSError:  # whatever keeps it from being seen, it proves nothing
        return False
    near = abs(found.st_mtime_ns - file.mtime_ns) <= _NEAR_NS
    return S_ISREG(found.st_mode) and found.st_size == file.size and near
