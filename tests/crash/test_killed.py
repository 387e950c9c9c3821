"""The real daemon, killed at random moments over a few hundred files, and started again each time."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import samples
from tests.crash import invariants
from tests.crash.scene import put
from tests.system.daemon import Daemon

FILES = 160
KILLS = 15
SEED = 11
WATCHES = {"inbox": "move", "far": "move", "card": "copy"}


@pytest.fixture
def other_filesystem() -> Iterator[Path]:
    """A folder on another filesystem than the other folders, where there is one."""
    root = Path(tempfile.mkdtemp(prefix="mediad-far-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    yield root
    shutil.rmtree(root)


def contents() -> dict[str, dict[bytes, bytes]]:
    """What each watch shows: many names, some twins, some sets, some that are no media."""
    start = datetime.fromisoformat("2021-03-01T08:00:00")
    pictures = dict(samples.jpeg_series(FILES, start=start, step=timedelta(hours=1), length=70_000, pictures=4))
    shown: dict[str, dict[bytes, bytes]] = {name: {} for name in WATCHES}
    for number, (name, content) in enumerate(pictures.items()):
        folder = shown[("inbox", "far", "card")[number % 3]]
        path = b"day%d/%b" % (number % 5, name.encode())
        folder[path] = content
        if number % 7 == 0:
            folder[path[:-4] + b".xmp"] = samples.xmp_sidecar(rating=number)
        if number % 11 == 0:
            folder[b"again/" + name.encode()] = content
    shown["inbox"][b"notes.txt"] = b"no media"
    shown["far"][b"broken.jpg"] = samples.broken_jpeg()
    return shown


def test_killed_at_random_moments(tmp_path: Path, other_filesystem: Path) -> None:
    shown = contents()
    watches = {
        name: {"action": action, "settle": "0s", "path": str(other_filesystem / name if name == "far" else tmp_path / name)}
        for name, action in WATCHES.items()
    }
    rng = random.Random(SEED)
    with Daemon(tmp_path, watches=watches, more={"daemon": {"workers": 1}}, start=False) as daemon:
        for name, files in shown.items():
            for path, content in files.items():
                put(os.fsencode(daemon.folders[name]), path, content)
        kills = 0
        while kills < KILLS and killed_while_running(daemon, rng.uniform(0.3, 1.1)):
            kills += 1
            for name in shown:
                assert [*invariants.nothing_lost(before(shown[name]), look(daemon, name))] == []
        assert daemon.run_once().code in (0, 3)
        print(f"{kills} kills over {sum(map(len, shown.values()))} files")
        assert kills > 3
        for name in shown:
            assert problems(daemon, shown, name) == []


def killed_while_running(daemon: Daemon, after: float) -> bool:
    """Start `run --once` and kill it after so many seconds; False if it had ended by itself."""
    process = daemon.spawn("run", "--once")
    killer = threading.Timer(after, process.kill)
    killer.start()
    process.communicate()
    killer.cancel()
    return process.returncode == -signal.SIGKILL


def before(files: dict[bytes, bytes]) -> invariants.Before:
    return invariants.Before(files, {})


def look(daemon: Daemon, watch: str) -> invariants.Now:
    return invariants.look(watch, daemon.folders[watch], daemon.library, daemon.state / "catalogue.db")
