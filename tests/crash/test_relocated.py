"""The process dies at every operation while library files are undone, trashed, refiled, dated or expire."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mediad.errors import NotKnown
from mediad.keeping.expiry_clock import Look
from mediad.store.database import Database
from tests import samples
from tests.crash.faulty import Crash, Faults, FaultyDatabase, FaultyFiles
from tests.crash.inline import inline
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

pytestmark = pytest.mark.usefixtures("may_block")  # since nothing runs in threads
REASON = b".reason.txt"
SIDECAR = samples.xmp_sidecar(rating=1)
BROKEN = samples.broken_jpeg(1)
CONTENTS = Counter([picture(1), picture(2), SIDECAR, BROKEN, picture(3), picture(1)])

Act = Callable[[House, Steering], Awaitable[object]]


async def undo_all(house: House, steering: Steering) -> None:
    await steering.call("Undo", since="2020-01-01T00:00:00Z")


async def redo(house: House, steering: Steering) -> None:
    """Take the last undo back."""
    rows = (await steering.call("History"))["rows"]
    await steering.call("Undo", ids=[max(row["batch"] for row in rows if row["action"] == "undo")])


async def trash(house: House, steering: Steering) -> None:
    with contextlib.suppress(NotKnown):  # it is empty already
        await steering.call("Trash", paths=[os.fspath(house.root / "photos")])


async def refile(house: House, steering: Steering) -> None:
    house.settings["library"]["photos"]["layout"] = "{taken:%Y}/{taken:%m}/{name}"
    await steering.call("Reload")
    await steering.call("Refile", library="photos")


async def date(house: House, steering: Steering) -> None:
    """Another date for a set, by which it lies in another folder."""
    path = os.fspath(house.root / "photos/2021/a.jpg")
    await steering.call("Date", paths=[path], set="1999-12-31T12:00:00")


async def expire(house: House, steering: Steering) -> None:
    for days in (31, 33):
        seconds = days * 86_400
        look = Look("boot", seconds, steering.pipeline.clock.micros() + seconds * 1_000_000)
        steering.pipeline.expirer._look = lambda look=look: look  # type: ignore[misc]
        await steering.pipeline.expirer.once()


SCENES: dict[str, tuple[list[Act], Act, tuple[int, int, int]]] = {
    "undo": ([], undo_all, (6, 0, 0)),
    "redo": ([undo_all], redo, (0, 4, 1)),
    "trash": ([], trash, (0, 0, 5)),
    "untrash": ([trash], undo_all, (6, 0, 0)),
    "refile": ([], refile, (0, 4, 1)),
    "unrefile": ([refile], undo_all, (6, 0, 0)),
    "date": ([], date, (0, 4, 1)),
    "expire": ([], expire, (0, 4, 0)),
}
"""What is done before, what while the process dies; how many files are in inbox, library and trash then."""

WAYS = ("linked", "renamed", "copied")


@pytest.fixture
def house() -> Iterator[House]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="mediad-relocate-", dir=memory))
    try:
        (root / "house").mkdir()
        found = House(root / "house")
        found.settings["library"]["photos"].update(layout="{taken:%Y}/{name}", undated="{name}")
        found.settings["watch"]["inbox"]["action"] = "move"
        yield found
    finally:
        shutil.rmtree(root)


async def fill(house: House, steering: Steering) -> None:
    """A set, a duplicate, one that cannot be read, and others."""
    for drop in ({"a.jpg": picture(1), "a.xmp": SIDECAR}, {"sub/b.jpg": picture(2), "broken.jpg": BROKEN}):
        for name, content in drop.items():
            house.put(f"inbox/{name}", content)
        assert await steering.rest() == "idle"
    for name, content in {"c.jpg": picture(3), "twice.jpg": picture(1)}.items():
        house.put(f"inbox/{name}", content)
    assert await steering.rest() == "idle"


def everywhere(house: House) -> dict[bytes, bytes]:
    """All files, but for what is only ours."""
    found = {b"inbox/" + path: content for path, content in files(house.root / "inbox").items()}
    found |= {b"photos/" + path: content for path, content in files(house.root / "photos").items()}
    ours = (b"photos/.mediad/library.toml", b"photos/.mediad/lock", b"photos/.mediad/catalogue.db")
    return {path: content for path, content in found.items() if path not in ours}


def wrong(house: House, *, expired: bool) -> list[str]:
    """What does not hold, now that nothing is under way."""
    found: list[str] = []
    there = everywhere(house)
    media = {path: content for path, content in there.items() if not path.endswith(REASON)}
    lost = CONTENTS - Counter(media.values())
    if expired:  # what trash had, and the library still has
        lost -= Counter([picture(1)])
    found += [f"LOST: {len(content)} bytes" for content in lost]
    found += [f"{count} too many" for count in (Counter(media.values()) - CONTENTS).values()]
    for path in there:
        private = path.startswith((b"photos/.mediad/trash/", b"photos/.mediad/quarantine/"))
        if private and not path.endswith(REASON) and path + REASON not in there:
            found.append(f"{path!r} has no reason")
        if path.endswith(REASON) and path.removesuffix(REASON) not in there:
            found.append(f"{path!r} is left over")
        if path.startswith(b"photos/.mediad/tmp/") or b".mediad-" in path:
            found.append(f"{path!r} is left over")
    found += says(house, media)
    return found


def says(house: House, media: dict[bytes, bytes]) -> list[str]:
    """Where the catalogue contradicts the folders."""
    found: list[str] = []
    catalogue = house.root / "state/catalogue.db"
    with contextlib.closing(sqlite3.connect(catalogue)) as connection:

        def ask(sql: str) -> list[Any]:
            return connection.execute(sql).fetchall()

        (open_steps,) = ask("SELECT count(*) FROM step WHERE state = 'intent'")[0]
        rows = {b"photos/" + path for (path,) in ask("SELECT path FROM file WHERE NOT missing")}
        waits = ask("SELECT path FROM arrival WHERE stays AND outcome = 'ignored'")
        tallied = dict(ask("SELECT outcome, sum(files) FROM tally WHERE files GROUP BY outcome"))
        counted = dict(ask("SELECT outcome, count(*) FROM arrival WHERE code <> 'reverted' GROUP BY outcome"))
        holds = ask("SELECT files FROM library")[0][0]
        dates = ask(
            "SELECT file.path, taken FROM file JOIN step ON step.id = file.step"
            " JOIN arrival ON arrival.id = step.arrival WHERE role = 'principal' AND NOT missing"
        )
    found += [f"{open_steps} steps are open"] if open_steps else []
    public = {
        path for path in media if path.startswith(b"photos/") and not path.startswith(b"photos/.mediad/")
    }
    found += [f"the catalogue has {rows ^ public!r} otherwise"] if rows != public else []
    found += [f"the library has {len(rows)} rows and counts {holds}"] if holds != len(rows) else []
    found += [f"{path!r} has the date {day}" for path, day in dates if not path.startswith(day[:4].encode())]
    left = {b"inbox/" + path for (path,) in waits}
    shown = {path for path in media if path.startswith(b"inbox/")}
    found += [f"{left ^ shown!r} is not known to be in the inbox"] if left != shown else []
    found += [f"tally {tallied}, arrivals {counted}"] if tallied != counted else []
    return found


def run(house: House, act: Act | None, faults: Faults, way: str, crash_at: int = 0) -> None:
    """One life, in which something is done."""

    async def live() -> None:
        async with house.life() as steering:
            assert await steering.rest() == "idle"
            faults.crash_at = faults.changes + crash_at if crash_at else 0
            if act is not None:
                await act(house, steering)
            assert await steering.rest() == "idle"

    roots = [os.fsencode(house.root / "inbox")]
    every = [os.fsencode(house.root)]
    dying = house.files = FaultyFiles(
        faults, far=roots if way == "copied" else (), unlinkable=every if way == "renamed" else ()
    )
    house.database = lambda connection: FaultyDatabase(connection, faults)
    try:
        with inline():
            anyio.run(live)
    except BaseExceptionGroup as group:
        if group.split(Crash)[1] is not None:
            raise
    except Crash:
        pass
    finally:
        dying.close_all()
        house.database = Database


def prepare(house: House, before: list[Act], way: str) -> None:
    """Everything as it is before the act."""
    house.settings["library"]["photos"]["layout"] = "{taken:%Y}/{name}"
    shutil.rmtree(house.root)
    for name in ("photos", "inbox", "state"):
        (house.root / name).mkdir(parents=True)
    for act in (fill, *before):
        run(house, act, Faults(), way)


def counts(house: House) -> tuple[int, int, int]:
    """How many files are in inbox, library and trash."""
    there = [path for path in everywhere(house) if not path.endswith(REASON)]
    return (
        sum(path.startswith(b"inbox/") for path in there),
        sum(path.startswith(b"photos/") and b"/.mediad/" not in path for path in there),
        sum(path.startswith(b"photos/.mediad/trash/") for path in there),
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [*((name, "linked") for name in SCENES), *((name, way) for name in ("undo", "redo") for way in WAYS[1:])],
)
def test_killed_at_every_change(house: House, name: str, way: str) -> None:
    before, act, final = SCENES[name]
    number = 0
    while True:
        number += 1
        prepare(house, before, way)
        faults = Faults()
        run(house, act, faults, way, number)
        run(house, None, Faults(), way)
        problems = wrong(house, expired=name == "expire")
        assert problems == [], f"killed before operation {number} ({faults.hit})"
        if not faults.dead:
            break
        if name != "redo" and number % 4 == 0:  # there the batch to take back may be another one now
            run(house, act, Faults(), way)
            assert wrong(house, expired=name == "expire") == [], f"again after {number} ({faults.hit})"
            assert counts(house) == final
    print(f"{name}, {way}: killed {number - 1} times")
    assert counts(house) == final
    assert number > 5


@pytest.mark.parametrize("way", ["linked", "copied"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_an_error_at_every_operation(house: House, error: int, way: str) -> None:
    """Undo all, with one call failing (of some errors, and in copying, every other): it is done then, or
    refused, or ended by the next start.
    """
    changes = {"link", "unlink", "rename", "create", "sync_dir", "sync_file", "mkdir", "write"}
    kinds = changes | {"open_file", "fstat", "read_into", "stat_at"}
    number = 0
    while True:
        number += (1 if error == errno.EIO else 2) * (1 if way == "linked" else 2)
        prepare(house, [], way)
        faults = Faults(error=error, kinds=kinds)

        async def act(
            house: House, steering: Steering, faults: Faults = faults, number: int = number
        ) -> None:
            faults.error_at = faults.counted + number
            await undo_all(house, steering)

        run(house, act, faults, way)
        hit = faults.hit
        run(house, None, Faults(), way)
        assert wrong(house, expired=False) == [], f"operation {number} ({hit}) failed"
        if not hit:
            break
    assert number > 20
