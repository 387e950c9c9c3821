"""Refiling: library files move to where the rules and their dates put them today, each with its set. PURE.

What a rule now ignores stays where it is, and so does what already lies where it would be put, whatever
suffix its name has got there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from mediad.config import Watch
from mediad.ingest.naming import set_names, values_of
from mediad.ingest.plan import Planner
from mediad.keeping.change import Change, Kept, Shift, Spot
from mediad.layout import key_of, with_suffix
from mediad.model import Facts, Identity, MediaSet, Sighting, Stat, Taken

_HIGHEST = 10_000  # suffix that is tried; nobody has more files of one name in a folder


def by_hand(kept: Kept) -> bool:
    """Was it put where it is by somebody else: found, adopted, or moved by hand?"""
    return not _identified(kept) or kept.state["code"] == "adopted" or kept.placed != kept.spot.path


def _identified(kept: Kept) -> bool:
    """Was it looked into? Of what was only found, or only hashed, no date is known."""
    return kept.evidence is not None


def plan(
    files: Sequence[Kept],
    planner: Planner,
    watch: Watch,
    row_of: Callable[[str], Spot | None],
    taken: Callable[[Spot], bool],
) -> Change | None:
    """What moves a set; None where it lies where it belongs.

    Args:
        files: its principal first.
        watch: what it came from, as today's rules may ask.
        row_of: the top of a library, by its name; None where that is not online.
        taken: does a file whose name compares equal lie there?
    """
    lead = files[0]
    if not _identified(lead):
        refused = "was never looked into: mediactl adopt dates it"
        return _change(files, [file.spot for file in files], refused)
    media = MediaSet(_identity(lead), tuple(_identity(one) for one in files[1:]))
    place = planner.place_for(media.principal, watch)
    if place.ignore:
        return None
    home = row_of(place.library)
    if home is None:
        return _change(files, [file.spot for file in files], f"library {place.library} is not online")
    wanted = place.layout.render(values_of(media.principal, watch))
    ours = {(file.spot.library, key_of(file.spot.path)) for file in files}
    for number in range(_HIGHEST):
        names = set_names(media, with_suffix(wanted, number) if number else wanted)
        spots = [home._replace(path=name) for name in names]
        if lead.spot == spots[0]:
            return None
        if not any((spot.library, key_of(spot.path)) not in ours and taken(spot) for spot in spots):
            return _change(files, spots, "")
    return _change(files, [file.spot for file in files], "there are too many files of this name")


def _change(files: Sequence[Kept], spots: Sequence[Spot], refused: str) -> Change:
    shifts = tuple(
        Shift(
            action="refile",
            arrival=file.arrival,
            size=file.size,
            digest=file.digest or b"",
            source=file.spot,
            target=spot,
            was=file.state,
            will_be=file.state,
            bond=file.bond,
            reason="where today's rules put it",
        )
        for file, spot in zip(files, spots, strict=True)
        if refused or spot != file.spot
    )
    if any(file.digest is None for file in files):
        refused = refused or "it was never read"
    return Change(files[0].bond.item or 0, shifts, refused)


def _identity(kept: Kept) -> Identity:
    """The file as it was identified when it was filed, under its name of then."""
    told = json.loads(kept.evidence or "{}")
    text = {key: value for key, value in told.items() if isinstance(value, str)}
    facts = Facts(
        format=text.get("format", ""),
        kind=kept.kind or "photo",  # type: ignore[arg-type]
        make=text.get("make", ""),
        model=text.get("model", ""),
        origin=text.get("origin", ""),
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
