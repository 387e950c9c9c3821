"""What follows from a reading: the date that is believed, the origin, and what `why` will tell. PURE.

Done in the worker that read the file, since it takes longer than the daemon may spend on one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from mediad.media.dates import DateSettings, choose, mtime_candidate
from mediad.media.names import from_filename
from mediad.media.origin import origin
from mediad.media.reading import Candidate, File, Reading, not_read
from mediad.model import Facts, Taken

LONGEST_EVIDENCE = 8192
"""In characters, which are ASCII."""

_MOST_CANDIDATES = 24  # kept of each file; no honest file has more, and a row stays small
_NOTHING_KNOWN = Candidate("", "", "", None)
encode = json.JSONEncoder(separators=(",", ":")).encode


def conclude(reading: Reading, file: File, settings: DateSettings, now_utc: datetime) -> Facts:
    """What the daemon decides on.

    Args:
        settings, now_utc: see `choose`.
    """
    candidates = reading.candidates
    if reading.kind != "sidecar":  # whose name and time are not those of the file that it tells of
        time = mtime_candidate(file.mtime_ns, on_card=file.on_card)
        candidates = (*candidates, *from_filename(file.name), time)
    found = origin(file.name, reading)
    taken = choose(
        candidates,
        settings,
        now_utc,
        make=reading.make,
        model=reading.model,
        duration=reading.duration,
        scanned=found == "scan",
    )
    if reading.damaged and taken is not None:
        taken = replace(taken, confidence="low")
    return Facts(
        format=reading.format,
        kind=reading.kind,
        unreadable=reading.unreadable,
        damaged=reading.damaged,
        make=reading.make,
        model=reading.model,
        content_id=reading.content_id,
        artist=reading.artist,
        album=reading.album,
        title=reading.title,
        track=reading.track,
        origin=found,
        taken=taken,
        evidence=_evidence(reading, candidates, taken, found),
    )


def by_name(file: File, settings: DateSettings, now_utc: datetime) -> Facts:
    """What a file tells that is not to be opened: its name and its time."""
    reading = replace(not_read(file.name, ""), damaged="it was filed by its name, unopened, as was asked")
    return conclude(reading, file, settings, now_utc)


def _evidence(reading: Reading, candidates: tuple[Candidate, ...], taken: Taken | None, origin: str) -> str:
    """JSON; empty values are left out, and so are the last candidates where it would be too long."""
    told = [_told(candidate) for candidate in candidates[:_MOST_CANDIDATES]]
    found: dict[str, object] = {
        "format": reading.format,
        "candidates": told,
        "tag": taken.tag if taken else "",
        "date_note": _note(candidates, taken) if taken else "",
        "doubts": [reading.damaged] if reading.damaged else [],
        "origin": origin,
        "make": reading.make,
        "model": reading.model,
        "software": reading.software,
        "width": reading.width,
        "height": reading.height,
        "orientation": reading.orientation,
        "duration": reading.duration,
        "content_id": reading.content_id,
        "artist": reading.artist,
        "album": reading.album,
        "title": reading.title,
        "track": reading.track,
        "motion": reading.motion,
    }
    found = {key: value for key, value in found.items() if value}
    while len(text := encode(found)) > LONGEST_EVIDENCE:
        if not told:
            return "{}"
        told.pop()
    return text


def _note(candidates: tuple[Candidate, ...], taken: Taken) -> str:
    """What is believed of the date beyond what its field says."""
    field = (taken.source, taken.tag)
    won = next((one for one in candidates if (one.source, one.tag) == field and one.moment), _NOTHING_KNOWN)
    if won.utc and taken.offset_minutes is None:
        return "this maker's cameras keep local time there, though it ought to be UTC"
    if taken.offset_minutes is not None and won.offset_minutes is None and not won.utc:
        other = "the GPS time" if taken.source == "exif" else "the film's own time"
        return f"its distance from UTC follows from {other}"
    return ""


def _told(candidate: Candidate) -> dict[str, object]:
    return {
        "source": candidate.source,
        "tag": candidate.tag,
        "raw": candidate.raw,
        "moment": candidate.moment.isoformat() if candidate.moment else None,
        "offset": candidate.offset_minutes,
        "doubt": candidate.doubt,
        **({"utc": True} if candidate.utc else {}),
    }
