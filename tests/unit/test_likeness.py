"""Prints as bytes, and which of them look alike."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw, ImageFont

from mediad.media.prints import likeness, looks
from mediad.media.prints.likeness import Look, Print, decode, distance, encode, indexed
from mediad.media.prints.looks import look, looks_of
from tests import samples

SIZE = (320, 240)
bits = st.integers(0, 2**64 - 1)


@st.composite
def prints(draw: st.DrawFn) -> Print:
    moments = draw(st.sets(st.integers(0, 2**31), max_size=3))
    noise = random.Random(draw(st.integers(0, 3)))
    looks = [
        Look(
            at / 1000,
            draw(bits),
            draw(bits),
            at % 5 == 0,
            at % 256,
            noise.randbytes(likeness.SIDE**2),
            noise.randbytes(32),
        )
        for at in sorted(moments)
    ]
    return Print(
        draw(st.sampled_from(("", "picture", "film", "sound"))),
        draw(st.sampled_from((b"", bytes(range(32))))),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.none() | st.floats(0, 1e9)),
        tuple(looks),
        draw(st.text(max_size=50)),
    )


@given(prints())
@settings(max_examples=50)
def test_a_print_outlives_its_bytes(made: Print) -> None:
    assert decode(encode(made)) == made


@given(prints(), prints())
@settings(max_examples=50)
def test_distance_has_no_direction(a: Print, b: Print) -> None:
    assert distance(a, b) == distance(b, a)


@given(st.binary(max_size=60))
def test_what_is_no_print_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"print|decode"):
        decode(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: bytes((likeness.VERSION + 1,)) + data[1:],
        lambda data: data[:1] + b"\x09" + data[2:],
        lambda data: data[:2] + b"\x05" + data[3:],
    ],
)
def test_a_print_is_all_there_and_of_this_version(spoil: Callable[[bytes], bytes]) -> None:
    data = encode(picture(samples.image(SIZE)))
    with pytest.raises(ValueError, match="print"):
        decode(spoil(data))


def test_the_longest_print_is_bounded() -> None:
    one = look(samples.image(SIZE))
    looks = tuple(replace(one, at=float(at)) for at in range(40))
    made = Print("film", bytes(32), 1, 1, 9.0, looks, "\N{SNOWMAN}" * 1000)
    assert len(encode(made)) <= likeness.LONGEST_PRINT
    assert len(decode(encode(made)).looks) == likeness.MOST_LOOKS


# --- Pictures ------------------------------------------------------------------------------------


def picture(image: Image.Image) -> Print:
    return Print("picture", b"", *image.size, None, (look(image),))


def scene(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture with something to see in it, large and small."""
    return Image.blend(samples.image(size, seed), samples.image(size, seed + 1000, (32, 24)), 0.3)


def test_copies_of_another_size_are_alike() -> None:
    whole = scene(1, (1600, 1200))
    small = whole.resize((240, 180), Image.Resampling.LANCZOS)
    found = distance(picture(whole), picture(small))
    assert found is not None
    assert found <= 4
    assert distance(picture(whole), picture(whole)) == 0


def test_a_profile_that_changes_nothing_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made ready once, and its pictures are looked at once."""
    build, once = Mock(wraps=ImageCms.buildTransform), Mock(wraps=look)
    monkeypatch.setattr(ImageCms, "buildTransform", build)
    monkeypatch.setattr(looks, "look", once)
    looks._to_srgb.cache_clear()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for seed in (1, 2):
        seen = scene(seed)
        seen.info["icc_profile"] = profile
        assert looks_of(seen) == (look(seen),)
    assert (build.call_count, once.call_count) == (1, 2)


@pytest.mark.parametrize(
    "other",
    [
        lambda whole: scene(2),
        lambda whole: whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda whole: whole.rotate(90, expand=True),
        lambda whole: whole.convert("L").convert("RGB"),
        lambda whole: whole.resize((320, 200)),  # the same look in another aspect
    ],
    ids=["another", "mirrored", "turned", "grey", "squeezed"],
)
def test_other_pictures_are_not_alike(other: Callable[[Image.Image], Image.Image]) -> None:
    whole = scene(1)
    assert distance(picture(whole), picture(other(whole))) is None


@pytest.mark.parametrize("seed", range(4))
def test_frames_of_a_burst_are_not_alike(seed: int) -> None:
    wide = scene(seed, (340, 250))
    first, second = wide.crop((0, 0, 320, 240)), wide.crop((10, 5, 330, 245))
    assert distance(picture(first), picture(second)) is None


def test_somebody_who_moved_makes_another_picture() -> None:
    first, second = scene(3), scene(3)
    ImageDraw.Draw(first).ellipse((100, 60, 160, 160), fill=(200, 150, 120))
    ImageDraw.Draw(second).ellipse((120, 60, 180, 160), fill=(200, 150, 120))
    assert distance(picture(first), picture(second)) is None


def test_a_thing_of_another_colour_makes_another_picture() -> None:
    red, blue = scene(3), scene(3)
    ImageDraw.Draw(red).ellipse((90, 70, 140, 110), fill=(200, 40, 40))
    ImageDraw.Draw(blue).ellipse((90, 70, 140, 110), fill=(60, 70, 253))  # as bright
    assert distance(picture(red), picture(blue)) is None


def _gradient(turned: int) -> Image.Image:
    return Image.linear_gradient("L").resize(SIZE).rotate(turned).convert("RGB")


@pytest.mark.parametrize(
    "blank",
    [
        Image.new("RGB", SIZE, "white"),
        Image.new("RGB", SIZE, "black"),
        Image.effect_noise(SIZE, 6).convert("RGB"),
        _gradient(0),
        _gradient(180),
    ],
)
def test_what_shows_nothing_is_like_nothing(blank: Image.Image) -> None:
    made = picture(blank)
    assert made.looks[0].plain
    assert distance(made, made) is None
    assert indexed(made) == ()


def _chart(seed: int) -> Image.Image:
    """Bars of one application: the same frame, title and axes around other values."""
    chart = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(chart)
    draw.rectangle((60, 40, 760, 540), outline="black", width=3)
    draw.text((300, 10), "Quarterly figures", fill="black")
    values = random.Random(seed)
    for number in range(10):
        top = 540 - values.randrange(60, 480)
        draw.rectangle((80 + 68 * number, top, 120 + 68 * number, 540), fill=(40, 90, 200))
    return chart


def _page(seed: int) -> Image.Image:
    """A page of text, whose lines and words are elsewhere on the next."""
    page = Image.new("RGB", (600, 800), "white")
    draw, words = ImageDraw.Draw(page), random.Random(seed)
    for line in range(30):
        end = words.randrange(300, 550) if words.random() < 0.3 else 550
        x = 50
        while x < end:
            width = words.randrange(10, 60)
            draw.rectangle((x, 50 + 24 * line, min(x + width, end), 60 + 24 * line), fill="black")
            x += width + 8
    return page


@pytest.mark.parametrize("draw", [_chart, _page])
def test_pages_and_charts_of_one_kind_are_not_alike(draw: Callable[[int], Image.Image]) -> None:
    made = [picture(draw(seed)) for seed in range(12)]
    assert [distance(a, b) for n, a in enumerate(made) for b in made[:n] if distance(a, b) is not None] == []


def _form(seed: int) -> Image.Image:
    """A filled-in form: the same frame, logo and lines around other numbers."""
    form = Image.new("RGB", (620, 877), "white")
    draw, values, font = ImageDraw.Draw(form), random.Random(seed), ImageFont.load_default(15)
    draw.rectangle((40, 40, 250, 100), fill=(20, 60, 140))
    draw.text((300, 50), "ACME Ltd.\nStreet 1\nTown", fill="black", font=font)
    for line in range(10):
        draw.line((40, 250 + 30 * line, 580, 250 + 30 * line), fill="grey")
        draw.text((45, 255 + 30 * line), f"Item {values.randrange(1000, 9999)}", fill="black", font=font)
        draw.text((450, 255 + 30 * line), f"{values.randrange(10, 9999)}.00", fill="black", font=font)
    return form


def _screen(seed: int) -> Image.Image:
    """A screen of one application with other figures."""
    screen = Image.new("RGB", (540, 960), (250, 250, 250))
    draw, values, font = ImageDraw.Draw(screen), random.Random(seed), ImageFont.load_default(30)
    draw.rectangle((0, 0, 540, 75), fill=(200, 30, 30))
    for row in range(5):
        draw.text((30, 150 + row * 150), f"Row {row}", fill="black", font=font)
        draw.text((350, 150 + row * 150), f"{values.randrange(100, 999)}", fill="black", font=font)
        draw.line((0, 225 + row * 150, 540, 225 + row * 150), fill="grey", width=2)
    return screen


def _meme(seed: int) -> Image.Image:
    """One photo under other captions."""
    photo, words, font = scene(1), random.Random(seed), ImageFont.load_default(30)
    for y in (5, 200):
        text = "".join(words.choice("ABCDEFGHKLMNOPRSTU") for _ in range(13))
        ImageDraw.Draw(photo).text(
            (20, y), text, fill="white", font=font, stroke_width=2, stroke_fill="black"
        )
    return photo


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


@pytest.mark.parametrize("draw", [_form, _screen, _meme])
def test_another_text_on_the_same_ground_is_another_picture(draw: Callable[[int], Image.Image]) -> None:
    made = [picture(draw(seed)) for seed in range(8)]
    assert [distance(a, b) for n, a in enumerate(made) for b in made[:n] if distance(a, b) is not None] == []
    copies = [_jpeg(draw(seed).resize((300, 400), Image.Resampling.LANCZOS), 60) for seed in range(4)]
    for seed, copy in enumerate(copies):
        assert distance(picture(draw(seed).resize((600, 800))), picture(copy)) is not None


@pytest.mark.parametrize("quality", [25, 90])
def test_a_watermark_on_a_photo_makes_no_other(quality: int) -> None:
    photo = scene(4, (640, 480))
    marked = photo.copy()
    ImageDraw.Draw(marked).text((560, 440), "98", fill="orange", font=ImageFont.load_default(24))
    assert distance(picture(photo), picture(_jpeg(marked, quality))) is not None


# --- Films ---------------------------------------------------------------------------------------


def film(*frames: Image.Image, duration: float = 10.0) -> Print:
    looks = tuple(look(frame, at) for at, frame in enumerate(frames, 1))
    return Print("film", b"", *SIZE, duration, looks)


def scenes(*seeds: int) -> list[Image.Image]:
    return [scene(seed, (160, 120)) for seed in seeds]


BLACK = Image.new("RGB", (160, 120))


def test_a_film_of_another_size_and_container_is_alike() -> None:
    frames = scenes(*range(9))
    smaller = [frame.resize((80, 60), Image.Resampling.LANCZOS) for frame in frames]
    found = distance(film(*frames), film(*smaller, duration=10.2))
    assert found is not None
    assert found <= 4


@pytest.mark.parametrize(
    ("frames", "duration"),
    [
        (scenes(*range(9)), 11.0),  # longer
        (scenes(*range(10, 19)), 10.0),  # another
        (scenes(0, 1, 2, 3, 14, 15, 16, 17, 18), 10.0),  # the same opening
        (scenes(0, 1, 12, 13, 14, 15, 16, 7, 8), 10.0),  # the same opening and end
        (scenes(8, 0, 1, 2, 3, 4, 5, 6, 7), 10.0),  # the same at other moments
        (scenes(0, 1, 2, 3, 4, 5, 6, 7, 18), 10.0),  # another end
        (scenes(10, 1, 2, 3, 4, 5, 6, 7, 8), 10.0),  # another opening
        (scenes(0, 1, 2, 13, 4, 15, 6, 7, 8), 10.0),  # more than one other moment
    ],
)
def test_other_films_are_not_alike(frames: list[Image.Image], duration: float) -> None:
    assert distance(film(*scenes(*range(9))), film(*frames, duration=duration)) is None


def test_one_moment_may_differ() -> None:
    assert distance(film(*scenes(*range(9))), film(*scenes(0, 1, 2, 13, 4, 5, 6, 7, 8))) is not None


def test_another_object_before_what_moves_makes_another_film() -> None:
    def turning(colour: str) -> Print:
        frames = scenes(*range(9))
        for frame in frames:
            ImageDraw.Draw(frame).ellipse((72, 52, 88, 68), fill=colour)
        return film(*frames)

    assert distance(turning("white"), turning("black")) is None
    assert distance(turning("white"), turning("white")) == 0


def test_black_frames_say_nothing() -> None:
    black = [BLACK] * 6
    assert distance(film(*black, *scenes(1, 2, 3)), film(*black, *scenes(1, 2, 3))) is None
    assert distance(film(*scenes(1, 2), *black), film(*scenes(1, 2), *black)) is None
    assert distance(film(*black), film(*black)) is None


def test_films_of_one_still_scene_are_not_alike() -> None:
    background = scene(5, (160, 120))

    def watched(seed: int) -> Print:
        moves, frames = random.Random(seed), []
        for _ in range(9):
            frame = background.copy()
            x, y = moves.randrange(140), moves.randrange(100)
            ImageDraw.Draw(frame).ellipse((x, y, x + 9, y + 9), fill="red")
            frames.append(frame)
        return film(*frames)

    made = [watched(seed) for seed in range(8)]
    assert [(a, b) for n, a in enumerate(made) for b in made[:n] if distance(a, b) is not None] == []


def test_a_film_is_no_picture() -> None:
    frames = scenes(*range(9))
    assert distance(film(*frames), replace(film(*frames), kind="picture", duration=None)) is None
