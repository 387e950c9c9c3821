"""Identify: open each settled file once, see that it really is at rest, hash it, and learn what it is.

The descriptor stays open until the file is placed: what is moved later is the very file that was hashed.
Sniffing, leases and hashing happen in a thread; parsing in worker processes, which get descriptors only.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from stat import S_ISDIR

import anyio
import anyio.to_thread

from mediad.behalf import BARRED, Barred
from mediad.clock import Clock
from mediad.errors import Exhausted, InputOutput, MediadError, SourceChanged, SourceGone, printable
from mediad.files import Dirs, Files, Tree, file_type, reading_error, stat_of
from mediad.ingest.meter import Meter
from mediad.ingest.moves import digest_of, never, while_named
from mediad.media import companions, siblings, together
from mediad.media.conclude import by_name
from mediad.media.dates import DateRules
from mediad.media.formats import Format, claimed, is_common
from mediad.media.kind import HEAD_BYTES, sniff
from mediad.media.reading import File
from mediad.media.whole import looks_unfinished
from mediad.media.wire import READING_FAILED
from mediad.media.zone import date_settings
from mediad.model import Facts, FileType, Held, Identity, MediaSet, Result, Settled, Sighting, Stat, Unplanned
from mediad.workers import WorkerPool

_UNTOLD = 30  # settle times of rest for a local file of which no lease tells whether somebody writes
_LONGEST_NOTE = 16 << 20  # bytes; longer texts belong to no picture, and may well be logs that grow
_CONTAINER_GRACE = 5  # settle times for which a fresh file whose end is missing is waited for; thin air


@dataclass(frozen=True, slots=True)
class Place:
    """A watch, as far as its files' identity goes.

    Attributes:
        settle: seconds. lease: a read lease tells who writes there (local filesystems only).
        clocks_agree: file times are made by this machine's clock.
    """

    tree: Tree
    settle: float
    lease: bool
    clocks_agree: bool
    dates: DateRules


@dataclass(frozen=True, slots=True)
class Back:
    """Files that are not at rest after all: the newest look at each, how long to wait, and why."""

    members: tuple[Sighting, ...]
    wait: float
    note: str


@dataclass(slots=True)
class Identified:
    """What came of a batch.

    Attributes:
        lost: why the watch's folder itself could not be opened.
    """

    sets: list[Held] = field(default_factory=list)
    unplanned: list[Unplanned] = field(default_factory=list)
    back: list[Back] = field(default_factory=list)
    lost: OSError | None = None


@dataclass(slots=True)
class _Opened:
    sighting: Sighting
    fd: int
    form: Format
    digest: bytes
    evidence: str
    meter: Meter


class _NotAtRest(Exception):  # control flow of this module
    def __init__(self, sighting: Sighting, wait: float, note: str) -> None:
        super().__init__(note)
        self.sighting = sighting
        self.wait = wait
        self.note = note


class Identifier:
    """The stage.

    Args:
        places: the watches, and quarantines that files are taken from again, by name.
        progress: where it is entered how far each file is, by watch and path.
        stopping: true when long reads should be given up.
    """

    def __init__(
        self,
        files: Files,
        places: Mapping[str, Place],
        pool: WorkerPool,
        clock: Clock,
        stopping: Callable[[], bool],
        progress: MutableMapping[tuple[str, bytes], Meter],
    ) -> None:
        self._files = files
        self._places = places
        self._pool = pool
        self._clock = clock
        self._stopping = stopping
        self._progress = progress
        self._shots = siblings.Shots()

    async def identify(
        self, batch: Sequence[Settled], limiter: anyio.CapacityLimiter, retired: Callable[[], bool] = never
    ) -> Identified:
        """Learn all about a batch of one watch's settled files.

        Args:
            limiter: bounds hashing.
            retired: once true, nobody wants to know any more.
        """
        result = Identified()
        open_all = functools.partial(self._open_batch, batch, result, retired)
        opened = await anyio.to_thread.run_sync(open_all, limiter=limiter)
        files = [file for group in opened for file in group]
        try:
            first = batch[0].members[0]
            rules = (self._places.get(first.watch) or self._places[first.root]).dates
            known = iter(await self._facts(files, rules))
        except BaseException:
            self._close(files)
            raise
        groups = [
            [Identity(file.sighting, file.digest, next(known), file.evidence) for file in group]
            for group in opened
        ]
        self._shots.note([one for identities in groups for one in identities])
        for part in companions.joined(groups):
            mine = [file for number in part for file in opened[number]]
            self._form(mine, [one for number in part for one in groups[number]], rules, result)
        return result

    async def _facts(self, files: Sequence[_Opened], rules: DateRules) -> list[Facts]:
        """What each file tells, in their order."""
        for file in files:
            file.meter.enter("parsing")
        now = self._clock.present()
        asked = [self._asked(file) for file in files]
        to_parse = [one for one, file in zip(asked, files, strict=True) if not file.sighting.unparsed]
        found = iter(await self._pool.parse(to_parse, rules, now) if to_parse else ())
        if len(to_parse) == len(files):
            return list(found)
        settings = await anyio.to_thread.run_sync(date_settings, rules)  # reads time zones from disk
        return [
            by_name(one, settings, now) if file.sighting.unparsed else next(found)
            for one, file in zip(asked, files, strict=True)
        ]

    def _form(
        self, group: list[_Opened], identities: list[Identity], rules: DateRules, result: Identified
    ) -> None:
        fds = {file.sighting.path: file.fd for file in group}
        sets, orphans = companions.form_sets(identities)
        lease = self._places[identities[0].sighting.root].lease
        for media in (*sets, *(MediaSet(orphan) for orphan in orphans)):
            mine = {member.sighting.path: fds[member.sighting.path] for member in media.members}
            failed = [
                member for member in media.members if member.facts.unreadable.startswith(READING_FAILED)
            ]
            if failed:  # the system failed, not the content: nothing may be concluded from that
                result.unplanned.extend(
                    Unplanned(member.sighting, Result.FAILED, InputOutput.code, failed[0].facts.unreadable)
                    for member in media.members
                )
                for fd in mine.values():
                    self._files.close(fd)
                continue
            whole = siblings.dated(together.dated(media, rules.sources), self._shots.near)
            result.sets.append(Held(whole, mine, lease))

    # -- in a thread ----------------------------------------------------------------------------------

    def _open_batch(
        self, batch: Sequence[Settled], result: Identified, retired: Callable[[], bool]
    ) -> list[list[_Opened]]:
        place = self._places[batch[0].members[0].root]
        try:
            dirs = place.tree.dirs()
        except OSError as error:  # the root itself: its files wait for it
            result.lost = error
            note = f"the watch could not be read: {error.strerror}"
            result.back.extend(Back(settled.members, place.settle, note) for settled in batch)
            return []

        def stopping() -> bool:
            return self._stopping() or retired()

        with dirs:
            groups = (settled for settled in batch if not retired())
            opened = (self._open_group(settled, dirs, place, result, stopping) for settled in groups)
            return [group for group in opened if group]

    def _open_group(
        self, settled: Settled, dirs: Dirs, place: Place, result: Identified, stopping: Callable[[], bool]
    ) -> list[_Opened]:
        opened: list[_Opened] = []
        told: list[Unplanned] = []
        newest = {sighting.path: sighting for sighting in settled.members}
        try:
            for sighting in settled.members:
                found = self._open(sighting, settled.evidence, dirs, place, stopping)
                if isinstance(found, Unplanned):
                    told.append(found)
                else:
                    opened.append(found)
        except _NotAtRest as rest:  # a set settles with its last member: all of it goes back
            newest[rest.sighting.path] = rest.sighting
            gone = {unplanned.sighting.path for unplanned in told if unplanned.outcome is Result.GONE}
            members = tuple(sighting for path, sighting in newest.items() if path not in gone)
            result.back.append(Back(members, rest.wait, rest.note))
            result.unplanned.extend(unplanned for unplanned in told if unplanned.outcome is Result.GONE)
            self._close(opened)
            return []
        except BaseException:
            self._close(opened)
            raise
        result.unplanned.extend(told)
        unread = [one for one in told if one.code in (InputOutput.code, Exhausted.code)]
        if unread:  # it may pass, and then they are a set again
            reason = f"waits for {printable(unread[0].sighting.path)}, which could not be read"
            result.unplanned.extend(
                Unplanned(file.sighting, Result.FAILED, unread[0].code, reason) for file in opened
            )
            self._close(opened)
            return []
        return opened

    def _close(self, opened: Sequence[_Opened]) -> None:
        for file in opened:
            self._files.close(file.fd)

    def _open(
        self, sighting: Sighting, evidence: str, dirs: Dirs, place: Place, stopping: Callable[[], bool]
    ) -> _Opened | Unplanned:
        if sighting.excluded:
            return Unplanned(
                sighting, Result.IGNORED, "excluded", f"excluded by {sighting.excluded}", evidence
            )
        if sighting.type is not FileType.REGULAR:
            return Unplanned(sighting, Result.IGNORED, "not-a-file", f"is {sighting.type.value}", evidence)
        try:
            directory, name = dirs.parent(sighting.place)
            fd = dirs.files.open_file(name, directory)  # the watch's: it may not permit all that ours would
        except OSError as error:
            return self._unopened(sighting, error)
        try:
            found = self._examine(sighting, fd, evidence, place, stopping)
        except (OSError, MediadError) as error:
            self._files.close(fd)
            return self._failed(sighting, error)
        except BaseException:
            self._files.close(fd)
            raise
        if isinstance(found, Unplanned):
            self._files.close(fd)
        return found

    def _unopened(self, sighting: Sighting, error: OSError) -> Unplanned:
        if isinstance(error, Barred):
            return Unplanned(sighting, Result.IGNORED, BARRED, str(error.strerror))
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Unplanned(sighting, Result.GONE, "gone", "left the watch before it was taken")
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return Unplanned(sighting, Result.IGNORED, "not-a-file", "became a symbolic link or a socket")
        return self._failed(sighting, error)

    @staticmethod
    def _failed(sighting: Sighting, error: OSError | MediadError) -> Unplanned:
        mine = error if isinstance(error, MediadError) else reading_error(error, sighting.path)
        if isinstance(mine, SourceGone):
            return Unplanned(
                sighting, Result.GONE, "gone", f"left the watch before it was taken: {mine.message}"
            )
        outcome = Result.FAILED if sighting.kept is None else Result.QUARANTINED
        return Unplanned(sighting, outcome, mine.code, mine.message)

    def _examine(
        self, sighting: Sighting, fd: int, evidence: str, place: Place, stopping: Callable[[], bool]
    ) -> _Opened | Unplanned:
        """All that is asked of an open file, cheapest first."""
        self._compare(sighting, fd, place)
        size = sighting.stat.size
        if size == 0:
            return Unplanned(sighting, Result.IGNORED, "empty", "is empty", evidence)
        name = sighting.path.rpartition(b"/")[2]
        meter = self._enter(sighting)
        form = claimed(name) if sighting.unparsed else None
        form = form or sniff(self._read(fd, 0, min(HEAD_BYTES, size)), name) or claimed(name)
        if form is None or (is_common(form) and size > _LONGEST_NOTE):
            return Unplanned(
                sighting, Result.IGNORED, "not-media", "is not media, by content or name", evidence
            )
        evidence = f"{evidence}; {self._nobody_writes(sighting, fd, place)}"
        self._wait_for_end(sighting, fd, form, place)
        try:
            digest = digest_of(self._files, fd, size, stopping, while_named(self._files, fd, meter.add))
        except InterruptedError as error:
            raise _NotAtRest(sighting, 0.0, "handed back because mediad stops") from error
        except SourceChanged as error:
            raise _NotAtRest(self._again(sighting, fd, place), 0.0, error.message) from error
        self._compare(sighting, fd, place)
        return _Opened(sighting, fd, form, digest, evidence, meter)

    def _enter(self, sighting: Sighting) -> Meter:
        meter = self._progress[sighting.root, sighting.place] = Meter("hashing", sighting.stat.size)
        return meter

    def _compare(self, sighting: Sighting, fd: int, place: Place) -> None:
        """It still is what was seen; else it settles anew."""
        result = self._files.fstat(fd)
        if stat_of(result) != sighting.stat or file_type(result) is not sighting.type:
            if S_ISDIR(result.st_mode):
                raise SourceGone("a folder has taken its place", path=sighting.path)
            raise _NotAtRest(
                self._again(sighting, fd, place), 0.0, "it had changed when it was opened or hashed"
            )

    def _again(self, sighting: Sighting, fd: int, place: Place) -> Sighting:
        result = self._files.fstat(fd)
        stat = stat_of(result)
        rest = self._rest(stat) if place.clocks_agree else 0.0
        return replace(sighting, stat=stat, rest=rest, type=file_type(result))

    def _rest(self, stat: Stat) -> float:
        """Seconds since the last change."""
        return max(0.0, (self._clock.wall_ns() - max(stat.mtime_ns, stat.ctime_ns)) / 1e9)

    def _rested(self, sighting: Sighting) -> float:
        """The same of a file that is as it was seen."""
        return max(sighting.rest, self._rest(sighting.stat))

    def _not_for(self, enough: float, rest: float, sighting: Sighting, note: str) -> _NotAtRest:
        """It has to rest for so long; where its times lie ahead, the wall clock will not tell that it has."""
        seen = sighting if self._rest(sighting.stat) > 0 else replace(sighting, rest=enough)
        return _NotAtRest(seen, enough - rest, note)

    def _nobody_writes(self, sighting: Sighting, fd: int, place: Place) -> str:
        if not place.lease:
            return self._wait_longer(sighting, place, "cannot be told on this filesystem")
        try:
            busy = self._files.held_open(fd)
        except OSError as error:  # EACCES: it is somebody else's file, and we lack CAP_LEASE
            return self._wait_longer(sighting, place, f"could not be told ({error.strerror})")
        if busy:
            raise _NotAtRest(sighting, max(place.settle, 0.5), "somebody had it open for writing")
        return "nobody had it open for writing"

    def _wait_longer(self, sighting: Sighting, place: Place, why: str) -> str:
        """Where nothing tells of writers, only a long rest does; a network's settle time is one already."""
        enough = _UNTOLD * place.settle
        if place.clocks_agree and (rest := self._rested(sighting)) < enough:
            note = f"who writes to it {why}, so it was waited for longer"
            raise self._not_for(enough, rest, sighting, note)
        return f"who writes to it {why}"

    def _wait_for_end(self, sighting: Sighting, fd: int, form: Format, place: Place) -> None:
        """A fresh file without its container's end may be one whose writer pauses between two openings."""
        grace = _CONTAINER_GRACE * place.settle
        if sighting.unparsed or not place.clocks_agree or sighting.rest >= grace:
            return
        age = self._rested(sighting)
        if age < grace and looks_unfinished(form, self._reader(fd), sighting.stat.size):
            raise self._not_for(grace, age, sighting, "its end was missing, so it was waited for longer")

    def _reader(self, fd: int) -> Callable[[int, int], bytes]:
        return lambda offset, length: self._read(fd, offset, length)

    def _read(self, fd: int, offset: int, length: int) -> bytes:
        buffer = bytearray(length)
        got = self._files.read_into(fd, memoryview(buffer), offset)
        return bytes(buffer[:got])

    def _asked(self, file: _Opened) -> File:
        path, stat = file.sighting.path, file.sighting.stat
        place = self._places.get(file.sighting.watch)
        root = place.tree.root if place is not None else b""  # a watch may lie in a card's DCIM itself
        on_card = b"/dcim/" in b"%b/%b/" % (root.lower(), path.lower())
        return File(file.fd, path.rpartition(b"/")[2], stat.size, stat.mtime_ns, on_card)
