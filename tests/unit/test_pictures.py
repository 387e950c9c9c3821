"""Every format of pictures that the documentation names is read, from a sample made by hand or by Pillow."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mediad.media.conclude import conclude
from mediad.media.dates import DateSettings
from mediad.media.films import isobmff
from mediad.media.formats import FORMATS
from mediad.media.found import Found
from mediad.media.pictures import flir, images, png
from mediad.media.pictures import heif as heif_reader
from mediad.media.pictures.raw_canon import read_crw
from mediad.media.pictures.readers import READERS
from mediad.media.read import read
from mediad.media.reading import Candidate, File, Reading
from tests import rawsamples, samples
from tests.isobmff import box
from tests.rawsamples import MAKE, MODEL, PICTURES, SIZE, TAKEN
from tests.unit.test_docs import tables

FIELDS = {row[0]: row[5] for row in tables("docs/formats.md")[1:] if row[1] in ("photo", "raw")}
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def reading(data: bytes, name: str = "x") -> Reading:
    return read(io.BytesIO(data), name.encode(), len(data))


def dated(found: Reading, tag: str) -> Candidate:
    return next(candidate for candidate in found.candidates if candidate.tag == tag)


def test_there_is_a_sample_of_each_format() -> None:
    assert list(PICTURES.keys() ^ FIELDS.keys()) == []


@pytest.mark.parametrize("form", FIELDS)
def test_a_format_is_read_as_documented(form: str) -> None:
    maker, size = PICTURES[form]
    found = reading(maker(), "x" + FORMATS[form].extensions[0])
    assert (found.format, found.kind, found.unreadable, found.damaged) == (form, FORMATS[form].kind, "", "")
    assert (found.width, found.height) == size
    sources = {candidate.source for candidate in found.candidates}
    if "Exif" in FIELDS[form] or "date" in FIELDS[form]:
        original = next(date for date in found.candidates if date.tag.endswith("DateTimeOriginal"))
        assert original.moment is not None
        assert original.moment.replace(microsecond=0) == TAKEN
        assert (found.make, found.model) == (MAKE, MODEL)
    if form in ("gif", "jxl", "jp2", "psd", "cr3"):
        assert "xmp" in sources
    assert ("XMP" in FIELDS[form]) or not found.candidates or form in ("crw", "mrw")


@pytest.mark.parametrize("form", [form for form in PICTURES if FORMATS[form].kind == "raw" and form != "crw"])
def test_sub_seconds_and_offsets_of_raw_files(form: str) -> None:
    found = dated(reading(PICTURES[form][0](), f"x.{form}"), "DateTimeOriginal")
    assert (found.moment, found.offset_minutes) == (TAKEN + timedelta(milliseconds=770), 120)


@pytest.mark.parametrize(
    ("maker", "name", "form"),
    [
        (lambda: rawsamples.nested("NIKON CORPORATION"), "x.tif", "nef"),
        (lambda: rawsamples.nested("NIKON CORPORATION"), "x.arw", "nef"),
        (lambda: rawsamples.nested("NIKON", compression=6), "x.tif", "nrw"),
        (lambda: rawsamples.nested("NIKON", compression=6), "x.nef", "nef"),
        (lambda: rawsamples.nested("SONY"), "x.tif", "arw"),
        (lambda: rawsamples.flat("PENTAX Corporation", compression=65535), "x", "pef"),
        (lambda: rawsamples.nested("NIKON CORPORATION", dng=True), "x.nef", "dng"),
        (lambda: rawsamples.nested(dng=True, magic=b"II+\0"), "x.tif", "dng"),
        (lambda: rawsamples.flat("NIKON CORPORATION"), "x.tif", "tiff"),
        (
            lambda: rawsamples.nested("SONY").replace(b"\xfe\0\4\0\1\0\0\0\1", b"\xfe\0\4\0\1\0\0\0\0"),
            "x.tif",
            "tiff",
        ),
        (rawsamples.cr2, "x.nef", "cr2"),
        (rawsamples.iiq, "x.tif", "iiq"),
        (rawsamples.nested, "x.kdc", "kdc"),
    ],
)
def test_raw_files_are_told_by_their_content(maker: Callable[[], bytes], name: str, form: str) -> None:
    assert reading(maker(), name).format == form


def test_a_big_tiff_is_read_as_any_other() -> None:
    found = reading(rawsamples.nested(dng=True, magic=b"II+\0"))
    assert (found.make, found.width, found.height) == (MAKE, *SIZE)
    assert dated(found, "DateTimeOriginal").offset_minutes == 120


def test_tags_in_the_picture_inside() -> None:
    found = reading(rawsamples.rw2(is_old=True))
    assert (found.make, found.width, found.height) == (MAKE, *SIZE)
    assert dated(found, "DateTimeOriginal").offset_minutes == 120
    bare = reading(rawsamples.x3f(has_jpeg=False))
    assert (bare.make, bare.model, [one.moment for one in bare.candidates]) == (MAKE, MODEL, [TAKEN])


def test_directories_that_lead_to_each_other() -> None:
    loop = rawsamples.tiff({0x010F: MAKE, 0x0100: 8, 0x0101: 9, 0x014A: (8, 8, 26, 26)}, inner=[])
    found = reading(loop, "x.nef")
    assert (found.width, found.height, found.make) == (8, 9, MAKE)


def test_crw_knows_its_zone_and_turn() -> None:
    found = reading(rawsamples.crw())
    assert (dated(found, "CanonRaw:DateTimeOriginal").offset_minutes, found.orientation) == (120, 6)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_bare_jxl_codestream(orientation: int) -> None:
    found = reading(rawsamples.jxl_codestream(orientation))
    assert (found.width, found.height, found.orientation) == (*SIZE, orientation)


def test_a_small_jxl_of_a_known_ratio() -> None:
    found = reading(b"\xff\x0a" + ((3 << 6 | 4 << 1 | 1) | 1 << 9).to_bytes(3, "little") + bytes(4))
    assert (found.width, found.height) == (40 * 4 // 3, 40)


def test_a_bare_jpeg_2000_codestream() -> None:
    siz = struct.pack(">HHIIII", 47, 0, 110, 70, 10, 20) + bytes(20)
    found = reading(b"\xff\x4f\xff\x51" + siz)
    assert (found.width, found.height) == (100, 50)


def heif(*properties: bytes, associated: bytes) -> bytes:
    """The boxes that tell of the primary picture's size and turn, and no picture."""
    held = box("ipco", *properties) + box("ipma", bytes(7) + b"\1" + associated)
    primary = box("pitm", bytes(4) + b"\0\2")
    return box("ftyp", b"heic\0\0\0\0") + box("meta", bytes(4) + primary + box("iprp", held))


SPATIAL = box("ispe", bytes(4) + struct.pack(">II", *SIZE))


@pytest.mark.parametrize(("turn", "orientation"), [(0, 1), (1, 8), (2, 3), (3, 6)])
def test_the_turn_of_a_heic_picture(turn: int, orientation: int) -> None:
    data = heif(box("free"), SPATIAL, box("irot", bytes((turn,))), associated=b"\0\2\2\x82\x83")
    found = reading(data)
    assert (found.width, found.height, found.orientation) == (*SIZE, orientation)


@pytest.mark.parametrize("associated", [b"", b"\0\1\1\1", b"\0\2\2", b"\0\2\1\x7f", b"\0\2\1\0"])
def test_heic_pictures_without_a_size(associated: bytes) -> None:
    assert reading(heif(SPATIAL, associated=associated)).width is None


def test_what_libheif_refuses_is_a_picture_where_its_size_is_told() -> None:
    found = reading(heif(SPATIAL, associated=b"\0\2\1\1"))
    assert found.damaged
    assert not found.unreadable
    assert reading(heif(SPATIAL, associated=b"")).unreadable


@pytest.mark.parametrize("brand", [b"hevc", b"msf1"])
def test_a_sequence_of_pictures_needs_no_primary_one(brand: bytes) -> None:
    head = box("ftyp", brand + bytes(4) + b"msf1hevc")
    found = reading(head + box("moov", box("mvhd", bytes(100)), box("trak", bytes(8))))
    assert found.damaged
    assert not found.unreadable
    assert reading(head + box("moov", box("mvhd", bytes(100)))).unreadable
    dated_head = box("mvhd", struct.pack(">II", 0, 3603449810) + bytes(92))
    made = dated(reading(head + box("moov", dated_head, box("trak", bytes(8)))), "movie header")
    assert (made.moment, made.utc, bool(made.doubt)) == (
        datetime.fromisoformat("2018-03-09T14:16:50"),
        True,
        True,
    )


@pytest.mark.parametrize("form", ["jxl", "jp2", "psd", "raf", "x3f", "cr3"])
def test_a_missing_end_is_noticed(form: str) -> None:
    data = PICTURES[form][0]()
    assert reading(data[: len(data) * 4 // 5], f"x.{form}").damaged


@pytest.mark.parametrize(
    ("kind", "data", "tag"),
    [
        (b"exif", b"Exif\0\0" + rawsamples.tiff({0x9003: "2021:07:10 20:39:25"}), "DateTimeOriginal"),
        (b"xmp", samples.xmp_sidecar(TAKEN), "exif:DateTimeOriginal"),
        (b"iptc", rawsamples.resources({1028: rawsamples.iptc()}), "iptc:DateCreated"),
    ],
)
def test_profiles_in_png_text(kind: bytes, data: bytes, tag: str) -> None:
    text = b"Raw profile type " + kind + b"\0\n" + kind + b"\n%8d\n" % len(data) + data.hex("\n", 36).encode()
    chunk = struct.pack(">I4s", len(text), b"tEXt") + text + bytes(4)
    plain = samples.png(size=(16, 16))
    assert dated(reading(plain[:33] + chunk + plain[33:]), tag).moment == TAKEN


def packed(keyword: bytes, text: bytes) -> bytes:
    """A zTXt chunk."""
    data = keyword + b"\0\0" + zlib.compress(text)
    return struct.pack(">I4s", len(data), b"zTXt") + data + bytes(4)


@pytest.mark.parametrize("keyword", [b"Software", b"Raw profile type iptc"])
def test_all_texts_of_a_png_have_one_bound(monkeypatch: pytest.MonkeyPatch, keyword: bytes) -> None:
    plain, inflated = samples.png(size=(16, 16)), 0
    real = zlib.decompressobj

    class Counting:
        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal inflated
            text = real().decompress(data, most)
            inflated += len(text)
            return text

    monkeypatch.setattr(png.zlib, "decompressobj", Counting)  # type: ignore[attr-defined]
    bomb = packed(keyword, b"\nA Program\n1\n".ljust(1 << 20))
    found = reading(plain[:33] + 50 * bomb + plain[33:])
    assert (found.width, found.damaged) == (16, "")
    assert 1 << 20 <= inflated <= 4 << 20
    assert found.software == ("A Program\n1".replace("\n", " ") if keyword == b"Software" else "")


def test_the_first_text_of_a_png_counts() -> None:
    plain = samples.png(size=(16, 16))
    found = reading(plain[:33] + packed(b"Software", b"One") + packed(b"Software", b"Two") + plain[33:])
    assert found.software == "One"


def test_a_png_without_its_header_is_damaged() -> None:
    data = samples.png(TAKEN, size=(16, 16)).replace(b"IHDR", b"IHDr", 1)
    found = reading(data)
    assert (found.damaged, bool(found.candidates)) == ("no picture in it", True)
    assert reading(samples.png(size=(16, 16)).replace(b"IHDR", b"IHDr", 1)).unreadable


def test_all_blocks_of_a_gif_have_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_MOST_BLOCKS", 1000)
    data, reads = samples.gif(size=(16, 16))[:6] + struct.pack("<HHBBB", 16, 16, 0, 0, 0), 0
    data += (b"\x21\xfe" + b"\1a" * 400 + b"\0") * 50

    def fetch(offset: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        return data[offset : offset + length]

    assert images.read_gif(fetch).width == 16
    assert 1000 <= reads < 1100


@pytest.mark.parametrize(
    ("form", "boxes"),
    [
        ("jp2", box("jp2h", box("free") * 100)),
        ("cr3", box("moov", box("free") * 100)),
        ("mp4", box("moov", box("free") * 100)),
        ("mp4", box("moov", box("udta", box("free") * 100))),
    ],
)
def test_boxes_inside_each_other_have_one_bound(
    monkeypatch: pytest.MonkeyPatch, form: str, boxes: bytes
) -> None:
    from mediad.media import boxes as module

    monkeypatch.setattr(module, "_MOST_STEPS", 1000)
    data, steps = boxes * 200, 0

    def fetch(offset: int, length: int) -> bytes:
        nonlocal steps
        steps += length == 16
        return data[offset : offset + length]

    found = Found()
    if form == "mp4":
        isobmff.read_boxes(fetch, len(data), found)  # type: ignore[arg-type]
    else:
        READERS[form](fetch, len(data))
    assert steps <= 1000


# --- IPTC, FLIR, motion photos -------------------------------------------------------------------


def with_segment(marker: int, content: bytes) -> bytes:
    plain = samples.plain_jpeg(size=(16, 16))
    return plain[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content + plain[2:]


def test_iptc_is_a_low_date() -> None:
    data = with_segment(0xED, b"Photoshop 3.0\0" + rawsamples.resources({1028: rawsamples.iptc()}))
    found = dated(reading(data), "iptc:DateCreated")
    assert (found.moment, found.offset_minutes) == (TAKEN, 120)
    settings = DateSettings(UTC)
    taken = conclude(reading(data), File(3, b"x.jpg", len(data), 0, on_card=False), settings, NOW).taken
    assert taken is not None
    assert (taken.local, taken.confidence) == (TAKEN, "low")


@pytest.mark.parametrize(
    ("raw_date", "is_looked_for"), [("0000:00:00 00:00:00", True), ("2021:07:10 20:39:25", False)]
)
def test_iptc_counts_where_exif_has_no_date(raw_date: str, is_looked_for: bool) -> None:
    plain = samples.jpeg(raw_date=raw_date, size=(16, 16))
    content = b"Photoshop 3.0\0" + rawsamples.resources({1028: rawsamples.iptc()})
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    tags = [one.tag for one in reading(plain[:2] + segment + plain[2:]).candidates]
    assert ("iptc:DateCreated" in tags) == is_looked_for


@pytest.mark.parametrize("day", ["00000000", "", "nonsense", "2021"])
def test_iptc_that_is_no_date(day: str) -> None:
    data = with_segment(0xED, b"Photoshop 3.0\0" + rawsamples.resources({1028: rawsamples.iptc(day)}))
    assert [one.moment for one in reading(data).candidates] in ([], [None])


def thermal(seconds: int, order: str = ">") -> bytes:
    camera = struct.pack(order + "H", 2).ljust(0x384, b"\0") + struct.pack(order + "IIh", seconds, 41, 240)
    head = b"FFF\0" + bytes(16) + struct.pack(order + "III", 101, 64, 1)
    entry = struct.pack(order + "HHIIII", 0x20, 1, 100, 1, 96, len(camera))
    return head.ljust(64, b"\0") + entry.ljust(32, b"\0") + camera


@pytest.mark.parametrize("order", ["<", ">"])
def test_thermal_cameras(order: str) -> None:
    seconds = int(datetime(2016, 6, 27, 19, 29, 42, tzinfo=UTC).timestamp())
    data = thermal(seconds, order)
    found = dated(reading(with_segment(0xE1, b"FLIR\0\1\0\0" + data)), "FLIR:DateTimeOriginal")
    assert (found.moment, found.offset_minutes) == (
        datetime.fromisoformat("2016-06-27T15:29:42.041"),
        -240,
    )
    for cut in range(0, len(data), 37):
        assert flir.candidate(data[:cut]) is None
    assert flir.candidate(thermal(0)) is None


def ciff() -> bytes:
    """A CRW as it stands in a segment, whose header tells another kind of it."""
    return rawsamples.crw().replace(b"HEAPCCDR", b"HEAPJPGM")


@pytest.mark.parametrize(
    ("marker", "data", "tag", "moment"),
    [
        (
            0xE1,
            b"QVCI\0".ljust(0x4D, b"\0") + b"1998.10.24.12.08.57\0",
            "Casio:DateTimeOriginal",
            "1998-10-24T12:08:57",
        ),
        (
            0xEC,
            b"AGFA\0 713\r\n[picture info]\r\nZoom=1\r\nTimeDate=909698819\r\nFlash=1\r\n[camera info]\r\n",
            "PictureInfo:DateTimeOriginal",
            "1998-10-29T22:06:59",
        ),
        (
            0xEC,
            b"OLYMPUS\0TimeDate=2001:02:03 04:05:06\r\n",
            "PictureInfo:DateTimeOriginal",
            "2001-02-03T04:05:06",
        ),
        (0xE0, ciff(), "CanonRaw:DateTimeOriginal", f"{TAKEN:%Y-%m-%dT%H:%M:%S}"),
    ],
)
def test_cameras_older_than_exif(marker: int, data: bytes, tag: str, moment: str) -> None:
    whole = with_segment(marker, data)
    assert dated(reading(whole), tag).moment == datetime.fromisoformat(moment)
    for cut in range(0, len(data), 7):
        assert reading(with_segment(marker, data[:cut])).unreadable == ""


def test_heaps_that_hold_each_other_cost_little() -> None:
    """Two heaps that are the whole of the same again, and hundreds of dates."""
    dates = struct.pack("<IiI", 1_000_000_000, 0, 0)
    length = len(dates) + 2 + 500 * 10 + 4
    entries = 2 * struct.pack("<HII", 0x2800, length, 0) + 498 * struct.pack("<HII", 0x180E, 12, 0)
    heap = dates + struct.pack("<H", 500) + entries + struct.pack("<I", len(dates))
    reads: list[int] = []

    def fetch(offset: int, wanted: int) -> bytes:
        reads.append(wanted)
        return whole[offset : offset + wanted]

    whole = struct.pack("<2sI8s12x", b"II", 26, b"HEAPJPGM") + heap
    found = read_crw(fetch, len(whole))
    assert len(found.candidates) == 1
    assert len(reads) < 10_000


def seft() -> bytes:
    film = b"MotionPhoto_Data" + samples.mp4()
    head = b"SEFH" + struct.pack("<II", 106, 1) + struct.pack("<HHII", 0, 0x0A30, len(film), len(film))
    return film + head + struct.pack("<I", len(head)) + b"SEFT"


def google(key: str) -> bytes:
    packet = f'http://ns.adobe.com/xap/1.0/\0<rdf:Description GCamera:{key}="1"/>'
    return with_segment(0xE1, packet.encode()) + samples.mp4()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (google("MotionPhoto"), "xmp"),
        (google("MicroVideo"), "xmp"),
        (google("MotionPhotoVersion"), ""),
        (samples.plain_jpeg(size=(16, 16)) + seft(), "samsung trailer"),
        (samples.plain_jpeg(size=(16, 16)) + b"\xff\xff\xff\xffSEFT", ""),
        (samples.heic(TAKEN) + box("mpvd", samples.mp4()), "mpvd box"),
        (samples.plain_jpeg(size=(16, 16)), ""),
    ],
)
def test_motion_photos(data: bytes, told: str) -> None:
    found = reading(data)
    assert (found.motion, found.damaged) == (told, "")
    facts = conclude(found, File(3, b"x", len(data), 0, on_card=False), DateSettings(UTC), NOW)
    assert json.loads(facts.evidence).get("motion", "") == told


def test_the_message_of_libheif_ends_with_a_whole_word() -> None:
    told = heif_reader._short(ValueError("Invalid input:\n" + "outside of file bounds " * 9))
    assert len(told) <= 120
    assert told.startswith("Invalid input: outside of")
    assert told.removesuffix(" ...").rpartition(" ")[2] in ("outside", "of", "file", "bounds")
    assert heif_reader._short(ValueError("")) == "ValueError"
