"""What holds for every file of the project."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import PROJECT


def test_no_module_is_a_place_for_anything() -> None:
    names = {path.stem for folder in ("mediad", "tests") for path in (PROJECT / folder).rglob("*")}
    assert names & {"utils", "util", "helpers", "helper", "common", "misc"} == set()


@pytest.mark.parametrize("folder", ["mediad", "tests"])
def test_every_module_says_what_it_is(folder: str) -> None:
    paths = [path for path in (PROJECT / folder).rglob("*.py") if path.stat().st_size]
    assert [str(path) for path in paths if not _docstring(path)] == []


def _docstring(path: Path) -> str | None:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
