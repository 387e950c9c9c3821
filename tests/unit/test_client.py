"""The client's end of the control socket: finding it, calls, pages, and what can go wrong."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from mediad.cli.ctl import main
from mediad.control.client import Client, NoDaemon, NotAllowed, TooLong, in_requests, places
from mediad.control.protocol import Failed
from tests.answering import BYE, Answer, CannedDaemon, always, failed, paged

PAUSED = {"name": None, "since": "2026-11-25T10:00:00Z", "until": None}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "control"


def call(place: Path, answer: Answer) -> dict[str, object]:
    with CannedDaemon(place, {"Resume": answer}), Client.connect([str(place)]) as client:
        return client.call("Resume")


def bar(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This user may not connect to this socket; to others he may."""

    class Socket(_socket.socket):
        def connect(self, address: Any) -> None:
            if address == str(path):
                raise PermissionError(errno.EACCES, "Permission denied")
            super().connect(address)

    monkeypatch.setattr(_socket, "socket", Socket)


@pytest.mark.parametrize(
    ("which", "env", "found"),
    [
        ("", {"XDG_RUNTIME_DIR": "/r"}, ["/r/mediad/control", "/run/mediad/control"]),
        ("", {}, [f"/run/user/{os.getuid()}/mediad/control", "/run/mediad/control"]),
        ("", {"MEDIAD_SOCKET": "/s", "XDG_RUNTIME_DIR": "/r"}, ["/s"]),
        ("user", {"MEDIAD_SOCKET": "/s", "XDG_RUNTIME_DIR": "/r"}, ["/r/mediad/control"]),
        ("system", {"MEDIAD_SOCKET": "/s", "XDG_RUNTIME_DIR": "/r"}, ["/run/mediad/control"]),
    ],
)
def test_where_the_socket_is_looked_for(which: str, env: dict[str, str], found: list[str]) -> None:
    assert places(which, env) == found


def test_the_first_on_which_somebody_answers(tmp_path: Path, place: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    sockets = [str(tmp_path / "none"), str(tmp_path / "stale"), str(place)]
    with CannedDaemon(
        place, {"Resume": always({"resumed": [], "everything": False, "paused": [PAUSED]})}
    ) as daemon:
        with Client.connect(sockets) as client:
            assert client.call("Resume") == {"resumed": [], "everything": False, "paused": [PAUSED]}
            assert client.call("Resume", {"names": ["inbox"]})["paused"] == [PAUSED]
        assert daemon.calls == [("Resume", {"names": None}), ("Resume", {"names": ["inbox"]})]


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(
        NoDaemon, match=r"no daemon answers at .*/a or .*/b; start one with `systemctl --user"
    ):
        Client.connect([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(NoDaemon, match="AF_UNIX path too long"):
        Client.connect([f"/{'long' * 30}"])


@pytest.mark.parametrize(
    ("mode", "words"),
    [(0o660, "only the group .* may use .*usermod -aG"), (0o600, "only root and who runs mediad may use")],
)
def test_a_socket_that_is_barred(place: Path, monkeypatch: pytest.MonkeyPatch, mode: int, words: str) -> None:
    with CannedDaemon(place, {}):
        place.chmod(mode)
        bar(place, monkeypatch)
        with pytest.raises(NotAllowed, match=words) as raised:
            Client.connect([str(place)])
        monkeypatch.undo()
    assert raised.value.exit_code == 77


def test_a_socket_that_is_barred_and_another(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar(tmp_path / "barred", monkeypatch)
    with CannedDaemon(place, {"Dismiss": always({"dismissed": 1})}):
        with Client.connect([str(tmp_path / "barred"), str(place)]) as client:
            assert client.call("Dismiss") == {"dismissed": 1}
        with pytest.raises(NotAllowed, match="barred may not be used by this user"):
            Client.connect([str(tmp_path / "barred"), str(tmp_path / "none")])


def test_a_full_backlog_is_waited_for(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(place))
        listener.listen(0)
        first.connect(str(place))
        connected: list[Client] = []
        second = threading.Thread(target=lambda: connected.append(Client.connect([str(place)])))
        second.start()
        listener.accept()[0].close()
        second.join(30)
        assert len(connected) == 1
        with connected[0]:
            listener.accept()[0].close()


def test_who_is_not_admitted(place: Path) -> None:
    told = failed("NotPermitted", message="only the group media may", remedy="join it")
    with pytest.raises(NotAllowed, match=r"^only the group media may \(join it\)$"):
        call(place, always(told))


def test_a_path_that_is_not_permitted_is_an_answer(place: Path) -> None:
    with pytest.raises(Failed, match="cannot be read"):
        call(place, always(failed("NotPermitted", message="cannot be read", path="/x")))


def test_errors_come_as_they_are(place: Path) -> None:
    with pytest.raises(Failed) as raised:
        call(place, always(failed("NoSuchName", name="inbx", message="there is no inbx")))
    assert raised.value.error == "io.mediad.Control.NoSuchName"
    assert raised.value.parameters == {"name": "inbx", "message": "there is no inbx"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BYE, "went away"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n\0", "is no mediad"),
        (b'{"parameters": []}\0', "its reply has no parameters"),
    ],
)
def test_what_is_no_answer(place: Path, answer: bytes, words: str) -> None:
    with pytest.raises(NoDaemon, match=words):
        call(place, always(answer))


def test_a_daemon_that_never_answers(place: Path) -> None:
    given_up = threading.Event()

    def late(_: object) -> list[bytes]:
        given_up.wait(30)
        return [BYE]

    with CannedDaemon(place, {"Status": late}), Client.connect([str(place)]) as calling:
        said = rf"^the daemon \(process {os.getpid()}\) does not answer; `systemctl --user restart mediad`$"
        with pytest.raises(NoDaemon, match=said):
            calling.call("Status", patience=0.01)
        given_up.set()


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["pause"],
        ["resume"],
        ["queue"],
        ["failures"],
        ["why", "a.jpg"],
        ["history", "--json"],
        ["duplicates"],
    ],
)
def test_a_daemon_that_was_stopped_is_not_waited_for_long(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    usual = Client.call.__kwdefaults__ or {}
    assert usual["patience"] <= 10
    monkeypatch.setitem(usual, "patience", 0.01)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        assert main(["--socket", str(place), *command]) == 3
    assert capsys.readouterr().err.startswith(
        f"mediactl: the daemon (process {os.getpid()}) does not answer;"
    )


def test_a_stream(place: Path) -> None:
    event = {"time": "2026-11-25T10:00:00Z", "event": "filed"}
    answer = always(event, {**event, "lost": 3})
    with CannedDaemon(place, {"Monitor": answer}), Client.connect([str(place)]) as client:
        assert [reply["lost"] for reply in client.stream("Monitor")] == [None, 3]


def test_pages(place: Path) -> None:
    group = {"kind": "exact", "distance": 0, "best": "/a", "files": [], "omitted": 0}
    answer = paged(
        "groups", [{**group, "best": f"/{n}"} for n in range(5)], 2, key=str, unread=0, to_analyse=0
    )
    with CannedDaemon(place, {"Duplicates": answer}) as daemon, Client.connect([str(place)]) as client:
        assert [len(page["groups"]) for page in client.pages("Duplicates")] == [2, 2, 1]
    assert [parameters["after"] for _, parameters in daemon.calls] == [None, "2", "4"]


def test_a_page_is_only_asked_for_when_it_is_wanted(place: Path) -> None:
    answer = paged("groups", [], 2, key=str, unread=0, to_analyse=0)
    with CannedDaemon(place, {"Duplicates": answer}) as daemon, Client.connect([str(place)]) as client:
        next(client.pages("Duplicates"))
        assert len(daemon.calls) == 1


def test_many_paths_are_split(place: Path) -> None:
    paths = [b"/%06d/%s" % (n, b"\xc3\xa9" * 100) for n in range(4000)]

    def answer(parameters: dict[str, list[str]]) -> list[dict[str, object]]:
        return [{"dismissed": len(parameters["paths"])}]

    with CannedDaemon(place, {"Dismiss": answer}) as daemon, Client.connect([str(place)]) as client:
        done = [client.call("Dismiss", request)["dismissed"] for request in in_requests("Dismiss", paths)]
    assert len(done) > 1
    assert [path for _, call in daemon.calls for path in call["paths"]] == [os.fsdecode(p) for p in paths]


def test_what_cannot_be_split_is_refused(place: Path) -> None:
    refused = pytest.raises(TooLong, match="1024 KiB")
    with CannedDaemon(place, {}), Client.connect([str(place)]) as client, refused:
        client.call("Import", {"paths": ["/x" * (1 << 19)]})


def test_no_paths_are_one_request() -> None:
    assert list(in_requests("Retry", [], {"unparsed": True})) == [{"unparsed": True}]
