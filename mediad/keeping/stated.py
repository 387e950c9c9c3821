"""The dates that were found in the files of a set, as the catalogue keeps them. PURE.

They stand in the evidence of the principal, those of the members that came with it under their file's name.
Members that came later have their own. It is a worker's word that nobody has checked: what has another type
than it should is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from mediad.keeping import refiling
from mediad.keeping.change import Kept
from mediad.media import together
from mediad.media.dates import DateSettings, choose
from mediad.media.formats import claimed
from mediad.media.reading import Candidate
from mediad.model import Facts, Identity, Kind, MediaSet, Sighting, Stat, Taken

_WIDEST_OFFSET = 14 * 60  # minutes
_LONGEST = 86_400.0 * 366  # seconds that a film plays
_NO_STAT = Stat(0, 0, 0, 0, 0)


class Stated(NamedTuple):
    """A date that was found. `file` is the name of the companion that states it, "" for the principal."""

    candidate: Candidate
    file: str


def stated(files: Sequence[Kept]) -> list[Stated]:
    """Every date that is kept of a set.

    Args:
        files: its principal first. Of other media what may date their set, see `media.together`.
    """
    found = _kept_of(files[0])
    for companion in files[1:]:
        known = {one.file for one in found}
        name = companion.path.rpartition(b"/")[2].decode("utf-8", "replace")
        theirs = (one for one in _kept_of(companion) if one.file or _may_tell(companion, one.candidate))
        named = (one._replace(file=one.file or name) for one in theirs)
        found += [one for one in named if one.file not in known]
    return found


def _may_tell(companion: Kept, candidate: Candidate) -> bool:
    return companion.kind == "sidecar" or candidate.source in together.FIRM


def _kept_of(file: Kept) -> list[Stated]:
    told = refiling.evidence_of(file).get("candidates")
    read = [_read(one) for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return [one for one in read if one.candidate.source]


def chosen(
    lead: Kept, found: Sequence[Stated], settings: DateSettings, now: datetime
) -> tuple[Taken | None, str]:
    """The date of the set by these rules, as if it came today, and the companion that tells it, "" for none.

    Args:
        now: the present, aware.
    """
    told = refiling.evidence_of(lead)
    played = told.get("duration")

    def own(candidates: Sequence[Candidate]) -> Taken | None:
        """As `media.conclude` does it."""
        return choose(
            candidates,
            settings,
            now,
            make=text_of(told, "make"),
            model=text_of(told, "model"),
            duration=played if isinstance(played, float) and 0 < played < _LONGEST else None,
            scanned=told.get("origin") == "scan",
        )

    def member(name: str) -> Identity:
        theirs = [one.candidate for one in found if one.file == name]
        taken = choose(theirs, settings, now) if name else own(theirs)
        return Identity(
            Sighting("", name.encode("utf-8", "replace"), _NO_STAT), b"", Facts("", _kind(name), taken=taken)
        )

    names = dict.fromkeys(one.file for one in found if one.file)
    alone = member("")
    if told.get("doubts"):
        low = alone.taken and replace(alone.taken, confidence="low")
        alone = replace(alone, facts=replace(alone.facts, damaged="damaged", taken=low))
    whole = together.dated(MediaSet(alone, tuple(map(member, names))), settings.sources)
    evidence = refiling.evidence_in(whole.principal.facts.evidence)
    return whole.principal.taken, text_of(evidence, "sidecar")


def _kind(name: str) -> Kind:
    form = claimed(name.encode("utf-8", "replace")) if name else None
    return "photo" if form is None else form.kind


def _read(told: dict[str, object]) -> Stated:
    offset = told.get("offset")
    candidate = Candidate(
        source=text_of(told, "source"),
        tag=text_of(told, "tag"),
        raw=text_of(told, "raw"),
        moment=_moment(text_of(told, "moment")),
        offset_minutes=offset if type(offset) is int and abs(offset) <= _WIDEST_OFFSET else None,
        utc=told.get("utc") is True,
        doubt=text_of(told, "doubt"),
    )
    return Stated(candidate, text_of(told, "sidecar"))


def text_of(told: dict[str, object], key: str) -> str:
    """The text under this key, "" where there is none."""
    value = told.get(key)
    return value if isinstance(value, str) else ""


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
