"""QuickTime's metadata by keys: a table of names, and values by the numbers of these. Runs in workers.

libmediainfo takes two such tables in one film for one, and gives the values of one the names of the other.
Films have two where ffmpeg wrote the first, into the user data, and ExifTool the second.
Source: QuickTime File Format, "Metadata".
"""

from __future__ import annotations

from collections.abc import Mapping

from mediad.media.boxes import Steps, steps, walk
from mediad.media.found import Found, Window
from mediad.media.pictures.exif import clean
from mediad.media.stamps import iso_candidate

CREATED = "com.apple.quicktime.creationdate"
"""The key of the local date with its offset, and the tag of that date."""

_APPLE, _ANDROID = "com.apple.quicktime.", "com.android."
_LONGEST_TABLE = 1 << 16
_LONGEST_VALUE = 1 << 10
_TEXT = b"\0\0\0\1"  # the type of a value: UTF-8


def read_keys(window: Window, size: int, found: Found) -> None:
    """Puts what several tables tell in the place of what was made of them; the last one has the last word.

    Args:
        size: the file's length in bytes.
    """
    tables = _tables(window, size)
    if len(tables) < 2:
        return
    told = {name: value for table in tables for name, value in table.items()}
    found.candidates = [candidate for candidate in found.candidates if candidate.tag != CREATED]
    if created := told.get(CREATED):
        found.candidates.append(iso_candidate("quicktime", CREATED, created))
    found.make = _first(told, _APPLE + "make", "make", _ANDROID + "manufacturer")
    found.model = _first(told, _APPLE + "model", "model", _ANDROID + "model")
    found.software = _first(told, _APPLE + "software", "encoder") or found.software
    found.content_id = _first(told, _APPLE + "content.identifier")


def _first(told: Mapping[str, str], *names: str) -> str:
    return next((told[name] for name in names if told.get(name)), "")


def _tables(window: Window, size: int) -> list[dict[str, str]]:
    """Those of the film as a whole, in their order."""
    left = steps()
    found: list[dict[str, str]] = []
    for top, start, length in walk(window, 0, size, left):
        for name, inner, within in walk(window, start, start + length, left) if top == b"moov" else ():
            if name == b"meta":
                found.append(_table(window, inner, within, left))
            elif name == b"udta":
                inside = walk(window, inner, inner + within, left)
                found += [_table(window, at, much, left) for box, at, much in inside if box == b"meta"]
    return [table for table in found if table]


def _table(window: Window, start: int, length: int, left: Steps) -> dict[str, str]:
    """What a `meta` box tells by keys; that of ISO media has a version and flags in front of its boxes."""
    begin = start if window(start + 4, 4) == b"hdlr" else start + 4
    names: list[str] = []
    found: dict[str, str] = {}
    for name, inner, size in walk(window, begin, start + length, left):
        if name == b"keys":
            names = _names(window(inner, min(size, _LONGEST_TABLE)))
        elif name == b"ilst":
            for number, at, much in walk(window, inner, inner + size, left):
                value = window(at, min(much, _LONGEST_VALUE))
                if (
                    0 < (index := int.from_bytes(number, "big")) <= len(names)
                    and value[4:12] == b"data" + _TEXT
                ):
                    found[names[index - 1]] = clean(value[16 : int.from_bytes(value[:4], "big")])
    return found


def _names(content: bytes) -> list[str]:
    """Behind version, flags and count: of each its length, its namespace and its name."""
    names: list[str] = []
    at = 8
    while (length := int.from_bytes(content[at : at + 4], "big")) >= 8:
        names.append(content[at + 8 : at + length].decode("utf-8", "replace"))
        at += length
    return names
