"""The documentation says what is: every command, key, error, token and format, and nothing that is not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import mediad
from mediad import errors
from mediad.cli import output, program, refusal, steer
from mediad.config.keys import LISTED, MANY, SINGLE
from mediad.config.schema import DATE_SOURCES, MATCH_KEYS
from mediad.control.calls import definitions
from mediad.control.client import Unreachable
from mediad.control.protocol import INTERFACE, SERVICE
from mediad.layout import TOKENS
from mediad.media import read, sidecars, whole
from mediad.media.formats import FORMATS, Format
from mediad.model import Result
from tests.commands import PROGRAMS, commands
from tests.conftest import PROJECT
from tests.played import SAMPLES
from tests.rawsamples import PICTURES

MAN_PAGES = ("mediad.1", "mediactl.1", "mediad.toml.5")
DOCUMENTS = ("README.md", "CHANGELOG.md", "docs/formats.md", "docs/control.md", "packaging/README.md")
KEYS = [(table, key) for tables in (MANY, LISTED, SINGLE) for table, keys in tables.items() for key in keys]


def text(path: str) -> str:
    return Path(PROJECT, path).read_text(encoding="utf-8")


def error_classes(base: type[errors.MediadError] = errors.MediadError) -> Iterator[type[errors.MediadError]]:
    yield base
    for child in base.__subclasses__():
        yield from error_classes(child)


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


# --- The programs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_command_and_option_is_in_the_man_page(name: str) -> None:
    page = text(f"docs/man/{name}.1")
    for command, its_options in commands(name).items():
        assert not command or f"\n.It Cm {command}\n" in page
        for option in its_options:
            mark = f"Fl Fl {option[2:]}" if option.startswith("--") else f"Fl {option[1:]}"
            assert re.search(rf"{re.escape(mark)}\b", section(f"{name}.1", "OPTIONS")), option
            assert re.search(rf"{re.escape(mark)}\b", section(f"{name}.1", "SYNOPSIS")), option


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_man_page_has_no_other_command_or_option(name: str) -> None:
    known = commands(name)
    named = {f"--{option}" for option in re.findall(r"Fl Fl ([a-z-]+)", text(f"docs/man/{name}.1"))}
    assert named - set().union(*known.values()) == set()
    told = re.findall(r"^\.It Cm (\S+)$", section(f"{name}.1", "DESCRIPTION"), re.MULTILINE)
    assert sorted(told) == sorted(known.keys() - {""})


def test_the_readme_has_a_row_for_each_command_that_steers() -> None:
    after = text("README.md").partition("## Steer it")[2].partition("\n**")[0]
    rows = re.findall(r"^\| `mediactl ([a-z-]+)(.*?)` \|(.*)", after, re.MULTILINE)
    known = commands("mediactl")
    assert sorted(command for command, _, _ in rows) == sorted(known.keys() - {""})
    for command, synopsis, told in rows:
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", synopsis + told))
        ours = known[command] - known[""] - {"-n", "--dry-run", "-y", "--yes"}
        assert named - {"-n", "-y"} == ours, command
        assert ("-n" in named) == ("--dry-run" in known[command]), command
        assert ("-y" in named) == ("--yes" in known[command]), command


def exit_codes(name: str) -> set[int]:
    """All that a program can end with."""
    both = {0, 2, output.EXIT_OUTPUT, program.EXIT_INTERRUPTED}
    if name == "mediad":
        return both | {error.exit_code for error in error_classes()} | {1, 3}
    unreachable = {error.exit_code for error in Unreachable.__subclasses__()}
    answers = {*refusal._EXITS.values(), refusal._SOFTWARE, *steer._WAIT_ENDS.values()}
    return both | unreachable | answers | {errors.SourceGone.exit_code}


@pytest.mark.parametrize(("column", "name"), [(1, "mediad"), (2, "mediactl")])
def test_exit_codes_are_documented(column: int, name: str) -> None:
    codes = exit_codes(name)
    told = re.findall(r"^\.It ([0-9]+)$", section(f"{name}.1", "EXIT STATUS"), re.MULTILINE)
    assert sorted(map(int, told)) == sorted(codes)
    after = text("README.md").partition("| exit code |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in after.splitlines()[2:]]
    assert {int(row[0]) for row in rows if row[column]} == codes


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


def reserved_keys() -> set[tuple[str, str]]:
    """The keys that the man page says have no effect yet."""
    found = set()
    for table, title in SECTIONS.items():
        for entry in section("mediad.toml.5", title).split("\n.It Va ")[1:]:
            if re.search(r"^\.Em Reserved\b", entry, re.MULTILINE):
                found |= {(table, key) for key in entry.partition("\n")[0].split(" , ")}
    return found


def test_the_readme_names_the_same_keys_without_effect() -> None:
    said = text("README.md").partition("have no effect yet: ")[2].partition(".\n")[0]
    one_by_one = {(table, key) for table, key in re.findall(r"`([a-z]+)\.([a-z_]+)`", said)}
    whole = set(re.findall(r"`\[+([a-z]+)\]+`", said))
    assert one_by_one | {(table, key) for table, key in KEYS if table in whole} == reserved_keys()


def test_keys_without_effect_are_those_that_nothing_reads() -> None:
    package = Path(PROJECT, "mediad")
    read = "".join(
        path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.parent.name != "config"
    )
    for table, keys in SINGLE.items():
        for key in keys:
            attribute = "sockets" if key == "socket" else key
            is_read = re.search(rf"(?<!`)\b{table}\.{attribute}\b", read) is not None
            assert is_read != ((table, key) in reserved_keys()), f"{table}.{key}"


# --- The control protocol ----------------------------------------------------------------------------


def test_every_method_is_documented() -> None:
    after = text("docs/control.md").partition("| method |")[2].partition("\n\n")[0]
    named = [
        method for line in after.splitlines()[2:] for method in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted(named) == sorted(definitions()[INTERFACE].methods)


def test_every_error_that_is_answered_is_documented() -> None:
    after = text("docs/control.md").partition("| error | when |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in after.splitlines()[2:]]
    exits = {name: int(row[2]) for row in rows for name in re.findall(r"(\w+)`", row[0])}
    own = definitions()[INTERFACE].errors
    assert {name: exits[name] for name in own} == refusal._EXITS
    assert exits.keys() - own.keys() <= definitions()[SERVICE].errors.keys()


def test_the_example_in_python_is_whole() -> None:
    example = text("docs/control.md").partition("```python\n")[2].partition("```")[0]
    compile(example, "docs/control.md", "exec")
    assert set(re.findall(r'call\(connection, "(\w+)"', example)) <= set(definitions()[INTERFACE].methods)


# --- The formats -------------------------------------------------------------------------------------


def test_every_format_has_its_row() -> None:
    rows = tables("docs/formats.md")[1:]
    assert [row[0] for row in rows] == list(FORMATS)
    readers = {*read._IMAGES, *read._FILMS, *sidecars.READ}
    for row in rows:
        form = FORMATS[row[0]]
        assert row[1] == form.kind
        assert tuple(row[2].split()) == form.extensions
        assert row[3]
        assert (row[4] != "-", row[5] != "nothing") == (form.name in readers,) * 2, form.name
        assert (row[6] == "yes") == (form.name in whole._ENDS), form.name
        made = f"`{_sample(form)}`" if row[4] != "-" else "-"
        assert row[7] == made, form.name


def _sample(form: Format) -> str:
    """The module that has a sample of it, which test_pictures, test_films_and_sound or test_sidecars read."""
    if form.kind == "sidecar":
        return "samples"
    pictures = form.kind in ("photo", "raw")
    assert form.name in (PICTURES if pictures else SAMPLES)
    return "rawsamples" if pictures else "played"


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
        mentions = re.findall(r"(?:`|\$ |^\.Ic )(media(?:d|ctl)) ([a-z][a-z-]*)", content, re.MULTILINE)
        for name, command in mentions:
            assert command in commands(name), f"{path}: {name} {command}"
