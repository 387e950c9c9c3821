"""How many long calls a user has at a time, and what streams cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import anyio
import pytest

from mediad.control import quotas
from mediad.control.calls import Call, Reply, Shared
from mediad.control.peer import Peer
from mediad.control.protocol import INTERFACE, encode
from tests.serving import Client, Held, Scripted, Served, member, sample_reply
from tests.serving import daemon as daemon
from tests.serving import peers as peers
from tests.serving import served as served
from tests.serving import shared as shared
from tests.waiting import wait_until


@pytest.mark.parametrize("method", ["Import", "Monitor", "Reload", "Retry", "Scan", "Wait"])
def test_a_user_has_so_many_calls_of_a_kind(
    shared: Served, daemon: Scripted, peers: list[Peer], method: str
) -> None:
    held = Held(sample_reply(method))
    daemon.handlers[method] = held
    most = {"Import": 4, "Monitor": 8, "Reload": 1, "Retry": 2, "Scan": 4, "Wait": 16}[method]

    def fill(count: int, *, uid: int | None) -> list[Client]:
        if uid is not None:
            peers.extend([member(uid)] * (count + 1))
        clients = [shared.client() for _ in range(count + 1)]
        before = held.begun
        for client in clients[:-1]:
            client.ask(method)
        wait_until(lambda: held.begun == before + count)
        assert clients[-1].call(method)["error"] == f"{INTERFACE}.Busy"
        assert clients[-1].call("Status"), "all else is answered"
        return clients

    first = fill(most, uid=7)
    fill(most, uid=8)
    first[0].close()
    wait_until(lambda: held.ended)
    first[-1].ask(method)
    wait_until(lambda: held.begun == 2 * most + 1)
    fill(2 * most, uid=None)


def test_all_have_so_many_followers(
    shared: Served, daemon: Scripted, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(quotas._OF_ALL, "Monitor", 4)
    monkeypatch.setattr(quotas, "_KEPT_FREE", 1)
    held = Held(sample_reply("Monitor"))
    daemon.handlers["Monitor"] = held
    peers += [member(uid) for uid in range(11, 15)]
    clients = [shared.client() for _ in range(4)]
    for client in clients[:3]:
        client.ask("Monitor")
    wait_until(lambda: held.begun == 3)
    assert clients[3].call("Monitor")["error"] == f"{INTERFACE}.Busy"
    shared.client().ask("Monitor")
    wait_until(lambda: held.begun == 4)
    assert shared.client().call("Monitor")["error"] == f"{INTERFACE}.Busy"


def test_what_goes_to_many_is_encoded_once(
    served: Served, daemon: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Shared(sample_reply("Monitor"))
    encoded: list[Mapping[str, object]] = []

    async def one_event(call: Call, reply: Reply) -> Mapping[str, object]:
        await reply(event)
        return event

    def counted(message: Mapping[str, object]) -> bytes:
        encoded.append(message)
        return encode(message)

    daemon.handlers["Monitor"] = one_event
    monkeypatch.setattr("mediad.control.conversation.encode", counted)
    for _ in range(3):
        client = served.client()
        client.ask("Monitor", more=True)
        assert client.answer() == {"parameters": event, "continues": True}
        assert client.answer() == {"parameters": event}
    assert [message.get("continues") for message in encoded] == [True, None, None, None]


def test_a_stream_takes_turns(served: Served, daemon: Scripted) -> None:
    told = 0

    async def stream(call: Call, reply: Reply) -> Mapping[str, object]:
        nonlocal told
        while True:
            await reply(sample_reply("Monitor"))
            told += 1

    daemon.handlers["Monitor"] = stream
    client = served.client()
    client.ask("Monitor", more=True)
    wait_until(lambda: told > 10)
    served.portal.call(served.server.turns._lock.acquire)
    before = told
    client.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while client.socket.recv(1 << 20):
            pass
    served.portal.call(anyio.wait_all_tasks_blocked)
    assert told <= before + 1
    client.close()
