"""Listens to one folder by inotify, and starts again when that breaks.

One event on a name that is not UTF-8 breaks a watcher of watchfiles for good, and a limit may keep it from
starting. A folder of such a name breaks it whenever a scan opens it, so that replacing it at once would mean
to scan without end.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable

import anyio
import anyio.from_thread
import anyio.to_thread
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from mediad.clock import Clock
from mediad.ingest import coverage
from mediad.ingest.marks import topmost

_STEPS_MS = (50, 500)  # a watcher wakes that often while idle; well inside any settle time
_GROUP_MS = 200
_RESTART = 0.5  # seconds before a broken watcher is replaced
_DEAF_RESTART = 5.0  # the same, at most, while our own scans break it, or longer where they take long
_OWN_DOING = 1.0  # seconds after a scan within which a watcher breaks because of it; thin air
_DELETED = 3


class Ears:
    """What hears the events of a folder.

    Args:
        settle: seconds for which files settle.
        begun: called whenever a watcher has begun: what happened before, nobody heard.
        heard: told which paths changed, below the folder. broke: called when a watcher broke.
        threads: in which to listen.

    Attributes:
        gaps: what inotify does not cover. deaf: why nothing is heard any more, "" while something is.
    """

    def __init__(
        self,
        clock: Clock,
        settle: float,
        begun: Callable[[], None],
        heard: Callable[[set[bytes]], None],
        broke: Callable[[], None],
        threads: anyio.CapacityLimiter,
    ) -> None:
        self.gaps = coverage.Gaps()
        self.deaf = ""
        self._clock = clock
        self._step_ms = round(min(max(_STEPS_MS[0], settle * 250), _STEPS_MS[1]))
        self._begun = begun
        self._heard = heard
        self._broke = broke
        self._threads = threads
        self._since = math.inf
        self._restart = _RESTART
        self._scanned = -math.inf
        self._sparing = 0.0
        self._stop = threading.Event()

    @property
    def open(self) -> bool:
        """Is somebody listening now?"""
        return self._since < math.inf

    async def listen(self, root: bytes, ready: anyio.Event) -> None:
        """Listen until cancelled; a watcher that ends is replaced.

        Args:
            root: the folder. ready: set once it listens, or cannot.
        """

        def started() -> None:
            self._since = self._clock.monotonic()
            ready.set()
            self._begun()

        while True:
            self._stop = threading.Event()
            call = functools.partial(self._notify, root, self._stop, started)
            try:
                await anyio.to_thread.run_sync(call, limiter=self._threads, abandon_on_cancel=True)
            except (OSError, WatchfilesRustInternalError) as error:
                self._broken(error)
            finally:
                self._since = math.inf
            ready.set()
            await anyio.sleep(self._restart)

    def close(self) -> None:
        """End the watcher that listens now; `listen` replaces it."""
        self._stop.set()

    def scanned(self, ended: float, sparing: float) -> None:
        """Everything was scanned.

        Args:
            ended: when, on the monotonic clock. sparing: seconds between such scans that cost little.
        """
        self._scanned, self._sparing = ended, sparing

    def hears_again(self) -> bool:
        """Has what broke now outlived a scan? Then it may be replaced at once again; true only once."""
        if self._restart > _RESTART and self._outlived_a_scan():
            self._restart, self.deaf = _RESTART, ""
            return True
        return False

    def _outlived_a_scan(self) -> bool:
        """Has the watcher that listens now seen a whole scan of ours, and survived it?"""
        return self._since < self._scanned < self._clock.monotonic() - _OWN_DOING

    def _broken(self, error: Exception) -> None:
        """A watcher broke, or could not start."""
        longest = max(_DEAF_RESTART, self._sparing)
        self._restart = _RESTART if self._outlived_a_scan() else min(2 * self._restart, longest)
        if self._restart >= _DEAF_RESTART:
            self.deaf = f"inotify fails here, so it is looked at every {self._restart:.0f} s: {error}"
        self.gaps.broke()
        self._broke()

    def _notify(self, root: bytes, stop: threading.Event, started: Callable[[], None]) -> None:
        """Runs in a thread: RustNotify walks the tree when made, which would block the event loop."""
        top = os.fsdecode(root)
        more = [os.path.join(top, os.fsdecode(path)) for path in topmost(self.gaps.by_name) if path]
        notify = RustNotify([top, *more], False, False, 0, True, True)
        try:
            anyio.from_thread.run_sync(started)
            while not stop.is_set():
                changes = notify.watch(_GROUP_MS, self._step_ms, 5000, stop)
                if isinstance(changes, set):
                    prefix = len(root) + 1
                    paths = {os.fsencode(name)[prefix:] for kind, name in changes if kind != _DELETED}
                    anyio.from_thread.run_sync(self._heard, paths)
        finally:
            notify.close()
