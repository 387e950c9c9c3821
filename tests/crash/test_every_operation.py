"""The process dies, or the system fails, at every operation; nothing is lost, doubled or half there."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from mediad.errors import MediadError
from mediad.files import Files
from tests.crash import invariants
from tests.crash.faulty import CHANGES, Faults
from tests.crash.scene import FAR, FOUND, KNOWN, MODE, MTIME_NS, UNKNOWN, UNLINKABLE, Scene, inputs

WAYS = {
    "linked": ("move", ""),
    "taken": ("move", UNLINKABLE),
    "moved across": ("move", FAR),
    "copied": ("copy", ""),
    "hard-linked": ("hardlink", ""),
}

LOOKS = {name for name in vars(Files) if not name.startswith("_")} - CHANGES
RIGHTS = {"create", "link", "rename", "unlink", "mkdir", "chmod", "open_dir", "open_file"}
STORMS = 60
# While one exemplar's step is open the catalogue does not know it as a witness against its twin.
TWINS = (next(file.content for file in inputs() if file.path == b"same.jpg"),)


@pytest.fixture(params=list(WAYS))
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A scene for each way that files travel, in memory where there is room."""
    action, method = WAYS[request.param]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="mediad-crash-", dir=memory))
    try:
        found = Scene(root / "scene", action, method, inputs())
        found.make()
        yield found
    finally:
        shutil.rmtree(root)


def look(scene: Scene) -> invariants.Now:
    return invariants.look({"inbox": scene.inbox}, scene.library, scene.catalogue)


def before(scene: Scene, doubled: Collection[bytes] = ()) -> invariants.Before:
    contents = {b"inbox/" + file.path: file.content for file in scene.inputs}
    return invariants.Before(contents, {**FOUND, **UNKNOWN}, doubled)


def wrong(scene: Scene, failed: str = "", doubled: Collection[bytes] = ()) -> list[str]:
    """All that is wrong when everything is done.

    Args:
        failed: the operation that had failed. What could not be read was no witness, and what could not be
            seen was in no set.
        doubled: contents that may be in the library twice.
    """
    now = look(scene)
    unread = failed in ("open_root", "open_dir", "open_file", "fstat", "read_into")
    then = before(scene, (*doubled, KNOWN) if unread else doubled)
    return [
        *invariants.wrong(then, now),
        *as_expected(scene, now, unread=unread, unseen=failed in ("stat_at", "open_file")),
    ]


def as_expected(scene: Scene, now: invariants.Now, *, unread: bool, unseen: bool) -> Iterator[str]:
    """Each file became what it should, a set stayed together, and metadata travelled."""
    stories = {story.path.removeprefix(b"inbox/"): story for story in now.stories}
    for file in scene.inputs:
        story = stories.get(file.path)
        if story is None:
            continue
        if story.outcome not in file.outcomes and not (unread and file.content == KNOWN):
            yield f"{file.path!r} became {story.outcome} ({story.code}: {story.reason})"
        if file.of and file.of in stories and not unseen:
            yield from _together(story, stories[file.of])
        if story.destination is not None:
            result = os.stat(os.path.join(scene.library, story.destination))
            if (result.st_mode & 0o7777, result.st_mtime_ns) != (MODE, MTIME_NS):
                yield f"{story.destination!r} has mode {result.st_mode:o}, mtime {result.st_mtime_ns}"


def _together(story: invariants.Story, principal: invariants.Story) -> Iterator[str]:
    if story.item != principal.item:
        yield f"{story.path!r} is no longer of the set of {principal.path!r}"
    stem, other = ((one.destination or b"").partition(b".")[0] for one in (story, principal))
    if stem != other:
        yield f"{story.path!r} went to {story.destination!r}, its principal to {principal.destination!r}"


def test_undisturbed(scene: Scene) -> None:
    scene.reset()
    scene.run_undisturbed()
    assert wrong(scene) == []
    once = look(scene)
    scene.run_undisturbed()
    assert look(scene) == once


def test_a_crash_before_every_operation(scene: Scene, request: pytest.FixtureRequest) -> None:
    rng = random.Random(7)
    found: Found = {}
    number = crashes = 0
    while True:
        number += 1
        scene.reset()
        faults = Faults(crash_at=number)
        ended = scene.run(faults)
        if not faults.dead:
            assert ended is None
            break
        crashes += 1
        problems = list(invariants.nothing_lost(before(scene), look(scene)))
        again = Faults(crash_at=rng.randint(1, 12) if number % 3 == 0 else 0)
        if scene.run(again) is not None:
            assert again.dead
            crashes += 1
            problems += invariants.nothing_lost(before(scene), look(scene))
            assert scene.run(Faults()) is None
        problems += wrong(scene)
        if problems:
            found[number, faults.hit, again.hit] = problems
    report(request, f"{number - 1} operations, {crashes} crashes", found)


@pytest.mark.parametrize("scene", ["moved across"], indirect=True)
def test_a_look_that_fails(scene: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(scene, errno.EIO, LOOKS, request)


@pytest.mark.parametrize("scene", ["linked", "moved across"], indirect=True)
def test_no_space_for_a_change(scene: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(scene, errno.ENOSPC, CHANGES, request)


def test_no_right_to_a_change(scene: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(scene, errno.EACCES, RIGHTS, request)


@pytest.mark.parametrize("scene", ["taken", "moved across"], indirect=True)
def test_a_change_that_goes_on_failing(scene: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(scene, errno.EIO, CHANGES - {"commit", "set_times", "chmod"}, request, lasting=True)


def fail_each(
    scene: Scene,
    error: int,
    kinds: Collection[str],
    request: pytest.FixtureRequest,
    *,
    lasting: bool = False,
) -> None:
    """Run again and again, each time with another operation failing, and then once with none."""
    found: Found = {}
    number = 0
    while True:
        number += 1
        scene.reset()
        faults = Faults(error_at=number, error=error, kinds=kinds, lasting=lasting)
        ended = scene.run(faults)
        if not faults.hit:
            assert ended is None
            break
        if problems := [*survived(scene, ended), *completed(scene, faults.hit)]:
            found[number, faults.hit] = problems
    assert number > 20
    report(request, f"{number - 1} operations failed with {errno.errorcode[error]}", found)


def test_storms(scene: Scene, request: pytest.FixtureRequest) -> None:
    """Three runs in which one operation in twelve fails and, every other time, the process dies."""
    found: Found = {}
    for seed in range(STORMS):
        rng = random.Random(seed)
        problems: list[str] = []
        scene.reset()
        for _ in range(3):
            crash_at = rng.randint(1, 150) if seed % 2 else 0
            faults = Faults(storm=rng.randrange(1 << 30), kinds=CHANGES - {"commit"}, crash_at=crash_at)
            ended = scene.run(faults)
            problems += survived(scene, None if faults.dead else ended)
        if problems := [*problems, *completed(scene, "stat_at", doubled=TWINS)]:
            found[(seed,)] = problems
    report(request, f"{STORMS} storms", found)


def survived(scene: Scene, ended: BaseException | None) -> Iterator[str]:
    """Whatever failed: nothing is lost, and the daemon ended well or said why."""
    yield from invariants.nothing_lost(before(scene), look(scene))
    if ended is not None and not isinstance(ended, MediadError):
        yield f"it ended with {ended!r}"


def completed(scene: Scene, failed: str, doubled: Collection[bytes] = ()) -> Iterator[str]:
    """A run on which nothing fails completes everything."""
    if (ended := scene.run(Faults())) is not None:
        yield f"it could not go on: {ended!r}"
    yield from wrong(scene, failed, doubled)


Found = dict[tuple[object, ...], list[str]]


def report(request: pytest.FixtureRequest, told: str, found: Found) -> None:
    """Say what was tried, where `pytest -rP` or a failure shows it, and fail with all that was wrong."""
    print(f"{request.node.name}: {told}, {len(found)} of them wrong")
    lines = [f"{where}: {problem}" for where, problems in found.items() for problem in problems]
    assert not found, "\n".join(lines)
