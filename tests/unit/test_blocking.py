"""The detector of blocking calls detects them, and only those of mediad."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import mediad
from tests.blocking import BlockingError
from tests.conftest import PROJECT

pytestmark = pytest.mark.anyio

BLOCKING = {
    "read": "open(path, 'rb').read()",
    "read text": "path.read_text()",
    "write": "path.write_bytes(b'')",
    "open": "os.open(path, os.O_RDONLY)",
    "stat": "os.stat(path)",
    "lstat": "path.lstat()",
    "exists": "path.exists()",
    "list": "os.listdir(path.parent)",
    "scan": "list(os.scandir(path.parent))",
    "rename": "os.rename(path, path)",
    "unlink": "os.unlink(path)",
    "fsync": "os.fsync(0)",
    "sleep": "time.sleep(0)",
    "wait for a program": "subprocess.Popen.communicate(path)",
    "event": "threading.Event().wait(0.001)",
    "database": "apsw.Connection(':memory:').execute('select 1')",
    "cursor": "apsw.Connection(':memory:').cursor().execute('select 1')",
}


def coroutine(expression: str, folder: Path) -> Callable[[Path], Awaitable[Any]]:
    """An async function of one expression, whose source file seems to lie in `folder`."""
    source = f"async def probe(path):\n    return {expression}\n"
    names: dict[str, Any] = {}
    modules = ("apsw", "anyio.to_thread", "anyio", "os", "subprocess", "sys", "threading", "time")
    for module in modules:
        names[module] = __import__(module)
    exec(compile(source, str(folder / "probe.py"), "exec"), names)
    probe: Callable[[Path], Awaitable[Any]] = names["probe"]
    return probe


@pytest.fixture
def ours() -> Path:
    return Path(mediad.__file__).parent


@pytest.mark.parametrize("expression", BLOCKING.values(), ids=BLOCKING.keys())
async def test_a_blocking_call_of_mediad_in_the_loop_is_detected(
    expression: str, ours: Path, tmp_path: Path
) -> None:
    with pytest.raises(BlockingError):
        await coroutine(expression, ours)(tmp_path / "file")


async def test_a_test_itself_may_block(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    probe = coroutine("path.read_bytes()", PROJECT / "tests")
    assert await probe(tmp_path / "file") == b"content"


async def test_a_thread_may_block(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    probe = coroutine("await anyio.to_thread.run_sync(path.read_bytes)", ours)
    assert await probe(tmp_path / "file") == b"content"


async def test_programs_sockets_and_imports_may_be_started_from_the_loop(ours: Path, tmp_path: Path) -> None:
    process = coroutine("await anyio.run_process([sys.executable, '-c', 'print(1)'])", ours)
    assert (await process(tmp_path)).stdout == b"1\n"
    listener = await coroutine("await anyio.create_unix_listener(path)", ours)(tmp_path / "socket")
    await listener.aclose()
    assert await coroutine("__import__('this_is_no_module') if False else __import__('wave')", ours)(tmp_path)


@pytest.mark.usefixtures("may_block")
async def test_one_test_can_be_let_off(ours: Path, tmp_path: Path) -> None:
    assert await coroutine("path.exists()", ours)(tmp_path)


def test_nothing_is_detected_without_a_loop(tmp_path: Path) -> None:
    assert subprocess.run(["true"], check=True).returncode == 0
    assert not (tmp_path / "file").exists()
    assert sys.executable
