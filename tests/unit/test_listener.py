"""Where the control socket is, whose it is, and that it is one daemon's."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediad.control.listener import Listener, open_listener
from mediad.errors import AlreadyHeld, InvalidConfig
from tests.somebody import needs_root


@contextlib.contextmanager
def listening(*places: Path, gid: int | None = None) -> Iterator[Listener]:
    listener = open_listener([str(place) for place in places], gid)
    try:
        yield listener
    finally:
        listener.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_it_makes_its_folder_and_is_gone_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "run" / "mediad" / "control"
    before = os.umask(0o077)
    try:
        with listening(path) as listener:
            assert listener.path == path
            assert answers(path)
            assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o755, 0o755)
            assert sorted(os.listdir(path.parent)) == ["control", "control.lock"]
    finally:
        os.umask(before)
    assert os.listdir(path.parent) == ["control.lock"]


@pytest.mark.parametrize("obstacle", ["file", "folder", "link", "too long", "no folder"])
def test_the_first_place_that_can_be_used(tmp_path: Path, obstacle: str) -> None:
    unusable, usable = _unusable(tmp_path, obstacle), tmp_path / "usable" / "control"
    with listening(unusable, usable) as listener:
        assert listener.path == usable
        assert answers(usable)


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [
        ("file", "there is something that is no socket"),
        ("folder", "there is something that is no socket"),
        ("link", "there is something that is no socket"),
        ("too long", "bytes long; 107 are possible"),
        ("no folder", "Not a directory"),
    ],
)
def test_no_place_can_be_used(tmp_path: Path, obstacle: str, why: str) -> None:
    places = [_unusable(tmp_path, obstacle), tmp_path / ("x" * 120) / "control"]
    with pytest.raises(InvalidConfig) as caught, listening(*places):
        pass
    assert all(str(place) in problem for place, problem in zip(places, caught.value.problems, strict=True))
    assert why in caught.value.problems[0]
    if obstacle == "file":
        assert places[0].read_text() == "precious"


def _unusable(folder: Path, obstacle: str) -> Path:
    path = folder / "control"
    if obstacle == "file":
        path.write_text("precious")
    elif obstacle == "folder":
        path.mkdir()
    elif obstacle == "link":
        path.symlink_to(folder / "elsewhere")
    elif obstacle == "too long":
        path = folder / ("x" * 110)
    else:
        path.write_text("no folder")
        path /= "control"
    return path


def test_a_second_daemon_is_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with listening(path):
        with pytest.raises(AlreadyHeld, match=rf"pid {os.getpid()}\b"), listening(path, tmp_path / "other"):
            pass
        assert answers(path)
    with listening(path):
        assert answers(path)


def test_another_program_that_listens_there_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        with pytest.raises(AlreadyHeld, match=rf"pid {os.getpid()}\b"), listening(path):
            pass
        # Its queue is full of the question now: it is there, but cannot be asked.
        with pytest.raises(AlreadyHeld, match="pid unknown"), listening(path):
            pass
    with listening(path):  # the path is left over
        assert answers(path)


def test_what_a_crash_left_is_replaced(tmp_path: Path) -> None:
    for name in ("control", "control.new"):
        with socket.socket(socket.AF_UNIX) as crashed:
            crashed.bind(str(tmp_path / name))
    (tmp_path / "control.lock").touch()
    with listening(tmp_path / "control"):
        assert answers(tmp_path / "control")
        assert sorted(os.listdir(tmp_path)) == ["control", "control.lock"]


def test_closing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with listening(path):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


def test_closing_without_its_path(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with listening(path):
        path.unlink()
    assert os.listdir(tmp_path) == ["control.lock"]


def test_nothing_stays_open_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with listening(path):
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with pytest.raises(AlreadyHeld), listening(path):
                pass
        assert len(os.listdir("/proc/self/fd")) == len(before)


@needs_root
def test_a_group_gets_it_and_loses_it(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with listening(path, gid=54321) as listener:
        assert (path.stat().st_gid, mode(path)) == (54321, 0o660)
        assert (listener.gid, listener.group) == (54321, "54321")
        listener.regroup(0)
        assert (path.stat().st_gid, mode(path), listener.group) == (0, 0o660, "root")
        listener.regroup(None)
        assert (path.stat().st_gid, mode(path)) == (os.getegid(), 0o600)
        assert (listener.gid, listener.group) == (None, "")


def test_a_group_that_it_may_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chown(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "control"
    with listening(path) as listener:
        monkeypatch.setattr(os, "chown", chown)
        with pytest.raises(InvalidConfig, match=r"daemon\.group: .*Operation not permitted"):
            listener.regroup(1)
        assert mode(path) == 0o600
        assert listener.gid == 1, "who lost the right is refused all the same"


def test_the_group_is_another_though_the_path_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with listening(path, gid=os.getegid()) as listener:
        path.unlink()
        with pytest.raises(InvalidConfig, match="No such file"):
            listener.regroup(None)
        assert (listener.gid, listener.group) == (None, "")


@pytest.mark.parametrize("what", ["link", "file", "other socket", "second name"])
def test_nothing_else_in_its_place_is_given_away(tmp_path: Path, what: str) -> None:
    path, precious = tmp_path / "control", tmp_path / "precious"
    with listening(path) as listener, socket.socket(socket.AF_UNIX) as another:
        if what == "second name":
            os.link(path, precious)
        elif what == "other socket":
            path.unlink()
            another.bind(str(path))
            path.chmod(0o604)
        else:
            precious.write_text("precious")
            precious.chmod(0o604)
            path.unlink()
            (path.symlink_to if what == "link" else path.hardlink_to)(precious)
        before = path.stat().st_mode
        with pytest.raises(InvalidConfig, match="something else"):
            listener.regroup(os.getegid())
        assert path.stat().st_mode == before


def test_a_link_put_there_between_bind_and_chown_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Raced(socket.socket):
        def bind(self, address: bytes) -> None:  # type: ignore[override]
            super().bind(address)
            os.unlink(address)
            os.symlink(precious, address)

    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o604)
    monkeypatch.setattr(socket, "socket", Raced)
    with pytest.raises(InvalidConfig, match="something else"), listening(tmp_path / "control"):
        pass
    assert mode(precious) == 0o604
    assert sorted(os.listdir(tmp_path)) == ["control.lock", "precious"]


def test_it_gets_its_name_when_all_else_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, rename = [], os.rename

    def look(old: bytes, new: bytes, **folders: int) -> None:
        path = tmp_path / os.fsdecode(old)
        seen.append((old, new, mode(path), answers(path)))
        rename(old, new, **folders)

    monkeypatch.setattr(os, "rename", look)
    with listening(tmp_path / "control"):
        assert seen == [(b"control.new", b"control", 0o600, True)]


def test_where_no_place_is_named_it_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "control")
    with pytest.raises(InvalidConfig) as raised:
        open_listener([place], None)
    assert "XDG_RUNTIME_DIR" not in raised.value.problems[0]
    monkeypatch.setattr("mediad.control.listener._LAST_PLACE", place)
    with pytest.raises(InvalidConfig) as raised:
        open_listener([place], None)
    assert raised.value.problems[0].endswith("; set daemon.socket, or XDG_RUNTIME_DIR")
