"""What people and their programs do with files while the daemon runs.

Each deed gets its own random choices and returns what it did, in words; "" where there was nothing to do it
to. What it takes away is told to `Known` before it is done.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

from tests.soak.contents import Known, Maker
from tests.soak.world import LIBRARIES, WATCHES, World


class User:
    """Somebody at work in watches and libraries.

    Attributes:
        touched: absolute paths of library files that were changed behind the daemon's back.
        doubled: contents that may be in a library more than once, since theirs were touched.
    """

    def __init__(self, world: World, known: Known) -> None:
        self.world = world
        self.known = known
        self.maker = Maker(known)
        self.touched: set[bytes] = set()
        self.doubled: set[bytes] = set()
        self.links: dict[bytes, bytes] = {}  # contents of the files that links point to, by path
        self._written: list[tuple[int, bytes]] = []  # files still being written, and what is to come

    # -- new files --------------------------------------------------------------------------------------

    def drop(self, rng: random.Random) -> str:
        """Files appear in a watch, at once or under another name first."""
        watch = rng.choice(list(WATCHES))
        if not self.world.places[watch].is_here:
            return ""
        load = self.maker.load(rng)
        for path, content in load.items():
            if (whole := self._below(watch, path)) is not None:
                self._write(whole, content, aside=rng.random() < 0.3)
            else:
                self.known.lose(content)
        return f"drop {sorted(load)} into {watch}"

    def drop_slowly(self, rng: random.Random) -> str:
        """A file begins to appear, and is complete later."""
        watch = rng.choice(list(WATCHES))
        if not self.world.places[watch].is_here or len(self._written) > 3:
            return ""
        (path, content), *others = self.maker.load(rng).items()
        for _, other in others:  # which never come
            self.known.lose(other)
        whole = self._below(watch, path)
        try:
            if whole is None:
                raise FileExistsError("a link is in the way")
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            fd = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            self.known.lose(content)
            return f"drop slowly {path!r}: {error}"
        self._written.append((fd, content))
        self._go_on(0, len(content) // 2)
        return f"begin {path!r} in {watch}"

    def go_on(self, rng: random.Random) -> str:
        """What had begun is completed."""
        if not self._written:
            return ""
        self._go_on(rng.randrange(len(self._written)), None)
        return "complete a file"

    def finish(self) -> None:
        """Complete everything that had begun."""
        while self._written:
            self._go_on(0, None)

    def _go_on(self, number: int, count: int | None) -> None:
        fd, content = self._written[number]
        try:
            done = os.fstat(fd).st_size
            os.pwrite(fd, content[done:count], done)
            complete = os.fstat(fd).st_size == len(content)
        except OSError:
            complete = False
        if count is None:
            if not complete:  # no space for it
                self.known.lose(content)
            os.close(fd)
            del self._written[number]

    def _below(self, watch: str, path: bytes) -> bytes | None:
        """A path in a watch; None where it would lead through a link out of it."""
        whole = os.path.join(self.world.places[watch].root, path)
        return whole if os.path.realpath(os.path.dirname(whole)) == os.path.dirname(whole) else None

    def _write(self, path: bytes, content: bytes, *, aside: bool) -> None:
        """Write a file; where that fails somebody would try again, so nothing was brought."""
        first = (
            os.path.join(os.path.dirname(path), b".tmp-" + os.path.basename(path)[-40:]) if aside else path
        )
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(first, "xb") as stream:
                stream.write(content)
            if aside:
                os.rename(first, path)
        except OSError:
            self.known.lose(content)

    # -- files that are there ---------------------------------------------------------------------------

    def edit(self, rng: random.Random) -> str:
        """Something is added to a file."""
        if not (path := self._some_file(rng)):
            return ""
        more = b" edited %d" % rng.randrange(1 << 30)
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return ""
        try:
            content = os.pread(fd, 1 << 24, 0)
            self._touch(path, content)
            self.known.add(path, content + more)
            self.known.companions.add(content + more)
            os.pwrite(fd, more, len(content))
            if os.fstat(fd).st_size != len(content + more):
                self.known.lose(content + more)
        except OSError:
            self.known.lose(content + more)
        finally:
            os.close(fd)
        return f"edit {path!r}"

    def delete(self, rng: random.Random) -> str:
        return self._take_away(rng, "delete", os.unlink)

    def replace_by_link(self, rng: random.Random) -> str:
        """A file moves out of the tree, and a symbolic link takes its place."""

        def replace(path: bytes) -> None:
            target = os.fsencode(self.world.elsewhere / f"{len(self.links)}.jpg")
            with open(path, "rb") as stream:
                content = stream.read()
            with open(target, "wb") as stream:
                stream.write(content)
            self.links[target] = content
            os.unlink(path)
            os.symlink(target, path)

        return self._take_away(rng, "replace by a link", replace)

    def replace_folder_by_link(self, rng: random.Random) -> str:
        """A folder moves out of its watch, and a link takes its place: nothing is filed from there."""
        watch = rng.choice(list(WATCHES))
        folders = [entry.path for entry in self._entries(watch) if entry.is_dir(follow_symlinks=False)]
        if not folders:
            return ""
        path = rng.choice(sorted(folders))
        target = os.fsencode(self.world.places[watch].path.with_name(f"linked-{watch}-{len(self.links)}"))
        try:
            os.rename(path, target)
            os.symlink(target, path)
        except OSError:
            return ""
        for folder, _, names in os.walk(target):
            for name in names:
                self._keep_linked(os.path.join(folder, name))
        self.links.setdefault(target + b"/", b"")
        return f"replace the folder {path!r} by a link"

    def _keep_linked(self, path: bytes) -> None:
        if not os.path.islink(path):
            with open(path, "rb") as stream:
                self.links[path] = stream.read()

    def rename(self, rng: random.Random) -> str:
        """A file gets another name, in its folder or another of the same watch or library."""
        path = self._some_file(rng)
        if not path:
            return ""
        name = b"renamed-%d-" % rng.randrange(1 << 30) + os.path.basename(path)[-60:]
        target = os.path.join(os.path.dirname(path), name)
        try:
            with open(path, "rb") as stream:
                content = stream.read()
            self._touch(path, b"")
            self.touched.add(target)
            self.doubled.add(content)
            os.rename(path, target)
        except OSError:
            return ""
        return f"rename {path!r}"

    def copy_in_library(self, rng: random.Random) -> str:
        """Somebody puts a copy of a picture beside it, into a library."""
        library = rng.choice(LIBRARIES)
        path = self._some_file(rng, library)
        if not path:
            return ""
        try:
            with open(path, "rb") as stream:
                content = stream.read()
            self.doubled.add(content)
            self.touched.add(path + b".copy.jpg")
            with open(path + b".copy.jpg", "xb") as stream:
                stream.write(content)
        except OSError:
            return ""
        return f"copy {path!r}"

    def _take_away(self, rng: random.Random, word: str, how: object) -> str:
        path = self._some_file(rng)
        if not path:
            return ""
        try:
            with open(path, "rb") as stream:
                content = stream.read()
            self._touch(path, content)
            assert callable(how)
            how(path)
        except OSError:
            return ""
        return f"{word} {path!r}"

    def _touch(self, path: bytes, content: bytes) -> None:
        self.touched.add(path)
        if content:
            self.known.lose(content)
            self.doubled.add(content)

    def _some_file(self, rng: random.Random, name: str = "") -> bytes:
        """One of the files of a watch or library, but for private ones and what is being written; b"" if
        there are none.
        """
        name = name or rng.choice([*WATCHES, *LIBRARIES])
        busy = {os.fstat(fd).st_ino for fd, _ in self._written}
        found = sorted(
            entry.path
            for entry in self._entries(name)
            if entry.is_file(follow_symlinks=False) and entry.inode() not in busy
        )
        return rng.choice(found) if found else b""

    def library_file(self, rng: random.Random) -> bytes:
        """One of the files of a library."""
        return self._some_file(rng, rng.choice(LIBRARIES))

    def _entries(self, name: str) -> Iterator[os.DirEntry[bytes]]:
        place = self.world.places[name]
        folders = [place.root] if place.is_here else []
        while folders:
            try:
                entries = list(os.scandir(folders.pop()))
            except OSError:  # gone meanwhile
                continue
            for entry in entries:
                if entry.name == b".mediad" or entry.name.startswith(b".tmp-"):
                    continue
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
