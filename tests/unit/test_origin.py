"""Where pictures and films come from."""

from __future__ import annotations

import unicodedata

import pytest

from mediad.media.origin import origin
from mediad.media.reading import Reading

PHOTO = Reading("jpeg", "photo")
FILM = Reading("mp4", "video")
PNG = Reading("png", "photo")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Screenshot_20200101-120000.png", "screenshot"),
        ("SCREENSHOT 2019-05-21 at 10.45.52.PNG", "screenshot"),
        ("Screen Shot 2019-05-21 at 1.45.52 PM.png", "screenshot"),
        ("Bildschirmfoto 2019-05-21 um 10.45.52.png", "screenshot"),
        ("Capture d’écran 2019-05-21 à 10.45.52.png", "screenshot"),  # noqa: RUF001
        ("Снимок экрана 2019-05-21.png", "screenshot"),
        (unicodedata.normalize("NFD", "Skärmavbild 2019-05-21 kl. 10.45.52.png"), "screenshot"),
        (unicodedata.normalize("NFD", "스크린샷 2019-05-21 10.45.52.png"), "screenshot"),
        ("IMG-20200102-WA0001.jpg", "whatsapp"),
        ("WhatsApp Image 2020-01-01 at 12.00.00.jpeg", "whatsapp"),
        ("Изображение WhatsApp 2020-01-01 в 12.00.00_1a2b3c4d.jpg", "whatsapp"),
        ("signal-2020-01-01-120000.jpg", "signal"),
        ("telegram_2020-01-30_09-57-18.jpg", "telegram"),
        ("photo_2020-01-30_09-57-18.jpg", "telegram"),
        ("instagram_1234.jpg", "instagram"),
        ("CleanShot 2023-07-06 at 12.34.56@2x.png", "screenshot"),
        ("屏幕截图 2023-07-06 123456.png", "screenshot"),
        ("Ekran Resmi 2023-07-06 12.34.56.png", "screenshot"),
        ("signal-attachment-2023-07-06-123456.jpg", "signal"),
        ("photo_51@06-07-2023_12-34-56.jpg", "telegram"),
        ("2023-07-06_12-34-56_UTC.jpg", "instagram"),
        ("Adobe Scan 06 Jul 2023.jpg", "scan"),
        ("Office Lens 20230706-123456.jpg", "scan"),
        ("CamScanner 07-06-2023 12.34.jpg", "scan"),
        ("img20230706_12345678.jpg", "scan"),
        ("00000012-PHOTO-2023-07-06-12-34-56.jpg", "whatsapp"),
        ("Captura desde 2023-07-06 12-34-56.png", "screenshot"),
        ("2023-07-06-123456_1920x1080_scrot.png", "screenshot"),
        ("DSC00012.JPG", "camera"),
        ("_MG_1234.JPG", "camera"),
        ("IMG_E1234.JPG", "camera"),
        ("WP_20230706_12_34_56_Pro.jpg", "camera"),
        ("100_1234.JPG", "camera"),
        ("Scan_20200102.jpg", "scan"),
        ("scan0001.tif", "scan"),
        ("IMG_20190102_120000.jpg", "camera"),
        ("PXL_20220724_210650210.jpg", "camera"),
        ("DSC_0238.JPG", "camera"),
        ("Scandinavia.jpg", ""),
        ("photo-2023-07-06-12-34-56.jpg", ""),
        ("Our WhatsApp party 2023-07-06.jpg", ""),
        ("IMG20230706_12345678.jpg", "camera"),
        ("holiday.jpg", ""),
        ("", ""),
    ],
)
def test_pictures_by_name(name: str, expected: str) -> None:
    assert origin(name.encode(), PHOTO) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Screen Recording 2020-01-01 at 12.00.00.mov", "screenrecording"),
        ("ScreenRecording_01-31-2024 13-05-22_1.MP4", "screenrecording"),
        ("RPReplay_Final1589999999.mp4", "screenrecording"),
        ("screen-20200101-120000.mp4", "screenrecording"),
        ("Screenshot 2020-01-01.mp4", "screenrecording"),
        ("VID-20200102-WA0001.mp4", "whatsapp"),
        ("VIDEO-2020-01-02-12-00-00.mp4", "whatsapp"),
        ("GIF-20200102-WA0001.mp4", "whatsapp"),
        ("SVID_20200102_120000_1.mp4", "screenrecording"),
        ("Record_2020-01-02-12-00-00.mp4", "screenrecording"),
        ("VID_20190102_120000.mp4", "camera"),
        ("GX010123.MP4", "camera"),
        ("MVI_0121.MP4", "camera"),
        ("holiday.mp4", ""),
    ],
)
def test_films_by_name(name: str, expected: str) -> None:
    assert origin(name.encode(), FILM) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PTT-20200102-WA0001.opus", "whatsapp"),
        ("WhatsApp Audio 2020-01-02 at 12.00.00.opus", "whatsapp"),
        ("audio_2020-01-02_12-00-00.ogg", "telegram"),
        ("signal-2020-01-02-12-00-00-123.m4a", "signal"),
        ("Scan to the horizon.mp3", ""),
        ("audio_2020-01-02_12-00-00.wav", ""),
        ("Screenshot.mp3", ""),
    ],
)
def test_spoken_messages_by_name(name: str, expected: str) -> None:
    assert origin(name.encode(), Reading("opus", "audio")) == expected


def test_by_metadata() -> None:
    assert origin(b"IMG_1234.PNG", Reading("png", "photo", comment="Screenshot")) == "screenshot"
    assert origin(b"a.png", Reading("png", "photo", software="gnome-screenshot")) == "screenshot"
    assert origin(b"a.jpg", Reading("jpeg", "photo", software="Instagram")) == "instagram"
    assert origin(b"a.jpg", Reading("jpeg", "photo", software="VueScan 9")) == "scan"
    assert origin(b"a.jpg", Reading("jpeg", "photo", make="EPSON", model="Perfection V600")) == "scan"
    for make, model in (("Canon", "MG5300 series"), ("FUJI PHOTO FILM CO., LTD.", "SP-2500"), ("", "QSS-32")):
        assert origin(b"IMG_20230706_0001.jpg", Reading("jpeg", "photo", make=make, model=model)) == "scan"
    assert origin(b"a.jpg", Reading("jpeg", "photo", make="SAMSUNG", model="GT-S5830")) == "camera"
    assert origin(b"a.mp4", Reading("mp4", "video", software="SimpleScreenRecorder 0.4")) == "screenrecording"
    assert origin(b"a.mov", Reading("mov", "video", comment="Screenshot")) == "screenrecording"
    assert origin(b"a.jpg", Reading("jpeg", "photo", make="Canon")) == "camera"
    assert origin(b"a.mov", Reading("mov", "video", model="iPhone 12")) == "camera"
    assert origin(b"a.nef", Reading("nef", "raw")) == "camera"


def test_a_name_that_phones_give_to_what_they_did_not_take() -> None:
    assert origin(b"IMG_1234.PNG", PNG) == ""
    assert origin(b"IMG_1234.mp3", Reading("mp3", "audio")) == ""
    assert origin(b"\xff\xfe\x00", PHOTO) == ""
