"""Answers `Queue`: which files wait, what for, and for how long."""

from __future__ import annotations

import functools
import itertools

from mediad.control.protocol import InvalidParameter, path_fields
from mediad.files import Tree
from mediad.ingest.pipeline import Pipeline
from mediad.model import Waiting
from mediad.steering.fields import limited
from mediad.steering.looking import within_limit

_PAGE = 500
_LONGEST_PAGE = 1000


def queue(pipeline: Pipeline, after: int | None, limit: int | None) -> dict[str, object]:
    """A page of the files that settle, wait, are held or in flight.

    Args:
        after: how many files come before the page. limit: how many it has at most.

    Raises:
        InvalidParameter: one of the numbers is none that can be.
    """
    most, start = limited(limit, _PAGE, _LONGEST_PAGE), after or 0
    if not 0 <= start < 1 << 62:
        raise InvalidParameter("after")
    listing = pipeline.tracker.listing(pipeline.clock.monotonic())
    found = list(itertools.islice(listing, start, start + most + 1))
    files = [_queued(pipeline, waiting) for waiting in found[:most]]
    return {"files": files, "next": start + most if len(found) > most else None}


def waits(pipeline: Pipeline, path: bytes) -> str | None:
    """What waits in the queue under this path, in words."""
    for waiting in pipeline.tracker.listing(pipeline.clock.monotonic()):
        if pipeline.absolute(waiting.sighting) == path:
            state, reason = _state_of(pipeline, waiting)
            due = f" for {waiting.due:.0f} s more" if waiting.due else ""
            return f"it is {state.replace('_', ' ')}{due}{f': {reason}' if reason else ''}"
    return None


async def left_out(pipeline: Pipeline, path: bytes) -> str | None:
    """In words, what excludes a folder that a path lies in, so that nobody looks at it; else None."""
    for name in pipeline.config.watches:
        if name not in pipeline.roster:
            continue
        folder = pipeline.roster[name].folder
        root = folder.tree.root.rstrip(b"/") + b"/"
        below = path.removeprefix(root) if path.startswith(root) else b""
        above = below.rpartition(b"/")[0]
        pattern = folder.excluder.reason(above, True) if above else ""
        there: bool = bool(pattern) and await within_limit(
            functools.partial(_is_there, folder.tree, below), False
        )
        if there:
            return f"it is left alone: a folder that it lies in is excluded by {pattern}"
    return None


def _is_there(tree: Tree, path: bytes) -> bool:
    """Not by links: of what lies elsewhere nobody is told."""
    try:
        with tree.dirs() as dirs:
            directory, name = dirs.parent(path)
            tree.files.stat_at(name, directory)
    except OSError:
        return False
    return True


def _queued(pipeline: Pipeline, waiting: Waiting) -> dict[str, object]:
    state, reason = _state_of(pipeline, waiting)
    return {
        **path_fields("path", pipeline.absolute(waiting.sighting)),
        "watch": waiting.sighting.watch,
        "state": state,
        "size": waiting.sighting.stat.size,
        "due_s": waiting.due,
        "why": reason,
    }


def _state_of(pipeline: Pipeline, waiting: Waiting) -> tuple[str, str]:
    """What a file waits for: the state and, in words, why."""
    root = waiting.sighting.root
    if waiting.due is None:
        meter = pipeline.tracker.progress.get((root, waiting.sighting.place))
        return "in_flight", meter.stage if meter else "queued"
    if waiting.held or pipeline.gates.closed(root):
        return "held", waiting.note if waiting.held else pipeline.gates.why_closed(root)
    return ("settling", waiting.note or "it has to rest") if waiting.due else ("waiting", "")
