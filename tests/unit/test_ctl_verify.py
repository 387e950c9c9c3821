"""`mediactl verify` and `mediactl safe-to-wipe`: words and exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediad.cli import verify, wipe
from mediad.cli.ctl import main
from mediad.keeping.verify_look import STATES
from tests.answering import BYE, DEFINITION, CannedDaemon, always, failed

CLEAN = {"path": "/l/a.jpg", "state": "ok", "accepted": False}
ROTTEN = {"path": "/l/b.jpg", "state": "changed", "accepted": False}
MOVED = {"path": "/l/c.jpg", "state": "moved", "place": "/l/d.jpg", "accepted": False}
STUCK = {"path": "/l/e.jpg", "state": "unreadable", "error": "Input/output error", "accepted": False}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "control"


def looked(*files: dict[str, Any], **others: object) -> dict[str, Any]:
    """A reply of `Verify` that tells of these files."""
    counts = {state: sum(file["state"] == state for file in files) for state in STATES}
    size = len(files)
    told = {"state": "done", "files": size, "bytes": 5, "files_done": size, "bytes_done": 5, "counts": counts}
    more = {"skipped": [], "checked": list(files), "omitted": 0}
    return DEFINITION.check_reply("Verify", {**told, **more, **others})


def run(place: Path, method: str, answer: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    with CannedDaemon(place, {method: answer}) as daemon:
        code = main([*arguments, "--socket", str(place)])
    return code, daemon.calls[0][1]


def test_only_what_is_not_ok_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, call = run(place, "Verify", always(looked(CLEAN, ROTTEN, MOVED, STUCK)), "verify")
    out = capsys.readouterr().out
    assert code == 1
    assert (call["paths"], call["accept"], call["resume"]) == ([], False, False)
    assert [line.split()[0] for line in out.splitlines()] == (
        ["changed", "moved", "now", "unreadable", "Input/output", "4"]
    )
    assert "4 files: 1 ok, 1 changed, 1 moved, 1 unreadable" in out


def test_all_files_are_told_to_programs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    working = looked(CLEAN, state="working")
    last = looked(MOVED, counts=looked(CLEAN, MOVED)["counts"])
    code, _ = run(place, "Verify", always(working, last), "verify", "/l", "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert [(line["path"], line["state"]) for line in lines] == [("/l/a.jpg", "ok"), ("/l/c.jpg", "moved")]


@pytest.mark.parametrize(
    ("arguments", "files", "others", "code"),
    [
        ((), [CLEAN], {}, 0),
        (("/l/b.jpg",), [ROTTEN], {}, 1),
        (("--resume",), [CLEAN], {"skipped": ["films"]}, 1),
        (("--accept", "/l/b.jpg"), [{**ROTTEN, "accepted": True}], {}, 0),
        (("--accept", "/l/e.jpg"), [STUCK], {}, 1),
    ],
)
def test_exit_codes(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    files: list[dict[str, Any]],
    others: dict[str, Any],
    code: int,
) -> None:
    got, call = run(place, "Verify", always(looked(*files, **others)), "verify", *arguments)
    assert got == code
    assert call["accept"] == ("--accept" in arguments)
    err = capsys.readouterr().err
    assert ("films" in err) == ("skipped" in others)
    assert ("verify --accept PATH" in err) == (code == 1 and not others and "--accept" not in arguments)


def test_one_of_these_only(place: Path) -> None:
    with CannedDaemon(place, {}):
        for arguments in (["/l", "--accept", "/l/a"], ["/l", "--resume"], ["--resume", "--accept", "/l/a"]):
            assert main(["verify", *arguments, "--socket", str(place)]) == 2


def test_progress_of_a_verification() -> None:
    assert verify.progress_text(looked(CLEAN, files=3, bytes=9)) == "1 of 3 files, 5 B of 9 B"


# --- safe-to-wipe ------------------------------------------------------------------------------------


def answered(**others: object) -> dict[str, Any]:
    """A reply of `SafeToWipe`: yes, if nothing else is said."""
    told = {
        "state": "done",
        "safe": True,
        "files": 2,
        "bytes": 5,
        "files_done": 2,
        "bytes_done": 5,
        "kept": 2,
        "not_kept": [],
        "omitted": 0,
        "libraries": ["photos"],
        "message": "all 2 files with 5 B are kept, read again just now",
    }
    return DEFINITION.check_reply("SafeToWipe", {**told, **others})


def test_yes(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    working = answered(state="reading", safe=None, message=None)
    code, call = run(place, "SafeToWipe", always(working, answered()), "safe-to-wipe", str(tmp_path))
    assert code == 0
    assert call["inodes"] == [f"{tmp_path.stat().st_dev}:{tmp_path.stat().st_ino}"]
    assert "Yes: all 2 files" in capsys.readouterr().out


NO = answered(
    safe=False,
    kept=0,
    not_kept=[{"path": "/card/\udcff".encode("utf-8", "replace").decode(), "reason": "is empty"}],
    omitted=1,
    message="2 of 2 files with 5 B are not kept",
)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (always(NO), 1),
        (always(answered(safe=None)), 1),
        (always(answered(state="checking")), 1),
        (always(failed("Refused", code="refused", message="lies in library photos")), 1),
        (always(failed("Internal", message="no")), 70),
        (lambda _: iter([answered(state="reading", safe=None)]), 3),
        (always(BYE), 3),
    ],
)
def test_anything_else_is_no(
    place: Path, capsys: pytest.CaptureFixture[str], answer: Callable[[Any], Any], code: int
) -> None:
    assert run(place, "SafeToWipe", answer, "safe-to-wipe", "/card")[0] == code
    assert "Yes" not in capsys.readouterr().out


def test_a_question_ends_as_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = answered(safe=False, files=0, message="holds no files: is the card mounted?")
    run(place, "SafeToWipe", always(empty), "safe-to-wipe", "/card")
    assert "No: holds no files: is the card mounted?\n" in capsys.readouterr().out


def test_no_in_words(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(place, "SafeToWipe", always(NO), "safe-to-wipe", "/card")
    out = capsys.readouterr().out
    assert "is empty" in out
    assert "and 1 file more" in out
    assert out.endswith("No: 2 of 2 files with 5 B are not kept.\n")
    run(place, "SafeToWipe", always(NO), "safe-to-wipe", "/card", "--json")
    assert json.loads(capsys.readouterr().out)["safe"] is False


def test_what_we_see_is_said_only_if_we_see_all(tmp_path: Path) -> None:
    seen = os.fsencode(tmp_path)
    assert wipe.inodes([seen, seen + b"/none"]) is None
    assert wipe.inodes([seen]) is not None


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ({"state": "looking", "bytes_done": 0}, "counting"),
        ({"state": "reading"}, "reading what is to be wiped: 5 B of 5 B"),
        ({"state": "comparing"}, "reading the libraries: 5 B"),
        ({"state": "checking", "bytes_done": 0}, "looking at all once more"),
    ],
)
def test_progress_of_a_wipe(others: dict[str, Any], text: str) -> None:
    assert wipe.progress_text(answered(**others)) == text
