"""What every test shares: the event loop, the detector of blocking calls, media, and filesystems.

The fixtures that need something a machine may lack (root, a tool, a filesystem of the kernel) skip with
the reason.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import blocking, mounting
from tests.trees import tree as tree

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that the daemon runs on."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def blocking_calls() -> Iterator[blocking.Detector]:
    """Fails what blocks the event loop from within mediad, in every test; see `tests.blocking`."""
    detector = blocking.Detector()
    detector.activate()
    yield detector
    detector.deactivate()


@pytest.fixture
def may_block(blocking_calls: blocking.Detector) -> Iterator[None]:
    """Switches the detector off for one test; say there why."""
    blocking_calls.deactivate()
    yield
    blocking_calls.activate()


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """A collection of real media, which some machines have beside the project."""
    folder = PROJECT.parent / "shared" / "media"
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no collection of real media at {folder}")
    return folder


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """The path of the ffmpeg program; ffprobe is there too."""
    program = shutil.which("ffmpeg")
    if program is None or shutil.which("ffprobe") is None:
        pytest.skip("ffmpeg and ffprobe are not installed")
    return program


@pytest.fixture
def loop_fs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mounting.Factory]:
    """`loop_fs("xfs")` mounts a new filesystem from an image file and returns its root.

    Kinds: ext4, btrfs, xfs, vfat.
    """
    with mounting.Mounts(tmp_path_factory.mktemp("loop")) as mounts:
        yield mounts.image


@pytest.fixture
def tmpfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mounting.Factory]:
    """`tmpfs("64m")` mounts a new tmpfs of that size and returns its root."""
    with mounting.Mounts(tmp_path_factory.mktemp("tmpfs")) as mounts:
        yield mounts.tmpfs


@pytest.fixture
def bind_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mounting.Factory]:
    """`bind_mount(folder)` makes a folder visible at a second place and returns that place."""
    with mounting.Mounts(tmp_path_factory.mktemp("bind")) as mounts:
        yield mounts.bind
