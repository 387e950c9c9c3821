"""How far the work on one file is, for whoever looks on. PURE."""

from __future__ import annotations


class Meter:
    """One piece of work on a file; written in the thread that does it, read in the event loop.

    Attributes:
        stage: "queued", "hashing", "parsing", "planning", "copying", "verifying" or "filing".
        done, size: bytes.
    """

    __slots__ = ("done", "size", "stage")

    def __init__(self, stage: str, size: int) -> None:
        self.stage = stage
        self.done = 0
        self.size = size

    def enter(self, stage: str) -> None:
        """Another piece of work on the same file begins."""
        self.done = 0
        self.stage = stage

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        self.done += count
