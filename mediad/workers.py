"""The pool of worker processes that parse untrusted files.

A worker (`python -m mediad.media`) gets open descriptors over a UNIX socket and answers with JSON, of which
nothing is believed before it is checked. What crashes or hangs costs one worker, never the daemon: its
batch is tried again file by file, each in a worker of its own.

Only what a file does by itself is held against it: a parser that breaks down over it, or takes more memory
or processor time than it may, `_TRIES` times with nothing else in that worker. Where a worker was killed
from outside (the system was out of memory, an administrator typed kill) or did not answer in time (a disk
hangs), reading failed, which says nothing about the content and is tried again later.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mediad.errors import InputOutput
from mediad.media import wire, zone
from mediad.media.conclude import conclude
from mediad.media.dates import DateRules
from mediad.media.prints.likeness import Print
from mediad.media.reading import File, not_read
from mediad.model import Facts
from mediad.worker import Killed, Lost, Slow, Worker

_TRIES = 2  # alone, after the worker of its batch; thin air
_RETIRE_AFTER = 20_000  # files, against leaks in the libraries; thin air
_SLOWEST = 10_000_000  # bytes a second, below which reading a file whole is given up; thin air
_GRACE = 10.0  # seconds for a worker to say itself that a file takes too long

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a pool has done and has.

    Attributes:
        workers, idle: processes alive, and those of them without work.
        started: processes ever started. crashed, timed_out: those that a file cost. killed: those that
            somebody else ended.
        files: answered so far.
    """

    workers: int
    idle: int
    started: int
    crashed: int
    timed_out: int
    killed: int
    files: int


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
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._someone_idle = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._starting = self._started = self._files = 0
        self._crashed = self._timed_out = self._killed = 0

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
            self._killed,
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
            return await self._ask(files, wire.request(files, rules, now_utc), limit, _facts_of(len(files)))
        except Lost:
            return [await self._alone(file, rules, now_utc) for file in files]

    async def _alone(self, file: File, rules: DateRules, now_utc: datetime) -> Facts:
        """One file in a worker that has seen no other, so that the blame is its own."""
        request = wire.request([file], rules, now_utc)
        for _ in range(_TRIES):
            try:
                return (await self._ask([file], request, self._time_limit, _facts_of(1), fresh=True))[0]
            except (Slow, Killed) as lost:
                reading = not_read(file.name, str(lost))
                break
            except Lost as lost:
                reading = not_read(file.name, str(lost))
        settings = await anyio.to_thread.run_sync(zone.date_settings, rules)  # reads time zones from disk
        return conclude(reading, file, settings, now_utc)

    async def fingerprint(self, file: File, form: str) -> Print:
        """The print of a file's content; made by a pool of its own, since it takes seconds or minutes.

        The time limit is that of the pool and what it takes to read the file. The descriptor stays the
        caller's and must stay open; its file offset is not touched. Cancelling ends the worker at work,
        and what it has started.

        Args:
            form: the name of its format.

        Returns:
            One with `failed` where none could be made: it begins with `wire.READING_FAILED` where the system
            was at fault, and is `likeness.NO_FFMPEG` where only that program is missing.

        Raises:
            InputOutput: no worker can be started.
        """
        limit = self._time_limit + file.size / _SLOWEST
        request = wire.print_request(file, form, limit)
        failed = ""
        for _ in range(_TRIES):
            try:
                return await self._ask([file], request, limit + _GRACE, wire.print_from_reply)
            except (Slow, Killed) as lost:
                return Print("", failed=str(lost))
            except Lost as lost:
                failed = str(lost)
        return Print("", failed=failed)

    async def _ask(
        self,
        files: Sequence[File],
        request: bytes,
        limit: float,
        understand: Callable[[bytes], _T],
        *,
        fresh: bool = False,
    ) -> _T:
        async with self._slots:
            try:
                worker = await self._take(fresh)
            except InputOutput as error:
                self.failing = error.message
                raise
            self.failing = ""
            try:
                found = await worker.ask(files, request, limit, understand)
            except BaseException as error:
                self._timed_out += isinstance(error, Slow)
                self._killed += isinstance(error, Killed)
                self._crashed += isinstance(error, Lost) and not isinstance(error, (Slow, Killed))
                await self._end(worker)
                raise
            self._files += len(files)
            await self._give_back(worker)
            return found

    async def _take(self, fresh: bool) -> Worker:
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

    async def _is_up(self, worker: Worker) -> bool:
        try:
            await worker.up()
        except Lost:
            return False
        except BaseException:
            await self._end(worker)
            raise
        return True

    async def _start(self) -> Worker:
        if self._tasks is None:
            raise RuntimeError("the pool is not open")
        self._starting += 1
        try:
            with anyio.CancelScope(shield=True):  # half a start would leave a process behind
                worker = await Worker.start(self._nice)
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

    async def _give_back(self, worker: Worker) -> None:
        if worker.files >= _RETIRE_AFTER or self._tasks is None:
            await self._end(worker)
        else:
            self._rest(worker)

    def _rest(self, worker: Worker) -> None:
        worker.idle_since = anyio.current_time()
        self._idle.append(worker)
        self._someone_idle.set()

    async def _end(self, worker: Worker) -> None:
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


def _facts_of(count: int) -> Callable[[bytes], list[Facts]]:
    return functools.partial(wire.reply_from_json, count=count)


def default_size() -> int:
    """As many workers as processors that this process may use, at most eight."""
    return max(1, min(8, len(os.sched_getaffinity(0))))
