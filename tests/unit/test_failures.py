"""`Failures`, and what `retry` and `dismiss` find by path."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediad.media.wire import READING_FAILED
from mediad.shell import word
from mediad.steering.failures import failures
from mediad.store import journal, places
from mediad.store.troubles import dismiss, named_among, troubles
from tests.cataloguing import Past


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


def files(past: Past, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = past.ask("Failures", lambda reader: failures(reader, **wanted))["files"]
    return found


def quarantined(past: Past, path: bytes, reason: str = "no picture in it", **begun: Any) -> int:
    """A file in quarantine, named after its step; returns the step."""
    stem, _, extension = path.rpartition(b"/")[2].rpartition(b".")
    kept = b".mediad/quarantine/%b-%d.%b" % (stem, past.next + 1, extension)
    step = past.begin(path, kept, action="quarantine", **begun)
    return past.finish(step, "quarantined", code="unreadable", reason=reason)


def test_nothing_failed(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    past.unplanned(b"b.txt", "ignored")
    past.begin(b"c.jpg", b"c.jpg")
    assert past.ask("Failures", failures) == {"files": [], "next": None}


def test_a_failure_has_it_all(past: Past) -> None:
    failed = past.unplanned(b"b\xff.jpg", "failed", "not-permitted", "may not be read")
    step = quarantined(past, b"in/a.jpg")
    assert files(past) == [
        {
            "id": failed,
            "path": "/w/b\ufffd.jpg",
            "path_b64": "L3cvYv8uanBn",
            "watch": "inbox",
            "outcome": "failed",
            "code": "not-permitted",
            "reason": "may not be read",
            "since": "1970-01-01T00:00:01Z",
            "size": 1001,
            "place": "/w/b\ufffd.jpg",
            "place_b64": "L3cvYv8uanBn",
            "command": "mediactl retry $'/w/b\\377.jpg'",
        },
        {
            "id": step,
            "path": "/w/in/a.jpg",
            "path_b64": None,
            "watch": "inbox",
            "outcome": "quarantined",
            "code": "unreadable",
            "reason": "no picture in it",
            "since": "1970-01-01T00:00:03Z",
            "size": 1002,
            "place": "/l/.mediad/quarantine/a-2.jpg",
            "place_b64": None,
            "command": "mediactl retry --unparsed /w/in/a.jpg",
        },
    ]


def test_the_right_that_is_missing_is_named(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    past.unplanned(b"my b.jpg", "failed", "not-permitted", "may not be read")
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    (file,) = files(past)
    name = pwd.getpwuid(65534).pw_name
    right = f"`setfacl -m u:{name}:r '/w/my b.jpg'`, and u:{name}:x for the folders above it"
    assert file["reason"] == f"may not be read ({right})"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert files(past)[0]["reason"] == "may not be read", "root has all rights that can be had"


def test_the_command_is_one_that_helps(past: Past) -> None:
    key = places.import_place(past.connection, b"/media/my card")
    card: dict[str, Any] = {"watch": key, "batch": past.batch(key, b"/media/my card")}
    quarantined(past, b"a.jpg", f"{READING_FAILED}: no memory")
    step = past.begin(b"b.jpg", None, action="leave", **card)
    past.finish(step, "quarantined", code="unreadable", stays=True)
    past.finish(past.begin(b"c.jpg", b"c.jpg", **card), "failed", stays=True)
    past.connection.execute("INSERT INTO place (key, kind, root) VALUES ('old@1', 'former', x'2f6f')")
    past.finish(past.begin(b"d.jpg", b"d.jpg", watch="old@1"), "failed", stays=True)
    found = files(past)
    assert [(file["watch"], file["command"]) for file in found] == [
        ("inbox", "mediactl retry /w/a.jpg"),
        ("/media/my card", "mediactl why '/media/my card/b.jpg'"),
        ("/media/my card", "mediactl import '/media/my card'"),
        ("old", "mediactl retry /o/d.jpg"),
    ]


def test_where_it_is_after_it_was_tried_again_in_vain(past: Past) -> None:
    first = quarantined(past, b"a.jpg")
    kept = b".mediad/quarantine/a-1.jpg"
    second = past.begin(b"a.jpg", b"a.jpg", source=kept, batch=past.batch(root=b"/l"))
    journal.revert(past.connection, [second], "the disk is full", past.now)
    (file,) = files(past)
    assert first < file["id"] == second
    assert (file["place"], file["command"]) == ("/l/" + kept.decode(), "mediactl retry /w/a.jpg")


def test_what_was_taken_back_is_at_its_source(past: Past) -> None:
    past.finish(
        past.begin(b"a.jpg", b".mediad/quarantine/a-1.jpg", action="quarantine"), "failed", stays=True
    )
    assert files(past)[0]["place"] == "/w/a.jpg"


def test_without_a_place_the_batch_knows_the_root(past: Past) -> None:
    past.finish(past.begin(b"a.jpg", b"a.jpg", watch="gone", batch=past.batch("gone", b"/g")), "failed")
    past.connection.execute("UPDATE arrival SET watch = 'nowhere' WHERE id = ?", (past.next,))
    assert files(past)[0]["path"] == "/g/a.jpg"
    past.connection.execute("DELETE FROM step")
    (file,) = files(past)
    assert (file["path"], file["place"]) == ("a.jpg", None)


def test_failures_come_page_by_page(past: Past) -> None:
    ids = [past.unplanned(b"%d.jpg" % n, "failed") for n in range(4)]
    first = past.ask("Failures", lambda reader: failures(reader, limit=2))
    assert [file["id"] for file in first["files"]] == ids[:2]
    second = past.ask("Failures", lambda reader: failures(reader, first["next"], 2))
    assert ([file["id"] for file in second["files"]], second["next"]) == (ids[2:], None)


def test_what_is_dismissed_is_not_reported(past: Past) -> None:
    failed, step = past.unplanned(b"a.jpg", "failed"), quarantined(past, b"b.jpg")
    fine = past.filed(b"c.jpg", b"c.jpg")
    assert dismiss(past.connection, [failed, fine, 99]) == 1
    assert [file["id"] for file in files(past)] == [step]
    assert dismiss(past.connection, [failed, step]) == 1
    assert dismiss(past.connection, []) == 0
    assert files(past) == []
    past.unplanned(b"a.jpg", "failed")  # once more for the same reason
    assert files(past) == []
    assert past.unplanned(b"a.jpg", "failed", "other") == files(past)[0]["id"]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ([], []),
        ([b"/w/in/a.jpg"], [1]),
        ([b"/l/.mediad/quarantine/a-1.jpg"], [1]),
        ([b"/w/in"], [1, 2]),
        ([b"/w/in/"], [1, 2]),
        ([b"/w"], [1, 2, 3]),
        ([b"/"], [1, 2, 3]),
        ([b"/l/.mediad/quarantine"], [1]),
        ([b"/l"], [1]),
        ([b"/w/i", b"/w/in/a", b"/w/in/a.jpg/x", b"w", b""], []),
        ([b"/w/inn.jpg", b"/w/in/b.jpg"], [2, 3]),
        ([b"/w/fine.jpg"], []),
    ],
)
def test_what_is_in_trouble_is_found_by_path(past: Past, paths: list[bytes], found: list[int]) -> None:
    quarantined(past, b"in/a.jpg")
    past.unplanned(b"in/b.jpg", "failed")
    past.unplanned(b"inn.jpg", "failed")
    past.filed(b"fine.jpg", b"fine.jpg")
    assert [trouble.id for trouble in named_among(troubles(past.connection, 0, -1), paths)] == found


def test_what_is_found_says_where_to_take_it_from(past: Past) -> None:
    quarantined(past, b"a.jpg")
    past.unplanned(b"b.jpg", "failed")
    past.finish(
        past.begin(b"a.mov", b".mediad/quarantine/a-3.mov", action="quarantine", item=1), "quarantined"
    )
    kept, stays, companion = troubles(past.connection, 0, -1)
    assert (kept.item, stays.item, companion.item) == (1, 2, 1)
    assert (kept.library, kept.kept, kept.stays, kept.watch, kept.path, kept.kind) == (
        *(1, b".mediad/quarantine/a-1.jpg", False),
        *("inbox", b"a.jpg", "watch"),
    )
    assert (stays.library, stays.kept, stays.stays, stays.root) == (None, None, True, b"/w")
    assert (stays.source, stays.place) == (b"/w/b.jpg", b"/w/b.jpg")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name), min_size=1))
def test_a_shell_reads_every_path_as_one_word(names: list[bytes]) -> None:
    words = [word(name) for name in names]
    assert all(text.isprintable() for text in words)
    script = "printf '%s\\0' " + " ".join(words)
    told = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert told.stdout == b"".join(name + b"\0" for name in names)
