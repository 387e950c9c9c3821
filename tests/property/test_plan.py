"""Plans made while others are under way: no name is given twice, no set torn, nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from mediad.ingest.plan import Planner, Waits
from mediad.layout import key_of, split_name
from mediad.model import Earlier, MediaSet, Plan, Result
from tests.planning import Shelves, config, digest, identity

FILMS = '[[rule]]\nmatch = { kind = "video" }\nlibrary = "films"\n'
STEMS = st.sampled_from(["IMG", "img", "Img-1", "\u00e9", "E\u0301", "a" * 240])
FOLDER = st.sampled_from(["", "d/", "e/"])
CONTENT = st.sampled_from(["one", "two", "three", "four", "five"])
ENDINGS = st.lists(st.sampled_from([".xmp", ".jpg.xmp", ".mov", ".aae"]), unique=True, max_size=3)


class Planning(RuleBasedStateMachine):
    """A planner, a world that learns of what has landed, and all plans under way."""

    sets = Bundle("sets")
    plans = Bundle("plans")

    @initialize(scope=st.sampled_from(["library", "all"]), exact=st.sampled_from(["trash", "leave"]))
    def start(self, scope: str, exact: str) -> None:
        self.scope = scope
        self.planner = Planner(config(f'{FILMS}[duplicates]\nscope = "{scope}"\nexact = "{exact}"\n'))
        self.world = Shelves()
        self.under_way: list[Plan] = []
        self.serial = 0

    @rule(
        target=sets,
        folder=FOLDER,
        stem=STEMS,
        content=CONTENT,
        endings=ENDINGS,
        video=st.booleans(),
        brings=st.none() | CONTENT,
    )
    def a_set_comes(
        self, folder: str, stem: str, content: str, endings: list[str], video: bool, brings: str | None
    ) -> MediaSet:
        extension, kind = (".mp4", "video") if video else (".jpg", "photo")
        principal = identity(
            f"{folder}{stem}{extension}".encode(), content, kind="video" if kind == "video" else "photo"
        )
        companions = [identity(f"{folder}{stem}{end}".encode(), content + end) for end in endings]
        if brings not in (None, content):  # what may have come alone before
            companions.append(identity(f"{folder}{stem}.heic".encode(), brings or ""))
        return MediaSet(principal, tuple(companions))

    @rule(target=plans, media=sets, avoid=st.sets(st.sampled_from([b"2021/img.jpg", b"films/img.mp4"])))
    def it_is_planned(self, media: MediaSet, avoid: set[bytes]) -> Plan | None:
        plan = self.planner.plan(media, self.world, avoid)
        content = media.principal.digest
        if isinstance(plan, Waits):
            self._check_waits(plan, content)
            return None
        self._check(plan, avoid)
        self.under_way.append(plan)
        return plan

    def _check_waits(self, waits: Waits, content: bytes) -> None:
        if waits.whole is not None:
            assert waits.digest == waits.whole.principal.digest
            assert any(other.set is waits.whole for other in self.under_way), "waits for nobody"
        else:
            assert waits.digest == content
            assert any(self._files(other, content) for other in self.under_way), "waits for nobody"

    def _files(self, plan: Plan, content: bytes) -> bool:
        filed = any(step.outcome is Result.FILED for step in plan.steps)
        return filed and plan.set.principal.digest == content

    def _check(self, plan: Plan, avoid: set[bytes]) -> None:
        first = plan.steps[0]
        assert [step.identity for step in plan.steps] == list(plan.set.members)
        holders = self.world.holders(first.identity.digest, None if self.scope == "all" else first.library)
        late = plan.witness is not None and first.role == "companion"
        assert late or (first.outcome is Result.DUPLICATE) == bool(holders)
        for step in plan.steps:
            if step.outcome is Result.DUPLICATE:
                assert step.proof is not None
                assert self.contents[step.proof.library, step.proof.path] == step.identity.digest
                assert (step.action == "trash") == (step.destination is not None)
                continue
            assert step.proof is None
            assert step.destination is not None
            key = key_of(step.destination)
            assert not self.world.taken(step.library, key)
            assert key not in avoid
        assert set(plan.followers) <= {one.holder.id for one in self.world.came if one.role == "principal"}
        principal = first.destination if plan.witness is None else plan.witness.path
        assert principal is not None
        folder, _, name = principal.rpartition(b"/")
        for step in plan.steps if late else plan.steps[1:]:
            if step.outcome is Result.FILED:
                assert step.destination is not None
                assert step.destination.rpartition(b"/")[0] == folder
                assert step.destination.rpartition(b"/")[2].startswith(split_name(name)[0])

    @property
    def contents(self) -> dict[tuple[str, bytes], bytes]:
        known = {(holder.library, holder.path): content for content, holder in self.world.principals}
        for members in self.world.sets.values():
            known |= {(holder.library, holder.path): content for content, holder in members.items()}
        return known

    @rule(plan=consumes(plans), succeeded=st.booleans())
    def it_lands(self, plan: Plan | None, succeeded: bool) -> None:
        if plan is None:
            return
        if succeeded:
            self._arrives(plan)
        self.planner.landed(plan)
        self.under_way = [other for other in self.under_way if other is not plan]
        if not any(self._files(other, plan.set.principal.digest) for other in self.under_way):
            again = self.planner.plan(plan.set, self.world)
            if isinstance(again, Waits):
                assert again.whole is not None, "waits though nothing is under way"
                self._check_waits(again, plan.set.principal.digest)
            else:
                self.planner.landed(again)

    def _arrives(self, plan: Plan) -> None:
        item = plan.witness.item if plan.witness else None
        for step in plan.steps:
            if step.outcome is not Result.FILED:
                continue
            assert step.destination is not None
            self.serial += 1
            content = step.identity.digest
            is_principal = step.role == "principal"
            item = item or self.serial
            holder = self.world.add(
                step.library, step.destination, content if is_principal else None, self.serial
            )
            if is_principal:
                item = self.serial
            else:
                self.world.sets.setdefault(item, {})[content] = holder
            self.world.came.insert(
                0, Earlier(step.identity, replace(holder, item=item), step.role, near=True)
            )

    @rule(library=st.sampled_from(["photos", "films"]), stem=STEMS, content=st.none() | CONTENT)
    def a_file_lies_there_already(self, library: str, stem: str, content: str | None) -> None:
        path = f"2021/{stem}.JPG" if library == "photos" else f"Films/{stem}.MP4"
        if self._is_free(library, path.encode()):
            self.serial += 1
            self.world.add(library, path.encode(), digest(content) if content else None, self.serial)

    def _is_free(self, library: str, path: bytes) -> bool:
        return (library, key_of(path)) not in {*self.world.names, *self._given()}

    def _given(self) -> list[tuple[str, bytes]]:
        return [
            (step.library, key_of(step.destination))
            for plan in self.under_way
            for step in plan.steps
            if step.outcome is Result.FILED and step.destination is not None
        ]

    @invariant()
    def no_name_is_given_twice(self) -> None:
        given = self._given()
        assert len(set(given)) == len(given)
        assert not self.world.names.intersection(given)


TestPlanning = Planning.TestCase
TestPlanning.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
