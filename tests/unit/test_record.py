"""What is written down of a file."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mediad.clock import Clock
from mediad.events import Events
from mediad.ingest.evidence import evidence_of
from mediad.ingest.record import Counted, Recorder
from mediad.model import Facts, Identity, Sighting, Stat
from mediad.store.catalogue import Tally


@pytest.mark.anyio
async def test_batches_come_and_go_in_the_event_loop() -> None:
    """Not in the thread of a unit of work, which would change what is being iterated."""
    known: list[set[str]] = []

    class Later:
        async def run(self, _work: object) -> Counted:
            known.append(set(recorder._batches))
            return Tally({}, 0, {}), {}

    recorder = Recorder(Later(), Clock(), lambda name: b"/w", {}, 0, Events(Clock()))  # type: ignore[arg-type]
    job = SimpleNamespace(tasks=[SimpleNamespace(watch="inbox")])
    await recorder.begin([job])  # type: ignore[list-item]
    assert known == [{"inbox"}]


SIGHTING = Sighting("inbox", b"a.jpg", Stat(1, 2, 3, 4, 5))


def evidence(told: str, settled: str, why: str) -> object:
    identity = Identity(SIGHTING, b"", Facts("jpeg", "photo", evidence=told), settled)
    return json.loads(evidence_of(identity, why))


def test_evidence_is_one_object() -> None:
    why = 'rule 1: "{taken:%Y}"\n'
    assert evidence('{"tag":"filename"}', "quiet", why) == {"tag": "filename", "settled": "quiet", "why": why}
    assert evidence('{"tag":"filename"}', "", "") == {"tag": "filename"}
    assert evidence("{}", "quiet", "") == {"settled": "quiet"}
    assert evidence("{}", "", "") == {}


def test_a_worker_does_not_tell_what_the_daemon_decided() -> None:
    assert evidence('{"settled":"no","why":"no"}', "quiet", "rule 1") == {"settled": "quiet", "why": "rule 1"}
