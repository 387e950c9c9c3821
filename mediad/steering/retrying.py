"""`Retry` and `Dismiss`: files that failed or are quarantined are taken again, or reported no more.

What was undone, or has content that was moved to trash, is taken again, too, if it is named; so is a
duplicate that stayed where it was, if it is named itself. What lies where nobody looks by himself, as on a
card, is taken by the next import.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import anyio.lowlevel
import anyio.to_thread

from mediad.control.protocol import path_fields
from mediad.errors import NotKnown
from mediad.files import Tree, stat_of
from mediad.ingest.pipeline import Pipeline
from mediad.library import QUARANTINE
from mediad.model import Kept, Sighting
from mediad.store.left import RETRIED, allow, left_at, left_below, scopes
from mediad.store.reading import Reader
from mediad.store.troubles import Troubled, dismiss, named_among, troubles

_CHUNK = 512  # files that are handed over in one step of the event loop
_PAGE = 2000  # files in trouble that are asked for at a time
_REASONS = {
    **dict.fromkeys(("undone", RETRIED), "by the next mediactl import of it"),
    **dict.fromkeys(
        ("trashed", "deleted"),
        'its content was moved to trash: mediactl undo takes that back, or duplicates.deleted = "file" lets '
        "imports bring it",
    ),
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What comes of one file: a sighting to take, or why it cannot be.

    Attributes:
        imports: the next import takes it, and `reason` says so.
    """

    trouble: Troubled
    sighting: Sighting | None
    reason: str
    imports: bool = False


async def retried(
    pipeline: Pipeline, reader: Reader, paths: Collection[bytes], *, unparsed: bool, dry_run: bool
) -> list[dict[str, object]]:
    """Have files taken again; the reply's `files`.

    Args:
        paths: absolute, of where files were seen or are now; none for all.
        unparsed: they are filed by name, unopened.
        dry_run: only say what would be tried.

    Raises:
        NotKnown: none of the paths is of such a file.
    """
    found = await _all_troubles(reader)
    if paths:
        found = [*_with_their_sets(found, named_among(found, paths)), *await _left(reader, paths)]
        if not found:
            raise NotKnown("nothing is known there that could be tried again", path=next(iter(paths)))
    verdicts = [*_elsewhere(pipeline, found)]
    for library, group in _by_library(pipeline, found).items():
        verdicts += await anyio.to_thread.run_sync(_in_quarantine, pipeline, library, group)
    for watch, group in _by_watch(pipeline, found).items():
        verdicts += await anyio.to_thread.run_sync(_in_watch, pipeline, watch, group)
    taken = [replace(v.sighting, again=True, unparsed=unparsed) for v in verdicts if v.sighting is not None]
    if not dry_run:
        allowed = [v.trouble.id for v in verdicts if v.imports]
        if allowed:
            await pipeline.database.run(functools.partial(allow, ids=allowed))
        refused = set(await _take(pipeline, taken))
        verdicts = [
            replace(v, sighting=None, reason="what it would be taken from is being closed; try again")
            if v.sighting is not None and (v.sighting.root, v.sighting.place) in refused
            else v
            for v in verdicts
        ]
        for watch in _by_watch(pipeline, found):
            await pipeline.intake.miss(watch)
    return [
        {
            **path_fields("path", verdict.trouble.place or verdict.trouble.path),
            "retried": verdict.sighting is not None or verdict.imports,
            "reason": verdict.reason,
        }
        for verdict in verdicts
    ]


async def _take(pipeline: Pipeline, sightings: Sequence[Sighting]) -> list[tuple[str, bytes]]:
    """Hand them over, so many at a time that others have their turns; returns the names of those refused."""
    refused: list[Sighting] = []
    for start in range(0, len(sightings), _CHUNK):
        refused += pipeline.take_again(sightings[start : start + _CHUNK])
        await anyio.lowlevel.checkpoint()
    return [(one.root, one.place) for one in refused]


async def dismissed(pipeline: Pipeline, reader: Reader, paths: Collection[bytes]) -> int:
    """Report these files no more; returns how many were reported until now."""
    ids = [trouble.id for trouble in named_among(await _all_troubles(reader), paths)]
    count = await pipeline.database.run(functools.partial(dismiss, ids=ids))
    await pipeline.recorder.load()
    return count


async def _all_troubles(reader: Reader) -> list[Troubled]:
    """All that failed or is quarantined and was not dismissed, page by page."""
    found: list[Troubled] = []
    while True:
        after = found[-1].id if found else 0
        page = await reader.run(functools.partial(troubles, after=after, limit=_PAGE))
        found += page
        if len(page) < _PAGE:
            return found


async def _left(reader: Reader, paths: Collection[bytes]) -> list[Troubled]:
    """What lies under these names and is not taken by itself; a set whole."""
    found: dict[int, Troubled] = {}
    for path in paths:
        for scope in await reader.run(functools.partial(scopes, path=path)):
            if scope.path:
                told = await reader.run(functools.partial(left_at, scope=scope))
                found |= {one.id: one for one in told}
            after: bytes | None = b""
            while after is not None:
                ask = functools.partial(left_below, scope=scope, after=after)
                told, after = await reader.run(ask)
                found |= {one.id: one for one in told}
    return list(found.values())


def _with_their_sets(every: Iterable[Troubled], chosen: list[Troubled]) -> list[Troubled]:
    """The chosen files, and what is in quarantine with them: a set goes the same way whole."""
    items = {trouble.item for trouble in chosen if trouble.kept is not None}
    known = {trouble.id for trouble in chosen}
    return [*chosen, *(one for one in every if one.kept and one.item in items and one.id not in known)]


def _elsewhere(pipeline: Pipeline, found: Iterable[Troubled]) -> Iterable[_Verdict]:
    """Files that nobody can take now."""
    rows = {shelf.id for shelf in pipeline.shelves if shelf.readable}
    for trouble in found:
        if trouble.kept is not None and trouble.library not in rows:
            yield _Verdict(trouble, None, "its library is away")
        elif trouble.kept is None and not _is_served(pipeline, trouble.watch):
            yield _unserved(trouble)


def _unserved(trouble: Troubled) -> _Verdict:
    """Where it lies nobody looks, or only an import does."""
    if trouble.kind != "import":
        return _Verdict(trouble, None, "it came from what is no watch now")
    why = _REASONS.get(trouble.code, "name it to mediactl import")
    return _Verdict(trouble, None, why, imports=trouble.code in ("undone", RETRIED))


def _is_served(pipeline: Pipeline, watch: str) -> bool:
    served = pipeline.serving.watches.get(watch)
    return served is not None and not served.retiring


def _by_library(pipeline: Pipeline, found: Iterable[Troubled]) -> dict[str, list[Troubled]]:
    names = {shelf.id: shelf.settings.name for shelf in pipeline.shelves if shelf.readable}
    groups: dict[str, list[Troubled]] = defaultdict(list)
    for trouble in found:
        if trouble.kept is not None and trouble.library in names:
            groups[names[trouble.library]].append(trouble)
    return groups


def _by_watch(pipeline: Pipeline, found: Iterable[Troubled]) -> dict[str, list[Troubled]]:
    groups: dict[str, list[Troubled]] = defaultdict(list)
    for trouble in found:
        if trouble.kept is None and _is_served(pipeline, trouble.watch):
            groups[trouble.watch].append(trouble)
    return groups


def _in_quarantine(pipeline: Pipeline, library: str, troubles: Iterable[Troubled]) -> list[_Verdict]:
    """Look at what lies in a library's quarantine. Blocks."""
    shelf = pipeline.shelves.find(library)
    assert shelf is not None
    if shelf.library is None:
        return [_Verdict(trouble, None, "its library is away") for trouble in troubles]
    return [_kept(shelf.library.tree, library, trouble) for trouble in troubles]


def _kept(tree: Tree, library: str, trouble: Troubled) -> _Verdict:
    assert trouble.kept is not None
    assert trouble.step is not None
    name = trouble.kept.removeprefix(QUARANTINE + b"/")
    try:
        with tree.dirs() as dirs:
            stat = stat_of(tree.files.stat_at(name, dirs.fd(QUARANTINE)))
    except OSError as error:
        return _Verdict(trouble, None, f"cannot be found in quarantine: {error.strerror}")
    kept = Kept(library, name, trouble.item, trouble.step)
    rest = 1e9  # nobody writes there
    sighting = Sighting(trouble.watch, trouble.path, stat, rest, kept=kept, was=trouble.outcome)
    return _Verdict(trouble, sighting, "is taken out of quarantine")


def _in_watch(pipeline: Pipeline, watch: str, troubles: Iterable[Troubled]) -> list[_Verdict]:
    """Look at what stayed in a watch. Blocks."""
    wanted = {trouble.path: trouble for trouble in troubles}
    try:
        seen, _ = pipeline.roster[watch].folder.look(wanted)
    except OSError as error:
        return [
            _Verdict(trouble, None, f"cannot be looked at: {error.strerror}") for trouble in wanted.values()
        ]
    found = {one.path: replace(one, was=wanted[one.path].outcome) for one in seen}
    return [
        _Verdict(trouble, found.get(path), "is taken again" if path in found else "is no longer there")
        for path, trouble in wanted.items()
    ]
