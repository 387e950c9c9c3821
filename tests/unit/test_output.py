"""Commands in adverse surroundings: closed and full streams, odd paths, folders and locks out of reach."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediad.errors import AlreadyHeld, LibraryReadOnly
from mediad.lock import lock_file
from tests import mounting, samples
from tests.system.daemon import MEEK

PROGRAM = (sys.executable, "-m", "mediad.cli.main")
Ended = subprocess.CompletedProcess[bytes]
Planner = Callable[..., Ended]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two watches, of which one has a picture, two libraries and a configuration."""
    for name in ("in/sub", "two", "lib", "state"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "two/a.jpg").write_bytes(samples.jpeg(size=(32, 24)))
    (tmp_path / "in/sub/b.jpg").write_bytes(samples.jpeg(seed=1, size=(32, 24)))
    configure(tmp_path / "c.toml")
    return tmp_path


def configure(file: Path) -> None:
    root = file.parent
    text = f'[library.photos]\npath = "{root}/lib"\nmin_free = "0"\n[daemon]\nworkers = 1\n'
    text += f'state_dir = "{root}/state"\nsocket = "{root}/control"\n'
    for watch in ("in", "two"):
        text += f'[watch.{watch}]\npath = "{root}/{watch}"\nsettle = "0s"\n'
    file.write_text(text)


def shell(root: Path, arguments: str, redirections: str) -> Ended:
    """Runs `mediad` by the shell, which can close descriptors."""
    command = f"{shlex.join(PROGRAM)} {arguments} --config c.toml {redirections}"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["sh", "-c", command], cwd=root, capture_output=True, check=False, env=env, timeout=60
    )


@pytest.fixture
def plan(root: Path) -> Iterator[Planner]:
    """Runs `mediad plan` as somebody for whom permissions hold, with one path closed to him."""
    wrap: tuple[str, ...] = ()
    if os.geteuid() == 0:
        mounting.need_tool("setpriv")
        wrap = MEEK
    closed: list[Path] = []

    def run(path: str, *arguments: str, mode: int = 0) -> Ended:
        closed.append(root / path)
        closed[-1].chmod(mode)
        command = [*wrap, *PROGRAM, "plan", "--config", str(root / "c.toml"), *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, check=False, timeout=60)

    yield run
    for path in closed:
        path.chmod(0o755)


def one_line(ended: Ended, code: int, *words: str) -> None:
    lines = ended.stderr.decode().splitlines()
    assert (ended.returncode, len(lines), ended.stdout) == (code, 1, b""), ended
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(("path", "mode"), [("in", 0), ("in", 0o311), ("in", 0o444), ("in/sub", 0)])
def test_a_folder_that_cannot_be_read_is_one_that_failed(
    root: Path, plan: Planner, path: str, mode: int
) -> None:
    ended = plan(path, "--list", mode=mode)
    assert (ended.returncode, ended.stderr) == (0, b"")
    lines = sorted(ended.stdout.decode().splitlines())
    assert len(lines) == 2
    shown = "in/sub" if mode == 0o444 else path  # names may be read, what they are may not
    assert lines[0] == f"{root}/{shown}: failed (cannot be read: Permission denied)"
    assert lines[1].startswith(f"{root}/two/a.jpg: filed -> ")
    assert b"1 that cannot be read" in plan(path, mode=mode).stdout


def test_a_watch_below_a_closed_folder_is_one_that_failed(root: Path, plan: Planner) -> None:
    (root / "c.toml").write_text((root / "c.toml").read_text().replace(f"{root}/in", f"{root}/in/sub"))
    assert b"1 that cannot be read" in plan("in").stdout


def test_a_watch_that_is_missing_is_nothing(root: Path, plan: Planner) -> None:
    (root / "in/sub").rename(root / "away")
    ended = plan("two", mode=0o755)
    assert b"cannot be read" not in ended.stdout


@pytest.mark.parametrize(
    ("closed", "asked", "mode"),
    [
        ("in", "in", 0),
        ("in", "in/sub", 0),
        ("in/sub", "in/sub", 0),
        ("in/sub", "in/sub/b.jpg", 0),
        ("in/sub", "in/sub/b.jpg", 0o311),
        ("in/sub", "in/sub/b.jpg", 0o444),
        ("in/sub", "in/sub/none.jpg", 0),
    ],
)
def test_what_was_asked_for_and_cannot_be_read(plan: Planner, closed: str, asked: str, mode: int) -> None:
    one_line(plan(closed, asked, mode=mode), 77, asked.partition("/none")[0], "may not be read")


@pytest.mark.parametrize("path", ["in/none.jpg", "in/sub/b.jpg/none"])
def test_what_was_asked_for_and_is_not_there(plan: Planner, path: str) -> None:
    one_line(plan("in", path, mode=0o755), 66, "is not there")


def test_a_library_that_cannot_be_read_holds_its_files(plan: Planner) -> None:
    ended = plan("lib", "--list")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.count(b": held (library photos takes nothing now: ") == 2
    assert b"2 held: the library is offline, full or read-only" in plan("lib").stdout


def test_a_state_directory_that_may_not_be_entered(root: Path, plan: Planner) -> None:
    one_line(plan("state"), 74, f"{root}/state/catalogue.db: the catalogue cannot be read: Permission denied")


@pytest.mark.parametrize("redirections", [">&-", "<&-", "<&- >&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("arguments", ["check-config", "plan", "plan --list", "run --once", "--help"])
def test_closed_streams(root: Path, arguments: str, redirections: str) -> None:
    ended = shell(root, arguments, redirections)
    assert ended.returncode == 0, ended
    assert b"Traceback" not in ended.stderr
    assert ended.stderr == b"" or arguments == "run --once"


def test_no_file_of_ours_gets_the_number_of_a_closed_stream(root: Path) -> None:
    code = (
        "import os\nfrom mediad.cli.main import main\nmain()\n"
        "where = [os.readlink(f'/proc/self/fd/{n}') for n in range(3)]\n"
        "open('where', 'w').write(' '.join(where) + f' {[os.get_inheritable(n) for n in range(3)]}')\n"
    )
    command = f"{sys.executable} -c {shlex.quote(code)} check-config --config c.toml <&- >&- 2>&-"
    subprocess.run(["sh", "-c", command], cwd=root, check=True, timeout=60)
    assert (root / "where").read_text() == "/dev/null /dev/null /dev/null [True, True, True]"


@pytest.mark.parametrize("arguments", ["check-config", "plan", "plan --list", "--help", "--version"])
def test_a_full_standard_output(root: Path, arguments: str) -> None:
    one_line(shell(root, arguments, ">/dev/full"), 74, "standard output cannot be written: No space left")


def test_output_that_fills_up_on_the_way(root: Path) -> None:
    for number in range(300):
        (root / f"in/{number:0100}.txt").touch()
    one_line(shell(root, "plan --list", ">/dev/full"), 74, "standard output cannot be written: No space left")


@pytest.mark.parametrize(("arguments", "code"), [("check-config", 0), ("plan none", 66), ("run --once", 0)])
def test_a_full_standard_error(root: Path, arguments: str, code: int) -> None:
    assert shell(root, arguments, "2>/dev/full").returncode == code


def test_letters_that_the_terminal_does_not_have(root: Path) -> None:
    (root / "in/\N{SNOWMAN}.txt").touch()
    command = [*PROGRAM, "plan", "--list", "--config", str(root / "c.toml")]
    env = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    ended = subprocess.run(command, capture_output=True, check=False, env=env, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert rb"in/\u2603.txt: ignored" in ended.stdout


@pytest.mark.parametrize("command", ["check-config", "init"])
def test_a_configuration_whose_path_is_not_utf_8(root: Path, command: str) -> None:
    file = os.fsencode(root) + b"/c\xff.toml"
    arguments: list[str | bytes] = [*PROGRAM, command, "--config", file]
    if command == "init":
        arguments += ["--watch", str(root / "in"), "--library", str(root / "lib")]
    else:
        os.rename(root / "c.toml", file)
    env = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "HOME": str(root)}
    env.pop("XDG_STATE_HOME", None)
    ended = subprocess.run(arguments, capture_output=True, check=False, env=env, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    shown = os.fsencode(root) + rb"/c\xff.toml"
    assert shown in ended.stdout
    assert b"udcff" not in ended.stdout


@pytest.mark.parametrize("command", ["check-config", "plan", "run"])
def test_a_configuration_that_is_a_fifo(root: Path, command: str) -> None:
    (root / "c.toml").unlink()
    os.mkfifo(root / "c.toml")
    one_line(shell(root, command, ""), 78, f"{root}/c.toml: is no regular file")


def test_a_configuration_that_is_a_device(root: Path) -> None:
    (root / "c.toml").unlink()
    (root / "c.toml").symlink_to("/dev/zero")
    one_line(shell(root, "check-config", ""), 78, "is no regular file")


@pytest.mark.parametrize("call", ["ftruncate", "pwrite"])
def test_a_lock_without_room_for_the_pid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(os, call, failing(errno.ENOSPC))
    fd = lock_file(os.fsencode(tmp_path / "lock"), "it")
    try:
        with pytest.raises(AlreadyHeld):
            lock_file(os.fsencode(tmp_path / "lock"), "it")
    finally:
        os.close(fd)


def test_a_holder_whose_pid_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = lock_file(os.fsencode(tmp_path / "lock"), "it")
    monkeypatch.setattr(os, "pread", failing(errno.EIO))
    try:
        with pytest.raises(AlreadyHeld, match="pid unknown"):
            lock_file(os.fsencode(tmp_path / "lock"), "it")
    finally:
        os.close(fd)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_filesystem_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(code))
    before = os.listdir("/proc/self/fd")
    with pytest.raises(LibraryReadOnly, match="cannot be locked: " + os.strerror(code)):
        lock_file(os.fsencode(tmp_path / "lock"), "it")
    assert os.listdir("/proc/self/fd") == before


def failing(code: int) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise OSError(code, os.strerror(code))

    return fail
