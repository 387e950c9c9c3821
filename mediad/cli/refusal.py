"""What an error reply means to the user: what to say, and the exit code."""

from __future__ import annotations

from mediad.cli.paths import shown
from mediad.control.protocol import INTERFACE, Failed
from mediad.errors import printable

_EXITS = {
    "Ambiguous": 1,
    "Busy": 75,
    "Internal": 70,
    "InvalidConfig": 78,
    "NoSuchName": 2,
    "NotKnown": 1,
    "NotPermitted": 77,
    "Refused": 1,
}
_USAGE = 2
_SOFTWARE = 70  # EX_SOFTWARE of sysexits.h


def exit_code(failed: Failed) -> int:
    """The program's exit code."""
    interface, _, name = failed.error.rpartition(".")
    if name == "Refused" and failed.parameters.get("code") == "usage":
        return _USAGE
    if interface == INTERFACE:
        return _EXITS.get(name, _SOFTWARE)
    return _USAGE if name == "InvalidParameter" else _SOFTWARE


def explain(failed: Failed) -> list[str]:
    """What went wrong, in printable lines for standard error."""
    name = failed.error.rpartition(".")[2]
    parameters = failed.parameters
    if name == "InvalidConfig":
        problems = map(_text, _listed(parameters.get("problems")))  # as `mediad check-config` has them
        return [*problems, "mediactl: the old configuration stays in force"]
    if name == "Ambiguous":
        return [_message(failed), *(f"  {_text(path)}" for path in _listed(parameters.get("paths")))]
    if name == "InvalidParameter":
        return [f"mediactl: mediad does not take this for {_text(parameters.get('parameter'))}"]
    if name == "MethodNotFound":
        return ["mediactl: the daemon does not know this command; restart it if mediad was upgraded"]
    return [_message(failed)]


def _message(failed: Failed) -> str:
    path = shown(failed.parameters, "path")
    remedy = failed.parameters.get("remedy")
    told = _text(failed.parameters.get("message", failed.error))
    return f"mediactl: {f'{path}: ' if path else ''}{told}{f' ({_text(remedy)})' if remedy else ''}"


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return printable(str(value))
