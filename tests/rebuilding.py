"""A house whose catalogue gets lost: the program, run in this process, and what the catalogue then knows."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from mediad.cli.main import main
from tests.system.once import picture
from tests.trees import files

NUMBERS = range(1, 7)


class Lost:
    """Folders below one: a watch "inbox" that moves, a watch "card" that copies, libraries.

    Args:
        libraries: their names; both watches go to the first, a watch "far" that copies to the second.
    """

    def __init__(self, root: Path, *libraries: str) -> None:
        self.root = root
        self.catalogue = root / "state" / "catalogue.db"
        self.libraries = libraries or ("photos",)
        self.watches = {
            "inbox": "move",
            "card": "copy",
            **({"far": "copy"} if len(self.libraries) > 1 else {}),
        }
        for name in (*self.watches, *self.libraries):
            (root / name).mkdir(parents=True, exist_ok=True)
        self.configure()

    def configure(self) -> None:
        """Write the configuration."""
        watch = {
            name: {
                "path": str(self.root / name),
                "action": action,
                "settle": "0s",
                "library": self.libraries[name == "far"],
            }
            for name, action in self.watches.items()
        }
        library = {name: {"path": str(self.root / name), "min_free": "0"} for name in self.libraries}
        daemon = {"state_dir": str(self.root / "state"), "socket": str(self.root / "control"), "workers": 1}
        text = tomli_w.dumps({"library": library, "watch": watch, "daemon": daemon})
        (self.root / "c.toml").write_text(text, encoding="utf-8")

    def fill(self, *, first: int = 0) -> None:
        """Pictures for all watches; other ones for each `first`."""
        for place, watch in enumerate(self.watches):
            for number in NUMBERS:
                seed = first + 100 * place + number
                (self.root / watch / f"{watch}{seed}.jpg").write_bytes(picture(seed))

    def once(self) -> int:
        """`mediad run --once`."""
        return self.run("run", "--once")

    def rebuild(self) -> int:
        """`mediad rebuild`."""
        return self.run("rebuild")

    def run(self, *arguments: str) -> int:
        with _this_process_as_before():
            return main([*arguments, "--config", str(self.root / "c.toml")])

    def held(self, library: str = "photos") -> dict[bytes, bytes]:
        """The library's files and their contents."""
        return files(self.root / library, without=[b".mediad"])

    def carried(self, library: str = "photos") -> Path:
        return self.root / library / ".mediad" / "catalogue.db"

    def backups(self) -> list[Path]:
        return sorted((self.root / "state" / "backups").glob("catalogue-*.db"))

    def forget_backups(self, *libraries: str) -> None:
        """Neither the state directory nor these libraries have one."""
        for path in (*self.backups(), *(self.carried(name) for name in libraries)):
            path.unlink()

    def lose(self) -> None:
        """The catalogue is gone."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self.catalogue}{end}").unlink(missing_ok=True)

    def query(self, sql: str, *values: object, path: Path | None = None) -> list[tuple[Any, ...]]:
        """Ask a catalogue that nobody has open."""
        where = f"file:{path or self.catalogue}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(where, uri=True)) as connection:
            return connection.execute(sql, values).fetchall()

    def digests(self) -> set[tuple[bytes, bytes]]:
        """What the catalogue knows of the contents of library files."""
        sql = "SELECT path, digest FROM file WHERE digest IS NOT NULL AND NOT missing"
        return {(row[0], row[1]) for row in self.query(sql)}

    def history(self) -> list[tuple[Any, ...]]:
        """All that was done, without the numbers."""
        sql = (
            "SELECT step.time, step.action, step.state, arrival.watch, arrival.path, arrival.outcome,"
            " arrival.digest, library.marker, step.destination, batch.started FROM step"
            " JOIN arrival ON arrival.id = step.arrival JOIN batch ON batch.id = step.batch"
            " LEFT JOIN library ON library.id = step.library ORDER BY step.time, arrival.path"
        )
        return self.query(sql)

    def ids(self) -> list[tuple[Any, ...]]:
        """The numbers of all steps, with their sets, arrivals and batches."""
        return self.query("SELECT id, item, arrival, batch FROM step ORDER BY id")

    def totals(self) -> dict[str, int]:
        """Arrivals by outcome, as the triggers counted them, which has to be what is there."""
        counted = "SELECT outcome, sum(files), sum(bytes) FROM tally GROUP BY outcome HAVING sum(files)"
        there = (
            "SELECT outcome, count(*), sum(size) FROM arrival WHERE outcome IS NOT NULL"
            " AND (outcome, code) IS NOT ('failed', 'reverted') GROUP BY outcome"
        )
        assert sorted(self.query(counted)) == sorted(self.query(there))
        holdings = "SELECT id, files, bytes FROM library ORDER BY id"
        held = (
            "SELECT id, (SELECT count(*) FROM file WHERE library = library.id AND NOT missing),"
            " (SELECT coalesce(sum(size), 0) FROM file WHERE library = library.id AND NOT missing)"
            " FROM library ORDER BY id"
        )
        assert self.query(holdings) == self.query(held)
        return {row[0]: row[1] for row in self.query(there)}

    def is_whole(self) -> bool:
        """No row names one that is not there."""
        return self.query("PRAGMA integrity_check") == [("ok",)] and not self.query(
            "PRAGMA foreign_key_check"
        )


@contextlib.contextmanager
def _this_process_as_before() -> Iterator[None]:
    """What a run changes of its process is as before afterwards."""
    log = logging.getLogger("mediad")
    before = (log.handlers[:], log.level, log.propagate)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGIO, signal.SIGHUP)}
    journald = os.environ.pop("JOURNAL_STREAM", None)
    try:
        yield
    finally:
        log.handlers[:], log.propagate = before[0], before[2]
        log.setLevel(before[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if journald is not None:
            os.environ["JOURNAL_STREAM"] = journald
