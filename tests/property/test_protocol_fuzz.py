"""Whatever is sent to the control socket, it answers as defined or closes, and nothing is left behind."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediad.control.calls import definitions
from mediad.control.interface import Array, Basic, Enum, Interface, Map, Maybe, Named, Struct, Type
from mediad.control.protocol import INTERFACE, SERVICE, encode
from tests.serving import Client, Scripted, Served, serving
from tests.waiting import wait_until

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(-(1 << 63), (1 << 63) - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "string": TEXT,
    "object": JSON.filter(lambda value: value is not None),
}

CALLS = [
    (interface, method)
    for interface in map(Interface.parse, (found.text for found in definitions().values()))
    for method in interface.methods
]


def values(interface: Interface, kind: Type) -> st.SearchStrategy[Any]:
    """All that a type permits."""
    match kind:
        case Basic(name):
            return PLAIN[name]
        case Maybe(of):
            return st.none() | values(interface, of)
        case Array(of):
            return st.lists(values(interface, of), max_size=3)
        case Map(of):
            return st.dictionaries(TEXT, values(interface, of), max_size=3)
        case Enum(names):
            return st.sampled_from(names)
        case Named(name):
            return values(interface, interface.types[name])
        case Struct(fields):
            return st.fixed_dictionaries({name: values(interface, of) for name, of in fields.items()})


@st.composite
def valid_calls(draw: st.DrawFn) -> tuple[Interface, str, dict[str, Any]]:
    interface, method = draw(st.sampled_from(CALLS))
    parameters = draw(values(interface, interface.methods[method].takes))
    flags = draw(st.dictionaries(st.sampled_from(["more"]), st.booleans()))
    return interface, method, {"method": f"{interface.name}.{method}", "parameters": parameters, **flags}


@st.composite
def almost_calls(draw: st.DrawFn) -> bytes:
    """A call with something wrong in its values, its keys or its bytes."""
    _, _, message = draw(valid_calls())
    how = draw(st.sampled_from(["value", "key", "flag", "method", "cut", "insert", "flip"]))
    if how == "value" and message["parameters"]:
        message["parameters"][draw(st.sampled_from(sorted(message["parameters"])))] = draw(JSON)
    elif how == "key":
        message["parameters"][draw(TEXT)] = draw(JSON)
    elif how == "flag":
        message[draw(st.sampled_from(["more", "oneway", "upgrade", "parameters", "error"]))] = draw(JSON)
    elif how == "method":
        message["method"] = draw(TEXT | st.sampled_from([f"{INTERFACE}.", f"{SERVICE}.getInfo", "."]) | JSON)
    frame = encode(message)
    at = draw(st.integers(0, len(frame) - 1))
    if how == "cut":
        return frame[:at]
    if how == "insert":
        return frame[:at] + draw(st.binary(min_size=1, max_size=4)) + frame[at:]
    if how == "flip":
        return frame[:at] + bytes((frame[at] ^ 1 << draw(st.integers(0, 7)),)) + frame[at + 1 :]
    return frame


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all examples, and nothing left of them at the end."""
    with serving(tmp_path_factory.mktemp("fuzz"), Scripted()) as at_work:
        with Client(at_work.path) as client:
            assert "parameters" in client.call("Resume")
        at_work.wait_for_connections(0)
        descriptors, tasks = _descriptors(), at_work.tasks()
        yield at_work
        at_work.wait_for_connections(0)
        wait_until(lambda: (_descriptors(), at_work.tasks()) == (descriptors, tasks))
        with Client(at_work.path) as client:
            assert "parameters" in client.call("Resume")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def answers(served: Served, sent: bytes) -> list[dict[str, Any]]:
    """All that comes back until the server closes, too."""
    with Client(served.path) as client:
        try:
            client.socket.sendall(sent)
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:  # closed already
            pass
        return list(iter(client.answer, None))


def assert_as_defined(answer: dict[str, Any]) -> None:
    """The last answer to some call: parameters that were checked by the server itself, or a defined error."""
    assert answer.keys() in ({"parameters"}, {"error", "parameters"})
    if "error" in answer:
        interface, _, name = answer["error"].rpartition(".")
        definitions()[interface].check_error(name, answer["parameters"])
        assert name != "Internal", answer


FUZZ = settings(deadline=None, max_examples=200)


@FUZZ
@given(sent=st.binary() | st.lists(st.binary(), max_size=4).map(b"\0".join))
def test_any_bytes(served: Served, sent: bytes) -> None:
    for answer in answers(served, sent):
        assert_as_defined(answer)


@FUZZ
@given(call=valid_calls())
def test_any_valid_call(served: Served, call: tuple[Interface, str, dict[str, Any]]) -> None:
    interface, method, message = call
    (answer,) = answers(served, encode(message))
    if "error" in answer:  # an interface that is not there
        assert answer["error"] == f"{SERVICE}.InterfaceNotFound"
    else:
        interface.check_reply(method, answer["parameters"])


@FUZZ
@given(sent=st.lists(almost_calls(), min_size=1, max_size=3).map(b"".join))
def test_any_call_that_is_almost_valid(served: Served, sent: bytes) -> None:
    found = answers(served, sent)
    assert len(found) <= sent.count(b"\0")
    for answer in found:
        assert_as_defined(answer)


@FUZZ
@given(value=JSON)
def test_any_json(served: Served, value: object) -> None:
    for answer in answers(served, json.dumps(value).encode() + b"\0"):
        assert_as_defined(answer)
