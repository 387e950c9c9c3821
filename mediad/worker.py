"""One process that parses, and our end of its socket; see `mediad.workers`, whose pool has several."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio
from anyio.abc import Process

from mediad.errors import InputOutput
from mediad.media import wire
from mediad.media.reading import File

_T = TypeVar("_T")

CRASHED = "the parser crashed"
COMMAND = (sys.executable, "-I", "-m", "mediad.media")

_START_LIMIT = 30.0  # seconds until a new worker must have said that it is up; thin air
_REAP_LIMIT = 5.0  # seconds for a killed worker to go; one that hangs in a dead mount does not
_PART = 1 << 18  # bytes received at a time
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TZ", "PYTHONTZPATH")
# numpy's libraries start a thread a processor otherwise, each of which reserves memory that a worker lacks.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

# How a process ends by its own doing: it broke down, or went beyond a limit of its own. SIGBUS is not among
# them: it also tells of a disk that its libraries could not be read from.
_OWN_SIGNALS = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
        *(signal.SIGXCPU, signal.SIGXFSZ),
    }
)


class Lost(Exception):  # never leaves the pool
    """A worker is gone; the message is what to tell of the file that it had."""


class Slow(Lost):
    """It did not answer in time."""


class Killed(Lost):
    """Somebody else ended it."""


class Worker:
    """One process and our end of its socket."""

    def __init__(self, process: Process, ours: socket.socket) -> None:
        self.process = process
        self.files = 0
        self.idle_since = 0.0
        self._socket = ours
        self._is_up = False

    @classmethod
    async def start(cls, nice: int) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            process = await anyio.open_process(
                [*COMMAND, str(nice)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries print what a hostile file makes them print
                cwd="/",  # holds no mount
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                | {"LC_ALL": "C.UTF-8", **_ONE_THREAD},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    async def up(self) -> None:
        """Waits until it has said that it is up.

        Raises:
            Lost: it ended, or said nothing in time. InputOutput: it is of another version.
        """
        if self._is_up:
            return
        if await self._exchange(b"", (), _START_LIMIT) != wire.HELLO.encode():
            raise InputOutput("mediad was upgraded while it ran", remedy="restart it")
        self._is_up = True

    async def ask(
        self, files: Sequence[File], request: bytes, limit: float, understand: Callable[[bytes], _T]
    ) -> _T:
        """Has files parsed.

        Args:
            files: at most `wire.MOST_FILES`. request: the frame that asks about them.
            limit: seconds.
            understand: makes something of the reply's body, or raises ValueError.

        Raises:
            Lost: it crashed, was too slow or answered nonsense; it must not be used again.
        """
        body = await self._exchange(request, [file.fd for file in files], limit)
        try:
            found = understand(body)
        except ValueError as error:
            raise Lost(CRASHED) from error
        self.files += len(files)
        return found

    async def _exchange(self, request: bytes, descriptors: Sequence[int], limit: float) -> bytes:
        try:
            with anyio.fail_after(limit):
                if request:
                    await self._send(request, descriptors)
                return await self._receive()
        except TimeoutError as error:
            raise Slow(f"{wire.READING_FAILED}: took longer than {math.ceil(limit)} s") from error
        except (OSError, ValueError, anyio.ClosedResourceError) as error:  # ValueError: closed meanwhile
            raise await self._lost() from error

    # On the socket itself: anyio's stream goes around the event loop several times for a frame.

    async def _send(self, request: bytes, descriptors: Sequence[int]) -> None:
        left = memoryview(request)
        while left:
            try:
                left = left[socket.send_fds(self._socket, [left], descriptors) :]
                descriptors = ()
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    async def _receive(self) -> bytes:
        """The body of the next frame."""
        data = bytearray()
        length = wire.HEADER
        while len(data) < length:
            await anyio.wait_readable(self._socket)
            try:
                part = self._socket.recv(_PART)
            except BlockingIOError:
                continue
            data += part
            if len(data) >= wire.HEADER:
                length = wire.HEADER + int.from_bytes(data[: wire.HEADER], "big")
            if not part:
                raise await self._lost()
            if length > wire.LONGEST_REPLY:
                raise Lost(CRASHED)
        if len(data) > length:
            raise Lost(CRASHED)
        return bytes(data[wire.HEADER :])

    async def _lost(self) -> Lost:
        """Why it closed its end: what it did itself, or what somebody did to it."""
        with anyio.move_on_after(_REAP_LIMIT):
            await self.process.wait()
        code = self.process.returncode
        if code is None or code >= 0 or -code in _OWN_SIGNALS:
            return Lost(CRASHED)
        return Killed(f"{wire.READING_FAILED}: the parser was killed ({_signal_name(-code)})")

    async def end(self) -> None:
        """Kills the process with all that it may have started, and reaps it; not cancellable.

        Where it has ended by itself its group's number may be another's: what it had started died with it,
        see `mediad.media.programs`.
        """
        with anyio.CancelScope(shield=True):
            anyio.notify_closing(self._socket)
            self._socket.close()
            if self.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has no group of its own before it is up
                    os.killpg(self.process.pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
            with anyio.move_on_after(_REAP_LIMIT):
                await self.process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
