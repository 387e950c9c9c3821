"""The control server's limits: who may use it, how many, and how much each gets of it."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mediad.control import server
from mediad.control.calls import Call, Reply
from mediad.control.peer import Peer
from mediad.control.protocol import INTERFACE, SERVICE, encode
from tests.serving import NOTHING, Held, Scripted, Served, member, sample_reply, serving
from tests.serving import daemon as daemon
from tests.serving import peers as peers
from tests.serving import served as served
from tests.serving import shared as shared
from tests.somebody import command, needs_root
from tests.somebody import open_folder as open_folder
from tests.waiting import wait_until

# --- Who may -----------------------------------------------------------------------------------------


def stranger(*gids: int) -> Peer:
    return Peer(1, 54321, frozenset(gids), trusted=False)


@pytest.mark.parametrize("gid", [None, os.getegid()])
def test_a_stranger_is_told_so_and_no_more(
    tmp_path: Path, daemon: Scripted, peers: list[Peer], gid: int | None
) -> None:
    with serving(tmp_path, daemon, gid) as served:
        peers.append(stranger(99999))
        client = served.client()
        client.socket.sendall(
            encode({"method": f"{SERVICE}.GetInfo"}) + encode({"method": f"{INTERFACE}.Status"})
        )
        answer = client.answer()
        assert answer is not None
        assert answer["error"] == f"{INTERFACE}.NotPermitted"
        assert answer["parameters"]["remedy"]
        assert served.listener.group in answer["parameters"]["message"]
        assert client.is_closed()
        assert not daemon.calls


def test_a_member_may_until_a_reload_says_otherwise(
    tmp_path: Path, daemon: Scripted, peers: list[Peer]
) -> None:
    gid = os.getegid()
    with serving(tmp_path, daemon, gid) as served:
        peers.append(stranger(gid))
        client = served.client()
        assert client.call("Resume") == {"parameters": NOTHING}
        assert daemon.calls[0].peer == stranger(gid)
        served.listener.regroup(None)
        assert client.call("Resume")["error"] == f"{INTERFACE}.NotPermitted"
        assert client.is_closed()


def test_calls_of_who_is_no_member_any_more_are_ended(
    tmp_path: Path, daemon: Scripted, peers: list[Peer]
) -> None:
    gid, held, following = os.getegid(), Held(), Held(sample_reply("Monitor"))
    daemon.handlers |= {"Resume": held, "Monitor": following}
    with serving(tmp_path, daemon, gid) as served:
        ours = served.client()
        served.wait_for_connections(1)
        peers += [stranger(gid), stranger(gid)]
        theirs, stream = served.client(), served.client()
        ours.ask("Resume")
        theirs.ask("Resume")
        stream.ask("Monitor", more=True)
        wait_until(lambda: held.begun == 2 and following.begun)
        served.listener.regroup(gid)
        served.listener.regroup(None)
        assert theirs.is_closed()
        assert stream.is_closed()
        assert held.ended == following.ended == ["CancelledError"]
        held.let_go(served)
        assert ours.answer() == {"parameters": NOTHING}


def test_a_stranger_is_not_waited_for(
    served: Served, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediad.control.conversation.REQUEST_LIMIT", 0.05)
    peers.append(stranger())
    assert served.client().is_closed()


ASK = """
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b'{"method": "io.mediad.Control.Resume"}\\0')
print(client.recv(65536)[:-1].decode())
"""


@needs_root
def test_real_processes_of_others(open_folder: Path, daemon: Scripted) -> None:
    def ask(uid: int, gid: int, groups: list[int]) -> subprocess.CompletedProcess[str]:
        program = [*command(ASK, uid, gid, groups), str(open_folder / "control")]
        return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)

    with serving(open_folder, daemon, 54000):
        assert json.loads(ask(54321, 54321, [54000]).stdout) == {"parameters": NOTHING}
        assert json.loads(ask(54321, 54000, []).stdout) == {"parameters": NOTHING}
        assert "PermissionError" in ask(54321, 54321, []).stderr  # by the socket's mode
        (open_folder / "control").chmod(0o666)
        assert json.loads(ask(54321, 54321, []).stdout)["error"] == f"{INTERFACE}.NotPermitted"
        assert [sorted(call.peer.gids) for call in daemon.calls] == [[54000, 54321], [54000]]


# --- Too many ----------------------------------------------------------------------------------------


def test_the_one_that_rests_longest_makes_way(
    served: Served, daemon: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    held = Held()
    daemon.handlers["Resume"] = held
    busy, first, second = served.client(), served.client(), served.client()
    busy.ask("Resume")
    wait_until(lambda: held.begun)
    assert first.call("Pause")  # second rests longer now
    third = served.client()
    assert second.is_closed()
    assert third.call("Pause")
    assert first.call("Pause")
    held.let_go(served)
    assert busy.answer() == {"parameters": NOTHING}
    statistics = served.server.statistics()
    assert (statistics.connections, statistics.made_way, statistics.turned_away) == (3, 1, 0)


def test_nobody_makes_way_in_a_call(
    served: Served, daemon: Scripted, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(server, "_KEPT_FREE", 1)
    held = Held()
    daemon.handlers["Resume"] = held
    busy = [served.client(), served.client()]
    for client in busy:
        client.ask("Resume")
    wait_until(lambda: held.begun == 2)
    turned_away = served.client()
    answer = turned_away.answer()
    assert answer is not None
    assert answer["error"] == f"{INTERFACE}.Busy"
    assert turned_away.is_closed()
    held.let_go(served)
    assert [client.answer() for client in busy] == [{"parameters": NOTHING}] * 2
    busy[0].close()
    served.wait_for_connections(1)
    peers.append(stranger())
    answer = served.client().answer()  # the last place is kept for others, and they rest undisturbed
    assert (answer or {})["error"] == f"{INTERFACE}.Busy"
    assert busy[1].call("Pause")


def test_a_member_has_so_many_connections_and_makes_way_for_themselves(
    shared: Served, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_OF_A_MEMBER", 2)
    resting = [shared.client(), shared.client()]
    shared.wait_for_connections(2)
    peers += [member(7), member(8), member(8), member(8)]
    other, first, second, third = (shared.client() for _ in range(4))
    assert first.is_closed()
    for client in (*resting, other, second, third):
        assert client.call("Resume") == {"parameters": NOTHING}
    assert shared.server.statistics().connections == 5


def test_who_makes_way_where_it_is_full(
    shared: Served, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 4)
    monkeypatch.setattr(server, "_KEPT_FREE", 0)
    root = shared.client()
    shared.wait_for_connections(1)
    peers += [member(7), member(8), member(7)]
    seven, eight, again = (shared.client() for _ in range(3))
    peers.append(member(8))
    newest = shared.client()
    assert eight.is_closed(), "the same user's comes first"
    peers.append(member(9))
    nine = shared.client()
    assert seven.is_closed(), "else that of another member"
    second = shared.client()
    assert again.is_closed(), "a member's makes way for who is trusted"
    for client in (root, newest, nine, second):
        assert client.call("Resume") == {"parameters": NOTHING}


# --- Too much ----------------------------------------------------------------------------------------


def test_who_makes_most_wait_to_be_read_is_cut_off(
    shared: Served, daemon: Scripted, peers: list[Peer]
) -> None:
    async def long(call: Call, reply: Reply) -> Mapping[str, object]:
        return NOTHING | {"resumed": ["x" * 3_000_000]}

    daemon.handlers["Resume"] = long
    peers += [member(7)] * 4 + [member(8)]
    greedy, modest = [shared.client() for _ in range(4)], shared.client()
    modest.ask("Resume")
    for client in greedy:
        client.ask("Resume")
    shared.wait_for_connections(4)
    assert shared.server.unsent.bytes < 13_000_000
    answer = modest.answer()
    assert len((answer or {})["parameters"]["resumed"][0]) == 3_000_000


def test_one_long_reply_alone_is_not_too_much(shared: Served, daemon: Scripted, peers: list[Peer]) -> None:
    async def long(call: Call, reply: Reply) -> Mapping[str, object]:
        return NOTHING | {"resumed": ["x" * 9_000_000]}

    daemon.handlers["Resume"] = long
    peers.append(member(7))
    assert len(shared.client().call("Resume")["parameters"]["resumed"][0]) == 9_000_000


class OutOfDescriptors:
    """A listening socket that cannot accept for a while."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.failures = 5

    def fileno(self) -> int:
        return self.real.fileno()

    def close(self) -> None:
        self.real.close()

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(24, "Too many open files")
        return self.real.accept()


def test_without_descriptors_clients_wait(
    tmp_path: Path, daemon: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "_PAUSE", 0.001)
    with serving(tmp_path, daemon) as served:
        served.client().call("Resume")
        short = OutOfDescriptors(served.listener.socket)
        monkeypatch.setattr(served.listener, "socket", short)
        served.client()  # wakes the one accept that still waits for the real one
        assert served.client().call("Resume") == {"parameters": NOTHING}
        assert short.failures == 0
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == ["control connections have to wait: Too many open files"]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"at most {hard} descriptors may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_idle_and_half_open_connections(served: Served) -> None:
    served.client().call("Resume")
    descriptors, tasks = len(os.listdir("/proc/self/fd")), served.tasks()
    crowd = [served.client() for _ in range(1000)]
    for number, client in enumerate(crowd):
        client.socket.sendall((b"", b"{", encode({"method": "a.b"}))[number % 3])
    served.wait_for_connections(1001)
    assert served.client().call("Resume") == {"parameters": NOTHING}
    for client in crowd:
        client.close()
    served.wait_for_connections(2)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) == descriptors + 2)
    wait_until(lambda: served.tasks() == tasks + 1)
    assert served.server.statistics().made_way == 0


def test_a_flood_of_requests_has_to_wait_its_turns(served: Served, daemon: Scripted) -> None:
    held = Held()
    daemon.handlers["Resume"] = held
    flooding = [served.client() for _ in range(5)]
    requests = encode({"method": f"{INTERFACE}.Resume"}) + encode({"method": f"{INTERFACE}.Pause"}) * 200
    for client in flooding:
        client.socket.sendall(requests)
    wait_until(lambda: held.begun == len(flooding))
    other = served.client()
    other.ask("Status")
    wait_until(lambda: len(daemon.calls) == len(flooding) + 1)  # the flood is held back, and nobody else is
    assert other.answer() is not None
    other.ask("Status")
    held.let_go(served)
    assert other.answer() is not None
    for client in flooding:
        assert all(client.answer() for _ in range(201))
    order = [call.method for call in daemon.calls]
    assert order.count("Pause") == 1000
    assert order.index("Status", len(flooding) + 1) < 500


def test_who_reads_no_answers_holds_up_only_themselves(served: Served, daemon: Scripted) -> None:
    flooding = served.client()
    flooding.socket.setblocking(False)
    request = encode({"method": f"{SERVICE}.GetInterfaceDescription", "parameters": {"interface": INTERFACE}})
    with pytest.raises(BlockingIOError):
        flooding.send_for_ever(request * 100)
    assert served.client().call("Resume") == {"parameters": NOTHING}
    wait_until(lambda: served.in_call() == 1)


def test_unfinished_requests_share_their_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.server.received, "_most", 200_000)
    small, large = served.client(), served.client()
    small.socket.sendall(b" " * 10)
    wait_until(lambda: served.server.received.bytes == 10)
    with pytest.raises(ConnectionError):
        large.send_for_ever(b" " * 100_000)
    served.wait_for_connections(1)
    small.socket.sendall(encode({"method": f"{INTERFACE}.Resume"}))
    assert small.answer() == {"parameters": NOTHING}


def test_it_is_not_who_comes_last_that_is_cut_off(
    shared: Served, peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.server.received, "_most", 200_000)
    peers += [member(7), member(7), member(8)]
    first, second, other = (shared.client() for _ in range(3))
    first.socket.sendall(b" " * 100_000)
    second.socket.sendall(b" " * 60_000)
    wait_until(lambda: shared.server.received.bytes == 160_000)
    other.socket.sendall(encode({"method": f"{INTERFACE}.Resume"})[:-1] + b" " * 80_000)
    assert first.is_closed()
    other.socket.sendall(b"\0")
    second.socket.sendall(encode({"method": f"{INTERFACE}.Resume"}))
    assert other.answer() == second.answer() == {"parameters": NOTHING}


def test_stopping_ends_calls_and_connections(tmp_path: Path, daemon: Scripted) -> None:
    held = Held()
    daemon.handlers["Resume"] = held
    descriptors = len(os.listdir("/proc/self/fd"))
    with serving(tmp_path, daemon) as served:
        busy, idle = served.client(), served.client()
        busy.ask("Resume")
        wait_until(lambda: held.begun)
    assert held.ended == ["CancelledError"]
    assert not (tmp_path / "control").exists()
    assert served.server.statistics().connections == 0
    idle.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
