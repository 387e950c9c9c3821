"""The payload of a file stays when its metadata change, and changes with its content."""

from __future__ import annotations

import hashlib
import io
import math
import random
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mediad.media.prints.ffmpeg import Failed, Source
from mediad.media.prints.payload import payload
from tests import samples
from tests.isobmff import box

NOISE = random.Random(7).randbytes


def payload_of(data: bytes, form: str, deadline: float = math.inf) -> bytes:
    return payload(
        lambda offset, length: data[offset : offset + length],
        len(data),
        form,
        Source(-1, "", deadline),
        deadline,
    )


# --- Builders: content and metadata apart --------------------------------------------------------


def jpeg(content: int, told: str) -> bytes:
    data = samples.jpeg(seed=content, size=(64, 48), model=told)
    comment = told.encode()
    return data[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment + data[2:]


def png(content: int, told: str) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    pixels = zlib.compress(NOISE(0) + bytes((0, content, 2, 3)))
    cut = len(told)  # pixels may be cut into chunks anywhere
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
            chunk(b"tEXt", b"Title\0" + told.encode()),
            chunk(b"IDAT", pixels[:cut]),
            chunk(b"IDAT", pixels[cut:]),
            chunk(b"IEND", b""),
        )
    )


def gif(content: int, told: str) -> bytes:
    data = samples.gif(size=(32, 24), seed=content)
    colours = 13 + (3 << (data[10] & 7) + 1)
    comment = b"\x21\xfe" + bytes((len(told),)) + told.encode() + b"\0"
    return data[:colours] + comment + data[colours:]


def webp(content: int, told: str) -> bytes:
    return samples.webp(seed=content, size=(64, 48), model=told)


def tiff(content: int, told: str) -> bytes:
    return samples.tiff(seed=content, size=(32, 24), model=told)


def heic(content: int, told: str) -> bytes:
    data = samples.heic(model=told)
    at = data.index(b"mdat") + 10
    return data[:at] + bytes((data[at] ^ content,)) + data[at + 1 :]


def jxl(content: int, told: str) -> bytes:
    pixels = b"\xff\x0a" + NOISE(0) + bytes((content,)) * 70
    parts = [box("jxlp", struct.pack(">I", 0), pixels), box("jxlp", struct.pack(">I", 1), b"rest")]
    return box("JXL ", b"\r\n\x87\n") + box("Exif", told.encode()) + b"".join(parts)


def psd(content: int, told: str) -> bytes:
    resources = struct.pack(">I", len(told)) + told.encode()
    return b"8BPS\0\1" + bytes(20) + bytes(4) + resources + bytes(4) + b"\0\1" + bytes((content,))


def raf(content: int, told: str) -> bytes:
    head = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">6I", 0, 0, 0, 0, 200 + len(told), 40)
    return (head.ljust(200, b"\0") + told.encode()) + bytes((content,)) * 40


def mrw(content: int, told: str) -> bytes:
    return b"\0MRM" + struct.pack(">I", len(told)) + told.encode() + bytes((content,)) * 40


def x3f(content: int, told: str) -> bytes:
    start = 16 + len(told)
    entries = struct.pack("<II4s", start, 40, b"IMA2") + struct.pack("<II4s", 16, len(told), b"PROP")
    directory = b"SECd" + struct.pack("<II", 0x20000, 2) + entries
    head = b"FOVb".ljust(16, b"\0") + told.encode() + bytes((content,)) * 40
    return head + directory + struct.pack("<I", len(head))


def crw(content: int, told: str) -> bytes:
    heap = bytes((content,)) * 40 + told.encode()
    table = struct.pack("<H", 2) + struct.pack("<HIIHII", 0x2005, 40, 0, 0x0805, len(told), 40)
    return b"II" + struct.pack("<I", 14) + b"HEAPCCDR" + heap + table + struct.pack("<I", len(heap))


def frames(content: int) -> bytes:
    """MPEG-1 layer III frames of 128 kbit/s at 44.1 kHz: 417 bytes each."""
    return b"".join(b"\xff\xfb\x90\x00" + bytes((content, number)) + bytes(411) for number in range(5))


def mp3(content: int, told: str) -> bytes:
    size = len(told) + 30
    leading = b"ID3\4\0\0\0\0" + bytes((size >> 7, size & 0x7F)) + told.encode().ljust(size, b"\0")
    index = (b"\xff\xfb\x90\x00" + bytes(32) + b"Xing" + told.encode()).ljust(417, b"\0")
    ape = b"item" + told.encode()
    flags = 0x80000000
    footer = b"APETAGEX" + struct.pack("<IIII", 2000, len(ape) + 32, 1, flags) + bytes(8)
    trailing = b"TAG" + told.encode().ljust(125, b"\0")
    return leading + index + frames(content) + b"APETAGEX".ljust(32, b"\0") + ape + footer + trailing


def flac(content: int, told: str) -> bytes:
    comment = b"\x84" + len(told).to_bytes(3, "big") + told.encode()
    return b"fLaC" + b"\0\0\0\x22" + bytes(34) + comment + b"\xff\xf8" + bytes((content,)) * 99


def ogg(content: int, told: str) -> bytes:
    """Opus; `told` also moves the cuts between pages."""
    sound = [bytes((content, number)) * (300 + number) for number in range(6)]
    packets = [b"OpusHead" + bytes(11), b"OpusTags" + told.encode() * 100, *sound]
    segments = [
        (packet[at : at + 255]) for packet in packets for at in range(0, len(packet) + 1, 255)
    ]  # an empty one ends a packet of a multiple of 255 bytes
    pages, size = [], 1 + len(told)
    for number, at in enumerate(range(0, len(segments), size)):
        body = segments[at : at + size]
        flags = 2 if number == 0 else 0
        head = struct.pack("<4sBBqIII", b"OggS", 0, flags, 0, 1000 + len(told), number, 0)
        pages.append(head + bytes((len(body), *map(len, body))) + b"".join(body))
    return b"".join(pages)


def wav(content: int, told: str) -> bytes:
    data = samples.wav(seed=content, duration=0.01)
    text = told.encode() + bytes(len(told) % 2)
    return data[:12] + b"LIST" + struct.pack("<I", len(text)) + text + data[12:]


def aiff(content: int, told: str) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)

    body = chunk(b"COMM", bytes(18)) + chunk(b"NAME", told.encode()) + chunk(b"SSND", bytes((content,)) * 64)
    return b"FORM" + struct.pack(">I", 4 + len(body)) + b"AIFF" + body


BUILDERS: dict[str, Callable[[int, str], bytes]] = {
    "jpeg": jpeg,
    "png": png,
    "gif": gif,
    "webp": webp,
    "tiff": tiff,
    "dng": tiff,
    "heic": heic,
    "jxl": jxl,
    "psd": psd,
    "raf": raf,
    "mrw": mrw,
    "x3f": x3f,
    "crw": crw,
    "mp3": mp3,
    "flac": flac,
    "ogg": ogg,
    "opus": ogg,
    "wav": wav,
    "aiff": aiff,
}


@pytest.mark.parametrize("form", BUILDERS)
def test_metadata_are_no_payload(form: str) -> None:
    build = BUILDERS[form]
    first, second, other = build(1, "one"), build(1, "another"), build(2, "one")
    assert first != second
    assert payload_of(first, form) == payload_of(second, form) != b""
    assert payload_of(other, form) != payload_of(first, form)


def test_a_codestream_is_the_payload_of_its_container() -> None:
    stream = b"\xff\x0a" + b"pixels" * 20
    boxed = box("JXL ", b"\r\n\x87\n") + box("jxlc", stream)
    assert payload_of(stream, "jxl") == payload_of(boxed, "jxl") != b""


def test_the_film_behind_a_picture_belongs_to_it() -> None:
    assert payload_of(jpeg(1, "x") + b"film", "jpeg") != payload_of(jpeg(1, "x"), "jpeg")


def test_the_shape_belongs_to_the_pixels() -> None:
    def blank(size: tuple[int, int]) -> bytes:
        stream = io.BytesIO()
        Image.new("L", size, 7).save(stream, "TIFF")
        return stream.getvalue()

    assert payload_of(blank((20, 30)), "tiff") != payload_of(blank((30, 20)), "tiff")


@pytest.mark.parametrize("form", sorted(BUILDERS.keys() - {"mp3"}))
def test_what_has_no_content_has_no_payload(form: str) -> None:
    assert payload_of(BUILDERS[form](1, "one")[:8], form) == b""


def saved(form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    samples.image((64, 48), 1).convert("P" if form == "GIF" else "RGB").save(stream, form, **options)
    return stream.getvalue()


def vorbis() -> bytes:
    packets = [b"\x01vorbis" + bytes(23), b"\x03vorbis" + bytes(9), b"\x05vorbis" + bytes(range(200))]
    return b"".join(
        struct.pack("<4sBBqIII", b"OggS", 0, 0 if number else 2, 0, 9, number, 0) + bytes((1, len(one))) + one
        for number, one in enumerate(packets)
    )


def before(data: bytes, mark: bytes, behind: int = 0) -> bytes:
    """What comes before a mark, which is there, and so many bytes from there on."""
    return data[: data.index(mark) + behind]


@pytest.mark.parametrize(
    ("form", "cut"),
    [
        ("jpeg", before(samples.jpeg(), b"\xff\xda", 14)),
        ("jpeg", before(samples.jpeg(), b"\xff\xda", 14) + bytes(500)),
        ("jpeg", before(samples.jpeg(), b"\xff\xda") + bytes(500)),
        ("png", before(saved("PNG"), b"IDAT", 4)),
        ("gif", before(saved("GIF"), b"\0" * 4 + struct.pack("<HH", 64, 48), 9)),
        ("webp", before(saved("WEBP"), b"VP8 ", 18)),
        ("jp2", before(saved("JPEG2000"), b"\xff\x93", 2)),
        ("psd", b"8BPS\0\1" + bytes(range(20)) + bytes(4)),
        ("bmp", saved("BMP")[:54]),
        ("heic", before(samples.heic(), b"mdat", 4)),
        ("jxl", b"\xff\x0a" + b"header"),
        ("ogg", vorbis()),
    ],
)
def test_headers_and_tables_alone_are_no_content(form: str, cut: bytes) -> None:
    assert payload_of(cut, form) == b""


def test_previews_are_no_payload_of_a_raw_file() -> None:
    def sigma(preview: bytes) -> bytes:
        jpeg = b"SECi" + struct.pack("<6I", 0x20000, 2, 18, 8, 8, 0) + preview
        sensor = b"SECi" + struct.pack("<6I", 0x20000, 3, 30, 8, 8, 0) + b"sensor"
        start, end = 16 + len(jpeg), 16 + len(jpeg) + len(sensor)
        entries = struct.pack("<II4s", 16, len(jpeg), b"IMA2") + struct.pack("<II4s", start, 34, b"IMA2")
        directory = b"SECd" + struct.pack("<II", 0x20000, 2) + entries
        return b"FOVb".ljust(16, b"\0") + jpeg + sensor + directory + struct.pack("<I", end)

    assert payload_of(sigma(b"one"), "x3f") == payload_of(sigma(b"another"), "x3f") != b""


@pytest.mark.parametrize(
    ("told", "is_known"),
    [
        (["0,v,SHA256=" + "1" * 64, "1,a,SHA256=" + "2" * 64], True),
        (["1,a,SHA256=" + "2" * 64], True),
        (["0,v,SHA256=" + "1" * 64, "1,a,SHA256=" + hashlib.sha256().hexdigest()], True),
        (["0,v,SHA256=" + hashlib.sha256().hexdigest(), "1,a,SHA256=" + "2" * 64], False),
        (["0,v,SHA256=" + hashlib.sha256().hexdigest()], False),
    ],
)
def test_streams_with_nothing_in_them_are_no_content(
    told: list[str], is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "convert", lambda self, output: "\n".join(told).encode())
    if is_known:
        assert len(payload_of(b"", "mp4")) == 32
        return
    with pytest.raises(Failed, match="nothing in its streams"):
        payload_of(b"", "mp4")


@pytest.mark.parametrize("form", BUILDERS)
@given(data=st.data())
@settings(max_examples=15)
def test_broken_files_raise_nothing(form: str, data: st.DataObject) -> None:
    whole = bytearray(BUILDERS[form](1, "one"))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, min(len(whole), 200) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    assert len(payload_of(bytes(whole[:cut]), form)) in (0, 32)


def places(items: int, extents: int, entry: bytes, widths: int) -> bytes:
    """A HEIC whose items have so many extents each, all of them as `entry`."""
    each = b"".join(struct.pack(">HHH", item, 0, extents) + entry * extents for item in range(items))
    located = box("iloc", bytes(4) + struct.pack(">HH", widths, items) + each)
    named = (
        box("infe", b"\2\0\0\0" + struct.pack(">HH4sx", item, 0, b"hvc1")) for item in range(min(items, 99))
    )
    told = box("iinf", bytes(4) + struct.pack(">H", items) + b"".join(named))
    return box("ftyp", b"heic\0\0\0\0") + box("meta", bytes(4) + told + located)


def test_extents_of_no_width_are_bounded_together() -> None:
    with pytest.raises(Failed, match="too many parts"):
        payload_of(places(60_000, 65_535, b"", 0), "heic")


@pytest.mark.parametrize("length", [0, 1 << 16])
def test_items_over_each_other_are_bounded_together(length: int) -> None:
    entry = struct.pack(">II", 0, length)
    data = places(1, 3, entry, 0x4400)
    assert len(payload_of(data, "heic")) == 32
    with pytest.raises(Failed, match="over each other"):
        payload_of(places(20, 20, entry, 0x4400), "heic")


def test_the_samples_of_a_sequence_are_read_once() -> None:
    one = box("ftyp", b"hevc\0\0\0\0") + box("mdat", bytes(99))
    assert payload_of(one + box("moov"), "heic") == payload_of(one + box("moov") * 9, "heic")


def test_a_file_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(Failed, match="too long"):
        payload_of(jpeg(1, "one"), "jpeg", time.monotonic() - 1)
