"""Each problem gets a sentence and a command that can be typed as it stands."""

from __future__ import annotations

import shlex
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from mediad.clock import Clock
from mediad.model import Counts
from mediad.steering.attention import attention


def life(
    imports: int = 0,
    lingers: bytes = b"",
    failing: str = "",
    socket: str = "",
    again: int = 0,
    dismissed: int = 0,
    **troubled: int,
) -> Any:
    """A daemon's; of what failed, some wait to be tried again, and some more were dismissed."""
    files = {**troubled, "failed": troubled.get("failed", 0) + dismissed}
    tally = SimpleNamespace(files=files, troubled=troubled, imports=imports)
    pipeline = SimpleNamespace(
        database=SimpleNamespace(starved=False),
        recorder=SimpleNamespace(tally=tally, lingering={"inbox": (2, lingers)} if lingers else {}),
        tracker=SimpleNamespace(told_before=lambda: Counter(failed=again)),
        serving=("inbox",),
        pauses=SimpleNamespace(all=list),
        pool=SimpleNamespace(failing=failing),
        analyser=SimpleNamespace(lacking=0),
        config=SimpleNamespace(daemon=SimpleNamespace(sockets=(socket,))),
        shelves=(),
        gatherer=SimpleNamespace(failing={}),
        unsaved={},
        clock=Clock(),
    )
    return SimpleNamespace(pipeline=pipeline, refused=0, config_file="/c.toml")


def watch(state: str, error: str | None, path: str = "/w") -> dict[str, object]:
    return {"name": "inbox", "path": path, "state": state, "error": error}


def library(state: str, error: str | None, path: str = "/l") -> dict[str, object]:
    return {"name": "photos", "path": path, "state": state, "error": error}


def told(**where: list[dict[str, object]]) -> list[dict[str, str]]:
    return attention(life(), where.get("watches", []), where.get("libraries", []), {})


class Set(Clock):
    """A wall clock that is set."""

    def __init__(self, micros: int) -> None:
        self.time = micros

    def wall_ns(self) -> int:
        return self.time * 1000


def test_a_clock_that_is_behind() -> None:
    mine = life()
    mine.pipeline.clock = clock = Set(90_000_000)
    (one,) = attention(mine, [], [], {})
    assert one["code"] == "clock"
    assert "says 1970-01-01 00:01 UTC, but it was 2024-01-01 00:00 UTC already" in one["message"]
    assert one["command"] == "sudo timedatectl set-ntp true"
    clock.time = 1_900_000_000_000_000
    assert attention(mine, [], [], {}) == []
    clock.recorded(clock.time)
    clock.time -= 59_000_000
    assert attention(mine, [], [], {}) == [], "the time is being set right"
    clock.time -= 1_000_000
    assert [one["code"] for one in attention(mine, [], [], {})] == ["clock"]


@pytest.mark.parametrize("state", ["watching", "scanning", "paused"])
def test_a_watch_that_is_well(state: str) -> None:
    assert told(watches=[watch(state, None)]) == []


@pytest.mark.parametrize("state", ["online", "adopting"])
def test_a_library_that_is_well(state: str) -> None:
    assert told(libraries=[library(state, None)]) == []


def test_inotify_is_at_its_limit() -> None:
    error = "inotify does not cover 3 folders (fs.inotify.max_user_watches is reached); looked at every 30 s"
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
    (one,) = told(libraries=[library("full", "0.1 GB free", path)])
    assert shlex.split(one["command"])[-1] == path


def test_libraries_come_first_for_all_waits_for_them() -> None:
    found = attention(
        life(quarantined=1, failed=2),
        [watch("offline", "the folder is missing")],
        [library("offline", "the folder is missing"), library("readonly", "read-only")],
        {"inbox": Counts(held=1)},
    )
    assert [one["code"] for one in found] == [
        "library-offline",
        "library-readonly",
        "watch-offline",
        "quarantined",
        "failed",
    ]
    assert all(one["message"] and one["command"] for one in found)


def test_a_watch_that_is_away() -> None:
    (one,) = told(watches=[watch("offline", "the folder is missing")])
    assert one["message"] == "watch inbox is offline: the folder is missing (plug it in or mount it)"
    assert one["command"] == "mediactl scan inbox"


def test_a_marker_that_was_lost_is_written_again_by_adopting() -> None:
    error = "/l: its marker is missing (if it is this library: mediactl adopt photos)"
    (one,) = told(libraries=[library("offline", error)])
    assert one["message"] == f"library photos is offline: {error}"
    assert one["command"] == "mediactl adopt photos"


def test_a_remedy_is_said_once() -> None:
    (one,) = told(libraries=[library("full", "/l: 1 GB free (make room or lower min_free)")])
    assert one["message"] == "library photos is full: /l: 1 GB free (make room or lower min_free)"
    (one,) = told(libraries=[library("full", "/l: no space is left")])
    assert one["message"].endswith("no space is left (make room, or lower min_free and reload)")


def test_failures_of_imports_are_told_apart() -> None:
    found = attention(life(failed=5, imports=2), [], [], {})
    assert [(one["code"], one["message"]) for one in found] == [
        ("failed", "3 files could not be taken; tried again by itself"),
        ("import-failed", "2 files of imports could not be taken; only another import tries again"),
    ]
    assert [one["code"] for one in attention(life(failed=2, imports=2), [], [], {})] == ["import-failed"]


@pytest.mark.parametrize(
    ("failed", "again", "dismissed", "left"), [(1, 1, 0, 0), (3, 2, 0, 1), (1, 1, 1, 1), (2, 3, 2, 1)]
)
def test_what_failed_and_waits_in_the_queue_is_not_counted(
    failed: int, again: int, dismissed: int, left: int
) -> None:
    found = attention(life(failed=failed, again=again, dismissed=dismissed), [], [], {})
    assert [one["message"].split()[0] for one in found] == ([str(left)] if left else [])


def test_a_catalogue_without_room() -> None:
    starving = life()
    starving.pipeline.database.starved = True
    starving.pipeline.config.daemon.state_dir = "/s t"
    (one,) = attention(starving, [], [], {})
    assert (one["code"], one["command"]) == ("catalogue-full", "df -h '/s t'")


def test_a_file_that_could_not_be_removed() -> None:
    (one,) = attention(life(lingers=b"/in/my card/\xff.jpg"), [], [], {})
    assert one["code"] == "not-removed"
    assert one["message"] == (
        "2 files of inbox are filed and could not be removed from there (libraries have them; the last is "
        "/in/my card/\\xff.jpg; tried again with every look at inbox)"
    )
    assert one["command"] == "ls -ld '/in/my card'"


@pytest.mark.parametrize(
    ("socket", "command"),
    [
        ("/run/mediad/control", "sudo systemctl restart mediad"),
        ("/run/user/1000/mediad/control", "systemctl --user restart mediad"),
    ],
)
def test_files_cannot_be_looked_into(socket: str, command: str) -> None:
    (one,) = attention(life(failing="a parser process does not start", socket=socket), [], [], {})
    assert one["message"].startswith("files cannot be looked into: a parser process does not start")
    assert (one["code"], one["command"]) == ("workers", command)


def test_what_recovery_cannot_end() -> None:
    mine = life()
    shelf = SimpleNamespace(
        settings=SimpleNamespace(name="photos", path="/l"),
        cramped=False,
        id=1,
        stuck={7: "/mnt/card: its folder is away, where it goes back to", 8: "another"},
    )
    mine.pipeline.shelves = (shelf,)
    mine.pipeline.verifier = SimpleNamespace(troubles={})
    mine.pipeline.expirer = SimpleNamespace(kept={})
    (one,) = attention(mine, [], [], {})
    assert one == {
        "code": "steps-open",
        "message": "2 files of library photos are stuck half-way: /mnt/card: its folder is away, where it"
        " goes back to (mount or mend that, then this looks at once)",
        "command": "mediactl scan photos",
    }
