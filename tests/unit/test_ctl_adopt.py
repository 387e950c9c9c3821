"""`mediactl adopt`: what it asks for and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediad.cli.adopt import progress_text, summary
from mediad.cli.ctl import main
from mediad.cli.table import Screen
from tests.answering import DEFINITION, CannedDaemon, always

NUMBERS = (
    *("adopted", "companions", "undated", "doubtful", "duplicates", "already"),
    *("not_media", "unreadable", "failed"),
)


def look(**others: object) -> dict[str, Any]:
    """One reply; by default all has been adopted."""
    return DEFINITION.check_reply(
        "Adopt",
        {
            "state": "done",
            "library": "photos",
            "blessed": False,
            "files": 4,
            "bytes": 4_000_000,
            "files_done": 4,
            "bytes_done": 4_000_000,
            **dict.fromkeys(NUMBERS, 0),
            "adopted": 4,
            "in_flight": [],
            "left": [],
            "batch": 7,
            **others,
        },
    )


FLIGHT = {"path": "/l/old/b.jpg", "stage": "hashing", "bytes_done": 1, "bytes": 2}
LEFT = {"path": "/l/a.jpg", "outcome": "unreadable", "reason": "is cut off"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.fixture
def daemon(place: Path) -> Iterator[CannedDaemon]:
    with CannedDaemon(place, {"Adopt": always(look())}) as daemon:
        yield daemon


def test_progress_in_words() -> None:
    half = look(files_done=2, bytes_done=2_000_000)
    assert progress_text(half) == "2 of 4 files, 2.0 MB of 4.0 MB"
    assert progress_text({**half, "in_flight": [FLIGHT]}) == "2 of 4 files, 2.0 MB of 4.0 MB: b.jpg"


def test_all_was_adopted() -> None:
    assert summary(look(), Screen()) == ["4 adopted (batch 7)"]


def test_everything_is_told() -> None:
    full = look(
        state="planned",
        blessed=True,
        batch=None,
        **{name: number for number, name in enumerate(NUMBERS, 1001)},
        left=[LEFT],
    )
    assert summary(full, Screen()) == [
        "The lost marker of library photos would be written again.",
        "Would be: 1,001 adopted, 1,002 companions of theirs, 1,006 catalogued before",
        "  1,003 without a date that can be believed",
        "  1,004 with a doubtful date: mediactl history --doubtful",
        "  1,005 with content that lies elsewhere, too: mediactl duplicates",
        "  1,007 left alone: no media, empty, excluded, or companions of nothing",
        "  1,008 left alone: claims to be media and cannot be read",
        "  1,009 could not be looked at now",
        "These would be left alone:",
        "  unreadable  /l/a.jpg",
        "      is cut off",
        "  and 2,016 more",
        "Not complete: the same command tries again what failed.",
    ]


@pytest.mark.parametrize(
    ("argument", "asked"),
    [
        ("photos", {"library": "photos", "path": None, "path_b64": None, "dry_run": False}),
        ("/l/photos/", {"library": None, "path": "/l/photos", "path_b64": None, "dry_run": False}),
    ],
)
def test_a_name_or_a_path(
    daemon: CannedDaemon,
    place: Path,
    argument: str,
    asked: dict[str, object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--socket", str(place), "adopt", argument]) == 0
    assert capsys.readouterr().out == "4 adopted (batch 7)\n"
    assert [given for _, given in daemon.calls] == [asked]


def test_one_document(daemon: CannedDaemon, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", str(place), "adopt", "-n", "photos", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == look()
    assert daemon.calls[0][1]["dry_run"] is True
