"""What the kernel says of inotify's watches and of mounts."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from watchfiles._rust_notify import RustNotify

from mediad.ingest import coverage
from tests import mounting


@contextmanager
def watching(*folders: Path, recursive: bool = False) -> Iterator[None]:
    with closing(RustNotify([str(folder) for folder in folders], False, False, 0, recursive, True)):
        yield


def identity(folder: Path) -> tuple[int, int]:
    result = folder.stat()
    return result.st_dev, result.st_ino


def test_only_folders_without_a_watch_are_missing(tmp_path: Path) -> None:
    heard, deaf = tmp_path / "heard", tmp_path / "deaf"
    heard.mkdir()
    deaf.mkdir()
    folders = {identity(heard): b"heard", identity(deaf): b"deaf"}
    assert coverage.missing(folders) == {b"heard", b"deaf"}
    with watching(heard):
        assert coverage.missing(folders) == {b"deaf"}
        with watching(deaf):
            assert coverage.missing(folders) == set()


def test_a_folder_that_was_replaced_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with watching(tmp_path, recursive=True):
        assert coverage.missing({identity(folder): b"folder"}) == set()
        elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
        elsewhere.mkdir()
        assert coverage.missing({identity(elsewhere): b"folder"}) == {b"folder"}


def test_a_device_that_no_watch_shows_is_taken_for_a_subvolume(tmp_path: Path) -> None:
    _, inode = identity(tmp_path)
    unknown = os.makedev(0, 0xFFFFF)
    with watching(tmp_path):
        assert coverage.missing({(unknown, inode): b"subvolume"}) == set()
        assert coverage.missing({(unknown, inode + 1): b"other"}) == {b"other"}


def test_a_known_device_has_to_match_with_the_inode(tmp_path: Path) -> None:
    (device, inode), (other, _) = identity(tmp_path), identity(Path("/proc"))
    assert device != other
    with watching(tmp_path, Path("/proc")):
        assert coverage.missing({(other, inode): b"twin"}) == {b"twin"}


def test_a_mount_on_a_watched_folder_hides_it(tmpfs: mounting.Factory) -> None:
    table = coverage.MountTable()
    with closing(table):
        assert not table.changed()
        root = tmpfs("1m")
        assert table.changed()
        assert not table.changed()
        with watching(root):
            assert coverage.missing({identity(root): b""}) == set()


@pytest.mark.parametrize("error", [0, errno.ENOSPC, errno.EACCES])
def test_the_limit_is_named_only_where_it_is_reached(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    assert not coverage.at_limit()

    def add_watch(*_arguments: object) -> int:
        ctypes.set_errno(error)
        return -1 if error else 1

    monkeypatch.setattr(coverage._libc, "inotify_add_watch", add_watch)
    gaps = coverage.Gaps()
    assert gaps.all_seen({(0, 0): b"a"})
    assert gaps.told(30) == "", "it is started anew first"
    assert not gaps.all_seen({(0, 0): b"a"})
    assert ("max_user_watches" in gaps.told(30)) == (error == errno.ENOSPC)
