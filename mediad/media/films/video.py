"""Reads films: MP4, MOV, M4V, 3GP, AVI, MKV, WebM, MTS, MPG, WMV. Runs in workers.

libmediainfo reads them all; what it leaves out is read by boxes (`isobmff`) and chunks (`riff`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mediad.media.films import avchd, isobmff, mediainfo, riff
from mediad.media.films.audio import published
from mediad.media.films.makers import maker_in
from mediad.media.films.mediainfo import Told, text
from mediad.media.found import Found, Window
from mediad.media.stamps import iso_candidate, utc_candidate

_KEYS = "com_apple_quicktime_"
# Handlers of tracks that tell who wrote the film, where nothing else does.
_HANDLERS = (("gopro", "GoPro"), ("dji", "DJI"), ("insta360", "Insta360"))


def read_isobmff(window: Window, size: int) -> Found:
    """Dates, camera, tags, dimensions and Apple's ContentIdentifier of an MP4, MOV, M4V or 3GP.

    Args:
        size: the file's length in bytes.
    """
    lies = isobmff.true_counts(window, size)
    told, found = _begin(window, size, most=mediainfo.MOST_OF_INDEX, corrections=lies)
    found.problem = found.problem or ("its index is broken" if lies else "")
    header = text(told.general, "Encoded_Date")
    if header:
        found.candidates.append(utc_candidate("quicktime", "movie header", header))
    _track_headers(told.streams, found)
    title = text(told.general, "Title_More")
    if not found.make and title and maker_in(title[:16].encode()):
        found.make, _, model = title.partition(" ")
        found.model = found.model or model.strip()
    if found.album or found.track or text(told.general, "ContentType"):
        published(found)  # as shops sell them
    isobmff.read_boxes(window, size, found)
    found.make = found.make or _by_handler(told)
    return found


def read_avi(window: Window, size: int) -> Found:
    """Dates, camera, tags and dimensions of an AVI."""
    _, found = _begin(window, size)
    # Of a date without a time the chunk itself is read; with one, it is what a DV camera wrote in each frame.
    found.candidates = [candidate for candidate in found.candidates if not candidate.doubt]
    riff.read_chunks(window, size, found)
    return found


def read_matroska(window: Window, size: int) -> Found:
    """Dates, tags and dimensions of an MKV or WebM."""
    told, found = _begin(window, size)
    written = text(told.general, "Encoded_Date")
    if written:
        found.candidates.append(utc_candidate("quicktime", "DateUTC", written))
    return found


def read_asf(window: Window, size: int) -> Found:
    """Dates, tags and dimensions of a WMV."""
    told, found = _begin(window, size)
    created = text(told.general, "Encoded_Date")
    if created:
        found.candidates.append(utc_candidate("quicktime", "ASF creation date", created))
    return found


def read_stream(window: Window, size: int) -> Found:
    """Dates, camera and dimensions of an MPEG stream; those of AVCHD have a date in their pictures."""
    told, found = _begin(window, size, recorded_tag="MDPM")
    found.make = found.make or text(told.general, "Encoded_Application_CompanyName")
    if found.make:
        found.model = found.model or text(told.general, "Encoded_Application_Name")
    elif maker_in(found.software.encode()):
        found.make, _, found.model = found.software.partition(" ")
    # What the camera wrote is local, and an offset of zero says no more than that.
    found.candidates = [
        replace(candidate, utc=False, offset_minutes=0) if candidate.utc else candidate
        for candidate in found.candidates
    ]
    if found.sound and not found.candidates:
        candidate, make = avchd.recorded(window)
        found.candidates += [candidate] if candidate is not None else []
        found.make = found.make or make
    return found


READERS: dict[str, Callable[[Window, int], Found]] = {
    **dict.fromkeys(("mp4", "mov", "m4v", "3gp"), read_isobmff),
    **dict.fromkeys(("mkv", "webm"), read_matroska),
    **dict.fromkeys(("mts", "mpg"), read_stream),
    "avi": read_avi,
    "wmv": read_asf,
}
"""The reader of each format."""


def _begin(
    window: Window,
    size: int,
    *,
    recorded_tag: str = "content create date",
    most: int = mediainfo.MOST_OF_STREAM,
    corrections: Mapping[int, bytes] | None = None,
) -> tuple[Told, Found]:
    """What is told alike of every film, whatever it is in: programs copy tags from one to the other."""
    told, found = mediainfo.tell(window, size, most=most, corrections=corrections), Found()
    mediainfo.fill(told, found)
    extra = told.extra
    created = text(extra, _KEYS + "creationdate") or text(extra, "com.apple.quicktime.creationdate")
    if created:
        found.candidates.append(iso_candidate("quicktime", "com.apple.quicktime.creationdate", created))
    recorded = text(told.general, "Recorded_Date")
    if recorded and recorded != created:
        found.candidates.append(iso_candidate("quicktime", recorded_tag, recorded))
    found.make = text(extra, _KEYS + "make") or text(extra, "make") or text(extra, "com_android_manufacturer")
    found.model = text(extra, _KEYS + "model") or text(extra, "model") or text(extra, "com_android_model")
    found.software = text(extra, _KEYS + "software") or found.software
    found.content_id = text(extra, _KEYS + "content_identifier")
    return told, found


def _track_headers(streams: list[dict[str, Any]], found: Found) -> None:
    """The first track's date, where it says something else than the movie header."""
    movie = {candidate.moment for candidate in found.candidates if candidate.tag == "movie header"}
    for track in streams:
        date = text(track, "Encoded_Date")
        if date:
            candidate = utc_candidate("quicktime", "track header", date)
            if candidate.moment not in movie:
                found.candidates.append(candidate)
            return


def _by_handler(told: Told) -> str:
    titles = " ".join(text(track, "Title") for track in told.streams[:8]).casefold()
    return next((maker for handler, maker in _HANDLERS if handler in titles), "")
