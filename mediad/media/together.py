"""The date of a set: what its principal tells, or else what its sidecars and other members know. PURE.

A sidecar's dates stand in the same order of belief as the principal's own. One that names its principal's
camera time again changes nothing, and Google Takeout never overrides it. Where nothing else dates a set, a
firm date of another member does: the JPEG of a RAW that nobody can read, the film of a stripped Live Photo.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mediad.media.conclude import LONGEST_EVIDENCE, encode
from mediad.media.dates import is_digitised_after, rank_of, sure, zone_between
from mediad.model import Facts, Identity, MediaSet, Taken

_JITTER = timedelta(seconds=5)
FIRM = ("exif", "quicktime", "xmp")
"""Sources by which a file that is no sidecar may date its set."""

_STATED = '"candidates":[{'


def dated(media: MediaSet, sources: Sequence[str]) -> MediaSet:
    """The set with the date that all its members give it, on its principal.

    Args:
        sources: those that are believed, the most trusted first.
    """
    tellers = [one for one in media.companions if one.facts.taken is not None or _is_sidecar(one)]
    if not tellers:
        return media
    facts = media.principal.facts
    best, taken = _best(facts, tellers, sources)
    told = [one for one in tellers if one is best or (_is_sidecar(one) and _STATED in one.facts.evidence)]
    if not told:
        return media
    evidence = _evidence(facts.evidence, told, best, taken)
    if facts.damaged and taken is not None:
        taken = replace(taken, confidence="low")
    return replace(
        media, principal=replace(media.principal, facts=replace(facts, taken=taken, evidence=evidence))
    )


def _best(
    facts: Facts, tellers: Iterable[Identity], sources: Sequence[str]
) -> tuple[Identity | None, Taken | None]:
    """The date of the set, and which other member has told it, None if none had to."""
    own = sure(facts.taken) if facts.damaged and facts.taken is not None else facts.taken
    best, taken = None, own
    for one in tellers:
        theirs = one.facts.taken
        if theirs is None or not _may_tell(one, theirs, own):
            continue
        better = taken is None or rank_of(theirs, sources) < rank_of(taken, sources)
        if better or (taken is not None and is_digitised_after(taken, theirs)):
            best, taken = one, theirs
    if best is not None and own is not None and taken is not None and taken.source == "takeout":
        named = _named(own, taken)
        if named is not None:
            return None, named
    return best, facts.taken if best is None else taken


def _may_tell(one: Identity, theirs: Taken, own: Taken | None) -> bool:
    if not _is_sidecar(one):
        weak = own is None or own.confidence == "low"
        return weak and theirs.confidence != "low" and theirs.source in FIRM
    return own is None or own.confidence != "high" or theirs.source not in ("exif", "takeout")


def _named(own: Taken, takeout: Taken) -> Taken | None:
    """The local time of the file's name where it is that of Takeout, of which only the UTC is certain."""
    if own.source != "filename" or own.confidence == "low" or takeout.offset_minutes is None:
        return None
    utc = takeout.local - timedelta(minutes=takeout.offset_minutes)
    offset = zone_between(own.local, utc, _JITTER)
    return replace(own, offset_minutes=offset) if offset is not None else None


def _is_sidecar(member: Identity) -> bool:
    return member.facts.kind == "sidecar"


# --- What `why` will tell ----------------------------------------------------------------------------


def _evidence(own: str, told: Iterable[Identity], best: Identity | None, taken: Taken | None) -> str:
    """The principal's evidence with the candidates of others, each with the name of its file."""
    found = _object(own)
    theirs = [
        {**candidate, "sidecar": one.name.decode("utf-8", "replace")}
        for one in told
        for candidate in _candidates(_object(one.facts.evidence), one)
    ]
    ours = _list(found)
    found["candidates"] = kept = [*theirs, *ours] if best is not None else [*ours, *theirs]
    if best is not None and taken is not None:
        found["tag"] = taken.tag
        found["sidecar"] = best.name.decode("utf-8", "replace")
    while len(text := encode(found)) > LONGEST_EVIDENCE:
        if not kept:
            return own
        kept.pop()
    return text


def _candidates(found: dict[str, Any], one: Identity) -> list[dict[str, Any]]:
    """Of a sidecar, all; of another member, what dates it, since its name and time are not the set's."""
    listed = _list(found)
    if _is_sidecar(one) or one.facts.taken is None:
        return listed
    field = (one.facts.taken.source, one.facts.taken.tag)
    return [candidate for candidate in listed if (candidate.get("source"), candidate.get("tag")) == field][:1]


def _object(text: str) -> dict[str, Any]:
    """A worker's word, which nobody has checked."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _list(found: dict[str, Any]) -> list[dict[str, Any]]:
    listed = found.get("candidates")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
