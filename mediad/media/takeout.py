"""Google Takeout's JSON about one photo or film: when it was taken. PURE.

There is no specification; the fields are those of Takeout exports from 2015 on. `creationTime` is when it
was uploaded and never counts. Of an album's JSON (gphotos-album.json, metadata.json) nothing is believed, and
any other program's is none of Takeout's.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from mediad.media.reading import Candidate
from mediad.media.stamps import RAW_LENGTH

LONGEST = 1 << 18
"""How large such a file may be, in bytes; some hold every comment of an album."""

_TAKEN = "photoTakenTime"
_BESIDE_TITLE = frozenset(("creationTime", "photoLastModifiedTime", "geoData", "googlePhotosOrigin"))

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
_FURTHEST = 1 << 37  # seconds from the epoch; a datetime can hold them


def is_description(data: bytes) -> bool:
    """Is it Takeout's word about a photo or film, whether that has a date or not? Never raises.

    Args:
        data: the whole file. What is longer than `LONGEST` is none.
    """
    found = _parsed(data)
    if isinstance(found.get(_TAKEN), dict):
        return True
    return isinstance(found.get("title"), str) and not _BESIDE_TITLE.isdisjoint(found)


def candidates(data: bytes) -> tuple[Candidate, ...]:
    """The capture date that the JSON states, as no or one candidate. Never raises.

    Args:
        data: the whole file. What is longer than `LONGEST` says nothing.
    """
    taken = _parsed(data).get(_TAKEN)
    stamp = taken.get("timestamp") if isinstance(taken, dict) else None
    if type(stamp) not in (str, int):
        return ()
    return (Candidate("takeout", _TAKEN, str(stamp)[:RAW_LENGTH], _moment(str(stamp)), utc=True),)


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > LONGEST:
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return {}
    return found if isinstance(found, dict) else {}


def _moment(stamp: str) -> datetime | None:
    digits = stamp.strip().removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        return None
    seconds = int(stamp)
    return _EPOCH + timedelta(seconds=seconds) if abs(seconds) < _FURTHEST else None
