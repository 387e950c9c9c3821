"""What a request asks for, and how an error is answered."""

from __future__ import annotations

import functools
import importlib.resources
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mediad import __version__, errors
from mediad.control.interface import Interface, InvalidParameter
from mediad.control.peer import Peer
from mediad.control.protocol import INTERFACE, SERVICE, Failed, path_fields, path_text

log = logging.getLogger("mediad")

Reply = Callable[[Mapping[str, object]], Awaitable[None]]
"""Sends one of several replies, if the caller asked for several; else does nothing."""


class Shared(dict[str, object]):
    """The parameters of one of several replies, which goes to several clients.

    Attributes:
        encoded: the whole message, once one of them was sent it.
    """

    encoded: bytes | None = None


class ExpectedMore(Failed):
    """The method answers only to who asks for several replies."""

    def __init__(self) -> None:
        super().__init__(f"{SERVICE}.ExpectedMore", {})


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the daemon's own interface.

    Attributes:
        method: without the interface's name.
        parameters: as the definition has them, and all of them: None for what was left out.
        more: the caller asks for several replies.
    """

    method: str
    parameters: Mapping[str, Any]
    peer: Peer
    more: bool


class Daemon(Protocol):
    """What stands behind the socket."""

    async def call(self, call: Call, reply: Reply) -> Mapping[str, object]:
        """Does what a client asks for, and returns the parameters of the last reply.

        It is cancelled when the client goes away.

        Raises:
            MediadError, InvalidParameter, ExpectedMore, Failed: answered as such; all else as Internal.
        """


@dataclass(frozen=True, slots=True)
class Request:
    """A message that asks for something.

    Attributes:
        method: with its interface's name.
        more: several replies are welcome. oneway: none is wanted.
    """

    method: str
    parameters: Mapping[str, object]
    more: bool
    oneway: bool

    @classmethod
    def of(cls, message: Mapping[str, object]) -> Request:
        """A message's request, which must name its method.

        Raises:
            InvalidParameter: the message has what none may have; names it.
        """
        method, parameters = message["method"], message.get("parameters")
        given = {name: message.get(name) for name in ("more", "oneway", "upgrade")}
        flags = {name: False if value is None else value for name, value in given.items()}
        for name in message:
            if name not in flags and name not in ("method", "parameters"):
                raise InvalidParameter(name)
        for name, value in flags.items():
            if not isinstance(value, bool) or (value and name == "upgrade"):  # we speak nothing else
                raise InvalidParameter(name)
        if parameters is not None and not isinstance(parameters, dict):
            raise InvalidParameter("parameters")
        assert isinstance(method, str)
        oneway = bool(flags["oneway"])
        return cls(method, parameters or {}, bool(flags["more"]) and not oneway, oneway)


# --- Interfaces --------------------------------------------------------------------------------------


@functools.cache
def definitions() -> Mapping[str, Interface]:
    """The interfaces that are served, by name. Reads files the first time."""
    folder = importlib.resources.files("mediad.control")
    texts = [folder.joinpath(f"{name}.varlink").read_text("utf-8") for name in (SERVICE, INTERFACE)]
    return {found.name: found for found in map(Interface.parse, texts)}


def find_method(name: str) -> tuple[Interface, str]:
    """The interface and the method that a full name stands for.

    Raises:
        Failed: there is no such interface, or no such method.
    """
    interface_name, _, method = name.rpartition(".")
    interface = definitions().get(interface_name)
    if interface is None:
        raise Failed(f"{SERVICE}.InterfaceNotFound", {"interface": interface_name})
    if method not in interface.methods:
        raise Failed(f"{SERVICE}.MethodNotFound", {"method": name})
    return interface, method


def describe(method: str, parameters: Mapping[str, Any]) -> dict[str, object]:
    """Answers a call of `org.varlink.service`.

    Raises:
        Failed: the interface is not known.
    """
    if method == "GetInfo":
        own = {"vendor": "mediad", "product": "mediad", "version": __version__, "url": ""}
        return {**own, "interfaces": list(definitions())}
    interface = definitions().get(parameters["interface"])
    if interface is None:
        raise Failed(f"{SERVICE}.InterfaceNotFound", {"interface": parameters["interface"]})
    return {"description": interface.text}


# --- Errors ------------------------------------------------------------------------------------------


def error_message(error: Exception, method: str) -> tuple[str, Mapping[str, object]]:
    """The name and the parameters of the error that answers a call which failed; logs what nobody foresaw."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:  # of a task of its own
        error = error.exceptions[0]
    match error:
        case Failed():
            return error.error, error.parameters
        case InvalidParameter():
            return f"{SERVICE}.InvalidParameter", {"parameter": error.parameter}
        case errors.MediadError():
            name, parameters = _own(error)
        case _:
            log.error("%s failed", errors.printable(method), exc_info=error)
            name, parameters = "Internal", {"message": "something went wrong inside mediad; see its log"}
    return f"{INTERFACE}.{name}", parameters


def _own(error: errors.MediadError) -> tuple[str, dict[str, object]]:
    told: dict[str, object] = {"message": error.message}
    where = {**path_fields("path", _bytes(error.path)), "remedy": error.remedy or None}
    match error:
        case errors.InvalidConfig():
            return "InvalidConfig", {"problems": error.problems}
        case errors.NoSuchName():
            return "NoSuchName", {"name": error.name, **told}
        case errors.Ambiguous():
            return "Ambiguous", {**told, "paths": [path_text(path) for path in error.paths]}
        case errors.Busy():
            return "Busy", told
        case errors.NotPermitted():
            return "NotPermitted", told | where
        case errors.NotKnown():
            return "NotKnown", told | where
    return "Refused", {"code": error.code, **told, **where}


def _bytes(path: bytes | str | None) -> bytes | None:
    return os.fsencode(path) if isinstance(path, str) else path
