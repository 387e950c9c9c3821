"""Reads JPEG, PNG, WebP, TIFF, GIF and BMP: dimensions, Exif, XMP, dates. Runs in workers.

Containers are walked by their own headers and no pixel is ever decoded. Each reader returns what it got as
far as the file was sound.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from mediad.media import exif
from mediad.media.dates import exif_candidate, iso_candidate, utc_candidate
from mediad.media.exif import clean
from mediad.media.found import Found, Window
from mediad.media.reading import Candidate

_MOST_SEGMENTS = 2000
_MOST_CHUNKS = 20_000
_LONGEST = 1 << 20
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\x00"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})


def read_jpeg(window: Window) -> Found:
    """JPEG by its segments up to the first scan (ITU-T T.81, B.1; Exif 2.32, 4.5.4)."""
    found = Found(problem="no picture in it")
    blocks: list[bytes] = []
    offset = 2
    for _ in range(_MOST_SEGMENTS):
        head = window(offset, 4)
        if len(head) < 4 or head[1] in (0xD9, 0xDA):
            found.problem = "" if head[1:2] == b"\xda" and found.width is not None else found.problem
            break
        if head[0] != 0xFF or head[1] == 0xFF:
            offset = _next_marker(window, offset + (head[0] == 0xFF))
            continue
        if head[1] in _BARE:
            offset += 2
            continue
        length = head[2] << 8 | head[3]
        _jpeg_segment(window, offset + 4, length - 2, head[1], found, blocks)
        offset += 2 + max(length, 2)
    _jpeg_exif(found, blocks)
    return found


def _next_marker(window: Window, offset: int) -> int:
    """Where the next 0xFF lies: fill bytes are allowed, and some writers leave junk between segments."""
    near = window(offset, 4096)
    at = near.find(b"\xff")
    return offset + (at if at >= 0 else len(near) or 1)


def _jpeg_segment(
    window: Window, offset: int, length: int, marker: int, found: Found, blocks: list[bytes]
) -> None:
    if marker in _FRAMES:
        frame = window(offset, 6)
        # Precision, height, width, number of components (T.81, B.2.2): enough to tell it from noise.
        if (
            len(frame) == 6
            and frame[0] in (2, 8, 12, 16)
            and length == 6 + 3 * frame[5]
            and frame[5] in (1, 3, 4)
        ):
            found.height, found.width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            found.sound = True
    elif marker == 0xE1 and length > 6:
        data = window(offset, length)
        if data.startswith(b"Exif\x00"):
            blocks.append(data)
        elif data.startswith(_XMP_NAME) and not found.xmp:
            found.xmp = data[len(_XMP_NAME) :]
            found.sound = True


def _jpeg_exif(found: Found, blocks: list[bytes]) -> None:
    """The first Exif block that makes sense. One over 64 KB goes on in the segments that follow."""
    if not blocks:
        return
    whole = blocks[0]
    for block in blocks[1:]:
        if block[6:8] not in (b"II", b"MM"):
            whole += block[6:]
    for block in (whole, *blocks[1:]):
        found.tags = exif.parse_block(block)
        if found.tags is not None:
            return


def read_png(window: Window) -> Found:
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
            _png_chunk(name, window(offset + 8, length), found)
        offset += 12 + length
    return found


def _png_chunk(name: bytes, data: bytes, found: Found) -> None:
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
        _png_text(keyword, lambda: _png_unpacked(name, rest), found)


def _png_unpacked(name: bytes, rest: bytes) -> bytes:
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


def _png_text(keyword: bytes, text: Callable[[], bytes], found: Found) -> None:
    if keyword == b"XML:com.adobe.xmp":
        found.xmp = found.xmp or text()
    elif keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
        # ImageMagick's way: a name, a length and hexadecimal digits, on lines of their own.
        digits = re.sub(rb"\s", b"", text().partition(b"exif")[2].lstrip())
        block = _unhex(re.sub(rb"^.*?(?=45786966)", b"", digits, count=1))
        found.tags = found.tags or exif.parse_block(block)
    elif keyword == b"Creation Time":
        found.candidates.append(_png_creation_time(clean(text())))
    elif keyword == b"Software":
        found.software = clean(text())
    elif keyword in (b"Comment", b"Description") and not found.comment:
        found.comment = clean(text())


def _unhex(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
    except ValueError:
        return b""


def _png_creation_time(text: str) -> Candidate:
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


def read_webp(window: Window) -> Found:
    """WebP by its RIFF chunks (RFC 9649)."""
    found = Found(problem="no picture in it")
    offset = 12
    for _ in range(_MOST_CHUNKS):
        head = window(offset, 8)
        if len(head) < 8:
            break
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"EXIF", b"XMP ") and length <= _LONGEST:
            data = window(offset + 8, length)
            if name == b"XMP ":
                found.xmp = data
            else:
                found.tags = exif.parse_block(data)
        else:
            _webp_size(name, window(offset + 8, 10), found)
        offset += 8 + length + (length & 1)
    return found


def _webp_size(name: bytes, data: bytes, found: Found) -> None:
    if len(data) < 10 or found.width is not None or name not in (b"VP8X", b"VP8 ", b"VP8L"):
        return
    if name == b"VP8X":
        found.width = 1 + int.from_bytes(data[4:7], "little")
        found.height = 1 + int.from_bytes(data[7:10], "little")
    elif name == b"VP8 ":
        found.width = int.from_bytes(data[6:8], "little") & 0x3FFF
        found.height = int.from_bytes(data[8:10], "little") & 0x3FFF
    else:
        bits = int.from_bytes(data[1:5], "little")
        found.width, found.height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    found.sound, found.problem = True, ""


def read_tiff(window: Window) -> Found:
    """TIFF by its first directory (TIFF 6.0; BigTIFF)."""
    tags = exif.parse(window)
    if tags is None or not tags.main:
        return Found(problem="no directory in it")
    packet = tags.main.get(exif.XMP)
    return Found(
        sound=True,
        problem="" if tags.sound else "broken directory",
        tags=tags,
        xmp=packet if isinstance(packet, bytes) else b"",
        width=tags.number(exif.WIDTH),
        height=tags.number(exif.HEIGHT),
    )


def read_gif(window: Window) -> Found:
    """GIF's logical screen (GIF89a, 18)."""
    data = window(6, 4)
    if len(data) < 4:
        return Found(problem="no header in it")
    return Found(True, width=int.from_bytes(data[:2], "little"), height=int.from_bytes(data[2:], "little"))


def read_bmp(window: Window) -> Found:
    """BMP's header, the short one of OS/2 or a longer one of Windows; a negative height is top-down."""
    data = window(14, 12)
    if len(data) < 12:
        return Found(problem="no header in it")
    if data[0] in (12, 16):
        return Found(
            True, width=int.from_bytes(data[4:6], "little"), height=int.from_bytes(data[6:8], "little")
        )
    width = int.from_bytes(data[4:8], "little", signed=True)
    height = int.from_bytes(data[8:12], "little", signed=True)
    return Found(True, width=abs(width), height=abs(height))
