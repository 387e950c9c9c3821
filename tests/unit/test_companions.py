"""Which files belong together."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import pytest

from mediad.media.companions import form_sets, is_companion_name, key
from mediad.media.formats import claimed
from mediad.model import Confidence, Facts, Identity, Sighting, Stat, Taken

STAT = Stat(1, 2, 3, 4, 5)


def taken(text: str, offset: int | None = None, source: str = "exif", confidence: str = "high") -> Taken:
    return Taken(datetime.fromisoformat(text), offset, source, "", cast("Confidence", confidence))


def file(name: str, when: Taken | None = None, content_id: str = "") -> Identity:
    form = claimed(name.encode())
    assert form is not None
    sighting = Sighting("inbox", b"dir/" + name.encode(), STAT)
    return Identity(sighting, b"", Facts(form.name, form.kind, content_id=content_id, taken=when))


def formed(*members: Identity) -> tuple[dict[str, list[str]], list[str]]:
    """Principals' names with their companions', and the orphans' names."""
    sets, orphans = form_sets(members)
    return (
        {one.principal.name.decode(): [other.name.decode() for other in one.companions] for one in sets},
        [orphan.name.decode() for orphan in orphans],
    )


@pytest.mark.parametrize("name", [b"X.jpg", b"x.JPG.xmp", b"x.xmp", b"X.AAE", b"x.mov", b"x.HEIC", b"x"])
def test_files_of_one_stem_share_a_key(name: bytes) -> None:
    assert key(b"A/b/" + name) == key(b"A/b/x.heic") == b"A/b/x"


def test_keys_of_odd_names() -> None:
    assert key(b"x.2.xmp") == key(b"x.2.jpg") == b"x.2"
    assert key(b"x.2.jpg.xmp") == b"x.2"
    assert key("Ä.jpg".encode()) == key("a\u0308.HEIC".encode())
    assert key(b"\xff\xfeX.jpg") == key(b"\xff\xfex.xmp")
    assert key(b".xmp") == b".xmp"
    assert key(b"a/.hidden") == b"a/.hidden"
    assert key(b"A/x.jpg") != key(b"a/x.jpg")
    assert key(b"a.b/x") == b"a.b/x"


def test_companion_names() -> None:
    assert is_companion_name(b"a/x.XMP")
    assert is_companion_name(b"x.jpg.xmp")
    assert is_companion_name(b"x.aae")
    assert not is_companion_name(b"x.jpg")
    assert not is_companion_name(b"xmp")


def test_strangers_stay_alone() -> None:
    assert formed(file("a.jpg"), file("b.mov")) == ({"a.jpg": [], "b.mov": []}, [])
    assert formed() == ({}, [])


def test_one_stem_in_two_folders_is_no_set() -> None:
    picture = file("a.jpg")
    elsewhere = Identity(Sighting("inbox", b"other/a.xmp", STAT), b"", Facts("xmp", "sidecar"))
    assert formed(picture, elsewhere) == ({"a.jpg": []}, ["a.xmp"])


def test_sidecars_go_to_the_raw_else_the_still_else_the_film() -> None:
    xmp, film, still, raw = file("a.xmp"), file("a.mp4"), file("a.jpg"), file("a.dng")
    assert formed(xmp, film, still, raw)[0] == {"a.mp4": [], "a.jpg": [], "a.dng": ["a.xmp"]}
    assert formed(xmp, film, still)[0] == {"a.mp4": [], "a.jpg": ["a.xmp"]}
    assert formed(xmp, film) == ({"a.mp4": ["a.xmp"]}, [])
    assert formed(xmp) == ({}, ["a.xmp"])


def test_a_sidecar_by_full_name_goes_there_and_nowhere_else() -> None:
    xmp, still, raw = file("A.JPG.xmp"), file("a.jpg"), file("a.dng")
    assert formed(xmp, raw, still)[0] == {"a.dng": [], "a.jpg": ["A.JPG.xmp"]}
    assert formed(xmp, raw) == ({"a.dng": []}, ["A.JPG.xmp"])
    both = formed(xmp, file("a.xmp"), still)[0]
    assert both == {"a.jpg": ["A.JPG.xmp", "a.xmp"]}


def test_adjustments_go_to_the_still() -> None:
    assert formed(file("a.aae"), file("a.dng"), file("a.heic"))[0] == {"a.dng": [], "a.heic": ["a.aae"]}


def test_live_photo_by_content_identifier() -> None:
    far_off = taken("2021-07-10T20:00:00", 60)
    still, film = file("a.heic", taken("2021-07-10T10:00:00"), "one"), file("a.mov", far_off, "one")
    assert formed(film, still) == ({"a.heic": ["a.mov"]}, [])
    other = file("a.mov", still.taken, "two")
    assert formed(other, still)[0] == {"a.mov": [], "a.heic": []}


@pytest.mark.parametrize(
    ("still", "film", "paired"),
    [
        (taken("2021-07-10T10:00:00"), taken("2021-07-10T10:00:02", source="quicktime"), True),
        (taken("2021-07-10T10:00:00"), taken("2021-07-10T10:00:02.1", source="quicktime"), False),
        (taken("2021-07-10T10:00:00", 60), taken("2021-07-10T09:00:01", 0, "quicktime"), True),
        (taken("2021-07-10T10:00:00", 60), taken("2021-07-10T10:00:00", 0, "quicktime"), False),
        (taken("2021-07-10T10:00:00", 60), taken("2021-07-10T10:00:01", source="quicktime"), True),
        (taken("2021-07-10T10:00:00", source="filename"), taken("2021-07-10T10:00:00"), False),
        (taken("2021-07-10T10:00:00", confidence="low"), taken("2021-07-10T10:00:00"), False),
        (None, taken("2021-07-10T10:00:00"), False),
    ],
)
def test_live_photo_by_time(still: Taken | None, film: Taken | None, paired: bool) -> None:
    pictures = formed(file("IMG_1234.jpg", still, "only one has it"), file("IMG_1234.mp4", film))[0]
    expected = {"IMG_1234.jpg": ["IMG_1234.mp4"]} if paired else {"IMG_1234.jpg": [], "IMG_1234.mp4": []}
    assert pictures == expected


def test_a_whole_live_photo() -> None:
    still, film = file("a.heic", content_id="one"), file("a.mov", content_id="one")
    sidecars = [file("a.aae"), file("a.mov.xmp"), file("a.xmp")]
    sets, orphans = form_sets([*sidecars, film, still])
    assert (len(sets), orphans) == (1, [])
    assert sets[0].principal == still
    assert set(sets[0].members) == {still, film, *sidecars}


def test_one_film_goes_to_one_still() -> None:
    stills = [file("a.jpg", content_id="one"), file("a.heic", content_id="one")]
    pictures = formed(*stills, file("a.mov", content_id="one"))[0]
    assert pictures == {"a.jpg": [], "a.heic": ["a.mov"]}
