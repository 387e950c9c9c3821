"""What plans under way hold until they land, and contents that somebody has claimed meanwhile. PURE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mediad.layout import key_of
from mediad.media import companions
from mediad.model import MediaSet, Plan, Result

_Content = tuple[str, bytes]  # library or "" for all, and digest
_Kind = tuple[str, bytes | str]  # watch, and the folder and stem or the ContentIdentifier that a set shares


@dataclass(frozen=True, slots=True)
class _Held:
    plan: Plan
    names: list[tuple[str, bytes]]
    content: _Content | None
    kinds: list[_Kind]
    digests: list[bytes]


class Flights:
    """Remembers plans from when they are made until they are carried out or given up."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}
        self._names: set[tuple[str, bytes]] = set()
        self._contents: dict[_Content, Plan] = {}
        self._kin: dict[_Kind, list[Plan]] = {}
        self._flying: Counter[bytes] = Counter()
        self._claimed: set[bytes] = set()

    def hold(self, plan: Plan, scope: str | None, rests_on: Iterable[bytes]) -> None:
        """A plan was made.

        Args:
            scope: the library in which its principal's content is looked for, "" for all, None for nowhere.
            rests_on: contents of library files that matter for it.
        """
        names = [(step.library, key_of(step.destination)) for step in plan.steps if step.destination]
        files = any(step.outcome is Result.FILED for step in plan.steps)
        content = (scope, plan.set.principal.digest) if files and scope is not None else None
        kinds = _kinds(plan.set) if files else []
        digests = [*(member.digest for member in plan.set.members), *rests_on]
        self._held[id(plan)] = _Held(plan, names, content, kinds, digests)
        self._names.update(names)
        if content is not None:
            self._contents[content] = plan
        for kind in kinds:
            self._kin.setdefault(kind, []).append(plan)
        self._flying.update(digests)

    def landed(self, plan: Plan) -> None:
        """A plan was carried out or given up: what it held is free again."""
        if (held := self._held.pop(id(plan), None)) is None:
            return
        self._names.difference_update(held.names)
        if held.content is not None:
            self._contents.pop(held.content, None)
        for kind in held.kinds:
            self._kin[kind] = [other for other in self._kin[kind] if other is not plan]
            if not self._kin[kind]:
                del self._kin[kind]
        for digest in held.digests:
            self._flying[digest] -= 1
            if not self._flying[digest]:
                del self._flying[digest]

    def has_name(self, library: str, key: bytes) -> bool:
        """Does a plan under way give this name?"""
        return (library, key) in self._names

    def filing(self, scope: str, digest: bytes) -> Plan | None:
        """The plan under way that files this content as a principal's, as `hold` was told the scope."""
        return self._contents.get((scope, digest))

    def alike(self, media: MediaSet) -> list[Plan]:
        """Plans under way of sets that share a stem or ContentIdentifier with this one."""
        if not self._kin:
            return []
        plans = {id(plan): plan for kind in _kinds(media) for plan in self._kin.get(kind, ())}
        return list(plans.values())

    def claim(self, digests: Collection[bytes]) -> bool:
        """See `Planner.claim`."""
        if any(digest in self._flying or digest in self._claimed for digest in digests):
            return False
        self._claimed.update(digests)
        return True

    def release(self, digests: Collection[bytes]) -> None:
        """See `Planner.release`."""
        self._claimed.difference_update(digests)

    def claimed(self, digests: Iterable[bytes]) -> bytes | None:
        """The first of these that somebody has claimed."""
        return next((one for one in digests if one in self._claimed), None) if self._claimed else None


def _kinds(media: MediaSet) -> list[_Kind]:
    first = media.principal
    if not media.companions and not first.facts.content_id:
        return [(first.sighting.watch, companions.key(first.sighting.path))]
    found: set[_Kind] = {(one.sighting.watch, companions.key(one.sighting.path)) for one in media.members}
    found |= {(one.sighting.watch, one.facts.content_id) for one in media.members if one.facts.content_id}
    return list(found)
