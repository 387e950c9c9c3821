"""`mediactl duplicates --prune`: what moves all but one of each group of exact copies into trash."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import apsw

from mediad.errors import NotKnown, printable
from mediad.ingest.pipeline import Pipeline
from mediad.keeping import trashing
from mediad.keeping.change import Change
from mediad.keeping.pruning import Going, Keep, Pruned
from mediad.keeping.pruning_looks import prunable
from mediad.steering.looking import is_below, other_names, within_limit
from mediad.store import kept
from mediad.store.reading import Reader


async def pruning(
    pipeline: Pipeline, reader: Reader, keep: Keep, under: bytes | None
) -> AsyncGenerator[list[Change], None]:
    """The changes, group by group; what is spared is among them, refused with the reason.

    Args:
        under: only what lies below this absolute folder may go; None: all may.
    """
    trees = {row: library.tree for row, library in pipeline.shelves.open().items()}
    across = pipeline.config.duplicates.scope == "all"
    async with contextlib.aclosing(prunable(reader, trees, keep, under, across=across)) as groups:
        async for pruned in groups:
            yield await reader.run(functools.partial(_changes, pruned=pruned))


async def folder(pipeline: Pipeline, path: bytes) -> bytes:
    """A folder in or above a library, by the name under which its files are known.

    Raises:
        NotKnown: it is neither.
    """
    roots = [os.fsencode(shelf.settings.path) for shelf in pipeline.shelves]
    none: list[bytes] = []
    for one in (path, *await within_limit(lambda: other_names(path, roots), none)):
        if any(is_below(root, one) or is_below(one, root) for root in roots):
            return one
    raise NotKnown("lies in no library", path=path)


def _changes(connection: apsw.Connection, pruned: Pruned) -> list[Change]:
    sets = (_change(connection, going, pruned) for going in pruned.going)
    spared = (_spared(connection, one.file, one.reason) for one in pruned.spared)
    return [change for change in (*sets, *spared) if change is not None]


def _change(connection: apsw.Connection, going: Sequence[Going], pruned: Pruned) -> Change | None:
    """What moves a set into trash; None where it is no longer what it was a moment ago."""
    files = [kept.by_id(connection, one.file) for one in going]
    stay = [kept.by_id(connection, one.witness) for one in going]
    whole = [one for one in files if one is not None]
    spots = {one.digest: one.spot for one in stay if one is not None and one.digest is not None}
    if len(whole) < len(files) or len(spots) < len({one.digest for one in whole}):
        return None
    return trashing.prune(whole, spots, f"has the same content as {printable(pruned.kept_path)}")


def _spared(connection: apsw.Connection, file: int, reason: str) -> Change | None:
    found = kept.by_id(connection, file)
    return None if found is None else replace(trashing.prune([found], {}, reason), refused=reason)
