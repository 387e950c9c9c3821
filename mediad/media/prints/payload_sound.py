"""What of a sound file is the sound: MP3, FLAC, Ogg, WAV, AIFF. Runs in workers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mediad.media.prints.content import Content

_MOST = 1_000_000  # chunks or pages
_MOST_TAGS = 16
_LONGEST_GAP = 65536
_ID3V1 = 128

# Kilobits a second by version and layer, and samples a second by version (ISO/IEC 11172-3, 2.4.2.3; 13818-3).
_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3(content: Content) -> None:
    """The frames, without the tags around them (ID3, APE, Lyrics3) and the index frame (Xing, Info, VBRI)."""
    start, end = _behind_tags(content, 0), content.size
    for _ in range(_MOST_TAGS):
        shorter = _before_tag(content, end)
        if shorter == end:
            break
        end = max(start, shorter)
    start += _silent_start(content.window(start, min(_LONGEST_GAP, end - start)))
    start += _index_frame(content.window(start, 2048))
    content.copy(start, end - start)


def _behind_tags(content: Content, offset: int) -> int:
    """Where what follows the ID3v2 tags begins (ID3v2.4.0 structure, 3.1)."""
    for _ in range(_MOST_TAGS):
        head = content.window(offset, 10)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        offset += 10 + _synchsafe(head[6:10]) + (10 if head[5] & 0x10 else 0)
    return offset


def _synchsafe(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(data))


def _before_tag(content: Content, end: int) -> int:
    """Where the tag at the end begins, or `end`."""
    tail = content.window(max(0, end - 256), min(256, end))
    if tail[-_ID3V1:].startswith(b"TAG") and len(tail) >= _ID3V1:
        return end - _ID3V1
    if tail[-32:].startswith(b"APETAGEX"):
        length = int.from_bytes(tail[-20:-16], "little")
        has_header = int.from_bytes(tail[-12:-8], "little") >> 31
        return end - length - 32 * has_header
    if tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        return end - 15 - int(tail[-15:-9])
    if tail[-10:].startswith(b"3DI"):
        return end - 20 - _synchsafe(tail[-4:])
    return end


def _silent_start(data: bytes) -> int:
    """How many zeros lie before the first frame."""
    return len(data) - len(data.lstrip(b"\0"))


def _index_frame(data: bytes) -> int:
    """The length of the first frame if it holds an index and no sound, else 0."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:  # layer III
        return 0
    version = data[1] >> 3 & 3
    rate, samples = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or rate in (0, 15) or samples == 3:
        return 0
    many = 144_000 if version == 3 else 72_000
    kilobits = (_RATES_1 if version == 3 else _RATES_2)[rate]
    length = many * kilobits // _SAMPLES[version][samples] + (data[2] >> 1 & 1)
    is_index = any(mark in data[: min(length, 64)] for mark in (b"Xing", b"Info", b"VBRI"))
    return length if is_index else 0


def flac(content: Content) -> None:
    """The frames (RFC 9639, 8); no metadata block. Compressed anew, the same sound is another payload."""
    offset = _behind_tags(content, 0)
    if content.window(offset, 4) != b"fLaC":
        return
    offset += 4
    for _ in range(_MOST_TAGS * 1000):
        head = content.window(offset, 4)
        if len(head) < 4:
            return
        offset += 4 + int.from_bytes(head[1:], "big")
        if head[0] & 0x80:
            break
    content.copy(offset, _before_tag(content, content.size) - offset)


@dataclass(slots=True)
class _Stream:
    """A logical stream.

    Attributes:
        told: packets to come that say what it is and carry the tags. tables: those after them without
            which the sound is another, but which are none.
        length: bytes of the packet so far. sounds: there was a packet of sound.
    """

    told: int
    tables: int
    length: int = 0
    sounds: bool = False


def ogg(content: Content) -> None:
    """The packets of each stream, however they lie in pages (RFC 3533, 6), but its first two.

    These say what it is and carry the tags, in Vorbis, Opus and Speex alike. FLAC in Ogg has more of them.
    """
    streams: dict[bytes, _Stream] = {}
    digests: dict[bytes, hashlib._Hash] = {}
    offset = 0
    for _ in range(_MOST):
        head = content.window(offset, 27)
        if len(head) < 27 or head[:4] != b"OggS":
            break
        lacing = content.window(offset + 27, head[26])
        body = content.window(offset + 27 + head[26], sum(lacing))
        serial = head[14:18]
        if head[5] & 2 or serial not in streams:
            streams[serial] = _Stream(*_headers(body))
            digests.setdefault(serial, hashlib.sha256())
        _packets(streams[serial], lacing, body, digests[serial])
        offset += 27 + len(lacing) + len(body)
    for serial, digest in digests.items():
        if streams[serial].sounds:
            content.add(digest.digest())


def _headers(first: bytes) -> tuple[int, int]:
    """How many packets are headers and tags, and how many tables.

    FLAC says how many follow the first (RFC 9639, 10.1); Vorbis (Vorbis I, 4.2) and Theora have one table.
    """
    if first.startswith(b"\x7fFLAC") and len(first) > 8:
        return 1 + min(int.from_bytes(first[7:9], "big"), 1000), 0
    return 2, int(first[1:7] in (b"vorbis", b"theora"))


def _packets(stream: _Stream, lacing: bytes, body: bytes, digest: hashlib._Hash) -> None:
    at = 0
    for length in lacing:
        if not stream.told:
            digest.update(body[at : at + length])
            stream.sounds = stream.sounds or bool(length and not stream.tables)
        stream.length += length
        at += length
        if length < 255:  # the packet ends here
            if stream.told:
                stream.told -= 1
            else:
                digest.update(stream.length.to_bytes(8, "big"))
                stream.tables = max(0, stream.tables - 1)
            stream.length = 0


def wav(content: Content) -> None:
    """The data chunk, and how many channels of how many samples of how many bits it has."""
    offset = 12
    for _ in range(_MOST):
        head = content.window(offset, 8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"fmt ":
            shape = content.window(offset + 8, 16)
            content.frame(*shape[2:8], *shape[14:16])
        elif head[:4] == b"data":
            endless = length in (0, 0xFFFFFFFF)  # written to a pipe, or longer than the field can say
            content.copy(offset + 8, content.size if endless else length)
            return
        offset += 8 + length + (length & 1)


def aiff(content: Content) -> None:
    """The chunks COMM, as far as it is no name, and SSND (Apple, AIFF-C, 1991)."""
    offset = 12
    for _ in range(_MOST):
        head = content.window(offset, 8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "big")
        if head[:4] == b"COMM":
            content.frame(*content.window(offset + 8, min(length, 18)))
        elif head[:4] == b"SSND":
            content.describe(offset + 8, 8)  # where in its blocks the sound begins
            content.copy(offset + 16, length - 8)
        offset += 8 + length + (length & 1)
