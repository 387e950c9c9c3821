"""Real files on a real filesystem, placed by the real daemon, against a model in dictionaries.

Sets come, of few names and few contents, into a watch of each action; somebody removes and edits what the
library has; the daemon runs. `Placing` knows what has to come of that. Other machines build on it: a rule
that has the daemon do more with what it has filed ends by `self.look_at_all()`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mediad import config as configuration
from mediad.layout import key_of
from tests import samples
from tests.crash import invariants
from tests.crash.scene import FAR, MODE, MTIME_NS, UNLINKABLE, Scene, put
from tests.property.fuzzing import TIMES
from tests.trees import files

CONFIG = """
[library.photos]
path = "{root}/library"
min_free = "0"
layout = "{{taken:%Y}}/{{name}}"
undated = "Undated/{{name}}"

[watch.inbox]
path = "{root}/inbox"
action = "move"
settle = "0s"

[watch.copied]
path = "{root}/copied"
action = "copy"
settle = "0s"

[watch.linked]
path = "{root}/linked"
action = "hardlink"
settle = "0s"

[daemon]
state_dir = "{root}/state"
socket = "{root}/control"
"""

WATCHES = ("inbox", "copied", "linked")
TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
DATED = [samples.jpeg(TAKEN, seed=number, size=(16, 12)) for number in range(4)]
UNDATED = [samples.png(seed=number, size=(16, 12)) for number in range(2)]
SIDECARS = [samples.xmp_sidecar(rating=number) for number in range(3)]
STEMS = st.sampled_from(["IMG", "img", "IMG-1", "\u00e9", "e\u0301", "a" * 240])
FOLDERS = st.sampled_from(["", "d/", "D/", "d/e/"])


@dataclass(frozen=True, slots=True)
class Place(Scene):
    """A scene with a watch of each action."""

    def config(self) -> configuration.Config:
        """See `Scene.config`."""
        return configuration.parse(CONFIG.format(root=self.root), file="scene.toml", env={}, home="")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that somebody put into a watch; `inode` tells whether it is that very file still."""

    watch: str
    path: bytes
    content: bytes
    inode: int

    @property
    def principal(self) -> bool:
        return not self.path.endswith(b".xmp")


@dataclass
class Model:
    """What lies where, by path, and what the daemon has not seen yet."""

    library: dict[bytes, bytes] = field(default_factory=dict)
    trash: Counter[bytes] = field(default_factory=Counter)
    staying: list[Source] = field(default_factory=list)
    pending: list[Source] = field(default_factory=list)
    ever: set[bytes] = field(default_factory=set)  # contents that nobody but the daemon has touched since
    meddled: bool = False


class Placing(RuleBasedStateMachine):
    """Files come, the daemon runs, and what lies where is what has to."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="mediad-placing-", dir=memory))
        self.model = Model()
        self.serial = 0

    def teardown(self) -> None:
        """Nothing stays in memory."""
        shutil.rmtree(self.folder)

    @initialize(method=st.sampled_from(["", FAR, UNLINKABLE]))
    def start(self, method: str) -> None:
        self.place = Place(self.folder, "move", method, ())
        for name in (*WATCHES, "library", "state"):
            (self.folder / name).mkdir()

    # -- what others do -------------------------------------------------------------------------------

    @rule(
        watch=st.sampled_from(WATCHES),
        folder=FOLDERS,
        stem=STEMS,
        content=st.sampled_from([*DATED, *UNDATED]),
        sidecar=st.none() | st.sampled_from(SIDECARS),
    )
    def a_set_comes(self, watch: str, folder: str, stem: str, content: bytes, sidecar: bytes | None) -> None:
        before = f"{folder}{stem}".encode()
        root = self.folder / watch
        if any(other.name.partition(".")[0] == stem for other in (root / folder).glob("*")):
            return  # there it would join another set
        members = [(before + (b".jpg" if content in DATED else b".png"), content)]
        if sidecar is not None:
            members.append((before + b".xmp", sidecar))
        for path, data in members:
            put(os.fsencode(root), path, data)
            inode = os.stat(os.path.join(os.fsencode(root), path)).st_ino
            self.model.pending.append(Source(watch, path, data, inode))

    @precondition(lambda self: self.model.library)
    @rule(data=st.data())
    def somebody_removes_a_library_file(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.model.library)))
        os.unlink(os.path.join(self.place.library, path))
        del self.model.library[path]
        self.model.meddled = True

    @precondition(lambda self: self.model.library)
    @rule(data=st.data())
    def somebody_edits_a_library_file(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.model.library)))
        self.serial += 1
        content = b"edited %d" % self.serial
        os.unlink(os.path.join(self.place.library, path))  # else a hard link's other name would change, too
        put(self.place.library, path, content)
        self.model.library[path] = content
        self.model.meddled = True

    # -- what the daemon does -------------------------------------------------------------------------

    @rule()
    def the_daemon_runs(self) -> None:
        self.place.run_undisturbed()
        now = self.look()
        self._nothing_but_what_came_is_new(now)
        principals = [source for source in self.model.pending if source.principal]
        for content in {source.content for source in principals}:
            self._is_filed_once(now, content, [one for one in principals if one.content == content])
        self._sidecars_are_with_them(now)
        self._sources_are_where_they_should_be()
        self.model.staying += [one for one in self.model.pending if one.watch != "inbox"]
        self.model.pending.clear()
        self.model.library = now.library
        self.model.trash = trash(now)

    def look(self) -> invariants.Now:
        """What lies where, and the catalogue; nothing is half done."""
        watches = {name: self.folder / name for name in WATCHES}
        now = invariants.look(watches, self.place.library, self.place.catalogue)
        assert list(invariants.nothing_half_done(now)) == []
        if not self.model.meddled:
            assert list(invariants.the_catalogue_is_true(now)) == []
        return now

    def _nothing_but_what_came_is_new(self, now: invariants.Now) -> None:
        for path, content in self.model.library.items():
            assert now.library.get(path) == content, f"{path!r} was touched"
        keys = [key_of(path) for path in now.library]
        assert len(set(keys)) == len(keys)
        allowed = {(name_of(one.path), one.content) for one in self.model.pending}
        for path in now.library.keys() - self.model.library.keys():
            names = {name_of(path)} | ({unnumbered(name_of(path))} if numbered(path) else set())
            if now.library[path] in SIDECARS:  # it has the name of the file that it lies beside, see below
                assert now.library[path] in {content for _, content in allowed}
            else:
                assert any((name, now.library[path]) in allowed for name in names) or len(path) > 240
            folder = path.partition(b"/")[0]
            if now.library[path] not in SIDECARS:
                assert folder == (b"2021" if now.library[path] in DATED else b"Undated")
            stat = os.stat(os.path.join(self.place.library, path))
            assert (stat.st_mtime_ns, stat.st_mode & 0o7777) == (MTIME_NS, MODE)
        assert self.model.trash <= trash(now)

    def _is_filed_once(self, now: invariants.Now, content: bytes, sources: list[Source]) -> None:
        had = list(self.model.library.values()).count(content)
        has = list(now.library.values()).count(content)
        assert has == max(had, 1)
        moved = sum(source.watch == "inbox" for source in sources)
        trashed = trash(now)[content] - self.model.trash[content]
        filed = has - had
        others = len(sources) - moved
        assert moved - filed <= trashed <= moved - (filed if not others else 0)

    def _sidecars_are_with_them(self, now: invariants.Now) -> None:
        everything = [*now.library.values(), *now.private.values(), *now.watch.values()]
        for source in self.model.pending:
            assert source.content in everything
        for path in now.library.keys() - self.model.library.keys():
            if now.library[path] in SIDECARS:
                folder, _, name = path.rpartition(b"/")
                stem = name.partition(b".")[0]
                beside = [other for other in now.library if other.rpartition(b"/")[0] == folder]
                assert any(
                    now.library[other] not in SIDECARS and stem.startswith(stem_of(other)) for other in beside
                ), f"{path!r} lies beside no picture of its own"

    def _sources_are_where_they_should_be(self) -> None:
        for source in (*self.model.pending, *self.model.staying):
            path = os.path.join(os.fsencode(self.folder), os.fsencode(source.watch), source.path)
            if source.watch == "inbox":
                assert not os.path.lexists(path)
                continue
            stat = os.stat(path)
            assert (stat.st_ino, stat.st_mtime_ns, stat.st_mode & 0o7777) == (source.inode, MTIME_NS, MODE)
            with open(path, "rb") as stream:
                assert stream.read() == source.content

    @invariant()
    def the_library_is_what_the_model_says(self) -> None:
        if hasattr(self, "place"):
            root = self.place.library
            assert files(root, without={invariants.PRIVATE}) == self.model.library


def trash(now: invariants.Now) -> Counter[bytes]:
    """What lies in trash, without its reasons."""
    return Counter(
        content
        for path, content in now.private.items()
        if path.startswith(b"trash/") and not path.endswith(invariants.REASON)
    )


def name_of(path: bytes) -> bytes:
    return key_of(path.rpartition(b"/")[2])


def stem_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[2].partition(b".")[0]


def numbered(path: bytes) -> bool:
    return re.search(rb"-\d+\.\w+$", path) is not None


def unnumbered(name: bytes) -> bytes:
    return re.sub(rb"-\d+(\.\w+)$", rb"\1", name)


TestPlacing = pytest.mark.usefixtures("may_block")(Placing.TestCase)
TestPlacing.settings = settings(
    max_examples=15 * TIMES,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
