"""The `mediad` program: the daemon, and what needs no daemon."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence

from mediad import __version__
from mediad.cli import program
from mediad.cli.output import complain, say
from mediad.errors import InvalidConfig, printable


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Usage errors end the program with 2."""
    return program.run("mediad", lambda: _command(argv))


def _command(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    code: int = arguments.command(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mediad", description="Files new photos, videos and sound recordings into dated libraries."
    )
    parser.add_argument("--version", action="version", version=f"mediad {__version__}")
    _add_config(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="serve in the foreground until SIGTERM or SIGINT")
    run.add_argument("--once", action="store_true", help="file what the watches hold now, then stop")
    run.set_defaults(command=_run)

    init = commands.add_parser("init", help="write a commented configuration and make the folders")
    init.add_argument("--watch", metavar="DIR", help="folder to take new files from")
    init.add_argument("--library", metavar="DIR", help="folder to file them into")
    init.add_argument("--system", action="store_true", help="for a system service: /etc and /srv")
    init.set_defaults(command=_init)

    check = commands.add_parser("check-config", help="print every problem of the configuration")
    check.set_defaults(command=_check_config)

    plan = commands.add_parser("plan", help="say what would happen to files, and why; touches nothing")
    plan.add_argument(
        "paths", metavar="PATH", nargs="*", help="files or folders; default: what the watches hold"
    )
    plan.add_argument("--list", action="store_true", help="a line for each file instead of a summary")
    plan.set_defaults(command=_plan)

    rebuild = commands.add_parser(
        "rebuild",
        help="make the catalogue anew",
        description="Makes the catalogue anew: from its backups, from what the libraries carry of it, and by"
        " hashing the files that none of these knows. The one that is there is kept beside it. The daemon"
        " must not run. Cut off, it changes nothing, and goes on where it was when it is run again.",
    )
    rebuild.set_defaults(command=_rebuild)

    for command in (run, init, check, plan, rebuild):
        _add_config(command)
    for command in (run, check, plan, rebuild):
        command.add_argument(
            "--set",
            metavar="KEY=VALUE",
            type=_setting,
            action="append",
            default=[],
            help="such as daemon.workers=2",
        )
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    # suppressed, so that a command's missing option does not undo the one before the command
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="configuration file")


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form TABLE.KEY=VALUE")
    return key.strip(), value


def _run(arguments: argparse.Namespace) -> int:
    from mediad.cli.settings import load
    from mediad.service import run

    return run(
        functools.partial(load, _config(arguments), overrides=dict(arguments.set)), once=arguments.once
    )


def _init(arguments: argparse.Namespace) -> int:
    from mediad.cli.init import init

    return init(_config(arguments), watch=arguments.watch, library=arguments.library, system=arguments.system)


def _check_config(arguments: argparse.Namespace) -> int:
    from mediad.cli.settings import load
    from mediad.roots import look_over

    config, file = load(_config(arguments), overrides=dict(arguments.set))
    found = look_over(config)
    for warning in (*config.warnings, *found.warnings):
        complain(f"warning: {printable(warning)}")
    if found.problems:
        raise InvalidConfig(found.problems)
    say(f"{printable(file)}: no problems; watches: {len(config.watches)}, libraries: {len(config.libraries)}")
    return 0


def _plan(arguments: argparse.Namespace) -> int:
    from mediad.cli.plan import plan
    from mediad.cli.settings import load

    config, _ = load(_config(arguments), overrides=dict(arguments.set))
    return plan(config, [os.fsencode(path) for path in arguments.paths], as_list=arguments.list)


def _rebuild(arguments: argparse.Namespace) -> int:
    from mediad.cli.rebuild import rebuild
    from mediad.cli.settings import load
    from mediad.service import state_directory

    config, _ = load(_config(arguments), overrides=dict(arguments.set))
    with state_directory(config) as state:
        return rebuild(config, state)


def _config(arguments: argparse.Namespace) -> str | None:
    found: str | None = getattr(arguments, "config", None)
    return found


if __name__ == "__main__":
    sys.exit(main())
