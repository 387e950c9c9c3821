"""A rebuild that is killed at its steps, and run again; with MEDIAD_EXHAUSTIVE at every one of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import apsw
import pytest

from mediad.errors import CatalogueBroken
from mediad.store.backup import open_at_start
from tests.rebuilding import Lost
from tests.system.once import picture

# sdnotify drops its socket where nobody wants to be told
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

EXHAUSTIVE = bool(os.environ.get("MEDIAD_EXHAUSTIVE"))  # else at every eighth step
KILLED = 137
CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.truncate", "open"})


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A damaged catalogue, a backup of it that is older than what the libraries carry, and unknown files."""
    root = tmp_path_factory.mktemp("scene") / "house"
    lost = Lost(root, "photos", "other")
    lost.fill()
    assert lost.once() == 0
    (old,) = lost.backups()
    old.rename(root / "old")
    lost.fill(first=1000)
    assert lost.once() == 0
    (newer,) = lost.backups()
    (root / "old").replace(newer)
    for number in range(3):
        (root / "photos" / f"found{number}.jpg").write_bytes(picture(700 + number))
    lost.catalogue.write_bytes(b"no catalogue" * 1000)
    return root


def rebuilt(lost: Lost, kill_at: int = 0) -> int:
    """Rebuild in a process of its own; returns its exit code, or with `kill_at` 0 how many steps it took.

    A step is whatever changes something on disk; the process is gone before step `kill_at`.
    """
    ours, its = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        os._exit(_rebuild(lost, kill_at, its))
    os.close(its)
    with os.fdopen(ours) as said:
        steps = said.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if kill_at:
        return code
    assert code == 0
    return int(steps)


def _rebuild(lost: Lost, kill_at: int, its: int) -> int:
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os._exit(KILLED)
        return False

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        writes = event != "open" or (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT)
        if event in CHANGES and writes:
            step()

    sys.addaudithook(audit)
    apsw.connection_hooks.append(lambda connection: connection.set_commit_hook(step))
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        code = lost.rebuild()
    os.write(its, str(steps).encode())
    return code


def test_killed_and_run_again(scene: Path, tmp_path: Path) -> None:
    whole = lay_out(scene, tmp_path)
    damaged = whole.catalogue.read_bytes()
    steps = rebuilt(whole)
    history, digests = _told(whole), whole.digests()
    assert len([row for row in history if row[1] == "adopt"]) == 3
    kills = reached = 0
    for number in range(1, steps + 1, 1 if EXHAUSTIVE else 8):
        lost = lay_out(scene, tmp_path)
        kills += 1
        reached += rebuilt(lost, number) == KILLED
        _old_or_new(lost, damaged)
        rebuilt(lost)
        assert lost.digests() == digests, number
        assert _told(lost) == history, number
        assert lost.is_whole(), number
        lost.totals()
        left = {path.name for path in lost.catalogue.parent.rglob("*.new*")}
        assert left == set(), number
        (aside,) = lost.catalogue.parent.glob("catalogue.db.before-*Z")
        assert aside.read_bytes() == damaged
    assert reached == kills
    print(f"{kills} kills at {steps} steps")


def lay_out(scene: Path, tmp_path: Path) -> Lost:
    """The scene, anew, always in one place."""
    root = tmp_path / "house"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(scene, root)
    return Lost(root, "photos", "other")


def _told(lost: Lost) -> list[tuple[object, ...]]:
    """What history tells, but for the moments at which the rebuild itself did something."""
    return sorted((row[0] * (row[1] != "adopt"), *row[1:9]) for row in lost.history())


def _old_or_new(lost: Lost, damaged: bytes) -> None:
    """The old catalogue is there, or the new one, or none and the daemon does not start."""
    if lost.catalogue.exists() and lost.catalogue.read_bytes() == damaged:
        return
    if lost.catalogue.exists():
        open_at_start(lost.catalogue).close()
        assert len(lost.digests()) > 30
    else:
        with pytest.raises(CatalogueBroken, match="mediad rebuild"):
            open_at_start(lost.catalogue)
