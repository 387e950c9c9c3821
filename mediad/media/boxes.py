"""Boxes of ISO media, JPEG 2000 and JPEG XL files, one after the other. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat

from mediad.media.pictures.tiff import Fetch

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""The identifier of a `uuid` box that holds an XMP packet (Adobe XMP specification, part 3)."""

_MOST_BOXES = 4096
_MOST_STEPS = 1 << 17

Steps = Iterator[None]
"""What walks use up, one for each box."""


def steps() -> Steps:
    """For walks inside each other, which together go over no more boxes than this has steps."""
    return repeat(None, _MOST_STEPS)


def walk(fetch: Fetch, start: int, end: int, left: Steps | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the content and length of the content of the boxes in a range, as far as they fit.

    Args:
        left: the steps that it shares with others.

    Source: ISO/IEC 14496-12, 4.2; the same in ISO/IEC 15444-1, I.4 and ISO/IEC 18181-2.
    """
    offset = start
    for _ in islice(repeat(None) if left is None else left, _MOST_BOXES):
        head = fetch(offset, 16)
        if offset + 8 > end or len(head) < 8:
            return
        length, used = int.from_bytes(head[:4], "big"), 8
        if length == 1 and len(head) == 16:
            length, used = int.from_bytes(head[8:], "big"), 16
        elif length == 0:
            length = end - offset
        if length < used:
            return
        yield head[4:8], offset + used, min(length, end - offset) - used
        offset += length
