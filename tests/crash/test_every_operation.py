"""The process dies, or the system fails, at every operation; nothing is lost, doubled or half there."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
from collections.abc import Collection, Iterator

import pytest

from mediad.errors import MediadError
from mediad.files import UNSUPPORTED, Files
from tests.crash import invariants
from tests.crash.faulty import CHANGES, Faults
from tests.crash.scene import Scene, inputs
from tests.crash.verdict import WAYS, before, few, look, scene_of, wrong

LOOKS_EVERY = 1 if os.environ.get("MEDIAD_EXHAUSTIVE") else 3  # of some hundred looks, which change nothing
LOOKS = {name for name in vars(Files) if not name.startswith("_")} - CHANGES
RIGHTS = {"create", "link", "rename", "unlink", "mkdir", "chmod", "open_dir", "open_file"}
STORMS = 60
ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE),
    *(errno.ENAMETOOLONG, errno.ESTALE, errno.EXDEV),
)
EACH = 1  # calls of each error and method
# While one exemplar's step is open the catalogue does not know it as a witness against its twin.
TWINS = (next(file.content for file in inputs() if file.path == b"same.jpg"),)


@pytest.fixture(params=list(WAYS))
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with scene_of(request.param) as found:
        yield found


@pytest.fixture(params=list(WAYS))
def small(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The same with fewer files, for what need not be tried with all that there are."""
    with scene_of(request.param, few()) as found:
        yield found


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
    fail_each(scene, errno.EIO, LOOKS, request, every=LOOKS_EVERY)


@pytest.mark.parametrize("scene", ["linked", "moved across"], indirect=True)
def test_no_space_for_a_change(scene: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(scene, errno.ENOSPC, CHANGES, request)


def test_no_right_to_a_change(small: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(small, errno.EACCES, RIGHTS, request)


@pytest.mark.parametrize("small", ["taken", "moved across"], indirect=True)
def test_a_change_that_goes_on_failing(small: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(small, errno.EIO, CHANGES - {"commit", "set_times", "chmod"}, request, lasting=True)


def test_every_error_of_every_operation(request: pytest.FixtureRequest) -> None:
    """Each error at a call or two of each method, in one of the ways; which, is drawn by a seed."""
    rng = random.Random(11)
    met: set[tuple[int, str]] = set()
    with contextlib.ExitStack() as stack:
        scenes = [stack.enter_context(scene_of(way)) for way in WAYS]
        calls = [calls_of(scene) for scene in scenes]
        found: Found = {}
        for error, kind in itertools.product(ERRORS, sorted({*itertools.chain(*calls)})):
            at = [(number, scene) for number, scene in enumerate(scenes) if kind in calls[number]]
            way, scene = rng.choice(at)
            numbers = [number for number, one in enumerate(calls[way], 1) if one == kind]
            for number in rng.sample(numbers, min(EACH, len(numbers))):
                scene.reset()
                faults = Faults(error_at=number, error=error)
                ended = scene.run(faults)
                met.add((error, faults.hit))
                if problems := [*survived(scene, ended), *after(scene, error, faults.hit)]:
                    found[errno.errorcode[error], list(WAYS)[way], number, faults.hit] = problems
    assert len(met) > len(ERRORS) * 20
    report(request, f"{len(met)} pairs of error and method", found)


def after(scene: Scene, error: int, failed: str) -> Iterator[str]:
    """What is wrong after one error and a run without, but for what the error excuses."""
    forbidden = error in (errno.EACCES, errno.EPERM) and failed in ("fstat", "read_into")
    modeless = error in UNSUPPORTED and failed == "chmod"  # such filesystems have none
    for problem in completed(scene, "open_file" if forbidden else failed, doubled=TWINS):
        if not (modeless and " has mode " in problem):
            yield problem


def calls_of(scene: Scene) -> list[str]:
    """What an undisturbed run does, in this order each time."""
    scene.reset()
    faults = Faults()
    scene.run_undisturbed(faults)
    return faults.seen


@pytest.mark.parametrize("scene", ["linked", "moved across"], indirect=True)
def test_another_filesystem_all_of_a_sudden(scene: Scene, request: pytest.FixtureRequest) -> None:
    fail_each(scene, errno.EXDEV, {"link", "rename", "clone", "copy_range"}, request, doubled=TWINS)


def fail_each(
    scene: Scene,
    error: int,
    kinds: Collection[str],
    request: pytest.FixtureRequest,
    *,
    lasting: bool = False,
    doubled: Collection[bytes] = (),
    every: int = 1,
) -> None:
    """Run again and again, each time with another operation failing, and then once with none."""
    found: Found = {}
    number = 1 - every
    while True:
        number += every
        scene.reset()
        faults = Faults(error_at=number, error=error, kinds=kinds, lasting=lasting)
        ended = scene.run(faults)
        if not faults.hit:
            assert ended is None
            break
        if problems := [*survived(scene, ended), *completed(scene, faults.hit, doubled)]:
            found[number, faults.hit] = problems
    assert number > 20
    report(request, f"{(number - 1) // every} operations failed with {errno.errorcode[error]}", found)


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
            ended = scene.run(faults, threads=True)
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
