"""Place: carry out plans, in groups, in the one order that loses nothing.

content durable -> intents committed -> names given -> their folders durable -> sources removed -> their
folders durable -> outcomes committed. `prepare` does the first, `publish` all between the two commits; both
block and run in a thread. A set is placed whole or not at all: what fails before its sources are removed is
taken back.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from mediad.errors import LibraryOffline, MediadError, SourceChanged, Stranded, printable
from mediad.files import Dirs, Files, Tree, library_error, source_error, stat_of, walk_up
from mediad.ingest import moves
from mediad.ingest.group import Group, Job, Task
from mediad.ingest.prepare import BURST, Preparer, not_linkable
from mediad.library import TMP, OpenLibrary
from mediad.model import Stat


class Placer:
    """Moves files. Blocking; every public method runs in a thread.

    Args:
        watches: the roots of the watches by name.
        syncfs: names of watches whose filesystem syncfs can be trusted on.
        stopping: true when large copies should be given up (the daemon stops).
    """

    def __init__(
        self,
        files: Files,
        watches: Mapping[str, Tree],
        syncfs: Container[str],
        stopping: Callable[[], bool],
    ) -> None:
        self._files = files
        self._watches = watches
        self._syncfs = syncfs
        self._preparer = Preparer(files, watches, syncfs, stopping)
        self._ways = self._preparer.ways

    def prepare(self, group: Group) -> None:
        """Check witnesses, make copies, and make all content durable and verified. Gives no names.

        Errors end the job that they concern; nothing is raised.
        """
        self._preparer.prepare(group)

    def discard(self, group: Group) -> None:
        """Remove the copies of jobs that came to nothing after all."""
        for job in group.jobs:
            if job.error is not None:
                self._preparer.discard(group, job)

    def publish(self, group: Group) -> None:
        """Give final names, make them durable, remove sources, make that durable.

        Must run after the intents are durable. Errors end the job that they concern.
        """
        for job in group.going:
            with job.ending():
                self._publish(group, job)
            if job.error is not None:
                self._undo(group, job)
        self._sync_libraries(group)
        for job in group.going:
            for task in job.tasks:
                if task.removes and not task.source_left:
                    with job.ending():
                        self._remove(group, task)
                if not task.source_left:
                    task.source_now = self._source_now(task)
                elif task.step.identity.sighting.kept is not None:
                    self._remove_old_reason(group, task)
        self._sync_watches(group)

    # -- between the commits --------------------------------------------------------------------------

    def _publish(self, group: Group, job: Job) -> None:
        for task in job.tasks:
            if task.name is not None:
                try:
                    self._publish_one(group, task, task.name)
                except (OSError, LibraryOffline) as error:
                    if self._folder_went(group, task.library, task.name):
                        raise SourceChanged(
                            "its folder in the library was removed while it was filed", path=task.source.path
                        ) from error
                    if isinstance(error, OSError):
                        raise library_error(error, task.name) from error
                    raise

    def _folder_went(self, group: Group, library: OpenLibrary, name: bytes) -> bool:
        """Was a folder removed, being empty, just before something came into it?"""
        try:
            folder = group.library_dirs(library).parent(name)[0]
            return self._files.fstat(folder).st_nlink == 0
        except OSError:
            return False

    def _publish_one(self, group: Group, task: Task, name: bytes) -> None:
        task.meter.enter("filing")
        library = task.library
        dirs = group.library_dirs(library)
        directory_path, _, last = name.rpartition(b"/")
        known = len(dirs.made)
        directory = dirs.make(directory_path, library.dir_mode, library.gid)
        group.made.extend((library, path) for path in dirs.made[known:])
        if task.action in ("trash", "quarantine"):
            self._write_reason(task, last, directory)
        if task.method != "copy":
            self._set_modes(task)
        if task.method == "copy":
            moves.publish_copy(task.id, library, dirs, directory, last)
            task.placed = task.copied
        elif task.method == "link":
            self._link(group, task, directory, last)
        if task.method == "take":
            self._take(group, task, directory, last)

    def _set_modes(self, task: Task) -> None:
        try:
            moves.set_modes(task.library, task.source.fd)
        except OSError as error:
            if error.errno not in moves.NO_LINK:
                raise
            raise self._copy_instead(task, "may not be given its library's mode") from None

    def _copy_instead(self, task: Task, why: str) -> MediadError:
        self._ways.unmovable.add((task.source.stat.dev, task.source.stat.ino))
        return SourceChanged(f"{why}; it is copied", path=task.source.path)

    def _link(self, group: Group, task: Task, directory: int, name: bytes) -> None:
        try:
            self._files.link(task.source.fd, name, directory)
        except OSError as error:
            if error.errno == errno.EXDEV and task.action != "hardlink":
                # a bind mount below the watch: all of it is copied from now on
                self._ways.methods[task.watch, task.source.stat.dev, task.library.name] = "copy"
                raise SourceChanged(
                    "turned out to lie on another filesystem", path=task.source.path
                ) from None
            if error.errno not in moves.NO_LINK:
                raise moves.not_linked(self._files, task.source, error, task.name or name) from error
            if task.action == "hardlink":
                raise not_linkable(task.source.path) from error
            if not task.library.can.journaled:
                raise self._copy_instead(task, "may not be linked") from None
            task.method = "take"
        else:
            task.placed = task.source.stat

    def _take(self, group: Group, task: Task, directory: int, name: bytes) -> None:
        watch = group.watch_dirs(task.watch, self._watches[task.watch])
        dirs = group.library_dirs(task.library)
        try:
            moves.take(task.source, task.id, task.library, watch, dirs)
        except OSError as error:
            if error.errno == errno.EXDEV:
                self._ways.methods[task.watch, task.source.stat.dev, task.library.name] = "copy"
                raise SourceChanged(
                    "turned out to lie on another filesystem", path=task.source.path
                ) from None
            if error.errno in moves.NO_LINK:  # in a folder of somebody else's, immutable, or no such rename
                raise self._copy_instead(task, "cannot be renamed") from None
            raise source_error(error, task.source.path) from error
        try:
            self._files.rename(moves.take_name(task.id), dirs.fd(TMP), name, directory)
        except OSError:
            home, own = watch.parent(task.source.path)
            moves.put_back(self._files, moves.take_name(task.id), dirs.fd(TMP), home, own)
            raise
        task.placed, task.source_left = task.source.stat, True

    def _write_reason(self, task: Task, name: bytes, directory: int) -> None:
        sighting = task.step.identity.sighting
        first = self._watches.get(sighting.watch)  # of what lies in quarantine already, where it came from
        origin = first.absolute(sighting.path) if first else sighting.path
        text = (
            f"{task.step.outcome}: {task.step.reason}\nfrom: {origin.decode('utf-8', 'backslashreplace')}\n"
        )
        task.reasoned = True
        try:
            moves.write_reason(self._files, name, directory, text)
        except FileExistsError:  # another's: not ours to remove
            task.reasoned = False
            raise

    def _remove_old_reason(self, group: Group, task: Task) -> None:
        """What was taken out of quarantine leaves no reason behind; a sweep finds one that stays."""
        with contextlib.suppress(OSError, MediadError):
            home, own = group.watch_dirs(task.watch, self._watches[task.watch]).parent(task.source.path)
            self._files.unlink(own + moves.REASON, home)

    def _undo(self, group: Group, job: Job) -> None:
        """Take a set back whose publishing failed: every source still has, or gets back, its name.

        What cannot be taken back strands the job: its steps stay open, and recovery finishes or reverts all.
        """
        if isinstance(job.error, Stranded):
            return
        try:
            for task in job.tasks:
                if task.name is not None:
                    self._undo_one(group, task, task.name)
        except (OSError, MediadError) as error:
            job.error = Stranded(f"could not be taken back ({error}) after: {job.error}")
        else:
            self._preparer.discard(group, job)

    def _undo_one(self, group: Group, task: Task, wanted: bytes) -> None:
        try:
            directory, name = group.library_dirs(task.library).parent(wanted)
        except (FileNotFoundError, NotADirectoryError):  # it never came to its folder
            return
        if task.placed is not None:
            home, own = group.watch_dirs(task.watch, self._watches[task.watch]).parent(task.source.path)
            if task.source_left:
                moves.put_back(self._files, name, directory, home, own)
            else:
                self._see_source(task, home, own)
                moves.withdraw(self._files, directory, name, task.placed)
            task.source_left, task.placed = False, None
        if task.reasoned:
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(name + moves.REASON, directory)

    def _see_source(self, task: Task, directory: int, name: bytes) -> None:
        """Only while the source has its name may its other exemplar go."""
        there = stat_of(self._files.stat_at(name, directory))
        if (there.dev, there.ino) != (task.source.stat.dev, task.source.stat.ino):
            raise SourceChanged("was replaced", path=task.source.path)

    def _sync_libraries(self, group: Group) -> None:
        """Make the new names durable: their folders, and every parent of a folder that was made."""
        for name, tasks in _by(lambda task: task.library.name, _placed(group)).items():
            library = tasks[0].library
            dirs = group.libraries[name]
            made = {path for owner, path in group.made if owner is library}
            folders = {task.name.rpartition(b"/")[0] for task in tasks if task.name}
            folders |= {above.rpartition(b"/")[0] for path in made for above in walk_up(path)}
            try:
                self._sync_folders(dirs, folders, whole=library.can.syncfs and len(tasks) >= BURST)
            except OSError as error:
                failure = library_error(error, library.tree.root)
                for job in group.going:
                    if any(task.library is library for task in job.tasks):
                        job.error = failure
                        self._undo(group, job)

    def _sync_watches(self, group: Group) -> None:
        for name, tasks in _by(lambda task: task.watch, _placed(group)).items():
            gone = [task for task in tasks if task.source_left]
            if not gone:
                continue
            folders = {task.source.path.rpartition(b"/")[0] for task in gone}
            try:
                self._sync_folders(
                    group.watch_dirs(gone[0].watch, self._watches[gone[0].watch]),
                    folders,
                    whole=name in self._syncfs and len(gone) >= BURST,
                )
            except (OSError, MediadError) as error:  # it may come back after a power loss: as a duplicate
                for task in gone:
                    task.note = f"its removal from the watch may not be durable: {_why(error)}"

    def _sync_folders(self, dirs: Dirs, folders: Iterable[bytes], *, whole: bool) -> None:
        if whole:
            self._files.sync_filesystem(dirs.root)
            return
        for folder in folders:
            self._files.sync_dir(dirs.fd(folder))

    def _source_now(self, task: Task) -> Stat:
        """A link has changed its ctime."""
        try:
            return stat_of(self._files.fstat(task.source.fd))
        except OSError:
            return task.source.stat

    def _remove(self, group: Group, task: Task) -> None:
        """Remove one source. Its content is durable in the library by now, so no failure can lose it.

        Raises:
            Stranded: it has neither gone nor its own name.
        """
        try:
            if task.method == "copy" and not self._copy_stands(group, task):
                task.note = "what was filed was changed at once; the source stays"
                return
            moves.remove_source(task.source, task.id, group.watch_dirs(task.watch, self._watches[task.watch]))
            task.source_left = True
        except SourceChanged as error:
            if task.method == "link":  # one inode: the library's file changes with it and must not stay
                self._take_back(group, task)
                task.failed = error
            else:
                task.note = "the source was written to after it was copied; it stays"
        except Stranded:
            raise
        except (OSError, MediadError) as error:
            task.note = f"the source could not be removed: {printable(self._absolute(task))}: {_why(error)}"
            task.lingers = True

    def _copy_stands(self, group: Group, task: Task) -> bool:
        """Is the copy as it was verified? Somebody may have written into it since it has a name."""
        if task.name is None or task.placed is None:
            return True
        try:
            directory, name = group.library_dirs(task.library).parent(task.name)
            return stat_of(self._files.stat_at(name, directory)).same_content(task.placed)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _absolute(self, task: Task) -> bytes:
        return self._watches[task.watch].absolute(task.source.path)

    def _take_back(self, group: Group, task: Task) -> None:
        """Take the library's name from a file whose source has its own again."""
        assert task.name is not None
        assert task.placed is not None
        try:
            home, own = group.watch_dirs(task.watch, self._watches[task.watch]).parent(task.source.path)
            self._see_source(task, home, own)
            directory, name = group.library_dirs(task.library).parent(task.name)
            moves.withdraw(self._files, directory, name, task.placed)
            if task.reasoned:
                self._files.unlink(name + moves.REASON, directory)
        except (OSError, MediadError) as failure:
            raise Stranded(f"could not be taken back: {failure}") from failure
        task.placed = None


def _why(error: OSError | MediadError) -> str:
    """What went wrong, without the names that we use meanwhile."""
    return error.message if isinstance(error, MediadError) else error.strerror or str(error)


def _placed(group: Group) -> list[Task]:
    return [task for job in group.going for task in job.tasks if task.placed is not None]


def _by(key: Callable[[Task], str], tasks: Sequence[Task]) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(key(task), []).append(task)
    return found
