"""Pictures of the same card settle whether a film's header is local time or UTC. PURE.

By specification it is UTC, but many cameras write local time there, and not every film names its maker. Their
counters number stills and films alike: a film between IMG_1233.JPG and IMG_1235.JPG was taken between these
two. Where only one of the two readings fits in there, it is the one; where none does, they tell the zone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mediad.media.dates import HEADERS
from mediad.media.offsets import OFFSETS
from mediad.model import Facts, Identity, MediaSet, Taken

REACH = 30
"""How many numbers away a picture still tells something."""

_NUMBERED = re.compile(rb"(.*?)(\d{3,8})\Z", re.DOTALL)
# Stills and films of one counter have different names with some makers (Canon).
_FAMILIES = ((b"IMG_", b"_MG_", b"MVI_"),)
_NOTE = '"date_note":'
_JITTER = timedelta(seconds=10)
_NEAR = timedelta(hours=1)
_MOST_SERIES = 256
_MOST_SHOTS = 512


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture whose camera wrote local time into it.

    Attributes:
        name: its file name. number: the camera's.
    """

    name: bytes
    number: int
    local: datetime
    make: str
    model: str


@dataclass(frozen=True, slots=True)
class Series:
    """The numbered names of one counter.

    Attributes:
        prefixes: what stands before the number, with the folder, in every spelling; the film's own first.
        digits: how many the number has.
    """

    prefixes: tuple[bytes, ...]
    number: int
    digits: int

    def spans(self) -> Iterator[tuple[bytes, bytes]]:
        """The first and last name without extension that tell something, of each prefix."""
        first, last = max(0, self.number - REACH), min(self.number + REACH, 10**self.digits - 1)
        for prefix in self.prefixes:
            yield prefix + b"%0*d" % (self.digits, first), prefix + b"%0*d" % (self.digits, last)


def series_of(path: bytes) -> Series | None:
    """The counter that numbered a file, or None if its name has no number at its end."""
    folder = path.rfind(b"/") + 1
    stem = path[folder:].rpartition(b".")[0]
    match = _NUMBERED.match(stem)
    if match is None:
        return None
    own, number = match[1], match[2]
    family = next((names for names in _FAMILIES if own.upper() in names), ())
    others = [name.lower() if own.islower() else name for name in family]
    prefixes = dict.fromkeys((own, *others))
    return Series(tuple(path[:folder] + prefix for prefix in prefixes), int(number), len(number))


def shot_of(path: bytes, number: int, facts: Facts) -> Shot | None:
    """A numbered file as a witness, or None if it has no firm time of its camera's own."""
    taken = facts.taken
    if taken is None or taken.source != "exif" or taken.confidence == "low":
        return None
    return Shot(path[path.rfind(b"/") + 1 :], number, taken.local, facts.make, facts.model)


class Shots:
    """The pictures that were seen lately, so that files of one card find each other before they are filed."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, bytes], dict[int, Shot]] = {}

    def note(self, members: Iterable[Identity]) -> None:
        """Remember those that are witnesses; the oldest are forgotten."""
        for member in members:
            self._note(member.sighting.watch, member.sighting.path, member.facts)

    def _note(self, watch: str, path: bytes, facts: Facts) -> None:
        series = series_of(path)
        shot = shot_of(path, series.number, facts) if series is not None else None
        if shot is None or series is None:
            return
        key = (watch, series.prefixes[0].upper())
        shots = self._series.pop(key, {})
        self._series[key] = shots
        shots.pop(shot.number, None)
        shots[shot.number] = shot
        if len(shots) > _MOST_SHOTS:
            del shots[next(iter(shots))]
        if len(self._series) > _MOST_SERIES:
            del self._series[next(iter(self._series))]

    def near(self, watch: str, path: bytes) -> list[Shot]:
        """The pictures of a file's counter whose numbers are close."""
        series = series_of(path)
        if series is None:
            return []
        known = (self._series.get((watch, prefix.upper()), {}) for prefix in series.prefixes)
        numbers = range(series.number - REACH, series.number + REACH + 1)
        return [shots[number] for shots in known for number in numbers if number in shots]


Ask = Callable[[str, bytes], Sequence[Shot]]
"""`ask(watch, path)`: the pictures of a file's counter whose numbers are close."""


def dated(media: MediaSet, ask: Ask) -> MediaSet:
    """The set with its film's date read as its siblings show; any other set as it is.

    Args:
        ask: asked for such films alone.
    """
    facts, sighting = media.principal.facts, media.principal.sighting
    taken = facts.taken
    if taken is None or taken.tag not in HEADERS or taken.offset_minutes is None or facts.kind != "video":
        return media
    if _NOTE in facts.evidence:
        return media
    found = _settled(media.principal, taken, ask(sighting.watch, sighting.path))
    if found is None:
        return media
    taken, note = found
    comma = "," if facts.evidence != "{}" else ""
    evidence = f"{{{_NOTE}{json.dumps(note)}{comma}{facts.evidence[1:]}"
    principal = replace(media.principal, facts=replace(facts, taken=taken, evidence=evidence))
    return replace(media, principal=principal)


def _settled(film: Identity, taken: Taken, shots: Iterable[Shot]) -> tuple[Taken, str] | None:
    """The date as local time, as UTC of a zone, or in doubt, and what shows that; None if nothing does."""
    series = series_of(film.sighting.path)
    if series is None:
        return None
    before, after = _around(series.number, [shot for shot in shots if _is_same_camera(shot, film.facts)])
    utc = taken.local - timedelta(minutes=taken.offset_minutes or 0)
    as_local, as_utc = (_fits(moment, before, after) for moment in (utc, taken.local))
    if as_local and as_utc:
        return None
    names = " and ".join(shot.name.decode("utf-8", "replace") for shot in (before, after) if shot)
    if as_utc:
        return taken, f"{names} of the same card confirm that it is UTC"
    near = any(abs(shot.local - utc) <= _NEAR for shot in (before, after) if shot)
    if as_local and near:
        local = replace(taken, local=utc, offset_minutes=None)
        return local, f"{names} of the same card show that it is local time"
    # Then it is UTC, and its zone another one than ours, or a clock is wrong.
    offsets = [offset for offset in OFFSETS if _fits(utc + timedelta(minutes=offset), before, after)]
    if before is None or after is None or len(offsets) != 1:
        return replace(taken, confidence="low"), f"{names} of the same card are of another time"
    local = replace(taken, local=utc + timedelta(minutes=offsets[0]), offset_minutes=offsets[0])
    return local, f"{names} of the same card show how far it is from UTC"


def _is_same_camera(shot: Shot, other: Facts | Shot) -> bool:
    """No two cameras, as far as they are named."""
    pairs = ((shot.make, other.make), (shot.model, other.model))
    return all(one.casefold() == two.casefold() for one, two in pairs if one and two)


def _around(number: int, shots: Sequence[Shot]) -> tuple[Shot | None, Shot | None]:
    """The picture before and the one after, None for none; neither where counter or clock went back."""
    before = max((shot for shot in shots if shot.number < number), key=lambda shot: shot.number, default=None)
    after = min((shot for shot in shots if shot.number > number), key=lambda shot: shot.number, default=None)
    if before is None or after is None:
        return before, after
    return (before, after) if _is_same_camera(before, after) and before.local <= after.local else (None, None)


def _fits(moment: datetime, before: Shot | None, after: Shot | None) -> bool:
    late = before is None or moment >= before.local - _JITTER
    return late and (after is None or moment <= after.local + _JITTER)
