"""Values from outside the file, and what paths in it refer to. PURE."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

Outside = dict[str, tuple[str, str]]  # dotted key -> text, origin

_PREFIX = "MEDIAD_"
_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def outside_values(env: Mapping[str, str], overrides: Mapping[str, str]) -> Outside:
    """What the command line, then the environment (MEDIAD_DAEMON__WORKERS) say; keys need not exist."""
    found = {
        name.removeprefix(_PREFIX).lower().replace("__", ".", 1): (value, f"${name}")
        for name, value in env.items()
        if name.startswith(_PREFIX) and "__" in name
    }
    return found | {key: (value, "command line") for key, value in overrides.items()}


def from_text(text: str, kind: str) -> object:
    """The value that `text` from outside the file stands for, for a key of this kind."""
    stripped = text.strip()
    if kind == "int" and re.fullmatch("-?[0-9]{1,18}", stripped):
        return int(stripped)
    if kind != "list":
        return text
    if not stripped.startswith("["):
        return [item.strip() for item in stripped.split(",") if item.strip()]
    try:
        return tomllib.loads(f"list = {stripped}")["list"]
    except (ValueError, RecursionError):
        raise ValueError('is no list; a, b or TOML\'s ["a", "b"] is allowed') from None


def expand(path: str, env: Mapping[str, str], home: str) -> str:
    """`path` with a leading `~`, `$NAME` and `${NAME}` replaced; `$$` is a dollar sign.

    Raises:
        ValueError: a variable is not set or empty, or `~` has no meaning.
    """
    start = ""
    if path.startswith("~"):
        user, slash, rest = path[1:].partition("/")
        if user:
            raise ValueError(f'"~{user}" is not expanded; write the whole path')
        if not home.startswith("/"):
            raise ValueError('"~" means nothing without a home folder; write the whole path')
        start, path = (home.rstrip("/") + slash) or "/", rest

    def value(match: re.Match[str]) -> str:
        name = match[2] or match[3]
        if match[1]:
            return "$"
        if not env.get(name):
            raise ValueError(f"${name} is not set; set it, or write $$ for a dollar sign")
        return env[name]

    return start + _VARIABLE.sub(value, path)


def state_directory(env: Mapping[str, str], home: str) -> tuple[str, str]:
    """The default state directory, "" if there is none, and its origin."""
    if given := _first_directory(env, "STATE_DIRECTORY"):
        return given, "$STATE_DIRECTORY"
    if given := _first_directory(env, "XDG_STATE_HOME"):
        return f"{given}/mediad", "$XDG_STATE_HOME"
    return (f"{home.rstrip('/')}/.local/state/mediad" if home.startswith("/") else ""), "default"


def socket_places(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Default places for the control socket, best first, each with its origin."""
    if given := _first_directory(env, "RUNTIME_DIRECTORY"):
        yield f"{given}/control", "$RUNTIME_DIRECTORY"
    if given := _first_directory(env, "XDG_RUNTIME_DIR"):
        yield f"{given}/mediad/control", "$XDG_RUNTIME_DIR"
    yield "/run/mediad/control", "default"


def _first_directory(env: Mapping[str, str], name: str) -> str:
    """systemd joins several with colons; what is not absolute is to be ignored (XDG base directories)."""
    first = env.get(name, "").split(":")[0] if name.endswith("DIRECTORY") else env.get(name, "")
    return first.rstrip("/") if first.startswith("/") else ""
