"""Filesystems made for one test: loop-mounted images, tmpfs and bind mounts. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

Factory = Callable[..., Path]

# The system's own tools are not on every user's PATH.
TOOLS = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

# Below these, mkfs.btrfs and mkfs.xfs refuse. The image files are sparse.
SIZES = {"ext4": 64, "btrfs": 160, "xfs": 320, "vfat": 64}
OPTIONS = {"ext4": ["-q", "-F"], "btrfs": ["-q", "-f"], "xfs": ["-q", "-f"], "vfat": []}


class Mounts:
    """Mounts below `folder`; leaving the context unmounts them, the newest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted: list[Path] = []

    def __enter__(self) -> Mounts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for point in reversed(self.mounted):
            # Lazily: a process that a failed test left behind must not keep the others from going.
            run("umount", "--lazy", str(point))

    def image(self, kind: str, megabytes: int | None = None, options: str = "") -> Path:
        """A new filesystem of this kind in an image file of `megabytes`, mounted with `options`."""
        need_root()
        number = len(self.mounted)
        image = self.folder / f"{kind}-{number}.img"
        with image.open("wb") as stream:
            stream.truncate((megabytes or SIZES[kind]) << 20)
        made = run(need_tool(f"mkfs.{kind}"), *OPTIONS[kind], str(image))
        assert made.returncode == 0, made.stderr
        return self._mount(kind, "-o", ",".join(filter(None, ("loop", options))), "-t", kind, str(image))

    def tmpfs(self, size: str = "64m") -> Path:
        """A new tmpfs of this size."""
        need_root()
        return self._mount("tmpfs", "-o", f"size={size},mode=0755", "-t", "tmpfs", "tmpfs")

    def bind(self, source: Path) -> Path:
        """`source` again, at a second place."""
        need_root()
        return self._mount("bind", "--bind", str(source))

    def _mount(self, kind: str, *arguments: str) -> Path:
        point = self.folder / f"{kind}-{len(self.mounted)}"
        point.mkdir()
        mounted = run(need_tool("mount"), *arguments, str(point))
        if mounted.returncode:
            pytest.skip(f"cannot mount: {why_not(kind, mounted.stderr)}")
        self.mounted.append(point)
        return point


def need_root() -> None:
    """Skip the test for anybody but root."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a filesystem")


def need_tool(name: str) -> str:
    """The path of a program, or skip the test."""
    program = shutil.which(name, path=TOOLS)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return program


def why_not(kind: str, stderr: str) -> str:
    """Why a mount failed, as well as one can tell from outside."""
    known = Path("/proc/filesystems").read_text(encoding="ascii").split()
    if kind != "bind" and kind not in known:
        return f"this kernel has no {kind}"
    if kind not in ("bind", "tmpfs") and not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    return " ".join(stderr.split())


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says."""
    environment: dict[str, Any] = {**os.environ, "PATH": TOOLS, "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
