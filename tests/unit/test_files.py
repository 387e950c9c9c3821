"""System calls below a root: directories, copies by whatever works, and what errors mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediad import errors
from mediad.errors import MediadError, SourceChanged
from mediad.files import Dirs, Files, copy_content, copy_metadata, library_error, reading_error, source_error
from tests.trees import tree

CONTENT = bytes(range(256)) * 40000  # more than one chunk of either way to copy
Pair = tuple[int, int]


class Failing(Files):
    """Files of which some calls fail with an errno; `done` names what was tried."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.done: list[str] = []

    def _try(self, name: str) -> None:
        self.done.append(name)
        if name in self.codes:
            raise OSError(self.codes[name], os.strerror(self.codes[name]))

    def clone(self, source: int, target: int) -> None:
        self._try("clone")
        super().clone(source, target)

    def copy_range(self, source: int, target: int, offset: int, count: int) -> int:
        self._try("copy_range")
        return super().copy_range(source, target, offset, count)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self._try("write")
        return super().write(fd, data[:100_001], offset)  # the kernel may write less than it was given

    def chown(self, fd: int, uid: int, gid: int) -> None:
        self._try("chown")
        super().chown(fd, uid, gid)

    def chmod(self, fd: int, mode: int) -> None:
        self._try("chmod")
        super().chmod(fd, mode)

    def list_attributes(self, fd: int) -> list[str]:
        self._try("list_attributes")
        return ["user.a"]

    def get_attribute(self, fd: int, name: str) -> bytes:
        return b"value"

    def set_attribute(self, fd: int, name: str, value: bytes) -> None:
        self._try("set_attribute")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A file with content, and an empty one."""
    (tmp_path / "from").write_bytes(CONTENT)
    source = os.open(tmp_path / "from", os.O_RDONLY)
    target = os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT, 0o600)
    yield source, target
    os.close(source)
    os.close(target)


def never() -> bool:
    return False


def content(fd: int) -> bytes:
    return os.pread(fd, len(CONTENT) + 1, 0)


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY])
def test_without_clones_the_kernel_copies(pair: Pair, code: int) -> None:
    files = Failing(clone=code)
    copy_content(files, *pair, len(CONTENT), never)
    assert content(pair[1]) == CONTENT
    assert set(files.done) == {"clone", "copy_range"}


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_that_it_is_read_and_written(pair: Pair, code: int) -> None:
    files = Failing(clone=errno.EOPNOTSUPP, copy_range=code)
    copy_content(files, *pair, len(CONTENT), never)
    assert content(pair[1]) == CONTENT
    assert files.done[:3] == ["clone", "copy_range", "write"]


@pytest.mark.parametrize("call", ["clone", "copy_range", "write"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_what_the_medium_says_is_no_reason_to_go_on(pair: Pair, call: str, code: int) -> None:
    files = Failing(**{"clone": errno.EOPNOTSUPP, "copy_range": errno.EXDEV, call: code})
    with pytest.raises(OSError, match=os.strerror(code)):
        copy_content(files, *pair, len(CONTENT), never)
    assert files.done[-1] == call


def test_a_copy_stops_when_told(pair: Pair) -> None:
    with pytest.raises(InterruptedError):
        copy_content(Failing(clone=errno.EOPNOTSUPP), *pair, len(CONTENT), lambda: True)


def test_a_source_that_ends_early_changed(pair: Pair) -> None:
    with pytest.raises(SourceChanged):
        copy_content(Failing(clone=errno.EOPNOTSUPP), *pair, len(CONTENT) + 1, never)


def test_metadata_comes_over(pair: Pair) -> None:
    os.fchmod(pair[0], 0o604)
    os.utime(pair[0], ns=(1_500_000_000_000_000_007, 1_600_000_000_000_000_009))
    copy_metadata(Failing(), *pair)
    result = os.fstat(pair[1])
    assert result.st_mode & 0o7777 == 0o604
    assert (result.st_atime_ns, result.st_mtime_ns) == (1_500_000_000_000_000_007, 1_600_000_000_000_000_009)


@pytest.mark.parametrize("call", ["chown", "chmod", "list_attributes", "set_attribute"])
def test_what_a_filesystem_cannot_hold_is_left_out(pair: Pair, call: str) -> None:
    os.utime(pair[0], ns=(5, 7))
    files = Failing(**{call: errno.EOPNOTSUPP})
    copy_metadata(files, *pair)
    assert call in files.done
    assert os.fstat(pair[1]).st_mtime_ns == 7


@pytest.mark.parametrize("call", ["chmod", "list_attributes", "set_attribute"])
def test_a_medium_that_fails_is_not_hidden(pair: Pair, call: str) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        copy_metadata(Failing(**{call: errno.EIO}), *pair)


def test_directories_are_never_reached_by_links(tmp_path: Path) -> None:
    (tmp_path / "root/real").mkdir(parents=True)
    (tmp_path / "outside/sub").mkdir(parents=True)
    (tmp_path / "root/link").symlink_to("../outside")
    (tmp_path / "root/near").symlink_to("real")
    (tmp_path / "root/file").touch()
    before = tree(tmp_path)
    with Dirs(Files(), os.fsencode(tmp_path / "root")) as dirs:
        assert os.fstat(dirs.fd(b"real")).st_ino == (tmp_path / "root/real").stat().st_ino
        for path in (b"link", b"link/sub", b"near", b"file"):
            with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
                dirs.fd(path)
            with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
                dirs.make(path + b"/new")
        with pytest.raises(FileNotFoundError):
            dirs.parent(b"none/a.jpg")
        assert dirs.made == []
    assert tree(tmp_path) == before


def test_making_directories(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    with Dirs(Files(), os.fsencode(tmp_path)) as dirs:
        fd = dirs.make(b"a/b/c", mode=0o2750)
        assert dirs.made == [b"a/b", b"a/b/c"]
        assert dirs.make(b"a/b/c") == fd
        assert dirs.made == [b"a/b", b"a/b/c"]
    modes = [(tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "a/b/c")]
    assert modes == [0o700, 0o2750, 0o2750]
    dirs.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize(
    ("classify", "code", "kind"),
    [
        (source_error, errno.ENOENT, errors.SourceGone),
        (source_error, errno.ELOOP, errors.SourceChanged),
        (source_error, errno.EACCES, errors.NotPermitted),
        (source_error, errno.EROFS, errors.NotPermitted),
        (source_error, errno.EXDEV, errors.CannotLink),
        (source_error, errno.EIO, errors.InputOutput),
        (source_error, errno.EMFILE, errors.Exhausted),
        (reading_error, errno.EACCES, errors.NotPermitted),
        (reading_error, errno.EROFS, errors.InputOutput),
        (reading_error, errno.EXDEV, errors.InputOutput),
        (library_error, errno.EEXIST, errors.NameTaken),
        (library_error, errno.ENOSPC, errors.LibraryFull),
        (library_error, errno.EDQUOT, errors.LibraryFull),
        (library_error, errno.EROFS, errors.LibraryReadOnly),
        (library_error, errno.EACCES, errors.NotPermitted),
        (library_error, errno.ENOENT, errors.LibraryOffline),
        (library_error, errno.ELOOP, errors.NotPermitted),
        (library_error, errno.EXDEV, errors.CannotLink),
        (library_error, errno.ESTALE, errors.LibraryOffline),
    ],
)
def test_what_an_error_means(
    classify: Callable[[OSError, bytes], MediadError], code: int, kind: type[MediadError]
) -> None:
    error = classify(OSError(code, os.strerror(code)), b"a.jpg")
    assert (type(error), error.path) == (kind, b"a.jpg")
    assert error.message


@pytest.mark.parametrize(
    "path", [b"", b".", b"..", b"a/..", b"../b", b"a/../../b", b"a/./b", b"a//b", b"/b", b"a/"]
)
def test_no_path_leads_out_of_its_root(path: bytes, tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    with Dirs(Files(), os.fsencode(tmp_path / "root")) as dirs:
        with pytest.raises(OSError, match="names nothing below its folder"):
            dirs.parent(path)
        with pytest.raises(OSError, match="names nothing below its folder"):
            dirs.make(path + b"/c")
    assert sorted(tree(tmp_path)) == [b"b/", b"root/", b"root/a/"]
