"""What a file's content looks like, as a print, and whether two prints look alike. PURE.

A print is made in a worker (`mediad.media.prints.fingerprint`), kept in the catalogue and compared by the
daemon, so nothing here needs a library. A perceptual hash alone calls too much the same: two charts, two
pages of text, two frames of a burst. It only finds candidates; what is alike must agree in every further
witness.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

VERSION = 3
"""Prints of older versions are made anew."""

FARTHEST = 7
"""The largest distance that there is between look-alikes, in bits of the perceptual hash."""

NO_FFMPEG = "ffmpeg is not installed"
"""`Print.failed` where a file waits for nothing but the ffmpeg program."""

SIDE = 32
"""Rows and columns of `Look.grey`."""

SHOWN = 1.0
"""`Look.at` of a picture in sRGB, as its colour profile shows it; 0.0 is as its values stand."""

MOST_LOOKS = 24
LONGEST_PRINT = 32768
"""Bytes that an encoded print has at most."""

PrintKind = Literal["picture", "film", "sound", ""]

_GREY = SIDE * SIDE
_COLOURS = 32
_LONGEST_FAILED = 200
_KINDS: tuple[PrintKind, ...] = ("", "picture", "film", "sound")
_HEAD = struct.Struct(">BBBBIIdH")  # version, kind, payload's length, looks, width, height, duration, failed
_LOOK = struct.Struct(f">IQQBB{_GREY}s{_COLOURS}s")


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture, or one moment of a film, looks like.

    Attributes:
        at: seconds into the film, in thousandths; of a picture, 0.0 or `SHOWN`.
        hash: 64 bits, the perceptual hash, which is indexed.
        gradient: 64 bits, the difference hash.
        plain: it is featureless: never indexed, and no evidence.
        detail: how much there is to see in it, 0 to 255.
        grey: `SIDE` rows of mean brightness, with mean 128 and the contrast brought to a common measure.
        colours: blue-difference and red-difference of four rows of four fields, 128 being none.
    """

    at: float
    hash: int
    gradient: int
    plain: bool
    detail: int
    grey: bytes
    colours: bytes


@dataclass(frozen=True, slots=True)
class Print:
    """The fingerprint of a file's content.

    Attributes:
        payload: SHA-256 of the content without metadata; b"" where it is not known.
        width, height: pixels as shown, with the orientation applied; 0 where not known.
        duration: seconds.
        looks: at most `MOST_LOOKS`, by time; of a picture two at most.
        failed: "", or why there are no looks or no payload. What begins with `wire.READING_FAILED`, and
            `NO_FFMPEG`, says nothing about the content.
    """

    kind: PrintKind
    payload: bytes = b""
    width: int = 0
    height: int = 0
    duration: float | None = None
    looks: tuple[Look, ...] = ()
    failed: str = ""


def indexed(made: Print) -> tuple[int, ...]:
    """The hashes by which a print is to be found, without repetitions and in order."""
    return tuple(dict.fromkeys(look.hash for look in made.looks if not look.plain))


# --- As bytes ------------------------------------------------------------------------------------


def encode(made: Print) -> bytes:
    """A print as bytes, of `LONGEST_PRINT` at most; what is too long is cut."""
    failed = made.failed.encode()[:_LONGEST_FAILED].decode("utf-8", "ignore").encode()
    looks = made.looks[:MOST_LOOKS]
    duration = math.nan if made.duration is None else made.duration
    kind = _KINDS.index(made.kind)
    head = _HEAD.pack(
        VERSION, kind, len(made.payload), len(looks), made.width, made.height, duration, len(failed)
    )
    return b"".join((head, made.payload, failed, *map(_look_to_bytes, looks)))


def _look_to_bytes(look: Look) -> bytes:
    at = round(look.at * 1000)
    return _LOOK.pack(at, look.hash, look.gradient, look.plain, look.detail, look.grey, look.colours)


def decode(data: bytes) -> Print:
    """The print that `encode` made bytes of.

    Raises:
        ValueError: it is none, or one of another version.
    """
    if len(data) < _HEAD.size or data[0] != VERSION:
        raise ValueError("no print of this version")
    _, kind, of_payload, count, width, height, duration, of_failed = _HEAD.unpack_from(data)
    start = _HEAD.size + of_payload
    rest = start + of_failed
    if (
        kind >= len(_KINDS)
        or of_payload not in (0, 32)
        or count > MOST_LOOKS
        or of_failed > _LONGEST_FAILED
        or len(data) != rest + count * _LOOK.size
        or not (math.isnan(duration) or 0 <= duration < math.inf)
    ):
        raise ValueError("broken print")
    looks = tuple(_look(*values) for values in _LOOK.iter_unpack(data[rest:]))
    if any(a.at >= b.at for a, b in pairwise(looks)):
        raise ValueError("broken print")
    return Print(
        _KINDS[kind],
        data[_HEAD.size : start],
        width,
        height,
        None if math.isnan(duration) else duration,
        looks,
        data[start:rest].decode(),
    )


def _look(at: int, hash_: int, gradient: int, plain: int, detail: int, grey: bytes, colours: bytes) -> Look:
    if plain > 1:
        raise ValueError("broken print")
    return Look(at / 1000, hash_, gradient, bool(plain), detail, grey, colours)


# --- Judgement -----------------------------------------------------------------------------------

# Measured over copies of some hundred photos, down to 160 pixels and quality 30, and over the same photos
# moved by a hundredth of their width, as in a burst. Copies: gradient up to 7, grey 1.9, field 2.9, colour
# 1.2. Moved: grey 4.0 and field 8.2 in the median.
_MOST_GRADIENT = 8  # bits of the difference hash
_MOST_GREY = 2.0  # mean difference of brightness
_MOST_FIELD = 4.0  # the same in the worst of sixteen parts of the picture
_MOST_COLOUR = 8.0  # other colour spaces shift it a little
# The same in the worst of its sixteen parts: copies up to 7, brighter or with less contrast up to 9; things
# of another colour on the same ground 12 and more.
_MOST_PART_COLOUR = 10
_NO_COLOUR = 128
_MOST_STRONGER = 1.15  # on either side, so that copies with a third more colour are brought to one strength
_ASPECT = 0.03

# What is compressed or scaled anew differs a little all over; another picture of one kind (another number on
# the form, eyes shut, another caption) much in a few of the 1024 fields of brightness. Measured over 900
# copies, down to a tenth and quality 20, and 145 pairs of one kind that agree in all else: the worst field
# of a copy differs by up to 6.8 times the root mean square of all; that of such pairs 8 to 23 times, and by
# 14 to 86 levels. Copies with 256 colours are noisier, by up to 16 levels and 12 times. Scaled without
# any filter, a few copies are beyond that.
_MOST_SPOT = 20.0
_FAINT_SPOT = 8.0  # levels, of which palettes make as much in one field
_SPOT_TO_ALL = 7.0
_ROUNDING = 0.2
# On a photo with something to see all over, one mark (a watermark, a date, a number) makes no other picture;
# on flat ground it may be all that there is to see. Of such photos 0.2 of all neighbouring fields are equal,
# of pages of text 0.3, of forms, screens, clocks and moons 0.42 and more.
_MARK = 3  # rows and columns around the worst field
_EQUAL = 2  # levels
_MOST_EQUAL = 0.25

_LEAST_MOMENTS = 4
_MOST_OTHER_MOMENTS = 1
_MOST_FRAME_BITS = 12
_MOST_FRAME_GREY = 8.0
# The same, of the mean over all moments: copies up to 15 levels and 4.4 times, what has another object in it
# or another speaker before it 5 to 10 times.
_MOST_FRAME_SPOT = 18.0
_FAINT_FRAME_SPOT = 4.0
_FRAME_SPOT_TO_ALL = 4.6
_IN_STEP = 0.7
_LEAST_MOTION = 0.4


def distance(a: Print, b: Print) -> int | None:
    """How far apart two look-alikes are: 0 to `FARTHEST`; None if they are none. Symmetric.

    Pictures are alike if perceptual hash, gradients, brightness and colour agree all over, and the aspect
    does, and no spot differs more than the rest; films if they last equally long and look alike from
    beginning to end, at all moments but one at which there is something to see. Mirrored, cropped and
    trimmed copies are not found.
    """
    if a.kind != b.kind or not _same_shape(a, b):
        return None
    if a.kind == "picture":
        told = (_picture_distance(x, y) for x, y in itertools.product(a.looks, b.looks))
        return min((bits for bits in told if bits is not None), default=None)
    if a.kind == "film":
        return _film_distance(a, b)
    return None


def _same_shape(a: Print, b: Print) -> bool:
    """Whether the aspects agree, but for what rounding to whole pixels does to small pictures."""
    if not (a.width and a.height and b.width and b.height):
        return False
    ratio = (a.width * b.height) / (a.height * b.width)
    return abs(math.log(ratio)) <= _ASPECT + 1 / min(a.width, a.height, b.width, b.height)


def _picture_distance(a: Look, b: Look) -> int | None:
    if a.plain or b.plain:
        return None
    bits = (a.hash ^ b.hash).bit_count()
    return bits if bits <= FARTHEST and _same_picture(a, b) else None


def _same_picture(a: Look, b: Look) -> bool:
    if (a.gradient ^ b.gradient).bit_count() > _MOST_GRADIENT:
        return False
    if _mean_difference(a.colours, b.colours) > _MOST_COLOUR:
        return False
    if _worst_colour(a.colours, b.colours) > _MOST_PART_COLOUR:
        return False
    fields = _field_differences(a.grey, b.grey)
    if sum(fields) / len(fields) > _MOST_GREY or max(fields) > _MOST_FIELD:
        return False
    far = _differences(a.grey, b.grey)
    if _is_even(far, _MOST_SPOT, _FAINT_SPOT, _SPOT_TO_ALL):
        return True
    rich = _is_rich(a.grey) and _is_rich(b.grey)
    return rich and _is_even(_without_mark(far), _MOST_SPOT, _FAINT_SPOT, _SPOT_TO_ALL)


def _worst_colour(a: bytes, b: bytes) -> float:
    """How much colour differs where it differs most, when all of it is brought to one strength."""
    x, y = ([level - _NO_COLOUR for level in colours] for colours in (a, b))
    ratio = (1 + sum(level * level for level in x)) / (1 + sum(level * level for level in y))
    stronger = min(max(math.sqrt(math.sqrt(ratio)), 1 / _MOST_STRONGER), _MOST_STRONGER)
    return max(abs(p / stronger - q * stronger) for p, q in zip(x, y, strict=True))


def _is_rich(grey: bytes) -> bool:
    """Whether there is something to see all over."""
    across = [abs(x - y) for row in range(0, len(grey), SIDE) for x, y in pairwise(grey[row : row + SIDE])]
    equal = sum(far <= _EQUAL for far in (*across, *_differences(grey[:-SIDE], grey[SIDE:])))
    return equal <= _MOST_EQUAL * 2 * SIDE * (SIDE - 1)


def _without_mark(differences: Sequence[int]) -> list[int]:
    """Those that do not lie around the worst."""
    row, column = divmod(differences.index(max(differences)), SIDE)
    return [
        far
        for place, far in enumerate(differences)
        if max(abs(place // SIDE - row), abs(place % SIDE - column)) > _MARK
    ]


def _differences(a: bytes, b: bytes) -> list[int]:
    return [abs(x - y) for x, y in zip(a, b, strict=True)]


def _is_even(differences: Sequence[float], most: float, faint: float, times: float) -> bool:
    """Whether no spot differs more than the rest.

    Args:
        most: levels that one may differ. faint: those that say nothing. times: as `_SPOT_TO_ALL`.
    """
    spot = max(differences)
    typical = math.sqrt(sum(one * one for one in differences) / len(differences)) + _ROUNDING
    return spot <= most and (spot <= faint or spot <= times * typical)


def _mean_difference(a: bytes, b: bytes) -> float:
    return sum(_differences(a, b)) / len(a)


def _field_differences(a: bytes, b: bytes) -> list[float]:
    """The mean difference of brightness in each of sixteen parts of the picture.

    Of four neighbouring fields together: noise as of palettes evens out, what has moved does not.
    """
    sums = [0] * 16
    for row, column in itertools.product(range(0, SIDE, 2), repeat=2):
        at, below = row * SIDE + column, row * SIDE + column + SIDE
        four = (
            sum(a[at : at + 2]) + sum(a[below : below + 2]) - sum(b[at : at + 2]) - sum(b[below : below + 2])
        )
        sums[row * 4 // SIDE * 4 + column * 4 // SIDE] += abs(four)
    return [total / (4 * (SIDE // 8) ** 2) for total in sums]


def _film_distance(a: Print, b: Print) -> int | None:
    if a.duration is None or b.duration is None:
        return None
    if abs(a.duration - b.duration) > 0.5 + 0.002 * min(a.duration, b.duration):
        return None
    theirs = {look.at: look for look in b.looks}
    pairs = [(look, theirs[look.at]) for look in a.looks if look.at in theirs]
    telling = [(x, y) for x, y in pairs if not (x.plain and y.plain)]
    told = [_frame_distance(x, y) for x, y in telling]
    found = [bits for bits in told if bits is not None]
    if len(found) < max(_LEAST_MOMENTS, len(told) - _MOST_OTHER_MOMENTS) or None in (told[0], told[-1]):
        return None
    middle = min(a.duration, b.duration) / 2
    if not (telling[0][0].at < middle < telling[-1][0].at) or not _keep_step(pairs):
        return None
    same = [pair for pair, bits in zip(telling, told, strict=True) if bits is not None]
    if not _is_even(_mean_differences(same), _MOST_FRAME_SPOT, _FAINT_FRAME_SPOT, _FRAME_SPOT_TO_ALL):
        return None
    bits = sorted(found)[3 * len(found) // 4]
    return bits if bits <= FARTHEST else None


def _mean_differences(pairs: Sequence[tuple[Look, Look]]) -> list[float]:
    """How much each field of brightness differs over all moments: what moves evens out, what stays not."""
    moments = (_differences(x.grey, y.grey) for x, y in pairs)
    return [sum(each) / len(pairs) for each in zip(*moments, strict=True)]


def _frame_distance(a: Look, b: Look) -> int | None:
    """As for pictures, but looser: a frame earlier or later, and a film is compressed harder."""
    if a.plain or b.plain or _mean_difference(a.colours, b.colours) > _MOST_COLOUR:
        return None
    bits = (a.hash ^ b.hash).bit_count()
    return bits if bits <= _MOST_FRAME_BITS and _mean_difference(a.grey, b.grey) <= _MOST_FRAME_GREY else None


def _keep_step(pairs: Sequence[tuple[Look, Look]]) -> bool:
    """Whether two films are more alike at the same moments than at moments next to each other.

    Two films of one still scene are not, such as those of a camera on a tripod or over a door.
    """
    together = sum(_mean_difference(x.grey, y.grey) for x, y in pairs[1:-1])
    crossed = sum(
        min(_mean_difference(x.grey, w.grey), _mean_difference(v.grey, y.grey))
        for (v, w), (x, y) in pairwise(pairs[:-1])
    )
    return together <= _IN_STEP * crossed and crossed >= _LEAST_MOTION * (len(pairs) - 2)
