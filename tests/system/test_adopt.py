"""`mediactl adopt` on the real daemon: a library that was there before, whatever happens on the way."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

from tests import samples
from tests.system.once import QUIET, picture
from tests.system.steered import Steered, finished
from tests.trees import files

COUNT = 1000


def fill(library: Path) -> None:
    """A library with some pictures in some folders."""
    for number, (name, content) in enumerate(samples.jpeg_series(COUNT, length=20_000, pictures=2)):
        folder = library / str(number // 100)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def adopted(daemon: Steered) -> int:
    try:
        return int(daemon.query("SELECT count(*) FROM file WHERE item NOT NULL")[0][0])
    except sqlite3.OperationalError:  # it is being opened or closed at this moment
        return 0


def test_it_goes_on_after_everybody_was_killed(tmp_path: Path) -> None:
    fill(tmp_path / "photos")
    before = files(tmp_path / "photos")
    with Steered(tmp_path, more=QUIET) as daemon:
        process = daemon.popen("adopt", "photos")
        daemon.wait_until(lambda: adopted(daemon) >= 50)
        daemon.kill()
        assert finished(process).returncode == 3
        daemon.start()
        process = daemon.popen("adopt", "photos")
        daemon.wait_until(lambda: adopted(daemon) >= 300)
        done = finished(process, signal.SIGINT)
        assert (done.returncode, "goes on where this one was" in done.stderr) == (130, True)
        daemon.wait_until(lambda: daemon.shelf("photos")["state"] == "online")
        assert adopted(daemon) < COUNT, "it was to be stopped in its midst"
        reply = daemon.document("adopt", str(tmp_path / "photos"))
        assert reply["adopted"] + reply["already"] == COUNT
        assert reply["already"] >= 300
        assert daemon.query("SELECT count(*), count(DISTINCT destination) FROM step") == [(COUNT, COUNT)]
        assert daemon.totals() == {}
        assert files(tmp_path / "photos", without={b".mediad"}) == before


def test_a_library_that_lost_its_marker(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(picture(1))
    marker = tmp_path / "photos" / ".mediad" / "library.toml"
    with Steered(tmp_path, more=QUIET) as daemon:
        assert "1 adopted" in daemon.ctl("adopt", "photos").stdout
        content = marker.read_text().splitlines()[0]
        marker.unlink()
        daemon.ctl("scan")
        daemon.ctl("scan")
        assert "mediactl adopt photos" in daemon.ctl("status").stdout
        away = (tmp_path / "photos" / "a.jpg").rename(tmp_path / "away.jpg")
        refused = daemon.ctl("adopt", "photos", code=1)
        assert "does not prove" in refused.stderr
        assert not marker.exists()
        away.rename(tmp_path / "photos" / "a.jpg")
        forecast = daemon.ctl("adopt", "-n", "photos").stdout
        assert "would be written again" in forecast
        assert not marker.exists()
        assert "was written again" in daemon.ctl("adopt", "photos").stdout
        assert marker.read_text().splitlines()[0] == content
        assert "adopt" in daemon.ctl("history").stdout
        assert "found in the library" in daemon.ctl("why", str(tmp_path / "photos" / "a.jpg")).stdout
        assert daemon.ctl("adopt", "nosuch", code=2).stderr
