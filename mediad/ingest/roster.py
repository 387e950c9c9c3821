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
from mediad.media.dates import DateRules
from mediad.roots import filesystem

SETTLE_LOCAL = 2.0  # seconds
SETTLE_NETWORK = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One watch.

    Attributes:
        local: its filesystem is this machine's: clocks agree, inodes are stable, inotify tells all.
        syncfs: syncfs(2) makes its files durable.
        poll: it is scanned, since events would not tell of all changes.
    """

    settings: Watch
    tree: Tree
    place: Place
    folder: Folder
    local: bool
    syncfs: bool
    poll: bool


class Roster(Mapping[str, Entry]):
    """All watches by name. Making and refreshing it blocks: it looks at filesystems.

    Attributes:
        places: what identifying needs, by name. syncfs: the watches whose files syncfs(2) makes durable.
            Both are kept up to date in place.
    """

    def __init__(self, config: Config, files: Files, clock: Clock) -> None:
        self._config = config
        self._files = files
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self.places: dict[str, Place] = {}
        self.syncfs: set[str] = set()
        for name in config.watches:
            self.refresh(name)

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def refresh(self, name: str) -> Entry:
        """Look again at what a watch lies on."""
        entry = self._entries[name] = self._entry(self._config.watches[name])
        self.places[name] = entry.place
        (self.syncfs.add if entry.syncfs else self.syncfs.discard)(name)
        return entry

    def _entry(self, watch: Watch) -> Entry:
        tree = Tree(self._files, os.fsencode(watch.path))
        system = filesystem(watch.path)
        local = not system.network
        settle = watch.settle if watch.settle is not None else SETTLE_LOCAL if local else SETTLE_NETWORK
        return Entry(
            settings=watch,
            tree=tree,
            place=Place(tree, settle, system.leases, local, date_rules(self._config, watch.timezone)),
            folder=Folder(
                watch.name, tree, Excluder(watch.include, watch.exclude), local, self._clock.wall_ns
            ),
            local=local,
            syncfs=system.syncfs,
            poll=watch.polling == "on" or (watch.polling == "auto" and not local),
        )


def library_folder(tree: Tree, clock: Clock) -> Folder:
    """A library as something to look at; what no watch would take is not shown."""
    return Folder("", tree, Excluder(["*"], []), clocks_agree=False, wall_ns=clock.wall_ns)


def date_rules(config: Config, timezone: str = "") -> DateRules:
    """The `[dates]` table, with a watch's own time zone where it has one."""
    dates = config.dates
    return DateRules(timezone or dates.timezone, dates.sources, dates.mtime, dates.earliest)
