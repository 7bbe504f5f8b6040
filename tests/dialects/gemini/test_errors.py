"""Refusals in Google's envelope."""

import json

import pytest
from inline_snapshot import snapshot

from portico import errors
from portico.dialects.gemini.errors import render, stream_error
from portico.errors import CATALOGUE

from .streams import events

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def test_the_envelope() -> None:
    refusal = errors.OUT_OF_RANGE(
        "'generationConfig.topK' is -1; it must be at least 0.",
        field="generationConfig.topK",
        value=-1,
        limit=0,
    )
    assert json.loads(render(refusal)) == snapshot(
        {
            "error": {
                "code": 400,
                "message": "'generationConfig.topK' is -1; it must be at least 0.",
                "status": "INVALID_ARGUMENT",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "OUT_OF_RANGE",
                        "domain": "portico",
                        "metadata": {
                            "code": "out_of_range",
                            "field": "generationConfig.topK",
                            "value": "-1",
                            "limit": "0",
                            "remedy": "Stay within the limit the message names.",
                            "doc": "docs/errors/out_of_range.md",
                        },
                    },
                    {
                        "@type": "type.googleapis.com/google.rpc.BadRequest",
                        "fieldViolations": [
                            {
                                "field": "generationConfig.topK",
                                "description": "'generationConfig.topK' is -1; it must be at least 0.",
                            }
                        ],
                    },
                ],
            }
        }
    )


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_refusal_can_be_told(code: str) -> None:
    entry = CATALOGUE[code]
    refusal = entry("Something.", retry_after_ms=1_500 if entry.retryable else None)
    error = json.loads(render(refusal))["error"]
    assert set(error) == {"code", "message", "status", "details"}
    assert error["code"] == entry.status
    assert error["status"] == STATUS.get(entry.status, error["status"])
    assert error["message"].startswith("Something.")
    info, *more = error["details"]
    assert (info["reason"], info["metadata"]["remedy"]) == (code.upper(), entry.remedy)
    assert all(isinstance(text, str) for text in info["metadata"].values())
    retry = [one["retryDelay"] for one in more if one["@type"].endswith("RetryInfo")]
    assert retry == (["1.500s"] if entry.retryable else [])
    assert events(stream_error(refusal)) == [{"error": error}]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("messages", "contents"),
        ("max_completion_tokens", "generationConfig.maxOutputTokens"),
        ("n", "generationConfig.candidateCount"),
        ("model", "model"),
        ("serviceTier", "serviceTier"),
    ],
)
def test_fields_have_the_names_of_this_dialect(theirs: str, ours: str) -> None:
    refusal = errors.OUT_OF_RANGE(f"'{theirs}' is 9; it must be at most 1.", field=theirs)
    error = json.loads(render(refusal))["error"]
    assert error["message"] == f"'{ours}' is 9; it must be at most 1."
    assert error["details"][0]["metadata"]["field"] == ours
    assert error["details"][1]["fieldViolations"][0]["field"] == ours


def test_text_that_cannot_be_written_is_shown_as_its_escape() -> None:
    refusal = errors.INVALID_VALUE("\ud83d", field="a\ud83d", value="b\ud83d", limit=["c\ud83d"])
    error = json.loads(render(refusal))["error"]
    assert error["message"] == "\\ud83d"
    metadata = error["details"][0]["metadata"]
    assert (metadata["field"], metadata["value"]) == ("a\\ud83d", "b\\ud83d")


def test_values_of_any_kind_and_size_are_shown() -> None:
    for value in ({"a": 1}, [1] * 1000, "x" * 10**6, 10**80, 1.5, None, True):
        assert len(render(errors.INVALID_VALUE("x", value=value, limit=value))) < 1_500
