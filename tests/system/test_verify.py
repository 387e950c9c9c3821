"""`mediactl verify` and `mediactl safe-to-wipe`, by the real daemon."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.system.once import picture
from tests.system.steered import Steered
from tests.waiting import wait_until

FLAT = {"layout": "{name}"}


def rot(path: Path) -> None:
    """Change content as a failing disk does: neither size nor time tell."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def states(daemon: Steered, *arguments: str, code: int = 0) -> dict[str, str]:
    """What `verify --json` says of each file, by its name."""
    lines = daemon.ctl("verify", *arguments, "--json", code=code).stdout.splitlines()
    return {os.path.basename(file["path"]): file["state"] for file in map(json.loads, lines)}


def test_rot_and_loss_are_found_and_stay_visible(tmp_path: Path) -> None:
    with Steered(tmp_path, library=FLAT) as daemon:
        for number in (1, 2, 3):
            daemon.put(f"IMG_{number}.jpg", picture(number))
        assert daemon.rest() == "idle"
        assert states(daemon) == {f"IMG_{number}.jpg": "ok" for number in (1, 2, 3)}
        assert daemon.status()["libraries"][0]["last_verify"] is not None
        rot(daemon.library / "IMG_1.jpg")
        (daemon.library / "IMG_2.jpg").unlink()
        found = {"IMG_1.jpg": "changed", "IMG_2.jpg": "missing", "IMG_3.jpg": "ok"}
        assert states(daemon, code=1) == found
        assert {"changed", "missing"} <= set(daemon.attention())
    with Steered(tmp_path, library=FLAT) as daemon:
        assert {"changed", "missing"} <= set(daemon.attention())
        assert states(daemon, code=1) == found
        daemon.ctl("verify", "--accept", str(daemon.library / "IMG_1.jpg"))
        daemon.ctl("verify", "--accept", str(daemon.library / "IMG_2.jpg"))
        assert states(daemon) == {"IMG_1.jpg": "ok", "IMG_3.jpg": "ok"}
        assert daemon.attention() == []


def test_a_library_is_verified_by_itself(tmp_path: Path) -> None:
    with Steered(tmp_path, library=FLAT) as daemon:
        daemon.put("IMG_1.jpg", picture(1))
        assert daemon.rest() == "idle"
        rot(daemon.library / "IMG_1.jpg")
        daemon.settings["verify"] = {"every": "30d", "rate": "1GB/s"}
        daemon.configure()
        daemon.reload()
        wait_until(lambda: "changed" in daemon.attention())


def test_a_card_may_be_wiped_when_all_is_kept(tmp_path: Path) -> None:
    card = tmp_path / "card"
    with Steered(tmp_path, library=FLAT) as daemon:
        for number in (1, 2):
            daemon.put(f"DCIM/IMG_{number}.jpg", picture(number), folder=card)
        assert "These are not kept" in daemon.ctl("safe-to-wipe", str(card), code=1).stdout
        daemon.ctl("import", str(card))
        assert "Yes" in daemon.ctl("safe-to-wipe", str(card)).stdout
        assert daemon.document("safe-to-wipe", str(card))["kept"] == 2
        daemon.put("MISC/index.dat", b"index", folder=card)
        reply = daemon.document("safe-to-wipe", str(card), code=1)
        assert [os.path.basename(one["path"]) for one in reply["not_kept"]] == ["index.dat"]
        rot(daemon.library / "IMG_1.jpg")
        assert "other content" in daemon.ctl("safe-to-wipe", str(card), code=1).stdout
        daemon.ctl("safe-to-wipe", str(daemon.library), code=1)
        shutil.rmtree(card)
        card.mkdir()
        assert "is the card mounted?" in daemon.ctl("safe-to-wipe", str(card), code=1).stdout
        daemon.ctl("safe-to-wipe", str(tmp_path / "none"), code=1)
        daemon.ctl("safe-to-wipe", code=2)
