"""Whatever stands in a configuration, it is read or refused, never crashed on."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from mediad.config import parse
from mediad.config.keys import HOOK, LIBRARY, RULE, SINGLE, WATCH
from mediad.config.locate import KeyPath, locate
from mediad.config.units import format_duration, format_size, parse_duration, parse_size
from mediad.errors import InvalidConfig

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
