"""`mediad run --once` from its arguments to its exit code, in this process."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from mediad import service
from mediad.cli.main import main
from mediad.lock import lock_file
from mediad.store.database import open_database
from tests import samples
from tests.conftest import PROJECT
from tests.trees import files

PICTURE = samples.jpeg(datetime.fromisoformat("2021-07-10T20:39:25"), seed=1, size=(32, 24))
FILED = b"2021/2021-07-10/a.jpg"

# sdnotify drops its socket where nobody wants to be told
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a run changes of its process is as before afterwards."""
    log = logging.getLogger("mediad")
    before = (log.handlers[:], log.level, log.propagate)
    limits, ignored = resource.getrlimit(resource.RLIMIT_NOFILE), signal.getsignal(signal.SIGIO)
    for name in ("JOURNAL_STREAM", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "nice", lambda _: 0)  # neither this could be taken back,
    monkeypatch.setattr(os, "getsid", lambda _: 0)  # nor what a session of our own would be told
    yield
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    signal.signal(signal.SIGIO, ignored)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("inbox", "library"):
        (tmp_path / name).mkdir()
    (tmp_path / "c.toml").write_text(
        f'[library.photos]\npath = "{tmp_path}/library"\nmin_free = "0"\n'
        f'[watch.inbox]\npath = "{tmp_path}/inbox"\nsettle = "0s"\naction = "move"\n'
        f'[daemon]\nstate_dir = "{tmp_path}/state"\nsocket = "{tmp_path}/control"\nworkers = 1\n'
    )
    return tmp_path


@pytest.fixture
def once(root: Path) -> Run:
    return lambda *arguments: main(["run", "--once", "--config", str(root / "c.toml"), *arguments])


def test_all_is_filed(root: Path, once: Run) -> None:
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    (root / "inbox/notes.txt").write_bytes(b"no media")
    assert once() == 0
    assert files(root / "library", without=[b".mediad"]) == {FILED: PICTURE}
    assert files(root / "inbox") == {b"notes.txt": b"no media"}
    assert (root / "state").stat().st_mode & 0o777 == 0o700


def test_something_is_quarantined(root: Path, once: Run) -> None:
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    (root / "inbox/b.jpg").write_bytes(samples.broken_jpeg())
    assert once() == 3
    assert files(root / "library", without=[b".mediad"]) == {FILED: PICTURE}
    assert once() == 0  # nothing of that is left to do


def test_something_is_held(root: Path, once: Run) -> None:
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    (root / "library").rmdir()
    assert once() == 3
    assert files(root / "inbox") == {b"a.jpg": PICTURE}
    assert not (root / "library").exists()
    (root / "library").mkdir()
    assert once() == 0
    assert files(root / "library", without=[b".mediad"]) == {FILED: PICTURE}


@pytest.mark.parametrize("held", ["state/lock", "library/.mediad/lock"])
def test_somebody_else_holds_it(root: Path, once: Run, held: str, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    (root / held).parent.mkdir(parents=True)
    lock = lock_file(os.fsencode(root / held), "it")
    assert once() == 75
    os.close(lock)
    assert f"(pid {os.getpid()})" in capsys.readouterr().err.splitlines()[-1]
    assert files(root / "inbox") == {b"a.jpg": PICTURE}
    assert once() == 0


def test_the_locks_are_given_back(root: Path, once: Run) -> None:
    assert once() == 0
    for held in ("state/lock", "library/.mediad/lock"):
        os.close(lock_file(os.fsencode(root / held), "it"))


def test_the_configuration_is_wrong(root: Path, once: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert once("--set", "daemon.workers=0") == 78
    assert capsys.readouterr().err.startswith("command line: daemon.workers: ")
    assert not (root / "state").exists()


def test_the_folders_are_wrong(root: Path, once: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "inbox").rmdir()
    (root / "inbox").symlink_to("library")
    assert once() == 78
    assert "on disk it " in capsys.readouterr().err
    assert files(root / "library") == {}


def test_a_newer_mediad_was_here(root: Path, once: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert once() == 0
    connection = open_database(root / "state/catalogue.db")
    connection.pragma("user_version", 99)
    connection.close()
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    assert once() == 78
    assert "has schema 99" in capsys.readouterr().err
    assert files(root / "inbox") == {b"a.jpg": PICTURE}


@pytest.mark.parametrize("where", ["state", "state/lock", "state/catalogue.db"])
def test_the_state_directory_cannot_be_used(
    root: Path, once: Run, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "inbox/a.jpg").write_bytes(PICTURE)
    if where == "state":
        (root / "gone").symlink_to("nowhere")
        (root / "state").symlink_to("gone")
    else:
        (root / where).mkdir(parents=True)
    assert once() == 74
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mediad: ")]
    assert str(root / "state") in line
    assert files(root / "inbox") == {b"a.jpg": PICTURE}


@pytest.mark.parametrize("journald", [True, False])
def test_the_log(
    root: Path, once: Run, journald: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if journald:
        monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    (root / "library").rmdir()
    once()
    lines = capsys.readouterr().err.splitlines()
    offline = [line for line in lines if "library photos is offline" in line]
    started = [line for line in lines if "mediad " in line and " started with " in line]
    assert (len(offline), len(started)) == (1, 1)
    assert offline[0].startswith("<4>library photos") is journald
    assert started[0].startswith("<6>mediad ") is journald


@pytest.mark.parametrize(("before", "asked"), [(0, [5]), (5, []), (-5, []), (19, [])])
def test_the_daemon_yields_unless_somebody_chose_otherwise(
    once: Run, before: int, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    niced: list[int] = []
    monkeypatch.setattr(os, "nice", niced.append)
    monkeypatch.setattr(os, "getpriority", lambda _which, _who: before)
    assert once() == 0
    assert niced == asked


@pytest.mark.skipif(not os.path.exists("/proc/self/autogroup"), reason="no autogroups in this kernel")
@pytest.mark.parametrize("own", [True, False])
def test_a_session_of_its_own_yields_as_a_whole(own: bool) -> None:
    program = "import os; from mediad import service; service._yield(); print(os.getpriority(0, 0));"
    program += "print(open('/proc/self/autogroup').read())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=PROJECT, start_new_session=own, capture_output=True, text=True, check=True
    )
    niceness, group = done.stdout.split("\n", 1)
    ours = Path("/proc/self/autogroup").read_text("ascii")
    assert group.split()[1:] == (["nice", niceness] if own else ours.split()[1:])


def test_priorities(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    service.set_up_logging("debug")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        service.log.log(level, "two\nlines")
    assert capsys.readouterr().err.splitlines() == [f"<{priority}>two lines" for priority in (7, 6, 4, 3, 2)]
    service.set_up_logging("error")
    service.log.warning("not to be seen")
    service.log.error("once")
    assert capsys.readouterr().err.splitlines() == ["<3>once"]
