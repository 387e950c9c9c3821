"""What holds for any bytes, names and dates."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import get_args
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from mediad.media import sidecars, xmp
from mediad.media.companions import form_sets, is_companion_name, key
from mediad.media.conclude import LONGEST_EVIDENCE, conclude
from mediad.media.dates import DateRules, DateSettings, choose, from_filename, mtime_candidate
from mediad.media.found import Window
from mediad.media.kind import FORMATS, claimed, ends_whole, sniff
from mediad.media.origin import origin
from mediad.media.pictures import exif
from mediad.media.read import read
from mediad.media.reading import Candidate, File, Reading
from mediad.media.siblings import Shots, dated
from mediad.media.wire import HEADER, reply, reply_from_json, request, request_from_json
from mediad.model import Facts, Identity, Kind, MediaSet, Sighting, Stat, Taken
from tests import samples

MAGIC = [
    *(b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBPVP8X", b"II*\0\x08\0\0\0"),
    *(b"MM\0*\0\0\0\x08", b"MM\0+\0\x08\0\0", b"\0\0\0\x18ftypheic", b"\0\0\0\x14ftypmp42", b"BM"),
    *(b"ID3\3\0\0\0\0\0\0", b"\xff\xfb\x90\0", b"OggS", b"\x1aE\xdf\xa3", b"\0\0\0\x08wide", b"8BPS\0\1"),
]
GARBAGE = st.builds(bytes.__add__, st.sampled_from([b"", *MAGIC]), st.binary(max_size=600))
EXTENSIONS = [extension.encode() for form in FORMATS.values() for extension in form.extensions]
NAMES = st.builds(bytes.__add__, st.binary(max_size=40), st.sampled_from([b"", b".txt", *EXTENSIONS]))
SOUND = [
    samples.jpeg(datetime.fromisoformat("2021-07-10T20:39:25"), size=(16, 16), offset="+01:00"),
    samples.png(datetime.fromisoformat("2021-07-10T20:39:25"), size=(16, 16)),
    samples.webp(datetime.fromisoformat("2021-07-10T20:39:25"), size=(16, 16)),
    samples.tiff(datetime.fromisoformat("2021-07-10T20:39:25"), size=(16, 16)),
]

MOMENTS = st.none() | st.datetimes()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
SOURCES = ("exif", "quicktime", "xmp", "takeout", "filename", "mtime")
TAGS = ("DateTimeOriginal", "CreateDate", "ModifyDate", "GPSDateTime", "movie header", "filename", "mtime")
CANDIDATES = st.builds(
    Candidate,
    source=st.sampled_from(SOURCES),
    tag=st.sampled_from(TAGS) | TEXTS,
    raw=TEXTS,
    moment=MOMENTS,
    offset_minutes=st.none() | st.integers(-840, 840),
    utc=st.booleans(),
    doubt=st.sampled_from(["", "doubtful"]),
)
NUMBERS = st.none() | st.integers(0, 1 << 31)
READINGS = st.builds(
    Reading,
    format=st.sampled_from(["", *FORMATS]),
    kind=st.sampled_from(get_args(Kind)),
    unreadable=TEXTS,
    damaged=TEXTS,
    candidates=st.lists(CANDIDATES, max_size=40).map(tuple),
    make=TEXTS,
    model=TEXTS,
    software=TEXTS,
    width=NUMBERS,
    height=NUMBERS,
    orientation=st.none() | st.integers(1, 8),
    duration=st.none() | st.floats(0, 1e6),
    content_id=TEXTS,
    comment=TEXTS,
)
FILES = st.builds(
    File,
    fd=st.integers(3, 99),
    name=st.binary(max_size=60),
    size=st.integers(0, 1 << 50),
    mtime_ns=st.integers(-(1 << 63), 1 << 63),
    on_card=st.booleans(),
)
SETTINGS = DateSettings(ZoneInfo("Europe/Berlin"))
NOW = datetime(2024, 6, 1, tzinfo=UTC)
TAKEN = st.none() | st.builds(
    Taken,
    local=st.datetimes(datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2020-01-01T00:00:08")),
    offset_minutes=st.sampled_from([None, 0, 60]),
    source=st.sampled_from(SOURCES),
    tag=st.just(""),
    confidence=st.sampled_from(["high", "medium", "low"]),
)


@given(GARBAGE, NAMES)
def test_any_bytes_can_be_sniffed_and_ended(data: bytes, name: bytes) -> None:
    sniff(data, name)
    for form in FORMATS.values():
        assert ends_whole(form, lambda at, length: data[at : at + length], len(data)) in (True, False, None)


@given(GARBAGE | st.text().map(str.encode), st.sampled_from(sorted(sidecars.READ)))
def test_any_bytes_can_be_a_sidecar(data: bytes, form: str) -> None:
    for content in (data, b'{"photoTakenTime": {"timestamp": "' + data + b'"}}'):
        window = Window(lambda at, length, content=content: content[at : at + length])  # type: ignore[misc]
        for candidate in sidecars.candidates(form, window, len(content)):
            assert candidate.source in ("xmp", "takeout", "exif")
            assert len(candidate.raw) <= 64


def travels(reading: Reading, file: File) -> Facts:
    """What follows from a reading, as it arrives at the daemon."""
    found = conclude(reading, file, SETTINGS, NOW)
    assert reply_from_json(reply([found])[HEADER:], 1) == [found]
    assert len(found.evidence) <= LONGEST_EVIDENCE
    return found


@given(GARBAGE, NAMES)
def test_any_bytes_can_be_read(data: bytes, name: bytes) -> None:
    travels(read(io.BytesIO(data), name, len(data)), File(3, name, len(data), 0, on_card=False))


@given(st.sampled_from(SOUND), st.data())
def test_any_damage_can_be_read(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for _ in range(draw.draw(st.integers(0, 9))):
        if broken:
            broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
    file = File(3, b"x", len(broken), 0, on_card=True)
    found = travels(read(io.BytesIO(bytes(broken)), file.name, file.size), file)
    assert found.taken is None or not found.damaged or found.taken.confidence == "low"


@given(st.binary(max_size=400))
def test_any_bytes_may_be_metadata(data: bytes) -> None:
    for start in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"Exif\0\0II*\0\x08\0\0\0", b""):
        tags = exif.parse_block(start + data)
        if tags is not None:
            exif.candidates(tags)
            exif.user_comment(tags)
            exif.apple_content_id(tags)
    xmp.candidates(data)
    xmp.user_comment(data)


@given(NAMES)
def test_any_name_can_be_asked_for_a_date(name: bytes) -> None:
    for candidate in from_filename(name):
        assert candidate.moment is not None
        assert len(candidate.raw) <= 64
    claimed(name)


@given(st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2099-12-31")))
def test_what_a_phone_names_is_what_we_read(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    for name in (f"IMG_{moment:%Y%m%d_%H%M%S}.jpg", f"photo_{moment:%Y-%m-%d_%H-%M-%S}.jpg"):
        assert [candidate.moment for candidate in from_filename(name.encode())] == [moment]


@given(
    st.lists(CANDIDATES, max_size=6),
    st.dates(date(1700, 1, 1), date(2100, 1, 1)),
    st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2100-01-01")),
    st.sampled_from(["never", "card", "always"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Adak"]),
    st.sampled_from(["", "Panasonic"]),
)
def test_what_is_chosen_is_possible(
    candidates: list[Candidate], earliest: date, now: datetime, mtime: str, zone: str, make: str
) -> None:
    settings = DateSettings(ZoneInfo(zone), earliest=earliest, mtime=mtime)  # type: ignore[arg-type]
    now = now.replace(tzinfo=UTC)
    taken = choose(candidates, settings, now, make=make)
    if taken is None:
        return
    assert taken.local.date() >= earliest
    if taken.offset_minutes is None:
        instant = taken.local.replace(tzinfo=settings.timezone).astimezone(UTC)
    else:
        instant = taken.local.replace(tzinfo=UTC) - timedelta(minutes=taken.offset_minutes)
    assert instant <= now + timedelta(days=1)
    assert (taken.source, taken.tag) in {(one.source, one.tag) for one in candidates}
    assert taken.source != "mtime" or mtime != "never"
    assert choose(candidates, settings, now, make=make) == taken


DATELESS = st.one_of(
    st.uuids().map(str),
    st.binary(min_size=8, max_size=32).map(bytes.hex).filter(lambda text: not text.isdigit()),
    st.builds("{}x{}".format, st.integers(100, 9999), st.integers(100, 9999)),
    st.from_regex(r"\+[0-9]{9,12}", fullmatch=True),
    st.from_regex(r"(IMG|DSC|P|DSCN|GOPR)_?[0-9]{4,7}(\([0-9]\))?", fullmatch=True),
    st.from_regex(r"[02-9][0-9]{12}", fullmatch=True),
)


@given(DATELESS, st.sampled_from(["", "IMG-", "wallpaper ", "photo_"]))
def test_what_is_no_date_is_not_read_as_one(text: str, before: str) -> None:
    assert from_filename(f"{before}{text}.jpg".encode()) == ()


@given(
    st.datetimes(datetime.fromisoformat("2020-01-01"), datetime.fromisoformat("2020-01-03")),
    st.sampled_from([-300, 60, 120]),
    st.lists(st.tuples(st.integers(1, 99), st.integers(0, 48 * 60)), max_size=6),
)
def test_siblings_choose_between_two_readings(
    utc: datetime, offset: int, stills: list[tuple[int, int]]
) -> None:
    taken = Taken(utc + timedelta(minutes=offset), offset, "quicktime", "movie header", "medium")
    film = identity(b"IMG_0050.MOV", Facts("mov", "video", taken=taken))
    shots = Shots()
    for number, minutes in stills:
        local = datetime.fromisoformat("2020-01-01") + timedelta(minutes=minutes)
        facts = Facts("jpeg", "photo", taken=Taken(local, None, "exif", "DateTimeOriginal", "high"))
        shots.note([identity(b"IMG_%04d.JPG" % number, facts)])
    found = dated(MediaSet(film), shots.near).principal.facts
    readings = (taken, Taken(utc, None, "quicktime", "movie header", "medium"))
    assert found.taken is not None
    if found.taken not in readings and found.taken != replace(taken, confidence="low"):
        assert found.taken.local - timedelta(minutes=found.taken.offset_minutes or 0) == utc
    assert (found.taken == taken) or "date_note" in json.loads(found.evidence)


def identity(path: bytes, facts: Facts) -> Identity:
    return Identity(Sighting("inbox", path, Stat(0, 0, 0, 0, 0)), b"", facts)


@given(st.lists(st.tuples(READINGS, FILES), max_size=3))
def test_facts_survive_the_wire(read: list[tuple[Reading, File]]) -> None:
    found = [conclude(reading, file, SETTINGS, NOW) for reading, file in read]
    assert reply_from_json(reply(found)[HEADER:], len(found)) == found


@given(READINGS, FILES)
def test_evidence_tells_of_every_candidate(reading: Reading, file: File) -> None:
    found = travels(reading, file)
    evidence = json.loads(found.evidence)
    told = [(one["source"], one["tag"], one["raw"], one["offset"]) for one in evidence.get("candidates", ())]
    outside = (*from_filename(file.name), mtime_candidate(file.mtime_ns, on_card=True))
    there = [
        (one.source, one.tag, one.raw, one.offset_minutes)
        for one in (*reading.candidates, *(outside if reading.kind != "sidecar" else ()))
    ]
    assert told == there[: len(told)]
    if len(found.evidence) < LONGEST_EVIDENCE - 2048:  # nothing was left out to make it shorter
        assert len(told) == min(24, len(there))
    assert evidence.get("tag", "") == (found.taken.tag if found.taken else "")
    assert evidence.get("origin", "") == found.origin == origin(file.name, reading)
    assert "" not in evidence.values()
    assert None not in evidence.values()


@given(
    st.lists(FILES, max_size=32),
    st.builds(
        DateRules,
        zone=st.sampled_from(["system", "Asia/Tokyo"]),
        sources=st.lists(st.sampled_from(SOURCES), unique=True).map(tuple),
        mtime=st.sampled_from(["never", "card", "always"]),
        earliest=st.dates(),
    ),
    st.datetimes(timezones=st.just(UTC)),
)
def test_requests_survive_the_wire(files: list[File], rules: DateRules, now: datetime) -> None:
    body = request(files, rules, now)[HEADER:]
    assert request_from_json(body, [file.fd for file in files]) == (files, rules, now)


MEMBER_NAMES = st.builds(
    bytes.__add__,
    st.sampled_from(
        [b"a", b"A", b"d/a", b"\xff", b"IMG_1234", b"IMG_E1234", b"a-edited", b"20230706_123456"]
    ),
    st.sampled_from(
        [
            *(
                b".jpg",
                b".HEIC",
                b".mov",
                b".mp4",
                b".dng",
                b".cr2",
                b".wav",
                b".xmp",
                b".jpg.xmp",
                b".mov.XMP",
            ),
            *(b".aae", b".thm", b".LRV", b".txt", b".json", b".jpg.json", b".HEIC.supplemental-meta.json"),
        ]
    ),
)
MEMBERS = st.lists(
    st.tuples(
        MEMBER_NAMES, TAKEN, st.sampled_from(["", "one", "two"]), st.sampled_from(["", "", "", "broken"])
    ),
    max_size=8,
)


def members_of(files: list[tuple[bytes, Taken | None, str, str]]) -> list[Identity]:
    members = []
    for number, (name, taken, content_id, unreadable) in enumerate(files):
        form = claimed(name)
        assert form is not None
        broken = "" if form.kind == "sidecar" else unreadable
        facts = Facts(form.name, form.kind, unreadable=broken, content_id=content_id, taken=taken)
        sighting = Sighting("inbox", name, Stat(1, number, 0, 0, 0))
        members.append(Identity(sighting, b"", facts))
    return members


@given(MEMBERS)
def test_every_file_is_in_exactly_one_set_or_an_orphan(
    files: list[tuple[bytes, Taken | None, str, str]],
) -> None:
    members = members_of(files)
    sets, orphans = form_sets(members)
    found = [*orphans, *(member for one in sets for member in one.members)]
    assert Counter(id(member) for member in found) == Counter(id(member) for member in members)
    for one in sets:
        assert one.principal.facts.kind != "sidecar"
        assert not one.principal.facts.unreadable or all(
            member.facts.unreadable or member.facts.kind == "sidecar" for member in one.members
        )
        keys = {key(member.sighting.path) for member in one.members}
        ids = {member.facts.content_id for member in one.members if member.facts.kind != "sidecar"}
        assert len(keys) == 1 or ids - {""}, "only a content id binds what settles apart"
    assert all(is_companion_name(orphan.sighting.path) for orphan in orphans)


@settings(max_examples=40)
@given(MEMBERS, st.randoms(use_true_random=False))
def test_what_a_set_is_does_not_depend_on_the_order(
    files: list[tuple[bytes, Taken | None, str, str]], random: Random
) -> None:
    members = members_of(list({name.lower(): file for file in files if (name := file[0])}.values()))
    sets, orphans = form_sets(members)
    random.shuffle(members)
    assert form_sets(members) == (sets, orphans)
