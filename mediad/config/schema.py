"""The configuration as values. PURE.

Durations are seconds, sizes bytes, paths absolute text with surrogateescape. Two configurations are equal
if they mean the same, wherever their keys stand, so that a reload can compare them part by part.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import translate
from typing import Literal

from mediad.layout import Layout
from mediad.model import Action

KINDS = ("photo", "raw", "video", "audio")
DATE_SOURCES = ("exif", "quicktime", "xmp", "takeout", "filename")
HOOK_EVENTS = ("quarantined", "offline", "full", "changed")
MATCH_KEYS = ("watch", "path", "name", "kind", "origin", "camera")

_ANY_FOLDERS = re.compile(r"(?:^|(?<=/))\*\*/|^\*/")


@dataclass(frozen=True, slots=True)
class Library:
    """A folder that media is filed into.

    Attributes:
        min_free: bytes; below this, filing waits.
        group, file_mode, dir_mode: what new files and folders get; None leaves them alone.
    """

    name: str
    path: str
    layout: Layout
    undated: Layout
    min_free: int
    group: str | None
    file_mode: int | None
    dir_mode: int | None


@dataclass(frozen=True, slots=True)
class Watch:
    """A folder that new files are taken from.

    Attributes:
        library: a name in `Config.libraries`.
        settle: seconds of quiet, or None: by filesystem.
        rescan: seconds.
        timezone: an IANA name, "system", or "": as in `Dates`.
        label: what `{label}` says; only an import has one.
    """

    name: str
    path: str
    library: str
    action: Action
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    settle: float | None
    rescan: float
    polling: Literal["auto", "on", "off"]
    timezone: str
    label: str = ""

    @classmethod
    def elsewhere(cls, name: str, path: str, library: str, label: str = "") -> Watch:
        """A folder that is no configured watch and is taken from all the same, once."""
        return cls(name, path, library, "copy", ("*",), (), 2.0, math.inf, "on", "", label)


@dataclass(frozen=True, slots=True)
class Rule:
    """Where some files go instead.

    Attributes:
        match: globs by key (`MATCH_KEYS`); all keys have to match, of each any glob.
        library: a name in `Config.libraries`, or "": the watch's.
        layout: None: the library's.
    """

    match: tuple[tuple[str, tuple[str, ...]], ...]
    library: str
    layout: Layout | None
    ignore: bool

    def matches(self, subject: Mapping[str, str]) -> bool:
        """True if every glob's key fits `subject` (by `MATCH_KEYS`; a missing one is ""), case aside.

        In `path`, which is the file's path below its watch, `*` also crosses folders, `**/`, and `*/` at the
        beginning, also stand for none, and a slash at the beginning for the watch.
        """
        return all(_any_fits(globs, subject.get(key, "")) for key, globs in self.match)

    def may_match_watch(self, name: str) -> bool:
        """True if files of the watch `name` can fit."""
        return all(_any_fits(globs, name) for key, globs in self.match if key == "watch")


@dataclass(frozen=True, slots=True)
class Duplicates:
    exact: Literal["trash", "leave"]
    scope: Literal["library", "all"]
    deleted: Literal["skip", "file"]
    similar: Literal["report", "off"]
    similar_distance: int


@dataclass(frozen=True, slots=True)
class Dates:
    """`timezone` is an IANA name or "system"; `sources` are in order of preference."""

    timezone: str
    sources: tuple[str, ...]
    mtime: Literal["never", "card", "always"]
    earliest: date


@dataclass(frozen=True, slots=True)
class Trash:
    """`keep`: seconds, or None: for ever."""

    keep: float | None


@dataclass(frozen=True, slots=True)
class Verify:
    """`every`: seconds, or None: off. `rate`: bytes a second."""

    every: float | None
    rate: int


@dataclass(frozen=True, slots=True)
class Hook:
    """`run` is an argument vector whose program is an absolute path; `every`: seconds between two runs."""

    on: tuple[str, ...]
    run: tuple[str, ...]
    every: float


@dataclass(frozen=True, slots=True)
class Daemon:
    """How the daemon itself runs.

    Attributes:
        workers: None: by the number of processors.
        group: who may steer it besides root and its own user; None: nobody.
        sockets: places for the control socket, the first that can be written is taken.
        metrics_file: "" for none.
    """

    workers: int | None
    log_level: Literal["debug", "info", "warning", "error"]
    group: str | None
    state_dir: str
    sockets: tuple[str, ...]
    metrics_file: str


@dataclass(frozen=True, slots=True)
class Root:
    """A watch or a library as a place."""

    kind: Literal["watch", "library"]
    name: str
    path: str

    @property
    def key(self) -> str:
        """Its path's key in `Config.origins`."""
        return f"{self.kind}.{self.name}.path"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured.

    Attributes:
        origins: by key ("daemon.workers", "rule[1].layout"): "FILE:LINE", "$VARIABLE", "command line" or
            "default".
        warnings: printable lines.
    """

    libraries: dict[str, Library]
    watches: dict[str, Watch]
    rules: tuple[Rule, ...]
    duplicates: Duplicates
    dates: Dates
    trash: Trash
    verify: Verify
    hooks: tuple[Hook, ...]
    daemon: Daemon
    origins: Mapping[str, str] = field(compare=False, repr=False, default_factory=dict)
    warnings: tuple[str, ...] = field(compare=False, default=())

    def roots(self) -> Iterator[Root]:
        """All libraries, then all watches."""
        for library in self.libraries.values():
            yield Root("library", library.name, library.path)
        for watch in self.watches.values():
            yield Root("watch", watch.name, watch.path)

    def libraries_of(self, watch: Watch) -> set[str]:
        """Names of all libraries that files of `watch` can be filed into."""
        ruled = {rule.library for rule in self.rules if rule.library and rule.may_match_watch(watch.name)}
        return {watch.library} | ruled


def _any_fits(globs: tuple[str, ...], text: str) -> bool:
    folded = text.casefold()
    return any(_pattern(glob).match(folded) for glob in globs)


@functools.lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob, case aside, as `Rule.matches` has it."""
    first, *others = _ANY_FOLDERS.split(glob.casefold())
    parts = [translate(part)[:-2] for part in (first.removeprefix("/"), *others)]  # without their ends
    return re.compile("(?s:.*/)?".join(parts) + r"\Z")
