"""`mediactl why`: the whole story of any path."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Sequence

import apsw

from mediad.control.protocol import offset_text, path_fields, path_text, time_text
from mediad.errors import Ambiguous, LibraryOffline, NotKnown
from mediad.keeping.stated import Stated, stated
from mediad.layout import camera
from mediad.shell import word
from mediad.steering.evidence import Evidence
from mediad.steering.fields import local_text
from mediad.steering.looking import Look, how_it_stands, other_names, plain_name, within_limit
from mediad.store import fingerprints, kept
from mediad.store.reading import Reader
from mediad.store.stories import Account, Told, accounts
from mediad.store.whereabouts import BEGINNING, Subject, about_path, named, put_away, roots, same_path

_MOST_NAMED = 20  # paths that one bare name may stand for in an answer

_FOUND = "found in the library when it was looked at"

Follow = Callable[[Sequence[bytes]], Awaitable[None]]
"""Has the catalogue follow library files that somebody renamed to these paths."""


async def why(
    reader: Reader,
    path: bytes,
    look: Look = os.lstat,
    waits: str | None = None,
    follow: Follow | None = None,
) -> dict[str, object]:
    """The reply to `Why`: what is known of an absolute path, or of a bare name where it is unique.

    Args:
        look: asks how a file stands; may block, for ever at worst.
        waits: what waits in the queue under this path, in words.
        follow: called where no more is known of a path than that a file was found there.

    Raises:
        NotKnown: nothing is known, and nothing waits. Ambiguous: a bare name stands for several files.
    """
    subjects = await (_by_path(reader, path, follow) if b"/" in path else _by_name(reader, path))
    if not subjects and waits is None:
        raise NotKnown(
            "nothing is known of it", path=path, remedy="give its absolute path, or a name that is unique"
        )
    found = await reader.run(functools.partial(accounts, subjects=subjects))
    states = await _states(found, look)
    lacking = await reader.run(lambda connection: [_not_compared(connection, one) for one in found])
    late = await reader.run(lambda connection: [_late(connection, one) for one in found])
    return {
        **path_fields("path", path),
        "stories": [
            {**_story(account, state, later), "not_compared": why_not or None}
            for account, state, why_not, later in zip(found, states, lacking, late, strict=True)
        ],
        "waits": waits,
    }


# --- Finding it --------------------------------------------------------------------------------------


async def _by_path(reader: Reader, path: bytes, follow: Follow | None) -> list[Subject]:
    if not path.startswith(b"/"):
        return []
    names = [plain_name(path)]
    found = await reader.run(functools.partial(_about_any, paths=names))
    if not found:
        folders = await reader.run(roots)
        none: list[bytes] = []
        names += await within_limit(lambda: other_names(path, folders), none)
        found = await reader.run(functools.partial(_about_any, paths=names))
    if follow is None or any(one.kind != "found" for one in found):
        return found
    try:
        await follow(names)
    except (OSError, LibraryOffline):  # what is known without a look at the library is told all the same
        return found
    return await reader.run(functools.partial(_about_any, paths=names))


def _about_any(connection: apsw.Connection, paths: Sequence[bytes]) -> list[Subject]:
    found = (subject for path in paths for subject in about_path(connection, path))
    return list(dict.fromkeys(found))


async def _by_name(reader: Reader, name: bytes) -> list[Subject]:
    found = {one.subject: one for one in await reader.run(functools.partial(put_away, name=name))}
    for table, beginning in BEGINNING.items():
        at = beginning
        while len(found) <= _MOST_NAMED:
            more, on = await reader.run(functools.partial(named, table=table, name=name, at=at))
            found |= {one.subject: one for one in more}
            if on is None:
                break
            at = on
    if len({one.path for one in found.values()}) > 1:
        raise Ambiguous([one.path for one in found.values()][:_MOST_NAMED])
    return await reader.run(functools.partial(_about_each, subjects=list(found)))


def _about_each(connection: apsw.Connection, subjects: Sequence[Subject]) -> list[Subject]:
    return list(dict.fromkeys(one for subject in subjects for one in same_path(connection, subject)))


# --- Telling it --------------------------------------------------------------------------------------


def _not_compared(connection: apsw.Connection, account: Account) -> str:
    """Why a library file is not compared with others, "" where it is, or will be."""
    place = account.place
    if place.role == "companion":  # nobody expects it of a sidecar
        is_media = account.seen is not None and account.seen.kind != "sidecar"
        return f"its set is, by {_lead(account) or 'its principal'}" if is_media else ""
    return "" if place.path is None else fingerprints.why_not(connection, place.digest, place.path)


def _late(connection: apsw.Connection, account: Account) -> list[Stated]:
    """The dates in members of its set that came after the principal was dated."""
    file = account.place.file
    one = None if file is None else kept.by_id(connection, file)
    if one is None or one.bond.item is None:
        return []
    files = kept.whole_set(connection, one)
    if not files[0].leads:
        return []
    return stated(files)[len(stated(files[:1])) :]


def _lead(account: Account) -> str | None:
    """The name of its principal, None for a principal."""
    path = account.dated.path
    return None if path is None else path_text(path.rpartition(b"/")[2])


async def _states(found: Sequence[Account], look: Look) -> list[str]:
    """How each file stands. Those that a hung filesystem keeps to itself are unknown."""
    states = ["unknown"] * len(found)

    def look_at_all() -> None:
        for number, account in enumerate(found):
            place = account.place
            if place.path is not None:
                states[number] = how_it_stands(look, place.path, place.size, place.mtime_ns)

    await within_limit(look_at_all, None)
    return states[:]


def _story(account: Account, state: str, late: Sequence[Stated]) -> dict[str, object]:
    seen, dated = account.seen, account.dated
    own = Evidence.read(seen.evidence if seen else None)
    lead = Evidence.read(dated.evidence)
    place, finding = account.place, account.finding
    command = f"mediactl date {word(place.path or b'')} --use"
    return {
        **path_fields("source", account.source),
        "origin": account.origin,
        "label": account.label or None,
        "seen": time_text(seen.seen) if seen else None,
        "size": place.size,
        "digest": place.digest.hex() if place.digest else None,
        "outcome": seen.outcome if seen else None,
        "code": seen.code if seen else "found",
        "reason": seen.reason if seen else _FOUND,
        "settled": own.text("settled"),
        "kind": seen.kind if seen else None,
        "format": own.text("format"),
        "media_origin": own.text("origin"),
        "camera": camera(own.text("make"), own.text("model")),
        "taken": local_text(dated.taken),
        "offset": offset_text(dated.offset_min),
        "taken_source": dated.source,
        "taken_tag": lead.text("tag") if dated.source else "",
        "confidence": dated.confidence,
        "date_note": (lead.text("date_note") or None) if dated.source else None,
        "candidates": lead.candidates(dated.source, late, command, _lead(account)),
        "doubts": own.texts("doubts"),
        "motion": own.text("motion") or None,
        "rule": own.text("why"),
        "steps": [_step(step) for step in account.steps],
        **path_fields("place", place.path),
        "place_state": state,
        "finding": finding.state if finding else None,
        "finding_time": time_text(finding.found) if finding else None,
        "companions": [path_text(path) for path in account.companions],
    }


def _step(step: Told) -> dict[str, object]:
    return {
        "id": step.id,
        "item": step.item,
        "batch": step.batch,
        "time": time_text(step.time),
        "action": step.action,
        "state": step.state,
        **path_fields("destination", step.destination),
        "note": step.note,
        **path_fields("witness", step.witness),
    }
