"""Facts as JSON, and the frames they travel in between the daemon and its workers. PURE.

The daemon trusts nothing that a worker says: every type, length and name is checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, cast, get_args

from mediad.media.formats import FORMATS, claimed
from mediad.model import Candidate, Facts, Kind

MOST_FILES = 32
"""Files in one request."""

LONGEST_REQUEST = 1 << 20
LONGEST_REPLY = 2 << 20
HEADER = 4
"""A frame is its length, big-endian in this many bytes, and that much JSON in UTF-8."""

READING_FAILED = "reading failed"
"""Begins `Facts.unreadable` where the system, not the content, was at fault."""

_MOST_CANDIDATES = 64
_LONGEST_TEXT = 256
_SOURCES = ("exif", "quicktime", "xmp", "takeout", "filename", "mtime")
_KINDS = get_args(Kind)
_WIDEST = 1 << 31
_FIELDS = tuple(field.name for field in fields(Facts))
_DEFAULTS = {field.name: field.default for field in fields(Facts)}


def frame(value: object) -> bytes:
    """A frame that holds the value."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    return len(body).to_bytes(HEADER, "big") + body


def to_json(facts: Facts) -> dict[str, Any]:
    """Facts as a JSON object; what has its default value is left out."""
    found: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(facts, name)
        if name == "candidates":
            found[name] = [_candidate_to_json(candidate) for candidate in value]
        elif value != _DEFAULTS[name]:
            found[name] = value
    return found


def _candidate_to_json(candidate: Candidate) -> list[Any]:
    moment = candidate.moment.isoformat() if candidate.moment is not None else None
    return [
        candidate.source,
        candidate.tag,
        candidate.raw,
        moment,
        candidate.offset_minutes,
        candidate.utc,
        candidate.doubt,
    ]


def from_json(value: object) -> Facts:
    """Facts from what `to_json` made.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(value, dict) or not value.keys() <= set(_FIELDS):
        raise ValueError("not an object of known keys")
    found = cast("dict[str, object]", value)
    kind = found.get("kind")
    if kind not in _KINDS:
        raise ValueError("unknown kind")
    form = _text(found, "format", 16)
    if form and form not in FORMATS:
        raise ValueError("unknown format")
    return Facts(
        format=form,
        kind=cast("Kind", kind),
        unreadable=_text(found, "unreadable"),
        damaged=_text(found, "damaged"),
        candidates=_candidates(found.get("candidates", [])),
        make=_text(found, "make"),
        model=_text(found, "model"),
        software=_text(found, "software"),
        width=_number(found.get("width")),
        height=_number(found.get("height")),
        orientation=_number(found.get("orientation"), 8),
        duration=_seconds(found.get("duration")),
        content_id=_text(found, "content_id"),
        comment=_text(found, "comment"),
    )


def replies_from_json(body: bytes, count: int) -> list[Facts]:
    """The Facts of a whole reply.

    Args:
        body: the frame's body.
        count: how many files were asked about.

    Raises:
        ValueError: it is not a list of so many Facts.
    """
    value = _load(body)
    if not isinstance(value, list) or len(value) != count:
        raise ValueError("not as many replies as files")
    return [from_json(item) for item in value]


def request(names: Sequence[bytes], sizes: Sequence[int]) -> bytes:
    """The frame that asks about files; their descriptors travel with its first bytes."""
    return frame(
        [{"name": name.decode("latin-1"), "size": size} for name, size in zip(names, sizes, strict=True)]
    )


def request_from_json(body: bytes) -> list[tuple[bytes, int]]:
    """Names and sizes from a request's body, as `request` made it."""
    return [(item["name"].encode("latin-1"), item["size"]) for item in json.loads(body)]


def not_read(name: bytes, why: str) -> Facts:
    """Facts about a file of which nothing was read, by what its name claims."""
    claim = claimed(name)
    if claim is None:
        return Facts("", "photo", unreadable=why)
    return Facts(claim.name, claim.kind, unreadable="" if claim.kind == "sidecar" else why)


def _load(body: bytes) -> object:
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _text(found: dict[str, object], key: str, limit: int = _LONGEST_TEXT) -> str:
    value = found.get(key, "")
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"{key} is no text, or too long")
    value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    return value


def _number(value: object, limit: int = _WIDEST) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError("not a number in its range")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _WIDEST:
        raise ValueError("not a duration")
    return float(value)


def _candidates(value: object) -> tuple[Candidate, ...]:
    if not isinstance(value, list) or len(value) > _MOST_CANDIDATES:
        raise ValueError("not a list of candidates, or too many")
    return tuple(_candidate(item) for item in value)


def _candidate(value: object) -> Candidate:
    if not isinstance(value, list) or len(value) != 7:
        raise ValueError("not a candidate")
    source, tag, raw, moment, offset, utc, doubt = value
    if source not in _SOURCES or not isinstance(utc, bool):
        raise ValueError("not a candidate")
    for text, limit in ((tag, 64), (raw, 64), (doubt, _LONGEST_TEXT)):
        if not isinstance(text, str) or len(text) > limit:
            raise ValueError("a candidate's text is no text, or too long")
        text.encode()
    if offset is not None and (type(offset) is not int or abs(offset) > 24 * 60):
        raise ValueError("not an offset")
    return Candidate(source, tag, raw, _moment(moment), offset, utc, doubt)


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 26:
        raise ValueError("not a moment")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        raise ValueError("a moment with a zone")
    return moment
