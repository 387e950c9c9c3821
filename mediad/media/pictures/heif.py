"""Reads HEIC, HEIF and AVIF without decoding a picture: Exif and XMP through libheif. Runs in workers.

How large the picture is stored, and how it is turned when shown, our own look at its boxes tells: libheif
gives the size as shown. The Exif orientation of such a file is void (ISO/IEC 23008-12, annex A).
"""

from __future__ import annotations

import io
import struct
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from mediad.media.boxes import walk
from mediad.media.films import isobmff
from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.tiff import Fetch

_LARGEST = 256 << 20  # libheif wants the whole file in memory
_MOST_ITEMS = 4096
_MOST_INNER = 64
_MADE = "when the pictures were put together, which may be later than when they were taken"
_TURNS = (1, 8, 3, 6)  # quarter turns against the clock, as Exif's orientation


def read_heif(window: Fetch, size: int) -> Found:
    """The primary picture's size, Exif and XMP (ISO/IEC 23008-12).

    What libheif refuses is still a picture where a size is stored; a sequence may have no primary picture.
    """
    found = (
        Found(sound=True, problem="too large for its reader") if size > _LARGEST else _libheif(window, size)
    )
    _stored(window, size, found)
    _sequence(window, size, found)
    found.sound = found.sound or found.width is not None
    return found


def _libheif(window: Fetch, size: int) -> Found:
    import pi_heif  # loaded only where such a file comes: it costs memory and start-up time

    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    pi_heif.options.DECODE_THREADS = 1
    data = window(0, size)
    try:
        picture = pi_heif.open_heif(io.BytesIO(data))
        info, (width, height) = picture.info, picture.size
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError, KeyError) as error:
        return Found(problem=_short(error))
    block, packet = info.get("exif"), info.get("xmp")
    return Found(
        sound=True,
        tags=exif.parse_block(block) if isinstance(block, bytes) else None,
        xmp=packet if isinstance(packet, bytes) else b"",
        width=int(width),
        height=int(height),
        orientation=1,
    )


def _sequence(fetch: Fetch, size: int, found: Found) -> None:
    """Whether there is a track of pictures (ISO/IEC 23008-12, 7), and when it was made."""
    inner = {
        box: fetch(at, 32)
        for name, start, length in walk(fetch, 0, size)
        if name == b"moov"
        for box, at, _ in islice(walk(fetch, start, start + length), _MOST_INNER)
    }
    if b"trak" in inner:
        found.sound = True
        date = isobmff.created(inner.get(b"mvhd", b""))
        found.candidates += [replace(date, doubt=_MADE)] if date is not None else []


def _short(error: Exception) -> str:
    """The library's message as one line of whole words."""
    line = exif.clean(str(error).replace("\n", " ").encode(), 500)
    return textwrap.shorten(line, 120, placeholder=" ...") or type(error).__name__


def _stored(fetch: Fetch, size: int, found: Found) -> None:
    """The size and the turn among the properties of the primary item, where they are told."""
    for name, start, length in walk(fetch, 0, size):
        if name == b"meta":
            _meta(fetch, start + 4, start + length, found)
            return


def _meta(fetch: Fetch, start: int, end: int, found: Found) -> None:
    inner = {name: (at, at + length) for name, at, length in walk(fetch, start, end)}
    if b"pitm" not in inner or b"iprp" not in inner:
        return
    at, _ = inner[b"pitm"]
    head = fetch(at, 8)
    primary = int.from_bytes(head[4:6] if head[:1] == b"\x00" else head[4:8], "big")
    held = {name: (at, at + length) for name, at, length in walk(fetch, *inner[b"iprp"])}
    if b"ipco" not in held or b"ipma" not in held:
        return
    properties = list(walk(fetch, *held[b"ipco"]))
    at, end = held[b"ipma"]
    orientation = 1
    for index in _associations(fetch(at, min(end - at, 1 << 20)), primary):
        if not 0 < index <= len(properties):
            continue
        name, at, length = properties[index - 1]
        if name == b"ispe" and len(data := fetch(at + 4, 8)) == 8:
            found.width, found.height = struct.unpack(">II", data)
        elif name == b"irot" and length:
            orientation = _TURNS[int.from_bytes(fetch(at, 1), "big") & 3]
    found.orientation = orientation


def _associations(data: bytes, item: int) -> Iterator[int]:
    """Which properties an item has, counted from 1 (ItemPropertyAssociation, ISO/IEC 23008-12, 9.3)."""
    if len(data) < 8:
        return
    is_long, is_wide = data[0] >= 1, data[3] & 1
    at = 8
    for _ in range(min(int.from_bytes(data[4:8], "big"), _MOST_ITEMS)):
        width = 4 if is_long else 2
        number, count = int.from_bytes(data[at : at + width], "big"), data[at + width : at + width + 1]
        at += width + 1
        if not count:
            return
        step = 2 if is_wide else 1
        if number == item:
            for place in range(at, at + step * count[0], step):
                yield int.from_bytes(data[place : place + step], "big") & (0x7FFF if is_wide else 0x7F)
            return
        at += step * count[0]
