"""One client's socket: requests in, replies out, within limits.

On the socket itself, as in `workers`: anyio's streams hide whether the other end is only done with writing,
or gone.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket

import anyio
import anyio.lowlevel

from mediad.control.peer import Peer
from mediad.control.protocol import LONGEST_REQUEST
from mediad.control.room import Room
from mediad.control.turns import Turns

REQUEST_LIMIT = 30.0
"""Seconds in which a request that has begun must be complete."""

_REPLY_LIMIT = 30.0  # seconds for a client to read the whole of a reply
_PART = 1 << 16  # bytes received at a time
_MOST_AHEAD = 1 << 16  # bytes that are read during a call
_LOOK = 1.0  # seconds between two looks for a hang-up that reading would not show


class Connection:
    """A client's connection.

    Args:
        ours: non-blocking; closed with the connection.
        peer: whose it is.
        turns: reading and handling a request begins with a turn.
        received, unsent: bytes of requests that are not handled yet, and of replies that wait to be read;
            shared by all connections.
    """

    def __init__(self, ours: socket.socket, peer: Peer, turns: Turns, received: Room, unsent: Room) -> None:
        self.peer = peer
        self._socket = ours
        self._turns = turns
        self._received = received
        self._unsent = unsent
        self._buffer = bytearray()
        self._searched = 0  # bytes at the buffer's start in which no request ends
        self._ended = False  # nothing more comes
        self._cut_off = False  # a reply was sent in part
        self._sending = anyio.Lock()

    async def next_request(self, within: float = math.inf) -> bytes | None:
        """The next request, without its NUL; holds a turn when it returns.

        Args:
            within: seconds. Without it a client may be silent for ever; only a request that has begun must
                be complete within `REQUEST_LIMIT`.

        Returns:
            None if there is none any more, it is too long, or did not come in time: nothing is left to say.
        """
        if self._buffer:  # sent ahead: others come first
            await anyio.lowlevel.checkpoint()
            await self._turns.take()
        with anyio.move_on_after(within) as limit:
            while (end := self._buffer.find(0, self._searched)) < 0:
                self._searched = len(self._buffer)
                if self._ended or self._searched >= LONGEST_REQUEST:
                    return None
                if self._buffer and limit.deadline == math.inf:
                    limit.deadline = anyio.current_time() + REQUEST_LIMIT
                await self._receive()
            return self._cut(end)
        return None

    async def until_gone(self) -> None:
        """Waits, during a call, until the client is gone; what it sends meanwhile is for later."""
        while not self._ended and len(self._buffer) < _MOST_AHEAD:
            await self._receive()
        poll = select.poll()
        poll.register(self._socket, 0)  # a hang-up is told in any case
        while not poll.poll(0):  # noqa: ASYNC110 - done with writing, or ahead: nothing else tells when it goes
            await anyio.sleep(_LOOK)

    async def send(self, message: bytes) -> None:
        """Sends a whole message.

        Raises:
            OSError: the client is gone, did not read all of it in time (a TimeoutError), or was cut off.
        """
        async with self._sending:
            if self._cut_off:
                raise BrokenPipeError("an earlier reply was cut off")
            self._cut_off = True
            left = self._hand_over(memoryview(message))
            if left:
                await self._hand_over_in_time(left, len(message))
            self._cut_off = False

    def cut(self) -> None:
        """Ends it at once: whoever waits on it finds it closed."""
        self._ended = True
        self._forget()
        with contextlib.suppress(OSError):  # the other end is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it; nobody may be waiting on it."""
        self._forget()
        self._socket.close()

    def _hand_over(self, left: memoryview) -> memoryview:
        """Gives the system as much as it takes now; returns the rest."""
        with contextlib.suppress(BlockingIOError):
            while left:
                left = left[self._socket.send(left) :]
        return left

    async def _hand_over_in_time(self, left: memoryview, held: int) -> None:
        try:
            self._unsent.hold(self, held)
            with anyio.fail_after(_REPLY_LIMIT):
                while left:
                    await anyio.wait_writable(self._socket)
                    left = self._hand_over(left)
        finally:
            self._unsent.hold(self, 0)

    def _forget(self) -> None:
        """Drops what was received."""
        self._buffer.clear()
        self._searched = 0
        self._received.hold(self, 0)

    async def _receive(self) -> None:
        await anyio.wait_readable(self._socket)
        await self._turns.take()
        if self._ended:  # cut meanwhile
            return
        try:
            part = self._socket.recv(_PART)
        except BlockingIOError:
            return
        except OSError:  # reset
            part = b""
        self._ended = not part
        self._buffer += part
        self._received.hold(self, len(self._buffer))

    def _cut(self, end: int) -> bytes | None:
        """Takes what comes before the NUL at `end` out of the buffer."""
        request = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        self._received.hold(self, len(self._buffer))
        return request if end < LONGEST_REQUEST else None
