"""`History`: one row a file and step, with the date that counted, page by page."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediad.model import Taken
from mediad.steering.history import history
from mediad.store import history as asked
from mediad.store import journal
from tests.cataloguing import SECOND, TAKEN, Past, doubtful


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


@pytest.fixture(params=[20_000, 2, 1])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What is asked must not depend on how much of it one unit of work looks at."""
    monkeypatch.setattr(asked, "WINDOW", request.param)
    return int(request.param)


def rows(past: Past, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = past.ask("History", lambda reader: history(reader, **wanted))["rows"]
    return found


def ids(past: Past, **wanted: Any) -> list[int]:
    return [row["id"] for row in rows(past, **wanted)]


def test_nothing_was_done(past: Past) -> None:
    answer = past.ask("History", history)
    assert answer == {"rows": [], "next": None}
    assert past.ask("History", lambda reader: history(reader, doubtful=True, batch=1, since=5)) == answer


def test_a_row_has_it_all(past: Past) -> None:
    step = past.filed(b"DCIM/\xff.jpg", b"2021/\xff.jpg", digest=b"\xab" * 32)
    assert rows(past) == [
        {
            "id": step,
            "item": step,
            "batch": 1,
            "time": "1970-01-01T00:00:03Z",
            "action": "move",
            "outcome": "filed",
            "source": "/w/DCIM/\ufffd.jpg",
            "source_b64": "L3cvRENJTS//LmpwZw==",
            "destination": "/l/2021/\ufffd.jpg",
            "destination_b64": "L2wvMjAyMS//LmpwZw==",
            "digest": "ab" * 32,
            "size": 1001,
            "kind": "photo",
            "taken": "2021-07-10T20:39:25.77",
            "offset": "+02:00",
            "taken_source": "exif",
            "confidence": "high",
            "reason": "",
            "undone": False,
        }
    ]


def test_what_has_no_date_tells_none(past: Past) -> None:
    past.filed(b"a.jpg", b"Undated/a.jpg", taken=None)
    (row,) = rows(past)
    assert [row[key] for key in ("taken", "offset", "taken_source", "confidence")] == [None] * 4


def test_a_whole_second_has_no_fraction(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", taken=Taken(TAKEN.local.replace(microsecond=0), None, "mtime", "", "low"))
    (row,) = rows(past)
    assert (row["taken"], row["offset"]) == ("2021-07-10T20:39:25", None)


def test_only_what_was_done_is_told(past: Past) -> None:
    past.begin(b"a.jpg", b"a.jpg")
    journal.revert(past.connection, [past.begin(b"b.jpg", b"b.jpg")], "no", past.now)
    step = past.filed(b"c.jpg", b"c.jpg")
    assert ids(past) == [step]


def test_a_duplicate_that_stays_goes_nowhere(past: Past) -> None:
    past.finish(past.begin(b"a.jpg", None, action="leave"), "duplicate", reason="same as b", stays=True)
    (row,) = rows(past)
    assert (row["destination"], row["outcome"], row["reason"]) == (None, "duplicate", "same as b")


def test_a_companion_has_its_principals_date(past: Past) -> None:
    principal = past.filed(b"a.jpg", b"a.jpg")
    own = Taken(TAKEN.local.replace(year=2001), None, "mtime", "mtime", "low")
    past.filed(b"a.mov", b"a.mov", item=principal, taken=own, kind="video")
    first, second = rows(past)
    assert second["item"] == first["id"]
    for key in ("taken", "offset", "taken_source", "confidence"):
        assert second[key] == first[key]


def test_a_late_companion_has_the_date_of_the_set_beside_which_it_went(past: Past) -> None:
    principal = past.filed(b"a.jpg", b"a.jpg")
    late = past.begin(
        b"a.xmp", b"a.xmp", witness=past.file(b"a.jpg"), taken=doubtful(), kind="sidecar", action="copy"
    )
    past.finish(late, item=principal, role="companion", stays=True)
    again = past.begin(
        b"b.xmp", None, action="leave", witness=past.file(b"a.jpg"), taken=None, kind="sidecar"
    )
    past.finish(again, "duplicate", stays=True)
    assert [row["confidence"] for row in rows(past)] == ["high"] * 3
    assert ids(past, doubtful=True) == []


def test_a_companion_of_what_was_found_has_no_date(past: Past) -> None:
    witness = past.found(b"a.jpg")
    past.finish(past.begin(b"a.xmp", b"a.xmp", witness=witness, kind="sidecar"), role="companion")
    assert rows(past)[0]["taken"] is None


def test_a_duplicate_has_its_own_date(past: Past) -> None:
    step = past.begin(b"a.jpg", b".mediad/trash/a-1.jpg", action="trash", witness=past.found(b"b.jpg"))
    past.finish(step, "duplicate")
    assert rows(past)[0]["taken"] == "2021-07-10T20:39:25.77"


def test_what_a_later_story_overtook_keeps_what_is_its_own(past: Past) -> None:
    failed = past.finish(past.begin(b"a.jpg", b"a.jpg"), "failed", reason="no", stays=True)
    broken = past.finish(
        past.begin(b"b.jpg", b".mediad/quarantine/b-2.jpg", action="quarantine"), "quarantined", reason="bad"
    )
    filed = past.filed(b"a.jpg", b"a.jpg")
    again = past.filed(b"b.jpg", b"b.jpg", source=b".mediad/quarantine/b-2.jpg", batch=past.batch(root=b"/l"))
    told = {row["id"]: row for row in rows(past)}
    assert [told[step]["outcome"] for step in (failed, broken, filed, again)] == [
        *(None, "quarantined"),
        *("filed", "filed"),
    ]
    assert [told[failed][key] for key in ("digest", "taken", "reason")] == [None, None, ""]
    assert told[broken]["source"] == "/w/b.jpg"
    assert told[again]["source"] == "/l/.mediad/quarantine/b-2.jpg"


def test_a_root_may_be_the_root_of_all(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", batch=past.batch(root=b"/"), library=past.remember("all", b"/"))
    (row,) = rows(past)
    assert (row["source"], row["destination"]) == ("/a.jpg", "/a.jpg")


@pytest.mark.usefixtures("window")
def test_history_comes_page_by_page(past: Past) -> None:
    steps = [past.filed(b"%d.jpg" % n, b"%d.jpg" % n) for n in range(7)]
    pages = []
    after: int | None = 0
    while after is not None:
        answer = past.ask("History", functools.partial(history, after=after, limit=3))
        pages.append([row["id"] for row in answer["rows"]])
        after = answer["next"]
    assert pages == [steps[:3], steps[3:6], steps[6:]]


@pytest.mark.usefixtures("window")
def test_what_is_doubtful_comes_page_by_page_and_set_by_set(past: Past) -> None:
    wanted = []
    for n in range(4):
        past.filed(b"sure%d.jpg" % n, b"sure%d.jpg" % n)
        principal = past.filed(b"a%d.jpg" % n, b"a%d.jpg" % n, taken=doubtful())
        companion = past.filed(b"a%d.mov" % n, b"a%d.mov" % n, item=principal, taken=TAKEN)
        past.filed(b"sure%d.mov" % n, b"sure%d.mov" % n, item=principal - 1, taken=doubtful())
        wanted += [principal, companion]
    past.finish(past.begin(b"b.jpg", None, action="leave", taken=doubtful()), "duplicate", stays=True)
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        answer = past.ask("History", functools.partial(history, doubtful=True, after=after, limit=3))
        found += [row["id"] for row in answer["rows"]]
        after = answer["next"]
    assert found == wanted


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("doubt", [False, True])
def test_one_batch_or_what_is_recent(past: Past, doubt: bool) -> None:
    first, second = past.batch(), past.batch()
    taken = doubtful() if doubt else TAKEN
    steps = [
        past.filed(b"%d.jpg" % n, b"%d.jpg" % n, batch=(first, second)[n % 2], taken=taken) for n in range(6)
    ]
    assert ids(past, batch=second, doubtful=doubt) == steps[1::2]
    assert ids(past, batch=99, doubtful=doubt) == []
    last = past.now
    assert ids(past, since=last, doubtful=doubt) == steps[-1:]
    assert ids(past, since=last - 2 * SECOND, doubtful=doubt) == steps[-2:]
    assert ids(past, since=last - 2 * SECOND, batch=first, doubtful=doubt) == [steps[-2]]
    assert ids(past, since=last + 1, doubtful=doubt) == []


@pytest.mark.parametrize(("after", "limit"), [(-5, None), (0, 0), (0, -1), (0, 1 << 62)])
def test_odd_pages_are_pages(past: Past, after: int, limit: int | None) -> None:
    step = past.filed(b"a.jpg", b"a.jpg")
    assert ids(past, after=after, limit=limit) == [step]
    assert ids(past, after=(1 << 63) - 1, limit=limit) == []
