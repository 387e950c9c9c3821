"""Formats by content and by name, and whether a file's end is there."""

from __future__ import annotations

import io
import struct
from datetime import datetime

import pytest
from PIL import Image

from mediad.media.kind import FORMATS, HEAD_BYTES, claimed, ends_whole, sniff
from tests import samples

WHEN = datetime.fromisoformat("2021-07-10T20:39:25")
FRAME = bytes.fromhex("fffb9000") + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(compatible))


def pillow(name: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7)).save(stream, name)
    return stream.getvalue()


def dng_directory(order: str) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHI4s", 0xC612, 1, 4, b"\1\4\0\0")
    return mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)


OGG_PAGE = b"OggS\0\2" + bytes(20) + b"\1\x08"  # the first of a stream, with a packet of 8 bytes
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14)
ASF_VIDEO = ASF + bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
ASF_AUDIO = ASF + bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
EBML = b"\x1aE\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82"


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        (b"x", samples.jpeg(WHEN), "jpeg"),
        (b"x.heic", samples.jpeg(WHEN), "jpeg"),
        (b"x.nef", samples.jpeg(WHEN), "jpeg"),
        (b"x.jpg", samples.png(), "png"),
        (b"x", samples.gif(), "gif"),
        (b"x", samples.webp(WHEN), "webp"),
        (b"x", samples.tiff(WHEN), "tiff"),
        (b"x", samples.avif(WHEN), "avif"),
        (b"x", samples.heic(WHEN), "heic"),
        (b"x", samples.mov(), "mov"),
        (b"x", samples.mp4(), "mp4"),
        (b"x", samples.wav(), "wav"),
        (b"x", pillow("BMP"), "bmp"),
        (b"x", pillow("JPEG2000"), "jp2"),
        (b"x", b"BM" + bytes(40), None),
        (b"x", ftyp(b"mif1", b"mif1", b"heic"), "heic"),
        (b"x", ftyp(b"mif1", b"mif1", b"avif"), "avif"),
        (b"x", ftyp(b"mif1", b"mif1"), "heif"),
        (b"x", ftyp(b"msf1", b"hevc"), "heic"),
        (b"x", ftyp(b"isom", b"mp41"), "mp4"),
        (b"x", ftyp(b"XAVC", b"mp42"), "mp4"),
        (b"x", ftyp(b"3gp5"), "3gp"),
        (b"x", ftyp(b"M4V "), "m4v"),
        (b"x", ftyp(b"M4A "), "m4a"),
        (b"x.m4a", ftyp(b"qt  "), "m4a"),
        (b"x.m4a", ftyp(b"mp42"), "m4a"),
        (b"x", ftyp(b"crx "), "cr3"),
        (b"x", b"\0\0\0\x18ftyp", None),
        (b"x", box(b"wide") + box(b"mdat", bytes(20)), "mov"),
        (b"x", box(b"moov", bytes(20)), "mov"),
        (b"x", box(b"skip", bytes(8)) + b"no atom at all", None),
        (b"x", b"\0\0\0\x02moov", None),
        (b"x", b"II*\0\x10\0\0\0CR\2\0" + bytes(9), "cr2"),
        (b"x.NEF", samples.tiff(), "nef"),
        (b"x.nrw", samples.tiff(), "nrw"),
        (b"x.arw", samples.tiff(), "arw"),
        (b"x.srf", samples.tiff(), "srf"),
        (b"x.pef", samples.tiff(), "pef"),
        (b"x.kdc", samples.tiff(), "kdc"),
        (b"x.dng", samples.tiff(), "dng"),
        (b"x.tif", dng_directory("<"), "dng"),
        (b"x", dng_directory(">"), "dng"),
        (b"x.iiq", b"II*\0\x08\0\0\0IIIITwaR" + bytes(9), "iiq"),
        (b"x", b"IIRO\x08\0\0\0", "orf"),
        (b"x", b"IIU\0\x18\0\0\0", "rw2"),
        (b"x", b"FUJIFILMCCD-RAW 0201", "raf"),
        (b"x", b"\0MRM" + bytes(9), "mrw"),
        (b"x", b"FOVb\0\0\2\0", "x3f"),
        (b"x", b"II\x1a\0\0\0HEAPCCDR", "crw"),
        (b"x", b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
        (b"x", b"\xff\x0a\xfa\x1f", "jxl"),
        (b"x", b"8BPS\0\1", "psd"),
        (b"x", EBML + b"\x88matroska", "mkv"),
        (b"x", EBML + b"\x84webm", "webm"),
        (b"x", EBML + b"\x84else", None),
        (b"x", b"RIFF\x10\0\0\0AVI LIST", "avi"),
        (b"x", b"RIFF\x10\0\0\0CDXA", None),
        (b"x", (b"G" + bytes(187)) * 9, "mts"),
        (b"x", (bytes(4) + b"G" + bytes(187)) * 9, "mts"),
        (b"x.mts", bytes(100) + (b"G" + bytes(187)) * 9, "mts"),
        (b"x.m2ts", bytes(99) + (b"G" + bytes(191)) * 9, "mts"),
        (b"x.mts", b"G" + bytes(375) + (b"G" + bytes(187)) * 9, "mts"),
        (b"x.mts", bytes(4096), None),
        (b"x.mts", b"G" + bytes(187), None),
        (b"x.jpg", bytes(100) + (b"G" + bytes(187)) * 9, None),
        (b"x", b"\0\0\1\xba!", "mpg"),
        (b"x.mpg", bytes(50) + b"\0\0\1\xba!", "mpg"),
        (b"x.mpg", bytes(50) + b"\0\0\1\xb3", "mpg"),
        (b"x.mpg", bytes(50) + b"\0\0\1\xba\xff\0\0\1\xe0", None),
        (b"x", bytes(50) + b"\0\0\1\xba!", None),
        (b"x", ASF_VIDEO + ASF_AUDIO, "wmv"),
        (b"x", ASF_AUDIO, "wma"),
        (b"x.wma", ASF, "wma"),
        (b"x", ASF, "wmv"),
        (b"x", b"ID3\3\0\0\0\0\0\0" + FRAME, "mp3"),
        (b"x", b"ID3\3\0\0\0\0\0\0fLaC", "flac"),
        (b"x", FRAME * 3, "mp3"),
        (b"x", FRAME, "mp3"),
        (b"x", FRAME[:4] + b"and then something else" * 60, None),
        (b"x.mp3", bytes(1000) + FRAME * 9, "mp3"),
        (b"x.mp3", FRAME[200:] + FRAME * 9, "mp3"),
        (b"x.mp3", FRAME + b"\0" + FRAME * 9, "mp3"),
        (b"x.mp3", b"APETAGEX" + bytes(4088), "mp3"),
        (b"x.mp3", bytes(1000) + FRAME * 2 + bytes(3000), None),
        (b"x.mp3", bytes(3900) + FRAME * 2, None),
        (b"x.mp3", b"\xff" * 4096, None),
        (b"x", bytes(1000) + FRAME * 9, None),
        (b"x", b"fLaC\0", "flac"),
        (b"x", b"OggS" + bytes(24) + b"\1vorbis", "ogg"),
        (b"x", b"OggS" + bytes(24) + b"OpusHead", "opus"),
        (b"x.ogg", OGG_PAGE + b"fishead\0" + OGG_PAGE + b"\x80theora", "ogv"),
        (b"x.ogv", OGG_PAGE + b"fishead\0" + OGG_PAGE + b"\1vorbis\0", "ogg"),
        (b"x", b"FORM\0\0\0\x10AIFF", "aiff"),
        (b"x", b"FORM\0\0\0\x10ILBM", None),
        (b"x.jpg", b"once upon a time", None),
        (b"x.jpg", b"\xff\xfe\xff\xfeU\0T\0F\0", None),
        (b"x.jpg", b"", None),
    ],
)
def test_sniff(name: bytes, head: bytes, expected: str | None) -> None:
    found = sniff(head[:HEAD_BYTES], name)
    assert (found.name if found else None) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.JPG", "jpeg"),
        (b"a/b.c/x.HIF", "heif"),
        (b"x.jpg.xmp", "xmp"),
        (b"x.AAE", "aae"),
        (b"x.m2ts", "mts"),
        (b"\xff\xfe.cr3", "cr3"),
        (b"x.jpg.json", "takeout"),
        (b"x.txt", "text"),
        (b"x.html", None),
        (b"jpg", None),
        (b"a.jpg/b", None),
        (b"", None),
    ],
)
def test_claimed(name: bytes, expected: str | None) -> None:
    found = claimed(name)
    assert (found.name if found else None) == expected


def test_extensions_are_unique_and_canonical() -> None:
    every = [extension for form in FORMATS.values() for extension in form.extensions]
    assert len(every) == len(set(every))
    assert all(extension.startswith(".") and extension == extension.lower() for extension in every)


def whole(name: str, data: bytes) -> bool | None:
    return ends_whole(FORMATS[name], lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("jpeg", samples.jpeg(WHEN)),
        ("png", samples.png()),
        ("gif", samples.gif()),
        ("webp", samples.webp()),
        ("avif", samples.avif()),
        ("heic", samples.heic(WHEN)),
        ("mov", samples.mov()),
        ("mp4", samples.mp4()),
        ("wav", samples.wav()),
    ],
)
def test_whole_and_cut_files(name: str, data: bytes) -> None:
    assert whole(name, data) is True
    assert whole(name, data[: len(data) * 2 // 3]) is False
    assert whole(name, data[:-1]) is False


def test_padding_and_trailers_are_no_damage() -> None:
    jpeg, png, webp = samples.jpeg(WHEN), samples.png(), samples.webp()
    assert whole("jpeg", jpeg + bytes(700)) is True
    assert whole("jpeg", jpeg + samples.wav()) is None
    assert whole("jpeg", jpeg + samples.wav(duration=9)) is None
    assert whole("png", png + b"trailer" * 30_000) is None
    assert whole("webp", webp + b"more") is True
    assert whole("gif", samples.gif() + bytes(9)) is True
    assert whole("heic", samples.heic(WHEN) + b"\0\0\1\0SEFT trailer that is no box") is not True


def test_a_large_baseline_jpeg_that_is_cut_in_its_scan() -> None:
    data = samples.jpeg(WHEN, size=(2400, 1800), quality=95)
    assert len(data) > 200_000
    assert whole("jpeg", data[: len(data) // 2]) is False


@pytest.mark.parametrize("part", [0.97, 0.7, 0.4])
def test_the_end_of_a_thumbnail_is_not_that_of_the_picture(part: float) -> None:
    thumbnail = samples.plain_jpeg(size=(64, 48))
    data = samples.plain_jpeg(size=(256, 192))
    held = b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    data = data[:2] + held + data[2:]
    assert whole("jpeg", data) is True
    assert whole("jpeg", data[: int(len(data) * part)]) is False
    assert whole("jpeg", data[: 2 + len(held) - 5]) is False
    assert whole("jpeg", data + thumbnail + b"trailer") is None


def test_a_jpeg_whose_segments_make_no_sense() -> None:
    data = samples.plain_jpeg(size=(64, 48))
    assert whole("jpeg", data[:2] + b"\x01\x02\x03\x04" + data[2:] + b"trailer") is None


def test_what_cannot_be_told() -> None:
    assert whole("tiff", samples.tiff()) is None
    assert whole("jpeg", b"") is None
    assert whole("wav", b"RIFF\xff\xff\xff\xffWAVEdata") is None
    assert whole("mp4", box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"mdat") + bytes(9)) is True
    assert whole("mp4", box(b"ftyp", b"isom") + struct.pack(">I4s", 3, b"mdat")) is None
    assert whole("mp4", box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"mdat", 1 << 60)) is False
    assert whole("mp4", box(b"free") * 5000) is None


def test_the_walk_is_bounded() -> None:
    calls = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal calls
        calls += 1
        return (box(b"free") * 2)[:length]

    assert ends_whole(FORMATS["mp4"], read, 1 << 40) is None
    assert calls < 10_000
