"""What is done, or would be, to files that the libraries have: taken from replies, shown as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mediad.cli.paths import shown
from mediad.cli.quantities import count
from mediad.cli.table import Screen, Table
from mediad.control.client import Reply
from mediad.errors import printable
from mediad.sizes import size_text

_BRIEF = 10  # changes of each sort that are shown where there are many
_UNDONE = {  # what was taken back, as it is counted
    "move": "move",
    "copy": "copy",
    "hardlink": "hard link",
    "trash": "move to trash",
    "quarantine": "move to quarantine",
    "refile": "new place",
    "date": "new date",
    "undo": "undo",
    "adopt": "adoption",
}
_PLURALS = {"copy": "copies", "move to trash": "moves to trash", "move to quarantine": "moves to quarantine"}

Change = dict[str, Any]


class Changes:
    """What one call told, in one reply or many: all counts, and as many of the changes as are asked for.

    Args:
        whole: keep every change.

    Attributes:
        reply: the last one. done, refused: the changes that are kept.
        first_step: of those that are taken back; None: nothing is.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.reply: Reply = {"state": "planned", "batch": None, "done": 0, "refused": 0, "bytes": 0}
        self.done: list[Change] = []
        self.refused: list[Change] = []
        self.first_step: int | None = None
        self._whole = whole
        self._every: list[Change] = []
        self._kinds: Counter[str] = Counter()

    def add(self, reply: Reply) -> None:
        """Take in the next reply of the call."""
        self.reply = reply
        for change in reply["changes"]:
            if self._whole:
                self._every.append(change)
            if change["done"]:
                self._kinds[_kind(change)] += 1
            if self.first_step is None:
                self.first_step = change["undoes"]
            kept = self.done if change["done"] else self.refused
            if len(kept) < _BRIEF:
                kept.append(change)

    @property
    def files(self) -> int:
        """How many files are changed, or would be."""
        return int(self.reply["done"])

    @property
    def exit_code(self) -> int:
        """0, or 1 where something was refused."""
        return 1 if self.reply["refused"] else 0

    def amount(self) -> str:
        """ "57 files (1.2 GB)"."""
        return f"{count(self.files, 'file')} ({size_text(self.reply['bytes'])})"

    def summary(self) -> str:
        """ "57 files (1.2 GB): 50 moves, 7 moves to trash; 2 refused": of an undo it is what was undone."""
        kinds = ", ".join(_counted(number, kind) for kind, number in self._kinds.most_common())
        named = f": {kinds}" if len(self._kinds) > 1 else ""
        return f"{self.amount()}{named}{self.refused_text()}"

    def refused_text(self) -> str:
        """ "; 2 refused", "" if nothing was."""
        return f"; {self.reply['refused']:,} refused" if self.reply["refused"] else ""

    def document(self) -> Reply:
        """What --json prints."""
        return {**self.reply, "changes": self._every}

    def brief(self, on: Screen, rest: str) -> Iterator[str]:
        """The first changes as a table, and what was refused.

        Args:
            rest: what lists all, such as "-n lists all".
        """
        listing = Listing(on)
        yield from listing.lines(self.done)
        if (more := self.files - len(self.done)) > 0:
            yield f"and {more:,} more: {rest}"
        yield from self.refusals(listing, rest)

    def refusals(self, listing: Listing, rest: str) -> Iterator[str]:
        """What was refused, with the reasons."""
        yield from listing.lines(self.refused)
        if (more := self.reply["refused"] - len(self.refused)) > 0:
            yield f"and {more:,} more refused: {rest}"


class Listing:
    """A table of changes, which may come in parts; below a change stands what has to be known of it."""

    def __init__(self, on: Screen) -> None:
        self._on = on
        self._table = Table(on, ("WHAT", "SIZE", "FILE", "GOES TO"), right=(1,), elastic=(2, 3))

    def lines(self, changes: Sequence[Change]) -> Iterator[str]:
        """These changes as lines; nothing for none."""
        table = self._table.lines(map(_row, changes))
        yield from table[: len(table) - len(changes)]
        for line, change in zip(table[len(table) - len(changes) :], changes, strict=True):
            yield line
            if reason := printable(change["reason"]):
                yield "    " + self._on.paint(reason, "" if change["done"] else "yellow")


def _row(change: Change) -> Sequence[str]:
    return (
        _kind(change) if change["done"] else "refused",
        size_text(change["size"]),
        shown(change, "source") or "-",
        (shown(change, "destination") if change["done"] else "") or "-",
    )


def _kind(change: Change) -> str:
    """ "undo move", "refile": what is done."""
    undone = change["undone_action"]
    return f"{change['action']} {undone}" if undone else str(change["action"])


def _counted(number: int, kind: str) -> str:
    """ "50 moves" of "undo move"."""
    action = kind.removeprefix("undo ")
    noun = _UNDONE.get(action) if action != kind else None
    if noun is None:
        return f"{number:,} {kind}"
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, noun + 's')}"
