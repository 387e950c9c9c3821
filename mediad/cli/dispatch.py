"""What the commands of `mediactl` do with their arguments. Each loads what it alone needs."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from mediad.control.client import Client

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from mediad.cli.deeds import How


def misuse(arguments: SimpleNamespace) -> str:
    """What is wrong between arguments that are right by themselves, "" for nothing: needs no daemon."""
    asked = _ASKED.get(arguments.command)
    return asked(arguments) if asked else ""


def _json(arguments: SimpleNamespace) -> bool:
    return getattr(arguments, "json", False)


def _called(arguments: SimpleNamespace) -> str:
    from mediad.cli.typed import called

    return called(getattr(arguments, "socket", ""), getattr(arguments, "which", ""))


def status(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.status import status

    return status(client, as_json=_json(arguments), watch=arguments.watch, called=_called(arguments))


def pause(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import pause

    return pause(client, arguments.names, seconds=arguments.seconds, as_json=_json(arguments))


def resume(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import resume

    return resume(client, arguments.names, as_json=_json(arguments))


def reload(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import reload

    return reload(client, as_json=_json(arguments))


def scan(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import scan

    return scan(client, arguments.names, as_json=_json(arguments))


def wait(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import wait

    return wait(client, seconds=arguments.seconds, as_json=_json(arguments))


def bring_in(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.importing import bring_in

    return bring_in(
        client,
        arguments.paths,
        library=arguments.library,
        label=arguments.label,
        dry_run=arguments.dry_run,
        as_json=_json(arguments),
    )


def adopt(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.adopt import adopt

    return adopt(client, arguments.library, dry_run=arguments.dry_run, as_json=_json(arguments))


def why(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.why import why

    return why(client, arguments.path, as_json=_json(arguments))


def retry(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import retry

    return retry(
        client,
        arguments.paths,
        unparsed=arguments.unparsed,
        dry_run=arguments.dry_run,
        as_json=_json(arguments),
    )


def dismiss(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.steer import dismiss

    return dismiss(client, arguments.paths, as_json=_json(arguments))


def history(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.tell import history

    return history(
        client,
        start=arguments.since,
        batch=arguments.batch,
        doubtful=arguments.doubtful,
        as_json=_json(arguments),
    )


def queue(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.tell import queue

    return queue(client, as_json=_json(arguments))


def failures(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.tell import failures

    return failures(client, as_json=_json(arguments), called=_called(arguments))


def _undo_asked(arguments: SimpleNamespace) -> str:
    from mediad.cli.undo import no_number

    return no_number(arguments.what)


def undo(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.undo import undo

    return undo(client, arguments.what, since=arguments.since, how=_how(arguments))


def trash(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.undo import trash

    return trash(client, arguments.paths, how=_how(arguments))


def _refile_asked(arguments: SimpleNamespace) -> str:
    either = bool(arguments.paths) != (arguments.library is not None)
    return "" if either else "refile needs either paths or --library"


def refile(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.undo import refile

    return refile(client, arguments.paths, library=arguments.library, how=_how(arguments))


def _date_asked(arguments: SimpleNamespace) -> str:
    ways = (arguments.when, arguments.shift, arguments.use, arguments.reset or None)
    one = sum(way is not None for way in ways) == 1
    return "" if one else "date needs one of --set, --shift, --use and --reset"


def date(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.date import date

    return date(
        client,
        arguments.paths,
        when=arguments.when,
        shift=arguments.shift,
        use=arguments.use,
        reset=arguments.reset,
        how=_how(arguments),
    )


def _duplicates_asked(arguments: SimpleNamespace) -> str:
    if arguments.prune and arguments.similar:
        return "--prune moves exact copies only; look-alikes are yours to judge"
    pruning = arguments.under is not None or arguments.keep or arguments.dry_run or arguments.yes
    if pruning and not arguments.prune:
        return "--under, --keep, -n and -y belong to duplicates --prune"
    return ""


def duplicates(client: Client, arguments: SimpleNamespace) -> int:
    if arguments.prune:
        from mediad.cli.undo import prune

        return prune(client, under=arguments.under, keep=arguments.keep, how=_how(arguments))
    from mediad.cli.tell import duplicates

    return duplicates(client, as_json=_json(arguments), similar=arguments.similar)


def _how(arguments: SimpleNamespace) -> How:
    from mediad.cli.deeds import How

    return How(arguments.dry_run, arguments.yes, _json(arguments), _called(arguments))


def _verify_asked(arguments: SimpleNamespace) -> str:
    several = sum(map(bool, (arguments.paths, arguments.accept, arguments.resume))) > 1
    return "verify takes paths, --accept or --resume, one of them" if several else ""


def verify(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.verify import verify

    return verify(
        client,
        arguments.paths,
        accept=arguments.accept or (),
        resume=arguments.resume,
        as_json=_json(arguments),
    )


def safe_to_wipe(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.wipe import safe_to_wipe

    return safe_to_wipe(client, arguments.paths, as_json=_json(arguments))


def monitor(client: Client, arguments: SimpleNamespace) -> int:
    from mediad.cli.follow import monitor

    return monitor(client, as_json=_json(arguments))


_ASKED: dict[object, Callable[[SimpleNamespace], str]] = {
    undo: _undo_asked,
    refile: _refile_asked,
    date: _date_asked,
    duplicates: _duplicates_asked,
    verify: _verify_asked,
}
"""By command, what tells whether its arguments go together."""
