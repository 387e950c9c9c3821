"""`Why`: the whole story of any path, and which paths have one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from mediad.errors import Ambiguous, NotKnown
from mediad.layout import key_of
from mediad.model import Stat, Taken
from mediad.steering import looking
from mediad.steering.evidence import Evidence
from mediad.steering.why import why
from mediad.store import journal, places, verifying, whereabouts
from tests.cataloguing import TAKEN, Past, a_stat, doubtful

CANDIDATES = [
    {
        "source": "exif",
        "tag": "CreateDate",
        "raw": "2021",
        "moment": None,
        "offset": None,
        "doubt": "no date",
    },
    {
        "source": "exif",
        "tag": "DateTimeOriginal",
        "raw": "2021:07:10 20:39:25",
        "moment": "2021-07-10T20:39:25.770000",
        "offset": 120,
        "doubt": "",
    },
]
EVIDENCE = {
    "format": "jpeg",
    "candidates": CANDIDATES,
    "tag": "DateTimeOriginal",
    "doubts": ["its end is missing"],
    "origin": "camera",
    "make": "Canon",
    "model": "Canon EOS 7D",
    "settled": "unchanged for 2 s",
    "why": "library photos: {name}",
}


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    yield past
    past.close()


@pytest.fixture(params=[20_000, 1])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What is found must not depend on how much one unit of work looks at."""
    monkeypatch.setattr(whereabouts, "WINDOW", request.param)
    return int(request.param)


def nowhere(_path: bytes) -> os.stat_result:
    raise FileNotFoundError


def ask(past: Past, path: bytes, **more: Any) -> dict[str, Any]:
    more.setdefault("look", nowhere)
    return past.ask("Why", lambda reader: why(reader, path, **more))


def stories(past: Past, path: bytes, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(past, path, **more)["stories"]
    return found


def told(past: Past, path: bytes, **more: Any) -> dict[str, Any]:
    (story,) = stories(past, path, **more)
    return story


def steps(past: Past, path: bytes) -> list[int]:
    """The newest step of every story."""
    return [story["steps"][-1]["id"] for story in stories(past, path)]


# --- The story ---------------------------------------------------------------------------------------


def test_the_whole_story(past: Past) -> None:
    batch = past.batch(label="holiday")
    witness = past.found(b"old.jpg")
    step = past.filed(b"\xff.jpg", b"2021/\xff.jpg", evidence=EVIDENCE, batch=batch, witness=witness)
    answer = ask(past, b"/w/\xff.jpg")
    assert (answer["path"], answer["path_b64"], answer["waits"]) == ("/w/\ufffd.jpg", "L3cv/y5qcGc=", None)
    assert answer["stories"] == [
        {
            "source": "/w/\ufffd.jpg",
            "source_b64": "L3cv/y5qcGc=",
            "origin": "inbox",
            "label": "holiday",
            "seen": "1970-01-01T00:00:02Z",
            "size": 1001,
            "digest": "01" * 32,
            "outcome": "filed",
            "code": "",
            "reason": "",
            "settled": "unchanged for 2 s",
            "kind": "photo",
            "format": "jpeg",
            "media_origin": "camera",
            "camera": "Canon EOS 7D",
            "taken": None,  # it went beside what was found, as if it were its companion
            "offset": None,
            "taken_source": None,
            "taken_tag": "",
            "confidence": None,
            "date_note": None,
            "candidates": [],
            "doubts": ["its end is missing"],
            "rule": "library photos: {name}",
            "steps": [
                {
                    "id": step,
                    "item": step,
                    "batch": batch,
                    "time": "1970-01-01T00:00:03Z",
                    "action": "move",
                    "state": "done",
                    "destination": "/l/2021/\ufffd.jpg",
                    "destination_b64": "L2wvMjAyMS//LmpwZw==",
                    "note": "",
                    "witness": "/l/old.jpg",
                    "witness_b64": None,
                }
            ],
            "place": "/l/2021/\ufffd.jpg",
            "place_b64": "L2wvMjAyMS//LmpwZw==",
            "place_state": "missing",
            "finding": None,
            "finding_time": None,
            "not_compared": None,
            "motion": None,
            "companions": [],
        }
    ]


def test_the_date_and_what_it_was_chosen_from(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", evidence=EVIDENCE)
    story = told(past, b"/w/a.jpg")
    assert [story[key] for key in ("taken", "offset", "taken_source", "taken_tag", "confidence")] == [
        *("2021-07-10T20:39:25.77", "+02:00", "exif"),
        *("DateTimeOriginal", "high"),
    ]
    first, second = story["candidates"]
    assert (first["won"], first["doubt"], first["moment"]) == (False, "no date", None)
    assert second == {
        "source": "exif",
        "tag": "DateTimeOriginal",
        "raw": "2021:07:10 20:39:25",
        "moment": "2021-07-10T20:39:25.77",
        "offset": "+02:00",
        "doubt": "",
        "sidecar": None,
        "won": True,
        "command": None,
    }


def test_without_a_date_no_candidate_won(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", evidence=EVIDENCE, taken=None)
    story = told(past, b"/w/a.jpg")
    assert story["taken_tag"] == ""
    assert [candidate["won"] for candidate in story["candidates"]] == [False, False]


def test_a_companion_tells_its_principals_date_and_both_tell_of_each_other(past: Past) -> None:
    principal = past.filed(b"a.jpg", b"a.jpg", evidence=EVIDENCE)
    film = past.begin(b"a.mov", b"a.mov", item=principal, taken=doubtful(), evidence={"format": "mov"})
    past.finish(film, role="companion")
    late = past.begin(b"a.xmp", b"a.xmp", witness=past.file(b"a.jpg"), taken=None, kind="sidecar")
    past.finish(late, item=principal, role="companion")
    for path, others in (
        (b"/w/a.jpg", ["/l/a.mov", "/l/a.xmp"]),
        (b"/w/a.mov", ["/l/a.jpg", "/l/a.xmp"]),
        (b"/w/a.xmp", ["/l/a.jpg", "/l/a.mov"]),
    ):
        story = told(past, path)
        assert story["companions"] == others
        assert (story["taken"], story["confidence"]) == ("2021-07-10T20:39:25.77", "high")
        of_which = None if path == b"/w/a.jpg" else "a.jpg"
        assert [one["sidecar"] for one in story["candidates"]] == [of_which, of_which]
        assert story["candidates"][1]["won"]
        expected = "its set is, by a.jpg" if path == b"/w/a.mov" else None
        assert story["not_compared"] == expected
    assert told(past, b"/w/a.mov")["format"] == "mov"


def test_what_a_late_sidecar_tells_is_told_with_the_command_that_takes_it(past: Past) -> None:
    name = b"a{}.jpg"
    principal = past.filed(name, name, evidence=EVIDENCE, taken=None)
    moment = "2021-07-10T20:39:25.770000"
    takeout = {"source": "takeout", "tag": "photoTakenTime", "raw": "1625949565", "moment": moment}
    late = past.begin(
        *(b"a{}.json", b"a{}.json"),
        witness=past.file(name),
        kind="sidecar",
        evidence={"format": "takeout", "candidates": [takeout]},
    )
    past.finish(late, item=principal, role="companion")
    for path in (b"/w/a{}.jpg", b"/w/a{}.json"):
        story = told(past, path)
        assert story["taken"] is None
        last = story["candidates"][-1]
        assert (last["source"], last["moment"], last["sidecar"], last["won"]) == (
            *("takeout", "2021-07-10T20:39:25.77", "a{}.json", False),
        )
        assert last["command"] == f"mediactl date '/l{os.fsdecode(path)[2:]}' --use takeout"


def test_what_the_library_had_already_has_its_own_date(past: Past) -> None:
    mine = Taken(datetime.fromisoformat("2006-01-01"), None, "user", "", "high")
    principal = past.filed(b"a.jpg", b"a.jpg", taken=mine, evidence="{}")
    step = past.begin(b"a.cr2", b".mediad/trash/a-1.cr2", action="trash", item=principal, evidence=EVIDENCE)
    past.finish(step, "duplicate", role="companion")
    assert told(past, b"/w/a.jpg")["taken_source"] == "user"
    story = told(past, b"/w/a.cr2")
    assert (story["taken"], story["taken_source"]) == ("2021-07-10T20:39:25.77", "exif")


def test_an_embedded_film_is_told(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", evidence={**EVIDENCE, "motion": "xmp"})
    assert told(past, b"/w/a.jpg")["motion"] == "xmp"


def test_the_companions_of_what_was_not_filed(past: Past) -> None:
    first = past.begin(b"a.jpg", b".mediad/quarantine/a-1.jpg", action="quarantine")
    past.finish(first, "quarantined")
    past.finish(past.begin(b"a.mov", b"a.mov", item=first), "failed", stays=True)
    assert told(past, b"/w/a.jpg")["companions"] == ["/w/a.mov"]
    assert told(past, b"/w/a.mov")["companions"] == ["/l/.mediad/quarantine/a-1.jpg"]


def test_what_was_tried_in_vain_is_told_too(past: Past) -> None:
    first = past.begin(b"a.jpg", b"a.jpg")
    journal.revert(past.connection, [first], "the disk was full", past.now)
    second = past.filed(b"a.jpg", b"a.jpg")
    story = told(past, b"/w/a.jpg")
    assert [(step["id"], step["state"], step["note"]) for step in story["steps"]] == [
        (first, "reverted", "the disk was full"),
        (second, "done", ""),
    ]


def test_what_is_under_way_has_no_outcome(past: Past) -> None:
    past.begin(b"a.jpg", b"a.jpg")
    story = told(past, b"/w/a.jpg")
    assert (story["outcome"], story["place"], story["steps"][0]["state"]) == (None, "/w/a.jpg", "intent")


def test_what_was_never_planned(past: Past) -> None:
    past.unplanned(b"a.txt", "ignored", "not-media", "is not media")
    story = told(past, b"/w/a.txt")
    assert [story[key] for key in ("outcome", "code", "reason", "settled", "steps", "digest")] == [
        *("ignored", "not-media", "is not media", "quiet", [], None)
    ]


def test_what_was_only_found_in_the_library(past: Past) -> None:
    past.found(b"old/a.jpg", digest=b"\x05" * 32)
    story = told(past, b"/l/old/a.jpg")
    assert [story[key] for key in ("source", "origin", "seen", "outcome", "code", "size", "digest")] == [
        *(None, "", None, None, "found", 1009, "05" * 32)
    ]
    assert story["reason"] == "found in the library when it was looked at"
    assert story["place"] == "/l/old/a.jpg"


def test_where_it_came_from(past: Past) -> None:
    key = places.import_place(past.connection, b"/media/card")
    past.filed(b"DCIM/a.jpg", b"a.jpg", watch=key, batch=past.batch(key, b"/media/card"))
    past.filed(b"b.jpg", b"b.jpg")
    past.watch("inbox", b"/w2")  # the name stands for another folder now
    assert told(past, b"/media/card/DCIM/a.jpg")["origin"] == "/media/card"
    story = told(past, b"/w/b.jpg")
    assert (story["origin"], story["source"]) == ("inbox", "/w/b.jpg")


def test_without_a_place_the_batch_knows_the_root(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg", watch="gone", batch=past.batch("gone", b"/gone"))
    assert told(past, b"/l/a.jpg")["source"] == "/gone/a.jpg"
    past.connection.execute("UPDATE arrival SET watch = 'away'")
    past.connection.execute("DELETE FROM step")
    past.connection.execute("INSERT INTO place (key, kind, root) VALUES ('away', 'watch', x'2f61')")
    assert told(past, b"/a/a.jpg")["source"] == "/a/a.jpg"


# --- Where it is -------------------------------------------------------------------------------------


def looks(size: int, mtime_ns: int) -> os.stat_result:
    return os.stat_result([0] * 6 + [size, 0, 0, 0], {"st_mtime_ns": mtime_ns})


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ((0, 0), "there"),
        ((0, 2_000_000_000), "there"),  # FAT
        ((0, 2_000_000_001), "changed"),
        ((1, 0), "changed"),
    ],
)
def test_whether_it_is_as_recorded(past: Past, change: tuple[int, int], state: str) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    stat = a_stat(1)
    found = looks(stat.size + change[0], stat.mtime_ns + change[1])
    assert told(past, b"/w/a.jpg", look=lambda _: found)["place_state"] == state


@pytest.mark.parametrize(
    ("error", "state"),
    [(FileNotFoundError(), "missing"), (NotADirectoryError(), "missing"), (PermissionError(), "unknown")],
)
def test_whether_it_is_there(past: Past, error: OSError, state: str) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    asked: list[bytes] = []

    def look(path: bytes) -> os.stat_result:
        asked.append(path)
        raise error

    assert told(past, b"/w/a.jpg", look=look)["place_state"] == state
    assert asked == [b"/l/a.jpg"]


def test_a_library_file_that_was_edited_since_is_compared_with_what_is_known_now(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    past.connection.execute("UPDATE file SET size = 5, mtime_ns = 6")
    assert told(past, b"/w/a.jpg", look=lambda _: looks(5, 6))["place_state"] == "there"


def test_what_somebody_accepted_is_what_should_be_there(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    file = past.file(b"a.jpg")
    known = verifying.at(past.connection, file, 1)
    assert known is not None
    verifying.accept_moved(past.connection, 1, known, b"b.jpg", bytes(32), Stat(1, 1, 5, 6, 7))
    story = told(past, b"/w/a.jpg", look=lambda _: looks(5, 6))
    assert (story["size"], story["digest"], story["place"]) == (5, "00" * 32, "/l/b.jpg")
    assert (story["place_state"], story["companions"]) == ("there", [])


def test_what_a_look_found_changed_is_not_as_it_was_recorded(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    past.connection.execute("UPDATE file SET size = 5, mtime_ns = 6, digest = NULL")
    story = told(past, b"/w/a.jpg", look=lambda _: looks(5, 6))
    assert (story["place_state"], story["digest"]) == ("changed", "01" * 32)


def test_what_verify_found_is_told(past: Past) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    assert told(past, b"/w/a.jpg")["finding"] is None
    past.connection.execute(
        "INSERT INTO finding (file, state, found) SELECT id, 'changed', 7000000 FROM file"
    )
    story = told(past, b"/w/a.jpg")
    assert (story["finding"], story["finding_time"]) == ("changed", "1970-01-01T00:00:07Z")


def test_a_hung_filesystem_is_left_behind(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not use up the threads: when too many hang, nobody asks any more."""
    monkeypatch.setattr(looking, "_LIMIT", 0.01)
    monkeypatch.setattr(looking, "_HUNG", threading.BoundedSemaphore(1))
    past.filed(b"a.jpg", b"a.jpg")
    answers = threading.Event()
    asked: list[bytes] = []

    def look(path: bytes) -> os.stat_result:
        asked.append(path)
        answers.wait()
        raise FileNotFoundError

    try:
        assert told(past, b"/w/a.jpg", look=look)["place_state"] == "unknown"
        assert told(past, b"/w/a.jpg", look=look)["place_state"] == "unknown"
    finally:
        answers.set()
    assert asked == [b"/l/a.jpg"]


def test_in_time_a_look_has_its_answer() -> None:
    async def look() -> int:
        return await looking.within_limit(lambda: 1, 2)

    assert anyio.run(look) == 1


@pytest.mark.parametrize(
    ("action", "destination", "outcome", "place"),
    [
        ("move", b"a.jpg", "filed", "/l/a.jpg"),
        ("copy", b"a.jpg", "filed", "/l/a.jpg"),
        ("trash", b".mediad/trash/a-1.jpg", "duplicate", "/l/.mediad/trash/a-1.jpg"),
        ("quarantine", b".mediad/quarantine/a-1.jpg", "quarantined", "/l/.mediad/quarantine/a-1.jpg"),
        ("leave", None, "quarantined", "/w/a.jpg"),
        ("move", b"a.jpg", "failed", "/w/a.jpg"),  # it was taken back
    ],
)
def test_where_it_is(past: Past, action: str, destination: bytes | None, outcome: str, place: str) -> None:
    past.finish(past.begin(b"a.jpg", destination, action=action), outcome)
    assert told(past, b"/w/a.jpg")["place"] == place


def test_where_it_is_when_it_was_tried_again(past: Past) -> None:
    kept = b".mediad/quarantine/a-1.jpg"
    first = past.finish(past.begin(b"a.jpg", kept, action="quarantine"), "quarantined")
    from_there: dict[str, Any] = {"source": kept, "batch": past.batch(root=b"/l")}
    second = past.begin(b"a.jpg", b"a.jpg", **from_there)
    journal.revert(past.connection, [second], "no", past.now)
    assert told(past, b"/w/a.jpg")["place"] == "/l/" + kept.decode()
    third = past.filed(b"a.jpg", b"a.jpg", **from_there)
    story = told(past, b"/w/a.jpg")
    assert story["place"] == "/l/a.jpg"
    assert [step["id"] for step in story["steps"]] == [first, second, third]


# --- Finding it by path ------------------------------------------------------------------------------


def test_every_path_of_a_file_leads_to_its_story(past: Past) -> None:
    filed = past.filed(b"in/a.jpg", b"2021/a-1.jpg")
    trashed = past.begin(b"b-x.jpg", b".mediad/trash/b-x-2.jpg", action="trash")
    past.finish(trashed, "duplicate")
    kept = past.begin(b"c", b".mediad/quarantine/c-3", action="quarantine")
    past.finish(kept, "quarantined")
    for path, step in (
        (b"/w/in/a.jpg", filed),
        (b"/l/2021/a-1.jpg", filed),
        (b"/w/b-x.jpg", trashed),
        (b"/l/.mediad/trash/b-x-2.jpg", trashed),
        (b"/w/c", kept),
        (b"/l/.mediad/quarantine/c-3", kept),
        (b"//l/./2021//x/../a-1.jpg", filed),
        (b"/w/in/a.jpg/", filed),
    ):
        assert steps(past, path) == [step], path


@pytest.mark.parametrize(
    "path",
    [
        *(b"/w/b.jpg", b"/w", b"/", b"w/a.jpg", b"/l/A.jpg", b"/x/l/a.jpg", b"a.jpe", b".jpg"),
        *(b"/l/.mediad/trash/a-1.jpg", b"/l/.mediad/quarantine/b-2.jpg", b"/l/.mediad/trash/c-2.jpg"),
        *(b"/l/.mediad/trash/a-9.jpg", b"/l/.mediad/trash/a.jpg", b"/l/.mediad/trash/x/b-2.jpg"),
        *(
            b"/l/.mediad/trash/b-%d.jpg" % 10**30,
            "/l/.mediad/trash/b-\u0662.jpg".encode(),
            b"/l/.mediad/tmp/x",
        ),
    ],
)
def test_of_other_paths_nothing_is_known(past: Past, path: bytes) -> None:
    past.filed(b"a.jpg", b"a.jpg")
    past.finish(past.begin(b"bb.jpg", b".mediad/trash/b-2.jpg", action="trash"), "duplicate")
    with pytest.raises(NotKnown) as caught:
        ask(past, path)
    assert caught.value.path == path


def test_what_only_waits_is_told(past: Past) -> None:
    answer = ask(past, b"/w/new.jpg", waits="it settles")
    assert (answer["stories"], answer["waits"]) == ([], "it settles")


def test_all_stories_of_one_path_the_newest_first(past: Past) -> None:
    first = past.filed(b"a.jpg", b"a.jpg")
    second = past.filed(b"a.jpg", b"a-1.jpg")
    past.unplanned(b"a.jpg", "gone")
    assert [story["outcome"] for story in stories(past, b"/w/a.jpg")] == ["gone", "filed", "filed"]
    assert steps(past, b"/l/a.jpg") == [first]
    assert steps(past, b"/l/a-1.jpg") == [second]


def test_one_library_path_may_have_had_several_files(past: Past) -> None:
    first = past.filed(b"a.jpg", b"x.jpg")
    past.connection.execute("UPDATE file SET missing = 1")
    second = past.filed(b"b.jpg", b"x.jpg")
    assert steps(past, b"/l/x.jpg") == [second, first]


def test_an_older_catalogue_does_not_tell_which_step_brought_a_file(past: Past) -> None:
    step = past.filed(b"a.jpg", b"x.jpg")
    past.connection.execute("UPDATE file SET step = NULL")
    assert steps(past, b"/l/x.jpg") == [step]


def test_folders_may_lie_in_each_other_by_name(past: Past) -> None:
    past.watch("upper", b"/w/sub/deeper")
    first = past.filed(b"sub/deeper/a.jpg", b"a.jpg")
    second = past.filed(b"a.jpg", b"b.jpg", watch="upper")
    assert steps(past, b"/w/sub/deeper/a.jpg") == [first, second]


def test_a_watch_may_be_the_root_of_all(past: Past) -> None:
    past.watch("all", b"/")
    step = past.filed(b"tmp/a.jpg", b"a.jpg", watch="all")
    assert steps(past, b"/tmp/a.jpg") == [step]


def test_links_and_linked_roots_are_seen_through(tmp_path: Path) -> None:
    for name in ("real", "library", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "real/sub").mkdir()
    (tmp_path / "watch").symlink_to(tmp_path / "real")
    (tmp_path / "shortcut").symlink_to(tmp_path / "real/sub")
    past = Past(tmp_path / "state", os.fsencode(tmp_path / "library"), os.fsencode(tmp_path / "watch"))
    step = past.filed(b"sub/a.jpg", b"a.jpg")
    for path in ("watch/sub/a.jpg", "real/sub/a.jpg", "shortcut/a.jpg", "watch/sub/../sub/a.jpg"):
        assert steps(past, os.fsencode(tmp_path / path)) == [step]
    with pytest.raises(NotKnown):
        ask(past, os.fsencode(tmp_path / "real/a.jpg"))
    past.close()


# --- Finding it by name ------------------------------------------------------------------------------


@pytest.mark.usefixtures("window")
def test_a_name_that_is_unique_is_enough(past: Past) -> None:
    for n in range(3):
        past.filed(b"DCIM/%d.jpg" % n, b"2021/%d-1.jpg" % n)
        past.found(b"old/%d.png" % n)
    trashed = past.finish(past.begin(b"x.jpg", b".mediad/trash/y-4.jpg", action="trash"), "duplicate")
    top = past.filed(b"top.jpg", b"top-1.jpg")
    assert steps(past, b"1.jpg") == [2]
    assert steps(past, b"1-1.jpg") == [2]
    assert steps(past, b"y-4.jpg") == [trashed]
    assert steps(past, b"top.jpg") == steps(past, b"top-1.jpg") == [top]
    assert told(past, b"1.png")["place"] == "/l/old/1.png"


@pytest.mark.usefixtures("window")
def test_a_file_that_kept_its_name_is_one_file(past: Past) -> None:
    first = past.filed(b"DCIM/a.jpg", b"2021/a.jpg")
    second = past.filed(b"DCIM/a.jpg", b"2022/a.jpg")
    assert steps(past, b"a.jpg") == [second, first]


@pytest.mark.usefixtures("window")
def test_a_name_of_several_files_is_ambiguous(past: Past) -> None:
    past.filed(b"one/a.jpg", b"1.jpg")
    past.filed(b"two/a.jpg", b"2.jpg")
    past.found(b"old/a.jpg")
    with pytest.raises(Ambiguous) as caught:
        ask(past, b"a.jpg")
    assert caught.value.paths == [b"/w/one/a.jpg", b"/w/two/a.jpg", b"/l/old/a.jpg"]


@pytest.mark.usefixtures("window")
def test_no_more_names_are_listed_than_can_be_read(past: Past) -> None:
    for n in range(30):
        past.filed(b"%d/a.jpg" % n, b"%d.jpg" % n)
    with pytest.raises(Ambiguous) as caught:
        ask(past, b"a.jpg")
    assert len(caught.value.paths) == 20


def test_names_that_only_compare_equal_are_others(past: Past) -> None:
    past.found(b"old/IMG.jpg")
    past.found(b"new/img.JPG")
    past.found("old/gr\u00fc\u00df.jpg".encode())
    assert told(past, b"img.JPG")["place"] == "/l/new/img.JPG"
    assert told(past, "gr\u00fc\u00df.jpg".encode())["place"] == "/l/old/gr\u00fc\u00df.jpg"
    with pytest.raises(NotKnown):
        ask(past, b"Img.jpg")


def test_what_is_missing_from_the_library_stands_in_nobodys_way(past: Past) -> None:
    past.found(b"old/a.jpg")
    past.connection.execute("UPDATE file SET missing = 1")
    past.found(b"new/a.jpg")
    assert told(past, b"a.jpg")["place"] == "/l/new/a.jpg"


def test_the_key_of_a_name_ends_the_key_of_its_path() -> None:
    """What finds library files by their name keys rests on this."""
    for name in (b"a.JPG", "e\u0301.jpg".encode(), "\u0301.jpg".encode(), b"\xff\xfe", "\u1e9e".encode()):
        assert key_of(b"Sub/" + name) == b"sub/" + key_of(name)


# --- Evidence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [None, "", "null", "[]", "{", "[" * 100_000, '{"a": ' * 100_000, "1" * 5000, '"\\ud800"', "NaN"],
)
def test_evidence_that_is_none_is_empty(text: str | None) -> None:
    evidence = Evidence.read(text)
    assert (evidence.text("format"), evidence.texts("doubts"), evidence.candidates("exif")) == ("", [], [])


def candidate(**fields: object) -> dict[str, object]:
    (told,) = Evidence({"candidates": [fields]}).candidates(None)
    return told


EMPTY = candidate()


def test_what_has_another_type_than_it_should_is_dropped() -> None:
    evidence = Evidence({"format": 1, "why": ["x"], "doubts": [1, "real", None], "candidates": {"a": 1}})
    assert [evidence.text("format"), evidence.text("why"), evidence.text("none")] == ["", "", ""]
    assert evidence.texts("doubts") == ["real"]
    assert evidence.candidates("exif") == []
    assert Evidence({"candidates": [1, None, "x", []]}).candidates("exif") == []
    odd: Sequence[object] = (1, True, None, [], {}, 1.5)
    for field in ("source", "tag", "raw", "moment", "doubt"):
        assert [candidate(**{field: value}) for value in odd] == [EMPTY] * len(odd)
    for offset in (True, "60", 1.5, 1441, -1441, 10**400, None):
        assert candidate(offset=offset) == EMPTY
    assert candidate(moment="yesterday") == candidate(moment="\x00") == EMPTY
    assert candidate(offset=-90)["offset"] == "-01:30"


def test_halves_of_characters_can_be_sent() -> None:
    assert Evidence.read('{"format": "a\\ud800b", "doubts": ["\\udfff"]}').text("format") == "a\ufffdb"
    assert candidate(raw="\ud83d")["raw"] == "\ufffd"
    assert candidate(raw="\U0001f600")["raw"] == "\U0001f600"


def test_of_candidates_alike_the_first_with_a_date_won() -> None:
    same = {"source": "filename", "tag": "filename"}
    day = {**same, "moment": "2021-07-10T00:00:00"}
    evidence = Evidence({"tag": "filename", "candidates": [same, day, day, {**day, "source": "exif"}]})
    assert [one["won"] for one in evidence.candidates("filename")] == [False, True, False, False]


def test_a_hostile_story_is_told_all_the_same(past: Past) -> None:
    taken = Taken(TAKEN.local, -90, "mtime", "mtime", "low")
    past.filed(b"a.jpg", b"a.jpg", evidence='{"make": 5, "model": "\\ud800", "doubts": 7', taken=taken)
    story = told(past, b"/w/a.jpg")
    assert (story["camera"], story["doubts"], story["offset"]) == ("", [], "-01:30")
