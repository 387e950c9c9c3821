"""Serves the control socket: takes clients in, within limits, and lets each have its conversation.

Nothing that a client does reaches another or the daemon: every connection is a task of its own that raises
nothing, has bounded buffers, and gets its share of the event loop by turns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from dataclasses import dataclass

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mediad.control.calls import Daemon, definitions, error_message
from mediad.control.connection import Connection
from mediad.control.conversation import Conversation
from mediad.control.listener import Listener
from mediad.control.peer import Peer, admits, peer_of
from mediad.control.protocol import encode
from mediad.control.quotas import Quotas
from mediad.control.room import Room
from mediad.control.turns import Turns
from mediad.errors import Busy, NotPermitted

log = logging.getLogger("mediad")

MOST_CONNECTIONS = 1024
"""A small part of the descriptors that a daemon may have, and far more clients than anybody runs."""

MOST_OF_A_MEMBER = 64
"""Connections of one user who is neither root nor the daemon's own."""

_RECEIVED = (
    32 << 20,
    8 << 20,
)  # bytes of requests that are not handled yet: of all, and of a member; thin air
_UNSENT = (32 << 20, 8 << 20)  # bytes of replies that wait to be read, likewise
_KEPT_FREE = 16  # of them, so that root and the daemon's user get in, whatever the members of a group do
_PAUSE = 1.0  # seconds, while there is no descriptor for another connection


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """What a server has and has done.

    Attributes:
        connections, in_call: open now, and those of them in a call.
        accepted, made_way, turned_away: ever taken, closed for newer ones, and refused as too many.
    """

    connections: int
    in_call: int
    accepted: int
    made_way: int
    turned_away: int


class Server:
    """Serves one listener.

    Args:
        listener: stays the caller's, who closes it after `run` has ended.
        daemon: what answers calls.
        checked: replies are held against the interface definition, which costs time; for tests.
    """

    def __init__(self, listener: Listener, daemon: Daemon, *, checked: bool = False) -> None:
        self.daemon = daemon
        self.checked = checked
        self.turns = Turns()
        self.quotas = Quotas()
        self._listener = listener
        self.received = Room(*_RECEIVED)
        self.unsent = Room(*_UNSENT)
        self._open: set[Conversation] = set()
        self._resting: dict[Conversation, None] = {}  # not in a call; the longest first
        self._short_of_descriptors = False
        self._accepted = self._made_way = self._turned_away = 0

    async def run(self) -> None:
        """Serves until it is cancelled; then calls are cancelled, and connections closed."""
        await anyio.to_thread.run_sync(definitions)  # reads files
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_who_lost_the_right)
            await self.turns.measured(self._accept_all(tasks))

    def statistics(self) -> ServerStatistics:
        """What the server has and has done at this moment."""
        return ServerStatistics(
            len(self._open),
            len(self._open) - len(self._resting),
            self._accepted,
            self._made_way,
            self._turned_away,
        )

    def barred(self, peer: Peer) -> NotPermitted | None:
        """Why a peer may not use the socket; None if they may."""
        if admits(peer, self._listener.gid):
            return None
        if group := self._listener.group:
            return NotPermitted(
                f"mediad obeys root, its own user and the members of the group {group}",
                remedy=f"become a member of {group} and log in again, or use sudo",
            )
        return NotPermitted(
            "mediad obeys root and its own user", remedy="set daemon.group in its configuration, or use sudo"
        )

    def begins(self, conversation: Conversation) -> None:
        """A call begins: its connection is not closed for a newer one."""
        self._resting.pop(conversation, None)

    def rests(self, conversation: Conversation) -> None:
        """A call has ended."""
        if conversation in self._open:
            self._resting[conversation] = None

    async def _end_who_lost_the_right(self) -> None:
        """Ends calls of who is no member any more after a reload; who rests is told at the next request."""
        while True:
            await anyio.wait_readable(self._listener.regrouped)
            os.eventfd_read(self._listener.regrouped)
            for conversation in self._open - self._resting.keys():
                if self.barred(conversation.peer):
                    conversation.end()

    async def _accept_all(self, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(self._listener.socket)
            await self.turns.take()
            try:
                ours, _ = self._listener.socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as error:  # EMFILE, ENFILE, ENOMEM: to try at once would spin
                if not self._short_of_descriptors:
                    log.warning("control connections have to wait: %s", error.strerror)
                self._short_of_descriptors = True
                await anyio.sleep(_PAUSE)
                continue
            self._short_of_descriptors = False
            ours.setblocking(False)
            if conversation := self._take_in(ours):
                tasks.start_soon(self._converse, conversation)

    def _take_in(self, ours: socket.socket) -> Conversation | None:
        try:
            peer = peer_of(ours)
        except OSError as error:
            log.warning("a control connection is refused: %s", error.strerror)
            ours.close()
            return None
        if not self._make_room(peer):
            self._turn_away(ours)
            return None
        connection = Connection(ours, peer, self.turns, self.received, self.unsent)
        conversation = Conversation(connection, peer, self)
        self._accepted += 1
        self._open.add(conversation)
        self._resting[conversation] = None
        return conversation

    def _make_room(self, peer: Peer) -> bool:
        """Sees to it that there is room for one more; one that rests makes way for it."""
        theirs = 0 if peer.trusted else sum(one.peer.uid == peer.uid for one in self._open)
        full = len(self._open) >= MOST_CONNECTIONS - (0 if peer.trusted else _KEPT_FREE)
        if not full and theirs < MOST_OF_A_MEMBER:
            return True
        longest = self._who_makes_way(peer, theirs)
        if longest is None:
            return False
        self._forget(longest)
        longest.end()
        self._made_way += 1
        return True

    def _who_makes_way(self, peer: Peer, theirs: int) -> Conversation | None:
        """The longest at rest: of the same user, or else another, but nobody trusted for a member."""
        own = [one for one in self._resting if one.peer.uid == peer.uid]
        members = [one for one in self._resting if not one.peer.trusted]
        if peer.trusted:
            return next(iter([*members, *self._resting]), None)
        return next(iter(own if theirs >= MOST_OF_A_MEMBER else [*own, *members]), None)

    def _turn_away(self, ours: socket.socket) -> None:
        self._turned_away += 1
        name, parameters = error_message(Busy("too many clients are connected"), "")
        with ours, contextlib.suppress(OSError):  # it may be gone already
            ours.send(encode({"error": name, "parameters": parameters}))

    async def _converse(self, conversation: Conversation) -> None:
        try:
            await conversation.run()
        finally:
            self._forget(conversation)

    def _forget(self, conversation: Conversation) -> None:
        self._open.discard(conversation)
        self._resting.pop(conversation, None)
