"""ExifTool, where it is installed, for pictures that we recognise and cannot date. Runs in workers.

It is a process for each such file, so only those get one that have metadata to look into: RAW files, and
pictures that have maker notes or boxes that we cannot unpack. It opens the file by the
worker's own descriptor, inherits the worker's limits, and what it says is checked as any file's content.

Whether a file has a date must not depend on how busy the system is. What ExifTool does to itself over a file
counts, and processor time is the measure of too much; what is done to it says nothing: the file is read
again later.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

from mediad.media.formats import Format
from mediad.media.found import Found
from mediad.media.pictures import exif
from mediad.media.pictures.exif import clean
from mediad.media.programs import bounded
from mediad.media.reading import Candidate
from mediad.media.stamps import exif_candidate, iso_candidate

_PROCESSOR = 8.0  # seconds of processor time; it takes a quarter of one on a fast machine
_LIMIT = 12.0  # seconds in all, less than the daemon waits for the worker
_NO_ROOM = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_DONE_TO_IT = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGBUS, -signal.SIGINT})
_REAP_LIMIT = 1.0
_LONGEST = 1 << 16  # bytes of output
_MOST_DATES = 8
_DATES = ("SubSecDateTimeOriginal", "DateTimeOriginal", "SubSecCreateDate", "CreateDate")
_FIELDS = (*_DATES, "Make", "Model", "ImageWidth", "ImageHeight")
# Without anybody's configuration, and as numbers; groups tell where in the file a value stands.
_OPTIONS = ("-config", "", "-json", "-G1", "-n", "-q", "-q", "-fast", *(f"-{field}" for field in _FIELDS))
_OFFSET = re.compile(r"\d(Z|[+\-]\d\d:\d\d)$")
_NOT_OF_CAPTURE = frozenset({"ModifyDate", "GPSDateTime"})


class NotAnswered(Exception):
    """The system did not let it answer, which says nothing about the file."""


def can_help(form: Format, found: Found, dates: Sequence[Candidate]) -> bool:
    """Whether the file has no date of capture, and might have one where we do not look."""
    if form.kind == "raw":
        return all(date.moment is None or date.tag in _NOT_OF_CAPTURE for date in dates)
    # A camera whose clock was never set writes a date that is none, and no other anywhere.
    if form.kind != "photo" or any(date.tag not in _NOT_OF_CAPTURE for date in dates):
        return False
    return found.sealed or (found.tags is not None and exif.MAKER_NOTE in found.tags.main)


def look(file: BinaryIO, found: Found) -> list[Candidate]:
    """The dates that ExifTool finds; what else it finds is added where `found` lacks it.

    Nothing if it is not installed, needs too long, says too much, or `file` has no descriptor.

    Raises:
        NotAnswered: it was ended by others, or got no processor or memory.
    """
    program = _program()
    try:
        descriptor = file.fileno()
    except OSError:
        return []
    values = _values(_asked(program, descriptor)) if program else {}
    _fill(values, found)
    told = ((key, str(value)) for name in _DATES for key, value in _named(values, name))
    return [_candidate(key, text) for key, text in told][:_MOST_DATES]


@functools.cache
def _program() -> str | None:
    return shutil.which("exiftool")


def _asked(program: str, descriptor: int) -> bytes:
    """Its output, or b"" where there is none within its bounds."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the options are ours, the file is a number
            [program, *_OPTIONS, f"/proc/self/fd/{descriptor}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            preexec_fn=bounded(_PROCESSOR),
        )
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NotAnswered("there is no room for another process") from error
        return b""  # it has been removed, or cannot be run
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + _LIMIT
        output = _output(process.stdout.fileno(), deadline)
        code = process.wait(max(0.0, deadline - time.monotonic())) if output is not None else 0
    except subprocess.TimeoutExpired as error:
        raise NotAnswered("ExifTool did not answer in time") from error
    else:
        if code in _DONE_TO_IT:
            raise NotAnswered("ExifTool was killed")
        return output or b""
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_REAP_LIMIT)
        process.stdout.close()  # type: ignore[union-attr]


def _output(pipe: int, deadline: float) -> bytes | None:
    """All that it writes, or None where that is too much."""
    data = b""
    while len(data) <= _LONGEST:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise NotAnswered("ExifTool did not answer in time")
        more = os.read(pipe, _LONGEST)
        if not more:
            return data
        data += more
    return None


def _values(output: bytes) -> dict[str, Any]:
    """Its one object, whose keys are "Group:Name"; else nothing."""
    try:
        documents = json.loads(output or b"[]")
    except (ValueError, RecursionError):
        return {}
    first = documents[0] if isinstance(documents, list) and documents else None
    return first if isinstance(first, dict) else {}


def _named(values: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    return [
        (key, value)
        for key, value in values.items()
        if key.rpartition(":")[2] == name and isinstance(value, str | int)
    ]


def _candidate(key: str, text: str) -> Candidate:
    tag = clean(key.encode("utf-8", "replace"))
    text = clean(text.encode("utf-8", "replace"))
    if key.startswith("XMP"):
        return iso_candidate("xmp", tag, text)
    offset = _OFFSET.search(text)
    return exif_candidate(tag, text, offset=offset[1] if offset is not None else "")


def _fill(values: dict[str, Any], found: Found) -> None:
    texts = {name: str(value) for name in ("Make", "Model") for _, value in _named(values, name)[:1]}
    found.make = found.make or clean(texts.get("Make", "").encode("utf-8", "replace"))
    found.model = found.model or clean(texts.get("Model", "").encode("utf-8", "replace"))
    sizes = [_named(values, name)[:1] for name in ("ImageWidth", "ImageHeight")]
    if not found.width and not found.height and all(sizes):
        (_, width), (_, height) = sizes[0][0], sizes[1][0]
        if isinstance(width, int) and isinstance(height, int):
            found.width, found.height = width, height
