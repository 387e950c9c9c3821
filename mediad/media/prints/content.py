"""Gathers the payload of a file into a digest, in bounded memory. Runs in workers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from mediad.media.found import Window
from mediad.media.pictures.tiff import Fetch
from mediad.media.prints.ffmpeg import Failed

_BLOCK = 1 << 20


class Content:
    """What has been found of a file's payload.

    Attributes:
        window: bytes of the file, read ahead. size: the file's length.
    """

    def __init__(self, fetch: Fetch, size: int, deadline: float) -> None:
        """Nothing has been found yet.

        Args:
            fetch: gives bytes of the file.
            deadline: `time.monotonic()` after which reading on fails with `Failed`.
        """
        self._fetch = fetch
        self._deadline = deadline
        self.size = size
        self.window = Window(self._timely)
        self._digest = hashlib.sha256()
        self._is_empty = True

    def frame(self, *numbers: int) -> None:
        """Adds numbers without which the same bytes are another content: width, channels, ..."""
        self._digest.update(repr(numbers).encode())

    def add(self, data: bytes) -> None:
        """Adds content. Zeros alone are none: they stand where a broken disk or transfer left nothing."""
        self._digest.update(data)
        self._is_empty = self._is_empty and not data.strip(b"\0")

    def copy(self, offset: int, length: int) -> None:
        """Adds content that lies in the file, as far as it is there."""
        for data in self._blocks(offset, length):
            self.add(data)

    def describe(self, offset: int, length: int) -> None:
        """Adds what the content is read by: headers, tables, colours. Alone, it is no content."""
        for data in self._blocks(offset, length):
            self._digest.update(data)

    def _blocks(self, offset: int, length: int) -> Iterator[bytes]:
        end = min(offset + length, self.size)
        while 0 <= offset < end:
            data = self._timely(offset, min(_BLOCK, end - offset))
            if not data:
                return
            yield data
            offset += len(data)

    def digest(self) -> bytes:
        """SHA-256 of what was added, b"" where there was no content."""
        return b"" if self._is_empty else self._digest.digest()

    def _timely(self, offset: int, length: int) -> bytes:
        if time.monotonic() > self._deadline:
            raise Failed("it takes too long to read")
        return self._fetch(offset, length)
