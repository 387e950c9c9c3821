"""Whether a file's end is there. PURE over a function that reads bytes of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from mediad.media.formats import Format

Read = Callable[[int, int], bytes]
"""`read(offset, length)`: those bytes of the file, fewer at its end."""

_NEAR, _FAR = 512, 65536
_MOST_BOXES = 4096


def ends_whole(form: Format, read: Read, size: int) -> bool | None:
    """Whether the container's end is there: True, False (it was cut off), or None where one cannot tell.

    Bounded: reads at most some hundred kilobytes, and no more than a few thousand headers. Never raises on
    garbage; what `read` raises passes through.

    Args:
        form: the format that `sniff` found.
        read: gives bytes of the file.
        size: the file's length in bytes.
    """
    check = _ENDS.get(form.name)
    return check(read, size) if check is not None and size > 0 else None


def _jpeg_ends(read: Read, size: int) -> bool | None:
    """EOI (ITU-T T.81, B.1.1.3) at the end. Cameras pad with zeros, phones append films and maps."""
    near = read(max(0, size - _NEAR), _NEAR)
    if near.endswith(b"\xff\xd9"):
        return True
    tail = read(max(0, size - _FAR), _FAR)
    bare = tail.rstrip(b"\x00")
    if bare.endswith(b"\xff\xd9"):
        return True
    if b"\xff\xd9" in tail or not bare:
        return None
    scan = tail.rfind(b"\xff\xda")
    if scan < 0 and size <= _FAR:
        return False  # all of the file, and no scan has begun
    # Inside a scan 0xFF is only ever followed by a stuffed zero, a restart marker or fill (T.81, B.1.1.5),
    # which does not stay true for long in anything else.
    is_scan = re.search(rb"\xff[^\x00\xd0-\xd7\xff]", tail[scan + 2 if scan >= 0 else 0 :]) is None
    return False if is_scan and b"\xff" in tail else None


def _png_ends(read: Read, size: int) -> bool | None:
    """The IEND chunk (ISO/IEC 15948, 11.2.5); what follows it is tolerated."""
    if read(max(0, size - 12), 12)[4:8] == b"IEND":
        return True
    offset = 8
    for _ in range(_MOST_BOXES):
        header = read(offset, 8)
        if len(header) < 8:
            return False
        if header[4:] == b"IEND":
            return None if offset + 12 <= size else False
        if not header[4:].isalpha():
            return None
        offset += 12 + int.from_bytes(header[:4], "big")
    return None


def _riff_ends(read: Read, size: int) -> bool | None:
    declared = int.from_bytes(read(4, 4), "little")
    if declared in (0, 0xFFFFFFFF):
        return None  # written to a pipe, or longer than the field can say
    return declared + 8 <= size


def _isobmff_ends(read: Read, size: int) -> bool | None:
    """The top-level boxes, one after the other, come out exactly at the end (ISO/IEC 14496-12, 4.2)."""
    offset = 0
    for _ in range(_MOST_BOXES):
        if offset == size:
            return True
        header = read(offset, 16)
        if len(header) < 8 or not _is_box_type(header[4:8]):
            return None  # a trailer that is no box, as Samsung's
        length = int.from_bytes(header[:4], "big")
        if length == 0:
            return True
        if length == 1:
            length = int.from_bytes(header[8:16], "big") if len(header) == 16 else 0
        if length < 8:
            return None
        offset += length
        if offset > size:
            return False
    return None


def _is_box_type(code: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in code)


def _gif_ends(read: Read, size: int) -> bool | None:
    tail = read(max(0, size - _NEAR), _NEAR).rstrip(b"\x00")
    return tail.endswith(b";") if tail else None


_ENDS: dict[str, Callable[[Read, int], bool | None]] = {
    "jpeg": _jpeg_ends,
    "png": _png_ends,
    "gif": _gif_ends,
    **dict.fromkeys(("webp", "avi", "wav"), _riff_ends),
    **dict.fromkeys(("heic", "heif", "avif", "cr3", "mp4", "mov", "m4v", "3gp", "m4a", "jp2"), _isobmff_ends),
}
