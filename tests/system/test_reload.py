"""Reload: all or nothing, and work in flight goes on under the configuration that it was begun with."""

from __future__ import annotations

import os
import shutil
import signal
import struct
from pathlib import Path

from tests import samples
from tests.system.once import DAY, QUIET, picture
from tests.system.steered import Steered

MOVE = {"action": "move", "settle": "0s"}
COPY = {"settle": "0s"}


def remove(daemon: Steered, kind: str, name: str) -> None:
    del daemon.settings[kind][name]
    daemon.configure()


def rename(daemon: Steered, kind: str, old: str, new: str) -> None:
    daemon.settings[kind][new] = daemon.settings[kind].pop(old)
    daemon.configure()


def add(daemon: Steered, kind: str, name: str, **keys: object) -> Path:
    """A watch or library more, whose folder is made."""
    path = Path(str(keys.pop("path", daemon.root / name)))
    path.mkdir(parents=True, exist_ok=True)
    more = {"library": "photos", "settle": "0s"} if kind == "watch" else {"min_free": "1MB"}
    daemon.settings[kind][name] = {"path": str(path), **more, **keys}
    daemon.folders[name] = path
    daemon.configure()
    return path


# --- What changes ------------------------------------------------------------------------------------


def test_watches_and_libraries_come_and_go(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        films = add(daemon, "library", "films")
        card = add(daemon, "watch", "card", library="films")
        daemon.put("b.jpg", picture(2), folder=card)  # before it is a watch
        said = daemon.ctl("reload").stdout.splitlines()
        assert said == [f"library films: added ({films})", f"watch card: added ({card})"]
        daemon.ctl("wait")
        assert daemon.filed("films") == {DAY + b"b.jpg": picture(2)}
        assert {one["name"]: one["state"] for one in daemon.status()["libraries"]} == {
            "photos": "online",
            "films": "online",
        }
        remove(daemon, "watch", "card")
        remove(daemon, "library", "films")
        assert daemon.ctl("reload").stdout.splitlines() == ["library films: removed", "watch card: removed"]
        daemon.put("c.jpg", picture(3), folder=card)
        daemon.put("d.jpg", picture(4))
        daemon.ctl("wait")
        assert [one["name"] for one in daemon.status()["watches"]] == ["inbox"]
        daemon.wait_until(lambda: [one["name"] for one in daemon.status()["libraries"]] == ["photos"])
        assert daemon.filed("films") == {DAY + b"b.jpg": picture(2)}
        assert daemon.filed() == {DAY + b"d.jpg": picture(4)}
        daemon.ctl("pause", "card", code=2)
        assert "b.jpg" in daemon.ctl("why", str(card / "b.jpg")).stdout
        assert daemon.ctl("reload").stdout == "nothing changed\n"
        add(daemon, "library", "films")
        add(daemon, "watch", "card", library="films")
        daemon.ctl("reload")
        daemon.ctl("wait")
        assert set(daemon.filed("films").values()) == {picture(2), picture(3)}, "b.jpg is known still"
        assert daemon.totals()["filed"] == 3


def test_keys_of_a_watch(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.put("x.tmp.jpg", picture(2))
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 2
        daemon.change("watch", "inbox", exclude=["*.skip.jpg"])
        assert daemon.reload() == ["watch inbox: exclude is *.skip.jpg, was empty"]
        daemon.put("y.skip.jpg", picture(3))
        daemon.ctl("wait")
        assert daemon.outcome("y.skip.jpg").code == "excluded"
        daemon.change("watch", "inbox", exclude=[], action="move", polling="on")
        assert len(daemon.reload()) == 3
        daemon.ctl("wait")
        assert daemon.outcome("y.skip.jpg").outcome == "filed", "it is looked at anew"
        assert not (daemon.inbox / "y.skip.jpg").exists(), "which is a move by now"
        assert (daemon.inbox / "a.jpg").exists(), "what was dealt with stays as it is"
        daemon.change("watch", "inbox", settle="1h")
        daemon.reload()
        daemon.put("z.jpg", picture(4))
        daemon.call("Scan")
        assert daemon.status()["queue"]["settling"] == 1
        daemon.change("watch", "inbox", settle="0s")
        daemon.reload()
        daemon.ctl("wait")
        assert daemon.outcome("z.jpg").outcome == "filed", "what settles goes by the new time"


def test_layouts_rules_and_dates(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.put("n.png", samples.png(seed=1, size=(16, 16)))
        daemon.ctl("wait")
        daemon.settings["library"]["photos"]["layout"] = "New/{name}"
        daemon.settings["rule"] = [{"match": {"name": "*.png"}, "ignore": True}]
        daemon.configure()
        assert daemon.reload() == [
            'library photos: layout is "New/{name}", was "{taken:%Y}/{taken:%Y-%m-%d}/{name}"',
            "rules: 1, were 0",
        ]
        daemon.put("b.jpg", picture(2))
        daemon.put("m.png", samples.png(seed=2, size=(16, 16)))
        daemon.ctl("wait")
        assert {b"New/b.jpg", DAY + b"a.jpg"} <= set(daemon.filed())
        assert daemon.outcome("m.png").outcome == "ignored"
        assert daemon.outcome("n.png").outcome == "filed", "what is filed stays filed"
        del daemon.settings["rule"]
        daemon.configure()
        daemon.reload()
        daemon.ctl("wait")
        assert daemon.outcome("m.png").outcome == "filed", "no rule bars it any more"


def test_a_renamed_watch_keeps_its_past(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.put("broken.jpg", samples.broken_jpeg(1))
        daemon.ctl("wait")
        daemon.ctl("pause", "inbox", "--for", "2h")
        before = daemon.totals()
        rename(daemon, "watch", "inbox", "phone")
        daemon.folders["phone"] = daemon.folders["inbox"]
        assert daemon.reload() == ["watch inbox: renamed to phone"]
        assert daemon.rest() == "idle"
        assert daemon.watch("phone")["state"] == "paused"
        daemon.ctl("resume", "phone")
        daemon.ctl("wait")
        assert daemon.totals() == before
        story = daemon.call("Why", path=str(daemon.inbox / "a.jpg"))["stories"][0]
        assert (story["origin"], story["outcome"]) == ("phone", "filed")
        (failure,) = daemon.call("Failures")["files"]
        assert failure["watch"] == "phone"
        assert len(daemon.call("History")["rows"]) == 2
        daemon.put("b.jpg", picture(2))
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 2
        daemon.ctl("retry", "--unparsed")
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 3


def test_two_watches_swap_their_names(tmp_path: Path) -> None:
    with Steered(tmp_path, watches={"a": COPY, "b": COPY}) as daemon:
        daemon.put("1.jpg", picture(1), folder=daemon.folders["a"])
        daemon.put("2.jpg", picture(2), folder=daemon.folders["b"])
        daemon.ctl("wait")
        paths = {name: daemon.settings["watch"][name]["path"] for name in "ab"}
        daemon.settings["watch"]["a"]["path"], daemon.settings["watch"]["b"]["path"] = paths["b"], paths["a"]
        daemon.configure()
        assert len(daemon.reload()) == 2
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 2, "nothing is taken again"
        assert {one["name"]: one["path"] for one in daemon.status()["watches"]} == {
            "a": paths["b"],
            "b": paths["a"],
        }
        for path, origin in ((f"{paths['a']}/1.jpg", "b"), (f"{paths['b']}/2.jpg", "a")):
            assert daemon.call("Why", path=path)["stories"][0]["origin"] == origin
        daemon.put("3.jpg", picture(3), folder=Path(paths["a"]))
        daemon.ctl("wait")
        assert daemon.outcome("3.jpg", "b").outcome == "filed"


def test_a_library_that_was_moved_goes_on(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.ctl("wait")
        new = tmp_path / "disk" / "photos"
        shutil.copytree(daemon.library, new)
        shutil.rmtree(daemon.library)
        daemon.call("Scan", names=["photos"])
        daemon.put("b.jpg", picture(2))
        daemon.ctl("wait", code=5)
        daemon.change("library", "photos", path=str(new))
        assert daemon.reload() == [f"library photos: path is {new}, was {daemon.library}"]
        daemon.ctl("wait")
        daemon.put("again.jpg", picture(1))
        daemon.ctl("wait")
        assert daemon.totals() == {
            "filed": 2,
            "duplicate": 1,
            "bytes_filed": len(picture(1)) + len(picture(2)),
        }
        place = daemon.call("Why", path=str(daemon.inbox / "a.jpg"))["stories"][0]
        assert (place["place"], place["place_state"]) == (f"{new}/2021/2021-03-01/a.jpg", "there")
        assert daemon.shelf("photos")["files"] == 2


def test_a_library_moved_while_its_copy_is_still_there(tmp_path: Path) -> None:
    """Copied, not moved: the old one is no longer configured, so that there are not two live ones."""
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.ctl("wait")
        new = tmp_path / "new"
        shutil.copytree(daemon.library, new)
        daemon.change("library", "photos", path=str(new))
        daemon.reload()
        daemon.put("b.jpg", picture(2))
        daemon.ctl("wait")
        assert (new / "2021/2021-03-01/b.jpg").exists()
        assert not (daemon.library / "2021/2021-03-01/b.jpg").exists()


def test_a_library_is_renamed(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.ctl("wait")
        rename(daemon, "library", "photos", "pictures")
        daemon.change("watch", "inbox", library="pictures")
        assert daemon.reload() == [
            "library photos: renamed to pictures",
            "watch inbox: library is pictures, was photos",
        ]
        daemon.put("b.jpg", picture(2))
        daemon.put("again.jpg", picture(1))
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 2
        assert daemon.totals()["duplicate"] == 1
        assert daemon.shelf("pictures")["files"] == 2


def test_the_log_level(tmp_path: Path) -> None:
    with Steered(tmp_path, more=QUIET) as daemon:
        daemon.settings["daemon"]["log_level"] = "debug"
        daemon.configure()
        assert daemon.reload() == ["daemon: log_level is debug, was info"]
        daemon.put("a.txt", b"note")
        daemon.wait_for_line(r"DEBUG .*a\.txt ignored")


# --- All or nothing ----------------------------------------------------------------------------------

WRONG = """
[library.photos]
path = "{root}/photos"
layuot = "{{name}}"

[watch.inbox]
path = "{root}/inbox"
library = "photo"
settle = "soon"
"""


def test_three_mistakes_are_told_and_nothing_changes(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        config = daemon.config
        config.write_text(WRONG.format(root=tmp_path), encoding="utf-8")
        said = daemon.ctl("reload", code=78).stderr
        checked = "\n".join(daemon.run("check-config").lines)
        for line, key in (
            (4, "library.photos.layuot"),
            (8, "watch.inbox.library"),
            (9, "watch.inbox.settle"),
        ):
            assert f"{config}:{line}: {key}" in said
            assert f"{config}:{line}: {key}" in checked
            daemon.wait_for_line(rf"ERROR .*config\.toml:{line}: {key}")
        assert daemon.attention() == ["configuration"]
        assert "check-config" in daemon.ctl("status").stdout
        daemon.put("a.jpg", picture(1))
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 1, "everything goes on under the old one"
        config.unlink()
        assert "cannot be read" in daemon.ctl("reload", code=78).stderr
        daemon.configure()
        daemon.ctl("reload")
        assert daemon.attention() == []


def test_what_only_a_look_at_the_disk_shows(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        (tmp_path / "file").write_bytes(b"")
        inside = add(daemon, "watch", "inside", path=daemon.library / "sub")
        add(daemon, "watch", "good")
        daemon.settings["watch"]["file"] = {"path": str(tmp_path / "file"), "library": "photos"}
        daemon.configure()
        said = daemon.ctl("reload", code=78).stderr
        assert str(inside) in said or "watch.inside.path" in said
        assert [one["name"] for one in daemon.status()["watches"]] == ["inbox"]


def test_a_library_that_another_daemon_has(tmp_path: Path) -> None:
    with Steered(tmp_path / "one", watch=COPY) as one, Steered(tmp_path / "two", watch=COPY) as two:
        add(two, "library", "more", path=one.library)
        said = two.ctl("reload", code=78).stderr
        assert f"held by another mediad (pid {one.pid})" in said
        two.put("a.jpg", picture(1))
        two.ctl("wait")
        assert two.totals()["filed"] == 1


def test_sighup(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        card = add(daemon, "watch", "card")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_line("reloaded: watch card: added")
        daemon.put("a.jpg", picture(1), folder=card)
        daemon.wait_for("a.jpg", "filed", watch="card")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_line("reloaded: nothing has changed")
        daemon.config.write_text("nonsense", encoding="utf-8")
        daemon.send(signal.SIGHUP)
        daemon.wait_for_line("the configuration was not reloaded; the old one stays in force")
        assert daemon.attention() == ["configuration"]
        assert daemon.alive


def test_a_storm_of_reloads(tmp_path: Path) -> None:
    """Reloads come one after another, and none is half done."""
    with Steered(tmp_path, watch=MOVE, more=QUIET) as daemon:
        card = tmp_path / "card"
        contents = [content for _, content in samples.jpeg_series(300, length=5000, pictures=2)]
        for number, content in enumerate(contents):
            daemon.put(f"{number % 5}/{number}.jpg", content)
            if number % 15 == 7:
                if "card" in daemon.settings["watch"]:
                    remove(daemon, "watch", "card")
                else:
                    add(daemon, "watch", "card", action="move")
                daemon.change("watch", "inbox", rescan=f"{number + 1}m")
                (daemon.send(signal.SIGHUP) if number % 2 else daemon.reload())
            daemon.put(f"{number}.jpg", samples.jpeg(seed=number, size=(32, 24)), folder=card)
        add(daemon, "watch", "card", action="move")
        daemon.reload()
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 600
        assert len(set(daemon.filed().values())) == 600
        assert daemon.status()["in_flight"] == []
        assert "Traceback" not in "\n".join(daemon.lines)


# --- Work in flight ----------------------------------------------------------------------------------

SIZE = 768 << 20


def test_a_large_copy_ends_as_it_began_and_then_the_successor_starts(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY, more=QUIET) as daemon:
        film, path = samples.mp4(seed=1), daemon.inbox / "film.mp4"
        with open(tmp_path / "film.mp4", "wb") as stream:
            stream.write(film + b"\0\0\0\x01free" + struct.pack(">Q", SIZE - len(film)))
            stream.truncate(SIZE)
        os.rename(tmp_path / "film.mp4", path)
        daemon.wait_until(lambda: copying(daemon), what="a copy under way")
        films = add(daemon, "library", "films")
        remove(daemon, "library", "photos")
        rename(daemon, "watch", "inbox", "phone")
        daemon.change("watch", "phone", library="films")
        daemon.reload()
        assert copying(daemon), "it was to be under way still"
        assert daemon.status()["watches"] == []
        daemon.put("a.jpg", picture(1), folder=path.parent)
        daemon.ctl("wait")
        assert daemon.filed("films") == {DAY + b"a.jpg": picture(1)}
        assert [one.stat().st_size for one in daemon.folders["photos"].rglob("film.mp4")] == [SIZE]
        assert not (films / "2021" / "film.mp4").exists()
        assert daemon.totals()["filed"] == 2
        assert daemon.call("Why", path=str(path))["stories"][0]["origin"] == "phone"


def copying(daemon: Steered) -> bool:
    """Is something on its way into a library?"""
    return any(one["stage"] in ("copying", "verifying") for one in daemon.status()["in_flight"])
