"""A folder without a marker is the library that has lost it, if its files say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from mediad.errors import LibraryOffline
from mediad.files import Files, Tree, stat_of
from mediad.keeping.adopting_proof import Proof, prove
from mediad.layout import key_of
from mediad.library import bless, bless_again, marker_of, root_id
from mediad.store import adopted, catalogue
from mediad.store.reading import Reader, open_reader
from tests.cataloguing import Past

FILES = 2500


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    (tmp_path / "l").mkdir()
    past = Past(tmp_path, library=os.fsencode(tmp_path / "l"))
    yield past
    past.close()


def fill(past: Past, root: Path, count: int = FILES) -> None:
    """So many files, half of them in folders, that the catalogue knows."""
    found = []
    for number in range(count):
        path = root / (f"d{number % 7}/{number}" if number % 2 else f"{number}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * (number % 5))
        name = os.fsencode(path.relative_to(root))
        found.append((name, key_of(name), stat_of(path.stat())))
    catalogue.remember_found(past.connection, 1, found)


def proof(past: Past, root: Path) -> Proof:
    connection = open_reader(past.path)
    lost = adopted.last_known(past.connection, "photos")
    assert lost is not None
    try:
        return anyio.run(lambda: prove(Reader(connection), Tree(Files(), os.fsencode(root)), lost))
    finally:
        connection.close()


def test_a_sample_stands_for_all(past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopted, "WINDOW", 100)
    root = tmp_path / "l"
    fill(past, root)
    whole = proof(past, root)
    assert whole.holds
    assert 500 <= whole.looked == whole.there <= 1000
    for number in range(0, FILES, 4):
        (root / str(number)).unlink()
    part = proof(past, root)
    assert not part.holds
    assert part.looked == whole.looked
    assert 0.65 < part.there / part.looked < 0.85


@pytest.mark.parametrize(
    ("looked", "there", "holds"),
    [(0, 0, False), (1, 0, False), (1, 1, True), (10, 9, True), (10, 8, False), (1000, 900, True)],
)
def test_nine_tenths_are_enough(looked: int, there: int, holds: bool) -> None:
    assert Proof(looked, there).holds is holds


def test_what_only_looks_like_them_proves_nothing(past: Past, tmp_path: Path) -> None:
    root = tmp_path / "l"
    fill(past, root, 4)
    (root / "0").unlink()
    (root / "0").symlink_to(root / "2")
    os.utime(root / "2", ns=(0, 0))
    (root / "d1" / "1").rename(root / "other")
    (root / "d1" / "1").symlink_to(root / "other")
    (root / "d3" / "3").write_bytes(b"another size")
    assert proof(past, root) == Proof(4, 0)
    assert proof(past, tmp_path / "l" / "d3") == Proof(4, 0)


def test_the_folder_that_was_looked_at_gets_the_marker_and_no_other(tmp_path: Path) -> None:
    proven, other = tmp_path / "proven", tmp_path / "other"
    proven.mkdir()
    other.mkdir()
    identity = root_id(os.fsencode(proven))
    with pytest.raises(LibraryOffline, match="no longer the same folder"):
        bless_again(os.fsencode(other), "id", identity)
    assert list(other.iterdir()) == []
    bless_again(os.fsencode(proven), "id", identity)
    assert marker_of(os.fsencode(proven)) == bless(str(proven)) == "id"
    with pytest.raises(LibraryOffline, match="another library"):
        bless_again(os.fsencode(proven), "another", identity)
