"""Whether a film is embedded in a picture: motion photos of Google, Samsung and those that follow them. PURE.

Sources: Motion Photo format 1.0 (Android), "XMP attributes" and "ISO base media"; ExifTool's Samsung.pm for
the trailer.
"""

from __future__ import annotations

import re
import struct

from mediad.media.boxes import walk
from mediad.media.pictures.tiff import Fetch

_XMP = re.compile(rb"(?:GCamera|Camera):(?:MotionPhoto|MicroVideo)(?:\s*=\s*[\"']|\s*>\s*)1\b")
_TRAILER = b"SEFT"
_EMBEDDED_FILM = 0x0A30
_MOST_ENTRIES = 100


def embedded_film(xmp: bytes, fetch: Fetch, size: int, *, is_boxed: bool) -> str:
    """What says so: "xmp", "samsung trailer", "mpvd box"; or "".

    Args:
        xmp: the picture's XMP packet.
        fetch: gives bytes of the file. size: its length.
        is_boxed: it is made of boxes, as HEIC is.
    """
    if (b"MotionPhoto" in xmp or b"MicroVideo" in xmp) and _XMP.search(xmp) is not None:
        return "xmp"
    if fetch(max(0, size - 8), 8).endswith(_TRAILER):
        return "samsung trailer" if _in_trailer(fetch, size) else ""
    if is_boxed and any(name == b"mpvd" for name, _, _ in walk(fetch, 0, size)):
        return "mpvd box"
    return ""


def _in_trailer(fetch: Fetch, size: int) -> bool:
    """Samsung's trailer ends with a list of its parts, each of some type."""
    length = int.from_bytes(fetch(size - 8, 4), "little")
    start = size - 8 - length
    head = fetch(start, 12) if start >= 0 else b""
    if head[:4] != b"SEFH" or len(head) < 12:
        return False
    table = fetch(start + 12, 12 * min(int.from_bytes(head[8:], "little"), _MOST_ENTRIES))
    parts = struct.iter_unpack("<HHII", table[: len(table) // 12 * 12])
    return any(kind == _EMBEDDED_FILM for _, kind, _, _ in parts)
