"""What has to hold whenever the daemon has come to rest. Each check yields what is wrong, one line each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.soak.user import User
from tests.soak.world import LIBRARIES, WATCHES, World
from tests.trees import files

PRIVATE = b".mediad"
REASON = b".reason.txt"
MOST_MEMORY = 160 << 20  # bytes that the daemon holds; it begins with 50 MiB
MOST_OPEN = 80  # descriptors

_ROWS = """
SELECT library.name, file.path, file.digest FROM file JOIN library ON library.id = library
WHERE NOT missing"""
_OUTCOMES = """
SELECT outcome, count(*) FROM arrival
WHERE outcome IS NOT NULL AND (outcome, code) IS NOT ('failed', 'reverted') AND watch NOT LIKE 'library:%'
GROUP BY outcome"""

_STAYING = (
    "SELECT watch, path, coalesce(outcome, ''), size FROM arrival WHERE stays ORDER BY id"  # a row a state
)


class Rest:
    """Everything as it lies, read once.

    Attributes:
        watches, libraries: regular files by the name of their watch or library. private: those in `.mediad`.
    """

    def __init__(self, world: World, user: User) -> None:
        self.world = world
        self.user = user
        self.watches = {name: files(world.places[name].path) for name in WATCHES}
        self.libraries = {name: files(world.places[name].path, without={PRIVATE}) for name in LIBRARIES}
        self.private = {name: files(world.places[name].path / ".mediad") for name in LIBRARIES}
        self.status = world.daemon.call("Status")
        with world.daemon.connect() as client:
            self.told = [row["id"] for page in client.pages("History") for row in page["rows"]]
        catalogue = world.state / "catalogue.db"
        with contextlib.closing(sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True)) as connection:
            self._read(connection)

    def _read(self, connection: sqlite3.Connection) -> None:
        self.sound = connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        self.orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        self.rows: list[tuple[str, bytes, bytes | None]] = connection.execute(_ROWS).fetchall()
        self.outcomes: dict[str, int] = dict(connection.execute(_OUTCOMES).fetchall())
        self.intents: int = connection.execute("SELECT count(*) FROM step WHERE state = 'intent'").fetchone()[
            0
        ]
        done = connection.execute("SELECT id FROM step WHERE state = 'done' ORDER BY id").fetchall()
        self.done: list[int] = [row[0] for row in done]
        self.staying: dict[tuple[str, bytes], list[tuple[str, int]]] = {}
        for watch, path, outcome, size in connection.execute(_STAYING):
            self.staying.setdefault((watch, path), []).append((outcome, size))


def wrong(rest: Rest) -> Iterator[str]:
    """All that is wrong."""
    yield from nothing_is_lost(rest)
    yield from nothing_is_elsewhere(rest)
    yield from nothing_is_twice(rest)
    yield from nothing_is_half_done(rest)
    yield from the_catalogue_is_true(rest)
    yield from the_numbers_add_up(rest)
    yield from it_stays_small(rest)


def nothing_is_lost(rest: Rest) -> Iterator[str]:
    """What nobody took away is somewhere where its owner finds it."""
    there = {
        content
        for places in (rest.watches, rest.libraries, rest.private)
        for place in places.values()
        for content in place.values()
    }
    there.update(rest.user.links.values())
    there.update(files(rest.world.cards).values())
    yield from (
        f"the content of {path!r} is LOST" for content, path in rest.user.known.kept() if content not in there
    )


def nothing_is_elsewhere(rest: Rest) -> Iterator[str]:
    """What links point to was neither changed nor added to."""
    for path, content in rest.user.links.items():
        if path.endswith(b"/"):
            for name in files(path):
                if os.path.join(path, name) not in rest.user.links:
                    yield f"{name!r} was put through a link into {path!r}"
        elif not os.path.exists(path):
            yield f"{path!r} was removed through a link"
        elif Path(os.fsdecode(path)).read_bytes() not in (content, *rest.user.known.all):  # by a hard link
            yield f"{path!r} was changed through a link"


def nothing_is_twice(rest: Rest) -> Iterator[str]:
    """No picture lies in a library twice that nobody had touched there."""
    excused = rest.user.doubled | rest.user.known.companions | {b""}
    for name, found in rest.libraries.items():
        for content, count in Counter(found.values()).items():
            if count > 1 and content not in excused:
                yield f"library {name} has {[path for path, other in found.items() if other == content]}"


def nothing_is_half_done(rest: Rest) -> Iterator[str]:
    """No open step, no temporary name, no private file without its reason."""
    if rest.intents:
        yield f"{rest.intents} steps are open"
    for watch, found in rest.watches.items():
        yield from (f"{watch}/{path!r} is left aside" for path in found if b".mediad-" in path)
    for library, found in rest.private.items():
        for path in found:
            if path.startswith(b"tmp/") and path != b"tmp/0.copy":  # the daily backup, just being written
                yield f"{library}: {path!r} is left behind"
            elif path.startswith((b"trash/", b"quarantine/")):
                partner = path.removesuffix(REASON) if path.endswith(REASON) else path + REASON
                if partner not in found:
                    yield f"{library}: {path!r} has no partner"


def the_catalogue_is_true(rest: Rest) -> Iterator[str]:
    """Library files that nobody touched are those of the catalogue."""
    if not rest.sound or rest.orphans:
        yield f"the catalogue is damaged: {rest.orphans}"
    known: Counter[tuple[str, bytes]] = Counter()
    gone = {hashlib.sha256(content).digest() for content in rest.user.known.gone}  # edited by another link
    for name, path, digest in rest.rows:
        known[name, path] += 1
        if os.path.join(rest.world.places[name].root, path) in rest.user.touched:
            continue
        content = rest.libraries[name].get(path)
        if content is None:
            yield f"the catalogue has {name}/{path!r}, which is not there"
        elif digest not in {None, hashlib.sha256(content).digest()} | gone:
            yield f"the catalogue has another content of {name}/{path!r}"
    yield from (f"{count} rows of {path!r}" for path, count in known.items() if count > 1)
    for name, found in rest.libraries.items():
        for path in found:
            if (name, path) not in known and os.path.join(
                rest.world.places[name].root, path
            ) not in rest.user.touched:
                yield f"{name}/{path!r} is not in the catalogue"


def the_numbers_add_up(rest: Rest) -> Iterator[str]:
    """Every file in a watch has one outcome, and the totals are those of the catalogue."""
    told = {word: count for word, count in rest.status["totals"].items() if word != "bytes_filed" and count}
    if told != rest.outcomes:
        yield f"the totals are {told}, the catalogue says {rest.outcomes}"
    if rest.told != rest.done:
        yield f"history has {len(rest.told)} rows, the journal {len(rest.done)} steps"
    if any(count for word, count in rest.status["queue"].items() if word != "to_analyse"):
        yield f"at rest the queue is {rest.status['queue']}"
    for name, found in rest.watches.items():
        for path, content in found.items():
            stories = rest.staying.get((name, path), [])
            if not stories or not all(outcome for outcome, _ in stories) or stories[-1][1] != len(content):
                yield f"{name}/{path!r} stays, of {len(content)} bytes, and has the stories {stories}"


def it_stays_small(rest: Rest) -> Iterator[str]:
    """The daemon holds neither more memory nor more open files than it needs."""
    memory, descriptors = size(rest.world.daemon.pid)
    if memory > MOST_MEMORY:
        yield f"the daemon has {memory >> 20} MiB"
    if descriptors > MOST_OPEN:
        yield f"the daemon has {descriptors} files open"


def size(pid: int) -> tuple[int, int]:
    """Bytes in memory, and open descriptors."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))


def _readable(root: bytes) -> Iterator[bytes]:
    """The contents of all files below; what vanishes meanwhile is passed over."""
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                yield Path(os.fsdecode(os.path.join(folder, name))).read_bytes()


def unkept(world: World, card: Path) -> list[bytes]:
    """The files of a card whose content no library has."""
    kept = {content for name in LIBRARIES for content in _readable(world.places[name].root)}
    return [path for path, content in files(card).items() if content not in kept]
