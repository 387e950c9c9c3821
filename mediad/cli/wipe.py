"""`mediactl safe-to-wipe`: yes only where every file is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mediad.cli.document import say_document
from mediad.cli.output import complain, say
from mediad.cli.paths import absolute, shown
from mediad.cli.progress import Progress
from mediad.cli.quantities import count
from mediad.cli.table import Screen, screen
from mediad.control.client import Client, Reply
from mediad.control.protocol import paths_parameters
from mediad.errors import printable
from mediad.sizes import size_text

_WORDS = {
    "looking": "counting",
    "reading": "reading what is to be wiped",
    "comparing": "reading the libraries",
    "checking": "looking at all once more",
}


def safe_to_wipe(client: Client, arguments: Sequence[str], *, as_json: bool) -> int:
    """Ask whether folders or files may be wiped; returns 0 only for a proven yes, else 1."""
    paths = [absolute(path) for path in arguments]
    progress = Progress(quiet=as_json)
    reply: Reply = {}
    try:
        for reply in client.stream("SafeToWipe", {**paths_parameters(paths), "inodes": inodes(paths)}):
            progress.show(progress_text(reply))
    except KeyboardInterrupt:
        progress.clear()
        complain("interrupted: it is not known whether this may be wiped")
        raise
    progress.clear()
    if as_json:
        say_document(reply)
    else:
        say("\n".join(verdict(reply, screen())))
    return 0 if _is_yes(reply) else 1


def _is_yes(reply: Reply) -> bool:
    return reply["safe"] is True and reply["state"] == "done"


def inodes(paths: Sequence[bytes]) -> list[str] | None:
    """What these paths are as we see them, so that mediad can tell whether it sees the same.

    Returns None if we do not see them.
    """
    found = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            return None
        found.append(f"{status.st_dev}:{status.st_ino}")
    return found


def progress_text(reply: Reply) -> str:
    """ "reading what is to be wiped: 1.2 GB of 4.5 GB"."""
    words = _WORDS.get(reply["state"], printable(reply["state"]))
    if reply["state"] == "reading" and reply["bytes"]:
        return f"{words}: {size_text(reply['bytes_done'])} of {size_text(reply['bytes'])}"
    return f"{words}: {size_text(reply['bytes_done'])}" if reply["bytes_done"] else words


def verdict(reply: Reply, on: Screen) -> list[str]:
    """What is not kept and why, and the answer."""
    message = printable(reply["message"] or "")
    if _is_yes(reply):
        where = printable(", ".join(reply["libraries"]))
        return [on.paint(f"Yes: {message} (in {where}).", "green")]
    lines = ["These are not kept:"] if reply["not_kept"] else []
    for file in reply["not_kept"]:
        lines += [f"  {shown(file, 'path')}", f"      {printable(file['reason'])}"]
    if reply["omitted"]:
        lines.append(f"  and {count(reply['omitted'], 'file')} more")
    end = "" if message.endswith("?") else "."
    return [*lines, on.paint(f"No: {message}{end}", "red")]
