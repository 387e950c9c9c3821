"""The journal: intents, their ends, and what a start finds of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from mediad.layout import key_of
from mediad.model import Facts, Identity, Kept, Sighting, Stat
from mediad.store import catalogue, journal
from mediad.store.database import open_copy
from mediad.store.troubles import dismiss

STAT = Stat(dev=1, ino=11, size=1000, mtime_ns=5, ctime_ns=6)
DIGEST = b"d" * 32


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A catalogue with one library and one batch, both of id 1."""
    connection = open_copy(tmp_path / "none")
    connection.pragma("foreign_keys", True)
    catalogue.remember_library(connection, "photos", "m", b"/l")
    assert journal.open_batch(connection, "inbox", b"/w", "", 1) == 1
    yield connection
    connection.close()


def entry(
    id_: int,
    path: bytes,
    item: int | None = None,
    witness: int | None = None,
    source: bytes | None = None,
    put: int = 0,
) -> journal.Entry:
    """A step; `put` is the one that brought the file into quarantine, where it is `source`."""
    kept = Kept("photos", source, item or id_, put) if source else None
    identity = Identity(Sighting("inbox", path, STAT, kept=kept), DIGEST, Facts("jpeg", "photo"))
    return journal.Entry(id_, item or id_, 1, identity, "move", 1, b"to/" + path, witness, "{}", source)


def ending(
    id_: int, path: bytes, outcome: str = "filed", source: Stat | None = None, code: str = ""
) -> journal.Ending:
    target = b"to/" + path
    action = "quarantine" if outcome == "quarantined" else "move"
    return journal.Ending(
        id_, id_, action, outcome, code, "", source, 1, target, key_of(target), STAT, DIGEST, "principal"
    )


def test_an_intent_tells_all_that_recovery_needs(connection: apsw.Connection) -> None:
    journal.begin(connection, [entry(4, b"b.jpg"), entry(3, b"a.jpg", item=4)], now=9)
    first = journal.OpenStep(3, 4, "move", 1, b"to/a.jpg", "inbox", b"/w", b"a.jpg", 1000, 5, DIGEST)
    second = journal.OpenStep(4, 4, "move", 1, b"to/b.jpg", "inbox", b"/w", b"b.jpg", 1000, 5, DIGEST)
    assert journal.open_steps(connection) == [first, second]
    assert journal.last_id(connection) == 4


def test_a_new_journal_has_used_no_id(connection: apsw.Connection) -> None:
    assert (journal.last_id(connection), journal.open_steps(connection)) == (1, [])  # the batch's


@pytest.mark.parametrize("source", [None, STAT._replace(ctime_ns=77)])
def test_what_is_finished_is_in_the_library(connection: apsw.Connection, source: Stat | None) -> None:
    journal.begin(connection, [entry(4, b"a.jpg")], now=9)
    journal.finish(connection, [ending(4, b"a.jpg", source=source)], [(1, b"to")], now=10)
    journal.finish(connection, [], [(1, b"to")], now=11)  # a folder is made once
    assert journal.open_steps(connection) == []
    files = connection.execute("SELECT path, digest, role, item, step FROM file").fetchall()
    assert files == [(b"to/a.jpg", DIGEST, "principal", 4, 4)]
    assert connection.execute("SELECT library, path FROM folder").fetchall() == [(1, b"to")]
    row = catalogue.newest_arrival(connection, "inbox", b"a.jpg")
    assert row is not None
    assert (row.outcome, row.stays, row.ctime_ns) == ("filed", source is not None, 77 if source else 6)


@pytest.mark.parametrize("outcome", ["duplicate", "quarantined", "failed"])
def test_what_was_not_filed_is_no_library_file(connection: apsw.Connection, outcome: str) -> None:
    journal.begin(connection, [entry(1, b"a.jpg")], now=9)
    journal.finish(connection, [ending(1, b"a.jpg", outcome)], [], now=10)
    assert connection.execute("SELECT count(*) FROM file").fetchall() == [(0,)]
    assert catalogue.tally(connection).files == {outcome: 1}


def test_what_is_reverted_never_happened_and_is_tried_again(connection: apsw.Connection) -> None:
    journal.begin(connection, [entry(1, b"a.jpg"), entry(2, b"b.jpg")], now=9)
    journal.revert(connection, [1], "no", now=10)
    assert [step.id for step in journal.open_steps(connection)] == [2]
    row = catalogue.newest_arrival(connection, "inbox", b"a.jpg")
    assert row is not None
    assert not row.settles(STAT, local=True, retry_since=0)
    assert connection.execute("SELECT state, note FROM step WHERE id = 1").fetchall() == [("reverted", "no")]


def test_what_lies_in_quarantine_is_looked_for_there(connection: apsw.Connection) -> None:
    journal.begin(connection, [entry(5, b"a.jpg", source=b"1-a.jpg"), entry(6, b"b.jpg", item=5)], now=9)
    assert [step.path for step in journal.open_steps(connection)] == [b"1-a.jpg", b"b.jpg"]


def test_what_is_taken_out_of_quarantine_takes_the_place_of_its_story(connection: apsw.Connection) -> None:
    quarantined(connection, 1, b"a.jpg")
    quarantined(connection, 2, b"b.jpg")
    journal.begin(connection, [entry(5, b"a.jpg", source=b"1-a.jpg", put=1), entry(6, b"b.jpg")], now=9)
    assert outcomes(connection) == {2: "quarantined", 5: None, 6: None}
    assert connection.execute("SELECT arrival FROM step WHERE id = 1").fetchall() == [(5,)]


def test_of_two_of_one_name_in_quarantine_only_the_one_that_is_taken_makes_way(
    connection: apsw.Connection,
) -> None:
    for id_ in (1, 2, 3):
        quarantined(connection, id_, b"a.jpg")
    assert outcomes(connection) == {1: "quarantined", 2: "quarantined", 3: "quarantined"}
    journal.begin(connection, [entry(5, b"a.jpg", source=b"a-2.jpg", put=2)], now=11)
    assert outcomes(connection) == {1: "quarantined", 3: "quarantined", 5: None}
    journal.finish(connection, [ending(5, b"a.jpg", "quarantined")], [], now=12)
    journal.begin(connection, [entry(6, b"a.jpg", source=b"a-5.jpg", put=2)], now=13)  # an older look
    assert outcomes(connection) == {1: "quarantined", 3: "quarantined", 6: None}


def test_a_step_of_another_file_of_one_name_is_not_under_way(connection: apsw.Connection) -> None:
    quarantined(connection, 1, b"a.jpg")
    quarantined(connection, 2, b"a.jpg")
    taken = entry(5, b"a.jpg", source=b"a-1.jpg", put=1)
    journal.begin(connection, [taken], now=11)
    other = entry(6, b"a.jpg", source=b"a-2.jpg", put=2).identity.sighting
    new = entry(7, b"a.jpg").identity.sighting
    found = [catalogue.under_way(connection, one) for one in (taken.identity.sighting, other, new)]
    assert found == [True, False, False]
    journal.begin(connection, [entry(7, b"a.jpg")], now=12)
    assert catalogue.under_way(connection, new)


def test_quarantine_is_where_its_library_is_now(connection: apsw.Connection) -> None:
    quarantined(connection, 1, b"a.jpg")
    films = catalogue.remember_library(connection, "films", "f", b"/f").id
    other = replace(entry(5, b"a.jpg", source=b"a-1.jpg", put=1), library=films)
    journal.begin(connection, [other, entry(6, b"b.jpg")], now=11)
    catalogue.remember_library(connection, "photos", "m", b"/moved")
    assert [step.home for step in journal.open_steps(connection)] == [b"/moved", None]


@pytest.mark.parametrize(
    ("outcome", "code", "dismissed"), [("failed", "io", 1), ("failed", "other", 0), ("filed", "io", 0)]
)
def test_what_was_dismissed_is_not_told_the_same_again(
    connection: apsw.Connection, outcome: str, code: str, dismissed: int
) -> None:
    for id_ in (1, 2):
        journal.begin(connection, [entry(id_, b"a.jpg")], now=9)
        told = (outcome, code) if id_ == 2 else ("failed", "io")
        journal.finish(connection, [ending(id_, b"a.jpg", told[0], STAT, told[1])], [], now=10)
        if id_ == 1:
            assert dismiss(connection, [1]) == 1
    assert connection.execute("SELECT id, dismissed FROM arrival").fetchall() == [(2, dismissed)]
    sighting = entry(3, b"a.jpg").identity.sighting
    catalogue.record_unplanned(connection, 3, sighting, 11, outcome, code, "", {})
    newest = connection.execute("SELECT dismissed FROM arrival WHERE id = 3").fetchall()
    assert newest == [(dismissed,)]
    assert_counted(connection)


def test_what_is_given_back_is_not_counted(connection: apsw.Connection) -> None:
    for id_ in (1, 2):
        journal.begin(connection, [entry(id_, b"a.jpg")], now=9)
        journal.revert(connection, [id_], "no", now=10)
        assert_counted(connection)
        assert sum(catalogue.tally(connection).files.values()) == 0


def assert_counted(connection: apsw.Connection) -> None:
    """The triggers have kept count."""
    counted = connection.execute("SELECT outcome, dismissed, files, bytes FROM tally WHERE files").fetchall()
    rows = connection.execute(
        "SELECT outcome, dismissed, count(*), sum(size) FROM arrival"
        " WHERE outcome IS NOT NULL AND (outcome, code) IS NOT ('failed', 'reverted') GROUP BY 1, 2"
    ).fetchall()
    assert sorted(counted) == sorted(rows)


def quarantined(connection: apsw.Connection, id_: int, path: bytes) -> None:
    journal.begin(connection, [entry(id_, path)], now=9)
    journal.finish(connection, [ending(id_, path, "quarantined")], [], now=10)


def outcomes(connection: apsw.Connection) -> dict[int, str | None]:
    return {int(row[0]): row[1] for row in connection.execute("SELECT id, outcome FROM arrival ORDER BY id")}


def test_what_is_not_taken_out_of_quarantine_is_there_again(connection: apsw.Connection) -> None:
    quarantined(connection, 1, b"a.jpg")
    journal.begin(connection, [entry(5, b"a.jpg", source=b"1-a.jpg", put=1), entry(6, b"b.jpg")], now=11)
    journal.revert(connection, [5, 6], "no", now=12)
    assert outcomes(connection) == {5: "quarantined", 6: "failed"}
    rows = connection.execute("SELECT id, stays, code, reason FROM arrival ORDER BY id").fetchall()
    assert rows == [(5, 0, "reverted", "no"), (6, 1, "reverted", "no")]


def test_a_batch_has_a_label_and_an_end(connection: apsw.Connection) -> None:
    number = journal.open_batch(connection, "import:1", b"/c", "Norway", 7)
    journal.close_batch(connection, number, 8)
    rows = connection.execute("SELECT watch, root, label, started, ended FROM batch ORDER BY id").fetchall()
    assert rows == [("inbox", b"/w", "", 1, None), ("import:1", b"/c", "Norway", 7, 8)]


def test_a_late_companion_joins_the_set_of_its_witness(connection: apsw.Connection) -> None:
    journal.begin(connection, [entry(1, b"a.jpg")], now=9)
    journal.finish(connection, [ending(1, b"a.jpg")], [], now=10)
    journal.begin(connection, [entry(2, b"a.xmp", witness=1), entry(3, b"b.jpg")], now=11)
    assert [journal.set_of(connection, step) for step in journal.open_steps(connection)] == [1, 3]
