"""A control server in this process, on a real socket, with a daemon that does as a test says."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from mediad.control import calls, server
from mediad.control.calls import Call, Reply
from mediad.control.interface import Array, Basic, Enum, Interface, Map, Maybe, Named, Struct, Type
from mediad.control.listener import Listener, open_listener
from mediad.control.peer import Peer, peer_of
from mediad.control.protocol import INTERFACE, encode
from mediad.control.server import Server
from tests.waiting import wait_until

Handler = Callable[[Call, Reply], Awaitable[Mapping[str, object]]]

_PLAIN: dict[str, object] = {"bool": True, "int": 1, "float": 0.5, "string": "é", "object": {}}


def sample(interface: Interface, kind: Type) -> object:
    """A value of a type, with as little in it as it may have."""
    match kind:
        case Basic(name):
            return _PLAIN[name]
        case Maybe():
            return None
        case Array():
            return []
        case Map():
            return {}
        case Enum(names):
            return names[0]
        case Named(name):
            return sample(interface, interface.types[name])
        case Struct(fields):
            return {name: sample(interface, of) for name, of in fields.items()}


def sample_reply(method: str) -> dict[str, object]:
    """What a method of our interface may answer."""
    interface = calls.definitions()[INTERFACE]
    return cast("dict[str, object]", sample(interface, interface.methods[method].gives))


class Scripted:
    """A daemon that answers as its handlers do, by method, and else with a sample; notes what it is asked."""

    def __init__(self, **handlers: Handler) -> None:
        self.handlers = handlers
        self.calls: list[Call] = []

    async def call(self, call: Call, reply: Reply) -> Mapping[str, object]:
        self.calls.append(call)
        if handler := self.handlers.get(call.method):
            return await handler(call, reply)
        return sample_reply(call.method)


NOTHING = sample_reply("Resume")


class Held:
    """A handler that waits until it is let go, and tells how it ended."""

    def __init__(self, answer: Mapping[str, object] = NOTHING) -> None:
        self.answer = answer
        self.begun = 0
        self.ended: list[str] = []
        self._go: anyio.Event | None = None

    async def __call__(self, call: Call, reply: Reply) -> Mapping[str, object]:
        self._go = self._go or anyio.Event()
        self.begun += 1
        try:
            await self._go.wait()
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("done")
        return self.answer

    def let_go(self, served: Served) -> None:
        assert self._go is not None
        served.portal.call(self._go.set)


class Client:
    """The other end, without any rules."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60.0)
        self.socket.connect(str(path))
        self._received = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def ask(self, method: str, parameters: Mapping[str, object] | None = None, **flags: object) -> None:
        """Sends a call of our interface, or of another if the name is a full one."""
        name = method if "." in method else f"{INTERFACE}.{method}"
        self.socket.sendall(encode({"method": name, "parameters": parameters or {}, **flags}))

    def answer(self) -> dict[str, Any] | None:
        """The next message; None if there is none any more."""
        while b"\0" not in self._received:
            try:
                part = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not part:
                assert not self._received, "the last message is cut off"
                return None
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return cast("dict[str, Any]", json.loads(message))

    def call(
        self, method: str, parameters: Mapping[str, object] | None = None, **flags: object
    ) -> dict[str, Any]:
        """Asks, and returns the answer."""
        self.ask(method, parameters, **flags)
        answer = self.answer()
        assert answer is not None, "the connection was closed"
        return answer

    def send_for_ever(self, data: bytes) -> None:
        """Sends it again and again; ends with the error that this meets."""
        while True:
            self.socket.sendall(data)

    def read_for_ever(self) -> None:
        """Reads to the end; fails if that is within a message."""
        while self.answer() is not None:
            pass

    def is_closed(self) -> bool:
        """Waits for a message or the end: whether the daemon has nothing more to say."""
        return self.answer() is None


@dataclass
class Served:
    """A server at work, with its event loop in a thread of its own."""

    path: Path
    server: Server
    listener: Listener
    portal: BlockingPortal
    clients: list[Client] = field(default_factory=list)

    def client(self) -> Client:
        """A new connection, closed at the end of the test."""
        self.clients.append(Client(self.path))
        return self.clients[-1]

    def wait_for_connections(self, number: int) -> None:
        """Waits until so many are open."""
        wait_until(lambda: self.server.statistics().connections == number, what=f"{number} connections")

    def in_call(self) -> int:
        """Connections whose call is at work."""
        return self.server.statistics().in_call

    def tasks(self) -> int:
        """Tasks of the event loop, without the one that counts."""
        return self.portal.call(lambda: len(anyio.get_running_tasks())) - 1


@contextlib.contextmanager
def serving(folder: Path, daemon: Scripted, gid: int | None = None) -> Iterator[Served]:
    """Serves in a folder; what it answers is held against the definition."""
    with start_blocking_portal() as portal:
        listener = open_listener([str(folder / "control")], gid)
        server = Server(listener, daemon, checked=True)
        stop = portal.call(anyio.Event)

        async def run() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.run)
                await stop.wait()
                tasks.cancel_scope.cancel()

        running = portal.start_task_soon(run)
        served = Served(folder / "control", server, listener, portal)
        try:
            yield served
        finally:
            for client in served.clients:
                client.close()
            portal.call(stop.set)
            running.result()
            listener.close()


@pytest.fixture
def daemon() -> Scripted:
    return Scripted()


@pytest.fixture
def served(tmp_path: Path, daemon: Scripted) -> Iterator[Served]:
    with serving(tmp_path, daemon) as at_work:
        yield at_work


@pytest.fixture
def shared(tmp_path: Path, daemon: Scripted) -> Iterator[Served]:
    """A server that members may use, too."""
    with serving(tmp_path, daemon, os.getegid()) as at_work:
        yield at_work


def member(uid: int) -> Peer:
    """A member of the group of `shared`."""
    return Peer(1, uid, frozenset({os.getegid()}), trusted=False)


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> list[Peer]:
    """Who the next client is; empty: who it is."""
    following: list[Peer] = []
    monkeypatch.setattr(server, "peer_of", lambda ours: following.pop(0) if following else peer_of(ours))
    return following
