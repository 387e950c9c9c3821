"""`mediactl import`: a verdict to rely on, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

from tests import samples
from tests.system.daemon import MEEK
from tests.system.once import QUIET, picture
from tests.system.steered import Steered, finished
from tests.trees import tree

LABELLED = {"layout": "{taken:%Y}/{label|none}/{name}"}


def fill(card: Path, count: int) -> dict[bytes, bytes]:
    """A card of so many pictures; returns them by name."""
    pictures = {
        os.fsencode(name): content for name, content in samples.jpeg_series(count, length=20_000, pictures=2)
    }
    for number, (name, content) in enumerate(pictures.items()):
        folder = card / "DCIM" / f"{100 + number // 100}MEDIA"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / os.fsdecode(name)).write_bytes(content)
    return pictures


def filed(daemon: Steered) -> int:
    try:
        return int(daemon.query("SELECT count(*) FROM arrival WHERE outcome = 'filed'")[0][0])
    except sqlite3.OperationalError:  # it is being opened or closed at this moment
        return 0


def test_a_card_and_its_verdict(tmp_path: Path) -> None:
    card = tmp_path / "card"
    with Steered(tmp_path, library=LABELLED, wrap=MEEK if os.geteuid() == 0 else ()) as daemon:
        daemon.put("DCIM/IMG_1.jpg", picture(1), folder=card)
        daemon.put("DCIM/IMG_1.xmp", samples.xmp_sidecar(rating=2), folder=card)
        daemon.put("DCIM/IMG_2.jpg", picture(2), folder=card)
        daemon.put("DCIM/broken.jpg", samples.broken_jpeg(1), folder=card)
        daemon.put("DCIM/empty.jpg", b"", folder=card)
        daemon.put("notes.txt", b"note", folder=card)
        daemon.put("secret/hidden.jpg", picture(3), folder=card)
        before = tree(card)
        os.chmod(card / "secret", 0)
        try:
            forecast = daemon.ctl("import", "-n", str(card), code=1).stdout
            assert "Would be: 3 filed" in forecast
            assert daemon.filed() == {}
            done = daemon.ctl("import", str(card), "--label", "Iceland 2021", code=1)
        finally:
            os.chmod(card / "secret", 0o755)
        assert "Not complete" in done.stdout
        assert f"{card}/DCIM/broken.jpg" in done.stdout
        assert f"{card}/secret" in done.stdout
        assert "notes.txt" not in done.stdout
        assert set(daemon.filed()) == {
            b"2021/Iceland 2021/IMG_1.jpg",
            b"2021/Iceland 2021/IMG_1.xmp",
            b"2021/Iceland 2021/IMG_2.jpg",
        }
        reply = daemon.document("import", str(card), "--label", "Iceland 2021", code=1)
        assert (reply["already"], reply["filed"], reply["quarantined"]) == (3, 1, 1)
        assert tree(card) == before
        (card / "DCIM" / "broken.jpg").unlink()
        assert "Complete" in daemon.ctl("import", str(card)).stdout
        assert "Iceland 2021" in daemon.ctl("why", str(card / "DCIM" / "IMG_2.jpg")).stdout
        daemon.ctl("import", str(daemon.inbox), code=1)
        daemon.ctl("import", str(tmp_path / "nowhere"), code=1)
        daemon.ctl("pause")
        assert "mediactl resume" in daemon.ctl("import", str(card), code=1).stderr
        daemon.ctl("import", code=2)


def test_it_goes_on_after_the_daemon_was_killed(tmp_path: Path) -> None:
    card = tmp_path / "card"
    pictures = fill(card, 1000)
    with Steered(tmp_path, more=QUIET) as daemon:
        for count in (50, 500):
            process = daemon.popen("import", str(card))
            daemon.wait_until(lambda count=count: filed(daemon) >= count)  # type: ignore[misc]
            daemon.kill()
            done = finished(process)
            assert done.returncode == 3
            assert "Complete" not in done.stdout
            assert "Traceback" not in done.stderr
            daemon.start()
        reply = daemon.document("import", str(card))
        assert reply["complete"]
        assert reply["already"] >= 500
        assert reply["already"] + reply["filed"] == 1000
        assert sorted(daemon.filed().values()) == sorted(pictures.values())
        assert daemon.private("tmp") == {}
        assert daemon.call("Duplicates")["groups"] == []
        assert daemon.totals()["filed"] == 1000


def test_it_goes_on_after_the_client_was_interrupted(tmp_path: Path) -> None:
    card = tmp_path / "card"
    pictures = fill(card, 1000)
    with Steered(tmp_path, more=QUIET) as daemon:
        process = daemon.popen("import", str(card))
        daemon.wait_until(lambda: filed(daemon) >= 50)
        done = finished(process, signal.SIGINT)
        assert done.returncode == 130
        assert "goes on where this one was" in done.stderr
        daemon.ctl("wait")
        assert filed(daemon) < 1000, "it was to be stopped in its midst"
        assert "Complete" in daemon.ctl("import", str(card)).stdout
        assert sorted(daemon.filed().values()) == sorted(pictures.values())
        assert daemon.call("Duplicates")["groups"] == []


def test_the_daemon_is_stopped_and_reloaded_meanwhile(tmp_path: Path) -> None:
    card = tmp_path / "card"
    pictures = fill(card, 1000)
    with Steered(tmp_path, more=QUIET) as daemon:
        process = daemon.popen("import", str(card))
        daemon.wait_until(lambda: filed(daemon) >= 50)
        daemon.change("watch", "inbox", action="move", path=str(tmp_path / "other"))
        (tmp_path / "other").mkdir()
        assert daemon.reload() == [
            f"watch inbox: path is {tmp_path}/other, was {tmp_path}/inbox",
            "watch inbox: action is move, was copy",
        ]
        daemon.put("a.jpg", picture(1), folder=tmp_path / "other")
        daemon.wait_for("a.jpg", "filed")
        done = finished(process)
        assert done.returncode == 0, done.stderr
        assert sorted(daemon.filed().values()) == sorted([*pictures.values(), picture(1)])


def test_it_ends_when_the_daemon_stops(tmp_path: Path) -> None:
    card = tmp_path / "card"
    fill(card, 1000)
    with Steered(tmp_path, more=QUIET) as daemon:
        process = daemon.popen("import", str(card))
        daemon.wait_until(lambda: filed(daemon) >= 50)
        assert daemon.stop() == 0
        done = finished(process)
        assert done.returncode == 3, done.stdout
        assert daemon.private("tmp") == {}
        assert not daemon.query("SELECT * FROM step WHERE state = 'intent'")
