"""Vectors from engines and to callers: the form that was asked for, whatever came."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.delta import Delta
from portico.canon.embedding import Embedded, packed
from portico.canon.usage import Meters
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_embeddings.upstream import body_for, read_vectors
from portico.dialects.openai_embeddings.writer import VectorsWriter

from .test_parse import parsed

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def base64_of(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(*vectors: Any, **more: Any) -> bytes:
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return json.dumps({"object": "list", "data": data, "usage": usage, **more}).encode()


def through(body: bytes, **fields: Any) -> tuple[Delta, dict[str, Any]]:
    prompt = parsed(**fields)
    delta = read_vectors(body, prompt)
    written = VectorsWriter(prompt, "req_1", 0).write(delta)
    return delta, json.loads(written)


@pytest.mark.parametrize("wanted", ["float", "base64"])
@pytest.mark.parametrize("given", ["float", "base64"])
def test_the_caller_gets_the_form_it_asked_for(wanted: str, given: str) -> None:
    forms = {"float": [0.5, -1.0, 3.0], "base64": base64_of(0.5, -1.0, 3.0)}
    delta, told = through(answer(forms[given]), encoding_format=wanted)
    assert told["data"][0]["embedding"] == forms[wanted]
    assert bool(delta.raw) == (wanted == given), "what is right already passes through"
    assert delta.meters == Meters(input_text=5)
    assert delta.last


def test_a_mixed_answer_is_written_in_one_form() -> None:
    body = answer([1.0], base64_of(2.0))
    _, told = through(body, input=["a", "b"], encoding_format="float")
    assert [item["embedding"] for item in told["data"]] == [[1.0], [2.0]]


@given(st.lists(FLOAT32, min_size=1, max_size=8))
def test_base64_is_little_endian_float32(numbers: list[float]) -> None:
    vector = packed(numbers)
    assert vector == struct.pack(f"<{len(numbers)}f", *numbers)
    assert Embedded(0, vector).numbers() == numbers


def test_the_answer_we_write() -> None:
    writer = VectorsWriter(parsed(model="sim"), "req_1", 0)
    one = Delta(vectors=(Embedded(0, packed([0.5, 0.25])),), meters=Meters(input_text=7), last=True)
    assert json.loads(writer.write(one)) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "model": "sim",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        answer(),
        answer([1.0], [2.0]),
        answer([]).replace(b"[]", b'"AAA"'),
        answer("AAAA").replace(b'"float"', b'"x"'),
        answer(None),
        answer({"a": 1}),
        answer("not base64"),
        answer(["a"]),
        answer("").replace(b'""', b'"YQ=="'),
        json.dumps({"error": {"message": "out of memory", "code": 500}}).encode(),
    ],
)
def test_a_broken_answer_is_one(body: bytes) -> None:
    for wanted in ("float", "base64"):
        with pytest.raises(BrokenAnswer):
            read_vectors(body, parsed(encoding_format=wanted))


def test_without_usage_the_meters_are_left_to_the_estimate() -> None:
    body = json.dumps({"data": [{"index": 0, "embedding": [1.0]}]}).encode()
    assert read_vectors(body, parsed()).meters is None


def test_only_the_model_is_changed_on_the_way_out() -> None:
    prompt = parsed(input=["a"], dimensions=3, truncate="END")
    assert json.loads(body_for(prompt, "theirs")) == {
        "model": "theirs",
        "input": ["a"],
        "dimensions": 3,
        "truncate": "END",
    }


def test_another_dialect_is_told_as_embeddings() -> None:
    prompt = parsed(input=["a", "b"], dimensions=3)
    prompt.dialect = "gemini"
    assert json.loads(body_for(prompt, "theirs")) == {
        "model": "theirs",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 3,
    }
    delta = read_vectors(answer([1.0], [2.0]), prompt)
    assert [each.numbers() for each in delta.vectors] == [[1.0], [2.0]]
    assert not delta.raw
