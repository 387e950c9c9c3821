"""Which format a file has, by its content and by its name. PURE.

Magic numbers are those of the formats' own specifications; where one is weak (a few bits in front of MPEG
audio, two bytes in front of a BMP), more of the header has to make sense before it is believed.
"""

from __future__ import annotations

import re

from mediad.media.formats import FORMATS, Format, claimed
from mediad.media.pictures.tiff import Directories, Layout
from mediad.media.whole import ends_whole

__all__ = ["FORMATS", "HEAD_BYTES", "Format", "claimed", "ends_whole", "sniff"]

HEAD_BYTES = 4096
"""How much of a file's beginning `sniff` wants to see; less is fine for a shorter file."""


_TIFF_RAW = {"nef", "nrw", "arw", "srf", "dng", "pef", "iiq", "kdc", "cr2"}

# Tags of a first directory that tell RAW formats apart (TIFF 6.0; TIFF/EP; DNG 1.7).
_SUBFILE, _COMPRESSION, _MAKE, _SUB_IFDS, _DNG_VERSION = 0x00FE, 0x0103, 0x010F, 0x014A, 0xC612
_MARKS = frozenset({_SUBFILE, _COMPRESSION, _MAKE, _SUB_IFDS, _DNG_VERSION})
_PENTAX_COMPRESSED = 65535

_BRANDS = {  # ISO/IEC 14496-12 ftyp; the registry is mp4ra.org
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"), "heic"),
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), "m4v"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), "m4a"),
    b"crx ": "cr3",
    b"qt  ": "mov",
    b"jp2 ": "jp2",
    b"jpx ": "jp2",
    b"jxl ": "jxl",
}
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")

# What is certain from its first bytes alone. The most frequent formats stand first.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"8BPS\x00\x01", "psd"),
    (0, b"8BPS\x00\x02", "psd"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\xff\x4f\xff\x51\x00", "jp2"),
    (0, b"FUJIFILMCCD-RAW", "raf"),
    (0, b"\x00MRM", "mrw"),
    (0, b"FOVb", "x3f"),
    (6, b"HEAPCCDR", "crw"),
    (0, b"IIRO", "orf"),
    (0, b"IIRS", "orf"),
    (0, b"MMOR", "orf"),
    (0, b"IIU\x00", "rw2"),
    (0, b"\x00\x00\x01\xba", "mpg"),
    (0, b"\x00\x00\x01\xb3", "mpg"),
    (0, b"fLaC", "flac"),
)
_RIFF_FORMS = {b"WEBP": "webp", b"AVI ": "avi", b"WAVE": "wav"}
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


def sniff(head: bytes, name: bytes) -> Format | None:
    """The format by content, or None if it is none that we know. Never raises.

    Args:
        head: the first `HEAD_BYTES` of the file, or all of a shorter one.
        name: its name, which only tells apart what begins alike: TIFF-based RAW formats, and sound from
            pictures in containers that hold both.
    """
    for offset, magic, found in _MAGIC:
        if head.startswith(magic, offset):
            return FORMATS[found]
    found = _sniff_structured(head, name)
    return FORMATS[found] if found else None


def _sniff_structured(head: bytes, name: bytes) -> str:
    start = head[:4]
    if start in (b"RIFF", b"RF64"):
        return _RIFF_FORMS.get(head[8:12], "")
    if start in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return _tiff(head, name)
    if head[4:8] == b"ftyp":
        return _isobmff(head, name)
    if start == b"\x1aE\xdf\xa3":
        return _matroska(head)
    if head.startswith(_ASF):
        return _asf(head, name)
    if start == b"OggS":
        return _ogg(head)
    if start == b"FORM":
        return "aiff" if head[8:12] in (b"AIFF", b"AIFC") else ""
    return _sniff_weak(head, name)


def _sniff_weak(head: bytes, name: bytes) -> str:
    if head[:2] == b"BM":
        plausible = len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
        return "bmp" if plausible else ""
    if _first_packet(head) != (0, 0):
        return "mts"
    if _is_old_quicktime(head):
        return "mov"
    if head[:3] == b"ID3" and len(head) >= 10 and head[3] < 5 and max(head[6:10]) < 0x80:
        return _tagged_audio(head, name)
    if _is_mpeg_audio(head):
        return "mp3"
    return _inside(head, name)


def _ogg(head: bytes) -> str:
    """Ogg by what its streams are; each begins on a page of its own, in front of all others (RFC 3533, 4)."""
    if head.startswith(b"OpusHead", 28):
        return "opus"
    at = 0
    while head.startswith(b"OggS", at) and len(head) > at + 26 and head[at + 5] & 2:
        start = at + 27 + head[at + 26]
        if head.startswith(b"\x80theora", start):
            return "ogv"
        at = start + sum(head[at + 27 : start])
    return "ogg"


def _inside(head: bytes, name: bytes) -> str:
    """A stream that players find their way into, though it does not start with what it should.

    It was cut out of a longer one, has something else in front, or a bit that is wrong. Only where the name
    says so, too.
    """
    claim = claimed(name)
    found = {"mp3": _has_mpeg_audio, "mts": _has_packets, "mpg": _has_packs}.get(claim.name if claim else "")
    return claim.name if claim is not None and found is not None and found(head) else ""


def _tiff(head: bytes, name: bytes) -> str:
    """TIFF or one of the RAW formats built on it: by their own marks, else by the name."""
    if head[8:10] == b"CR":
        return "cr2"
    if head[8:12] in (b"IIII", b"MMMM") or head[12:16] in (b"RawT", b"twaR"):
        return "iiq"
    claim = claimed(name)
    claims = claim.name if claim is not None and claim.name in _TIFF_RAW else ""
    marked = _tiff_marks(head, claims)
    return marked or (claims if claims != "cr2" else "") or "tiff"


def _tiff_marks(head: bytes, claims: str) -> str:
    """What the first directory says, as far as it lies in `head`: a DNG, or the RAW file of a maker.

    A maker's RAW file begins with a preview and has the picture itself in a directory inside, or says that it
    is compressed in the maker's own way. A developed picture has its maker's name, too, but not these.
    """
    layout = Layout.of(head[:16])
    if layout is None:
        return ""
    directories = Directories(lambda offset, length: head[offset : offset + length], 0, layout)
    tags = directories.read(layout.first, _MARKS)
    if _DNG_VERSION in tags:
        return "dng"
    make = tags.get(_MAKE)
    maker = make[:6].upper() if isinstance(make, bytes) else b""
    compression = tags.get(_COMPRESSION)
    has_preview = tags.get(_SUBFILE) == (1,) and _SUB_IFDS in tags
    if maker.startswith(b"NIKON") and has_preview:
        by_content = "nrw" if compression == (6,) else "nef"
        return claims if claims in ("nef", "nrw") else by_content
    if maker.startswith(b"SONY") and has_preview:
        return "arw"
    if maker in (b"PENTAX", b"RICOH ") and compression == (_PENTAX_COMPRESSED,):
        return "pef"
    return ""


def _isobmff(head: bytes, name: bytes) -> str:
    """By the major brand where it says enough, else by the compatible ones (ISO/IEC 14496-12, 4.3)."""
    size = int.from_bytes(head[:4], "big")
    major = head[8:12]
    if len(major) < 4:
        return ""
    found = _BRANDS.get(major, "")
    compatible = {head[at : at + 4] for at in range(16, min(size, len(head), 512) - 3, 4)}
    if major in (b"mif1", b"msf1", b"mif2", b"miaf", b"1pic") or major[:2] == b"Mi":
        return _still_brand(compatible)
    if major[:3] in (b"3gp", b"3g2", b"3ge", b"3gg", b"3gs", b"3gr"):
        found = "3gp"
    claim = claimed(name)
    if found in ("", "mov", "m4v", "3gp") and claim is not None and claim.name == "m4a":
        return "m4a"  # brands of films are used for sound alone, too
    return found or "mp4"


def _still_brand(compatible: set[bytes]) -> str:
    found = {_BRANDS.get(brand, "") for brand in compatible}
    return "avif" if "avif" in found else "heic" if "heic" in found else "heif"


def _matroska(head: bytes) -> str:
    """EBML; the DocType element (0x4282) names the format (RFC 8794, RFC 9559)."""
    match = re.search(rb"\x42\x82[\x81-\x8f]([a-z]+)", head[:256])
    if match is None:
        return "mkv"
    return {b"webm": "webm", b"matroska": "mkv"}.get(match[1], "")


def _asf(head: bytes, name: bytes) -> str:
    if _ASF_VIDEO in head:
        return "wmv"
    claim = claimed(name)
    is_audio = _ASF_AUDIO in head or (claim is not None and claim.name == "wma")
    return "wma" if is_audio else "wmv"


def _first_packet(head: bytes) -> tuple[int, int]:
    """Where the first MPEG-2 packet starts and how far it is to the next; both are 0 if it is none.

    Packets have 188 bytes, or 192 with a time stamp in front (BDAV), and 0x47 leads each.
    """
    for offset, stride in ((0, 188), (4, 192)):
        marks = head[offset:HEAD_BYTES:stride][:8]
        if len(marks) >= 4 and marks.count(0x47) == len(marks):
            return offset, stride
    return 0, 0


def packets(data: bytes) -> tuple[int, int]:
    """Where the first whole packet of a transport stream starts in this part, and how far it is to the next.

    It may start anywhere in a packet, and a quarter of the marks may be wrong; a part that is too short for
    that is whole and right. Both are 0 if it is none.
    """
    if len(data) < 8 * 192:
        return _first_packet(data)
    for stride in (188, 192):
        for offset in range(stride):
            marks = data[offset:HEAD_BYTES:stride]
            if len(marks) >= 8 and marks.count(0x47) * 4 >= len(marks) * 3:
                return offset, stride
    return 0, 0


def _has_packets(head: bytes) -> bool:
    return packets(head) != (0, 0)


def _has_packs(head: bytes) -> bool:
    """The header of a pack (ISO/IEC 13818-1, 2.5.3.3; 11172-1, 2.4.3.2) or of a sequence of pictures."""
    return re.search(rb"\x00\x00\x01(?:\xba[\x21-\x2f\x44-\x7f]|\xb3)", head) is not None


def _is_old_quicktime(head: bytes) -> bool:
    """QuickTime from before ftyp: a first atom of a known type whose size is possible."""
    if len(head) < 8 or head[4:8] not in _QUICKTIME_ATOMS:
        return False
    size, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if kind == b"mdat":
        return size in (0, 1) or size >= 8
    if size < 8:
        return False
    following = head[size + 4 : size + 8]
    return (
        not following
        or len(following) < 4
        or following in (*_QUICKTIME_ATOMS, b"ftyp", b"udta", b"uuid")
        or kind == b"moov"
    )


def _tagged_audio(head: bytes, name: bytes) -> str:
    """What follows an ID3v2 tag is MP3, or now and then FLAC, AIFF and others that do not need one."""
    size = (head[6] << 21) | (head[7] << 14) | (head[8] << 7) | head[9]
    body = head[10 + size : 14 + size]
    return "flac" if body == b"fLaC" else "mp3"


_MPEG_BITRATES = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_IN_A_ROW = 3
_MPEG_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _is_mpeg_audio(head: bytes) -> bool:
    """Three frames in a row, of one version, layer and sampling rate (ISO/IEC 11172-3, 2.4.2.3)."""
    frames, end = _mpeg_frames(head, 0)
    return frames == _IN_A_ROW or (frames > 0 and end >= len(head))  # the file ends with a whole frame


def starts_mpeg_frame(header: bytes) -> bool:
    """Do these four bytes begin a frame of MPEG audio?"""
    return _mpeg_frame(header)[0] > 0


def _has_mpeg_audio(head: bytes) -> bool:
    """The same anywhere in it, or behind an APE tag, whose end may be further away."""
    starts = (at for at in range(len(head)) if head[at] == 0xFF)
    return head.startswith(b"APETAGEX") or any(_mpeg_frames(head, at)[0] == _IN_A_ROW for at in starts)


def _mpeg_frames(head: bytes, offset: int) -> tuple[int, int]:
    """How many frames follow each other there, as far as that matters, and where the last one ends."""
    seen = None
    for number in range(_IN_A_ROW):
        length, traits = _mpeg_frame(head[offset : offset + 4])
        if not length or (seen is not None and traits != seen):
            return number, offset
        seen, offset = traits, offset + length
    return _IN_A_ROW, offset


def _mpeg_frame(header: bytes) -> tuple[int, tuple[int, int, int]]:
    """Length in bytes and traits of the frame with this header; length 0 if it is none."""
    nothing = 0, (0, 0, 0)
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return nothing
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate == 3:
        return nothing
    kbit = _MPEG_BITRATES[(3 if version == 3 else 2, layer)][bitrate - 1]
    hertz = _MPEG_RATES[version][rate]
    if layer == 3:
        length = (12 * kbit * 1000 // hertz + padding) * 4
    else:
        length = (72 if layer == 1 and version != 3 else 144) * kbit * 1000 // hertz + padding
    return length, (version, layer, rate)
