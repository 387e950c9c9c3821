"""`mediactl history`: what was done, step by step."""

from __future__ import annotations

import functools

import anyio.to_thread

from mediad.control.protocol import offset_text, path_fields, time_text
from mediad.steering.fields import limited, local_text
from mediad.store.history import Done, Wanted, done_steps, place_after
from mediad.store.paths import below, under
from mediad.store.reading import Reader

_PAGE = 500
_LONGEST_PAGE = 1000

# What a step did to its file, where the file's own row tells a later story.
_OUTCOMES = {"quarantine": "quarantined", "trash": "duplicate"}
_FILES = ("move", "copy", "hardlink", "adopt")


async def history(
    reader: Reader,
    *,
    since: int | None = None,
    batch: int | None = None,
    doubtful: bool = False,
    after: int | None = None,
    limit: int | None = None,
) -> dict[str, object]:
    """The reply to `History`: one row a file and step, newest last.

    Args:
        since: microseconds since the epoch.
        doubtful: only what was filed by a date of low confidence.
        after: the `next` of the page before.
    """
    wanted, most = Wanted(since, batch, doubtful), limited(limit, _PAGE, _LONGEST_PAGE)
    found: list[Done] = []
    place = await reader.run(functools.partial(place_after, wanted=wanted, step=after or 0))
    while True:
        ask = functools.partial(done_steps, wanted=wanted, place=place, limit=most - len(found))
        rows, on = await reader.run(ask)
        found += rows
        if on is None or len(found) == most:
            break
        place = on
    told = await anyio.to_thread.run_sync(lambda: [_row(step) for step in found])  # too long for the loop
    return {"rows": told, "next": None if on is None else found[-1].id}


def _row(step: Done) -> dict[str, object]:
    told = not step.overtaken
    return {
        "id": step.id,
        "item": step.item,
        "batch": step.batch,
        "time": time_text(step.time),
        "action": step.action,
        "outcome": _outcome(step),
        **path_fields("source", under(step.root, step.source)),
        **path_fields("destination", below(step.library, step.destination)),
        "digest": step.digest.hex() if step.digest and told else None,
        "size": step.size,
        "kind": step.kind,
        "taken": local_text(step.taken) if told else None,
        "offset": offset_text(step.offset_min) if told else None,
        "taken_source": step.taken_source if told else None,
        "confidence": step.confidence if told else None,
        "reason": step.reason if told and not step.moved else "",
        "undone": bool(step.undone),
    }


def _outcome(step: Done) -> str | None:
    """What the step did to its file."""
    if step.moved:
        return "filed" if step.action in _FILES else _OUTCOMES.get(step.action)
    return _OUTCOMES.get(step.action) if step.overtaken else step.outcome
