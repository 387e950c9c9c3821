"""Whatever is done to what a library has, undo is its inverse, and the undo of that again.

Sets and copies of them come, are trashed, refiled and taken back, in any order, while somebody edits, removes
and adds files by hand. The model is what lay where before and after each command.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mediad.errors import NotKnown
from tests import samples
from tests.crash.faulty import Faults
from tests.crash.test_relocated import REASON, everywhere, run, says
from tests.property.fuzzing import TIMES
from tests.steering import House, Steering
from tests.system.once import picture
from tests.trees import files

PICTURES = [picture(number) for number in (1, 2, 3)]
SIDECARS = [samples.xmp_sidecar(rating=number) for number in (1, 2)]
STEMS = st.sampled_from(["a", "A", "b", "d/a"])
LAYOUTS = ["{taken:%Y}/{name}", "{taken:%Y-%m}/{name}", "{name}"]

Tree = dict[bytes, bytes]


@dataclass(frozen=True)
class Deed:
    """A command that changed something, and what lay in inbox and library before and after it."""

    batch: int
    before: tuple[Tree, Tree]
    after: tuple[Tree, Tree]


class Undoing(RuleBasedStateMachine):
    """Commands, hands, and the way back."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="mediad-undoing-", dir=memory))
        (self.folder / "house").mkdir()
        self.house = House(self.folder / "house")
        self.house.settings["library"]["photos"].update(layout=LAYOUTS[0], undated="{name}")
        self.house.settings["watch"]["inbox"]["action"] = "move"
        self.contents: Counter[bytes] = Counter()
        self.deeds: list[Deed] = []
        self.undone: list[Deed] = []
        self.serial = 0
        self.changed_by_hand = False  # then the catalogue may not know all

    def teardown(self) -> None:
        """Nothing stays in memory."""
        shutil.rmtree(self.folder)

    @initialize(way=st.sampled_from(["linked", "renamed", "copied"]))
    def start(self, way: str) -> None:
        self.way = way

    # -- what others do -------------------------------------------------------------------------------

    @rule(stem=STEMS, number=st.integers(0, 2), rating=st.none() | st.integers(0, 1))
    def a_set_comes(self, stem: str, number: int, rating: int | None) -> None:
        members = {f"{stem}.jpg": PICTURES[number]}
        if rating is not None:
            members[f"{stem}.xmp"] = SIDECARS[rating]
        if any((self.house.root / "inbox" / name).exists() for name in (f"{stem}.jpg", f"{stem}.xmp")):
            return
        for name, data in members.items():
            self.house.put(f"inbox/{name}", data)
            self.contents[data] += 1
        self.live(None)
        self.forget()

    @precondition(lambda self: self.library())
    @rule(data=st.data(), edits=st.booleans())
    def somebody_changes_a_library_file(self, data: st.DataObject, edits: bool) -> None:
        path = data.draw(st.sampled_from(sorted(self.library())))
        target = self.house.root / "photos" / os.fsdecode(path)
        self.contents -= Counter([target.read_bytes()])
        target.unlink()
        if edits:
            self.serial += 1
            target.write_bytes(b"edited %d" % self.serial)
            self.contents[b"edited %d" % self.serial] += 1
        self.changed_by_hand = True
        self.live(None)
        self.forget()

    def forget(self) -> None:
        """What was done before may not be the last thing any more."""
        self.deeds.clear()
        self.undone.clear()

    # -- what is asked for ----------------------------------------------------------------------------

    @precondition(lambda self: self.library())
    @rule(data=st.data())
    def trash(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.library())))
        self.command("Trash", paths=[os.fspath(self.house.root / "photos" / os.fsdecode(path))])

    @rule(layout=st.sampled_from(LAYOUTS))
    def refile(self, layout: str) -> None:
        self.house.settings["library"]["photos"]["layout"] = layout
        self.command("Refile", library="photos")

    @rule()
    def undo_the_latest_batch(self) -> None:
        self.command("Undo")

    @precondition(lambda self: self.deeds)
    @rule()
    def take_the_last_command_back(self) -> None:
        deed = self.deeds.pop()
        answer = self.call("Undo", ids=[deed.batch])
        assert answer["refused"] == 0, answer["changes"]
        assert self.trees() == deed.before
        self.undone.append(Deed(answer["batch"], deed.after, deed.before))

    @precondition(lambda self: self.undone)
    @rule()
    def do_it_again(self) -> None:
        deed = self.undone.pop()
        answer = self.call("Undo", ids=[deed.batch])
        assert answer["refused"] == 0, answer["changes"]
        assert self.trees() == deed.before
        self.deeds.append(Deed(answer["batch"], deed.after, deed.before))

    def command(self, method: str, **asked: object) -> None:
        before = self.trees()
        answer = self.call(method, **asked)
        if answer["done"]:
            self.deeds.append(Deed(answer["batch"], before, self.trees()))
            self.undone.clear()
        else:
            assert self.trees() == before

    def call(self, method: str, **asked: object) -> dict[str, Any]:
        told: dict[str, Any] = {"done": 0, "refused": 0, "changes": []}

        async def act(house: House, steering: Steering) -> None:
            planned = await steering.call(method, dry_run=True, **asked)  # type: ignore[arg-type]
            told.update(await steering.call(method, **asked))  # type: ignore[arg-type]
            promised = {change["source"] for change in planned["changes"] if change["done"]}
            happened = {change["source"] for change in told["changes"] if change["done"]}
            assert happened <= promised

        async def known(house: House, steering: Steering) -> None:
            try:
                await act(house, steering)
            except NotKnown:  # what the hands have removed
                return

        self.live(known)
        return told

    # -- what holds -----------------------------------------------------------------------------------

    def live(self, act: Callable[[House, Steering], Awaitable[object]] | None) -> None:
        run(self.house, act, Faults(), self.way)
        there = everywhere(self.house)
        media = {path: content for path, content in there.items() if not path.endswith(REASON)}
        assert Counter(media.values()) == self.contents
        assert self.changed_by_hand or says(self.house, media) == []

    def library(self) -> Tree:
        return files(self.house.root / "photos", without={b".mediad"})

    def trees(self) -> tuple[Tree, Tree]:
        return files(self.house.root / "inbox"), self.library()


TestUndoing = pytest.mark.usefixtures("may_block")(Undoing.TestCase)
TestUndoing.settings = settings(
    max_examples=8 * TIMES,
    stateful_step_count=10,
    deadline=None,
    derandomize=TIMES == 1,
    phases=(Phase.generate,),  # shrinking would take minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
