"""`mediactl undo`, `trash`, `refile`, `date`, `duplicates --prune`: files are changed, or it is told how."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import apsw

from mediad.control.calls import Call, Reply
from mediad.control.protocol import InvalidParameter, path_fields
from mediad.errors import NotKnown, printable
from mediad.ingest import witnesses
from mediad.ingest.pipeline import Pipeline
from mediad.keeping import refiling, trashing
from mediad.keeping.change import Change, Kept, Spot
from mediad.keeping.following import follow
from mediad.keeping.pruning import Keep
from mediad.keeping.refiling import Today
from mediad.keeping.relocate import Command, Done, grouped
from mediad.layout import key_of
from mediad.steering.dating import Dating, refusals
from mediad.steering.pruning import folder, pruning
from mediad.steering.taking_back import Changes, TakingBack
from mediad.store import kept
from mediad.store.reading import Reader

_MOST = 1000  # changes that one reply tells of
_PAGE = 100
_LABEL = 200  # characters
_PATIENCE = 60.0  # seconds

_Plan = Callable[[Sequence[Kept], Today, apsw.Connection], "Change | None"]
"""Decides what is done with a set; the connection is for questions."""


@dataclass(slots=True)
class _Told:
    """What has been told so far."""

    command: Command
    more: bool
    done: int = 0
    refused: int = 0
    size: int = 0
    changes: list[dict[str, object]] = field(default_factory=list)

    def add(self, found: Iterable[Done], *, planned: bool) -> None:
        for one in found:
            happens = one.step is not None or (planned and not one.reason)
            self.done += happens
            self.refused += not happens
            self.size += one.shift.size if happens else 0
            if self.more or len(self.changes) < _MOST:
                self.changes.append(_change(one, happens=happens))

    def page(self, state: str) -> dict[str, object]:
        """A reply with what is new."""
        changes, self.changes = self.changes, []
        return {
            "state": state,
            "batch": self.command.batch,
            "done": self.done,
            "refused": self.refused,
            "bytes": self.size,
            "changes": changes,
        }


def _change(one: Done, *, happens: bool) -> dict[str, object]:
    shift = one.shift
    return {
        "id": one.step if happens else None,
        "item": one.item,
        "action": shift.action,
        "undoes": shift.undoes,
        "undone_action": shift.undone_action or None,
        **path_fields("source", shift.source.absolute),
        **path_fields("destination", one.target.absolute if one.target else None),
        "size": shift.size,
        "done": happens,
        "reason": one.reason or (shift.reason if shift.action == "date" else ""),
    }


class Changing:
    """Plans what is asked for, set by set, and has it carried out."""

    def __init__(self, pipeline: Pipeline, reader: Reader) -> None:
        self._pipeline = pipeline
        self._reader = reader

    async def undo(
        self, call: Call, reply: Reply, paths: Sequence[bytes], since: int | None
    ) -> dict[str, object]:
        """Take things back.

        Args:
            since: microseconds since the epoch.

        Raises:
            NotKnown, Ambiguous: what was named is nothing that can be changed.
        """
        ids = call.parameters["ids"] or []
        label = " ".join([*map(str, ids), *map(printable, paths)])[:_LABEL]
        await follow(self._pipeline, paths)
        taking = TakingBack(self._reader, planned=bool(call.parameters["dry_run"]))
        return await self._perform(Command("undo", label), taking.changes(ids, paths, since), call, reply)

    async def trash(self, call: Call, reply: Reply, paths: Sequence[bytes]) -> dict[str, object]:
        """Move library files into trash; raises as `undo`."""
        if not paths:
            raise InvalidParameter("paths")
        await follow(self._pipeline, paths)
        return await self._perform(Command("trash"), self._trashing(paths), call, reply)

    async def refile(
        self, call: Call, reply: Reply, paths: Sequence[bytes], library: str | None
    ) -> dict[str, object]:
        """Move library files to where they belong today; raises as `undo`."""
        if bool(paths) == (library is not None):
            raise InvalidParameter("library" if paths else "paths")
        await follow(self._pipeline, paths)
        changes = self._refiling(paths, library, planned=bool(call.parameters["dry_run"]))
        return await self._perform(Command("refile"), changes, call, reply)

    async def date(self, call: Call, reply: Reply, paths: Sequence[bytes]) -> dict[str, object]:
        """Give sets another date, and file them by it; raises as `undo`, but what is not known is refused."""
        if not paths:
            raise InvalidParameter("paths")
        await follow(self._pipeline, paths)
        dating = await Dating.asked(self._pipeline, call)
        changes = dating.told_once(self._dating(paths, dating, planned=bool(call.parameters["dry_run"])))
        return await self._perform(Command("date", dating.label), changes, call, reply)

    async def prune(self, call: Call, reply: Reply, under: bytes | None) -> dict[str, object]:
        """Move all but one of each group of exact copies into trash; raises as `undo`.

        Args:
            under: only what lies below this folder.
        """
        if under is not None:
            under = await folder(self._pipeline, under)
        keep: Keep = call.parameters["keep"] or "best"
        changes = pruning(self._pipeline, self._reader, keep, under)
        return await self._perform(Command("prune"), changes, call, reply)

    async def _libraries_seen(self) -> None:
        """Just after a start libraries are still looked at: wait for that a while."""
        with anyio.move_on_after(_PATIENCE):
            while any(shelf.arriving for shelf in self._pipeline.shelves):
                await self._pipeline.changed(0.5)

    async def _perform(
        self, command: Command, changes: Changes, call: Call, reply: Reply
    ) -> dict[str, object]:
        """Do it, or say what would be done; for who asks for more, tell of it as it goes."""
        await self._libraries_seen()
        told = _Told(command, call.more)
        relocator = self._pipeline.relocator
        dry_run = bool(call.parameters["dry_run"])
        async with contextlib.aclosing(changes):
            async for page in changes:
                for group in grouped(page):
                    if dry_run:
                        told.add(await relocator.forecast(group), planned=True)
                    else:
                        told.add(await relocator.carry_out(command, group), planned=False)
                    if call.more and len(told.changes) >= _PAGE:
                        await reply(told.page("working"))
                await anyio.lowlevel.checkpoint()
        if told.done and not dry_run:  # what was found wrong may have gone
            await self._pipeline.verifier.load()
        return told.page("planned" if dry_run else "done")

    # -- trash and refile -----------------------------------------------------------------------------

    async def _trashing(self, paths: Sequence[bytes]) -> Changes:
        """What moves these library files, and all below folders, into trash, each with its set."""
        seen: set[int] = set()
        async for page in self._sets(paths, seen):
            read = [await self._read(files) for files in page]
            yield [_watched(trashing.trash(files), files, seen) for files in read]

    async def _refiling(self, paths: Sequence[bytes], library: str | None, *, planned: bool) -> Changes:
        """What moves these library files, or those of a library, to where they belong today."""
        refiled = functools.partial(self._planned, _refile, aimed=set(), planned=planned)
        if paths:
            async for page in self._sets(paths, set(), whole=True):
                yield await refiled(page)
        if library is not None:
            shelf = self._pipeline.shelves.find(library)
            if shelf is None or not shelf.readable:
                raise self._pipeline.shelves.reason(library)
            row, after = shelf.id, -1
            while after:
                ask = functools.partial(kept.of_library, library=row, after=max(after, 0))
                files, after = await self._reader.run(ask)
                lead = [one for one in files if not refiling.by_hand(one)]
                sets = await self._reader.run(functools.partial(_sets_of, files=lead))
                yield await refiled(sets)

    async def _dating(self, paths: Sequence[bytes], dating: Dating, *, planned: bool) -> Changes:
        """What gives these library files, and all below folders, another date."""
        dated = functools.partial(self._planned, dating.plan, aimed=set(), planned=planned)
        unknown: list[bytes] = []
        async for page in self._sets(paths, set(), whole=True, unknown=unknown):
            yield await dated(page)
        yield await self._reader.run(functools.partial(refusals, paths=unknown))

    async def _planned(
        self, plan: _Plan, sets: Sequence[list[Kept]], aimed: set[int], *, planned: bool
    ) -> list[Change]:
        """What is done with these sets.

        Args:
            aimed: hashes of the names at which others have aimed.
            planned: nothing is done.
        """
        read = [await self._read(files) for files in sets]
        if not planned:  # what was planned before has been done
            aimed.clear()

        def ask(connection: apsw.Connection) -> list[Change | None]:
            return [self._plan(connection, plan, files, aimed) for files in read]

        return [change for change in await self._reader.run(ask) if change is not None]

    def _plan(
        self, connection: apsw.Connection, plan: _Plan, files: list[Kept], aimed: set[int]
    ) -> Change | None:
        def taken(spot: Spot) -> bool:
            if hash((spot.library, key_of(spot.path))) in aimed:
                return True
            row = connection.execute(
                "SELECT 1 FROM file WHERE library = ? AND name_key = ? AND NOT missing LIMIT 1",
                (spot.library, key_of(spot.path)),
            )
            return row.fetchone() is not None

        pipeline = self._pipeline
        here = next(
            (name for name, row in pipeline.shelves.readable().items() if row == files[0].spot.library), ""
        )
        watch = refiling.watch_of(files[0], pipeline.config.watches, here)
        change = plan(files, Today(pipeline.planner, watch, self._top, taken), connection)
        if change is not None and not change.refused:
            targets = (shift.target for shift in change.shifts if shift.target is not None)
            aimed.update(hash((spot.library, key_of(spot.path))) for spot in targets)
        return None if change is None else _watched(change, files, {one.id for one in files})

    def _top(self, library: str) -> Spot | None:
        shelf = self._pipeline.shelves.find(library)
        if shelf is None or not shelf.readable or shelf.library is None:
            return None
        return Spot(shelf.id, shelf.library.tree.root, b"")

    async def _sets(
        self,
        paths: Sequence[bytes],
        seen: set[int],
        *,
        whole: bool = False,
        unknown: list[bytes] | None = None,
    ) -> AsyncGenerator[list[list[Kept]], None]:
        """The sets of these library files, and of those below folders, each once.

        Args:
            seen: rows of what was there already; it is added to.
            whole: a companion stands for its set; else it goes by itself.
            unknown: paths of which nothing is known are put there.

        Raises:
            NotKnown: nothing is known of a path, and there is no `unknown`.
        """
        for path in paths:
            files = await self._reader.run(functools.partial(kept.at, path=path))
            if files:
                yield await self._unseen(files, seen, whole=whole)
                continue
            after: kept.Place | None = kept.BEGINNING
            some = False
            while after is not None:
                ask = functools.partial(kept.below, path=path, after=after)
                files, after = await self._reader.run(ask)
                some = some or bool(files)
                # companions of none of these go by themselves
                yield await self._unseen(sorted(files, key=lambda one: not one.leads), seen, whole=whole)
            if some:
                continue
            if unknown is None:
                raise NotKnown(
                    "no library is known to have such a file",
                    path=path,
                    remedy="mediactl adopt catalogues what was put there by hand",
                )
            unknown.append(path)

    async def _unseen(self, files: Sequence[Kept], seen: set[int], *, whole: bool) -> list[list[Kept]]:
        fresh: list[list[Kept]] = []
        for group in await self._reader.run(functools.partial(_sets_of, files=files, whole=whole)):
            if group[0].id in seen:  # what has joined its set meanwhile is for another time
                continue
            fresh.append(group if whole else [one for one in group if one.id not in seen])
            seen.update(one.id for one in group)
        return fresh

    async def _read(self, files: list[Kept]) -> list[Kept]:
        """The same, those read that never were."""
        sizes = {one.size for one in files if one.digest is None}
        if not sizes:
            return files
        stages = self._pipeline.stages
        await witnesses.read_unread(
            stages.database, stages.shelves.open(), sizes, stages.stopping, anyio.CapacityLimiter(1), _nobody
        )
        again = await self._reader.run(
            lambda connection: [kept.by_id(connection, one.id) or one for one in files]
        )
        return list(again)


def _nobody(_bytes: int = 0) -> None:
    """Stands for progress, which nobody looks at."""


def _sets_of(connection: apsw.Connection, files: Sequence[Kept], *, whole: bool = False) -> list[list[Kept]]:
    return [(kept.whole_set if whole else kept.set_of)(connection, one) for one in files]


def _watched(change: Change, files: list[Kept], known: Collection[int]) -> Change:
    """The same, which is done only while its files are as they are now; see `kept.unchanged`."""
    return replace(change, holds=functools.partial(kept.unchanged, files=files, known=known))


def _refile(files: Sequence[Kept], today: Today, _connection: apsw.Connection) -> Change | None:
    return refiling.plan(files, today)
