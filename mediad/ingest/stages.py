"""What all lanes share: the stages, and what is in flight in any of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from mediad.clock import Clock
from mediad.files import Files
from mediad.ingest.identify import Identifier
from mediad.ingest.meter import Meter
from mediad.ingest.place import Placer
from mediad.ingest.plan import Planner
from mediad.ingest.record import Recorder
from mediad.ingest.settle import Tracker
from mediad.ingest.shelves import Shelves
from mediad.model import Held, Sighting
from mediad.store.database import Database

if TYPE_CHECKING:
    from mediad.ingest.lane import Lane


@dataclass(slots=True)
class Stages:
    """What all lanes share.

    Attributes:
        stopping: true once the daemon was asked to stop; long reads and copies end early then.
        wake: tells the settle stage that there may be room again.
        lost: told of a watch whose folder could not be opened.
        closed: says of a watch that what has settled there is held.
        gather: called when a principal was filed whose set came in part before.
        once: nothing is waited for that may not come by itself (`run --once`).
        deferred: sets whose content is in flight in some lane, by digest, with the lane that has them.
        open_files: files that are held open until they are placed, those of deferred sets included.
        changed: called when something has landed or returned.
    """

    files: Files
    clock: Clock
    database: Database
    tracker: Tracker
    identifier: Identifier
    planner: Planner
    placer: Placer
    recorder: Recorder
    shelves: Shelves
    stopping: Callable[[], bool]
    wake: Callable[[], None]
    lost: Callable[[str, OSError], None]
    closed: Callable[[str], bool]
    gather: Callable[[], None]
    once: bool = False
    deferred: dict[bytes, list[tuple[Lane, Held]]] = field(default_factory=dict)
    open_files: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    def nudge(self) -> None:
        """Something that somebody may wait for has changed."""
        self.changed.set()
        self.changed = anyio.Event()

    async def wait(self, at_most: float) -> None:
        """Wait until something has landed, returned or otherwise changed, or so many seconds."""
        with anyio.move_on_after(at_most):
            await self.changed.wait()

    def enter(self, sighting: Sighting, stage: str) -> Meter:
        """Say what is being done with a file now."""
        meter = self.tracker.progress.get((sighting.root, sighting.place))
        if meter is None:
            meter = Meter(stage, sighting.stat.size)
            self.tracker.progress[sighting.root, sighting.place] = meter
        meter.enter(stage)
        return meter
