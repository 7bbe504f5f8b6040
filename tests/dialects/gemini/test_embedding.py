"""embedContent and batchEmbedContents."""

import json
from typing import Any

import pytest

from portico.canon.delta import Delta
from portico.canon.embedding import Embedded, ToEmbed, packed
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.dialects.gemini.embedding import (
    BATCH_SPECIMEN,
    SPECIMEN,
    batch_writer,
    embed_writer,
    parse_batch,
    parse_embed,
)
from portico.errors import Refusal

from .bodies import HINTS, PNG, blob, user


def one(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"content": user(*parts), **fields}


def single(**body: Any) -> Prompt:
    return parse_embed(json.dumps(body).encode(), HINTS)


def batch(*requests: Any) -> Prompt:
    return parse_batch(json.dumps({"requests": requests}).encode(), HINTS)


def told(prompt: Prompt) -> ToEmbed:
    assert prompt.to_embed is not None
    return prompt.to_embed()


def test_the_smallest_requests() -> None:
    for parse, specimen in ((parse_embed, SPECIMEN), (parse_batch, BATCH_SPECIMEN)):
        assert told(parse(json.dumps(specimen).encode(), {})) == ToEmbed(("-",))


def test_one_content_is_one_vector() -> None:
    prompt = single(**one("a", "b", output_dimensionality=8, taskType="RETRIEVAL_QUERY"))
    assert told(prompt) == ToEmbed(("a\nb",), 8)
    assert prompt.needs == {"embeddings"}
    assert prompt.warnings == ['not_supported; field="taskType"; action=dropped']
    writer = embed_writer(prompt, "req_1", 0)
    delta = Delta(
        vectors=(Embedded(0, packed([1.0, 0.5])),), meters=Meters(input_text=3), last=True
    )
    assert json.loads(writer.write(delta)) == {
        "embedding": {"values": [1.0, 0.5]},
        "usageMetadata": {"promptTokenCount": 3},
    }


def test_a_batch_keeps_its_order() -> None:
    prompt = batch(one("a", model="models/m"), one("b"))
    assert told(prompt) == ToEmbed(("a", "b"))
    vectors = tuple(Embedded(at, packed([at])) for at in range(2))
    body = json.loads(batch_writer(prompt, "req_1", 0).write(Delta(vectors=vectors, last=True)))
    assert body["embeddings"] == [{"values": [0.0]}, {"values": [1.0]}]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "content"),
        (one(), "invalid_value", "content"),
        (one(""), "invalid_value", "content"),
        (one(blob(PNG, "image/png")), "unsupported_feature", "content.parts[0]"),
        (one("a", outputDimensionality=0), "out_of_range", "outputDimensionality"),
    ],
)
def test_wrong_single_ones(body: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        single(**body)
    assert (refusal.value.code, refusal.value.field) == (code, field)


@pytest.mark.parametrize(
    ("requests", "code", "field"),
    [
        ([], "out_of_range", "requests"),
        ([one("a"), one()], "invalid_value", "requests[1].content"),
        ([one("a"), one("b", model="models/x")], "invalid_value", "requests[1].model"),
        (
            [one("a", outputDimensionality=4), one("b")],
            "invalid_value",
            "requests[1].outputDimensionality",
        ),
    ],
)
def test_wrong_batches(requests: list[Any], code: str, field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        batch(*requests)
    assert (refusal.value.code, refusal.value.field) == (code, field)
