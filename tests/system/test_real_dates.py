"""The dates of real media from many cameras, held against a collection whose dates are known."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mediad.media.companions import form_sets
from mediad.media.dates import DateRules, parse_offset
from mediad.media.reading import File
from mediad.model import Facts, Identity, Sighting, Stat, Taken
from mediad.workers import WorkerPool

pytestmark = pytest.mark.anyio

MEDIA = Path(__file__).parents[2].parent / "shared" / "media"
BERLIN = ZoneInfo("Europe/Berlin")
RULES = DateRules(BERLIN.key)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {"JPEG", "PNG", "WEBP", "Extended WEBP", "AVIF", "HEIC", "HEIF", "TIFF", "MP4", "MOV"}
Row = dict[str, str]


@dataclass(frozen=True)
class Case:
    row: Row
    facts: Facts

    @property
    def taken(self) -> Taken | None:
        return self.facts.taken


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    manifest = MEDIA / "MANIFEST.csv"
    if not manifest.is_file():
        pytest.skip(f"no collection of real media at {MEDIA}")
    with manifest.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@contextmanager
def opened(paths: list[Path]) -> Iterator[list[File]]:
    with ExitStack() as stack:
        files = []
        for path in paths:
            stream = stack.enter_context(path.open("rb"))
            status = path.stat()
            name = os.fsencode(path.name)
            files.append(File(stream.fileno(), name, status.st_size, status.st_mtime_ns, on_card=False))
        yield files


async def cases(rows: list[Row], types: set[str]) -> list[Case]:
    """Rows of these types with what the pool read and what was chosen."""
    wanted = [row for row in rows if row["true_type"] in types]
    with opened([MEDIA / row["file"] for row in wanted]) as files:
        async with WorkerPool(2) as pool:
            found = await pool.parse(files, RULES, NOW)
    return [Case(row, facts) for row, facts in zip(wanted, found, strict=True)]


def is_firm(row: Row) -> bool:
    expected = row["expected_local"]
    return bool(expected) and "weak" not in row["date_basis"] and expected >= str(RULES.earliest)


def verdict(case: Case) -> str:
    if case.taken is None:
        return "abstained"
    expected = datetime.fromisoformat(case.row["expected_local"])
    slack = timedelta(seconds=2 if case.row["live_id"] else 0)
    apart = abs(case.taken.local.replace(microsecond=0) - expected.replace(microsecond=0))
    offset = case.row["expected_offset"]
    if apart > slack or (offset and case.taken.offset_minutes != parse_offset(offset)):
        return "wrong"
    return "right"


async def test_no_firm_date_is_missed_by_a_second(
    rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    table: dict[str, Counter[str]] = {}
    wrong = []
    for case in await cases(rows, TYPES):
        if not is_firm(case.row):
            continue
        found = verdict(case)
        table.setdefault(case.row["true_type"], Counter())[found] += 1
        if found == "wrong":
            wrong.append((case.row["file"], case.row["expected_local"], case.taken))
    with capsys.disabled():
        print(f"\n{'format':15}{'right':>7}{'abstained':>11}{'wrong':>7}")
        for name, counts in sorted(table.items()):
            print(f"{name:15}{counts['right']:7}{counts['abstained']:11}{counts['wrong']:7}")
    assert wrong == []
    total = sum(table.values(), Counter())
    assert total["right"] >= 0.95 * total.total()


async def test_fractions_of_a_second_are_kept(rows: list[Row]) -> None:
    for case in await cases(rows, {"JPEG", "HEIC", "HEIF"}):
        expected = case.row["expected_local"]
        if is_firm(case.row) and "." in expected and case.taken is not None:
            assert case.taken.local == datetime.fromisoformat(expected), case.row["file"]


async def test_what_states_utc_alone_is_brought_to_local_time(rows: list[Row]) -> None:
    for case in await cases(rows, {"MP4", "MOV", "3GP"}):
        stated = case.row["expected_utc"]
        if not stated or case.row["expected_local"]:
            continue
        expected = datetime.fromisoformat(stated).astimezone(BERLIN).replace(tzinfo=None)
        assert case.taken is not None, case.row["file"]
        named = case.row["filename_date"]  # where the name tells the start, the header tells the end
        if named:
            start = datetime.fromisoformat(named).replace(tzinfo=UTC)
            expected = start.astimezone(BERLIN).replace(tzinfo=None)
        assert case.taken.local.replace(microsecond=0) == expected, case.row["file"]


async def test_dates_before_the_earliest_are_not_believed(rows: list[Row]) -> None:
    early = [case for case in await cases(rows, TYPES) if "" < case.row["expected_local"] < "1990"]
    assert early
    assert [case.taken for case in early] == [None] * len(early)


async def test_cameras_and_live_photos(rows: list[Row]) -> None:
    found = await cases(rows, TYPES)
    makes = [case for case in found if case.row["make"]]
    assert [case.facts.make for case in makes] == [case.row["make"] for case in makes]
    ids = [case for case in found if case.row["live_id"]]
    assert [case.facts.content_id for case in ids] == [case.row["live_id"] for case in ids]


async def test_real_pairs(rows: list[Row]) -> None:
    members: dict[str, list[Identity]] = {}
    for case in await cases(rows, TYPES):
        name = case.row["file"]
        sighting = Sighting("inbox", os.fsencode(name), Stat(0, 0, 0, 0, 0))
        members.setdefault(name.rpartition("/")[0], []).append(Identity(sighting, b"", case.facts))
    sets, _ = form_sets(members["livephoto"])
    pair = next(one for one in sets if one.companions)
    assert (pair.principal.name, [one.name for one in pair.companions]) == (
        b"IMG_3589.HEIC",
        [b"IMG_3589.mov"],
    )
    strangers, _ = form_sets(members["takeout/not-motion"])
    assert len(strangers) == 2


async def test_hostile_files_get_facts(rows: list[Row]) -> None:
    assert rows
    paths = sorted(path for path in (MEDIA / "hostile").iterdir() if path.is_file())
    with opened(paths) as files:
        async with WorkerPool(2, time_limit=20) as pool:
            found = await pool.parse(files, RULES, NOW)
            counted = pool.statistics()
    assert len(found) == len(paths)
    assert (counted.crashed, counted.timed_out) == (0, 0)
    dated = [one for one in found if one.taken and one.taken.source != "filename"]
    assert not [one for one in dated if one.unreadable]
    assert date(2020, 2, 19) in {one.taken.local.date() for one in dated if one.taken}
