"""The names that files of a set get."""

from __future__ import annotations

import pytest

from mediad.ingest.naming import lonely, name_of, principal_name, renamings, set_names, values_of
from mediad.media.formats import true_name
from mediad.model import Facts, Identity, Kind, MediaSet, Sighting, Stat
from tests.planning import config


def file(name: bytes, form: str, kind: Kind = "photo", unreadable: str = "") -> Identity:
    facts = Facts(form, kind, unreadable=unreadable)
    return Identity(Sighting("inbox", b"d/" + name, Stat(1, 2, 3, 4, 5)), b"", facts)


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        (b"d/a.b.png", "jpeg", b"d/a.b.jpg"),
        (b"a.HEIC", "jpeg", b"a.jpg"),
        (b"a.nef", "jpeg", b"a.jpg"),
        (b"a.JPG", "png", b"a.png"),
        (b"a.jpg", "cr2", b"a.cr2"),
        (b"a.avi", "mp4", b"a.mp4"),
        (b"a.mp3", "m4a", b"a.m4a"),
        *((name, form, name) for name, form in (
            (b"a.jpeg", "jpeg"), (b"a.mpo", "jpeg"), (b"a.heic", "heif"), (b"a.hif", "heic"),
            (b"a.mov", "mp4"), (b"a.m4a", "mp4"), (b"a.mp4", "m4a"), (b"a.3gp", "mov"), (b"a.mkv", "webm"),
            (b"a.tif", "dng"), (b"a.nef", "tiff"), (b"a.ogg", "opus"), (b"a.asf", "wma"), (b"a.m2ts", "mts"),
            (b"a.dat", "jpeg"), (b"a", "jpeg"), (b"a.jpg", ""), (b"a.thm", "jpeg"), (b"a.LRV", "mp4"),
            (b"a.jpg", "xmp"), (b"a.png", "nonsense"),
        )),
    ],
)  # fmt: skip
def test_extensions_that_lie(name: bytes, form: str, expected: bytes) -> None:
    assert true_name(name, form) == expected


def test_what_cannot_be_read_keeps_its_name() -> None:
    assert name_of(file(b"a.png", "jpeg", unreadable="why")) == b"a.png"


def test_a_set_is_filed_under_true_names() -> None:
    principal = file(b"a.png", "jpeg")
    media = MediaSet(principal, (file(b"A.PNG.xmp", "xmp", "sidecar"), file(b"a.xmp", "xmp", "sidecar")))
    assert values_of(principal, config().watches["inbox"]).name == b"a.jpg"
    assert set_names(media, b"x/a-1.jpg") == [b"x/a-1.jpg", b"x/a-1.jpg.xmp", b"x/a-1.xmp"]
    assert renamings(media) == ["named .png, is JPEG: filed as .jpg"]


def test_a_companions_true_name_and_its_sidecars() -> None:
    companions = (file(b"a.png", "jpeg"), file(b"a.png.xmp", "xmp", "sidecar"))
    media = MediaSet(file(b"a.cr2", "cr2", "raw"), companions)
    assert set_names(media, b"x/b.cr2") == [b"x/b.cr2", b"x/b.jpg", b"x/b.jpg.xmp"]


@pytest.mark.parametrize(
    ("companion", "expected"),
    [
        (b"x.jpg.xmp", b"x.jpg"),
        (b"x.xmp", b"x.HEIC"),
        (b"x.jpg(1).json", b"x(1).jpg"),
        (b"IMG_E1234.JPG", b"IMG_1234.HEIC"),
        (b"\xff.xmp", b"\xff.HEIC"),
    ],
)
def test_the_name_that_a_principal_had(companion: bytes, expected: bytes) -> None:
    assert principal_name(companion, b"filed.HEIC") == expected


def test_why_a_companion_stays_alone() -> None:
    assert lonely(file(b"a.xmp", "xmp", "sidecar")) == ("orphan", "a companion without its principal")
    assert lonely(file(b"package.json", "takeout", "sidecar"))[0] == "not-media"
    assert lonely(file(b"notes.txt", "text", "sidecar"))[0] == "not-media"
    assert lonely(file(b"logo.png.json", "", "sidecar"))[0] == "not-media"
