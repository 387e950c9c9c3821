"""From which watches, imports and quarantines files are taken now, and why not from the others.

What is taken from is closed while it, its library or everything is paused, while its folder or its library
cannot be reached, and when it is no longer configured.
"""

from __future__ import annotations

from collections.abc import Callable

from mediad.config import Config
from mediad.ingest.pauses import EVERYTHING, Pauses
from mediad.ingest.roster import Roster
from mediad.ingest.serving import Serving
from mediad.ingest.shelves import Shelves
from mediad.store.pauses import Pause


class Gates:
    """One for each name that files are taken from.

    Args:
        config: the configuration in force.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        roster: Roster,
        pauses: Pauses,
        serving: Serving,
        shelves: Shelves,
    ) -> None:
        self._config = config
        self._roster = roster
        self._pauses = pauses
        self._serving = serving
        self._shelves = shelves

    def closed(self, name: str) -> bool:
        """Is nothing taken now from this watch, import or quarantine?"""
        served = self._serving.get(name)
        if served is None or served.retiring or served.away or self.paused(name):
            return True
        shelf = self._shelves.find(self._library_of(name))
        return shelf is None or not shelf.online

    def opens(self, name: str) -> bool:
        """Is it closed only because its library is still being looked at for the first time?"""
        served, shelf = self._serving[name], self._shelves.find(self._library_of(name))
        if served.retiring or served.away or self.paused(name):
            return False
        return shelf is not None and shelf.arriving

    def why_closed(self, name: str) -> str:
        """Why nothing is taken from it now, in words; "" if something is."""
        if (pause := self.pause_of(name)) is not None:
            return f"{pause.name or 'everything'} is paused"
        served = self._serving.get(name)
        if served is None or served.retiring:
            return "its watch is no longer configured"
        if served.watcher is not None and served.watcher.away:
            return f"watch {name} is {served.watcher.state}: {served.watcher.error}"
        shelf = self._shelves.find(self._library_of(name))
        if shelf is not None and shelf.arriving:
            return f"library {shelf.settings.name} is still being looked at"
        if shelf is None or not shelf.online:
            what = f"is {shelf.state}: {shelf.error}" if shelf is not None else "is not configured"
            return f"library {self._library_of(name)} {what}"
        return ""

    def paused(self, name: str) -> bool:
        """Is it paused, itself, by its library, or with everything?"""
        return self.pause_of(name) is not None

    def pause_of(self, name: str) -> Pause | None:
        """The pause of a watch, import or quarantine that lasts longest."""
        if not self._pauses.any():  # asked of every batch
            return None
        return self._pauses.of(EVERYTHING, name, *self.libraries_of(name))

    def libraries_of(self, name: str) -> set[str]:
        """The libraries that files of this watch, import or quarantine may go to."""
        watch = self._roster.settings.get(name)
        return self._config().libraries_of(watch) if watch is not None else {self._library_of(name)}

    def _library_of(self, name: str) -> str:
        watch = self._roster.settings.get(name)
        return watch.library if watch is not None else name.partition(":")[2]
