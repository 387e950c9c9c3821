"""Examine: everything that is to be moved is opened and read before anything is done. Blocks."""

from __future__ import annotations

import errno
import stat as stat_module
from collections.abc import Callable, Mapping

from mediad.errors import (
    LibraryOffline,
    MediadError,
    NameTaken,
    NotPermitted,
    SourceBusy,
    SourceChanged,
    SourceGone,
    WitnessFailed,
    printable,
)
from mediad.files import Files, library_error, source_error, stat_of
from mediad.ingest import moves
from mediad.keeping.change import Change, Proof, Shift, Spot
from mediad.keeping.trip import Trip, Work
from mediad.library import OpenLibrary


class Examiner:
    """Opens files and reads them.

    Args:
        libraries: gives those that are online, by row.
        stopping: true when long reads should be given up.
    """

    def __init__(
        self,
        files: Files,
        libraries: Callable[[], Mapping[int, OpenLibrary]],
        stopping: Callable[[], bool],
    ) -> None:
        self._files = files
        self._libraries = libraries
        self._stopping = stopping

    def examine(self, trip: Trip, *, read: bool = True) -> None:
        """Open every source and read it, see that its target is free and its proof holds. Changes nothing.

        Args:
            read: if not, only sizes are compared.
        """
        for load in trip.going:
            with load.ending():
                whatever = _redates(load.change)
                for work in load.works:
                    self._examine(trip, work, read=read, whatever=whatever)

    def _examine(self, trip: Trip, work: Work, *, read: bool, whatever: bool) -> None:
        shift = work.shift
        work.source = self._opened(trip, shift, read=read, whatever=whatever)
        if shift.proof is not None:
            self._see_proof(trip, work, shift.proof, read=read)
        if work.target is not None:
            self._see_free(trip, work.target)

    def _opened(self, trip: Trip, shift: Shift, *, read: bool, whatever: bool) -> moves.Source:
        spot = shift.source
        try:
            directory, name = trip.parent(spot)
            fd = self._files.open_file(name, directory)
        except OSError as error:
            raise self._gone(error, spot) from error
        try:
            found = self._files.fstat(fd)
            if not stat_module.S_ISREG(found.st_mode):
                raise SourceChanged("is no regular file any more", path=spot.absolute)
            source = moves.Source(fd, spot.path, stat_of(found), shift.digest, trip.leases_tell(spot))
            if (shift.moves or shift.action == "expire") and not shift.keeps:
                self._see_removable(fd, directory, spot)
            if not whatever:
                self._see_content(source, shift, read=read)
        except BaseException:
            self._files.close(fd)
            raise
        return source

    def _see_removable(self, fd: int, directory: int, spot: Spot) -> None:
        if not self._files.may_remove(fd, directory):
            raise NotPermitted("may not be removed from its folder", path=spot.absolute)

    def _gone(self, error: OSError, spot: Spot) -> MediadError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return SourceGone("is not there any more", path=spot.absolute, remedy=_accepting(spot))
        if spot.library is None:
            return source_error(error, spot.absolute)
        return library_error(error, spot.absolute)

    def _see_content(self, source: moves.Source, shift: Shift, *, read: bool) -> None:
        path = shift.source.absolute
        if source.lease and self._written_to(source.fd):
            raise SourceBusy("is open for writing", path=path, remedy="try again when it is closed")
        alike = source.stat.size == shift.size and shift.mtime_ns in (None, source.stat.mtime_ns)
        if alike and read:
            alike = moves.digest_of(self._files, source.fd, shift.size, self._stopping) == shift.digest
        if not alike:
            raise SourceChanged("was changed since", path=path, remedy=_accepting(shift.source))

    def _written_to(self, fd: int) -> bool:
        try:
            return self._files.held_open(fd)
        except OSError:  # no lease to be had here: content and times have to do
            return False

    def _see_proof(self, trip: Trip, work: Work, proof: Proof, *, read: bool) -> None:
        """Read the other files now: what rests on them is done only while one has the same content."""
        failure = WitnessFailed("no other file has its content", path=work.shift.source.absolute)
        for spot in proof.spots:
            try:
                self._see_one(trip, work, spot, shared=proof.shared, read=read)
            except WitnessFailed as error:
                failure = error
            else:
                return
        raise failure

    def _see_one(self, trip: Trip, work: Work, spot: Spot, *, shared: bool, read: bool) -> None:
        assert work.source is not None
        try:
            directory, name = trip.parent(spot)
            fd = self._files.open_file(name, directory)
        except (OSError, SourceGone) as error:
            raise WitnessFailed("is gone, so this is the only copy", path=spot.absolute) from error
        try:
            there, ours = stat_of(self._files.fstat(fd)), work.source.stat
            if (there.dev, there.ino) == (ours.dev, ours.ino):
                if shared:
                    return
                raise WitnessFailed("is the very same file", path=spot.absolute)
            alike = there.size == ours.size
            if alike and read:
                alike = moves.digest_of(self._files, fd, there.size, self._stopping) == work.shift.digest
            if not alike:
                raise WitnessFailed("has other content now, so this is the only copy", path=spot.absolute)
        finally:
            self._files.close(fd)

    def _see_free(self, trip: Trip, spot: Spot) -> None:
        if spot.library is not None and spot.library not in self._libraries():
            raise LibraryOffline("its library is not online", path=spot.root)
        try:
            dirs = trip.folders(spot)
        except OSError as error:
            raise SourceGone(
                "its folder is away", path=spot.root, remedy="mount or make it, then try again"
            ) from error
        try:
            directory, name = dirs.parent(spot.path)
            self._files.stat_at(name, directory)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            pass
        raise NameTaken("its place is taken", path=spot.absolute)


def _redates(change: Change) -> bool:
    """Has it nothing to do but with the catalogue? Then it does not matter what is in the files by now."""
    dated = "taken" in change.shifts[0].will_be
    return dated and all(not shift.moves and shift.action in ("date", "undo") for shift in change.shifts)


def _accepting(spot: Spot) -> str:
    """What to do where a library's own file is not as it was."""
    if not spot.public:
        return ""
    return f"if that is right: mediactl verify --accept {printable(spot.absolute)}"
