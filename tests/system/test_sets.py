"""Files that belong together, with the real program: filed, refused and quarantined as one."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon
from tests.system.once import ACTIONS, DAY, MOVE, TAKEN, kept, picture, run_once, xmp
from tests.trees import files


def put_all(daemon: Daemon, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        daemon.put(name, data)


@pytest.mark.parametrize("action", ACTIONS)
def test_companions_go_with_their_principal(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        still, moving = samples.live_photo(TAKEN, seed=3)
        content = {
            "IMG_1.jpg": picture(1),
            "IMG_1.xmp": xmp(1),
            "IMG_1.jpg.xmp": xmp(2),
            "IMG_2.JPG": picture(2),
            "img_2.aae": samples.aae(),
            "IMG_3.JPG": still,
            "IMG_3.MOV": moving,
            "IMG_3.AAE": samples.aae(),
            "IMG_3.MOV.xmp": xmp(3),
        }
        put_all(daemon, content)
        run_once(daemon)
        renamed = {"img_2.aae": "IMG_2.aae"}  # a set keeps one stem
        assert daemon.filed() == {
            DAY + renamed.get(name, name).encode(): data for name, data in content.items()
        }
        items = daemon.query(
            "SELECT count(*), sum(role = 'principal') FROM file GROUP BY item ORDER BY count(*)"
        )
        assert items == [(2, 1), (3, 1), (4, 1)]


def test_a_film_of_the_same_name_is_no_companion(tmp_path: Path) -> None:
    """IMG_1234.jpg and IMG_1234.mp4, years apart: neither dates the other, and both keep their names."""
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        film = samples.mp4(datetime(2019, 6, 1, 12, 0), size=(32, 24))  # noqa: DTZ001
        put_all(daemon, {"IMG_1234.jpg": picture(), "IMG_1234.mp4": film, "IMG_1234.xmp": xmp(1)})
        run_once(daemon)
        assert daemon.filed() == {
            DAY + b"IMG_1234.jpg": picture(),
            DAY + b"IMG_1234.xmp": xmp(1),
            b"2019/2019-06-01/IMG_1234.mp4": film,
        }


def test_the_principal_decides_the_date(tmp_path: Path) -> None:
    """The film of a Live Photo ends after midnight, and its sidecar says something else."""
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        night = datetime(2021, 3, 1, 23, 59, 59)  # noqa: DTZ001
        still, _ = samples.live_photo(night, seed=1)
        _, moving = samples.live_photo(night.replace(day=2, hour=0, minute=0, second=1), seed=1)
        sidecar = samples.xmp_sidecar(datetime(2010, 1, 1))  # noqa: DTZ001
        put_all(daemon, {"IMG_1.jpg": still, "IMG_1.mov": moving, "IMG_1.xmp": sidecar})
        run_once(daemon)
        assert set(daemon.filed()) == {DAY + name for name in (b"IMG_1.jpg", b"IMG_1.mov", b"IMG_1.xmp")}


def test_a_raw_is_the_principal_of_its_still(tmp_path: Path, shared_media: Path) -> None:
    folder = shared_media / "edited_sidecars"
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        content = {name: (folder / name).read_bytes() for name in ("canon_eos_6d.dng", "canon_eos_6d.xmp")}
        put_all(daemon, content)
        run_once(daemon)
        filed = daemon.filed()
        assert sorted(filed.values()) == sorted(content.values())
        assert len({name.rpartition(b".")[0] for name in filed}) == 1


# -- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_a_set_keeps_one_stem_when_any_of_its_names_is_taken(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        run_once(daemon)
        there = {
            DAY + b"IMG_1.jpg": b"by hand",
            DAY + b"IMG_1-1.xmp": b"by hand",
            DAY + b"IMG_1-2.JPG.XMP": b"by hand",
        }
        for name, content in there.items():
            daemon.put(name, content, folder=daemon.library)
        put_all(daemon, {"IMG_1.jpg": picture(), "IMG_1.xmp": xmp(1), "IMG_1.jpg.xmp": xmp(2)})
        run_once(daemon)
        filed = daemon.filed()
        assert there.items() <= filed.items()
        new = {name: filed[name] for name in filed.keys() - there.keys()}
        stem = next(name for name in new if name.endswith(b".jpg"))[: -len(b".jpg")]
        assert new == {stem + b".jpg": picture(), stem + b".xmp": xmp(1), stem + b".jpg.xmp": xmp(2)}
        assert stem in (DAY + b"IMG_1-2", DAY + b"IMG_1-3")


def test_many_sets_of_one_name(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for seed in range(1, 30):
            put_all(daemon, {f"{seed}/IMG_1.jpg": picture(seed), f"{seed}/IMG_1.xmp": xmp(seed)})
        run_once(daemon)
        filed = daemon.filed()
        assert len(filed) == 58
        stems = {name.rpartition(b".")[0] for name in filed}
        pairs = {filed[stem + b".jpg"]: filed[stem + b".xmp"] for stem in stems}
        assert pairs == {picture(seed): xmp(seed) for seed in range(1, 30)}


def test_a_set_of_long_names(tmp_path: Path) -> None:
    stem = "x" * 247
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for seed in range(1, 4):
            put_all(
                daemon,
                {
                    f"{seed}/{stem}.jpg": picture(seed),
                    f"{seed}/{stem}.jpg.xmp": xmp(seed),
                    f"{seed}/{stem}.xmp": xmp(10 + seed),
                },
            )
        run_once(daemon)
        filed = daemon.filed()
        assert len(filed) == 9
        assert sorted(filed.values()) == sorted(
            data for seed in range(1, 4) for data in (picture(seed), xmp(seed), xmp(10 + seed))
        )
        assert max(len(name.rpartition(b"/")[2]) for name in filed) <= 255


# -- one after the other ----------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_a_late_companion_goes_beside_its_principal(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        daemon.put("a/IMG_1.jpg", picture(1))
        run_once(daemon)
        daemon.put("b/IMG_1.jpg", picture(2))
        run_once(daemon)
        daemon.put("b/IMG_1.xmp", xmp(2))
        daemon.put("b/IMG_1.jpg.xmp", xmp(3))
        run_once(daemon)
        assert daemon.filed() == {
            DAY + b"IMG_1.jpg": picture(1),
            DAY + b"IMG_1-1.jpg": picture(2),
            DAY + b"IMG_1-1.xmp": xmp(2),
            DAY + b"IMG_1-1.jpg.xmp": xmp(3),
        }
        daemon.put("b/IMG_1.aae", samples.aae())
        run_once(daemon)
        assert daemon.filed()[DAY + b"IMG_1-1.aae"] == samples.aae()
        assert daemon.query("SELECT count(DISTINCT item) FROM file") == [(2,)]
        assert bool(files(daemon.inbox)) is (action != "move")


@pytest.mark.parametrize("action", ACTIONS)
def test_an_orphan_joins_its_principal(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        put_all(daemon, {"IMG_1.xmp": xmp(1), "IMG_1.jpg.xmp": xmp(2), "IMG_1.aae": samples.aae()})
        run_once(daemon)
        assert daemon.filed() == {}
        assert len(daemon.left()) == 3
        assert {outcome[:2] for outcome in daemon.outcomes().values()} == {("ignored", "orphan")}
        daemon.put("IMG_2.jpg", picture(2))
        run_once(daemon)
        assert set(daemon.filed()) == {DAY + b"IMG_2.jpg"}
        daemon.put("IMG_1.jpg", picture(1))
        run_once(daemon)
        names = (b"IMG_1.jpg", b"IMG_1.xmp", b"IMG_1.jpg.xmp", b"IMG_1.aae", b"IMG_2.jpg")
        assert set(daemon.filed()) == {DAY + name for name in names}
        assert {outcome.outcome for outcome in daemon.outcomes().values()} == {"filed"}
        assert bool(daemon.left()) is (action != "move")


def test_an_orphan_whose_former_principal_is_gone_stays(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        (daemon.library / "2021/2021-03-01/IMG_1.jpg").unlink()
        daemon.put("IMG_1.xmp", xmp(1))
        run_once(daemon)
        assert daemon.filed() == {}
        assert daemon.left() == {b"IMG_1.xmp": xmp(1)}
        assert daemon.outcome("IMG_1.xmp")[:2] == ("ignored", "orphan")


def test_a_companion_that_is_empty_at_first(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        put_all(daemon, {"IMG_1.jpg": picture(1), "IMG_1.xmp": b""})
        run_once(daemon)
        assert daemon.left() == {b"IMG_1.xmp": b""}
        daemon.put("IMG_1.xmp", xmp(1))
        run_once(daemon)
        assert daemon.filed() == {DAY + b"IMG_1.jpg": picture(1), DAY + b"IMG_1.xmp": xmp(1)}


def test_what_is_no_file_is_no_companion(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        put_all(daemon, {"IMG_1.jpg": picture(1), "elsewhere.txt": b"secret"})
        (daemon.inbox / "IMG_1.xmp").symlink_to(daemon.inbox / "elsewhere.txt")
        os.mkfifo(daemon.inbox / "IMG_1.aae")
        (daemon.inbox / "IMG_1.jpg.xmp").mkdir()
        run_once(daemon)
        assert daemon.filed() == {DAY + b"IMG_1.jpg": picture(1)}
        assert daemon.left().keys() == {b"IMG_1.xmp", b"IMG_1.aae", b"IMG_1.jpg.xmp/", b"elsewhere.txt"}
        assert daemon.outcome("IMG_1.xmp")[:2] == daemon.outcome("IMG_1.aae")[:2] == ("ignored", "not-a-file")


def test_companions_while_the_daemon_runs(tmp_path: Path) -> None:
    """A sidecar before, with and after its picture."""
    with Daemon(tmp_path, watch={"action": "move"}) as daemon:
        daemon.put("IMG_1.xmp", xmp(1))
        daemon.wait_for("IMG_1.xmp", "ignored")
        daemon.put("IMG_1.jpg", picture(1))
        daemon.wait_for("IMG_1.xmp", "filed")
        daemon.put("IMG_2.jpg", picture(2))
        daemon.put("IMG_2.xmp", xmp(2))
        daemon.wait_for("IMG_2.xmp", "filed")
        daemon.put("IMG_2.jpg.xmp", xmp(3))
        daemon.wait_for("IMG_2.jpg.xmp", "filed")
        assert daemon.filed() == {
            DAY + b"IMG_1.jpg": picture(1),
            DAY + b"IMG_1.xmp": xmp(1),
            DAY + b"IMG_2.jpg": picture(2),
            DAY + b"IMG_2.xmp": xmp(2),
            DAY + b"IMG_2.jpg.xmp": xmp(3),
        }
        assert daemon.left() == {}


# -- duplicates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_a_duplicates_companions_follow_it_where_the_library_has_them(tmp_path: Path, late: bool) -> None:
    still, moving = samples.live_photo(TAKEN)
    whole = {"IMG_1.jpg": still, "IMG_1.mov": moving, "IMG_1.xmp": xmp(1), "IMG_1.jpg.xmp": xmp(2)}
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        if late:
            put_all(daemon, {"IMG_1.jpg": still, "IMG_1.mov": moving})
            run_once(daemon)
            put_all(daemon, {"IMG_1.xmp": xmp(1), "IMG_1.jpg.xmp": xmp(2)})
        else:
            put_all(daemon, whole)
        run_once(daemon)
        before = daemon.filed()
        assert set(before) == {DAY + name.encode() for name in whole}
        for number in range(3):
            put_all(daemon, {f"{number}/copy{name[5:]}": data for name, data in whole.items()})
        run_once(daemon)
        assert daemon.filed() == before
        assert kept(daemon, "trash") == sorted([*whole.values()] * 3)
        assert files(daemon.inbox) == {}


def test_a_duplicates_other_companions_go_beside_the_librarys_copy(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        put_all(daemon, {"IMG_1.jpg": picture(), "IMG_1.xmp": xmp(1)})
        run_once(daemon)
        for _ in range(2):  # the second time all of it is known
            put_all(
                daemon,
                {"new/DSC_9.jpg": picture(), "new/DSC_9.xmp": xmp(2), "new/DSC_9.aae": samples.aae()},
            )
            run_once(daemon)
            assert daemon.filed() == {
                DAY + b"IMG_1.jpg": picture(),
                DAY + b"IMG_1.xmp": xmp(1),
                DAY + b"IMG_1-1.xmp": xmp(2),
                DAY + b"IMG_1.aae": samples.aae(),
            }
        assert kept(daemon, "trash") == sorted([picture(), picture(), xmp(2), samples.aae()])
        assert files(daemon.inbox) == {}


def test_copies_at_once_that_bring_the_same_companion(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        for number in range(40):
            put_all(daemon, {f"{number}/IMG_1.jpg": picture(), f"{number}/IMG_1.xmp": xmp(1)})
        run_once(daemon)
        assert daemon.filed() == {DAY + b"IMG_1.jpg": picture(), DAY + b"IMG_1.xmp": xmp(1)}
        assert kept(daemon, "trash") == sorted([picture()] * 40 + [xmp(1)] * 39)


@pytest.mark.parametrize("harm", ["edited", "deleted"])
def test_a_companion_is_kept_where_the_librarys_is_another_now(tmp_path: Path, harm: str) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        put_all(daemon, {"IMG_1.jpg": picture(), "IMG_1.xmp": xmp(1)})
        run_once(daemon)
        sidecar = daemon.library / "2021/2021-03-01/IMG_1.xmp"
        times = sidecar.stat()
        if harm == "edited":
            sidecar.write_bytes(xmp(5))
            os.utime(sidecar, ns=(times.st_atime_ns, times.st_mtime_ns))
        else:
            sidecar.unlink()
        put_all(daemon, {"IMG_1.jpg": picture(), "IMG_1.xmp": xmp(1)})
        run_once(daemon)
        filed = daemon.filed()
        assert sorted(filed.values()) == sorted(
            [picture(), xmp(1), xmp(5)] if harm == "edited" else [picture(), xmp(1)]
        )
        assert kept(daemon, "trash") == [picture()]


def test_companions_of_what_was_in_the_library_before(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        there = {b"old/IMG_1.jpg": picture(), b"old/IMG_1.xmp": xmp(1)}
        for name, content in there.items():
            daemon.put(name, content, folder=daemon.library)
        for _ in range(2):
            put_all(daemon, {"IMG_1.jpg": picture(), "IMG_1.xmp": xmp(1), "IMG_1.aae": samples.aae()})
            run_once(daemon)
            assert daemon.filed() == there | {b"old/IMG_1.aae": samples.aae()}
        assert kept(daemon, "trash") == sorted([picture(), xmp(1)] * 2 + [samples.aae()])


# -- quarantine and rules ---------------------------------------------------------------------------


def test_a_set_is_quarantined_whole(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        broken = samples.broken_jpeg()
        put_all(daemon, {"IMG_1.jpg": broken, "IMG_1.xmp": xmp(1), "IMG_1.jpg.xmp": xmp(2)})
        daemon.put("IMG_2.jpg", picture(2))
        run_once(daemon, code=3)
        assert kept(daemon, "quarantine") == sorted([broken, xmp(1), xmp(2)])
        assert daemon.filed() == {DAY + b"IMG_2.jpg": picture(2)}
        assert daemon.left() == {}
        outcomes = daemon.outcomes()
        assert [outcomes[name].outcome for name in (b"IMG_1.jpg", b"IMG_1.xmp", b"IMG_1.jpg.xmp")] == [
            "quarantined"
        ] * 3
        assert len([name for name in daemon.private("quarantine") if name.endswith(b".reason.txt")]) == 3


@pytest.mark.parametrize("action", ["copy", "hardlink"])
def test_a_set_is_quarantined_in_name_only_where_sources_stay(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        put_all(daemon, {"IMG_1.jpg": samples.broken_jpeg(), "IMG_1.xmp": xmp(1)})
        before = daemon.left()
        run_once(daemon, code=3)
        assert (daemon.left(), daemon.filed(), daemon.private("quarantine")) == (before, {}, {})
        assert {outcome.outcome for outcome in daemon.outcomes().values()} == {"quarantined"}


def test_a_rule_takes_the_whole_set(tmp_path: Path) -> None:
    rules = [
        {"match": {"name": "IMG_2*"}, "ignore": True},
        {"match": {"kind": "photo"}, "layout": "Photos/{name}"},
        {"match": {"name": "*.mov"}, "layout": "Films/{name}"},
    ]
    with Daemon(tmp_path, watch=MOVE, more={"rule": rules}, start=False) as daemon:
        still, moving = samples.live_photo(TAKEN)
        put_all(daemon, {"IMG_1.jpg": still, "IMG_1.mov": moving, "IMG_1.xmp": xmp(1)})
        put_all(daemon, {"IMG_2.jpg": picture(2), "IMG_2.xmp": xmp(2)})
        run_once(daemon)
        names = (b"IMG_1.jpg", b"IMG_1.mov", b"IMG_1.xmp")
        assert set(daemon.filed()) == {b"Photos/" + name for name in names}
        assert set(daemon.left()) == {b"IMG_2.jpg", b"IMG_2.xmp"}
        assert daemon.outcome("IMG_2.xmp")[:2] == ("ignored", "rule")
