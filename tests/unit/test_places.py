"""A watch is its folder: it keeps its past under another name, and a name that moves on begins anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from mediad.store.database import open_database
from mediad.store.places import import_place, settle_watches


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    found = open_database(tmp_path / "catalogue.db")
    yield found
    found.close()


def places(connection: apsw.Connection) -> dict[str, tuple[str, bytes]]:
    rows = connection.execute("SELECT key, kind, root FROM place")
    return {key: (kind, root) for key, kind, root in rows}


def arrive(connection: apsw.Connection, watch: str, path: bytes) -> None:
    connection.execute("INSERT INTO batch (watch, root, started) VALUES (?, x'', 0)", (watch,))
    connection.execute(
        "INSERT INTO arrival (watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome)"
        " VALUES (?, ?, 1, 0, 0, 0, 0, 1, 'filed')",
        (watch, path),
    )


def arrivals(connection: apsw.Connection) -> dict[bytes, str]:
    """The watch of each path, which batches and totals have to agree with."""
    rows = dict(connection.execute("SELECT path, watch FROM arrival"))
    for table in ("batch", "tally WHERE files"):
        found = {str(watch) for (watch,) in connection.execute(f"SELECT watch FROM {table}")}
        assert found == set(rows.values())
    return rows


def test_watches_are_remembered_and_stay(connection: apsw.Connection) -> None:
    watches = {"inbox": b"/w", "card": b"/c"}
    for _ in range(2):
        assert settle_watches(connection, watches) == []
        assert places(connection) == {"inbox": ("watch", b"/w"), "card": ("watch", b"/c")}


def test_another_name_keeps_the_past(connection: apsw.Connection) -> None:
    settle_watches(connection, {"inbox": b"/w"})
    arrive(connection, "inbox", b"a")
    assert settle_watches(connection, {"phone": b"/w"}) == [("inbox", "phone")]
    assert places(connection) == {"phone": ("watch", b"/w")}
    assert arrivals(connection) == {b"a": "phone"}


def test_another_folder_begins_anew(connection: apsw.Connection) -> None:
    settle_watches(connection, {"inbox": b"/w"})
    arrive(connection, "inbox", b"a")
    assert settle_watches(connection, {"inbox": b"/other"}) == []
    assert places(connection) == {"inbox": ("watch", b"/other"), "inbox@1": ("former", b"/w")}
    assert arrivals(connection) == {b"a": "inbox@1"}


def test_a_watch_of_another_name_is_counted_with_what_that_had(connection: apsw.Connection) -> None:
    settle_watches(connection, {"inbox": b"/w"})
    for name in (b"a", b"b"):
        arrive(connection, "inbox", name)
    connection.execute("INSERT INTO tally VALUES ('phone', 'filed', 0, 3, 3), ('phone', 'gone', 0, 1, 1)")
    changes = connection.total_changes()
    settle_watches(connection, {"phone": b"/w"})
    assert connection.total_changes() - changes <= 8, "no row of the tally for each arrival"
    rows = connection.execute("SELECT watch, outcome, files, bytes FROM tally ORDER BY outcome").fetchall()
    assert rows == [("phone", "filed", 5, 5), ("phone", "gone", 1, 1)]


def test_a_folder_that_comes_back_has_its_past_again(connection: apsw.Connection) -> None:
    settle_watches(connection, {"inbox": b"/w"})
    arrive(connection, "inbox", b"a")
    settle_watches(connection, {"inbox": b"/other"})
    assert settle_watches(connection, {"inbox": b"/w"}) == [("inbox@1", "inbox")]
    assert places(connection) == {"inbox": ("watch", b"/w"), "inbox@2": ("former", b"/other")}
    assert arrivals(connection) == {b"a": "inbox"}


def test_two_watches_swap_their_names(connection: apsw.Connection) -> None:
    settle_watches(connection, {"a": b"/a", "b": b"/b"})
    arrive(connection, "a", b"in a")
    arrive(connection, "b", b"in b")
    settle_watches(connection, {"a": b"/b", "b": b"/a"})
    assert places(connection) == {"a": ("watch", b"/b"), "b": ("watch", b"/a")}
    assert arrivals(connection) == {b"in a": "b", b"in b": "a"}


def test_three_watches_change_names_in_a_circle(connection: apsw.Connection) -> None:
    names = ["a", "b", "c"]
    settle_watches(connection, {name: b"/" + name.encode() for name in names})
    for name in names:
        arrive(connection, name, name.encode())
    settle_watches(connection, {"a": b"/b", "b": b"/c", "c": b"/a"})
    assert arrivals(connection) == {b"b": "a", b"c": "b", b"a": "c"}
    assert {kind for kind, _ in places(connection).values()} == {"watch"}


def test_a_watch_takes_the_name_of_one_that_leaves(connection: apsw.Connection) -> None:
    settle_watches(connection, {"a": b"/a", "b": b"/b"})
    arrive(connection, "a", b"in a")
    arrive(connection, "b", b"in b")
    settle_watches(connection, {"a": b"/b"})
    assert arrivals(connection) == {b"in a": "a@1", b"in b": "a"}


def test_the_newest_of_several_pasts_is_taken_up(connection: apsw.Connection) -> None:
    settle_watches(connection, {"a": b"/w"})
    arrive(connection, "a", b"old")
    settle_watches(connection, {"a": b"/x"})  # a@1 is /w
    settle_watches(connection, {"b": b"/w", "a": b"/x"})
    assert arrivals(connection) == {b"old": "b"}


def test_a_watch_that_was_removed_is_still_known(connection: apsw.Connection) -> None:
    settle_watches(connection, {"a": b"/a", "b": b"/b"})
    arrive(connection, "b", b"in b")
    settle_watches(connection, {"a": b"/a"})
    assert places(connection)["b"] == ("watch", b"/b")
    assert settle_watches(connection, {"a": b"/a", "b": b"/b"}) == []
    assert arrivals(connection) == {b"in b": "b"}


def test_names_with_an_at_sign_are_not_overwritten(connection: apsw.Connection) -> None:
    settle_watches(connection, {"a": b"/a", "a@1": b"/b"})
    arrive(connection, "a@1", b"in b")
    settle_watches(connection, {"a": b"/c", "a@1": b"/b"})
    assert arrivals(connection) == {b"in b": "a@1"}
    assert places(connection)["a@2"] == ("former", b"/a")


def test_an_import_has_one_key_for_a_folder(connection: apsw.Connection) -> None:
    assert import_place(connection, b"/card") == "import:1"
    assert import_place(connection, b"/other") == "import:2"
    assert import_place(connection, b"/card") == "import:1"


def test_an_import_and_a_watch_of_one_folder_are_two(connection: apsw.Connection) -> None:
    key = import_place(connection, b"/card")
    arrive(connection, key, b"imported")
    assert settle_watches(connection, {"card": b"/card"}) == []
    assert arrivals(connection) == {b"imported": key}
    assert import_place(connection, b"/card") == key
