"""The `mediad` program: arguments, the configuration file, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediad import __version__
from mediad.cli import main as program
from mediad.cli.main import main
from mediad.cli.settings import SYSTEM_FILE, find, load, user_file
from mediad.errors import AlreadyHeld, InvalidConfig


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the machine's or the user's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("MEDIAD_CONFIG", raising=False)
    monkeypatch.setattr("mediad.cli.settings.SYSTEM_FILE", str(tmp_path / "etc.toml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "c.toml"
    file.write_text(
        f'[library.photos]\npath = "{tmp_path}/l"\n[watch.inbox]\npath = "{tmp_path}/w"\n'
        f'[daemon]\nstate_dir = "{tmp_path}/s"\n'
    )
    return file


@pytest.mark.parametrize(
    "arguments", [[], ["nope"], ["run", "x"], ["--nope"], ["run", "--set", "workers"], ["init", "x"]]
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: mediad" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["init", "--help"]])
def test_help_and_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert ("mediad " + (__version__ if arguments == ["--version"] else "")) in capsys.readouterr().out


def test_check_config(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--config", str(file), "check-config"], ["check-config", "--config", str(file)]):
        assert main(arguments) == 0
        said = capsys.readouterr()
        assert said.out == f"{file}: no problems; watches: 1, libraries: 1\n"
        assert said.err == ""


def test_check_config_prints_every_problem(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[trash]\nkeep = 1\n[verfy]\n")
    assert main(["check-config", "--config", str(file)]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split(": ")[:2] for line in said.err.splitlines()] == [
        [f"{file}:1", "library"],
        [f"{file}:2", "trash.keep"],
        [f"{file}:3", "verfy"],
    ]


def test_check_config_looks_at_the_system(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").touch()
    assert main(["check-config", "--config", str(file)]) == 78
    assert "is no folder" in capsys.readouterr().err


def test_check_config_warns(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace('/w"', '/w"\naction = "move"'))
    (tmp_path / "w/.stfolder").mkdir(parents=True)
    assert main(["check-config", "--config", str(file)]) == 0
    assert capsys.readouterr().err.startswith(f"warning: {file}:5: watch.inbox.action: Syncthing keeps")


def test_settings_on_the_command_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--config", str(file), "--set", "daemon.workers=2"]) == 0
    assert main(["check-config", "--config", str(file), "--set", "daemon.workers=0"]) == 78
    assert capsys.readouterr().err.startswith("command line: daemon.workers: is 0")


def test_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config"]) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path}/home/.config/mediad/config.toml" in line
    assert f"{tmp_path}/etc.toml" in line
    assert "`mediad init`" in line


def test_where_the_configuration_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = tmp_path / "home/.config/mediad/config.toml"
    (tmp_path / "etc.toml").touch()
    assert find(None, {}) == str(tmp_path / "etc.toml")
    user.parent.mkdir(parents=True)
    user.touch()
    assert find(None, {}) == user_file({}) == str(user)
    assert user_file({"XDG_CONFIG_HOME": "/x"}) == "/x/mediad/config.toml"
    assert user_file({"XDG_CONFIG_HOME": "relative"}) == str(user)
    assert find(None, {"MEDIAD_CONFIG": "/e.toml"}) == "/e.toml"
    assert find("/g.toml", {"MEDIAD_CONFIG": "/e.toml"}) == "/g.toml"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert user_file({}) == ""
    assert SYSTEM_FILE == "/etc/mediad/config.toml"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"a = 1\n# \xff\n", ":2: is not UTF-8"),
        (b"#" * (5 * 1024 * 1024), "is larger than 4 MiB"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, what: str) -> None:
    if content is not None:
        (tmp_path / "c").write_bytes(content)
    with pytest.raises(InvalidConfig) as raised:
        load(str(tmp_path / "c"), overrides={})
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].startswith(f"{tmp_path}/c")
    assert what in raised.value.problems[0]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="Is a directory"):
        load(str(tmp_path), overrides={})


def test_a_byte_order_mark_is_nothing(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load(str(file), overrides={})[1] == str(file)


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def held(_: object) -> int:
        raise AlreadyHeld("pid 1 holds it", path=b"/s\n", remedy="stop it")

    monkeypatch.setattr(program, "_run", held)
    assert main(["run"]) == 75
    assert capsys.readouterr().err == "mediad: /s\\n: pid 1 holds it (stop it)\n"


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "_run", interrupted)
    assert main(["run"]) == 130


def test_a_reader_that_goes_away(file: Path) -> None:
    command = [sys.executable, "-m", "mediad.cli.main", "check-config", "--config", str(file)]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_plan_for_a_path_that_is_not_there(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--config", str(file), str(tmp_path / "nope")]) == 66
    assert capsys.readouterr().err == f"mediad: {tmp_path}/nope: is not there\n"


def test_the_package_runs_as_a_module() -> None:
    shown = subprocess.run([sys.executable, "-m", "mediad", "--version"], capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (0, f"mediad {__version__}\n")
