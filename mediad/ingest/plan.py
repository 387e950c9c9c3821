"""Plan: decide what becomes of a set. PURE, one at a time; the only place where such decisions are made.

The planner knows which digests and names are in flight. A set whose content is in flight waits for that one
to land, and is planned anew then. Preview and execution get the same plans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from mediad.config import Config, Watch
from mediad.errors import LibraryMoved, printable
from mediad.ingest.naming import principal_name, set_names, subject_of, values_of
from mediad.layout import Layout, companion_name, key_of, with_suffix
from mediad.model import Holder, Identity, MediaSet, Plan, Result, Sighting, Step

_TRASH = b".mediad/trash/"
_QUARANTINE = b".mediad/quarantine/"
_IMPORT = "import:"  # with what the names of imports begin, which take all files "again"


class World(Protocol):
    """What the catalogue knows, asked as the planner goes."""

    def holders(self, digest: bytes, library: str | None) -> Sequence[Holder]:
        """Principals and found files with this content, in one library or (None) in all that are online."""

    def deleted(self, digest: bytes) -> bool:
        """Did the user remove this content from a library?"""

    def taken(self, library: str, key: bytes) -> bool:
        """Does a file whose name compares equal lie in the library?"""

    def set_members(self, principal: Holder) -> Mapping[bytes, Holder]:
        """The library's other files of this principal's set, by content."""

    def former_principal(self, watch: str, path: bytes) -> Holder | None:
        """The library file of a principal that lately came from this path's folder and stem."""


@dataclass(frozen=True, slots=True)
class Waits:
    """No plan yet: this content is in flight."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rules put a file, and why; with `ignore` nowhere."""

    library: str
    layout: Layout
    why: str
    ignore: bool = False


_Content = tuple[str, bytes]  # library or "" for all, and digest


class Planner:
    """Decides, and remembers what it has decided until it lands.

    Args:
        config: may be replaced at any time.
        watches: what is taken from, the configured watches among it, by name; they may change, too.
    """

    def __init__(self, config: Config, watches: Mapping[str, Watch] | None = None) -> None:
        self.config = config
        self._watches = config.watches if watches is None else watches
        self._digests: set[_Content | None] = set()
        self._names: set[tuple[str, bytes]] = set()
        self._holding: dict[int, tuple[tuple[tuple[str, bytes], ...], _Content | None, Plan]] = {}
        self._flying: Counter[bytes] = Counter()
        self._claimed: set[bytes] = set()
        self._suffixes: dict[tuple[str, bytes], int] = {}

    def plan(self, media: MediaSet, world: World, avoid: Collection[bytes] = ()) -> Plan | Waits:
        """Decide on a set and hold its names and contents until `landed`.

        Args:
            avoid: name keys found taken on disk though the catalogue does not know them.

        Raises:
            LibraryMoved: its library is no longer configured.
        """
        if (claimed := self._claimed_of(media)) is not None:
            return Waits(claimed)
        watch = self._watch(media.principal.sighting)
        place = self.place_for(media.principal, watch)
        if place.ignore and media.principal.sighting.kept is None:
            return self._left(media, place, Result.IGNORED, "rule", f"ignored by {place.why}")
        if media.principal.facts.unreadable:
            return self._quarantined(media, watch, place)
        scope = "" if self.config.duplicates.scope == "all" else place.library
        if (scope, media.principal.digest) in self._digests:
            return Waits(media.principal.digest)
        holders = world.holders(media.principal.digest, scope or None)
        if not holders and self._unwanted(media.principal, world):
            return self._left(media, place, Result.IGNORED, "deleted", "was moved to trash before")
        plan = (
            self._duplicate(media, watch, place, holders[0], world, avoid)
            if holders
            else self._filed(media, watch, place, world, avoid)
        )
        self._hold(plan, scope)
        return plan

    def plan_companion(self, orphan: Identity, world: World, avoid: Collection[bytes] = ()) -> Plan | Waits:
        """Decide on a companion without its principal: beside it if that came lately, else ignored."""
        watch = self._watch(orphan.sighting)
        media = MediaSet(orphan)
        if (claimed := self._claimed_of(media)) is not None:
            return Waits(claimed)
        former = world.former_principal(orphan.sighting.watch, orphan.sighting.path)
        if former is None:
            place = Place(watch.library, self._layout(watch.library, orphan), "")
            return self._left(media, place, Result.IGNORED, "orphan", "a companion without its principal")
        kept = world.set_members(former).get(orphan.digest)
        if kept is not None:
            step = self._disposal(orphan, watch, former.library, kept, "companion")
            plan = Plan(media, (step,), former, "beside its principal")
            self._hold(plan, None)
            return plan
        step = self._beside(orphan, former, watch, world, avoid, set())
        plan = Plan(media, (step,), former, "beside its principal, which came earlier")
        self._hold(plan, None)
        return plan

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
        if (held := self._holding.pop(id(plan), None)) is None:
            return
        names, content, _ = held
        self._names.difference_update(names)
        self._digests.discard(content)
        for member in plan.set.members:
            self._flying[member.digest] -= 1
            if not self._flying[member.digest]:
                del self._flying[member.digest]

    def claim(self, digests: Collection[bytes]) -> bool:
        """Have no set planned that these contents matter for, until `release`: library files that have them
        are being moved.

        Returns:
            False while a plan rests on one of them, or somebody else has claimed it.
        """
        if any(digest in self._flying or digest in self._claimed for digest in digests):
            return False
        self._claimed.update(digests)
        return True

    def release(self, digests: Collection[bytes]) -> None:
        """Whoever had claimed these is done."""
        self._claimed.difference_update(digests)

    def _claimed_of(self, media: MediaSet) -> bytes | None:
        if not self._claimed:
            return None
        return next((one.digest for one in media.members if one.digest in self._claimed), None)

    def _hold(self, plan: Plan, scope: str | None) -> None:
        names = tuple(
            (step.library, key_of(step.destination)) for step in plan.steps if step.destination is not None
        )
        files = any(step.outcome is Result.FILED for step in plan.steps)
        content = (scope, plan.set.principal.digest) if files and scope is not None else None
        self._names.update(names)
        if content is not None:
            self._digests.add(content)
        self._holding[id(plan)] = (names, content, plan)
        self._flying.update(member.digest for member in plan.set.members)

    def place_for(self, principal: Identity, watch: Watch) -> Place:
        """The library and layout that the rules of today give it.

        Raises:
            LibraryMoved: its library is no longer configured.
        """
        subject = subject_of(principal, watch) if self.config.rules else {}
        for number, rule in enumerate(self.config.rules, 1):
            if rule.matches(subject):
                library = rule.library or watch.library
                layout = rule.layout or self._layout(library, principal)
                return Place(library, layout, f"rule {number}: {layout.text}", rule.ignore)
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
                member.facts.unreadable or f"belongs to {media.principal.name!a}: {reason}",
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
    ) -> Plan:
        kept = world.set_members(holder) if media.companions else {}
        steps = [self._disposal(media.principal, watch, place.library, holder, "principal")]
        chosen: set[bytes] = set()
        for companion in media.companions:
            if proof := kept.get(companion.digest):
                steps.append(self._disposal(companion, watch, place.library, proof, "companion"))
            else:
                steps.append(self._beside(companion, holder, watch, world, avoid, chosen))
        return Plan(media, tuple(steps), holder, place.why)

    def _beside(
        self,
        companion: Identity,
        holder: Holder,
        watch: Watch,
        world: World,
        avoid: Collection[bytes],
        chosen: set[bytes],
    ) -> Step:
        """A companion goes into the folder of its principal's library file, under that one's stem."""
        directory, slash, name = holder.path.rpartition(b"/")
        source = principal_name(companion.name, name)
        wanted = directory + slash + companion_name(source, name, companion.name)
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
        self, media: MediaSet, watch: Watch, place: Place, world: World, avoid: Collection[bytes]
    ) -> Plan:
        wanted = place.layout.render(values_of(media.principal, watch))
        for number in self._numbers(place.library, wanted):
            names = set_names(media, with_suffix(wanted, number) if number else wanted)
            if all(self._free(place.library, name, world, avoid) for name in names):
                break
        steps = tuple(
            Step(
                member,
                watch.action,
                Result.FILED,
                place.library,
                name,
                role="principal" if member is media.principal else "companion",
            )
            for member, name in zip(media.members, names, strict=True)
        )
        return Plan(media, steps, None, place.why)

    def _numbers(self, library: str, wanted: bytes) -> _Numbers:
        if len(self._suffixes) > 10_000:
            self._suffixes.clear()
        return _Numbers(self._suffixes, (library, key_of(wanted)))

    def _free(self, library: str, name: bytes, world: World, avoid: Collection[bytes]) -> bool:
        key = key_of(name)
        return (library, key) not in self._names and key not in avoid and not world.taken(library, key)


class _Numbers:
    """0, 1, 2, ...: but where a name was found taken n times, go on there (10,000 scans of one name)."""

    def __init__(self, known: dict[tuple[str, bytes], int], name: tuple[str, bytes]) -> None:
        self._known = known
        self._name = name
        self._next = 0

    def __iter__(self) -> _Numbers:
        return self

    def __next__(self) -> int:
        number = self._next
        if number == 1:
            number = max(1, self._known.get(self._name, 1))
        self._next = number + 1
        if number:
            self._known[self._name] = number
        return number
