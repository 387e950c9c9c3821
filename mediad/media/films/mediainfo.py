"""What libmediainfo tells of a film or sound, as texts and numbers that are bounded here. Runs in workers."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from mediad.media.found import Found
from mediad.media.pictures.exif import clean
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import MOST_TRACKS, Candidate
from mediad.media.stamps import utc_candidate

LONGEST_TAG = 128
"""How much of an artist, album or title is kept, in characters."""

LONGEST_RECORDING = 1e8
"""In seconds: three years; what claims more lies."""

MOST_OF_INDEX = 32 << 20
"""Bytes that are read of one file at most: as much as the index of a film of many hours takes."""

MOST_OF_STREAM = 24 << 20
"""The same of a film without an index in one place, where the library searches."""

MOST_OF_SOUND = 8 << 20
"""The same of a sound, in whose frames the library searches slowly; pictures that come with it fit in."""

UNSEEN = "so much stands in front of its tracks that they were not looked at"

_AT_ONCE = 65536
_LONGEST_TELLING = 16 << 20
_STREAMS = ("Video", "Audio", "Other", "Text")
_QUICKTIME_ZERO, _UNIX_ZERO = date(1904, 1, 1), date(1970, 1, 1)
_ROTATIONS = {90: 6, 180: 3, 270: 8}  # clockwise, as Exif's Orientation has them


@dataclass(slots=True)
class Told:
    """The tracks of one file.

    Attributes:
        general: of the file as a whole. extra: its free tags, by their names in lower case.
        streams: what can be played.
        cut_short: there was more that it wanted to read than it may.
    """

    general: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)
    cut_short: bool = False

    def of_type(self, name: str) -> dict[str, Any]:
        """The first stream of a type ("Video", "Audio"), or an empty one."""
        return next((track for track in self.streams if track.get("@type") == name), {})


def tell(
    window: Fetch,
    size: int,
    *,
    most: int,
    thoroughly: bool = False,
    corrections: Mapping[int, bytes] | None = None,
) -> Told:
    """Has libmediainfo look at a file; of what it cannot read it tells nothing.

    Args:
        size: the file's length in bytes. most: how much of it may be read.
        thoroughly: look beyond the beginning, as streams without an index need it to tell how long they are.
        corrections: what to show it at some places instead of what is there, where it would run into a trap.
    """
    from pymediainfo import MediaInfo  # loaded only where a film comes: it costs memory and start-up time

    speed = 0.5 if thoroughly else 0
    bounded = _Bounded(window, size, most, corrections or {})
    told = MediaInfo.parse(
        bounded,
        output="JSON",
        parse_speed=speed,
        full=False,
        buffer_size=_AT_ONCE,
    )
    tracks = _tracks(told)
    general = next((track for track in tracks if track.get("@type") == "General"), {})
    extra = general.get("extra")
    return Told(
        general,
        {str(key).lower(): value for key, value in extra.items()} if isinstance(extra, dict) else {},
        [track for track in tracks if track.get("@type") in _STREAMS],
        bounded.is_spent,
    )


class _Bounded(io.RawIOBase):
    """The file as libmediainfo sees it: through the window, and ending once enough of it was read."""

    def __init__(self, window: Fetch, size: int, most: int, corrections: Mapping[int, bytes]) -> None:
        super().__init__()
        self._window = window
        self._size = size
        self._offset = 0
        self._left = most
        self._corrections = corrections

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        # It asks for places that a broken file names; there is nothing there, and no error.
        self._offset = min(max(base + offset, 0), self._size)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def read(self, length: int = -1) -> bytes:
        length = min(_AT_ONCE if length < 0 else length, self._left, self._size - self._offset)
        data = self._window(self._offset, length) if length > 0 else b""
        for place, right in self._corrections.items():
            at = place - self._offset
            if -len(right) < at < len(data):
                part = right[max(0, -at) : len(data) - at]
                at = max(0, at)
                data = data[:at] + part + data[at + len(part) :]
        self._offset += len(data)
        self._left -= len(data)
        return data


def _tracks(text: str) -> list[dict[str, Any]]:
    if len(text) > _LONGEST_TELLING:
        return []
    try:
        tracks = json.loads(text)["media"]["track"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [track for track in tracks if isinstance(track, dict)] if isinstance(tracks, list) else []


def text(track: dict[str, Any], key: str, limit: int = 64) -> str:
    """A field's text: printable, without blanks around it, at most `limit` characters; else ""."""
    value = track.get(key)
    return clean(value[:limit].encode("utf-8", "replace"), limit) if isinstance(value, str) else ""


def header_date(track: dict[str, Any], tag: str) -> Candidate | None:
    """The date in the header of a container, which is UTC, or None if there is none.

    One of QuickTime's before 1970 was counted from 1970 instead of 1904: Android did so until version 4.
    """
    written = text(track, "Encoded_Date")
    if not written:
        return None
    candidate = utc_candidate("quicktime", tag, written)
    if candidate.moment is None or not tag.endswith("header") or candidate.moment.year >= _UNIX_ZERO.year:
        return candidate
    return replace(candidate, moment=candidate.moment + (_UNIX_ZERO - _QUICKTIME_ZERO))


def number(track: dict[str, Any], key: str) -> float | None:
    """A field's number where it is one that a recording can have, else None."""
    value = track.get(key)
    try:
        found = float(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and 0 <= found < LONGEST_RECORDING else None


def first_number(value: str) -> int | None:
    """A track's number from "3", "03" or "3/12", or None."""
    match = re.match(r"\s*(\d{1,6})(?!\d)", value, re.ASCII)
    found = int(match[1]) if match is not None else 0
    return found if 0 < found <= MOST_TRACKS else None


def fill(told: Told, found: Found) -> None:
    """What is told alike of every container: duration, dimensions, rotation, tags, program."""
    general, picture = told.general, told.of_type("Video")
    # Where it saw only a part, that there is no track in that part says nothing of the rest.
    found.sound = bool(told.streams) or told.cut_short
    if not told.streams:
        found.problem = found.problem or (UNSEEN if told.cut_short else "no track in it")
    found.duration = number(general, "Duration") or number(picture, "Duration")
    width, height = number(picture, "Width"), number(picture, "Height")
    found.width = int(width) if width else None
    found.height = int(height) if height else None
    found.orientation = _ROTATIONS.get(round(number(picture, "Rotation") or 0))
    found.software = text(general, "Encoded_Application")
    found.artist = _tag(told, "Performer", "artist", "Album_Performer")
    found.album = _tag(told, "Album", "album")
    found.title = _tag(told, "Title", "title", "Track")
    found.track = first_number(_tag(told, "Track_Position", "track"))


def _tag(told: Told, name: str, free: str, instead: str = "") -> str:
    return (
        text(told.general, name, LONGEST_TAG)
        or text(told.extra, free, LONGEST_TAG)
        or (text(told.general, instead, LONGEST_TAG) if instead else "")
    )
