"""What the catalogue knows of the pictures beside a film, by their numbers. Part of a unit of work."""

from __future__ import annotations

import json
from datetime import datetime

import apsw

from mediad.media.siblings import Shot, series_of, shot_of
from mediad.model import Facts, Taken

NEAR = """
SELECT path, kind, taken, source, confidence, evidence FROM arrival
WHERE watch = ? AND path >= ? AND path < ? AND source = 'exif' AND confidence <> 'low'
ORDER BY path, id LIMIT 256"""
"""The pictures of one span of numbers, of which there are rarely more than two each."""


def shots_near(connection: apsw.Connection, watch: str, path: bytes) -> list[Shot]:
    """The pictures of a file's counter in its folder whose numbers are close; of each number, the newest.

    Args:
        path: relative to the watch.
    """
    series = series_of(path)
    found: dict[int, Shot] = {}
    for first, last in series.spans() if series is not None else ():
        rows = connection.execute(NEAR, (watch, first + b".", last + b"/"))
        for name, kind, taken, source, confidence, evidence in rows:
            when = Taken(datetime.fromisoformat(taken), None, source, "", confidence)
            make, model = _camera(evidence)
            facts = Facts("", kind, make=make, model=model, taken=when)
            own = series_of(name)
            shot = shot_of(name, own.number, facts) if own is not None else None
            if shot is not None:
                found[shot.number] = shot
    return list(found.values())


def _camera(evidence: str | None) -> tuple[str, str]:
    """Make and model, as a worker said, which nobody has checked."""
    try:
        told = json.loads(evidence or "{}")
    except (ValueError, RecursionError):
        told = None
    make, model = (told.get(key) if isinstance(told, dict) else None for key in ("make", "model"))
    return make if isinstance(make, str) else "", model if isinstance(model, str) else ""
