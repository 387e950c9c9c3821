"""Prints of real files, made by real workers: copies are found, and what goes wrong costs one file."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from PIL import Image, ImageCms

from mediad import worker, workers
from mediad.media import wire
from mediad.media.prints import decoding, likeness
from mediad.media.prints.ffmpeg import Failed, Source
from mediad.media.prints.likeness import Print, distance
from mediad.media.read import ReadError
from mediad.media.reading import File
from mediad.workers import WorkerPool
from tests import lookalikes, samples
from tests.unit.test_likeness import scene

pytestmark = pytest.mark.anyio

BOMB = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\1\0\0;"
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1, time_limit=60, nice=1) as pool:
        yield pool


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


async def printed(pool: WorkerPool, folder: Path, name: str, content: bytes) -> Print:
    path = folder / name
    await anyio.Path(path).write_bytes(content)
    return await lookalikes.print_of(pool, path)


def _turned(picture: Image.Image) -> bytes:
    """As a camera that was held sideways stores it."""
    block = Image.Exif()
    block[0x0112] = 6
    return saved(picture.rotate(90, expand=True), "JPEG", exif=block)


def _raw(picture: Image.Image) -> bytes:
    """A RAW file in which two previews lie around what is no picture."""
    small, large = picture.resize((160, 120)), picture
    sensor = b"\xff\xd8\xff\xc4\x00\x04ab\xff\xc3\x00\x0b\x0e\x20\x00\x20\x00" + bytes(3000)
    previews = saved(small, "JPEG") + sensor + saved(large, "JPEG", quality=90)
    head = b"FUJIFILMCCD-RAW ".ljust(100, b"\0") + (108).to_bytes(4, "big") + len(previews).to_bytes(4, "big")
    return head + previews + bytes(500)


async def test_copies_of_a_picture(pool: WorkerPool, tmp_path: Path) -> None:
    whole = scene(1, (800, 600))
    on_glass = Image.merge("RGBA", (*whole.split(), Image.new("L", whole.size, 255)))
    copies = {
        "email.jpg": saved(whole.resize((320, 240), Image.Resampling.LANCZOS), "JPEG", quality=60),
        "lossless.png": saved(on_glass, "PNG"),
        "turned.jpg": _turned(whole),
        "phone.webp": saved(whole, "WEBP", quality=60),
        "new.avif": saved(whole.resize((400, 300)), "AVIF", quality=70, speed=10, max_threads=1),
        "scan.tif": saved(whole, "TIFF"),
        "colours.gif": saved(whole, "GIF"),
        "camera.raf": _raw(whole),
    }
    original = await printed(pool, tmp_path, "a.jpg", saved(whole, "JPEG", quality=90))
    assert (original.kind, original.width, original.height, original.failed) == ("picture", 800, 600, "")
    for name, content in copies.items():
        made = await printed(pool, tmp_path, name, content)
        found = distance(original, made)
        assert found is not None, name
        assert found <= 6, name
        assert made.payload not in (b"", original.payload), name
        assert made.width * 3 == made.height * 4, name
    assert pool.statistics().started == 1


async def test_a_heic_picture(pool: WorkerPool, tmp_path: Path) -> None:
    made = await printed(pool, tmp_path, "a.heic", samples.heic())
    assert (made.kind, len(made.looks), len(made.payload), made.failed) == ("picture", 1, 32, "")


@pytest.mark.parametrize(
    ("name", "content", "failed"),
    [
        ("cut.jpg", samples.jpeg()[:2000], "it cannot be decoded"),
        ("x.mrw", b"\0MRM\0\0\0\4abcd" + bytes(99), "there is no preview in it"),
        ("bomb.gif", BOMB, "it is too large to be decoded"),
        ("text.txt", b"hello", "nothing in it can be compared"),
    ],
)
async def test_what_cannot_be_compared_says_why(
    pool: WorkerPool, tmp_path: Path, name: str, content: bytes, failed: str
) -> None:
    made = await printed(pool, tmp_path, name, content)
    assert (made.failed, made.looks) == (failed, ())
    assert pool.statistics().crashed == 0


async def test_the_content_says_what_it_is(pool: WorkerPool, tmp_path: Path) -> None:
    photo = saved(scene(1), "PNG")
    lying = await printed(pool, tmp_path, "a.jpg", photo)
    assert lying == await printed(pool, tmp_path, "a.png", photo)
    descriptor = os.open(tmp_path / "a.jpg", os.O_RDONLY)
    try:
        assert (
            await pool.fingerprint(File(descriptor, b"a.jpg", len(photo), 0, on_card=False), "jpeg") == lying
        )
    finally:
        os.close(descriptor)


def test_a_large_jpeg_is_decoded_to_an_eighth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(decoding, "_MOST_PIXELS", 400 * 300)
    small, size = decoding.decode(io.BytesIO(saved(scene(1, (1600, 1200)), "JPEG")), "jpeg", 0)
    assert (size, small.size) == ((1600, 1200), (400, 300))
    with pytest.raises(Failed, match="too large"):
        decoding.decode(io.BytesIO(saved(scene(1, (800, 600)), "PNG")), "png", 0)


# --- Films ---------------------------------------------------------------------------------------


def _encode(frames: list[Image.Image], path: Path, *options: str) -> None:
    """Writes a film of ten frames a second."""
    size = "{}x{}".format(*frames[0].size)
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        size,
        "-r",
        "10",
        "-i",
        "-",
    ]
    pixels = b"".join(frame.tobytes() for frame in frames)
    tone = ["-f", "lavfi", "-i", "sine=duration=2"]
    out = ["-c:v", "mpeg4", "-q:v", "3", "-c:a", "aac", *options, str(path)]
    subprocess.run([*command, *tone, *out], input=pixels, check=True)


def _convert(source: Path, target: Path, *options: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), *options, str(target)], check=True)


def _pan(seed: int, count: int) -> list[Image.Image]:
    """Frames of a camera that moves over a scene."""
    wide = scene(seed, (400, 120))
    return [wide.crop((8 * number, 0, 8 * number + 160, 120)) for number in range(count)]


def _make_films(folder: Path) -> None:
    opening, whole = _pan(1, 8), _pan(2, 20)
    _encode(opening + whole[8:], folder / "film.mp4")
    _encode(opening + _pan(3, 20)[8:], folder / "next.mp4")
    film = folder / "film.mp4"
    _convert(film, folder / "small.avi", "-vf", "scale=80:60", "-c:v", "mjpeg", "-q:v", "8", "-an")
    _convert(film, folder / "same.mkv", "-c", "copy", "-metadata", "title=Holiday")
    _convert(film, folder / "fast.mov", "-c", "copy", "-movflags", "faststart", "-metadata", "title=Holiday")


@needs_ffmpeg
async def test_copies_of_a_film(pool: WorkerPool, tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(_make_films, tmp_path)
    names = ("film.mp4", "next.mp4", "small.avi", "same.mkv", "fast.mov")
    made = {name: await lookalikes.print_of(pool, tmp_path / name) for name in names}
    film = made["film.mp4"]
    assert (film.kind, film.width, film.height, film.failed) == ("film", 160, 120, "")
    assert film.duration == pytest.approx(2.0, abs=0.1)
    assert {name for name, other in made.items() if distance(film, other) is not None} == {
        *("film.mp4", "small.avi", "same.mkv", "fast.mov")
    }
    assert {name for name, other in made.items() if other.payload == film.payload} == {
        *("film.mp4", "same.mkv", "fast.mov")
    }


@needs_ffmpeg
async def test_a_film_names_no_other_file(pool: WorkerPool, tmp_path: Path) -> None:
    """A playlist under the name of a film is read as a film, and what it names is not opened."""
    await anyio.to_thread.run_sync(lambda: _encode(_pan(1, 20), tmp_path / "film.mp4"))
    playlist = f"#EXTM3U\n#EXTINF:2,\nfile://{tmp_path}/film.mp4\n".encode()
    await anyio.Path(tmp_path / "evil.mp4").write_bytes(playlist)
    descriptor = os.open(tmp_path / "evil.mp4", os.O_RDONLY)
    try:
        made = await pool.fingerprint(File(descriptor, b"evil.mp4", len(playlist), 0, on_card=False), "mp4")
    finally:
        os.close(descriptor)
    assert (made.looks, made.payload, made.failed) == ((), b"", "there is no film in it")


@pytest.fixture
def cut_film(tmp_path: Path) -> Iterator[Source]:
    _encode(_pan(1, 8), tmp_path / "film.mkv")
    os.truncate(tmp_path / "film.mkv", 9000)
    descriptor = os.open(tmp_path / "film.mkv", os.O_RDONLY)
    yield Source(descriptor, "matroska", time.monotonic() + 60)
    os.close(descriptor)


@needs_ffmpeg
def test_what_a_disk_cannot_read_is_not_the_end_of_a_film(
    cut_film: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cut_film.convert(cut_film.copied("streamhash", hash="sha256"))

    def broken(descriptor: int, length: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cut_film, "_was_read", False)
    monkeypatch.setattr("mediad.media.prints.ffmpeg.os.pread", broken)
    with pytest.raises(ReadError, match="Input/output"):
        cut_film.convert(cut_film.copied("streamhash", hash="sha256"))


@pytest.mark.parametrize("program", ["convert", "probe"])
def test_a_killed_program_says_nothing_of_the_film(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ffmpeg", "ffprobe"):
        (tmp_path / name).write_text("#!/bin/sh\necho partial\nkill -KILL $$\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with open(tmp_path / "ffmpeg", "rb") as stream:
        source = Source(stream.fileno(), "mov", time.monotonic() + 60)
        run = {
            "convert": lambda: source.convert(source.copied("null")),
            "probe": lambda: source.probe("format"),
        }
        with pytest.raises(ReadError, match="killed"):
            run[program]()


async def test_films_wait_for_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with WorkerPool(1) as pool:
        made = await printed(pool, tmp_path, "a.mp4", samples.mp4())
    assert made == Print("film", failed=likeness.NO_FFMPEG)


# --- What goes wrong -----------------------------------------------------------------------------

UNRULY = """
import os, signal, socket, subprocess, sys
from mediad.media import __main__ as worker
from mediad.media.programs import bounded

def print_(file, form, limit):
    subprocess.Popen(["sleep", "1000"], pass_fds=(file.fd,), preexec_fn=bounded(limit))
    os.write(file.fd, b"!")
    if file.name == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    signal.pause()

worker._print = print_
worker.confine(int(sys.argv[1]))
worker.serve(socket.socket(fileno=0))
"""


@pytest.fixture
def unruly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "unruly.py"
    program.write_text(UNRULY, encoding="utf-8")
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-I", str(program)))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Whoever holds the second end is alive as long as the first does not end."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


async def _ends(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    with anyio.fail_after(30):
        while await anyio.to_thread.run_sync(os.read, pipe[0], 9, abandon_on_cancel=True):
            pass


@pytest.mark.usefixtures("unruly")
async def test_a_crash_costs_the_file(pipe: tuple[int, int]) -> None:
    async with WorkerPool(1) as pool:
        made = await pool.fingerprint(File(pipe[1], b"crash", 0, 0, on_card=False), "jpeg")
        assert made == Print("", failed=worker.CRASHED)
        assert pool.statistics().crashed == 2  # tried again, once
        await _ends(pipe)


@pytest.mark.usefixtures("unruly")
async def test_cancelling_ends_what_a_worker_started(pipe: tuple[int, int]) -> None:
    async with WorkerPool(1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(pool.fingerprint, File(pipe[1], b"hang", 0, 0, on_card=False), "jpeg")
        with anyio.fail_after(30):
            assert await anyio.to_thread.run_sync(os.read, pipe[0], 1) == b"!"
        tasks.cancel_scope.cancel()
    await _ends(pipe)


@pytest.mark.usefixtures("unruly")
async def test_what_takes_too_long_is_tried_again_later(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_GRACE", 0.2)
    async with WorkerPool(1, time_limit=0.2) as pool:
        made = await pool.fingerprint(File(pipe[1], b"hang", 0, 0, on_card=False), "jpeg")
    assert made.failed.startswith(wire.READING_FAILED)
    await _ends(pipe)


async def test_an_error_of_the_system_is_no_fault_of_the_file(pool: WorkerPool, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)  # reading a folder fails
    try:
        made = await pool.fingerprint(File(descriptor, b"x.jpg", 700, 0, on_card=False), "jpeg")
    finally:
        os.close(descriptor)
    assert made.failed.startswith(wire.READING_FAILED)


def _profile(primaries: dict[bytes, tuple[float, float, float]]) -> bytes:
    """The profile of sRGB with other primaries (ICC.1:2010, 9.2 and 10.27)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        if (values := primaries.get(bytes(profile[entry : entry + 4]))) is not None:
            start = int.from_bytes(profile[entry + 4 : entry + 8], "big") + 8
            profile[start : start + 12] = b"".join(round(one * 65536).to_bytes(4, "big") for one in values)
    return bytes(profile)


async def test_copies_in_another_colour_space_are_alike(pool: WorkerPool, tmp_path: Path) -> None:
    wide = _profile({b"rXYZ": (0.798, 0.288, 0), b"gXYZ": (0.135, 0.712, 0), b"bXYZ": (0.031, 0, 0.825)})
    stands = scene(6)
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(stands, ImageCms.ImageCmsProfile(io.BytesIO(wide)), srgb)
    assert shown is not None
    original = await printed(pool, tmp_path, "a.png", saved(stands, "PNG", icc_profile=wide))
    stripped = await printed(pool, tmp_path, "b.jpg", saved(stands, "JPEG", quality=80))
    converted = await printed(pool, tmp_path, "c.jpg", saved(shown, "JPEG", quality=80))
    broken = await printed(pool, tmp_path, "d.png", saved(stands, "PNG", icc_profile=wide[:200]))
    assert distance(original, stripped) is not None
    assert distance(original, converted) is not None
    assert distance(stripped, converted) is None
    assert distance(broken, stripped) is not None
