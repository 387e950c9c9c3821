"""Whatever stands in a configuration, it is read or refused, never crashed on."""

from __future__ import annotations

import random
import re
import tomllib
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from mediad.config import Config, parse
from mediad.config.keys import HOOK, LIBRARY, RULE, SINGLE, WATCH
from mediad.config.locate import KeyPath, locate
from mediad.config.units import format_duration, format_size, parse_duration, parse_size
from mediad.errors import InvalidConfig
from tests.conftest import PROJECT
from tests.property.fuzzing import numbers

WORDS = (
    "/ /a /a/b ~ ~/x $HOME/x ${X {name} {taken:%Y}/{stem} 2s 2GB auto off forever * !x [ copy move hardlink"
    " photos exif 0640 UTC a/b 1990-01-01"
)
TEXT = st.text(max_size=12) | st.sampled_from(WORDS.split())
SCALAR = TEXT | st.integers() | st.booleans() | st.floats() | st.dates() | st.datetimes()
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)


def table(keys: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(sorted(keys)) | TEXT, VALUE, max_size=6)


NAMED = st.sampled_from(["photos", "inbox", "b"]) | TEXT
CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "library": st.dictionaries(NAMED, table(LIBRARY) | VALUE, max_size=3) | VALUE,
        "watch": st.dictionaries(NAMED, table(WATCH) | VALUE, max_size=3) | VALUE,
        "rule": st.lists(table(RULE), max_size=3) | VALUE,
        "hook": st.lists(table(HOOK), max_size=2) | VALUE,
        **{name: table(keys) | VALUE for name, keys in SINGLE.items()},
        "odd": VALUE,
    },
)
VARIABLES = [f"MEDIAD_{name}__{key}".upper() for name, keys in SINGLE.items() for key in keys]
ENV = st.dictionaries(
    st.sampled_from([*VARIABLES, "X", "HOME", "STATE_DIRECTORY", "XDG_RUNTIME_DIR"]), TEXT, max_size=4
)


def check(text: str, env: dict[str, str]) -> None:
    try:
        parse(text, file="c.toml", env=env, home="/home/u")
    except InvalidConfig as refused:
        problems = refused.problems
    else:
        return
    assert problems
    assert all(problem.isprintable() and re.match(r"c\.toml:\d+: |\$[A-Z]", problem) for problem in problems)


@given(st.text(), ENV)
def test_any_text(text: str, env: dict[str, str]) -> None:
    check(text, env)


@given(
    st.lists(
        st.sampled_from([*"[]{}=.,#\"'\\\n ", "[[rule]]", '"""', "'''", "a", "watch.x", "1", "true"])
    ).map("".join)
)
def test_toml_like_text(text: str) -> None:
    check(text, {})


@given(CONFIG, ENV)
def test_any_values(config: dict[str, Any], env: dict[str, str]) -> None:
    try:
        text = tomli_w.dumps(config)
    except (UnicodeEncodeError, ValueError):
        return
    check(text, env)


@given(CONFIG)
def test_every_key_is_located(config: dict[str, Any]) -> None:
    text = tomli_w.dumps(config)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # half surrogates
        return
    assert set(locate(text)) >= set(paths(data, ()))


def paths(value: object, path: KeyPath) -> list[KeyPath]:
    """The paths of all that is in a TOML value; arrays of tables written inline included."""
    found = [path] if path else []
    children: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        found += paths(child, (*path, key))
    return found


@given(st.integers(0, 10**12))
def test_durations_come_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(0, 2**63 - 1))
def test_sizes_come_back(amount: int) -> None:
    assert parse_size(format_size(amount)) == amount


@given(st.text())
def test_no_unit_crashes(text: str) -> None:
    for read in (parse_duration, parse_size):
        try:
            assert read(text) >= 0
        except ValueError:
            continue


# -- the example, broken -----------------------------------------------------------------------------

EXAMPLE = (PROJECT / "config.example.toml").read_text(encoding="utf-8")
UNCOMMENTED = re.sub(r"^# ?(?=[a-z_]+ = |\[)", "", EXAMPLE, flags=re.MULTILINE)
VALUES = (
    *(
        '""',
        '"x"',
        '"2s"',
        '"-1s"',
        '"2GB"',
        '"/"',
        '"~"',
        '"~nobody/x"',
        '"$NOWHERE/x"',
        '"\\u0000"',
        '"a\\nb"',
    ),
    *(
        '"{name"',
        '"{taken:%Q}/{name}"',
        '"../{name}"',
        '"{digest:99}"',
        '"\U0001f4f7/{name}"',
        '"Europe/Atlantis"',
    ),
    *("0", "-1", "7", "99999999999999999999", "1e400", "nan", "true", "[]", '["*", 1]', "{}", "{ a = 1 }"),
    *("1979-05-27", "07:32:00", "[[[[[[]]]]]]", '["' + "a" * 300 + '"]', '"' + "a" * 5000 + '"', "'''x'''"),
)
PIECES = (
    *(
        "\n[watch.inbox]\n",
        "\n[[rule]]\n",
        "\n[library]\n",
        "\n[daemon]\nworkers = 0\n",
        "\nwatch = 1\n",
        "\n]",
    ),
    *(
        '\n"" = 1\n',
        "\n[watch.'']\n",
        "\n[library.\"a b\"]\npath = '/a b'\n",
        "\x00",
        "\ufeff",
        "\r\r",
        "\u2028",
    ),
)


def mutated(chance: random.Random) -> str:
    """The example, its comments taken in or not, after one to six changes such as people make."""
    lines = chance.choice((EXAMPLE, UNCOMMENTED, UNCOMMENTED)).splitlines(keepends=True)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(lines))
        key, equals, _value = lines[at].partition(" = ")
        way = chance.randrange(8)
        if way < 3 and equals:
            lines[at] = f"{key} = {chance.choice(VALUES)}\n"
        elif way == 3:
            lines[at] = lines[at].replace(chance.choice('aeino="[]'), chance.choice("xo=\"' ["), 1)
        elif way == 4:
            lines.insert(chance.randrange(len(lines)), lines[at])
        elif way == 5:
            lines.insert(at, chance.choice(PIECES))
        elif way == 6:
            del lines[at]
            lines = lines or ["\n"]
        else:
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
    return "".join(lines)


def test_the_example_broken() -> None:
    """It is read, or refused with file and line of every problem; nothing else ever happens."""
    tried = refused = 0
    for number, chance in numbers(400):
        text = mutated(chance)
        try:
            check(text, {"HOME": "/home/u"} if number % 2 else {})
            tried += 1
            refused += not accepted(text)
        except BaseException as error:
            error.add_note(f"the example broken as number {number}:\n{text}")
            raise
    assert 0 < refused < tried, "some are read, and some refused"
    print(f"{tried} broken configurations read, {refused} of them refused")


def accepted(text: str) -> bool:
    try:
        return isinstance(parse(text, file="c.toml", env={}, home="/home/u"), Config)
    except InvalidConfig:
        return False
