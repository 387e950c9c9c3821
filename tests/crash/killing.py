"""Daemons in processes of their own, each of which dies by SIGKILL at an operation that is told it.

A `Nursery` forks a daemon in a moment, where starting the program takes a second; parent and daemon share a
`Board`, a page of memory that outlives the daemon.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mediad.control.client import Client, NoDaemon
from tests.conftest import PROJECT
from tests.crash.nursery import Board
from tests.waiting import wait_until

Reply = dict[str, Any]

LIMIT = 60.0  # seconds for whatever is waited for; thin air


class Died(Exception):
    """The daemon ended while it was asked for something."""


class Nursery:
    """The process that forks daemons; a context manager, at whose end they all die."""

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAD_")}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "TZ": "UTC"},
            cwd=PROJECT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(LIMIT)

    def learn(self, folder: Path) -> None:
        """Have what is in a folder read once for all lives; see `InstantPool`."""
        self.ask("learn", str(folder))

    def ask(self, word: str, value: object) -> int:
        """Have something done, and the number that it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({word: value}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Killable:
    """A daemon that lives again and again.

    Args:
        config: its configuration file. socket: as that says.
        room: a folder for board and log.
        far: roots that count as another filesystem.
        instant: files are read in the daemon itself, not by processes that parse.
    """

    def __init__(
        self,
        nursery: Nursery,
        config: Path,
        socket: Path,
        room: Path,
        *,
        far: Sequence[Path] = (),
        instant: bool = False,
    ) -> None:
        self.board = Board(room / "board")
        self.log = room / "log"
        self.pid = 0
        self.lives = 0
        self._nursery = nursery
        self._socket = socket
        self._order = {
            "config": str(config),
            "board": str(room / "board"),
            "log": str(self.log),
            "far": [str(root) for root in far],
            "instant": instant,
        }
        self._pidfd = -1

    def start(self, deadly: int = 0) -> None:
        """Begin a life, which ends with the operation of that number."""
        assert not self.pid, "it runs already"
        self.board.begin()
        self.board.arm(deadly)
        self.pid = self._nursery.ask("fork", self._order)
        self._pidfd = os.pidfd_open(self.pid)
        self.lives += 1

    @property
    def alive(self) -> bool:
        return bool(self.pid) and not self._ended(0)

    def _ended(self, limit: float) -> bool:
        return bool(select.select([self._pidfd], [], [], limit)[0])

    def call(self, method: str, /, **parameters: object) -> Reply:
        """Ask it, waiting until it is up.

        Raises:
            Died: it ended before it answered. Failed: it refused.
        """
        try:
            with self.connect() as client:
                return client.call(method, parameters, patience=LIMIT)
        except NoDaemon:
            if self._ended(LIMIT):
                raise Died from None
            raise

    def connect(self) -> Client:
        """A connection to its socket.

        Raises:
            Died: it ended before there was one.
        """

        def connected() -> Client | None:
            with contextlib.suppress(NoDaemon):
                return Client.connect([str(self._socket)])
            if not self.alive:
                raise Died
            return None

        client = wait_until(connected, LIMIT, what="the daemon's socket")
        assert client is not None
        return client

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, unless it has ended; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)
        return self.ended()

    def kill(self) -> None:
        """SIGKILL; nothing if it does not run."""
        if self.pid:
            self.stop(signal.SIGKILL)

    def ended(self) -> int:
        """Wait for its end; returns the exit code, that of a signal being negative."""
        assert self._ended(LIMIT), f"process {self.pid} does not end"
        code = self._nursery.ask("wait", self.pid)
        os.close(self._pidfd)
        self.pid = 0
        return code

    def close(self) -> None:
        self.kill()
        self.board.close()
