"""Moderations requests: which are taken, which refused, with field, value and limit."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from portico.dialects.openai_moderations.parse import ALIASES, SPECIMEN, Asked, parse
from portico.errors import Refusal
from tests.dialects.openai_chat.test_anything import ANY_JSON, ANY_TEXT, check

INPUTS_MAX, CHARACTERS_MAX = 5, 1_000


def parsed(**fields: Any) -> Asked:
    return parse(json.dumps(fields).encode(), INPUTS_MAX, CHARACTERS_MAX)


def test_the_smallest_request_is_one() -> None:
    assert parsed(**SPECIMEN).items[0].text == "-"


def test_a_text_texts_and_parts() -> None:
    assert [item.text for item in parsed(input="a").items] == ["a"]
    assert [item.text for item in parsed(input=["a", "b"]).items] == ["a", "b"]
    (item,) = parsed(
        input=[
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            {"type": "text", "text": "b"},
        ]
    ).items
    assert (item.text, item.images) == ("a\nb", ("u",))


def test_names_of_openai_s_are_none_here() -> None:
    assert {parsed(input="a", model=name).model for name in [None, *ALIASES]} == {""}
    assert parsed(input="a", model="portico-rules-1").model == "portico-rules-1"


def test_what_is_not_known_is_named_and_let_pass() -> None:
    assert parsed(input="a", user="me", none=None).unknown == ("user",)


def test_a_byte_order_mark_is_no_json() -> None:
    assert parse(b'\xef\xbb\xbf{"input": "a"}', 1, 1).items[0].text == "a"


PART = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "image_url", "x", None]),
        "text": ANY_JSON,
        "image_url": st.one_of(ANY_JSON, st.fixed_dictionaries({"url": ANY_JSON})),
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "input": st.one_of(ANY_JSON, ANY_TEXT, st.lists(st.one_of(PART, ANY_TEXT), max_size=7)),
            "model": ANY_JSON,
        },
    )
)
@settings(max_examples=200, deadline=None)
def test_anything_is_read_or_refused_with_field_value_and_limit(document: Any) -> None:
    try:
        body = json.dumps(document).encode()
        asked = parse(body, INPUTS_MAX, CHARACTERS_MAX)
    except Refusal as refusal:
        check(refusal)
        return
    assert 1 <= len(asked.items) <= INPUTS_MAX
    assert asked.characters <= CHARACTERS_MAX
