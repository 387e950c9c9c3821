"""The pipeline and what steers it, in this process and on real folders, with a wall clock that tests set.

Calls are made as the socket would make them: what is asked and what is answered is held against the
interface definition.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import apsw
import pytest
import tomli_w

from mediad import config as configuration
from mediad.analysing.analyser import Prints
from mediad.clock import Clock
from mediad.config.difference import differences
from mediad.control.calls import Call
from mediad.control.peer import Peer
from mediad.files import Files
from mediad.ingest.health import Health
from mediad.ingest.identify import Identified
from mediad.ingest.pipeline import Pipeline
from mediad.steering.daemon import Daemon
from mediad.steering.importing import Importer
from mediad.store import journal
from mediad.store.database import Database, open_database
from mediad.store.reading import Reader, open_reader
from tests.answering import DEFINITION
from tests.crash.scene import Reader as ReadingPool

T = TypeVar("T")
LIMIT = 60.0  # seconds for whatever is waited for; thin air

ROOT = Peer(1, 0, frozenset({0}), trusted=True)


class SetClock(Clock):
    """This machine's clocks; the wall's can be put forward.

    Attributes:
        ahead: seconds.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def wall_ns(self) -> int:
        return super().wall_ns() + round(self.ahead * 1e9)


@dataclass(slots=True)
class Life:
    """See `steering.status.Life`."""

    pipeline: Pipeline
    health: Health
    config_file: str
    refused: int = 0
    stopping: bool = False
    uptime: float = 1.0


@dataclass
class Steering:
    """A running pipeline."""

    life: Life
    daemon: Daemon
    database: Database
    told: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def pipeline(self) -> Pipeline:
        return self.life.pipeline

    async def call(
        self, method: str, /, *, peer: Peer = ROOT, more: bool = False, **parameters: object
    ) -> dict[str, Any]:
        """The last or only reply; those before it are in `told`."""
        self.told = []

        async def reply(part: Mapping[str, object]) -> None:
            if more:
                assert DEFINITION.check_reply(method, part) == part
                self.told.append(part)

        asked = DEFINITION.check_call(method, parameters)
        try:
            answer = dict(await self.daemon.call(Call(method, asked, peer, more), reply))
        except ExceptionGroup as group:  # as the socket does
            (error,) = group.exceptions
            raise error from None
        assert DEFINITION.check_reply(method, answer) == answer
        return answer

    async def rest(self) -> str:
        """Wait until nothing moves any more; the result of `Wait`."""
        return str((await self.call("Wait", timeout_s=LIMIT))["result"])

    async def totals(self) -> dict[str, int]:
        """What became of all files, what became of none left out."""
        return {word: count for word, count in (await self.call("Status"))["totals"].items() if count}

    async def queue(self) -> dict[str, int]:
        """What waits, what nothing waits for left out, and what is filed and still to be compared."""
        queue = (await self.call("Status"))["queue"]
        return {word: count for word, count in queue.items() if count and word != "to_analyse"}

    async def until(self, condition: Callable[[], T]) -> T:
        """Wait until a condition holds."""
        with anyio.fail_after(LIMIT):
            while not (found := condition()):
                await self.pipeline.changed(0.01)
        return found


class House:
    """Folders below one, and a configuration of them, which `configure` changes.

    Attributes:
        settings: as in the file.
        files, database: what the pipeline gets.
        prints: what library files look like; None: nobody looks at them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SetClock()
        self.files = Files()
        self.database: Callable[[apsw.Connection], Database] = Database
        self.prints: Prints | None = None
        self.settings: dict[str, Any] = {
            "library": {"photos": self.table("photos", min_free="1MB")},
            "watch": {"inbox": self.watched("inbox")},
            "daemon": {"state_dir": str(root / "state"), "socket": str(root / "control")},
        }
        for name in ("photos", "inbox", "state"):
            (root / name).mkdir()

    def table(self, name: str, **keys: object) -> dict[str, object]:
        return {"path": str(self.root / name), **keys}

    def watched(self, name: str, **keys: object) -> dict[str, object]:
        """The table of a watch in a folder of this name, which is looked at, not listened to."""
        return self.table(name, **{"library": "photos", "settle": "0s", "polling": "on", **keys})

    def config(self) -> configuration.Config:
        return configuration.parse(tomli_w.dumps(self.settings), file="c.toml", env={}, home="")

    def put(self, path: str, content: bytes) -> bytes:
        """Write a file below the root; returns its path."""
        whole = self.root / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(content)
        return os.fsencode(whole)

    @contextlib.asynccontextmanager
    async def life(self, *, once: bool = False) -> AsyncIterator[Steering]:
        """From a start to the stop; with `once` it has ended by itself already."""
        catalogue = self.root / "state" / "catalogue.db"
        connection, questions = await anyio.to_thread.run_sync(_open, catalogue)
        try:
            async with anyio.create_task_group() as tasks:
                reader = Reader(questions)
                steering = await self._begin(self.database(connection), reader, catalogue)
                up = anyio.Event()
                if once:
                    await steering.pipeline.run(once=True, ready=up.set)
                else:
                    tasks.start_soon(lambda: steering.pipeline.run(once=False, ready=up.set))
                await up.wait()
                if self.prints is not None:
                    tasks.start_soon(steering.pipeline.analyser.keep, reader, self.prints)
                await steering.until(lambda: not any(shelf.arriving for shelf in steering.pipeline.shelves))
                yield steering
                tasks.cancel_scope.cancel()
        finally:
            questions.close()
            connection.close()

    async def _begin(self, database: Database, reader: Reader, catalogue: Path) -> Steering:
        pool = ReadingPool()
        last_id = await database.run(journal.last_id)
        config = await anyio.to_thread.run_sync(self.config)
        pipeline = Pipeline(config, self.files, self.clock, database, pool, last_id, lambda: False)
        health = Health(
            pipeline.serving, pipeline.tracker, self.clock, lambda: False, lambda name, error: None
        )
        life = Life(pipeline, health, "/c.toml")

        async def reload() -> tuple[list[str], list[str]]:
            old, new = pipeline.config, await anyio.to_thread.run_sync(self.config)
            await pipeline.configure(new)
            return differences(old, new), list(new.warnings)

        importer = Importer(pipeline, pool, catalogue)
        return Steering(life, Daemon(life, reader, reload, importer), database)


def _open(catalogue: Path) -> tuple[apsw.Connection, apsw.Connection]:
    return open_database(catalogue), open_reader(catalogue)


def stall(steering: Steering, monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """From now on no batch is identified until the event that is returned is set."""
    gate, identifier = anyio.Event(), steering.pipeline.stages.identifier
    identify = identifier.identify

    async def later(*arguments: Any) -> Identified:
        await gate.wait()
        return await identify(*arguments)

    monkeypatch.setattr(identifier, "identify", later)
    return gate


def other(steering: Steering) -> Steering:
    """The same, for another client."""
    return Steering(steering.life, steering.daemon, steering.database)
