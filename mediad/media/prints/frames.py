"""Frames of a film, spread over its running time. Runs in workers.

They lie on a grid of times that does not depend on the exact duration, so that a copy whose container says
something slightly different is looked at in the same moments.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from PIL import Image

from mediad.media.prints.ffmpeg import Failed, Source
from mediad.media.prints.likeness import Look
from mediad.media.prints.looks import look

_SIDE = 128
_FRAME = 3 * _SIDE * _SIDE
_LEAST_MOMENTS = 8  # and less than twice as many; thin air
_SHORTEST_STEP = 1 / 32
_ASIDE = 0.0125  # seconds; at whole seconds one frame follows the other, in most films and with no margin
_IN_ONE_GO = 90.0  # seconds; longer films are sought through: decoding all of one takes longer than that
_BEFORE = 0.5  # seconds by which a moment is sought too early
_LONGEST = 1e6
_ENTRIES = (
    "format=duration,start_time:stream=codec_type,width,height,sample_aspect_ratio,duration,start_time"
    ":stream_disposition=attached_pic:stream_tags=rotate:stream_side_data=rotation"
)


@dataclass(frozen=True, slots=True)
class Film:
    """What a film is like.

    Attributes:
        width, height: in pixels as shown. duration: seconds, or None.
        lead: seconds that the sound begins before the pictures, which differs between containers.
    """

    width: int
    height: int
    duration: float | None
    lead: float = 0.0


def measure(source: Source) -> Film:
    """Size and duration of a film.

    Raises:
        Failed: it cannot be read.
    """
    told = json.loads(source.probe(_ENTRIES))
    stream = next((one for one in told.get("streams", ()) if _is_film(one)), None)
    if stream is None:
        raise Failed("there is no film in it")
    width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
    width = round(width * _aspect(stream.get("sample_aspect_ratio", "")))
    if _rotation(stream) % 180:
        width, height = height, width
    container = told.get("format", {})
    duration = _seconds(container, "duration") or _seconds(stream, "duration")
    lead = (_seconds(stream, "start_time") or 0.0) - (_seconds(container, "start_time") or 0.0)
    return Film(width, height, duration if duration and duration > 0 else None, max(0.0, lead))


def _is_film(stream: dict[str, Any]) -> bool:
    return stream.get("codec_type") == "video" and not stream.get("disposition", {}).get("attached_pic")


def _aspect(text: str) -> float:
    above, _, below = text.partition(":")
    if not (above.isdigit() and below.isdigit() and int(above) and int(below)):
        return 1.0
    ratio = int(above) / int(below)
    return ratio if 0.1 < ratio < 10 else 1.0


def _rotation(stream: dict[str, Any]) -> int:
    told = [side.get("rotation") for side in stream.get("side_data_list", ())]
    told.append(stream.get("tags", {}).get("rotate"))
    return next((round(float(turn) / 90) * 90 for turn in told if turn is not None), 0)


def _seconds(told: dict[str, Any], name: str) -> float | None:
    try:
        seconds = float(told.get(name, ""))
    except ValueError:
        return None
    return seconds if abs(seconds) < _LONGEST else None


def looks(source: Source, duration: float, lead: float) -> tuple[Look, ...]:
    """What a film looks like at moments all over it.

    Args:
        duration, lead: seconds, as in `Film`.

    Raises:
        Failed: there is no frame that can be read.
    """
    step = step_of(duration)
    times = [step * number + _ASIDE for number in range(1, math.ceil((duration - _ASIDE) / step))]
    found = _in_one_go(source, step, times) if duration <= _IN_ONE_GO else _sought(source, times, lead)
    if not found:
        raise Failed("it has no frames that can be read")
    return tuple(found)


def step_of(duration: float) -> float:
    """Seconds between the moments: a power of two, so that those of a wide grid lie on every narrower one."""
    return max(_SHORTEST_STEP, 2.0 ** math.floor(math.log2(duration / _LEAST_MOMENTS)))


def _in_one_go(source: Source, step: float, times: list[float]) -> list[Look]:
    # round="up" gives the frame that is on the screen at each moment; the very first one is left out. Times
    # in the container's own units would be rounded to whole frames by some.
    rate = str(Fraction(1) / Fraction(step))
    film = source.stream().video.filter("settb", "AVTB").filter("setpts", "PTS-STARTPTS")
    film = film.filter("fps", fps=rate, round="up", start_time=_ASIDE)
    film = film.filter("setpts", "PTS-STARTPTS")  # else ffmpeg repeats the first frame, to begin at 0
    data = source.convert(_small(film, len(times) + 1))
    return [
        _look(data, number, at) for number, at in enumerate(times, 1) if (number + 1) * _FRAME <= len(data)
    ]


def _sought(source: Source, times: list[float], lead: float) -> list[Look]:
    found = []
    for at in times:
        # Seeking gives the first frame from a time on; as above, the one on the screen is wanted.
        film = source.stream(ss=max(0.0, at + lead - _BEFORE)).video.filter("settb", "AVTB")
        film = film.filter("fps", fps=str(round(1 / _BEFORE)), round="up", start_time=0)
        data = source.convert(_small(film, 2))
        if len(data) >= 2 * _FRAME:
            found.append(_look(data, 1, at))
    return found


def _small(film: Any, count: int) -> Any:  # noqa: ANN401 - ffmpeg-python has no types
    small = film.filter("scale", _SIDE, _SIDE, flags="area")
    return small.output("pipe:", format="rawvideo", pix_fmt="rgb24", vframes=count, threads=1)


def _look(data: bytes, number: int, at: float) -> Look:
    pixels = data[number * _FRAME : (number + 1) * _FRAME]
    return look(Image.frombytes("RGB", (_SIDE, _SIDE), pixels), at)


def still(source: Source) -> Image.Image:
    """The picture in a file of a format that only ffmpeg decodes, without its aspect.

    Raises:
        Failed: it cannot be read.
    """
    data = source.convert(_small(source.stream().video, 1))
    if len(data) < _FRAME:
        raise Failed("ffmpeg cannot read it")
    return Image.frombytes("RGB", (_SIDE, _SIDE), data[:_FRAME])
