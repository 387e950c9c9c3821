"""The whole of it at once: real media three times over, a film that is written slowly, and a crash.

Every file has exactly one outcome, the counts add up, no byte is lost or doubled, and no date contradicts
what is known for certain.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import shutil
import signal
import sqlite3
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon

LARGE = 2 << 30
ROOM = 6 << 30  # with less than this free, the film is a small one
SMALL = 64 << 20
PIECES = 40
PAUSE = 0.35  # seconds between two pieces: now and then longer than what counts as quiet
SETTLE = "300ms"
TYPES = {"JPEG", "PNG", "WEBP", "Extended WEBP", "AVIF", "HEIC", "HEIF", "TIFF", "MP4", "MOV"}
EARLIEST = "1990-01-01"
NAMES = ("{}", "again {}", "kopie-{}")  # stems stay alike, so that sets stay sets
FILM = b"slow/MVI_0001.mp4"
LIMIT = 120.0


@dataclass(frozen=True)
class Dropped:
    """A file as it was put into the watch; `original` is its name in the collection."""

    digest: bytes
    original: str


def digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def digests(folder: Path, *, without: str = "") -> Counter[bytes]:
    """The contents below a folder; reasons in trash and quarantine are no content."""
    return Counter(
        digest(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".reason.txt") and without not in path.parts
    )


def copy(media: Path, inbox: Path, number: int) -> Iterator[tuple[bytes, Dropped]]:
    """Copy the collection under the names of this number, as a file manager would."""
    for path in sorted(media.rglob("*")):
        if path.is_file():
            original = path.relative_to(media)
            name = Path(f"copy {number}", original.parent, NAMES[number].format(path.name))
            (inbox / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, inbox / name)
            yield os.fsencode(name), Dropped(digest(path), str(original))


class SlowFilm:
    """Writes a film of `size` bytes piece by piece, and holds the last ones back until it may end."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.may_end = threading.Event()
        self.digest = b""
        self._thread = threading.Thread(target=self._write, args=(size,))
        path.parent.mkdir(parents=True)

    def __enter__(self) -> SlowFilm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.may_end.set()
        self._thread.join()

    def _write(self, size: int) -> None:
        film = samples.mp4(datetime(2022, 5, 14, 10, 15, 33), size=(64, 48))  # noqa: DTZ001 - UTC by definition
        media = film.rindex(b"mdat") - 4
        start = film[:media] + struct.pack(">I", size - media) + film[media + 4 :]
        filler = os.urandom(1 << 20)
        sha = hashlib.sha256(start)
        pause = threading.Event()
        with self.path.open("wb", buffering=0) as stream:
            stream.write(start)
            written = len(start)
            for piece in range(1, PIECES + 1):
                if piece > PIECES - 4:
                    self.may_end.wait()
                while written < size * piece // PIECES:
                    part = filler[: size * piece // PIECES - written]
                    stream.write(part)
                    sha.update(part)
                    written += len(part)
                pause.wait(PAUSE)
        self.digest = sha.digest()


def test_the_show(tmp_path: Path, shared_media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = LARGE if shutil.disk_usage(tmp_path).free >= ROOM else SMALL
    dropped: dict[bytes, Dropped] = {}
    with Daemon(tmp_path, watch={"action": "move", "settle": SETTLE}) as daemon:
        with SlowFilm(daemon.inbox / os.fsdecode(FILM), size) as film:
            dropped.update(copy(shared_media, daemon.inbox, 0))
            daemon.wait_for_count("filed", 20)
            middle = len(dropped) * 3 // 2
            for path, what in copy(shared_media, daemon.inbox, 1):
                dropped[path] = what
                if len(dropped) == middle:
                    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
            assert 20 <= known(daemon) < len(dropped)
            daemon.start()
            dropped.update(copy(shared_media, daemon.inbox, 2))
            daemon.wait_until(lambda: known(daemon) == len(dropped), LIMIT, what="an outcome for every file")
            assert daemon.outcome(FILM).outcome == ""
            film.end()
        dropped[FILM] = Dropped(film.digest, "")
        daemon.wait_until(lambda: known(daemon) == len(dropped), LIMIT, what="an outcome for the film")
        assert daemon.stop() == 0
        with capsys.disabled():
            print(table(daemon, size))
        check_outcomes(daemon, dropped)
        check_bytes(daemon, dropped)
        check_dates(daemon, dropped, shared_media)
        before = daemon.outcomes()
        daemon.run_once()
        assert daemon.outcomes() == before
        check_bytes(daemon, dropped)


def known(daemon: Daemon) -> int:
    """How many paths have an outcome."""
    with contextlib.suppress(sqlite3.OperationalError):
        rows = daemon.query("SELECT count(DISTINCT path) FROM arrival WHERE outcome IS NOT NULL")
        return int(rows[0][0])
    return 0


def table(daemon: Daemon, size: int) -> str:
    lines = [f"\nthe film had {size / 1e9:.1f} GB", f"{'outcome':14}{'files':>6}"]
    found = Counter(outcome.outcome for outcome in daemon.outcomes().values())
    lines += [f"{outcome:14}{count:6}" for outcome, count in found.most_common()]
    return "\n".join([*lines, f"{'all':14}{found.total():6}"])


def check_outcomes(daemon: Daemon, dropped: dict[bytes, Dropped]) -> None:
    """One outcome for each, and as many files in each place as the outcomes say."""
    rows = daemon.query("SELECT path, outcome FROM arrival ORDER BY path")
    assert [path for path, _ in rows] == sorted(dropped)
    found = Counter(outcome for _, outcome in rows)
    assert found.keys() <= {"filed", "duplicate", "quarantined", "ignored"}
    assert daemon.query("SELECT count(*) FROM step WHERE state = 'intent'") == [(0,)]
    private = daemon.library / ".mediad"
    assert found == {
        "filed": digests(daemon.library, without=".mediad").total(),
        "duplicate": digests(private / "trash").total(),
        "quarantined": digests(private / "quarantine").total(),
        "ignored": digests(daemon.inbox).total(),
    }
    assert digests(private / "tmp").total() == 0


def check_bytes(daemon: Daemon, dropped: dict[bytes, Dropped]) -> None:
    """What is filed under a name is what was dropped, and all that was dropped is somewhere, once."""
    places = daemon.query(
        "SELECT arrival.path, step.destination FROM arrival JOIN step ON step.arrival = arrival.id"
        " WHERE step.state = 'done' AND step.destination NOT NULL"
    )
    assert len(places) == len({path for path, _ in places})
    for path, destination in places:
        assert digest(daemon.library / os.fsdecode(destination)) == dropped[path].digest, path
    private = daemon.library / ".mediad"
    kept = digests(daemon.library, without=".mediad") + digests(daemon.inbox)
    kept += digests(private / "trash") + digests(private / "quarantine")
    assert kept == Counter(what.digest for what in dropped.values())


def check_dates(daemon: Daemon, dropped: dict[bytes, Dropped], media: Path) -> None:
    """No date, and no folder, contradicts a firm row of the collection's list."""
    with (media / "MANIFEST.csv").open(encoding="utf-8", newline="") as lines:
        firm = {row["file"]: row for row in csv.DictReader(lines) if is_firm(row)}
    rows = daemon.query(
        "SELECT arrival.path, arrival.taken, arrival.outcome, step.destination, step.id = step.item"
        " FROM arrival JOIN step ON step.arrival = arrival.id"
        " WHERE step.state = 'done' AND arrival.taken NOT NULL"
    )
    wrong = []
    checked = 0
    for path, taken, outcome, destination, is_principal in rows:
        row = firm.get(dropped[path].original)
        if row is None:
            continue
        expected = datetime.fromisoformat(row["expected_local"]).replace(microsecond=0)
        apart = abs(datetime.fromisoformat(taken).replace(microsecond=0) - expected)
        folder = f"{expected:%Y/%Y-%m-%d}/".encode()
        misplaced = outcome == "filed" and is_principal and not destination.startswith(folder)
        checked += 1
        if apart > timedelta(seconds=2 if row["live_id"] else 0) or misplaced:
            wrong.append((path, row["expected_local"], taken, destination))
    assert wrong == []
    assert checked >= 2 * len(firm)


def is_firm(row: dict[str, str]) -> bool:
    expected = row["expected_local"]
    return (
        row["true_type"] in TYPES
        and bool(expected)
        and "weak" not in row["date_basis"]
        and expected >= EARLIEST
    )
