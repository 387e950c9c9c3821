"""Health: does the work in flight get on, and if not, is it a filesystem that hangs or are we at fault?

A thread of a lane that neither ends nor moves a byte waits for a filesystem: the watch is in error, and
nothing can be done but to go on with the others. A lane that stands still although no thread works for it
is a fault of ours, and then the watchdog may have us restarted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from mediad.clock import Clock
from mediad.ingest.lane import Lane
from mediad.ingest.serving import Served, Serving
from mediad.ingest.settle import Tracker

_LOOK = 10.0  # seconds between looks while there is work
_HUNG = 60.0  # seconds in which a thread has not moved a byte; a disk that recovers an error takes up to 30
_STALLED = 300.0  # seconds in which a lane has not moved though no thread works for it; thin air

log = logging.getLogger("mediad")


@dataclass(slots=True)
class _Seen:
    """How far a lane was when it last moved."""

    state: tuple[float, int]
    since: float


class Health:
    """Looks at the lanes now and then.

    Args:
        excused: is there another reason for lanes to stand still?
        changed: told of a watch that hangs, or no longer does, and of how.
    """

    def __init__(
        self,
        serving: Serving,
        tracker: Tracker,
        clock: Clock,
        excused: Callable[[], bool],
        changed: Callable[[str, str], None],
    ) -> None:
        self._serving = serving
        self._tracker = tracker
        self._clock = clock
        self._excused = excused
        self._changed = changed
        self._seen: dict[Lane, _Seen] = {}
        self._hung: dict[str, float] = {}
        self.stalled = ""

    def hung(self, name: str) -> str:
        """What hangs in a watch, "" if nothing does."""
        since, served = self._hung.get(name), self._serving.get(name)
        if since is None or served is None or not any(lane.busy for lane in served.lanes):
            return ""  # of what has gone on meanwhile the next look says so
        return f"hung: no progress for {self._clock.monotonic() - since:.0f} s (slow or dead disk or mount?)"

    async def keep(self) -> None:
        """Go on looking."""
        while True:
            self.look()
            await anyio.sleep(_LOOK)

    def look(self) -> None:
        """See which lanes get on."""
        now = self._clock.monotonic()
        self.stalled = ""
        for name, served in self._serving.items():
            since = self._look_at(name, served, now)
            if since is not None and name not in self._hung:
                self._hung[name] = since
                log.warning("watch %s is %s", name, self.hung(name))
                self._changed(name, self.hung(name))
            elif since is None and self._hung.pop(name, None) is not None:
                log.info("watch %s goes on", name)
                self._changed(name, "")
        for gone in self._hung.keys() - set(self._serving):
            del self._hung[gone]
        lanes = {lane for served in self._serving.values() for lane in served.lanes}
        self._seen = {lane: seen for lane, seen in self._seen.items() if lane in lanes}
        if self._hung or self._excused():  # others may wait for those
            self.stalled = ""

    def _look_at(self, name: str, served: Served, now: float) -> float | None:
        """Since when one of its lanes hangs; None if none does."""
        found: float | None = None
        # Threads enter files meanwhile. Only a copy comes about in one piece; a list of items may not, since
        # the garbage collector can run in its midst, and another thread with that.
        meters = self._tracker.progress.copy()
        done = sum(meter.done for (root, _), meter in meters.items() if root == name)
        for lane in served.lanes:
            state = (lane.progressed, done)
            seen = self._seen.get(lane)
            if not lane.busy or seen is None or seen.state != state:
                self._seen[lane] = _Seen(state, now)
            elif lane.in_thread and now - seen.since >= _HUNG:
                found = seen.since if found is None else min(found, seen.since)
            elif not lane.in_thread and now - seen.since >= _STALLED:
                self.stalled = f"watch {name} has not got on for {now - seen.since:.0f} s"
        return found
