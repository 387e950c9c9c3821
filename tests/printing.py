"""Prints for tests: made up, and handed out by a pool that looks at no picture."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio.to_thread

from mediad.media.prints.likeness import SIDE, Look, Print, PrintKind
from mediad.media.reading import File

_GREY = bytes((row * 8 + column) % 256 for row in range(SIDE) for column in range(SIDE))
_COLOURS = bytes([128]) * 32


def looking(hash_: int, *, at: float = 0.0, plain: bool = False) -> Look:
    """What has this hash; all else is the same for all."""
    return Look(at, hash_, 0, plain, 200, _GREY, _COLOURS)


def picture(
    hash_: int,
    payload: bytes = b"",
    size: tuple[int, int] = (640, 480),
    *,
    plain: bool = False,
    failed: str = "",
) -> Print:
    """The print of a picture."""
    kind: PrintKind = "picture"
    return Print(kind, payload, *size, None, (looking(hash_, plain=plain),), failed)


@dataclass
class Made:
    """Stands for a pool of workers.

    Attributes:
        says: what to answer, by content; what is not there has a print that nothing looks like.
        seen: names and formats, in the order in which they came.
        before: called with each file before it is answered.
    """

    says: dict[bytes, Print] = field(default_factory=dict)
    seen: list[tuple[bytes, str]] = field(default_factory=list)
    before: Callable[[File], object] = lambda file: None

    async def fingerprint(self, file: File, form: str, /) -> Print:
        """See `WorkerPool.fingerprint`."""
        content = await anyio.to_thread.run_sync(lambda: os.pread(file.fd, file.size, 0))
        self.seen.append((file.name, form))
        await anyio.to_thread.run_sync(self.before, file)
        return self.says.get(content, Print("picture"))
