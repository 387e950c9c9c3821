"""Pictures of the same card tell how a film's header is to be read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mediad.media.siblings import REACH, Shot, Shots, dated, series_of
from mediad.model import Confidence, Facts, Identity, MediaSet, Sighting, Stat, Taken
from mediad.store.shots import NEAR, shots_near
from tests.cataloguing import Past, doubtful

UTC = datetime.fromisoformat("2023-10-21T10:20:01")  # what stands in the header
BERLIN = Taken(UTC + timedelta(hours=2), 120, "quicktime", "movie header", "medium")
NEW_YORK = Taken(UTC - timedelta(hours=4), -240, "quicktime", "movie header", "medium")


def identity(path: bytes, taken: Taken | None, *, make: str = "", kind: str = "photo") -> Identity:
    facts = Facts("jpeg", "video" if kind == "video" else "photo", make=make, taken=taken)
    return Identity(Sighting("inbox", path, Stat(1, 1, 1, 0, 0)), b"", facts)


def still(path: bytes, time: str, make: str = "", confidence: Confidence = "high") -> Identity:
    taken = Taken(datetime.fromisoformat(f"2023-10-21T{time}"), None, "exif", "DateTimeOriginal", "high")
    return identity(path, replace(taken, confidence=confidence), make=make)


def film(taken: Taken = BERLIN, path: bytes = b"IMG_1234.MOV", make: str = "") -> MediaSet:
    return MediaSet(identity(path, taken, make=make, kind="video"))


def read(media: MediaSet, *stills: Identity) -> tuple[str, int | None]:
    shots = Shots()
    shots.note(stills)
    found = dated(media, shots.near).principal.facts.taken
    assert found is not None
    return f"{found.local:%H:%M}", found.offset_minutes


@pytest.mark.parametrize(
    ("taken", "before", "after", "expected"),
    [
        (BERLIN, "10:15:00", "10:30:00", ("10:20", None)),
        (BERLIN, "12:15:00", "12:30:00", ("12:20", 120)),
        (BERLIN, "", "10:30:00", ("10:20", None)),
        (BERLIN, "10:15:00", "", ("12:20", 120)),  # both readings come after it
        (BERLIN, "10:15:00", "12:30:00", ("12:20", 120)),  # both are between
        (BERLIN, "02:00:00", "03:00:00", ("02:20", -480)),  # neither is, but that of another zone
        (BERLIN, "19:15:00", "19:25:00", ("19:20", 540)),
        (BERLIN, "02:00:00", "12:00:00", ("12:20", 120)),  # as local time, it would be far from both
        (BERLIN, "10:30:00", "10:15:00", ("12:20", 120)),  # the counter began anew
        (BERLIN, "10:20:06", "10:30:00", ("10:20", None)),  # a few seconds are nothing
        (NEW_YORK, "10:15:00", "", ("10:20", None)),
        (NEW_YORK, "06:15:00", "06:30:00", ("06:20", -240)),
        (NEW_YORK, "10:15:00", "10:30:00", ("10:20", None)),
    ],
)
def test_between_its_neighbours(
    taken: Taken, before: str, after: str, expected: tuple[str, int | None]
) -> None:
    names = ((b"IMG_1233.JPG", before), (b"IMG_1235.JPG", after))
    assert read(film(taken), *(still(name, time) for name, time in names if time)) == expected


@pytest.mark.parametrize(
    ("before", "after", "confidence"),
    [
        ("12:15:00", "12:30:00", "medium"),
        ("02:15:00", "02:25:00", "medium"),  # of one zone
        ("02:25:00", "02:45:00", "low"),  # of none
        ("14:15:00", "18:15:00", "low"),  # of several
        ("02:00:00", "12:00:00", "low"),
        ("", "09:00:00", "low"),
        ("13:00:00", "", "low"),
        ("10:30:00", "10:15:00", "medium"),  # which tell nothing
    ],
)
def test_a_date_that_its_neighbours_refute_is_doubtful(before: str, after: str, confidence: str) -> None:
    names = ((b"IMG_1233.JPG", before), (b"IMG_1235.JPG", after))
    shots = Shots()
    shots.note([still(name, time) for name, time in names if time])
    found = dated(film(), shots.near).principal.facts
    assert found.taken is not None
    assert found.taken.confidence == confidence


def test_what_shows_it_is_told() -> None:
    shots = Shots()
    shots.note([still(b"IMG_1233.JPG", "10:15:00"), still(b"IMG_1235.JPG", "10:30:00")])
    facts = dated(film(), shots.near).principal.facts
    note = "IMG_1233.JPG and IMG_1235.JPG of the same card show that it is local time"
    assert json.loads(facts.evidence) == {"date_note": note}
    assert facts.taken == replace(BERLIN, local=UTC, offset_minutes=None)
    shots.note([still(b"IMG_1233.JPG", "12:15:00"), still(b"IMG_1235.JPG", "12:30:00")])
    facts = dated(film(), shots.near).principal.facts
    assert json.loads(facts.evidence)["date_note"].endswith("confirm that it is UTC")


@pytest.mark.parametrize(
    ("path", "neighbour"),
    [
        (b"MVI_1234.MOV", b"IMG_1235.JPG"),
        (b"mvi_1234.mov", b"img_1235.jpg"),
        (b"DCIM/100/MVI_1234.MOV", b"DCIM/100/_MG_1235.JPG"),
        (b"P1000244.MOV", b"P1000245.JPG"),
        (b"DSCN0009.MOV", b"DSCN0010.JPG"),
    ],
)
def test_one_counter_for_stills_and_films(path: bytes, neighbour: bytes) -> None:
    assert read(film(path=path), still(neighbour, "10:30:00")) == ("10:20", None)


@pytest.mark.parametrize(
    "neighbour",
    [
        still(b"DSC_1235.JPG", "10:30:00"),
        still(b"other/IMG_1235.JPG", "10:30:00"),
        still(b"IMG_1234.JPG", "10:30:00"),
        still(b"IMG_1265.JPG", "10:30:00"),
        still(b"IMG_1235.JPG", "10:30:00", make="Canon"),
        still(b"IMG_1235.JPG", "10:30:00", confidence="low"),
        identity(b"IMG_1235.JPG", None),
        identity(b"IMG_1235.MOV", replace(BERLIN, local=UTC)),
        still(b"holiday.jpg", "10:30:00"),
    ],
)
def test_what_is_no_witness(neighbour: Identity) -> None:
    assert read(film(make="Sony"), neighbour) == ("12:20", 120)


def test_only_films_whose_header_alone_dates_them_are_asked_about() -> None:
    def ask(watch: str, path: bytes) -> list[Shot]:
        raise AssertionError((watch, path))

    key = replace(BERLIN, tag="com.apple.quicktime.creationdate")
    for media in (
        film(key),
        film(replace(BERLIN, offset_minutes=None)),
        MediaSet(still(b"IMG_1.JPG", "10:00")),
    ):
        assert dated(media, ask) is media
    settled = film()
    noted = replace(settled.principal, facts=replace(settled.principal.facts, evidence='{"date_note":"x"}'))
    assert dated(replace(settled, principal=noted), ask).principal is noted


def test_the_series_of_names() -> None:
    assert series_of(b"a/holiday.mov") is None
    assert series_of(b"12.mov") is None
    one = series_of(b"a/IMG_0003.MOV")
    assert one is not None
    assert (one.prefixes, one.number) == ((b"a/IMG_", b"a/_MG_", b"a/MVI_"), 3)
    assert next(one.spans()) == (b"a/IMG_0000", b"a/IMG_0033")
    last = series_of(b"DSCN9999.MOV")
    assert last is not None
    assert list(last.spans()) == [(b"DSCN9969", b"DSCN9999")]


def test_memory_is_bounded() -> None:
    shots = Shots()
    for number in range(2000):
        shots.note([still(b"A%04d.JPG" % number, "10:00:00"), still(b"%04d/B_0001.JPG" % number, "10:00:00")])
    assert shots.near("inbox", b"A0100.MOV") == []
    assert len(shots.near("inbox", b"A1950.MOV")) == 2 * REACH + 1
    assert shots.near("inbox", b"0000/B_0002.MOV") == []
    assert len(shots.near("inbox", b"1999/B_0002.MOV")) == 1
    assert shots.near("other", b"A1950.MOV") == []


# --- What the catalogue knows ------------------------------------------------------------------------


def test_pictures_that_came_before(tmp_path: Path) -> None:
    past = Past(tmp_path)
    before, after = still(b"x", "10:15:00").facts.taken, still(b"x", "10:30:00").facts.taken
    past.filed(b"c/IMG_1233.JPG", b"a.jpg", taken=before, evidence={"make": "Canon", "model": 7})
    past.filed(b"c/IMG_1235.jpg", b"b.jpg", taken=doubtful(), evidence="[]")
    past.filed(b"c/IMG_1236.JPG", b"c.jpg", taken=after, evidence="{")
    past.filed(b"c/IMG_1299.JPG", b"d.jpg", taken=after)
    past.filed(b"IMG_1234.JPG", b"e.jpg", taken=after)
    past.filed(b"c/IMG_1231.JPG", b"f.jpg", taken=None)
    found = shots_near(past.connection, "inbox", b"c/MVI_1234.MOV")
    assert [(one.name, one.number, one.make, one.model) for one in found] == [
        (b"IMG_1233.JPG", 1233, "Canon", ""),
        (b"IMG_1236.JPG", 1236, "", ""),
    ]
    assert shots_near(past.connection, "inbox", b"c/holiday.mov") == []
    assert shots_near(past.connection, "other", b"c/MVI_1234.MOV") == []
    read_so = dated(
        film(path=b"c/MVI_1234.MOV"), lambda watch, path: shots_near(past.connection, watch, path)
    )
    assert read_so.principal.facts.taken == replace(BERLIN, local=UTC, offset_minutes=None)
    past.close()


def test_the_question_is_bounded_by_its_index(tmp_path: Path) -> None:
    past = Past(tmp_path)
    series = series_of(b"c/MVI_1234.MOV")
    assert series is not None
    plan = [
        row[3]
        for first, last in series.spans()
        for row in past.connection.execute(f"EXPLAIN QUERY PLAN {NEAR}", ("inbox", first, last))
    ]
    assert plan
    assert all(
        "SEARCH arrival USING INDEX arrival_path (watch=? AND path>? AND path<?)" in one for one in plan
    )
    past.close()
