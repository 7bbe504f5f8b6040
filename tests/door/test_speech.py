"""Whose words are used where the path alone does not say it."""

import pytest

from portico.door.speech import speech_of

ANTHROPIC = {b"anthropic-version": b"2023-06-01"}
GEMINI = {b"x-goog-api-key": b"pk_live_x"}


@pytest.mark.parametrize(
    ("path", "headers", "query", "speech"),
    [
        ("/v1/chat/completions", {}, b"", "openai"),
        ("/v1/chat/completions", ANTHROPIC, b"", "openai"),
        ("/v1/responses", GEMINI, b"", "responses"),
        ("/v1/messages", {}, b"", "anthropic"),
        ("/v1/messages/count_tokens", {}, b"beta=true", "anthropic"),
        ("/v1/v1/messages", {}, b"", "anthropic"),
        ("/messages", {}, b"", "anthropic"),
        ("/v1/chat/completions/c_1/messages", {}, b"", "openai"),
        ("/v1beta/models/m:generateContent", {}, b"", "gemini"),
        ("/v1alpha/models", {}, b"", "gemini"),
        ("/upload/v1beta/files", GEMINI, b"", "gemini"),
        ("/v1/models/m:generateContent", {}, b"", "gemini"),
        ("/v1/models/m:noSuchVerb", GEMINI, b"", "gemini"),
        ("/v1/v1beta/models/m:countTokens", {}, b"", "gemini"),
        ("/v1/models/qwen:7b", {}, b"", "openai"),
        ("/v1/models/qwen:7b", ANTHROPIC, b"", "anthropic"),
        ("/v1/models", {}, b"", "openai"),
        ("/v1/models", ANTHROPIC, b"", "anthropic"),
        ("/v1/models", GEMINI, b"", "gemini"),
        ("/v1/models", {}, b"key=pk_live_x", "gemini"),
        ("/v1/models/m", ANTHROPIC | GEMINI, b"", "anthropic"),
        ("/nowhere", {}, b"", "openai"),
    ],
)
def test_the_nearest_dialect(
    path: str, headers: dict[bytes, bytes], query: bytes, speech: str
) -> None:
    assert speech_of(path, headers, query) == speech
