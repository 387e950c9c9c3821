"""A real daemon backs up while it runs, stops at a damaged catalogue, and goes on after a rebuild."""

from __future__ import annotations

import os
from pathlib import Path

from tests.system.once import picture
from tests.system.steered import Steered

LATE = "2021/2021-03-01/late.jpg"
MOVE = {"action": "move", "settle": "0s"}


def test_backed_up_killed_damaged_rebuilt(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        for number in range(3):
            daemon.put(f"{number}.jpg", picture(number))
        daemon.wait_for_count("filed", 3)
        assert daemon.run("rebuild").code == 75
        assert daemon.stop() == 0
        (backup,) = (daemon.state / "backups").iterdir()
        assert backup.name.startswith("catalogue-")
        daemon.start()  # which gives the library what it is to carry
        carried = daemon.library / ".mediad/catalogue.db"
        daemon.wait_until(carried.exists)
        daemon.put("late.jpg", picture(9))
        daemon.wait_for("late.jpg", "filed")
        held = daemon.filed()
        daemon.kill()
        with (daemon.state / "catalogue.db").open("r+b") as catalogue:
            catalogue.write(os.urandom(50_000))
        ended = daemon.run("run")
        assert ended.code == 74
        assert "run `mediad rebuild`" in ended.lines[-1]
        assert not [line for line in ended.lines if "Traceback" in line]
        assert daemon.run("rebuild").code == 0
        daemon.start()
        assert daemon.rest() == "idle"
        assert daemon.filed() == held
        told = {row["destination"].rpartition("/")[2]: row for row in daemon.call("History")["rows"]}
        assert told["late.jpg"]["action"] == "adopt"
        assert [told[f"{number}.jpg"]["action"] for number in range(3)] == ["move"] * 3
        assert "re-hashed by rebuild" in daemon.ctl("why", str(daemon.folders["photos"] / LATE)).stdout
        daemon.put("again.jpg", picture(9))
        daemon.wait_for("again.jpg", "duplicate")
