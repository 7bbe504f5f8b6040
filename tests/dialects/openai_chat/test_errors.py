"""Refusals in OpenAI's envelope."""

import json

import pytest
from inline_snapshot import snapshot

from portico import errors
from portico.dialects.openai_chat.errors import headers, render, stream_error
from portico.errors import CATALOGUE

from .streams import check_framing


def test_the_envelope() -> None:
    refusal = errors.OUT_OF_RANGE("'n' is 0; it must be at least 1.", field="n", value=0, limit=1)
    assert json.loads(render(refusal)) == snapshot(
        {
            "error": {
                "message": "'n' is 0; it must be at least 1.",
                "type": "invalid_request_error",
                "param": "n",
                "code": "out_of_range",
                "value": 0,
                "limit": 1,
                "remedy": "Stay within the limit the message names.",
                "doc": "docs/errors/out_of_range.md",
            }
        }
    )


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_refusal_can_be_told(code: str) -> None:
    entry = CATALOGUE[code]
    refusal = entry("Something.", retry_after_ms=1_500 if entry.retryable else None)
    error = json.loads(render(refusal))["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["code"] == code
    assert error["message"] == "Something." + ("" if entry.says_all else f" {entry.remedy}")
    assert error["remedy"] == entry.remedy
    check_framing([stream_error(refusal)])
    told = dict(headers(refusal))
    if entry.retryable:
        assert told == {b"retry-after": b"2", b"retry-after-ms": b"1500"}
    else:
        assert told == {b"x-should-retry": b"false"}


def test_a_remedy_of_its_own_takes_the_place_of_the_entrys() -> None:
    error = json.loads(render(errors.NOT_FOUND("Not here.", remedy="Look there.")))["error"]
    assert (error["message"], error["remedy"]) == ("Not here. Look there.", "Look there.")


def test_a_stream_that_broke_is_not_told_that_it_never_began() -> None:
    event = stream_error(errors.UPSTREAM_FAILED("The engine broke off.")).decode()
    assert "not charged, whether it had begun or not" in event


def test_text_that_cannot_be_written_is_shown_as_its_escape() -> None:
    refusal = errors.INVALID_VALUE("\ud83d", field="a\ud83d", value="b\ud83d", limit=["c\ud83d"])
    error = json.loads(render(refusal))["error"]
    assert error["message"] == "\\ud83d"
    assert (error["param"], error["value"], error["limit"]) == (
        "a\\ud83d",
        "b\\ud83d",
        ["c\\ud83d"],
    )


def test_values_of_any_kind_and_size_are_shown() -> None:
    for value in ({"a": 1}, [1] * 1000, "x" * 10**6, 10**80, 1.5, None, True):
        assert len(render(errors.INVALID_VALUE("x", value=value))) < 1_000
