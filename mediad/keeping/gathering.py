"""Gathering: what came earlier goes beside its principal, which came late. PURE.

A JPEG was filed by itself, then its RAW comes: from then on the RAW leads the set, and the JPEG, with its own
companions, lies beside it under its stem. Only what is as it was filed goes; what somebody moved, changed or
adopted stays, as does all of its set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mediad.errors import printable
from mediad.ingest.naming import set_names
from mediad.keeping.change import Bond, Change, Kept, Shift, Spot
from mediad.keeping.refiling import by_hand, identity_of
from mediad.layout import key_of, with_suffix
from mediad.model import MediaSet


def plan(
    lead: Kept, sets: Sequence[Sequence[Kept]], taken: Callable[[Spot], bool], given: set[bytes]
) -> list[Change]:
    """What brings sets beside a principal, each set whole or not at all.

    Args:
        sets: each with its principal first.
        taken: does a file whose name compares equal lie there?
        given: the name keys that have been given in this library just now; grows.
    """
    return [_change(lead, files, taken, given) for files in sets]


def _change(lead: Kept, files: Sequence[Kept], taken: Callable[[Spot], bool], given: set[bytes]) -> Change:
    refused = next(filter(None, (_refusal(lead, file) for file in files)), "")
    media = MediaSet(identity_of(lead), tuple(map(identity_of, files)))
    shifts: list[Shift] = []
    for file, wanted in zip(files, set_names(media, lead.spot.path)[1:], strict=True):
        target = file.spot if refused else _beside(file, wanted, taken, given)
        given.add(key_of(target.path))
        shifts.append(_shift(lead, file, target))
    return Change(files[0].bond.item or 0, tuple(shifts), refused, joins=lead.bond.item)


def _refusal(lead: Kept, file: Kept) -> str:
    """Why a file stays, else ""."""
    if file.spot.library != lead.spot.library:
        return "it lies in another library"
    if file.digest is None:
        return "it was changed since it was filed"
    if by_hand(file):
        return "it was put where it is by hand"
    return ""


def _beside(file: Kept, wanted: bytes, taken: Callable[[Spot], bool], given: set[bytes]) -> Spot:
    """The first name that is free, or its own."""
    spot, number = file.spot._replace(path=wanted), 0
    while key_of(spot.path) in given or (key_of(spot.path) != key_of(file.spot.path) and taken(spot)):
        number += 1
        spot = file.spot._replace(path=with_suffix(wanted, number))
    return spot


def _shift(lead: Kept, file: Kept, target: Spot) -> Shift:
    shift = file.shift("refile", target, f"belongs to {printable(lead.path)}, which came later")
    return replace(shift, becomes=Bond("companion", lead.bond.item, None), mtime_ns=file.mtime_ns)
