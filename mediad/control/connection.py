"""One client's socket: requests in, replies out, within limits.

On the socket itself, as in `workers`: anyio's streams hide whether the other end is only done with writing,
or gone.
"""

from __future__ import annotations

import math
import select
import socket
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from mediad.control.protocol import LONGEST_REQUEST
from mediad.control.turns import Turns

REQUEST_LIMIT = 30.0
"""Seconds in which a request that has begun must be complete."""

_REPLY_LIMIT = 30.0  # seconds for a client to read anything at all of what is ready for it
_PART = 1 << 16  # bytes received at a time
_MOST_BUFFERED = 32 << 20  # bytes of unfinished requests of all clients together; thin air


@dataclass(slots=True)
class Buffered:
    """Bytes that were received and not yet handled, of all connections together."""

    bytes: int = 0


class Connection:
    """A client's connection.

    Args:
        ours: non-blocking; closed with the connection.
        turns: reading and handling a request begins with a turn.
        buffered: shared by all connections.
    """

    def __init__(self, ours: socket.socket, turns: Turns, buffered: Buffered) -> None:
        self._socket = ours
        self._turns = turns
        self._buffered = buffered
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

    async def until_gone(self) -> bool:
        """Waits, during a call, until the client is gone; what it sends meanwhile is kept for later.

        Returns:
            False if that cannot be told: it closed its side for writing only, or sent so much ahead that no
            more is read.
        """
        while not self._ended:
            if len(self._buffer) >= LONGEST_REQUEST:
                return False
            await self._receive()
        poll = select.poll()
        poll.register(self._socket, 0)  # a hang-up is told in any case
        return bool(poll.poll(0))

    async def send(self, message: bytes) -> None:
        """Sends a whole message.

        Raises:
            OSError: the client is gone, or has read nothing for long (a TimeoutError).
        """
        async with self._sending:
            if self._cut_off:
                raise BrokenPipeError("an earlier reply was cut off")
            self._cut_off = True
            left = memoryview(message)
            while left:
                try:
                    left = left[self._socket.send(left) :]
                except BlockingIOError:
                    with anyio.fail_after(_REPLY_LIMIT):
                        await anyio.wait_writable(self._socket)
            self._cut_off = False

    def close(self) -> None:
        """Ends it; nobody may be waiting on it."""
        self._buffered.bytes -= len(self._buffer)
        self._buffer.clear()
        self._socket.close()

    async def _receive(self) -> None:
        await anyio.wait_readable(self._socket)
        await self._turns.take()
        try:
            part = self._socket.recv(_PART)
        except BlockingIOError:
            return
        except OSError:  # reset
            part = b""
        self._buffer += part
        self._buffered.bytes += len(part)
        crowded = self._buffered.bytes > _MOST_BUFFERED and len(self._buffer) > _PART
        self._ended = not part or crowded

    def _cut(self, end: int) -> bytes | None:
        """Takes what comes before the NUL at `end` out of the buffer."""
        request = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        self._buffered.bytes -= end + 1
        return request if end < LONGEST_REQUEST else None
