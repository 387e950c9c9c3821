"""No file is taken before its writer is done with it, and what changes on the way is dealt with."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon

MOVE = {"action": "move"}
SMALL = samples.jpeg(datetime(2021, 7, 10, 20, 39, 25), seed=1)  # noqa: DTZ001 - local, as cameras keep it
OTHER = samples.jpeg(datetime(2022, 7, 10, 20, 39, 25), seed=2)  # noqa: DTZ001
NEXT = samples.jpeg(seed=9)
REWRITTEN = SMALL[:-10] + b"0123456789"


def test_a_file_that_is_held_open_is_never_taken(tmp_path: Path) -> None:
    """Its writer pauses for longer than the settle time, several times."""
    third = len(SMALL) // 3
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        with open(daemon.inbox / "IMG.jpg", "wb") as writer:
            for start in (0, third, 2 * third):
                since = len(daemon.lines)
                writer.write(SMALL[start : start + third])
                writer.flush()
                daemon.wait_for_line("IMG.jpg settles again: somebody had it open for writing", since=since)
                assert daemon.filed() == {}
            daemon.put("beside.jpg", OTHER)
            daemon.wait_for("beside.jpg", "filed")
            writer.write(SMALL[3 * third :])
        daemon.wait_for("IMG.jpg", "filed")
        assert sorted(daemon.filed().values()) == sorted([SMALL, OTHER])


def test_a_file_whose_writer_opens_it_again_for_each_part(tmp_path: Path) -> None:
    """Nobody holds it between two parts: only its missing end tells that more will come."""
    half = len(SMALL) // 2
    with Daemon(tmp_path, watch={**MOVE, "settle": "1s"}) as daemon:
        daemon.start_watching()
        daemon.put("IMG.jpg", SMALL[:half])
        daemon.wait_for_line("IMG.jpg settles again: its end was missing")
        with open(daemon.inbox / "IMG.jpg", "ab") as writer:
            writer.write(SMALL[half:])
        daemon.wait_for("IMG.jpg", "filed")
        assert list(daemon.filed().values()) == [SMALL]


def replace(path: Path) -> None:
    fresh = path.with_name(".fresh.tmp")
    fresh.write_bytes(OTHER)
    os.rename(fresh, path)


def rename(path: Path) -> None:
    os.rename(path, path.with_name("renamed.jpg"))


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def grow(path: Path) -> None:
    with open(path, "ab") as writer:
        writer.write(b"more")


def rewrite(path: Path) -> None:
    """The same size and time of modification."""
    times = os.stat(path)
    with open(path, "r+b") as writer:
        writer.seek(-10, os.SEEK_END)
        writer.write(REWRITTEN[-10:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def link_outside(path: Path) -> None:
    secret = path.parent.parent / "secret"
    secret.write_bytes(OTHER)
    path.unlink()
    path.symlink_to(secret)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner.jpg").write_bytes(OTHER)


def become_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


Change = Callable[[Path], None]

# With each change: what becomes of the path, what has to be filed, and what must not be.
CHANGES: list[tuple[Change, set[str], list[bytes], list[bytes]]] = [
    (Path.unlink, {"gone", "filed"}, [], []),  # filed where it had been read whole
    (rename, {"gone", "filed"}, [SMALL], []),
    (truncate, {"ignored"}, [], [SMALL, b""]),
    (replace, {"filed"}, [OTHER], []),
    (grow, {"filed"}, [SMALL + b"more"], [SMALL]),
    (rewrite, {"filed"}, [REWRITTEN], [SMALL]),
    (link_outside, {"ignored"}, [], [OTHER]),
    (become_folder, {"gone", "filed"}, [OTHER], []),
    (become_fifo, {"ignored"}, [], []),
]
all_changes = pytest.mark.parametrize(
    ("change", "outcomes", "wanted", "unwanted"), CHANGES, ids=lambda value: getattr(value, "__name__", "")
)


@all_changes
def test_a_file_changes_while_it_settles(
    tmp_path: Path, change: Change, outcomes: set[str], wanted: list[bytes], unwanted: list[bytes]
) -> None:
    with Daemon(tmp_path, watch={**MOVE, "settle": "500ms"}) as daemon:
        path = daemon.inbox / "IMG.jpg"
        with open(path, "wb") as writer:
            writer.write(SMALL)
            writer.flush()
            daemon.wait_for_line("IMG.jpg settles again")
            change(path)
        check(daemon, path, outcomes, wanted, unwanted)


def make_big(path: Path) -> None:
    """A film that takes half a second to hash, and no room: most of it is a hole."""
    film = samples.mp4(seed=3)
    length = 1 << 30
    with open(path, "wb") as writer:
        writer.write(film + struct.pack(">I4sQ", 1, b"free", length))
        writer.truncate(len(film) + length)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [(Path.unlink, "gone"), (truncate, "ignored"), (replace, "filed"), (link_outside, "ignored")],
)
def test_a_file_changes_while_it_is_hashed(tmp_path: Path, change: Change, outcome: str) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        path = daemon.inbox / "IMG.mp4"
        make_big(tmp_path / "film")
        os.rename(tmp_path / "film", path)
        daemon.wait_until(lambda: daemon.has_open(path.name), what="it is being hashed")
        with daemon.stalled():
            assert daemon.filed() == {}
            change(path)
        check(daemon, path, {outcome}, [OTHER] if outcome == "filed" else [], [])
        assert set(daemon.filed().values()) <= {OTHER, NEXT}


@all_changes
@pytest.mark.parametrize("action", ["move", "copy"])
def test_a_file_changes_between_hashing_and_filing(
    tmp_path: Path,
    action: str,
    change: Change,
    outcomes: set[str],
    wanted: list[bytes],
    unwanted: list[bytes],
) -> None:
    """The parser stands still meanwhile, so that the file lies there, hashed and open."""
    with Daemon(tmp_path, watch={"action": action}, more={"daemon": {"workers": 1}}) as daemon:
        path = daemon.inbox / "IMG.jpg"
        with daemon.stalled_workers():
            daemon.put("IMG.jpg", SMALL)
            daemon.wait_until(lambda: daemon.has_open(path.name), what="it was hashed")
            change(path)
        check(daemon, path, outcomes, wanted, unwanted)


def check(daemon: Daemon, path: Path, outcomes: set[str], wanted: list[bytes], unwanted: list[bytes]) -> None:
    """What came of a file is told truly, nothing that was there is lost, and the next file is served."""
    daemon.wait_until(lambda: daemon.outcome(path.name).outcome in outcomes, what=f"it is {outcomes}")
    daemon.wait_until(lambda: set(wanted) <= set(daemon.filed().values()), what="what is there is filed")
    assert not set(unwanted) & set(daemon.filed().values())
    daemon.put("next.jpg", NEXT)
    daemon.wait_for("next.jpg", "filed")
    known = daemon.query("SELECT path, digest FROM file WHERE NOT missing")
    assert {path: hashlib.sha256(content).digest() for path, content in daemon.filed().items()} == dict(known)
    assert not daemon.matching("library photos is|Traceback")
    assert not daemon.private("tmp")
