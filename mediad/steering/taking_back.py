"""What `mediactl undo` takes back: found in the journal set by set, the newest first."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import apsw

from mediad.errors import Ambiguous, NotKnown
from mediad.keeping import undoing
from mediad.keeping.change import Change, Kept, Spot, Taken
from mediad.store import undoable, whereabouts
from mediad.store.reading import Reader

_PAGE = 100  # sets that are planned together

Changes = AsyncGenerator[list[Change], None]
_Head = tuple[int, int]


class TakingBack:
    """Plans one undo.

    Args:
        planned: nothing of it is done meanwhile: each set is planned as if those before were taken back.
    """

    def __init__(self, reader: Reader, *, planned: bool) -> None:
        self._reader = reader
        self._planned = planned
        self._assumed: set[int] = set()
        self._filled: set[Spot] = set()
        self._seen: set[_Head] = set()

    async def changes(self, ids: Sequence[int], paths: Sequence[bytes], since: int | None) -> Changes:
        """What takes back these batches, steps, files and folders, all since then, or the latest batch, each
        set once. What one page has of a file is to be done before the next page is asked for.

        Args:
            since: microseconds since the epoch.

        Raises:
            NotKnown, Ambiguous: what was named is nothing that can be taken back.
        """
        asked = [functools.partial(undoable.heads_since, since=since)] if since is not None else []
        heads: list[_Head] = []
        for number in ids:
            found = await self._reader.run(functools.partial(undoable.numbered, number=number))
            if found.batch is not None and found.head is not None:
                raise Ambiguous([b"batch %d" % number, b"step %d" % number])
            if found.batch is not None:
                asked.append(functools.partial(undoable.heads_of_batch, batch=number))
            elif found.head is not None:
                heads.append(found.head)
            else:
                raise NotKnown(f"no batch and no step has the number {number}", remedy="see mediactl history")
        for path in paths:
            heads += await self._heads_of(path)
        if not asked and not heads:
            batch = await self._reader.run(undoable.latest_batch)
            asked = [] if batch is None else [functools.partial(undoable.heads_of_batch, batch=batch)]
        for ask in asked:
            async for page in self._walk(ask):
                yield page
        async for page in self._each(sorted(set(heads), reverse=True)):
            yield page

    async def _walk(self, ask: Callable[..., tuple[list[_Head], int]]) -> Changes:
        before = 1 + await self._reader.run(undoable.newest_id)
        while before:
            heads, before = await self._reader.run(functools.partial(ask, before=before))
            async for page in self._each(heads):
                yield page

    async def _each(self, heads: Sequence[_Head]) -> Changes:
        """Pages in which no file comes twice: of two steps the older one can be judged only afterwards."""
        rest = [head for head in heads if head not in self._seen]
        self._seen.update(rest)
        while rest:
            ask = functools.partial(_sets, heads=rest[:_PAGE])
            page: list[Change] = []
            seen: set[int | None] = set()
            count = 0
            for head, (steps, around) in zip(rest, await self._reader.run(ask), strict=False):
                files = {step.arrival for step in steps} | {kept.arrival for kept in around}
                if files & seen:
                    break
                seen |= files
                count += 1
                change = undoing.plan(steps, self._assumed, around, self._filled)
                if change is not None:
                    page.append(self._foreseen(change) if self._planned else _watched(change, head))
                    if self._planned and not page[-1].refused:
                        self._assumed.update(step.id for step in steps)
            rest = rest[count:]
            yield page

    def _foreseen(self, change: Change) -> Change:
        """The same, refused where an earlier one will be in the way, or one of its own files."""
        going = {
            (shift.arrival, shift.target)
            for shift in change.shifts
            if shift.target and not shift.target.private
        }
        targets = {target for _, target in going}
        if not change.refused and (len(targets) < len(going) or targets & self._filled):
            return replace(change, refused="its place is taken by another one of these")
        self._filled.update(targets)
        return change

    async def _heads_of(self, path: bytes) -> set[_Head]:
        """The set of this file, or of all below this folder."""

        def ask(connection: apsw.Connection) -> tuple[int, int] | None:
            subjects = whereabouts.about_path(connection, path)
            return next(filter(None, (undoable.head_of(connection, one) for one in subjects)), None)

        head = await self._reader.run(ask)
        if head is not None:
            return {head}
        heads: set[_Head] = set()
        for first in await self._reader.run(functools.partial(undoable.walks_below, path=path)):
            walk: undoable.Walk | None = first
            while walk is not None:
                found, walk = await self._reader.run(functools.partial(undoable.heads_below, walk=walk))
                heads |= found
        if not heads:
            raise NotKnown("nothing was done with it that could be taken back", path=path)
        return heads


_Set = tuple[list[Taken], list[Kept]]
"""Its steps, and what the libraries have of it; see `keeping.undoing.plan`."""


def _sets(connection: apsw.Connection, heads: Sequence[_Head]) -> list[_Set]:
    return [(steps, undoable.around(connection, steps)) for steps in undoable.sets(connection, heads)]


def _watched(change: Change, head: _Head) -> Change:
    """The same, which is done only while it is what would be decided."""

    def holds(connection: apsw.Connection) -> bool:
        ((steps, around),) = _sets(connection, [head])
        return undoing.plan(steps, (), around) == change

    return replace(change, holds=holds)
