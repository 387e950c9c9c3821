"""Makes the catalogue anew: from what is sound of it, its backups, and what the libraries carry and hold.

The new one is made beside the old one, and takes its place last: whenever that is cut off, the old one stands
as it was, and the next rebuild goes on with what was made. The old one is put aside and never removed.
Everything here blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from mediad import config
from mediad.clock import Clock
from mediad.errors import AlreadyHeld, CatalogueBroken, MediadError, SchemaTooNew
from mediad.files import Files, Tree
from mediad.ingest.folder import Folder
from mediad.library import OpenLibrary, open_library
from mediad.store import backup, backup_library, catalogue
from mediad.store.backup import (
    DAMAGE,
    FOLDER,
    Stamp,
    backups,
    copy,
    is_sound,
    open_as_it_lies,
    open_private,
    rebuilt,
    stamp,
    sync,
)
from mediad.store.backup_foreign import NONSENSE
from mediad.store.database import open_database
from mediad.store.rebuilding_library import Found, Looking, Progress
from mediad.store.salvage import take_rows


@dataclass(frozen=True, slots=True)
class _Source:
    """A sound catalogue, or a backup of it."""

    path: Path
    stamp: Stamp

    @property
    def age(self) -> tuple[int, int]:
        """The newer, the larger."""
        return self.stamp.activity, self.stamp.newest


@dataclass
class Rebuilt:
    """What a rebuild came to.

    Attributes:
        base: what the new catalogue began with; None: nothing. damaged: what was no use.
        found: by library. offline: libraries that could not be looked at, and why.
        aside: where the old catalogue is now; None where there was none.
    """

    base: Path | None = None
    damaged: list[Path] = field(default_factory=list)
    found: dict[str, Found] = field(default_factory=dict)
    offline: dict[str, str] = field(default_factory=dict)
    aside: Path | None = None


class Rebuilder:
    """Makes one catalogue anew. The caller holds the state directory's lock.

    Args:
        path: the catalogue's.
        folder_of: a library as something to look at.
        progress: told how far it is.
    """

    def __init__(
        self,
        path: Path,
        libraries: Sequence[config.Library],
        files: Files,
        clock: Clock,
        folder_of: Callable[[Tree], Folder],
        progress: Progress,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._work = rebuilt(path)
        self._libraries = libraries
        self._files = files
        self._clock = clock
        self._folder_of = folder_of
        self._progress = progress
        self._stopping = stopping
        self._result = Rebuilt()

    def run(self) -> Rebuilt:
        """Do it all.

        Raises:
            AlreadyHeld: somebody else has a library. SchemaTooNew: a newer mediad wrote some of it.
            OSError, CatalogueBroken: the state directory cannot be read or written.
        """
        try:
            (self._path.parent / FOLDER).mkdir(mode=0o700, exist_ok=True)
            sources = self._sources()
            connection = self._begin(sources)
            try:
                for source in sources:
                    self._join(connection, source)
                for library in self._libraries:
                    self._bring_in(connection, library)
                connection.execute("REINDEX")  # a source may have been damaged where only this shows it
                if not is_sound(connection, check="integrity_check"):
                    raise CatalogueBroken("what was made is not sound", path=os.fspath(self._work))
            finally:
                connection.close()  # which also brings all into the one file
        except (apsw.FullError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise CatalogueBroken(
                "cannot be made anew: no space is left", path=os.fspath(self._path), remedy="make room there"
            ) from error
        except apsw.Error as error:
            raise CatalogueBroken(f"cannot be made anew: {error}", path=os.fspath(self._path)) from error
        self._put_in_place()
        return self._result

    # -- what there is -------------------------------------------------------------------------------------

    def _sources(self) -> list[_Source]:
        """All sound catalogues, the newest first; of equals the present one."""
        schemas = sorted(self._path.parent.glob(self._path.name + ".schema-*"))
        paths = [self._path, *backups(self._path), *(path for path in schemas if path.suffix[8:].isdigit())]
        found: list[_Source] = []
        for path in paths:
            if not path.exists() or (path == self._path and not path.stat().st_size):
                continue
            self._progress(f"reading {path.name}", len(found), None)
            of = _stamp_of(path)
            if of is None:
                self._result.damaged.append(path)
            else:
                found.append(_Source(path, of))
        return sorted(found, key=lambda source: source.age, reverse=True)

    def _begin(self, sources: Sequence[_Source]) -> apsw.Connection:
        """Open the new catalogue: what an earlier rebuild left, else one made of the newest source."""
        if self._work.exists() and _stamp_of(self._work) is None:
            backup.remove(self._work)
        if self._work.exists():
            self._result.base = self._work
            return open_database(self._work)
        fresh = self._work.with_name(self._work.name + ".new")
        if sources:
            self._result.base = sources[0].path
            _copy(sources[0].path, fresh, self._stopping)
        else:
            backup.remove(fresh)
        connection = open_private(fresh) if sources else open_database(fresh)
        try:
            with connection:
                _give_identity(connection, sources[0].stamp if sources else None)
            connection.pragma("journal_mode", "delete")
        finally:
            connection.close()
        sync(fresh)
        os.rename(fresh, self._work)
        sync(self._work.parent)
        return open_database(self._work)

    def _join(self, connection: apsw.Connection, source: _Source) -> None:
        """Take in what a source knows more."""
        of = stamp(connection)
        same = source.stamp.catalogue in ("", of.catalogue, *of.ancestors)
        if same and source.path != self._path and source.age <= (of.activity, of.newest):
            return  # an earlier state of what is here already
        if source.path == self._result.base:
            return
        local = self._path.parent / FOLDER / "joined.new"
        self._progress(f"taking in {source.path.name}", 0, None)
        _copy(source.path, local, self._stopping)
        self._take_rows(connection, open_private(local), local)
        names = {source.stamp.catalogue, *source.stamp.ancestors} - {"", of.catalogue}
        with connection:
            connection.executemany(
                "INSERT OR IGNORE INTO ancestor VALUES (?)", [(name,) for name in sorted(names)]
            )

    def _take_rows(
        self, connection: apsw.Connection, source: apsw.Connection, local: Path, *, foreign: bool = False
    ) -> None:
        def write(work: Callable[[apsw.Connection], None]) -> None:
            if self._stopping():
                raise InterruptedError
            with connection:
                work(connection)

        try:
            take_rows(source, self._work, write, foreign=foreign)
        finally:
            source.close()
            backup.remove(local)

    # -- the libraries -------------------------------------------------------------------------------------

    def _bring_in(self, connection: apsw.Connection, settings: config.Library) -> None:
        name, root = settings.name, os.fsencode(settings.path)
        known = catalogue.known_library(connection, name)
        try:
            if known is None and not os.path.exists(root + b"/.mediad/library.toml"):
                self._result.offline[name] = "it is not there, or has no marker .mediad/library.toml"
                return
            library = open_library(settings, self._files, known.marker if known else None)
        except (AlreadyHeld, SchemaTooNew):
            raise
        except MediadError as error:
            self._result.offline[name] = str(error)
            return
        try:
            self._take_carried(connection, library)
            with connection:
                row = catalogue.remember_library(connection, name, library.uuid, library.tree.root).id
            looking = Looking(
                connection,
                library,
                row,
                self._folder_of(library.tree),
                self._clock,
                self._progress,
                self._stopping,
            )
            self._result.found[name] = looking.run()
        except InterruptedError:
            raise
        except OSError as error:
            if error.errno == errno.ENOSPC:  # in the state directory: here nothing is written
                raise
            self._result.offline[name] = error.strerror or str(error)
        finally:
            library.close()

    def _take_carried(self, connection: apsw.Connection, library: OpenLibrary) -> None:
        if not backup_library.is_there(library.tree):
            return
        self._progress(f"taking in what library {library.name} carries", 0, None)
        local = self._path.parent / FOLDER / f"{library.uuid}.new"
        try:
            source = backup_library.fetch(library.tree, local, self._stopping)
            self._take_rows(connection, source, local, foreign=True)
        except SchemaTooNew:
            raise
        except (CatalogueBroken, *NONSENSE):
            backup.remove(local)
            self._result.damaged.append(Path(os.fsdecode(library.tree.absolute(backup_library.CARRIED))))

    # -- the end -------------------------------------------------------------------------------------------

    def _put_in_place(self) -> None:
        """The old catalogue is put aside with all that belongs to it, then the new one gets its name.

        Cut off between the two, there is none, and the daemon does not start (`backup.open_at_start`).
        """
        sync(self._work)
        aside = self._free_name()
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(os.fspath(self._path) + end, os.fspath(aside) + end)
                self._result.aside = aside
        sync(self._path.parent)
        os.rename(self._work, self._path)
        sync(self._path.parent)

    def _free_name(self) -> Path:
        moment, number = f"{self._clock.now():%Y%m%dT%H%M%SZ}", 1
        aside = self._path.with_name(f"{self._path.name}.before-{moment}")
        while any(Path(os.fspath(aside) + end).exists() for end in ("", "-wal", "-shm")):
            number += 1
            aside = self._path.with_name(f"{self._path.name}.before-{moment}-{number}")
        return aside


def _stamp_of(path: Path) -> Stamp | None:
    """The stamp of a catalogue that lies there, which is left as it is; None if it is damaged.

    Raises:
        SchemaTooNew: a newer mediad wrote it. CatalogueBroken: it cannot be read now, as when it is another
            user's.
    """
    try:
        with contextlib.closing(open_as_it_lies(path)) as connection:
            return stamp(connection) if is_sound(connection) else None
    except DAMAGE:
        return None
    except apsw.SQLError:  # it lacks tables
        return None
    except apsw.Error as error:
        raise CatalogueBroken(
            f"it cannot be read: {error}",
            path=os.fspath(path),
            remedy="see whose it is, and that its disk works",
        ) from error


def _copy(path: Path, target: Path, stopping: Callable[[], bool]) -> None:
    source = open_as_it_lies(path)
    try:
        copy(source, target, stopping)
    finally:
        source.close()


def _give_identity(connection: apsw.Connection, base: Stamp | None) -> None:
    """It is another catalogue than the one that it is made of, and has all of that."""
    connection.execute("UPDATE meta SET value = ? WHERE key = 'catalogue'", (uuid.uuid4().hex,))
    if base is not None and base.catalogue:
        connection.execute("INSERT OR IGNORE INTO ancestor VALUES (?)", (base.catalogue,))
        connection.execute(
            "INSERT OR REPLACE INTO taken_in SELECT id, ?, ? FROM library", (base.catalogue, base.newest)
        )
