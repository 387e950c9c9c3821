"""XMP packets: what they say of their own picture, and how long the search takes."""

from __future__ import annotations

import time

import pytest

from mediad.media import xmp

OWN = b"<exif:DateTimeOriginal>2015-06-07T08:09:10</exif:DateTimeOriginal>"
OTHER = b'<rdf:li exif:DateTimeOriginal="2001-01-02T03:04:05"/>'


def packet(*parts: bytes) -> bytes:
    return (
        b'<rdf:RDF><rdf:Description xmpMM:DocumentID="x">' + b"".join(parts) + b"</rdf:Description></rdf:RDF>"
    )


def read(data: bytes) -> list[tuple[str, str]]:
    return [(one.tag, one.raw) for one in xmp.candidates(data)]


@pytest.mark.parametrize(
    "other",
    [
        b"<xmpMM:Ingredients>" + OTHER + b"</xmpMM:Ingredients>",
        b"<xmpMM:Pantry><rdf:Bag><xmpMM:History>"
        + OTHER
        + b"</xmpMM:History>"
        + OTHER
        + b"</rdf:Bag></xmpMM:Pantry>",
        b"<xapMM:DerivedFrom rdf:parseType='Resource'>" + OTHER + b"</xapMM:DerivedFrom>",
        b'<xmpMM:DerivedFrom exif:DateTimeOriginal="2001-01-02T03:04:05"/>',
        b"<!-- <exif:DateTimeOriginal>2001-01-02T03:04:05</exif:DateTimeOriginal> -->",
        b"<xmpMM:DocumentID>x</xmpMM:DocumentID>",
    ],
)
def test_what_tells_of_other_pictures_is_passed_over(other: bytes) -> None:
    expected = [("exif:DateTimeOriginal", "2015-06-07T08:09:10")]
    assert read(packet(other, OWN)) == expected
    assert read(packet(OWN, other)) == expected
    assert read(packet(other)) == []


@pytest.mark.parametrize("opened", [b"<xmpMM:Ingredients>", b"<!--"])
def test_what_is_not_closed_goes_on_to_the_end(opened: bytes) -> None:
    assert read(packet(opened, OTHER)) == []
    assert read(packet(OWN, opened, OTHER)) == [("exif:DateTimeOriginal", "2015-06-07T08:09:10")]


def test_blanks_around_a_value() -> None:
    spaced = OWN.replace(b">2", b" >\n  2").replace(b"0<", b"0 \n  <")
    assert read(packet(spaced)) == [("exif:DateTimeOriginal", "2015-06-07T08:09:10")]
    assert read(packet(b'<a exif:DateTimeOriginal = "2015-06-07"/>')) == [
        ("exif:DateTimeOriginal", "2015-06-07")
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"<xmp:CreateDate>" + b" " * 100_000,
        b"<xmp:CreateDate" + b" " * 100_000,
        b"<xmp:CreateDate>" * 20_000,
        (b"<xmp:CreateDate>a" + b" " * 1000) * 100,
        b"<xmpMM:History>" * 20_000 + b"Date",
        b"<xmpMM:History" * 20_000 + b"Date",
        b"<!--" * 50_000 + b"Date",
        b"<xmpMM:a/>" * 20_000 + b"Date",
        b"exif:UserComment>" + b" " * 100_000,
        b"exif:UserComment> <a> <a>" + b" " * 100_000,
        b"exif:UserComment" * 20_000,
    ],
)
def test_no_packet_takes_long(data: bytes) -> None:
    start = time.process_time()
    xmp.candidates(data)
    xmp.user_comment(data)
    assert time.process_time() - start < 1.0
