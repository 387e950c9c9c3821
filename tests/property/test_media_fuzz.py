"""Broken files of every format are read within bounds, and no date is concluded that the rules do not allow.

How many are tried is told by `pytest -rP`; see `tests.property.fuzzing` for more of them.
"""

from __future__ import annotations

import faulthandler
import functools
import io
import os
import random
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from mediad.media.__main__ import limit_time
from mediad.media.conclude import LONGEST_EVIDENCE, conclude
from mediad.media.dates import DateSettings
from mediad.media.read import read
from mediad.media.reading import File
from mediad.media.wire import HEADER, reply, reply_from_json
from mediad.model import Facts
from tests import played, samples
from tests.property.fuzzing import SEED, broken, numbers

TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
NOW = datetime(2024, 6, 1, tzinfo=UTC)
SETTINGS = DateSettings(UTC, earliest=date(1990, 1, 1))

MOST_SECONDS = 10.0  # of the processor for one file; thin air, and below what a worker may take
MOST_MEMORY = 96 << 20  # bytes above what there was; libraries in C are bounded by the worker's own limits
MOST_READ = 64 << 20  # bytes of one file, however large it is
SPARSE = 200 << 30


def bmp() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "BMP")
    return stream.getvalue()


def jpeg_with_xmp() -> bytes:
    packet = b"http://ns.adobe.com/xap/1.0/\0" + samples.xmp_sidecar(TAKEN, offset="+02:00")
    plain = samples.plain_jpeg(size=(16, 16))
    return plain[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + plain[2:]


SMALL: Any = {"size": (16, 16)}
MAKERS: dict[str, Callable[[], bytes]] = {
    "a.jpg": lambda: samples.jpeg(
        TAKEN, offset="+02:00", subsec="77", gps=(1.0, 2.0), gps_time=TAKEN, **SMALL
    ),
    "xmp.jpg": jpeg_with_xmp,
    "live.jpg": lambda: samples.live_photo(TAKEN)[0],
    "live.mov": lambda: samples.live_photo(TAKEN)[1],
    "a.png": lambda: samples.png(TAKEN, **SMALL),
    "a.webp": lambda: samples.webp(TAKEN, **SMALL),
    "a.avif": lambda: samples.avif(TAKEN, **SMALL),
    "a.tif": lambda: samples.tiff(TAKEN, **SMALL),
    "a.gif": lambda: samples.gif(**SMALL),
    "a.bmp": bmp,
    "a.heic": lambda: samples.heic(TAKEN, offset="+02:00"),
    "a.mov": lambda: samples.mov(TAKEN, creation_date="2021-07-10T20:39:25+0200", make="Apple", **SMALL),
    "a.mp4": lambda: samples.mp4(TAKEN, **SMALL),
    "a.wav": samples.wav,
    "a.xmp": lambda: samples.xmp_sidecar(TAKEN),
    "broken.jpg": samples.broken_jpeg,
}
MAKERS |= {f"played.{form}": maker for form, maker in played.SAMPLES.items()}
PICTURES = {"jpg", "png", "webp", "tif", "gif", "bmp", "heic", "avif"}


@functools.cache
def sample(name: str) -> bytes:
    return MAKERS[name]()


class Counted(io.RawIOBase):
    """A file of so many bytes, of which all but the first are zeros, and how much of it was read."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._data = data
        self._size = size
        self._offset = 0
        self.got = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        self._offset = min(max(base + offset, 0), (1 << 63) - 1)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._offset)
        size = left if size is None or size < 0 else min(size, left)
        self.got += size
        assert self.got <= MOST_READ, "reads too much"
        data = self._data[self._offset : self._offset + size]
        self._offset += size
        return data + bytes(size - len(data))


def told(name: str, data: bytes, size: int) -> Facts:
    """What the daemon is told of a file; it has to be possible."""
    began = time.process_time()
    file = File(3, name.encode(), size, 1_600_000_000_000_000_000, on_card=True)
    found = conclude(read(Counted(data, size), file.name, size), file, SETTINGS, NOW)  # type: ignore[arg-type]
    assert time.process_time() - began < MOST_SECONDS, "takes too long"
    assert reply_from_json(reply([found])[HEADER:], 1) == [found]
    assert len(found.evidence) <= LONGEST_EVIDENCE
    if found.taken is not None:
        local, offset = found.taken.local, found.taken.offset_minutes
        instant = local - timedelta(minutes=offset or 0)
        assert local.date() >= SETTINGS.earliest
        assert instant <= NOW.replace(tzinfo=None) + timedelta(days=1)
        assert not found.damaged or found.taken.confidence == "low"
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_whatever_is_broken_is_read_within_bounds(name: str) -> None:
    """In a child process: a library may crash or loop, which costs the daemon a worker and us a child."""
    todo = [number for number, _ in numbers(400 if name.partition(".")[2] in PICTURES else 80)]
    tried, dated = len(todo), 0
    crashed = []
    while todo:
        answers, status = in_child(lambda: (answer(name, number) for number in todo))  # noqa: B023
        dated += answers.count(b"d")
        if os.WIFSIGNALED(status):
            crashed.append(todo[len(answers)])
        else:
            assert status == 0, f"{name} broken as number {todo[len(answers)]}; see above"
        todo = todo[len(answers) + 1 :]
    print(f"{name}: {tried} broken files read, {dated} of them dated; these crashed the parser: {crashed}")
    assert len(crashed) * 200 <= tried


def answer(name: str, number: int) -> bytes:
    limit_time()
    chance = random.Random(f"{SEED}-{number}")
    data = broken(sample(name), [sample(other) for other in MAKERS], chance)
    return b"d" if told(name, data, len(data)).taken is not None else b"u"


def in_child(work: Callable[[], Iterable[bytes]]) -> tuple[bytes, int]:
    """What a child process answers, and how it ended."""
    for name in MAKERS:
        sample(name)  # made once, not in each child
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()
            for one in work():
                os.write(writing, one)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent fails
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as stream:
        answers = stream.read()
    return answers, os.waitpid(child, 0)[1]


@pytest.mark.parametrize("name", MAKERS)
def test_memory_is_bounded(name: str) -> None:
    others = [sample(other) for other in MAKERS]
    tracemalloc.start()
    try:
        for number, chance in numbers(12):
            data = broken(sample(name), others, chance)
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            told(name, data, len(data))
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < MOST_MEMORY, f"{name} broken as number {number}"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", MAKERS)
def test_of_an_enormous_file_little_is_read(name: str) -> None:
    others = [sample(other) for other in MAKERS]
    told(name, sample(name), SPARSE)
    for number, chance in numbers(6):
        try:
            told(name, broken(sample(name), others, chance), SPARSE)
        except BaseException as error:
            error.add_note(f"{name} broken as number {number}")
            raise
