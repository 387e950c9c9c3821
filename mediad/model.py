"""The frozen values that cross stages. PURE.

Paths are bytes, relative to a watch or library root, without a leading slash. Times inside a stat are
nanoseconds since the epoch, as the kernel gives them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

Kind = Literal["photo", "raw", "video", "audio", "sidecar"]
Action = Literal["copy", "move", "hardlink"]


class FileType(enum.Enum):
    """What a directory entry is; all but REGULAR are ignored, with the value as the reason."""

    REGULAR = "a regular file"
    SYMLINK = "a symbolic link"
    FIFO = "a FIFO"
    DEVICE = "a device"
    SOCKET = "a socket"


class Result(enum.StrEnum):
    """What became of a file."""

    FILED = "filed"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    IGNORED = "ignored"
    GONE = "gone"


PASSING = frozenset((Result.FAILED, Result.QUARANTINED, Result.IGNORED))
"""What makes way for another outcome while the file is where it was."""


class Stat(NamedTuple):
    """What tells one state of one file from another (stat(2)); a tuple, since some are made of every file."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def same_content(self, other: Stat) -> bool:
        """True if both are one inode in one state; ctime is left out, since link and rename change it."""
        return (self.dev, self.ino, self.size, self.mtime_ns) == (
            other.dev,
            other.ino,
            other.size,
            other.mtime_ns,
        )


class Kept(NamedTuple):
    """Where a file lies in quarantine.

    Attributes:
        name: its name there. item: the set that it belongs to. step: the one that brought it there.
    """

    library: str
    name: bytes
    item: int
    step: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file seen in a watch.

    Attributes:
        rest: seconds for which it had been unchanged when it was looked at; 0.0 where clocks cannot be
            compared (network filesystems).
        excluded: the pattern that excludes it, else "".
        again: it is to be taken whatever is recorded of it (a retry, an import).
        unparsed: it is to be filed by its name, unopened.
        kept: where it lies in quarantine; None: it lies in the watch.
        was: the outcome that is recorded of it until it has another one, and that is counted; else "".
    """

    watch: str
    path: bytes
    stat: Stat
    rest: float = 0.0
    type: FileType = FileType.REGULAR
    excluded: str = ""
    again: bool = False
    unparsed: bool = False
    kept: Kept | None = None
    was: str = ""

    @property
    def root(self) -> str:
        """The name of the folder that it lies in: a watch's, or `quarantine_of` its library."""
        return self.watch if self.kept is None else quarantine_of(self.kept.library)

    @property
    def place(self) -> bytes:
        """Where it lies in that folder."""
        return self.path if self.kept is None else self.kept.name


def quarantine_of(library: str) -> str:
    """The name under which a library's quarantine is a folder that files are taken from; no watch's name."""
    return f"quarantine:{library}"


@dataclass(frozen=True, slots=True)
class Settled:
    """Files of one directory and stem that have all come to rest, and what decided that."""

    members: tuple[Sighting, ...]
    evidence: str


Confidence = Literal["high", "medium", "low"]

BY_HAND = "user"
"""The source of a date that somebody set."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The capture date that won.

    Attributes:
        local: local wall-clock time, naive, with microseconds.
        offset_minutes: UTC offset where known.
        source: "exif", "quicktime", "xmp", "takeout", "filename", "mtime" or `BY_HAND`; `tag` is the field's
            own name.
    """

    local: datetime
    offset_minutes: int | None
    source: str
    tag: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file's content, name and time told, as far as anything is decided on it. Made in a worker.

    Attributes:
        format: a name in `mediad.media.formats.FORMATS` ("jpeg", "heic", "mov", ...), or "".
        unreadable: why it cannot be read at all, else "".
        damaged: what is broken in a file that could be read in part, else "".
        content_id: Apple's ContentIdentifier, which both halves of a Live Photo carry.
        artist, album, title, track: what the tags of a sound recording or film say.
        origin: "camera", "screenshot", "whatsapp", ... or "".
        evidence: a JSON object of what `why` will tell, every date candidate among it; a worker's word that
            nobody has checked.
    """

    format: str
    kind: Kind
    unreadable: str = ""
    damaged: str = ""
    make: str = ""
    model: str = ""
    content_id: str = ""
    artist: str = ""
    album: str = ""
    title: str = ""
    track: int | None = None
    origin: str = ""
    taken: Taken | None = None
    evidence: str = "{}"


@dataclass(frozen=True, slots=True)
class Identity:
    """A file whose content is known.

    Attributes:
        digest: SHA-256, 32 bytes.
        evidence: what decided that it had settled.
    """

    sighting: Sighting
    digest: bytes
    facts: Facts
    evidence: str = ""

    @property
    def taken(self) -> Taken | None:
        return self.facts.taken

    @property
    def origin(self) -> str:
        return self.facts.origin

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is doubtful about it, one line each."""
        return (self.facts.damaged,) if self.facts.damaged else ()

    @property
    def name(self) -> bytes:
        return self.sighting.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class MediaSet:
    """Files that belong together; the principal decides place and date."""

    principal: Identity
    companions: tuple[Identity, ...] = field(default=())

    @property
    def members(self) -> tuple[Identity, ...]:
        return (self.principal, *self.companions)


@dataclass(frozen=True, slots=True)
class Holder:
    """A library file of which the catalogue says that it has a certain content; a witness to be checked.

    Attributes:
        item: the set that brought it, None where it was found in the library.
    """

    id: int
    library: str
    path: bytes
    item: int | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A file of the same watch that came before, and the library file that has its content.

    Attributes:
        identity: as it was when it came.
        role: what the library file is in its set, "principal", "companion" or "found".
        near: it came lately, or lies in the watch still: a name alone may tell that others belong to it.
        stated: the date that somebody gave it since; None where it has the one that it was filed by, which
            `identity` has in any case, for that tells what it belongs to.
    """

    identity: Identity
    holder: Holder
    role: str
    near: bool
    stated: Taken | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with one file of a set.

    Attributes:
        action: "move", "copy", "hardlink", "trash", "quarantine" or "leave".
        destination: relative to the library; None for "leave".
        code: the stable name of `reason`.
        proof: the library file that makes this one a duplicate; it has to hold the same bytes then.
    """

    identity: Identity
    action: str
    outcome: Result
    library: str
    destination: bytes | None = None
    code: str = ""
    reason: str = ""
    role: Literal["principal", "companion"] = "principal"
    proof: Holder | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a set, decided before anything is done.

    Attributes:
        witness: the library's principal on whose word the set is a duplicate, or beside which it goes.
        why: the rule and layout that applied, for people.
        followers: library files, the principals of sets that came earlier, which belong beside this one.
    """

    set: MediaSet
    steps: tuple[Step, ...]
    witness: Holder | None = None
    why: str = ""
    followers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A set whose files are open: whoever has it last closes them.

    Attributes:
        fds: descriptors by path, open since the files were hashed.
        lease: a read lease tells whether somebody writes to them.
        attempts: how often it was planned in vain, and `avoid` the name keys that proved taken on disk.
    """

    set: MediaSet
    fds: Mapping[bytes, int]
    lease: bool
    attempts: int = 0
    avoid: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A file that needs no plan: ignored, gone, or failed before there was one.

    Attributes:
        code: the stable name of `reason`.
        evidence: what decided that it had settled.
    """

    sighting: Sighting
    outcome: Result
    code: str
    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Files of a watch that have no outcome yet."""

    settling: int = 0
    waiting: int = 0
    in_flight: int = 0
    held: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.settling + other.settling,
            self.waiting + other.waiting,
            self.in_flight + other.in_flight,
            self.held + other.held,
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that has no outcome yet.

    Attributes:
        due: seconds until it may be released; None while it is in flight.
        held: a library is what it waits for. note: why it settles again, if it does.
    """

    sighting: Sighting
    due: float | None = None
    held: bool = False
    note: str = ""
