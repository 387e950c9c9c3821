"""Which files belong together."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import pytest

from mediad.media import companions
from mediad.media.companions import form_sets, gathering, is_companion_name, joined, key
from mediad.media.formats import FORMATS, claimed
from mediad.model import Confidence, Facts, Identity, Sighting, Stat, Taken

STAT = Stat(1, 2, 3, 4, 5)


def taken(text: str, offset: int | None = None, source: str = "exif", confidence: str = "high") -> Taken:
    return Taken(datetime.fromisoformat(text), offset, source, "", cast("Confidence", confidence))


def file(
    name: str,
    when: Taken | None = None,
    content_id: str = "",
    *,
    unreadable: str = "",
    artist: str = "",
    origin: str = "camera",
) -> Identity:
    form = claimed(name.encode()) or FORMATS["mp4"]
    sighting = Sighting("inbox", b"dir/" + name.encode(), STAT)
    facts = Facts(
        form.name,
        form.kind,
        content_id=content_id,
        taken=when,
        unreadable=unreadable,
        artist=artist,
        origin=origin,
    )
    return Identity(sighting, b"", facts)


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
    assert is_companion_name(b"x.jpg.json")
    assert is_companion_name(b"x.txt")
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
    assert formed(xmp, film, still, raw)[0] == {"a.mp4": [], "a.dng": ["a.jpg", "a.xmp"]}
    assert formed(xmp, film, still)[0] == {"a.mp4": [], "a.jpg": ["a.xmp"]}
    assert formed(xmp, film) == ({"a.mp4": ["a.xmp"]}, [])
    assert formed(xmp) == ({}, ["a.xmp"])
    numbered = file("IMG_1234.CR2", taken("2021-07-10T10:00:00")), file("IMG_1234.JPG", taken("2009-01-01"))
    assert formed(file("IMG_1234.xmp"), *numbered)[0] == {
        "IMG_1234.CR2": ["IMG_1234.xmp"],
        "IMG_1234.JPG": [],
    }


def test_a_sidecar_by_full_name_goes_there_and_nowhere_else() -> None:
    xmp, still, film = file("A.JPG.xmp"), file("a.jpg"), file("a.mov")
    assert formed(xmp, film, still)[0] == {"a.mov": [], "a.jpg": ["A.JPG.xmp"]}
    assert formed(xmp, film) == ({"a.mov": []}, ["A.JPG.xmp"])
    both = formed(xmp, file("a.xmp"), still)[0]
    assert both == {"a.jpg": ["A.JPG.xmp", "a.xmp"]}


@pytest.mark.parametrize(
    ("sidecar", "owner", "other"),
    [
        ("IMG_1.AAE", "IMG_1.heic", "IMG_1.mov"),
        ("IMG_O1234.AAE", "IMG_1234.JPG", "IMG_1234.mov"),
        ("MVI_1.THM", "MVI_1.avi", "MVI_1.jpg"),
        ("CRW_1.THM", "CRW_1.CRW", "CRW_1.flac"),
        ("GL010001.LRV", "GX010001.MP4", "GX010001.jpg"),
        ("GX010001.LRV", "GH010001.MP4", "GX010001.jpg"),
        ("DJI_0001.LRF", "DJI_0001.mp4", "DJI_0001.jpg"),
        ("DJI_0001.SRT", "DJI_0001.mov", "DJI_0001.jpg"),
        ("DSC_1.txt", "DSC_1.jpg", "DSC_1.avi"),
        ("DSC_1.dop", "DSC_1.nef", "DSC_1.avi"),
        ("DSC_1.NEF.pp3", "DSC_1.nef", "DSC_1.avi"),
        ("IMG_1.json", "IMG_1.jpg", "IMG_1.avi"),
        ("IMG_1.HEIC.json", "IMG_1.mov", "IMG_1.avi"),
        ("IMG_1.jpg.suppl.json", "IMG_1-edited.jpg", "IMG_1.avi"),
    ],
)
def test_sidecars_know_their_kind(sidecar: str, owner: str, other: str) -> None:
    assert formed(file(other), file(sidecar), file(owner))[0] == {owner: [sidecar], other: []}


def test_what_is_used_for_much_else_goes_along_only_where_it_surely_belongs() -> None:
    assert formed(file("a.txt"), file("a.png", origin="")) == ({"a.png": []}, ["a.txt"])
    assert formed(file("a.png.txt"), file("a.png", origin="screenshot")) == ({"a.png": []}, ["a.png.txt"])
    pair = file("a.cr2", taken("2009-01-01"), origin=""), file("a.jpg", taken("2021-07-10T10:00:00"))
    assert formed(file("a.txt"), *pair)[0] == {"a.cr2": [], "a.jpg": ["a.txt"]}
    json = file("a.jpg.json")
    unread = Identity(json.sighting, b"", Facts("", "sidecar"))
    assert formed(unread, file("a.jpg")) == ({"a.jpg": []}, ["a.jpg.json"])
    pictures = file("b.HEIC"), file("b.MP4")
    assert formed(*pictures, Identity(file("b.HEIC.json").sighting, b"", Facts("", "sidecar")))[0] == {
        "b.HEIC": [],
        "b.MP4": [],
    }


def test_a_thousand_spellings_of_one_name_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared are as many pairs of the first of them, and the rest are filed one by one."""
    compared: list[object] = []
    bond = companions._bond

    def counted(one: companions._File, other: companions._File) -> int:
        compared.append(one)
        return bond(one, other)

    monkeypatch.setattr(companions, "_bond", counted)
    count = 1000
    names = [
        "".join(c.upper() if n >> i & 1 else c for i, c in enumerate("abcdefghij")) for n in range(count)
    ]
    when = taken("2021-07-10T10:00:00")
    for extensions in (("jpg",), ("dng",), ("jpg", "json", "jpg.json", "xmp")):
        members = [file(f"{name}.{end}", when) for name in names for end in extensions]
        sets, orphans = form_sets(members)
        assert sum(len(one.members) for one in sets) + len(orphans) == len(members)
    copies = [
        file(f"{name} {number}.{end}", content_id="one")
        for number, name in enumerate(names)
        for end in ("heic", "mov")
    ]
    assert {len(one.members) for one in form_sets(copies)[0]} == {2}
    assert len(compared) < 100 * count * 5


def test_takeouts_descriptions_go_to_what_they_name() -> None:
    names = ("DSC_1(1).JPG", "DSC_1.JPG", "DSC_1_1.JPG")
    told = ("DSC_1.JPG(1).json", "DSC_1.JPG.supplemental-metadata.json", "DSC_1_1.JPG.s.json")
    assert formed(*map(file, (*told, *names))) == (
        {name: [json] for name, json in zip(names, told, strict=True)},
        [],
    )
    edit = formed(*map(file, ("a-edited.jpg", "a.jpg", "a.jpg.json")))
    assert edit == ({"a.jpg": ["a-edited.jpg", "a.jpg.json"]}, [])


def test_takeout_describes_a_live_photo_once() -> None:
    whole = [file("IMG_1.HEIC"), file("IMG_1.MP4")]
    [pair] = formed(*whole, file("IMG_1.HEIC.json"))[0].values()
    assert pair == ["IMG_1.MP4", "IMG_1.HEIC.json"]
    two = formed(*whole, file("IMG_1.HEIC.json"), file("IMG_1.MP4.json"))[0]
    assert two == {"IMG_1.HEIC": ["IMG_1.HEIC.json"], "IMG_1.MP4": ["IMG_1.MP4.json"]}


def test_raw_and_still_of_one_moment() -> None:
    one, other = taken("2021-07-10T10:00:00"), taken("2021-07-10T10:00:02")
    assert formed(file("a.jpg", one), file("a.cr2", other))[0] == {"a.cr2": ["a.jpg"]}
    assert formed(file("a.heic", one), file("a.dng"))[0] == {"a.dng": ["a.heic"]}
    assert formed(file("a.jpg", one), file("a.heic", other))[0] == {"a.heic": ["a.jpg"]}
    strangers = formed(file("a.jpg", one), file("a.cr2", taken("2021-07-10T10:00:03")))
    assert strangers == ({"a.cr2": [], "a.jpg": []}, [])
    assert formed(file("a.png", one), file("a.jpg", one))[0] == {"a.png": [], "a.jpg": []}


def test_takeouts_date_tells_strangers_apart() -> None:
    camera, uploaded = taken("2024-07-06T10:00:00"), taken("2015-07-06T10:00:00", 0, "takeout", "medium")
    raw, still, json = file("IMG_1.DNG", camera), file("IMG_1.JPG"), file("IMG_1.JPG.json", uploaded)
    strangers = {"IMG_1.DNG": [], "IMG_1.JPG": ["IMG_1.JPG.json"]}
    assert formed(raw, still, json) == (strangers, [])
    assert formed(raw, file("IMG_1.JPG", uploaded))[0] == {"IMG_1.DNG": [], "IMG_1.JPG": []}
    close = file("IMG_1.JPG.json", taken("2024-07-05T23:00:00", 0, "takeout", "medium"))
    assert formed(raw, still, close)[0] == {"IMG_1.DNG": ["IMG_1.JPG", "IMG_1.JPG.json"]}
    sure = file("IMG_1.JPG", camera)
    assert formed(raw, sure, json)[0] == {"IMG_1.DNG": ["IMG_1.JPG", "IMG_1.JPG.json"]}
    film = file("IMG_1.MP4", taken("2024-07-06T10:00:00", 0, "quicktime"))
    assert formed(film, still, json)[0] == {"IMG_1.MP4": [], "IMG_1.JPG": ["IMG_1.JPG.json"]}


def test_an_undated_raw_does_not_bind_strangers() -> None:
    first, second = file("a.heic", taken("2021-07-10T10:00:00")), file("a.jpg", taken("2015-07-10T10:00:00"))
    assert formed(second, first, file("a.dng"))[0] == {"a.dng": ["a.heic"], "a.jpg": []}


def test_edits_go_with_what_they_were_made_from() -> None:
    when = taken("2019-06-09T12:57:32")
    names = ("IMG_4120.JPG", "IMG_E4120.JPG", "IMG_4120 copy.JPG")
    sets, orphans = formed(*(file(name, when) for name in names), file("IMG_4120.AAE"), file("IMG_O4120.AAE"))
    assert sets == {
        "IMG_4120.JPG": ["IMG_E4120.JPG", "IMG_4120.AAE", "IMG_O4120.AAE"],
        "IMG_4120 copy.JPG": [],
    }
    assert orphans == []
    later = taken("2021-01-01T00:00:00")
    assert len(formed(file("IMG_4120.JPG", when), file("IMG_E4120.JPG", later))[0]) == 2


def test_frames_of_a_burst_are_sets_of_their_own() -> None:
    frames = ("20230706_123456_001.jpg", "20230706_123456_002.jpg", "00001IMG_00001_BURST20230706123456.jpg")
    when = taken("2023-07-06T12:34:56")
    assert formed(*(file(name, when) for name in frames)) == ({name: [] for name in frames}, [])


@pytest.mark.parametrize(
    ("still", "film"),
    [
        ("20230706_123456.jpg", "20230706_123456.mp4"),
        ("MVIMG_20230706_123456.jpg", "MVIMG_20230706_123456.mp4"),
        ("PXL_20230706_123456789.MP.jpg", "PXL_20230706_123456789.MP"),
        ("PXL_20230706_123456789.MP.jpg", "PXL_20230706_123456789.mp4"),
        ("2023-07-06 12.34.56.heic", "2023-07-06 12.34.56.mov"),
    ],
)
def test_a_moment_in_the_name_makes_a_motion_photo(still: str, film: str) -> None:
    assert formed(file(film), file(still))[0] == {still: [film]}


def test_parts_of_one_shot() -> None:
    names = ("PXL_20230706_123456789.RAW-02.ORIGINAL.dng", "PXL_20230706_123456789.RAW-01.COVER.jpg")
    assert formed(*map(file, names))[0] == {names[0]: [names[1]]}


def test_notes_that_were_spoken_into_the_camera() -> None:
    when = taken("2021-07-10T10:00:00")
    assert formed(file("SND_1234.WAV"), file("IMG_1234.JPG", when))[0] == {"IMG_1234.JPG": ["SND_1234.WAV"]}
    assert formed(file("DSC_1.mp3", when), file("DSC_1.nef", when))[0] == {"DSC_1.nef": ["DSC_1.mp3"]}
    late = taken("2021-07-12T10:00:00", source="xmp")
    assert len(formed(file("DSC_1.wav", late), file("DSC_1.jpg", when))[0]) == 2
    assert len(formed(file("a.mp3", artist="Somebody"), file("a.jpg"))[0]) == 2
    assert len(formed(file("a.wav"), file("a.mov"))[0]) == 2


@pytest.mark.parametrize(
    ("good", "broken"),
    [("a.cr2", "a.jpg"), ("a.jpg", "a.cr2"), ("a.heic", "a.mov"), ("a.mov", "a.heic"), ("a.jpg", "a.wav")],
)
def test_what_cannot_be_read_goes_with_what_can(good: str, broken: str) -> None:
    members = file(broken, unreadable="nothing in it makes sense"), file("a.xmp"), file(good)
    assert formed(*members)[0] == {good: [broken, "a.xmp"]}


def test_two_files_of_one_name_that_cannot_be_read() -> None:
    members = file("a.jpg", unreadable="why"), file("a.cr2", unreadable="why")
    assert formed(*members)[0] == {"a.cr2": ["a.jpg"]}


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
    edits = file("a-edited.heic", content_id="one"), file("a-edited.mov", content_id="one")
    sidecars = [file("a.aae"), file("a.mov.xmp"), file("a.xmp")]
    sets, orphans = form_sets([*sidecars, *edits, film, still])
    assert (len(sets), orphans) == (1, [])
    assert sets[0].principal == still
    assert set(sets[0].members) == {still, film, *edits, *sidecars}


def test_live_photo_under_other_names() -> None:
    still, film = file("IMG_1.heic", content_id="one"), file("other.mov", content_id="one")
    assert formed(film, still, file("other.mov.xmp"))[0] == {"IMG_1.heic": ["other.mov", "other.mov.xmp"]}
    copy = file("IMG_1 copy.heic", content_id="one"), file("IMG_1 copy.mov", content_id="one")
    assert formed(film, still, *copy)[0] == {
        "IMG_1 copy.heic": ["IMG_1 copy.mov"],
        "IMG_1.heic": ["other.mov"],
    }


def test_groups_that_share_an_identifier_are_looked_at_together() -> None:
    groups = [
        [file("a.jpg")],
        [file("b.heic", content_id="one")],
        [file("c.mov", content_id="two")],
        [file("d.mov", content_id="one"), file("d.heic", content_id="two")],
        [file("e.mov")],
    ]
    assert joined(groups) == [[0], [1, 2, 3], [4]]
    assert joined([]) == []


def test_one_film_goes_to_one_still() -> None:
    stills = [file("a.jpg", content_id="one"), file("b.heic", content_id="one")]
    assert formed(*stills, file("a.mov", content_id="one"))[0] == {"a.jpg": ["a.mov"], "b.heic": []}


def test_what_is_no_media_settles_alone() -> None:
    assert gathering(b"d/a.jpg") == gathering(b"d/a.json") == b"d/a"
    assert gathering(b"d/PXL_20230706_123456789.MP") == b"d/pxl_20230706_123456789"
    assert gathering(b"d/a.html") == b"\0d/a.html"
