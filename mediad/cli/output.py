"""What a command says: standard streams that may be closed, full, or of few letters."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import TextIO

EXIT_OUTPUT = 74  # EX_IOERR of sysexits.h


class OutputFailed(Exception):  # of the programs' own, which no pipeline ever sees
    """Standard output cannot be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror or error}")


def open_closed_streams() -> None:
    """Give closed standard descriptors to /dev/null, lest a media file or the catalogue gets their number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (for good)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error has it anyway


def say(text: str, *, at_once: bool = False) -> None:
    """Print lines on standard output.

    Args:
        at_once: somebody waits for them.

    Raises:
        OutputFailed: they cannot be written. BrokenPipeError: nobody reads them.
    """
    _print(f"{text}\n", at_once=at_once)


def flush() -> None:
    """Write what `say` holds back; raises the same."""
    _print("", at_once=True)


def _print(text: str, *, at_once: bool) -> None:
    try:
        print(text, end="", flush=at_once)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error) from error


def complain(text: str) -> None:
    """Print lines on standard error; if it cannot be written there is nowhere left to say so."""
    draw(f"{text}\n")


def draw(text: str) -> None:
    """Write to the terminal behind standard error, without ending the line."""
    try:
        print(text, end="", file=sys.stderr, flush=True)
    except OSError:
        return


def settle_errors() -> None:
    """Standard error that cannot be written must not change the exit code when the interpreter flushes it."""
    try:
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Send to nowhere what a stream still holds: the interpreter would flush once more and complain."""
    try:
        number = stream.fileno()
        fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(fd, number)
        os.close(fd)
    except (OSError, ValueError):
        return
