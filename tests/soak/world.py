"""The folders of a soak: watches and libraries on two filesystems, which come and go, and the daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from tests import mounting
from tests.crash.killing import Killable, Nursery

SIZE = "96m"  # of the filesystem that can be filled
WATCHES = {
    "inbox": ("move", "photos"),
    "far": ("move", "photos"),
    "card": ("copy", "photos"),
    "links": ("hardlink", "photos"),
    "reel": ("move", "films"),
}
LIBRARIES = ("photos", "films")
FAR = ("far", "films", "reel")


class Place:
    """A folder that can be away: another filesystem's, bound to where it is, or renamed by somebody.

    Args:
        path: where it is. store: what is mounted there; None where we may not mount.
    """

    def __init__(self, path: Path, store: Path | None) -> None:
        self.path = path
        self._store = store
        self.is_here = False

    def come(self) -> None:
        """It is mounted, or gets its name back."""
        if self.is_here:
            return
        if self._store is not None:
            self._store.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(parents=True, exist_ok=True)
            done = mounting.run("mount", "--bind", str(self._store), str(self.path))
            assert done.returncode == 0, done.stderr
        elif self._elsewhere.exists():
            self._elsewhere.rename(self.path)
        else:
            self.path.mkdir(parents=True)
        self.is_here = True

    def go(self) -> None:
        """It is unmounted, or loses its name."""
        if not self.is_here:
            return
        if self._store is not None:
            done = mounting.run("umount", "--lazy", str(self.path))
            assert done.returncode == 0, done.stderr
        else:
            self.path.rename(self._elsewhere)
        self.is_here = False

    @property
    def _elsewhere(self) -> Path:
        return self.path.with_name(self.path.name + ".away")

    @property
    def root(self) -> bytes:
        return os.fsencode(self.path)


class World:
    """All folders, the configuration, and the daemon.

    Attributes:
        elsewhere: a folder of the user's, of which the daemon is told nothing; the links that replace files
            point there. cards: folders that are imported.
        settings: of the configuration, in words; `configure` writes them.
    """

    def __init__(self, nursery: Nursery, near: Path, far: Path, *, may_mount: bool) -> None:
        self.near = near
        self.may_mount = may_mount
        self.places = {name: self._place(name, near, far) for name in (*WATCHES, *LIBRARIES)}
        self.elsewhere, self.cards, self.state = near / "elsewhere", far / "cards", far / "state"
        for folder in (self.elsewhere, self.cards, self.state):
            folder.mkdir()
        for place in self.places.values():
            place.come()
        self.config = far / "config.toml"
        self.settings: dict[str, Any] = {}
        self.restore()
        self.daemon = Killable(nursery, self.config, far / "control", far)
        self._ballast = near / "ballast"

    def _place(self, name: str, near: Path, far: Path) -> Place:
        # to the kernel a bound folder is another filesystem than its neighbour: nothing can be linked to it
        base = far if name in FAR else near
        return Place(base / name, base / "stores" / name if self.may_mount and name in FAR else None)

    def restore(self) -> None:
        """The configuration as it was at first."""
        self.settings = {
            "library": {
                name: {
                    "path": str(self.places[name].path),
                    "min_free": "1MB",
                    "layout": "{taken:%Y}/{taken:%Y-%m-%d}/{name}",
                }
                for name in LIBRARIES
            },
            "watch": {
                name: {
                    "path": str(self.places[name].path),
                    "action": action,
                    "library": library,
                    "settle": "100ms",
                }
                for name, (action, library) in WATCHES.items()
            },
            "duplicates": {"exact": "trash"},
            "daemon": {
                "state_dir": str(self.state),
                "socket": str(self.config.with_name("control")),
                "workers": 1,
            },
        }
        self.configure()

    def configure(self) -> None:
        fresh = self.config.with_suffix(".new")
        fresh.write_text(tomli_w.dumps(self.settings), encoding="utf-8")
        fresh.rename(self.config)

    def fill(self) -> None:
        """No space is left on the near filesystem, if it is one that may be filled."""
        if self.may_mount:
            with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as stream:
                while True:
                    stream.write(bytes(1 << 16))

    def empty(self) -> None:
        """There is space again."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def worlds(nursery: Nursery, *, keep: bool = False) -> Iterator[World]:
    """A world on two filesystems, of which the near one is small, where we may mount."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    near = Path(tempfile.mkdtemp(prefix="mediad-soak-", dir=memory))
    far = Path(tempfile.mkdtemp(prefix="mediad-soak-"))
    mount = ("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", str(near))
    may_mount = os.geteuid() == 0 and mounting.run(*mount).returncode == 0
    world: World | None = None
    try:
        world = World(nursery, near, far, may_mount=may_mount)
        yield world
    finally:
        if world is not None:
            world.daemon.close()
            if not keep:
                for place in world.places.values():
                    place.go()
        if not keep:
            if may_mount:
                mounting.run("umount", "--lazy", str(near))
            for folder in (near, far):
                shutil.rmtree(folder)
