"""`mediactl why`: stories in plain words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediad.cli.ctl import main
from mediad.cli.table import Screen, width
from mediad.cli.why import told
from tests.answering import DEFINITION, CannedDaemon, always

DIGEST = "3f" * 32
CAMERA = {
    "source": "exif",
    "tag": "DateTimeOriginal",
    "raw": "2021:07:10 20:39:25",
    "moment": "2021-07-10T20:39:25.77",
    "offset": "+01:00",
    "doubt": "",
    "won": True,
}
NAME = {
    **CAMERA,
    "source": "filename",
    "tag": "filename",
    "raw": "IMG_20210710",
    "won": False,
    "offset": None,
}
FILE = {**NAME, "source": "mtime", "tag": "mtime", "doubt": "the file is not on a camera's card"}
ZERO = {**NAME, "source": "quicktime", "tag": "movie header", "raw": "0000-00-00", "moment": None}
LATE = {
    **NAME,
    "source": "takeout",
    "tag": "photoTakenTime",
    "sidecar": "a.json",
    "command": "mediactl date /a --use takeout",
}
STEP = {
    "id": 12,
    "item": 12,
    "batch": 4,
    "time": "2026-01-01T10:00:07Z",
    "action": "move",
    "state": "done",
    "destination": "/lib/2021/IMG_1.jpg",
    "note": "",
}
STORY = {
    "source": "/in/IMG_1.jpg",
    "origin": "inbox",
    "seen": "2026-01-01T10:00:05Z",
    "size": 3_200_000,
    "digest": DIGEST,
    "outcome": "filed",
    "code": "",
    "reason": "",
    "settled": "unchanged for 2.0 s (settle 2.0 s); nobody has it open for writing",
    "kind": "photo",
    "format": "jpeg",
    "media_origin": "camera",
    "camera": "Canon EOS 80D",
    "taken": "2021-07-10T20:39:25.77",
    "offset": "+01:00",
    "taken_source": "exif",
    "taken_tag": "DateTimeOriginal",
    "confidence": "high",
    "candidates": [CAMERA, NAME, FILE, ZERO],
    "doubts": [],
    "rule": "library photos: {taken:%Y}/{name}",
    "steps": [STEP],
    "place": "/lib/2021/IMG_1.jpg",
    "place_state": "there",
    "companions": ["/lib/2021/IMG_1.xmp"],
}


PIPE = Screen()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def tell(*stories: dict[str, Any], on: Screen = PIPE, **others: object) -> str:
    reply = DEFINITION.check_reply("Why", {"path": "/in/IMG_1.jpg", "stories": list(stories), **others})
    return "\n".join(told(reply, on))


@pytest.mark.usefixtures("berlin")
def test_the_story_of_a_photo() -> None:
    assert tell(STORY) == (
        "/in/IMG_1.jpg\n"
        "\n"
        "This is a photo (jpeg) of 3.2 MB from a Canon EOS 80D. It came from the watch inbox, where it was "
        "/in/IMG_1.jpg. It was first seen on 2026-01-01 at 11:00:05. What showed that it was complete: "
        "unchanged for 2.0 s (settle 2.0 s); nobody has it open for writing.\n"
        "\n"
        "It was filed.\n"
        "\n"
        "It was taken on 2021-07-10 at 20:39:25.77, +01:00 from UTC. So says what the camera wrote into the "
        "file (DateTimeOriginal). That is a date to rely on.\n"
        "  * what the camera wrote into the file (DateTimeOriginal): 2021-07-10 at 20:39:25.77 +01:00. "
        "Believed.\n"
        "  - the file's name: 2021-07-10 at 20:39:25.77. Not needed: there was a better one.\n"
        "  - the time of the file itself: 2021-07-10 at 20:39:25.77. Not believed: the file is not on a "
        "camera's card.\n"
        '  - what the camera wrote into the film (movie header): "0000-00-00". Not believed: it is no '
        "possible date.\n"
        "\n"
        "What decided on its place: the library photos, with the layout {taken:%Y}/{name}\n"
        "\n"
        "What was done:\n"
        "  2026-01-01 11:00:07  moved to /lib/2021/IMG_1.jpg [step 12, batch 4]\n"
        "\n"
        "Its place now is /lib/2021/IMG_1.jpg. It is there, just as it was recorded. It belongs together "
        f"with /lib/2021/IMG_1.xmp. Its content has the SHA-256 {DIGEST}."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"outcome": "duplicate", "steps": [{**STEP, "action": "trash", "witness": "/lib/a.jpg"}]},
            [
                "It is a duplicate. The library has the same content as /lib/a.jpg.",
                "moved to the trash, as /lib",
            ],
        ),
        (
            {"outcome": "quarantined", "reason": "is cut off"},
            ["It claims to be media and cannot be read: is cut off."],
        ),
        ({"outcome": "failed", "reason": "EIO"}, ["could not be taken: EIO. It will be tried again."]),
        ({"outcome": "ignored", "reason": "is empty", "steps": []}, ["It was left alone: is empty."]),
        (
            {"outcome": "ignored", "code": "orphan", "reason": "a companion without its principal"},
            ["It tells of another file, and that has not come yet"],
        ),
        (
            {"outcome": "ignored", "code": "not-media", "format": "takeout", "reason": "is not media"},
            ["It tells of another file, and that has not come yet"],
        ),
        (
            {"outcome": "ignored", "code": "not-media", "format": "txt", "reason": "is not media"},
            ["It was left alone: is not media."],
        ),
        (
            {"outcome": "ignored", "code": "not-media", "format": "", "kind": "sidecar", "camera": ""},
            ["This is a file of 3.2 MB."],
        ),
        ({"outcome": "gone"}, ["It left again before it was taken."]),
        ({"outcome": None}, ["Nothing has been decided about it yet."]),
        (
            {"taken": None, "candidates": [{**NAME, "won": False}]},
            ["When it was taken is not known", "Not believed: it is out of bounds"],
        ),
        ({"confidence": "low", "offset": None}, ["20:39:25.77, local time", "That is a guess"]),
        (
            {"candidates": [{**NAME, "won": False}, {**CAMERA, "sidecar": "IMG_1.xmp"}]},
            ["So says what the camera wrote into the file (DateTimeOriginal), in IMG_1.xmp."],
        ),
        (
            {"candidates": [{**NAME, "sidecar": "IMG_1.heic"}, {**FILE, "sidecar": "IMG_1.heic"}]},
            ["  - the name of IMG_1.heic: 2021", "  - the time of IMG_1.heic: 2021"],
        ),
        (
            {"candidates": [{**CAMERA, "tag": "png:tIME"}], "taken_tag": "png:tIME"},
            ["So says the time of the last change that is noted in it (png:tIME)."],
        ),
        (
            {"taken": None, "candidates": [LATE]},
            [
                "When it was taken is not known: what tells it came later.",
                "(photoTakenTime), in a.json: 2021-07-10 at 20:39:25.77. Not asked yet, since it came later: "
                "`mediactl date /a --use takeout` takes it.",
            ],
        ),
        ({"candidates": [CAMERA, LATE]}, ["in a.json: 2021-07-10 at 20:39:25.77. Not needed: there was a"]),
        (
            {"candidates": [CAMERA, LATE], "confidence": "low"},
            ["Not needed; `mediactl date /a --use takeout` takes it."],
        ),
        (
            {"confidence": "low", "doubts": ["the end is missing"]},
            ["That is a guess, for the file is damaged"],
        ),
        ({"motion": "xmp"}, ["from a Canon EOS 80D. A film is embedded in it (xmp)."]),
        (
            {"date_note": "its distance from UTC follows from the GPS time"},
            ["To be exact: its distance from UTC follows from the GPS time."],
        ),
        (
            {"candidates": [{**CAMERA, "doubt": "only the day is known"}]},
            ["Believed, with a doubt: only the day is known."],
        ),
        ({"doubts": ["the end is missing"]}, ["Beware: the end is missing."]),
        ({"rule": "rule 2: Screens/{name}"}, ["rule 2 of the configuration, with the layout Screens/{name}"]),
        ({"rule": "beside its principal"}, ["What decided on its place: beside its principal."]),
        ({"place_state": "missing"}, ["It is no longer there."]),
        ({"place_state": "changed"}, ["it was changed since"]),
        ({"place_state": "unknown"}, ["cannot be seen at this moment"]),
        ({"label": "Norway"}, ['the watch inbox labelled "Norway", where']),
        ({"source": None, "seen": None}, ["It was found in the library."]),
        ({"source": None}, ["It was found in the library; it was first seen on 2026"]),
        ({"kind": None, "format": "", "camera": ""}, ["This is a file of 3.2 MB."]),
        ({"kind": "audio", "media_origin": "whatsapp"}, ["an audio recording", "its origin is: whatsapp"]),
        (
            {"steps": [{**STEP, "state": "reverted", "note": "the library was full"}]},
            ["given up and put back: moved to /lib/2021/IMG_1.jpg (the library was full)"],
        ),
        ({"steps": [{**STEP, "action": "leave", "destination": None}]}, ["left where it was"]),
        (
            {"steps": [{**STEP, "action": "undo", "destination": "/in/a.jpg"}]},
            ["undone: put back to /in/a.jpg ["],
        ),
        (
            {"steps": [{**STEP, "action": "undo", "destination": "/l/.mediad/trash/a-1.jpg"}]},
            ["undone: moved to the trash, as /l/.mediad/trash/a-1.jpg ["],
        ),
        (
            {"steps": [{**STEP, "action": "undo", "destination": "/l/.mediad/quarantine/a-1.jpg"}]},
            ["undone: put back into quarantine, as /l/.mediad/quarantine/a-1.jpg ["],
        ),
        ({"steps": [{**STEP, "action": "undo", "destination": None}]}, ["undone; it stays where it is ["]),
        ({"steps": [{**STEP, "action": "expire", "destination": None}]}, ["its time was over ["]),
        (
            {"finding": "edited", "finding_time": "2026-02-03T10:00:00Z"},
            ["It is there. But `mediactl verify` found on 2026-02-03 at", "that it was edited"],
        ),
    ],
)
def test_other_stories(changes: dict[str, Any], words: list[str]) -> None:
    said = tell({**STORY, **changes})
    for each in words:
        assert each in said


def test_several_stories_and_what_waits() -> None:
    said = tell(STORY, STORY, waits="it settles, for 2 s")
    assert "\nStory 1 of 2, the newest\n" in said
    assert "\nStory 2 of 2\n" in said
    assert said.endswith("\n\nNow: it settles, for 2 s")


def test_a_story_is_wrapped_on_a_terminal_only_and_no_path_is_broken() -> None:
    path = "/lib/2021/a rather/long-path/with spaces/" + "x" * 90 + ".jpg"
    story = {**STORY, "place": path}
    assert path in tell(story)
    lines = tell(story, on=Screen(60)).splitlines()
    assert all(width(line) <= 60 or " " not in line.strip() for line in lines)
    assert any("x" * 90 in line for line in lines)


def test_hostile_text_cannot_draw() -> None:
    hostile = "\x1b[2J\r"
    story = {**STORY, "camera": hostile, "source": f"/{hostile}", "doubts": [hostile], "label": hostile}
    for on in (Screen(), Screen(70)):
        assert "\x1b" not in tell({**story, "candidates": [{**ZERO, "raw": hostile}]}, on=on)


def test_exact_bytes_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = {"path": "/\ufffd", "path_b64": "L/8=", "stories": [STORY]}
    with CannedDaemon(tmp_path / "s", {"Why": always(reply)}) as daemon:
        assert main(["why", "/\udcff", "--socket", str(tmp_path / "s")]) == 0
    assert capsys.readouterr().out.startswith("/\\xff\n")
    assert daemon.calls == [("Why", {"path": "/\ufffd", "path_b64": "L/8="})]
