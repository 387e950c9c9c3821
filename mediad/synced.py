"""Folders that a synchroniser keeps the same on other devices: what leaves them leaves those, too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

_SYNCTHING = frozenset({".stfolder", ".stignore"})
_NEXTCLOUD = re.compile(r"\._sync_.*\.db|\.sync_.*\.db|\.owncloudsync\.log|\.nextcloudsync\.log")
_ENTRIES_LOOKED_AT = 10_000  # of each folder, for the marks
_LEVELS_BELOW = 2
_FOLDERS_BELOW = 200  # thin air: a start should not take long


def synchroniser(path: str) -> str:
    """Who keeps `path` the same on other devices: "Syncthing", "Nextcloud" or ""."""
    folder = os.path.realpath(path)
    while not (keeper := _keeper(folder)) and folder != (above := os.path.dirname(folder)):
        folder = above
    return keeper


def synchronised_below(path: str) -> tuple[str, str] | None:
    """A synchroniser, and a folder not far below `path` that it keeps."""
    for folder in folders_below(path, _LEVELS_BELOW, _FOLDERS_BELOW):
        if keeper := _keeper(folder):
            return keeper, folder
    return None


def folders_below(top: str, levels: int, most: int) -> Iterator[str]:
    """Folders that are not hidden and lie at most so many `levels` below `top`, and at most so many."""
    level = [top]
    for _ in range(levels):
        level = [folder for parent in level for folder in _folders(parent)][:most]
        most -= len(level)
        yield from level


def _folders(path: str) -> list[str]:
    """The folders in `path` that are not hidden, by name; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(
                entry.path
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []


def _keeper(folder: str) -> str:
    """Who has left its mark in `folder`."""
    for name in _names(folder):
        if name in _SYNCTHING:
            return "Syncthing"
        if _NEXTCLOUD.fullmatch(name):
            return "Nextcloud"
    return ""


def _names(folder: str) -> Iterable[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry, _ in zip(entries, range(_ENTRIES_LOOKED_AT), strict=False)]
    except OSError:
        return ()
