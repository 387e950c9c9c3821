"""Which files belong together and are filed as one set. PURE.

`_bond` says how firmly two files of media belong to one shot; each file, the best first, joins the set that
it is bound to most firmly, or begins one of its own, so that what a set is does not depend on the order in
which its files were seen. Sidecars follow by name. Where a file's content tells nothing, its name does.

The frames of a burst (Samsung's 20230706_123456_001, Google's 00001IMG_00001_BURST20230706123456) are sets
of their own: each is a picture that may be kept, moved or thrown away alone, and a burst of a hundred frames
would else hide behind one of them, uncompared.

`.txt` and `.json` are used for much else: a text is a note only beside what a camera took, and a JSON a
sidecar only if it reads as Google Takeout's; else it has no format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from mediad.media import stems
from mediad.media.formats import claimed
from mediad.media.stems import Name, fold, key
from mediad.model import Facts, Identity, MediaSet, Taken

__all__ = ["form_sets", "gathering", "is_companion_name", "joined", "key"]

_SAME_MOMENT = timedelta(seconds=2)
_SPOKEN_WITHIN = timedelta(
    days=1
)  # a note may be spoken when the pictures are looked at; numbers return later

_ABOUT = timedelta(days=1)  # Takeout's date is in UTC, and its zone a guess

_KINDS = ("raw", "photo", "video", "audio")
_MOST = 64
"""Files of one key that are looked at together. No honest folder has more, and each is compared with each."""
_LIVE_STILLS = ("heic", "heif", "jpeg", "dng")
_LIVE_FILMS = ("mov", "mp4", "m4v")
_NOTES = ("wav", "mp3")
_TWINS = ({"heic", "jpeg"}, {"heif", "jpeg"})  # phones and cameras that store a picture both ways
_ORDER = {name: number for number, name in enumerate(("heic", "heif", "jpeg"))}

# A moment in a name, to the second: whatever else has it in this folder was taken then.
_STAMP = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_.]?)[01][0-9]\1[0-3][0-9][-_ T.]{1,2}"
    r"[0-2][0-9]([-_.:]?)[0-5][0-9]\2[0-5][0-9]"
)

_OWNERS = {
    "aae": ("photo", "raw", "video"),
    "thm": ("video", "raw", "photo"),
    "lrv": ("video",),
    "srt": ("video",),
}
"""Of which kinds a sidecar's file is, the likeliest first, where that is not `_KINDS`."""


def is_companion_name(path: bytes) -> bool:
    """True for the names of sidecars, which belong to another file and are never filed on their own.

    What is under such a name may be media all the same; `Facts.kind` tells.
    """
    form = claimed(path)
    return form is not None and form.kind == "sidecar"


def gathering(path: bytes) -> bytes:
    """What a file settles with: its key, where its name claims to be media or a sidecar; else nothing."""
    beside = claimed(path) is not None or path[-3:].lower() == b".mp"
    return key(path) if beside else b"\0" + path


class _File:
    """A file with what its name tells."""

    __slots__ = ("facts", "identity", "is_told", "key", "name", "takeout")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.facts: Facts = identity.facts
        self.name: Name = stems.parse(identity.name)
        self.key = key(identity.sighting.path)
        self.is_told = False  # does a description of Takeout's name it?
        self.takeout: Taken | None = None  # the date in that
        if self.facts.taken is not None and self.facts.taken.source == "takeout":
            self.takeout = self.facts.taken

    @property
    def rank(self) -> tuple[object, ...]:
        """What is a set's principal comes first: readable, a RAW, as it was taken."""
        facts = self.facts
        return (
            bool(facts.unreadable),
            _KINDS.index(facts.kind),
            bool(self.name.part),
            facts.format == "dng",  # made of the other RAW, as a rule
            _ORDER.get(facts.format, len(_ORDER)),
            fold(self.name.base),
            self.identity.sighting.path,
        )

    @property
    def is_still(self) -> bool:
        return self.facts.kind in ("raw", "photo")


def form_sets(members: Sequence[Identity]) -> tuple[list[MediaSet], list[Identity]]:
    """Sorts files into sets, whatever their order.

    Args:
        members: files that settled together. Files of different keys are bound by Apple's ContentIdentifier
            only.

    Returns:
        The sets, and the orphans: companions whose principal is not among the members. Every member is in
        exactly one of them.
    """
    if len(members) == 1 and members[0].facts.kind != "sidecar":
        return [MediaSet(members[0])], []
    files = [_File(member) for member in members]
    sidecars = [file for file in files if file.facts.kind == "sidecar"]
    media = sorted((file for file in files if file.facts.kind != "sidecar"), key=lambda file: file.rank)
    sidecars.sort(key=lambda file: file.identity.sighting.path)
    beside, followers = _by_key(media), _by_key(sidecars)
    for sidecar in (one for some in followers.values() for one in some if one.facts.format == "takeout"):
        for file in beside.get(sidecar.key, ()):
            if sidecar.name.names(file.name):
                file.is_told, file.takeout = True, file.takeout or sidecar.facts.taken
    sets = _gathered(media)
    of = {id(file): number for number, one in enumerate(sets) for file in one}
    orphans: list[Identity] = []
    for sidecar in sidecars:
        near = beside.get(sidecar.key, ()) if sidecar in followers[sidecar.key] else ()
        owner = _owner(sidecar, near)
        if owner is None:
            orphans.append(sidecar.identity)
        else:
            sets[of[id(owner)]].append(sidecar)
    return [MediaSet(one[0].identity, tuple(file.identity for file in one[1:])) for one in sets], orphans


def _by_key(files: Sequence[_File]) -> dict[bytes, list[_File]]:
    """The first files of each key."""
    found: dict[bytes, list[_File]] = {}
    for file in files:
        some = found.setdefault(file.key, [])
        if len(some) < _MOST:
            some.append(file)
    return found


def _gathered(media: Sequence[_File]) -> list[list[_File]]:
    """Sets of media, their principals first."""
    sets: list[list[_File]] = []
    places: dict[bytes | str, list[int]] = {}  # of the files that have this key or content id, their sets
    for file in media:
        signs: list[bytes | str] = [file.key]
        if file.facts.content_id:
            signs.append(file.facts.content_id)
        signs = [sign for sign in signs if len(places.get(sign, ())) < _MOST]
        near = sorted({number for sign in signs for number in places.get(sign, ())})
        # of equals the smaller one: of copies of a Live Photo each still has a film
        bonds = ((_bond_to(sets[number], file), -len(sets[number]), -number) for number in near)
        best, _, number = max(bonds, default=(_STRANGERS, 0, 0))
        if best > _STRANGERS:
            number = -number
            sets[number].append(file)
        else:
            number = len(sets)
            sets.append([file])
        for sign in signs:
            places.setdefault(sign, []).append(number)
    return sets


# --- How firmly two files are bound ------------------------------------------------------------------

_APART, _STRANGERS, _BY_NAME, _BY_TIME, _BY_ID = -1, 0, 1, 2, 3


def _bond_to(members: Sequence[_File], file: _File) -> int:
    """How firmly a file is bound to a set: what tells it apart from one member outweighs a name alike."""
    bonds = [_bond(member, file) for member in members]
    best = max(bonds)
    return _STRANGERS if best < _BY_ID and _APART in bonds else best


def _bond(one: _File, other: _File) -> int:
    first, second = (one, other) if _kind_order(one) <= _kind_order(other) else (other, one)
    if first.is_still and second.facts.kind == "video":
        ids = first.facts.content_id, second.facts.content_id
        if all(ids):  # the two halves of a Live Photo, else of two
            return _BY_ID + (first.key == second.key) if ids[0] == ids[1] else _APART
    if first.key != second.key:
        return _STRANGERS
    if "audio" not in (first.facts.kind, second.facts.kind) and _unreadable(first, second):
        return _BY_NAME  # of what it is, too, only its name may tell
    if first.is_still and second.is_still:
        return _stills(first, second)
    if first.is_still and second.facts.kind == "video":
        return _still_and_film(first, second)
    if first.is_still and second.facts.kind == "audio":
        return _still_and_note(first, second)
    if first.facts.kind == second.facts.kind == "video" and first.name.part != second.name.part:
        return _alike(first, second)
    return _STRANGERS


def _kind_order(file: _File) -> int:
    return _KINDS.index(file.facts.kind)


def _alike(one: _File, other: _File) -> int:
    """What one name may make one shot, unless it was taken at another time: numbers come round again."""
    if _is_stamped(one):
        return _BY_NAME
    if _differ(one, other):
        return _APART
    return _BY_TIME if _same_moment(one.identity.taken, other.identity.taken) else _BY_NAME


def _stills(one: _File, other: _File) -> int:
    """RAW with JPEG or HEIC, HEIC with JPEG, an edit or a part of a shot with what it was made from."""
    kinds = {one.facts.kind, other.facts.kind}
    if kinds == {"raw"}:  # one converted from the other
        return _BY_TIME if _same_moment(one.identity.taken, other.identity.taken) else _STRANGERS
    twins = kinds == {"raw", "photo"} or {one.facts.format, other.facts.format} in _TWINS
    return _alike(one, other) if twins or one.name.part != other.name.part else _STRANGERS


def _still_and_film(still: _File, film: _File) -> int:
    """Live and motion photos without ids: of one moment, by their dates or names. Takeout describes a film
    that is half of one with its still only.
    """
    if still.facts.format not in _LIVE_STILLS or film.facts.format not in _LIVE_FILMS:
        return _STRANGERS
    if _is_stamped(still):
        return _BY_NAME
    if _same_moment(still.identity.taken, film.identity.taken):
        return _BY_TIME
    halves = still.is_told and not film.is_told and not _differ(still, film)
    return _BY_NAME if halves else _STRANGERS


def _still_and_note(still: _File, sound: _File) -> int:
    """A note spoken into the camera has no tags, as songs have, and seldom a date."""
    facts = sound.facts
    if facts.format not in _NOTES or facts.artist or facts.album or facts.title:
        return _STRANGERS
    if _is_stamped(still) or _unreadable(still, sound):
        return _BY_NAME
    return _STRANGERS if _differ(still, sound, _SPOKEN_WITHIN) else _BY_NAME


def _unreadable(one: _File, other: _File) -> bool:
    return bool(one.facts.unreadable or other.facts.unreadable)


def _is_stamped(file: _File) -> bool:
    return _STAMP.search(file.name.core) is not None


def _same_moment(one: Taken | None, other: Taken | None) -> bool:
    """Two seconds apart at most: as instants where both offsets are known, else by the clock on the wall."""
    return _between(_witness(one), _witness(other)) <= _SAME_MOMENT


def _differ(one: _File, other: _File, most: timedelta = _SAME_MOMENT) -> bool:
    """Do both say when they were taken, and not within so much of each other?

    For one that does not, Takeout may say it, within a day.
    """
    first, second = _witness(one.facts.taken), _witness(other.facts.taken)
    if first is None or second is None:
        first, second, most = first or one.takeout, second or other.takeout, _ABOUT
    return most < _between(first, second) < timedelta.max


def _between(one: Taken | None, other: Taken | None) -> timedelta:
    """`timedelta.max` where one of them does not say."""
    if one is None or other is None:
        return timedelta.max
    between = one.local - other.local
    if one.offset_minutes is not None and other.offset_minutes is not None:
        between -= timedelta(minutes=one.offset_minutes - other.offset_minutes)
    return abs(between)


def _witness(taken: Taken | None) -> Taken | None:
    """A date that says more than the name, which is alike anyway."""
    if taken is None or taken.confidence == "low" or taken.source not in ("exif", "quicktime", "xmp"):
        return None
    return taken


# --- Sidecars ----------------------------------------------------------------------------------------


def _owner(sidecar: _File, media: Sequence[_File]) -> _File | None:
    """The file that a sidecar belongs to.

    x.jpg.xmp belongs to x.jpg and to nothing else, x.xmp to the RAW, else the still, else the film.

    Args:
        media: of its key, as in a set.
    """
    if not sidecar.facts.format:  # it is none, after all
        return None
    if sidecar.facts.format == "text":
        media = [file for file in media if file.facts.origin == "camera"]
    if not sidecar.name.base:
        return _by_stem(sidecar, media)
    named = [file for file in media if sidecar.name.names(file.name)]
    if named:
        return named[0]
    if sidecar.facts.format != "takeout":
        return None
    # of a picture that is not here there may be an edit, or the other half of a Live Photo
    parts = (
        file for file in media if not file.is_told and (file.name.part or file.facts.format in _LIVE_FILMS)
    )
    return next(parts, None)


def _by_stem(sidecar: _File, media: Sequence[_File]) -> _File | None:
    kinds = _OWNERS.get(sidecar.facts.format, _KINDS)
    mine = _stem(sidecar)
    owners = [file for file in media if file.facts.kind in kinds]
    owners.sort(key=lambda file: (_stem(file) != mine, kinds.index(file.facts.kind)))
    return owners[0] if owners else None


def _stem(file: _File) -> str:
    return fold(file.identity.name.decode("utf-8", "surrogateescape").rpartition(".")[0])


# --- Across names ------------------------------------------------------------------------------------


def joined(groups: Sequence[Sequence[Identity]]) -> list[list[int]]:
    """Which groups of files that settled at once have to be looked at together.

    Args:
        groups: each of one key, not empty.

    Returns:
        The positions of those that share a ContentIdentifier, most of them alone.
    """
    leads = list(range(len(groups)))  # of each group an earlier one of its part, at last the first of it

    def first(number: int) -> int:
        while leads[number] != number:
            number = leads[number]
        return number

    holders: dict[str, int] = {}
    for number, group in enumerate(groups):
        for one in group:
            if one.facts.content_id and one.sighting.kept is None:
                other = first(holders.setdefault(one.facts.content_id, number))
                leads[max(first(number), other)] = min(first(number), other)
    parts: dict[int, list[int]] = {}
    for number in range(len(groups)):
        parts.setdefault(first(number), []).append(number)
    return list(parts.values())
