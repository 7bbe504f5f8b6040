"""Whatever is sent, the answer is a 4xx in OpenAI's envelope that names the field: never a 5xx."""

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.whole.conftest import Served
from tests.whole.wire import ask, get, post, question

OK: dict[str, Any] = {"model": "sim-echo", "messages": question("hi")}


def image(size_bytes: int) -> list[dict[str, Any]]:
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\x00" * size_bytes).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return [{"role": "user", "content": [part]}]


BAD: dict[str, tuple[bytes | dict[str, Any], int, str, str | None]] = {
    "not json": (b"{", 400, "invalid_json", None),
    "not an object": (b"[]", 400, "body_not_an_object", None),
    "empty": (b"", 400, "invalid_json", None),
    "not utf-8": (b'{"model": "\xff"}', 400, "invalid_json", None),
    "deep": (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", 400, "json_too_deep", None),
    "no model": ({"messages": question("x")}, 400, "missing_field", "model"),
    "no messages": ({"model": "sim-echo"}, 400, "missing_field", "messages"),
    "wrong type": ({**OK, "messages": "hi"}, 400, "invalid_type", "messages"),
    "wrong number": ({**OK, "temperature": "hot"}, 400, "invalid_type", "temperature"),
    "unknown model": ({**OK, "model": "gpt-none"}, 404, "model_not_found", "model"),
    "unknown role": (
        {**OK, "messages": [{"role": "wizard", "content": "x"}]},
        400,
        "invalid_value",
        "messages[0].role",
    ),
    "empty messages": ({**OK, "messages": []}, 400, "out_of_range", "messages"),
    "n is 0": ({**OK, "n": 0}, 400, "out_of_range", "n"),
    "negative cap": ({**OK, "max_tokens": -1}, 400, "out_of_range", "max_tokens"),
    "hot": ({**OK, "temperature": 3}, 400, "out_of_range", "temperature"),
    "half an emoji": (
        b'{"model":"sim-echo","messages":[{"role":"user","content":"\\ud83d"}]}',
        400,
        "lone_surrogate",
        "messages[0].content",
    ),
    "20 MB image": (
        {**OK, "messages": image(20_971_520)},
        413,
        "media_too_large",
        "messages[0].content[0].image_url.url",
    ),
    "image for a text model": (
        {**OK, "model": "portico-demo", "messages": image(100)},
        400,
        "unsupported_feature",
        "model",
    ),
    "image by url": (
        {
            **OK,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "http://127.0.0.1/secret"}}
                    ],
                }
            ],
        },
        400,
        "media_url_not_supported",
        "messages[0].content[0].image_url.url",
    ),
    "too many tokens out": (
        {**OK, "model": "portico-demo", "max_tokens": 10_000_000},
        400,
        "context_length_exceeded",
        "max_completion_tokens",
    ),
    "too many tokens in": (
        {"model": "portico-demo", "messages": question("word " * 200_000)},
        400,
        "context_length_exceeded",
        "messages",
    ),
    "tool that is not there": (
        {**OK, "tool_choice": {"type": "function", "function": {"name": "f"}}},
        400,
        "invalid_value",
        "tool_choice",
    ),
    "stream options without stream": (
        {**OK, "stream_options": {"include_usage": True}},
        400,
        "invalid_value",
        "stream_options",
    ),
}


def said_twice(message: str) -> list[str]:
    """Runs of three words that come again; what a caller wrote is left out."""
    ours = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\S*/\S*", "", message.lower())
    spoken = re.findall(r"[a-z-]+", ours)
    runs = [" ".join(three) for three in zip(spoken, spoken[1:], spoken[2:], strict=False)]
    return sorted({run for run in runs if runs.count(run) > 1})


def reads_well(message: str) -> None:
    assert said_twice(message) == [], message
    assert "the message names" not in message, "a message does not speak of itself"
    assert message[-1] in ".?", message


def test_what_is_said_twice_is_found() -> None:
    assert said_twice("It is 0; it must be at least 1. So: it must be at least 1.")
    assert not said_twice("'n' is 0; it must be at least 1.")


@pytest.mark.parametrize("name", BAD)
def test_4xx(served: Served, name: str) -> None:
    body, status, code, field = BAD[name]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    got, headers, answer = post(served, "/v1/chat/completions", raw)
    error = json.loads(answer)["error"]
    assert (got, error["code"]) == (status, code), error
    assert {"message", "type", "param", "code"} <= set(error)
    if field is not None:
        assert (error["param"] or "").startswith(field), error
    assert headers["x-request-id"]
    reads_well(error["message"])
    assert headers["x-should-retry"] == "false"


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "messages", "model", "n", "stop", "tools", "tool_choice", "response_format", "logprobs",
        "top_logprobs", "stream", "stream_options", "seed", "max_tokens", "logit_bias", "metadata",
        "temperature", "functions", "modalities", "audio", "reasoning_effort", "user", "prediction",
    ]
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.dictionaries(fields, json_value, min_size=1, max_size=3))
def test_never_a_5xx(served: Served, changes: dict[str, Any]) -> None:
    status, _, answer = ask(served, **{**OK, "max_tokens": 4, **changes})
    assert status < 500, answer
    if status != 200:
        error = json.loads(answer)["error"]
        assert error["code"]
        assert said_twice(error["message"]) == []


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=200))
def test_never_a_5xx_for_any_bytes(served: Served, body: bytes) -> None:
    status, _, _ = post(served, "/v1/chat/completions", body)
    assert 400 <= status < 500


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/nothing", 404), ("/v1/v1/chat/completions", 404), ("/chat/completions", 404)],
)
def test_404_with_a_remedy(served: Served, path: str, status: int) -> None:
    got, _, body = get(served, path)
    assert got == status
    message = json.loads(body)["error"]["message"]
    assert "/v1" in message
    reads_well(message)


def test_405_names_the_methods(served: Served) -> None:
    status, headers, body = get(served, "/v1/chat/completions")
    assert (status, headers["allow"]) == (405, "POST")
    reads_well(json.loads(body)["error"]["message"])


def test_401_without_a_key(served: Served) -> None:
    for path in ("/v1/models", "/v1/usage"):
        status, _, body = get(served, path, key="")
        error = json.loads(body)["error"]
        assert (status, error["code"]) == (401, "missing_api_key")
        reads_well(error["message"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/health", "/"])
def test_200_without_a_key(served: Served, path: str) -> None:
    assert get(served, path, key="")[0] == 200


def test_usage_of_the_caller(served: Served) -> None:
    ask(served, model="sim-echo", messages=question("one two three"))
    status, _, body = get(served, "/v1/usage")
    usage = json.loads(body)
    assert status == 200
    (echo,) = [row for row in usage["data"] if row["model"] == "sim-echo"]
    assert echo["requests"] >= 1
    assert echo["output_tokens"] >= 3


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["lone_surrogate", "usage_negative", "unfinished_json"])
def test_a_malformed_engine_is_no_500(served: Served, fault: str, stream: bool) -> None:
    status, _, answer = ask(
        served, model="sim-malformed", messages=question(f"[[sim fault={fault}]]"), stream=stream
    )
    assert status in (200, 502)
    answer.decode()
