"""A trip: sets of files that are moved together, and what is open meanwhile."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from mediad.errors import MediadError, SourceGone
from mediad.files import Dirs, Files, Tree
from mediad.ingest import moves
from mediad.ingest.group import ending
from mediad.keeping.change import Change, Shift, Spot
from mediad.model import Stat
from mediad.roots import filesystem


@dataclass(slots=True)
class Work:
    """One shift on its way.

    Attributes:
        id: its step. target: where it goes, by a name that is free in trash.
        source: the open file, once it was examined.
        placed: the file at its target, once there. left: it is gone from where it was.
        reasoned: we wrote the reason beside it. note: what has to be told of it though it was moved.
    """

    id: int
    shift: Shift
    target: Spot | None
    source: moves.Source | None = None
    placed: Stat | None = None
    left: bool = False
    reasoned: bool = False
    note: str = ""


@dataclass(slots=True)
class Load:
    """A set on its way; `error` says why it came to nothing."""

    change: Change
    works: list[Work]
    error: MediadError | None = None

    def ending(self) -> AbstractContextManager[None]:
        """What goes wrong inside ends this set, and no other."""
        path = self.works[0].shift.source.absolute
        return ending(self, path, "was left where it is because mediad stops")


@dataclass(slots=True)
class Trip:
    """Sets that share their syncs and commits.

    Attributes:
        made: folders made on the way, by library; emptied: those that something left.
    """

    files: Files
    loads: list[Load]
    dirs: dict[bytes, Dirs] = field(default_factory=dict)
    leases: dict[bytes, bool] = field(default_factory=dict)
    made: set[tuple[int, bytes]] = field(default_factory=set)
    emptied: set[tuple[int, bytes, bytes]] = field(default_factory=set)

    @property
    def going(self) -> list[Load]:
        return [load for load in self.loads if load.error is None]

    def folders(self, spot: Spot) -> Dirs:
        """The directories below a spot's root.

        Raises:
            OSError: it is not there. SourceGone: another folder is there.
        """
        if spot.root not in self.dirs:
            dirs = Tree(self.files, spot.root).dirs()
            if spot.identity not in ("", self.files.identity(dirs.root)):
                dirs.close()
                raise SourceGone(
                    "is another folder now than files were taken from", path=spot.root, remedy="mount it"
                )
            self.dirs[spot.root] = dirs
        return self.dirs[spot.root]

    def parent(self, spot: Spot) -> tuple[int, bytes]:
        """The directory that a spot is in, and its name there; raises as `folders`."""
        return self.folders(spot).parent(spot.path)

    def leases_tell(self, spot: Spot) -> bool:
        """Does a read lease tell there whether somebody writes? On network filesystems none is ever had."""
        if spot.root not in self.leases:
            self.leases[spot.root] = filesystem(os.fsdecode(spot.root)).leases
        return self.leases[spot.root]

    def close(self) -> None:
        """Close all that is open."""
        for load in self.loads:
            for work in load.works:
                if work.source is not None:
                    self.files.close(work.source.fd)
                    work.source = None
        for dirs in self.dirs.values():
            dirs.close()
