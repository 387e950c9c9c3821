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
from types import TracebackType

import anyio
from anyio.abc import Process, TaskGroup, UNIXSocketStream

from mediad.errors import InputOutput
from mediad.media import wire
from mediad.model import Facts

File = tuple[int, bytes, int]
"""An open descriptor, the file's name without its folder, and its size in bytes."""

CRASHED = "the parser crashed"
COMMAND = (sys.executable, "-I", "-m", "mediad.media")

_START_LIMIT = 30.0  # seconds until a new worker must have said that it is up; thin air
_REAP_LIMIT = 5.0  # seconds for a killed worker to go; one that hangs in a dead mount does not
_RETIRE_AFTER = 20_000  # files, against leaks in the libraries; thin air
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH")


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

    def __init__(self, process: Process, stream: UNIXSocketStream) -> None:
        self.process = process
        self.files = 0
        self.idle_since = 0.0
        self._stream = stream
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
        return cls(process, await UNIXSocketStream.from_socket(ours))

    async def up(self) -> None:
        """Waits until it has said that it is up.

        Raises:
            _Lost: it ended, or said something else, or nothing in time.
        """
        if self._is_up:
            return
        if await self._exchange(b"", (), _START_LIMIT) != b"[]":
            raise _Lost("it does not speak our protocol")
        self._is_up = True

    async def ask(self, files: Sequence[File], limit: float) -> list[Facts]:
        """Has files parsed.

        Args:
            files: at most `wire.MOST_FILES`.
            limit: seconds.

        Raises:
            _Lost: it crashed, was too slow or answered nonsense; it must not be used again.
        """
        request = wire.request([name for _, name, _ in files], [size for _, _, size in files])
        body = await self._exchange(request, [descriptor for descriptor, _, _ in files], limit)
        try:
            replies = wire.replies_from_json(body, len(files))
        except ValueError as error:
            raise _Lost(CRASHED) from error
        self.files += len(files)
        return replies

    async def _exchange(self, request: bytes, descriptors: Sequence[int], limit: float) -> bytes:
        try:
            with anyio.fail_after(limit):
                if request:
                    await self._stream.send_fds(request, descriptors)
                length = int.from_bytes(await self._receive(wire.HEADER), "big")
                if length > wire.LONGEST_REPLY:
                    raise _Lost(CRASHED)
                return await self._receive(length)
        except TimeoutError as error:
            raise _Slow(f"took longer than {math.ceil(limit)} s") from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream) as error:
            raise _Lost(CRASHED) from error

    async def _receive(self, length: int) -> bytes:
        parts = []
        while length:
            part = await self._stream.receive(length)
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    async def end(self) -> None:
        """Kills the process with all that it may have started, and reaps it; not cancellable."""
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)
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
    """

    def __init__(
        self, size: int, *, time_limit: float = 20.0, idle_after: float = 60.0, nice: int = 0
    ) -> None:
        self._size = size
        self._time_limit = time_limit
        self._idle_after = idle_after
        self._nice = nice
        self._slots = anyio.Semaphore(size)
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

    async def parse(self, files: Sequence[File]) -> list[Facts]:
        """What the content of these files tells, in their order.

        The descriptors stay the caller's and must stay open; their file offsets are not touched. Cancelling
        ends the worker at work.

        Args:
            files: any number; requests are cut into batches.

        Raises:
            InputOutput: no worker can be started.
        """
        found: list[Facts] = []
        for start in range(0, len(files), wire.MOST_FILES):
            found += await self._batch(files[start : start + wire.MOST_FILES])
        return found

    async def _batch(self, files: Sequence[File]) -> list[Facts]:
        limit = self._time_limit * (1 + (len(files) - 1) / 8)
        try:
            return await self._ask(files, limit)
        except _Lost:
            return [await self._alone(file) for file in files]

    async def _alone(self, file: File) -> Facts:
        """One file in a worker that has seen no other, so that the blame is its own."""
        try:
            return (await self._ask([file], self._time_limit, fresh=True))[0]
        except _Lost as lost:
            return wire.not_read(file[1], str(lost))

    async def _ask(self, files: Sequence[File], limit: float, *, fresh: bool = False) -> list[Facts]:
        async with self._slots:
            worker = await self._take(fresh)
            try:
                replies = await worker.ask(files, limit)
            except BaseException as error:
                self._crashed += isinstance(error, _Lost) and not isinstance(error, _Slow)
                self._timed_out += isinstance(error, _Slow)
                await self._end(worker)
                raise
            self._files += len(files)
            await self._give_back(worker)
            return replies

    async def _take(self, fresh: bool) -> _Worker:
        """An idle worker, or a new one, for which an idle one makes way if there are enough."""
        while self._idle and (not fresh or len(self._workers) >= self._size):
            worker = self._idle.pop()
            if not fresh and worker.process.returncode is None and await self._is_up(worker):
                return worker
            await self._end(worker)
        worker = await self._start()
        if not await self._is_up(worker):
            await self._end(worker)
            raise InputOutput("a parser process does not start", remedy="run `mediactl doctor`")
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
