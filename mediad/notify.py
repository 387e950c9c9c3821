"""What systemd is told, by sd_notify(3): ready, reloading, stopping, a line of status, and signs of life."""

from __future__ import annotations

import os
import time
from typing import Protocol

import anyio
import sdnotify

from mediad.ingest.health import Health
from mediad.ingest.pauses import EVERYTHING
from mediad.ingest.pipeline import Pipeline

_EVERY = 2.0  # seconds at least between two lines of status
_ANSWER = 30.0  # seconds in which the database has to answer; a backup or a long checkpoint takes a few


class Life(Protocol):
    """What is told about."""

    pipeline: Pipeline
    health: Health


class Manager:
    """The service manager; nothing happens where there is none."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.setblocking(False)  # a manager that reads nothing must not stop us
        self._watched = _watchdog_seconds()
        self._asked: float | None = None

    def close(self) -> None:
        """There is nothing more to tell."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()

    def _tell(self, text: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(text)

    def ready(self) -> None:
        """It is up, or has taken over a new configuration."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It reads its configuration anew; `ready` ends this."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It was asked to stop."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    async def keep(self, life: Life) -> None:
        """Tell how things stand, until cancelled; costs nothing where nobody listens."""
        if self._notifier is None:
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_status, life.pipeline)
            if self._watched:
                tasks.start_soon(self._show_life, life, self._watched / 2)

    async def _tell_status(self, pipeline: Pipeline) -> None:
        told = ""
        while True:
            changed = pipeline.stages.changed
            if (line := status_line(pipeline)) != told:
                told = line
                self._tell(f"STATUS={line}")
            await changed.wait()
            await anyio.sleep(_EVERY)

    async def _show_life(self, life: Life, every: float) -> None:
        """WATCHDOG=1, as long as the work gets on and the database answers."""
        async with anyio.create_task_group() as asking:
            while True:
                if self._asked is None:
                    self._asked = anyio.current_time()
                    asking.start_soon(self._ask_database, life.pipeline)
                answers = self._asked is None or anyio.current_time() - self._asked < max(_ANSWER, every)
                if answers and not life.health.stalled:
                    self._tell("WATCHDOG=1")
                await anyio.sleep(every)

    async def _ask_database(self, pipeline: Pipeline) -> None:
        await pipeline.database.run(lambda connection: connection.execute("SELECT 1").fetchone())
        self._asked = None


def status_line(pipeline: Pipeline) -> str:
    """How things stand, in one line of ASCII: sdnotify knows no more letters."""
    counts = pipeline.counts().values()
    settling, waiting = sum(c.settling for c in counts), sum(c.waiting + c.in_flight for c in counts)
    held = sum(c.held for c in counts)
    pause = pipeline.pauses.of(EVERYTHING)
    parts = ["paused" if pause else f"watching {len(pipeline.serving.watches)}"]
    shut = [shelf for shelf in pipeline.shelves if not (shelf.online or shelf.leaving or shelf.arriving)]
    away = [shelf.settings.name for shelf in shut]
    parts += [f"library {', '.join(away)} away"] if away else []
    named = [pause.name for pause in pipeline.pauses.all() if pause.name]
    parts += [f"paused: {', '.join(named)}"] if named else []
    numbers = ((waiting, "being filed"), (settling, "settling"), (held, "held"))
    parts += [f"{count} {what}" for count, what in numbers if count]
    tally = pipeline.recorder.tally
    parts.append(f"{tally.files.get('filed', 0)} filed")
    if troubled := sum(tally.troubled.values()):
        parts.append(f"{troubled} failed or quarantined")
    return "; ".join(parts).encode("ascii", "replace").decode("ascii")


def _watchdog_seconds() -> float:
    """How often systemd wants a sign of life (sd_watchdog_enabled(3)); 0 for never."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(microseconds) / 1e6
