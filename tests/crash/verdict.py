"""Whether a scene has ended as it should: nothing lost, doubled or half there, each what it had to be."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.crash import invariants
from tests.crash.scene import FAR, FOUND, KNOWN, MODE, MTIME_NS, UNKNOWN, UNLINKABLE, Input, Scene, inputs

WAYS = {
    "linked": ("move", ""),
    "taken": ("move", UNLINKABLE),
    "moved across": ("move", FAR),
    "copied": ("copy", ""),
    "hard-linked": ("hardlink", ""),
}
"""The ways that files travel: the watch's action, and the scene's method."""

_FEW = {b"a.jpg", b"a.xmp", b"same.jpg", b"card/same-again.jpg", b"known.jpg", b"clash.jpg", b"broken.jpg"}


def few() -> list[Input]:
    """A set, twins, a known one, a collision, a broken one: each way once, and half of the operations."""
    return [file for file in inputs() if file.path in _FEW]


@contextmanager
def scene_of(way: str, files: Sequence[Input] = ()) -> Iterator[Scene]:
    """A scene for a way that files travel, in memory where there is room.

    Args:
        files: the inputs; all there are where none are named.
    """
    action, method = WAYS[way]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="mediad-crash-", dir=memory))
    try:
        found = Scene(root / "scene", action, method, files or inputs())
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
