"""Wiring: the daemon's life from its configuration to its exit code.

Signals, logging, the locks that keep a second daemon out, the control socket, and what systemd is told.
"""

from __future__ import annotations

import contextlib
import functools
import grp
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from mediad import __version__, eventloop
from mediad.clock import Clock
from mediad.config import Config
from mediad.config.difference import differences
from mediad.control.listener import Listener, open_listener
from mediad.control.server import Server
from mediad.errors import AlreadyHeld, CatalogueBroken, InvalidConfig, LibraryReadOnly, printable
from mediad.files import Files
from mediad.ingest.health import Health
from mediad.ingest.pipeline import Pipeline
from mediad.lock import lock_file
from mediad.notify import Manager
from mediad.roots import look_over
from mediad.steering.daemon import Daemon
from mediad.steering.importing import Importer
from mediad.store import backup, journal
from mediad.store.backup import open_at_start
from mediad.store.backups import Backups
from mediad.store.database import Database, has_room
from mediad.store.reading import Reader, open_reader
from mediad.workers import WorkerPool, default_size

_STOP_LIMIT = 10.0  # seconds in which work in flight may end; well inside systemd's 90
_YIELDING = 5  # nice(2) of the daemon, and of those that parse beside it, so that it answers meanwhile
_LAST = 19  # nice(2) of those that look at library files in the background
_ANALYSIS = 120.0  # seconds that they may take for a file, besides what reading it takes; a long film does
EXIT_INCOMPLETE = 3  # `run --once`: some quarantined, failed or held

_LOST = (
    "the catalogue is new, though there are backups of another: stop mediad and run `mediad rebuild` to have"
    " all back that they tell; until then only what the libraries carry is known"
)

log = logging.getLogger("mediad")

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

Load = Callable[[], tuple[Config, str]]
"""Reads the configuration; returns it and its file, or raises InvalidConfig."""


class _Journald(logging.Formatter):
    """sd-daemon(3): "<6>message" on standard error carries the priority."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", " ")
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}"


def set_up_logging(level: str) -> None:
    """Log to standard error, one line a record; under systemd with journald's priorities."""
    handler = logging.StreamHandler(sys.stderr)
    journald = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(
        _Journald("%(message)s") if journald else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    )
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False


def run(load: Load, *, once: bool) -> int:
    """Serve until SIGTERM or SIGINT; with `once`, until what the watches hold is filed.

    Args:
        load: reads the configuration, at the start and at each reload.

    Returns:
        0, or 3 where `once` left something quarantined, failed or held.

    Raises:
        InvalidConfig, AlreadyHeld, CatalogueBroken: the daemon cannot start.
    """
    config, config_file = load()
    set_up_logging(config.daemon.log_level)
    _yield()  # before any other thread begins
    for warning in _checked(config):
        log.warning("%s", warning)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # a lease that is broken while we look says so by a signal
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it means to reload
    _raise_descriptor_limit()
    with state_directory(config) as state:
        log.info("mediad %s started with %s", __version__, printable(config_file))
        return eventloop.run(_serve, config, config_file, load, state, once)


def _checked(config: Config) -> list[str]:
    """The warnings about a configuration, the folders as they are included. Blocks, for a while at most.

    Raises:
        InvalidConfig: the daemon must not run like this.
    """
    found = look_over(config)
    if found.problems:
        raise InvalidConfig(found.problems)
    return [*config.warnings, *found.warnings]


def _raise_descriptor_limit() -> None:
    """Files stay open from hashing to filing; the soft limit of 1024 is for programs that use select."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def _yield() -> None:
    """It has time; who works at this machine, and asks it something, has not.

    Niceness is the thread's own, and counts within a session only where each has a group in the scheduler
    (autogroup, sched(7)). So a session of our own, as under systemd, is told as much.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) == 0:
        os.nice(_YIELDING)
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness > 0 and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # a kernel without that has nothing to tell
            Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")


@contextlib.contextmanager
def state_directory(config: Config) -> Iterator[Path]:
    """The state directory, made and locked.

    Raises:
        AlreadyHeld: another mediad has it. CatalogueBroken: it cannot be used.
    """
    state = Path(config.daemon.state_dir)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_file(os.fsencode(state / "lock"), "the state directory")
    except (OSError, LibraryReadOnly) as error:
        what = error.strerror if isinstance(error, OSError) else error.message
        raise CatalogueBroken(f"the state directory cannot be used: {what}", path=str(state)) from error
    try:
        yield state
    finally:
        os.close(lock)


def _leave_hung_threads_behind() -> None:
    """End the process even if threads are stuck on a dead mount; the journal covers what they were doing."""

    def leave() -> None:
        log.error("something hangs (a dead mount?) and is left behind; the next start recovers it")
        os._exit(0)

    timer = threading.Timer(_STOP_LIMIT, leave)
    timer.daemon = True
    timer.start()


def _group(config: Config) -> int | None:
    return grp.getgrnam(config.daemon.group).gr_gid if config.daemon.group else None


class _Life:
    """One life of the daemon: all that is there from start to stop; see `steering.status.Life`."""

    def __init__(
        self, config: Config, config_file: str, load: Load, database: Database, pool: WorkerPool, last_id: int
    ) -> None:
        self.config_file = config_file
        self.refused = 0
        self.stopping = False
        self.manager = Manager()
        self.listener: Listener | None = None
        self._load = load
        self.clock = self._clock = Clock()
        self._started = self._clock.monotonic()
        self._reloading = anyio.Lock()
        self._is_ready = anyio.Event()
        self.pipeline = Pipeline(config, Files(), self._clock, database, pool, last_id, lambda: self.stopping)
        catalogue = Path(config.daemon.state_dir, "catalogue.db")
        database.writable = lambda: not self._may_wait() or has_room(catalogue)
        self.health = Health(
            self.pipeline.serving,
            self.pipeline.tracker,
            self._clock,
            lambda: database.starved or any(shelf.looking.locked() for shelf in self.pipeline.shelves),
            lambda name, error: self.pipeline.events.publish("watch", name=name, state="error", reason=error),
        )

    def _may_wait(self) -> bool:
        """Can it be waited for room, as whoever starts, stops or runs it once would not?"""
        return self._is_ready.is_set() and not self.stopping and not self.pipeline.stages.once

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic() - self._started

    def ready(self) -> None:
        """All watches that are online are up."""
        self._is_ready.set()
        self.manager.ready()
        for watch in self.pipeline.config.watches.values():
            where = printable(watch.path)
            log.info("watch %s: %s -> library %s (%s)", watch.name, where, watch.library, watch.action)

    async def stop_on_signal(self, tasks: anyio.abc.TaskGroup) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    tasks.start_soon(self._reload_and_say)
                    continue
                self.stopping = True
                _leave_hung_threads_behind()
                log.info("stopping")
                self.manager.stopping()
                tasks.cancel_scope.cancel()
                return

    async def _reload_and_say(self) -> None:
        try:
            await self.reload()
        except InvalidConfig:  # which `reload` has logged
            return
        except Exception:
            log.exception("the configuration was not reloaded")

    async def reload(self) -> tuple[Sequence[str], Sequence[str]]:
        """Read the configuration anew, all or nothing; returns what changed, and warnings.

        Raises:
            InvalidConfig: every problem; the old configuration stays in force.
        """
        await self._is_ready.wait()
        async with self._reloading:
            self.manager.reloading()
            try:
                return await self._reload()
            except InvalidConfig as error:
                self._say_refused(error.problems)
                raise
            finally:
                self.manager.ready()

    def _say_refused(self, problems: Sequence[str]) -> None:
        self.refused = len(problems)
        for problem in problems:
            log.error("%s", problem)
        log.error("the configuration was not reloaded; the old one stays in force")
        self.pipeline.events.publish("reload", state="refused", reason=f"{self.refused} problems")

    async def _reload(self) -> tuple[list[str], list[str]]:
        old = self.pipeline.config
        new, self.config_file = await anyio.to_thread.run_sync(self._load)
        warnings = await anyio.to_thread.run_sync(_checked, new)
        gid = await anyio.to_thread.run_sync(_group, new)
        if problems := await self.pipeline.shelves.try_out(new):
            raise InvalidConfig(problems)
        if self.listener is not None:  # always: an earlier try may have failed
            await anyio.to_thread.run_sync(self.listener.regroup, gid)
        await self.pipeline.configure(new)
        log.setLevel(new.daemon.log_level.upper())
        self.refused = 0
        changes = differences(old, new)
        for change in changes or ("nothing has changed",):
            log.info("reloaded: %s", change)
        for warning in warnings:
            log.warning("%s", warning)
        self.pipeline.events.publish("reload", state="done", reason="; ".join(changes))
        return changes, warnings


async def _serve(config: Config, config_file: str, load: Load, state: Path, once: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        catalogue = state / "catalogue.db"
        is_new = await anyio.to_thread.run_sync(_is_lost, catalogue)
        database = Database(await anyio.to_thread.run_sync(open_at_start, catalogue))
        stack.push_async_callback(_close, database.close)
        reader = Reader(await anyio.to_thread.run_sync(open_reader, catalogue))
        stack.push_async_callback(_close, reader.close)
        last_id = await database.run(journal.last_id)
        async with (
            anyio.create_task_group() as tasks,
            WorkerPool(config.daemon.workers or default_size(), nice=_YIELDING) as pool,
            WorkerPool(_analysts(config), time_limit=_ANALYSIS, nice=_LAST) as analysts,
        ):
            life = _Life(config, config_file, load, database, pool, last_id)
            stack.callback(life.manager.close)
            tasks.start_soon(life.stop_on_signal, tasks)
            pool.prestart()
            life.listener = await _listen(config, once)
            importer = Importer(life.pipeline, pool, catalogue)
            daemon = Daemon(life, reader, life.reload, importer)
            if life.listener is not None:
                stack.push_async_callback(_close, life.listener.close)

            def ready() -> None:
                """Who connected before waits until now, and is told of watches that are up."""
                life.ready()
                if not once:
                    tasks.start_soon(backups.keep, life.pipeline.changed)
                    tasks.start_soon(life.pipeline.analyser.keep, reader, analysts, _analysts(config))
                if life.listener is not None:
                    tasks.start_soon(Server(life.listener, daemon).run)

            if is_new:
                log.warning("%s", _LOST)
            backups = Backups(
                catalogue,
                database,
                life.clock,
                lambda: [shelf.library for shelf in life.pipeline.shelves if shelf.library and shelf.online],
                life.pipeline.unsaved,
                lambda: life.stopping,
            )
            if once:
                life.pipeline.at_rest = backups.round
            tasks.start_soon(life.health.keep)
            tasks.start_soon(life.manager.keep, life)
            await life.pipeline.run(once=once, ready=ready)
            tasks.cancel_scope.cancel()
        await backups.of_catalogue(stopping=lambda: False)
    if not once:
        return 0
    totals = life.pipeline.recorder.totals
    troubled = any(totals.get(what) for what in ("quarantined", "failed"))
    return EXIT_INCOMPLETE if life.stopping or life.pipeline.held() or troubled else 0


def _analysts(config: Config) -> int:
    """How many files are looked at in the background at a time: half as many as processors, at least one."""
    return max(1, (config.daemon.workers or default_size()) // 2)


def _is_lost(catalogue: Path) -> bool:
    """Is there no catalogue, though there was one once?"""
    gone = not catalogue.exists() or not catalogue.stat().st_size
    return gone and bool(backup.backups(catalogue))


async def _close(call: Callable[[], None]) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(call)


async def _listen(config: Config, once: bool) -> Listener | None:
    """The control socket; a run that ends by itself does without it where there is none to be had.

    Raises:
        InvalidConfig, AlreadyHeld: there is none.
    """
    gid = await anyio.to_thread.run_sync(_group, config)
    try:
        return await anyio.to_thread.run_sync(functools.partial(open_listener, config.daemon.sockets, gid))
    except (InvalidConfig, AlreadyHeld) as error:
        if not once:
            raise
        log.debug("no control socket: %s", error)
        return None
