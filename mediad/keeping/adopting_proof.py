"""Is a folder without a marker the library that has lost it?

The marker is what tells a library from the mount point that it hides behind, so it is written again only
where the catalogue's own files are: of a thousand of them, spread over the library, nine tenths as recorded.
Size and time are what a copy has, too. So a folder that is not the one that was seen last, by its inode and
filesystem, has some of them read: the content of each has to be what was recorded.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from stat import S_ISREG

import anyio.to_thread

from mediad.errors import SourceChanged
from mediad.files import Dirs, Tree
from mediad.keeping.verify_reading import Unsteady, read_again
from mediad.store import adopted
from mediad.store.adopted import Lost, Recorded
from mediad.store.reading import Reader

_SAMPLE = 1000
_ENOUGH = 0.9  # a library that was in use has lost some to other hands; a copy of a part has lost more
_READ = 20  # files, where the folder may be a copy
_QUICK = 100_000_000  # bytes; larger ones are read only where there are no others
_FOLDERS = 100  # files after which folders are closed again
_NEAR_NS = 2_000_000_000  # FAT keeps times to 2 s


@dataclass(frozen=True, slots=True)
class Proof:
    """How many of the catalogued files that were looked for are there as recorded.

    Attributes:
        differs: one that looks as if it were, and has other content.
    """

    looked: int
    there: int
    differs: bytes | None = None

    @property
    def holds(self) -> bool:
        """Is it the same library?"""
        return self.there > 0 and self.there >= _ENOUGH * self.looked and self.differs is None


async def prove(reader: Reader, tree: Tree, lost: Lost) -> Proof:
    """Look for a sample of a library's files in a folder."""
    sample = await _sample(reader, lost)
    look = functools.partial(_look, tree, sample, lost.identity)
    return await anyio.to_thread.run_sync(look, abandon_on_cancel=True)


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


def _look(tree: Tree, sample: Sequence[Recorded], identity: str) -> Proof:
    """How many of these are there as recorded; blocks."""
    there: list[Recorded] = []
    for start in range(0, len(sample), _FOLDERS):
        with tree.dirs() as dirs:
            there += [file for file in sample[start : start + _FOLDERS] if _is_there(dirs, file)]
    proof = Proof(len(sample), len(there))
    with tree.dirs() as dirs:
        same = identity == tree.files.identity(dirs.root)
    return proof if same or not proof.holds else replace(proof, differs=_differing(tree, there))


def _differing(tree: Tree, there: Sequence[Recorded]) -> bytes | None:
    """The first of some files that has not the content that was recorded, or cannot be read."""
    known = [file for file in there if file.digest is not None]
    quick = [file for file in known if file.size <= _QUICK] or known
    for file in quick[:: max(1, -(-len(quick) // _READ))]:
        try:
            found = read_again(tree, file.path, _never)
        except (OSError, SourceChanged, Unsteady):
            return file.path
        if found is None or found[0] != file.digest:
            return file.path
    return None


def _never() -> bool:
    return False


def _is_there(dirs: Dirs, file: Recorded) -> bool:
    try:
        directory, name = dirs.parent(file.path)
        found = dirs.files.stat_at(name, directory)
    except OSError:  # whatever keeps it from being seen, it proves nothing
        return False
    near = abs(found.st_mtime_ns - file.mtime_ns) <= _NEAR_NS
    return S_ISREG(found.st_mode) and found.st_size == file.size and near
