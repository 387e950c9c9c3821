"""Commands that list: history, queue, failures, duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mediad.cli.document import say_document, say_line
from mediad.cli.output import complain, say
from mediad.cli.paths import shown
from mediad.cli.quantities import count, moment_text, since, span_text
from mediad.cli.table import Screen, Table, screen
from mediad.cli.typed import CALLED, to_type
from mediad.control.client import Client
from mediad.control.protocol import path_from
from mediad.errors import printable
from mediad.shell import word
from mediad.sizes import size_text

# What was done, in the words of people: what commands do, and what filing did.
_DEEDS = {
    "undo": "taken back",
    "refile": "refiled",
    "date": "redated",
    "expire": "expired",
    "adopt": "adopted",
}
_BY_FILING = {
    "move": "filed",
    "copy": "filed",
    "hardlink": "filed",
    "leave": "left",
    "trash": "trashed",
    "quarantine": "quarantined",
}
_LATELY = 86_400.0  # seconds that a table on a terminal goes back when nothing is asked for


def history(client: Client, *, start: str | None, batch: int | None, doubtful: bool, as_json: bool) -> int:
    """Print what was done, newest last; returns 0.

    Args:
        start: by RFC 3339; what was done before is left out.
    """
    on = screen()
    lately = not as_json and on.columns is not None and not start and batch is None and not doubtful
    if lately:
        start = since(f"{_LATELY:.0f}s")
    table = _history_table(on)
    rows = 0
    for page in client.pages("History", {"since": start, "batch": batch, "doubtful": doubtful}):
        rows += len(page["rows"])
        if as_json:
            for row in page["rows"]:
                say_line(row)
        else:
            _say_lines(table.lines(map(_history_row, page["rows"])))
    if not as_json and not rows:
        say("nothing was done in the last 24 hours" if lately else "nothing was done")
    if lately:
        complain("this is the last day; `mediactl history --since 30d` goes further back")
    return 0


def _history_table(on: Screen) -> Table:
    heads = ("BATCH", "TIME", "DONE", "SIZE", "TAKEN", "FILE")
    return Table(on, heads, right=(0, 3), elastic=(5,), words=(2,))


def _history_row(row: dict[str, Any]) -> Sequence[str]:
    return (
        str(row["batch"]),
        moment_text(row["time"]),
        _done_text(row),
        size_text(row["size"]),
        f"{(row['taken'] or '-')[:10]}{'?' if row['confidence'] == 'low' else ''}",
        shown(row, "destination") or shown(row, "source"),
    )


def _done_text(row: dict[str, Any]) -> str:
    """What became of the file by this step: its outcome, unless that tells of a later step."""
    action: str = row["action"]
    deed = _DEEDS.get(action)
    if row["undone"]:
        return f"{deed or _BY_FILING.get(action, action)}, undone"
    if action == "trash" and row["outcome"] == "ignored":  # by hand; what filing puts there is a duplicate
        return "trashed"
    return deed or row["outcome"] or _BY_FILING.get(action, action)


def queue(client: Client, *, as_json: bool) -> int:
    """Print the files that have no outcome yet; returns 0."""
    if as_json:
        return _say_merged(client, "Queue", "files")
    table = Table(
        screen(), ("STATE", "DUE IN", "SIZE", "FILE", "WHY"), right=(1, 2), elastic=(3, 4), words=(0,)
    )
    empty = True
    for page in client.pages("Queue"):
        empty = empty and not page["files"]
        _say_lines(table.lines(map(_queue_row, page["files"])))
    if empty:
        say("nothing waits")
    return 0


def _queue_row(file: dict[str, Any]) -> Sequence[str]:
    return (
        file["state"].replace("_", " "),
        "-" if file["due_s"] is None or file["state"] == "held" else span_text(file["due_s"]),
        size_text(file["size"]),
        shown(file, "path"),
        file["why"],
    )


def failures(client: Client, *, as_json: bool, called: str = CALLED) -> int:
    """Print what failed or is quarantined, why, and what to type; returns 0.

    Args:
        called: as in `status`.
    """
    if as_json:
        return _say_merged(client, "Failures", "files")
    on = screen()
    empty = True
    for page in client.pages("Failures"):
        for file in page["files"]:
            empty = False
            _say_lines(_failure(file, on, called))
    if empty:
        say("nothing failed, and nothing is quarantined")
    return 0


def _failure(file: dict[str, Any], on: Screen, called: str) -> list[str]:
    start = f"{moment_text(file['since'])}  {file['outcome']}  {size_text(file['size'])}  "
    line = start.replace(file["outcome"], on.word(file["outcome"])) + on.fit(shown(file, "path"), len(start))
    moved = path_from(file, "place") not in (None, path_from(file, "path"))
    where = [f"    now {shown(file, 'place')}"] if moved else []
    path = path_from(file, "path") or b""
    dismiss = f"mediactl dismiss {word(path)}" if path.startswith(b"/") else ""
    commands = [f"    {to_type(one, called)}" for one in (printable(file["command"]), dismiss) if one]
    return [line, f"    {printable(file['reason'])}", *where, *commands]


def duplicates(client: Client, *, as_json: bool, similar: bool = False) -> int:
    """Print groups of library files with the same content, the best of each first; returns 0.

    Args:
        similar: those that look alike, too.
    """
    asked = {"similar": True} if similar else {}
    if as_json:
        return _say_merged(client, "Duplicates", "groups", asked)
    on = screen()
    groups: Counter[str] = Counter()
    spare = 0
    page: dict[str, Any] = {}
    for page in client.pages("Duplicates", asked):
        for group in page["groups"]:
            groups[group["kind"]] += 1
            spare += _spare(group) if group["kind"] == "exact" else 0
            _say_lines([*_group(group, on), ""])
    for line in _groups_text(groups, spare, similar):
        say(line)
    if page["unread"]:
        complain(f"{count(page['unread'], 'library file')} never read yet: copies among them are not known")
    if similar and page["to_analyse"] is None:
        complain('look-alikes are not looked for: duplicates.similar is "off"; these were found before')
    elif similar and page["to_analyse"]:
        left = count(page["to_analyse"], "library file")
        complain(f"{left} not compared yet: look-alikes among them are not known")
    return 0


def _spare(group: dict[str, Any]) -> int:
    sizes: list[int] = [file["size"] for file in group["files"]]
    return sum(sizes) - sizes[0]


def _groups_text(groups: Counter[str], spare: int, similar: bool) -> Iterator[str]:
    exact, alike = groups["exact"], groups["similar"] + groups["payload"]
    if exact:
        what = " of exact copies" if similar else ""
        hint = "; `mediactl duplicates --prune` moves the others into trash" if similar else ""
        yield f"{count(exact, 'group')}{what}, {size_text(spare)} more than needed{hint}"
    if alike:
        yield f"{count(alike, 'group')} of look-alikes; mediad never removes them: `mediactl trash PATH` does"
    if not groups.total():
        yield "no duplicates, and nothing that looks alike" if similar else "no duplicates"


def _group(group: dict[str, Any], on: Screen) -> list[str]:
    best = path_from(group, "best")
    lines = [f"{count(len(group['files']) + group['omitted'], 'file')} that {_likeness(group)}"]
    for file in sorted(group["files"], key=lambda file: path_from(file, "path") != best):
        is_best = path_from(file, "path") == best
        start = f"  {'*' if is_best else ' '} {_measures(group, file)}"
        line = start + on.fit(shown(file, "path"), len(start) + (7 if is_best else 0))
        lines.append(line + (" (best)" if is_best else ""))
    if group["omitted"]:
        lines.append(f"    and {group['omitted']:,} more")
    return lines


def _likeness(group: dict[str, Any]) -> str:
    if group["kind"] == "exact":
        return f"have the same content, {size_text(group['files'][0]['size'])} each"
    if group["kind"] == "payload":
        return "have the same content, and other metadata"
    return f"look alike (distance {group['distance']})" if group["distance"] else "look the same"


def _measures(group: dict[str, Any], file: dict[str, Any]) -> str:
    """By what look-alikes differ, in columns."""
    if group["kind"] == "exact":
        return ""
    pixels = f"{file['width']}x{file['height']}" if file["width"] else ""
    return f"{pixels:>11} {size_text(file['size']):>8}  "


def _say_merged(client: Client, method: str, name: str, asked: dict[str, Any] | None = None) -> int:
    """Print all pages of a list as one document."""
    document: dict[str, Any] = {}
    found: list[Any] = []
    for document in client.pages(method, asked or {}):
        found += document[name]
    say_document({**document, name: found})
    return 0


def _say_lines(lines: Sequence[str]) -> None:
    if lines:
        say("\n".join(lines))
