"""What has to be looked at in a watch. PURE."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Marks:
    """What has to be looked at."""

    everything: bool = True
    folders: set[bytes] = field(default_factory=set)
    paths: set[bytes] = field(default_factory=set)

    def any(self) -> bool:
        return self.everything or bool(self.folders or self.paths)


def topmost(paths: set[bytes]) -> list[bytes]:
    """The paths that lie in no other of them."""
    chosen: list[bytes] = []
    for path in sorted(paths, key=lambda path: path.split(b"/")):
        if not chosen or not (chosen[-1] == b"" or path == chosen[-1] or path.startswith(chosen[-1] + b"/")):
            chosen.append(path)
    return chosen
