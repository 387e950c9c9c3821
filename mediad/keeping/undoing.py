"""Undoing: what takes a set's steps back, decided by what the journal says. PURE.

What was moved goes back to where it was. What was copied goes into the library's trash, if its source still
has it. What trash has no longer is made anew from the library's file of that content. An undo is taken back
like any other step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mediad.keeping.change import Bond, Change, Proof, Shift, Spot, State, Taken

TRASH = b".mediad/trash/"
UNDONE: State = {
    "outcome": "ignored",
    "code": "undone",
    "reason": "taken back with mediactl undo",
    "stays": 1,
}
_FOUND = Bond("found", None, None)
_DID = {"trash": "moved to trash", "refile": "filed elsewhere", "date": "dated anew", "undo": "put back"}


def plan(steps: Sequence[Taken], assumed: Collection[int] = ()) -> Change | None:
    """What takes a set back; None where nothing of it stands any more.

    Args:
        assumed: steps that are taken back before.
    """
    standing = [step for step in steps if not step.undone]
    if not standing:
        return None
    refused = ""
    shifts: list[Shift] = []
    for step in standing:
        if step.later is not None and step.later[0] in assumed:
            step = step._replace(later=None)
        shift, why = _shift(step)
        shifts.append(shift)
        refused = refused or why
    return Change(standing[0].item, tuple(shifts), refused)


def _shift(step: Taken) -> tuple[Shift, str]:
    """What takes one step back, and why it cannot be, else ""."""
    expired = step.later is not None and step.later[1] == "expire"
    refused = ""
    if step.later is not None and not expired:
        number, action = step.later
        refused = f"it was {_DID.get(action, 'taken again')} since (step {number}): take that back first"
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
    return Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=place,
        target=target,
        was=step.state,
        will_be=will_be,
        bond=step.bond or step.bond_was,
        proof=proof,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone",
    )


def _anew(step: Taken, refused: str) -> tuple[Shift, str]:
    """Trash has it no longer, so it is made anew from the library's own file."""
    if step.holder is None:
        refused = refused or "trash has it no longer, and no library has its content"
    shift = Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=step.holder or step.own,
        target=step.source,
        was=step.state,
        will_be=step.was or UNDONE,
        bond=step.bond_was,
        keeps=True,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone: made anew from the library's file",
    )
    return shift, refused


def _there_already(step: Taken) -> Shift:
    """What came after it was taken back, and put the file where it had been before this step, too."""
    return Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=step.source,
        target=None,
        was=step.state,
        will_be=step.was or UNDONE,
        bond=None if step.action == "adopt" else step.bond,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone: it is there already",
    )


def _still(step: Taken) -> Shift:
    """Nothing moves: the file of an adoption is one that was merely found again, or the other way round."""
    adopted = step.action == "adopt"
    bond = _FOUND if adopted else _bond(step.was.get("bond"))
    was = {**step.state, "bond": list(step.bond) if step.bond else None} if adopted else step.state
    place = step.place or step.source
    return Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=place,
        target=None,
        was=was,
        will_be={**UNDONE, "stays": 0} if adopted else step.was,
        bond=bond,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone",
    )


def _dated(step: Taken) -> Shift:
    """Nothing moves: it has the date again that it had before; a companion shares its principal's."""
    return Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=step.source,
        target=None,
        was=step.state,
        will_be=step.was,
        bond=step.bond,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone",
    )


def _parted(step: Taken, place: Spot) -> Shift:
    """The file goes back into the set that it was in, and to where it was, which may be where it is."""
    return Shift(
        action="undo",
        arrival=step.arrival,
        size=step.size,
        digest=step.digest,
        source=place,
        target=step.source,
        was=step.state,
        will_be=step.was or UNDONE,
        bond=step.bond or step.becomes,
        becomes=step.bond_was,
        undoes=step.id,
        undone_action=step.action,
        reason=f"step {step.id} is undone",
    )


def _bond(told: object) -> Bond:
    return Bond(*told) if isinstance(told, list | tuple) else _FOUND
