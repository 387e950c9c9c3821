"""The demo is made once, whole, and is as its description says."""

from __future__ import annotations

import os
import tempfile
import time
import tomllib
from pathlib import Path

import pytest

from tests import demo
from tests.trees import files, tree


def test_the_demo_has_a_few_dozen_files_that_are_at_rest(tmp_path: Path) -> None:
    demo.main([str(tmp_path / "demo")])
    inbox = files(tmp_path / "demo" / "inbox")
    assert 36 <= len(inbox) <= 72
    assert b"odd names/two\nlines.jpg" in inbox
    assert b"odd names/not UTF-8 \xff\xfe.jpg" in inbox
    for name in inbox:
        modified = os.stat(os.path.join(os.fsencode(tmp_path), b"demo/inbox", name)).st_mtime
        assert modified < time.time() - 86_400


def test_the_demo_is_the_same_each_time(tmp_path: Path) -> None:
    demo.make(tmp_path / "one")
    demo.make(tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert os.listdir(tmp_path) in (["one", "two"], ["two", "one"])


def test_only_the_copy_doubles_content(tmp_path: Path) -> None:
    demo.make(tmp_path / "demo")
    names: dict[bytes, list[bytes]] = {}
    for name, content in files(tmp_path / "demo" / "inbox").items():
        names.setdefault(content, []).append(name)
    doubled = [sorted(group) for group in names.values() if len(group) > 1]
    assert doubled == [[b"DCIM/100CANON/IMG_0001.JPG", b"copies/IMG_0001 (1).JPG"]]


def test_the_configuration_stays_inside_the_demo(tmp_path: Path) -> None:
    demo.main([str(tmp_path / "demo")])
    config = tomllib.loads((tmp_path / "demo" / "config.toml").read_text(encoding="utf-8"))
    root = str(tmp_path / "demo")
    assert config["library"]["demo"]["path"] == f"{root}/library"
    assert config["watch"]["inbox"] == {"path": f"{root}/inbox", "action": "move"}
    assert config["daemon"]["log_level"] == "debug"
    assert {config["daemon"]["state_dir"], config["daemon"]["socket"]} == {f"{root}/state", f"{root}/control"}


def test_a_path_too_long_for_a_socket_moves_only_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "t"
    short.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    root = tmp_path / ("long" * 30)
    config = tomllib.loads(demo.configuration(root))
    assert config["daemon"]["state_dir"].startswith(str(root))
    assert config["daemon"]["socket"].startswith(str(short))


def test_a_demo_that_is_there_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    demo.main([str(folder)])
    assert f"files in {folder}/inbox" in capsys.readouterr().out
    (folder / "inbox" / "notes.txt").unlink()
    (folder / "config.toml").write_text("mine", encoding="utf-8")
    before = tree(folder)
    demo.main([str(folder), "--mediad", "bin/mediad"])
    assert tree(folder) == before
    said = capsys.readouterr().out
    assert "is there already" in said
    assert f"bin/mediad plan --config {folder}/config.toml" in said
    assert f"bin/mediactl --socket {folder}/control status" in said


def test_the_socket_that_is_shown_is_the_configured_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    demo.main([str(folder)])
    assert f"mediactl --socket {folder}/control status" in capsys.readouterr().out
    (folder / "config.toml").write_text('[daemon]\nsocket = "/run/other"\n', encoding="utf-8")
    demo.main([str(folder)])
    assert "mediactl --socket /run/other status" in capsys.readouterr().out
