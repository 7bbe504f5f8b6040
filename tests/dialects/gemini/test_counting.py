"""countTokens: what is counted, and how a wrong body is told."""

import json
from typing import Any

import pytest

from portico.canon.prompt import Prompt
from portico.dialects.gemini.counting import counted
from portico.errors import Refusal

from .bodies import HINTS, parse_count, parsed, request, user


def asked(**body: Any) -> Prompt:
    return parse_count(json.dumps(body).encode(), HINTS)


def test_contents_alone_or_the_whole_request_are_the_same_prompt() -> None:
    whole = request(user("Hi"), systemInstruction={"parts": [{"text": "Be kind."}]})
    wanted = parsed(user("Hi"), systemInstruction=whole["systemInstruction"]).conversation()
    assert asked(**whole).conversation() == wanted
    nested = asked(generate_content_request={**whole, "model": "models/other"})
    assert (nested.model, nested.conversation()) == ("m", wanted)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contents"),
        ({"contents": [user("x")], "generateContentRequest": request()}, "contents"),
        ({"generateContentRequest": {}}, "generateContentRequest.contents"),
        (
            {"generateContentRequest": request({"role": "x"})},
            "generateContentRequest.contents[0].role",
        ),
    ],
)
def test_a_wrong_place_has_its_whole_path(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        asked(**body)
    assert refusal.value.field == field
    assert f"'{field}'" in refusal.value.message


def test_the_answer() -> None:
    assert counted(7) == {"totalTokens": 7}
