"""A file to be read, and what reading it told, before anything is concluded from that. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mediad.media.formats import claimed
from mediad.model import Kind

MOST_TRACKS = 9999
"""The highest number that a track on a record may have."""


class File(NamedTuple):
    """A file to be read; a tuple, since one is made of every file.

    Attributes:
        fd: a descriptor, open in the process that has this.
        name: without its folder; any bytes.
        size: in bytes.
        on_card: it lies in a camera's own folders (DCIM).
    """

    fd: int
    name: bytes
    size: int
    mtime_ns: int
    on_card: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """One statement about when a file was taken, as found.

    Attributes:
        source: "exif", "quicktime", "xmp", "takeout", "filename" or "mtime".
        tag: the field's own name: "DateTimeOriginal", "com.apple.quicktime.creationdate",
            "movie header", "filename", ...
        raw: the text as it stands in the file, at most 64 characters.
        moment: its reading, naive; None where the text is no date (zeros, blanks).
        offset_minutes: its UTC offset, where the file states one.
        utc: True if `moment` is UTC by the field's definition and has to be brought to local time.
        doubt: why a reader already mistrusts it, else "".
    """

    source: str
    tag: str
    raw: str
    moment: datetime | None
    offset_minutes: int | None = None
    utc: bool = False
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a file's content told. It never leaves the process that read.

    Attributes:
        format: a name in `mediad.media.formats.FORMATS` ("jpeg", "heic", "mov", ...), or "".
        unreadable: why it cannot be read at all, else "".
        damaged: what is broken in a file that could be read in part, else "".
        width, height: pixels as stored, before orientation. duration: seconds.
        content_id: Apple's ContentIdentifier, which both halves of a Live Photo carry.
        comment: EXIF UserComment, at most 64 characters ("Screenshot" on iOS).
        artist, album, title, track: tags of a sound recording or film; texts of at most 128 characters.
        motion: what tells that a film is embedded in a picture, else "".
    """

    format: str
    kind: Kind
    unreadable: str = ""
    damaged: str = ""
    candidates: tuple[Candidate, ...] = ()
    make: str = ""
    model: str = ""
    software: str = ""
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    duration: float | None = None
    content_id: str = ""
    comment: str = ""
    artist: str = ""
    album: str = ""
    title: str = ""
    track: int | None = None
    motion: str = ""


READING_FAILED = "reading failed"
"""Begins `Reading.unreadable` where the system, not the content, was at fault."""


def not_read(name: bytes, why: str) -> Reading:
    """Of a file of which nothing was read: what its name claims.

    Args:
        why: it could not be read; "" where nobody has tried. The name alone makes no JSON a sidecar.
    """
    claim = claimed(name)
    if claim is None:
        return Reading("", "photo", unreadable=why)
    if claim.kind == "sidecar":
        if why.startswith(READING_FAILED):  # its set waits with it
            return Reading(claim.name, claim.kind, unreadable=why)
        return Reading("" if why and claim.name == "takeout" else claim.name, claim.kind)
    return Reading(claim.name, claim.kind, unreadable=why)
