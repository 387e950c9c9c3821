"""Films and HEIC pictures put together box by box (ISO base media file format), without an encoder.

The films are motion JPEG: their frame is a JPEG that the caller brings. The pixels of the HEIC picture are
always the same: one HEVC frame, 128x96, a gradient.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
TIMESCALE = 600

# The decoder configuration and the one intra frame of an x265 encoding.
HEVC_CONFIGURATION = base64.b64decode(
    "AQQIAAAAn6gAAAAAHvAA/P34+AAADwOgAAEAF0ABDAH//wQIAAADAJ+oAAADAAAeugJAoQABAChCAQEECAAAAwCfqAAAAwAAHqAQIGFl"
    "upJMrwFoCAAAAwAIAAADAAhAogABAAdEAcFysCJA"
)
HEVC_FRAME = base64.b64decode(
    "AAAAhSgBr1jLMmqXONp2XsbOLzp8BweHBOVG6gNi5MNaBLDA5K1KYr8niLboYig+N7blF9pkojR2/RFysshfQ0kjeKI0xII5IiyXHyF6"
    "U3GpE1kNp+yuVAiAvcm5HyXIvv2YqtVS37jGQILEoQRBXuSSpCc67BbrJsrZDszAkPD/xGXB3JjXhKo="
)
HEIC_SIZE = (128, 96)


def box(name: str, *parts: bytes) -> bytes:
    """A box: its length, its name, its content."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name.encode("latin-1")) + content


def full_box(name: str, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box that starts with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def seconds(moment: datetime | None) -> int:
    """A time as these files keep it; a naive one counts as UTC, and None is zero, as unset clocks write."""
    if moment is None:
        return 0
    return int(((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH).total_seconds())


def film(
    frame: bytes,
    size: tuple[int, int],
    *,
    brand: str = "qt  ",
    created: datetime | None = None,
    frames: int = 1,
    seconds_each: float = 1.0,
    keys: Mapping[str, str] | None = None,
    index_first: bool = True,
) -> bytes:
    """A film that shows one JPEG `frames` times.

    Args:
        frame: a JPEG file.
        brand: "qt  " for .mov, "isom" or "mp42" for .mp4, "3gp4" for .3gp.
        created: the time in the movie, track and media headers.
        keys: QuickTime metadata, by its full name (`com.apple.quicktime.creationdate`).
        index_first: False puts the index behind the data, as most cameras do.
    """
    kind = box("ftyp", brand.encode("ascii"), struct.pack(">I", 0x200), brand.encode("ascii"))
    data = box("mdat", frame)
    parts = _Film(size, len(frame), frames, int(seconds_each * TIMESCALE), seconds(created), keys or {})
    offset = len(kind) + 8 + (len(_index(parts, 0)) if index_first else 0)
    index = _index(parts, offset)
    return kind + (index + data if index_first else data + index)


@dataclass(frozen=True)
class _Film:
    """What the boxes of the index are made of; times in ticks."""

    size: tuple[int, int]
    length: int
    frames: int
    ticks: int
    created: int
    keys: Mapping[str, str]

    @property
    def duration(self) -> int:
        return self.frames * self.ticks


def _index(film: _Film, offset: int) -> bytes:
    header = _movie_header(film.created, film.duration)
    return box("moov", header, _track(film, offset), _metadata(film.keys) if film.keys else b"")


def _movie_header(created: int, duration: int) -> bytes:
    return full_box(
        "mvhd",
        struct.pack(">4I", created, created, TIMESCALE, duration),
        struct.pack(">IH10x", 0x10000, 0x100),
        MATRIX,
        bytes(24),
        struct.pack(">I", 2),
    )


def _track(film: _Film, offset: int) -> bytes:
    header = full_box(
        "tkhd",
        struct.pack(">5I", film.created, film.created, 1, 0, film.duration),
        bytes(16),
        MATRIX,
        struct.pack(">2I", film.size[0] << 16, film.size[1] << 16),
        flags=3,
    )
    media = full_box(
        "mdhd", struct.pack(">4IHH", film.created, film.created, TIMESCALE, film.duration, 0x55C4, 0)
    )
    handler = full_box("hdlr", bytes(4), b"vide", bytes(12), b"video\0")
    source = box("dinf", full_box("dref", struct.pack(">I", 1), full_box("url ", flags=1)))
    information = box("minf", full_box("vmhd", bytes(8), flags=1), source, _samples(film, offset))
    return box("trak", header, box("mdia", media, handler, information))


def _samples(film: _Film, offset: int) -> bytes:
    entry = box(
        "jpeg",
        struct.pack(">6xH16x", 1),
        struct.pack(">HHIIIH", *film.size, 0x480000, 0x480000, 0, 1),
        b"\x0cPhoto - JPEG".ljust(32, b"\0"),
        struct.pack(">Hh", 24, -1),
    )
    count = film.frames
    # Each frame is a chunk of its own, and all of them are at one place.
    return box(
        "stbl",
        full_box("stsd", struct.pack(">I", 1), entry),
        full_box("stts", struct.pack(">3I", 1, count, film.ticks)),
        full_box("stsc", struct.pack(">4I", 1, 1, 1, 1)),
        full_box("stsz", struct.pack(">2I", film.length, count)),
        full_box("stco", struct.pack(">I", count), struct.pack(">I", offset) * count),
    )


def _metadata(keys: Mapping[str, str]) -> bytes:
    handler = full_box("hdlr", bytes(4), b"mdta", bytes(14))
    names = [struct.pack(">I4s", 8 + len(name), b"mdta") + name.encode("utf-8") for name in keys]
    values = [
        struct.pack(">2I", 24 + len(value.encode("utf-8")), number)
        + box("data", struct.pack(">2I", 1, 0), value.encode("utf-8"))
        for number, value in enumerate(keys.values(), 1)
    ]
    # QuickTime's own `meta` has neither version nor flags.
    return box(
        "meta",
        handler,
        full_box("keys", struct.pack(">I", len(names)), *names),
        box("ilst", *values),
    )


def sound(
    texts: Mapping[str, str],
    *,
    created: datetime | None = None,
    brand: str = "M4A ",
    track: tuple[int, int] | None = None,
    handler: str = "sound",
) -> bytes:
    """A second of silence as iTunes keeps it.

    Args:
        texts: its tags by the names of their boxes. created: the time in the headers.
        track: its number, and of how many. handler: the name of what plays it.
    """
    kind = box("ftyp", brand.encode("ascii"), bytes(4), b"mp42isom")
    values = [box(name, box("data", struct.pack(">2I", 1, 0), text.encode())) for name, text in texts.items()]
    if track is not None:
        values.append(box("trkn", box("data", bytes(8), struct.pack(">4H", 0, *track, 0))))
    reads_tags = full_box("hdlr", bytes(4), b"mdirappl", bytes(9))
    tags = box("udta", full_box("meta", reads_tags, box("ilst", *values)))
    time = seconds(created)
    track_header = full_box(
        "tkhd", struct.pack(">5I", time, time, 1, 0, 600), bytes(12), b"\1\0\0\0", MATRIX, bytes(8), flags=7
    )
    media = full_box("mdhd", struct.pack(">4IHH", time, time, 8000, 8000, 0x55C4, 0))
    described = full_box("hdlr", bytes(4), b"soun", bytes(12), handler.encode() + b"\0")
    source = box("dinf", full_box("dref", struct.pack(">I", 1), full_box("url ", flags=1)))
    entry = box("sowt", struct.pack(">6xH8xHHIHH", 1, 1, 16, 0, 8000, 0))
    samples = box(
        "stbl",
        full_box("stsd", struct.pack(">I", 1), entry),
        full_box("stts", struct.pack(">3I", 1, 8000, 1)),
        full_box("stsc", struct.pack(">4I", 1, 1, 8000, 1)),
        full_box("stsz", struct.pack(">2I", 2, 8000)),
        full_box("stco", struct.pack(">2I", 1, len(kind) + 8)),
    )
    information = box("minf", full_box("smhd", bytes(4)), source, samples)
    playing = box("trak", track_header, box("mdia", media, described, information))
    index = box("moov", _movie_header(time, TIMESCALE), playing, tags)
    return kind + box("mdat", bytes(16000)) + index


def picture(exif: bytes, *, brand: str = "heic") -> bytes:
    """A HEIC picture with this EXIF block (a TIFF header and what follows it)."""
    kind = box("ftyp", brand.encode("ascii"), bytes(4), b"mif1", brand.encode("ascii"))
    block = struct.pack(">I", 0) + exif if exif else b""
    offset = len(kind) + len(_items((0, 0), (len(HEVC_FRAME), len(block)))) + 8
    offsets = (offset, offset + len(HEVC_FRAME))
    index = _items(offsets, (len(HEVC_FRAME), len(block)))
    return kind + index + box("mdat", HEVC_FRAME, block)


def _items(offsets: Sequence[int], lengths: Sequence[int]) -> bytes:
    count = 2 if lengths[1] else 1
    types = (b"hvc1", b"Exif")[:count]
    entries = [
        full_box("infe", struct.pack(">HH", number, 0), name, b"\0", version=2)
        for number, name in enumerate(types, 1)
    ]
    places = [
        struct.pack(">HHHII", number, 0, 1, offset, length)
        for number, offset, length in zip(range(1, count + 1), offsets, lengths, strict=False)
    ]
    properties = box(
        "ipco", box("hvcC", HEVC_CONFIGURATION), full_box("ispe", struct.pack(">2I", *HEIC_SIZE))
    )
    belongs = full_box("ipma", struct.pack(">IHBBB", 1, 1, 2, 0x81, 0x02))
    describes = full_box("iref", box("cdsc", struct.pack(">3H", 2, 1, 1))) if count == 2 else b""
    return full_box(
        "meta",
        full_box("hdlr", bytes(4), b"pict", bytes(12), b"\0"),
        full_box("pitm", struct.pack(">H", 1)),
        full_box("iloc", struct.pack(">BBH", 0x44, 0x00, count), *places),
        full_box("iinf", struct.pack(">H", count), *entries),
        describes,
        box("iprp", properties, belongs),
    )
