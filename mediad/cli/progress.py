"""Progress on standard error, of what takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from mediad.cli.output import complain, draw
from mediad.cli.table import Screen

_SOON = 1.0  # seconds; what is quicker needs no progress
_OFTEN = 0.1  # seconds between two drawings of a line
_SELDOM = 10.0  # seconds between two lines where they stay, in a log or a pipe


class Progress:
    """One line that is drawn anew on a terminal, else a line now and then.

    Args:
        quiet: print nothing where there is no terminal.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        on: Screen | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on = on or Screen.of(sys.stderr)
        self._quiet = quiet
        self._clock = clock
        self._due = clock() + (_SELDOM if self._on.columns is None else _SOON)
        self._drawn = False

    def show(self, text: str) -> None:
        """Show how far it is, if it is time."""
        now = self._clock()
        if now < self._due:
            return
        if self._on.columns is not None:
            self._due, self._drawn = now + _OFTEN, True
            draw(f"\r\x1b[K{self._on.fit(text, 1)}")
        elif not self._quiet:
            self._due = now + _SELDOM
            complain(self._on.fit(text))

    def clear(self) -> None:
        """Wipe the line, so that what follows stands in its place."""
        if self._drawn:
            self._drawn = False
            draw("\r\x1b[K")
