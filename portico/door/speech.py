"""Whose words a caller understands, where the path alone may not say it."""

from collections.abc import Mapping
from typing import Literal

Speech = Literal["openai", "responses", "anthropic", "gemini"]
"""OpenAI's two have one envelope, but fields of their own that it names."""

_GEMINI_ROOTS = ("/v1beta/", "/v1alpha/", "/upload/")
"""And where its SDK sends files, which are sent to /v1/files here."""
_MODELS = "/v1/models"
_SHARED = (_MODELS, "/v1/files")
_RESPONSES = "/v1/responses"
_MESSAGES = ("/v1/messages", "/v1/v1/messages", "/messages")
"""And where a wrong base URL leads to.  (Other paths may end in /messages.)"""


def speech_of(path: str, headers: Mapping[bytes, bytes], query: bytes) -> Speech:
    """For answers about a request, refusals first of all.  `/v1/models` belongs to three dialects
    and `/v1/files` to two: there the headers decide, as each SDK sends its own."""
    if path.startswith(_MESSAGES):
        return "anthropic"
    if path.startswith(_GEMINI_ROOTS) or path.rpartition(":")[2] in VERBS:
        return "gemini"
    if not path.startswith(_SHARED):
        return "responses" if path.startswith(_RESPONSES) else "openai"
    if b"anthropic-version" in headers:
        return "anthropic"
    if path.startswith(_MODELS) and (b"x-goog-api-key" in headers or b"key=" in query):
        return "gemini"
    return "openai"


VERBS = frozenset(
    {
        "generateContent",
        "streamGenerateContent",
        "countTokens",
        "embedContent",
        "batchEmbedContents",
    }
)
"""What Gemini's SDKs do with a model: the word behind the last colon of the path."""
