"""What counts as a duplicate, and what is done with one. A mistake here deletes pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import mounting, samples
from tests.system.daemon import Daemon
from tests.system.once import DAY, MOVE, QUIET, kept, picture, run_once, xmp
from tests.trees import files

LEAVE = {"duplicates": {"exact": "leave"}}


def counts(daemon: Daemon, watch: str | None = None) -> dict[str, int]:
    found = [outcome.outcome for outcome in daemon.outcomes(watch).values()]
    return {outcome: found.count(outcome) for outcome in set(found)}


# -- where it is found ------------------------------------------------------------------------------


def test_a_copy_of_what_is_filed_goes_to_trash_with_its_reason(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        path = daemon.put("from a friend/other name.jpg", picture())
        run_once(daemon)
        assert daemon.filed() == {DAY + b"IMG_1.jpg": picture()}
        assert daemon.left() == {b"from a friend/": None}
        assert kept(daemon, "trash") == [picture()]
        (reason,) = (text for name, text in daemon.private("trash").items() if name.endswith(b".reason.txt"))
        assert reason.decode() == (
            f"duplicate: same content as photos/2021/2021-03-01/IMG_1.jpg\nfrom: {os.fsdecode(path)}\n"
        )
        assert daemon.outcome("from a friend/other name.jpg")[:2] == ("duplicate", "duplicate")


@pytest.mark.parametrize(
    ("watch", "more"),
    [
        pytest.param(MOVE, LEAVE, id="leave"),
        pytest.param({"action": "copy", "settle": "0s"}, {}, id="copy"),
        pytest.param({"action": "hardlink", "settle": "0s"}, {}, id="hardlink"),
    ],
)
def test_elsewhere_it_is_left(
    tmp_path: Path, watch: Mapping[str, object], more: Mapping[str, object]
) -> None:
    with Daemon(tmp_path, watch=watch, more=more, start=False) as daemon:
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        daemon.put("IMG_2.jpg", picture())
        daemon.put("a/IMG_3.jpg", picture())
        daemon.put("a/IMG_3.xmp", xmp(1))
        run_once(daemon)
        assert set(daemon.filed()) == {DAY + b"IMG_1.jpg", DAY + b"IMG_1.xmp"}
        assert kept(daemon, "trash") == []
        assert counts(daemon) == {"filed": 2, "duplicate": 2}
        left = {b"IMG_2.jpg", b"a/IMG_3.jpg"}
        everything = left | {b"IMG_1.jpg", b"a/IMG_3.xmp"}
        assert files(daemon.inbox).keys() == (left if watch is MOVE else everything)
        steps = daemon.query("SELECT count(*) FROM step")
        run_once(daemon)
        assert daemon.query("SELECT count(*) FROM step") == steps


def test_three_thousand_copies_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, more=QUIET, start=False) as daemon:
        for number in range(3000):
            daemon.put(f"{number % 7}/IMG_{number}.jpg", picture())
        run_once(daemon)
        assert list(daemon.filed().values()) == [picture()]
        assert kept(daemon, "trash") == [picture()] * 2999
        assert files(daemon.inbox) == {}
        assert counts(daemon) == {"filed": 1, "duplicate": 2999}


def test_more_copies_than_files_may_be_open(tmp_path: Path) -> None:
    prlimit = mounting.need_tool("prlimit")
    wrap = (prlimit, "--nofile=1024:1024")
    with Daemon(tmp_path, watch=MOVE, wrap=wrap, more=QUIET, start=False) as daemon:
        for number in range(1500):
            daemon.put(f"IMG_{number}.jpg", picture())
        run_once(daemon)
        assert len(kept(daemon, "trash")) == 1499
        assert files(daemon.inbox) == {}


def test_copies_in_two_watches_at_once(tmp_path: Path) -> None:
    watches = {"phone": MOVE, "card": MOVE}
    with Daemon(tmp_path, watches=watches, more=QUIET, start=False) as daemon:
        pictures = [picture(number) for number in range(200)]
        for number in range(200):
            for name in watches:
                daemon.put(f"IMG_{number}.jpg", pictures[number], folder=daemon.folders[name])
        run_once(daemon)
        assert sorted(daemon.filed().values()) == kept(daemon, "trash") == sorted(pictures)
        assert (files(daemon.folders["phone"]), files(daemon.folders["card"])) == ({}, {})


@pytest.mark.parametrize("scope", ["library", "all"])
@pytest.mark.parametrize("at_once", [False, True])
def test_across_libraries_only_with_scope_all(tmp_path: Path, scope: str, at_once: bool) -> None:
    watches = {"phone": {**MOVE, "library": "first"}, "card": {**MOVE, "library": "second"}}
    libraries: Mapping[str, Mapping[str, object]] = {"first": {}, "second": {}}
    more = {"duplicates": {"scope": scope}}
    with Daemon(tmp_path, watches=watches, libraries=libraries, more=more, start=False) as daemon:
        for name in watches:
            for number in range(20):
                daemon.put(f"IMG_{number}.jpg", picture(number), folder=daemon.folders[name])
            if not at_once:
                run_once(daemon)
        run_once(daemon)
        filed = sorted((*daemon.filed("first").values(), *daemon.filed("second").values()))
        gone = kept(daemon, "trash", "first") + kept(daemon, "trash", "second")
        once = sorted(picture(number) for number in range(20))
        assert (filed, sorted(gone)) == ((once, once) if scope == "all" else (sorted(once * 2), []))
        assert files(daemon.folders["phone"]) == files(daemon.folders["card"]) == {}


def test_against_what_was_in_the_library_before(tmp_path: Path) -> None:
    """It is known by size only, and read when a newcomer has that size."""
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put("old/by hand/picture.jpg", picture(1), folder=daemon.library)
        daemon.put("old/other.jpg", picture(2) + b"longer", folder=daemon.library)
        run_once(daemon)
        assert daemon.query("SELECT count(*), count(digest) FROM file") == [(2, 0)]
        daemon.put("IMG_1.jpg", picture(1))
        daemon.put("IMG_3.jpg", picture(3))
        run_once(daemon)
        assert daemon.filed() == {
            b"old/by hand/picture.jpg": picture(1),
            b"old/other.jpg": picture(2) + b"longer",
            DAY + b"IMG_3.jpg": picture(3),
        }
        assert kept(daemon, "trash") == [picture(1)]
        unread = daemon.query("SELECT path FROM file WHERE digest IS NULL")
        assert unread == [(b"old/other.jpg",)]


def test_on_the_first_run_too(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put("old/picture.jpg", picture(), folder=daemon.library)
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        assert daemon.filed() == {b"old/picture.jpg": picture()}
        assert kept(daemon, "trash") == [picture()]


# -- who is no witness ------------------------------------------------------------------------------


def deleted(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    os.truncate(path, 100)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def edited(path: Path) -> None:
    """One bit is other, and neither size nor time tell."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def made_a_link(path: Path) -> None:
    """To a file of the same content, outside."""
    outside = path.parents[3] / "outside.jpg"
    path.rename(outside)
    path.symlink_to(outside)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [deleted, truncated, emptied, edited, made_a_link, made_a_folder])
@pytest.mark.parametrize("found", [False, True])
def test_what_is_not_there_any_more_is_no_witness(
    tmp_path: Path, harm: Callable[[Path], None], found: bool
) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        if found:  # it lay in the library before, and a newcomer had it read
            daemon.put(DAY + b"IMG_1.jpg", picture(), folder=daemon.library)
        for _ in range(2):
            daemon.put("IMG_1.jpg", picture())
            run_once(daemon)
        assert set(daemon.filed()) == {DAY + b"IMG_1.jpg"}
        before = kept(daemon, "trash")
        harm(daemon.library / "2021/2021-03-01/IMG_1.jpg")
        harmed = daemon.filed()
        daemon.put("IMG_1.jpg", picture())
        daemon.put("again.jpg", picture())
        run_once(daemon)
        after = daemon.filed()
        assert harmed.items() <= after.items()
        (new,) = after.keys() - harmed.keys()
        assert after[new] == picture()
        assert kept(daemon, "trash") == sorted([*before, picture()])
        assert daemon.left() == {}


def test_another_copy_in_the_library_is_a_witness_where_the_first_is_none(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            daemon.put("old/" + name, picture(), folder=daemon.library)
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        assert len(kept(daemon, "trash")) == 1
        (daemon.library / "old/a.jpg").unlink()
        edited(daemon.library / "old/b.jpg")
        daemon.put("IMG_2.jpg", picture())
        run_once(daemon)
        assert set(daemon.filed()) == {b"old/b.jpg", b"old/c.jpg"}
        assert len(kept(daemon, "trash")) == 2


def test_an_offline_library_is_no_witness(tmp_path: Path) -> None:
    watches = {"phone": {**MOVE, "library": "first"}, "card": {**MOVE, "library": "second"}}
    libraries: Mapping[str, Mapping[str, object]] = {"first": {}, "second": {}}
    more = {"duplicates": {"scope": "all"}}
    with Daemon(tmp_path, watches=watches, libraries=libraries, more=more, start=False) as daemon:
        daemon.put("IMG_1.jpg", picture(), folder=daemon.folders["phone"])
        run_once(daemon)
        daemon.folders["first"].rename(tmp_path / "away")
        daemon.put("IMG_1.jpg", picture(), folder=daemon.folders["card"])
        run_once(daemon, code=3)
        assert daemon.filed("second") == {DAY + b"IMG_1.jpg": picture()}
        assert kept(daemon, "trash", "second") == []


# -- hard links -------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["filed", "found"])
def test_a_hard_link_of_the_librarys_file_is_left(tmp_path: Path, origin: str) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        folder = daemon.inbox if origin == "filed" else daemon.library / "2021/2021-03-01"
        daemon.put("IMG_1.jpg", picture(), folder=folder)
        if origin == "filed":
            run_once(daemon)
        os.link(daemon.library / "2021/2021-03-01/IMG_1.jpg", daemon.inbox / "linked.jpg")
        run_once(daemon)
        assert daemon.left() == {b"linked.jpg": picture()}
        assert daemon.filed() == {DAY + b"IMG_1.jpg": picture()}
        assert kept(daemon, "trash") == []
        assert daemon.outcome("linked.jpg").outcome == "duplicate"
        assert "very same file" in daemon.outcome("linked.jpg").reason
        run_once(daemon)
        assert daemon.left() == {b"linked.jpg": picture()}


def test_two_names_of_one_file_in_a_watch(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        os.link(daemon.put("a.jpg", picture()), daemon.inbox / "b.jpg")
        run_once(daemon)
        assert list(daemon.filed().values()) == [picture()]
        assert counts(daemon) == {"filed": 1, "duplicate": 1}
        assert kept(daemon, "trash") == [picture()]  # a file of its own: whoever has b.jpg open changes that


# -- what is never a duplicate on its own -----------------------------------------------------------


def test_empty_files_are_never_compared(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put("old/empty.jpg", b"", folder=daemon.library)
        for name in ("a.jpg", "b.mov", "c.xmp"):
            daemon.put(name, b"")
        run_once(daemon)
        assert set(daemon.left()) == {b"a.jpg", b"b.mov", b"c.xmp"}
        assert counts(daemon) == {"ignored": 3}
        assert {outcome.code for outcome in daemon.outcomes().values()} == {"empty"}
        assert kept(daemon, "trash") == []


def test_companions_are_never_compared_on_their_own(tmp_path: Path) -> None:
    """Equal sidecars of different pictures: each picture keeps its own."""
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for number in range(3):
            daemon.put(f"IMG_{number}.jpg", picture(number))
            daemon.put(f"IMG_{number}.aae", samples.aae())
        run_once(daemon)
        names = {DAY + b"IMG_%d.%b" % (number, ext) for number in range(3) for ext in (b"jpg", b"aae")}
        assert set(daemon.filed()) == names
        daemon.put("lonely.aae", samples.aae())
        run_once(daemon)
        assert daemon.outcome("lonely.aae")[:2] == ("ignored", "orphan")
        assert daemon.left() == {b"lonely.aae": samples.aae()}
        assert kept(daemon, "trash") == []
