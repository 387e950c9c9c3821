"""Trashing: library files go into their library's trash, each with its set. PURE.

`trash` is for what the user removes by hand: its content is remembered, so that it does not come again.
`prune` is for one of several exact copies: it goes only while the one that stays is read and has the same
content, at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mediad.keeping.change import Change, Kept, Proof, Shift, Spot

_TRASH = b".mediad/trash/"


def trash(files: Sequence[Kept]) -> Change:
    """What moves a set into trash and remembers its content, but for sidecars, which never come alone."""
    return _away(files, "trashed", "moved to trash with mediactl trash", {})


def prune(files: Sequence[Kept], kept: dict[bytes, Spot], reason: str) -> Change:
    """What moves a set into trash whose files the library has twice.

    Args:
        kept: the other file of each content, which stays.
        reason: which one stays, in words.
    """
    return _away(files, "pruned", reason, kept)


def _is_sidecar(file: Kept) -> bool:
    return file.bond.role == "companion" and file.kind == "sidecar"


def _away(files: Sequence[Kept], code: str, reason: str, kept: dict[bytes, Spot]) -> Change:
    shifts: list[Shift] = []
    refused = ""
    for file in files:
        if file.digest is None:
            refused = refused or "it was never read"
        spot = kept.get(file.digest or b"")
        if code == "pruned" and spot is None:
            refused = refused or "the set that stays has no copy of it"
        target = file.spot._replace(path=_TRASH + file.spot.path.rpartition(b"/")[2])
        shifts.append(
            replace(
                file.shift("trash", target, reason),
                will_be={**file.state, "outcome": "ignored", "code": code, "reason": reason},
                proof=Proof((spot,)) if spot is not None else None,
                remembered=code == "trashed" and not _is_sidecar(file),
            )
        )
    item = files[0].bond.item or 0
    return Change(item, tuple(shifts), refused)
