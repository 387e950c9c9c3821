"""A library on disk: marker, lock, what can be written, and what its filesystem can do."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediad import config as configuration
from mediad.config import Library
from mediad.errors import (
    AlreadyHeld,
    InvalidConfig,
    LibraryFull,
    LibraryOffline,
    LibraryReadOnly,
    MediadError,
    Retry,
)
from mediad.files import Files
from mediad.library import OpenLibrary, bless, open_library
from mediad.lock import lock_file
from tests import mounting
from tests.mounting import Factory
from tests.trees import tree

Opener = Callable[..., OpenLibrary]
PRIVATE = {b".mediad/", b".mediad/tmp/", b".mediad/trash/", b".mediad/quarantine/"}


class Failing(Files):
    """Files of which some calls fail with an errno."""

    def __init__(self, **errors: int) -> None:
        self.errors = errors

    def _maybe(self, name: str) -> None:
        if name in self.errors:
            raise OSError(self.errors[name], os.strerror(self.errors[name]))

    def create(self, name: bytes, dir_fd: int) -> int:
        self._maybe("create")
        return super().create(name, dir_fd)

    def link(self, fd: int, name: bytes, dir_fd: int) -> None:
        self._maybe("link")
        super().link(fd, name, dir_fd)

    def rename(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        self._maybe("rename")
        super().rename(name, dir_fd, new, new_dir_fd)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "library").mkdir()
    return tmp_path / "library"


def settings(root: Path, extra: str = 'min_free = "0"') -> Library:
    text = f'[library.photos]\npath = "{root}"\n{extra}\n[watch.inbox]\npath = "{root}-inbox"\n'
    text += f'[daemon]\nstate_dir = "{root}-state"\nsocket = "{root}-control"\n'
    return configuration.parse(text, file="c.toml", env={}, home="").libraries["photos"]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens a library as the daemon does; all are closed in the end."""
    held: list[OpenLibrary] = []

    def call(root: Path, known: str | None = None, files: Files | None = None) -> OpenLibrary:
        held.append(open_library(settings(root), files or Files(), known))
        return held[-1]

    yield call
    for library in held:
        library.close()


def marker(root: Path) -> str:
    return str(tomllib.loads((root / ".mediad/library.toml").read_text())["id"])


def refusal(call: Callable[..., object], *args: object) -> MediadError:
    with pytest.raises(MediadError) as raised:
        call(*args)
    return raised.value


def test_the_first_look_blesses_a_folder_with_content(root: Path, opened: Opener) -> None:
    (root / "old.jpg").write_bytes(b"old")
    library = opened(root)
    assert library.uuid == marker(root) == str(uuid.UUID(library.uuid))
    assert tree(root).keys() == PRIVATE | {b".mediad/library.toml", b".mediad/lock", b"old.jpg"}
    assert (root / "old.jpg").read_bytes() == b"old"
    assert {(root / os.fsdecode(name)).stat().st_mode & 0o777 for name in PRIVATE} == {0o700}


def test_every_library_gets_a_marker_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert bless(str(tmp_path / "a")) != bless(str(tmp_path / "b"))


def test_a_marker_that_is_there_is_kept(root: Path, opened: Opener) -> None:
    first = bless(str(root))
    written = (root / ".mediad/library.toml").read_bytes()
    assert bless(str(root)) == first
    assert opened(root).uuid == first
    assert (root / ".mediad/library.toml").read_bytes() == written


def test_a_library_that_is_known_opens_again(root: Path, opened: Opener) -> None:
    library = opened(root)
    library.close()
    assert opened(root, library.uuid).uuid == library.uuid


def test_a_marker_that_is_missing_is_never_made_anew(root: Path, opened: Opener) -> None:
    error = refusal(opened, root, str(uuid.uuid4()))
    assert isinstance(error, LibraryOffline)
    assert error.retry is Retry.HOLD
    assert "library.toml is missing" in str(error)
    assert tree(root) == {}  # an empty mount point stays one


def test_another_marker_is_another_library(root: Path, opened: Opener) -> None:
    there = bless(str(root))
    before = tree(root)
    error = refusal(opened, root, str(uuid.uuid4()))
    assert isinstance(error, LibraryOffline)
    assert "another library" in str(error)
    assert (marker(root), tree(root)) == (there, before)


def test_a_folder_that_is_missing_is_not_made(root: Path, opened: Opener) -> None:
    root.rmdir()
    for known, end in ((None, "(mount it, or make the folder)"), ("some marker", "(mount it)")):
        error = refusal(opened, root, known)
        assert isinstance(error, LibraryOffline)
        assert str(error).endswith(end)
    assert not root.exists()


@pytest.mark.parametrize(
    "content", [b"", b"id = 7\n", b'id = "cut of', b"id = '\xff'\n"], ids=["empty", "number", "cut", "bytes"]
)
def test_a_damaged_marker_is_offline_and_stays(root: Path, opened: Opener, content: bytes) -> None:
    bless(str(root))
    (root / ".mediad/library.toml").write_bytes(content)
    for known in (None, "some marker"):
        error = refusal(opened, root, known)
        assert isinstance(error, LibraryOffline)
        assert "marker" in str(error)
    assert (root / ".mediad/library.toml").read_bytes() == content


def test_a_marker_that_cannot_be_read_is_offline(root: Path, opened: Opener) -> None:
    (root / ".mediad/library.toml").mkdir(parents=True)
    error = refusal(opened, root)
    assert isinstance(error, LibraryOffline)
    assert "Is a directory" in str(error)


def test_the_lock_names_who_has_it(root: Path, opened: Opener) -> None:
    library = opened(root)
    error = refusal(opened, root, library.uuid)
    assert isinstance(error, AlreadyHeld)
    assert error.exit_code == 75
    assert "library photos" in str(error)
    assert f"pid {os.getpid()})" in str(error)
    library.close()
    library.close()
    opened(root, library.uuid)


def test_a_lock_left_by_a_longer_pid_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("123456789012\n")
    fd = lock_file(os.fsencode(tmp_path / "lock"), "it")
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)


def test_a_lock_keeps_no_disk_from_being_made_read_only(root: Path, opened: Opener, tmpfs: Factory) -> None:
    point = tmpfs("1m")
    library = opened(point)
    assert mounting.run("mount", "-o", "remount,ro", str(point)).returncode == 0
    assert isinstance(refusal(library.check), LibraryReadOnly)
    assert mounting.run("mount", "-o", "remount,rw", str(point)).returncode == 0
    library.check()


def test_a_filesystem_that_locks_only_for_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def like_nfs(fd: int, how: int) -> None:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", like_nfs)
    before = os.listdir("/proc/self/fd")
    os.close(lock_file(os.fsencode(tmp_path / "lock"), "it"))
    assert os.listdir("/proc/self/fd") == before


def test_a_lock_is_no_link_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock").symlink_to("victim")
    assert isinstance(refusal(lock_file, os.fsencode(tmp_path / "lock"), "it"), LibraryReadOnly)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_lock_that_is_a_fifo_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    locked = threading.Event()

    def lock() -> None:
        os.close(lock_file(os.fsencode(tmp_path / "lock"), "it"))
        locked.set()

    threading.Thread(target=lock, daemon=True).start()
    assert locked.wait(5.0)


def test_a_filesystem_that_does_all(root: Path, opened: Opener) -> None:
    can = opened(root).can
    assert (can.links, can.rename_noreplace) == (True, True)
    assert tree(root / ".mediad/tmp") == {}


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_a_filesystem_without_links(root: Path, opened: Opener, code: int) -> None:
    can = opened(root, files=Failing(link=code)).can
    assert (can.links, can.rename_noreplace) == (False, True)
    assert tree(root / ".mediad/tmp") == {}


def test_a_filesystem_without_a_rename_that_never_replaces(root: Path, opened: Opener) -> None:
    can = opened(root, files=Failing(rename=errno.EINVAL)).can
    assert (can.links, can.rename_noreplace) == (True, False)
    assert tree(root / ".mediad/tmp") == {}


def test_a_filesystem_with_neither_is_refused(root: Path, opened: Opener) -> None:
    error = refusal(opened, root, None, Failing(link=errno.EPERM, rename=errno.EINVAL))
    assert isinstance(error, InvalidConfig)
    assert error.problems == ["library photos: its filesystem can neither link nor rename without replacing"]
    opened(root)  # and the lock was given back


@pytest.mark.parametrize("call", ["create", "link", "rename"])
def test_a_probe_that_the_medium_ends_says_nothing_of_the_filesystem(
    root: Path, opened: Opener, call: str
) -> None:
    error = refusal(opened, root, None, Failing(**{call: errno.EROFS}))
    assert isinstance(error, LibraryReadOnly)
    assert error.retry is Retry.HOLD
    assert opened(root).can.links  # the lock was given back, and what the probe left is no obstacle


def test_a_probe_starts_afresh_after_a_crash(root: Path, opened: Opener) -> None:
    bless(str(root))
    for name in ("probe", "probe-2"):
        (root / ".mediad/tmp" / name).touch()
    assert opened(root).can.rename_noreplace
    assert tree(root / ".mediad/tmp") == {}


def test_a_vfat_disk_renames_and_never_links(loop_fs: Factory, opened: Opener) -> None:
    root = loop_fs("vfat")
    library = opened(root)
    assert (library.can.links, library.can.rename_noreplace, library.can.journaled) == (False, True, False)
    assert tree(root / ".mediad/tmp") == {}


def test_a_library_on_a_read_only_disk(loop_fs: Factory, opened: Opener) -> None:
    root = loop_fs("ext4")
    library = opened(root)
    library.check()
    library.close()  # a file open for writing keeps a disk writable
    assert mounting.run("mount", "-o", "remount,ro", str(root)).returncode == 0
    assert isinstance(refusal(library.check), LibraryReadOnly)
    assert isinstance(refusal(opened, root, library.uuid), LibraryReadOnly)


def test_a_file_where_its_folders_should_be(root: Path, opened: Opener) -> None:
    (root / ".mediad").write_bytes(b"somebody's")
    assert isinstance(refusal(opened, root), MediadError)
    assert (root / ".mediad").read_bytes() == b"somebody's"


def test_a_group_that_is_not_there(root: Path) -> None:
    wrong = replace(settings(root), group="no such group")
    error = refusal(open_library, wrong, Files(), None)
    assert isinstance(error, InvalidConfig)
    assert "'no such group'" in str(error)


def test_a_check_of_a_library_as_it_was(root: Path, opened: Opener) -> None:
    assert opened(root).check() > 0


def test_a_check_sees_that_the_folder_is_another(root: Path, opened: Opener) -> None:
    library = opened(root)
    root.rename(root.with_name("elsewhere"))
    error = refusal(library.check)
    assert isinstance(error, LibraryOffline)
    root.mkdir()
    (root / ".mediad").mkdir()
    (root / ".mediad/library.toml").write_text(f'id = "{library.uuid}"\n')  # a copy is not the library
    assert isinstance(refusal(library.check), LibraryOffline)


@pytest.mark.parametrize("content", [None, 'id = "another"\n', "damaged"])
def test_a_check_sees_that_the_marker_is_another(root: Path, opened: Opener, content: str | None) -> None:
    library = opened(root)
    if content is None:
        (root / ".mediad/library.toml").unlink()
    else:
        (root / ".mediad/library.toml").write_text(content)
    error = refusal(library.check)
    assert isinstance(error, LibraryOffline)
    assert "same folder" not in str(error)
    assert ("mediactl adopt" in str(error)) == (content in (None, "damaged"))


def test_a_private_folder_that_somebody_tidied_away_is_made_again(root: Path, opened: Opener) -> None:
    library = opened(root)
    (root / ".mediad/tmp").rmdir()
    assert library.check() > 0
    assert (root / ".mediad/tmp").stat().st_mode & 0o777 == 0o700


def test_a_check_sees_what_is_mounted_over_it(root: Path, opened: Opener, tmpfs: Factory) -> None:
    point = tmpfs("1m")
    library = opened(point)
    assert mounting.run("umount", "--lazy", str(point)).returncode == 0
    assert isinstance(refusal(library.check), LibraryOffline)


def test_less_free_than_min_free(root: Path, opened: Opener) -> None:
    library = opened(root)
    free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
    library.settings = replace(library.settings, min_free=free * 2)
    error = refusal(library.check)
    assert isinstance(error, LibraryFull)
    assert error.retry is Retry.HOLD
    assert re.search(r"[\d.]+ [kMG]?B free, min_free is [\d.]+ [kMGT]?B", str(error))
    library.settings = replace(library.settings, min_free=free // 2)
    assert 0 < library.check() <= free  # what may still be written


def test_nothing_free_is_full_whatever_min_free(root: Path, opened: Opener, tmpfs: Factory) -> None:
    point = tmpfs("1m")
    library = opened(point)
    library.settings = replace(library.settings, min_free=0)
    free = os.statvfs(point)
    (point / "film").write_bytes(bytes(free.f_bavail * free.f_frsize))
    assert isinstance(refusal(library.check), LibraryFull)
