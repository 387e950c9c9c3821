"""What the daemon asks its workers, what they answer, and the frames that carry it. PURE.

A frame is a length and a body of ASCII. A request is one JSON object. A reply is a JSON list of what each
file told, and then, each on a line of its own, what `why` will tell of each, which is JSON too but only
handed on. The daemon trusts nothing that a worker says: every type, length and name is checked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Container, Sequence
from datetime import date, datetime
from typing import Any, cast, get_args

from mediad import __version__
from mediad.media.conclude import LONGEST_EVIDENCE
from mediad.media.dates import SOURCES, DateRules
from mediad.media.formats import FORMATS
from mediad.media.origin import ORIGINS
from mediad.media.prints.likeness import Print, decode, encode
from mediad.media.reading import MOST_TRACKS, File
from mediad.media.reading import READING_FAILED as READING_FAILED
from mediad.model import Confidence, Facts, Kind, Taken

MOST_FILES = 32
"""Files in one request."""

LONGEST_REQUEST = 1 << 20
LONGEST_REPLY = 2 << 20
HEADER = 4
"""How many bytes, big-endian, give the length of a frame's body."""

_LONGEST_TEXT = 256
_LONGEST_TAG = 64
_LONGEST_MOMENT = len("2021-07-10T20:39:25.123456")
_WIDEST_OFFSET = 24 * 60
_NAMES: dict[str, Container[str]] = {
    "format": frozenset(("", *FORMATS)),
    "kind": frozenset(get_args(Kind)),
    "origin": ORIGINS,
}
_SOURCES = frozenset(SOURCES)
_CONFIDENCES = frozenset(get_args(Confidence))
_TEXTS = frozenset(("unreadable", "damaged", "make", "model", "content_id", "artist", "album", "title"))

_encode = json.JSONEncoder(separators=(",", ":")).encode


HELLO = json.dumps(["mediad", __version__])
"""What a worker says first. After an upgrade, new workers differ from the daemon that still runs."""


def frame(body: str) -> bytes:
    """A frame around a body."""
    data = body.encode("ascii")
    return len(data).to_bytes(HEADER, "big") + data


# --- Requests ------------------------------------------------------------------------------------


def request(files: Sequence[File], rules: DateRules, now_utc: datetime) -> bytes:
    """The frame that asks about files; their descriptors travel with its first bytes."""
    dates = {
        "zone": rules.zone,
        "sources": rules.sources,
        "mtime": rules.mtime,
        "earliest": rules.earliest.isoformat(),
        "now": now_utc.isoformat(),
    }
    told = [(name.decode("latin-1"), size, mtime_ns, on_card) for _, name, size, mtime_ns, on_card in files]
    return frame(_encode({"dates": dates, "files": told}))


def request_from_json(body: bytes, descriptors: Sequence[int]) -> tuple[list[File], DateRules, datetime]:
    """What `request` was given, with descriptors of the process that reads it."""
    asked = json.loads(body)
    dates = asked["dates"]
    rules = DateRules(
        dates["zone"], tuple(dates["sources"]), dates["mtime"], date.fromisoformat(dates["earliest"])
    )
    files = [
        File(fd, name.encode("latin-1"), size, mtime_ns, on_card)
        for fd, (name, size, mtime_ns, on_card) in zip(descriptors, asked["files"], strict=True)
    ]
    return files, rules, datetime.fromisoformat(dates["now"])


_PRINT = "print"


def print_request(file: File, form: str, limit: float) -> bytes:
    """The frame that asks for the print of one file, whose descriptor travels with its first bytes.

    Args:
        form: the name of its format. limit: seconds, after which what takes long is given up.
    """
    return frame(_encode({_PRINT: (form, limit), "file": (file.name.decode("latin-1"), file.size)}))


def asks_for_print(body: bytes) -> bool:
    """Whether a request's body is that of a `print_request`."""
    return body.startswith(f'{{"{_PRINT}"'.encode())


def print_request_from_json(body: bytes, descriptors: Sequence[int]) -> tuple[File, str, float]:
    """What `print_request` was given, with the descriptor of the process that reads it."""
    asked = json.loads(body)
    (form, limit), (name, size) = asked[_PRINT], asked["file"]
    (descriptor,) = descriptors
    return File(descriptor, name.encode("latin-1"), size, 0, False), form, limit


# --- Replies -------------------------------------------------------------------------------------


def print_reply(made: Print) -> bytes:
    """The frame that answers a request for a print."""
    return frame(base64.b64encode(encode(made)).decode())


def print_from_reply(body: bytes) -> Print:
    """The print in a reply's body.

    Raises:
        ValueError: there is none in it.
    """
    return decode(base64.b64decode(body, validate=True))


def reply(found: Sequence[Facts]) -> bytes:
    """The frame that answers a request; what is empty is left out."""
    lines = [_encode([_to_json(facts) for facts in found]), *(facts.evidence for facts in found)]
    return frame("\n".join(lines))


def _to_json(facts: Facts) -> dict[str, Any]:
    taken = facts.taken
    found = {
        "format": facts.format,
        "kind": facts.kind,
        "unreadable": facts.unreadable,
        "damaged": facts.damaged,
        "make": facts.make,
        "model": facts.model,
        "content_id": facts.content_id,
        "artist": facts.artist,
        "album": facts.album,
        "title": facts.title,
        "track": facts.track,
        "origin": facts.origin,
        "taken": taken
        and (taken.local.isoformat(), taken.offset_minutes, taken.source, taken.tag, taken.confidence),
    }
    return {key: value for key, value in found.items() if value}


def reply_from_json(body: bytes, count: int) -> list[Facts]:
    """What a reply's body says.

    Args:
        count: how many files were asked about.

    Raises:
        ValueError: it is not a reply about so many files.
    """
    head, *evidence = body.decode("ascii").split("\n")
    try:
        found = json.loads(head)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if type(found) is not list or not len(found) == len(evidence) == count:
        raise ValueError("not as many replies as files")
    return [_from_json(value, text) for value, text in zip(found, evidence, strict=True)]


def _from_json(value: object, evidence: str) -> Facts:
    if type(value) is not dict:
        raise ValueError("not an object")
    found = cast("dict[str, Any]", value)
    found.setdefault("format", "")
    for key, item in found.items():
        if key in _TEXTS:
            _check_text(item, _LONGEST_TEXT)
        elif key in _NAMES:
            _check_name(item, _NAMES[key])
        elif key == "track":
            if type(item) is not int or not 0 <= item <= MOST_TRACKS:
                raise ValueError("not a track's number")
        elif key == "taken":
            found[key] = _taken(item)
        else:
            raise ValueError("unknown key")
    if "kind" not in found:
        raise ValueError("no kind")
    if len(evidence) > LONGEST_EVIDENCE or evidence[:1] != "{" or evidence[-1:] != "}":
        raise ValueError("the evidence is no object, or too long")
    return Facts(evidence=evidence, **found)


def _check_text(value: object, limit: int) -> None:
    if type(value) is not str or len(value) > limit:
        raise ValueError("no text, or too long")
    if not value.isascii():
        value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError


def _check_name(value: object, known: Container[str]) -> None:
    if type(value) is not str or value not in known:
        raise ValueError("unknown name")


def _taken(value: object) -> Taken:
    if type(value) is not list or len(value) != 5:
        raise ValueError("not a capture date")
    local, offset, source, tag, confidence = value
    if type(local) is not str or len(local) > _LONGEST_MOMENT:
        raise ValueError("not a moment")
    moment = datetime.fromisoformat(local)
    if moment.tzinfo is not None:
        raise ValueError("a moment with a zone")
    if offset is not None and (type(offset) is not int or not -_WIDEST_OFFSET <= offset <= _WIDEST_OFFSET):
        raise ValueError("not an offset")
    _check_name(source, _SOURCES)
    _check_name(confidence, _CONFIDENCES)
    _check_text(tag, _LONGEST_TAG)
    return Taken(moment, offset, source, tag, confidence)
