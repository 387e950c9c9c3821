"""Reads PNG: dimensions, Exif, XMP, IPTC, and the dates in its own chunks. Runs in workers."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.exif import clean
from mediad.media.pictures.photoshop import iptc_candidates
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate
from mediad.media.stamps import exif_candidate, iso_candidate, utc_candidate

_MOST_CHUNKS = 20_000
_LONGEST = 1 << 20


def read_png(window: Fetch) -> Found:
    """PNG by its chunks (ISO/IEC 15948; PNG 3rd edition for eXIf), those behind the pixels too."""
    found = Found()
    offset = 8
    for _ in range(_MOST_CHUNKS):
        head = window(offset, 8)
        if len(head) < 8:
            found.problem = "no end chunk"
            break
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if not name.isalpha():
            found.problem = "broken chunks"
            break
        if name == b"IEND":
            break
        if name != b"IDAT" and length <= _LONGEST:
            _chunk(name, window(offset + 8, length), found)
        offset += 12 + length
    return found


def _chunk(name: bytes, data: bytes, found: Found) -> None:
    if name == b"IHDR" and len(data) == 13:
        found.width, found.height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        found.sound = True
    elif name == b"eXIf":
        found.tags = exif.parse_block(data) or found.tags
    elif name == b"tIME" and len(data) == 7:
        year, rest = int.from_bytes(data[:2], "big"), data[2:]
        text = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(year, *rest)
        found.candidates.append(utc_candidate("exif", "png:tIME", text))
    elif name in (b"tEXt", b"zTXt", b"iTXt"):
        keyword, _, rest = data.partition(b"\x00")
        _text(keyword, lambda: _unpacked(name, rest), found)


def _unpacked(name: bytes, rest: bytes) -> bytes:
    """The text of a text chunk behind its keyword; compressed ones are inflated up to a bound."""
    if name == b"tEXt":
        return rest
    packed = name == b"zTXt" or rest[:1] == b"\x01"
    body = rest[1:]
    if name == b"iTXt":
        parts = rest[2:].split(b"\x00", 2)
        body = parts[2] if len(parts) == 3 else b""
    if not packed:
        return body
    try:
        return zlib.decompressobj().decompress(body, _LONGEST)
    except zlib.error:
        return b""


def _text(keyword: bytes, text: Callable[[], bytes], found: Found) -> None:
    if keyword == b"XML:com.adobe.xmp":
        found.xmp = found.xmp or text()
    elif keyword.startswith(b"Raw profile type "):
        _profile(keyword[17:], text(), found)
    elif keyword == b"Creation Time":
        found.candidates.append(_creation_time(clean(text())))
    elif keyword == b"Software":
        found.software = clean(text())
    elif keyword in (b"Comment", b"Description") and not found.comment:
        found.comment = clean(text())


def _profile(kind: bytes, text: bytes, found: Found) -> None:
    """ImageMagick's way: a name, a length and hexadecimal digits, on lines of their own."""
    lines = text.split(None, 2)
    data = _unhex(re.sub(rb"\s", b"", lines[2])) if len(lines) == 3 else b""
    if kind in (b"exif", b"APP1"):
        found.tags = found.tags or exif.parse_block(data[max(0, data.find(b"Exif\x00\x00")) :])
    if kind == b"xmp" or (kind == b"APP1" and b"ns.adobe.com" in data):
        found.xmp = found.xmp or data
    elif kind == b"iptc":
        # Bare records, or the whole resource that they stand in.
        found.candidates += iptc_candidates(data[max(0, data.find(b"\x1c\x02")) :])


def _unhex(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
    except ValueError:
        return b""


def _creation_time(text: str) -> Candidate:
    """Creation Time: RFC 1123 by the specification's advice, Exif's or ISO 8601's form by habit."""
    candidate = exif_candidate("png:Creation Time", text)
    if candidate.moment is None:
        candidate = iso_candidate("exif", "png:Creation Time", text)
    if candidate.moment is None:
        from email.utils import parsedate_tz  # loaded only here, since it is slow to load

        parsed = parsedate_tz(text)
        if parsed is not None:
            iso = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parsed[:6])
            read = iso_candidate("exif", "png:Creation Time", iso)
            zone = parsed[9]
            offset = None if zone is None or abs(zone) > 14 * 3600 else zone // 60
            return Candidate("exif", read.tag, candidate.raw, read.moment, offset)
    return candidate
