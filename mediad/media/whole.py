"""Whether a file's end is there. PURE over a function that reads bytes of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from mediad.media.formats import Format

Read = Callable[[int, int], bytes]
"""`read(offset, length)`: those bytes of the file, fewer at its end."""

_NEAR, _FAR = 512, 65536
_BLOCK = 4096  # room is made in blocks
_MOST_BOXES = 4096
_MOST_PARTS = 64
_ASF_OBJECTS = frozenset(  # header, data, and the indices behind them
    bytes.fromhex(name)
    for name in (
        "3026b2758e66cf11a6d900aa0062ce6c",
        "3626b2758e66cf11a6d900aa0062ce6c",
        "90080033b1e5cf1189f400a0c90349cb",
        "d329e2d6da35d111903400a0c90349be",
        "f803b1fead12644c840f2a1d2f7ad48c",
    )
)


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


def looks_unfinished(form: Format, read: Read, size: int) -> bool:
    """Whether somebody may still have to write its end: it is cut off, or zeros, as where room is made first.

    Few finished files end in so many zeros. Arguments and bounds are those of `ends_whole`.
    """
    return ends_whole(form, read, size) is False or not read(max(0, size - _BLOCK), _BLOCK).strip(b"\x00")


def _jpeg_ends(read: Read, size: int) -> bool | None:
    """EOI (ITU-T T.81, B.1.1.3) at the end. Cameras pad with zeros, phones append films and maps."""
    near = read(max(0, size - _NEAR), _NEAR)
    if near.endswith(b"\xff\xd9"):
        return True
    tail = read(max(0, size - _FAR), _FAR)
    bare = tail.rstrip(b"\x00")
    if bare.endswith(b"\xff\xd9"):
        return True
    # What is in front of the first scan is left out: the Exif thumbnail there has an end of its own.
    begin = _first_scan(read)
    if begin is not None and begin >= size:
        return False  # no scan has begun
    tail = tail[max(0, (begin or 0) - max(0, size - _FAR)) :]
    if b"\xff\xd9" in tail or not bare:
        return None
    scan = tail.rfind(b"\xff\xda")
    # Inside a scan 0xFF is only ever followed by a stuffed zero, a restart marker or fill (T.81, B.1.1.5),
    # which does not stay true for long in anything else.
    is_scan = re.search(rb"\xff[^\x00\xd0-\xd7\xff]", tail[scan + 2 if scan >= 0 else 0 :]) is None
    is_all = begin is not None and len(tail) == size - begin
    return False if is_scan and (is_all or b"\xff" in tail) else None


def _first_scan(read: Read) -> int | None:
    """Where the header of the first scan ends, or the segment that the file's end cuts; None: unknown.

    Source: ITU-T T.81, B.1.1.4.
    """
    offset = 2
    for _ in range(_MOST_BOXES):
        head = read(offset, 4)
        if len(head) < 4:
            return offset + 4
        if head[:2] == b"\xff\xff":  # fill
            offset += 1
        elif head[0] != 0xFF or head[1] < 0xC0 or 0xD0 <= head[1] <= 0xD9:
            return None
        else:
            offset += 2 + int.from_bytes(head[2:], "big")
            if head[1] == 0xDA:
                return offset
    return None


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
    """Of long films the further parts, too (OpenDML AVI 1.02, "RIFF AVIX")."""
    offset = 0
    for _ in range(_MOST_BOXES):
        declared = int.from_bytes(read(offset + 4, 4), "little")
        if declared in (0, 0xFFFFFFFF):
            return None  # written to a pipe, or longer than the field can say
        offset += 8 + declared
        if offset > size:
            return False
        if read(offset, 4) != b"RIFF":
            return True
    return None


def _aiff_ends(read: Read, size: int) -> bool | None:
    declared = int.from_bytes(read(4, 4), "big")
    return declared + 8 <= size if declared else None


def _ebml_ends(read: Read, size: int) -> bool | None:
    """The segment, whose length stands behind its name (RFC 8794, 4 and 5)."""
    offset = 0
    for _ in range(_MOST_PARTS):
        if offset == size:
            return True
        head = read(offset, 12)
        if head[:4] not in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67") or len(head) < 5 or not head[4]:
            return None
        used = 9 - head[4].bit_length()
        if len(head) < 4 + used:
            return False  # cut off within its length
        length = int.from_bytes(head[4 : 4 + used], "big") - (1 << 7 * used)
        if length == (1 << 7 * used) - 1:
            return None  # written as it came, and nobody knew how much would
        offset += 4 + used + length
        if offset > size:
            return False
    return None


def _ogg_ends(read: Read, size: int) -> bool | None:
    """The last page is there to its end, and is marked as the last (RFC 3533, 6)."""
    start = max(0, size - _FAR)
    tail = read(start, _FAR)
    at = tail.rfind(b"OggS")
    header = tail[at : at + 27]
    if at < 0:
        return None
    if len(header) < 27:
        return False
    sizes = tail[at + 27 : at + 27 + header[26]]
    end = start + at + 27 + header[26] + sum(sizes)
    if len(sizes) < header[26] or end > size:
        return False
    return True if header[5] & 4 and end == size else None


def _asf_ends(read: Read, size: int) -> bool | None:
    """The objects, one after the other, come out at the end (Advanced Systems Format, 2.1)."""
    offset = 0
    for _ in range(_MOST_PARTS):
        if offset == size:
            return True
        head = read(offset, 24)
        length = int.from_bytes(head[16:], "little")
        if head[:16] not in _ASF_OBJECTS or length < 24:
            return None  # a broadcast does not say, and some programs that write tags miscount
        offset += length
        if offset > size:
            return False
    return None


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


def _psd_ends(read: Read, size: int) -> bool | None:
    """The sections in front of the picture's data (Adobe Photoshop File Formats Specification)."""
    wide = 8 if read(5, 1) == b"\x02" else 4  # PSB's third section may be longer
    offset = 26
    for width in (4, 4, wide):
        head = read(offset, width)
        if len(head) < width:
            return False
        offset += width + int.from_bytes(head, "big")
    return False if offset >= size else None


def _raf_ends(read: Read, size: int) -> bool | None:
    """The JPEG picture, the directory and the raw data, whose places and lengths the header tells."""
    head = read(0x54, 24)
    places = [int.from_bytes(head[at : at + 4], "big") for at in range(0, len(head), 4)]
    if len(places) < 6:
        return False
    ends = [start + length for start, length in zip(places[::2], places[1::2], strict=True)]
    return max(ends) <= size


def _x3f_ends(read: Read, size: int) -> bool | None:
    """The last four bytes tell where the directory lies."""
    start = int.from_bytes(read(max(0, size - 4), 4), "little")
    return read(start, 4) == b"SECd" if size >= 4 else False


_ENDS: dict[str, Callable[[Read, int], bool | None]] = {
    "jpeg": _jpeg_ends,
    "png": _png_ends,
    "gif": _gif_ends,
    "psd": _psd_ends,
    "raf": _raf_ends,
    "x3f": _x3f_ends,
    **dict.fromkeys(("webp", "avi", "wav"), _riff_ends),
    **dict.fromkeys(("mkv", "webm"), _ebml_ends),
    **dict.fromkeys(("ogg", "opus", "ogv"), _ogg_ends),
    **dict.fromkeys(("wmv", "wma"), _asf_ends),
    "aiff": _aiff_ends,
    **dict.fromkeys(
        ("heic", "heif", "avif", "cr3", "mp4", "mov", "m4v", "3gp", "m4a", "jp2", "jxl"), _isobmff_ends
    ),
}
