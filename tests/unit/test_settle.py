"""When files count as having come to rest, together with what, and what becomes of them afterwards."""

from __future__ import annotations

from dataclasses import replace

from mediad.ingest.meter import Meter
from mediad.ingest.settle import Tracker
from mediad.media import companions
from mediad.model import Counts, FileType, Kept, Result, Settled, Sighting, Stat, Waiting

SETTLES = {"inbox": 2.0, "card": 60.0}


def seen(
    path: bytes,
    *,
    size: int = 1,
    ctime: int = 0,
    ino: int = 1,
    rest: float = 0.0,
    watch: str = "inbox",
    type: FileType = FileType.REGULAR,  # noqa: A002
    excluded: str = "",
    kept: Kept | None = None,
) -> Sighting:
    return Sighting(watch, path, Stat(1, ino, size, 0, ctime), rest, type, excluded, kept=kept)


def tracker() -> Tracker:
    return Tracker(companions.key, SETTLES.__getitem__)


def release(tracker: Tracker, now: float, *, closed: tuple[str, ...] = (), limit: int = 100) -> list[Settled]:
    return tracker.release(now, closed.__contains__, limit)


def counts(tracker: Tracker, now: float, *, closed: tuple[str, ...] = ()) -> dict[str, Counts]:
    return tracker.counts(now, closed.__contains__)


def paths(released: list[Settled]) -> list[list[bytes]]:
    return [sorted(member.path for member in settled.members) for settled in released]


def test_a_file_is_released_when_it_was_quiet_for_the_settle_time_and_no_earlier() -> None:
    settling = tracker()
    settling.observe([seen(b"a.jpg")], 10.0)
    assert release(settling, 11.99) == []
    assert settling.next_due(lambda _: False) == 12.0
    assert paths(release(settling, 12.0)) == [[b"a.jpg"]]
    assert release(settling, 99.0) == []


def test_every_change_starts_the_wait_anew_and_an_equal_look_does_not() -> None:
    for changed in (seen(b"a.jpg", size=2), seen(b"a.jpg", ctime=1), seen(b"a.jpg", ino=2)):
        settling = tracker()
        settling.observe([seen(b"a.jpg")], 10.0)
        settling.observe([changed], 11.0)
        settling.observe([changed], 12.5)
        assert release(settling, 12.9) == []
        [settled] = release(settling, 13.0)
        assert settled.members == (changed,)


def test_rest_before_the_first_look_counts() -> None:
    settling = tracker()
    settling.observe([seen(b"old.jpg", rest=3600.0), seen(b"new.jpg", rest=0.5)], 10.0)
    [settled] = release(settling, 10.0)
    assert settled.members[0].path == b"old.jpg"
    assert settled.evidence == "unchanged for 60.0 min before it was first looked at"
    assert release(settling, 11.4) == []
    [settled] = release(settling, 11.5)
    assert settled.evidence == "unchanged for 2.0 s (settle 2.0 s)"


def test_a_set_settles_with_the_last_of_its_files() -> None:
    settling = tracker()
    settling.observe([seen(b"d/X.JPG"), seen(b"e/X.JPG", ino=2)], 10.0)
    settling.observe([seen(b"d/x.mov", ino=3)], 11.0)
    assert paths(release(settling, 12.9)) == [[b"e/X.JPG"]]
    assert counts(settling, 12.9)["inbox"] == Counts(settling=2, in_flight=1)
    assert counts(settling, 13.0)["inbox"] == Counts(waiting=2, in_flight=1)
    assert paths(release(settling, 13.0)) == [[b"d/X.JPG", b"d/x.mov"]]


def test_what_is_excluded_or_no_file_keeps_no_set_waiting() -> None:
    settling = tracker()
    settling.observe([seen(b"x.jpg", rest=9.0)], 10.0)
    settling.observe([seen(b"x.tmp", excluded="*.tmp"), seen(b"x.mov", type=FileType.FIFO)], 10.0)
    assert paths(release(settling, 10.0)) == [[b"x.jpg"]]
    assert paths(release(settling, 12.0)) == [[b"x.tmp"], [b"x.mov"]]


def test_the_oldest_are_released_first_and_no_more_than_asked_for_of_each_watch() -> None:
    settling = tracker()
    settling.observe([seen(b"young"), seen(b"old", rest=50.0), seen(b"older", rest=60.0)], 100.0)
    settling.observe([seen(b"card", watch="card", rest=60.0)], 100.0)
    assert paths(release(settling, 200.0, limit=2)) == [[b"older"], [b"old"], [b"card"]]
    assert paths(release(settling, 200.0, limit=2)) == [[b"young"]]


def test_each_watch_has_its_own_settle_time() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"a", watch="card")], 0.0)
    assert [settled.members[0].watch for settled in release(settling, 59.9)] == ["inbox"]
    assert [settled.members[0].watch for settled in release(settling, 60.0)] == ["card"]


def test_a_closed_watch_keeps_what_has_settled_until_it_opens() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", watch="card")], 0.0)
    assert paths(release(settling, 100.0, closed=("inbox",))) == [[b"b"]]
    assert settling.next_due({"inbox"}.__contains__) is None
    assert settling.waiting("inbox") == 1
    assert counts(settling, 100.0, closed=("inbox",))["inbox"] == Counts(held=1)
    assert counts(settling, 100.0)["inbox"] == Counts(waiting=1)
    assert paths(release(settling, 100.0)) == [[b"a"]]


def test_all_files_of_a_closed_watch_are_held_but_for_those_in_flight() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", watch="card")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"c", ino=2), seen(b"d", ino=3, rest=9.0)], 3.0)
    everything = counts(settling, 3.0, closed=("inbox",))
    assert everything == {"inbox": Counts(in_flight=1, held=2), "card": Counts(settling=1)}
    assert sum(everything.values(), Counts()) == Counts(settling=1, in_flight=1, held=2)
    assert counts(settling, 3.0)["inbox"] == Counts(settling=1, waiting=1, in_flight=1)


def test_files_are_counted_where_they_are() -> None:
    settling = tracker()
    first, second = seen(b"a.jpg"), seen(b"a.xmp", ino=2)
    settling.observe([first, second, seen(b"b", watch="card")], 0.0)
    assert (settling.settling, settling.flying) == (3, 0)
    release(settling, 2.0)
    assert (settling.settling, settling.flying, settling.waiting("inbox")) == (1, 2, 0)
    assert settling.busy() == {"inbox", "card"}
    assert settling.knows(first)
    settling.landed(first, 3.0, left=True)
    assert not settling.knows(first)
    assert settling.busy() == {"inbox", "card"}
    settling.landed(second, 3.0, left=True)
    assert (settling.settling, settling.flying) == (1, 0)
    assert settling.busy() == {"card"}


def test_a_file_in_flight_is_not_released_a_second_time() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a")], 3.0)
    settling.landed(seen(b"a"), 4.0, left=False)
    assert release(settling, 99.0) == []
    assert settling.settling == 0


def test_a_change_during_the_flight_settles_after_the_landing() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    newer = seen(b"a", size=2)
    settling.observe([newer], 3.0)
    assert release(settling, 50.0) == []
    settling.landed(seen(b"a"), 4.0, left=False)
    assert release(settling, 4.9) == []
    [settled] = release(settling, 6.0)
    assert settled.members == (newer,)


def test_our_own_move_is_no_change_but_another_file_in_its_place_is() -> None:
    for newer, comes_back in ((seen(b"a", ctime=9), False), (seen(b"a", ino=2), True)):
        settling = tracker()
        settling.observe([seen(b"a")], 0.0)
        release(settling, 2.0)
        settling.observe([newer], 3.0)
        settling.landed(seen(b"a"), 4.0, left=True)
        assert bool(release(settling, 99.0)) is comes_back


def test_a_file_that_stays_and_changed_in_name_only_is_looked_at_again() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a", ctime=9)], 3.0)
    settling.landed(seen(b"a"), 4.0, left=False)
    assert paths(release(settling, 99.0)) == [[b"a"]]


def test_a_companion_expects_what_it_belongs_to_while_that_settles_or_flies_on_its_own() -> None:
    settling = tracker()
    early = seen(b"a.xmp", ino=2)
    settling.observe([early], 0.0)
    release(settling, 2.0)
    assert not settling.expects(early)
    settling.observe([seen(b"a.aae"), seen(b"b.jpg")], 3.0)
    assert not settling.expects(early)  # other companions, and strangers
    settling.observe([seen(b"a.jpg")], 3.0)
    assert settling.expects(early)
    assert not settling.expects(seen(b"a.jpg"))
    release(settling, 5.0)
    assert settling.expects(early)
    settling.landed(seen(b"a.jpg"), 6.0, left=True, outcome=Result.FILED)
    assert not settling.expects(early)
    settling.observe([seen(b"c.jpg"), seen(b"c.txt")], 10.0)
    release(settling, 12.0)
    assert not settling.expects(seen(b"c.txt"))  # they were looked at together


def test_a_companion_that_was_ignored_settles_again_where_what_it_belongs_to_was_seen_meanwhile() -> None:
    settling = tracker()
    settling.observe([seen(b"a.xmp"), seen(b"b.xmp")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a.jpg")], 2.0)
    for name in (b"a.xmp", b"b.xmp"):
        settling.landed(seen(name), 3.0, left=False, outcome=Result.IGNORED)
    assert settling.told_before() == {"ignored": 1}
    assert paths(release(settling, 5.0)) == [[b"a.jpg", b"a.xmp"]]


def test_what_is_returned_waits_as_long_as_asked_and_says_why() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    settling.returned([seen(b"a", rest=3.0)], 3.0, 10.0, "it was open for writing")
    assert (settling.settling, settling.flying) == (1, 0)
    assert release(settling, 12.9) == []
    [settled] = release(settling, 13.0)
    assert settled.evidence.endswith("; it was open for writing")


def test_what_is_returned_has_to_be_quiet_again_however_short_its_wait() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a", size=3)], 4.0)
    settling.returned([seen(b"a", size=2)], 4.0, 0.5, "it changed")
    assert release(settling, 5.9) == []
    [settled] = release(settling, 6.0)
    assert settled.members == (seen(b"a", size=3),)


def test_a_short_wait_does_not_cut_a_longer_one_short() -> None:
    settling = tracker()
    settling.observe([seen(b"a.jpg")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a.xmp", ino=2)], 2.0)
    release(settling, 4.0)
    settling.returned([seen(b"a.jpg", rest=4.0)], 4.0, 60.0, "it was open for writing")
    settling.returned([seen(b"a.xmp", ino=2, rest=4.0)], 4.0, 0.0, "it changed")
    assert release(settling, 63.9) == []


def test_what_waits_for_a_library_is_held_until_it_is_seen_anew() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", ino=2)], 0.0)
    assert settling.may_land("inbox")
    release(settling, 2.0)
    assert not settling.may_land("inbox")
    settling.returned([seen(b"a", rest=2.0)], 2.0, 60.0, "photos is full", held=True)
    assert counts(settling, 2.0)["inbox"] == Counts(in_flight=1, held=1)
    assert not settling.may_land("inbox")
    settling.returned([seen(b"b", ino=2, rest=2.0)], 2.0, 60.0, "it was open for writing")
    assert counts(settling, 2.0)["inbox"] == Counts(settling=1, held=1)
    assert settling.may_land("inbox")
    settling.observe([seen(b"a", size=9)], 3.0)
    assert counts(settling, 3.0)["inbox"] == Counts(settling=2)


def test_what_is_held_is_released_when_its_wait_is_over() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    settling.returned([seen(b"a", rest=2.0)], 2.0, 60.0, "photos is full", held=True)
    assert counts(settling, 62.0)["inbox"] == Counts(held=1)
    assert release(settling, 61.9) == []
    assert paths(release(settling, 62.0)) == [[b"a"]]


def test_what_is_held_is_released_once_a_library_has_room_again() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", ino=2)], 0.0)
    release(settling, 2.0)
    settling.returned([seen(b"a", rest=2.0)], 2.0, 60.0, "photos is full", held=True)
    settling.returned([seen(b"b", ino=2, rest=2.0)], 2.0, 60.0, "it was open for writing")
    settling.hasten(10.0)
    assert counts(settling, 10.0)["inbox"] == Counts(settling=1, held=1)
    assert paths(release(settling, 10.0)) == [[b"a"]]


def test_all_that_has_no_outcome_is_listed_with_what_it_waits_for() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", ino=2)], 0.0)
    release(settling, 2.0)
    settling.returned([seen(b"b", ino=2, rest=2.0)], 2.0, 60.0, "photos is full", held=True)
    settling.observe([seen(b"c", ino=3)], 3.0)
    assert [sighting.path for sighting in settling.flights()] == [b"a"]
    assert list(settling.listing(4.0)) == [
        Waiting(seen(b"a")),
        Waiting(seen(b"b", ino=2, rest=2.0), 58.0, True, "photos is full"),
        Waiting(seen(b"c", ino=3), 1.0),
    ]
    assert [waiting.due for waiting in settling.listing(99.0)] == [None, 0.0, 0.0]


def test_what_lies_in_quarantine_is_a_file_of_its_own_and_of_its_own_set() -> None:
    settling = Tracker(companions.key, {**SETTLES, "quarantine:photos": 0.0}.__getitem__)
    first = seen(b"a.jpg", kept=Kept("photos", b"7-a.jpg", 7, 7))
    second = seen(b"a.xmp", kept=Kept("photos", b"8-a.xmp", 7, 8))
    other = seen(b"a.jpg", kept=Kept("photos", b"9-a.jpg", 9, 9))
    there = seen(b"a.jpg", ino=2)
    settling.observe([first, second, other, there], 0.0)
    assert settling.waiting("quarantine:photos") == 3
    assert settling.waiting("inbox") == 1
    released = release(settling, 0.0)
    assert [settled.members for settled in released] == [(first, second), (other,)]
    assert {settled.evidence for settled in released} == {"it lay in quarantine, where nobody writes"}
    assert [settled.members for settled in release(settling, 2.0)] == [(there,)]
    settling.landed(first, 3.0, left=True)
    assert settling.knows(there)
    assert not settling.knows(first)
    assert settling.busy() == {"quarantine:photos", "inbox"}


def test_who_is_to_be_taken_again_is_so_though_it_waits_already() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    again = replace(seen(b"a"), again=True, unparsed=True)
    settling.observe([again], 1.0)
    settling.observe([seen(b"a")], 1.5)
    assert settling.settling == 1
    [settled] = release(settling, 3.0)
    assert settled.members == (again,)


def test_a_file_that_a_link_replaces_while_it_settles_is_one_file() -> None:
    settling = tracker()
    settling.observe([seen(b"a.jpg")], 0.0)
    link = seen(b"a.jpg", ino=2, type=FileType.SYMLINK)
    settling.observe([link], 1.0)
    assert settling.settling == 1
    [settled] = release(settling, 99.0)
    assert settled.members == (link,)
    settling.landed(link, 100.0, left=False)
    assert settling.busy() == set()


def test_a_watch_that_is_gone_leaves_nothing_behind() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", watch="card")], 0.0)
    settling.forget("inbox")
    assert settling.settling == 1
    assert settling.busy() == {"card"}
    assert counts(settling, 99.0) == {"card": Counts(waiting=1)}
    assert paths(release(settling, 99.0)) == [[b"b"]]


def test_what_was_in_flight_when_its_watch_left_is_dropped_with_all_that_was_seen_of_it() -> None:
    settling = tracker()
    settling.observe([seen(b"a"), seen(b"b", ino=2)], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a", size=2)], 3.0)
    settling.forget("inbox")
    assert settling.flying == 2  # who has them still works on them
    settling.landed(seen(b"a"), 4.0, left=False)
    assert settling.settling == 0
    settling.dropped([seen(b"b", ino=2)])
    assert (settling.settling, settling.flying) == (0, 0)
    assert settling.busy() == set()
    assert release(settling, 99.0) == []


def test_what_changed_in_flight_is_dropped_with_the_flight() -> None:
    settling = tracker()
    settling.observe([seen(b"a")], 0.0)
    release(settling, 2.0)
    settling.observe([seen(b"a", size=2)], 3.0)
    settling.dropped([seen(b"a")])
    assert not settling.knows(seen(b"a"))
    assert (settling.settling, settling.flying) == (0, 0)
    settling.observe([seen(b"a")], 4.0)
    release(settling, 6.0)
    settling.landed(seen(b"a"), 7.0, left=True)
    assert settling.settling == 0


def test_another_settle_time_holds_for_what_is_settling() -> None:
    times = dict(SETTLES)
    settling = Tracker(companions.key, times.__getitem__)
    settling.observe([seen(b"a"), seen(b"b", watch="card")], 0.0)
    times["inbox"] = 5.0
    settling.rescheduled("inbox")
    assert settling.next_due(lambda _: False) == 5.0
    assert release(settling, 4.9) == []
    assert paths(release(settling, 5.0)) == [[b"a"]]
    times["card"] = 1.0
    settling.rescheduled("card")
    assert paths(release(settling, 5.0)) == [[b"b"]]


def test_progress_ends_with_the_flight() -> None:
    settling = tracker()
    names = [("inbox", b"a"), ("inbox", b"b"), ("inbox", b"c")]
    files = [seen(path, ino=number) for number, (_, path) in enumerate(names)]
    settling.observe(files, 0.0)
    release(settling, 2.0)
    settling.progress.update({name: Meter("hashing", 1) for name in names})
    settling.landed(files[0], 3.0, left=True)
    settling.returned([files[1]], 3.0, 1.0, "it was open for writing")
    assert list(settling.progress) == [("inbox", b"c")]
    settling.dropped([files[2]])
    assert settling.progress == {}
