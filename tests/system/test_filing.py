"""Where files go and under which names, with the real program."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon
from tests.system.once import ACTIONS, DAY, MOVE, TAKEN, picture, run_once
from tests.trees import files, tree


@pytest.mark.parametrize("action", ACTIONS)
def test_a_tree_is_filed_by_date_and_stays_filed(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        new_year = datetime(2020, 1, 1, 0, 1, 30)  # noqa: DTZ001
        inodes = {
            os.stat(daemon.put("IMG_1.jpg", picture(1))).st_ino,
            os.stat(daemon.put("DCIM/100/IMG_2.jpg", picture(2, new_year))).st_ino,
        }
        before = daemon.left()
        run_once(daemon)
        assert daemon.filed() == {
            DAY + b"IMG_1.jpg": picture(1),
            b"2020/2020-01-01/IMG_2.jpg": picture(2, new_year),
        }
        filed = {os.stat(os.fsencode(daemon.library) + b"/" + name).st_ino for name in daemon.filed()}
        assert (filed == inodes) is (action != "copy")
        assert daemon.left() == ({b"DCIM/": None, b"DCIM/100/": None} if action == "move" else before)
        steps = daemon.query("SELECT count(*) FROM step")
        filed_before = daemon.filed()
        run_once(daemon)
        assert (daemon.filed(), daemon.query("SELECT count(*) FROM step")) == (filed_before, steps)


def test_what_is_undated_goes_below_undated(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        content = samples.plain_jpeg(size=(32, 24))
        daemon.put("from/a friend/picture.jpg", content)
        daemon.put("other.jpg", samples.plain_jpeg(size=(32, 24), seed=1))
        run_once(daemon)
        assert daemon.filed() == {
            b"Undated/from/a friend/picture.jpg": content,
            b"Undated/other.jpg": samples.plain_jpeg(size=(32, 24), seed=1),
        }


def test_every_token_of_a_layout(tmp_path: Path) -> None:
    layout = "{kind}/{watch}-{label|none}/{subdir}/{camera}/{taken:%Y%m%d_%H%M%S}_{stem}_{digest:4}{ext}"
    with Daemon(tmp_path, watch=MOVE, library={"layout": layout}, start=False) as daemon:
        daemon.put("trip/day 1/IMG_1.JPG", picture())
        run_once(daemon)
        (digest,) = daemon.query("SELECT lower(hex(digest)) FROM file")
        name = f"photo/inbox-none/trip/day 1/Canon EOS 80D/20210301_080000_IMG_1_{digest[0][:4]}.jpg"
        assert daemon.filed() == {name.encode(): picture()}


def test_the_first_rule_that_matches_wins(tmp_path: Path) -> None:
    rules = [
        {"match": {"name": "*.tmp.jpg"}, "ignore": True},
        {"match": {"origin": "screenshot"}, "layout": "Screenshots/{taken:%Y}/{name}"},
        {"match": {"kind": "video"}, "library": "films"},
        {"match": {"camera": "*phone*", "path": "work/*"}, "library": "films", "layout": "Work/{name}"},
        {"match": {"name": "*.jpg"}, "layout": "Rest/{stem}{ext}"},
        {"match": {"name": "IMG_1.jpg"}, "ignore": True},
    ]
    libraries: dict[str, dict[str, object]] = {"photos": {}, "films": {"layout": "{taken:%Y}/{name}"}}
    with Daemon(tmp_path, watch=MOVE, libraries=libraries, more={"rule": rules}, start=False) as daemon:
        film = samples.mp4(TAKEN, size=(32, 24))
        phone = picture(3, make="Apple", model="iPhone 12")
        shot = samples.png(size=(32, 64), seed=4)
        daemon.put("IMG_1.jpg", picture(1))
        daemon.put("IMG_2.tmp.jpg", picture(2))
        daemon.put("work/IMG_3.jpg", phone)
        daemon.put("home/IMG_3.jpg", picture(5, make="Apple", model="iPhone 12"))
        daemon.put("Screenshot_20230102-101112.png", shot)
        daemon.put("MVI_1.mp4", film)
        run_once(daemon)
        assert daemon.filed("photos") == {
            b"Rest/IMG_1.jpg": picture(1),
            b"Rest/IMG_3.jpg": picture(5, make="Apple", model="iPhone 12"),
            b"Screenshots/2023/Screenshot_20230102-101112.png": shot,
        }
        assert daemon.filed("films") == {b"2021/MVI_1.mp4": film, b"Work/IMG_3.jpg": phone}
        assert files(daemon.inbox) == {b"IMG_2.tmp.jpg": picture(2)}
        assert daemon.outcome("IMG_2.tmp.jpg")[:2] == ("ignored", "rule")


def test_each_watch_has_its_own_library_and_time_zone(tmp_path: Path) -> None:
    zones = {"tokyo": "Asia/Tokyo", "lima": "America/Lima", "here": ""}
    libraries = {f"from-{name}": {"layout": "{taken:%Y-%m-%d %H}/{name}"} for name in zones}
    watches = {name: {**MOVE, "library": f"from-{name}", "timezone": zone} for name, zone in zones.items()}
    more = {"dates": {"timezone": "Europe/Berlin"}}
    with Daemon(tmp_path, watches=watches, libraries=libraries, more=more, start=False) as daemon:
        film = samples.mp4(datetime(2021, 7, 10, 23, 30), size=(32, 24))  # noqa: DTZ001 - UTC by definition
        for name in zones:
            daemon.put("clip.mp4", film, folder=daemon.folders[name])
        run_once(daemon)
        assert {name: list(daemon.filed(f"from-{name}")) for name in zones} == {
            "tokyo": [b"2021-07-11 08/clip.mp4"],
            "lima": [b"2021-07-10 18/clip.mp4"],
            "here": [b"2021-07-11 01/clip.mp4"],
        }


# -- names that collide -----------------------------------------------------------------------------


def test_other_files_of_the_same_name_are_numbered(tmp_path: Path) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for seed in range(5):
            daemon.put(f"{seed}/IMG_1.jpg", picture(seed))
        run_once(daemon)
        names = [b"IMG_1.jpg", *(b"IMG_1-%d.jpg" % number for number in range(1, 5))]
        assert set(daemon.filed()) == {DAY + name for name in names}
        daemon.put("IMG_1.jpg", picture(5))
        run_once(daemon)
        assert daemon.filed()[DAY + b"IMG_1-5.jpg"] == picture(5)
        assert set(daemon.filed().values()) == {picture(seed) for seed in range(6)}


@pytest.mark.parametrize("action", ACTIONS)
def test_names_that_compare_equal_collide(tmp_path: Path, action: str) -> None:
    triples = [
        ("IMG_1.jpg", "IMG_1.jpg", "IMG_1-1.jpg"),
        ("IMG_2.JPG", "img_2.jpg", "img_2-1.jpg"),
        ("STRASSE.jpg", "straße.jpg", "straße-1.jpg"),
        ("caf\u00e9.jpg", "cafe\u0301.jpg", "cafe\u0301-1.jpg"),
    ]
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        for seed, (there, _, _) in enumerate(triples):
            daemon.put(there, picture(seed))
        run_once(daemon)
        for seed, (_, new, _) in enumerate(triples):
            daemon.put("new/" + new, picture(10 + seed))
        run_once(daemon)
        assert daemon.filed() == {
            **{DAY + there.encode(): picture(seed) for seed, (there, _, _) in enumerate(triples)},
            **{DAY + numbered.encode(): picture(10 + seed) for seed, (_, _, numbered) in enumerate(triples)},
        }


@pytest.mark.parametrize("action", ACTIONS)
def test_a_file_that_nobody_told_of_is_not_overwritten(tmp_path: Path, action: str) -> None:
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        run_once(daemon)  # the library is known from here on, and known to be empty
        for name in (b"IMG_1.jpg", b"IMG_1-1.jpg"):
            daemon.put(DAY + name, b"by hand", folder=daemon.library)
        daemon.put("IMG_1.jpg", picture())
        run_once(daemon)
        assert daemon.filed() == {
            DAY + b"IMG_1.jpg": b"by hand",
            DAY + b"IMG_1-1.jpg": b"by hand",
            DAY + b"IMG_1-2.jpg": picture(),
        }


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_where_a_folder_should_be_is_left_alone(tmp_path: Path, kind: str) -> None:
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        if kind == "file":
            (daemon.library / "2021").write_bytes(b"no folder")
        else:
            (daemon.library / "2021").symlink_to(elsewhere)
        daemon.put("IMG_1.jpg", picture(1))
        daemon.put("IMG_2.jpg", picture(2, datetime(2022, 1, 1)))  # noqa: DTZ001
        before = tree(daemon.library, without={b".mediad"})
        run_once(daemon, code=3)
        assert daemon.outcome("IMG_1.jpg")[:2] == ("failed", "not-permitted")
        assert daemon.left() == {b"IMG_1.jpg": picture(1)}
        after = tree(daemon.library, without={b".mediad"})
        assert after == {
            **before,
            b"2022/": None,
            b"2022/2022-01-01/": None,
            b"2022/2022-01-01/IMG_2.jpg": picture(2, datetime(2022, 1, 1)),  # noqa: DTZ001
        }
        assert tree(elsewhere) == {}


# -- names at the edge ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_names_of_255_bytes(tmp_path: Path, action: str) -> None:
    names = [
        b"x" * 251 + b".jpg",
        "é".encode() * 125 + b"x.jpg",
        b"x" + "\N{SLIGHTLY SMILING FACE}".encode() * 62 + b"yy.jpg",
    ]
    assert [len(name) for name in names] == [255] * 3
    with Daemon(tmp_path, watch={"action": action, "settle": "0s"}, start=False) as daemon:
        for number, name in enumerate(names):
            for seed in range(3):
                daemon.put(b"%d/%b" % (seed, name), picture(10 * number + seed))
        run_once(daemon)
        filed = daemon.filed()
        assert sorted(filed.values()) == sorted(picture(10 * n + seed) for n in range(3) for seed in range(3))
        assert filed.keys() >= {DAY + name for name in names}
        for path in filed:
            last = path.rpartition(b"/")[2]
            assert len(last) <= 255
            assert last.endswith(b".jpg")
            last.decode("utf-8")


def test_a_long_name_in_trash_and_in_quarantine(tmp_path: Path) -> None:
    name = b"x" + "é".encode() * 125 + b".jpg"
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        daemon.put(name, picture())
        daemon.put(b"copy/" + name, picture())
        daemon.put(b"broken/" + name, samples.broken_jpeg())
        run_once(daemon, code=3)
        assert sorted(daemon.filed().values()) == [picture()]
        for folder, content in (("trash", picture()), ("quarantine", samples.broken_jpeg())):
            found = daemon.private(folder)
            (kept,) = (path for path in found if not path.endswith(b".reason.txt"))
            assert found[kept] == content
            assert set(found) == {kept, kept + b".reason.txt"}
            kept.decode("utf-8")


def test_odd_names_come_through_as_they_are(tmp_path: Path) -> None:
    names = [
        b"\xff\xfe latin-1 \xe9.jpg",
        b"quote ' and \" and $(id).jpg",
        b"%d{name}%Y.jpg",
        b"-rf.jpg",
        b" leading blank.jpg",
        "\u202egpj.exe.jpg".encode(),
    ]
    with Daemon(tmp_path, watch=MOVE, start=False) as daemon:
        for seed, name in enumerate(names):
            daemon.put(name, picture(seed))
        daemon.put(b"new\nline\x1b[31m.jpg", picture(99))
        lines = run_once(daemon)
        assert daemon.filed() == {
            **{DAY + name: picture(seed) for seed, name in enumerate(names)},
            DAY + b"new_line_[31m.jpg": picture(99),
        }
        assert not [line for line in lines if "\x1b" in line]


def test_deep_folders(tmp_path: Path) -> None:
    deep = b"/".join([b"d" * 100] * 30)  # 3 kB; PATH_MAX allows 4
    with Daemon(tmp_path, watch=MOVE, library={"layout": "{subdir}/{name}"}, start=False) as daemon:
        daemon.put(deep + b"/IMG_1.jpg", picture())
        run_once(daemon)
        assert daemon.filed() == {deep + b"/IMG_1.jpg": picture()}
