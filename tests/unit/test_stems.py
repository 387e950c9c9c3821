"""What names tell of which files belong together."""

from __future__ import annotations

import pytest

from mediad.media.stems import key, parse

SUPPLEMENTAL = ".supplemental-metadata"
SIXTY = "IMG-20230706-WA0001 from the garden of my grandmother"  # longer than Takeout keeps


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("X.jpg", "x.JPG.xmp"),
        ("x.jpg", "x-edited.jpg"),
        ("x(1).jpg", "x-edited(1).jpg"),
        ("x.jpg", "x-modifie\u0301.jpg"),
        ("x.jpg", "x-編集済み.jpg"),
        ("x.jpg", "x-изменено.jpg"),
        ("x.jpg", "x-DÜZENLENDI.jpg"),
        ("x.jpg", "x-du\u0308zenlendi.jpg"),
        ("x.jpg", "x-已編輯.jpg"),
        ("x.jpg", "x-đã chỉnh sửa.jpg"),
        ("x(2).jpg", "x.jpg(2).json"),
        ("x(2).jpg", "x(2).jpg.json"),
        ("x(2).jpg", f"x.jpg{SUPPLEMENTAL}(2).json"),
        ("x.jpg", "x.json"),
        ("IMG_1234.HEIC", "IMG_E1234.JPG"),
        ("IMG_1234.HEIC", "img_o1234.aae"),
        ("IMG_1234(1).HEIC", "IMG_E1234(1).JPG"),
        ("IMG_1234.CR2", "SND_1234.WAV"),
        ("_MG_1234.CR2", "SND_1234.WAV"),
        ("GX010001.MP4", "GL010001.LRV"),
        ("GH010001.MP4", "GL010001.LRV"),
        ("PXL_20230706_123456789.MP.jpg", "PXL_20230706_123456789.MP"),
        ("PXL_20230706_123456789.PORTRAIT.jpg.json", "PXL_20230706_123456789.PORTRAIT-modifié.jpg"),
        # as Takeout cuts them: at 46 and 47 UTF-16 units
        (
            "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json",
            "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg",
        ),
        (
            "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jp.json",
            "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jpg",
        ),
        (
            "abcdefghijklmnopqrstuvwxyz_1234567890abcdefghi.json",
            "abcdefghijklmnopqrstuvwxyz_1234567890abcdefghiJ.jpg",
        ),
        (
            "abcdefghijklmnopqrstuvwxyz_1234567890abcdefgh_(494).json",
            "abcdefghijklmnopqrstuvwxyz_1234567890abcdefgh_m(494).jpg",
        ),
        (
            "13039_327707840323_537645323_9470255_27214_n.j(1).json",
            "13039_327707840323_537645323_9470255_27214_n(1).jpg",
        ),
        ("😀" * 23 + ".json", "😀" * 24 + ".jpg"),
    ],
)
def test_one_core(one: str, other: str) -> None:
    assert key(b"A/" + one.encode()) == key(b"A/" + other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x.jpg", "x(1).jpg"),
        ("x(1).jpg", "x.jpg(2).json"),
        ("x.jpg", "x copy.jpg"),
        ("x.jpg", "x-1.jpg"),
        ("x.jpg", "x_1.jpg.json"),
        ("IMG_1234.JPG", "IMG_E12345.JPG"),
        ("IMG_1234.JPG", "MVI_1234.MP4"),
        ("GX010001.MP4", "GX020001.MP4"),
        ("20230706_123456_001.jpg", "20230706_123456_002.jpg"),
        ("PXL_20230706_123456789.jpg", "PXL_20230706_123456788.jpg"),
        ("x.jpg", "x.info.json"),
        (f"{SIXTY} 1.jpg", f"{SIXTY} 2.jpg"),
    ],
)
def test_two_cores(one: str, other: str) -> None:
    assert key(one.encode()) != key(other.encode())


@pytest.mark.parametrize("length", range(1, len(SUPPLEMENTAL) + 1))
def test_takeouts_suffix_cut_anywhere(length: int) -> None:
    json = parse(f"IMG_1.HEIC{SUPPLEMENTAL[:length]}.json".encode())
    assert json.names(parse(b"img_1.heic"))
    assert not json.names(parse(b"IMG_1.mov"))
    assert not json.names(parse(b"IMG_1(1).HEIC"))


@pytest.mark.parametrize("length", range(36, 48))
def test_takeouts_names_of_every_length(length: int) -> None:
    """A description's name has room for 46 characters, a file's own for 47 and its extension."""
    media = parse(b"x" * length + b".jpg")
    base = (b"x" * length + b".jpg" + SUPPLEMENTAL.encode())[:46]
    json = parse(base + b".json")
    assert json.core == media.core
    assert json.names(media)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        (b"x.JPG.xmp", "x.JPG"),
        (b"x.jpg(1).json", "x(1).jpg"),
        (b"x.jpg.suppl(1).json", "x(1).jpg"),
        (b"x.xmp", "x.heic"),
        (b"IMG_E1234.JPG", "IMG_1234.heic"),
        (b"x-edited.jpg", "x.heic"),
    ],
)
def test_what_a_companions_owner_is_called(name: bytes, owner: str) -> None:
    assert parse(name).owner(".heic") == owner


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b".json", b"(1)", b"(1).json", b"\xff(1).jpg", b"-edited.jpg"]
)
def test_odd_names_are_taken_apart(name: bytes) -> None:
    assert parse(name).core.encode("utf-8", "surrogateescape") in name
    assert key(b"d/" + name).startswith(b"d/")
