"""The daemon as the control socket sees it: one method a command."""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import anyio

from mediad.control.calls import Call, ExpectedMore, Reply, Shared
from mediad.control.protocol import InvalidParameter, path_fields, path_from, time_from, time_text
from mediad.errors import NoSuchName, NotKnown
from mediad.events import MOST, Event
from mediad.ingest.pauses import EVERYTHING
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.serving import Served
from mediad.ingest.shelf import Shelf
from mediad.keeping.following import follow
from mediad.keeping.noticing import notice
from mediad.steering.adopting import Adopter
from mediad.steering.changing import Changing
from mediad.steering.duplicates import duplicates
from mediad.steering.failures import failures
from mediad.steering.history import history
from mediad.steering.importing import Importer
from mediad.steering.naming import known_names, may_name, named
from mediad.steering.queue import left_out, queue, waits
from mediad.steering.retrying import dismissed, retried
from mediad.steering.status import Life, counts_document, status, total
from mediad.steering.verifying import Verification
from mediad.steering.why import why
from mediad.steering.wiping import Wiper
from mediad.store.pauses import Pause
from mediad.store.reading import Reader

_LONGEST_PAUSE = 100 * 365.25 * 86400  # seconds; times of more than four digits a year cannot be told

Document = Mapping[str, object]
_Look = Callable[[Shelf], Coroutine[Any, Any, None]]


class Daemon:
    """What the socket serves; see `control.calls.Daemon`.

    Args:
        life: the daemon.
        reader: for questions to the catalogue.
        reload: reads the configuration anew; returns what changed and warnings.
        importer: copies cards and folders in.
    """

    def __init__(
        self,
        life: Life,
        reader: Reader,
        reload: Callable[[], Awaitable[tuple[Sequence[str], Sequence[str]]]],
        importer: Importer,
    ) -> None:
        self._life = life
        self._reader = reader
        self._reload = reload
        self._importer = importer
        catalogue = Path(life.pipeline.config.daemon.state_dir, "catalogue.db")
        self._adopter = Adopter(life.pipeline, reader, catalogue)
        self._wiper = Wiper(life.pipeline)
        self._paging = anyio.Lock()
        self._changing = Changing(life.pipeline, reader)
        self._methods: dict[str, Callable[[Call, Reply], Awaitable[Document]]] = {
            "Status": self._status,
            "Pause": self._pause,
            "Resume": self._resume,
            "Reload": self._reloaded,
            "Scan": self._scan,
            "Wait": self._wait,
            "Import": importer.call,
            "Adopt": self._adopt,
            "Why": self._why,
            "History": self._history,
            "Queue": self._queue,
            "Failures": self._failures,
            "Retry": self._retry,
            "Dismiss": self._dismiss,
            "Duplicates": self._duplicates,
            "Verify": self._verify,
            "SafeToWipe": self._safe_to_wipe,
            "Monitor": self._monitor,
            "Undo": self._undo,
            "Trash": self._trash,
            "Refile": self._refile,
            "Date": self._date,
            "Prune": self._prune,
        }

    async def call(self, call: Call, reply: Reply) -> Document:
        """Do what a client asks for."""
        return await self._methods[call.method](call, reply)

    @property
    def _pipeline(self) -> Pipeline:
        return self._life.pipeline

    # -- state ----------------------------------------------------------------------------------------

    async def _status(self, call: Call, reply: Reply) -> Document:
        return status(self._life)

    async def _pause(self, call: Call, reply: Reply) -> Document:
        seconds = call.parameters["for_s"]
        if seconds is not None and not 0 < seconds <= _LONGEST_PAUSE:
            raise InvalidParameter("for_s")
        names = self._names(call) or [EVERYTHING]
        await self._pipeline.pause(names, seconds)
        return {"paused": [_paused(pause) for pause in self._pipeline.pauses.all()]}

    async def _resume(self, call: Call, reply: Reply) -> Document:
        names = self._names(call)
        ended = await self._pipeline.pauses.resume(names or None)
        return {
            "resumed": [name for name in ended if name != EVERYTHING],
            "everything": EVERYTHING in ended,
            "paused": [_paused(pause) for pause in self._pipeline.pauses.all()],
        }

    async def _reloaded(self, call: Call, reply: Reply) -> Document:
        changes, warnings = await self._reload()
        return {"changes": list(changes), "warnings": list(warnings)}

    def _names(self, call: Call) -> list[str]:
        """The watches and libraries that a call names.

        Raises:
            NoSuchName: one of them is neither. InvalidParameter: it names none, which is not to say all.
        """
        if call.parameters["names"] == []:
            raise InvalidParameter("names")
        known = [*self._pipeline.config.watches, *self._pipeline.config.libraries]
        for name in call.parameters["names"] or ():
            self._see_known(name, known)
        return list(dict.fromkeys(call.parameters["names"] or ()))

    @staticmethod
    def _see_known(name: str, known: Sequence[str]) -> None:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(known) or 'none'}"
            raise NoSuchName(name, hint)

    # -- looking and waiting --------------------------------------------------------------------------

    async def _scan(self, call: Call, reply: Reply) -> Document:
        names = self._names(call)
        watches = [one for name, one in self._pipeline.serving.watches.items() if not names or name in names]
        shelves = [one for one in self._pipeline.shelves if not names or one.settings.name in names]
        before = {one.name: one.watcher.found_by_scan for one in watches if one.watcher is not None}
        await self._look_at(watches, shelves, functools.partial(notice, self._pipeline))
        told: list[dict[str, object]] = []
        for served in watches:
            if served.watcher is not None:
                found = served.watcher.found_by_scan - before[served.name]
                told.append(_look("watch", served.name, served.watcher.state, served.watcher.error, found))
        for shelf in shelves:
            files, _ = self._pipeline.recorder.holdings.get(shelf.id, (0, 0))
            told.append(_look("library", shelf.settings.name, shelf.state, shelf.error, files))
        return {"looks": told}

    async def _look_at(self, watches: Iterable[Served], shelves: Iterable[Shelf], look: _Look) -> None:
        async with anyio.create_task_group() as looks:
            for served in watches:
                looks.start_soon(self._look, served)
            for shelf in shelves:
                looks.start_soon(look, shelf)

    async def _look(self, served: Served) -> None:
        """Have a watch looked at, until what that showed has been taken note of."""
        if served.watcher is not None:
            await served.watcher.look()
            await self._pipeline.noted()

    async def _wait(self, call: Call, reply: Reply) -> Document:
        seconds = call.parameters["timeout_s"]
        if seconds is not None and not 0 <= seconds < math.inf:
            raise InvalidParameter("timeout_s")
        result = "timeout"
        with anyio.move_on_after(math.inf if seconds is None else seconds):
            await self._pipeline.all_served()
            await self._pipeline.recovered()
            # what was full or away may be well again, and then nothing is held
            shelves = self._pipeline.shelves
            await self._look_at(self._pipeline.serving.watches.values(), shelves, shelves.look)
            await self._pipeline.rest()
            result = "held" if self._held() else "idle"
        queue = total(self._pipeline.counts().values())
        return {"result": result, "queue": counts_document(queue, self._pipeline.analyser.to_analyse)}

    def _held(self) -> bool:
        return self._pipeline.tracker.settling > 0

    # -- what was done --------------------------------------------------------------------------------

    async def _why(self, call: Call, reply: Reply) -> Document:
        path = path_from(call.parameters, "path")
        if path is None:
            raise InvalidParameter("path")
        if b"/" in path:
            may_name(self._pipeline, call, path)
        (name,) = await known_names(self._reader, call, [path]) if path.startswith(b"/") else [path]
        waiting = waits(self._pipeline, name) or await left_out(self._pipeline, name)
        following = functools.partial(follow, self._pipeline, below=False)
        return await why(self._reader, path, waits=waiting, follow=following)

    async def _history(self, call: Call, reply: Reply) -> Document:
        asked = call.parameters
        since = _since(call)
        page = functools.partial(
            history,
            self._reader,
            since=since,
            batch=asked["batch"],
            doubtful=bool(asked["doubtful"]),
            limit=asked["limit"],
        )
        return await self._pages(lambda after: page(after=after), call, reply)

    async def _failures(self, call: Call, reply: Reply) -> Document:
        limit = call.parameters["limit"]
        return await self._pages(lambda after: failures(self._reader, after, limit), call, reply)

    async def _duplicates(self, call: Call, reply: Reply) -> Document:
        settings, analyser = self._pipeline.config.duplicates, self._pipeline.analyser
        page = functools.partial(
            duplicates,
            self._reader,
            limit=call.parameters["limit"],
            farthest=settings.similar_distance if call.parameters["similar"] else None,
            to_analyse=analyser.to_analyse if analyser.is_on else None,
        )
        return await self._pages(lambda after: page(after=after), call, reply)

    async def _queue(self, call: Call, reply: Reply) -> Document:
        async def page(after: int | None) -> dict[str, object]:
            return queue(self._pipeline, after, call.parameters["limit"])

        return await self._pages(page, call, reply)

    async def _pages(
        self, page: Callable[[Any], Awaitable[dict[str, object]]], call: Call, reply: Reply
    ) -> Document:
        """One page; or all of them, one reply each, for who asks for more.

        Pages are made one at a time for all clients: they are made in threads, which hold up the event loop.
        """
        async with self._paging:
            found = await page(call.parameters["after"])
        while call.more and found["next"] is not None:
            await reply(found)
            async with self._paging:
                found = await page(found["next"])
        return found

    # -- changing what was done -----------------------------------------------------------------------

    async def _retry(self, call: Call, reply: Reply) -> Document:
        asked = call.parameters
        files = await retried(
            self._pipeline,
            self._reader,
            await self._paths(call),
            unparsed=bool(asked["unparsed"]),
            dry_run=bool(asked["dry_run"]),
        )
        return {"files": files}

    async def _dismiss(self, call: Call, reply: Reply) -> Document:
        paths = await self._paths(call)
        if not paths:
            raise InvalidParameter("paths")
        count = await dismissed(self._pipeline, self._reader, paths)
        if not count:
            raise NotKnown("nothing that failed or is quarantined is known there", path=paths[0])
        return {"dismissed": count}

    async def _undo(self, call: Call, reply: Reply) -> Document:
        return await self._changing.undo(call, reply, await self._paths(call), _since(call))

    async def _trash(self, call: Call, reply: Reply) -> Document:
        return await self._changing.trash(call, reply, await self._paths(call))

    async def _refile(self, call: Call, reply: Reply) -> Document:
        if (library := call.parameters["library"]) is not None:
            self._see_known(library, list(self._pipeline.config.libraries))
        return await self._changing.refile(call, reply, await self._paths(call), library)

    async def _date(self, call: Call, reply: Reply) -> Document:
        return await self._changing.date(call, reply, await self._paths(call))

    async def _prune(self, call: Call, reply: Reply) -> Document:
        if (under := path_from(call.parameters, "under")) is not None:
            may_name(self._pipeline, call, under)
        return await self._changing.prune(call, reply, under)

    async def _paths(self, call: Call) -> list[bytes]:
        return await named(self._pipeline, self._reader, call)

    async def _adopt(self, call: Call, reply: Reply) -> Document:
        if (path := path_from(call.parameters, "path")) is not None:
            may_name(self._pipeline, call, path)
        return await self._adopter.call(call, reply)

    async def _verify(self, call: Call, reply: Reply) -> Document:
        return await Verification(self._pipeline, call, reply, await self._paths(call)).run()

    async def _safe_to_wipe(self, call: Call, reply: Reply) -> Document:
        return await self._wiper.call(call, reply)

    # -- following ------------------------------------------------------------------------------------

    async def _monitor(self, call: Call, reply: Reply) -> Document:
        if not call.more:
            raise ExpectedMore
        with self._pipeline.events.following() as follower:
            while True:
                events, lost = await follower.take()
                for event in events:
                    await reply(_event(event))
                if lost:
                    await reply(_event(Event(self._pipeline.clock.micros(), "lost"), lost))


def _since(call: Call) -> int | None:
    """The time that a call names, microseconds since the epoch.

    Raises:
        InvalidParameter: it is none.
    """
    if call.parameters["since"] is None:
        return None
    try:
        return time_from(call.parameters["since"])
    except ValueError as error:
        raise InvalidParameter("since") from error


def _paused(pause: Pause) -> dict[str, object]:
    return {"name": pause.name or None, "since": time_text(pause.since), "until": time_text(pause.until)}


def _look(kind: str, name: str, state: str, error: str, files: int) -> dict[str, object]:
    return {"name": name, "kind": kind, "state": str(state), "error": error or None, "files": files}


@functools.lru_cache(maxsize=MOST)
def _event(event: Event, lost: int | None = None) -> Shared:
    """The same for all followers, who are told at about the same time."""
    return Shared(
        {
            "time": time_text(event.time),
            "event": str(event.kind),
            "name": event.name or None,
            **path_fields("path", event.path),
            **path_fields("destination", event.destination),
            "state": str(event.state) or None,
            "reason": event.reason or None,
            "batch": event.batch,
            "bytes": event.bytes,
            "lost": lost,
        }
    )
