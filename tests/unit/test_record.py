"""What is written down of a file."""

from __future__ import annotations

import json

from mediad.ingest.record import evidence_of
from mediad.model import Facts, Identity, MediaSet, Plan, Sighting, Stat

SIGHTING = Sighting("inbox", b"a.jpg", Stat(1, 2, 3, 4, 5))


def evidence(told: str, settled: str, why: str) -> object:
    identity = Identity(SIGHTING, b"", Facts("jpeg", "photo", evidence=told), settled)
    return json.loads(evidence_of(identity, Plan(MediaSet(identity), (), why=why)))


def test_evidence_is_one_object() -> None:
    why = 'rule 1: "{taken:%Y}"\n'
    assert evidence('{"tag":"filename"}', "quiet", why) == {"tag": "filename", "settled": "quiet", "why": why}
    assert evidence('{"tag":"filename"}', "", "") == {"tag": "filename"}
    assert evidence("{}", "quiet", "") == {"settled": "quiet"}
    assert evidence("{}", "", "") == {}


def test_a_worker_does_not_tell_what_the_daemon_decided() -> None:
    assert evidence('{"settled":"no","why":"no"}', "quiet", "rule 1") == {"settled": "quiet", "why": "rule 1"}
