"""All that lies in the folders and files that are to be wiped, looked at twice.

Unlike a scan it passes over nothing: what is excluded, hidden, empty, no file, unreadable, or on another
filesystem is told, too. What it saw is kept in a private database that goes to disk when it grows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from stat import S_ISDIR
from typing import NamedTuple

import apsw

from mediad.files import Dirs, Files, Tree, file_type, stat_of
from mediad.model import FileType, Stat

_DEEPEST = 200  # thin air; each level holds a descriptor
_PAGE = 500
_FAT_STEP_NS = 10_000_000  # of exFAT; those of FAT are longer

_SCHEMA = """
CREATE TABLE seen (
    path BLOB PRIMARY KEY, stat TEXT NOT NULL, inode TEXT NOT NULL, size INTEGER NOT NULL,
    digest BLOB, again INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX seen_inode ON seen (inode);
CREATE INDEX seen_digest ON seen (digest);
CREATE TABLE problem (path BLOB PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE proof (
    digest BLOB PRIMARY KEY, library INTEGER, file INTEGER, path BLOB, stat TEXT, reason TEXT NOT NULL
) WITHOUT ROWID;
"""


def stat_text(stat: Stat) -> str:
    """All of a stat; inodes may be larger than what a database holds as a number."""
    return ":".join(map(str, stat))


def inode_text(stat: Stat) -> str:
    """Which inode it is."""
    return f"{stat.dev}:{stat.ino}"


class Proof(NamedTuple):
    """The library file on whose word content is kept.

    Attributes:
        library, file: rows. stat: as `stat_text` has it.
    """

    digest: bytes
    library: int
    file: int
    path: bytes
    stat: str


class Notes:
    """What was seen and found. All calls block; one at a time, in whatever thread."""

    def __init__(self) -> None:
        self._db = apsw.Connection("")
        self._db.pragma("journal_mode", "off")
        self._db.execute(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    # -- what lies there ------------------------------------------------------------------------------

    def saw(self, path: bytes, stat: Stat) -> None:
        """A file that may be kept."""
        self._db.execute(
            "INSERT OR IGNORE INTO seen (path, stat, inode, size) VALUES (?, ?, ?, ?)",
            (path, stat_text(stat), inode_text(stat), stat.size),
        )

    def saw_again(self, path: bytes, stat: Stat) -> None:
        """What the second look showed."""
        row = self._db.execute("SELECT stat FROM seen WHERE path = ?", (path,)).fetchone()
        if row is None:
            self.problem(path, "has come while this was looked at")
        elif row[0] != stat_text(stat):
            self.problem(path, "was changed while this was looked at")
        else:
            self._db.execute("UPDATE seen SET again = 1 WHERE path = ?", (path,))

    def end_second_look(self) -> None:
        """What was not seen again has gone."""
        self._db.execute(
            "INSERT OR IGNORE INTO problem SELECT path, 'has gone while this was looked at' FROM seen"
            " WHERE NOT again"
        )

    def problem(self, path: bytes, reason: str) -> None:
        """Something that is not kept, or of which it cannot be told."""
        self._db.execute("INSERT OR IGNORE INTO problem VALUES (?, ?)", (path, reason))

    def total(self) -> tuple[int, int]:
        """How many files, others included, and bytes there are."""
        row = self._db.execute(
            "SELECT (SELECT count(*) FROM seen) +"
            " (SELECT count(*) FROM problem WHERE path NOT IN (SELECT path FROM seen)),"
            " (SELECT coalesce(sum(size), 0) FROM seen)"
        ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])

    def to_read(self, after: bytes | None) -> list[tuple[bytes, str]]:
        """The next files, each with its stat, in the order of their paths."""
        rows = self._db.execute(
            "SELECT path, stat FROM seen WHERE ?1 IS NULL OR path > ?1 ORDER BY path LIMIT ?2", (after, _PAGE)
        )
        return [(row[0], row[1]) for row in rows]

    def read(self, path: bytes, digest: bytes) -> None:
        """A file's content."""
        self._db.execute("UPDATE seen SET digest = ? WHERE path = ?", (digest, path))

    # -- what is kept ---------------------------------------------------------------------------------

    def unproved(self) -> list[tuple[bytes, int]]:
        """The next digests of which nothing is known, with their sizes."""
        rows = self._db.execute(
            "SELECT digest, max(size) FROM seen WHERE digest NOT NULL"
            " AND digest NOT IN (SELECT digest FROM proof) GROUP BY digest LIMIT ?",
            (_PAGE,),
        )
        return [(row[0], row[1]) for row in rows]

    def is_wiped(self, digest: bytes, stat: Stat) -> bool:
        """Is a file with this content and stat one of those that are to be wiped?

        By its inode; or by its times, which no copy shares, where one disk is seen through two filesystems.
        FAT has one time only, in coarse steps, which copies share: there the inode's number has to be equal.
        """
        row = self._db.execute("SELECT 1 FROM seen WHERE inode = ? LIMIT 1", (inode_text(stat),)).fetchone()
        if row is not None:
            return True
        times = f":{stat.mtime_ns}:{stat.ctime_ns}"
        one_time = stat.mtime_ns == stat.ctime_ns and stat.mtime_ns % _FAT_STEP_NS == 0
        rows = self._db.execute("SELECT stat FROM seen WHERE digest = ?", (digest,))
        return any(
            seen.endswith(times) and (not one_time or seen.split(":")[1] == str(stat.ino)) for (seen,) in rows
        )

    def prove(self, digest: bytes, proof: Proof | None, reason: str = "") -> None:
        """A library's file has this content; or none has, for this reason."""
        values = (digest, None, None, None, None) if proof is None else tuple(proof)
        self._db.execute("INSERT OR REPLACE INTO proof VALUES (?, ?, ?, ?, ?, ?)", (*values, reason))

    def proofs(self, after: bytes) -> list[Proof]:
        """The next proofs, in the order of their digests."""
        rows = self._db.execute(
            "SELECT digest, library, file, path, stat FROM proof WHERE stat NOT NULL AND digest > ?"
            " ORDER BY digest LIMIT ?",
            (after, _PAGE),
        )
        return [Proof(*row) for row in rows]

    # -- the verdict ----------------------------------------------------------------------------------

    def kept(self) -> int:
        """How many files are kept, without any doubt."""
        row = self._db.execute(
            "SELECT count(*) FROM seen JOIN proof ON proof.digest = seen.digest AND proof.stat NOT NULL"
            " WHERE again AND seen.path NOT IN (SELECT path FROM problem)"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def not_kept(self, most: int) -> list[tuple[bytes, str]]:
        """The first paths that are not kept, with the reason."""
        rows = self._db.execute(
            "SELECT path, reason FROM problem UNION ALL"
            " SELECT seen.path, coalesce(nullif(proof.reason, ''), 'it was not found out whether it is kept')"
            " FROM seen LEFT JOIN proof ON proof.digest = seen.digest"
            " WHERE (NOT again OR proof.stat IS NULL) AND seen.path NOT IN (SELECT path FROM problem)"
            " ORDER BY 1 LIMIT ?",
            (most,),
        )
        return [(row[0], row[1]) for row in rows]


@dataclass(frozen=True, slots=True)
class Wiped:
    """What is to be wiped.

    Attributes:
        root: absolute, without links. inode: what it has to be, device and number.
        starts: folders and files below it, b"" for all.
        mounts: paths below the root where something else is mounted.
    """

    files: Files
    root: bytes
    inode: tuple[int, int]
    starts: Sequence[bytes]
    mounts: frozenset[bytes]

    def open(self) -> Dirs:
        """The root, if it is still the same.

        Raises:
            OSError: it is not, or cannot be opened.
        """
        dirs = Tree(self.files, self.root).dirs()
        try:
            found = self.files.fstat(dirs.root)
            if (found.st_dev, found.st_ino) != self.inode:
                raise OSError(errno.ESTALE, "another folder has taken its place")
        except BaseException:
            dirs.close()
            raise
        return dirs


class Walk:
    """One look at all of it. Blocks.

    Args:
        saw: told of each file that may be kept. problem: told of everything else, and why.
    """

    def __init__(
        self,
        wiped: Wiped,
        saw: Callable[[bytes, Stat], None],
        problem: Callable[[bytes, str], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._wiped = wiped
        self._saw = saw
        self._problem = problem
        self._stopping = stopping

    def run(self) -> None:
        """Look.

        Raises:
            OSError: the root cannot be opened. InterruptedError: `stopping()` turned true.
        """
        for start in _outermost(self._wiped.starts):
            with self._wiped.open() as dirs:
                if not start:
                    self._folder(b"", dirs.root, 0)
                    continue
                try:
                    directory, name = dirs.parent(start)
                except OSError as error:
                    self._problem(start, _why(error))
                    continue
                self._entry(start, name, directory, 0)

    def _folder(self, path: bytes, fd: int, depth: int) -> None:
        files = self._wiped.files
        try:
            if files.fstat(fd).st_dev != self._wiped.inode[0] or path in self._wiped.mounts:
                self._problem(path, "something else is mounted here: look at it by itself")
                return
            names = files.list_dir(fd)
        except OSError as error:
            self._problem(path, f"cannot be looked into: {_why(error)}")
            return
        if depth > _DEEPEST and names:
            self._problem(path, f"is nested deeper than {_DEEPEST} folders")
            return
        for name in names:
            self._entry(path + b"/" + name if path else name, name, fd, depth)

    def _entry(self, path: bytes, name: bytes, directory: int, depth: int) -> None:
        if self._stopping():
            raise InterruptedError(errno.EINTR, "stopping")
        files = self._wiped.files
        try:
            found = files.stat_at(name, directory)
            if not S_ISDIR(found.st_mode):
                self._file(path, file_type(found), stat_of(found))
                return
            fd = files.open_dir(name, directory)
        except OSError as error:
            self._problem(path, f"cannot be looked into: {_why(error)}")
            return
        try:
            self._folder(path, fd, depth + 1)
        finally:
            files.close(fd)

    def _file(self, path: bytes, kind: FileType, stat: Stat) -> None:
        if kind is not FileType.REGULAR:
            self._problem(path, f"is {kind.value}, which no library has")
        elif stat.size == 0:
            self._problem(path, "is empty, and nothing is compared with empty files")
        elif path in self._wiped.mounts or stat.dev != self._wiped.inode[0]:
            self._problem(path, "something else is mounted here: look at it by itself")
        else:
            self._saw(path, stat)


def _outermost(starts: Sequence[bytes]) -> Iterator[bytes]:
    """Those that lie in no other."""
    for start in sorted(set(starts)):
        above = (other for other in starts if other != start)
        if not any(not other or start.startswith(other + b"/") for other in above):
            yield start


def _why(error: OSError) -> str:
    return error.strerror or str(error)
