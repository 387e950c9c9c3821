"""The dates that are asked for, by what is kept of a file, whatever that says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mediad.keeping import dating
from mediad.keeping.change import Bond, Kept, Spot
from mediad.keeping.dating import Date, Refused, Rules
from mediad.keeping.stated import stated
from mediad.media.dates import DateSettings

RULES = Rules(
    DateSettings(UTC, ("exif", "filename"), "card", date(1990, 1, 1)),
    datetime(2026, 1, 1, tzinfo=UTC),
    lambda lead: None,
)
MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1))  # noqa: DTZ001


def lead(taken: str | None = None, offset: int | None = None, evidence: str = "{}") -> Kept:
    """A library file that was filed by such a date."""
    known = ("exif", "low") if taken else (None, None)
    return Kept(
        *(1, Spot(1, b"/photos", b"a.jpg"), 9, 0, b"\0" * 32, Bond("principal", 1, 1), 1, {}),
        *("inbox", b"a.jpg", "photo", taken, offset, *known, evidence, "", b"a.jpg"),
    )


@given(
    MOMENTS, st.none() | st.integers(-840, 840), st.timedeltas(timedelta(days=-9999), timedelta(days=9999))
)
def test_there_and_back(moment: datetime, offset: int | None, span: timedelta) -> None:
    there = dating.by_shift(span)([lead(moment.isoformat(), offset)], RULES)
    assume(isinstance(there, Date))
    assert isinstance(there, Date)
    assert (there.source, there.confidence, there.offset_min) == ("user", "high", offset)
    back = dating.by_shift(-span)([lead(there.taken, offset)], RULES)
    assert isinstance(back, Date)
    assert back.taken == moment.isoformat()


@given(MOMENTS, st.timedeltas())
def test_a_shift_leads_to_a_date_or_is_refused(moment: datetime, span: timedelta) -> None:
    found = dating.by_shift(span)([lead(moment.isoformat())], RULES)
    if isinstance(found, Date):
        assert found.taken is not None
        assert datetime.fromisoformat(found.taken) - moment == span
    else:
        assert found.why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | MOMENTS.map(datetime.isoformat),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
CANDIDATES = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["exif", "quicktime", "filename", "mtime", "else"]) | JSON,
        "tag": st.sampled_from(["DateTimeOriginal", "ModifyDate", "movie header"]) | JSON,
        "moment": MOMENTS.map(datetime.isoformat) | JSON,
    },
    optional={
        "offset": st.integers(-900, 900) | JSON,
        "utc": st.booleans() | JSON,
        "sidecar": JSON,
        "doubt": JSON,
    },
)
EVIDENCE = st.fixed_dictionaries(
    {"candidates": st.lists(CANDIDATES | JSON, max_size=4) | JSON},
    optional={"make": JSON, "doubts": JSON, "tag": JSON, "date_note": JSON, "sidecar": JSON},
)


@settings(max_examples=100)
@given(EVIDENCE | JSON, st.sampled_from(["exif", "quicktime", "mtime", "modifydate", "x"]))
def test_whatever_is_kept_is_a_date_or_none(kept: Any, source: str) -> None:
    one = lead(evidence=json.dumps(kept))
    for found in (dating.by_source(source)([one], RULES), dating.to_its_own([one], RULES)):
        if isinstance(found, Refused):
            assert found.why
        elif found.taken is not None:
            assert datetime.fromisoformat(found.taken).tzinfo is None
            assert found.source
            json.dumps(found)


def test_other_files_of_the_set_are_asked_too() -> None:
    def companion(name: bytes, kind: str, *candidates: dict[str, str]) -> Kept:
        evidence = json.dumps({"candidates": candidates})
        return lead(evidence=evidence)._replace(path=b"in/" + name, kind=kind)

    def told(source: str, year: int, sidecar: str = "") -> dict[str, str]:
        moment = f"{year}-05-06T07:08:09"
        return {"source": source, "tag": "DateTimeOriginal", "moment": moment, "sidecar": sidecar}

    principal = companion(b"a.dng", "raw", told("mtime", 2001), told("xmp", 2002, "a.xmp"))
    others = (
        companion(b"a.xmp", "sidecar", told("xmp", 2003)),  # is known from the principal
        companion(b"a.json", "sidecar", told("takeout", 2004)),
        companion(
            b"a.jpg", "photo", told("filename", 2005), told("exif", 2006), told("xmp", 2007, "a.jpg.xmp")
        ),
    )
    found = [
        (one.candidate.source, one.candidate.moment.year, one.file)
        for one in stated([principal, *others])
        if one.candidate.moment is not None
    ]
    assert found == [
        ("mtime", 2001, ""),
        ("xmp", 2002, "a.xmp"),
        ("takeout", 2004, "a.json"),
        ("exif", 2006, "a.jpg"),
        ("xmp", 2007, "a.jpg.xmp"),
    ]
    date = dating.by_source("exif")([principal, *others], RULES)
    assert isinstance(date, Date)
    assert (date.taken, date.sidecar) == ("2006-05-06T07:08:09", "a.jpg")
    silent = dating.to_its_own([lead(taken="2020-01-01T00:00:00"), *others], RULES)
    assert isinstance(silent, Date)
    assert silent.taken == "2020-01-01T00:00:00"


def test_a_scan_goes_back_to_what_is_believed_of_scans() -> None:
    told = {"source": "exif", "tag": "DateTimeOriginal", "moment": "2006-05-06T07:08:09"}
    for duration in (1.5, 1e300, "long"):
        evidence = {"candidates": [told], "origin": "scan", "duration": duration}
        found = dating.to_its_own([lead(evidence=json.dumps(evidence))], RULES)
        assert isinstance(found, Date)
        assert (found.taken, found.confidence) == ("2006-05-06T07:08:09", "medium")


def test_no_json_at_all_is_no_date() -> None:
    for text in ("", "{", "[" * 100_000):
        assert isinstance(dating.by_source("exif")([lead(evidence=text)], RULES), Refused)


def test_the_end_of_the_calendar_is_no_date() -> None:
    found = {"source": "gps", "tag": "GPSDateTime", "moment": "9999-12-31T23:59:59", "utc": True}
    tokyo = DateSettings(timezone(timedelta(hours=9)), ("exif",), "never", date(1990, 1, 1))
    rules = Rules(tokyo, RULES.now, lambda lead: None)
    told = dating.by_source("GPSDateTime")([lead(evidence=json.dumps({"candidates": [found]}))], rules)
    assert isinstance(told, Refused)
