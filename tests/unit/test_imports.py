"""Who may import whom. The rules are read off the source, so they hold for what is not run, too."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest

from tests.conftest import PROJECT

STAGES = {
    f"mediad.ingest.{name}" for name in ("watch", "scan", "settle", "identify", "plan", "place", "record")
}
# What joins the stages: the pipeline with what serves each watch, its lanes and what these share, its
# preview, the roster that prepares the watches, imports, which bring their own files, and what sees that
# all goes on. What moves library files keeps in step with the lanes and by the planner's rules. Whatever
# steers the daemon reaches the stages through these only.
COMPOSITION = {
    f"mediad.ingest.{name}"
    for name in ("pipeline", "serving", "stages", "lane", "jobs", "preview", "roster", "importing", "health")
} | {"mediad.keeping.relocate", "mediad.keeping.refiling"}

# Further modules become pure by saying so in the first line of their docstring.
PURE = {
    "mediad.model",
    "mediad.errors",
    "mediad.config",
    "mediad.layout",
    "mediad.exclude",
    "mediad.ingest.settle",
    "mediad.ingest.plan",
    "mediad.media.kind",
    "mediad.media.dates",
    "mediad.media.origin",
    "mediad.media.companions",
    "mediad.media.wire",
}
# What reaches the system, the clock, chance or another thread.
IMPURE = {
    *("os", "posix", "shutil", "tempfile", "fcntl", "select", "signal", "subprocess", "multiprocessing"),
    *("time", "random", "secrets", "socket", "ssl", "threading", "asyncio", "concurrent", "sqlite3"),
    *("anyio", "apsw", "watchfiles", "sdnotify", "ctypes"),
}
# Parsers of untrusted bytes: they live in worker processes only.
PARSERS = {"PIL", "numpy", "scipy", "pi_heif", "pymediainfo", "ffmpeg", "imagehash"}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the project, parsed."""
    found = {}
    for path in sorted((PROJECT / "mediad").rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


@functools.cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports, anywhere in it: modules of ours by full name, others by top package."""
    ours = modules()
    found = set()
    for name in _named(module, ours[module]):
        # "from mediad import model" names a module, "from mediad.model import Stat" something inside one.
        while name.startswith("mediad.") and name not in ours:
            name = name.rpartition(".")[0]
        found.add(name if name.partition(".")[0] == "mediad" else name.partition(".")[0])
    return frozenset(found - {module})


def _named(module: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively; write the full name"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def pure() -> set[str]:
    """The modules that are held to be pure."""
    say_so = {
        name
        for name, tree in modules().items()
        if "PURE" in (ast.get_docstring(tree) or "").partition("\n")[0]
    }
    return say_so | (PURE & modules().keys())


def broken(importers: Iterable[str], barred: Iterable[str]) -> dict[str, list[str]]:
    """Those of `importers` that import something barred, and what."""
    found = {module: sorted(imports(module) & set(barred)) for module in importers}
    return {module: names for module, names in found.items() if names}


def test_the_rules_read_imports_as_python_does() -> None:
    tree = ast.parse("import os.path\nfrom mediad import errors\ndef f():\n    from mediad.model import Stat")
    assert list(_named("mediad.probe", tree)) == ["os.path", "mediad.errors", "mediad.model.Stat"]
    assert "mediad.model" in imports("mediad.files")
    assert "os" in imports("mediad.files")


def test_pure_modules_reach_nothing_outside() -> None:
    impure = IMPURE | PARSERS | (modules().keys() - pure() - {"mediad"})
    assert broken(pure(), impure) == {}


def test_model_and_errors_import_nothing_of_ours() -> None:
    assert broken(("mediad.model", "mediad.errors"), modules()) == {}


def test_only_the_composition_imports_stages() -> None:
    assert broken(modules().keys() - COMPOSITION, STAGES) == {}


def test_only_the_entry_imports_the_service() -> None:
    assert broken(modules().keys() - {"mediad.cli.main"}, {"mediad.service"}) == {}


def test_the_control_server_knows_no_ingest() -> None:
    control = [name for name in modules() if name.startswith("mediad.control")]
    ingest = [name for name in modules() if name.startswith("mediad.ingest")]
    assert broken(control, ingest) == {}


def test_only_readers_import_parsers() -> None:
    readers = {name for name in modules() if name.startswith("mediad.media.")} - pure()
    assert broken(modules().keys() - readers, PARSERS) == {}


def test_the_daemon_loads_no_parser() -> None:
    if importlib.util.find_spec("mediad.service") is None:
        pytest.skip("there is no mediad.service")
    program = "import json, sys, mediad.service; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert set(json.loads(loaded.stdout)) & PARSERS == set()
