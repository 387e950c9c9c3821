"""Kin: does what comes now make a set with what came before? PURE.

The rules of `media.companions` are asked as if all had come together, so that a set is the same whenever its
members come. A name is taken for a sign only of what came lately, lies there still, or has a date close by:
cameras give the same names again after ten thousand pictures. A ContentIdentifier is one for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mediad.media import companions
from mediad.model import BY_HAND, Earlier, Holder, Identity, MediaSet

WINDOW = 7 * 86_400_000_000
"""Microseconds for which what came earlier counts as near; phones send films days after their stills, and a
camera's numbers begin anew with a new card.
"""

_CLOSE = timedelta(days=1)  # clocks of wall and UTC may differ by that; the rules ask for more
_NOBODY = Holder(0, "", b"", None)


@dataclass(frozen=True, slots=True)
class Kin:
    """What a newcomer's set has in the libraries.

    Attributes:
        principal: the file that it belongs to, None where it leads its set itself.
        followers: principals that are companions of it.
    """

    principal: Earlier | None = None
    followers: tuple[Earlier, ...] = ()

    @property
    def digests(self) -> list[bytes]:
        """The contents that a plan rests on which takes note of these."""
        found = [one.identity.digest for one in self.followers]
        return found if self.principal is None else [*found, self.principal.identity.digest]

    def dated(self, media: MediaSet) -> MediaSet:
        """The newcomer's set, by the date that somebody has set for a file that it leads from now on."""
        dates = (one.identity.taken for one in self.followers)
        ours = next((taken for taken in dates if taken is not None and taken.source == BY_HAND), None)
        if ours is None:
            return media
        principal = replace(media.principal, facts=replace(media.principal.facts, taken=ours))
        return replace(media, principal=principal)


def kin_of(media: MediaSet, earlier: Iterable[Earlier]) -> Kin:
    """Find what a set belongs to, or what belongs to it.

    Args:
        earlier: what came from the same watch and may be of the set, the newest first.
    """
    there = _eligible(media, earlier)
    if not there:
        return Kin()
    together = [*(one.identity for one in there.values()), *media.members]
    for whole in companions.form_sets(together)[0]:
        if media.principal in whole.members:
            return _in_set(media, whole, there)
    return Kin()


def are_kin(media: MediaSet, other: MediaSet) -> bool:
    """Would these two be one set, had they come together?"""
    found = kin_of(media, [Earlier(one, _NOBODY, "principal", near=True) for one in other.members])
    return found.principal is not None or bool(found.followers)


def _in_set(media: MediaSet, whole: MediaSet, there: dict[bytes, Earlier]) -> Kin:
    if whole.principal is not media.principal:
        return Kin(there.get(whole.principal.sighting.path))
    followers = (there.get(one.sighting.path) for one in whole.companions)
    return Kin(followers=tuple(one for one in followers if one is not None and one.role == "principal"))


def _eligible(media: MediaSet, earlier: Iterable[Earlier]) -> dict[bytes, Earlier]:
    """What the rules are asked about, by path; of several files of one path the newest that can be meant."""
    taken = {member.sighting.path for member in media.members}
    found: dict[bytes, Earlier] = {}
    for one in sorted(earlier, key=lambda one: not _same_content_id(media.members, one.identity)):
        path = one.identity.sighting.path
        if path not in taken and path not in found and _may_be_meant(media, one):
            found[path] = one
    return found


def _may_be_meant(media: MediaSet, one: Earlier) -> bool:
    if one.near or _same_content_id(media.members, one.identity):
        return True
    return any(_close(member, one.identity) for member in media.members)


def _close(member: Identity, other: Identity) -> bool:
    if member.taken is None or other.taken is None:
        return False
    return abs(member.taken.local - other.taken.local) <= _CLOSE


def _same_content_id(members: Sequence[Identity], other: Identity) -> bool:
    content_id = other.facts.content_id
    return bool(content_id) and any(member.facts.content_id == content_id for member in members)
