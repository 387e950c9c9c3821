"""The samples are what they claim to be, by the judgement of other programs' parsers."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pi_heif
import pytest
from PIL import Image, UnidentifiedImageError
from pymediainfo import MediaInfo

from tests import samples

TAKEN = datetime.fromisoformat("2021-07-10 20:39:25")
CREATED = datetime.fromisoformat("2021-07-10 18:39:25+00:00")

PICTURES: dict[str, Callable[..., bytes]] = {
    "JPEG": samples.jpeg,
    "PNG": samples.png,
    "WEBP": samples.webp,
    "AVIF": samples.avif,
    "TIFF": samples.tiff,
    "HEIF": samples.heic,
}


@pytest.fixture(autouse=True)
def heif_reader() -> None:
    pi_heif.register_heif_opener()


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("format_name", PICTURES)
def test_a_picture_has_its_metadata(format_name: str) -> None:
    content = PICTURES[format_name](
        TAKEN, offset="+02:00", subsec="77", make="Acme", model="One", gps=(-33.8568, 151.2153)
    )
    picture = opened(content)
    assert picture.format == format_name
    block = picture.getexif()
    details = block.get_ifd(0x8769)
    assert (block[0x010F], block[0x0110]) == ("Acme", "One")
    assert (details[0x9003], details[0x9011], details[0x9291]) == ("2021:07:10 20:39:25", "+02:00", "77")
    place = block.get_ifd(0x8825)
    assert (place[1], place[3]) == ("S", "E")
    assert [float(part) for part in place[2]] == pytest.approx([33, 51, 24.48])


@pytest.mark.parametrize("format_name", PICTURES)
def test_a_picture_follows_its_arguments(format_name: str) -> None:
    make = PICTURES[format_name]
    assert make(TAKEN) == make(TAKEN)
    assert make(TAKEN) != make(TAKEN.replace(year=2020))
    if format_name != "HEIF":
        assert make(TAKEN, seed=1) != make(TAKEN, seed=2)


def test_pictures_without_dates() -> None:
    assert 0x9003 not in opened(samples.jpeg()).getexif().get_ifd(0x8769)
    assert not opened(samples.plain_jpeg()).getexif()
    assert opened(samples.gif()).format == "GIF"
    zeros = samples.jpeg(raw_date="0000:00:00 00:00:00")
    assert opened(zeros).getexif().get_ifd(0x8769)[0x9003] == "0000:00:00 00:00:00"


def test_a_broken_picture_cannot_be_opened() -> None:
    with pytest.raises(UnidentifiedImageError):
        opened(samples.broken_jpeg())


def test_a_series_has_distinct_whole_pictures_of_one_length() -> None:
    series = dict(samples.jpeg_series(40, pictures=2))
    assert len(series) == len(set(series.values())) == 40
    assert {len(content) for content in series.values()} == {80_000}
    last = opened(series["IMG_00039.JPG"])
    assert last.getexif().get_ifd(0x8769)[0x9003] == last.getexif()[0x0132] == "2021:03:01 11:54:00"
    assert series == dict(samples.jpeg_series(40, pictures=2))


def test_a_series_can_be_of_another_length() -> None:
    assert {len(content) for _, content in samples.jpeg_series(3, length=12_000)} == {12_000}


def general(path: Path) -> dict[str, Any]:
    """What MediaInfo says of a file as a whole, and of its first video track."""
    tracks = {track.track_type: track.to_data() for track in MediaInfo.parse(path).tracks}
    return {**tracks["General"], "video": tracks.get("Video", {})}


def test_a_film_has_its_dates_and_its_frames(tmp_path: Path) -> None:
    film = samples.mov(
        CREATED, creation_date="2021-07-10T20:39:25+0200", content_id="some-id", make="Acme", frames=3
    )
    (tmp_path / "film.mov").write_bytes(film)
    found = general(tmp_path / "film.mov")
    assert found["encoded_date"] == "2021-07-10 18:39:25 UTC"
    assert found["comapplequicktimecreationdate"] == "2021-07-10T20:39:25+0200"
    assert found["comapplequicktimecontentidentifier"] == "some-id"
    assert (found["video"]["width"], found["video"]["height"], found["duration"]) == (320, 240, 3000)


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("brand", ["mp42", "isom", "3gp4", "qt  "])
def test_a_film_is_accepted_by_ffprobe(first: bool, brand: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(samples.mp4(CREATED, brand=brand, frames=2, index_first=first))
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json"]
    probed = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    found = json.loads(probed.stdout)
    assert probed.stderr == ""
    assert found["streams"][0]["codec_name"] == "mjpeg"
    assert found["streams"][0]["nb_read_frames"] == "2"
    assert found["format"]["tags"]["creation_time"] == "2021-07-10T18:39:25.000000Z"


@pytest.mark.usefixtures("ffmpeg")
def test_an_encoded_film(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(samples.video(CREATED, duration=0.5))
    found = general(tmp_path / "film.mp4")
    assert found["encoded_date"] == "2021-07-10 18:39:25 UTC"
    assert found["video"]["format"] == "AVC"


@pytest.mark.parametrize("still", ["jpeg", "heic"])
def test_the_halves_of_a_live_photo_belong_together(still: str, tmp_path: Path) -> None:
    picture, film = samples.live_photo(TAKEN, still=still)
    note = opened(picture).getexif().get_ifd(0x8769)[0x927C]
    assert note.startswith(b"Apple iOS\0")
    assert note.endswith(samples.CONTENT_ID.encode() + b"\0")
    (tmp_path / "film.mov").write_bytes(film)
    found = general(tmp_path / "film.mov")
    assert found["comapplequicktimecontentidentifier"] == samples.CONTENT_ID
    assert found["encoded_date"] == "2021-07-10 18:39:25 UTC"


def test_sidecars() -> None:
    assert b'exif:DateTimeOriginal="2021-07-10T20:39:25+02:00"' in samples.xmp_sidecar(TAKEN, offset="+02:00")
    assert b"DateTimeOriginal" not in samples.xmp_sidecar()
    takeout = json.loads(samples.takeout_sidecar("a.jpg", CREATED))
    assert int(takeout["photoTakenTime"]["timestamp"]) == CREATED.astimezone(UTC).timestamp()
    assert b"com.apple.photo" in samples.aae()


def test_a_sound(tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(samples.wav(duration=0.5))
    assert general(tmp_path / "sound.wav")["duration"] == 500
