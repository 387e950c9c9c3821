"""What a reader of one container hands to `read`, and the way it gets at bytes. Runs in workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from mediad.media.exif import Fetch, Tags
from mediad.media.reading import Candidate

_CHUNK = 65536


@dataclass(slots=True)
class Found:
    """What one container held.

    Attributes:
        sound: True once anything in it made sense; without it the file counts as unreadable.
        problem: what is broken, one line, or "".
        tags: its Exif tags. xmp: its XMP packet. candidates: dates from anywhere else in it.
    """

    sound: bool = False
    problem: str = ""
    tags: Tags | None = None
    xmp: bytes = b""
    candidates: list[Candidate] = field(default_factory=list)
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    make: str = ""
    model: str = ""
    software: str = ""
    content_id: str = ""
    comment: str = ""
    artist: str = ""
    album: str = ""
    title: str = ""
    track: int | None = None


class Window:
    """Bytes of a file, read ahead: small reads near each other cost one call of the system."""

    __slots__ = ("_data", "_fetch", "_start")

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._data = fetch(0, _CHUNK)
        self._start = 0

    def __call__(self, offset: int, length: int) -> bytes:
        """The bytes there, fewer at the end of the file."""
        at = offset - self._start
        if at < 0 or at + length > len(self._data):
            if length >= _CHUNK:
                return self._fetch(offset, length)
            self._data = self._fetch(offset, _CHUNK)
            self._start = offset
            at = 0
        return self._data[at : at + length]
