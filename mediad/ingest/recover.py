"""Recover: finish or revert what a crash or a power cut left open in the journal.

Every open step is judged by what is on disk now, by digest. The rule: where the library has the content
under its final name the step is finished, else everything goes back to where it was and is taken anew.
Nothing is removed whose content was not read elsewhere in this very look.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from dataclasses import dataclass

from mediad.files import Dirs, Files, Tree, stat_of
from mediad.ingest import moves
from mediad.library import TMP, OpenLibrary
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
        try:
            self.fd = dirs.parent(path)[0] if dirs is not None else None
        except OSError:
            self.fd = None

    def holds(self, step: OpenStep, stopping: Callable[[], bool]) -> Stat | None:
        """The stat of the file here if it has the step's content."""
        if self.fd is None:
            return None
        try:
            fd = self.files.open_file(self.name, self.fd)
        except OSError:
            return None
        try:
            stat = stat_of(self.files.fstat(fd))
            same = (
                stat.size == step.size and moves.digest_of(self.files, fd, stat.size, stopping) == step.digest
            )
            return stat if same else None
        finally:
            self.files.close(fd)

    def exists(self) -> bool:
        if self.fd is None:
            return False
        try:
            self.files.stat_at(self.name, self.fd)
        except OSError:
            return False
        return True

    def beside(self, name: bytes) -> _Place:
        other = _Place(self.files, None, name)
        other.fd = self.fd
        return other

    def sync(self) -> None:
        if self.fd is not None:
            self.files.sync_dir(self.fd)


def recover(step: OpenStep, library: OpenLibrary, stopping: Callable[[], bool]) -> Recovered:
    """Judge and mend one open step. Blocking. Repeating it after another crash is safe.

    Raises:
        OSError: the library or the watch cannot be written now; the step stays open.
    """
    files = library.tree.files
    with contextlib.ExitStack() as stack:
        dirs = stack.enter_context(library.tree.dirs())
        watch: Dirs | None = None
        with contextlib.suppress(OSError):  # an offline watch has nothing to give back
            watch = stack.enter_context(Tree(files, step.root).dirs())
        source = _Place(files, watch, step.path)
        if step.destination is None:
            return Recovered(step, Verdict.REVERTED, source=source.holds(step, stopping))
        target = _Place(files, dirs, step.destination)
        return _Recovery(step, files, dirs, source, target, stopping).run()


@dataclass(slots=True)
class _Recovery:
    step: OpenStep
    files: Files
    dirs: Dirs
    source: _Place
    target: _Place
    stopping: Callable[[], bool]

    def run(self) -> Recovered:
        tmp = _Place(self.files, self.dirs, TMP + b"/" + moves.take_name(self.step.id))
        if tmp.exists():
            self._bring_home(tmp)
        copy = tmp.beside(moves.copy_name(self.step.id))
        placed = self.target.holds(self.step, self.stopping)
        if placed is None and copy.holds(self.step, self.stopping) and not self._source_there():
            self._publish(copy)
            placed = self.target.holds(self.step, self.stopping)
        aside = self.source.beside(moves.aside_name(self.step.id))
        if placed is not None:
            self.target.sync()
            self._finish(aside)
            verdict = Verdict.FINISHED
        else:
            self._revert(aside)
            verdict = Verdict.REVERTED
        if copy.exists():
            assert copy.fd is not None
            self.files.unlink(copy.name, copy.fd)
        self.source.sync()
        left = self.source.holds(self.step, self.stopping)
        if verdict is Verdict.REVERTED and left is None and not self.source.exists():
            verdict = Verdict.LOST_SIGHT
        return Recovered(self.step, verdict, placed, left)

    def _source_there(self) -> bool:
        return self.source.holds(self.step, self.stopping) is not None

    def _bring_home(self, tmp: _Place) -> None:
        """The only exemplar is on its way: onward if its name is free and it is unchanged, else back."""
        if tmp.holds(self.step, self.stopping) is not None and self._publish(tmp):
            return
        assert tmp.fd is not None
        if self.source.fd is not None:
            moves.put_back(self.files, tmp.name, tmp.fd, self.source.fd, self.source.name)

    def _publish(self, staged: _Place) -> bool:
        """Give a staged file its final name, making its folder if the crash came before that."""
        assert staged.fd is not None
        assert self.step.destination is not None
        directory = self.dirs.make(self.step.destination.rpartition(b"/")[0])
        self.target.fd = directory
        try:
            self.files.rename(staged.name, staged.fd, self.target.name, directory)
        except FileExistsError:
            return False
        return True

    def _finish(self, aside: _Place) -> None:
        """The library has it: the source of a move goes, if it still is that content."""
        if self.step.action not in ("move", "trash", "quarantine"):
            return
        for place in (aside, self.source):
            stat = place.holds(self.step, self.stopping)
            if stat is None or place.fd is None:
                continue
            fd = self.files.open_file(place.name, place.fd)
            try:
                source = moves.Source(fd, place.path, stat, self.step.digest, lease=False)
                assert self.source.fd is not None
                moves.remove_named(self.files, source, self.step.id, place.name, place.fd)
            finally:
                self.files.close(fd)
        if aside.exists() and aside.fd is not None:  # it had changed: it is somebody's, under its own name
            moves.put_back(self.files, aside.name, aside.fd, aside.fd, self.source.name)

    def _revert(self, aside: _Place) -> None:
        if aside.exists() and aside.fd is not None:
            moves.put_back(self.files, aside.name, aside.fd, aside.fd, self.source.name)
        if self.step.action in ("trash", "quarantine") and self.target.fd is not None:
            with contextlib.suppress(FileNotFoundError):
                self.files.unlink(self.target.name + b".reason.txt", self.target.fd)
        # A copy under its final name that is not whole cannot be ours: only verified copies are published.


def sweep(library: OpenLibrary, open_steps: set[int]) -> list[bytes]:
    """Remove copies and probes that no open step knows from `.mediad/tmp`; returns what was left there.

    Whatever else lies there may be an only exemplar and is never touched.
    """
    files = library.tree.files
    left: list[bytes] = []
    with library.tree.dirs() as dirs:
        tmp = dirs.fd(TMP)
        for name in files.list_dir(tmp):
            number, _, kind = name.partition(b".")
            if kind in (b"copy", b"probe") and number.isdigit() and int(number) not in open_steps:
                files.unlink(name, tmp)
            else:
                left.append(name)
    return left
