"""What a watcher looks at and when, with a folder that only tells what was asked, and a clock of its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from watchfiles._rust_notify import WatchfilesRustInternalError

from mediad.ingest import coverage, ears, watch
from mediad.ingest.pulse import Pulse
from mediad.ingest.watch import BURST, State
from tests.watching import RESCAN, Disk, Scene, Watched, following, until, up

pytestmark = pytest.mark.anyio

ADDED, MODIFIED, DELETED = 1, 2, 3


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A watcher's world in which waiting takes no time, with inotify and the kernel played by the test."""
    (tmp_path / "inbox").mkdir()
    scene = Scene(tmp_path / "inbox")
    monkeypatch.setattr(ears, "RustNotify", scene.ears)
    monkeypatch.setattr(watch, "_ROOT_LOOK", 0.005)
    monkeypatch.setattr(ears, "_RESTART", 0.005)
    monkeypatch.setattr(watch, "_LATE", 0.005)
    monkeypatch.setattr(coverage, "MountTable", lambda: scene.mounts)
    monkeypatch.setattr(coverage, "missing", lambda folders: scene.uncovered.intersection(folders.values()))
    return scene


@pytest.fixture
def disk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """What the watched folder lies on, which is given up soon."""
    disk = Disk(scene.root)
    monkeypatch.setattr(os, "stat", disk.stat)
    monkeypatch.setattr(watch, "Pulse", lambda: Pulse(0.05))
    yield disk
    disk.answers.set()


async def test_a_single_look_scans_everything_and_says_how_it_went(scene: Scene) -> None:
    watcher = scene.watcher()
    await watcher.once()
    assert (scene.folder.scanned, scene.delivered) == ([b""], [b"/0.jpg"])
    assert scene.by_scan == [True]
    assert scene.states == [(State.WATCHING, "")]
    scene.folder.fails = [FileNotFoundError(), OSError(errno.EIO, "Input/output error")]
    await watcher.once()
    await watcher.once()
    assert scene.states[1:] == [
        (State.SCANNING, ""),
        (State.OFFLINE, "the folder is missing"),
        (State.ERROR, "Input/output error"),
    ]
    assert scene.ears.paths == []


async def test_what_a_scan_could_not_read_degrades_the_watch(scene: Scene) -> None:
    scene.folder.errors = [(b"private", "Permission denied")]
    watcher = scene.watcher()
    await watcher.once()
    assert watcher.state is State.DEGRADED
    assert watcher.error == "cannot look into 'private': Permission denied"
    scene.folder.errors = []
    await watcher.once()
    assert (watcher.state, watcher.error) == (State.WATCHING, "")


async def test_an_event_marks_its_path_and_a_deletion_marks_nothing(scene: Scene) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        scene.tell((ADDED, "a.jpg"), (MODIFIED, "d/b.jpg"), (DELETED, "c.jpg"))
        await until(lambda: scene.folder.looked)
        await scene.settled()
    await until(lambda: scene.ears.open == 0)
    assert scene.folder.looked == [{b"a.jpg", b"d/b.jpg"}]
    assert sorted(scene.delivered) == [b"a.jpg", b"d/b.jpg"]
    assert scene.by_scan == [False]
    assert scene.folder.scanned == []


async def test_a_new_folder_is_scanned_and_what_lies_in_it_not_twice(scene: Scene) -> None:
    watcher = scene.watcher()
    scene.folder.subfolders = {b"d", b"d/e", b"d-1"}
    async with following(watcher):
        await up(scene, watcher)
        scene.tell((ADDED, "d/e"), (ADDED, "d"), (ADDED, "d-1"))
        await until(lambda: len(scene.folder.scanned) >= 2)
        await scene.settled()
    assert sorted(scene.folder.scanned) == [b"d", b"d-1"]
    assert scene.by_scan == [True, True], "an event told of the folders, not of what lies in them"


async def test_a_burst_makes_one_scan_of_everything(scene: Scene) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        scene.tell(*((ADDED, f"{number}.jpg") for number in range(BURST - 1)))
        await until(lambda: scene.folder.looked)
        assert len(scene.folder.looked[0]) == BURST - 1
        scene.folder.looked.clear()
        scene.tell(*((ADDED, f"{number}.jpg") for number in range(BURST)))
        await until(lambda: scene.folder.scanned)
        await scene.settled()
    assert scene.folder.scanned == [b""]
    assert scene.folder.looked == []


async def test_everything_is_scanned_when_asked_and_when_its_time_has_come(scene: Scene) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        watcher.mark_everything()
        await until(lambda: scene.folder.scanned == [b""])
        await scene.settled()  # its end counts
        scene.clock.at += RESCAN - 1
        await scene.settled()
        assert scene.folder.scanned == [b""]
        scene.clock.at += 1
        await until(lambda: scene.folder.scanned == [b"", b""])


async def test_the_last_scan_that_saw_everything_is_noted(scene: Scene) -> None:
    watcher = scene.watcher()
    scene.folder.fails = [OSError(errno.EIO, "Input/output error")]
    await watcher.once()
    noted = [watcher.last_complete_scan]
    before = scene.clock.micros()
    await watcher.once()
    noted.append(watcher.last_complete_scan)
    async with following(watcher):
        await up(scene, watcher)
        noted.append(watcher.last_complete_scan)
        scene.folder.subfolders = {b"d"}
        scene.tell((ADDED, "d"))
        await until(lambda: scene.folder.scanned == [b"d"])
        await scene.settled()
        noted.append(watcher.last_complete_scan)
    failed, once, followed, later = noted
    assert failed is None
    assert once is not None
    assert followed is not None
    assert before <= once <= followed
    assert later == followed, "a folder is not everything"


async def test_a_look_that_is_asked_for_is_one_that_begins_after_that(scene: Scene) -> None:
    scene.gate = anyio.Event()
    watcher = scene.watcher(poll=True)
    ended: list[str] = []

    async def look() -> None:
        await watcher.look()
        ended.append("looked")

    async with following(watcher), anyio.create_task_group() as tasks:
        await until(lambda: scene.folder.scanned)
        tasks.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        gate, scene.gate = scene.gate, anyio.Event()
        gate.set()
        await until(lambda: scene.folder.scanned == [b"", b""])
        assert ended == []
        scene.gate.set()
        await until(lambda: ended)
    assert scene.folder.scanned == [b"", b""]


async def test_nobody_waits_for_a_look_at_a_folder_that_is_away(scene: Scene, tmp_path: Path) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        scene.root.rename(tmp_path / "away")
        with anyio.fail_after(60):
            await watcher.look()
        assert watcher.state is State.OFFLINE


async def test_nobody_waits_for_a_look_at_a_folder_that_is_followed_no_more(scene: Scene) -> None:
    watcher = scene.watcher()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks, following(watcher):
            await up(scene, watcher)
            scene.gate = anyio.Event()
            tasks.start_soon(watcher.look)
            await until(lambda: scene.folder.scanned)
        await watcher.look()


async def test_who_takes_the_sightings_holds_the_scan_back(scene: Scene) -> None:
    scene.folder.chunks = 3
    scene.gate = anyio.Event()
    watcher = scene.watcher(poll=True)
    async with following(watcher):
        await until(lambda: scene.folder.scanned)
        await anyio.wait_all_tasks_blocked()
        assert scene.delivered == []
        assert watcher.state is State.SCANNING
        scene.gate.set()
        await until(lambda: watcher.state is State.WATCHING)
    assert scene.delivered == [b"/0.jpg", b"/1.jpg", b"/2.jpg"]


async def test_a_polled_watch_never_listens_and_is_scanned_often(scene: Scene) -> None:
    watcher = scene.watcher(poll=True)
    async with following(watcher):
        await up(scene, watcher)
        scene.clock.at += 29
        await scene.settled()
        assert scene.folder.scanned == []
        scene.clock.at += 1
        await until(lambda: scene.folder.scanned == [b""])
    assert scene.ears.paths == []


async def test_a_slow_folder_is_polled_less_often(scene: Scene) -> None:
    scene.folder.takes = 10.0
    watcher = scene.watcher(poll=True)
    async with following(watcher):
        await up(scene, watcher)
        scene.clock.at += 199
        await scene.settled()
        assert scene.folder.scanned == []
        scene.clock.at += 1
        await until(lambda: scene.folder.scanned)


async def test_a_broken_watcher_is_replaced_and_everything_looked_at_again(scene: Scene) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        scene.ears.heard.put(WatchfilesRustInternalError("a name that is no UTF-8"))
        await until(lambda: len(scene.ears.paths) == 2 and scene.folder.scanned)
        await until(lambda: watcher.state is State.WATCHING)
        await scene.settled()
        scene.tell((ADDED, "a.jpg"))
        await until(lambda: scene.folder.looked)
        assert scene.ears.open == 1
    assert scene.folder.scanned == [b""]


async def test_without_inotify_the_watch_is_scanned_and_listens_as_soon_as_it_can(scene: Scene) -> None:
    scene.ears.refuses = 2
    watcher = scene.watcher()
    async with following(watcher):
        await until(lambda: len(scene.ears.paths) == 3)
        await up(scene, watcher)
        assert watcher.state is State.WATCHING
        scene.tell((ADDED, "a.jpg"))
        await until(lambda: scene.delivered == [b"a.jpg"])


async def test_a_watcher_that_our_scans_break_is_told_of_until_it_outlives_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_DEAF_RESTART", 0.02)
    watcher = scene.watcher()
    async with following(watcher):
        for listeners in range(1, 5):
            await until(lambda count=listeners: len(scene.ears.paths) == count and scene.ears.listening)  # type: ignore[misc]
            scene.ears.heard.put(WatchfilesRustInternalError("a name that is no UTF-8"))
        await until(lambda: "inotify fails here" in watcher.error)
        await until(lambda: len(scene.ears.paths) == 5 and scene.ears.listening)
        await scene.settled()
        scans = len(scene.folder.scanned)
        scene.clock.at += 0.5
        watcher.mark_everything()
        await until(lambda: len(scene.folder.scanned) > scans)
        await scene.settled()
        assert watcher.state is State.DEGRADED
        scene.clock.at += 1.5
        await until(lambda: watcher.state is State.WATCHING)


async def test_what_inotify_does_not_cover_is_watched_by_name_and_polled(scene: Scene) -> None:
    scene.folder.subfolders = {b"hidden", b"open"}
    scene.uncovered.add(b"hidden")
    watcher = scene.watcher()
    async with following(watcher):
        await until(lambda: len(scene.ears.paths) == 2)
        await up(scene, watcher)
        root = str(scene.root)
        assert scene.ears.paths == [[root], [root, f"{root}/hidden"]]
        assert watcher.state is State.DEGRADED
        assert watcher.error == "inotify does not cover 1 folder; looked at every 30 s"
        scene.clock.at += 29
        await scene.settled()
        assert scene.folder.scanned == []
        scene.clock.at += 1
        await until(lambda: scene.folder.scanned == [b"hidden"])
        await scene.settled()
        scene.uncovered.clear()
        scene.clock.at += 30
        await until(lambda: watcher.state is State.WATCHING)
        scene.clock.at += 60
        await scene.settled()
    assert scene.folder.scanned == [b"hidden", b"hidden"]


async def test_a_folder_that_is_gone_is_offline_until_it_is_back(scene: Scene, tmp_path: Path) -> None:
    other = Watched(scene.root, scene.clock)
    arrivals: list[Watched] = []

    async def arrived() -> tuple[Watched, bool]:
        arrivals.append(scene.folder if not arrivals else other)
        return arrivals[-1], len(arrivals) > 1

    watcher = scene.watcher(arrived=arrived)
    async with following(watcher):
        await up(scene, watcher)
        scene.root.rename(tmp_path / "away")
        await until(lambda: watcher.state is State.OFFLINE)
        assert watcher.error == "the folder is missing"
        await until(lambda: scene.ears.open == 0)
        (tmp_path / "away").rename(scene.root)
        await until(lambda: watcher.state is State.WATCHING)
    assert other.scanned == [b""]
    assert scene.folder.scanned == []
    assert len(scene.ears.paths) == 1, "what came back is to be polled"


async def test_a_look_believes_no_state_of_old(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_ROOT_LOOK", 1000.0)
    scene.root.rename(tmp_path / "away")
    watcher = scene.watcher()
    with anyio.fail_after(60):
        async with following(watcher):
            await watcher.look()
            assert watcher.away
            (tmp_path / "away").rename(scene.root)
            await watcher.look()
            assert scene.states[-1][0] is not State.OFFLINE
            assert scene.delivered == [b"/0.jpg"]


async def test_a_look_after_an_error_waits_for_the_next_scan(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_ROOT_LOOK", 1000.0)
    scene.folder.fails = [OSError(errno.EACCES, "Permission denied")] * 2
    watcher = scene.watcher()
    with anyio.fail_after(60):
        async with following(watcher):
            await until(lambda: watcher.away)
            await watcher.look()
            assert watcher.error == "Permission denied"
            await watcher.look()
            assert not watcher.away
            assert scene.delivered == [b"/0.jpg"]


async def test_a_look_at_what_hangs_ends(scene: Scene, disk: Disk) -> None:
    watcher = scene.watcher()
    scene.gate = anyio.Event()
    with anyio.fail_after(60):
        async with following(watcher):
            await until(lambda: scene.folder.scanned)
            disk.answers.clear()
            await watcher.look()
            assert watcher.error.startswith("hung: ")
            disk.answers.set()
            scene.gate.set()


async def test_a_watcher_that_lags_behind_is_no_reason_to_complain(scene: Scene) -> None:
    watcher = scene.watcher()
    scene.folder.subfolders = {b"d"}
    async with following(watcher):
        await up(scene, watcher)
        before = len(scene.states)
        scene.uncovered.add(b"d")
        scene.tell((ADDED, "d"))
        await until(lambda: scene.folder.scanned == [b"d"])
        await scene.settled()
        scene.uncovered.clear()
        scene.clock.at += 1
        await until(lambda: scene.folder.scanned == [b"d", b"d"])
        await scene.settled()
        assert State.DEGRADED not in {state for state, _ in scene.states[before:]}
        assert len(scene.ears.paths) == 1, "it was not started anew"


async def test_what_is_never_covered_is_told_once_a_new_start_was_in_vain(scene: Scene) -> None:
    watcher = scene.watcher()
    scene.folder.subfolders = {b"d"}
    async with following(watcher):
        await up(scene, watcher)
        scene.uncovered.add(b"d")
        scene.tell((ADDED, "d"))
        await until(lambda: scene.folder.scanned == [b"d"])
        await scene.settled()
        scene.clock.at += 1
        await until(lambda: watcher.state is State.DEGRADED)
        assert scene.ears.paths[1:] == [[str(scene.root), f"{scene.root}/d"]]
        assert watcher.error == "inotify does not cover 1 folder; looked at every 30 s"
        scene.folder.subfolders = {b"d", b"e"}
        scene.uncovered.add(b"e")
        scene.tell((ADDED, "e"))
        await until(lambda: watcher.error.startswith("inotify does not cover 2 folders"))
        assert len(scene.ears.paths) == 2


async def test_another_folder_in_its_place_is_looked_at_anew(scene: Scene, tmp_path: Path) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        (tmp_path / "other").mkdir()
        scene.root.rename(tmp_path / "away")
        (tmp_path / "other").rename(scene.root)
        await until(lambda: scene.folder.scanned and len(scene.ears.paths) == 2)
        await until(lambda: watcher.state is State.WATCHING)


@pytest.mark.parametrize("hint", ["a mount", "the folder's own time"])
async def test_a_folder_that_inotify_lost_is_looked_at_anew(scene: Scene, hint: str) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        scene.uncovered.add(b"")
        await scene.settled()
        assert len(scene.ears.paths) == 1
        if hint == "a mount":
            scene.mounts.did_change = True
        else:
            os.utime(scene.root)
        await until(lambda: len(scene.ears.paths) >= 2)
        scene.uncovered.clear()
        await until(lambda: scene.folder.scanned and watcher.state is State.WATCHING)


async def test_a_folder_that_does_not_answer_is_in_error_until_it_does(scene: Scene, disk: Disk) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        disk.answers.clear()
        await until(lambda: watcher.state is State.ERROR)
        assert watcher.error.startswith("hung: it does not answer")
        assert watcher.away
        disk.answers.set()
        await until(lambda: watcher.state is State.WATCHING)
        await until(lambda: scene.folder.scanned == [b""])


async def test_a_folder_that_stops_answering_while_it_is_scanned_is_in_error(
    scene: Scene, disk: Disk
) -> None:
    watcher = scene.watcher()
    scene.gate = anyio.Event()
    async with following(watcher):
        await until(lambda: scene.folder.scanned)
        disk.answers.clear()
        await until(lambda: watcher.error.startswith("hung: "))
        disk.answers.set()
        await until(lambda: (watcher.state, watcher.error) == (State.SCANNING, ""))
        scene.gate.set()
        await until(lambda: watcher.state is State.WATCHING)


@pytest.mark.parametrize(("settle", "step"), [(0.0, 50), (0.8, 200), (60.0, 500)])
async def test_it_wakes_no_more_often_than_settling_needs(scene: Scene, settle: float, step: int) -> None:
    watcher = scene.watcher(settle=settle)
    async with following(watcher):
        await up(scene, watcher)
    assert set(scene.ears.steps) == {step}


async def test_an_error_of_the_root_is_told_and_everything_looked_at_afterwards(scene: Scene) -> None:
    watcher = scene.watcher()
    async with following(watcher):
        await up(scene, watcher)
        scene.folder.fails = [OSError(errno.EIO, "Input/output error")]
        scene.tell((ADDED, "a.jpg"))
        await until(lambda: (State.ERROR, "Input/output error") in scene.states)
        await until(lambda: watcher.state is State.WATCHING)
    assert scene.folder.scanned == [b""]
    assert scene.folder.looked == [{b"a.jpg"}]


async def test_a_folder_that_vanishes_before_its_scan_costs_nothing_else(scene: Scene) -> None:
    watcher = scene.watcher()
    scene.folder.subfolders = {b"gone", b"kept"}
    async with following(watcher):
        await up(scene, watcher)
        scene.folder.vanished = {b"gone"}
        scene.tell((ADDED, "gone"), (ADDED, "kept"))
        await until(lambda: len(scene.folder.scanned) == 2)
        await scene.settled()
        assert watcher.state is State.WATCHING
    assert scene.folder.scanned == [b"gone", b"kept"]
