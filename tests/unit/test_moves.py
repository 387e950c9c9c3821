"""How one file travels: copies, renames, removals, and what comes back."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mediad import config as configuration
from mediad.errors import SourceChanged, Stranded, VerifyFailed
from mediad.files import Dirs, Files, Tree, stat_of
from mediad.ingest import moves
from mediad.library import OpenLibrary, open_library
from tests.trees import files, tree

STEP = 7
CONTENT = bytes(range(256)) * 5000  # more than one buffer
NAME = b"card/a.jpg"


class Disk(Files):
    """Real files; `before` is called with each call's name and may raise, `held` answers `held_open`."""

    def __init__(self) -> None:
        self.before: Callable[[str], None] = lambda name: None
        self.held: bool | OSError = False

    def held_open(self, fd: int) -> bool:
        if isinstance(self.held, OSError):
            raise self.held
        return self.held

    def link(self, fd: int, name: bytes, dir_fd: int) -> None:
        self.before("link")
        super().link(fd, name, dir_fd)

    def rename(self, name: bytes, dir_fd: int, new: bytes, new_dir_fd: int) -> None:
        self.before("rename")
        super().rename(name, dir_fd, new, new_dir_fd)

    def stat_at(self, name: bytes, dir_fd: int) -> os.stat_result:
        self.before("stat_at")
        return super().stat_at(name, dir_fd)

    def unlink(self, name: bytes, dir_fd: int) -> None:
        self.before("unlink")
        super().unlink(name, dir_fd)

    def sync_file(self, fd: int) -> None:
        self.before("sync_file")
        super().sync_file(fd)

    def fail(self, *names: str, code: int = errno.EIO, skip: int = 0) -> None:
        """From now on these calls fail, the first `skip` of them all left out."""
        left = [skip]

        def before(name: str) -> None:
            if name in names:
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(code, os.strerror(code))

        self.before = before


@dataclass
class Case:
    """A watch with one file, hashed and held open, and a library."""

    disk: Disk
    inbox: Path
    library: OpenLibrary
    watch: Dirs
    dirs: Dirs
    source: moves.Source

    @property
    def file(self) -> Path:
        return self.inbox / os.fsdecode(NAME)

    @property
    def shelf(self) -> Path:
        return Path(os.fsdecode(self.library.tree.root))

    @property
    def tmp(self) -> dict[bytes, bytes]:
        return files(self.shelf / ".mediad/tmp")

    @property
    def folder(self) -> int:
        return self.watch.fd(b"card")

    def replace_file(self, content: bytes = b"another file") -> None:
        """Somebody puts another file in the place of the one that was hashed."""
        other = self.file.with_name("other")
        other.write_bytes(content)
        other.rename(self.file)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    disk = Disk()
    for name in ("inbox/card", "library"):
        (tmp_path / name).mkdir(parents=True)
    text = f'[library.photos]\npath = "{tmp_path}/library"\nmin_free = "0"\n'
    text += f'[watch.inbox]\npath = "{tmp_path}/inbox"\n[daemon]\nstate_dir = "{tmp_path}/state"\n'
    settings = configuration.parse(text, file="c.toml", env={}, home="").libraries["photos"]
    library = open_library(settings, disk, None)
    file = tmp_path / "inbox" / os.fsdecode(NAME)
    file.write_bytes(CONTENT)
    os.utime(file, ns=(1_600_000_000_000_000_001, 1_600_000_000_000_000_001))
    with Tree(disk, os.fsencode(tmp_path / "inbox")).dirs() as watch, library.tree.dirs() as dirs:
        fd = disk.open_file(b"a.jpg", watch.fd(b"card"))
        digest = hashlib.sha256(CONTENT).digest()
        source = moves.Source(fd, NAME, stat_of(os.fstat(fd)), digest, lease=True)
        yield Case(disk, tmp_path / "inbox", library, watch, dirs, source)
        os.close(fd)
    library.close()


def never() -> bool:
    return False


def test_a_digest_leaves_the_descriptor_where_it_is(case: Case) -> None:
    os.lseek(case.source.fd, 17, os.SEEK_SET)
    size = len(CONTENT)
    assert moves.digest_of(case.disk, case.source.fd, size, never) == case.source.digest
    assert moves.digest_of(case.disk, case.source.fd, 10, never) == hashlib.sha256(CONTENT[:10]).digest()
    assert moves.digest_of(case.disk, case.source.fd, 0, never) == hashlib.sha256().digest()
    assert os.lseek(case.source.fd, 0, os.SEEK_CUR) == 17
    with pytest.raises(SourceChanged, match="shorter"):
        moves.digest_of(case.disk, case.source.fd, size + 1, never)
    with pytest.raises(InterruptedError):
        moves.digest_of(case.disk, case.source.fd, size, lambda: True)


def test_whoever_looks_on_is_told_of_every_byte(case: Case) -> None:
    told: list[int] = []
    moves.digest_of(case.disk, case.source.fd, len(CONTENT), never, told.append)
    moves.make_copy(case.source, STEP, case.library, case.dirs, never, told.append)
    moves.verify_copy(case.source, STEP, case.library, case.dirs, never, told.append)
    assert sum(told) == 3 * len(CONTENT)


def test_a_source_is_removed_and_nothing_else(case: Case) -> None:
    (case.inbox / "card/b.jpg").write_bytes(b"b")
    assert moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {b"card/b.jpg": b"b"}


def test_a_replaced_file_is_left(case: Case) -> None:
    case.replace_file()
    there = case.file.stat()
    assert not moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {NAME: b"another file"}
    assert case.file.stat().st_ino == there.st_ino


def test_an_equal_file_in_its_place_is_another_file(case: Case) -> None:
    case.replace_file(CONTENT)
    assert not moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {NAME: CONTENT}


def test_a_link_in_its_place_is_left(case: Case, tmp_path: Path) -> None:
    case.file.rename(tmp_path / "elsewhere")
    case.file.symlink_to(tmp_path / "elsewhere")
    assert not moves.remove_source(case.source, STEP, case.watch)
    assert case.file.is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == CONTENT


@pytest.mark.parametrize("folder", [True, False])
def test_a_source_that_is_gone_is_not_removed(case: Case, folder: bool) -> None:
    case.file.unlink()
    if not folder:
        (case.inbox / "card").rmdir()
    assert not moves.remove_source(case.source, STEP, case.watch)


def test_a_changed_file_comes_back(case: Case) -> None:
    with case.file.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(SourceChanged, match="written to"):
        moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {NAME: CONTENT + b"more"}


def test_a_file_of_new_times_comes_back(case: Case) -> None:
    case.file.touch()
    with pytest.raises(SourceChanged):
        moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {NAME: CONTENT}


def test_a_file_that_somebody_writes_to_comes_back(case: Case) -> None:
    case.disk.held = True
    with pytest.raises(SourceChanged):
        moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {NAME: CONTENT}


def test_where_no_lease_can_be_had_size_and_times_decide(case: Case) -> None:
    case.disk.held = OSError(errno.EAGAIN, "no lease")
    assert moves.remove_source(case.source, STEP, case.watch)


def test_without_a_lease_nobody_is_asked(case: Case) -> None:
    case.disk.held = True
    assert moves.remove_source(replace(case.source, lease=False), STEP, case.watch)


@pytest.mark.parametrize("call", ["stat_at", "unlink"])
def test_a_removal_that_fails_leaves_the_file_under_its_name(case: Case, call: str) -> None:
    case.disk.fail(call)
    with pytest.raises(OSError, match="Input/output error"):
        moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {NAME: CONTENT}


def test_a_file_that_cannot_come_back_is_stranded_and_kept(case: Case) -> None:
    with case.file.open("ab") as stream:
        stream.write(b"more")
    case.disk.fail("rename", skip=1)
    with pytest.raises(Stranded):
        moves.remove_source(case.source, STEP, case.watch)
    assert files(case.inbox) == {b"card/.mediad-7": CONTENT + b"more"}


def test_a_file_already_aside_is_removed_or_comes_home(case: Case) -> None:
    aside = case.file.rename(case.file.with_name(".mediad-7"))
    assert moves.remove_named(case.disk, case.source, STEP, b".mediad-7", case.folder)
    assert files(case.inbox) == {}
    aside.write_bytes(b"not that one")
    assert not moves.remove_named(case.disk, case.source, STEP, b".mediad-7", case.folder)
    assert files(case.inbox) == {NAME: b"not that one"}


def test_put_back_where_the_name_is_taken(case: Case) -> None:
    for name in ("away", "a-1.jpg"):
        (case.inbox / "card" / name).write_bytes(name.encode())
    assert moves.put_back(case.disk, b"away", case.folder, case.folder, b"a.jpg") == b"a-2.jpg"
    assert files(case.inbox) == {NAME: CONTENT, b"card/a-1.jpg": b"a-1.jpg", b"card/a-2.jpg": b"away"}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_name_is_never_replaced_where_rename_has_no_flag_for_it(case: Case, code: int) -> None:
    (case.inbox / "card/away").write_bytes(b"away")
    case.disk.fail("rename", code=code)
    with pytest.raises(FileExistsError):
        moves.rename_new(case.disk, b"away", case.folder, b"a.jpg", case.folder)
    assert files(case.inbox) == {NAME: CONTENT, b"card/away": b"away"}
    moves.rename_new(case.disk, b"away", case.folder, b"new", case.folder)
    assert files(case.inbox) == {NAME: CONTENT, b"card/new": b"away"}


def test_an_old_name_that_stays_takes_the_new_one_with_it(case: Case) -> None:
    def before(call: str) -> None:
        if call == "rename":
            raise OSError(errno.EINVAL, "no flag")
        if call == "unlink":
            case.disk.before = lambda name: None
            raise PermissionError(errno.EPERM, "append only")

    case.disk.before = before
    with pytest.raises(PermissionError):
        moves.rename_new(case.disk, b"a.jpg", case.folder, b"new", case.folder)
    assert files(case.inbox) == {NAME: CONTENT}


def test_taken_is_the_very_file(case: Case) -> None:
    moves.take(case.source, STEP, case.library, case.watch, case.dirs)
    assert files(case.inbox) == {}
    assert case.tmp == {b"7.take": CONTENT}
    assert (case.shelf / ".mediad/tmp/7.take").stat().st_ino == case.source.stat.ino


def test_taken_and_found_to_be_another_file_it_goes_back(case: Case) -> None:
    case.replace_file()
    with pytest.raises(SourceChanged):
        moves.take(case.source, STEP, case.library, case.watch, case.dirs)
    assert (files(case.inbox), case.tmp) == ({NAME: b"another file"}, {})


def test_taken_while_somebody_writes_it_goes_back(case: Case) -> None:
    case.disk.held = True
    with pytest.raises(SourceChanged):
        moves.take(case.source, STEP, case.library, case.watch, case.dirs)
    assert (files(case.inbox), case.tmp) == ({NAME: CONTENT}, {})


def test_taken_and_unseen_it_goes_back(case: Case) -> None:
    case.disk.fail("stat_at")
    with pytest.raises(OSError, match="Input/output error"):
        moves.take(case.source, STEP, case.library, case.watch, case.dirs)
    assert (files(case.inbox), case.tmp) == ({NAME: CONTENT}, {})


def test_from_another_filesystem_nothing_is_taken(case: Case) -> None:
    case.disk.fail("rename", code=errno.EXDEV)
    with pytest.raises(OSError, match="cross-device"):
        moves.take(case.source, STEP, case.library, case.watch, case.dirs)
    assert (files(case.inbox), case.tmp) == ({NAME: CONTENT}, {})


def copied(case: Case) -> Path:
    moves.make_copy(case.source, STEP, case.library, case.dirs, never)
    return case.shelf / ".mediad/tmp/7.copy"


def test_a_copy_is_the_same_in_content_mode_and_times(case: Case) -> None:
    os.fchmod(case.source.fd, 0o604)
    copy = copied(case)
    assert (copy.read_bytes(), copy.stat().st_mode & 0o7777) == (CONTENT, 0o604)
    assert copy.stat().st_mtime_ns == case.source.stat.mtime_ns
    assert moves.verify_copy(case.source, STEP, case.library, case.dirs, never) == stat_of(copy.stat())
    assert files(case.inbox) == {NAME: CONTENT}


def test_a_copy_gets_the_librarys_mode_and_group(case: Case) -> None:
    case.library.settings = replace(case.library.settings, file_mode=0o640)
    case.library.gid = 12345 if os.getuid() == 0 else os.getgid()
    result = copied(case).stat()
    assert (result.st_mode & 0o7777, result.st_gid) == (0o640, case.library.gid)


def test_a_copy_of_what_changes_meanwhile_is_dropped(case: Case) -> None:
    case.file.touch()
    with pytest.raises(SourceChanged):
        copied(case)
    assert (case.tmp, files(case.inbox)) == ({}, {NAME: CONTENT})


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT + b"\0", b"\xff" + CONTENT[1:]])
def test_a_copy_that_reads_back_differently_is_dropped(case: Case, damage: bytes) -> None:
    copied(case).write_bytes(damage)
    with pytest.raises(VerifyFailed):
        moves.verify_copy(case.source, STEP, case.library, case.dirs, never)
    assert (case.tmp, files(case.inbox)) == ({}, {NAME: CONTENT})


def test_a_copy_that_is_not_read_to_its_end_is_left_to_whoever_ended_it(case: Case) -> None:
    copied(case)
    with pytest.raises(InterruptedError):
        moves.verify_copy(case.source, STEP, case.library, case.dirs, lambda: True)
    assert (case.tmp, files(case.inbox)) == ({b"7.copy": CONTENT}, {NAME: CONTENT})


@pytest.mark.parametrize("noreplace", [True, False])
def test_a_copy_is_published_and_never_over_anything(case: Case, noreplace: bool) -> None:
    case.library.can = replace(case.library.can, rename_noreplace=noreplace)
    if not noreplace:
        case.disk.fail("rename", code=errno.EINVAL)
    copied(case)
    (case.shelf / "a.jpg").write_bytes(b"there before")
    with pytest.raises(FileExistsError):
        moves.publish_copy(STEP, case.library, case.dirs, case.dirs.root, b"a.jpg")
    assert case.tmp == {b"7.copy": CONTENT}
    moves.publish_copy(STEP, case.library, case.dirs, case.dirs.root, b"a-1.jpg")
    assert files(case.shelf, without=[b".mediad"]) == {b"a.jpg": b"there before", b"a-1.jpg": CONTENT}
    assert case.tmp == {}


def test_a_reason_stands_beside_its_file_and_replaces_none(case: Case) -> None:
    moves.write_reason(case.disk, b"a.jpg", case.folder, "caf\u00e9 \udcff\n")
    said = case.inbox / "card/a.jpg.reason.txt"
    assert said.read_bytes() == "caf\u00e9 \\udcff\n".encode()
    with pytest.raises(FileExistsError):
        moves.write_reason(case.disk, b"a.jpg", case.folder, "again")
    assert said.read_bytes() == "caf\u00e9 \\udcff\n".encode()


def test_only_our_own_file_is_withdrawn(case: Case) -> None:
    (case.shelf / "theirs.jpg").write_bytes(b"theirs")
    os.link(case.file, case.shelf / "ours.jpg")
    before = tree(case.inbox)
    for name in (b"theirs.jpg", b"ours.jpg", b"none.jpg"):
        moves.withdraw(case.disk, case.dirs.root, name, case.source.stat)
    assert files(case.shelf, without=[b".mediad"]) == {b"theirs.jpg": b"theirs"}
    assert tree(case.inbox) == before
