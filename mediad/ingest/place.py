"""Place: carry out plans, in groups, in the one order that loses nothing.

content durable -> intents committed -> names given -> their folders durable -> sources removed -> their
folders durable -> outcomes committed. `prepare` does the first, `publish` all between the two commits; both
block and run in a thread. A set is placed whole or not at all: what fails before its sources are removed is
taken back.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

from mediad.errors import (
    CannotLink,
    InputOutput,
    MediadError,
    SourceChanged,
    SourceGone,
    Stranded,
    WitnessFailed,
)
from mediad.files import Dirs, Files, Tree, library_error, source_error, stat_of, walk_up
from mediad.ingest import moves
from mediad.ingest.group import Group, Job, Task
from mediad.library import TMP, OpenLibrary
from mediad.model import Holder, Stat

_BURST = 8  # files on one filesystem from which one syncfs is cheaper than an fsync each


@contextlib.contextmanager
def _ending(job: Job) -> Iterator[None]:
    """What goes wrong inside ends this job, and no other."""
    try:
        yield
    except MediadError as error:
        job.error = error
    except InterruptedError:
        job.error = SourceChanged("was handed back because mediad stops")
    except OSError as error:
        job.error = InputOutput(error.strerror or str(error), path=job.plan.set.principal.sighting.path)


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
        self._stopping = stopping
        self._methods: dict[tuple[str, int, str], str] = {}
        self._unmovable: set[tuple[int, int]] = set()

    def prepare(self, group: Group) -> None:
        """Check witnesses, make copies, and make all content durable and verified. Gives no names.

        Errors end the job that they concern; nothing is raised.
        """
        for job in group.jobs:
            with _ending(job):
                self._prepare(group, job)
        self._sync_content(group)
        for job in group.going:
            with _ending(job):
                self._verify(group, job)
        for job in group.jobs:
            if job.error is not None:
                self._discard(group, job)

    def publish(self, group: Group) -> None:
        """Give final names, make them durable, remove sources, make that durable.

        Must run after the intents are durable. Errors end the job that they concern.
        """
        for job in group.going:
            with _ending(job):
                self._publish(group, job)
            if job.error is not None:
                self._undo(group, job)
        self._sync_libraries(group)
        for job in group.going:
            for task in job.tasks:
                if task.removes and not task.source_left:
                    with _ending(job):
                        self._remove(group, task)
                if not task.source_left:
                    task.source_now = self._source_now(task)
        self._sync_watches(group)

    def _watch_dirs(self, group: Group, task: Task) -> Dirs:
        if task.watch not in group.watches:
            try:
                group.watches[task.watch] = self._watches[task.watch].dirs()
            except OSError as error:
                raise source_error(error, self._watches[task.watch].root) from error
        return group.watches[task.watch]

    def _library_dirs(self, group: Group, library: OpenLibrary) -> Dirs:
        if library.name not in group.libraries:
            try:
                group.libraries[library.name] = library.tree.dirs()
            except OSError as error:
                raise library_error(error, library.tree.root) from error
        return group.libraries[library.name]

    # -- before the intents ---------------------------------------------------------------------------

    def _prepare(self, group: Group, job: Job) -> None:
        if job.witness is not None and job.plan.witness is not None:
            holders = (job.plan.witness, *(task.step.proof for task in job.tasks if task.step.proof))
            for holder in dict.fromkeys(holders):
                self._check_witness(group, job, job.witness, holder)
        for task in job.tasks:
            task.action = task.action or task.step.action
            if task.name is None:
                continue
            if job.held.attempts == 0:  # an earlier attempt may have changed its ctime
                self._see_unchanged(task.source)
            task.method = self._choose(group, task)
            if task.method == "copy":
                self._copy(group, task)

    def _see_unchanged(self, source: moves.Source) -> None:
        """By ctime too, as long as we have not changed it: it tells of a writer that resets mtime."""
        if stat_of(self._files.fstat(source.fd)) != source.stat:
            raise SourceChanged("changed after it was hashed", path=source.path)

    def _check_witness(self, group: Group, job: Job, library: OpenLibrary, holder: Holder) -> None:
        """Read the library's file now: only an other inode with the same bytes makes a duplicate."""
        dirs = self._library_dirs(group, library)
        try:
            directory, name = dirs.parent(holder.path)
            fd = self._files.open_file(name, directory)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
                job.failed_witness = holder
                raise WitnessFailed("is gone", path=holder.path) from error
            raise library_error(error, holder.path) from error
        try:
            there = stat_of(self._files.fstat(fd))
            for task in job.tasks:
                if task.step.proof != holder:
                    continue
                source = task.source
                if (there.dev, there.ino) == (source.stat.dev, source.stat.ino):
                    self._leave(job.tasks if task is job.tasks[0] else [task])
                elif (
                    there.size != source.stat.size
                    or moves.digest_of(self._files, fd, there.size, self._stopping) != source.digest
                ):
                    job.failed_witness = holder
                    raise WitnessFailed("has other content now", path=holder.path)
        finally:
            self._files.close(fd)

    @staticmethod
    def _leave(tasks: Sequence[Task]) -> None:
        for task in tasks:
            if task.step.action == "trash":
                task.action, task.name = "leave", None
                task.note = "it is the very same file as the library's (a hard link)"

    def _choose(self, group: Group, task: Task) -> str:
        inode = (task.source.stat.dev, task.source.stat.ino)
        if task.action == "copy" or inode in self._unmovable:
            self._unmovable.discard(inode)
            return "copy"
        known = self._methods.get((task.watch, task.source.stat.dev, task.library.name))
        method = known or self._try_link(group, task)
        if task.action == "hardlink" and method != "link":
            raise CannotLink("cannot be hard-linked into its library", path=task.source.path)
        if method == "link" and task.removes and not self._may_leave(group, task):
            return "copy"  # it will stay: as a link, whoever changes it would change the library's file
        return method

    def _may_leave(self, group: Group, task: Task) -> bool:
        try:
            return self._files.may_change(self._watch_dirs(group, task).parent(task.source.path)[0])
        except OSError as error:
            raise source_error(error, task.source.path) from error

    def _try_link(self, group: Group, task: Task) -> str:
        """Find out by trying how files get from this watch into this library."""
        tmp = self._library_dirs(group, task.library).fd(TMP)
        probe = b"%d.probe" % task.id
        try:
            self._files.link(task.source.fd, probe, tmp)
        except OSError as error:
            if error.errno == errno.EXDEV:
                method = "copy"
            elif error.errno in moves.NO_LINK:
                return "take"
            else:
                raise self._not_linked(task, error, task.library.tree.root) from error
        else:
            self._files.unlink(probe, tmp)
            method = "link"
        self._methods[task.watch, task.source.stat.dev, task.library.name] = method
        return method

    def _not_linked(self, task: Task, error: OSError, path: bytes) -> MediadError:
        """A file whose last name went cannot be linked: ENOENT then says nothing of the library."""
        if error.errno == errno.ENOENT and self._files.fstat(task.source.fd).st_nlink == 0:
            return SourceGone("was deleted or replaced while it was filed", path=task.source.path)
        return library_error(error, path)

    def _copy(self, group: Group, task: Task) -> None:
        try:
            moves.make_copy(
                task.source, task.id, task.library, self._library_dirs(group, task.library), self._stopping
            )
        except InterruptedError:
            raise
        except OSError as error:
            raise library_error(error, task.source.path) from error
        task.staged = True

    def _sync_content(self, group: Group) -> None:
        """Make what was staged durable, and sources that travel by name: the uploader may never have."""
        copies: dict[str, list[tuple[Job, Task]]] = {}
        sources: dict[tuple[str, int], list[tuple[Job, Task]]] = {}
        for job in group.going:
            for task in job.tasks:
                if task.method == "copy":
                    copies.setdefault(task.library.name, []).append((job, task))
                elif task.method:
                    sources.setdefault((task.watch, task.source.stat.dev), []).append((job, task))
        for (watch, _), pairs in sources.items():
            whole = watch in self._syncfs and len(pairs) >= _BURST
            self._sync_each(pairs, lambda task: task.source.fd, whole=whole)
        for pairs in copies.values():
            self._sync_copies(group, pairs)

    def _sync_copies(self, group: Group, pairs: list[tuple[Job, Task]]) -> None:
        library = pairs[0][1].library
        tmp = self._library_dirs(group, library).fd(TMP)
        fds: dict[int, int] = {}
        try:
            for job, task in pairs:
                with _ending(job):
                    fds[task.id] = self._files.open_file(moves.copy_name(task.id), tmp)
            ready = [(job, task) for job, task in pairs if task.id in fds]
            whole = library.can.syncfs and len(ready) >= _BURST
            self._sync_each(ready, lambda task: fds[task.id], whole=whole)
        finally:
            for fd in fds.values():
                self._files.close(fd)

    def _sync_each(self, pairs: list[tuple[Job, Task]], fd_of: Callable[[Task], int], *, whole: bool) -> None:
        """One syncfs for all, or an fsync each. A failed sync is final for its pages: the job ends."""
        if whole:
            try:
                self._files.sync_filesystem(fd_of(pairs[0][1]))
            except OSError as error:
                for job, task in pairs:
                    job.error = job.error or library_error(error, task.source.path)
            return
        for job, task in pairs:
            with _ending(job):
                self._files.sync_file(fd_of(task))

    def _verify(self, group: Group, job: Job) -> None:
        for task in job.tasks:
            if task.method == "copy":
                dirs = self._library_dirs(group, task.library)
                task.copied = moves.verify_copy(task.source, task.id, task.library, dirs)

    def _discard(self, group: Group, job: Job) -> None:
        """Remove copies that were staged for nothing."""
        for task in job.tasks:
            if task.staged and task.placed is None:
                tmp = self._library_dirs(group, task.library).fd(TMP)
                with contextlib.suppress(OSError):  # recovery sweeps what cannot be removed now
                    self._files.unlink(moves.copy_name(task.id), tmp)

    # -- between the commits --------------------------------------------------------------------------

    def _publish(self, group: Group, job: Job) -> None:
        for task in job.tasks:
            if task.name is not None:
                try:
                    self._publish_one(group, task, task.name)
                except OSError as error:
                    raise library_error(error, task.name) from error

    def _publish_one(self, group: Group, task: Task, name: bytes) -> None:
        library = task.library
        dirs = self._library_dirs(group, library)
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
        self._unmovable.add((task.source.stat.dev, task.source.stat.ino))
        return SourceChanged(f"{why}; it is copied", path=task.source.path)

    def _link(self, group: Group, task: Task, directory: int, name: bytes) -> None:
        try:
            self._files.link(task.source.fd, name, directory)
        except OSError as error:
            if error.errno == errno.EXDEV and task.action != "hardlink":
                # a bind mount below the watch: all of it is copied from now on
                self._methods[task.watch, task.source.stat.dev, task.library.name] = "copy"
                raise SourceChanged(
                    "turned out to lie on another filesystem", path=task.source.path
                ) from None
            if error.errno not in moves.NO_LINK:
                raise self._not_linked(task, error, task.name or name) from error
            if task.action == "hardlink":
                raise CannotLink("cannot be hard-linked into its library", path=task.source.path) from error
            task.method = "take"
        else:
            task.placed = task.source.stat

    def _take(self, group: Group, task: Task, directory: int, name: bytes) -> None:
        watch = self._watch_dirs(group, task)
        dirs = self._library_dirs(group, task.library)
        try:
            moves.take(task.source, task.id, task.library, watch, dirs)
        except OSError as error:
            if error.errno == errno.EXDEV:
                self._methods[task.watch, task.source.stat.dev, task.library.name] = "copy"
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
        origin = self._watches[task.watch].absolute(task.source.path)
        text = (
            f"{task.step.outcome}: {task.step.reason}\nfrom: {origin.decode('utf-8', 'backslashreplace')}\n"
        )
        moves.write_reason(self._files, name, directory, text)

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
            self._discard(group, job)

    def _undo_one(self, group: Group, task: Task, wanted: bytes) -> None:
        try:
            directory, name = self._library_dirs(group, task.library).parent(wanted)
        except (FileNotFoundError, NotADirectoryError):  # it never came to its folder
            return
        if task.placed is not None:
            home, own = self._watch_dirs(group, task).parent(task.source.path)
            if task.source_left:
                moves.put_back(self._files, name, directory, home, own)
            else:
                self._see_source(task, home, own)
                moves.withdraw(self._files, directory, name, task.placed)
            task.source_left, task.placed = False, None
        if task.action in ("trash", "quarantine"):
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
                self._sync_folders(dirs, folders, whole=library.can.syncfs and len(tasks) >= _BURST)
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
                    self._watch_dirs(group, gone[0]),
                    folders,
                    whole=name in self._syncfs and len(gone) >= _BURST,
                )
            except (OSError, MediadError) as error:  # it may come back after a power loss: as a duplicate
                for task in gone:
                    task.note = f"its removal from the watch may not be durable: {error}"

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
            moves.remove_source(task.source, task.id, self._watch_dirs(group, task))
            task.source_left = True
        except SourceChanged as error:
            if task.method == "link":  # one inode: the library's file changes with it and must not stay
                dirs = self._library_dirs(group, task.library)
                assert task.name is not None
                assert task.placed is not None
                try:
                    directory, name = dirs.parent(task.name)
                    moves.withdraw(self._files, directory, name, task.placed)
                except OSError as failure:
                    raise Stranded(f"could not be taken back: {failure.strerror}") from failure
                task.placed, task.failed = None, error
            else:
                task.note = "the source was written to after it was copied; it stays"
        except Stranded:
            raise
        except (OSError, MediadError) as error:
            task.note = f"the source could not be removed: {error}"


def _placed(group: Group) -> list[Task]:
    return [task for job in group.going for task in job.tasks if task.placed is not None]


def _by(key: Callable[[Task], str], tasks: Sequence[Task]) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for task in tasks:
        found.setdefault(key(task), []).append(task)
    return found
