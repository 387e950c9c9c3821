"""`Status`: the state of everything, from memory, in one step of the event loop, so that its numbers fit."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable
from typing import Protocol

from mediad import __version__
from mediad.control.protocol import path_fields, time_text
from mediad.ingest.health import Health
from mediad.ingest.pauses import EVERYTHING
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.serving import Served
from mediad.ingest.shelf import Shelf
from mediad.model import Counts, Result, Sighting
from mediad.steering.attention import attention

_MOST_FLIGHTS = 20  # shown of those in flight: the largest that are being worked on


class Life(Protocol):
    """What a status tells of the daemon itself.

    Attributes:
        config_file: absolute. refused: how many problems the configuration had that was last refused.
    """

    pipeline: Pipeline
    health: Health
    config_file: str
    refused: int

    @property
    def stopping(self) -> bool: ...

    @property
    def uptime(self) -> float: ...


def status(life: Life) -> dict[str, object]:
    """The reply to `Status`."""
    pipeline = life.pipeline
    counts = pipeline.counts()
    everything = pipeline.pauses.of(EVERYTHING)
    watches = [
        _watch(pipeline, life.health, served, counts.get(name, Counts()))
        for name, served in pipeline.serving.watches.items()
        if not served.retiring
    ]
    libraries = [_library(pipeline, shelf) for shelf in pipeline.shelves if not shelf.leaving]
    queue = total(counts.values())
    return {
        "state": "stopping" if life.stopping else "paused" if everything else "running",
        "version": __version__,
        "pid": os.getpid(),
        "uptime_s": int(life.uptime),
        "paused_until": time_text(everything.until) if everything else None,
        "config": life.config_file,
        "watches": watches,
        "libraries": libraries,
        "queue": counts_document(queue, life.pipeline.analyser.to_analyse),
        "in_flight": flights(pipeline, pipeline.tracker.flights()),
        "totals": _totals(pipeline),
        "attention": attention(life, watches, libraries, counts),
    }


def total(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    return sum(counts, Counts())


def counts_document(counts: Counts, to_analyse: int = 0) -> dict[str, int]:
    """As the interface has them.

    Args:
        to_analyse: library files that are still to be compared; no watch has any.
    """
    return {
        "settling": counts.settling,
        "waiting": counts.waiting,
        "in_flight": counts.in_flight,
        "held": counts.held,
        "to_analyse": to_analyse,
    }


def flights(pipeline: Pipeline, sightings: Iterable[Sighting]) -> list[dict[str, object]]:
    """The largest files that are being worked on, with how far that is."""
    progress = pipeline.tracker.progress

    def rank(sighting: Sighting) -> tuple[bool, int]:
        return (sighting.root, sighting.place) in progress, sighting.stat.size

    told: list[dict[str, object]] = []
    for sighting in heapq.nlargest(_MOST_FLIGHTS, sightings, rank):
        meter = progress.get((sighting.root, sighting.place))
        told.append(
            {
                **path_fields("path", pipeline.absolute(sighting)),
                "stage": meter.stage if meter else "queued",
                "bytes_done": min(meter.done, sighting.stat.size) if meter else 0,
                "bytes": sighting.stat.size,
            }
        )
    return told


def _watch(pipeline: Pipeline, health: Health, served: Served, counts: Counts) -> dict[str, object]:
    settings, watcher = pipeline.roster.settings[served.name], served.watcher
    assert watcher is not None
    pause = pipeline.gates.pause_of(served.name)
    state, error = str(watcher.state), watcher.error
    if stuck := health.hung(served.name):
        state, error = "error", stuck
    elif pause is not None and not watcher.away:
        state = "paused"
    return {
        "name": served.name,
        **path_fields("path", os.fsencode(settings.path)),
        "library": settings.library,
        "action": settings.action,
        "state": state,
        "error": error or None,
        "paused": pause is not None,
        "paused_until": time_text(pause.until) if pause else None,
        "last_complete_scan": time_text(watcher.last_complete_scan),
        "found_by_scan": watcher.found_by_scan,
        "queue": counts_document(counts),
    }


def _library(pipeline: Pipeline, shelf: Shelf) -> dict[str, object]:
    files, size = pipeline.recorder.holdings.get(shelf.id, (0, 0))
    pause = pipeline.pauses.of(EVERYTHING, shelf.settings.name)
    return {
        "name": shelf.settings.name,
        **path_fields("path", os.fsencode(shelf.settings.path)),
        "state": str(shelf.told),
        "error": shelf.error or None,
        "paused": pause is not None,
        "paused_until": time_text(pause.until) if pause else None,
        "files": files,
        "bytes": size,
        "free_bytes": shelf.free,
        "last_verify": time_text(pipeline.verifier.last(shelf.id)),
    }


def _totals(pipeline: Pipeline) -> dict[str, int]:
    """What has become of all files, but for those that are tried again: they are in the queue."""
    tally, again = pipeline.recorder.tally, pipeline.tracker.told_before()
    return {
        **{result.value: max(0, tally.files.get(result, 0) - again[result]) for result in Result},
        "bytes_filed": tally.bytes_filed,
    }
