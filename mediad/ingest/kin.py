"""Kin: does what comes now make a set with what came before? PURE.

The rules of `media.companions` are asked as if all had come together, so that a set is the same whenever its
members come. A name is taken for a sign only of what came lately, lies there still, or has a date close by:
cameras give the same names again after ten thousand pictures. A ContentIdentifier is one for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mediad.media import companions, together
from mediad.model import Earlier, Holder, Identity, MediaSet

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
        members: what else came earlier and is of the set that it leads.
        again: principals of which it brings a copy along, as a companion; whoever brought them.
    """

    principal: Earlier | None = None
    members: tuple[Earlier, ...] = ()
    again: tuple[Earlier, ...] = ()

    @property
    def followers(self) -> tuple[Earlier, ...]:
        """Principals that are companions of it."""
        return tuple(one for one in self.followed if one.role == "principal")

    @property
    def followed(self) -> tuple[Earlier, ...]:
        """All that is to lie beside it."""
        return () if self.principal is not None else (*self.members, *self.again)

    @property
    def digests(self) -> list[bytes]:
        """The contents that a plan rests on which takes note of these."""
        found = [one.identity.digest for one in (*self.followers, *self.again)]
        return found if self.principal is None else [*found, self.principal.identity.digest]

    def dated(self, media: MediaSet, sources: Sequence[str]) -> MediaSet:
        """The newcomer's set, by the date that it would have had all come together, or by the one that
        somebody has set for what it leads from now on.

        Args:
            sources: of dates, those that are believed, the most trusted first.
        """
        if not self.followed:
            return media
        ours = next((one.stated for one in self.followers if one.stated is not None), None)
        if ours is not None:
            principal = replace(media.principal, facts=replace(media.principal.facts, taken=ours))
        else:
            whole = MediaSet(media.principal, tuple(one.identity for one in self.followed))
            principal = together.dated(whole, sources).principal
        return replace(media, principal=principal)


_ALONE = Kin()


def kin_of(media: MediaSet, earlier: Iterable[Earlier]) -> Kin:
    """Find what a set belongs to, or what belongs to it.

    Args:
        earlier: what came from the same watch and may be of the set, the newest first.
    """
    if not (earlier := list(earlier)):  # as of nearly all
        return _ALONE
    brought = {one.digest for one in media.companions if one.facts.kind != "sidecar"}
    again: dict[tuple[str, bytes], Earlier] = {}
    others: list[Earlier] = []
    for one in earlier:
        if one.role == "principal" and one.identity.digest in brought:
            again.setdefault((one.holder.library, one.identity.digest), one)
        else:
            others.append(one)
    found = _by_rule(media, _eligible(media, others))
    return replace(found, again=tuple(again.values())) if again else found


def are_kin(media: MediaSet, other: MediaSet) -> bool:
    """Would these two be one set, had they come together?"""
    found = kin_of(media, [Earlier(one, _NOBODY, "principal", near=True) for one in other.members])
    return found.principal is not None or bool(found.followers)


def _by_rule(media: MediaSet, there: dict[bytes, Earlier]) -> Kin:
    if not there:
        return Kin()
    everyone = [*(one.identity for one in there.values()), *media.members]
    for whole in companions.form_sets(everyone)[0]:
        if media.principal in whole.members:
            return _in_set(media, whole, there)
    return Kin()


def _in_set(media: MediaSet, whole: MediaSet, there: dict[bytes, Earlier]) -> Kin:
    if whole.principal is not media.principal:
        return Kin(there.get(whole.principal.sighting.path))
    members = (there.get(one.sighting.path) for one in whole.companions)
    return Kin(members=tuple(one for one in members if one is not None))


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
