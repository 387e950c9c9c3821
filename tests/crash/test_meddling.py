"""Somebody writes to, replaces, renames, links or removes files and folders right before any one operation.

What they bring is never lost, what the library has is never touched, nothing outside is ever reached, and the
catalogue stays true. CI tries every fifth operation, with another first one for each way and meddler;
`MEDIAD_MEDDLE=all` tries all.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import samples
from tests.crash import invariants
from tests.crash.faulty import CHANGES, Faults
from tests.crash.scene import FAR, FOUND, UNKNOWN, UNLINKABLE, Scene, inputs, put

WAYS = {
    "linked": ("move", ""),
    "taken": ("move", UNLINKABLE),
    "moved across": ("move", FAR),
}
KINDS = CHANGES | {"stat_at", "open_dir", "open_file"}
STEP = 1 if os.environ.get("MEDIAD_MEDDLE") == "all" else 5
NEW = b"\xff\xd8\xff\xe0 somebody's work"
FEW = (b"a.jpg", b"a.xmp", b"known.jpg", b"card/same-again.jpg")
FOLDER = b"/2021/2021-07-10"
SECRETS = {
    b"same-again.jpg": samples.jpeg(seed=66, size=(16, 12)),
    b"a.jpg": samples.jpeg(seed=67, size=(16, 12)),
    b"clash.jpg": b"nobody's business",
}


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


# -- folders and links; what they lead to lies outside, and is not to be reached -------------------------


def outside(scene: Scene) -> bytes:
    return os.fsencode(scene.root / "outside")


def a_link_takes_its_place(scene: Scene) -> bool:
    if os.path.lexists(scene.inbox + b"/a.jpg"):
        os.rename(scene.inbox + b"/a.jpg", scene.inbox + b"/z.jpg")
        os.symlink(outside(scene) + b"/a.jpg", scene.inbox + b"/a.jpg")
    return False


def a_link_takes_its_folders_place(scene: Scene) -> bool:
    if os.path.lexists(scene.inbox + b"/card"):
        os.rename(scene.inbox + b"/card", scene.inbox + b"/kept")
    os.symlink(outside(scene), scene.inbox + b"/card")
    return False


def its_folder_is_renamed(scene: Scene) -> bool:
    if os.path.lexists(scene.inbox + b"/card"):
        os.rename(scene.inbox + b"/card", scene.inbox + b"/kept")
    return False


def it_is_added_again(scene: Scene) -> bool:
    """The same bytes, another file."""
    (content,) = (file.content for file in scene.inputs if file.path == b"a.jpg")
    put(scene.inbox, b".new", content)
    os.rename(scene.inbox + b"/.new", scene.inbox + b"/a.jpg")
    return False


def a_link_takes_the_librarys_folders_place(scene: Scene) -> bool:
    os.rename(scene.library + FOLDER, scene.library + b"/2021/kept")
    os.symlink(outside(scene), scene.library + FOLDER)
    return False


def the_librarys_folder_is_renamed(scene: Scene) -> bool:
    os.rename(scene.library + FOLDER, scene.library + b"/2021/kept")
    return False


def what_was_filed_is_renamed(scene: Scene) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.rename(scene.library + FOLDER + b"/a.jpg", scene.library + b"/mine.jpg")
    return False


def what_was_filed_is_replaced(scene: Scene) -> bool:
    """As editors do, which keep the old one beside it."""
    path = scene.library + FOLDER + b"/a.jpg"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, path + b".original")
        put(scene.library + FOLDER, b"a.jpg", NEW)
        return True
    return False


def a_link_takes_the_witness_place(scene: Scene) -> bool:
    os.rename(scene.library + b"/old/known.jpg", scene.library + b"/old/kept.jpg")
    os.symlink(outside(scene) + b"/a.jpg", scene.library + b"/old/known.jpg")
    return False


IN_WATCH = (replace, append, remove, rename)
ELSEWHERE = (a_link_takes_its_folders_place, its_folder_is_renamed)
LINKS = (a_link_takes_its_place, it_is_added_again)
IN_LIBRARY = (
    *(occupy, spoil_the_witness, a_link_takes_the_witness_place, what_was_filed_is_renamed),
    *(what_was_filed_is_replaced, a_link_takes_the_librarys_folders_place, the_librarys_folder_is_renamed),
)


@pytest.mark.parametrize(
    "meddle", [*IN_WATCH, *LINKS, *ELSEWHERE, *IN_LIBRARY], ids=lambda call: call.__name__
)
def test_somebody_meddles_before_every_operation(scene: Scene, meddle: Meddle) -> None:
    wrong: dict[tuple[int, str], list[str]] = {}
    brought: list[bool] = []
    first = 1 + sum(f"{scene.method}{meddle.__name__}".encode()) % STEP
    tried = 0
    for number in itertools.count(first, STEP):
        scene.reset()
        for path, content in SECRETS.items():
            put(outside(scene), path, content)
        before = untouched(outside(scene))
        brought.clear()
        faults = Faults(meddle_at=number, meddle=lambda: brought.append(meddle(scene)), kinds=KINDS)
        scene.run(faults)
        if not faults.hit:
            break
        tried += 1
        ended = scene.run(Faults())
        problems = [f"ended with {ended!r}"] if ended is not None and meddle not in IN_LIBRARY else []
        problems += problems_after(scene, meddle, brought == [True])
        if untouched(outside(scene)) != before:
            problems.append("what lies OUTSIDE was touched")
        if problems:
            wrong[number, faults.hit] = problems
    print(f"{meddle.__name__}: before {tried} operations")
    assert tried * STEP > 20
    assert wrong == {}


def untouched(folder: bytes) -> dict[bytes, tuple[bytes, tuple[int, ...]]]:
    """Everything there, as far as anybody could change it."""
    found: dict[bytes, tuple[bytes, tuple[int, ...]]] = {}
    for entry in os.scandir(folder):
        with open(entry.path, "rb") as stream:
            stat = entry.stat(follow_symlinks=False)
            found[entry.name] = (
                stream.read(),
                (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_nlink),
            )
    return found


def problems_after(scene: Scene, meddle: Meddle, brought: bool) -> Iterator[str]:
    now = invariants.look({"inbox": scene.inbox}, scene.library, scene.catalogue)
    yield from invariants.nothing_half_done(now)
    if meddle not in IN_LIBRARY or meddle in (occupy, spoil_the_witness):
        yield from invariants.the_catalogue_is_true(now)
    whole = b"".join((*now.watch.values(), *now.library.values(), *now.private.values()))
    original = {file.path: file.content for file in scene.inputs}
    kept = set(original)
    if meddle in (replace, append, remove, it_is_added_again):
        kept.discard(b"a.jpg")  # that one they took away themselves
    if meddle is spoil_the_witness:
        kept.discard(b"known.jpg")
    yield from (f"{path!r} is LOST" for path in kept if original[path] not in whole)
    if meddle is it_is_added_again and original[b"a.jpg"] not in whole:
        yield "what was added again is LOST"
    if brought and NEW not in whole:
        yield "somebody's work is LOST"
    there = Counter(now.library.values())
    for path, content in {**FOUND, **UNKNOWN}.items():
        if not there[content] and not (meddle is spoil_the_witness and path == b"old/known.jpg"):
            yield f"the library's {path!r} was touched"
    yield from (f"{secret!r} came INSIDE" for secret in SECRETS.values() if secret in whole)
    yield from the_journal_is_true(now, meddle)


def the_journal_is_true(now: invariants.Now, meddle: Meddle) -> Iterator[str]:
    """What is said of a file holds, unless somebody has moved it since."""
    place = {**now.library, **{b".mediad/" + path: content for path, content in now.private.items()}}
    digests = {hashlib.sha256(content).digest() for content in place.values()}
    for story in now.stories:
        if story.outcome in ("filed", "duplicate") and story.destination is not None:
            here = place.get(story.destination)
            moved = meddle in IN_LIBRARY and story.digest in digests
            if not moved and (here is None or hashlib.sha256(here).digest() != story.digest):
                yield f"{story.path!r} is {story.outcome}, but {story.destination!r} is not it"
    if meddle not in IN_LIBRARY:
        for path in now.watch:
            newest = [story for story in now.stories if story.path == path][-1:]
            if not newest or not newest[0].outcome:
                yield f"{path!r} is in no outcome"
