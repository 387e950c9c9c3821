"""Layouts and the names that come out of them."""

from __future__ import annotations

from datetime import datetime

import pytest

from mediad.layout import (
    NAME_MAX,
    TOKENS,
    Layout,
    LayoutError,
    Values,
    camera,
    companion_name,
    name_key,
    split_name,
    with_suffix,
)

TAKEN = datetime(2021, 7, 10, 20, 39, 25, 770000)  # noqa: DTZ001  (local wall-clock time)
VALUES = Values(
    taken=TAKEN,
    name=b"IMG_1234.JPG",
    kind="photo",
    origin="camera",
    make="Canon",
    model="Canon EOS 7D",
    artist="Ann",
    album="Live",
    title="Song",
    track=7,
    watch="inbox",
    label="Trip",
    subdir=b"a/b",
    digest="0123456789abcdef" * 4,
)


def render(layout: str, values: Values = VALUES) -> bytes:
    return Layout.parse(layout).render(values)


def named(name: bytes, layout: str = "{name}") -> bytes:
    return render(layout, Values(None, name))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("{taken:%Y}/{taken:%Y-%m-%d}/{name}", b"2021/2021-07-10/IMG_1234.JPG"),
        ("{taken:%Y/%m}/{name}", b"2021/07/IMG_1234.JPG"),
        ("{taken:%H:%M:%S.%f} {stem}{ext}", b"20:39:25.770000 IMG_1234.jpg"),
        ("{taken:%Y年}/{name}", "2021年/IMG_1234.JPG".encode()),
        ("{taken:100%%%Y}{name}", b"100%2021IMG_1234.JPG"),
        ("{kind}/{origin}/{make}/{model}/{name}", b"photo/camera/Canon/Canon EOS 7D/IMG_1234.JPG"),
        ("{camera}/{name}", b"Canon EOS 7D/IMG_1234.JPG"),
        ("{artist}/{album}/{track:02} {title}{ext|x}{digest:4}", b"Ann/Live/07 Song.jpg0123"),
        ("{track}-{track:3}-{name}", b"7-  7-IMG_1234.JPG"),
        ("{watch}/{label}/{subdir}/{name}", b"inbox/Trip/a/b/IMG_1234.JPG"),
        ("{digest:2}/{digest}{ext}", b"01/" + b"0123456789abcdef" * 4 + b".jpg"),
        ("{{{stem}}}/{name}", b"{IMG_1234}/IMG_1234.JPG"),
        ("{taken:%F}/{taken:%C %h %-d.%-m.}{name}", b"2021-07-10/20 Jul 10.7.IMG_1234.JPG"),
        ("{ext}/{name}", b"jpg/IMG_1234.JPG"),
        ("a//{name}", b"a/IMG_1234.JPG"),
    ],
)
def test_tokens(layout: str, expected: bytes) -> None:
    assert render(layout) == expected


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("{taken:%Y}/{name}", b"x.jpg"),
        ("{taken:%Y|Undated}/{name}", b"Undated/x.jpg"),
        ("{artist|Various/Artists}/{name}", b"Various/Artists/x.jpg"),
        ("{artist|}/{name}", b"x.jpg"),
        ("{make} {model}/{name}", b"x.jpg"),
        ("{camera|Unknown camera}/{track:02|00}-{name}", b"Unknown camera/00-x.jpg"),
        ("{subdir}/{name}", b"x.jpg"),
        ("{name}/{title}", b"x.jpg"),
    ],
)
def test_what_is_missing_vanishes_or_has_a_default(layout: str, expected: bytes) -> None:
    assert named(b"x.jpg", layout) == expected


@pytest.mark.parametrize(
    ("layout", "what"),
    [
        ("", "has neither {name}"),
        ("{taken:%Y}/{title}", "has neither {name}"),
        ("{nme}/{name}", "unknown token {nme}; known are {taken}"),
        ("{Name}", "unknown token"),
        ("{}{name}", "unknown token {}"),
        ("{taken}/{name}", "needs a strftime pattern"),
        ("{taken:year}/{name}", "needs a strftime pattern"),
        ("{taken:%%}/{name}", "needs a strftime pattern"),
        ("{taken:%Q}/{name}", "unknown directive %Q"),
        ("{taken:%x}/{name}", "unknown directive %x"),
        ("{taken:%-Y}/{name}", "unknown directive %-Y"),
        ("{taken:%D}/{name}", "unknown directive %D"),
        ("{taken:%Y%}/{name}", "unknown directive %"),
        ("{name:3}", "takes nothing after a colon"),
        ("{track:x}{name}", "no such width"),
        ("{digest:0}", "1 to 64"),
        ("{digest:65}", "1 to 64"),
        ("{artist|{album}}/{name}", "token inside"),
        ("{name", "no closing brace"),
        ("name}", "without an opening one"),
        ("/{name}", "begins with a slash"),
        ("{name}/", "ends with a slash"),
        ("../{name}", "cannot name a folder"),
        ("a/./{name}", "cannot name a folder"),
        (".mediad/{name}", "cannot name a folder"),
        (".Mediad-x/{name}", "cannot name a folder"),
        ("con/{name}", "cannot name a folder"),
        ("a. /{name}", "cannot name a folder"),
        ("a\n/{name}", "control character"),
    ],
)
def test_what_is_no_layout(layout: str, what: str) -> None:
    with pytest.raises(LayoutError) as raised:
        Layout.parse(layout)
    assert what in str(raised.value)


def test_every_token_can_stand_alone() -> None:
    arguments = {"taken": ":%Y", "digest": ":8"}
    for token in TOKENS:
        assert render(f"{{{token}{arguments.get(token, '')}}}/{{name}}").endswith(b"/IMG_1234.JPG")


def test_layouts_are_equal_by_text() -> None:
    assert Layout.parse("{name}") == Layout.parse("{name}") != Layout.parse("a/{name}")


def test_keeps_extension() -> None:
    kept = {
        text: Layout.parse(text).keeps_extension
        for text in ("{name}", "{stem}{ext}", "{stem}", "{ext}/{stem}")
    }
    assert kept == {"{name}": True, "{stem}{ext}": True, "{stem}": False, "{ext}/{stem}": False}


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.jpg", b".hidden.jpg", "Zoe\u0308.jpg".encode(), b"a\"b'c\\d.jpg", b" x.jpg", b"x" * 255],
)
def test_names_survive(name: bytes) -> None:
    assert named(name) == name
    assert named(name, "{stem}") == split_name(name)[0]
    assert (
        render("{subdir}/{name}", Values(None, b"n", subdir=name + b"/" + name)) == name + b"/" + name + b"/n"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a\nb\x7f.jpg", b"a_b_.jpg"),
        ("a\u0085.jpg".encode(), b"a_.jpg"),
        (b"CON.jpg", b"_CON.jpg"),
        (b"com1", b"_com1"),
        (b"conserve.jpg", b"conserve.jpg"),
        (b".mediad", b"_.mediad"),
        (b".MEDIAD-1", b"_.MEDIAD-1"),
        (b".mediadx", b".mediadx"),
        (b"x.jpg. ", b"x.jpg"),
        (b"...", b"_"),
        (b" ", b"_"),
        (b"a/b", b"a_b"),
        (b"", b"_"),
    ],
)
def test_names_that_are_changed(name: bytes, expected: bytes) -> None:
    assert named(name) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("AC/DC", b"AC_DC"),
        ("../../etc", b"_.._etc"),
        ("..", b"_"),
        (".hack", b"hack"),
        (".mediad", b"mediad"),
        ("a\0b", b"a_b"),
        ("Canon\0\0", b"Canon"),
        ("  ", b"none"),
        ("\ud800x\udc80", b"_x_"),
        ("nul", b"_nul"),
        ("x" * 300, b"x" * 231),
    ],
)
def test_tags_are_tamed(title: str, expected: bytes) -> None:
    assert render("{title|none}/{name}", Values(None, b"n", title=title)) == expected + b"/n"


def test_a_tag_after_an_empty_one_begins_no_hidden_name() -> None:
    assert render("{artist}{title}/{name}", Values(None, b"n", title=".x")) == b"x/n"


def test_folders_below_the_watch_cannot_climb() -> None:
    assert render("{subdir}/{name}", Values(None, b"n", subdir=b"/../x/.mediad/ /.")) == b"_/x/_.mediad/_/n"


def test_long_names_keep_their_extension_and_whole_characters() -> None:
    result = render("{title} {name}", Values(None, b"IMG.jpeg", title="é" * 200))
    assert len(result) == 231
    assert result == ("é" * 113).encode() + b".jpeg"
    assert render("{title}/{name}", Values(None, b"n", title="é" * 200)) == ("é" * 115).encode() + b"/n"


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("Canon", "Canon EOS 7D", "Canon EOS 7D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("EASTMAN KODAK COMPANY", "KODAK DX4330", "KODAK DX4330"),
        ("OLYMPUS IMAGING CORP.", "E-M5", "OLYMPUS E-M5"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("Apple", "", "Apple"),
        ("", "X100", "X100"),
        ("Co.", "", "Co."),
        ("", "", ""),
    ],
)
def test_camera(make: str, model: str, expected: str) -> None:
    assert camera(make, model) == expected


@pytest.mark.parametrize(
    ("path", "n", "expected"),
    [
        (b"a/name.ext", 1, b"a/name-1.ext"),
        (b"name", 12, b"name-12"),
        (b"a.b/.hidden", 2, b"a.b/.hidden-2"),
        (b"a/x.tar.gz", 1, b"a/x.tar-1.gz"),
        (b"a/" + b"x" * 251 + b".jpg", 10, b"a/" + b"x" * 248 + b"-10.jpg"),
        ("é".encode() * 127, 1, "é".encode() * 126 + b"-1"),
    ],
)
def test_with_suffix(path: bytes, n: int, expected: bytes) -> None:
    assert with_suffix(path, n) == expected


@pytest.mark.parametrize(
    ("principal", "filed", "companion", "expected"),
    [
        (b"IMG_1.HEIC", b"IMG_1-1.HEIC", b"IMG_1.mov", b"IMG_1-1.mov"),
        (b"IMG_1.HEIC", b"IMG_1-1.HEIC", b"IMG_1.HEIC.xmp", b"IMG_1-1.HEIC.xmp"),
        (b"IMG_1.HEIC", b"IMG_1-1.HEIC", b"IMG_1.xmp", b"IMG_1-1.xmp"),
        (b"IMG_1.HEIC", b"2021 IMG_1.heic", b"img_1.heic.XMP", b"2021 IMG_1.heic.XMP"),
        (b"IMG_1.JPG", b"IMG_1-1.JPG", b"IMG_1_HDR.mov", b"IMG_1-1_HDR.mov"),
        (b"IMG_1.JPG", b"X.JPG", b"IMG_12.mov", b"X.mov"),
        (b"IMG_1.HEIC", b"X.HEIC", b"other.MOV", b"X.MOV"),
        (b"A.JPG", b"A.JPG", b"A.JPG.supplemental-meta.json", b"A.JPG.supplemental-meta.json"),
        (b"D(1).JPG", b"D(1)-1.JPG", b"D.JPG(1).json", b"D(1)-1.JPG.json"),
        (b"D(1).JPG", b"X.JPG", b"D.JPG.supplemental-metadata(1).json", b"X.JPG.json"),
        (b"A.JPG", b"A-1.JPG", b"A.JPG.suppl.json", b"A-1.JPG.suppl.json"),
        (b"A.HEIC", b"A-1.HEIC", b"A.MOV.json", b"A-1.MOV.json"),
        (b"IMG_1234.HEIC", b"IMG_1234-1.HEIC", b"IMG_E1234.JPG", b"IMG_E1234-1.JPG"),
        (b"IMG_1234.HEIC", b"2021.HEIC", b"IMG_E1234.JPG", b"2021-edited.JPG"),
        (b"IMG_1234.HEIC", b"IMG_1234.HEIC", b"IMG_O1234.AAE", b"IMG_O1234.AAE"),
        (b"A(1).jpg", b"B.jpg", b"A-bearbeitet(1).jpg", b"B-bearbeitet.jpg"),
        (b"A.jpg", b"B.jpg", b"A-edited.jpg", b"B-edited.jpg"),
        (b"GX010001.MP4", b"GX010001-1.MP4", b"GL010001.LRV", b"GX010001-1.LRV"),
        (b"IMG_1234.CR2", b"B.CR2", b"SND_1234.WAV", b"B.WAV"),
        (b"PXL_1.MP.jpg", b"PXL_1.MP-1.jpg", b"PXL_1.MP", b"PXL_1.MP-1.MP"),
        (b"PXL_1.MP.jpg", b"PXL_1.MP.jpg", b"PXL_1.MP", b"PXL_1.MP"),
        (b"A.JPG", b"A.JPG", b"A.JPG\n.xmp", b"A.JPG_.xmp"),
        (b"a\xff.JPG", b"a\xff-1.JPG", b"a\xff.xmp", b"a\xff-1.xmp"),
    ],
)
def test_companion_name(principal: bytes, filed: bytes, companion: bytes, expected: bytes) -> None:
    assert companion_name(principal, filed, companion) == expected


def test_companion_name_fits() -> None:
    filed = b"x" * 251 + b".jpg"
    assert companion_name(b"a.jpg", filed, b"a.jpg.xmp") == b"x" * 251 + b".xmp"
    assert len(companion_name(b"a.jpg", filed, b"a." + b"y" * 253)) == NAME_MAX


def test_name_key() -> None:
    assert name_key(b"A/IMG.JPG") == name_key(b"a/img.jpg") == "a/img.jpg"
    assert name_key("Zoe\u0308".encode()) == name_key("ZO\u00cb".encode())
    assert name_key("Stra\u00dfe".encode()) == name_key(b"STRASSE")
    assert name_key(b"\xff") != name_key(b"\xfe")
