"""Libraries come online, go away, fill up and come back; what a crash left open is ended on the way."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import apsw
import pytest
import tomli_w

from mediad import config as configuration
from mediad.clock import Clock
from mediad.errors import (
    AlreadyHeld,
    InputOutput,
    LibraryFull,
    LibraryOffline,
    LibraryReadOnly,
    Stranded,
)
from mediad.files import Files
from mediad.ingest import shelves as shelves_module
from mediad.ingest.pulse import Pulse
from mediad.ingest.recover import Recovered
from mediad.ingest.shelf import State
from mediad.ingest.shelves import Shelves
from mediad.library import OpenLibrary
from mediad.lock import lock_file
from mediad.store.database import Database, open_database
from tests.crash.faulty import Faults, FaultyFiles
from tests.watching import until

pytestmark = pytest.mark.anyio

CONTENT = b"a picture" * 50
WAS = {"outcome": "filed", "code": "", "reason": "", "stays": 0}
CHANGE = json.dumps({"was": WAS, "will_be": WAS, "bond": None, "remembered": False})


class House:
    """A configuration with libraries in a folder, and the shelves over them."""

    def __init__(self, root: Path, connection: apsw.Connection) -> None:
        self.root = root
        self.database = Database(connection)
        self.connection = connection
        self.files = Files()
        self.indexed: list[str] = []
        self.recovered = 0
        self.slow: dict[str, anyio.Event] = {}
        self.told: list[tuple[str, State]] = []
        self.in_hand: Callable[[int], bool] = lambda step: False

    def config(self, min_free: str = "0", **folders: str) -> configuration.Config:
        """A configuration with these libraries in these folders."""
        tables = {
            name: {"path": str(self.root / folder), "min_free": min_free} for name, folder in folders.items()
        }
        watch = {"inbox": {"path": str(self.root / "inbox"), "library": next(iter(tables))}}
        daemon = {"state_dir": str(self.root / "state"), "socket": str(self.root / "control")}
        text = tomli_w.dumps({"library": tables, "watch": watch, "daemon": daemon})
        return configuration.parse(text, file="c.toml", env={}, home="")

    def shelves(self, *names: str, min_free: str = "0") -> Shelves:
        """Shelves for these libraries, whose folders are made where they are missing."""
        folders = dict(zip(names, names, strict=True)) or {"photos": "photos"}
        for folder in (*folders.values(), "inbox"):
            (self.root / folder).mkdir(exist_ok=True)

        async def index(library: OpenLibrary, row: int) -> None:
            if library.name in self.slow:
                await self.slow[library.name].wait()
            self.indexed.append(library.name)

        async def recovered(ended: Sequence[Recovered]) -> None:
            self.recovered += 1

        return Shelves(
            self.config(min_free, **folders),
            self.files,
            self.database,
            Clock(),
            index,
            recovered,
            lambda shelf: self.told.append((shelf.settings.name, shelf.state)),
            lambda step: self.in_hand(step),
            lambda: False,
        )

    def open_step(self, number: int, library: int) -> None:
        """A journal that was cut off after it had linked a.jpg into the library."""
        digest = hashlib.sha256(CONTENT).digest()
        name = b"%d.jpg" % number
        root = os.fsencode(self.root / "inbox")
        self.connection.execute(
            "INSERT OR IGNORE INTO batch (id, watch, root, started) VALUES (1, 'inbox', ?, 0)", (root,)
        )
        self.connection.execute(
            "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, digest)"
            " VALUES (?, 'inbox', ?, ?, 0, 0, 0, 0, 1, ?)",
            (number, name, len(CONTENT), digest),
        )
        self.connection.execute(
            "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, time)"
            " VALUES (?1, ?1, 1, ?1, 'move', 'intent', ?2, ?3, 0)",
            (number, library, name),
        )
        for folder in ("inbox", "photos"):
            (self.root / folder / os.fsdecode(name)).write_bytes(CONTENT)

    def steps(self) -> dict[int, str]:
        return {int(row[0]): str(row[1]) for row in self.connection.execute("SELECT id, state FROM step")}

    def outcomes(self) -> dict[int, str]:
        rows = self.connection.execute("SELECT id, coalesce(outcome, '') FROM arrival")
        return {int(row[0]): str(row[1]) for row in rows}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "state").mkdir()
    connection = open_database(tmp_path / "state" / "catalogue.db")
    yield House(tmp_path, connection)
    connection.close()


async def test_a_new_library_is_blessed_indexed_and_online(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    assert shelves["photos"].state is State.ONLINE
    assert house.indexed == ["photos"]
    assert house.told[-1] == ("photos", State.ONLINE)
    assert (house.root / "photos" / ".mediad" / "library.toml").is_file()
    assert shelves.readable() == {"photos": shelves["photos"].id} == shelves.rows
    shelves.close()


async def test_it_is_known_again_by_its_marker(house: House) -> None:
    first = house.shelves()
    await first.open_all()
    first.close()
    second = house.shelves()
    await second.open_all()
    assert second.rows == first.rows
    second.close()


@pytest.mark.parametrize("harm", ["folder", "marker", "another"])
async def test_what_is_not_the_library_is_offline(house: House, harm: str) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    shelves.close()
    photos, away = house.root / "photos", house.root / "away"
    again = house.shelves()
    photos.rename(away)
    if harm != "folder":
        photos.mkdir()
    if harm == "another":
        mark(photos, "b" * 36)
    await again.open_all()
    assert again["photos"].state is State.OFFLINE
    assert isinstance(again.reason("photos"), LibraryOffline)
    assert again.readable() == {}
    if harm != "folder":
        photos.rename(house.root / "rubbish")
    away.rename(photos)
    await again.look(again["photos"])
    assert again["photos"].online
    again.close()


def mark(library: Path, marker: str) -> None:
    (library / ".mediad").mkdir(parents=True)
    (library / ".mediad" / "library.toml").write_text(f'id = "{marker}"\n', encoding="utf-8")


async def test_one_marker_twice_is_refused(house: House) -> None:
    for name in ("photos", "copy"):
        mark(house.root / name, "a" * 36)
    shelves = house.shelves("photos", "copy")
    await shelves.open_all()
    assert shelves["photos"].online
    for _ in range(2):
        assert shelves["copy"].state is State.OFFLINE
        assert "same marker as library photos" in shelves["copy"].error
        assert "remove .mediad/library.toml from the copy" in shelves["copy"].error
        assert shelves.readable() == {"photos": shelves["photos"].id}
        await shelves.look(shelves["copy"])
    assert house.indexed == ["photos"]
    shutil.rmtree(house.root / "copy" / ".mediad")
    await shelves.look(shelves["copy"])
    assert shelves["copy"].online
    shelves.close()


@pytest.mark.parametrize("admit", [True, False])
async def test_of_two_with_one_marker_the_one_that_is_known_goes_on(house: House, admit: bool) -> None:
    before = house.shelves("photos")
    await before.open_all()
    before.close()
    shutil.copytree(house.root / "photos", house.root / "copy")
    shelves = house.shelves("copy", "photos")
    await shelves.open_all(admit=admit)
    async with anyio.create_task_group() as looks:
        for shelf in shelves:
            looks.start_soon(shelves.look, shelf)
    assert {shelf.settings.name: shelf.state for shelf in shelves} == {
        "photos": State.ONLINE,
        "copy": State.OFFLINE,
    }
    shelves.close()


async def test_a_name_may_go_to_a_new_library_while_the_old_one_gets_another(house: House) -> None:
    before = house.shelves("photos")
    await before.open_all()
    before.close()
    shelves = house.shelves("photos", "archive")
    shelves["photos"].settings = house.config(photos="fresh").libraries["photos"]
    shelves["archive"].settings = house.config(archive="photos").libraries["archive"]
    (house.root / "fresh").mkdir()
    await shelves.open_all()
    await shelves.look(shelves["photos"])
    assert [shelf.online for shelf in shelves] == [True, True]
    shelves.close()


async def test_a_library_that_another_daemon_has_stops_the_start(house: House) -> None:
    first, second = house.shelves(), house.shelves()
    await first.open_all()
    with pytest.raises(AlreadyHeld, match=str(os.getpid())):
        await second.open_all()
    first.close()
    await second.open_all()
    assert second["photos"].online
    second.close()


async def configured(shelves: Shelves, settings: configuration.Config) -> None:
    """Another configuration, wholly."""
    shelves.adopt(settings)
    await shelves.refresh()


@asynccontextmanager
async def kept(shelves: Shelves) -> AsyncIterator[None]:
    """They are looked after meanwhile, and closed in the end."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shelves.keep)
            yield
            tasks.cancel_scope.cancel()
    finally:
        shelves.close()


async def held(library: Path) -> bool:
    """Has somebody its lock?"""

    def locked() -> bool:
        try:
            os.close(lock_file(os.fsencode(library / ".mediad" / "lock"), "it"))
        except AlreadyHeld:
            return True
        return False

    return await anyio.to_thread.run_sync(locked)


async def test_what_is_only_locked_is_brought_online_while_others_are(house: House) -> None:
    house.slow["photos"] = anyio.Event()
    shelves = house.shelves("photos", "more")
    await shelves.open_all(admit=False)
    assert all(shelf.arriving and not shelf.online for shelf in shelves)
    assert await held(house.root / "photos")
    assert await held(house.root / "more")
    assert house.indexed == []
    async with kept(shelves):
        await until(lambda: shelves["more"].online)  # though the other takes its time
        await until(lambda: shelves["photos"].state is State.ADOPTING)
        assert shelves["photos"].arriving
        assert not shelves["more"].arriving
        house.slow["photos"].set()
        await until(lambda: shelves["photos"].online)
    assert house.indexed == ["more", "photos"]


async def test_a_library_that_does_not_answer_is_offline_and_stays_locked(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    shelf = shelves["photos"]
    assert shelf.library is not None
    answers = threading.Event()
    shelf.pulse = Pulse(0.02)
    check, shelf.library.check = shelf.library.check, lambda **_: answers.wait(10)  # type: ignore[method-assign]
    for _ in range(2):
        await shelves.look(shelf)
        assert shelf.state is State.OFFLINE
        assert shelf.error.startswith("hung: it does not answer")
        assert await held(house.root / "photos")
    answers.set()
    shelf.library.check = check  # type: ignore[method-assign]

    async def online() -> None:
        while not shelf.online:
            await shelves.look(shelf)

    with anyio.fail_after(60):
        await online()
    assert house.indexed == ["photos"]
    shelves.close()


async def test_new_settings_of_a_library_hold_at_once(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    await configured(shelves, house.config("900TB", photos="photos"))
    assert shelves["photos"].online
    await shelves.look(shelves["photos"])
    assert shelves["photos"].state is State.FULL
    await configured(shelves, house.config(photos="photos"))
    await shelves.look(shelves["photos"])
    assert shelves["photos"].online
    assert house.indexed == ["photos"]
    shelves.close()


async def test_a_library_that_leaves_finishes_what_is_on_its_way(house: House) -> None:
    shelves = house.shelves("photos", "more")
    await shelves.open_all()
    leaving = shelves["more"]
    async with kept(shelves):
        with shelves.borrowed(["more", "unknown"]):
            await configured(shelves, house.config(photos="photos"))
            assert not leaving.online
            assert leaving.takes
            assert str(shelves.reason("more")) == "is being put elsewhere by the new configuration"
            assert shelves.readable() == {"photos": shelves["photos"].id}
            assert shelves.open() == {shelf.id: shelf.library for shelf in shelves}  # still a witness
            await anyio.wait_all_tasks_blocked()
            assert await held(house.root / "more")
        shelves.wake()
        await until(lambda: shelves.find("more") is None)
        assert not await held(house.root / "more")
        assert shelves.rows == {"photos": shelves["photos"].id}
        assert shelves["photos"].online


@pytest.mark.parametrize("away", [False, True])
async def test_a_library_is_taken_up_elsewhere_once_nobody_needs_it_here(house: House, away: bool) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    row = shelves["photos"].id
    if not away:
        await anyio.to_thread.run_sync(shutil.copytree, house.root / "photos", house.root / "moved")
    async with kept(shelves):
        with shelves.borrowed(["photos"]):
            await configured(shelves, house.config(photos="moved"))
            await anyio.wait_all_tasks_blocked()
            assert shelves["photos"].settings.path == str(house.root / "photos")
        shelves.wake()
        await until(lambda: shelves["photos"].settings.path == str(house.root / "moved"))
        assert not await held(house.root / "photos")
        if away:
            await until(lambda: shelves["photos"].error)
            (house.root / "photos").rename(house.root / "moved")
            shelves.wake()
        await until(lambda: shelves["photos"].online)
        assert shelves["photos"].id == row


async def test_a_library_gets_another_name(house: House, caplog: pytest.LogCaptureFixture) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    row = shelves["photos"].id
    renamed = house.config(pictures="photos")
    assert await shelves.try_out(renamed) == []
    async with kept(shelves):
        with shelves.borrowed(["photos"]):
            await configured(shelves, renamed)
            await anyio.wait_all_tasks_blocked()
            assert not shelves["pictures"].online
        shelves.wake()
        await until(lambda: shelves.find("photos") is None and shelves["pictures"].online)
    assert shelves.rows == {"pictures": row}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_configuration_is_tried_out_without_being_used(house: House) -> None:
    shelves, others = house.shelves(), house.shelves("theirs")
    await shelves.open_all()
    await others.open_all()
    (house.root / "fine").mkdir()
    trial = house.config(photos="photos", theirs="theirs", fine="fine", absent="absent")
    [problem] = await shelves.try_out(trial)
    assert f"pid {os.getpid()}" in problem
    others.close()
    assert await shelves.try_out(trial) == []
    assert {name for name, _ in house.told} == {"photos", "theirs"}
    assert [shelf.settings.name for shelf in shelves] == ["photos"]
    assert not await held(house.root / "theirs")
    assert shelves["photos"].online
    shelves.close()


async def test_a_full_library_is_read_but_takes_nothing(house: House) -> None:
    shelves = house.shelves(min_free="900TB")
    await shelves.open_all()
    assert shelves["photos"].state is State.FULL
    assert not shelves["photos"].online
    assert isinstance(shelves.reason("photos"), LibraryFull)
    assert set(shelves.readable()) == {"photos"}
    shelves.close()


async def test_room_that_comes_back_is_told_at_the_next_look(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    shelf = shelves["photos"]
    house.told.clear()
    for fits in (False, True):
        shelf.refuse(shelf.room + 1, 0)
        assert shelf.cramped
        shelf.needs, shelf.room = (2**62, 0) if not fits else (1, 0)
        await shelves.look(shelf)
        assert house.told == ([("photos", State.ONLINE)] if fits else [])
    shelves.close()


async def test_faults_hold_it_until_the_next_look(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    shelf = shelves["photos"]
    for error, state in (
        (LibraryReadOnly("no"), State.READONLY),
        (LibraryFull("no"), State.FULL),
        (Stranded("no"), State.OFFLINE),
    ):
        shelves.fault(shelf, error)
        assert shelf.state is state
        assert (shelf.library is None) == (state is State.OFFLINE)
        await shelves.look(shelf)
        assert shelf.online
    shelves.close()


async def test_many_look_at_once(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    shelf = shelves["photos"]
    shelves.fault(shelf, Stranded("no"))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(shelves.look, shelf)
    assert shelf.online
    assert house.indexed == ["photos", "photos"]
    shelves.close()


async def test_open_steps_are_ended_before_it_is_online(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    row = shelves["photos"].id
    shelves.close()
    house.open_step(1, row)
    house.open_step(2, row)
    house.in_hand = lambda step: step == 2
    again = house.shelves()
    await again.open_all()
    assert house.steps() == {1: "done", 2: "intent"}
    assert house.outcomes() == {1: "filed", 2: ""}
    assert not (house.root / "inbox" / "1.jpg").exists()
    assert (house.root / "inbox" / "2.jpg").exists()
    again.close()


async def test_a_step_that_cannot_be_ended_is_tried_again(house: House) -> None:
    shelves = house.shelves()
    await shelves.open_all()
    row = shelves["photos"].id
    shelves.close()
    house.open_step(1, row)
    faults = Faults(error_at=2, error=errno.EIO, kinds={"rename"})  # the first is the library's own probe
    house.files = FaultyFiles(faults)
    again = house.shelves()
    await again.open_all()
    assert faults.hit == "rename"
    assert again["photos"].online
    assert list(again["photos"].stuck) == [1]
    assert house.steps() == {1: "intent"}
    assert house.recovered == 1
    await again._free(again["photos"])
    assert not again["photos"].stuck
    assert house.recovered == 2
    assert house.outcomes() == {1: "filed"}
    again.close()


async def test_a_step_between_two_libraries_waits_for_the_other(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.shelves("photos", "two")
    await first.open_all()
    rows = dict(first.rows)
    first.close()
    house.open_step(1, rows["photos"])
    house.connection.execute(
        "UPDATE step SET origin = ?, source = destination, change = ?", (rows["two"], CHANGE)
    )
    (house.root / "two/1.jpg").write_bytes(CONTENT)
    again = house.shelves("photos", "two")
    house.slow["two"] = anyio.Event()
    monkeypatch.setattr(shelves_module, "_LOOK_AGAIN", math.inf)
    with caplog.at_level(logging.INFO):
        async with anyio.create_task_group() as tasks:
            await again.open_all(admit=False)
            tasks.start_soon(again.keep)
            await until(lambda: again["photos"].online)
            assert "1.jpg" in again["photos"].stuck[1]
            house.slow["two"].set()
            await until(lambda: not again["photos"].stuck)
            tasks.cancel_scope.cancel()
    assert house.steps() == {1: "done"}
    assert "stays open" not in caplog.text
    assert not (house.root / "two/1.jpg").exists()
    again.close()


async def test_libraries_that_are_opened_one_after_the_other_need_each_other(house: House) -> None:
    first = house.shelves("photos", "two")
    await first.open_all()
    rows = dict(first.rows)
    first.close()
    for name, other in (("photos", "two"), ("two", "photos")):
        number = rows[name]
        house.open_step(number, rows[name])
        house.connection.execute(
            "UPDATE step SET origin = ?, source = destination, change = ? WHERE id = ?",
            (rows[other], CHANGE, number),
        )
        (house.root / other / f"{number}.jpg").write_bytes(CONTENT)
    again = house.shelves("photos", "two")
    await again.open_all()
    assert not any(shelf.stuck for shelf in again)
    assert "intent" not in house.steps().values()
    again.close()


async def test_a_step_that_waits_for_what_is_away_is_told_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    first = house.shelves("photos", "two")
    await first.open_all()
    rows = dict(first.rows)
    first.close()
    house.open_step(1, rows["photos"])
    house.connection.execute(
        "UPDATE step SET origin = ?, source = destination, change = ?", (rows["two"], CHANGE)
    )
    again = house.shelves("photos")
    await again.open_all()
    await again._free(again["photos"])
    assert caplog.text.count("step 1 stays open") == 1
    again.close()


async def test_an_error_while_it_is_opened_is_an_offline_library(house: House) -> None:
    house.files = FaultyFiles(Faults(error_at=1, kinds={"list_dir"}))
    shelves = house.shelves()
    await shelves.open_all()
    assert shelves["photos"].state is State.OFFLINE
    await shelves.look(shelves["photos"])
    assert shelves["photos"].online
    shelves.fault(shelves["photos"], InputOutput("broken"))
    assert shelves["photos"].state is State.OFFLINE
    shelves.close()
