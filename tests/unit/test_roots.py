"""What folders really are."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from mediad import roots
from mediad.cli.settings import load
from mediad.config import Config, parse
from mediad.errors import InvalidConfig
from mediad.roots import check_system, filesystem, look_over, overlaps, system_warnings
from mediad.synced import synchroniser
from tests.mounting import Factory


def configured(
    tmp_path: Path, *, watch: Path, library: Path, extra: str = "", state: Path | None = None
) -> Config:
    text = (
        f'[library.photos]\npath = "{library}"\n{extra}\n[watch.inbox]\npath = "{watch}"\naction = "move"\n'
        f'[daemon]\nstate_dir = "{state or tmp_path / "state"}"\n'
    )
    return parse(text, file="c.toml", env={}, home="")


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    (tmp_path / "watch" / "sub").mkdir(parents=True)
    return tmp_path / "watch"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "library" / "sub").mkdir(parents=True)
    return tmp_path / "library"


def test_folders_apart_are_right(tmp_path: Path, watch: Path, library: Path) -> None:
    config = configured(tmp_path, watch=watch, library=library)
    assert check_system(config) == []
    assert system_warnings(config) == []


def test_what_does_not_exist_is_offline(tmp_path: Path) -> None:
    assert check_system(configured(tmp_path, watch=tmp_path / "w", library=tmp_path / "l")) == []


def test_a_root_is_a_folder(tmp_path: Path, library: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (found,) = check_system(configured(tmp_path, watch=file, library=library))
    assert found == f'c.toml:5: watch.inbox.path: "{file}" is no folder; a watch is one'
    (found,) = check_system(configured(tmp_path, watch=file / "a/b", library=library))
    assert found == f'c.toml:5: watch.inbox.path: "{file}" is no folder; a watch lies in one'
    (found,) = check_system(configured(tmp_path, watch=tmp_path / "w", library=library, state=file))
    assert found == f'c.toml:8: daemon.state_dir: "{file}" is no folder; a state directory is one'


def test_what_is_wrong_in_itself_hides_nothing_of_this(tmp_path: Path, library: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "c.toml").write_text(
        f'[library.photos]\npath = "{library}"\ngroup = "no-such-group"\nlayuot = "x"\n[library.b]\n'
        f'[watch.inbox]\npath = "{tmp_path}/file"\nlibrary = "c"\naction = "hardlink"\n'
        f'[watch.below]\npath = "{library}/sub"\nlibrary = "photos"\n'
        f'[daemon]\nstate_dir = "{library}/state"\n'
    )
    with pytest.raises(InvalidConfig) as raised:
        load(str(tmp_path / "c.toml"), overrides={}, env={})
    told = [problem.removeprefix(f"{tmp_path}/c.toml:") for problem in raised.value.problems]
    assert sorted(line.partition(": ")[0] for line in told) == ["11", "14", "3", "4", "5", "7", "8"]
    assert sorted(line.split(": ")[1] for line in told) == [
        "daemon.state_dir",
        "library.b.path",
        "library.photos.group",
        "library.photos.layuot",
        "watch.below.path",
        "watch.inbox.library",
        "watch.inbox.path",
    ]


def test_a_look_that_fails_passes_nothing(
    tmp_path: Path, watch: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Config) -> list[str]:
        raise RecursionError

    monkeypatch.setattr(roots, "check_system", fail)
    with pytest.raises(RecursionError):
        look_over(configured(tmp_path, watch=watch, library=library))


def test_symlinks_count(tmp_path: Path, watch: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(watch / "sub")
    (found,) = overlaps(configured(tmp_path, watch=watch, library=link))
    assert found.startswith('c.toml:2: library.photos.path: on disk it lies inside watch "inbox" (c.toml:5)')
    assert overlaps(configured(tmp_path, watch=link, library=watch))[0].startswith(
        "c.toml:5: watch.inbox.path"
    )


def test_a_symlinked_ancestor_counts(tmp_path: Path, watch: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert overlaps(configured(tmp_path, watch=watch, library=link / "watch" / "sub"))


@pytest.mark.parametrize(("seen", "below"), [("watch", ""), ("watch", "sub"), ("watch/sub", "")])
def test_bind_mounts_count(tmp_path: Path, watch: Path, bind_mount: Factory, seen: str, below: str) -> None:
    point = bind_mount(tmp_path / seen)
    assert overlaps(configured(tmp_path, watch=watch, library=point / below))


def test_a_bind_mount_of_something_else_is_right(
    tmp_path: Path, watch: Path, library: Path, bind_mount: Factory
) -> None:
    assert overlaps(configured(tmp_path, watch=watch, library=bind_mount(library))) == []


def test_a_disk_mounted_inside_counts(tmp_path: Path, tmpfs: Factory) -> None:
    point = tmpfs("1m")
    link = tmp_path / "link"
    link.symlink_to(point)
    assert overlaps(configured(tmp_path, watch=point.parent, library=link))


def test_a_state_directory_inside_by_symlink(tmp_path: Path, watch: Path, library: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(library)
    (found,) = check_system(configured(tmp_path, watch=watch, library=library, state=link / "not" / "yet"))
    assert found.startswith('c.toml:8: daemon.state_dir: on disk it lies inside library "photos"')


def test_a_state_directory_on_a_network(
    tmp_path: Path, watch: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = roots._Mount(b"0:99", b"/", b"/", "nfs4")
    monkeypatch.setattr(roots, "_mount_of", lambda folder: mount)
    found = check_system(configured(tmp_path, watch=watch, library=library))
    assert [line for line in found if "lies on nfs4; the catalogue needs a local filesystem" in line]


def test_groups(tmp_path: Path, watch: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = grp.getgrgid(os.getegid()).gr_name
    assert check_system(configured(tmp_path, watch=watch, library=library, extra=f'group = "{mine}"')) == []
    config = configured(tmp_path, watch=watch, library=library, extra='group = "no such group"')
    (found,) = check_system(config)
    assert found.startswith('c.toml:3: library.photos.group: there is no group "no such group"')
    other = next(
        group.gr_name for group in grp.getgrall() if group.gr_gid not in (os.getegid(), *os.getgroups())
    )
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (found,) = check_system(configured(tmp_path, watch=watch, library=library, extra=f'group = "{other}"'))
    assert f'the daemon is not in group "{other}"' in found


@pytest.mark.parametrize(
    ("mark", "keeper"),
    [
        (".stfolder", "Syncthing"),
        (".stignore", "Syncthing"),
        ("._sync_0a1b2c.db", "Nextcloud"),
        (".sync_0a1b2c.db", "Nextcloud"),
        (".owncloudsync.log", "Nextcloud"),
    ],
)
def test_synchronisers(tmp_path: Path, watch: Path, library: Path, mark: str, keeper: str) -> None:
    assert synchroniser(str(watch)) == ""
    (watch / mark).touch()
    assert synchroniser(str(watch)) == synchroniser(str(watch / "sub")) == keeper
    (found,) = system_warnings(configured(tmp_path, watch=watch / "sub", library=library))
    assert found.startswith(f"c.toml:6: watch.inbox.action: {keeper} keeps this folder")


def test_copying_from_a_synchroniser_is_right(tmp_path: Path, watch: Path, library: Path) -> None:
    (watch / ".stfolder").mkdir()
    config = configured(tmp_path, watch=watch, library=library, extra="")
    text = f'[library.a]\npath = "{library}"\n[watch.b]\npath = "{watch}"\n'
    assert system_warnings(parse(text, file="c", env={}, home="/h")) == []
    assert len(system_warnings(config)) == 1


def test_a_folder_that_a_synchroniser_keeps_below_the_watch(
    tmp_path: Path, watch: Path, library: Path
) -> None:
    (watch / "sub/.stfolder").mkdir()
    (found,) = system_warnings(configured(tmp_path, watch=watch, library=library))
    assert found.startswith(f'c.toml:6: watch.inbox.action: Syncthing keeps "{watch}/sub" in it')


def test_hard_links_between_filesystems(watch: Path, library: Path, tmpfs: Factory) -> None:
    def warned(place: Path) -> list[str]:
        text = f'[library.a]\npath = "{place}"\n[watch.b]\npath = "{watch}"\naction = "hardlink"\n'
        return system_warnings(parse(text, file="c", env={}, home="/h"))

    (found,) = warned(tmpfs("1m"))
    assert found.startswith('c:5: watch.b.action: library "a" lies on another filesystem')
    assert warned(library) == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "vfat"])
def test_filesystems(loop_fs: Factory, kind: str) -> None:
    found = filesystem(str(loop_fs(kind) / "not" / "yet"))
    durable = kind != "vfat"
    assert (found.type, found.network, found.leases, found.syncfs) == (kind, False, durable, durable)
    assert found.journaled == durable


def test_tmpfs_has_leases_and_nothing_to_sync(tmpfs: Factory) -> None:
    found = filesystem(str(tmpfs("1m")))
    assert (found.type, found.network, found.leases, found.syncfs) == ("tmpfs", False, True, False)


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "fuse.sshfs")),
        *((kind, False) for kind in ("fuseblk", "exfat", "overlay", "zfs")),
    ],
)
def test_network_filesystems(monkeypatch: pytest.MonkeyPatch, kind: str, network: bool) -> None:
    monkeypatch.setattr(roots, "_mount_of", lambda folder: roots._Mount(b"0:99", b"/", b"/", kind))
    found = filesystem("/")
    assert (found.network, found.leases, found.syncfs) == (network, False, False)


def test_a_file_lies_where_its_folder_does(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert filesystem(str(tmp_path / "file")) == filesystem(str(tmp_path))


def test_lines_of_mountinfo() -> None:
    line = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n"
    assert roots._parsed(line) == roots._Mount(b"98:0", b"/mnt1", b"/mnt 2", "ext3")
