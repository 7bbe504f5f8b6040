"""Law: every character is in one token, and a text cut between tokens is not counted anew."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from portico.engines.simulated import tokens
from portico.engines.simulated.filler import filler

texts = st.text() | st.text(alphabet="ab _\n.é漢", max_size=60)


def test_what_counts() -> None:
    assert list(tokens.split("Hello, world!")) == ["Hello", ",", " world", "!"]
    assert list(tokens.split("internationally  x")) == ["internat", "ionally", "  ", "x"]


@given(texts)
def test_no_character_is_lost(text: str) -> None:
    pieces = list(tokens.split(text))
    assert "".join(pieces) == text
    assert len(pieces) == tokens.count(text)


@given(texts, st.integers(0, 80))
def test_the_head_and_the_rest_add_up(text: str, first: int) -> None:
    head = tokens.head(text, first)
    assert text.startswith(head)
    assert tokens.count(head) == min(first, tokens.count(text))
    assert tokens.count(head) + tokens.count(text[len(head) :]) == tokens.count(text)


@given(texts, st.integers(0, 80))
def test_reaching_a_place_takes_the_tokens_up_to_it(text: str, end: int) -> None:
    made = tokens.count_reaching(text, end)
    assert len(tokens.head(text, made)) >= min(end, len(text))
    assert made == 0 or len(tokens.head(text, made - 1)) < end


@given(st.integers(0, 30_000), st.integers(0, 50))
def test_filler_has_the_tokens_asked_for(asked: int, seed: int) -> None:
    text = filler(asked, Random(seed))
    assert tokens.count(text) == asked
    assert not text.startswith(" ")
