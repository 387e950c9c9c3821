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
_MOST_TEXT = 4 << 20  # bytes of all texts of a file that are unpacked and looked at
_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
_READ = _TEXTS | {b"IHDR", b"eXIf", b"tIME"}
_MOST_DATES = 32
_WEEKDAY = re.compile(r"^\s*[^\W\d_]+\.?,?\s+(?=\d)")  # in whatever language
_UTC = re.compile(r"\+0000|\b(?:UTC?|GMT|Z)\b")
_NOT_FOUND = "no picture in it"


def read_png(window: Fetch) -> Found:
    """PNG by its chunks (ISO/IEC 15948; PNG 3rd edition for eXIf), those behind the pixels too."""
    found = Found(problem=_NOT_FOUND)
    texts = _Texts(found)
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
        if name in _READ and length <= _LONGEST:
            _chunk(name, window(offset + 8, length), found, texts)
        offset += 12 + length
    return found


def _chunk(name: bytes, data: bytes, found: Found, texts: _Texts) -> None:
    if name == b"IHDR" and len(data) == 13:
        found.width, found.height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        found.sound, found.problem = True, ""
    elif name == b"eXIf":
        found.tags = exif.parse_block(data) or found.tags
    elif name == b"tIME" and len(data) == 7 and len(found.candidates) < _MOST_DATES:
        year, rest = int.from_bytes(data[:2], "big"), data[2:]
        text = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(year, *rest)
        found.candidates.append(utc_candidate("exif", "png:tIME", text))
    elif name in _TEXTS:
        keyword, _, rest = data.partition(b"\x00")
        texts.take(name, keyword, rest)


class _Texts:
    """The text chunks of a file: the first of each keyword, all profiles, and one bound for them together."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._left = _MOST_TEXT
        self._seen: set[bytes] = set()

    def take(self, chunk: bytes, keyword: bytes, rest: bytes) -> None:
        """A chunk of this name, and what stands behind its keyword."""
        is_profile = keyword.startswith(b"Raw profile type ")
        if self._left <= 0 or keyword in self._seen:
            return
        if is_profile:
            _profile(keyword[17:], self._unpacked(chunk, rest), self._found)
        elif keyword in _KEYWORDS:
            self._seen.add(keyword)
            _KEYWORDS[keyword](self._unpacked(chunk, rest), self._found)

    def _unpacked(self, chunk: bytes, rest: bytes) -> bytes:
        if chunk == b"tEXt":
            return self._counted(rest)
        packed = chunk == b"zTXt" or rest[:1] == b"\x01"
        body = rest[1:]
        if chunk == b"iTXt":
            parts = rest[2:].split(b"\x00", 2)
            body = parts[2] if len(parts) == 3 else b""
        if not packed:
            return self._counted(body)
        most = min(_LONGEST, self._left)
        self._left -= len(body)
        try:
            return self._counted(zlib.decompressobj().decompress(body, most))
        except zlib.error:
            self._left -= most  # of which it does not say how much it took
            return b""

    def _counted(self, text: bytes) -> bytes:
        self._left -= len(text)
        return text


def _xmp(text: bytes, found: Found) -> None:
    found.xmp = found.xmp or text


def _software(text: bytes, found: Found) -> None:
    found.software = clean(text)


def _comment(text: bytes, found: Found) -> None:
    found.comment = found.comment or clean(text)


def _created(text: bytes, found: Found) -> None:
    found.candidates.append(_creation_time(clean(text)))


_KEYWORDS: dict[bytes, Callable[[bytes, Found], None]] = {
    b"XML:com.adobe.xmp": _xmp,
    b"Creation Time": _created,
    b"Software": _software,
    b"Comment": _comment,
    b"Description": _comment,
}


def _profile(kind: bytes, text: bytes, found: Found) -> None:
    """ImageMagick's way: a name, a length and hexadecimal digits, on lines of their own."""
    lines = text.split(None, 2)
    data = _unhex(lines[2].translate(None, b" \t\n\r\f\v")) if len(lines) == 3 else b""
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

        # As it is, since what stands in front may be the month: "Jan 31 2024 13:05:22 +0100".
        parsed = parsedate_tz(text) or parsedate_tz(_WEEKDAY.sub("", text))
        if parsed is not None:
            iso = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parsed[:6])
            read = iso_candidate("exif", "png:Creation Time", iso)
            zone = parsed[9] or (0 if _UTC.search(text) else None)  # 0 also stands for none
            offset = None if zone is None or abs(zone) > 14 * 3600 else zone // 60
            return Candidate("exif", read.tag, candidate.raw, read.moment, offset)
    return candidate
