"""Gathering: what came earlier goes beside its principal, which came late. PURE.

A JPEG was filed by itself, then its RAW comes: from then on the RAW leads the set, and the JPEG, with its own
companions, lies beside it under its stem. Only what is as it was filed goes; what somebody moved, changed or
adopted stays, as does all of its set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mediad.errors import printable
from mediad.keeping.change import Bond, Change, Kept, Shift, Spot
from mediad.keeping.refiling import by_hand
from mediad.layout import companion_name, key_of, with_suffix


def plan(lead: Kept, sets: Sequence[Sequence[Kept]], taken: Callable[[Spot], bool]) -> list[Change]:
    """What brings sets beside a principal, each set whole or not at all.

    Args:
        sets: each with its principal first.
        taken: does a file whose name compares equal lie there?
    """
    given: set[bytes] = set()
    return [_change(lead, files, taken, given) for files in sets]


def _change(lead: Kept, files: Sequence[Kept], taken: Callable[[Spot], bool], given: set[bytes]) -> Change:
    refused = next(filter(None, (_refusal(lead, file) for file in files)), "")
    ours = {key_of(file.spot.path) for file in files}

    def free(spot: Spot) -> bool:
        key = key_of(spot.path)
        return key not in given and (key in ours or not taken(spot))

    shifts: list[Shift] = []
    for file in files:
        target = file.spot if refused else _beside(lead, file, free)
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


def _beside(lead: Kept, file: Kept, free: Callable[[Spot], bool]) -> Spot:
    directory, slash, name = lead.spot.path.rpartition(b"/")
    source = lead.path.rpartition(b"/")[2]
    wanted = directory + slash + companion_name(source, name, file.path.rpartition(b"/")[2])
    spot = file.spot._replace(path=wanted)
    number = 0
    while not free(spot):
        number += 1
        spot = file.spot._replace(path=with_suffix(wanted, number))
    return spot


def _shift(lead: Kept, file: Kept, target: Spot) -> Shift:
    return Shift(
        action="refile",
        arrival=file.arrival,
        size=file.size,
        digest=file.digest or b"",
        source=file.spot,
        target=target,
        was=file.state,
        will_be=file.state,
        bond=file.bond,
        becomes=Bond("companion", lead.bond.item, None),
        mtime_ns=file.mtime_ns,
        reason=f"belongs to {printable(lead.path)}, which came later",
    )
