"""Google Takeout's JSON about one photo or film: when it was taken. PURE.

There is no specification; the fields are those of Takeout exports from 2015 on. `creationTime` is when it
was uploaded and never counts. Of an album's JSON (gphotos-album.json, metadata.json) nothing is believed.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from mediad.media.reading import Candidate
from mediad.media.stamps import RAW_LENGTH

LONGEST = 1 << 18
"""How large such a file may be, in bytes; some hold every comment of an album."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
_FURTHEST = 1 << 37  # seconds from the epoch; a datetime can hold them


def candidates(data: bytes) -> tuple[Candidate, ...]:
    """The capture date that the JSON states, as no or one candidate. Never raises.

    Args:
        data: the whole file. What is longer than `LONGEST` says nothing.
    """
    if len(data) > LONGEST:
        return ()
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return ()
    taken = found.get("photoTakenTime") if isinstance(found, dict) else None
    stamp = taken.get("timestamp") if isinstance(taken, dict) else None
    if type(stamp) not in (str, int):
        return ()
    return (Candidate("takeout", "photoTakenTime", str(stamp)[:RAW_LENGTH], _moment(str(stamp)), utc=True),)


def _moment(stamp: str) -> datetime | None:
    digits = stamp.strip().removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        return None
    seconds = int(stamp)
    return _EPOCH + timedelta(seconds=seconds) if abs(seconds) < _FURTHEST else None
