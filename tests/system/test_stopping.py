"""Starting, stopping and starting again: nothing is lost, filed twice or read twice."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import signal
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon
from tests.waiting import wait_until

NAMES = ("one.jpg", "other.jpg")
MOVE = {"action": "move"}
SOON = 15.0  # seconds within which it has to stop, on a loaded machine too


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("action", ["move", "copy"])
def test_it_stops_during_work(tmp_path: Path, number: signal.Signals, action: str) -> None:
    contents = [content for _, content in samples.jpeg_series(2000, length=8000, pictures=2)]
    with Daemon(tmp_path, watch={"action": action}, start=False) as daemon:
        for index, content in enumerate(contents):
            daemon.put(f"{index % 10}/IMG_{index}.jpg", content)
        daemon.start()
        workers = daemon.wait_until(daemon.workers)
        daemon.wait_for_count("filed", 100)
        assert daemon.stop(number, SOON) == 0
        filed = list(daemon.filed().values())
        assert 100 <= len(filed) < len(contents), "it was to be stopped in the midst of its work"
        if action == "move":
            left = [entry for entry in daemon.left().values() if isinstance(entry, bytes)]
            assert sorted([*filed, *left]) == sorted(contents)
        assert not daemon.private("tmp")
        assert not daemon.query("SELECT * FROM step WHERE state = 'intent'")
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        assert daemon.run_once().code == 0
        assert sorted(daemon.filed().values()) == sorted(contents)
        assert "Traceback" not in "\n".join(daemon.lines)


def test_it_stops_while_a_large_file_is_hashed(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        film = samples.mp4(seed=1)
        with open(tmp_path / "film.mp4", "wb") as stream:
            stream.write(film + b"\0\0\0\x01free" + (64 << 30).to_bytes(8, "big"))
            stream.truncate(len(film) + (64 << 30))
        os.rename(tmp_path / "film.mp4", daemon.inbox / "film.mp4")
        daemon.wait_until(lambda: daemon.has_open("film.mp4"))
        assert daemon.stop(limit=SOON) == 0
        assert (daemon.inbox / "film.mp4").exists()


def test_it_stops_when_it_is_idle(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        assert daemon.stop(limit=SOON) == 0


def test_it_stops_while_its_library_is_offline(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.library.rmdir()
        daemon.start()
        daemon.put("one.jpg", samples.jpeg())
        daemon.wait_for_line("library photos is offline")
        assert daemon.stop(limit=SOON) == 0


def test_it_is_killed_and_started_again(tmp_path: Path) -> None:
    contents = [content for _, content in samples.jpeg_series(600, length=8000, pictures=2)]
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for index, content in enumerate(contents):
            daemon.put(f"{index % 10}/IMG_{index}.jpg", content)
        for count in (50, 200, 350):
            daemon.start()
            daemon.wait_for_count("filed", count)
            daemon.kill()
        assert daemon.run_once().code == 0
        assert sorted(daemon.filed().values()) == sorted(contents)
        assert not [entry for entry in daemon.left().values() if entry is not None]
        assert not daemon.private("tmp")


def test_a_worker_that_hangs_costs_one_worker(tmp_path: Path) -> None:
    """Both stand still with a file each, and one goes on: the other's file waits for its time limit alone."""
    with Daemon(tmp_path, watch=MOVE, more={"daemon": {"workers": 2}}) as daemon:
        workers = daemon.wait_until(lambda: daemon.workers() if len(daemon.workers()) == 2 else [])
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        goes_on, hangs = workers
        try:
            for seed, name in enumerate(NAMES):
                daemon.put(name, samples.jpeg(seed=seed))
                daemon.wait_until(functools.partial(daemon.has_open, name))
            os.kill(goes_on, signal.SIGCONT)
            daemon.wait_for_count("filed", 1)
            assert {hangs, goes_on} == set(daemon.workers())
            daemon.wait_for_count("filed", 2)
            assert hangs not in daemon.workers()
        finally:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGCONT)


def test_a_worker_that_is_killed_costs_no_file(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        for worker in daemon.wait_until(daemon.workers):
            os.kill(worker, signal.SIGKILL)
        daemon.put("IMG.jpg", samples.jpeg())
        daemon.wait_for("IMG.jpg", "filed")


def read_so_far(daemon: Daemon) -> int:
    """Bytes that the daemon has read since it was started."""
    lines = Path(f"/proc/{daemon.pid}/io").read_text("ascii").split()
    return int(lines[lines.index("rchar:") + 1])


def test_a_copy_watch_is_not_read_again(tmp_path: Path) -> None:
    large = samples.mp4(seed=1) + b"\x04\0\0\0free" + bytes(0x04000000 - 8)
    picture = samples.jpeg(seed=2)
    with Daemon(tmp_path) as daemon:
        daemon.put("film.mp4", large)
        daemon.put("sub/IMG.jpg", picture)
        daemon.put("notes.txt", b"none")
        daemon.wait_for_count("filed", 2)
        daemon.wait_for_count("ignored", 1)
        rows = daemon.query("SELECT * FROM arrival ORDER BY id")
        for _ in range(2):
            daemon.stop()
            since = len(daemon.lines)
            daemon.start()
            daemon.wait_for_line("watch inbox is watching", since=since)
            daemon.put("mark.txt", str(since).encode())
            daemon.wait_for_line(r"inbox/mark.txt ignored", since=since)
            assert read_so_far(daemon) < len(large)
            assert len([line for line in daemon.lines[since:] if "inbox/" in line]) == 1
        assert daemon.query("SELECT * FROM arrival WHERE path <> ? ORDER BY id", b"mark.txt") == rows
        assert len(daemon.filed()) == 2
        assert (daemon.inbox / "film.mp4").stat().st_size == len(large)


def test_a_file_in_a_copy_watch_is_touched_or_replaced(tmp_path: Path) -> None:
    first, second, third = (samples.jpeg(seed=seed) for seed in range(3))
    with Daemon(tmp_path) as daemon:
        daemon.start_watching()
        daemon.put("IMG.jpg", first)
        daemon.wait_for("IMG.jpg", "filed")
        os.utime(daemon.inbox / "IMG.jpg", (1e9, 1e9))
        daemon.put("mark.txt", b"1")
        daemon.wait_for("mark.txt", "ignored")
        daemon.put("IMG.jpg", second)
        daemon.wait_until(lambda: len(daemon.filed()) == 2)
        daemon.put(".fresh.tmp", third)
        os.rename(daemon.inbox / ".fresh.tmp", daemon.inbox / "IMG.jpg")
        daemon.wait_until(lambda: len(daemon.filed()) == 3)
        assert sorted(daemon.filed().values()) == sorted([first, second, third])
        assert (daemon.inbox / "IMG.jpg").read_bytes() == third


def test_a_second_daemon_on_the_state_directory(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        ended = daemon.run("run")
        assert ended.code == 75
        assert str(daemon.pid) in ended.line("held by another mediad")
        assert len(ended.lines) == 1
        assert daemon.stop() == 0
        assert daemon.run_once().code == 0


def test_a_second_daemon_on_the_library(tmp_path: Path) -> None:
    with Daemon(tmp_path / "one", library={"path": str(tmp_path / "photos")}) as daemon:
        with Daemon(tmp_path / "two", library={"path": str(tmp_path / "photos")}, start=False) as other:
            other.put("two.jpg", samples.jpeg(seed=2))
            ended = other.run_once()
            assert ended.code == 75
            assert str(daemon.pid) in ended.line("library photos is held by another mediad")
            assert other.left()
        daemon.put("one.jpg", samples.jpeg(seed=1))
        daemon.wait_for("one.jpg", "filed")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"watch": {"inbox": {"acton": "move"}}}, r"config\.toml:\d+: .*acton.*action"),
        ({"watch": {"inbox": {"settle": "soon"}}}, r"config\.toml:\d+: .*soon.*no duration"),
        ({"library": {"photos": {"layout": "{taken:%Y}"}}}, r"config\.toml:\d+: .*layout"),
        ({"daemon": {"log_level": "loud"}}, r"config\.toml:\d+: .*log_level"),
    ],
)
def test_a_wrong_configuration(
    tmp_path: Path, settings: dict[str, dict[str, object]], complaint: str
) -> None:
    with Daemon(tmp_path, start=False) as daemon:
        for kind, tables in settings.items():
            for name, table in tables.items():
                if isinstance(table, dict):
                    daemon.settings[kind][name].update(table)
                else:
                    daemon.settings[kind][name] = table
        daemon.configure()
        daemon.put("one.jpg", samples.jpeg())
        ended = daemon.run("run")
        assert ended.code == 78
        ended.line(complaint)
        assert len(ended.lines) == 1
        assert daemon.left()


def test_every_problem_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, start=False) as daemon:
        daemon.settings["watch"]["inbox"].update({"settle": "soon", "action": "eat"})
        daemon.settings["library"]["photos"]["path"] = str(daemon.inbox / "inside")
        daemon.configure()
        ended = daemon.run("run")
        assert ended.code == 78
        assert len(ended.lines) == 3


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    with Daemon(tmp_path, start=False) as daemon:
        daemon.inbox.rmdir()
        daemon.inbox.write_bytes(b"")
        ended = daemon.run("run")
        assert ended.code == 78
        assert len(ended.lines) == 1


def test_the_state_directory_cannot_be_written(tmp_path: Path) -> None:
    with Daemon(tmp_path, start=False) as daemon:
        daemon.state.rmdir()
        daemon.state.write_bytes(b"")
        ended = daemon.run("run")
        assert ended.code in (74, 78)
        assert len(ended.lines) == 1


def test_the_lock_outlives_no_process(tmp_path: Path) -> None:
    """A kill leaves no lock behind, and the parsers hold none either."""
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.wait_until(daemon.workers)
        daemon.kill()
        for lock in (daemon.state / "lock", daemon.library / ".mediad" / "lock"):
            with open(lock, "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert daemon.run_once().code == 0
