"""What is decided on a set: where it goes, what is a duplicate, what has to wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mediad.ingest.plan import Planner, Waits
from mediad.layout import key_of
from mediad.model import Earlier, Identity, MediaSet, Plan, Result
from tests.planning import Shelves, config, digest, identity

SCREENSHOTS = '[[rule]]\nmatch = { origin = "screenshot" }\nlayout = "Shots/{name}"\n'
TO_FILMS = '[[rule]]\nmatch = { kind = "video" }\nlibrary = "films"\n'
ALL = '[duplicates]\nscope = "all"\n'


def decide(planner: Planner, world: Shelves, principal: Identity, *companions: Identity) -> Plan:
    plan = planner.plan(MediaSet(principal, companions), world)
    assert isinstance(plan, Plan)
    return plan


def moves(plan: Plan) -> list[tuple[str, str, bytes | None]]:
    return [(step.action, step.outcome.value, step.destination) for step in plan.steps]


def test_the_layout_of_the_library_decides_where_a_file_goes() -> None:
    planner, world = Planner(config()), Shelves()
    assert moves(decide(planner, world, identity(b"d/a.jpg"))) == [("move", "filed", b"2021/a.jpg")]
    undated = decide(planner, world, identity(b"d/b.jpg", dated=False))
    assert moves(undated) == [("move", "filed", b"Undated/b.jpg")]
    assert undated.why == "library photos: Undated/{name}"


@pytest.mark.parametrize("action", ["copy", "move", "hardlink"])
def test_files_travel_as_their_watch_says(action: str) -> None:
    plan = decide(Planner(config(action=action)), Shelves(), identity(b"a.jpg"), identity(b"a.xmp"))
    assert [step.action for step in plan.steps] == [action, action]
    assert [step.role for step in plan.steps] == ["principal", "companion"]


def test_the_first_rule_that_matches_decides() -> None:
    ignore = '[[rule]]\nmatch = { name = "*.jpg" }\nignore = true\n'
    planner, world = Planner(config(SCREENSHOTS + ignore + TO_FILMS)), Shelves()
    shot = decide(planner, world, identity(b"a.jpg", origin="screenshot"))
    assert (shot.steps[0].library, shot.steps[0].destination) == ("photos", b"Shots/a.jpg")
    assert shot.why == "rule 1: Shots/{name}"
    ignored = decide(planner, world, identity(b"b.jpg"), identity(b"b.xmp"))
    assert moves(ignored) == [("leave", "ignored", None)] * 2
    assert ignored.steps[0].code == "rule"
    film = decide(planner, world, identity(b"c.mov", kind="video"))
    assert (film.steps[0].library, film.steps[0].destination) == ("films", b"Films/c.mov")


def test_an_unreadable_set_goes_to_quarantine_only_from_where_it_may_be_moved() -> None:
    media = (identity(b"d/a.jpg", unreadable="cut short"), identity(b"d/a.xmp"))
    [first, second] = decide(Planner(config()), Shelves(), *media).steps
    assert (first.action, first.destination) == ("quarantine", b".mediad/quarantine/a.jpg")
    assert (second.action, second.destination) == ("quarantine", b".mediad/quarantine/a.xmp")
    assert first.reason == "cut short"
    assert second.reason == "belongs to a.jpg: cut short"
    plan = decide(Planner(config(action="copy")), Shelves(), *media)
    assert moves(plan) == [("leave", "quarantined", None)] * 2


def test_a_name_taken_by_another_file_gets_a_number_and_the_set_keeps_one_stem() -> None:
    world = Shelves()
    world.add("photos", b"2021/img.JPG")
    world.add("photos", b"2021/IMG-1.xmp")
    plan = decide(Planner(config()), world, identity(b"IMG.jpg"), identity(b"IMG.xmp"), identity(b"img.mov"))
    assert [step.destination for step in plan.steps] == [
        b"2021/IMG-2.jpg",
        b"2021/IMG-2.xmp",
        b"2021/IMG-2.mov",
    ]


def test_a_name_of_another_library_is_free() -> None:
    world = Shelves()
    world.add("films", b"2021/a.jpg")
    plan = decide(Planner(config()), world, identity(b"a.jpg"))
    assert plan.steps[0].destination == b"2021/a.jpg"


def test_names_compare_equal_across_case_and_composition() -> None:
    planner, world = Planner(config()), Shelves()
    names = [
        decide(planner, world, identity(name.encode(), f"content {number}")).steps[0].destination
        for number, name in enumerate(["d/\u00e9.jpg", "e/E\u0301.JPG", "f/e\u0301.jpg"])
    ]
    assert names == ["2021/\u00e9.jpg".encode(), "2021/E\u0301-1.JPG".encode(), "2021/e\u0301-2.jpg".encode()]


def test_a_name_in_flight_is_taken_until_it_lands() -> None:
    planner, world = Planner(config()), Shelves()
    first = decide(planner, world, identity(b"d/a.jpg"))
    second = decide(planner, world, identity(b"e/a.jpg"))
    assert second.steps[0].destination == b"2021/a-1.jpg"
    planner.landed(first)  # it came to nothing: the world does not know it
    assert decide(planner, world, identity(b"f/a.jpg")).steps[0].destination == b"2021/a.jpg"


def test_a_name_that_proved_taken_on_disk_is_avoided() -> None:
    planner = Planner(config())
    plan = planner.plan(MediaSet(identity(b"a.jpg")), Shelves(), {key_of(b"2021/A.jpg")})
    assert isinstance(plan, Plan)
    assert plan.steps[0].destination == b"2021/a-1.jpg"


def test_equal_content_in_flight_is_waited_for() -> None:
    planner, world = Planner(config()), Shelves()
    copies = [MediaSet(identity(path, "same")) for path in (b"a.jpg", b"b.jpg")]
    first = decide(planner, world, copies[0].principal)
    assert planner.plan(copies[1], world) == Waits(digest("same"))
    planner.landed(first)
    world.add("photos", b"2021/a.jpg", digest("same"))
    assert moves(decide(planner, world, copies[1].principal)) == [
        ("trash", "duplicate", b".mediad/trash/b.jpg")
    ]


def test_a_companion_in_flight_makes_nobody_wait() -> None:
    planner, world = Planner(config()), Shelves()
    decide(planner, world, identity(b"a.jpg"), identity(b"a.mov", "same"))
    assert moves(decide(planner, world, identity(b"b.mov", "same"))) == [("move", "filed", b"2021/b.mov")]


def test_duplicates_are_looked_for_in_one_library_or_in_all() -> None:
    for more, outcome in (("", Result.FILED), (ALL, Result.DUPLICATE)):
        world = Shelves()
        holder = world.add("films", b"Films/a.jpg", digest("same"))
        plan = decide(Planner(config(more)), world, identity(b"a.jpg", "same"))
        assert plan.steps[0].outcome is outcome
        assert plan.steps[0].proof == (holder if outcome is Result.DUPLICATE else None)
        planner = Planner(config(TO_FILMS + more))
        decide(planner, Shelves(), identity(b"a.jpg", "twin"))
        waits = planner.plan(MediaSet(identity(b"b.mov", "twin", kind="video")), Shelves())
        assert isinstance(waits, Waits) is (outcome is Result.DUPLICATE)


@pytest.mark.parametrize(
    ("action", "exact", "expected"),
    [("move", "trash", "trash"), ("move", "leave", "leave"), ("copy", "trash", "leave")],
)
def test_a_duplicate_is_disposed_of_only_where_that_is_wanted(action: str, exact: str, expected: str) -> None:
    world = Shelves()
    holder = world.add("photos", b"2020/old.jpg", digest("same"))
    settings = config(f'[duplicates]\nexact = "{exact}"\n', action=action)
    plan = decide(Planner(settings), world, identity(b"d/a.jpg", "same"))
    [step] = plan.steps
    assert (step.action, step.proof, plan.witness) == (expected, holder, holder)
    assert step.destination == (b".mediad/trash/a.jpg" if expected == "trash" else None)
    assert step.reason == "same content as photos/2020/old.jpg"


def test_a_duplicates_companions_follow_it_or_go_beside_the_copy_that_is_kept() -> None:
    world = Shelves()
    holder = world.add("photos", b"2020/old.jpg", digest("same"), 7)
    world.add("photos", b"2020/old.mov")
    kept = world.add("photos", b"2020/old.xmp", number=8)
    world.sets[7] = {digest("sidecar"): kept}
    companions = [identity(b"a.xmp", "sidecar"), identity(b"a.mov", "film"), identity(b"a.aae", "edits")]
    plan = decide(Planner(config()), world, identity(b"a.jpg", "same"), *companions)
    assert moves(plan) == [
        ("trash", "duplicate", b".mediad/trash/a.jpg"),
        ("trash", "duplicate", b".mediad/trash/a.xmp"),
        ("move", "filed", b"2020/old-1.mov"),
        ("move", "filed", b"2020/old.aae"),
    ]
    assert [step.proof for step in plan.steps] == [holder, kept, None, None]


def test_names_beside_a_copy_that_is_kept_differ_by_more_than_case() -> None:
    world = Shelves()
    world.add("photos", b"2020/old.jpg", digest("same"))
    companions = [identity(b"a.mov", "film"), identity(b"A.MOV", "other film")]
    plan = decide(Planner(config()), world, identity(b"a.jpg", "same"), *companions)
    keys = [key_of(step.destination) for step in plan.steps if step.destination]
    assert len(set(keys)) == 3


def test_a_sidecar_without_its_picture_is_ignored_unless_that_came_lately() -> None:
    planner, world = Planner(config()), Shelves()
    orphan = identity(b"d/IMG.xmp", "sidecar", kind="sidecar")

    def beside(companion: Identity) -> Plan:
        plan = planner.plan_companion(companion, world)
        assert isinstance(plan, Plan)
        return plan

    assert moves(beside(orphan)) == [("leave", "ignored", None)]
    former = world.add("photos", b"2021/IMG-3.jpg", number=3)
    world.came = [Earlier(identity(b"d/IMG.jpg"), former, "principal", near=True)]
    late = beside(orphan)
    assert moves(late) == [("move", "filed", b"2021/IMG-3.xmp")]
    assert late.witness == former
    again = beside(identity(b"d/img.xmp", "other", kind="sidecar"))
    assert moves(again) == [("move", "filed", b"2021/IMG-3-1.xmp")]
    world.sets[3] = {digest("sidecar"): world.add("photos", b"2021/IMG-3.xmp", number=4)}
    assert beside(orphan).steps[0].outcome is Result.DUPLICATE


def test_two_hundred_files_of_one_name_get_two_hundred_names() -> None:
    planner, world = Planner(config()), Shelves()
    for number in range(200):
        plan = decide(planner, world, identity(b"%d/IMG.jpg" % number))
        name = plan.steps[0].destination
        assert name is not None
        assert not world.taken("photos", key_of(name))
        world.add("photos", name)
        planner.landed(plan)
    assert len(world.names) == 200


def test_what_is_claimed_is_waited_for_and_what_flies_cannot_be_claimed() -> None:
    planner, world = Planner(config()), Shelves()
    holder = world.add("photos", b"2021/a.jpg", digest("same"))
    duplicate = decide(planner, world, identity(b"b.jpg", "same"))
    assert duplicate.witness == holder
    assert not planner.claim([digest("same")])
    planner.landed(duplicate)
    assert planner.claim([digest("same"), digest("other")])
    assert not planner.claim([digest("other")])
    media = MediaSet(identity(b"c.jpg", "new"), (identity(b"c.xmp", "other"),))
    assert planner.plan(media, world) == Waits(digest("other"))
    assert planner.plan_companion(identity(b"d.xmp", "same"), world) == Waits(digest("same"))
    planner.release([digest("same"), digest("other")])
    assert isinstance(planner.plan(media, world), Plan)


@pytest.mark.parametrize("deleted", ["skip", "file"])
def test_what_was_removed_by_hand_does_not_come_again(deleted: str) -> None:
    planner, world = Planner(config(f'[duplicates]\ndeleted = "{deleted}"')), Shelves()
    world.removed.add(digest("unwanted"))
    newcomer = identity(b"a.jpg", "unwanted")
    told = moves(decide(planner, world, newcomer))
    assert (told == [("leave", "ignored", None)]) is (deleted == "skip")
    asked = replace(newcomer, sighting=replace(newcomer.sighting, again=True))
    assert moves(decide(Planner(planner.config), world, asked))[0][1] == "filed"
