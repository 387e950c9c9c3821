"""`mediad plan`: what would happen, and why. Needs no daemon and touches nothing."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from mediad import eventloop
from mediad.cli.output import say
from mediad.clock import Clock
from mediad.config import Config
from mediad.errors import InvalidConfig, SourceGone, printable
from mediad.files import Files, source_error
from mediad.ingest.preview import Forecast, Preview
from mediad.roots import check_system
from mediad.store.database import Database, open_copy
from mediad.workers import WorkerPool, default_size

_WORDS = (
    ("new", "{} new, to be filed"),
    ("undated", "{} of them without a date"),
    ("duplicate", "{} duplicate"),
    ("quarantined", "{} unreadable, to be quarantined"),
    ("not-media", "{} not media, or ignored for another reason"),
    ("known", "{} dealt with before"),
    ("settling", "{} not at rest yet"),
    ("held", "{} held: the library is offline, full or read-only"),
    ("failed", "{} that cannot be read or hard-linked"),
)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


def plan(config: Config, paths: Sequence[bytes], *, as_list: bool) -> int:
    """Print a summary, or with `as_list` a line for each file; returns 0.

    Raises:
        SourceGone, NotPermitted: a path is not there, cannot be read, or is not below a watch.
    """
    logging.getLogger("mediad").addHandler(logging.NullHandler())
    if problems := check_system(config):
        raise InvalidConfig(problems)
    for path in paths:
        _see(path)
    eventloop.run(_plan, config, paths, as_list)
    return 0


def _see(path: bytes) -> None:
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise SourceGone("is not there", path=path) from None
        raise source_error(error, path) from None


async def _plan(config: Config, paths: Sequence[bytes], as_list: bool) -> None:
    counts: Counter[str] = Counter()
    state = Path(config.daemon.state_dir)
    database = Database(await anyio.to_thread.run_sync(open_copy, state / "catalogue.db"))
    try:
        async with WorkerPool(config.daemon.workers or default_size()) as pool:
            preview = await anyio.to_thread.run_sync(Preview, config, Files(), Clock(), database, pool)
            async for forecast in preview.forecast(paths):
                counts.update(_kinds(forecast))
                if as_list:
                    say(_line(forecast))
    finally:
        database.close()
    if not as_list:
        say("\n".join(text.format(counts[kind]) for kind, text in _WORDS if counts[kind]) or "nothing to do")


def _kinds(forecast: Forecast) -> list[str]:
    if forecast.outcome == "filed":
        return ["new", "undated"] if forecast.undated else ["new"]
    return ["not-media"] if forecast.outcome in ("ignored", "gone") else [forecast.outcome]


def _line(forecast: Forecast) -> str:
    where = f" -> {printable(forecast.destination)}" if forecast.destination else ""
    return f"{printable(forecast.path)}: {forecast.outcome}{where} ({forecast.reason})"
