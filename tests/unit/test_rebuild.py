"""A catalogue that is lost, damaged or put back from long ago: what the daemon says, what a rebuild makes."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw
import pytest

from mediad import eventloop
from mediad.errors import CatalogueBroken
from mediad.lock import lock_file
from tests.rebuilding import NUMBERS, Lost
from tests.system.once import picture

# sdnotify drops its socket where nobody wants to be told
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

COUNT = len(NUMBERS)


@pytest.fixture
def lost(tmp_path: Path) -> Lost:
    """A house in which all is filed, and backed up."""
    house = Lost(tmp_path)
    house.fill()
    assert house.once() == 0
    assert len(house.backups()) == 1
    assert house.carried().stat().st_mode & 0o777 == 0o600
    return house


def test_a_catalogue_that_is_gone_comes_back_by_itself(
    lost: Lost, capsys: pytest.CaptureFixture[str]
) -> None:
    held, history, ids = lost.held(), lost.history(), lost.ids()
    lost.lose()
    assert lost.once() == 0
    said = capsys.readouterr().err
    assert "library photos: took in what it carries of an earlier catalogue: 12 files" in said
    assert "there are backups of another" in said
    assert lost.held() == held
    assert (lost.history(), lost.ids()) == (history, ids)
    assert lost.totals() == {"filed": 2 * COUNT}
    assert lost.is_whole()


def test_what_is_carried_is_taken_in_once(lost: Lost) -> None:
    lost.lose()
    assert lost.once() == 0
    ids = lost.ids()
    shutil.copy(lost.carried(), lost.root / "carried")
    assert lost.once() == 0
    shutil.copy(lost.root / "carried", lost.carried())
    assert lost.once() == 0
    assert lost.ids() == ids


def test_all_is_hashed_where_there_is_no_backup(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    held, digests = lost.held(), lost.digests()
    lost.forget_backups("photos")
    lost.lose()
    assert lost.rebuild() == 0
    said = capsys.readouterr().out
    assert "made anew, from the libraries alone" in said
    assert "library photos: 0 files known, 12 re-hashed, 0 missing" in said
    assert lost.digests() == digests
    assert lost.query("SELECT DISTINCT code, reason FROM arrival") == [("re-hashed", "re-hashed by rebuild")]
    assert lost.once() == 0  # what the card shows is no news
    assert lost.held() == held
    assert lost.totals() == {"filed": 2 * COUNT, "duplicate": COUNT}


def test_what_is_no_regular_file_has_no_content(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    first = lost.root / "photos" / os.fsdecode(min(lost.held()))
    first.unlink()
    os.mkfifo(first)
    (lost.root / "photos/link.jpg").symlink_to(first)
    lost.lose()
    assert lost.rebuild() == 0
    assert "library photos: 11 files known, 0 re-hashed, 1 missing" in capsys.readouterr().out
    assert lost.query("SELECT count(*) FROM file WHERE NOT missing") == [(11,)]


def flipped(path: Path) -> None:
    """Some bytes in every other page."""
    rng, content = random.Random(7), bytearray(path.read_bytes())
    for page in range(4096, len(content), 8192):
        for _ in range(40):
            content[page + rng.randrange(2000)] ^= 0xFF
    path.write_bytes(content)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(3).randbytes(20_000))


@pytest.mark.parametrize(
    ("damage", "keeps"),
    [(flipped, "both"), (truncated, "state"), (garbage, "library"), (flipped, "none")],
)
def test_a_damaged_one_is_made_anew(
    lost: Lost, damage: Callable[[Path], None], keeps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held, digests, history = lost.held(), lost.digests(), lost.history()
    damage(lost.catalogue)
    Path(f"{lost.catalogue}-wal").write_bytes(b"\0" * 32)  # as after a stop that was not clean
    damaged = lost.catalogue.read_bytes()
    if keeps in ("library", "none"):
        lost.backups()[0].unlink()
    if keeps in ("state", "none"):
        lost.carried().unlink()
    assert lost.once() == 74
    said = capsys.readouterr().err
    assert "run `mediad rebuild`" in said
    assert "Traceback" not in said
    assert lost.catalogue.read_bytes() == damaged
    assert lost.rebuild() == 0
    assert lost.digests() == digests
    if keeps != "none":
        assert lost.history() == history
    (aside,) = lost.root.glob("state/catalogue.db.before-*Z")
    assert aside.read_bytes() == damaged
    assert lost.is_whole()
    assert lost.once() == 0
    assert lost.held() == held
    lost.totals()


def test_an_empty_file_is_no_catalogue(lost: Lost) -> None:
    history = lost.history()
    os.truncate(lost.catalogue, 0)
    assert lost.rebuild() == 0
    assert lost.history() == history


def test_an_old_one_is_not_filed_with(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    old = lost.catalogue.read_bytes()
    lost.fill(first=1000)
    lost.backups()[0].unlink()  # so that another one is made
    assert lost.once() == 0
    held, history, digests = lost.held(), lost.history(), lost.digests()
    lost.backups()[0].unlink()
    lost.catalogue.write_bytes(old)
    lost.fill(first=2000)
    assert lost.once() == 74
    said = capsys.readouterr().err
    assert "the catalogue is older than what library photos carries of it" in said
    assert "mediad rebuild" in said
    assert lost.held() == held
    assert lost.rebuild() == 0
    assert (lost.history(), lost.digests()) == (history, digests)
    assert lost.once() == 0
    assert len(lost.held()) == len(held) + 2 * COUNT
    lost.catalogue.write_bytes(old)  # from before the rebuild: another catalogue by its id
    lost.backups()[0].unlink(missing_ok=True)
    assert lost.once() == 74


def test_two_libraries_of_which_one_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = Lost(tmp_path, "photos", "other")
    lost.fill()
    assert lost.once() == 0
    held, history, digests = lost.held("other"), lost.history(), lost.digests()
    lost.lose()
    lost.backups()[0].unlink()
    (tmp_path / "other").rename(tmp_path / "away")
    assert lost.rebuild() == 0
    said = capsys.readouterr().out
    assert "library other: not looked at" in said
    assert len(lost.digests()) == 2 * COUNT
    (tmp_path / "away").rename(tmp_path / "other")
    assert lost.once() == 0
    assert (
        "library other: took in what it carries of an earlier catalogue: 6 files" in capsys.readouterr().err
    )
    assert (lost.history(), lost.digests()) == (history, digests)
    assert lost.held("other") == held
    assert lost.totals() == {"filed": 3 * COUNT}
    assert lost.is_whole()


def test_a_library_brought_to_another_machine_has_its_history(lost: Lost, tmp_path: Path) -> None:
    there = Lost(tmp_path / "elsewhere")
    there.fill(first=5000)
    assert there.once() == 0  # it has a catalogue of its own, with the same numbers
    here = set(lost.history())
    shutil.rmtree(there.root / "photos")
    shutil.copytree(lost.root / "photos", there.root / "archive")
    there.libraries = ("archive",)
    there.configure()
    assert there.once() == 0
    known = {(*row[:3], *row[4:]) for row in there.history()}
    assert {(*row[:3], *row[4:]) for row in here} <= known
    assert there.totals()["filed"] >= 2 * COUNT
    assert there.is_whole()
    places = dict(there.query("SELECT key, root FROM place"))
    assert places["inbox"] == os.fsencode(there.root / "inbox")
    assert os.fsencode(lost.root / "inbox") in places.values()


def test_what_changed_since_is_told_apart(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    folder = next((lost.root / "photos").rglob("*.jpg")).parent
    gone, edited, touched, *_ = sorted(folder.iterdir())
    gone.unlink()
    edited.write_bytes(picture(900) + b"more")
    os.utime(touched, (1, 1))
    (folder / "new.jpg").write_bytes(picture(901))
    (lost.root / "photos/.mediad/trash/mine.jpg").write_bytes(b"x")
    before = len(lost.query("SELECT 1 FROM file WHERE digest IS NOT NULL"))
    lost.lose()
    assert lost.rebuild() == 0
    said = capsys.readouterr().out
    assert "library photos: 10 files known, 2 re-hashed, 1 missing" in said
    assert "nothing is recorded of: .mediad/trash/mine.jpg" in said
    missing = lost.query("SELECT path, digest IS NOT NULL FROM file WHERE missing")
    assert missing == [(os.fsencode(gone.relative_to(lost.root / "photos")), 1)]
    assert len(lost.query("SELECT 1 FROM file WHERE digest IS NOT NULL")) == before + 1
    rows = lost.query(
        "SELECT destination FROM step JOIN arrival ON arrival.id = arrival"
        " WHERE code = 're-hashed' ORDER BY 1"
    )
    assert [os.path.basename(row[0]) for row in rows] == sorted(map(os.fsencode, (edited.name, "new.jpg")))


def test_running_it_again_changes_nothing(lost: Lost) -> None:
    assert lost.rebuild() == 0
    history, ids, digests = lost.history(), lost.ids(), lost.digests()
    assert lost.rebuild() == 0
    assert (lost.history(), lost.ids(), lost.digests()) == (history, ids, digests)
    assert len(list(lost.root.glob("state/catalogue.db.before-*"))) == 2
    assert not list(lost.root.glob("state/**/*.new"))


@pytest.mark.parametrize("held", ["state/lock", "photos/.mediad/lock"])
def test_it_keeps_away_from_a_daemon(lost: Lost, held: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = lost.catalogue.read_bytes()
    lock = lock_file(os.fsencode(lost.root / held), "it")
    assert lost.rebuild() == 75
    os.close(lock)
    assert f"(pid {os.getpid()})" in capsys.readouterr().err
    assert lost.catalogue.read_bytes() == before


def test_it_is_for_the_user_that_the_daemon_is(
    lost: Lost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lost.catalogue.read_bytes()
    owner = (lost.root / "state").stat().st_uid
    monkeypatch.setattr("mediad.cli.rebuild.os.geteuid", lambda: owner + 1)
    assert lost.rebuild() == 77
    assert "run it as that user: sudo -u " in capsys.readouterr().err
    assert lost.catalogue.read_bytes() == before


def test_what_cannot_be_read_now_is_not_called_damaged(
    lost: Lost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot(path: Path) -> None:
        raise apsw.CantOpenError("unable to open database file")

    monkeypatch.setattr("mediad.store.rebuilding.open_as_it_lies", cannot)
    assert lost.rebuild() == 74
    assert "it cannot be read: unable to open" in capsys.readouterr().err
    assert not list(lost.root.glob("state/catalogue.db.before-*"))


def test_an_index_that_lies_does_not_come_along(lost: Lost) -> None:
    (root,) = lost.query("SELECT rootpage FROM sqlite_schema WHERE name = 'file_digest'")[0]
    (digest,) = lost.query("SELECT digest FROM file LIMIT 1")[0]
    for path in (lost.catalogue, *lost.backups()):
        content = bytearray(path.read_bytes())
        content[content.index(digest, (root - 1) * 4096) + 10] ^= 0xFF
        path.write_bytes(content)
    assert not lost.is_whole()
    assert lost.rebuild() == 0
    assert lost.is_whole()


def test_an_empty_mount_point_gets_no_marker(lost: Lost) -> None:
    (lost.root / "photos").rename(lost.root / "away")
    (lost.root / "photos").mkdir()
    lost.forget_backups()
    lost.lose()
    assert lost.rebuild() == 0
    assert list((lost.root / "photos").iterdir()) == []


def test_a_damaged_backup_is_passed_over(lost: Lost, capsys: pytest.CaptureFixture[str]) -> None:
    digests = lost.digests()
    garbage(lost.carried())
    flipped(lost.backups()[0])
    flipped(lost.catalogue)
    assert lost.rebuild() == 0
    assert capsys.readouterr().out.count("damaged, and of no use") == 3
    assert lost.digests() == digests


def test_what_fails_in_many_places_is_told_once() -> None:
    async def broken() -> None:
        raise CatalogueBroken("the catalogue cannot be used")

    async def run() -> None:
        async with anyio.create_task_group() as outer:
            outer.start_soon(broken)
            async with anyio.create_task_group() as inner:
                inner.start_soon(broken)
                inner.start_soon(broken)

    with pytest.raises(CatalogueBroken):
        eventloop.run(run)
