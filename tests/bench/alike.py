"""How fast look-alikes are found among many: `python -m tests.bench.alike`.

Fills a catalogue with prints of random hashes, and then measures what a new print costs: the search for
what is near it, the same for a film of 24 looks, and its entry. A tenth of the new ones are near one that is
known, and all of those must be found.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from mediad.media.prints.likeness import MOST_LOOKS, Print, encode
from mediad.store import alike
from mediad.store.database import open_database
from mediad.store.reading import open_reader

_CHUNK = 20_000  # prints in one commit while the catalogue is filled
_DATA = encode(Print("picture", b"p" * 32, 4000, 3000))


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    options = _options(arguments)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        path = Path(folder, "catalogue.db")
        connection = open_database(path)
        began = time.perf_counter()
        hashes = fill(connection, options.prints, chance)
        filled = time.perf_counter() - began
        reader = open_reader(path)
        print(f"{options.prints:,} prints, {path.stat().st_size / 1e6:,.0f} MB, filled in {filled:.0f} s\n")
        print(f"{'a new print':<34}{'median':>10}{'95 %':>10}")
        for name, times in measured(connection, reader, hashes, chance, options.rounds).items():
            median, slow = statistics.median(times), statistics.quantiles(times, n=20)[-1]
            print(f"{name:<34}{median * 1e3:>7.2f} ms{slow * 1e3:>7.2f} ms")
        reader.close()
        connection.close()


def fill(connection: apsw.Connection, count: int, chance: random.Random) -> list[int]:
    """So many prints with a hash each; returns the hashes, by number from 1."""
    hashes = [chance.getrandbits(64) for _ in range(count)]
    for start in range(0, count, _CHUNK):
        with connection:
            for number, one in enumerate(hashes[start : start + _CHUNK], start + 1):
                _enter(connection, number, one)
    return hashes


def _enter(connection: apsw.Connection, number: int, hash_: int) -> None:
    connection.execute(
        "INSERT INTO print VALUES (?, ?, 1, 'picture', ?, 4000, 3000, '', ?, ?)",
        (number, number.to_bytes(32, "little"), number.to_bytes(32, "big"), struct.pack(">Q", hash_), _DATA),
    )
    alike.index(connection, number, [hash_])


def measured(
    connection: apsw.Connection,
    reader: apsw.Connection,
    hashes: list[int],
    chance: random.Random,
    rounds: int,
) -> dict[str, list[float]]:
    """Seconds, by what was done.

    Raises:
        SystemExit: one that is near was not found.
    """
    wanted = [
        _near(hashes, chance) if turn % 10 == 0 else (0, chance.getrandbits(64)) for turn in range(rounds)
    ]
    times: dict[str, list[float]] = {
        "search, a picture": [],
        "search, a film": [],
        "entry, with its commit": [],
    }
    for number, hash_ in wanted:
        seconds, found = _timed(lambda hash_=hash_: alike.near(reader, [hash_]))  # type: ignore[misc]
        times["search, a picture"].append(seconds)
        if number and number not in found:
            raise SystemExit(f"print {number} was not found")
    for _ in range(max(20, rounds // 20)):
        film = [chance.getrandbits(64) for _ in range(MOST_LOOKS)]
        times["search, a film"].append(_timed(lambda film=film: alike.near(reader, film))[0])  # type: ignore[misc]
    for number, (_, hash_) in enumerate(wanted, len(hashes) + 1):
        times["entry, with its commit"].append(_timed(lambda: _commit(connection, number, hash_))[0])  # noqa: B023
    return times


def _near(hashes: list[int], chance: random.Random) -> tuple[int, int]:
    """A print's number, and a hash that is seven bits from its own."""
    number = chance.randrange(len(hashes)) + 1
    return number, hashes[number - 1] ^ sum(1 << bit for bit in chance.sample(range(64), alike.REACH))


def _commit(connection: apsw.Connection, number: int, hash_: int) -> dict[int, int]:
    with connection:
        _enter(connection, number, hash_)
    return {}


def _timed(call: Callable[[], dict[int, int]]) -> tuple[float, dict[int, int]]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.alike", description=__doc__)
    parser.add_argument("--prints", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="where the catalogue is made")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
