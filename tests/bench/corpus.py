"""The files that are measured with, and whether they all arrived."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from tests import samples
from tests.trees import files
from tests.waiting import wait_until

START = datetime.fromisoformat("2021-03-01 00:00:00")
DAYS = 40
# A folder of a thousand: what cameras and phones make.
PER_FOLDER = 1000

Manifest = dict[bytes, str]


class Corpus:
    """`count` distinct JPEG files of one length, taken over forty days; equal in every run.

    Args:
        count: how many.
        length: of each, in bytes.
    """

    def __init__(self, count: int, length: int) -> None:
        self.count = count
        self.length = length

    def write(self, inbox: Path) -> Manifest:
        """Write the files below `inbox`; returns where each belongs in a library, with its digest."""
        step = timedelta(days=DAYS) / self.count
        manifest: Manifest = {}
        series = samples.jpeg_series(self.count, start=START, step=step, length=self.length)
        for number, (name, content) in enumerate(series):
            folder = inbox / f"{100 + number // PER_FOLDER}CANON"
            if number % PER_FOLDER == 0:
                folder.mkdir(parents=True)
            moment = START + number * step
            path = folder / name
            path.write_bytes(content)
            os.utime(path, (moment.timestamp(), moment.timestamp()))
            manifest[f"{moment:%Y/%Y-%m-%d}/{name}".encode()] = hashlib.sha256(content).hexdigest()
        return manifest


def wait_for_rest(inboxes: list[Path], seconds: float) -> None:
    """Wait until nothing below `inboxes` has changed for so long."""
    newest = max(path.stat().st_ctime for inbox in inboxes for path in inbox.rglob("*"))
    wait_until(lambda: time.time() > newest + seconds, seconds + 60, what="a corpus at rest")


def arrived(library: Path, inbox: Path, manifest: Manifest) -> list[str]:
    """What is wrong with the outcome, one line each; nothing if every file is where it belongs."""
    found = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in files(library, without={b".mediad"}).items()
    }
    left = files(inbox)
    problems = [f"missing: {os.fsdecode(name)}" for name in manifest.keys() - found.keys()]
    problems += [f"not expected: {os.fsdecode(name)}" for name in found.keys() - manifest.keys()]
    both = manifest.keys() & found.keys()
    problems += [f"changed: {os.fsdecode(name)}" for name in both if manifest[name] != found[name]]
    return problems + [f"still in the inbox: {os.fsdecode(name)}" for name in left]
