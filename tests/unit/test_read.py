"""What the content of files tells, sound ones and broken ones."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from mediad.media.__main__ import DescriptorFile
from mediad.media.pictures import exif
from mediad.media.read import ReadError, read
from mediad.media.reading import Candidate, Reading
from tests import samples

WHEN = datetime.fromisoformat("2021-07-10T20:39:25")


def reading(data: bytes, name: bytes = b"x") -> Reading:
    return read(io.BytesIO(data), name, len(data))


def dated(found: Reading, tag: str) -> Candidate:
    (candidate,) = (candidate for candidate in found.candidates if candidate.tag == tag)
    return candidate


# --- Sound pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", [samples.jpeg, samples.png, samples.webp, samples.avif, samples.tiff])
def test_pictures_with_exif(maker: Callable[..., bytes]) -> None:
    found = reading(maker(WHEN, subsec="77", offset="+01:00", size=(64, 48)))
    original = dated(found, "DateTimeOriginal")
    assert original.moment == WHEN.replace(microsecond=770_000)
    assert (original.source, original.offset_minutes, original.utc) == ("exif", 60, False)
    assert dated(found, "CreateDate").moment == WHEN.replace(microsecond=770_000)
    assert dated(found, "ModifyDate").doubt
    assert (found.make, found.model) == ("Canon", "Canon EOS 80D")
    assert (found.width, found.height) == (64, 48)
    assert (found.unreadable, found.damaged) == ("", "")


def test_heic() -> None:
    found = reading(samples.heic(WHEN, offset="+02:00", content_id=samples.CONTENT_ID))
    assert (found.format, found.kind, found.unreadable, found.damaged) == ("heic", "photo", "", "")
    assert dated(found, "DateTimeOriginal").offset_minutes == 120
    assert (found.make, found.model, found.content_id) == ("Apple", "iPhone 12", samples.CONTENT_ID)
    assert found.width is not None
    assert found.orientation == 1


def test_gif_and_bmp_have_dimensions_only() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7)).save(stream, "BMP")
    for data, size in ((samples.gif(size=(40, 30)), (40, 30)), (stream.getvalue(), (9, 7))):
        found = reading(data)
        assert ((found.width, found.height), found.candidates, found.unreadable) == (size, (), "")


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_without_metadata(lossless: bool) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (33, 21)).save(stream, "WEBP", lossless=lossless)
    found = reading(stream.getvalue())
    assert (found.width, found.height, found.damaged) == (33, 21, "")


def test_jpeg_details() -> None:
    gps = datetime.fromisoformat("2021-07-10T18:39:25")
    data = samples.jpeg(
        WHEN, orientation=6, software="Firmware 1.0", gps_time=gps, content_id=samples.CONTENT_ID
    )
    found = reading(data)
    assert (found.orientation, found.software, found.content_id) == (6, "Firmware 1.0", samples.CONTENT_ID)
    candidate = dated(found, "GPSDateTime")
    assert (candidate.moment, candidate.utc) == (gps, True)


def test_plain_pictures_have_no_candidates() -> None:
    for data in (samples.plain_jpeg(), samples.png()):
        found = reading(data)
        assert (found.candidates, found.unreadable, found.damaged) == ((), "", "")


@pytest.mark.parametrize("raw", ["0000:00:00 00:00:00", "    :  :     :  :  "])
def test_dates_that_are_none_are_still_told(raw: str) -> None:
    candidate = dated(reading(samples.jpeg(raw_date=raw)), "DateTimeOriginal")
    assert candidate.moment is None
    assert candidate.raw == raw.strip()


def test_content_wins_over_the_name() -> None:
    found = reading(samples.jpeg(WHEN), b"x.nef")
    assert (found.format, found.kind) == ("jpeg", "photo")


def test_what_we_read_is_what_pillow_reads() -> None:
    data = samples.jpeg(WHEN, subsec="023460", offset="-07:30", orientation=3)
    with Image.open(io.BytesIO(data)) as picture:
        block = picture.getexif()
        theirs = block.get_ifd(ExifTags.IFD.Exif)
    tags = exif.parse_block(block.tobytes())
    assert tags is not None
    assert tags.text(exif.DATE_TIME_ORIGINAL) == theirs[exif.DATE_TIME_ORIGINAL]
    assert tags.text(exif.SUBSEC_ORIGINAL) == theirs[exif.SUBSEC_ORIGINAL]
    assert tags.text(exif.OFFSET_ORIGINAL) == theirs[exif.OFFSET_ORIGINAL]
    assert tags.number(exif.ORIENTATION) == block[exif.ORIENTATION]


# --- XMP and PNG text ----------------------------------------------------------------------------


def packet(properties: str) -> bytes:
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description\n {properties}</x:xmpmeta>".encode()


def jpeg_with(segment: bytes) -> bytes:
    data = samples.plain_jpeg(size=(16, 16))
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def test_xmp_in_jpeg() -> None:
    text = packet(
        'xmp:CreateDate="2015-06-29T18:15:36+01:00" photoshop:DateCreated="2022-01-10T15:15:44.31">'
        "<exif:DateTimeOriginal>2021-07-10T20:39:25Z</exif:DateTimeOriginal>"
    )
    found = reading(jpeg_with(b"http://ns.adobe.com/xap/1.0/\0" + text))
    assert dated(found, "xmp:CreateDate").offset_minutes == 60
    assert dated(found, "photoshop:DateCreated").moment == datetime.fromisoformat("2022-01-10T15:15:44.31")
    original = dated(found, "exif:DateTimeOriginal")
    assert (original.moment, original.utc, original.source) == (WHEN, True, "xmp")


def png_with(info: PngImagePlugin.PngInfo) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def test_png_texts() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "gnome-screenshot")
    info.add_text("Creation Time", "Sat, 10 Jul 2021 20:39:25 +0200")
    comment = "<exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>Screenshot</rdf:li></rdf:Alt>"
    info.add_itxt("XML:com.adobe.xmp", packet(">" + comment).decode(), zip=True)
    info.add(b"tIME", struct.pack(">H5B", 2021, 7, 10, 18, 39, 25))
    found = reading(png_with(info))
    assert (found.software, found.comment) == ("gnome-screenshot", "Screenshot")
    created = dated(found, "png:Creation Time")
    assert (created.moment, created.offset_minutes) == (WHEN, 120)
    assert dated(found, "png:tIME").utc


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("Sa 10 Jul 2021 20:39:25 +0200", 120),
        ("July 10 2021 20:39:25 +0200", 120),
        ("Sat, 10 Jul 2021 20:39:25 GMT", 0),
        ("Sat Jul 10 20:39:25 2021", None),
    ],
)
def test_the_weekday_of_a_creation_time_is_in_any_language(text: str, offset: int | None) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Creation Time", text)
    created = dated(reading(png_with(info)), "png:Creation Time")
    assert (created.moment, created.offset_minutes) == (WHEN, offset)


def test_exif_as_imagemagick_keeps_it_in_png() -> None:
    block = samples.exif(WHEN).tobytes()
    block = block if block.startswith(b"Exif") else b"Exif\0\0" + block
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    assert dated(reading(png_with(info)), "DateTimeOriginal").moment == WHEN


def test_exif_behind_the_pixels_of_a_png() -> None:
    block = samples.exif(WHEN).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    data = samples.png()
    assert dated(reading(data[:-12] + chunk + data[-12:]), "DateTimeOriginal").moment == WHEN


# --- Films ---------------------------------------------------------------------------------------


def test_quicktime() -> None:
    data = samples.mov(
        datetime.fromisoformat("2015-12-12T08:59:26"),
        creation_date="2015-01-19T12:45:11-0800",
        content_id=samples.CONTENT_ID,
        make="Apple",
        model="iPhone 5",
        size=(64, 48),
    )
    found = reading(data, b"x.mov")
    assert (found.format, found.kind, found.unreadable, found.damaged) == ("mov", "video", "", "")
    key = dated(found, "com.apple.quicktime.creationdate")
    assert (key.moment, key.offset_minutes) == (datetime.fromisoformat("2015-01-19T12:45:11"), -480)
    movie = dated(found, "movie header")
    assert (movie.moment, movie.utc) == (datetime.fromisoformat("2015-12-12T08:59:26"), True)
    assert (found.make, found.model, found.content_id) == ("Apple", "iPhone 5", samples.CONTENT_ID)
    assert (found.width, found.height) == (64, 48)
    assert found.duration


@pytest.mark.parametrize("brand", ["mp42", "3gp4", "M4V "])
def test_mp4(brand: str) -> None:
    found = reading(samples.mp4(WHEN, brand=brand))
    assert dated(found, "movie header").moment == WHEN
    assert reading(samples.mp4(brand=brand)).candidates == ()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_what_stands_in_boxes_of_their_own() -> None:
    sony = b'<NonRealTimeMeta><CreationDate value="2019-04-24T22:24:00+02:00"/>'
    sony += b'<Device manufacturer="Sony" modelName="ILCE-7M3"/></NonRealTimeMeta>'
    identifier = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    data = samples.mp4(WHEN) + box(b"meta", bytes(4) + sony)
    data += box(b"uuid", identifier + packet('xmp:CreateDate="2015-06-29T18:15:36+01:00">'))
    found = reading(data)
    assert dated(found, "CreationDateValue").offset_minutes == 120
    assert dated(found, "xmp:CreateDate").source == "xmp"
    assert (found.make, found.model) == ("Sony", "ILCE-7M3")


# --- What is broken ------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", [samples.jpeg, samples.webp, samples.heic, samples.avif])
def test_cut_off_but_dated(maker: Callable[..., bytes]) -> None:
    found = reading(maker(WHEN)[:-20])
    assert found.unreadable == ""
    assert found.damaged
    assert dated(found, "DateTimeOriginal").moment == WHEN


def test_a_cut_png_has_its_size() -> None:
    found = reading(samples.png(size=(64, 48))[:-200])
    assert (found.width, found.unreadable) == (64, "")
    assert found.damaged


def test_exif_is_searched_for_where_the_container_is_broken() -> None:
    data = samples.heic(WHEN)
    at = data.index(b"iinf")
    found = reading(data[:at] + b"xxxx" + data[at + 4 :])
    assert dated(found, "DateTimeOriginal").moment == WHEN
    assert found.damaged
    assert not found.unreadable


@pytest.mark.parametrize(
    ("name", "data", "form", "kind"),
    [
        (b"x.jpg", b"once upon a time", "jpeg", "photo"),
        (b"x.jpg", b"", "jpeg", "photo"),
        (b"x.jpg", samples.broken_jpeg(), "jpeg", "photo"),
        (b"x.jpg", b"\xff\xd8\xff", "jpeg", "photo"),
        (b"x.nef", b"nothing of the kind", "nef", "raw"),
        (b"x.mp4", b"once upon a time", "mp4", "video"),
        (b"x.png", b"\x89PNG\r\n\x1a\n", "png", "photo"),
        (b"x.heic", b"\0\0\0\x10ftypheic\0\0\0\0", "heic", "photo"),
        (b"x.tif", b"II*\0\xff\xff\xff\xff", "tiff", "photo"),
        (b"x.psd", b"8BPS\0\1" + bytes(20), "psd", "photo"),
        (b"x.raf", b"FUJIFILMCCD-RAW 0201" + bytes(99), "raf", "raw"),
        (b"x.mp4", b"\0\0\0\x10ftypmp42\0\0\0\0", "mp4", "video"),
        (b"notes.html", b"once upon a time", "", "photo"),
    ],
)
def test_unreadable(name: bytes, data: bytes, form: str, kind: str) -> None:
    found = reading(data, name)
    assert (found.format, found.kind, found.candidates) == (form, kind, ())
    assert found.unreadable


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (b"x.wav", samples.wav()),
        (b"x.jxl", b"\xff\x0a" + bytes(30)),
    ],
)
def test_content_without_metadata_is_no_error(name: bytes, data: bytes) -> None:
    found = reading(data, name)
    assert (found.candidates, found.unreadable, found.damaged) == ((), "", "")


@pytest.mark.parametrize("data", [b"", b"nonsense", samples.aae(), b"{" * 9999, b"\xff\xd8\xff" + bytes(99)])
def test_sidecars_are_never_unreadable(data: bytes) -> None:
    assert reading(data, b"x.jpg.xmp") == Reading("xmp", "sidecar")
    assert reading(data, b"x.AAE") == Reading("aae", "sidecar")


def tiff(entries: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + table + bytes(4) + tail


def test_metadata_that_lies() -> None:
    loop = tiff([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)])
    huge = tiff([(0x010F, 2, 0xFFFFFFFF, 0), (0x0110, 2, 1 << 20, 9), (0x0112, 3, 0xFFFFFFFF, 0)])
    far = tiff([(0x9003, 2, 20, 0xFFFFFFF0), (0x8769, 4, 1, 0xFFFFFFF0)])
    many = struct.pack("<2sHIH", b"II", 42, 8, 0xFFFF) + bytes(999)
    for data in (loop, huge, far, many):
        tags = exif.parse_block(data)
        assert tags is not None
        assert not tags.sound
        assert exif.candidates(tags) == []


def test_big_tiff() -> None:
    date = b"2021:07:10 20:39:25\0"
    head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 1)
    data = head + struct.pack("<HHQQ", 0x9003, 2, len(date), 24 + 20 + 8) + bytes(8) + date
    assert exif.candidates(exif.parse_block(data) or exif.Tags())[0].moment == WHEN


def test_a_picture_of_an_impossible_size_is_not_decoded() -> None:
    chunk = b"IHDR" + struct.pack(">II5B", 1 << 31, 1 << 31, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert reading(data).width == 1 << 31


def test_texts_are_printable_and_bounded() -> None:
    found = reading(samples.jpeg(WHEN, make="A" * 500, model="line\nbreak\x1b[2J"))
    assert found.make == "A" * 64
    assert found.model == "line break [2J"


def test_an_error_of_the_system_is_no_fault_of_the_file() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(ReadError, match="Input/output error"):
        read(Failing(b"x"), b"x.jpg", 1)


def test_descriptors_are_read_without_moving_their_offset(tmp_path: Path) -> None:
    path = tmp_path / "x.mov"
    path.write_bytes(samples.mov(WHEN))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.lseek(descriptor, 7, os.SEEK_SET)
        size = path.stat().st_size
        found = read(cast("BinaryIO", DescriptorFile(descriptor, size)), b"x.mov", size)
        assert dated(found, "movie header").moment == WHEN
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 7
    finally:
        os.close(descriptor)
