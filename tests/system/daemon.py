"""The real daemon as a process of its own, as the system tests see it: folders, log lines, the catalogue.

    with Daemon(tmp_path, watch={"action": "move"}) as daemon:
        daemon.put("IMG_1.jpg", samples.jpeg())
        daemon.wait_for("IMG_1.jpg", "filed")

Everything waits for conditions, with a limit; a test that fails gets the daemon's log printed.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import tomli_w

from tests.trees import Entry, files, tree
from tests.waiting import wait_until

T = TypeVar("T")

LIMIT = 60.0  # seconds for anything that is waited for; thin air
COMMAND = (sys.executable, "-m", "mediad.cli.main")
PRIVATE = b".mediad"
MEEK = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)
"""Runs a command so that permissions hold for it even if it is root's."""

_NEWEST = """
SELECT path, coalesce(outcome, ''), code, reason FROM arrival
WHERE id IN (SELECT max(id) FROM arrival WHERE watch = ? GROUP BY path)"""


class Outcome(NamedTuple):
    """What the catalogue says last of a path; `outcome` is "" while it is in flight."""

    outcome: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A run of the program that has come to its end."""

    code: int
    lines: list[str]

    def line(self, pattern: str) -> str:
        """The one line of the log that matches."""
        found = [line for line in self.lines if re.search(pattern, line)]
        assert len(found) == 1, f"{pattern!r} matches {len(found)} of these lines:\n" + "\n".join(self.lines)
        return found[0]


class Daemon:
    """A configuration in a folder of its own, and the daemon that runs on it.

    Entering the context makes the folders and starts `mediad run`; leaving it ends the process, whatever
    its state. `start=False` leaves starting to the test (`start`, `run_once`).

    Args:
        root: an empty folder; inbox, library, state and configuration go into it unless told otherwise.
        watch: more settings of the one watch "inbox"; its library is "photos".
        library: more settings of the one library "photos".
        watches, libraries: all of them by name, where there are to be several; `path` defaults to the name.
        more: further tables ("duplicates", "dates", "rule", ...); "daemon" is merged with the usual one, and
            look-alikes are found only where "duplicates" says so.
        wrap: a command that runs the daemon's command line, which follows it.
    """

    def __init__(
        self,
        root: Path,
        *,
        watch: Mapping[str, object] | None = None,
        library: Mapping[str, object] | None = None,
        watches: Mapping[str, Mapping[str, object]] | None = None,
        libraries: Mapping[str, Mapping[str, object]] | None = None,
        more: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        wrap: tuple[str, ...] = (),
        start: bool = True,
    ) -> None:
        self.root = root
        self.state = root / "state"
        self.config = root / "config.toml"
        self.lines: list[str] = []
        self._environment = environment or {}
        self._wrap = wrap
        self._start = start
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.settings = self._settings(
            watches or {"inbox": watch or {}}, libraries or {"photos": library or {}}, more or {}
        )
        self.folders = {
            name: Path(str(table["path"]))
            for kind in ("watch", "library")
            for name, table in self.settings[kind].items()
        }

    def _settings(
        self,
        watches: Mapping[str, Mapping[str, object]],
        libraries: Mapping[str, Mapping[str, object]],
        more: Mapping[str, object],
    ) -> dict[str, Any]:
        first = next(iter(libraries))
        settings: dict[str, Any] = dict(more)
        settings["library"] = {
            name: {"path": str(self.root / name), "min_free": "1MB", **table}
            for name, table in libraries.items()
        }
        settings["watch"] = {
            name: {"path": str(self.root / name), "library": first, "settle": "200ms", **table}
            for name, table in watches.items()
        }
        settings["duplicates"] = {"similar": "off", **settings.get("duplicates", {})}
        daemon = settings.get("daemon", {})
        settings["daemon"] = {
            "log_level": "debug",
            "state_dir": str(self.state),
            "socket": str(self.root / "control"),
            **daemon,
        }
        return settings

    # -- its life -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        for folder in (*self.folders.values(), self.state):
            folder.mkdir(parents=True, exist_ok=True)
        self.configure()
        if self._start:
            try:
                self.start()
            except BaseException:
                self.print_log()
                self.kill()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.print_log()
        self.kill()

    def configure(self) -> None:
        """Write the configuration file anew from `settings`."""
        self.config.write_text(tomli_w.dumps(self.settings), encoding="utf-8")

    def start(self) -> None:
        """Start `mediad run`, and wait until every watch is named as served."""
        assert self._process is None, "it runs already"
        before = len(self.lines)
        self._process = self._spawn("run")
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        for name in self.settings["watch"]:
            self.wait_for_line(rf"watch {name}: .* -> library ", since=before)

    def start_watching(self) -> None:
        """Wait until every watch has been looked at whole and is covered by events."""
        for name in self.settings["watch"]:
            self.wait_for_line(rf"watch {name} is watching")

    def _spawn(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAD_")}
        environment.update({"TZ": "UTC", "HOME": str(self.root), "PYTHONUNBUFFERED": "1"})
        environment.update(self._environment)
        return subprocess.Popen(
            [*self._wrap, *COMMAND, "--config", str(self.config), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=environment,
            cwd="/",
        )

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(line.rstrip("\n"))

    def run(self, *arguments: str) -> Ended:
        """Run the program with this configuration to its end, beside whatever else runs."""
        process = self._spawn(*arguments)
        try:
            _, said = process.communicate(timeout=LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
        lines = said.splitlines()
        self.lines.extend(lines)
        return Ended(process.returncode, lines)

    def run_once(self) -> Ended:
        """`mediad run --once`."""
        return self.run("run", "--once")

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the daemon's own process."""
        os.kill(self.pid, number)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """The daemon stands still meanwhile (SIGSTOP, SIGCONT)."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM, limit: float = LIMIT) -> int:
        """Ask it to stop; returns the exit code."""
        self.send(number)
        assert self._process is not None
        code = self._process.wait(limit)
        self._forget()
        return code

    def kill(self) -> None:
        """SIGKILL; nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT)
            self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if self._reader is not None:
            self._reader.join(LIMIT)
            self._reader = None
        if process is not None and process.stderr is not None:
            process.stderr.close()

    def workers(self) -> list[int]:
        """The pids of its parser processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        return [int(child) for child in children]

    def has_open(self, name: str) -> bool:
        """Has it a file of this name open?"""
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if os.path.basename(os.readlink(entry)) == name:
                    return True
        return False

    @contextlib.contextmanager
    def stalled_workers(self) -> Iterator[None]:
        """The parsers that run now stand still meanwhile, so that no file gets beyond being identified."""
        workers = self.wait_until(self.workers, what="a parser")
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGCONT)

    def print_log(self) -> None:
        """Print its log, for the reader of a test that failed."""
        print("\n".join(("-- the daemon's log --", *self.lines, "-- its end --")))

    # -- folders --------------------------------------------------------------------------------------

    @property
    def inbox(self) -> Path:
        """The first watch's folder."""
        return self.folders[next(iter(self.settings["watch"]))]

    @property
    def library(self) -> Path:
        """The first library's folder."""
        return self.folders[next(iter(self.settings["library"]))]

    def put(self, name: str | bytes, content: bytes, *, folder: Path | None = None) -> bytes:
        """Write a file into the inbox, or `folder`, with the folders above it; returns its path."""
        path = os.path.join(os.fsencode(folder or self.inbox), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
        return path

    def filed(self, library: str | None = None) -> dict[bytes, bytes]:
        """The library's files and their contents, its private folder left out."""
        folder = self.folders[library] if library else self.library
        return files(folder, without={PRIVATE})

    def left(self, folder: Path | None = None) -> dict[bytes, Entry]:
        """All that is in the inbox."""
        return tree(folder or self.inbox)

    def private(self, name: str) -> dict[bytes, bytes]:
        """The files in `.mediad/NAME` ("trash", "quarantine", "tmp")."""
        return files(self.library / ".mediad" / name)

    # -- what it says ---------------------------------------------------------------------------------

    def matching(self, pattern: str, since: int = 0) -> list[str]:
        """The log lines that match, from line `since` on."""
        return [line for line in self.lines[since:] if re.search(pattern, line)]

    def wait_for_line(self, pattern: str, *, since: int = 0, limit: float = LIMIT) -> str:
        """Wait for a log line that matches; returns the first. Line `since` is the first looked at."""
        return self.wait_until(lambda: self.matching(pattern, since), limit, what=f"a line {pattern!r}")[0]

    def wait_until(self, condition: Callable[[], T], limit: float = LIMIT, *, what: str = "") -> T:
        """Wait for a condition while the daemon runs.

        Raises:
            AssertionError: it was still false when the limit was over, or when the daemon ended.
        """

        def look() -> T:
            alive = self.alive
            found = condition()
            if not found and not alive:
                raise AssertionError(f"the daemon ended while {what or 'a condition'} was waited for")
            return found

        return wait_until(look, limit, what=what)

    # -- what it remembers ----------------------------------------------------------------------------

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the catalogue, without changing it."""
        path = self.state / "catalogue.db"
        mode = "mode=ro" if path.with_name("catalogue.db-wal").exists() else "mode=ro&immutable=1"
        with contextlib.closing(
            sqlite3.connect(f"file:{path}?{mode}", uri=True, timeout=LIMIT)
        ) as connection:
            return connection.execute(sql, values).fetchall()

    def outcomes(self, watch: str | None = None) -> dict[bytes, Outcome]:
        """What the catalogue says of each path of the (first) watch."""
        name = watch or next(iter(self.settings["watch"]))
        try:
            rows = self.query(_NEWEST, name)
        except sqlite3.OperationalError:  # not there yet, or being closed at this moment
            return {}
        return {row[0]: Outcome(*row[1:]) for row in rows}

    def outcome(self, path: str | bytes, watch: str | None = None) -> Outcome:
        """What the catalogue says of a path; all empty where it knows nothing."""
        return self.outcomes(watch).get(os.fsencode(path), Outcome("", "", ""))

    def wait_for(
        self, path: str | bytes, outcome: str, *, watch: str | None = None, limit: float = LIMIT
    ) -> Outcome:
        """Wait until a path has this outcome."""

        def look() -> Outcome | None:
            found = self.outcome(path, watch)
            return found if found.outcome == outcome else None

        found = self.wait_until(look, limit, what=f"{path!r} {outcome}")
        assert found is not None
        return found

    def wait_for_count(self, outcome: str, count: int, limit: float = LIMIT) -> None:
        """Wait until so many paths of all watches have this outcome."""

        def look() -> bool:
            with contextlib.suppress(sqlite3.OperationalError):
                rows = self.query("SELECT count(*) FROM arrival WHERE outcome = ?", outcome)
                return bool(rows[0][0] >= count)
            return False

        self.wait_until(look, limit, what=f"{count} files {outcome}")
