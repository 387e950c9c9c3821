"""Reads sound: MP3, M4A, FLAC, Ogg, Opus, WAV, AIFF, WMA. Runs in workers.

The date in the tags of music is when it was released, which is no capture date at all, and the one in the
header of its container is when it was copied; those of a voice memo or of a field recorder are when it was
recorded. What has an album, or a number on one, is music; so is what has a genre, or an artist and a title,
unless a recorder made it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import time
from itertools import islice

from mediad.media.films import covers, isobmff, mediainfo, riff
from mediad.media.films.mediainfo import Told, text
from mediad.media.found import Found, Window
from mediad.media.kind import starts_mpeg_frame
from mediad.media.pictures.exif import Tags, clean
from mediad.media.reading import Candidate
from mediad.media.stamps import iso_candidate

RELEASED = "when it was released, not recorded"
COPIED = "when this copy of what was published was made"

RELEASE = "release date"
"""The tag of dates that are never believed."""

_COMMENTS = 1 << 18  # bytes in which Vorbis comments are looked for
_PERFORMER = re.compile(rb"\x00PERFORMER=", re.IGNORECASE)
_ARTIST = re.compile(rb"(.{4})ARTIST=", re.IGNORECASE | re.DOTALL)
_LONGEST_ARTIST, _MOST_ARTISTS = 1024, 64
_HEADERS = ("movie header", "track header", "ASF creation date", "bext OriginationDate")
# What recorders call themselves, or their recordings.
_RECORDER = re.compile(
    r"voice ?memo|voice ?rec|recorder|dicta|tascam|zoom|olympus|marantz|edirol|roland|sounddev|sony|philips",
    re.IGNORECASE,
)


def read_sound(
    window: Window, size: int, *, thoroughly: bool = False, corrections: Mapping[int, bytes] | None = None
) -> Found:
    """Artist, album, title, track, duration and dates of a sound.

    Args:
        size: the file's length in bytes. thoroughly, corrections: see `mediainfo.tell`.
    """
    told, found = _begin(window, size, thoroughly=thoroughly, corrections=corrections)
    return _judged(told, found)


def read_mp3(window: Window, size: int) -> Found:
    """The same of an MP3; one that ends in its first frame is no track, and yet is sound."""
    found = read_sound(window, size, thoroughly=True)
    found.sound = found.sound or starts_mpeg_frame(window(covers.behind_tag(window), 4))
    return found


def read_xiph(window: Window, size: int) -> Found:
    """The same of a FLAC, Ogg or Opus, whose artist libmediainfo takes for a composer beside performers."""
    found = read_sound(window, size)
    head = window(0, _COMMENTS) if found.artist else b""
    if _PERFORMER.search(head):
        found.artist = " / ".join(_artists(head))[: mediainfo.LONGEST_TAG] or found.artist
    return found


def _artists(head: bytes) -> Iterator[str]:
    """Each ARTIST of Vorbis comments; in front of each comment stands its length, in four bytes."""
    for match in islice(_ARTIST.finditer(head), _MOST_ARTISTS):
        length = int.from_bytes(match[1], "little") - len("ARTIST=")
        if 0 < length <= _LONGEST_ARTIST:
            yield clean(head[match.end() : match.end() + length], _LONGEST_ARTIST)


def read_wav(window: Window, size: int) -> Found:
    """The same of a WAV, whose dates and tags stand in chunks of their own."""
    told, found = _begin(window, size)
    found.candidates.clear()
    riff.read_chunks(window, size, found)
    return _judged(told, found)


def read_m4a(window: Window, size: int) -> Found:
    """The same of an M4A, whose index may lie."""
    lies = isobmff.true_counts(window, size)
    found = read_sound(window, size, corrections=lies)
    found.problem = found.problem or ("its index is broken" if lies else "")
    return found


READERS: dict[str, Callable[[Window, int], Found]] = {
    "mp3": read_mp3,
    "m4a": read_m4a,
    **dict.fromkeys(("flac", "ogg", "opus"), read_xiph),
    **dict.fromkeys(("aiff", "wma"), read_sound),
    "wav": read_wav,
}
"""The reader of each format."""


def _begin(
    window: Window, size: int, *, thoroughly: bool = False, corrections: Mapping[int, bytes] | None = None
) -> tuple[Told, Found]:
    """What libmediainfo tells, with dates as they stand there."""
    found = Found(tags=Tags())  # not searched for Exif: it would be that of a picture on the cover
    most = mediainfo.MOST_OF_SOUND + covers.in_flac(window)
    shown, length, shorter = covers.without(window, size)
    told = mediainfo.tell(
        shown, length, most=most, thoroughly=thoroughly, corrections={**shorter, **(corrections or {})}
    )
    mediainfo.fill(told, found)
    found.width = found.height = found.orientation = None
    found.make = text(told.extra, "make") or text(told.extra, "com_android_manufacturer")
    found.model = text(told.extra, "model") or text(told.extra, "com_android_model")
    found.candidates += _dates(told)
    return told, found


def _dates(told: Told) -> list[Candidate]:
    found = []
    created = text(told.extra, "com_apple_quicktime_creationdate")
    if created:
        found.append(iso_candidate("quicktime", "com.apple.quicktime.creationdate", created))
    recorded = text(told.general, "Recorded_Date")
    if recorded and recorded != created:
        found.append(iso_candidate("quicktime", "content create date", recorded))
    is_asf = text(told.general, "Format") == "Windows Media"
    header = mediainfo.header_date(told.general, "ASF creation date" if is_asf else "movie header")
    return [*found, header] if header is not None else found


def _judged(told: Told, found: Found) -> Found:
    """What its dates are worth, by whether it is music."""
    is_memo = "voicememo" in found.software.casefold()  # iTunes puts these on an album, too
    genre = text(told.general, "Genre")
    programs = (text(told.general, name) for name in ("EncodedBy", "Encoded_Library"))
    is_recorded = found.make or any(map(_RECORDER.search, (found.software, genre, *programs)))
    is_named = not is_recorded and (genre or (found.artist and found.title))
    if not is_memo and (found.album or found.track or is_named):
        published(found)
    # Nobody names a day, let alone a year, to say when a memo was recorded.
    found.candidates = [
        replace(candidate, tag=RELEASE, doubt=RELEASED)
        if candidate.tag not in _HEADERS and _is_day(candidate)
        else candidate
        for candidate in found.candidates
    ]
    return found


def _is_day(candidate: Candidate) -> bool:
    """No more than a day, or not even that; programs add a midnight to days."""
    return bool(candidate.doubt) or candidate.moment is None or candidate.moment.time() == time.min


def published(found: Found) -> None:
    """Takes the dates of what was published for what they are: of its release, and of this copy."""
    found.candidates = [
        replace(candidate, doubt=COPIED)
        if candidate.tag in _HEADERS
        else replace(candidate, tag=RELEASE, doubt=RELEASED)
        for candidate in found.candidates
    ]
