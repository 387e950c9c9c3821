"""`mediad rebuild`: makes the catalogue anew from its backups, and from what the libraries carry and hold."""

from __future__ import annotations

import functools
import logging
import os
import pwd
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mediad.cli.output import complain, draw, say
from mediad.cli.quantities import count
from mediad.cli.table import Screen
from mediad.clock import Clock
from mediad.config import Config
from mediad.errors import NotPermitted, printable
from mediad.files import Files
from mediad.ingest.roster import library_folder
from mediad.sizes import size_text
from mediad.store.rebuilding import Rebuilder, Rebuilt
from mediad.store.rebuilding_library import Found

_SOON = 1.0  # seconds before anything is said, and
_OFTEN = 0.2  # between two looks on a terminal, or
_SELDOM = 10.0  # between two lines in a log
_NAMED = 20  # of each kind


def rebuild(config: Config, state: Path) -> int:
    """Make the catalogue anew and say what came of it; returns 0.

    Args:
        state: the state directory, which is locked.

    Raises:
        NotPermitted: the daemon is another user, who could not write what was made.
        AlreadyHeld: somebody else has a library. CatalogueBroken, SchemaTooNew: it cannot be done.
    """
    _refuse_strangers(state)
    logging.getLogger("mediad").addHandler(logging.NullHandler())
    clock = Clock()
    progress = Progress(Screen.of(sys.stderr))
    rebuilder = Rebuilder(
        state / "catalogue.db",
        list(config.libraries.values()),
        Files(),
        clock,
        functools.partial(library_folder, clock=clock),
        progress.show,
    )
    try:
        result = rebuilder.run()
    except KeyboardInterrupt:
        progress.clear()
        complain("interrupted; nothing has changed, and the same command goes on where this one was")
        raise
    finally:
        progress.clear()
    say("\n".join(summary(result)))
    return 0


def _refuse_strangers(state: Path) -> None:
    owner = state.stat().st_uid
    if owner == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise NotPermitted(
        "the state directory is another user's, who could not use what is made now",
        path=str(state),
        remedy=f"run it as that user: sudo -u {shlex.quote(name)} mediad rebuild",
    )


class Progress:
    """Progress on standard error, of what takes longer than a second.

    Args:
        on: the screen behind standard error.
    """

    def __init__(self, on: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._on = on
        self._clock = clock
        self._told = clock() + _SOON - _OFTEN
        self._drawn = False

    def show(self, what: str, done: int, total: int | None) -> None:
        """See `rebuilding_library.Progress`."""
        now = self._clock()
        if now - self._told < (_SELDOM if self._on.columns is None else _OFTEN):
            return
        self._told = now
        if total is not None:
            text = f"{what}: {size_text(done)} of {size_text(total)}"
        else:
            text = f"{what}: {count(done, 'file')}" if done else what
        if self._on.columns is None:
            complain(printable(text))
        else:
            self._drawn = True
            draw(f"\r\x1b[K{self._on.fit(text, 1)}")

    def clear(self) -> None:
        """Wipe the line, so that what follows stands in its place."""
        if self._drawn:
            draw("\r\x1b[K")
            self._drawn = False


def summary(result: Rebuilt) -> list[str]:
    """What came of it, in lines."""
    begun = f"from {printable(str(result.base))}" if result.base is not None else "from the libraries alone"
    lines = [f"The catalogue was made anew, {begun}."]
    lines += [f"damaged, and of no use: {printable(str(path))}" for path in result.damaged]
    for name, found in result.found.items():
        lines += _library(name, found)
    for name, why in result.offline.items():
        lines.append(f"library {name}: not looked at: {printable(why)}")
    if result.offline:
        lines.append("What is known of these was kept; what they carry is taken in when they come.")
    if result.aside is not None:
        lines.append(f"The catalogue that was there is kept as {printable(str(result.aside))}.")
    return lines


def _library(name: str, found: Found) -> list[str]:
    rehashed = f"{found.rehashed:,} re-hashed"
    lines = [f"library {name}: {count(found.known, 'file')} known, {rehashed}, {found.missing:,} missing"]
    lines += _named("could not be read", [f"{printable(path)}: {why}" for path, why in found.unread])
    lines += _named("nothing is recorded of", [printable(path) for path in found.private])
    return lines


def _named(what: str, things: list[str]) -> list[str]:
    lines = [f"  {what}: {thing}" for thing in things[:_NAMED]]
    if (more := len(things) - _NAMED) > 0:
        lines.append(f"  {what}: {more:,} more")
    return lines
