"""A second connection to the database, for questions, so that they never hold up filing.

It can only read. Each unit of work sees one state of the database, and has to be short: while one is open, no
checkpoint can start the write-ahead log anew. What may take long is asked window by window.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import apsw

from mediad.errors import CatalogueBroken
from mediad.store.database import remedy

T = TypeVar("T")

WINDOW = 20_000
"""Rows that one unit of work may look at: some hundredths of a second."""


def open_reader(path: Path) -> apsw.Connection:
    """Open the catalogue, which the daemon has open for writing, for reading; blocks.

    Raises:
        CatalogueBroken: it is not there, or cannot be read.
    """
    try:
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        connection.pragma("cache_size", -8192)
        connection.pragma("temp_store", "memory")
        connection.pragma("user_version")  # the first look shows whether it is a database at all
    except apsw.Error as error:
        raise CatalogueBroken(f"the catalogue cannot be read: {error}", path=os.fspath(path)) from error
    return connection


class Reader:
    """The daemon's connection for questions. Units of work queue up and run one at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._one = anyio.CapacityLimiter(1)

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a thread within one read transaction.

        `work` must be quick, and must keep neither the connection nor a cursor.

        Raises:
            CatalogueBroken: SQLite failed.
        """

        def unit() -> T:
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                if self._connection.in_transaction:  # some errors have ended it already
                    self._connection.execute("ROLLBACK")  # nothing was written; unlike COMMIT it cannot fail

        try:
            return await anyio.to_thread.run_sync(unit, limiter=self._one)
        except apsw.Error as error:
            raise CatalogueBroken(
                f"the catalogue cannot be read: {error}", remedy=remedy(error, "see that its disk is whole")
            ) from error

    def close(self) -> None:
        self._connection.close()
