"""Groups of exact copies, looked at on disk, and what is to be done with each."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Mapping, Sequence
from stat import S_ISREG

import anyio.to_thread
import apsw

from mediad.files import Dirs, Tree
from mediad.keeping.pruning import Companion, Exemplar, Inode, Keep, Pruned, plan
from mediad.media import companions
from mediad.store.copies import Beside, Copy, Group, beside, groups
from mediad.store.reading import Reader

_Stems = dict[tuple[int, bytes], dict[bytes, list[bytes]]]
"""Of each folder of a library that was listed: its files by what they share, see `companions.key`."""

_GROUPS = 100  # at a time
_NEAR_NS = 2_000_000_000  # FAT keeps times to 2 s


async def prunable(
    reader: Reader, trees: Mapping[int, Tree], keep: Keep, under: bytes | None, *, across: bool
) -> AsyncGenerator[Pruned, None]:
    """Every group of which something may go, or is spared.

    Args:
        trees: the libraries that are online, by their rows; what lies in others counts for nothing.
        under: only what lies below this absolute folder may go; None: all may.
        across: copies in different libraries are copies, too.
    """
    on: bytes | None = b""
    while on is not None:
        found, on = await reader.run(functools.partial(groups, after=on, limit=_GROUPS))
        parts = [part for group in found for part in _parts(group, trees, across=across)]
        known = await reader.run(functools.partial(_all_beside, parts=parts))
        looked = await anyio.to_thread.run_sync(_look, trees, parts, known, abandon_on_cancel=True)
        for part, exemplars in zip(parts, looked, strict=True):
            pruned = plan(part.digest, exemplars, keep, under)
            if pruned is not None and (pruned.going or pruned.spared):
                yield pruned


def _parts(group: Group, trees: Mapping[int, Tree], *, across: bool) -> list[Group]:
    """A group as far as it is online, cut into libraries if need be."""
    parts: dict[int, list[Copy]] = {}
    for file in group.files:
        if file.library in trees:
            parts.setdefault(0 if across else file.library, []).append(file)
    return [Group(group.digest, files) for files in parts.values() if len(files) > 1]


def _all_beside(connection: apsw.Connection, parts: Sequence[Group]) -> list[list[list[Beside]]]:
    return [[beside(connection, file) for file in part.files] for part in parts]


def _look(
    trees: Mapping[int, Tree], parts: Sequence[Group], known: Sequence[Sequence[Sequence[Beside]]]
) -> list[list[Exemplar]]:
    """How the files of each group stand; blocks."""
    stems: _Stems = {}
    return [
        [
            _exemplar(trees[file.library], file, others, stems)
            for file, others in zip(part.files, all_, strict=True)
        ]
        for part, all_ in zip(parts, known, strict=True)
    ]


def _exemplar(tree: Tree, file: Copy, others: Sequence[Beside], stems: _Stems) -> Exemplar:
    try:
        with tree.dirs() as dirs:
            known = {file.within, *(one.within for one in others)}
            unknown = [path for path in _sharing(dirs, file, stems) if path not in known]
            return Exemplar(
                file,
                _inode(dirs, file.within, file.size, file.mtime_ns),
                (
                    *(Companion(one, _inode(dirs, one.within, one.size, one.mtime_ns)) for one in others),
                    *(Companion(Beside(0, path, 0, 0, None, "found", None), None) for path in unknown),
                ),
            )
    except OSError:  # the library or its folder has gone, or cannot be looked into: nothing of it is there
        return Exemplar(file, None, ())


def _sharing(dirs: Dirs, file: Copy, stems: _Stems) -> list[bytes]:
    """What lies beside a file and shares its stem, known or put there since; each folder is listed once."""
    folder = file.within[: file.within.rfind(b"/") + 1]
    known = stems.get((file.library, folder))
    if known is None:
        known = stems[file.library, folder] = {}
        for name in dirs.files.list_dir(dirs.parent(file.within)[0]):
            if b"." in name:
                known.setdefault(companions.key(folder + name), []).append(folder + name)
    paths = known.get(companions.key(file.within), [])
    return [path for path in paths if S_ISREG(dirs.files.stat_at(*_at(dirs, path)).st_mode)]


def _at(dirs: Dirs, path: bytes) -> tuple[bytes, int]:
    directory, name = dirs.parent(path)
    return name, directory


def _inode(dirs: Dirs, path: bytes, size: int, mtime_ns: int) -> Inode | None:
    """The file's inode; None where it is not there as recorded, or cannot be seen."""
    try:
        found = dirs.files.stat_at(*_at(dirs, path))
    except OSError:
        return None
    same = found.st_size == size and abs(found.st_mtime_ns - mtime_ns) <= _NEAR_NS
    return (found.st_dev, found.st_ino) if same and S_ISREG(found.st_mode) else None
