"""What steering costs, and how quiet the daemon is: `python -m tests.bench.control`.

Three things in one run: how long `mediactl status` takes as a whole process, idle and while files are being
filed; how fast files are filed while the control socket is flooded and a thousand connections are open,
compared with nobody there; and what an idle daemon costs in processor time, wake-ups and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.corpus import Corpus, wait_for_rest
from tests.bench.programs import MEDIAD_CONFIG
from tests.conftest import PROJECT
from tests.waiting import wait_until

REST = 3.0  # longer than mediad waits for a file on a local disk to settle
IDLE_CONNECTIONS = 1000
FLOODING = 8
STATUS = b'{"method":"io.mediad.Control.Status"}\0'
START_LIMIT = 60.0
FILING_LIMIT = 600.0


class Bench:
    """A daemon on a folder of its own.

    Args:
        programs: the folder that has mediad and mediactl.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.socket = folder / "control"
        self._programs = programs
        for name in ("inbox", "library", "state"):
            (folder / name).mkdir()
        paths = {name: json.dumps(str(folder / name)) for name in ("inbox", "library", "state")}
        config = MEDIAD_CONFIG.format(**paths, socket=json.dumps(str(self.socket)))
        (folder / "config.toml").write_text(config, encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, while the context lasts."""
        command: list[str | Path] = [
            self._programs / "mediad",
            "run",
            "--config",
            self.folder / "config.toml",
        ]
        # a session of its own, as under systemd: sharing ours would have it share our part of the processor
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                wait_until(self.socket.exists, START_LIMIT, what="the control socket")
                yield process
            finally:
                process.terminate()

    def status(self) -> dict[str, Any]:
        """What the daemon says, by the socket alone."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            connection.sendall(STATUS)
            data = b""
            while not data.endswith(b"\0"):
                data += connection.recv(1 << 16)
        reply: dict[str, Any] = json.loads(data[:-1])["parameters"]
        return reply

    def timed_status(self) -> float:
        """Milliseconds that `mediactl status` takes from its start to its end."""
        command: list[str | Path] = [self._programs / "mediactl", "--socket", self.socket, "status"]
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return (time.perf_counter() - started) * 1000

    def filed(self) -> int:
        """How many files are in the library by now."""
        return int(self.status()["totals"]["filed"])


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.control", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="how many files (default %(default)s)")
    parser.add_argument("--length", type=int, default=80_000, help="bytes of each (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it idles (default %(default)s)")
    parser.add_argument("--programs", type=Path, default=Path(sys.executable).parent)
    parser.add_argument("--dir", type=Path, default=PROJECT / "build/bench", help="where: a disk, no tmpfs")
    options = parser.parse_args(arguments)
    options.dir.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(options.files, options.length)
    with tempfile.TemporaryDirectory(prefix="c-", dir=options.dir) as folder:
        for name in ("idle", "alone", "asked", "flooded"):
            (Path(folder) / name).mkdir()
        benches = {name: Bench(Path(folder, name), options.programs) for name in os.listdir(folder)}
        print(idle(benches["idle"], options.seconds))
        alone = filing(benches["alone"], corpus)
        print(f"filing {corpus.count:,} files of {corpus.length:,} bytes: {alone:,.0f} files/s")
        print(asked(benches["asked"], corpus))
        print(flooded(benches["flooded"], corpus, alone))


def filing(bench: Bench, corpus: Corpus, *, meanwhile: threading.Event | None = None) -> float:
    """Files a second, from the daemon's start until all are filed."""
    corpus.write(bench.folder / "inbox")
    wait_for_rest([bench.folder / "inbox"], REST)
    started = time.perf_counter()
    with bench.running():
        if meanwhile is not None:
            meanwhile.set()
        wait_until(lambda: bench.filed() >= corpus.count, FILING_LIMIT, what="all files filed")
        return corpus.count / (time.perf_counter() - started)


def asked(bench: Bench, corpus: Corpus) -> str:
    """How long `mediactl status` takes while files are filed."""
    corpus.write(bench.folder / "inbox")
    wait_for_rest([bench.folder / "inbox"], REST)
    busy: list[float] = []
    with bench.running():
        while bench.filed() < corpus.count:
            busy.append(bench.timed_status())
        idle_times = [bench.timed_status() for _ in range(20)]
    usual, often, longest = statistics.median(busy), statistics.quantiles(busy, n=10)[-1], max(busy)
    words = f"{usual:.0f} ms (median of {len(busy)}; 9 of 10 below {often:.0f} ms, longest {longest:.0f} ms)"
    ratio = usual / statistics.median(idle_times)
    return (
        f"mediactl status while they are filed: {words};"
        f" {ratio:.1f} times the {statistics.median(idle_times):.0f} ms when idle"
    )


def flooded(bench: Bench, corpus: Corpus, alone: float) -> str:
    """How fast files are filed while others do what they can to the socket."""
    begun, over = threading.Event(), threading.Event()
    counts = [0] * FLOODING
    threads = [threading.Thread(target=_flood, args=(bench, begun, over, counts, n)) for n in range(FLOODING)]
    rest = threading.Thread(target=_idle_connections, args=(bench, begun, over))
    for thread in (*threads, rest):
        thread.start()
    try:
        rate = filing(bench, corpus, meanwhile=begun)
    finally:
        begun.set()
        over.set()
        for thread in (*threads, rest):
            thread.join()
    return (
        f"filing with {IDLE_CONNECTIONS:,} open connections and {FLOODING} that flood"
        f" ({sum(counts):,} calls answered): {rate:,.0f} files/s, {rate / alone:.2f} of alone"
    )


def _flood(
    bench: Bench, begun: threading.Event, over: threading.Event, counts: list[int], number: int
) -> None:
    begun.wait()
    while not over.is_set():
        try:
            bench.status()
        except OSError:
            continue
        counts[number] += 1


def _idle_connections(bench: Bench, begun: threading.Event, over: threading.Event) -> None:
    begun.wait()
    with ExitStack() as stack:
        for number in range(IDLE_CONNECTIONS):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(bench.socket))
            if number % 2:  # half a request
                connection.sendall(STATUS[:10])
        over.wait()


def idle(bench: Bench, seconds: float) -> str:
    """What a daemon with nothing to do costs."""
    with bench.running() as process:
        wait_until(
            lambda: bench.status()["watches"][0]["state"] == "watching", START_LIMIT, what="a watch at rest"
        )
        wait_until(lambda: _children(process.pid) == 0, 120.0, what="no parser left")
        before = _usage(process.pid)
        threading.Event().wait(seconds)
        after = _usage(process.pid)
        memory = _memory(process.pid)
    cpu, wakeups = ((now - then) / seconds for now, then in zip(after, before, strict=True))
    return (
        f"idle for {seconds:.0f} s, one watch: {cpu * 100:.2f} % of a processor,"
        f" {wakeups:.1f} wake-ups a second, {memory / 1e6:.0f} MB of its own memory"
    )


def _children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


def _usage(pid: int) -> tuple[float, float]:
    """Processor seconds, and voluntary context switches of all threads: each follows a wake-up."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text("ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), float(switches)


def _memory(pid: int) -> int:
    """Bytes that are this process's alone (proc_pid_smaps(5))."""
    found = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in found if line.startswith("Private_"))


if __name__ == "__main__":
    main()
