"""TOML text to `Config`, with every problem at once. PURE."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mediad.config import checks
from mediad.config.keys import (
    HOOK,
    LIBRARY,
    LISTED,
    MANY,
    NO_DEFAULT,
    RULE,
    SINGLE,
    WATCH,
    Key,
    Table,
    nearest,
    socket_problem,
)
from mediad.config.locate import KeyPath, locate
from mediad.config.report import Report, dotted
from mediad.config.schema import (
    MATCH_KEYS,
    Config,
    Daemon,
    Dates,
    Duplicates,
    Hook,
    Library,
    Rule,
    Trash,
    Verify,
    Watch,
)
from mediad.config.sources import expand, from_text, outside_values, socket_places, state_directory
from mediad.errors import InvalidConfig, printable

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def parse(
    text: str, *, file: str, env: Mapping[str, str], home: str, overrides: Mapping[str, str] = _NOTHING
) -> Config:
    """Reads a configuration.

    Args:
        file: what problems call the text.
        env: the environment: MEDIAD_* settings, variables in paths, systemd's and XDG's directories.
        home: what `~` means, "" for nothing.
        overrides: what the command line sets, by dotted key; only tables that `env` can set too.

    Raises:
        InvalidConfig: every problem, each as `FILE:LINE: KEY: what is wrong; what is allowed`.
    """
    config, problems = parse_all(text, file=file, env=env, home=home, overrides=overrides)
    if problems:
        raise InvalidConfig(problems)
    return config


def parse_all(
    text: str, *, file: str, env: Mapping[str, str], home: str, overrides: Mapping[str, str] = _NOTHING
) -> tuple[Config, list[str]]:
    """Like `parse`, for somebody who looks on: what could be read, and every problem.

    Where there are problems, defaults stand in for what is wrong, and a path may be empty.

    Raises:
        InvalidConfig: it is no TOML.
    """
    data, lines = _load(text, file)
    report = Report(file, lines)
    return _Parser(data, report, env, home, overrides).config(), report.problems


def _load(text: str, file: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        return tomllib.loads(text), locate(text)
    except RecursionError:
        raise InvalidConfig([printable(f"{file}:1: is nested too deeply")]) from None
    except ValueError as error:
        what, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        number = int(line[1]) if line else text.rstrip("\n").count("\n") + 1 if place else 1
        raise InvalidConfig([printable(f"{file}:{number}: no TOML: {what}")]) from None


class _Parser:
    """Reads tables one by one; a value that is wrong is reported and its default stands in for it."""

    def __init__(
        self,
        data: dict[str, Any],
        report: Report,
        env: Mapping[str, str],
        home: str,
        overrides: Mapping[str, str],
    ) -> None:
        self._report = report
        self._data = data
        self._env = env
        self._home = home
        self._outside = outside_values(env, overrides)

    def config(self) -> Config:
        """What could be read, with defaults in place of what is wrong."""
        self._check_tables()
        libraries = {name: Library(name, **values) for name, values in self._many("library", LIBRARY)}
        watches = [self._watch(name, values, libraries) for name, values in self._many("watch", WATCH)]
        config = Config(
            libraries=libraries,
            watches={watch.name: watch for watch in watches},
            rules=tuple(self._rule(index, values) for index, values in self._listed("rule", RULE)),
            duplicates=Duplicates(**self._single("duplicates")),
            dates=Dates(**self._single("dates")),
            trash=Trash(**self._single("trash")),
            verify=Verify(**self._single("verify")),
            hooks=tuple(Hook(**values) for _, values in self._listed("hook", HOOK)),
            daemon=self._daemon(),
        )
        checks.check(config, self._report)
        return replace(
            config, origins=MappingProxyType(self._report.origins), warnings=tuple(self._report.warnings)
        )

    def _check_tables(self) -> None:
        known = [*MANY, *LISTED, *SINGLE]
        for name in self._data:
            if name not in known:
                self._report.wrong((name,), f"is an unknown table or key; {nearest(name, known)}")
        for key, (_, origin) in self._outside.items():
            table, _, name = key.partition(".")
            self._report.origins[key] = origin
            if table not in SINGLE:
                known = list(SINGLE)
                self._report.wrong(
                    (key,), f"cannot be set here, only keys of these tables; {nearest(table, known)}"
                )
            elif name not in SINGLE[table]:
                self._report.wrong((key,), f"is an unknown key; {nearest(name, list(SINGLE[table]))}")

    def _watch(self, name: str, values: dict[str, Any], libraries: dict[str, Library]) -> Watch:
        values["library"] = checks.resolve_library(values["library"], name, libraries, self._report)
        return Watch(name, **values)

    def _rule(self, index: int, values: dict[str, Any]) -> Rule:
        written = self._data["rule"][index].get("match")
        for key in written if isinstance(written, dict) else ():
            if key not in MATCH_KEYS:
                self._report.wrong(
                    ("rule", index, "match", key), f"is an unknown key; {nearest(key, MATCH_KEYS)}"
                )
        values["match"] = values["match"] or ()
        return Rule(**values)

    def _daemon(self) -> Daemon:
        values = self._single("daemon")
        origins = self._report.origins
        if not values["state_dir"]:
            values["state_dir"], origins["daemon.state_dir"] = state_directory(self._env, self._home)
            if not values["state_dir"]:
                self._report.wrong(("daemon", "state_dir"), "has no default without a home folder; set it")
        socket = values.pop("socket")
        places = [socket]
        if not socket:
            places = []
            for place, origin in socket_places(self._env):
                places.append(place)
                if problem := socket_problem(place):
                    self._report.wrong(("daemon", "socket"), f"by default, from {origin}, {problem}")
        return Daemon(sockets=tuple(places), **values)

    def _single(self, name: str) -> dict[str, Any]:
        return self._table((name,), self._data.get(name, {}), SINGLE[name], f"[{name}]")

    def _many(self, kind: str, keys: Table) -> Iterator[tuple[str, dict[str, Any]]]:
        """The tables [kind.NAME]."""
        tables = self._data.get(kind, {})
        if not isinstance(tables, dict):
            self._report.wrong((kind,), f"is no table; write [{kind}.NAME]")
            return
        for name, table in tables.items():
            if not _NAME.fullmatch(name):
                self._report.wrong(
                    (kind, name),
                    "is no usable name; up to 64 of A-Z, a-z, 0-9, _ and - are allowed, no - or _ first",
                )
            yield name, self._table((kind, name), table, keys, f"[{kind}.NAME]")

    def _listed(self, kind: str, keys: Table) -> Iterator[tuple[int, dict[str, Any]]]:
        """The tables [[kind]]."""
        tables = self._data.get(kind, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._report.wrong((kind,), f"is no list of tables; write [[{kind}]]")
            return
        for index, table in enumerate(tables):
            yield index, self._table((kind, index), table, keys, f"[[{kind}]]")

    def _table(self, path: KeyPath, table: object, keys: Table, header: str) -> dict[str, Any]:
        if not isinstance(table, dict):
            self._report.wrong(path, f"is no table; write {header}")
            return {name: self._fallback(key) for name, key in keys.items()}
        for name in table:
            if name not in keys:
                self._report.wrong((*path, name), f"is an unknown key; {nearest(name, list(keys))}")
        return {name: self._value((*path, name), key, table) for name, key in keys.items()}

    def _value(self, path: KeyPath, key: Key, table: dict[str, Any]) -> Any:  # noqa: ANN401
        name = dotted(path)
        if name in self._outside or path[-1] in table:
            try:
                return key.read(self._written(path, key, table))
            except ValueError as error:
                self._report.wrong(path, str(error))
        else:
            self._report.origins[name] = "default"
            if key.default is NO_DEFAULT:
                self._report.wrong(path, "is missing; it has no default")
        return self._fallback(key)

    def _written(self, path: KeyPath, key: Key, table: dict[str, Any]) -> object:
        """The value as TOML has it, wherever it comes from, with its path expanded."""
        outside = self._outside.get(dotted(path))
        if outside:
            value = from_text(outside[0], key.kind)
        else:
            value = table[str(path[-1])]
            self._report.note(path)
        if key.kind == "path" and isinstance(value, str):
            return expand(value, self._env, self._home)
        if key.kind == "path" and isinstance(value, list) and value and isinstance(value[0], str):
            return [expand(value[0], self._env, self._home), *value[1:]]
        return value

    def _fallback(self, key: Key) -> Any:  # noqa: ANN401
        return None if key.default is NO_DEFAULT or key.default is None else key.read(key.default)
