"""What sidecars tell, and the date that a set gets from its members."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mediad.media import dates, takeout, together
from mediad.media.conclude import LONGEST_EVIDENCE, conclude
from mediad.media.dates import DateSettings
from mediad.media.found import Window
from mediad.media.read import read
from mediad.media.reading import READING_FAILED, Candidate, File, Reading, not_read
from mediad.media.sidecars import candidates
from mediad.model import Facts, Identity, Kind, MediaSet, Sighting, Stat
from tests import samples

BERLIN = DateSettings(ZoneInfo("Europe/Berlin"))
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
STAMP = "1696573800"  # 2023-10-06 06:30 UTC
CAMERA = dates.exif_candidate("DateTimeOriginal", "2021:07:10 20:39:25")
DEVELOPED = dates.iso_candidate("xmp", "exif:DateTimeOriginal", "2019-06-06T07:29:51")
UPLOADED = Candidate("takeout", "photoTakenTime", STAMP, datetime.fromisoformat("2023-10-06T06:30"), utc=True)


def told(data: bytes, form: str = "xmp") -> tuple[Candidate, ...]:
    return candidates(form, Window(lambda offset, length: data[offset : offset + length]), len(data))


def about(**fields: object) -> bytes:
    return json.dumps({"title": "a.jpg", "creationTime": {"timestamp": "1"}, **fields}).encode()


def member(name: bytes, *found: Candidate, kind: Kind = "photo", damaged: str = "") -> Identity:
    reading = Reading("jpeg", kind, damaged=damaged, candidates=found)
    facts = conclude(reading, File(-1, name, 1, 0, on_card=False), BERLIN, NOW)
    return Identity(Sighting("inbox", name, Stat(1, 1, 1, 0, 0)), b"", facts)


def dated(principal: Identity, *others: Identity) -> Facts:
    return together.dated(MediaSet(principal, others), BERLIN.sources).principal.facts


def taken(facts: Facts) -> tuple[str, int | None, str, str]:
    found = facts.taken
    assert found is not None
    return found.local.isoformat(), found.offset_minutes, found.source, found.confidence


def test_the_day_of_a_scan_gives_way_to_what_a_sidecar_tells() -> None:
    scan = member(b"a.jpg", dates.exif_candidate("CreateDate", "2024:01:02 03:04:05"))
    for known in (DEVELOPED, UPLOADED):
        facts = dated(scan, member(b"a.jpg.xmp", known, kind="sidecar"))
        assert taken(facts)[2:] == (known.source, "medium")
        assert json.loads(facts.evidence)["sidecar"] == "a.jpg.xmp"
    later = dates.iso_candidate("xmp", "exif:DateTimeOriginal", "2024-02-03T03:04:05")
    assert taken(dated(scan, member(b"a.jpg.xmp", later, kind="sidecar")))[2] == "exif"


# --- Reading them ------------------------------------------------------------------------------------


def test_xmp_in_any_encoding() -> None:
    packet = samples.xmp_sidecar(datetime.fromisoformat("2021-07-10T20:39:25"))
    (plain,) = told(packet)
    assert (plain.source, plain.tag, plain.raw) == ("xmp", "exif:DateTimeOriginal", "2021-07-10T20:39:25")
    text = packet.decode()
    for encoding in ("utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"):
        assert told(text.encode(encoding)) == (plain,)


def test_takeout_tells_when_it_was_taken_and_nothing_else() -> None:
    assert told(about(photoTakenTime={"timestamp": STAMP, "formatted": "6 oct."})) == (UPLOADED,)
    assert told(b"\xef\xbb\xbf\r\n" + about(photoTakenTime={"timestamp": int(STAMP)})) == (UPLOADED,)
    (early,) = told(about(photoTakenTime={"timestamp": "-86400"}))
    assert early.moment == datetime.fromisoformat("1969-12-31")
    assert told(about(albumData={"date": {"timestamp": STAMP}})) == ()
    assert told(about(photoTakenTime={"timestamp": STAMP}), "text") == ()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (samples.takeout_sidecar("a.jpg", NOW), "takeout"),
        (b"\xef\xbb\xbf" + samples.takeout_sidecar("a.jpg", NOW), "takeout"),
        (about(), "takeout"),
        (about(photoTakenTime={"timestamp": "soon"}), "takeout"),
        (b'{"title": "a.jpg", "geoData": {}}', "takeout"),
        *((data, "") for data in (b"{}", b"[1,2,3]", b"{", b'{"title": "logo"}', b'{"photoTakenTime": 1}')),
        (b'{"creationTime": {"timestamp": "1"}}', ""),
        (about() + b" " * takeout.LONGEST, ""),
    ],
)
def test_which_json_is_takeouts(data: bytes, kind: str) -> None:
    found = read(io.BytesIO(data), b"a.jpg.json", len(data))
    assert (found.format, found.kind, found.unreadable) == (kind, "sidecar", "")


def test_a_json_that_could_not_be_read_is_no_sidecar() -> None:
    assert not_read(b"a.jpg.json", "it took too long").format == ""
    assert not_read(b"a.jpg.json", "").format == "takeout"
    held = not_read(b"a.jpg.json", f"{READING_FAILED}: the parser was killed")
    assert (held.format, held.kind, held.unreadable[:14]) == ("takeout", "sidecar", READING_FAILED)
    assert not_read(b"a.jpg.xmp", "it took too long").format == "xmp"


@pytest.mark.parametrize("stamp", ["", "soon", "1e9", "²", "9" * 12, "-", "--1", "9" * 5000])
def test_a_time_that_is_none(stamp: str) -> None:
    (found,) = told(about(photoTakenTime={"timestamp": stamp}))
    assert (found.moment, len(found.raw)) == (None, min(64, len(stamp)))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"{" * 5000, b'{"a":' * 5000, b"[1]", b"null", b'{"photoTakenTime": 1}'),
        *(b'{"photoTakenTime": {"timestamp": [1]}}', b'{"photoTakenTime": {"timestamp": true}}'),
        *(b"\xff\xd8\xff\xe1\xff\xff", b"<", b"\xff\xfe<", b'{"\xff": 1}'),
        b" " * 60 + about(photoTakenTime={"timestamp": STAMP}) + b" " * takeout.LONGEST,
    ],
)
def test_nonsense_tells_nothing(data: bytes) -> None:
    assert told(data) == ()
    assert takeout.candidates(data) == ()


def test_the_thumbnail_beside_a_film() -> None:
    when = datetime.fromisoformat("2005-03-04T05:06:07")
    assert {one.moment for one in told(samples.jpeg(when)) if one.source == "exif"} == {when}


# --- The date of a set -------------------------------------------------------------------------------


def test_a_sidecar_dates_what_has_no_date() -> None:
    raw, xmp = member(b"x.nef", kind="raw"), member(b"x.xmp", DEVELOPED, kind="sidecar")
    facts = dated(raw, xmp)
    assert taken(facts) == ("2019-06-06T07:29:51", None, "xmp", "medium")
    evidence = json.loads(facts.evidence)
    assert (evidence["tag"], evidence["sidecar"]) == ("exif:DateTimeOriginal", "x.xmp")
    assert [(one["source"], one.get("sidecar")) for one in evidence["candidates"]] == [
        ("xmp", "x.xmp"),
        ("mtime", None),
    ]
    stripped = dated(member(b"x.jpg"), member(b"x.jpg.json", UPLOADED, kind="sidecar"))
    assert taken(stripped) == ("2023-10-06T08:30:00", 120, "takeout", "medium")


def test_sources_keep_their_order_across_the_files_of_a_set() -> None:
    xmp, json_ = member(b"x.xmp", DEVELOPED, kind="sidecar"), member(b"x.json", UPLOADED, kind="sidecar")
    photo = member(b"x.jpg", CAMERA)
    facts = dated(photo, json_, xmp)
    assert facts.taken == photo.taken
    assert [one["source"] for one in json.loads(facts.evidence)["candidates"]] == [
        *("exif", "mtime", "takeout", "xmp"),
    ]
    assert taken(dated(member(b"x.jpg"), json_, xmp))[2] == "xmp"
    weak = member(b"IMG-20200102-WA0001.jpg")
    assert taken(dated(weak, json_))[2] == "takeout"


def test_takeout_never_overrides_the_camera_whatever_the_order() -> None:
    sources = ("takeout", "exif")
    photo, json_ = member(b"x.jpg", CAMERA), member(b"x.json", UPLOADED, kind="sidecar")
    found = together.dated(MediaSet(photo, (json_,)), sources)
    assert found.principal.taken == photo.taken
    digitised = member(b"x.jpg", replace(CAMERA, tag="CreateDate"))
    assert taken(dated(digitised, json_))[2] == "exif"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"IMG_20231006_083000.jpg", ("2023-10-06T08:30:00", 120, "filename", "medium")),
        (b"IMG_20231006_013002.jpg", ("2023-10-06T01:30:02", -300, "filename", "medium")),
        (b"PXL_20231006_063000123.jpg", ("2023-10-06T08:30:00.123000", 120, "filename", "medium")),
        (b"IMG_20231006_171717.jpg", ("2023-10-06T08:30:00", 120, "takeout", "medium")),
        (b"IMG-20231006-WA0001.jpg", ("2023-10-06T08:30:00", 120, "takeout", "medium")),
    ],
)
def test_a_name_that_fits_takeouts_utc_tells_local_time(
    name: bytes, expected: tuple[str, int, str, str]
) -> None:
    facts = dated(member(name), member(name + b".json", UPLOADED, kind="sidecar"))
    assert taken(facts) == expected


def test_other_members_date_what_nothing_else_does() -> None:
    jpeg = member(b"x.jpg", CAMERA)
    facts = dated(member(b"x.raf", kind="raw"), jpeg)
    assert facts.taken == jpeg.taken
    assert json.loads(facts.evidence)["sidecar"] == "x.jpg"
    header = dates.utc_candidate("quicktime", "movie header", "2021-07-10 18:39:25 UTC")
    film = member(b"x.mov", header, kind="video")
    assert taken(dated(member(b"x.jpg"), film))[2] == "quicktime"
    assert dated(jpeg, film) == jpeg.facts
    assert dated(member(b"x.jpg"), member(b"20200102_120000.mov")).taken is None


def test_what_is_damaged_stays_doubtful_and_keeps_its_camera_time() -> None:
    photo = member(b"x.jpg", CAMERA, damaged="its end is missing")
    facts = dated(photo, member(b"x.json", UPLOADED, kind="sidecar"))
    assert taken(facts) == ("2021-07-10T20:39:25", None, "exif", "low")
    undated = dated(member(b"x.jpg", damaged="cut"), member(b"x.json", UPLOADED, kind="sidecar"))
    assert taken(undated)[2:] == ("takeout", "low")


def test_the_thumbnail_dates_a_film_but_not_one_that_knows_its_zone() -> None:
    thm = member(b"x.thm", CAMERA, kind="sidecar")
    header = dates.utc_candidate("quicktime", "movie header", "2021-07-10 18:39:25 UTC")
    key = dates.iso_candidate("quicktime", "com.apple.quicktime.creationdate", "2021-07-10T20:39:26+02:00")
    assert taken(dated(member(b"x.avi", kind="video"), thm))[2] == "exif"
    assert taken(dated(member(b"x.mov", header, kind="video"), thm))[2] == "exif"
    assert taken(dated(member(b"x.mov", key, header, kind="video"), thm))[1] == 120


def test_what_a_worker_says_is_not_trusted() -> None:
    photo, xmp = member(b"x.jpg"), member(b"x.xmp", DEVELOPED, kind="sidecar")
    for evidence in ("{}", "[]", "{", '{"candidates":[{"a":1},2,null]}', '{"candidates":7}', "[" * 9999):
        odd = replace(xmp, facts=replace(xmp.facts, evidence=evidence))
        facts = dated(replace(photo, facts=replace(photo.facts, evidence=evidence)), odd)
        assert facts.taken == xmp.taken
        assert isinstance(json.loads(facts.evidence), dict)


def test_the_evidence_stays_within_bounds() -> None:
    wide = replace(DEVELOPED, raw="\U0001f4f7" * 64)
    photo = member(b"x.jpg", *(replace(CAMERA, tag=f"t{number}", raw=wide.raw) for number in range(20)))
    facts = dated(photo, member(b"x.xmp", *(wide,) * 20, kind="sidecar"))
    assert len(facts.evidence) <= LONGEST_EVIDENCE
    assert taken(facts)[2] == "xmp"


def test_nothing_is_added_where_nothing_is_told() -> None:
    photo = member(b"x.jpg", CAMERA)
    media = MediaSet(photo, (member(b"x.aae", kind="sidecar"),))
    assert together.dated(media, BERLIN.sources) is media
    assert together.dated(MediaSet(photo), BERLIN.sources).principal is photo
