"""Plan: decide what becomes of a set. PURE, one at a time; the only place where such decisions are made.

The planner knows which digests and names are in flight. A set whose content is in flight, or which belongs
to one in flight, waits for that one to land, and is planned anew then. Preview and execution get the same
plans.

A companion that comes late goes beside its principal, wherever that is by now. A principal that comes late
is filed as ever, and its plan names the earlier sets that belong to it: `keeping.gatherer` brings them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from mediad.config import Config, Watch
from mediad.errors import LibraryMoved, printable
from mediad.ingest.flights import Flights
from mediad.ingest.kin import Kin, are_kin, kin_of
from mediad.ingest.naming import (
    Numbers,
    lonely,
    name_of,
    principal_name,
    renamings,
    set_names,
    subject_of,
    values_of,
)
from mediad.layout import Layout, companion_name, key_of, with_suffix
from mediad.model import Earlier, Holder, Identity, MediaSet, Plan, Result, Sighting, Step

_TRASH = b".mediad/trash/"
_QUARANTINE = b".mediad/quarantine/"
_IMPORT = "import:"  # with what the names of imports begin, which take all files "again"


class World(Protocol):
    """What the catalogue knows, asked as the planner goes."""

    def holders(self, digest: bytes, library: str | None) -> Sequence[Holder]:
        """Principals and found files with this content, in one library or (None) in all that are online.

        Where there are none, companions that are media in their own right: what comes alone is compared as a
        principal, and its picture is in the library as a part of another set.
        """

    def deleted(self, digest: bytes) -> bool:
        """Did the user remove this content from a library?"""

    def taken(self, library: str, key: bytes) -> bool:
        """Does a file whose name compares equal lie in the library?"""

    def set_members(self, principal: Holder) -> Mapping[bytes, Holder]:
        """The library's other files of this principal's set, by content."""

    def earlier(self, media: MediaSet) -> Sequence[Earlier]:
        """What came from the same watch and may be of this set, by name or content id; newest first."""


@dataclass(frozen=True, slots=True)
class Waits:
    """No plan yet: this content is in flight, or claimed.

    Attributes:
        whole: it is that of the principal of a set that this one belongs to.
    """

    digest: bytes
    whole: MediaSet | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rules put a file, and why; with `ignore` nowhere."""

    library: str
    layout: Layout
    why: str
    ignore: bool = False


class Planner:
    """Decides, and remembers what it has decided until it lands.

    Args:
        config: may be replaced at any time.
        watches: what is taken from, the configured watches among it, by name; they may change, too.
    """

    def __init__(self, config: Config, watches: Mapping[str, Watch] | None = None) -> None:
        self.config = config
        self._watches = config.watches if watches is None else watches
        self._flights = Flights()
        self._suffixes: dict[tuple[str, bytes], int] = {}

    def plan(self, media: MediaSet, world: World, avoid: Collection[bytes] = ()) -> Plan | Waits:
        """Decide on a set and hold its names and contents until `landed`.

        Args:
            avoid: name keys found taken on disk though the catalogue does not know them.

        Raises:
            LibraryMoved: its library is no longer configured.
        """
        kin = kin_of(media, world.earlier(media))
        if (waits := self._waits(media, kin)) is not None:
            return waits
        media = kin.dated(media, self.config.dates.sources)
        principal = media.principal
        watch = self._watch(principal.sighting)
        place = self.place_for(principal, watch)
        if kin.principal is None:  # else that one's place and soundness decide
            if place.ignore and principal.sighting.kept is None:
                return self._left(media, place, Result.IGNORED, "rule", f"ignored by {place.why}")
            if principal.facts.unreadable:
                return self._quarantined(media, watch, place)
        scope = "" if self.config.duplicates.scope == "all" else place.library
        if self._flights.filing(scope, principal.digest) is not None:
            return Waits(principal.digest)
        for one in media.companions:  # what is filed alone just now will belong to this set
            if one.facts.kind != "sidecar" and (alone := self._flights.filing(scope, one.digest)) is not None:
                return Waits(alone.set.principal.digest, alone.set)
        holders = world.holders(principal.digest, scope or None)
        if not holders and self._unwanted(principal, world):
            return self._left(media, place, Result.IGNORED, "deleted", "was moved to trash before")
        if holders:
            plan = self._duplicate(media, watch, place, holders[0], world, avoid, kin)
            kin = Kin(again=kin.again)
        elif kin.principal is not None:
            plan = self._late(media, watch, kin, kin.principal, world, avoid)
        else:
            plan = self._filed(media, watch, place, world, avoid, kin)
        self._flights.hold(plan, scope, kin.digests)
        return plan

    def plan_companion(self, orphan: Identity, world: World, avoid: Collection[bytes] = ()) -> Plan | Waits:
        """Decide on a companion without its principal: beside it if that came lately, else ignored."""
        watch = self._watch(orphan.sighting)
        media = MediaSet(orphan)
        kin = kin_of(media, world.earlier(media))
        if (waits := self._waits(media, kin)) is not None:
            return waits
        if kin.principal is None:
            place = Place(watch.library, self._layout(watch.library, orphan), "")
            return self._left(media, place, Result.IGNORED, *lonely(orphan))
        plan = self._late(media, watch, kin, kin.principal, world, avoid)
        self._flights.hold(plan, None, kin.digests)
        return plan

    def _waits(self, media: MediaSet, kin: Kin) -> Waits | None:
        """Is what matters for a set being moved just now, or does it belong to a set that is in flight?"""
        digests = (*(one.digest for one in media.members), *kin.digests)
        if (claimed := self._flights.claimed(digests)) is not None:
            return Waits(claimed)
        whole = next((plan.set for plan in self._flights.alike(media) if are_kin(media, plan.set)), None)
        return None if whole is None else Waits(whole.principal.digest, whole)

    def _unwanted(self, principal: Identity, world: World) -> bool:
        """Was its content removed by hand? Whoever names it wants it all the same."""
        sighting = principal.sighting
        asked = sighting.kept is not None or (sighting.again and not sighting.watch.startswith(_IMPORT))
        return self.config.duplicates.deleted == "skip" and not asked and world.deleted(principal.digest)

    def _watch(self, sighting: Sighting) -> Watch:
        """The watch that a file comes from, which for one in quarantine need no longer be configured."""
        if sighting.kept is None:
            return self._watches[sighting.watch]
        watch = self._watches.get(sighting.watch)
        if watch is None:
            watch = Watch.elsewhere(sighting.watch, "", sighting.kept.library)
        return replace(watch, action="move")

    def landed(self, plan: Plan) -> None:
        """A plan was carried out or given up: what it held is free again."""
        self._flights.landed(plan)

    def claim(self, digests: Collection[bytes]) -> bool:
        """Have no set planned that these contents matter for, until `release`: library files that have them
        are being moved.

        Returns:
            False while a plan rests on one of them, or somebody else has claimed it.
        """
        return self._flights.claim(digests)

    def release(self, digests: Collection[bytes]) -> None:
        """Whoever had claimed these is done."""
        self._flights.release(digests)

    def place_for(self, principal: Identity, watch: Watch) -> Place:
        """The library and layout that the rules of today give it.

        Raises:
            LibraryMoved: its library is no longer configured.
        """
        subject = subject_of(principal, watch) if self.config.rules else {}
        for number, rule in enumerate(self.config.rules, 1):
            if rule.matches(subject):
                layout = rule.layout or self._layout(rule.library or watch.library, principal)
                why = f"rule {number}" if rule.ignore else f"rule {number}: {layout.text}"
                return Place(rule.library or watch.library, layout, why, rule.ignore)
        layout = self._layout(watch.library, principal)
        return Place(watch.library, layout, f"library {watch.library}: {layout.text}")

    def _layout(self, library: str, principal: Identity) -> Layout:
        settings = self.config.libraries.get(library)
        if settings is None:  # it left the configuration while this set was on its way
            raise LibraryMoved(f"library {library} is not configured any more")
        return settings.layout if principal.taken else settings.undated

    def _left(self, media: MediaSet, place: Place, outcome: Result, code: str, reason: str) -> Plan:
        steps = tuple(
            Step(member, "leave", outcome, place.library, None, code, reason) for member in media.members
        )
        return Plan(media, steps, None, place.why)

    def _quarantined(self, media: MediaSet, watch: Watch, place: Place) -> Plan:
        reason = media.principal.facts.unreadable
        if watch.action != "move":
            return self._left(media, place, Result.QUARANTINED, "unreadable", reason)
        steps = tuple(
            Step(
                member,
                "quarantine",
                Result.QUARANTINED,
                place.library,
                _QUARANTINE + member.name,
                "unreadable",
                member.facts.unreadable or f"belongs to {printable(media.principal.name)}: {reason}",
            )
            for member in media.members
        )
        return Plan(media, steps, None, place.why)

    def _disposal(
        self,
        member: Identity,
        watch: Watch,
        library: str,
        proof: Holder,
        role: Literal["principal", "companion"],
    ) -> Step:
        reason = f"same content as {proof.library}/{printable(proof.path)}"
        trashed = self.config.duplicates.exact == "trash" or member.sighting.kept is not None
        if watch.action == "move" and trashed:
            action, destination = "trash", _TRASH + member.name
        else:
            action, destination = "leave", None
        return Step(member, action, Result.DUPLICATE, library, destination, "duplicate", reason, role, proof)

    def _duplicate(
        self,
        media: MediaSet,
        watch: Watch,
        place: Place,
        holder: Holder,
        world: World,
        avoid: Collection[bytes],
        kin: Kin,
    ) -> Plan:
        step = self._disposal(media.principal, watch, place.library, holder, "principal")
        kept = _kept(kin, holder.library, world)
        joined = self._joined(media.companions, watch, place.library, holder, b"", world, avoid, kept)
        return Plan(media, (step, *joined), holder, place.why)

    def _late(
        self, media: MediaSet, watch: Watch, kin: Kin, former: Earlier, world: World, avoid: Collection[bytes]
    ) -> Plan:
        """Companions whose principal came before: nothing that is filed moves."""
        holder, name = former.holder, former.identity.name
        kept = _kept(kin, holder.library, world)
        steps = self._joined(media.members, watch, holder.library, holder, name, world, avoid, kept)
        return Plan(media, steps, holder, "beside its principal, which came earlier")

    def _joined(
        self,
        members: Sequence[Identity],
        watch: Watch,
        library: str,
        holder: Holder,
        source: bytes,
        world: World,
        avoid: Collection[bytes],
        kept: Mapping[bytes, Holder],
    ) -> tuple[Step, ...]:
        """Companions whose principal the library has: what its set holds already is a duplicate.

        Args:
            kept: what else the library has of them, by content.
        """
        kept = {**kept, **world.set_members(holder)} if members else kept
        chosen: set[bytes] = set()
        steps: list[Step] = []
        for member in members:
            if proof := kept.get(member.digest):
                steps.append(self._disposal(member, watch, library, proof, "companion"))
            else:
                steps.append(self._beside(member, holder, source, watch, world, avoid, chosen))
        return tuple(steps)

    def _beside(
        self,
        companion: Identity,
        holder: Holder,
        source: bytes,
        watch: Watch,
        world: World,
        avoid: Collection[bytes],
        chosen: set[bytes],
    ) -> Step:
        """A companion goes into the folder of its principal's library file, under that one's stem.

        Args:
            source: the name that its principal came by, b"" where that is not known.
        """
        directory, slash, name = holder.path.rpartition(b"/")
        source = source or principal_name(companion.name, name)
        wanted = directory + slash + companion_name(source, name, name_of(companion))
        destination = wanted
        number = 0
        while not self._free(holder.library, destination, world, avoid) or key_of(destination) in chosen:
            number += 1
            destination = with_suffix(wanted, number)
        chosen.add(key_of(destination))
        return Step(
            companion, watch.action, Result.FILED, holder.library, destination, "beside", "", "companion"
        )

    def _filed(
        self, media: MediaSet, watch: Watch, place: Place, world: World, avoid: Collection[bytes], kin: Kin
    ) -> Plan:
        if not media.companions and not kin.followed:  # as nearly all
            return self._filed_alone(media, watch, place, world, avoid)
        library = place.library
        kept = _kept(kin, library, world)
        fresh = [one for one in media.companions if one.digest not in kept]
        ours = [one for one in kin.followed if one.holder.library == library]
        whole = MediaSet(media.principal, (*fresh, *(one.identity for one in ours)))
        own = [b"", *(b"" for _ in fresh), *(key_of(one.holder.path) for one in ours)]
        wanted = place.layout.render(values_of(media.principal, watch))
        for number in self._numbers(library, wanted):
            names = set_names(whole, with_suffix(wanted, number) if number else wanted)
            pairs = zip(names, own, strict=True)
            if all(key_of(name) == key or self._free(library, name, world, avoid) for name, key in pairs):
                break
        given = {id(one): name for one, name in zip(whole.members, names, strict=True)}
        steps = tuple(
            Step(
                member,
                watch.action,
                Result.FILED,
                library,
                given[id(member)],
                role="principal" if member is media.principal else "companion",
            )
            if id(member) in given
            else self._disposal(member, watch, library, kept[member.digest], "companion")
            for member in media.members
        )
        elsewhere = dict.fromkeys(
            f"what came of its set before stays in library {one.holder.library}"
            for one in kin.followers
            if one.holder.library != library
        )
        followers = (one.holder.id for one in kin.followers if one.holder.library == library)
        why = "; ".join((place.why, *renamings(media), *elsewhere))
        return Plan(media, steps, None, why, tuple(followers))

    def _filed_alone(
        self, media: MediaSet, watch: Watch, place: Place, world: World, avoid: Collection[bytes]
    ) -> Plan:
        wanted = name = place.layout.render(values_of(media.principal, watch))
        for number in self._numbers(place.library, wanted):
            name = with_suffix(wanted, number) if number else wanted
            if self._free(place.library, name, world, avoid):
                break
        step = Step(media.principal, watch.action, Result.FILED, place.library, name)
        return Plan(media, (step,), None, "; ".join((place.why, *renamings(media))))

    def _numbers(self, library: str, wanted: bytes) -> Numbers:
        if len(self._suffixes) > 10_000:
            self._suffixes.clear()
        return Numbers(self._suffixes, (library, key_of(wanted)))

    def _free(self, library: str, name: bytes, world: World, avoid: Collection[bytes]) -> bool:
        key = key_of(name)
        held = self._flights.has_name(library, key)
        return not held and key not in avoid and not world.taken(library, key)


def _kept(kin: Kin, library: str, world: World) -> dict[bytes, Holder]:
    """Of the sets that are brought again, what a library has already, by content."""
    found: dict[bytes, Holder] = {}
    for one in kin.again:
        if one.holder.library == library:
            found |= {**world.set_members(one.holder), one.identity.digest: one.holder}
    return found
