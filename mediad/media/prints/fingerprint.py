"""Makes the print of a file: what its content looks like, and its payload. Runs in workers.

Nothing here raises for bad bytes: what cannot be compared has a print that says why.
"""

from __future__ import annotations

import struct
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, TypeVar

from mediad.media.formats import FORMATS
from mediad.media.kind import HEAD_BYTES, sniff
from mediad.media.pictures.tiff import Fetch
from mediad.media.prints.decoding import decodable, decode, decode_raw
from mediad.media.prints.ffmpeg import DEMUXERS, Failed, Source
from mediad.media.prints.frames import looks, measure, still
from mediad.media.prints.likeness import Print, PrintKind
from mediad.media.prints.looks import looks_of
from mediad.media.prints.payload import payload
from mediad.media.read import ReadError, read
from mediad.media.reading import File, Reading

_KINDS: dict[str, PrintKind] = {"photo": "picture", "raw": "picture", "video": "film", "audio": "sound"}

# What decoders raise over bytes that nobody thought of.
_BROKEN = (ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError, SyntaxError)
_CUT_OFF = (EOFError, struct.error, zlib.error, AssertionError)

_T = TypeVar("_T")


def fingerprint(file: File, stream: BinaryIO, form: str, limit: float) -> Print:
    """The print of a file.

    Args:
        file: the file. stream: the same, open for reading and seekable.
        form: the name of its format where what it begins with does not tell it.
        limit: seconds, after which what takes long is given up.

    Raises:
        ReadError: the system could not read it.
    """
    deadline = time.monotonic() + limit
    fetch = _fetcher(stream)
    told = sniff(fetch(0, HEAD_BYTES), file.name)
    form = told.name if told is not None else form
    known = FORMATS.get(form)
    kind = _KINDS.get(known.kind, "") if known is not None else ""
    if not kind:
        return Print("", failed="nothing in it can be compared")
    source = Source(file.fd, DEMUXERS.get(form, ""), deadline)
    if kind == "film":
        made = _film(source)
    elif kind == "picture":
        seen, failed = _attempt(lambda: _picture(file, stream, fetch, form, source))
        made = seen or Print(kind, failed=failed)
    else:
        made = Print(kind)
    content, failed = _attempt(lambda: payload(fetch, file.size, form, source, deadline))
    return replace(made, payload=content or b"", failed=made.failed or failed)


def _fetcher(stream: BinaryIO) -> Fetch:
    def fetch(offset: int, length: int) -> bytes:
        try:
            stream.seek(offset)
            return stream.read(length)
        except OSError as error:
            raise ReadError(error.strerror or str(error)) from error

    return fetch


def _attempt(make: Callable[[], _T]) -> tuple[_T | None, str]:
    """What was made, or None and why not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn of much that is odd and does no harm
            return make(), ""
    except Failed as failed:
        return None, str(failed)
    except MemoryError:
        return None, "it needs more memory than it may have"
    except OSError as error:
        if error.errno is not None:
            raise ReadError(error.strerror or str(error)) from error
        return None, "it cannot be decoded"  # Pillow raises a bare OSError over broken pictures
    except (*_BROKEN, *_CUT_OFF):
        return None, "it cannot be decoded"


def _film(source: Source) -> Print:
    film, failed = _attempt(lambda: measure(source))
    if film is None:
        return Print("film", failed=failed)
    made = Print("film", b"", film.width, film.height, film.duration)
    if film.duration is None:
        return replace(made, failed="it does not say how long it is")
    duration, lead = film.duration, film.lead
    seen, failed = _attempt(lambda: looks(source, duration, lead))
    return replace(made, looks=seen or (), failed=failed)


def _picture(file: File, stream: BinaryIO, fetch: Fetch, form: str, source: Source) -> Print:
    if decodable(form):
        picture, (width, height) = decode(stream, form, file.size)
    elif FORMATS[form].kind == "raw":
        told = read(stream, file.name, file.size)
        picture, shown = decode_raw(fetch, file.size, told.orientation)
        width, height = _full_size(told, shown)
    elif form in DEMUXERS:
        told = read(stream, file.name, file.size)
        picture, width, height = still(source), told.width or 0, told.height or 0
    else:
        raise Failed(f"{form.upper()} cannot be decoded")
    return Print("picture", b"", width, height, None, looks_of(picture))


def _full_size(told: Reading, preview: tuple[int, int]) -> tuple[int, int]:
    """The size of a RAW picture in the aspect of its preview, which is the one that people see."""
    width, height = preview
    longest = max(told.width or 0, told.height or 0, width, height)
    scale = longest / max(width, height)
    return round(width * scale), round(height * scale)
