"""How many calls of one kind may be at work at a time: those that take long, or much."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from mediad.control.peer import Peer
from mediad.errors import Busy

_OF_EACH = {
    "Adopt": 2,
    "Import": 4,
    "Monitor": 8,
    "Reload": 1,
    "Retry": 2,
    "SafeToWipe": 2,
    "Scan": 4,
    "Verify": 1,
    "Wait": 16,
}
"""Of each user; those who are trusted may have twice as many."""

_OF_ALL = {"Monitor": 32}
_KEPT_FREE = 8  # of those, for who is trusted


class Quotas:
    """The calls at work of one server."""

    def __init__(self) -> None:
        self._users: Counter[tuple[str, int]] = Counter()
        self._all: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, method: str, peer: Peer) -> Iterator[None]:
        """Counts a call until the context is left.

        Raises:
            Busy: there are too many of its kind.
        """
        if method not in _OF_EACH:
            yield
            return
        self._check(method, peer)
        self._users[method, peer.uid] += 1
        self._all[method] += 1
        try:
            yield
        finally:
            self._all[method] -= 1
            self._users[method, peer.uid] -= 1
            if not self._users[method, peer.uid]:
                del self._users[method, peer.uid]

    def _check(self, method: str, peer: Peer) -> None:
        if self._users[method, peer.uid] >= _OF_EACH[method] * (2 if peer.trusted else 1):
            raise Busy(f"too many calls of {method} are at work for you")
        if method in _OF_ALL and self._all[method] >= _OF_ALL[method] - (0 if peer.trusted else _KEPT_FREE):
            raise Busy(f"too many calls of {method} are at work")
