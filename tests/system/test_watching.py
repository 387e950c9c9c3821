"""What a watch shows is taken in, whatever inotify says of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import mounting, samples
from tests.mounting import Factory
from tests.system.daemon import MEEK, Daemon
from tests.waiting import wait_until

MOVE = {"action": "move"}
PROMPTLY = 25.0  # seconds: by the events and what they mark, before any poll or rescan can help


@pytest.fixture
def meek() -> tuple[str, ...]:
    """A command line in front of the daemon's, for whom permissions hold."""
    if os.geteuid() != 0:
        return ()
    mounting.need_tool("setpriv")
    return MEEK


@contextlib.contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    folder.chmod(0)
    try:
        yield
    finally:
        folder.chmod(0o755)


def pictures(count: int, length: int = 8000, seed: int = 0) -> Iterator[bytes]:
    return (content for _, content in samples.jpeg_series(count, length=length, pictures=2, seed=seed))


def populate(folder: Path, shape: tuple[int, ...], contents: Iterator[bytes]) -> None:
    """Nested folders: `shape` (3, 5) are 3 folders of 5 files each."""
    for numbers in itertools.product(*(range(width) for width in shape[:-1])):
        below = folder.joinpath(*(f"{number:02}" for number in numbers))
        below.mkdir(parents=True)
        for number in range(shape[-1]):
            (below / f"IMG_{number}.jpg").write_bytes(next(contents))


def test_a_populated_folder_is_moved_in(tmp_path: Path) -> None:
    populate(tmp_path / "card", (2, 5, 5), pictures(50))
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        os.rename(tmp_path / "card", daemon.inbox / "card")
        daemon.wait_for_count("filed", 50, PROMPTLY)
        assert sorted(daemon.filed().values()) == sorted(pictures(50))


def test_nested_folders_are_copied_in(tmp_path: Path) -> None:
    populate(tmp_path / "card", (20, 20, 1), pictures(400))
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        subprocess.run(["cp", "-r", tmp_path / "card", daemon.inbox], check=True)
        daemon.wait_for_count("filed", 400, PROMPTLY)
        assert sorted(daemon.filed().values()) == sorted(pictures(400))


def test_a_folder_made_for_one_file(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        for number, content in enumerate(pictures(50)):
            daemon.put(f"a{number}/b/IMG.jpg", content)
        daemon.wait_for_count("filed", 50, PROMPTLY)


def test_the_event_queue_overflows(tmp_path: Path) -> None:
    """Each file makes one event at least."""
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text("ascii"))
    count = queue - queue % 100 + 100
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        with daemon.stalled():
            contents = pictures(count // 100)
            for number in range(count):
                name = f"{number % 200:03}/{number:05}"
                if number % 100:
                    daemon.put(f"{name}.dat", b"note")
                else:
                    daemon.put(f"{name}.jpg", next(contents))
        daemon.wait_for_count("filed", count // 100, 200)
        daemon.wait_for_count("ignored", count - count // 100, 200)
        assert len(daemon.filed()) == count // 100


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    names = [
        b"caf\xe9.jpg",
        b"two\nlines.jpg",
        b'"quo\'ted" \\ \t.jpg',
        b"-rf.jpg",
        b"\xff\xfe/\xe9t\xe9.jpg",
    ]
    contents = list(pictures(len(names) * 2))
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        for number, name in enumerate(names):
            daemon.put(name, contents[2 * number])
            # the watcher breaks at such a name: what comes after it must arrive all the same
            daemon.put(f"after-{number}.jpg", contents[2 * number + 1])
            daemon.wait_for_count("filed", 2 * number + 2, PROMPTLY)
        assert sorted(daemon.filed().values()) == sorted(contents)
        assert set(names) <= daemon.outcomes().keys()
        filed = {name.rpartition(b"/")[2] for name in daemon.filed()}
        # a layout has no control characters; all other bytes are kept
        assert filed >= {
            b"caf\xe9.jpg",
            b"two_lines.jpg",
            b"\xe9t\xe9.jpg",
            b'"quo\'ted" \\ _.jpg',
            b"-rf.jpg",
        }


def test_a_folder_whose_name_is_not_utf_8_stays(tmp_path: Path) -> None:
    """It breaks a watcher whenever a scan opens it: that must not make scans without end."""
    first, second = pictures(2)
    with Daemon(tmp_path) as daemon:
        daemon.start_watching()
        daemon.put(b"caf\xe9/caf\xe9.jpg", first)
        daemon.wait_for(b"caf\xe9/caf\xe9.jpg", "filed", limit=PROMPTLY)
        daemon.wait_for_line("watch inbox is degraded: inotify fails here")
        daemon.put("later.jpg", second)
        daemon.wait_for("later.jpg", "filed", limit=PROMPTLY)
        assert len(daemon.matching("watch inbox is scanning")) < 10


def test_the_root_is_deleted_and_recreated(tmp_path: Path) -> None:
    contents = list(pictures(3))
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        daemon.put("one.jpg", contents[0])
        daemon.wait_for("one.jpg", "filed")
        shutil.rmtree(daemon.inbox)
        daemon.wait_for_line("watch inbox is offline")
        daemon.put("sub/two.jpg", contents[1])
        daemon.wait_for("sub/two.jpg", "filed", limit=PROMPTLY)
        # at once, with no look in between
        shutil.rmtree(daemon.inbox)
        daemon.put("three.jpg", contents[2])
        daemon.wait_for("three.jpg", "filed", limit=PROMPTLY)
        assert sorted(daemon.filed().values()) == sorted(contents)


def test_the_root_is_renamed_away_and_another_takes_its_place(tmp_path: Path) -> None:
    first, second, strange = pictures(3)
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        os.rename(daemon.inbox, tmp_path / "old")
        daemon.put("new.jpg", first)
        daemon.wait_for("new.jpg", "filed", limit=PROMPTLY)
        seen = len(daemon.lines)
        daemon.put("old.jpg", strange, folder=tmp_path / "old")
        daemon.put("newer.jpg", second)
        daemon.wait_for("newer.jpg", "filed", limit=PROMPTLY)
        assert (tmp_path / "old" / "old.jpg").exists()
        assert not daemon.matching("old.jpg", seen)


def test_the_root_is_unmounted_and_mounted_again(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents = list(pictures(3))
    folder = tmp_path_factory.mktemp("disk")
    with mounting.Mounts(folder) as mounts:
        disk = mounts.image("ext4")
        image = folder / "ext4-0.img"
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        with Daemon(tmp_path, watch={**MOVE, "path": str(disk)}) as daemon:
            daemon.start_watching()
            daemon.put("one.jpg", contents[0])
            daemon.wait_for("one.jpg", "filed")
            unmount(disk)
            mount_image(image, elsewhere)
            try:
                daemon.put("DCIM/two.jpg", contents[1], folder=elsewhere)
            finally:
                unmount(elsewhere)
            seen = len(daemon.lines)
            mount_image(image, disk)
            daemon.wait_for("DCIM/two.jpg", "filed", limit=PROMPTLY)
            daemon.wait_for_line("watch inbox is watching", since=seen)
            daemon.put("DCIM/three.jpg", contents[2])
            daemon.wait_for("DCIM/three.jpg", "filed", limit=PROMPTLY)
            assert sorted(daemon.filed().values()) == sorted(contents)


def mount_image(image: Path, point: Path) -> None:
    mounted = mounting.run("mount", "-o", "loop", str(image), str(point))
    assert mounted.returncode == 0, mounted.stderr


def unmount(point: Path) -> None:
    """Without force: nobody keeps a disk busy for longer than a moment."""
    wait_until(lambda: mounting.run("umount", str(point)).returncode == 0, what=f"{point} is free")


def test_something_is_mounted_on_a_folder_of_the_watch(tmp_path: Path, bind_mount: Factory) -> None:
    """inotify tells nothing of it: the next rescan finds the files, and that its folders are not covered."""
    contents = list(pictures(2))
    disk = tmp_path / "disk"
    with Daemon(tmp_path, watch={**MOVE, "rescan": "1s"}) as daemon:
        (daemon.inbox / "stick").mkdir()
        daemon.start_watching()
        daemon.put("one.jpg", contents[0], folder=disk)
        with mounting.Mounts(tmp_path) as mounts:
            mounts.mounted.append(daemon.inbox / "stick")
            mounting.need_root()
            assert mounting.run("mount", "--bind", str(disk), str(daemon.inbox / "stick")).returncode == 0
            daemon.wait_for("stick/one.jpg", "filed", limit=PROMPTLY)
            daemon.put("two.jpg", contents[1], folder=disk)
            daemon.wait_for("stick/two.jpg", "filed", limit=PROMPTLY)


def test_an_unreadable_folder_costs_only_itself(tmp_path: Path, meek: tuple[str, ...]) -> None:
    contents = list(pictures(7))
    with Daemon(tmp_path, watch={**MOVE, "rescan": "2s"}, wrap=meek, start=False) as daemon:
        for name, content in zip(("a/1", "m/1", "z/1"), contents, strict=False):
            daemon.put(f"{name}.jpg", content)
        with unreadable(daemon.inbox / "m"):
            daemon.start()
            daemon.wait_for_line(r"watch inbox is degraded: cannot look into 'm': Permission denied")
            daemon.wait_for("a/1.jpg", "filed")
            daemon.wait_for("z/1.jpg", "filed")
        daemon.wait_for("m/1.jpg", "filed", limit=PROMPTLY)
        daemon.wait_for_line("INFO +watch inbox is watching again")
        assert len(daemon.matching("watch inbox is degraded")) == 1


def test_siblings_of_an_unreadable_folder_have_events(tmp_path: Path, meek: tuple[str, ...]) -> None:
    """The rescan is far away here, so that only inotify can tell of them."""
    contents = list(pictures(4))
    with Daemon(tmp_path, watch=MOVE, wrap=meek, start=False) as daemon:
        for name in ("a", "m", "z/deep"):
            (daemon.inbox / name).mkdir(parents=True)
        with unreadable(daemon.inbox / "m"):
            daemon.start()
            daemon.wait_for_line("watch inbox is degraded")
            for name, content in zip(("a/1", "z/deep/1", "later/1", "zz/later/1"), contents, strict=True):
                daemon.put(f"{name}.jpg", content)
                daemon.wait_for(f"{name}.jpg", "filed", limit=PROMPTLY)


LIMITED = ("unshare", "--user", "--map-root-user", "sh", "-c")


def limited(watches: int) -> tuple[str, ...]:
    """A command in a user namespace of its own, where this many inotify watches may be had."""
    return (*LIMITED, f'echo {watches} > /proc/sys/user/max_inotify_watches && exec "$@"', "sh")


def need_namespaces() -> None:
    mounting.need_tool("unshare")
    tried = subprocess.run([*limited(20), "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("this system gives no user namespaces with a limit of watches of their own")


def test_the_limit_of_watches_is_reached(tmp_path: Path) -> None:
    """What has no watch is scanned instead: at once when it appears, then every 30 s or so."""
    need_namespaces()
    contents = pictures(96)
    with Daemon(tmp_path, watch=MOVE, wrap=limited(20), start=False) as daemon:
        populate(daemon.inbox / "before", (30, 1), contents)
        daemon.start()
        daemon.wait_for_count("filed", 30)
        daemon.wait_for_line(r"watch inbox is degraded: inotify does not cover \d+ folders")
        populate(daemon.inbox / "later", (30, 1), contents)
        for folder in sorted((daemon.inbox / "before").iterdir()):
            daemon.put("second.jpg", next(contents), folder=folder)
        daemon.wait_for_count("filed", 90, 100)
        assert len(daemon.filed()) == 90


def test_the_limit_of_watches_is_reached_while_it_runs(tmp_path: Path) -> None:
    """What appears has no watch any more, and is looked at all the same."""
    need_namespaces()
    with Daemon(tmp_path, watch=MOVE, wrap=limited(20)) as daemon:
        daemon.start_watching()
        populate(daemon.inbox, (30, 1), pictures(30))
        daemon.wait_for_count("filed", 30, PROMPTLY)
        daemon.wait_for_line(r"watch inbox is degraded: inotify does not cover \d+ folders")


def test_polling(tmp_path: Path) -> None:
    contents = list(pictures(4))
    with Daemon(tmp_path, watch={"polling": "on", "rescan": "1s"}) as daemon:
        daemon.put("sub/one.jpg", contents[0])
        daemon.wait_for("sub/one.jpg", "filed")
        path = daemon.put("two.jpg", contents[1])
        daemon.wait_for("two.jpg", "filed")
        assert not has_inotify(daemon.pid)
        # replaced by an older file of the same size
        older = daemon.put("older", contents[2], folder=tmp_path)
        os.utime(older, (1e9, 1e9))
        os.rename(older, path)
        daemon.wait_until(lambda: len(daemon.filed()) == 3)
        assert sorted(daemon.filed().values()) == sorted(contents[:3])


def has_inotify(pid: int) -> bool:
    folder = Path(f"/proc/{pid}/fd")
    return any("inotify" in os.readlink(entry) for entry in folder.iterdir() if entry.is_symlink())


@pytest.mark.parametrize("start", [Daemon.run_once, Daemon.start], ids=["once", "serving"])
def test_files_that_were_there_before_the_start(tmp_path: Path, start: Callable[[Daemon], object]) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        populate(daemon.inbox / "old", (3, 3), pictures(9))
        start(daemon)
        wait_until(lambda: len(daemon.filed()) == 9)
        assert not any(daemon.private("tmp"))


def test_files_that_came_while_it_was_down(tmp_path: Path) -> None:
    first, second = pictures(2)
    with Daemon(tmp_path) as daemon:
        daemon.put("one.jpg", first)
        daemon.wait_for("one.jpg", "filed")
        daemon.stop()
        daemon.put("two.jpg", second)
        daemon.start()
        daemon.wait_for("two.jpg", "filed")
        assert len(daemon.filed()) == 2


PARTIAL = {
    "a browser": ("IMG_1.jpg.crdownload", "IMG_1.jpg"),
    "firefox": ("IMG_2.jpg.part", "IMG_2.jpg"),
    "rsync": (".IMG_3.jpg.aB3xY9", "IMG_3.jpg"),
    "syncthing": (".syncthing.IMG_4.jpg.tmp", "IMG_4.jpg"),
    "nextcloud": (".IMG_5.jpg.~1a2b", "IMG_5.jpg"),
    "android": (".pending-1700000000-IMG_6.jpg", "IMG_6.jpg"),
}
FOREIGN = (
    *(".DS_Store", "._IMG_1.jpg", "Thumbs.db", "desktop.ini", "@eaDir/IMG_1.jpg/SYNOPHOTO_THUMB_XL.jpg"),
    *("#recycle/IMG_1.jpg", ".stversions/IMG_1.jpg", ".Trashes/501/IMG_1.jpg", "MISC/AUTPRINT.MRK"),
)


def test_partial_and_foreign_files_stay_until_they_are_renamed(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE) as daemon:
        daemon.start_watching()
        content = dict(zip(PARTIAL, pictures(len(PARTIAL)), strict=True))
        foreign = samples.plain_jpeg()
        for name in FOREIGN:
            daemon.put(name, foreign)
        for writer, (partial, _) in PARTIAL.items():
            daemon.put(partial, content[writer])
            daemon.wait_for(partial, "ignored")
            assert daemon.outcome(partial).code == "excluded"
        assert daemon.filed() == {}
        for partial, final in PARTIAL.values():
            os.rename(daemon.inbox / partial, daemon.inbox / final)
        daemon.wait_for_count("filed", len(PARTIAL))
        assert sorted(daemon.filed().values()) == sorted(content.values())
        kept = {name for name, entry in daemon.left().items() if isinstance(entry, bytes)}
        assert kept == {os.fsencode(name) for name in FOREIGN}
