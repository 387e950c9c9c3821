"""What the tests of planning share: a configuration, files of known content, and a catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mediad.config import Config, parse
from mediad.layout import key_of
from mediad.media import companions
from mediad.media.formats import claimed
from mediad.model import Earlier, Facts, Holder, Identity, Kind, MediaSet, Sighting, Stat, Taken

MOMENT = datetime(2021, 7, 10, 20, 39, 25)  # noqa: DTZ001 - local time, as cameras keep it

_CONFIG = """
[library.photos]
path = "/photos"
layout = "{taken:%Y}/{name}"
undated = "Undated/{name}"
[library.films]
path = "/films"
layout = "Films/{name}"
undated = "Films/{name}"
"""


def config(more: str = "", *, action: str = "move") -> Config:
    watch = f'[watch.inbox]\npath = "/inbox"\nlibrary = "photos"\naction = "{action}"\n'
    return parse(_CONFIG + watch + more, file="c.toml", env={}, home="/home/u")


def identity(
    path: bytes,
    content: str = "",
    *,
    dated: bool = True,
    kind: Kind = "photo",
    unreadable: str = "",
    origin: str = "",
) -> Identity:
    """A file of the inbox; `content` stands for its bytes, by default its own path does."""
    taken = Taken(MOMENT, None, "exif", "DateTimeOriginal", "high") if dated else None
    form = claimed(path)
    facts = Facts(form.name if form else "jpeg", kind, unreadable=unreadable, taken=taken, origin=origin)
    return Identity(Sighting("inbox", path, Stat(1, 1, 1, 0, 0)), digest(content or path.decode()), facts)


def digest(content: str) -> bytes:
    return content.encode().ljust(32, b".")[:32]


@dataclass
class Shelves:
    """A world to plan in.

    Attributes:
        names: what lies in the libraries, by library and key.
        sets: the other members of a principal's set by content, by the principal's id.
        came: what came before, the newest first.
    """

    principals: list[tuple[bytes, Holder]] = field(default_factory=list)
    removed: set[bytes] = field(default_factory=set)
    names: set[tuple[str, bytes]] = field(default_factory=set)
    sets: dict[int, dict[bytes, Holder]] = field(default_factory=dict)
    came: list[Earlier] = field(default_factory=list)

    def add(self, library: str, path: bytes, content: bytes | None = None, number: int = 1) -> Holder:
        """Put a file there, as a principal if its content is given."""
        holder = Holder(number, library, path, number)
        self.names.add((library, key_of(path)))
        if content is not None:
            self.principals.append((content, holder))
        return holder

    def holders(self, digest: bytes, library: str | None) -> Sequence[Holder]:
        return [
            holder
            for content, holder in self.principals
            if content == digest and library in (None, holder.library)
        ]

    def deleted(self, digest: bytes) -> bool:
        return digest in self.removed

    def taken(self, library: str, key: bytes) -> bool:
        return (library, key) in self.names

    def set_members(self, principal: Holder) -> Mapping[bytes, Holder]:
        return self.sets.get(principal.id, {})

    def earlier(self, media: MediaSet) -> Sequence[Earlier]:
        keys = {companions.key(member.sighting.path) for member in media.members}
        brought = {one.digest for one in media.companions if one.facts.kind != "sidecar"}
        return [
            one
            for one in self.came
            if companions.key(one.identity.sighting.path) in keys
            or (one.identity.digest in brought and one.role == "principal")
        ]
