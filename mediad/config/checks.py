"""What is wrong between values that are right by themselves. PURE."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from mediad.config.keys import nearest
from mediad.config.report import Report
from mediad.config.schema import Config, Library, Root, Rule, Watch
from mediad.layout import Layout
from mediad.media.origin import ORIGINS


def check(config: Config, report: Report) -> None:
    """Reports every refusal and warning that needs no look at the system."""
    if not config.libraries:
        report.wrong(("library",), "there is no library; write [library.NAME] with a path")
    elif not config.watches:
        report.warn(("watch",), "there is no watch, so that only imports bring files; write [watch.NAME]")
    for name in config.libraries.keys() & config.watches.keys():
        report.wrong(("watch", name), "is a library's name too; watches and libraries share their names")
    for watch in config.watches.values():
        _check_watch(watch, config, report)
    for index, rule in enumerate(config.rules):
        _check_rule(rule, index, config, report)
    for library in config.libraries.values():
        _check_layouts(library, report)
    _check_overlaps(config, report)


def resolve_library(name: str, watch: str, libraries: dict[str, Library], report: Report) -> str:
    """The library that `watch` means by `name`, which may be left out while there is only one."""
    path = ("watch", watch, "library")
    if report.is_wrong(path) or not libraries:
        return ""
    if not name and len(libraries) > 1:
        report.wrong(path, f"is missing; one of {', '.join(libraries)} is needed, as there are several")
    elif name and name not in libraries:
        report.wrong(path, f'there is no library "{name}"; {nearest(name, list(libraries))}')
    return name or next(iter(libraries))


def contains(outer: str, inner: str) -> bool:
    """True if `inner` is `outer` or lies below it, as written."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _check_watch(watch: Watch, config: Config, report: Report) -> None:
    if watch.action != "hardlink":
        return
    for name in sorted(config.libraries_of(watch)):
        library = config.libraries.get(name)
        if library and (library.group or library.file_mode is not None or library.dir_mode is not None):
            report.wrong(
                ("watch", watch.name, "action"),
                f'"hardlink" would change the group or mode of the source with those of library "{name}";'
                " copy or move is allowed, or a library without group, file_mode and dir_mode",
            )


def _check_rule(rule: Rule, index: int, config: Config, report: Report) -> None:
    path = ("rule", index)
    if rule.library and rule.library not in config.libraries:
        report.wrong(
            (*path, "library"),
            f'there is no library "{rule.library}"; {nearest(rule.library, list(config.libraries))}',
        )
    placed = rule.library or rule.layout or report.is_wrong((*path, "layout"))
    if rule.ignore and placed:
        report.wrong((*path, "ignore"), "goes with neither library nor layout; what is ignored is not filed")
    elif not rule.ignore and not placed and not report.is_wrong((*path, "ignore")):
        report.wrong(path, "does nothing; library, layout or ignore = true is needed")
    if config.watches and not any(rule.may_match_watch(name) for name in config.watches):
        report.warn((*path, "match"), f"fits no watch; there are {', '.join(config.watches)}")
    for origin in dict(rule.match).get("origin", ()):
        if not set("*?[").intersection(origin) and origin.casefold() not in ORIGINS:
            known = sorted(ORIGINS - {""})
            report.warn((*path, "match"), f'there is no origin "{origin}"; {nearest(origin, known)}')
    if rule.layout:
        _check_extension(rule.layout, (*path, "layout"), report)


def _check_layouts(library: Library, report: Report) -> None:
    for key in ("layout", "undated"):
        _check_extension(getattr(library, key), ("library", library.name, key), report)


def _check_extension(layout: Layout, path: tuple[str | int, ...], report: Report) -> None:
    if not layout.keeps_extension:
        report.warn(path, "does not end in {name} or {ext}, so that files lose their extension")


def _check_overlaps(config: Config, report: Report) -> None:
    roots = [root for root in config.roots() if root.path]
    for first, second in combinations(roots, 2):
        if contains(first.path, second.path) or contains(second.path, first.path):
            inner, outer = (second, first) if contains(first.path, second.path) else (first, second)
            place = report.place((outer.kind, outer.name, "path"))
            relation = "is the same folder as" if inner.path == outer.path else "lies inside"
            report.wrong(
                (inner.kind, inner.name, "path"),
                f'"{inner.path}" {relation} {_named(outer)} ({place});'
                " watches and libraries have to be apart",
            )
    _check_state(config.daemon.state_dir, roots, report)


def _check_state(state: str, roots: Iterable[Root], report: Report) -> None:
    for root in roots:
        if state and contains(root.path, state):
            report.wrong(
                ("daemon", "state_dir"),
                f'"{state}" lies inside {_named(root)}; it has to be outside all watches and libraries',
            )


def _named(root: Root) -> str:
    return f'{root.kind} "{root.name}"'
