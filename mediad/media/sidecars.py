"""Reads sidecars: files that tell of another file when it was taken. Runs in workers.

That is an XMP packet, Google Takeout's JSON, or the small JPEG that cameras put beside a film. Of all others
(edits, notes, subtitles) nothing is read.
"""

from __future__ import annotations

from mediad.media import takeout, xmp
from mediad.media.found import Window
from mediad.media.pictures import exif, jpeg
from mediad.media.reading import Candidate

READ = frozenset({"xmp", "takeout", "thm"})
"""The formats of which something is read; see `mediad.media.formats.FORMATS`."""

_HEAD = 64
_MARKS = b"\xef\xbb\xbf\xff\xfe\x00"  # byte order marks and UTF-16's zeros
_BLANKS = b" \t\r\n"


def is_one(form: str, window: Window, size: int) -> bool:
    """Is it a sidecar, as its name claims? Of `.json`, which is used for much else, only Takeout's are.

    Args:
        form: the name of its format. size: its length in bytes.
    """
    return form != "takeout" or (size <= takeout.LONGEST and takeout.is_description(window(0, size)))


def candidates(form: str, window: Window, size: int) -> tuple[Candidate, ...]:
    """The capture dates that a sidecar states. Never raises for bad bytes.

    Args:
        form: the name of its format.
        size: its length in bytes.
    """
    if form not in READ:
        return ()
    head = window(0, _HEAD)
    if head.startswith(b"\xff\xd8\xff"):
        return _of_thumbnail(window)
    first = head.lstrip(_MARKS + _BLANKS)[:1]
    if first == b"{" and size <= takeout.LONGEST:
        return takeout.candidates(window(0, size))
    if first == b"<":
        return tuple(xmp.candidates(xmp.as_utf8(window(0, xmp.LONGEST))))
    return ()


def _of_thumbnail(window: Window) -> tuple[Candidate, ...]:
    tags = jpeg.read_jpeg(window).tags
    return tuple(exif.candidates(tags)) if tags is not None else ()
