"""What systemd itself says of our files, and what they have to agree on with the program."""

from __future__ import annotations

import configparser
import re
import shutil
from pathlib import Path

import pytest

from mediad import errors
from mediad.cli.init import _SYSTEM
from mediad.cli.main import _parser
from mediad.cli.settings import SYSTEM_FILE
from tests.conftest import PROJECT
from tests.mounting import need_root, need_tool, run

SYSTEMD = PROJECT / "systemd"
UNITS = ("system", "user")
USAGE = 2  # argparse's


def unit(kind: str) -> configparser.ConfigParser:
    """The unit by sections; no key is there twice, which a strict parser refuses."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    parser.read_string((SYSTEMD / kind / "mediad.service").read_text("ascii"))
    return parser


def verify(kind: str, text: str, tmp_path: Path) -> str:
    """All that systemd-analyze says of a unit with this text, whose programs are there."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n", encoding="ascii")
    program.chmod(0o755)
    copy = tmp_path / "mediad.service"
    copy.write_text(re.sub(r"/usr/bin/mediad\b|/usr/bin/mediactl\b", str(program), text), encoding="ascii")
    said = run(need_tool("systemd-analyze"), f"--{kind}", "--man=no", "verify", str(copy))
    return said.stdout + said.stderr


@pytest.mark.parametrize("kind", UNITS)
def test_systemd_has_nothing_to_say_of_a_unit(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # it is no session that runs the tests
    text = (SYSTEMD / kind / "mediad.service").read_text("ascii")
    assert verify(kind, text, tmp_path) == ""
    assert "Restat" in verify(kind, text.replace("Restart=", "Restat="), tmp_path), "it says nothing ever"


def installed(root: Path) -> Path:
    """`root`, with a user root and our sysusers.d and tmpfiles.d where packages install them."""
    for kind in ("sysusers.d", "tmpfiles.d"):
        shutil.copytree(SYSTEMD / kind, root / "usr" / "lib" / kind)
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="ascii")
    (root / "etc" / "group").write_text("root:x:0:\n", encoding="ascii")
    return root


def create(program: str, root: Path, *options: str) -> None:
    made = run(need_tool(program), *options, f"--root={root}", "mediad.conf")
    assert made.returncode == 0, made.stderr


def entry(root: Path, table: str) -> list[str]:
    lines = (root / "etc" / table).read_text("ascii").splitlines()
    found = [line.split(":") for line in lines if line.startswith("mediad:")]
    assert len(found) == 1, lines
    return found[0]


def test_the_user_and_the_group_are_made(tmp_path: Path) -> None:
    need_root()
    root = installed(tmp_path / "root")
    create("systemd-sysusers", root)
    user, group = entry(root, "passwd"), entry(root, "group")
    assert user[3] == group[2]
    assert user[5] == _SYSTEM.state_dir
    assert user[6].endswith("/nologin")


def test_the_folders_are_made_and_an_administrators_modes_are_kept(tmp_path: Path) -> None:
    need_root()
    root = installed(tmp_path / "root")
    create("systemd-sysusers", root)
    create("systemd-tmpfiles", root, "--create")
    owner = int(entry(root, "passwd")[2])
    for path, mode, uid in (
        (Path(SYSTEM_FILE).parent, 0o755, 0),
        (Path(_SYSTEM.watch), 0o2775, owner),
        (Path(_SYSTEM.library), 0o2775, owner),
    ):
        found = below(root, path).stat()
        assert (found.st_mode & 0o7777, found.st_uid) == (mode, uid), path
    below(root, _SYSTEM.watch).chmod(0o3777)
    create("systemd-tmpfiles", root, "--create")
    assert below(root, _SYSTEM.watch).stat().st_mode & 0o7777 == 0o3777


def below(root: Path, path: Path | str) -> Path:
    return root / Path(path).relative_to("/")


@pytest.mark.parametrize("kind", UNITS)
def test_the_programs_understand_what_the_unit_calls_them_with(kind: str) -> None:
    program, *arguments = unit(kind)["Service"]["ExecStart"].split()
    assert program == "/usr/bin/mediad"
    parsed = _parser().parse_args(arguments)
    assert not parsed.once
    assert getattr(parsed, "config", None) == (SYSTEM_FILE if kind == "system" else None)
    assert unit(kind)["Service"]["ExecReload"] == f"/usr/bin/mediactl --{kind} reload"


@pytest.mark.parametrize("kind", UNITS)
def test_what_no_restart_mends_is_not_tried_again(kind: str) -> None:
    service = unit(kind)["Service"]
    assert service["Restart"] == "on-failure"
    useless = {USAGE, errors.AlreadyHeld.exit_code, errors.InvalidConfig.exit_code}
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == useless


def test_the_units_differ_only_where_they_must() -> None:
    system, user = (dict(unit(kind)["Service"]) for kind in UNITS)
    both = system.keys() & user.keys()
    assert {key for key in both if system[key] != user[key]} == {
        "ExecStart",
        "ExecReload",
        "RuntimeDirectoryMode",
    }
    assert user.keys() - system.keys() == set()


def test_the_system_unit_agrees_with_init() -> None:
    service = unit("system")["Service"]
    assert f"/var/lib/{service['StateDirectory']}" == _SYSTEM.state_dir
    assert f"/run/{service['RuntimeDirectory']}" == "/run/mediad"


def test_the_packaging_notes_name_every_file() -> None:
    notes = (PROJECT / "packaging" / "README.md").read_text("utf-8")
    files = [path.relative_to(PROJECT) for path in SYSTEMD.rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        kind, name = path.parts[1:]
        place = f"/usr/lib/systemd/{kind}/{name}" if kind in UNITS else f"/usr/lib/{kind}/{name}"
        assert f"| [`{path}`](../{path}) | `{place}` |" in notes
