"""A library that is away, full or read-only holds its files, and takes them by itself once it is back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import mounting, samples
from tests.mounting import Factory
from tests.system.daemon import Daemon
from tests.waiting import wait_until

MOVE = {"action": "move"}


def picture(seed: int) -> bytes:
    return samples.jpeg(seed=seed)


def held(daemon: Daemon, name: str) -> bool:
    """The file is still there, and nothing was concluded of it."""
    return (daemon.inbox / name).exists() and not daemon.outcome(name).outcome


def test_the_library_is_renamed_away(tmp_path: Path) -> None:
    away = tmp_path / "away"
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.put("one.jpg", picture(1))
        daemon.wait_for("one.jpg", "filed")
        daemon.library.rename(away)
        for seed in range(2, 6):
            daemon.put(f"IMG_{seed}.jpg", picture(seed))
        daemon.wait_for_line("library photos is offline")
        assert all(held(daemon, f"IMG_{seed}.jpg") for seed in range(2, 6))
        assert not daemon.library.exists()
        # a duplicate of what lies in the library is no duplicate while nobody can see that
        daemon.put("copy.jpg", picture(1))
        away.rename(daemon.library)
        daemon.wait_for_line("library photos is online again")
        daemon.wait_for_count("filed", 5)
        daemon.wait_for("copy.jpg", "duplicate")
        assert sorted(daemon.filed().values()) == sorted(picture(seed) for seed in range(1, 6))
        assert len(daemon.matching("library photos is offline")) == 1


def test_what_stands_in_the_place_of_a_library_is_not_the_library(tmp_path: Path) -> None:
    """An empty folder, as when its disk is not mounted; another library; and nothing at all."""
    names = ("empty", "strange", "missing")
    watches = {f"to-{name}": {**MOVE, "library": name} for name in (*names, "fine")}
    libraries: dict[str, dict[str, object]] = {name: {} for name in (*names, "fine")}
    with Daemon(tmp_path, watches=watches, libraries=libraries, start=False) as daemon:
        assert daemon.run_once().code == 0
        for name in ("empty", "missing"):
            daemon.folders[name].rename(tmp_path / f"{name}-disk")
        daemon.folders["empty"].mkdir()
        marker = daemon.folders["strange"] / ".mediad" / "library.toml"
        mine = marker.read_text("utf-8")
        marker.write_text('id = "another"\n', "utf-8")
        for seed, name in enumerate((*names, "fine")):
            daemon.put("one.jpg", picture(seed), folder=daemon.folders[f"to-{name}"])
        assert daemon.run_once().code == 3
        daemon.start()
        daemon.wait_for_line("library empty is offline: .*marker .* is missing")
        daemon.wait_for_line("library strange is offline: .*another library is there")
        daemon.wait_for_line("library missing is offline: .*the folder is missing")
        daemon.put("two.jpg", picture(4), folder=daemon.folders["to-fine"])
        daemon.wait_for("two.jpg", "filed", watch="to-fine")
        for name in names:
            assert (daemon.folders[f"to-{name}"] / "one.jpg").exists()
            assert not daemon.outcomes(f"to-{name}")
        assert list(daemon.folders["empty"].iterdir()) == []
        daemon.folders["empty"].rmdir()
        for name in ("empty", "missing"):
            (tmp_path / f"{name}-disk").rename(daemon.folders[name])
        marker.write_text(mine, "utf-8")
        for name in names:
            daemon.wait_for("one.jpg", "filed", watch=f"to-{name}")


def test_a_library_that_was_never_there(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.library.rmdir()
        daemon.put("one.jpg", picture(1))
        ended = daemon.run_once()
        assert ended.code == 3
        ended.line("library photos is offline: .*the folder is missing")
        assert held(daemon, "one.jpg")
        assert not daemon.library.exists()
        daemon.library.mkdir()
        assert daemon.run_once().code == 0
        assert list(daemon.filed().values()) == [picture(1)]


def test_the_library_becomes_read_only(tmp_path: Path, loop_fs: Factory) -> None:
    """As disks do when they fail."""
    disk = loop_fs("ext4", options="errors=remount-ro")
    with Daemon(tmp_path, watch=MOVE, library={"path": str(disk)}) as daemon:
        daemon.put("one.jpg", picture(1))
        daemon.wait_for("one.jpg", "filed")
        break_filesystem(disk)
        daemon.put("two.jpg", picture(2))
        daemon.wait_for_line("library photos is readonly")
        assert held(daemon, "two.jpg")
        assert daemon.stop() == 0


def break_filesystem(disk: Path) -> None:
    device = disk.stat().st_dev
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    trigger = Path("/sys/fs/ext4", name, "trigger_fs_error")
    if not trigger.exists():
        pytest.skip("this kernel cannot be told that an ext4 is broken")
    trigger.write_text("1", "ascii")


def remount(disk: Path, how: str) -> None:
    wait_until(
        lambda: mounting.run("mount", "-o", f"remount,{how}", str(disk)).returncode == 0,
        what=f"remount {how}",
    )


def test_libraries_that_are_full_too_small_or_read_only(
    tmp_path: Path, tmpfs: Factory, loop_fs: Factory
) -> None:
    """Each holds its files, and takes them by itself once it can; what fits is served meanwhile."""
    names = ("full", "small", "readonly")
    watches = {f"to-{name}": {**MOVE, "library": name} for name in names}
    full, small, readonly = loop_fs("ext4"), tmpfs("16m"), tmpfs("16m")
    film = samples.mp4(seed=1) + b"\x01\x80\x00\x00free" + bytes(0x01800000 - 8)
    libraries: dict[str, dict[str, object]] = {
        "full": {"path": str(full), "min_free": "8MB"},
        "small": {"path": str(small)},
        "readonly": {"path": str(readonly)},
    }
    with Daemon(tmp_path, watches=watches, libraries=libraries, start=False) as daemon:
        assert daemon.run_once().code == 0
        fill(full / "ballast", but=4_000_000)
        remount(readonly, "ro")
        for seed, name in enumerate(names):
            content = film if name == "small" else picture(seed)
            daemon.put("one.mp4" if name == "small" else "one.jpg", content, folder=tmp_path / f"to-{name}")
        assert daemon.run_once().code == 3
        since = len(daemon.lines)
        daemon.start()
        daemon.wait_for_line("library full is full")
        daemon.wait_for_line("to-small/one.mp4 settles again: .*needs .* are free above min_free")
        daemon.wait_for_line("library readonly is readonly")
        for name in names:
            assert len(list((tmp_path / f"to-{name}").iterdir())) == 1
            assert not daemon.filed(name).keys() - {b"ballast"}
            assert not {found.outcome for found in daemon.outcomes(f"to-{name}").values()} - {"failed"}
        daemon.put("two.jpg", picture(3), folder=tmp_path / "to-small")
        (full / "ballast").unlink()
        remount(readonly, "rw")
        daemon.wait_for("one.jpg", "filed", watch="to-full")
        daemon.wait_for("one.jpg", "filed", watch="to-readonly")
        daemon.wait_for("two.jpg", "filed", watch="to-small")
        assert (tmp_path / "to-small" / "one.mp4").stat().st_size == len(film)
        assert len(daemon.matching("library full is full", since)) == 1
        staged = [daemon.folders[name] / ".mediad" / "tmp" for name in names]
        # a backup of the catalogue may just be on its way into a library
        wait_until(lambda: not any(list(folder.iterdir()) for folder in staged), what="nothing left in tmp")


def fill(ballast: Path, *, but: int) -> None:
    """Leave only so many bytes free."""
    found = os.statvfs(ballast.parent)
    with open(ballast, "wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, found.f_bavail * found.f_frsize - but)


def test_the_watch_is_missing_at_the_start(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.inbox.rmdir()
        assert daemon.run_once().code == 3
        daemon.start()
        daemon.wait_for_line("watch inbox is offline")
        daemon.put("one.jpg", picture(1))
        daemon.wait_for("one.jpg", "filed")
