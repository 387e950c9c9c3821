"""The client's end of the control socket: finds the daemon and calls it. Standard library, no event loop."""

from __future__ import annotations

import _socket as socket  # socket itself loads and makes what nothing here uses: a tenth of a `status`
import errno
import os
import stat
from array import array
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from mediad.control.protocol import INTERFACE, LONGEST_REQUEST, Failed, decode, encode, paths_parameters

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import Any, ClassVar, TypeAlias

Reply: TypeAlias = "dict[str, Any]"
"""The parameters of a reply; the interface definition says what is in them."""

SYSTEM_SOCKET = "/run/mediad/control"

_PATIENCE = 10.0  # seconds; a call that needs no waiting is answered within milliseconds
_NOBODY = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ELOOP, errno.ENAMETOOLONG)
_BARRED = (errno.EACCES, errno.EPERM)


class Unreachable(Exception):
    """No call can be made; the message says why, and what to do."""

    exit_code: ClassVar[int]


class NoDaemon(Unreachable):
    """Nobody answers, or not in the control protocol."""

    exit_code = 3


class NotAllowed(Unreachable):
    """This user may not use the socket."""

    exit_code = 77


class TooLong(Exception):
    """A request is longer than the daemon reads."""


def places(which: str, env: Mapping[str, str]) -> list[str]:
    """The sockets to try, in order.

    Args:
        which: "user", "system", or "" for the one in the environment, else both.
    """
    if not which and (named := env.get("MEDIAD_SOCKET")):
        return [named]
    runtime = env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    user = os.path.join(runtime, "mediad", "control")
    return {"user": [user], "system": [SYSTEM_SOCKET]}.get(which, [user, SYSTEM_SOCKET])


class Client:
    """A connection; calls go over it one after another.

    Args:
        sock: connected.
        place: the path of the socket, for messages.
    """

    def __init__(self, sock: socket.socket, place: str) -> None:
        self._socket = sock
        self._place = place
        self._received = bytearray()

    @classmethod
    def connect(cls, sockets: Sequence[str]) -> Client:
        """Connect to the first of these sockets on which somebody answers.

        Raises:
            NoDaemon, NotAllowed: there is none.
        """
        barred = ""
        for place in sockets:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # in blocking mode: else a full backlog is refused instead of waited for
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, array("l", (int(_PATIENCE), 0)))
            try:
                sock.connect(place)
            except OSError as error:
                sock.close()
                if error.errno in _BARRED:
                    barred = barred or place
                elif error.errno not in _NOBODY:
                    raise NoDaemon(f"{place} does not answer: {error.strerror or error}") from None
            else:
                return cls(sock, place)
        if barred:
            raise NotAllowed(_not_allowed(barred))
        raise NoDaemon(
            f"no daemon answers at {' or '.join(sockets)}; "
            f"start one with `{_systemctl(sockets[0])} start mediad` or `mediad run`"
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(
        self,
        method: str,
        parameters: Mapping[str, object] | None = None,
        *,
        patience: float | None = _PATIENCE,
    ) -> Reply:
        """Call a method of the interface and return the parameters of its reply.

        Args:
            patience: seconds to wait for the reply; None: for ever.

        Raises:
            Failed: the daemon answered with an error.
            NoDaemon, NotAllowed: it did not answer, or does not know us.
            TooLong: the request is longer than 1 MiB.
        """
        self._socket.settimeout(patience)
        self._send(method, parameters, more=False)
        return self._reply()[0]

    def stream(self, method: str, parameters: Mapping[str, object] | None = None) -> Iterator[Reply]:
        """Call a method with "more", and return its replies as they come; raises what `call` does."""
        self._socket.settimeout(None)
        self._send(method, parameters, more=True)
        continues = True
        while continues:
            reply, continues = self._reply()
            yield reply

    def pages(self, method: str, parameters: Mapping[str, object] | None = None) -> Iterator[Reply]:
        """The pages of a list, each asked for when it is wanted: a reader of the output may take his time."""
        after: object = None
        while True:
            page = self.call(method, {**(parameters or {}), "after": after})
            yield page
            after = page.get("next")
            if after is None:
                return

    def _send(self, method: str, parameters: Mapping[str, object] | None, *, more: bool) -> None:
        request = _request(method, parameters, more=more)
        if len(request) > LONGEST_REQUEST:
            raise TooLong(f"this is more than one request may hold ({LONGEST_REQUEST // 1024} KiB)")
        try:
            self._socket.sendall(request)
        except ConnectionError:
            pass  # why it hung up may be there to be read
        except OSError as error:
            raise NoDaemon(f"{self._place} does not answer: {error.strerror or error}") from None

    def _reply(self) -> tuple[Reply, bool]:
        try:
            message = decode(self._frame())
        except ValueError as error:
            raise NoDaemon(f"what answers at {self._place} is no mediad: {error}") from None
        parameters = message.get("parameters", {})
        if not isinstance(parameters, dict):
            raise NoDaemon(f"what answers at {self._place} is no mediad: its reply has no parameters")
        if (error_name := message.get("error")) is not None:
            self._fail(str(error_name), parameters)
        return parameters, message.get("continues") is True

    def _fail(self, error: str, parameters: Reply) -> None:
        barred = error == f"{INTERFACE}.NotPermitted" and parameters.get("path") is None
        if not barred:
            raise Failed(error, parameters)
        message = str(parameters.get("message") or "this user may not use mediad")
        remedy = parameters.get("remedy")
        raise NotAllowed(f"{message} ({remedy})" if remedy else f"{message}; {_not_allowed(self._place)}")

    def _silent(self) -> str:
        """What is there and does not answer, and what to do about it."""
        size = 3 * array("i").itemsize  # pid, uid, gid
        pid = array("i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
        return f"the daemon (process {pid}) does not answer; `{_systemctl(self._place)} restart mediad`"

    def _frame(self) -> bytes:
        start = 0
        while (end := self._received.find(b"\0", start)) < 0:
            start = len(self._received)
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise NoDaemon(self._silent()) from None
            except ConnectionError:
                data = b""
            if not data:
                raise NoDaemon(f"the daemon at {self._place} went away")
            self._received += data
        frame = bytes(self._received[:end])
        del self._received[: end + 1]
        return frame


def in_requests(
    method: str, paths: Sequence[bytes], parameters: Mapping[str, object] | None = None
) -> Iterator[dict[str, object]]:
    """The parameters of as many calls as it takes to name these paths; of one, without any, for none.

    Args:
        parameters: what each call has beside them.
    """
    named = {**(parameters or {}), **(paths_parameters(paths) if paths else {})}
    if len(paths) < 2 or len(_request(method, named, more=False)) <= LONGEST_REQUEST:
        yield named
        return
    half = len(paths) // 2
    for part in (paths[:half], paths[half:]):
        yield from in_requests(method, part, parameters)


def _request(method: str, parameters: Mapping[str, object] | None, *, more: bool) -> bytes:
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    message: dict[str, object] = {"method": f"{INTERFACE}.{method}", "parameters": given}
    if more:
        message["more"] = True
    return encode(message)


def _systemctl(place: str) -> str:
    return "sudo systemctl" if place == SYSTEM_SOCKET else "systemctl --user"


def _not_allowed(place: str) -> str:
    """Who may use this socket, and how to become one of them."""
    import grp
    import pwd

    try:
        found = os.stat(place)
        group = grp.getgrgid(found.st_gid).gr_name
        user = pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return f"{place} may not be used by this user; ask who runs mediad"
    if not found.st_mode & stat.S_IWGRP:
        return (
            f"only root and who runs mediad may use {place} (`daemon.group` in its configuration lets others)"
        )
    if user in grp.getgrgid(found.st_gid).gr_mem:
        return f"only the group {group} may use {place}; {user} is in it from the next login on"
    return f"only the group {group} may use {place}: `sudo usermod -aG {group} {user}`, then log in again"
