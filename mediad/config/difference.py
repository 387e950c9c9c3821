"""What differs between two configurations, in lines for people. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from typing import Any

from mediad.config.schema import Config
from mediad.config.units import format_duration, format_size
from mediad.layout import Layout

_AT_START = frozenset({"workers", "state_dir", "sockets", "metrics_file"})
"""Keys of [daemon] that count only when the daemon starts."""

_ABSENT = {"settle": "auto", "keep": "forever", "every": "off", "workers": "auto"}
"""What the file says where there is no value."""

_SINGLE = ("duplicates", "dates", "trash", "verify", "daemon")


def differences(old: Config, new: Config) -> list[str]:
    """One line for each thing that changed."""
    return [
        *_many("library", old.libraries, new.libraries),
        *_many("watch", old.watches, new.watches),
        *_listed("rule", old.rules, new.rules),
        *_listed("hook", old.hooks, new.hooks),
        *(line for name in _SINGLE for line in _changed(name, getattr(old, name), getattr(new, name))),
    ]


def _many(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    gone = {name: old[name] for name in old if name not in new}
    for name, value in new.items():
        if name in old:
            yield from _changed(f"{kind} {name}", old[name], value)
            continue
        former = next((other for other in gone if gone[other].path == value.path), None)
        if former is None:
            yield f"{kind} {name}: added ({value.path})"
        else:
            yield f"{kind} {former}: renamed to {name}"
            yield from _changed(f"{kind} {name}", gone.pop(former), value)
    for name in gone:
        yield f"{kind} {name}: removed"


def _changed(what: str, old: object, new: object) -> Iterator[str]:
    for field in fields(old):  # type: ignore[arg-type]
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name != "name" and before != after:
            late = " (from the next start on)" if what == "daemon" and field.name in _AT_START else ""
            key = "socket" if field.name == "sockets" else field.name
            yield f"{what}: {key} is {_text(key, after)}, was {_text(key, before)}{late}"


def _listed(kind: str, old: tuple[object, ...], new: tuple[object, ...]) -> Iterator[str]:
    if old != new:
        yield f"{kind}s: {len(new)}, were {len(old)}" if len(old) != len(new) else f"{kind}s: changed"


def _text(key: str, value: object) -> str:
    """A value as the file has it."""
    match value:
        case None | "":
            return _ABSENT.get(key, "not set")
        case Layout():
            return f'"{value.text}"'
        case tuple():
            return ", ".join(map(str, value)) or "empty"
        case date():
            return value.isoformat()
        case float():
            return format_duration(value)
        case int() if key.endswith("_mode"):
            return f"{value:04o}"
        case int() if key in ("min_free", "rate"):
            return format_size(value) + ("/s" if key == "rate" else "")
    return str(value)
