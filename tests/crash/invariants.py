"""What has to hold of folders and catalogue whenever the daemon has finished its work, whatever happened.

Each check yields what is wrong, one line each; nothing yielded is nothing lost, doubled or half there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.trees import files

PRIVATE = b".mediad"
REASON = b".reason.txt"
_REMOVES = ("move", "trash", "quarantine")
_KEPT = "the source could not be removed"  # says the reason, where the system did not let it go
_SINCE = "; it was removed later", "; it is gone since"

_STORY = """
SELECT arrival.watch, arrival.path, coalesce(arrival.outcome, ''), arrival.code, arrival.reason,
 arrival.stays, arrival.digest, step.id, step.item, (
  SELECT action FROM step AS came WHERE came.arrival = arrival.id AND came.state = 'done'
   AND came.action != 'refile' -- beside a principal that came late
  ORDER BY came.id DESC LIMIT 1
 ), step.destination
FROM arrival LEFT JOIN step
 ON step.id = (SELECT max(id) FROM step WHERE step.arrival = arrival.id AND step.state = 'done')
ORDER BY arrival.id"""


@dataclass(frozen=True, slots=True)
class Story:
    """An arrival, and the step that ended it; its path begins with its watch's name."""

    path: bytes
    outcome: str
    code: str
    reason: str
    stays: int
    digest: bytes | None
    step: int | None
    item: int | None
    action: str | None
    destination: bytes | None


@dataclass(frozen=True, slots=True)
class Before:
    """How things stood before the daemon began: contents by path.

    Attributes:
        watch: paths begin with their watch's name.
        doubled: contents that the library may have got twice, since it could not be read when it was asked.
    """

    watch: Mapping[bytes, bytes]
    library: Mapping[bytes, bytes]
    doubled: Collection[bytes] = ()


@dataclass(frozen=True, slots=True)
class Now:
    """How things stand."""

    watch: dict[bytes, bytes]
    library: dict[bytes, bytes]
    private: dict[bytes, bytes]
    stories: list[Story]
    rows: list[tuple[bytes, bytes | None, str]]
    intents: int


def look(watches: Mapping[str, Path | bytes], library: Path | bytes, catalogue: Path) -> Now:
    """Read it all from disk."""
    root = os.fsencode(library)
    with contextlib.closing(sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        stories = [
            Story(os.fsencode(watch) + b"/" + path, *row) for watch, path, *row in connection.execute(_STORY)
        ]
        rows = connection.execute("SELECT path, digest, role FROM file WHERE NOT missing").fetchall()
        (intents,) = connection.execute("SELECT count(*) FROM step WHERE state = 'intent'").fetchone()
    private = {
        path: content
        for path, content in files(os.path.join(root, PRIVATE)).items()
        if path not in (b"library.toml", b"lock", b"catalogue.db")
    }
    shown = {
        os.fsencode(watch) + b"/" + path: content
        for watch, folder in watches.items()
        for path, content in files(folder).items()
    }
    return Now(shown, files(root, without={PRIVATE}), private, stories, rows, intents)


def wrong(before: Before, now: Now) -> Iterator[str]:
    """All that is wrong once everything is done."""
    yield from nothing_half_done(now)
    yield from every_file_has_its_place(before, now)
    yield from nothing_unaccounted(before, now)
    yield from the_catalogue_is_true(now)


def nothing_lost(before: Before, now: Now) -> Iterator[str]:
    """At any moment, even between crash and restart: every content is whole somewhere."""
    there = {*now.watch.values(), *now.library.values(), *now.private.values()}
    for kind, contents in (("watch", before.watch), ("library", before.library)):
        for path, content in contents.items():
            if content not in there:
                yield f"the content of {kind} {path!r} is LOST"
    for path, content in before.library.items():
        if now.library.get(path) != content:
            yield f"the library's own {path!r} was touched"


def nothing_half_done(now: Now) -> Iterator[str]:
    """No open step, no temporary file, no name that a file has only on its way."""
    if now.intents:
        yield f"{now.intents} steps are open"
    yield from (f"{path!r} is left behind" for path in now.private if path.startswith(b"tmp/"))
    yield from (f"{path!r} is left aside" for path in now.watch if b".mediad-" in path)
    for path in now.private:
        partner = path.removesuffix(REASON) if path.endswith(REASON) else path + REASON
        if path.startswith((b"trash/", b"quarantine/")) and partner not in now.private:
            yield f"{path!r} has no {'file' if path.endswith(REASON) else 'reason'}"


def every_file_has_its_place(before: Before, now: Now) -> Iterator[str]:
    """Each file that was there has one outcome, and is where the journal says."""
    stories = defaultdict(list)
    for story in now.stories:
        stories[story.path].append(story)
    for path, content in before.watch.items():
        told = stories[path]
        if len(told) != 1 or told[0].outcome not in ("filed", "duplicate", "quarantined", "ignored"):
            yield f"{path!r} has the outcomes {[(one.outcome, one.code, one.reason) for one in told]}"
            continue
        yield from _is_in_place(told[0], content, now)


def _is_in_place(story: Story, content: bytes, now: Now) -> Iterator[str]:
    path, destination = story.path, story.destination
    if destination is not None:
        inside = destination.removeprefix(PRIVATE + b"/")
        place = now.private if inside != destination else now.library
        if place.get(inside) != content:
            yield f"{path!r} is {story.outcome}, but {destination!r} has not its content"
    removed = story.action in _REMOVES and (_KEPT not in story.reason or story.reason.endswith(_SINCE))
    if removed == (path in now.watch):
        where = "still in the watch" if removed else "no longer in the watch"
        yield f"{path!r} was {story.action or story.outcome} and is {where}"
    if bool(story.stays) != (path in now.watch):
        yield f"{path!r} stays={story.stays}, which is not so"
    if path in now.watch and now.watch[path] != content:
        yield f"{path!r} was changed in the watch"


def nothing_unaccounted(before: Before, now: Now) -> Iterator[str]:
    """What is in the folders is what was there and what the journal tells; nothing is there twice."""
    told = {story.destination for story in now.stories if story.destination is not None}
    for path in now.library.keys() - before.library.keys() - told:
        yield f"the library's {path!r} is in no story"
    for path in now.private:
        if not path.startswith(b"tmp/") and PRIVATE + b"/" + path.removesuffix(REASON) not in told:
            yield f"{path!r} is in no story"
    for path in now.watch.keys() - before.watch.keys():
        yield f"{path!r} has appeared in the watch"
    for content, count in Counter(now.library.values()).items():
        if count > 1 and content not in before.doubled:
            names = [path for path, other in now.library.items() if other == content]
            yield f"the same content lies in the library {count} times: {names!r}"


def the_catalogue_is_true(now: Now) -> Iterator[str]:
    """Its rows of library files are those that are there."""
    for path, count in Counter(path for path, _, _ in now.rows).items():
        if count > 1:
            yield f"{count} rows for the library's {path!r}"
    filed = {story.destination: story.digest for story in now.stories if story.outcome == "filed"}
    rows = {path: digest for path, digest, _ in now.rows}
    for name, digest in filed.items():
        if name is not None and rows.get(name) != digest:
            yield f"filed as {name!r}, of which the catalogue has {rows.get(name)!r}"
    for path, digest in rows.items():
        if path in now.library and digest not in (None, hashlib.sha256(now.library[path]).digest()):
            yield f"the library's {path!r} is not what the catalogue says"
    yield from (f"the catalogue has {path!r}, the library not" for path in rows.keys() - now.library.keys())
