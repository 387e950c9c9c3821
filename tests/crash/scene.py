"""Small but complete scenes of a media library: what lies where before the daemon looks, and a daemon that
runs once in this process, fast.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import anyio.to_thread

from mediad import config as configuration
from mediad import eventloop
from mediad.clock import Clock
from mediad.ingest.pipeline import Pipeline
from mediad.media import zone
from mediad.media.conclude import conclude
from mediad.media.dates import DateRules
from mediad.media.read import read
from mediad.media.reading import File, Reading
from mediad.model import Facts
from mediad.store import journal
from mediad.store.database import Database, open_database
from mediad.workers import WorkerPool
from tests import samples
from tests.crash.faulty import Faults, FaultyDatabase, FaultyFiles
from tests.crash.inline import inline

CONFIG = """
[library.photos]
path = "{root}/library"
min_free = "0"

[watch.inbox]
path = "{root}/inbox"
action = "{action}"
settle = "0s"

[daemon]
state_dir = "{root}/state"
socket = "{root}/control"
"""

MTIME_NS = 1_600_000_000_123_456_789
MODE = 0o640


@dataclass(frozen=True, slots=True)
class Input:
    """A file in the inbox, and what may become of it."""

    path: bytes
    content: bytes
    outcomes: frozenset[str]
    of: bytes = b""  # the principal of its set


def _input(path: bytes, content: bytes, *outcomes: str, of: bytes = b"") -> Input:
    return Input(path, content, frozenset(outcomes), of)


def inputs() -> list[Input]:
    """Every kind of file that takes a way of its own."""
    taken = datetime.fromisoformat("2021-07-10T20:39:25")
    picture = samples.jpeg(taken, seed=1, size=(32, 24))
    still, moving = samples.live_photo(taken, seed=2)
    same = samples.jpeg(taken, seed=3, size=(32, 24))
    return [
        _input(b"a.jpg", picture, "filed"),
        _input(b"a.xmp", samples.xmp_sidecar(rating=1), "filed", of=b"a.jpg"),
        _input(b"live.jpg", still, "filed"),
        _input(b"live.mov", moving, "filed", of=b"live.jpg"),
        _input(b"same.jpg", same, "filed", "duplicate"),
        _input(b"card/same-again.jpg", same, "filed", "duplicate"),
        _input(b"known.jpg", KNOWN, "duplicate"),
        _input(b"known.xmp", samples.xmp_sidecar(rating=2), "filed"),
        _input(b"clash.jpg", samples.jpeg(taken, seed=4, size=(32, 24)), "filed"),
        _input(b"clash.jpg.xmp", samples.xmp_sidecar(rating=4), "filed", of=b"clash.jpg"),
        _input(b"card/undated \xff.png", samples.png(seed=5, size=(16, 16)), "filed"),
        _input(b"broken.jpg", samples.broken_jpeg(), "quarantined"),
        _input(b"notes.txt", b"no media", "ignored"),
        _input(b"empty.jpg", b"", "ignored"),
        _input(b"lonely.xmp", samples.xmp_sidecar(rating=5), "ignored"),
    ]


KNOWN = samples.jpeg(datetime.fromisoformat("2020-01-01T12:00:00"), seed=9, size=(32, 24))
FOUND = {b"old/known.jpg": KNOWN, b"old/other.jpg": samples.jpeg(seed=10, size=(32, 24))}
UNKNOWN = {b"2021/2021-07-10/clash.jpg": b"of this one the catalogue knows nothing"}
FAR = "far"  # the inbox counts as another filesystem
UNLINKABLE = "unlinkable"  # its files cannot be linked


@dataclass(frozen=True, slots=True)
class Scene:
    """A root folder in which a scene is set up again and again.

    Attributes:
        action: the inbox's. method: "", `FAR` or `UNLINKABLE`.
        threadless: every run does the same in the same order; see `tests.crash.inline`.
    """

    threadless: ClassVar[bool] = False

    root: Path
    action: str
    method: str
    inputs: Sequence[Input]

    @property
    def inbox(self) -> bytes:
        return os.fsencode(self.root / "inbox")

    @property
    def library(self) -> bytes:
        return os.fsencode(self.root / "library")

    @property
    def catalogue(self) -> Path:
        return self.root / "state" / "catalogue.db"

    def make(self) -> None:
        """Make the template: a library that is known, with some content, and a full inbox."""
        for folder in ("inbox", "library", "state"):
            (self.root / folder).mkdir(parents=True)
        for path, content in FOUND.items():
            put(self.library, path, content)
        self.run_undisturbed()
        for path, content in UNKNOWN.items():
            put(self.library, path, content)
        for file in self.inputs:
            put(self.inbox, file.path, file.content)
        self.root.rename(self._template)

    @property
    def _template(self) -> Path:
        return self.root.with_name(self.root.name + ".template")

    def reset(self) -> None:
        """Everything as at the beginning."""
        if self.root.exists():
            shutil.rmtree(self.root)
        shutil.copytree(self._template, self.root)

    def config(self) -> configuration.Config:
        """The scene's configuration."""
        return _config(CONFIG.format(root=self.root, action=self.action))

    @property
    def far(self) -> list[bytes]:
        """Roots that count as another filesystem."""
        return [self.inbox] if self.method == FAR else []

    @property
    def unlinkable(self) -> list[bytes]:
        """Roots whose files cannot be linked."""
        return [self.inbox] if self.method == UNLINKABLE else []

    def run(self, faults: Faults, *, threads: bool = False) -> BaseException | None:
        """`mediad run --once`; returns what ended it early.

        Args:
            threads: with its threads even where scenes are `threadless`.
        """
        files = FaultyFiles(faults, self.far, self.unlinkable)
        connection = open_database(self.catalogue)
        try:
            with inline() if self.threadless and not threads else contextlib.nullcontext():
                eventloop.run(self._run, files, FaultyDatabase(connection, faults))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller judges it
            return error
        finally:
            connection.close()
            files.close_all()
        return None

    def run_undisturbed(self, faults: Faults | None = None) -> None:
        """`mediad run --once`, which must not fail."""
        if (error := self.run(faults or Faults())) is not None:
            raise error

    async def _run(self, files: FaultyFiles, database: Database) -> None:
        last_id = await database.run(journal.last_id)
        pipeline = Pipeline(self.config(), files, Hurry(), database, Reader(), last_id, lambda: False)
        try:
            await pipeline.run(once=True, ready=lambda: None)
        finally:
            pipeline.shelves.close()


@functools.cache
def _config(text: str) -> configuration.Config:
    return configuration.parse(text, file="scene.toml", env={}, home="")


class Hurry(Clock):
    """A clock on which at each look another second has gone by, so that nothing is waited for."""

    def __init__(self) -> None:
        self._looks = itertools.count()

    def monotonic(self) -> float:
        return float(next(self._looks))


class Reader(WorkerPool):
    """A pool that reads in this process, and reads equal files once."""

    _known: dict[tuple[bytes, bytes], Reading] = {}  # noqa: RUF012 - shared by all on purpose

    def __init__(self) -> None:
        self.failing = ""

    async def parse(self, files: Sequence[File], rules: DateRules, now_utc: datetime) -> list[Facts]:
        """See `WorkerPool.parse`."""

        def answer() -> list[Facts]:
            settings = zone.date_settings(rules)
            return [conclude(self._read(file), file, settings, now_utc) for file in files]

        return await anyio.to_thread.run_sync(answer)

    def _read(self, file: File) -> Reading:
        key = (file.name, hashlib.sha256(os.pread(file.fd, file.size, 0)).digest())
        if key not in self._known:
            with open(f"/proc/self/fd/{file.fd}", "rb") as stream:
                self._known[key] = read(stream, file.name, file.size)
        return self._known[key]


def put(root: bytes, path: bytes, content: bytes) -> None:
    """Write a file with a mode and a time that must travel with it."""
    whole = os.path.join(root, path)
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    with open(whole, "wb") as stream:
        stream.write(content)
    os.chmod(whole, MODE)
    os.utime(whole, ns=(MTIME_NS, MTIME_NS))
