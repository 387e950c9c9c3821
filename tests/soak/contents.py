"""What people bring, and what is known of every byte string that was ever somewhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from tests import samples

_SMALL = (32, 24)
_NAMES = (
    b"IMG_%04d",
    b"DSC%05d",
    b"IMG-20210710-WA%04d",
    b"\xff odd %d",
    b"a'b\"c\n%d",
    b"caf\xc3\xa9 %d",
    b"-rf %d",
)
_FOLDERS = (
    b"",
    b"",
    b"DCIM/100CANON",
    b"a/b/c/d",
    b"Caf\xcc\xa9",
    b"\xfe\xff",
    b"new\nline",
    b".hidden",
    b"x" * 200,
)

Load = dict[bytes, bytes]
"""Files that are dropped together, by their paths."""


class Known:
    """Every content that there ever was.

    Attributes:
        all: each content, and the path under which it was brought first.
        gone: those that somebody has deleted or overwritten, somewhere: nobody has to have them any more.
        companions: those that may lie in a library twice, since only principals are compared.
    """

    def __init__(self) -> None:
        self.all: dict[bytes, bytes] = {}
        self.gone: set[bytes] = set()
        self.companions: set[bytes] = set()

    def add(self, path: bytes, content: bytes) -> None:
        if content:
            self.all.setdefault(content, path)

    def lose(self, content: bytes) -> None:
        """Somebody takes this content away, at one place at least."""
        self.gone.add(content)

    def kept(self) -> Iterator[tuple[bytes, bytes]]:
        """What has to be somewhere, and its path."""
        return ((content, path) for content, path in self.all.items() if content not in self.gone)


class Maker:
    """Makes what is dropped; every load is another."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._number = 0

    def load(self, rng: random.Random) -> Load:
        """Files for one folder; a set, a picture, a film, a sound, something broken, something else."""
        self._number += 1
        kinds: list[tuple[Callable[[random.Random, bytes], Load], int]] = [
            (self._picture, 8),
            (self._set, 4),
            (self._live, 2),
            (self._same_name, 3),
            (self._film, 2),
            (self._sound, 1),
            (self._other, 3),
            (self._again, 4),
        ]
        make = rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        folder = rng.choice(_FOLDERS)
        stem = rng.choice(_NAMES) % self._number
        found = make(rng, folder + b"/" + stem if folder else stem)
        for path, content in found.items():
            self._known.add(path, content)
            if not path.lower().endswith((b".jpg", b".png")):
                self._known.companions.add(content)
        return found

    def _seed(self) -> int:
        return self._number

    def _taken(self, rng: random.Random) -> datetime:
        return datetime.fromisoformat("2021-01-01T12:00:00") + timedelta(hours=rng.randrange(5000))

    def _picture(self, rng: random.Random, stem: bytes) -> Load:
        taken = self._taken(rng) if rng.random() < 0.8 else None
        size = (800, 600) if rng.random() < 0.1 else _SMALL
        return {stem + b".jpg": samples.jpeg(taken, seed=self._seed(), size=size)}

    def _set(self, rng: random.Random, stem: bytes) -> Load:
        sidecar = samples.xmp_sidecar(rating=self._seed())
        return {**self._picture(rng, stem), stem + rng.choice((b".xmp", b".jpg.xmp")): sidecar}

    def _live(self, rng: random.Random, stem: bytes) -> Load:
        still, moving = samples.live_photo(
            self._taken(rng), content_id=f"ID-{self._seed()}", seed=self._seed()
        )
        return {stem + b".JPG": still, stem + b".MOV": moving}

    def _same_name(self, rng: random.Random, stem: bytes) -> Load:
        """Pictures of one day and one name, so that names collide."""
        taken = datetime.fromisoformat("2022-02-02T02:02:02")
        return {stem + b"/clash.jpg": samples.jpeg(taken, seed=self._seed(), size=_SMALL)}

    def _film(self, rng: random.Random, stem: bytes) -> Load:
        return {stem + b".mp4": samples.mp4(self._taken(rng), seed=self._seed())}

    def _sound(self, rng: random.Random, stem: bytes) -> Load:
        return {stem + b".wav": samples.wav(seed=self._seed())}

    def _other(self, rng: random.Random, stem: bytes) -> Load:
        return rng.choice(
            (
                {stem + b".jpg": samples.broken_jpeg(self._seed())},
                {stem + b".txt": b"no media %d" % self._seed()},
                {stem + b".jpg": b""},
                {stem + b".xmp": samples.xmp_sidecar(rating=self._seed())},
                {stem + b".png": samples.png(seed=self._seed(), size=_SMALL)},
            )
        )

    def _again(self, rng: random.Random, stem: bytes) -> Load:
        """Pictures that there have been before."""
        before = [content for content, path in self._known.all.items() if path.lower().endswith(b".jpg")]
        return {stem + b".jpg": rng.choice(before)} if before else self._picture(rng, stem)
