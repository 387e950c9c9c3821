"""Messages, paths and times of the control protocol."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediad.control import protocol
from mediad.control.protocol import InvalidParameter
from tests.conftest import PROJECT

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)
PATHS = st.binary(min_size=1).filter(lambda path: b"\0" not in path)


@given(st.dictionaries(TEXT, JSON))
def test_messages_come_back_as_they_went(message: dict[str, object]) -> None:
    frame = protocol.encode(message)
    assert frame.endswith(b"\0")
    assert frame.count(b"\0") == 1
    assert frame.isascii()
    assert protocol.decode(frame[:-1]) == message


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b'{"a": 1, "a": 2}',
        b'{"x": [{"a": 1, "b": 1, "a": 1}]}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": ["\\ude00\\ud83d"]}',
        b'{"a": "\n"}',
        b"{'a': 1}",
        b'{"a": 1} x',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": ' + b"9" * 100_000 + b"}",
    ],
)
def test_what_is_no_message(frame: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        protocol.decode(frame)


def test_pairs_of_surrogates_are_one_character() -> None:
    assert protocol.decode(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_not_sent(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        protocol.encode({"a": value})


# --- Paths -------------------------------------------------------------------------------------------


@given(PATHS)
def test_paths_come_back_exactly(path: bytes) -> None:
    fields = json.loads(json.dumps(protocol.path_fields("place", path)))
    assert fields.keys() == {"place", "place_b64"}
    assert protocol.path_from(fields, "place") == path
    assert (fields["place_b64"] is None) == (path.decode("utf-8", "ignore").encode() == path)
    assert fields["place"] == protocol.path_text(path)


@given(st.lists(PATHS))
def test_lists_of_paths_come_back_exactly(paths: list[bytes]) -> None:
    assert sorted(protocol.paths_from(protocol.paths_parameters(paths))) == sorted(paths)


def test_what_is_lost_in_text_is_beside_it() -> None:
    assert protocol.path_fields("path", b"/a\xff") == {
        "path": "/a\N{REPLACEMENT CHARACTER}",
        "path_b64": "L2H/",
    }
    assert protocol.path_fields("path", "/ä\ufffd".encode()) == {"path": "/ä\ufffd", "path_b64": None}
    assert protocol.path_fields("path", None) == {"path": None, "path_b64": None}
    assert protocol.path_from({}, "path") is None
    assert protocol.path_from({"path": "/other", "path_b64": "L2H/"}, "path") == b"/a\xff"


def test_paths_and_exact_paths_add_up() -> None:
    assert protocol.paths_from({"paths": ["/b", "/a"], "paths_b64": ["L2H/"]}) == [b"/b", b"/a", b"/a\xff"]
    assert protocol.paths_from({"paths": None}) == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"paths": [""]}, "paths"),
        ({"paths": ["/a\0"]}, "paths"),
        ({"paths": ["/\ud800"]}, "paths"),
        ({"paths": [1]}, "paths"),
        ({"paths_b64": [""]}, "paths_b64"),
        ({"paths_b64": ["L2H"]}, "paths_b64"),
        ({"paths_b64": ["L2H/ "]}, "paths_b64"),
        ({"paths_b64": ["ä"]}, "paths_b64"),
        ({"paths_b64": ["AA=="]}, "paths_b64"),
        ({"paths_b64": [1]}, "paths_b64"),
    ],
)
def test_paths_that_cannot_be(parameters: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        protocol.paths_from(parameters)
    assert caught.value.parameter == field


@pytest.mark.parametrize("value", [{"path": "/a\0"}, {"path_b64": "!"}, {"path_b64": "AA=="}])
def test_a_path_that_cannot_be(value: dict[str, object]) -> None:
    with pytest.raises(InvalidParameter):
        protocol.path_from(value, "path")


# --- Times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1969-12-31T23:59:59Z", -1_000_000),
        ("2026-11-25T10:00:00.123456Z", 1_795_600_800_123_456),
    ],
)
def test_times(text: str, micros: int) -> None:
    assert protocol.time_text(micros) == text
    assert protocol.time_from(text) == micros


def test_no_time_is_none() -> None:
    assert protocol.time_text(None) is None


@pytest.mark.parametrize(
    "text",
    ["1970-01-01T01:00:00+01:00", "1969-12-31t14:30:00.0000009-09:30", "1970-01-01 00:00:00z"],
)
def test_times_in_any_zone(text: str) -> None:
    assert protocol.time_from(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-02-30T00:00:00Z",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00+24:00",
        "1970-W01-4T00:00:00Z",
        "1970-01-01T00:00:00.Z",
        "١٩٧٠-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z\n",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - two of datetime's, and ours
        protocol.time_from(text)


@pytest.mark.parametrize(("minutes", "text"), [(0, "+00:00"), (60, "+01:00"), (-570, "-09:30"), (None, None)])
def test_offsets(minutes: int | None, text: str | None) -> None:
    assert protocol.offset_text(minutes) == text


def test_a_failure_says_what_the_daemon_said() -> None:
    assert str(protocol.Failed("io.mediad.Control.Busy", {"message": "too much"})) == "too much"
    assert str(protocol.Failed("org.varlink.service.ExpectedMore", {})) == "org.varlink.service.ExpectedMore"


def test_it_costs_little_to_import() -> None:
    program = "import sys, mediad.control.protocol; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT
    ).stdout.split()
    assert {name for name in loaded if name.startswith("mediad")} == {
        "mediad",
        "mediad.control",
        "mediad.control.protocol",
    }
    assert not {"anyio", "asyncio", "dataclasses", "inspect", "socket"} & set(loaded)
