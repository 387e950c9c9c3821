"""What the tests of filing share: small pictures of one day, and one run of the program over them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests import samples
from tests.system.daemon import Daemon
from tests.trees import files

TAKEN = datetime(2021, 3, 1, 8, 0, 0)  # noqa: DTZ001 - local time, as cameras keep it
DAY = b"2021/2021-03-01/"
ACTIONS = ("copy", "move", "hardlink")
MOVE = {"action": "move", "settle": "0s"}
QUIET = {"daemon": {"log_level": "info"}}


def picture(seed: int = 0, taken: datetime = TAKEN, **metadata: Any) -> bytes:
    """A tiny JPEG; other seeds make other ones."""
    return samples.jpeg(taken, seed=seed, size=(32, 24), **metadata)


def xmp(rating: int) -> bytes:
    """A sidecar; other ratings make other ones."""
    return samples.xmp_sidecar(rating=rating)


def run_once(daemon: Daemon, code: int = 0) -> list[str]:
    """Run it to its end; returns what it said. Nothing may stay behind in a library's `tmp`."""
    ended = daemon.run_once()
    assert ended.code == code, "\n".join(ended.lines[-40:])
    for name in daemon.settings["library"]:
        if daemon.folders[name].exists():
            assert files(daemon.folders[name] / ".mediad" / "tmp") == {}
    return ended.lines


def kept(daemon: Daemon, folder: str, library: str | None = None) -> list[bytes]:
    """The contents of trash or quarantine; each has its reason beside it, and nothing else is there."""
    root = daemon.folders[library] if library else daemon.library
    found = files(root / ".mediad" / folder)
    names = {name for name in found if not name.endswith(b".reason.txt")}
    assert found.keys() == names | {name + b".reason.txt" for name in names}
    return sorted(found[name] for name in names)
