"""The real daemon is killed (SIGKILL) at every operation on files and journal, and started again.

A scenario goes through stages; in each, everything it does is asked for over the socket. For each operation n
of a stage the world is set up as the stage before left it, the daemon is killed at n, started again, asked
for the same once more, and then everything must be as if nothing had happened.

Every fifth time it is killed in its second life, too; every time with MEDIAD_EXHAUSTIVE=1 in the environment.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest
import tomli_w

from tests import samples
from tests.crash import invariants
from tests.crash.killing import LIMIT, Died, Killable, Nursery
from tests.crash.scene import FOUND, KNOWN, UNKNOWN, inputs, put
from tests.trees import files
from tests.waiting import wait_until

ACTIONS = {"inbox": "move", "far": "move", "card": "copy", "links": "hardlink"}
EXHAUSTIVE = bool(os.environ.get("MEDIAD_EXHAUSTIVE"))
SEED = 7
SEEDS = {"far": 20, "card": 21, "links": 22}
AGAIN = 25  # the operations of the second life that may kill, too

pytestmark = pytest.mark.timeout(900)  # a stage takes a minute, many times that on a machine with much to do

Deed = Callable[["World"], None]
Kept = Counter[tuple[str, bytes, bytes]]


class World:
    """Folders on two filesystems, and the daemon that looks after them.

    Args:
        nursery: where daemons come from. near, far: an empty folder on each filesystem; they may be the same
            one, which then counts as two.
    """

    def __init__(self, nursery: Nursery, near: Path, far: Path) -> None:
        self.root, self._far_root = near / "world", far / "far"
        self.library = self.root / "library"
        self.state = self.root / "state"
        self.watches = {name: (self._far_root if name == "far" else self.root / name) for name in ACTIONS}
        self.dropped: dict[bytes, bytes] = {}
        self.batches: list[int] = []  # what a stage takes back
        same = near.stat().st_dev == far.stat().st_dev
        self.daemon = Killable(
            nursery,
            self.root / "config.toml",
            near / "control",
            near,
            far=[self._far_root] if same else [],
            instant=True,
        )
        for folder in (*self.watches.values(), self.library, self.state):
            folder.mkdir(parents=True)
        self.configure()
        for path, content in FOUND.items():
            put(os.fsencode(self.library), path, content)

    def configure(self, **library: object) -> None:
        """Write the configuration, in which the library has these settings besides."""
        settings = {
            "library": {"photos": {"path": str(self.library), "min_free": "0", **library}},
            "watch": {
                name: {"path": str(path), "action": ACTIONS[name], "settle": "0s", "polling": "on"}
                for name, path in self.watches.items()
            },
            "duplicates": {"similar": "off"},  # what that writes comes at any time
            "daemon": {
                "state_dir": str(self.state),
                "socket": str(self.root.parent / "control"),
                "workers": 1,
            },
        }
        (self.root / "config.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")

    def drop(self, watch: str, contents: Mapping[bytes, bytes]) -> None:
        for path, content in contents.items():
            put(os.fsencode(self.watches[watch]), path, content)
            self.dropped[os.fsencode(watch) + b"/" + path] = content

    def name_of(self, content: bytes) -> bytes:
        """The name under which a content was brought."""
        brought = {**self.dropped, **FOUND, **UNKNOWN}
        return next((name for name, other in brought.items() if other == content), content[:40])

    def filed_as(self, *contents: bytes) -> list[str]:
        """The paths of the library files that have one of these contents."""
        found = files(self.library, without={b".mediad"})
        names = [name for name, content in found.items() if content in contents]
        return [os.fsdecode(os.path.join(os.fsencode(self.library), name)) for name in names]

    def remember(self, *words: str) -> None:
        """Remember the batches of these watches and commands."""
        with contextlib.closing(sqlite3.connect(self.state / "catalogue.db")) as connection:
            rows = connection.execute("SELECT id, watch FROM batch ORDER BY id").fetchall()
        self.batches = [number for number, word in rows if word in words]

    # -- as it was --------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Remember how everything lies; `reset` brings it back."""
        for root in (self.root, self._far_root):
            shutil.rmtree(self._kept(root), ignore_errors=True)
            _copy(root, self._kept(root))

    def reset(self) -> None:
        """Everything lies as it was kept, in the very same folders: another one would be another disk."""
        for folder in (*self.watches.values(), self.library, self.state):
            for entry in folder.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        for root in (self.root, self._far_root):
            _copy(self._kept(root), root)

    @staticmethod
    def _kept(root: Path) -> Path:
        return root.with_name(root.name + ".kept")

    # -- how it is --------------------------------------------------------------------------------------

    @property
    def before(self) -> invariants.Before:
        return invariants.Before(self.dropped, {**FOUND, **UNKNOWN})

    def look(self) -> invariants.Now:
        now = _steady(lambda: invariants.look(self.watches, self.library, self.state / "catalogue.db"))
        for name in BACKUP:
            now.private.pop(name, None)
        return now

    def kept(self) -> Kept:
        """Every content, and the folder where it lies; names in private folders have numbers in them."""
        found: Kept = Counter()
        for name, root in {**self.watches, "library": self.library}.items():
            for path, content in _steady(functools.partial(files, root)).items():
                if not path.endswith((b".reason.txt", b"/library.toml", b"/lock", *BACKUP)):
                    found[name, path.rpartition(b"/")[0], content] += 1
        return found


T = TypeVar("T")

BACKUP = (b"catalogue.db", b"tmp/0.copy")
"""A library's own backup, and what it is while the daemon is just writing it."""


def _steady(look: Callable[[], T]) -> T:
    """What a look shows during which no backup was renamed."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            return look()


def _copy(source: Path, target: Path) -> None:
    """Copy a tree into a folder, hard links as such."""
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", target], check=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """Part of the scenario.

    Attributes:
        name: of its test. prepare: what the user does before the daemon is started.
        deeds: what the daemon is asked for, each of which may be asked for again.
        filing: everything that was ever dropped is still where it was filed.
        after: how many of the others come before it; None: all that are above it.
    """

    name: str
    prepare: Deed
    deeds: Sequence[Deed]
    filing: bool = False
    after: int | None = None


def nothing(world: World) -> None:
    """The user does nothing."""


def rest(world: World) -> None:
    """Everything is looked at and taken in, also what recovery gives back."""
    assert world.daemon.call("Wait", timeout_s=LIMIT)["result"] == "idle"
    wait_until(lambda: world.daemon.call("Status")["libraries"][0]["state"] == "online", what="the library")


def full_inbox(world: World) -> None:
    """Every kind of file that takes a way of its own, and a name that is taken without our knowing."""
    world.drop("inbox", {file.path: file.content for file in inputs()})
    for path, content in UNKNOWN.items():
        put(os.fsencode(world.library), path, content)


def other_watches(world: World) -> None:
    """Sets, duplicates of the library and of each other, collisions and a broken file in all the others."""
    for watch, seed in SEEDS.items():
        world.drop(watch, some(seed))


def some(seed: int) -> dict[bytes, bytes]:
    """What is in a watch beside the inbox; more of it in the one on the other filesystem."""
    taken = datetime.fromisoformat("2021-07-10T20:39:25")
    picture = samples.jpeg(taken, seed=seed, size=(32, 24))
    found = {
        b"%d/b.jpg" % seed: picture,
        b"%d/b.xmp" % seed: samples.xmp_sidecar(rating=seed),
        b"%d/again.jpg" % seed: picture,
    }
    if seed == SEEDS["far"]:
        found[b"known.jpg"] = KNOWN
        found[b"clash.jpg"] = samples.jpeg(taken, seed=seed + 100, size=(32, 24))
        found[b"broken.jpg"] = samples.broken_jpeg(seed)
    return found


def trash(world: World) -> None:
    """A set that was moved, one from the other filesystem, and a file that nobody brought."""
    if paths := world.filed_as(inputs()[0].content, some(SEEDS["far"])[b"20/b.jpg"], KNOWN):
        world.daemon.call("Trash", paths=paths)


def other_layout(world: World) -> None:
    world.configure(layout="{taken:%Y}/{kind}/{name}")


def refile(world: World) -> None:
    """Again and again: of several files that want one name, a call moves the first and refuses the others."""
    while world.daemon.call("Refile", library="photos")["refused"]:
        pass


def undo(world: World) -> None:
    """Take back what the stage is to take back."""
    assert world.batches
    world.daemon.call("Undo", ids=world.batches)


def done(*words: str) -> Deed:
    """What these watches and commands did is to be taken back."""
    return lambda world: world.remember(*words)


STAGES = (
    Stage("moved", full_inbox, (rest,), filing=True),
    Stage("from the others", other_watches, (rest,), filing=True),
    Stage("trashed", nothing, (rest, trash)),
    Stage("trash undone", done("trash"), (rest, undo)),
    Stage("undo undone", done("undo"), (rest, undo)),
    Stage("refiled", other_layout, (rest, refile)),
    Stage("filing undone", done(*SEEDS), (rest, undo, rest), after=2),
)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where daemons come from; it knows what the inputs tell."""
    folder = tmp_path_factory.mktemp("learned")
    loads = [{file.path: file.content for file in inputs()}, FOUND, UNKNOWN, *map(some, SEEDS.values())]
    for number, load in enumerate(loads):
        for path, content in load.items():
            put(os.fsencode(folder / str(number)), path, content)
    with Nursery() as nursery:
        nursery.learn(folder)
        yield nursery


@pytest.fixture
def world(nursery: Nursery, tmp_path: Path) -> Iterator[World]:
    """A world whose library is in memory, where that can be had, and its far watch is not."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    near = Path(tempfile.mkdtemp(prefix="mediad-killed-", dir=memory))
    world = World(nursery, near, tmp_path)
    try:
        yield world
    finally:
        world.daemon.close()
        shutil.rmtree(near)


def live(world: World, deeds: Sequence[Deed], deadly: int = 0) -> bool:
    """A life of the daemon, in which it is asked for all this; False if it was killed."""
    world.daemon.start(deadly)
    try:
        for deed in deeds:
            deed(world)
    except Died:
        assert world.daemon.ended() == -9
        return False
    code = world.daemon.stop()
    assert code in (0, -9)
    return code == 0


def lost(world: World) -> Iterator[str]:
    """What is nowhere, at any moment."""
    there = {content for _, _, content in world.kept()}
    for name, content in {**world.dropped, **FOUND, **UNKNOWN}.items():
        if content not in there:
            yield f"the content of {name!r} is LOST"


def problems_of(world: World, stage: Stage, kept: Kept) -> Iterator[str]:
    """All that is not as if the daemon had never been killed."""
    now = world.look()
    if stage.filing:
        yield from invariants.wrong(world.before, now)
    else:
        yield from invariants.nothing_half_done(now)
        yield from invariants.the_catalogue_is_true(now)
    found = world.kept()
    for place, folder, content in (found - kept) + (kept - found):
        more = found[place, folder, content] - kept[place, folder, content]
        yield f"in {place} {folder!r} lie {more:+} of {world.name_of(content)!r}"


@pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
def test_killed_at_every_operation(world: World, stage: Stage) -> None:
    rng = random.Random(SEED)
    for earlier in STAGES[: STAGES.index(stage) if stage.after is None else stage.after]:
        earlier.prepare(world)
        assert live(world, earlier.deeds)
    stage.prepare(world)
    world.keep()
    world.reset()  # files get other inodes by that
    lay = world.kept()
    assert live(world, stage.deeds)
    operations, kept = world.daemon.board.done, world.kept()
    assert kept != lay
    assert list(problems_of(world, stage, kept)) == []
    wrong: dict[tuple[int, str, int], list[str]] = {}
    kills = number = 0
    survived = False
    while not survived:
        number += 1
        world.reset()
        survived = live(world, stage.deeds, number)
        where = world.daemon.board.kind
        kills += not survived
        problems = list(lost(world))
        again = rng.randint(1, AGAIN) if EXHAUSTIVE or number % 5 == 0 else 0
        if again and not survived:
            kills += not live(world, stage.deeds, again)
            problems += lost(world)
        live(world, stage.deeds)
        problems += problems_of(world, stage, kept)
        if problems:
            wrong[number, where, again] = problems
    done = f"{operations} operations, {number - 1} of them deadly, {kills} kills"
    print(f"{stage.name}: {done}, {len(wrong)} wrong")
    assert number > operations * 0.9, world.daemon.log.read_text("utf-8")[-3000:]
    assert not wrong, "\n".join(f"{where}: {problem}" for where, lines in wrong.items() for problem in lines)
