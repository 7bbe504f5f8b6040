"""Every refusal of the catalogue in Anthropic's envelope."""

import json

import anthropic
import httpx2
import pytest
from inline_snapshot import snapshot

from portico import errors
from portico.dialects.anthropic_messages.errors import event, headers, named, render, status_of
from portico.errors import CATALOGUE, Entry

from .streams import OrderMachine, events_in

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    416: "invalid_request_error",
    417: "invalid_request_error",
    426: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)
def test_every_refusal_has_its_type(entry: Entry) -> None:
    refusal = entry("What happened.", field="a.b", value=5, limit=[1, 2], retry_after_ms=1_500)
    body = json.loads(render(refusal, "req_1"))
    assert set(body) == {"type", "error", "request_id"}
    assert body["error"]["type"] == TYPES[status_of(refusal)]
    assert body["error"]["details"]["error_code"] == entry.code
    told = dict(headers(refusal))
    assert (told[b"retry-after"], told[b"retry-after-ms"]) == (b"2", b"1500")
    assert (told.get(b"x-should-retry") == b"false") is not entry.retryable


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (errors.CREDIT_EXHAUSTED, 402),
        (errors.SPEND_LIMITS["key"], 402),
        (errors.SPEND_LIMITS["project"], 402),
        (errors.SPEND_LIMITS["organisation"], 402),
        (errors.FUNDS_HELD, 429),
        (errors.CONCURRENCY, 429),
        (errors.OVERLOADED, 529),
        (errors.UPSTREAM_BUSY, 529),
        (errors.DRAINING, 529),
        (errors.ENGINE_UNAVAILABLE, 503),
        (errors.STORAGE_UNAVAILABLE, 503),
        (errors.BODY_TOO_LARGE, 413),
        (errors.UPSTREAM_TIMEOUT, 504),
        (errors.INTERNAL, 500),
    ],
    ids=str,
)
def test_statuses_as_this_dialect_numbers_them(entry: Entry, status: int) -> None:
    assert status_of(entry("x")) == status


def test_an_envelope_byte_for_byte() -> None:
    refusal = errors.OUT_OF_RANGE(
        "'max_tokens' is 0; it must be at least 1.", field="max_tokens", value=0, limit=1
    )
    assert render(refusal, "req_1").decode() == snapshot(
        '{"type":"error","error":{"type":"invalid_request_error","message":"\'max_tokens\' is 0; it must be at least 1.","details":{"error_code":"out_of_range","field":"max_tokens","value":0,"limit":1,"remedy":"Stay within the limit the message names.","doc":"docs/errors/out_of_range.md"}},"request_id":"req_1"}'
    )
    assert named(b"req_1") == b"request-id: req_1\r\n"


def test_fields_that_other_rooms_name_have_their_names_of_this_dialect() -> None:
    said = "'max_completion_tokens' is 9; it must be at most 5."
    refusal = errors.OUT_OF_RANGE(said, field="max_completion_tokens", value=9, limit=5)
    error = json.loads(render(refusal, "req_1"))["error"]
    assert error["details"]["field"] == "max_tokens"
    assert error["message"].startswith("'max_tokens' is 9;")


def test_the_event_that_ends_a_stream() -> None:
    frame = event(errors.UPSTREAM_FAILED("It broke."), "req_1")
    (told,) = events_in(frame)
    OrderMachine().take(told)
    assert (told["error"]["type"], told["request_id"]) == ("api_error", "req_1")


@pytest.mark.parametrize(
    ("value", "limit", "begins"),
    [
        (150_000, 128_000, "prompt is too long: 150000 tokens > 128000 maximum. It "),
        (None, None, "prompt is too long. It "),
    ],
)
def test_agents_are_told_in_their_words_that_a_prompt_is_too_long(
    value: int | None, limit: int | None, begins: str
) -> None:
    refusal = errors.CONTEXT_LENGTH("It has too many.", value=value, limit=limit)
    message = json.loads(render(refusal, "req_1"))["error"]["message"]
    assert message.startswith(begins)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)
def test_the_sdk_makes_its_own_exception_of_it(entry: Entry) -> None:
    refusal = entry("What happened.")
    classes = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        409: anthropic.ConflictError,
        429: anthropic.RateLimitError,
    }
    status = status_of(refusal)
    response = httpx2.Response(
        status,
        headers={"request-id": "req_1"},
        request=httpx2.Request("POST", "http://x/v1/messages"),
    )
    with anthropic.Anthropic(api_key="x", base_url="http://x") as client:
        error = client._make_status_error(
            "x", body=json.loads(render(refusal, "req_1")), response=response
        )
    assert type(error) is classes.get(status, type(error))
    assert isinstance(error, anthropic.APIStatusError)
    assert (status >= 500) == isinstance(error, anthropic.InternalServerError)
    assert error.request_id == "req_1"
