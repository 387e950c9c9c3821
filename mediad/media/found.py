"""What a reader of one container hands to `read`, and the way it gets at bytes. Runs in workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from mediad.media.pictures.exif import Tags
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import Candidate

_CHUNK = 65536


@dataclass(slots=True)
class Found:
    """What one container held.

    Attributes:
        sound: True once anything in it made sense; without it the file counts as unreadable.
        problem: what is broken, one line, or "".
        tags: its Exif tags. xmp: its XMP packet. candidates: dates from anywhere else in it.
        orientation: as Exif's, where the container itself tells how to turn the picture.
        sealed: it holds metadata that its reader cannot get at.
    """

    sound: bool = False
    problem: str = ""
    tags: Tags | None = None
    xmp: bytes = b""
    candidates: list[Candidate] = field(default_factory=list)
    sealed: bool = False
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
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


def part(fetch: Fetch, start: int, length: int) -> Fetch:
    """A file that lies inside another one."""

    def inner(offset: int, wanted: int) -> bytes:
        return fetch(start + offset, max(0, min(wanted, length - offset)))

    return inner
