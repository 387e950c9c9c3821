"""One library's part of a rebuild: its rows are brought in line with what lies there.

What no row knows by name, size and time is hashed, and recorded as found. Rows whose file is gone are marked
missing, and keep the digest. All goes into the catalogue that is being made, file by file, so that a rebuild
that was cut off goes on where it was. Everything here blocks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import apsw

from mediad.clock import Clock
from mediad.errors import SourceChanged
from mediad.files import stat_of
from mediad.ingest.folder import Folder
from mediad.ingest.moves import REASON, digest_of
from mediad.layout import key_of
from mediad.library import QUARANTINE, TRASH, OpenLibrary
from mediad.model import FileType, Sighting, Stat
from mediad.store.backup import newest_id
from mediad.store.changes import FOUND

REHASHED = "re-hashed"
BATCH = "rebuild"
_REASON = "re-hashed by rebuild"
_NEAR = 2_000_000_000  # nanoseconds by which times differ on FAT
_COMMIT = 64  # files, or
_COMMIT_BYTES = 256 << 20

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how much of it is done, and of how much (None: not known)."""


@dataclass
class Found:
    """What was found in a library.

    Attributes:
        known: files that rows knew. rehashed: those that none knew. missing: rows whose file is gone.
        unread: files and folders that could not be read, and why. private: files in trash and quarantine of
            which nothing is recorded.
    """

    known: int = 0
    rehashed: int = 0
    missing: int = 0
    unread: list[tuple[bytes, str]] = field(default_factory=list)
    private: list[bytes] = field(default_factory=list)


class Looking:
    """Looks at one library.

    Args:
        connection: to the catalogue that is being made, with nobody else writing. row: the library's there.
        folder: the library, to be scanned.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        library: OpenLibrary,
        row: int,
        folder: Folder,
        clock: Clock,
        progress: Progress,
        stopping: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._library = library
        self._row = row
        self._folder = folder
        self._clock = clock
        self._progress = progress
        self._stopping = stopping
        self._looked = 0
        self._batch: int | None = None
        self._next = newest_id(connection)
        self.found = Found()

    def run(self) -> Found:
        """Look at all of it.

        Raises:
            OSError: its root cannot be read. InterruptedError: `stopping()` turned true.
        """
        connection = self._connection
        connection.execute(
            "DROP TABLE IF EXISTS temp.there; DROP TABLE IF EXISTS temp.unknown;"
            "CREATE TEMP TABLE there (path BLOB PRIMARY KEY) WITHOUT ROWID;"
            "CREATE TEMP TABLE unknown (path BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;"
        )
        report = self._folder.scan(b"", self._take, self._stopping)
        if self._stopping():
            raise InterruptedError
        self.found.unread += report.errors
        self._mark_missing([path for path, _ in report.errors])
        self._hash_unknown()
        self._list_private()
        return self.found

    def _take(self, chunk: Sequence[Sighting]) -> None:
        self._looked += len(chunk)
        self._progress(f"looking at library {self._library.name}", self._looked, None)
        with self._connection:
            for seen in chunk:
                if seen.type is not FileType.REGULAR:  # it has no content; whoever had its name is gone
                    continue
                self._connection.execute("INSERT OR IGNORE INTO temp.there VALUES (?)", (seen.path,))
                if not seen.excluded and not self._is_known(seen.path, seen.stat):
                    self._connection.execute(
                        "INSERT OR IGNORE INTO temp.unknown VALUES (?, ?)", (seen.path, seen.stat.size)
                    )

    def _is_known(self, path: bytes, stat: Stat) -> bool:
        row = self._row_of(path)
        if row is None or row[1] is None or row[2] != stat.size or abs(int(row[3]) - stat.mtime_ns) > _NEAR:
            return False
        self._connection.execute(
            "UPDATE file SET missing = 0, mtime_ns = ?1 WHERE id = ?2 AND (missing OR mtime_ns <> ?1)",
            (stat.mtime_ns, row[0]),
        )
        self.found.known += 1
        return True

    def _row_of(self, path: bytes) -> tuple[int, bytes | None, int, int] | None:
        """The row of a library file: id, digest, size and mtime."""
        return self._connection.execute(
            "SELECT id, digest, size, mtime_ns FROM file WHERE library = ? AND name_key = ? AND path = ?"
            " ORDER BY missing, id DESC LIMIT 1",
            (self._row, key_of(path), path),
        ).fetchone()

    def _mark_missing(self, unread: Sequence[bytes]) -> None:
        """What was not seen is missing, but for what lies in folders that could not be read."""
        rows = self._connection.execute(
            "SELECT id, path FROM file WHERE library = ? AND NOT missing"
            " AND path NOT IN (SELECT path FROM temp.there)",
            (self._row,),
        )
        below = tuple(path + b"/" if path else b"" for path in unread)
        gone = [(id_,) for id_, path in rows if not bytes(path).startswith(below) or not below]
        with self._connection:
            self._connection.executemany("UPDATE file SET missing = 1 WHERE id = ?", gone)
        self.found.missing = len(gone)

    def _hash_unknown(self) -> None:
        (total,) = self._connection.execute("SELECT coalesce(sum(size), 0) FROM temp.unknown")
        paths = self._connection.execute("SELECT path, size FROM temp.unknown ORDER BY path").fetchall()
        done = 0
        for group in _groups([(bytes(path), int(size)) for path, size in paths]):  # type: ignore[arg-type]
            read: list[tuple[bytes, bytes, Stat]] = []
            for path, _ in group:
                try:
                    read.append((path, *self._read(path, done, int(total[0]))))
                except InterruptedError:
                    raise
                except (OSError, SourceChanged) as error:
                    why = error.strerror if isinstance(error, OSError) else error.message
                    self.found.unread.append((path, why or str(error)))
            done += sum(size for _, size in group)
            with self._connection:
                for path, digest, stat in read:
                    self._record(path, digest, stat)

    def _read(self, path: bytes, done: int, total: int) -> tuple[bytes, Stat]:
        files, what = self._library.tree.files, f"hashing files of library {self._library.name}"
        self._progress(what, done, total)
        read = done

        def progress(count: int) -> None:
            nonlocal read
            read += count
            self._progress(what, read, total)

        with self._library.tree.dirs() as dirs:
            folder, name = dirs.parent(path)
            fd = files.open_file(name, folder)
            try:
                stat = stat_of(files.fstat(fd))
                digest = digest_of(files, fd, stat.size, self._stopping, progress)
                if not stat_of(files.fstat(fd)).same_content(stat):
                    raise SourceChanged("changed while it was read", path=path)
                return digest, stat
            finally:
                files.close(fd)

    def _record(self, path: bytes, digest: bytes, stat: Stat) -> None:
        row = self._row_of(path)
        if row is not None and row[1] == digest:  # its times were changed, not its content
            values = (stat.size, stat.mtime_ns, row[0])
            self._connection.execute(
                "UPDATE file SET size = ?, mtime_ns = ?, missing = 0 WHERE id = ?", values
            )
            self.found.known += 1
            return
        step = self._journal(path, digest, stat)
        if row is None:
            self._connection.execute(
                "INSERT INTO file (library, path, name_key, size, mtime_ns, digest, role, step)"
                " VALUES (?, ?, ?, ?, ?, ?, 'found', ?)",
                (self._row, path, key_of(path), stat.size, stat.mtime_ns, digest, step),
            )
        else:
            self._connection.execute(
                "UPDATE file SET size = ?, mtime_ns = ?, digest = ?, missing = 0, step = ? WHERE id = ?",
                (stat.size, stat.mtime_ns, digest, step, row[0]),
            )
        self.found.rehashed += 1

    def _journal(self, path: bytes, digest: bytes, stat: Stat) -> int:
        """Have history tell of it; returns the step."""
        key, now = FOUND + self._library.uuid, self._clock.micros()
        if self._batch is None:
            self._batch = self._id()
            self._connection.execute(
                "INSERT OR IGNORE INTO place (key, kind, root) VALUES (?, 'former', ?)",
                (key, self._library.tree.root),
            )
            self._connection.execute(
                "INSERT INTO batch (id, watch, root, started, ended) VALUES (?, ?, X'', ?, ?)",
                (self._batch, BATCH, now, now),
            )
        step = self._id()
        self._connection.execute(
            "INSERT INTO arrival (id, watch, path, size, mtime_ns, ctime_ns, ino, seen, stays, outcome, code,"
            " reason, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 'filed', ?, ?, ?)",
            (
                *(step, key, path, stat.size, stat.mtime_ns, stat.ctime_ns, stat.ino, now),
                *(REHASHED, _REASON, digest),
            ),
        )
        self._connection.execute(
            "INSERT INTO step (id, item, batch, arrival, action, state, library, destination, source, origin,"
            " keeps, note, time) VALUES (?1, ?1, ?2, ?1, 'adopt', 'done', ?3, ?4, ?4, ?3, 1, ?5, ?6)",
            (step, self._batch, self._row, path, _REASON, now),
        )
        return step

    def _id(self) -> int:
        self._next += 1
        return self._next

    def _list_private(self) -> None:
        files = self._library.tree.files
        with self._library.tree.dirs() as dirs:
            for folder in (TRASH, QUARANTINE):
                with contextlib.suppress(FileNotFoundError):
                    for name in sorted(files.list_dir(dirs.fd(folder))):
                        path = folder + b"/" + name
                        if not name.endswith(REASON) and not self._is_told(path):
                            self.found.private.append(path)

    def _is_told(self, path: bytes) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM step WHERE library = ? AND destination = ? LIMIT 1", (self._row, path)
        ).fetchone()
        return row is not None


def _groups(files: Sequence[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    """Files whose rows are committed together."""
    group: list[tuple[bytes, int]] = []
    size = 0
    for file in files:
        group.append(file)
        size += file[1]
        if len(group) >= _COMMIT or size >= _COMMIT_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
