"""Commands that are told to be typed: they find the daemon as this one did."""

from __future__ import annotations

import os

CALLED = "mediactl"


def called(socket: str, which: str) -> str:
    """This program with the options that it was called with.

    Args:
        socket: what --socket names. which: "user" or "system". Both "" where they were not given.
    """
    if socket:
        from mediad.shell import word

        return f"{CALLED} --socket {word(os.fsencode(socket))}"
    return f"{CALLED} --{which}" if which else CALLED


def to_type(command: str, called: str) -> str:
    """A command, with the options in it if it is one of this program."""
    name, space, rest = command.partition(" ")
    return f"{called}{space}{rest}" if name == CALLED else command
