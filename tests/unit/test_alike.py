"""The index of look-alikes: what is near is found, whatever it is; groups, and the best of them."""

from __future__ import annotations

import functools
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediad.control.protocol import InvalidParameter
from mediad.media.prints.likeness import VERSION, Print
from mediad.steering import lookalikes
from mediad.steering.duplicates import duplicates
from mediad.store import alike, fingerprints
from mediad.store.alike import REACH, Pair, bands, near, nearest, probes
from mediad.store.database import migrate
from tests.cataloguing import Past
from tests.printing import picture

T = TypeVar("T")
HASH = st.integers(0, (1 << 64) - 1)


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


# --- The index ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty() -> Iterator[apsw.Connection]:
    connection = apsw.Connection("")
    migrate(connection, Path("none"))
    yield connection
    connection.close()


@settings(max_examples=25)
@given(HASH, st.lists(st.sets(st.integers(0, 63), max_size=10), max_size=12), st.lists(HASH, max_size=5))
def test_all_that_is_near_is_found_and_nothing_else(
    empty: apsw.Connection, one: int, flips: list[set[int]], others: list[int]
) -> None:
    hashes = [one ^ sum(1 << bit for bit in flip) for flip in flips] + others
    empty.execute("BEGIN")
    try:
        for number, hash_ in enumerate(hashes, 1):
            alike.index(empty, number, [hash_])
        found = near(empty, [one])
    finally:
        empty.execute("ROLLBACK")
    far = {number: (hash_ ^ one).bit_count() for number, hash_ in enumerate(hashes, 1)}
    assert found == {number: bits for number, bits in far.items() if bits <= REACH}


def test_a_hash_is_looked_for_in_68_places() -> None:
    places = list(probes(0xFFFF_0000_1234_8000))
    assert len(set(places)) == len(places) == 4 * 17
    assert places[:4] == bands(0xFFFF_0000_1234_8000) == [0x08000, 0x11234, 0x20000, 0x3FFFF]


def test_of_many_that_are_near_the_nearest_and_newest_are_judged(
    empty: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alike, "MOST_JUDGED", 2)
    with empty:
        for number, hash_ in enumerate((0, 0, 0, 1), 1):
            alike.index(empty, number, [hash_])
    assert nearest(near(empty, [0])) == [3, 2]
    assert nearest(near(empty, [1])) == [4, 3]
    with empty:
        for number, hash_ in enumerate((0, 0, 0, 1), 1):
            alike.forget(empty, number, [hash_])
    assert near(empty, [0]) == {}


# --- The queue and the prints ------------------------------------------------------------------------


def queue(past: Past) -> list[int]:
    return [one.id for one in fingerprints.page(past.connection, [1, 2], 100)]


def due(past: Past) -> int:
    """What triggers counted; it is held against the rows."""
    counted = one_number(past, "SELECT coalesce(sum(files), 0) FROM backlog")
    assert counted == one_number(past, "SELECT count(*) FROM unprinted WHERE due = 0")
    return counted


def one_number(past: Past, question: str, *values: bytes) -> int:
    """The answer to a question that has one."""
    return int(str(past.connection.execute(question, values).fetchall()[0][0]))


def printed(past: Past, file: int, made: Print, pairs: Sequence[Pair] = ()) -> int:
    """Record a print; returns its number."""
    todo = fingerprints.at(past.connection, file)
    assert todo is not None
    number = fingerprints.keep(past.connection, todo, made, VERSION, pairs)
    assert number is not None
    return number


def test_the_queue_is_what_the_libraries_have_the_newest_first(past: Past) -> None:
    one, two = past.found(b"a.jpg"), past.found(b"b.jpg")
    principal = past.filed(b"c.jpg", b"c.jpg")
    past.finish(past.begin(b"c.xmp", b"c.xmp", item=principal), role="companion")
    assert len(queue(past)) == due(past) == 3
    assert queue(past)[1:] == [two, one]
    past.connection.execute("UPDATE file SET missing = 1 WHERE id = ?", (one,))
    past.connection.execute("DELETE FROM file WHERE id = ?", (two,))
    assert len(queue(past)) == due(past) == 1
    past.connection.execute("UPDATE file SET missing = 0 WHERE id = ?", (one,))
    past.connection.execute("UPDATE file SET role = 'companion' WHERE role = 'principal'")
    assert queue(past) == [one]


def test_a_file_is_looked_at_once_and_again_when_it_changes(past: Past) -> None:
    file = past.found(b"a.jpg", digest=b"a" * 32)
    printed(past, file, picture(1))
    assert due(past) == 0
    copy = past.found(b"b.jpg", digest=b"a" * 32)
    (todo,) = fingerprints.page(past.connection, [1], 9)
    assert (todo.id, todo.printed) == (copy, True)
    fingerprints.done_with(past.connection, [copy])
    past.connection.execute("UPDATE file SET path = X'63' WHERE id = ?", (file,))
    assert due(past) == 0, "where it lies is nothing to it"
    past.connection.execute("UPDATE file SET digest = ? WHERE id = ?", (b"b" * 32, file))
    (todo,) = fingerprints.page(past.connection, [1], 9)
    assert (todo.id, todo.printed) == (file, False)


def test_what_cannot_be_read_is_put_off_again_and_again_and_then_given_up(past: Past) -> None:
    file = past.found(b"a.jpg", digest=b"a" * 32)
    todo = fingerprints.at(past.connection, file)
    assert todo is not None
    assert fingerprints.put_off(past.connection, todo, 1000, "ill")
    assert (due(past), fingerprints.tries(past.connection, file)) == (0, 1)
    assert fingerprints.bring_back(past.connection, 999, 500) == 1000
    assert fingerprints.bring_back(past.connection, 1000, 500) is None
    assert due(past) == 1
    assert fingerprints.put_off(past.connection, todo, 9000, "ill")
    assert fingerprints.bring_back(past.connection, 1000, 500) is None, "put off by a clock that was ahead"
    assert fingerprints.put_off(past.connection, todo, fingerprints.NEVER, "ill")
    assert fingerprints.bring_back(past.connection, 1 << 60, 500) is None
    assert due(past) == 0
    assert fingerprints.why_not(past.connection, todo.digest, b"/l/a.jpg") == "ill"
    fingerprints.begin(past.connection)
    assert due(past) == 1
    past.connection.execute("UPDATE file SET size = 5 WHERE id = ?", (file,))
    assert not fingerprints.put_off(past.connection, todo, 1000, "it is another file now")
    assert fingerprints.keep(past.connection, todo, picture(1), VERSION, []) is None


def test_a_print_that_is_forgotten_leaves_nothing(past: Past) -> None:
    one, two = (past.found(name, digest=name[:1] * 32) for name in (b"a.jpg", b"b.jpg"))
    first = printed(past, one, picture(1, failed="it has no payload"))
    second = printed(past, two, picture((1 << 64) - 1), [Pair(first, 3)])
    assert fingerprints.why_not(past.connection, b"a" * 32, None) == "it has no payload"
    past.connection.execute("DELETE FROM file WHERE id = ?", (one,))
    assert fingerprints.unused(past.connection, 0, 1) == ([first], first)
    assert fingerprints.unused(past.connection, first, 9) == ([], None)
    assert fingerprints.forget(past.connection, [first]) == 1
    assert past.connection.execute("SELECT count(*) FROM alike").fetchall() == [(0,)]
    assert due(past) == 0
    assert fingerprints.forget_other_versions(past.connection, VERSION) == 0
    assert fingerprints.forget_other_versions(past.connection, VERSION + 1) == 1
    assert past.connection.execute("SELECT count(*) FROM look").fetchall() == [(0,)]
    assert queue(past) == [two]
    assert second > first


# --- Groups ------------------------------------------------------------------------------------------


def look_alikes(past: Past, count: int, pairs: Sequence[tuple[int, int, int]]) -> None:
    """So many pictures, of which these look alike: two of them, counted from 0, and how far they are."""
    prints: list[int] = []
    for number in range(count):
        name = b"%02d.jpg" % number
        file = past.found(name, digest=bytes([number + 1]) * 32)
        mine = [Pair(prints[other], far) for other, one, far in pairs if one == number]
        prints.append(printed(past, file, picture(0), mine))


def told(past: Past, limit: int | None = None, farthest: int = 6) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = functools.partial(duplicates, after=after, limit=limit, farthest=farthest)
        answer = past.ask("Duplicates", page)
        assert limit is None or len(answer["groups"]) <= limit
        found += answer["groups"]
        after = answer["next"]
        if after is None:
            return found


def names(group: dict[str, Any]) -> list[int]:
    return sorted(int(file["path"].rpartition("/")[2][:2]) for file in group["files"])


@pytest.mark.parametrize("window", [20_000, 1])
def test_a_group_is_the_closure_of_its_pairs(
    past: Past, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alike, "WINDOW", window)
    look_alikes(past, 8, [(0, 2, 1), (1, 2, 5), (3, 4, 2), (4, 5, 7), (6, 7, 0)])
    for limit in (None, 1, 2):
        groups = told(past, limit)
        assert [(names(group), group["distance"]) for group in groups] == [
            ([0, 1, 2], 5),
            ([3, 4], 2),
            ([6, 7], 0),
        ]
    assert [names(group) for group in told(past, farthest=1)] == [[0, 2], [6, 7]]
    assert [names(group) for group in told(past, farthest=7)] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_what_is_not_there_holds_no_group_together(past: Past) -> None:
    look_alikes(past, 5, [(0, 1, 1), (1, 2, 1), (3, 4, 1)])
    past.connection.execute("UPDATE file SET missing = 1 WHERE path IN (X'30312E6A7067', X'30332E6A7067')")
    assert told(past) == []
    past.connection.execute("UPDATE file SET missing = 0 WHERE path = X'30312E6A7067'")
    assert [names(group) for group in told(past)] == [[0, 1, 2]]


@settings(max_examples=40)
@given(
    st.integers(2, 9).flatmap(
        lambda count: st.lists(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1), st.integers(0, 7)), max_size=12
        )
    )
)
def test_closures_are_what_they_are_however_they_are_linked(
    empty: apsw.Connection, pairs: list[tuple[int, int, int]]
) -> None:
    links = [(min(a, b), max(a, b), far) for a, b, far in pairs if a != b]
    groups: list[set[int]] = []
    for a, b, _ in links:
        joined = [group for group in groups if group & {a, b}]
        groups = [group for group in groups if group not in joined] + [{a, b}.union(*joined)]
    empty.execute("BEGIN")
    try:
        empty.execute("INSERT INTO library (id, marker, name, path) VALUES (1, 'm', 'l', X'2F6C')")
        for number in range(10):
            _put(empty, number)
        rows = [row for a, b, far in links for row in ((a + 1, b + 1, far), (b + 1, a + 1, far))]
        empty.executemany("INSERT OR REPLACE INTO alike VALUES (?, ?, ?)", rows)
        found = _straight(_closures(empty))
    finally:
        empty.execute("ROLLBACK")
    assert sorted(map(sorted, found)) == sorted(sorted(one + 1 for one in group) for group in groups)


def _put(connection: apsw.Connection, number: int) -> None:
    digest = bytes([number + 1]) * 32
    connection.execute(
        "INSERT INTO file (library, path, name_key, size, mtime_ns, digest, role)"
        " VALUES (1, ?, X'', 1, 1, ?, 'found')",
        (b"%d" % number, digest),
    )
    connection.execute(
        "INSERT INTO print VALUES (?, ?, 1, 'picture', X'', 0, 0, '', X'', X'')", (number + 1, digest)
    )


async def _closures(connection: apsw.Connection) -> list[list[int]]:
    class Asked:
        async def run(self, work: Any) -> Any:
            return work(connection)

    reader: Any = Asked()
    leaders, _ = alike.leaders(connection, 0, 7)
    found = [await lookalikes._closure(reader, leader, 7) for leader in leaders]
    return [group[1] for group in found if group is not None]


def _straight(running: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    with pytest.raises(StopIteration) as ended:
        running.send(None)
    result: T = ended.value.value
    return result


def test_exact_copies_of_a_look_alike_are_in_its_group(past: Past) -> None:
    look_alikes(past, 2, [(0, 1, 4)])
    past.found(b"02.jpg", digest=b"\x01" * 32)
    exact, similar = told(past)
    assert (exact["kind"], names(exact)) == ("exact", [0, 2])
    assert (similar["kind"], names(similar)) == ("similar", [0, 1, 2])


def test_the_same_payload_is_told_as_that_alone(past: Past) -> None:
    payload = b"p" * 32
    one, two, three = (past.found(b"%02d.jpg" % number, digest=bytes([number]) * 32) for number in (1, 2, 3))
    first = printed(past, one, picture(0, payload))
    second = printed(past, two, picture(0, payload), [Pair(first, 0)])
    (group,) = told(past)
    assert (group["kind"], group["distance"], names(group)) == ("payload", 0, [1, 2])
    printed(past, three, picture(1, b"q" * 32), [Pair(first, 1), Pair(second, 1)])
    assert [(group["kind"], names(group)) for group in told(past, 1)] == [
        ("payload", [1, 2]),
        ("similar", [1, 2, 3]),
    ]
    past.connection.execute("UPDATE file SET missing = 1 WHERE id = ?", (two,))
    assert [(group["kind"], names(group)) for group in told(past)] == [("similar", [1, 3])]


def test_a_large_group_is_told_in_part(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookalikes, "MOST_FILES", 2)
    monkeypatch.setattr(lookalikes, "_CHUNK", 1)
    look_alikes(past, 5, [(number, number + 1, 0) for number in range(4)])
    past.connection.execute("UPDATE file SET size = 5000 WHERE path = X'30332E6A7067'")
    (group,) = told(past)
    assert group["best"] == "/l/03.jpg"
    assert (names(group), group["omitted"]) == ([0, 3], 3)


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"size": (640, 480)}, {"size": (641, 480)}),
        ({"size": (1280, 960), "taken": None, "bytes": 9000}, {"evidence": '{"model": "EOS 7D"}'}),
        ({"size": (1280, 960), "evidence": '{"model": "EOS 7D"}'}, {"name": b"a.nef", "taken": None}),
        ({"name": b"a.webp", "bytes": 1000}, {"bytes": 1001}),
        ({"name": b"a.avif", "bytes": 1000}, {"bytes": 1001}),
        ({"name": b"a.jpg"}, {"name": b"a.png"}),
        ({"name": b"a.heic"}, {"name": b"a.nef"}),
        ({"name": b"a.mp3"}, {"name": b"a.flac"}),
        ({"taken": None, "bytes": 9000}, {"bytes": 10}),
        ({"evidence": "{}"}, {"evidence": '{"model": "EOS 7D"}'}),
        ({"bytes": 1000}, {"bytes": 1001}),
    ],
)
def test_the_best(past: Past, worse: dict[str, Any], better: dict[str, Any]) -> None:
    digests = [b"1" * 32, b"2" * 32]
    for digest, of in zip(digests, (worse, better), strict=True):
        name = digest[:1] + of.get("name", b"a.jpg")
        kept = {key: of[key] for key in ("taken", "evidence") if key in of}
        past.filed(name, name, digest=digest, **kept)
    first, second = (one_number(past, "SELECT id FROM file WHERE digest = ?", digest) for digest in digests)
    for file, of in ((first, worse), (second, better)):
        past.connection.execute("UPDATE file SET size = ? WHERE id = ?", (of.get("bytes", 1000), file))
    number = printed(past, first, picture(0, size=worse.get("size", (640, 480))))
    printed(past, second, picture(0, size=better.get("size", (640, 480))), [Pair(number, 0)])
    (group,) = told(past)
    assert group["best"].startswith("/l/2")


@pytest.mark.parametrize("after", ["similar:", "similar:x", "similar:-1", "payload:x", "other:1"])
def test_pages_begin_where_pages_end(past: Past, after: str) -> None:
    with pytest.raises(InvalidParameter, match="after"):
        past.ask("Duplicates", functools.partial(duplicates, after=after, farthest=6))
