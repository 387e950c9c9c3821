"""Refiling: library files move to where the rules and their dates put them today, each with its set. PURE.

What a rule now ignores stays where it is, and so does what already lies where it would be put, whatever
suffix its name has got there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from mediad.config import Watch
from mediad.ingest.naming import set_names, values_of
from mediad.ingest.plan import Planner
from mediad.keeping.change import Change, Kept, Spot
from mediad.layout import key_of, with_suffix
from mediad.model import Facts, Identity, MediaSet, Sighting, Stat, Taken

_HIGHEST = 10_000  # suffix that is tried; nobody has more files of one name in a folder


def by_hand(kept: Kept) -> bool:
    """Was it put where it is by somebody else: found, adopted, or moved by hand?"""
    return not _identified(kept) or kept.state["code"] == "adopted" or kept.placed != kept.spot.path


def _identified(kept: Kept) -> bool:
    """Was it looked into? Of what was only found, or only hashed, no date is known."""
    return kept.evidence is not None


@dataclass(frozen=True, slots=True)
class Today:
    """The rules of today, and what lies in the libraries.

    Attributes:
        watch: what a set came from, as today's rules may ask.
        row_of: the top of a library, by its name; None where that is not online.
        taken: does a file whose name compares equal lie there?
    """

    planner: Planner
    watch: Watch
    row_of: Callable[[str], Spot | None]
    taken: Callable[[Spot], bool]


class Where(NamedTuple):
    """Where each file of a set belongs, in their order; `refused` says why that cannot be told, else ""."""

    spots: tuple[Spot, ...]
    refused: str = ""


def plan(files: Sequence[Kept], today: Today) -> Change | None:
    """What moves a set; None where it lies where it belongs.

    Args:
        files: its principal first.
    """
    spots, refused = where(files, today)
    shifts = tuple(
        file.shift("refile", spot, "where today's rules put it")
        for file, spot in zip(files, spots, strict=True)
        if refused or spot != file.spot
    )
    return Change(files[0].bond.item or 0, shifts, refused) if shifts else None


def where(files: Sequence[Kept], today: Today) -> Where:
    """Where a set belongs by today's rules and its principal's date: where it lies, if it may stay there.

    Args:
        files: its principal first.
    """
    lead = files[0]
    here = tuple(file.spot for file in files)
    if not lead.leads:
        return Where(here, "belongs to a file that is not in the library any more")
    if not _identified(lead):
        return Where(here, "was never looked into: mediactl adopt dates it")
    media = MediaSet(identity_of(lead), tuple(identity_of(one) for one in files[1:]))
    place = today.planner.place_for(media.principal, today.watch)
    if place.ignore:
        return Where(here)
    home = today.row_of(place.library)
    if home is None:
        return Where(here, f"library {place.library} is not online")
    spots = _free(media, files, home, place.layout.render(values_of(media.principal, today.watch)), today)
    if spots is None:
        return Where(here, "there are too many files of this name")
    if spots == here:
        return Where(here)
    unread = any(file.digest is None for file in files)
    return Where(spots, "it was never read" if unread else "")


def _free(
    media: MediaSet, files: Sequence[Kept], home: Spot, wanted: bytes, today: Today
) -> tuple[Spot, ...] | None:
    """The first names that are free, or that the set has."""
    ours = {(file.spot.library, key_of(file.spot.path)) for file in files}
    for number in range(_HIGHEST):
        names = set_names(media, with_suffix(wanted, number) if number else wanted)
        spots = tuple(home._replace(path=name) for name in names)
        if files[0].spot == spots[0]:
            return _together(files, spots, today)
        if not any((spot.library, key_of(spot.path)) not in ours and today.taken(spot) for spot in spots):
            return spots
    return None


def _together(files: Sequence[Kept], wanted: Sequence[Spot], today: Today) -> tuple[Spot, ...]:
    """The principal stays, and what lies with it; companions that were left elsewhere come to it.

    Args:
        wanted: the names that they have beside it.
    """
    lead = files[0].spot
    spots = [file.spot for file in files]
    given = {key_of(spot.path) for spot in spots}
    for number, file in enumerate(files):
        here = (file.spot.library, _folder(file.spot)) == (lead.library, _folder(lead))
        if here or file.placed != file.spot.path:  # somebody put it there
            continue
        tried = (
            with_suffix(wanted[number].path, suffix) if suffix else wanted[number].path
            for suffix in range(_HIGHEST)
        )
        free = (lead._replace(path=path) for path in tried if key_of(path) not in given)
        spots[number] = next((spot for spot in free if not today.taken(spot)), file.spot)
        given.add(key_of(spots[number].path))
    return tuple(spots)


def _folder(spot: Spot) -> bytes:
    return spot.path.rpartition(b"/")[0]


def evidence_of(kept: Kept) -> dict[str, object]:
    """What was found in a file when it was identified: a worker's word, whose types nobody has checked."""
    return evidence_in(kept.evidence or "{}")


def evidence_in(text: str) -> dict[str, object]:
    """The same, of the text that is kept; whatever is no JSON object is empty."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else {}


def identity_of(kept: Kept) -> Identity:
    """The file as it was identified when it was filed, under its name of then."""
    told = evidence_of(kept)
    text = {key: value for key, value in told.items() if isinstance(value, str)}
    facts = Facts(
        format=text.get("format", ""),
        kind=kept.kind or "photo",  # type: ignore[arg-type]
        make=text.get("make", ""),
        model=text.get("model", ""),
        origin=text.get("origin", ""),
        content_id=text.get("content_id", ""),
        artist=text.get("artist", ""),
        album=text.get("album", ""),
        title=text.get("title", ""),
        track=track if type(track := told.get("track")) is int else None,
        taken=_taken(kept, text.get("tag", "")),
    )
    stat = Stat(0, 0, kept.size, kept.mtime_ns, 0)
    return Identity(Sighting(kept.watch, kept.path, stat), kept.digest or b"", facts)


def _taken(kept: Kept, tag: str) -> Taken | None:
    if kept.taken is None:
        return None
    local = datetime.fromisoformat(kept.taken).replace(tzinfo=None)
    return Taken(local, kept.offset_min, kept.source or "", tag, kept.confidence or "low")  # type: ignore[arg-type]


def watch_of(kept: Kept, watches: dict[str, Watch], library: str) -> Watch:
    """What a file came from, as far as it is still configured, with the label of its import."""
    watch = watches.get(kept.watch)
    if watch is None or ":" in kept.watch:
        watch = Watch.elsewhere(kept.watch.partition(":")[0], "", library)
    return replace(watch, label=kept.label)
