"""A real systemd in a container on this machine, for tests of the service.

    with Machine(tmp_path) as machine:
        machine.run("systemctl", "start", "mediad")
        machine.wait_for(lambda: machine.show("mediad", "ActiveState") == "active")

It boots in half a second. Its root is an overlay: this machine's root filesystem below, our units and
programs as a package would install them on top, and a tmpfs for all that it writes. /srv and /home are tmpfs
too, since they have leases as a disk has. mediad runs from the checkout, with the interpreter that runs the
tests. The mounts are in a mount namespace of its own, so that nothing is left when its processes are gone.

Needs root, systemd-nspawn (Debian: systemd-container) and overlayfs; tests skip with the reason otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

from tests import mounting
from tests.conftest import PROJECT
from tests.waiting import wait_until

T = TypeVar("T")

LIMIT = 60.0  # seconds for anything that is waited for; thin air
BOUND = (PROJECT, Path(sys.prefix), Path(sys.base_prefix))
"""What is shown at the same place inside: an overlay may not see changes below it, nor other filesystems."""

_PROGRAM = f"""\
#!/bin/sh
export PYTHONPATH={PROJECT} PYTHONDONTWRITEBYTECODE=1
exec {sys.executable} -m mediad.cli.%s "$@"
"""
_BOOT = """\
set -e
for group in $GROUPS_OF_ITS_OWN; do echo $$ > "$group/cgroup.procs"; done
mount -t tmpfs -o mode=0755 tmpfs "$WRITTEN"
mkdir "$WRITTEN/work"
cp -a "$INSTALLED" "$WRITTEN/upper"
mount -t overlay -o "lowerdir=/,upperdir=$WRITTEN/upper,workdir=$WRITTEN/work" overlay "$ROOT"
exec systemd-nspawn --quiet --directory="$ROOT" --boot --register=no --keep-unit --private-network \\
    --console=read-only --link-journal=no --tmpfs=/srv:mode=0755,size=8g --tmpfs=/home:mode=0755,size=8g \\
    "$@" systemd.show_status=0 systemd.unit=basic.target
"""


class Machine:
    """A booted container; leaving the context ends it, whatever its state.

    Args:
        folder: an empty folder for its layers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._installed = folder / "installed"
        self._groups = [top / f"mediad-test-{os.getpid()}-{id(self):x}" for top in _hierarchies()]
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        mounting.need_root()
        for tool in ("systemd-nspawn", "nsenter", "unshare", "setpriv"):
            mounting.need_tool(tool)
        if "overlay" not in Path("/proc/filesystems").read_text("ascii").split():
            mounting.run("modprobe", "overlay")
        _need_overlay(self.folder)
        self._install()
        try:
            self._boot()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    # -- its life -------------------------------------------------------------------------------------

    def _install(self) -> None:
        """Put our files where packages put them."""
        for name in ("root", "written"):
            (self.folder / name).mkdir()
        for path in BOUND:
            # Users of the machine have to reach the checkout and Python, which can be below a private home.
            _make(self._installed, path)
        systemd = PROJECT / "systemd"
        for kind in ("system", "user"):
            self._copy(systemd / kind / "mediad.service", f"/usr/lib/systemd/{kind}")
        for kind in ("sysusers.d", "tmpfiles.d"):
            self._copy(systemd / kind / "mediad.conf", f"/usr/lib/{kind}")
        programs = _make(self._installed, Path("/usr/bin"))
        for name, module in (("mediad", "main"), ("mediactl", "ctl")):
            (programs / name).write_text(_PROGRAM % module, encoding="utf-8")
            (programs / name).chmod(0o755)

    def _copy(self, file: Path, folder: str) -> None:
        shutil.copy(file, _make(self._installed, Path(folder)))

    def _boot(self) -> None:
        for group in self._groups:
            group.mkdir()
        settings = {
            "GROUPS_OF_ITS_OWN": " ".join(map(str, self._groups)),
            "INSTALLED": str(self._installed),
            "WRITTEN": str(self.folder / "written"),
            "ROOT": str(self.folder / "root"),
        }
        binds = [f"--bind-ro={path}" for path in BOUND if not path.is_relative_to("/usr")]
        if Path("/dev/fuse").exists():
            binds.append("--bind=/dev/fuse")
        with open(self.folder / "console", "wb") as console:
            # It dies with the tests, even if they are killed.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "sh", "-c", _BOOT, "sh", *binds],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={"PATH": mounting.TOOLS, "LC_ALL": "C.UTF-8", **settings},
                cwd="/",
            )
        try:
            self._leader = wait_until(self._init, LIMIT, what="its first process")
            wait_until(self._is_up, LIMIT, what="the end of its boot")
        except AssertionError as error:
            said = (self.folder / "console").read_text("utf-8", "replace")
            raise AssertionError(f"{error}\n{said}") from None

    def _init(self) -> int:
        """The pid of the machine's systemd, 0 while there is none."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError("the machine did not boot")
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for child in children:
            with contextlib.suppress(FileNotFoundError):
                if Path(f"/proc/{child}/comm").read_text("ascii") == "systemd\n":
                    return int(child)
        return 0

    def _is_up(self) -> bool:
        return self.ask("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader or self._process.pid, signal.SIGKILL)  # and so all that runs in it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LIMIT)
            self._process.kill()
            self._process.wait()
        for group in self._groups:
            wait_until(partial(_remove, group), LIMIT, what=f"{group} is empty")

    # -- what is done in it ---------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Its root folder, with all its mounts, as seen from here."""
        return Path(f"/proc/{self._leader}/root")

    def path(self, inside: str) -> Path:
        """Where one of its absolute paths is, seen from here."""
        return self.root / inside.lstrip("/")

    def ask(self, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a command in it to its end, whatever that is."""
        as_user = [] if user == "root" else ["runuser", "-u", user, "--"]
        return subprocess.run(
            [
                "nsenter",
                "-t",
                str(self._leader),
                "-a",
                "env",
                "-i",
                *_environment(self, user),
                *as_user,
                *command,
            ],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            stdin=subprocess.DEVNULL,
            timeout=LIMIT,
            check=False,
            cwd="/",
        )

    def run(self, *command: str, user: str = "root") -> str:
        """Run a command in it that has to succeed; returns what it printed."""
        done = self.ask(*command, user=user)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def enter(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command in it that goes on; the caller ends it."""
        return subprocess.Popen(["nsenter", "-t", str(self._leader), "-a", *command], cwd="/", **options)

    def wait_for(self, condition: Callable[[], T], what: str = "") -> T:
        """Wait until `condition` is true, and return what it returned."""
        return wait_until(condition, LIMIT, what=what)

    def show(self, unit: str, name: str, *options: str, user: str = "root") -> str:
        """One property of a unit (`systemctl show`)."""
        command = ("systemctl", *options, "show", unit, f"--property={name}", "--value")
        return self.run(*command, user=user).strip()

    def journal(self, unit: str) -> Iterator[dict[str, Any]]:
        """The journal's entries of a system unit, oldest first."""
        self.run("journalctl", "--sync")
        for line in self.run("journalctl", f"--unit={unit}", "--output=json", "--quiet").splitlines():
            yield json.loads(line)


def _environment(machine: Machine, user: str) -> list[str]:
    found = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "cat"}
    if user != "root":
        passwd = machine.path("/etc/passwd").read_text("utf-8").splitlines()
        entry = next(line.split(":") for line in passwd if line.startswith(f"{user}:"))
        found |= {"HOME": entry[5], "XDG_RUNTIME_DIR": f"/run/user/{entry[2]}"}
    return [f"{name}={value}" for name, value in found.items()]


def _make(top: Path, folder: Path) -> Path:
    """`folder` below `top`, with all folders above it open to everybody."""
    below = top / folder.relative_to("/")
    for path in reversed([below, *below.parents]):
        if path.is_relative_to(top):
            path.mkdir(mode=0o755, exist_ok=True)
    return below


def _hierarchies() -> list[Path]:
    """Our own cgroups in the hierarchies that systemd keeps its units in (cgroups(7))."""
    mixed = Path("/sys/fs/cgroup/unified")
    tops = {"": mixed if mixed.is_dir() else mixed.parent, "name=systemd": mixed.parent / "systemd"}
    found = []
    for line in Path("/proc/self/cgroup").read_text("ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in tops:
            found.append(tops[controllers] / path.lstrip("/"))
    return found


def _remove(group: Path) -> bool:
    """Remove a cgroup and all below; False while processes in it are still ending."""
    try:
        for path, _, _ in os.walk(group, topdown=False):
            os.rmdir(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _need_overlay(folder: Path) -> None:
    """Skip the test where no overlay can be mounted over the root folder."""
    script = (
        'mount -t tmpfs tmpfs "$1" && mkdir "$1/u" "$1/w" "$1/m" && '
        'mount -t overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" overlay "$1/m"'
    )
    tried = mounting.run("unshare", "--mount", "sh", "-c", script, "sh", str(folder))
    if tried.returncode:
        pytest.skip(f"no overlay can be mounted here: {' '.join(tried.stderr.split())}")
