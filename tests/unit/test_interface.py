"""Interface definitions and what they permit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import varlink

from mediad.control.interface import (
    Array,
    Basic,
    Enum,
    Interface,
    InvalidParameter,
    Map,
    Maybe,
    Named,
    Struct,
)
from tests.conftest import PROJECT

DEFINITIONS = sorted((PROJECT / "mediad" / "control").glob("*.varlink"))

EVERYTHING = """# A comment before all.
interface com.example-2.Every.thing9

type Tree (value: int, under: []Tree, over: ?Tree) # after a member
type Colour (red,
    # between
    green, dark_blue)

method Do(
    b: ?bool, i: ?int, f: ?float, s: ?string, o: ?object,
    list: ?[]?[string]int, set: ?[string](), colour: ?Colour, tree: ?Tree, own: ?(a: int, kind: ?(x, y))
) -> (need: string)
method Nothing()->()
error Bad (why: Colour)
error Worse()
"""


def do(**parameters: object) -> dict[str, Any]:
    return Interface.parse(EVERYTHING).check_call("Do", parameters)


def test_everything_that_a_definition_may_have() -> None:
    found = Interface.parse(EVERYTHING)
    assert found.name == "com.example-2.Every.thing9"
    assert found.text == EVERYTHING
    assert found.types == {
        "Tree": Struct({"value": Basic("int"), "under": Array(Named("Tree")), "over": Maybe(Named("Tree"))}),
        "Colour": Enum(("red", "green", "dark_blue")),
    }
    assert found.errors == {"Bad": Struct({"why": Named("Colour")}), "Worse": Struct({})}
    assert found.methods["Nothing"].takes == found.methods["Nothing"].gives == Struct({})
    takes = found.methods["Do"].takes.fields
    assert takes["list"] == Maybe(Array(Maybe(Map(Basic("int")))))
    assert takes["set"] == Maybe(Map(Struct({})))
    assert takes["own"] == Maybe(Struct({"a": Basic("int"), "kind": Maybe(Enum(("x", "y")))}))


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_others_read_our_definitions_as_we_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    ours, theirs = Interface.parse(text), varlink.Interface(text)
    assert ours.name == theirs.name == path.stem
    assert {*ours.methods, *ours.types, *ours.errors} == set(theirs.members)
    for name, method in ours.methods.items():
        assert list(method.takes.fields) == list(theirs.members[name].in_type.fields)
        assert list(method.gives.fields) == list(theirs.members[name].out_type.fields)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: expected interface"),
        ("interface single", "line 1: expected a name"),
        ("interface a.b\nmethods X() -> ()", "line 2: expected method, type or error"),
        ("interface a.b\nmethod x() -> ()", "line 2: expected a name"),
        ("interface a.b\nmethod X()", "line 2: expected ->"),
        ("interface a.b\nmethod X() -> (a: Missing)", "line 2: there is no type Missing"),
        ("interface a.b\ntype A (a, b\n: int)", "line 3: either all fields have types, or none"),
        ("interface a.b\ntype A (a: int,\n a: int)", "line 3: a is there twice"),
        ("interface a.b\ntype A ()\n\nerror A ()", "line 4: A is there twice"),
        ("interface a.b\ntype A (a: ??int)", "line 2: ?? says no more than ?"),
        ("interface a.b\ntype A (a: integer)", "line 2: expected a type"),
        ("interface a.b\ntype A int", "line 2: expected ("),
        ("interface a.b\nerror A (a, b)", "line 2: expected fields with types"),
        ("interface a.b\ntype A (a: int,)", "line 2: expected a name"),
        ("interface a.b\ntype A (a: int", "line 2: expected ,"),
        ("interface a.b\ntype A (a__b: int)", "line 2: expected a name"),
        ("interface a.b\n\n$", "line 3: this is no part of a definition"),
    ],
)
def test_wrong_definitions(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared below
        Interface.parse(text)
    assert str(caught.value) == complaint


def test_what_is_left_out_comes_out_as_none() -> None:
    assert do() == dict.fromkeys(("b", "i", "f", "s", "o", "list", "set", "colour", "tree", "own"))
    assert do(own={"a": 1})["own"] == {"a": 1, "kind": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("b", False),
        ("i", (1 << 63) - 1),
        ("i", -(1 << 63)),
        ("f", 0.25),
        ("f", 3),
        ("s", "\0 é"),
        ("o", [1, {"any": None}]),
        ("list", [None, {"a": 1}]),
        ("set", {"a": {}}),
        ("colour", "dark_blue"),
        ("tree", {"value": 1, "under": [{"value": 2, "under": [], "over": None}], "over": None}),
    ],
)
def test_what_is_permitted(name: str, value: object) -> None:
    assert do(**{name: value})[name] == value


def test_a_whole_number_becomes_a_float() -> None:
    assert isinstance(do(f=3)["f"], float)


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("extra", 1, "extra"),
        ("", None, ""),
        ("b", 1, "b"),
        ("b", "true", "b"),
        ("i", True, "i"),
        ("i", 1.0, "i"),
        ("i", 1 << 63, "i"),
        ("i", -(1 << 63) - 1, "i"),
        ("i", "1", "i"),
        ("f", True, "f"),
        ("f", "1", "f"),
        ("f", float("inf"), "f"),
        ("f", float("nan"), "f"),
        ("f", 10**400, "f"),
        ("s", 1, "s"),
        ("s", "\ud800", "s"),
        ("s", ["a"], "s"),
        ("list", {"0": 1}, "list"),
        ("list", "text", "list"),
        ("list", [{"a": 1}, {"b": "x"}], "list.1.b"),
        ("set", ["a"], "set"),
        ("set", {"a": {"b": 1}}, "set.a.b"),
        ("colour", "pink", "colour"),
        ("colour", 0, "colour"),
        ("tree", [], "tree"),
        ("tree", {"value": 1}, "tree.under"),
        ("tree", {"value": 1, "under": [{"value": None, "under": []}]}, "tree.under.0.value"),
        ("own", {"a": 1, "b": 2}, "own.b"),
        ("own", {"a": 1, "kind": "z"}, "own.kind"),
    ],
)
def test_what_is_not_permitted(name: str, value: object, where: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        do(**{name: value})
    assert caught.value.parameter == where


def test_an_object_is_anything_but_null() -> None:
    taking = Interface.parse("interface a.b\nmethod Take(o: object) -> ()")
    assert taking.check_call("Take", {"o": 0}) == {"o": 0}
    with pytest.raises(InvalidParameter):
        taking.check_call("Take", {"o": None})


def test_replies_and_errors_are_checked_too() -> None:
    found = Interface.parse(EVERYTHING)
    assert found.check_reply("Do", {"need": "x"}) == {"need": "x"}
    assert found.check_error("Bad", {"why": "red"}) == {"why": "red"}
    with pytest.raises(InvalidParameter, match="need"):
        found.check_reply("Do", {})
    with pytest.raises(InvalidParameter, match="why"):
        found.check_error("Bad", {"why": "pink"})
