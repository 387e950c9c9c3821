"""Commands that steer the daemon: pause, resume, reload, scan, wait, retry, dismiss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediad.cli.document import say_document
from mediad.cli.output import complain, say
from mediad.cli.paths import absolute, shown
from mediad.cli.quantities import count, until_text
from mediad.cli.status import WAITS, queue_text
from mediad.cli.table import Table, screen
from mediad.control.client import Client, Reply, in_requests
from mediad.errors import printable

_WAIT_ENDS = {"idle": 0, "timeout": 4, "held": 5}


def pause(client: Client, names: Sequence[str], *, seconds: float | None, as_json: bool) -> int:
    """Stop taking new files; returns 0.

    Args:
        seconds: for how long, None: until resumed.
    """
    reply = client.call("Pause", {"names": list(names) or None, "for_s": seconds})
    if as_json:
        say_document(reply)
    else:
        say("\n".join(_paused(reply)) or "nothing is paused")
    return 0


def resume(client: Client, names: Sequence[str], *, as_json: bool) -> int:
    """End pauses; returns 0."""
    reply = client.call("Resume", {"names": list(names) or None})
    if as_json:
        say_document(reply)
        return 0
    ended = ["everything"] if reply["everything"] else []
    resumed = ", ".join((*ended, *(printable(name) for name in reply["resumed"])))
    said = f"resumed: {resumed}" if resumed else "nothing was resumed"
    say("\n".join([said, *(f"still {line}" for line in _paused(reply))]))
    return 0


def _paused(reply: Reply) -> list[str]:
    return [
        f"paused {until_text(pause['until'])}: {printable(pause['name'] or 'everything')}"
        for pause in reply["paused"]
    ]


def reload(client: Client, *, as_json: bool) -> int:
    """Have the configuration read anew; returns 0."""
    reply = client.call("Reload", patience=None)
    if as_json:
        say_document(reply)
        return 0
    for warning in reply["warnings"]:
        complain(f"warning: {printable(warning)}")
    say("\n".join(map(printable, reply["changes"])) or "nothing changed")
    return 0


def scan(client: Client, names: Sequence[str], *, as_json: bool) -> int:
    """Have watches and libraries looked at now; returns 0."""
    reply = client.call("Scan", {"names": list(names) or None}, patience=None)
    if as_json:
        say_document(reply)
        return 0
    on = screen()
    table = Table(on, ("NAME", "IS A", "STATE", "FILES", ""), right=(3,), elastic=(0, 4), words=(2,))
    rows = [
        (look["name"], look["kind"], look["state"], f"{look['files']:,}", look["error"] or "")
        for look in reply["looks"]
    ]
    say("\n".join(table.lines(rows)) or "there is nothing to look at")
    return 0


def wait(client: Client, *, seconds: float | None, as_json: bool) -> int:
    """Wait until there is nothing left to do.

    Returns:
        0; 4 if the time was over before; 5 if only held work is left.
    """
    reply = client.call("Wait", {"timeout_s": seconds}, patience=None)
    if as_json:
        say_document(reply)
    if reply["result"] != "idle":
        complain(f"not done: {_left(reply['queue'])}")
    return _WAIT_ENDS[reply["result"]]


def _left(queue: dict[str, int]) -> str:
    if not any(queue[word] for word in WAITS):  # so it is the look itself that is not complete
        return "the time was over before all was looked at"
    return f"{queue_text(queue)} (`mediactl queue` lists them)"


def retry(client: Client, arguments: Sequence[str], *, unparsed: bool, dry_run: bool, as_json: bool) -> int:
    """Have failed and quarantined files tried again, all or these; returns 0."""
    how = {"unparsed": unparsed, "dry_run": dry_run}
    files: list[dict[str, Any]] = []
    for request in in_requests("Retry", [absolute(path) for path in arguments], how):
        files += client.call("Retry", request, patience=None)["files"]
    if as_json:
        say_document({"files": files})
        return 0
    done = "would be tried again" if dry_run else "will be tried again"
    for file in files:
        what = done if file["retried"] else "not tried again"
        reason = f" ({printable(file['reason'])})" if file["reason"] else ""
        say(f"{what}: {shown(file, 'path')}{reason}")
    if not files:
        say("there is nothing to try again")
    return 0


def dismiss(client: Client, arguments: Sequence[str], *, as_json: bool) -> int:
    """Have failed or quarantined files reported no more; returns 0, 1 if none of them was reported."""
    dismissed = 0
    for request in in_requests("Dismiss", [absolute(path) for path in arguments]):
        dismissed += client.call("Dismiss", request)["dismissed"]
    if as_json:
        say_document({"dismissed": dismissed})
    else:
        say(f"{count(dismissed, 'file')} will be reported no more")
    return 0 if dismissed else 1
