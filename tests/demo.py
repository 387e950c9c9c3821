"""Makes the demo: an inbox of varied files, an empty library, and a configuration that joins them.

`python -m tests.demo DIR` makes it where DIR is missing, goes on with it where it is there, and says what
to try next.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# A Unix socket's path has room for no more.
SOCKET_LIMIT = 107

CONFIG = """\
# The demo. Everything is inside this folder; delete it, and `make run` makes a new one.

[library.demo]
path = {library}
min_free = "100MB"

[watch.inbox]
path = {inbox}
action = "move"

[daemon]
log_level = "debug"
state_dir = {state}
socket = {socket}
"""

NEXT = """
{made}
mediad moves what is in {demo}/inbox to {demo}/library, into a folder for the day it was taken.
It runs in this terminal and tells what it does with each file. Ctrl-C stops it.

Try from another terminal:
    # what was filed, and what stayed behind because it is no media
    find {demo}/library -type f
    find {demo}/inbox -type f
    # is all well? and what is the story of a file?
    {mediactl} --socket {socket} status
    {mediactl} --socket {socket} why IMG_4120.JPG
    # drop some more files, and watch them go
    cp {demo}/more/* {demo}/inbox/
    # what would happen to what is in the inbox now (touches nothing)
    {mediad} plan --config {demo}/config.toml

And once it is stopped:
    # take in what is there, and stop
    {mediad} run --once --config {demo}/config.toml
"""


@dataclass(frozen=True)
class Sample:
    """A file of the demo; `time` becomes its modification time."""

    path: bytes
    content: bytes
    time: datetime


def main(arguments: list[str] | None = None) -> None:
    """Make the demo if it is missing, and say what to try next."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="makes the demo")
    parser.add_argument("folder", type=Path, help="the folder to make it in")
    parser.add_argument("--mediad", default=".venv/bin/mediad", help="the command to show")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    if folder.exists():
        made = f"{folder} is there already, so it goes on. (rm -r {folder} to begin anew.)"
    else:
        made = f"Made {make(folder)} files in {folder}/inbox."
    complete(folder)
    mediactl = str(Path(options.mediad).with_name("mediactl"))
    told = {"made": made, "demo": folder, "mediad": options.mediad, "mediactl": mediactl}
    print(NEXT.format(**told, socket=socket_of(folder)), flush=True)


def make(folder: Path) -> int:
    """Make the files of a new demo, all or nothing, and return how many are in its inbox."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        count = sum(write(making / "inbox", sample) for sample in inbox())
        for sample in more():
            write(making / "more", sample)
        making.chmod(0o755)
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return count


def complete(folder: Path) -> None:
    """Make the folders and the configuration where they are missing."""
    root = folder.resolve()
    for name in ("inbox", "library", "state"):
        (root / name).mkdir(exist_ok=True)
    config = root / "config.toml"
    if not config.exists():
        config.write_text(configuration(root), encoding="utf-8")


def configuration(root: Path) -> str:
    """The configuration file of the demo in `root`."""
    paths = {name: root / name for name in ("library", "inbox", "state")}
    paths["socket"] = root / "control"
    if len(os.fsencode(paths["socket"])) > SOCKET_LIMIT:
        paths["socket"] = Path(tempfile.mkdtemp(prefix="mediad-demo-")) / "control"
    # A TOML string may be written as a JSON one.
    return CONFIG.format(**{name: json.dumps(str(path), ensure_ascii=False) for name, path in paths.items()})


def socket_of(folder: Path) -> Path:
    """Where the demo's configuration puts the socket, as short as may be."""
    usual = folder / "control"
    try:
        config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError:  # edited; mediad says what is wrong
        return usual
    socket = Path(config.get("daemon", {}).get("socket", usual))
    return usual if socket == usual.resolve() else socket


def write(folder: Path, sample: Sample) -> bool:
    """Write a file; False where the filesystem does not take its name."""
    path = os.path.join(os.fsencode(folder), sample.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path, "wb") as stream:
            stream.write(sample.content)
    except OSError:
        return False
    os.utime(path, (sample.time.timestamp(), sample.time.timestamp()))
    return True


def inbox() -> Iterator[Sample]:
    """The files that the daemon finds when it starts."""
    yield from _card()
    yield from _phone()
    yield from _messengers()
    yield from _sidecars()
    yield from _copies()
    yield from _undated()
    yield from _odd_names()
    yield from _no_media()


def more() -> Iterator[Sample]:
    """The files to drop into the inbox by hand: a picture, a film, and a copy of what is filed by then."""
    from tests import samples

    yield _sample("IMG_2001.JPG", samples.jpeg(_at("2024-09-21 17:20:00"), seed=90), "2024-09-21 17:20:00")
    film = samples.mov(seed=91, frames=5, creation_date="2024-09-21T19:00:00+0200")
    yield _sample("IMG_2002.MOV", film, "2024-09-21 17:00:00")
    for first in itertools.islice(_card(), 1):
        yield Sample(b"copy of IMG_0001.JPG", first.content, first.time)


def _sample(name: str | bytes, content: bytes, time: str = "2024-02-03 04:05:06") -> Sample:
    return Sample(os.fsencode(name), content, _at(time).replace(tzinfo=UTC))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _card() -> Iterator[Sample]:
    """A camera's memory card: eight pictures of four days, and a film whose only date is the file's."""
    from tests import samples

    days = ("2019-12-31 23:58:10", "2020-01-01 00:01:30", "2021-07-10 20:39:25", "2021-07-11 09:15:00")
    for number, day in enumerate(day for day in days for _ in range(2)):
        taken = _at(day).replace(second=number)
        picture = samples.jpeg(taken, seed=number, subsec=f"{number}0", orientation=1)
        yield _sample(f"DCIM/100CANON/IMG_{number + 1:04}.JPG", picture, day)
    yield _sample("DCIM/100CANON/MVI_0009.MOV", samples.mov(seed=9, frames=4), "2021-07-11 09:20:00")


def _phone() -> Iterator[Sample]:
    """A phone: two Live Photos, an edited picture, a panorama in another zone, films, a screenshot."""
    from tests import samples

    taken = _at("2022-08-15 18:30:12")
    still, moving = samples.live_photo(taken, seed=20)
    yield _sample("phone/IMG_4120.JPG", still)
    yield _sample("phone/IMG_4120.MOV", moving)
    other = "0B0F9E1C-52C4-4F0B-8A53-93E5B9C0C7A1"
    still, moving = samples.live_photo(taken.replace(day=16), content_id=other, still="heic", seed=21)
    yield _sample("phone/IMG_4121.HEIC", still)
    yield _sample("phone/IMG_4121.MOV", moving)
    edited = samples.jpeg(taken, seed=22, make="Apple", model="iPhone 12", offset="+02:00", software="15.6")
    yield _sample("phone/IMG_E4120.JPG", edited)
    yield _sample("phone/IMG_4120.AAE", samples.aae())
    tokyo = samples.jpeg(_at("2023-04-01 07:00:00"), seed=23, offset="+09:00", size=(1200, 300))
    yield _sample("phone/PXL_20230331_220000123.PANO.jpg", tokyo)
    yield _sample("phone/PXL_20230514_101530123.mp4", samples.mp4(_at("2023-05-14 10:15:33"), frames=3))
    yield _sample("phone/VID_20230514_121600.3gp", samples.mp4(brand="3gp4", seed=24))
    yield _sample("phone/Screenshot_20230102-101112.png", samples.png(seed=25, size=(270, 585)))
    yield _sample("phone/Recording 20230514_130000.wav", samples.wav())


def _messengers() -> Iterator[Sample]:
    """Pictures without metadata, which only their names date."""
    from tests import samples

    yield _sample("chat/IMG-20220815-WA0003.jpg", samples.plain_jpeg(seed=30))
    yield _sample("chat/WhatsApp Image 2022-08-16 at 10.11.12.jpeg", samples.plain_jpeg(seed=31))
    yield _sample("chat/signal-2022-08-17-101112.webp", samples.webp(seed=32, make="", model=""))


def _sidecars() -> Iterator[Sample]:
    """Pictures with a file beside them that says more."""
    from tests import samples

    taken = _at("2018-05-20 14:00:00")
    yield _sample("edited/DSC_0042.JPG", samples.jpeg(taken, seed=40, make="NIKON", model="D750"))
    yield _sample("edited/DSC_0042.xmp", samples.xmp_sidecar(taken))
    yield _sample("edited/scan of 1994.png", samples.png(seed=41))
    yield _sample("edited/scan of 1994.png.xmp", samples.xmp_sidecar(_at("1994-06-05 12:00:00")))
    yield _sample("takeout/beach.jpg", samples.plain_jpeg(seed=42))
    yield _sample("takeout/beach.jpg.json", samples.takeout_sidecar("beach.jpg", _at("2016-08-01 10:00:00")))


def _copies() -> Iterator[Sample]:
    """A copy of a picture on the card, and two pictures of one day that share a name."""
    from tests import samples

    for first in itertools.islice(_card(), 1):
        yield Sample(b"copies/IMG_0001 (1).JPG", first.content, first.time)
    for seed, owner in enumerate(("anna", "ben"), 50):
        yield _sample(f"{owner}/IMG_0007.JPG", samples.jpeg(_at("2021-07-12 11:00:00"), seed=seed))


def _undated() -> Iterator[Sample]:
    """Pictures that nothing dates, or that a clock which was never set dates wrongly."""
    from tests import samples

    yield _sample("scans/wedding.tif", samples.tiff(seed=60, make="EPSON", model="V600"))
    yield _sample("scans/grandmother.jpg", samples.plain_jpeg(seed=61))
    yield _sample("scans/no clock.jpg", samples.jpeg(seed=62, raw_date="0000:00:00 00:00:00"))


def _odd_names() -> Iterator[Sample]:
    """Names that trip programs up, and an extension that is wrong."""
    from tests import samples

    names = (
        "party 🎉 ünïcödé.jpg".encode(),
        b"two\nlines.jpg",
        b"not UTF-8 \xff\xfe.jpg",
        b"-rf $(HOME) 'quoted' \"twice\".jpg",
        b"a JPEG in disguise.png",
    )
    for number, name in enumerate(names):
        taken = _at("2023-10-01 12:00:00").replace(minute=number)
        yield _sample(b"odd names/" + name, samples.jpeg(taken, seed=70 + number))


def _no_media() -> Iterator[Sample]:
    """What cannot be read, is damaged, is empty, is still being fetched, or is no media at all."""
    from tests import samples

    yield _sample("broken.jpg", samples.broken_jpeg())
    yield _sample("cut off.jpg", samples.jpeg(_at("2023-11-11 11:11:11"), seed=80)[:6000])
    yield _sample("empty.jpg", b"")
    yield _sample("film.mp4.part", samples.mp4(seed=81)[:3000])
    yield _sample("notes.txt", b"Pictures of the summer are on the blue disk.\n")


if __name__ == "__main__":
    main()
