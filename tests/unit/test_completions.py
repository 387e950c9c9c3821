"""The shells complete every command, option and key, and what the daemon has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from mediad.config.keys import SINGLE
from tests.commands import PROGRAMS, commands
from tests.conftest import PROJECT

FOLDER = PROJECT / "packaging" / "completions"
SHELLS = {"bash": "{}.bash", "zsh": "_{}", "fish": "{}.fish"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_command_and_option_is_completed(name: str, shell: str) -> None:
    script = (FOLDER / SHELLS[shell].format(name)).read_text(encoding="utf-8")
    for command, its_options in commands(name).items():
        assert re.search(rf"(?<![\w-]){command}\b", script), command
        for option in its_options - {"-h"}:
            in_fish = f"-l {option[2:]} " if option.startswith("--") else f"-s {option[1:]} "
            assert (in_fish if shell == "fish" else option) in script, (command, option)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_key_is_completed(shell: str) -> None:
    script = (FOLDER / SHELLS[shell].format("mediad")).read_text(encoding="utf-8")
    for table, keys in SINGLE.items():
        assert all(re.search(rf"\b{table}\.{key}\b", script) for key in keys)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_shell_understands_them(name: str, shell: str, tmp_path: Path) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"there is no {shell}")
    script = str(FOLDER / SHELLS[shell].format(name))
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    said = subprocess.run([program, "-n", script], capture_output=True, env=env)
    assert (said.returncode, said.stderr) == (0, b"")


def completed(name: str, *words: str, env: Mapping[str, str] | None = None) -> set[str]:
    """What bash offers for the last of these words."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1"; '
        'printf "%s\\n" "${COMPREPLY[@]-}"'
    )
    file = str(FOLDER / f"{name}.bash")
    shown = subprocess.run(
        ["bash", "-uc", script, "-", file, name, *words], capture_output=True, text=True, check=True, env=env
    )
    assert shown.stderr == ""
    return set(shown.stdout.split())


@pytest.mark.parametrize("name", PROGRAMS)
def test_bash_completes_commands_and_options(name: str) -> None:
    everything = commands(name)
    assert completed(name, "") == everything.keys() - {""}
    for command, its_options in everything.items():
        assert completed(name, *filter(None, (command, "-"))) == its_options - {"-h"}


def test_bash_completes_settings() -> None:
    assert completed("mediad", "--config", "c.toml", "run", "--o") == {"--once"}
    assert completed("mediad", "run", "--set", "trash.") == {"trash.keep="}
    assert completed("mediad", "run", "--set", "trash.keep", "=", "3") == set()
    assert completed("mediad", "run", "") == set()


def test_bash_completes_what_the_daemon_has(tmp_path: Path) -> None:
    status = json.dumps({"watches": [{"name": "inbox"}], "libraries": [{"name": "photos"}]})
    daemon = tmp_path / "mediactl"
    daemon.write_text(f"#!/bin/sh\n[ \"$*\" = 'status --json' ] && echo '{status}'\n", encoding="utf-8")
    daemon.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    for command in ("pause", "resume", "scan"):
        assert completed("mediactl", command, "", env=env) == {"inbox", "photos"}
    assert completed("mediactl", "pause", "inbox", "p", env=env) == {"photos"}
    assert completed("mediactl", "import", "--library", "ph", env=env) == {"photos"}
    assert completed("mediactl", "pause", "--for", "", env=env) == set()
    assert completed("mediactl", "queue", "", env=env) == set()
    assert completed("mediactl", "refile", "--library", "", env=env) == {"inbox", "photos"}
    assert completed("mediactl", "duplicates", "--keep", "") == {"best", "oldest"}


def test_bash_completes_without_a_daemon(tmp_path: Path) -> None:
    daemon = tmp_path / "mediactl"
    daemon.write_text("#!/bin/sh\necho 'mediactl: no daemon answers' >&2; exit 3\n", encoding="utf-8")
    daemon.chmod(0o755)
    assert completed("mediactl", "pause", "", env={"PATH": f"{tmp_path}:/usr/bin:/bin"}) == set()


def test_bash_completes_paths(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    for command in ("import", "why", "retry", "dismiss", "undo", "trash", "refile"):
        assert completed("mediactl", command, f"{tmp_path}/c") == {f"{tmp_path}/card"}
    assert completed("mediactl", "duplicates", "--under", f"{tmp_path}/") == {f"{tmp_path}/card"}
