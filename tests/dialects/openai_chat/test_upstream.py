"""The body an engine is sent: the caller's bytes, but for what we own."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.dialects.openai_chat.parse import parse
from portico.dialects.openai_chat.upstream import body_for

from .bodies import PNG, data_url, encoded, image, parsed, request, user

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
UNKNOWN = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6).map("x_".__add__), JSON)


def members(body: bytes) -> dict[str, bytes]:
    raw = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {name: bytes(value) for name, value in raw.items()}


@given(UNKNOWN, st.booleans(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
@settings(deadline=None)
def test_every_member_keeps_its_place_and_bytes(
    unknown: dict[str, Any], stream: bool, ascii_only: bool, separators: tuple[str, str]
) -> None:
    body = json.dumps(
        request(**unknown, stream=stream), separators=separators, ensure_ascii=ascii_only
    ).encode()
    before, after = members(body), members(body_for(parse(body, {}), "other"))
    owned = {"model"} | ({"stream_options"} if stream else set())
    assert [name for name in after if name not in owned] == [n for n in before if n not in owned]
    assert all(after[name] == before[name] for name in before if name not in owned)
    assert after["model"] == b'"other"'
    assert after.get("stream_options") == (b'{"include_usage":true}' if stream else None)


@given(UNKNOWN)
@settings(deadline=None)
def test_nothing_to_change_is_the_same_object(unknown: dict[str, Any]) -> None:
    body = json.dumps(request(**unknown), separators=(",", ":"), ensure_ascii=True).encode()
    prompt = parse(body, {})
    if all(
        name.isascii() and '"' not in name and "\\" not in name and name.isprintable()
        for name in unknown
    ):
        assert body_for(prompt, "m") is body


def test_a_stream_that_asks_for_usage_is_the_same_object() -> None:
    body = encoded(stream=True, stream_options={"include_usage": True})
    assert body_for(parse(body, {}), "m") is body


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (None, b'{"include_usage":true}'),
        ({"include_usage": False}, b'{"include_usage":true}'),
        ({"x": [1], "include_usage": None}, b'{"x":[1],"include_usage":true}'),
    ],
)
def test_usage_is_always_asked_for(said: Any, sent: bytes) -> None:
    prompt = parsed(stream=True, stream_options=said)
    assert not prompt.wants_usage
    assert members(body_for(prompt, "m"))["stream_options"] == sent


def test_usage_is_not_asked_for_without_a_stream() -> None:
    assert "stream_options" not in members(body_for(parsed(), "other"))


def test_an_adapters_changes() -> None:
    sent = members(body_for(parsed(top_k=3, x=1), "m", {"top_k": b"4", "x": None, "y": b"[1]"}))
    assert (sent["top_k"], sent["y"]) == (b"4", b"[1]")
    assert "x" not in sent


def test_leaving_out_what_is_not_there_changes_nothing() -> None:
    body = encoded()
    assert body_for(parse(body, {}), "m", {"id_slot": None}) is body


def test_a_member_written_twice_is_sent_once() -> None:
    """An engine that obeys the first would run what nobody checked."""
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":100,"n":1}'
    sent = body_for(parse(body, {}), "m")
    assert sent == b'{"model":"m","messages":[{"role":"user","content":"x"}],"n":1}'


def test_an_image_is_sent_as_it_came() -> None:
    messages = user(image(data_url(PNG + bytes(100_000))))
    sent = members(body_for(parsed(messages=messages), "other"))
    assert json.loads(sent["messages"]) == messages
