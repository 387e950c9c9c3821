"""Whatever is dropped, memory and time are bounded, the daemon answers, and its neighbours are served.

`MEDIAD_BIG=1` runs the sizes in full: a million names, 200 GB hashed to the end, chunks of 1 GB (all of it
sparse: some minutes, 3 GB of disk for names). What was measured is printed; `pytest -rP` shows it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests import samples
from tests.system.daemon import Daemon
from tests.system.steered import Steered

BIG = bool(os.environ.get("MEDIAD_BIG"))
NAMES = 1_000_000 if BIG else 10_000
CHUNK = 1 << 30 if BIG else 128 << 20
SPARSE = 200 << 30
LIMIT = 3600.0 if BIG else 120.0  # seconds; thin air

MOST_DAEMON = 200 << 10  # KiB; thin air, as are the next two
MOST_WORKER = 400 << 10
MOST_PATIENCE = 5.0  # seconds for an answer, on a machine that others use, too

MOVE = {"action": "move"}
TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
PICTURE = samples.jpeg(TAKEN, seed=1, size=(32, 24))

pytestmark = pytest.mark.timeout(LIMIT)


def peak(pid: int) -> int:
    """The most memory that a process ever had resident, in KiB; 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in text else 0


@contextlib.contextmanager
def measured(daemon: Daemon) -> Iterator[dict[str, float]]:
    """Meanwhile, the peaks of the daemon and of its workers, and how long `status` takes at the most."""
    found = {"daemon": 0.0, "worker": 0.0, "status": 0.0}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found["daemon"] = max(found["daemon"], peak(daemon.pid))
                found["worker"] = max(found["worker"], *map(peak, daemon.workers()), 0)
            if isinstance(daemon, Steered):
                began = time.monotonic()
                daemon.call("Status")
                found["status"] = max(found["status"], time.monotonic() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
    print(
        f"peak of the daemon {found['daemon'] / 1024:.0f} MiB, of a worker {found['worker'] / 1024:.0f} MiB; "
        f"slowest status {found['status'] * 1000:.0f} ms"
    )


def test_names_without_number(tmp_path: Path) -> None:
    """Empty files: nothing but names, one by one in the catalogue."""
    with Steered(tmp_path, start=False, more={"daemon": {"log_level": "info"}}) as daemon:
        for number in range(NAMES):
            if number % 1000 == 0:
                folder = daemon.inbox / f"{number // 1000}"
                folder.mkdir()
                here = os.open(folder, os.O_DIRECTORY)
            os.close(os.open(f"{number}.jpg", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
            if number % 1000 == 999:
                os.close(here)
        daemon.put("a.jpg", PICTURE)
        began = time.monotonic()
        daemon.start()
        with measured(daemon) as found:
            daemon.wait_for_count("ignored", NAMES, LIMIT)
            daemon.wait_for("a.jpg", "filed", limit=LIMIT)
        print(f"{NAMES} names in {time.monotonic() - began:.0f} s")
        assert daemon.totals() == {"ignored": NAMES, "filed": 1, "bytes_filed": len(PICTURE)}
    assert found["daemon"] < MOST_DAEMON
    assert found["status"] < MOST_PATIENCE


def test_a_film_of_200_gb_holds_up_nobody(tmp_path: Path) -> None:
    """It is nearly all hole; hashing it takes minutes, and reading it what any film takes."""
    film = samples.mp4(TAKEN, size=(32, 24))
    with Steered(tmp_path, watch=MOVE) as daemon, measured(daemon) as found:
        path = daemon.put("long.mp4", film)
        with open(path, "r+b") as stream:
            stream.truncate(SPARSE)
        daemon.wait_until(lambda: done(daemon) > 0, what="progress with the film")
        for number in range(3):
            before = done(daemon)
            daemon.put(f"{number}.jpg", samples.jpeg(TAKEN, seed=number, size=(32, 24)))
            daemon.wait_for(f"{number}.jpg", "filed")
            daemon.wait_until(lambda before=before: done(daemon) > before, what="more progress")  # type: ignore[misc]
        assert daemon.outcome("long.mp4").outcome == ""
        if BIG:
            began = time.monotonic()
            daemon.wait_for("long.mp4", "filed", limit=LIMIT)
            print(f"hashed in {time.monotonic() - began:.0f} s")
    assert found["daemon"] < MOST_DAEMON
    assert found["worker"] < MOST_WORKER
    assert found["status"] < MOST_PATIENCE


def done(daemon: Steered) -> int:
    """Bytes of the film that were read so far."""
    flights = [one for one in daemon.status()["in_flight"] if one["path"].endswith("long.mp4")]
    assert all(one["bytes"] == SPARSE for one in flights)
    return int(flights[0]["bytes_done"]) if flights else 0


# -- hostile files ---------------------------------------------------------------------------------------


Piece = bytes | int
"""Bytes, or so many of them that nobody wrote."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@functools.cache
def zeros(count: int) -> bytes:
    """So many zeros, compressed."""
    deflate = zlib.compressobj(1)
    parts = [deflate.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    return b"".join([*parts, deflate.flush()])


def png(*pieces: Piece) -> list[Piece]:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    rest = chunk(b"IDAT", zlib.compress(bytes(16 * 49))) + chunk(b"IEND", b"")
    return [b"\x89PNG\r\n\x1a\n" + header, *pieces, rest]


def box(kind: bytes, *pieces: Piece) -> list[Piece]:
    """An ISO box, with its length in 64 bits."""
    length = 16 + sum(piece if isinstance(piece, int) else len(piece) for piece in pieces)
    return [struct.pack(">I4sQ", 1, kind, length), *pieces]


def nested(depth: int) -> bytes:
    """Boxes in boxes."""
    return b"".join(struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth))


MP4 = struct.pack(">I4s4sI4s", 20, b"ftyp", b"mp42", 0, b"mp42")
HEIC = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic")
CLAIM = 0x7FFFFFF0


def jpeg_segments(marker: bytes, content: bytes, count: int) -> bytes:
    """Very many segments."""
    return (
        PICTURE[:2] + (b"\xff" + marker + struct.pack(">H", len(content) + 2) + content) * count + PICTURE[2:]
    )


def tiff(*entries: tuple[int, int, int, int]) -> bytes:
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + rows + bytes(4)


HOSTILE: dict[str, Callable[[], list[Piece]]] = {
    "text.png": lambda: png(struct.pack(">I", CHUNK) + b"tEXtComment\0", CHUNK - 8, bytes(4)),
    "ztxt.png": lambda: png(chunk(b"zTXt", b"Comment\0\0" + zeros(CHUNK))),
    "itxt.png": lambda: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros(CHUNK))),
    "exif.png": lambda: png(struct.pack(">I", CHUNK) + b"eXIfII*\0\x08\0\0\0", CHUNK - 8, bytes(4)),
    "iccp.png": lambda: png(chunk(b"iCCP", b"p\0\0" + zeros(CHUNK))),
    "wide.png": lambda: [
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", CLAIM, CLAIM, 16, 6, 0, 0, 0)),
        chunk(b"IDAT", zeros(CHUNK)) + chunk(b"IEND", b""),
    ],
    "exif.webp": lambda: [
        b"RIFF" + struct.pack("<I", CHUNK + 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x0c" + bytes(3),
        b"\xff" * 6 + b"EXIF" + struct.pack("<I", CHUNK) + b"II*\0\x08\0\0\0",
        CHUNK - 8,
    ],
    "xmp.jpg": lambda: [jpeg_segments(b"\xe1", b"http://ns.adobe.com/xap/1.0/\0" + b"<a>" * 9000, 400)],
    "longxmp.jpg": lambda: [
        jpeg_segments(
            b"\xe1",
            b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + struct.pack(">II", CLAIM, 0) + b"x" * 60000,
            200,
        )
    ],
    "segments.jpg": lambda: [jpeg_segments(b"\xfe", b"", 1_000_000)],
    "gap.jpg": lambda: [PICTURE[:2], CHUNK, PICTURE[2:]],
    "count.tif": lambda: [tiff(*((tag, 2, CLAIM, 8) for tag in (0x010F, 0x0110, 0x0132, 0x8769, 0x9003)))],
    "rows.tif": lambda: [tiff(*((0x0132, 2, 20, 8) for _ in range(0xFFFF)))],
    "circle.tif": lambda: [tiff((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x014A, 4, 1, 8))],
    "wide.tif": lambda: [tiff((0x0100, 4, 1, CLAIM), (0x0101, 4, 1, CLAIM)), CHUNK],
    "meta.heic": lambda: [HEIC, *box(b"meta", bytes(4), CHUNK)],
    "nested.heic": lambda: [HEIC, nested(100_000)],
    "long.mov": lambda: [MP4, *box(b"moov", CHUNK)],
    "nested.mov": lambda: [MP4, nested(200_000)],
    "many.mov": lambda: [MP4, struct.pack(">I4s", 8, b"free") * 1_000_000],
    "inside.mov": lambda: [MP4, *box(b"moov", struct.pack(">I4s", 8, b"trak") * 100_000)],
    "claims.mov": lambda: [
        MP4,
        struct.pack(">I4s", CLAIM, b"moov"),
        struct.pack(">I4s", CLAIM, b"mvhd"),
        CHUNK,
    ],
    "keys.mov": lambda: [
        MP4,
        *box(b"moov", *box(b"meta", *box(b"keys", bytes(4), b"\x7f\xff\xff\xff", 1 << 24))),
    ],
}


def write(path: Path, pieces: list[Piece]) -> None:
    with open(path, "wb") as stream:
        for piece in pieces:
            if isinstance(piece, int):
                stream.seek(piece, os.SEEK_CUR)
            else:
                stream.write(piece)
        stream.truncate()


def test_hostile_files_cost_little(tmp_path: Path) -> None:
    """Each ends filed or quarantined, and its bytes are there; the daemon and its workers stay small."""
    sizes = {}
    with Daemon(tmp_path, watch=MOVE) as daemon, measured(daemon) as found:
        for name, make in HOSTILE.items():
            write(tmp_path / name, make())
            sizes[name] = (tmp_path / name).stat().st_size
            os.rename(tmp_path / name, daemon.inbox / name)
        daemon.put("next.jpg", PICTURE)
        daemon.wait_for("next.jpg", "filed")
        daemon.wait_until(
            lambda: all(daemon.outcome(name).outcome for name in sizes), LIMIT, what="all of them"
        )
        outcomes = {name: daemon.outcome(name).outcome for name in sizes}
        assert set(outcomes.values()) == {"filed", "quarantined"}, outcomes
        kept = {path.name: path.stat().st_size for path in daemon.library.rglob("*") if path.is_file()}
        for name, size in sizes.items():
            stem, _, extension = name.partition(".")
            mine = [kept[other] for other in kept if other.startswith(stem) and other.endswith(extension)]
            assert size in mine, name
        assert not daemon.matching("Traceback")
        print(f"{len(sizes)} hostile files: {outcomes}")
    assert found["daemon"] < MOST_DAEMON
    assert found["worker"] < MOST_WORKER


# -- workers that are killed -------------------------------------------------------------------------------


def test_workers_killed_from_outside_are_replaced(tmp_path: Path) -> None:
    """As when the system is out of memory: while that lasts the file waits, and then it is filed."""
    slow = MP4 + struct.pack(">I4s", 8, b"free") * 1_000_000 + samples.mp4(TAKEN, size=(32, 24))[20:]
    with Steered(tmp_path, watch=MOVE) as daemon:
        over = threading.Event()
        killed = []

        def kill() -> None:
            while not over.wait(0.01):
                for pid in daemon.workers():
                    if opened(pid, "slow.mp4"):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            daemon.put("slow.mp4", slow)
            failed = daemon.wait_for("slow.mp4", "failed")
        finally:
            over.set()
            killer.join()
        assert len(killed) >= 2
        assert failed.code == "input-output"
        assert failed.reason == "reading failed: the parser was killed (SIGKILL)"
        assert daemon.left() == {b"slow.mp4": slow}
        daemon.ctl("retry")
        daemon.wait_for("slow.mp4", "filed")


def opened(pid: int, name: str) -> bool:
    """Has this process a file of this name open?"""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return any(os.readlink(entry).endswith(name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


@pytest.mark.skipif(
    not BIG, reason="waits for the time limit of a parser; MEDIAD_BIG=1 does; see test_workers"
)
def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE, more={"daemon": {"workers": 1}}) as daemon:
        daemon.put("a.jpg", PICTURE)
        daemon.wait_for("a.jpg", "filed")
        with daemon.stalled_workers():
            daemon.put("b.jpg", samples.jpeg(TAKEN, seed=2, size=(32, 24)))
            daemon.wait_for("b.jpg", "filed")
