"""Reads films: MP4, MOV, M4V, 3GP, AVI, MKV, WebM, MTS, MPG, WMV, OGV. Runs in workers.

libmediainfo reads them all; what it leaves out is read by boxes (`isobmff`) and chunks (`riff`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from mediad.media.films import avchd, isobmff, keys, mediainfo, riff
from mediad.media.films.audio import published
from mediad.media.films.makers import maker_in
from mediad.media.films.mediainfo import Told, text
from mediad.media.found import Found, Window
from mediad.media.stamps import iso_candidate

ENCODED = "when a program made this copy, not when it was filmed"

# Programs that cut, convert and wrap films, and then write the present into the header. FFmpeg (Lavf) does
# not: what stands there in its films, it has copied. YouTube says in each track when; Pixel phones do not.
_ENCODERS = re.compile(
    r"handbrake|mkvmerge|mkvtoolnix|makemkv|movie ?maker|gpac|mp4box|mp4creator|divx|virtualdub|avidemux"
    r"|premiere|adobe media encoder|after effects|final cut|imovie|resolve|vegas|camtasia|powerdirector"
    r"|filmora|movavi|xmedia recode|staxrip|kdenlive|shotcut|capcut|inshot|google inc\. created on",
    re.IGNORECASE,
)
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
    keys.read_keys(window, size, found)
    _header(told, "movie header", found)
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
    _header(told, "DateUTC", found)
    return found


def read_asf(window: Window, size: int) -> Found:
    """Dates, tags and dimensions of a WMV."""
    told, found = _begin(window, size)
    found.software = found.software or text(told.extra, "wm_encodingsettings")
    _header(told, "ASF creation date", found)
    return found


def read_ogg(window: Window, size: int) -> Found:
    """Tags, dimensions and a date tag of an Ogg with pictures in it; music has that of its release."""
    found = _begin(window, size)[1]
    if found.album or found.track:
        published(found)
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
    if not found.candidates:  # where little is left of it, there is no track for libmediainfo
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
    "ogv": read_ogg,
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
    created = text(extra, _KEYS + "creationdate") or text(extra, keys.CREATED)
    if created:
        found.candidates.append(iso_candidate("quicktime", keys.CREATED, created))
    recorded = text(told.general, "Recorded_Date")
    if recorded and recorded != created:
        found.candidates.append(iso_candidate("quicktime", recorded_tag, recorded))
    found.make = text(extra, _KEYS + "make") or text(extra, "make") or text(extra, "com_android_manufacturer")
    found.model = text(extra, _KEYS + "model") or text(extra, "model") or text(extra, "com_android_model")
    found.software = text(extra, _KEYS + "software") or found.software
    found.content_id = text(extra, _KEYS + "content_identifier")
    return told, found


def _header(told: Told, tag: str, found: Found) -> None:
    """The date in the file's header and, where it says something else, in its first track's.

    Programs that make one film of another write there when they did so.
    """
    first = mediainfo.header_date(told.general, tag)
    tracks = (mediainfo.header_date(track, "track header") for track in told.streams)
    second = next((candidate for candidate in tracks if candidate is not None), None)
    if first is not None and second is not None and first.moment == second.moment:
        second = None
    titles = (text(track, "Title") for track in told.streams[:8])
    is_copy = any(_ENCODERS.search(words) for words in (found.software, *titles))
    found.candidates += [
        replace(candidate, doubt=ENCODED) if is_copy else candidate
        for candidate in (first, second)
        if candidate is not None
    ]


def _by_handler(told: Told) -> str:
    titles = " ".join(text(track, "Title") for track in told.streams[:8]).casefold()
    return next((maker for handler, maker in _HANDLERS if handler in titles), "")
