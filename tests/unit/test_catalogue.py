"""What the catalogue answers, and how rows about one path follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from mediad.layout import key_of
from mediad.model import Earlier, Facts, Holder, Identity, Kept, MediaSet, Sighting, Stat
from mediad.store import catalogue, journal, versions
from mediad.store.catalogue import Arrival, LibraryFile, Tally
from mediad.store.database import open_copy
from mediad.store.world import CatalogueWorld

STAT = Stat(dev=1, ino=11, size=1000, mtime_ns=5_000_000_000, ctime_ns=6_000_000_000)
ARRIVAL = Arrival(1, 100, "filed", "", 1000, 5_000_000_000, 6_000_000_000, 11, True, b"d" * 32)
SECOND = 1_000_000_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_copy(tmp_path / "none")
    connection.pragma("foreign_keys", True)
    yield connection
    connection.close()


def seen(path: bytes, stat: Stat = STAT, watch: str = "inbox") -> Sighting:
    return Sighting(watch, path, stat)


def content(path: bytes, digest: bytes = b"d" * 32, stat: Stat = STAT) -> Identity:
    return Identity(seen(path, stat), digest, Facts("jpeg", "photo"))


def unplanned(
    connection: apsw.Connection, id_: int, path: bytes, outcome: str, code: str = "x", stat: Stat = STAT
) -> bool:
    return catalogue.record_unplanned(connection, id_, seen(path, stat), id_, outcome, code, "because", {})


def told(connection: apsw.Connection) -> list[tuple[int, str | None]]:
    return [(row[0], row[1]) for row in connection.execute("SELECT id, outcome FROM arrival ORDER BY id")]


def library(connection: apsw.Connection, name: str = "photos", marker: str = "m") -> int:
    return catalogue.remember_library(connection, name, marker, b"/l").id


def begin(
    connection: apsw.Connection,
    id_: int,
    path: bytes,
    *,
    item: int | None = None,
    digest: bytes = b"d" * 32,
    action: str = "move",
    witness: int | None = None,
    row: int = 1,
) -> None:
    batch = journal.open_batch(connection, "inbox", b"/w", "", 1)
    entry = journal.Entry(
        id_, item or id_, batch, content(path, digest), action, row, b"to/" + path, witness, "{}"
    )
    journal.begin(connection, [entry], now=id_)


def finish(
    connection: apsw.Connection,
    id_: int,
    path: bytes,
    *,
    item: int | None = None,
    outcome: str = "filed",
    digest: bytes = b"d" * 32,
    role: str = "principal",
    source: Stat | None = None,
    action: str = "move",
    row: int = 1,
) -> None:
    target = b"to/" + path
    ending = journal.Ending(
        id_, item or id_, action, outcome, "", "", source, row, target, key_of(target), STAT, digest, role
    )
    journal.finish(connection, [ending], [], now=id_)


def file_id(connection: apsw.Connection, path: bytes) -> int:
    row = connection.execute("SELECT id FROM file WHERE path = ?", (path,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"dev": 2}, True),  # numbers of devices change with every mount
        ({"ino": 12}, False),
        ({"size": 1001}, False),
        ({"mtime_ns": 5_000_000_001}, False),
        ({"ctime_ns": 6_000_000_001}, False),
    ],
)
@pytest.mark.parametrize("outcome", ["filed", "duplicate", "quarantined", "ignored"])
def test_an_end_holds_for_exactly_one_state(change: dict[str, int], same: bool, outcome: str) -> None:
    row = replace(ARRIVAL, outcome=outcome)
    assert row.settles(STAT._replace(**change), local=True, retry_since=0) is same


@pytest.mark.parametrize(
    ("mtime", "size", "stays", "same"),
    [
        (2 * SECOND, 0, True, True),
        (-2 * SECOND, 0, True, True),
        (2 * SECOND + 1, 0, True, False),
        (0, 1, True, False),
        (0, 0, False, False),  # we took it: what is there now is another
    ],
)
def test_where_inodes_mean_nothing_size_and_time_do(mtime: int, size: int, stays: bool, same: bool) -> None:
    stat = STAT._replace(ino=99, ctime_ns=1, mtime_ns=STAT.mtime_ns + mtime, size=STAT.size + size)
    row = replace(ARRIVAL, stays=stays)
    assert row.settles(stat, local=False, retry_since=0) is same
    assert not row.settles(stat, local=True, retry_since=0)


def test_an_open_step_settles_whatever_is_seen() -> None:
    assert replace(ARRIVAL, outcome=None).settles(STAT._replace(size=1), local=True, retry_since=0)


def test_what_was_gone_is_always_looked_at() -> None:
    assert not replace(ARRIVAL, outcome="gone").settles(STAT, local=True, retry_since=0)


def test_a_failure_is_tried_again_in_time_or_when_changed() -> None:
    row = replace(ARRIVAL, outcome="failed", seen=100)
    assert row.settles(STAT, local=True, retry_since=99)
    assert not row.settles(STAT, local=True, retry_since=100)
    assert row.settles(STAT._replace(ctime_ns=1), local=True, retry_since=99)  # our attempts change it
    for change in ({"size": 1}, {"mtime_ns": 1}, {"ino": 1}):
        assert not row.settles(STAT._replace(**change), local=True, retry_since=99)
    assert not replace(row, code="reverted").settles(STAT, local=True, retry_since=0)


def test_the_newest_row_of_one_path_counts(connection: apsw.Connection) -> None:
    assert catalogue.newest_arrival(connection, "inbox", b"a.jpg") is None
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg")
    begin(connection, 2, b"a.jpg", digest=b"e" * 32)
    row = catalogue.newest_arrival(connection, "inbox", b"a.jpg")
    assert row is not None
    assert (row.id, row.outcome, row.digest, row.stays) == (2, None, b"e" * 32, True)
    assert catalogue.newest_arrival(connection, "other", b"a.jpg") is None
    assert catalogue.under_way(connection, seen(b"a.jpg"))
    finish(connection, 2, b"a.jpg")
    assert not catalogue.under_way(connection, seen(b"a.jpg"))


def test_a_file_that_needed_no_plan_replaces_its_earlier_rows(connection: apsw.Connection) -> None:
    for id_, outcome in enumerate(("ignored", "failed", "failed", "gone"), 1):
        assert unplanned(connection, id_, b"a.jpg", outcome)
    assert unplanned(connection, 5, b"b.jpg", "ignored")
    assert told(connection) == [(4, "gone"), (5, "ignored")]
    assert unplanned(connection, 6, b"a.jpg", "ignored")
    assert told(connection) == [(4, "gone"), (5, "ignored"), (6, "ignored")]
    assert catalogue.tally(connection).files == {"gone": 1, "ignored": 2, "failed": 0}


def test_what_failed_in_imports_is_counted_apart(connection: apsw.Connection) -> None:
    for id_, (watch, outcome) in enumerate(
        [("inbox", "failed"), ("import:1", "failed"), ("import:2", "failed"), ("import:2", "ignored")], 1
    ):
        sighting = replace(seen(b"%d.jpg" % id_), watch=watch)
        assert catalogue.record_unplanned(connection, id_, sighting, id_, outcome, "x", "because", {})
    assert (catalogue.tally(connection).troubled, catalogue.tally(connection).imports) == ({"failed": 3}, 2)
    connection.execute("UPDATE arrival SET dismissed = 1 WHERE id = 2")
    assert catalogue.tally(connection).imports == 1


def test_what_is_counted_follows_every_change(connection: apsw.Connection) -> None:
    row = library(connection)
    assert catalogue.tally(connection) == Tally({}, 0, {})
    begin(connection, 1, b"a.jpg", row=row)
    assert catalogue.tally(connection).files == {}  # it is under way
    finish(connection, 1, b"a.jpg")
    unplanned(connection, 2, b"b.jpg", "failed", stat=STAT._replace(size=7))
    unplanned(connection, 3, b"c.jpg", "ignored")
    assert catalogue.tally(connection) == Tally({"filed": 1, "failed": 1, "ignored": 1}, 1000, {"failed": 1})
    connection.execute("UPDATE arrival SET dismissed = 1 WHERE id = 2")
    assert catalogue.tally(connection).troubled == {"failed": 0}
    assert catalogue.tally(connection).files["failed"] == 1
    begin(connection, 4, b"b.jpg", row=row)  # it is tried again
    assert recounted(connection) == {"filed": 1, "ignored": 1}
    finish(connection, 4, b"b.jpg", outcome="quarantined", source=None)
    assert recounted(connection) == {"filed": 1, "ignored": 1, "quarantined": 1}
    assert catalogue.tally(connection).troubled == {"quarantined": 1, "failed": 0}
    connection.execute("UPDATE arrival SET size = 1500, watch = 'other' WHERE id = 1")
    assert catalogue.tally(connection).bytes_filed == 1500
    connection.execute("UPDATE step SET arrival = 4")
    connection.execute("DELETE FROM arrival WHERE id <> 4")
    assert recounted(connection) == {"quarantined": 1}
    assert catalogue.tally(connection).bytes_filed == 0


def recounted(connection: apsw.Connection) -> dict[str, int]:
    """Arrivals by outcome; what is counted already must be the same."""
    rows = connection.execute("SELECT outcome, count(*) FROM arrival WHERE outcome NOT NULL GROUP BY outcome")
    found = {str(row[0]): int(row[1]) for row in rows}
    assert found == {outcome: count for outcome, count in catalogue.tally(connection).files.items() if count}
    return found


def test_what_a_library_holds_follows_every_change(connection: apsw.Connection) -> None:
    row, other = library(connection), library(connection, "other", "m2")
    assert catalogue.holdings(connection) == {row: (0, 0), other: (0, 0)}
    begin(connection, 1, b"a.jpg", row=row)
    finish(connection, 1, b"a.jpg", row=row)
    catalogue.remember_found(connection, other, [(b"b.jpg", key_of(b"b.jpg"), STAT._replace(size=5))])
    assert catalogue.holdings(connection) == {row: (1, 1000), other: (1, 5)}
    theirs = file_id(connection, b"b.jpg")
    catalogue.set_digest(connection, theirs, b"e" * 32, STAT._replace(size=6))
    catalogue.set_missing(connection, file_id(connection, b"to/a.jpg"))
    assert catalogue.holdings(connection) == {row: (0, 0), other: (1, 6)}
    catalogue.set_missing(connection, theirs)
    catalogue.set_missing(connection, theirs)
    assert catalogue.holdings(connection) == {row: (0, 0), other: (0, 0)}
    catalogue.remember_found(connection, other, [(b"b.jpg", key_of(b"b.jpg"), STAT._replace(size=7))])
    assert catalogue.holdings(connection) == {row: (0, 0), other: (1, 7)}
    catalogue.forget_found(connection, other, b"b.jpg")
    assert catalogue.holdings(connection) == {row: (0, 0), other: (0, 0)}


def test_what_an_arrival_became(connection: apsw.Connection) -> None:
    row = library(connection)
    begin(connection, 1, b"a.jpg", row=row)
    assert catalogue.became_of(connection, 1) is None  # it is under way
    finish(connection, 1, b"a.jpg")
    mine = LibraryFile(1, row, b"to/a.jpg", 1000, STAT.mtime_ns)
    assert catalogue.became_of(connection, 1) == mine
    for id_, action in ((2, "trash"), (3, "leave")):
        begin(connection, id_, b"%d.jpg" % id_, action=action, witness=1, row=row)
        finish(connection, id_, b"%d.jpg" % id_, outcome="duplicate", action=action)
        assert catalogue.became_of(connection, id_) == mine
    connection.execute("UPDATE file SET digest = ? WHERE id = 1", (b"other",))
    assert [catalogue.became_of(connection, id_) for id_ in (1, 2, 3)] == [None, None, None]
    connection.execute("UPDATE file SET digest = (SELECT digest FROM arrival WHERE id = 1) WHERE id = 1")
    assert catalogue.became_of(connection, 2) == mine
    begin(connection, 4, b"b.jpg", action="quarantine", row=row)
    finish(connection, 4, b"b.jpg", outcome="quarantined", action="quarantine")
    assert catalogue.became_of(connection, 4) is None
    unplanned(connection, 5, b"c.jpg", "ignored")
    assert catalogue.became_of(connection, 5) is None
    catalogue.set_missing(connection, 1)
    assert [catalogue.became_of(connection, id_) for id_ in (1, 2, 3)] == [None, None, None]


def test_what_was_filed_makes_way_for_nothing(connection: apsw.Connection) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg")
    unplanned(connection, 2, b"a.jpg", "failed", stat=STAT._replace(size=7))
    assert told(connection) == [(1, "filed"), (2, "failed")]


@pytest.mark.parametrize(("source", "left"), [(STAT, [(2, None)]), (None, [(1, "quarantined"), (2, None)])])
def test_what_was_quarantined_in_name_only_makes_way(
    connection: apsw.Connection, source: Stat | None, left: list[tuple[int, str | None]]
) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg", outcome="quarantined", source=source)
    begin(connection, 2, b"a.jpg")
    assert told(connection) == left


def test_what_was_quarantined_makes_way_for_what_comes_out_of_there(connection: apsw.Connection) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg", outcome="quarantined", source=None)
    kept = replace(seen(b"a.jpg"), kept=Kept("photos", b"1-a.jpg", 1, 1))
    assert catalogue.record_unplanned(connection, 2, kept, 2, "quarantined", "x", "because", {})
    assert told(connection) == [(2, "quarantined")]
    row = catalogue.newest_arrival(connection, "inbox", b"a.jpg")
    assert row is not None
    assert not row.stays  # in the watch


def test_steps_of_a_row_that_makes_way_belong_to_the_new_one(connection: apsw.Connection) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    journal.revert(connection, [1], "no", now=1)
    begin(connection, 2, b"a.jpg")
    assert told(connection) == [(2, None)]
    steps = connection.execute("SELECT id, arrival, state FROM step ORDER BY id").fetchall()
    assert steps == [(1, 2, "reverted"), (2, 2, "intent")]


def test_what_we_took_is_not_gone(connection: apsw.Connection) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg", source=None)
    assert not unplanned(connection, 2, b"a.jpg", "gone", stat=STAT._replace(ctime_ns=1))
    assert told(connection) == [(1, "filed")]
    assert unplanned(connection, 2, b"a.jpg", "gone", stat=STAT._replace(ino=12))  # that was another file
    assert told(connection) == [(1, "filed"), (2, "gone")]


def test_what_we_left_can_go(connection: apsw.Connection) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg", source=STAT)
    assert unplanned(connection, 2, b"a.jpg", "gone")


def test_touched_is_the_same_content_that_stayed(connection: apsw.Connection) -> None:
    later = STAT._replace(mtime_ns=9, ctime_ns=10, ino=12)
    begin(connection, 1, b"a.jpg", row=library(connection))
    assert not catalogue.touched(connection, content(b"a.jpg", stat=later))  # it is still under way
    finish(connection, 1, b"a.jpg", source=STAT)
    assert not catalogue.touched(connection, content(b"a.jpg", b"e" * 32, later))
    assert not catalogue.touched(connection, content(b"b.jpg", stat=later))
    row = catalogue.newest_arrival(connection, "inbox", b"a.jpg")
    assert row is not None
    assert row.is_same(STAT)
    assert catalogue.touched(connection, content(b"a.jpg", stat=later))
    row = catalogue.newest_arrival(connection, "inbox", b"a.jpg")
    assert row is not None
    assert row.is_same(later)


@pytest.mark.parametrize(("outcome", "source"), [("filed", None), ("failed", STAT)])
def test_touched_needs_an_end_and_a_file(
    connection: apsw.Connection, outcome: str, source: Stat | None
) -> None:
    begin(connection, 1, b"a.jpg", row=library(connection))
    finish(connection, 1, b"a.jpg", outcome=outcome, source=source)
    assert not catalogue.touched(connection, content(b"a.jpg"))


def test_orphans_beside_share_folder_and_stem(connection: apsw.Connection) -> None:
    names = (
        *(b"x/a.xmp", b"x/a.jpg.xmp", b"x/ab.xmp", b"x/a.b/c.xmp", b"y/a.xmp", b"a.xmp", b"x/.a.xmp"),
        *(b"x/A.JPG.supplemental-me.json", b"x/a.txt", b"x/a.jpg(1).json"),
    )
    row = library(connection)
    for id_, name in enumerate(names, 1):
        begin(connection, id_, name, row=row)
        code = "not-media" if name.endswith((b".json", b".txt")) else "orphan"
        finish(connection, id_, name, outcome="ignored")
        connection.execute("UPDATE arrival SET code = ? WHERE id = ?", (code, id_))
    found = catalogue.orphans_beside(connection, "inbox", b"x/a.jpg")
    assert set(found) == {b"x/a.xmp", b"x/a.jpg.xmp", b"x/A.JPG.supplemental-me.json", b"x/a.txt"}
    assert catalogue.orphans_beside(connection, "inbox", b"a.jpg") == [b"a.xmp"]
    assert catalogue.orphans_beside(connection, "other", b"x/a.jpg") == []


def test_a_library_is_known_by_its_marker(connection: apsw.Connection) -> None:
    assert catalogue.known_library(connection, "photos") is None
    first = catalogue.remember_library(connection, "photos", "m1", b"/a")
    assert not first.indexed
    catalogue.library_indexed(connection, first.id, 5)
    moved = catalogue.remember_library(connection, "renamed", "m1", b"/b")
    assert (moved.id, moved.indexed) == (first.id, True)
    assert catalogue.known_library(connection, "photos") is None
    other = catalogue.remember_library(connection, "renamed", "m2", b"/b")
    assert other.id != first.id
    assert catalogue.known_library(connection, "renamed") == other


def test_what_a_look_at_a_library_shows(connection: apsw.Connection) -> None:
    row = library(connection)
    found = [(path, key_of(path), STAT) for path in (b"a.jpg", b"b.jpg")]
    catalogue.remember_found(connection, row, found)
    unread = catalogue.unread_of_sizes(connection, [row], [STAT.size, 5])
    assert sorted(unread) == [(1, row, b"a.jpg"), (2, row, b"b.jpg")]
    assert catalogue.unread_of_sizes(connection, [row + 1], [STAT.size]) == []
    assert catalogue.unread_of_sizes(connection, [row], [STAT.size + 1]) == []
    for file in (1, 2):
        catalogue.set_digest(connection, file, b"d" * 32, STAT)
    catalogue.remember_found(connection, row, [(b"a.jpg", key_of(b"a.jpg"), STAT)])
    changed = STAT._replace(mtime_ns=1)
    catalogue.remember_found(connection, row, [(b"b.jpg", key_of(b"b.jpg"), changed)])
    assert catalogue.unread_of_sizes(connection, [row], [STAT.size]) == [(2, row, b"b.jpg")]
    world = CatalogueWorld(connection, {"photos": row}, 0)
    assert [holder.path for holder in world.holders(b"d" * 32, None)] == [b"a.jpg"]


def test_holders_are_no_companions_and_online(connection: apsw.Connection) -> None:
    row, other = library(connection), library(connection, "other", "m2")
    begin(connection, 1, b"a.jpg", row=row)
    finish(connection, 1, b"a.jpg")
    begin(connection, 2, b"a.xmp", item=1)
    finish(connection, 2, b"a.xmp", item=1, role="companion")
    connection.execute("UPDATE arrival SET kind = 'sidecar' WHERE id = 2")
    begin(connection, 3, b"c.jpg", row=other)
    finish(connection, 3, b"c.jpg", row=other)
    mine, theirs = Holder(1, "photos", b"to/a.jpg", 1), Holder(3, "other", b"to/c.jpg", 3)
    both = CatalogueWorld(connection, {"photos": row, "other": other}, 0)
    assert both.holders(b"d" * 32, None) == [mine, theirs]
    assert both.holders(b"d" * 32, "other") == [theirs]
    assert both.holders(b"e" * 32, None) == []
    assert CatalogueWorld(connection, {"photos": row}, 0).holders(b"d" * 32, None) == [mine]
    catalogue.set_missing(connection, 1)
    catalogue.set_unread(connection, 3)
    assert both.holders(b"d" * 32, None) == []
    assert not both.taken("photos", key_of(b"to/a.jpg"))  # its file is gone
    assert both.taken("other", key_of(b"TO/C.JPG"))  # that one has only other content
    assert not both.taken("photos", key_of(b"to/c.jpg"))
    assert not both.taken("nowhere", key_of(b"to/c.jpg"))


def test_members_of_a_set_and_its_neighbours(connection: apsw.Connection) -> None:
    row = library(connection)
    for id_, path, digest in ((1, b"a.jpg", b"1"), (2, b"a.mov", b"2"), (3, b"ab.jpg", b"3")):
        item = 1 if id_ == 2 else id_
        begin(connection, id_, path, item=item, digest=digest, row=row)
        finish(connection, id_, path, item=item, digest=digest, role="companion" if id_ == 2 else "principal")
    catalogue.remember_found(connection, row, [(b"to/a.xmp", key_of(b"to/a.xmp"), STAT)])
    world = CatalogueWorld(connection, {"photos": row}, 0)
    principal = Holder(file_id(connection, b"to/a.jpg"), "photos", b"to/a.jpg", 1)
    assert {digest: one.path for digest, one in world.set_members(principal).items()} == {b"2": b"to/a.mov"}
    catalogue.set_digest(connection, file_id(connection, b"to/a.xmp"), b"4", STAT)
    assert {digest: one.path for digest, one in world.set_members(principal).items()} == {
        b"2": b"to/a.mov",
        b"4": b"to/a.xmp",
    }


def earlier(world: CatalogueWorld, path: bytes, watch: str = "inbox", content_id: str = "") -> list[Earlier]:
    facts = Facts("xmp", "sidecar", content_id=content_id)
    return list(world.earlier(MediaSet(Identity(seen(path, watch=watch), b"n" * 32, facts))))


def test_what_came_before(connection: apsw.Connection) -> None:
    row = library(connection)
    begin(connection, 10, b"x/a.jpg", row=row)
    world = CatalogueWorld(connection, {"photos": row}, 10)
    assert earlier(world, b"x/a.xmp") == []  # it is not filed yet
    finish(connection, 10, b"x/a.jpg")
    principal = Holder(1, "photos", b"to/x/a.jpg", 10)
    for name in (b"x/a.xmp", b"x/A.JPG.xmp"):
        (one,) = earlier(world, name)
        assert (one.holder, one.role, one.near) == (principal, "principal", True)
        assert one.identity.facts == Facts("", "photo")
        assert (one.identity.sighting.path, one.identity.digest) == (b"x/a.jpg", b"d" * 32)
    for watch, path in (("other", b"x/a.xmp"), ("inbox", b"y/a.xmp"), ("inbox", b"x/ab.xmp")):
        assert earlier(world, path, watch) == []
    assert earlier(CatalogueWorld(connection, {}, 10), b"x/a.xmp") == []
    old = CatalogueWorld(connection, {"photos": row}, 11)
    assert [one.near for one in earlier(old, b"x/a.xmp")] == [False]
    connection.execute("UPDATE arrival SET stays = 1")
    assert [one.near for one in earlier(old, b"x/a.xmp")] == [True]  # it lies there still
    catalogue.set_missing(connection, 1)
    assert earlier(world, b"x/a.xmp") == []


def test_halves_of_a_live_photo_find_each_other_by_its_identifier(connection: apsw.Connection) -> None:
    row = library(connection)
    begin(connection, 10, b"x/a.heic", row=row)
    finish(connection, 10, b"x/a.heic")
    connection.execute("UPDATE arrival SET content_id = 'ID', taken = '2021-07-10T20:39:25', offset_min = 60")
    world = CatalogueWorld(connection, {"photos": row}, 11)
    (one,) = earlier(world, b"y/b.mov", content_id="ID")
    assert one.holder.path == b"to/x/a.heic"
    assert one.identity.facts.content_id == "ID"
    assert one.identity.taken is not None
    assert (one.identity.taken.local.hour, one.identity.taken.offset_minutes) == (20, 60)
    assert earlier(world, b"y/b.mov", content_id="OTHER") == []
    assert earlier(world, b"y/b.mov", "other", content_id="ID") == []


def test_what_came_before_as_a_duplicate_is_its_witness(connection: apsw.Connection) -> None:
    row = library(connection)
    catalogue.remember_found(connection, row, [(b"old.jpg", key_of(b"old.jpg"), STAT)])
    catalogue.set_digest(connection, 1, b"d" * 32, STAT)
    begin(connection, 10, b"a.jpg", action="trash", witness=1, row=row)
    finish(connection, 10, b"a.jpg", outcome="duplicate")
    world = CatalogueWorld(connection, {"photos": row}, 0)
    assert [one.holder for one in earlier(world, b"a.xmp")] == [Holder(1, "photos", b"old.jpg", None)]
    begin(connection, 20, b"b.mov", digest=b"m" * 32, action="trash", witness=1, row=row)  # a late companion
    finish(connection, 20, b"b.mov", outcome="duplicate")
    assert earlier(world, b"b.xmp") == []  # what it is a copy of is not what it belongs to


def test_companions_that_are_media_are_found_where_no_principal_is(connection: apsw.Connection) -> None:
    row = library(connection)
    for id_, name in ((1, b"a.nef"), (2, b"a.jpg"), (3, b"a.xmp")):
        begin(connection, id_, name, item=1, digest=name[-3:] * 10 + b"..", row=row)
        finish(connection, id_, name, item=1, role="principal" if id_ == 1 else "companion")
    connection.execute("UPDATE file SET digest = CAST(substr(path, -3) AS BLOB)")
    connection.execute("UPDATE arrival SET kind = 'sidecar' WHERE id = 3")
    world = CatalogueWorld(connection, {"photos": row}, 0)
    assert [one.path for one in world.holders(b"jpg", None)] == [b"to/a.jpg"]
    assert world.holders(b"xmp", None) == []
    begin(connection, 4, b"other.jpg", row=row)
    finish(connection, 4, b"other.jpg")
    connection.execute("UPDATE file SET digest = X'6A7067' WHERE path = ?", (b"to/other.jpg",))
    assert [one.path for one in world.holders(b"jpg", None)] == [b"to/other.jpg"]


def test_a_found_file_that_is_ours_is_forgotten(connection: apsw.Connection) -> None:
    row = library(connection)
    catalogue.remember_found(connection, row, [(b"to/a.jpg", key_of(b"to/a.jpg"), STAT)])
    catalogue.forget_found(connection, row, b"to/a.jpg")
    begin(connection, 1, b"a.jpg", row=row)
    finish(connection, 1, b"a.jpg")
    catalogue.forget_found(connection, row, b"to/a.jpg")  # what we filed stays
    assert connection.execute("SELECT role FROM file").fetchall() == [("principal",)]


def test_what_an_older_version_took_for_no_media_is_asked_about_again(connection: apsw.Connection) -> None:
    """Once: what this version says of it is a row of its own."""
    unplanned(connection, 1, b"a.jxl", "ignored", "not-media")
    unplanned(connection, 2, b"b.jpg", "ignored", "empty")
    versions.taken_up(connection)  # this version did already
    before = catalogue.newest_arrival(connection, "inbox", b"a.jxl")
    assert before is not None
    assert not before.outdated(seen(b"a.jxl"), 0)

    versions.taken_up(connection, "99.0")
    after = catalogue.newest_arrival(connection, "inbox", b"a.jxl")
    empty = catalogue.newest_arrival(connection, "inbox", b"b.jpg")
    assert after is not None
    assert empty is not None
    assert after.outdated(seen(b"a.jxl"), 0)
    assert not empty.outdated(seen(b"b.jpg"), 0)

    unplanned(connection, 3, b"a.jxl", "ignored", "not-media")
    again = catalogue.newest_arrival(connection, "inbox", b"a.jxl")
    assert again is not None
    assert not again.outdated(seen(b"a.jxl"), 0)
