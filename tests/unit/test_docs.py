"""The documentation says what is: every command, key, error, token and format, and nothing that is not."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import mediad
from mediad import errors
from mediad.cli.main import _parser
from mediad.config.keys import LISTED, MANY, SINGLE
from mediad.config.schema import DATE_SOURCES, MATCH_KEYS
from mediad.layout import TOKENS
from mediad.media import read, whole
from mediad.media.formats import FORMATS
from mediad.model import Result
from tests.conftest import PROJECT

COMPLETIONS = ("mediad.bash", "_mediad", "mediad.fish")
MAN_PAGES = ("mediad.1", "mediad.toml.5")
DOCUMENTS = ("README.md", "CHANGELOG.md", "docs/formats.md", "packaging/README.md")
KEYS = [(table, key) for tables in (MANY, LISTED, SINGLE) for table, keys in tables.items() for key in keys]


def text(path: str) -> str:
    return Path(PROJECT, path).read_text(encoding="utf-8")


def commands() -> dict[str, set[str]]:
    """Every command with its options, as argparse knows them; the program's own under ""."""
    parser = _parser()
    found = {"": options(parser)}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {name: options(command) for name, command in action.choices.items()}
    return found


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def error_classes(base: type[errors.MediadError] = errors.MediadError) -> Iterator[type[errors.MediadError]]:
    yield base
    for child in base.__subclasses__():
        yield from error_classes(child)


def man(page: str) -> str:
    """A man page's text without its markup, as far as words go."""
    lines = [line for line in text(f"docs/man/{page}").splitlines() if not line.startswith('.\\"')]
    return re.sub(r"^\.", "", "\n".join(lines), flags=re.MULTILINE)


def section(page: str, title: str) -> str:
    """The markup of one section of a man page."""
    after = text(f"docs/man/{page}").partition(f".Sh {title}\n")[2]
    assert after, f"{page} has no section {title}"
    return after.partition("\n.Sh ")[0]


def tables(path: str) -> list[list[str]]:
    """The rows of a document's tables; a cell is bare text."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in text(path).splitlines()
        if line.startswith("| ")
    ]


# --- The program -------------------------------------------------------------------------------------


def test_every_command_and_option_is_in_the_man_page() -> None:
    page = text("docs/man/mediad.1")
    for command, its_options in commands().items():
        assert not command or f"\n.It Cm {command}\n" in page
        for option in its_options:
            mark = f"Fl Fl {option[2:]}" if option.startswith("--") else f"Fl {option[1:]}"
            assert re.search(rf"{re.escape(mark)}\b", section("mediad.1", "OPTIONS")), option
            assert re.search(rf"{re.escape(mark)}\b", section("mediad.1", "SYNOPSIS")), option


def test_the_man_page_has_no_other_option() -> None:
    known = set().union(*commands().values())
    named = {f"--{name}" for name in re.findall(r"Fl Fl ([a-z-]+)", text("docs/man/mediad.1"))}
    assert named - known == set()


@pytest.mark.parametrize("name", COMPLETIONS)
def test_every_command_and_option_is_completed(name: str) -> None:
    script = text(f"packaging/completions/{name}")
    for command, its_options in commands().items():
        assert command in script
        for option in its_options - {"-h"}:
            written = f"-l {option[2:]} " if name == "mediad.fish" else option
            assert written in script, (command, option)
    for table, keys in SINGLE.items():
        assert all(re.search(rf"\b{table}\.{key}\b", script) for key in keys)


def completed(*words: str) -> set[str]:
    """What bash offers for the last of these words."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mediad; '
        'printf "%s\\n" "${COMPREPLY[@]-}"'
    )
    file = str(PROJECT / "packaging/completions/mediad.bash")
    shown = subprocess.run(
        ["bash", "-uc", script, "-", file, "mediad", *words], capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    return set(shown.stdout.split())


def test_bash_completes() -> None:
    everything = commands()
    assert completed("") == everything.keys() - {""}
    for command, its_options in everything.items():
        assert completed(*filter(None, (command, "-"))) == its_options - {"-h"}
    assert completed("--config", "c.toml", "run", "--o") == {"--once"}
    assert completed("run", "--set", "trash.") == {"trash.keep="}
    assert completed("run", "--set", "trash.keep", "=", "3") == set()
    assert completed("run", "") == set()


def test_exit_codes_are_documented() -> None:
    codes = {str(error.exit_code) for error in error_classes()} | {"0", "1", "2", "3", "130"}
    assert set(re.findall(r"^\.It ([0-9]+)$", section("mediad.1", "EXIT STATUS"), re.MULTILINE)) == codes
    after = text("README.md").partition("| exit code |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in after.splitlines()[2:]]
    assert set(re.findall(r"\b[0-9]+\b", " ".join(cells))) == codes


def test_every_error_is_in_the_table_of_errors() -> None:
    codes = [error.code for error in error_classes()]
    assert len(set(codes)) == len(codes)
    table = section("mediad.1", "ERRORS")
    assert re.findall(r"^\.It (\S+)$", table, re.MULTILINE) == codes
    for entry in re.split(r"^\.It \S+$", table, flags=re.MULTILINE)[1:]:
        sentences = re.findall(r"[.:](?=\n|$)", entry.replace(".El", ""))
        assert len(sentences) >= 2, f"says what it means, but not what to do: {entry}"


def test_every_outcome_is_documented() -> None:
    outcomes = [result.value for result in Result]
    assert re.findall(r"^\.It Sy (\S+)$", section("mediad.1", "OUTCOMES"), re.MULTILINE) == outcomes
    after = text("README.md").partition("| outcome |")[2].partition("\n\n")[0]
    assert [line.split("|")[1].strip() for line in after.splitlines()[2:]] == outcomes


# --- The configuration -------------------------------------------------------------------------------

SECTIONS = {
    "library": "LIBRARIES",
    "watch": "WATCHES",
    "rule": "RULES",
    "hook": "HOOKS",
    "duplicates": "DUPLICATES",
    "dates": "DATES",
    "trash": "TRASH",
    "verify": "VERIFICATION",
    "daemon": "DAEMON",
}


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_every_key_is_documented(table: str, key: str) -> None:
    entries = re.findall(r"^\.It Va (.+)$", section("mediad.toml.5", SECTIONS[table]), re.MULTILINE)
    assert key in {name for entry in entries for name in entry.split(" , ")}
    example = re.split(r"^#? ?\[\[?", text("config.example.toml"), flags=re.MULTILINE)
    parts = [part for part in example if re.match(rf"{table}[.\]]", part)]
    assert any(re.search(rf"^#? ?{key} = ", part, re.MULTILINE) for part in parts)


def test_no_other_key_is_documented() -> None:
    known = {table: {key for each, key in KEYS if each == table} for table, _ in KEYS}
    for table, title in SECTIONS.items():
        entries = re.findall(r"^\.It Va (.+)$", section("mediad.toml.5", title), re.MULTILINE)
        assert {name for entry in entries for name in entry.split(" , ")} == known[table]


def test_match_keys_and_date_sources_are_documented() -> None:
    rules = section("mediad.toml.5", "RULES")
    assert all(re.search(rf"\b{key}\b", rules) for key in MATCH_KEYS)
    rows = [row[0] for row in tables("README.md")]
    assert [source for source in DATE_SOURCES if f"`{source}`" not in rows] == []


@pytest.mark.parametrize("token", TOKENS)
def test_every_layout_token_is_documented(token: str) -> None:
    mark = re.compile(rf"\{{{token}[:}}]")
    for path in ("README.md", "docs/man/mediad.toml.5", "config.example.toml"):
        assert mark.search(text(path)), path


def test_no_other_layout_token_is_documented() -> None:
    for path in ("README.md", "docs/man/mediad.toml.5"):
        named = set(re.findall(r"(?<![{$])\{([a-z]+)[:|}]", text(path)))
        assert named - set(TOKENS) == {"token"}, path


# --- The formats -------------------------------------------------------------------------------------


def test_every_format_has_its_row() -> None:
    rows = tables("docs/formats.md")[1:]
    assert [row[0] for row in rows] == list(FORMATS)
    readers = {*read._IMAGES, *read._HEIF, *read._FILMS}
    for row in rows:
        form = FORMATS[row[0]]
        assert row[1] == form.kind
        assert tuple(row[2].split()) == form.extensions
        assert row[3]
        assert (row[4] != "-", row[5] != "nothing") == (form.name in readers,) * 2, form.name
        assert (row[6] == "yes") == (form.name in whole._ENDS), form.name


# --- The repository ----------------------------------------------------------------------------------


def test_two_commands_do_all_the_set_up() -> None:
    setup = text("README.md").partition("## Try it")[2].partition("```sh\n")[2].partition("```")[0]
    assert setup.split("\n") == ["make run", "make test", ""]
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|\$ )make ([a-z]+)", text("README.md"), re.MULTILINE))
    assert named <= targets
    assert named == {"run", "test", "bench"}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path: str) -> None:
    content = text(path)
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        where = Path(PROJECT, path).parent / file if file else Path(PROJECT, path)
        assert where.exists(), target
        assert where.is_file() or target.endswith("/")
        if anchor:
            headings = re.findall(r"^#+ (.+)$", where.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_the_map_names_every_module() -> None:
    assert mediad.__doc__
    named = re.findall(r"^    ([a-z_.]+)  +\S", mediad.__doc__.partition("The package::")[2], re.MULTILINE)
    root = Path(PROJECT, "mediad")
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in root.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert len(set(named)) == len(named)
    assert set(named) ^ modules == set(), "named there but missing, or there but not named"


@pytest.mark.parametrize("page", MAN_PAGES)
def test_man_pages_are_sound(page: str, tmp_path: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("there is no man to look at man pages with")
    file = str(PROJECT / "docs/man" / page)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "HOME": str(tmp_path)}
    shown = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", file],
        capture_output=True,
        text=True,
        env=environment,
    )
    if "minimized" in shown.stdout or not shown.stdout:
        pytest.skip("man is a stand-in here that formats nothing")
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_documents_name_no_command_that_is_not() -> None:
    for path in (*DOCUMENTS, *(f"docs/man/{page}" for page in MAN_PAGES)):
        content = text(path)
        assert "mediactl" not in content
        for name in re.findall(r"(?:`|\$ )mediad ([a-z][a-z-]*)", content):
            assert name in commands(), f"{path}: mediad {name}"
