"""`mediactl status`: the verdict, the report, and following it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediad.cli.ctl import main
from mediad.cli.quantities import until_text
from mediad.cli.status import report, verdict
from mediad.cli.table import Screen, width
from tests.answering import DEFINITION, CannedDaemon, always
from tests.conftest import PROJECT
from tests.waiting import wait_until

COUNTS = {"settling": 0, "waiting": 0, "in_flight": 0, "held": 0, "to_analyse": 0}
TOTALS = {
    "filed": 0,
    "duplicate": 0,
    "quarantined": 0,
    "failed": 0,
    "ignored": 0,
    "gone": 0,
    "bytes_filed": 0,
}
WATCH = {
    "paused": False,
    "name": "inbox",
    "path": "/home/me/Pictures/Inbox",
    "library": "photos",
    "action": "move",
    "state": "watching",
    "last_complete_scan": "2026-01-01T10:00:00Z",
    "found_by_scan": 0,
    "queue": COUNTS,
}
LIBRARY = {
    "paused": False,
    "name": "photos",
    "path": "/home/me/Pictures/Library",
    "state": "online",
    "files": 12345,
    "bytes": 45_200_000_000,
    "free_bytes": 1_200_000_000_000,
}
ATTENTION = {"code": "failed", "message": "2 files failed", "command": "mediactl failures"}


def status(**others: object) -> dict[str, Any]:
    """A status as the daemon replies it; by default all is well."""
    return DEFINITION.check_reply(
        "Status",
        {
            "state": "running",
            "version": "0.1.0",
            "pid": 7,
            "uptime_s": 4800,
            "config": "/etc/mediad/config.toml",
            "watches": [WATCH],
            "libraries": [LIBRARY],
            "queue": COUNTS,
            "in_flight": [],
            "totals": TOTALS,
            "attention": [],
            **others,
        },
    )


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({}, "running, all is well: nothing waits"),
        (
            {"queue": {**COUNTS, "settling": 3, "in_flight": 1}},
            "running, all is well: 3 settling, 1 in flight",
        ),
        ({"queue": {**COUNTS, "held": 9}}, "running; 9 held"),
        ({"attention": [ATTENTION]}, "running, 1 thing needs attention"),
        ({"attention": [ATTENTION] * 2}, "running, 2 things need attention"),
        (
            {"state": "paused", "queue": {**COUNTS, "held": 12}},
            "paused until it is resumed: 12 files wait",
        ),
        (
            {"state": "paused", "queue": {**COUNTS, "held": 1}, "attention": [ATTENTION]},
            "paused until it is resumed: 1 file waits; 1 thing needs attention",
        ),
        ({"state": "stopping"}, "stopping: what is in flight finishes"),
        ({"watches": [{**WATCH, "state": "offline"}]}, "running, but inbox is offline"),
        ({"libraries": [{**LIBRARY, "state": "readonly"}]}, "running, but photos is read-only"),
        (
            {"watches": [{**WATCH, "state": "paused", "paused": True}], "queue": {**COUNTS, "held": 2}},
            "running; inbox is paused; 2 held",
        ),
        (
            {"libraries": [{**LIBRARY, "paused": True, "paused_until": "2026-01-01T10:00:00Z"}]},
            "running; photos is paused; nothing waits",
        ),
    ],
)
def test_the_verdict(others: dict[str, object], said: str) -> None:
    assert verdict(status(**others))[1] == said


def test_all_is_well_is_green_and_nothing_else_is() -> None:
    assert verdict(status())[0] == "green"
    assert verdict(status(attention=[ATTENTION]))[0] == "red"
    assert verdict(status(state="paused"))[0] == "yellow"
    assert verdict(status(queue={**COUNTS, "held": 1}))[0] == "yellow"


def test_a_report() -> None:
    reply = status(
        queue={**COUNTS, "in_flight": 1248, "to_analyse": 40},
        watches=[{**WATCH, "state": "error", "error": "is hung"}],
        totals={**TOTALS, "filed": 57, "bytes_filed": 1_200_000_000, "duplicate": 3},
        in_flight=[
            {"path": "/in/a.jpg", "stage": "copying", "bytes_done": 5, "bytes": 10},
            *[{"path": "/in/b.jpg", "stage": "queued", "bytes_done": 0, "bytes": 0}] * 11,
        ],
        attention=[ATTENTION],
    )
    lines = report(reply, Screen())
    assert lines[0] == "● running, 1 thing needs attention"
    assert lines[1] == "  mediad 0.1.0, process 7, for 1h 20m, /etc/mediad/config.toml"
    assert lines[4].split() == [
        "inbox",
        "error",
        *lines[4].split()[2:4],
        "move",
        "to",
        "photos",
        WATCH["path"],
    ]
    assert lines[5] == "  is hung"
    assert lines[8].split() == ["photos", "online", "12,345", "45.2", "GB", "1.2", "TB", LIBRARY["path"]]
    assert lines[10] == "Queue: 1,248 in flight; 40 to analyse"
    assert lines[11] == "  [##########..........]  50% copying   /in/a.jpg"
    assert lines[21] == "  and 1,238 more"
    assert lines[22] == "Files: 57 filed (1.2 GB), 3 duplicate"
    assert lines[23:] == ["", "Needs attention", "  ! 2 files failed", "      mediactl failures"]


def test_commands_are_those_that_reach_this_daemon() -> None:
    lines = report(status(attention=[ATTENTION]), Screen(), "mediactl --system")
    assert lines[-1] == "      mediactl --system failures"


def test_a_pause_is_told_once_and_where_it_differs() -> None:
    at_six, at_ten = "2026-01-01T06:00:00Z", "2026-01-01T10:00:00Z"
    watch = {**WATCH, "state": "paused", "paused": True, "paused_until": at_six}
    library = {**LIBRARY, "paused": True, "paused_until": at_ten}

    def told(state: str) -> list[str]:
        reply = status(state=state, paused_until=at_six, watches=[watch], libraries=[library])
        return [line for line in report(reply, Screen())[1:] if line.startswith("  paused until ")]

    assert told("running") == [f"  paused {until_text(at_six)}", f"  paused {until_text(at_ten)}"]
    assert told("paused") == [f"  paused {until_text(at_ten)}"]


def test_a_report_fits_the_terminal() -> None:
    long = {**WATCH, "path": "/home/me" + "/写真" * 40, "name": "a-watch-with-a-rather-long-name"}
    flight = {"path": "/in" + "/very" * 40 + "/IMG_1.jpg", "stage": "hashing", "bytes_done": 1, "bytes": 3}
    lines = report(status(watches=[long], in_flight=[flight], config="/x" * 90), Screen(80))
    assert max(map(width, lines)) <= 80
    assert any(line.endswith("/IMG_1.jpg") for line in lines)


def test_a_terminal_of_few_letters() -> None:
    assert report(status(), Screen(unicode=False))[0].startswith("* running")
    "\n".join(report(status(), Screen(40, unicode=False))).encode("ascii")


def test_a_hostile_name_cannot_draw() -> None:
    flight = {"path": "/in/\x1b[2J.jpg", "stage": "hashing", "bytes_done": 1, "bytes": 3}
    hostile = {**ATTENTION, "message": "\x1b[2J", "command": "mediactl why '\x1b'"}
    reply = status(in_flight=[flight], attention=[hostile], watches=[{**WATCH, "error": "\r"}])
    assert not re.search(r"[\x00-\x1f]", "".join(report(reply, Screen(80))))


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = status(paused_until="2026-11-25T10:00:00Z")
    with CannedDaemon(tmp_path / "s", {"Status": always(reply)}):
        assert main(["status", "--json", "--socket", str(tmp_path / "s")]) == 0
    assert json.loads(capsys.readouterr().out) == reply


# --- Following ---------------------------------------------------------------------------------------


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[CannedDaemon]:
    """A daemon that has filed one file more at every second call."""
    calls = iter(range(10**6))

    def answer(_: object) -> list[dict[str, Any]]:
        return [status(totals={**TOTALS, "filed": 1 + next(calls) // 2}, uptime_s=next(calls))]

    with CannedDaemon(tmp_path / "s", {"Status": answer}) as daemon:
        yield daemon


# Looks are a second apart; here they follow each other as fast as they can.
EAGER = (
    "import sys; from mediad.cli import ctl, status; status._EVERY = 0.001; sys.exit(ctl.main(sys.argv[1:]))"
)


def follow(daemon: CannedDaemon, *options: str, stdout: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", EAGER, "status", "--watch", *options, "--socket", str(daemon.place)]
    environment = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(command, cwd=PROJECT, stdout=stdout, env=environment, text=True)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_following_into_a_pipe_tells_changes_only(counting: CannedDaemon, options: list[str]) -> None:
    with follow(counting, *options, stdout=subprocess.PIPE) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 0
    if options:
        totals = [json.loads(line)["totals"]["filed"] for line in lines]
    else:
        totals = [int(re.findall(r"(\d+) filed", line)[0]) for line in lines]
    assert totals == sorted(set(totals))


def test_following_on_a_terminal_restores_it(counting: CannedDaemon) -> None:
    ours, theirs = pty.openpty()
    shown = b""

    def read(until: bytes) -> bool:
        nonlocal shown
        shown += os.read(ours, 1 << 16)
        return until in shown

    try:
        with follow(counting, stdout=theirs) as process:
            wait_until(lambda: read(b"3 filed"))
            process.send_signal(signal.SIGINT)
            wait_until(lambda: read(b"\x1b[?1049l"))
        assert process.returncode == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown.startswith(b"\x1b[?1049h\x1b[?25l")
    assert shown.count(b"\x1b[?25h") == 1
    assert "all is well" in shown.decode()


def test_the_daemon_that_is_followed_stops(tmp_path: Path) -> None:
    with CannedDaemon(tmp_path / "s", {"Status": lambda _: iter([status()])}) as daemon:
        command = [sys.executable, "-c", EAGER, "status", "--watch", "--socket", str(daemon.place)]
        ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout.count("\n"), ended.stderr.count("\n")) == (3, 1, 1)
    assert "went away" in ended.stderr
