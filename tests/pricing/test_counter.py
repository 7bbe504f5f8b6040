"""What is set aside for a request before it runs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from portico import errors
from portico.callers.model import Caller
from portico.dialects.openai_chat.parse import parse as parse_chat
from portico.dialects.openai_completions.parse import parse as parse_completions
from portico.dialects.openai_embeddings.parse import parse as parse_embeddings
from portico.pricing.book import Book
from portico.pricing.counter import Counter, input_tokens_max
from portico.pricing.rules import bound, pin
from portico.pricing.service import Quoted
from tests.pricing.rows import NOW_MS, price, terms

PAYER = Caller("key", "proj", "org_1", "live", 4)
QUOTE = pin(
    Book([price("input_text", 1_000_000), price("output_text", 5_000_000)]),
    "m",
    "standard",
    terms(),
    NOW_MS,
)


class Prices:
    def terms_of(self, organisation_id: str) -> Any:
        return terms()

    def quote(self, *_: Any) -> Quoted:
        return Quoted(QUOTE, "{}")


def counter() -> Counter:
    prices: Any = Prices()
    return Counter(prices, output_tokens_max=100, window_tokens=10)


@pytest.mark.parametrize("given", ["a text", ["two", "texts"], [1, 22, 333], [[1], [2]]])
def test_vectors_are_held_for_by_their_input_alone(given: Any) -> None:
    body = json.dumps({"model": "m", "input": given}).encode()
    prompt = parse_embeddings(body, {})
    assert counter().output_tokens_max(prompt, 8_192) == 0
    offer = counter().offer(PAYER, prompt, 8_192)
    assert offer is not None
    assert offer.worst_nano == offer.first_nano == bound(QUOTE, len(body), 0, 1)
    assert (offer.covers_tokens, offer.window_nano) == (0, 0)


def test_a_context_is_that_of_each_text_and_each_prompt_of_a_request() -> None:
    texts = json.dumps({"model": "m", "input": ["a" * 50] * 9}).encode()
    assert input_tokens_max(parse_embeddings(texts, {}), 60) == len(texts)
    prompts = json.dumps({"model": "m", "prompt": ["a" * 50] * 9}).encode()
    assert input_tokens_max(parse_completions(prompts, {}), 60) == len(prompts)
    one = json.dumps({"model": "m", "prompt": "a" * 500}).encode()
    assert input_tokens_max(parse_completions(one, {}), 60) == 60


def test_words_without_a_cap_are_held_for_by_the_longest_answer() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    prompt = parse_chat(body, {})
    assert counter().output_tokens_max(prompt, None) == 100
    assert counter().output_tokens_max(prompt, 40) == 40


class Priced(Prices):
    """The model "m" has prices at some tiers."""

    def __init__(self, *tiers: str, internal: bool = False) -> None:
        self.tiers, self.internal = tiers, internal

    def terms_of(self, organisation_id: str) -> Any:
        return terms(kind="internal") if self.internal else terms()

    def quote(self, model: str, tier: str, *_: Any) -> Quoted:
        if tier in self.tiers:
            return Quoted(QUOTE, "{}")
        raise (errors.NOT_PRICED if tier == "standard" else errors.UNKNOWN_TIER)("no")


@pytest.mark.parametrize(
    ("prices", "mode", "sold"),
    [
        (Priced("standard"), "live", True),
        (Priced("flex"), "live", True),
        (Priced(), "live", False),
        (Priced(), "test", True),
        (Priced("standard"), "test", False),
        (Priced(internal=True), "live", True),
    ],
)
def test_what_would_be_refused_for_its_price_is_not_sold(
    prices: Any, mode: Any, sold: bool
) -> None:
    asked = Counter(prices, output_tokens_max=100, window_tokens=10)
    assert asked.sells(replace(PAYER, mode=mode), "m") is sold
