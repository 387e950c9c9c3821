"""`Duplicates`: groups of library files with the same content, and the best of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediad.control.protocol import InvalidParameter
from mediad.steering.duplicates import duplicates
from mediad.store import catalogue, copies
from tests.cataloguing import Past

ALL = {"digest": "01" * 32, "width": None, "height": None}
ONE, TWO, THREE = b"\x01" * 32, b"\x02" * 32, b"\xff" * 32


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


def groups(past: Past, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = past.ask("Duplicates", lambda reader: duplicates(reader, **wanted))[
        "groups"
    ]
    return found


def paths(past: Past) -> list[list[str]]:
    return [[file["path"] for file in group["files"]] for group in groups(past)]


def test_nothing_is_there_twice(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", digest=ONE)
    past.found(b"b.jpg", digest=TWO)
    past.found(b"c.jpg")
    past.found(b"d.jpg")
    assert past.ask("Duplicates", duplicates) == {
        "groups": [],
        "next": None,
        "unread": 2,
        "to_analyse": None,
    }


def test_a_group_has_it_all(past: Past) -> None:
    past.found(b"\xff.jpg", digest=ONE)
    past.found(b"other.jpg", digest=ONE)
    assert groups(past) == [
        {
            "kind": "exact",
            "distance": 0,
            "best": "/l/\ufffd.jpg",
            "best_b64": "L2wv/y5qcGc=",
            "files": [
                {"path": "/l/\ufffd.jpg", "path_b64": "L2wv/y5qcGc=", **ALL, "size": 1005},
                {"path": "/l/other.jpg", "path_b64": None, **ALL, "size": 1009},
            ],
            "omitted": 0,
        }
    ]


def test_what_does_not_count(past: Past) -> None:
    past.found(b"a.jpg", digest=ONE)
    principal = past.filed(b"x.jpg", b"x.jpg", digest=TWO)
    past.finish(past.begin(b"a.mov", b"a.mov", item=principal, digest=ONE), role="companion")
    missing = past.found(b"missing.jpg", digest=ONE)
    past.connection.execute("UPDATE file SET missing = 1 WHERE id = ?", (missing,))
    past.found(b"elsewhere.jpg", past.remember("forgotten", b"/f"), digest=ONE)
    past.remember("forgotten", b"/g", marker="another library of this name")
    catalogue.set_missing(past.connection, past.found(b"neither there nor read.jpg"))
    past.found(b"never read.jpg")
    past.found(b"never read either.jpg", library=2)
    answer = past.ask("Duplicates", duplicates)
    assert (answer["groups"], answer["next"], answer["unread"]) == ([], None, 1)


def test_several_libraries_are_compared(past: Past) -> None:
    past.found(b"a.jpg", digest=ONE)
    past.found(b"b.jpg", past.remember("second", b"/s"), digest=ONE)
    assert paths(past) == [["/l/a.jpg", "/s/b.jpg"]]


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["found", "filed"], "filed"),
        (["found", "undated", "filed"], "filed"),
        (["undated", "filed"], "filed"),
        (["found", "undated"], "undated"),
        (["found-undated", "found"], "found"),
        (["filed", "filed2"], "filed"),
        (["found", "found2"], "found"),
    ],
)
def test_the_best_is_one_that_was_filed_by_its_date(past: Past, names: list[str], best: str) -> None:
    for name in names:
        if name == "found-undated":
            past.found(b"Undated/old/a.jpg", digest=ONE)
        elif name.startswith("found"):
            past.found(name.encode(), digest=ONE)
        else:
            undated = {"taken": None} if name == "undated" else {}
            past.filed(name.encode(), name.encode(), digest=ONE, **undated)
    (group,) = groups(past)
    assert group["best"] == f"/l/{best}"


@pytest.mark.parametrize("window", [20_000, 2, 1])
def test_groups_come_page_by_page(past: Past, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "WINDOW", window)
    for digest in (THREE, ONE, b"\x01" * 31 + b"\x02", TWO):
        for name in (b"a", b"b", b"c"):
            past.found(digest[-1:].hex().encode() + digest[:1].hex().encode() + name, digest=digest)
    past.found(b"alone", digest=b"\x03" * 32)
    found: list[str] = []
    sizes: list[int] = []
    after: str | None = ""
    while after is not None:
        answer = past.ask("Duplicates", functools.partial(duplicates, after=after, limit=2))
        found += [group["files"][0]["digest"] for group in answer["groups"]]
        sizes.append(len(answer["groups"]))
        assert all(len(group["files"]) == 3 for group in answer["groups"])
        after = answer["next"]
    assert found == ["01" * 32, "01" * 31 + "02", "02" * 32, "ff" * 32]
    assert max(sizes) == 2


@pytest.mark.parametrize("after", ["x", "0", "0g", "\u0661\u0661"])
def test_pages_begin_after_a_digest(past: Past, after: str) -> None:
    with pytest.raises(InvalidParameter, match="after"):
        groups(past, after=after)
