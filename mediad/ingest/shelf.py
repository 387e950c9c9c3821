"""A configured library and how it is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import anyio

from mediad import config
from mediad.ingest.pulse import Pulse
from mediad.library import OpenLibrary


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
        admitted: its recovery and the first look at it are done.
        room: bytes above `min_free` that could be written when it was last looked at.
        stuck: steps that recovery could neither finish nor revert; it is tried again.
        leaving: it is no longer configured, or elsewhere, and only finishes what is in flight.
        users: sets on their way that need it.
    """

    settings: config.Library
    library: OpenLibrary | None = None
    id: int = 0
    state: State = State.OFFLINE
    error: str = ""
    stuck: int = 0
    room: int = 0
    admitted: bool = False
    leaving: bool = False
    users: int = 0
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
    def takes(self) -> bool:
        """Takes what is on its way already."""
        return self.state is State.ONLINE

    @property
    def free(self) -> int | None:
        """Bytes free on its filesystem when it was last looked at; None while it is offline."""
        return self.library.free if self.library is not None and self.readable else None

    @property
    def readable(self) -> bool:
        """Its rows in the catalogue hold, though it may take nothing now."""
        return self.library is not None and self.state in (State.ONLINE, State.FULL, State.READONLY)
