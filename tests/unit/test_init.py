"""`mediad init`."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mediad.cli.main import main
from mediad.cli.settings import load
from mediad.cli.template import Paths, render
from mediad.errors import LibraryReadOnly
from tests.conftest import PROJECT
from tests.trees import tree


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "MEDIAD_CONFIG", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def test_the_example_is_what_init_writes() -> None:
    assert Path(PROJECT, "config.example.toml").read_text(encoding="utf-8") == render(Paths())


def test_a_home_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    file = home / ".config/mediad/config.toml"
    assert file.read_text(encoding="utf-8") == render(Paths())
    assert stat.S_IMODE(file.stat().st_mode) & 0o022 == 0
    assert (home / "Pictures/Inbox").is_dir()
    assert (home / "Pictures/Library/.mediad/library.toml").is_file()
    said = capsys.readouterr().out
    assert f"made {home}/Pictures/Inbox (watch)\n" in said
    assert f"wrote {file}\n" in said
    assert said.endswith("next: look through it, then `mediad plan` and `mediad run`\n")
    assert main(["check-config"]) == 0


def test_nothing_is_overwritten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / ".config/mediad/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    before = tree(home)
    assert main(["init"]) == 73
    assert tree(home) == before
    assert capsys.readouterr().err == f"mediad: {file}: is there already, and nothing is overwritten\n"


def test_the_next_step_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", "my file.toml"]) == 0
    assert capsys.readouterr().out.endswith(f"`mediad run --config '{tmp_path}/my file.toml'`\n")


def test_a_library_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str) -> str:
        raise LibraryReadOnly("cannot be written: Read-only file system", path=path)

    monkeypatch.setattr("mediad.cli.init.bless", refuse)
    assert main(["init", "--config", "c.toml", "--watch", "w", "--library", "l"]) == 73
    said = capsys.readouterr().err
    assert (
        said == f"mediad: {tmp_path}/l: cannot become a library: cannot be written: Read-only file system\n"
    )
    assert not (tmp_path / "c.toml").exists()


def test_a_dangling_link_is_not_written_through(home: Path) -> None:
    file = home / "c.toml"
    file.symlink_to(home / "elsewhere")
    assert main(["init", "--config", str(file)]) == 73
    assert not (home / "elsewhere").exists()


def test_folders_of_ones_own(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = 'a "b" \\ $HOME\n~é'
    (tmp_path / odd).mkdir()
    (tmp_path / odd / "x.jpg").write_bytes(b"x")
    assert main(["--config", "c.toml", "init", "--watch", odd, "--library", "lib"]) == 0
    config, file = load("c.toml", overrides={})
    assert file == str(tmp_path / "c.toml")
    assert config.watches["inbox"].path == str(tmp_path / odd)
    assert config.libraries["photos"].path == str(tmp_path / "lib")
    assert tree(tmp_path / odd) == {b"x.jpg": b"x"}
    assert "found " in capsys.readouterr().out
    assert list(home.iterdir()) == []


def test_a_tilde_that_the_shell_left(home: Path) -> None:
    assert main(["init", "--watch=~/in", "--library=~/out"]) == 0
    assert (home / "in").is_dir()
    assert (home / "out/.mediad").is_dir()


def test_folders_in_one_another_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", "c.toml", "--watch", "a", "--library", "a/b"]) == 73
    assert "library.photos.path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").touch()
    assert main(["init", "--config", "c.toml", "--watch", "a", "--library", "b"]) == 73
    assert capsys.readouterr().err == f"mediad: {tmp_path}/a: is no folder; a watch is one\n"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a", tmp_path / "home"]


def test_a_name_that_toml_cannot_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--watch", "a\udcff"]) == 73
    assert "is not UTF-8" in capsys.readouterr().err


def test_what_is_there_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "Pictures").mkdir()
    for folder in ("Sync", "Android/Camera", ".hidden/x", "a/b/c"):
        (home / folder / ".stfolder").mkdir(parents=True)
    assert main(["init"]) == 0
    said = capsys.readouterr().out
    assert f"found {home}/Pictures: what it holds is left alone" in said
    assert f"found {home}/Sync: Syncthing keeps it" in said
    text = (home / ".config/mediad/config.toml").read_text(encoding="utf-8")
    assert f'# [watch.syncthing1]\n# path = "{home}/Sync"\n# action = "copy"\n' in text
    assert f'# [watch.syncthing2]\n# path = "{home}/Android/Camera"\n# action = "copy"\n' in text
    assert "a/b/c" not in text
    assert ".hidden" not in text
    assert list(load(None, overrides={})[0].watches) == ["inbox"]
    (home / ".config/mediad/config.toml").write_text(
        text.replace("\n# [watch", "\n[watch").replace("\n# path", "\npath")
    )
    assert list(load(None, overrides={})[0].watches) == ["inbox", "syncthing1", "syncthing2"]


def test_a_watch_that_syncthing_keeps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "Sync/.stfolder").mkdir(parents=True)
    assert main(["init", "--watch", str(home / "Sync")]) == 0
    assert f'found {home}/Sync: Syncthing keeps it; leave its action at "copy"' in capsys.readouterr().out
    assert "syncthing1" not in (home / ".config/mediad/config.toml").read_text(encoding="utf-8")


def test_the_system(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "Sync/.stfolder").mkdir(parents=True)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    arguments = ["--system", "--config", "c.toml", "--watch", "srv/inbox", "--library", "srv/library"]
    assert main(["init", *arguments]) == 0
    text = Path("c.toml").read_text(encoding="utf-8")
    assert '# state_dir = "/var/lib/mediad"' in text
    assert "syncthing" not in text


def test_the_usual_places_of_the_system() -> None:
    from mediad.cli.init import _paths, _target

    assert _target(None, system=True) == "/etc/mediad/config.toml"
    paths = _paths(None, None, [], system=True)
    assert (paths.watch, paths.library) == ("/srv/mediad/inbox", "/srv/mediad/library")
