"""Which files belong together and are filed as one set. PURE.

The rules stand in `RULES`, in order; each links companions to the file they belong to, and what an earlier
rule linked stays linked. A new kind of set is a new function in that table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta

from mediad.media.formats import claimed
from mediad.model import Identity, MediaSet, Taken

_SIDECARS = (b".xmp", b".aae")
_SAME_MOMENT = timedelta(seconds=2)
_LIVE_STILLS = ("heic", "heif", "jpeg")
_LIVE_FILMS = ("mov", "mp4", "m4v")


def key(path: bytes) -> bytes:
    """Folder and case-folded stem: what files of one folder share that may belong together.

    "a/X.jpg", "a/x.JPG.xmp", "a/x.xmp", "a/x.mov" give the same key. Cheap: called for every file seen.

    Args:
        path: any bytes, "/"-separated.
    """
    folder = path.rfind(b"/") + 1
    stem = _stem(path[folder:])
    return path[:folder] + (stem.lower() if stem.isascii() else _folded(stem))


def is_companion_name(path: bytes) -> bool:
    """True for sidecars, which belong to another file and are never filed on their own."""
    return path[-4:].lower() in _SIDECARS


def _stem(name: bytes) -> bytes:
    dot = name.rfind(b".")
    if dot <= 0:
        return name
    if name[dot:].lower() in _SIDECARS:
        inner = name.rfind(b".", 0, dot)
        if inner > 0 and claimed(name[:dot]) is not None:  # "x.jpg.xmp", but not "x.2.xmp"
            return name[:inner]
    return name[:dot]


def _folded(name: bytes) -> bytes:
    """Case-folded and composed (NFC), as names are compared everywhere; invalid UTF-8 is kept."""
    text = unicodedata.normalize("NFC", name.decode("utf-8", "surrogateescape").casefold())
    return text.encode("utf-8", "surrogateescape")


# --- Rules -----------------------------------------------------------------------------------------

Link = tuple[int, int]
"""A companion's position among the members, and that of the file it belongs to."""

Rule = Callable[[Sequence[Identity]], Iterable[Link]]


def form_sets(members: Sequence[Identity]) -> tuple[list[MediaSet], list[Identity]]:
    """Sorts files into sets.

    Args:
        members: files that settled together, usually of one `key`; keys are not mixed in any case.

    Returns:
        The sets, and the orphans: companions whose principal is not among the members. Every member is in
        exactly one of them.
    """
    groups: dict[bytes, list[Identity]] = {}
    for member in members:
        groups.setdefault(key(member.sighting.path), []).append(member)
    sets: list[MediaSet] = []
    orphans: list[Identity] = []
    for group in groups.values():
        _form(group, sets, orphans)
    return sets, orphans


def _form(group: Sequence[Identity], sets: list[MediaSet], orphans: list[Identity]) -> None:
    if len(group) == 1 and not _is_sidecar(group[0]):
        sets.append(MediaSet(group[0]))
        return
    owner: dict[int, int] = {}
    for rule in RULES:
        for companion, principal in rule(group):
            if companion not in owner and companion != principal and _root(principal, owner) != companion:
                owner[companion] = principal
    companions: dict[int, list[Identity]] = {}
    for number in sorted(owner):
        companions.setdefault(_root(number, owner), []).append(group[number])
    for number, member in enumerate(group):
        if number in owner:
            continue
        if _is_sidecar(member):
            orphans.append(member)
        else:
            sets.append(MediaSet(member, tuple(companions.get(number, ()))))


def _root(number: int, owner: dict[int, int]) -> int:
    while number in owner:
        number = owner[number]
    return number


def _is_sidecar(member: Identity) -> bool:
    return member.facts.kind == "sidecar" or is_companion_name(member.sighting.path)


def _of(group: Sequence[Identity], *kinds: str) -> list[int]:
    """The positions of the media of these kinds: kind by kind in this order, by name within one."""
    return [
        number
        for kind in kinds
        for number in sorted(range(len(group)), key=lambda number: group[number].name)
        if group[number].facts.kind == kind and not _is_sidecar(group[number])
    ]


def _live_photos(group: Sequence[Identity]) -> Iterator[Link]:
    """The film of a Live Photo belongs to its still: the same ContentIdentifier, else the same moment."""
    stills = [number for number in _of(group, "photo") if group[number].facts.format in _LIVE_STILLS]
    stills.sort(key=lambda number: _LIVE_STILLS.index(group[number].facts.format))
    paired: set[int] = set()
    for film in _of(group, "video"):
        if group[film].facts.format not in _LIVE_FILMS:
            continue
        for still in stills:
            if still not in paired and _is_live_pair(group[still], group[film]):
                paired.add(still)
                yield film, still
                break


def _is_live_pair(still: Identity, film: Identity) -> bool:
    ids = (still.facts.content_id, film.facts.content_id)
    if all(ids):
        return ids[0] == ids[1]
    return _same_moment(still.taken, film.taken)


def _same_moment(one: Taken | None, other: Taken | None) -> bool:
    """Two seconds apart at most: as instants where both offsets are known, else by the clock on the wall."""
    if one is None or other is None or not _is_witness(one) or not _is_witness(other):
        return False
    apart = one.local - other.local
    if one.offset_minutes is not None and other.offset_minutes is not None:
        apart -= timedelta(minutes=one.offset_minutes - other.offset_minutes)
    return abs(apart) <= _SAME_MOMENT


def _is_witness(taken: Taken) -> bool:
    """A date that says more than the name, which is alike anyway."""
    return taken.confidence != "low" and taken.source in ("exif", "quicktime", "xmp")


def _full_name_sidecars(group: Sequence[Identity]) -> Iterator[Link]:
    """x.jpg.xmp belongs to x.jpg and to nothing else."""
    media = {_folded(group[number].name): number for number in _of(group, "raw", "photo", "video", "audio")}
    for number, member in enumerate(group):
        if _is_sidecar(member) and (found := media.get(_folded(member.name[:-4]))) is not None:
            yield number, found


def _stem_sidecars(group: Sequence[Identity]) -> Iterator[Link]:
    """x.xmp belongs to the RAW, else the still, else the film; x.aae, the phone's edits, to the still."""
    for number, member in enumerate(group):
        if not _is_sidecar(member) or _names_another(member.name):
            continue
        is_edit = member.name[-4:].lower() == b".aae"
        kinds = ("photo", "raw", "video") if is_edit else ("raw", "photo", "video", "audio")
        owners = _of(group, *kinds)
        if owners:
            yield number, owners[0]


def _names_another(name: bytes) -> bool:
    """True for "x.jpg.xmp": it names one file by its full name."""
    dot = name.rfind(b".")
    return len(_stem(name)) < dot


RULES: tuple[Rule, ...] = (_live_photos, _full_name_sidecars, _stem_sidecars)
