"""A group of sets on their way: what place works on and record writes down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from mediad.errors import MediadError, SourceChanged
from mediad.files import Dirs, Tree, library_error, source_error, system_error
from mediad.ingest.meter import Meter
from mediad.ingest.moves import Source
from mediad.layout import cut_name, split_name
from mediad.library import OpenLibrary
from mediad.model import Held, Holder, Plan, Result, Sighting, Stat, Step

_LONGEST_STEM = 200  # bytes; room for an id, an extension and ".reason.txt" within 255


@dataclass(slots=True)
class Task:
    """One file of a set on its way.

    Attributes:
        id: the journal's step, which names its temporary files. name: where it goes, None to leave it.
        watch: the folder that it lies in now, as `Sighting.root`. meter: how far it is.
        method: "link", "take" or "copy"; "" for a file that stays.
        copied: the verified copy, while it has no name yet.
        placed: the file under its final name, once there. source_left: the source is gone from the watch.
        reasoned: we wrote the reason beside it.
        source_now: the source as it stands at the end, if it stays.
        note: what has to be told of a file that was placed all the same. lingers: that its source cannot be
            removed.
    """

    id: int
    item: int
    step: Step
    source: Source
    watch: str
    library: OpenLibrary
    name: bytes | None
    meter: Meter
    method: str = ""
    action: str = ""
    staged: bool = False
    copied: Stat | None = None
    placed: Stat | None = None
    source_left: bool = False
    reasoned: bool = False
    source_now: Stat | None = None
    failed: MediadError | None = None
    note: str = ""
    lingers: bool = False

    @property
    def copy_size(self) -> int:
        """Bytes that it will need in its library, as far as can be told before trying."""
        copied = self.step.action == "copy" or self.source.stat.dev != self.library.device
        return self.source.stat.size if self.name is not None and copied else 0

    @property
    def outcome(self) -> Result:
        """What becomes of it; what could not leave quarantine is still there."""
        if self.failed is None:
            return self.step.outcome
        return Result.FAILED if self.step.identity.sighting.kept is None else Result.QUARANTINED

    @property
    def removes(self) -> bool:
        return self.action in ("move", "trash", "quarantine")


class Ends(Protocol):
    """A set on its way, which an error ends."""

    error: MediadError | None


@contextlib.contextmanager
def ending(load: Ends, path: bytes, stopped: str) -> Iterator[None]:
    """What goes wrong inside ends this set, and no other.

    Args:
        path: that of which an error of the system is told.
        stopped: what is told where mediad stops.
    """
    try:
        yield
    except MediadError as error:
        load.error = error
    except InterruptedError:
        load.error = SourceChanged(stopped)
    except OSError as error:
        load.error = system_error(error, path)


@dataclass(slots=True)
class Job:
    """A set on its way; `error` says why it came to nothing, and `failed_witness` which file did not hold.

    Attributes:
        witness_stood: how that file stood, None where it was not there.
    """

    held: Held
    plan: Plan
    tasks: list[Task]
    witness: OpenLibrary | None = None
    failed_witness: Holder | None = None
    witness_stood: Stat | None = None
    error: MediadError | None = None

    @property
    def sightings(self) -> list[Sighting]:
        """The files that it has tasks for."""
        return [task.step.identity.sighting for task in self.tasks]

    def ending(self) -> AbstractContextManager[None]:
        """What goes wrong inside ends this job, and no other."""
        return ending(self, self.plan.set.principal.sighting.path, "was handed back because mediad stops")


@dataclass(slots=True)
class Group:
    """Sets that share their syncs and commits."""

    jobs: list[Job]
    watches: dict[str, Dirs] = field(default_factory=dict)
    libraries: dict[str, Dirs] = field(default_factory=dict)
    made: list[tuple[OpenLibrary, bytes]] = field(default_factory=list)

    def watch_dirs(self, watch: str, tree: Tree) -> Dirs:
        """A watch's directories, opened when first asked for."""
        if watch not in self.watches:
            try:
                self.watches[watch] = tree.dirs()
            except OSError as error:
                raise source_error(error, tree.root) from error
        return self.watches[watch]

    def library_dirs(self, library: OpenLibrary) -> Dirs:
        """A library's directories, opened when first asked for."""
        if library.name not in self.libraries:
            try:
                self.libraries[library.name] = library.tree.dirs()
            except OSError as error:
                raise library_error(error, library.tree.root) from error
        return self.libraries[library.name]

    @property
    def going(self) -> list[Job]:
        return [job for job in self.jobs if job.error is None]

    def close(self) -> None:
        """Close its directories."""
        for dirs in (*self.watches.values(), *self.libraries.values()):
            dirs.close()


def private_name(folder_name: bytes, step: int) -> bytes:
    """A unique name in trash or quarantine that leaves room for its reason's name."""
    directory, slash, name = folder_name.rpartition(b"/")
    stem, extension = split_name(name)
    return directory + slash + cut_name(stem, _LONGEST_STEM) + b"-%d" % step + extension
