"""The power goes after every operation, and of what nobody had synced any part is lost."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Collection, Iterator

import pytest

from mediad import eventloop, roots
from mediad.store.database import Database, open_database
from tests.crash import invariants, test_relocated
from tests.crash.faulty import Faults
from tests.crash.inline import inline
from tests.crash.powerloss import Disk, Loss, Recorded, recorded_database
from tests.crash.scene import Scene
from tests.crash.test_relocated import house as house
from tests.crash.verdict import WAYS, before, few, look, scene_of, wrong
from tests.steering import House

AT_MOST = int(os.environ.get("MEDIAD_POWER_LOSSES", "6"))  # states of one moment
BURSTS_AT_MOST = AT_MOST // 3
AGAIN, AGAIN_AT_MOST = 2, 2  # states of the first power cut, and of one moment of the second
SEED = 4


def record(scene: Scene, *, journaled: bool, unheard: Collection[str] = ()) -> Disk:
    """Let the daemon do its work on the scene as it stands, and note what it does to the disk.

    Args:
        unheard: syncs that the disk does not do.
    """
    disk = Disk(scene.root, far=scene.far, journaled=journaled, unheard=unheard)
    connection = open_database(scene.catalogue)
    files = Recorded(disk, scene.far, scene.unlinkable)
    try:
        with inline():
            eventloop.run(scene._run, files, recorded_database(disk)(connection))
    finally:
        connection.close()
        files.close_all()
    return disk


def problems(scene: Scene, disk: Disk, loss: Loss) -> Iterator[str]:
    """What is wrong after the power went, and what after the next start."""
    disk.restore(loss.image, scene.catalogue)
    yield from invariants.nothing_lost(before(scene), look(scene))
    if (ended := scene.run(Faults())) is not None:
        yield f"it could not go on: {ended!r}"
    yield from wrong(scene)


def check(scene: Scene, disk: Disk, request: pytest.FixtureRequest, at_most: int) -> None:
    """Try what a power cut can leave at each moment of a scene's."""
    tell(disk, lambda loss: problems(scene, disk, loss), request, at_most)


def tell(
    disk: Disk, wrong_after: Callable[[Loss], Iterator[str]], request: pytest.FixtureRequest, at_most: int
) -> None:
    """Say what was tried, and fail with all that was wrong."""
    found: dict[tuple[int, str, int], list[str]] = {}
    states = lost = 0
    for loss in disk.losses(at_most=at_most, seed=SEED):
        states, lost = states + 1, max(lost, loss.lost)
        if told := list(wrong_after(loss)):
            found[loss.operation, loss.what, loss.lost] = told
    tried = f"{len(disk.log)} operations, {disk.tried} subsets of up to {lost} lost effects, {states} states"
    print(f"{request.node.name}: {tried}, {len(found)} of them wrong")
    assert states > len(disk.log) // 3
    assert not found, "\n".join(f"{where}: {line}" for where, lines in found.items() for line in lines)


@pytest.mark.parametrize("way", WAYS)
def test_at_every_moment(way: str, request: pytest.FixtureRequest) -> None:
    """Taking is for filesystems with a journal only: elsewhere a file has to be copied."""
    with scene_of(way, few()) as scene:
        scene.reset()
        disk = record(scene, journaled=way == "taken")
        assert wrong(scene) == []
        check(scene, disk, request, AT_MOST)


@pytest.mark.parametrize("way", ["linked", "moved across"])
def test_in_bursts(way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many files at once that one syncfs does for all."""
    monkeypatch.setattr(roots, "SYNCFS", roots.SYNCFS | {roots.filesystem("/dev/shm").type})
    with scene_of(way) as scene:
        scene.reset()
        disk = record(scene, journaled=False)
        assert wrong(scene) == []
        assert "sync_filesystem" in {what for what, _ in disk.log}
        check(scene, disk, request, BURSTS_AT_MOST)


@pytest.mark.parametrize("way", ["linked", "moved across"])
def test_while_recovering(way: str, request: pytest.FixtureRequest) -> None:
    """It goes again while the next start mends what it had left."""
    with scene_of(way, few()) as scene:
        scene.reset()
        first = record(scene, journaled=False)
        losses = list(first.losses(at_most=AT_MOST, seed=SEED))
        for loss in random.Random(SEED).sample([loss for loss in losses if loss.lost], AGAIN):
            first.restore(loss.image, scene.catalogue)
            check(scene, record(scene, journaled=False), request, AGAIN_AT_MOST)


@pytest.mark.parametrize(
    ("name", "way"),
    [*((name, "linked") for name in test_relocated.SCENES), ("undo", "copied"), ("redo", "copied")],
)
def test_while_files_are_moved_again(
    house: House, name: str, way: str, request: pytest.FixtureRequest
) -> None:
    """Undo, trash, refile and their like."""
    first, act, _ = test_relocated.SCENES[name]
    test_relocated.prepare(house, first, way)
    far = [os.fsencode(house.root / "inbox")] if way == "copied" else []
    disk = Disk(house.root, far=far)
    house.database = recorded_database(disk)
    house.files = files = Recorded(disk, far)

    async def live() -> None:
        async with house.life() as steering:
            await act(house, steering)
            assert await steering.rest() == "idle"

    with inline():
        eventloop.run(live)
    files.close_all()
    house.database = Database

    def told(loss: Loss) -> Iterator[str]:
        disk.restore(loss.image, house.root / "state" / "catalogue.db")
        test_relocated.run(house, None, Faults(), way)
        yield from test_relocated.wrong(house, expired=name == "expire")

    tell(disk, told, request, AGAIN_AT_MOST)


@pytest.mark.parametrize("sync", ["sync_file", "sync_dir"])
def test_a_missing_sync_is_found(sync: str) -> None:
    """Where syncs did nothing files would be lost, and this is the test that says so."""
    with scene_of("moved across", few()) as scene:
        scene.reset()
        disk = record(scene, journaled=False, unheard={sync})
        losses = reversed(list(disk.losses(at_most=16, seed=SEED)))
        assert any("LOST" in told for loss in losses for told in problems(scene, disk, loss))
