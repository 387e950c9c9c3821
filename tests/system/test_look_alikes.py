"""Look-alikes, found by the real daemon in real pictures and films, which it leaves where they are."""

from __future__ import annotations

import io
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from PIL import Image

from tests import samples
from tests.system.once import picture
from tests.system.steered import Steered
from tests.waiting import wait_until

TAKEN = datetime.fromisoformat("2021-07-10T20:39:25")
COPY = {"action": "copy", "settle": "0s"}
FIND = {"duplicates": {"similar": "report"}}


def scene(seed: int) -> Image.Image:
    """Something to see, at 640 by 480 pixels."""
    return samples.image((640, 480), seed=seed, grid=(9, 7))


def jpeg(image: Image.Image, quality: int = 90, exif: Image.Exif | None = None) -> bytes:
    found = io.BytesIO()
    image.save(found, "JPEG", quality=quality, exif=exif or Image.Exif())
    return found.getvalue()


def film(folder: Path, *encoding: str) -> bytes:
    """Half a dozen seconds of a moving pattern."""
    path = folder / "film.mp4"
    make = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i"]
    subprocess.run(
        [*make, "mandelbrot=size=160x120:rate=5", "-t", "6", "-pix_fmt", "yuv420p", *encoding, str(path)],
        check=True,
        timeout=60,
    )
    return path.read_bytes()


def groups(daemon: Steered) -> list[tuple[str, list[str]]]:
    """Kinds and the names of the files, the best first."""
    wait_until(lambda: daemon.status()["queue"]["to_analyse"] == 0, what="all is looked at")
    found = daemon.call("Duplicates", similar=True)["groups"]
    return sorted((one["kind"], [Path(file["path"]).name for file in one["files"]]) for one in found)


def test_pictures_and_films_that_look_alike(tmp_path: Path) -> None:
    one, two = scene(1), scene(2)
    with_text = Image.Exif()
    with_text[0x010E] = "a title"
    with Steered(tmp_path, watch=COPY, more=FIND) as daemon:
        daemon.put("one.jpg", jpeg(one))
        daemon.put("small.jpg", jpeg(one.resize((320, 240)), quality=70))
        daemon.put("two.jpg", jpeg(two))
        daemon.put("titled.jpg", jpeg(two, exif=with_text))
        daemon.put("blank.png", samples.png(TAKEN, size=(16, 16), seed=3))
        wanted = [("payload", ["titled.jpg", "two.jpg"]), ("similar", ["one.jpg", "small.jpg"])]
        if shutil.which("ffmpeg"):
            daemon.put("film.mp4", film(tmp_path, "-c:v", "mpeg4", "-q:v", "3"))
            daemon.put("again.mp4", film(tmp_path, "-c:v", "mpeg4", "-q:v", "9"))
            wanted.insert(1, ("similar", ["film.mp4", "again.mp4"]))
        assert daemon.rest() == "idle"
        assert groups(daemon) == wanted
        assert daemon.totals()["filed"] == len(daemon.filed())
        code, out, _ = _told(daemon, "duplicates", "--similar")
        assert code == 0
        assert f"{len(wanted)} groups of look-alikes; mediad never removes them" in out


def _told(daemon: Steered, *arguments: str) -> tuple[int, str, str]:
    done = daemon.ctl(*arguments)
    return done.returncode, done.stdout, done.stderr


def test_killed_in_the_midst_it_goes_on_where_it_was(tmp_path: Path) -> None:
    with Steered(tmp_path, watch=COPY, more=FIND) as daemon:
        for number in range(6):
            daemon.put(f"{number}.jpg", picture(number))
        daemon.put("again.jpg", jpeg(scene(5)))
        daemon.put("smaller.jpg", jpeg(scene(5).resize((320, 240))))
        daemon.rest()
        daemon.kill()
        daemon.start()
        found = [names for _, names in groups(daemon) if "again.jpg" in names]
        assert found == [["again.jpg", "smaller.jpg"]]
