"""`mediactl adopt`: progress while it runs, and what was adopted at the end."""

from __future__ import annotations

import os

from mediad.cli.document import say_document
from mediad.cli.output import complain, say
from mediad.cli.paths import absolute, shown
from mediad.cli.progress import Progress
from mediad.cli.quantities import count
from mediad.cli.table import Screen, screen
from mediad.control.client import Client, Reply
from mediad.control.protocol import path_fields
from mediad.errors import printable
from mediad.sizes import size_text

_NAMED = 20  # files named at the end


def adopt(client: Client, library: str, *, dry_run: bool, as_json: bool) -> int:
    """Have a library's own files catalogued; returns 0.

    Args:
        library: a name, or a path: with a slash in it, "." or "..".
    """
    is_path = "/" in library or library in (".", "..")
    named = path_fields("path", absolute(library)) if is_path else {"library": library}
    progress = Progress(quiet=as_json)
    reply: Reply = {}
    try:
        for reply in client.stream("Adopt", {**named, "dry_run": dry_run}):
            progress.show(progress_text(reply))
    except KeyboardInterrupt:
        progress.clear()
        complain("interrupted; the same command goes on where this one was")
        raise
    finally:
        progress.clear()
    if as_json:
        say_document(reply)
    else:
        say("\n".join(summary(reply, screen())))
    return 0


def progress_text(reply: Reply) -> str:
    """ "12 of 345 files, 1.2 GB of 4.5 GB: IMG_1.jpg"."""
    flight = next((shown(flight, "path") for flight in reply["in_flight"]), "")
    done = f"{reply['files_done']:,} of {count(reply['files'], 'file')}"
    size = f"{size_text(reply['bytes_done'])} of {size_text(reply['bytes'])}"
    return f"{done}, {size}" + (f": {os.path.basename(flight)}" if flight else "")


def summary(reply: Reply, on: Screen) -> list[str]:
    """What was adopted, what was left alone and why, and what to look at now."""
    planned = reply["state"] == "planned"
    name = printable(reply["library"])
    lines = []
    if reply["blessed"]:
        lines.append(f"The lost marker of library {name} {'would be' if planned else 'was'} written again.")
    batch = f" (batch {reply['batch']})" if reply["batch"] is not None else ""
    lines.append(f"{'Would be: ' if planned else ''}{_adopted(reply)}{batch}")
    lines += [f"  {text}" for text in _remarks(reply)]
    if left := reply["left"]:
        lines.append("These would be left alone:" if planned else "These were left alone:")
        for file in left[:_NAMED]:
            lines += [f"  {on.word(printable(file['outcome']))}  {shown(file, 'path')}"]
            lines += [f"      {printable(file['reason'])}"]
        if (more := reply["unreadable"] + reply["failed"] - min(len(left), _NAMED)) > 0:
            lines.append(f"  and {more:,} more")
    if reply["failed"]:
        lines.append(on.paint("Not complete: the same command tries again what failed.", "red"))
    return lines


def _adopted(reply: Reply) -> str:
    parts = [f"{reply['adopted']:,} adopted"]
    if reply["companions"]:
        parts.append(f"{reply['companions']:,} companions of theirs")
    if reply["already"]:
        parts.append(f"{reply['already']:,} catalogued before")
    return ", ".join(parts)


def _remarks(reply: Reply) -> list[str]:
    remarks = (
        ("undated", "without a date that can be believed"),
        ("doubtful", "with a doubtful date: mediactl history --doubtful"),
        ("duplicates", "with content that lies elsewhere, too: mediactl duplicates"),
        ("not_media", "left alone: no media, empty, excluded, or companions of nothing"),
        ("unreadable", "left alone: claims to be media and cannot be read"),
        ("failed", "could not be looked at now"),
    )
    return [f"{reply[key]:,} {text}" for key, text in remarks if reply[key]]
