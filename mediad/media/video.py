"""Reads MP4, MOV, M4V and 3GP through libmediainfo, and what it leaves out by the boxes. Runs in workers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from mediad.media import xmp
from mediad.media.dates import iso_candidate, utc_candidate
from mediad.media.exif import clean
from mediad.media.found import Found, Window

_MOST_BOXES = 4096
_LONGEST = 1 << 20
_KEYS = "com_apple_quicktime_"
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
# Sony XAVC keeps a NonRealTimeMeta document with the local time and its offset in a box of its own.
_SONY_DATE = re.compile(rb"<CreationDate\s+value=\"([0-9T:+\-]{19,25})\"")
_SONY_DEVICE = re.compile(rb"<Device\s+manufacturer=\"([^\"]{1,64})\"\s+modelName=\"([^\"]{1,64})\"")
# Cameras name their maker in udta, each in a structure of its own; the name itself stands there in clear.
_MAKER = re.compile(
    rb"panasonic|nikon|olympus|fujifilm|pentax|casio|kodak|sanyo|gopro|ricoh|jvc|canon|sony|samsung|leica",
    re.IGNORECASE,
)


def read_video(file: BinaryIO, window: Window, size: int) -> Found:
    """Dates, camera, dimensions and Apple's ContentIdentifier of a film.

    Args:
        file: the film; libmediainfo reads and seeks in it.
        window: the same, for our own reading.
        size: its length in bytes.
    """
    from pymediainfo import MediaInfo  # loaded only where a film comes: it costs memory and start-up time

    text = MediaInfo.parse(file, output="JSON", parse_speed=0, full=False)
    tracks = _tracks(text)
    general = next((track for track in tracks if track.get("@type") == "General"), {})
    streams = [track for track in tracks if track.get("@type") in ("Video", "Audio", "Other", "Text")]
    found = Found(sound=bool(streams), problem="" if streams else "no track in it")
    _general(general, found)
    for track in streams:
        if track.get("@type") == "Video":
            _video_track(track, found)
            break
    _track_headers(streams, found)
    _boxes(window, size, found)
    if not found.make and any("gopro" in _text(track, "Title").casefold() for track in streams):
        found.make = "GoPro"
    return found


def _tracks(text: str) -> list[dict[str, Any]]:
    try:
        tracks = json.loads(text)["media"]["track"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [track for track in tracks if isinstance(track, dict)] if isinstance(tracks, list) else []


def _text(track: dict[str, Any], key: str) -> str:
    value = track.get(key)
    return clean(value.encode("utf-8", "replace")) if isinstance(value, str) else ""


def _general(general: dict[str, Any], found: Found) -> None:
    extra = general.get("extra")
    keys: dict[str, Any] = extra if isinstance(extra, dict) else {}
    created = _text(keys, _KEYS + "creationdate")
    if created:
        found.candidates.append(iso_candidate("quicktime", "com.apple.quicktime.creationdate", created))
    recorded = _text(general, "Recorded_Date")
    if recorded and recorded != created:
        found.candidates.append(iso_candidate("quicktime", "content create date", recorded))
    header = _text(general, "Encoded_Date")
    if header:
        found.candidates.append(utc_candidate("quicktime", "movie header", header))
    title = _text(general, "Title_More")
    found.make = (
        _text(keys, _KEYS + "make")
        or _text(keys, "Make")
        or _text(keys, "com_android_manufacturer")
        or (title.split()[0] if title and _MAKER.match(title.encode()) else "")
    )
    found.model = _text(keys, _KEYS + "model") or _text(keys, "Model") or _text(keys, "com_android_model")
    found.software = _text(keys, _KEYS + "software") or _text(general, "Encoded_Application")
    found.content_id = _text(keys, _KEYS + "content_identifier")
    found.duration = _number(general.get("Duration"))


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None


def _video_track(track: dict[str, Any], found: Found) -> None:
    width, height = _number(track.get("Width")), _number(track.get("Height"))
    found.width = int(width) if width is not None else None
    found.height = int(height) if height is not None else None


def _track_headers(streams: list[dict[str, Any]], found: Found) -> None:
    """The first track's date, where it says something else than the movie header."""
    movie = {candidate.moment for candidate in found.candidates if candidate.tag == "movie header"}
    for track in streams:
        text = _text(track, "Encoded_Date")
        if text:
            candidate = utc_candidate("quicktime", "track header", text)
            if candidate.moment not in movie:
                found.candidates.append(candidate)
            return


# --- Boxes that libmediainfo does not tell (ISO/IEC 14496-12, 4.2) ---------------------------------


def _boxes(window: Window, size: int, found: Found) -> None:
    for name, start, length in _walk(window, 0, size):
        if name == b"uuid" and window(start, 16) == _XMP_UUID:
            found.xmp = window(start + 16, min(length - 16, xmp.LONGEST))
        elif name == b"meta":
            _sony(window(start, min(length, _LONGEST)), found)
        elif name == b"moov":
            _user_data(window, start, length, found)


def _walk(window: Window, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the content and length of the content of the boxes in a range."""
    offset = start
    for _ in range(_MOST_BOXES):
        head = window(offset, 16)
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


def _user_data(window: Window, start: int, length: int, found: Found) -> None:
    for name, inner, size in _walk(window, start, start + length):
        if name != b"udta":
            continue
        data = window(inner, min(size, _LONGEST))
        maker = _MAKER.search(data[:65536])
        if not found.make and maker is not None:
            found.make = clean(maker[0])
        packet = data.find(b"XMP_")
        if packet >= 0 and not found.xmp:
            found.xmp = data[packet + 4 :]


def _sony(data: bytes, found: Found) -> None:
    match = _SONY_DATE.search(data)
    if match is not None:
        found.candidates.append(iso_candidate("quicktime", "CreationDateValue", clean(match[1])))
    device = _SONY_DEVICE.search(data)
    if device is not None and not found.make:
        found.make, found.model = clean(device[1]), clean(device[2])
