"""Asks on the terminal whether to do what was shown there."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from mediad.cli.output import complain, draw, say
from mediad.cli.table import Screen
from mediad.errors import printable


class Terminal:
    """Where somebody can be asked: standard input, and an output that he sees.

    Args:
        stream: standard output or standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self.screen = Screen.of(stream)
        self._is_output = stream is sys.stdout

    @classmethod
    def found(cls, *, document: bool) -> Terminal | None:
        """The terminal; None: there is nobody to ask.

        Args:
            document: standard output gets a document, and nothing else.
        """
        streams = (sys.stderr,) if document else (sys.stdout, sys.stderr)
        seen = next((stream for stream in streams if stream.isatty()), None)
        return cls(seen) if seen is not None and sys.stdin.isatty() else None

    def tell(self, lines: Iterable[str]) -> None:
        """Show lines, at once."""
        text = "\n".join(lines)
        if self._is_output:
            say(text, at_once=True)
        else:
            complain(text)

    def agrees(self, question: str) -> bool:
        """Ask; anything but yes is no, and so is the end of input.

        Raises:
            KeyboardInterrupt: Ctrl-C is no, too.
        """
        draw(f"{printable(question)} [y/N] ")
        try:
            answer = sys.stdin.buffer.readline()
        except KeyboardInterrupt:
            draw("\n")
            raise
        except OSError:  # the terminal hung up
            answer = b""
        if not answer.endswith(b"\n"):
            draw("\n")
        return answer.strip().lower() in (b"y", b"yes")
