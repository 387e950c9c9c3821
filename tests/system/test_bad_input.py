"""Bad input costs one clear line and its own place in the queue; the next file is served."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from datetime import datetime
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon

MOVE = {"action": "move"}
PICTURE = samples.jpeg(datetime(2021, 7, 10, 20, 39, 25), seed=1)  # noqa: DTZ001 - local, as cameras keep it
NEXT = samples.jpeg(datetime(2022, 7, 10, 20, 39, 25), seed=2)  # noqa: DTZ001


def next_is_served(daemon: Daemon) -> None:
    daemon.put("next.jpg", NEXT)
    daemon.wait_for("next.jpg", "filed")


def lines_about(daemon: Daemon, name: str) -> list[str]:
    return [line for line in daemon.lines if f"inbox/{name} " in line]


def test_what_is_no_regular_file_is_ignored(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        os.mkfifo(daemon.inbox / "pipe.jpg")
        (daemon.inbox / "loop.jpg").symlink_to("loop.jpg")
        (daemon.inbox / "around").symlink_to(".")
        (daemon.inbox / "dangling.jpg").symlink_to("nowhere")
        daemon.put("picture.jpg", PICTURE, folder=tmp_path / "outside")
        (daemon.inbox / "outside").symlink_to(tmp_path / "outside")
        (daemon.inbox / "outside.jpg").symlink_to(tmp_path / "outside" / "picture.jpg")
        names = {"pipe.jpg": "a FIFO"}
        links = ("loop.jpg", "around", "dangling.jpg", "outside", "outside.jpg")
        names.update(dict.fromkeys(links, "a symbolic link"))
        if os.geteuid() == 0:
            os.mknod(daemon.inbox / "null.jpg", 0o666 | 0o020000, os.makedev(1, 3))
            names["null.jpg"] = "a device"
        for name, what in names.items():
            assert daemon.wait_for(name, "ignored").reason == f"is {what}"
        next_is_served(daemon)
        for name in names:
            daemon.wait_until(lambda: len(lines_about(daemon, name)) == 1)  # noqa: B023
        assert daemon.filed() == {b"2022/2022-07-10/next.jpg": NEXT}
        assert {os.fsencode(name) for name in names} == daemon.left().keys()


def test_a_link_may_lead_to_the_root(tmp_path: Path) -> None:
    """Who configures is trusted; who fills the inbox is not."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with Daemon(tmp_path, watch={**MOVE, "path": str(tmp_path / "link")}) as daemon:
        daemon.start_watching()
        next_is_served(daemon)


def test_a_folder_swapped_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Neither is the stranger read nor removed, at any stage."""
    secret = samples.jpeg(seed=66)
    with Daemon(tmp_path, watch=MOVE, more={"daemon": {"workers": 1}}) as daemon:
        daemon.put("IMG.jpg", secret, folder=tmp_path / "outside")
        with daemon.stalled_workers():
            daemon.put("sub/IMG.jpg", PICTURE)
            daemon.wait_until(lambda: daemon.has_open("IMG.jpg"))
            os.rename(daemon.inbox / "sub", tmp_path / "moved")
            (daemon.inbox / "sub").symlink_to(tmp_path / "outside")
        daemon.wait_for("sub", "ignored")
        next_is_served(daemon)
        assert (tmp_path / "outside" / "IMG.jpg").read_bytes() == secret
        assert secret not in daemon.filed().values()


def test_empty_and_foreign_files_stay(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.put("empty.jpg", b"")
        daemon.put("notes.txt", b"buy milk")
        daemon.put("page.html", b"<html>")
        assert daemon.wait_for("empty.jpg", "ignored").code == "empty"
        assert daemon.wait_for("notes.txt", "ignored").code == "not-media"
        assert daemon.wait_for("page.html", "ignored").code == "not-media"
        next_is_served(daemon)
        assert len(daemon.left()) == 3


@pytest.mark.parametrize("stem", ["a" * 251, "é" * 125, "漢" * 83], ids=["ascii", "two bytes", "three bytes"])
def test_names_of_255_bytes(tmp_path: Path, stem: str) -> None:
    """Also where a second one of its name needs a number, and a third goes to trash or quarantine."""
    name = f"{stem}.jpg"
    with Daemon(tmp_path, watch=MOVE, library={"layout": "{taken:%Y}/{name}"}) as daemon:
        daemon.put(name, PICTURE)
        daemon.wait_for(name, "filed")
        daemon.put(f"second/{name}", samples.jpeg(datetime(2021, 1, 1), seed=5))  # noqa: DTZ001
        daemon.wait_for(f"second/{name}", "filed")
        daemon.put(f"copy/{name}", PICTURE)
        daemon.wait_for(f"copy/{name}", "duplicate")
        daemon.put(f"broken/{name}", samples.broken_jpeg())
        daemon.wait_for(f"broken/{name}", "quarantined")
        next_is_served(daemon)
        assert len(daemon.filed()) == 3
        for private in ("trash", "quarantine"):
            reason, file = sorted(daemon.private(private), key=lambda found: not found.endswith(b".txt"))
            assert reason == file + b".reason.txt"


def enormous_png(side: int) -> bytes:
    """A picture that claims to be `side` x `side` and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def test_a_picture_that_claims_to_be_enormous(tmp_path: Path) -> None:
    jpeg = samples.jpeg(datetime(2021, 7, 10), seed=1)  # noqa: DTZ001
    marker = jpeg.index(b"\xff\xc0")
    claimed = jpeg[: marker + 5] + struct.pack(">HH", 60_000, 60_000) + jpeg[marker + 9 :]
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.put("enormous.png", enormous_png(60_000))
        daemon.put("enormous.jpg", claimed)
        next_is_served(daemon)
        for name in ("enormous.png", "enormous.jpg"):
            assert daemon.wait_until(lambda: daemon.outcome(name).outcome) in ("filed", "quarantined")  # noqa: B023
            daemon.wait_until(lambda: len(lines_about(daemon, name)) == 1)  # noqa: B023
        peak = Path(f"/proc/{daemon.pid}/status").read_text("ascii").partition("VmHWM:")[2].split()[0]
        assert int(peak) < 200_000


def test_hostile_files(tmp_path: Path, shared_media: Path) -> None:
    hostile = sorted((shared_media / "hostile").iterdir())
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        for file in hostile:
            shutil.copyfile(file, daemon.inbox / file.name)
        daemon.wait_until(
            lambda: all(daemon.outcome(file.name).outcome for file in hostile), what="an outcome for each"
        )
        next_is_served(daemon)
        found = daemon.outcomes()
        for file in hostile:
            outcome = found[os.fsencode(file.name)]
            lines = [line for line in lines_about(daemon, file.name) if "settles again" not in line]
            assert len(lines) == 1, lines
            assert outcome.outcome in ("filed", "quarantined", "ignored", "duplicate")
            no_media = file.stat().st_size == 0 or file.suffix == ".ico"
            assert (outcome.outcome == "ignored") == no_media, (file.name, outcome)
            assert outcome.outcome == "filed" or outcome.reason
        kept = [
            *daemon.filed().values(),
            *daemon.private("quarantine").values(),
            *daemon.private("trash").values(),
        ]
        kept.extend(entry for entry in daemon.left().values() if isinstance(entry, bytes))
        assert {file.read_bytes() for file in hostile} <= set(kept)
        assert "Traceback" not in "\n".join(daemon.lines)


def test_hostile_files_in_a_copy_watch_stay(tmp_path: Path, shared_media: Path) -> None:
    with Daemon(tmp_path, start=False) as daemon:
        shutil.copytree(shared_media / "hostile", daemon.inbox, dirs_exist_ok=True)
        daemon.inbox.chmod(0o755)
        before = daemon.left()
        assert daemon.run_once().code == 3
        assert daemon.left() == before
        assert not daemon.private("quarantine")
        since = len(daemon.lines)
        daemon.run_once()
        assert not [line for line in daemon.lines[since:] if "inbox/" in line]
