"""`mediactl undo`, `trash`, `refile`, `duplicates --prune`: the plan, the question, what is said then."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mediad.cli.ctl import main
from mediad.cli.progress import Progress
from mediad.cli.table import Screen
from mediad.control.client import Client
from tests.answering import DEFINITION, Answer, CannedDaemon, Document, always, failed

Said = tuple[int, str, str]


def change(number: int, **others: object) -> dict[str, Any]:
    """A file that is put back where it came from."""
    return {
        "id": 100 + number,
        "item": 100 + number,
        "action": "undo",
        "undoes": number,
        "undone_action": "move",
        "source": f"/lib/2022/2022-08-15/IMG_{number}.JPG",
        "destination": f"/inbox/IMG_{number}.JPG",
        "size": 1_000_000,
        "done": True,
        "reason": "",
        **others,
    }


def refusal(number: int, reason: str = "it has changed since") -> dict[str, Any]:
    return change(number, id=None, destination=None, done=False, reason=reason)


def reply(changes: Sequence[Document], state: str = "done", **others: object) -> dict[str, Any]:
    """What comes at the end, its counts being those of these changes."""
    done = [one for one in changes if one["done"]]
    return {
        "state": state,
        "batch": None if state == "planned" or not done else 84,
        "done": len(done),
        "refused": len(changes) - len(done),
        "bytes": 1_000_000 * len(done),
        "changes": list(changes),
        **others,
    }


def planned(*changes: Document) -> Answer:
    """Answers a dry run with a plan, and else as if it had been carried out."""

    def answer(parameters: dict[str, Any]) -> Iterable[Document]:
        return [reply(changes, "planned" if parameters["dry_run"] else "done")]

    return answer


class Played:
    """A canned daemon, and what `mediactl` said to its answers."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._place = place
        self._capsys = capsys
        self.calls: list[dict[str, Any]] = []

    def __call__(self, *arguments: str, **answers: Answer) -> Said:
        """Runs a command; returns its exit code and what it printed."""
        with CannedDaemon(self._place, answers) as daemon:
            code = main(["--socket", str(self._place), *arguments])
        self.calls = [
            {name: value for name, value in parameters.items() if value is not None}
            for _, parameters in daemon.calls
        ]
        said = self._capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def play(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    return Played(Path("control"), capsys)


class Sitting:
    """A terminal of 80 columns, and somebody who types there.

    Args:
        streams: which of the program's standard streams it is.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, streams: Sequence[str]) -> None:
        self._master, slave = os.openpty()
        for name in streams:
            mode = "r" if name == "stdin" else "w"
            monkeypatch.setattr(sys, name, open(slave, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("NO_COLOR", "1")
        self._slave = slave

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def shown(self) -> list[str]:
        """The lines on it."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        found = b""
        while select.select([self._master], [], [], 0)[0]:
            found += os.read(self._master, 1 << 16)
        return found.decode().replace("\r\n", "\n").splitlines()

    def leave(self) -> None:
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sitting]]:
    sittings: list[Sitting] = []

    def begin(*streams: str) -> Sitting:
        sittings.append(Sitting(monkeypatch, streams or ("stdin", "stdout", "stderr")))
        return sittings[-1]

    yield begin
    monkeypatch.undo()
    for sitting in sittings:
        sitting.leave()


# --- Without a terminal ------------------------------------------------------------------------------


def test_nobody_to_ask(play: Played) -> None:
    for command in (
        ["undo"],
        ["trash", "a"],
        ["refile", "a"],
        ["date", "a", "--reset"],
        ["duplicates", "--prune"],
    ):
        code, out, err = play(*command)
        assert (code, out) == (2, "")
        assert err == (
            "mediactl: there is no terminal to ask on; -y does it unasked, -n only shows what it would do\n"
        )
        assert play.calls == []


def test_unasked(play: Played) -> None:
    code, out, err = play("undo", "-y", Undo=planned(change(1), change(2, undone_action="trash")))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "WHAT          SIZE  FILE                            GOES TO",
        "undo move   1.0 MB  /lib/2022/2022-08-15/IMG_1.JPG  /inbox/IMG_1.JPG",
        "undo trash  1.0 MB  /lib/2022/2022-08-15/IMG_2.JPG  /inbox/IMG_2.JPG",
        "undone: 2 files (2.0 MB): 1 move, 1 move to trash",
        "`mediactl --socket control undo 84` takes that back",
    ]
    assert play.calls == [{"dry_run": False}]


def test_what_is_refused_is_told_with_the_reason(play: Played) -> None:
    code, out, _ = play("undo", "-y", Undo=planned(change(1), refusal(2)))
    assert code == 1
    assert "\nrefused    1.0 MB  /lib/2022/2022-08-15/IMG_2.JPG  -\n    it has changed since\n" in out
    assert "undone: 1 file (1.0 MB); 1 refused\n" in out
    code, out, _ = play("undo", "-y", Undo=planned(refusal(1), refusal(2)))
    assert code == 1
    assert out.splitlines()[-1] == "nothing was undone; 2 refused"


def test_nothing_to_do(play: Played) -> None:
    assert play("undo", "-y", Undo=planned()) == (0, "there is nothing to undo\n", "")
    assert play("undo", "-n", Undo=planned()) == (0, "there is nothing to undo\n", "")
    assert play("refile", "a", "-n", Refile=planned())[1] == "everything is where it belongs\n"
    assert play("trash", "a", "-n", Trash=planned())[1] == "there is nothing to move to trash\n"
    assert play("duplicates", "--prune", "-n", Prune=planned())[1] == "there are no copies to move to trash\n"


def test_what_is_not_known(play: Played) -> None:
    unknown = always(failed("NotKnown", message="no batch and no step has this number"))
    assert play("undo", "-y", "7", Undo=unknown) == (
        1,
        "",
        "mediactl: no batch and no step has this number\n",
    )


def test_the_plan_alone_lists_all(play: Played) -> None:
    pages = always(
        reply([change(number) for number in range(30)], "planned", done=30),
        reply([*map(change, range(30, 59)), refusal(60)], "planned", done=59),
    )
    code, out, _ = play("undo", "-n", Undo=pages)
    assert code == 1
    assert out.count("/inbox/IMG_") == 59
    assert out.splitlines()[-1] == "would be undone: 59 files (29.0 MB); 1 refused"
    assert play.calls == [{"dry_run": True}]
    nothing = play("undo", "-n", Undo=planned(refusal(1)))
    assert nothing[1].splitlines()[-1] == "nothing would be undone; 1 refused"


def test_the_first_of_many(play: Played) -> None:
    many = [*map(change, range(57)), *map(refusal, range(100, 112))]
    out = play("undo", "-y", Undo=planned(*many))[1]
    assert "and 47 more: `mediactl --socket control history --batch 84` lists all\n" in out
    assert "and 2 more refused: `mediactl --socket control history --batch 84` lists all\n" in out
    assert out.count("it has changed since") == 10


def test_a_document(play: Played) -> None:
    answers = always(
        reply([change(1)], "working", batch=84),
        reply([change(2), refusal(3)], done=2, refused=1, bytes=2_000_000),
    )
    code, out, err = play("undo", "-y", "--json", Undo=answers)
    assert (code, err, out.count("\n")) == (1, "", 1)
    document = json.loads(out)
    assert {name: document[name] for name in document.keys() - {"changes"}} == {
        "state": "done",
        "batch": 84,
        "done": 2,
        "refused": 1,
        "bytes": 2_000_000,
    }
    assert [one["undoes"] for one in document["changes"]] == [1, 2, 3]
    plan = json.loads(play("undo", "-n", "--json", Undo=planned(change(1)))[1])
    assert (plan["state"], plan["batch"], len(plan["changes"])) == ("planned", None, 1)


# --- What is asked for -------------------------------------------------------------------------------


def test_numbers_and_paths(play: Played, tmp_path: Path) -> None:
    play("undo", "-y", "12", "./12", "a b", "007", os.fsdecode(b"\xff"), Undo=planned())
    assert play.calls == [
        {
            "ids": [12, 7],
            "paths": [f"{tmp_path}/12", f"{tmp_path}/a b"],
            "paths_b64": [base64.b64encode(os.fsencode(tmp_path) + b"/\xff").decode()],
            "dry_run": False,
        }
    ]
    play("undo", "-n", "--since", "2026-11-25T10:00:00+00:00", Undo=planned())
    assert play.calls == [{"since": "2026-11-25T10:00:00Z", "dry_run": True}]
    code, _, err = play("undo", "-y", "1234567890123456789")
    assert (code, play.calls) == (2, [])
    assert err == (
        "mediactl: 1234567890123456789 is no number of a step or a batch"
        " (./1234567890123456789 is the file)\n"
    )


def test_library_files(play: Played, tmp_path: Path) -> None:
    moved = change(1, action="trash", undoes=None, undone_action=None, reason="the same as /lib/a.jpg")
    code, out, _ = play("trash", "-y", "a", "/b", Trash=planned(moved))
    assert (code, play.calls) == (
        0,
        [{"paths": [f"{tmp_path}/a", "/b"], "paths_b64": [], "dry_run": False}],
    )
    assert "\n    the same as /lib/a.jpg\n" in out
    assert out.splitlines()[-2:] == [
        "moved to trash: 1 file (1.0 MB)",
        "`mediactl --socket control undo 84` takes that back",
    ]
    play("refile", "-y", "--library", "photos", Refile=planned())
    assert play.calls == [{"library": "photos", "dry_run": False}]
    play("refile", "-y", "/a", Refile=planned())
    assert play.calls == [{"paths": ["/a"], "paths_b64": [], "dry_run": False}]
    for named in (["/a", "--library", "photos"], []):
        assert play("refile", "-y", *named)[0] == 2
        assert play.calls == []


def test_copies(play: Played, tmp_path: Path) -> None:
    play("duplicates", "--prune", "-y", "--under", "d", "--keep", "oldest", Prune=planned())
    assert play.calls == [{"under": f"{tmp_path}/d", "keep": "oldest", "dry_run": False}]
    play("duplicates", "--prune", "-n", Prune=planned())
    assert play.calls == [{"dry_run": True}]
    for option in (["--under", "d"], ["--keep", "best"], ["-n"], ["-y"]):
        code, _, err = play("duplicates", *option)
        assert (code, play.calls) == (2, [])
        assert "belong to duplicates --prune" in err


# --- On a terminal -----------------------------------------------------------------------------------


def test_the_plan_is_shown_and_done(play: Played, sit: Callable[..., Sitting]) -> None:
    terminal = sit()
    terminal.type("y\n")
    assert play("undo", "3", Undo=planned(change(1), refusal(2)))[0] == 1
    shown = terminal.shown()
    assert shown[0] == "y"  # as it was typed
    assert shown[1:] == [
        "WHAT         SIZE  FILE                            GOES TO",
        "undo move  1.0 MB  /lib/2022/2022-08-15/IMG_1.JPG  /inbox/IMG_1.JPG",
        "refused    1.0 MB  /lib/2022/2022-08-15/IMG_2.JPG  -",
        "    it has changed since",
        "1 file (1.0 MB); 1 refused",
        "Undo 1 file (1.0 MB)? [y/N] WHAT       SIZE  FILE                            GOES TO",
        "refused  1.0 MB  /lib/2022/2022-08-15/IMG_2.JPG  -",
        "    it has changed since",
        "undone: 1 file (1.0 MB); 1 refused",
        "`mediactl --socket control undo 84` takes that back",
    ]
    assert play.calls == [{"ids": [3], "dry_run": True}, {"ids": [3], "dry_run": False}]


@pytest.mark.parametrize("answer", ["n\n", "\n", "yesterday\n", "\x04"])
def test_anything_else_is_no(play: Played, sit: Callable[..., Sitting], answer: str) -> None:
    terminal = sit()
    terminal.type(answer)
    assert play("trash", "a", Trash=planned(change(1)))[0] == 1
    assert len(play.calls) == 1
    assert terminal.shown()[-1] in (
        "nothing was changed",
        "Move 1 file (1.0 MB) to trash? [y/N] nothing was changed",
    )


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (OSError, 1)])
def test_no_answer_is_no(
    play: Played,
    sit: Callable[..., Sitting],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    code: int,
) -> None:
    class Hanging(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise error

    terminal = sit()
    keyboard = io.TextIOWrapper(Hanging())
    keyboard.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", keyboard)
    assert play("refile", "a", Refile=planned(change(1)))[0] == code
    assert terminal.shown()[-2:] == ["File 1 file (1.0 MB) anew? [y/N] ", "nothing was changed"]


def test_nothing_to_ask(play: Played, sit: Callable[..., Sitting]) -> None:
    terminal = sit()
    assert play("undo", Undo=planned())[0] == 0
    assert terminal.shown() == ["there is nothing to undo"]
    assert play("undo", Undo=planned(refusal(1)))[0] == 1
    assert terminal.shown()[-1] == "nothing would be undone; 1 refused"


def test_what_is_printed_elsewhere_is_asked_on_standard_error(
    play: Played, sit: Callable[..., Sitting]
) -> None:
    terminal = sit("stdin", "stderr")
    terminal.type("y\n")
    code, out, _ = play("undo", "3", Undo=planned(change(1)))
    assert (code, out) == (
        0,
        "undone: 1 file (1.0 MB)\n`mediactl --socket control undo 84` takes that back\n",
    )
    assert terminal.shown()[-1] == "Undo 1 file (1.0 MB)? [y/N] "


@pytest.mark.parametrize(("answer", "state", "code"), [("yes\n", "done", 0), ("n\n", "planned", 1)])
def test_a_document_is_asked_for(
    play: Played, sit: Callable[..., Sitting], answer: str, state: str, code: int
) -> None:
    terminal = sit("stdin", "stderr")
    terminal.type(answer)
    ended, out, _ = play("undo", "3", "--json", Undo=planned(change(1)))
    assert ended == code
    assert json.loads(out)["state"] == state
    assert "Undo 1 file (1.0 MB)? [y/N] " in "\n".join(terminal.shown())


def test_eighty_columns(play: Played, sit: Callable[..., Sitting]) -> None:
    terminal = sit()
    long = change(1, source=f"/home/anna/{'x' * 60}/IMG_1.JPG", destination=f"/srv/{'y' * 60}/IMG_1.JPG")
    play("undo", "-n", Undo=planned(long))
    shown = terminal.shown()
    assert all(len(line) <= 80 for line in shown)
    assert shown[1].count("/IMG_1.JPG") == 2


def test_what_was_shown_is_undone(play: Played, sit: Callable[..., Sitting]) -> None:
    """By the time of the answer another batch may be the latest: the one that was shown is named."""
    shown = planned(change(5), change(6))
    row = DEFINITION.check_reply("History", {"rows": [_row(5, 3)], "next": None})
    terminal = sit()
    terminal.type("y\n" * 3)
    play("undo", Undo=shown, History=always(row))
    assert play.calls[1:] == [{"after": 4, "limit": 1}, {"ids": [3], "dry_run": False}]
    play("undo", "12", Undo=shown)
    assert play.calls[1] == {"ids": [12], "dry_run": False}
    play("undo", "--since", "2026-11-25T10:00:00+00:00", Undo=shown)
    assert play.calls[1] == {"since": "2026-11-25T10:00:00Z", "dry_run": False}


def _row(step: int, batch: int) -> dict[str, Any]:
    return {
        "id": step,
        "item": step,
        "batch": batch,
        "time": "2026-11-25T10:00:00Z",
        "action": "move",
        "source": "/inbox/a.jpg",
        "size": 1,
        "reason": "",
        "undone": False,
    }


def test_interrupted(play: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(progress: Progress, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "show", interrupt)
    answers = always(reply([change(1)], "working", batch=84), reply([change(2)]))
    code, out, err = play("undo", "-y", Undo=answers)
    assert (code, out) == (130, "")
    assert err == (
        "interrupted; what was undone until now stays so, and"
        " `mediactl --socket control undo 84` takes that back\n"
    )
    assert play("undo", "-n", "--json", Undo=planned(change(1))) == (130, "", "")


def test_interrupted_before_anything_was_heard(play: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(client: Client, method: str, parameters: object) -> Iterator[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "stream", interrupt)
    assert play("undo", "-y") == (
        130,
        "",
        "interrupted; it may have begun: `mediactl --socket control history` shows what was done,"
        " `mediactl --socket control undo BATCH` takes that back\n",
    )


# --- Progress ----------------------------------------------------------------------------------------


def test_progress_is_drawn_after_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    progress = Progress(on=Screen(columns=20), clock=lambda: now)
    for moment, drawn in ((0.5, ""), (1.0, "one"), (1.05, ""), (1.2, "two")):
        now = moment
        progress.show(drawn or "unseen")
        assert capsys.readouterr().err == (f"\r\x1b[K{drawn}" if drawn else "")
    progress.clear()
    progress.clear()
    assert capsys.readouterr().err == "\r\x1b[K"


def test_progress_in_a_log_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    progress = Progress(on=Screen(), clock=lambda: now)
    quiet = Progress(on=Screen(), quiet=True, clock=lambda: now)
    for moment in range(25):
        now = float(moment)
        progress.show(f"at {moment}")
        quiet.show("never")
    progress.clear()
    assert capsys.readouterr().err.splitlines() == ["at 10", "at 20"]
