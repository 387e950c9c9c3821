"""The process dies at every operation while files are taken out of quarantine again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from mediad.ingest.pipeline import Pipeline
from mediad.steering.retrying import retried
from mediad.store import journal
from mediad.store.database import Database
from mediad.store.reading import Reader as Questions
from mediad.store.reading import open_reader
from tests import samples
from tests.crash.faulty import Faults, FaultyFiles
from tests.crash.scene import Hurry, Input, Reader, Scene, put
from tests.trees import files

REASON = b".reason.txt"
KEPT = "the source could not be removed"
LIMIT = 60.0
BROKEN = Input(b"card/broken.jpg", samples.broken_jpeg(), frozenset(("quarantined",)))
EDITS = Input(b"card/broken.xmp", samples.xmp_sidecar(rating=3), frozenset(("quarantined",)), of=BROKEN.path)
OTHER = Input(b"broken.jpg", samples.broken_jpeg(seed=7), frozenset(("quarantined",)))
TWICE = Input(b"broken.jpg", samples.broken_jpeg(seed=8), frozenset(("quarantined",)))
ALL = (BROKEN, EDITS, OTHER, TWICE)


class Retrying(Scene):
    """A scene whose files are in quarantine; each run takes them out by their names, unopened."""

    async def _run(self, files: FaultyFiles, database: Database) -> None:
        last_id = await database.run(journal.last_id)
        connection = await anyio.to_thread.run_sync(open_reader, self.catalogue)
        pipeline = Pipeline(self.config(), files, Hurry(), database, Reader(), last_id, lambda: False)
        try:
            async with anyio.create_task_group() as tasks:
                ready = anyio.Event()

                async def run() -> None:
                    await pipeline.run(once=False, ready=ready.set)

                tasks.start_soon(run)
                with anyio.fail_after(LIMIT):
                    await ready.wait()
                    while not pipeline.shelves["photos"].online:
                        await pipeline.changed(0.01)
                    await retried(pipeline, Questions(connection), (), unparsed=True, dry_run=False)
                    await pipeline.rest()
                tasks.cancel_scope.cancel()
        finally:
            connection.close()
            pipeline.shelves.close()


@pytest.fixture
def scene() -> Iterator[Retrying]:
    """Four files in quarantine: a set of two, and two that came from one path one after the other."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="mediad-retry-", dir=memory))
    try:
        first = Scene(root / "scene", "move", "", ALL[:-1])
        first.make()
        first.reset()
        first.run_undisturbed()
        put(first.inbox, TWICE.path, TWICE.content)
        first.run_undisturbed()
        shutil.rmtree(root / "scene.template")
        (root / "scene").rename(root / "scene.template")
        yield Retrying(root / "scene", "move", "", ALL)
    finally:
        shutil.rmtree(root)


def wrong(scene: Scene, *, done: bool) -> list[str]:
    """What does not hold: each file is either in quarantine with its reason or filed, and the rows say so."""
    found: list[str] = []
    library = files(scene.root / "library", without={b".mediad"})
    private = files(scene.root / "library" / ".mediad" / "quarantine")
    kept = {name: content for name, content in private.items() if not name.endswith(REASON)}
    found += [f"{name!r} has no reason" for name in kept if name + REASON not in private]
    reasons = {name for name in private if name.endswith(REASON)}
    found += [f"{name!r} is left over" for name in reasons if name.removesuffix(REASON) not in kept]
    left = files(scene.root / "library" / ".mediad" / "tmp") | files(scene.root / "inbox")
    found += [f"{name!r} is left over" for name in left]
    with contextlib.closing(sqlite3.connect(scene.catalogue)) as connection:
        rows = connection.execute("SELECT digest, outcome, reason FROM arrival").fetchall()
        open_steps = connection.execute("SELECT count(*) FROM step WHERE state = 'intent'").fetchone()[0]
        tallies = dict(
            connection.execute("SELECT outcome, sum(files) FROM tally WHERE files GROUP BY outcome")
        )
    found += [f"{open_steps} steps are open"] if open_steps else []
    outcomes = {digest: outcome for digest, outcome, _ in rows}
    stayed = {digest for digest, _, reason in rows if KEPT in reason}
    found += [f"{len(rows)} rows of {len(scene.inputs)} files"] if len(rows) != len(scene.inputs) else []
    for file in scene.inputs:
        filed = list(library.values()).count(file.content)
        waits = list(kept.values()).count(file.content)
        digest = hashlib.sha256(file.content).digest()
        outcome = outcomes.get(digest)
        # the system did not let it go, and we say so
        twice = (1, 1, "filed") if digest in stayed else None
        if (filed, waits, outcome) not in ((1, 0, "filed"), (0, 1, "quarantined"), twice):
            found.append(f"{file.path!r}: {filed} filed, {waits} in quarantine, said to be {outcome}")
        if done and not filed:
            found.append(f"{file.path!r} was not filed")
    if done and tallies != {"filed": len(scene.inputs)}:
        found.append(f"the tally is {tallies}")
    return found


def test_undisturbed(scene: Retrying) -> None:
    scene.reset()
    assert wrong(scene, done=False) == []
    scene.run_undisturbed()
    assert wrong(scene, done=True) == []
    everything = files(scene.root / "library", without={b".mediad"})
    names = {name: content for name, content in everything.items() if name.startswith(b"Undated/")}
    assert len(names) == len(ALL)
    assert {b"Undated/broken.jpg", b"Undated/card/broken.jpg", b"Undated/card/broken.xmp"} < set(names)
    assert names[b"Undated/broken.jpg"] in (OTHER.content, TWICE.content)


def test_a_crash_before_every_operation(scene: Retrying) -> None:
    number = 0
    while True:
        number += 1
        scene.reset()
        faults = Faults(crash_at=number)
        scene.run(faults)
        if not faults.dead:
            break
        Scene(scene.root, "move", "", ALL).run_undisturbed()  # a start that is asked for nothing
        assert wrong(scene, done=False) == [], f"after a crash before operation {number} ({faults.hit})"
        scene.run_undisturbed()
        assert wrong(scene, done=True) == [], f"tried again after operation {number} ({faults.hit})"
    assert number > 20


def test_an_error_at_every_change(scene: Retrying) -> None:
    number = 0
    kinds = {"link", "unlink", "rename", "create", "sync_dir", "open_file", "mkdir"}
    while True:
        number += 1
        scene.reset()
        faults = Faults(error_at=number, kinds=kinds)
        scene.run(faults)
        if not faults.hit:
            break
        scene.run_undisturbed()
        assert wrong(scene, done=True) == [], f"after an error of operation {number} ({faults.hit})"
    assert number > 10
