"""Naming: what layouts, rules and the other files of a set learn of a file. PURE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mediad.config import Watch
from mediad.errors import printable
from mediad.layout import Values, camera, companion_name, key_of, split_name, with_suffix
from mediad.media import stems
from mediad.media.formats import FORMATS, is_common, true_name
from mediad.model import Identity, MediaSet


def values_of(identity: Identity, watch: Watch) -> Values:
    """What a layout may say of a file."""
    directory = identity.sighting.path.rpartition(b"/")[0]
    facts = identity.facts
    return Values(
        taken=identity.taken.local if identity.taken else None,
        name=name_of(identity),
        kind=facts.kind,
        origin=identity.origin,
        make=facts.make,
        model=facts.model,
        artist=facts.artist,
        album=facts.album,
        title=facts.title,
        track=facts.track,
        watch=watch.name,
        label=watch.label,
        subdir=directory,
        digest=identity.digest.hex(),
    )


def name_of(identity: Identity) -> bytes:
    """A file's name, its extension set right where it lies about what is inside."""
    facts = identity.facts
    return identity.name if facts.unreadable else true_name(identity.name, facts.format)


def renamings(media: MediaSet) -> list[str]:
    """What `why` tells of names that were set right: "named .png, is JPEG: filed as .jpg"."""
    told: list[str] = []
    for member in media.members:
        if (name := name_of(member)) != member.name:
            old, new = split_name(member.name)[1], split_name(name)[1]
            form = member.facts.format.upper()
            told.append(f"named {printable(old)}, is {form}: filed as {new.decode('ascii')}")
    return list(dict.fromkeys(told))


def set_names(media: MediaSet, principal: bytes) -> list[bytes]:
    """The names of a set's files, whose principal gets this one."""
    directory, slash, name = principal.rpartition(b"/")
    names = [principal]
    for companion in media.companions:
        source = _shown(companion, media.companions)
        wanted = unique = directory + slash + companion_name(media.principal.name, name, source)
        number = 0
        while key_of(unique) in {key_of(other) for other in names}:
            number += 1
            unique = with_suffix(wanted, number)
        names.append(unique)
    return names


class Numbers:
    """0, 1, 2, ...: but where a name was found taken n times, go on there (10,000 scans of one name)."""

    def __init__(self, known: dict[tuple[str, bytes], int], name: tuple[str, bytes]) -> None:
        self._known = known
        self._name = name
        self._next = 0

    def __iter__(self) -> Numbers:
        return self

    def __next__(self) -> int:
        number = self._next
        if number == 1:
            number = max(1, self._known.get(self._name, 1))
        self._next = number + 1
        if number:
            self._known[self._name] = number
        return number


def _shown(companion: Identity, companions: Sequence[Identity]) -> bytes:
    """A companion's name, set right; that of a sidecar follows the file that it names."""
    if companion.facts.kind != "sidecar":
        return name_of(companion)
    for other in companions:
        old, new = other.name, name_of(other)
        if old != new and companion.name[: len(old) + 1].lower() == old.lower() + b".":
            return new + companion.name[len(old) :]
    return companion.name


def principal_name(companion: bytes, holder: bytes) -> bytes:
    """The name that a companion's principal had, as far as the companion's own name tells.

    Args:
        holder: the principal's name in the library.
    """
    extension = split_name(holder)[1].decode("utf-8", "surrogateescape")
    return stems.parse(companion).owner(extension).encode("utf-8", "surrogateescape")


def lonely(orphan: Identity) -> tuple[str, str]:
    """Code and reason of a companion that stays where it is, since its principal is not there."""
    form = FORMATS.get(orphan.facts.format)
    if form is None or is_common(form):
        return "not-media", "is not media, by content or name"
    return "orphan", "a companion without its principal"


def subject_of(identity: Identity, watch: Watch) -> Mapping[str, str]:
    """What rules match on."""
    path = _text(identity.sighting.path)
    return {
        "watch": watch.name,
        "path": path,
        "name": path.rpartition("/")[2],
        "kind": identity.facts.kind,
        "origin": identity.origin,
        "camera": camera(identity.facts.make, identity.facts.model),
    }


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
