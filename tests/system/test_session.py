"""The first session of README.md goes as it is written there."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests import session
from tests.conftest import PROJECT
from tests.session import Session

README = Path(PROJECT, "README.md")


@pytest.fixture
def written() -> list[session.Step]:
    return session.written(README.read_text(encoding="utf-8"))


def test_the_session_shows_what_a_new_user_needs(written: list[session.Step]) -> None:
    commands = [" ".join(step.command.split()[:2]) for step in written if step.command.startswith("media")]
    shown = ["status", "why", "pause", "resume", "reload", "import", "duplicates", "monitor"]
    assert commands[:2] == ["mediad init", "mediad run"]
    assert {f"mediactl {name}" for name in shown} <= set(commands)
    assert session.block(written) in README.read_text(encoding="utf-8")


def test_the_session_goes_as_it_is_written(written: list[session.Step]) -> None:
    if why_not := session.obstacle():
        pytest.skip(why_not)
    with Session() as played:
        steps = played.play([step.command for step in written])
        _check_digests("".join(step.said for step in steps), played.home)
        _, daemon = played.stop()
    assert daemon == 0
    assert [(step.command, step.code) for step in steps] == [(step.command, step.code) for step in written]
    told, meant = session.comparable(session.block(steps)), session.comparable(session.block(written))
    assert told.splitlines() == meant.splitlines(), "`python -m tests.session` prints how it goes now"


def _check_digests(said: str, home: Path) -> None:
    """What is given as a SHA-256 is that of a file which lies there."""
    given = set(re.findall(r"\b[0-9a-f]{64}\b", said))
    files = [path for path in (home / "Pictures/Library").rglob("*") if path.is_file()]
    assert given
    assert given <= {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_only_what_differs_between_runs_is_put_to_one_side() -> None:
    said = "It was taken on 2022-08-15 at 18:30:12, +02:00 from UTC, 27 kB [step 1, batch 1] (batch 2)"
    assert session.comparable(said) == said.replace(
        "step 1, batch 1] (batch 2)", "step N, batch N] (batch N)"
    )
    table = (
        "inbox  paused  2026-11-25 23:59  move\n\nphotos      5   82 kB   1.1 TB  /x\n  paused until 01:59:00"
    )
    assert session.comparable(table) == (
        "inbox  paused  CLOCK  move\n\nphotos  5  82 kB  FREE  /x\n  paused until CLOCK"
    )
