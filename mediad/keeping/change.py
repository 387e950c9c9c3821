"""What is to be done with files that the libraries have: values, decided before anything is done. PURE.

A `Shift` takes one file from one spot to another; a `Change` has those of a set, which go together or not at
all. Undo, trash, refile, date and expiry all come down to these, and `keeping.relocate` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_PRIVATE = b".mediad/"

State = Mapping[str, object]
"""Columns of an arrival: outcome, code, reason, stays; where its date changes, also those of
`keeping.dating.Date`.
"""


class Spot(NamedTuple):
    """Where a file lies, or is to lie.

    Attributes:
        library: the library's row; None below a folder that files were taken from.
        root: the absolute folder of that library, or that folder. path: below it.
        identity: of that folder outside, as `Files.identity` has it: nothing goes into another one in its
            place, such as what it is mounted on. "" where it is not known.
    """

    library: int | None
    root: bytes
    path: bytes
    identity: str = ""

    @property
    def private(self) -> bool:
        """Is it in a library's trash or quarantine?"""
        return self.library is not None and self.path.startswith(_PRIVATE)

    @property
    def public(self) -> bool:
        """Is it among a library's own files?"""
        return self.library is not None and not self.private

    @property
    def absolute(self) -> bytes:
        return self.root.rstrip(b"/") + b"/" + self.path


class Bond(NamedTuple):
    """What the catalogue has of a library file, beside its name and content.

    Attributes:
        role: principal, companion or found. item: its set, and step: what brought it; None where found.
    """

    role: str
    item: int | None
    step: int | None


class Proof(NamedTuple):
    """Other files of which one must have the same content, read at that moment, or nothing is done.

    Attributes:
        shared: it may be the very same file under another name.
    """

    spots: tuple[Spot, ...]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Shift:
    """One file from one spot to another.

    Attributes:
        action: undo, trash, refile, date or expire: what history calls it.
        arrival: its row; None for a library file that nobody brought.
        target: where it goes; None to leave it where it is, or for expire to remove it. Its source where it
            stays and only its set is another from now on.
        was, will_be: its arrival's state before and after.
        bond: what the catalogue has of it as a library file, before or after. becomes: what it has of it from
            now on, where that changes; the step is this one.
        mtime_ns: what its file's mtime has to be still; None for any.
        keeps: the file at the source stays: this makes a copy.
        undoes: the step that is taken back, and what that did.
        reason: what has to be known of it.
        remembered: its content counts as removed by the user from now on.
    """

    action: str
    arrival: int | None
    size: int
    digest: bytes
    source: Spot
    target: Spot | None
    was: State
    will_be: State
    bond: Bond | None = None
    keeps: bool = False
    proof: Proof | None = None
    undoes: int | None = None
    undone_action: str = ""
    reason: str = ""
    remembered: bool = False
    becomes: Bond | None = None
    mtime_ns: int | None = None

    @property
    def moves(self) -> bool:
        """Does it go somewhere else?"""
        return self.target is not None and self.target != self.source


@dataclass(frozen=True, slots=True)
class Change:
    """A set that is shifted together.

    Attributes:
        item: the set that it was until now.
        refused: why nothing can be done with it, else "".
        joins: the set that its steps belong to; None for one of their own.
        holds: asked with the catalogue, in the unit of work in which it begins: is all that it was decided by
            still so? None: nothing is asked.
    """

    item: int
    shifts: tuple[Shift, ...]
    refused: str = ""
    joins: int | None = None
    holds: Callable[[Any], bool] | None = field(default=None, compare=False)


class Taken(NamedTuple):
    """A step that was carried out, and the file that it was about, as the journal has it.

    Attributes:
        source: where the file was before. own: where it was first seen. place: where the step put it; None
            where it moved nothing.
        bond: what the catalogue has of the library file that it is now, None where it is none.
        was, bond_was: what the step says of the time before it; empty for what came from a watch.
        later: a step that moved the file since and stands, and what that did; None if there is none.
        holder: another library file with its content, None where none is known.
        dates: it changed the date of the set, or took that back, and moved nothing.
        becomes: what it made of the library file, where it took that into another set.
    """

    id: int
    item: int
    action: str
    arrival: int
    size: int
    digest: bytes
    state: State
    source: Spot
    own: Spot
    place: Spot | None
    bond: Bond | None
    was: State
    bond_was: Bond | None
    keeps: bool
    undone: bool
    later: tuple[int, str] | None
    holder: Spot | None
    dates: bool
    becomes: Bond | None = None


class Kept(NamedTuple):
    """A library file that is there as far as is known.

    Attributes:
        digest: None where it was never read.
        arrival: its story's row, None for one that was only found; what follows is of that row.
        watch, path: where it came from. label: of its batch.
        placed: where it was put last, below its library; None for one that was only found.
    """

    id: int
    spot: Spot
    size: int
    mtime_ns: int
    digest: bytes | None
    bond: Bond
    arrival: int | None
    state: State
    watch: str
    path: bytes
    kind: str
    taken: str | None
    offset_min: int | None
    source: str | None
    confidence: str | None
    evidence: str | None
    label: str
    placed: bytes | None

    @property
    def leads(self) -> bool:
        """Is it not merely another file's companion?"""
        return self.bond.role != "companion"

    def shift(self, action: str, target: Spot | None, reason: str) -> Shift:
        """It goes there, and its story stays what it is."""
        return Shift(
            action=action,
            arrival=self.arrival,
            size=self.size,
            digest=self.digest or b"",
            source=self.spot,
            target=target,
            was=self.state,
            will_be=self.state,
            bond=self.bond,
            reason=reason,
        )
