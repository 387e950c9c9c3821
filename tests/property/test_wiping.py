"""What may be wiped, against a model: a yes is true, and what is plainly kept is told so."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
from hypothesis import given, settings
from hypothesis import strategies as st

from mediad import config
from mediad.files import Files, stat_of
from mediad.keeping.wiping import Verdict, Wipe
from mediad.keeping.wiping_tree import Wiped
from mediad.layout import key_of
from mediad.library import OpenLibrary, open_library
from mediad.store import catalogue
from mediad.store.database import Database, open_copy

CONTENTS = (b"one", b"two", b"three", b"")


@dataclass(frozen=True)
class Kept:
    """A library file: what is on disk, and what the catalogue says.

    Attributes:
        content: None: nothing is there. known: None: never read.
    """

    content: bytes | None
    known: bytes | None
    missing: bool
    stale: bool


@dataclass(frozen=True)
class Entry:
    """Something on the card; `of` is the number of the library file that it is a hard link of."""

    kind: Literal["file", "symlink", "fifo", "hardlink"]
    content: bytes
    of: int
    folder: bool


contents = st.sampled_from(CONTENTS)
libraries = st.lists(
    st.builds(
        lambda content, known, there, missing, stale: Kept(content if there else None, known, missing, stale),
        contents,
        st.one_of(st.none(), contents),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([False, False, False, True]),
        st.booleans(),
    ),
    max_size=6,
)
# mostly truthful ones, or hardly anything is ever safe
truthful = st.lists(st.builds(lambda one: Kept(one, one, False, False), contents), max_size=6)
cards = st.lists(
    st.builds(
        Entry,
        st.sampled_from(["file"] * 9 + ["symlink", "fifo", "hardlink"]),
        st.sampled_from(CONTENTS[:3] * 5 + CONTENTS[3:]),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=5,
)


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def make_card(root: Path, card: list[Entry], library: list[Kept]) -> dict[str, bytes | None]:
    """Make it; returns what may be kept of it, by name: the content, None for what never is."""
    made: dict[str, bytes | None] = {}
    for number, entry in enumerate(card):
        name = f"{'sub/' if entry.folder else ''}{number}"
        path = root / "card" / name
        path.parent.mkdir(exist_ok=True)
        other = root / "library" / str(entry.of)
        made[name] = None
        if entry.kind == "symlink":
            path.symlink_to(other)
        elif entry.kind == "fifo":
            os.mkfifo(path)
        elif entry.kind == "hardlink" and other.exists():
            os.link(other, path)
            made[name] = other.read_bytes() or None
        else:
            path.write_bytes(entry.content)
            made[name] = entry.content or None
    return made


def witnesses(root: Path, library: list[Kept], content: bytes, *, plain: bool) -> bool:
    """Has the library a file of this content that is none of the card's?

    Args:
        plain: and does the catalogue say so.
    """
    on_card = {path.lstat().st_ino for path in (root / "card").rglob("*")}
    for number, one in enumerate(library):
        path = root / "library" / str(number)
        there = one.content == content and path.lstat().st_ino not in on_card
        if there and not one.missing and (not plain or one.known == content):
            return True
    return False


def ask(root: Path, library: OpenLibrary, rows: list[Kept]) -> Verdict:
    connection = open_copy(root / "none")
    row = catalogue.remember_library(connection, "l", library.uuid, library.tree.root).id
    for number, one in enumerate(rows):
        path = str(number).encode()
        real = root / "library" / str(number)
        stat = stat_of((real if real.exists() else root).stat())
        catalogue.remember_found(connection, row, [(path, key_of(path), stat)])
        file = connection.last_insert_rowid()
        if one.known is not None:
            catalogue.set_digest(connection, file, digest(one.known), stat._replace(mtime_ns=one.stale))
        if one.missing:
            connection.execute("UPDATE file SET missing = 1 WHERE id = ?", (file,))
    inode = (root / "card").stat()

    async def run() -> Verdict:
        wiped = Wiped(
            Files(), os.fsencode(root / "card"), (inode.st_dev, inode.st_ino), [b"", b"sub"], frozenset()
        )
        return await Wipe(
            wiped,
            Database(connection),
            lambda: {row: library},
            str,
            lambda _: "",
            frozenset(),
            lambda: False,
        ).run()

    try:
        return anyio.run(run)
    finally:
        connection.close()


@settings(max_examples=80, deadline=None)
@given(cards, st.one_of(truthful, libraries))
def test_a_yes_is_true(card: list[Entry], rows: list[Kept]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "card").mkdir()
        (root / "library").mkdir()
        for number, one in enumerate(rows):
            if one.content is not None:
                (root / "library" / str(number)).write_bytes(one.content)
        made = make_card(root, card, rows)
        parsed = config.parse(
            f'[library.l]\npath = "{root}/library"\n[daemon]\nstate_dir = "{root}/state"\n',
            file="c",
            env={},
            home="",
        )
        library = open_library(parsed.libraries["l"], Files(), None)
        try:
            verdict = ask(root, library, rows)
        finally:
            library.close()
        kept = {
            name: content is not None and witnesses(root, rows, content, plain=False)
            for name, content in made.items()
        }
        plain = {
            name: content is not None and witnesses(root, rows, content, plain=True)
            for name, content in made.items()
        }
        told = {os.fsdecode(path) for path, _ in verdict.not_kept}
        assert verdict.files == len(made)
        assert verdict.safe == (bool(made) and not told)
        assert {name for name, is_kept in kept.items() if not is_kept} <= told
        assert {name for name, is_kept in plain.items() if is_kept}.isdisjoint(told)
