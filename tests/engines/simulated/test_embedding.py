"""`sim-embed`: the laws of its vectors, its counts and its refusals."""

import json
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.delta import Delta
from portico.canon.embedding import Embedded
from portico.canon.usage import Meters
from portico.dialects.openai_embeddings.parse import parse
from portico.engines.base import UpstreamFailed
from portico.engines.simulated import tokens
from portico.engines.simulated.embedding import DIMENSIONS, SimulatedEmbedder, vector_of
from portico.errors import Refusal
from tests.engines.simulated.asking import FakeTime, prompt

pytestmark = pytest.mark.anyio


async def embedded(headers: dict[str, str] | None = None, **fields: Any) -> Delta:
    time = FakeTime()
    body = json.dumps({"model": "sim-embed", "input": "x", **fields}).encode()
    pushed: list[Delta] = []

    async def relay(delta: Delta) -> None:
        pushed.append(delta)

    await SimulatedEmbedder(time, time.sleep).generate(parse(body, headers or {}), relay)
    (only,) = pushed
    assert only.last
    return only


def numbers(vector: bytes) -> list[float]:
    return Embedded(0, vector).numbers()


@given(st.text(min_size=1, max_size=40), st.integers(1, 300))
def test_a_vector_is_a_unit_and_depends_on_its_text_alone(text: str, dimensions: int) -> None:
    vector = numbers(vector_of(text, dimensions))
    assert len(vector) == dimensions
    assert isclose(sum(number * number for number in vector), 1, rel_tol=1e-5)
    assert numbers(vector_of(text, dimensions)) == vector
    assert vector_of(text + "!", 16) != vector_of(text, 16)


async def test_each_text_has_its_vector_in_order() -> None:
    answer = await embedded(input=["a", "b", "a"])
    assert [each.index for each in answer.vectors] == [0, 1, 2]
    first, second, third = (each.vector for each in answer.vectors)
    assert first == third != second
    assert len(first) == 4 * DIMENSIONS


async def test_dimensions_are_obeyed() -> None:
    answer = await embedded(dimensions=7)
    assert [len(each.numbers()) for each in answer.vectors] == [7]


async def test_tokens_are_counted_exactly_and_nothing_is_output() -> None:
    texts = ["one two three", "Four, five."]
    answer = await embedded(input=texts)
    assert answer.meters == Meters(input_text=sum(map(tokens.count, texts)))
    answer = await embedded(input=[[1, 2, 3], [4]])
    assert answer.meters == Meters(input_text=4)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"input": "a b " * 5_000}, "context_length_exceeded", "input"),
        ({"input": [1] * 8_193}, "context_length_exceeded", "input"),
        ({"dimensions": 5_000}, "out_of_range", "dimensions"),
        ({"input": ["x"] * 2_000, "dimensions": 1_000}, "out_of_range", "dimensions"),
        ({"input": "[[sim status=429]]"}, "upstream_busy", None),
    ],
)
async def test_what_it_refuses(fields: dict[str, Any], code: str, field: str | None) -> None:
    with pytest.raises((Refusal, UpstreamFailed)) as found:
        await embedded(**fields)
    refusal = getattr(found.value, "refusal", found.value)
    assert field is None or (refusal.code, refusal.field) == (code, field)
    assert refusal.status in (400, 429)


async def test_it_fails_as_asked_by_header() -> None:
    with pytest.raises(UpstreamFailed):
        await embedded({"x-portico-sim": "fault=cut"})


async def test_words_are_refused() -> None:
    time = FakeTime()
    with pytest.raises(Refusal) as found:
        await SimulatedEmbedder(time, time.sleep).generate(
            prompt("sim-embed", "Hi"), lambda delta: time.sleep(0)
        )
    assert found.value.code == "unsupported_feature"
