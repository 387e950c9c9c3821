"""Makers of media for the tests and the demo: real formats, real metadata, content that follows a seed.

Equal arguments make equal bytes. Nothing here needs more than Pillow, except `video`, which needs ffmpeg.
"""

from __future__ import annotations

import functools
import io
import json
import random
import struct
import tempfile
import wave
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, TiffImagePlugin

from tests import isobmff

Size = tuple[int, int]

EXIF_TIME = "%Y:%m:%d %H:%M:%S"
CONTENT_ID = "6A2B5B5C-1E0F-4E0B-9B55-2B1C0D3E4F50"
QUICKTIME = "com.apple.quicktime."


def image(size: Size = (640, 480), seed: int = 0, grid: Size = (12, 9)) -> Image.Image:
    """A picture of coloured blurs, `grid` of them: rich enough for a fingerprint, small when encoded."""
    blurs = Image.frombytes("RGB", grid, random.Random(seed).randbytes(grid[0] * grid[1] * 3))
    return blurs.resize(size, Image.Resampling.BICUBIC)


class _Exif(Image.Exif):
    """Pillow declares a maker note to be numbers; cameras declare it to be of no type."""

    def tobytes(self, offset: int = 8) -> bytes:
        return super().tobytes(offset).replace(b"\x7c\x92\x01\x00", b"\x7c\x92\x07\x00", 1)


def exif(
    taken: datetime | None = None,
    *,
    offset: str | None = None,
    subsec: str | None = None,
    make: str = "Canon",
    model: str = "Canon EOS 80D",
    software: str = "",
    orientation: int | None = None,
    gps: tuple[float, float] | None = None,
    gps_time: datetime | None = None,
    content_id: str = "",
    raw_date: str | None = None,
) -> Image.Exif:
    """The metadata of a camera.

    Args:
        taken: local wall-clock time, written to all three date fields.
        offset: "+02:00", and `subsec` "77", each in all its three fields.
        gps: latitude and longitude, signed; `gps_time` in UTC.
        content_id: Apple's identifier, in a maker note, as the still half of a Live Photo has it.
        raw_date: a text to stand in the date fields instead of `taken`.
    """
    block = _Exif()
    date = raw_date if raw_date is not None else taken.strftime(EXIF_TIME) if taken else ""
    first = {0x010F: make, 0x0110: model, 0x0112: orientation, 0x0131: software, 0x0132: date}
    block.update({tag: value for tag, value in first.items() if value})
    dates = dict.fromkeys((0x9003, 0x9004), date)
    offsets = dict.fromkeys((0x9010, 0x9011, 0x9012), offset)
    fractions = dict.fromkeys((0x9290, 0x9291, 0x9292), subsec)
    note = {0x927C: _apple_note(content_id) if content_id else None}
    details = {**dates, **offsets, **fractions, **note}
    block.get_ifd(0x8769).update({tag: value for tag, value in details.items() if value})
    block.get_ifd(0x8825).update(_gps(gps, gps_time))
    return block


def _gps(place: tuple[float, float] | None, moment: datetime | None) -> dict[int, Any]:
    tags: dict[int, Any] = {}
    if place is not None:
        latitude, longitude = place
        tags[1], tags[2] = "S" if latitude < 0 else "N", _degrees(latitude)
        tags[3], tags[4] = "W" if longitude < 0 else "E", _degrees(longitude)
    if moment is not None:
        tags[7] = (float(moment.hour), float(moment.minute), float(moment.second))
        tags[0x1D] = f"{moment:%Y:%m:%d}"
    return tags


def _degrees(value: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(round(abs(value) * 3600, 2), 60)
    return (float(minutes // 60), float(minutes % 60), seconds)


def _apple_note(content_id: str) -> bytes:
    text = content_id.encode("ascii") + b"\0"
    header = b"Apple iOS\0\0\1MM"
    # One entry of type ASCII; its offset counts from the start of the note.
    entry = struct.pack(">HHII", 0x0011, 2, len(text), len(header) + 2 + 12 + 4)
    return header + struct.pack(">H", 1) + entry + bytes(4) + text


def jpeg(
    taken: datetime | None = None,
    *,
    size: Size = (640, 480),
    seed: int = 0,
    quality: int = 85,
    **metadata: Any,
) -> bytes:
    """A JPEG picture; `metadata` as for `exif`."""
    return _encoded("JPEG", image(size, seed), exif(taken, **metadata), quality=quality)


def plain_jpeg(*, size: Size = (640, 480), seed: int = 0) -> bytes:
    """A JPEG picture without any metadata, as messengers send it."""
    return _encoded("JPEG", image(size, seed), None, quality=80)


def png(taken: datetime | None = None, *, size: Size = (320, 240), seed: int = 0, **metadata: Any) -> bytes:
    """A PNG picture; without `taken` and `metadata` it has no EXIF, as screenshots have none."""
    block = exif(taken, **metadata) if taken or metadata else None
    return _encoded("PNG", image(size, seed), block)


def webp(taken: datetime | None = None, *, size: Size = (320, 240), seed: int = 0, **metadata: Any) -> bytes:
    """A WebP picture; `metadata` as for `exif`."""
    return _encoded("WEBP", image(size, seed), exif(taken, **metadata), quality=70)


def avif(taken: datetime | None = None, *, size: Size = (320, 240), seed: int = 0, **metadata: Any) -> bytes:
    """An AVIF picture; `metadata` as for `exif`."""
    return _encoded("AVIF", image(size, seed), exif(taken, **metadata), quality=60, speed=10, max_threads=1)


def tiff(taken: datetime | None = None, *, size: Size = (160, 120), seed: int = 0, **metadata: Any) -> bytes:
    """A TIFF picture; `metadata` as for `exif`."""
    block = exif(taken, **metadata)
    stream = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    # Pillow does not write the inner directories of an Exif object into a TIFF.
    for tag, value in {**block, 0x8769: block.get_ifd(0x8769), 0x8825: block.get_ifd(0x8825)}.items():
        tags[tag] = value
    image(size, seed).save(stream, "TIFF", tiffinfo=tags)
    return stream.getvalue()


def gif(*, size: Size = (160, 120), seed: int = 0) -> bytes:
    """A GIF picture; the format keeps no date."""
    return _encoded("GIF", image(size, seed).quantize(16), None)


def heic(taken: datetime | None = None, **metadata: Any) -> bytes:
    """A HEIC picture, always of the same pixels; `metadata` as for `exif`."""
    settings = {"make": "Apple", "model": "iPhone 12", **metadata}
    return isobmff.picture(exif(taken, **settings).tobytes().removeprefix(b"Exif\0\0"))


def _encoded(format_name: str, picture: Image.Image, block: Image.Exif | None, **options: Any) -> bytes:
    stream = io.BytesIO()
    if block is not None:
        options["exif"] = block
    picture.save(stream, format_name, **options)
    return stream.getvalue()


def jpeg_series(
    count: int,
    *,
    start: datetime = datetime(2021, 3, 1, 8, 0, 0),  # noqa: DTZ001 - local time, as cameras keep it
    step: timedelta = timedelta(minutes=6),
    length: int = 80_000,
    pictures: int = 16,
    seed: int = 0,
) -> Iterator[tuple[str, bytes]]:
    """`count` distinct JPEG files of exactly `length` bytes with full EXIF, each with its name.

    Only `pictures` of them are encoded; the others are these with another date and serial number, so that
    thousands take no time.
    """
    masters = [_Master(seed + number, length) for number in range(min(pictures, count))]
    for number in range(count):
        moment = start + number * step
        yield f"IMG_{number:05}.JPG", masters[number % len(masters)].copy(moment, number)


class _Master:
    """A JPEG file whose dates and serial number can be changed in place."""

    DATE = "1999:09:09 09:09:09"

    def __init__(self, seed: int, length: int) -> None:
        width = max(32, int(500 * (length / 80_000) ** 0.5))
        size = (width, width * 3 // 4)
        picture = image(size, seed, (width // 4, width * 3 // 16))
        block = exif(raw_date=self.DATE)
        fits = range(length - 0xFFFF, length - 24)
        encodings = (_encoded("JPEG", picture, block, quality=quality) for quality in range(90, 10, -5))
        data = next(data for data in encodings if len(data) in fits)
        padding = length - len(data) - 4
        comment = b"\xff\xfe" + struct.pack(">H", padding + 2) + bytes(padding)
        self._data = data[:2] + comment + data[2:]
        self._dates = list(_positions(self._data, self.DATE.encode("ascii")))

    def copy(self, moment: datetime, number: int) -> bytes:
        """This file with another date and serial number."""
        changed = bytearray(self._data)
        date = moment.strftime(EXIF_TIME).encode("ascii")
        for position in self._dates:
            changed[position : position + len(date)] = date
        changed[6:22] = f"{number:016}".encode("ascii")
        return bytes(changed)


def _positions(data: bytes, text: bytes) -> Iterator[int]:
    position = data.find(text)
    while position >= 0:
        yield position
        position = data.find(text, position + 1)


def mov(
    created: datetime | None = None,
    *,
    creation_date: str = "",
    content_id: str = "",
    make: str = "",
    model: str = "",
    size: Size = (320, 240),
    seed: int = 0,
    **film: Any,
) -> bytes:
    """A QuickTime film.

    Args:
        created: UTC, in the movie header.
        creation_date: Apple's local date with its offset, "2021-07-10T20:39:25+0200".
        content_id: Apple's identifier, as the moving half of a Live Photo has it.
        film: more for `isobmff.film`.
    """
    known = {
        "make": make,
        "model": model,
        "creationdate": creation_date,
        "content.identifier": content_id,
    }
    keys = {QUICKTIME + name: value for name, value in known.items() if value}
    frame = plain_jpeg(size=size, seed=seed)
    return isobmff.film(frame, size, created=created, keys=keys, **{"index_first": False, **film})


def mp4(created: datetime | None = None, *, size: Size = (320, 240), seed: int = 0, **film: Any) -> bytes:
    """An MP4 film; `created` is UTC, in the movie header."""
    return isobmff.film(plain_jpeg(size=size, seed=seed), size, created=created, **{"brand": "mp42", **film})


def video(
    created: datetime | None = None,
    *,
    extension: str = "mp4",
    duration: float = 1.0,
    size: Size = (320, 240),
    **options: Any,
) -> bytes:
    """A film that ffmpeg encodes; `options` are those of its output (`vcodec="libx265"`, ...)."""
    import ffmpeg

    if created is not None:
        options["metadata"] = f"creation_time={created:%Y-%m-%dT%H:%M:%S}Z"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film.{extension}")
        source = ffmpeg.input(f"testsrc2=size={size[0]}x{size[1]}:rate=10:duration={duration}", f="lavfi")
        source.output(str(path), **{"pix_fmt": "yuv420p", **options}).run(quiet=True)
        return path.read_bytes()


def wav(*, duration: float = 0.1, seed: int = 0) -> bytes:
    """A sound: noise, 8 kHz, mono."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(random.Random(seed).randbytes(int(8000 * duration) * 2))
    return stream.getvalue()


def live_photo(
    taken: datetime,
    offset: str = "+02:00",
    *,
    content_id: str = CONTENT_ID,
    seed: int = 0,
    still: str = "jpeg",
) -> tuple[bytes, bytes]:
    """The still ("jpeg" or "heic") and the moving half of a Live Photo."""
    camera: dict[str, Any] = {"make": "Apple", "model": "iPhone 12"}
    local = datetime.fromisoformat(f"{taken:%Y-%m-%dT%H:%M:%S}{offset}")
    metadata = {**camera, "offset": offset, "content_id": content_id}
    picture = heic(taken, **metadata) if still == "heic" else jpeg(taken, seed=seed, **metadata)
    moving = mov(
        local.astimezone(UTC),
        creation_date=f"{local:%Y-%m-%dT%H:%M:%S%z}",
        content_id=content_id,
        seed=seed,
        frames=3,
        **camera,
    )
    return picture, moving


def xmp_sidecar(taken: datetime | None = None, *, offset: str = "", rating: int = 3) -> bytes:
    """An XMP file such as photo editors put beside a picture."""
    date = f' exif:DateTimeOriginal="{taken.isoformat()}{offset}"' if taken else ""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/" xmp:Rating="{rating}"{date}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()


def aae() -> bytes:
    """The file of adjustments that iPhones keep beside an edited picture."""
    return b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
\t<key>adjustmentFormatIdentifier</key>
\t<string>com.apple.photo</string>
\t<key>adjustmentFormatVersion</key>
\t<string>1.4</string>
</dict>
</plist>
"""


def takeout_sidecar(title: str, taken: datetime) -> bytes:
    """The JSON file that a Google Takeout has beside each picture; `taken` is UTC."""
    moment = taken if taken.tzinfo else taken.replace(tzinfo=UTC)
    times = {"timestamp": str(int(moment.timestamp())), "formatted": f"{moment:%b %d, %Y, %I:%M:%S %p} UTC"}
    return json.dumps({"title": title, "photoTakenTime": times, "creationTime": times}, indent=2).encode()


@functools.cache
def broken_jpeg(seed: int = 0) -> bytes:
    """Bytes that claim to be a JPEG picture and are none."""
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + random.Random(seed).randbytes(2000)
