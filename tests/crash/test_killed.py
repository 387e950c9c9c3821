"""The real daemon, killed at random moments over a few hundred files, and started again each time."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import tomli_w

from tests import samples
from tests.crash import invariants
from tests.crash.scene import put
from tests.waiting import wait_until

ACTIONS = {"inbox": "move", "far": "move", "card": "copy"}
FILES = 60  # more of them for each start
KILLS = 15
SEED = 13


@pytest.fixture
def other_filesystem() -> Iterator[Path]:
    """A folder on another filesystem than the rest, where there is one."""
    root = Path(tempfile.mkdtemp(prefix="mediad-far-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    yield root
    shutil.rmtree(root)


def shown(load: int) -> dict[bytes, bytes]:
    """What the watches show: many pictures, of which each load has the names of the one before, some twins,
    some sets, some that are no pictures.
    """
    start = datetime.fromisoformat("2021-03-01T08:00:00") + timedelta(seconds=load)
    found = {
        b"inbox/%d/notes.txt" % load: b"no media %d" % load,
        b"far/%d/broken.jpg" % load: samples.broken_jpeg(load),
    }
    pictures = samples.jpeg_series(FILES, start=start, step=timedelta(hours=1), length=30_000, pictures=2)
    for number, (name, content) in enumerate(pictures):
        watch = os.fsencode(list(ACTIONS)[number % len(ACTIONS)])
        path = b"%b/%d/day%d/%b" % (watch, load, number % 5, os.fsencode(name))
        found[path] = content
        if number % 7 == 0:
            found[path[:-4] + b".xmp"] = samples.xmp_sidecar(rating=1000 * load + number)
        if number % 11 == 0:
            found[b"%b/%d/again/%b" % (watch, load, os.fsencode(name))] = content
    return found


class World:
    """The folders, the configuration, and the daemon on them."""

    def __init__(self, root: Path, far: Path) -> None:
        self.watches = {name: (far if name == "far" else root) / name for name in ACTIONS}
        self.library = root / "library"
        self.state = root / "state"
        self.config = root / "config.toml"
        self.log = root / "log"
        settings = {
            "library": {"photos": {"path": str(self.library), "min_free": "1MB"}},
            "watch": {
                name: {"path": str(self.watches[name]), "action": action, "settle": "0s"}
                for name, action in ACTIONS.items()
            },
            "duplicates": {"similar": "off"},
            "daemon": {"state_dir": str(self.state), "socket": str(root / "control"), "workers": 1},
        }
        self.library.mkdir()
        self.config.write_text(tomli_w.dumps(settings), encoding="utf-8")

    def fill(self, contents: dict[bytes, bytes]) -> None:
        for name, content in contents.items():
            watch, _, path = name.partition(b"/")
            put(os.fsencode(self.watches[watch.decode()]), path, content)

    def start(self) -> subprocess.Popen[bytes]:
        """`mediad run --once`."""
        command = [sys.executable, "-m", "mediad.cli.main", "run", "--once", "--config", str(self.config)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stderr=log, cwd="/")

    def run_once(self) -> int:
        """Run to the end; returns the exit code."""
        return self.start().wait(60)

    def kill_once(self, line: bytes, after: float) -> bool:
        """Kill it so many seconds after it has said a line; False if it had ended before."""
        said = self.log.stat().st_size
        process = self.start()
        try:
            wait_until(lambda: line in self.log.read_bytes()[said:] or process.poll() is not None)
            process.wait(after)
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
            process.wait()
        return False

    def look(self) -> invariants.Now:
        return invariants.look(self.watches, self.library, self.state / "catalogue.db")


def test_killed_at_random_moments(tmp_path: Path, other_filesystem: Path) -> None:
    rng = random.Random(SEED)
    world = World(tmp_path, other_filesystem)
    world.run_once()  # on nothing, so that there are a library and a catalogue
    contents: dict[bytes, bytes] = {}
    kills = load = 0
    while kills < KILLS and load < 3 * KILLS:
        more = shown(load)
        world.fill(more)
        contents |= more
        line, at_most = (b" started with ", 0.1) if load % 5 == 4 else (b"watch card: ", 0.3)
        kills += world.kill_once(line, rng.uniform(0, at_most))
        load += 1
        lost = invariants.nothing_lost(invariants.Before(contents, {}), world.look())
        assert list(lost) == []
    code = world.run_once()
    print(world.log.read_text("utf-8")[-4000:])
    print(f"{kills} kills over {len(contents)} files")
    assert code in (0, 3)  # some are quarantined, in this run or before
    assert list(invariants.wrong(invariants.Before(contents, {}), world.look())) == []
    assert kills > KILLS // 2
