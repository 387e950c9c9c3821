"""The fixtures that mount filesystems, and the dictionary of a tree."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.mounting import SIZES, Factory
from tests.trees import files, tree
from tests.waiting import wait_until


@pytest.mark.parametrize("kind", SIZES)
def test_an_image_is_a_filesystem_of_its_own(kind: str, loop_fs: Factory, tmp_path: Path) -> None:
    root = loop_fs(kind)
    assert os.path.ismount(root)
    (root / "file").write_bytes(b"content")
    with pytest.raises(OSError, match="cross-device") as caught:
        os.rename(root / "file", tmp_path / "file")
    assert caught.value.errno == errno.EXDEV


def test_two_mounts_are_two_filesystems(tmpfs: Factory) -> None:
    first, second = tmpfs(), tmpfs("1m")
    assert first.stat().st_dev != second.stat().st_dev
    assert os.statvfs(second).f_blocks * os.statvfs(second).f_frsize == 1 << 20


def test_a_bind_mount_shows_the_same_folder(bind_mount: Factory, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    again = bind_mount(tmp_path)
    assert again.stat().st_dev == tmp_path.stat().st_dev
    assert tree(again) == tree(tmp_path)


def test_a_tree_tells_every_type_apart(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("folder")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / ".mediad").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n")).write_bytes(b"")
    assert tree(tmp_path, without={b".mediad"}) == {
        b"folder/": None,
        b"folder/file": b"content",
        b"link": "-> folder",
        b"fifo": "a FIFO",
        b"\xff\n": b"",
    }
    assert files(tmp_path) == {b"folder/file": b"content", b"\xff\n": b""}


def test_waiting_ends_with_the_condition_or_with_the_deadline() -> None:
    looks = iter([0, 0, 7])
    assert wait_until(lambda: next(looks), 10.0) == 7
    with pytest.raises(AssertionError, match="the moon did not come true"):
        wait_until(lambda: False, 0.0, what="the moon")
