"""The pool of worker processes that parse untrusted files.

A worker (`python -m mediad.media`) gets open descriptors over a UNIX socket and answers with JSON, of which
nothing is believed before it is checked. What crashes or hangs costs one worker, never the daemon: its
batch is tried again file by file, each in a worker of its own, and the file that kills that one too is
reported as unreadable.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

import anyio
import anyio.to_thread
from anyio.abc import Process, TaskGroup

from mediad.errors import InputOutput
from mediad.media import wire, zone
from mediad.media.conclude import conclude
from mediad.media.dates import DateRules
from mediad.media.reading import File, not_read
from mediad.model import Facts

CRASHED = "the parser crashed"
COMMAND = (sys.executable, "-I", "-m", "mediad.media")

_START_LIMIT = 30.0  # seconds until a new worker must have said that it is up; thin air
_REAP_LIMIT = 5.0  # seconds for a killed worker to go; one that hangs in a dead mount does not
_PART = 1 << 18  # bytes received at a time
_RETIRE_AFTER = 20_000  # files, against leaks in the libraries; thin air
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TZ", "PYTHONTZPATH")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a pool has done and has.

    Attributes:
        workers, idle: processes alive, and those of them without work.
        started: processes ever started. crashed, timed_out: those that a file cost.
        files: answered so far.
    """

    workers: int
    idle: int
    started: int
    crashed: int
    timed_out: int
    files: int


class _Lost(Exception):  # never leaves this module
    """A worker is gone; the message is what to tell of the file that it had."""


class _Worker:
    """One process and our end of its socket."""

    def __init__(self, process: Process, ours: socket.socket) -> None:
        self.process = process
        self.files = 0
        self.idle_since = 0.0
        self._socket = ours
        self._is_up = False

    @classmethod
    async def start(cls, nice: int) -> _Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            process = await anyio.open_process(
                [*COMMAND, str(nice)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libraries print what a hostile file makes them print
                cwd="/",  # holds no mount
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                | {"LC_ALL": "C.UTF-8"},
                start_new_session=True,
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
            _Lost: it ended, or said nothing in time. InputOutput: it is of another version.
        """
        if self._is_up:
            return
        if await self._exchange(b"", (), _START_LIMIT) != wire.HELLO.encode():
            raise InputOutput("mediad was upgraded while it ran", remedy="restart it")
        self._is_up = True

    async def ask(self, files: Sequence[File], request: bytes, limit: float) -> list[Facts]:
        """Has files parsed.

        Args:
            files: at most `wire.MOST_FILES`. request: the frame that asks about them.
            limit: seconds.

        Raises:
            _Lost: it crashed, was too slow or answered nonsense; it must not be used again.
        """
        body = await self._exchange(request, [file.fd for file in files], limit)
        try:
            found = wire.reply_from_json(body, len(files))
        except ValueError as error:
            raise _Lost(CRASHED) from error
        self.files += len(files)
        return found

    async def _exchange(self, request: bytes, descriptors: Sequence[int], limit: float) -> bytes:
        try:
            with anyio.fail_after(limit):
                if request:
                    await self._send(request, descriptors)
                return await self._receive()
        except TimeoutError as error:
            raise _Slow(f"{wire.READING_FAILED}: took longer than {math.ceil(limit)} s") from error
        except (OSError, ValueError, anyio.ClosedResourceError) as error:  # ValueError: closed meanwhile
            raise _Lost(CRASHED) from error

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
            if not part or length > wire.LONGEST_REPLY:
                raise _Lost(CRASHED)
        if len(data) > length:
            raise _Lost(CRASHED)
        return bytes(data[wire.HEADER :])

    async def end(self) -> None:
        """Kills the process with all that it may have started, and reaps it; not cancellable."""
        with anyio.CancelScope(shield=True):
            anyio.notify_closing(self._socket)
            self._socket.close()
            if self.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            with anyio.move_on_after(_REAP_LIMIT):
                await self.process.wait()


class _Slow(_Lost):
    pass


class WorkerPool:
    """Parses files in worker processes, which are started when needed and ended when idle.

    An async context manager; leaving it ends every worker.

    Args:
        size: the most workers at a time.
        time_limit: seconds for one file. A batch gets an eighth of it for each further file: few are slow,
            and files of a batch that was too slow are tried again, one by one, with the whole limit each.
        idle_after: seconds without work after which a worker is ended.
        nice: how much further than the daemon the workers yield the processor.

    Attributes:
        failing: why the last one that was needed could not be had, "" if it could.
    """

    def __init__(
        self, size: int, *, time_limit: float = 20.0, idle_after: float = 60.0, nice: int = 0
    ) -> None:
        self.failing = ""
        self._size = size
        self._time_limit = time_limit
        self._idle_after = idle_after
        self._nice = nice
        self._slots = anyio.Semaphore(size, fast_acquire=True)
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._someone_idle = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._starting = self._started = self._crashed = self._timed_out = self._files = 0

    async def __aenter__(self) -> WorkerPool:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._end_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        tasks, self._tasks = self._tasks, None
        assert tasks is not None
        tasks.cancel_scope.cancel()
        try:
            return await tasks.__aexit__(kind, error, trace)
        finally:
            self._idle.clear()
            for worker in list(self._workers):
                await self._end(worker)

    def statistics(self) -> PoolStatistics:
        """What the pool has done and has at this moment."""
        return PoolStatistics(
            len(self._workers),
            len(self._idle),
            self._started,
            self._crashed,
            self._timed_out,
            self._files,
        )

    def prestart(self) -> None:
        """Starts the workers there may be, so that their start-up overlaps with the caller's next steps."""
        if self._tasks is None:
            raise RuntimeError("the pool is not open")
        for _ in range(self._size - len(self._workers)):
            self._tasks.start_soon(self._start_idle)

    async def parse(self, files: Sequence[File], rules: DateRules, now_utc: datetime) -> list[Facts]:
        """What these files tell, in their order.

        The descriptors stay the caller's and must stay open; their file offsets are not touched. Cancelling
        ends the worker at work.

        Args:
            files: any number; requests are cut into batches.
            rules, now_utc: what dates are believed.

        Raises:
            InputOutput: no worker can be started.
        """
        found: list[Facts] = []
        for start in range(0, len(files), wire.MOST_FILES):
            found += await self._batch(files[start : start + wire.MOST_FILES], rules, now_utc)
        return found

    async def _batch(self, files: Sequence[File], rules: DateRules, now_utc: datetime) -> list[Facts]:
        limit = self._time_limit * (1 + (len(files) - 1) / 8)
        try:
            return await self._ask(files, wire.request(files, rules, now_utc), limit)
        except _Lost:
            return [await self._alone(file, rules, now_utc) for file in files]

    async def _alone(self, file: File, rules: DateRules, now_utc: datetime) -> Facts:
        """One file in a worker that has seen no other, so that the blame is its own."""
        request = wire.request([file], rules, now_utc)
        try:
            return (await self._ask([file], request, self._time_limit, fresh=True))[0]
        except _Lost as lost:
            reading = not_read(file.name, str(lost))
        settings = await anyio.to_thread.run_sync(zone.date_settings, rules)  # reads time zones from disk
        return conclude(reading, file, settings, now_utc)

    async def _ask(
        self, files: Sequence[File], request: bytes, limit: float, *, fresh: bool = False
    ) -> list[Facts]:
        async with self._slots:
            try:
                worker = await self._take(fresh)
            except InputOutput as error:
                self.failing = error.message
                raise
            self.failing = ""
            try:
                found = await worker.ask(files, request, limit)
            except BaseException as error:
                self._crashed += isinstance(error, _Lost) and not isinstance(error, _Slow)
                self._timed_out += isinstance(error, _Slow)
                await self._end(worker)
                raise
            self._files += len(files)
            await self._give_back(worker)
            return found

    async def _take(self, fresh: bool) -> _Worker:
        """An idle worker, or a new one, for which an idle one makes way if there are enough."""
        while self._idle and (not fresh or len(self._workers) + self._starting >= self._size):
            worker = self._idle.pop()
            if not fresh and worker.process.returncode is None and await self._is_up(worker):
                return worker
            await self._end(worker)
        worker = await self._start()
        if not await self._is_up(worker):
            await self._end(worker)
            raise InputOutput("a parser process does not start", remedy="install mediad anew")
        return worker

    async def _is_up(self, worker: _Worker) -> bool:
        try:
            await worker.up()
        except _Lost:
            return False
        except BaseException:
            await self._end(worker)
            raise
        return True

    async def _start(self) -> _Worker:
        if self._tasks is None:
            raise RuntimeError("the pool is not open")
        self._starting += 1
        try:
            with anyio.CancelScope(shield=True):  # half a start would leave a process behind
                worker = await _Worker.start(self._nice)
        except OSError as error:
            raise InputOutput(f"no parser process can be started: {error.strerror}") from error
        finally:
            self._starting -= 1
        self._started += 1
        self._workers.add(worker)
        return worker

    async def _start_idle(self) -> None:
        async with self._slots:
            if len(self._workers) + self._starting < self._size:
                with contextlib.suppress(InputOutput):  # whoever needs one will hear of it
                    self._rest(await self._start())

    async def _give_back(self, worker: _Worker) -> None:
        if worker.files >= _RETIRE_AFTER or self._tasks is None:
            await self._end(worker)
        else:
            self._rest(worker)

    def _rest(self, worker: _Worker) -> None:
        worker.idle_since = anyio.current_time()
        self._idle.append(worker)
        self._someone_idle.set()

    async def _end(self, worker: _Worker) -> None:
        self._workers.discard(worker)
        await worker.end()

    async def _end_idle(self) -> None:
        """Ends workers that had nothing to do for long; costs no wake-up while there is none."""
        while True:
            await self._someone_idle.wait()
            while self._idle:
                left = self._idle[0].idle_since + self._idle_after - anyio.current_time()
                if left > 0:
                    await anyio.sleep(left)
                elif self._idle:
                    await self._end(self._idle.pop(0))
            self._someone_idle = anyio.Event()


def default_size() -> int:
    """As many workers as processors that this process may use, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0))))
