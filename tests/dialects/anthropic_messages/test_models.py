"""Models as Anthropic's clients read them, and pages of them."""

import json
from typing import Any

import pytest
from anthropic.types import ModelInfo
from inline_snapshot import snapshot

from portico.dialects.anthropic_messages.models import model_of, page_of
from portico.errors import Refusal

FIVE = [{"id": name} for name in "abcde"]


def test_a_model() -> None:
    model = model_of("org/m:tag", 1_795_219_200, 8_192, frozenset({"image", "tools"}))
    info = ModelInfo.model_validate_json(json.dumps(model), strict=True)
    assert info.capabilities is not None
    assert info.capabilities.image_input.supported
    assert info.capabilities.pdf_input.supported
    assert {name: value for name, value in model.items() if name != "capabilities"} == snapshot(
        {
            "type": "model",
            "id": "org/m:tag",
            "display_name": "org/m:tag",
            "created_at": "2026-11-21T00:00:00Z",
            "lifecycle": "active",
            "deprecated_at": None,
            "retires_at": None,
            "line": None,
            "max_input_tokens": 8192,
            "max_tokens": 8192,
        }
    )


def test_a_model_that_does_not_say_its_context() -> None:
    model = model_of("m", 0, None, frozenset())
    assert (model["max_input_tokens"], model["max_tokens"]) == (None, None)
    ModelInfo.model_validate_json(json.dumps(model), strict=True)


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        (b"", "abcde", False),
        (b"limit=2", "ab", True),
        (b"limit=5", "abcde", False),
        (b"limit=2&after_id=b", "cd", True),
        (b"limit=2&after_id=c", "de", False),
        (b"after_id=e", "", False),
        (b"limit=2&before_id=d", "bc", True),
        (b"limit=2&before_id=c", "ab", False),
        (b"before_id=a", "", False),
        (b"lifecycle=active&lifecycle=retired", "abcde", False),
        (b"lifecycle[]=retired", "", False),
        (b"beta=true&unknown=1", "abcde", False),
    ],
)
def test_a_page(query: bytes, ids: str, more: bool) -> None:
    page = page_of(FIVE, query)
    assert "".join(model["id"] for model in page["data"]) == ids
    assert page["has_more"] is more
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("count", [20, 21])
def test_twenty_are_a_page(count: int) -> None:
    models: list[dict[str, Any]] = [{"id": str(at)} for at in range(count)]
    page = page_of(models, b"")
    assert (len(page["data"]), page["has_more"]) == (20, count > 20)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"limit=0", "limit"),
        (b"limit=1001", "limit"),
        (b"limit=x", "limit"),
        (b"limit=-1", "limit"),
        ("limit=²".encode(), "limit"),
        (b"limit=" + b"9" * 5_000, "limit"),
        (b"after_id=z", "after_id"),
        (b"before_id=z", "before_id"),
    ],
)
def test_a_page_that_is_none(query: bytes, field: str) -> None:
    with pytest.raises(Refusal) as caught:
        page_of(FIVE, query)
    assert (caught.value.status, caught.value.field) == (400, field)
