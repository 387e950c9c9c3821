"""Room for what the daemon holds in memory for clients: so much for all, and a part for each user."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from mediad.control.peer import Peer


class Holder(Protocol):
    """Somebody for whom bytes are held."""

    peer: Peer

    def cut(self) -> None:
        """Ends it at once, whatever it is doing."""


class Room:
    """Bytes of one kind. Who has the most is cut off where there are too many.

    Args:
        most: bytes of all together. share: of each user, except those who are trusted. What is held for one
            alone is never too much, since nobody else is held up.
    """

    def __init__(self, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._held: dict[Holder, int] = {}
        self._users: Counter[int] = Counter()

    @property
    def bytes(self) -> int:
        """Held now."""
        return sum(self._users.values())

    def hold(self, holder: Holder, size: int) -> None:
        """Notes how much is held for one from now on; cuts off whoever has the most, if need be.

        Args:
            size: bytes, 0 if nothing.
        """
        before = self._held.pop(holder, 0)
        if size:
            self._held[holder] = size
        self._users[holder.peer.uid] += size - before
        if not self._users[holder.peer.uid]:
            del self._users[holder.peer.uid]
        if size > before and (largest := self._too_much(holder.peer)):
            self.hold(largest, 0)
            largest.cut()

    def _too_much(self, peer: Peer) -> Holder | None:
        """Who has to go."""
        if not peer.trusted and self._users[peer.uid] > self._share:
            theirs = self._of(peer.uid)
            if len(theirs) > 1:
                return max(theirs, key=self._held.__getitem__)
        if self.bytes > self._most and len(self._held) > 1:
            user = max(self._users, key=self._users.__getitem__)
            return max(self._of(user), key=self._held.__getitem__)
        return None

    def _of(self, uid: int) -> list[Holder]:
        return [holder for holder in self._held if holder.peer.uid == uid]
