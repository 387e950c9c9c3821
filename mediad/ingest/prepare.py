"""Prepare: all that is done with a group before its intents: no file gets a name, and none leaves.

Witnesses are read, the way of each file is found by trying, copies are made, and all content is made durable
and verified.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from mediad.errors import CannotLink, SourceChanged, WitnessFailed
from mediad.files import Files, Tree, library_error, source_error, stat_of
from mediad.ingest import moves
from mediad.ingest.group import Group, Job, Task
from mediad.library import TMP, OpenLibrary
from mediad.model import Holder

BURST = 8  # files on one filesystem from which one syncfs is cheaper than an fsync each


@dataclass(slots=True)
class Ways:
    """What has been learnt of how files travel.

    Attributes:
        methods: "link" or "copy", by watch, device and library.
        unmovable: files, by device and inode, that can only be copied.
    """

    methods: dict[tuple[str, int, str], str] = field(default_factory=dict)
    unmovable: set[tuple[int, int]] = field(default_factory=set)


class Preparer:
    """See `Placer`, whose first half this is."""

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
        self.ways = Ways()

    def prepare(self, group: Group) -> None:
        """Check witnesses, make copies, and make all content durable and verified. Gives no names.

        Errors end the job that they concern; nothing is raised.
        """
        for job in group.jobs:
            with job.ending():
                self._prepare(group, job)
        self._sync_content(group)
        for job in group.going:
            with job.ending():
                self._verify(group, job)
        for job in group.jobs:
            if job.error is not None:
                self.discard(group, job)

    def _prepare(self, group: Group, job: Job) -> None:
        if job.witness is not None:
            holders = (job.plan.witness, *(task.step.proof for task in job.tasks))
            for holder in dict.fromkeys(filter(None, holders)):
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
        dirs = group.library_dirs(library)
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
                    job.failed_witness, job.witness_stood = holder, there
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
        if task.action == "copy" or inode in self.ways.unmovable:
            self.ways.unmovable.discard(inode)
            return "copy"
        known = self.ways.methods.get((task.watch, task.source.stat.dev, task.library.name))
        method = known or self._try_link(group, task)
        if task.action == "hardlink" and method != "link":
            raise not_linkable(task.source.path)
        if method == "link" and task.removes and self._would_be_shared(group, task):
            return "copy"
        return method

    def _would_be_shared(self, group: Group, task: Task) -> bool:
        """Would a name outside the library remain? Whoever changes it would change the library's file."""
        return self._files.fstat(task.source.fd).st_nlink > 1 or not self._may_leave(group, task)

    def _may_leave(self, group: Group, task: Task) -> bool:
        try:
            watch = group.watch_dirs(task.watch, self._watches[task.watch])
            return self._files.may_remove(task.source.fd, watch.parent(task.source.path)[0])
        except OSError as error:
            raise source_error(error, task.source.path) from error

    def _try_link(self, group: Group, task: Task) -> str:
        """Find out by trying how files get from this watch into this library."""
        tmp = group.library_dirs(task.library).fd(TMP)
        probe = b"%d.probe" % task.id
        try:
            self._files.link(task.source.fd, probe, tmp)
        except OSError as error:
            if error.errno == errno.EXDEV:
                method = "copy"
            elif error.errno in moves.NO_LINK:
                return "take" if task.library.can.journaled else "copy"
            else:
                raise moves.not_linked(self._files, task.source, error, task.library.tree.root) from error
        else:
            self._files.unlink(probe, tmp)
            method = "link"
        self.ways.methods[task.watch, task.source.stat.dev, task.library.name] = method
        return method

    def _copy(self, group: Group, task: Task) -> None:
        task.meter.enter("copying")
        dirs = group.library_dirs(task.library)
        try:
            moves.make_copy(task.source, task.id, task.library, dirs, self._stopping, task.meter.add)
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
            whole = watch in self._syncfs and len(pairs) >= BURST
            self._sync_each(pairs, lambda task: task.source.fd, whole=whole)
        for pairs in copies.values():
            self._sync_copies(group, pairs)

    def _sync_copies(self, group: Group, pairs: list[tuple[Job, Task]]) -> None:
        library = pairs[0][1].library
        tmp = group.library_dirs(library).fd(TMP)
        fds: dict[int, int] = {}
        try:
            for job, task in pairs:
                with job.ending():
                    fds[task.id] = self._files.open_file(moves.copy_name(task.id), tmp)
            ready = [(job, task) for job, task in pairs if task.id in fds]
            whole = library.can.syncfs and len(ready) >= BURST
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
            with job.ending():
                self._files.sync_file(fd_of(task))

    def _verify(self, group: Group, job: Job) -> None:
        for task in job.tasks:
            if task.method == "copy":
                dirs = group.library_dirs(task.library)
                task.meter.enter("verifying")
                task.copied = moves.verify_copy(
                    task.source, task.id, task.library, dirs, self._stopping, task.meter.add
                )

    def discard(self, group: Group, job: Job) -> None:
        """Remove copies that were staged for nothing."""
        for task in job.tasks:
            if task.staged and task.placed is None:
                tmp = group.library_dirs(task.library).fd(TMP)
                with contextlib.suppress(OSError):  # recovery sweeps what cannot be removed now
                    self._files.unlink(moves.copy_name(task.id), tmp)


def not_linkable(path: bytes) -> CannotLink:
    """What becomes of a hardlink watch's file that lies where its library cannot have a link to it."""
    return CannotLink(
        "cannot be hard-linked into its library",
        path=path,
        remedy='on another filesystem only action = "copy" works',
    )
