"""The dates that are asked for, by what is kept of a file, whatever that says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mediad.keeping import dating
from mediad.keeping.change import Bond, Kept, Spot
from mediad.keeping.dating import Date, Refused, Rules
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
    there = dating.by_shift(span)(lead(moment.isoformat(), offset), RULES)
    assume(isinstance(there, Date))
    assert isinstance(there, Date)
    assert (there.source, there.confidence, there.offset_min) == ("user", "high", offset)
    back = dating.by_shift(-span)(lead(there.taken, offset), RULES)
    assert isinstance(back, Date)
    assert back.taken == moment.isoformat()


@given(MOMENTS, st.timedeltas())
def test_a_shift_leads_to_a_date_or_is_refused(moment: datetime, span: timedelta) -> None:
    found = dating.by_shift(span)(lead(moment.isoformat()), RULES)
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
    for found in (dating.by_source(source)(one, RULES), dating.to_its_own(one, RULES)):
        if isinstance(found, Refused):
            assert found.why
        elif found.taken is not None:
            assert datetime.fromisoformat(found.taken).tzinfo is None
            assert found.source
            json.dumps(found)


def test_no_json_at_all_is_no_date() -> None:
    for text in ("", "{", "[" * 100_000):
        assert isinstance(dating.by_source("exif")(lead(evidence=text), RULES), Refused)
