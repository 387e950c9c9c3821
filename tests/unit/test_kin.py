"""What comes at different times and is one set all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mediad.ingest.kin import Kin, are_kin, kin_of
from mediad.ingest.plan import Planner, Waits
from mediad.model import BY_HAND, Earlier, Holder, Identity, Kind, MediaSet, Plan, Result, Taken
from tests.planning import Shelves, config, digest, identity

FORMATS = {"raw": "nef", "photo": "jpeg", "video": "mov", "sidecar": "xmp"}


def file(
    path: str, kind: Kind = "photo", *, later: float | None = 0, content_id: str = "", unreadable: str = ""
) -> Identity:
    """A file of the inbox; `later`: seconds after the others it was taken, None: it does not say when."""
    found = identity(path.encode(), dated=later is not None, kind=kind, unreadable=unreadable)
    taken = found.taken
    if taken is not None:
        taken = replace(taken, local=taken.local + timedelta(seconds=later or 0))
    facts = replace(found.facts, format=FORMATS[kind], content_id=content_id, taken=taken)
    return replace(found, facts=facts)


def came(one: Identity, number: int = 1, *, near: bool = True, role: str = "principal") -> Earlier:
    place = b"2021/" + one.name
    return Earlier(one, Holder(number, "photos", place, number), role, near)


JPEG, RAW = file("a.jpg"), file("a.nef", "raw")
FILM = file("a.mov", "video")
SIDECAR = file("a.xmp", "sidecar", later=None)


@pytest.mark.parametrize("late", [FILM, SIDECAR, file("A.JPG", later=None), file("a.jpg.xmp", "sidecar")])
def test_a_late_companion_belongs_to_its_principal(late: Identity) -> None:
    lead = came(RAW if late.facts.kind == "photo" else JPEG)
    assert kin_of(MediaSet(late), [lead]) == Kin(lead)


def test_a_late_principal_is_followed_by_whole_sets() -> None:
    jpeg, sidecar = came(JPEG), came(file("a.jpg.xmp", "sidecar"), 2, role="companion")
    found = kin_of(MediaSet(RAW), [sidecar, jpeg])
    assert (found.followers, found.members) == ((jpeg,), (jpeg, sidecar))
    film = came(FILM)
    assert kin_of(MediaSet(JPEG), [film]).followers == (film,)


def test_a_name_alone_tells_only_of_what_is_near() -> None:
    for late in (SIDECAR, file("a.nef", "raw", later=None)):
        assert kin_of(MediaSet(late), [came(JPEG)]) != Kin()
        assert kin_of(MediaSet(late), [came(JPEG, near=False)]) == Kin()


def test_dates_tell_of_what_came_long_before_and_of_numbers_that_came_round() -> None:
    old = came(JPEG, near=False)
    assert kin_of(MediaSet(RAW), [old]).followers == (old,)
    assert kin_of(MediaSet(file("a.nef", "raw", later=90)), [came(JPEG)]) == Kin()
    newer = came(file("a.jpg", later=10 * 86_400), 2)
    assert kin_of(MediaSet(RAW), [replace(newer, near=False), old]).followers == (old,)


def test_an_identifier_tells_under_any_name_and_after_any_time() -> None:
    still = came(file("a.jpg", content_id="ID", later=0), near=False)
    film = file("x/b.mov", "video", content_id="ID", later=9e8)
    assert kin_of(MediaSet(film), [still]) == Kin(still)
    assert kin_of(MediaSet(file("a.mov", "video", content_id="OTHER")), [still]) == Kin()


def test_the_same_name_again_is_another_file() -> None:
    assert kin_of(MediaSet(file("a.jpg", later=5)), [came(JPEG)]) == Kin()
    assert not are_kin(MediaSet(JPEG), MediaSet(JPEG))


def decide(planner: Planner, world: Shelves, *members: Identity) -> Plan:
    plan = planner.plan(MediaSet(members[0], members[1:]), world)
    assert isinstance(plan, Plan)
    return plan


def test_late_companions_go_beside_their_principal_wherever_that_is() -> None:
    world = Shelves()
    world.came = [Earlier(JPEG, world.add("films", b"by hand/b-2.jpg", number=7), "principal", near=True)]
    world.sets[7] = {digest("a.xmp"): world.add("films", b"by hand/b-2.xmp", number=8)}
    plan = decide(Planner(config()), world, FILM, SIDECAR)
    assert [(step.outcome, step.library, step.destination, step.role) for step in plan.steps] == [
        (Result.FILED, "films", b"by hand/b-2.mov", "companion"),
        (Result.DUPLICATE, "films", b".mediad/trash/a.xmp", "companion"),
    ]
    assert plan.witness == world.came[0].holder


def test_an_unreadable_companion_travels_with_its_principal_though_that_came_before() -> None:
    world = Shelves()
    broken = file("a.mov", "video", later=None, unreadable="it is broken")
    assert decide(Planner(config()), world, broken).steps[0].outcome is Result.QUARANTINED
    world.came = [came(JPEG)]
    assert decide(Planner(config()), world, broken).steps[0].destination == b"2021/a.mov"


def test_rules_for_a_companion_alone_do_not_tear_a_set() -> None:
    world = Shelves()
    planner = Planner(config('[[rule]]\nmatch = { kind = "video" }\nignore = true\n'))
    assert decide(planner, world, FILM).steps[0].outcome is Result.IGNORED
    world.came = [came(JPEG)]
    assert decide(planner, world, FILM).steps[0].outcome is Result.FILED


def test_followers_are_of_the_principals_own_library() -> None:
    world = Shelves()
    world.came = [came(JPEG, 5)]
    plan = decide(Planner(config()), world, RAW)
    assert (plan.followers, plan.witness) == ((5,), None)
    to_films = '[[rule]]\nmatch = { kind = "raw" }\nlibrary = "films"\n'
    assert decide(Planner(config(to_films)), world, RAW).followers == ()


def test_who_belongs_to_a_set_in_flight_waits_for_it() -> None:
    planner, world = Planner(config()), Shelves()
    raw = decide(planner, world, RAW)
    assert planner.plan(MediaSet(JPEG), world) == Waits(RAW.digest, raw.set)
    assert planner.plan_companion(SIDECAR, world) == Waits(RAW.digest, raw.set)
    stranger = decide(planner, world, file("a.jpg", later=90))
    planner.landed(raw)
    planner.landed(stranger)
    assert isinstance(planner.plan(MediaSet(JPEG), world), Plan)


def test_what_a_plan_rests_on_is_not_claimed_meanwhile() -> None:
    planner, world = Planner(config()), Shelves()
    world.came = [came(JPEG)]
    film = decide(planner, world, FILM)
    assert not planner.claim([JPEG.digest])
    planner.landed(film)
    assert planner.claim([JPEG.digest])
    assert planner.plan(MediaSet(FILM), world) == Waits(JPEG.digest)


WEAK = Taken(datetime.fromisoformat("2026-01-01"), None, "mtime", "mtime", "low")
SET = Taken(datetime.fromisoformat("1999-12-31"), None, BY_HAND, "", "high")


@pytest.mark.parametrize("own", [None, WEAK])
def test_a_late_principal_without_a_firm_date_takes_that_of_its_set(own: Taken | None) -> None:
    world = Shelves()
    world.came = [came(JPEG)]
    late = replace(RAW, facts=replace(RAW.facts, taken=own))
    plan = decide(Planner(config()), world, late)
    assert plan.steps[0].destination == b"2021/a.nef"
    assert plan.set.principal.taken == JPEG.taken
    assert decide(Planner(config()), world, RAW).set.principal.taken == RAW.taken


def test_a_sidecar_that_came_before_dates_a_late_principal_too() -> None:
    world = Shelves()
    json = replace(file("a.jpg.json", "sidecar"), digest=digest("json"))
    told = replace(JPEG.taken, source="takeout") if JPEG.taken else None
    json = replace(json, facts=replace(json.facts, format="takeout", taken=told))
    world.came = [came(file("a.jpg", later=None)), came(json, 2, role="companion")]
    late = file("a.nef", "raw", later=None)
    assert decide(Planner(config()), world, late).steps[0].destination == b"2021/a.nef"


def test_a_date_set_by_hand_is_handed_on_and_binds_nobody() -> None:
    world = Shelves()
    world.came = [replace(came(JPEG), stated=SET)]
    plan = decide(Planner(config()), world, RAW)
    assert (plan.steps[0].destination, plan.set.principal.taken) == (b"1999/a.nef", SET)
    stranger = decide(Planner(config()), world, file("a.nef", "raw", later=90))
    assert (stranger.steps[0].destination, stranger.followers) == (b"2021/a.nef", ())
    long_before = replace(came(JPEG, near=False), stated=SET)
    assert kin_of(MediaSet(RAW), [long_before]).followers == (long_before,)


@pytest.mark.parametrize("folder", ["", "card/"])
def test_a_copy_that_a_principal_brings_along_is_a_duplicate_of_its_follower(folder: str) -> None:
    world = Shelves()
    holder = world.add("photos", b"2021/a.jpg", JPEG.digest, 5)
    sidecar = world.add("photos", b"2021/a.jpg.xmp", number=6)
    world.sets[5] = {digest("xmp"): sidecar}
    world.came = [Earlier(JPEG, holder, "principal", near=True)]
    raw = replace(file(f"{folder}a.nef", "raw"), digest=digest("raw"))
    copy = replace(file(f"{folder}a.jpg"), digest=JPEG.digest)
    theirs = replace(file(f"{folder}a.jpg.xmp", "sidecar", later=None), digest=digest("xmp"))
    new = replace(file(f"{folder}a.mov", "video"), digest=digest("film"))
    plan = decide(Planner(config()), world, raw, copy, theirs, new)
    assert [(step.outcome, step.destination, step.proof) for step in plan.steps] == [
        (Result.FILED, b"2021/a.nef", None),
        (Result.DUPLICATE, b".mediad/trash/a.jpg", holder),
        (Result.DUPLICATE, b".mediad/trash/a.jpg.xmp", sidecar),
        (Result.FILED, b"2021/a.mov", None),
    ]
    assert plan.followers == (5,)
    world.add("photos", b"2021/b.nef", raw.digest, 7)
    again = decide(Planner(config()), world, raw, copy)
    assert [step.proof.id for step in again.steps if step.proof is not None] == [7, 5]
    assert again.followers == ()


def test_a_copy_that_is_being_filed_alone_is_waited_for() -> None:
    planner, world = Planner(config()), Shelves()
    alone = decide(planner, world, JPEG)
    copy = replace(file("card/a.jpg"), digest=JPEG.digest)
    media = MediaSet(file("card/a.nef", "raw"), (copy,))
    assert planner.plan(media, world) == Waits(JPEG.digest, alone.set)
    planner.landed(alone)
    assert isinstance(planner.plan(media, world), Plan)


def test_a_late_principal_gets_the_number_of_its_follower() -> None:
    world = Shelves()
    world.add("photos", b"2021/a.jpg", number=4)
    theirs = world.add("photos", b"2021/a-1.jpg", JPEG.digest, 5)
    world.came = [Earlier(JPEG, theirs, "principal", near=True)]
    assert decide(Planner(config()), world, RAW).steps[0].destination == b"2021/a-1.nef"


def test_why_tells_of_followers_in_another_library() -> None:
    world = Shelves()
    world.came = [came(JPEG, 5)]
    to_films = '[[rule]]\nmatch = { kind = "raw" }\nlibrary = "films"\n'
    plan = decide(Planner(config(to_films)), world, RAW)
    assert plan.why.endswith("; what came of its set before stays in library photos")
