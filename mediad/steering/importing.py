"""`Import`: checks what is asked for, follows the import, and tells its progress and its verdict."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from mediad.config import Watch
from mediad.control.calls import Call, Reply
from mediad.control.protocol import path_fields, paths_from
from mediad.errors import Misused, Refused, printable
from mediad.files import Files
from mediad.ingest.importing import Import
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.preview import Preview
from mediad.model import Result
from mediad.steering.sources import Finder, Sources
from mediad.steering.status import flights
from mediad.store.database import Database, open_copy
from mediad.workers import WorkerPool

_EVERY = 1.0  # seconds between two replies that tell the progress
_MOST_TOLD = 1000  # files that were not taken
_TAKEN = ("filed", "duplicate", "ignored", "known")
_NOT_TAKEN = ("quarantined", "failed", "gone")


class Importer:
    """Answers calls of `Import`.

    Args:
        catalogue: the database file, of which a dry run has a copy.
    """

    def __init__(self, pipeline: Pipeline, pool: WorkerPool, catalogue: Path) -> None:
        self._pipeline = pipeline
        self._pool = pool
        self._catalogue = catalogue
        self._finder = Finder()

    async def call(self, call: Call, reply: Reply) -> Mapping[str, object]:
        """Import what a call names; cancelled, it ends and can be gone on with.

        Raises:
            InvalidParameter, Misused, Refused, NotPermitted, SourceGone: nothing was begun.
        """
        asked = call.parameters
        paths = paths_from(asked)
        library = self._library(asked["library"])
        sources = await self._finder.find(self._pipeline.config, paths, call.peer)
        label = asked["label"] or ""
        if asked["dry_run"]:
            return await self._forecast(sources, library, label)
        if (pause := self._pipeline.gates.pause_of(library)) is not None:
            what = pause.name or "everything"
            raise Refused(f"{what} is paused", remedy=f"mediactl resume {pause.name}".rstrip())
        job = Import(self._pipeline, sources.root, sources.starts, library, label, sources.files)
        return await self._follow(job, reply)

    def _library(self, name: str | None) -> str:
        libraries = list(self._pipeline.config.libraries)
        if name is None and len(libraries) > 1:
            raise Misused(
                f"there are several libraries ({', '.join(libraries)})", remedy="say --library NAME"
            )
        if name is not None and name not in libraries:
            raise Misused(
                f'there is no library "{printable(name)}"', remedy=f"there are {', '.join(libraries)}"
            )
        if name is None and not libraries:
            raise Refused(
                "there is no library", remedy="write one into the configuration, then mediactl reload"
            )
        return name or libraries[0]

    # -- the import -----------------------------------------------------------------------------------

    async def _follow(self, job: Import, reply: Reply) -> dict[str, object]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell, job, reply)
            await job.run()
            tasks.cancel_scope.cancel()
        return self._document(job, "done")

    async def _tell(self, job: Import, reply: Reply) -> None:
        while True:
            await anyio.sleep(_EVERY)
            if job.batch is not None:
                counting = job.progress.files is None
                state = "counting" if counting else "held" if job.progress.held else "importing"
                await reply(self._document(job, state))

    def _document(self, job: Import, state: str) -> dict[str, object]:
        progress, batch = job.progress, job.batch
        counts = Counter(batch.counts if batch is not None else {})
        troubles = [*(batch.troubles if batch is not None else ()), *progress.troubles]
        barred = batch.barred if batch is not None else 0
        missing = sum(counts[outcome] for outcome in _NOT_TAKEN) + progress.troubled
        done = state == "done"
        finished = done and not missing
        ended = progress.done + counts.total()
        size = progress.done_size + (batch.size if batch is not None else 0)
        flying = [seen for seen in self._pipeline.tracker.flights() if seen.root == job.key]
        return {
            "state": state,
            "reason": progress.held or None,
            "files": progress.files,
            "bytes": progress.size,
            "files_done": ended,
            "bytes_done": (progress.size or size) if finished else size,
            **_outcomes(counts),
            "ignored": counts["ignored"] - barred,
            "already": progress.already,
            "batch": batch.id if batch is not None else None,
            "library": job.library,
            "in_flight": flights(self._pipeline, flying),
            "not_taken": [
                {
                    **path_fields("path", job.root.rstrip(b"/") + b"/" + path),
                    "outcome": outcome,
                    "reason": reason,
                }
                for path, outcome, reason in troubles[:_MOST_TOLD]
            ],
            "complete": finished and not barred if done else None,
            "message": _verdict(job, counts, missing, barred) if done else None,
        }

    async def _forecast(self, sources: Sources, library: str, label: str) -> dict[str, object]:
        """What would become of these files."""
        watch = Watch.elsewhere("import", os.fsdecode(sources.root), library, label)
        config = replace(self._pipeline.config, watches={"import": watch})
        counts: Counter[str] = Counter()
        missing = 0
        not_taken: list[dict[str, object]] = []
        database = Database(await anyio.to_thread.run_sync(open_copy, self._catalogue))
        try:
            preview = await anyio.to_thread.run_sync(
                Preview, config, Files(), self._pipeline.clock, database, self._pool, sources.files
            )
            async for forecast in preview.forecast_below("import", sources.starts):
                counts[forecast.outcome] += 1
                missing += forecast.outcome not in _TAKEN
                if forecast.outcome not in _TAKEN and len(not_taken) < _MOST_TOLD:
                    told = {"outcome": forecast.outcome, "reason": forecast.reason}
                    not_taken.append({**path_fields("path", forecast.path), **told})
        finally:
            database.close()
        return {
            "state": "planned",
            "reason": None,
            "files": counts.total(),
            "bytes": None,
            "files_done": 0,
            "bytes_done": 0,
            **_outcomes(counts),
            "already": counts["known"],
            "batch": None,
            "library": library,
            "in_flight": [],
            "not_taken": not_taken,
            "complete": not missing,
            "message": f"{counts['filed']} new, {counts['duplicate'] + counts['known']} in {library} already,"
            f" {counts['ignored']} no media",
        }


def _outcomes(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in Result}


def _verdict(job: Import, counts: Mapping[str, int], missing: int, barred: int) -> str:
    left_out = counts["ignored"] - barred
    there = counts["duplicate"] + job.progress.already
    parts = [f"{counts['filed']} filed and verified"] if counts["filed"] or not there else []
    parts += [f"{there} in {job.library} already"] if there else []
    parts += [f"{left_out} left out (no media, empty or excluded)"] if left_out else []
    parts += [f"{missing} not taken"] if missing else []
    parts += [f"{barred} that you may not read"] if barred else []
    return ", ".join(parts)
