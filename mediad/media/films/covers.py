"""Pictures in the tags in front of a sound, which may be longer than the sound itself. Runs in workers.

libmediainfo has to get past them; in ID3 it takes a second for each megabyte, and many times the memory.

Sources: ID3v2.2.0, 3; ID3v2.3.0 and 2.4.0, 3 and 4; RFC 9639, 8 (FLAC).
"""

from __future__ import annotations

from mediad.media.found import Window
from mediad.media.pictures.tiff import Fetch

_MOST = 64 << 20
_MOST_PARTS = 1024
_LARGE = 1 << 14
_UNSYNCHRONISED = 0x80
_FLAC_PADDING, _FLAC_PICTURE = 1, 6


def without(window: Window, size: int) -> tuple[Fetch, int, dict[int, bytes]]:
    """A sound as it would be without the pictures in its ID3 tag, and whatever else is as large there.

    Args:
        size: the file's length in bytes.

    Returns:
        What reads it, its length, and what its tag then has to say of its own length.
    """
    head = window(0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return window, size, {}
    length = _synchsafe(head[6:])
    gaps = _large_frames(window, head, min(10 + length, size))
    cut = sum(gap for _, gap in gaps)
    shorter = bytes((length - cut) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return _leap(window, gaps), size - cut, {6: shorter} if gaps else {}


def behind_tag(window: Window) -> int:
    """Where the sound starts, behind its ID3 tag."""
    head = window(0, 10)
    return 10 + _synchsafe(head[6:]) if head[:3] == b"ID3" else 0


def in_flac(window: Window) -> int:
    """How many of the bytes in front of the sound of a FLAC are pictures and padding, within bounds."""
    at, pictures = behind_tag(window), 0
    if window(at, 4) != b"fLaC":
        return pictures
    at += 4
    for _ in range(_MOST_PARTS):
        block = window(at, 4)
        if len(block) < 4 or pictures > _MOST:
            break
        length = int.from_bytes(block[1:], "big")
        if block[0] & 0x7F in (_FLAC_PADDING, _FLAC_PICTURE):
            pictures += length
        if block[0] & 0x80:
            break
        at += 4 + length
    return min(pictures, _MOST)


def _large_frames(window: Window, head: bytes, end: int) -> list[tuple[int, int]]:
    """Start and length, in bytes, of the frames that are as long as only pictures are."""
    version, flags = head[3], head[5]
    if version < 4 and flags & _UNSYNCHRONISED:
        return []  # lengths there are not those in the file
    wide, lead = (4, 10) if version > 2 else (3, 6)
    gaps, at = [], 10
    for _ in range(_MOST_PARTS):
        frame = window(at, lead)
        if len(frame) < lead or not frame[0]:
            break
        told = frame[wide : 2 * wide]
        is_plain = version < 4 or max(told) > 0x7F  # iTunes once wrote version 4 so, too
        length = lead + (int.from_bytes(told, "big") if is_plain else _synchsafe(told))
        if at + length > end:
            break
        if length > _LARGE:  # whatever it is called: no text that is kept is so long
            gaps.append((at, length))
        at += length
    return gaps


def _leap(window: Window, gaps: list[tuple[int, int]]) -> Fetch:
    """The file without these parts of it, which are in order."""

    def read(offset: int, length: int) -> bytes:
        data = b""
        for start, gap in gaps:
            if offset < start:
                before = window(offset, min(length, start - offset))
                data, offset, length = data + before, offset + len(before), length - len(before)
                if offset < start or not length:
                    return data
            offset += gap
        return data + window(offset, length)

    return read


def _synchsafe(data: bytes) -> int:
    """Seven bits of each of four bytes."""
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3] if len(data) == 4 else 0
