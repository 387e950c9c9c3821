"""Every format of films and sounds is read as docs/formats.md says, and broken ones do no harm."""

from __future__ import annotations

import io
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mediad.media.conclude import conclude
from mediad.media.dates import DateSettings
from mediad.media.films import mediainfo
from mediad.media.films.riff import camera_moment
from mediad.media.formats import FORMATS
from mediad.media.pictures import exif
from mediad.media.read import read
from mediad.media.reading import Candidate, File, Reading
from mediad.media.whole import ends_whole, looks_unfinished
from tests import isobmff, played, samples
from tests.isobmff import box, full_box
from tests.played import SAMPLES, SIZE, WHEN, WHEN_UTC, avi, chunk

NOW = datetime(2024, 6, 1, tzinfo=UTC)
PLAYED = [name for name, form in FORMATS.items() if form.kind in ("video", "audio")]
BY_UTC = WHEN_UTC.replace(tzinfo=None)
PERSON = ("The Artist", "", "The Title", None)
MUSIC = ("The Artist", "The Album", "The Title", 3)
NO_TAGS = ("", "", "", None)

# Of each sample: the tag and the local time (in UTC) of its date, size, seconds, and tags.
EXPECTED: dict[str, tuple[str, datetime | None, tuple[int, int] | None, float | None, tuple[Any, ...]]] = {
    "mp4": ("movie header", BY_UTC, SIZE, 1.0, NO_TAGS),
    "mov": ("com.apple.quicktime.creationdate", WHEN, SIZE, 1.0, NO_TAGS),
    "m4v": ("movie header", BY_UTC, SIZE, 1.0, NO_TAGS),
    "3gp": ("movie header", BY_UTC, SIZE, 1.0, NO_TAGS),
    "mkv": ("DateUTC", BY_UTC, SIZE, 1.5, PERSON),
    "webm": ("DateUTC", BY_UTC, SIZE, 1.5, PERSON),
    "avi": ("IDIT", WHEN, SIZE, 0.1, NO_TAGS),
    "mts": ("MDPM", WHEN, SIZE, 0.02, NO_TAGS),
    "mpg": ("", None, SIZE, 0.48, NO_TAGS),
    "wmv": ("ASF creation date", BY_UTC, SIZE, 1.5, PERSON),
    "ogv": ("content create date", WHEN, SIZE, None, PERSON),
    "mp3": ("", None, None, 0.312, MUSIC),
    "m4a": ("movie header", BY_UTC, None, 1.0, MUSIC),
    "flac": ("", None, None, 1.0, MUSIC),
    "ogg": ("", None, None, 1.0, MUSIC),
    "opus": ("", None, None, 1.0, MUSIC),
    "wav": ("bext OriginationDate", WHEN, None, 0.1, PERSON),
    "aiff": ("", None, None, 0.1, MUSIC),
    "wma": ("ASF creation date", BY_UTC, None, 1.5, MUSIC),
}


def reading(data: bytes, name: str) -> Reading:
    return read(io.BytesIO(data), name.encode(), len(data))


def believed(found: Reading, name: str = "a") -> tuple[str, datetime | None, str]:
    """The tag of the date that is believed, its local time, and its confidence."""
    file = File(3, name.encode(), 1, 0, on_card=False)
    taken = conclude(found, file, DateSettings(UTC), NOW).taken
    return (taken.tag, taken.local, taken.confidence) if taken is not None else ("", None, "")


def candidate(found: Reading, tag: str) -> Candidate:
    (one,) = [candidate for candidate in found.candidates if candidate.tag == tag]
    return one


# --- Every format ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAYED)
def test_a_sample_of_every_format_is_read(name: str) -> None:
    data = SAMPLES[name]()
    found = reading(data, f"a.{name}")
    tag, moment, size, seconds, tags = EXPECTED[name]
    assert (found.format, found.unreadable, found.damaged) == (name, "", "")
    assert believed(found)[:2] == (tag, moment)
    assert (found.width, found.height) == (size or (None, None))
    assert found.duration == pytest.approx(seconds)
    assert (found.artist, found.album, found.title, found.track) == tags
    other = "b.mp3" if name != "mp3" else "b.mkv"
    if name not in ("m4a", "wma"):  # these the name tells apart from films
        assert reading(data, other).format == name


@pytest.mark.parametrize("name", PLAYED)
def test_what_is_cut_off_is_no_crash_and_never_whole(name: str) -> None:
    data = SAMPLES[name]()
    form = FORMATS[name]
    for length in {1, 12, 40, len(data) // 3, len(data) // 2, len(data) - 30, len(data) - 1}:
        cut = data[:length]
        found, whole = reading(cut, f"a.{name}"), ends_whole(form, window(cut), length)
        assert whole is not True
        assert found.damaged or found.unreadable or whole is None
    assert reading(b"", f"a.{name}").unreadable == "it is empty"
    assert reading(b"no media at all" * 9, f"a.{name}").unreadable


def window(data: bytes) -> Any:
    return lambda offset, length: data[offset : offset + length]


@pytest.mark.parametrize("name", ["mkv", "avi", "ogg", "ogv", "wmv", "aiff", "wav", "m4a"])
def test_a_whole_file_is_told_from_one_without_its_end(name: str) -> None:
    data = SAMPLES[name]()
    assert ends_whole(FORMATS[name], window(data), len(data)) is True
    assert ends_whole(FORMATS[name], window(data[:-3]), len(data) - 3) is False


def test_room_that_was_made_is_no_end() -> None:
    data = SAMPLES["m4a"]()
    assert not looks_unfinished(FORMATS["m4a"], window(data), len(data))
    assert looks_unfinished(FORMATS["m4a"], window(data[:-3]), len(data) - 3)
    made = data + bytes(5000)
    assert looks_unfinished(FORMATS["m4a"], window(made), len(made))
    assert looks_unfinished(FORMATS["jpeg"], window(bytes(9)), 9)  # nothing is written yet
    padded = data + bytes(600)  # as cameras do
    assert not looks_unfinished(FORMATS["m4a"], window(padded), len(padded))


def test_a_long_avi_has_parts() -> None:
    more = chunk("RIFF", b"AVIX", bytes(40))
    data = avi() + more
    assert ends_whole(FORMATS["avi"], window(data), len(data)) is True
    assert ends_whole(FORMATS["avi"], window(data[:-1]), len(data) - 1) is False


def test_what_may_go_on_for_ever_is_not_called_cut_off() -> None:
    header = played.element("1A45DFA3", played.element("4282", b"webm"))
    live = header + bytes.fromhex("18538067" + "01ffffffffffffff") + bytes(99)
    assert ends_whole(FORMATS["webm"], window(live), len(live)) is None
    data = bytearray(SAMPLES["wma"]())
    data[16:24] = (len(data) - 9).to_bytes(8, "little")  # some programs miscount
    assert ends_whole(FORMATS["wma"], window(bytes(data)), len(data)) is None


@pytest.mark.parametrize("name", PLAYED)
def test_of_an_enormous_file_little_is_read(name: str) -> None:
    data, got = SAMPLES[name](), 0

    class Sparse(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal got
            got += size or 0
            start, left = self.tell(), size or 0
            self.seek(start + left)
            return data[start : start + left].ljust(left, b"\0")

    found = read(Sparse(), f"a.{name}".encode(), 200 << 30)
    assert found.format == name
    assert got < 48 << 20
    assert found.duration is None or found.duration <= mediainfo.LONGEST_RECORDING


@pytest.mark.usefixtures("ffmpeg")
def test_what_ffmpeg_writes_is_read(tmp_path: Path) -> None:
    """Another program's idea of the formats, all of them in one run."""
    texts = {"title": "The Title", "artist": "The Artist", "album": "The Album", "track": "3/12"}
    metadata = [part for key, value in texts.items() for part in ("-metadata", f"{key}={value}")]
    created = ["-metadata", f"creation_time={WHEN_UTC:%Y-%m-%dT%H:%M:%SZ}"]
    films, sounds = ("mp4", "mov", "mkv", "avi", "mts", "wmv"), ("mp3", "flac", "ogg", "opus", "m4a", "wma")
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25"]
    command += ["-f", "lavfi", "-i", "sine=sample_rate=48000"]
    for name in films:
        command += ["-t", "0.2", "-map", "0", "-c:v", "mpeg4", *created, f"{tmp_path}/a.{name}"]
    for name in sounds:
        command += ["-t", "0.2", "-map", "1", *metadata, f"{tmp_path}/a.{name}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    for name in (*films, *sounds):
        found = reading((tmp_path / f"a.{name}").read_bytes(), f"a.{name}")
        assert (found.format, found.unreadable, found.damaged) == (name, "", "")
        assert found.duration == pytest.approx(0.2, abs=0.15)
        if name in films:
            assert (found.width, found.height) == SIZE, name
            assert believed(found)[1] == (None if name in ("avi", "mts") else BY_UTC)
        else:
            assert (found.artist, found.album, found.title, found.track) == MUSIC, name


# --- QuickTime and MP4 -------------------------------------------------------------------------------


def film_with(*user_data: bytes) -> bytes:
    """An MP4 film with these boxes in its user data."""
    film = samples.mp4(WHEN_UTC, size=SIZE, index_first=False)
    at = film.index(b"moov") - 4
    index = film[at + 8 :] + box("udta", *user_data)
    return film[:at] + struct.pack(">I", 8 + len(index)) + b"moov" + index


def text(words: str) -> bytes:
    """As QuickTime keeps texts in user data: length, language, words."""
    return struct.pack(">HH", len(words), 0x55C4) + words.encode()


def bare(order: str, base: int) -> bytes:
    """An Exif directory without a TIFF header: maker, model, and the date in its second directory."""
    make, model, date = b"Acme\0", b"One Two\0", b"2021:07:10 20:39:25\0"
    places = [base + 2 + 3 * 12 + 4 + 2 + 12 + 4]
    for value in (make, model):
        places.append(places[-1] + len(value))
    inner = base + 2 + 3 * 12 + 4
    first = [(0x010F, 2, len(make), places[0]), (0x0110, 2, len(model), places[1]), (0x8769, 4, 1, inner)]
    main = struct.pack(order + "H", 3) + b"".join(struct.pack(order + "HHII", *entry) for entry in first)
    details = struct.pack(order + "HHHII", 1, 0x9003, 2, len(date), places[2])
    return main + bytes(4) + details + bytes(4) + make + model + date


def nikon(tag: int, value: bytes) -> bytes:
    return struct.pack(">IHH", tag, 2, len(value)) + value


THUMBNAIL = samples.jpeg(WHEN, size=(16, 16), make="Canon", model="Canon PowerShot S95")
NIKON = nikon(1, b"NIKON\0") + nikon(2, b"COOLPIX S1\0") + nikon(0x12, b"2021:07:10 20:39:25\0")


@pytest.mark.parametrize(
    ("boxes", "make", "model"),
    [
        ([box("\xa9mak", text("Acme")), box("\xa9mod", text("One"))], "Acme", "One"),
        ([box("manu", b"Acme\0"), box("modl", b"One\0")], "Acme", "One"),
        (
            [box("modl", b"\0\0\0\0\x15\xc7Canon PowerShot SX280 HS\0"), box("CNCV", b"x")],
            "Canon",
            "Canon PowerShot SX280 HS",
        ),
        ([box("TAGS", b"OLYMPUS DIGITAL CAMERA\0\0FE120\0".ljust(90, b"\0"))], "OLYMPUS", "FE120"),
        ([box("TAGS", b"EASTMAN KODAK COMPANY\0KODAK P880\0".ljust(90, b"\0"))], "KODAK", "KODAK P880"),
        ([box("PANA", bytes(40))], "Panasonic", ""),
        ([box("@sec", b"SAMSUNG".ljust(32, b"\0"), b"WB30F".ljust(32, b"\0"))], "SAMSUNG", "WB30F"),
        ([box("FIRM", b"HD4.02.05.00.00")], "GoPro", ""),
        ([box("GPMF", b"DEVC\0\1\0\x14MINFc\x0a\0\1HERO6 Blck")], "GoPro", "HERO6 Blck"),
        ([box("\xa9mdl", b"FC220"), box("\xa9xsp", text("+0.00"))], "DJI", "FC220"),
        ([box("free", b"made by Ricoh, it says")], "Ricoh", ""),
        ([box("free", b"canonical, panasonics")], "", ""),
    ],
)
def test_the_camera_of_a_film(boxes: list[bytes], make: str, model: str) -> None:
    found = reading(film_with(*boxes), "a.mp4")
    assert (found.make, found.model, found.unreadable, found.damaged) == (make, model, "", "")
    assert believed(found)[:2] == ("movie header", BY_UTC)


@pytest.mark.parametrize(
    ("boxes", "make", "model"),
    [
        ([box("CNTH", box("CNDA", THUMBNAIL))], "Canon", "Canon PowerShot S95"),
        ([box("MVTG", bytes(16), bare("<", 0))], "Acme", "One Two"),
        ([box("QVMI", bytes(10), bare(">", 0))], "Acme", "One Two"),
        ([box("QVMI", bytes(10), bare(">", 10))], "Acme", "One Two"),
        ([box("NCDT", box("NCTG", NIKON))], "NIKON", "COOLPIX S1"),
    ],
)
def test_the_exif_of_a_camera_is_local_and_comes_before_the_header(
    boxes: list[bytes], make: str, model: str
) -> None:
    found = reading(film_with(*boxes), "a.mp4")
    assert (found.make, found.model) == (make, model)
    assert believed(found) == ("DateTimeOriginal", WHEN, "high")


def test_a_date_in_the_user_data_comes_before_the_header() -> None:
    found = reading(film_with(box("date", b"2021-07-10T20:39:26+0200\0")), "a.mp4")
    assert believed(found)[:2] == ("content create date", WHEN.replace(second=26))


@pytest.mark.parametrize("make", [samples.mov, samples.mp4])
def test_the_content_identifier_stands_in_mov_and_mp4(make: Any) -> None:
    keys = {"com.apple.quicktime.content.identifier": "THE-ID"}
    data = isobmff.film(played.frame(), SIZE, brand="mp42" if make is samples.mp4 else "qt  ", keys=keys)
    assert reading(data, "a.mp4").content_id == "THE-ID"


@pytest.mark.parametrize(
    ("matrix", "orientation"),
    [((0, 0x10000, -0x10000, 0), 6), ((-0x10000, 0, 0, -0x10000), 3), ((0, -0x10000, 0x10000, 0), 8)],
)
def test_rotation_is_told_and_the_size_is_that_before_it(matrix: tuple[int, ...], orientation: int) -> None:
    a, b, c, d = matrix
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    data = SAMPLES["mp4"]()
    at = data.index(isobmff.MATRIX, data.index(b"tkhd"))
    found = reading(data[:at] + turned + data[at + 36 :], "a.mp4")
    assert (found.orientation, found.width, found.height) == (orientation, *SIZE)
    assert reading(data, "a.mp4").orientation is None


@pytest.mark.parametrize("moment", [None, datetime(1970, 1, 1, tzinfo=UTC), datetime(2039, 1, 1, tzinfo=UTC)])
def test_clocks_that_were_never_set_tell_nothing(moment: datetime | None) -> None:
    assert believed(reading(samples.mp4(moment, size=SIZE), "a.mp4")) == ("", None, "")
    assert believed(reading(played.matroska(moment), "a.mkv")) == ("", None, "")
    assert believed(reading(played.asf(moment), "a.wmv")) == ("", None, "")


@pytest.mark.parametrize("name", ["mp4", "m4a"])
@pytest.mark.parametrize("table", [b"stts", b"stsc", b"stco"])
def test_an_index_that_lies_about_its_length_costs_no_time(name: str, table: bytes) -> None:
    data = SAMPLES[name]()
    at = data.index(table) + 8
    found = reading(data[:at] + b"\xe9\x5a\xbe\x29" + data[at + 4 :], f"a.{name}")
    assert (found.unreadable, found.damaged) == ("", "its index is broken")
    assert found.duration == pytest.approx(1.0)
    assert believed(found)[1] == BY_UTC


def test_a_fragment_that_lies_about_its_length_costs_no_time() -> None:
    run = full_box("trun", b"\xe9\x5a\xbe\x29", flags=0x300)
    fragment = box("moof", box("traf", full_box("tfhd", struct.pack(">I", 1)), run))
    found = reading(SAMPLES["mp4"]() + fragment, "a.mp4")
    assert (found.damaged, believed(found)[1]) == ("its index is broken", BY_UTC)


def test_a_header_that_was_counted_from_1970_is_read_as_it_was_meant() -> None:
    meant = WHEN_UTC - (datetime(1970, 1, 1) - datetime(1904, 1, 1))  # noqa: DTZ001
    found = reading(samples.mp4(meant, size=SIZE), "a.mp4")
    assert believed(found) == ("movie header", BY_UTC, "medium")
    assert [one.tag for one in found.candidates] == ["movie header"]  # the track's says the same
    assert believed(reading(isobmff.sound({}, created=meant), "a.m4a"))[:2] == ("movie header", BY_UTC)
    assert believed(reading(samples.mp4(datetime(1904, 1, 3), size=SIZE), "a.mp4"))[1] is None  # noqa: DTZ001


@pytest.mark.parametrize(
    ("program", "confidence"),
    [("HandBrake 1.3.3 2020061300", "low"), ("Windows Movie Maker", "low"), ("Lavf59.27.100", "medium")],
)
def test_the_header_of_a_converted_film_tells_of_the_conversion(program: str, confidence: str) -> None:
    data = isobmff.sound({"\xa9too": program}, created=WHEN_UTC, brand="isom")
    assert believed(reading(data, "a.mp4")) == ("movie header", BY_UTC, confidence)
    wrapped = played.matroska(program=program)
    assert believed(reading(wrapped, "a.mkv")) == ("DateUTC", BY_UTC, confidence)


def test_what_was_recorded_stays_firm_in_a_film_that_was_wrapped_anew() -> None:
    found = reading(played.matroska(more="2021-07-10 20:39:25", program="mkvmerge v50.0.0"), "a.mkv")
    assert believed(found) == ("content create date", WHEN, "medium")


@pytest.mark.parametrize(
    ("more", "confidence"), [(" Created on: 06/12/2019.", "low"), ("", "medium")], ids=["youtube", "pixel"]
)
def test_youtube_writes_when_it_converted(more: str, confidence: str) -> None:
    title = f"ISO Media file produced by Google Inc.{more}"
    data = isobmff.sound({}, created=WHEN_UTC, brand="isom", handler=title)
    assert believed(reading(data, "a.mp4")) == ("movie header", BY_UTC, confidence)


# --- AVI and WAV -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("Fri Mar 26 21:19:07 2021\n", "2021-03-26T21:19:07"),
        ("MON MAR 10 15:04:43 2003", "2003-03-10T15:04:43"),
        ("Mon Mar  3 15:04:43 2003", "2003-03-03T15:04:43"),
        ("2001/ 1/27  1:42PM", "2001-01-27T13:42:00"),
        ("2001/ 1/27 12:42AM", "2001-01-27T00:42:00"),
        ("2001/ 1/27 12:42PM", "2001-01-27T12:42:00"),
        ("2005/11/28/ 09:19", "2005-11-28T09:19:00"),
        ("2002-12-16  15:35:01", "2002-12-16T15:35:01"),
        ("2021:03:26 21:19:07", "2021-03-26T21:19:07"),
        ("2021-03-26T21:19:07", "2021-03-26T21:19:07"),
        ("0000:00:00 00:00:00", None),
        ("Fri Mar 32 21:19:07 2021", None),
        ("Fri Foo 26 21:19:07 2021", None),
        ("2021:03:26 25:19:07", None),
        ("", None),
        ("noise", None),
    ],
)
def test_every_camera_has_its_own_way_to_write_a_date(words: str, moment: str | None) -> None:
    assert camera_moment(words) == (datetime.fromisoformat(moment) if moment is not None else None)


def test_an_avi_whose_date_is_that_of_a_day() -> None:
    found = reading(avi(idit="", info={"ICRD": "2020-08-28", "INAM": "A Day", "ISFT": "CanonMVI06"}), "a.avi")
    assert believed(found) == ("ICRD", datetime.fromisoformat("2020-08-28"), "low")
    assert (found.title, found.make) == ("A Day", "Canon")


@pytest.mark.parametrize("words", ["2021/07/10/ 20:39", "2021/ 7/10  8:39PM", "2021:07:10 20:39:25"])
def test_a_camera_that_tells_a_time_is_not_doubted(words: str) -> None:
    tag, moment, confidence = believed(reading(avi(idit=words), "a.avi"))
    assert (tag, moment and moment.replace(second=25), confidence) == ("IDIT", WHEN, "medium")


def test_a_date_of_windows_in_an_avi() -> None:
    ticks = (WHEN_UTC - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10

    def told(text: str) -> tuple[str, datetime | None, str]:
        return believed(reading(avi(idit="", info={"DTIM": text}), "a.avi"))

    assert told(f"{ticks >> 32} {ticks & 0xFFFFFFFF}") == ("DTIM", BY_UTC, "low")
    assert told("2021:07:10 20:39:25") == ("DTIM", WHEN, "medium")  # as some cameras have it
    for text in ("0 0", "4294967295 4294967295", "9999999999 9999999999", "12345 67890 1", "1234 5678"):
        assert told(text) == ("", None, "")


def fixed(maker: bytes) -> bytes:
    """The JUNK of some cameras: names and dates at fixed places."""
    data = bytearray(200)
    data[:18] = maker
    data[0x12:0x18], data[0x2C:0x2F], data[0x83:0x96] = b"Acme\0\0", b"One", b"2021:07:10 20:39:25"
    return bytes(data)


RECORDS = b"".join(
    struct.pack("<HH", tag, len(value)) + value
    for tag, value in ((3, b"NIKON\0"), (4, b"D5000\0"), (0x13, b"2021:07:10 20:39:25\0"))
)


@pytest.mark.parametrize(
    ("more", "make", "model"),
    [
        (chunk("LIST", b"strl", chunk("strd", b"AVIF\0\0\0\0" + bare("<", 0))), "Acme", "One Two"),
        (chunk("JUNK", b"QVMI" + bytes(6) + bare(">", 0)), "Acme", "One Two"),
        (chunk("JUNK", fixed(b"OLYMDigital Camera")), "Acme", "One"),
        (chunk("JUNK", fixed(b"PENTDigital Camera")), "Acme", "One"),
        (chunk("LIST", b"ncdt", chunk("nctg", RECORDS)), "NIKON", "D5000"),
    ],
)
def test_the_camera_and_the_date_of_an_avi(more: bytes, make: str, model: str) -> None:
    found = reading(avi(idit="", more=more), "a.avi")
    assert (found.make, found.model, believed(found)[1]) == (make, model, WHEN)


def test_a_voice_memo_of_a_camera_has_its_day_and_its_time_apart() -> None:
    apart = chunk("LIST", b"exif", chunk("etim", b"20:39:25.00\0"), chunk("ecor", b"Acme\0"))
    found = reading(played.wav(info={"ICRD": "2021-07-10"}, more=apart), "a.wav")
    assert (found.make, believed(found)[1]) == ("Acme", WHEN)


@pytest.mark.parametrize(("day", "time"), [("2021:07:10", "20:39:25"), ("2021_07_10", "20-39-25")])
def test_a_field_recorder_tells_its_local_time(day: str, time: str) -> None:
    assert believed(reading(played.wav(bext=(day, time)), "a.wav"))[:2] == ("bext OriginationDate", WHEN)


# --- MTS ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "offset"),
    [(0x04, 120), (0x44, 120), (0x24, -120), (0x13, 570), (0, 0), (0xFF, None), (0x3F, None)],
)
def test_the_zone_of_a_camcorder(zone: int, offset: int | None) -> None:
    found = reading(played.mts(zone, 0x0103), "a.mts")
    one = candidate(found, "MDPM")
    assert (one.moment, one.offset_minutes, one.utc, found.make) == (WHEN, offset, False, "Panasonic")


def test_the_date_of_what_is_left_of_a_camcorders_film() -> None:
    whole = played.mts()
    found = reading(whole[: 192 * 6], "a.mts")
    assert (candidate(found, "MDPM").moment, found.make, found.damaged) == (WHEN, "Sony", "no track in it")


@pytest.mark.parametrize("form", ["flac", "ogg", "opus"])
def test_the_performers_of_a_piece_are_not_its_artist(form: str) -> None:
    whole = SAMPLES[form]().replace(b"DATE=2001-01-01", b"PERFORMER=Drums")
    assert reading(whole, f"a.{form}").artist == played.TAGS["artist"]


def test_a_song_that_ends_in_its_first_frame_is_damaged_and_no_more() -> None:
    whole = played.mp3()
    tag = whole.index(b"\xff\xfb")
    for end, is_sound in ((tag + 132, True), (tag, False), (tag - 9, False)):
        found = reading(whole[:end], "a.mp3")
        assert (bool(found.damaged), bool(found.unreadable)) == (is_sound, not is_sound)


def test_two_tables_of_keys_are_not_mixed_up() -> None:
    """As where ffmpeg wrote one, in user data, and ExifTool the other."""
    dated = samples.mov(creation_date="2021-07-10T20:39:25+0200", content_id="ABC-1", model="Box")
    others = isobmff._metadata({"zeta": "1", "make": "Acme", "encoder": "Lavf", "eta": "2"})
    more = isobmff.box("udta", isobmff.full_box("meta", others[8:]))
    index, keys = dated.rindex(b"moov") - 4, dated.rindex(b"meta") - 4
    length = int.from_bytes(dated[index : index + 4], "big") + len(more)
    found = reading(
        dated[:index] + length.to_bytes(4, "big") + dated[index + 4 : keys] + more + dated[keys:], "a.mov"
    )
    assert believed(found)[:2] == ("com.apple.quicktime.creationdate", WHEN)
    assert (found.content_id, found.make, found.model) == ("ABC-1", "Acme", "Box")
    assert found.software == "Lavf"


# --- Music and memos ---------------------------------------------------------------------------------


def test_the_date_of_music_is_no_capture_date() -> None:
    for name in ("mp3", "flac", "ogg", "opus"):
        found = reading(SAMPLES[name](), f"a.{name}")
        assert candidate(found, "release date").raw == "2001-01-01"
        assert believed(found) == ("", None, "")
    assert believed(reading(played.ogv(music=True), "a.ogv")) == ("", None, "")
    copied = reading(SAMPLES["m4a"](), "a.m4a")
    assert believed(copied) == ("movie header", BY_UTC, "low")


def test_the_date_of_a_memo_is_one() -> None:
    memo = reading(played.m4a(music=False), "a.m4a")
    assert believed(memo) == ("content create date", WHEN, "medium")
    recorded = played.mp3({"TIT2": "Memo", "TDRC": "2021-07-10T20:39:25"})
    assert believed(reading(recorded, "a.mp3"))[1] == WHEN
    assert believed(reading(played.mp3({"TIT2": "Memo", "TDRC": "2021-07-10"}), "a.mp3")) == ("", None, "")
    bare = isobmff.sound({}, created=WHEN_UTC)
    assert believed(reading(bare, "a.m4a")) == ("movie header", BY_UTC, "medium")


SONG = {"TIT2": "The Title", "TPE1": "The Artist"}


@pytest.mark.parametrize("texts", [SONG, {"TCON": "Techno"}, {"TIT2": "A", "TRCK": "3"}])
def test_music_may_have_no_album(texts: dict[str, str]) -> None:
    found = reading(played.mp3({**texts, "TDRC": "2021-07-10T20:39:25"}), "a.mp3")
    assert believed(found) == ("", None, "")
    song = isobmff.sound({"\xa9ART": "The Artist", "\xa9nam": "The Title"}, created=WHEN_UTC)
    assert believed(reading(song, "a.m4a")) == ("movie header", BY_UTC, "low")
    assert believed(reading(played.asf(picture=False), "a.wma")) == ("ASF creation date", BY_UTC, "low")


def test_a_midnight_is_what_a_program_made_of_a_day() -> None:
    recorded = played.mp3({"TIT2": "Memo", "TDRC": "2021-07-10T00:00:00"})
    assert believed(reading(recorded, "a.mp3")) == ("", None, "")


@pytest.mark.parametrize(
    "more", [{"TCON": "Voice Memo"}, {**SONG, "TSSE": "Acme Recorder 3"}, {**SONG, "TSSE": "TASCAM DR-40"}]
)
def test_a_recorder_may_name_its_recordings(more: dict[str, str]) -> None:
    found = reading(played.mp3({**more, "TDRC": "2021-07-10T20:39:25"}), "a.mp3")
    assert believed(found) == ("content create date", WHEN, "medium")


def test_a_field_recorder_is_told_by_its_name() -> None:
    song = {"IART": "The Artist", "INAM": "The Title"}
    data = played.wav(bext=("2021-07-10", "20:39:25"), info=song)
    assert believed(reading(data, "a.wav")) == ("bext OriginationDate", WHEN, "low")
    at = data.index(b"bext") + 8 + 256
    named = data[:at] + b"ZOOM H5" + data[at + 7 :]
    assert believed(reading(named, "a.wav")) == ("bext OriginationDate", WHEN, "medium")


def test_the_date_of_a_film_from_a_shop_is_that_of_its_release() -> None:
    texts = {"\xa9nam": "The Title", "\xa9day": "2012-05-08T07:00:00Z"}
    data = isobmff.sound(texts, created=WHEN_UTC, brand="M4V ", track=(1, 2))
    found = reading(data, "a.m4v")
    assert (found.format, candidate(found, "release date").raw[:10]) == ("m4v", "2012-05-08")
    assert believed(found) == ("movie header", BY_UTC, "low")


def test_a_film_says_when_it_was_recorded() -> None:
    found = reading(played.matroska(more="2021-07-10 20:39:25"), "a.mkv")
    assert believed(found)[:2] == ("content create date", WHEN)


def test_tags_are_bounded_and_printable() -> None:
    found = reading(
        played.mp3({"TPE1": "日" * 500, "TALB": "a\x1b[2Jb\nc", "TIT2": " ", "TRCK": "0"}), "a.mp3"
    )
    assert found.artist == "日" * 128
    assert found.album.isprintable()
    assert (found.title, found.track) == ("", None)


@pytest.mark.parametrize(
    ("words", "track"),
    [
        ("3", 3),
        ("03", 3),
        ("3/12", 3),
        ("A3", None),
        ("", None),
        ("0", None),
        ("99999", None),
        ("1234567", None),
    ],
)
def test_the_number_of_a_track(words: str, track: int | None) -> None:
    assert mediainfo.first_number(words) == track


@pytest.mark.parametrize(
    "data", [b"ID3\4\0\0" + bytes(3) + b"\x20" + b"x" * 90, b"plain words, not music " * 40]
)
def test_what_claims_to_be_mp3_and_is_none_is_unreadable(data: bytes) -> None:
    assert reading(data, "a.mp3").unreadable


def test_the_picture_on_a_cover_tells_no_date() -> None:
    cover = b"\0image/jpeg\0\3\0" + samples.jpeg(WHEN, size=(16, 16))
    content = b"APIC" + played._synchsafe(len(cover)) + bytes(2) + cover
    tag = b"ID3\4\0\0" + played._synchsafe(len(content)) + content
    broken = tag + b"\xff" * 300
    assert exif.parse(lambda offset, length: broken[offset : offset + length], broken.index(b"Exif") + 6)
    assert believed(reading(broken, "a.mp3")) == ("", None, "")


# --- What stands in front of the sound ---------------------------------------------------------------


def frame(name: str, content: bytes, version: int) -> bytes:
    """A frame of ID3."""
    if version == 2:
        return name.encode() + len(content).to_bytes(3, "big") + content
    length = played._synchsafe(len(content)) if version == 4 else struct.pack(">I", len(content))
    return name.encode() + length + bytes(2) + content


def tagged(version: int, size: int) -> bytes:
    """An MP3 with two pictures of so many bytes in front of its texts."""
    names = ("PIC", "TP1") if version == 2 else ("APIC", "TPE1")
    begins = b"\0JPG\3\0" if version == 2 else b"\0image/jpeg\0\3\0"
    picture = frame(names[0], begins + bytes(size), version)
    content = picture * 2 + frame(names[1], b"\0The Artist", version) + bytes(50)
    return b"ID3" + bytes([version, 0, 0]) + played._synchsafe(len(content)) + content + played.mp3({})[10:]


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("size", [100, 6 << 20])
def test_the_pictures_in_front_of_a_sound_cost_nothing(version: int, size: int) -> None:
    data, got = tagged(version, size), 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal got
            got += size or 0
            return super().read(size)

    found = read(Counted(data), b"a.mp3", len(data))
    assert (found.unreadable, found.damaged, found.artist) == ("", "", "The Artist")
    assert found.duration == pytest.approx(0.312)
    assert got < 2 << 20


@pytest.mark.parametrize("length", [b"\x7f\x7f\x7f\x7f", b"\xff\xff\xff\xff", bytes(4)])
def test_a_picture_that_lies_about_its_length_does_no_harm(length: bytes) -> None:
    data = tagged(4, 40_000)
    at = data.index(b"APIC") + 4
    found = reading(data[:at] + length + data[at + 4 :], "a.mp3")
    assert (found.format, found.unreadable) == ("mp3", "")


def test_pictures_may_stand_in_front_of_flac() -> None:
    data = SAMPLES["flac"]()
    picture = b"\6" + (12 << 20).to_bytes(3, "big") + bytes(12 << 20)
    found = reading(data[:42] + picture + data[42:], "a.flac")
    assert (found.unreadable, found.damaged, found.artist) == ("", "", "The Artist")


def test_what_was_not_looked_at_is_not_called_unreadable() -> None:
    data = SAMPLES["mp4"]()
    at = data.index(b"moov") - 4
    large = struct.pack(">I4s", 34 << 20, b"udta") + box("xxxx", bytes((34 << 20) - 16))
    length = int.from_bytes(data[at : at + 4], "big") + len(large)
    found = reading(data[:at] + struct.pack(">I4s", length, b"moov") + large + data[at + 8 :], "a.mp4")
    assert (found.unreadable, found.damaged) == ("", mediainfo.UNSEEN)
    assert (found.duration, believed(found)) == (1.0, ("movie header", BY_UTC, "low"))


def test_a_stream_may_start_anywhere() -> None:
    stream = played.mts()[100:]
    assert believed(reading(stream, "a.mts"))[:2] == ("MDPM", WHEN)
    for data in (b"\0" * 1000 + played.mp3({})[10:], played.mp3({})[210:]):
        assert reading(data, "a.mp3").unreadable == ""
    assert reading(played.mpg()[7:], "a.mpg").unreadable == ""


def test_full_boxes_are_no_obstacle() -> None:
    found = reading(film_with(full_box("meta", b"nothing"), bytes(4)), "a.mp4")
    assert (found.unreadable, found.damaged) == ("", "")
