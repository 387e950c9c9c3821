"""Look-alikes and payloads over a collection of real media: a table of precision and recall by distance.

`python -m tests.lookalikes FOLDER` prints it. FOLDER holds NEARDUP_TRUTH.csv and EXACT_DUPLICATES.csv.
"""

from __future__ import annotations

import csv
import itertools
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio

from mediad.media.kind import HEAD_BYTES, sniff
from mediad.media.prints import likeness
from mediad.media.prints.likeness import Print
from mediad.media.reading import File
from mediad.workers import WorkerPool

_LIMIT = 60.0
Pair = frozenset[str]

SEEN: frozenset[Pair] = frozenset(
    {
        frozenset({"gif/hopper.gif", "tiff/hopper.tif"}),
        frozenset({"gif/hopper.gif", "webp/hopper.webp"}),
        frozenset({"tiff/hopper.tif", "webp/hopper.webp"}),
        frozenset({"jpeg/other/no-exif-data.jpg", "png/screenshot.png"}),
    }
)
"""Pictures that are the same by eye, and that the truth does not list."""


async def print_of(pool: WorkerPool, path: Path) -> Print:
    """The print of a file, as a worker makes it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size, name = os.fstat(descriptor).st_size, os.fsencode(path.name)
        form = sniff(os.pread(descriptor, HEAD_BYTES, 0), name)
        file = File(descriptor, name, size, 0, on_card=False)
        return await pool.fingerprint(file, form.name if form is not None else "")
    finally:
        os.close(descriptor)


async def prints_of(folder: Path, paths: Iterable[Path]) -> dict[str, Print]:
    """The prints of files in a folder, by their paths in it."""
    async with WorkerPool(1, time_limit=_LIMIT, nice=19) as pool:
        return {str(path.relative_to(folder)): await print_of(pool, path) for path in paths}


@dataclass(frozen=True, slots=True)
class Table:
    """What was found in a collection.

    Attributes:
        prints: by path within the collection.
        alike: pairs that were judged alike, and their distances.
        same: pairs that are the same by the truth. open: pairs of which the truth says nothing certain.
        exact: pairs of one and the same content.
    """

    prints: dict[str, Print]
    alike: dict[Pair, int]
    same: frozenset[Pair]
    open: frozenset[Pair]
    exact: frozenset[Pair]

    def false(self) -> list[Pair]:
        """Pairs that were found and are not the same."""
        return sorted(self.alike.keys() - self.same - self.open - self.exact, key=sorted)

    def missed(self) -> list[Pair]:
        """Pairs that are the same and were not found."""
        return sorted(self.same - self.alike.keys() - self.exact, key=sorted)

    def lines(self) -> list[str]:
        """For each greatest distance: pairs found, those that are right, precision and recall."""
        lines = ["distance  found  right  precision  recall"]
        for most in range(likeness.FARTHEST + 1):
            found = {pair for pair, bits in self.alike.items() if bits <= most} - self.open - self.exact
            right = len(found & self.same)
            precision = right / len(found) if found else 1.0
            wanted = len(self.same - self.exact)
            recall = right / wanted if wanted else 1.0
            lines.append(f"{most:8}  {len(found):5}  {right:5}  {precision:9.3f}  {recall:6.3f}")
        return lines


def files_of(folder: Path, *parts: str) -> list[Path]:
    """All files of a folder, or of parts of it, that are not empty."""
    found = [path for part in parts or (".",) for path in (folder / part).rglob("*")]
    return sorted(path for path in found if path.is_file() and path.stat().st_size)


def table(folder: Path, prints: dict[str, Print]) -> Table:
    """Judges every pair of files of a collection.

    Args:
        prints: those of its files, by their paths in `folder`.
    """
    told = [made for made in prints.items() if made[1].looks]
    alike = {
        frozenset((a, b)): bits
        for (a, x), (b, y) in itertools.combinations(told, 2)
        if (bits := likeness.distance(x, y)) is not None
    }
    relations = _relations(folder)
    same = frozenset(pair for pair in relations["dup"] | SEEN if pair <= prints.keys())
    return Table(prints, alike, same, relations["see-note"] | _known(prints), _exact(folder))


def _relations(folder: Path) -> defaultdict[str, frozenset[Pair]]:
    found: defaultdict[str, frozenset[Pair]] = defaultdict(frozenset)
    with open(folder / "NEARDUP_TRUTH.csv", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found[row["relation"]] |= {frozenset((row["file_a"], row["file_b"]))}
    return found


def _exact(folder: Path) -> frozenset[Pair]:
    with open(folder / "EXACT_DUPLICATES.csv", encoding="utf-8", newline="") as stream:
        groups = [row["files"].split(" | ") for row in csv.DictReader(stream)]
    return frozenset(frozenset(pair) for group in groups for pair in itertools.combinations(group, 2))


def _known(prints: dict[str, Print]) -> frozenset[Pair]:
    """Pairs with one payload: the truth lists pictures that look alike, not copies with other metadata."""
    groups: defaultdict[bytes, list[str]] = defaultdict(list)
    for name, made in prints.items():
        if made.payload:
            groups[made.payload].append(name)
    return frozenset(
        frozenset(pair) for group in groups.values() for pair in itertools.combinations(group, 2)
    )


def _told(name: str, pairs: Iterable[Pair]) -> list[str]:
    return [name, *(f"  {' = '.join(sorted(pair))}" for pair in pairs)]


def main() -> None:
    """Prints the table, what is wrong in it, what has one payload, and what could not be compared."""
    folder = Path(sys.argv[1])
    found = table(folder, anyio.run(prints_of, folder, files_of(folder)))
    payloads = sorted(_known(found.prints) - found.exact, key=sorted)
    failed = [f"  {name}: {made.failed}" for name, made in found.prints.items() if made.failed]
    report = [*found.lines(), *_told("false", found.false()), *_told("missed", found.missed())]
    print("\n".join([*report, *_told("same payload", payloads), "not compared", *failed]))


if __name__ == "__main__":
    main()
