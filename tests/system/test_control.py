"""The real mediactl steers the real daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests import samples
from tests.system.once import QUIET, kept, picture
from tests.system.steered import Reply, Steered, finished
from tests.waiting import wait_until

MOVE = {"action": "move", "settle": "0s"}
COPY = {"settle": "0s"}


def test_all_of_the_daemon_yields_to_who_works_here(tmp_path: Path) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    daemons = ours or 5
    with Steered(tmp_path, watch=MOVE) as daemon:
        daemon.put("a.jpg", picture(1))
        daemon.wait_for("a.jpg", "filed")
        assert set(niceness(int(thread) for thread in os.listdir(f"/proc/{daemon.pid}/task"))) == {daemons}
        # a worker that has just been started is as the daemon
        wait_until(lambda: min(niceness(daemon.workers()), default=0) >= min(daemons + 5, 19))


def niceness(numbers: Iterable[int]) -> list[int]:
    """Of these threads or processes, of which some may have ended."""
    found = []
    for number in numbers:
        with suppress(ProcessLookupError):
            found.append(os.getpriority(os.PRIO_PROCESS, number))
    return found


# --- Pause -------------------------------------------------------------------------------------------


def test_pause_and_resume(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        assert "paused until it is resumed: everything" in daemon.ctl("pause").stdout
        daemon.put("a.jpg", picture(1))
        assert "1 held" in daemon.ctl("wait", code=5).stderr
        shown = daemon.ctl("status").stdout
        assert "paused" in shown.splitlines()[0]
        assert "mediactl resume" in shown
        assert "everything is paused" in daemon.ctl("queue").stdout
        assert "everything is paused" in daemon.ctl("why", os.fsencode(daemon.inbox / "a.jpg")).stdout
        assert daemon.ctl("resume").stdout == "resumed: everything\n"
        daemon.ctl("wait")
        assert daemon.totals() == {"filed": 1, "bytes_filed": len(picture(1))}
        assert daemon.ctl("resume").stdout == "nothing was resumed\n"
        assert daemon.ctl("queue").stdout == "nothing waits\n"


def test_a_pause_survives_a_crash_and_ends_by_itself(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        (long,) = daemon.document("pause", "--for", "1h", "inbox")["paused"]
        daemon.ctl("pause", "photos", "--for", "2h")
        assert daemon.ctl("resume", "photos").stdout.startswith("resumed: photos\nstill paused until ")
        daemon.kill()
        daemon.put("a.jpg", picture(1))
        daemon.start()
        watch = daemon.watch("inbox")
        assert (watch["state"], watch["paused_until"]) == ("paused", long["until"])
        assert daemon.rest() == "held"
        daemon.ctl("pause", "inbox", "--for", "500ms")  # instead
        daemon.wait_for_line("inbox is resumed")
        daemon.wait_for("a.jpg", "filed")


def test_what_is_in_flight_when_it_is_paused_is_finished(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        with daemon.stalled_workers():
            daemon.put("a.jpg", picture(1))
            daemon.wait_until(lambda: daemon.has_open("a.jpg"))
            daemon.ctl("pause", "inbox")
            daemon.put("b.jpg", picture(2))
            daemon.call("Scan")
            queue = daemon.status()["queue"]
            assert (queue["in_flight"], queue["held"]) == (1, 1)
            assert daemon.call("Wait", timeout_s=0.1)["result"] == "timeout"
        daemon.ctl("wait", code=5)
        assert daemon.outcome("a.jpg").outcome == "filed"
        assert (daemon.inbox / "b.jpg").exists()


def test_usage_and_names(tmp_path: Path) -> None:
    with Steered(tmp_path) as daemon:
        assert 'did you mean "inbox"?' in daemon.ctl("pause", "inbxo", code=2).stderr
        for arguments in (("pause", "--for", "soon"), ("pause", "--for", "0s"), ("fly",), ("why",)):
            daemon.ctl(*arguments, code=2)
        assert daemon.status()["state"] == "running"
        daemon.stop()
        assert "no daemon answers" in daemon.ctl("status", code=3).stderr


# --- Waiting and looking -----------------------------------------------------------------------------


def test_wait_right_after_the_start(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY, start=False) as daemon:
        for number in range(20):
            daemon.put(f"{number}.jpg", picture(number))
        daemon.start()
        daemon.ctl("wait")
        assert daemon.totals()["filed"] == 20


def test_wait_that_times_out(tmp_path: Path) -> None:
    with Steered(tmp_path, watch={"settle": "10m"}) as daemon:
        daemon.put("a.jpg", picture(1))
        said = daemon.ctl("wait", "--timeout", "200ms", code=4).stderr
        assert "1 settling" in said
        assert daemon.document("wait", "--timeout", "100ms", code=4)["queue"]["settling"] == 1
        (queued,) = daemon.document("queue")["files"]
        assert (queued["state"], 0 < queued["due_s"] <= 600) == ("settling", True)


def test_scan_finds_what_no_event_tells(tmp_path: Path) -> None:
    watch = {**COPY, "polling": "on", "rescan": "1h"}
    with Steered(tmp_path, watch=watch) as daemon:
        daemon.ctl("wait")
        daemon.put("a.jpg", picture(1))
        assert "inbox" in daemon.ctl("scan", "inbox").stdout
        daemon.wait_for("a.jpg", "filed")
        assert daemon.watch("inbox")["found_by_scan"] == 1


# --- Failures, retry, dismiss ------------------------------------------------------------------------


def test_a_quarantined_file_is_filed_unparsed(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        path = daemon.put("IMG_20200102_030405.jpg", samples.broken_jpeg(1))
        daemon.ctl("wait")
        assert daemon.totals() == {"quarantined": 1}
        assert daemon.attention() == ["quarantined"]
        (failure,) = daemon.document("failures")["files"]
        assert failure["command"] == f"mediactl retry --unparsed {os.fsdecode(path)}"
        assert ".mediad/quarantine/" in failure["place"]
        assert "would be tried again" in daemon.ctl("retry", "-n").stdout
        daemon.ctl("retry")  # parsed, it is no better than before
        daemon.ctl("wait")
        assert daemon.totals() == {"quarantined": 1}
        assert kept(daemon, "quarantine") == [samples.broken_jpeg(1)]
        assert "tried again" in daemon.ctl("retry", "--unparsed", path).stdout
        daemon.ctl("wait")
        assert kept(daemon, "quarantine") == []
        assert daemon.filed() == {b"2020/2020-01-02/IMG_20200102_030405.jpg": samples.broken_jpeg(1)}
        assert daemon.totals() == {"filed": 1, "bytes_filed": len(samples.broken_jpeg(1))}
        assert daemon.attention() == []
        assert daemon.ctl("retry").stdout == "there is nothing to try again\n"
        assert "quarantine" in daemon.ctl("why", "IMG_20200102_030405.jpg").stdout


def test_a_copy_watch_keeps_what_could_not_be_read(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        daemon.put("broken.jpg", samples.broken_jpeg(1))
        daemon.ctl("wait")
        assert kept(daemon, "quarantine") == []
        daemon.ctl("retry", "--unparsed", "--", os.fsencode(daemon.inbox / "broken.jpg"))
        daemon.ctl("wait")
        assert list(daemon.filed().values()) == [samples.broken_jpeg(1)]
        assert (daemon.inbox / "broken.jpg").read_bytes() == samples.broken_jpeg(1)
        assert {word: n for word, n in daemon.totals().items() if word != "bytes_filed"} == {"filed": 1}


def test_a_quarantined_set_goes_together(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        daemon.put("a/IMG_1.jpg", samples.broken_jpeg(1))
        daemon.put("a/IMG_1.xmp", samples.xmp_sidecar(rating=1))
        daemon.put("b/IMG_1.jpg", samples.broken_jpeg(2))  # another set of the same stem
        daemon.put("b/IMG_1.xmp", samples.xmp_sidecar(rating=2))
        daemon.ctl("wait")
        assert daemon.totals() == {"quarantined": 4}
        daemon.ctl("retry", "--unparsed", os.fsencode(daemon.inbox / "a" / "IMG_1.jpg"))
        daemon.ctl("wait")
        filed = {name.rpartition(b"/")[2]: content for name, content in daemon.filed().items()}
        assert filed == {b"IMG_1.jpg": samples.broken_jpeg(1), b"IMG_1.xmp": samples.xmp_sidecar(rating=1)}
        assert len({name.rpartition(b"/")[0] for name in daemon.filed()}) == 1
        assert sorted(kept(daemon, "quarantine")) == sorted(
            [samples.broken_jpeg(2), samples.xmp_sidecar(rating=2)]
        )
        daemon.ctl("retry", "--unparsed")
        daemon.ctl("wait")
        assert kept(daemon, "quarantine") == []
        assert len(daemon.filed()) == 4
        items = daemon.query("SELECT count(*) FROM step WHERE action <> 'quarantine' GROUP BY item")
        assert items == [(2,), (2,)]


def test_retry_while_the_library_is_away(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        daemon.put("broken.jpg", samples.broken_jpeg(1))
        daemon.ctl("wait")
        daemon.library.rename(tmp_path / "elsewhere")
        daemon.ctl("scan", "photos")
        assert "its library is away" in daemon.ctl("retry", "--unparsed").stdout
        (tmp_path / "elsewhere").rename(daemon.library)
        daemon.ctl("scan", "photos")
        daemon.ctl("retry", "--unparsed")
        daemon.ctl("wait")
        assert list(daemon.filed().values()) == [samples.broken_jpeg(1)]


def test_a_failed_file_is_tried_again(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root, to take its powers away")
    from tests.system.daemon import MEEK

    with Steered(tmp_path, watch=COPY, wrap=MEEK) as daemon:
        os.chmod(daemon.put("sub/x.jpg", picture(1)), 0)
        daemon.wait_for("sub/x.jpg", "failed")
        assert daemon.attention() == ["failed"]
        daemon.ctl("retry")
        daemon.ctl("wait")
        assert daemon.totals() == {"failed": 1}
        os.chmod(daemon.inbox / "sub" / "x.jpg", 0o644)
        daemon.ctl("retry")
        daemon.ctl("wait")
        assert daemon.totals() == {"filed": 1, "bytes_filed": len(picture(1))}
        assert daemon.attention() == []


def test_dismiss(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        path = daemon.put("broken.jpg", samples.broken_jpeg(1))
        daemon.ctl("wait")
        assert daemon.ctl("dismiss", path).stdout == "1 file will be reported no more\n"
        assert daemon.attention() == []
        assert daemon.document("failures")["files"] == []
        assert daemon.totals() == {"quarantined": 1}
        daemon.ctl("dismiss", path, code=1)
        daemon.stop()
        daemon.start()
        assert daemon.attention() == []


# --- The numbers add up ------------------------------------------------------------------------------


@contextmanager
def polled(daemon: Steered) -> Iterator[list[Reply]]:
    """Ask for the status again and again meanwhile; at the end there are all answers."""
    found: list[Reply] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            found.append(daemon.status())

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def accounted(status: Reply) -> int:
    """Files that have an outcome or wait; what is still to be compared has its outcome."""
    outcomes = {word: int(count) for word, count in status["totals"].items() if word != "bytes_filed"}
    waiting = {word: int(count) for word, count in status["queue"].items() if word != "to_analyse"}
    return sum(outcomes.values()) + sum(waiting.values())


def drop(daemon: Steered, count: int) -> int:
    """Move files of all kinds, each of them whole, into both watches; returns how many."""
    pictures = [content for _, content in samples.jpeg_series(count, length=4000, pictures=2)]
    for name in ("inbox", "card"):
        for number, picture_ in enumerate(pictures):
            content, suffix = {
                0: (b"note %d" % number, "txt"),
                1: (samples.broken_jpeg(number), "jpg"),
                2: (pictures[max(0, number - 10)], "jpg"),
                3: (b"", "jpg"),
            }.get(number % 10, (picture_, "jpg"))
            target = daemon.folders[name] / str(number % 7) / f"{name}-{number}.{suffix}"
            target.parent.mkdir(exist_ok=True)
            os.rename(daemon.put("whole", content, folder=daemon.root), target)
    return 2 * count


def test_the_numbers_add_up_at_every_moment(tmp_path: Path) -> None:
    watches = {"inbox": MOVE, "card": COPY}
    with Steered(tmp_path, watches=watches, more=QUIET) as daemon:
        with polled(daemon) as seen:
            dropped = drop(daemon, 750)
            daemon.ctl("wait")
            at_rest = daemon.status()
            assert accounted(at_rest) == dropped, at_rest
            daemon.call("Scan")
            assert accounted(daemon.status()) == dropped, "what stays is not counted again"
        assert daemon.stop() == 0
    assert len(seen) > 20
    for status in seen:
        assert accounted(status) <= dropped, status
    sizes = [status["totals"]["bytes_filed"] for status in seen]
    assert sizes == sorted(sizes)
    with Steered(tmp_path, watches=watches, more=QUIET) as daemon:
        daemon.ctl("wait")
        assert daemon.status()["totals"] == at_rest["totals"]
        counted = dict(daemon.query("SELECT outcome, count(*) FROM arrival GROUP BY outcome"))
        assert counted == {word: n for word, n in daemon.totals().items() if word != "bytes_filed"}


# --- Monitor -----------------------------------------------------------------------------------------


def test_monitor_follows_in_order(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=MOVE) as daemon:
        daemon.ctl("wait")
        process = daemon.popen("monitor", "--json")
        assert process.stdout is not None
        lines: list[Reply] = []

        def read() -> None:
            lines.extend(json.loads(line) for line in process.stdout or ())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            follows(daemon, lines)
            daemon.ctl("pause")
            daemon.put("a.jpg", picture(1))
            daemon.ctl("wait", code=5)
            daemon.ctl("resume")
            daemon.put("b.txt", b"note")
            daemon.ctl("wait")
            daemon.ctl("reload")
            wait_until(lambda: any(line["event"] == "reload" for line in lines))
        finally:
            process.send_signal(signal.SIGINT)
            reader.join()
            assert process.wait() == 130
            process.stdout.close()
            if process.stderr is not None:
                process.stderr.close()
        told = [line["event"] for line in lines if line["event"] != "watch"]
        assert told[told.index("pause") :][:2] == ["pause", "resume"]
        assert sorted(told[told.index("resume") + 1 :]) == ["filed", "ignored", "reload"]
        times = [line["time"] for line in lines]
        assert times == sorted(times)


def follows(daemon: Steered, lines: list[Reply]) -> None:
    """Wait until somebody is told of events: a look at a watch is one."""

    def told() -> bool:
        daemon.call("Scan", names=["inbox"])
        return bool(lines)

    wait_until(told)


def test_a_reader_that_does_not_read_loses_events_and_hurts_nobody(tmp_path: Path) -> None:
    count = 4000
    with Steered(tmp_path, watch=COPY, more=QUIET) as daemon:
        stream = daemon.stream("Monitor")
        daemon.call("Scan")
        follow = threading.Thread(target=lambda: next(stream))  # connects, and reads one event
        follow.start()
        wait_until(lambda: daemon.call("Scan") and not follow.is_alive())
        for number in range(count):
            daemon.put(f"{number % 20}/{'long name ' * 20}{number}.txt", b"note")
        daemon.ctl("wait")
        told: list[Reply] = []
        for event in stream:
            told.append(event)
            if event["event"] == "lost":
                break
        lost = told[-1]["lost"]
        files = sum(event["event"] == "ignored" for event in told)
        assert lost > 0
        assert files + lost >= count
        stream.close()  # type: ignore[attr-defined]


# --- Questions ---------------------------------------------------------------------------------------


def test_history_and_duplicates(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        for number in range(3):
            daemon.put(f"{number}.jpg", picture(number))
        daemon.ctl("wait")
        rows = [json.loads(line) for line in daemon.ctl("history", "--json").stdout.splitlines()]
        assert [row["outcome"] for row in rows] == ["filed"] * 3
        assert {row["destination"] for row in rows} == {
            f"{daemon.library}/2021/2021-03-01/{number}.jpg" for number in range(3)
        }
        batch = rows[0]["batch"]
        assert len(daemon.ctl("history", "--batch", str(batch), "--json").stdout.splitlines()) == 3
        assert daemon.ctl("history", "--batch", str(batch + 1), "--json").stdout == ""
        assert daemon.ctl("history", "--since", "2h", "--json").stdout.count("\n") == 3
        copy = daemon.library / "copy.jpg"
        copy.write_bytes(picture(1))
        assert daemon.document("duplicates")["groups"] == []
        daemon.stop()
        daemon.start()  # a look at the library shows it, and a newcomer of its size has it read
        daemon.put("again.jpg", picture(1))
        daemon.ctl("wait")
        (group,) = daemon.document("duplicates")["groups"]
        assert {file["path"] for file in group["files"]} == {
            str(copy),
            f"{daemon.library}/2021/2021-03-01/1.jpg",
        }


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY) as daemon:
        path = daemon.put(b"caf\xe9 \n.jpg", picture(1))
        daemon.ctl("wait")
        story = daemon.document(b"why", path)
        assert story["stories"][0]["outcome"] == "filed"
        assert story["path_b64"]
        shown = daemon.ctl("why", path).stdout
        assert "\ufffd" not in shown or "\\xe9" in shown


def test_a_pipe_that_closes(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY, more=QUIET) as daemon:
        for number in range(300):
            daemon.put(f"{number}.txt", b"note")
        daemon.ctl("pause")
        daemon.ctl("scan")
        process = daemon.popen("queue")
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        done = finished(process)
        assert done.returncode in (0, 141)
        assert "Traceback" not in done.stderr
        assert isinstance(done, subprocess.CompletedProcess)
