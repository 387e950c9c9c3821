"""Commands that change what was filed: they show it, ask, do it, and tell how to take that back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mediad.cli.asking import Terminal
from mediad.cli.changes import Changes, Listing
from mediad.cli.document import say_document
from mediad.cli.output import complain, say
from mediad.cli.progress import Progress
from mediad.cli.quantities import count
from mediad.cli.table import screen
from mediad.cli.typed import to_type
from mediad.control.client import Client, Reply
from mediad.sizes import size_text

_USAGE = 2
_DECLINED = 1

Parameters = Mapping[str, object]


class Deed(NamedTuple):
    """A call that changes files, and its words.

    Attributes:
        question: with {} for how many files. done: what they are afterwards. nothing: said where there is
            nothing to do.
        spares: what stays as it is was none that had to change: that is no failure.
        settled: the parameters that stand for what a plan showed, whatever happened since.
    """

    method: str
    parameters: Parameters
    question: str
    done: str
    nothing: str
    settled: Callable[[Client, Parameters, Changes], Parameters] = lambda client, parameters, plan: parameters
    spares: bool = False


class How(NamedTuple):
    """How a command is carried out.

    Attributes:
        dry_run: only show what would be done. yes: do not ask.
        called: this program with the options that find the daemon.
    """

    dry_run: bool
    yes: bool
    as_json: bool
    called: str


def carry_out(client: Client, deed: Deed, how: How) -> int:
    """Show the plan, ask, do it.

    Returns:
        0; 1 where something was refused, or the answer was no; 2 where nobody can be asked.
    """
    if how.dry_run:
        return _shown(client, deed, how)
    if how.yes:
        return _done(client, deed, deed.parameters, how, terminal=None)
    terminal = Terminal.found(document=how.as_json)
    if terminal is None:
        complain(
            "mediactl: there is no terminal to ask on; -y does it unasked, -n only shows what it would do"
        )
        return _USAGE
    return _asked(client, deed, how, terminal)


def _asked(client: Client, deed: Deed, how: How, terminal: Terminal) -> int:
    """Show the plan, and do it if the answer is yes."""
    plan = _called(client, deed, deed.parameters, how, dry_run=True)
    end = plan.summary() if plan.files else _nothing(deed, plan)
    terminal.tell([*plan.brief(terminal.screen, "-n lists all"), end])
    if plan.files and _agreed(terminal, deed.question.format(plan.amount())):
        return _done(client, deed, deed.settled(client, deed.parameters, plan), how, terminal)
    if how.as_json:
        say_document(plan.document())
    return _DECLINED if plan.files else _exit_code(deed, plan)


def _agreed(terminal: Terminal, question: str) -> bool:
    """Ask, and say what a no means."""
    agreed = False
    try:
        agreed = terminal.agrees(question)
    finally:
        if not agreed:
            terminal.tell(["nothing was changed"])
    return agreed


def _shown(client: Client, deed: Deed, how: How) -> int:
    """Only list what would be done, all of it."""
    if how.as_json:
        plan = _called(client, deed, deed.parameters, how, dry_run=True)
        say_document(plan.document())
        return _exit_code(deed, plan)
    plan, listing = Changes(), Listing(screen())
    for reply in client.stream(deed.method, {**deed.parameters, "dry_run": True}):
        plan.add(reply)
        if lines := [*listing.lines(reply["changes"])]:
            say("\n".join(lines))
    say(f"would be {deed.done}: {plan.summary()}" if plan.files else _nothing(deed, plan))
    return _exit_code(deed, plan)


def _done(client: Client, deed: Deed, parameters: Parameters, how: How, terminal: Terminal | None) -> int:
    """Do it, and tell what came of it.

    Args:
        terminal: where the plan stands already.
    """
    told = _called(client, deed, parameters, how, dry_run=False)
    if how.as_json:
        say_document(told.document())
        return _exit_code(deed, told)
    history = to_type(f"mediactl history --batch {told.reply['batch']}", how.called)
    on, rest = screen(), f"`{history}` lists all"
    lines = [*(told.refusals(Listing(on), "--json lists all") if terminal else told.brief(on, rest))]
    lines.append(f"{deed.done}: {told.summary()}" if told.files else _nothing(deed, told))
    if told.files and told.reply["batch"] is not None:
        undo = to_type(f"mediactl undo {told.reply['batch']}", how.called)
        lines.append(f"`{undo}` takes that back")
    say("\n".join(lines))
    return _exit_code(deed, told)


def _nothing(deed: Deed, told: Changes) -> str:
    was = "would be" if told.reply["state"] == "planned" else "was"
    return f"nothing {was} {deed.done}{told.refused_text()}" if _exit_code(deed, told) else deed.nothing


def _called(client: Client, deed: Deed, parameters: Parameters, how: How, *, dry_run: bool) -> Changes:
    """Make the call, with progress."""
    changes, progress = Changes(whole=how.as_json), Progress(quiet=how.as_json)
    try:
        for reply in client.stream(deed.method, {**parameters, "dry_run": dry_run}):
            changes.add(reply)
            progress.show(_progress_text(reply, dry_run=dry_run))
    except KeyboardInterrupt:
        progress.clear()
        if not dry_run:
            complain(_interrupted(deed, changes.reply["batch"], how.called))
        raise
    finally:
        progress.clear()
    return changes


def _interrupted(deed: Deed, batch: int | None, called: str) -> str:
    undo = to_type(f"mediactl undo {'BATCH' if batch is None else batch}", called)
    if batch is not None:
        return f"interrupted; what was {deed.done} until now stays so, and `{undo}` takes that back"
    history = to_type("mediactl history", called)  # the call is out, and nothing was heard of it yet
    return f"interrupted; it may have begun: `{history}` shows what was done, `{undo}` takes that back"


def _progress_text(reply: Reply, *, dry_run: bool) -> str:
    refused = f", {reply['refused']:,} refused" if reply["refused"] else ""
    done = f"{count(reply['done'], 'file')}, {size_text(reply['bytes'])}{refused}"
    return f"looking: {done}" if dry_run else f"done: {done}"


def _exit_code(deed: Deed, changes: Changes) -> int:
    return 0 if deed.spares else changes.exit_code
