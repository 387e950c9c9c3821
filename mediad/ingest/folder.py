"""What can be looked at: the form in which a folder is handed to what watches or indexes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mediad.files import Tree
from mediad.model import Sighting


class Report(Protocol):
    """What a scan saw: folders by device and inode, and what could not be read, with the reason."""

    @property
    def folders(self) -> dict[tuple[int, int], bytes]: ...

    @property
    def errors(self) -> list[tuple[bytes, str]]: ...


class Folder(Protocol):
    """What can be looked at; `ingest.scan.Folder` is one."""

    @property
    def tree(self) -> Tree: ...

    def scan(
        self, start: bytes, emit: Callable[[Sequence[Sighting]], None], stopping: Callable[[], bool]
    ) -> Report: ...

    def look(self, paths: Iterable[bytes]) -> tuple[list[Sighting], list[bytes]]: ...
