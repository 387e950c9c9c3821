"""Recovered: what is written of the steps that recovery has ended."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import apsw

from mediad.errors import MediadError, printable
from mediad.ingest.recover import Recovered, Verdict
from mediad.ingest.shelf import Shelf
from mediad.layout import key_of
from mediad.library import OpenLibrary
from mediad.store import catalogue, changes, journal
from mediad.store.journal import OpenStep
from mediad.store.paths import under

log = logging.getLogger("mediad")


def record(connection: apsw.Connection, results: Sequence[Recovered], now: int) -> None:
    """Write down what recovery did with a set."""
    for result in results:
        _record_one(connection, result, now)


def tell(library: OpenLibrary, results: Sequence[Recovered]) -> None:
    """Log what recovery did in a library: all in a line, each file at debug, what is nowhere as a warning."""
    if not results:
        return
    tally = Counter(result.verdict for result in results)
    told = ", ".join(f"{tally[verdict]} {verdict}" for verdict in Verdict if tally[verdict])
    log.info("library %s: recovered %d files after a crash: %s", library.name, len(results), told)
    for result in results:
        step, lost = result.step, result.verdict is Verdict.LOST_SIGHT
        source = under(step.origin_root or step.root, step.path)
        place = step.destination and under(library.tree.root if step.library else step.root, step.destination)
        log.log(
            logging.WARNING if lost else logging.DEBUG,
            "%s (%s, step %d) %s after a crash%s",
            *(printable(source), step.action, step.id, "was nowhere" if lost else result.verdict),
            f": {printable(place)}" if place and not lost else "",
        )


def stays_open(
    shelf: Shelf, steps: Sequence[OpenStep], error: OSError | MediadError, *, waits: bool
) -> dict[int, str]:
    """Log, once, that the steps of a set could not be ended.

    Args:
        waits: for other libraries that may be what these need; it is not worth telling yet.

    Returns:
        what `Shelf.stuck` has of them.
    """
    first = steps[0]
    level = logging.DEBUG if waits or first.id in shelf.told_of else logging.ERROR
    if not waits:
        shelf.told_of.add(first.id)
    log.log(level, "library %s: step %d stays open: %s", shelf.settings.name, first.id, error)
    return {step.id: _why(step, error) for step in steps}


def _why(step: OpenStep, error: OSError | MediadError) -> str:
    if isinstance(error, MediadError):
        return str(error)
    return f"{printable(under(step.origin_root or step.root, step.path))}: {error.strerror}"


def _record_one(connection: apsw.Connection, result: Recovered, now: int) -> None:
    step = result.step
    if step.library is not None and step.destination is not None:
        # an earlier look at the library may have shown what was half done
        catalogue.forget_found(connection, step.library, step.destination)
    if step.shifts:
        if result.verdict is Verdict.FINISHED:
            changes.finish(connection, [(step.id, result.placed, "finished after a crash")], [], now)
        else:
            changes.revert(connection, [step.id], "reverted after a crash", now)
        return
    assert step.library is not None
    if result.verdict is Verdict.FINISHED:
        outcome = {"trash": "duplicate", "quarantine": "quarantined"}.get(step.action, "filed")
        destination = step.destination or b""
        ending = journal.Ending(
            id=step.id,
            item=journal.set_of(connection, step),
            action=step.action,
            outcome=outcome,
            code="recovered",
            reason="finished after a crash",
            source=result.source,
            library=step.library,
            destination=step.destination,
            key=key_of(destination),
            stat=result.placed,
            digest=step.digest,
            role="principal" if step.id == step.item and not journal.joins(connection, step) else "companion",
        )
        journal.finish(connection, [ending], [], now)
        return
    journal.revert(connection, [step.id], "reverted after a crash", now)
    if result.verdict is Verdict.LOST_SIGHT:
        connection.execute(
            "UPDATE arrival SET outcome = 'gone', stays = 0, reason = 'left the watch during a crash'"
            " WHERE id = (SELECT arrival FROM step WHERE id = ?)",
            (step.id,),
        )
