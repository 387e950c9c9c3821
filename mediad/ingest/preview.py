"""Preview: what would happen to files, decided by the same stages and planner, on a copy of the catalogue.

Nothing is waited for and nothing is touched: what is not at rest is said to be settling.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio
import anyio.to_thread
import apsw

from mediad.behalf import BARRED
from mediad.clock import Clock
from mediad.config import Config, Library
from mediad.errors import MediadError, NotPermitted, printable
from mediad.files import Files, Tree, source_error
from mediad.ingest import witnesses
from mediad.ingest.identify import Identifier
from mediad.ingest.kin import WINDOW
from mediad.ingest.moves import never
from mediad.ingest.plan import Planner, Waits
from mediad.ingest.roster import Entry, Roster, library_folder
from mediad.library import OpenLibrary, marker_there, see_room
from mediad.media import companions, siblings
from mediad.model import Held, Plan, Result, Settled, Sighting, Step
from mediad.probing import Capabilities
from mediad.store import catalogue, times
from mediad.store.database import Database
from mediad.store.swapped import expected
from mediad.store.world import CatalogueWorld
from mediad.workers import WorkerPool

_BATCH = 32
_APART = "cannot be hard-linked: its library lies on another filesystem"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of one file.

    Attributes:
        path: absolute. outcome: as in the contract of `Result`, or "settling", "known", "held" or "barred".
        destination: absolute, None if it would stay or its content is that of another new file.
        undated: media that would be filed without a date.
    """

    path: bytes
    outcome: str
    destination: bytes | None
    reason: str
    undated: bool = False


class Preview:
    """Plans for what watches hold, or for given paths.

    Args:
        database: a private copy of the catalogue.
        source: by which the watches are read; None: as all else.
    """

    def __init__(
        self,
        config: Config,
        files: Files,
        clock: Clock,
        database: Database,
        pool: WorkerPool,
        source: Files | None = None,
    ) -> None:
        self._config = config
        self._files = files
        self._clock = clock
        self._database = database
        self._planner = Planner(config)
        self._entries = Roster.of_watches(config, source or files, clock)
        self._identifier = Identifier(files, self._entries.places, pool, clock, never, {})
        self._limiter = anyio.CapacityLimiter(2)
        self._libraries: dict[str, tuple[int, OpenLibrary]] = {}
        self._opened = False
        self._held: dict[str, str] = {}  # the libraries that take nothing now: why

    async def forecast(self, paths: Sequence[bytes]) -> AsyncIterator[Forecast]:
        """Yield a forecast for each file: below `paths`, or in all watches where none are given.

        A folder on the way that cannot be read has a forecast of its own, "failed".

        Raises:
            SourceGone, NotPermitted: a given path cannot be read or lies in no watch.
        """
        for name, starts in (await anyio.to_thread.run_sync(self._starts, paths)).items():
            async for forecast in self.forecast_below(name, starts, asked=bool(paths)):
                yield forecast

    async def forecast_below(
        self, name: str, starts: Sequence[bytes], *, asked: bool = True
    ) -> AsyncIterator[Forecast]:
        """Like `forecast`, for folders and files below one watch, relative to it.

        Args:
            asked: raise if one of them cannot be read, instead of a forecast.
        """
        if not self._opened:
            await self._open_libraries()
        look = functools.partial(self._look, self._entries[name], starts, asked=asked)
        sightings, unread = await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
        for forecast in unread:
            yield forecast
        known, groups = await self._database.run(functools.partial(self._sort_out, sightings))
        for sighting, why in known:
            yield self._told(sighting, "known", why)
        for start in range(0, len(groups), _BATCH):
            for forecast in await self._batch(groups[start : start + _BATCH]):
                yield forecast

    async def _open_libraries(self) -> None:
        self._opened = True
        self._clock.recorded(await self._database.run(times.newest))
        for name, settings in self._config.libraries.items():
            try:
                await self._open_library(name, settings)
            except OSError as error:
                self._held[name] = error.strerror or str(error)
            except MediadError as error:
                self._held[name] = printable(str(error))

    async def _open_library(self, name: str, settings: Library) -> None:
        """Have a library to plan with.

        Raises:
            OSError, LibraryOffline, ...: it takes nothing now, which says why; what it has may be known.
        """
        tree = Tree(self._files, os.fsencode(settings.path))
        asked = functools.partial(expected, library=settings, configured=self._config.libraries.values())
        _, known, swapped = await self._database.run(asked)
        marker = await anyio.to_thread.run_sync(marker_there, settings, known, swapped)
        library = await anyio.to_thread.run_sync(
            OpenLibrary, settings, tree, marker or "", -1, Capabilities(True, True, False), None
        )
        row = await self._database.run(
            functools.partial(
                catalogue.remember_library, name=name, marker=marker or f"preview of {name}", path=tree.root
            )
        )
        if not row.indexed:
            await witnesses.index(
                library_folder(tree, self._clock), row.id, self._database, self._clock, never
            )
        self._libraries[name] = (row.id, library)
        await anyio.to_thread.run_sync(see_room, settings)

    def _starts(self, paths: Sequence[bytes]) -> Mapping[str, list[bytes]]:
        """The paths by watch, relative to it."""
        if not paths:
            there = (name for name, entry in self._entries.items() if _is_there(entry.tree.root))
            return {name: [b""] for name in there}
        starts: dict[str, list[bytes]] = {}
        for path in paths:
            real = os.path.realpath(path)
            try:
                os.lstat(path)
            except OSError as error:
                raise source_error(error, path) from error
            for name, entry in self._entries.items():
                root = os.path.realpath(entry.tree.root)
                if real == root or real.startswith(root + b"/"):
                    starts.setdefault(name, []).append(real[len(root) + 1 :])
                    break
            else:
                raise NotPermitted("lies in no watch", path=path, remedy="name files below a watch")
        return starts

    def _look(
        self, entry: Entry, starts: Sequence[bytes], *, asked: bool
    ) -> tuple[list[Sighting], list[Forecast]]:
        """What is below `starts`, and what of it cannot be read or is excluded with its folder.

        Raises:
            SourceGone, NotPermitted: a start that was `asked` for cannot be read.
        """
        seen: list[Sighting] = []
        errors: dict[bytes, str] = {}
        at = b""
        try:
            with entry.tree.dirs() as dirs:
                for at in filter(None, starts):
                    dirs.parent(at)  # `look` is silent about what it cannot open
            at = b""
            files, folders = entry.folder.look(filter(None, starts))
            seen.extend(files)
            for at in folders + [start for start in starts if not start]:
                errors.update(entry.folder.scan(at, seen.extend, never).errors)
        except OSError as error:
            if asked:
                raise source_error(error, entry.tree.absolute(at)) from error
            errors[at] = error.strerror or str(error)
        unread = [
            Forecast(entry.tree.absolute(path), Result.FAILED, None, f"cannot be read: {why}")
            for path, why in errors.items()
        ]
        return list({sighting.path: sighting for sighting in seen}.values()), [*unread, *_shut(entry, starts)]

    def _sort_out(
        self, sightings: Sequence[Sighting], connection: apsw.Connection
    ) -> tuple[list[tuple[Sighting, str]], list[Settled]]:
        """What the catalogue knows, and as what, and the rest as the groups that may be sets."""
        known: list[tuple[Sighting, str]] = []
        fresh: list[Sighting] = []
        for sighting in sightings:
            row = catalogue.newest_arrival(connection, sighting.watch, sighting.path)
            local = self._entries[sighting.watch].local
            if (
                row is not None
                and not row.outdated(sighting, self._clock.micros())
                and row.settles(sighting.stat, local=local, retry_since=catalogue.FOR_EVER)
            ):
                known.append((sighting, _before(row)))
            else:
                fresh.append(sighting)
        fresh.sort(key=lambda sighting: companions.key(sighting.path))
        groups = itertools.groupby(fresh, key=lambda sighting: companions.key(sighting.path))
        return known, [Settled(tuple(members), "looked at once") for _, members in groups]

    async def _batch(self, groups: Sequence[Settled]) -> list[Forecast]:
        result = await self._identifier.identify(groups, self._limiter)
        told = [
            self._told(file.sighting, BARRED if file.code == BARRED else file.outcome, file.reason)
            for file in result.unplanned
        ]
        for back in result.back:
            told += [self._told(sighting, "settling", back.note) for sighting in back.members]
        try:
            libraries = dict(self._libraries.values())
            sizes = {member.sighting.stat.size for held in result.sets for member in held.set.members}
            await witnesses.read_unread(self._database, libraries, sizes, never)
            told += await self._database.run(functools.partial(self._plan, result.sets))
        finally:
            for held in result.sets:
                for fd in held.fds.values():
                    self._files.close(fd)
        return told

    def _plan(self, sets: Sequence[Held], connection: apsw.Connection) -> list[Forecast]:
        rows = {name: row for name, (row, _) in self._libraries.items()}
        world = CatalogueWorld(connection, rows, self._clock.micros() - WINDOW)
        told: list[Forecast] = []
        for held in sets:
            principal = held.set.principal
            if principal.facts.kind == "sidecar":
                plan: Plan | Waits = self._planner.plan_companion(principal, world)
            else:
                plan = self._planner.plan(siblings.dated(held.set, world.shots), world)
            if isinstance(plan, Waits):
                outcome, reason = Result.DUPLICATE, "same content as another new file"
                if plan.whole is not None:
                    lead = plan.whole.principal
                    outcome, reason = Result.FILED, f"in one set with {printable(lead.sighting.path)}"
                told += [self._told(member.sighting, outcome, reason) for member in held.set.members]
            else:
                told += self._steps(plan)
        return told

    def _steps(self, plan: Plan) -> list[Forecast]:
        told: list[Forecast] = []
        for step in plan.steps:
            taken = plan.set.principal.taken
            when = f"{taken.local} by {taken.source} ({taken.confidence})" if taken else "no date"
            reason = step.reason or f"{when}; {plan.why}"
            if plan.followers and step.role == "principal":
                reason += "; what came of its set before will join it"
            if step.library in self._held and step.code != "not-media":
                reason = f"library {step.library} takes nothing now: {self._held[step.library]}"
                told.append(self._told(step.identity.sighting, "held", reason))
                continue
            if step.action == "hardlink" and not self._linkable(step):
                told.append(self._told(step.identity.sighting, Result.FAILED, _APART))
                continue
            private = step.action in ("trash", "quarantine")
            destination = step.destination if step.destination and not private else None
            forecast = self._told(step.identity.sighting, step.outcome, reason)
            if destination:
                tree = self._libraries[step.library][1].tree
                forecast = replace(forecast, destination=tree.absolute(destination))
            told.append(replace(forecast, undated=taken is None and step.outcome is Result.FILED))
        return told

    def _linkable(self, step: Step) -> bool:
        return step.identity.sighting.stat.dev == self._libraries[step.library][1].device

    def _told(self, sighting: Sighting, outcome: str, reason: str) -> Forecast:
        path = self._entries[sighting.watch].tree.absolute(sighting.path)
        return Forecast(path, outcome, None, reason)


def _before(row: catalogue.Arrival) -> str:
    return f"{row.outcome} before; it stays where it is" if row.outcome else "is being taken just now"


def _shut(entry: Entry, starts: Sequence[bytes]) -> Iterator[Forecast]:
    """What was asked for and is not looked at, as it is, or lies in, an excluded folder."""
    for start in filter(None, starts):
        path = entry.tree.absolute(start)
        folder = start if os.path.isdir(path) else start.rpartition(b"/")[0]
        if folder and (pattern := entry.folder.excluder.reason(folder, True)):
            yield Forecast(path, Result.IGNORED, None, f"its folder is excluded by {pattern}")


def _is_there(root: bytes) -> bool:
    """False for a folder that is missing; true for one that may not be looked at, so that a scan says so."""
    try:
        return stat.S_ISDIR(os.stat(root).st_mode)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
