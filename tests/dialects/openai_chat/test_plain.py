"""The quick reader of plain requests and the careful one give the same verdict."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portico.dialects.openai_chat import parse as parsing
from portico.dialects.openai_chat.parse import parse
from portico.dialects.openai_chat.plain import plain_chat
from portico.errors import Refusal

LONG = "0." + "7" * 70
TURNS = '[{"role":"user","content":"x"}]'
NUMBERS = ["0", "1", "-1", "2", "0.7", "1.0", "2.5", "1e400", "-0", LONG, "9" * 30, "9" * 70]
STRINGS = ['"m"', '""', '"\\ud800"', '"\\ud83d\\ude00"', '"\\n"', '"' + "y" * 300 + '"']
OTHERS = ["null", "true", "false", "[]", "{}", '["a"]', '["a",1]', '["a","b","c","d","e"]']
NESTED = ["[" * 70 + "]" * 70, '{"include_usage":true}', '{"include_usage":null,"x":' + LONG + "}"]
VALUES = st.sampled_from([*NUMBERS, *STRINGS, *OTHERS, *NESTED])
MESSAGES = [
    TURNS,
    '[{"role":"assistant","content":null}]',
    '[{"role":"system","content":"a"},{"role":"user","content":"b"}]',
    '[{"role":"user","content":"x","x":' + "9" * 70 + "}]",
    '[{"role":"user","content":"x","role":"tool"}]',
    '[{"role":"user","content":[{"type":"text","text":"x"}]}]',
    '[{"role":"tool","content":"x","tool_call_id":"c"}]',
    '[{"role":"owner","content":"x"}]',
    '[{"content":"x"}]',
    '[{"role":"user","content":"\\ud800"}]',
]
NAMES = st.sampled_from(
    [
        *("model", "n", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options"),
        *("temperature", "top_p", "seed", "user", "verbosity", "metadata", "x_unknown"),
    ]
)
MEMBERS = st.one_of(
    st.tuples(NAMES, VALUES),
    st.tuples(st.just("messages"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("stream"), st.just("true")),
)


def body_of(members: list[tuple[str, str]], colon: str = ":") -> bytes:
    return ("{" + ",".join(f'"{name}"{colon}{raw}' for name, raw in members) + "}").encode()


def verdict(body: bytes) -> tuple[Any, ...]:
    """All of the prompt that can be compared, or the refusal."""
    try:
        prompt = parse(body, {})
    except Refusal as refusal:
        return refusal.code, refusal.message, refusal.field
    raw = {name: bytes(value) for name, value in prompt.fields.items()}
    return (
        *(prompt.model, prompt.stream, prompt.body, raw, prompt.wants_usage, prompt.choices),
        *(prompt.output_tokens_max, prompt.input_tokens_guess, prompt.needs, prompt.warnings),
    )


def with_care(body: bytes) -> tuple[Any, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "plain_chat", lambda body: None)
        return verdict(body)


@given(st.lists(MEMBERS, max_size=5), st.booleans(), st.sampled_from([":", ": ", " :"]))
@settings(deadline=None, max_examples=400)
@example([("temperature", LONG)], True, ":")
@example([("n", "2")], True, ":")
@example([("n", '"x"'), ("n", "1")], True, ":")
@example([("max_tokens", "9" * 70)], True, ":")
@example([("max_tokens", "2"), ("max_completion_tokens", "3")], True, ":")
@example([("stream_options", '{"include_usage":true}')], True, ":")
@example(
    [("stream_options", '{"include_usage":true,"x":' + LONG + "}"), ("stream", "true")], True, ":"
)
@example([("x_unknown", "1e400")], True, ":")
@example([("user", '"\\ud800"')], True, ":")
def test_both_readers_agree(members: list[tuple[str, str]], whole: bool, colon: str) -> None:
    start = [("model", '"m"'), ("messages", TURNS)] if whole else []
    body = body_of([*start, *members], colon)
    assert verdict(body) == with_care(body)


@pytest.mark.parametrize(
    "junk", [b"", b"[]", b"{", b"null", b'{"model":"\xff"}', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_request_is_left_to_the_careful_reader(junk: bytes) -> None:
    assert plain_chat(junk) is None


def test_a_plain_request_is_read_at_once() -> None:
    """Or the short way would be there for nothing."""
    assert plain_chat(body_of([("model", '"m"'), ("messages", TURNS), ("n", "2")])) is not None
