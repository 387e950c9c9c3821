"""The arguments of `mediactl`, as argparse reads them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from types import SimpleNamespace

from mediad import __version__
from mediad.cli import dispatch
from mediad.cli.table import screen
from mediad.control.client import Client

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")


def parse(given: Sequence[str]) -> SimpleNamespace:
    """What the words of a command line ask for; ends the program with 2 where that is wrong."""
    return parser(given[0] if given else "").parse_args(_shifts_joined(given), SimpleNamespace())


def _shifts_joined(given: Sequence[str]) -> list[str]:
    """ "--shift -1:00" as "--shift=-1:00": argparse takes what begins with a dash for an option."""
    joined: list[str] = []
    for text in given:
        if (
            joined
            and joined[-1] == "--shift"
            and "--" not in joined
            and text[:1] == "-"
            and text[1:2].isdigit()
        ):
            joined[-1] += f"={text}"
        else:
            joined.append(text)
    return joined


_Option: TypeAlias = "tuple[tuple[str, ...], dict[str, Any]]"


class _Command:
    """A command: its name, what it does in code and in words, and what it takes beside the shared options."""

    def __init__(
        self,
        name: str,
        run: Callable[[Client, SimpleNamespace], int],
        text: str,
        options: Sequence[_Option] = (),
    ) -> None:
        self.name = name
        self.run = run
        self.text = text
        self.options = options


class _Formatter(argparse.HelpFormatter):
    """Argparse's own asks shutil for the width, for every argument: loading that takes milliseconds."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=(screen().columns or 80) - 2)


def parser(only: str = "") -> argparse.ArgumentParser:
    """The parser of all commands.

    Args:
        only: where this names a command, the others are left out: making them takes 10 ms.
    """
    whole = argparse.ArgumentParser(
        prog="mediactl", description="Steers mediad, and asks what it did.", formatter_class=_Formatter
    )
    whole.add_argument("--version", action="version", version=f"mediactl {__version__}")
    _add(whole, _SHARED)
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="mediactl")
    for command in [command for command in _commands() if command.name == only] or _commands():
        text = f"{command.text[0].upper()}{command.text[1:]}."
        added = commands.add_parser(
            command.name, help=command.text, description=text, formatter_class=_Formatter
        )
        added.set_defaults(command=command.run)
        _add(added, _SHARED)
        _add(added, command.options)
    return whole


def _add(parser: argparse.ArgumentParser, options: Sequence[_Option]) -> None:
    for names, settings in options:
        parser.add_argument(*names, **settings)


def _option(*names: str, **settings: object) -> _Option:
    return names, settings


def _shared(name: str, text: str, **settings: object) -> _Option:
    # suppressed, so that a command's missing option does not undo the one before the command
    return _option(name, help=text, default=argparse.SUPPRESS, **settings)


_SHARED = (
    _shared("--json", "print JSON instead of text", action="store_true"),
    _shared("--socket", "the daemon's socket", metavar="FILE"),
    _shared("--user", "the user's own daemon", dest="which", action="store_const", const="user"),
    _shared("--system", "the system's daemon", dest="which", action="store_const", const="system"),
)


def _commands() -> list[_Command]:
    names = _option("names", metavar="NAME", nargs="*", type=_name, help="watch or library")
    paths = _option("paths", metavar="PATH", nargs="+", type=_path)
    dry_run = _option("-n", "--dry-run", action="store_true", help="only say what would happen")
    changing = (dry_run, _option("-y", "--yes", action="store_true", help="do it without asking"))
    return [
        _Command(
            "status",
            dispatch.status,
            "say whether all is well, and what is going on",
            [_option("--watch", action="store_true", help="again each second, until interrupted")],
        ),
        _Command(
            "pause",
            dispatch.pause,
            "take no new files, from everything or from these watches and libraries",
            [names, _option("--for", dest="seconds", metavar="TIME", type=_span, help='such as "2h"')],
        ),
        _Command("resume", dispatch.resume, "end pauses, all of them or these", [names]),
        _Command("reload", dispatch.reload, "read the configuration anew, all or nothing"),
        _Command("scan", dispatch.scan, "look at watches and libraries now", [names]),
        _Command(
            "wait",
            dispatch.wait,
            "wait until nothing is settling, waiting or in flight",
            [_option("--timeout", dest="seconds", metavar="TIME", type=_duration, help='such as "60s"')],
        ),
        _Command(
            "import",
            dispatch.bring_in,
            "copy a card or folder in, once; the source is not touched",
            [
                paths,
                _option("--library", metavar="NAME", type=_name, help="where to; default: the only one"),
                _option("--label", metavar="TEXT", type=_text, help="for the layout's {label}"),
                dry_run,
            ],
        ),
        _Command(
            "adopt",
            dispatch.adopt,
            "catalogue what lies in a library already, where it lies",
            [_option("library", metavar="LIBRARY", type=_path, help="its name, or its path"), dry_run],
        ),
        _Command(
            "why",
            dispatch.why,
            "tell the whole story of a file",
            [_option("path", metavar="PATH", type=_path, help="here, in the library, or a bare name")],
        ),
        _Command(
            "history",
            dispatch.history,
            "list what was done, newest last",
            [
                _option("--since", metavar="TIME", type=_since, help='such as "2h", or a day or time'),
                _option("--batch", metavar="ID", type=int, help="only this batch"),
                _option("--doubtful", action="store_true", help="only dates of low confidence"),
            ],
        ),
        _Command("queue", dispatch.queue, "list the files that wait, and what for"),
        _Command("failures", dispatch.failures, "list what failed or is quarantined, and why"),
        _Command(
            "retry",
            dispatch.retry,
            "try failed and quarantined files again, all of them or these",
            [
                _option("paths", metavar="PATH", nargs="*", type=_path),
                _option("--unparsed", action="store_true", help="file them by name, unopened"),
                dry_run,
            ],
        ),
        _Command("dismiss", dispatch.dismiss, "report failed or quarantined files no more", [paths]),
        _Command(
            "undo",
            dispatch.undo,
            "take back what was done: the latest batch, or these",
            [
                _option("what", metavar="ID, BATCH or PATH", nargs="*", type=_path),
                _option("--since", metavar="TIME", type=_since, help='such as "2h", or a day or time'),
                *changing,
            ],
        ),
        _Command(
            "trash", dispatch.trash, "move library files into trash, each with its set", [paths, *changing]
        ),
        _Command(
            "refile",
            dispatch.refile,
            "move library files to where today's rules and dates put them",
            [
                _option("paths", metavar="PATH", nargs="*", type=_path),
                _option("--library", metavar="NAME", type=_name, help="all of this library"),
                *changing,
            ],
        ),
        _Command(
            "date",
            dispatch.date,
            "override capture dates and file the sets anew; nothing is written into the files",
            [
                paths,
                _option("--set", dest="when", metavar="WHEN", type=_when, help='such as "2021-07-10 20:39"'),
                _option("--shift", metavar="SPAN", type=_shift, help='such as "-1:00" (an hour) or "2d"'),
                _option("--use", metavar="SOURCE", type=_name, help="exif, filename, ... or a field's name"),
                _option("--reset", action="store_true", help="back to what the files tell"),
                *changing,
            ],
        ),
        _Command(
            "duplicates",
            dispatch.duplicates,
            "list library files that have the same content, or look alike",
            [
                _option("--similar", action="store_true", help="those that look alike, too"),
                _option("--prune", action="store_true", help="move all copies but one into trash"),
                _option("--under", metavar="DIR", type=_path, help="with --prune: only those in this folder"),
                _option("--keep", choices=("best", "oldest"), help="with --prune: the one that stays"),
                *changing,
            ],
        ),
        _Command(
            "verify",
            dispatch.verify,
            "read library files again and compare them with the catalogue",
            [
                _option("paths", metavar="PATH", nargs="*", type=_path, help="default: all libraries"),
                _option("--accept", metavar="PATH", action="append", type=_path, help="take it as it is"),
                _option("--resume", action="store_true", help="go on with what was broken off"),
            ],
        ),
        _Command(
            "safe-to-wipe",
            dispatch.safe_to_wipe,
            "say whether all of a card or folder is kept, everything read again",
            [paths],
        ),
        _Command("monitor", dispatch.monitor, "follow what happens, until interrupted"),
    ]


def _duration(text: str) -> float:
    from mediad.cli.quantities import duration

    return _read(duration, text)


def _span(text: str) -> float:
    seconds = _duration(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f'"{text}" is no time at all')
    return seconds


def _since(text: str) -> str:
    from mediad.cli.quantities import since

    return _read(since, text)


def _when(text: str) -> str:
    from mediad.cli.date import when

    return _read(when, text)


def _shift(text: str) -> float:
    from mediad.cli.date import shift

    return _read(shift, text)


def _read(read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _text(text: str) -> str:
    if not text.isprintable():  # which bytes that are no text are not, either
        raise argparse.ArgumentTypeError(f"{text!a} has characters that no name has")
    return text


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty, which no name is")
    return _text(text)


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty, which no path is")
    return text
