"""Somebody writes to, replaces, renames or removes files right before any one operation.

What they bring is never lost, what the library has is never touched, and the catalogue stays true.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash import invariants
from tests.crash.faulty import CHANGES, Faults
from tests.crash.scene import FAR, FOUND, UNKNOWN, UNLINKABLE, Scene, inputs, put

WAYS = {
    "linked": ("move", ""),
    "taken": ("move", UNLINKABLE),
    "moved across": ("move", FAR),
}
KINDS = CHANGES | {"stat_at"}
NEW = b"\xff\xd8\xff\xe0 somebody's work"
FEW = (b"a.jpg", b"a.xmp", b"known.jpg")


@pytest.fixture(params=list(WAYS))
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="mediad-meddling-", dir=memory))
    try:
        found = Scene(root / "scene", *WAYS[request.param], [file for file in inputs() if file.path in FEW])
        found.make()
        yield found
    finally:
        shutil.rmtree(root)


Meddle = Callable[[Scene], bool]
"""Does its work, if there is anything to do it to; returns whether it brought `NEW`."""


def replace(scene: Scene) -> bool:
    put(scene.inbox, b".new", NEW)
    os.rename(scene.inbox + b"/.new", scene.inbox + b"/a.jpg")
    return True


def append(scene: Scene) -> bool:
    if os.path.exists(scene.inbox + b"/a.jpg"):
        with open(scene.inbox + b"/a.jpg", "ab") as stream:
            stream.write(NEW)
        return True
    return False


def remove(scene: Scene) -> bool:
    if os.path.exists(scene.inbox + b"/a.jpg"):
        os.unlink(scene.inbox + b"/a.jpg")
    return False


def rename(scene: Scene) -> bool:
    if os.path.exists(scene.inbox + b"/a.jpg"):
        os.rename(scene.inbox + b"/a.jpg", scene.inbox + b"/z.jpg")
    return False


def occupy(scene: Scene) -> bool:
    if os.path.exists(scene.library + b"/2021/2021-07-10/a.jpg"):
        return False
    put(scene.library, b"2021/2021-07-10/a.jpg", NEW)
    return True


def spoil_the_witness(scene: Scene) -> bool:
    put(scene.library, b"old/known.jpg", NEW)
    return True


@pytest.mark.parametrize(
    "meddle", [replace, append, remove, rename, occupy, spoil_the_witness], ids=lambda call: call.__name__
)
def test_somebody_meddles_before_every_operation(scene: Scene, meddle: Meddle) -> None:
    wrong: dict[tuple[int, str], list[str]] = {}
    brought: list[bool] = []
    number = 0
    while True:
        number += 1
        scene.reset()
        brought.clear()
        faults = Faults(meddle_at=number, meddle=lambda: brought.append(meddle(scene)), kinds=KINDS)
        scene.run_undisturbed(faults)
        if not faults.hit:
            break
        scene.run_undisturbed()
        if problems := list(problems_after(scene, meddle, brought == [True])):
            wrong[number, faults.hit] = problems
    assert number > 20
    assert wrong == {}


def problems_after(scene: Scene, meddle: Meddle, brought: bool) -> Iterator[str]:
    now = invariants.look({"inbox": scene.inbox}, scene.library, scene.catalogue)
    yield from invariants.nothing_half_done(now)
    yield from invariants.the_catalogue_is_true(now)
    whole = b"".join((*now.watch.values(), *now.library.values(), *now.private.values()))
    original = {file.path: file.content for file in scene.inputs}
    kept = {b"a.xmp", b"known.jpg"} if meddle is not spoil_the_witness else {b"a.xmp"}
    if meddle in (rename, occupy, spoil_the_witness):
        kept.add(b"a.jpg")
    yield from (f"{path!r} is LOST" for path in kept if original[path] not in whole)
    if brought and NEW not in whole:
        yield "somebody's work is LOST"
    for path, content in {**FOUND, **UNKNOWN}.items():
        if now.library.get(path) != content and not (
            meddle is spoil_the_witness and path == b"old/known.jpg"
        ):
            yield f"the library's {path!r} was touched"
    for story in now.stories:
        if story.outcome in ("filed", "duplicate") and story.destination is not None:
            place = {**now.library, **{b".mediad/" + path: content for path, content in now.private.items()}}
            here = place.get(story.destination)
            if here is None or hashlib.sha256(here).digest() != story.digest:
                yield f"{story.path!r} is {story.outcome}, but {story.destination!r} is not it"
    for path in now.watch:
        newest = [story for story in now.stories if story.path == path][-1:]
        if not newest or not newest[0].outcome:
            yield f"{path!r} is in no outcome"
