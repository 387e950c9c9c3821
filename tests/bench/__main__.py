"""How fast mediad files pictures, compared with organize: `python -m tests.bench`.

Each round makes the same files anew for each program, lets them come to rest, and then has the programs
move them into day folders, one after the other, each from its start to its exit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.corpus import Corpus, arrived, wait_for_rest
from tests.bench.programs import Mediad, Organize, Program, QuietOrganize
from tests.conftest import PROJECT

# Longer than mediad waits for a file on a local disk to settle, so that it need not wait.
REST = 3.0


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    options = _options(arguments)
    programs: list[Program] = [
        Mediad(options.mediad),
        Organize(options.organize),
        QuietOrganize(options.organize),
    ]
    corpus = Corpus(options.files, options.length)
    options.dir.mkdir(parents=True, exist_ok=True)
    rates: dict[str, list[float]] = {program.name: [] for program in programs}
    for number in range(options.rounds):
        with _folder(options.dir) as folder:
            for name, rate in one_round(corpus, programs, folder):
                rates[name].append(rate)
                print(f"round {number + 1} of {options.rounds}: {name} {rate:,.0f} files/s", file=sys.stderr)
    print(table(corpus, [program.version() for program in programs], list(rates.values())))
    if options.json:
        document = {"files": corpus.count, "length": corpus.length, "files_per_second": rates}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def one_round(corpus: Corpus, programs: Sequence[Program], folder: Path) -> Iterator[tuple[str, float]]:
    """Measure every program once; yields its name and its files a second.

    Raises:
        SystemExit: a program failed, or a file did not arrive where it belongs with its bytes.
    """
    manifests = {program.name: corpus.write(folder / program.name / "inbox") for program in programs}
    wait_for_rest([folder / program.name / "inbox" for program in programs], REST)
    for program in programs:
        place = folder / program.name
        (place / "library").mkdir()
        seconds = program.seconds(place)
        problems = arrived(place / "library", place / "inbox", manifests[program.name])
        if problems:
            raise SystemExit(
                "\n".join([f"{program.name}: {len(problems)} problems, such as", *problems[:10]])
            )
        yield program.name, corpus.count / seconds


def table(corpus: Corpus, names: Sequence[str], rates: Sequence[Sequence[float]]) -> str:
    """The result, for people."""
    medians = [statistics.median(each) for each in rates]
    lines = [
        f"{corpus.count:,} distinct JPEG files of {corpus.length:,} bytes, moved into day folders;",
        f"files a second, median of {len(rates[0])}, start-up included",
        "",
        f"{'program':<24}{'median':>10}{'mediad is':>12}   rounds",
    ]
    for name, median, each in zip(names, medians, rates, strict=True):
        rounds = "  ".join(f"{rate:,.0f}" for rate in each)
        lines.append(f"{name:<24}{median:>10,.0f}{f'{medians[0] / median:.2f}x':>12}   {rounds}")
    lines += ["", f"In every round every file arrived with its bytes: {corpus.count:,} of {corpus.count:,}."]
    return "\n".join(lines)


def _options(arguments: list[str] | None) -> Any:
    beside = Path(sys.executable).parent
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="how many files (default %(default)s)")
    parser.add_argument("--length", type=int, default=80_000, help="bytes of each (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default %(default)s)")
    parser.add_argument("--mediad", type=Path, default=beside / "mediad", help="the program")
    parser.add_argument(
        "--organize", type=Path, default=PROJECT / ".venv-bench/bin/organize", help="the other"
    )
    parser.add_argument(
        "--dir", type=Path, default=PROJECT / "build/bench", help="where: a disk, not a tmpfs"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args(arguments)


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="round-", dir=parent)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
