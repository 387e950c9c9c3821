"""Undoing: what takes a set's steps back, decided by what the journal says. PURE.

What was moved goes back to where it was. What was copied goes into the library's trash, if its source still
has it. What trash has no longer is made anew from the library's file of that content. An undo is taken back
like any other step. Companions follow their principal: what came to lie beside it since goes along, and what
comes out of trash goes to where its principal is now.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from mediad.errors import printable
from mediad.keeping.change import Bond, Change, Kept, Proof, Shift, Spot, State, Taken
from mediad.layout import companion_name, key_of, with_suffix

TRASH = b".mediad/trash/"
UNDONE: State = {
    "outcome": "ignored",
    "code": "undone",
    "reason": "taken back with mediactl undo",
    "stays": 1,
}
_FOUND = Bond("found", None, None)
_DID = {"trash": "moved to trash", "refile": "filed anew", "date": "dated anew", "undo": "put back"}


def plan(
    steps: Sequence[Taken],
    assumed: Collection[int] = (),
    around: Sequence[Kept] = (),
    filled: Collection[Spot] = (),
) -> Change | None:
    """What takes a set back; None where nothing of it stands any more.

    Args:
        assumed: steps that are taken back before.
        around: the library files of the same set, those of the steps among them.
        filled: what the steps before will have put something at.
    """
    standing = [step for step in steps if not step.undone]
    if not standing:
        return None
    refused = ""
    shifts: list[Shift] = []
    led: list[int] = []  # those that go where their principal is
    arrivals = {step.arrival for step in steps}
    for step in standing:
        if step.later is not None and step.later[0] in assumed:
            step = step._replace(later=None)
        back, why = _shift(step)
        shift = _to_principal(step, back, around)
        if shift is not back:
            led.append(len(shifts))
        shifts.append(shift)
        refused = refused or why
    there = [one for one in around if one.bond.step not in assumed]
    for step, shift in zip(standing, tuple(shifts), strict=True):
        along = _along(step, shift, [one for one in there if one.arrival not in arrivals])
        led += range(len(shifts), len(shifts) + len(along))
        shifts += along
        if any(not one.digest for one in along):
            refused = refused or "what lies beside it now was never read"
    return Change(standing[0].item, _apart(shifts, led, there, filled), refused)


def _apart(
    shifts: Sequence[Shift], led: Sequence[int], there: Sequence[Kept], filled: Collection[Spot]
) -> tuple[Shift, ...]:
    """The same, each of those that are led to the first name beside its principal that is free, or its own.

    All are placed before any lets its old name go, so the old names of the others are not free either.
    """
    apart = list(shifts)
    given = {_key(one.target) for number, one in enumerate(shifts) if one.target and number not in led}
    old = {_key(kept.spot) for kept in there}
    for number in led:
        wanted = shifts[number].target
        assert wanted is not None
        taken = given | (old - {_key(shifts[number].source)})
        spot, suffix = wanted, 0
        while _key(spot) in taken or spot in filled:
            suffix += 1
            spot = wanted._replace(path=with_suffix(wanted.path, suffix))
        given.add(_key(spot))
        apart[number] = replace(shifts[number], target=spot)
    return tuple(apart)


def _key(spot: Spot) -> tuple[int | None, bytes]:
    return spot.library, key_of(spot.path)


def _to_principal(step: Taken, shift: Shift, around: Sequence[Kept]) -> Shift:
    """A companion that comes back into a library whose principal was moved since goes there."""
    bond, target = step.bond_was, shift.target
    if bond is None or bond.role != "companion" or target is None or not target.public:
        return shift
    lead = next((one for one in around if one.bond[:2] == ("principal", bond.item)), None)
    if lead is None or (shift.source.public and not shift.keeps) or (lead.bond.step or 0) < step.id:
        return shift
    if _folder(lead.spot) == _folder(target):
        return shift
    return replace(shift, target=_beside(lead.path, lead.spot, step.own.path))


def _along(step: Taken, shift: Shift, others: Sequence[Kept]) -> list[Shift]:
    """What has come to lie beside a principal since goes with it within the libraries."""
    bond, target = shift.bond, shift.target
    if bond is None or bond.role != "principal" or target is None or not shift.moves:
        return []
    if not (shift.source.public and target.public):
        return []
    return [
        kept.shift(
            "undo",
            _beside(step.own.path, target, kept.path),
            f"goes along with {printable(step.own.path)}",
        )
        for kept in others
        if kept.bond.item == bond.item and not kept.leads and _folder(kept.spot) == _folder(shift.source)
    ]


def _folder(spot: Spot) -> tuple[int | None, bytes]:
    return spot.library, spot.path.rpartition(b"/")[0]


def _beside(principal: bytes, spot: Spot, companion: bytes) -> Spot:
    """Where a companion goes. Both paths are those that they came by, the spot is the principal's."""
    folder, slash, name = spot.path.rpartition(b"/")
    source = principal.rpartition(b"/")[2]
    return spot._replace(path=folder + slash + companion_name(source, name, companion.rpartition(b"/")[2]))


def _shift(step: Taken) -> tuple[Shift, str]:
    """What takes one step back, and why it cannot be, else ""."""
    expired = step.later is not None and step.later[1] == "expire"
    refused = ""
    if step.later is not None and not expired:
        number, action = step.later
        did = _DID.get(action, "taken again")
        refused = f"it was {did} since: take that back first (mediactl undo {number})"
    elif step.action == "expire":
        refused = "its time in trash is over, and it was removed"
    if step.place is None and step.dates:
        return _dated(step), refused
    if step.place is not None and step.becomes is not None and not expired:
        return _parted(step, step.place), refused
    if step.place is not None and step.place == step.source and step.action != "undo":
        return _there_already(step), refused
    if expired or (step.action == "trash" and step.place is None):
        return _anew(step, refused)
    if step.place is None and step.action != "undo":
        return _still(step), refused or "nothing is known of where it went"
    if step.action == "adopt" or step.place is None:
        return _still(step), refused
    return _back(step, step.place), refused


def _back(step: Taken, place: Spot) -> Shift:
    """The file goes back to where the step took it from."""
    target, proof = step.source, None
    will_be: State = step.was or UNDONE
    if step.action in ("copy", "hardlink"):
        target = place._replace(path=TRASH + place.path.rpartition(b"/")[2])
        proof = Proof((step.own,), shared=step.action == "hardlink")
        will_be = {**UNDONE, "stays": step.state["stays"]}
    elif step.action == "undo" and step.keeps:  # what was made anew
        target = step.source._replace(path=TRASH + step.own.path.rpartition(b"/")[2])
    return replace(_undo(step, place, target, step.bond or step.bond_was), will_be=will_be, proof=proof)


def _undo(step: Taken, source: Spot, target: Spot | None, bond: Bond | None) -> Shift:
    """What takes a step back, as far as all of them are alike."""
    return Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=source,
        target=target,
        was=step.state,
        will_be=step.was or UNDONE,
        bond=bond,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone",
    )


def _anew(step: Taken, refused: str) -> tuple[Shift, str]:
    """Trash has it no longer, so it is made anew from the library's own file."""
    if step.holder is None:
        refused = refused or "trash has it no longer, and no library has its content"
    shift = _undo(step, step.holder or step.own, step.source, step.bond_was)
    return replace(shift, keeps=True, reason=f"{shift.reason}: made anew from the library's file"), refused


def _there_already(step: Taken) -> Shift:
    """What came after it was taken back, and put the file where it had been before this step, too."""
    shift = _undo(step, step.source, None, None if step.action == "adopt" else step.bond)
    return replace(shift, reason=f"{shift.reason}: it is there already")


def _still(step: Taken) -> Shift:
    """Nothing moves: the file of an adoption is one that was merely found again, or the other way round."""
    adopted = step.action == "adopt"
    bond = _FOUND if adopted else _bond(step.was.get("bond"))
    was = {**step.state, "bond": list(step.bond) if step.bond else None} if adopted else step.state
    will_be: State = {**UNDONE, "stays": 0} if adopted else step.was
    return replace(_undo(step, step.place or step.source, None, bond), was=was, will_be=will_be)


def _dated(step: Taken) -> Shift:
    """Nothing moves: it has the date again that it had before; a companion shares its principal's."""
    return replace(_undo(step, step.source, None, step.bond), will_be=step.was)


def _parted(step: Taken, place: Spot) -> Shift:
    """The file goes back into the set that it was in, and to where it was, which may be where it is."""
    return replace(_undo(step, place, step.source, step.bond or step.becomes), becomes=step.bond_was)


def _bond(told: object) -> Bond:
    return Bond(*told) if isinstance(told, list | tuple) else _FOUND
