"""Recover: finish or revert what a crash, a power cut or a failed undo left open in the journal.

Every open step is judged by what is on disk now, by digest. The rule: where the library has all contents of
a set the set is finished, else all of it goes back to where it was and is taken anew. Nothing is removed
whose content was not read elsewhere in this very look.
"""

from __future__ import annotations

import contextlib
import enum
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mediad.errors import LibraryOffline, SourceChanged, Stranded
from mediad.files import Dirs, Files, Tree, stat_of
from mediad.ingest import moves
from mediad.library import QUARANTINE, TMP, TRASH, OpenLibrary
from mediad.model import Stat
from mediad.store.journal import OpenStep


class Verdict(enum.StrEnum):
    """What became of an open step."""

    FINISHED = "finished"
    REVERTED = "reverted"
    LOST_SIGHT = "lost sight of"  # neither source nor destination: somebody else moved it


@dataclass(frozen=True, slots=True)
class Recovered:
    """The judgement.

    Attributes:
        placed: the library file, if finished. source: the source as it stands, None if it is not there.
    """

    step: OpenStep
    verdict: Verdict
    placed: Stat | None = None
    source: Stat | None = None


class _Place:
    """One name in an opened directory, or nothing where the directory is missing."""

    def __init__(self, files: Files, dirs: Dirs | None, path: bytes) -> None:
        self.files = files
        self.path = path
        self.name = path.rpartition(b"/")[2]
        self.fd: int | None = None
        if dirs is not None:
            try:
                self.fd = dirs.parent(path)[0]
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise

    def holds(self, step: OpenStep, stopping: Callable[[], bool]) -> Stat | None:
        """The stat of the file here if it has the step's content.

        Raises:
            OSError, SourceChanged: that cannot be told now.
        """
        there = self.stat()
        if self.fd is None or there is None or there.size != step.size:
            return None
        fd = self.files.open_file(self.name, self.fd)
        try:
            stat = stat_of(self.files.fstat(fd))
            return stat if moves.digest_of(self.files, fd, step.size, stopping) == step.digest else None
        finally:
            self.files.close(fd)

    def stat(self) -> Stat | None:
        """The stat of whatever has this name, None where nothing has."""
        if self.fd is None:
            return None
        try:
            return stat_of(self.files.stat_at(self.name, self.fd))
        except FileNotFoundError:
            return None

    def beside(self, name: bytes) -> _Place:
        other = _Place(self.files, None, name)
        other.fd = self.fd
        return other

    def remove(self) -> None:
        """Take the name away, if anything has it."""
        if self.fd is not None:
            with contextlib.suppress(FileNotFoundError):
                self.files.unlink(self.name, self.fd)

    def sync(self) -> None:
        if self.fd is not None:
            self.files.sync_dir(self.fd)


def recover(
    steps: Sequence[OpenStep],
    library: OpenLibrary,
    stopping: Callable[[], bool],
    origins: Mapping[int, OpenLibrary] | None = None,
) -> list[Recovered]:
    """Judge and mend the open steps of one set in one library. Blocking. Repeating it is safe.

    Args:
        origins: the libraries that are online, by row, out of which files may have been on their way.

    Raises:
        OSError, MediadError: the library or the watch cannot be read or written now; the steps stay open.
    """
    files = library.tree.files
    with contextlib.ExitStack() as stack:
        dirs = stack.enter_context(library.tree.dirs())
        outside: Dirs | None = None
        with contextlib.suppress(FileNotFoundError):  # an offline watch has nothing to give back
            outside = stack.enter_context(Tree(files, _outside(steps[0])).dirs())
            if steps[0].home is None and steps[0].identity not in ("", files.identity(outside.root)):
                outside = None  # what it is mounted on, or another one
        cases: list[_Case] = []
        for step in steps:
            source = outside
            if step.origin is not None:
                source = dirs if step.origin == step.keeper else _origin(step, origins or {}, stack)
            target = dirs if step.library is not None else outside
            cases.append(_Case(step, files, dirs, source, target, stopping))
        if outside is None and any(_goes_outside(step) for step in steps):
            return _stay(cases)
        for case in cases:
            case.bring_in()
        # With the watch away nothing can go back: what the library has, it keeps.
        finish = (outside is None and steps[0].origin is None) or all(
            case.placed or case.step.lies_still for case in cases
        )
        return [case.end(finish=finish) for case in cases]


def _goes_outside(step: OpenStep) -> bool:
    return step.library is None and step.destination is not None


def _stay(cases: Sequence[_Case]) -> list[Recovered]:
    """The folder that they go back to is away, or another one is in its place: who is still here, stays.

    What was put there already is a newcomer when the folder comes back.
    """
    for case in cases:
        if _goes_outside(case.step) and not case.is_here():
            raise LibraryOffline("its folder is away, where it goes back to", path=case.step.root)
    return [case.stay() for case in cases]


def _outside(step: OpenStep) -> bytes:
    """The folder that the files came from: a watch, or a quarantine, whose library may have moved since."""
    return step.root if step.home is None else step.home + b"/" + QUARANTINE


def _origin(step: OpenStep, origins: Mapping[int, OpenLibrary], stack: contextlib.ExitStack) -> Dirs:
    """The library that a file was on its way out of, into another one."""
    origin = origins.get(step.origin or 0)
    if origin is None:
        raise LibraryOffline("the library that it comes from is away", path=step.path)
    return stack.enter_context(origin.tree.dirs())


class _Case:
    """One open step and the places where its file may be.

    Args:
        dirs: the library's. source, target: of the folders below which it was, and goes to.
    """

    def __init__(
        self,
        step: OpenStep,
        files: Files,
        dirs: Dirs,
        source: Dirs | None,
        target: Dirs | None,
        stopping: Callable[[], bool],
    ) -> None:
        self.step = step
        self.placed: Stat | None = None
        self._files = files
        self._dirs = target or dirs
        self._stopping = stopping
        self._source = _Place(files, source, step.path)
        self._aside = self._source.beside(moves.aside_name(step.id))
        self._target = _Place(files, target, step.destination or b"")
        self._take = _Place(files, dirs, TMP + b"/" + moves.take_name(step.id))
        if step.library is not None or step.destination is None:
            self._copy = self._take.beside(moves.copy_name(step.id))
        else:
            self._copy = self._target.beside(moves.aside_name(step.id))
        self._private = _private(step.destination if step.library is not None else None)
        self._moves = not step.keeps if step.shifts else self._private or step.action == "move"

    def end(self, *, finish: bool) -> Recovered:
        """Finish or revert it."""
        if self.step.shifts and self.step.lies_still:
            return self._nothing_moves(finish=finish)
        return self.finish() if self.placed and finish else self.revert()

    def is_here(self) -> bool:
        """Has it not left the library out of which it goes?"""
        return any(self._held_by(place) for place in (self._source, self._aside, self._take))

    def stay(self) -> Recovered:
        """Revert it where nothing is known of the folder outside."""
        if self.step.lies_still:
            return Recovered(self.step, Verdict.REVERTED)
        if not _goes_outside(self.step):
            self.bring_in()
        return self.revert()

    def _nothing_moves(self, *, finish: bool) -> Recovered:
        """What was to be removed and is still there stays; else all there was to do was to write it down,
        which is not done where others of its set go back.
        """
        if self.step.action == "expire":
            self._come_home(self._aside)
            if self._held_by(self._source) is not None:
                return Recovered(self.step, Verdict.REVERTED)
            self._drop_reason(self._source)
        elif not finish:
            return Recovered(self.step, Verdict.REVERTED)
        return Recovered(self.step, Verdict.FINISHED)

    def _drop_reason(self, place: _Place) -> None:
        place.beside(place.name + moves.REASON).remove()

    def bring_in(self) -> None:
        """See whether the library has the content; what was on its way as the only exemplar goes on."""
        if self.step.destination is None or self.step.lies_still:
            return
        self.placed = self._held_by(self._target)
        for staged in (self._take, self._copy):
            only = staged is self._take or not (self._held_by(self._source) or self._held_by(self._aside))
            if self.placed is None and only and self._held_by(staged):
                self._publish(staged, self.step.destination)

    def _held_by(self, place: _Place) -> Stat | None:
        return place.holds(self.step, self._stopping)

    def _publish(self, staged: _Place, destination: bytes) -> None:
        """Give a staged file its final name, making its folder if the crash came before that."""
        assert staged.fd is not None
        self._target.fd = self._dirs.make(destination.rpartition(b"/")[0])
        try:
            moves.rename_new(self._files, staged.name, staged.fd, self._target.name, self._target.fd)
        except FileExistsError:  # another file's: this one goes back
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # which its own attempt would have met with, too
                raise
        else:
            self.placed = self._held_by(self._target)

    def finish(self) -> Recovered:
        """The library has it: the source of a move goes, if it still is that content."""
        if self._private and self._reason.stat() is None:
            assert self._target.fd is not None
            text = f"{self.step.action}: finished after a crash\n"
            moves.write_reason(self._files, self._target.name, self._target.fd, text)
        self._target.sync()
        if self._moves:
            for place in (self._aside, self._source):
                self._remove(place)
        self._come_home(self._aside)  # it had changed: it is somebody's, under its own name
        if self.step.shifts and _private(self.step.path) and self._source.stat() is None:
            self._drop_reason(self._source)
        self._copy.remove()
        self._source.sync()
        placed = self._target.stat() or self.placed  # whose ctime has changed with its other name's end
        return Recovered(self.step, Verdict.FINISHED, placed, self._held_by(self._source))

    def _remove(self, place: _Place) -> None:
        stat = self._held_by(place)
        if stat is None or place.fd is None:
            return
        fd = self._files.open_file(place.name, place.fd)
        try:
            source = moves.Source(fd, self.step.path, stat, self.step.digest, lease=False)
            with contextlib.suppress(SourceChanged):  # in this moment; it is back under its name
                moves.remove_named(self._files, source, self.step.id, place.name, place.fd)
        finally:
            self._files.close(fd)

    def revert(self) -> Recovered:
        """All goes back, as if it had never been tried; but what was copied and has no source left stays."""
        self._come_home(self._aside)
        self._come_home(self._take)
        source, target = self._source.stat(), self._target.stat()
        if source and target and (source.dev, source.ino) == (target.dev, target.ino):
            self._target.remove()  # our own link, whatever was written into it since
        elif self.placed is not None and self._held_by(self._source) is not None:
            self._target.remove()
        elif self.placed is not None and self._moves:
            self._come_home(self._target)
        elif self.placed is not None:
            return self.finish()
        if self._private:
            self._reason.remove()
        self._copy.remove()
        self._target.sync()
        self._source.sync()
        left = self._held_by(self._source)
        gone = left is None and self._source.stat() is None
        return Recovered(self.step, Verdict.LOST_SIGHT if gone else Verdict.REVERTED, None, left)

    def _come_home(self, place: _Place) -> None:
        """Give a file on its way its place in the watch again."""
        if place.stat() is None:
            return
        if self._source.fd is None or place.fd is None:
            raise Stranded("its watch is away, where it has to go back to", path=self.step.path)
        moves.put_back(self._files, place.name, place.fd, self._source.fd, self._source.name)

    @property
    def _reason(self) -> _Place:
        return self._target.beside(self._target.name + moves.REASON)


def _private(path: bytes | None) -> bool:
    """Is it in trash or quarantine?"""
    return path is not None and path.startswith((TRASH + b"/", QUARANTINE + b"/"))


def sweep(library: OpenLibrary, keep: Callable[[int], bool]) -> list[bytes]:
    """Remove copies and probes from `.mediad/tmp`, of which nobody needs any; returns what was left there.

    Whatever else lies there may be an only exemplar and is never touched.

    Args:
        keep: says of a step's id that its files are still needed.
    """
    if library.only_read:
        return []
    files = library.tree.files
    left: list[bytes] = []
    with library.tree.dirs() as dirs:
        tmp = dirs.fd(TMP)
        for name in files.list_dir(tmp):
            number, _, kind = name.partition(b".")
            if kind in (b"copy", b"probe", b"take") and number.isdigit() and keep(int(number)):
                continue
            if kind in (b"copy", b"probe") and number.isdigit():
                files.unlink(name, tmp)
            else:
                left.append(name)
    return left


def sweep_reasons(library: OpenLibrary) -> None:
    """Remove reasons in trash and quarantine whose file has left. Only while nothing is on its way there."""
    if library.only_read:
        return
    files = library.tree.files
    with library.tree.dirs() as dirs:
        for folder in (TRASH, QUARANTINE):
            fd = dirs.fd(folder)
            names = set(files.list_dir(fd))
            for name in names:
                if name.endswith(moves.REASON) and name.removesuffix(moves.REASON) not in names:
                    files.unlink(name, fd)
