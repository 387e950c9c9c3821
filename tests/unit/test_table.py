"""Tables, widths and colours, and how sizes, times and durations are written."""

from __future__ import annotations

import io
import os
import pty
import time
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediad import sizes
from mediad.cli import quantities
from mediad.cli.table import Screen, Table, elide, width
from mediad.config.units import parse_duration

NARROW = Screen(columns=40)
ANYTHING = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), max_size=60)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# --- Widths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("é", 1), ("e\u0301", 1), ("写真", 4), ("📷", 2), ("\uff41", 2)],
)
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("/a/b.jpg", 8, "/a/b.jpg"),
        ("/home/me/Pictures/IMG_1.jpg", 20, "/home/me/…/IMG_1.jpg"),
        ("/home/IMG_20210710_203925.jpg", 16, "/home…203925.jpg"),
        ("a long reason without a path", 12, "a long r…ath"),
        ("/写真/写真/写真.jpg", 12, "/…/写真.jpg"),
    ],
)
def test_elide(text: str, columns: int, shown: str) -> None:
    assert width(elide(text, columns)) <= columns
    assert elide(text, columns) == shown


@given(ANYTHING, st.integers(4, 40))
def test_what_is_elided_fits(text: str, columns: int) -> None:
    found = elide(unicodedata.normalize("NFC", text), columns)
    assert width(found) <= columns


# --- Tables ------------------------------------------------------------------------------------------


def test_a_table_without_a_terminal_is_never_cut() -> None:
    table = Table(Screen(), ("NAME", "SIZE", "FILE"), right=(1,), elastic=(2,))
    long = "/very" * 60 + "/long.jpg"
    assert table.lines([("a", "1", long), ("写真", "22", "x")]) == [
        "NAME  SIZE  FILE",
        f"a        1  {long}",
        "写真    22  x",
    ]


def test_a_table_fits_the_terminal() -> None:
    table = Table(NARROW, ("NAME", "FILE", "WHY"), elastic=(1, 2))
    lines = table.lines(
        [("inbox", "/home/me/Pictures/Inbox/IMG_1234.jpg", "is held, since it is paused now")]
    )
    assert [width(line) <= 40 for line in lines] == [True, True]
    assert "IMG_1234.jpg" in lines[1]


def test_a_table_in_parts_has_one_head() -> None:
    table = Table(NARROW, ("NAME", "FILE"))
    assert table.lines([]) == []
    assert table.lines([("a", "b")]) == ["NAME  FILE", "a     b"]
    assert table.lines([("longer", "b")]) == ["longer  b"]


def test_what_would_disturb_the_terminal_is_escaped() -> None:
    table = Table(Screen(colour=True), ("NAME",))
    assert table.lines([("\x1b[2J\n",)])[1] == "\\x1b[2J\\n"


def test_states_have_colours() -> None:
    rows = [("offline", "x"), ("watching", "y")]
    assert Table(Screen(), ("STATE", ""), words=(0,)).lines(rows)[1] == "offline   x"
    coloured = Table(Screen(colour=True), ("STATE", ""), words=(0,)).lines(rows)
    assert coloured[1] == "\x1b[31moffline\x1b[0m   x"
    assert coloured[2] == "\x1b[32mwatching\x1b[0m  y"


# --- Screens -----------------------------------------------------------------------------------------


def test_a_pipe_is_no_screen() -> None:
    assert Screen.of(io.StringIO(), {}) == Screen(None, unicode=False)
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert Screen.of(utf8, {}).unicode
    ascii_only = Screen.of(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), {})
    assert (ascii_only.dots, ascii_only.arrow) == ("...", "->")


@pytest.mark.parametrize(
    ("env", "columns", "colour"),
    [
        ({"TERM": "xterm"}, 80, True),  # a terminal that says nothing of its size
        ({"TERM": "xterm", "COLUMNS": "100"}, 100, True),
        ({"TERM": "xterm", "COLUMNS": "300"}, 120, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, 80, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, 80, True),
        ({"TERM": "dumb"}, 80, False),
        ({}, 80, False),
    ],
)
def test_a_terminal(env: dict[str, str], columns: int, colour: bool) -> None:
    ours, theirs = pty.openpty()
    try:
        with open(theirs, "w", encoding="utf-8") as stream:
            found = Screen.of(stream, env)
    finally:
        os.close(ours)
    assert found == Screen(columns, 24, colour, unicode=True)


# --- Quantities --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (999_960_000, "1.0 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert sizes.size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.6, "1s"),
        (61, "1m 1s"),
        (4800, "1h 20m"),
        (3600, "1h"),
        (90_000, "1d 1h"),
        (86_405, "1d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert quantities.span_text(seconds) == text


@pytest.mark.usefixtures("berlin")
def test_moments_are_local() -> None:
    now = 1795597200.0  # 2026-11-25 10:00 in Berlin
    assert quantities.moment_text("2026-11-25T08:59:05.5Z", now) == "09:59:05"
    assert quantities.moment_text("2026-11-24T22:30:00Z", now) == "2026-11-24 23:30"
    assert quantities.moment_text("2026-11-24T23:30:00Z", now) == "00:30:00"
    assert quantities.full_text("2026-07-01T10:00:00Z") == "2026-07-01 12:00:00"
    assert quantities.until_text("2026-11-25T17:00:00Z", now) == "until 18:00:00"
    assert quantities.until_text(None) == "until it is resumed"


def read(reader: Callable[[str], float], text: str) -> float | str:
    """What a reader makes of a text, or what it says is wrong."""
    try:
        return reader(text)
    except ValueError as error:
        return str(error)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d", "", "w", "H"]), st.booleans())
def test_durations_are_those_of_the_configuration(amount: int, unit: str, half: bool) -> None:
    text = f"{amount}{'.5' if half else ''}{unit}"
    assert read(quantities.duration, text) == pytest.approx(read(parse_duration, text), abs=0.001)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", "2026-11-25T07:00:00Z"),
        ("2026-11-25", "2026-11-24T23:00:00Z"),
        ("2026-11-25 10:00", "2026-11-25T09:00:00Z"),
        ("2026-11-25T10:00:00+05:00", "2026-11-25T05:00:00Z"),
    ],
)
def test_since(text: str, moment: str) -> None:
    assert quantities.since(text, 1795597200.0) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01", "-2h", "9999d9"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        quantities.since(text)
