"""`mediactl date`: the dates and spans that people type, and what the daemon is asked for them."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mediad.cli.ctl import main
from mediad.cli.date import shift, when
from tests.answering import CannedDaemon, always

DONE = {"state": "done", "batch": 84, "done": 1, "refused": 0, "bytes": 10, "changes": []}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2021-07-10", "2021-07-10T00:00:00"),
        ("2021:07:10 20:39:25", "2021-07-10T20:39:25"),
        ("2021/7/1 8:05", "2021-07-01T08:05:00"),
        (" 2021-07-10T20:39:25.77+01:00 ", "2021-07-10T20:39:25.770000+01:00"),
        ("2021-07-10 20:39 -0730", "2021-07-10T20:39:00-07:30"),
        ("2021-07-10T20:39:25,5+2", "2021-07-10T20:39:25.500000+02:00"),
        ("2021-07-10t20:39:25z", "2021-07-10T20:39:25+00:00"),
        ("1826-01-01", "1826-01-01T00:00:00"),
    ],
)
def test_a_date_that_people_type(text: str, means: str) -> None:
    assert when(text) == means


@pytest.mark.parametrize(
    "text",
    [
        *("", "10.07.2021", "10/07/2021", "07-10-2021", "2021-07", "2021", "20210710", "yesterday"),
        *("2021-02-30", "2021-13-01", "2021-07-10 24:00", "2021-07-10 20:60", "2021-07/10", "0999-01-01"),
        *("2021-07-10 20", "2021-07-10 20:39+25:00", "2021-07-10 20:39+01:60", "2021-07-10 8:05 pm"),
        "٢٠٢١-07-10",
    ],
)
def test_what_is_no_date_is_told(text: str) -> None:
    with pytest.raises(ValueError, match='"'):
        when(text)


_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.one_of(st.none(), _OFFSETS)))  # noqa: DTZ001
def test_every_iso_date_is_read_as_it_is(moment: datetime) -> None:
    assert datetime.fromisoformat(when(moment.isoformat())) == moment
    assert datetime.fromisoformat(when(moment.isoformat())).utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-1:00", -3600.0),
        ("1:00", 3600.0),
        ("+0:02:30", 150.0),
        ("2d", 172_800.0),
        ("+2D", 172_800.0),
        ("-1d 3:30", -(86_400.0 + 12_600.0)),
        ("-1w2h", -(604_800.0 + 7200.0)),
        ("90min", 5400.0),
        ("90m 5s", 5405.0),
        ("26:00", 93_600.0),
    ],
)
def test_a_shift_that_people_type(text: str, seconds: float) -> None:
    assert shift(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-", "1", "1:0", "1:60", "1y", "2 months", "--1:00", "1:00 2d", "1.5h", "1:00:"]
)
def test_what_is_no_shift_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"are allowed"):
        shift(text)


@pytest.mark.parametrize("text", ["0:00", "-0d", "+0:00:00"])
def test_a_shift_by_nothing_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="shifts nothing"):
        shift(text)


@given(
    st.integers(0, 9999), st.integers(0, 999), st.integers(0, 59), st.integers(0, 59), st.sampled_from("+-")
)
def test_every_shift_is_the_sum_of_its_parts(
    days: int, hours: int, minutes: int, seconds: int, sign: str
) -> None:
    total = days * 86_400 + hours * 3600 + minutes * 60 + seconds
    total = -total if sign == "-" else total
    assume(total)
    assert shift(f"{sign}{days}d {hours}:{minutes:02}:{seconds:02}") == total
    assert shift(f"{sign} {days}d{hours}h{minutes}min{seconds}s") == total


@given(st.text(max_size=20))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    for read in (when, shift):
        with contextlib.suppress(ValueError):
            assert read(text) is not None


def called(place: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the daemon was asked."""
    with CannedDaemon(place, {"Date": always(DONE)}) as daemon:
        code = main(["--socket", str(place), "date", "-y", *arguments])
    calls = [{key: value for key, value in asked.items() if value is not None} for _, asked in daemon.calls]
    return code, calls[0] if calls else {}


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["--set", "2021-07-10 20:39"], {"set": "2021-07-10T20:39:00"}),
        (["--shift", "-1:00"], {"shift_s": -3600.0}),
        (["--shift=+1:00"], {"shift_s": 3600.0}),
        (["--use", "filename"], {"use": "filename"}),
        (["--reset"], {"reset": True}),
    ],
)
def test_what_the_daemon_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], asked: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = {"paths": ["/a.jpg"], "paths_b64": [], "dry_run": False, **asked}
    for order in (["/a.jpg", *arguments], [*arguments, "/a.jpg"]):
        assert called(Path("control"), *order) == (0, expected)


@pytest.mark.parametrize(
    "arguments", [[], ["--reset", "--shift", "-1:00"], ["--set", "2021-07-10", "--use", "exif"]]
)
def test_one_thing_has_to_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert called(Path("control"), "/a.jpg", *arguments) == (2, {})
    assert "needs one of" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--set", "10.7.2021"], ["--shift", "1y"], ["--shift"]])
def test_a_slip_is_a_usage_error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["date", "a.jpg", *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
