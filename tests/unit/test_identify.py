"""Files whose times lie ahead come to rest, too, and a clock that is wrong dates nothing wrongly."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from mediad.clock import Clock
from mediad.files import Files, Tree, stat_of
from mediad.ingest import moves
from mediad.ingest.identify import Identified, Identifier, Place
from mediad.media.dates import DateRules
from mediad.model import Result, Settled, Sighting
from tests import samples
from tests.crash.scene import Reader

pytestmark = pytest.mark.anyio

TAKEN = datetime.fromisoformat("2023-07-10T20:39:25")
PICTURE = samples.jpeg(TAKEN, size=(16, 16))
NOW = 1_720_000_000  # 2024-07-03
YEAR = 365 * 86_400
SETTLE = 2.0


class Set(Clock):
    """A wall clock that is set; its time may lie before that of all files made meanwhile."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def wall_ns(self) -> int:
        return self.seconds * 1_000_000_000


class Stage:
    """The stage, over one folder."""

    def __init__(self, folder: Path, clock: Clock, *, lease: bool = True) -> None:
        self.folder = folder
        self.files = Files()
        tree = Tree(self.files, os.fsencode(folder))
        places = {"inbox": Place(tree, SETTLE, lease, True, DateRules("UTC"))}
        self.stage = Identifier(self.files, places, Reader(), clock, lambda: False, {})

    def seen(self, name: str, content: bytes, mtime: int, rest: float = 0.0) -> Sighting:
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (mtime, mtime))
        return Sighting("inbox", os.fsencode(name), stat_of(path.stat()), rest)

    async def identify(self, *sightings: Sighting) -> Identified:
        found = await self.stage.identify([Settled(sightings, "")], anyio.CapacityLimiter(1))
        for held in found.sets:
            for fd in held.fds.values():
                self.files.close(fd)
        return found


@pytest.mark.parametrize(
    ("content", "lease"), [(PICTURE, False), (PICTURE[:-900], True)], ids=["who writes", "its end"]
)
async def test_times_that_lie_ahead_are_waited_for_once(tmp_path: Path, content: bytes, lease: bool) -> None:
    """ctime lies ahead of this clock as well, as it does after a clock was set back."""
    stage = Stage(tmp_path, Set(NOW), lease=lease)
    found = await stage.identify(stage.seen("a.jpg", content, NOW + YEAR))
    (back,) = found.back
    assert not found.sets
    assert back.wait == (30 if not lease else 5) * SETTLE
    assert "so it was waited for longer" in back.note
    found = await stage.identify(*back.members)
    assert not found.back
    assert len(found.sets) == 1


async def test_what_changes_meanwhile_is_waited_for_anew(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Set(NOW), lease=False)
    (back,) = (await stage.identify(stage.seen("a.jpg", PICTURE, NOW + YEAR))).back
    stage.seen("a.jpg", PICTURE + b"more", NOW + YEAR)
    (changed,) = (await stage.identify(*back.members)).back
    assert changed.members[0].rest == 0.0
    (again,) = (await stage.identify(*changed.members)).back
    assert again.wait == 30 * SETTLE


@pytest.mark.parametrize(("wall", "known"), [(NOW, 0), (0, 0), (0, NOW)])
async def test_a_clock_that_is_behind_makes_no_date_a_future_one(
    tmp_path: Path, wall: int, known: int
) -> None:
    clock = Set(wall)
    clock.recorded(known * 1_000_000)
    stage = Stage(tmp_path, clock)
    found = await stage.identify(stage.seen("a.jpg", PICTURE, 1_600_000_000, rest=1e6))
    taken = found.sets[0].set.principal.taken
    assert taken is not None
    assert taken.local == TAKEN


@pytest.mark.parametrize(("wall", "known"), [(NOW, 0), (0, NOW), (NOW + YEAR, 0), (0, NOW + YEAR)])
async def test_what_lies_ahead_of_all_that_is_known_is_not_believed(
    tmp_path: Path, wall: int, known: int
) -> None:
    clock = Set(wall)
    clock.recorded(known * 1_000_000)
    stage = Stage(tmp_path, clock)
    picture = samples.jpeg(datetime.fromisoformat("2025-01-01T12:00:00"), size=(16, 16))
    found = await stage.identify(stage.seen("a.jpg", picture, 1_600_000_000, rest=1e6))
    taken = found.sets[0].set.principal.taken
    assert (taken is not None) is (NOW + YEAR in (wall, known))


async def test_what_is_deleted_while_it_is_hashed_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, offsets = Files.read_into, []

    def read_into(self: Files, fd: int, buffer: memoryview, offset: int) -> int:
        if len(buffer) == 1 << 20:  # so many are hashed at a time
            (tmp_path / "a.jpg").unlink(missing_ok=True)
        offsets.append(offset)
        return read(self, fd, buffer, offset)

    monkeypatch.setattr(moves, "_LOOK_AFTER", 2 << 20)
    stage = Stage(tmp_path, Set(NOW))
    sighting = stage.seen("a.jpg", PICTURE + bytes(8 << 20), 1_600_000_000, rest=1e6)
    monkeypatch.setattr(Files, "read_into", read_into)
    found = await stage.identify(sighting)
    (gone,) = found.unplanned
    assert (gone.outcome, gone.code) == (Result.GONE, "gone")
    assert max(offsets) == 1 << 20, "the third MiB is not read"
