"""`mediactl verify`: library files that are not as they should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediad.cli.document import say_line
from mediad.cli.output import complain, say
from mediad.cli.paths import absolute, shown
from mediad.cli.progress import Progress
from mediad.cli.quantities import count
from mediad.cli.table import Screen, screen
from mediad.control.client import Client, Reply
from mediad.control.protocol import paths_parameters
from mediad.errors import printable
from mediad.sizes import size_text

_BAD = ("changed", "missing", "unreadable")


def verify(
    client: Client, paths: Sequence[str], *, accept: Sequence[str], resume: bool, as_json: bool
) -> int:
    """Have files read again, those of all libraries or these.

    Returns 1 if one is changed, missing or unreadable, or a library could not be looked at, else 0.

    Args:
        accept: these are read, and taken as they are.
        resume: a pass that was broken off goes on.
    """
    named = paths_parameters([absolute(path) for path in accept or paths])
    on, progress = screen(), Progress(quiet=as_json)
    reply: Reply = {}
    try:
        for reply in client.stream("Verify", {**named, "accept": bool(accept), "resume": resume}):
            progress.clear()
            for file in reply["checked"]:
                if as_json:
                    say_line(file)
                elif file["state"] != "ok":
                    say("\n".join(_lines(file, on)))
            progress.show(progress_text(reply))
    except KeyboardInterrupt:
        progress.clear()
        complain("interrupted; `mediactl verify --resume` goes on where this was")
        raise
    progress.clear()
    if not as_json:
        say(summary(reply, on))
    for name in reply["skipped"]:
        complain(f"mediactl: library {printable(name)} is not online and was not verified")
    left = sum(reply["counts"][state] for state in _BAD)
    if left and not accept and not as_json:
        complain("what is right as it is now: `mediactl verify --accept PATH`, a file or a folder")
    if accept:  # what cannot be read cannot be accepted
        left = reply["counts"]["unreadable"]
    return 1 if left or reply["skipped"] else 0


def progress_text(reply: Reply) -> str:
    """ "12 of 345 files, 1.2 GB of 4.5 GB"."""
    size = max(reply["bytes"], reply["bytes_done"])
    files = max(reply["files"], reply["files_done"])
    done = f"{reply['files_done']:,} of {count(files, 'file')}"
    return f"{done}, {size_text(reply['bytes_done'])} of {size_text(size)}"


def summary(reply: Reply, on: Screen) -> str:
    """ "3 files: 2 ok, 1 changed"."""
    counts = reply["counts"]
    told = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number or state == "ok")
    text = f"{count(reply['files_done'], 'file')}: {told}"
    return on.paint(text, "red") if any(counts[state] for state in _BAD) else text


def _lines(file: dict[str, Any], on: Screen) -> list[str]:
    state = str(file["state"])
    word = on.paint(state, "red") if state in _BAD else state
    accepted = " (accepted)" if file["accepted"] else ""
    lines = [f"{word}{' ' * (10 - len(state))}  {shown(file, 'path')}{accepted}"]
    if place := shown(file, "place"):
        lines.append(f"            now {place}")
    if file["error"]:
        lines.append(f"            {printable(file['error'])}")
    return lines
