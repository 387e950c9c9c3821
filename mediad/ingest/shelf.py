"""A configured library and how it is."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from mediad import config
from mediad.errors import LibraryOffline
from mediad.ingest.pulse import Pulse
from mediad.library import OpenLibrary
from mediad.sizes import size_text


class State(enum.StrEnum):
    """What a library is doing, as `status` names it."""

    ONLINE = "online"
    ADOPTING = "adopting"
    OFFLINE = "offline"
    FULL = "full"
    READONLY = "readonly"


@dataclass(slots=True)
class Shelf:
    """A configured library and its state.

    Attributes:
        id: its row in the catalogue once it was online.
        entered: its marker is its own: whoever has the same one is a copy.
        admitted: its recovery and the first look at it are done.
        room: bytes above `min_free` that could be written when it was last looked at.
        needs: bytes of the smallest that did not fit into that room, 0 if there was none.
        stuck: steps that recovery could neither finish nor revert, and why; it is tried again.
        told_of: steps of which the log has told that they are stuck.
        leaving: it is no longer configured, or elsewhere, and only finishes what is in flight.
        moved: it lies elsewhere now. What is not in the old folder yet must not get there: whoever moved it
            may delete that.
        users: sets on their way that need it.
        adopting: what lies in it is being catalogued; filing goes on meanwhile.
    """

    settings: config.Library
    library: OpenLibrary | None = None
    id: int = 0
    state: State = State.OFFLINE
    error: str = ""
    stuck: dict[int, str] = field(default_factory=dict)
    told_of: set[int] = field(default_factory=set)
    room: int = 0
    needs: int = 0
    entered: bool = False
    admitted: bool = False
    leaving: bool = False
    moved: bool = False
    users: int = 0
    adopting: bool = False
    looking: anyio.Lock = field(default_factory=anyio.Lock)
    pulse: Pulse = field(default_factory=Pulse)

    @property
    def online(self) -> bool:
        """Can be filed into."""
        return self.state is State.ONLINE and not self.leaving

    @property
    def arriving(self) -> bool:
        """Nobody knows yet how it is, or it is looked at for the first time."""
        unknown = self.state is State.OFFLINE and not self.error
        return not self.leaving and (unknown or self.state is State.ADOPTING)

    @property
    def told(self) -> State:
        """Its state, as `status` names it."""
        busy = self.arriving or (self.adopting and self.state is State.ONLINE)
        return State.ADOPTING if busy else self.state

    @property
    def takes(self) -> bool:
        """Takes what is on its way already."""
        return self.state is State.ONLINE and not self.moved

    @property
    def cramped(self) -> bool:
        """Takes what is small; something waits that does not fit."""
        return self.state is State.ONLINE and self.needs > self.room

    def refuse(self, need: int, room: int) -> str:
        """Remember that something did not fit; returns why, in words.

        Args:
            need, room: bytes.
        """
        self.needs = min(need, self.needs) if self.cramped else need
        least = size_text(self.settings.min_free)
        return f"needs {size_text(need)}; {size_text(room)} are free above min_free ({least})"

    @property
    def free(self) -> int | None:
        """Bytes free on its filesystem when it was last looked at; None while it is offline."""
        return self.library.free if self.library is not None and self.readable else None

    @property
    def readable(self) -> bool:
        """Its rows in the catalogue hold, though it may take nothing now."""
        return self.library is not None and self.state in (State.ONLINE, State.FULL, State.READONLY)


def enter(shelf: Shelf, library: OpenLibrary, elsewhere: str, all_shelves: Iterable[Shelf]) -> None:
    """Take up a library under its marker, which no other may have.

    Args:
        elsewhere: the name under which the catalogue knows the marker in another folder, "" for none. Who
            has that name is the library, away or not, and whoever else has the marker a copy.

    Raises:
        LibraryOffline: another one has it.
    """
    for other in all_shelves:
        if other is shelf or other.leaving:
            continue
        has_it = other.entered and other.library is not None and other.library.uuid == library.uuid
        if has_it or other.settings.name == elsewhere:
            raise LibraryOffline(
                f"it has the same marker as library {other.settings.name}: one is a copy of the other",
                path=library.tree.root,
                remedy="remove .mediad/library.toml from the copy",
            )
    shelf.entered = True
