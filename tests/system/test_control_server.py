"""The control server on a real socket, with an independent client and with clients that break the rules."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import varlink

from mediad import __version__, errors
from mediad.control import connection
from mediad.control.calls import Call, ExpectedMore, Reply, definitions
from mediad.control.interface import InvalidParameter
from mediad.control.protocol import INTERFACE, LONGEST_REQUEST, SERVICE, Failed, encode
from tests.conftest import PROJECT
from tests.serving import NOTHING, Handler, Held, Scripted, Served, sample_reply
from tests.serving import daemon as daemon
from tests.serving import served as served
from tests.somebody import open_folder as open_folder
from tests.waiting import wait_until

PAUSED = sample_reply("Pause")
EVENT = sample_reply("Monitor")


def raising(error: Exception) -> Handler:
    async def handler(call: Call, reply: Reply) -> Mapping[str, object]:
        raise error

    return handler


async def three_events(call: Call, reply: Reply) -> Mapping[str, object]:
    for number in (1, 2):
        await reply({**EVENT, "lost": number})
    return {**EVENT, "lost": 3}


# --- An independent client ---------------------------------------------------------------------------


def cli(*arguments: str) -> str:
    """What the command-line client of the `varlink` package prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "varlink.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr


def test_info(served: Served) -> None:
    told = [line.strip() for line in cli("info", f"unix:{served.path}").splitlines()]
    assert told[:3] == ["Vendor: mediad", "Product: mediad", f"Version: {__version__}"]
    assert told[5:7] == [SERVICE, INTERFACE]


@pytest.mark.parametrize("interface", [INTERFACE, SERVICE])
def test_help(served: Served, interface: str) -> None:
    definition = (PROJECT / "mediad" / "control" / f"{interface}.varlink").read_text(encoding="utf-8")
    assert cli("help", f"unix:{served.path}/{interface}").strip() == definition.strip()


def test_call(served: Served, daemon: Scripted) -> None:
    told = cli("call", f"unix:{served.path}/{INTERFACE}.Resume", '{"names": ["é"]}')
    assert json.loads(told) == NOTHING
    assert daemon.calls[0].parameters == {"names": ["é"]}
    assert daemon.calls[0].peer.uid == os.getuid()
    told = cli("call", f"unix:{served.path}/{INTERFACE}.Resume", '{"names": [1]}')
    assert "org.varlink.service.InvalidParameter" in told
    assert "names.0" in told


def test_call_more(served: Served, daemon: Scripted) -> None:
    daemon.handlers["Monitor"] = three_events
    told = cli("call", "--more", f"unix:{served.path}/{INTERFACE}.Monitor")
    assert [json.loads(part)["lost"] for part in told.replace("}\n{", "}\0{").split("\0")] == [1, 2, 3]


def test_every_method_by_the_library(served: Served, daemon: Scripted) -> None:
    with (
        varlink.Client(address=f"unix:{served.path}") as client,
        client.open(INTERFACE) as remote,
    ):
        names = list(definitions()[INTERFACE].methods)
        for name in names:
            getattr(remote, name)()
        assert [call.method for call in daemon.calls] == names
        daemon.handlers["Pause"] = raising(errors.NoSuchName("x"))
        with pytest.raises(varlink.VarlinkError) as caught:
            remote.Pause(names=["x"])
        assert caught.value.error() == f"{INTERFACE}.NoSuchName"


# --- Calls and answers -------------------------------------------------------------------------------


def test_more_is_for_who_asks(served: Served, daemon: Scripted) -> None:
    daemon.handlers["Monitor"] = three_events
    client = served.client()
    assert client.call("Monitor") == {"parameters": {**EVENT, "lost": 3}}
    client.ask("Monitor", more=True)
    answers = [client.answer() for _ in range(3)]
    assert [(answer or {}).get("continues", False) for answer in answers] == [True, True, False]
    assert [call.more for call in daemon.calls] == [False, True]


def test_oneway_is_done_and_not_answered(served: Served, daemon: Scripted) -> None:
    daemon.handlers["Monitor"] = three_events
    daemon.handlers["Pause"] = raising(errors.Busy("no"))
    client = served.client()
    client.ask("Monitor", more=True, oneway=True)
    client.ask("Pause", oneway=True)
    client.ask("Nonsense", oneway=True)
    assert client.call("Resume") == {"parameters": NOTHING}
    assert [call.method for call in daemon.calls] == ["Monitor", "Pause", "Resume"]


def test_oneway_is_done_though_the_client_goes(served: Served, daemon: Scripted) -> None:
    held = Held()
    daemon.handlers["Resume"] = held
    client = served.client()
    client.ask("Resume", oneway=True)
    client.ask("Pause", oneway=True)
    client.close()
    wait_until(lambda: held.begun)
    held.let_go(served)
    served.wait_for_connections(0)
    assert held.ended == ["done"]
    assert [call.method for call in daemon.calls] == ["Resume", "Pause"]


def test_what_is_left_out_is_none(served: Served, daemon: Scripted) -> None:
    client = served.client()
    client.socket.sendall(encode({"method": f"{INTERFACE}.Pause"}))
    nothing = dict.fromkeys(("parameters", "more", "oneway", "upgrade"))
    client.socket.sendall(encode({"method": f"{INTERFACE}.Pause", **nothing}))
    assert client.answer() == client.answer() == {"parameters": PAUSED}
    assert [call.parameters for call in daemon.calls] == [{"names": None, "for_s": None}] * 2
    assert [call.more for call in daemon.calls] == [False, False]


REFUSED: list[tuple[errors.MediadError, str, dict[str, Any]]] = [
    (errors.InvalidConfig(["a: b", "c"]), "InvalidConfig", {"problems": ["a: b", "c"]}),
    (
        errors.NotPermitted("no", path=b"/a\xff", remedy="do"),
        "NotPermitted",
        {"message": "no", "path": "/a\ufffd", "path_b64": "L2H/", "remedy": "do"},
    ),
    (
        errors.NoSuchName("in\n"),
        "NoSuchName",
        {"name": "in\n", "message": "there is no watch or library named in\\n"},
    ),
    (
        errors.NotKnown("what?", path="/a"),
        "NotKnown",
        {"message": "what?", "path": "/a", "path_b64": None, "remedy": None},
    ),
    (
        errors.Ambiguous([b"/a", b"/\xff"]),
        "Ambiguous",
        {"message": "several files have this name", "paths": ["/a", "/\ufffd"]},
    ),
    (errors.Busy("too much"), "Busy", {"message": "too much"}),
    (
        errors.Refused("no"),
        "Refused",
        {"code": "refused", "message": "no", "path": None, "path_b64": None, "remedy": None},
    ),
    (
        errors.LibraryOffline("gone", path=b"/l"),
        "Refused",
        {"code": "library-offline", "message": "gone", "path": "/l", "path_b64": None, "remedy": None},
    ),
]


@pytest.mark.parametrize(("error", "name", "parameters"), REFUSED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("grouped", [False, True])
def test_errors_are_typed(
    served: Served,
    daemon: Scripted,
    error: errors.MediadError,
    name: str,
    parameters: dict[str, Any],
    grouped: bool,
) -> None:
    daemon.handlers["Reload"] = raising(ExceptionGroup("of a task", [error]) if grouped else error)
    assert served.client().call("Reload") == {"error": f"{INTERFACE}.{name}", "parameters": parameters}


def test_every_error_of_the_definition_can_be_told() -> None:
    assert {name for _, name, _ in REFUSED} | {"Internal"} == set(definitions()[INTERFACE].errors)


@pytest.mark.parametrize(
    ("error", "name", "parameters"),
    [
        (ExpectedMore(), "ExpectedMore", {}),
        (InvalidParameter("paths"), "InvalidParameter", {"parameter": "paths"}),
        (Failed(f"{SERVICE}.PermissionDenied", {}), "PermissionDenied", {}),
    ],
    ids=["more", "parameter", "any"],
)
def test_errors_of_the_protocol(
    served: Served, daemon: Scripted, error: Exception, name: str, parameters: dict[str, Any]
) -> None:
    daemon.handlers["Reload"] = raising(error)
    assert served.client().call("Reload") == {"error": f"{SERVICE}.{name}", "parameters": parameters}


@pytest.mark.parametrize(
    ("method", "error", "parameters"),
    [
        ("Nothing", "MethodNotFound", {"method": f"{INTERFACE}.Nothing"}),
        ("org.example.Do", "InterfaceNotFound", {"interface": "org.example"}),
        (".Status", "InterfaceNotFound", {"interface": ""}),
        (f"{SERVICE}.GetNothing", "MethodNotFound", {"method": f"{SERVICE}.GetNothing"}),
        (f"{SERVICE}.GetInterfaceDescription", "InvalidParameter", {"parameter": "interface"}),
    ],
)
def test_what_there_is_not(served: Served, method: str, error: str, parameters: dict[str, str]) -> None:
    assert served.client().call(method) == {"error": f"{SERVICE}.{error}", "parameters": parameters}


def test_an_interface_without_a_definition(served: Served) -> None:
    answer = served.client().call(f"{SERVICE}.GetInterfaceDescription", {"interface": "org.example"})
    assert answer == {"error": f"{SERVICE}.InterfaceNotFound", "parameters": {"interface": "org.example"}}


@pytest.mark.parametrize(
    ("message", "parameter"),
    [
        ({"parameters": {"extra": 1}}, "extra"),
        ({"parameters": []}, "parameters"),
        ({"upgrade": True}, "upgrade"),
        ({"more": 1}, "more"),
        ({"oneway": 0}, "oneway"),
        ({"oneway": "no"}, "oneway"),
        ({"continues": True}, "continues"),
    ],
)
def test_what_a_call_may_not_have(
    served: Served, daemon: Scripted, message: dict[str, object], parameter: str
) -> None:
    client = served.client()
    client.socket.sendall(encode({"method": f"{INTERFACE}.Resume", **message}))
    expected = {"error": f"{SERVICE}.InvalidParameter", "parameters": {"parameter": parameter}}
    assert client.answer() == expected
    assert client.call("Resume") == {"parameters": NOTHING}
    assert len(daemon.calls) == 1


async def unexpected(call: Call, reply: Reply) -> Mapping[str, object]:
    raise RuntimeError("nobody saw this coming")


async def undeclared(call: Call, reply: Reply) -> Mapping[str, object]:
    return NOTHING | {"paused": None}


async def unsendable(call: Call, reply: Reply) -> Mapping[str, object]:
    return NOTHING | {"resumed": [object()]}


@pytest.mark.parametrize("handler", [unexpected, undeclared, unsendable])
def test_what_goes_wrong_inside_is_logged_once(
    served: Served, daemon: Scripted, handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.handlers["Resume"] = handler
    client = served.client()
    answer = client.call("Resume")
    assert answer["error"] == f"{INTERFACE}.Internal"
    assert "RuntimeError" not in str(answer)
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert client.call("Pause") == {"parameters": PAUSED}


# --- What is no request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"method": 1}',
        b'{"method": null}',
        b'{"method": "\xff"}',
        b"GET / HTTP/1.1",
    ],
)
def test_what_is_no_message_ends_the_connection(served: Served, daemon: Scripted, frame: bytes) -> None:
    client = served.client()
    client.socket.sendall(frame + b"\0" + encode({"method": f"{INTERFACE}.Status"}))
    assert client.is_closed()
    assert not daemon.calls
    assert served.client().call("Resume") == {"parameters": NOTHING}


def padded(length: int) -> bytes:
    """A call of so many bytes, with its NUL."""
    message = encode({"method": f"{INTERFACE}.Resume"})
    return message[:-1] + b" " * (length - len(message)) + b"\0"


def test_requests_have_a_greatest_length(served: Served) -> None:
    client = served.client()
    client.socket.sendall(padded(LONGEST_REQUEST))
    assert client.answer() == {"parameters": NOTHING}
    with pytest.raises(ConnectionError):
        served.client().send_for_ever(b" " * LONGEST_REQUEST)
    served.wait_for_connections(1)
    client.socket.sendall(padded(LONGEST_REQUEST + 1))
    assert client.is_closed()


def test_half_a_request_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_LIMIT", 0.05)
    silent, half, next_half = served.client(), served.client(), served.client()
    half.socket.sendall(b"{")
    assert half.is_closed()
    next_half.socket.sendall(encode({"method": f"{INTERFACE}.Resume"}) + b"{")
    assert next_half.answer() == {"parameters": NOTHING}
    assert next_half.is_closed()
    assert silent.call("Resume") == {"parameters": NOTHING}


# --- The order of things -----------------------------------------------------------------------------


def test_requests_sent_ahead_are_answered_in_order(served: Served, daemon: Scripted) -> None:
    async def echo(call: Call, reply: Reply) -> Mapping[str, object]:
        await anyio.lowlevel.checkpoint()
        return NOTHING | {"resumed": call.parameters["names"]}

    daemon.handlers["Resume"] = echo
    client = served.client()
    client.socket.sendall(
        b"".join(
            encode({"method": f"{INTERFACE}.Resume", "parameters": {"names": [str(i)]}}) for i in range(300)
        )
    )
    answers = [client.answer() for _ in range(300)]
    assert [(answer or {})["parameters"]["resumed"] for answer in answers] == [[str(i)] for i in range(300)]


def test_a_call_ends_when_its_client_goes(served: Served, daemon: Scripted) -> None:
    held = Held()
    daemon.handlers["Resume"] = held
    client = served.client()
    client.ask("Resume")
    client.ask("Pause")
    wait_until(lambda: held.begun)
    client.close()
    wait_until(lambda: held.ended)
    served.wait_for_connections(0)
    assert held.ended == ["CancelledError"]
    assert [call.method for call in daemon.calls] == ["Resume"]


@pytest.mark.parametrize("ahead", [1, 1 << 16, 1 << 18])
@pytest.mark.parametrize("half_closed", [False, True])
def test_who_goes_is_noticed_whatever_was_sent_ahead(
    served: Served, daemon: Scripted, monkeypatch: pytest.MonkeyPatch, *, ahead: int, half_closed: bool
) -> None:
    monkeypatch.setattr(connection, "_LOOK", 0.01)
    held = Held()
    daemon.handlers["Wait"] = held
    client = served.client()
    client.ask("Wait")
    wait_until(lambda: held.begun)
    client.socket.setblocking(False)
    assert client.socket.send(b" " * ahead)
    if half_closed:
        client.socket.shutdown(socket.SHUT_WR)
    assert not held.ended
    client.close()
    wait_until(lambda: held.ended)
    served.wait_for_connections(0)


def test_little_is_read_ahead_during_a_call(served: Served, daemon: Scripted) -> None:
    held = Held()
    daemon.handlers["Wait"] = held
    client = served.client()
    client.ask("Wait")
    client.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.send_for_ever(b" " * 1000)
    wait_until(lambda: served.server.received.bytes >= 1 << 16)
    with pytest.raises(BlockingIOError):
        client.send_for_ever(b" " * 1000)
    served.portal.call(anyio.wait_all_tasks_blocked)
    assert served.server.received.bytes < 2 << 16
    client.close()
    wait_until(lambda: held.ended)
    wait_until(lambda: not served.server.received.bytes)


def test_who_is_only_done_with_sending_gets_answers(served: Served, daemon: Scripted) -> None:
    held = Held()
    daemon.handlers["Resume"] = held
    client = served.client()
    client.ask("Resume")
    client.ask("Pause")
    client.socket.shutdown(socket.SHUT_WR)
    wait_until(lambda: held.begun)
    held.let_go(served)
    assert client.answer() == {"parameters": NOTHING}
    assert client.answer() == {"parameters": PAUSED}
    assert client.is_closed()


def test_who_reads_nothing_is_left(served: Served, daemon: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    left = []

    async def endless(call: Call, reply: Reply) -> Mapping[str, object]:
        try:
            while True:
                await reply({**EVENT, "name": "x" * 1_000_000})
        finally:
            left.append(call)

    monkeypatch.setattr(connection, "_REPLY_LIMIT", 0.05)
    assert served.server.unsent.bytes == 0
    daemon.handlers["Monitor"] = endless
    client = served.client()
    client.ask("Monitor", more=True)
    wait_until(lambda: left)
    served.wait_for_connections(0)
    with pytest.raises(AssertionError, match="cut off"):  # what was sent in part is never continued
        client.read_for_ever()
    assert served.server.unsent.bytes == 0


def test_a_whole_reply_has_to_be_read_in_time(
    served: Served, daemon: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def long(call: Call, reply: Reply) -> Mapping[str, object]:
        return NOTHING | {"resumed": ["x" * 20_000_000]}

    monkeypatch.setattr(connection, "_REPLY_LIMIT", 0.05)
    daemon.handlers["Resume"] = long
    client = served.client()
    client.ask("Resume")
    wait_until(lambda: served.in_call() == 1)
    read = 0
    while part := client.socket.recv(64):  # slow, but it does
        read += len(part)
    assert read < 20_000_000
    served.wait_for_connections(0)
