"""Each problem gets a sentence and a command that can be typed as it stands."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import pytest

from mediad.model import Counts
from mediad.steering.attention import attention


def life(**troubled: int) -> Any:
    tally = SimpleNamespace(troubled=troubled)
    pipeline = SimpleNamespace(recorder=SimpleNamespace(tally=tally), pauses=SimpleNamespace(all=list))
    return SimpleNamespace(pipeline=pipeline, refused=0, config_file="/c.toml")


def watch(state: str, error: str | None, path: str = "/w") -> dict[str, object]:
    return {"name": "inbox", "path": path, "state": state, "error": error}


def library(state: str, error: str | None, path: str = "/l") -> dict[str, object]:
    return {"name": "photos", "path": path, "state": state, "error": error}


def told(**where: list[dict[str, object]]) -> list[dict[str, str]]:
    return attention(life(), where.get("watches", []), where.get("libraries", []), Counts())


@pytest.mark.parametrize("state", ["watching", "scanning", "paused"])
def test_a_watch_that_is_well(state: str) -> None:
    assert told(watches=[watch(state, None)]) == []


@pytest.mark.parametrize("state", ["online", "adopting"])
def test_a_library_that_is_well(state: str) -> None:
    assert told(libraries=[library(state, None)]) == []


def test_inotify_is_at_its_limit() -> None:
    error = (
        "inotify does not cover 3 folders (see fs.inotify.max_user_watches); they are looked at every 30 s"
    )
    (one,) = told(watches=[watch("degraded", error)])
    assert one["code"] == "watch-degraded"
    assert one["command"] == "sudo sysctl fs.inotify.max_user_watches=1048576"


@pytest.mark.parametrize("state", ["degraded", "error", "scanning"])
def test_what_is_wrong_with_a_watch_is_said(state: str) -> None:
    (one,) = told(watches=[watch(state, "cannot look into 'x': Permission denied")])
    assert "cannot look into 'x': Permission denied" in one["message"]
    assert one["command"] == "mediactl scan inbox"


@pytest.mark.parametrize(
    "path", ["/my files", "/it's", "/a;rm -rf", "-x", "/caf\N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_paths_are_one_word(path: str) -> None:
    (first,) = told(watches=[watch("offline", "the folder is missing", path)])
    assert shlex.split(first["command"])[-1] == path
    (second,) = told(libraries=[library("full", "0.1 GB free", path)])
    assert shlex.split(second["command"])[-1] == path


def test_libraries_come_first_for_all_waits_for_them() -> None:
    found = attention(
        life(quarantined=1, failed=2),
        [watch("offline", "the folder is missing")],
        [library("offline", "the folder is missing"), library("readonly", "read-only")],
        Counts(held=1),
    )
    assert [one["code"] for one in found] == [
        "library-offline",
        "library-readonly",
        "watch-offline",
        "quarantined",
        "failed",
    ]
    assert all(one["message"] and one["command"] for one in found)
