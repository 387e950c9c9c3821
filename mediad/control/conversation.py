"""One client's calls, one after another."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

import anyio
import anyio.lowlevel

from mediad.control import calls
from mediad.control.calls import Call, Daemon, Request, Shared
from mediad.control.connection import REQUEST_LIMIT, Connection
from mediad.control.interface import Interface, InvalidParameter
from mediad.control.peer import Peer
from mediad.control.protocol import SERVICE, decode, encode
from mediad.control.quotas import Quotas
from mediad.control.turns import Turns
from mediad.errors import NotPermitted

log = logging.getLogger("mediad")


class Host(Protocol):
    """What a conversation needs to know of its server."""

    daemon: Daemon
    turns: Turns
    quotas: Quotas
    checked: bool

    def barred(self, peer: Peer) -> NotPermitted | None:
        """Why a peer may not use the socket; None if they may."""

    def begins(self, conversation: Conversation) -> None:
        """Is told when a call begins."""

    def rests(self, conversation: Conversation) -> None:
        """Is told when it has ended."""


class Conversation:
    """Reads requests, has them answered in order, and ends when the client does or breaks the rules."""

    def __init__(self, connection: Connection, peer: Peer, host: Host) -> None:
        self.peer = peer
        self._connection = connection
        self._host = host
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Talks until one side ends it; then the connection is closed."""
        with self._scope:
            try:
                await self._host.turns.measured(self._answer_all())
            except Exception:
                log.exception("a control connection failed")
            finally:
                self._connection.close()

    def end(self) -> None:
        """Ends it, and whatever it is doing."""
        self._scope.cancel()

    async def _answer_all(self) -> None:
        within = REQUEST_LIMIT if self._host.barred(self.peer) else math.inf
        while (request := await self._connection.next_request(within)) is not None:
            try:
                message = decode(request)
            except ValueError:
                return
            if not isinstance(message.get("method"), str):
                return
            if barred := self._host.barred(self.peer):  # asked anew: a reload may change it
                await self._send(self._error(barred, ""))
                return
            self._host.begins(self)
            if message.get("oneway") is True:  # the client may go: nobody waits for the answer
                await self._answer(message)
            else:
                await self._answer_unless_gone(message)
            self._host.rests(self)

    async def _answer_unless_gone(self, message: Mapping[str, object]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_when_gone)
            await self._send(await self._answer(message))
            tasks.cancel_scope.cancel()

    async def _end_when_gone(self) -> None:
        await self._host.turns.measured(self._connection.until_gone())
        self.end()

    async def _answer(self, message: Mapping[str, object]) -> bytes:
        """The last or only answer to a message, whatever happens."""
        name = str(message["method"])
        try:
            request = Request.of(message)
            interface, method = calls.find_method(name)
            parameters = interface.check_call(method, request.parameters)
            if interface.name == SERVICE:
                return encode({"parameters": calls.describe(method, parameters)})
            last = await self._call(interface, method, parameters, request.more)
            return self._reply(interface, method, last)
        except Exception as error:  # noqa: BLE001 - told to the client, and logged where nobody foresaw it
            return self._error(error, name)

    async def _call(
        self, interface: Interface, method: str, parameters: Mapping[str, object], more: bool
    ) -> Mapping[str, object]:
        async def reply(part: Mapping[str, object]) -> None:
            if more:
                await self._host.turns.take()
                await self._send(self._part(interface, method, part))

        with self._host.quotas.taken(method, self.peer):
            return await self._host.daemon.call(Call(method, parameters, self.peer, more), reply)

    def _part(self, interface: Interface, method: str, parameters: Mapping[str, object]) -> bytes:
        """One of several replies; it is encoded once, whoever gets it."""
        known = parameters.encoded if isinstance(parameters, Shared) else None
        message = known or self._reply(interface, method, parameters, {"continues": True})
        if isinstance(parameters, Shared):
            parameters.encoded = message
        return message

    def _reply(
        self,
        interface: Interface,
        method: str,
        parameters: Mapping[str, object],
        flags: Mapping[str, object] = MappingProxyType({}),
    ) -> bytes:
        if self._host.checked:
            _must_pass(interface.check_reply, method, parameters)
        return encode({"parameters": dict(parameters), **flags})

    def _error(self, error: Exception, method: str) -> bytes:
        name, parameters = calls.error_message(error, method)
        if self._host.checked:
            interface, _, short = name.rpartition(".")
            _must_pass(calls.definitions()[interface].check_error, short, parameters)
        return encode({"error": name, "parameters": parameters})

    async def _send(self, message: bytes) -> None:
        try:
            await self._connection.send(message)
        except OSError:  # gone, or reads nothing: then nobody waits for what is being done
            self.end()
            await anyio.lowlevel.checkpoint()


def _must_pass(
    check: Callable[[str, Mapping[str, object]], object], name: str, parameters: Mapping[str, object]
) -> None:
    try:
        check(name, parameters)
    except InvalidParameter as error:
        raise TypeError(f"{name} is answered otherwise than it is defined: {error.parameter}") from error
