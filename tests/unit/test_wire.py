"""What the daemon believes of what a worker says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from mediad.media import wire
from mediad.media.dates import DateRules
from mediad.media.reading import File
from mediad.model import Facts, Taken

LOCAL = datetime.fromisoformat("2021-07-10T20:39:25.770000")
TAKEN = Taken(LOCAL, -480, "exif", "DateTimeOriginal", "high")
FULL = Facts(
    *("jpeg", "photo", "why", "broken", "Apple", "iPhone 12", "C0FFEE", "camera"),
    taken=TAKEN,
    evidence='{"tag":"DateTimeOriginal"}',
)
WHEN = ["2021-07-10T20:39:25", None, "exif", "DateTimeOriginal", "high"]


def body(value: object, *evidence: str) -> bytes:
    return "\n".join((json.dumps(value), *evidence)).encode()


def test_what_is_empty_is_not_sent() -> None:
    found = [Facts("jpeg", "photo"), FULL, Facts("", "photo", unreadable="why")]
    sent = wire.reply(found)
    assert int.from_bytes(sent[: wire.HEADER], "big") == len(sent) - wire.HEADER
    assert wire.reply_from_json(sent[wire.HEADER :], 3) == found
    first, second, third = json.loads(sent[wire.HEADER :].splitlines()[0])
    assert first == {"format": "jpeg", "kind": "photo"}
    assert second["taken"] == ["2021-07-10T20:39:25.770000", -480, "exif", "DateTimeOriginal", "high"]
    assert third == {"kind": "photo", "unreadable": "why"}


def test_evidence_is_handed_on_as_it_came() -> None:
    evidence = r'{"a" :  "not \"parsed\"", }'
    (found,) = wire.reply_from_json(body([{"kind": "photo"}], evidence), 1)
    assert found == Facts("", "photo", evidence=evidence)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "virus"},
        {"kind": None},
        {"kind": ["photo"]},
        {"format": "exe"},
        {"format": 7},
        {"format": {}},
        {"origin": "moon"},
        {"origin": ["camera"]},
        {"make": "x" * 257},
        {"make": "\ud800"},
        {"model": 7},
        {"content_id": None},
        {"unreadable": ["why"]},
        {"damaged": True},
        {"taken": "2021-07-10T20:39:25"},
        {"taken": WHEN[:4]},
        {"taken": ["2021-07-10T20:39:25+01:00", *WHEN[1:]]},
        {"taken": ["soon", *WHEN[1:]]},
        {"taken": [0, *WHEN[1:]]},
        {"taken": ["2021-07-10T20:39:25.123456789", *WHEN[1:]]},
        {"taken": [WHEN[0], 24 * 60 + 1, *WHEN[2:]]},
        {"taken": [WHEN[0], True, *WHEN[2:]]},
        {"taken": [WHEN[0], 1.5, *WHEN[2:]]},
        {"taken": [*WHEN[:2], "me", *WHEN[3:]]},
        {"taken": [*WHEN[:2], ["exif"], *WHEN[3:]]},
        {"taken": [*WHEN[:3], "x" * 65, "high"]},
        {"taken": [*WHEN[:3], "\udc80", "high"]},
        {"taken": [*WHEN[:4], "certain"]},
        {"surprise": 1},
        {"evidence": "{}"},
    ],
)
def test_nothing_from_a_worker_is_believed_unchecked(change: dict[str, object]) -> None:
    value = {"format": "jpeg", "kind": "photo", "make": "é", "origin": "camera", "taken": WHEN}
    assert wire.reply_from_json(body([value], "{}"), 1)[0].make == "é"
    with pytest.raises(ValueError):  # noqa: PT011
        wire.reply_from_json(body([{**value, **change}], "{}"), 1)


def test_no_kind_is_none() -> None:
    with pytest.raises(ValueError, match="no kind"):
        wire.reply_from_json(body([{"format": "jpeg"}], "{}"), 1)


@pytest.mark.parametrize("evidence", ["", "[]", "{", "}", "text", '{"a":' + "1" * 8192 + "}", '{"ä":1}'])
def test_evidence_that_is_none(evidence: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        wire.reply_from_json(body([{"kind": "photo"}], evidence), 1)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{}", b"[]", b"[1]\n{}", b"[[]]\n{}", b"\xff", b"[" * 100_000 + b"\n{}", b"null\n{}"),
        *(b'[{"kind":"photo"}]', b'[{"kind":"photo"}]\n{}\n{}', b'[{"kind":"photo"}]\n{}\n'),
        b'[{"kind":"photo"},{"kind":"photo"}]\n{}\n{}',
    ],
)
def test_replies_that_are_none(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        wire.reply_from_json(raw, 1)


def test_requests() -> None:
    rules = DateRules("Asia/Tokyo", ("xmp", "exif"), "always", date(1980, 2, 3))
    now = datetime(2024, 6, 1, 12, 30, 1, 5, tzinfo=UTC)
    files = [File(3, b'\xff\n".jpg', 1 << 50, -5, on_card=True), File(4, b"", 0, 1 << 80, on_card=False)]
    sent = wire.request(files, rules, now)[wire.HEADER :]
    there = [files[0]._replace(fd=7), files[1]._replace(fd=8)]
    assert wire.request_from_json(sent, [7, 8]) == (there, rules, now)
    with pytest.raises(ValueError, match="longer"):
        wire.request_from_json(sent, [7])
