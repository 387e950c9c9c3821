"""What other hands bring into a library is known once it is scanned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
import pytest

from mediad.files import Files, Tree
from mediad.ingest.roster import library_folder
from mediad.keeping import noticing
from mediad.model import Sighting
from tests.steering import House
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_file_that_was_copied_in_by_hand_is_a_witness_after_a_scan(house: House) -> None:
    async with house.life() as steering:
        house.put("photos/mine/a.jpg", picture(1))
        await steering.call("Scan")
        house.put("inbox/b.jpg", picture(1))
        await steering.rest()
        assert await steering.totals() == {"duplicate": 1}
        house.put("card/c.jpg", picture(1))
        card = os.fspath(house.root / "card")
        assert (await steering.call("SafeToWipe", paths=[card]))["safe"]


@dataclass
class Slow:
    """A look at a library that tells only now what it saw then."""

    tree: Tree
    seen: list[Sighting]
    folders: dict[tuple[int, int], bytes] = field(default_factory=dict)
    errors: list[tuple[bytes, str]] = field(default_factory=list)

    def scan(
        self, start: bytes, emit: Callable[[Sequence[Sighting]], None], stopping: Callable[[], bool]
    ) -> Slow:
        emit(self.seen)
        return self

    def look(self, paths: Iterable[bytes]) -> tuple[list[Sighting], list[bytes]]:
        raise NotImplementedError


async def test_what_is_taken_away_during_a_scan_is_not_missed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.life() as steering:
        house.put("inbox/a.jpg", picture(1))
        await steering.rest()
        (path,) = (house.root / "photos").rglob("a.jpg")
        tree = Tree(Files(), os.fsencode(house.root / "photos"))
        name = os.fsencode(path.relative_to(house.root / "photos"))
        folder = library_folder(tree, house.clock)
        seen, _ = await anyio.to_thread.run_sync(folder.look, [name])
        await steering.call("Trash", paths=[os.fspath(path)])
        monkeypatch.setattr(noticing, "library_folder", lambda *_: Slow(tree, seen))
        await steering.call("Scan", names=["photos"])
        assert (await steering.call("Verify", more=True))["counts"]["missing"] == 0
