"""Small files of the picture formats that no library here writes, made by hand, whole as far as we read them.

All were taken at `TAKEN` by a `MAKE` `MODEL`, and the picture is of `SIZE`, unless it says otherwise.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from PIL import Image

from tests import samples
from tests.isobmff import box

TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
MAKE, MODEL = "Acme", "Acme X1"
SIZE = (6000, 4000)
SIZE16 = (16, 16)

Value = int | tuple[int, ...] | str | bytes
Directory = Mapping[int, Value]

_DATE = TAKEN.strftime(samples.EXIF_TIME)
_SECONDS = int(TAKEN.replace(tzinfo=UTC).timestamp())
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def tiff(
    main: Directory,
    *,
    exif: Directory | None = None,
    inner: Sequence[Directory] = (),
    magic: bytes = b"II*\0",
    behind: bytes = b"",
) -> bytes:
    """A little-endian TIFF structure; BigTIFF if `magic` says so.

    Args:
        main: values of its first directory; exif: of the Exif one; inner: of those in SubIFDs.
        behind: what stands right behind the header.
    """
    is_big = magic == b"II+\0"
    data = bytearray(16 if is_big else 8) + behind + bytes(len(behind) % 2)
    entries = dict(main)
    if exif is not None:
        entries[0x8769] = _directory(data, exif, is_big=is_big)
    if inner:
        entries[0x014A] = tuple(_directory(data, one, is_big=is_big) for one in inner)
    first = _directory(data, entries, is_big=is_big)
    data[: 16 if is_big else 8] = magic + (
        struct.pack("<HHQ", 8, 0, first) if is_big else struct.pack("<I", first)
    )
    return bytes(data)


def _directory(data: bytearray, entries: Directory, *, is_big: bool) -> int:
    """Appends a directory behind its long values, and tells where it begins."""
    word, table = (8 if is_big else 4), b""
    for tag, value in sorted(entries.items()):
        kind, count, packed = _packed(value)
        if len(packed) > word:
            packed, at = packed + bytes(len(packed) % 2), len(data)
            data += packed
            packed = at.to_bytes(word, "little")
        table += struct.pack("<HHQ" if is_big else "<HHI", tag, kind, count) + packed.ljust(word, b"\0")
    at = len(data)
    data += struct.pack("<Q" if is_big else "<H", len(entries)) + table + bytes(word)
    return at


def _packed(value: Value) -> tuple[int, int, bytes]:
    if isinstance(value, str):
        return 2, len(value) + 1, value.encode() + b"\0"
    if isinstance(value, bytes):
        return 7, len(value), value
    numbers = value if isinstance(value, tuple) else (value,)
    return 4, len(numbers), struct.pack(f"<{len(numbers)}I", *numbers)


def _camera(make: str = MAKE, model: str = MODEL, **more: Value) -> dict[int, Value]:
    return {0x010F: make, 0x0110: model, **{int(tag[1:], 16): value for tag, value in more.items()}}


def _taken(size: tuple[int, int] | None = None) -> dict[int, Value]:
    dates: dict[int, Value] = {0x9003: _DATE, 0x9004: _DATE, 0x9291: "77", 0x9011: "+02:00"}
    return dates if size is None else {**dates, 0xA002: size[0], 0xA003: size[1]}


def _picture(size: tuple[int, int], subfile: int | None = None) -> dict[int, Value]:
    kind: dict[int, Value] = {} if subfile is None else {0x00FE: subfile}
    return {**kind, 0x0100: size[0], 0x0101: size[1]}


def nested(make: str = MAKE, *, compression: int = 1, dng: bool = False, magic: bytes = b"II*\0") -> bytes:
    """A preview first, the picture in a directory inside: NEF, NRW, ARW, DNG and KDC are like this."""
    main = {**_camera(make), **_picture((160, 120), 1), 0x0103: compression}
    if dng:
        main[0xC612] = b"\1\4\0\0"
    return tiff(main, exif=_taken(), inner=[_picture((1024, 768), 1), _picture(SIZE, 0)], magic=magic)


def flat(make: str = MAKE, *, compression: int = 1, magic: bytes = b"II*\0") -> bytes:
    """The picture itself first: PEF, SRF and ORF are like this."""
    return tiff({**_camera(make), **_picture(SIZE), 0x0103: compression}, exif=_taken(), magic=magic)


def cr2() -> bytes:
    """A preview first, and a picture whose size only the Exif tags tell."""
    main = {**_camera(), **_picture((1536, 1024))}
    return tiff(main, exif=_taken(SIZE), behind=b"CR\2\0\0\0\0\0")


def iiq() -> bytes:
    """Phase One's directory right behind the header, with the size of the picture."""
    entries = b"".join(
        struct.pack("<4I", tag, 4, 4, side) for tag, side in zip((0x10C, 0x10D), SIZE, strict=True)
    )
    behind = b"IIIITwaR" + struct.pack("<III", 12, 2, 0) + entries
    return tiff({**_camera(), **_picture((1, 1))}, exif=_taken(), behind=behind)


def rw2(*, is_old: bool = False) -> bytes:
    """The borders of the picture on the sensor; old cameras keep the Exif tags in the JPEG inside."""
    borders: dict[int, Value] = {2: 6100, 3: 4100, 4: 10, 5: 20, 6: 10 + SIZE[1], 7: 20 + SIZE[0]}
    if is_old:
        return tiff({**borders, 0x2E: jpeg()}, magic=b"IIU\0")
    return tiff({**_camera(), **borders}, exif=_taken(), magic=b"IIU\0")


def jpeg() -> bytes:
    """A small picture with the usual Exif tags."""
    return samples.jpeg(TAKEN, size=SIZE16, make=MAKE, model=MODEL, subsec="77", offset="+02:00")


def cr3() -> bytes:
    """Boxes of Canon's with one TIFF each, and XMP."""
    metadata = box("CMT1", tiff({**_camera(), **_picture(SIZE)})) + box("CMT2", tiff(_taken()))
    gps = box("CMT4", tiff({29: "2021:07:10"}))
    movie = box("moov", box("uuid", _CANON_UUID + metadata + gps))
    packet = box("uuid", _XMP_UUID + samples.xmp_sidecar(TAKEN))
    return box("ftyp", b"crx \0\0\0\1crx isom") + movie + packet + box("mdat", bytes(16))


def crw() -> bytes:
    """CIFF: heaps with their directories at their ends; it knows no sub-seconds."""
    camera = f"{MAKE}\0{MODEL}\0".encode()
    info = struct.pack("<IIfi3I", *SIZE, 1.0, 90, 8, 24, 0)
    inner = _heap([(0x080A, camera), (0x1810, info), (0x180E, struct.pack("<IiI", _SECONDS, 7200, 1 << 31))])
    return b"II" + struct.pack("<I", 26) + b"HEAPCCDR" + bytes(12) + _heap([(0x300A, inner)])


def _heap(records: Sequence[tuple[int, bytes]]) -> bytes:
    data, table = b"", struct.pack("<H", len(records))
    for tag, record in records:
        table += struct.pack("<HII", tag, len(record), len(data))
        data += record
    return data + table + struct.pack("<I", len(data))


def raf() -> bytes:
    """A header with the places of the JPEG inside, the directory and the raw data."""
    inner = jpeg()
    directory = struct.pack(">I4H4H", 2, 0x100, 4, 4100, 6100, 0x111, 4, SIZE[1], SIZE[0])
    start = 0x94
    places = (start, len(inner), start + len(inner), len(directory), start + len(inner) + len(directory), 8)
    head = b"FUJIFILMCCD-RAW 0201".ljust(0x54, b"\0") + struct.pack(">6I", *places)
    return head.ljust(start, b"\0") + inner + directory + bytes(8)


def mrw() -> bytes:
    """Blocks in front of the picture."""
    size = b"\0PRD" + struct.pack(">I8s4H8s", 24, b"27820001", 4010, 6010, SIZE[1], SIZE[0], bytes(8))
    tags = tiff(_camera(), exif=_taken())
    blocks = size + b"\0TTW" + struct.pack(">I", len(tags)) + tags
    return b"\0MRM" + struct.pack(">I", len(blocks)) + blocks + bytes(16)


def x3f(*, has_jpeg: bool = True) -> bytes:
    """A header with the size, sections, and their directory at the end."""
    head = b"FOVb" + struct.pack("<I", 0x20003) + bytes(20) + struct.pack("<3I", *SIZE, 0) + bytes(64)
    sections = [(b"PROP", _properties({"CAMMANUF": MAKE, "CAMMODEL": MODEL, "TIME": str(_SECONDS)}))]
    if has_jpeg:
        sections.append((b"IMA2", b"SECi" + struct.pack("<6I", 2, 2, 0x12, 16, 16, 0) + jpeg()))
    data, table = head, b"SECd" + struct.pack("<II", 0x20000, len(sections))
    for name, section in sections:
        table += struct.pack("<II", len(data), len(section)) + name
        data += section
    return data + table + struct.pack("<I", len(data))


def _properties(properties: Mapping[str, str]) -> bytes:
    places, texts = b"", ""
    for pair in properties.items():
        for text in pair:
            places += struct.pack("<I", len(texts))
            texts += text + "\0"
    head = b"SECp" + struct.pack("<5I", 0x20000, len(properties), 0, 0, len(texts))
    return head + places + texts.encode("utf-16-le")


# --- Pictures ------------------------------------------------------------------------------------


def _bits(*fields: tuple[int, int]) -> bytes:
    """Numbers of so many bits each, the lowest first."""
    value = at = 0
    for number, width in fields:
        value, at = value | number << at, at + width
    return value.to_bytes((at + 7) // 8, "little")


def jxl_codestream(orientation: int = 1) -> bytes:
    """The header of a JPEG XL codestream: SizeHeader and the beginning of ImageMetadata."""
    width, height = ((3, 2), (SIZE[0] - 1, 30)), ((3, 2), (SIZE[1] - 1, 30))
    turned = ((1, 1),) if orientation == 1 else ((0, 1), (1, 1), (orientation - 1, 3))
    return b"\xff\x0a" + _bits((0, 1), *height, (0, 3), *width, *turned) + bytes(8)


def jxl() -> bytes:
    """JPEG XL in boxes, with Exif and XMP."""
    brand = b"\0\0\0\x0cJXL \r\n\x87\n" + box("ftyp", b"jxl \0\0\0\0jxl ")
    metadata = box("Exif", bytes(4) + _block()) + box("xml ", samples.xmp_sidecar(TAKEN))
    return brand + metadata + box("jxlc", jxl_codestream())


def _block() -> bytes:
    return tiff(_camera(), exif=_taken())


def jp2() -> bytes:
    """JPEG 2000 in boxes, with Exif and XMP."""
    brand = b"\0\0\0\x0cjP  \r\n\x87\n" + box("ftyp", b"jp2 \0\0\0\0jp2 ")
    header = box("jp2h", box("ihdr", struct.pack(">IIHBBBB", SIZE[1], SIZE[0], 3, 7, 7, 0, 0)))
    exif = box("uuid", b"JpgTiffExif->JP2" + _block())
    packet = box("uuid", _XMP_UUID + samples.xmp_sidecar(TAKEN))
    return brand + header + exif + packet + box("jp2c", b"\xff\x4f\xff\x51")


def iptc(day: str = "20210710", time: str = "203925+0200") -> bytes:
    """Records of IPTC with the date of creation."""
    records = ((55, day), (60, time))
    return b"".join(b"\x1c\2" + bytes((number, 0, len(text))) + text.encode() for number, text in records)


def resources(blocks: Mapping[int, bytes]) -> bytes:
    """Photoshop's image resources."""
    return b"".join(
        b"8BIM" + struct.pack(">HHI", kind, 0, len(data)) + data + bytes(len(data) % 2)
        for kind, data in blocks.items()
    )


def psd() -> bytes:
    """A Photoshop file with Exif, XMP and IPTC among its resources."""
    blocks = resources({1028: iptc(), 1058: _block(), 1060: samples.xmp_sidecar(TAKEN)})
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, SIZE[1], SIZE[0], 8, 3)
    return head + bytes(4) + struct.pack(">I", len(blocks)) + blocks + bytes(4) + bytes(64)


def gif() -> bytes:
    """A GIF picture with XMP, which stands bare in an extension, and a trailer of 258 bytes behind it."""
    plain = samples.gif(size=SIZE16)
    head = 13 + (3 << (plain[10] & 7) + 1)
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    packet = b"!\xff\x0bXMP DataXMP" + samples.xmp_sidecar(TAKEN) + trailer
    return plain[:head] + packet + plain[head:]


def bmp() -> bytes:
    """A BMP picture, which tells nothing but its size."""
    stream = io.BytesIO()
    Image.new("RGB", SIZE16).save(stream, "BMP")
    return stream.getvalue()


# The fields that each sample's reader finds, as docs/formats.md names them.
Maker = Callable[[], bytes]
PICTURES: dict[str, tuple[Maker, tuple[int, int]]] = {
    "jpeg": (jpeg, SIZE16),
    "png": (lambda: samples.png(TAKEN, size=SIZE16, make=MAKE, model=MODEL), SIZE16),
    "gif": (gif, SIZE16),
    "webp": (lambda: samples.webp(TAKEN, size=SIZE16, make=MAKE, model=MODEL), SIZE16),
    "tiff": (lambda: samples.tiff(TAKEN, size=SIZE16, make=MAKE, model=MODEL), SIZE16),
    "heic": (lambda: samples.heic(TAKEN, make=MAKE, model=MODEL), (128, 96)),
    "heif": (
        lambda: samples.heic(TAKEN, make=MAKE, model=MODEL).replace(b"heic", b"mif1", 2),
        (128, 96),
    ),
    "avif": (lambda: samples.avif(TAKEN, size=SIZE16, make=MAKE, model=MODEL), SIZE16),
    "jxl": (jxl, SIZE),
    "jp2": (jp2, SIZE),
    "bmp": (bmp, SIZE16),
    "psd": (psd, SIZE),
    "cr2": (cr2, SIZE),
    "cr3": (cr3, SIZE),
    "crw": (crw, SIZE),
    "nef": (nested, SIZE),
    "nrw": (nested, SIZE),
    "arw": (nested, SIZE),
    "srf": (flat, SIZE),
    "dng": (lambda: nested(dng=True), SIZE),
    "raf": (raf, SIZE),
    "orf": (lambda: flat(magic=b"IIRO"), SIZE),
    "rw2": (rw2, SIZE),
    "pef": (flat, SIZE),
    "mrw": (mrw, SIZE),
    "iiq": (iiq, SIZE),
    "x3f": (x3f, SIZE),
    "kdc": (nested, SIZE),
}
"""A sample of each format, and the size of its picture."""
