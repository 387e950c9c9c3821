"""Films and sounds of every format put together byte by byte, without an encoder.

Each is as short as it can be and still be told by programs that know nothing of us: a grey picture of 64x48
or a moment of silence, with the metadata that its format keeps.
"""

from __future__ import annotations

import base64
import io
import struct
import wave
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from tests import isobmff, samples

WHEN = datetime(2021, 7, 10, 20, 39, 25)  # noqa: DTZ001 - local time, as cameras keep it
WHEN_UTC = datetime(2021, 7, 10, 18, 39, 25, tzinfo=UTC)
SIZE = (64, 48)
TAGS = {"artist": "The Artist", "album": "The Album", "title": "The Title", "track": "3/12"}

_H264 = base64.b64decode(  # parameter sets and one intra frame, by x264
    "AAAAAWdCwArZBHsBEAAAAwAQAAADAyDxImSAAAAAAWjLg8sgAAABZYiECvJigAF5OTk666666668"
)
_MPEG1 = base64.b64decode(  # one intra frame, by FFmpeg
    "AAABswQAMBP//+AYAAABuAAIAEAAAAEAAA//+AAAAQETWlKRFylKRFylKRFylKREAAABAhNaUpEXKUpEXKUpEXKUpEQAAAEDE1pSkRcp"
    "SkRcpSkRcpSkRA=="
)


def frame() -> bytes:
    """A picture."""
    return samples.plain_jpeg(size=SIZE)


# --- RIFF and IFF -----------------------------------------------------------------------------------


def chunk(name: str, *parts: bytes, order: str = "<") -> bytes:
    """A chunk of RIFF, or with ">" of IFF: name, length, content, and a byte that makes it even."""
    content = b"".join(parts)
    return name.encode("ascii") + struct.pack(order + "I", len(content)) + content + bytes(len(content) % 2)


def avi(
    idit: str = "Sat Jul 10 20:39:25 2021\n\0", *, info: Mapping[str, str] | None = None, more: bytes = b""
) -> bytes:
    """A film of one JPEG.

    Args:
        idit: the text of the camera's date. info: texts by the names of their chunks.
        more: further chunks in the list of headers.
    """
    picture = frame()
    main = struct.pack("<10I", 100_000, 10_000, 0, 0x10, 1, 0, 1, len(picture), *SIZE) + bytes(16)
    stream = b"vidsMJPG" + struct.pack("<10I", 0, 0, 0, 1, 10, 0, 1, len(picture), 0, 0) + bytes(8)
    form = struct.pack("<IIIHH4sIIIII", 40, *SIZE, 1, 24, b"MJPG", len(picture), 0, 0, 0, 0)
    streams = chunk("LIST", b"strl", chunk("strh", stream), chunk("strf", form))
    date = chunk("IDIT", idit.encode("ascii")) if idit else b""
    headers = chunk("LIST", b"hdrl", chunk("avih", main), streams, date, more)
    texts = [chunk(name, text.encode("utf-8") + b"\0") for name, text in (info or {}).items()]
    film = chunk("LIST", b"movi", chunk("00dc", picture))
    return chunk("RIFF", b"AVI ", headers, chunk("LIST", b"INFO", *texts) if texts else b"", film)


def wav(
    *, bext: tuple[str, str] | None = None, info: Mapping[str, str] | None = None, more: bytes = b""
) -> bytes:
    """A moment of silence; `bext` is the day and the time of a broadcast recorder."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    parts = [stream.getvalue()[12:]]
    if bext is not None:
        day, time = (text.encode("ascii") for text in bext)
        parts.insert(0, chunk("bext", bytes(320), day.ljust(10, b"\0"), time.ljust(8, b"\0"), bytes(264)))
    if info is not None:
        texts = (chunk(name, text.encode("utf-8") + b"\0") for name, text in info.items())
        parts.append(chunk("LIST", b"INFO", *texts))
    return chunk("RIFF", b"WAVE", *parts, more)


def id3(texts: Mapping[str, str]) -> bytes:
    """An ID3v2.4 tag with these frames."""
    frames = b""
    for name, text in texts.items():
        content = b"\3" + text.encode("utf-8")
        frames += name.encode("ascii") + _synchsafe(len(content)) + bytes(2) + content
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


_ID3 = {"TPE1": TAGS["artist"], "TALB": TAGS["album"], "TIT2": TAGS["title"], "TRCK": TAGS["track"]}


def mp3(texts: Mapping[str, str] | None = None) -> bytes:
    """Frames of MPEG-1 layer 3, 128 kbit/s, 44.1 kHz, all zeros, behind an ID3 tag."""
    return id3({**_ID3, "TDRC": "2001-01-01"} if texts is None else texts) + (
        (b"\xff\xfb\x90\xc4" + bytes(413)) * 12
    )


def aiff() -> bytes:
    """A moment of silence with an ID3 tag."""
    rate = b"\x40\x0b\xfa\x00" + bytes(6)  # 8000 as an extended number
    common = chunk("COMM", struct.pack(">hIh", 1, 800, 16), rate, order=">")
    sound = chunk("SSND", bytes(8), bytes(1600), order=">")
    return chunk("FORM", b"AIFF", common, sound, chunk("ID3 ", id3(_ID3), order=">"), order=">")


# --- Xiph -------------------------------------------------------------------------------------------


def _comments(more: Mapping[str, str]) -> bytes:
    texts = {"ARTIST": TAGS["artist"], "ALBUM": TAGS["album"], "TITLE": TAGS["title"], **more}
    lines = [f"{name}={text}".encode() for name, text in texts.items()]
    parts = [struct.pack("<I", len(line)) + line for line in lines]
    return struct.pack("<I", 4) + b"test" + struct.pack("<I", len(lines)) + b"".join(parts)


_MUSIC = {"TRACKNUMBER": TAGS["track"], "DATE": "2001-01-01"}


def flac() -> bytes:
    """STREAMINFO, comments and the beginning of a frame."""
    rate, channels, bits, count = 8000, 1, 16, 8000
    packed = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | count
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    comments = _comments(_MUSIC)
    blocks = (
        b"\0" + len(info).to_bytes(3, "big") + info + b"\x84" + len(comments).to_bytes(3, "big") + comments
    )
    return b"fLaC" + blocks + b"\xff\xf8\xc4\x08\0" + bytes(64)


def _pages(*packets: bytes) -> bytes:
    """A page for each packet; the last page ends the stream after one second of 48 kHz (RFC 3533, 6)."""
    pages = b""
    for number, packet in enumerate(packets):
        kind = (2 if number == 0 else 0) | (4 if number == len(packets) - 1 else 0)
        sizes = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        position = 48000 if kind & 4 else 0
        header = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, position, 77, number, 0, len(sizes))
        page = bytearray(header + sizes + packet)
        page[22:26] = struct.pack("<I", _crc(bytes(page)))
        pages += page
    return pages


def _crc(data: bytes) -> int:
    """The checksum that Ogg and MPEG share, but for the value that it starts with."""
    return _crc_from(0, data)


def _crc_from(start: int, data: bytes) -> int:
    value = start
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def ogg() -> bytes:
    """Vorbis: what it is, and comments."""
    first = b"\1vorbis" + struct.pack("<IBIiiiBB", 0, 1, 48000, 0, 64000, 0, 0xB8, 1)
    return _pages(first, b"\3vorbis" + _comments(_MUSIC) + b"\1", b"\5vorbis" + bytes(40), bytes(20))


def opus() -> bytes:
    """Opus: what it is, comments, and a frame of silence."""
    first = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, 48000, 0, 0)
    return _pages(first, b"OpusTags" + _comments(_MUSIC), b"\xf8\xff\xfe")


def ogv(*, music: bool = False) -> bytes:
    """Theora (its specification, 6.1 to 6.4): what it is, comments, and where tables and pictures would be.

    What ends `_pages` is the picture 48000 / 64, of which there are 750 in a second.
    """
    width, height = SIZE
    first = b"\x80theora\3\2\1" + struct.pack(">HH", width // 16, height // 16)
    first += width.to_bytes(3, "big") + height.to_bytes(3, "big") + bytes(2) + struct.pack(">II", 750, 1)
    first += bytes(6) + b"\0" + bytes(3) + (6 << 5).to_bytes(2, "big")
    texts = _MUSIC if music else {"ALBUM": "", "DATE": "2021-07-10T20:39:25+0200"}
    return _pages(first, b"\x81theora" + _comments(texts), b"\x82theora" + bytes(40), bytes(20))


# --- Matroska (RFC 9559) ----------------------------------------------------------------------------


def element(name: str, *parts: bytes) -> bytes:
    """An element: its name in hexadecimal digits, its length, its content."""
    content = b"".join(parts)
    length = (
        bytes([0x80 | len(content)]) if len(content) < 127 else (len(content) | 1 << 28).to_bytes(4, "big")
    )
    return bytes.fromhex(name) + length + content


def matroska(
    created: datetime | None = WHEN_UTC, *, document: str = "matroska", more: str = "", program: str = "test"
) -> bytes:
    """A film whose track has no block; `more` is the value of a tag DATE_RECORDED, `program` wrote it."""
    header = element("1A45DFA3", element("4282", document.encode("ascii")), element("4287", b"\4"))
    written = created - datetime(2001, 1, 1, tzinfo=UTC) if created is not None else None
    date = element("4461", struct.pack(">q", written // timedelta(microseconds=1) * 1000)) if written else b""
    information = element(
        "1549A966",
        element("2AD7B1", (1_000_000).to_bytes(4, "big")),
        element("4489", struct.pack(">d", 1500.0)),
        element("7BA9", TAGS["title"].encode()),
        element("5741", program.encode()),
        date,
    )
    size = element("E0", element("B0", bytes([SIZE[0]])), element("BA", bytes([SIZE[1]])))
    codec = element("86", b"V_VP9" if document == "webm" else b"V_MJPEG")
    entry = element("AE", element("D7", b"\1"), element("73C5", b"\1"), element("83", b"\1"), codec, size)
    values = {"ARTIST": TAGS["artist"], **({"DATE_RECORDED": more} if more else {})}
    tags = [
        element("67C8", element("45A3", name.encode()), element("4487", value.encode()))
        for name, value in values.items()
    ]
    tagged = element("1254C367", element("7373", element("63C0", element("68CA", b"\x32")), *tags))
    return header + element("18538067", information, element("1654AE6B", entry), tagged)


# --- Windows Media (Advanced Systems Format) --------------------------------------------------------

_ASF_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def _guid(text: str) -> bytes:
    first, second, third, *rest = text.split("-")
    parts = struct.pack("<IHH", int(first, 16), int(second, 16), int(third, 16))
    return parts + bytes.fromhex("".join(rest))


def _object(name: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return _guid(name) + struct.pack("<Q", 24 + len(content)) + content


def asf(created: datetime | None = WHEN_UTC, *, picture: bool = True, music: bool = False) -> bytes:
    """A film (`picture`) or a sound, as .wmv and .wma are."""
    ticks = (created - _ASF_EPOCH) // timedelta(microseconds=1) * 10 if created is not None else 0
    properties = _object(
        "8CABDCA1-A947-11CF-8EE4-00C00C205365",
        bytes(16),
        struct.pack("<6Q4I", 0, ticks, 1, 15_000_000, 15_000_000, 0, 2, 100, 100, 64000),
    )
    if picture:
        kind = "BC19EFC0-5B4D-11CF-A8FD-00805F5C442B"
        form = struct.pack("<IHH4sIIIII", 40, 1, 24, b"WMV2", 0, 0, 0, 0, 0)
        form = form[:4] + struct.pack("<II", *SIZE) + form[4:]
        details = struct.pack("<IIBH", *SIZE, 2, len(form)) + form
    else:
        kind = "F8699E40-5B4D-11CF-A8FD-00805F5C442B"
        details = struct.pack("<HHIIHHH", 0x161, 1, 8000, 1000, 64, 16, 0)
    lengths = struct.pack("<QIIHI", 0, len(details), 0, 1, 0)
    stream = _object(
        "B7DC0791-A9B7-11CF-8EE6-00C00C205365",
        _guid(kind) + _guid("20FB5700-5B55-11CF-A8FD-00805F5C442B") + lengths + details,
    )
    objects = [properties, stream, _asf_description()] + ([_asf_music()] if music else [])
    header = struct.pack("<IBB", len(objects), 1, 2) + b"".join(objects)
    data = _object("75B22636-668E-11CF-A6D9-00AA0062CE6C", bytes(16), struct.pack("<QH", 0, 0x101))
    return _object("75B22630-668E-11CF-A6D9-00AA0062CE6C", header) + data


def _asf_description() -> bytes:
    texts = [(text + "\0").encode("utf-16-le") for text in (TAGS["title"], TAGS["artist"], "", "", "")]
    lengths = struct.pack("<5H", *(len(text) for text in texts))
    return _object("75B22633-668E-11CF-A6D9-00AA0062CE6C", lengths, *texts)


def _asf_music() -> bytes:
    values = {"WM/AlbumTitle": TAGS["album"], "WM/TrackNumber": "3"}
    parts = [struct.pack("<H", len(values))]
    for name, value in values.items():
        for number, text in enumerate((name, value)):
            data = (text + "\0").encode("utf-16-le")
            parts.append((struct.pack("<H", 0) if number else b"") + struct.pack("<H", len(data)) + data)
    return _object("D2D0A440-E307-11D2-97F0-00A0C95EA850", *parts)


# --- MPEG -------------------------------------------------------------------------------------------


def mpg() -> bytes:
    """A program stream of MPEG-1 (ISO/IEC 11172-1) with a picture again and again."""
    pack = b"\0\0\1\xba" + bytes.fromhex("2100010001800fa1")
    packet = b"\x0f" + _MPEG1
    return (pack + b"\0\0\1\xe0" + struct.pack(">H", len(packet)) + packet) * 12 + b"\0\0\1\xb9"


def mts(zone: int = 0x04, make: int = 0x0108) -> bytes:
    """AVCHD: a transport stream whose picture carries a camera's date (MDPM) in its SEI.

    Args:
        zone: the byte of the time zone: 0x04 is two hours east. make: 0x0108 is Sony, 0x0103 Panasonic.
    """
    date = bytes([0x18, zone, 0x20, 0x21, 0x07, 0x19, 0x10, 0x20, 0x39, 0x25])
    model = b"\xe0" + struct.pack(">HH", make, 0x3100)
    note = bytes.fromhex("17ee8c60f84d11d98cd60800200c9a66") + b"MDPM" + b"\3" + date + model
    sei = b"\0\0\0\1\6\5" + bytes([len(note)]) + note + b"\x80"
    at = _H264.index(b"\0\0\1\x65")
    first, second = _H264[:at], _H264[at:]
    video = b"\0\0\0\1\x09\x10" + first + sei + second
    stamp = b"\x21\0\1\0\1"
    picture = b"\0\0\1\xe0\0\0\x80\x80\x05" + stamp + video
    programs = _section(0, struct.pack(">HH", 1, 0xE000 | 0x100))
    registered = b"\x05\x04HDMV"
    stream = struct.pack(">BHH", 0x1B, 0xE000 | 0x1011, 0xF000)
    table = _section(2, struct.pack(">HH", 0xE000 | 0x1011, 0xF000 | len(registered)) + registered + stream)
    parts = [(0, b"\0" + programs), (0x100, b"\0" + table), (0x1011, picture), (0x1011, picture)]
    packets = [packet for number, (pid, data) in enumerate(parts) for packet in _packets(pid, data, number)]
    packets += _packets(0x1FFF, bytes(184 * 40), 0)
    return b"".join(struct.pack(">I", 100 * number) + packet for number, packet in enumerate(packets))


def _section(table: int, content: bytes) -> bytes:
    body = struct.pack(">BHHBBB", table, 0xB000 | len(content) + 9, 1, 0xC1, 0, 0) + content
    return body + struct.pack(">I", _crc_from(0xFFFFFFFF, body))


def _packets(pid: int, data: bytes, counter: int) -> list[bytes]:
    packets = []
    for number, at in enumerate(range(0, len(data), 184)):
        part = data[at : at + 184]
        start = 0x40 if at == 0 else 0
        head = bytes([0x47, start | pid >> 8, pid & 0xFF])
        filler = 184 - len(part)
        if filler and pid in (0, 0x100):
            part, filler = part + b"\xff" * filler, 0
        flags = 0x30 if filler else 0x10
        stuffing = (
            (bytes([filler - 1]) + (b"\0" + b"\xff" * (filler - 2) if filler > 1 else b"")) if filler else b""
        )
        packets.append(head + bytes([flags | (counter + number) & 15]) + stuffing + part)
    return packets


def m4a(*, music: bool = True, brand: str = "M4A ") -> bytes:
    """A sound as iTunes keeps it; without `music` as a voice memo is."""
    texts = {"\xa9nam": TAGS["title"], "\xa9too": "test"}
    if music:
        texts |= {"\xa9ART": TAGS["artist"], "\xa9alb": TAGS["album"], "\xa9day": "2001-01-01T07:00:00Z"}
    else:
        texts["\xa9day"] = "2021-07-10T20:39:25+0200"
    return isobmff.sound(texts, created=WHEN_UTC, brand=brand, track=(3, 12) if music else None)


SAMPLES: dict[str, Callable[[], bytes]] = {
    "mp4": lambda: samples.mp4(WHEN_UTC, size=SIZE),
    "mov": lambda: samples.mov(WHEN_UTC, creation_date="2021-07-10T20:39:25+0200", size=SIZE, make="Acme"),
    "m4v": lambda: samples.mp4(WHEN_UTC, size=SIZE, brand="M4V "),
    "3gp": lambda: samples.mp4(WHEN_UTC, size=SIZE, brand="3gp5"),
    "mkv": matroska,
    "webm": lambda: matroska(document="webm"),
    "avi": avi,
    "mts": mts,
    "mpg": mpg,
    "wmv": asf,
    "ogv": ogv,
    "mp3": mp3,
    "m4a": m4a,
    "flac": flac,
    "ogg": ogg,
    "opus": opus,
    "wav": lambda: wav(bext=("2021-07-10", "20:39:25"), info={"IART": TAGS["artist"], "INAM": TAGS["title"]}),
    "aiff": aiff,
    "wma": lambda: asf(picture=False, music=True),
}
"""A sample of each format, by its name."""
