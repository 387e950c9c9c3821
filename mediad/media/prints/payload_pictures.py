"""What of a picture file is the picture: JPEG, PNG, GIF, WebP, PSD, BMP. Runs in workers."""

from __future__ import annotations

from collections.abc import Callable

from mediad.media.prints.content import Content

_MOST = 1_000_000  # segments, chunks or blocks

_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_PNG_CONTENT = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT"))
_PNG_PIXELS = frozenset((b"IDAT", b"fdAT"))
_WEBP_CONTENT = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANMF"))

_WEBP_HEADERS = {b"VP8 ": 10, b"VP8L": 5, b"ALPH": 1, b"ANMF": 16}


def jpeg(content: Content) -> None:
    """All from the first scan on, and the tables before it (ITU-T T.81, B.1.1); no APPn and no comment.

    What follows the picture belongs to it: the film of a motion photo, a gain map. Of the application data
    only Adobe's colour transform does, without which the colours are others.
    """
    offset = 2
    for _ in range(_MOST):
        head = content.window(offset, 4)
        if len(head) < 4 or head[1] == 0xD9:
            return
        if head[0] != 0xFF or head[1] == 0xFF:
            offset += 1
        elif head[1] in _BARE:
            offset += 2
        elif head[1] == 0xDA:
            length = 2 + int.from_bytes(head[2:], "big")
            content.describe(offset, length)
            content.copy(offset + length, content.size - offset - length)
            return
        else:
            length = int.from_bytes(head[2:], "big")
            _jpeg_segment(content, offset, head[1], length)
            offset += 2 + max(length, 2)


def _jpeg_segment(content: Content, offset: int, marker: int, length: int) -> None:
    if marker == 0xEE and content.window(offset + 4, 5) == b"Adobe":
        content.frame(*content.window(offset + 15, 1))
    elif not 0xE0 <= marker <= 0xEF and marker != 0xFE:
        content.describe(offset, 2 + length)


def png(content: Content) -> None:
    """The chunks that make the picture (ISO/IEC 15948, 11), however it is cut into IDAT chunks."""
    offset, last = 8, b""
    for _ in range(_MOST):
        head = content.window(offset, 8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name in _PNG_CONTENT:
            if name != b"IDAT" or last != name:
                content.frame(*name)
            add = content.copy if name in _PNG_PIXELS else content.describe
            add(offset + 8, length)
            last = name
        offset += 12 + length


def gif(content: Content) -> None:
    """Screen, colours, frames and their times (GIF89a, 15-26); no comments and no application data."""
    screen = content.window(6, 7)
    if len(screen) < 7:
        return
    content.frame(*screen[:4])
    offset = 13
    if screen[4] & 0x80:
        content.describe(offset, 3 << (screen[4] & 7) + 1)
        offset += 3 << (screen[4] & 7) + 1
    for _ in range(_MOST):
        head = content.window(offset, 10)
        if head[:1] == b"\x2c" and len(head) == 10:
            start = offset
            offset += 10 + (3 << (head[9] & 7) + 1 if head[9] & 0x80 else 0) + 1
            content.describe(start, offset - start)
            offset = _gif_blocks(content, offset, content.copy)
        elif head[:1] == b"\x21" and len(head) > 2:
            keep = content.describe if head[1] in (0xF9, 0x01) else None
            offset = _gif_blocks(content, offset + 2, keep)
        else:
            return


def _gif_blocks(content: Content, offset: int, keep: Callable[[int, int], None] | None) -> int:
    """Passes over a chain of blocks, each behind its length; the offset behind their end."""
    for _ in range(_MOST):
        length = content.window(offset, 1)
        if not length or length == b"\0":
            return offset + 1
        if keep is not None:
            keep(offset + 1, length[0])
        offset += 1 + length[0]
    return content.size


def webp(content: Content) -> None:
    """The chunks that hold pixels (RFC 9649); VP8X only says what else there is."""
    offset = 12
    for _ in range(_MOST):
        head = content.window(offset, 8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little")
        if head[:4] in _WEBP_CONTENT:
            start = 8 + _WEBP_HEADERS.get(head[:4], 0)
            content.describe(offset, min(start, 8 + length))
            content.copy(offset + start, 8 + length - start)
        offset += 8 + length + (length & 1)


def psd(content: Content) -> None:
    """Header, colours, layers and the merged picture; no image resources (Adobe, File Formats, 2019)."""
    content.describe(0, 26)
    offset = 26
    colours = int.from_bytes(content.window(offset, 4), "big")
    content.describe(offset, 4 + colours)
    offset += 4 + colours
    offset += 4 + int.from_bytes(content.window(offset, 4), "big")
    layers = int.from_bytes(content.window(offset, 4), "big")
    content.describe(offset, 4)
    content.copy(offset + 4, layers)
    offset += 4 + layers
    content.describe(offset, 2)  # how the merged picture is compressed
    content.copy(offset + 2, content.size - offset - 2)


def bmp(content: Content) -> None:
    """All of it: there are no metadata in it. The pixels begin where the bytes 10 to 13 say."""
    start = int.from_bytes(content.window(10, 4), "little")
    content.describe(0, start)
    content.copy(start, content.size - start)
