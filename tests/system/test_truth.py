"""Real media from many cameras, filed by the daemon and held against what is known of them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests import second_opinion, truth
from tests.truth import MEDIA, ZONE, Case, judged


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    if not truth.rows():
        pytest.skip(f"no collection of real media at {MEDIA}")
    return truth.cases(MEDIA, tmp_path_factory.mktemp("truth"))


def wrong(found: list[Case], subject: str) -> list[str]:
    return [case.name for case, result in judged(found, subject) if result == "wrong"]


def missed(found: list[Case], subject: str) -> list[Case]:
    return [case for case, result in judged(found, subject) if result == "abstained"]


def test_every_file_has_an_outcome(found: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(found)} real files: {truth.outcomes(found)}\n{truth.table(found)}")
    assert not [case.name for case in found if not case.outcome]
    assert not [case.name for case in found if case.outcome == "failed"]


@pytest.mark.parametrize("subject", truth.SUBJECTS)
def test_nothing_is_told_wrong_and_nothing_missed(found: list[Case], subject: str) -> None:
    assert wrong(found, subject) == []
    assert [case.name for case in missed(found, subject) if not is_reset_clock(case)] == []


def is_reset_clock(case: Case) -> bool:
    """The only date is the one at which cameras begin that have lost their battery: not believed."""
    return case.row["expected_local"].endswith("-01-01T00:00:00")


def test_what_states_utc_alone_is_brought_to_local_time(found: list[Case]) -> None:
    stated = [
        case for case in found if case.row["expected_utc"] and not case.row["expected_local"] and case.taken
    ]
    assert stated
    for case in stated:
        named = case.row["filename_date"]  # where the name tells the start, the header tells the end
        utc = named.replace(" ", "T") if named else case.row["expected_utc"].removesuffix("Z")
        local = datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(ZoneInfo(ZONE))
        assert case.taken is not None
        assert case.taken.replace(microsecond=0) == local.replace(tzinfo=None), case.name


def test_what_is_before_the_earliest_is_not_believed(found: list[Case]) -> None:
    early = [case for case in found if truth.is_early(case.row)]
    assert early
    assert [case.taken for case in early] == [None] * len(early)


def test_sets(found: list[Case]) -> None:
    told = dict(truth.sets(found))
    assert told["livephoto/IMG_3589.HEIC"] == ("livephoto/IMG_3589.mov",)
    assert told["edited_sidecars/canon_eos_6d.dng"] == ("edited_sidecars/canon_eos_6d.xmp",)
    assert not [one for one in told if "not-motion" in one]
    ids = [case for case in found if case.row["live_id"]]
    assert [case.evidence["content_id"] for case in ids] == [case.row["live_id"] for case in ids]


def test_hostile_files_are_filed_marked_or_quarantined_with_a_reason(found: list[Case]) -> None:
    hostile = [case for case in found if case.name.startswith("hostile/")]
    assert hostile
    assert not [case.name for case in hostile if case.outcome not in ("filed", "quarantined", "ignored")]
    assert not [case.name for case in hostile if case.outcome != "filed" and not case.reason]
    damaged = [case for case in hostile if case.outcome == "filed" and case.evidence.get("doubts")]
    assert damaged
    assert {case.confidence for case in damaged} <= {"", "low"}


def test_every_disagreement_with_exiftool_has_a_reason(
    found: list[Case], capsys: pytest.CaptureFixture[str]
) -> None:
    if not any(case.exiftool for case in found):
        pytest.skip("ExifTool is not installed")
    lines = second_opinion.disagreements(found)
    with capsys.disabled():
        print(*("", *lines), sep="\n")
    assert lines
    assert not [line for line in lines if line.endswith(": ?")]
