"""Measures what one picture looks like: hashes, brightness, colour. Runs in workers."""

from __future__ import annotations

import functools
import io
from dataclasses import replace

import imagehash
import numpy
from PIL import Image, ImageChops, ImageCms, ImageOps

from mediad.media.prints.likeness import SHOWN, SIDE, Look

_WORKING = 256
"""Pixels of a side, more than which says nothing to any of the hashes."""

_LONGEST_PROFILE = 4 << 20
_MOST_PROFILES = 4  # that are remembered; nearly all pictures have one of a few
_EQUAL_COLOUR = 1  # levels
_EQUAL = 2  # levels of a pixel, by which two of the many profiles of sRGB differ
_FIELDS = 4  # rows and columns of colour
_FINE = 64  # of brightness, for detail
_COARSE = 16  # and for contrast
_CONTRAST = 40.0  # levels that one standard deviation of brightness is brought to
_FAINTEST = 4.0  # standard deviation below which a picture counts as blank
_LEAST_DETAIL = 8  # thin air, between blank pages and soft pictures
_LEAST_BENDING = (
    0.05  # of the contrast: shading from one side to the other bends by up to 0.035, photos by 0.06
)


def look(picture: Image.Image, at: float = 0.0) -> Look:
    """What a picture looks like.

    Args:
        picture: RGB or grey, turned the right way up.
        at: its time in a film, in seconds.
    """
    luma, *chroma = _working_size(picture).convert("YCbCr").split()
    fine = numpy.asarray(luma.resize((_FINE, _FINE), Image.Resampling.LANCZOS), dtype=numpy.float32)
    detail = _detail(fine)
    colours = b"".join(part.resize((_FIELDS, _FIELDS), Image.Resampling.BOX).tobytes() for part in chroma)
    return Look(
        at=round(at, 3),
        hash=_number(imagehash.phash(luma)),
        gradient=_number(imagehash.dhash(luma)),
        plain=_is_plain(float(_means(fine, _COARSE).std()), detail),
        detail=min(255, int(detail)),
        grey=_normalised(_means(fine, SIDE)),
        colours=colours,
    )


def looks_of(picture: Image.Image) -> tuple[Look, ...]:
    """What a picture looks like as its values stand, and where its colour profile says otherwise, as shown.

    Of its copies, some are made by programs that keep the values, others by such as bring them to sRGB.
    """
    working, profile = _working_size(picture), picture.info.get("icc_profile")
    stands = look(working)
    shown = _in_srgb(working, profile) if isinstance(profile, bytes) else None
    if shown is None or _is_equal(working, shown):
        return (stands,)
    shows = replace(look(shown), at=SHOWN)
    same = max(abs(a - b) for a, b in zip(stands.colours, shows.colours, strict=True)) <= _EQUAL_COLOUR
    return (stands,) if same and stands.hash == shows.hash else (stands, shows)


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """A picture by its colour profile; None where that is broken or not of RGB: viewers pass it over, too."""
    transform = _to_srgb(profile) if len(profile) <= _LONGEST_PROFILE and picture.mode == "RGB" else None
    return None if transform is None else ImageCms.applyTransform(picture, transform)


@functools.lru_cache(_MOST_PROFILES)
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """What a profile makes of RGB, remembered: it takes as long to make as a look; None as of `_in_srgb`."""
    try:
        wide, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(wide, srgb, "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _is_equal(a: Image.Image, b: Image.Image) -> bool:
    """Whether no pixel differs by more than one could see."""
    return int(numpy.asarray(ImageChops.difference(a, b)).max()) <= _EQUAL


def _working_size(picture: Image.Image) -> Image.Image:
    width, height = (min(_WORKING, side) for side in picture.size)
    if (width, height) == picture.size:
        return picture
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _number(made: imagehash.ImageHash) -> int:
    return int.from_bytes(numpy.packbits(made.hash.flatten()).tobytes(), "big")


def _means(fine: numpy.ndarray, side: int) -> numpy.ndarray:
    """The mean brightness of so many rows of as many fields."""
    many = _FINE // side
    means: numpy.ndarray = fine.reshape(side, many, side, many).mean(axis=(1, 3))
    return means


def _normalised(grey: numpy.ndarray) -> bytes:
    """Brightness with mean 128 and its contrast brought to a common measure."""
    spread = max(float(grey.std()), _FAINTEST)
    levels = 128 + (grey - grey.mean()) * (_CONTRAST / spread)
    return bytes(numpy.clip(numpy.rint(levels), 0, 255).astype(numpy.uint8).tobytes())


def _detail(grey: numpy.ndarray) -> float:
    """How much brightness bends: nothing in what is blank or shades evenly; in tenths of a level."""
    across = numpy.abs(numpy.diff(grey, 2, axis=1)).mean()
    down = numpy.abs(numpy.diff(grey, 2, axis=0)).mean()
    return 10 * float(across + down)


def _is_plain(spread: float, detail: float) -> bool:
    return spread < _FAINTEST or detail < max(_LEAST_DETAIL, 10 * _LEAST_BENDING * spread)


def upright(picture: Image.Image) -> Image.Image:
    """A picture as it is shown: turned by its Exif orientation, in RGB, on white where it is transparent."""
    return flat(ImageOps.exif_transpose(picture))


def flat(picture: Image.Image) -> Image.Image:
    """A picture in RGB, on white where it is transparent."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        deep = numpy.asarray(picture).astype(numpy.float32)
        return Image.fromarray(numpy.clip(deep / 256, 0, 255).astype(numpy.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
