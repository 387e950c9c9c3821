"""`mediactl import`: progress while it runs, and the verdict at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from mediad.cli.document import say_document
from mediad.cli.output import complain, draw, say
from mediad.cli.paths import absolute, shown
from mediad.cli.quantities import count, span_text
from mediad.cli.status import totals_text
from mediad.cli.table import Screen, screen
from mediad.control.client import Client, Reply
from mediad.control.protocol import paths_parameters
from mediad.errors import printable
from mediad.sizes import size_text

_SELDOM = 10.0  # seconds between two lines where they stay, in a log or a pipe
_SMOOTH = 0.3  # the weight of the newest rate: calm enough to read, quick enough to see a stall; thin air
_NAMED = 20  # files named in the verdict
_COUNTS = ("filed", "duplicate", "quarantined", "failed", "ignored", "gone")


def bring_in(
    client: Client,
    arguments: Sequence[str],
    *,
    library: str | None,
    label: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Have folders or files copied in; returns 0 if all that is media there is in the library, else 1."""
    named = paths_parameters([absolute(path) for path in arguments])
    how = {"library": library, "label": label, "dry_run": dry_run}
    progress = Progress(Screen.of(sys.stderr), quiet=as_json)
    reply: Reply = {}
    try:
        for reply in client.stream("Import", {**named, **how}):
            progress.show(reply)
    except KeyboardInterrupt:
        progress.clear()
        complain("interrupted; the same command goes on where this one was")
        raise
    progress.clear()
    if as_json:
        say_document(reply)
    else:
        say("\n".join(verdict(reply, screen())))
    return 0 if reply["complete"] else 1


class Progress:
    """Progress on standard error: one line that is drawn anew on a terminal, else a line now and then.

    Args:
        on: the screen behind standard error.
        quiet: print nothing where there is no terminal.
    """

    def __init__(
        self, on: Screen, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on = on
        self._quiet = quiet
        self._clock = clock
        self._told = clock()
        self._before: tuple[float, int] | None = None
        self._rate = 0.0
        self._drawn = False

    def show(self, reply: Reply) -> None:
        """Take in one look at the import, and show it if it is time."""
        now = self._clock()
        self._measure(now, reply["bytes_done"])
        if self._on.columns is not None:
            self._drawn = True
            text = progress_text(reply, self._rate, self._on)
            draw(f"\r\x1b[K{self._on.fit(text, 1)}")
        elif not self._quiet and now - self._told >= _SELDOM:
            self._told = now
            complain(progress_text(reply, self._rate, self._on))

    def clear(self) -> None:
        """Wipe the line, so that what follows stands in its place."""
        if self._drawn:
            draw("\r\x1b[K")

    def _measure(self, now: float, done: int) -> None:
        if self._before is not None and now > self._before[0]:
            rate = max(0.0, (done - self._before[1]) / (now - self._before[0]))
            self._rate = rate if not self._rate else self._rate + _SMOOTH * (rate - self._rate)
        self._before = (now, done)


def progress_text(reply: Reply, rate: float, on: Screen) -> str:
    """ "12 of 345 files, 1.2 GB of 4.5 GB, 85.0 MB/s, 40s left: IMG_1.jpg".

    Args:
        rate: bytes a second, 0 if it is not known.
    """
    files, size = reply["files"], reply["bytes"]
    done = f"{reply['files_done']:,}"
    if reply["state"] == "counting" or files is None or size is None:
        return f"counting: {count(reply['files_done'] if files is None else files, 'file')}"
    if reply["state"] == "held":
        return (
            f"held, {done} of {count(files, 'file')} done: {printable(reply['reason'] or 'it has to wait')}"
        )
    parts = [f"{done} of {count(files, 'file')}", f"{size_text(reply['bytes_done'])} of {size_text(size)}"]
    if rate:
        left = max(0, size - reply["bytes_done"]) / rate
        parts += [f"{size_text(rate)}/s", f"{span_text(left)} left"]
    flight = next((shown(flight, "path") for flight in reply["in_flight"]), "")
    name = flight.rpartition("/")[2] if on.columns is not None else flight
    return ", ".join(parts) + (f": {name}" if name else "")


def verdict(reply: Reply, on: Screen) -> list[str]:
    """What is in the library now, what is not and why, and whether that is all."""
    planned = reply["state"] == "planned"
    lines = [_counted(reply, planned=planned)]
    not_taken: list[dict[str, Any]] = reply["not_taken"]
    if not_taken:
        lines.append("These would not be in the library:" if planned else "These are not in the library:")
        for file in not_taken[:_NAMED]:
            word = on.word(printable(file["outcome"]))
            lines += [f"  {word}  {shown(file, 'path')}", f"      {printable(file['reason'])}"]
        if (more := len(not_taken) - _NAMED) > 0:
            lines.append(f"  and {more:,} more: --json has all")
    end = f"the media of this source {'would be' if planned else 'is'} in the library {reply['library']}."
    if reply["complete"]:
        return [*lines, on.paint(f"Complete: all {printable(end)}", "green")]
    return [*lines, on.paint(f"Not complete: not all {printable(end)}", "red")]


def _counted(reply: Reply, *, planned: bool) -> str:
    batch = f" (batch {reply['batch']})" if reply["batch"] is not None else ""
    if reply["message"] and not planned:  # the same counts, and what was verified
        return f"{printable(reply['message'])}{batch}"
    totals = {word: reply[word] for word in _COUNTS}
    counts = [f"{reply['already']:,} there already"] if reply["already"] else []
    if any(totals.values()) or not counts:
        counts.insert(0, totals_text(totals))
    return f"{'Would be: ' if planned else ''}{', '.join(counts)}{batch}"
