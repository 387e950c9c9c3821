"""Which of exact copies may go, and on whose word: a decision, which asks and does nothing.

One of each group stays, and whatever goes has it as its witness. What goes takes its companions with it, so
these have to be kept as well, with the same bytes, beside the file that stays. What may belong to something
that is not catalogued stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mediad.errors import printable
from mediad.media import companions
from mediad.media.formats import claimed
from mediad.store.copies import Beside, Copy

Keep = Literal["best", "oldest"]

Inode = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A file that is of an exemplar's set or lies beside it; `inode` None: it is not there as recorded."""

    file: Beside
    inode: Inode | None


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One of several files with the same content; `inode` None: it is not there as recorded."""

    file: Copy
    inode: Inode | None
    beside: Sequence[Companion]

    @property
    def own(self) -> list[Companion]:
        """Those of its set."""
        return [one for one in self.beside if one.file.item == self.file.item is not None]


@dataclass(frozen=True, slots=True)
class Going:
    """A file that may go to trash.

    Attributes:
        file: its row. library: its library's row, and `within` its path there.
        witness: the row of the file that stays, which has to have the same bytes at that moment.
    """

    file: int
    library: int
    within: bytes
    size: int
    witness: int


@dataclass(frozen=True, slots=True)
class Spared:
    """A file that stays though there are others like it, and why; `path` is absolute."""

    file: int
    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is to be done with a group.

    Attributes:
        kept: the row of the file that stays; kept_path: absolute.
        going: sets that may go, each with its principal first and whole or not at all.
    """

    digest: bytes
    kept: int
    kept_path: bytes
    going: tuple[tuple[Going, ...], ...]
    spared: tuple[Spared, ...]


def plan(digest: bytes, group: Sequence[Exemplar], keep: Keep, under: bytes | None) -> Pruned | None:
    """What is to be done with files of one content; None: nothing, since no two are there as recorded.

    Args:
        under: only what lies below this absolute folder may go; None: all may.
    """
    there = [one for one in group if one.inode is not None]
    if len(there) < 2:
        return None
    kept, *others = sorted(there, key=lambda one: _order(one, keep))
    going: list[tuple[Going, ...]] = []
    spared: list[Spared] = []
    for other in others:
        if under is not None and not _is_below(other.file.path, under):
            continue
        if reason := _why_not(other, kept):
            spared.append(Spared(other.file.id, other.file.path, reason))
        else:
            going.append(_leaving(other, kept))
    return Pruned(digest, kept.file.id, kept.file.path, tuple(going), tuple(spared))


def _order(one: Exemplar, keep: Keep) -> tuple[object, ...]:
    """What stays comes first; of several equally old ones that with companions: others may have the same."""
    return one.file.rank if keep == "best" else (one.file.mtime_ns, not one.own, one.file.id)


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder.rstrip(b"/") + b"/")


def _why_not(other: Exemplar, kept: Exemplar) -> str:
    """Why a copy has to stay, else ""."""
    form = claimed(other.file.within)
    stays = printable(kept.file.path)
    if other.inode == kept.inode:
        return f"is the very same file as {stays}, under another name"
    if other.file.found and (form is None or form.kind == "sidecar"):
        return "is no media by its name"
    key = companions.key(other.file.within)
    for one in other.beside:
        name = printable(one.file.within)
        if one.file.role == "found" and companions.key(one.file.within) == key:
            return f"may belong to {name}, which is not catalogued: mediactl adopt the library first"
        if other.file.found and companions.key(one.file.within) == key:
            return f"is not catalogued and may belong to {name}: mediactl adopt the library first"
    for one in other.own:
        name = printable(one.file.within)
        if one.file.role != "companion":
            return f"is of one set with {name}"
        if one.inode is None or one.file.digest is None:
            return f"its companion {name} is not as it was recorded"
        twin = _twin(one, kept)
        if twin is None:
            return f"its companion {name} is not kept beside {stays}"
        if twin.inode == one.inode:
            return f"its companion {name} is the very same file as that of {stays}"
    return ""


def _twin(companion: Companion, kept: Exemplar) -> Companion | None:
    """The kept file's companion with the same content."""
    key = companions.key(kept.file.within)
    same = (
        one
        for one in kept.beside
        if one.inode is not None
        and one.file.digest == companion.file.digest
        and (one in kept.own or companions.key(one.file.within) == key)
    )
    return next(same, None)


def _leaving(other: Exemplar, kept: Exemplar) -> tuple[Going, ...]:
    file = other.file
    leaving = [Going(file.id, file.library, file.within, file.size, kept.file.id)]
    for one in other.own:
        twin = _twin(one, kept)
        assert twin is not None
        leaving.append(Going(one.file.id, file.library, one.file.within, one.file.size, twin.file.id))
    return tuple(leaving)
