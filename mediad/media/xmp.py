"""XMP packets: the few properties we want, found by their usual prefixes. PURE.

A packet is searched, not parsed: half of one, as a cut-off file has it, gives what it holds, and no entity
or nesting can make it expensive (Adobe XMP specification, part 1, 7: properties are attributes or elements).
"""

from __future__ import annotations

import re

from mediad.media.pictures.exif import clean
from mediad.media.reading import Candidate
from mediad.media.stamps import iso_candidate

LONGEST = 1 << 20
"""How much of a packet is searched, in bytes."""

# "xap" is how the xmp namespace was called in the first years.
_DATES = (
    *(b"exif:DateTimeOriginal", b"photoshop:DateCreated", b"exif:DateTimeDigitized"),
    *(b"xmp:CreateDate", b"xap:CreateDate"),
)
# Possessive, so that no run of blanks is gone over more than once.
_PROPERTY = rb"(?:\s*+=\s*+[\"']([^\"'<>]{1,64})[\"']|\s*+>\s*+([^<>]{1,64}+)\s*+</)"
_DATE = re.compile(rb"[\s<](" + b"|".join(_DATES) + rb")" + _PROPERTY)
_COMMENT = re.compile(rb"exif:UserComment[^<>]{0,40}>(?:\s*+<[^<>]{1,80}>){0,2}\s*+([^<>]{1,64})<")
# What tells of other pictures: those that this one was made of, and its past (part 2, 1.2.7).
_OTHERS = re.compile(rb"<!--|<(x(?:mp|ap)MM:\w{1,40})(?![\w\-.])[^<>]*+>")


def as_utf8(packet: bytes) -> bytes:
    """A packet in UTF-8, as nearly all are; part 1, 7.1 permits UTF-16, whose "<" has a zero beside it."""
    for mark, start, encoding in ((b"\xff\xfe", b"<\x00", "utf-16-le"), (b"\xfe\xff", b"\x00<", "utf-16-be")):
        if packet.startswith((mark, start)):
            return packet.decode(encoding, "replace").encode("utf-8", "replace")
    return packet


def candidates(packet: bytes) -> list[Candidate]:
    """The capture dates that a packet states, the first of each property."""
    packet = packet[:LONGEST]
    if b"Date" not in packet:
        return []
    found: dict[bytes, Candidate] = {}
    for match in _DATE.finditer(_own(packet)):
        text = clean(match[2] or match[3] or b"")
        tag = match[1].replace(b"xap:", b"xmp:")
        if text and tag not in found:
            found[tag] = iso_candidate("xmp", tag.decode(), text)
    return list(found.values())


def _own(packet: bytes) -> bytes:
    """What a packet says of its own picture; what is not closed is left out to the end."""
    kept, start = [], 0
    while (other := _OTHERS.search(packet, start)) is not None:
        kept.append(packet[start : other.start()])
        if other[0].endswith(b"/>"):
            start = other.end()
            continue
        end = b"-->" if other[1] is None else b"</" + other[1] + b">"
        place = packet.find(end, other.end())
        if place < 0:
            return b"".join(kept)
        start = place + len(end)
    return packet if not start else b"".join((*kept, packet[start:]))


def user_comment(packet: bytes) -> str:
    """exif:UserComment, in which iOS marks screenshots, or ""."""
    match = _COMMENT.search(packet[:LONGEST])
    return clean(match[1]) if match is not None else ""
