"""Texts of dates, dates in file names, and the one that is believed."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mediad.media import dates
from mediad.media.dates import ONLY_DAY, DateSettings, choose, from_filename
from mediad.media.reading import Candidate
from mediad.model import Taken

BERLIN = DateSettings(ZoneInfo("Europe/Berlin"))
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def exif(text: str, tag: str = "DateTimeOriginal", subsec: str = "", offset: str = "") -> Candidate:
    return dates.exif_candidate(tag, text, subsec, offset)


def header(text: str, tag: str = "movie header") -> Candidate:
    return dates.utc_candidate("quicktime", tag, text)


def chosen(
    *candidates: Candidate,
    settings: DateSettings = BERLIN,
    make: str = "",
    duration: float | None = None,
    scanned: bool = False,
) -> Taken:
    taken = choose(candidates, settings, NOW, make=make, duration=duration, scanned=scanned)
    assert taken is not None
    return taken


# --- Texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021:07:10 20:39:25", "2021-07-10T20:39:25"),
        ("2021-07-10T20:39:25.5", "2021-07-10T20:39:25.5"),
        ("2021/7/1 2:03:04", "2021-07-01T02:03:04"),
        ("2021:07:10 20:39:60", "2021-07-10T20:39:59"),
        ("2003: 1: 5  9: 3:10", "2003-01-05T09:03:10"),
        ("2015:06:07 08:09", "2015-06-07T08:09:00"),
        ("2015:06:07 08:09:10 PM", "2015-06-07T20:09:10"),
        ("2015:06:07 12:09:10AM", "2015-06-07T00:09:10"),
        ("2015:06:07 20:09:10 PM", "2015-06-07T20:09:10"),
        ("2015:06:07   :  :  ", None),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2021:13:10 20:39:25", None),
        ("2021:07:10", None),
        ("٢٠٢١:07:10 20:39:25", None),
        ("", None),
    ],
)
def test_exif_text(text: str, expected: str | None) -> None:
    assert dates.parse_exif(text) == (local(expected) if expected else None)


@pytest.mark.parametrize(
    ("text", "micro"), [("77", 770_000), ("023460", 23_460), ("1", 100_000), ("", 0), ("ab", 0), ("²", 0)]
)
def test_subsec(text: str, micro: int) -> None:
    assert dates.parse_subsec(text) == micro


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+01:00", 60),
        ("-0730", -450),
        ("+09", 540),
        ("-3", -180),
        ("Z", 0),
        ("+99:00", None),
        ("+05:75", None),
        ("", None),
        ("CET", None),
    ],
)
def test_offset(text: str, minutes: int | None) -> None:
    assert dates.parse_offset(text) == minutes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-01-19T12:45:11-0800", (local("2015-01-19T12:45:11"), -480, False, False)),
        ("2015-01-19T12:45+02:00", (local("2015-01-19T12:45:00"), 120, False, False)),
        ("2015-01-19T12:45:11.25Z", (local("2015-01-19T12:45:11.25"), None, True, False)),
        ("2015-01-19 12:45:11 UTC", (local("2015-01-19T12:45:11"), None, True, False)),
        ("2015-01-19", (local("2015-01-19T00:00:00"), None, False, True)),
        ("2015-06-07T17:09:10.5+09", (local("2015-06-07T17:09:10.5"), 540, False, False)),
        ("20150607T170910+0900", (local("2015-06-07T17:09:10"), 540, False, False)),
        ("20150607T1709Z", (local("2015-06-07T17:09:00"), None, True, False)),
        ("2015-06-07 08:09:10 pm", (local("2015-06-07T20:09:10"), None, False, False)),
        ("2015-06-07 08:09:10 PM -03:00", (local("2015-06-07T20:09:10"), -180, False, False)),
        ("2015-06-07T20:09:10.526GMT+02:00", (local("2015-06-07T20:09:10.526"), 120, False, False)),
        ("2015-02-30T10:00:00", (None, None, False, False)),
        ("2015", (None, None, False, False)),
    ],
)
def test_iso(text: str, expected: tuple[datetime | None, int | None, bool, bool]) -> None:
    assert dates.parse_iso(text) == expected


def test_raw_text_is_kept_within_bounds() -> None:
    assert len(exif("2021:07:10 20:39:25" + "!" * 500).raw) == 64
    assert dates.iso_candidate("xmp", "xmp:CreateDate", "2015-01-19").doubt == ONLY_DAY


def test_gps_time() -> None:
    assert dates.gps_candidate("2021:07:10", 18, 39, 25.5).moment == local("2021-07-10T18:39:25.5")
    assert dates.gps_candidate("2021:07:10", 99, 0, 0).moment is None
    assert dates.gps_candidate("9999:12:31", 23, 59, 60.5).moment is None
    assert dates.gps_candidate("nonsense", 1, 2, 3).moment is None


# --- File names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20190102_120000.jpg", "2019-01-02T12:00:00"),
        ("IMG_20190102_120000_1.jpg", "2019-01-02T12:00:00"),
        ("IMG_20190102_120000123.jpg", "2019-01-02T12:00:00.123"),
        ("IMG20190102120000.jpg", "2019-01-02T12:00:00"),
        ("MVIMG_20190102_120000.jpg", "2019-01-02T12:00:00"),
        ("VID_20190102_120000~2.mp4", "2019-01-02T12:00:00"),
        ("20190102_120000(0).jpg", "2019-01-02T12:00:00"),
        ("20190102120000.jpg", "2019-01-02T12:00:00"),
        ("Screenshot_20200101-120000_Chrome.png", "2020-01-01T12:00:00"),
        ("Screenshot_2020-01-01-12-00-00-123_com.app.jpg", "2020-01-01T12:00:00.123"),
        ("Screenshot 2019-05-21 at 10.45.52.png", "2019-05-21T10:45:52"),
        ("Screen Shot 2019-05-21 at 1.45.52 PM.png", "2019-05-21T13:45:52"),
        ("Screen Shot 2019-05-21 at 12.45.52\u202fAM (2).png", "2019-05-21T00:45:52"),
        ("Bildschirmfoto 2019-05-21 um 10.45.52.png", "2019-05-21T10:45:52"),
        ("Capture d’écran 2019-05-21 à 10.45.52.png", "2019-05-21T10:45:52"),  # noqa: RUF001
        ("Captura de pantalla 2019-05-21 a las 10.45.52.png", "2019-05-21T10:45:52"),
        ("Screenshot from 2020-01-01 12-00-00.png", "2020-01-01T12:00:00"),
        ("Screenshot 2023-01-01 120000.png", "2023-01-01T12:00:00"),
        ("WIN_20200101_12_00_00_Pro.jpg", "2020-01-01T12:00:00"),
        ("WhatsApp Image 2020-01-01 at 12.00.00 (1).jpeg", "2020-01-01T12:00:00"),
        ("signal-2020-01-01-120000.jpg", "2020-01-01T12:00:00"),
        ("signal-2020-01-01-12-00-00-123-1.jpg", "2020-01-01T12:00:00.123"),
        ("telegram_2020-01-30_09-57-18.jpg", "2020-01-30T09:57:18"),
        ("photo_2020-01-30_09-57-18 (2).jpg", "2020-01-30T09:57:18"),
        ("2018-04-12 19_24_49.mov", "2018-04-12T19:24:49"),
        ("2018-04-12 19.24.49", "2018-04-12T19:24:49"),
        ("2018-04-12 19.24.49-1.jpg", "2018-04-12T19:24:49"),
        ("Photo 2018-04-12 19 24 49.jpg", "2018-04-12T19:24:49"),
        ("2017-01-01_12h30m15.jpg", "2017-01-01T12:30:15"),
        ("date_20170101_010101.jpg", "2017-01-01T01:01:01"),
        ("screen-20200101-120000.mp4", "2020-01-01T12:00:00"),
        ("ScreenRecording_01-31-2024 13-05-22_1.MP4", "2024-01-31T13:05:22"),
        ("C360_2015-01-01-12-00-00-123.jpg", "2015-01-01T12:00:00.123"),
        ("Screenshot 2019-05-21 at 10.45.52 p. m..png", "2019-05-21T22:45:52"),
        ("WhatsApp Image 2023-07-06 at 1.34.56 PM.jpeg", "2023-07-06T13:34:56"),
        ("Captura de Tela 2023-07-06 às 12.34.56.png", "2023-07-06T12:34:56"),
        ("photo_51@06-07-2023_12-34-56.jpg", "2023-07-06T12:34:56"),
        ("CamScanner 07-06-2023 12.34.jpg", "2023-07-06T12:34:00"),
        ("CamScanner 2023-07-06 12.34.jpg", "2023-07-06T12:34:00"),
        ("Screencast from 06.07.2023 12:34:56.webm", "2023-07-06T12:34:56"),
        ("2023_0706_123456_001.MP4", "2023-07-06T12:34:56"),
        ("FILE230706-123456F.MP4", "2023-07-06T12:34:56"),
        ("23-07-06 12-34-56 1234.jpg", "2023-07-06T12:34:56"),
        ("Picsart_23-07-06_12-34-56-789.jpg", "2023-07-06T12:34:56"),
        ("Voice 230706_123456.m4a", "2023-07-06T12:34:56"),
        ("20230706_123456_001.jpg", "2023-07-06T12:34:56"),
        ("DJI_20230706123456_0001_D.JPG", "2023-07-06T12:34:56"),
        ("WP_20230706_12_34_56_Pro.jpg", "2023-07-06T12:34:56"),
        ("00000IMG_00000_BURST20230706123456789_COVER.jpg", "2023-07-06T12:34:56.789"),
        ("vlcsnap-2023-07-06-12h34m56s123.png", "2023-07-06T12:34:56"),
        ("스크린샷 2021-07-10 오후 11.39.25.png", "2021-07-10T23:39:25"),
        (unicodedata.normalize("NFD", "스크린샷 2021-07-10 오후 11.39.25.png"), "2021-07-10T23:39:25"),
        ("스크린샷 2021-07-10 오전 12.05.25.png", "2021-07-10T00:05:25"),
        ("截屏2021-07-10 下午11.39.25.png", "2021-07-10T23:39:25"),
        ("Στιγμιότυπο 2021-07-10, 11.39.25 μ.μ..png", "2021-07-10T23:39:25"),
        ("\u200fWhatsApp Image 2021-07-10 at 11.39.25 م.jpeg", "2021-07-10T23:39:25"),
        ("2021-07-10 11_39_25 PM.png", "2021-07-10T23:39:25"),
        ("2021-07-10 PM 11.39.25.jpg", "2021-07-10T23:39:25"),
        ("Снимок экрана 2021-07-10 в 11.39.25.png", "2021-07-10T11:39:25"),
        ("2021-07-10 11.39.25 копия.png", "2021-07-10T11:39:25"),
        ("2021-07-10 20.39.25 בערב.png", "2021-07-10T20:39:25"),
        ("Screenshot_20210710_113925_微信.jpg", "2021-07-10T11:39:25"),
        ("Photo 10.07.21, 20 39 25.jpg", "2021-07-10T20:39:25"),
        ("2021-7-10 8-39-25.jpg", "2021-07-10T08:39:25"),
        ("Captura de ecrã 2021-07-10, às 20.39.25.png", "2021-07-10T20:39:25"),
        ("Captura de pantalla 2021-07-10 a la(s) 8.39.25\xa0p.\xa0m..png", "2021-07-10T20:39:25"),
        ("Näyttökuva 2021-7-10 kello 20.39.25.png", "2021-07-10T20:39:25"),
        ("Photo 2021-07-10 at 20.39.jpg", "2021-07-10T20:39:00"),
        ("20210710_203925_720p.mp4", "2021-07-10T20:39:25"),
        ("IMG_20210710_203925_800x600.jpg", "2021-07-10T20:39:25"),
        ("2021-07-10_20-39-25-123456.jpg", "2021-07-10T20:39:25.123456"),
        ("20210710_203925-0100.jpg", "2021-07-10T20:39:25"),
        ("20210710_203925-01_00.jpg", "2021-07-10T20:39:25"),
        ("20230706_083456_PM.jpg", "2023-07-06T08:34:56"),
        ("20230706_123456_AM.jpg", "2023-07-06T12:34:56"),
        ("20210710_203925+0001.jpg", "2021-07-10T20:39:25"),
        ("Imagem do WhatsApp de 2021-07-10 à(s) 20.39.25_1a2b3c4d.jpg", "2021-07-10T20:39:25"),
        ("Snímek obrazovky 2021-07-10 v 20.39.25.png", "2021-07-10T20:39:25"),
        ("WhatsApp-Image-2021-07-10-at-20.39.25.jpeg", "2021-07-10T20:39:25"),
        ("2021071020392577-0123456789ABCDEF0123456789ABCDEF.jpg", "2021-07-10T20:39:25.77"),
        ("2021071020392577_s.mp4", "2021-07-10T20:39:25.77"),
        ("img20210710_20392577.jpg", "2021-07-10T20:39:25.77"),
    ],
)
def test_names_with_local_time(name: str, expected: str) -> None:
    (candidate,) = from_filename(name.encode())
    assert (candidate.moment, candidate.utc, candidate.doubt) == (local(expected), False, "")
    assert candidate.source == candidate.tag == "filename"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PXL_20220724_210650210.NIGHT.mp4", "2022-07-24T21:06:50.210"),
        ("20180412T192449Z.mov", "2018-04-12T19:24:49"),
        ("2018-04-12_19-24-49_UTC.jpg", "2018-04-12T19:24:49"),
        ("FB_IMG_1500000000123.jpg", "2017-07-14T02:40:00.123"),
        ("mmexport1500000000000.jpg", "2017-07-14T02:40:00"),
        ("RPReplay_Final1589999999.mp4", "2020-05-20T18:39:59"),
        ("20230706_123456000_iOS.heic", "2023-07-06T12:34:56"),
        ("WP_20230706_123456Z.mp4", "2023-07-06T12:34:56"),
        ("Copy of PXL_20210710_183925123.jpg", "2021-07-10T18:39:25.123"),
        ("original_PXL_20210710_183925123.jpg", "2021-07-10T18:39:25.123"),
        ("(PXL_20210710_183925123).jpg", "2021-07-10T18:39:25.123"),
        ("GMT20210710-183925_Recording.mp4", "2021-07-10T18:39:25"),
        ("2021-07-10T18-39-25.123456Z.jpg", "2021-07-10T18:39:25.123456"),
        ("20210710_183925-UTC.jpg", "2021-07-10T18:39:25"),
        ("2021-07-10 18_39_25+00_00.jpg", "2021-07-10T18:39:25"),
        ("2021-07-10T18-39-25+0000.jpg", "2021-07-10T18:39:25"),
        ("PicsArt_1625942365123.jpg", "2021-07-10T18:39:25.123"),
    ],
)
def test_names_in_utc(name: str, expected: str) -> None:
    (candidate,) = from_filename(name.encode())
    assert (candidate.moment, candidate.utc, candidate.doubt) == (local(expected), True, "")


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("IMG-20200102-WA0001.jpg", "2020-01-02"),
        ("Scan_20200102.jpg", "2020-01-02"),
        ("scan 2020-01-02.jpg", "2020-01-02"),
        ("VID20200102.mp4", "2020-01-02"),
        ("2020.01.02.jpg", "2020-01-02"),
        ("2018-04-12 99_99_99.mov", "2018-04-12"),
        ("Adobe Scan 06 Jul 2023.jpg", "2023-07-06"),
        ("Adobe Scan Jul 6, 2023.jpg", "2023-07-06"),
        ("Scan 06.07.2023.jpg", "2023-07-06"),
        ("11. September 2022.jpg", "2022-09-11"),
        ("2021-07-10 11.39.25 בערב.png", "2021-07-10"),
        ("2021-07-10 पूर्वाह्न 8.39.25.png", "2021-07-10"),
        ("Trip 2021-07-10 at 1430 Oak St.jpg", "2021-07-10"),
        ("Poster 2021-07-10 v 2.10.png", "2021-07-10"),
    ],
)
def test_names_with_a_day_only(name: str, day: str) -> None:
    (candidate,) = from_filename(name.encode())
    assert (candidate.moment, candidate.doubt) == (local(day), ONLY_DAY)


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.JPG",
        "IMG_E4120.JPG",
        "DSC_0238(1).JPG",
        "P1000244.MOV",
        "GX010123.MP4",
        "1920x1080.png",
        "wallpaper-2560x1440-20.jpg",
        "+491701234567.jpg",
        "received_1234567890123456.jpeg",
        "Photo 06-07-23.jpg",
        "Screencast from 06-07-23 12:34:56.webm",
        "31.13.2023 12-34-56.jpg",
        "version 12.11.2020.3.jpg",
        "Snapchat-123456789.jpg",
        "GOPR1234.JPG",
        "maybe 12 2015.jpg",
        "4006381333931.jpg",
        "1000020230405.jpg",
        "2021071020392577.jpg",
        "23-13-06 12-34-56 1234.jpg",
        "192.168.10.2019.jpg",
        "1234567890.jpg",
        "9781491947326.jpg",
        "1cbb1bb37d62c44f67374cd451643dc4.jpg",
        "20200101a0b1c2d3e4f5.jpg",
        "d41d8cd9-2020-0101-1212-123456789012.jpg",
        "99991231_235959.jpg",
        "18991231_235959.jpg",
        "20200230_101010.jpg",
        "2019-13-45 12.00.00.jpg",
        "2012.jpg",
        "",
    ],
)
def test_names_without_a_date(name: str) -> None:
    assert from_filename(name.encode()) == ()


def test_a_bare_number_of_milliseconds_is_doubtful() -> None:
    (candidate,) = from_filename(b"1500000000000.jpg")
    assert candidate.doubt
    assert chosen(candidate).confidence == "low"


@pytest.mark.parametrize(
    ("name", "is_believed"),
    [
        ("IMG_20000101_000000.jpg", False),
        ("IMG_20000101_000107.jpg", True),
        ("IMG_20210101_000000.jpg", True),
        ("2000-01-01 Party.jpg", True),
    ],
)
def test_a_clock_that_was_reset_names_files_too(name: str, is_believed: bool) -> None:
    (candidate,) = from_filename(name.encode())
    taken = choose([candidate], BERLIN, NOW)
    assert (taken is not None) == is_believed


@pytest.mark.parametrize(
    "better",
    [
        *from_filename(b"Scan 2019-05-21.png"),
        dates.iso_candidate("xmp", "xmp:CreateDate", "2019-05-21T00:00:00"),
        dates.gps_candidate("2019:05:21", 10, 0, 0),
    ],
)
def test_the_time_of_change_of_a_png_counts_where_nothing_else_does(better: Candidate) -> None:
    changed = dates.utc_candidate("exif", "png:tIME", "2022-03-04T05:06:07")
    assert chosen(changed, better).local.date() == local("2019-05-21T00:00:00").date()
    assert (chosen(changed).tag, chosen(changed).confidence) == ("png:tIME", "low")


def test_an_offset_in_a_name() -> None:
    (east,), (west,) = map(
        from_filename, (b"2021-07-10T20-39-25+02:00.jpg", b"2021-07-10 20.39.25-05:00.jpg")
    )
    assert (east.moment, east.offset_minutes, east.utc) == (local("2021-07-10T20:39:25"), 120, False)
    assert (west.moment, west.offset_minutes, west.utc) == (local("2021-07-10T20:39:25"), -300, False)


def test_six_digits_and_six_may_begin_with_the_day() -> None:
    (candidate,) = from_filename(b"210710_203925.jpg")
    assert candidate.moment == local("2021-07-10T20:39:25")
    assert candidate.doubt
    assert from_filename(b"210710_203925a.jpg") == ()


def test_any_bytes_are_a_name() -> None:
    assert from_filename(b"\xff\xfe\x00 20190102_120000 \xc3.jpg")[0].moment == local("2019-01-02T12:00:00")


@pytest.mark.parametrize("offset", ["+01:00", "-12:00", "+14:00"])
def test_an_offset_behind_the_time_itself(offset: str) -> None:
    inside = exif("2021:07:10 20:39:25" + offset)
    assert inside == dates.exif_candidate("DateTimeOriginal", inside.raw, offset=offset)
    assert inside.offset_minutes is not None
    assert exif("2021:07:10 20:39:25" + offset, offset="+05:30").offset_minutes == 330
    assert dates.parse_offset("-14:00") is None


@pytest.mark.parametrize(
    ("text", "offset", "doubtful"),
    [
        ("2021:07:10 20:39:25Z", 0, False),
        ("2021:07:10 20:39:25 +0900", 540, False),
        ("2021:07:10 08:39:25 PM +09", 540, False),
        ("2021:07:10 08:39:25 오후", None, True),
        ("2021:07:10 20:39:25 +99:00", None, False),
        ("2021:07:10 20:39:25:55", None, True),
        ("2021:07:10 20:39:25 .", None, False),
    ],
)
def test_what_follows_the_time(text: str, offset: int | None, doubtful: bool) -> None:
    found = exif(text)
    assert (found.offset_minutes, bool(found.doubt)) == (offset, doubtful)
    assert found.moment in (local("2021-07-10T20:39:25"), local("2021-07-10T08:39:25"))
    assert chosen(found).confidence == ("low" if doubtful else "high")


# --- Choosing ------------------------------------------------------------------------------------


def test_capture_time_with_its_own_subseconds_and_offset() -> None:
    taken = chosen(
        exif("2021:07:10 20:00:00", "CreateDate", "11", "+09:00"),
        exif("2021:07:10 20:39:25", subsec="77", offset="+01:00"),
    )
    assert taken == Taken(local("2021-07-10T20:39:25.77"), 60, "exif", "DateTimeOriginal", "high")


def test_digitised_is_second_and_modified_is_never_believed() -> None:
    modified = exif("2020:01:02 03:04:05", "ModifyDate")
    assert choose([modified], BERLIN, NOW) is None
    taken = chosen(modified, exif("2021:07:10 20:39:25", "CreateDate"))
    assert (taken.tag, taken.confidence) == ("CreateDate", "medium")


@pytest.mark.parametrize(
    "text",
    [
        "0000:00:00 00:00:00",
        "1904:01:01 00:00:00",
        "1970:01:01 00:00:00",
        "1919:05:04 05:59:26",
        "2024:06:03 12:00:00",
        "2099:01:02 03:04:05",
        "2216:01:02 03:04:05",
        "0001:01:01 00:00:00",
    ],
)
def test_impossible_dates_are_not_believed(text: str) -> None:
    assert choose([exif(text)], BERLIN, NOW) is None
    name = from_filename(b"IMG_20200102_120000.jpg")
    assert chosen(exif(text), *name).source == "filename"


def test_the_zeros_are_not_believed_however_early_one_starts() -> None:
    settings = DateSettings(BERLIN.timezone, earliest=date(1850, 1, 1))
    assert choose([exif("1970:01:01 00:00:00")], settings, NOW) is None
    assert chosen(exif("1919:05:04 05:59:26"), settings=settings).local.year == 1919


@pytest.mark.parametrize(
    ("candidate", "make"),
    [
        (exif("1998:01:01 00:00:00"), "SANYO"),
        (exif("2000:01:01 00:00:00", "CreateDate"), ""),
        (exif("1994:01:01 00:00:00"), "KODAK"),
        (exif("2002:12:08 12:00:00"), ""),
        (header("2000-01-01 00:00:00 UTC"), ""),
        (header("2000-01-01 00:00:00 UTC", "track header"), "GoPro"),
        (dates.gps_candidate("1999:08:22", 0, 0, 0), ""),
        (Candidate("quicktime", "IDIT", "", local("1996-01-01")), ""),
    ],
)
def test_a_clock_that_was_reset_is_not_believed(candidate: Candidate, make: str) -> None:
    assert choose([candidate], BERLIN, NOW, make=make) is None
    name = from_filename(b"IMG_20200102_120000.jpg")
    assert chosen(candidate, *name, make=make).source == "filename"


def test_what_people_date_by_the_year_is_a_guess() -> None:
    print_ = exif("1994:01:01 00:00:00")
    noted = dates.iso_candidate("xmp", "exif:DateTimeOriginal", "2005-01-01T00:00:00")
    assert (chosen(print_).confidence, chosen(noted).confidence) == ("low", "low")
    assert chosen(print_, *from_filename(b"IMG_20200102_120000.jpg")).source == "filename"
    assert chosen(exif("2020:01:01 00:00:01")).confidence == "high"
    assert chosen(*from_filename(b"2019-04-07.jpg")).local == local("2019-04-07")


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("2000:01:01 00:07:33", "low"),
        ("1999:01:01 23:59:59", "low"),
        ("2001:01:01 12:00:00", "low"),
        ("2015:01:01 12:00:00", "low"),
        ("2015:01:01 00:00:00", "low"),
        ("2015:01:01 00:07:33", "high"),
        ("2000:01:02 00:07:33", "high"),
    ],
)
def test_a_clock_that_went_on_since_it_was_reset(text: str, confidence: str) -> None:
    assert chosen(exif(text), make="Canon").confidence == confidence


# --- Scans and copies ----------------------------------------------------------------------------

SCANNED = exif("2019:01:02 03:04:05", "CreateDate")
OLD = "1975:06:07 12:00:00"


def test_what_comes_after_an_original_before_the_first_day_is_doubtful() -> None:
    for later in (SCANNED, *from_filename(b"20190102_030405.jpg")):
        found = chosen(exif(OLD), later)
        assert (found.local.year, found.confidence) == (2019, "low")
    noted = dates.iso_candidate("xmp", "exif:DateTimeOriginal", "1975-06-07T12:00:00")
    assert chosen(noted, SCANNED).confidence == "low"
    camera = exif("2018:06:07 08:09:10")
    assert chosen(camera, noted).confidence == "high"  # it is believed before that
    assert chosen(exif("1970:01:01 00:00:00"), SCANNED).confidence == "medium"  # a zero is no date
    assert choose([exif(OLD)], BERLIN, NOW) is None


@pytest.mark.parametrize(
    "original",
    [
        dates.iso_candidate("xmp", "exif:DateTimeOriginal", "1995-06-07T12:00:00"),
        dates.iso_candidate("xmp", "photoshop:DateCreated", "1995-06-07T12:00:00"),
        Candidate("takeout", "photoTakenTime", "", local("1995-06-07T10:00:00"), utc=True),
    ],
)
def test_the_day_of_a_scan_gives_way_to_that_of_the_picture(original: Candidate) -> None:
    found = chosen(SCANNED, original)
    assert (found.local, found.confidence) == (local("1995-06-07T12:00:00"), "medium")
    assert found.tag == original.tag
    assert chosen(exif("1995:06:08 11:00:00", "CreateDate"), original).tag == "CreateDate"


@pytest.mark.parametrize(
    "original",
    [
        dates.iso_candidate("xmp", "photoshop:DateCreated", "1995-06-07"),
        dates.iso_candidate("exif", "iptc:DateCreated", "1995-06-07"),
        *from_filename(b"Scan 06.07.1995.jpg"),
        dates.iso_candidate("xmp", "photoshop:DateCreated", "1975-06-07"),
    ],
)
def test_a_day_refutes_the_scan_too(original: Candidate) -> None:
    found = chosen(SCANNED, original)
    assert (found.tag, found.confidence) == ("CreateDate", "low")


def test_a_print_dated_by_its_year_is_no_picture_of_the_scan() -> None:
    print_ = exif("1994:01:01 00:00:00")
    assert chosen(print_, SCANNED).local.year == 1994
    assert chosen(print_, SCANNED, make="EPSON", scanned=True).local.year == 1994


def test_dates_of_a_scanner() -> None:
    assert chosen(SCANNED, scanned=True).confidence == "low"
    assert chosen(exif("2019:01:02 03:04:05"), scanned=True).confidence == "medium"
    assert chosen(exif("2000:01:01 00:07:33"), scanned=True).confidence == "low"


def test_sources_in_the_order_of_belief() -> None:
    xmp = dates.iso_candidate("xmp", "photoshop:DateCreated", "2022-01-10T15:15:44.31")
    name = from_filename(b"IMG_20200102_120000.jpg")
    assert chosen(*name, xmp).source == "xmp"
    reverse = DateSettings(BERLIN.timezone, ("filename", "xmp"))
    assert chosen(*name, xmp, settings=reverse).source == "filename"
    assert choose([exif("2020:01:02 03:04:05")], reverse, NOW) is None


def test_what_is_weak_comes_after_all_that_is_not() -> None:
    edit = dates.iso_candidate("xmp", "xmp:CreateDate", "2022-01-10T15:15:44+01:00")
    assert chosen(edit) == Taken(local("2022-01-10T15:15:44"), 60, "xmp", "xmp:CreateDate", "low")
    assert chosen(edit, *from_filename(b"IMG_20200102_120000.jpg")).source == "filename"
    assert chosen(edit, *from_filename(b"IMG-20200102-WA0001.jpg")).source == "xmp"


def test_gps_time_is_the_last_resort() -> None:
    gps = dates.gps_candidate("2021:07:10", 18, 39, 25)
    taken = chosen(gps)
    assert (taken.local, taken.offset_minutes, taken.confidence) == (local("2021-07-10T20:39:25"), 120, "low")
    assert chosen(gps, dates.mtime_candidate(1_600_000_000_000_000_000, on_card=True)).source == "mtime"


@pytest.mark.parametrize(
    ("original", "minutes"),
    [
        ("2021:07:10 20:39:25", 120),
        ("2021:07:10 20:40:59", 120),  # a clock that is a minute fast
        ("2021:07:11 00:09:20", 330),
        ("2021:07:10 14:39:26", -240),
        ("2021:07:11 08:39:25", 840),
        ("2021:07:10 20:54:25", None),  # no zone is this far away: the fix is old
        ("2021:07:10 20:46:00", None),
        ("2021:07:10 05:39:25", None),
        ("2021:07:12 18:39:25", None),
    ],
)
def test_gps_time_tells_how_far_local_time_is_from_utc(original: str, minutes: int | None) -> None:
    gps = dates.gps_candidate("2021:07:10", 18, 39, 25)
    taken = chosen(gps, exif(original))
    assert (taken.local, taken.offset_minutes) == (dates.parse_exif(original), minutes)
    assert chosen(gps, exif(original, offset="+09:00")).offset_minutes == 540
    assert chosen(exif(original[:10]), gps).offset_minutes is None


def test_file_times() -> None:
    stamp = 1_600_000_000_123_456_789
    on_card, elsewhere = (dates.mtime_candidate(stamp, on_card=card) for card in (True, False))
    expected = Taken(local("2020-09-13T14:26:40.123456"), 120, "mtime", "mtime", "low")
    always = DateSettings(BERLIN.timezone, mtime="always")
    never = DateSettings(BERLIN.timezone, mtime="never")
    assert chosen(on_card) == chosen(elsewhere, settings=always) == expected
    assert choose([elsewhere], BERLIN, NOW) is None
    assert choose([on_card], never, NOW) is None
    assert dates.mtime_candidate(1 << 80, on_card=True).moment is None


def test_apple_keys_beat_the_headers() -> None:
    key = dates.iso_candidate("quicktime", "com.apple.quicktime.creationdate", "2015-01-19T12:45:11-0800")
    taken = chosen(header("2015-12-12 08:59:26 UTC"), key)
    assert taken == Taken(local("2015-01-19T12:45:11"), -480, "quicktime", key.tag, "high")


def test_headers_are_utc() -> None:
    movie, track = header("2023-10-06 06:39:09 UTC"), header("2022-01-01 00:00:00 UTC", "track header")
    taken = chosen(track, movie)
    assert taken == Taken(local("2023-10-06T08:39:09"), 120, "quicktime", "movie header", "medium")
    tokyo = DateSettings(ZoneInfo("Asia/Tokyo"))
    assert chosen(movie, settings=tokyo).local == local("2023-10-06T15:39:09")


@pytest.mark.parametrize("make", ["Panasonic", "NIKON CORPORATION", "OLYMPUS OPTICAL CO.,LTD", "GoPro"])
def test_makers_that_write_local_time_there(make: str) -> None:
    taken = chosen(header("2023-10-21 10:20:01 UTC"), make=make)
    assert (taken.local, taken.offset_minutes) == (local("2023-10-21T10:20:01"), None)


def test_a_pixel_film_starts_when_its_name_says() -> None:
    name = from_filename(b"PXL_20220724_210650210.NIGHT.mp4")
    taken = chosen(header("2022-07-24 21:10:56 UTC"), *name)
    assert taken == Taken(local("2022-07-24T23:06:50.210"), 120, "filename", "filename", "medium")


@pytest.mark.parametrize(
    ("name", "duration", "expected", "offset"),
    [
        (b"VID_20211231_235950.mp4", 20, "2021-12-31T23:59:50", 60),  # at home
        (b"VID_20211231_235950.mp4", None, "2021-12-31T23:59:50", 60),
        (b"VID_20211231_234730.mp4", 760, "2021-12-31T23:47:30", 60),  # at home, a clip of twelve minutes
        (b"VID_20211231_234730.mp4", 20, "2022-01-01T00:00:10", 60),
        (b"VID_20220101_075950.mp4", 20, "2022-01-01T07:59:50", None),  # in Tokyo
        (b"VID_20220101_080011.mp4", 20, "2022-01-01T08:00:11", None),  # whose header has the start
        (b"VID_20220101_080000.mp4", 80, "2022-01-01T08:00:00", None),  # in slow motion
        (b"VID_20220101_075950.mp4", None, "2022-01-01T00:00:10", 60),
        (b"VID_20220101_075950.mp4", 2, "2022-01-01T00:00:10", 60),  # by chance
        (b"VID_20220101_075950.mp4", 600, "2022-01-01T07:59:50", None),
        (b"VID_20220101_075500.mp4", 600, "2022-01-01T00:00:10", 60),
        (b"VID_20211231_213000.mp4", 5411, "2021-12-31T21:30:00", None),  # in London
        (b"VID_20211231_213000.mp4", 20, "2022-01-01T00:00:10", 60),
        (b"WhatsApp Video 2022-01-01 at 03.27.25.mp4", 2, "2022-01-01T00:00:10", 60),
        (b"VID_20150101_120000.mp4", 20, "2022-01-01T00:00:10", 60),  # nothing to do with it
        (b"VID-20211231-WA0001.mp4", 20, "2022-01-01T00:00:10", 60),
        (b"2022-01-01T07-59-50+09_00.mp4", None, "2022-01-01T07:59:50", 540),
        (b"2022-01-01T07-59-50+02_00.mp4", 20, "2022-01-01T00:00:10", 60),
        (b"VID_20220101_075950.mp4", float("nan"), "2022-01-01T00:00:10", 60),
        (b"VID_20220101_075950.mp4", 1e300, "2022-01-01T07:59:50", None),
    ],
)
def test_a_local_name_that_fits_the_header(
    name: bytes, duration: float | None, expected: str, offset: int | None
) -> None:
    taken = chosen(header("2021-12-31 23:00:10 UTC"), *from_filename(name), duration=duration)
    assert (taken.local, taken.offset_minutes) == (local(expected), offset)


def test_a_day_ahead_is_the_limit() -> None:
    ahead = (NOW + timedelta(hours=23)).astimezone(BERLIN.timezone)
    assert choose([exif(f"{ahead:%Y:%m:%d %H:%M:%S}")], BERLIN, NOW) is not None
    assert choose([exif(f"{ahead:%Y:%m:%d %H:%M:%S}", offset="-12:00")], BERLIN, NOW) is None


def test_nothing_gives_nothing() -> None:
    assert choose([], BERLIN, NOW) is None
    assert choose([Candidate("exif", "DateTimeOriginal", "", None)], BERLIN, NOW) is None
