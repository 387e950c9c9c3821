"""ExifTool is asked where we find no date, and what it says or does is not believed blindly."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from mediad.media.__main__ import DescriptorFile
from mediad.media.formats import FORMATS
from mediad.media.found import Found
from mediad.media.pictures import exiftool
from mediad.media.pictures.exif import Tags
from mediad.media.read import ReadError, read
from mediad.media.reading import Candidate
from tests import rawsamples
from tests.rawsamples import MAKE, SIZE, TAKEN

UNDATED = Found(True, tags=Tags({0x927C: b"note"}))
DATE = Candidate("exif", "DateTimeOriginal", "", TAKEN)
ZERO = Candidate("exif", "DateTimeOriginal", "0000:00:00 00:00:00", None)
CHANGED = Candidate("exif", "ModifyDate", "", TAKEN)


@pytest.mark.parametrize(
    ("form", "found", "dates", "wanted"),
    [
        ("jpeg", UNDATED, [], True),
        ("jpeg", UNDATED, [CHANGED], True),
        ("jpeg", UNDATED, [DATE], False),
        ("jpeg", UNDATED, [ZERO], False),
        ("png", Found(True), [], False),
        ("gif", Found(True), [], False),
        ("jxl", Found(True, sealed=True), [], True),
        ("nef", Found(True), [ZERO], True),
        ("nef", Found(True), [DATE], False),
        ("mp4", UNDATED, [], False),
    ],
)
def test_what_gets_a_process(form: str, found: Found, dates: list[Candidate], wanted: bool) -> None:
    assert exiftool.can_help(FORMATS[form], found, dates) == wanted


def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> tuple[list[Candidate], Found]:
    """What a stand-in for ExifTool, a Python program, tells of a file."""
    program = tmp_path / "exiftool"
    program.write_text(f"#!{sys.executable} -IS\nimport sys\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(exiftool, "_program", lambda: str(program))
    (tmp_path / "x").write_bytes(b"the file's content")
    found = Found(True)
    with (tmp_path / "x").open("rb") as stream:
        stream.seek(5)
        told = exiftool.look(DescriptorFile(stream.fileno(), 18), found)  # type: ignore[arg-type]
        assert stream.tell() == 5, "the offset is shared with the daemon"
    return told, found


def test_what_it_says_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = (
        "assert open(sys.argv[-1]).read() == 'the file\\'s content'\n"
        'print(\'[{"SourceFile":"x","Casio:DateTimeOriginal":"2021:07:10 20:39:25.5+02:00",'
        '"IFD0:Make":"Acme","IFD0:ImageWidth":60,"IFD0:ImageHeight":40,"IFD0:Model":["no text"]}]\')'
    )
    told, found = asked(monkeypatch, tmp_path, script)
    assert [(one.tag, one.moment, one.offset_minutes) for one in told] == [
        ("Casio:DateTimeOriginal", TAKEN + timedelta(milliseconds=500), 120)
    ]
    assert (found.make, found.model, found.width, found.height) == ("Acme", "", 60, 40)


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = (
        "import ctypes, resource\nfound = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(found), 0, 0, 0)\n"
        "limit = resource.getrlimit(resource.RLIMIT_CPU)[0]\n"
        'print(\'[{"IFD0:Make":"%d %d"}]\' % (found.value, limit))'
    )
    assert asked(monkeypatch, tmp_path, script)[1].make == f"{signal.SIGKILL:d} {exiftool._PROCESSOR:.0f}"


@pytest.mark.parametrize(
    "script",
    ["", "print('[' * 9999)", "print('{}')", "print('[1]')", "print('x' * 99999)", "sys.exit(3)", "1/0"],
)
def test_what_makes_no_sense_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    assert asked(monkeypatch, tmp_path, script) == ([], Found(True))


BY_SIGNAL = "import os, signal\nos.kill(os.getpid(), signal.{})"
CLOSED = "import os, signal\nos.close(1)\nsignal.pause()"


@pytest.mark.parametrize("script", [BY_SIGNAL.format("SIGKILL"), "import signal; signal.pause()", CLOSED])
def test_what_is_done_to_it_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    """A RAW file's date does not depend on how busy the system was."""
    monkeypatch.setattr(exiftool, "_LIMIT", 30.0 if "SIGKILL" in script else 0.2)
    with pytest.raises(exiftool.NotAnswered):
        asked(monkeypatch, tmp_path, script)
    path = tmp_path / "x.nef"
    path.write_bytes(rawsamples.tiff({0x010F: MAKE, 0x00FE: 1}))
    with path.open("rb") as stream, pytest.raises(ReadError):
        read(DescriptorFile(stream.fileno(), path.stat().st_size), b"x.nef", path.stat().st_size)  # type: ignore[arg-type]


def test_what_it_does_itself_is_an_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert asked(monkeypatch, tmp_path, BY_SIGNAL.format("SIGXCPU")) == ([], Found(True))


def test_where_there_is_no_room_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(exiftool.NotAnswered):
        asked(monkeypatch, tmp_path, "")


def test_without_it_or_a_descriptor_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exiftool, "_program", lambda: None)
    with Path("/dev/null").open("rb") as stream:
        assert exiftool.look(stream, Found()) == []
    assert exiftool.look(io.BytesIO(), Found()) == []


def test_the_real_one_agrees(tmp_path: Path) -> None:
    program = exiftool._program()
    if program is None:
        pytest.skip("there is no exiftool here")
    (tmp_path / "x.nef").write_bytes(rawsamples.nested("NIKON CORPORATION"))
    told = subprocess.run(
        [program, "-j", "-n", "-DateTimeOriginal", "-Make", "-ImageSize", str(tmp_path / "x.nef")],
        capture_output=True,
        check=True,
    )
    found = json.loads(told.stdout)[0]
    assert found["DateTimeOriginal"] == f"{TAKEN:%Y:%m:%d %H:%M:%S}"
    assert found["ImageSize"] == f"{SIZE[0]} {SIZE[1]}"


def test_it_finds_the_date_that_we_do_not_look_for(tmp_path: Path) -> None:
    if exiftool._program() is None:
        pytest.skip("there is no exiftool here")
    path = tmp_path / "x.nef"
    inner: dict[int, int | str] = {0x00FE: 0, 0x0100: 60, 0x0101: 40, 0x9003: f"{TAKEN:%Y:%m:%d %H:%M:%S}"}
    path.write_bytes(rawsamples.tiff({0x010F: MAKE, 0x00FE: 1}, inner=[inner]))
    with path.open("rb") as stream:
        size = path.stat().st_size
        found = read(DescriptorFile(stream.fileno(), size), b"x.nef", size)  # type: ignore[arg-type]
    assert [(one.tag, one.moment) for one in found.candidates] == [("SubIFD:DateTimeOriginal", TAKEN)]
