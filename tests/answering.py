"""A daemon with canned answers on a real socket; calls and answers are checked against the definition."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mediad.control.interface import Interface
from mediad.control.protocol import INTERFACE, Failed, decode, encode
from tests.conftest import PROJECT

DEFINITION = Interface.parse((PROJECT / "mediad/control/io.mediad.Control.varlink").read_text("utf-8"))
BYE = b"bye"
"""An answer: hangs up."""

Document = Mapping[str, object]
Answer = Callable[[dict[str, Any]], Iterable[Document | bytes | Failed]]
"""What is answered to a call of these parameters; after the last of an iterator the daemon hangs up."""


def always(*documents: Document | bytes | Failed) -> Answer:
    """Answers every call with these, which are several only where the call says "more"."""
    return lambda _: documents


def paged(name: str, entries: Sequence[Document], size: int, key: type = int, **others: object) -> Answer:
    """Answers with pages of a list, whose `after` is a number, or the text of one."""

    def answer(parameters: dict[str, Any]) -> Iterable[Document]:
        start = int(parameters["after"] or 0)
        after = start + size if start + size < len(entries) else None
        return [{name: entries[start : start + size], "next": after and key(after), **others}]

    return answer


class CannedDaemon:
    """Serves until the end of the `with` block; a call or an answer that is not as defined fails the test.

    Args:
        place: of the socket.
        answers: by the method's name.
    """

    def __init__(self, place: Path, answers: Mapping[str, Answer]) -> None:
        self.place = place
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> CannedDaemon:
        self._listener.bind(str(self.place))
        self._listener.listen()
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._open:
            with contextlib.suppress(OSError):  # that one is closed
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()
        self.place.unlink()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # shut down
                return
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                *frames, buffer = (buffer + data).split(b"\0")
                for frame in frames:
                    if not self._answer(decode(frame), connection.sendall):
                        return

    def _answer(self, message: dict[str, Any], write: Callable[[bytes], object]) -> bool:
        interface, _, method = message["method"].rpartition(".")
        assert interface == INTERFACE
        parameters: dict[str, Any] = DEFINITION.check_call(method, message["parameters"])
        self.calls.append((method, parameters))
        given = self._answers[method](parameters)
        if isinstance(given, Iterator):
            for answer in given:
                write(_reply(method, answer, continues=True))
            return False
        answers = list(given)
        assert len(answers) == 1 or message.get("more")
        for number, answer in enumerate(answers, 1):
            if answer == BYE:
                return False
            write(_reply(method, answer, continues=number < len(answers)))
        return True


def _reply(method: str, answer: Document | bytes | Failed, *, continues: bool) -> bytes:
    if isinstance(answer, bytes):
        return answer
    if isinstance(answer, Failed):
        interface, _, name = answer.error.rpartition(".")
        known = interface == INTERFACE
        parameters = DEFINITION.check_error(name, answer.parameters) if known else answer.parameters
        return encode({"error": answer.error, "parameters": parameters})
    message: dict[str, object] = {"parameters": DEFINITION.check_reply(method, answer)}
    return encode({**message, "continues": True} if continues else message)


def failed(name: str, /, **parameters: object) -> Failed:
    """An error of the interface as an answer."""
    return Failed(f"{INTERFACE}.{name}", parameters)
