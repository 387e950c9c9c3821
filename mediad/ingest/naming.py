"""Naming: what layouts, rules and the other files of a set learn of a file. PURE."""

from __future__ import annotations

from collections.abc import Mapping

from mediad.config import Watch
from mediad.layout import Values, camera, companion_name, key_of, with_suffix
from mediad.model import Identity, MediaSet


def values_of(identity: Identity, watch: Watch) -> Values:
    """What a layout may say of a file."""
    directory, _, name = identity.sighting.path.rpartition(b"/")
    facts = identity.facts
    return Values(
        taken=identity.taken.local if identity.taken else None,
        name=name,
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


def set_names(media: MediaSet, principal: bytes) -> list[bytes]:
    """The names of a set's files, whose principal gets this one."""
    directory, slash, name = principal.rpartition(b"/")
    names = [principal]
    for companion in media.companions:
        wanted = unique = directory + slash + companion_name(media.principal.name, name, companion.name)
        number = 0
        while key_of(unique) in {key_of(other) for other in names}:
            number += 1
            unique = with_suffix(wanted, number)
        names.append(unique)
    return names


def principal_name(companion: bytes, holder: bytes) -> bytes:
    """The name that a companion's principal had, as far as the companion's own name tells."""
    stem = companion.rpartition(b".")[0]
    extension = holder[len(holder.rpartition(b".")[0]) :]
    return stem if stem.lower().endswith(extension.lower()) and extension else stem + extension


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
