"""Filing on every filesystem at hand and across two of them: what a file keeps, and what cannot be done."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import mounting
from tests.mounting import Factory
from tests.system.daemon import Daemon
from tests.system.once import ACTIONS, DAY, MOVE, picture, run_once
from tests.trees import files

TIME = 1_614_589_200_123_456_789  # nanoseconds; no filesystem here rounds it
OTHER = 4242  # a user


def dress(path: bytes) -> None:
    """Give a file everything that a file of this filesystem can have."""
    with contextlib.suppress(OSError):
        os.setxattr(path, "user.comment", b"at \0 the sea")
    if shutil.which("setfacl"):
        subprocess.run(["setfacl", "-m", "u:4242:rw,g:4343:r", path], check=False, capture_output=True)
    os.chown(path, 1234, 2345)
    os.utime(path, ns=(TIME, TIME))


def dressed(path: bytes) -> tuple[object, ...]:
    """What it has of that."""
    result = os.stat(path)
    names = [name for name in sorted(os.listxattr(path)) if not name.startswith("trusted.")]
    attributes = {name: os.getxattr(path, name) for name in names}
    mode = stat.S_IMODE(result.st_mode)
    return mode, result.st_uid, result.st_gid, result.st_mtime_ns, attributes


def filed_with_all(tmp_path: Path, watches: Path, libraries: Path) -> list[str]:
    """File one file by each action and see that it kept everything; returns the actions that worked."""
    mounting.need_root()
    done: list[str] = []
    of_watches: Mapping[str, Mapping[str, object]] = {
        action: {"action": action, "settle": "0s", "library": f"of-{action}", "path": str(watches / action)}
        for action in ACTIONS
    }
    of_libraries = {f"of-{action}": {"path": str(libraries / f"of-{action}")} for action in ACTIONS}
    with Daemon(tmp_path, watches=of_watches, libraries=of_libraries, start=False) as daemon:
        wanted: dict[str, tuple[object, ...]] = {}
        for seed, action in enumerate(ACTIONS):
            path = daemon.put("card/IMG_1.jpg", picture(seed), folder=daemon.folders[action])
            dress(path)
            wanted[action] = dressed(path)
        code = daemon.run_once().code
        for seed, action in enumerate(ACTIONS):
            source = os.fsencode(daemon.folders[action] / "card" / "IMG_1.jpg")
            library = daemon.folders[f"of-{action}"]
            outcome = daemon.outcome("card/IMG_1.jpg", action)
            if action == "move":
                assert not os.path.exists(source)
            else:
                assert (Path(os.fsdecode(source)).read_bytes(), dressed(source)) == (
                    picture(seed),
                    wanted[action],
                )
            if outcome.outcome == "filed":
                done.append(action)
                assert daemon.filed(library.name) == {DAY + b"IMG_1.jpg": picture(seed)}
                assert dressed(os.fsencode(library) + b"/" + DAY + b"IMG_1.jpg") == wanted[action]
            else:
                assert (action, *outcome[:2], code) == ("hardlink", "failed", "cannot-link", 3)
                assert daemon.filed(library.name) == {}
                assert daemon.matching(r"WARNING hardlink/card/IMG_1.jpg failed: .*hard-linked")
            assert files(library / ".mediad" / "tmp") == {}
    return done


def make(kind: str, loop_fs: Factory, tmpfs: Factory) -> Path:
    return tmpfs() if kind == "tmpfs" else loop_fs(kind)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "tmpfs"])
def test_on_one_filesystem_all_is_kept(tmp_path: Path, loop_fs: Factory, tmpfs: Factory, kind: str) -> None:
    root = make(kind, loop_fs, tmpfs)
    assert filed_with_all(tmp_path, root, root) == ["copy", "move", "hardlink"]


@pytest.mark.parametrize(
    ("watches", "libraries"), [("ext4", "btrfs"), ("btrfs", "xfs"), ("xfs", "ext4"), ("ext4", "ext4")]
)
def test_across_filesystems_all_is_kept(
    tmp_path: Path, loop_fs: Factory, tmpfs: Factory, watches: str, libraries: str
) -> None:
    roots = make(watches, loop_fs, tmpfs), make(libraries, loop_fs, tmpfs)
    assert filed_with_all(tmp_path, *roots) == ["copy", "move"]


def test_across_bind_mounts_of_one_filesystem(tmp_path: Path, bind_mount: Factory) -> None:
    (tmp_path / "real").mkdir()
    place = bind_mount(tmp_path / "real")
    assert os.stat(place).st_dev == os.stat(tmp_path).st_dev
    assert filed_with_all(tmp_path, place, tmp_path) == ["copy", "move"]


@pytest.mark.parametrize("action", ["copy", "move"])
def test_a_filesystem_without_owners_and_links(tmp_path: Path, loop_fs: Factory, action: str) -> None:
    """From and to FAT, which keeps content and time, the latter to two seconds."""
    root = loop_fs("vfat")
    watches: Mapping[str, Mapping[str, object]] = {
        "from": {"action": action, "settle": "0s", "library": "disk", "path": str(root / "from")},
        "to": {"action": action, "settle": "0s", "library": "stick"},
    }
    libraries = {"disk": {}, "stick": {"path": str(root / "stick")}}
    with Daemon(tmp_path, watches=watches, libraries=libraries, start=False) as daemon:
        for name in watches:
            os.utime(daemon.put("IMG_1.jpg", picture(), folder=daemon.folders[name]), ns=(TIME, TIME))
        run_once(daemon)
        for name in libraries:
            assert daemon.filed(name) == {DAY + b"IMG_1.jpg": picture()}
            filed = os.stat(os.fsencode(daemon.folders[name]) + b"/" + DAY + b"IMG_1.jpg")
            assert abs(filed.st_mtime_ns - TIME) <= 2_000_000_000


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@pytest.mark.parametrize("action", ["move", "hardlink"])
def test_what_is_mounted_below_a_watch(tmp_path: Path, action: str, kind: str) -> None:
    with (
        Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon,
        mounting.Mounts(daemon.inbox) as mounts,
    ):
        (tmp_path / "card").mkdir()
        card = mounts.bind(tmp_path / "card") if kind == "bind" else mounts.tmpfs()
        for seed in range(3):
            daemon.put(f"a{seed}.jpg", picture(seed))
            daemon.put(f"b{seed}.jpg", picture(10 + seed), folder=card)
        run_once(daemon, code=0 if action == "move" else 3)
        here = {DAY + b"a%d.jpg" % seed: picture(seed) for seed in range(3)}
        there = {DAY + b"b%d.jpg" % seed: picture(10 + seed) for seed in range(3)}
        if action == "move":
            assert daemon.filed() == here | there
            assert (files(daemon.inbox), files(card)) == ({}, {})
        else:
            assert daemon.filed() == here
            assert len(files(daemon.inbox)) == 6
            codes = [daemon.outcome(f"{card.name}/b{seed}.jpg").code for seed in range(3)]
            assert codes == ["cannot-link"] * 3


def test_a_mount_below_a_watch_spoils_nothing_beside_it(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path, watch={"action": "hardlink"}, start=False) as daemon,
        mounting.Mounts(daemon.inbox) as mounts,
    ):
        (tmp_path / "card").mkdir()
        card = mounts.bind(tmp_path / "card")
        daemon.put("IMG_0.jpg", picture(0))
        daemon.start()
        daemon.wait_for("IMG_0.jpg", "filed")
        daemon.put("IMG_1.jpg", picture(1), folder=card)
        daemon.wait_for(f"{card.name}/IMG_1.jpg", "failed")
        daemon.put("IMG_2.jpg", picture(2))
        daemon.wait_for("IMG_2.jpg", "filed")
        daemon.kill()


# -- what the library is to look like ----------------------------------------------------------------


@pytest.mark.parametrize("action", ["copy", "move"])
def test_modes_and_group_of_the_library(tmp_path: Path, action: str) -> None:
    mounting.need_root()
    settings = {"group": "users", "file_mode": "0640", "dir_mode": "2750"}
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, library=settings, start=False) as daemon:
        path = daemon.put("IMG_1.jpg", picture())
        os.chmod(path, 0o666)
        run_once(daemon)
        group = daemon.library.stat().st_gid
        filed = os.stat(os.fsencode(daemon.library) + b"/" + DAY + b"IMG_1.jpg")
        folders = [os.stat(daemon.library / name) for name in ("2021", "2021/2021-03-01")]
        users = {found.st_gid for found in (filed, *folders)}
        assert len(users - {group}) == 1
        assert stat.S_IMODE(filed.st_mode) == 0o640
        assert [stat.S_IMODE(folder.st_mode) for folder in folders] == [0o2750] * 2
        if action == "copy":
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o666


# -- sources that cannot be removed ------------------------------------------------------------------


def test_a_read_only_source_is_filed_and_stays(tmp_path: Path, bind_mount: Factory) -> None:
    (tmp_path / "card").mkdir()
    place = bind_mount(tmp_path / "card")
    watch = {"action": "move", "settle": "0s", "path": str(place)}
    with Daemon(tmp_path, watch=watch, start=False) as daemon:
        daemon.put("IMG_1.jpg", picture())
        made = mounting.run("mount", "-o", "remount,bind,ro", str(place))
        assert made.returncode == 0, made.stderr
        lines = run_once(daemon)
        assert [line for line in lines if "WARNING" in line and "could not be removed" in line]
        assert daemon.filed() == {DAY + b"IMG_1.jpg": picture()}
        assert daemon.left() == {b"IMG_1.jpg": picture()}
        assert daemon.outcome("IMG_1.jpg").outcome == "filed"
        steps = daemon.query("SELECT count(*) FROM step")
        run_once(daemon)
        assert daemon.query("SELECT count(*) FROM step") == steps
        assert daemon.private("trash") == {}


@pytest.fixture
def powerless() -> tuple[str, ...]:
    """A command that takes root's powers away: what others own is as closed to it as to any user."""
    mounting.need_root()
    program = mounting.need_tool("setpriv")
    return program, "--bounding-set=-all", "--inh-caps=-all"


def test_files_of_others_in_our_folder_are_moved(tmp_path: Path, powerless: tuple[str, ...]) -> None:
    """The system forbids hard links to files of others; renaming them is what remains."""
    if Path("/proc/sys/fs/protected_hardlinks").read_text("ascii").strip() != "1":
        pytest.skip("this system lets everybody link to files of others")
    with Daemon(tmp_path, watch=MOVE, wrap=powerless, start=False) as daemon:
        paths = [daemon.put(f"IMG_{seed}.jpg", picture(seed)) for seed in range(12)]
        daemon.put("copy.jpg", picture(0))
        for path in paths:
            os.chown(path, OTHER, OTHER)
        inodes = {os.stat(path).st_ino for path in paths}
        run_once(daemon)
        filed = daemon.filed()
        assert sorted(filed.values()) == sorted(picture(seed) for seed in range(12))
        assert daemon.left() == {}
        found = {os.stat(os.fsencode(daemon.library) + b"/" + name).st_ino for name in filed}
        assert len(found & inodes) >= 11
        assert len([name for name in daemon.private("trash") if name.endswith(b".jpg")]) == 1


@pytest.mark.parametrize("owner", [0, OTHER])
def test_a_folder_that_may_not_be_written(tmp_path: Path, powerless: tuple[str, ...], owner: int) -> None:
    with Daemon(tmp_path, watch=MOVE, wrap=powerless, start=False) as daemon:
        for seed in range(2):
            os.chown(daemon.put(f"IMG_{seed}.jpg", picture(seed)), owner, owner)
        os.chown(daemon.inbox, OTHER, OTHER)
        lines = run_once(daemon)
        said = f"could not be removed: {os.fsdecode(daemon.inbox)}/IMG_0.jpg: Permission denied"
        assert len([line for line in lines if "WARNING" in line and "could not be removed" in line]) == 2
        assert [line for line in lines if line.endswith(said)]
        content = {b"IMG_0.jpg": picture(0), b"IMG_1.jpg": picture(1)}
        assert daemon.filed() == {DAY + name: data for name, data in content.items()}
        assert daemon.left() == content
        assert {outcome.outcome for outcome in daemon.outcomes().values()} == {"filed"}
        with (daemon.inbox / "IMG_0.jpg").open("r+b") as stream:  # as its owner may
            stream.write(b"scribble")
        assert daemon.filed()[DAY + b"IMG_0.jpg"] == picture(0)


def test_a_file_that_may_not_be_read_fails_alone(tmp_path: Path, powerless: tuple[str, ...]) -> None:
    with Daemon(tmp_path, watch=MOVE, wrap=powerless, start=False) as daemon:
        path = daemon.put("IMG_1.jpg", picture())
        os.chown(path, OTHER, OTHER)
        os.chmod(path, 0o600)
        daemon.put("IMG_2.jpg", picture(2))
        run_once(daemon, code=3)
        assert daemon.outcome("IMG_1.jpg")[:2] == ("failed", "not-permitted")
        assert daemon.filed() == {DAY + b"IMG_2.jpg": picture(2)}
        os.chmod(path, 0o644)
        run_once(daemon)
        assert sorted(daemon.filed().values()) == sorted([picture(), picture(2)])
