"""Broken and cut-off pictures of the formats that only our own readers know; see `test_media_fuzz`."""

from __future__ import annotations

import functools

import pytest

from tests.property.fuzzing import broken, numbers
from tests.property.test_media_fuzz import SPARSE, told
from tests.rawsamples import PICTURES

# The others are tried there, with what libraries make of them.
FORMATS = sorted(PICTURES.keys() - {"jpeg", "png", "webp", "tiff", "heic", "heif", "avif", "bmp"})
CUTS = 40


@functools.cache
def sample(form: str) -> bytes:
    return PICTURES[form][0]()


@pytest.mark.parametrize("form", FORMATS)
def test_broken_pictures_are_read_within_bounds(form: str) -> None:
    others = [sample(other) for other in FORMATS]
    for number, chance in numbers(40):
        data = broken(sample(form), others, chance)
        try:
            told(f"x.{form}", data, len(data) if number % 10 else SPARSE)
        except BaseException as error:
            error.add_note(f"{form} broken as number {number}")
            raise


@pytest.mark.parametrize("form", FORMATS)
def test_pictures_cut_off_anywhere(form: str) -> None:
    data = sample(form)
    for end in range(0, len(data), len(data) // CUTS + 1):
        told(f"x.{form}", data[:end], end)
