"""`Import`: checks what is asked for, follows the import, and tells its progress and its verdict."""

from __future__ import annotations

import functools
import getpass
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from mediad.config import Watch
from mediad.config.checks import contains
from mediad.control import access
from mediad.control.calls import Call, Reply
from mediad.control.peer import Peer
from mediad.control.protocol import InvalidParameter, path_fields, paths_from
from mediad.errors import MediadError, NotPermitted, Refused, SourceGone, printable
from mediad.files import Files, stat_of
from mediad.ingest.importing import Import
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.preview import Preview
from mediad.model import Sighting
from mediad.roots import overlaps
from mediad.steering.status import flights
from mediad.store.database import Database, open_copy
from mediad.workers import WorkerPool

_EVERY = 1.0  # seconds between two replies that tell the progress
_TRIAL = "import:"  # no watch's name
_ACL = "system.posix_acl_access"
_TAKEN = ("filed", "duplicate", "ignored")


class Importer:
    """Answers calls of `Import`.

    Args:
        catalogue: the database file, of which a dry run has a copy.
    """

    def __init__(self, pipeline: Pipeline, pool: WorkerPool, catalogue: Path) -> None:
        self._pipeline = pipeline
        self._pool = pool
        self._catalogue = catalogue

    async def call(self, call: Call, reply: Reply) -> Mapping[str, object]:
        """Import what a call names; cancelled, it ends and can be gone on with.

        Raises:
            InvalidParameter, Refused, NotPermitted, SourceGone: nothing was begun.
        """
        asked = call.parameters
        paths = paths_from(asked)
        if not paths:
            raise InvalidParameter("paths")
        library = self._library(asked["library"])
        root, starts = await anyio.to_thread.run_sync(self._sources, paths, call.peer)
        label = asked["label"] or ""
        if asked["dry_run"]:
            return await self._forecast(root, starts, library, label)
        if (pause := self._pipeline.pause_of(library)) is not None:
            what = pause.name or "everything"
            raise Refused(f"{what} is paused", remedy=f"mediactl resume {pause.name}".rstrip())
        allowed = None if call.peer.trusted else functools.partial(_may_read, root, call.peer)
        return await self._follow(Import(self._pipeline, root, starts, library, label, allowed), reply)

    def _library(self, name: str | None) -> str:
        libraries = list(self._pipeline.config.libraries)
        if name is None and len(libraries) > 1:
            raise Refused(
                f"there are several libraries ({', '.join(libraries)})", remedy="say --library NAME"
            )
        if name is not None and name not in libraries:
            raise Refused(
                f'there is no library "{printable(name)}"', remedy=f"there are {', '.join(libraries)}"
            )
        if name is None and not libraries:
            raise Refused(
                "there is no library", remedy="write one into the configuration, then mediactl reload"
            )
        return name or libraries[0]

    # -- what is asked for ----------------------------------------------------------------------------

    def _sources(self, paths: Sequence[bytes], peer: Peer) -> tuple[bytes, list[bytes]]:
        """The folder that everything lies in, and what of it to take. Blocks.

        Raises:
            SourceGone, NotPermitted, Refused.
        """
        real = [self._source(path, peer) for path in paths]
        if len(real) == 1 and os.path.isdir(real[0]):
            return real[0], [b""]
        root = os.path.dirname(real[0]) if len(real) == 1 else os.path.commonpath(real)
        root = root if os.path.isdir(root) else os.path.dirname(root)
        prefix = len(root.rstrip(b"/")) + 1
        return root, sorted({path[prefix:] for path in real})

    def _source(self, path: bytes, peer: Peer) -> bytes:
        """One path without links, if it may be taken from."""
        if not path.startswith(b"/"):
            raise InvalidParameter("paths")
        real = os.path.realpath(path)
        try:
            mode = os.stat(real).st_mode
            (os.listdir if stat.S_ISDIR(mode) else _open_and_close)(real)
        except FileNotFoundError:
            raise SourceGone("is not there", path=path) from None
        except OSError as error:
            raise self._unreadable(path, error) from None
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise Refused("is neither a folder nor a file", path=path)
        if not peer.trusted and not _may_reach(real, peer):
            raise NotPermitted("may not be read by you", path=path, remedy="have its owner let you read it")
        self._see_apart(path, os.fsdecode(real), folder=stat.S_ISDIR(mode))
        return real

    def _unreadable(self, path: bytes, error: OSError) -> MediadError:
        user = _user_name()
        return NotPermitted(
            f"cannot be read by mediad, which runs as {user}: {error.strerror}",
            path=path,
            remedy=f"setfacl -R -m u:{user}:rX {printable(path)}, and u:{user}:x for the folders above it",
        )

    def _see_apart(self, path: bytes, real: str, *, folder: bool) -> None:
        config = self._pipeline.config
        for root in config.roots():
            there = os.path.realpath(root.path)
            if contains(there, real) and root.kind == "watch":
                raise Refused(
                    f"lies in watch {root.name}, which takes it by itself",
                    path=path,
                    remedy=f"mediactl scan {root.name}",
                )
            if contains(there, real) or contains(real, there):
                relation = "lies in" if contains(there, real) else "has in it"
                raise Refused(f"{relation} {root.kind} {root.name}", path=path, remedy="name another folder")
        place = real if folder else os.path.dirname(real)
        watch = Watch.elsewhere(_TRIAL, place, next(iter(config.libraries)))
        for problem in overlaps(replace(config, watches={**config.watches, _TRIAL: watch})):
            _, inside, what = problem.partition(f"watch.{_TRIAL}.path: ")
            if inside or (folder and f'watch "{_TRIAL}"' in problem):
                raise Refused(
                    what.partition(";")[0]
                    or "on disk it has a watch, a library or the state directory in it",
                    path=path,
                    remedy="name another folder",
                )

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
        done = state == "done"
        finished = done and not troubles
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
            **{
                name: counts[name]
                for name in ("filed", "duplicate", "quarantined", "failed", "ignored", "gone")
            },
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
                for path, outcome, reason in troubles
            ],
            "complete": finished and not progress.barred if done else None,
            "message": _verdict(job, counts, len(troubles)) if done else None,
        }

    async def _forecast(
        self, root: bytes, starts: Sequence[bytes], library: str, label: str
    ) -> dict[str, object]:
        """What would become of these files."""
        watch = Watch.elsewhere("import", os.fsdecode(root), library, label)
        config = replace(self._pipeline.config, watches={"import": watch})
        paths = [root.rstrip(b"/") + b"/" + start if start else root for start in starts]
        counts: Counter[str] = Counter()
        not_taken: list[dict[str, object]] = []
        database = Database(await anyio.to_thread.run_sync(open_copy, self._catalogue))
        try:
            make = functools.partial(Preview, config, Files(), self._pipeline.clock, database, self._pool)
            preview = await anyio.to_thread.run_sync(make)
            async for forecast in preview.forecast(paths):
                counts[forecast.outcome] += 1
                if forecast.outcome not in (*_TAKEN, "known"):
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
            **{
                name: counts[name]
                for name in ("filed", "duplicate", "quarantined", "failed", "ignored", "gone")
            },
            "already": counts["known"],
            "batch": None,
            "library": library,
            "in_flight": [],
            "not_taken": not_taken[:1000],
            "complete": not not_taken,
            "message": f"{counts['filed']} new, {counts['duplicate'] + counts['known']} in {library} already,"
            f" {counts['ignored']} no media",
        }


def _verdict(job: Import, counts: Mapping[str, int], troubles: int) -> str:
    there = counts["duplicate"] + job.progress.already
    parts = [f"{counts['filed']} filed and verified"] if counts["filed"] or not there else []
    parts += [f"{there} in {job.library} already"] if there else []
    parts += [f"{counts['ignored']} left out (no media, empty or excluded)"] if counts["ignored"] else []
    parts += [f"{troubles} not taken"] if troubles else []
    parts += [f"{job.progress.barred} that you may not read"] if job.progress.barred else []
    return ", ".join(parts)


def _open_and_close(path: bytes) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.geteuid())


# --- What a member of the group may have read ---------------------------------------------------------


def _may_reach(path: bytes, peer: Peer) -> bool:
    """May a peer go through all folders above, and read this? Blocks."""
    parents: list[bytes] = []
    above = path
    while above != (above := os.path.dirname(above)):
        parents.append(above)
    searchable = all(_permits(os.stat(folder), _acl(folder), peer, access.SEARCH) for folder in parents)
    found = os.stat(path)
    want = access.READ | access.SEARCH if stat.S_ISDIR(found.st_mode) else access.READ
    return searchable and _permits(found, _acl(path), peer, want)


def _may_read(root: bytes, peer: Peer, sighting: Sighting) -> bool:
    """May a peer read this very file, and go through the folders between the root and it? Blocks."""
    folder, path = root, root.rstrip(b"/")
    try:
        for part in sighting.path.split(b"/"):
            if not _permits(os.lstat(folder), _acl(folder), peer, access.READ | access.SEARCH):
                return False
            path += b"/" + part
            folder = path
        found = os.lstat(path)
        return stat_of(found) == sighting.stat and _permits(found, _acl(path), peer, access.READ)
    except OSError:  # gone, or changed: whoever opens it would find another file
        return False


def _permits(found: os.stat_result, acl: bytes | None, peer: Peer, want: int) -> bool:
    return access.may_read(peer.uid, peer.gids, found, acl, want)


def _acl(path: bytes) -> bytes | None:
    try:
        return os.getxattr(path, _ACL, follow_symlinks=False)
    except OSError:  # it has none, or its filesystem knows none
        return None
