"""`mediactl import`: progress and verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediad.cli import importing
from mediad.cli.ctl import main
from mediad.cli.importing import Progress, progress_text, verdict
from mediad.cli.table import Screen
from tests.answering import DEFINITION, CannedDaemon, always

MISSED = {"path": "/card/a.jpg", "outcome": "quarantined", "reason": "is cut off"}


def look(**others: object) -> dict[str, Any]:
    """One reply of an import; by default it is half done."""
    return DEFINITION.check_reply(
        "Import",
        {
            "state": "importing",
            "files": 4,
            "bytes": 4_000_000,
            "files_done": 2,
            "bytes_done": 2_000_000,
            **dict.fromkeys(("duplicate", "quarantined", "failed", "ignored", "gone", "already"), 0),
            "filed": 2,
            "library": "photos",
            "in_flight": [{"path": "/card/b.jpg", "stage": "copying", "bytes_done": 1, "bytes": 2}],
            "not_taken": [],
            **others,
        },
    )


DONE = look(state="done", files_done=4, bytes_done=4_000_000, filed=4, batch=7, complete=True, in_flight=[])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.mark.parametrize(
    ("reply", "rate", "text"),
    [
        (look(state="counting", files=None, bytes=None, files_done=1200), 0.0, "counting: 1,200 files"),
        (look(), 0.0, "2 of 4 files, 2.0 MB of 4.0 MB: /card/b.jpg"),
        (look(), 500_000.0, "2 of 4 files, 2.0 MB of 4.0 MB, 500 kB/s, 4s left: /card/b.jpg"),
        (look(in_flight=[]), 0.0, "2 of 4 files, 2.0 MB of 4.0 MB"),
        (look(state="held", reason="photos is full"), 0.0, "held, 2 of 4 files done: photos is full"),
    ],
)
def test_progress_in_words(reply: dict[str, Any], rate: float, text: str) -> None:
    assert progress_text(reply, rate, Screen()) == text


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_in_a_log_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(Screen(), clock=clock)
    for clock.now in (1.0, 9.0, 11.0, 12.0, 20.0, 22.0):
        progress.show(look(bytes_done=round(clock.now * 100_000)))
    progress.clear()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" of ")[1] for line in lines] == ["4 files, 1.1 MB", "4 files, 2.2 MB"]
    assert "100 kB/s, 29s left" in lines[0]


def test_progress_on_a_terminal_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(Screen(40))
    progress.show(look(in_flight=[{"path": "/c/" + "x" * 90, "stage": "", "bytes_done": 0, "bytes": 0}]))
    progress.show(look())
    progress.clear()
    said = capsys.readouterr().err
    assert "\n" not in said
    assert [len(part) < 40 for part in said.split("\r\x1b[K")] == [True] * 4
    assert said.endswith(": b.jpg\r\x1b[K")


def test_a_complete_import(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["import", str(tmp_path), "--library", "photos", "--label", "Norway", "--socket", str(place)]
    with CannedDaemon(place, {"Import": always(look(), DONE)}) as daemon:
        assert main(command) == 0
    assert capsys.readouterr() == (
        "4 filed (batch 7)\nComplete: all the media of this source is in the library photos.\n",
        "",
    )
    ((_, call),) = daemon.calls
    assert (call["paths"], call["library"], call["label"], call["dry_run"]) == (
        [str(tmp_path)],
        "photos",
        "Norway",
        False,
    )


def test_an_import_that_is_not_complete(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = {**DONE, "complete": False, "already": 3, "quarantined": 1, "not_taken": [MISSED]}
    with CannedDaemon(place, {"Import": always(reply)}):
        assert main(["import", "/card", "--socket", str(place)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "4 filed, 1 quarantined, 3 there already (batch 7)",
        "These are not in the library:",
        "  quarantined  /card/a.jpg",
        "      is cut off",
        "Not complete: not all the media of this source is in the library photos.",
    ]


def test_only_the_first_are_named() -> None:
    lines = verdict(look(state="done", complete=False, not_taken=[MISSED] * 23), Screen())
    assert lines.count("      is cut off") == 20
    assert lines[-2] == "  and 3 more: --json has all"


def test_what_the_daemon_counts_is_said_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with CannedDaemon(place, {"Import": always({**DONE, "message": "4 filed and verified"})}):
        assert main(["import", "/card", "--socket", str(place)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "4 filed and verified (batch 7)",
        "Complete: all the media of this source is in the library photos.",
    ]


def test_a_dry_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = {**DONE, "state": "planned", "batch": None, "not_taken": [MISSED], "complete": False}
    reply["message"] = "4 new"
    with CannedDaemon(place, {"Import": always(reply)}) as daemon:
        assert main(["import", "-n", "/card", "--socket", str(place)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("Would be: 4 filed\nThese would not be in the library:\n")
    assert said.endswith("not all the media of this source would be in the library photos.\n")
    assert daemon.calls[0][1]["dry_run"] is True


def test_nothing_new(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with CannedDaemon(place, {"Import": always({**DONE, "filed": 0, "already": 4, "batch": None})}):
        assert main(["import", "/card", "--socket", str(place)]) == 0
    assert capsys.readouterr().out.startswith("4 there already\n")


def test_as_json_there_is_one_document(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with CannedDaemon(place, {"Import": always(look(), DONE)}):
        assert main(["import", "/card", "--json", "--socket", str(place)]) == 0
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == (DONE, "")


def test_an_interrupt_says_how_to_go_on(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def answer(_: object) -> Iterator[dict[str, Any]]:
        yield look()

    monkeypatch.setattr(importing.Progress, "show", interrupted)
    with CannedDaemon(place, {"Import": answer}):
        assert main(["import", "/card", "--socket", str(place)]) == 130
    assert capsys.readouterr() == ("", "interrupted; the same command goes on where this one was\n")
