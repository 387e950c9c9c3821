"""Which prints may look alike, found by their hashes; and groups of those that do.

Multi-index hashing (Norouzi, Punjani, Fleet: Fast Search in Hamming Space with Multi-Index Hashing, 2012):
two hashes that differ in at most `REACH` bits differ in at most one bit in one of their four bands. So 68
short looks at an index find all of them. Each function is part of a unit of work, of a reader where it only
asks.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import apsw

from mediad.store.copies import Copy, copies_of
from mediad.store.reading import WINDOW

REACH = 7
"""Bits; four bands with one-bit looks around them find no more for sure."""

MOST_JUDGED = 2000
"""Prints that are compared with a new one, the nearest; thin air."""

MOST_PAIRS = 64
"""Pairs that are kept of a new print, the nearest: a thousand copies of one picture need no million pairs to
make one group; thin air.
"""

_MOST_ROWS = 50_000  # looked at for one hash; where more have a band in common, that tells next to nothing
_BANDS = 4
_WIDTH = 16
_SIGN = 1 << 63
_ALL = (1 << 64) - 1


class Pair(NamedTuple):
    """Another print, and how far it is: 0 to 7."""

    print: int
    distance: int


def signed(hash_: int) -> int:
    """A hash as SQLite keeps it."""
    return hash_ - 2 * _SIGN if hash_ >= _SIGN else hash_


def bands(hash_: int) -> list[int]:
    """The four bands of a hash, each with its number."""
    return [band << _WIDTH | (hash_ >> (_WIDTH * band)) & 0xFFFF for band in range(_BANDS)]


def probes(hash_: int) -> Iterator[int]:
    """Where to look for what is near a hash, the most telling first."""
    own = bands(hash_)
    yield from own
    for band in own:
        for bit in range(_WIDTH):
            yield band ^ (1 << bit)


def index(connection: apsw.Connection, number: int, hashes: Sequence[int]) -> None:
    """Have a print found by these hashes."""
    connection.executemany(
        "INSERT OR IGNORE INTO look (band, hash, print) VALUES (?, ?, ?)",
        [(band, signed(one), number) for one in hashes for band in bands(one)],
    )


def join(connection: apsw.Connection, number: int, pairs: Sequence[Pair]) -> None:
    """Record what a print looks like; what is no longer there is left out."""
    for pair in pairs:
        if connection.execute("SELECT 1 FROM print WHERE id = ?", (pair.print,)).fetchone():
            connection.executemany(
                "INSERT OR REPLACE INTO alike (a, b, distance) VALUES (?, ?, ?)",
                [(number, pair.print, pair.distance), (pair.print, number, pair.distance)],
            )


def forget(connection: apsw.Connection, number: int, hashes: Sequence[int]) -> None:
    """Undo `index` and `join`."""
    connection.executemany(
        "DELETE FROM look WHERE band = ? AND hash = ? AND print = ?",
        [(band, signed(one), number) for one in hashes for band in bands(one)],
    )
    others = connection.execute("SELECT b FROM alike WHERE a = ?", (number,)).fetchall()
    connection.executemany("DELETE FROM alike WHERE a = ? AND b = ?", [(row[0], number) for row in others])
    connection.execute("DELETE FROM alike WHERE a = ?", (number,))


_NEAR = f"SELECT hash, print FROM look WHERE band IN ({', '.join('?' * _BANDS * (_WIDTH + 1))}) LIMIT ?"  # noqa: S608


def near(connection: apsw.Connection, hashes: Sequence[int]) -> dict[int, int]:
    """The prints that have a hash within `REACH` bits of one of these, and by how many bits.

    The search gives up where hashes have a band in common with too many others.
    """
    found: dict[int, int] = {}
    for one in hashes:
        mine = signed(one)
        for hash_, number in connection.execute(_NEAR, (*probes(one), _MOST_ROWS)):
            bits = ((hash_ ^ mine) & _ALL).bit_count()
            if bits <= REACH and bits < found.get(number, REACH + 1):
                found[number] = bits
    return found


def nearest(found: Mapping[int, int]) -> list[int]:
    """Of what `near` found, those that are to be judged: `MOST_JUDGED` at most.

    Of equals the newest, so that no print is paired with all copies that ever come.
    """
    best = heapq.nsmallest(MOST_JUDGED, found.items(), key=lambda item: (item[1], -item[0]))
    return [number for number, _ in best]


def data(connection: apsw.Connection, kind: str, prints: Sequence[int]) -> list[tuple[int, bytes]]:
    """Those of these prints that are of a kind, as `likeness.encode` wrote them."""
    found: list[tuple[int, bytes]] = []
    for number in prints:
        row = connection.execute(
            "SELECT data FROM print WHERE id = ? AND kind = ?", (number, kind)
        ).fetchone()
        if row is not None:
            found.append((number, row[0]))
    return found


# --- Groups ------------------------------------------------------------------------------------------


class Member(NamedTuple):
    """A print, and the library files that have its content."""

    print: int
    digest: bytes
    payload: bytes
    width: int
    height: int
    files: Sequence[Copy]


_THERE = """EXISTS (SELECT 1 FROM file JOIN library ON library.id = file.library AND library.name <> ''
WHERE file.digest = print.digest AND file.role <> 'companion' AND NOT file.missing)"""


def members(connection: apsw.Connection, prints: Collection[int]) -> list[Member]:
    """Prints with their files; those that no library has are left out."""
    found: list[Member] = []
    for number in prints:
        row = connection.execute(
            "SELECT digest, payload, width, height FROM print WHERE id = ?", (number,)
        ).fetchone()
        if row is not None and (files := copies_of(connection, row[0])):
            digest, payload, width, height = row
            found.append(Member(number, digest, payload, width, height, files))
    return found


def leaders(connection: apsw.Connection, after: int, farthest: int) -> tuple[list[int], int | None]:
    """Prints that look like others, but like none with a lower number, as far as one window shows them.

    Each group has one at least: its lowest.

    Args:
        farthest: pairs that are farther apart do not count.

    Returns:
        Them, in the order of their numbers, and the number after which to go on; None at the end.
    """
    end = connection.execute("SELECT a FROM alike WHERE a > ? ORDER BY a LIMIT 1 OFFSET ?", (after, WINDOW))
    last = end.fetchone()
    rows = connection.execute(
        "SELECT DISTINCT a FROM alike AS pair WHERE a > ? AND a <= ? AND distance <= ? AND NOT EXISTS ("  # noqa: S608
        " SELECT 1 FROM alike JOIN print ON print.id = alike.b WHERE alike.a = pair.a AND alike.b < pair.a"
        f" AND alike.distance <= ? AND {_THERE}) ORDER BY a",
        (after, last[0] if last else 1 << 62, farthest, farthest),
    )
    return [row[0] for row in rows], last[0] if last else None


def neighbours(
    connection: apsw.Connection, prints: Sequence[int], farthest: int
) -> tuple[list[tuple[int, int]], Sequence[int]]:
    """What these prints look like, as far as one window shows it: numbers and distances.

    Returns:
        Them, and the prints that are still to be asked for.
    """
    found: list[tuple[int, int]] = []
    for place, number in enumerate(prints):
        if len(found) >= WINDOW:
            return found, prints[place:]
        rows = connection.execute(
            "SELECT b, distance FROM alike JOIN print ON print.id = b"  # noqa: S608
            f" WHERE a = ? AND distance <= ? AND {_THERE}",
            (number, farthest),
        )
        found += [(row[0], row[1]) for row in rows]
    return found, ()


def same_payloads(
    connection: apsw.Connection, after: bytes, limit: int
) -> tuple[list[list[int]], bytes | None]:
    """Prints of different contents with the same payload, in the order of those, as far as one window shows.

    Returns:
        The groups, and the payload after which to go on; None at the end.
    """
    end = connection.execute(
        "SELECT payload FROM print INDEXED BY print_payload WHERE payload > ? AND payload <> X''"
        " ORDER BY payload LIMIT 1 OFFSET ?",
        (after, WINDOW),
    ).fetchone()
    several = connection.execute(
        "SELECT payload FROM print INDEXED BY print_payload WHERE payload > ? AND payload <= ?"
        " AND payload <> X'' GROUP BY payload HAVING count(*) > 1",
        (after, end[0] if end else b"\xff" * 33),
    )
    found: list[list[int]] = []
    for (payload,) in several:
        rows = connection.execute(
            "SELECT id FROM print WHERE payload = ? AND payload <> X'' ORDER BY id LIMIT ?", (payload, WINDOW)
        )
        found.append([row[0] for row in rows])
        if len(found) == limit:
            return found, payload
    return found, end[0] if end else None


def twins(connection: apsw.Connection, number: int, limit: int) -> list[int]:
    """Other prints with the same payload."""
    rows = connection.execute(
        "SELECT b.id FROM print a JOIN print b ON b.payload = a.payload AND b.payload <> X'' AND b.id <> a.id"
        " WHERE a.id = ? LIMIT ?",
        (number, limit),
    )
    return [row[0] for row in rows]
