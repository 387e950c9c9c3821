"""What both programs do around a command: streams, interrupts, errors that end it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from mediad.cli.output import (
    EXIT_OUTPUT,
    OutputFailed,
    complain,
    discard,
    flush,
    open_closed_streams,
    settle_errors,
)
from mediad.errors import InvalidConfig, MediadError, printable

EXIT_INTERRUPTED = 130


def run(name: str, command: Callable[[], int]) -> int:
    """Runs a command of the program `name`; returns its exit code. Usage errors end the program with 2."""
    open_closed_streams()
    try:
        code = _ended(name, command)
        flush()
    except BrokenPipeError:  # the reader went away: nothing is wrong
        discard(sys.stdout)
        return 0
    except OutputFailed as error:
        discard(sys.stdout)
        complain(f"{name}: {error}")
        return EXIT_OUTPUT
    finally:
        settle_errors()
    return code


def _ended(name: str, command: Callable[[], int]) -> int:
    try:
        return command()
    except SystemExit:  # --help, --version and usage errors
        flush()
        raise
    except InvalidConfig as error:
        complain("\n".join(map(printable, error.problems)))
        return error.exit_code
    except MediadError as error:
        complain(f"{name}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
