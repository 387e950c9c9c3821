"""What recovery makes of every state that a crash can leave on disk."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mediad import config as configuration
from mediad.errors import LibraryOffline, Stranded
from mediad.files import Files
from mediad.ingest.recover import Recovered, Verdict, recover, sweep
from mediad.library import OpenLibrary, open_library
from mediad.store.journal import OpenStep
from tests.crash.faulty import Faults, FaultyFiles
from tests.trees import files

CONTENT = b"a picture" * 100
OTHER = b"its sidecar"
CHANGED = b"something else" * 99
DONE, BACK, GONE = Verdict.FINISHED, Verdict.REVERTED, Verdict.LOST_SIGHT

CONFIG = """
[library.photos]
path = "{root}/library"
min_free = "0"
[watch.inbox]
path = "{root}/inbox"
[daemon]
state_dir = "{root}/state"
socket = "{root}/control"
"""


@dataclass
class Disk:
    """A watch and a library, with files put where a crash might have left them."""

    root: Path
    library: OpenLibrary
    steps: list[OpenStep] = field(default_factory=list)

    def put(self, name: str, content: bytes = CONTENT) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def link(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        os.link(self.root / old, self.root / new)

    def step(
        self,
        action: str = "move",
        target: str | None = "2021/a.jpg",
        path: str = "a.jpg",
        content: bytes = CONTENT,
    ) -> None:
        """An open step; the first is number 1, and all are of one set."""
        self.steps.append(
            OpenStep(
                len(self.steps) + 1,
                1,
                action,
                1,
                None if target is None else target.encode(),
                "inbox",
                os.fsencode(self.root / "inbox"),
                path.encode(),
                len(content),
                0,
                hashlib.sha256(content).digest(),
            )
        )

    def leaves(self, path: str = "2021/a.jpg", target: str = "a.jpg", content: bytes = CONTENT) -> None:
        """An open step that puts a library's file back to where it came from."""
        self.step("undo", target, path, content)
        last = self.steps[-1]
        origin_root = os.fsencode(self.root / "library")
        self.steps[-1] = replace(last, library=None, origin=1, origin_root=origin_root, shifts=True)

    def recover(self) -> list[Verdict]:
        """Recover, twice: the second time must change nothing but what was told."""
        first = self.once()
        after = self.everything()
        self.once()
        assert self.everything() == after
        return [one.verdict for one in first]

    def once(self) -> list[Recovered]:
        return recover(self.steps, self.library, lambda: False)

    def everything(self) -> dict[str, bytes]:
        """All files, without the marker and the lock."""
        found = {os.fsdecode(name): content for name, content in files(self.root).items()}
        return {name: content for name, content in found.items() if "/.mediad/l" not in name}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    for name in ("inbox", "library"):
        (tmp_path / name).mkdir()
    config = configuration.parse(CONFIG.format(root=tmp_path), file="c.toml", env={}, home="")
    library = open_library(config.libraries["photos"], Files(), None)
    yield Disk(tmp_path, library)
    library.close()


SOURCE, TARGET = "inbox/a.jpg", "library/2021/a.jpg"
TAKE, COPY, ASIDE = "library/.mediad/tmp/1.take", "library/.mediad/tmp/1.copy", "inbox/.mediad-1"


@pytest.mark.parametrize(
    ("action", "left", "verdict", "after"),
    [
        ("move", {SOURCE}, BACK, {SOURCE}),
        ("move", {SOURCE, TARGET}, DONE, {TARGET}),
        ("move", {ASIDE, TARGET}, DONE, {TARGET}),
        ("move", {TARGET}, DONE, {TARGET}),
        ("move", {TAKE}, DONE, {TARGET}),
        ("move", {SOURCE, COPY}, BACK, {SOURCE}),
        ("move", {ASIDE, COPY}, BACK, {SOURCE}),
        ("move", {COPY}, DONE, {TARGET}),
        ("move", set(), GONE, set()),
        ("copy", {SOURCE, COPY}, BACK, {SOURCE}),
        ("copy", {SOURCE, TARGET}, DONE, {SOURCE, TARGET}),
        ("copy", {TARGET}, DONE, {TARGET}),
        ("hardlink", {SOURCE, TARGET}, DONE, {SOURCE, TARGET}),
    ],
)
def test_one_file(disk: Disk, action: str, left: set[str], verdict: Verdict, after: set[str]) -> None:
    for name in left:
        disk.put(name)
    disk.step(action)
    assert disk.recover() == [verdict]
    assert disk.everything() == dict.fromkeys(after, CONTENT)


@pytest.mark.parametrize("removed", ["", SOURCE])
def test_a_set_of_which_one_is_missing_goes_back(disk: Disk, removed: str) -> None:
    disk.put(SOURCE)
    disk.link(SOURCE, TARGET)
    if removed:  # it was taken, not linked
        (disk.root / removed).unlink()
    disk.put("inbox/a.xmp", OTHER)
    disk.step()
    disk.step(target="2021/a.xmp", path="a.xmp", content=OTHER)
    assert disk.recover() == [BACK, BACK]
    assert disk.everything() == {SOURCE: CONTENT, "inbox/a.xmp": OTHER}


def test_what_was_to_stay_is_not_dated_where_others_of_its_set_go_back(disk: Disk) -> None:
    disk.put("library/2021/a.jpg")
    disk.put("library/2021/a.xmp", OTHER)
    disk.step("date", "2021/b.jpg", "2021/a.jpg")
    disk.step("date", None, "2021/a.xmp", OTHER)
    root = os.fsencode(disk.root / "library")
    disk.steps = [replace(one, origin=1, origin_root=root, shifts=True) for one in disk.steps]
    assert disk.recover() == [BACK, BACK]
    (disk.root / "library/2021/a.jpg").rename(disk.root / "library/2021/b.jpg")
    assert disk.recover() == [DONE, DONE]


def test_a_set_that_is_whole_is_finished(disk: Disk) -> None:
    disk.put(TAKE)
    disk.put("library/2021/a.xmp", OTHER)
    disk.put("inbox/.mediad-2", OTHER)
    disk.step()
    disk.step(target="2021/a.xmp", path="a.xmp", content=OTHER)
    assert disk.recover() == [DONE, DONE]
    assert disk.everything() == {TARGET: CONTENT, "library/2021/a.xmp": OTHER}


def test_a_name_that_was_taken_meanwhile_sends_it_home(disk: Disk) -> None:
    disk.put(TAKE)
    disk.put(TARGET, CHANGED)
    disk.step()
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: CONTENT, TARGET: CHANGED}


def test_home_is_taken_too(disk: Disk) -> None:
    disk.put(TAKE)
    disk.put(TARGET, CHANGED)
    disk.put(SOURCE, OTHER)
    disk.step()
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: OTHER, "inbox/a-1.jpg": CONTENT, TARGET: CHANGED}


def test_a_link_that_was_written_into_is_taken_back(disk: Disk) -> None:
    disk.put(SOURCE, CHANGED)
    disk.link(SOURCE, TARGET)
    disk.step("hardlink")
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: CHANGED}


def test_a_stranger_under_the_name_is_let_be(disk: Disk) -> None:
    disk.put(SOURCE)
    disk.put(TARGET, CHANGED)
    disk.step("copy")
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: CONTENT, TARGET: CHANGED}


def test_a_new_file_under_the_old_name_is_let_be(disk: Disk) -> None:
    disk.put(TARGET)
    disk.put(SOURCE, CHANGED)
    disk.step()
    assert disk.recover() == [DONE]
    assert disk.everything() == {SOURCE: CHANGED, TARGET: CONTENT}


def test_what_was_changed_while_aside_comes_home(disk: Disk) -> None:
    disk.put(TARGET)
    disk.put(ASIDE, CHANGED)
    disk.step()
    assert disk.recover() == [DONE]
    assert disk.everything() == {SOURCE: CHANGED, TARGET: CONTENT}


def test_a_copy_whose_source_has_gone_stays_though_its_set_is_not_whole(disk: Disk) -> None:
    disk.put(TARGET)
    disk.put("inbox/a.xmp", OTHER)
    disk.step("copy")
    disk.step("copy", "2021/a.xmp", "a.xmp", OTHER)
    assert disk.recover() == [DONE, BACK]
    assert disk.everything() == {TARGET: CONTENT, "inbox/a.xmp": OTHER}


@pytest.mark.parametrize("action", ["trash", "quarantine"])
@pytest.mark.parametrize("reason", [True, False])
def test_a_reason_stays_with_its_file(disk: Disk, action: str, reason: bool) -> None:
    place = f".mediad/{action}/a-1.jpg"
    disk.put(f"library/{place}")
    if reason:
        disk.put(f"library/{place}.reason.txt", b"because")
    disk.step(action, place)
    assert disk.recover() == [DONE]
    assert disk.everything().keys() == {f"library/{place}", f"library/{place}.reason.txt"}


def test_a_reason_goes_with_its_file(disk: Disk) -> None:
    disk.put(SOURCE)
    disk.put("library/.mediad/trash/a-1.jpg.reason.txt", b"because")
    disk.step("trash", ".mediad/trash/a-1.jpg")
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: CONTENT}


def test_a_file_that_was_to_stay_is_looked_at_anew(disk: Disk) -> None:
    disk.put(SOURCE)
    disk.step("leave", None)
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: CONTENT}


def test_with_the_watch_away_the_library_keeps_what_it_has(disk: Disk) -> None:
    disk.put(TARGET)
    disk.step()
    disk.step(target="2021/a.xmp", path="a.xmp", content=OTHER)
    (disk.root / "inbox").rmdir()
    assert disk.recover() == [DONE, GONE]
    assert disk.everything() == {TARGET: CONTENT}


def test_with_the_watch_away_an_only_exemplar_waits(disk: Disk) -> None:
    disk.put(TAKE)
    disk.put(TARGET, CHANGED)
    disk.step()
    (disk.root / "inbox").rmdir()
    with pytest.raises(Stranded):
        disk.once()
    assert disk.everything() == {TAKE: CONTENT, TARGET: CHANGED}
    (disk.root / "inbox").mkdir()
    assert disk.recover() == [BACK]
    assert disk.everything() == {SOURCE: CONTENT, TARGET: CHANGED}


ON_ITS_WAY = "library/2021/.mediad-1"  # the source of what leaves, while it is being removed


@pytest.mark.parametrize("another", [False, True])
@pytest.mark.parametrize("left", [TARGET, TAKE, ON_ITS_WAY])
def test_what_goes_back_to_a_folder_that_is_away_stays(disk: Disk, left: str, another: bool) -> None:
    disk.put(TARGET)
    disk.put(left)
    if left != TARGET:
        (disk.root / TARGET).unlink()
    disk.leaves()
    if another:
        disk.put(SOURCE, CHANGED)
        disk.steps = [replace(step, identity="another") for step in disk.steps]
    else:
        (disk.root / "inbox").rmdir()
    assert disk.recover() == [BACK]
    assert disk.everything() == {TARGET: CONTENT} | ({SOURCE: CHANGED} if another else {})


def test_what_has_gone_to_a_folder_that_is_away_waits_for_it(disk: Disk) -> None:
    disk.put("library/2021/a.xmp", OTHER)
    disk.leaves()
    disk.leaves("2021/a.xmp", "a.xmp", OTHER)
    disk.put(SOURCE)
    (disk.root / "inbox").rename(disk.root / "away")
    with pytest.raises(LibraryOffline) as caught:
        disk.once()
    assert caught.value.path == os.fsencode(disk.root / "inbox")
    (disk.root / "away").rename(disk.root / "inbox")
    assert disk.recover() == [BACK, BACK]
    assert disk.everything() == {TARGET: CONTENT, "library/2021/a.xmp": OTHER}


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_what_cannot_be_read_is_not_judged(disk: Disk, code: int) -> None:
    disk.put(SOURCE)
    disk.put(TARGET)
    disk.step()
    faults = Faults(error_at=1, error=code, kinds={"open_file"})
    disk.library.tree.files = FaultyFiles(faults)
    with pytest.raises(OSError):  # noqa: PT011 - its number is the parameter
        disk.once()
    assert disk.everything() == {SOURCE: CONTENT, TARGET: CONTENT}
    assert disk.recover() == [DONE]


def test_a_symbolic_link_on_the_way_is_not_followed(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    disk.put("outside/a.jpg")
    (tmp_path / "inbox" / "card").symlink_to(tmp_path / "outside")
    disk.put(TARGET)
    disk.step(path="card/a.jpg")
    assert disk.recover() == [DONE]
    assert disk.everything()["outside/a.jpg"] == CONTENT


def test_sweeping_leaves_only_exemplars_and_what_is_in_hand(disk: Disk) -> None:
    names = ("1.copy", "2.copy", "3.probe", "4.take", "5.take", "x.copy", "notes.txt")
    for name in names:
        disk.put(f"library/.mediad/tmp/{name}")
    left = sweep(disk.library, lambda step: step in (2, 5))
    assert set(left) == {b"4.take", b"x.copy", b"notes.txt"}
    there = {name.rpartition("/")[2] for name in disk.everything()}
    assert there == set(names) - {"1.copy", "3.probe"}
