"""Wiring: the daemon's life from its configuration to its exit code.

Signals, logging, the locks that keep a second daemon out, and what systemd is told.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import sdnotify

from mediad import __version__, eventloop
from mediad.clock import Clock
from mediad.config import Config
from mediad.errors import CatalogueBroken, InvalidConfig, LibraryReadOnly, printable
from mediad.files import Files
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.roster import Roster
from mediad.library import lock_file
from mediad.roots import check_system, system_warnings
from mediad.store import journal
from mediad.store.database import Database, open_database
from mediad.workers import WorkerPool, default_size

_STOP_LIMIT = 20.0  # seconds in which work in flight may end; well inside systemd's 90
EXIT_INCOMPLETE = 3  # `run --once`: some quarantined, failed or held

log = logging.getLogger("mediad")

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


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


def run(config: Config, *, config_file: str, once: bool) -> int:
    """Serve until SIGTERM or SIGINT; with `once`, until what the watches hold is filed.

    Returns:
        0, or 3 where `once` left something quarantined, failed or held.

    Raises:
        InvalidConfig, AlreadyHeld, CatalogueBroken: the daemon cannot start.
    """
    set_up_logging(config.daemon.log_level)
    if problems := check_system(config):
        raise InvalidConfig(problems)
    for warning in (*config.warnings, *system_warnings(config)):
        log.warning("%s", warning)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # a lease that is broken while we look says so by a signal
    _raise_descriptor_limit()
    with _state(config) as state:
        log.info("mediad %s started with %s", __version__, printable(config_file))
        return eventloop.run(_serve, config, state, once)


def _raise_descriptor_limit() -> None:
    """Files stay open from hashing to filing; the soft limit of 1024 is for programs that use select."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


@contextlib.contextmanager
def _state(config: Config) -> Iterator[Path]:
    """The state directory, made and locked."""
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


async def _serve(config: Config, state: Path, once: bool) -> int:
    clock = Clock()
    notifier = sdnotify.SystemdNotifier()
    stopping = False

    def is_stopping() -> bool:
        return stopping

    def ready() -> None:
        notifier.notify("READY=1")
        for watch in config.watches.values():
            log.info(
                "watch %s: %s -> library %s (%s)",
                watch.name,
                printable(watch.path),
                watch.library,
                watch.action,
            )

    connection = await anyio.to_thread.run_sync(open_database, state / "catalogue.db")
    database = Database(connection)
    try:
        watches = await anyio.to_thread.run_sync(Roster, config, Files(), clock)
        last_id = await database.run(journal.last_id)
        async with (
            anyio.create_task_group() as tasks,
            WorkerPool(config.daemon.workers or default_size()) as pool,
        ):

            async def stop_on_signal() -> None:
                nonlocal stopping
                with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                    async for number in signals:
                        if number == signal.SIGHUP:
                            log.warning("the configuration is read at the start only: restart to change it")
                            continue
                        stopping = True
                        _leave_hung_threads_behind()
                        log.info("stopping")
                        notifier.notify("STOPPING=1")
                        tasks.cancel_scope.cancel()
                        return

            tasks.start_soon(stop_on_signal)
            pool.prestart()
            pipeline = Pipeline(config, watches, Files(), clock, database, pool, last_id, is_stopping)
            await pipeline.run(once=once, ready=ready)
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(database.close)
    if not once:
        return 0
    totals = pipeline.recorder.totals
    incomplete = stopping or pipeline.held() or any(totals.get(what) for what in ("quarantined", "failed"))
    return EXIT_INCOMPLETE if incomplete else 0
