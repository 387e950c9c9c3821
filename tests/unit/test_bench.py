"""The measurements measure what they say: equal files for all, and nothing counted that did not arrive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.corpus import Corpus, arrived
from tests.bench.programs import Mediad, Organize, Program, QuietOrganize
from tests.trees import files

CORPUS = Corpus(80, 20_000)

# Does the work by the shell, for files whose place is known.
MOVER = """#!/bin/sh
cd "$(dirname "$1")"
{moves}
"""


class Mover(Program):
    """A stand-in that moves files where the manifest has them."""

    name = "mover"

    def __init__(self, program: Path, moves: str) -> None:
        super().__init__(program)
        program.write_text(MOVER.format(moves=moves), encoding="utf-8")
        program.chmod(0o755)

    def command(self, folder: Path) -> list[str]:
        return [str(self.program), str(folder / "config")]


@pytest.fixture
def moves(tmp_path: Path) -> list[str]:
    """The lines of a script that moves every file to its place."""
    lines = []
    for name in CORPUS.write(tmp_path / "model"):
        folder, _, base = name.decode().rpartition("/")
        lines.append(f"mkdir -p library/{folder} && mv inbox/*/{base} library/{folder}/")
    return lines


def test_the_corpus_is_equal_each_time_and_spread_over_days(tmp_path: Path) -> None:
    first = CORPUS.write(tmp_path / "one")
    assert first == CORPUS.write(tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(set(first.values())) == CORPUS.count
    assert len({name.rpartition(b"/")[0] for name in first}) == 40


def test_a_round_yields_a_rate(moves: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REST", 0.0)
    mover = Mover(tmp_path / "mover.sh", "\n".join(moves))
    [(name, rate)] = bench.one_round(CORPUS, [mover], tmp_path / "round")
    assert name == "mover"
    assert rate > 0


def test_a_file_that_does_not_arrive_ends_the_measurement(
    moves: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "REST", 0.0)
    mover = Mover(tmp_path / "mover.sh", "\n".join(moves[1:]))
    with pytest.raises(SystemExit, match=r"2 problems(.|\n)*missing: (.|\n)*still in the inbox"):
        list(bench.one_round(CORPUS, [mover], tmp_path / "round"))


def test_a_program_that_fails_ends_the_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "REST", 0.0)
    with pytest.raises(SystemExit, match="mover exited 3:\nbecause"):
        list(bench.one_round(CORPUS, [Mover(tmp_path / "m.sh", "echo because; exit 3")], tmp_path / "round"))


def test_every_kind_of_loss_is_seen(tmp_path: Path) -> None:
    manifest = CORPUS.write(tmp_path / "inbox")
    library = tmp_path / "library"
    for name in manifest:
        target = library / name.decode()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(next((tmp_path / "inbox").rglob(target.name)), target)
    assert arrived(library, tmp_path / "inbox", manifest) == []
    first, second, *_ = sorted(library.rglob("*.JPG"))
    first.write_bytes(first.read_bytes()[:-1])
    second.rename(second.with_name("other.JPG"))
    problems = arrived(library, tmp_path / "inbox", manifest)
    assert [problem.partition(":")[0] for problem in problems] == ["missing", "not expected", "changed"]


def test_the_table_gives_medians_and_their_ratio() -> None:
    shown = bench.table(CORPUS, ["mediad 1", "organize 2"], [[300.0, 100.0, 200.0], [100.0, 100.0, 400.0]])
    lines = [line.split() for line in shown.splitlines()]
    assert ["mediad", "1", "200", "1.00x", "300", "100", "200"] in lines
    assert ["organize", "2", "100", "2.00x", "100", "100", "400"] in lines


def test_all_programs_are_given_the_same_folders(tmp_path: Path) -> None:
    for kind in (Mediad, Organize, QuietOrganize):
        command = kind(Path("/bin/true")).command(tmp_path)
        config = Path(command[-1]).read_text(encoding="utf-8")
        assert f'"{tmp_path}/inbox"' in config
        assert f'"{tmp_path}/library' in config
