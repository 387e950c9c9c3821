"""What lies in a library already is read where its size makes it matter."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediad.ingest import witnesses
from tests.steering import House
from tests.system.once import picture

pytestmark = pytest.mark.anyio


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_a_library_file_that_is_read_to_be_compared_is_progress(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = picture(1)
    house.put("photos/found.jpg", content[:-1] + b"x")
    going, reading = threading.Event(), threading.Event()
    told: list[int] = []
    read: Callable[..., Any] = witnesses._read

    def slow(*arguments: Any, progress: Callable[[int], None], **more: Any) -> Any:
        reading.set()
        assert going.wait(30)

        def both(count: int) -> None:
            told.append(count)
            progress(count)

        return read(*arguments, progress=both, **more)

    monkeypatch.setattr(witnesses, "_read", slow)
    async with house.life() as steering:
        lane = steering.pipeline.serving["inbox"].small
        try:
            house.put("inbox/a.jpg", content)
            await steering.call("Scan")
            await steering.until(reading.is_set)
            assert lane.in_thread
            before = lane.progressed
            lane._got_on(1)
            assert lane.progressed > before
        finally:
            going.set()
        assert await steering.rest() == "idle"
        assert sum(told) == len(content)
        assert not lane.in_thread


async def test_what_is_no_regular_file_is_not_remembered(house: House) -> None:
    house.put("photos/found.jpg", picture(1))
    os.mkfifo(house.root / "photos/pipe.jpg")
    (house.root / "photos/link.jpg").symlink_to("found.jpg")
    async with house.life() as steering:
        assert await steering.rest() == "idle"
        known = await steering.pipeline.stages.database.run(
            lambda connection: connection.execute("SELECT path FROM file").fetchall()
        )
        assert known == [(b"found.jpg",)]
