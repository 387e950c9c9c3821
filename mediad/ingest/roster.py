"""The configured watches, brought to what the stages need to know of them.

What a watch lies on is looked at anew whenever its root appears: before that there is only the folder that
something will be mounted on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mediad.clock import Clock
from mediad.config import Config, Watch
from mediad.exclude import Excluder
from mediad.files import Files, Tree
from mediad.ingest.identify import Place
from mediad.ingest.scan import Folder
from mediad.library import QUARANTINE
from mediad.media.dates import DateRules
from mediad.model import quarantine_of
from mediad.roots import UNKNOWN, Filesystem, filesystem

SETTLE_LOCAL = 2.0  # seconds
SETTLE_NETWORK = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One watch.

    Attributes:
        local: its filesystem is this machine's: clocks agree, inodes are stable, inotify tells all.
        syncfs: syncfs(2) makes its files durable.
        poll: it is scanned, since events would not tell of all changes.
        answers: it could be looked at. identity: of its folder, as `Files.identity` has it.
    """

    settings: Watch
    tree: Tree
    place: Place
    folder: Folder
    local: bool
    syncfs: bool
    poll: bool
    answers: bool
    identity: str

    def watched_like(self, other: Entry) -> bool:
        """Would a watcher of this one do for the other?"""
        mine, its = self.settings, other.settings
        return (mine.include, mine.exclude, mine.rescan, self.poll, self.place.settle) == (
            its.include,
            its.exclude,
            its.rescan,
            other.poll,
            other.place.settle,
        )


class Roster(Mapping[str, Entry]):
    """All that is taken from, by name: the watches, and imports while they last. Adding and refreshing block:
    they look at filesystems.

    Attributes:
        settings: the watches' settings. trees: their folders, and the libraries' quarantines.
        places: what identifying needs, of all of these. syncfs: those whose files syncfs(2) makes durable.
            All four are kept up to date in place.
    """

    def __init__(self, config: Config, files: Files, clock: Clock) -> None:
        self.config = config
        self._files = files
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._readers: dict[str, Files] = {}
        self.settings: dict[str, Watch] = {}
        self.trees: dict[str, Tree] = {}
        self.places: dict[str, Place] = {}
        self.syncfs: set[str] = set()

    @classmethod
    def of_watches(cls, config: Config, files: Files, clock: Clock) -> Roster:
        """A roster of all configured watches."""
        roster = cls(config, files, clock)
        for name, watch in config.watches.items():
            roster.add(name, watch)
        return roster

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(
        self, name: str, watch: Watch, system: Filesystem | None = None, files: Files | None = None
    ) -> Entry:
        """Take up a watch or an import, or its new settings.

        Args:
            system: what it lies on, None to look.
            files: by which it is read, None: as all others.
        """
        self.settings[name] = watch
        self._readers[name] = files or self._files
        return self.refresh(name, system)

    def refresh(self, name: str, system: Filesystem | None = None) -> Entry:
        """Look again at what a watch lies on."""
        settings = self.settings[name]
        entry = self._entry(name, settings, system or filesystem(settings.path))
        self._entries[name] = entry
        self.trees[name] = entry.tree
        self.places[name] = entry.place
        (self.syncfs.add if entry.syncfs else self.syncfs.discard)(name)
        return entry

    def remove(self, name: str) -> None:
        """Nothing is taken from it any more."""
        for table in (self._entries, self._readers, self.settings, self.trees, self.places):
            table.pop(name, None)
        self.syncfs.discard(name)

    def add_quarantine(self, library: str, root: bytes, system: Filesystem) -> None:
        """Files may be taken from a library's quarantine again.

        Args:
            system: what the library lies on.
        """
        name = quarantine_of(library)
        self.trees[name] = Tree(self._files, root + b"/" + QUARANTINE)
        self.places[name] = Place(self.trees[name], 0.0, system.leases, True, date_rules(self.config))

    def add_library(self, key: str, tree: Tree, system: Filesystem) -> None:
        """A library's own files may be looked into, under this key; `remove` ends that."""
        self.trees[key] = tree
        self.places[key] = Place(tree, 0.0, system.leases, True, date_rules(self.config))

    def _entry(self, name: str, watch: Watch, system: Filesystem) -> Entry:
        tree = Tree(self._readers[name], os.fsencode(watch.path))
        local = not system.network
        settle = watch.settle if watch.settle is not None else SETTLE_LOCAL if local else SETTLE_NETWORK
        return Entry(
            settings=watch,
            tree=tree,
            place=Place(tree, settle, system.leases, local, date_rules(self.config, watch.timezone)),
            folder=Folder(name, tree, Excluder(watch.include, watch.exclude), local, self._clock.wall_ns),
            local=local,
            syncfs=system.syncfs,
            poll=watch.polling == "on" or (watch.polling == "auto" and not local),
            answers=system is not UNKNOWN,
            identity=system.identity,
        )


def library_folder(tree: Tree, clock: Clock, key: str = "") -> Folder:
    """A library as something to look at; what no watch would take is not shown.

    Args:
        key: what is seen is seen under this name.
    """
    return Folder(key, tree, Excluder(["*"], []), clocks_agree=False, wall_ns=clock.wall_ns)


def date_rules(config: Config, timezone: str = "") -> DateRules:
    """The `[dates]` table, with a watch's own time zone where it has one."""
    dates = config.dates
    return DateRules(timezone or dates.timezone, dates.sources, dates.mtime, dates.earliest)
