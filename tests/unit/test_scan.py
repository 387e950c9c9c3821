"""What a look at a folder shows, and what it costs when part of it cannot be read."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from mediad.exclude import NOT_INCLUDED, Excluder
from mediad.files import Files, Tree
from mediad.ingest.scan import CHUNK, Folder, Report
from mediad.model import FileType, Sighting

NOW_NS = 2_000_000_000 * 10**9


class Failing(Files):
    """Answers with an error where names in `broken` are opened, listed or looked at."""

    def __init__(self, broken: dict[bytes, int]) -> None:
        self.broken = broken
        self.open = 0

    def _answer(self, name: bytes) -> None:
        if name in self.broken:
            raise OSError(self.broken[name], os.strerror(self.broken[name]))

    def open_dir(self, name: bytes, dir_fd: int) -> int:
        self._answer(name)
        fd = super().open_dir(name, dir_fd)
        self.open += 1
        return fd

    def open_root(self, path: bytes) -> int:
        fd = super().open_root(path)
        self.open += 1
        return fd

    def close(self, fd: int) -> None:
        self.open -= 1
        super().close(fd)

    def stat_at(self, name: bytes, dir_fd: int) -> os.stat_result:
        self._answer(name)
        return super().stat_at(name, dir_fd)


def folder(
    root: Path,
    *,
    exclude: Sequence[str] = (),
    include: Sequence[str] = ("*",),
    clocks_agree: bool = True,
    files: Files | None = None,
) -> Folder:
    tree = Tree(files or Files(), os.fsencode(root))
    return Folder("inbox", tree, Excluder(include, exclude), clocks_agree, lambda: NOW_NS)


def scan(looked_at: Folder, start: bytes = b"") -> tuple[dict[bytes, Sighting], Report]:
    seen: list[Sighting] = []
    report = looked_at.scan(start, seen.extend, lambda: False)
    assert len({sighting.path for sighting in seen}) == len(seen) == report.files
    return {sighting.path: sighting for sighting in seen}, report


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_every_file_below_is_seen_with_its_state(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", b"12345")
    inner = write(tmp_path / "d" / "e" / "b.jpg")
    (tmp_path / "empty").mkdir()
    seen, report = scan(folder(tmp_path))
    assert set(seen) == {b"a.jpg", b"d/e/b.jpg"}
    result = inner.stat()
    assert seen[b"d/e/b.jpg"].stat.ino == result.st_ino
    assert seen[b"d/e/b.jpg"].stat.mtime_ns == result.st_mtime_ns
    assert seen[b"a.jpg"].stat.size == 5
    assert seen[b"a.jpg"].watch == "inbox"
    assert set(report.folders.values()) == {b"", b"d", b"d/e", b"empty"}
    assert report.folders[(tmp_path / "d").stat().st_dev, (tmp_path / "d").stat().st_ino] == b"d"


def test_a_scan_of_a_subfolder_names_files_from_the_root(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    write(tmp_path / "d" / "e" / "b.jpg")
    seen, report = scan(folder(tmp_path), b"d")
    assert set(seen) == {b"d/e/b.jpg"}
    assert set(report.folders.values()) == {b"d", b"d/e"}


def test_rest_is_what_the_later_of_both_times_says_where_clocks_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg")
    changed = path.stat().st_ctime_ns
    os.utime(path, ns=(1, 1))
    now = path.stat().st_ctime_ns + 5 * 10**9
    looked_at = Folder("inbox", Tree(Files(), os.fsencode(tmp_path)), Excluder(["*"], []), True, lambda: now)
    assert scan(looked_at)[0][b"a.jpg"].rest == pytest.approx(5.0)
    assert scan(folder(tmp_path, clocks_agree=False))[0][b"a.jpg"].rest == 0.0
    future = Folder(
        "inbox", Tree(Files(), os.fsencode(tmp_path)), Excluder(["*"], []), True, lambda: changed - 10**12
    )
    assert scan(future)[0][b"a.jpg"].rest == 0.0


def test_what_is_excluded_is_told_and_excluded_folders_are_not_entered(tmp_path: Path) -> None:
    write(tmp_path / "a.part")
    write(tmp_path / "a.txt")
    write(tmp_path / "a.jpg")
    write(tmp_path / "private" / "b.jpg")
    seen, report = scan(folder(tmp_path, exclude=["private/"], include=["*.jpg"]))
    assert {path: sighting.excluded for path, sighting in seen.items()} == {
        b"a.part": "*.part",
        b"a.txt": NOT_INCLUDED,
        b"a.jpg": "",
    }
    assert set(report.folders.values()) == {b""}


def test_what_is_no_file_is_told_and_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "file").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        seen, _ = scan(folder(root))
    assert {path: sighting.type for path, sighting in seen.items()} == {
        b"folder": FileType.SYMLINK,
        b"file": FileType.SYMLINK,
        b"fifo": FileType.FIFO,
        b"socket": FileType.SOCKET,
    }


def test_names_are_bytes(tmp_path: Path) -> None:
    name = b"\xff\xfe.jpg"
    os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    assert set(scan(folder(tmp_path))[0]) == {name}


def test_a_folder_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/2.jpg", "c/3.jpg", "odd.jpg"):
        write(tmp_path / name)
    files = Failing({b"b": errno.EACCES, b"3.jpg": errno.EIO})
    seen, report = scan(folder(tmp_path, files=files))
    assert set(seen) == {b"a/1.jpg", b"odd.jpg"}
    assert sorted(report.errors) == [(b"b", "Permission denied"), (b"c/3.jpg", "Input/output error")]
    assert files.open == 0


def test_what_vanishes_on_the_way_is_no_error(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/2.jpg", "3.jpg"):
        write(tmp_path / name)
    files = Failing({b"b": errno.ENOENT, b"3.jpg": errno.ENOENT})
    seen, report = scan(folder(tmp_path, files=files))
    assert set(seen) == {b"a/1.jpg"}
    assert report.errors == []


def test_a_missing_root_or_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(folder(tmp_path / "missing"))
    with pytest.raises(FileNotFoundError):
        scan(folder(tmp_path), b"missing")
    with pytest.raises(FileNotFoundError):
        folder(tmp_path / "missing").look([b"a.jpg"])


def test_folders_nested_beyond_reason_are_reported(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(202):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    files = Failing({})
    _, report = scan(folder(tmp_path, files=files))
    assert [why for _, why in report.errors] == ["nested deeper than 200 folders"]
    assert files.open == 0


def test_files_are_handed_on_in_chunks_that_tear_no_set(tmp_path: Path) -> None:
    for number in range(2 * CHUNK):
        for ending in ("JPG", "jpg.xmp", "mov"):
            (tmp_path / f"IMG_{number:05}.{ending}").touch()
    chunks: list[set[bytes]] = []
    folder(tmp_path).scan(
        b"", lambda chunk: chunks.append({sighting.path[:9] for sighting in chunk}), lambda: False
    )
    assert len(chunks) > 1
    assert sum(map(len, chunks)) == len(set().union(*chunks)) == 2 * CHUNK


def test_small_folders_share_a_chunk(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / str(number) / "a.jpg")
    chunks: list[int] = []
    folder(tmp_path).scan(b"", lambda chunk: chunks.append(len(chunk)), lambda: False)
    assert chunks == [20]


def test_a_scan_ends_early_when_asked(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number:02}" / "a.jpg")
    asked = iter(range(100))
    files = Failing({})
    report = folder(tmp_path, files=files).scan(b"", lambda _: None, lambda: next(asked) >= 5)
    assert len(report.folders) == 5
    assert files.open == 0


def test_a_look_tells_files_from_folders_and_passes_over_what_is_gone(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    write(tmp_path / "d" / "b.jpg")
    write(tmp_path / "d" / "x.part")
    write(tmp_path / ".trash" / "c.jpg")
    files = Failing({})
    looked_at = folder(tmp_path, files=files)
    named = [b"a.jpg", b"d", b"d/b.jpg", b"d/x.part", b"gone.jpg", b"no/c.jpg", b".trash/c.jpg", b".trash"]
    seen, folders = looked_at.look(named)
    assert {sighting.path: sighting.excluded for sighting in seen} == {
        b"a.jpg": "",
        b"d/b.jpg": "",
        b"d/x.part": "*.part",
    }
    assert folders == [b"d"]
    assert files.open == 0


def test_a_look_through_a_linked_folder_sees_nothing(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    assert folder(root).look([b"link/a.jpg"]) == ([], [])
