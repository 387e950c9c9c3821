"""May a card be wiped? Everything on it is read, and so is what the libraries have of it, from disk.

The answer is yes only where each step proved it; whatever fails, is missing, changes or is not known makes
it a no. What a library has counts if the file is there now, with the same content, as another inode that is
neither among what is wiped nor on the filesystem that goes with it; and if all of that, and all of what is
wiped, still stands as it was read when the answer is given.
"""

from __future__ import annotations

import errno
import functools
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from stat import S_ISREG
from typing import TypeVar

import anyio
import anyio.to_thread
import apsw

from mediad.errors import MediadError, SourceChanged, printable
from mediad.files import stat_of
from mediad.ingest import witnesses
from mediad.ingest.moves import digest_of
from mediad.keeping.verify_reading import Unsteady, is_held, is_there, read_again, see_online
from mediad.keeping.wiping_tree import Notes, Proof, Walk, Wiped, stat_text
from mediad.library import OpenLibrary
from mediad.model import Stat
from mediad.roots import filesystem
from mediad.store import verifying
from mediad.store.database import Database

T = TypeVar("T")

_Holder = tuple[int, int, bytes]
"""A library file that should have some content: its id, library and path."""

MOST_TOLD = 1000
_MOST_HOLDERS = 50  # library files of one content that are read before it counts as not kept; thin air


@dataclass(slots=True)
class Progress:
    """How far it is; `bytes_done` is of this state."""

    state: str = "looking"
    files: int | None = None
    bytes: int | None = None
    files_done: int = 0
    bytes_done: int = 0

    def enter(self, state: str) -> None:
        """What is done next."""
        self.state, self.files_done, self.bytes_done = state, 0, 0

    def read(self, count: int) -> None:
        """So many bytes more; called in the thread that reads."""
        self.bytes_done += count


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        size: bytes. kept: how many of the files.
        not_kept: the first that are not, path below the root and reason.
        libraries: rows of those that have what is kept.
    """

    safe: bool
    files: int
    size: int
    kept: int
    not_kept: list[tuple[bytes, str]]
    libraries: set[int] = field(default_factory=set)


class Wipe:
    """One question.

    Args:
        libraries: those that can be read now, by their rows.
        names: of all that were ever known, by their rows.
        barred: says why a library cannot be a witness, by its row, "" if it can.
        doomed: devices (st_dev) that go with what is wiped.
    """

    def __init__(
        self,
        wiped: Wiped,
        database: Database,
        libraries: Callable[[], Mapping[int, OpenLibrary]],
        names: Callable[[int], str],
        barred: Callable[[int], str],
        doomed: frozenset[int],
        stopping: Callable[[], bool],
    ) -> None:
        self.progress = Progress()
        self._wiped = wiped
        self._database = database
        self._libraries = libraries
        self._names = names
        self._barred = barred
        self._doomed = doomed
        self._stop = stopping
        self._given_up = threading.Event()
        self._thread = anyio.CapacityLimiter(1)
        self._synced: dict[int, str] = {}  # libraries, and why one could not be
        self._leases: set[int] = set()  # devices on which leases tell of writers
        self._notes: Notes  # made in a thread

    async def run(self) -> Verdict:
        """Find out.

        Raises:
            OSError, MediadError: it cannot be told, which is a no.
        """
        try:
            await self._in_thread(self._look)
            self.progress.enter("reading")
            await self._in_thread(self._read_all)
            self.progress.enter("comparing")
            await self._in_thread(functools.partial(self._sync, dict(self._libraries())))
            await self._prove_all()
            self.progress.enter("checking")
            await self._in_thread(self._look_again)
            await self._check_proofs()
            return await self._in_thread(self._verdict)
        finally:
            self._given_up.set()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(call, limiter=self._thread, abandon_on_cancel=True)

    def _stopping(self) -> bool:
        return self._stop() or self._given_up.is_set()

    # -- what is to be wiped --------------------------------------------------------------------------

    def _look(self) -> None:
        self._notes = Notes()
        if filesystem(os.fsdecode(self._wiped.root)).leases:
            self._leases.add(self._wiped.inode[0])
        Walk(self._wiped, self._notes.saw, self._notes.problem, self._stopping).run()
        self.progress.files, self.progress.bytes = self._notes.total()

    def _look_again(self) -> None:
        Walk(self._wiped, self._notes.saw_again, self._notes.problem, self._stopping).run()
        self._notes.end_second_look()

    def _read_all(self) -> None:
        after: bytes | None = None
        while page := self._notes.to_read(after):
            for path, stat in page:
                self._read(path, stat)
                self.progress.files_done += 1
            after = page[-1][0]

    def _read(self, path: bytes, stat: str) -> None:
        try:
            digest = self._digest(path, stat)
        except InterruptedError:
            raise
        except Unsteady:
            self._notes.problem(path, "is open for writing; close it, and ask again")
            return
        except (OSError, SourceChanged) as error:
            why = error.strerror if isinstance(error, OSError) else error.message
            self._notes.problem(path, f"cannot be read: {why or error}")
            return
        if digest is None:
            self._notes.problem(path, "was changed while it was read")
        else:
            self._notes.read(path, digest)

    def _digest(self, path: bytes, stat: str) -> bytes | None:
        """A file's content, None if the file is not, or no longer, what was seen.

        Raises:
            OSError, SourceChanged. Unsteady: somebody has it open for writing.
        """
        files = self._wiped.files
        with self._wiped.open() as dirs:
            directory, name = dirs.parent(path)
            fd = files.open_file(name, directory)
            try:
                before = files.fstat(fd)
                if not S_ISREG(before.st_mode) or stat_text(stat_of(before)) != stat:
                    return None
                leases = before.st_dev in self._leases
                if leases and is_held(files, fd):
                    raise Unsteady
                files.drop_cache(fd)
                digest = digest_of(files, fd, before.st_size, self._stopping, self.progress.read)
                if leases and is_held(files, fd):
                    raise Unsteady
                return digest if stat_text(stat_of(files.fstat(fd))) == stat else None
            finally:
                files.close(fd)

    # -- what the libraries have ----------------------------------------------------------------------

    def _sync(self, libraries: Mapping[int, OpenLibrary]) -> None:
        """Have written what is not yet: at once where that can be done, else later file by file.

        After an error nothing is tried again: pages that could not be written count as clean then.
        """
        for row, library in libraries.items():
            if filesystem(os.fsdecode(library.tree.root)).leases:
                self._leases.add(library.device)
            if library.can.syncfs:
                try:
                    with library.tree.dirs() as dirs:
                        library.tree.files.sync_filesystem(dirs.root)
                    self._synced[row] = ""
                except OSError as error:
                    self._synced[row] = f"library {library.name} cannot be written to disk: {error.strerror}"

    async def _prove_all(self) -> None:
        while page := await self._in_thread(self._notes.unproved):
            await self._read_unread(page)
            holders = await self._holders(page)
            libraries = dict(self._libraries())
            await self._in_thread(functools.partial(self._prove_page, page, holders, libraries))

    async def _holders(self, page: list[tuple[bytes, int]]) -> list[list[_Holder]]:
        return await self._database.run(lambda connection: [_holders(connection, one) for one, _ in page])

    async def _read_unread(self, page: list[tuple[bytes, int]]) -> None:
        """Library files that may have this content, and were never read, are read."""
        holders = await self._holders(page)
        sizes = {size for (_, size), known in zip(page, holders, strict=True) if not known}
        if sizes:
            await witnesses.read_unread(
                self._database, self._libraries(), sizes, self._stopping, self._thread, self.progress.read
            )

    def _prove_page(
        self,
        page: list[tuple[bytes, int]],
        holders: list[list[_Holder]],
        libraries: Mapping[int, OpenLibrary],
    ) -> None:
        for (digest, _), known in zip(page, holders, strict=True):
            self._notes.prove(digest, *self._prove(digest, known, libraries))
            self.progress.files_done += 1

    def _prove(
        self, digest: bytes, holders: list[_Holder], libraries: Mapping[int, OpenLibrary]
    ) -> tuple[Proof | None, str]:
        """The library file that has this content, or why there is none."""
        reasons: list[str] = []
        for file, row, path in holders:
            library = libraries.get(row)
            if library is None:
                reasons.append(f"library {self._names(row)}, which had it, is offline")
            elif why := self._barred(row) or self._synced.get(row, ""):
                reasons.append(why)
            else:
                found, why = self._witness(library, path, digest, durable=row not in self._synced)
                if found is not None:
                    return Proof(digest, row, file, path, stat_text(found)), ""
                reasons.append(f"{printable(library.tree.absolute(path))} {why}")
        return None, reasons[0] if reasons else "is in no library"

    def _witness(
        self, library: OpenLibrary, path: bytes, digest: bytes, *, durable: bool
    ) -> tuple[Stat | None, str]:
        """How a library file stands that has this content, or why it is no witness."""
        try:
            found = read_again(
                library.tree,
                path,
                self._stopping,
                self.progress.read,
                durable=durable,
                leases=self._leases,
            )
        except InterruptedError:
            raise
        except OSError as error:
            return None, f"cannot be read: {error.strerror or error}"
        except Unsteady:
            return None, "is being written to, or open for that"
        except SourceChanged as error:
            return None, f"cannot be read: {error.message}"
        if found is None:
            return None, "should have it, and is missing"
        seen, stat = found
        if seen != digest:
            return None, "should have it, and has other content now"
        if stat.dev in self._doomed:
            return None, "has it, and lies on the filesystem that is to be wiped"
        if self._notes.is_wiped(digest, stat):
            return None, "is this very file, under another name"
        return stat, ""

    # -- the end --------------------------------------------------------------------------------------

    async def _check_proofs(self) -> None:
        """Whatever was proved has to hold now: in the catalogue, and on disk."""
        after = b""
        while page := await self._in_thread(functools.partial(self._notes.proofs, after)):
            stands = await self._database.run(functools.partial(_stand, proofs=page))
            libraries = dict(self._libraries())
            await self._in_thread(functools.partial(self._check_page, page, stands, libraries))
            after = page[-1].digest

    def _check_page(
        self, page: list[Proof], stands: list[bool], libraries: Mapping[int, OpenLibrary]
    ) -> None:
        away = {row: _away(libraries.get(row)) for row in {proof.library for proof in page}}
        for proof, is_known in zip(page, stands, strict=True):
            why = away[proof.library]
            if not is_known:
                why = "what the library had of it is being moved or removed"
            if why := why or _moved_on(proof, libraries[proof.library]):
                self._notes.prove(proof.digest, None, f"{why}; ask again")

    def _verdict(self) -> Verdict:
        if self._stopping():
            raise InterruptedError(errno.EINTR, "stopping")
        files, size = self._notes.total()
        kept = self._notes.kept()
        not_kept = self._notes.not_kept(MOST_TOLD)
        libraries: set[int] = set()
        after = b""
        while page := self._notes.proofs(after):
            libraries |= {proof.library for proof in page}
            after = page[-1].digest
        self._notes.close()
        return Verdict(files > 0 and kept == files and not not_kept, files, size, kept, not_kept, libraries)


def _away(library: OpenLibrary | None) -> str:
    """Why a library cannot be looked at, "" if it can. Blocks."""
    if library is None:
        return "its library went offline"
    try:
        see_online(library)
    except MediadError as error:
        return f"its library cannot be looked at: {error}"
    return ""


def _moved_on(proof: Proof, library: OpenLibrary) -> str:
    """Why a proof holds no more, "" if it does. Blocks."""
    try:
        stat = is_there(library.tree, proof.path)
    except OSError as error:
        return f"the library's file cannot be looked at: {error.strerror or error}"
    if stat is None or stat_text(stat) != proof.stat:
        return "the library's file was changed while this was looked at"
    return ""


def _holders(connection: apsw.Connection, digest: bytes) -> list[_Holder]:
    """Library files that should have this content: id, library and path."""
    rows = connection.execute(
        "SELECT id, library, path FROM file WHERE digest = ? AND NOT missing ORDER BY id LIMIT ?",
        (digest, _MOST_HOLDERS),
    )
    return [(row[0], row[1], row[2]) for row in rows if not row[2].startswith(b".mediad/")]


def _stand(connection: apsw.Connection, proofs: list[Proof]) -> list[bool]:
    """Does the catalogue still have these, and is nothing being done with them?"""
    found: list[bool] = []
    for proof in proofs:
        row = connection.execute(
            "SELECT 1 FROM file WHERE id = ? AND library = ? AND path = ? AND digest = ? AND NOT missing",
            (proof.file, proof.library, proof.path, proof.digest),
        ).fetchone()
        found.append(row is not None and not verifying.in_hand(connection, proof.library, proof.path))
    return found
