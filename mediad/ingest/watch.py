"""Watch: keep an eye on one folder, level-triggered.

The folder is the truth and an event is a hint. An event on a file marks that path; a new folder, a burst
or any failure of the watcher marks the folder; a scan of what is marked decides. Scans also run at the
start, when the root comes back, and every `rescan`. What inotify turns out not to cover (its limit is
reached, an unreadable folder stopped its walk, something is mounted there) is polled, and the watch is
`degraded` meanwhile.
"""

from __future__ import annotations

import enum
import functools
import math
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from mediad.clock import Clock
from mediad.errors import InvalidConfig
from mediad.ingest import coverage
from mediad.ingest.ears import Ears
from mediad.ingest.folder import Folder, Report
from mediad.ingest.marks import Marks, topmost
from mediad.ingest.pulse import Hung, Pulse
from mediad.model import Sighting

T = TypeVar("T")

BURST = 1000  # changes in one batch that make a scan cheaper and safer than single looks
_ROOT_LOOK = 2.0  # seconds between looks at the root itself, which inotify loses silently
_POLL = 30.0  # seconds between scans of what events do not cover, or `_SPARING` times a scan's duration
_SPARING = 20
_LATE = 0.5  # seconds until folders are looked at again that inotify covers late


class State(enum.StrEnum):
    """What a watch is doing, as `status` names it."""

    SCANNING = "scanning"
    WATCHING = "watching"
    DEGRADED = "degraded"
    OFFLINE = "offline"
    ERROR = "error"


class Watcher:
    """One watched folder.

    Args:
        deliver: takes a chunk of sightings, and whether a scan, not an event, showed them; it may wait, which
            holds the scan back.
        changed: told of each new state and, where something is wrong, what.
        poll: never use inotify (network and FUSE filesystems tell nothing of remote changes).
        rescan: seconds between scans of everything. settle: seconds for which files settle.
        arrived: called when the root appears, which may lie on another filesystem than before:
            gives what is to be looked at, and whether to poll it; InvalidConfig where it must not lie there.
        looked: called when everything was looked at.

    Attributes:
        up: set once it listens, or its root turned out to be away.
        last_complete_scan: microseconds since the epoch, None before the first.
        found_by_scan: new files that no event had announced.
    """

    def __init__(
        self,
        folder: Folder,
        deliver: Callable[[Sequence[Sighting], bool], Coroutine[None, None, None]],
        changed: Callable[[State, str], None],
        clock: Clock,
        *,
        poll: bool,
        rescan: float,
        settle: float = 0.0,
        arrived: Callable[[], Awaitable[tuple[Folder, bool]]] | None = None,
        looked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.folder = folder
        self.state = State.SCANNING
        self.error = ""
        self.up = anyio.Event()
        self.last_complete_scan: int | None = None
        self.found_by_scan = 0
        self._begun = self._ended = 0  # scans of everything
        self._tries = self._missed = 0  # rounds, and the last one in which the root could not be looked into
        self._hurry = anyio.Event()
        self._turned = anyio.Event()
        self._closed = False
        self._pulse = Pulse()
        self._deliver = deliver
        self._changed = changed
        self._clock = clock
        self._poll = poll
        self._rescan = rescan
        self._arrived = arrived
        self._looked = looked
        self._marks = Marks()
        self._wake = anyio.Event()
        self._root: os.stat_result | None = None
        self._report: Report | None = None
        self._last_full = -math.inf
        self._last_poll = -math.inf
        self._poll_every = _POLL
        self._threads = anyio.CapacityLimiter(math.inf)  # a hung mount must not starve the others
        self._ears = Ears(clock, settle, self.mark_everything, self._mark, self._wake_up, self._threads)

    async def look(self) -> None:
        """Have everything looked at from now on, while `follow` runs; returns when that is done or the root
        turned out to be away: as it is now, not as it was when it was last looked at.
        """
        before, tries = self._begun, self._tries
        self.mark_everything()
        self._hurry.set()
        while self._ended <= before and not ((self.away and self._missed > tries) or self._closed):
            await self._turned.wait()

    def _turn(self) -> None:
        self._turned.set()
        self._turned = anyio.Event()

    async def once(self) -> None:
        """Look at everything once, without watching; a root that cannot be read is told by `state`."""
        try:
            await self._scan_everything()
        except OSError as error:
            self.lost(error)
        else:
            self._show_state()

    def lost(self, error: OSError) -> None:
        """The root could not be opened: it is looked at again."""
        if isinstance(error, FileNotFoundError):
            self._become(State.OFFLINE, "the folder is missing")
        else:
            self._become(State.ERROR, error.strerror or str(error))
        self.mark_everything()

    @property
    def away(self) -> bool:
        """Its files cannot be reached now."""
        return self.state in (State.OFFLINE, State.ERROR)

    def mark_everything(self) -> None:
        """Ask for a scan of the whole folder now."""
        self._marks.everything = True
        self._wake_up()

    def _wake_up(self) -> None:
        self._wake.set()

    def mark(self, path: bytes) -> None:
        """Ask for a look at one path now."""
        self._marks.paths.add(path)
        self._wake.set()

    async def follow(self) -> None:
        """Watch until cancelled."""
        mounts = await self._in_thread(coverage.MountTable)
        try:
            while True:
                await self._until_root_is_there()
                async with anyio.create_task_group() as tasks:
                    ready = anyio.Event()
                    if self._poll:
                        ready.set()
                    else:
                        tasks.start_soon(self._ears.listen, self.folder.tree.root, ready)
                    await ready.wait()
                    self.up.set()
                    await self._look_while_root_stays(mounts)
                    self._ears.close()
                    tasks.cancel_scope.cancel()
        finally:
            self._ears.close()
            self._closed = True
            self._turn()
            mounts.close()

    async def _until_root_is_there(self) -> None:
        self._tries += 1
        while (found := await self._look_at_root()) is None or not await self._take_up():
            self.up.set()
            await self._next_round()
            self._tries += 1
        self._root = found
        self._marks.everything = True
        self._become(State.SCANNING, "")

    async def _take_up(self) -> bool:
        """Go by the root that appeared; False where it must not lie there, which `state` tells then."""
        if self._arrived is not None:
            try:
                self.folder, self._poll = await self._arrived()
            except InvalidConfig as error:
                self._become(State.ERROR, error.problems[0])
                return False
        return True

    async def _next_round(self) -> None:
        """The root could not be looked into: it is tried again in a while, or when somebody asks."""
        self._missed = self._tries
        self._turn()
        with anyio.move_on_after(_ROOT_LOOK):
            await self._hurry.wait()
        self._hurry = anyio.Event()

    async def _look_at_root(self) -> os.stat_result | None:
        """The root as it is, None where it cannot be looked at, which `state` tells then."""
        try:
            return await self._pulse.ask(functools.partial(os.stat, self.folder.tree.root))
        except Hung as error:
            self._become(State.ERROR, error.what)
        except OSError:
            self._become(State.OFFLINE, "the folder is missing")
        return None

    async def _root_stays(self, mounts: coverage.MountTable) -> bool:
        """Is the root still the one that is watched?

        A new folder, or a filesystem that was mounted again, may have the numbers of the old one: where
        that is possible, the kernel is asked whether inotify covers it.
        """
        before, self._root = self._root, await self._look_at_root()
        if before is None or self._root is None or _id(before) != _id(self._root):
            return False
        doubtful = mounts.changed() or before.st_ctime_ns != self._root.st_ctime_ns
        if not (doubtful and self._ears.open):
            return True
        missing = await self._in_thread(functools.partial(coverage.missing, {_id(self._root): b""}))
        return not (missing and self._ears.open)

    async def _look_while_root_stays(self, mounts: coverage.MountTable) -> None:
        """Do what is marked and due, until the root is gone or another."""
        while await self._root_stays(mounts):
            self._tries += 1
            try:
                await self._do_what_is_due()
            except FileNotFoundError:
                return
            except OSError as error:
                self._become(State.ERROR, error.strerror or str(error))
                self._marks.everything = True
                await self._next_round()
                continue
            if self._ears.hears_again():
                self._show_state()
            with anyio.move_on_after(self._patience()):
                await self._wake.wait()
            self._wake = anyio.Event()

    def _patience(self) -> float:
        if self._marks.any():
            return 0.0
        return max(0.0, min(_ROOT_LOOK, self._next_scan() - self._clock.monotonic()))

    def _next_scan(self) -> float:
        full = self._last_full + (min(self._rescan, self._poll_every) if self._poll else self._rescan)
        return min(full, self._last_poll + self._poll_every) if self._ears.gaps.folders else full

    async def _do_what_is_due(self) -> None:
        now = self._clock.monotonic()
        marks, self._marks = self._marks, Marks(everything=False)
        if marks.everything or now >= self._last_full + (
            min(self._rescan, self._poll_every) if self._poll else self._rescan
        ):
            await self._scan_everything()
            await self._check_coverage_of_all()
            self._ended = self._begun
            self._turn()
            return
        if marks.paths:
            seen, folders = await self._attended(functools.partial(self.folder.look, marks.paths))
            marks.folders.update(folders)
            if seen:
                await self._deliver(seen, False)
        if self._ears.gaps.folders and now >= self._last_poll + self._poll_every:
            marks.folders |= self._ears.gaps.folders
            self._last_poll = now
        await self._scan_folders(marks.folders)

    async def _scan_folders(self, folders: set[bytes]) -> None:
        found: dict[tuple[int, int], bytes] = {}
        for path in topmost(folders):
            try:
                found |= (await self._scan(path)).folders
            except OSError:  # gone meanwhile; its parent's events or the next scan tell
                continue
        if not self._poll and found:
            if await self._in_thread(functools.partial(self._ears.gaps.some_seen, found)):
                self._ears.close()
            elif self._ears.gaps.late:  # they are looked at again at once
                soon = self._clock.monotonic() - self._poll_every + _LATE
                self._last_poll = min(self._last_poll, soon)
            self._show_state()

    async def _scan_everything(self) -> None:
        if not self.error:
            self._become(State.SCANNING, "")
        started = self._clock.monotonic()
        self._begun += 1
        self._report = await self._scan(b"")
        now = self._clock.monotonic()
        sparing = _SPARING * (now - started)
        self._poll_every = max(_POLL, sparing)
        self._last_full = self._last_poll = now
        self._ears.scanned(now, sparing)
        self.last_complete_scan = self._clock.micros()
        if self._looked is not None:
            await self._looked()

    async def _check_coverage_of_all(self) -> None:
        if not self._poll:
            folders = self._report.folders if self._report else {}
            if await self._in_thread(functools.partial(self._ears.gaps.all_seen, folders)):
                self._ears.close()
        self._show_state()

    def _show_state(self) -> None:
        if self._report and self._report.errors:
            path, why = self._report.errors[0]
            self._become(State.DEGRADED, f"cannot look into {os.fsdecode(path)!a}: {why}")
        elif self._ears.deaf:
            self._become(State.DEGRADED, self._ears.deaf)
        elif gaps := self._ears.gaps.told(self._poll_every):
            self._become(State.DEGRADED, gaps)
        else:
            self._become(State.WATCHING, "")

    def _become(self, state: State, error: str) -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            self._turn()
            self._changed(state, error)

    async def _scan(self, start: bytes) -> Report:
        stopped = threading.Event()

        def emit(chunk: Sequence[Sighting]) -> None:
            anyio.from_thread.run(self._deliver, chunk, True)

        try:
            return await self._attended(functools.partial(self.folder.scan, start, emit, stopped.is_set))
        finally:
            stopped.set()

    async def _attended(self, call: Callable[[], T]) -> T:
        """A call in a thread that may take long: `state` says when the root hangs meanwhile."""
        failure: OSError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._feel_pulse)
            try:
                result = await self._in_thread(call)
            except OSError as error:
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return result

    async def _feel_pulse(self) -> None:
        while True:
            await anyio.sleep(_ROOT_LOOK)
            try:
                await self._pulse.ask(functools.partial(os.stat, self.folder.tree.root))
            except Hung as error:
                self._become(State.ERROR, error.what)
                self._missed = self._tries + 1  # neither this round nor what is asked for meanwhile ends
                self._turn()
            except OSError:  # the scan fails too, and says so
                continue
            else:
                if self.error.startswith("hung"):
                    self._become(State.SCANNING, "")

    def _mark(self, paths: set[bytes]) -> None:
        """What inotify tells of; an event on the root itself tells nothing of what is in it."""
        if len(paths) >= BURST:
            self._marks.everything = True
        else:
            self._marks.paths |= paths - {b""}
        self._wake.set()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(call, limiter=self._threads, abandon_on_cancel=True)


def _id(result: os.stat_result) -> tuple[int, int]:
    return result.st_dev, result.st_ino
