"""What one file's content tells: the entry of everything that parses. Runs in workers.

Nothing here raises for bad bytes. What cannot be read in part makes a file `damaged`, what cannot be read
at all `unreadable`, and a format that is recognised but has no reader is neither.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import BinaryIO

from mediad.media import sidecars, xmp
from mediad.media.films import audio, video
from mediad.media.formats import is_common
from mediad.media.found import Found, Window
from mediad.media.kind import HEAD_BYTES, Format, claimed, ends_whole, sniff
from mediad.media.pictures import exif, exiftool
from mediad.media.pictures import readers as pictures
from mediad.media.pictures.exif import Tags
from mediad.media.pictures.motion import embedded_film
from mediad.media.pictures.tiff import Fetch
from mediad.media.reading import MOST_TRACKS, Candidate, Reading, not_read

_IMAGES: dict[str, Callable[[Window, int], Found]] = {**pictures.READERS}
_MOTION = frozenset({"jpeg", "heic", "heif", "avif"})
_FILMS: dict[str, Callable[[Window, int], Found]] = {**video.READERS, **audio.READERS}

_SEARCHED = 4 << 20
_MOST_TRIES = 16
_TIFF_HEADER = re.compile(rb"II\*\x00[\x08-\xff]\x00\x00\x00|MM\x00\*\x00\x00\x00[\x08-\xff]")
_MOST_CANDIDATES = 32
_WIDEST = 1 << 31
CUT_OFF = "its end is missing"
_MISTAKES = (ValueError, LookupError, ArithmeticError, TypeError, struct.error, RecursionError)


class ReadError(Exception):
    """The system could not read the file; that says nothing about its content."""


def read(file: BinaryIO, name: bytes, size: int) -> Reading:
    """What a file's content tells.

    Args:
        file: open for reading and seekable; read from anywhere, its position is not kept.
        name: its name without its folder.
        size: its length in bytes.

    Raises:
        ReadError: the system reported an error, which is its `__cause__`, or left ExifTool no time to answer.
    """
    fetch = _fetcher(file)
    claim = claimed(name)
    window = Window(fetch)
    form = sniff(window(0, HEAD_BYTES), name)
    if claim is not None and claim.kind == "sidecar" and not (form is not None and is_common(claim)):
        return _sidecar(claim, window, size)
    if size <= 0:
        return not_read(name, "it is empty")
    if form is None:
        what = claim.name.upper() if claim is not None else "media"
        return not_read(name, f"its content is not {what}, nor any other format known")
    found = _found(form, window, size)
    whole = ends_whole(form, window, size)
    if found is None:
        return Reading(form.name, form.kind, damaged=CUT_OFF if whole is False else "")
    if found.tags is None and (not found.sound or found.problem):
        found.tags = _searched(fetch)
    dates = _dates(found)
    if exiftool.can_help(form, found, dates):
        try:
            dates += exiftool.look(file, found)
        except exiftool.NotAnswered as error:
            raise ReadError(str(error)) from error
    motion = ""
    if form.name in _MOTION:
        motion = embedded_film(found.xmp, window, size, is_boxed=form.name != "jpeg")
    return _reading(form, found, whole, tuple(dates[:_MOST_CANDIDATES]), motion)


def _sidecar(claim: Format, window: Window, size: int) -> Reading:
    """What it states of the file that it belongs to; one that states nothing is no worse for it.

    What is no sidecar but for its name has no format.
    """
    try:
        if not sidecars.is_one(claim.name, window, size):
            return Reading("", claim.kind)
        return Reading(
            claim.name,
            claim.kind,
            candidates=sidecars.candidates(claim.name, window, size)[:_MOST_CANDIDATES],
        )
    except _MISTAKES:
        return Reading(claim.name, claim.kind)


def _fetcher(file: BinaryIO) -> Fetch:
    def fetch(offset: int, length: int) -> bytes:
        try:
            file.seek(offset)
            return file.read(length)
        except OSError as error:
            raise ReadError(error.strerror or str(error)) from error

    return fetch


def _found(form: Format, window: Window, size: int) -> Found | None:
    """What the format's reader finds, or None if there is none."""
    try:
        reader = _IMAGES.get(form.name) or _FILMS.get(form.name)
        return reader(window, size) if reader is not None else None
    except _MISTAKES as error:
        # A reader's own mistake over bytes that nobody thought of: the file counts as broken, and says why.
        return Found(problem=f"its reader failed ({type(error).__name__})")
    except MemoryError:
        return Found(problem="its reader ran out of memory")


def _searched(fetch: Fetch) -> Tags | None:
    """Exif found by searching the file's beginning, for containers that are broken."""
    head = fetch(0, _SEARCHED)
    best: Tags | None = None
    for number, match in enumerate(_TIFF_HEADER.finditer(head)):
        if number >= _MOST_TRIES:
            break
        tags = exif.parse(lambda offset, length: head[offset : offset + length], match.start())
        if tags is not None and tags.main.keys() & {exif.DATE_TIME_ORIGINAL, exif.CREATE_DATE}:
            return tags
        best = best or (tags if tags is not None and tags.main else None)
    return best


def _reading(
    form: Format, found: Found, whole: bool | None, dates: tuple[Candidate, ...], motion: str
) -> Reading:
    tags = found.tags or Tags()
    problem = found.problem or (CUT_OFF if whole is False else "")
    nothing = not found.sound and not dates and not tags.main
    orientation = found.orientation or _bounded(tags.number(exif.ORIENTATION), 8)
    comment = exif.user_comment(tags) or (xmp.user_comment(found.xmp) if found.xmp else "") or found.comment
    return Reading(
        format=form.name,
        kind=form.kind,
        unreadable=(problem or "nothing in it makes sense") if nothing else "",
        damaged="" if nothing else problem,
        candidates=dates,
        make=tags.text(exif.MAKE) or found.make,
        model=tags.text(exif.MODEL) or found.model,
        software=tags.text(exif.SOFTWARE) or found.software,
        width=_bounded(found.width),
        height=_bounded(found.height),
        orientation=orientation,
        duration=found.duration,
        content_id=found.content_id or exif.apple_content_id(tags),
        comment=comment,
        artist=found.artist,
        album=found.album,
        title=found.title,
        track=_bounded(found.track, MOST_TRACKS),
        motion=motion,
    )


def _dates(found: Found) -> list[Candidate]:
    dates = [*exif.candidates(found.tags or Tags()), *found.candidates]
    return dates + xmp.candidates(found.xmp) if found.xmp else dates


def _bounded(value: int | None, limit: int = _WIDEST) -> int | None:
    return value if value is not None and 0 <= value <= limit else None
