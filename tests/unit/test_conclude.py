"""What follows from a reading, and what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mediad.media import dates
from mediad.media.conclude import LONGEST_EVIDENCE, conclude
from mediad.media.dates import DateSettings
from mediad.media.reading import Candidate, File, Reading
from mediad.model import Taken

BERLIN = DateSettings(ZoneInfo("Europe/Berlin"))
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
FILE = File(-1, b"IMG_20200102_120000.jpg", 700, 1_600_000_000_000_000_000, on_card=False)
EXIF = dates.exif_candidate("DateTimeOriginal", "2021:07:10 20:39:25", "77", "+00:00")
READING = Reading(
    *("jpeg", "photo", "", "", (EXIF,), "Apple", "iPhone 12", "14.6"),
    width=4032,
    height=3024,
    orientation=6,
    duration=1.5,
    content_id="C0FFEE",
)
LOCAL = datetime.fromisoformat("2021-07-10T20:39:25.770000")


def test_what_is_decided_on() -> None:
    found = conclude(READING, FILE, BERLIN, NOW)
    assert (found.format, found.kind, found.make, found.model) == ("jpeg", "photo", "Apple", "iPhone 12")
    assert (found.content_id, found.origin) == ("C0FFEE", "camera")
    assert found.taken == Taken(LOCAL, 0, "exif", "DateTimeOriginal", "high")


def test_name_and_time_count_where_the_content_is_silent() -> None:
    silent = replace(READING, candidates=())
    by_name, by_time = (conclude(silent, replace_name(name), BERLIN, NOW) for name in (FILE.name, b"a.jpg"))
    assert by_name.taken is not None
    assert (by_name.taken.source, by_time.taken) == ("filename", None)
    on_card = conclude(silent, replace_name(b"a.jpg")._replace(on_card=True), BERLIN, NOW)
    assert on_card.taken is not None
    assert on_card.taken.source == "mtime"


def replace_name(name: bytes) -> File:
    return FILE._replace(name=name)


def test_the_date_of_a_damaged_file_is_doubtful() -> None:
    found = conclude(replace(READING, damaged="its end is missing"), FILE, BERLIN, NOW)
    assert found.damaged == "its end is missing"
    assert found.taken == Taken(LOCAL, 0, "exif", "DateTimeOriginal", "low")
    assert json.loads(found.evidence)["doubts"] == ["its end is missing"]


def test_what_is_known_beyond_the_field_is_noted() -> None:
    local = dates.exif_candidate("DateTimeOriginal", "2021:07:10 20:39:25")
    gps = dates.gps_candidate("2021:07:10", 18, 39, 25)
    header = dates.utc_candidate("quicktime", "movie header", "2021-07-10 18:39:25 UTC")
    film = Reading("mov", "video", candidates=(header,), make="Panasonic")
    notes = [
        json.loads(conclude(reading, replace_name(b"a.mov"), BERLIN, NOW).evidence).get("date_note")
        for reading in (replace(READING, candidates=(local, gps)), film, replace(film, make=""), READING)
    ]
    assert notes == [
        "its distance from UTC follows from the GPS time",
        "this maker's cameras keep local time there, though it ought to be UTC",
        None,
        None,
    ]


def test_a_films_length_and_a_scanner_count() -> None:
    header = dates.utc_candidate("quicktime", "movie header", "2021-12-31 23:00:10 UTC")
    name = replace_name(b"VID_20220101_075950.mp4")  # in Tokyo
    fits, chance = (
        conclude(Reading("mp4", "video", candidates=(header,), duration=length), name, BERLIN, NOW).taken
        for length in (20.0, 2.0)
    )
    assert fits is not None
    assert chance is not None
    assert (fits.source, chance.source) == ("filename", "quicktime")
    camera, scanner = (
        conclude(replace(READING, make="EPSON", model=model), FILE, BERLIN, NOW).taken
        for model in ("L-500V", "Perfection V600")
    )
    assert camera is not None
    assert scanner is not None
    assert (camera.confidence, scanner.confidence) == ("high", "medium")


def test_a_sidecars_own_name_and_time_date_nothing() -> None:
    sidecar = replace_name(b"IMG_20200102_120000.jpg.xmp")._replace(on_card=True)
    found = conclude(Reading("xmp", "sidecar"), sidecar, BERLIN, NOW)
    assert (found.taken, found.evidence) == (None, '{"format":"xmp"}')


def test_evidence_holds_all_that_why_tells() -> None:
    assert json.loads(conclude(READING, FILE, BERLIN, NOW).evidence) == {
        "format": "jpeg",
        "candidates": [
            {
                "source": "exif",
                "tag": "DateTimeOriginal",
                "raw": "2021:07:10 20:39:25",
                "moment": "2021-07-10T20:39:25.770000",
                "offset": 0,
                "doubt": "",
            },
            {
                "source": "filename",
                "tag": "filename",
                "raw": "20200102_120000",
                "moment": "2020-01-02T12:00:00",
                "offset": None,
                "doubt": "",
            },
            {
                "source": "mtime",
                "tag": "mtime",
                "raw": "2020-09-13 12:26:40 UTC",
                "moment": "2020-09-13T12:26:40",
                "offset": None,
                "doubt": dates.NOT_CARD,
                "utc": True,
            },
        ],
        "tag": "DateTimeOriginal",
        "origin": "camera",
        "make": "Apple",
        "model": "iPhone 12",
        "software": "14.6",
        "width": 4032,
        "height": 3024,
        "orientation": 6,
        "duration": 1.5,
        "content_id": "C0FFEE",
    }


def test_what_is_empty_is_no_evidence() -> None:
    found = conclude(Reading("", "photo", unreadable="why"), replace_name(b"a"), BERLIN, NOW)
    assert json.loads(found.evidence).keys() == {"candidates"}


def test_evidence_is_bounded() -> None:
    short = replace(READING, candidates=(EXIF,) * 32)
    assert len(json.loads(conclude(short, FILE, BERLIN, NOW).evidence)["candidates"]) == 24
    wide = Candidate("exif", "\U0001f4f7" * 64, "\U0001f4f7" * 64, None, doubt="x" * 256)
    evidence = conclude(replace(READING, candidates=(wide,) * 32), FILE, BERLIN, NOW).evidence
    assert LONGEST_EVIDENCE - 2500 < len(evidence) <= LONGEST_EVIDENCE
    assert {one["tag"] for one in json.loads(evidence)["candidates"]} == {wide.tag}
