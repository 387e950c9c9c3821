"""Which keys there are, what each may hold, and its default. PURE.

A reader takes a value as TOML has it and returns it as `schema` has it, or raises ValueError
(`KeyValueError`, `LayoutError`, `PatternError`) with what is wrong and what is allowed. Defaults are
written as a user would write them and go through the same reader.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from mediad.config.schema import DATE_SOURCES, HOOK_EVENTS, KINDS, MATCH_KEYS
from mediad.config.units import parse_duration, parse_size
from mediad.exclude import compile_pattern
from mediad.layout import Layout

Reader = Callable[[Any], Any]
NO_DEFAULT = object()


class KeyValueError(ValueError):
    """A value that its key cannot have: what is wrong; what is allowed."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Attributes:
        read: the reader.
        default: in TOML's terms; NO_DEFAULT where the key has to be given.
        kind: how text from outside the file becomes a value, and whether `~` and `$VARS` are expanded:
            "text", "int", "list" or "path".
    """

    read: Reader
    default: Any = NO_DEFAULT
    kind: str = "text"


def nearest(word: str, known: Sequence[str]) -> str:
    """`did you mean ...?`, or all that is known."""
    close = get_close_matches(word, known, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known are {', '.join(sorted(known)) or 'none'}"


def _type_name(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


def text(value: object, allowed: str = "a string is allowed") -> str:
    if not isinstance(value, str):
        raise KeyValueError(f"is {_type_name(value)}; {allowed}")
    return value


def one_of(*choices: str) -> Reader:
    allowed = " or ".join([", ".join(f'"{choice}"' for choice in choices[:-1]), f'"{choices[-1]}"'])

    def read(value: object) -> str:
        word = text(value, f"{allowed} is allowed")
        if word not in choices:
            raise KeyValueError(f'"{word}" is not known; {allowed} is allowed')
        return word

    return read


def _duration(value: object) -> float:
    return parse_duration(text(value, 'a duration such as "15m" is allowed'))


def _positive_duration(value: object) -> float:
    seconds = _duration(value)
    if seconds <= 0:
        raise KeyValueError(f'"{value}" is no time at all; more than nothing is allowed')
    return seconds


def _or_none(word: str, read: Reader) -> Reader:
    """`word` reads as None."""

    def read_or_none(value: object) -> object:
        if value == word:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise KeyValueError(f'{error}, or "{word}"') from None

    return read_or_none


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return parse_size(text(value, 'a size such as "2GB" is allowed'))


def _rate(value: object) -> int:
    size = _size(value.removesuffix("/s") if isinstance(value, str) else value)
    if size <= 0:
        raise KeyValueError('is nothing at all; a size a second such as "20MB/s" is allowed')
    return size


def _number(low: int, high: int) -> Reader:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise KeyValueError(f"is {_type_name(value)}; a whole number from {low} to {high} is allowed")
        if not low <= value <= high:
            raise KeyValueError(f"is {value}; {low} to {high} is allowed")
        return value

    return read


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise KeyValueError(f"is {_type_name(value)}; true or false is allowed")
    return value


def items(value: object, *, one_allowed: bool = False) -> tuple[str, ...]:
    if one_allowed and isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        wrong = "holds something else than strings" if isinstance(value, list) else f"is {_type_name(value)}"
        raise KeyValueError(f"{wrong}; a list of strings is allowed")
    return tuple(value)


def _known_items(known: Sequence[str]) -> Reader:
    def read(value: object) -> tuple[str, ...]:
        found = items(value)
        for item in found:
            if item not in known:
                raise KeyValueError(f'"{item}" is not known; {nearest(item, known)}')
        if len(set(found)) < len(found):
            raise KeyValueError("names one of them twice; each is allowed once")
        return found

    return read


def _some(read: Reader, allowed: str) -> Reader:
    def read_some(value: object) -> tuple[str, ...]:
        found: tuple[str, ...] = read(value)
        if not found:
            raise KeyValueError(f"is empty; {allowed}")
        return found

    return read_some


def _patterns(value: object) -> tuple[str, ...]:
    found = items(value)
    for pattern in found:
        try:
            compile_pattern(pattern)
        except ValueError as error:
            raise KeyValueError(f'"{pattern}" {error}') from None
    return found


def _layout(value: object) -> Layout:
    return Layout.parse(text(value, 'a layout such as "{taken:%Y}/{name}" is allowed'))


def timezone(value: object) -> str:
    """An IANA time zone that this system knows, or "system"."""
    name = text(value, 'a time zone such as "Europe/London" is allowed')
    if name != "system":
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            known = get_close_matches(name, zoneinfo.available_timezones(), n=1)
            hint = f'did you mean "{known[0]}"?' if known else 'a name such as "Europe/London" is allowed'
            raise KeyValueError(f'"{name}" is no time zone; {hint}') from None
    return name


def _optional_timezone(value: object) -> str:
    return "" if value == "" else timezone(value)


def _date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    written = text(value, 'a date such as "1990-01-01" is allowed')
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise KeyValueError(f'"{written}" is no date; one such as "1990-01-01" is allowed') from None


def _mode(digits: str, needed: int, example: str) -> Reader:
    """`needed`: bits without which the daemon would lock itself out."""

    def read(value: object) -> int | None:
        mode = text(value, f'a string of octal digits such as "{example}" is allowed')
        if not mode:
            return None
        if not re.fullmatch(digits, mode):
            raise KeyValueError(f'"{mode}" is no mode; octal digits such as "{example}" are allowed')
        if int(mode, 8) & needed != needed:
            raise KeyValueError(f'"{mode}" would lock the daemon out; its owner needs {needed:04o} at least')
        return int(mode, 8)

    return read


def _group(value: object) -> str | None:
    name = text(value, "a group's name is allowed")
    if not name.isprintable() or any(char in name for char in ":,/"):
        raise KeyValueError(f'"{name}" is no group; a name as in /etc/group is allowed')
    return name or None


def absolute_path(value: object) -> str:
    """An absolute path without `..`, tidied; the expansion of `~` and variables is done."""
    path = text(value, "a path is allowed")
    if not path.startswith("/"):
        raise KeyValueError(
            f'"{path}" is relative; an absolute path is allowed, or one that begins with ~/ or $HOME/'
        )
    if "\0" in path:
        raise KeyValueError("holds a NUL character; no path can")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise KeyValueError(f'"{path}" goes up with ".."; write where it leads instead')
    return "/" + "/".join(parts)


def _optional_path(value: object) -> str:
    return "" if value == "" else absolute_path(value)


def socket_problem(path: str) -> str:
    """Why no socket can have this path, or ""."""
    length = len(path.encode("utf-8", "surrogateescape"))
    # sun_path in unix(7) has 108 bytes with its closing NUL
    return f"is {length} bytes long; a socket's path can have 107" if length > 107 else ""


def _socket(value: object) -> str:
    path = _optional_path(value)
    if problem := socket_problem(path):
        raise KeyValueError(problem)
    return path


def _program(value: object) -> tuple[str, ...]:
    found = items(value)
    if any("\0" in item for item in found):
        raise KeyValueError("holds a NUL character; no argument can")
    return (absolute_path(found[0]), *found[1:]) if found else ()


def match(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The globs of a rule's `match` by key. Unknown keys are the parser's to report."""
    if not isinstance(value, dict):
        raise KeyValueError(f'is {_type_name(value)}; a table such as {{ kind = "video" }} is allowed')
    found = [(key, items(value[key], one_allowed=True)) for key in MATCH_KEYS if key in value]
    if not any(globs for _, globs in found):
        raise KeyValueError(
            f'matches on nothing; at least one of {", ".join(MATCH_KEYS)} is needed, name = "*" for all'
        )
    for kind in dict(found).get("kind", ()):
        if not set("*?[").intersection(kind) and kind.casefold() not in KINDS:
            raise KeyValueError(f'the kind "{kind}" is not known; {nearest(kind, KINDS)}')
    return tuple(found)


Table = dict[str, Key]

LIBRARY: Table = {
    "path": Key(absolute_path, kind="path"),
    "layout": Key(_layout, "{taken:%Y}/{taken:%Y-%m-%d}/{name}"),
    "undated": Key(_layout, "Undated/{subdir}/{name}"),
    "min_free": Key(_size, "2GB"),
    "group": Key(_group, ""),
    "file_mode": Key(_mode("0?[0-7]{3}", 0o400, "0640"), ""),
    "dir_mode": Key(_mode("[0-7]{3,4}", 0o700, "2750"), ""),
}
WATCH: Table = {
    "path": Key(absolute_path, kind="path"),
    "library": Key(text, ""),
    "action": Key(one_of("copy", "move", "hardlink"), "copy"),
    "include": Key(_some(_patterns, '["*"] takes everything'), ["*"]),
    "exclude": Key(_patterns, []),
    "settle": Key(_or_none("auto", _duration), "auto"),
    "rescan": Key(_positive_duration, "15m"),
    "polling": Key(one_of("auto", "on", "off"), "auto"),
    "timezone": Key(_optional_timezone, ""),
}
RULE: Table = {
    "match": Key(match),
    "library": Key(text, ""),
    "layout": Key(_layout, None),
    "ignore": Key(boolean, False),
}
HOOK: Table = {
    "on": Key(_some(_known_items(HOOK_EVENTS), f"known are {', '.join(HOOK_EVENTS)}")),
    "run": Key(
        _some(_program, 'a program and its arguments are needed, such as ["/usr/bin/logger"]'), kind="path"
    ),
    "every": Key(_duration, "1h"),
}
# The tables that environment variables and the command line can reach.
SINGLE: dict[str, Table] = {
    "duplicates": {
        "exact": Key(one_of("trash", "leave"), "trash"),
        "scope": Key(one_of("library", "all"), "library"),
        "deleted": Key(one_of("skip", "file"), "skip"),
        "similar": Key(one_of("report", "off"), "report"),
        "similar_distance": Key(_number(0, 7), 6, kind="int"),
    },
    "dates": {
        "timezone": Key(timezone, "system"),
        "sources": Key(_known_items(DATE_SOURCES), list(DATE_SOURCES), kind="list"),
        "mtime": Key(one_of("never", "card", "always"), "card"),
        "earliest": Key(_date, "1990-01-01"),
    },
    "trash": {"keep": Key(_or_none("forever", _duration), "30d")},
    "verify": {"every": Key(_or_none("off", _positive_duration), "off"), "rate": Key(_rate, "20MB/s")},
    "daemon": {
        "workers": Key(_or_none("auto", _number(1, 64)), "auto", kind="int"),
        "log_level": Key(one_of("debug", "info", "warning", "error"), "info"),
        "group": Key(_group, ""),
        "state_dir": Key(_optional_path, "", kind="path"),
        "socket": Key(_socket, "", kind="path"),
        "metrics_file": Key(_optional_path, "", kind="path"),
    },
}
MANY: dict[str, Table] = {"library": LIBRARY, "watch": WATCH}
LISTED: dict[str, Table] = {"rule": RULE, "hook": HOOK}
