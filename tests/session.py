"""The first session of README.md: read from there, played in a fresh home, made comparable.

`python -m tests.session` plays the commands that README.md has, with the real programs, and prints the
session anew. After a change to the commands there, or to what they print, it goes in place of the old block.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import random
import re
import shutil
import signal
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mediad.roots import filesystem
from tests import demo
from tests.conftest import PROJECT
from tests.waiting import wait_until

HOME = "/home/anna"
"""The home in README.md. The one played in has a path of the same length, so that text wraps alike."""
ROOM = 3_000_000_000  # bytes: filing waits where less than `min_free`, 2 GB, is left

_TOP = Path("/tmp")
_TITLE = "## A first session\n"
_LIMIT = 60.0  # seconds for anything that is waited for; thin air
_PROGRAMS = {"mediad": "mediad.cli.main", "mediactl": "mediad.cli.ctl"}
_ENDS = {"not done: ": 5, "the old configuration stays in force": 78}
"""What a command says that ends with another exit code than 0."""

_CLOCK = r"(?:\d{4}-\d\d-\d\d )?\d\d:\d\d(?::\d\d)?"  # with its day where that is not today
_VARYING = [
    (re.compile(pattern, re.MULTILINE), put)
    for pattern, put in (
        (r"process \d+, for [\w ]+,", "process PID, for SPAN,"),
        (rf"^(inbox +\w+ +){_CLOCK}", r"\1CLOCK"),  # when the watch was looked at
        (rf"\buntil {_CLOCK}", "until CLOCK"),
        (rf"^( *){_CLOCK}(?= )", r"\1CLOCK"),
        (r"(first seen on\s)[\d-]+(\sat\s)[\d:]+", r"\1DAY\2CLOCK"),
        (r"(unchanged\sfor\s)\d+\.\d", r"\1SPAN"),
        (r"\b\d+\.\d [GT]B", "FREE"),
        (r"; \d+ to analyse$", ""),  # what is looked at in the background
        (r"\[step \d+", "[step N"),
        (r"\bbatch\s+\d+", "batch N"),
        (r"(/\.mediad/(?:trash|quarantine)/.+-)\d+(?=\.)", r"\1N"),
        (r"\b[0-9a-f]{64}\b", "DIGEST"),
        (r"(?<=\S) {2,}(?=\S)", "  "),  # the width of a column follows what is in it
    )
]


@dataclass(frozen=True)
class Step:
    """A command, what it printed, and its exit code, which is 0 for what goes on in the background."""

    command: str
    said: str
    code: int


def written(readme: str) -> list[Step]:
    """The session as README.md has it; the exit codes are those that the texts stand for."""
    block = readme.partition(_TITLE)[2].partition("```console\n")[2].partition("```")[0]
    steps = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [Step(command, said, _meant(said)) for command, _, said in steps]


def block(steps: list[Step]) -> str:
    """The session as README.md has to have it."""
    return "".join(f"$ {step.command}\n{step.said}" for step in steps)


def comparable(said: str) -> str:
    """A text in which all that differs from one run to the next was put to one side."""
    for pattern, put in _VARYING:
        said = pattern.sub(put, said)
    return said


def obstacle() -> str:
    """What keeps the session from being played on this machine; "" if nothing does."""
    if not filesystem(str(_TOP)).leases:
        return f"on the filesystem of {_TOP} it takes a minute to tell that a file is complete"
    if shutil.disk_usage(_TOP).free < ROOM:
        return f"{_TOP} has too little room for filing to go on"
    return "" if shutil.which("bash") else "there is no bash"


def _meant(said: str) -> int:
    return next((code for words, code in _ENDS.items() if words in said), 0)


class Session:
    """A fresh home with Anna's pictures, and commands run there as in her terminal.

    Leaving the context ends what runs in the background and removes everything.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Session:
        with contextlib.ExitStack() as stack:
            self.home = stack.enter_context(_fresh_home())
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mediad-", dir=_TOP)))
            stack.callback(self._kill)
            furnish(self.home)
            self._environment = _environment(self.home, aside)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, commands: list[str]) -> list[Step]:
        """Run commands one after another, each to its end or, with a "&", until it is under way."""
        return [self._run(command) for command in commands]

    def stop(self) -> list[int]:
        """End what runs in the background, the newest first; returns the exit codes."""
        codes = []
        while self._running:
            self._running[-1].terminate()
            codes.append(self._running[-1].wait(_LIMIT))
            self._running.pop()
        return codes

    def _kill(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _run(self, command: str) -> Step:
        if command.endswith(" &"):
            self._begin(command)
            return Step(command, "", 0)
        if command == "cat events.txt":  # the event comes a moment after the answer to `mediactl wait`
            wait_until(lambda: self._holds("events.txt", "again.jpg"), _LIMIT, what="an event")
        controller, terminal = pty.openpty()
        try:
            process = self._start(command, terminal)
        finally:
            os.close(terminal)
        with os.fdopen(controller, "rb", buffering=0) as stream:
            said = b"".join(_parts(stream.read)).decode()
            code = process.wait(_LIMIT)  # before the terminal is closed, which hangs up on whoever still ends
        self._running.remove(process)
        return Step(command, _drawn(said).replace(str(self.home), HOME), code)

    def _begin(self, command: str) -> None:
        process = self._start(f"exec {command.removesuffix(' &')}", subprocess.DEVNULL)
        begun: Callable[[], bool] = (
            functools.partial(_listens, process.pid)
            if "monitor" in command
            else functools.partial(self._holds, "mediad.log", " watch inbox: ")
        )
        wait_until(lambda: begun() or process.poll() is not None, _LIMIT, what=command)
        assert process.poll() is None, f"`{command}` ended: {(self.home / 'mediad.log').read_text()}"

    def _start(self, command: str, terminal: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["bash", "-c", command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=self._environment,
            cwd=self.home,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def _holds(self, name: str, words: str) -> bool:
        file = self.home / name
        said = file.read_text(encoding="utf-8") if file.exists() else ""
        return words in said and said.endswith("\n")


def furnish(home: Path) -> None:
    """Put the pictures that the session speaks of where they are when it begins."""
    samples = {sample.path: sample for sample in demo.inbox()}

    def put(folder: str, path: bytes, name: bytes = b"") -> None:
        sample = samples[path]
        assert demo.write(home / folder, replace(sample, path=name or os.path.basename(path)))

    for path in (b"phone/IMG_4120.JPG", b"phone/IMG_4120.MOV", b"phone/IMG_4120.AAE"):
        put("phone", path)
    put("phone", b"broken.jpg")
    put("phone", b"takeout/beach.jpg")
    put("chat", b"chat/IMG-20220815-WA0003.jpg")
    for path in samples:
        if path.startswith(b"DCIM/"):
            put("card", path, path)
    for name in (b"beach.jpg", b"beach (copy).jpg"):
        put("Pictures/Library/old", b"takeout/beach.jpg", name)


@contextlib.contextmanager
def _fresh_home() -> Iterator[Path]:
    letters = len(HOME) - len(f"{_TOP}/")
    home = _TOP / "".join(random.choices(string.ascii_lowercase, k=letters))
    home.mkdir(mode=0o700)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def _environment(home: Path, aside: Path) -> dict[str, str]:
    """Only what is named here: nothing of the machine's shows in what is printed.

    Args:
        aside: an empty folder, where the programs and the socket go.
    """
    runtime, programs = aside / "run", aside / "bin"
    runtime.mkdir(mode=0o700)
    programs.mkdir()
    for name, module in _PROGRAMS.items():
        installed = Path(sys.executable).with_name(name)
        program = f'"{installed}"' if installed.exists() else f'"{sys.executable}" -m {module}'
        (programs / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (programs / name).chmod(0o755)
    return {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "xterm",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


def _parts(read: Callable[[int], bytes | None]) -> Iterator[bytes]:
    """What comes from a terminal, until nobody has it open any more, which reading tells by an error."""
    with contextlib.suppress(OSError):
        while part := read(1 << 16):
            yield part


def _drawn(said: str) -> str:
    """What stays on a terminal: without progress that was wiped away again."""
    return re.sub(r"[^\n]*\r\x1b\[K", "", said.replace("\r\n", "\n"))


def _listens(pid: int) -> bool:
    """Has a `mediactl monitor` sent its call, and does it sleep until something happens?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if int(link.name) > 2]
    except OSError:  # it ended, or a descriptor was closed meanwhile
        return False
    return state == "S" and any(link.startswith("socket:") for link in links)


def main() -> None:
    """Play what README.md has, and print how it goes now."""
    if why_not := obstacle():
        sys.exit(why_not)
    commands = [step.command for step in written(Path(PROJECT, "README.md").read_text(encoding="utf-8"))]
    with Session() as session:
        steps = session.play(commands)
        session.stop()
    print(block(steps), end="")
    for step in steps:
        if step.code != _meant(step.said):
            sys.exit(f"`{step.command}` ended with {step.code}")


if __name__ == "__main__":
    main()
