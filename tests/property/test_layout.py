"""No layout and no file's values lead outside, into our own folder, or to a name that cannot be."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from mediad.layout import NAME_MAX, TOKENS, Layout, LayoutError, Values, companion_name, name_key, with_suffix

# Pieces that break naive sanitising, among anything else.
NASTY = st.sampled_from(
    ["", ".", "..", "/", "../", ".mediad", ".MEDIAD-", "con", "nul.", " ", "\n", "\x7f", "\x85"]
)
TEXT = st.lists(NASTY | st.text(st.characters()), max_size=4).map("".join)
RAW = st.lists(NASTY.map(str.encode) | st.binary(max_size=300), max_size=4).map(b"".join)
NAME = RAW.map(lambda raw: raw.replace(b"/", b"").replace(b"\0", b"")[:NAME_MAX]).filter(bool)
VALUES = st.builds(
    Values,
    taken=st.none() | st.datetimes(min_value=datetime(1900, 1, 1)),  # noqa: DTZ001
    name=NAME,
    kind=TEXT,
    origin=TEXT,
    make=TEXT,
    model=TEXT,
    artist=TEXT,
    album=TEXT,
    title=TEXT,
    track=st.none() | st.integers(),
    watch=TEXT,
    label=TEXT,
    subdir=RAW,
    digest=st.text("0123456789abcdef", max_size=64),
)
TOKEN = st.sampled_from([f"{{{name}{':%Y-%m' if name == 'taken' else ''}}}" for name in TOKENS])
LITERAL = st.sampled_from(["/", "x", ".", " ", "-", "é", "{{"])
LAYOUT = st.lists(TOKEN | LITERAL, max_size=8).map("".join)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def is_safe(component: bytes) -> bool:
    text = component.decode("utf-8", "surrogateescape")
    folded = text.casefold()
    return (
        0 < len(component) <= NAME_MAX
        and text not in (".", "..")
        and not CONTROL.search(text)
        and folded != ".mediad"
        and not folded.startswith(".mediad-")
    )


@given(LAYOUT, VALUES)
def test_what_is_rendered_never_escapes(text: str, values: Values) -> None:
    try:
        layout = Layout.parse(text)
    except LayoutError:
        return
    result = layout.render(values)
    assert all(is_safe(component) for component in result.split(b"/")), result


@given(VALUES)
def test_a_tag_adds_no_folder(values: Values) -> None:
    result = Layout.parse("{artist|a}/{title|b}/{name}").render(values)
    assert result.count(b"/") <= 2
    assert not any(part.startswith(b".") for part in result.split(b"/")[:-1])


@given(st.text() | LAYOUT)
def test_a_layout_parses_or_says_why(text: str) -> None:
    with contextlib.suppress(LayoutError):
        assert Layout.parse(text).text == text


@given(NAME, st.integers(1, 10**6), st.integers(1, 10**6))
def test_suffixes_fit_and_differ(name: bytes, first: int, second: int) -> None:
    path = b"folder/" + name
    results = [with_suffix(path, first), with_suffix(path, second)]
    assert all(
        result.startswith(b"folder/") and len(result) <= len(b"folder/") + NAME_MAX for result in results
    )
    assert (results[0] == results[1]) == (first == second)


@given(NAME, NAME, NAME)
def test_companions_get_names_that_can_be(principal: bytes, filed: bytes, companion: bytes) -> None:
    filed = Layout.parse("{name}").render(Values(None, filed))
    assert is_safe(companion_name(principal, filed, companion))


@given(st.binary(max_size=60))
def test_name_keys_are_stable(path: bytes) -> None:
    key = name_key(path)
    assert name_key(key.encode("utf-8", "surrogateescape")) == key
