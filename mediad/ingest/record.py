"""Record: what is written of a file before and after it is placed, and said of it in the log.

Decides nothing. Batches are kept here: what one watch took between two rests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import apsw

from mediad.behalf import BARRED
from mediad.clock import Clock
from mediad.errors import Stranded, printable
from mediad.events import Events
from mediad.ingest.evidence import evidence_of
from mediad.ingest.group import Group, Job, Task
from mediad.layout import key_of
from mediad.model import Plan, Result, Sighting, Unplanned
from mediad.sizes import size_text
from mediad.store import catalogue, gathering, journal, lingering
from mediad.store.catalogue import Tally
from mediad.store.database import Database

_REST = 60.0  # seconds without work that end a batch
_LONGEST = 86_400.0
_NOT_TAKEN = (Result.QUARANTINED, Result.FAILED, Result.GONE)
MOST_TROUBLES = 1000  # of one import that are told one by one
_MOST_FAILING = 10_000  # files of which it is remembered that their failure was told

log = logging.getLogger("mediad")

Counted = tuple[Tally, dict[int, tuple[int, int]]]
"""What the catalogue counts: arrivals by outcome, and files and bytes by library."""


@dataclass(slots=True)
class Batch:
    """What one watch took between two rests; `last` and `started` are on the monotonic clock.

    Attributes:
        id: the journal's, None while nothing was planned.
        lasts: no rest ends it: it is an import's.
        barred: of those that were left out, what whoever asked may not read.
    """

    watch: str
    id: int | None
    started: float
    last: float
    label: str = ""
    lasts: bool = False
    size: int = 0
    barred: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    troubles: list[tuple[bytes, str, str]] = field(default_factory=list)


class Recorder:
    """Writes the journal.

    Args:
        root: the folder of a watch, or of what else is taken from, by its name.
        rows: the catalogue's rows of the libraries by name, as they come online.
        events: whoever follows what happens.
        identity: what tells the folder of a watch from another one in its place.

    Attributes:
        lingering: how many files are filed and could not be removed, and the last, by what they came from.
        totals: what was recorded in this life, by outcome. tally: all that ever was, as it stands.
        left_open: files whose steps wait for recovery: what they are taken from, and their paths there.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        root: Callable[[str], bytes],
        rows: Mapping[str, int],
        last_id: int,
        events: Events,
        identity: Callable[[str], str] = lambda name: "",
    ) -> None:
        self._database = database
        self._clock = clock
        self._root = root
        self._events = events
        self._identity = identity
        self._rows = rows
        self._before = self._last_id = last_id
        self._stranded: set[int] = set()
        self._batches: dict[str, Batch] = {}
        self.lingering: dict[str, tuple[int, bytes]] = {}
        self._failing: dict[tuple[str, bytes], str] = {}
        self.left_open: set[tuple[str, bytes]] = set()
        self.totals: dict[str, int] = {}
        self.tally = Tally({}, 0, {})
        self.holdings: dict[int, tuple[int, int]] = {}

    async def load(self) -> None:
        """Learn what there was before this life; again after something else has changed the catalogue."""

        def count(connection: apsw.Connection) -> tuple[Counted, list[tuple[int, str, bytes]]]:
            counts = catalogue.tally(connection), catalogue.holdings(connection)
            self.lingering = lingering.counts(connection)
            return counts, journal.open_names(connection)

        counts, steps = await self._database.run(count)
        self.counted(counts)
        self.left_open = {(root, place) for id_, root, place in steps if not self.in_hand(id_)}

    def _now(self) -> int:
        """The time that goes into the catalogue."""
        now = self._clock.micros()
        self._clock.recorded(now)
        return now

    def counted(self, counts: Counted) -> None:
        """Take over what a unit of work counted at its end."""
        self.tally, self.holdings = counts

    def next_id(self) -> int:
        """A new id for an arrival and its step."""
        self._last_id += 1
        return self._last_id

    def reserve(self, count: int) -> int:
        """Keep so many ids free for others; returns the last one before them."""
        before, self._last_id = self._last_id, self._last_id + count
        return before

    def in_hand(self, step: int) -> bool:
        """Is this step one of this life, and not stranded? Then recovery must keep away from it."""
        return self._before < step <= self._last_id and step not in self._stranded

    def strand(self, steps: Iterable[int]) -> None:
        """Recovery has to end these."""
        self._stranded.update(steps)

    async def unplanned(self, files: Sequence[Unplanned]) -> None:
        """Record files that needed no plan."""
        seen = self._now()

        def write(connection: apsw.Connection) -> tuple[list[bool], Counted]:
            told = [
                catalogue.record_unplanned(
                    connection,
                    self.next_id(),
                    file.sighting,
                    seen,
                    file.outcome,
                    file.code,
                    file.reason,
                    {"settled": file.evidence},
                )
                for file in files
            ]
            return told, (catalogue.tally(connection), catalogue.holdings(connection))

        told, counts = await self._database.run(write)
        self.counted(counts)
        for file, new in zip(files, told, strict=True):
            if new:
                loud = self._is_news(file.sighting, file.outcome, file.reason)
                self._say(
                    file.sighting, file.outcome, file.reason, logging.WARNING if loud else logging.DEBUG
                )
                self._count(file.sighting, file.outcome, 0, file.reason)
                self._current(file.sighting.root).barred += file.code == BARRED
                self._publish(file.sighting, file.outcome, file.reason, None)

    async def begin(self, jobs: Sequence[Job]) -> None:
        """Make the intents of a group durable."""
        entries = [(job, task) for job in jobs for task in job.tasks]
        batches = {task.watch: self._current(task.watch) for _, task in entries}
        now = self._now()

        def write(connection: apsw.Connection) -> Counted:
            rows = [
                journal.Entry(
                    task.id,
                    task.item,
                    self._batch(connection, batches[task.watch], now),
                    task.step.identity,
                    task.action,
                    self._rows[task.library.name],
                    task.name,
                    witness.id if (witness := job.plan.witness or task.step.proof) else None,
                    evidence_of(task.step.identity, job.plan.why),
                    task.source.path if task.step.identity.sighting.kept else None,
                )
                for job, task in entries
            ]
            journal.begin(connection, rows, now)
            gathering.remember(
                connection, ((job.tasks[0].item, file) for job in jobs for file in job.plan.followers)
            )
            return catalogue.tally(connection), catalogue.holdings(connection)

        self.counted(await self._database.run(write))

    def _batch(self, connection: apsw.Connection, batch: Batch, now: int) -> int:
        if batch.id is None:
            root = self._root(batch.watch)
            number = self.next_id()
            batch.id = journal.open_batch(connection, batch.watch, root, batch.label, now, number)
            journal.taken_from(connection, batch.watch, self._identity(batch.watch))
        return batch.id

    def _current(self, watch: str) -> Batch:
        if watch not in self._batches:
            moment = self._clock.monotonic()
            self._batches[watch] = Batch(watch, None, moment, moment)
        return self._batches[watch]

    def start_batch(self, watch: str, label: str) -> Batch:
        """Start a batch that lasts until `end_batch`."""
        batch = self._current(watch)
        batch.label, batch.lasts = label, True
        return batch

    async def end_batch(self, watch: str) -> None:
        """The watch or import is over."""
        if (batch := self._batches.pop(watch, None)) is not None:
            await self._end(batch)

    def finish(self, group: Group, connection: apsw.Connection) -> Counted:
        """Write down what became of a group; part of a unit of work.

        Returns:
            what `counted` wants when the unit has ended.
        """
        now = self._clock.micros()
        endings = [
            _ending(task, _set_of(task, job.plan), self._rows[task.library.name])
            for job in group.going
            for task in job.tasks
        ]
        folders = [(self._rows[library.name], path) for library, path in group.made]
        journal.finish(connection, endings, folders, now)
        lingering.add(connection, [task.id for job in group.going for task in job.tasks if task.lingers])
        for job in group.jobs:
            if isinstance(job.error, Stranded):
                self.strand(task.id for task in job.tasks)
            elif job.error is not None:
                journal.revert(connection, [task.id for task in job.tasks], str(job.error), now)
        return catalogue.tally(connection), catalogue.holdings(connection)

    def tell(self, group: Group) -> None:
        """Log and count what became of a group."""
        for job in group.jobs:
            if isinstance(job.error, Stranded):
                self.left_open.update((task.watch, task.source.path) for task in job.tasks)
        for job in group.going:
            for task in job.tasks:
                outcome = task.outcome
                sighting = task.step.identity.sighting
                if task.lingers:
                    count = self.lingering.get(sighting.watch, (0, b""))[0] + 1
                    path = self._root(sighting.root) + b"/" + sighting.place
                    self.lingering[sighting.watch] = count, path
                reason = _told(task, outcome)[1]
                failing = self._is_news(sighting, outcome, reason)
                loud = failing or outcome is Result.QUARANTINED or (task.note and task.removes)
                level = logging.WARNING if loud else logging.DEBUG
                if log.isEnabledFor(level):
                    self._say(sighting, *_told(task, outcome), level)
                self._count(sighting, outcome, 0 if task.failed else sighting.stat.size, reason)
                self._publish(sighting, outcome, reason, task)

    def _publish(self, sighting: Sighting, outcome: Result, reason: str, task: Task | None) -> None:
        if self._events.followed:
            name = task.name if task is not None and task.failed is None else None
            self._events.publish(
                outcome,
                name=sighting.watch,
                path=self._root(sighting.root) + b"/" + sighting.place,
                destination=task.library.tree.absolute(name) if task is not None and name else None,
                reason=reason,
                batch=self._current(sighting.root).id,
                bytes=sighting.stat.size,
            )

    def _is_news(self, sighting: Sighting, outcome: Result, reason: str) -> bool:
        """Is this a failure that was not told before? A file that fails each time is told of once."""
        name = (sighting.root, sighting.place)
        if outcome is not Result.FAILED:
            self._failing.pop(name, None)
            return False
        if self._failing.get(name) == reason:
            return False
        if len(self._failing) >= _MOST_FAILING:
            self._failing.clear()  # then they are told of once more
        self._failing[name] = reason
        return True

    def _say(self, sighting: Sighting, outcome: str, reason: str, level: int) -> None:
        if log.isEnabledFor(level):
            colon = f": {reason}" if reason else ""
            log.log(level, "%s/%s %s%s", sighting.watch, printable(sighting.path), outcome, colon)

    def _count(self, sighting: Sighting, outcome: Result, size: int, reason: str) -> None:
        self.totals[outcome] = self.totals.get(outcome, 0) + 1
        batch = self._current(sighting.root)
        batch.counts[outcome] = batch.counts.get(outcome, 0) + 1
        batch.size += size
        batch.last = self._clock.monotonic()
        if batch.lasts and outcome in _NOT_TAKEN and len(batch.troubles) < MOST_TROUBLES:
            batch.troubles.append((sighting.path, outcome, reason))

    def next_rest(self) -> float | None:
        """When a batch may end, on the monotonic clock."""
        return min((batch.last + _REST for batch in self._batches.values() if not batch.lasts), default=None)

    async def rest(self, now: float, busy: frozenset[str]) -> None:
        """End the batches of watches that have come to rest, and say in a line what they took.

        Args:
            busy: watches with files that are settling, waiting or in flight.
        """
        for batch in [batch for batch in self._batches.values() if not batch.lasts]:
            if self._batches.get(batch.watch) is not batch:  # it has ended meanwhile
                continue
            if batch.watch in busy:
                batch.last = now if now - batch.started < _LONGEST else batch.last
            if now >= batch.last + _REST or now - batch.started >= _LONGEST:
                del self._batches[batch.watch]
                await self._end(batch)

    async def end_all(self) -> None:
        """The daemon stops: every batch ends."""
        while self._batches:
            await self._end(self._batches.popitem()[1])

    async def _end(self, batch: Batch) -> None:
        number, now = batch.id, self._clock.micros()
        what = f"watch {batch.watch}" if ":" not in batch.watch else batch.watch.replace(":", " ")
        if number is None:
            log.debug("%s: %s", what, summary(batch))
            return
        await self._database.run(lambda connection: journal.close_batch(connection, number, now))
        log.info("%s, batch %d: %s", what, number, summary(batch))
        self._events.publish("batch", name=batch.watch, batch=number, reason=summary(batch), bytes=batch.size)


def _told(task: Task, outcome: Result) -> tuple[str, str]:
    """What became of a file and why, as the log has it."""
    if task.failed is not None:
        return outcome, task.failed.message
    where = f" -> {task.library.name}/{printable(task.name)}" if task.name else ""
    return f"{outcome}{where}", "; ".join(filter(None, (task.step.reason, task.note)))


def _set_of(task: Task, plan: Plan) -> int | None:
    """The library's set that a file belongs to: a companion may join one that came earlier."""
    return task.item if plan.witness is None else plan.witness.item


def _ending(task: Task, item: int | None, row: int) -> journal.Ending:
    step = task.step
    failed = task.failed
    told = "; ".join(filter(None, (step.reason, task.note)))
    return journal.Ending(
        id=task.id,
        item=item,
        action=task.action,
        outcome=task.outcome,
        code=failed.code if failed else step.code,
        reason=failed.message if failed else told,
        source=None if task.source_left or (failed and step.identity.sighting.kept) else task.source_now,
        library=row,
        destination=None if failed else task.name,
        key=key_of(task.name) if task.name else b"",
        stat=task.placed,
        digest=step.identity.digest,
        role=step.role,
    )


def summary(batch: Batch) -> str:
    """ "57 filed, 3 duplicate, 1 quarantined (1.2 GB in 4 s)"."""
    counts = ", ".join(
        f"{batch.counts[outcome]} {outcome}" for outcome in Result if batch.counts.get(outcome)
    )
    return f"{counts or 'nothing'} ({size_text(batch.size)} in {batch.last - batch.started:.0f} s)"
