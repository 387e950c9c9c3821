"""The `mediactl` program: arguments, calls, what it prints, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mediad import __version__
from mediad.cli import arguments, ctl
from mediad.cli.ctl import main
from mediad.cli.typed import called, to_type
from mediad.control.protocol import Failed
from tests.answering import BYE, Answer, CannedDaemon, always, failed, paged
from tests.conftest import PROJECT

Said = tuple[int, str, str]
Run = Callable[..., Said]

TIME = "2026-11-25T10:00:00Z"
COUNTS = {"settling": 0, "waiting": 0, "in_flight": 0, "held": 0, "to_analyse": 0}
PAUSED = {"name": "inbox", "since": TIME, "until": "2026-01-01T10:00:00Z"}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon of the machine's or the user's own; times in UTC."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("MEDIAD_SOCKET", raising=False)
    monkeypatch.setattr("mediad.control.client.SYSTEM_SOCKET", str(tmp_path / "system"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))


class Played:
    """A canned daemon, and what `mediactl` said to its answers."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._place = place
        self._capsys = capsys
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, arguments: list[str], **answers: Answer) -> Said:
        """Runs a command; returns its exit code and what it printed."""
        with CannedDaemon(self._place, answers) as daemon:
            code = main(["--socket", str(self._place), *arguments])
        self.calls = daemon.calls
        said = self._capsys.readouterr()
        return code, said.out, said.err

    @property
    def call(self) -> dict[str, Any]:
        """The parameters of the one call."""
        ((_, parameters),) = self.calls
        return {name: value for name, value in parameters.items() if value is not None}


@pytest.fixture
def play(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Played:
    return Played(tmp_path / "control", capsys)


# --- Arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["status", "x"],
        ["import"],
        ["dismiss"],
        ["why"],
        ["why", ""],
        ["pause", "--for", "2 weeks"],
        ["pause", "in\nbox"],
        ["pause", ""],
        ["pause", "--for", "0s"],
        ["history", "--since", "yesterday"],
        ["history", "--batch", "x"],
        ["wait", "--timeout", "-1s"],
        ["trash"],
        ["undo", "--since", "yesterday"],
        ["refile", "--library"],
        ["duplicates", "--prune", "--keep", "newest"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: mediactl" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["undo", "-y", "1234567890123456789"],
        ["refile", "-y"],
        ["refile", "-y", "--library", "photos", "/a"],
        ["date", "-y", "/a"],
        ["date", "-y", "--reset", "--use", "exif", "/a"],
        ["duplicates", "--under", "/a"],
        ["duplicates", "--prune", "--similar", "-y"],
        ["verify", "--resume", "/a"],
    ],
)
def test_options_that_do_not_go_together_need_no_daemon(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "no daemon" not in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for words, shown in ((["--version"], f"mediactl {__version__}\n"), (["--help"], "usage: mediactl")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert shown in capsys.readouterr().out


@pytest.mark.parametrize("before", [True, False])
def test_options_stand_before_the_command_or_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: bool
) -> None:
    options = ["--json", "--socket", str(tmp_path / "s")]
    with CannedDaemon(
        tmp_path / "s", {"Resume": always({"resumed": ["inbox"], "everything": False, "paused": []})}
    ):
        assert main([*options, "resume"] if before else ["resume", *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"resumed": ["inbox"], "everything": False, "paused": []}


@pytest.mark.parametrize(
    ("options", "place"), [(["--user"], "run/mediad/control"), (["--system"], "system"), ([], "system")]
)
def test_the_users_daemon_or_the_systems(tmp_path: Path, options: list[str], place: str) -> None:
    (tmp_path / "run/mediad").mkdir(parents=True)
    with CannedDaemon(
        tmp_path / place, {"Resume": always({"resumed": [], "everything": False, "paused": []})}
    ):
        assert main(["resume", *options]) == 0


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"mediactl: no daemon answers at {tmp_path}/run/mediad/control or {tmp_path}/system;"
    )
    assert main(["status", "--system"]) == 3
    assert "`sudo systemctl start mediad`" in capsys.readouterr().err


def test_commands_load_little() -> None:
    """Start-up time is what `mediactl` costs."""
    names = ["follow", "importing", "status", "steer", "tell", "undo", "why", "refusal"]
    loaded = _loaded_by(
        f"from mediad.cli import ctl, arguments, {', '.join(names)}; arguments.parse(['status'])"
    )
    ours = {name for name in loaded if name.startswith("mediad.") and not name.startswith("mediad.cli")}
    needed = ("control", "control.client", "control.protocol", "errors", "shell", "sizes")
    assert ours == {f"mediad.{name}" for name in needed}
    heavy = {"anyio", "asyncio", "dataclasses", "inspect", "logging", "shutil", "subprocess", "tomllib"}
    assert loaded & heavy <= _loaded_by("")


def test_status_loads_least() -> None:
    """It is what people type most: each of these costs it a tenth of its time."""
    loaded = _loaded_by("from mediad.cli import ctl, status; ctl._mere_status(['status'])")
    costly = {"argparse", "contextlib", "gettext", "locale", "socket", "struct", "typing", "unicodedata"}
    assert loaded & costly <= _loaded_by("")


def _loaded_by(program: str) -> set[str]:
    """The modules that a fresh interpreter has after a program."""
    command = [sys.executable, "-c", f"import sys; {program}\nprint(*sys.modules)"]
    return set(
        subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()
    )


_WORDS = ["status", "--json", "--user", "--system", "--watch", "--socket", "a", "", "-", "--", "--soc", "-h"]


@given(st.lists(st.sampled_from([*_WORDS, "--socket=a", "pause", "-n", "--watch=1"]), max_size=5))
@example(["status"])
@example(["--socket", "status", "status", "--socket", "a", "--json", "--watch"])
@example(["--watch", "status"])
@example(["status", "--socket", "-"])
def test_status_is_read_as_argparse_reads_it(words: list[str]) -> None:
    if (mere := ctl._mere_status(words)) is not None:
        assert mere == arguments.parse(words)


@pytest.mark.parametrize(
    "words", [[], ["--json"], ["--watch", "--user"], ["--system"], ["--socket", "a b"], ["--json", "--user"]]
)
def test_a_status_of_plain_words_needs_no_argparse(words: list[str]) -> None:
    assert ctl._mere_status(["status", *words]) is not None


# --- Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "lines"),
    [
        (
            failed("NoSuchName", name="x", message="there is no x; is it y?"),
            2,
            ["mediactl: there is no x; is it y?"],
        ),
        (failed("NotKnown", message="nothing is known", path="/a"), 1, ["mediactl: /a: nothing is known"]),
        (
            failed("NotPermitted", message="may not be read", path="/a", remedy="chmod it"),
            77,
            ["mediactl: /a: may not be read (chmod it)"],
        ),
        (
            failed("Ambiguous", message="several", paths=["/a\n", "/b"]),
            1,
            ["mediactl: several", "  /a\\n", "  /b"],
        ),
        (failed("Refused", code="x", message="cannot be"), 1, ["mediactl: cannot be"]),
        (failed("Refused", code="usage", message="say --library"), 2, ["mediactl: say --library"]),
        (failed("Busy", message="too many"), 75, ["mediactl: too many"]),
        (failed("Internal", message="see the log"), 70, ["mediactl: see the log"]),
        (
            failed("InvalidConfig", problems=["f:1: a: wrong", "f:2: b: wrong"]),
            78,
            ["f:1: a: wrong", "f:2: b: wrong", "mediactl: the old configuration stays in force"],
        ),
        (
            Failed("org.varlink.service.InvalidParameter", {"parameter": "names"}),
            2,
            ["mediactl: mediad does not take this for names"],
        ),
        (
            Failed("org.varlink.service.MethodNotFound", {"method": "x"}),
            70,
            ["mediactl: the daemon does not know this command; restart it if mediad was upgraded"],
        ),
        (BYE, 3, ["mediactl: the daemon at control went away"]),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_errors(
    answer: Failed | bytes, code: int, lines: list[str], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with CannedDaemon(Path("control"), {"Reload": always(answer)}):
        assert main(["reload", "--socket", "control", *(["--json"] if as_json else [])]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.splitlines()) == ("", lines)


def test_more_paths_than_a_request_holds(play: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediad.control.client.LONGEST_REQUEST", 100)
    code, _, err = play(["import", "a" * 100])
    assert (code, err.count("\n")) == (2, 1)
    assert "name the folder" in err


# --- Steering ----------------------------------------------------------------------------------------


def test_pause(play: Played) -> None:
    said = play(["pause", "inbox", "--for", "2h"], Pause=always({"paused": [PAUSED]}))
    assert said == (0, f"paused {_until()}: inbox\n", "")
    assert play.call == {"names": ["inbox"], "for_s": 7200.0}
    everything = {"name": None, "since": TIME}
    assert play(["pause"], Pause=always({"paused": [everything]}))[1] == (
        "paused until it is resumed: everything\n"
    )
    assert play.call == {}


def _until() -> str:
    from mediad.cli.quantities import until_text

    return until_text("2026-01-01T10:00:00Z")


def test_resume(play: Played) -> None:
    said = play(
        ["resume", "a", "b"], Resume=always({"resumed": ["a", "b"], "everything": False, "paused": [PAUSED]})
    )
    assert said == (0, f"resumed: a, b\nstill paused {_until()}: inbox\n", "")
    assert play.call == {"names": ["a", "b"]}
    nothing = {"resumed": [], "everything": False, "paused": []}
    assert play(["resume"], Resume=always(nothing))[1] == "nothing was resumed\n"
    everything = always({**nothing, "everything": True})
    assert play(["resume"], Resume=everything)[1] == "resumed: everything\n"


def test_reload(play: Played) -> None:
    reply = {"changes": ["watch.inbox.settle: 2s -> 5s"], "warnings": ["f:1: old"]}
    assert play(["reload"], Reload=always(reply)) == (
        0,
        "watch.inbox.settle: 2s -> 5s\n",
        "warning: f:1: old\n",
    )
    assert play(["reload"], Reload=always({"changes": [], "warnings": []}))[1] == "nothing changed\n"
    assert json.loads(play(["reload", "--json"], Reload=always(reply))[1]) == reply


def test_scan(play: Played) -> None:
    looks = [
        {"name": "inbox", "kind": "watch", "state": "watching", "error": None, "files": 1200},
        {"name": "photos", "kind": "library", "state": "offline", "error": "no marker", "files": 0},
    ]
    assert play(["scan", "inbox"], Scan=always({"looks": looks}))[:2] == (
        0,
        "NAME    IS A     STATE     FILES\n"
        "inbox   watch    watching  1,200\n"
        "photos  library  offline       0  no marker\n",
    )
    assert play.call == {"names": ["inbox"]}


@pytest.mark.parametrize(("result", "code"), [("idle", 0), ("timeout", 4), ("held", 5)])
def test_wait(play: Played, result: str, code: int) -> None:
    reply = {"result": result, "queue": {**COUNTS, "held": 3}}
    ended, out, err = play(["wait", "--timeout", "500ms"], Wait=always(reply))
    assert (ended, out) == (code, "")
    assert err == ("" if code == 0 else "not done: 3 held (`mediactl queue` lists them)\n")
    assert play.call == {"timeout_s": 0.5}
    assert json.loads(play(["wait", "--json"], Wait=always(reply))[1]) == reply


def test_wait_that_ends_before_all_was_looked_at(play: Played) -> None:
    said = play(["wait", "--timeout", "0s"], Wait=always({"result": "timeout", "queue": COUNTS}))
    assert said == (4, "", "not done: the time was over before all was looked at\n")


def test_retry(play: Played, tmp_path: Path) -> None:
    files: list[dict[str, object]] = [
        {"path": "/in/a.jpg", "path_b64": None, "retried": True, "reason": ""},
        {"path": "/in/\ufffd.jpg", "path_b64": "L2luL/8uanBn", "retried": False, "reason": "is gone"},
    ]
    answer = always({"files": files})
    said = play(["retry", "a.jpg", "/in/\udcff.jpg", "--unparsed"], Retry=answer)
    assert said == (0, "will be tried again: /in/a.jpg\nnot tried again: /in/\\xff.jpg (is gone)\n", "")
    assert play.call == {
        "paths": [f"{tmp_path}/a.jpg"],
        "paths_b64": ["L2luL/8uanBn"],
        "unparsed": True,
        "dry_run": False,
    }
    assert play(["retry", "-n"], Retry=answer)[1].startswith("would be tried again: /in/a.jpg\n")
    assert play.call == {"unparsed": False, "dry_run": True}
    assert json.loads(play(["retry", "--json"], Retry=answer)[1]) == {"files": files}
    left = [{**one, "retried": False} for one in files]
    assert play(["retry", "/in/a.jpg"], Retry=always({"files": left}))[0] == 0
    assert play(["retry"], Retry=always({"files": left}))[0] == 0
    assert play(["retry"], Retry=always({"files": []}))[1] == "there is nothing to try again\n"


def test_dismiss(play: Played) -> None:
    assert play(["dismiss", "/a", "/b"], Dismiss=always({"dismissed": 2}))[:2] == (
        0,
        "2 files will be reported no more\n",
    )
    assert play(["dismiss", "/a"], Dismiss=always({"dismissed": 0}))[0] == 1
    assert play(["dismiss", "/a", "--json"], Dismiss=always({"dismissed": 1}))[1] == '{"dismissed": 1}\n'


# --- Paths -------------------------------------------------------------------------------------------


def test_paths_are_absolute_and_keep_their_links(play: Played, tmp_path: Path) -> None:
    (tmp_path / "real/sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/sub")
    given = {
        "link/a.jpg": f"{tmp_path}/link/a.jpg",
        "./link//a.jpg": f"{tmp_path}/link/a.jpg",
        "link/../a.jpg": f"{tmp_path}/real/a.jpg",
        "link/..": f"{tmp_path}/real",
        "//x/./y/": "/x/y",
        "../x": f"{tmp_path.parent}/x",
        ".": str(tmp_path),
    }
    play(["dismiss", *given], Dismiss=always({"dismissed": 1}))
    assert play.call["paths"] == list(given.values())


def test_the_current_folder_has_the_name_that_the_user_sees(
    play: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    for named, folder in (("link", "link"), ("real", "real"), ("nope", "real")):
        monkeypatch.setenv("PWD", str(tmp_path / named))
        play(["dismiss", "a"], Dismiss=always({"dismissed": 1}))
        assert play.call["paths"] == [f"{tmp_path}/{folder}/a"]


def test_a_current_folder_that_is_no_more(
    play: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    with CannedDaemon(tmp_path / "control", {}):
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        assert main(["why", "./a", "--socket", str(tmp_path / "control")]) == 66
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("argument", "asked"),
    [("here.jpg", "{}/here.jpg"), ("away.jpg", "away.jpg"), ("./away.jpg", "{}/away.jpg")],
)
def test_why_takes_bare_names(play: Played, tmp_path: Path, argument: str, asked: str) -> None:
    (tmp_path / "here.jpg").touch()
    assert play(["why", argument, "--json"], Why=always({"path": "/x", "stories": []}))[0] == 0
    assert play.call == {"path": asked.format(tmp_path)}


# --- Lists -------------------------------------------------------------------------------------------


def row(number: int, **others: object) -> dict[str, object]:
    return {
        "id": number,
        "item": number,
        "batch": 7,
        "time": TIME,
        "action": "copy",
        "outcome": "filed",
        "source": f"/in/{number}.jpg",
        "destination": f"/lib/{number}.jpg",
        "size": 1_500_000,
        "taken": "2021-07-10T20:39:25.77",
        "confidence": "high",
        "reason": "",
        "undone": False,
        **others,
    }


def test_history(play: Played) -> None:
    rows = [row(1), row(2, destination=None, action="leave", outcome="duplicate"), row(3, confidence="low")]
    code, out, _ = play(["history", "--batch", "7", "--doubtful"], History=paged("rows", rows, 2))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["BATCH", "7", "7", "7"]
    assert out.splitlines()[1].split()[-5:] == ["filed", "1.5", "MB", "2021-07-10", "/lib/1.jpg"]
    assert out.splitlines()[2].split()[-1] == "/in/2.jpg"
    assert "2021-07-10?" in out.splitlines()[3]
    assert [call["after"] for _, call in play.calls] == [None, 2]
    assert play.calls[0][1] == {
        "since": None,
        "batch": 7,
        "doubtful": True,
        "after": None,
        "limit": None,
    }


def test_history_as_json_is_an_object_a_line(play: Played) -> None:
    code, out, err = play(
        ["history", "--json", "--since", "2026-11-25T10:00:00+01:00"],
        History=paged("rows", [row(n) for n in range(5)], 2),
    )
    assert (code, err) == (0, "")
    assert [json.loads(line)["id"] for line in out.splitlines()] == list(range(5))
    assert play.calls[0][1]["since"] == "2026-11-25T09:00:00Z"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"action": "move"}, "filed"),
        ({"action": "move", "outcome": "ignored", "undone": True}, "filed, undone"),
        ({"action": "leave", "outcome": "ignored", "undone": True}, "left, undone"),
        ({"action": "trash", "outcome": "duplicate"}, "duplicate"),
        ({"action": "trash", "outcome": "ignored"}, "trashed"),
        ({"action": "trash", "outcome": "filed", "undone": True}, "trashed, undone"),
        ({"action": "undo", "outcome": "ignored"}, "taken back"),
        ({"action": "undo", "outcome": "filed", "undone": True}, "taken back, undone"),
        ({"action": "refile"}, "refiled"),
        ({"action": "leave", "outcome": None}, "left"),
        ({"action": "new", "outcome": None}, "new"),
    ],
)
def test_what_history_says_was_done(play: Played, told: dict[str, object], text: str) -> None:
    out = play(["history", "--batch", "7"], History=paged("rows", [row(1, **told)], 2))[1]
    assert f"  {text}  " in out.splitlines()[1]


def test_an_empty_history(play: Played) -> None:
    assert play(["history"], History=paged("rows", [], 2)) == (0, "nothing was done\n", "")
    assert play(["history", "--json"], History=paged("rows", [], 2)) == (0, "", "")


QUEUED: list[dict[str, object]] = [
    {"path": "/in/a.jpg", "watch": "in", "state": "settling", "size": 10, "due_s": 1.5, "why": "changed"},
    {"path": "/in/b.jpg", "watch": "in", "state": "in_flight", "size": 10, "due_s": None, "why": "hashing"},
    {"path": "/in/c.jpg", "watch": "in", "state": "held", "size": 10, "due_s": None, "why": "paused"},
]


def test_queue(play: Played) -> None:
    assert play(["queue"], Queue=paged("files", QUEUED, 2))[1].splitlines() == [
        "STATE      DUE IN  SIZE  FILE       WHY",
        "settling       2s  10 B  /in/a.jpg  changed",
        "in flight       -  10 B  /in/b.jpg  hashing",
        "held            -  10 B  /in/c.jpg  paused",
    ]
    merged = json.loads(play(["queue", "--json"], Queue=paged("files", QUEUED, 2))[1])
    assert [file["path"] for file in merged["files"]] == ["/in/a.jpg", "/in/b.jpg", "/in/c.jpg"]
    assert merged["next"] is None
    assert play(["queue"], Queue=paged("files", [], 2))[1] == "nothing waits\n"


FAILURE = {
    "id": 4,
    "path": "/in/a.jpg",
    "watch": "in",
    "outcome": "quarantined",
    "code": "unreadable",
    "reason": "is cut off",
    "since": "2026-01-01T10:00:00Z",
    "size": 10,
    "place": "/lib/.mediad/quarantine/a-4.jpg",
    "command": "mediactl retry --unparsed /in/a.jpg",
}


def test_failures(play: Played, tmp_path: Path) -> None:
    here = {**FAILURE, "place": "/in/a.jpg", "outcome": "failed"}
    lines = play(["failures"], Failures=paged("files", [FAILURE, here], 1))[1].splitlines()
    assert lines[0].endswith("  quarantined  10 B  /in/a.jpg")
    socket = f"--socket {tmp_path}/control"
    commands = [f"    mediactl {socket} {what} /in/a.jpg" for what in ("retry --unparsed", "dismiss")]
    assert lines[1:5] == ["    is cut off", "    now /lib/.mediad/quarantine/a-4.jpg", *commands]
    assert lines[6:] == ["    is cut off", *commands]
    assert json.loads(play(["failures", "--json"], Failures=paged("files", [], 1))[1]) == {
        "files": [],
        "next": None,
    }
    assert play(["failures"], Failures=paged("files", [], 1))[1].startswith("nothing failed")


def test_commands_find_the_daemon_that_this_one_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = {**FAILURE, "path": "a.jpg", "command": "mediactl retry a.jpg"}
    place = tmp_path / "a socket"
    with CannedDaemon(place, {"Failures": paged("files", [FAILURE, failure], 2)}):
        assert main(["--socket", str(place), "failures"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "mediactl" in line]
    assert lines == [
        f"    mediactl --socket '{place}' retry --unparsed /in/a.jpg",
        f"    mediactl --socket '{place}' dismiss /in/a.jpg",
        f"    mediactl --socket '{place}' retry a.jpg",
    ]
    assert called("", "user") == "mediactl --user"
    assert called("", "") == "mediactl"
    assert to_type("df -h /mediactl", "mediactl --user") == "df -h /mediactl"


def test_duplicates(play: Played) -> None:
    files = [{"path": path, "digest": "00", "size": 2_000_000} for path in ("/l/a.jpg", "/l/b.jpg")]
    group = {"kind": "exact", "distance": 0, "best": "/l/b.jpg", "files": files, "omitted": 0}
    answer = paged("groups", [group, group], 1, key=str, unread=3, to_analyse=0)
    assert play(["duplicates"], Duplicates=answer) == (
        0,
        "2 files that have the same content, 2.0 MB each\n  * /l/b.jpg (best)\n    /l/a.jpg\n\n" * 2
        + "2 groups, 4.0 MB more than needed\n",
        "3 library files never read yet: copies among them are not known\n",
    )
    merged = json.loads(play(["duplicates", "--json"], Duplicates=answer)[1])
    assert (len(merged["groups"]), merged["unread"]) == (2, 3)
    none = paged("groups", [], 1, key=str, unread=0, to_analyse=2)
    assert play(["duplicates"], Duplicates=none) == (0, "no duplicates\n", "")
    assert play(["duplicates", "--similar"], Duplicates=none) == (
        0,
        "no duplicates, and nothing that looks alike\n",
        "2 library files not compared yet: look-alikes among them are not known\n",
    )


def test_look_alikes(play: Played) -> None:
    small = {"path": "/l/small.jpg", "digest": "00", "size": 20_000, "width": 640, "height": 480}
    large = {"path": "/l/large.jpg", "digest": "01", "size": 2_000_000, "width": 4000, "height": 3000}
    strange = {"path": "/l/a.mp3", "digest": "02", "size": 3_000_000, "width": None, "height": None}
    similar = {
        "kind": "similar",
        "distance": 3,
        "best": "/l/large.jpg",
        "files": [large, small],
        "omitted": 5,
    }
    same = {"kind": "payload", "distance": 0, "best": "/l/a.mp3", "files": [strange, strange], "omitted": 0}
    answer = paged("groups", [same, similar], 1, key=str, unread=0, to_analyse=None)
    code, out, err = play(["duplicates", "--similar"], Duplicates=answer)
    assert (code, out.splitlines()) == (
        0,
        [
            "2 files that have the same content, and other metadata",
            "  *               3.0 MB  /l/a.mp3 (best)",
            "  *               3.0 MB  /l/a.mp3 (best)",
            "",
            "7 files that look alike (distance 3)",
            "  *   4000x3000   2.0 MB  /l/large.jpg (best)",
            "        640x480    20 kB  /l/small.jpg",
            "    and 5 more",
            "",
            "2 groups of look-alikes; mediad never removes them: `mediactl trash PATH` does",
        ],
    )
    assert err == 'look-alikes are not looked for: duplicates.similar is "off"; these were found before\n'
    code, _, err = play(["duplicates", "--similar", "--prune"])
    assert code == 2
    assert "look-alikes are yours to judge" in err


# --- Following ---------------------------------------------------------------------------------------

EVENTS: list[dict[str, object]] = [
    {"time": TIME, "event": "filed", "path": "/in/a.jpg", "destination": "/lib/a.jpg", "bytes": 1500},
    {"time": TIME, "event": "watch", "name": "inbox", "state": "offline", "reason": "is not there"},
    {"time": TIME, "event": "lost", "lost": 3},
]


def test_monitor(play: Played) -> None:
    code, out, _ = play(["monitor"], Monitor=always(*EVENTS))
    assert code == 0
    said = [line.partition("filed")[1] + line.rpartition(":00 ")[2] for line in out.splitlines()]
    assert said[0].endswith("/in/a.jpg → /lib/a.jpg (2 kB)") or said[0].endswith("-> /lib/a.jpg (2 kB)")
    assert said[1].endswith("watch inbox is offline: is not there")
    assert said[2].endswith("3 events left out: this reader is too slow")


def test_an_object_a_line_has_no_other_line_ends(play: Played) -> None:
    strange = {**EVENTS[0], "path": "/in/a\u2028b\u0085c.jpg"}
    out = play(["monitor", "--json"], Monitor=always(strange))[1]
    (line,) = out.splitlines()
    assert json.loads(line)["path"] == strange["path"]


def test_monitor_as_json_is_an_object_a_line(play: Played) -> None:
    out = play(["monitor", "--json"], Monitor=always(*EVENTS))[1]
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["filed", "watch", "lost"]


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[threading.Event]:
    """A daemon that tells of one event, and of the next ones when the event is set."""
    go_on = threading.Event()

    def answer(_: object) -> Iterator[dict[str, object]]:
        yield EVENTS[0]
        go_on.wait(30)
        yield from EVENTS

    with CannedDaemon(tmp_path / "control", {"Monitor": answer}):
        yield go_on
        go_on.set()


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    """`mediactl` in a process of its own."""
    command = [sys.executable, "-m", "mediad.cli.ctl", *arguments, "--socket", str(tmp_path / "control")]
    return subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_event_is_told_at_once_and_an_interrupt_ends_it(
    tmp_path: Path, talking: threading.Event, options: list[str]
) -> None:
    with start(tmp_path, "monitor", *options) as process:
        assert process.stdout
        assert "/in/a.jpg" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130
    assert not talking.is_set()


def test_a_reader_that_goes_away(tmp_path: Path, talking: threading.Event) -> None:
    with start(tmp_path, "monitor") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        talking.set()
        assert process.stderr.read() == ""
    assert process.returncode == 0
