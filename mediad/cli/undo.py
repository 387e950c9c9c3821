"""Commands that change what was filed: undo, trash, refile, duplicates --prune."""

from __future__ import annotations

from collections.abc import Sequence

from mediad.cli.changes import Changes
from mediad.cli.deeds import Deed, How, Parameters, carry_out
from mediad.cli.paths import absolute
from mediad.control.client import Client
from mediad.control.protocol import path_fields, paths_parameters

_MOST_DIGITS = 18  # of an id


def undo(client: Client, arguments: Sequence[str], *, since: str | None, how: How) -> int:
    """Take back what was done: these steps, batches or files, all since then, or the latest batch.

    Args:
        arguments: what has digits only is the number of a step or a batch, anything else a path.
        since: by RFC 3339.

    Returns:
        as `deeds.carry_out`.
    """
    numbers = _numbers(arguments)
    paths = [absolute(text) for text in arguments if text not in numbers]
    parameters: Parameters = {
        "ids": [int(text) for text in numbers] or None,
        **(paths_parameters(paths) if paths else {}),
        "since": since,
    }
    deed = Deed(
        "Undo",
        parameters,
        question="Undo {}?",
        done="undone",
        nothing="there is nothing to undo",
        settled=_as_shown,
    )
    return carry_out(client, deed, how)


def no_number(arguments: Sequence[str]) -> str:
    """What is wrong with the numbers among what is to be undone, "" for nothing."""
    long = next((text for text in _numbers(arguments) if len(text) > _MOST_DIGITS), "")
    return long and f"{long} is no number of a step or a batch (./{long} is the file)"


def _numbers(arguments: Sequence[str]) -> list[str]:
    return [text for text in arguments if text.isascii() and text.isdigit()]


def _as_shown(client: Client, parameters: Parameters, plan: Changes) -> Parameters:
    """The batch that a plan showed, by number: by now another one may be the latest."""
    if plan.first_step is None or any(parameters.values()):
        return parameters
    page = client.call("History", {"after": plan.first_step - 1, "limit": 1})
    return {"ids": [page["rows"][0]["batch"]]}


def trash(client: Client, arguments: Sequence[str], *, how: How) -> int:
    """Move library files, each with its set, into trash; returns as `deeds.carry_out`."""
    paths = paths_parameters([absolute(path) for path in arguments])
    return carry_out(client, _to_trash("Trash", paths, "there is nothing to move to trash"), how)


def prune(client: Client, *, under: str | None, keep: str | None, how: How) -> int:
    """Move all but one of each group of exact copies into trash.

    Args:
        under: only those in this folder are moved.
        keep: which one stays: "best" or "oldest".

    Returns:
        as `deeds.carry_out`; 0, too, where some were spared.
    """
    where = path_fields("under", absolute(under)) if under is not None else {}
    nothing = "there are no copies to move to trash"
    return carry_out(client, _to_trash("Prune", {**where, "keep": keep}, nothing)._replace(spares=True), how)


def _to_trash(method: str, parameters: Parameters, nothing: str) -> Deed:
    return Deed(method, parameters, question="Move {} to trash?", done="moved to trash", nothing=nothing)


def refile(client: Client, arguments: Sequence[str], *, library: str | None, how: How) -> int:
    """Move library files to where today's rules and dates put them: these, or a library's.

    Returns:
        as `deeds.carry_out`.
    """
    paths = paths_parameters([absolute(path) for path in arguments]) if arguments else {}
    deed = Deed(
        "Refile",
        {**paths, "library": library},
        question="File {} anew?",
        done="filed anew",
        nothing="everything is where it belongs",
    )
    return carry_out(client, deed, how)
