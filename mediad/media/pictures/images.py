"""Reads WebP, TIFF, GIF and BMP: dimensions, Exif, XMP, IPTC. Runs in workers.

Containers are walked by their own headers and no pixel is ever decoded. Each reader returns what it got as
far as the file was sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from mediad.media.found import Found
from mediad.media.pictures import exif, photoshop
from mediad.media.pictures.exif import clean
from mediad.media.pictures.tiff import Directories, Fetch, Layout

_MOST_CHUNKS = 20_000
_MOST_BLOCKS = 1 << 20  # sub-blocks of all pictures of a GIF; some 250 MB
_LONGEST = 1 << 20
_PALETTE = 0x80


def read_webp(window: Fetch) -> Found:
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


def read_tiff(window: Fetch) -> Found:
    """TIFF by its first directory (TIFF 6.0; BigTIFF)."""
    layout = Layout.of(window(0, 16))
    if layout is None:
        return Found(problem="no directory in it")
    directories = Directories(window, 0, layout)
    tags = exif.parse_directories(directories, layout.first)
    if not tags.main:
        return Found(problem="no directory in it")
    packet = tags.main.get(exif.XMP)
    found = Found(
        sound=True,
        problem="" if tags.sound else "broken directory",
        tags=tags,
        xmp=packet if isinstance(packet, bytes) else b"",
        width=tags.number(exif.WIDTH),
        height=tags.number(exif.HEIGHT),
    )
    _tiff_iptc(window, directories, layout.first, found)
    return found


def _tiff_iptc(window: Fetch, directories: Directories, first: int, found: Found) -> None:
    """IPTC in the tag of its own, else among Photoshop's resources."""
    start, length = directories.place(first, exif.IPTC)
    if 0 < length <= _LONGEST:
        found.candidates += photoshop.iptc_candidates(window(start, length))
        return
    start, length = directories.place(first, exif.PHOTOSHOP)
    if 0 < length <= _LONGEST:
        photoshop.resources(window, start, start + length, found)


def read_gif(window: Fetch) -> Found:
    """GIF: the logical screen, comments and XMP (GIF89a, 18 to 26; Adobe XMP specification, part 3)."""
    head = window(6, 5)
    if len(head) < 4:
        return Found(problem="no header in it")
    found = Found(True, width=int.from_bytes(head[:2], "little"), height=int.from_bytes(head[2:4], "little"))
    offset = 13 + _palette(head[4:])
    blocks = repeat(None, _MOST_BLOCKS)
    has_packet = False
    for _ in range(_MOST_CHUNKS):
        head = window(offset, 20)
        if head[:1] == b"\x2c":
            offset = _skipped(window, offset + 11 + _palette(head[9:10]), blocks)
        elif head[:1] != b"\x21":
            break
        elif head[1:14] == b"\xff\x0bXMP DataXMP" and not has_packet:
            has_packet = True
            packet = window(offset + 14, _LONGEST)
            # The packet stands there bare; 257 bytes behind it lead any reader of sub-blocks to the end.
            end = packet.find(b"\x01\xff\xfe\xfd")
            found.xmp = packet[: end if end >= 0 else len(packet)]
            offset = _skipped(window, offset + 14 + len(found.xmp), blocks)
        else:
            if head[1:2] == b"\xfe" and not found.comment:
                found.comment = clean(window(offset + 3, head[2]))
            offset = _skipped(window, offset + 2, blocks)
    return found


def _palette(flags: bytes) -> int:
    """The length of the colour table that a screen or picture with these flags has."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & _PALETTE else 0


def _skipped(window: Fetch, offset: int, blocks: Iterator[None]) -> int:
    """Where the sub-blocks end that begin here; one of `blocks` is used up for each."""
    for _ in blocks:
        length = window(offset, 1)
        if length in (b"", b"\x00"):
            return offset + 1
        offset += 1 + length[0]
    return 1 << 62  # longer than we look


def read_bmp(window: Fetch) -> Found:
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
