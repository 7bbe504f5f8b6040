"""What has to be done to a picture, and what is said of a file nothing can be made of."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.media.model import Problem, Refused
from portico.media.rules import Facts, page_scale, refusal, shrunk, stays

PLAIN = Facts("PNG", "RGB", 100, 100)
TAKEN = ("image/png", "image/jpeg")


@pytest.mark.parametrize(
    "facts",
    [
        PLAIN,
        replace(PLAIN, mode="RGBA"),
        replace(PLAIN, mode="P"),
        replace(PLAIN, form="JPEG", mode="L"),
    ],
)
def test_what_every_decoder_reads_alike_stays(facts: Facts) -> None:
    assert stays(facts, TAKEN, 10_000)


@pytest.mark.parametrize(
    "facts",
    [
        replace(PLAIN, form="WEBP"),
        replace(PLAIN, form="GIF"),
        replace(PLAIN, form="MPO"),
        replace(PLAIN, form="JPEG", mode="CMYK"),
        replace(PLAIN, mode="I;16"),
        replace(PLAIN, deep=True),
        replace(PLAIN, moving=True),
        replace(PLAIN, turned=True),
        replace(PLAIN, mode="P", clear=True),
        replace(PLAIN, width=101),
    ],
)
def test_everything_else_is_made_anew(facts: Facts) -> None:
    assert not stays(facts, TAKEN, 10_000)


def test_a_still_gif_stays_where_gifs_are_taken() -> None:
    gif = replace(PLAIN, form="GIF", mode="P", clear=True)
    assert stays(gif, (*TAKEN, "image/gif"), 10_000)


sides = st.integers(1, 100_000)


@given(sides, sides, st.integers(1, 10_000_000))
def test_a_shrunk_picture_is_within_the_bound_and_no_larger(
    width: int, height: int, most: int
) -> None:
    small = shrunk(width, height, most)
    assert 1 <= small[0] * small[1] <= most
    assert small[0] <= width
    assert small[1] <= height


def test_a_shrunk_picture_keeps_its_shape() -> None:
    assert shrunk(4_000, 2_000, 2_000_000) == (2_000, 1_000)


lengths = st.floats(0.001, 1e9)


@given(lengths, lengths, st.integers(1, 10_000_000))
def test_a_page_of_any_size_has_few_pixels(width: float, height: float, most: int) -> None:
    scale = page_scale(width, height, most)
    assert width * height * scale**2 <= most * 1.001
    assert max(width, height) * scale <= 8_192.001


@pytest.mark.parametrize("size", [(0.0, 5.0), (5.0, 0.0), (-1.0, 5.0), (float("nan"), 1.0)])
def test_a_page_without_a_surface_has_none(size: tuple[float, float]) -> None:
    assert page_scale(*size, 100) == 0.0


@pytest.mark.parametrize("problem", get_args(Problem))
def test_each_problem_is_the_callers_and_says_where(problem: Problem) -> None:
    refused = refusal("a.b", Refused(problem, 7, 5))
    assert refused.code in ("invalid_media", "media_too_large")
    assert refused.field == "a.b"
    assert refused.message.startswith("'a.b' ")
    assert "{" not in refused.message
    assert "None" not in refused.told
