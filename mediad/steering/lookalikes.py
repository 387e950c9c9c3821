"""Library files that look alike, or have the same content under other metadata, as `duplicates` has them."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterable, Sequence

from mediad.control.protocol import path_fields
from mediad.media.formats import claimed
from mediad.store import alike
from mediad.store.alike import Member
from mediad.store.copies import Copy
from mediad.store.reading import Reader

MOST_FILES = 1000
"""Files that are told of one group, the best ones; of the others there is only a count."""

_MOST_PRINTS = 100_000  # of one group; thin air
_CHUNK = 500  # prints whose files are looked up in one unit of work

# They keep all that they were given, or lose less than JPEG and MP3; only RAW is better. WebP and AVIF
# can, but what comes in them was mostly made small for the web.
_KEEPING = frozenset(
    (
        *("tiff", "psd", "png", "bmp", "heic", "heif", "jxl", "jp2"),
        *("flac", "wav", "aiff"),
    )
)


def rank(member: Member, file: Copy) -> tuple[bool, bool, int, bool, bool, bool, int, bool, int]:
    """The best comes first: by resolution, then format, then what is known of it, then size, then age.

    But RAW comes before all, and what names its date and camera before what does not: all in a group have
    one aspect, so more pixels without them were made of fewer. Of files that mediad did not bring, nothing
    is known.
    """
    form = claimed(file.path)
    raw, kept = form is not None and form.kind == "raw", form is not None and form.name in _KEEPING
    original = file.dated is None or (file.dated and file.camera)
    pixels = member.width * member.height
    told = not file.dated, not file.camera
    return not raw, not original, -pixels, not kept, *told, -file.size, file.found, file.id


async def similar(
    reader: Reader, after: int, limit: int, farthest: int
) -> tuple[list[dict[str, object]], int | None]:
    """Groups of files that look alike, and the number after which to go on; None at the end."""
    leaders, on = await reader.run(functools.partial(alike.leaders, after=after, farthest=farthest))
    told: list[dict[str, object]] = []
    for leader in leaders:
        if (group := await _closure(reader, leader, farthest)) is not None:
            found = await _group(reader, "similar", *group)
            told += [found] if found is not None else []
        if len(told) == limit:
            return told, leader
    return told, on


async def _closure(reader: Reader, leader: int, farthest: int) -> tuple[int, list[int]] | None:
    """What a print looks like, what that looks like, and so on; and how far the farthest pair of it is apart.

    None if one of them has a lower number: then that one's group has it.
    """
    seen, front, widest = {leader}, [leader], 0
    while front and len(seen) < _MOST_PRINTS:
        look = functools.partial(alike.neighbours, prints=front, farthest=farthest)
        pairs, rest = await reader.run(look)
        fresh = {number for number, _ in pairs} - seen
        if any(number < leader for number in fresh):
            return None
        widest = max([widest, *(far for _, far in pairs)])
        seen |= fresh
        front = [*rest, *sorted(fresh)]
    return widest, sorted(seen)


async def payloads(reader: Reader, after: bytes, limit: int) -> tuple[list[dict[str, object]], bytes | None]:
    """Groups of files with the same content and other metadata, and the payload after which to go on."""
    found, on = await reader.run(functools.partial(alike.same_payloads, after=after, limit=limit))
    groups = [await _group(reader, "payload", 0, prints) for prints in found]
    return [group for group in groups if group is not None], on


async def _group(reader: Reader, kind: str, far: int, prints: Sequence[int]) -> dict[str, object] | None:
    """A group as replies have it; None where its files are gone, or another kind tells of them."""
    best: list[tuple[Member, Copy]] = []
    contents: set[bytes] = set()
    payloads: set[bytes] = set()
    count = 0
    for start in range(0, len(prints), _CHUNK):
        part = prints[start : start + _CHUNK]
        members = await reader.run(functools.partial(alike.members, prints=part))
        files = [(member, file) for member in members for file in member.files]
        contents |= {member.digest for member in members}
        payloads |= {member.payload or member.digest for member in members}
        count += len(files)
        best = heapq.nsmallest(MOST_FILES, [*best, *files], key=lambda pair: rank(*pair))
    if len(contents) < 2 or (kind == "similar" and len(payloads) < 2):
        return None
    return {
        "kind": kind,
        "distance": far,
        **path_fields("best", best[0][1].path),
        "files": list(_files(best)),
        "omitted": count - len(best),
    }


def _files(best: Iterable[tuple[Member, Copy]]) -> Iterable[dict[str, object]]:
    for member, file in best:
        yield {
            **path_fields("path", file.path),
            "digest": member.digest.hex(),
            "size": file.size,
            "width": member.width or None,
            "height": member.height or None,
        }
