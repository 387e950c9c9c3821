"""`mediactl monitor`: what happens, as it happens."""

from __future__ import annotations

from mediad.cli.document import say_line
from mediad.cli.output import say
from mediad.cli.paths import shown
from mediad.cli.quantities import count, moment_text
from mediad.cli.table import Screen, screen
from mediad.control.client import Client, Reply
from mediad.errors import printable
from mediad.sizes import size_text


def monitor(client: Client, *, as_json: bool) -> int:
    """Print a line an event until interrupted, or until the daemon stops; returns 0."""
    on = screen()
    for event in client.stream("Monitor"):
        if as_json:
            say_line(event, at_once=True)
        else:
            say(line(event, on), at_once=True)
    return 0


def line(event: Reply, on: Screen) -> str:
    """ "10:00:05 filed /in/IMG_1.jpg → /library/2026/IMG_1.jpg"."""
    moment = moment_text(event["time"])
    if event["lost"]:
        lost = f"{count(event['lost'], 'event')} left out: this reader is too slow"
        return f"{moment} {on.paint(lost, 'yellow')}"
    source, place = shown(event, "path"), shown(event, "destination")
    parts = [
        on.word(printable(event["event"])),
        printable(event["name"] or ""),
        source,
        f"{on.arrow} {place}" if place else "",
        "" if event["state"] is None else f"is {on.word(printable(event['state']))}",
        f"({size_text(event['bytes'])})" if event["bytes"] is not None else "",
    ]
    reason = f": {printable(event['reason'])}" if event["reason"] else ""
    return f"{moment} {' '.join(filter(None, parts))}{reason}"
