"""The `mediactl` program: steers the daemon over its socket. Commands load what they alone need."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace

from mediad.cli import dispatch, program
from mediad.cli.output import complain
from mediad.control.client import Client, TooLong, Unreachable, places
from mediad.control.protocol import Failed

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import NoReturn

_USAGE = 2
_FAILED = 70  # EX_SOFTWARE of sysexits.h
_FLAGS = {
    "--json": ("json", True),
    "--system": ("which", "system"),
    "--user": ("which", "user"),
    "--watch": ("watch", True),
}


def start() -> NoReturn:
    """The program itself. It leaves what it holds to the kernel: Python takes 9 ms to tidy up."""
    os._exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Usage errors end the program with 2."""
    return program.run("mediactl", lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    given = sys.argv[1:] if argv is None else argv
    arguments = _mere_status(given)
    if arguments is None:
        from mediad.cli.arguments import parse

        arguments = parse(given)
    if misuse := dispatch.misuse(arguments):
        complain(f"mediactl: {misuse}")
        return _USAGE
    try:
        with Client.connect(_sockets(arguments)) as client:
            code: int = arguments.command(client, arguments)
    except Failed as failed:
        from mediad.cli.refusal import exit_code, explain

        complain("\n".join(explain(failed)))
        return exit_code(failed)
    except KeyError as error:
        complain(f"mediactl: the daemon's answer has no {error}: it is of another version; restart it")
        return _FAILED
    except Unreachable as error:
        complain(f"mediactl: {error}")
        return error.exit_code
    except TooLong as error:
        complain(f"mediactl: {error}; name the folder that the files are in instead")
        return _USAGE
    return code


def _mere_status(given: Sequence[str]) -> SimpleNamespace | None:
    """What a `status` of plain words asks for; None for all else, which argparse reads.

    People wait for it, and argparse takes several times as long as the daemon's answer.
    """
    asked = False
    found = SimpleNamespace(command=dispatch.status, watch=False)
    words = iter(given)
    for word in words:
        if word == "status" and not asked:
            asked = True
        elif word == "--socket" and not (socket := next(words, "-")).startswith("-"):
            found.socket = socket
        elif word in _FLAGS and (asked or word != "--watch"):
            setattr(found, *_FLAGS[word])
        else:
            return None
    return found if asked else None


def _sockets(arguments: SimpleNamespace) -> list[str]:
    named: str | None = getattr(arguments, "socket", None)
    return [named] if named else places(getattr(arguments, "which", ""), os.environ)


if __name__ == "__main__":
    start()
