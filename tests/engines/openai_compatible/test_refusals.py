"""What an upstream's status and error body become, row by row."""

import json

import pytest

from portico import errors
from portico.engines.base import UpstreamFailed
from portico.engines.openai_compatible.refusals import EngineLost, broken, refused, retry_after_ms
from portico.engines.openai_compatible.server import server_at
from portico.engines.transport.base import TransportFailed

from .prompts import prompt_of

SERVER = server_at("http://10.1.2.3:8000", "sk-operators-own-key")


def mean(status, body=b"", headers=(), prompt=None):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    found = refused(status, list(headers), body, prompt or prompt_of(), SERVER)
    if isinstance(found, UpstreamFailed):
        return "upstream", found.refusal
    return "caller", found


@pytest.mark.parametrize(
    ("status", "culprit", "code"),
    [
        (400, "caller", "upstream_refused"),
        (422, "caller", "upstream_refused"),
        (413, "caller", "upstream_refused"),
        (418, "caller", "upstream_refused"),
        (501, "caller", "unsupported_feature"),
        (401, "upstream", "engine_unavailable"),
        (402, "upstream", "engine_unavailable"),
        (403, "upstream", "engine_unavailable"),
        (404, "upstream", "engine_unavailable"),
        (405, "upstream", "engine_unavailable"),
        (429, "upstream", "upstream_busy"),
        (529, "upstream", "upstream_busy"),
        (503, "upstream", "upstream_busy"),
        (408, "upstream", "upstream_timeout"),
        (504, "upstream", "upstream_timeout"),
        (500, "upstream", "upstream_failed"),
        (502, "upstream", "upstream_failed"),
        (204, "upstream", "upstream_failed"),
        (302, "upstream", "upstream_failed"),
        (599, "upstream", "upstream_failed"),
    ],
)
def test_every_status_has_a_culprit(status, culprit, code):
    who, refusal = mean(status, {"error": {"message": "no"}})
    assert (who, refusal.code) == (culprit, code)
    assert refusal.status not in (401, 403)


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "code": 400,
                "message": "request (9019 tokens) exceeds the available context size (8192 "
                "tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9019,
                "n_ctx": 8192,
            }
        },
        {
            "object": "error",
            "message": "This model's maximum context length is 8192 tokens. However, you "
            "requested 9019 tokens in the messages, Please reduce the length of the messages.",
            "type": "BadRequestError",
            "code": 400,
        },
        {
            "object": "error",
            "message": "The input (9019 tokens) is longer than the model's context length "
            "(8192 tokens).",
        },
        {"error": {"message": "9019 tokens, limit 8192 tokens", "code": "context_length_exceeded"}},
    ],
)
def test_a_prompt_too_long_is_told_with_both_numbers(body):
    who, refusal = mean(400, body)
    assert (who, refusal.code) == ("caller", "context_length_exceeded")
    assert (refusal.value, refusal.limit, refusal.field) == (9019, 8192, "messages")
    assert "9019" in refusal.message
    assert "8192" in refusal.message


def test_a_number_that_is_none_is_none():
    """No count of tokens has so many digits, and the interpreter reads none of more than 4,300."""
    body = {
        "error": {"message": f"{'9' * 60_000} tokens exceed the available context: 8192 tokens"}
    }
    _, refusal = mean(400, body)
    assert (refusal.code, refusal.value, refusal.limit) == ("context_length_exceeded", None, 8192)


def test_too_long_without_numbers_is_still_too_long():
    _, refusal = mean(400, {"error": {"message": "maximum context length exceeded"}})
    assert refusal.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("needs", "field"), [(frozenset({"json_schema"}), "response_format"), (frozenset(), "tools")]
)
def test_a_bad_schema_names_where_it_stands(needs, field):
    message = (
        "Unable to generate parser for this template. Automatic parser generation failed: "
        "JSON schema error at #: unrecognized type bogus"
    )
    who, refusal = mean(400, {"error": {"message": message}}, prompt=prompt_of(needs))
    assert (who, refusal.code, refusal.field) == ("caller", "invalid_json_schema", field)
    assert "unrecognized type bogus" in refusal.message


def test_llamacpp_says_500_for_a_missing_tower_which_is_the_callers_to_change():
    who, refusal = mean(500, {"error": {"message": "image input is not supported - hint: ..."}})
    assert (who, refusal.code) == ("caller", "unsupported_feature")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>nginx</html>",
        b"[1]",
        b'"no"',
        b'{"error":{"message":5}}',
        b'{"error":null}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"detail":[{"loc":["body"]}]}',
    ],
)
def test_any_body_is_survived(body):
    who, refusal = mean(400, body)
    assert (who, refusal.code) == ("caller", "upstream_refused")


def test_the_upstreams_words_are_cleaned():
    words = "see http://10.1.2.3:8000/admin\r\nkey sk-operators-own-key \x1b[31m" + "x" * 9_000
    _, refusal = mean(400, {"error": {"message": words}})
    assert "see" in refusal.message
    assert "10.1.2.3" not in refusal.message
    assert "operators-own-key" not in refusal.message
    assert refusal.message.isprintable()
    assert len(refusal.message) < 500


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ([], 1_000),
        ([(b"retry-after", b"7")], 7_000),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"7")], 250),
        ([(b"retry-after", b"soon")], 1_000),
        ([(b"retry-after", b"-5")], 1_000),
        ([(b"retry-after", b"99999999999999999999")], 3_600_000),
        ([(b"retry-after", b"Sat, 21 Nov 2026 00:00:30 GMT")], 1_000),
        (
            [
                (b"date", b"Sat, 21 Nov 2026 00:00:00 GMT"),
                (b"retry-after", b"Sat, 21 Nov 2026 00:00:30 GMT"),
            ],
            30_000,
        ),
    ],
)
def test_retry_after_is_kept_within_reason(headers, wait_ms):
    assert retry_after_ms(headers) == wait_ms
    assert mean(429, headers=headers)[1].retry_after_ms == wait_ms


@pytest.mark.parametrize(
    ("stage", "code", "lost"),
    [
        ("connect", "engine_unavailable", True),
        ("write", "upstream_failed", True),
        ("lost", "upstream_failed", True),
        ("first_byte", "upstream_timeout", False),
        ("idle", "upstream_timeout", False),
        ("total", "upstream_timeout", False),
        ("protocol", "upstream_failed", False),
        ("too_large", "upstream_failed", False),
        ("closed", "upstream_failed", False),
    ],
)
def test_every_stage_has_a_meaning(stage, code, lost):
    failed = broken(TransportFailed(stage, "10.1.2.3 said something"), began=True)
    assert failed.refusal.code == code
    assert "10.1.2.3" not in failed.refusal.message
    assert isinstance(failed, EngineLost) == lost
    assert not lost or failed.began


def test_only_retryable_refusals_carry_a_time_to_wait():
    for status in range(300, 600):
        refusal = mean(status)[1]
        assert isinstance(refusal, errors.Refusal)
        assert refusal.retry_after_ms is None or refusal.entry.retryable
