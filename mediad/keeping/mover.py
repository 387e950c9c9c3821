"""Mover: takes files from one spot to another, in groups, in the one order that loses nothing.

names given -> their folders durable -> sources removed -> their folders durable. A set is moved whole or not
at all: what fails before its sources are removed is taken back. All of it runs between the two commits,
blocks, and runs in a thread.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Mapping

from mediad.errors import MediadError, NameTaken, SourceChanged, Stranded, printable
from mediad.files import Dirs, Files, library_error, source_error, stat_of, walk_up
from mediad.ingest import moves
from mediad.keeping.change import Spot
from mediad.keeping.trip import Load, Trip, Work
from mediad.library import TMP, OpenLibrary


class Mover:
    """Moves files.

    Args:
        libraries: gives those that are online, by row.
        stopping: true when long reads and copies should be given up.
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

    def move(self, trip: Trip) -> None:
        """Give names, make them durable, remove sources, make that durable.

        Must run after the intents are durable. Errors end the set that they concern.
        """
        for load in trip.going:
            with load.ending():
                for work in load.works:
                    self._place(trip, work)
            if load.error is not None:
                self._take_back(trip, load)
        self._sync_targets(trip)
        for load in trip.going:
            with load.ending():
                for work in load.works:
                    self._remove(trip, work)
            if load.error is not None:
                self._take_back(trip, load)
        self._sync_sources(trip)
        for load in trip.going:
            for work in load.works:
                self._look_back(trip, work)

    def _place(self, trip: Trip, work: Work) -> None:
        spot = work.target
        if spot is None:
            return
        assert work.source is not None
        directory, name = self._folder(trip, spot)
        if spot.private:
            self._write_reason(work, name, directory)
        try:
            if work.shift.keeps:
                raise OSError(errno.EXDEV, "a copy")
            if work.shift.source.library is None:  # whoever put it there may never have synced it
                self._files.sync_file(work.source.fd)
            self._set_modes(work, spot)
            self._files.link(work.source.fd, name, directory)
            work.placed = work.source.stat
        except FileExistsError as error:
            raise NameTaken("its place is taken", path=spot.absolute) from error
        except OSError as error:
            if error.errno != errno.EXDEV and error.errno not in moves.NO_LINK:
                raise self._refusal(error, spot) from error
            if error.errno == errno.EXDEV or not self._taken(trip, work, directory, name):
                self._copy(trip, work, directory, name)

    def _set_modes(self, work: Work, spot: Spot) -> None:
        """What comes into a library gets its group and mode."""
        assert work.source is not None
        if spot.public and work.shift.source.library != spot.library:
            assert spot.library is not None
            moves.set_modes(self._libraries()[spot.library], work.source.fd)

    @staticmethod
    def _refusal(error: OSError, spot: Spot) -> MediadError:
        return library_error(error, spot.absolute)

    def _folder(self, trip: Trip, spot: Spot) -> tuple[int, bytes]:
        dirs = trip.folders(spot)
        folder, _, name = spot.path.rpartition(b"/")
        known = len(dirs.made)
        library = self._libraries().get(spot.library) if spot.library is not None else None
        try:
            if spot.public and library is not None:
                directory = dirs.make(folder, library.dir_mode, library.gid)
            else:
                directory = dirs.make(folder)
        except OSError as error:
            raise self._refusal(error, spot) from error
        if spot.public and spot.library is not None:
            trip.made.update((spot.library, path) for path in dirs.made[known:])
        return directory, name

    def _write_reason(self, work: Work, name: bytes, directory: int) -> None:
        shift = work.shift
        text = f"{shift.action}: {shift.reason}\n"
        if shift.action == "undo" and shift.will_be.get("reason"):  # why it is there again
            text += f"reason: {shift.will_be['reason']}\n"
        text += f"from: {printable(shift.source.absolute)}\n"
        work.reasoned = True
        try:
            moves.write_reason(self._files, name, directory, text)
        except FileExistsError:  # another's: not ours to remove
            work.reasoned = False
            raise

    def _taken(self, trip: Trip, work: Work, directory: int, name: bytes) -> bool:
        """By renaming, where links are impossible; False where that is, too, or a power cut could lose it."""
        if not self._home(trip, work)[0].can.journaled:
            return False
        try:
            self._take(trip, work, directory, name)
        except OSError as error:
            if error.errno != errno.EXDEV and error.errno not in moves.NO_LINK:
                raise
            return False
        return True

    def _take(self, trip: Trip, work: Work, directory: int, name: bytes) -> None:
        """Through the library's `tmp`, so that another file that has the source's name comes back."""
        assert work.source is not None
        library, dirs = self._home(trip, work)
        moves.take(work.source, work.id, library, trip.folders(work.shift.source), dirs)
        try:
            self._files.rename(moves.take_name(work.id), dirs.fd(TMP), name, directory)
        except OSError:
            home, own = trip.parent(work.shift.source)
            moves.put_back(self._files, moves.take_name(work.id), dirs.fd(TMP), home, own)
            raise
        work.placed, work.left = work.source.stat, True

    def _home(self, trip: Trip, work: Work) -> tuple[OpenLibrary, Dirs]:
        """The library in whose `tmp` it is while on its way: its own, else that into which it goes."""
        assert work.target is not None
        spot = work.target if work.target.library is not None else work.shift.source
        assert spot.library is not None
        return self._libraries()[spot.library], trip.folders(spot)

    def _copy(self, trip: Trip, work: Work, directory: int, name: bytes) -> None:
        assert work.source is not None
        assert work.target is not None
        if work.target.library is not None:
            staged, stage = moves.copy_name(work.id), trip.folders(work.target).fd(TMP)
        else:
            staged, stage = moves.aside_name(work.id), directory
        try:
            moves.copy_file(
                self._files,
                work.source,
                staged,
                stage,
                self._stopping,
                finish=lambda fd: self._finish_copy(work, fd),
            )
            copy = moves.verify_file(self._files, work.source, staged, stage, self._stopping)
            moves.rename_new(self._files, staged, stage, name, directory)
        except InterruptedError:
            self._discard(work, staged, stage)
            raise
        except FileExistsError as error:
            self._discard(work, staged, stage)
            raise NameTaken("its place is taken", path=work.target.absolute) from error
        except OSError as error:
            self._discard(work, staged, stage)
            raise self._refusal(error, work.target) from error
        work.placed = copy

    def _finish_copy(self, work: Work, fd: int) -> None:
        assert work.target is not None
        if work.target.public and work.target.library is not None:
            moves.set_modes(self._libraries()[work.target.library], fd)
        self._files.sync_file(fd)

    def _discard(self, work: Work, staged: bytes, stage: int) -> None:
        """Remove a copy that came to nothing. A library's `tmp` is swept; elsewhere only recovery finds it,
        if its step is open.
        """
        try:
            self._files.unlink(staged, stage)
        except FileNotFoundError:
            return
        except OSError as error:
            if work.target is not None and work.target.library is None:
                raise Stranded(f"a copy stays behind: {error.strerror}", path=work.target.absolute) from error

    def _sync_targets(self, trip: Trip) -> None:
        """Make the new names durable, with every new folder above them."""
        loads: dict[tuple[bytes, bytes], list[Load]] = {}
        for load in trip.going:
            for work in load.works:
                if work.target is not None and work.placed is not None:
                    for folder in self._new_names_in(trip, work.target):
                        loads.setdefault((work.target.root, folder), []).append(load)
        for (root, folder), concerned in loads.items():
            try:
                self._files.sync_dir(trip.dirs[root].fd(folder))
            except OSError as error:
                for load in concerned:
                    load.error = load.error or library_error(error, root)
        for load in {id(load): load for some in loads.values() for load in some}.values():
            if load.error is not None:
                self._take_back(trip, load)

    def _new_names_in(self, trip: Trip, spot: Spot) -> set[bytes]:
        made = set(trip.folders(spot).made)
        above = {path.rpartition(b"/")[0] for path in walk_up(spot.path) if path in made}
        return {spot.path.rpartition(b"/")[0], *above}

    def _remove(self, trip: Trip, work: Work) -> None:
        """Remove one source: its content is durable at its target by now. What expires just goes."""
        if work.left or work.shift.keeps or (work.target is None and work.shift.action != "expire"):
            return
        assert work.source is not None
        if work.target is not None and not self._stands(trip, work):
            raise SourceChanged("was changed as soon as it was there", path=work.target.absolute)
        try:
            gone = moves.remove_source(work.source, work.id, trip.folders(work.shift.source))
        except OSError as error:
            raise source_error(error, work.shift.source.absolute) from error
        if not gone:
            raise SourceChanged("was replaced meanwhile", path=work.shift.source.absolute)
        work.left = True

    def _stands(self, trip: Trip, work: Work) -> bool:
        """Is the file at its target as it was put there? Somebody may have written into it since."""
        assert work.target is not None
        assert work.placed is not None
        directory, name = trip.parent(work.target)
        try:
            return stat_of(self._files.stat_at(name, directory)).same_content(work.placed)
        except FileNotFoundError:
            return False

    def _take_back(self, trip: Trip, load: Load) -> None:
        """Bring a set back whose move failed: every source still has, or gets back, its name.

        What cannot be taken back strands the set: its steps stay open, and recovery finishes or reverts all.
        """
        if isinstance(load.error, Stranded):
            return
        try:
            for work in load.works:
                self._take_one_back(trip, work)
        except (OSError, MediadError) as error:
            load.error = Stranded(f"could not be taken back ({error}) after: {load.error}")
            return
        for spot in {spot for work in load.works for spot in (work.target, work.shift.source) if spot}:
            with contextlib.suppress(OSError, MediadError):  # else a power cut may show the file twice
                self._files.sync_dir(trip.parent(spot)[0])

    def _take_one_back(self, trip: Trip, work: Work) -> None:
        spot = work.target
        if work.placed is not None and spot is not None and work.source is not None:
            directory, name = trip.parent(spot)
            home, own = trip.parent(work.shift.source)
            if work.left:
                moves.rename_new(self._files, name, directory, own, home)
            else:
                self._see_source(work, home, own)
                if self._stands(trip, work) or work.placed == work.source.stat:
                    moves.withdraw(self._files, directory, name, work.placed)
            work.placed, work.left = None, False
        elif work.left:
            raise Stranded("it has been removed already", path=work.shift.source.absolute)
        if work.reasoned and spot is not None:
            directory, name = trip.parent(spot)
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(name + moves.REASON, directory)

    def _see_source(self, work: Work, directory: int, name: bytes) -> None:
        """Only while the source has its name may its other exemplar go."""
        assert work.source is not None
        there = stat_of(self._files.stat_at(name, directory))
        if (there.dev, there.ino) != (work.source.stat.dev, work.source.stat.ino):
            raise SourceChanged("was replaced", path=work.shift.source.absolute)

    def _sync_sources(self, trip: Trip) -> None:
        """A removal that is not durable may come undone by a power cut: then the file is there twice."""
        left: dict[tuple[bytes, bytes], list[Work]] = {}
        for work in (work for load in trip.going for work in load.works if work.left):
            spot = work.shift.source
            left.setdefault((spot.root, spot.path.rpartition(b"/")[0]), []).append(work)
        for (root, folder), works in left.items():
            try:
                self._files.sync_dir(trip.dirs[root].fd(folder))
            except OSError as error:
                for work in works:
                    work.note = f"its removal from there may not be durable: {error.strerror}"

    def _look_back(self, trip: Trip, work: Work) -> None:
        """How the file stands now, and what is left of the place that it had."""
        if work.placed is not None and work.target is not None:
            with contextlib.suppress(OSError):
                directory, name = trip.parent(work.target)
                there = stat_of(self._files.stat_at(name, directory))
                work.placed = there if there.ino == work.placed.ino else work.placed
        spot = work.shift.source
        if not work.left:
            return
        if spot.private:
            with contextlib.suppress(OSError):  # a sweep finds one that stays
                directory, name = trip.parent(spot)
                self._files.unlink(name + moves.REASON, directory)
        elif spot.library is not None:
            trip.emptied.update(
                (spot.library, spot.root, path) for path in walk_up(spot.path.rpartition(b"/")[0])
            )
