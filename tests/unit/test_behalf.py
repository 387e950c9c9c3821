"""Paths that are followed, and folders that are read, for somebody who may not read everything."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from mediad.behalf import Barred, FilesFor, eyes_of, find, open_to
from mediad.control.access import READ
from mediad.control.peer import Peer
from mediad.files import Dirs
from tests.somebody import open_folder as open_folder

MEMBER = Peer(2, 54321, frozenset({54321}), trusted=False)


def inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def followed(path: Path | str) -> bytes:
    found = find(os.fsencode(path), open_to, lambda _: READ)
    assert found.path == os.path.realpath(os.fsencode(path))
    above = [
        Path("/"),
        *(Path(*Path(os.fsdecode(found.path)).parts[: n + 2]) for n in range(len(found.trail) - 1)),
    ]
    assert list(found.trail) == [inode(folder) for folder in above]
    return found.path


def test_a_path_is_followed_as_the_kernel_does(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x")
    for name, target in (
        ("a/up", ".."),
        ("away", str(tmp_path / "a/b")),
        ("chain", "away/../up/chain2"),
        ("chain2", "a//./b/file"),
        ("root", "/"),
    ):
        (tmp_path / name).symlink_to(target)
    for path in (".", "a/up/a/b", "away/file", "away/..", "chain", "chain2", "root", "//a/"):
        assert followed(f"{tmp_path}/{path}")
    assert followed("/") == b"/"
    assert followed("/../..") == b"/"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nowhere", errno.ENOENT),
        ("file/x", errno.ENOTDIR),
        ("loop", errno.ELOOP),
        ("x" * 256, errno.ENAMETOOLONG),
    ],
)
def test_what_leads_nowhere(tmp_path: Path, path: str, code: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=re.escape(os.strerror(code))):
        find(os.fsencode(tmp_path / path), open_to, lambda _: READ)
    assert os.listdir("/proc/self/fd") == before


def test_nesting_without_end_is_given_up(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=folder)
        folder, above = os.open("d", os.O_RDONLY, dir_fd=folder), folder
        os.close(above)
    os.close(folder)
    with pytest.raises(OSError, match="too long"):
        find(os.fsencode(tmp_path) + b"/d" * 300, open_to, lambda _: READ)


def test_each_call_asks_for_what_it_needs(open_folder: Path) -> None:
    for name, mode in (("listed", 0o744), ("searched", 0o711), ("both", 0o755)):
        (open_folder / name).mkdir()
        for file, its in (("open", 0o644), ("closed", 0o600)):
            (open_folder / name / file).touch()
            (open_folder / name / file).chmod(its)
        (open_folder / name).chmod(mode)
    files = FilesFor(MEMBER, inode(open_folder))
    with Dirs(files, os.fsencode(open_folder)) as dirs:
        for name, may in (("listed", "l"), ("searched", "so"), ("both", "lso")):
            fd = dirs.fd(name.encode())
            for letter, call in (
                ("l", lambda fd=fd: files.list_dir(fd)),
                ("s", lambda fd=fd: files.stat_at(b"closed", fd)),
                ("o", lambda fd=fd: os.close(files.open_file(b"open", fd))),
                ("", lambda fd=fd: files.open_file(b"closed", fd)),
            ):
                if letter and letter in may:
                    call()
                else:
                    with pytest.raises(Barred):
                        call()


def test_a_root_is_the_one_that_was_permitted(open_folder: Path) -> None:
    root = open_folder / "root"
    root.mkdir()
    files = FilesFor(MEMBER, inode(root))
    os.close(files.open_root(os.fsencode(root)))
    root.rename(open_folder / "former")
    root.mkdir()
    with pytest.raises(OSError, match="another folder has taken its place"):
        files.open_root(os.fsencode(root))
    root.rmdir()
    root.symlink_to("former")
    with pytest.raises(NotADirectoryError):
        files.open_root(os.fsencode(root))
    root.unlink()
    (open_folder / "former").rename(root)
    open_folder.chmod(0o700)
    with pytest.raises(Barred):
        files.open_root(os.fsencode(root))
    with pytest.raises(Barred):
        find(os.fsencode(root), eyes_of(MEMBER), lambda _: READ)
