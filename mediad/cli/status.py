"""`mediactl status`: is all well? Then what is watched, kept, waiting, on its way, done and wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from mediad.cli.document import say_document, say_line
from mediad.cli.output import say
from mediad.cli.paths import shown
from mediad.cli.quantities import count, moment_text, span_text, until_text
from mediad.cli.table import Screen, Table, screen
from mediad.cli.typed import CALLED, to_type
from mediad.control.client import Client, Reply
from mediad.errors import printable
from mediad.sizes import size_text

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import Any

WAITS = ("settling", "waiting", "in_flight", "held")
"""The counts of files that have no outcome yet."""

_EVERY = 1.0  # seconds between two looks
_BAR = 20  # columns
_FLIGHTS = 10  # lines; the rest is counted
_ILL = {"offline", "degraded", "error", "full", "readonly"}


def status(client: Client, *, as_json: bool, watch: bool, called: str = CALLED) -> int:
    """Print the state once, or with `watch` until interrupted; returns 0.

    Args:
        called: this program with the options that find the daemon, for the commands that are told.
    """
    if watch:
        try:
            _follow(client, as_json=as_json, called=called)
        except KeyboardInterrupt:
            return 0
    reply = client.call("Status")
    if as_json:
        say_document(reply)
    else:
        say("\n".join(report(reply, screen(), called)))
    return 0


def verdict(reply: Reply) -> tuple[str, str]:
    """Whether all is well, in a line, and its colour."""
    queue = _queue(reply)
    if reply["state"] == "stopping":
        return "yellow", "stopping: what is in flight finishes"
    if reply["state"] == "paused":
        waits = queue["settling"] + queue["waiting"] + queue["held"]
        waiting = f"{count(waits, 'file')} {'waits' if waits == 1 else 'wait'}" if waits else "nothing waits"
        return "yellow", f"paused {until_text(reply['paused_until'])}: {waiting}{_and_attention(reply)}"
    if reply["attention"]:
        needs = "needs" if len(reply["attention"]) == 1 else "need"
        return "red", f"running, {count(len(reply['attention']), 'thing')} {needs} attention"
    if ill := [_is(place) for place in _places(reply) if place["state"] in _ILL]:
        return "red", f"running, but {', '.join(ill)}"
    if paused := [_is(place) for place in _places(reply) if _paused(place)]:
        return "yellow", f"running; {', '.join(paused)}; {queue_text(queue)}"
    if queue["held"]:
        return "yellow", f"running; {queue_text(queue)}"
    return "green", f"running, all is well: {queue_text(queue)}"


def queue_text(queue: dict[str, int]) -> str:
    """What has no outcome yet: "3 settling, 1 in flight"."""
    parts = [f"{queue[word]:,} {word.replace('_', ' ')}" for word in WAITS if queue[word]]
    return ", ".join(parts) or "nothing waits"


def report(reply: Reply, on: Screen, called: str = CALLED) -> list[str]:
    """The whole state, in lines."""
    colour, text = verdict(reply)
    dot = on.paint("●" if on.unicode else "*", colour)
    who = f"mediad {reply['version']}, process {reply['pid']}, for {span_text(reply['uptime_s'])}"
    who += f", {reply['config']}"
    lines = [f"{dot} {on.paint(printable(text), 'bold')}", f"  {on.fit(who, 2)}"]
    for found in (
        _watches(reply, on),
        _libraries(reply, on),
        _work(reply, on),
        _attention(reply, on, called),
    ):
        lines += ["", *found] if found else []
    return lines


def _watches(reply: Reply, on: Screen) -> list[str]:
    table = Table(on, ("WATCH", "STATE", "LOOKED AT", "DOES", "FOLDER"), elastic=(0, 3, 4), words=(1,))
    rows = [
        (
            watch["name"],
            watch["state"],
            moment_text(watch["last_complete_scan"]) if watch["last_complete_scan"] else "not yet",
            f"{watch['action']} to {watch['library']}",
            shown(watch, "path"),
        )
        for watch in reply["watches"]
    ]
    return _with_notes(table.lines(rows), reply["watches"], reply, on)


def _libraries(reply: Reply, on: Screen) -> list[str]:
    table = Table(
        on,
        ("LIBRARY", "STATE", "FILES", "SIZE", "FREE", "FOLDER"),
        right=(2, 3, 4),
        elastic=(0, 5),
        words=(1,),
    )
    rows = [
        (
            library["name"],
            library["state"],
            f"{library['files']:,}",
            size_text(library["bytes"]),
            "?" if library["free_bytes"] is None else size_text(library["free_bytes"]),
            shown(library, "path"),
        )
        for library in reply["libraries"]
    ]
    return _with_notes(table.lines(rows), reply["libraries"], reply, on)


def _with_notes(lines: list[str], places: list[dict[str, Any]], reply: Reply, on: Screen) -> list[str]:
    """The lines of a table, with what is to be said of a row below it."""
    noted = lines[:1]
    for line, place in zip(lines[1:], places, strict=True):
        noted.append(line)
        said = reply["state"] == "paused" and place["paused_until"] == reply["paused_until"]
        if _paused(place) and not said:  # on top, for everything
            noted.append(f"  paused {until_text(place['paused_until'])}")
        if place["error"]:
            noted.append("  " + on.paint(printable(place["error"]), "red"))
    return noted


def _work(reply: Reply, on: Screen) -> list[str]:
    queue = _queue(reply)
    analysing = f"; {queue['to_analyse']:,} to analyse" if queue["to_analyse"] else ""
    flights = [_flight(flight, on) for flight in reply["in_flight"][:_FLIGHTS]]
    more = queue["in_flight"] - len(flights)
    return [
        f"Queue: {queue_text(queue)}{analysing}",
        *flights,
        *([f"  and {more:,} more"] if more > 0 else []),
        f"Files: {totals_text(reply['totals'])}",
    ]


def totals_text(totals: dict[str, int]) -> str:
    """What became of all files: "57 filed (1.2 GB), 3 duplicate"."""
    words = ("filed", "duplicate", "quarantined", "failed", "ignored", "gone")
    parts = [f"{totals[word]:,} {word}" for word in words if totals[word]]
    if totals["filed"] and totals.get("bytes_filed"):
        parts[0] += f" ({size_text(totals['bytes_filed'])})"
    return ", ".join(parts) or "none yet"


def _flight(flight: dict[str, Any], on: Screen) -> str:
    share = min(1.0, flight["bytes_done"] / flight["bytes"]) if flight["bytes"] else 0.0
    full = int(share * _BAR)
    start = f"  [{'#' * full}{'.' * (_BAR - full)}] {share:4.0%} {flight['stage']:<9} "
    return start + on.fit(shown(flight, "path"), len(start))


def _attention(reply: Reply, on: Screen, called: str) -> list[str]:
    if not reply["attention"]:
        return []
    lines = [on.paint("Needs attention", "bold")]
    for matter in reply["attention"]:
        lines.append(f"  {on.paint('!', 'red')} {printable(matter['message'])}")
        if matter["command"]:
            lines.append(f"      {printable(to_type(matter['command'], called))}")
    return lines


# --- Following ---------------------------------------------------------------------------------------


def _follow(client: Client, *, as_json: bool, called: str) -> None:
    on = screen()
    if as_json:
        _changes(client, lambda reply: {**reply, "uptime_s": 0}, lambda reply: say_line(reply, at_once=True))
    elif on.columns is None:
        _changes(client, _line, lambda reply: say(_line(reply), at_once=True))
    else:
        _redraw(client, called)


def _line(reply: Reply) -> str:
    return f"{printable(verdict(reply)[1])}; files: {totals_text(reply['totals'])}"


def _changes(client: Client, state: Callable[[Reply], object], tell: Callable[[Reply], object]) -> None:
    """Tell of each state that differs from the one before."""
    before: object = None
    for reply in _looks(client):
        if (now := state(reply)) != before:
            tell(reply)
        before = now


def _redraw(client: Client, called: str) -> None:
    """Draw the state anew each second, on the terminal's other screen."""
    say("\x1b[?1049h\x1b[?25l")
    try:
        for reply in _looks(client):
            on = screen()
            lines = report(reply, on, called)[: max(1, on.lines - 2)]
            say("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", at_once=True)
    finally:
        say("\x1b[?25h\x1b[?1049l\x1b[A", at_once=True)  # up again from the line that this one ends


def _looks(client: Client) -> Iterator[Reply]:
    while True:
        yield client.call("Status")
        time.sleep(_EVERY)


# --- Parts of the reply ------------------------------------------------------------------------------


def _queue(reply: Reply) -> dict[str, int]:
    queue: dict[str, int] = reply["queue"]
    return queue


def _places(reply: Reply) -> list[dict[str, Any]]:
    return [*reply["watches"], *reply["libraries"]]


def _paused(place: dict[str, Any]) -> bool:
    return bool(place["paused"])


def _is(place: dict[str, Any]) -> str:
    state = "paused" if _paused(place) and place["state"] not in _ILL else place["state"]
    return f"{place['name']} is {'read-only' if state == 'readonly' else state}"


def _and_attention(reply: Reply) -> str:
    things = len(reply["attention"])
    return f"; {count(things, 'thing')} {'needs' if things == 1 else 'need'} attention" if things else ""
